//! Messages that are flatbuffers tables, read in place.
//!
//! A table is built from its end to its beginning, so it cannot be written into claimed bytes before its length is
//! known. It is built in a buffer that the sender keeps, and copied once. Scalars are read at any address.
//!
//! The code is what flatbuffers' compiler generates with `--gen-object-api`.

use super::{CodecError, CodecResult, EncodeShort, MAX_NESTING};
use flatbuffers::{FlatBufferBuilder, Follow, InvalidFlatbuffer, Verifiable, VerifierOptions, WIPOffset};
use std::fmt;

pub use flatbuffers;

/// The codec's name.
pub const CODEC: &str = "flatbuffers";

/// The shortest finished buffer: the offset of its root.
const ROOT_OFFSET_LEN_BYTES: usize = 4;

/// How often verification may read a byte on average. A tree is read once, its offsets and field tables a second time,
/// and tables of few fields may share a field table that is longer than they are. A part to which several parts of a
/// message refer is read once for each reference (and copied, when the table becomes an object). A hostile message can
/// use that to become a thousand times as large as its bytes.
const READS_PER_BYTE_MAX: usize = 32;

/// How many bytes verification may read in any message, however short.
const READS_MIN_BYTES: usize = 4096;

/// What encoding keeps from one message to the next.
#[derive(Default)]
pub struct Scratch {
    builder: FlatBufferBuilder<'static>,
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch").finish_non_exhaustive()
    }
}

/// There are fewer bytes than any table has.
#[derive(Debug, thiserror::Error)]
#[error("{len_bytes} bytes are no table, which has at least {ROOT_OFFSET_LEN_BYTES}")]
struct TooShort {
    len_bytes: usize,
}

/// The verifier's error, in one line.
#[derive(Debug)]
struct Refused(InvalidFlatbuffer);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        f.write_str(lines.next().unwrap_or_default())?;
        lines.try_for_each(|line| write!(f, ", {line}"))
    }
}

impl std::error::Error for Refused {}

/// Lets `pack` build a table, and copies it to the front of `into`.
///
/// # Errors
/// [`EncodeShort::Needs`] when it is longer than `into`; nothing else can go wrong.
///
/// # Panics
/// The builder of flatbuffers panics when a table exceeds 2 GiB.
pub fn encode<Root>(
    scratch: &mut Scratch,
    into: &mut [u8],
    pack: impl FnOnce(&mut FlatBufferBuilder<'static>) -> WIPOffset<Root>,
) -> Result<usize, EncodeShort> {
    let builder = &mut scratch.builder;
    builder.reset();
    let root = pack(builder);
    builder.finish(root, None);
    let finished = builder.finished_data();
    let len_bytes = finished.len();
    into.get_mut(..len_bytes).ok_or(EncodeShort::Needs { len_bytes })?.copy_from_slice(finished);
    Ok(len_bytes)
}

/// Verifies everything that can be reached, and then reads it in place.
///
/// # Errors
/// As [`ZeroCopyCodec::access`](super::ZeroCopyCodec::access), except that every address is valid.
pub fn access<'a, Root>(bytes: &'a [u8]) -> CodecResult<Root::Inner>
where
    Root: Follow<'a> + Verifiable + 'a,
{
    check_place(bytes)?;
    let reads_max = bytes.len().saturating_mul(READS_PER_BYTE_MAX).max(READS_MIN_BYTES);
    let limits = VerifierOptions {
        max_depth: MAX_NESTING,
        max_tables: reads_max / ROOT_OFFSET_LEN_BYTES,
        max_apparent_size: reads_max,
        ignore_missing_null_terminator: false,
    };
    flatbuffers::root_with_opts::<Root>(&limits, bytes)
        .map_err(|cause| CodecError::decode(CODEC, bytes, Refused(cause)))
}

/// Whether the length permits a table. Trusted bytes are checked for this too.
pub(super) fn check_place(bytes: &[u8]) -> CodecResult<()> {
    if bytes.len() < ROOT_OFFSET_LEN_BYTES {
        return Err(CodecError::decode(CODEC, bytes, TooShort { len_bytes: bytes.len() }));
    }
    Ok(())
}

/// Makes a generated object a message that is read in place as its table: `flatbuffers_message!(StepT as Step)`, or
/// `flatbuffers_message!(StepT as Step = "step/2")` to say under which name and version two programs agree on it
/// (otherwise the table's).
///
/// `StepT` and `Step<'a>` are what `flatc --rust --gen-object-api` makes of `table Step`; used are `StepT::pack`,
/// `Step::unpack` and flatbuffers' `Follow` and `Verifiable` of `Step`.
///
/// ```ignore
/// mod step_generated; // written by flatc
/// use step_generated::{Step, StepT};
///
/// myelon::flatbuffers_message!(StepT as Step);
/// ```
///
/// Source: RFC 0008, "flatbuffers".
#[macro_export]
macro_rules! flatbuffers_message {
    ($message:ty as $table:ident) => {
        $crate::flatbuffers_message!(@of $message, $table, of_type, ::core::stringify!($table));
    };
    ($message:ty as $table:ident = $name:expr) => {
        $crate::flatbuffers_message!(@of $message, $table, new, $name);
    };
    (@of $message:ty, $table:ident, $tag:ident, $name:expr) => {
        impl $crate::codec::Codec for $message {
            const CODEC: &'static str = $crate::codec::flatbuf_support::CODEC;
            type Scratch = $crate::codec::flatbuf_support::Scratch;

            fn type_tag() -> $crate::codec::TypeTag {
                $crate::codec::TypeTag::$tag(Self::CODEC, $name)
            }

            fn encode(
                &self,
                scratch: &mut Self::Scratch,
                into: &mut [u8],
            ) -> ::core::result::Result<usize, $crate::codec::EncodeShort> {
                $crate::codec::flatbuf_support::encode(scratch, into, |builder| self.pack(builder))
            }

            fn decode(bytes: &[u8]) -> $crate::codec::CodecResult<Self> {
                ::core::result::Result::Ok(<Self as $crate::codec::ZeroCopyCodec>::access(bytes)?.unpack())
            }
        }

        impl $crate::codec::ZeroCopyCodec for $message {
            const ALIGN_BYTES: usize = 1;
            type Archived<'a> = $table<'a>;

            fn access(bytes: &[u8]) -> $crate::codec::CodecResult<$table<'_>> {
                $crate::codec::flatbuf_support::access::<$table<'_>>(bytes)
            }
        }

        impl $crate::codec::trusted::TrustedCodec for $message {
            type Form = $crate::codec::trusted::FlatbufForm;
        }
    };
}
