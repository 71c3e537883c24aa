//! What every consumer knows of its ring, whatever lies in it: its place in the table, its waits, its producer, its counters.
//!
//! **Lives here:** [`ConsumerEnd`] and its waits. **Builds on:** `reader` for the algorithm, `membership` for its place in the table.
//! **May touch it:** the consumers of events and of records, which are one of these each.

use super::ending::Ending;
use super::error::ConsumeError;
use super::form::Form;
use super::layout::Carries;
use super::mapped::Mapped;
use super::membership::{Member, PRODUCER_BYTE};
use super::memory::Memory;
use super::pace::Pace;
use super::reader::Reader;
use crate::Sequence;
use crate::counters::{CounterHandle, CountersFile, EndCounters, ids};
use crate::liveness::{Culprit, NextStep, RefusedCall, StallReport, WaitingFor};
use crate::segment::{Fate, Segment};
use crate::sync::announce::Announce;
use crate::sync::bell::{Ticket, Woken};
use crate::sync::primitive::Ordering;
use crate::sync::wait::{Awaited, SLICE_WITHOUT_BARRIER, WaitEnd, WaitStrategy, Waiter, spin_first};
use std::time::{Duration, Instant};

/// What a consumer knows of its ring beside what it reads: [`SharedConsumer`](crate::SharedConsumer) and
/// [`RecordConsumer`](crate::RecordConsumer) are one, and lend it.
///
/// Sequences here are those that users see: numbers of events, or of records.
pub struct ConsumerEnd<S: Carries> {
    pub(super) core: Reader<Mapped<S>>,
    waiter: Waiter,
    pub(super) counters: ConsumerCounters,
    counters_of: EndCounters,
    /// `None` only while it is dropped.
    member: Option<Member>,
    id: String,
    fork_epoch: u32,
    suspect: Option<(Ticket, Instant)>,
    pub(super) pace: Pace,
    parting: Parting,
    /// Whether a panic was under way when it was made, and has been at every slow look since: then it is not one that drops it.
    is_made_by_panic: bool,
}

/// What dropping a consumer does with its place, if it has an id that its program chose and has not read up to *closed*.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Parting {
    /// Gives it up, except while a panic unwinds.
    Leaves,
    /// Keeps it.
    Keeps,
    /// Gives it up.
    LeavesAlways,
}

/// The consumer's counters. See [`crate::counters::ids`].
pub(super) struct ConsumerCounters {
    pub(super) consumed: CounterHandle,
    pub(super) bytes: CounterHandle,
    pub(super) spins: CounterHandle,
    pub(super) parks: CounterHandle,
    pub(super) unparks: CounterHandle,
    pub(super) lag_max: CounterHandle,
    pub(super) lost_wakeups: CounterHandle,
    pub(super) rejoins: CounterHandle,
    pub(super) redelivered: CounterHandle,
    damaged: CounterHandle,
}

impl ConsumerCounters {
    fn of(counters: &EndCounters) -> Self {
        Self {
            consumed: counters.counter(ids::EVENTS_CONSUMED),
            bytes: counters.counter(ids::EVENTS_CONSUMED_BYTES),
            spins: counters.counter(ids::CONSUMER_EMPTY_SPINS),
            parks: counters.counter(ids::CONSUMER_PARK_COUNT),
            unparks: counters.counter(ids::CONSUMER_UNPARK_COUNT),
            lag_max: counters.counter(ids::CONSUMER_LAG_MAX),
            lost_wakeups: counters.counter(ids::CONSUMER_LOST_WAKEUPS),
            rejoins: counters.counter(ids::CONSUMER_REJOINS),
            redelivered: counters.counter(ids::EVENTS_REDELIVERED),
            damaged: counters.counter(ids::RECORDS_SKIPPED_DAMAGED),
        }
    }
}

