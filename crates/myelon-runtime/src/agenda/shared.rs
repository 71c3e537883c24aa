//! What every thread sees of an agenda: queues, sleepers, safe points, the phase, and what is counted.

use super::closing::{Closing, Phase};
use super::error::SubmitError;
use super::job::{Asker, Description, Head, Job, JobOf, Queued, Submitted};
use super::parked::Parked;
use super::queue::{Board, Crossbeam};
use super::running::{Now, Running};
use super::safe_point::SafePoints;
use super::state::{End, State};
use super::statistics::{Statistics, Table, Tables, add, tables};
use super::tasklet::{Answer, Run, Tasklet};
use super::worker::Local;
use crate::clock::Clock;
use crate::primitive::{AtomicU64, Condvar, Mutex, Ordering, lock};
use crossbeam_utils::CachePadded;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// Whose times are taken: when it was created, began and ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sampling {
    /// Those of every tasklet. That is three readings of the clock for each.
    #[default]
    Each,
    /// Those of every 16th tasklet. A reading of the clock is most of the cost of a small tasklet.
    OneIn16,
}

/// The agenda's time: nanoseconds since it started, and never 0.
#[derive(Debug)]
pub(crate) struct Timekeeper {
    origin: Instant,
    clock: Arc<dyn Clock>,
}

impl Timekeeper {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { origin: clock.now(), clock }
    }

    pub(crate) fn now_ns(&self) -> u64 {
        self.ns(self.clock.now())
    }

    pub(crate) fn ns(&self, at: Instant) -> u64 {
        // 2^64 ns are 584 years; what is later counts as that.
        u64::try_from(at.saturating_duration_since(self.origin).as_nanos()).unwrap_or(u64::MAX).saturating_add(1)
    }

    pub(crate) fn instant(&self, ns: u64) -> Instant {
        self.origin + Duration::from_nanos(ns - 1)
    }
}

/// The part of a worker that other threads read.
pub(crate) struct Desk {
    pub(crate) now: Now,
    pub(crate) tables: Tables,
}

/// What every thread sees of an agenda.
pub(crate) struct Shared {
    pub(crate) board: Board<Crossbeam, Queued>,
    pub(crate) parked: Parked,
    pub(crate) points: SafePoints,
    pub(crate) closing: Closing,
    pub(crate) desks: Box<[CachePadded<Desk>]>,
    /// What many threads write: submissions from outside, cancelled and left tasklets.
    pub(crate) outside: [CachePadded<Table>; 3],
    numbers: CachePadded<AtomicU64>,
    pub(crate) time: Timekeeper,
    pub(crate) sampling: Sampling,
    pub(crate) name: String,
    pid: u32,
    /// How many workers have not ended.
    at_work: Mutex<usize>,
    gone: Condvar,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn new(
        board: Board<Crossbeam, Queued>,
        workers: usize,
        time: Timekeeper,
        sampling: Sampling,
        name: String,
    ) -> Self {
        Self {
            board,
            parked: Parked::new(workers),
            points: SafePoints::new(),
            closing: Closing::new(),
            desks: (0..workers).map(|_| CachePadded::new(Desk { now: Now::new(), tables: tables() })).collect(),
            outside: tables().map(CachePadded::new),
            numbers: CachePadded::new(AtomicU64::new(1)),
            time,
            sampling,
            name,
            pid: std::process::id(),
            at_work: Mutex::new(workers),
            gone: Condvar::new(),
        }
    }

    pub(crate) fn is_forked(&self) -> bool {
        std::process::id() != self.pid
    }

    /// Asking for the pid is a system call and takes longer than a submission. So a submitter asks where a worker
    /// sleeps, which costs a call anyway, and otherwise each 16th time. A child has the sleepers and the numbers of the
    /// fork.
    fn is_time_to_look_for_a_fork(&self, number: u64) -> bool {
        number.is_multiple_of(16) || self.parked.any()
    }

    /// The first of `count` numbers that no other tasklet has.
    pub(crate) fn take_numbers(&self, count: u64) -> u64 {
        self.numbers.fetch_add(count, Ordering::Relaxed)
    }

    /// Whether the times of this tasklet are taken.
    pub(crate) fn is_timed(&self, number: u64) -> bool {
        self.sampling == Sampling::Each || number.is_multiple_of(16)
    }

    /// Submits a tasklet, and keeps it for a handle.
    pub(crate) fn submit<T, F>(
        self: &Arc<Self>,
        tasklet: Tasklet<T, F>,
        asker: Asker<T>,
    ) -> Result<Arc<dyn JobOf<T>>, SubmitError>
    where
        T: Send + 'static,
        F: FnMut(&Run) -> Answer<T> + Send + 'static,
    {
        self.check_open(&tasklet)?;
        Local::with(self, |local| {
            let job = self.make(local, tasklet, asker)?;
            self.enqueue(local, Arc::clone(&job))?;
            Ok(job as Arc<dyn JobOf<T>>)
        })
    }

