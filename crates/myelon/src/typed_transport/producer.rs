//! The sending end of a stream of one type.
//!
//! One thread uses it at a time.

use super::error::TypedPublishError;
use crate::codec::{Codec, EncodeShort};
use crate::transport::{
    BatchError, Format, Records, Sends, Sent, TraceId, TransportBuilder, TransportError, TransportProducer,
    TransportResult,
};
use disruptor_mp::__private::ends::{HasProducer, ProducerBase, ProducerMut};
use disruptor_mp::counters::ids;
use disruptor_mp::{CounterHandle, Patience, Place, Sequence};
use std::fmt;
use std::marker::PhantomData;
use std::time::Instant;

/// Sends messages of type `T` to every consumer of a ring, encoded in the ring.
///
/// Dropping it closes the stream: consumers read what is there, and then it ends. The ring's name is gone at once, so a
/// consumer that is away, or ends before it has read everything, cannot come back for the rest. A producer that is to
/// have a successor must [hand over](Self::hand_over).
///
/// A stream that began in an [older version](crate::codec::message) of its type is closed in the same way. But its
/// rings stay for each absent consumer that has not read the older ring to its end: it can come back and read
/// everything. If a consumer will never come back, [evict](Self::evict_consumer) it before, or remove the rings by
/// [`gc`](crate::gc).
#[cfg_attr(feature = "bincode", doc = "```")]
#[cfg_attr(not(feature = "bincode"), doc = "```ignore")]
/// use myelon::prelude::*;
///
/// #[message]
/// #[derive(Debug, PartialEq)]
/// struct Step {
///     id: u64,
///     tokens: Vec<u32>,
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let name = portable_shm_segment_name("doc");
/// let mut producer = TypedProducer::<Step>::create(&name, 1 << 20)?; // a ring of 1 MiB
/// // Usually in another process. A consumer of another type is refused here, with the first field that differs.
/// let mut consumer = TypedConsumer::<Step>::join(&name, "worker-0")?;
///
/// // The second argument is the application's kind of message: a byte that travels with it.
/// producer.send(&Step { id: 7, tokens: vec![1, 2, 3] }, 1, Patience::Endless)?;
/// drop(producer); // closes the stream
///
/// # let mut received = vec![];
/// while let Some((step, kind)) = consumer.receive_owned_or_end(Patience::Endless)? {
///     println!("{step:?} of kind {kind}");
/// #   received.push(step);
/// }
/// # assert_eq!(received, [Step { id: 7, tokens: vec![1, 2, 3] }]);
/// # Ok(())
/// # }
/// ```
///
/// Source: RFC 0008, "Streams".
pub struct TypedProducer<T: Codec, F: Format = Records> {
    raw: TransportProducer<F>,
    encoder: Encoder<T>,
    message: PhantomData<fn(&T)>,
}

/// `TypedProducer` on a mapped file; the place is an argument, not another type.
pub type MmapTypedProducer<T, F = Records> = TypedProducer<T, F>;

impl<T: Codec> TypedProducer<T, Records> {
    /// A producer over records at `place`, in a ring of
    /// [`DEFAULT_RECORD_RING_BYTES`](disruptor_mp::DEFAULT_RECORD_RING_BYTES); see [`create`](Self::create).
    ///
    /// # Errors
    /// As [`TransportBuilder::build_producer`].
    pub fn create_default(place: impl Into<Place>) -> TransportResult<Self> {
        Self::build(TransportBuilder::to_create(place, None))
    }
}

impl<T: Codec, F: Format> TypedProducer<T, F> {
    /// A producer at `place` with everything else as [`TransportBuilder`] has it. Makes the directory of a file where
    /// it is missing.
    ///
    /// # Errors
    /// As [`TransportBuilder::build_producer`].
    pub fn create(place: impl Into<Place>, depth: usize) -> TransportResult<Self> {
        Self::build(TransportBuilder::to_create(place, Some(depth)))
    }

    /// [`create`](Self::create) with room for `max_consumers` consumers.
    ///
    /// # Errors
    /// As [`TransportBuilder::build_producer`].
    pub fn create_with_consumers(place: impl Into<Place>, depth: usize, max_consumers: usize) -> TransportResult<Self> {
        Self::build(TransportBuilder::to_create(place, Some(depth)).with_max_consumers(max_consumers))
    }

    /// The producer that `builder` describes. Its content tag becomes that of `T`.
    ///
    /// # Errors
    /// As [`TransportBuilder::build_producer`].
    pub fn build(builder: TransportBuilder<F>) -> TransportResult<Self> {
        let raw = builder.with_content_tag(T::type_tag()).build_producer()?;
        let encoder = Encoder::new(&raw);
        Ok(Self { raw, encoder, message: PhantomData })
    }