impl<S: Carries> ConsumerEnd<S> {
    pub(crate) fn new(memory: Mapped<S>, member: Member, id: String, strategy: WaitStrategy) -> Self {
        // Rejoining or not, this is the epoch of our time in the entry.
        let epoch = memory.entry(member.index).status().epoch;
        let counters_of = EndCounters::of_consumer(memory.segment(), member.index, epoch, &id);
        let counters = ConsumerCounters::of(&counters_of);
        if member.rejoined {
            counters.rejoins.inc();
        }
        let number = |position| memory.number_at(position);
        let marked_until = member.marks.until();
        counters.redelivered.add((number(marked_until) - number(member.start)).max(0) as u64);
        let mut core = Reader::new(memory, member.index, member.start, Announce::best());
        core.hand_out_singly_until(marked_until);
        Self {
            core,
            waiter: Waiter::new(strategy),
            counters,
            counters_of,
            member: Some(member),
            id,
            fork_epoch: crate::segment::fork_epoch(),
            suspect: None,
            pace: Pace::new(),
            parting: Parting::Leaves,
            is_made_by_panic: std::thread::panicking(),
        }
    }

    /// From now on, dropping this consumer keeps its place: the ring goes on holding what it has not acknowledged, for whoever attaches
    /// again under its id. Two ends give the place up nevertheless: one that says so ([`leave`](crate::SharedConsumer::leave)), and one that
    /// has read up to *closed*. For work that must not be lost when an error, a cancelled task or a panic drops its consumer; the producer
    /// is told, as of a death, once it waits for the place.
    ///
    /// A panic that drops the consumer keeps the place in any case. An id that the library made is never attached to again, so its place is
    /// never kept.
    pub fn keep_place(&mut self) {
        self.parting = Parting::Keeps;
    }

    /// From now on, dropping this consumer gives its place up, also after [`keep_place`](Self::keep_place) and while a panic unwinds. For
    /// ends that hold this one and have a `leave` of their own.
    pub fn leave_on_drop(&mut self) {
        self.parting = Parting::LeavesAlways;
    }

    /// How this consumer goes, now that it is dropped; `None` if it gives its place up.
    fn ending(&mut self) -> Option<Ending> {
        let memory = self.core.memory();
        if self.parting == Parting::LeavesAlways || memory.entry(self.member().index).member.is_generated() {
            return None;
        }
        if self.core.is_finished() {
            return None;
        }
        if std::thread::panicking() && !self.is_made_by_panic {
            return Some(Ending::Panicked);
        }
        (self.parting == Parting::Keeps).then_some(Ending::Dropped)
    }

    #[inline(always)]
    fn member(&self) -> &Member {
        self.member.as_ref().expect("a consumer has its place until it is dropped")
    }

    /// How often the event at `position` was handed out before without being acknowledged, to those whose place this is.
    #[inline(always)]
    pub(super) fn redelivery_of(&self, position: i64) -> u32 {
        self.member().marks.redeliveries(position)
    }

    /// Whether this process is a child of the one that owns the handle.
    #[inline(always)]
    pub(super) fn is_forked(&self) -> bool {
        self.fork_epoch != crate::segment::fork_epoch()
    }

    /// Makes this handle one of a process that was killed just now: it does nothing any more, and dropping it gives back the lock that the
    /// kernel would give back, and leaves everything else as it is. For simulations.
    #[cfg(feature = "dst")]
    #[doc(hidden)]
    pub fn abandon(&mut self) {
        // As for a child of a fork, whose handles are dead copies; that the lock is ours, its claim knows by itself.
        self.fork_epoch = self.fork_epoch.wrapping_sub(1);
    }

    /// Whether there is an event now. Notes the lag when it had to look.
    #[inline(always)]
    pub(super) fn look(&mut self) -> bool {
        // In a child of a fork there is nothing to read: its parent releases the slots, and the producer writes them.
        if self.is_forked() {
            return false;
        }
        if self.core.next() < self.core.readable() {
            return true;
        }
        if !self.core.look() {
            return false;
        }
        // The header behind a record lies on a line that the producer is still writing: who follows closely leaves it alone.
        if !S::Form::NUMBERS_STAND_IN_LINES || self.core.has_asked_cursor() {
            self.note_lag();
        }
        true
    }

