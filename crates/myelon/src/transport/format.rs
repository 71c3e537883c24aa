//! How messages are laid out in a ring: what a transport asks of a format.
//!
//! Only this crate can implement these traits.
//!
//! What an implementation must do, apart from moving bytes:
//! - A message is whole or absent, wherever its sender is killed.
//! - What cannot be sent is refused before anything is written. What can never be sent is refused at once with
//!   [`TransportError::TooLarge`](super::TransportError::TooLarge), whatever the ring holds. What can be sent waits for
//!   its own room, and for no more.
//! - Sending returns the sequence that the received message has. [`is_consumed`](ProducerEnd::is_consumed) works with
//!   it.
//! - A message's bytes are those of the slot or record wherever that is possible, and begin at a multiple of
//!   [`PAYLOAD_ALIGN`](Format::PAYLOAD_ALIGN).
//! - Receiving checks every number before it uses it. What cannot be read is an error value once, and is counted.
//! - Dropping a received message acknowledges the whole message, but not while a panic unwinds. A held message is
//!   released or given back as a whole.

use super::builder::Settings;
use super::error::TransportResult;
use super::prefix::{Envelope, Letter};
use crate::codec::EncodeShort;
use disruptor_mp::__private::ends::{HasConsumer, HasProducer};
use disruptor_mp::segment::SegmentPlan;
use disruptor_mp::{Carries, ConsumeError, ConsumerEnd, Patience, ProducerEnd, Sequence, ShapeError};
use std::mem::ManuallyDrop;

