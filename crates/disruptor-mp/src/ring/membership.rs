//! Who is in the table: taking an entry, coming back to it, leaving it, and freeing those of the dead.
//!
//! **Lives here:** [`Member`], [`join`], the [`roster`] of who is there. **Builds on:** `join` for the handshake, `segment` for the
//! kernel's locks. **May touch it:** consumers for themselves; anybody for an entry whose lock byte it has taken.
//!
//! An entry belongs to whoever holds its lock byte; the kernel drops the byte when its holder dies, so nothing here rests on a clock.
//! Joining is one at a time, under the table's own byte: otherwise two could join under one id without seeing each other.

use super::control::{ConsumerId, Entry, State, Status};
use super::join::{BeginningGone, StartAt, handshake, let_go};
use super::mapped::Mapped;
use super::memory::Memory;
use crate::liveness::ProcessIdentity;
use crate::schema::Event;
use crate::segment::{Claim, Fate, Segment};
use crate::step;
use crate::sync::primitive::Ordering;
use std::io;
use std::ops::Range;
use std::time::{Duration, Instant};

pub(crate) use crate::segment::PRODUCER as PRODUCER_BYTE;

/// How long a joiner waits for another that is in the middle of joining, which takes microseconds unless somebody is stopped there.
const JOIN_PATIENCE: Duration = Duration::from_secs(5);

/// How long an id may look taken, or the table full, because somebody has an entry's byte for a moment.
const TAKEN_PATIENCE: Duration = Duration::from_millis(50);

/// The lock byte of entry `index`.
pub(crate) fn entry_byte(index: usize) -> u32 {
    index as u32 + 1
}

/// Why nobody could join.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// Somebody alive has this id. Choose another, or end that process first.
    #[error("consumer `{id}` is in use by process {pid}")]
    IdInUse {
        /// The id.
        id: String,
        /// Who has it, as seen in its own pid namespace.
        pid: u32,
    },
    /// Every place for such consumers is taken. Create the ring with places for more.
    #[error("all {table_len} places for such consumers are in use; create the ring with places for more")]
    TableFull {
        /// How many places there are for them.
        table_len: usize,
    },
    /// The ring keeps its places for consumers whose id begins with its prefix, and those for others are taken. Choose
    /// an id that begins so, if this consumer is one of those, or end one of the others.
    #[error(
        "consumer `{id}` finds no place: this ring keeps its places for ids that begin with `{prefix}`, and the {places} for others are in use; \
         end one of those, or choose an id that begins so if the ring is meant for this consumer"
    )]
    NoPlaceForOthers {
        /// The id.
        id: String,
        /// How the ids begin for which places are kept.
        prefix: String,
        /// How many places there are for others.
        places: usize,
    },
    /// Another consumer has been in the middle of joining for seconds: it is stopped.
    #[error("another consumer is in the middle of joining and does not get on; it is probably stopped")]
    JoinInProgress,
    /// The ring no longer has its first event.
    #[error(transparent)]
    BeginningGone(#[from] BeginningGone),
    /// The ring was replaced or removed while we joined. Open it again.
    #[error("the ring was replaced or removed")]
    Replaced,
    /// The entry that stood under this id held a position that no consumer could have reached; it has been freed. Joining again
    /// starts anew.
    #[error(
        "the position {position} left under consumer id `{id}` was never published (published: {published}); the entry was freed"
    )]
    PositionForged {
        /// The id.
        id: String,
        /// What stood there.
        position: i64,
        /// How much was published.
        published: i64,
    },
    /// The operating system refused a lock.
    #[error("locking an entry of the consumer table failed")]
    Os(#[from] io::Error),
}

/// A place in the table, held by its lock byte.
pub(crate) struct Member {
    pub(crate) index: usize,
    /// The first sequence to read.
    pub(crate) start: i64,
    /// Events before this were handed out before, to the one who died.
    pub(crate) redelivered_until: i64,
    /// How often the event at `start` has been handed out and not acknowledged.
    pub(crate) redeliveries: u32,
    /// Whether it continues where a dead one stopped.
    pub(crate) rejoined: bool,
    claim: Claim,
}

