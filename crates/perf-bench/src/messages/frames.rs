//! What the size of a frame costs whoever sends short messages through it: nothing, if only what is in use is touched.
//!
//! **Lives here:** [`ShortInFrames`], the list of its [`cases`]. **Builds on:** `exchange`, `transport`.
//! **May touch it:** `main`; `workload` lists the subject.

use serde::{Deserialize, Serialize};

use super::carrier::Link;
use super::exchange;
use super::transport::InFewFrames;
use crate::limits;
use crate::schedule::{Aim, Case};
use crate::side::{Measurement, Side, Stop};
use crate::workload::{Subject, Workload};

/// Short messages one way, each in a frame of its own, through equally many frames of one of two sizes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ShortInFrames {
    pub(crate) size: FrameSize,
}

/// A size of frames.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FrameSize {
    Small,
    Large,
}

/// Bytes of the one.
const SMALL_BYTES: usize = 256;
/// Bytes of the other.
const LARGE_BYTES: usize = 64 << 10;

/// Bytes of a message.
const MESSAGE_BYTES: usize = 64;

impl Subject for ShortInFrames {
    fn shared_bytes(&self) -> usize {
        Link::SHARED_BYTES
    }

    fn produce(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        match self.size {
            FrameSize::Small => exchange::pour::<InFewFrames<SMALL_BYTES>>(side, MESSAGE_BYTES),
            FrameSize::Large => exchange::pour::<InFewFrames<LARGE_BYTES>>(side, MESSAGE_BYTES),
        }
    }

    fn consume(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        match self.size {
            FrameSize::Small => exchange::drain::<InFewFrames<SMALL_BYTES>>(side, MESSAGE_BYTES),
            FrameSize::Large => exchange::drain::<InFewFrames<LARGE_BYTES>>(side, MESSAGE_BYTES),
        }
    }
}

/// Both sizes, the large one beside the small one.
pub(crate) fn cases() -> Vec<Case> {
    let case = |size, frame_bytes| {
        let (message, frame) = (limits::size(MESSAGE_BYTES), limits::size(frame_bytes));
        let name = format!("messages of {message} one way, in frames of {frame}");
        Case::new(name, "spin", Workload::ShortInFrames(ShortInFrames { size }))
    };
    let small = case(FrameSize::Small, SMALL_BYTES);
    let large = case(FrameSize::Large, LARGE_BYTES).beside(&small).aiming(Aim::RatioAtLeast(0.9));
    vec![small, large]
}
