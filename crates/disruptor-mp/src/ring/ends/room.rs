//! The wait of a producer whose ring is full.

use super::error::PublishError;
use super::producer_end::ProducerBase;
use super::producer_side::{JOIN_POLL, ProducerSide};
use crate::liveness::monitor::{Look, Verdict};
use crate::liveness::{
    Culprit, NextStep, RefusedCall, RequiredConsumerAlert, RequiredConsumerFailureAction, StallReport, StartUpBuffer,
    WaitingFor,
};
use crate::ring::eviction::Fallen;
use crate::ring::membership;
use crate::ring::memory::layout::Carries;
use crate::ring::protocol::ending::Ending;
use crate::ring::protocol::form::Form;
use crate::ring::protocol::memory::Memory;
use crate::ring::protocol::sequencer::Scan;
use crate::ring::refusal;
use crate::ring::roster::{self, ConsumerInfo};
use crate::segment::Fate;
use crate::sync::bell::Woken;
#[cfg(target_os = "linux")]
use crate::sync::bell::{Park, Ticket};
use crate::sync::primitive::Ordering;
use crate::sync::wait::{Awaited, SLICE_WITHOUT_BARRIER, WaitEnd, Waiter, spin_first};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// What the producer waits for.
#[derive(Clone, Copy)]
pub(super) enum Target {
    /// Room for this many events.
    Room(usize),
    /// The release of this event by all consumers.
    Consumed(i64),
}

impl Target {
    /// Room that must be made for it.
    fn room(self) -> usize {
        match self {
            Self::Room(count) => count,
            Self::Consumed(_) => 1,
        }
    }

    /// What the wait for a consumer in its way is about.
    fn reason(self) -> WaitingFor {
        match self {
            Self::Room(_) => WaitingFor::Space,
            Self::Consumed(_) => WaitingFor::Release,
        }
    }
}

/// Whether the wait is one of managed publishing, with alerts, a failure action and an end of patience.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Watch {
    Managed,
    Unwatched,
}

/// Why the wait ended without success.
pub(super) enum Blocked {
    Forked,
    Closed,
    Replaced,
    Died {
        id: String,
        pid: u32,
        how: Ending,
        last_sequence: i64,
        report: Box<StallReport>,
    },
    TimedOut {
        report: Box<StallReport>,
    },
    TooLarge {
        count: usize,
        capacity: usize,
    },
    Os {
        report: Box<StallReport>,
    },
    /// A required consumer may have gone: managed publishing checks all of them.
    Gone,
    Shut {
        id: String,
        last_sequence: i64,
        stalled_for: Duration,
    },
}

/// What keeps the producer from what it waits for. Both may; if neither does, it may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hindrance {
    /// What the wait for a consumer is about.
    reason: WaitingFor,
    /// The slowest consumer, if its position is in the way.
    pub(super) consumer: Option<usize>,
    /// The start-up buffer is full, and consumers are expected.
    pub(super) buffer: bool,
}

impl<S: Carries> ProducerBase<S> {
    pub(super) fn check_room(&mut self) -> Result<(), PublishError> {
        if self.side.is_forked() {
            return Err(PublishError::Forked);
        }
        let target = Target::Room(self.side.unmet().unwrap_or(1));
        let scan = self.side.rescan_for(target.room());
        let mut wait = RoomWait {
            producer: &mut self.side,
            target,
            watch: Watch::Unwatched,
            scan,
            since: Instant::now(),
            next_monitor: None,
            last_reported: None,
        };
        match wait.examine() {
            Some(blocked) => Err(self.side.publish_error(blocked)),
            None => Ok(()),
        }
    }
}

/// What a producer that does not block waits for, to get the room that its last call did not get.
#[cfg(target_os = "linux")]
pub(super) enum Awaits {
    /// There is room, or it is not known what is in the way: publish again.
    Nothing,
    /// The consumer at `index`, since `ticket` was drawn at its bell.
    Consumer {
        /// Its entry.
        index: usize,
        /// Drawn before the last look.
        ticket: Ticket,
    },
    /// Something that will not ring: an expected consumer that has not joined; or a consumer that relies on a barrier
    /// that this process cannot issue, so that it may have moved unseen.
    Silent,
}

