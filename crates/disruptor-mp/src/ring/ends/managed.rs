//! Publishing that requires certain consumers to be there, and that limits how long it waits for them.
//!
//! The rule: when a call returns `Ok`, no required consumer was known to be missing.
//!
//! - A consumer that leaves, is dropped or is evicted is counted in the ring's word *departures*. A managed call
//!   compares that word with its value when all required consumers were last found to be there.
//! - A process that is killed counts nothing, so the kernel must be asked. Managed calls look at the clock for that
//!   after [`LOOK_EVENTS_MIN`] events, then after twice as many each time, up to half of the ring. They ask when
//!   [`ASK_INTERVAL`] has passed since they last asked; then they begin with few events again. So a slow producer asks
//!   every few events, and a fast one hardly looks at the clock. Whether a consumer has moved meanwhile does not
//!   matter: it may have been killed right after.
//! - A call that waits for room asks about the consumer that it waits for.
//! - The watcher thread asks once in each interval and counts what it finds.

use super::pace::coarse_now_ns;
use super::producer_end::ProducerBase;
use super::producer_side::{JOIN_POLL, ProducerSide};
use super::room::{Blocked, Target, Watch, culprit};
use crate::error::MultiProcessError;
use crate::liveness::monitor::Monitor;
use crate::liveness::{
    NextStep, RefusedCall, RequiredConsumerError, RequiredConsumerFailureAction, RequiredConsumerLivenessConfig,
    StallReport, WaitingFor,
};
use crate::ring::eviction::Fallen;
use crate::ring::identity::ConsumerId;
use crate::ring::memory::layout::Carries;
use crate::ring::memory::mapped::Mapped;
use crate::ring::protocol::ending::Ending;
use crate::ring::protocol::memory::Memory;
use crate::ring::roster::{self, ConsumerInfo};
use crate::sync::companion::Companion;
use crate::sync::primitive::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The state of managed publishing.
pub(super) struct Management {
    /// The count of departures at which all required consumers were last found to be there, [`UNSETTLED`] if they were
    /// not. The fast path compares only this word.
    settled_at: u64,
    required: Vec<Required>,
    /// After how many events managed calls look again although there is room; and the maximum of that number.
    look_events: i64,
    look_events_max: i64,
    /// When the kernel was asked about all required consumers, by [`coarse_now_ns`].
    asked_ns: u64,
    /// What shut the producer.
    shut: Option<RequiredConsumerError>,
    watcher: Option<Watcher>,
}

/// A value that no count of departures has: these have 32 bits.
const UNSETTLED: u64 = u64::MAX;

/// The shortest interval between two looks, of the monitor or of the watcher.
const INTERVAL_MIN: Duration = Duration::from_millis(1);

/// The shortest time between two questions to the kernel about required consumers, by managed calls that find room. So
/// while consumers keep up, the number of system calls does not grow with the events. Measured by a clock that goes in
/// steps of a few milliseconds and costs a few nanoseconds.
const ASK_INTERVAL: Duration = Duration::from_millis(5);

/// The fewest events after which managed calls look at that clock although there is room: a slow producer must not look
/// at it for every event.
const LOOK_EVENTS_MIN: i64 = 16;

/// The least number of looks at it in one lap of a ring that always has room.
const LOOKS_A_LAP: i64 = 2;

/// A consumer that must be there.
struct Required {
    id: String,
    /// Where it was last found; `None` until it is found for the first time.
    met: Option<Met>,
    /// The entry and the owner whose departure the hook was told last. The hook is told once per departure, even if no
    /// call had found that owner again.
    alerted: Option<(usize, u64)>,
    /// The failure action has excused it: it is required again once it is back. For each entry, the epoch at that time:
    /// an entry that it gets later is in a later epoch.
    excused: Option<Vec<u64>>,
}

/// What is known of a required consumer that was there.
struct Met {
    index: usize,
    epoch: u64,
    /// The number of the next event that it reads, when it was last seen.
    number: i64,
}

