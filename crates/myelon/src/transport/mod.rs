//! Messages of any size over a ring.

mod buffer;
mod flags;
mod frame;
mod malformed;
mod prefix;
pub mod reassembly;
mod split;

pub use flags::{
    FRAME_FIRST, FRAME_HAS_SEND_TIME, FRAME_HAS_TRACE_ID, FRAME_LAST, FRAME_SINGLE, frame_flags, is_first_frame,
    is_last_frame, is_single_frame,
};
pub use frame::{
    AlignedFixedFrame, FRAMES_PER_MESSAGE_MAX, FixedFrame, FrameHeader, FrameMeta, FrameShape, FramedTransportFrame,
};
pub use malformed::Malformed;
pub use prefix::{Envelope, TraceId};
