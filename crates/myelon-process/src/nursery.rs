//! A thread whose only work is to start processes, and to live.

use crate::prepared::Prepared;
use crate::{Child, Command, SpawnError};
use disruptor_mp::liveness::ProcessIdentity;
use std::io;
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

/// One process to start, and the channel for the result.
type Request = (Prepared, Sender<Result<Child, SpawnError>>);

/// Starts processes, all from one thread that lives as long as this value.
///
/// The kernel ties a parent-death signal ([`die_with_parent`](crate::orphan::die_with_parent)) to the *thread* that has
/// started the child, not to its process. A child that was started by a thread of a pool or of a test dies when that
/// thread ends. A child of a nursery that has made that call dies when the nursery is dropped, or when its process is
/// gone. A child that has not made it runs on.
///
/// ```
/// use myelon_process::orphan::Parent;
/// use myelon_process::{Command, Nursery, Patience};
///
/// let nursery = Nursery::start()?;
/// let mut command = Command::new("true"); // in earnest, a program that calls `die_with_parent`
/// command.env("PARENT", Parent::current().to_string());
/// let mut child = nursery.spawn(&command)?;
/// assert!(child.wait(Patience::Endless).is_some_and(|ended| ended.is_success()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Nursery {
    requests: Option<Sender<Request>>,
    thread: Option<JoinHandle<()>>,
    /// The process that has started it. A child of `fork` has a copy of this value.
    owner: ProcessIdentity,
}

impl Nursery {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no thread left for this process.
    pub fn start() -> io::Result<Self> {
        let (requests, inbox) = mpsc::channel::<Request>();
        let attend = move || {
            for (prepared, answer) in inbox {
                // The receiver is gone only if the asking thread has panicked. Then the child is abandoned, and dies
                // with this thread if it is tied to it.
                let _ = answer.send(prepared.start());
            }
        };
        let thread = std::thread::Builder::new().name("myelon-nursery".into()).spawn(attend)?;
        Ok(Self { requests: Some(requests), thread: Some(thread), owner: ProcessIdentity::current() })
    }

    /// Starts `command` as a child of the nursery's thread. Its signal mask is determined by the calling thread, as
    /// that of [`Command::spawn`].
    ///
    /// # Errors
    /// See [`SpawnError`].
    pub fn spawn(&self, command: &Command) -> Result<Child, SpawnError> {
        let gone = || SpawnError::NoNursery { program: command.get_program().to_owned() };
        if self.owner != ProcessIdentity::current() {
            return Err(gone());
        }
        let (answer, answered) = mpsc::channel();
        let requests = self.requests.as_ref().ok_or_else(gone)?;
        requests.send((command.prepare()?, answer)).map_err(|_| gone())?;
        answered.recv().map_err(|_| gone())?
    }
}

impl Drop for Nursery {
    fn drop(&mut self) {
        self.requests = None;
        let Some(thread) = self.thread.take() else { return };
        if self.owner == ProcessIdentity::current() {
            // The thread does not panic.
            let _ = thread.join();
        } else {
            // A forked child has our memory but not our threads: it has no thread to join or to detach.
            std::mem::forget(thread);
        }
    }
}
