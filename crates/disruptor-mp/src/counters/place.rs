//! Tables of counters that have a name of their own, or are in the segment of a ring.

use super::file::CountersFile;
use super::table::{CAPACITY_MAX, Shape};
use crate::error::{MultiProcessError, MultiProcessResult};
use crate::segment::{Access, Blueprint, Claim, CreateOptions, Fate, Kind, OpenError, Place, Segment, Sole};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a byte may look taken because a collector holds all bytes for an instant.
const COLLECTOR_PATIENCE: Duration = Duration::from_millis(50);

/// Takes a lock byte that shows collectors that this process counts in the segment.
fn claim_for_counting(segment: &Segment) -> io::Result<Claim> {
    let begin = Instant::now();
    loop {
        match segment.claim_beside()? {
            Some(claim) => return Ok(claim),
            None if begin.elapsed() < COLLECTOR_PATIENCE => std::thread::sleep(Duration::from_millis(1)),
            None => return Err(io::Error::other("every byte for processes that count is taken")),
        }
    }
}

impl CountersFile {
    /// Creates a table with room for `capacity` counters at `place`: a name in shared memory, a path, or a segment
    /// without a name.
    ///
    /// The name is removed when this file and its clones are dropped. A process that has the table open keeps it, and
    /// so does every handle. A table that a dead process has left under that name is removed first, with its numbers.
    ///
    /// # Errors
    /// See [`MultiProcessError`]; `AlreadyExists` if a live process has that name.
    ///
    /// # Panics
    /// If `capacity` is 0 or more than [`CAPACITY_MAX`](super::CAPACITY_MAX).
    pub fn create(place: impl Into<Place>, capacity: u32) -> MultiProcessResult<Self> {
        assert!((1..=CAPACITY_MAX).contains(&capacity), "a table holds 1 to {CAPACITY_MAX} counters, not {capacity}");
        let place = place.into();
        let blueprint = Blueprint::without_slots(Kind::Counters, 0, Shape::file(capacity).len_bytes());
        let init = |segment: &Segment| Self::initialise_in(segment, capacity);
        let sole = Sole::create(&place, &blueprint, &CreateOptions::default(), init)
            .map_err(|error| MultiProcessError::from_create(&place, error))?;
        // Not under the creator's lock: that is released with the name, and counters may be kept longer.
        Ok(Self::counting_in(sole.segment())?.named_by(sole))
    }

    /// Opens the table at `place`, to read it and to count in it. The table in a ring's segment is opened by the ring's
    /// name. As long as the file, a clone of it or a counter registered through it is there, no collector removes the
    /// segment.
    ///
    /// # Errors
    /// See [`MultiProcessError`].
    pub fn open(place: impl Into<Place>) -> MultiProcessResult<Self> {
        Self::open_for(&place.into(), Access::ReadWrite)
    }

    /// [`open`](Self::open) for reading only: read permission is enough, and `register` returns `None`.
    ///
    /// # Errors
    /// See [`MultiProcessError`].
    pub fn open_read_only(place: impl Into<Place>) -> MultiProcessResult<Self> {
        Self::open_for(&place.into(), Access::ReadOnly)
    }

    fn open_for(place: &Place, access: Access) -> MultiProcessResult<Self> {
        let segment = match Segment::open(place, Kind::Counters, access) {
            Err(OpenError::WrongKind { found, .. }) if found.is_ring() => Segment::open(place, found, access),
            other => other,
        };
        let segment = Arc::new(segment.map_err(|error| MultiProcessError::from_open(place, error))?);
        if access == Access::ReadOnly {
            return Self::in_segment(&segment)
                .map_err(|source| MultiProcessError::DamagedCounters { place: segment.called(), source });
        }
        Self::counting_in(&segment)
    }

    /// The table in `segment`, for a process that holds a lock byte there as long as it can count.
    fn counting_in(segment: &Arc<Segment>) -> MultiProcessResult<Self> {
        let claim = claim_for_counting(segment).map_err(|source| MultiProcessError::Os {
            place: segment.called(),
            call: "locking a byte for counting",
            source,
        })?;
        if segment.fate() != Fate::Live {
            return Err(MultiProcessError::Replaced { place: segment.called() });
        }
        Self::in_claimed_segment(segment, claim)
            .map_err(|source| MultiProcessError::DamagedCounters { place: segment.called(), source })
    }
}
