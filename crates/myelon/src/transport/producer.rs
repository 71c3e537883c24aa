//! The sending end of a transport.
//!
//! One thread uses it at a time.

use super::batch::{BatchError, Sent};
use super::builder::TransportBuilder;
use super::error::{TransportError, TransportResult};
use super::format::{Format, Sender, Sends};
use super::prefix::{Letter, Mark, TraceId};
use super::records::Records;
use crate::codec::EncodeShort;
use disruptor_mp::__private::ends::{HasProducer, ProducerBase, ProducerMut};
use disruptor_mp::{Patience, Place, Sequence};
use std::fmt;
use std::time::Instant;

/// Sends messages of any size to every consumer of a ring, whole or not at all.
///
/// Dropping it closes the ring: consumers receive what is left, and then their loops end. The ring's name is gone at
/// once, so a consumer that is away, or ends before it has read everything, cannot come back for the rest. A producer
/// that is to have a successor must [hand over](Self::hand_over).
///
/// ```
/// use myelon::prelude::*;
///
/// # fn main() -> TransportResult<()> {
/// # let name = portable_shm_segment_name("doc");
/// /// The kinds of messages in this program.
/// const STEP: u8 = 1;
///
/// let mut producer = TransportProducer::<Records>::create(&name, 1 << 16)?; // a ring of 64 KiB
/// # let _slow = TransportConsumer::join(&name, "worker-0")?;
/// // Waits for room as long as the patience says.
/// producer.send(b"step 7", STEP, Patience::Endless)?;
///
/// // Without waiting, "full" is an ordinary answer: do something else, and try again.
/// # let mut sent = 0;
/// loop {
///     match producer.send(&[0; 1000], STEP, Patience::Now) {
///         Ok(sequence) => println!("sent as message {sequence}"),
///         Err(error) if error.is_full() => break,
///         Err(error) => return Err(error),
///     }
/// #   sent += 1;
/// }
/// # assert!(sent > 50);
///
/// // What can never fit is refused at once, with the depth that would hold it.
/// let refused = producer.send(&[0; 100_000], STEP, Patience::Endless);
/// assert!(matches!(refused, Err(TransportError::TooLarge { depth_wanted: Some(depth), .. }) if depth == 1 << 17));
/// # Ok(())
/// # }
/// ```
pub struct TransportProducer<F: Format = Records> {
    sender: F::Sender,
    /// The letter of the next message. It is kept from one message to the next, so that only changes are written.
    letter: Letter,
    has_send_time: bool,
    /// How often its counters have moved to another place.
    counter_moves: u32,
}

/// `TransportProducer` on a mapped file; the place is an argument, not another type.
pub type MmapTransportProducer<F = Records> = TransportProducer<F>;

/// Another name of [`TransportProducer`], from earlier versions: it need not carry frames.
pub type FramedTransportProducer<F = Records> = TransportProducer<F>;

/// Another name of [`MmapTransportProducer`], from earlier versions.
pub type MmapFramedTransportProducer<F = Records> = TransportProducer<F>;

impl TransportProducer<Records> {
    /// A producer of records at `place`, in a ring of
    /// [`DEFAULT_RECORD_RING_BYTES`](disruptor_mp::DEFAULT_RECORD_RING_BYTES); see [`create`](Self::create).
    ///
    /// # Errors
    /// As [`TransportBuilder::build_producer`].
    pub fn create_default(place: impl Into<Place>) -> TransportResult<Self> {
        TransportBuilder::to_create(place, None).build_producer()
    }
}

impl<F: Format> TransportProducer<F> {
    /// Changes when its counters move to another place: for an end above it that keeps handles to them.
    pub(crate) fn counter_moves(&self) -> u32 {
        self.counter_moves
    }

    pub(super) fn new(sender: F::Sender, has_send_time: bool) -> Self {
        Self { sender, letter: Letter::default(), has_send_time, counter_moves: 0 }
    }

    /// A producer at `place` with everything else as [`TransportBuilder`] has it. Makes the directory of a file where
    /// it is missing.
    ///
    /// # Errors
    /// As [`TransportBuilder::build_producer`].
    pub fn create(place: impl Into<Place>, depth: usize) -> TransportResult<Self> {
        TransportBuilder::to_create(place, Some(depth)).build_producer()
    }

    /// [`create`](Self::create) with room for `max_consumers` consumers.
    ///
    /// # Errors
    /// As [`TransportBuilder::build_producer`].
    pub fn create_with_consumers(place: impl Into<Place>, depth: usize, max_consumers: usize) -> TransportResult<Self> {
        TransportBuilder::to_create(place, Some(depth)).with_max_consumers(max_consumers).build_producer()
    }

