//! What every producer knows of its ring, whatever lies in it: its consumers, their deaths, its counters, its end.
//!
//! **Lives here:** [`ProducerEnd`]. The wait of a full ring is in `room`, managed publishing in `managed`. **Builds on:** `sequencer` for
//! the algorithm. **May touch it:** the producers of events and of records, which are one of these each.

use super::control::{ABANDONED, CLOSED, Status};
use super::error::{NoRoom, PublishError};
use super::layout::Carries;
use super::managed::Management;
use super::mapped::Mapped;
use super::membership::{self, ConsumerInfo, Fallen};
use super::memory::Memory;
use super::patience::Patience;
use super::room::{Blocked, Target, Watch};
use super::selection::Selection;
use super::sequencer::{Scan, Sequencer};
use crate::Sequence;
use crate::counters::{CounterHandle, CountersFile, EndCounters, ids};
use crate::liveness::monitor::Monitor;
use crate::liveness::{NextStep, StallReport, WaitingFor};
use crate::segment::{Claim, Segment, Spare};
use crate::step;
use crate::sync::primitive::Ordering;
use crate::sync::wait::{WaitStrategy, Waiter, deadline_in};
use std::time::{Duration, Instant};

/// How a producer came to its ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// There was nothing under the name.
    Created,
    /// The last producer was dead and live consumers were there: the ring goes on, for them, behind the last published event.
    TookOver,
    /// The last producer was dead and nobody alive was there: a new ring stands in place of the old one.
    Replaced,
}

/// What a producer knows of its ring beside what it writes: [`SharedProducer`](crate::SharedProducer) and
/// [`RecordProducer`](crate::RecordProducer) are one, and lend it.
///
/// Sequences here are those that users see: numbers of events, or of records.
pub struct ProducerEnd<S: Carries> {
    pub(super) core: Sequencer<Mapped<S>>,
    pub(super) waiter: Waiter,
    pub(super) counters: ProducerCounters,
    counters_of: EndCounters,
    pub(super) monitor: Option<Monitor>,
    pub(super) management: Management,
    pub(super) selection: Selection,
    pub(super) course: S::Course,
    origin: Origin,
    /// What there was to overwrite when nobody was registered any more.
    alone: Option<Alone>,
    /// When a call that does not wait last looked at its peers.
    last_examined: Option<Instant>,
    /// For how much there was no room, and at which position: what a report is about, until something is published.
    unmet: (i64, usize),
    fork_epoch: u32,
    /// Whether a panic was under way when it was made: then it is not one that drops it.
    is_made_by_panic: bool,
    /// Whether the ring is to be left as it was found.
    is_given_back: bool,
    /// Takes the dead out of the table, also when this process has no descriptor left.
    spare: Spare,
    /// Held as long as we live; the kernel drops it when we die.
    _claim: Claim,
}

/// A time in which no consumer is registered.
#[derive(Default)]
struct Alone {
    /// Events before this sequence were for a consumer to read, or have been counted.
    counted_to: Sequence,
}

/// The producer's counters. See [`crate::counters::ids`].
pub(super) struct ProducerCounters {
    pub(super) published: CounterHandle,
    pub(super) bytes: CounterHandle,
    pub(super) full: CounterHandle,
    pub(super) parks: CounterHandle,
    pub(super) unparks: CounterHandle,
    pub(super) lost_wakeups: CounterHandle,
    pub(super) stalls: CounterHandle,
    pub(super) freed: CounterHandle,
    pub(super) evicted: CounterHandle,
    pub(super) forged: CounterHandle,
    pub(super) overwritten_unread: CounterHandle,
}

impl ProducerCounters {
    pub(super) fn of(counters: &EndCounters) -> Self {
        Self {
            published: counters.counter(ids::EVENTS_PUBLISHED),
            bytes: counters.counter(ids::EVENTS_PUBLISHED_BYTES),
            full: counters.counter(ids::PRODUCER_FULL_EVENTS),
            parks: counters.counter(ids::PRODUCER_PARK_COUNT),
            unparks: counters.counter(ids::PRODUCER_UNPARK_COUNT),
            lost_wakeups: counters.counter(ids::PRODUCER_LOST_WAKEUPS),
            stalls: counters.counter(ids::PRODUCER_STALLS),
            freed: counters.counter(ids::DEAD_CONSUMERS_FREED),
            evicted: counters.counter(ids::CONSUMERS_EVICTED),
            forged: counters.counter(ids::FORGED_CURSORS),
            overwritten_unread: counters.counter(ids::OVERWRITTEN_UNREAD),
        }
    }
}

