//! How large a ring of records is: what was asked for, what that becomes, and what the messages in flight need.
//!
//! **Lives here:** [`record_ring_bytes`], the rule; [`plan_records`]; the default. All of it in bytes. **Builds on:**
//! `word` and `gap` for what a record takes. **May touch it:** programs that choose a size. Source: RFC 0006, "Size".

use super::layout::{self, Carries, ShapeError};
use crate::ring::protocol::form::Lines;
use crate::ring::protocol::records::gap;
use crate::ring::protocol::records::word::{LINE_BYTES, PAYLOAD_BYTES_MAX, lines_of};
use crate::segment::{MAX_TOTAL_LEN, SegmentPlan};

/// Bytes of a ring of records unless there is a reason for another size: room for a backlog, and for messages of 2 MiB
/// that are written while others are read. [`record_ring_bytes`] says how large a ring must be for the messages that
/// are in flight at once.
pub const DEFAULT_RECORD_RING_BYTES: usize = 8 << 20;

/// Bytes of the smallest ring of records, a page: what holds the records is mapped twice in a row. Source: RFC 0006,
/// "Layout".
pub const RECORD_RING_BYTES_MIN: usize = <Lines as Carries>::CAPACITY_MIN * LINE_BYTES;

/// Bytes of the largest ring of records, 32 TiB; the memory of a machine ends before.
pub const RECORD_RING_BYTES_MAX: usize = (MAX_TOTAL_LEN / 2) as usize;

/// How large a ring of records must be, in bytes: the smallest that takes `in_flight` records of up to `record_bytes`
/// bytes each while its slowest consumer has not released the first of them.
///
/// `in_flight` is the number of messages that a consumer may lag by before the producer waits: the messages of a
/// second, say, for a consumer that may pause for a second. It counts what the ring adds to a record: the header, what
/// is left of its last 64 bytes, and the gaps that are left for the processor's caches. A ring of 16 MiB or more which
/// its consumers have read to the end goes back to its beginning now and then; what is left of it is free again once
/// each consumer has asked for its next record.
///
/// ```
/// use disruptor_mp::{SharedDisruptorBuilder, record_ring_bytes};
///
/// // Sixty prefill steps of 64 KiB.
/// let bytes = record_ring_bytes(60, 64 << 10)?;
/// assert_eq!(bytes, 4 << 20);
/// # let name = disruptor_mp::portable_shm_segment_name("doc");
/// let producer = SharedDisruptorBuilder::records(&name, bytes).build_record_producer()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// `ShapeError::InFlight`: no ring is as large as that, or no record as long.
/// Source: RFC 0006, "Size".
pub const fn record_ring_bytes(in_flight: usize, record_bytes: usize) -> Result<usize, ShapeError> {
    let mut capacity = <Lines as Carries>::CAPACITY_MIN;
    while record_bytes <= PAYLOAD_BYTES_MAX && capacity <= RECORD_RING_BYTES_MAX / LINE_BYTES {
        // Behind the last of them there is a line for the next header, and its own gap is room for no record.
        let between = in_flight.saturating_sub(1) as i128;
        let gaps = gap::most_lines(capacity as i64, between as i64, record_bytes) as i128;
        if (between + 1) * lines_of(record_bytes) as i128 + gaps < capacity as i128 {
            return Ok(capacity * LINE_BYTES);
        }
        capacity *= 2;
    }
    Err(ShapeError::InFlight { in_flight, message_bytes: record_bytes })
}

/// How many bytes a ring of records would need, section by section, before anything is created. The length of the
/// section `slots` is what `bytes` is rounded up to: the next power of two, and at least [`RECORD_RING_BYTES_MIN`].
///
/// ```
/// # fn main() -> Result<(), disruptor_mp::ShapeError> {
/// assert_eq!(disruptor_mp::plan_records(10_000_001, 8)?.slots.len, 16 << 20);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`ShapeError`] says which number cannot be.
pub fn plan_records(bytes: usize, max_consumers: usize) -> Result<SegmentPlan, ShapeError> {
    layout::plan_for::<Lines>(lines_in(bytes), max_consumers).map_err(|shape| in_bytes(shape, bytes))
}

/// Lines of the ring that is built where `bytes` bytes are asked for. 0 stays 0, which says of a consumer that it gives
/// no size. A size that is too large comes out as one that is refused.
pub(crate) fn lines_in(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        _ if bytes > RECORD_RING_BYTES_MAX => usize::MAX,
        _ => bytes.max(RECORD_RING_BYTES_MIN).next_power_of_two() / LINE_BYTES,
    }
}

/// What is wrong with a size, in the unit in which it was asked for.
pub(crate) fn in_bytes(shape: ShapeError, bytes: usize) -> ShapeError {
    match shape {
        ShapeError::Capacity { .. } => ShapeError::RecordBytes { bytes },
        shape => shape,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring_of(bytes: usize) -> u64 {
        plan_records(bytes, 1).unwrap().slots.len
    }

    #[test]
    fn any_number_of_bytes_is_rounded_up_to_the_next_that_is_possible() {
        for (asked, gets) in [(1, 4096), (4096, 4096), (4097, 8192), (4_000_000, 4 << 20), (10_000_001, 16 << 20)] {
            assert_eq!(ring_of(asked), gets, "{asked}");
        }
    }

    #[test]
    fn what_no_ring_can_have_is_refused_in_bytes() {
        let text = |bytes| plan_records(bytes, 1).unwrap_err().to_string();
        assert_eq!(
            text(0),
            "a ring of records has 1 to 35184372088832 bytes, and 0 were asked for; the default size is 8388608"
        );
        assert_eq!(
            text(usize::MAX),
            "a ring of records has 1 to 35184372088832 bytes, and 18446744073709551615 were asked for; the default size is 8388608"
        );
        assert!(plan_records(RECORD_RING_BYTES_MAX, 1).is_ok() && plan_records(RECORD_RING_BYTES_MAX + 1, 1).is_err());
    }

    #[test]
    fn the_rule_says_of_one_record_what_the_error_of_a_producer_says() {
        assert_eq!(record_ring_bytes(1, 0).unwrap(), 4096);
        assert_eq!(record_ring_bytes(0, 0).unwrap(), 4096);
        assert_eq!(record_ring_bytes(1, 4096 - 64 - 16).unwrap(), 4096);
        assert_eq!(record_ring_bytes(1, 4096 - 64 - 15).unwrap(), 8192);
        assert_eq!(record_ring_bytes(60, 16_890).unwrap(), 1 << 20, "RFC 0006");
    }

    #[test]
    fn more_than_any_ring_holds_is_an_error_with_both_numbers() {
        assert_eq!(
            record_ring_bytes(usize::MAX, 64).unwrap_err().to_string(),
            "no ring holds 18446744073709551615 messages of 64 bytes at once; ask for fewer or shorter ones"
        );
        assert!(record_ring_bytes(1, PAYLOAD_BYTES_MAX).is_ok());
        assert!(record_ring_bytes(1, PAYLOAD_BYTES_MAX + 1).is_err());
        assert!(record_ring_bytes(usize::MAX, usize::MAX).is_err());
    }
}
