//! A message that was received and is not acknowledged yet.
//!
//! [`Message`] borrows its consumer, so that there is one at a time. [`HeldMessage`] does not, and may be used in any
//! thread.

use super::format::{Format, Handed, Held, Kept, Receiver};
use super::frame::FrameMeta;
use super::prefix::{Envelope, TraceId};
use super::records::Records;
use disruptor_mp::{Release, Sequence};
use std::fmt;
use std::ops::Deref;

/// The methods that tell how a message was sent.
macro_rules! asked_of_a_message {
    () => {
        /// The application's kind.
        pub fn kind(&self) -> u8 {
            self.envelope().kind
        }

        /// See [`FRAME_FIRST`](super::FRAME_FIRST) and the other flags; for a message in several frames, those of the
        /// first.
        pub fn flags(&self) -> u8 {
            self.envelope().flags
        }

        /// The number of the message; it wraps. In frames, the sender counts its messages, and each sender starts from
        /// 0. In records it is the low half of the sequence.
        pub fn msg_id(&self) -> u32 {
            self.envelope().msg_id
        }

        /// When it was sent, if its sender says so; compare with [`monotonic_ns`](super::monotonic_ns).
        pub fn timestamp_ns(&self) -> Option<u64> {
            self.envelope().mark.timestamp_ns()
        }

        /// The sequence of the message that this one answers, if its sender says so: in a topology, the broadcast.
        pub fn in_reply_to(&self) -> Option<Sequence> {
            self.envelope().mark.in_reply_to()
        }

        /// The trace that it belongs to, if its sender says so.
        pub fn trace_id(&self) -> Option<TraceId> {
            self.envelope().trace_id
        }

        /// All properties and the bytes at once, as handlers get them.
        pub fn meta(&self) -> FrameMeta<'_> {
            let Envelope { kind, flags, msg_id, mark, .. } = self.envelope();
            FrameMeta { len: self.len(), kind, flags, msg_id, timestamp_ns: mark.timestamp_ns(), data: self }
        }
    };
}
pub(super) use asked_of_a_message;

/// The further methods of a message that must be acknowledged, whichever end or thread has it.
macro_rules! asked_of_a_delivery {
    () => {
        fn envelope(&self) -> Envelope {
            self.message.envelope()
        }

        /// The sequence that its sender got: that of its last frame, or the number of its record.
        pub fn sequence(&self) -> Sequence {
            self.message.sequence()
        }

        /// Whether it may have been handed out before, to a consumer of this id that died without acknowledging it.
        pub fn is_redelivered(&self) -> bool {
            self.redeliveries() > 0
        }

        /// How often it was handed out without being acknowledged, as far as is known. If the count grows with every
        /// restart, the message kills its consumer.
        pub fn redeliveries(&self) -> u32 {
            self.message.redeliveries()
        }

        /// Whether the bytes are read where the sender wrote them. Those of a message in several frames are a copy.
        pub fn is_in_place(&self) -> bool {
            self.message.is_in_place()
        }
    };
}

/// A message: its bytes, by `Deref`, and its properties. Dropping it acknowledges the whole message. While a panic
/// unwinds it is not acknowledged, and comes again.
///
/// ```
/// use myelon::prelude::*;
///
/// # fn main() -> TransportResult<()> {
/// # let name = portable_shm_segment_name("doc");
/// # let mut producer = TransportBuilder::at(&name).with_send_time(true).build_producer()?;
/// # let mut consumer = TransportConsumer::join(&name, "worker-0")?;
/// # producer.publish(b"a step", 1)?;
/// # drop(producer);
/// // A worker that cannot take it now gives it back: the next call returns it again.
/// if let Some(message) = consumer.next(Patience::Endless)? {
///     message.release_unread();
/// }
/// while let Some(message) = consumer.next_or_end(Patience::Endless)? {
///     assert_eq!((&message[..], message.kind(), message.sequence()), (&b"a step"[..], 1, 0));
///     // With `with_send_time(true)` its sender says when it was sent.
///     if let Some(sent_ns) = message.timestamp_ns() {
///         println!("{} ns on its way", myelon::transport::monotonic_ns() - sent_ns);
///     }
/// #   assert!(message.timestamp_ns().is_some());
/// } // acknowledged
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping a message acknowledges it"]
pub struct Message<'a, F: Format> {
    message: <F::Receiver as Receiver>::Held<'a>,
}

