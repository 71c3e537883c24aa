//! What the submitter of a tasklet keeps: to wait for its result, to cancel it, to see how far it is.

use super::error::WaitError;
use super::job::{Job, JobOf, Queued, taken};
use super::parked::Parker;
use super::shared::Shared;
use super::state::End;
use super::worker::Local;
use crate::primitive::{Ordering, lock};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The asker of one tasklet. It learns the end once. Dropping it lets the tasklet go on, and its result is dropped.
///
/// A thread can give it away.
///
/// ```
/// use myelon_runtime::agenda::{Agenda, End, Handle, Tasklet, WaitError};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let agenda = Agenda::builder().workers(1).start()?;
/// let mut handle: Handle<u64> = agenda.submit(Tasklet::new("a sum", || (1..=10).sum()))?;
/// match handle.wait(Duration::from_secs(30)) {
///     Ok(sum) => assert_eq!(sum, 55),
///     Err(WaitError::TimedOut { .. }) => drop(handle.cancel()), // it is not wanted any more
///     Err(error) => eprintln!("{error}"), // "tasklet `a sum` panicked: ..."
/// }
/// # Ok(())
/// # }
/// ```
pub struct Handle<T> {
    job: Arc<dyn JobOf<T>>,
    shared: Arc<Shared>,
}

impl<T> fmt::Debug for Handle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("number", &self.number())
            .field("description", &self.description())
            .field("ended", &self.ended())
            .finish()
    }
}

/// When a tasklet was created, began and ended, and how often it has run.
///
/// ```
/// use myelon_runtime::agenda::{Agenda, Metadata, Tasklet};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let agenda = Agenda::builder().workers(1).start()?;
/// let mut handle = agenda.submit(Tasklet::new("nothing", || ()))?;
/// handle.wait(Duration::from_secs(30))?;
/// let Metadata { created, started, runs, .. } = handle.metadata();
/// assert!(created <= started);
/// assert_eq!(runs, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metadata {
    /// Its number, unique within its agenda.
    pub number: u64,
    /// When it was submitted. `None` if the times of this tasklet are not taken.
    pub created: Option<Instant>,
    /// When its last run began. `None` if it has not begun, or the times of this tasklet are not taken.
    pub started: Option<Instant>,
    /// When its last run ended. `None` if no run has ended, or the times of this tasklet are not taken.
    pub ended: Option<Instant>,
    /// How often it has begun.
    pub runs: u64,
}

thread_local! {
    /// Where this thread sleeps, if it is no worker.
    static PARKER: Arc<Parker> = Arc::new(Parker::new());
}

impl<T: 'static> Handle<T> {
    /// Waits until the tasklet has ended, at most for `patience`, and takes its value.
    ///
    /// On a worker of the same agenda the tasklet runs at once if it has not begun; otherwise the worker runs other
    /// tasklets meanwhile, of the awaited one's priority or above. A caller that waits is at a safe point.
    ///
    /// # Errors
    /// `NotDone`: it has ended without a value. `TimedOut`: it goes on; wait again or cancel it. `WouldDeadlock`: this
    /// wait could never end. `Taken`: an earlier wait has the result. `Forked`: only the parent process gets it.
    pub fn wait(&mut self, patience: Duration) -> Result<T, WaitError> {
        if let Some(end) = self.ended() {
            return self.take(end);
        }
        let description = || self.job.head().description.to_cow();
        if self.shared.is_forked() {
            return Err(WaitError::Forked { description: description() });
        }
        if self.shared.points.is_inside() {
            return Err(WaitError::WouldDeadlock { description: description() });
        }
        let began = Instant::now();
        let until = began.checked_add(patience);
        let awaited: Queued = Arc::clone(&self.job) as Queued;
        let ended = Local::with(&self.shared, |local| match local {
            Some(local) if local.cannot_wait_for(&awaited) => Err(()),
            Some(local) => Ok(local.help_until_ended(&awaited, until)),
            None => Ok(self.shared.points.rest_if_party(|| sleep_until_ended(&awaited, until))),
        });
        match ended {
            Err(()) => Err(WaitError::WouldDeadlock { description: description() }),
            Ok(Some(end)) => self.take(end),
            Ok(None) => Err(WaitError::TimedOut {
                description: description(),
                waited: began.elapsed(),
                runs: self.job.head().state.is_running(),
            }),
        }
    }

    /// Takes the result if the tasklet has ended; never waits, and runs nothing.
    ///
    /// # Errors
    /// As [`wait`](Self::wait); `TimedOut` if it has not ended.
    pub fn try_wait(&mut self) -> Result<T, WaitError> {
        match self.ended() {
            Some(end) => self.take(end),
            None => Err(WaitError::TimedOut {
                description: self.job.head().description.to_cow(),
                waited: Duration::ZERO,
                runs: self.job.head().state.is_running(),
            }),
        }
    }

    fn take(&self, end: End) -> Result<T, WaitError> {
        match self.job.take(end) {
            Some(outcome) => outcome.map_err(WaitError::NotDone),
            None => Err(WaitError::Taken { description: self.job.head().description.to_cow() }),
        }
    }
}