#[cfg(target_os = "linux")]
impl<S: Carries> ProducerSide<S> {
    /// Prepares to sleep without sleeping: the steps of a wait before it parks.
    pub(super) fn awaits(&mut self) -> Awaits {
        let count = self.unmet().unwrap_or(1);
        let target = Target::Room(count);
        let scan = self.rescan_for(count);
        if self.has_reached(target, scan) {
            return Awaits::Nothing;
        }
        match self.hindrance(target, scan) {
            Hindrance { consumer: Some(index), .. } => match self.core.prepare_park(index, count as i64) {
                Some(Park { ticket, barrier: true }) => Awaits::Consumer { index, ticket },
                Some(Park { barrier: false, .. }) => Awaits::Silent,
                None => Awaits::Nothing,
            },
            Hindrance { buffer: true, .. } if !self.lift_sentinel_if_complete() => Awaits::Silent,
            _ => Awaits::Nothing,
        }
    }
}

impl<S: Carries> ProducerSide<S> {
    /// Waits for `target` as `waiter` does. Only a wait that the monitor watches (a managed publish) can end in `Shut`
    /// or `Gone`.
    pub(super) fn wait_for(
        &mut self,
        waiter: &mut Waiter,
        target: Target,
        deadline: Option<Instant>,
        watch: Watch,
    ) -> Result<(), Blocked> {
        if self.is_forked() {
            return Err(Blocked::Forked);
        }
        if let Target::Room(count) = target {
            let capacity = self.capacity();
            if count > capacity {
                return Err(Blocked::TooLarge { count, capacity });
            }
            if self.may_claim(count) {
                return Ok(());
            }
        }
        let scan = self.rescan_for(target.room());
        if self.has_reached(target, scan) {
            return Ok(());
        }
        match target {
            Target::Room(count) => self.note_unmet(count),
            Target::Consumed(_) => self.counters.full.inc(),
        }
        let mut wait = RoomWait {
            producer: self,
            target,
            watch,
            scan,
            since: Instant::now(),
            next_monitor: None,
            last_reported: None,
        };
        let end = match spin_first(|| wait.is_ready()) {
            (true, _) => WaitEnd::Ready,
            // The first look: patience counts from here.
            (false, _) => match wait.consult_monitor(Instant::now()) {
                Some(blocked) => WaitEnd::Reason(blocked),
                None => waiter.wait(&mut wait, deadline),
            },
        };
        let (scan, waited) = (wait.scan, wait.since.elapsed());
        if let Some(monitor) = &mut self.monitor {
            match end {
                WaitEnd::Ready => monitor.relieved(),
                WaitEnd::TimedOut | WaitEnd::Reason(_) => monitor.pause(Instant::now()),
            }
        }
        match end {
            WaitEnd::Ready => Ok(()),
            WaitEnd::TimedOut => {
                let report = self.report(self.hindrance(target, scan), waited, NextStep::GiveUp);
                Err(Blocked::TimedOut { report: Box::new(report) })
            }
            WaitEnd::Reason(blocked) => Err(blocked),
        }
    }

    fn has_reached(&self, target: Target, scan: Scan) -> bool {
        match target {
            Target::Room(count) => self.core.has_room(count as i64),
            // The start-up buffer holds its events for a consumer that has not joined.
            Target::Consumed(sequence) => !self.core.has_sentinel() && self.is_released(sequence, scan),
        }
    }

    /// Whether every consumer that the scan found has released event `sequence`.
    fn is_released(&self, sequence: i64, scan: Scan) -> bool {
        // The first gate of a consumer that is joining may be a lap old, and what is there by now is no number.
        let memory = self.core.memory();
        self.core.next() - scan.lowest <= memory.capacity() - S::Form::HEADROOM
            && memory.number_at(scan.lowest) > sequence
    }

    /// What was in the way of `target` when the consumers were looked at.
    pub(super) fn hindrance(&self, target: Target, scan: Scan) -> Hindrance {
        match target {
            Target::Room(count) => Hindrance {
                reason: target.reason(),
                consumer: scan.slowest.filter(|_| scan.consumer_room(self.core.next()) < count as i64),
                buffer: scan.sentinel_room(self.core.next()) < count as i64,
            },
            Target::Consumed(sequence) => Hindrance {
                reason: target.reason(),
                consumer: scan.slowest.filter(|_| !self.is_released(sequence, scan)),
                buffer: self.core.has_sentinel(),
            },
        }
    }

