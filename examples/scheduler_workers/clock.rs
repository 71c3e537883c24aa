//! Time that means the same in every process of this machine.
//!
//! The zero of `std::time::Instant` is unknown to other processes, so a moment is sent as nanoseconds of the kernel's
//! monotonic clock.

use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Now, in nanoseconds of the machine's monotonic clock.
pub(crate) fn now_ns() -> u64 {
    read_ns(ClockId::Monotonic)
}

/// The processor time that this process has used so far, all threads together.
pub(crate) fn cpu_time() -> Duration {
    Duration::from_nanos(read_ns(ClockId::ProcessCPUTime))
}

fn read_ns(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    // Neither clock runs below zero, and 64 bits of nanoseconds last for 584 years.
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
