//! What a consumer knows of its ring, of events or of records: its entry in the table and its counters. A wait borrows
//! this beside the waiter, which is the other half of `consumer_end`.

mod counters;
mod held;
mod lingering;

use super::error::ConsumeError;
use super::keeper::{Departure, Keeper, Standing};
use super::linger::Linger;
use super::pace::{Pace, part_of};
use crate::counters::EndCounters;
use crate::ring::membership::Member;
use crate::ring::memory::layout::{Carries, Slots};
use crate::ring::memory::mapped::Mapped;
use crate::ring::protocol::ending::Ending;
use crate::ring::protocol::form::{Form, SlotForm};
use crate::ring::protocol::memory::Memory;
use crate::ring::protocol::reader::Reader;
use crate::schema::Event;
use crate::segment::Segment;
use crate::sync::announce::Announce;
use crate::sync::bell::Ticket;
use crate::sync::primitive::Ordering;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) use counters::ConsumerCounters;
use held::Again;

/// A consumer's end without its waiter.
pub(super) struct ConsumerSide<S: Carries> {
    pub(super) core: Reader<Mapped<S>>,
    pub(super) counters: ConsumerCounters,
    pub(super) counters_of: EndCounters,
    /// `None` only during the drop.
    member: Option<Member>,
    pub(super) id: String,
    fork_epoch: u32,
    /// The fork epoch, if nothing is held and nothing is to be skipped; otherwise a value that this process cannot
    /// have. One comparison tells whether the next event is simply the next one, and its end our gate.
    plain_epoch: u32,
    /// Events before this position may have been handed out before.
    marked_until: i64,
    pub(super) keeper: Arc<Keeper<S>>,
    /// The message that is handed out again.
    again: Option<Again<S>>,
    pub(super) suspect: Option<(Ticket, Instant)>,
    pub(super) pace: Pace,
    linger: Linger,
    /// Events before this position are counted there.
    counted: i64,
    pub(super) parting: Parting,
    /// Whether a panic was under way when it was made, and at every slow look since: then that panic is not the one
    /// that drops it.
    pub(super) is_made_by_panic: bool,
}

/// What dropping a consumer does with its entry, if its program chose its id and it has not read up to *closed*.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Parting {
    /// Gives it up, except while a panic unwinds.
    Leaves,
    /// Keeps it.
    Keeps,
    /// Gives it up.
    LeavesAlways,
    /// Gives it up once everything that it was handed is released: it has its entry in the next ring. Keeps it if
    /// something comes back.
    GoesOver,
}

impl Parting {
    /// Whether the entry is kept by default.
    pub(super) fn keeps(self) -> bool {
        matches!(self, Self::Keeps | Self::GoesOver)
    }
}

impl<S: Carries> ConsumerSide<S> {
    pub(super) fn new(memory: Mapped<S>, member: Member, id: String, linger: Duration) -> Self {
        // Rejoining or not, this is the epoch of our time in the entry.
        let epoch = memory.entry(member.index).status().epoch;
        let counters_of = EndCounters::of_consumer(memory.segment(), member.index, epoch, &id);
        let counters = ConsumerCounters::of(&counters_of);
        if member.rejoined {
            counters.rejoins.inc();
        }
        let number = |position| memory.number_at(position);
        let marked_until = member.marks.until();
        let keeper = Keeper::new(memory.clone(), member.index, member.start, &counters);
        let (is_plain, released) = {
            let state = keeper.lock();
            (state.held.is_idle(), state.held.events_ahead() as i64)
        };
        counters.redelivered.add((number(marked_until) - number(member.start) - released).max(0) as u64);
        let mut core = Reader::new(memory, member.index, member.start, Announce::best());
        core.hand_out_singly_until(marked_until);
        let mut side = Self {
            core,
            counters,
            counters_of,
            member: Some(member),
            id,
            fork_epoch: crate::segment::fork_epoch(),
            plain_epoch: crate::segment::fork_epoch(),
            marked_until,
            keeper,
            again: None,
            suspect: None,
            pace: Pace::new(),
            linger: Linger::new(linger),
            counted: 0,
            parting: Parting::Leaves,
            is_made_by_panic: std::thread::panicking(),
        };
        if !is_plain {
            side.leave_gate();
        }
        side
    }

