//! The clock that send times are of.
//!
//! **Lives here:** [`monotonic_ns`]. **Builds on:** rustix: the standard library's monotonic clock has no number that another process
//! could compare with. **May touch it:** whoever sends or wants to know how old a message is.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of the machine's monotonic clock, the same in all processes of one boot.
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    // Neither is ever negative, and 64 bits of nanoseconds last for 584 years.
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
