//! Older versions of a message that a reader accepts.
//!
//! `#[message]` writes a list of them. Readers of streams and of topologies choose one when they attach.

use super::{Codec, CodecResult, TypeTag};
use std::fmt;

/// An older version of `T`: what a stream of it carries, and how its messages become values of `T`.
///
/// Source: RFC 0015, "Versions".
pub struct OlderVersion<T> {
    tag: TypeTag,
    decode: fn(&[u8]) -> CodecResult<T>,
}

impl<T> OlderVersion<T> {
    /// The version that has the type `Old` here. It may have another codec than `T`.
    pub fn of<Old: Codec + Into<T>>() -> Self {
        Self { tag: Old::type_tag(), decode: |bytes| Old::decode(bytes).map(Into::into) }
    }

    /// What a stream of this version carries.
    pub fn tag(&self) -> &TypeTag {
        &self.tag
    }

    /// Makes a `T` of exactly these bytes, which may be anything and lie anywhere.
    ///
    /// # Errors
    /// As [`Codec::decode`], when they are not a message of this version.
    #[cold]
    pub fn decode(&self, bytes: &[u8]) -> CodecResult<T> {
        (self.decode)(bytes)
    }
}

/// What the streams of the older versions carry that a reader of `T` takes.
pub(crate) fn older_tags<T: Codec>() -> Vec<String> {
    T::older_versions().into_iter().map(|version| version.tag.into()).collect()
}

/// The version that a ring has which a reader of `T` has attached to, if it is not that of `T` itself.
pub(crate) fn older_version<T: Codec>(ring: Option<String>) -> Option<OlderVersion<T>> {
    let ring = ring.filter(|ring| T::type_tag().as_str() != ring)?;
    T::older_versions().into_iter().find(|version| version.tag.as_str() == ring)
}

/// Makes a `T` of a message of that version; `None`: that of `T` itself.
#[inline(always)]
pub(crate) fn decode_as<T: Codec>(older: Option<&OlderVersion<T>>, bytes: &[u8]) -> CodecResult<T> {
    match older {
        None => T::decode(bytes),
        Some(version) => version.decode(bytes),
    }
}

/// What a message of the type `$type` says of its version: `$older` is the older one that it is of, if it is.
macro_rules! says_its_version {
    ($type:ident, |$this:ident| $older:expr) => {
        /// What the ring that the message came in says of its messages: the tag of the type itself, or that of the
        /// [older version](crate::codec::Codec::older_versions) of which this one is. By it the bytes can be read
        /// later, whatever ring its consumer reads by then.
        pub fn tag(&self) -> $crate::codec::TypeTag {
            let $this = self;
            $older.map_or_else($type::type_tag, |older| older.tag().clone())
        }

        /// Whether it is of one of the [older versions](crate::codec::Codec::older_versions) of its type.
        pub fn is_of_older_version(&self) -> bool {
            let $this = self;
            $older.is_some()
        }
    };
}
pub(crate) use says_its_version;

// By hand: derived, it would ask for a `T` that can be cloned.
impl<T> Clone for OlderVersion<T> {
    fn clone(&self) -> Self {
        Self { tag: self.tag.clone(), decode: self.decode }
    }
}

impl<T> fmt::Debug for OlderVersion<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OlderVersion").field("tag", &self.tag).finish_non_exhaustive()
    }
}