    /// Sends `payload`: waits for room as `patience` says. Returns the message's sequence. The bytes are copied once,
    /// into the ring.
    ///
    /// # Errors
    /// `TooLarge` at once if it can never be sent; `Full` for [`Patience::Now`]; `Publish` and `RequiredConsumer` say
    /// why a wait ended without room. Nothing was sent. Source: RFC 0007, "Sending".
    #[inline(always)]
    pub fn send(&mut self, payload: &[u8], kind: u8, patience: impl Into<Patience>) -> TransportResult<Sequence> {
        self.send_within(payload, kind, &patience.into())
    }

    #[inline(always)]
    fn send_within(&mut self, payload: &[u8], kind: u8, patience: &Patience) -> TransportResult<Sequence> {
        self.letter.address(kind, self.has_send_time);
        let sequence = self.sender.send(&self.letter, payload, patience)?;
        self.letter.msg_id = self.letter.msg_id.wrapping_add(1);
        Ok(sequence)
    }

    /// [`send`](Self::send)`(payload, kind, Patience::Endless)`.
    ///
    /// # Errors
    /// `TooLarge`, `Publish`. Nothing was sent.
    pub fn publish(&mut self, payload: &[u8], kind: u8) -> TransportResult<Sequence> {
        self.send_within(payload, kind, &Patience::Endless)
    }

    /// [`send`](Self::send)`(payload, kind, Patience::Now)`.
    ///
    /// # Errors
    /// `Full`, `TooLarge`. Nothing was sent.
    pub fn try_publish(&mut self, payload: &[u8], kind: u8) -> TransportResult<Sequence> {
        self.send_within(payload, kind, &Patience::Now)
    }

    /// [`send`](Self::send)`(payload, kind, Patience::Until(deadline))`.
    ///
    /// # Errors
    /// As `publish`, and `Publish(TimedOut)` with a report that names the consumer that held the ring back.
    pub fn publish_deadline(&mut self, payload: &[u8], kind: u8, deadline: Instant) -> TransportResult<Sequence> {
        self.send_within(payload, kind, &Patience::Until(deadline))
    }

    /// [`send`](Self::send)`(payload, kind, Patience::Managed)`.
    ///
    /// # Errors
    /// `TooLarge`, `RequiredConsumer`. Nothing was sent.
    pub fn publish_managed(&mut self, payload: &[u8], kind: u8) -> TransportResult<Sequence> {
        self.send_within(payload, kind, &Patience::Managed)
    }

    /// Sends what `encode` writes into the bytes that it is given; it returns how many of them it used.
    ///
    /// The bytes are in the ring if its free space now, in one piece, holds a message of `size_hint` bytes and one as
    /// long as any of the last 32. Otherwise they are in a buffer, from which the message is copied once there is room
    /// for it. So it waits for its own room, whatever the hint. The bytes have arbitrary content. `encode` is called a
    /// second time, with enough room, when it returns [`EncodeShort::Needs`] or [`EncodeShort::TooSmall`], so it must
    /// be repeatable.
    ///
    /// ```
    /// use myelon::codec::{CodecError, EncodeShort};
    /// use myelon::prelude::*;
    ///
    /// # fn main() -> TransportResult<()> {
    /// # let name = portable_shm_segment_name("doc");
    /// # let mut producer = TransportProducer::create_default(&name)?;
    /// # let mut consumer = TransportConsumer::join(&name, "worker-0")?;
    /// let tokens = [1_u32, 2, 3];
    /// let len_bytes = size_of_val(&tokens);
    /// producer.send_with(1, len_bytes, Patience::Endless, |room| {
    ///     let room = room.get_mut(..len_bytes).ok_or(EncodeShort::Needs { len_bytes })?;
    ///     for (room, token) in room.chunks_exact_mut(4).zip(tokens) {
    ///         room.copy_from_slice(&token.to_le_bytes());
    ///     }
    ///     Ok(len_bytes)
    /// })?;
    ///
    /// // An encoder that fails has sent nothing, whatever it has written.
    /// let failed = producer.send_with(1, 64, Patience::Endless, |room| {
    ///     room.fill(0xff);
    ///     Err(CodecError::encode("mine", "no such token").into())
    /// });
    /// assert!(matches!(failed, Err(TransportError::Codec(_))));
    ///
    /// drop(producer);
    /// # let mut lengths = vec![];
    /// while let Some(message) = consumer.next_or_end(Patience::Endless)? {
    /// #   lengths.push(message.len());
    ///     println!("{} bytes", message.len()); // 12 bytes, once
    /// }
    /// # assert_eq!(lengths, [12]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`send`](Self::send), and `Codec` with what `encode` failed with. Nothing was sent. `TooLarge` has the exact
    /// length if `encode` says what it needs.
    ///
    /// # Panics
    /// If `encode` claims more bytes than it was given. Nothing was sent.
    #[inline(always)]
    pub fn send_with(
        &mut self,
        kind: u8,
        size_hint: usize,
        patience: impl Into<Patience>,
        encode: impl FnMut(&mut [u8]) -> Result<usize, EncodeShort>,
    ) -> TransportResult<Sequence> {
        self.send_with_within(kind, size_hint, &patience.into(), encode)
    }

