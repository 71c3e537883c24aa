//! What other threads have of a loop.

use super::channel::CommandSender;
use super::record::Record;
use super::{EventLoop, Refused, SourceId, SourceReport};
use crate::agenda::{Answer, Canceller, NotDone, Run, SubmitError, Submitter, Tasklet};
use crate::clock::Clock;
use crate::primitive::{AtomicU64, Ordering};
use crate::requests::{Requests, Wake};
use crossbeam_utils::CachePadded;
use mio::Waker;
use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

pub(super) const DUMP: u32 = 1;
pub(super) const QUIT: u32 = 2;
pub(super) const EXIT: u32 = 4;
pub(super) const QUIESCE: u32 = 8;

/// A call that another thread sends with [`LoopHandle::call`].
pub type Call = Box<dyn FnOnce(&mut EventLoop) + Send>;

/// What the loop shares with its handles and channels.
#[derive(Debug)]
pub(super) struct Shared {
    /// In lines of its own: other threads write it, and the loop writes what is beside it in each turn.
    pub(super) requests: CachePadded<Requests<Waker, SourceId>>,
    records: Mutex<Vec<Option<Arc<Record>>>>,
    clock: Arc<dyn Clock>,
    pub(super) start: Instant,
    pub(super) numbers: Numbers,
}

impl Wake for Waker {
    fn wake(&self) {
        // It fails only if its counter is full, and then the descriptor is readable already.
        let _ = Self::wake(self);
    }
}

/// What a loop has done. Only the loop's thread writes.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    pub(super) turns: AtomicU64,
    pub(super) sleeps: AtomicU64,
    pub(super) stale: AtomicU64,
}

impl Shared {
    pub(super) fn new(waker: Waker, clock: Arc<dyn Clock>) -> Self {
        let (requests, start) = (CachePadded::new(Requests::new(waker)), clock.now());
        Self { requests, records: Mutex::default(), clock, start, numbers: Numbers::default() }
    }

    pub(super) fn set_record(&self, index: u32, record: Option<Arc<Record>>) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let index = index as usize;
        if records.len() <= index {
            records.resize(index + 1, None);
        }
        records[index] = record;
    }

    /// Forgets a source that was removed while its handler ran, unless another one has its place.
    pub(super) fn forget(&self, id: SourceId) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(record) = records.get_mut(id.index as usize)
            && record.as_ref().is_some_and(|record| record.id == id)
        {
            *record = None;
        }
    }

    pub(super) fn records(&self) -> Vec<Arc<Record>> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.iter().flatten().cloned().collect()
    }

    pub(super) fn reports(&self) -> Vec<SourceReport> {
        let now = self.clock.now().saturating_duration_since(self.start);
        self.records().iter().map(|record| record.report(now)).collect()
    }

    /// The description of the source whose handler runs, and for how long.
    pub(super) fn runs(&self) -> Option<(Cow<'static, str>, Duration)> {
        let running = self.reports().into_iter().find_map(|report| Some((report.running_for?, report.description)));
        running.map(|(since, description)| (description.into(), since))
    }

    pub(super) fn statistics(&self) -> LoopStatistics {
        LoopStatistics {
            turns: self.numbers.turns.load(Ordering::Relaxed),
            sleeps: self.numbers.sleeps.load(Ordering::Relaxed),
            stale_events: self.numbers.stale.load(Ordering::Relaxed),
        }
    }

    pub(super) fn dump(&self) -> String {
        let (reports, statistics) = (self.reports(), self.statistics());
        let LoopStatistics { turns, sleeps, stale_events } = statistics;
        let mut text =
            format!("loop: {} sources, {turns} turns, {sleeps} sleeps, {stale_events} stale events\n", reports.len());
        for report in reports {
            writeln!(text, "{report}").expect("a string takes everything");
        }
        text
    }
}

/// What a loop has done so far.
///
/// ```
/// use myelon_runtime::event_loop::{EventLoop, LoopStatistics};
/// use std::time::Duration;
///
/// let mut event_loop = EventLoop::new()?;
/// event_loop.turn(Duration::ZERO)?;
/// let LoopStatistics { turns, sleeps, .. } = event_loop.handle().statistics();
/// assert_eq!((turns, sleeps), (1, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoopStatistics {
    /// How many turns have begun.
    pub turns: u64,
    /// In how many of them it was allowed to sleep.
    pub sleeps: u64,
    /// Events that were dropped, because their source was removed before it was served.
    pub stale_events: u64,
}

/// Reaches a loop from any thread: wakes it, ends it, sends it calls, and shows what it does.
///
/// [`request_dump`](Self::request_dump), [`request_quiesce`](Self::request_quiesce), [`quit`](Self::quit) and
/// [`exit`](Self::exit) are flags, so they are never refused. If the loop is gone, nothing happens.
///
/// ```
/// use myelon_runtime::event_loop::{EventLoop, Interest, Next, Ready, RunEnd};
/// use std::io::{PipeReader, Read};
///
/// let mut event_loop = EventLoop::new()?;
/// let handle = event_loop.handle();
/// let (reader, writer) = std::io::pipe()?;
/// let other = std::thread::spawn(move || {
///     // A source that another thread adds. Its handler is made in the loop's thread.
///     handle.call(move |event_loop| {
///         let handler = |event_loop: &mut EventLoop, _: &mut PipeReader, ready: Ready| {
///             if ready.hang_up {
///                 event_loop.handle().quit();
///             }
///         };
///         let ended = event_loop.add(reader, Interest::Readable, "the end of a pipe", handler);
///         ended.expect("a pipe can be waited for");
///     }).expect("fewer than 1024 calls wait");
///     drop(writer);
/// });
/// assert_eq!(event_loop.run()?, RunEnd::Quit { drained: true });
/// other.join().unwrap();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct LoopHandle {
    pub(super) shared: Arc<Shared>,
    pub(super) calls: CommandSender<Call>,
    pub(super) results: CommandSender<Call>,
}

