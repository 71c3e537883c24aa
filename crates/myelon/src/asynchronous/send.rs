//! The sending end, awaited: [`AsyncProducer`].
//!
//! One task uses it at a time.

use super::bell::Bell;
use crate::codec::Codec;
use crate::topology::TypedRing;
use crate::transport::{BatchError, Format, Sent, TraceId, TransportError, TransportProducer};
use crate::typed_transport::{TypedProducer, TypedPublishError};
use disruptor_mp::__private::ends::{HasProducer, ProducerBase, ProducerMut};
use disruptor_mp::{Patience, ProducerEnd, PublishError, RoomDoorbell, Sequence};
use std::fmt;
use std::future::poll_fn;
use std::task::ready;
use std::time::Duration;
use tokio::task::coop;

/// How often a full ring is looked at again before its producer sleeps: consumers that run make room in less than a
/// tick.
const LOOKS_BEFORE_SLEEP: u32 = 16;

/// The pause between two further looks when there is no doorbell: the shortest that tokio's clock has.
const PAUSE: Duration = Duration::from_millis(1);

/// The doorbell of a producer that awaits room, made at its first use.
pub(super) type RoomBell = Option<Bell<RoomDoorbell>>;

/// An end whose room can be awaited: [`TransportProducer`] or [`TypedProducer`]. Sealed.
pub trait Publish: sealed::Publish + ProducerEnd {}

impl<F: Format> Publish for TransportProducer<F> {}
impl<T: Codec, F: Format> Publish for TypedProducer<T, F> {}
impl<T: Codec, F: Format> Publish for TypedRing<'_, T, F> {}

mod sealed {
    use super::*;

    /// What an end must be able to do without waiting.
    pub trait Publish {
        type Message: ?Sized;
        type Error: From<TransportError>;

        fn publish_now(&mut self, message: &Self::Message, kind: u8) -> Result<Sequence, Self::Error>;

        /// [`publish_now`](Self::publish_now) for the message for which the last call found no room. It is not encoded
        /// again.
        fn publish_again(&mut self, message: &Self::Message, kind: u8) -> Result<Sequence, Self::Error>;

        /// Sends as many of the messages as there is room for, and announces them together.
        fn publish_batch_now<'m>(
            &mut self,
            messages: impl Iterator<Item = &'m Self::Message>,
            kind: u8,
        ) -> Result<Sent, BatchError<Self::Error>>
        where
            Self::Message: 'm;

        /// Whether `error` says that there is no room now.
        fn is_full(error: &Self::Error) -> bool;

        /// The end's own call of that name.
        fn set_trace_id(&mut self, trace_id: Option<TraceId>);

        /// The end's own call of that name.
        fn set_in_reply_to(&mut self, sequence: Option<Sequence>);
    }
}

impl<F: Format> sealed::Publish for TransportProducer<F> {
    type Message = [u8];
    type Error = TransportError;

    fn publish_now(&mut self, message: &[u8], kind: u8) -> Result<Sequence, TransportError> {
        self.try_publish(message, kind)
    }

    fn publish_again(&mut self, message: &[u8], kind: u8) -> Result<Sequence, TransportError> {
        self.try_publish(message, kind)
    }

    fn publish_batch_now<'m>(
        &mut self,
        messages: impl Iterator<Item = &'m [u8]>,
        kind: u8,
    ) -> Result<Sent, BatchError<TransportError>> {
        self.send_batch(messages, kind, Patience::Now)
    }

    fn is_full(error: &TransportError) -> bool {
        matches!(error, TransportError::Full)
    }

    fn set_trace_id(&mut self, trace_id: Option<TraceId>) {
        self.set_trace_id(trace_id);
    }

    fn set_in_reply_to(&mut self, sequence: Option<Sequence>) {
        self.set_in_reply_to(sequence);
    }
}

impl<T: Codec, F: Format> sealed::Publish for TypedProducer<T, F> {
    type Message = T;
    type Error = TypedPublishError;

    fn publish_now(&mut self, message: &T, kind: u8) -> Result<Sequence, TypedPublishError> {
        self.try_publish(message, kind)
    }

    fn publish_again(&mut self, _message: &T, kind: u8) -> Result<Sequence, TypedPublishError> {
        self.send_kept(kind, Patience::Now)
    }

    fn publish_batch_now<'m>(
        &mut self,
        messages: impl Iterator<Item = &'m T>,
        kind: u8,
    ) -> Result<Sent, BatchError<TypedPublishError>>
    where
        T: 'm,
    {
        self.send_batch(messages, kind, Patience::Now)
    }

    fn is_full(error: &TypedPublishError) -> bool {
        matches!(error, TypedPublishError::Transport(TransportError::Full))
    }

    fn set_trace_id(&mut self, trace_id: Option<TraceId>) {
        self.set_trace_id(trace_id);
    }

    fn set_in_reply_to(&mut self, sequence: Option<Sequence>) {
        self.set_in_reply_to(sequence);
    }
}

