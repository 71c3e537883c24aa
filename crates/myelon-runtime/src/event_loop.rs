//! One thread that waits for descriptors, timers, signals, children and commands, and calls a handler for each.
//!
//! Source: RFC 0022.

mod adding;
mod calling;
mod channel;
#[cfg(target_os = "linux")]
mod children;
#[cfg(target_os = "linux")]
mod command_fifo;
mod entry;
mod export;
mod export_agenda;
mod failure;
#[cfg(target_os = "linux")]
mod fine;
mod handle;
mod handler;
#[cfg(all(feature = "tokio", target_os = "linux"))]
mod in_tokio;
mod interest;
#[cfg(all(target_os = "linux", feature = "json-rpc"))]
pub mod json_rpc;
#[cfg(target_os = "linux")]
mod memory_pressure;
mod next;
mod record;
mod safe_points;
mod settings;
#[cfg(target_os = "linux")]
mod signals;
mod turn;

pub use crate::requests::Refused;
pub use channel::CommandSender;
#[cfg(target_os = "linux")]
pub use command_fifo::UnknownCommands;
pub use entry::SourceId;
pub use failure::{AddError, Cause, Failure, TurnError};
pub use handle::{Call, LoopHandle, LoopStatistics};
pub use handler::{Due, Tick};
pub use interest::{Interest, Ready};
#[cfg(target_os = "linux")]
pub use memory_pressure::{Pressure, PressureError, PressureTrigger, Stall, Stalled};
pub use next::{IntoNext, Next};
pub use record::{SourceKind, SourceReport, SourceState};
pub use settings::{OnFailure, Settings};

pub use crate::Priority;

use crate::agenda::Party;
use crate::clock::{Clock, SystemClock};
use crate::timers::Timers;
use entry::Entries;
use handle::Shared;
use mio::{Events, Poll, Token, Waker};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The token of the eventfd that other threads write.
const WAKE: Token = Token(usize::MAX);

/// The token of the timerfd.
#[cfg(target_os = "linux")]
const FINE: Token = Token(usize::MAX - 1);

/// The unit of epoll's timeout. A sleep that ends between two of them, and one of another reactor, needs a timerfd.
#[cfg(target_os = "linux")]
const COARSE: Duration = Duration::from_millis(1);

/// How many events one look takes. If more are ready, the next look takes them.
const EVENTS: usize = 1024;

/// How many calls from other threads may wait.
const CALLS: usize = 1024;

/// For how long a loop that was asked to quit serves what is ready, if it has no other setting.
const DRAIN: Duration = Duration::from_secs(1);

/// A hundred years: as late as a deadline can be.
const LATEST: Duration = Duration::from_secs(100 * 365 * 86_400);

/// How a loop is built.
///
/// ```
/// use myelon_runtime::event_loop::EventLoop;
/// use myelon_runtime::testing::VirtualClock;
/// use std::time::Duration;
///
/// let clock = VirtualClock::new();
/// let mut event_loop = EventLoop::builder().clock(clock).resolution(Duration::from_millis(10)).build()?;
/// let start = event_loop.now();
/// event_loop.add_timer(Duration::from_secs(3600), "an hour is over", |event_loop: &mut EventLoop, _| {
///     event_loop.handle().quit();
/// });
/// event_loop.run()?; // at once
/// assert_eq!(event_loop.now() - start, Duration::from_secs(3600));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "`build` makes the loop"]
pub struct Builder {
    clock: Arc<dyn Clock>,
    resolution: Duration,
    drain: Duration,
}

impl Builder {
    /// Where the time comes from; [`SystemClock`] if not given.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// To what deadlines are rounded up: 1 ms if not given. Timers that are due within it wake the loop once. A finer
    /// one than 1 ms costs a system call for each sleep with a deadline; zero rounds to nothing.
    pub fn resolution(mut self, resolution: Duration) -> Self {
        self.resolution = resolution;
        self
    }

    /// For how long [`LoopHandle::quit`] lets the loop serve what is ready: 1 s if not given. A source that is always
    /// ready would otherwise keep it. This is real time with every clock.
    pub fn drain(mut self, longest: Duration) -> Self {
        self.drain = longest;
        self
    }

