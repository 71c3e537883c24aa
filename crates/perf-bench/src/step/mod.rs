//! What a server does with every step: tell its workers, hear them, and never wait for room.
//!
//! **Lives here:** the list of [`cases`]. **Builds on:** `broadcast`, `hold`; `messages` for the reference.
//! **May touch it:** `main`; `workload` lists the subjects.

pub(crate) mod broadcast;
pub(crate) mod hold;

use crate::limits;
use crate::messages;
use crate::schedule::{Aim, Case, Judged};
use crate::workload::Workload;

use broadcast::BroadcastStep;
use hold::HoldSteps;

/// A step through a topology, beside the round trip of a short record; and steps at a server's pace, which find room.
pub(crate) fn cases() -> Vec<Case> {
    let record = messages::record_round_trip_case();
    let name = format!(
        "step of {} to {} workers, polled by one process, and {} back from each",
        limits::size(broadcast::STEP_BYTES),
        broadcast::WORKERS,
        limits::size(broadcast::ANSWER_BYTES)
    );
    let broadcast = Case::new(name, "spin", Workload::BroadcastStep(BroadcastStep)).beside(&record);
    let name = format!(
        "full events of a ring of {} with {} steps of {} a second",
        limits::size(hold::RING_BYTES),
        hold::STEPS_PER_SECOND,
        limits::size(hold::STEP_BYTES)
    );
    let hold = Case::new(name, "spin", Workload::HoldSteps(HoldSteps)).aiming(Aim::AtMost(0.0));
    vec![
        limits::cache_line_case(),
        record,
        broadcast.aiming(Aim::RatioAtMost(3.0)),
        Case { judged: Judged::Nobody, once: true, ..hold },
    ]
}
