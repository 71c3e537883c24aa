//! What the machine allows: the cases to which the others are compared.

use std::time::Duration;

use crate::limits::cache_line::CacheLine;
use crate::limits::copying::Copying;
use crate::limits::cursor_ring::CursorRing;
use crate::limits::futex_wake::FutexWake;
use crate::limits::reading::Reading;
use crate::limits::reserve::{Reserve, SHARED_MEMORY_DIR};
use crate::limits::timer::Timer;
use crate::limits::{RING_BYTES, RING_PREFIX, size};
use crate::schedule::Case;
use crate::stats::written_duration;
use crate::topology;
use crate::workload::Workload;

/// Larger than the last-level cache that one virtual machine usually sees.
const WINDOW_BYTES: usize = 64 << 20;
/// A second-level cache where the system does not tell.
const L2_BYTES_DEFAULT: usize = 1 << 20;
/// What is reserved: enough that the time for a page is not lost in the cost of the call.
const RESERVED_BYTES: u64 = 256 << 20;
/// And in a smoke run, which must not ask much of a small machine.
const RESERVED_BYTES_QUICK: u64 = 16 << 20;

/// The round trip of a cache line. `probe` repeats it, and everything else is compared with it.
pub(crate) fn cache_line_case() -> Case {
    Case::new("cache-line round trip", "spin", Workload::CacheLine(CacheLine))
}

/// A ring of bare words of the size that suits most machines: every rate is compared with it.
pub(crate) fn word_ring_case() -> Case {
    word_ring_case_of(RING_BYTES)
}

fn word_ring_case_of(bytes: usize) -> Case {
    // A ring's size is a power of two. An unusual cache gets the next smaller one, so that the ring fits.
    let slots = (bytes / size_of::<u64>() + 1).next_power_of_two() / 2;
    let name = format!("{RING_PREFIX}, batches of 64, {}", size(bytes));
    Case::new(name, "spin", Workload::CursorRing(CursorRing { slots }))
}

/// Waking a sleeper through the kernel: every wake-up is compared with it.
pub(crate) fn futex_wake_case() -> Case {
    Case::new("futex wake, one way", "futex", Workload::FutexWake(FutexWake))
}

/// A sleep that the timer ends. The lateness of every other timed sleep is compared with it.
pub(crate) fn timer_case(nap: Duration) -> Case {
    let name = format!("timer, lateness of {}", written_duration(nap));
    Case::new(name, "futex", Workload::Timer(Timer { nap }))
}

/// Reserving `bytes` of shared memory: the creation of a ring is compared with it.
pub(crate) fn reserve_case(bytes: u64) -> Case {
    let name = format!("fallocate on {}, {} MiB", SHARED_MEMORY_DIR, bytes >> 20);
    Case::new(name, "-", Workload::Reserve(Reserve { bytes }))
}

/// All limits, for a producer on `cpu`.
pub(crate) fn cases(cpu: usize, quick: bool) -> Vec<Case> {
    let (cache_line, word_ring) = (cache_line_case(), word_ring_case());
    let l2_bytes = topology::cache_bytes(cpu, 2).unwrap_or(L2_BYTES_DEFAULT);
    let reserved_bytes = if quick { RESERVED_BYTES_QUICK } else { RESERVED_BYTES };
    let copying = Workload::Copying(Copying { window_bytes: WINDOW_BYTES });
    let reading = |window_bytes| {
        Case::new(format!("read {}", size(window_bytes)), "-", Workload::Reading(Reading { window_bytes }))
    };
    let reading_large = reading(WINDOW_BYTES);
    vec![
        futex_wake_case().beside(&cache_line),
        cache_line,
        word_ring_case_of(l2_bytes).beside(&word_ring),
        word_ring,
        Case::new(format!("memcpy into {}", size(WINDOW_BYTES)), "-", copying),
        reading(RING_BYTES).beside(&reading_large),
        reading_large,
        reserve_case(reserved_bytes),
    ]
}