impl Met {
    /// Whether the owner at that time still owns the entry.
    fn is_there<S: Carries>(&self, memory: &Mapped<S>) -> bool {
        let entry = memory.entry(self.index);
        let status = entry.status();
        status.gates() && status.epoch == self.epoch && entry.ending(status).is_none()
    }
}

/// A required consumer that is not there.
enum Missing {
    /// It has not joined yet.
    NotMet,
    /// Number `of` of the required consumers, which had entry `index`, has gone. `kept`: its entry is kept.
    Gone { of: usize, index: usize, info: Box<ConsumerInfo>, kept: bool },
}

impl Default for Management {
    fn default() -> Self {
        Self {
            settled_at: UNSETTLED,
            required: Vec::new(),
            look_events: 0,
            look_events_max: 0,
            asked_ns: 0,
            shut: None,
            watcher: None,
        }
    }
}

impl Required {
    fn new(id: String) -> Self {
        Self { id, met: None, alerted: None, excused: None }
    }
}

impl<S: Carries> ProducerBase<S> {
    pub(super) fn enable_required_consumer_liveness(
        &mut self,
        mut config: RequiredConsumerLivenessConfig,
    ) -> Result<(), MultiProcessError> {
        if let Some(grace_ms) = crate::environment::number::<u64>("MYELON_SHUTDOWN_GRACE_MS")? {
            config.shutdown_grace_period = Duration::from_millis(grace_ms);
        }
        config.progress_check_interval = config.progress_check_interval.max(INTERVAL_MIN);
        let mut ids = config.required_consumer_ids.clone();
        ids.sort();
        ids.dedup();
        let place = || self.side.segment().called();
        let places = self.side.core.memory().table_len();
        if ids.is_empty() {
            return Err(MultiProcessError::NoRequiredConsumers { place: place() });
        }
        if ids.len() > places {
            return Err(MultiProcessError::TooManyExpected {
                place: place(),
                expected: ids.len(),
                max_consumers: places,
            });
        }
        for id in &ids {
            ConsumerId::chosen(id)?;
        }
        self.side.management = Management {
            required: ids.into_iter().map(Required::new).collect(),
            look_events: LOOK_EVENTS_MIN,
            look_events_max: (self.side.core.memory().capacity() / LOOKS_A_LAP).max(LOOK_EVENTS_MIN),
            ..Default::default()
        };
        self.side.monitor = Some(Monitor::new(config));
        Ok(())
    }

    pub(super) fn reset_required_consumer_liveness(&mut self) {
        let required = std::mem::take(&mut self.side.management.required);
        self.side.management.required = required.into_iter().map(|required| Required::new(required.id)).collect();
        self.side.management.settled_at = UNSETTLED;
        self.side.management.shut = None;
        if let Some(monitor) = &mut self.side.monitor {
            monitor.relieved();
        }
    }

