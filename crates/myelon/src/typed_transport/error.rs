//! Why a typed message was not sent or not received.
//!
//! The text of an error contains its cause. [`Error::source`](std::error::Error::source) has only what the text does
//! not say.

use crate::codec::CodecError;
use crate::transport::{TransportError, asked_of_a_batch_error};
use disruptor_mp::{ConsumeError, RequiredConsumerError, Sequence};

/// Why a message was not sent. Nothing was sent: the next message can be tried.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TypedPublishError {
    /// The message cannot be encoded. Another one may be.
    #[error(transparent)]
    Codec(CodecError),
    /// Managed sending ended without room, and names the consumer that is to blame.
    #[error(transparent)]
    RequiredConsumer(RequiredConsumerError),
    /// The transport could not take it: full, too large, closed.
    #[error(transparent)]
    Transport(TransportError),
}

impl From<TransportError> for TypedPublishError {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Codec(error) => Self::Codec(error),
            TransportError::RequiredConsumer(error) => Self::RequiredConsumer(error),
            error => Self::Transport(error),
        }
    }
}

asked_of_a_batch_error!(TypedPublishError);

impl TypedPublishError {
    /// Whether the ring has ended, so that nothing more can be sent.
    pub fn is_closed(&self) -> bool {
        match self {
            Self::Codec(_) => false,
            Self::RequiredConsumer(error) => error.is_closed(),
            Self::Transport(error) => error.is_closed(),
        }
    }

    /// Whether the patience was over.
    pub fn is_timed_out(&self) -> bool {
        match self {
            Self::Codec(_) => false,
            Self::RequiredConsumer(error) => error.is_timed_out(),
            Self::Transport(error) => error.is_timed_out(),
        }
    }

    /// Whether there was no room, and the call does not wait.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Transport(error) if error.is_full())
    }

    /// Whether the receiver that the call waited for is gone without having left.
    pub fn is_peer_gone(&self) -> bool {
        match self {
            Self::Codec(_) => false,
            Self::RequiredConsumer(error) => error.is_peer_gone(),
            Self::Transport(error) => error.is_peer_gone(),
        }
    }
}

/// Why no message was received.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TypedReceiveError {
    /// The bytes of a message are not of this type. It was acknowledged and counted: receive the next one.
    #[error("message {sequence} of kind {kind} was skipped: {source}")]
    Undecodable {
        /// Its sequence.
        sequence: Sequence,
        /// The application's kind.
        kind: u8,
        /// What is wrong with it.
        r#source: CodecError,
    },
    /// The wait ended without a message, or the transport had to skip one.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

impl From<ConsumeError> for TypedReceiveError {
    fn from(error: ConsumeError) -> Self {
        Self::Transport(error.into())
    }
}

impl TypedReceiveError {
    /// Whether the stream has ended in good order: the sender has closed it, and everything was received.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Transport(error) if error.is_closed())
    }

    /// Whether the patience was over: see [`ConsumeError::is_timed_out`].
    pub fn is_timed_out(&self) -> bool {
        matches!(self, Self::Transport(error) if error.is_timed_out())
    }

    /// Whether the sender is gone without having closed the stream.
    pub fn is_peer_gone(&self) -> bool {
        matches!(self, Self::Transport(error) if error.is_peer_gone())
    }

    /// Whether the oldest held message must be released first: see [`ConsumeError::is_held_limit`].
    pub fn is_held_limit(&self) -> bool {
        matches!(self, Self::Transport(error) if error.is_held_limit())
    }

    /// Whether nothing more will come from this sender: see [`ConsumeError::is_end`].
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Transport(error) if error.is_end())
    }
}
