//! Why a typed message was not sent or not received.
//!
//! The text of an error has its cause in it, and [`Error::source`](std::error::Error::source) only what the text does not say.
//!
//! **Lives here:** [`TypedPublishError`], [`TypedReceiveError`]. **Builds on:** the errors of codecs and transports. **May touch it:**
//! both typed ends.

use crate::codec::CodecError;
use crate::transport::TransportError;
use disruptor_mp::{RequiredConsumerError, Sequence};

/// Why a message was not sent. Nothing was: the next one can be tried.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TypedPublishError {
    /// The message cannot be encoded. Another one may be.
    #[error(transparent)]
    Codec(CodecError),
    /// Managed sending ended without room, and says who is to blame.
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

/// Why no message was received.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TypedReceiveError {
    /// A message was there and its bytes are none of this type. It was acknowledged and counted: receive the next one.
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
