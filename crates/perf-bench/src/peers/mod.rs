//! Others that do what our ring and our messages do, in the same run. Only with the feature `peers`.
//!
//! **Lives here:** what [joins](join) the cases of our ring; how what peers leave behind is [named](environment) and
//! [removed](remove). **Builds on:** their public interfaces, one module for each.
//! **May touch it:** `main` and `roles`; `workload` lists the ring's subjects, `messages` the carriers.

#[cfg(feature = "aeron")]
pub(crate) mod aeron;
pub(crate) mod alpha;
pub(crate) mod alpha_framed;
pub(crate) mod crossbar;
pub(crate) mod iceoryx2;
pub(crate) mod zeromq;

use std::fs;
use std::path::{Path, PathBuf};

use crate::limits::{self, reserve::SHARED_MEMORY_DIR};
use crate::ring::{SLOTS_MANY, slots_that_suit};
use crate::schedule::Case;
use crate::workload::Workload;

use alpha::{AlphaPingPong, AlphaThroughput};

/// Adds round trips and rates to the `cases` of a run, through rings of as many slots as ours: those whose reference is
/// among them.
pub(crate) fn join(cases: &mut Vec<Case>) {
    let (cache_line, word_ring) = (limits::cache_line_case(), limits::word_ring_case());
    let round_trip = |payload_bytes| {
        let slots = if payload_bytes <= 64 { SLOTS_MANY } else { slots_that_suit(payload_bytes) };
        let name = format!("alpha: round trip, {payload_bytes} B, {slots} slots");
        let workload = Workload::AlphaPingPong(AlphaPingPong { payload_bytes, slots });
        Case::new(name, "spin", workload).beside(&cache_line)
    };
    let one_way = |(payload_bytes, batch)| {
        let how = if batch == 1 { "one by one".to_owned() } else { format!("batches of {batch}") };
        let name = format!("alpha: one way, {payload_bytes} B, {how}");
        let slots = slots_that_suit(payload_bytes);
        let workload = Workload::AlphaThroughput(AlphaThroughput { payload_bytes, batch, slots });
        Case::new(name, "spin", workload).beside(&word_ring)
    };
    let round_trips = [64, 1024].map(round_trip);
    let rates = [(64, 64), (64, 1), (1024, 64), (1024, 1)].map(one_way);
    let is_there = |case: &Case| cases.iter().any(|known| Some(&known.name) == case.reference.as_ref());
    let joining: Vec<_> = round_trips.into_iter().chain(rates).filter(is_there).collect();
    cases.extend(joining);
}

/// What the roles of a measurement find in their environment. Crossbar keeps a registry of all topics of a machine, which
/// nobody would remove; this way every measurement has one, with a name that begins as those of its segments do.
pub(crate) fn environment(prefix: &str) -> [(&'static str, PathBuf); 1] {
    [("CROSSBAR_REGISTRY", Path::new(SHARED_MEMORY_DIR).join(format!("{prefix}-registry")))]
}

/// Removes what peers have left in shared memory: files and directories whose names contain the `prefix` of the
/// measurement's segments, which no other measurement's do. All processes of the measurement have ended.
pub(crate) fn remove(prefix: &str) {
    let Ok(entries) = fs::read_dir(SHARED_MEMORY_DIR) else { return };
    let mark = format!("{prefix}-");
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().contains(&mark)) {
        // What cannot be removed stays until somebody else collects it; the measurement is not worse for it.
        let _ = match entry.file_type() {
            Ok(kind) if kind.is_dir() => fs::remove_dir_all(entry.path()),
            _ => fs::remove_file(entry.path()),
        };
    }
}
