//! What an agent is: work in cycles, with a start and a close.

use super::Doorbells;
use std::error::Error;
use std::fmt;
use std::time::Instant;

/// The error of an agent.
pub type AgentError = Box<dyn Error + Send + Sync>;

/// What one call of [`Agent::do_work`] answers. A number becomes a `Work` with `into`.
///
/// ```
/// use myelon_runtime::agents::Work;
///
/// assert_eq!(Work::from(3), Work::Count(3));
/// assert_eq!(Work::NONE, Work::Count(0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// How many things it has done: messages, timers, whatever it counts. Zero: there was nothing to do, so the thread
    /// may idle if the other agents of the group say so too.
    Count(usize),
    /// It has done everything. It is closed, and not called again; its group goes on.
    Finished,
}

impl Work {
    /// There was nothing to do.
    pub const NONE: Self = Self::Count(0);
}

impl From<usize> for Work {
    fn from(count: usize) -> Self {
        Self::Count(count)
    }
}

/// Work in cycles. One thread at a time calls it, so it needs no lock for itself.
///
/// For each [`on_start`](Self::on_start) that succeeded, [`on_close`](Self::on_close) is called once, whatever happens
/// in between. An error and a panic of any call are the same event: see [`Policy`](super::Policy).
///
/// ```
/// use myelon_runtime::agents::{Agent, AgentError, Group, GroupEnd, Work};
/// use std::time::Instant;
///
/// struct Countdown(usize);
///
/// impl Agent for Countdown {
///     fn name(&self) -> &str {
///         "countdown"
///     }
///
///     fn do_work(&mut self, _now: Instant) -> Result<Work, AgentError> {
///         let Some(left) = self.0.checked_sub(1) else { return Ok(Work::Finished) };
///         self.0 = left;
///         Ok(Work::Count(1))
///     }
/// }
///
/// let mut invoker = Group::new("example").agent(Countdown(3)).into_invoker();
/// while invoker.end().is_none() {
///     invoker.invoke();
/// }
/// assert_eq!(invoker.end(), Some(&GroupEnd::Finished));
/// ```
pub trait Agent {
    /// Its name in reports. It is asked once, when the agent joins its group.
    fn name(&self) -> &str;

    /// Opens what it needs, in a cycle of its own, on the thread that will call [`do_work`](Self::do_work). It is called again after a failure
    /// if the policy says so, so it must begin from what [`on_close`](Self::on_close), or a start that failed, has left.
    ///
    /// # Errors
    /// What it needs is not there. It counts as not started, and is not closed.
    fn on_start(&mut self) -> Result<(), AgentError> {
        Ok(())
    }

    /// Does what can be done at once, in a bounded piece, and does not wait. `now` is when the cycle began; all agents of
    /// a group get the same.
    ///
    /// # Errors
    /// It cannot go on. It is closed, and its policy says what follows.
    fn do_work(&mut self, now: Instant) -> Result<Work, AgentError>;

    /// Releases what [`on_start`](Self::on_start) has opened. It may find a state that a panic has left half changed.
    fn on_close(&mut self) {}

    /// When it wants to be called at the latest, although nothing happens: its next deadline. It is asked before each
    /// sleep. `None`: there is none.
    fn wake_at(&self) -> Option<Instant> {
        None
    }

    /// The thread is about to sleep until something wakes it. Arms the doorbells, and looks once more: `false` means
    /// that there is something to do already, so the thread does not sleep.
    ///
    /// An agent with a doorbell of `disruptor-mp` returns what `arm` says. One that gets its work from a queue need not
    /// do anything, if each sender calls [`GroupHandle::wake`](super::GroupHandle::wake) after it has put something in.
    fn before_park(&mut self) -> bool {
        true
    }

    /// Lists the descriptors that end the sleep when they are readable. It is asked after each
    /// [`before_park`](Self::before_park); in a loop, after the first one that follows a start.
    fn doorbells<'a>(&'a self, doorbells: &mut Doorbells<'a>) {
        let _ = doorbells;
    }
}

/// An agent that is one closure, without start and close.
///
/// ```
/// use myelon_runtime::agents::{Group, Work, from_fn};
///
/// let mut beats = 0;
/// let heart = from_fn("heart", move |_now| {
///     beats += 1;
///     Ok(if beats < 3 { Work::Count(1) } else { Work::Finished })
/// });
/// let mut invoker = Group::new("example").agent(heart).into_invoker();
/// assert_eq!(invoker.invoke(), 1); // the start
/// assert_eq!(invoker.invoke(), 1); // a beat
/// ```
pub fn from_fn<F>(name: impl Into<String>, do_work: F) -> impl Agent + Send + 'static
where
    F: FnMut(Instant) -> Result<Work, AgentError> + Send + 'static,
{
    FromFn { name: name.into(), do_work }
}

struct FromFn<F> {
    name: String,
    do_work: F,
}

impl<F: FnMut(Instant) -> Result<Work, AgentError>> Agent for FromFn<F> {
    fn name(&self) -> &str {
        &self.name
    }

    fn do_work(&mut self, now: Instant) -> Result<Work, AgentError> {
        (self.do_work)(now)
    }
}

/// One of an agent's calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Activity {
    /// [`Agent::on_start`].
    Start = 1,
    /// [`Agent::do_work`].
    Work,
    /// [`Agent::on_close`].
    Close,
    /// [`Agent::wake_at`], [`Agent::before_park`] or [`Agent::doorbells`].
    Park,
    /// Its destructor.
    Drop,
}

impl Activity {
    pub(super) const ALL: [Self; 5] = [Self::Start, Self::Work, Self::Close, Self::Park, Self::Drop];
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Start => "on_start",
            Self::Work => "do_work",
            Self::Close => "on_close",
            Self::Park => "before_park",
            Self::Drop => "drop",
        })
    }
}
