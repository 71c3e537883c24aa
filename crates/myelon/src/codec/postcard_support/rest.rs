//! Reads postcard's form.

use crate::codec::bounded::Source;
use postcard::de_flavors::Flavor;
use postcard::{Deserializer, Error};
use serde::Deserialize;

/// What is left of a message.
pub(super) struct Rest<'de>(&'de [u8]);

impl<'de> Rest<'de> {
    pub(super) fn of(bytes: &'de [u8]) -> Self {
        Self(bytes)
    }
}

impl<'de> Flavor<'de> for Rest<'de> {
    type Remainder = Self;
    type Source = &'de [u8];

    #[inline(always)]
    fn pop(&mut self) -> postcard::Result<u8> {
        let (&byte, rest) = self.0.split_first().ok_or(Error::DeserializeUnexpectedEnd)?;
        self.0 = rest;
        Ok(byte)
    }

    #[inline(always)]
    fn try_take_n(&mut self, len_bytes: usize) -> postcard::Result<&'de [u8]> {
        let front = self.0.split_at_checked(len_bytes).ok_or(Error::DeserializeUnexpectedEnd)?;
        self.0 = front.1;
        Ok(front.0)
    }

    #[inline(always)]
    fn finalize(self) -> postcard::Result<Self> {
        Ok(self)
    }
}

macro_rules! values {
    ($($read:ident $value:ty)*) => {$(
        #[inline(always)]
        fn $read(&mut self) -> Result<$value, Error> {
            let mut reader = Deserializer::from_flavor(self.take());
            let value = <$value>::deserialize(&mut reader)?;
            *self = reader.finalize()?;
            Ok(value)
        }
    )*};
}

impl<'de> Source<'de> for Rest<'de> {
    type Error = Error;

    values! {
        elements usize
        variant u32
        str &'de str
        bytes &'de [u8]
        bool bool
        char char
        u8 u8
        u16 u16
        u32 u32
        u64 u64
        u128 u128
        i8 i8
        i16 i16
        i32 i32
        i64 i64
        i128 i128
        f32 f32
        f64 f64
    }

    #[inline(always)]
    fn take(&mut self) -> Self {
        Self(std::mem::take(&mut self.0))
    }

    #[inline(always)]
    fn left_bytes(&self) -> usize {
        self.0.len()
    }

    #[inline(always)]
    fn is_some(&mut self) -> Result<bool, Error> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Error::DeserializeBadOption),
        }
    }
}
