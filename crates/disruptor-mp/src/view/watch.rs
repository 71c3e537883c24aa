//! Waiting for a position that another process moves.

use crate::Sequence;
use crate::liveness::RefusedCall;
use crate::ring::ends::patience::Patience;
use crate::ring::words::{End, Words};
use std::time::{Duration, Instant};

/// How long a view sleeps between two looks.
const NAP: Duration = Duration::from_millis(1);

/// A position that can be read and waited for.
pub trait SharedCursorTrait {
    /// The last sequence that it has reached; -1 if none. Stale as soon as it is read.
    fn load(&self) -> Sequence;

    /// Waits until it has reached `sequence`, as long as `patience` says, and returns its position then. Looks once a
    /// millisecond. [`Endless`](Patience::Endless) ends with the ring, or with the process that moves the position;
    /// `Managed` is the same, for a call that publishes nothing.
    ///
    /// # Errors
    /// See [`WatchError`]. A `sequence` that was reached before the end is a success.
    fn wait_for(&self, sequence: Sequence, patience: impl Into<Patience>) -> Result<Sequence, WatchError>;
}

/// Why a position was not reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// The deadline passed. Wait again, or look at the process that moves the position.
    #[error("timed out after {waited:.1?} at sequence {reached}")]
    TimedOut {
        /// How long the call waited.
        waited: Duration,
        /// The position.
        reached: Sequence,
    },
    /// Its owner has closed it, so it does not move any more.
    #[error("closed at sequence {reached}")]
    Closed {
        /// Where it stopped.
        reached: Sequence,
    },
    /// Another ring has replaced this one. Attach again.
    #[error("the ring was replaced; attach again")]
    Replaced,
    /// The producer, or the creator of a cursor on its own, died. If another producer takes the ring over, waiting
    /// again works.
    #[error(
        "process {pid}, which moves the cursor, died at sequence {reached}; start it again, and wait again or attach again"
    )]
    OwnerDied {
        /// The pid of the process, in its own pid namespace.
        pid: u32,
        /// Where it stopped.
        reached: Sequence,
    },
    /// The operating system refused to say whether the process that moves it lives. No conclusion was drawn. Try again.
    #[error(
        "it is not known whether the process that moves the cursor lives; try again (the cursor is at sequence {reached}): {refused}"
    )]
    Os {
        /// The position.
        reached: Sequence,
        /// What was refused.
        refused: RefusedCall,
    },
}

impl WatchError {
    /// Whether the wait timed out.
    pub fn is_timed_out(&self) -> bool {
        matches!(self, Self::TimedOut { .. })
    }

    /// Whether its owner has closed the position: the regular end.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed { .. })
    }

    /// Whether the process that moved the position is gone without closing it.
    pub fn is_peer_gone(&self) -> bool {
        matches!(self, Self::OwnerDied { .. })
    }
}

/// Waits until `load` returns at least `sequence`, or there is a reason not to wait.
pub(super) fn wait_for(
    words: &Words,
    sequence: Sequence,
    patience: impl Into<Patience>,
    load: impl Fn() -> Sequence,
) -> Result<Sequence, WatchError> {
    let begin = Instant::now();
    let deadline = patience.into().deadline();
    loop {
        // The reason first, then the position: what was reached before the end counts.
        let end = words.end();
        let reached = load();
        if reached >= sequence {
            return Ok(reached);
        }
        match end {
            Ok(Some(End::Closed)) => return Err(WatchError::Closed { reached }),
            Ok(Some(End::Replaced)) => return Err(WatchError::Replaced),
            Ok(Some(End::OwnerDied { pid })) => return Err(WatchError::OwnerDied { pid, reached }),
            Ok(None) => {}
            Err(error) => {
                return Err(WatchError::Os { reached, refused: RefusedCall::new("looking at its lock", &error) });
            }
        }
        let left = deadline.map_or(NAP, |deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            return Err(WatchError::TimedOut { waited: begin.elapsed(), reached });
        }
        std::thread::sleep(NAP.min(left));
    }
}