    pub(super) fn watch_required_consumers(&mut self, interval: Duration) -> std::io::Result<()> {
        if self.side.monitor.is_none() {
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, RequiredConsumerError::NotEnabled));
        }
        let ids = self.side.management.required.iter().map(|required| required.id.clone()).collect();
        let memory = self.side.core.memory().clone();
        self.side.management.watcher = Some(Watcher::start(memory, ids, interval.max(INTERVAL_MIN))?);
        Ok(())
    }

    #[inline(always)]
    pub(super) fn enter_managed(
        &mut self,
        count: usize,
        deadline: Option<Instant>,
    ) -> Result<(), RequiredConsumerError> {
        if (self.side.must_look_managed(count) || !self.side.is_settled()) && !self.may_go_on(count) {
            self.enter_managed_slowly(count, deadline)?;
        }
        Ok(())
    }

    /// Whether only the clock must be looked at, which says that the kernel was asked a moment ago.
    #[cold]
    #[inline(never)]
    fn may_go_on(&mut self, count: usize) -> bool {
        let may_go_on = !self.side.must_look(count) && self.side.is_settled() && !self.side.is_ask_due();
        if may_go_on {
            let management = &mut self.side.management;
            management.look_events = (2 * management.look_events).min(management.look_events_max);
            self.side.watch_until_next_look(count);
        }
        may_go_on
    }

    #[cold]
    #[inline(never)]
    fn enter_managed_slowly(&mut self, count: usize, deadline: Option<Instant>) -> Result<(), RequiredConsumerError> {
        if self.side.monitor.is_none() {
            return Err(RequiredConsumerError::NotEnabled);
        }
        if self.side.is_forked() {
            return Err(RequiredConsumerError::Forked);
        }
        if let Some(shut) = &self.side.management.shut {
            return Err(shut.clone());
        }
        let capacity = self.side.capacity();
        if count > capacity {
            return Err(RequiredConsumerError::TooLarge { count, capacity });
        }
        if self.side.must_look(count) && !self.side.may_claim(count) {
            self.side.rescan_for(count);
        }
        let mut has_gone = false;
        loop {
            let has_room = !self.side.must_look(count);
            // A consumer that was killed while it left has freed its entry and may not have counted itself. The table
            // shows that without a system call.
            if has_gone || !self.side.is_settled() || (has_room && (self.side.is_ask_due() || !self.side.are_there())) {
                self.side.settle(deadline)?;
            }
            if !self.side.must_look(count) {
                break;
            }
            has_gone = match self.side.wait_for(&mut self.waiter, Target::Room(count), deadline, Watch::Managed) {
                Ok(()) => false,
                Err(Blocked::Gone) => true,
                Err(blocked) => return Err(self.side.managed_error(blocked)),
            };
        }
        self.side.watch_until_next_look(count);
        Ok(())
    }
}

impl<S: Carries> ProducerSide<S> {
    /// Whether no consumer has gone since all required consumers were found to be there.
    #[inline(always)]
    pub(super) fn is_settled(&self) -> bool {
        u64::from(self.core.memory().control().gate.departures_now()) == self.management.settled_at
    }

    /// Whether a required consumer has shut the producer to managed calls.
    pub(super) fn is_shut(&self) -> bool {
        self.management.shut.is_some()
    }

    /// Whether consumer `id` must be there.
    pub(super) fn is_required(&self, id: &str) -> bool {
        self.management.required.iter().any(|required| required.id == id)
    }

    /// The entries of the required consumers that were there at the last look.
    pub(super) fn required_entries(&self) -> impl Iterator<Item = usize> {
        let memory = self.core.memory();
        let met = self.management.required.iter().filter_map(|required| required.met.as_ref());
        met.filter(|met| met.is_there(memory)).map(|met| met.index)
    }

    /// What is published before the next look: `count` events now, and perhaps more.
    fn watch_until_next_look(&mut self, count: usize) {
        self.core.watch(self.management.look_events.max(count as i64));
    }

    /// Whether the kernel must be asked about the required consumers, whatever they have done since.
    fn is_ask_due(&self) -> bool {
        coarse_now_ns().wrapping_sub(self.management.asked_ns) >= ASK_INTERVAL.as_nanos() as u64
    }

    /// Whether the table has all required consumers as they were last found. One that the failure action has excused
    /// may be away.
    fn are_there(&self) -> bool {
        let memory = self.core.memory();
        self.management.required.iter().filter_map(|required| required.met.as_ref()).all(|met| met.is_there(memory))
    }