    /// Makes the loop.
    ///
    /// # Errors
    /// There are no descriptors left: it needs two, and a third one for a resolution finer than 1 ms.
    pub fn build(self) -> io::Result<EventLoop> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKE)?;
        #[cfg(target_os = "linux")]
        let fine = if self.resolution < COARSE { Some(fine::Fine::new(poll.registry())?) } else { None };
        let now = self.clock.now();
        let shared = Arc::new(Shared::new(waker, Arc::clone(&self.clock)));
        let mut entries = Entries::default();
        let calls = own_channel(&mut entries, &shared, CALLS, "calls from other threads", now);
        let results = own_channel(&mut entries, &shared, usize::MAX, "results of tasklets", now);
        let event_loop = EventLoop {
            poll,
            events: Events::with_capacity(EVENTS),
            #[cfg(target_os = "linux")]
            fine,
            entries,
            by_number: HashMap::new(),
            ready: Default::default(),
            tickets: 0,
            timers: Timers::new(now).with_resolution(self.resolution),
            idle: VecDeque::new(),
            idle_later: Vec::new(),
            at_safe_point: Vec::new(),
            left_at_safe_point: Vec::new(),
            party: None,
            news: Vec::new(),
            clock: self.clock,
            now,
            recent: None,
            removed_itself: None,
            handle: LoopHandle { shared, calls, results },
            drain: self.drain,
            turns: 0,
            in_turn: false,
            draining: false,
            current: None,
            on_failure: None,
            on_dump: None,
            hook_panicked: None,
            departed: Vec::new(),
        };
        Ok(event_loop)
    }
}

/// A channel of calls that every loop has.
fn own_channel(
    entries: &mut Entries,
    shared: &Arc<Shared>,
    capacity: usize,
    description: &'static str,
    now: Instant,
) -> CommandSender<Call> {
    let id = entries.next_id();
    let handler = |event_loop: &mut EventLoop, call: Call| call(event_loop);
    let (sender, handler) = channel::channel(capacity, id, Arc::clone(shared), handler);
    let entry = adding::entry(id, SourceKind::Channel, entry::Waits::Channel, description.into(), handler, now);
    shared.set_record(id.index, Some(Arc::clone(&entry.record)));
    entries.insert(entry);
    sender
}

/// What a deadline in the heap is for.
#[derive(Clone, Copy, Debug)]
enum Deadline {
    Timer(SourceId),
    LimitOver(SourceId),
}

/// Sources that will be called, in turn. A place counts if its number is that of the entry.
type ReadyList = VecDeque<(SourceId, u64)>;

