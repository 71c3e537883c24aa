//! A consumer's entry in the table: taking it, coming back to it, leaving it.
//!
//! An entry belongs to the process that holds its lock byte. The kernel drops that lock when the process dies, so
//! nothing here rests on a clock. Consumers join one at a time, under the table's own lock byte: otherwise two could
//! join under one id without seeing each other.

use super::identity::ConsumerId;
use crate::liveness::ProcessIdentity;
use crate::ring::memory::layout::Carries;
use crate::ring::memory::mapped::Mapped;
use crate::ring::protocol::control::{Entry, State, Status};
use crate::ring::protocol::ending::Ending;
use crate::ring::protocol::join::{BeginningGone, StartAt, free, handshake};
use crate::ring::protocol::memory::Memory;
use crate::segment::{Claim, Fate, Segment};
use crate::step::{nap, step};
use crate::sync::primitive::Ordering;
use std::io;
use std::ops::Range;
use std::time::{Duration, Instant};

pub(crate) use crate::segment::PRODUCER as PRODUCER_BYTE;

/// How long a joiner waits for another that is in the middle of joining. That takes microseconds, unless the other
/// process is stopped there.
const JOIN_PATIENCE: Duration = Duration::from_secs(5);

/// How long an id may look taken, or the table full, because a process holds an entry's byte for a moment.
const TAKEN_PATIENCE: Duration = Duration::from_millis(50);

/// The lock byte of entry `index`.
pub(crate) fn entry_byte(index: usize) -> u32 {
    // In a table longer than any can be, this is the collector's byte.
    (index as u32).saturating_add(1)
}

/// Why a consumer could not join.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// A living process has this id. Choose another, or end that process first. It may be this process: a consumer
    /// keeps its id until its last held message is gone.
    #[error("consumer `{id}` is in use by process {pid}; choose another id, or end that process")]
    IdInUse {
        /// The id.
        id: String,
        /// The process that has it, as seen in its own pid namespace.
        pid: u32,
    },
    /// Every entry for such consumers is taken. Create the ring with more entries.
    #[error("all {table_len} entries for such consumer ids are in use; create the ring with more entries")]
    TableFull {
        /// How many entries there are for them.
        table_len: usize,
    },
    /// The ring keeps its entries for consumers whose id begins with its prefix, and those for others are taken. If
    /// this consumer is one of those, choose an id with that prefix; otherwise end one of the others.
    #[error(
        "consumer `{id}` finds no entry: this ring keeps its entries for ids that begin with `{prefix}`, and the {places} for others are in use; \
         end one of those, or choose an id that begins so if the ring is meant for this consumer"
    )]
    NoPlaceForOthers {
        /// The id.
        id: String,
        /// The prefix of the ids for which entries are kept.
        prefix: String,
        /// How many entries there are for others.
        places: usize,
    },
    /// Another consumer has been in the middle of joining for seconds: it is stopped. Let it go on (SIGCONT) or end it,
    /// and join again.
    #[error(
        "another consumer began to join seconds ago and has not finished; its process is probably stopped: let it go on or end it, and join \
         again"
    )]
    JoinInProgress,
    /// The ring no longer has its first event. Start at another one: see [`StartAt`](crate::StartAt).
    #[error(transparent)]
    BeginningGone(#[from] BeginningGone),
    /// The ring was replaced or removed while we joined. Attach again.
    #[error("the ring was replaced or removed; attach again")]
    Replaced,
    /// The entry under this id held a position that no consumer could have reached; it has been freed. Join again to
    /// begin with a new entry.
    #[error(
        "the entry of consumer `{id}` has position {position}, which was never published (published: {published}); the entry was freed: join again"
    )]
    PositionForged {
        /// The id.
        id: String,
        /// The position in the entry.
        position: i64,
        /// How much was published.
        published: i64,
    },
    /// The operating system refused a lock.
    #[error("locking an entry of the consumer table failed: {0}")]
    Os(io::Error),
}

impl From<io::Error> for JoinError {
    fn from(error: io::Error) -> Self {
        Self::Os(error)
    }
}

/// An entry in the table, held by its lock byte.
pub(crate) struct Member {
    pub(crate) index: usize,
    /// The first sequence to read.
    pub(crate) start: i64,
    /// What was handed out before, to predecessors that died.
    pub(crate) marks: Marks,
    /// Whether it continues where a dead consumer stopped.
    pub(crate) rejoined: bool,
    epoch: u64,
    claim: Claim,
}

/// Which events were handed out and not acknowledged, and how often, as far as is known. Indexed by position.
///
/// Of a batch that was in hand at a death, any event may have killed the process, so each counts once. They come again
/// one at a time, so at the next death one was in hand: the first that is not acknowledged. Only its count grows.
///
/// What the application gave back was handed out as well, so a successor finds it marked. But it caused no death, so it
/// is kept apart from what was in hand at one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    /// The event at which the last owner died.
    suspect: i64,
    /// How often that event was handed out.
    redeliveries: u32,
    /// Everything before this was in hand at a death.
    until: i64,
    /// Everything before this was handed out, and in hand or given back.
    given_back: i64,
}

