//! A thread that names the handler, the tasklet or the agent that has run for too long.
//!
//! A loop whose handler does not return serves no other source, and a worker whose tasklet does not return runs no
//! other one. Neither can say so itself. A watchdog looks at what they run, and since when.
//!
//! ```
//! use myelon_runtime::agenda::Agenda;
//! use myelon_runtime::event_loop::EventLoop;
//! use myelon_runtime::watchdog::Watch;
//! use std::time::Duration;
//!
//! let agenda = Agenda::builder().workers(1).start()?;
//! let event_loop = EventLoop::new()?;
//! let watchdog = Watch::new(Duration::from_secs(1))
//!     .event_loop(&event_loop.handle(), "the loop")
//!     .agenda(&agenda)
//!     .abort_after(Duration::from_secs(60))
//!     .start(|overdue| eprintln!("{overdue}"))?; // "the loop has run `answers of worker 3` for 1.2s"
//! # drop(watchdog);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Source: RFC 0022, "Failures".

use crate::agenda::{HoldUp, Submitter};
use crate::agents::GroupHandle;
use crate::event_loop::LoopHandle;
use std::borrow::Cow;
use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often a thread looks in the time that a handler may take.
const LOOKS_PER_LIMIT: u32 = 4;

/// The shortest time between two looks of a thread.
const LOOK_EVERY_MIN: Duration = Duration::from_millis(1);

enum Watched {
    Loop { handle: LoopHandle, name: Cow<'static, str> },
    Agenda(Submitter),
    Agents(GroupHandle),
}

/// What runs in one thread, and how long it had run when it was told.
struct Told {
    overdue: HoldUp,
    at: Duration,
}

/// What is watched, and for how long a handler or a tasklet may run.
///
/// A program that has a thread of its own for such things calls [`look`](Self::look); others [`start`](Self::start) a
/// [`Watchdog`].
///
/// ```
/// use myelon_runtime::agenda::Agenda;
/// use myelon_runtime::watchdog::Watch;
/// use std::time::Duration;
///
/// let agenda = Agenda::builder().workers(1).start()?;
/// let mut watch = Watch::new(Duration::from_secs(1)).agenda(&agenda);
/// assert!(watch.look().is_empty()); // nothing has run for a second
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "`start` makes a watchdog, and `look` looks once"]
pub struct Watch {
    limit: Duration,
    abort_after: Option<Duration>,
    watched: Vec<Watched>,
    told: Vec<Told>,
}

impl Watch {
    /// Watches nothing yet. What runs for longer than `limit` is told.
    pub fn new(limit: Duration) -> Self {
        Self { limit, abort_after: None, watched: Vec::new(), told: Vec::new() }
    }

    /// Watches the handlers of a loop, which reports call `name`.
    pub fn event_loop(mut self, handle: &LoopHandle, name: impl Into<Cow<'static, str>>) -> Self {
        self.watched.push(Watched::Loop { handle: handle.clone(), name: name.into() });
        self
    }

    /// Watches the tasklets of an agenda.
    pub fn agenda(mut self, agenda: impl AsRef<Submitter>) -> Self {
        self.watched.push(Watched::Agenda(agenda.as_ref().clone()));
        self
    }

    /// Watches the agents of a group. In a loop or on an agenda that is watched, this names the agent too.
    pub fn agents(mut self, group: &GroupHandle) -> Self {
        self.watched.push(Watched::Agents(group.clone()));
        self
    }

    /// Ends the process with `abort` when something has run for this long, after it was told. For a server that is
    /// started again by a supervisor, and is of no use while it hangs. Only [`start`](Self::start) does so.
    pub fn abort_after(mut self, longest: Duration) -> Self {
        self.abort_after = Some(longest);
        self
    }

    /// What has run for longer than the limit. Each run is told once, and again each time its duration has doubled.
    pub fn look(&mut self) -> Vec<HoldUp> {
        let overdue = self.overdue(self.limit);
        let same = |a: &HoldUp, b: &HoldUp| (&a.party, &a.runs) == (&b.party, &b.runs);
        // What has ended, or was begun anew, is forgotten.
        self.told.retain(|told| overdue.iter().any(|now| same(now, &told.overdue) && now.since >= told.overdue.since));
        let mut news = Vec::new();
        for now in overdue {
            let since = now.since.unwrap_or_default();
            match self.told.iter_mut().find(|told| same(&told.overdue, &now)) {
                Some(told) if since < told.at.saturating_mul(2) => told.overdue = now,
                Some(told) => {
                    *told = Told { overdue: now.clone(), at: since };
                    news.push(now);
                }
                None => {
                    self.told.push(Told { overdue: now.clone(), at: since });
                    news.push(now);
                }
            }
        }
        news
    }

