//! Why a record was not published.

use crate::ring::ends::error::NoRoom;
use std::fmt;

/// Why a record was not published. Nothing of it is visible.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The record is larger than any that this ring can hold: no wait would end. Create the ring with
    /// `ring_bytes_wanted`.
    #[error(
        "a record of {len_bytes} bytes does not fit into this ring, which holds up to {max_bytes}{}", RingWanted(*ring_bytes_wanted)
    )]
    TooLarge {
        /// Length of the record.
        len_bytes: usize,
        /// Length of the longest record.
        max_bytes: usize,
        /// The size of the smallest ring that holds it; `None` if no ring does.
        ring_bytes_wanted: Option<usize>,
    },
    /// There was no room within the call's patience.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
}

impl RecordError {
    /// Whether there was no room, and the call was not to wait.
    pub fn is_full(&self) -> bool {
        self.no_room().is_some_and(NoRoom::is_full)
    }

    /// Whether nothing can be published into the ring any more: see
    /// [`PublishError::is_closed`](crate::PublishError::is_closed).
    pub fn is_closed(&self) -> bool {
        self.no_room().is_some_and(NoRoom::is_closed)
    }

    /// Whether the patience ran out.
    pub fn is_timed_out(&self) -> bool {
        self.no_room().is_some_and(NoRoom::is_timed_out)
    }

    /// Whether the consumer that was waited for has no owner any more.
    pub fn is_peer_gone(&self) -> bool {
        self.no_room().is_some_and(NoRoom::is_peer_gone)
    }

    fn no_room(&self) -> Option<&NoRoom> {
        match self {
            Self::NoRoom(reason) => Some(reason),
            Self::TooLarge { .. } => None,
        }
    }
}

/// What to do about a record that is too large.
struct RingWanted(Option<usize>);

impl fmt::Display for RingWanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(bytes) => write!(f, "; create it with {bytes} bytes"),
            None => f.write_str("; no ring holds it: send it in parts"),
        }
    }
}
