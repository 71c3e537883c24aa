//! The wait of a producer whose ring is full.
//!
//! **Lives here:** [`Target`], [`Blocked`], and the wait between them. **Builds on:** `wait` for the loop, `membership` for who is dead,
//! `monitor` for patience. **May touch it:** the producer.

use super::error::PublishError;
use super::membership::{self, ConsumerInfo, Fallen};
use super::memory::Memory;
use super::producer_end::ProducerEnd;
use super::sequencer::Scan;
use crate::liveness::monitor::Verdict;
use crate::liveness::{
    Culprit, NextStep, RequiredConsumerAlert, RequiredConsumerFailureAction, StallReport, WaitingFor,
};
use crate::schema::Event;
use crate::segment::Fate;
use crate::sync::bell::Woken;
use crate::sync::primitive::Ordering;
use crate::sync::wait::{Awaited, SLICE_WITHOUT_BARRIER, WaitEnd, WaitStrategy, Waiter, spin_first};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// What the producer waits for.
#[derive(Clone, Copy)]
pub(super) enum Target {
    /// Room for so many events.
    Room(usize),
    /// The release of this event by everybody.
    Consumed(i64),
}

impl Target {
    /// Room that has to be made for it.
    fn room(self) -> usize {
        match self {
            Self::Room(count) => count,
            Self::Consumed(_) => 1,
        }
    }
}

/// Whether the wait is one of managed publishing, with alerts, a failure action and an end of patience.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Watch {
    Managed,
    Unwatched,
}

/// Why it did not come.
pub(super) enum Blocked {
    Forked,
    Closed,
    Replaced,
    Died { id: String, pid: u32, last_sequence: i64, report: Box<StallReport> },
    TimedOut { report: Box<StallReport> },
    TooLarge { count: usize, capacity: usize },
    Shut { id: String, last_sequence: i64, stalled_for: Duration },
}

impl<E: Event> ProducerEnd<E> {
    /// Waits for `target`. Only a wait that the monitor watches (a managed publish) can end in `Shut`.
    pub(super) fn wait_for(&mut self, target: Target, deadline: Option<Instant>, watch: Watch) -> Result<(), Blocked> {
        if self.is_forked() {
            return Err(Blocked::Forked);
        }
        if self.is_shut() {
            return Err(Blocked::Closed);
        }
        if let Target::Room(count) = target {
            let capacity = self.capacity();
            if count > capacity {
                return Err(Blocked::TooLarge { count, capacity });
            }
        }
        let scan = self.rescan_for(target.room());
        if self.has_reached(target, scan) {
            return Ok(());
        }
        self.counters.full.inc();
        let strategy = self.waiter.strategy();
        let mut waiter = std::mem::replace(&mut self.waiter, Waiter::new(WaitStrategy::BusySpin));
        let mut wait = RoomWait {
            producer: self,
            target,
            watch,
            scan,
            since: Instant::now(),
            next_monitor: None,
            last_reported: None,
        };
        let end = match spin_first(strategy, || wait.is_ready()) {
            (true, _) => WaitEnd::Ready,
            (false, _) => waiter.wait(&mut wait, deadline),
        };
        let (slowest, waited) = (wait.scan.slowest, wait.since.elapsed());
        self.waiter = waiter;
        match end {
            WaitEnd::Ready => {
                if let Some(monitor) = &mut self.monitor {
                    monitor.relieved();
                }
                Ok(())
            }
            WaitEnd::TimedOut => {
                Err(Blocked::TimedOut { report: Box::new(self.report(slowest, waited, NextStep::GiveUp)) })
            }
            WaitEnd::Reason(blocked) => Err(blocked),
        }
    }

    /// Whether waiting for room has become pointless: the consumer that holds the ring back is dead and its place is kept, or the ring was
    /// replaced, or the producer is shut. Dead consumers whose place nobody can take are cleared away. For loops that do not wait and
    /// find the ring full; looks at flags and at one lock.
    ///
    /// # Errors
    /// `ConsumerDied`, `Replaced`, `Closed`, `Forked`; see [`PublishError`].
    pub fn check_room(&mut self) -> Result<(), PublishError> {
        if self.is_forked() {
            return Err(PublishError::Forked);
        }
        if self.is_shut() {
            return Err(PublishError::Closed);
        }
        let scan = self.rescan();
        let mut wait = RoomWait {
            producer: self,
            target: Target::Room(1),
            watch: Watch::Unwatched,
            scan,
            since: Instant::now(),
            next_monitor: None,
            last_reported: None,
        };
        match wait.examine() {
            Some(blocked) => Err(self.publish_error(blocked)),
            None => Ok(()),
        }
    }