    /// Asks the kernel about all required consumers, until all of them are there, or the failure action or a timeout
    /// ends that.
    #[cold]
    #[inline(never)]
    fn settle(&mut self, deadline: Option<Instant>) -> Result<(), RequiredConsumerError> {
        let begin = Instant::now();
        self.management.settled_at = UNSETTLED;
        loop {
            // The count is read before the looks: a consumer that goes after its look has counted itself by the next
            // comparison.
            let departures = self.core.memory().control().gate.departures();
            let asked_ns = coarse_now_ns();
            let missing = match self.first_missing()? {
                None => {
                    self.management.settled_at = departures.into();
                    (self.management.asked_ns, self.management.look_events) = (asked_ns, LOOK_EVENTS_MIN);
                    return Ok(());
                }
                Some(missing) => missing,
            };
            let is_late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
            match missing {
                Missing::NotMet => {
                    let patience = self.monitor.as_ref().map(|monitor| monitor.config.startup_wait_timeout);
                    if is_late || patience.is_some_and(|patience| begin.elapsed() >= patience) {
                        return Err(RequiredConsumerError::StartupTimeout { missing: self.not_met() });
                    }
                }
                Missing::Gone { of, index, info, kept } => {
                    let Some(report) = self.act_on(of, index, &info, kept, begin)? else { continue };
                    if is_late {
                        return Err(RequiredConsumerError::TimedOut { report: Box::new(report) });
                    }
                }
            }
            std::thread::sleep(JOIN_POLL);
        }
    }

    /// A required consumer that is not there; one that has gone is returned before one that has not come. Allocates
    /// nothing if there is none: this runs from time to time also when no consumer is slow.
    fn first_missing(&mut self) -> Result<Option<Missing>, RequiredConsumerError> {
        let mut not_met = false;
        for of in 0..self.management.required.len() {
            match self.look_for(of)? {
                None => {}
                Some(Missing::NotMet) => not_met = true,
                gone => return Ok(gone),
            }
        }
        Ok(not_met.then_some(Missing::NotMet))
    }

    /// Looks for required consumer number `of`; `None` if it is there, or the failure action has excused it.
    fn look_for(&mut self, of: usize) -> Result<Option<Missing>, RequiredConsumerError> {
        let memory = self.core.memory().clone();
        let required = &self.management.required[of];
        let index = match &required.met {
            Some(met) if met.is_there(&memory) => Some(met.index),
            _ => roster::find(&memory, &required.id),
        };
        let Some(index) = index else { return Ok(self.nowhere(of)) };
        let status = memory.entry(index).status();
        let fallen = self.bury(index).map_err(|error| RequiredConsumerError::Os {
            report: Box::new(self.refused(&roster::describe(&memory, index), &error)),
        })?;
        match fallen {
            Fallen::Kept(info) => Ok(Some(Missing::Gone { of, index, info: Box::new(info), kept: true })),
            Fallen::Awaited => Ok(Some(Missing::NotMet)),
            Fallen::Freed(_) => Ok(self.nowhere(of)),
            // It gave its entry up between the looks.
            Fallen::No if !memory.entry(index).status().gates() => Ok(self.nowhere(of)),
            Fallen::No => {
                let required = &mut self.management.required[of];
                required.excused = None;
                let number = memory.number_at(memory.entry(index).position.load(Ordering::Acquire));
                required.met = Some(Met { index, epoch: status.epoch, number });
                Ok(None)
            }
        }
    }

    /// Required consumer number `of` has no entry in the table.
    fn nowhere(&self, of: usize) -> Option<Missing> {
        let required = &self.management.required[of];
        let memory = self.core.memory();
        let (index, epoch, number) = match (&required.excused, &required.met) {
            // It was back, was not found, and has gone again. The entry is free, so its owner had the previous epoch.
            (Some(epochs), _) => {
                let index = left_again(memory, epochs, &required.id)?;
                let entry = memory.entry(index);
                let number = memory.number_at(entry.position.load(Ordering::Acquire));
                (index, entry.status().epoch.saturating_sub(1), number)
            }
            (None, Some(met)) => (met.index, met.epoch, met.number),
            (None, None) => return Some(Missing::NotMet),
        };
        // Its entry still names it, unless another consumer has the entry by now.
        let last = roster::describe(memory, index);
        let is_last = last.id == required.id;
        let info = ConsumerInfo {
            id: required.id.clone(),
            position: number,
            delivered: number,
            owner: epoch,
            alive: false,
            ending: Some(Ending::Left),
            rank: last.rank.filter(|_| is_last),
            process: if is_last { last.process } else { crate::liveness::ProcessIdentity::unknown() },
            id_is_generated: false,
            held: None,
        };
        Some(Missing::Gone { of, index, info: Box::new(info), kept: false })
    }

