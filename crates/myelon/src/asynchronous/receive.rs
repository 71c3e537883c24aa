//! The receiving end, awaited: [`AsyncConsumer`].
//!
//! One task uses it at a time.

use super::bell::Bell;
use crate::codec::Codec;
use crate::transport::{Format, HeldMessage, Message, TransportConsumer, TransportError, TransportResult};
use crate::typed_transport::{HeldTyped, OnUndecodable, TypedConsumer, TypedMessage, TypedReceiveError};
use disruptor_mp::__private::ends::{ConsumerBase, ConsumerMut, HasConsumer};
use disruptor_mp::{ConsumeError, ConsumerEnd, Doorbell, Patience, Release, Taken};
use futures_core::Stream;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::task::coop;

/// How often a poll looks for a message that the doorbell promises. One look finds it, or removes the padding before
/// it. A ring that another process has damaged may promise messages without end, and must not keep the thread.
const LOOKS_PER_POLL: u32 = 4;

/// An end that can be awaited: [`TransportConsumer`] or [`TypedConsumer`]. Sealed.
pub trait Receive: sealed::Receive + ConsumerEnd {}

impl<F: Format> Receive for TransportConsumer<F> {}
impl<T: Codec + 'static, F: Format> Receive for TypedConsumer<T, F> {}

mod sealed {
    use super::*;

    /// What an end must be able to do without waiting.
    pub trait Receive {
        type Message<'a>
        where
            Self: 'a;
        type Owned;
        type Held: Release;
        type Error: From<TransportError>;

        /// The next message, in place, if there is one; or an error that says that the oldest held message must be
        /// released first.
        fn next_or_limit(&mut self) -> Result<Option<Self::Message<'_>>, Self::Error>;

        /// The next message, in place, if there is one.
        fn next_now(&mut self) -> Result<Option<Self::Message<'_>>, Self::Error>;

        /// The next message, copied and acknowledged, if there is one.
        fn receive_now(&mut self) -> Result<Option<Self::Owned>, Self::Error>;

        /// The next message, to be held, if there is one.
        fn next_held_now(&mut self) -> Result<Option<Self::Held>, Self::Error>;

        /// Whether there is a whole message. It is not taken.
        fn has_message(&mut self) -> Result<bool, Self::Error>;

        /// Continues in another ring if this one was replaced; otherwise returns the end as an error.
        fn go_on(&mut self, end: ConsumeError) -> Result<(), Self::Error>;

        /// Whether `error` says that the stream has ended in good order.
        fn is_closed(error: &Self::Error) -> bool;

        /// Whether `error` is an end of the stream, in good order or not.
        fn is_end(error: &Self::Error) -> bool;
    }
}

/// The answer, with the held limit turned into `None`: the doorbell rings when the oldest message is released.
fn below_the_bound<T, E>(answer: Result<Option<T>, E>, is_bound: impl Fn(&E) -> bool) -> Result<Option<T>, E> {
    match answer {
        Err(error) if is_bound(&error) => Ok(None),
        answer => answer,
    }
}

impl<F: Format> sealed::Receive for TransportConsumer<F> {
    type Message<'a> = Message<'a, F>;
    type Owned = (u8, Vec<u8>);
    type Held = HeldMessage<F>;
    type Error = TransportError;

    fn next_or_limit(&mut self) -> TransportResult<Option<Message<'_, F>>> {
        self.next(Patience::Now)
    }

    fn next_now(&mut self) -> TransportResult<Option<Message<'_, F>>> {
        below_the_bound(self.next(Patience::Now), TransportError::is_held_limit)
    }

    fn receive_now(&mut self) -> TransportResult<Option<(u8, Vec<u8>)>> {
        below_the_bound(self.receive_owned(Patience::Now), TransportError::is_held_limit)
    }

    fn next_held_now(&mut self) -> TransportResult<Option<HeldMessage<F>>> {
        below_the_bound(self.next_held(Patience::Now), TransportError::is_held_limit)
    }

    fn has_message(&mut self) -> TransportResult<bool> {
        Ok(self.next_now()?.map(Message::release_unread).is_some())
    }

    fn go_on(&mut self, end: ConsumeError) -> TransportResult<()> {
        Err(end.into())
    }

    fn is_closed(error: &TransportError) -> bool {
        error.is_closed()
    }

    fn is_end(error: &TransportError) -> bool {
        error.is_end()
    }
}