    /// Submits a tasklet that no handle asks for.
    pub(crate) fn submit_only<T, F>(
        self: &Arc<Self>,
        tasklet: Tasklet<T, F>,
        asker: Asker<T>,
    ) -> Result<(), SubmitError>
    where
        T: Send + 'static,
        F: FnMut(&Run) -> Answer<T> + Send + 'static,
    {
        self.check_open(&tasklet)?;
        Local::with(self, |local| {
            let job = self.make(local, tasklet, asker)?;
            self.enqueue(local, job)
        })
    }

    fn check_open<T, F>(&self, tasklet: &Tasklet<T, F>) -> Result<(), SubmitError> {
        match self.closing.phase() {
            Phase::Open => Ok(()),
            Phase::Draining | Phase::Ending => Err(SubmitError::Closed { description: tasklet.description.clone() }),
        }
    }

    fn make<T, F>(
        &self,
        local: Option<&Local>,
        tasklet: Tasklet<T, F>,
        asker: Asker<T>,
    ) -> Result<Arc<Submitted<T, F>>, SubmitError> {
        let Tasklet { closure, description, priority, deadline, repeats, .. } = tasklet;
        let number = local.map_or_else(|| self.take_numbers(1), Local::next_number);
        if local.is_none() && self.is_time_to_look_for_a_fork(number) && self.is_forked() {
            return Err(SubmitError::Forked { description });
        }
        let created_ns = if self.is_timed(number) { self.time.now_ns() } else { 0 };
        let head = Head {
            number,
            priority,
            description: Description::new(description),
            deadline: deadline.map(|(at, late)| (self.time.ns(at), late)),
            repeats,
            state: State::new(),
            created_ns,
            queued_ns: AtomicU64::new(created_ns),
            started_ns: AtomicU64::new(0),
            ended_ns: AtomicU64::new(0),
            runs: AtomicU64::new(0),
            watcher: Mutex::new(None),
        };
        Ok(Arc::new(Submitted::new(head, closure, asker)))
    }

    fn enqueue<T, F>(&self, local: Option<&Local>, job: Arc<Submitted<T, F>>) -> Result<(), SubmitError>
    where
        T: Send + 'static,
        F: FnMut(&Run) -> Answer<T> + Send + 'static,
    {
        let priority = job.head().priority;
        // Counted before it can end.
        match local {
            Some(local) => {
                add(&self.desks[local.index].tables[priority.index()].submitted, 1);
                // No second look at the phase: this worker has not ended, so the last look of the last one finds it.
                local.push(job);
                Ok(())
            }
            None => {
                let submitted = &self.outside[priority.index()].submitted;
                submitted.fetch_add(1, Ordering::Relaxed);
                self.board.put(priority, Arc::clone(&job) as Queued);
                self.parked.wake_one(priority);
                if self.closing.closed_meanwhile() && job.head().state.end_unstarted(End::Left).is_some() {
                    // It was never accepted: no one learns of an end, and it is not counted.
                    submitted.fetch_sub(1, Ordering::Relaxed);
                    job.withdraw();
                    return Err(SubmitError::Closed { description: job.head().description.to_cow() });
                }
                Ok(())
            }
        }
    }

    /// Ends what waits as *left*, if it still waits.
    pub(crate) fn leave(&self, job: &Queued) {
        let head = job.head();
        if let Some(asked) = head.state.end_unstarted(End::Left) {
            self.outside[head.priority.index()].end(End::Left).fetch_add(1, Ordering::Relaxed);
            job.conclude_unrun(End::Left, asked);
        }
    }

    /// A worker's last step. The last worker ends what is left.
    pub(crate) fn worker_ends(&self) {
        let mut at_work = lock(&self.at_work);
        if *at_work == 1 {
            drop(at_work);
            self.closing.before_the_last_look();
            let spare = Board::<Crossbeam, Queued>::spare();
            while let Some(job) = self.board.drain(&spare) {
                self.leave(&job);
            }
            at_work = lock(&self.at_work);
        }
        *at_work -= 1;
        self.gone.notify_all();
    }

    /// Waits until every worker has ended; `false` if it takes longer than `budget`.
    pub(crate) fn wait_for_workers(&self, budget: Duration) -> bool {
        let until = Instant::now().checked_add(budget);
        let mut at_work = lock(&self.at_work);
        while *at_work > 0 {
            at_work = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                None => self.gone.wait(at_work).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => return false,
                Some(left) => self.gone.wait_timeout(at_work, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
        true
    }

    pub(crate) fn running(&self) -> Vec<Running> {
        let now_ns = self.time.now_ns();
        self.desks.iter().enumerate().filter_map(|(worker, desk)| desk.now.read(worker, now_ns)).collect()
    }

    pub(crate) fn statistics(&self) -> Statistics {
        // Ends before submissions, so that a reader sees at least as many submissions as ends on each thread.
        let workers = self.desks.iter().map(|desk| std::array::from_fn(|at| desk.tables[at].read())).collect();
        Statistics { workers, outside: std::array::from_fn(|at| self.outside[at].read()) }
    }
}
