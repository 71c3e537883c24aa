//! Messages that are read in place, as rkyv archives.
//!
//! The archive is written straight into the claimed bytes. While it is written, rkyv has to remember where the parts of
//! a list are; it does so in an arena that the sender keeps. Only a message that contains `Rc` or `Arc` allocates: a
//! list of them.

mod dialect;
mod error;

use super::{ClaimedBytes, CodecError, CodecResult, EncodeShort, MAX_NESTING};
use rkyv::api::{access_with_context, high, serialize_using};
use rkyv::bytecheck::CheckBytes;
use rkyv::ser::Serializer;
use rkyv::ser::allocator::{Arena, ArenaHandle};
use rkyv::ser::sharing::Share;
use rkyv::util::AlignedVec;
use rkyv::validation::Validator;
use rkyv::validation::archive::ArchiveValidator;
use rkyv::validation::shared::SharedValidator;
use rkyv::{Archive, Archived, Deserialize, Serialize};
use std::fmt;
use std::num::NonZeroUsize;

pub use dialect::{tag, tag_of_message, tag_of_type};
pub use error::ArchiveError;
pub use rkyv;

/// The codec's name.
pub const CODEC: &str = "rkyv";

/// Every message begins at a multiple of this, and no part of an archive may ask for more.
pub const ALIGN_MAX_BYTES: usize = 16;

/// The serialiser: it writes into claimed bytes, with an arena and a list of the values that several parts of the
/// message share.
pub type Encoder<'a> = high::HighSerializer<ClaimedBytes<'a>, ArenaHandle<'a>, ArchiveError>;

/// The validator of an archive.
pub type Checker<'a> = high::HighValidator<'a, ArchiveError>;

/// The deserialiser that makes a message from an archive.
pub type Decoder = high::HighDeserializer<ArchiveError>;

/// What encoding keeps from one message to the next.
#[derive(Default)]
pub struct Scratch {
    arena: Arena,
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch").field("capacity_bytes", &self.arena.capacity()).finish()
    }
}

/// Length or address of the bytes rule out an archive of this type.
#[derive(Debug, thiserror::Error)]
#[error(
    "{len_bytes} bytes at address {address:#x} are no archive that ends with a root of {root_bytes} and begins at a multiple of 16"
)]
struct Misplaced {
    len_bytes: usize,
    address: usize,
    root_bytes: usize,
}

/// Writes the archive of `message` to the front of `into`.
///
/// # Errors
/// As [`Codec::encode`](super::Codec::encode).
pub fn encode<T>(message: &T, scratch: &mut Scratch, into: &mut [u8]) -> Result<usize, EncodeShort>
where
    T: for<'a> Serialize<Encoder<'a>>,
{
    let mut encoder = Serializer::new(ClaimedBytes::new(into), scratch.arena.acquire(), Share::new());
    let said = serialize_using::<_, ArchiveError>(message, &mut encoder);
    encoder.into_writer().finish(CODEC, said)
}

/// Checks all of the bytes, and then reads them as an archive.
///
/// # Errors
/// As [`ZeroCopyCodec::access`](super::ZeroCopyCodec::access).
pub fn access<T>(bytes: &[u8]) -> CodecResult<&Archived<T>>
where
    T: Archive<Archived: for<'a> CheckBytes<Checker<'a>>>,
{
    check_place::<T>(bytes)?;
    // With a limit for the depth: an archive may be a list in which each element points to the next, and validation
    // recurses.
    let archive = ArchiveValidator::with_max_depth(bytes, NonZeroUsize::new(MAX_NESTING));
    let mut checker = Validator::new(archive, SharedValidator::new());
    access_with_context::<Archived<T>, _, ArchiveError>(bytes, &mut checker)
        .map_err(|cause| CodecError::decode(CODEC, bytes, cause))
}

/// Makes a message from exactly these bytes, at any address.
///
/// # Errors
/// As [`Codec::decode`](super::Codec::decode).
pub fn decode<T>(bytes: &[u8]) -> CodecResult<T>
where
    T: Archive<Archived: for<'a> CheckBytes<Checker<'a>> + Deserialize<T, Decoder>>,
{
    let mut elsewhere = AlignedVec::<ALIGN_MAX_BYTES>::new();
    let bytes = if is_aligned(bytes) {
        bytes
    } else {
        elsewhere.extend_from_slice(bytes);
        &elsewhere
    };
    rkyv::deserialize::<T, ArchiveError>(access::<T>(bytes)?).map_err(|cause| CodecError::decode(CODEC, bytes, cause))
}

/// Whether length and address permit an archive. Trusted bytes are checked for this too.
///
/// The address must suit every type and not only this one. It depends on the ring and not on the message: if only this
/// type were checked, a message could be readable in some places and fail in others.
pub(super) fn check_place<T: Archive>(bytes: &[u8]) -> CodecResult<()> {
    const {
        let (size, align) = (size_of::<Archived<T>>(), align_of::<Archived<T>>());
        assert!(align <= ALIGN_MAX_BYTES, "messages begin at multiples of 16 bytes only");
        assert!(size > 0 || align == 1, "an archive without bytes has no address");
    }
    let root_bytes = size_of::<Archived<T>>();
    let root_is_aligned =
        bytes.len().checked_sub(root_bytes).is_some_and(|start| start.is_multiple_of(align_of::<Archived<T>>()));
    if root_is_aligned && is_aligned(bytes) {
        return Ok(());
    }
    let address = bytes.as_ptr().addr();
    Err(CodecError::decode(CODEC, bytes, Misplaced { len_bytes: bytes.len(), address, root_bytes }))
}