    /// What dropping this consumer does with its entry. No process comes back under an id that the library made.
    fn parting(&self) -> Parting {
        let entry = self.core.memory().entry(self.member().index);
        if entry.member.is_generated() { Parting::LeavesAlways } else { self.parting }
    }

    /// How this consumer leaves, now that it is dropped; `None` if it gives its entry up.
    fn ending(&mut self) -> Option<Ending> {
        let parting = self.parting();
        if parting == Parting::LeavesAlways {
            return None;
        }
        self.forget_again();
        let is_done = parting == Parting::GoesOver || self.core.is_finished();
        if is_done && self.keeper.standing() != Standing::Returned {
            return None;
        }
        if std::thread::panicking() && !self.is_made_by_panic {
            return Some(Ending::Panicked);
        }
        parting.keeps().then_some(Ending::Dropped)
    }

    #[inline(always)]
    pub(super) fn member(&self) -> &Member {
        self.member.as_ref().expect("a consumer has its entry until it is dropped")
    }

    /// How often the event at `position` was handed out before without being acknowledged, to this consumer or its
    /// predecessors.
    #[inline(always)]
    pub(super) fn redelivery_of(&self, position: i64) -> u32 {
        if position < self.marked_until { self.redelivery_of_marked(position) } else { 0 }
    }

    #[cold]
    #[inline(never)]
    fn redelivery_of_marked(&self, position: i64) -> u32 {
        let marked = self.member().marks.redeliveries(position);
        if self.is_plain() || self.is_forked() {
            return marked;
        }
        marked.saturating_add(self.keeper.lock().held.returns_at(position))
    }

    /// Whether this process is a child of the one that owns the handle.
    #[inline(always)]
    pub(super) fn is_forked(&self) -> bool {
        self.fork_epoch != crate::segment::fork_epoch()
    }

    /// Whether the next event is simply the next one, and its end our gate: this is no child of a fork, and nothing is
    /// held.
    #[inline(always)]
    pub(super) fn is_plain(&self) -> bool {
        self.plain_epoch == crate::segment::fork_epoch()
    }

    /// Makes this the end of a process that was killed.
    #[cfg(feature = "dst")]
    pub(super) fn abandon(&mut self) {
        // From now on this end is treated as in a child of a fork: it is a dead copy. The claim knows by itself that
        // the lock is ours.
        self.fork_epoch = self.fork_epoch.wrapping_sub(1);
        self.plain_epoch = self.fork_epoch;
        self.keeper.abandon();
    }

    /// Counts there from now on.
    pub(super) fn count_into(&mut self, counters_of: EndCounters) {
        self.counters = ConsumerCounters::of(&counters_of);
        self.counters_of = counters_of;
        if !self.is_forked() {
            self.keeper.lock().count_into(&self.counters);
        }
    }

    /// Whether there is an event now. Notes the lag when it had to look.
    #[inline(always)]
    pub(super) fn look(&mut self) -> bool {
        if self.is_plain() { self.look_plainly() } else { self.look_among_held() }
    }

    /// [`look`](Self::look) where nothing is held.
    #[inline(always)]
    pub(super) fn look_plainly(&mut self) -> bool {
        if self.core.next() < self.core.readable() {
            return true;
        }
        if !self.find() {
            return false;
        }
        // Found this often without a wait: it is a stream.
        if self.core.has_asked_cursor() {
            self.count_followed();
        }
        true
    }

    /// Looks where nothing is known to be readable. Notes the lag.
    #[inline(always)]
    fn find(&mut self) -> bool {
        if !self.core.look() {
            return false;
        }
        // The header after a record is on a line that the producer is still writing: a reader that follows closely does
        // not touch it.
        if !S::Form::NUMBERS_STAND_IN_LINES || self.core.has_asked_cursor() {
            self.note_lag();
        }
        true
    }