    /// Counts how far behind we are, as far as we have looked.
    #[inline(always)]
    fn note_lag(&mut self) {
        let memory = self.core.memory();
        let lag = memory.number_at(self.core.readable()) - self.core.number();
        self.counters.lag_max.record_max(lag.max(0) as u64);
    }

    /// Gives back everything before `position`, which are so many events of so many bytes, the last of which begins at `last`; not while a
    /// panic unwinds, unless it was under way before, and not in a child of a fork, which must not acknowledge its parent's.
    #[inline(always)]
    pub(super) fn acknowledge(&mut self, position: i64, events: u64, bytes: u64, was_panicking: bool, last: i64) {
        if !was_panicking && std::thread::panicking() {
            return self.note_panic(position);
        }
        if self.is_forked() {
            return;
        }
        self.core.give_back(position, events as i64, last);
        self.counters.consumed.add(events);
        self.counters.bytes.add(bytes);
    }

    /// Notes that a panic has taken everything before `delivered` from the application. It comes again, one event at a time.
    #[cold]
    #[inline(never)]
    pub(super) fn note_panic(&mut self, delivered: i64) {
        if self.is_forked() {
            return;
        }
        let position = self.core.next();
        let member = self.member.as_mut().expect("a consumer has its place until it is dropped");
        member.note_panic(self.core.memory(), position, delivered);
        let until = member.marks.until();
        self.core.hand_out_singly_until(until);
    }