/// What joining needs to know.
pub(crate) struct JoinRequest<'a> {
    pub(crate) id: &'a ConsumerId,
    pub(crate) start: StartAt,
    pub(crate) rank: Option<u32>,
}

/// Takes a place in the table, or the place of the dead one of the same id.
pub(crate) fn join<E: Event>(memory: &Mapped<E>, request: &JoinRequest<'_>) -> Result<Member, JoinError> {
    let begin = Instant::now();
    loop {
        match join_now(memory, request) {
            // Somebody may have the byte for a moment: a collector, or one who has left and not yet let go.
            Err(JoinError::IdInUse { .. } | JoinError::TableFull { .. } | JoinError::NoPlaceForOthers { .. })
                if begin.elapsed() < TAKEN_PATIENCE => {}
            Err(JoinError::JoinInProgress) if begin.elapsed() < JOIN_PATIENCE => {}
            other => return other,
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn join_now<E: Event>(memory: &Mapped<E>, request: &JoinRequest<'_>) -> Result<Member, JoinError> {
    let segment = memory.segment();
    let table_byte = entry_byte(memory.table_len());
    let Some(_table) = segment.claim(table_byte)? else { return Err(JoinError::JoinInProgress) };
    step!(TableLocked);
    if segment.fate() != Fate::Live {
        return Err(JoinError::Replaced);
    }
    for index in 0..memory.table_len() {
        let entry = memory.entry(index);
        if !entry.status().gates() || entry.member.id() != request.id.as_str() {
            continue;
        }
        let Some(claim) = segment.claim(entry_byte(index))? else {
            return Err(JoinError::IdInUse {
                id: request.id.as_str().to_owned(),
                pid: entry.member.identity.load().pid,
            });
        };
        if entry.status().state == State::Active {
            return rejoin(memory, index, claim, request);
        }
        let_go(memory, index);
    }
    let places = places_for(memory, request.id.as_str());
    // Free entries first; only then those of the dead to whom nobody comes back.
    for wanted in [Status::is_free, Status::is_taken] {
        for index in places.clone() {
            let entry = memory.entry(index);
            if !wanted(&entry.status()) || (entry.status().state == State::Active && !entry.member.is_generated()) {
                continue;
            }
            let Some(claim) = segment.claim(entry_byte(index))? else { continue };
            if entry.status().gates() {
                let_go(memory, index);
            }
            return enter(memory, index, claim, request);
        }
    }
    let prefix = memory.segment().header().prefix.as_str();
    if request.id.as_str().starts_with(prefix) {
        return Err(JoinError::TableFull { table_len: places.len() });
    }
    let (id, prefix) = (request.id.as_str().to_owned(), prefix.to_owned());
    Err(JoinError::NoPlaceForOthers { id, prefix, places: places.len() })
}

/// The entries that a consumer called `id` may take: those that are kept for ids with the ring's prefix, or those
/// beside them. In a ring without a prefix any id may take any entry, those that were asked for first.
fn places_for<E: Event>(memory: &Mapped<E>, id: &str) -> Range<usize> {
    let header = memory.segment().header();
    let places = (header.places as usize).min(memory.table_len());
    match header.prefix.as_str() {
        "" => 0..memory.table_len(),
        prefix if id.starts_with(prefix) => 0..places,
        _ => places..memory.table_len(),
    }
}

/// Takes a free entry whose byte we hold.
fn enter<E: Event>(
    memory: &Mapped<E>,
    index: usize,
    claim: Claim,
    request: &JoinRequest<'_>,
) -> Result<Member, JoinError> {
    step!(EntryLocked);
    let entry = memory.entry(index);
    entry.member.identity.store(ProcessIdentity::current());
    entry.member.set_id(request.id);
    entry.member.set_rank(request.rank);
    entry.member.redeliveries.store(0, Ordering::Relaxed);
    entry.member.redelivered_until.store(0, Ordering::Relaxed);
    step!(EntryNamed);
    let start = handshake(memory, index, request.start)?;
    Ok(Member { index, start, redelivered_until: start, redeliveries: 0, rejoined: false, claim })
}

/// Continues where the dead one stopped. The entry is active all the time, so it gates all the time.
fn rejoin<E: Event>(
    memory: &Mapped<E>,
    index: usize,
    claim: Claim,
    request: &JoinRequest<'_>,
) -> Result<Member, JoinError> {
    let entry = memory.entry(index);
    let start = entry.position.load(Ordering::Acquire);
    let (end, _) = memory.published_end();
    // A live producer moves on between our look at the cursor and our looks at the stamps, so the end may come out too low; what the
    // dead one had read speaks for itself.
    let is_believed =
        start.saturating_sub(end).saturating_abs() <= memory.capacity() && memory.may_have_been_reached(start);
    let published = end.max(start);
    if !is_believed {
        let_go(memory, index);
        return Err(JoinError::PositionForged { id: request.id.as_str().to_owned(), position: start, published });
    }
    // The dead one may itself have been on its way through events that another before it had been handed.
    let handed_out =
        entry.delivered.load(Ordering::Relaxed).max(entry.member.redelivered_until.load(Ordering::Relaxed));
    let delivered = handed_out.clamp(start, published);
    let redeliveries = match delivered > start {
        true if entry.member.redelivered_from.load(Ordering::Relaxed) == start => {
            entry.member.redeliveries.load(Ordering::Relaxed).saturating_add(1)
        }
        true => 1,
        false => 0,
    };
    entry.next_epoch();
    step!(RejoinEpoch);
    entry.member.redelivered_from.store(start, Ordering::Relaxed);
    entry.member.redeliveries.store(redeliveries, Ordering::Relaxed);
    entry.member.redelivered_until.store(delivered, Ordering::Relaxed);
    entry.member.identity.store(ProcessIdentity::current());
    entry.member.set_rank(request.rank);
    step!(RejoinIdentity);
    Ok(Member { index, start, redelivered_until: delivered, redeliveries, rejoined: true, claim })
}

impl Member {
    /// Gives the place back, and wakes the producer, which may wait for it.
    pub(crate) fn leave<E: Event>(self, memory: &Mapped<E>) {
        let_go(memory, self.index);
        step!(LeaveWoken);
        drop(self.claim);
    }
}

/// What became of an entry whose owner's lock was looked at.
pub(crate) enum Fallen {
    /// The owner lives, or the entry changed hands meanwhile.
    No,
    /// The owner is dead; nobody can come back for the entry, and it has been freed.
    Freed(ConsumerInfo),
    /// The owner is dead, and its place is kept for whoever comes back under its id.
    Kept(ConsumerInfo),
}

/// Looks whether the owner of entry `index` is dead, and frees the entry if nobody can come back for it.
pub(crate) fn bury<E: Event>(memory: &Mapped<E>, index: usize) -> io::Result<Fallen> {
    let entry = memory.entry(index);
    let seen = entry.status();
    if !seen.gates() || memory.segment().is_held(entry_byte(index))? {
        return Ok(Fallen::No);
    }
    let Some(mut dead) = info(memory, index) else { return Ok(Fallen::No) };
    dead.alive = false;
    if seen.state == State::Active && !entry.member.is_generated() {
        // Not claimed: a rejoin may be about to take the byte. Same owner before and after the look at the lock, or we say nothing.
        return Ok(if entry.status() == seen { Fallen::Kept(dead) } else { Fallen::No });
    }
    evict(memory, index, seen).map(|freed| if freed { Fallen::Freed(dead) } else { Fallen::No })
}

/// Frees entry `index` if it still has the owner that was `seen`, and that owner is dead.
pub(crate) fn evict<E: Event>(memory: &Mapped<E>, index: usize, seen: Status) -> io::Result<bool> {
    let entry = memory.entry(index);
    let Some(_claim) = memory.segment().claim(entry_byte(index))? else { return Ok(false) };
    if entry.status() != seen {
        return Ok(false);
    }
    let_go(memory, index);
    Ok(true)
}

/// One consumer of a ring, as seen from outside. Positions go stale at once; `alive: false` stays so for this owner.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConsumerInfo {
    /// Its id.
    pub id: String,
    /// Whether we made the id.
    pub id_is_generated: bool,
    /// The application's rank, if it gave one.
    pub rank: Option<u32>,
    /// Who it is.
    pub process: ProcessIdentity,
    /// Whether the kernel says that it lives.
    pub alive: bool,
    /// The next sequence that it will read.
    pub position: i64,
    /// The end of what its application has been handed.
    pub delivered: i64,
}

/// Everybody who gates, alive or dead. A lock that cannot be looked at counts as held: an error never makes somebody
/// disappear.
pub(crate) fn roster<E: Event>(memory: &Mapped<E>) -> Vec<ConsumerInfo> {
    let used = memory.control().gate.high_water.load(Ordering::Acquire) as usize;
    (0..used.min(memory.table_len())).filter_map(|index| info(memory, index)).collect()
}

/// Who is at `index`, if anybody gates there.
pub(crate) fn info<E: Event>(memory: &Mapped<E>, index: usize) -> Option<ConsumerInfo> {
    let info = describe(memory.segment(), memory.entry(index), index)?;
    // Positions are numbers where events are; where records are, they are lines, which nobody outside knows.
    let number = |position: i64| memory.number_at(position);
    Some(ConsumerInfo { position: number(info.position), delivered: number(info.delivered), ..info })
}

/// [`info`] for whoever has the words of a ring without knowing its events.
pub(crate) fn describe(segment: &Segment, entry: &Entry, index: usize) -> Option<ConsumerInfo> {
    if !entry.status().gates() {
        return None;
    }
    let position = entry.position.load(Ordering::Acquire);
    Some(ConsumerInfo {
        id: entry.member.id(),
        id_is_generated: entry.member.is_generated(),
        rank: entry.member.rank(),
        process: entry.member.identity.load(),
        alive: segment.is_held(entry_byte(index)).unwrap_or(true),
        position,
        // Nothing was handed out yet, or what was is released.
        delivered: entry.delivered.load(Ordering::Relaxed).max(position),
    })
}

/// The entry of the consumer called `id`, if it gates.
pub(crate) fn find<E: Event>(memory: &Mapped<E>, id: &str) -> Option<usize> {
    let used = (memory.control().gate.high_water.load(Ordering::Acquire) as usize).min(memory.table_len());
    (0..used).find(|&index| memory.entry(index).status().gates() && memory.entry(index).member.id() == id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SharedDisruptorBuilder;
    use crate::segment::Place;

    #[test]
    fn what_was_handed_out_stays_marked_through_a_second_death() {
        let mut producer = SharedDisruptorBuilder::<u64>::new(Place::heap(), 8).build_producer(|| 0).unwrap();
        let memory = producer.core.memory().clone();
        let id = ConsumerId::chosen("w").unwrap();
        // A member that is dropped without leaving is one that was killed.
        let join = || join(&memory, &JoinRequest { id: &id, start: StartAt::Tail, rank: None }).unwrap();
        let hand_out = |member: Member, end| memory.entry(member.index).delivered.store(end, Ordering::Relaxed);

        let first = join();
        producer.publish_batch(4, |_, _| ()).unwrap();
        hand_out(first, 4);
        let second = join();
        assert_eq!((second.start, second.redelivered_until, second.redeliveries), (0, 4, 1));
        hand_out(second, 1);
        let third = join();
        assert_eq!((third.start, third.redelivered_until, third.redeliveries), (0, 4, 2));
    }
}