impl<T: Codec + 'static, F: Format> sealed::Receive for TypedConsumer<T, F> {
    type Message<'a>
        = TypedMessage<'a, T, F>
    where
        T: 'a;
    type Owned = (T, u8);
    type Held = HeldTyped<T, F>;
    type Error = TypedReceiveError;

    fn next_or_limit(&mut self) -> Result<Option<TypedMessage<'_, T, F>>, TypedReceiveError> {
        self.next(Patience::Now)
    }

    fn next_now(&mut self) -> Result<Option<TypedMessage<'_, T, F>>, TypedReceiveError> {
        below_the_bound(self.next(Patience::Now), TypedReceiveError::is_held_limit)
    }

    fn receive_now(&mut self) -> Result<Option<(T, u8)>, TypedReceiveError> {
        below_the_bound(self.receive_owned(Patience::Now), TypedReceiveError::is_held_limit)
    }

    fn next_held_now(&mut self) -> Result<Option<HeldTyped<T, F>>, TypedReceiveError> {
        below_the_bound(self.next_held(Patience::Now), TypedReceiveError::is_held_limit)
    }

    fn has_message(&mut self) -> Result<bool, TypedReceiveError> {
        Ok(self.next_now()?.map(TypedMessage::release_unread).is_some())
    }

    fn go_on(&mut self, end: ConsumeError) -> Result<(), TypedReceiveError> {
        Ok(TypedConsumer::go_on(self, end)?)
    }

    fn is_closed(error: &TypedReceiveError) -> bool {
        error.is_closed()
    }

    fn is_end(error: &TypedReceiveError) -> bool {
        error.is_end()
    }
}

