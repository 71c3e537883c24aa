//! Messages of any size over a ring, whole or absent.
//!
//! | for | see |
//! |---|---|
//! | building either end | [`TransportBuilder`], or [`TransportProducer::create`] and [`TransportConsumer::attach`] |
//! | sending: with any patience, encoding in place | [`TransportProducer::send`], [`TransportProducer::send_with`] |
//! | several at once, with one announcement | [`send_batch`](TransportProducer::send_batch), `send_batch_with` |
//! | receiving: in place, copied, by a handler | [`TransportConsumer::next`] and similar calls, [`Message`] |
//! | keeping messages while newer ones are received | [`TransportConsumer::next_held`], [`HeldMessage`] |
//! | a `for` loop | [`messages`](TransportConsumer::messages) |
//! | watching, without an entry in the ring | [`TransportTap`], [`MessageCopy`] |
//! | how messages are laid out in the ring | [`Format`]: [`Records`] (default), [`FixedFrame`], [`AlignedFixedFrame`] |
//! | what can go wrong | [`TransportError`], [`Malformed`] |
//! | frames without a ring, or over one's own | [`reassembly`], [`publish_framed_payload`], [`recv_framed_message`] |
//!
//! A message that does not fit into one frame is sent as several frames that become visible together. A sender that is
//! killed inside a message has sent nothing. A receiver never sees a part of one message, or parts of two. The bytes
//! and the protocol are in RFC 0007.

mod ahead;
mod aside;
mod batch;
mod buffer;
mod builder;
mod clock;
mod consumer;
mod counting;
mod error;
mod flags;
mod format;
mod frame;
mod framed;
mod malformed;
mod message;
mod over_ring;
mod prefix;
mod producer;
pub mod reassembly;
mod recent;
mod records;
mod session;
mod split;
mod tap;
mod wait;

pub(crate) use batch::asked_of_a_batch_error;
pub use batch::{BatchError, Sent};
pub use builder::TransportBuilder;
pub use clock::monotonic_ns;
pub use consumer::{FramedTransportConsumer, MmapFramedTransportConsumer, MmapTransportConsumer, TransportConsumer};
pub use disruptor_mp::WaitStrategy;
pub use error::{TransportError, TransportResult};
pub use flags::{
    FRAME_FIRST, FRAME_HAS_SEND_TIME, FRAME_HAS_TRACE_ID, FRAME_IS_REPLY, FRAME_LAST, FRAME_SINGLE, frame_flags,
    is_first_frame, is_last_frame, is_single_frame,
};
pub use format::Format;
pub(crate) use format::Sends;
pub use frame::{
    AlignedFixedFrame, FRAMES_PER_MESSAGE_MAX, FixedFrame, FrameHeader, FrameMeta, FrameShape, FramedTransportFrame,
};
pub use malformed::Malformed;
pub use message::{HeldMessage, Message};
pub use over_ring::{publish_framed_payload, recv_framed_message};
pub use prefix::{Envelope, Mark, TraceId};
pub use producer::{FramedTransportProducer, MmapFramedTransportProducer, MmapTransportProducer, TransportProducer};
pub use records::Records;
pub use session::{
    DEFAULT_MYELON_RESPONSE_DEPTH, DEFAULT_MYELON_RPC_DEPTH, DEFAULT_TRANSPORT_PREFIX, InvalidConfigText,
    InvalidSegmentName, MyelonTransportConfig, MyelonTransportLayout, RunnerMyelonTransportConfig,
    SEGMENT_NAME_LIMIT_MACOS, SessionLayoutError, compact_session_tag, coordination_cursor_name,
    ensure_coordination_cursor, validate_segment_name,
};
pub use tap::{MessageCopy, TransportTap};
pub use wait::MyelonWaitStrategy;

pub(crate) use session::text;
