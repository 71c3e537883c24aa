//! What a consumer knows of its ring, whatever lies in it, and what a wait borrows beside the waiter: its place in the
//! table, its producer, its counters.
//!
//! **Lives here:** [`ConsumerSide`]. **Builds on:** `reader` for the algorithm, `membership` for its place in the table. **May touch it:**
//! `consumer_end`, whose other half is the waiter, and what consumers lend.

use super::error::ConsumeError;
use super::pace::Pace;
use crate::counters::{CounterHandle, EndCounters, ids};
use crate::liveness::{Culprit, NextStep, RefusedCall, StallReport, WaitingFor};
use crate::ring::lineage;
use crate::ring::membership::{Member, PRODUCER_BYTE};
use crate::ring::memory::layout::Carries;
use crate::ring::memory::mapped::Mapped;
use crate::ring::protocol::ending::Ending;
use crate::ring::protocol::form::Form;
use crate::ring::protocol::memory::Memory;
use crate::ring::protocol::reader::Reader;
use crate::segment::{Fate, Segment};
use crate::sync::announce::Announce;
use crate::sync::bell::Ticket;
use crate::sync::primitive::Ordering;
use std::time::{Duration, Instant};

/// A consumer's end without its waiter.
pub(super) struct ConsumerSide<S: Carries> {
    pub(super) core: Reader<Mapped<S>>,
    pub(super) counters: ConsumerCounters,
    pub(super) counters_of: EndCounters,
    /// `None` only while it is dropped.
    member: Option<Member>,
    pub(super) id: String,
    pub(super) fork_epoch: u32,
    pub(super) suspect: Option<(Ticket, Instant)>,
    pub(super) pace: Pace,
    pub(super) parting: Parting,
    /// Whether a panic was under way when it was made, and has been at every slow look since: then it is not one that
    /// drops it.
    pub(super) is_made_by_panic: bool,
}