    /// The required consumers that have not joined yet.
    fn not_met(&mut self) -> Vec<String> {
        let required = &self.management.required;
        required.iter().filter(|required| !self.is_joined(&required.id)).map(|required| required.id.clone()).collect()
    }

    /// A required consumer has gone: tells the hook once, then does what the failure action says. `Some` if that is to
    /// wait for it.
    fn act_on(
        &mut self,
        of: usize,
        index: usize,
        info: &ConsumerInfo,
        kept: bool,
        since: Instant,
    ) -> Result<Option<StallReport>, RequiredConsumerError> {
        let (action, next) = self.on_missing();
        let last_sequence = info.position.saturating_sub(1);
        let stood = self.monitor.as_ref().and_then(Monitor::stalled_for).unwrap_or_default();
        let report = self.report_missing(info, since.elapsed(), next);
        let gone = Some((index, info.owner));
        if std::mem::replace(&mut self.management.required[of].alerted, gone) != gone {
            self.alert(Watch::Managed, &info.id, last_sequence, stood, &report);
        }
        match action {
            RequiredConsumerFailureAction::AlertOnly => Ok(Some(report)),
            RequiredConsumerFailureAction::Evict => {
                // Before it is excused: if it comes back afterwards, it is in a later epoch, whichever entry it takes.
                let mut epochs = epochs_of(self.core.memory());
                epochs[index] = info.owner + 1;
                if kept && let Some(index) = roster::find(self.core.memory(), &info.id) {
                    let seen = self.core.entry(index).status();
                    self.evict(index, seen)
                        .map_err(|error| RequiredConsumerError::Os { report: Box::new(self.refused(info, &error)) })?;
                }
                let required = &mut self.management.required[of];
                (required.excused, required.met) = (Some(epochs), None);
                Ok(None)
            }
            RequiredConsumerFailureAction::GracefulShutdown => {
                let (consumer_id, pid) = (info.id.clone(), info.process.pid);
                Err(match info.ending {
                    Some(Ending::Left) => RequiredConsumerError::ConsumerLeft { consumer_id, pid, last_sequence },
                    how => {
                        let how = how.unwrap_or(Ending::Unknown);
                        RequiredConsumerError::ConsumerDied { consumer_id, pid, how, last_sequence }
                    }
                })
            }
        }
    }

    /// What is done about a required consumer that has gone.
    fn on_missing(&self) -> (RequiredConsumerFailureAction, NextStep) {
        let action = self.monitor.as_ref().map_or_else(Default::default, |monitor| monitor.config.failure_action);
        let next = match action {
            RequiredConsumerFailureAction::GracefulShutdown => NextStep::GiveUp,
            RequiredConsumerFailureAction::AlertOnly => NextStep::KeepWaiting,
            RequiredConsumerFailureAction::Evict => NextStep::Evict,
        };
        (action, next)
    }

    /// The report on a required consumer that is not there. A managed call waits for it, or gives up because of it,
    /// also where there is room.
    pub(super) fn report_on_required(&mut self) -> Option<StallReport> {
        if self.monitor.is_none() || self.is_shut() || self.is_forked() || self.is_settled() {
            return None;
        }
        match self.first_missing() {
            Ok(None) => None,
            Ok(Some(Missing::NotMet)) => {
                Some(self.new_report(WaitingFor::Consumers, Duration::ZERO, None, NextStep::KeepWaiting))
            }
            Ok(Some(Missing::Gone { info, .. })) => {
                Some(self.report_missing(&info, Duration::ZERO, self.on_missing().1))
            }
            Err(RequiredConsumerError::Os { report }) => Some(*report),
            Err(_) => None,
        }
    }

