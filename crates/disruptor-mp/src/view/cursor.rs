//! A view of one cursor: that of a ring's producer, or a cursor on its own.
//!
//! Every process loads and waits; only the creator of a cursor on its own advances it.

use super::watch::{self, SharedCursorTrait, WatchError};
use crate::Sequence;
use crate::error::MultiProcessResult;
use crate::ring::ends::patience::Patience;
use crate::ring::words::Words;
use crate::segment::{Place, Sole};
use std::fmt;
use std::path::PathBuf;

/// How far one process has got, seen from any process.
///
/// [Attached](Self::attach) to a ring's name, it is the ring's published position, for reading.
/// [Created](Self::create), it is a small segment of its own, which its creator advances and every other process
/// attaches to.
///
/// ```
/// use disruptor_mp::{SharedCursor, SharedCursorTrait};
/// use std::time::{Duration, Instant};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let name = disruptor_mp::portable_shm_segment_name("doc");
/// let mut loaded = SharedCursor::create(&name, -1)?; // -1: nothing yet
/// let seen = SharedCursor::attach(&name)?; // usually in another process
/// loaded.advance_to(7)?;
/// assert_eq!(seen.load(), 7);
///
/// // A wait for more ends with the reason why there is no more.
/// drop(loaded);
/// let ended = seen.wait_for(8, Instant::now() + Duration::from_secs(5));
/// assert!(ended.is_err_and(|end| end.is_closed()));
/// # Ok(())
/// # }
/// ```
pub struct SharedCursor {
    words: Words,
    creation: Option<Sole>,
}

/// `SharedCursor` in a file; the place is an argument, not another type.
pub type MmapCursor = SharedCursor;

/// What a consumer may not pass: the published position, attached to a ring's name.
pub type ProducerBarrier = SharedCursor;

/// Where a cursor in a file is, and whether this process makes it: for [`SharedCursor::with_config`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MmapCursorConfig {
    /// The path of the file.
    pub path: PathBuf,
    /// Whether to create the cursor, at the sequence -1, rather than to attach to it.
    pub create: bool,
}

/// Why a cursor was not advanced. Its position did not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdvanceError {
    /// Only the handle that created a cursor advances it; that of a ring is advanced by publishing.
    #[error("only the handle that created a cursor advances it")]
    NotCreator,
    /// Cursors do not go back, and there is no sequence before -1.
    #[error("the cursor is at sequence {current} and does not go back to {wanted}")]
    Backwards {
        /// Its position.
        current: Sequence,
        /// The position that was asked for.
        wanted: Sequence,
    },
}

impl SharedCursor {
    /// Creates a cursor on its own at position `initial`; -1 means that nothing has been reached. Dropping it removes
    /// its name. A segment that a dead process has left under that name is removed first.
    ///
    /// # Errors
    /// See [`MultiProcessError`](crate::MultiProcessError); `AlreadyExists` if a live process has that name.
    ///
    /// # Panics
    /// If `initial` is below -1 or the largest number.
    pub fn create(place: impl Into<Place>, initial: Sequence) -> MultiProcessResult<Self> {
        assert!((-1..Sequence::MAX).contains(&initial), "a cursor cannot begin at {initial}");
        let (words, creation) = Words::create_cursor(&place.into(), initial + 1)?;
        Ok(Self { words, creation: Some(creation) })
    }

    /// Looks at the ring or the cursor at `place`, read-only.
    ///
    /// # Errors
    /// See [`MultiProcessError`](crate::MultiProcessError).
    pub fn attach(place: impl Into<Place>) -> MultiProcessResult<Self> {
        Ok(Self { words: Words::open(&place.into())?, creation: None })
    }

    /// Creates or attaches, as the configuration says.
    ///
    /// # Errors
    /// As [`create`](Self::create) and [`attach`](Self::attach).
    pub fn with_config(config: MmapCursorConfig) -> MultiProcessResult<Self> {
        if config.create { Self::create(config.path, -1) } else { Self::attach(config.path) }
    }

    pub(super) fn of(words: Words) -> Self {
        Self { words, creation: None }
    }

    /// Whether this handle created the cursor, and so may advance it. `false` in a forked child of the creator.
    pub fn is_owner(&self) -> bool {
        self.creation.as_ref().is_some_and(Sole::is_ours)
    }

    /// Publishes that `sequence` and everything before it have been reached. A thread that loads it sees what this
    /// thread wrote before.
    ///
    /// # Errors
    /// [`AdvanceError`]: this handle did not create the cursor, or the cursor is beyond `sequence` already.
    ///
    /// # Panics
    /// If `sequence` is the largest number.
    pub fn advance_to(&mut self, sequence: Sequence) -> Result<(), AdvanceError> {
        assert!(sequence < Sequence::MAX, "a cursor cannot stand at {sequence}");
        if !self.is_owner() {
            return Err(AdvanceError::NotCreator);
        }
        let current = self.load();
        if sequence < current {
            return Err(AdvanceError::Backwards { current, wanted: sequence });
        }
        self.words.cursor().publish(sequence + 1);
        Ok(())
    }

    /// Whether the process that advances it lives. If this is `false`, it stays so, unless another producer takes the
    /// ring over.
    ///
    /// # Errors
    /// The operating system refused to tell.
    pub fn owner_is_alive(&self) -> std::io::Result<bool> {
        self.words.owner_is_alive()
    }
}

impl SharedCursorTrait for SharedCursor {
    fn load(&self) -> Sequence {
        // A damaged cursor may have any value; there is no sequence below -1.
        self.words.published().max(0) - 1
    }

    fn wait_for(&self, sequence: Sequence, patience: impl Into<Patience>) -> Result<Sequence, WatchError> {
        watch::wait_for(&self.words, sequence, patience, || self.load())
    }
}

impl fmt::Debug for SharedCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedCursor")
            .field("place", &self.words.segment().called())
            .field("sequence", &self.load())
            .field("is_owner", &self.is_owner())
            .finish_non_exhaustive()
    }
}
