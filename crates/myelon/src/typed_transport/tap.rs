//! A tap of a stream of one type: copies of its messages, for programs that watch.
//!
//! Any process with read permission may have one.

use super::consumer::for_readers_of;
use super::error::TypedReceiveError;
use super::message::Reading;
use crate::codec::{Codec, CodecResult, OlderVersion, ZeroCopyCodec, decode_as, older_version, says_its_version};
use crate::transport::{MessageCopy, Records, TransportBuilder, TransportResult, TransportTap};
use disruptor_mp::{Patience, Place, or_end};
use std::fmt;
use std::ops::Deref;

/// A reader of a typed stream for which no sender waits: see [`TransportTap`], which has the same promises and limits.
/// A stream of another type refuses it, as it refuses a consumer.
#[cfg_attr(feature = "bincode", doc = "```")]
#[cfg_attr(not(feature = "bincode"), doc = "```ignore")]
/// use myelon::Patience;
/// use myelon::typed_transport::{TypedProducer, TypedTap};
///
/// #[myelon::message]
/// #[derive(Debug, PartialEq)]
/// struct Step {
///     tokens: Vec<u32>,
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let name = myelon::portable_shm_segment_name("doc");
/// let mut producer = TypedProducer::<Step>::create(&name, 1 << 20)?;
/// // Usually in another process, which needs only read permission:
/// let mut tap = TypedTap::<Step>::attach(&name)?;
///
/// producer.publish(&Step { tokens: vec![1, 2, 3] }, 7)?;
/// drop(producer);
/// while let Some(message) = tap.next_or_end(Patience::Endless)? {
///     assert_eq!((message.decode()?, message.kind()), (Step { tokens: vec![1, 2, 3] }, 7));
/// }
/// assert_eq!(tap.missed(), 0);
/// # Ok(())
/// # }
/// ```
pub struct TypedTap<T: Codec> {
    end: TransportTap,
    /// The version of the stream's messages; `None`: that of `T` itself.
    older: Option<OlderVersion<T>>,
}

impl<T: Codec> TypedTap<T> {
    /// Attaches to the stream at `place`, over a ring of records of whatever size.
    ///
    /// # Errors
    /// As [`TransportBuilder::build_tap`]; `IncompatibleContent` if the stream has another type, as for
    /// [`TypedConsumer::attach`](super::TypedConsumer::attach). The stream's producer is not told.
    pub fn attach(place: impl Into<Place>) -> TransportResult<Self> {
        Self::build(TransportBuilder::at(place))
    }

    /// The tap that `builder` describes. Its content tag becomes that of `T`, or that of the older version of `T` that
    /// the ring has.
    ///
    /// # Errors
    /// As [`attach`](Self::attach).
    pub fn build(builder: TransportBuilder<Records>) -> TransportResult<Self> {
        let end = for_readers_of::<T, _>(builder).build_tap()?;
        let older = older_version(end.content_tag());
        Ok(Self { end, older })
    }

    /// Whether the messages of the stream are of one of the [older versions](Codec::older_versions) of `T`. They are
    /// decoded into `T`, and have no view by [`get`](TypedCopy::get).
    pub fn is_of_older_version(&self) -> bool {
        self.older.is_some()
    }

