//! The stall report: which end waits, for which process, since when, what that process is doing, and what happens next.

use super::process::{ProcessFacts, ProcessIdentity, ProcessState};
use crate::ring::protocol::ending::Ending;
use crate::ring::refusal::Refusal;
use std::fmt;
use std::io;
use std::time::Duration;

/// What the waiting side waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitingFor {
    /// The producer waits for a consumer to release a slot.
    Space,
    /// The producer waits in [`wait_until_consumed`](crate::ProducerEnd::wait_until_consumed) until a consumer has
    /// released an event. The ring may have room.
    Release,
    /// The producer waits for space that only padding holds: its consumer has read everything and has not looked since.
    /// It will skip the padding when it looks for the next record.
    Padding,
    /// A consumer waits for the producer to publish.
    Data,
    /// A consumer waits until the oldest message that it holds is released: it has got all
    /// [`HELD_MAX`](crate::HELD_MAX) messages that it may get from that one on. The release of another message does not
    /// help; the producer is not to blame.
    HeldRelease,
    /// The producer waits for consumers: those of its start-up buffer ([`StallReport::buffer`]), or a required one that
    /// is gone.
    Consumers,
    /// Managed publishing waits for
    /// [`reset_required_consumer_liveness`](crate::ProducerEnd::reset_required_consumer_liveness): a required consumer
    /// has shut it.
    Reset,
    /// Nothing waits: there is room, or there is something to read.
    Nothing,
    /// Nothing waits: the producer has closed the ring, and the consumer has read everything.
    Closed,
    /// Nothing waits: the ring was replaced or removed, and the consumer has read everything.
    Replaced,
}

/// What the waiting side will do if nothing changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NextStep {
    /// It goes on waiting.
    KeepWaiting,
    /// It shuts the producer after this long.
    ShutDownIn(Duration),
    /// It has given up: the call returns an error.
    GiveUp,
    /// It removes the consumer, which has no owner, from the table and goes on.
    Evict,
}

/// The participant that is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Culprit {
    /// Consumer id, or `producer`.
    pub id: String,
    /// The application's rank of that consumer, if it gave one.
    pub rank: Option<u32>,
    /// The identity of its process; the pid is that of its own pid namespace.
    pub process: ProcessIdentity,
    /// Whether its process died: the kernel has dropped its lock, whatever `/proc` says.
    pub is_dead: bool,
    /// How it ended; `None` while it is there. Only after [`Killed`](Ending::Killed) its process is certainly dead.
    pub ending: Option<Ending>,
    /// What the operating system says its process is doing.
    pub facts: ProcessFacts,
    /// The next sequence that it has to process.
    pub sequence: i64,
    /// Published events that it has not released. In a ring of records an event is a record, so in a transport of
    /// records it is a message; in a transport of fixed frames it is a frame.
    pub lag_events: u64,
    /// Whether its application has got the event and has not returned: the time is spent there, not in waiting for us.
    pub is_inside_handler: bool,
    /// Which messages it [holds](crate::HeldEvent), if it holds any.
    pub held: Option<HeldMessages>,
    /// How long its position has not changed while it was watched; `None` if it was not watched.
    pub no_progress_for: Option<Duration>,
}

/// The messages that a consumer holds: it has got them, and has not released them. Newer ones may be released.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeldMessages {
    /// Their sequences, the oldest first. The producer waits for the oldest.
    pub sequences: Vec<i64>,
    /// For how long the oldest has been held.
    pub oldest_for: Duration,
}

impl fmt::Display for HeldMessages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 8;
        let shown: Vec<_> = self.sequences.iter().take(SHOWN).map(i64::to_string).collect();
        write!(f, "holds {}", shown.join(", "))?;
        if self.sequences.len() > SHOWN {
            write!(f, " and {} more", self.sequences.len() - SHOWN)?;
        }
        write!(f, ", the oldest since {:.1?}", self.oldest_for)
    }
}

/// A start-up buffer that holds the producer back until the expected consumers have joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StartUpBuffer {
    /// How many of the expected consumers have joined.
    pub joined: usize,
    /// How many are expected.
    pub expected: usize,
}

/// A call that the operating system refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{call} failed: {}", self.as_error())]
#[non_exhaustive]
pub struct RefusedCall {
    /// What was tried, as the subject of a sentence: `looking at its lock`.
    pub call: &'static str,
    /// The error number of the operating system (`errno`), if it gave one.
    pub errno: Option<i32>,
    /// What kind of refusal it was.
    pub kind: io::ErrorKind,
}

impl RefusedCall {
    pub(crate) fn new(call: &'static str, error: &io::Error) -> Self {
        Self { call, errno: error.raw_os_error(), kind: error.kind() }
    }

    fn as_error(&self) -> io::Error {
        self.errno.map_or_else(|| self.kind.into(), io::Error::from_raw_os_error)
    }
}