impl<T: Codec, F: Format> sealed::Publish for TypedRing<'_, T, F> {
    type Message = T;
    type Error = TransportError;

    fn publish_now(&mut self, message: &T, kind: u8) -> Result<Sequence, TransportError> {
        self.send(message, kind, Patience::Now)
    }

    fn publish_again(&mut self, _message: &T, kind: u8) -> Result<Sequence, TransportError> {
        self.send_kept(kind, Patience::Now)
    }

    fn publish_batch_now<'m>(
        &mut self,
        messages: impl Iterator<Item = &'m T>,
        kind: u8,
    ) -> Result<Sent, BatchError<TransportError>>
    where
        T: 'm,
    {
        self.send_batch(messages, kind, Patience::Now)
    }

    fn is_full(error: &TransportError) -> bool {
        matches!(error, TransportError::Full)
    }

    fn set_trace_id(&mut self, trace_id: Option<TraceId>) {
        self.ring.set_trace_id(trace_id);
    }

    fn set_in_reply_to(&mut self, sequence: Option<Sequence>) {
        self.ring.set_in_reply_to(sequence);
    }
}

/// A producer whose room is awaited: `P` is a [`TransportProducer`] or a [`TypedProducer`].
///
/// While the ring is full, its task looks again in sixteen turns of the runtime: consumers that run make room in less.
/// Then it sleeps, and so may the thread: one thread of the process waits at the bell of the consumer that keeps the
/// ring full. Without a doorbell (on a system other than Linux, or with no descriptor left) it looks once a
/// millisecond.
///
/// ```
/// use myelon::asynchronous::AsyncProducer;
/// use myelon::prelude::*;
/// use std::time::Duration;
/// use tokio::time::timeout;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let name = portable_shm_segment_name("doc");
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(async {
/// let mut producer = AsyncProducer::new(TransportProducer::<Records>::create(&name, 4096)?);
/// # let _idle = TransportConsumer::join(&name, "worker-0")?;
/// producer.publish(b"a step", 1).await?; // waits for room as long as the consumers live
///
/// // To limit the wait, use tokio's own timeout. A message that was given up was not sent.
/// while let Ok(sent) = timeout(Duration::from_millis(1), producer.publish(&[0; 1000], 1)).await {
///     println!("sent as message {}", sent?);
/// }
/// for consumer in producer.get_ref().consumers() {
///     println!("{} has read up to message {}", consumer.id, consumer.position); // which one is slow
/// }
/// # assert_eq!(producer.get_ref().consumers()[0].position, 0);
/// # Ok(())
/// # })
/// # }
/// ```
pub struct AsyncProducer<P> {
    // Dropped before the producer, so that nothing waits at a consumer's bell when the ring is unmapped.
    bell: RoomBell,
    producer: P,
}

impl<P: Publish> AsyncProducer<P> {
    /// Wraps `producer`, whose wait strategy is not used from then on.
    pub fn new(producer: P) -> Self {
        Self { bell: None, producer }
    }

    /// Sends `message` and returns its sequence. Waits for room while the ring is full, as long as its consumers live.
    ///
    /// Cancel safe: it is sent in the poll that returns its sequence. A future that is dropped before it was ready has
    /// sent nothing and reserved no room: the next call starts from the beginning. To limit the wait, wrap it in
    /// [`tokio::time::timeout`].
    ///
    /// # Errors
    /// What `P` returns when it does not wait, except `Full`; and what ends the wait: `ConsumerDied` within 100 ms of
    /// the death of the consumer that keeps the ring full, `Replaced`, `Closed`. Nothing was sent. This is not managed
    /// publishing: there are no alerts and no failure actions.
    ///
    /// # Panics
    /// If it has to wait in a runtime without an I/O driver, or, where there is no doorbell, without a time driver.
    pub async fn publish(&mut self, message: &P::Message, kind: u8) -> Result<Sequence, P::Error> {
        publish(&mut self.producer, &mut self.bell, message, kind).await
    }

    /// Sends several messages of one kind, and waits for room while the ring is full, as [`publish`](Self::publish)
    /// does. The messages for which there is room at the same time are announced together.
    ///
    /// ```
    /// use myelon::asynchronous::AsyncProducer;
    /// use myelon::prelude::*;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let name = portable_shm_segment_name("doc");
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    /// # runtime.block_on(async {
    /// let mut producer = AsyncProducer::new(TransportProducer::create_default(&name)?);
    /// let tokens: [&[u8]; 3] = [b"the", b"next", b"tokens"];
    /// assert_eq!(producer.publish_batch(tokens, 1).await?.count, 3);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// A future that is dropped before it was ready has sent as many of the first messages as there was room for;
    /// [`last_published_sequence`](Self::last_published_sequence) says how far it got.
    ///
    /// # Errors
    /// What `publish` returns for the first message that was not sent, and how many messages were sent before it.
    ///
    /// # Panics
    /// As `publish`.
    pub async fn publish_batch<'m>(
        &mut self,
        messages: impl IntoIterator<Item = &'m P::Message>,
        kind: u8,
    ) -> Result<Sent, BatchError<P::Error>>
    where
        P::Message: 'm,
    {
        let (mut messages, mut sent) = (messages.into_iter(), Sent::default());
        loop {
            // Other tasks get their turn even where there is always room.
            take_turn().await;
            let mut last = None;
            let noted = messages.by_ref().inspect(|message| last = Some(*message));
            let without_room = match self.producer.publish_batch_now(noted, kind) {
                Ok(more) => {
                    sent.add(more);
                    return Ok(sent);
                }
                Err(error) => {
                    sent.add(error.sent);
                    match last.filter(|_| P::is_full(&error.error)) {
                        Some(message) => message,
                        None => return Err(BatchError { sent, error: error.error }),
                    }
                }
            };
            match publish_again(&mut self.producer, &mut self.bell, without_room, kind, 1).await {
                Ok(sequence) => sent.note(sequence),
                Err(error) => return Err(BatchError::after(sent, error)),
            }
        }
    }

    /// Sends `message` if there is room now.
    ///
    /// # Errors
    /// What `P` returns when it does not wait, for example `Full`. Nothing was sent.
    pub fn try_publish(&mut self, message: &P::Message, kind: u8) -> Result<Sequence, P::Error> {
        self.producer.publish_now(message, kind)
    }

    /// As [`TransportProducer::set_trace_id`].
    pub fn set_trace_id(&mut self, trace_id: Option<TraceId>) {
        self.producer.set_trace_id(trace_id);
    }

    /// As [`TransportProducer::set_in_reply_to`].
    pub fn set_in_reply_to(&mut self, sequence: Option<Sequence>) {
        self.producer.set_in_reply_to(sequence);
    }

    /// The wrapped end.
    pub fn get_ref(&self) -> &P {
        &self.producer
    }

    /// The end that was wrapped.
    pub fn into_inner(self) -> P {
        self.producer
    }

    disruptor_mp::producer_end_methods!(end [pub]);
}

impl<P: Publish> HasProducer for AsyncProducer<P> {
    type Carries = P::Carries;

    fn base(&self) -> &ProducerBase<P::Carries> {
        self.producer.base()
    }

    fn base_mut(&mut self) -> ProducerMut<'_, P::Carries> {
        self.producer.base_mut()
    }

    fn counts_anew(&mut self) {
        self.producer.counts_anew();
    }
}

