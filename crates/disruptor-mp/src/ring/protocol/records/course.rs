//! Where the producer of records is in the ring, and where it must do more than look for room. Pure arithmetic.

use super::gap::Gaps;
use super::word::LINE_BYTES;
use crate::Sequence;
use crate::ring::protocol::control::EIGHTHS;

/// Lines in flight at which a ring, however large, starts again at its beginning, if its readers have caught up: as
/// many as stay in a processor's shared cache. Source: RFC 0006, "Footprint".
pub(crate) const WORKING_SET_LINES: i64 = (4 << 20) / LINE_BYTES as i64;

/// Working sets that a ring must have before it starts again at its beginning. The rest of the ring is then padding
/// until its readers have looked. In a ring of little more than one working set, that would be most of the ring.
const WORKING_SETS_MIN: i64 = 4;

/// What a producer of records knows of its ring besides positions.
#[derive(Debug)]
pub struct Course {
    /// The number of the next record.
    pub(crate) next_number: Sequence,
    /// Lines of an eighth of the ring: claimed for a record whose length is not known.
    pub(crate) eighth: i64,
    /// How many lines may be left unused after a record.
    pub(crate) gaps: Gaps,
    /// Where the next look at the readers is due because of the working set.
    pub(crate) next_start_over: i64,
    /// Where a beginning is noted next: there, or where the next eighth of the ring begins.
    pub(crate) next_note: i64,
    /// Where the next claim must do more than look for room: there, or where its lines are asked for.
    pub(crate) next_stop: i64,
}

impl Course {
    /// The course of a producer that begins at `position`, with record `next_number`, in a ring of `capacity` lines.
    pub(crate) fn new(position: i64, next_number: Sequence, capacity: i64) -> Self {
        Self {
            next_number,
            eighth: capacity / EIGHTHS as i64,
            gaps: Gaps::new(position, capacity),
            next_start_over: first_look(position, capacity),
            next_note: position,
            next_stop: position,
        }
    }
}

/// Where a producer at `position` of a ring of `capacity` lines has used as much of it as stays in the cache. Never, if
/// that is most of the ring.
pub(crate) fn first_look(position: i64, capacity: i64) -> i64 {
    let lap = position & !(capacity - 1);
    if capacity < WORKING_SETS_MIN * WORKING_SET_LINES { i64::MAX } else { position.max(lap + WORKING_SET_LINES) }
}
