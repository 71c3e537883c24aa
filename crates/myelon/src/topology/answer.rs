//! What the scheduler learns from its workers and about them.

use super::error::{TopologyError, went};
use super::refusal::JoinRefusal;
use super::steps::Version;
use disruptor_mp::Sequence;
use disruptor_mp::liveness::Ending;
use std::fmt;
use std::process::ExitStatus;

/// The workers whose answers a call waits for.
///
/// ```
/// use myelon::topology::{SchedulerEnd, Whom};
/// use std::time::{Duration, Instant};
///
/// fn ask(scheduler: &mut SchedulerEnd, step: i64) {
///     let soon = Instant::now() + Duration::from_millis(50); // for all three together
///     let all = scheduler.gather_for(step, Whom::All, soon); // in the order of ranks
///     let leader = scheduler.gather_for(step, Whom::Rank(0), soon); // one answer, or why there is none
///     let quickest = scheduler.gather_for(step, Whom::Any, soon); // the first one
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// The first worker that has something to report.
    Any,
    /// One answer of each.
    All,
    /// One answer of that worker.
    Rank(usize),
}

/// The result of waiting for one worker. The example is at [`Outcome`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Answer {
    /// The rank of the worker, from 0.
    pub rank: usize,
    /// The broadcast that the message answers, if there is a message and it says so. All messages that a worker sends
    /// by [`respond`](super::WorkerEnd::respond), [`answer`](super::WorkerEnd::answer) and in
    /// [`serve`](super::WorkerEnd::serve) say so.
    pub step: Option<Sequence>,
    /// The version of the message.
    pub(super) version: Version,
    /// What the wait for that worker ended with.
    pub outcome: Outcome,
}

/// The result of waiting for one worker. The messages that it has published come first, and its death or its leaving
/// after them.
///
/// ```
/// use myelon::Patience;
/// use myelon::topology::{Outcome, SchedulerEnd, Whom};
///
/// fn look(scheduler: &mut SchedulerEnd, step: i64, patience: Patience) {
///     for answer in scheduler.gather_for(step, Whom::All, patience) {
///         match answer.outcome {
///             Outcome::Message { kind, bytes } => println!("{kind}: {bytes:?}"),
///             Outcome::Died { pid, status, .. } => println!("{pid} has died: {status:?}"), // restart, or close
///             Outcome::Rejoined { pid } => println!("process {pid} goes on in its place; ask again"),
///             Outcome::TimedOut => println!("{}", scheduler.report(answer.rank)),
///             other => println!("rank {} {other}", answer.rank),
///         }
///     }
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// It has answered.
    Message {
        /// The kind that it gave the message.
        kind: u8,
        /// The bytes of the message.
        bytes: Vec<u8>,
    },
    /// It is gone, and everything that it had published has been received. Its entry is kept, with what it had not
    /// acknowledged. This stays the outcome until it comes back. If a successor is there before the death was reported,
    /// only [`Rejoined`](Self::Rejoined) is reported.
    Died {
        /// The pid of its process, in that process's own pid namespace.
        pid: u32,
        /// How the process ended, if it was started by this scheduler and the kernel has said so. Without one, and if
        /// `how` is not [`Killed`](Ending::Killed), the process may live.
        status: Option<ExitStatus>,
        /// What happened to its end in the broadcast ring. [`Unknown`](Ending::Unknown) if that is no longer recorded:
        /// its successor is gone as well before the scheduler looked, or its entry was taken away.
        how: Ending,
    },
    /// Another process has taken its entry. Reported once, after everything that the old process has sent and before
    /// anything from the new one. Messages of the new process can be received from now on: call again. It continues
    /// with the broadcasts where the old one stopped, so an answer may come twice;
    /// [`gather_for`](super::SchedulerEnd::gather_for) drops the second.
    Rejoined {
        /// The pid of the new process, in its own pid namespace.
        pid: u32,
    },
    /// The process that was to take its entry ended before it had joined, or could not join. This stays the outcome
    /// until another one comes.
    JoinFailed {
        /// The pid of the new process, not of the one whose entry it was to take.
        pid: u32,
        /// How it ended; `None` if it has not, or if that cannot be known.
        status: Option<ExitStatus>,
        /// Why it could not join, if it has said so.
        refusal: Option<JoinRefusal>,
    },
    /// It has left in good order: it has given its entry up ([`WorkerEnd::leave`](super::WorkerEnd::leave)), or it was
    /// started by this scheduler and its process has ended with success. This stays the outcome until it comes back.
    Left,
    /// Its answer to the step that [`gather_for`](super::SchedulerEnd::gather_for) waits for was handed out before.
    Answered,
    /// It lives, and has sent nothing until the deadline.
    TimedOut,
    /// It has sent something that cannot be received. The stream goes on after it. This is also the outcome at the
    /// [held limit](TopologyError::is_held_limit): release the oldest held message of this worker first.
    Unreadable(TopologyError),
}

