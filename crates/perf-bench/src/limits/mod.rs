//! What the machine allows, so that every other number can be read beside its limit.
//!
//! **Lives here:** the list of [`cases`], and [`best_ring`], the one comparison that a table does not make.
//! **Builds on:** `schedule`, `topology`, one module for each subject. **May touch it:** `main`; `workload` lists the
//! subjects.

pub(crate) mod cache_line;
pub(crate) mod copying;
pub(crate) mod cursor_ring;
pub(crate) mod futex_wake;
pub(crate) mod reading;
pub(crate) mod reserve;

use crate::report::Row;
use crate::schedule::Case;
use crate::topology;
use crate::workload::Workload;

use cache_line::CacheLine;
use copying::Copying;
use cursor_ring::CursorRing;
use futex_wake::FutexWake;
use reading::Reading;
use reserve::Reserve;

const MIB: usize = 1 << 20;

/// The footprint that suits most machines: larger than a second-level cache, a small part of a third-level one.
pub(crate) const RING_BYTES: usize = 4 * MIB;
/// Larger than the last-level cache that one virtual machine usually sees.
const WINDOW_BYTES: usize = 64 * MIB;
/// A second-level cache where the system does not tell.
const L2_BYTES_DEFAULT: usize = MIB;
/// What is reserved: enough that the time for a page does not drown in the call.
const RESERVED_BYTES: u64 = 256 << 20;
/// And in a smoke run, which must not ask much of a small machine.
const RESERVED_BYTES_QUICK: u64 = 16 << 20;

const RING_PREFIX: &str = "u64 ring";

/// The round trip of a cache line, the one case that `probe` repeats and everything else is read beside.
pub(crate) fn cache_line_case() -> Case {
    Case::new("cache-line round trip", "spin", Workload::CacheLine(CacheLine))
}

/// A ring of bare words of the size that suits most machines: what every rate is read beside.
pub(crate) fn word_ring_case() -> Case {
    word_ring_case_of(RING_BYTES)
}

fn word_ring_case_of(bytes: usize) -> Case {
    // A ring's size is a power of two. An unusual cache gets the next smaller one, so that the ring fits.
    let slots = (bytes / size_of::<u64>() + 1).next_power_of_two() / 2;
    let name = format!("{RING_PREFIX}, batches of 64, {}", size(bytes));
    Case::new(name, "spin", Workload::CursorRing(CursorRing { slots }))
}

/// Waking a sleeper through the kernel: what every wake-up is read beside.
pub(crate) fn futex_wake_case() -> Case {
    Case::new("futex wake, one way", "futex", Workload::FutexWake(FutexWake))
}

/// Reserving `bytes` of shared memory: what the creation of a ring is read beside.
pub(crate) fn reserve_case(bytes: u64) -> Case {
    let name = format!("fallocate on {}, {} MiB", reserve::SHARED_MEMORY_DIR, bytes >> 20);
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

/// `bytes` in bytes, KiB or MiB, whichever is a round number.
pub(crate) fn size(bytes: usize) -> String {
    match bytes {
        bytes if bytes.is_multiple_of(MIB) => format!("{} MiB", bytes / MIB),
        bytes if bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        bytes => format!("{bytes} B"),
    }
}

/// A sentence for each label that says which ring was the fastest, which is the limit that counts.
pub(crate) fn best_ring(rows: &[Row]) -> Vec<String> {
    let mut best = std::collections::BTreeMap::new();
    for row in rows.iter().filter(|row| row.case.starts_with(RING_PREFIX)) {
        let Some((label, measured)) = row.label.zip(row.measured.as_ref()) else { continue };
        let median = measured.summary.median;
        let (_, best_median, _) = best.entry(label).or_insert((&row.case, median, measured.unit));
        if median > *best_median {
            best.insert(label, (&row.case, median, measured.unit));
        }
    }
    let sentence = |(label, (case, median, unit)): (_, (&String, f64, crate::stats::Unit))| {
        format!("best ring ({label}): {case}, {}", unit.written(median))
    };
    best.into_iter().map(sentence).collect()
}
