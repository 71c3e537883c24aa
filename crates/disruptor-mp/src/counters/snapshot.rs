//! What a reader of counters gets: for each number, which counter it is and which owner it belongs to. A snapshot is a
//! copy.

use super::ids;
use std::borrow::Cow;
use std::fmt;

/// An end of a ring counts here now. Cleared when that end is dropped; still set if its process was killed. Its counts
/// stay.
pub const COUNTER_FLAG_IN_USE: u32 = 1 << 0;
/// A producer counts here.
pub const COUNTER_FLAG_PRODUCER: u32 = 1 << 1;
/// A consumer counts here.
pub const COUNTER_FLAG_CONSUMER: u32 = 1 << 2;

/// The owner of a counter.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CounterOwner {
    /// The producer of the ring in whose segment the table is.
    Producer {
        /// Which producer of the ring it is; 1 is the creator. Counts continue when the ring is taken over.
        reign: u64,
    },
    /// A consumer of the ring in whose segment the table is: the last one that had this entry.
    Consumer {
        /// The index of its entry in the table of consumers, from 0.
        entry: usize,
        /// Counts the owners of the entry. Two snapshots with the same entry and different epochs belong to two owners.
        epoch: u64,
    },
    /// All consumers whose entry another consumer has taken, together.
    FormerConsumers,
    /// An end that counts into this file instead of into its ring's own table.
    Attached {
        /// The place of its ring; if that is long, only its end.
        ring: String,
        /// The number of the attachment, unique in the file.
        number: u32,
    },
    /// The program that registered the counter under its label.
    Registered,
}

impl fmt::Display for CounterOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Producer { reign } => write!(f, "reign {reign}"),
            Self::Consumer { entry, epoch } => write!(f, "entry {entry}, epoch {epoch}"),
            Self::FormerConsumers => f.write_str("their entries were taken by others"),
            Self::Attached { ring, number } => write!(f, "of {}, attached as number {number}", ring.escape_debug()),
            Self::Registered => f.write_str("registered"),
        }
    }
}

/// One counter at the moment of the snapshot.
///
/// To show it, print it. Its `Display` is one line that says which counter it is, whose, and in which unit; a table
/// wants [`name`](Self::name), [`label`](Self::label) and [`unit`](Self::unit). The label alone says only which end it
/// belongs to: all counters of one end have the same label.
///
/// ```
/// use disruptor_mp::{Place, build_shared_single_producer};
///
/// let mut producer = build_shared_single_producer::<u64>(Place::heap(), 8).build_producer(|| 0)?;
/// producer.publish_batch(3, |slot, i| *slot = i as u64)?;
/// let lines: Vec<_> = producer.ring_counters().snapshot().iter().map(|counter| format!("{counter}")).collect();
/// assert_eq!(lines[..2], [
///     "events_published = 3 events (producer; reign 1)",
///     "events_published_bytes = 24 bytes (producer; reign 1)",
/// ]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// For a consumer it prints `events_consumed = 24 events (worker-3; entry 0, epoch 2)`, for an application's counter
/// `steps = 7 (registered by process 4711)`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CounterSnapshot {
    /// What is counted: one of [`ids`](super::ids), or an application's own.
    pub id: u32,
    /// The name of the counter: [`ids::Description::name`]; for an application's counter, the label.
    pub name: Cow<'static, str>,
    /// The unit of the value, in the plural; empty for an application's counter.
    pub unit: &'static str,
    /// One sentence about it: [`ids::Description::help`](super::ids::Description::help); empty for an application's
    /// counter.
    pub help: &'static str,
    /// For a registered counter, the flags that were passed; this crate gives them no meaning. For an end of a ring,
    /// the `COUNTER_FLAG_*` that hold.
    pub flags: u32,
    /// The count. Stale as soon as it has been read, never torn.
    pub value: u64,
    /// The name of its owner: `producer`, a consumer's id, or the label that was registered. All counters of an owner
    /// have this label, so print [`name`](Self::name) with it, or the whole snapshot. Bytes that are not UTF-8, which
    /// only a damaged table has, are replaced by U+FFFD.
    pub label: String,
    /// The owner, distinguished from others with the same label.
    pub owner: CounterOwner,
    /// The process that counts, or counted last, as seen in its own pid namespace. It may be dead.
    pub owner_pid: u32,
}

impl CounterSnapshot {
    pub(super) fn new(id: u32, flags: u32, value: u64, label: String, owner: CounterOwner, owner_pid: u32) -> Self {
        let (name, unit, help) = match ids::describe(id) {
            Some(description) => (description.name.into(), description.unit, description.help),
            None if id < ids::APPLICATION_BASE => (format!("{id:#x}").into(), "", "A counter of another version."),
            None if label.is_empty() => (format!("{id:#x}").into(), "", "A counter of the application."),
            None => (label.clone().into(), "", "A counter of the application."),
        };
        Self { id, name, unit, help, flags, value, label, owner, owner_pid }
    }
}

impl fmt::Display for CounterSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, unit, value, label, owner, owner_pid, .. } = self;
        write!(f, "{} = {value}", name.escape_debug())?;
        if !unit.is_empty() {
            write!(f, " {unit}")?;
        }
        match owner {
            CounterOwner::Registered if **name == **label => write!(f, " (registered by process {owner_pid})"),
            owner => write!(f, " ({}; {owner})", label.escape_debug()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: u32, label: &str, owner: CounterOwner) -> String {
        CounterSnapshot::new(id, 0, 24, label.into(), owner, 4711).to_string()
    }

    #[test]
    fn a_line_says_which_counter_it_is_and_whose() {
        let producer = line(ids::EVENTS_PUBLISHED, "producer", CounterOwner::Producer { reign: 1 });
        assert_eq!(producer, "events_published = 24 events (producer; reign 1)");
        let consumer = line(ids::EVENTS_CONSUMED, "worker-3", CounterOwner::Consumer { entry: 0, epoch: 2 });
        assert_eq!(consumer, "events_consumed = 24 events (worker-3; entry 0, epoch 2)");
        let attached = CounterOwner::Attached { ring: "shm:rpc".into(), number: 2 };
        assert_eq!(
            line(ids::EVENTS_PUBLISHED_BYTES, "producer", attached),
            "events_published_bytes = 24 bytes (producer; of shm:rpc, attached as number 2)"
        );
        let forged = CounterOwner::Attached { ring: "\x1b[2J".into(), number: 2 };
        assert!(line(ids::EVENTS_PUBLISHED, "producer", forged).ends_with("of \\u{1b}[2J, attached as number 2)"));
        let former = line(ids::CONSUMER_LAG_MAX, "former consumers", CounterOwner::FormerConsumers);
        assert_eq!(former, "consumer_lag_max = 24 events (former consumers; their entries were taken by others)");
    }

    #[test]
    fn an_applications_counter_is_called_as_it_was_registered() {
        let registered = |id, label| line(id, label, CounterOwner::Registered);
        assert_eq!(registered(ids::APPLICATION_BASE, "steps"), "steps = 24 (registered by process 4711)");
        assert_eq!(registered(ids::APPLICATION_BASE, ""), "0x100 = 24 (; registered)");
        assert_eq!(registered(ids::EVENTS_CONSUMED, "mine"), "events_consumed = 24 events (mine; registered)");
        assert_eq!(registered(0xff, "later"), "0xff = 24 (later; registered)");
        assert_eq!(registered(ids::APPLICATION_BASE, "\x1b[2J"), "\\u{1b}[2J = 24 (registered by process 4711)");
    }
}