/// How messages are laid out in a ring. Sealed: [`Records`](super::Records), [`FixedFrame`](super::FixedFrame) and
/// [`AlignedFixedFrame`](super::AlignedFixedFrame).
///
/// Both ends of a ring have the same format, which the ring's schema checks.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no format of messages in a ring",
    label = "is no `Format`",
    note = "the formats are `Records`, `FixedFrame<BYTES>` and `AlignedFixedFrame<BYTES>`",
    note = "the codec is said by the message's type, as `#[myelon::message(rkyv)]`, and is no parameter of a stream"
)]
pub trait Format: Sized + 'static {
    /// A payload that is read in place begins at a multiple of this many bytes. A payload that was put together begins
    /// at a multiple of 16.
    const PAYLOAD_ALIGN: usize;

    /// What the ring carries.
    type Carries: Carries;

    /// How much depth the shortest message takes.
    #[doc(hidden)]
    const DEPTH_PER_MESSAGE_MIN: usize;

    /// The smallest depth, in bytes for records and in slots for frames, that takes `in_flight` messages of up to
    /// `message_bytes` bytes each, with send times and trace ids, while the slowest consumer has not released the first
    /// of them. For records the rule is that of [`record_ring_bytes`](disruptor_mp::record_ring_bytes).
    ///
    /// ```
    /// use myelon::transport::{AlignedFixedFrame, Format, Records, TransportBuilder};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// assert_eq!(Records::depth_for(16, 100_000)?, 2 << 20);
    /// assert_eq!(AlignedFixedFrame::<1024>::depth_for(16, 900)?, 16);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `InFlight`: no ring is so large, or no message is so long.
    fn depth_for(in_flight: usize, message_bytes: usize) -> Result<usize, ShapeError>;

    /// How many messages of up to `message_bytes` bytes each a ring of `depth` takes while its slowest consumer has not
    /// released the first of them: the largest number for which [`depth_for`](Self::depth_for) needs no more than
    /// `depth`. 0: it takes no such message.
    ///
    /// ```
    /// use myelon::transport::{AlignedFixedFrame, Format, Records};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// assert_eq!(Records::in_flight_for(64 << 10, 10_000)?, 6);
    /// assert_eq!(AlignedFixedFrame::<1024>::in_flight_for(16, 1500)?, 8); // of two frames each
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ShapeError`]: there is no such ring.
    fn in_flight_for(depth: usize, message_bytes: usize) -> Result<usize, ShapeError>;

    /// How many bytes of shared memory a ring of this depth takes, with entries for that number of consumers.
    ///
    /// # Errors
    /// [`ShapeError`]: there is no such ring.
    fn plan(depth: usize, max_consumers: usize) -> Result<SegmentPlan, ShapeError>;

    /// The sending half.
    #[doc(hidden)]
    type Sender: Sender<Ring: HasProducer<Carries = Self::Carries>>;

    /// The receiving half.
    #[doc(hidden)]
    type Receiver: Receiver<Consumer: HasConsumer<Carries = Self::Carries>>;

    /// Builds the sending half.
    #[doc(hidden)]
    fn sender(settings: Settings) -> TransportResult<Self::Sender>;

    /// Builds the receiving half.
    #[doc(hidden)]
    fn receiver(settings: Settings) -> TransportResult<Self::Receiver>;
}

/// A ring, or a batch of it, with what writes messages into it.
pub trait Sends {
    /// The ring's producer, or a batch of the producer's own.
    type Ring;

    /// What writes messages there.
    type Writing: Writes<Self::Ring>;

    /// Both, to change them.
    fn parts(&mut self) -> (&mut Self::Ring, &mut Self::Writing);

    /// Copies `payload` into the ring, once, and publishes it.
    #[inline(always)]
    fn send(&mut self, letter: &Letter, payload: &[u8], patience: &Patience) -> TransportResult<Sequence> {
        let (ring, writing) = self.parts();
        writing.send(ring, letter, payload, patience)
    }

    /// Lets `encode` write the payload, and publishes as many bytes as it returns. It writes in place if that is likely
    /// to succeed without waiting, otherwise into a buffer. It is called at most twice, and never with more room than
    /// the longest message has.
    #[inline(always)]
    fn send_with(
        &mut self,
        letter: &Letter,
        size_hint: usize,
        patience: &Patience,
        encode: impl FnMut(&mut [u8]) -> Result<usize, EncodeShort>,
    ) -> TransportResult<Sequence> {
        let (ring, writing) = self.parts();
        writing.send_with(ring, letter, size_hint, patience, encode)
    }

    /// Publishes the message for which [`send_with`](Self::send_with) found no room, from the buffer.
    fn send_kept(&mut self, letter: &Letter, patience: &Patience) -> TransportResult<Sequence> {
        let (ring, writing) = self.parts();
        writing.send_kept(ring, letter, patience)
    }
}

/// The sending half of a format: the ring's producer, and what writes messages into the ring.
pub trait Sender: Sends<Ring: ProducerEnd> + Send + 'static {
    /// Several messages that are announced together.
    type Batch<'a>: Sends
    where
        Self: 'a;

    /// The ring's producer, for its peers, its liveness and its counters.
    fn producer(&self) -> &Self::Ring;

    /// The longest message that can be sent with every optional part, in bytes.
    fn max_message_bytes(&self) -> usize;

    /// Begins a batch, which ends when it is dropped.
    fn batch(&mut self) -> Self::Batch<'_>;

    /// The producer's counters have moved.
    fn counts_anew(&mut self);
}

/// Writes and counts messages in `R`, which is the format's ring or a batch of it.
pub trait Writes<R> {
    /// As [`Sends::send`].
    fn send(&mut self, ring: &mut R, letter: &Letter, payload: &[u8], patience: &Patience)
    -> TransportResult<Sequence>;

    /// As [`Sends::send_with`].
    fn send_with(
        &mut self,
        ring: &mut R,
        letter: &Letter,
        size_hint: usize,
        patience: &Patience,
        encode: impl FnMut(&mut [u8]) -> Result<usize, EncodeShort>,
    ) -> TransportResult<Sequence>;

    /// As [`Sends::send_kept`].
    fn send_kept(&mut self, ring: &mut R, letter: &Letter, patience: &Patience) -> TransportResult<Sequence>;
}

/// The receiving half of a format.
pub trait Receiver: Send + 'static {
    /// The ring's consumer.
    type Consumer: ConsumerEnd;

    /// A message that is not acknowledged yet.
    type Held<'a>: Held<Kept = Self::Kept>
    where
        Self: 'a;

    /// The same message, independent of its consumer.
    type Kept: Kept;

    /// The ring's consumer, for its producer, its waits and its counters.
    fn consumer(&self) -> &Self::Consumer;

    /// The same, to change it.
    fn consumer_mut(&mut self) -> &mut Self::Consumer;

    /// The next message. `None` only for [`Patience::Now`].
    #[inline(always)]
    fn next(&mut self, patience: Patience) -> TransportResult<Option<Self::Held<'_>>>
    where
        Self: Sized,
    {
        self.next_or(patience, |_, reason| reason.map_or(Ok(None), |reason| Err(reason.into())))
    }

    /// The next message. If there is none (`None`, without waiting), or a wait has ended, `dry` returns the receiver
    /// with which to continue, or the final answer.
    fn next_or(
        &mut self,
        patience: Patience,
        dry: impl FnMut(&mut Self::Consumer, Option<ConsumeError>) -> TransportResult<Option<Self>>,
    ) -> TransportResult<Option<Self::Held<'_>>>
    where
        Self: Sized;

    /// Hands every available message to `handler`, with `context`, and returns their number: 0 also if none will come.
    /// They are acknowledged on the way: 64 at a time, sooner after a message of several KiB, and when 10 ms have
    /// passed since the last time. If `handler` panics, the messages before that one are acknowledged, and that one is
    /// not. The message is lent to `handler`: dropping it does nothing, and it cannot be held or given back.
    fn process<C>(
        &mut self,
        context: &C,
        handler: impl for<'h> FnMut(ManuallyDrop<Self::Held<'h>>, &'h C),
    ) -> TransportResult<usize>;

    /// Waits until there is a message for `next`, or one that cannot be read, for which `next` returns the error.
    fn wait_until_available(&mut self, patience: Patience) -> Result<(), ConsumeError>;

    /// The number of messages that were skipped because they could not be read.
    fn skipped(&self) -> u64;

    /// The consumer's counters have moved.
    fn counts_anew(&mut self);
}

/// The properties of a received message, whichever end or thread has it.
pub trait Handed {
    /// What came with the payload.
    fn envelope(&self) -> Envelope;

    /// The payload.
    fn bytes(&self) -> &[u8];

    /// The sequence that its sender got.
    fn sequence(&self) -> Sequence;

    /// How often it was handed out before without being acknowledged.
    fn redeliveries(&self) -> u32;

    /// Whether the payload is read where the sender wrote it.
    fn is_in_place(&self) -> bool;
}

/// A message that was handed out; dropping it acknowledges it, but not while a panic unwinds.
pub trait Held: Handed {
    /// The same message, independent of its consumer.
    type Kept: Kept;

    /// Makes it independent of its consumer, with all of its frames.
    fn hold(self) -> Self::Kept;

    /// Gives it back; the next call returns it again.
    fn release_unread(self);
}

/// A message that is independent of its consumer; dropping it gives it back.
pub trait Kept: Handed + Send + 'static {
    /// Acknowledges it.
    fn release(self);
}