    /// The stall report about what is in the way.
    pub(super) fn report(&self, hindrance: Hindrance, waited: Duration, next: NextStep) -> StallReport {
        let age = self.monitor.as_ref().and_then(|monitor| monitor.stalled_for()).unwrap_or(waited);
        let info = hindrance.consumer.and_then(|index| Some((index, self.consumer_in_the_way(index)?)));
        let mut waiting_for = match hindrance {
            _ if info.is_some() => hindrance.reason,
            Hindrance { buffer: true, .. } => WaitingFor::Consumers,
            _ if self.is_shut() => WaitingFor::Reset,
            _ => WaitingFor::Nothing,
        };
        let culprit = info.map(|(index, info)| {
            let culprit = culprit(info, self.next_number(), age);
            // Every event was released, and the position is not the end of the ring: padding is between.
            if culprit.lag_events == 0 && self.core.entry(index).position.load(Ordering::Relaxed) < self.core.next() {
                waiting_for = WaitingFor::Padding;
            }
            culprit
        });
        let buffer = hindrance
            .buffer
            .then(|| StartUpBuffer { joined: self.joined(), expected: self.selection.expected_consumers });
        StallReport { buffer, ..self.new_report(waiting_for, waited, culprit, next) }
    }

    /// A report with the fields that every report of a producer has.
    pub(super) fn new_report(
        &self,
        waiting_for: WaitingFor,
        waited: Duration,
        culprit: Option<Culprit>,
        next: NextStep,
    ) -> StallReport {
        let refusals = refusal::all(self.core.memory());
        StallReport { refusals, ..StallReport::new(self.segment().called(), waiting_for, waited, culprit, next) }
    }

    /// The consumer at `index`, if it gates: also if its status was damaged and says that no consumer is there.
    fn consumer_in_the_way(&self, index: usize) -> Option<ConsumerInfo> {
        self.core.gates(index).then(|| roster::describe(self.core.memory(), index))
    }

    /// Reports to `tracing` and the counter, and to the hook if the wait is a watched one.
    pub(super) fn alert(
        &mut self,
        watch: Watch,
        id: &str,
        last_sequence: i64,
        stalled_for: Duration,
        report: &StallReport,
    ) {
        self.counters.stalls.inc();
        #[cfg(feature = "tracing")]
        tracing::warn!(consumer = id, last_sequence, ?stalled_for, "{report}");
        let managed = self.monitor.as_ref().filter(|_| watch == Watch::Managed);
        let Some(hook) = managed.and_then(|monitor| monitor.config.alert_hook.clone()) else { return };
        let alert = RequiredConsumerAlert::new(id.to_owned(), last_sequence, stalled_for, report.clone());
        // The hook is the user's. Whatever it does, the watch goes on.
        let _ = catch_unwind(AssertUnwindSafe(|| hook(&alert)));
    }
}

/// A consumer as the culprit of a report.
pub(super) fn culprit(info: ConsumerInfo, published: i64, age: Duration) -> Culprit {
    Culprit {
        facts: info.process.observe(),
        id: info.id,
        rank: info.rank,
        process: info.process,
        is_dead: info.ending == Some(Ending::Killed),
        ending: info.ending,
        sequence: info.position,
        lag_events: published.saturating_sub(info.position).max(0) as u64,
        is_inside_handler: info.delivered > info.position,
        held: info.held,
        no_progress_for: Some(age).filter(|age| !age.is_zero()),
    }
}

struct RoomWait<'a, S: Carries> {
    producer: &'a mut ProducerSide<S>,
    target: Target,
    watch: Watch,
    scan: Scan,
    since: Instant,
    next_monitor: Option<Instant>,
    /// The dead consumer that the hook was told last, by entry and epoch: once per death.
    last_reported: Option<(usize, u64)>,
}

