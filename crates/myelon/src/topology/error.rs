//! Why a topology did not come about.
//!
//! **Lives here:** the errors of launching, joining and restarting, and what is said of a worker that is missing. **Builds on:** the
//! transport's errors, which it keeps as sources. **May touch it:** `launch`, `worker`, `scheduler` make them.

use crate::transport::{InvalidConfigText, SessionLayoutError, TransportError};
use std::fmt;
use std::io;
use std::process::ExitStatus;
use std::time::Duration;

/// Why a topology was not launched. Workers that had been started have been ended again, and no segment is left.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// The broadcast ring could not be created. `InUse` inside: a scheduler with this label runs already, or one whose label has the same
    /// tag.
    #[error("the broadcast ring could not be created")]
    Broadcast(#[source] TransportError),
    /// A worker could not be started.
    #[error("worker {rank} could not be started")]
    Spawn {
        /// Which.
        rank: usize,
        /// What the operating system said.
        source: io::Error,
    },
    /// The thread from which workers are started could not be started itself.
    #[error("the thread that starts workers could not be started")]
    Thread(#[source] io::Error),
    /// Not everybody came.
    #[error("after {waited:.1?} these workers are missing: {}", list(missing))]
    Missing {
        /// Who, and what is known of each.
        missing: Vec<MissingWorker>,
        /// How long the scheduler waited: shorter than its patience if somebody could not come any more.
        waited: Duration,
    },
}

/// A worker that was not there when the scheduler gave up.
#[derive(Debug)]
#[non_exhaustive]
pub struct MissingWorker {
    /// Which.
    pub rank: usize,
    /// Its consumer id in the broadcast ring.
    pub consumer_id: String,
    /// How far it had got.
    pub state: MissingState,
}

/// How far a missing worker had got.
#[derive(Debug)]
#[non_exhaustive]
pub enum MissingState {
    /// Nobody has started it, as far as we can see.
    NotSeen,
    /// We have started it; it runs, and has not joined.
    NotJoined {
        /// Its process.
        pid: u32,
    },
    /// We have started it, and it ended before it had joined.
    Exited {
        /// Its process.
        pid: u32,
        /// How; `None` if that cannot be known.
        status: Option<ExitStatus>,
    },
    /// It has joined the broadcast ring, and we could not attach to its response ring.
    NoResponses {
        /// Its process, as seen in its own pid namespace.
        pid: u32,
        /// Why not, the last time that we tried; `None` if it has not made the ring yet, and perhaps a dead process's is there.
        source: Option<Box<TransportError>>,
    },
    /// It had joined, and died.
    Died {
        /// Its process, as seen in its own pid namespace.
        pid: u32,
        /// How it ended, if it was a child of ours.
        status: Option<ExitStatus>,
    },
    /// It had joined, and left.
    Left,
}

impl fmt::Display for MissingWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {} (", self.rank)?;
        match &self.state {
            MissingState::NotSeen => write!(f, "never seen")?,
            MissingState::NotJoined { pid } => write!(f, "process {pid} runs and has not joined")?,
            MissingState::Exited { pid, status: Some(status) } => {
                write!(f, "process {pid} ended before it had joined: {status}")?;
            }
            MissingState::Exited { pid, status: None } => {
                write!(f, "process {pid} ended before it had joined, and how cannot be known")?;
            }
            MissingState::NoResponses { pid, source: Some(error) } => {
                write!(f, "process {pid} has joined, but its response ring cannot be used: {error}")?;
            }
            MissingState::NoResponses { pid, source: None } => {
                write!(f, "process {pid} has joined, but has not made its response ring")?;
            }
            MissingState::Died { pid, status: Some(status) } => {
                write!(f, "process {pid} has joined and died: {status}")?
            }
            MissingState::Died { pid, status: None } => write!(f, "process {pid} has joined and died")?,
            MissingState::Left => write!(f, "has joined and left")?,
        }
        f.write_str(")")
    }
}

fn list(missing: &[MissingWorker]) -> String {
    missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Why a worker is not part of its topology.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerJoinError {
    /// The process has no invitation. Let a scheduler start it, or set the variable by hand.
    #[error("the environment variable {} is not set", super::INVITATION_VARIABLE)]
    NotInvited,
    /// What should be the invitation is none.
    #[error("the invitation cannot be read")]
    Invitation(#[from] InvalidConfigText),
    /// There was no scheduler within the patience of the invitation.
    #[error("no scheduler within {waited:.1?}")]
    NoScheduler {
        /// How long the worker waited.
        waited: Duration,
        /// Why the broadcast ring could not be attached to, the last time; `None` if it was that of a scheduler that is dead or has closed it.
        source: Option<Box<TransportError>>,
    },
    /// The scheduler died, or closed the topology, while the worker joined.
    #[error("the scheduler has gone while this worker joined")]
    SchedulerGone,
    /// The scheduler lives and has not attached to the worker's response ring. It is stopped, or does not look after its workers: it does so in
    /// `gather`, `receive` and `check_workers`.
    #[error("the scheduler has not attached to the response ring within {waited:.1?}")]
    NotReceived {
        /// How long the worker waited.
        waited: Duration,
    },
    /// The broadcast ring cannot be joined: a worker of this rank lives already, or was built for other messages.
    #[error("the broadcast ring could not be joined")]
    Broadcast(#[source] TransportError),
    /// The response ring could not be created.
    #[error("the response ring could not be created")]
    Responses(#[source] TransportError),
    /// The operating system refused to tie the worker's life to that of its scheduler.
    #[error("asking for a signal at the scheduler's death failed")]
    Os(#[source] io::Error),
}

/// Why a worker was not started again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestartError {
    /// Somebody else has started this topology's workers, and has to start this one again.
    #[error("the scheduler does not start this topology's workers")]
    StartedElsewhere,
    /// There is no such worker.
    #[error(transparent)]
    Rank(#[from] SessionLayoutError),
    /// The old process could not be ended, or the new one not be started.
    #[error("worker {rank} could not be started again")]
    Os {
        /// Which.
        rank: usize,
        /// What the operating system said.
        source: io::Error,
    },
}
