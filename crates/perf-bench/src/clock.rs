//! The clocks on which several processes, or one process and the kernel, agree.

use std::time::Duration;

use rustix::time::{ClockId, Timespec};

fn duration(time: Timespec) -> Duration {
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// Nanoseconds of the monotonic clock, which all processes share.
pub(crate) fn now_ns() -> u64 {
    duration(rustix::time::clock_gettime(ClockId::Monotonic)).as_nanos() as u64
}

/// The cpu time that this process has used.
pub(crate) fn own_cpu() -> Duration {
    duration(rustix::time::clock_gettime(ClockId::ProcessCPUTime))
}
