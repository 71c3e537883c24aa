//! What a server does with every step.

use super::{limits, messages};
use crate::limits::size;
use crate::schedule::{Aim, Case, Judged};
use crate::step::broadcast::{self, BroadcastStep};
use crate::step::hold::{self, HoldSteps};
use crate::workload::Workload;

/// A step through a topology, compared with the round trip of a short record; and steps at a server's pace, which find
/// room.
pub(crate) fn cases() -> Vec<Case> {
    let record = messages::record_round_trip_case();
    let name = format!(
        "step of {} to {} workers, polled by one process, and {} back from each",
        size(broadcast::STEP_BYTES),
        broadcast::WORKERS,
        size(broadcast::ANSWER_BYTES)
    );
    let broadcast = Case::new(name, "spin", Workload::BroadcastStep(BroadcastStep)).beside(&record);
    let name = format!(
        "full events of a ring of {} with {} steps of {} a second",
        size(hold::RING_BYTES),
        hold::STEPS_PER_SECOND,
        size(hold::STEP_BYTES)
    );
    let hold = Case::new(name, "spin", Workload::HoldSteps(HoldSteps)).aiming(Aim::AtMost(0.0));
    vec![
        limits::cache_line_case(),
        record,
        broadcast.aiming(Aim::RatioAtMost(3.0)),
        Case { judged: Judged::NoProcess, once: true, ..hold },
    ]
}
