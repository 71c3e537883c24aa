//! What the machine allows, so that every other number can be compared with its limit.

pub(crate) mod cache_line;
pub(crate) mod copying;
pub(crate) mod cursor_ring;
pub(crate) mod futex_wake;
pub(crate) mod reading;
pub(crate) mod reserve;
pub(crate) mod timer;

use crate::report::Row;

const MIB: usize = 1 << 20;

/// The footprint that suits most machines: larger than a second-level cache, a small part of a third-level one.
pub(crate) const RING_BYTES: usize = 4 * MIB;

/// How the names of cases of bare rings begin.
pub(crate) const RING_PREFIX: &str = "u64 ring";

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