    /// Notes that of what was to be handed out, nothing from `position` on was.
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
        if position < delivered && !self.is_forked() {
            self.member().note_given_back(self.core.memory(), position, delivered);
        }
    }

    /// If what stands at our position is nothing that a producer has written, although it lies before what is published: goes on after it,
    /// and says so. `is_over`: nothing more will be published.
    pub(super) fn step_over_damage(&mut self, is_over: bool) -> Option<ConsumeError> {
        let skipped = self.core.step_over_damage(is_over)?;
        self.counters.damaged.add(skipped);
        Some(ConsumeError::Damaged { skipped })
    }

    /// [`step_over_damage`](Self::step_over_damage) for a look that does not wait: only where a word is no word, so that a look at an empty
    /// ring leaves the cursor's line alone.
    #[inline]
    pub(super) fn step_over_nonsense(&mut self) -> Option<ConsumeError> {
        let word = self.core.memory().stamp(self.core.next()).load(Ordering::Relaxed);
        if word == 0 && self.core.is_believed() { None } else { self.step_over_damage(false) }
    }

    /// Whether there is an event now; if so, how many there are is an answer of now.
    #[inline(always)]
    pub(super) fn look_for_all(&mut self) -> bool {
        let found = self.look() && self.core.look_for_all();
        if found {
            self.note_lag();
        }
        found
    }

    /// Waits until there is an event to read, without taking it.
    ///
    /// # Errors
    /// See [`ConsumeError`].
    pub fn wait_until_available(&mut self, deadline: Option<Instant>) -> Result<(), ConsumeError> {
        if self.look() { Ok(()) } else { self.wait(deadline) }
    }

    #[inline]
    pub(super) fn wait(&mut self, deadline: Option<Instant>) -> Result<(), ConsumeError> {
        let (is_ready, spins) = spin_first(self.waiter.strategy(), || self.look());
        self.counters.spins.add(spins.into());
        if is_ready { Ok(()) } else { self.wait_by_the_clock(deadline) }
    }

    #[cold]
    #[inline(never)]
    fn wait_by_the_clock(&mut self, deadline: Option<Instant>) -> Result<(), ConsumeError> {
        if self.is_forked() {
            return Err(ConsumeError::Forked);
        }
        self.is_made_by_panic &= std::thread::panicking();
        let mut waiter = std::mem::replace(&mut self.waiter, Waiter::new(WaitStrategy::BusySpin));
        let begin = Instant::now();
        let mut wait = DataWait { consumer: self, since: begin, damage: None };
        let end = waiter.wait(&mut wait, deadline);
        let damage = wait.damage;
        self.waiter = waiter;
        match (damage, end) {
            (Some(damage), _) => Err(damage),
            (None, WaitEnd::Ready) => Ok(()),
            // A wait that is short has not looked at anything but the next event.
            (None, WaitEnd::TimedOut) => {
                Err(self.step_over_damage(false).unwrap_or(ConsumeError::TimedOut { waited: begin.elapsed() }))
            }
            (None, WaitEnd::Reason(reason)) => Err(reason),
        }
    }

    /// Whether the ring has ended for us, and everything published has been read: `Closed`, `Replaced` or `ProducerDied`. Looks at
    /// flags and at one lock; for loops that do not wait.
    pub fn check_producer(&mut self) -> Result<(), ConsumeError> {
        self.is_made_by_panic &= std::thread::panicking();
        match self.end_of_ring(Duration::ZERO) {
            // Of damage, unlike of an end, nobody will hear again.
            Some(reason @ ConsumeError::Damaged { .. }) => Err(reason),
            Some(reason) if !self.look() => Err(reason),
            _ => Ok(()),
        }
    }

    /// Why nothing will be published any more, whatever is still to be read: `Closed`, `Replaced` or `ProducerDied`; `None` as long as the
    /// producer is there. Looks at flags and at one lock.
    pub fn end_of_publishing(&self) -> Option<ConsumeError> {
        let said = || match self.segment().fate() {
            _ if self.core.is_closed() => Some(ConsumeError::Closed),
            Fate::Live if self.core.memory().control().gate.is_abandoned() => Some(self.death(Duration::ZERO)),
            Fate::Live => None,
            Fate::Replaced | Fate::Removed => Some(ConsumeError::Replaced),
        };
        // An error from the kernel is no proof of death. After the lock, the flags again: a producer that closed in between has said so.
        said().or_else(|| match self.segment().is_held(PRODUCER_BYTE) {
            Ok(false) => said().or_else(|| Some(self.death(Duration::ZERO))),
            _ => None,
        })
    }

    fn end_of_ring(&mut self, waited: Duration) -> Option<ConsumeError> {
        if let Some(damage) = self.step_over_damage(false) {
            return Some(damage);
        }
        if self.core.is_finished() {
            return Some(self.step_over_damage(true).unwrap_or(ConsumeError::Closed));
        }
        if self.segment().fate() != Fate::Live {
            return Some(self.step_over_damage(true).unwrap_or(ConsumeError::Replaced));
        }
        if !self.core.memory().control().gate.is_abandoned() {
            match self.segment().is_held(PRODUCER_BYTE) {
                Ok(true) => return None,
                Ok(false) => {}
                // No proof of death, and none of life.
                Err(error) => {
                    let refused = Some(RefusedCall::new("looking at the producer's lock", &error));
                    let report = StallReport { refused, ..self.report(waited, NextStep::GiveUp, None) };
                    return Some(ConsumeError::Os { report: Box::new(report) });
                }
            }
        }
        // The lock was looked at after the flags: a producer that closed and left in between has said so by now.
        if self.core.is_finished() {
            return Some(self.step_over_damage(true).unwrap_or(ConsumeError::Closed));
        }
        if self.segment().fate() != Fate::Live {
            return Some(self.step_over_damage(true).unwrap_or(ConsumeError::Replaced));
        }
        Some(self.death(waited))
    }

    /// The producer's lock is free, or it has said that a panic dropped it.
    fn death(&self, waited: Duration) -> ConsumeError {
        let how = self.producers_ending();
        let report = self.report(waited, NextStep::GiveUp, Some(how));
        let pid = report.culprit.as_ref().map_or(0, |culprit| culprit.process.pid);
        ConsumeError::ProducerDied { pid, how, report: Box::new(report) }
    }

    /// How a producer that does not hold its lock any more has gone.
    fn producers_ending(&self) -> Ending {
        if self.core.memory().control().gate.is_abandoned() { Ending::Panicked } else { Ending::Killed }
    }

    fn report(&self, waited: Duration, next: NextStep, ending: Option<Ending>) -> StallReport {
        let memory = self.core.memory();
        let process = memory.control().producer.identity.load();
        let culprit = Culprit {
            id: "producer".to_owned(),
            rank: None,
            facts: process.observe(),
            process,
            is_dead: ending == Some(Ending::Killed),
            ending,
            sequence: memory.number_at(memory.control().cursor.acquire()),
            lag_events: 0,
            is_inside_handler: false,
            no_progress_for: Some(waited).filter(|waited| !waited.is_zero()),
        };
        // What was published and not acknowledged is there to be read, or is being read.
        let has_data = memory.control().cursor.acquire() > self.core.next();
        let waiting_for = if has_data { WaitingFor::Nothing } else { WaitingFor::Data };
        StallReport::new(self.segment().place().to_string(), waiting_for, waited, Some(culprit), next)
    }

    /// What the producer is doing, for a consumer that has waited for `waited`. If there is something to read, or the ring has ended, nothing
    /// waits, and the report says so.
    pub fn stall_report(&self, waited: Duration) -> StallReport {
        let held = self.segment().is_held(PRODUCER_BYTE);
        // The flags after the lock: a producer that closed and let go in between has said so by now.
        let (over, said) = match self.segment().fate() {
            _ if self.core.is_closed() => (Some(WaitingFor::Closed), Some(Ending::Left)),
            Fate::Live => (None, None),
            Fate::Replaced | Fate::Removed => (Some(WaitingFor::Replaced), None),
        };
        let ending = said.or_else(|| matches!(held, Ok(false)).then(|| self.producers_ending()));
        let mut report = self.report(waited, NextStep::KeepWaiting, ending);
        match (over, held) {
            (Some(over), _) if report.waiting_for == WaitingFor::Data => report.waiting_for = over,
            (None, Err(error)) => {
                report.refused = Some(RefusedCall::new("looking at the producer's lock", &error));
            }
            _ => {}
        }
        report
    }

    /// The sequence of the last event that was acknowledged; -1 if there was none since the beginning of the ring.
    pub fn current_sequence(&self) -> Sequence {
        self.core.memory().number_at(self.core.next()) - 1
    }

    /// The sequence of the last published event, as the producer's cursor has it; -1 if there is none. Goes stale at once.
    pub fn producer_sequence(&self) -> Sequence {
        let memory = self.core.memory();
        memory.number_at(memory.control().cursor.acquire()) - 1
    }

    /// Whether the producer sleeps until this consumer releases something, and there is something to release. Of a producer that spins this is
    /// not known. Goes stale at once.
    pub fn holds_up_producer(&self) -> bool {
        let memory = self.core.memory();
        let has_unread = memory.control().cursor.acquire() > self.core.next();
        has_unread && memory.entry(self.member().index).writer.is_awaited()
    }

    /// Our id.
    pub fn consumer_id(&self) -> &str {
        &self.id
    }

    /// Whether this consumer continues where a dead one of the same id stopped.
    pub fn has_rejoined(&self) -> bool {
        self.member().rejoined
    }

    /// Number of slots; of a ring of records, of its lines of 64 bytes.
    pub fn capacity(&self) -> usize {
        self.core.memory().capacity() as usize
    }

    /// Counts into `file` from now on, instead of into the table in the ring's own segment. However many ends count into one file, and
    /// whatever they are called, no two share a counter.
    pub fn attach_counters(&mut self, file: &CountersFile) {
        self.counters_of = EndCounters::of_attached_consumer(file, &self.id, self.segment().place().to_string());
        self.counters = ConsumerCounters::of(&self.counters_of);
    }

    /// The counter `id` of this consumer, for the layers above. Not to be kept longer than the consumer: its place is another's then.
    #[doc(hidden)]
    pub fn counter(&self, id: u32) -> CounterHandle {
        self.counters_of.counter(id)
    }

    /// The counters that live in the ring's segment.
    pub fn ring_counters(&self) -> CountersFile {
        CountersFile::of_ring(self.core.memory().segment())
    }

    /// How this consumer waits.
    pub fn wait_strategy(&self) -> WaitStrategy {
        self.waiter.strategy()
    }

    pub(crate) fn segment(&self) -> &Segment {
        self.core.memory().segment()
    }
}