/// An empty slice is always aligned.
fn is_aligned(bytes: &[u8]) -> bool {
    bytes.is_empty() || bytes.as_ptr().addr().is_multiple_of(ALIGN_MAX_BYTES)
}

/// Makes a type with rkyv's derives a message that is read in place: `rkyv_message!(Step)`, or `rkyv_message!(Step =
/// "step/2")` to say under which name and version two programs agree on it.
///
/// Two programs compare that name and nothing else: give it another version when the fields change.
/// [`#[message(rkyv)]`](crate::codec::message) compares the fields themselves, and adds the derives; this macro is for
/// types whose traits are written by hand.
///
/// A program without a dependency on rkyv of its own adds `#[rkyv(crate = myelon::rkyv)]` to the type.
///
/// ```
/// use myelon::codec::{Codec, ZeroCopyCodec};
/// use myelon::rkyv::{self, Archive, Deserialize, Serialize};
///
/// #[derive(Debug, PartialEq, Archive, Serialize, Deserialize)]
/// #[rkyv(crate = myelon::rkyv)]
/// struct Step {
///     id: u64,
///     tokens: Vec<u32>,
/// }
///
/// myelon::rkyv_message!(Step);
/// assert_eq!(Step::type_tag().as_str(), "rkyv:Step/1");
///
/// let step = Step { id: 7, tokens: vec![1, 2, 3] };
/// let mut bytes = rkyv::util::AlignedVec::<16>::new();
/// bytes.resize(64, 0);
/// let len = step.encode(&mut Default::default(), &mut bytes)?;
/// let archived = Step::access(&bytes[..len])?;
/// assert_eq!(archived.id, 7);
/// assert_eq!(archived.tokens.as_slice(), [1, 2, 3]);
/// assert_eq!(Step::decode(&bytes[..len])?, step);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Source: RFC 0008, "rkyv".
#[macro_export]
macro_rules! rkyv_message {
    ($message:ty) => {
        $crate::rkyv_message!(@of $message, tag_of_type, ::core::stringify!($message));
    };
    ($message:ty = $name:expr) => {
        $crate::rkyv_message!(@of $message, tag, $name);
    };
    (@of $message:ty, $tag:ident, $name:expr) => {
        $crate::rkyv_message!(@codec {} { $message } {} {} $crate::codec::rkyv_support::$tag($name));
    };
    // What `#[message]` writes.
    (@described { $($parameters:tt)* } { $message:ty } { $($bounds:tt)* } { $($older:ty),* $(,)? }) => {
        $crate::rkyv_message!(@codec { $($parameters)* } { $message } { $($bounds)* } { $($older),* }
            $crate::codec::rkyv_support::tag_of_message::<Self>());
    };
    (@codec $parameters:tt { $message:ty } $bounds:tt { $($older:ty),* } $type_tag:expr) => {
        $crate::rkyv_message!(@impl $parameters [$crate::codec::Codec] { $message } $bounds {
            const CODEC: &'static str = $crate::codec::rkyv_support::CODEC;
            type Scratch = $crate::codec::rkyv_support::Scratch;

            fn type_tag() -> $crate::codec::TypeTag {
                $type_tag
            }

            fn older_versions() -> ::std::vec::Vec<$crate::codec::OlderVersion<Self>> {
                ::std::vec![$($crate::codec::OlderVersion::of::<$older>()),*]
            }

            fn encode(
                &self,
                scratch: &mut Self::Scratch,
                into: &mut [u8],
            ) -> ::core::result::Result<usize, $crate::codec::EncodeShort> {
                $crate::codec::rkyv_support::encode(self, scratch, into)
            }

            fn decode(bytes: &[u8]) -> $crate::codec::CodecResult<Self> {
                $crate::codec::rkyv_support::decode(bytes)
            }
        });
        $crate::rkyv_message!(@impl $parameters [$crate::codec::ZeroCopyCodec] { $message } $bounds {
            const ALIGN_BYTES: usize = $crate::codec::rkyv_support::ALIGN_MAX_BYTES;
            type Archived<'a> = &'a $crate::codec::rkyv_support::rkyv::Archived<Self>;

            fn access(bytes: &[u8]) -> $crate::codec::CodecResult<Self::Archived<'_>> {
                $crate::codec::rkyv_support::access::<Self>(bytes)
            }
        });
        $crate::rkyv_message!(@trusted $parameters { $message } $bounds { $($older),* });
    };
    (@trusted $parameters:tt { $message:ty } $bounds:tt {}) => {
        $crate::rkyv_message!(@impl $parameters [$crate::codec::trusted::TrustedCodec] { $message } $bounds {
            type Form = $crate::codec::trusted::RkyvForm;
        });
    };
    // A stream may carry an older version, whose bytes are not those of this type.
    (@trusted $parameters:tt { $message:ty } $bounds:tt { $($older:ty),+ }) => {};
    (@impl { $($parameters:tt)* } [$codec:path] { $message:ty } { $($bounds:tt)* } { $($items:tt)* }) => {
        impl $($parameters)* $codec for $message $($bounds)* {
            $($items)*
        }
    };
}
