//! Why a topology was not launched.

use super::call::TopologyError;
use super::missing::{MissingWorker, list};
use crate::transport::TransportError;
use std::io;
use std::time::Duration;

/// Why a topology was not launched. Workers that it had started were ended again, and no segment is left.
///
/// ```
/// use myelon::topology::{LaunchError, Topology, Workers};
///
/// fn launch(topology: &Topology) {
///     if let Err(LaunchError::Missing { missing, .. }) = topology.launch(Workers::started_elsewhere()) {
///         // `tp-engine, rank 1 (never seen; ...)`
///         missing.iter().for_each(|worker| eprintln!("{worker}"));
///     }
/// }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// There can be no such topology; the source says why. Nothing was created.
    #[error(transparent)]
    Description(#[from] TopologyError),
    /// The broadcast ring could not be created; the source says why, and what to do. `InUse` inside: a scheduler with
    /// this label runs already, or one whose label has the same tag.
    #[error("{session}: the broadcast ring could not be created: {source}")]
    Broadcast {
        /// The session's label.
        session: String,
        /// The reason.
        r#source: Box<TransportError>,
    },
    /// The ring of urgent messages could not be created; the source says why, and what to do.
    #[error("{session}: the ring of urgent messages could not be created: {source}")]
    Urgent {
        /// The session's label.
        session: String,
        /// The reason.
        r#source: Box<TransportError>,
    },
    /// A worker could not be started. See whether the program of
    /// [`Workers::spawned`](crate::topology::Workers::spawned) exists and may be run.
    #[error("{worker}: the process could not be started: {source}")]
    Spawn {
        /// The user's name for the worker.
        worker: String,
        /// Its rank.
        rank: usize,
        /// The error of the operating system.
        r#source: io::Error,
    },
    /// The thread from which workers are started could not be started itself: this process, its user or its control
    /// group may have no more threads. Raise that limit.
    #[error(
        "{session}: the thread that starts workers could not be started: {source}; see the limits of processes and threads"
    )]
    Thread {
        /// The session's label.
        session: String,
        /// The error of the operating system.
        r#source: io::Error,
    },
    /// Not all workers came. The text says how far each one got; look at that worker's own error, mend it, and launch
    /// again.
    #[error("{session}: after {waited:.1?} these workers are missing: {}", list(missing))]
    Missing {
        /// The session's label.
        session: String,
        /// The missing workers, and what is known of each.
        missing: Vec<MissingWorker>,
        /// How long the scheduler waited: less than its patience if it became certain that a worker could not come.
        waited: Duration,
    },
}
