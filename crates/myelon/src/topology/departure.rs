//! How the workers left when their scheduler closed the topology.

use super::child::StatusUnknown;
use super::peer::Peer;
use crate::transport::Format;
use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Instant;

/// The signal by which a process is ended that does not leave.
const SIGKILL: i32 = 9;

/// How one worker left when the topology was closed. `Display` says it in one line.
///
/// ```
/// use myelon::topology::{Parting, SchedulerEnd};
///
/// fn end(scheduler: SchedulerEnd) {
///     for departure in scheduler.close() {
///         match departure.how {
///             Parting::Exited { status } if status.success() => {}
///             // tp-engine, rank 1 did not leave in time and was killed: process 4711
///             _ => eprintln!("{departure}"),
///         }
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Departure {
    /// What people call the worker: `tp-engine, rank 1`.
    pub worker: String,
    /// Its rank.
    pub rank: usize,
    /// How it left.
    pub how: Parting,
}

/// How a worker left. The text goes on after the worker's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Parting {
    /// By itself, then or before.
    Exited {
        /// Its status.
        status: ExitStatus,
    },
    /// It has ended, then or before, and how cannot be known.
    Ended {
        /// Why not.
        why: StatusUnknown,
    },
    /// It did not leave in time and was killed.
    Killed {
        /// Its process.
        pid: u32,
    },
    /// It did not leave in time and could not be killed: it runs, and is not waited for.
    Remains {
        /// Its process.
        pid: u32,
        /// What the operating system said.
        why: io::ErrorKind,
    },
    /// It was not ours to wait for.
    StartedElsewhere,
}

impl fmt::Display for Departure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.worker, self.how)
    }
}

impl fmt::Display for Parting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited { status } => write!(f, "has ended: {status}"),
            Self::Ended { why } => write!(f, "has ended, and how cannot be known: {why}"),
            Self::Killed { pid } => write!(f, "did not leave in time and was killed: process {pid}"),
            Self::Remains { pid, why } => {
                write!(f, "did not leave in time and could not be killed: {why}; process {pid} runs on: end it")
            }
            Self::StartedElsewhere => f.write_str("was started by another process, which has to end it"),
        }
    }
}

/// Waits until the worker's process has ended, or kills it at the deadline.
pub(super) fn depart<F: Format>(peer: &mut Peer<F>, deadline: Option<Instant>) -> Departure {
    Departure { worker: peer.id.clone(), rank: peer.rank, how: part(peer, deadline) }
}

fn part<F: Format>(peer: &mut Peer<F>, deadline: Option<Instant>) -> Parting {
    let Some(started) = &mut peer.started else { return Parting::StartedElsewhere };
    let process = &mut started.process;
    let pid = process.pid();
    match process.wait(deadline) {
        Some(Ok(status)) => return Parting::Exited { status },
        Some(Err(why)) => return Parting::Ended { why },
        None => {}
    }
    // A process that may not be ended is not waited for either.
    if let Err(error) = process.kill() {
        return Parting::Remains { pid, why: error.kind() };
    }
    match process.wait(None) {
        // It has ended by itself in this moment.
        Some(Ok(status)) if status.signal() != Some(SIGKILL) => Parting::Exited { status },
        _ => Parting::Killed { pid },
    }
}