impl<S: Carries> RoomWait<'_, S> {
    fn look_again(&mut self) -> bool {
        self.scan = self.producer.rescan_for(self.target.room());
        self.producer.has_reached(self.target, self.scan)
    }

    fn hindrance(&self) -> Hindrance {
        self.producer.hindrance(self.target, self.scan)
    }

    /// A report about the consumer at `index`, and about the start-up buffer if that is in the way as well.
    fn report(&self, index: usize, next: NextStep) -> StallReport {
        let hindrance = Hindrance { consumer: Some(index), ..self.hindrance() };
        self.producer.report(hindrance, self.since.elapsed(), next)
    }

    /// The kernel has refused what the next step needs. Nothing is concluded about the consumer.
    fn refused(&self, index: usize, call: &'static str, error: &std::io::Error) -> Blocked {
        let refused = Some(RefusedCall::new(call, error));
        Blocked::Os { report: Box::new(StallReport { refused, ..self.report(index, NextStep::GiveUp) }) }
    }

    /// A consumer without an owner whose entry is kept: it is evicted, or waited for, or ends the wait.
    fn died(&mut self, index: usize, gone: ConsumerInfo) -> Option<Blocked> {
        if self.watch == Watch::Managed && self.producer.is_required(&gone.id) {
            return Some(Blocked::Gone);
        }
        let ConsumerInfo { id, process, position, ending, .. } = gone;
        let managed = self.producer.monitor.as_ref().filter(|_| self.watch == Watch::Managed);
        let action = managed.map(|monitor| monitor.config.failure_action);
        let seen = self.producer.core.entry(index).status();
        let last_sequence = position.saturating_sub(1);
        let next = match action {
            Some(RequiredConsumerFailureAction::Evict) => NextStep::Evict,
            Some(RequiredConsumerFailureAction::AlertOnly) => NextStep::KeepWaiting,
            Some(RequiredConsumerFailureAction::GracefulShutdown) | None => NextStep::GiveUp,
        };
        let report = self.report(index, next);
        if self.last_reported != Some((index, seen.epoch)) {
            self.last_reported = Some((index, seen.epoch));
            self.producer.alert(self.watch, &id, last_sequence, self.since.elapsed(), &report);
        }
        match next {
            NextStep::Evict => match self.producer.evict(index, seen) {
                Ok(_) => {
                    self.look_again();
                    None
                }
                Err(error) => Some(self.refused(index, "locking its entry to evict it", &error)),
            },
            NextStep::KeepWaiting => None,
            _ => {
                let how = ending.unwrap_or(Ending::Unknown);
                Some(Blocked::Died { id, pid: process.pid, how, last_sequence, report: Box::new(report) })
            }
        }
    }

    /// The consumer whose patience counts: a required one that is in the way, or else the slowest if it is in the way.
    fn watched(&self) -> Option<usize> {
        let consumer = self.hindrance().consumer?;
        let Target::Room(count) = self.target else { return Some(consumer) };
        let memory = self.producer.core.memory();
        let room = |index: usize| {
            let position = memory.entry(index).position.load(Ordering::Relaxed); // any value may be there
            position.saturating_add(memory.capacity()).saturating_sub(self.producer.core.next())
        };
        self.producer.required_entries().find(|&index| room(index) < count as i64).or(Some(consumer))
    }

    fn consult_monitor(&mut self, now: Instant) -> Option<Blocked> {
        if self.watch != Watch::Managed {
            return None;
        }
        let index = self.watched()?;
        let entry = self.producer.core.entry(index);
        let (epoch, position) = (entry.status().epoch, entry.position.load(Ordering::Relaxed));
        let ConsumerInfo { id, position: sequence, .. } = self.producer.consumer_in_the_way(index)?;
        let is_required = self.producer.is_required(&id);
        let monitor = self.producer.monitor.as_mut()?;
        self.next_monitor = now.checked_add(monitor.config.progress_check_interval);
        let last_sequence = sequence.saturating_sub(1);
        match monitor.observe(now, Look { entry: index, epoch, position, is_required }) {
            Verdict::Wait => None,
            Verdict::Alert { stalled_for, shuts_down_in } => {
                let next = shuts_down_in.map_or(NextStep::KeepWaiting, NextStep::ShutDownIn);
                let report = self.report(index, next);
                self.producer.alert(self.watch, &id, last_sequence, stalled_for, &report);
                None
            }
            Verdict::ShutDown { stalled_for } => Some(Blocked::Shut { id, last_sequence, stalled_for }),
        }
    }
}

