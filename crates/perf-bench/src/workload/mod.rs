//! What can be measured: one small type for each subject, with a producer's and a consumer's side.
//!
//! A new subject adds its type and one variant here, nothing else; `cases` says which are measured.

pub(crate) mod payload;
pub(crate) mod repeated;
pub(crate) mod round_trips;
pub(crate) mod waiting;

use serde::{Deserialize, Serialize};

use crate::limits::{
    cache_line::CacheLine, copying::Copying, cursor_ring::CursorRing, futex_wake::FutexWake, reading::Reading,
    reserve::Reserve, timer::Timer,
};
use crate::messages::{Messages, frames::ShortInFrames};
use crate::ring::{
    broadcast::{Bursts, Spread},
    creation::Creation,
    ping_pong::PingPong,
    throughput::Throughput,
    wakeup::{Idle, Parked, Ticking},
};
use crate::step::{broadcast::BroadcastStep, hold::HoldSteps};
use crate::subject::Subject;
use crate::typed::TypedStep;

/// Every subject, in a form that can be handed to another process.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Workload {
    CacheLine(CacheLine),
    CursorRing(CursorRing),
    FutexWake(FutexWake),
    Timer(Timer),
    Copying(Copying),
    Reading(Reading),
    Reserve(Reserve),
    PingPong(PingPong),
    Throughput(Throughput),
    Bursts(Bursts),
    Spread(Spread),
    Creation(Creation),
    Parked(Parked),
    Ticking(Ticking),
    Idle(Idle),
    Messages(Messages),
    ShortInFrames(ShortInFrames),
    TypedStep(TypedStep),
    BroadcastStep(BroadcastStep),
    HoldSteps(HoldSteps),
}

impl Workload {
    /// What it can do.
    pub(crate) fn subject(&self) -> &dyn Subject {
        match self {
            Self::CacheLine(subject) => subject,
            Self::CursorRing(subject) => subject,
            Self::FutexWake(subject) => subject,
            Self::Timer(subject) => subject,
            Self::Copying(subject) => subject,
            Self::Reading(subject) => subject,
            Self::Reserve(subject) => subject,
            Self::PingPong(subject) => subject,
            Self::Throughput(subject) => subject,
            Self::Bursts(subject) => subject,
            Self::Spread(subject) => subject,
            Self::Creation(subject) => subject,
            Self::Parked(subject) => subject,
            Self::Ticking(subject) => subject,
            Self::Idle(subject) => subject,
            Self::Messages(subject) => subject,
            Self::ShortInFrames(subject) => subject,
            Self::TypedStep(subject) => subject,
            Self::BroadcastStep(subject) => subject,
            Self::HoldSteps(subject) => subject,
        }
    }
}
