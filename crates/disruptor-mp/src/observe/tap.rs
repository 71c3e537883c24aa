//! A tap that knows no type: it copies the bytes of events and records.

use crate::Sequence;
use crate::ring::construct::check_shape;
use crate::ring::memory::layout::{PLACES_FOR_OTHERS, TABLE_LEN_MAX};
use crate::ring::memory::mapped::Mapped;
use crate::ring::memory::raw::RawSlots;
use crate::ring::protocol::form::{Dense, Lines, Stamped};
use crate::ring::protocol::tap::TapReader;
use crate::segment::{Kind, Segment};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use zerocopy::IntoBytes;

/// A reader of a ring of any program. No producer waits for it. It copies each event whole or not at all, and counts
/// those that it missed.
///
/// From [`Observer::tap`](super::Observer::tap), where there is an example.
pub struct RawTap {
    reader: Reader,
    /// A multiple of 16 bytes, so that a payload has the same alignment in its copy as in its ring.
    copy: Vec<u128>,
    bytes: Vec<u8>,
}

enum Reader {
    Stamped(TapReader<RawSlots<Stamped>>),
    Dense(TapReader<RawSlots<Dense>>),
    Records(TapReader<Mapped<Lines>>),
}

impl RawTap {
    pub(super) fn new(segment: &Arc<Segment>, events: u64) -> Option<Self> {
        let back = i64::try_from(events).unwrap_or(i64::MAX);
        let segment = Arc::clone(segment);
        let reader = match segment.header().kind {
            Kind::Ring => Reader::Stamped(TapReader::new_back(RawSlots::new(segment)?, back)),
            Kind::Dense => Reader::Dense(TapReader::new_back(RawSlots::new(segment)?, back)),
            Kind::Records if segment.header().table_len as usize <= TABLE_LEN_MAX + PLACES_FOR_OTHERS => {
                check_shape::<Lines>(&segment, 0).ok()?;
                Reader::Records(TapReader::new_back(Mapped::new(segment), back))
            }
            _ => return None,
        };
        Some(Self { reader, copy: Vec::new(), bytes: Vec::new() })
    }

    /// Copies the next event that is still in the ring; `None` if there is none yet. It does not wait, and does not say
    /// whether more can come: ask the [observer](super::Observer::life).
    pub fn next_now(&mut self) -> Option<RawEvent<'_>> {
        let Self { reader, copy, bytes } = self;
        match reader {
            Reader::Stamped(reader) => {
                let (sequence, ()) = reader.copy_next_by(|memory, position| memory.racing_copy(position, bytes))?;
                Some(RawEvent { sequence, kind_and_flags: None, bytes })
            }
            Reader::Dense(reader) => {
                let (sequence, ()) = reader.copy_next_by(|memory, position| memory.racing_copy(position, bytes))?;
                Some(RawEvent { sequence, kind_and_flags: None, bytes })
            }
            Reader::Records(reader) => {
                let copied = reader.copy_next_record(copy)?;
                let bytes = &copy.as_bytes()[..copied.len];
                Some(RawEvent { sequence: copied.number, kind_and_flags: Some((copied.kind, copied.flags)), bytes })
            }
        }
    }

    /// How many were overwritten before they could be copied. Only grows.
    pub fn missed(&self) -> u64 {
        match &self.reader {
            Reader::Stamped(reader) => reader.missed(),
            Reader::Dense(reader) => reader.missed(),
            Reader::Records(reader) => reader.missed(),
        }
    }

    /// The sequence that it looks for next.
    pub fn next_sequence(&self) -> Sequence {
        match &self.reader {
            Reader::Stamped(reader) => reader.number(),
            Reader::Dense(reader) => reader.number(),
            Reader::Records(reader) => reader.number(),
        }
    }
}

impl fmt::Debug for RawTap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawTap")
            .field("next_sequence", &self.next_sequence())
            .field("missed", &self.missed())
            .finish_non_exhaustive()
    }
}

/// A copy of an event or a record, in the memory of the tap that made it. `Deref` gives its bytes. The next copy
/// overwrites it.
pub struct RawEvent<'a> {
    sequence: Sequence,
    kind_and_flags: Option<(u8, u8)>,
    bytes: &'a [u8],
}

impl RawEvent<'_> {
    /// Its sequence, or the number of the record.
    pub fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// The kind and the flags of a record; `None` for an event.
    pub fn kind_and_flags(&self) -> Option<(u8, u8)> {
        self.kind_and_flags
    }
}

impl Deref for RawEvent<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes
    }
}

impl fmt::Debug for RawEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawEvent")
            .field("sequence", &self.sequence)
            .field("len_bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}
