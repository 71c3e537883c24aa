//! What a program holds: the agenda, and what submits to it.

use super::closing::Phase;
use super::error::{StartError, SubmitError};
use super::handle::{Canceller, Handle};
use super::job::{Asker, Queued};
use super::party::Party;
use super::queue::{Board, Crossbeam};
use super::report::{CloseError, CloseReport};
use super::running::Running;
use super::safe_point::{Doing, QuiesceError};
use super::shared::{Sampling, Shared, Timekeeper};
use super::statistics::Statistics;
use super::tasklet::{Answer, Run, Tasklet};
use super::worker::{Local, work};
use super::{End, NotDone, Priority};
use crate::clock::{Clock, SystemClock};
use crate::primitive::{Mutex, lock};
use std::borrow::Cow;
use std::num::NonZero;
use std::sync::Arc;
use std::thread::{JoinHandle, available_parallelism};
use std::time::{Duration, Instant};

/// The most workers that an agenda can have: one bit of a word for each.
pub const WORKERS_MAX: usize = 64;

/// What an agenda is made of. [`Agenda::builder`] begins one.
///
/// ```
/// use myelon_runtime::agenda::{Agenda, Sampling};
///
/// let agenda = Agenda::builder().workers(4).name("decoders").sampling(Sampling::OneIn16).start()?;
/// # drop(agenda);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Builder {
    workers: usize,
    name: String,
    sampling: Sampling,
    clock: Arc<dyn Clock>,
}

impl Builder {
    /// How many workers run tasklets, at most [`WORKERS_MAX`]. If nothing is said, one for each core that this process
    /// may use.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// The agenda's name, in the names of its threads and in reports; `agenda` if nothing is said.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Whose times are taken; those of each tasklet if nothing is said.
    pub fn sampling(mut self, sampling: Sampling) -> Self {
        self.sampling = sampling;
        self
    }

    /// The clock that deadlines are compared with and times are taken from. How long a wait, a
    /// [`quiesce`](Agenda::quiesce) or a [`close`](Agenda::close) takes at most is real time in any case.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Starts the workers.
    ///
    /// # Errors
    /// `Workers`: their number is 0 or more than [`WORKERS_MAX`]. `Thread`: the system did not start one of them; start
    /// fewer.
    pub fn start(self) -> Result<Agenda, StartError> {
        let Self { workers, name, sampling, clock } = self;
        if !(1..=WORKERS_MAX).contains(&workers) {
            return Err(StartError::Workers { workers, max: WORKERS_MAX });
        }
        let (board, owned) = Board::<Crossbeam, Queued>::new(workers);
        let shared = Arc::new(Shared::new(board, workers, Timekeeper::new(clock), sampling, name));
        let agenda = Agenda { submitter: Submitter { shared }, threads: Mutex::new(Vec::with_capacity(workers)) };
        for (worker, own) in owned.into_iter().enumerate() {
            let shared = Arc::clone(agenda.shared());
            let thread = std::thread::Builder::new().name(format!("{}-{worker}", shared.name));
            match thread.spawn(move || work(shared, worker, own)) {
                Ok(thread) => lock(&agenda.threads).push(thread),
                Err(source) => {
                    // Those that started end now, and the others are counted as ended.
                    agenda.shared().closing.advance(Phase::Ending);
                    agenda.shared().parked.wake_all();
                    (worker..workers).for_each(|_| agenda.shared().worker_ends());
                    return Err(StartError::Thread { worker, source });
                }
            }
        }
        Ok(agenda)
    }
}