    fn report_missing(&self, info: &ConsumerInfo, waited: Duration, next: NextStep) -> StallReport {
        let culprit = culprit(info.clone(), self.next_number(), Duration::ZERO);
        self.new_report(WaitingFor::Consumers, waited, Some(culprit), next)
    }

    fn refused(&self, info: &ConsumerInfo, error: &std::io::Error) -> StallReport {
        let refused = Some(RefusedCall::new("looking at its lock, or freeing its entry", error));
        StallReport { refused, ..self.report_missing(info, Duration::ZERO, NextStep::GiveUp) }
    }

    #[cold]
    #[inline(never)]
    fn managed_error(&mut self, blocked: Blocked) -> RequiredConsumerError {
        match blocked {
            Blocked::Forked => RequiredConsumerError::Forked,
            Blocked::Closed | Blocked::Replaced => RequiredConsumerError::Replaced,
            Blocked::TimedOut { report } => RequiredConsumerError::TimedOut { report },
            Blocked::TooLarge { count, capacity } => RequiredConsumerError::TooLarge { count, capacity },
            Blocked::Os { report } => RequiredConsumerError::Os { report },
            Blocked::Died { id, pid, how, last_sequence, .. } => {
                RequiredConsumerError::ConsumerDied { consumer_id: id, pid, how, last_sequence }
            }
            Blocked::Gone => unreachable!("managed publishing looks for those who have gone and goes on"),
            Blocked::Shut { id, last_sequence, stalled_for } => {
                let shut =
                    RequiredConsumerError::GracefulShutdownTriggered { consumer_id: id, last_sequence, stalled_for };
                // Every managed call now takes the slow path and finds that the producer is shut.
                self.management.settled_at = UNSETTLED;
                self.management.shut = Some(shut.clone());
                shut
            }
        }
    }
}

/// The epoch of every entry.
fn epochs_of<S: Carries>(memory: &Mapped<S>) -> Vec<u64> {
    (0..memory.table_len()).map(|index| memory.entry(index).status().epoch).collect()
}

/// The free entry that a consumer called `id` has had and left since the entries were in `epochs`. Not found if another
/// consumer has taken the entry since.
fn left_again<S: Carries>(memory: &Mapped<S>, epochs: &[u64], id: &str) -> Option<usize> {
    (0..epochs.len()).find(|&index| {
        let (entry, status) = (memory.entry(index), memory.entry(index).status());
        status.is_free() && status.epoch > epochs[index] && entry.member.id() == id
    })
}

/// A thread that asks the kernel which required consumers have gone, and counts each of them as departed.
struct Watcher {
    stop: Arc<AtomicBool>,
    thread: Option<Companion<()>>,
}

impl Watcher {
    fn start<S: Carries>(memory: Mapped<S>, ids: Vec<String>, interval: Duration) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let watch = move || {
            // The entry and the epoch that were counted last, for each required consumer.
            let mut counted = vec![None; ids.len()];
            while !flag.load(Ordering::Relaxed) {
                for (id, counted) in ids.iter().zip(&mut counted) {
                    let Some(index) = roster::find(&memory, id) else { continue };
                    let owner = Some((index, memory.entry(index).status().epoch));
                    // An error of the kernel proves nothing; the next look asks again.
                    if *counted != owner && matches!(roster::ending(&memory, index), Ok(Some(_))) {
                        *counted = owner;
                        memory.control().gate.count_departure();
                    }
                }
                std::thread::park_timeout(interval);
            }
        };
        Ok(Self { stop, thread: Some(Companion::start("myelon-watch", watch)?) })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It runs no code of the user, so it cannot panic because of it.
            drop(thread.join());
        }
    }
}