    /// A copy of the next message that is still in the ring, in memory that the next call uses again. Its bytes are not
    /// checked yet. Waits for it as `patience` says. `None` only for [`Patience::Now`], if there is none yet.
    ///
    /// # Errors
    /// `Transport`, as for [`TransportTap::next`].
    pub fn next(&mut self, patience: impl Into<Patience>) -> Result<Option<TypedCopy<'_, T>>, TypedReceiveError> {
        let Self { end, older } = self;
        let message = end.next(patience)?;
        Ok(message.map(|message| TypedCopy { message, older: older.as_ref() }))
    }

    /// [`next`](Self::next) for loops that end when the stream ends: `None` says that the sender has closed it and what
    /// was there was copied. If there is nothing yet, the result is an error for which
    /// [`is_timed_out`](TypedReceiveError::is_timed_out) is true.
    ///
    /// # Errors
    /// As [`next`](Self::next), except that a closed stream is no error.
    pub fn next_or_end(
        &mut self,
        patience: impl Into<Patience>,
    ) -> Result<Option<TypedCopy<'_, T>>, TypedReceiveError> {
        or_end(self.next(patience), TypedReceiveError::is_closed)
    }

    /// The next message and its kind, decoded.
    ///
    /// # Errors
    /// `Undecodable`: it was skipped, go on. `Transport` as for [`next`](Self::next).
    pub fn receive_owned(&mut self, patience: impl Into<Patience>) -> Result<Option<(T, u8)>, TypedReceiveError> {
        let Some(message) = self.next(patience)? else { return Ok(None) };
        let (sequence, kind) = (message.sequence(), message.kind());
        match message.decode() {
            Ok(value) => Ok(Some((value, kind))),
            Err(source) => Err(TypedReceiveError::Undecodable { sequence, kind, source }),
        }
    }

    /// The number of messages that were skipped because they could not be read at all. It only grows.
    pub fn skipped(&self) -> u64 {
        self.end.skipped()
    }

    disruptor_mp::tap_end_methods!();
}

/// A copy of a message of type `T`: its bytes and properties by `Deref`, and its value by [`get`](Self::get) and
/// [`decode`](Self::decode).
#[cfg_attr(feature = "rkyv", doc = "```")]
#[cfg_attr(not(feature = "rkyv"), doc = "```ignore")]
/// # use myelon::prelude::*;
/// # use myelon::typed_transport::TypedTap;
/// #[message(rkyv)]
/// struct Step {
///     tokens: Vec<u32>,
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let name = portable_shm_segment_name("doc");
/// # let mut producer = TypedProducer::<Step>::create_default(&name)?;
/// # let mut tap = TypedTap::<Step>::attach(&name)?;
/// # producer.publish(&Step { tokens: vec![1, 2, 3] }, 0)?;
/// # drop(producer);
/// let mut tokens = 0;
/// while let Some(message) = tap.next_or_end(Patience::Endless)? {
///     tokens += message.get()?.tokens.len(); // a view of the copy; `decode` gives a value
/// }
/// assert_eq!(tokens, 3);
/// # Ok(())
/// # }
/// ```
pub struct TypedCopy<'a, T> {
    message: MessageCopy<'a>,
    older: Option<&'a OlderVersion<T>>,
}

impl<T: Codec> TypedCopy<'_, T> {
    /// The message as a value.
    ///
    /// # Errors
    /// When the bytes are no `T`.
    pub fn decode(&self) -> CodecResult<T> {
        decode_as(self.older, &self.message)
    }

    /// A view of the message in the copy, after a check.
    ///
    /// # Errors
    /// When the bytes are no `T`; [`OlderVersion`](crate::codec::CodecError::OlderVersion) for every message of a
    /// stream of an older version, which can be [decoded](Self::decode) only.
    pub fn get(&self) -> CodecResult<T::Archived<'_>>
    where
        T: ZeroCopyCodec,
    {
        Reading::readable_in_place::<Records>(self.older)?;
        T::access(&self.message)
    }

    says_its_version!(T, |it| it.older);
}

impl<'a, T> Deref for TypedCopy<'a, T> {
    type Target = MessageCopy<'a>;

    fn deref(&self) -> &MessageCopy<'a> {
        &self.message
    }
}

impl<T: Codec> fmt::Debug for TypedTap<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedTap").field("messages", &T::type_tag()).field("end", &self.end).finish_non_exhaustive()
    }
}

impl<T: Codec> fmt::Debug for TypedCopy<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedCopy").field("content", &T::type_tag()).field("message", &self.message).finish()
    }
}
