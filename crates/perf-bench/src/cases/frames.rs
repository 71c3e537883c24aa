//! Short messages in frames of two sizes.

use crate::limits::size;
use crate::messages::frames::{FrameSize, LARGE_BYTES, MESSAGE_BYTES, SMALL_BYTES, ShortInFrames};
use crate::schedule::{Aim, Case};
use crate::workload::Workload;

/// Both sizes, the large one beside the small one.
pub(crate) fn cases() -> Vec<Case> {
    let case = |frames, frame_bytes| {
        let (message, frame) = (size(MESSAGE_BYTES), size(frame_bytes));
        let name = format!("messages of {message} one way, in frames of {frame}");
        Case::new(name, "spin", Workload::ShortInFrames(ShortInFrames { size: frames }))
    };
    let small = case(FrameSize::Small, SMALL_BYTES);
    let large = case(FrameSize::Large, LARGE_BYTES).beside(&small).aiming(Aim::RatioAtLeast(0.9));
    vec![small, large]
}
