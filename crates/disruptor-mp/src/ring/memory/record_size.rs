//! The size of a ring of records: what was asked for, how large the ring becomes, and what the messages in flight need.
//! All of it in bytes.
//!
//! Source: RFC 0006, "Size".

use super::layout::{self, Carries, ShapeError};
use crate::ring::protocol::form::Lines;
use crate::ring::protocol::records::gap;
use crate::ring::protocol::records::word::{LINE_BYTES, PAYLOAD_BYTES_MAX};
use crate::segment::{MAX_TOTAL_LEN, SegmentPlan};

/// Default size in bytes of a ring of records: room for a backlog, and for messages of 2 MiB that are written while
/// others are read. [`record_ring_bytes`] says how large a ring must be for the messages that are in flight at once.
pub const DEFAULT_RECORD_RING_BYTES: usize = 8 << 20;

/// Bytes of the smallest ring of records, a page: the lines are mapped twice in a row. Source: RFC 0006, "Layout".
pub const RECORD_RING_BYTES_MIN: usize = <Lines as Carries>::CAPACITY_MIN * LINE_BYTES;

/// Bytes of the largest ring of records, 32 TiB: more memory than a machine has.
pub const RECORD_RING_BYTES_MAX: usize = (MAX_TOTAL_LEN / 2) as usize;

/// How large a ring of records must be, in bytes: the smallest size that takes `in_flight` records of up to
/// `record_bytes` bytes each while its slowest consumer has not released the first of them.
///
/// `in_flight` is the number of messages that a consumer may lag by before the producer waits: for a consumer that may
/// pause for a second, the messages of a second. The result includes what the ring adds to records: for each, 16 bytes
/// of header and the rest of its last 64 bytes; 64 bytes after the last record; and the gaps that are left after
/// records of 2 to 128 KiB for the processor's caches. Gaps take at most 1/128 of a ring, or up to 24 KiB of a small
/// one and at most 1/32 of that. There are none before consumers have read something, so a fresh ring may take a few
/// records more. A ring of 16 MiB or more that its consumers have read to the end goes back to its beginning now and
/// then. The rest of it is free again once each consumer has asked for its next record.
/// left of it is free again once each consumer has asked for its next record.
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
/// `ShapeError::InFlight`: no ring is that large, or no record that long.
/// Source: RFC 0006, "Size".
pub const fn record_ring_bytes(in_flight: usize, record_bytes: usize) -> Result<usize, ShapeError> {
    let at_least = if in_flight == 0 { 1 } else { in_flight };
    let mut bytes = RECORD_RING_BYTES_MIN;
    while bytes <= RECORD_RING_BYTES_MAX {
        if takes(bytes, record_bytes) >= at_least {
            return Ok(bytes);
        }
        bytes *= 2;
    }
    Err(ShapeError::InFlight { in_flight, message_bytes: record_bytes })
}

/// How many records of up to `record_bytes` bytes each a ring of `ring_bytes` bytes takes while its slowest consumer
/// has not released the first of them: the most for which [`record_ring_bytes`] returns that size. 0: it takes no such
/// record.
///
/// ```
/// use disruptor_mp::records_in_flight;
///
/// assert_eq!(records_in_flight(64 << 10, 30_000)?, 2);
/// assert_eq!(records_in_flight(64 << 10, 65_536)?, 0); // not with its header
/// # Ok::<(), disruptor_mp::ShapeError>(())
/// ```
///
/// # Errors
/// `ShapeError::RecordBytes`: there is no ring of that size.
/// Source: RFC 0006, "Size".
pub const fn records_in_flight(ring_bytes: usize, record_bytes: usize) -> Result<usize, ShapeError> {
    match lines_in(ring_bytes) {
        0 | usize::MAX => Err(ShapeError::RecordBytes { bytes: ring_bytes }),
        lines => Ok(takes(lines * LINE_BYTES, record_bytes)),
    }
}

/// [`records_in_flight`] for a `ring_bytes` that is the size of a ring.
const fn takes(ring_bytes: usize, record_bytes: usize) -> usize {
    if record_bytes > PAYLOAD_BYTES_MAX {
        return 0;
    }
    gap::records_in((ring_bytes / LINE_BYTES) as i64, record_bytes) as usize
}

/// How many bytes a ring of records would need, section by section, before anything is created. The length of the
/// section `slots` is `bytes` rounded up: to the next power of two, and at least [`RECORD_RING_BYTES_MIN`].
/// [`records_in_flight`] says how many records that holds.
///
/// ```
/// # fn main() -> Result<(), disruptor_mp::ShapeError> {
/// assert_eq!(disruptor_mp::plan_records(10_000_001, 8)?.slots.len, 16 << 20);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`ShapeError`] says which number is not possible.
pub fn plan_records(bytes: usize, max_consumers: usize) -> Result<SegmentPlan, ShapeError> {
    layout::plan_for::<Lines>(lines_in(bytes), max_consumers).map_err(|shape| in_bytes(shape, bytes))
}

/// Lines of the ring that is built where `bytes` bytes are asked for. 0 stays 0: a consumer that gives no size. A size
/// that is too large becomes one that is refused.
pub(crate) const fn lines_in(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        _ if bytes > RECORD_RING_BYTES_MAX => usize::MAX,
        _ if bytes < RECORD_RING_BYTES_MIN => RECORD_RING_BYTES_MIN / LINE_BYTES,
        _ => bytes.next_power_of_two() / LINE_BYTES,
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
    fn what_a_ring_takes_and_the_ring_that_takes_it_are_one_rule() {
        for len in [0, 48, 49, 2047, 2048, 4096, 30_000, 131_072, 131_073, 135_000, 140_000, 1 << 20, PAYLOAD_BYTES_MAX]
        {
            for bits in 12..30 {
                let (bytes, taken) = (1 << bits, records_in_flight(1 << bits, len).unwrap());
                assert!(taken == 0 || record_ring_bytes(taken, len).unwrap() <= bytes, "{taken} of {len}");
                assert!(record_ring_bytes(taken + 1, len).unwrap() > bytes, "{taken} + 1 of {len}");
                assert_eq!(records_in_flight(bytes - 1, len).unwrap(), taken, "rounded up");
            }
        }
        for bytes in [0, RECORD_RING_BYTES_MAX + 1] {
            assert!(matches!(records_in_flight(bytes, 1), Err(ShapeError::RecordBytes { .. })));
        }
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
