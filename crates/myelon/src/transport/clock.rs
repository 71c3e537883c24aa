//! The clock of the send times.
//!
//! It is rustix's: the standard library's monotonic clock gives no number that another process could compare with.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of the machine's monotonic clock, the same in all processes of one boot.
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    // Neither number is ever negative, and 64 bits of nanoseconds last for 584 years.
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
