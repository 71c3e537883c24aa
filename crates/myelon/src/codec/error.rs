//! Why a message did not become bytes, or bytes no message.
//!
//! **Lives here:** [`CodecError`], [`EncodeShort`]. **May touch it:** codecs make them, transports pass them on.

/// What a codec's library said.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a message could not be encoded or decoded. The stream goes on: the next message is not affected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The message cannot be written in this form.
    #[error("{codec} could not encode the message")]
    Encode {
        /// The codec.
        codec: &'static str,
        /// What it said.
        source: Cause,
    },
    /// The bytes are not a message of this type: of another type, damaged, or written by another version.
    #[error("{codec} could not decode {len_bytes} bytes")]
    Decode {
        /// The codec.
        codec: &'static str,
        /// Length of what was received.
        len_bytes: usize,
        /// What it said.
        source: Cause,
    },
}

/// Why encoding into given bytes stopped.
#[derive(Debug)]
pub enum EncodeShort {
    /// The bytes do not suffice. Encode again into more.
    TooSmall,
    /// The message cannot be encoded, however much room there is.
    Failed(CodecError),
}

impl From<CodecError> for EncodeShort {
    fn from(error: CodecError) -> Self {
        Self::Failed(error)
    }
}
