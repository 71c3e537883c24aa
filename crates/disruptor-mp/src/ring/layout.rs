//! How an event type becomes slots, and a ring becomes sections of a segment.
//!
//! **Lives here:** [`SlotLayout`], [`blueprint`]. **Builds on:** `control` for the sizes of the lines, `segment` for sections.
//! **May touch it:** whoever creates, plans or opens a ring.
//!
//! ```text
//! slot    0        8          payload offset                       stride
//!         | stamp  | (unused) | payload                  | (unused) |
//! ```
//! The payload starts at its alignment, at least 8. Up to 64 bytes the stride is a power of two, so that a slot never straddles
//! a cache line; beyond, it is a multiple of 64, so that two slots never share one. The stamp lies in the line in which the payload
//! starts: who waits for the stamp has paid for that line.

use super::control::{Control, Entry};
use super::records::line::RecordLine;
use super::records::word::LINE_BYTES;
use crate::counters;
use crate::schema::{Event, slot_align};
use crate::segment::{Blueprint, Kind, PlanError, SegmentPlan};
use std::any::TypeId;

/// Rings of more slots than this are refused: sequences of one lap must stay far from the ends of `i64`.
pub const CAPACITY_MAX: usize = 1 << 40;

/// Consumers that a ring has room for unless its builder says otherwise.
pub const DEFAULT_MAX_CONSUMERS: usize = 64;

/// The longest table: a rescan looks at every entry in use.
pub const TABLE_LEN_MAX: usize = 1024;

/// Counters that an application can register in a ring's table, 4 KiB; the ring's ends have their own room.
pub(crate) const COUNTERS_OF_APPLICATION: u32 = 32;

/// The counters of the largest table of consumers are a table of counters.
const _: counters::Shape = counters::Shape::ring((TABLE_LEN_MAX + PLACES_FOR_OTHERS) as u32, COUNTERS_OF_APPLICATION);

/// Places in the table beside those that were asked for: for monitors, recorders and the like.
pub const PLACES_FOR_OTHERS: usize = 4;

/// A slot of events of type `E`.
pub(crate) struct SlotLayout<E>(std::marker::PhantomData<E>);

impl<E: Event> SlotLayout<E> {
    const ALIGN: usize = {
        // Checked there: the trait is safe to implement, with any number.
        let align = slot_align::<E>();
        assert!(size_of::<E>() > 0, "an event has at least one byte");
        if align < 8 { 8 } else { align }
    };
    pub(crate) const PAYLOAD_OFFSET: usize = Self::ALIGN;
    pub(crate) const STRIDE: usize = {
        let used = Self::PAYLOAD_OFFSET + size_of::<E>();
        if used <= 64 {
            used.next_power_of_two()
        } else {
            used.next_multiple_of(if Self::ALIGN > 64 { Self::ALIGN } else { 64 })
        }
    };
}

/// Whether `E` is a line of a ring of records.
#[inline(always)]
pub(crate) fn is_line<E: Event>() -> bool {
    TypeId::of::<E>() == TypeId::of::<RecordLine>()
}

/// The kind of segment in which a ring of `E` lives.
pub(crate) fn kind_of<E: Event>() -> Kind {
    if is_line::<E>() { Kind::Records } else { Kind::Ring }
}

/// Why a ring of that shape cannot be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShapeError {
    /// Slots are addressed by a mask.
    #[error("a ring has a power of two of slots, 1 to {CAPACITY_MAX}; {capacity} was asked for")]
    Capacity {
        /// Slots asked for.
        capacity: usize,
    },
    /// The same of a ring of records, which is asked for in bytes.
    #[error("a ring of records has a power of two of bytes, at most {max}; {bytes} was asked for", max = CAPACITY_MAX * LINE_BYTES)]
    RecordBytes {
        /// Bytes asked for.
        bytes: usize,
    },
    /// The table is part of the segment and has a fixed length.
    #[error("a ring has places for 1 to {TABLE_LEN_MAX} consumers; {table_len} were asked for")]
    TableLen {
        /// Places asked for.
        table_len: usize,
    },
    /// The sections do not add up to a size that can be.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

/// The sections of a ring of `capacity` events of type `E` with so many places for the consumers that are asked for,
/// whatever their ids, and [`PLACES_FOR_OTHERS`] beside them.
pub(crate) fn blueprint<E: Event>(capacity: usize, places: usize) -> Result<Blueprint, ShapeError> {
    // Lines are mapped twice in a row, by pages.
    let capacity_min = if is_line::<E>() { 64 } else { 1 };
    if !capacity.is_power_of_two() || !(capacity_min..=CAPACITY_MAX).contains(&capacity) {
        return Err(ShapeError::Capacity { capacity });
    }
    if places == 0 || places > TABLE_LEN_MAX {
        return Err(ShapeError::TableLen { table_len: places });
    }
    let table_len = places + PLACES_FOR_OTHERS;
    let stride = SlotLayout::<E>::STRIDE as u64;
    Ok(Blueprint {
        kind: kind_of::<E>(),
        capacity: capacity as u64,
        slot_stride: stride,
        slot_align: SlotLayout::<E>::ALIGN as u64,
        payload_offset: SlotLayout::<E>::PAYLOAD_OFFSET as u64,
        payload_len: size_of::<E>() as u64,
        table_len: table_len as u32,
        places: places as u32,
        prefix: String::new(),
        schema: E::schema().encode(),
        control_len: size_of::<Control>() as u64,
        table_bytes: (table_len * size_of::<Entry>()) as u64,
        counters_len: counters::Shape::ring(table_len as u32, COUNTERS_OF_APPLICATION).len_bytes(),
        errors_len: 0,
        // Overflow comes out as a size that no plan accepts.
        slots_len: stride.saturating_mul(capacity as u64),
    })
}

/// How many bytes a ring would need, section by section, before anything is created; and how many consumers it has
/// places for: `max_consumers` for those that are asked for, and [`PLACES_FOR_OTHERS`] for others.
///
/// # Errors
/// [`ShapeError`] says which number cannot be.
/// Source: RFC 0001.
pub fn plan<E: Event>(capacity: usize, max_consumers: usize) -> Result<SegmentPlan, ShapeError> {
    Ok(blueprint::<E>(capacity, max_consumers)?.plan()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_slot_straddles_or_shares_a_cache_line_beyond_need() {
        assert_eq!(SlotLayout::<u64>::STRIDE, 16);
        assert_eq!(SlotLayout::<[u64; 2]>::STRIDE, 32);
        assert_eq!(SlotLayout::<[u64; 6]>::STRIDE, 64);
        assert_eq!(SlotLayout::<[u64; 7]>::STRIDE, 64);
        assert_eq!(SlotLayout::<[u64; 8]>::STRIDE, 128);
        assert_eq!(SlotLayout::<[u8; 1024]>::STRIDE, 1088);
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
