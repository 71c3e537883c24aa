//! Why a message was not sent or not received.
//!
//! The text of an error contains its cause. [`Error::source`](std::error::Error::source) has only what the text does
//! not say.

use super::malformed::Malformed;
use super::session::{InvalidSegmentName, SessionLayoutError};
use crate::codec::CodecError;
use disruptor_mp::{ConsumeError, MultiProcessError, NoRoom, PublishError, RequiredConsumerError};

/// The result of a transport's calls.
pub type TransportResult<T> = Result<T, TransportError>;

/// Why a message was not sent or not received. After each of these the next message can be tried.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// There is no room now, and the call does not wait. Nothing was sent: try later.
    /// [`in_flight_for`](super::Format::in_flight_for) says how many messages the ring takes.
    #[error("the ring is full")]
    Full,
    /// The message can never be sent through this ring. Nothing was sent. Send it in parts, or make a ring of
    /// `depth_wanted`.
    #[error("a message of {len_bytes} bytes does not fit: at most {limit_bytes}{}", Depth(*depth_wanted))]
    TooLarge {
        /// Its length. If the encoder does not know it, one more than there is room for.
        len_bytes: usize,
        /// The longest message that can be sent.
        limit_bytes: usize,
        /// The depth of a ring that would hold it; `None` if the user's limit or the format forbids it.
        depth_wanted: Option<usize>,
    },
    /// Sending ended without room, and says why.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// Managed sending ended without room, and names the consumer that is to blame.
    #[error(transparent)]
    RequiredConsumer(#[from] RequiredConsumerError),
    /// Receiving ended without a message, and says why.
    #[error(transparent)]
    Consume(#[from] ConsumeError),
    /// A message was there and cannot be read. It was skipped and counted: receive the next one.
    #[error("a message was skipped: {0}")]
    Malformed(Malformed),
    /// The endpoint could not be built; the error says why, and what to do.
    #[error(transparent)]
    Build(#[from] MultiProcessError),
    /// The message could not be encoded or decoded; the codec's error says why.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// A session cannot have those rings, or a ring cannot have that name. Nothing was created or opened.
    #[error(transparent)]
    Session(#[from] SessionLayoutError),
}

impl TransportError {
    /// Whether the stream has ended in good order: the sender has closed it, and everything was received. For a sender:
    /// whether the ring has ended, so that nothing more can be sent.
    pub fn is_closed(&self) -> bool {
        match self {
            Self::Consume(error) => error.is_closed(),
            Self::Publish(error) => error.is_closed(),
            Self::RequiredConsumer(error) => error.is_closed(),
            _ => false,
        }
    }

    /// Whether the patience was over: for receiving see [`ConsumeError::is_timed_out`].
    pub fn is_timed_out(&self) -> bool {
        match self {
            Self::Consume(error) => error.is_timed_out(),
            Self::Publish(error) => error.is_timed_out(),
            Self::RequiredConsumer(error) => error.is_timed_out(),
            Self::Build(error) => error.is_timed_out(),
            _ => false,
        }
    }

    /// Whether there was no room, and the call does not wait.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full)
    }

    /// Whether the peer that the call waited for is gone without having closed or left: its process died, or a panic
    /// dropped its end.
    pub fn is_peer_gone(&self) -> bool {
        match self {
            Self::Consume(error) => error.is_peer_gone(),
            Self::Publish(error) => error.is_peer_gone(),
            Self::RequiredConsumer(error) => error.is_peer_gone(),
            _ => false,
        }
    }

    /// Whether the oldest held message must be released first: see [`ConsumeError::is_held_limit`].
    pub fn is_held_limit(&self) -> bool {
        matches!(self, Self::Consume(error) if error.is_held_limit())
    }

    /// Whether nothing more will come from this sender: see [`ConsumeError::is_end`].
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Consume(error) if error.is_end())
    }
}

impl From<InvalidSegmentName> for TransportError {
    fn from(error: InvalidSegmentName) -> Self {
        Self::Session(error.into())
    }
}

/// What to do about a message that is too large.
struct Depth(Option<usize>);

impl std::fmt::Display for Depth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(depth) => write!(f, "; a ring of depth {depth} would hold it"),
            None => write!(f, ", and no larger ring changes that; send it in parts, or raise the limit that was set"),
        }
    }
}

impl From<Malformed> for TransportError {
    fn from(fault: Malformed) -> Self {
        Self::Malformed(fault)
    }
}

impl From<NoRoom> for TransportError {
    fn from(reason: NoRoom) -> Self {
        match reason {
            NoRoom::Full => Self::Full,
            NoRoom::Publish(error) => Self::Publish(error),
            NoRoom::RequiredConsumer(error) => Self::RequiredConsumer(error),
        }
    }
}