    fn has_reached(&self, target: Target, scan: Scan) -> bool {
        match target {
            Target::Room(count) => self.core.has_room(count as i64),
            // The first gate of somebody who is joining may be a lap old, and what stands there by now is no number.
            Target::Consumed(sequence) => {
                let memory = self.core.memory();
                self.core.next() - scan.lowest <= memory.capacity() - i64::from(memory.holds_records())
                    && memory.number_at(scan.lowest) > sequence
            }
        }
    }

    /// The stall report about entry `slowest`.
    pub(super) fn report(&self, slowest: Option<usize>, waited: Duration, next: NextStep) -> StallReport {
        let memory = self.core.memory();
        let age = self.monitor.as_ref().and_then(|monitor| monitor.stalled_for(Instant::now()));
        let culprit = slowest
            .and_then(|index| membership::info(memory, index))
            .map(|info| culprit(info, self.last_published_sequence() + 1, age.unwrap_or(waited)));
        let waiting_for =
            if self.core.has_sentinel() && culprit.is_none() { WaitingFor::Consumers } else { WaitingFor::Space };
        StallReport::new(self.segment().place().to_string(), waiting_for, waited, culprit, next)
    }
}

/// A consumer as the one who is waited for.
fn culprit(info: ConsumerInfo, published: i64, age: Duration) -> Culprit {
    Culprit {
        facts: info.process.observe(),
        id: info.id,
        rank: info.rank,
        process: info.process,
        is_dead: !info.alive,
        sequence: info.position,
        lag_events: published.saturating_sub(info.position).max(0) as u64,
        is_inside_handler: info.delivered > info.position,
        no_progress_for: Some(age).filter(|age| !age.is_zero()),
    }
}

struct RoomWait<'a, E: Event> {
    producer: &'a mut ProducerEnd<E>,
    target: Target,
    watch: Watch,
    scan: Scan,
    since: Instant,
    next_monitor: Option<Instant>,
    /// The dead consumer about which the hook was told last, by entry and epoch: once per death.
    last_reported: Option<(usize, u64)>,
}

impl<E: Event> RoomWait<'_, E> {
    fn look_again(&mut self) -> bool {
        self.scan = self.producer.rescan_for(self.target.room());
        self.producer.has_reached(self.target, self.scan)
    }

    /// A dead consumer that keeps its place: evicted, waited for, or the end of the wait.
    fn died(&mut self, index: usize, dead: ConsumerInfo) -> Option<Blocked> {
        let ConsumerInfo { id, process, position, .. } = dead;
        let managed = self.producer.monitor.as_ref().filter(|_| self.watch == Watch::Managed);
        let action = managed.map(|monitor| monitor.config.failure_action);
        let entry = self.producer.core.entry(index);
        let (epoch, last_sequence) = (entry.status().epoch, position.saturating_sub(1));
        let next = match action {
            Some(RequiredConsumerFailureAction::Evict) => NextStep::Evict,
            Some(RequiredConsumerFailureAction::AlertOnly) => NextStep::KeepWaiting,
            Some(RequiredConsumerFailureAction::GracefulShutdown) | None => NextStep::GiveUp,
        };
        let report = self.producer.report(Some(index), self.since.elapsed(), next);
        if self.last_reported != Some((index, epoch)) {
            self.last_reported = Some((index, epoch));
            self.alert(&id, last_sequence, self.since.elapsed(), &report);
        }
        match next {
            NextStep::Evict => {
                // An error leaves it in place; the next look tries again.
                let _ = self.producer.evict_consumer(&id);
                self.look_again();
                None
            }
            NextStep::KeepWaiting => None,
            _ => Some(Blocked::Died { id, pid: process.pid, last_sequence, report: Box::new(report) }),
        }
    }

    /// Tells the hook, `tracing` and the counter.
    fn alert(&mut self, id: &str, last_sequence: i64, stalled_for: Duration, report: &StallReport) {
        self.producer.counters.stalls.inc();
        #[cfg(feature = "tracing")]
        tracing::warn!(consumer = id, last_sequence, ?stalled_for, "{report}");
        let managed = self.producer.monitor.as_ref().filter(|_| self.watch == Watch::Managed);
        let Some(hook) = managed.and_then(|monitor| monitor.config.alert_hook.clone()) else { return };
        let alert = RequiredConsumerAlert::new(id.to_owned(), last_sequence, stalled_for, report.clone());
        // The hook is the user's. Whatever it does, the watch goes on.
        let _ = catch_unwind(AssertUnwindSafe(|| hook(&alert)));
    }

    fn consult_monitor(&mut self, now: Instant) -> Option<Blocked> {
        if self.watch != Watch::Managed {
            return None;
        }
        let index = self.scan.slowest?;
        let entry = self.producer.core.entry(index);
        let (epoch, position) = (entry.status().epoch, entry.position.load(Ordering::Relaxed));
        let monitor = self.producer.monitor.as_mut()?;
        self.next_monitor = now.checked_add(monitor.config.progress_check_interval);
        let verdict = monitor.observe(now, index, epoch, position);
        let ConsumerInfo { id, position: sequence, .. } = membership::info(self.producer.core.memory(), index)?;
        match verdict {
            Verdict::Wait => None,
            Verdict::Alert { stalled_for, shuts_down_in } => {
                let next = shuts_down_in.map_or(NextStep::KeepWaiting, NextStep::ShutDownIn);
                let report = self.producer.report(Some(index), self.since.elapsed(), next);
                self.alert(&id, sequence.saturating_sub(1), stalled_for, &report);
                None
            }
            Verdict::ShutDown { stalled_for } => {
                Some(Blocked::Shut { id, last_sequence: sequence.saturating_sub(1), stalled_for })
            }
        }
    }
}

