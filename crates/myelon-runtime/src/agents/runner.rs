//! A group on a thread of its own, or on the workers of an agenda.

use super::shared::{GroupHandle, Shared};
use super::{CloseError, Group, GroupEnd, IdleStrategy, SpawnError};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// A group that runs elsewhere: on its own thread ([`Group::spawn`]), or on an agenda ([`Group::submit`]).
///
/// Dropping it asks the agents to close. With a thread of its own it waits until they have done so, unless a
/// [`close`](Self::close) was not in time before; so close it with a patience where an agent may hang. On an agenda
/// it does not wait, because the caller may be a worker.
///
/// ```
/// use myelon_runtime::agents::{BackOff, Group, GroupEnd, Work, from_fn};
/// use std::time::Duration;
///
/// let mut runner = Group::new("example").agent(from_fn("idle", |_| Ok(Work::NONE))).spawn(BackOff::default())?;
/// println!("{}", runner.handle().dump());
/// // If an agent does not return, the error names it.
/// assert_eq!(runner.close(Duration::from_secs(30))?, GroupEnd::Closed);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Runner {
    pub(super) shared: Arc<Shared>,
    pub(super) thread: Option<JoinHandle<()>>,
    /// A close was not in time, so a drop would not be either.
    gave_up: bool,
}

impl Group {
    /// Runs the group on a thread of its own, which has its name. The agents are started, called and closed there.
    ///
    /// # Errors
    /// The system did not start a thread.
    ///
    /// # Panics
    /// The name has a byte 0 in it.
    pub fn spawn(self, idle: impl IdleStrategy + Send + 'static) -> Result<Runner, SpawnError> {
        let name = self.name.clone();
        let (mut invoker, mut idle) = (self.into_invoker(), idle);
        let shared = Arc::clone(&invoker.shared);
        let thread = std::thread::Builder::new().name(name.clone()).spawn(move || {
            invoker.run(&mut idle);
        });
        match thread {
            Ok(thread) => Ok(Runner::new(shared, Some(thread))),
            Err(source) => Err(SpawnError::Thread { group: name, source }),
        }
    }
}

impl Runner {
    pub(super) fn new(shared: Arc<Shared>, thread: Option<JoinHandle<()>>) -> Self {
        Self { shared, thread, gave_up: false }
    }

    /// Reaches the group from any thread.
    pub fn handle(&self) -> GroupHandle {
        GroupHandle { shared: Arc::clone(&self.shared) }
    }

    /// Asks the agents to close, and waits until they have, for `patience` at most. How it has ended may be another way
    /// than by this call.
    ///
    /// # Errors
    /// `TimedOut`: it names the agent that does not return; call it again to wait longer. `OnItself`: an agent of the
    /// group has called it. `Forked`: this process has not started it.
    pub fn close(&mut self, patience: Duration) -> Result<GroupEnd, CloseError> {
        if !self.shared.is_forked() {
            self.shared.request_close();
        }
        self.wait(patience)
    }

    /// Waits until the group has ended by itself, for `patience` at most.
    ///
    /// # Errors
    /// Those of [`close`](Self::close).
    pub fn wait(&mut self, patience: Duration) -> Result<GroupEnd, CloseError> {
        let ended = self.shared.wait(patience);
        match &ended {
            // The thread has nothing to do any more. Its own panic would be a defect of this crate.
            Ok(_) => drop(self.thread.take().map(JoinHandle::join)),
            Err(CloseError::TimedOut { .. }) if self.shared.is_closing() => self.gave_up = true,
            Err(_) => {}
        }
        ended
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        if self.shared.is_forked() {
            return;
        }
        self.shared.request_close();
        // An agent that drops its own runner would wait for itself.
        if !self.gave_up
            && !self.shared.is_current()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}