/// A consumer that is awaited: `C` is a [`TransportConsumer`] or a [`TypedConsumer`].
///
/// While there is no message its task sleeps, and so may the thread: the process's one doorbell thread waits at the
/// ring for it. The death of the producer ends the wait within 100 ms. No call blocks the thread. Each call uses a part
/// of the task's budget, so that a ring that is never empty does not keep other tasks from running.
///
/// Delivery is *at least once*, as for `C`, with one rule for cancelling: a message is taken in the same poll that
/// hands it out, so a future that is dropped before it was ready has taken none. A message that was handed out is the
/// caller's; see the methods. A task that is cancelled drops its consumer, which keeps its entry: a consumer that
/// attaches again under its id continues there. To give up the entry, take [`into_inner`](Self::into_inner) and let
/// that consumer leave.
///
/// As a [`Stream`] it yields what [`recv`](Self::recv) returns. It ends when the ring was closed. If the ring ended
/// otherwise, it yields the error first; [`recv`](Self::recv) then continues if another producer has taken the ring
/// over. An error about one message is yielded, and the stream goes on. So is [`ConsumeError::Os`], which says that it
/// is not known whether the producer lives.
///
/// ```
/// use myelon::asynchronous::AsyncConsumer;
/// use myelon::prelude::*;
/// use std::time::Duration;
/// use tokio::time::timeout;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # if !cfg!(target_os = "linux") { return Ok(()); }
/// # let name = portable_shm_segment_name("doc");
/// # let mut producer = TransportProducer::create_default(&name)?;
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(async {
/// let mut consumer = AsyncConsumer::new(TransportConsumer::join(&name, "worker-0")?)?;
///
/// // A wait that is given up has taken nothing, here or in `select!`.
/// if timeout(Duration::from_millis(1), consumer.ready()).await.is_err() {
///     println!("nothing yet: {}", consumer.get_ref().stall_report(Duration::from_millis(1)));
/// }
/// # producer.publish(b"a step", 1)?;
/// # drop(producer);
/// # let mut count = 0;
/// while let Some(message) = consumer.next_or_end().await? {
///     println!("{} bytes of kind {}", message.len(), message.kind());
/// #   count += 1;
/// } // dropping it acknowledges it; to keep one across an await, see `next_held`
/// # assert_eq!(count, 1);
/// # Ok(())
/// # })
/// # }
/// ```
pub struct AsyncConsumer<C> {
    // Dropped before the consumer, so that nothing waits at the ring's bell when the ring is unmapped.
    bell: Bell<Doorbell>,
    consumer: C,
    /// Whether the stream has yielded its last item.
    has_ended: bool,
}

impl<C: Receive> AsyncConsumer<C> {
    /// Wraps `consumer`, whose wait strategy is not used from then on.
    ///
    /// # Errors
    /// The errors of [`ConsumerEnd::doorbell`], for example `Unsupported` if there is no eventfd; or the reactor cannot
    /// register the doorbell.
    ///
    /// # Panics
    /// Outside a tokio runtime, or in one without an I/O driver.
    pub fn new(consumer: C) -> io::Result<Self> {
        let bell = Bell::new(consumer.doorbell()?)?;
        Ok(Self { bell, consumer, has_ended: false })
    }

    /// Waits until there is a message, without taking it.
    ///
    /// Cancel safe: nothing is taken or acknowledged, whether it is dropped before it is ready or not.
    ///
    /// # Errors
    /// The errors of `C`'s own receiving calls: why no message will come, or why one message was skipped.
    ///
    /// # Panics
    /// When it has to wait and the runtime is being shut down.
    pub async fn ready(&mut self) -> Result<(), C::Error> {
        poll_fn(|context| self.poll_ready(context)).await
    }

    /// The next message, in place. Dropping it acknowledges it. Until then it occupies its place in the ring and can
    /// block the producer, so do not keep it across long waits.
    ///
    /// Cancel safe: the future acknowledges nothing. It is ready in the poll that makes the message; dropping the
    /// message acknowledges it, and `release_unread` gives it back.
    ///
    /// # Errors
    /// As [`ready`](Self::ready).
    ///
    /// # Panics
    /// As [`ready`](Self::ready).
    pub async fn next(&mut self) -> Result<C::Message<'_>, C::Error> {
        self.ready().await?;
        // What `ready` has seen stays until it is taken, except in a forked child, which owns no entry in the ring.
        self.consumer.next_now()?.ok_or_else(|| TransportError::from(ConsumeError::Forked).into())
    }

    /// The next message, which can be held across awaits and moved to other tasks. Its `release` acknowledges it;
    /// dropping it, as a cancelled task does, gives it back. Counted from the oldest message that it still holds, a
    /// consumer gets at most 64 messages ([`HELD_MAX`](crate::HELD_MAX)), released or not. After that it waits until
    /// the oldest is released, and its `stall_report` says so. Releasing another message does not help.
    ///
    /// Cancel safe: the message is taken in the poll that returns it, and a dropped message comes again.
    ///
    /// # Errors
    /// As [`ready`](Self::ready).
    ///
    /// # Panics
    /// As [`ready`](Self::ready).
    pub async fn next_held(&mut self) -> Result<C::Held, C::Error> {
        poll_fn(|context| self.poll_for(context, C::next_held_now)).await
    }

    /// [`next_held`](Self::next_held) for loops that end when the stream ends, like [`next_or_end`](Self::next_or_end).
    /// Use it if you have no `StreamExt` for [`messages`](Self::messages).
    ///
    /// ```
    /// # use myelon::asynchronous::AsyncConsumer;
    /// # use myelon::prelude::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # if !cfg!(target_os = "linux") { return Ok(()); }
    /// # let name = portable_shm_segment_name("doc");
    /// # let mut producer = TransportProducer::create_default(&name)?;
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    /// # runtime.block_on(async {
    /// # let mut consumer = AsyncConsumer::new(TransportConsumer::join(&name, "worker-0")?)?;
    /// # producer.publish(b"a step", 1)?;
    /// # drop(producer);
    /// let mut tasks = vec![];
    /// while let Some(message) = consumer.next_held_or_end().await? {
    ///     tasks.push(tokio::spawn(async move {
    ///         println!("{} bytes", message.len());
    ///         message.release();
    ///     }));
    /// }
    /// for task in tasks {
    ///     task.await?;
    /// }
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// Cancel safe, as [`next_held`](Self::next_held).
    ///
    /// # Errors
    /// As [`next_held`](Self::next_held), except that a closed stream is no error.
    ///
    /// # Panics
    /// As [`ready`](Self::ready).
    pub async fn next_held_or_end(&mut self) -> Result<Option<C::Held>, C::Error> {
        match self.next_held().await {
            Err(error) if C::is_closed(&error) => Ok(None),
            held => held.map(Some),
        }
    }

    /// The messages of the ring, each as a value of its own, until the sender closes it: a [`Stream`] whose items are
    /// acknowledged when they are dropped, except by a panic. [`hold`](Taken::hold) makes a message that only its
    /// `release` acknowledges. Use it for a message that a task keeps across an await at which it may be cancelled.
    ///
    /// ```
    /// # use myelon::asynchronous::AsyncConsumer;
    /// # use myelon::prelude::*;
    /// # use futures_core::Stream;
    /// # use std::{future::poll_fn, pin::Pin};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # if !cfg!(target_os = "linux") { return Ok(()); }
    /// # let name = portable_shm_segment_name("doc");
    /// # let mut producer = TransportProducer::create_default(&name)?;
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    /// # runtime.block_on(async {
    /// # let mut consumer = AsyncConsumer::new(TransportConsumer::join(&name, "worker-0")?)?;
    /// # producer.publish(b"a step", 1)?;
    /// # drop(producer);
    /// let mut messages = consumer.messages();
    /// // Or `messages.next().await`, where there is a `StreamExt`.
    /// while let Some(message) = poll_fn(|context| Pin::new(&mut messages).poll_next(context)).await {
    ///     let message = message?.hold();
    ///     tokio::spawn(async move {
    ///         assert_eq!(&message[..], b"a step");
    ///         message.release();
    ///     })
    ///     .await?;
    /// }
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn messages(&mut self) -> AsyncMessages<'_, C> {
        AsyncMessages { consumer: self, has_ended: false }
    }

    /// The next message, copied or decoded, and acknowledged.
    ///
    /// Cancel safe: the message is taken and acknowledged in the poll that returns it. A program that polls by hand, or
    /// drops a result that was ready (`select!` does not), loses that message: use [`next`](Self::next) there.
    ///
    /// # Errors
    /// As [`ready`](Self::ready); a message that cannot be decoded was skipped.
    ///
    /// # Panics
    /// As [`ready`](Self::ready).
    pub async fn recv(&mut self) -> Result<C::Owned, C::Error> {
        poll_fn(|context| self.poll_recv(context)).await
    }

    /// [`next`](Self::next) for loops that end when the stream ends: `None` says that the sender has closed it and
    /// everything was received.
    ///
    /// ```
    /// # use myelon::asynchronous::AsyncConsumer;
    /// # use myelon::prelude::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # if !cfg!(target_os = "linux") { return Ok(()); }
    /// # let name = portable_shm_segment_name("doc");
    /// # let mut producer: TransportProducer = TransportProducer::create(&name, 1 << 16)?;
    /// # let consumer: TransportConsumer = TransportBuilder::new(&name, 0).build_consumer()?;
    /// # producer.publish(b"a step", 1)?;
    /// # drop(producer);
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    /// # runtime.block_on(async {
    /// # let mut consumer = AsyncConsumer::new(consumer)?;
    /// let mut bytes = 0;
    /// while let Some(message) = consumer.next_or_end().await? {
    ///     bytes += message.len();
    /// }
    /// # assert_eq!(bytes, 6);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// Cancel safe, as [`next`](Self::next).
    ///
    /// # Errors
    /// As [`next`](Self::next), except that a closed stream is no error.
    ///
    /// # Panics
    /// As [`ready`](Self::ready).
    pub async fn next_or_end(&mut self) -> Result<Option<C::Message<'_>>, C::Error> {
        match self.next().await {
            Err(error) if C::is_closed(&error) => Ok(None),
            next => next.map(Some),
        }
    }

    /// [`recv`](Self::recv) for loops that end when the stream ends, like [`next_or_end`](Self::next_or_end). With the
    /// combinators of a [`Stream`], `try_next` is the same.
    ///
    /// Cancel safe, as [`recv`](Self::recv).
    ///
    /// # Errors
    /// As [`recv`](Self::recv), except that a closed stream is no error.
    ///
    /// # Panics
    /// As [`ready`](Self::ready).
    pub async fn recv_or_end(&mut self) -> Result<Option<C::Owned>, C::Error> {
        match self.recv().await {
            Err(error) if C::is_closed(&error) => Ok(None),
            received => received.map(Some),
        }
    }

    /// The next message, in place, if there is one now. Dropping it acknowledges it, so dropping it unread skips a
    /// message that has killed its consumer before.
    ///
    /// # Errors
    /// As [`ready`](Self::ready). Also an error for which [`is_held_limit`](TransportError::is_held_limit) is true if
    /// the oldest held message must be released first; the awaited calls wait for that instead. It does not notice a
    /// sender that was killed: [`check_producer`](Self::check_producer) does.
    pub fn try_next(&mut self) -> Result<Option<C::Message<'_>>, C::Error> {
        self.consumer.next_or_limit()
    }

    /// The wrapped end.
    pub fn get_ref(&self) -> &C {
        &self.consumer
    }

    /// The end that was wrapped.
    pub fn into_inner(self) -> C {
        self.consumer
    }

    disruptor_mp::consumer_end_methods!(end [pub]);

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        poll_message(&mut self.consumer, &mut self.bell, context)
    }

    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Result<C::Owned, C::Error>> {
        self.poll_for(context, C::receive_now)
    }

    /// What `look` finds.
    fn poll_for<T>(
        &mut self,
        context: &mut Context<'_>,
        mut look: impl FnMut(&mut C) -> Result<Option<T>, C::Error>,
    ) -> Poll<Result<T, C::Error>> {
        let budget = ready!(coop::poll_proceed(context));
        for _ in 0..LOOKS_PER_POLL {
            if let Some(answer) = look(&mut self.consumer).transpose() {
                budget.made_progress();
                return Poll::Ready(answer);
            }
            if let Err(end) = ready!(self.bell.poll_news(context, &mut self.consumer)) {
                self.consumer.go_on(end)?;
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<T: Codec + 'static, F: Format> AsyncConsumer<TypedConsumer<T, F>> {
    /// As [`TypedConsumer::set_on_undecodable`].
    pub fn set_on_undecodable(&mut self, on_undecodable: OnUndecodable) {
        self.consumer.set_on_undecodable(on_undecodable);
    }
}

impl<C: Receive> HasConsumer for AsyncConsumer<C> {
    type Carries = C::Carries;

    fn base(&self) -> &ConsumerBase<C::Carries> {
        self.consumer.base()
    }

    fn base_mut(&mut self) -> ConsumerMut<'_, C::Carries> {
        self.consumer.base_mut()
    }

    fn wait_for_next(&mut self, patience: Patience) -> Result<(), ConsumeError> {
        self.consumer.wait_for_next(patience)
    }

    fn counts_anew(&mut self) {
        self.consumer.counts_anew();
    }
}

/// Ready when `consumer`, to which the bell belongs, has a message; or with an error when none will come or one was
/// skipped. The message is not taken.
pub(super) fn poll_message<C: Receive>(
    consumer: &mut C,
    bell: &mut Bell<Doorbell>,
    context: &mut Context<'_>,
) -> Poll<Result<(), C::Error>> {
    let budget = ready!(coop::poll_proceed(context));
    for _ in 0..LOOKS_PER_POLL {
        match consumer.has_message() {
            Ok(false) => {}
            answer => {
                budget.made_progress();
                return Poll::Ready(answer.map(|_| ()));
            }
        }
        if let Err(end) = ready!(bell.poll_news(context, consumer)) {
            consumer.go_on(end)?;
        }
    }
    context.waker().wake_by_ref();
    Poll::Pending
}

/// The next item of a stream, which ends when the ring was closed, and after any other end.
fn item_of<C: Receive, T>(answer: Result<T, C::Error>, has_ended: &mut bool) -> Option<Result<T, C::Error>> {
    // An error about one message, or one that says that nothing is known, is no end: the next signal of the doorbell
    // asks again.
    *has_ended = matches!(&answer, Err(error) if C::is_end(error));
    let is_closed = matches!(&answer, Err(error) if C::is_closed(error));
    Some(answer).filter(|_| !is_closed)
}

impl<C: Receive + Unpin> Stream for AsyncConsumer<C> {
    type Item = Result<C::Owned, C::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let answer = ready!(self.poll_recv(context));
        Poll::Ready(item_of::<C, _>(answer, &mut self.has_ended))
    }
}

