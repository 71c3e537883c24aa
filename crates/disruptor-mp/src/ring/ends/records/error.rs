//! Why a record was not published.
//!
//! **Lives here:** [`RecordError`]. **Builds on:** the errors of the ring.

use crate::ring::ends::error::NoRoom;

/// Why a record was not published. Nothing of it is visible.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The record is larger than any that this ring can hold, and would wait for ever.
    #[error(
        "a record of {len_bytes} bytes does not fit into this ring, which holds up to {max_bytes}; create it with {ring_bytes_wanted} bytes"
    )]
    TooLarge {
        /// Length of the record.
        len_bytes: usize,
        /// Length of the longest record.
        max_bytes: usize,
        /// The smallest ring that holds it.
        ring_bytes_wanted: usize,
    },
    /// There was no room within the call's patience.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
}