/// Workers and their queues. Dropping it closes it with a budget of zero: what waits ends as *left*, what runs is
/// waited for (except on one of its own workers, where a wait would never end).
///
/// It stays with the part of the program that ends it; other threads, and tasklets, submit through a [`Submitter`]. The
/// page of [the module](crate::agenda) has a longer example.
///
/// ```
/// use myelon_runtime::agenda::{Agenda, Tasklet};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let agenda: Agenda = Agenda::builder().workers(2).start()?;
/// let mut sum = agenda.submit(Tasklet::new("a sum", || 6 * 7))?;
/// assert_eq!(sum.wait(Duration::from_secs(30))?, 42);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Agenda {
    submitter: Submitter,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Agenda {
    /// Begins an agenda with one worker for each core.
    pub fn builder() -> Builder {
        Builder {
            workers: available_parallelism().map_or(1, NonZero::get).min(WORKERS_MAX),
            name: "agenda".into(),
            sampling: Sampling::default(),
            clock: Arc::new(SystemClock),
        }
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.submitter.shared
    }

    /// What other threads and tasklets submit through.
    pub fn submitter(&self) -> Submitter {
        self.submitter.clone()
    }

    /// As [`Submitter::submit`].
    ///
    /// # Errors
    /// Those of [`Submitter::submit`].
    pub fn submit<T, F>(&self, tasklet: Tasklet<T, F>) -> Result<Handle<T>, SubmitError>
    where
        T: Send + 'static,
        F: FnMut(&Run) -> Answer<T> + Send + 'static,
    {
        self.submitter.submit(tasklet)
    }

    /// As [`Submitter::submit_then`].
    ///
    /// # Errors
    /// Those of [`Submitter::submit`].
    pub fn submit_then<T, F>(
        &self,
        tasklet: Tasklet<T, F>,
        then: impl FnOnce(Result<T, NotDone>) + Send + 'static,
    ) -> Result<Canceller, SubmitError>
    where
        T: Send + 'static,
        F: FnMut(&Run) -> Answer<T> + Send + 'static,
    {
        self.submitter.submit_then(tasklet, then)
    }

    /// As [`Submitter::spawn`].
    ///
    /// # Errors
    /// Those of [`Submitter::submit`].
    pub fn spawn<T, F>(&self, tasklet: Tasklet<T, F>) -> Result<(), SubmitError>
    where
        T: Send + 'static,
        F: FnMut(&Run) -> Answer<T> + Send + 'static,
    {
        self.submitter.spawn(tasklet)
    }

    /// As [`Submitter::quiesce`].
    ///
    /// # Errors
    /// Those of [`Submitter::quiesce`].
    pub fn quiesce<R>(
        &self,
        description: impl Into<Cow<'static, str>>,
        patience: Duration,
        closure: impl FnOnce() -> R,
    ) -> Result<R, QuiesceError> {
        self.submitter.quiesce(description, patience, closure)
    }

    /// As [`Submitter::register`].
    pub fn register(&self, name: impl Into<Cow<'static, str>>) -> Party {
        self.submitter.register(name)
    }

    /// What each worker runs now. A worker that is missing runs nothing.
    ///
    /// For a watchdog: what has run for longer than it should is in the list with its description.
    ///
    /// ```
    /// # use myelon_runtime::agenda::Agenda;
    /// # use std::time::Duration;
    /// # let agenda = Agenda::builder().workers(1).start().unwrap();
    /// for running in agenda.running() {
    ///     if running.since > Duration::from_secs(1) {
    ///         eprintln!("{running}"); // "worker 0 has run tasklet 7, `save a checkpoint`, for 2.1s"
    ///     }
    /// }
    /// ```
    pub fn running(&self) -> Vec<Running> {
        self.shared().running()
    }

    /// What was counted and measured since the start. Reading it does not stop the workers, so sums of a busy agenda
    /// can be off by what happens meanwhile.
    pub fn statistics(&self) -> Statistics {
        self.shared().statistics()
    }

    /// Closes the agenda: from now on it accepts nothing. Workers go on by priority until nothing is left, at most for
    /// `budget`; then what waits ends as *left*. What runs at that time is waited for, however long it takes.
    ///
    /// # Errors
    /// `OnWorker`, `Inside`: the caller is what would be waited for. `AlreadyClosed`: an earlier call has the report.
    /// `Forked`: the workers are those of the parent process.
    pub fn close(&self, budget: Duration) -> Result<CloseReport, CloseError> {
        let shared = self.shared();
        if shared.is_forked() {
            return Err(CloseError::Forked);
        }
        if shared.points.is_inside() {
            return Err(CloseError::Inside);
        }
        if Local::with(shared, |local| local.is_some()) {
            return Err(CloseError::OnWorker);
        }
        if shared.closing.advance(Phase::Draining) != Phase::Open {
            return Err(CloseError::AlreadyClosed);
        }
        let began = Instant::now();
        shared.parked.wake_all();
        let mut running = Vec::new();
        if !shared.wait_for_workers(budget) {
            shared.closing.advance(Phase::Ending);
            shared.parked.wake_all();
            running = shared.running();
            shared.wait_for_workers(Duration::MAX);
        }
        self.join();
        let left = Priority::ALL.map(|priority| (priority, shared.outside[priority.index()].read().ended(End::Left)));
        let mut report = CloseReport { left: [0; 3], running, took: began.elapsed() };
        left.into_iter().for_each(|(priority, count)| report.left[priority.index()] = count);
        Ok(report)
    }

    /// Waits for the threads, all of which end.
    fn join(&self) {
        for thread in std::mem::take(&mut *lock(&self.threads)) {
            // A worker's own panic would be a defect of this crate, and is reported by the panic hook.
            let _ = thread.join();
        }
    }
}

impl Drop for Agenda {
    fn drop(&mut self) {
        let shared = self.shared();
        if shared.is_forked() {
            return;
        }
        shared.closing.advance(Phase::Ending);
        shared.parked.wake_all();
        // Workers, and a closure that they wait for, would wait for themselves. The workers end when they can.
        if !shared.points.is_inside() && Local::with(shared, |local| local.is_none()) {
            self.join();
        }
    }
}

/// For what takes either of the two.
impl AsRef<Submitter> for Agenda {
    fn as_ref(&self) -> &Submitter {
        &self.submitter
    }
}

impl AsRef<Submitter> for Submitter {
    fn as_ref(&self) -> &Submitter {
        self
    }
}