    #[inline(always)]
    pub(crate) fn send_with_within(
        &mut self,
        kind: u8,
        size_hint: usize,
        patience: &Patience,
        encode: impl FnMut(&mut [u8]) -> Result<usize, EncodeShort>,
    ) -> TransportResult<Sequence> {
        self.letter.address(kind, self.has_send_time);
        let sequence = self.sender.send_with(&self.letter, size_hint, patience, encode)?;
        self.letter.msg_id = self.letter.msg_id.wrapping_add(1);
        Ok(sequence)
    }

    /// Sends several messages of one kind, which are announced together: readers that sleep are woken once,
    /// after the last one, or when the call has to wait. A reader that is awake gets each message as soon as it is
    /// written. Each waits for its own room, as [`send`](Self::send) does, and `patience` is that of the whole call.
    ///
    /// ```
    /// use myelon::prelude::*;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let name = portable_shm_segment_name("doc");
    /// # let mut producer = TransportProducer::<Records>::create(&name, 4096)?;
    /// # let mut consumer = TransportConsumer::join(&name, "worker-0")?;
    /// const TOKEN: u8 = 2;
    /// let sent = producer.send_batch(["the", "next", "tokens"], TOKEN, Patience::Endless)?;
    /// assert_eq!((sent.count, sent.last_sequence), (3, Some(2)));
    ///
    /// // If the ring fills up, send the rest later.
    /// let tokens = vec![[0; 48]; 100];
    /// let mut count = 0;
    /// while count < tokens.len() {
    ///     count += match producer.send_batch(&tokens[count..], TOKEN, Patience::Now) {
    ///         Ok(sent) => sent.count,
    ///         Err(full) if full.is_full() => {
    ///             # consumer.process_available(|_| ())?;
    ///             full.sent.count
    ///         }
    ///         Err(error) => return Err(error.into()),
    ///     };
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The error of `send` for the first message that was not sent, and the number of messages before it. Those are
    /// sent; that message and the later ones are not. A process that is killed meanwhile, or whose `messages` panic,
    /// has sent some of the first messages, each whole.
    #[inline(always)]
    pub fn send_batch<M: AsRef<[u8]>>(
        &mut self,
        messages: impl IntoIterator<Item = M>,
        kind: u8,
        patience: impl Into<Patience>,
    ) -> Result<Sent, BatchError<TransportError>> {
        self.send_each(messages, kind, &patience.into(), |batch, letter, message, patience| {
            batch.send(letter, message.as_ref(), patience)
        })
    }

    /// [`send_batch`](Self::send_batch) of `count` messages. `encode(bytes, index)` writes each of them, as for
    /// [`send_with`](Self::send_with), and returns how many bytes it used.
    ///
    /// ```
    /// use myelon::codec::EncodeShort;
    /// use myelon::prelude::*;
    ///
    /// # fn main() -> TransportResult<()> {
    /// # let name = portable_shm_segment_name("doc");
    /// # let mut producer = TransportProducer::create_default(&name)?;
    /// # let mut consumer = TransportConsumer::join(&name, "worker-0")?;
    /// let tokens = [7_u32, 8, 9];
    /// producer.send_batch_with(tokens.len(), 2, 4, Patience::Endless, |bytes, index| {
    ///     let place = bytes.first_chunk_mut().ok_or(EncodeShort::Needs { len_bytes: 4 })?;
    ///     *place = tokens[index].to_le_bytes();
    ///     Ok(4)
    /// })?;
    /// # let mut seen = vec![];
    /// # consumer.process_available(|meta| seen.extend_from_slice(meta.data))?;
    /// # assert_eq!(seen, [7, 0, 0, 0, 8, 0, 0, 0, 9, 0, 0, 0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As `send_batch`, and `Codec` with what `encode` failed with.
    ///
    /// # Panics
    /// If `encode` claims more bytes than it was given. The messages before that one are sent.
    #[inline(always)]
    pub fn send_batch_with(
        &mut self,
        count: usize,
        kind: u8,
        size_hint: usize,
        patience: impl Into<Patience>,
        mut encode: impl FnMut(&mut [u8], usize) -> Result<usize, EncodeShort>,
    ) -> Result<Sent, BatchError<TransportError>> {
        self.send_each(0..count, kind, &patience.into(), |batch, letter, index, patience| {
            batch.send_with(letter, size_hint, patience, |bytes| encode(bytes, index))
        })
    }

