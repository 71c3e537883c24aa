//! A thread whose only work is to start processes, and to live.
//!
//! **Lives here:** [`Nursery`]. **Builds on:** nothing. **May touch it:** the scheduler's end, which owns it and the children.
//!
//! The kernel ties a parent-death signal to the *thread* that has forked, not to its process. Were workers started on whatever thread
//! calls `launch`, they would die when that thread ends: a worker of a thread pool, say, or a test. So all of them are children of this
//! one, which ends with the topology.

use super::child::ChildProcess;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

/// One process to start, and where to say what came of it.
type Request = (Command, Sender<io::Result<ChildProcess>>);

/// Starts processes, all from one thread that lives as long as this.
pub(super) struct Nursery {
    requests: Option<Sender<Request>>,
    thread: Option<JoinHandle<()>>,
    pid: u32,
}

impl Nursery {
    /// Starts the thread.
    pub(super) fn start() -> io::Result<Self> {
        let (requests, inbox) = mpsc::channel::<Request>();
        let attend = move || {
            for (mut command, answer) in inbox {
                // Nobody waits for the answer any more only if the asking thread has panicked; the child is then a child without a
                // handle, which dies with this thread.
                let _ = answer.send(start(&mut command));
            }
        };
        let thread = std::thread::Builder::new().name("myelon-nursery".into()).spawn(attend)?;
        Ok(Self { requests: Some(requests), thread: Some(thread), pid: std::process::id() })
    }

    /// Starts `command`.
    pub(super) fn spawn(&self, command: Command) -> io::Result<ChildProcess> {
        let gone = || io::Error::other("the thread that starts workers has gone");
        let (answer, answered) = mpsc::channel();
        self.requests.as_ref().ok_or_else(gone)?.send((command, answer)).map_err(|_| gone())?;
        answered.recv().map_err(|_| gone())?
    }
}

/// The standard library panics if a program cannot be started and the kernel has reaped the attempt, as it does where SIGCHLD is ignored.
/// Were that the end of this thread, every worker would die with it.
fn start(command: &mut Command) -> io::Result<ChildProcess> {
    match catch_unwind(AssertUnwindSafe(|| command.spawn())) {
        Ok(child) => Ok(ChildProcess::new(child?)),
        Err(_) => Err(io::Error::other("the program could not be started, and why was lost: SIGCHLD is ignored")),
    }
}

impl Drop for Nursery {
    fn drop(&mut self) {
        self.requests = None;
        // A forked child has our memory and not our threads: there is nobody to wait for.
        if let Some(thread) = self.thread.take().filter(|_| self.pid == std::process::id()) {
            // It catches what panics.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_does_not_exist_is_an_error_and_the_next_one_is_started() {
        let nursery = Nursery::start().unwrap();
        let error = nursery.spawn(Command::new("/no/such/program")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let ending = nursery.spawn(Command::new("true")).unwrap().wait(None);
        assert!(ending.is_some_and(|ending| ending.is_ok_and(|status| status.success())));
    }
}