/// How often a wait for consumers to join looks at the table.
pub(super) const JOIN_POLL: Duration = Duration::from_millis(1);

/// The longest pause between two such looks, whatever interval was asked for: a look costs microseconds.
const JOIN_POLL_MAX: Duration = Duration::from_secs(1);

/// How often a call that does not wait looks at its peers while the ring is full.
const TRY_EXAMINE_INTERVAL: Duration = Duration::from_millis(10);

impl<S: Carries> ProducerEnd<S> {
    pub(crate) fn new(
        core: Sequencer<Mapped<S>>,
        claim: Claim,
        spare: Spare,
        origin: Origin,
        strategy: WaitStrategy,
        selection: Selection,
    ) -> Self {
        let reign = core.memory().control().producer.reign.load(Ordering::Relaxed);
        let counters_of = EndCounters::of_producer(core.memory().segment(), reign);
        match origin {
            Origin::Created => {}
            Origin::TookOver => counters_of.counter(ids::TAKE_OVERS).inc(),
            Origin::Replaced => counters_of.counter(ids::REPLACEMENTS).inc(),
        }
        let counters = ProducerCounters::of(&counters_of);
        let (position, capacity) = (core.next(), core.memory().capacity());
        Self {
            course: S::course(position, core.memory().number_at(position), capacity),
            core,
            waiter: Waiter::new(strategy),
            counters,
            counters_of,
            monitor: None,
            management: Management::default(),
            selection,
            origin,
            alone: (origin != Origin::TookOver).then_some(Alone::default()),
            last_examined: None,
            unmet: (-1, 0),
            fork_epoch: crate::segment::fork_epoch(),
            is_made_by_panic: std::thread::panicking(),
            is_given_back: false,
            spare,
            _claim: claim,
        }
    }

    #[inline(always)]
    pub(super) fn must_look(&self, count: usize) -> bool {
        assert!(count > 0, "a batch has at least one event");
        // The second half costs one load of a static: a child of a fork must never write beside its parent.
        count > i64::MAX as usize || !self.core.has_room(count as i64) || self.is_forked()
    }

    /// The same for a managed call, which looks more often: also at the consumers that must be there.
    #[inline(always)]
    pub(super) fn must_look_managed(&self, count: usize) -> bool {
        assert!(count > 0, "a batch has at least one event");
        count > i64::MAX as usize || !self.core.has_watched_room(count as i64) || self.is_forked()
    }

    #[inline(always)]
    pub(super) fn is_forked(&self) -> bool {
        crate::segment::fork_epoch() != self.fork_epoch
    }

    /// Whether a call with this `patience` that needs `count` slots (of a ring of records: lines) would go on at once: so many are free, and
    /// a managed call has no consumer to wait for and no death to act on. If this is `true`, the slots stay free until something is published.
    #[inline]
    pub fn has_room_now(&mut self, count: usize, patience: Patience) -> bool {
        let is_managed = matches!(patience, Patience::Managed | Patience::ManagedUntil(_));
        (!is_managed || self.is_settled()) && (!self.must_look(count) || self.looks_for_room(count))
    }

    #[cold]
    #[inline(never)]
    fn looks_for_room(&mut self, count: usize) -> bool {
        if self.is_forked() || count > self.capacity() {
            return false;
        }
        self.rescan_for(count);
        let has_room = self.core.has_room(count as i64);
        if !has_room {
            self.unmet = (self.core.next(), count);
        }
        has_room
    }

    /// One look at everybody, for a call that does not wait.
    #[cold]
    #[inline(never)]
    pub(super) fn find_room(&mut self, count: usize) -> bool {
        if self.is_forked() {
            return false;
        }
        // Also for a batch that never fits, so that what is said to be missing is not an old answer.
        let scan = self.rescan_for(count);
        if count as u64 > self.core.memory().capacity() as u64 {
            return false;
        }
        if self.core.has_room(count as i64) {
            return true;
        }
        self.note_unmet(count);
        let now = Instant::now();
        if self.last_examined.is_none_or(|last| now - last >= TRY_EXAMINE_INTERVAL) {
            self.last_examined = Some(now);
            self.lift_sentinel_if_complete();
            if let Some(index) = scan.slowest {
                // The answer is *full* whatever the kernel says; calls that wait tell its errors.
                let _ = self.bury(index);
            }
            self.rescan_for(count);
        }
        self.core.has_room(count as i64)
    }

    /// There is no room for `count`.
    pub(super) fn note_unmet(&mut self, count: usize) {
        self.counters.full.inc();
        self.unmet = (self.core.next(), count);
    }

    /// The room that the last call did not get, if nothing was published since.
    pub(super) fn unmet(&self) -> Option<usize> {
        (self.unmet.0 == self.core.next()).then_some(self.unmet.1)
    }

