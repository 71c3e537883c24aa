//! What the size of a frame costs a sender of short messages: nothing, if only the used part is touched.

use serde::{Deserialize, Serialize};

use super::carrier::Link;
use super::transport::InFewFrames;
use super::{Carried, Figure, Messages, exchange};
use crate::side::{Measurement, Side, Stop};
use crate::subject::Subject;
use crate::workload::waiting::Waiting;

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
pub(crate) const SMALL_BYTES: usize = 256;
/// Bytes of the other.
pub(crate) const LARGE_BYTES: usize = 64 << 10;

/// Bytes of a message.
pub(crate) const MESSAGE_BYTES: usize = 64;

/// What goes through the frames of either size.
const MESSAGES: Messages = Messages::new(Carried::TransportFrames, Figure::OneWay, MESSAGE_BYTES, Waiting::Spin);

impl Subject for ShortInFrames {
    fn shared_bytes(&self) -> usize {
        Link::SHARED_BYTES
    }

    fn produce(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        match self.size {
            FrameSize::Small => exchange::pour::<InFewFrames<SMALL_BYTES>>(side, &MESSAGES),
            FrameSize::Large => exchange::pour::<InFewFrames<LARGE_BYTES>>(side, &MESSAGES),
        }
    }

    fn consume(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        match self.size {
            FrameSize::Small => exchange::drain::<InFewFrames<SMALL_BYTES>>(side, &MESSAGES),
            FrameSize::Large => exchange::drain::<InFewFrames<LARGE_BYTES>>(side, &MESSAGES),
        }
    }
}