type FailureHook = Box<dyn FnMut(&Failure<'_>)>;
type DumpHook = Box<dyn FnMut(&str)>;

/// Waits for everything that a process waits for, and calls a handler for each of it.
///
/// All handlers run in the thread that runs the loop, one after the other. Each gets the loop, so it may add, pause and
/// remove sources, itself too. Other threads have a [`LoopHandle`].
///
/// ```
/// use myelon_runtime::event_loop::{EventLoop, Interest, Next, Ready, RunEnd};
/// use std::io::Read;
/// use std::os::unix::net::UnixStream;
/// use std::time::Duration;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut event_loop = EventLoop::new()?;
/// event_loop.on_failure(|failure| eprintln!("{}: {}", failure.description, failure.cause));
///
/// let (ours, theirs) = UnixStream::pair()?;
/// ours.set_nonblocking(true)?;
/// event_loop.add(ours, Interest::Readable, "orders", |event_loop: &mut EventLoop, stream: &mut UnixStream, _: Ready| {
///     let mut orders = [0; 4096];
///     let read = stream.read(&mut orders)?;
///     if read == 0 {
///         event_loop.handle().quit();
///         return Ok(Next::Remove);
///     }
///     println!("{} bytes of orders", read);
///     Ok::<_, std::io::Error>(Next::Again)
/// })?;
/// event_loop.add_interval(Duration::from_secs(1), "look after the workers", |_: &mut EventLoop, tick| {
///     println!("{} looks were missed", tick.missed);
/// });
///
/// std::io::Write::write_all(&mut &theirs, b"start")?;
/// drop(theirs);
/// assert_eq!(event_loop.run()?, RunEnd::Quit { drained: true });
/// # Ok(())
/// # }
/// ```
///
/// A handler's parameters have types in its closure, because the compiler does not infer them for every place.
///
/// Source: RFC 0022.
pub struct EventLoop {
    poll: Poll,
    events: Events,
    #[cfg(target_os = "linux")]
    fine: Option<fine::Fine>,
    entries: Entries,
    /// The source of each descriptor.
    by_number: HashMap<RawFd, SourceId>,
    /// A list for each [`entry::Step`].
    ready: [ReadyList; 5],
    tickets: u64,
    timers: Timers<Deadline>,
    /// Idle sources that are called when there is nothing else, and those that were called since the last work.
    idle: VecDeque<SourceId>,
    idle_later: Vec<SourceId>,
    /// What is called at a safe point, in the order of adding.
    at_safe_point: Vec<SourceId>,
    /// What was not called for the last request, because the loop has stopped.
    left_at_safe_point: Vec<SourceId>,
    /// This thread's part in the safe points of an agenda.
    party: Option<Party>,
    /// Channels with news; empty between turns, and kept for its memory.
    news: Vec<SourceId>,
    clock: Arc<dyn Clock>,
    now: Instant,
    /// The last reading of the clock, if nothing that takes time has happened since then.
    recent: Option<Instant>,
    /// What is known of the source that runs, if its handler has removed it.
    removed_itself: Option<Arc<record::Record>>,
    handle: LoopHandle,
    drain: Duration,
    turns: u64,
    in_turn: bool,
    draining: bool,
    current: Option<SourceId>,
    on_failure: Option<FailureHook>,
    on_dump: Option<DumpHook>,
    hook_panicked: Option<String>,
    /// Where exporters of counters find what was removed.
    departed: Vec<export::Departed>,
}

/// How [`EventLoop::run`] has ended.
///
/// ```
/// use myelon_runtime::event_loop::{EventLoop, RunEnd};
///
/// let mut event_loop = EventLoop::new()?;
/// event_loop.handle().exit();
/// assert_eq!(event_loop.run()?, RunEnd::Exit);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// By [`LoopHandle::quit`].
    Quit {
        /// Whether everything that was ready is served. Else it took longer than [`Builder::drain`] permits.
        drained: bool,
    },
    /// By [`LoopHandle::exit`].
    Exit,
}

impl EventLoop {
    /// A loop on the system's clock, with a resolution of 1 ms.
    ///
    /// # Errors
    /// There are no descriptors left: it needs two.
    pub fn new() -> io::Result<Self> {
        Self::builder().build()
    }

    /// A loop with other settings.
    pub fn builder() -> Builder {
        Builder { clock: Arc::new(SystemClock), resolution: Duration::from_millis(1), drain: DRAIN }
    }

    /// Reaches this loop from any thread.
    pub fn handle(&self) -> LoopHandle {
        self.handle.clone()
    }

    /// When the present turn has begun, after its sleep. Outside a turn: now.
    pub fn now(&self) -> Instant {
        if self.in_turn { self.now } else { self.clock.now() }
    }

    /// The source whose handler runs; `None` outside handlers.
    pub fn current(&self) -> Option<SourceId> {
        self.current
    }

    /// What a source is and has done; `None` if it was removed.
    pub fn report(&self, id: SourceId) -> Option<SourceReport> {
        let now = self.clock.now().saturating_duration_since(self.shared().start);
        Some(self.entries.get(id)?.record.report(now))
    }

    /// Sets what gets failures of handlers, instead of what was set before. A library prints nothing, so without a hook
    /// they are only counted and kept. If the hook panics, [`turn`](Self::turn) and [`run`](Self::run) return an error.
    pub fn on_failure(&mut self, hook: impl FnMut(&Failure<'_>) + 'static) {
        self.on_failure = Some(Box::new(hook));
    }

    /// Sets what gets the text of a dump that [`LoopHandle::request_dump`] asks for, instead of what was set before.
    /// Each line of the text ends with a line feed, so it is shown by `print!`.
    pub fn on_dump(&mut self, hook: impl FnMut(&str) + 'static) {
        self.on_dump = Some(Box::new(hook));
    }

    /// The clock of its deadlines.
    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }
}

impl fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLoop").field("sources", &self.shared().reports().len()).finish_non_exhaustive()
    }
}