impl Marks {
    /// What the entry says; its numbers are not checked.
    fn load(entry: &Entry) -> Self {
        Self {
            suspect: entry.member.redelivered_from.load(Ordering::Relaxed),
            redeliveries: entry.member.redeliveries.load(Ordering::Relaxed),
            until: entry.member.redelivered_until.load(Ordering::Relaxed),
            given_back: entry.member.given_back_until.load(Ordering::Relaxed),
        }
    }

    /// What was given back is not stored here: its word grows where it is given back. The caller holds the entry's lock
    /// byte. A process that is killed between these stores leaves the previous suspect, which the position has passed,
    /// with another count; or the same suspect with a count that is too high by one.
    fn store(self, entry: &Entry) {
        entry.member.redelivered_until.store(self.until, Ordering::Relaxed);
        entry.member.redeliveries.store(self.redeliveries, Ordering::Relaxed);
        entry.member.redelivered_from.store(self.suspect, Ordering::Relaxed);
    }

    /// Everything before this was handed out at least once.
    pub(crate) fn until(&self) -> i64 {
        self.until.max(self.given_back)
    }

    /// How often the event at `position` was handed out without being acknowledged, as far as is known.
    #[inline(always)]
    pub(crate) fn redeliveries(&self, position: i64) -> u32 {
        self.deaths(position).max((position < self.given_back).into())
    }

    /// How many deaths the event at `position` may have caused.
    #[inline(always)]
    fn deaths(&self, position: i64) -> u32 {
        match position < self.until {
            // The count is at least one: a process that was killed in `store` may have left the mark without the count.
            true if position == self.suspect => self.redeliveries.max(1),
            true => 1,
            false => 0,
        }
    }

    /// What is known when the owner has died or panicked. It was at `position` and had been handed everything before
    /// `delivered`.
    fn after_death(self, position: i64, delivered: i64) -> Self {
        let redeliveries = self.deaths(position).saturating_add((delivered > position).into());
        Self { suspect: position, redeliveries, until: self.until.max(delivered).max(position), ..self }
    }
}

/// What joining needs to know.
pub(crate) struct JoinRequest<'a> {
    pub(crate) id: &'a ConsumerId,
    pub(crate) start: StartAt,
    pub(crate) rank: Option<u32>,
}

/// Takes an entry in the table, or the entry of the dead consumer of the same id.
pub(crate) fn join<S: Carries>(memory: &Mapped<S>, request: &JoinRequest<'_>) -> Result<Member, JoinError> {
    let begin = Instant::now();
    loop {
        match join_now(memory, request) {
            // A process may hold the byte for a moment: a collector, or a consumer that has left and has not released
            // it yet.
            Err(JoinError::IdInUse { .. } | JoinError::TableFull { .. } | JoinError::NoPlaceForOthers { .. })
                if begin.elapsed() < TAKEN_PATIENCE => {}
            Err(JoinError::JoinInProgress) if begin.elapsed() < JOIN_PATIENCE => {}
            other => return other,
        }
        nap(Duration::from_millis(1));
    }
}

/// Takes the table's lock byte, under which consumers join: no other joins while it is held. Waits for one that is in
/// the middle of it.
pub(super) fn claim_table(segment: &Segment) -> Result<Claim, JoinError> {
    let begin = Instant::now();
    loop {
        match segment.claim(entry_byte(segment.header().table_len as usize))? {
            Some(claim) => return Ok(claim),
            None if begin.elapsed() < JOIN_PATIENCE => nap(Duration::from_millis(1)),
            None => return Err(JoinError::JoinInProgress),
        }
    }
}

