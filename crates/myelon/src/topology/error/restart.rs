//! Why a worker was not started again.

use super::call::TopologyError;
use std::io;

/// Why a worker was not started again.
///
/// ```
/// use myelon::topology::{RestartError, SchedulerEnd};
///
/// fn restart(scheduler: &mut SchedulerEnd, rank: usize) {
///     match scheduler.restart(rank) {
///         Ok(pid) => println!("process {pid} is on its way"),
///         Err(RestartError::StartedElsewhere { .. }) => println!("ask the supervisor for rank {rank}"),
///         Err(error) => eprintln!("{error}"),
///     }
/// }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestartError {
    /// Another program starts this topology's workers, and has to start this one again.
    #[error(
        "{worker}: the scheduler does not start this topology's workers; start it again with the program that started it"
    )]
    StartedElsewhere {
        /// The user's name for the worker.
        worker: String,
    },
    /// This process is a child that the scheduler's process made by `fork`. The workers belong to the parent, which
    /// alone can restart them.
    #[error("{worker}: the topology belongs to the parent process; restart the worker in that process")]
    Forked {
        /// The user's name for the worker.
        worker: String,
    },
    /// There is no such worker.
    #[error(transparent)]
    Rank(#[from] TopologyError),
    /// The old process could not be ended, or the new one could not be started; `source` is the system's reason. Try
    /// again, after removing the reason.
    #[error("{worker}: the process could not be started again: {source}")]
    Os {
        /// The user's name for the worker.
        worker: String,
        /// Its rank.
        rank: usize,
        /// The error of the operating system.
        r#source: io::Error,
    },
}
