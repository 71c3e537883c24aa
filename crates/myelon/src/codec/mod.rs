//! How a message becomes bytes, and bytes a message again.
//!
//! **Lives here:** what every codec does ([`Codec`], [`ZeroCopyCodec`]), what it says when it cannot ([`CodecError`]),
//! the name under which two programs agree on a type of message ([`TypeTag`]), and one module per codec. **Builds on:**
//! nothing of ours, so that codecs work over any bytes. **May touch it:** everybody.
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
//! The attribute adds the derives and puts a schema into the ring: two programs whose types differ in any field are
//! told which one when they attach. The macros compare a name and a version, for types whose traits are written by
//! hand.
//!
//! All of them write into bytes that the caller has claimed, and say how many they need ([`EncodeShort::Needs`]) when
//! those do not suffice. None of them trusts what it reads: bytes of a stranger give a [`CodecError`], however long
//! they claim to be and however deeply they are nested.

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

/// The parts of descriptions; the whole is in [`schema`](disruptor_mp::schema).
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
/// Counted are the things that a recursive type has to go through: in bincode and postcard options, enums, sequences
/// and maps; in rkyv everything behind a pointer; in flatbuffers tables. A stack of 2 MiB (Rust's default for threads)
/// suffices for 128 levels of ordinary types without optimisation, and no plain message comes near it. A message that
/// is nested more deeply can be encoded, but not received.
pub const MAX_NESTING: usize = 128;