    /// A rescan of the gates, with what it teaches the counters.
    pub(super) fn rescan(&mut self) -> Scan {
        self.rescan_for(1)
    }

    /// [`rescan`](Self::rescan) for a write of `wanted` events, or lines.
    pub(super) fn rescan_for(&mut self, wanted: usize) -> Scan {
        let scan = self.core.rescan_for(i64::try_from(wanted).unwrap_or(i64::MAX));
        let forged = self.core.take_forged();
        if forged > 0 {
            self.counters.forged.add(forged);
        }
        self.count_unread(scan.slowest.is_none() && !self.core.has_sentinel());
        scan
    }

    /// Counts what was given up to be overwritten while no consumer was registered. Events from before that time were for those who were.
    fn count_unread(&mut self, is_alone: bool) {
        if !is_alone {
            self.alone = None;
            return;
        }
        let (memory, number) = (self.core.memory(), self.next_number());
        let given_up = memory.number_at(memory.noted_begin_from(self.core.given_up_to(), self.core.next()));
        let alone = self.alone.get_or_insert(Alone { counted_to: number });
        if given_up > alone.counted_to {
            self.counters.overwritten_unread.add((given_up - alone.counted_to) as u64);
            alone.counted_to = given_up;
        }
    }

    /// Looks whether the owner of the entry has gone, and frees the entry if nobody can come back for it.
    ///
    /// # Errors
    /// The kernel refused to say, or to lock the entry. Nothing is concluded then.
    pub(super) fn bury(&mut self, index: usize) -> std::io::Result<Fallen> {
        let gating = self.core.gating_epoch(index);
        let fallen = membership::bury(self.core.memory(), index, gating, &mut self.spare)?;
        if let Fallen::Freed(_) = &fallen {
            self.counters.freed.inc();
        }
        Ok(fallen)
    }

    /// Takes the owner of entry `index` that was `seen` out of the table, if it has gone.
    pub(super) fn evict(&mut self, index: usize, seen: Status) -> std::io::Result<bool> {
        let gating = self.core.gating_epoch(index);
        let evicted = membership::evict(self.core.memory(), index, seen, gating, &mut self.spare)?;
        if evicted {
            self.counters.evicted.inc();
        }
        Ok(evicted)
    }

    /// How many of the expected consumers have joined. One that has gone and whose place is kept counts: it gates by itself.
    pub(super) fn joined(&self) -> usize {
        let has_joined = |consumer: &&ConsumerInfo| {
            (consumer.alive || !consumer.id_is_generated) && self.selection.selects(&consumer.id)
        };
        self.consumers().iter().filter(has_joined).count()
    }

    fn is_complete(&self) -> bool {
        self.joined() >= self.selection.expected_consumers
    }

    /// Lets go of the start-up buffer once the consumers that it waits for have joined.
    pub(super) fn lift_sentinel_if_complete(&mut self) -> bool {
        let complete = self.core.has_sentinel() && self.is_complete();
        if complete {
            self.core.lift_sentinel();
        }
        complete
    }

    /// Makes this handle one of a process that was killed just now: it does nothing any more, and dropping it gives back the lock that the
    /// kernel would give back, and leaves everything else as it is. For simulations.
    #[cfg(feature = "dst")]
    #[doc(hidden)]
    pub fn abandon(&mut self) {
        // As for a child of a fork, whose handles are dead copies; that the lock is ours, its claim knows by itself.
        self.fork_epoch = self.fork_epoch.wrapping_sub(1);
    }

    /// How this producer came to its ring.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The sequence of the last published event; -1 if there is none.
    pub fn last_published_sequence(&self) -> Sequence {
        self.next_number() - 1
    }

    /// The sequence of the next event.
    pub(super) fn next_number(&self) -> Sequence {
        self.core.memory().number_at(self.core.next())
    }

    /// Number of slots; of a ring of records, of its lines of 64 bytes.
    pub fn capacity(&self) -> usize {
        self.core.memory().capacity() as usize
    }

    /// Whether every consumer that is registered now has released event `sequence`, and none is expected that the start-up buffer holds it for. If
    /// this is `true`, it stays `true` for them; one that joins later at the oldest event may still lag.
    pub fn is_consumed(&self, sequence: Sequence) -> bool {
        sequence < self.next_number()
            && (!self.core.has_sentinel() || self.is_complete())
            && (0..self.core.memory().table_len())
                .filter(|&index| self.core.gates(index))
                .all(|index| membership::describe(self.core.memory(), index).position > sequence)
    }

