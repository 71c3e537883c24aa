//! Why a message could not be encoded, or bytes could not be decoded.
//!
//! The text of an error contains its cause. [`Error::source`](std::error::Error::source) has only what the text does
//! not say.

/// The error of a codec's library.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// The result of decoding.
pub type CodecResult<T> = Result<T, CodecError>;

/// Why a message could not be encoded or decoded. The stream goes on: the next message is not affected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The message cannot be written in this form; the codec's own error says why. Change the message.
    #[error("{codec} could not encode the message: {source}")]
    Encode {
        /// The codec.
        codec: &'static str,
        /// Its error.
        r#source: Cause,
    },
    /// The bytes are not a message of this type: of another type, damaged, or written by another version. Give both
    /// programs the same type.
    #[error("{codec} could not decode {len_bytes} bytes: {source}")]
    Decode {
        /// The codec.
        codec: &'static str,
        /// Length of what was received.
        len_bytes: usize,
        /// Its error.
        r#source: Cause,
    },
    /// The messages of this stream are of an older version that the reader accepts. They have another layout than this
    /// version and cannot be read in place: decode them.
    #[error("the messages of this stream are of an older version, which cannot be read in place; decode them")]
    OlderVersion,
}

impl CodecError {
    /// `codec` cannot write this message, because of `cause`.
    pub fn encode(codec: &'static str, cause: impl Into<Cause>) -> Self {
        Self::Encode { codec, source: cause.into() }
    }

    /// `bytes` are no message of `codec`, because of `cause`.
    pub fn decode(codec: &'static str, bytes: &[u8], cause: impl Into<Cause>) -> Self {
        Self::Decode { codec, len_bytes: bytes.len(), source: cause.into() }
    }
}

/// Why encoding into given bytes stopped.
#[derive(Debug, thiserror::Error)]
pub enum EncodeShort {
    /// The bytes do not suffice, and it is not known how many would. Encode again into more.
    #[error("the message does not fit into the bytes that it was given")]
    TooSmall,
    /// The bytes do not suffice. The message takes exactly this many.
    #[error("the message takes {len_bytes} bytes, more than it was given")]
    Needs {
        /// The length of the message.
        len_bytes: usize,
    },
    /// The message cannot be encoded, however much room there is.
    #[error(transparent)]
    Failed(#[from] CodecError),
}
