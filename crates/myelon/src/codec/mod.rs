//! How a message becomes bytes, and bytes a message again.
//!
//! Codecs work over any bytes: nothing here uses the rest of myelon.
//!
//! A type becomes a message with one line, which names the codec:
//!
//! | line | feature | the type has | read in place as | whole message copied |
//! |---|---|---|---|---|
//! | [`#[message]`](message), `bincode_message!` | `bincode` (default) | serde's derives | - | when decoding |
//! | [`#[message(postcard)]`](message), `postcard_message!` | `postcard` | serde's derives | - | when decoding |
//! | [`#[message(rkyv)]`](message), `rkyv_message!` | `rkyv` | rkyv's derives | its archive | never |
//! | `flatbuffers_message!` | `flatbuffers` | generated code with the object API | its table | once, when encoding |
//!
//! The attribute adds the derives and puts a schema into the ring: two programs whose types differ are told the first
//! field that differs when they attach. The macros are for types whose traits are written by hand; they compare a name
//! and a version.
//!
//! All of them write into bytes that the caller has claimed, and say how many they need ([`EncodeShort::Needs`]) when
//! those do not suffice. None of them trusts what it reads: invalid bytes give a [`CodecError`], whatever lengths they
//! claim and however deeply they are nested.

mod attribute;
#[cfg(feature = "bincode")]
pub mod bincode_support;
#[cfg(any(feature = "bincode", feature = "postcard"))]
mod bounded;
mod claimed;
mod error;
#[cfg(feature = "flatbuffers")]
pub mod flatbuf_support;
mod message;
mod off;
mod older;
#[cfg(feature = "postcard")]
pub mod postcard_support;
#[cfg(feature = "rkyv")]
pub mod rkyv_support;
#[cfg(any(feature = "bincode", feature = "postcard"))]
mod serde_message;
mod tag;
#[allow(unsafe_code, reason = "reads archives that are not validated")]
pub mod trusted;

/// The traits of descriptions; the rest is in [`schema`](disruptor_mp::schema).
pub use disruptor_mp::schema::{Described, Types};

pub use attribute::{Rkyv, Serde, message};
pub use claimed::{ClaimedBytes, Full};
pub use error::{Cause, CodecError, CodecResult, EncodeShort};
pub use message::{Codec, ZeroCopyCodec};
pub use older::OlderVersion;
pub(crate) use older::{decode_as, older_tags, older_version, says_its_version};
#[cfg(any(feature = "bincode", feature = "postcard"))]
pub use serde_message::{CanDeserialize, CanSerialize};
pub use tag::TypeTag;

/// How deeply a message may be nested: the recursion of a decoder ends here, before the stack does.
///
/// It counts the levels that a recursive type needs: options, enums, sequences and maps in bincode and postcard,
/// pointers in rkyv, tables in flatbuffers. A stack of 2 MiB (Rust's default for threads) suffices for 128 levels of
/// ordinary types without optimisation, and no plain message comes near it. A message that is nested more deeply can be
/// encoded, but not received.
pub const MAX_NESTING: usize = 128;
