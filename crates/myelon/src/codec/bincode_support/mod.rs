//! Messages of serde types, in bincode's fixed-width form.
//!
//! Numbers are little-endian and have their full width: a message's length does not depend on its values, and encoding
//! a number takes no branch. Lengths are `u64`, variants of enums `u32`. Nothing in the bytes describes them, so
//! `#[serde(flatten)]`, `#[serde(untagged)]` and the like cannot be decoded. With `#[serde(skip_serializing_if)]`, what
//! is written cannot be decoded either.

mod rest;

use super::error::Cause;
use super::serde_message::{CanDeserialize, CanSerialize};
use super::{ClaimedBytes, CodecError, CodecResult, EncodeShort, bounded};
use bincode::config::{Configuration, Fixint, LittleEndian, NoLimit};
use bincode::enc::write::SizeWriter;
use bincode::enc::{Encode, EncoderImpl};
use bincode::error::EncodeError;
use bincode::serde::BorrowCompat;
use rest::Rest;

/// The codec's name.
pub const CODEC: &str = "bincode";

const FORM: Configuration<LittleEndian, Fixint, NoLimit> = bincode::config::legacy();

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
    // The encoder owns the bytes, so that the count of free bytes can stay in a register from one number to the next.
    let mut encoder = EncoderImpl::new(ClaimedBytes::new(into), FORM);
    let said = BorrowCompat(message).encode(&mut encoder);
    encoder.into_writer().finish(CODEC, said.map_err(Unencodable))
}

/// The error for a message that did not fit. Encodes it once more to count its bytes, and writes nothing.
#[cold]
fn measured<T: CanSerialize>(message: &T) -> EncodeShort {
    let mut encoder = EncoderImpl::new(SizeWriter::default(), FORM);
    match BorrowCompat(message).encode(&mut encoder) {
        Ok(()) => EncodeShort::Needs { len_bytes: encoder.into_writer().bytes_written },
        Err(error) => CodecError::encode(CODEC, Unencodable(error)).into(),
    }
}

/// Why bincode has not encoded a message. An error of serde is shown without the name of the bincode variant that
/// contains it. It becomes a [`Cause`] only if there is an error.
struct Unencodable(EncodeError);

impl From<Unencodable> for Cause {
    #[cold]
    fn from(Unencodable(cause): Unencodable) -> Self {
        match cause {
            EncodeError::OtherString(text) => text.into(),
            EncodeError::Other(text) => text.into(),
            cause => cause.into(),
        }
    }
}

/// Makes a message of exactly these bytes.
///
/// # Errors
/// As [`Codec::decode`](super::Codec::decode).
// Inlined into the one function in which a stream decodes: see `Reading::decode`.
#[inline(always)]
pub fn decode<T: CanDeserialize>(bytes: &[u8]) -> CodecResult<T> {
    bounded::decode(CODEC, bytes, Rest::of(bytes))
}

/// Makes a type with serde's derives a message: `bincode_message!(Step)`, or `bincode_message!(Step = "step/2")` to say
/// under which name and version two programs agree on it.
///
/// Two programs compare that name and nothing else: give it another version when the fields change.
/// [`#[message]`](crate::codec::message) compares the fields themselves; this macro is for types whose traits are
/// written by hand.
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
/// myelon::bincode_message!(Step);
/// assert_eq!(Step::type_tag().as_str(), "bincode:Step/1");
///
/// let step = Step { id: 7, tokens: vec![1, 2, 3] };
/// let mut bytes = [0; 64];
/// let len = step.encode(&mut (), &mut bytes)?;
/// assert_eq!(len, 8 + 8 + 3 * 4);
/// assert_eq!(Step::decode(&bytes[..len])?, step);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Source: RFC 0008, "bincode".
#[macro_export]
macro_rules! bincode_message {
    ($message:ty) => {
        $crate::__message_of_serde!(bincode_support { $message } of_type(::core::stringify!($message)));
    };
    ($message:ty = $name:expr) => {
        $crate::__message_of_serde!(bincode_support { $message } new($name));
    };
    // What `#[message]` writes.
    (@described $($described:tt)*) => {
        $crate::__message_of_serde!(@described bincode_support $($described)*);
    };
}