/// [`AsyncProducer::publish`] through a borrowed producer.
pub(super) async fn publish<P: Publish>(
    producer: &mut P,
    bell: &mut RoomBell,
    message: &P::Message,
    kind: u8,
) -> Result<Sequence, P::Error> {
    publish_again(producer, bell, message, kind, 0).await
}

/// [`publish`] for a message for which `looks` looks have found no room.
async fn publish_again<P: Publish>(
    producer: &mut P,
    bell: &mut RoomBell,
    message: &P::Message,
    kind: u8,
    mut looks: u32,
) -> Result<Sequence, P::Error> {
    loop {
        // Other tasks get their turn even where there is always room.
        take_turn().await;
        let answer = match looks {
            0 => producer.publish_now(message, kind),
            _ => producer.publish_again(message, kind),
        };
        match answer {
            Err(error) if P::is_full(&error) => {}
            answer => return answer,
        }
        looks += 1;
        if looks <= LOOKS_BEFORE_SLEEP {
            tokio::task::yield_now().await;
        } else {
            room(producer, bell).await.map_err(TransportError::from)?;
        }
    }
}

/// Waits until there may be room for the message for which the last call found none.
async fn room<P: Publish>(producer: &mut P, bell: &mut RoomBell) -> Result<(), PublishError> {
    if bell.is_none() {
        *bell = producer.room_doorbell().and_then(Bell::new).ok();
    }
    match bell {
        Some(bell) => poll_fn(|context| bell.poll_room(context, producer)).await,
        None => {
            tokio::time::sleep(PAUSE).await;
            producer.check_room()
        }
    }
}

/// Uses a part of this task's budget; waits for its next turn if the budget is used up.
pub(super) async fn take_turn() {
    poll_fn(|context| {
        ready!(coop::poll_proceed(context)).made_progress();
        std::task::Poll::Ready(())
    })
    .await;
}

impl<P: fmt::Debug> fmt::Debug for AsyncProducer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncProducer").field("producer", &self.producer).finish()
    }
}
