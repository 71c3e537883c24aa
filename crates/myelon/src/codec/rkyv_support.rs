//! Messages that are read as rkyv archives, where they lie.
//!
//! **Lives here:** [`rkyv_message!`](crate::rkyv_message) and what it expands to. **Builds on:** rkyv 0.8. **May touch it:** the macro.
//!
//! The archive is written straight into the claimed bytes. What rkyv has to remember while it does so (where the parts of a list were
//! put) lies in an arena that the sender keeps.

use super::{ClaimedBytes, CodecError, CodecResult, EncodeShort, MAX_NESTING, TypeTag};
use rkyv::api::{access_with_context, high, serialize_using};
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor::Error;
use rkyv::rend::unaligned::{u16_ube, u16_ule, u32_ube, u32_ule, u64_ube, u64_ule};
use rkyv::rend::{u16_be, u16_le, u32_be, u32_le, u64_be, u64_le};
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

pub use rkyv;

/// The codec's name.
pub const CODEC: &str = "rkyv";

/// Every message begins at a multiple of this, so an archive may ask for as much.
pub const ALIGN_MAX_BYTES: usize = 16;

/// How a message writes itself: into claimed bytes, with an arena, and with a list of what several parts of the message share.
pub type Encoder<'a> = high::HighSerializer<ClaimedBytes<'a>, ArenaHandle<'a>, Error>;

/// How an archive is checked.
pub type Checker<'a> = high::HighValidator<'a, Error>;

/// How an archive becomes a message.
pub type Decoder = high::HighDeserializer<Error>;

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

/// The bytes lie where no archive of this type can lie.
#[derive(Debug, thiserror::Error)]
#[error("an archive of {root_bytes} bytes or more, aligned to {align_bytes}, cannot lie at address {address:#x}")]
struct Misplaced {
    root_bytes: usize,
    align_bytes: usize,
    address: usize,
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
    let said = serialize_using::<_, Error>(message, &mut encoder);
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
    // With a bound for the depth: an archive may be a list in which each element points to the next, and is checked by recursion.
    let archive = ArchiveValidator::with_max_depth(bytes, NonZeroUsize::new(MAX_NESTING));
    let mut checker = Validator::new(archive, SharedValidator::new());
    access_with_context::<Archived<T>, _, Error>(bytes, &mut checker)
        .map_err(|cause| CodecError::decode(CODEC, bytes, cause))
}

/// Makes a message of exactly these bytes, wherever they lie.
///
/// # Errors
/// As [`Codec::decode`](super::Codec::decode).
pub fn decode<T>(bytes: &[u8]) -> CodecResult<T>
where
    T: Archive<Archived: for<'a> CheckBytes<Checker<'a>> + Deserialize<T, Decoder>>,
{
    if !bytes.as_ptr().addr().is_multiple_of(align_of::<Archived<T>>()) {
        let mut aligned = AlignedVec::<ALIGN_MAX_BYTES>::with_capacity(bytes.len());
        aligned.extend_from_slice(bytes);
        return decode(&aligned);
    }
    rkyv::deserialize::<T, Error>(access::<T>(bytes)?).map_err(|cause| CodecError::decode(CODEC, bytes, cause))
}

/// Whether length and address permit an archive: what even trusted bytes are asked.
pub(super) fn check_place<T: Archive>(bytes: &[u8]) -> CodecResult<()> {
    const { assert!(align_of::<Archived<T>>() <= ALIGN_MAX_BYTES, "messages begin at multiples of 16 bytes only") };
    let (root_bytes, align_bytes) = (size_of::<Archived<T>>(), align_of::<Archived<T>>());
    let address = bytes.as_ptr().addr();
    let is_possible = address.is_multiple_of(align_bytes)
        && bytes.len().checked_sub(root_bytes).is_some_and(|root_start| root_start.is_multiple_of(align_bytes));
    if is_possible {
        Ok(())
    } else {
        Err(CodecError::decode(CODEC, bytes, Misplaced { root_bytes, align_bytes, address }))
    }
}

/// What rkyv's own features make of its format. They are switched on for a whole program, perhaps by a crate that knows nothing of
/// ours, and two programs may differ in them.
trait Dialect {
    const SUFFIX: &'static str;
}

macro_rules! dialects {
    ($($offset:ident $suffix:literal)*) => {$(
        impl Dialect for $offset {
            const SUFFIX: &'static str = $suffix;
        }
    )*};
}

dialects! {
    u16_le "-16" u32_le "" u64_le "-64"
    u16_be "-be-16" u32_be "-be" u64_be "-be-64"
    u16_ule "-unaligned-16" u32_ule "-unaligned" u64_ule "-unaligned-64"
    u16_ube "-unaligned-be-16" u32_ube "-unaligned-be" u64_ube "-unaligned-be-64"
}

fn dialect() -> String {
    format!("{CODEC}{}", <rkyv::primitive::ArchivedUsize as Dialect>::SUFFIX)
}

/// The tag of a message with this name and version.
pub fn tag(name: &str) -> TypeTag {
    TypeTag::new(&dialect(), name)
}

/// The tag of a message that has no name of its own.
#[doc(hidden)]
pub fn tag_of_type(type_text: &str) -> TypeTag {
    TypeTag::of_type(&dialect(), type_text)
}

/// Makes a type with rkyv's derives a message that is read in place: `rkyv_message!(Step)`, or `rkyv_message!(Step = "step/2")` to say
/// under which name and version two programs agree on it.
///
/// A program without a dependency on rkyv of its own adds `#[rkyv(crate = myelon::codec::rkyv_support::rkyv)]` to the type.
///
/// ```
/// use myelon::codec::rkyv_support::rkyv;
/// use myelon::codec::{Codec, ZeroCopyCodec};
/// use rkyv::{Archive, Deserialize, Serialize};
///
/// #[derive(Debug, PartialEq, Archive, Serialize, Deserialize)]
/// #[rkyv(crate = myelon::codec::rkyv_support::rkyv)]
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
        impl $crate::codec::Codec for $message {
            const CODEC: &'static str = $crate::codec::rkyv_support::CODEC;
            type Scratch = $crate::codec::rkyv_support::Scratch;

            fn type_tag() -> $crate::codec::TypeTag {
                $crate::codec::rkyv_support::$tag($name)
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
        }

        impl $crate::codec::ZeroCopyCodec for $message {
            type Archived<'a> = &'a $crate::codec::rkyv_support::rkyv::Archived<Self>;

            fn access(bytes: &[u8]) -> $crate::codec::CodecResult<Self::Archived<'_>> {
                $crate::codec::rkyv_support::access::<Self>(bytes)
            }
        }

        impl $crate::codec::trusted::TrustedCodec for $message {
            type Form = $crate::codec::trusted::RkyvForm;
        }
    };
}