/// The messages of an awaited consumer, as a [`Stream`]: see the example of [`AsyncConsumer::messages`].
pub struct AsyncMessages<'a, C> {
    consumer: &'a mut AsyncConsumer<C>,
    has_ended: bool,
}

impl<C: Receive> Stream for AsyncMessages<'_, C> {
    type Item = Result<Taken<C::Held>, C::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let answer = ready!(self.consumer.poll_for(context, C::next_held_now));
        Poll::Ready(item_of::<C, _>(answer.map(Taken::new), &mut self.has_ended))
    }
}

impl<C: fmt::Debug> fmt::Debug for AsyncMessages<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncMessages").field("consumer", &self.consumer).finish_non_exhaustive()
    }
}

impl<C: fmt::Debug> fmt::Debug for AsyncConsumer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncConsumer").field("consumer", &self.consumer).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::sealed::Receive;
    use super::{ConsumeError, TransportConsumer, TransportError};
    use crate::AlignedFixedFrame;
    use crate::transport::TransportProducer;
    use disruptor_mp::{Place, WaitStrategy};
    use std::time::Duration;

    type Framed = TransportConsumer<AlignedFixedFrame<64>>;

    #[test]
    fn a_refusal_of_the_kernel_does_not_end_a_stream() {
        let place = Place::heap();
        let _producer = TransportProducer::<AlignedFixedFrame<64>>::create(&place, 4).unwrap();
        let consumer = Framed::attach(&place, 4, WaitStrategy::Block).unwrap();
        let report = Box::new(consumer.stall_report(Duration::ZERO));
        let refused = TransportError::from(ConsumeError::Os { report });
        assert!(!Framed::is_end(&refused), "nothing was concluded");
        assert!(Framed::is_end(&TransportError::from(ConsumeError::Replaced)));
    }
}
