//! The traits of a message type: [`Codec`] and [`ZeroCopyCodec`].
//!
//! The macros implement both. An application with a codec of its own may as well.

use super::{CodecError, CodecResult, EncodeShort, OlderVersion, TypeTag};

/// A type whose values travel as bytes.
///
/// Usually implemented by one of the macros; by hand it looks like this:
///
/// ```
/// use myelon::codec::{Codec, CodecError, CodecResult, EncodeShort, TypeTag};
///
/// #[derive(Debug, PartialEq)]
/// struct Heartbeat {
///     rank: u32,
/// }
///
/// impl Codec for Heartbeat {
///     const CODEC: &'static str = "by-hand";
///     type Scratch = ();
///
///     fn type_tag() -> TypeTag {
///         TypeTag::new(Self::CODEC, "Heartbeat/1")
///     }
///
///     fn encode(&self, _scratch: &mut (), into: &mut [u8]) -> Result<usize, EncodeShort> {
///         let place = into.first_chunk_mut().ok_or(EncodeShort::Needs { len_bytes: 4 })?;
///         *place = self.rank.to_le_bytes();
///         Ok(place.len())
///     }
///
///     fn decode(bytes: &[u8]) -> CodecResult<Self> {
///         let rank = bytes.try_into().map_err(|cause| CodecError::decode(Self::CODEC, bytes, cause))?;
///         Ok(Self { rank: u32::from_le_bytes(rank) })
///     }
/// }
///
/// let mut bytes = [0; 16];
/// let len = Heartbeat { rank: 3 }.encode(&mut (), &mut bytes)?;
/// assert_eq!(Heartbeat::decode(&bytes[..len])?, Heartbeat { rank: 3 });
/// assert!(Heartbeat::decode(&bytes).is_err(), "a message has no bytes to spare");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Source: RFC 0008, "Protocol".
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no message, so it has no stream",
    label = "is no `Codec`",
    note = "write `#[myelon::message]` on a type of your own: it adds the derives, and says what the type is made of",
    note = "a type whose traits are written by hand is made one by `myelon::bincode_message!({Self})`, or by the macro of \
            another codec; one of another crate is put into a struct of your own"
)]
pub trait Codec: Sized {
    /// The codec's name, for errors and tags.
    const CODEC: &'static str;

    /// What encoding needs besides the message and room for its bytes. A sender keeps one and passes it to every call,
    /// so that its memory is allocated once.
    type Scratch: Default;

    /// The name by which two programs agree on this type. A stream carries it, and a consumer that expects another type
    /// is refused.
    fn type_tag() -> TypeTag;

    /// Older versions that a reader accepts and converts to this type: `takes(..)` of [`#[message]`](super::message)
    /// writes them. None by default. It is called when a reader is refused for its own version.
    fn older_versions() -> Vec<OlderVersion<Self>> {
        Vec::new()
    }

    /// About how many bytes this message takes, computed cheaply. It decides where the message is encoded first, never
    /// how much room it waits for: a hint that is too small may cost encoding again, one that is too large a copy.
    fn size_hint(&self) -> usize {
        size_of_val(self)
    }

    /// Writes the message to the front of `into` and returns how many bytes it took.
    ///
    /// May be called a second time with more room, and then writes the same again from the front. The bytes after the
    /// returned length are arbitrary, and after an error all bytes are.
    ///
    /// # Errors
    /// [`EncodeShort::Needs`]: call again with that much room. [`EncodeShort::TooSmall`]: the same from a codec that
    /// does not know how much; its messages are encoded again with as much room as the longest message may have, and
    /// the error for a message that is too large cannot say how long it is. [`EncodeShort::Failed`]: this message
    /// cannot be encoded at all.
    fn encode(&self, scratch: &mut Self::Scratch, into: &mut [u8]) -> Result<usize, EncodeShort>;

    /// Like [`encode`](Self::encode), but need not say how long a message is that does not fit. A stream calls this
    /// first: it has a buffer for the second attempt.
    ///
    /// It is for codecs where the length costs extra: bincode and postcard stop where the bytes end, and would have to
    /// go through the message once more to count it.
    ///
    /// # Errors
    /// As [`encode`](Self::encode), and [`EncodeShort::TooSmall`] also from a codec that could compute the length.
    fn encode_if_it_fits(&self, scratch: &mut Self::Scratch, into: &mut [u8]) -> Result<usize, EncodeShort> {
        self.encode(scratch, into)
    }

    /// Decodes a message from exactly these bytes, which may have any content and any address.
    ///
    /// # Errors
    /// [`CodecError::Decode`] when they are not a message of this type: too short, too long, damaged, of another type.
    fn decode(bytes: &[u8]) -> CodecResult<Self>;
}

/// A message that can be read in place.
///
/// Source: RFC 0008, "Protocol".
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read where it lies: its codec makes values",
    label = "is no `ZeroCopyCodec`",
    note = "take `decode`, which makes a value of any message; or `#[myelon::message(rkyv)]`, which is read in place"
)]
pub trait ZeroCopyCodec: Codec {
    /// A message can be read in place only if its bytes begin at a multiple of this: 1 for a codec that reads at every
    /// address.
    const ALIGN_BYTES: usize;

    /// The view of a message in its bytes.
    type Archived<'a>;

    /// Checks all of the bytes and then reads them in place.
    ///
    /// # Errors
    /// [`CodecError::Decode`] when they are not a message of this type, or do not begin at a multiple of
    /// [`ALIGN_BYTES`](Self::ALIGN_BYTES). A ring's payloads begin at multiples of 16.
    fn access(bytes: &[u8]) -> Result<Self::Archived<'_>, CodecError>;
}
