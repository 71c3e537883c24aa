//! How far a missing worker had got when the scheduler gave up.

use super::super::refusal::JoinRefusal;
use crate::transport::TransportError;
use disruptor_mp::liveness::Ending;
use std::fmt;
use std::process::ExitStatus;

/// A worker that was missing when the scheduler gave up. `Display` writes one line.
///
/// ```
/// use myelon::prelude::*;
/// use myelon::topology::MissingState;
/// use std::time::Duration;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let session = portable_shm_segment_name("doc");
/// let topology: Topology = Topology::new(&session, 2usize)?.with_rendezvous_timeout(Duration::from_millis(1));
/// if let Err(LaunchError::Missing { missing, .. }) = topology.launch(Workers::started_elsewhere()) {
///     for worker in &missing {
///         eprintln!("{worker}"); // tp-engine, rank 0 (never seen; ...)
///         if let MissingState::Refused { refusal, .. } = &worker.state {
///             eprintln!("start it again once this is mended: {}", refusal.cause);
///         }
///     }
/// #   assert!(missing.len() == 2 && missing[1].rank == 1);
/// # } else {
/// #   panic!("no worker was started");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct MissingWorker {
    /// The rank of the worker, from 0.
    pub rank: usize,
    /// The user's name for it, which is also its consumer id in the broadcast ring: `tp-engine, rank 1`.
    pub consumer_id: String,
    /// How far it had got.
    pub state: MissingState,
    /// Other processes that could not take its entry. Only the program that started them knows which were meant to be
    /// this worker.
    pub others_refused: Vec<JoinRefusal>,
}

/// How far a missing worker had got.
#[derive(Debug)]
#[non_exhaustive]
pub enum MissingState {
    /// No process has come as this worker, and none has reported a failure. A process of another user may have been
    /// unable to report.
    NotSeen {
        /// The users that may use the broadcast ring, if the system tells.
        ring: Option<RingAccess>,
    },
    /// The scheduler has started it; it runs, and has not joined.
    NotJoined {
        /// The pid of its process, a child of the scheduler.
        pid: u32,
    },
    /// The process could not join, and has said why.
    Refused {
        /// Which process was refused, and why.
        refusal: JoinRefusal,
        /// How it ended, if it was started by this scheduler and has.
        status: Option<ExitStatus>,
    },
    /// The scheduler has started it; it ended before it had joined, and reported nothing.
    Exited {
        /// The pid of its process, a child of the scheduler.
        pid: u32,
        /// How it ended; `None` if that cannot be known.
        status: Option<ExitStatus>,
    },
    /// It has joined the broadcast ring, but the scheduler could not attach to its response ring.
    NoResponses {
        /// The pid of its process, in that process's own pid namespace.
        pid: u32,
        /// The error of the last attempt; `None` if it has not made the ring yet. The ring of a dead process may still
        /// be there.
        source: Option<Box<TransportError>>,
    },
    /// It has joined, but its invitation was made without the urgent lane that this topology has. Make both from one
    /// description. It is refused; so is a successor that comes later, which is reported as
    /// [`JoinFailed`](crate::topology::Change::JoinFailed).
    NoUrgentLane {
        /// The pid of its process, in that process's own pid namespace.
        pid: u32,
    },
    /// It had joined, and is gone.
    Died {
        /// The pid of its process, in that process's own pid namespace.
        pid: u32,
        /// How it ended, if it was a child of the scheduler.
        status: Option<ExitStatus>,
        /// What happened to its end in the broadcast ring.
        how: Ending,
    },
    /// It had joined, and left.
    Left,
}

/// The users that may use a ring.
pub type RingAccess = disruptor_mp::segment::Permissions;

impl fmt::Display for MissingWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (", self.consumer_id)?;
        match &self.state {
            MissingState::NotSeen { ring: None } => write!(f, "never seen")?,
            MissingState::NotSeen { ring: Some(RingAccess { mode, owner_uid, .. }) } => {
                write!(f, "never seen; the broadcast ring has mode {mode:04o} and belongs to user {owner_uid}")?;
            }
            MissingState::Refused { refusal, status: None } => write!(f, "{}", refusal.told())?,
            MissingState::Refused { refusal, status: Some(status) } => {
                write!(f, "{}; it has ended: {status}", refusal.told())?;
            }
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
            MissingState::NoUrgentLane { pid } => {
                write!(f, "process {pid} has joined without the urgent lane: make its invitation from this topology")?;
            }
            MissingState::Died { pid, status, how } => {
                write!(f, "process {pid} has joined and {}", went(*how))?;
                if let Some(status) = status {
                    write!(f, ": {status}")?;
                }
            }
            MissingState::Left => write!(f, "has joined and left")?,
        }
        for refusal in &self.others_refused {
            write!(f, "; beside it, {}", refusal.told())?;
        }
        f.write_str(")")
    }
}

/// What happened to a worker's end, as the last part of a sentence about the worker.
pub(in super::super) fn went(how: Ending) -> &'static str {
    match how {
        Ending::Killed => "has died",
        Ending::Panicked => "was dropped by a panic",
        Ending::Dropped => "was dropped",
        Ending::Unknown => "is not there any more, and how it went is not known",
        _ => "has left",
    }
}

pub(super) fn list(missing: &[MissingWorker]) -> String {
    missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