    /// Sends `message`: waits for room as `patience` says. Returns the message's sequence.
    ///
    /// It is encoded into the ring itself if the free space there now, in one frame or record, holds the longest of the
    /// last 32 to 63 messages; otherwise into a buffer, and copied. So nearly every message is encoded once. It waits
    /// for its own room and no more, and is encoded at most twice, however long it waits.
    ///
    /// # Errors
    /// `Codec` if it cannot be encoded; `Transport` and `RequiredConsumer` say why there was no room. Nothing was sent.
    /// A message that can never fit is `TooLarge` at once, whatever the ring holds. Source: RFC 0008, "Streams".
    #[inline(always)]
    pub fn send(
        &mut self,
        message: &T,
        kind: u8,
        patience: impl Into<Patience>,
    ) -> Result<Sequence, TypedPublishError> {
        self.send_within(message, kind, &patience.into())
    }

    fn send_within(&mut self, message: &T, kind: u8, patience: &Patience) -> Result<Sequence, TypedPublishError> {
        Ok(self.encoder.send(&mut self.raw, message, kind, patience)?)
    }

    /// [`send`](Self::send)`(message, kind, Patience::Endless)`.
    ///
    /// # Errors
    /// As [`send`](Self::send). Nothing was sent.
    pub fn publish(&mut self, message: &T, kind: u8) -> Result<Sequence, TypedPublishError> {
        self.send_within(message, kind, &Patience::Endless)
    }

    /// [`send`](Self::send)`(message, kind, Patience::Now)`.
    ///
    /// # Errors
    /// `Transport(Full)`, and as [`send`](Self::send). Nothing was sent.
    pub fn try_publish(&mut self, message: &T, kind: u8) -> Result<Sequence, TypedPublishError> {
        self.send_within(message, kind, &Patience::Now)
    }

    /// [`send`](Self::send)`(message, kind, Patience::Until(deadline))`.
    ///
    /// # Errors
    /// As [`send`](Self::send); when the time is over, with a report that names the consumer that held the ring back.
    /// Nothing was sent.
    pub fn publish_deadline(
        &mut self,
        message: &T,
        kind: u8,
        deadline: Instant,
    ) -> Result<Sequence, TypedPublishError> {
        self.send_within(message, kind, &Patience::Until(deadline))
    }

    /// [`send`](Self::send)`(message, kind, Patience::Managed)`.
    ///
    /// # Errors
    /// `RequiredConsumer`, and as [`send`](Self::send). Nothing was sent.
    pub fn publish_managed(&mut self, message: &T, kind: u8) -> Result<Sequence, TypedPublishError> {
        self.send_within(message, kind, &Patience::Managed)
    }

    /// Sends several messages of one kind, which are announced together: see
    /// [`TransportProducer::send_batch`].
    #[cfg_attr(feature = "bincode", doc = "```")]
    #[cfg_attr(not(feature = "bincode"), doc = "```ignore")]
    /// use myelon::prelude::*;
    ///
    /// #[message]
    /// struct Token(u32);
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let name = portable_shm_segment_name("doc");
    /// let mut producer = TypedProducer::<Token>::create_default(&name)?;
    /// # let mut consumer = TypedConsumer::<Token>::join(&name, "worker-0")?;
    /// let sent = producer.send_batch(&[Token(7), Token(8)], 0, Patience::Endless)?;
    /// assert_eq!(sent.count, 2);
    /// # let mut sum = 0;
    /// # consumer.process_available(|message| sum += message.decode().map_or(0, |token| token.0))?;
    /// # assert_eq!(sum, 15);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The error of [`send`](Self::send) for the first message that was not sent, and the number of messages before it.
    pub fn send_batch<'m>(
        &mut self,
        messages: impl IntoIterator<Item = &'m T>,
        kind: u8,
        patience: impl Into<Patience>,
    ) -> Result<Sent, BatchError<TypedPublishError>>
    where
        T: 'm,
    {
        self.encoder.send_batch(&mut self.raw, messages, kind, &patience.into()).map_err(|error| error.map(Into::into))
    }

    /// Sends the message for which the last call found no room, as it was encoded then.
    #[cfg(feature = "tokio")]
    pub(crate) fn send_kept(&mut self, kind: u8, patience: Patience) -> Result<Sequence, TypedPublishError> {
        Ok(self.encoder.send_kept(&mut self.raw, kind, patience)?)
    }

    /// Sends `bytes`, which are taken for a message of type `T`: for a message that was encoded before, or in another
    /// place.
    ///
    /// # Errors
    /// As [`TransportProducer::send`]. Nothing was sent.
    pub fn send_raw(&mut self, bytes: &[u8], kind: u8, patience: impl Into<Patience>) -> TransportResult<Sequence> {
        self.raw.send(bytes, kind, patience)
    }

    /// Sends what `encode` writes, which is taken for a message of type `T`: see [`TransportProducer::send_with`].
    ///
    /// # Errors
    /// The same as that call. Nothing was sent.
    pub fn send_raw_with(
        &mut self,
        kind: u8,
        size_hint: usize,
        patience: impl Into<Patience>,
        encode: impl FnMut(&mut [u8]) -> Result<usize, EncodeShort>,
    ) -> TransportResult<Sequence> {
        self.raw.send_with(kind, size_hint, patience, encode)
    }

    /// As [`TransportProducer::set_trace_id`].
    pub fn set_trace_id(&mut self, trace_id: Option<TraceId>) {
        self.raw.set_trace_id(trace_id);
    }

    /// As [`TransportProducer::set_in_reply_to`].
    pub fn set_in_reply_to(&mut self, sequence: Option<Sequence>) {
        self.raw.set_in_reply_to(sequence);
    }

    /// The transport under the stream, read-only: for example the longest message that it sends, and the consumers that
    /// it waits for.
    pub fn raw(&self) -> &TransportProducer<F> {
        &self.raw
    }

    /// Ends this producer without closing the ring, for the next producer. A successor of the same type
    /// takes the ring over if a consumer lives in it. A successor of another version of the type replaces the ring, and
    /// consumers with ids of their own miss nothing ([`message`](crate::codec::message), "Older versions"). Until then
    /// consumers get what is there and then `ProducerDied`, as after a kill. Dropping a producer closes its stream
    /// instead, which ends it for all consumers.
    ///
    /// Call it also when an error ends the producer: messages that absent consumers have not read are lost when it is
    /// dropped, and kept when it hands over.
    pub fn hand_over(mut self) {
        self.leave_to_successor();
    }

    disruptor_mp::producer_end_methods!(end [pub]);
}

