//! Messages of serde types, in postcard's form: small, and its crate is maintained.
//!
//! Numbers, lengths and variants of enums take as many bytes as they need, seven bits in each, so a message's length
//! depends on its values. Nothing in the bytes describes them: postcard cannot decode what
//! [`bincode_message!`](crate::bincode_message) cannot decode.

mod rest;

use super::serde_message::{CanDeserialize, CanSerialize};
use super::{ClaimedBytes, CodecError, CodecResult, EncodeShort, bounded};
use postcard::ser_flavors::Size;
use postcard::serialize_with_flavor;
use rest::Rest;

/// The codec's name.
pub const CODEC: &str = "postcard";

/// Writes `message` to the front of `into`.
///
/// # Errors
/// As [`Codec::encode`](super::Codec::encode).
pub fn encode<T: CanSerialize>(message: &T, into: &mut [u8]) -> Result<usize, EncodeShort> {
    match encode_if_it_fits(message, into) {
        Err(EncodeShort::TooSmall) => Err(measured(message)),
        done => done,
    }
}

/// Writes `message` to the front of `into`, and stops where that ends.
///
/// # Errors
/// As [`Codec::encode_if_it_fits`](super::Codec::encode_if_it_fits).
pub fn encode_if_it_fits<T: CanSerialize>(message: &T, into: &mut [u8]) -> Result<usize, EncodeShort> {
    let mut claimed = ClaimedBytes::new(into);
    let said = serialize_with_flavor(message, &mut claimed);
    claimed.finish(CODEC, said)
}

/// The error for a message that did not fit. Encodes it once more to count its bytes, and writes nothing.
#[cold]
fn measured<T: CanSerialize>(message: &T) -> EncodeShort {
    match serialize_with_flavor(message, Size::default()) {
        Ok(len_bytes) => EncodeShort::Needs { len_bytes },
        Err(error) => CodecError::encode(CODEC, error).into(),
    }
}

/// Makes a message of exactly these bytes.
///
/// # Errors
/// As [`Codec::decode`](super::Codec::decode).
pub fn decode<T: CanDeserialize>(bytes: &[u8]) -> CodecResult<T> {
    bounded::decode(CODEC, bytes, Rest::of(bytes))
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