/// What dropping a consumer does with its place, if it has an id that its program chose and has not read up to
/// *closed*.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Parting {
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
    pub(super) fn of(counters: &EndCounters) -> Self {
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

impl<S: Carries> ConsumerSide<S> {
    pub(super) fn new(memory: Mapped<S>, member: Member, id: String) -> Self {
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

    /// How this consumer goes, now that it is dropped; `None` if it gives its place up.
    pub(super) fn ending(&mut self) -> Option<Ending> {
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
    pub(super) fn member(&self) -> &Member {
        self.member.as_ref().expect("a consumer has its place until it is dropped")
    }

    /// How often the event at `position` was handed out before without being acknowledged, to those whose place this
    /// is.
    #[inline(always)]
    pub(super) fn redelivery_of(&self, position: i64) -> u32 {
        self.member().marks.redeliveries(position)
    }

    /// Whether this process is a child of the one that owns the handle.
    #[inline(always)]
    pub(super) fn is_forked(&self) -> bool {
        self.fork_epoch != crate::segment::fork_epoch()
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
        // The header behind a record lies on a line that the producer is still writing: who follows closely leaves it
        // alone.
        if !S::Form::NUMBERS_STAND_IN_LINES || self.core.has_asked_cursor() {
            self.note_lag();
        }
        true
    }

    /// Counts how far behind we are, as far as we have looked.
    #[inline(always)]
    pub(super) fn note_lag(&mut self) {
        let memory = self.core.memory();
        let lag = memory.number_at(self.core.readable()) - self.core.number();
        self.counters.lag_max.record_max(lag.max(0) as u64);
    }

    /// Gives back everything before `position`, which are so many events of so many bytes, the last of which begins at
    /// `last`; not while a panic unwinds, unless it was under way before, and not in a child of a fork, which must not
    /// acknowledge its parent's.
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

    /// Notes that a panic has taken everything before `delivered` from the application. It comes again, one event at a
    /// time.
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

    /// If what stands at our position is nothing that a producer has written, although it lies before what is
    /// published: goes on after it, and says so. `is_over`: nothing more will be published.
    pub(super) fn step_over_damage(&mut self, is_over: bool) -> Option<ConsumeError> {
        let skipped = self.core.step_over_damage(is_over)?;
        self.counters.damaged.add(skipped);
        Some(ConsumeError::Damaged { skipped })
    }

    /// Why a look that does not wait has found nothing; `None`: there is nothing yet. Makes no system call. Steps over damage only where a word
    /// is no word, so that a look at an empty ring leaves the cursor's line alone.
    #[inline]
    pub(super) fn why_nothing(&mut self) -> Option<ConsumeError> {
        let word = self.core.memory().word(self.core.next()).load(Ordering::Relaxed);
        let is_silent = word == 0 && self.core.is_believed();
        let damage = if is_silent { None } else { self.step_over_damage(false) };
        damage.or_else(|| {
            let may_end = self.core.is_over() || self.segment().fate() != Fate::Live || self.is_forked();
            if may_end { self.end_that_was_said() } else { None }
        })
    }

    /// The end of the ring as far as it is written there, if everything published before it was read.
    #[cold]
    fn end_that_was_said(&mut self) -> Option<ConsumeError> {
        if self.is_forked() {
            return Some(ConsumeError::Forked);
        }
        let end = self.said_end().or_else(|| {
            let is_abandoned = self.core.memory().control().gate.is_abandoned();
            is_abandoned.then(|| self.death(Duration::ZERO))
        });
        // What was published before the end comes first.
        if self.look() { None } else { end }
    }

    /// Whether the ring says that it was closed, and everything in it was read, or that another has its place.
    fn said_end(&mut self) -> Option<ConsumeError> {
        if self.core.is_finished() {
            return Some(self.step_over_damage(true).unwrap_or(ConsumeError::Closed));
        }
        if self.segment().fate() != Fate::Live {
            return Some(self.step_over_damage(true).unwrap_or(ConsumeError::Replaced));
        }
        None
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

    pub(super) fn end_of_ring(&mut self, waited: Duration) -> Option<ConsumeError> {
        if let Some(damage) = self.step_over_damage(false) {
            return Some(damage);
        }
        if let Some(end) = self.said_end() {
            return Some(end);
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
        self.said_end().or_else(|| Some(self.death(waited)))
    }

    /// The producer's lock is free, or it has said that a panic dropped it.
    pub(super) fn death(&self, waited: Duration) -> ConsumeError {
        let how = self.producers_ending();
        let report = self.report(waited, NextStep::GiveUp, Some(how));
        let pid = report.culprit.as_ref().map_or(0, |culprit| culprit.process.pid);
        ConsumeError::ProducerDied { pid, how, report: Box::new(report) }
    }

    /// How a producer that does not hold its lock any more has gone.
    pub(super) fn producers_ending(&self) -> Ending {
        if self.core.memory().control().gate.is_abandoned() { Ending::Panicked } else { Ending::Killed }
    }

    pub(super) fn report(&self, waited: Duration, next: NextStep, ending: Option<Ending>) -> StallReport {
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
        StallReport::new(self.segment().called(), waiting_for, waited, Some(culprit), next)
    }

    pub(crate) fn segment(&self) -> &Segment {
        self.core.memory().segment()
    }

    /// Data was found at the end of a slice. If the bell is still silent long after, its wake was lost.
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

impl<S: Carries> Drop for ConsumerSide<S> {
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
        // The last one out of a ring whose producer has died turns off the light. If anybody lives in it, nothing
        // happens.
        let segment = memory.segment();
        match segment.is_held(PRODUCER_BYTE) {
            // Another ring has its name by now.
            Ok(false) if segment.has_second_name() => lineage::collect(segment),
            Ok(false) => drop(crate::segment::gc(segment.place().clone())),
            _ => {}
        }
    }
}
