//! A group of agents before it runs.

use super::failure::Failure;
use super::invoker::Invoker;
use super::{Agent, Policy};
use crate::agenda::{Attended, Submitter};
use crate::clock::{Clock, SystemClock};
use std::fmt;
use std::sync::Arc;

/// The hook for failures.
pub(super) type Hook = Box<dyn FnMut(&Failure<'_>) + Send>;
pub(super) type EndHook = Box<dyn FnOnce(&GroupEnd) + Send>;

/// Agents that one thread runs, one after the other, in the order in which they were added.
///
/// Nothing is started before the group runs: [`into_invoker`](Self::into_invoker) for a thread that has a loop of its
/// own, [`spawn`](Self::spawn) for a new thread, [`add_to`](Self::add_to) for an event loop, [`submit`](Self::submit)
/// for an agenda.
///
/// ```
/// use myelon_runtime::agents::{BackOff, Group, GroupEnd, Policy, Restart, Work, from_fn};
/// use std::time::Duration;
///
/// let mut left = 3;
/// let counter = from_fn("counter", move |_| {
///     left -= 1;
///     Ok(if left == 0 { Work::Finished } else { Work::Count(1) })
/// });
/// let mut runner = Group::new("counters")
///     .agent_with(counter, Policy::EndGroup)
///     .on_failure(|failure| eprintln!("{failure}"))
///     .spawn(BackOff::default())?;
/// assert_eq!(runner.wait(Duration::from_secs(30))?, GroupEnd::Finished);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a group does nothing until it runs"]
pub struct Group {
    pub(super) name: String,
    pub(super) agents: Vec<(Box<dyn Agent + Send>, Policy)>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) hook: Option<Hook>,
    pub(super) end_hook: Option<EndHook>,
    pub(super) attended: Option<Attended>,
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("name", &self.name).field("agents", &self.agents.len()).finish_non_exhaustive()
    }
}

impl Group {
    /// A group without agents. `name` is for reports, and for the thread of a runner.
    pub fn new(name: impl Into<String>) -> Self {
        let (agents, clock) = (Vec::new(), Arc::new(SystemClock));
        Self { name: name.into(), agents, clock, hook: None, end_hook: None, attended: None }
    }

    /// Adds an agent with the default [`Policy`]: it is restarted after a failure, and after
    /// [10 restarts in a row](super::Restart) its group ends.
    pub fn agent(self, agent: impl Agent + Send + 'static) -> Self {
        self.agent_with(agent, Policy::default())
    }

    /// Adds an agent, and says what its failure means.
    pub fn agent_with(mut self, agent: impl Agent + Send + 'static, policy: impl Into<Policy>) -> Self {
        self.agents.push((Box::new(agent), policy.into()));
        self
    }

    /// Where the time comes from: [`SystemClock`] if not given. In a loop it comes from the loop's clock.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Sets what gets failures of agents, instead of what was set before. A library prints nothing, so without a hook
    /// they are only counted and kept. If the hook panics, the group ends.
    pub fn on_failure(mut self, hook: impl FnMut(&Failure<'_>) + Send + 'static) -> Self {
        self.hook = Some(Box::new(hook));
        self
    }

    /// Sets what is called when the group has ended, instead of what was set before: once, with how it has ended, on
    /// the thread that has closed the agents. So the thread that supervises the group is told, and need not look. A
    /// panic of the hook is caught, and costs nothing else.
    ///
    /// If the group was not started, because [`spawn`](Self::spawn) or [`submit`](Self::submit) has failed, it has
    /// ended as [`Closed`](GroupEnd::Closed).
    ///
    /// ```
    /// use myelon_runtime::agents::{Group, ParkAtDoorbells, Policy, from_fn};
    /// use myelon_runtime::event_loop::EventLoop;
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let supervisor = event_loop.handle();
    /// let runner = Group::new("receivers")
    ///     .agent_with(from_fn("receiver", |_| Err("the ring is closed".into())), Policy::EndGroup)
    ///     .on_end(move |end| {
    ///         eprintln!("receivers: {end}");
    ///         supervisor.quit();
    ///     })
    ///     .spawn(ParkAtDoorbells)?;
    /// event_loop.run()?; // until they have ended, or something else ends the server
    /// # drop(runner);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_end(mut self, hook: impl FnOnce(&GroupEnd) + Send + 'static) -> Self {
        self.end_hook = Some(Box::new(hook));
        self
    }

    /// Stops the group between two calls of `do_work` while a closure runs alone at a safe point of `agenda`.
    ///
    /// Where the group runs on a thread that is a party of these safe points already, such as a worker of that agenda
    /// or a [loop that attends it](crate::event_loop::EventLoop::attend), it stops as that party. Otherwise it is a
    /// party itself.
    pub fn attend(mut self, agenda: impl AsRef<Submitter>) -> Self {
        self.attended = Some(Attended::new(agenda.as_ref()));
        self
    }

    /// Runs the agents on the thread that calls the invoker.
    pub fn into_invoker(self) -> Invoker {
        Invoker::new(self)
    }
}

/// How a group has ended. Its agents are closed and dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GroupEnd {
    /// It was asked to, or what ran it was dropped.
    Closed,
    /// All agents have answered [`Work::Finished`](super::Work::Finished), or there were none.
    Finished,
    /// An agent has failed for good. Either its policy ended the group, or the others have ended since; then it is the
    /// first one that has failed so.
    Failed {
        /// The name of the agent.
        agent: String,
        /// Its error, as text.
        error: String,
    },
    /// Something beside the agents has panicked: the hook for failures, or the idle strategy.
    Panicked {
        /// Which of them.
        what: &'static str,
        /// What the panic said.
        text: String,
    },
}
