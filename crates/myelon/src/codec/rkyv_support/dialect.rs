//! The forms in which rkyv may have been built, as a part of the type's tag.
//!
//! Byte order, alignment and the width of offsets are features of rkyv. Features are switched on for a whole program,
//! perhaps by a crate that does not know about myelon. Two programs that differ in them cannot read each other's
//! archives, so they get different tags.

use super::CODEC;
use crate::codec::{Described, Rkyv, TypeTag};
use rkyv::primitive::ArchivedUsize;
use rkyv::rend::unaligned::{u16_ube, u16_ule, u32_ube, u32_ule, u64_ube, u64_ule};
use rkyv::rend::{u16_be, u16_le, u32_be, u32_le, u64_be, u64_le};

trait Dialect {
    /// Empty for the form that rkyv has without any of these features.
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
    u16_le "-16"            u32_le ""              u64_le "-64"
    u16_be "-be-16"         u32_be "-be"           u64_be "-be-64"
    u16_ule "-packed-16"    u32_ule "-packed"      u64_ule "-packed-64"
    u16_ube "-packed-be-16" u32_ube "-packed-be"   u64_ube "-packed-be-64"
}

fn dialect() -> String {
    format!("{CODEC}{}", ArchivedUsize::SUFFIX)
}

/// The tag of a message with this name and version.
///
/// # Panics
/// As [`TypeTag::new`].
pub fn tag(name: &str) -> TypeTag {
    TypeTag::new(&dialect(), name)
}

/// The tag of a message that has no name of its own.
#[doc(hidden)]
pub fn tag_of_type(type_text: &str) -> TypeTag {
    TypeTag::of_type(&dialect(), type_text)
}

/// The tag of a message that `#[message(rkyv)]` describes.
#[doc(hidden)]
pub fn tag_of_message<T: Described<Rkyv>>() -> TypeTag {
    TypeTag::of_message::<Rkyv, T>(&dialect())
}