/// The function that encodes `message`, once and perhaps again. Only the last attempt has to say how long the message
/// is.
#[inline(always)]
fn attempts<T: Codec>(message: &T, scratch: &mut T::Scratch) -> impl FnMut(&mut [u8]) -> Result<usize, EncodeShort> {
    let mut is_again = false;
    move |into| match std::mem::replace(&mut is_again, true) {
        true => message.encode(scratch, into),
        false => message.encode_if_it_fits(scratch, into),
    }
}

/// Encodes messages of a type into a ring, and counts them.
pub(crate) struct Encoder<T: Codec> {
    scratch: T::Scratch,
    encoded: CounterHandle,
}

impl<T: Codec> Encoder<T> {
    /// An encoder with the counters of `producer`.
    pub(crate) fn new(producer: &impl HasProducer) -> Self {
        Self { scratch: T::Scratch::default(), encoded: producer.counter(ids::CODEC_ENCODE_TOTAL) }
    }

    /// Moves to the counters that `producer` has now.
    pub(crate) fn count_in(&mut self, producer: &impl HasProducer) {
        self.encoded = producer.counter(ids::CODEC_ENCODE_TOTAL);
    }

    /// Encodes `message` in the ring, and again if the room is too small.
    #[inline(always)]
    pub(crate) fn send<F: Format>(
        &mut self,
        ring: &mut TransportProducer<F>,
        message: &T,
        kind: u8,
        patience: &Patience,
    ) -> TransportResult<Sequence> {
        let attempt = attempts(message, &mut self.scratch);
        let sequence = ring.send_with_within(kind, message.size_hint(), patience, attempt)?;
        self.encoded.inc();
        Ok(sequence)
    }

    /// Sends `messages` as a batch, each as [`send`](Self::send) does.
    #[inline(always)]
    pub(crate) fn send_batch<'m, F: Format>(
        &mut self,
        ring: &mut TransportProducer<F>,
        messages: impl IntoIterator<Item = &'m T>,
        kind: u8,
        patience: &Patience,
    ) -> Result<Sent, BatchError<TransportError>>
    where
        T: 'm,
    {
        let scratch = &mut self.scratch;
        let answer = ring.send_each(messages, kind, patience, |batch, letter, message: &T, patience| {
            batch.send_with(letter, message.size_hint(), patience, attempts(message, scratch))
        });
        let sent = answer.as_ref().map_or_else(|error| error.sent, |sent| *sent);
        self.encoded.add(sent.count as u64);
        answer
    }

    /// Sends the message for which the last call found no room, as it was encoded then.
    #[cfg(feature = "tokio")]
    pub(crate) fn send_kept<F: Format>(
        &mut self,
        ring: &mut TransportProducer<F>,
        kind: u8,
        patience: Patience,
    ) -> TransportResult<Sequence> {
        let sequence = ring.send_kept(kind, patience)?;
        self.encoded.inc();
        Ok(sequence)
    }
}

impl<T: Codec, F: Format> HasProducer for TypedProducer<T, F> {
    type Carries = F::Carries;

    fn base(&self) -> &ProducerBase<F::Carries> {
        self.raw.base()
    }

    fn base_mut(&mut self) -> ProducerMut<'_, F::Carries> {
        self.raw.base_mut()
    }

    fn counts_anew(&mut self) {
        self.raw.counts_anew();
        self.encoder.count_in(&self.raw);
    }
}

impl<T: Codec, F: Format> fmt::Debug for TypedProducer<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedProducer")
            .field("messages", &T::type_tag())
            .field("transport", &self.raw)
            .finish_non_exhaustive()
    }
}