impl<S: Carries> Drop for ConsumerEnd<S> {
    fn drop(&mut self) {
        // A child of a fork has no handles: what it inherited is its parent's.
        if self.is_forked() {
            return;
        }
        let memory = self.core.memory().clone();
        let ending = self.ending();
        if let Some(member) = self.member.take() {
            self.counters_of.end();
            match ending {
                None => member.leave(&memory),
                // Nothing is collected: the ring is to be there for a successor, and so are its counters.
                Some(ending) => return member.keep(&memory, ending),
            }
        }
        // The last one out of a ring whose producer has died turns off the light. If anybody lives in it, nothing happens.
        if !memory.segment().is_held(PRODUCER_BYTE).unwrap_or(true) {
            let _ = crate::segment::gc(memory.segment().place().clone());
        }
    }
}

struct DataWait<'a, S: Carries> {
    consumer: &'a mut ConsumerEnd<S>,
    since: Instant,
    /// What was stepped over on the way. Unlike of an end, of this nobody will tell again.
    damage: Option<ConsumeError>,
}

impl<S: Carries> Awaited for DataWait<'_, S> {
    type Reason = ConsumeError;

    #[inline(always)]
    fn is_ready(&mut self) -> bool {
        self.damage.is_some() || self.consumer.look()
    }

    fn is_ended(&mut self) -> bool {
        self.consumer.core.is_over() || self.consumer.segment().fate() != Fate::Live
    }

    fn examine(&mut self) -> Option<ConsumeError> {
        match self.consumer.end_of_ring(self.since.elapsed()) {
            Some(damage @ ConsumeError::Damaged { .. }) => {
                self.damage = Some(damage);
                None
            }
            end => end,
        }
    }

    fn park(&mut self, slice: Duration) {
        let consumer = &mut *self.consumer;
        let Some(park) = consumer.core.prepare_park() else { return };
        consumer.judge_suspect(park.ticket);
        let slice = if park.barrier { slice } else { slice.min(SLICE_WITHOUT_BARRIER) };
        consumer.counters.parks.inc();
        let woken = consumer.core.memory().control().readers.0.sleep(park.ticket, slice);
        match woken {
            Woken::Rung => consumer.counters.unparks.inc(),
            // Data that is there now, with a bell that nobody has rung: either the producer is just about to, or it never will.
            Woken::TimedOut if consumer.core.look() => consumer.suspect = Some((park.ticket, Instant::now())),
            Woken::TimedOut => {}
        }
    }

    fn count_spins(&mut self, spins: u64) {
        self.consumer.counters.spins.add(spins);
    }
}

impl<S: Carries> ConsumerEnd<S> {
    /// Data was found at the end of a slice. If the bell is still silent long after, its wake was lost.
    fn judge_suspect(&mut self, now: Ticket) {
        if let Some((ticket, seen)) = self.suspect.take()
            && ticket == now
            && seen.elapsed() > Duration::from_millis(10)
            && self.core.memory().control().gate.closed.load(Ordering::Relaxed) == 0
        {
            self.counters.lost_wakeups.inc();
        }
    }
}
