//! Writes to the front of claimed bytes, and knows exactly whether they sufficed and how many would have.

use super::{Cause, CodecError, EncodeShort};

/// Bytes of a fixed number, filled from the front. Once something did not fit, nothing more is written.
///
/// A serialiser that calls [`append`](Self::append) gets an error, and stops. The result is then
/// [`EncodeShort::TooSmall`], even if a user's own implementation swallows or replaces the error. This is how bincode
/// and postcard work: a loop over numbers that stops at the end of the bytes costs a fraction of one that goes on
/// counting. rkyv gets no error: it goes on, the rest is counted, and the result is [`EncodeShort::Needs`] with the
/// length of the whole message.
///
/// ```
/// use myelon::codec::{ClaimedBytes, EncodeShort, Full};
///
/// let mut bytes = [0; 4];
/// let mut claimed = ClaimedBytes::new(&mut bytes);
/// claimed.append(b"abc")?;
/// assert_eq!(claimed.finish("test", Ok::<_, Full>(()))?, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ClaimedBytes<'a> {
    /// The part of the `room_bytes` bytes that is not written yet.
    rest: &'a mut [u8],
    room_bytes: usize,
    /// Once something did not fit, the length of the message so far. Nothing is written from then on.
    counted_bytes: usize,
    /// Whether a serialiser was told that something did not fit.
    refused: bool,
}

/// What a serialiser is told when the bytes are full.
#[derive(Debug, thiserror::Error)]
#[error("the claimed bytes are full")]
pub struct Full;

impl<'a> ClaimedBytes<'a> {
    /// Begins at the front of `bytes`, whatever they hold.
    pub fn new(bytes: &'a mut [u8]) -> Self {
        Self { room_bytes: bytes.len(), rest: bytes, counted_bytes: 0, refused: false }
    }

    /// Adds bytes after those that are there.
    ///
    /// # Errors
    /// When they do not fit. From then on nothing is added.
    #[inline(always)]
    pub fn append(&mut self, new: &[u8]) -> Result<(), Full> {
        if self.write_or_count(new) {
            return Ok(());
        }
        self.refused = true;
        Err(Full)
    }

    /// Adds bytes after those that are there, or counts them. Returns whether they were added.
    // Always inlined: the copy of a number is a store only where the compiler sees the number's length.
    #[inline(always)]
    fn write_or_count(&mut self, new: &[u8]) -> bool {
        if new.len() > self.rest.len() {
            self.count(new.len());
            return false;
        }
        let (place, rest) = std::mem::take(&mut self.rest).split_at_mut(new.len());
        place.copy_from_slice(new);
        self.rest = rest;
        true
    }

    /// From now on nothing is written and everything is counted, including what was written before.
    #[cold]
    fn count(&mut self, len_bytes: usize) {
        let written = std::mem::take(&mut self.room_bytes) - std::mem::take(&mut self.rest).len();
        self.counted_bytes = self.counted_bytes.saturating_add(written).saturating_add(len_bytes);
    }

    /// The length of the message so far.
    #[inline]
    fn len(&self) -> usize {
        (self.room_bytes - self.rest.len()).saturating_add(self.counted_bytes)
    }

    /// How many bytes were written; `said` is the result of the serialiser of `codec`.
    ///
    /// # Errors
    /// [`EncodeShort::TooSmall`] when the serialiser was told that something did not fit; otherwise its own error;
    /// otherwise [`EncodeShort::Needs`] when something did not fit.
    pub fn finish<T>(self, codec: &'static str, said: Result<T, impl Into<Cause>>) -> Result<usize, EncodeShort> {
        if self.refused {
            return Err(EncodeShort::TooSmall);
        }
        said.map_err(|cause| CodecError::encode(codec, cause))?;
        let len_bytes = self.len();
        if self.counted_bytes > 0 { Err(EncodeShort::Needs { len_bytes }) } else { Ok(len_bytes) }
    }
}

#[cfg(feature = "bincode")]
impl bincode::enc::write::Writer for ClaimedBytes<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> Result<(), bincode::error::EncodeError> {
        self.append(bytes).map_err(|Full| bincode::error::EncodeError::UnexpectedEnd)
    }
}

#[cfg(feature = "postcard")]
impl postcard::ser_flavors::Flavor for &mut ClaimedBytes<'_> {
    type Output = ();

    // Most of what comes here is a number of one to five bytes. A copy whose length the compiler knows is a store; any
    // other is a call that takes longer than the number. Always inlined, for the library's loop over a list.
    #[inline(always)]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        let appended = match *bytes {
            [a] => self.append(&[a]),
            [a, b] => self.append(&[a, b]),
            [a, b, c] => self.append(&[a, b, c]),
            [a, b, c, d] => self.append(&[a, b, c, d]),
            [a, b, c, d, e] => self.append(&[a, b, c, d, e]),
            _ => self.append(bytes),
        };
        appended.map_err(|Full| postcard::Error::SerializeBufferFull)
    }

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.try_extend(&[byte])
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

#[cfg(feature = "rkyv")]
impl rkyv::ser::Positional for ClaimedBytes<'_> {
    #[inline]
    fn pos(&self) -> usize {
        self.len()
    }
}

#[cfg(feature = "rkyv")]
impl<E> rkyv::ser::Writer<E> for ClaimedBytes<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> Result<(), E> {
        self.write_or_count(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_exactly_fits() {
        let mut bytes = [0; 4];
        let mut claimed = ClaimedBytes::new(&mut bytes);
        claimed.append(&[1, 2]).unwrap();
        claimed.append(&[3, 4]).unwrap();
        claimed.append(&[]).unwrap();
        assert_eq!(claimed.finish("test", Ok::<_, Full>(())).unwrap(), 4);
        assert_eq!(bytes, [1, 2, 3, 4]);
    }

    #[test]
    fn what_does_not_fit_is_counted_to_the_end() {
        let mut bytes = [0; 4];
        let mut claimed = ClaimedBytes::new(&mut bytes);
        assert!(claimed.write_or_count(&[1, 2, 3]));
        for new in [&[4, 5][..], &[4], &[6; 10]] {
            assert!(!claimed.write_or_count(new));
        }
        let short = claimed.finish("test", Ok::<_, Full>(()));
        assert!(matches!(short, Err(EncodeShort::Needs { len_bytes: 16 })), "{short:?}");
        assert_eq!(bytes, [1, 2, 3, 0]);
    }

    #[test]
    fn a_swallowed_overflow_is_still_too_small() {
        let mut bytes = [0; 4];
        let mut claimed = ClaimedBytes::new(&mut bytes);
        claimed.append(&[1, 2, 3]).unwrap();
        claimed.append(&[4, 5]).unwrap_err();
        claimed.append(&[4]).unwrap_err();
        assert!(matches!(claimed.finish("test", Ok::<_, Full>(())), Err(EncodeShort::TooSmall)));
        assert_eq!(bytes, [1, 2, 3, 0]);
    }

    #[test]
    fn an_error_that_is_not_of_the_room_is_a_failure() {
        for len in [0, 4, 5] {
            let mut bytes = [0; 4];
            let mut claimed = ClaimedBytes::new(&mut bytes);
            claimed.write_or_count(&vec![1; len]);
            let failed = claimed.finish("test", Err::<(), _>("no such form"));
            assert!(matches!(failed, Err(EncodeShort::Failed(CodecError::Encode { codec: "test", .. }))));
        }
    }
}
