//! Decoding with limits: memory and time stay in proportion to the bytes that are decoded.
//!
//! Lengths in a message may lie. A message of twenty bytes could claim that a text of an exabyte follows (the process
//! would abort), or a list of 2^60 elements of no bytes each (decoding would never return). It could also nest options
//! until the stack ends. Therefore every text and byte string is a slice of the bytes at hand and is copied from there,
//! every sequence is charged for its elements before the first is made, and every level of nesting that a recursive
//! type needs is counted. Numbers are not checked: their length is known.

use super::error::Cause;
use super::{CodecError, CodecResult, MAX_NESTING};
use serde::Deserialize;
use serde::de::value::U32Deserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor,
};
use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::marker::PhantomData;

/// How many elements without bytes (units, empty structs) the sequences of a message may have. Elements with bytes are
/// bounded by the bytes: each begins with one of its own.
const EMPTY_ELEMENTS_MAX: usize = 1 << 16;

/// A message's bytes, read from the front in the form of a codec.
///
/// A length is read from the bytes and may be wrong; a text or a byte string is a slice of the bytes that are left.
pub(super) trait Source<'de>: Sized {
    /// What the codec's library says of bytes that it cannot read.
    type Error: Error + Send + Sync + 'static;

    /// Takes everything that is left, and leaves this source empty.
    fn take(&mut self) -> Self;
    /// Bytes that are left.
    fn left_bytes(&self) -> usize;
    /// The length of a sequence or a map.
    fn elements(&mut self) -> Result<usize, Self::Error>;
    /// The number of a variant.
    fn variant(&mut self) -> Result<u32, Self::Error>;
    /// Whether an option is `Some`.
    fn is_some(&mut self) -> Result<bool, Self::Error>;
    fn str(&mut self) -> Result<&'de str, Self::Error>;
    fn bytes(&mut self) -> Result<&'de [u8], Self::Error>;
    fn bool(&mut self) -> Result<bool, Self::Error>;
    fn char(&mut self) -> Result<char, Self::Error>;
    fn u8(&mut self) -> Result<u8, Self::Error>;
    fn u16(&mut self) -> Result<u16, Self::Error>;
    fn u32(&mut self) -> Result<u32, Self::Error>;
    fn u64(&mut self) -> Result<u64, Self::Error>;
    fn u128(&mut self) -> Result<u128, Self::Error>;
    fn i8(&mut self) -> Result<i8, Self::Error>;
    fn i16(&mut self) -> Result<i16, Self::Error>;
    fn i32(&mut self) -> Result<i32, Self::Error>;
    fn i64(&mut self) -> Result<i64, Self::Error>;
    fn i128(&mut self) -> Result<i128, Self::Error>;
    fn f32(&mut self) -> Result<f32, Self::Error>;
    fn f64(&mut self) -> Result<f64, Self::Error>;
}

/// Decodes a message of `codec` from exactly these bytes, which `source` reads.
///
/// # Errors
/// As [`Codec::decode`](super::Codec::decode).
#[inline(always)]
pub(super) fn decode<'de, T: Deserialize<'de>, S: Source<'de>>(
    codec: &'static str,
    bytes: &'de [u8],
    mut source: S,
) -> CodecResult<T> {
    let limits = Limits::for_message(bytes.len());
    let decoder = Bounded { source: &mut source, limits: &limits, nesting_left: MAX_NESTING };
    let message = T::deserialize(decoder).map_err(|fault| CodecError::decode(codec, bytes, fault.into_cause()))?;
    match source.left_bytes() {
        0 => Ok(message),
        left => {
            let used_bytes = bytes.len() - left;
            Err(CodecError::decode(codec, bytes, TrailingBytes { used_bytes, len_bytes: bytes.len() }))
        }
    }
}

/// Bytes follow the message.
#[derive(Debug, thiserror::Error)]
#[error("the message ends after {used_bytes} of {len_bytes} bytes")]
struct TrailingBytes {
    used_bytes: usize,
    len_bytes: usize,
}

/// Why a message was not decoded. Callers box it, so that a number is returned in registers.
#[derive(Debug, thiserror::Error)]
enum Undecodable<E: Error> {
    #[error(transparent)]
    Library(E),
    /// A type's own implementation of serde's traits refuses what it was given.
    #[error("{0}")]
    Refused(String),
    #[error("a message of {len_bytes} bytes cannot have a sequence of {elements} elements")]
    Elements { elements: usize, len_bytes: usize },
    #[error("nested more than {MAX_NESTING} levels deep")]
    Nesting,
    #[error(
        "the type calls `{call}` of serde, which needs bytes that say what they contain; the bytes of this format do not"
    )]
    NotDescribed { call: &'static str },
}