impl<E: Event> Awaited for RoomWait<'_, E> {
    type Reason = Blocked;

    fn is_ready(&mut self) -> bool {
        // A look at everybody that was taken for another reason (before a sleep, after a death) may have found it.
        if self.producer.has_reached(self.target, self.scan) {
            return true;
        }
        // The cheap question first: has the one we wait for moved? Only then is everybody looked at again.
        match self.scan.slowest {
            Some(index) => {
                let entry = self.producer.core.entry(index);
                let moved = entry.position.load(Ordering::Relaxed) != self.scan.lowest || !entry.status().gates();
                moved && self.look_again()
            }
            None => !self.producer.core.has_sentinel() && self.look_again(),
        }
    }

    fn is_ended(&mut self) -> bool {
        self.next_monitor.is_some_and(|at| Instant::now() >= at)
    }

    fn examine(&mut self) -> Option<Blocked> {
        if self.producer.segment().fate() != Fate::Live {
            return Some(Blocked::Replaced);
        }
        if self.producer.lift_sentinel_if_complete() {
            self.look_again();
            return None;
        }
        let index = self.scan.slowest?;
        match self.producer.bury(index) {
            Fallen::No => {}
            Fallen::Freed(dead) => {
                let (id, last_sequence) = (dead.id.clone(), dead.position.saturating_sub(1));
                let waited = self.since.elapsed();
                let culprit = culprit(dead, self.producer.last_published_sequence() + 1, waited);
                let ring = self.producer.segment().place().to_string();
                let report = StallReport::new(ring, WaitingFor::Space, waited, Some(culprit), NextStep::Evict);
                self.alert(&id, last_sequence, waited, &report);
                self.look_again();
                return None;
            }
            Fallen::Kept(dead) => return self.died(index, dead),
        }
        self.look_again();
        self.consult_monitor(Instant::now())
    }

    fn park(&mut self, slice: Duration) {
        // Nobody to be woken by: the ring waits for consumers that have not joined.
        let Some(index) = self.scan.slowest else {
            std::thread::sleep(slice.min(Duration::from_millis(1)));
            self.producer.lift_sentinel_if_complete();
            self.look_again();
            return;
        };
        let count = match self.target {
            Target::Room(count) => count as i64,
            // Sleeps until the consumer moves at all: no room is ever large enough.
            Target::Consumed(_) => i64::MAX,
        };
        let Some(park) = self.producer.core.prepare_park(index, count) else {
            // There is room, or somebody else is in the way by now.
            self.look_again();
            return;
        };
        if self.is_ready() {
            return;
        }
        let slice = if park.barrier { slice } else { slice.min(SLICE_WITHOUT_BARRIER) };
        self.producer.counters.parks.inc();
        let woken = self.producer.core.entry(index).writer.sleep(park.ticket, slice);
        match woken {
            Woken::Rung => self.producer.counters.unparks.inc(),
            Woken::TimedOut => self.suspect_lost_wakeup(index, park.ticket),
        }
    }

    fn count_spins(&mut self, _spins: u64) {}
}

impl<E: Event> RoomWait<'_, E> {
    /// A slice passed. If the consumer has moved meanwhile and does not ring in the next milliseconds either, its wake was lost.
    fn suspect_lost_wakeup(&mut self, index: usize, ticket: crate::sync::bell::Ticket) {
        let entry = self.producer.core.entry(index);
        if entry.position.load(Ordering::Acquire) == self.scan.lowest || !entry.status().gates() {
            return;
        }
        let alive = self.producer.core.memory().segment().is_held(membership::entry_byte(index)).unwrap_or(false);
        if alive && entry.writer.sleep(ticket, Duration::from_millis(10)) == Woken::TimedOut {
            self.producer.counters.lost_wakeups.inc();
        }
    }
}