impl<'a, F: Format> Message<'a, F>
where
    F::Receiver: 'a,
{
    #[inline(always)]
    pub(super) fn new(message: <F::Receiver as Receiver>::Held<'a>) -> Self {
        Self { message }
    }

    asked_of_a_message!();
    asked_of_a_delivery!();

    /// Makes the message independent of the consumer: [`HeldMessage::release`] then acknowledges it, in any thread,
    /// while newer ones are received. The bytes of a message in several frames are copied.
    pub fn hold(self) -> HeldMessage<F> {
        HeldMessage { message: self.message.hold() }
    }

    /// Gives the message back without acknowledging it: the next call returns it again.
    pub fn release_unread(self) {
        self.message.release_unread();
    }
}

impl<F: Format> Deref for Message<'_, F> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.message.bytes()
    }
}

/// A message that can be kept, in any thread or task: its bytes, by `Deref`, and its properties.
/// [`release`](Self::release) acknowledges it. Dropping it gives it back, even in a panic or a cancelled task. The next
/// call of its consumer returns it before newer ones, [marked](Self::is_redelivered).
///
/// Answer first, then release: a process that is killed in between answers twice when it comes back, instead of never.
/// A message that is dropped comes again at once: [`redeliveries`](Self::redeliveries) says how often.
///
/// The sender waits for the oldest message that is not released. So does the consumer, once it has received 64 messages
/// ([`HELD_MAX`](crate::HELD_MAX)) counted from that one. The consumer's entry is kept until the last message is
/// released or dropped, even if the consumer was dropped. Until then its id is in use, also for this process.
///
/// The end of the stream does not wait for held messages. A message that is given back after the end is returned by one
/// more call of the consumer. Keep the consumer until all messages are released: no consumer can come back to a closed
/// stream.
///
/// ```
/// use myelon::prelude::*;
/// use std::thread;
///
/// # fn main() -> TransportResult<()> {
/// # let name = portable_shm_segment_name("doc");
/// # let mut producer = TransportProducer::create_default(&name)?;
/// # let mut consumer = TransportConsumer::join(&name, "worker-0")?;
/// # producer.publish(b"a short step", 1)?;
/// # producer.publish(b"a step", 1)?;
/// # drop(producer);
/// // Each message is worked on by a thread of its own, while newer ones are received.
/// let mut threads = vec![];
/// for message in consumer.messages() {
///     let message: HeldMessage = message?.hold();
///     threads.push(thread::spawn(move || {
///         println!("{} bytes of kind {}", message.len(), message.kind());
///         message.release(); // done; without this it would come again
///     }));
/// }
/// # assert_eq!(threads.len(), 2);
/// for thread in threads {
///     thread.join().expect("no message makes it panic");
/// }
/// # Ok(())
/// # }
/// ```
///
/// Source: RFC 0014.
#[must_use = "dropping a held message gives it back"]
pub struct HeldMessage<F: Format = Records> {
    message: <F::Receiver as Receiver>::Kept,
}

impl<F: Format> HeldMessage<F> {
    asked_of_a_message!();
    asked_of_a_delivery!();

    /// Acknowledges the message.
    ///
    /// ```compile_fail,E0382
    /// fn answer(message: myelon::transport::HeldMessage) -> usize {
    ///     message.release();
    ///     message.len()
    /// }
    /// ```
    pub fn release(self) {
        self.message.release();
    }
}

impl<F: Format> Release for HeldMessage<F> {
    fn release(self) {
        self.release();
    }
}

impl<F: Format> Deref for HeldMessage<F> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.message.bytes()
    }
}

impl<F: Format> fmt::Debug for HeldMessage<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldMessage")
            .field("sequence", &self.sequence())
            .field("kind", &self.kind())
            .field("len_bytes", &self.len())
            .finish_non_exhaustive()
    }
}

impl<F: Format> fmt::Debug for Message<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("sequence", &self.sequence())
            .field("kind", &self.kind())
            .field("msg_id", &self.msg_id())
            .field("redeliveries", &self.redeliveries())
            .field("len_bytes", &self.len())
            .finish_non_exhaustive()
    }
}