impl<E: Error> serde::de::Error for Box<Undecodable<E>> {
    #[cold]
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::new(Undecodable::Refused(text.to_string()))
    }
}

impl<E: Error> From<E> for Box<Undecodable<E>> {
    #[cold]
    fn from(error: E) -> Self {
        Self::new(Undecodable::Library(error))
    }
}

impl<E: Error + Send + Sync + 'static> Undecodable<E> {
    /// The error of the library or of a type is the cause itself, without a wrapper.
    #[cold]
    fn into_cause(self) -> Cause {
        match self {
            Self::Library(error) => error.into(),
            Self::Refused(text) => text.into(),
            fault => fault.into(),
        }
    }
}

/// What one message may cost.
struct Limits {
    len_bytes: usize,
    elements_left: Cell<usize>,
}

impl Limits {
    fn for_message(len_bytes: usize) -> Self {
        Self { len_bytes, elements_left: Cell::new(len_bytes.saturating_add(EMPTY_ELEMENTS_MAX)) }
    }

    /// Charges for this many elements, before they are made.
    fn charge<E: Error>(&self, elements: usize) -> Result<(), Box<Undecodable<E>>> {
        match self.elements_left.get().checked_sub(elements) {
            Some(left) => {
                self.elements_left.set(left);
                Ok(())
            }
            None => Err(Undecodable::Elements { elements, len_bytes: self.len_bytes }.into()),
        }
    }
}

/// Reads one value and everything inside it.
struct Bounded<'a, S> {
    source: &'a mut S,
    limits: &'a Limits,
    nesting_left: usize,
}

impl<'de, S: Source<'de>> Bounded<'_, S> {
    /// One level deeper.
    #[inline]
    fn inside(mut self) -> Result<Self, Box<Undecodable<S::Error>>> {
        self.nesting_left = self.nesting_left.checked_sub(1).ok_or_else(|| Undecodable::Nesting)?;
        Ok(self)
    }
}

impl<'a, 'de, S: Source<'de>> Bounded<'a, S> {
    /// Hands the next `count` values to `visit`.
    #[inline]
    fn visit<T>(
        self,
        count: usize,
        visit: impl FnOnce(&mut Values<'a, 'de, S>) -> Result<T, Box<Undecodable<S::Error>>>,
    ) -> Result<T, Box<Undecodable<S::Error>>> {
        let Self { source, limits, nesting_left } = self;
        let mut values = Values { source: source.take(), limits, nesting_left, left: count, bytes: PhantomData };
        let visited = visit(&mut values);
        *source = values.source;
        visited
    }

    /// Hands the values of a sequence or a map to `visit`; its length is read from the bytes.
    #[inline]
    fn visit_elements<T>(
        self,
        visit: impl FnOnce(&mut Values<'a, 'de, S>) -> Result<T, Box<Undecodable<S::Error>>>,
    ) -> Result<T, Box<Undecodable<S::Error>>> {
        let inside = self.inside()?;
        let elements = inside.source.elements()?;
        inside.limits.charge(elements)?;
        inside.visit(elements, visit)
    }
}

/// Values that are read one after the other.
///
/// The rest of the bytes is moved here meanwhile, where the compiler can keep it in registers from one number to the
/// next. It is moved back when the visitor returns.
struct Values<'a, 'de, S: Source<'de>> {
    source: S,
    limits: &'a Limits,
    nesting_left: usize,
    /// How many come.
    left: usize,
    bytes: PhantomData<&'de [u8]>,
}

impl<'de, S: Source<'de>> Values<'_, 'de, S> {
    #[inline]
    fn next(&mut self) -> Bounded<'_, S> {
        Bounded { source: &mut self.source, limits: self.limits, nesting_left: self.nesting_left }
    }

    /// A visitor reserves memory by this hint, so it is at most one element for each byte that is left.
    #[inline]
    fn hint(&self) -> usize {
        self.left.min(self.source.left_bytes())
    }
}

