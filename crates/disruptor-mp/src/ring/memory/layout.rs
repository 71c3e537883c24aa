//! What a ring carries, how an event type becomes slots, and how a ring becomes sections of a segment.
//!
//! ```text
//! slot    0        8          payload offset                       stride
//!         | stamp  | (unused) | payload                  | (unused) |
//! ```
//! With a stamp, the payload starts at its alignment, at least 8. Up to 64 bytes the stride is a power of two, so that
//! a slot never straddles a cache line; beyond, it is a multiple of 64, so that two slots never share one. The stamp
//! lies in the line in which the payload starts, so a reader that waits for the stamp has already fetched that line.
//! Without a stamp, events lie as in an array.

use super::record_size::{DEFAULT_RECORD_RING_BYTES, RECORD_RING_BYTES_MAX};
use crate::Sequence;
use crate::counters;
use crate::ring::protocol::control::{Control, Entry};
use crate::ring::protocol::form::{Dense, Form, Lines, SlotForm, Stamped, sealed};
use crate::ring::protocol::records::course::Course;
use crate::ring::protocol::records::word::{LINE_BYTES, lines_of};
use crate::schema::{Event, Schema, slot_align};
use crate::segment::{Blueprint, PlanError, SegmentPlan};
use std::fmt;
use std::marker::PhantomData;

/// Rings of more slots than this are refused: sequences of one lap must stay far from the ends of `i64`.
pub const CAPACITY_MAX: usize = 1 << 40;

/// Entries in the table for consumers, unless the builder says otherwise.
pub const DEFAULT_MAX_CONSUMERS: usize = 64;

/// The longest table: a rescan looks at every entry in use.
pub const TABLE_LEN_MAX: usize = 1024;

/// Counters that an application can register in a ring's table, 4 KiB; the ring's ends have their own counters.
pub(crate) const COUNTERS_OF_APPLICATION: u32 = 32;

/// The counters of the largest table of consumers fit into one table of counters.
const _: counters::Shape = counters::Shape::ring((TABLE_LEN_MAX + PLACES_FOR_OTHERS) as u32, COUNTERS_OF_APPLICATION);

/// Entries in the table beyond those that were asked for: for monitors, recorders and the like.
pub const PLACES_FOR_OTHERS: usize = 4;

/// What a ring carries: [`Slots`] of events, or [`Lines`] with records over them. Sealed. Everything below the public
/// ends is generic over this.
pub trait Carries: sealed::Sealed + Sized + 'static {
    /// What is in front of an event.
    type Form: Form;

    /// Alignment of a slot's payload in bytes.
    #[doc(hidden)]
    const PAYLOAD_ALIGN: usize;

    /// Where a slot's payload begins, in bytes from the beginning of the slot.
    #[doc(hidden)]
    const PAYLOAD_OFFSET: usize;

    /// Bytes of a slot's payload.
    #[doc(hidden)]
    const PAYLOAD_BYTES: usize;

    /// Bytes from one slot to the next.
    #[doc(hidden)]
    const STRIDE: usize;

    /// Slots of the smallest ring.
    #[doc(hidden)]
    const CAPACITY_MIN: usize;

    /// The unit in which users give the size of a ring.
    #[doc(hidden)]
    const SIZE_UNIT: SizeUnit;

    /// Slots, or lines, that `size` takes, in the unit that users count in: this many slots, or a record of that many
    /// bytes with the line for the next header.
    #[doc(hidden)]
    fn slots_for(size: usize) -> usize;

    /// What a producer knows of its way through the ring, besides positions. It is part of the end, so that each end
    /// has its own.
    #[doc(hidden)]
    type Course: Send;

    /// What two programs must agree on before they share a ring.
    #[doc(hidden)]
    fn schema() -> Schema;

    /// The course of a producer that begins at `position`, with event `number`, in a ring of this many slots.
    #[doc(hidden)]
    fn course(position: i64, number: Sequence, capacity: i64) -> Self::Course;

    /// The number of the event that a producer on that course writes next, at `position`.
    #[doc(hidden)]
    fn next_number(course: &Self::Course, position: i64) -> Sequence;
}

/// The unit of the size of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SizeUnit {
    /// Slots, one for each event or frame.
    EventSlots,
    /// Bytes of records.
    RecordBytes,
}

impl SizeUnit {
    /// How many units one slot, or line, has.
    pub(crate) const fn per_slot(self) -> usize {
        match self {
            Self::EventSlots => 1,
            Self::RecordBytes => LINE_BYTES,
        }
    }
}

impl fmt::Display for SizeUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EventSlots => "slots",
            Self::RecordBytes => "bytes of records",
        })
    }
}

/// Slots with one event of type `E` each, in the form `F`.
pub struct Slots<E, F = Stamped>(PhantomData<fn() -> (E, F)>);

impl<E, F> fmt::Debug for Slots<E, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slots")
    }
}

impl<E: Event, F: SlotForm> sealed::Sealed for Slots<E, F> {}

impl<E: Event, F: SlotForm> Carries for Slots<E, F> {
    type Form = F;

