//! The consumers in the table, as any process that has mapped the ring sees them.

use super::membership::entry_byte;
use crate::liveness::{HeldMessages, ProcessIdentity};
use crate::ring::ends::pace::now_ns;
use crate::ring::memory::layout::Carries;
use crate::ring::memory::mapped::Mapped;
use crate::ring::protocol::control::Entry;
use crate::ring::protocol::ending::Ending;
use crate::ring::protocol::held::numbers_held;
use crate::ring::protocol::memory::Memory;
use crate::segment::Segment;
use crate::sync::primitive::Ordering;
use std::io;
use std::time::Duration;

/// One consumer of a ring, as seen from outside. Positions go stale at once; `alive: false` stays true for this owner.
///
/// Its *owner* is an end in some process. An entry under an id that its program chose stays when the owner goes, unless
/// the owner gives it up; [`ending`](Self::ending) says how the owner went.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConsumerInfo {
    /// The id of the consumer.
    pub id: String,
    /// Whether the library made the id because the program gave none. No process can come back under such an id.
    pub id_is_generated: bool,
    /// The application's rank, if it gave one.
    pub rank: Option<u32>,
    /// The process of its owner, with the pid in the pid namespace of that process.
    pub process: ProcessIdentity,
    /// Counts the owners that this entry has had: two answers with the same number are about the same owner.
    pub owner: u64,
    /// Whether its owner is there: it holds the lock of its entry, which the kernel drops when its process ends.
    pub alive: bool,
    /// How its owner went; `None` while it is there. Except for [`Killed`](Ending::Killed), the process may live.
    pub ending: Option<Ending>,
    /// The next sequence that it will read: everything before it is acknowledged.
    pub position: i64,
    /// The sequence after the last event that its application was handed.
    pub delivered: i64,
    /// Which messages it [holds](crate::HeldEvent), if any. Not known to a view that does not know the events.
    pub held: Option<HeldMessages>,
}

/// All consumers that gate, with an owner or without. A lock that cannot be looked at counts as held: an error never
/// makes a consumer disappear. Looks at the whole table, whatever the high water says.
pub(crate) fn roster<S: Carries>(memory: &Mapped<S>) -> Vec<ConsumerInfo> {
    (0..memory.table_len()).filter_map(|index| info(memory, index)).collect()
}

/// The consumer at `index`, if one gates there.
pub(crate) fn info<S: Carries>(memory: &Mapped<S>, index: usize) -> Option<ConsumerInfo> {
    memory.entry(index).status().gates().then(|| describe(memory, index))
}

/// The consumer at `index`, or the last one that was there.
pub(crate) fn describe<S: Carries>(memory: &Mapped<S>, index: usize) -> ConsumerInfo {
    let info = describe_in(memory.segment(), memory.entry(index), index);
    // In a ring of events positions are numbers. In a ring of records they are lines, which users do not know.
    let number = |position: i64| memory.number_at(position);
    let held = held_in(memory, index);
    ConsumerInfo { position: number(info.position), delivered: number(info.delivered), held, ..info }
}

/// Which messages the consumer in entry `index` holds.
fn held_in<S: Carries>(memory: &Mapped<S>, index: usize) -> Option<HeldMessages> {
    let since_ns = memory.entry(index).member.held_since_ns.load(Ordering::Relaxed);
    if since_ns == 0 {
        return None;
    }
    let oldest_for = Duration::from_nanos(now_ns().saturating_sub(since_ns));
    Some(HeldMessages { sequences: numbers_held(memory, index), oldest_for })
}

/// [`describe`] for a view that has the words of a ring and does not know its events.
pub(crate) fn describe_in(segment: &Segment, entry: &Entry, index: usize) -> ConsumerInfo {
    loop {
        let owner = entry.status().epoch;
        let ending = ending_in(segment, entry, index).unwrap_or(None);
        let position = entry.position.load(Ordering::Acquire);
        let info = ConsumerInfo {
            id: entry.member.id(),
            id_is_generated: entry.member.is_generated(),
            rank: entry.member.rank(),
            process: entry.member.identity.load(),
            owner,
            alive: ending.is_none(),
            ending,
            position,
            // Nothing was handed out yet, or all of it is released.
            delivered: entry.delivered.load(Ordering::Relaxed).max(position),
            held: None,
        };
        // What was read of an owner that has gone must not be reported of its successor. Owners change seldom.
        if entry.status().epoch == owner {
            return info;
        }
    }
}

/// The entry of the consumer called `id`, if it gates.
pub(crate) fn find<S: Carries>(memory: &Mapped<S>, id: &str) -> Option<usize> {
    (0..memory.table_len()).find(|&index| memory.entry(index).status().gates() && memory.entry(index).member.id() == id)
}

/// How the owner of entry `index` has gone; `None` if it has not.
pub(crate) fn ending<S: Carries>(memory: &Mapped<S>, index: usize) -> io::Result<Option<Ending>> {
    ending_in(memory.segment(), memory.entry(index), index)
}

pub(super) fn ending_in(segment: &Segment, entry: &Entry, index: usize) -> io::Result<Option<Ending>> {
    let said = || entry.ending(entry.status());
    if let Some(ending) = said() {
        return Ok(Some(ending));
    }
    if segment.is_held(entry_byte(index))? {
        return Ok(None);
    }
    // The lock was looked at after the word: an owner that released it in between has stored its ending by now.
    Ok(Some(said().unwrap_or(Ending::Killed)))
}
