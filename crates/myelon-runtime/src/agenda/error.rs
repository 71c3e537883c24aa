//! Why a tasklet has no value, could not be submitted, or could not be waited for.

use super::tasklet::TaskletError;
use std::borrow::Cow;
use std::io;
use std::time::Duration;

/// Why a tasklet has no value. It is the reason of its one end, so asking again does not help.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotDone {
    /// It ran and answered with an error.
    #[error("tasklet `{description}` failed: {source}")]
    Failed {
        /// What it was to do.
        description: Cow<'static, str>,
        /// Its error.
        r#source: TaskletError,
    },
    /// It ran and panicked. The worker goes on.
    #[error("tasklet `{description}` panicked: {message}")]
    Panicked {
        /// What it was to do.
        description: Cow<'static, str>,
        /// What the panic said.
        message: String,
    },
    /// It was cancelled before it ran, or before it ran again.
    #[error("tasklet `{description}` was cancelled")]
    Cancelled {
        /// What it was to do.
        description: Cow<'static, str>,
    },
    /// Its deadline was over when a worker picked it, and it asked to be dropped then.
    #[error("tasklet `{description}` was dropped because it was late")]
    Expired {
        /// What it was to do.
        description: Cow<'static, str>,
    },
    /// The agenda ended before it ran, or before it ran again.
    #[error("tasklet `{description}` was left when the agenda ended")]
    Left {
        /// What it was to do.
        description: Cow<'static, str>,
    },
}

/// Why a wait for a tasklet brought no value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// The tasklet has ended without a value.
    #[error(transparent)]
    NotDone(#[from] NotDone),
    /// The tasklet has not ended within the patience. It goes on; wait again, or cancel it.
    #[error("tasklet `{description}` has not ended within {waited:.1?}; it {}", if *.runs { "runs" } else { "waits" })]
    TimedOut {
        /// What it is to do.
        description: Cow<'static, str>,
        /// How long the wait was.
        waited: Duration,
        /// Whether it runs; otherwise it waits in a queue.
        runs: bool,
    },
    /// The wait could never end: the caller is that tasklet, or runs below it on the same worker, or runs at a safe
    /// point, or 64 waits are on this worker's stack. Take the result elsewhere, for example with
    /// [`submit_then`](crate::agenda::Submitter::submit_then).
    #[error("waiting here for tasklet `{description}` would never end")]
    WouldDeadlock {
        /// What it is to do.
        description: Cow<'static, str>,
    },
    /// The result was taken by an earlier wait.
    #[error("the result of tasklet `{description}` was taken before")]
    Taken {
        /// What it was to do.
        description: Cow<'static, str>,
    },
    /// This process is a child made by `fork`, and has no workers. Only the parent gets the result.
    #[error("tasklet `{description}` belongs to the process from which this one was forked")]
    Forked {
        /// What it is to do.
        description: Cow<'static, str>,
    },
}

/// Why a tasklet was not accepted. It has not run and will not run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The agenda is closed, or closes.
    #[error("the agenda is closed; tasklet `{description}` was not accepted")]
    Closed {
        /// What it was to do.
        description: Cow<'static, str>,
    },
    /// This process is a child made by `fork`, and has no workers. Start an agenda of its own.
    ///
    /// If no worker slept at the fork, up to 15 tasklets can be accepted before this is noticed. They never run; a wait
    /// for one says [`Forked`](WaitError::Forked).
    #[error("this process was forked from the one that has the workers; tasklet `{description}` was not accepted")]
    Forked {
        /// What it was to do.
        description: Cow<'static, str>,
    },
}

/// Why an agenda could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The number of workers is not from 1 to [`WORKERS_MAX`](crate::agenda::WORKERS_MAX).
    #[error("an agenda has 1 to {max} workers, not {workers}")]
    Workers {
        /// The number that was asked for.
        workers: usize,
        /// The most that there can be.
        max: usize,
    },
    /// The system did not start a thread. Those that had started have ended again.
    #[error("worker {worker} did not start: {source}")]
    Thread {
        /// Which one, from 0 on.
        worker: usize,
        /// What the system said.
        r#source: io::Error,
    },
}