    const PAYLOAD_ALIGN: usize = SlotLayout::<E, F>::ALIGN;
    const PAYLOAD_OFFSET: usize = SlotLayout::<E, F>::PAYLOAD_OFFSET;
    const PAYLOAD_BYTES: usize = size_of::<E>();
    const STRIDE: usize = SlotLayout::<E, F>::STRIDE;
    const CAPACITY_MIN: usize = 1;
    const SIZE_UNIT: SizeUnit = SizeUnit::EventSlots;

    fn slots_for(size: usize) -> usize {
        size
    }

    type Course = ();

    fn schema() -> Schema {
        E::schema()
    }

    fn course(_position: i64, _number: Sequence, _capacity: i64) {}

    fn next_number(_course: &(), position: i64) -> Sequence {
        position
    }
}

/// What a line holds after its commit word.
type LinePayload = [u64; 7];

impl Carries for Lines {
    type Form = Self;

    const PAYLOAD_ALIGN: usize = 8;
    const PAYLOAD_OFFSET: usize = 8;
    const PAYLOAD_BYTES: usize = size_of::<LinePayload>();
    const STRIDE: usize = LINE_BYTES;
    // They are mapped twice in a row, by pages.
    const CAPACITY_MIN: usize = 64;
    const SIZE_UNIT: SizeUnit = SizeUnit::RecordBytes;

    fn slots_for(size: usize) -> usize {
        lines_of(size) as usize + 1
    }

    type Course = Course;

    fn schema() -> Schema {
        Schema::of::<LinePayload>("RecordLine").with_field::<i64>("number", 0).with_field::<[u64; 6]>("payload", 8)
    }

    fn course(position: i64, number: Sequence, capacity: i64) -> Course {
        Course::new(position, number, capacity)
    }

    fn next_number(course: &Course, _position: i64) -> Sequence {
        course.next_number
    }
}

/// A slot of events of type `E` in the form `F`.
struct SlotLayout<E, F>(PhantomData<(E, F)>);

impl<E: Event, F: SlotForm> SlotLayout<E, F> {
    /// Without a stamp there are only events, as in an array.
    const IS_DENSE: bool = F::HEADER_BYTES == 0;
    const ALIGN: usize = {
        // Checked here: the trait is safe to implement, with any number.
        let align = slot_align::<E>();
        assert!(size_of::<E>() > 0, "an event has at least one byte");
        if align < 8 && !Self::IS_DENSE { 8 } else { align }
    };
    const PAYLOAD_OFFSET: usize = if Self::IS_DENSE { 0 } else { Self::ALIGN };
    const STRIDE: usize = {
        let used = Self::PAYLOAD_OFFSET + size_of::<E>();
        if Self::IS_DENSE {
            used.next_multiple_of(Self::ALIGN)
        } else if used <= 64 {
            used.next_power_of_two()
        } else {
            used.next_multiple_of(if Self::ALIGN > 64 { Self::ALIGN } else { 64 })
        }
    };
}

/// Why a ring of that shape is not possible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShapeError {
    /// Slots are addressed by a mask.
    #[error("a ring has a power of two of slots, 1 to {CAPACITY_MAX}, and {capacity} were asked for{}", NextPossible(*capacity))]
    Capacity {
        /// Slots asked for.
        capacity: usize,
    },
    /// A ring of records has any number of bytes within these bounds; it is rounded up to a power of two.
    #[error(
        "a ring of records has 1 to {RECORD_RING_BYTES_MAX} bytes, and {bytes} were asked for; the default size is {DEFAULT_RECORD_RING_BYTES}"
    )]
    RecordBytes {
        /// Bytes asked for.
        bytes: usize,
    },
    /// No ring is that large: see [`record_ring_bytes`](crate::record_ring_bytes).
    #[error("no ring holds {in_flight} messages of {message_bytes} bytes at once; ask for fewer or shorter ones")]
    InFlight {
        /// How many messages were to be in flight.
        in_flight: usize,
        /// The bytes of each message.
        message_bytes: usize,
    },
    /// The table is part of the segment and has a fixed length.
    #[error("a ring has entries for 1 to {TABLE_LEN_MAX} consumers; {table_len} were asked for")]
    TableLen {
        /// Entries asked for.
        table_len: usize,
    },
    /// The sections do not add up to a possible size.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

/// The next possible number of slots, for the error of an impossible one.
struct NextPossible(usize);

impl fmt::Display for NextPossible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.checked_next_power_of_two() {
            Some(next) if next <= CAPACITY_MAX => write!(f, "; the next that is possible is {next}"),
            _ => Ok(()),
        }
    }
}