impl<T> Handle<T> {
    /// Cancels the tasklet unless it runs or has ended; returns whether this call ended it. A repeating tasklet that
    /// waits for its next run can be cancelled. What the closure captured is dropped here.
    pub fn cancel(&self) -> bool {
        cancel(&*self.job, &self.shared)
    }

    /// How the tasklet ended; `None` if it waits or runs. Once it is an end, it stays that.
    pub fn ended(&self) -> Option<End> {
        self.job.head().state.ended()
    }

    /// Its number, unique within its agenda.
    pub fn number(&self) -> u64 {
        self.job.head().number
    }

    /// What it is to do.
    pub fn description(&self) -> &str {
        self.job.head().description.as_str()
    }

    /// Its times and how often it has run. They can change until it has ended.
    pub fn metadata(&self) -> Metadata {
        let head = self.job.head();
        let at = |ns: Option<u64>| ns.map(|ns| self.shared.time.instant(ns));
        Metadata {
            number: head.number,
            created: at(Some(head.created_ns).filter(|ns| *ns != 0)),
            started: at(taken(&head.started_ns)),
            ended: at(taken(&head.ended_ns)),
            runs: head.runs.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn new(job: Arc<dyn JobOf<T>>, shared: Arc<Shared>) -> Self {
        Self { job, shared }
    }
}

impl<T> Drop for Handle<T> {
    fn drop(&mut self) {
        if self.job.head().state.abandon().is_some() {
            self.job.discard();
        }
    }
}

/// Cancels a tasklet whose result goes to a closure, and says how far it is. Dropping it changes nothing.
///
/// [`Submitter::submit_then`](super::Submitter::submit_then) and
/// [`LoopHandle::submit`](crate::event_loop::LoopHandle::submit) return it.
///
/// ```
/// use myelon_runtime::agenda::{Agenda, Canceller, NotDone, Tasklet};
/// use myelon_runtime::event_loop::EventLoop;
/// use std::sync::mpsc::channel;
///
/// let agenda = Agenda::builder().workers(1).start()?;
/// let mut event_loop = EventLoop::new()?;
/// // The only worker is busy, so the question waits.
/// let (release, released) = channel::<()>();
/// agenda.spawn(Tasklet::new("long", move || released.recv()))?;
/// let question = Tasklet::new("a question", || 42);
/// let asked: Canceller = event_loop.handle().submit(&agenda, question, |event_loop, outcome| {
///     assert!(matches!(outcome, Err(NotDone::Cancelled { .. })));
///     event_loop.handle().quit();
/// })?;
/// assert!(asked.cancel()); // its client has gone
/// event_loop.run()?;
/// # drop(release);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Canceller {
    job: Queued,
    shared: Arc<Shared>,
}

impl fmt::Debug for Canceller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Canceller")
            .field("number", &self.number())
            .field("description", &self.description())
            .field("ended", &self.ended())
            .finish()
    }
}

impl Canceller {
    /// Cancels the tasklet unless it runs or has ended; returns whether this call ended it. If it did, the closure that
    /// waits for the result gets [`Cancelled`](super::NotDone::Cancelled): that of `submit_then` on this thread before
    /// the call returns, that of a loop in the loop's thread.
    pub fn cancel(&self) -> bool {
        cancel(&*self.job, &self.shared)
    }

    /// How the tasklet ended; `None` if it waits or runs. Once it is an end, it stays that.
    pub fn ended(&self) -> Option<End> {
        self.job.head().state.ended()
    }

    /// Its number, unique within its agenda.
    pub fn number(&self) -> u64 {
        self.job.head().number
    }

    /// What it is to do.
    pub fn description(&self) -> &str {
        self.job.head().description.as_str()
    }

    pub(crate) fn new(job: Queued, shared: Arc<Shared>) -> Self {
        Self { job, shared }
    }
}

fn cancel<J: Job + ?Sized>(job: &J, shared: &Shared) -> bool {
    let head = job.head();
    let Some(asked) = head.state.end_unstarted(End::Cancelled) else { return false };
    shared.outside[head.priority.index()].end(End::Cancelled).fetch_add(1, Ordering::Relaxed);
    job.conclude_unrun(End::Cancelled, asked);
    true
}

/// Sleeps on a thread that is no worker.
fn sleep_until_ended(job: &Queued, until: Option<Instant>) -> Option<End> {
    let state = &job.head().state;
    // A destructor of a thread that ends may wait when the thread has no place any more.
    let parker = PARKER.try_with(Arc::clone).unwrap_or_else(|_| Arc::new(Parker::new()));
    *lock(&job.head().watcher) = Some(Arc::clone(&parker));
    let mut ended = state.watch();
    while ended.is_none() && until.is_none_or(|until| Instant::now() < until) {
        parker.park(until);
        ended = state.ended();
    }
    ended
}
