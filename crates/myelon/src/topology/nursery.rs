//! A thread whose only work is to start processes, and to live.
//!
//! The kernel ties a parent-death signal to the *thread* that has forked, not to its process. If workers were started
//! by the thread that calls `launch`, they would die when that thread ends, for example a thread of a pool or of a
//! test. So all workers are children of this thread, which ends with the topology.

use super::child::ChildProcess;
use disruptor_mp::liveness::process::InheritedPipe;
use disruptor_mp::segment::fork_epoch;
#[cfg(target_os = "linux")]
use rustix::pipe::PipeFlags;
use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

/// One process to start, the pipe that it inherits, and the channel for the result.
type Request = (Command, Option<Pipe>, Sender<io::Result<ChildProcess>>);

/// A pipe into which a child says why it could not join.
pub(super) struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl Pipe {
    /// A pipe that no process inherits yet, and the description by which the child will find it.
    pub(super) fn new() -> io::Result<(Self, InheritedPipe)> {
        let (reader, writer) = pipe()?;
        let inherited = InheritedPipe::of(&writer)?;
        Ok((Self { reader, writer }, inherited))
    }
}

#[cfg(target_os = "linux")]
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    // Non-blocking, because no process waits for it: the scheduler polls it, and a line is far shorter than what a pipe
    // holds.
    Ok(rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?)
}

/// On this system a process that another thread starts meanwhile inherits the pipe too.
#[cfg(not(target_os = "linux"))]
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Starts processes, all from one thread that lives as long as this value.
pub(super) struct Nursery {
    requests: Option<Sender<Request>>,
    thread: Option<JoinHandle<()>>,
    fork_epoch: u32,
}

impl Nursery {
    /// Starts the thread.
    pub(super) fn start() -> io::Result<Self> {
        let (requests, inbox) = mpsc::channel::<Request>();
        let attend = move || {
            for (mut command, pipe, answer) in inbox {
                // The receiver is gone only if the asking thread has panicked. Then the child has no handle, and dies
                // with this thread.
                let _ = answer.send(start(&mut command, pipe));
            }
        };
        let thread = std::thread::Builder::new().name("myelon-nursery".into()).spawn(attend)?;
        Ok(Self { requests: Some(requests), thread: Some(thread), fork_epoch: fork_epoch() })
    }

    /// Starts `command`, which inherits the writing end of `pipe`.
    pub(super) fn spawn(&self, command: Command, pipe: Option<Pipe>) -> io::Result<ChildProcess> {
        let gone = || io::Error::other("the thread that starts workers has gone");
        let (answer, answered) = mpsc::channel();
        self.requests.as_ref().ok_or_else(gone)?.send((command, pipe, answer)).map_err(|_| gone())?;
        answered.recv().map_err(|_| gone())?
    }
}

/// The standard library panics if a program cannot be started and the kernel has reaped the attempt, as it does where
/// SIGCHLD is ignored. If that ended this thread, every worker would die with it.
fn start(command: &mut Command, pipe: Option<Pipe>) -> io::Result<ChildProcess> {
    // The pipe is inheritable only for this moment, and this thread starts one process at a time, so no worker inherits
    // another's pipe. A process that another thread starts just now may inherit it too, which does no harm: no process
    // waits for the pipe's end. Setting the flag between fork and exec would need code there, and so a real `fork` of a
    // process that may be large.
    if let Some(pipe) = &pipe {
        InheritedPipe::set_inherited(&pipe.writer, true)?;
    }
    match catch_unwind(AssertUnwindSafe(|| command.spawn())) {
        Ok(child) => Ok(ChildProcess::new(child?, pipe.map(|pipe| pipe.reader))),
        Err(_) => Err(io::Error::other("the program could not be started, and why was lost: SIGCHLD is ignored")),
    }
}

impl Drop for Nursery {
    fn drop(&mut self) {
        self.requests = None;
        let Some(thread) = self.thread.take() else { return };
        if self.fork_epoch == fork_epoch() {
            // The thread catches panics.
            let _ = thread.join();
        } else {
            // A forked child has our memory but not our threads: it has no thread to join or to detach.
            std::mem::forget(thread);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_does_not_exist_is_an_error_and_the_next_one_is_started() {
        let nursery = Nursery::start().unwrap();
        let error = nursery.spawn(Command::new("/no/such/program"), None).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let ending = nursery.spawn(Command::new("true"), None).unwrap().wait(None);
        assert!(ending.is_some_and(|ending| ending.is_ok_and(|status| status.success())));
    }
}