/// Values as serde's visitors take them.
struct Each<'v, 'a, 'de, S: Source<'de>>(&'v mut Values<'a, 'de, S>);

// Always inlined: a call for each number costs more than the number, and the rest of the bytes would go through memory.

impl<'de, S: Source<'de>> SeqAccess<'de> for Each<'_, '_, 'de, S> {
    type Error = Box<Undecodable<S::Error>>;

    #[inline(always)]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Self::Error> {
        if self.0.left == 0 {
            return Ok(None);
        }
        self.0.left -= 1;
        seed.deserialize(self.0.next()).map(Some)
    }

    #[inline(always)]
    fn next_element<T: Deserialize<'de>>(&mut self) -> Result<Option<T>, Self::Error> {
        self.next_element_seed(PhantomData)
    }

    #[inline(always)]
    fn size_hint(&self) -> Option<usize> {
        Some(self.0.hint())
    }
}

impl<'de, S: Source<'de>> MapAccess<'de> for Each<'_, '_, 'de, S> {
    type Error = Box<Undecodable<S::Error>>;

    #[inline]
    fn next_key_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Self::Error> {
        self.next_element_seed(seed)
    }

    #[inline]
    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Self::Error> {
        seed.deserialize(self.0.next())
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.0.hint())
    }
}

/// Values whose length follows from their type: they need no check except that the bytes suffice.
macro_rules! values {
    ($($deserialize:ident $read:ident $visit:ident)*) => {$(
        #[inline]
        fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
            visitor.$visit(self.source.$read()?)
        }
    )*};
}

/// What could be decoded only if the bytes described themselves, which they do not.
macro_rules! not_described {
    ($($deserialize:ident)*) => {$(
        #[cold]
        fn $deserialize<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Self::Error> {
            Err(Undecodable::NotDescribed { call: stringify!($deserialize) }.into())
        }
    )*};
}

impl<'de, S: Source<'de>> Deserializer<'de> for Bounded<'_, S> {
    type Error = Box<Undecodable<S::Error>>;

    values! {
        deserialize_bool bool visit_bool
        deserialize_char char visit_char
        deserialize_u8 u8 visit_u8
        deserialize_u16 u16 visit_u16
        deserialize_u32 u32 visit_u32
        deserialize_u64 u64 visit_u64
        deserialize_u128 u128 visit_u128
        deserialize_i8 i8 visit_i8
        deserialize_i16 i16 visit_i16
        deserialize_i32 i32 visit_i32
        deserialize_i64 i64 visit_i64
        deserialize_i128 i128 visit_i128
        deserialize_f32 f32 visit_f32
        deserialize_f64 f64 visit_f64
        // A caller that wants an owned value copies the slice, and reserves no more than its length.
        deserialize_str str visit_borrowed_str
        deserialize_string str visit_borrowed_str
        deserialize_bytes bytes visit_borrowed_bytes
        deserialize_byte_buf bytes visit_borrowed_bytes
    }

    not_described! { deserialize_any deserialize_identifier deserialize_ignored_any }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        let inside = self.inside()?;
        if inside.source.is_some()? { visitor.visit_some(inside) } else { visitor.visit_none() }
    }

    #[inline]
    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_unit()
    }

    #[inline]
    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_unit()
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.visit_elements(|values| visitor.visit_seq(Each(values)))
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.visit_elements(|values| visitor.visit_map(Each(values)))
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Self::Error> {
        self.visit(len, |values| visitor.visit_seq(Each(values)))
    }

    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.deserialize_tuple(len, visitor)
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.deserialize_tuple(fields.len(), visitor)
    }

    #[inline]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_enum(self.inside()?)
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }
}

impl<'de, S: Source<'de>> EnumAccess<'de> for Bounded<'_, S> {
    type Error = Box<Undecodable<S::Error>>;
    type Variant = Self;

    #[inline]
    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self), Self::Error> {
        let variant: U32Deserializer<Self::Error> = self.source.variant()?.into_deserializer();
        Ok((seed.deserialize(variant)?, self))
    }
}

impl<'de, S: Source<'de>> VariantAccess<'de> for Bounded<'_, S> {
    type Error = Box<Undecodable<S::Error>>;

    #[inline]
    fn unit_variant(self) -> Result<(), Self::Error> {
        Ok(())
    }

    #[inline]
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Self::Error> {
        seed.deserialize(self)
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Self::Error> {
        self.deserialize_tuple(len, visitor)
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.deserialize_tuple(fields.len(), visitor)
    }
}
