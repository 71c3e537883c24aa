//! Reads bincode's fixed-width form.

use super::FORM;
use crate::codec::bounded::Source;
use std::str::Utf8Error;

/// What is left of a message.
pub(super) struct Rest<'de>(&'de [u8]);

/// Why bytes are no value of the type that is expected there.
#[derive(Debug, thiserror::Error)]
pub(super) enum Malformed {
    // It does not say how many bytes there are: the loop over the numbers of a list would have to keep that count for
    // this text only.
    #[error("the bytes end, and {wanted_bytes} more are needed")]
    End { wanted_bytes: usize },
    #[error("a bool is 0 or 1, but the byte is {found}")]
    Bool { found: u8 },
    #[error("an option begins with 0 or 1, but the byte is {found}")]
    Option { found: u8 },
    #[error("the bytes are not a character in UTF-8")]
    Char,
    #[error("a text is not UTF-8: {0}")]
    Text(Utf8Error),
    #[error("a length of {len} is more than this machine can address")]
    Length { len: u64 },
}

impl<'de> Rest<'de> {
    pub(super) fn of(bytes: &'de [u8]) -> Self {
        Self(bytes)
    }

    #[inline(always)]
    fn array<const LEN: usize>(&mut self) -> Result<[u8; LEN], Malformed> {
        let (front, rest) = self.0.split_first_chunk().ok_or(Malformed::End { wanted_bytes: LEN })?;
        self.0 = rest;
        Ok(*front)
    }

    #[inline(always)]
    fn front(&mut self, len_bytes: usize) -> Result<&'de [u8], Malformed> {
        let (front, rest) = self.0.split_at_checked(len_bytes).ok_or(Malformed::End { wanted_bytes: len_bytes })?;
        self.0 = rest;
        Ok(front)
    }
}

macro_rules! numbers {
    ($($number:ident)*) => {$(
        #[inline(always)]
        fn $number(&mut self) -> Result<$number, Malformed> {
            Ok($number::from_le_bytes(self.array()?))
        }
    )*};
}

impl<'de> Source<'de> for Rest<'de> {
    type Error = Malformed;

    numbers! { u8 u16 u32 u64 u128 i8 i16 i32 i64 i128 f32 f64 }

    #[inline(always)]
    fn take(&mut self) -> Self {
        Self(std::mem::take(&mut self.0))
    }

    #[inline(always)]
    fn left_bytes(&self) -> usize {
        self.0.len()
    }

    #[inline(always)]
    fn elements(&mut self) -> Result<usize, Malformed> {
        let len = self.u64()?;
        usize::try_from(len).map_err(|_| Malformed::Length { len })
    }

    #[inline(always)]
    fn variant(&mut self) -> Result<u32, Malformed> {
        self.u32()
    }

    #[inline(always)]
    fn is_some(&mut self) -> Result<bool, Malformed> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            found => Err(Malformed::Option { found }),
        }
    }

    #[inline(always)]
    fn bool(&mut self) -> Result<bool, Malformed> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            found => Err(Malformed::Bool { found }),
        }
    }

    #[inline]
    fn char(&mut self) -> Result<char, Malformed> {
        let (char, len_bytes) = bincode::decode_from_slice(self.0, FORM).map_err(|_| Malformed::Char)?;
        self.front(len_bytes)?;
        Ok(char)
    }

    #[inline]
    fn str(&mut self) -> Result<&'de str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(Malformed::Text)
    }

    #[inline(always)]
    fn bytes(&mut self) -> Result<&'de [u8], Malformed> {
        let len_bytes = self.elements()?;
        self.front(len_bytes)
    }
}
