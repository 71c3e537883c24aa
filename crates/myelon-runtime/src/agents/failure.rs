//! What goes wrong: in an agent, at a start of a runner, and at its close.

use super::{Activity, AgentError, GroupEnd};
use std::any::Any;
use std::fmt;
use std::io;
use std::time::Duration;

/// An agent has failed. The hook that [`Group::on_failure`](super::Group::on_failure) sets gets it.
///
/// ```
/// use myelon_runtime::agents::{Failure, Group, Policy, from_fn};
///
/// let group = Group::new("drivers")
///     .agent_with(from_fn("sender", |_| Err("the ring is closed".into())), Policy::End)
///     .on_failure(|failure: &Failure<'_>| eprintln!("{failure}"));
/// group.into_invoker().invoke(); // agent `sender` of `drivers` failed in do_work: the ring is closed; it ends
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Failure<'a> {
    /// The name of the group.
    pub group: &'a str,
    /// The name of the agent.
    pub agent: &'a str,
    /// In which call.
    pub during: Activity,
    /// What has happened.
    pub cause: &'a Cause,
    /// What happens to the agent.
    pub then: Then,
}

impl fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group, agent, during, cause, then } = self;
        write!(f, "agent `{agent}` of `{group}` failed in {during}: {cause}; {then}")
    }
}

/// What happens after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Then {
    /// The agent is started again after this time.
    RestartsIn(Duration),
    /// The agent ends, or has ended.
    Ends,
    /// All agents of the group end.
    GroupEnds,
}

impl fmt::Display for Then {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RestartsIn(delay) => write!(f, "it starts again in {delay:.1?}"),
            Self::Ends => f.write_str("it ends"),
            Self::GroupEnds => f.write_str("its group ends"),
        }
    }
}

/// How an agent has failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// It has returned an error.
    #[error("{0}")]
    Error(#[source] AgentError),
    /// It has panicked. Its state may be half changed.
    #[error("it panicked: {0}")]
    Panic(String),
    /// The loop cannot wait for one of its doorbells.
    #[error("the loop cannot wait for a doorbell: {0}")]
    Doorbell(#[source] io::Error),
}

impl Cause {
    /// What it says. The text of an error is the program's, and may panic.
    pub(super) fn text(&self) -> String {
        contained(|| self.to_string()).unwrap_or_else(|_| "an error whose text panicked".to_owned())
    }
}

/// What a panic has said.
pub(super) fn text_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a value that is no text").to_owned()
}

/// Runs `work`. A panic becomes its text.
pub(super) fn contained<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).map_err(|payload| {
        let text = text_of(&*payload);
        // The destructor of another payload may panic as well. A text has none.
        if !payload.is::<&str>() && !payload.is::<String>() {
            std::mem::forget(payload);
        }
        text
    })
}

/// Why a runner was not started. Its agents are dropped, and were not started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// The system did not start a thread: there are too many, or there is no memory.
    #[error("the thread of `{group}` did not start: {source}")]
    Thread {
        /// The group.
        group: String,
        /// What the system said.
        r#source: io::Error,
    },
}

/// Why a close or a wait has not seen the end of a group.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloseError {
    /// The patience is over. Wait again, or let the process end; a thread cannot be stopped from outside.
    #[error("the agents of `{group}` have not ended within {waited:.1?}: {}", hang(.by))]
    TimedOut {
        /// The group.
        group: String,
        /// How long the wait was.
        waited: Duration,
        /// The agent that runs, in which call, and for how long; `None` between two calls.
        by: Option<(String, Activity, Duration)>,
    },
    /// The caller is an agent of this group, or its hook. Call
    /// [`GroupHandle::request_close`](super::GroupHandle::request_close) there.
    #[error("an agent of `{group}` cannot wait for the end of its own group")]
    OnItself {
        /// The group.
        group: String,
    },
    /// This process is a child made by `fork`, and does not run the agents.
    #[error("the agents of `{group}` run in the process from which this one was forked")]
    Forked {
        /// The group.
        group: String,
    },
}

fn hang(by: &Option<(String, Activity, Duration)>) -> String {
    match by {
        Some((agent, activity, since)) => format!("`{agent}` has been in {activity} for {since:.1?}"),
        None => "no agent is in a call".to_owned(),
    }
}

impl fmt::Display for GroupEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("it was closed"),
            Self::Finished => f.write_str("all agents have finished"),
            Self::Failed { agent, error } => write!(f, "agent `{agent}` failed: {error}"),
            Self::Panicked { what, text } => write!(f, "{what} panicked: {text}"),
        }
    }
}
