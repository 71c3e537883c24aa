//! Reading a message in place without validation.
//!
//! Validation reads the whole message once, which for a large one takes longer than the transport. A program may leave
//! it out if it knows both ends, for example because it started them from one executable.
//!
//! This is the only module of the crate with `unsafe`. Its caller vouches for the writer.

use super::{CodecResult, ZeroCopyCodec};

/// A message whose codec can read it without validation. Implemented by the macros of the codecs that read in place.
///
/// Source: RFC 0008, "Trust".
pub trait TrustedCodec: ZeroCopyCodec {
    /// How its codec reads them.
    type Form: Form<Self>;
}

/// How the bytes of one codec are read without validation.
pub trait Form<T: ZeroCopyCodec> {
    /// The message at `bytes`.
    ///
    /// # Errors
    /// When the length or the address alone shows that the bytes cannot be a message.
    ///
    /// # Safety
    /// As [`access`].
    unsafe fn root(bytes: &[u8]) -> CodecResult<T::Archived<'_>>;
}

/// Reads a message in place, without validation.
///
/// # Errors
/// [`CodecError::Decode`](super::CodecError::Decode) when the length or the address alone shows that these bytes cannot
/// be a `T`, a check that costs nothing. Anything else that is wrong with them is undefined behaviour.
///
/// # Safety
/// `bytes` were written by [`Codec::encode`](super::Codec::encode) of this very type, by a program whose `T` has the
/// same fields and whose codec has the same form, and were not changed since. No thread or process changes them while
/// the result is in use. No part of the message asks for more than the 16 bytes of alignment that a message has.
///
/// Source: RFC 0008, "Trust".
pub unsafe fn access<T: TrustedCodec>(bytes: &[u8]) -> CodecResult<T::Archived<'_>> {
    // SAFETY: `root` asks for what our caller promises.
    unsafe { T::Form::root(bytes) }
}

/// rkyv's archives.
#[cfg(feature = "rkyv")]
#[derive(Debug)]
pub enum RkyvForm {}

#[cfg(feature = "rkyv")]
impl<T> Form<T> for RkyvForm
where
    T: rkyv::Archive + for<'a> ZeroCopyCodec<Archived<'a> = &'a rkyv::Archived<T>>,
{
    unsafe fn root(bytes: &[u8]) -> CodecResult<&rkyv::Archived<T>> {
        super::rkyv_support::check_place::<T>(bytes)?;
        // SAFETY: our caller promises that an archived `T` was written here and that it is not changed. It is long
        // enough and aligned, as was just checked.
        Ok(unsafe { rkyv::access_unchecked::<rkyv::Archived<T>>(bytes) })
    }
}

/// flatbuffers' tables.
#[cfg(feature = "flatbuffers")]
#[derive(Debug)]
pub enum FlatbufForm {}

#[cfg(feature = "flatbuffers")]
impl<T> Form<T> for FlatbufForm
where
    T: ZeroCopyCodec,
    for<'a> T::Archived<'a>: flatbuffers::Follow<'a, Inner = T::Archived<'a>> + 'a,
{
    unsafe fn root<'a>(bytes: &'a [u8]) -> CodecResult<T::Archived<'a>> {
        super::flatbuf_support::check_place(bytes)?;
        // SAFETY: our caller promises that a finished buffer with this root was written here and that it is not
        // changed.
        Ok(unsafe { flatbuffers::root_unchecked::<T::Archived<'a>>(bytes) })
    }
}
