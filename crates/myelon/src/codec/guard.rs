//! Decoding that cannot be made to take more than the bytes are worth.
//!
//! **Lives here:** [`Limits`], and a layer around serde's traits that enforces them; [`TrailingBytes`]. **Builds on:**
//! serde. **May touch it:** `decode` of the codecs for serde's types.
//!
//! bincode and postcard believe lengths. A message of twenty bytes could say that a text of an exabyte follows (the
//! process aborts), that a list has 2^60 elements of no bytes each (it never returns), or could nest options until the
//! stack ends. So every text and byte string is asked for as a slice of what is there and copied from that, every
//! sequence is charged for its elements before the first is made, and every step into something that a recursive type
//! has to pass is counted.

use super::MAX_NESTING;
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor};
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

/// How many elements without bytes (units, empty structs) the sequences of a message may have. Elements with bytes are
/// bounded by the bytes: each begins with one of its own.
const EMPTY_ELEMENTS_MAX: usize = 1 << 16;

/// Bytes follow the message.
#[derive(Debug, thiserror::Error)]
#[error("the message ends after {used_bytes} of {len_bytes} bytes")]
pub(super) struct TrailingBytes {
    pub(super) used_bytes: usize,
    pub(super) len_bytes: usize,
}

/// Why a message was not decoded although its codec would have gone on.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(super) enum Exceeded {
    #[error("a sequence of {elements} elements in a message of {len_bytes} bytes")]
    Elements { elements: usize, len_bytes: usize },
    #[error("a sequence of more elements than a message of {len_bytes} bytes may have")]
    ElementsNotSaid { len_bytes: usize },
    #[error("nested more than {MAX_NESTING} levels deep")]
    Nesting,
}

/// What one message may cost.
pub(super) struct Limits {
    len_bytes: usize,
    elements_left: Cell<usize>,
    exceeded: Cell<Option<Exceeded>>,
}

impl Limits {
    pub(super) fn for_message(len_bytes: usize) -> Self {
        let elements_left = Cell::new(len_bytes.saturating_add(EMPTY_ELEMENTS_MAX));
        Self { len_bytes, elements_left, exceeded: Cell::new(None) }
    }

    /// Deserialises a `T` under these limits.
    pub(super) fn seed<T>(&self) -> Guarded<'_, PhantomData<T>> {
        Guarded { inner: PhantomData, limits: self, nesting_left: MAX_NESTING }
    }

    fn charge<E: Error>(&self, elements: usize) -> Result<(), E> {
        let exceeded = || self.refuse(Exceeded::Elements { elements, len_bytes: self.len_bytes });
        self.elements_left.set(self.elements_left.get().checked_sub(elements).ok_or_else(exceeded)?);
        Ok(())
    }

    #[cold]
    fn refuse<E: Error>(&self, exceeded: Exceeded) -> E {
        self.exceeded.set(Some(exceeded));
        E::custom(exceeded)
    }

    /// Which of the limits ended the decoding, for codecs that lose the text of the error that we make.
    #[cfg(feature = "postcard")]
    pub(super) fn exceeded(&self) -> Option<Exceeded> {
        self.exceeded.get()
    }
}

/// One of serde's actors, with limits. Whatever is handed through it comes out guarded as well.
pub(super) struct Guarded<'g, X> {
    inner: X,
    limits: &'g Limits,
    nesting_left: usize,
}

impl<'g, X> Guarded<'g, X> {
    fn around<Y>(&self, inner: Y) -> Guarded<'g, Y> {
        Guarded { inner, limits: self.limits, nesting_left: self.nesting_left }
    }

    /// One level further in.
    fn inside<Y, E: Error>(&self, inner: Y) -> Result<Guarded<'g, Y>, E> {
        let nesting_left = self.nesting_left.checked_sub(1).ok_or_else(|| self.limits.refuse(Exceeded::Nesting))?;
        Ok(Guarded { inner, limits: self.limits, nesting_left })
    }
}

/// A visitor of sequences and maps whose lengths stand in the bytes.
struct Counted<'g, V>(Guarded<'g, V>);

impl<'de, T: DeserializeSeed<'de>> DeserializeSeed<'de> for Guarded<'_, T> {
    type Value = T::Value;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T::Value, D::Error> {
        let guarded = Guarded { inner: deserializer, limits: self.limits, nesting_left: self.nesting_left };
        self.inner.deserialize(guarded)
    }
}