    /// Waits until every registered consumer has released event `sequence`, and those for whom the start-up buffer holds it have joined.
    ///
    /// # Errors
    /// `TimedOut` and `ConsumerDied` name the consumer; `NotPublished` at once for an event that is not there yet; see [`PublishError`].
    pub fn wait_until_consumed(&mut self, sequence: Sequence, deadline: Instant) -> Result<(), PublishError> {
        // Only this producer could publish it, and it waits.
        let last = self.last_published_sequence();
        if sequence > last && !self.is_forked() {
            return Err(PublishError::NotPublished { sequence, last });
        }
        self.wait_for(Target::Consumed(sequence), Some(deadline), Watch::Unwatched)
            .map_err(|blocked| self.publish_error(blocked))
    }

    /// The last sequence that consumer `id` has released (-1: none), or `None` if nobody is registered under that id.
    pub fn consumer_sequence(&self, id: &str) -> Option<Sequence> {
        let memory = self.core.memory();
        let index = membership::find(memory, id)?;
        Some(membership::info(memory, index)?.position.saturating_sub(1))
    }

    /// Waits until consumer `id` has joined and lives; `false` if it has not within `timeout`. [`Duration::ZERO`] looks once,
    /// [`Duration::MAX`] waits without end.
    pub fn wait_for_consumer_id(&self, id: &str, timeout: Duration) -> bool {
        self.poll_until(deadline_in(timeout), JOIN_POLL, || self.is_joined(id))
    }

    pub(super) fn is_joined(&self, id: &str) -> bool {
        let memory = self.core.memory();
        membership::find(memory, id).and_then(|index| membership::info(memory, index)).is_some_and(|info| info.alive)
    }

    /// Looks every `interval` until `deadline`, if there is one. Joining is rare and takes milliseconds: no process needs to be woken for it.
    pub(crate) fn poll_until(&self, deadline: Option<Instant>, interval: Duration, is_done: impl Fn() -> bool) -> bool {
        while !is_done() {
            let left = deadline.map_or(JOIN_POLL_MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return false;
            }
            std::thread::sleep(interval.min(left).min(JOIN_POLL_MAX));
        }
        true
    }

    /// How many live consumers are registered, of those that [`DiscoveryMode`](crate::DiscoveryMode) selects.
    pub fn get_consumer_count(&self) -> usize {
        self.consumers().iter().filter(|consumer| consumer.alive && self.selection.selects(&consumer.id)).count()
    }

    /// Everybody in the table, alive or dead.
    pub fn consumers(&self) -> Vec<ConsumerInfo> {
        membership::roster(self.core.memory())
    }

    /// The consumers without an owner, one look at the kernel's locks per consumer; [`ending`](ConsumerInfo::ending) says how each went. Those
    /// to whom nobody can come back are cleared away. For loops that do not publish: who publishes into a full ring is told anyway.
    pub fn check_peers(&mut self) -> Vec<ConsumerInfo> {
        let gone: Vec<_> = self.consumers().into_iter().filter(|consumer| !consumer.alive).collect();
        for consumer in &gone {
            if let Some(index) = membership::find(self.core.memory(), &consumer.id) {
                // One that cannot be cleared away now is named again by the next call.
                let _ = self.bury(index);
            }
        }
        gone
    }

    /// Takes a consumer *without an owner* out of the table: its unread events are lost to it, and the id is free. `false` if nobody is
    /// registered under that id, or its owner is there: a live consumer, however slow, may be reading a slot. A required consumer stays
    /// required: managed calls go on once it has joined again.
    ///
    /// # Errors
    /// The operating system refused the lock.
    pub fn evict_consumer(&mut self, id: &str) -> std::io::Result<bool> {
        match membership::find(self.core.memory(), id) {
            Some(index) => self.evict(index, self.core.entry(index).status()),
            None => Ok(false),
        }
    }

    /// What the producer waits for: a consumer and what that is doing, the start-up buffer, a required consumer that is not there (while
    /// managed calls wait for it, or are refused), a reset after a shutdown, or nothing. It is asked
    /// about the room that the last call did not get, or, if something was published since, about one event.
    pub fn stall_report(&mut self) -> StallReport {
        let wanted = self.unmet().unwrap_or(1);
        let scan = self.rescan_for(wanted);
        let hindrance = self.hindrance(Target::Room(wanted), scan);
        let report = self.report(hindrance, Duration::ZERO, NextStep::KeepWaiting);
        match report.waiting_for {
            WaitingFor::Nothing => self.report_on_required().unwrap_or(report),
            _ => report,
        }
    }