/// Submits to an agenda, from any thread and from tasklets. It does not keep the agenda open.
///
/// ```
/// use myelon_runtime::agenda::{Agenda, Tasklet};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let agenda = Agenda::builder().workers(1).start()?;
/// let submitter = agenda.submitter();
/// let patience = Duration::from_secs(30);
/// let outer = Tasklet::fallible("a sum of parts", move || {
///     let mut part = submitter.submit(Tasklet::new("a part", || 20))?;
///     // On a worker, a wait runs the part.
///     part.wait(patience).map(|part| part + 1).map_err(Box::<dyn std::error::Error + Send + Sync>::from)
/// });
/// assert_eq!(agenda.submit(outer)?.wait(patience)?, 21);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Submitter {
    pub(crate) shared: Arc<Shared>,
}

impl Submitter {
    /// Submits a tasklet, and keeps a handle to its result.
    ///
    /// From a tasklet it goes to the worker's own queue, from elsewhere to the common one. Never waits.
    ///
    /// # Errors
    /// `Closed`: the agenda is closed, or closes. `Forked`: this process is a child made by `fork`, and the workers are
    /// its parent's.
    pub fn submit<T, F>(&self, tasklet: Tasklet<T, F>) -> Result<Handle<T>, SubmitError>
    where
        T: Send + 'static,
        F: FnMut(&Run) -> Answer<T> + Send + 'static,
    {
        Ok(Handle::new(self.shared.submit(tasklet, Asker::Handle)?, Arc::clone(&self.shared)))
    }

    /// Submits a tasklet. `then` gets its result, once, on the thread that ends it: usually a worker, or the one that
    /// [cancels](Canceller::cancel) it. It should be short, for example a command to a loop. If it panics, that is
    /// caught, and costs nothing else.
    ///
    /// # Errors
    /// Those of [`submit`](Self::submit); `then` is not called.
    pub fn submit_then<T, F>(
        &self,
        tasklet: Tasklet<T, F>,
        then: impl FnOnce(Result<T, NotDone>) + Send + 'static,
    ) -> Result<Canceller, SubmitError>
    where
        T: Send + 'static,
        F: FnMut(&Run) -> Answer<T> + Send + 'static,
    {
        let job = self.shared.submit(tasklet, Asker::Closure(Box::new(then)))?;
        Ok(Canceller::new(job, Arc::clone(&self.shared)))
    }

    /// Submits a tasklet whose result is dropped. What becomes of it is only counted.
    ///
    /// # Errors
    /// Those of [`submit`](Self::submit).
    pub fn spawn<T, F>(&self, tasklet: Tasklet<T, F>) -> Result<(), SubmitError>
    where
        T: Send + 'static,
        F: FnMut(&Run) -> Answer<T> + Send + 'static,
    {
        self.shared.submit_only(tasklet, Asker::Dropped)
    }

    /// Makes the calling thread a party of the safe points: `name` is what reports of hold-ups call it. Waits while a
    /// closure runs alone.
    pub fn register(&self, name: impl Into<Cow<'static, str>>) -> Party {
        Party::new(Arc::clone(&self.shared), name.into())
    }

    /// As [`register`](Self::register), for a party that has its own record of what it does.
    #[cfg(not(loom))]
    pub(crate) fn name(&self) -> &str {
        &self.shared.name
    }

    #[cfg(not(loom))]
    pub(crate) fn statistics(&self) -> Statistics {
        self.shared.statistics()
    }

    pub(crate) fn register_with(&self, name: Cow<'static, str>, doing: Doing) -> Party {
        Party::with_doing(Arc::clone(&self.shared), name, doing)
    }

    /// Runs `closure` on this thread while every worker and every [`Party`] is at a safe point; then everything goes
    /// on, also after a panic.
    ///
    /// At a safe point are: a worker between two tasklets, a worker or a party that waits for a handle, a party that
    /// looks or rests. A caller that is a tasklet or a party counts as stopped. If others have asked earlier, it waits
    /// for its turn. The closure may submit tasklets; they run afterwards.
    ///
    /// `description` says what the closure does, for the reports of others that ask. `patience` is how long to wait for
    /// the turn and the safe point; the closure itself has no limit. A tasklet or party whose turn does not come also
    /// waits for a closure that runs when its patience is over.
    ///
    /// # Errors
    /// In each case the closure has not run and will not run. `HeldUp`: some parties did not stop in time; it names
    /// them, and what they run. `Busy`: its turn did not come in time. `Inside`: the caller is such a closure.
    ///
    /// ```
    /// use myelon_runtime::agenda::Agenda;
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let agenda = Agenda::builder().workers(2).start()?;
    /// let mut table = vec![1, 2, 3];
    /// agenda.quiesce("reload the table", Duration::from_secs(30), || table.clear())?;
    /// assert!(table.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    pub fn quiesce<R>(
        &self,
        description: impl Into<Cow<'static, str>>,
        patience: Duration,
        closure: impl FnOnce() -> R,
    ) -> Result<R, QuiesceError> {
        self.shared.points.quiesce(description.into(), patience, closure)
    }
}