    /// Sends each of `messages` by `send`, as a batch.
    #[inline(always)]
    pub(crate) fn send_each<M>(
        &mut self,
        messages: impl IntoIterator<Item = M>,
        kind: u8,
        patience: &Patience,
        mut send: impl FnMut(&mut <F::Sender as Sender>::Batch<'_>, &Letter, M, &Patience) -> TransportResult<Sequence>,
    ) -> Result<Sent, BatchError<TransportError>> {
        // Two numbers instead of a `Sent`, which is made at the end.
        let (mut count, mut last_sequence) = (0, -1);
        let mut batch = self.sender.batch();
        for message in messages {
            self.letter.address(kind, self.has_send_time);
            match send(&mut batch, &self.letter, message, patience) {
                Ok(sequence) => {
                    self.letter.msg_id = self.letter.msg_id.wrapping_add(1);
                    (count, last_sequence) = (count + 1, sequence);
                }
                Err(error) => return Err(BatchError::after(Sent::of(count, last_sequence), error)),
            }
        }
        Ok(Sent::of(count, last_sequence))
    }

    /// Sends the message that [`send_with`](Self::send_with) has encoded and found no room for.
    #[cfg(feature = "tokio")]
    pub(crate) fn send_kept(&mut self, kind: u8, patience: Patience) -> TransportResult<Sequence> {
        self.letter.address(kind, self.has_send_time);
        let sequence = self.sender.send_kept(&self.letter, &patience)?;
        self.letter.msg_id = self.letter.msg_id.wrapping_add(1);
        Ok(sequence)
    }

    /// The longest message that can be sent with every optional part, in bytes.
    pub fn max_message_bytes(&self) -> usize {
        self.sender.max_message_bytes()
    }

    /// Sets the trace of all messages from now on; `None`: no trace. Each message carries it, in 16 bytes.
    pub fn set_trace_id(&mut self, trace_id: Option<TraceId>) {
        self.letter.prefix.trace_id = trace_id;
    }

    /// Sets the message that all messages from now on answer; `None`: none. Each message carries its sequence, in 8
    /// bytes, in the place of the [send time](TransportBuilder::with_send_time). The ends of a
    /// [topology](crate::topology) set it themselves.
    pub fn set_in_reply_to(&mut self, sequence: Option<Sequence>) {
        self.letter.prefix.mark = sequence.map_or(Mark::Nothing, Mark::InReplyTo);
    }

    /// [`wait_for_consumers`](Self::wait_for_consumers)`(1, patience)`.
    pub fn discover_consumers(&self, patience: impl Into<Patience>) -> bool {
        self.wait_for_consumers(1, patience)
    }

    /// [`wait_for_consumer`](Self::wait_for_consumer)`(id, patience)`.
    pub fn discover_consumer_id(&self, id: &str, patience: impl Into<Patience>) -> bool {
        self.wait_for_consumer(id, patience)
    }

    /// Ends this producer without closing the ring, for the next producer. A successor of the same type
    /// takes the ring over if a consumer lives in it. A successor of another version of the type replaces the ring, and
    /// consumers with ids of their own miss nothing ([`message`](crate::codec::message), "Older versions"). Until then
    /// consumers get what is there and then `ProducerDied`, as after a kill. Dropping a producer closes its stream
    /// instead, which ends it for all consumers.
    pub fn hand_over(mut self) {
        self.leave_to_successor();
    }

    disruptor_mp::producer_end_methods!(end [pub]);
}

impl<F: Format> HasProducer for TransportProducer<F> {
    type Carries = F::Carries;

    fn base(&self) -> &ProducerBase<F::Carries> {
        self.sender.producer().base()
    }

    fn base_mut(&mut self) -> ProducerMut<'_, F::Carries> {
        self.sender.parts().0.base_mut()
    }

    fn counts_anew(&mut self) {
        self.counter_moves = self.counter_moves.wrapping_add(1);
        self.sender.counts_anew();
    }
}

impl<F: Format> fmt::Debug for FramedTransportProducer<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.base().describe("TransportProducer", f)
    }
}
