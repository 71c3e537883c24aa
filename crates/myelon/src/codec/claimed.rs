//! Writing to the front of bytes that were claimed, and knowing for certain whether they sufficed.
//!
//! **Lives here:** [`ClaimedBytes`]. **Builds on:** nothing. **May touch it:** codecs that write from front to back, ours and others.

use super::{Cause, CodecError, EncodeShort};

/// Bytes of a fixed number, filled from the front. Once something did not fit, nothing more is written, and the answer is
/// [`EncodeShort::TooSmall`] whatever the serialiser makes of it: libraries have an error for a full buffer, but a user's own
/// implementation may swallow or replace it.
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
    bytes: &'a mut [u8],
    used: usize,
    overflowed: bool,
}

/// What a serialiser is told when the bytes are full.
#[derive(Debug, thiserror::Error)]
#[error("the claimed bytes are full")]
pub struct Full;

impl<'a> ClaimedBytes<'a> {
    /// Begins at the front of `bytes`, whatever they hold.
    pub fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes, used: 0, overflowed: false }
    }

    /// Adds bytes behind those that are there.
    ///
    /// # Errors
    /// When they do not fit; then and from then on nothing is added.
    #[inline]
    pub fn append(&mut self, new: &[u8]) -> Result<(), Full> {
        match self.bytes[self.used..].get_mut(..new.len()) {
            Some(place) if !self.overflowed => {
                place.copy_from_slice(new);
                self.used += new.len();
                Ok(())
            }
            _ => {
                self.overflowed = true;
                Err(Full)
            }
        }
    }

    /// How many bytes were written, given what the serialiser of `codec` said at its end.
    ///
    /// # Errors
    /// [`EncodeShort::TooSmall`] when something did not fit, otherwise what the serialiser said.
    pub fn finish<T>(self, codec: &'static str, said: Result<T, impl Into<Cause>>) -> Result<usize, EncodeShort> {
        if self.overflowed {
            return Err(EncodeShort::TooSmall);
        }
        said.map_err(|cause| CodecError::encode(codec, cause))?;
        Ok(self.used)
    }
}

#[cfg(feature = "bincode")]
impl bincode::enc::write::Writer for ClaimedBytes<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> Result<(), bincode::error::EncodeError> {
        self.append(bytes).map_err(|Full| bincode::error::EncodeError::UnexpectedEnd)
    }
}

#[cfg(feature = "rkyv")]
impl rkyv::ser::Positional for ClaimedBytes<'_> {
    #[inline]
    fn pos(&self) -> usize {
        self.used
    }
}

#[cfg(feature = "rkyv")]
impl<E: rkyv::rancor::Source> rkyv::ser::Writer<E> for ClaimedBytes<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> Result<(), E> {
        self.append(bytes).map_err(E::new)
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
    fn an_error_with_room_left_is_a_failure() {
        let mut bytes = [0; 4];
        let claimed = ClaimedBytes::new(&mut bytes);
        let failed = claimed.finish("test", Err::<(), _>("no such form"));
        assert!(matches!(failed, Err(EncodeShort::Failed(CodecError::Encode { codec: "test", .. }))));
    }
}
