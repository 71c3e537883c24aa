//! The receiving end of a transport.
//!
//! One thread uses it at a time.

use super::builder::TransportBuilder;
use super::error::{TransportError, TransportResult};
use super::format::{Format, Receiver};
use super::frame::FrameMeta;
use super::message::{HeldMessage, Message};
use super::records::Records;
use disruptor_mp::__private::ends::{ConsumerBase, ConsumerMut, HasConsumer};
use disruptor_mp::{ConsumeError, Holds, Messages, Patience, Place, WaitStrategy, or_end};
use std::fmt;
use std::mem::ManuallyDrop;

/// Receives every message of a ring from its own start on, in order and whole; the sender waits for it.
///
/// Delivery is *at least once*: a message is acknowledged when it is dropped. A consumer that is killed, or dropped,
/// and comes back under its id gets again what it had not acknowledged, [marked](Message::is_redelivered).
///
/// A consumer whose id the program chose keeps its entry however it is dropped: by an error that ends `main`, by a
/// cancelled task, by a panic. Then the sender waits for the consumer to come back, and is told that it is gone. The
/// entry is given up by [`leave`](Self::leave), and by a consumer that has read up to *closed*. A sender that closes
/// the stream ends it for absent consumers too: none can attach to it from then on.
///
/// A message that [`next`](Self::next) lends is read and acknowledged before the next one. To answer out of order, or
/// in other threads or tasks, take messages by [`next_held`](Self::next_held).
///
/// ```
/// use myelon::prelude::*;
///
/// # fn main() -> TransportResult<()> {
/// # let name = portable_shm_segment_name("doc");
/// # const STEP: u8 = 1;
/// # let mut producer = TransportProducer::create_default(&name)?;
/// // With an id, whatever the ring's size. Started again under that id, it continues where it stopped.
/// let mut consumer = TransportConsumer::join(&name, "worker-0")?;
/// # producer.publish(b"a step", STEP)?;
/// # producer.publish(b"?", 9)?;
/// # drop(producer);
/// # let mut steps = 0;
/// while let Some(message) = consumer.next_or_end(Patience::Endless)? {
///     if message.redeliveries() > 2 {
///         eprintln!("message {} was left out: three workers have died of it", message.sequence());
///         continue;
///     }
///     match message.kind() {
///         STEP => println!("a step of {} bytes", message.len()), // read in place
///         other => eprintln!("message {} is of kind {other}, which nothing here knows", message.sequence()),
///     }
/// #   steps += usize::from(message.kind() == STEP);
/// } // each is acknowledged here, when it is dropped
/// # assert_eq!(steps, 1);
/// # Ok(())
/// # }
/// ```
pub struct TransportConsumer<F: Format = Records> {
    receiver: F::Receiver,
    /// How often its counters have moved to another place.
    counter_moves: u32,
}

/// `TransportConsumer` on a mapped file; the place is an argument, not another type.
pub type MmapTransportConsumer<F = Records> = TransportConsumer<F>;

/// The consumer of a ring of that format.
pub(crate) type ConsumerOf<F> = <<F as Format>::Receiver as Receiver>::Consumer;

/// Another name of [`TransportConsumer`], from earlier versions: it need not carry frames.
pub type FramedTransportConsumer<F = Records> = TransportConsumer<F>;

/// Another name of [`MmapTransportConsumer`], from earlier versions.
pub type MmapFramedTransportConsumer<F = Records> = TransportConsumer<F>;

impl TransportConsumer<Records> {
    /// Joins the ring of records at `place`, whatever its size, as consumer `id`. A process can come back under that id
    /// after its death.
    ///
    /// # Errors
    /// As [`TransportBuilder::build_consumer`].
    pub fn join(place: impl Into<Place>, id: impl Into<String>) -> TransportResult<Self> {
        TransportBuilder::at(place).with_consumer_id(id).build_consumer()
    }
}

impl<F: Format> TransportConsumer<F> {
    pub(super) fn new(receiver: F::Receiver) -> Self {
        Self { receiver, counter_moves: 0 }
    }

    /// Changes when its counters move to another place: for an end above it that keeps handles to them.
    pub(crate) fn counter_moves(&self) -> u32 {
        self.counter_moves
    }

    /// Attaches to the ring at `place`, with everything else as [`TransportBuilder`] has it. Depth 0 means whatever it
    /// has.
    ///
    /// # Errors
    /// As [`TransportBuilder::build_consumer`].
    pub fn attach(place: impl Into<Place>, depth: usize, wait: impl Into<WaitStrategy>) -> TransportResult<Self> {
        TransportBuilder::new(place, depth).with_wait_strategy(wait).build_consumer()
    }