    /// Counts into `file` from now on, instead of into the table in the ring's own segment. However many ends count into one file, and
    /// whatever they are called, no two share a counter.
    pub fn attach_counters(&mut self, file: &CountersFile) {
        self.counters_of = EndCounters::of_attached_producer(file, self.segment().place().to_string());
        self.counters = ProducerCounters::of(&self.counters_of);
    }

    /// The counter `id` of this producer, for the layers above. Not to be kept longer than the producer: its place is another's then.
    #[doc(hidden)]
    pub fn counter(&self, id: u32) -> CounterHandle {
        self.counters_of.counter(id)
    }

    /// The counters that live in the ring's segment.
    pub fn ring_counters(&self) -> CountersFile {
        CountersFile::of_ring(self.core.memory().segment())
    }

    /// The segment's own facts: name, sizes, creator, generation.
    pub(crate) fn segment(&self) -> &Segment {
        self.core.memory().segment()
    }

    /// A descriptor of the ring's segment, to hand to another process. This is how a ring in a memfd is attached to.
    ///
    /// # Errors
    /// The operating system refused to duplicate it, or the ring is on the heap.
    pub fn try_clone_fd(&self) -> std::io::Result<std::os::fd::OwnedFd> {
        self.segment().try_clone_fd()
    }

    /// Takes the ring's name away: no process finds it any more, and those that are in it go on. For a producer that shall leave nothing, however
    /// it goes: one that a panic drops keeps the name for a successor.
    ///
    /// # Errors
    /// The operating system refused. `false`: the name belongs to another ring by now.
    pub fn remove_name(&self) -> std::io::Result<bool> {
        self.segment().unlink_if_same()
    }

    /// Drops the end of a producer that could not start. A ring that it has taken over is left for the next one, as it was found; of one that
    /// it has made, nothing is left.
    pub(crate) fn give_back(mut self) {
        self.is_given_back = self.origin == Origin::TookOver;
    }

    pub(super) fn publish_error(&mut self, blocked: Blocked) -> PublishError {
        match blocked {
            Blocked::Forked => PublishError::Forked,
            Blocked::Replaced => PublishError::Replaced,
            Blocked::Died { id, pid, how, report, .. } => PublishError::ConsumerDied { id, pid, how, report },
            Blocked::TimedOut { report } => PublishError::TimedOut { report },
            Blocked::TooLarge { count, capacity } => PublishError::TooLarge { count, capacity },
            Blocked::Os { report } => PublishError::Os { report },
            Blocked::Closed => PublishError::Closed,
            Blocked::Gone | Blocked::Shut { .. } => unreachable!("only a watched wait ends so"),
        }
    }

    /// Room for `count` events, or for as many lines of records, with whatever patience there is.
    #[inline(always)]
    pub(super) fn make_room(&mut self, count: usize, patience: Patience) -> Result<(), NoRoom> {
        let deadline = match patience {
            Patience::Managed => return Ok(self.enter_managed(count, None)?),
            Patience::ManagedUntil(deadline) => return Ok(self.enter_managed(count, Some(deadline))?),
            _ if !self.must_look(count) => return Ok(()),
            Patience::Now if self.find_room(count) => return Ok(()),
            Patience::Now => return Err(NoRoom::Full),
            Patience::Endless => None,
            Patience::Until(deadline) => Some(deadline),
        };
        Ok(self.wait_for_room(count, deadline)?)
    }

    #[cold]
    #[inline(never)]
    pub(super) fn wait_for_room(&mut self, count: usize, deadline: Option<Instant>) -> Result<(), PublishError> {
        self.wait_for(Target::Room(count), deadline, Watch::Unwatched).map_err(|blocked| self.publish_error(blocked))
    }
}

impl<S: Carries> Drop for ProducerEnd<S> {
    fn drop(&mut self) {
        // A child of a fork has no handles: what it inherited is its parent's.
        if self.is_forked() || self.is_given_back {
            return;
        }
        let is_abandoned = std::thread::panicking() && !self.is_made_by_panic;
        self.core.close(if is_abandoned { ABANDONED } else { CLOSED });
        step!(CloseWoken);
        // A producer that a panic has dropped has not closed its ring. It stays for the next one, as after a kill, if a consumer lives in it or
        // has kept a place in it.
        if is_abandoned && self.consumers().iter().any(|consumer| consumer.alive || !consumer.id_is_generated) {
            return;
        }
        // If the name cannot be removed now (a directory that became read-only, say), a collector does it later: nobody lives in it.
        let _ = self.segment().unlink_if_same();
        step!(CloseUnlinked);
        if is_abandoned {
            // Taps wait for the next producer of a ring that was not closed. There will be none.
            self.segment().mark_removed();
        }
    }
}