    /// What has run for longer than `limit` now.
    fn overdue(&self, limit: Duration) -> Vec<HoldUp> {
        let runs = self.watched.iter().flat_map(|watched| match watched {
            Watched::Loop { handle, name } => {
                let runs = handle.runs().map(|(runs, since)| (name.clone(), runs, since));
                runs.into_iter().collect::<Vec<_>>()
            }
            Watched::Agenda(submitter) => {
                let running = submitter.shared.running().into_iter();
                let party = |worker| format!("worker {worker} of {}", submitter.shared.name).into();
                running.map(|running| (party(running.worker), running.description, running.since)).collect()
            }
            Watched::Agents(group) => {
                let runs = group.runs().map(|(runs, since)| (format!("group {}", group.name()).into(), runs, since));
                runs.into_iter().collect()
            }
        });
        let late = runs.filter(|(.., since)| *since > limit);
        late.map(|(party, runs, since)| HoldUp { party, runs: Some(runs), since: Some(since) }).collect()
    }

    /// Starts a thread that looks four times within the limit (or within the time to abort, if that is shorter), and
    /// calls `hook` for what [`look`](Self::look) finds. It makes a system call for each look.
    ///
    /// # Errors
    /// The system did not start the thread.
    pub fn start(mut self, mut hook: impl FnMut(&HoldUp) + Send + 'static) -> io::Result<Watchdog> {
        let ending = Arc::new((Mutex::new(false), Condvar::new()));
        let ends = Arc::clone(&ending);
        let shortest = self.abort_after.map_or(self.limit, |longest| longest.min(self.limit));
        let every = (shortest / LOOKS_PER_LIMIT).max(LOOK_EVERY_MIN);
        let thread = std::thread::Builder::new().name("watchdog".into()).spawn(move || {
            let (lock, bell) = &*ends;
            let mut ended = lock.lock().unwrap_or_else(PoisonError::into_inner);
            while !*ended {
                ended = bell.wait_timeout(ended, every).unwrap_or_else(PoisonError::into_inner).0;
                if *ended {
                    return;
                }
                // Not under the lock: the hook may drop the watchdog.
                drop(ended);
                let news = self.look();
                news.iter().for_each(&mut hook);
                self.abort_if_too_long(&mut hook);
                ended = lock.lock().unwrap_or_else(PoisonError::into_inner);
            }
        })?;
        Ok(Watchdog { ending, thread: Some(thread), process: std::process::id() })
    }

    fn abort_if_too_long(&self, hook: &mut impl FnMut(&HoldUp)) {
        let Some(longest) = self.abort_after else { return };
        if let Some(overdue) = self.overdue(longest).into_iter().next() {
            hook(&overdue);
            std::process::abort();
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("limit", &self.limit)
            .field("abort_after", &self.abort_after)
            .finish_non_exhaustive()
    }
}

/// A thread that watches. It ends when this is dropped.
///
/// ```
/// use myelon_runtime::event_loop::EventLoop;
/// use myelon_runtime::watchdog::{Watch, Watchdog};
/// use std::time::Duration;
///
/// let mut event_loop = EventLoop::new()?;
/// let watch = Watch::new(Duration::from_secs(1)).event_loop(&event_loop.handle(), "the loop");
/// let watchdog: Watchdog = watch.start(|overdue| eprintln!("{overdue}"))?;
/// event_loop.turn(Duration::ZERO)?;
/// drop(watchdog); // nothing is watched from now on
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// If its hook panics, it ends as well, and nothing is watched any more. The hook may drop it; then it ends after the
/// calls of the hook for what this look has found. In a forked child there is no such thread, and a drop does nothing.
#[derive(Debug)]
pub struct Watchdog {
    ending: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
    /// A forked child has no such thread, and the lock may be held there without end.
    process: u32,
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            return;
        }
        *self.ending.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.ending.1.notify_one();
        // A hook that drops its own watchdog would wait for itself.
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            // Its own panic is one of the hook, and was printed.
            let _ = thread.join();
        }
    }
}