impl<S: Carries> Awaited for RoomWait<'_, S> {
    type Reason = Blocked;

    fn is_ready(&mut self) -> bool {
        // A look at all consumers for another reason (before a sleep, after a death) may have found it.
        if self.producer.has_reached(self.target, self.scan) {
            return true;
        }
        // The cheap question first: has the consumer that we wait for moved? Only then are all looked at again.
        match self.hindrance() {
            Hindrance { consumer: Some(index), .. } => {
                let entry = self.producer.core.entry(index);
                let moved = entry.position.load(Ordering::Relaxed) != self.scan.lowest || !entry.status().gates();
                moved && self.look_again()
            }
            // This producer lifts it when it checks which consumers have joined.
            Hindrance { buffer: true, .. } => false,
            Hindrance { buffer: false, .. } => self.look_again(),
        }
    }

    fn is_ended(&mut self) -> bool {
        self.next_monitor.is_some_and(|at| Instant::now() >= at)
            || (self.watch == Watch::Managed && !self.producer.is_settled())
    }

    fn examine(&mut self) -> Option<Blocked> {
        if self.producer.segment().fate() != Fate::Live {
            return Some(Blocked::Replaced);
        }
        if self.producer.core.memory().control().gate.closing() != 0 {
            return Some(Blocked::Closed);
        }
        if self.watch == Watch::Managed && !self.producer.is_settled() {
            return Some(Blocked::Gone);
        }
        if self.producer.lift_sentinel_if_complete() {
            self.look_again();
            return None;
        }
        let Some(index) = self.hindrance().consumer else {
            self.look_again();
            return None;
        };
        match self.producer.bury(index) {
            Ok(Fallen::No | Fallen::Awaited) => {}
            Ok(Fallen::Freed(gone)) => {
                let (id, last_sequence) = (gone.id.clone(), gone.position.saturating_sub(1));
                let waited = self.since.elapsed();
                let culprit = culprit(gone, self.producer.next_number(), waited);
                let report = self.producer.new_report(self.target.reason(), waited, Some(culprit), NextStep::Evict);
                self.producer.alert(self.watch, &id, last_sequence, waited, &report);
                self.look_again();
                return None;
            }
            Ok(Fallen::Kept(gone)) => return self.died(index, gone),
            Err(error) => return Some(self.refused(index, "looking at its lock, or freeing its entry", &error)),
        }
        self.look_again();
        self.consult_monitor(Instant::now())
    }

    fn park(&mut self, slice: Duration) {
        let Some(index) = self.hindrance().consumer else {
            // No consumer is in the way, so none will ring. An expected consumer joins without ringing; that nothing at
            // all is in the way lasts only a moment.
            if !self.producer.lift_sentinel_if_complete() {
                self.producer.counters.parks.inc();
                std::thread::sleep(slice.min(JOIN_POLL));
            }
            self.look_again();
            return;
        };
        let count = match self.target {
            Target::Room(count) => count as i64,
            // Sleeps until the consumer moves at all: no room is ever large enough.
            Target::Consumed(_) => i64::MAX,
        };
        let Some(park) = self.producer.core.prepare_park(index, count) else {
            // There is room, or another consumer is in the way by now.
            self.look_again();
            return;
        };
        if self.is_ready() {
            return;
        }
        let slice = if park.barrier { slice } else { slice.min(SLICE_WITHOUT_BARRIER) };
        // Well below the longest gap between two looks that counts.
        let interval = self.producer.monitor.as_ref().filter(|_| self.watch == Watch::Managed);
        let slice = interval.map_or(slice, |it| slice.min(it.config.progress_check_interval.saturating_mul(5)));
        self.producer.counters.parks.inc();
        let woken = self.producer.core.entry(index).writer.sleep(park.ticket, slice);
        match woken {
            Woken::Rung => self.producer.counters.unparks.inc(),
            Woken::TimedOut => self.suspect_lost_wakeup(index, park.ticket),
        }
    }

    fn count_spins(&mut self, _spins: u64) {}
}

impl<S: Carries> RoomWait<'_, S> {
    /// A slice passed. If the consumer has moved meanwhile and does not ring in the next milliseconds either, its wake
    /// was lost.
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
