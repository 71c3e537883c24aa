//! How the workers left when their scheduler closed the topology.

use super::peer::Peer;
use crate::transport::Format;
use disruptor_mp::Patience;
use myelon_process::{Ended, StatusUnknown};
use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Instant;

/// The signal that ends a process that does not leave.
const SIGKILL: i32 = 9;

/// How one worker left when the topology was closed. `Display` writes one line.
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
    /// The user's name for the worker: `tp-engine, rank 1`.
    pub worker: String,
    /// Its rank, from 0.
    pub rank: usize,
    /// How it left.
    pub how: Parting,
}

/// How a worker left. The text continues a sentence after the worker's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Parting {
    /// It ended by itself, at the close or before.
    Exited {
        /// How its process ended: its exit code, or the signal.
        status: ExitStatus,
    },
    /// It ended, at the close or before, and it cannot be known how.
    Ended {
        /// Why its status is not known.
        why: StatusUnknown,
    },
    /// It did not leave in time and was killed.
    Killed {
        /// The pid of its process, a child of this one.
        pid: u32,
    },
    /// It did not leave in time and could not be killed. It still runs; the scheduler does not wait for it.
    Remains {
        /// The pid of its process, a child of this one.
        pid: u32,
        /// The error with which the operating system refused the kill.
        why: io::ErrorKind,
    },
    /// Another program started it, so the scheduler does not wait for it.
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
    match process.wait(deadline).map(Ended::status) {
        Some(Ok(status)) => return Parting::Exited { status },
        Some(Err(why)) => return Parting::Ended { why },
        None => {}
    }
    // Do not wait for a process that cannot be killed.
    if let Err(error) = process.kill() {
        return Parting::Remains { pid, why: error.kind() };
    }
    match process.wait(Patience::Endless).map(Ended::status) {
        // It has ended by itself just now.
        Some(Ok(status)) if status.signal() != Some(SIGKILL) => Parting::Exited { status },
        _ => Parting::Killed { pid },
    }
}