/// One wait that takes long, explained. `Display` gives it in one line.
///
/// Every error that blames a process has one, and every alert; an end returns one when it is asked:
///
/// ```
/// # let place = disruptor_mp::Place::heap();
/// # let mut producer = disruptor_mp::SharedProducer::create(&place, 2, || 0_u64)?;
/// # let worker = disruptor_mp::SharedConsumer::<u64>::attach(&place, 2, "worker-3")?;
/// # producer.publish_batch(2, |slot, number| *slot = number as u64)?;
/// let report = producer.stall_report();
/// println!("{report}"); // ring shm:rpc: producer waits for space ...; worker-3 pid 4711 is running, ...
/// // For programs it has fields:
/// assert!(report.culprit.is_some_and(|culprit| culprit.id == "worker-3" && culprit.lag_events == 2));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StallReport {
    /// The ring: its session and rank, if it has a [title](crate::Place::titled), and its place.
    pub ring: String,
    /// Which end waits, and for what.
    pub waiting_for: WaitingFor,
    /// How long the wait has taken so far.
    pub waited: Duration,
    /// The participant that is waited for; `None` if the wait is not for a consumer or producer.
    pub culprit: Option<Culprit>,
    /// The start-up buffer, if it holds the producer back. If there is a culprit as well, both do.
    pub buffer: Option<StartUpBuffer>,
    /// What the operating system refused to say or do about the culprit.
    pub refused: Option<RefusedCall>,
    /// In a producer's report: the processes that its ring has refused and that have reported it, the last of each rank
    /// and the last without a rank. Each stays until another one is refused.
    pub refusals: Vec<Refusal>,
    /// What the waiting end does next.
    pub next: NextStep,
}

impl StallReport {
    pub(crate) fn new(
        ring: String,
        waiting_for: WaitingFor,
        waited: Duration,
        culprit: Option<Culprit>,
        next: NextStep,
    ) -> Self {
        Self { ring, waiting_for, waited, culprit, buffer: None, refused: None, refusals: Vec::new(), next }
    }
}

impl fmt::Display for StallReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = match self.waiting_for {
            WaitingFor::Space => "producer waits for space",
            WaitingFor::Release => "producer waits until an event is released",
            WaitingFor::Padding => "producer waits for space that padding holds",
            WaitingFor::Data => "consumer waits for data",
            WaitingFor::HeldRelease => {
                "consumer is handed no more than 64 messages from the oldest that it holds on, and waits for its release"
            }
            WaitingFor::Consumers => "producer waits for consumers",
            WaitingFor::Reset => "producer refuses managed calls until it is reset",
            WaitingFor::Nothing => "nothing waits",
            WaitingFor::Closed => "nothing waits, its producer has closed it and everything was read",
            WaitingFor::Replaced => "nothing waits, it was replaced and everything was read",
        };
        write!(f, "ring {}: {who}", self.ring)?;
        if matches!(self.waiting_for, WaitingFor::Closed | WaitingFor::Replaced) {
            return Ok(());
        }
        if !self.waited.is_zero() {
            write!(f, " since {:.1?}", self.waited)?;
        }
        if let Some(culprit) = &self.culprit {
            write!(f, "; {culprit}")?;
            if self.waiting_for == WaitingFor::Padding {
                write!(f, ", has read everything and has not looked since")?;
            }
        }
        if let Some(StartUpBuffer { joined, expected }) = self.buffer {
            write!(f, "; the start-up buffer waits, {joined} of {expected} expected consumers have joined")?;
        }
        if let Some(refused) = &self.refused {
            write!(f, "; {refused}")?;
        }
        for refusal in &self.refusals {
            write!(f, "; {refusal}")?;
        }
        if self.waiting_for == WaitingFor::Nothing {
            return Ok(());
        }
        match self.next {
            NextStep::KeepWaiting => write!(f, "; keeps waiting"),
            NextStep::ShutDownIn(left) => write!(f, "; the producer shuts down in {left:.1?}"),
            NextStep::GiveUp => write!(f, "; gives up"),
            NextStep::Evict => write!(f, "; takes it out of the table and goes on"),
        }
    }
}

impl fmt::Display for Culprit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)?;
        // An id may contain the rank.
        if let Some(rank) = self.rank.filter(|rank| !self.id.ends_with(&format!("rank {rank}"))) {
            write!(f, " (rank {rank})")?;
        }
        let pid = self.process.pid;
        let process = match self.facts.state {
            ProcessState::Gone | ProcessState::Zombie => format!("process {pid} has ended"),
            ProcessState::OtherNamespace | ProcessState::Unknown => format!("process {pid} may live"),
            _ => format!("process {pid} lives"),
        };
        match self.ending {
            None => write!(f, " pid {pid} is {}", self.facts.state)?,
            // The kernel has dropped its lock; a zombie still has a line in /proc, and a recycled pid is another
            // process.
            Some(Ending::Killed) => write!(f, " pid {pid} is dead")?,
            Some(Ending::Dropped) => write!(f, " was dropped and has kept its entry; {process}")?,
            Some(Ending::Panicked) => write!(f, " was dropped by a panic; {process}")?,
            Some(Ending::Awaited) => write!(f, " has not come over from the ring before this one; {process}")?,
            Some(Ending::Unknown) => write!(f, " is not there any more, and how it went is not known; {process}")?,
            Some(Ending::Left) => {
                write!(f, " is not there any more: it has left, has closed the ring, or was evicted; {process}")?;
            }
        }
        if let Some(wchan) = self.facts.wchan.as_ref().filter(|_| self.ending.is_none()) {
            write!(f, " in {wchan}")?;
        }
        if let Some(throttled) = self.facts.throttled.as_ref().filter(|throttled| throttled.periods > 0) {
            write!(f, ", its cgroup was throttled {} times for {:.1?}", throttled.periods, throttled.time)?;
        }
        write!(f, ", at sequence {}", self.sequence)?;
        match self.lag_events {
            0 => {}
            1 => write!(f, ", lags by 1 event")?,
            lag => write!(f, ", lags by {lag} events")?,
        }
        if self.is_inside_handler && self.held.is_none() {
            write!(f, ", inside its handler")?;
        }
        if let Some(held) = &self.held {
            write!(f, ", {held}")?;
        }
        if let Some(age) = self.no_progress_for {
            write!(f, ", no progress for {age:.1?}")?;
        }
        Ok(())
    }
}