fn join_now<S: Carries>(memory: &Mapped<S>, request: &JoinRequest<'_>) -> Result<Member, JoinError> {
    let segment = memory.segment();
    let table_byte = entry_byte(memory.table_len());
    let Some(_table) = segment.claim(table_byte)? else { return Err(JoinError::JoinInProgress) };
    step!(TableLocked);
    let fate = segment.fate();
    if fate == Fate::Removed {
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
        free(memory, index, 0);
        let_go(entry, claim);
    }
    // A consumer can come back to what it has not read of a replaced ring; the ring gets no other consumers.
    if fate != Fate::Live {
        return Err(JoinError::Replaced);
    }
    let places = places_for(memory, request.id.as_str());
    // Free entries first; only then those of dead consumers under ids that are not used again.
    for wanted in [Status::is_free, Status::is_taken] {
        for index in places.clone() {
            let entry = memory.entry(index);
            if !wanted(&entry.status()) || (entry.status().state == State::Active && !entry.member.is_generated()) {
                continue;
            }
            let Some(claim) = segment.claim(entry_byte(index))? else { continue };
            if entry.status().gates() {
                free(memory, index, 0);
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

/// The entries that a consumer called `id` may take.
fn places_for<S: Carries>(memory: &Mapped<S>, id: &str) -> Range<usize> {
    let header = memory.segment().header();
    places_of(header.places, header.table_len, &header.prefix, id)
}

/// The entries of a table that a consumer called `id` may take: those that are kept for ids with the ring's `prefix`,
/// or the others. In a ring without a prefix any id may take any entry, those that were asked for first.
pub(super) fn places_of(places: u32, table_len: u32, prefix: &str, id: &str) -> Range<usize> {
    let (places, table_len) = (places.min(table_len) as usize, table_len as usize);
    match prefix {
        "" => 0..table_len,
        prefix if id.starts_with(prefix) => 0..places,
        _ => places..table_len,
    }
}

/// Takes a free entry whose byte we hold.
fn enter<S: Carries>(
    memory: &Mapped<S>,
    index: usize,
    claim: Claim,
    request: &JoinRequest<'_>,
) -> Result<Member, JoinError> {
    step!(EntryLocked);
    let entry = memory.entry(index);
    entry.member.identity.store(ProcessIdentity::current());
    entry.member.set_id(request.id.as_str(), request.id.is_generated());
    entry.member.set_rank(request.rank);
    Marks::default().store(entry);
    entry.member.given_back_until.store(0, Ordering::Relaxed);
    entry.member.held_since_ns.store(0, Ordering::Relaxed);
    step!(EntryNamed);
    entry.clear_released();
    let start = match handshake(memory, index, request.start) {
        Ok(start) => start,
        Err(gone) => {
            let_go(entry, claim);
            return Err(gone.into());
        }
    };
    let epoch = entry.status().epoch;
    let marks = Marks { until: start, ..Marks::default() };
    Ok(Member { index, start, marks, rejoined: false, epoch, claim })
}

/// Continues where the dead owner stopped. The entry is active all the time, so it gates all the time.
fn rejoin<S: Carries>(
    memory: &Mapped<S>,
    index: usize,
    claim: Claim,
    request: &JoinRequest<'_>,
) -> Result<Member, JoinError> {
    let entry = memory.entry(index);
    let start = entry.position.load(Ordering::Acquire);
    let (end, _) = memory.published_end();
    // A live producer moves on between our look at the cursor and our looks at the stamps, so the end may come out too
    // low. What the dead owner had read was published in any case. No producer was allowed to overwrite what that owner
    // had not released.
    let kept_from = memory.control().gate.claim_limit_at_least().saturating_sub(memory.capacity());
    let is_believed = start >= kept_from
        && start.saturating_sub(end).saturating_abs() <= memory.capacity()
        && memory.may_have_been_reached(start);
    let published = end.max(start);
    if !is_believed {
        free(memory, index, 0);
        let_go(entry, claim);
        return Err(JoinError::PositionForged { id: request.id.as_str().to_owned(), position: start, published });
    }
    // The first consumer under this id in this ring is no successor.
    let rejoined = entry.ending(entry.status()) != Some(Ending::Awaited);
    let left = Marks::load(entry);
    let delivered = entry.delivered.load(Ordering::Relaxed).clamp(start, published);
    let (until, given_back) = (left.until.min(published), left.given_back.min(published));
    let marks = Marks { until, given_back, ..left }.after_death(start, delivered);
    entry.next_epoch();
    step!(RejoinEpoch);
    marks.store(entry);
    step!(RejoinMarked);
    // Nothing is in hand yet. Stored after the marks, which keep what the dead owner had in hand. It must stay visible
    // that something was handed out.
    entry.delivered.fetch_min(start, Ordering::Relaxed);
    step!(RejoinDelivered);
    entry.member.identity.store(ProcessIdentity::current());
    entry.member.set_rank(request.rank);
    step!(RejoinIdentity);
    let epoch = entry.status().epoch;
    Ok(Member { index, start, marks, rejoined, epoch, claim })
}

impl Member {
    /// Notes that a panic has taken the events before `delivered` out of the application's hands. They begin at
    /// `position`. None of them is in hand any more, so they do not cause a later death. Other events in hand end at
    /// `in_hand`.
    pub(crate) fn note_panic<S: Carries>(&mut self, memory: &Mapped<S>, position: i64, delivered: i64, in_hand: i64) {
        self.marks = self.marks.after_death(position, delivered);
        let entry = memory.entry(self.index);
        self.marks.store(entry);
        entry.delivered.store(in_hand, Ordering::Relaxed);
    }

    /// Notes that the application has given back what it was handed from `position` up to `delivered`. None of it is in
    /// hand any more, so it does not cause a later death. But it was handed out: a successor finds it marked.
    pub(crate) fn note_given_back<S: Carries>(&self, memory: &Mapped<S>, position: i64, delivered: i64) {
        let entry = memory.entry(self.index);
        entry.member.given_back_until.fetch_max(delivered, Ordering::Relaxed);
        entry.delivered.store(position, Ordering::Relaxed);
    }

    /// Gives the entry up, and wakes the producer, which may wait for it.
    pub(crate) fn leave<S: Carries>(self, memory: &Mapped<S>) {
        free(memory, self.index, self.epoch);
        let_go(memory.entry(self.index), self.claim);
        step!(LeaveWoken);
    }

    /// Releases the lock of the entry and keeps the entry: it gates on, for a successor under the same id. Stores how
    /// it went.
    pub(crate) fn keep<S: Carries>(self, memory: &Mapped<S>, ending: Ending) {
        let entry = memory.entry(self.index);
        entry.set_ending(self.epoch, ending);
        step!(EndingStored);
        memory.control().gate.count_departure();
        step!(EndingCounted);
        let_go(entry, self.claim);
    }
}

/// Gives the lock byte of an entry back, and then wakes the producer, which may wait for it. In this order: the free
/// lock shows the producer that the owner is gone. The entry may be a successor's by now; one more ring of its bell
/// does no harm.
fn let_go(entry: &Entry, claim: Claim) {
    drop(claim);
    step!(EntryUnlocked);
    entry.writer.ring();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SharedDisruptorBuilder;
    use crate::ring::ends::producer_face::HasProducer;
    use crate::segment::Place;

    #[test]
    fn what_was_handed_out_stays_marked_through_a_second_death() {
        let mut producer = SharedDisruptorBuilder::<u64>::new(Place::heap(), 8).build_producer(|| 0).unwrap();
        let memory = producer.base().memory().clone();
        let id = ConsumerId::chosen("w").unwrap();
        // A member that is dropped without leaving counts as killed.
        let join = || join(&memory, &JoinRequest { id: &id, start: StartAt::Tail, rank: None }).unwrap();
        let hand_out = |member: Member, end| memory.entry(member.index).delivered.store(end, Ordering::Relaxed);

        let counts = |member: &Member| std::array::from_fn(|position| member.marks.redeliveries(position as i64));
        let first = join();
        producer.publish_batch(4, |_, _| ()).unwrap();
        hand_out(first, 4);
        let second = join();
        assert_eq!((second.start, counts(&second)), (0, [1, 1, 1, 1, 0]));
        hand_out(second, 1);
        let third = join();
        assert_eq!((third.start, counts(&third)), (0, [2, 1, 1, 1, 0]));
    }

    #[test]
    fn after_one_death_no_event_of_the_batch_counts_more_than_another_although_all_were_given_back_before() {
        let mut producer = SharedDisruptorBuilder::<u64>::new(Place::heap(), 16).build_producer(|| 0).unwrap();
        let memory = producer.base().memory().clone();
        let id = ConsumerId::chosen("w").unwrap();
        let join = || join(&memory, &JoinRequest { id: &id, start: StartAt::Tail, rank: None }).unwrap();
        let counts =
            |member: &Member| std::array::from_fn(|index| member.marks.redeliveries(member.start + index as i64));
        let first = join();
        producer.publish_batch(10, |_, _| ()).unwrap();
        let entry = memory.entry(first.index);
        // Of a batch of ten, three are acknowledged and seven given back; of these six are handed out again.
        entry.position.store(3, Ordering::Release);
        entry.delivered.store(10, Ordering::Relaxed);
        first.note_given_back(&memory, 3, 10);
        entry.delivered.store(9, Ordering::Relaxed);
        drop(first);
        let mut second = join();
        assert_eq!(counts(&second), [1, 1, 1, 1, 1, 1, 1, 0]);
        assert_eq!(second.marks.until(), 10, "what was given back comes one at a time as well");
        // A panic in event 4 takes no mark from those that were given back.
        entry.position.store(4, Ordering::Release);
        second.note_panic(&memory, 4, 5, 4);
        drop(second);
        assert_eq!(counts(&join()), [2, 1, 1, 1, 1, 1, 0, 0]);
    }

    #[test]
    fn a_death_that_comes_after_events_were_given_back_is_not_their_doing() {
        let mut marks = Marks { given_back: 3, ..Marks::default() };
        for _ in 0..3 {
            marks = marks.after_death(0, 0);
            assert_eq!([0, 1, 2, 3].map(|position| marks.redeliveries(position)), [1, 1, 1, 0]);
        }
        marks = marks.after_death(1, 2).after_death(1, 2);
        assert_eq!([1, 2, 3].map(|position| marks.redeliveries(position)), [2, 1, 0]);
    }
}
