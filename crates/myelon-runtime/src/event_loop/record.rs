//! What a source has done, readable from every thread, also while its handler runs.

use super::{Settings, SourceId};
use crate::one_line::OneLine;
use crate::primitive::{AtomicU8, AtomicU64, Ordering};
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What a source waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SourceKind {
    /// A descriptor.
    Descriptor,
    /// Signals.
    Signals,
    /// The end of a child.
    Child,
    /// A deadline.
    Timer,
    /// Commands of other threads.
    Channel,
    /// A loop without work.
    Idle,
    /// A safe point that is asked for.
    SafePoint,
    /// Tasks that wait for memory.
    MemoryPressure,
}

impl fmt::Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Descriptor => "descriptor",
            Self::Signals => "signals",
            Self::Child => "child",
            Self::Timer => "timer",
            Self::Channel => "channel",
            Self::Idle => "idle",
            Self::SafePoint => "safe point",
            Self::MemoryPressure => "pressure",
        })
    }
}

/// What the loop does about a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum SourceState {
    /// It waits for something to happen.
    Waiting,
    /// Something has happened, and its handler will be called.
    Ready,
    /// Its handler runs.
    Running,
    /// It is not waited for until it is resumed.
    Paused,
    /// Its rate limit is reached. It is not waited for until the interval ends.
    Limited,
}

impl SourceState {
    const ALL: [Self; 5] = [Self::Waiting, Self::Ready, Self::Running, Self::Paused, Self::Limited];
}

impl fmt::Display for SourceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Waiting => "waiting",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Limited => "limited",
        })
    }
}

/// Everything about one source that other threads may see. Only the loop's thread writes, so a load and a store add.
/// What each call writes is in one line of the cache.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Record {
    /// When the present call began, in nanoseconds after the start of the loop and one; 0: it does not run.
    running: AtomicU64,
    calls: AtomicU64,
    total: AtomicU64,
    worst: AtomicU64,
    failures: AtomicU64,
    /// The deadline of a timer, as `running`; 0: none.
    deadline: AtomicU64,
    state: AtomicU8,
    kind: SourceKind,
    pub(super) id: SourceId,
    description: String,
    last_error: Mutex<Option<String>>,
}

/// Adds to a number that only this thread writes.
pub(super) fn add(number: &AtomicU64, by: u64) {
    number.store(number.load(Ordering::Relaxed) + by, Ordering::Relaxed);
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Record {
    pub(super) fn new(id: SourceId, kind: SourceKind, settings: &Settings) -> Self {
        Self {
            id,
            kind,
            description: settings.description.to_string(),
            state: AtomicU8::new(SourceState::Waiting as u8),
            calls: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            total: AtomicU64::new(0),
            worst: AtomicU64::new(0),
            running: AtomicU64::new(0),
            deadline: AtomicU64::new(0),
            last_error: Mutex::new(None),
        }
    }

    pub(super) fn description(&self) -> &str {
        &self.description
    }

    pub(super) fn set_state(&self, state: SourceState) {
        self.state.store(state as u8, Ordering::Relaxed);
    }

    pub(super) fn begin(&self, at: Duration) {
        self.running.store(nanos(at).saturating_add(1), Ordering::Relaxed);
    }

    pub(super) fn end(&self, took: Duration) {
        let took = nanos(took);
        self.running.store(0, Ordering::Relaxed);
        add(&self.calls, 1);
        add(&self.total, took);
        self.worst.store(self.worst.load(Ordering::Relaxed).max(took), Ordering::Relaxed);
    }

    pub(super) fn fail(&self, error: String) {
        add(&self.failures, 1);
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    /// Calls, failures, total and worst time in nanoseconds.
    pub(super) fn counts(&self) -> [u64; 4] {
        [&self.calls, &self.failures, &self.total, &self.worst].map(|number| number.load(Ordering::Relaxed))
    }

    pub(super) fn set_deadline(&self, after_start: Option<Duration>) {
        self.deadline.store(after_start.map_or(0, |at| nanos(at).saturating_add(1)), Ordering::Relaxed);
    }

    /// What it says at `now`, which is a time after the start of the loop.
    pub(super) fn report(&self, now: Duration) -> SourceReport {
        let at = |word: &AtomicU64| word.load(Ordering::Relaxed).checked_sub(1).map(Duration::from_nanos);
        let running_for = at(&self.running).map(|since| now.saturating_sub(since));
        SourceReport {
            id: self.id,
            kind: self.kind,
            description: self.description.clone(),
            state: SourceState::ALL[self.state.load(Ordering::Relaxed) as usize],
            calls: self.calls.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            total: Duration::from_nanos(self.total.load(Ordering::Relaxed)),
            worst: Duration::from_nanos(self.worst.load(Ordering::Relaxed)),
            running_for,
            due_in: at(&self.deadline).map(|deadline| deadline.saturating_sub(now)),
            last_error: self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

/// What a source is and has done. Each number is true for some moment; together they may be of different ones.
///
/// ```
/// use myelon_runtime::event_loop::{EventLoop, SourceReport};
/// use std::time::Duration;
///
/// let mut event_loop = EventLoop::new()?;
/// let handler = |_: &mut EventLoop, _| println!("alive");
/// let id = event_loop.add_interval(Duration::from_secs(1), "say that we live", handler);
/// let handle = event_loop.handle(); // for any thread
/// let reports: Vec<SourceReport> = handle.sources();
/// let ours = reports.iter().find(|report| report.id == id).unwrap();
/// assert_eq!((ours.description.as_str(), ours.calls), ("say that we live", 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SourceReport {
    /// Which one.
    pub id: SourceId,
    /// What it waits for.
    pub kind: SourceKind,
    /// Who waits, and for what.
    pub description: String,
    /// What the loop does about it.
    pub state: SourceState,
    /// How often its handler was called.
    pub calls: u64,
    /// How often that was an error or a panic.
    pub failures: u64,
    /// The time of all calls.
    pub total: Duration,
    /// The time of the longest one.
    pub worst: Duration,
    /// For how long its handler has run, if it runs now.
    pub running_for: Option<Duration>,
    /// For a timer: the time until its deadline.
    pub due_in: Option<Duration>,
    /// Its last error, as text.
    pub last_error: Option<String>,
}

impl fmt::Display for SourceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, state, description, calls, failures, total, worst, .. } = self;
        write!(
            f,
            "{kind:<10} {state:<7} {calls:>9} calls {failures:>5} failed  {total:>9.1?} in all  {worst:>9.1?} worst"
        )?;
        write!(f, "  {description}")?;
        if let Some(running_for) = self.running_for {
            write!(f, "; has run for {running_for:.1?}")?;
        }
        if let Some(due_in) = self.due_in {
            write!(f, "; due in {due_in:.1?}")?;
        }
        match &self.last_error {
            Some(error) => write!(f, "; last error: {}", OneLine(error)),
            None => Ok(()),
        }
    }
}
