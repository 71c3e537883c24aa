//! What an agent has done and does now, readable from every thread, also while it hangs.

use super::Activity;
use crate::one_line::OneLine;
use crate::primitive::{AtomicU8, AtomicU64, Ordering};
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Where an agent is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum AgentState {
    /// It was not started yet.
    New,
    /// It is started, and called in each cycle.
    Runs,
    /// It has failed, and is started again when its back-off is over.
    BacksOff,
    /// It is closed, and not started again.
    Ended,
}

impl AgentState {
    const ALL: [Self; 4] = [Self::New, Self::Runs, Self::BacksOff, Self::Ended];
}

impl fmt::Display for AgentState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::New => "new",
            Self::Runs => "runs",
            Self::BacksOff => "backs off",
            Self::Ended => "ended",
        })
    }
}

/// How many bits of *doing* are the time. The three others are the activity; 0: none.
const TIME_BITS: u32 = 61;
const TIME: u64 = (1 << TIME_BITS) - 1;

/// Everything about one agent that other threads may see. Only the thread that runs it writes, so a load and a store
/// add.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) name: String,
    state: AtomicU8,
    /// The activity, and when it began in nanoseconds after the group was made, in one word: no reader sees the time of
    /// another activity.
    doing: AtomicU64,
    cycles: AtomicU64,
    work: AtomicU64,
    idles: AtomicU64,
    starts: AtomicU64,
    failures: AtomicU64,
    restarts: AtomicU64,
    longest: AtomicU64,
    last_error: Mutex<Option<String>>,
}

fn add(number: &AtomicU64, by: u64) {
    number.store(number.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Record {
    pub(super) fn new(name: String) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            name,
            state: AtomicU8::new(AgentState::New as u8),
            doing: zero(),
            cycles: zero(),
            work: zero(),
            idles: zero(),
            starts: zero(),
            failures: zero(),
            restarts: zero(),
            longest: zero(),
            last_error: Mutex::new(None),
        }
    }

    pub(super) fn set_state(&self, state: AgentState) {
        self.state.store(state as u8, Ordering::Relaxed);
    }

    /// A call begins, at a time after the group was made.
    pub(super) fn begin(&self, activity: Activity, at: Duration) {
        self.doing.store((activity as u64) << TIME_BITS | (nanos(at) & TIME), Ordering::Relaxed);
    }

    /// The call has returned or panicked.
    pub(super) fn end(&self) {
        self.doing.store(0, Ordering::Relaxed);
    }

    pub(super) fn worked(&self, count: usize, took: Duration) {
        let took = nanos(took);
        add(&self.cycles, 1);
        add(if count == 0 { &self.idles } else { &self.work }, count.max(1) as u64);
        if took > self.longest.load(Ordering::Relaxed) {
            self.longest.store(took, Ordering::Relaxed);
        }
    }

    pub(super) fn started(&self) {
        add(&self.starts, 1);
    }

    pub(super) fn restarting(&self) {
        add(&self.restarts, 1);
    }

    pub(super) fn fail(&self, error: String) {
        add(&self.failures, 1);
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    /// What it does now, and for how long. `now` is a time after the group was made.
    pub(super) fn doing(&self, now: Duration) -> Option<(Activity, Duration)> {
        let doing = self.doing.load(Ordering::Relaxed);
        let activity = *Activity::ALL.get(((doing >> TIME_BITS) as usize).checked_sub(1)?)?;
        Some((activity, now.saturating_sub(Duration::from_nanos(doing & TIME))))
    }

    pub(super) fn report(&self, now: Duration) -> AgentReport {
        let value = |number: &AtomicU64| number.load(Ordering::Relaxed);
        AgentReport {
            name: self.name.clone(),
            state: AgentState::ALL[self.state.load(Ordering::Relaxed) as usize],
            cycles: value(&self.cycles),
            work: value(&self.work),
            idles: value(&self.idles),
            starts: value(&self.starts),
            failures: value(&self.failures),
            restarts: value(&self.restarts),
            longest: Duration::from_nanos(value(&self.longest)),
            doing: self.doing(now),
            last_error: self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

/// What an agent is and has done. Each number is true for some moment; together they may be of different ones.
///
/// ```
/// use myelon_runtime::agents::{AgentState, Group, Work, from_fn};
///
/// let mut invoker = Group::new("example").agent(from_fn("heart", |_| Ok(Work::Count(2)))).into_invoker();
/// invoker.invoke(); // the start
/// invoker.invoke(); // the first `do_work`
/// let handle = invoker.handle(); // for any thread
/// let heart = &handle.agents()[0];
/// assert_eq!((heart.name.as_str(), heart.state, heart.cycles, heart.work), ("heart", AgentState::Runs, 1, 2));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AgentReport {
    /// Its name.
    pub name: String,
    /// Where it is in its life.
    pub state: AgentState,
    /// How often `do_work` has returned without error.
    pub cycles: u64,
    /// The sum of what it has answered.
    pub work: u64,
    /// In how many cycles there was nothing to do.
    pub idles: u64,
    /// How often it was started with success. It was closed as often, or once less if it runs.
    pub starts: u64,
    /// How often a call was an error or a panic.
    pub failures: u64,
    /// How often it was started again after a failure, or this was tried.
    pub restarts: u64,
    /// The time of the longest `do_work` that has returned.
    pub longest: Duration,
    /// The call in which it is now, and for how long.
    pub doing: Option<(Activity, Duration)>,
    /// Its last error, as text.
    pub last_error: Option<String>,
}

impl fmt::Display for AgentReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, state, cycles, work, idles, failures, restarts, longest, .. } = self;
        write!(f, "{state:<9} {cycles:>9} cycles {work:>9} work {idles:>9} idle {failures:>5} failed")?;
        write!(f, " {restarts:>5} restarts  {longest:>9.1?} longest  {name}")?;
        if let Some((activity, since)) = self.doing {
            write!(f, "; in {activity} for {since:.1?}")?;
        }
        match &self.last_error {
            Some(error) => write!(f, "; last error: {}", OneLine(error)),
            None => Ok(()),
        }
    }
}