    /// [`attach`](Self::attach) under an id, to which a consumer can come back after its death.
    ///
    /// # Errors
    /// As [`TransportBuilder::build_consumer`].
    pub fn attach_with_consumer_id(
        place: impl Into<Place>,
        depth: usize,
        id: impl Into<String>,
        wait: impl Into<WaitStrategy>,
    ) -> TransportResult<Self> {
        TransportBuilder::new(place, depth).with_consumer_id(id).with_wait_strategy(wait).build_consumer()
    }

    /// The next message; waits for it as `patience` says. `None` only for [`Patience::Now`], if there is none yet.
    /// Dropping the message acknowledges it.
    ///
    /// A message in one frame or record is read in place. A message in several frames was copied once, into a buffer
    /// that is used again, and keeps all its slots until it is dropped.
    ///
    /// # Errors
    /// `Consume`: the wait ended; everything sent before the end is received first. `Malformed`: one message could not
    /// be read and was skipped; go on. With `Now` only the ring is read, so it does not notice a sender that was
    /// killed: call [`check_producer`](Self::check_producer) for that. Source: RFC 0007, "Receiving".
    #[inline(always)]
    pub fn next(&mut self, patience: impl Into<Patience>) -> TransportResult<Option<Message<'_, F>>> {
        Ok(self.receiver.next(patience.into())?.map(Message::new))
    }

    /// [`next`](Self::next) for a consumer that can continue in another ring: see [`Receiver::next_or`].
    #[inline(always)]
    pub(crate) fn next_or(
        &mut self,
        patience: Patience,
        mut dry: impl FnMut(&mut ConsumerOf<F>, Option<ConsumeError>) -> TransportResult<Option<Self>>,
    ) -> TransportResult<Option<Message<'_, F>>> {
        let next = self.receiver.next_or(patience, |end, reason| Ok(dry(end, reason)?.map(|other| other.receiver)))?;
        Ok(next.map(Message::new))
    }

    /// [`next`](Self::next) for loops that end when the stream ends: `None` says that the sender has closed it and
    /// everything was received. If there is nothing yet, the error is `Consume(TimedOut)`.
    ///
    /// ```
    /// # use myelon::prelude::*;
    /// # fn main() -> TransportResult<()> {
    /// # let name = portable_shm_segment_name("doc");
    /// # let mut producer: TransportProducer = TransportProducer::create(&name, 1 << 16)?;
    /// # let mut consumer: TransportConsumer = TransportBuilder::new(&name, 0).build_consumer()?;
    /// # producer.publish(b"a step", 1)?;
    /// # drop(producer);
    /// let mut bytes = 0;
    /// while let Some(message) = consumer.next_or_end(Patience::Endless)? {
    ///     bytes += message.len();
    /// }
    /// # assert_eq!(bytes, 6);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`next`](Self::next), except `Consume(Closed)`.
    #[inline(always)]
    pub fn next_or_end(&mut self, patience: impl Into<Patience>) -> TransportResult<Option<Message<'_, F>>> {
        or_end(self.next(patience), TransportError::is_closed)
    }

    /// The next message, which any thread or task can release while newer ones are received; `None` only for
    /// [`Patience::Now`]. A message that was given back comes before newer ones. Counted from the oldest message that
    /// it still holds, a consumer gets at most 64 ([`HELD_MAX`](crate::HELD_MAX)), released or not. Then no receiving
    /// call returns a newer one before the oldest is released; releasing another message does not help.
    ///
    /// # Errors
    /// As [`next`](Self::next); `Consume(HeldLimit)` at that limit, if the oldest is not released within `patience`;
    /// for [`Patience::Now`] at once.
    pub fn next_held(&mut self, patience: impl Into<Patience>) -> TransportResult<Option<HeldMessage<F>>> {
        Ok(self.next(patience)?.map(Message::hold))
    }

    /// The messages of the ring, each as a value of its own, until the sender closes it.
    ///
    /// A message of the loop is acknowledged when it is dropped, except by a panic, which gives it back.
    /// [`hold`](disruptor_mp::Taken::hold) keeps it beyond the loop's turn. Counted from the oldest message that is
    /// kept, 64 are handed out; then the loop waits until that one is released or dropped. A message that cannot be
    /// read is an error item, and the loop goes on. Every end of the ring except *closed* is an error item too.
    ///
    /// ```
    /// # use myelon::prelude::*;
    /// # fn main() -> TransportResult<()> {
    /// # let name = portable_shm_segment_name("doc");
    /// # let mut producer = TransportProducer::create_default(&name)?;
    /// # let mut consumer = TransportConsumer::join(&name, "worker-0")?;
    /// # producer.publish(b"a step", 1)?;
    /// # drop(producer);
    /// # let mut lengths = vec![];
    /// for message in consumer.messages() {
    ///     lengths.push(message?.len());
    /// }
    /// assert_eq!(lengths, [6]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn messages(&mut self) -> Messages<'_, Self> {
        Messages::new(self)
    }

    /// The next message as `(kind, bytes)`, copied and acknowledged. For a program that keeps the bytes, or cannot
    /// trust the sender not to change its slots.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub fn receive_owned(&mut self, patience: impl Into<Patience>) -> TransportResult<Option<(u8, Vec<u8>)>> {
        Ok(self.next(patience)?.map(|message| (message.kind(), message.to_vec())))
    }

    /// [`receive_owned`](Self::receive_owned) for loops that end when the stream ends, like
    /// [`next_or_end`](Self::next_or_end).
    ///
    /// # Errors
    /// As [`next_or_end`](Self::next_or_end).
    pub fn receive_owned_or_end(&mut self, patience: impl Into<Patience>) -> TransportResult<Option<(u8, Vec<u8>)>> {
        or_end(self.receive_owned(patience), TransportError::is_closed)
    }

    /// Hands every available message to `handler`, and returns their number.
    ///
    /// They are acknowledged on the way: 64 at a time, at once after a message of 4 KiB or more, and when 10 ms have
    /// passed since the last time. So a sender sees the progress of a slow handler, and gets room. If `handler` panics,
    /// the messages before that one are acknowledged, and it is not: it comes again.
    ///
    /// # Errors
    /// `Malformed`: a message could not be read and was skipped; those before it were handed over. Go on. `Consume`:
    /// there is no message, and none will come.
    #[inline]
    pub fn process_available(&mut self, mut handler: impl FnMut(FrameMeta<'_>)) -> TransportResult<usize> {
        loop {
            let handled = self.process(&(), |message, ()| handler(message.meta()))?;
            // If there was no message, the ring may have ended.
            if handled > 0 || !self.has_next()? {
                return Ok(handled);
            }
        }
    }

    /// Whether there is a message now.
    #[cold]
    #[inline(never)]
    fn has_next(&mut self) -> TransportResult<bool> {
        Ok(self.next(Patience::Now)?.map(Message::release_unread).is_some())
    }

    /// [`process_available`](Self::process_available) with the messages that [`Receiver::process`] lends, and with
    /// `context`.
    #[inline(always)]
    pub(crate) fn process<C>(
        &mut self,
        context: &C,
        mut handler: impl for<'h> FnMut(ManuallyDrop<Message<'h, F>>, &'h C),
    ) -> TransportResult<usize> {
        self.receiver.process(context, |message, context| {
            handler(ManuallyDrop::new(Message::new(ManuallyDrop::into_inner(message))), context)
        })
    }

    /// Gives the entry up: messages that were not acknowledged are lost to this id. The id is free, and the sender no
    /// longer waits for it. A sender that requires this consumer is told.
    pub fn leave(mut self) {
        self.leave_on_drop();
    }

    /// Skips the next message without reading it: for a message that has killed its consumer before. `false` if there
    /// is none now.
    ///
    /// # Errors
    /// As [`next`](Self::next): a message that cannot be read was skipped as well.
    pub fn skip(&mut self) -> TransportResult<bool> {
        Ok(self.next(Patience::Now)?.is_some())
    }

    /// The number of messages that were skipped because they could not be read: broken ones, and one for a start in the
    /// middle of a message. It only grows.
    pub fn skipped(&self) -> u64 {
        self.receiver.skipped()
    }

    disruptor_mp::consumer_end_methods!(end [pub]);
}

impl<F: Format> Holds for TransportConsumer<F> {
    type Held = HeldMessage<F>;
    type Error = TransportError;

    fn take_held(&mut self, patience: Patience) -> TransportResult<Option<HeldMessage<F>>> {
        self.next_held(patience)
    }

    fn consume_error(error: &TransportError) -> Option<&ConsumeError> {
        match error {
            TransportError::Consume(error) => Some(error),
            _ => None,
        }
    }
}

impl<F: Format> HasConsumer for TransportConsumer<F> {
    type Carries = F::Carries;

    fn base(&self) -> &ConsumerBase<F::Carries> {
        self.receiver.consumer().base()
    }

    fn base_mut(&mut self) -> ConsumerMut<'_, F::Carries> {
        self.receiver.consumer_mut().base_mut()
    }

    fn wait_for_next(&mut self, patience: Patience) -> Result<(), ConsumeError> {
        self.receiver.wait_until_available(patience)
    }

    fn counts_anew(&mut self) {
        self.counter_moves = self.counter_moves.wrapping_add(1);
        self.receiver.counts_anew();
    }
}

impl<F: Format> fmt::Debug for FramedTransportConsumer<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.base().describe("TransportConsumer", f)
    }
}