impl LoopHandle {
    /// Ends the present sleep of the loop, or the next one if it does not sleep now.
    pub fn wake(&self) {
        self.shared.requests.wake();
    }

    /// Asks the loop for a dump: the hook of [`EventLoop::on_dump`] gets it in the loop's thread, between two handlers.
    /// Without a hook nothing happens.
    pub fn request_dump(&self) {
        self.ask(DUMP);
    }

    /// Asks the loop to call the sources of [`EventLoop::add_at_safe_point`], at a safe point. Several requests before
    /// the loop sees one are one. Without such a source nothing happens.
    pub fn request_quiesce(&self) {
        self.ask(QUIESCE);
    }

    /// Ends [`EventLoop::run`] when all that has happened already is served: commands that were sent, timers that are
    /// due, descriptors that are ready. [Ending in order](crate#ending-in-order) says what a program does then.
    pub fn quit(&self) {
        self.ask(QUIT);
    }

    /// Ends [`EventLoop::run`] as soon as the present handler returns.
    pub fn exit(&self) {
        self.ask(EXIT);
    }

    fn ask(&self, flag: u32) {
        self.shared.requests.ask(flag);
    }

    /// Runs `call` in the loop's thread, before timers and descriptors. So other threads add, pause and remove sources.
    /// A panic of `call` is contained and reported like that of a handler.
    ///
    /// # Errors
    /// Too many calls wait, or the loop is gone. The call comes back.
    pub fn call<F: FnOnce(&mut EventLoop) + Send + 'static>(&self, call: F) -> Result<(), Refused<Call>> {
        self.calls.send(Box::new(call))
    }

    /// [`call`](Self::call) for what this crate must do in any case: it is never refused while the loop is there.
    pub(crate) fn call_always(&self, call: impl FnOnce(&mut EventLoop) + Send + 'static) {
        // If the loop is gone, nothing is left to be done.
        let _ = self.results.send(Box::new(call));
    }

    /// Submits a tasklet to an agenda. `then` gets the loop and the result, in the loop's thread and in the first step
    /// of a turn. Its panic is contained and reported like that of a handler.
    ///
    /// Results are never refused: as many wait as were asked for. If the loop is gone, the result is dropped. A loop
    /// that is asked to [`quit`](Self::quit) does not wait for tasklets that have not ended. The [`Canceller`] cancels
    /// the tasklet if it has not begun; then `then` gets [`Cancelled`](NotDone::Cancelled).
    ///
    /// `then` travels through the worker, so it is `Send` and cannot capture an `Rc`. What only the loop's thread may
    /// touch stays in the handler of a channel: [`submit_then`](Submitter::submit_then) with a clone of its
    /// [`CommandSender`](super::CommandSender) brings the result there. The channel needs room for all results that are
    /// asked for, because one that is full does not take the result.
    ///
    /// # Errors
    /// Those of [`Submitter::submit`]; `then` is not called.
    ///
    /// ```
    /// use myelon_runtime::agenda::{Agenda, Tasklet};
    /// use myelon_runtime::event_loop::EventLoop;
    ///
    /// let agenda = Agenda::builder().workers(1).start()?;
    /// let mut event_loop = EventLoop::new()?;
    /// let read = Tasklet::new("read a file", || std::fs::read("/proc/self/status").map(|bytes| bytes.len()));
    /// event_loop.handle().submit(&agenda, read, |event_loop, outcome| {
    ///     println!("{outcome:?}"); // Ok(Ok(1465))
    ///     event_loop.handle().quit();
    /// })?;
    /// event_loop.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn submit<T, F>(
        &self,
        agenda: impl AsRef<Submitter>,
        tasklet: Tasklet<T, F>,
        then: impl FnOnce(&mut EventLoop, Result<T, NotDone>) + Send + 'static,
    ) -> Result<Canceller, SubmitError>
    where
        T: Send + 'static,
        F: FnMut(&Run) -> Answer<T> + Send + 'static,
    {
        let results = self.results.clone();
        agenda.as_ref().submit_then(tasklet, move |outcome| {
            // It comes back only from a loop that is gone.
            let _ = results.send(Box::new(move |event_loop| then(event_loop, outcome)));
        })
    }

    /// What each source is and has done. It asks nothing of the loop, so it works while a handler runs, and says which.
    pub fn sources(&self) -> Vec<SourceReport> {
        self.shared.reports()
    }

    /// What the loop has done.
    pub fn statistics(&self) -> LoopStatistics {
        self.shared.statistics()
    }

    /// The description of the source whose handler runs, and for how long.
    pub(crate) fn runs(&self) -> Option<(Cow<'static, str>, Duration)> {
        self.shared.runs()
    }

    /// All of that as text, one source a line. The last line ends with a line feed too.
    pub fn dump(&self) -> String {
        self.shared.dump()
    }
}
