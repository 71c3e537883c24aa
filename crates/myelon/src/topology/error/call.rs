//! The error of a session's description, and of every call of an end of a topology.

use crate::transport::{Format, TransportError, TransportProducer, asked_of_a_batch_error};
use disruptor_mp::segment::Title;
use std::fmt;

/// Why a topology cannot exist, or why a call of one of its ends failed: which end that is, and what happened.
///
/// All ends have this error: those of bytes and of types, blocking and awaited. It answers the most frequent questions
/// directly; everything else is in its `source`.
///
/// ```
/// use myelon::prelude::*;
///
/// fn offer(scheduler: &mut SchedulerEnd, step: &[u8]) -> Result<bool, TopologyError> {
///     match scheduler.broadcast(step, 1, Patience::Now) {
///         Ok(_) => Ok(true),
///         Err(error) if error.is_full() => Ok(false),
///         Err(error) => {
///             if let TransportError::TooLarge { limit_bytes, .. } = &*error.source {
///                 eprintln!("send at most {limit_bytes} bytes at once");
///             }
///             Err(error) // tp-engine: a message of 1048576 bytes does not fit: ...
///         }
///     }
/// }
///
/// let error = Topology::new("tp-engine", 0usize).unwrap_err();
/// assert_eq!(error.to_string(), "tp-engine: a session has at least one worker, and 0 were asked for");
/// ```
#[derive(Debug, thiserror::Error)]
#[error("{title}: {source}")]
#[non_exhaustive]
pub struct TopologyError {
    /// The user's name for the end: the session's label, and the rank if it is a worker or about one: `tp-engine, rank
    /// 1`.
    pub title: String,
    /// What happened.
    pub r#source: Box<TransportError>,
}

asked_of_a_batch_error!(TopologyError);

impl TopologyError {
    /// The error of the end with the name `title`.
    #[cold]
    pub(crate) fn of(title: impl fmt::Display, source: impl Into<TransportError>) -> Self {
        Self { title: title.to_string(), source: Box::new(source.into()) }
    }

    /// The error of the end that sends in `ring`.
    #[cold]
    pub(crate) fn of_sender<F: Format>(ring: &TransportProducer<F>, source: impl Into<TransportError>) -> Self {
        let place = ring.place();
        Self::of(place.title().map_or_else(|| place.to_string(), Title::to_string), source)
    }

    /// [`TransportError::is_closed`]: the topology was closed, and everything was received.
    pub fn is_closed(&self) -> bool {
        self.source.is_closed()
    }

    /// [`TransportError::is_timed_out`]: the patience was at its end.
    pub fn is_timed_out(&self) -> bool {
        self.source.is_timed_out()
    }

    /// [`TransportError::is_full`]: there was no room, and the call does not wait.
    pub fn is_full(&self) -> bool {
        self.source.is_full()
    }

    /// [`TransportError::is_peer_gone`]: the process at the other end died, or a panic dropped its end.
    pub fn is_peer_gone(&self) -> bool {
        self.source.is_peer_gone()
    }

    /// [`TransportError::is_held_limit`]: the oldest message that is held has to be released first.
    pub fn is_held_limit(&self) -> bool {
        self.source.is_held_limit()
    }

    /// [`TransportError::is_end`]: nothing more will come from this scheduler.
    pub fn is_end(&self) -> bool {
        self.source.is_end()
    }
}
