//! Messages of serde types, in postcard's form: small, and its crate is maintained.
//!
//! **Lives here:** [`postcard_message!`](crate::postcard_message) and what it expands to. **Builds on:** `guard`, which
//! bounds what a decoder does. **May touch it:** the macro.
//!
//! Numbers, lengths and variants of enums take as many bytes as they need, seven bits in each, so a message's length
//! depends on its values. Nothing in the bytes describes them: what cannot be decoded is what
//! [`bincode_message!`](crate::bincode_message) cannot decode.

use super::guard::{Limits, TrailingBytes};
use super::serde_message::{CanDeserialize, CanSerialize};
use super::{ClaimedBytes, CodecError, CodecResult, EncodeShort};
use serde::de::DeserializeSeed;

/// The codec's name.
pub const CODEC: &str = "postcard";

/// Writes `message` to the front of `into`.
///
/// # Errors
/// As [`Codec::encode`](super::Codec::encode).
pub fn encode<T: CanSerialize>(message: &T, into: &mut [u8]) -> Result<usize, EncodeShort> {
    let mut claimed = ClaimedBytes::new(into);
    let said = postcard::serialize_with_flavor(message, &mut claimed);
    claimed.finish(CODEC, said)
}

/// Makes a message of exactly these bytes.
///
/// # Errors
/// As [`Codec::decode`](super::Codec::decode).
pub fn decode<T: CanDeserialize>(bytes: &[u8]) -> CodecResult<T> {
    let limits = Limits::for_message(bytes.len());
    let mut reader = postcard::Deserializer::from_bytes(bytes);
    let message = limits.seed().deserialize(&mut reader).map_err(|cause| match limits.exceeded() {
        // postcard keeps no text of ours.
        Some(exceeded) => CodecError::decode(CODEC, bytes, exceeded),
        None => CodecError::decode(CODEC, bytes, cause),
    })?;
    let rest = reader.finalize().map_err(|cause| CodecError::decode(CODEC, bytes, cause))?;
    if !rest.is_empty() {
        let (used_bytes, len_bytes) = (bytes.len() - rest.len(), bytes.len());
        return Err(CodecError::decode(CODEC, bytes, TrailingBytes { used_bytes, len_bytes }));
    }
    Ok(message)
}

/// Makes a type with serde's derives a message: `postcard_message!(Step)`, or `postcard_message!(Step = "step/2")` to
/// say under which name and version two programs agree on it.
///
/// Two programs compare that name and nothing else; [`#[message(postcard)]`](crate::codec::message) compares the fields
/// themselves.
///
/// ```
/// use myelon::codec::Codec;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize)]
/// struct Step {
///     id: u64,
///     tokens: Vec<u32>,
/// }
///
/// myelon::postcard_message!(Step);
/// assert_eq!(Step::type_tag().as_str(), "postcard:Step/1");
///
/// let step = Step { id: 7, tokens: vec![1, 2, 300] };
/// let mut bytes = [0; 64];
/// let len = step.encode(&mut (), &mut bytes)?;
/// assert_eq!(bytes[..len], [7, 3, 1, 2, 0xac, 0x02]);
/// assert_eq!(Step::decode(&bytes[..len])?, step);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Source: RFC 0008, "postcard".
#[macro_export]
macro_rules! postcard_message {
    ($message:ty) => {
        $crate::__message_of_serde!(postcard_support { $message } of_type(::core::stringify!($message)));
    };
    ($message:ty = $name:expr) => {
        $crate::__message_of_serde!(postcard_support { $message } new($name));
    };
    // What `#[message(postcard)]` writes.
    (@described $($described:tt)*) => {
        $crate::__message_of_serde!(@described postcard_support $($described)*);
    };
}