/// The sections of a ring of `capacity` slots, or lines, with this many entries for the consumers that are asked for,
/// whatever their ids, and [`PLACES_FOR_OTHERS`] in addition.
pub(crate) fn blueprint<S: Carries>(capacity: usize, places: usize) -> Result<Blueprint, ShapeError> {
    if !capacity.is_power_of_two() || !(S::CAPACITY_MIN..=CAPACITY_MAX).contains(&capacity) {
        return Err(ShapeError::Capacity { capacity });
    }
    if places == 0 || places > TABLE_LEN_MAX {
        return Err(ShapeError::TableLen { table_len: places });
    }
    let table_len = places + PLACES_FOR_OTHERS;
    let stride = S::STRIDE as u64;
    Ok(Blueprint {
        kind: S::Form::KIND,
        capacity: capacity as u64,
        slot_stride: stride,
        slot_align: S::PAYLOAD_ALIGN as u64,
        payload_offset: S::PAYLOAD_OFFSET as u64,
        payload_len: S::PAYLOAD_BYTES as u64,
        table_len: table_len as u32,
        places: places as u32,
        prefix: String::new(),
        fingerprint: 0,
        predecessor: 0,
        schema: S::schema().encode(),
        control_len: size_of::<Control>() as u64,
        table_bytes: (table_len * size_of::<Entry>()) as u64,
        counters_len: counters::Shape::ring(table_len as u32, COUNTERS_OF_APPLICATION).len_bytes(),
        errors_len: 0,
        // Overflow becomes a size that no plan accepts.
        slots_len: stride.saturating_mul(capacity as u64),
    })
}

/// How many bytes a ring would need, section by section, before anything is created; and how many consumers it has
/// entries for: `max_consumers` for those that are asked for, and [`PLACES_FOR_OTHERS`] for others.
///
/// # Errors
/// [`ShapeError`] says which number is not possible.
/// Source: RFC 0001.
pub fn plan<E: Event>(capacity: usize, max_consumers: usize) -> Result<SegmentPlan, ShapeError> {
    plan_for::<Slots<E>>(capacity, max_consumers)
}

/// [`plan`] of a ring in [`Dense`] slots.
///
/// # Errors
/// [`ShapeError`] says which number is not possible.
/// Source: RFC 0017.
pub fn plan_dense<E: Event>(capacity: usize, max_consumers: usize) -> Result<SegmentPlan, ShapeError> {
    plan_for::<Slots<E, Dense>>(capacity, max_consumers)
}

/// [`plan`], whatever the ring carries.
pub(crate) fn plan_for<S: Carries>(capacity: usize, max_consumers: usize) -> Result<SegmentPlan, ShapeError> {
    Ok(blueprint::<S>(capacity, max_consumers)?.plan()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_slot_straddles_or_shares_a_cache_line_beyond_need() {
        assert_eq!(SlotLayout::<u64, Stamped>::STRIDE, 16);
        assert_eq!(SlotLayout::<[u64; 2], Stamped>::STRIDE, 32);
        assert_eq!(SlotLayout::<[u64; 6], Stamped>::STRIDE, 64);
        assert_eq!(SlotLayout::<[u64; 7], Stamped>::STRIDE, 64);
        assert_eq!(SlotLayout::<[u64; 8], Stamped>::STRIDE, 128);
        assert_eq!(SlotLayout::<[u8; 1024], Stamped>::STRIDE, 1088);
    }

    #[test]
    fn dense_slots_lie_as_in_an_array() {
        assert_eq!(SlotLayout::<u8, Dense>::STRIDE, 1);
        assert_eq!(SlotLayout::<[u32; 3], Dense>::STRIDE, 12);
        assert_eq!(SlotLayout::<[u64; 8], Dense>::STRIDE, 64);
        assert_eq!(
            (SlotLayout::<[u8; 1000], Dense>::STRIDE, SlotLayout::<[u8; 1000], Dense>::PAYLOAD_OFFSET),
            (1000, 0)
        );
    }

    /// As it is stored in the header of every ring of records.
    #[crate::event]
    struct RecordLine {
        number: i64,
        payload: [u64; 6],
    }

    #[test]
    fn a_line_says_of_itself_what_it_said_when_it_was_an_event() {
        assert_eq!(Lines::schema(), RecordLine::schema());
        let (lines, slots) = (blueprint::<Lines>(64, 4).unwrap(), blueprint::<Slots<RecordLine>>(64, 4).unwrap());
        assert_eq!(lines, Blueprint { kind: Lines::KIND, ..slots });
    }

    #[test]
    fn what_is_not_slots_takes_less_than_110_kib_for_64_consumers() {
        let plan = plan::<[u8; 1024]>(4096, 64).unwrap();
        assert_eq!(plan.slots.len, 4096 * 1088);
        assert!(plan.total_len - plan.slots.len < 110 << 10, "{plan:?}");
    }

    #[test]
    fn shapes_that_cannot_be_are_refused() {
        assert!(matches!(plan::<u64>(0, 1), Err(ShapeError::Capacity { .. })));
        assert!(matches!(plan::<u64>(3, 1), Err(ShapeError::Capacity { .. })));
        assert!(matches!(plan::<u64>(1 << 41, 1), Err(ShapeError::Capacity { .. })));
        assert!(matches!(plan::<u64>(8, 0), Err(ShapeError::TableLen { .. })));
        assert!(matches!(plan::<u64>(8, 1025), Err(ShapeError::TableLen { .. })));
        assert!(matches!(plan::<[u8; 1 << 24]>(1 << 40, 1), Err(ShapeError::Plan(_))));
    }
}