    /// Counts our lag, as far as we have looked.
    #[inline(always)]
    pub(super) fn note_lag(&mut self) {
        let memory = self.core.memory();
        let lag = memory.number_at(self.core.readable()) - self.core.number();
        self.counters.lag_max.record_max(lag.max(0) as u64);
    }

    /// Gives back everything before `position`, with its number of events and bytes. The last event begins at `last`.
    /// Gives nothing back while a panic unwinds, unless the panic was under way before. Gives nothing back in a child
    /// of a fork, which must not acknowledge its parent's events.
    #[inline(always)]
    pub(super) fn acknowledge(&mut self, position: i64, events: u64, bytes: u64, was_panicking: bool, last: i64) {
        if !was_panicking && std::thread::panicking() {
            return self.note_panic(position);
        }
        if !self.is_plain() {
            return self.acknowledge_among_held(position, events, bytes, last);
        }
        self.acknowledge_plainly(position, events, bytes, last);
    }

    /// [`acknowledge`](Self::acknowledge) for events of `each` bytes, each in a slot. What only the rare path needs is
    /// computed on that path.
    #[inline(always)]
    pub(super) fn acknowledge_slots(&mut self, position: i64, events: u64, each: u64, was_panicking: bool) {
        if !was_panicking && std::thread::panicking() {
            return self.note_panic(position);
        }
        if !self.is_plain() {
            return self.acknowledge_slots_among_held(position, events, each);
        }
        self.acknowledge_plainly(position, events, events * each, position - 1);
    }

    /// Gives back what a handler has gone through. A panic may be under way: these were handled before it. In a child
    /// of a fork they are the parent's.
    #[inline(always)]
    pub(super) fn acknowledge_handled(&mut self, position: i64, events: u64, bytes: u64, last: i64) {
        if !self.is_plain() {
            return self.acknowledge_among_held(position, events, bytes, last);
        }
        self.acknowledge_plainly(position, events, bytes, last);
    }

    /// The most that goes through a handler before it is acknowledged.
    #[inline(always)]
    pub(super) fn part(&self) -> i64 {
        part_of(self.core.memory().capacity())
    }

    #[inline(always)]
    fn acknowledge_plainly(&mut self, position: i64, events: u64, bytes: u64, last: i64) {
        self.core.give_back(position, events as i64, last);
        self.counters.consumed.add(events);
        self.counters.bytes.add(bytes);
    }

    /// Notes that a panic has taken everything before `delivered` from the application. It is handed out again, one
    /// event at a time.
    #[cold]
    #[inline(never)]
    pub(super) fn note_panic(&mut self, delivered: i64) {
        if self.is_forked() {
            return;
        }
        let begin = self.core.next();
        // Where the other messages in hand end: held messages, if there are any.
        let in_hand = self.again.as_ref().map_or(begin, |again| again.mark.next());
        let member = self.member.as_mut().expect("a consumer has its entry until it is dropped");
        member.note_panic(self.core.memory(), begin, delivered, in_hand);
        self.marked_until = self.marked_until.max(member.marks.until());
        if self.is_plain() {
            self.core.hand_out_singly_until(self.marked_until);
        }
    }

    /// Notes that nothing from `position` on was handed out of what was to be.
    #[cold]
    #[inline(never)]
    pub(super) fn note_not_handed(&self, position: i64) {
        if !self.is_forked() {
            self.core.deliver_to(position);
        }
    }

    /// Notes that the application gives back what it has in hand from `position` on, up to `delivered`.
    #[cold]
    pub(super) fn note_given_back(&mut self, position: i64, delivered: i64) {
        if position >= delivered || self.is_forked() {
            return;
        }
        // A message that is handed out again still counts as given back.
        match &self.again {
            Some(again) => self.core.deliver_to(again.mark.next()),
            None => self.member().note_given_back(self.core.memory(), position, delivered),
        }
    }

