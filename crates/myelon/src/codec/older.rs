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
    /// The version whose type is `Old` in this program. It may have another codec than `T`.
    pub fn of<Old: Codec + Into<T>>() -> Self {
        Self { tag: Old::type_tag(), decode: |bytes| Old::decode(bytes).map(Into::into) }
    }

    /// The tag of a stream of this version.
    pub fn tag(&self) -> &TypeTag {
        &self.tag
    }

    /// Makes a `T` from exactly these bytes, which may have any content and any address.
    ///
    /// # Errors
    /// As [`Codec::decode`], when they are not a message of this version.
    #[cold]
    pub fn decode(&self, bytes: &[u8]) -> CodecResult<T> {
        (self.decode)(bytes)
    }
}

/// The tags of the older versions that a reader of `T` accepts.
pub(crate) fn older_tags<T: Codec>() -> Vec<String> {
    T::older_versions().into_iter().map(|version| version.tag.into()).collect()
}

/// The version of the ring that a reader of `T` has attached to; `None` if it is that of `T` itself.
pub(crate) fn older_version<T: Codec>(ring: Option<String>) -> Option<OlderVersion<T>> {
    let ring = ring.filter(|ring| T::type_tag().as_str() != ring)?;
    T::older_versions().into_iter().find(|version| version.tag.as_str() == ring)
}

/// Makes a `T` from a message of that version; `None` is the version of `T` itself.
#[inline(always)]
pub(crate) fn decode_as<T: Codec>(older: Option<&OlderVersion<T>>, bytes: &[u8]) -> CodecResult<T> {
    match older {
        None => T::decode(bytes),
        Some(version) => version.decode(bytes),
    }
}

/// The methods by which a message of the type `$type` tells its version: `$older` is its older version, if it has one.
macro_rules! says_its_version {
    ($type:ident, |$this:ident| $older:expr) => {
        /// The tag in the ring from which the message came: that of the type itself, or of the [older
        /// version](crate::codec::Codec::older_versions) that the message has. With it the bytes can be read later,
        /// whatever ring the consumer reads then.
        pub fn tag(&self) -> $crate::codec::TypeTag {
            let $this = self;
            $older.map_or_else($type::type_tag, |older| older.tag().clone())
        }

        /// Whether the message has one of the [older versions](crate::codec::Codec::older_versions) of its type.
        pub fn is_of_older_version(&self) -> bool {
            let $this = self;
            $older.is_some()
        }
    };
}
pub(crate) use says_its_version;

// This is written by hand: the derive would require `T: Clone`.
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
