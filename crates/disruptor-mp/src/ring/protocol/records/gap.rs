//! How many lines are left unused behind a record, so that its readers do not fetch what the producer writes next.
//!
//! **Lives here:** [`gap_lines`], and how much all gaps can take. Pure. **Builds on:** `word` for the size of a line.
//! **May touch it:** the one producer of a ring of records, and the rule for the size of a ring. Source: RFC 0006,
//! "Gap".

use super::word::{LINE_BYTES, lines_of};

/// Lengths in bytes of records behind which a gap pays.
const BYTES_MIN: usize = 2 << 10;
const BYTES_MAX: usize = 128 << 10;

/// The widest gap in bytes.
const GAP_BYTES_MAX: usize = 8 << 10;

const _: () = assert!(GAP_BYTES_MAX / LINE_BYTES <= u8::MAX as usize);

/// Where readers stand is looked at no more often than once in that number of lines.
pub(crate) const LOOK_EVERY_LINES: i64 = 256;

/// Readers are close if they lag by at most this part of the ring.
const CLOSE_PART: i64 = 64;

/// Whether a gap pays behind a record of `len` bytes.
#[inline(always)]
pub(crate) const fn pays(len: usize) -> bool {
    len >= BYTES_MIN && len <= BYTES_MAX
}

/// Lines left unused behind a record of `len` bytes for which it pays: a quarter of its length, half if it is longer,
/// but not more than pays.
#[inline(always)]
pub(crate) const fn gap_lines(len: usize) -> u8 {
    let part = if len < GAP_BYTES_MAX { len / 4 } else { len / 2 };
    let bytes = if part < GAP_BYTES_MAX { part } else { GAP_BYTES_MAX };
    (bytes / LINE_BYTES) as u8
}

/// How far readers may lag in a ring of `capacity` lines and still be close.
#[inline(always)]
pub(crate) const fn close_lines(capacity: i64) -> i64 {
    capacity / CLOSE_PART
}

/// The most lines that gaps take in a ring of `capacity` lines while no reader releases anything, behind `count`
/// records of up to `len` bytes.
pub(crate) const fn most_lines(capacity: i64, count: i64, len: usize) -> i64 {
    if len < BYTES_MIN {
        return 0;
    }
    let widest = gap_lines(if len < BYTES_MAX { len } else { BYTES_MAX }) as i64;
    // A look finds the readers lagging once the records since their last one take more than the close part. Until then,
    // up to the look that is due by then, and for one record more at either end, records have gaps; and a gap is at
    // most half as long as its record.
    let stretch = close_lines(capacity) + LOOK_EVERY_LINES + 2 * (lines_of(len) + widest);
    let (behind_each, in_stretch) = (count.saturating_mul(widest), stretch / 3 + 1);
    if behind_each < in_stretch { behind_each } else { in_stretch }
}