/// Methods that are handed on as they are: numbers and the like, which cost what they take from the bytes.
macro_rules! plain {
    ($($method:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$method(visitor)
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Guarded<'_, D> {
    type Error = D::Error;

    plain! {
        deserialize_bool
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64 deserialize_char
        deserialize_str deserialize_bytes deserialize_unit
        // The codecs refuse these.
        deserialize_any deserialize_identifier deserialize_ignored_any
    }

    // Asked for a `String`, bincode makes one of the length that the bytes state. Asked for a `&str`, either looks what
    // is there.
    #[inline]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_str(visitor)
    }

    #[inline]
    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_bytes(visitor)
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let visitor = self.inside(visitor)?;
        self.inner.deserialize_option(visitor)
    }

    #[inline]
    fn deserialize_unit_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_unit_struct(name, visitor)
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, D::Error> {
        let visitor = self.around(visitor);
        self.inner.deserialize_newtype_struct(name, visitor)
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let visitor = Counted(self.inside(visitor)?);
        self.inner.deserialize_seq(visitor)
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, D::Error> {
        let visitor = self.around(visitor);
        self.inner.deserialize_tuple(len, visitor)
    }

    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = self.around(visitor);
        self.inner.deserialize_tuple_struct(name, len, visitor)
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let visitor = Counted(self.inside(visitor)?);
        self.inner.deserialize_map(visitor)
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = self.around(visitor);
        self.inner.deserialize_struct(name, fields, visitor)
    }

    #[inline]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = self.inside(visitor)?;
        self.inner.deserialize_enum(name, variants, visitor)
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Guarded<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    #[inline]
    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    #[inline]
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        let guarded = self.around(deserializer);
        self.inner.visit_some(guarded)
    }

    #[inline]
    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        let guarded = self.around(deserializer);
        self.inner.visit_newtype_struct(guarded)
    }

    #[inline]
    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let guarded = self.around(access);
        self.inner.visit_seq(guarded)
    }

    #[inline]
    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let guarded = self.around(access);
        self.inner.visit_enum(guarded)
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Counted<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.inner.expecting(f)
    }

    #[inline]
    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        match access.size_hint() {
            Some(elements) => self.0.limits.charge(elements)?,
            // postcard does not say how many there are if they are more than the bytes that are left.
            None => {
                let limits = self.0.limits;
                return self.0.visit_seq(OneByOne { access, limits });
            }
        }
        self.0.visit_seq(access)
    }

    #[inline]
    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        self.0.limits.charge(access.size_hint().unwrap_or(usize::MAX))?;
        let guarded = self.0.around(access);
        self.0.inner.visit_map(guarded)
    }
}

/// A sequence whose length is not said: each element is charged for when it comes.
struct OneByOne<'g, A> {
    access: A,
    limits: &'g Limits,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for OneByOne<'_, A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, A::Error> {
        let exceeded = || self.limits.refuse(Exceeded::ElementsNotSaid { len_bytes: self.limits.len_bytes });
        self.limits.elements_left.set(self.limits.elements_left.get().checked_sub(1).ok_or_else(exceeded)?);
        self.access.next_element_seed(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        self.access.size_hint()
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Guarded<'_, A> {
    type Error = A::Error;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, A::Error> {
        let guarded = self.around(seed);
        self.inner.next_element_seed(guarded)
    }

    // What is reserved in advance because of this is at most one element per byte of the message.
    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint().map(|elements| elements.min(self.limits.len_bytes))
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Guarded<'_, A> {
    type Error = A::Error;

    #[inline]
    fn next_key_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, A::Error> {
        let guarded = self.around(seed);
        self.inner.next_key_seed(guarded)
    }

    #[inline]
    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        let guarded = self.around(seed);
        self.inner.next_value_seed(guarded)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint().map(|entries| entries.min(self.limits.len_bytes))
    }
}

impl<'de, 'g, A: EnumAccess<'de>> EnumAccess<'de> for Guarded<'g, A> {
    type Error = A::Error;
    type Variant = Guarded<'g, A::Variant>;

    #[inline]
    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self::Variant), A::Error> {
        // The number of the variant; nothing is nested in it.
        let Self { inner, limits, nesting_left } = self;
        let (variant, content) = inner.variant_seed(seed)?;
        Ok((variant, Guarded { inner: content, limits, nesting_left }))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Guarded<'_, A> {
    type Error = A::Error;

    #[inline]
    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    #[inline]
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, A::Error> {
        let guarded = self.around(seed);
        self.inner.newtype_variant_seed(guarded)
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        let guarded = self.around(visitor);
        self.inner.tuple_variant(len, guarded)
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let guarded = self.around(visitor);
        self.inner.struct_variant(fields, guarded)
    }
}