    /// If what is at our position was written by no producer, although it is before the published position: goes on
    /// after it, and reports it. `is_over`: nothing more will be published.
    pub(super) fn step_over_damage(&mut self, is_over: bool) -> Option<ConsumeError> {
        let skipped = self.core.step_over_damage(is_over)?;
        self.counters.damaged.add(skipped);
        Some(ConsumeError::Damaged { skipped })
    }

    /// Whether there is an event now. If so, the number of readable events is current.
    #[inline(always)]
    pub(super) fn look_for_all(&mut self) -> bool {
        // The lag is noted below. Noting it in `find` as well costs too much for slots. For records it costs nothing;
        // without it the compiler makes the loop over a batch three instructions longer per record.
        let is_there = match self.is_plain() {
            true if S::Form::NUMBERS_STAND_IN_LINES => self.core.next() < self.core.readable() || self.find(),
            true => true, // The next line looks for it.
            false => self.look_among_held(),
        };
        let found = is_there && self.core.look_for_all();
        if found {
            self.note_lag();
            self.count_found();
        }
        found
    }

    pub(crate) fn segment(&self) -> &Segment {
        self.core.memory().segment()
    }

    /// Data was found at the end of a slice. If the bell is still silent long after, the wake was lost.
    pub(super) fn judge_suspect(&mut self, now: Ticket) {
        if let Some((ticket, seen)) = self.suspect.take()
            && ticket == now
            && seen.elapsed() > Duration::from_millis(10)
            && self.core.memory().control().gate.closed.load(Ordering::Relaxed) == 0
        {
            self.counters.lost_wakeups.inc();
        }
    }
}

impl<E: Event, F: SlotForm> ConsumerSide<Slots<E, F>> {
    /// [`acknowledge_handled`](Self::acknowledge_handled) of the events before `position`, if there are any.
    #[inline(always)]
    pub(super) fn acknowledge_handled_slots(&mut self, position: i64) {
        let count = (position - self.core.next()) as u64;
        if count > 0 {
            self.acknowledge_handled(position, count, count * size_of::<E>() as u64, position - 1);
        }
    }
}

impl<S: Carries> Drop for ConsumerSide<S> {
    fn drop(&mut self) {
        // A child of a fork has no handles: what it inherited is its parent's.
        if self.is_forked() {
            return;
        }
        let (ending, parting) = (self.ending(), self.parting());
        let Some(member) = self.member.take() else { return };
        let departure = Departure { member, counters: self.counters_of.clone(), ending, parting };
        // As long as a message is held, the entry is kept.
        if let Some(departure) = self.keeper.depart(departure) {
            departure.finish(self.core.memory());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::ends::consumer_face::HasConsumer;
    use crate::{Patience, Place, attach_shared_consumer, build_shared_single_producer};

    #[test]
    fn a_message_that_is_given_back_while_its_consumer_goes_on_in_the_next_ring_keeps_the_place() {
        let place = Place::heap();
        let mut producer = build_shared_single_producer::<u64>(&place, 4).build_producer(|| 0).unwrap();
        let mut consumer = attach_shared_consumer::<u64>(&place, 4).with_consumer_id("a").build_consumer().unwrap();
        producer.publish(|event| *event = 7).unwrap();
        let held = consumer.next_held(Patience::Now).unwrap().unwrap();
        let side = &mut consumer.base_mut().0.side;
        side.parting = Parting::GoesOver;
        // What dropping it does, with another thread in between.
        let ending = side.ending();
        assert_eq!(ending, None, "nothing has come back yet");
        drop(held);
        let member = side.member.take().unwrap();
        let departure = Departure { member, counters: side.counters_of.clone(), ending, parting: side.parting };
        side.keeper.depart(departure).expect("nothing is held any more").finish(side.core.memory());
        // It has no entry any more.
        std::mem::forget(consumer);
        let mut back = attach_shared_consumer::<u64>(&place, 4).with_consumer_id("a").build_consumer().unwrap();
        let event = back.next(Patience::Now).unwrap().unwrap();
        assert_eq!((*event, event.is_redelivered()), (7, true));
    }
}
