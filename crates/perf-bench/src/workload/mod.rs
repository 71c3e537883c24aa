//! What can be measured: one small type for each subject, with a producer's and a consumer's side.
//!
//! **Lives here:** [`Subject`], what such a type can do, and [`Workload`], the list of them; what several of them share.
//! **Builds on:** `side`. **May touch it:** a new subject adds its type and one variant here, nothing else.

pub(crate) mod payload;
pub(crate) mod round_trips;

use serde::{Deserialize, Serialize};

use crate::limits::{
    cache_line::CacheLine, copying::Copying, cursor_ring::CursorRing, futex_wake::FutexWake, reading::Reading,
    reserve::Reserve,
};
use crate::messages::{Messages, frames::ShortInFrames};
#[cfg(feature = "peers")]
use crate::peers::alpha::{AlphaPingPong, AlphaThroughput};
use crate::ring::{
    broadcast::{Bursts, Spread},
    creation::Creation,
    ping_pong::PingPong,
    throughput::Throughput,
    wakeup::{Idle, Parked, Ticking},
};
use crate::side::{Measurement, Side, Stop};
use crate::step::{broadcast::BroadcastStep, hold::HoldSteps};
use crate::typed::TypedRoundTrip;

/// Something that is measured between two pinned processes.
///
/// Each side prepares (creates, attaches, warms up), calls [`Side::measured`] once with what counts, and checks the
/// answer.
/// Exactly one of the sides returns the measurement.
pub(crate) trait Subject {
    /// How many bytes of zeroed shared memory the sides use between them.
    fn shared_bytes(&self) -> usize;

    /// Part of the name of the function of role 0 whose instructions are counted; `None`: nothing is counted. The
    /// measurement of such a subject is the number of operations that those instructions make up.
    fn counted_function(&self) -> Option<&'static str> {
        None
    }

    /// Whether what is measured is somebody else's.
    fn is_peers(&self) -> bool {
        false
    }

    /// Role 0, on the first cpu.
    ///
    /// # Errors
    /// See [`Stop`].
    fn produce(&self, side: &Side) -> Result<Option<Measurement>, Stop>;

    /// All other roles; where there are two, role 1 on the second cpu.
    ///
    /// # Errors
    /// See [`Stop`].
    fn consume(&self, side: &Side) -> Result<Option<Measurement>, Stop>;
}

/// Every subject, in a form that can be handed to another process.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Workload {
    CacheLine(CacheLine),
    CursorRing(CursorRing),
    FutexWake(FutexWake),
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
    TypedRoundTrip(TypedRoundTrip),
    BroadcastStep(BroadcastStep),
    HoldSteps(HoldSteps),
    #[cfg(feature = "peers")]
    AlphaPingPong(AlphaPingPong),
    #[cfg(feature = "peers")]
    AlphaThroughput(AlphaThroughput),
}

impl Workload {
    /// What it can do.
    pub(crate) fn subject(&self) -> &dyn Subject {
        match self {
            Self::CacheLine(subject) => subject,
            Self::CursorRing(subject) => subject,
            Self::FutexWake(subject) => subject,
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
            Self::TypedRoundTrip(subject) => subject,
            Self::BroadcastStep(subject) => subject,
            Self::HoldSteps(subject) => subject,
            #[cfg(feature = "peers")]
            Self::AlphaPingPong(subject) => subject,
            #[cfg(feature = "peers")]
            Self::AlphaThroughput(subject) => subject,
        }
    }
}