/// A change of a worker, for loops that do not wait for answers. Each change is reported once, here or in an
/// [`Outcome`].
///
/// ```
/// use myelon::topology::{Change, SchedulerEnd};
///
/// fn look_after(scheduler: &mut SchedulerEnd) {
///     for (rank, change) in scheduler.check_workers() {
///         if let Change::Died { pid, .. } = change {
///             println!("rank {rank}, process {pid}, has died");
///         }
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// It is gone.
    Died {
        /// The pid of its process, in that process's own pid namespace.
        pid: u32,
        /// How the process ended, if it was started by this scheduler and the kernel has said so. Without one, and if
        /// `how` is not [`Killed`](Ending::Killed), the process may live.
        status: Option<ExitStatus>,
        /// What happened to its end in the broadcast ring. [`Unknown`](Ending::Unknown) if that is no longer recorded:
        /// its successor is gone as well before the scheduler looked, or its entry was taken away.
        how: Ending,
    },
    /// Another process has taken its entry.
    Rejoined {
        /// The pid of the new process, in its own pid namespace.
        pid: u32,
    },
    /// The process that was to take its entry ended before it had joined, or could not join. Also reported for a
    /// process that wanted an entry whose worker lives, or for which this scheduler has started another process.
    JoinFailed {
        /// The pid of the new process, not of the one whose entry it was to take.
        pid: u32,
        /// How it ended; `None` if it has not, or if that cannot be known.
        status: Option<ExitStatus>,
        /// Why it could not join, if it has said so.
        refusal: Option<JoinRefusal>,
    },
    /// It has left in good order, as in [`Outcome::Left`].
    Left,
}

impl Answer {
    /// An answer without a message: `outcome` says why.
    pub(super) fn without_message(rank: usize, outcome: Outcome) -> Self {
        Self { rank, step: None, version: Version::default(), outcome }
    }
}

/// The rest of a sentence about the worker: `tp-engine, rank 1` `has died: process 4711, signal: 9 (SIGKILL); ..`
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message { kind, bytes } => write!(f, "has sent {} bytes of kind {kind}", bytes.len()),
            Self::Died { pid, status, how } => say_death(f, *pid, status.as_ref(), *how),
            Self::Rejoined { pid } => write!(f, "is process {pid} now, which goes on in its place"),
            Self::JoinFailed { pid, status, refusal } => say_failure(f, *pid, status.as_ref(), refusal.as_ref()),
            Self::Left => f.write_str("has left in good order"),
            Self::Answered => f.write_str("has answered this step before"),
            Self::TimedOut => f.write_str("lives, and has sent nothing in time"),
            Self::Unreadable(error) => write!(f, "has sent what cannot be received: {}", error.source),
        }
    }
}

/// The same text as that of [`Outcome`].
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Died { pid, status, how } => say_death(f, *pid, status.as_ref(), *how),
            Self::Rejoined { pid } => write!(f, "is process {pid} now, which goes on in its place"),
            Self::JoinFailed { pid, status, refusal } => say_failure(f, *pid, status.as_ref(), refusal.as_ref()),
            Self::Left => f.write_str("has left in good order"),
        }
    }
}

pub(super) fn say_death(f: &mut fmt::Formatter<'_>, pid: u32, status: Option<&ExitStatus>, how: Ending) -> fmt::Result {
    write!(f, "{}: process {pid}", went(how))?;
    if let Some(status) = status {
        write!(f, ", {status}")?;
    }
    match how {
        // If it is not known how it went, it is not known either whether its entry is kept.
        Ending::Unknown => Ok(()),
        _ => f.write_str("; its entry is kept for the process that comes next"),
    }
}

/// Writes about a process that was to take a worker's entry and failed.
pub(super) fn say_failure(
    f: &mut fmt::Formatter<'_>,
    pid: u32,
    status: Option<&ExitStatus>,
    refusal: Option<&JoinRefusal>,
) -> fmt::Result {
    match (refusal, status) {
        (Some(refusal), _) => write!(f, "is not there: {}", refusal.told()),
        (None, Some(status)) => write!(f, "is not there: process {pid} ended before it had joined, {status}"),
        (None, None) => write!(f, "is not there: process {pid} ended before it had joined, or could not join"),
    }
}

impl From<Change> for Outcome {
    fn from(change: Change) -> Self {
        match change {
            Change::Died { pid, status, how } => Self::Died { pid, status, how },
            Change::Rejoined { pid } => Self::Rejoined { pid },
            Change::JoinFailed { pid, status, refusal } => Self::JoinFailed { pid, status, refusal },
            Change::Left => Self::Left,
        }
    }
}
