//! A worker's end of a topology, awaited: [`AsyncWorker`].
//!
//! One task uses it at a time.

use super::bell::Bell;
use super::receive::poll_message;
use super::send::{RoomBell, publish};
use crate::codec::Codec;
use crate::topology::{
    BorrowedConsumer, BorrowedProducer, Broadcast, TopologyError, TypedBroadcast, TypedUrgent, TypedWorker,
    UrgentHandle, WorkerEnd,
};
use crate::transport::{Format, Message, Records, TransportError};
use disruptor_mp::{ConsumeError, Doorbell, Patience, Sequence};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::ops::Deref;
use std::task::Poll;

/// An end that can be awaited: [`WorkerEnd`] or [`TypedWorker`]. Sealed.
pub trait Work: sealed::Work {}

impl<F: Format> Work for WorkerEnd<F> {}
impl<B: Codec, A: Codec, F: Format> Work for TypedWorker<B, A, F> {}

/// A broadcast whose answer can be awaited: [`Broadcast`] or [`TypedBroadcast`]. Sealed.
pub trait Answerable: sealed::Answerable {}

impl<F: Format> Answerable for Broadcast<'_, F> {}
impl<B, A: Codec, F: Format> Answerable for TypedBroadcast<'_, B, A, F> {}

mod sealed {
    use super::*;

    /// What an end must be able to do without waiting, and how it answers.
    pub trait Work {
        type Format: Format;
        type Broadcast<'a>: super::Answerable
        where
            Self: 'a;
        type Answer: ?Sized;

        /// The end of bytes.
        fn end_mut(&mut self) -> &mut WorkerEnd<Self::Format>;

        fn next_now(&mut self) -> Result<Option<Self::Broadcast<'_>>, TopologyError>;

        fn answer(
            &mut self,
            room: &mut RoomBell,
            step: Sequence,
            answer: &Self::Answer,
            kind: u8,
        ) -> impl Future<Output = Result<Sequence, TopologyError>>;
    }

    /// How a broadcast is answered and given back.
    pub trait Answerable {
        type Answer: ?Sized;

        fn answer(
            &mut self,
            room: &mut RoomBell,
            answer: &Self::Answer,
            kind: u8,
        ) -> impl Future<Output = Result<Sequence, TopologyError>>;

        fn release_unread(self);
    }
}

impl<F: Format> sealed::Work for WorkerEnd<F> {
    type Format = F;
    type Broadcast<'a> = Broadcast<'a, F>;
    type Answer = [u8];

    fn end_mut(&mut self) -> &mut Self {
        self
    }

    fn next_now(&mut self) -> Result<Option<Broadcast<'_, F>>, TopologyError> {
        self.next(Patience::Now)
    }

    async fn answer(
        &mut self,
        room: &mut RoomBell,
        step: Sequence,
        answer: &[u8],
        kind: u8,
    ) -> Result<Sequence, TopologyError> {
        publish(self.responses_to(step), room, answer, kind).await.map_err(|error| self.error(error))
    }
}

impl<B: Codec, A: Codec, F: Format> sealed::Work for TypedWorker<B, A, F> {
    type Format = F;
    type Broadcast<'a>
        = TypedBroadcast<'a, B, A, F>
    where
        Self: 'a;
    type Answer = A;

    fn end_mut(&mut self) -> &mut WorkerEnd<F> {
        self.end_mut()
    }

    fn next_now(&mut self) -> Result<Option<TypedBroadcast<'_, B, A, F>>, TopologyError> {
        self.next(Patience::Now)
    }

    async fn answer(
        &mut self,
        room: &mut RoomBell,
        step: Sequence,
        answer: &A,
        kind: u8,
    ) -> Result<Sequence, TopologyError> {
        publish(&mut self.answering(step), room, answer, kind).await.map_err(|error| self.end_mut().error(error))
    }
}

impl<F: Format> sealed::Answerable for Broadcast<'_, F> {
    type Answer = [u8];

    async fn answer(&mut self, room: &mut RoomBell, answer: &[u8], kind: u8) -> Result<Sequence, TopologyError> {
        publish(self.responses_mut(), room, answer, kind).await.map_err(|error| self.error(error))
    }

    fn release_unread(self) {
        self.release_unread();
    }
}

impl<B, A: Codec, F: Format> sealed::Answerable for TypedBroadcast<'_, B, A, F> {
    type Answer = A;

    async fn answer(&mut self, room: &mut RoomBell, answer: &A, kind: u8) -> Result<Sequence, TopologyError> {
        publish(&mut self.ring(), room, answer, kind).await.map_err(|error| self.error(error))
    }

    fn release_unread(self) {
        self.release_unread();
    }
}

/// A worker's end that is awaited: `W` is a [`WorkerEnd`] or a [`TypedWorker`]. No call blocks the runtime's thread.
///
/// Join the topology before, on a thread that lives as long as the worker: joining blocks until the scheduler is there,
/// and the kernel ties the worker's life to the thread that joins.
///
/// ```
/// use myelon::asynchronous::AsyncWorker;
/// use myelon::prelude::*;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # if !cfg!(target_os = "linux") { return Ok(()); }
/// # let topology: Topology = Topology::new(&portable_shm_segment_name("doc"), 1usize)?;
/// # let invitation = topology.invitation(0)?;
/// # let scheduler = std::thread::spawn(move || {
/// #     let mut scheduler = topology.launch(Workers::started_elsewhere()).expect("a worker comes");
/// #     let step = scheduler.broadcast(b"a step", 1, Patience::Endless).expect("there is room");
/// #     let soon = std::time::Instant::now() + std::time::Duration::from_secs(20);
/// #     scheduler.gather_for(step, Whom::All, soon).remove(0).outcome
/// # });
/// // In a process that the scheduler has started, the invitation is `Invitation::from_environment()?`.
/// let worker: WorkerEnd = WorkerEnd::join(&invitation)?;
/// let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// runtime.block_on(async {
///     let mut worker = AsyncWorker::new(worker)?;
///     while let Some(mut broadcast) = worker.next().await? {
///         let answer = broadcast.to_ascii_uppercase();
///         broadcast.answer(&answer, 0).await?; // waits for room, and acknowledges the broadcast when it is dropped
///     }
///     Ok::<_, Box<dyn std::error::Error>>(())
/// })?;
/// # assert!(matches!(scheduler.join(), Ok(Outcome::Message { bytes, .. }) if bytes == b"A STEP"));
/// # Ok(())
/// # }
/// ```
/// Source: RFC 0016, "Awaiting".
#[derive(Debug)]
pub struct AsyncWorker<W = WorkerEnd> {
    // Dropped before the worker, so that nothing waits at the ring's bell when the ring is unmapped.
    bell: Bell<Doorbell>,
    /// The doorbell of the urgent lane, if there is one.
    urgent_bell: Option<Bell<Doorbell>>,
    room: RoomBell,
    worker: W,
    /// The user's name for the worker.
    name: String,
}

/// A [`TypedWorker`] that is awaited.
#[cfg_attr(feature = "bincode", doc = "```")]
#[cfg_attr(not(feature = "bincode"), doc = "```ignore")]
/// use myelon::asynchronous::AsyncTypedWorker;
/// use myelon::prelude::*;
///
/// #[message]
/// struct Step(Vec<u32>);
///
/// #[message]
/// struct Sum(u64);
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # if !cfg!(target_os = "linux") { return Ok(()); }
/// # let topology: Topology = Topology::new(&portable_shm_segment_name("doc"), 1usize)?;
/// # let invitation = topology.invitation(0)?;
/// # let scheduler = std::thread::spawn(move || {
/// #     let launched = TypedScheduler::<Step, Sum>::launch(topology, Workers::started_elsewhere());
/// #     let mut scheduler = launched.expect("a worker comes");
/// #     let step = scheduler.broadcast(&Step(vec![1, 2]), 0, Patience::Endless).expect("there is room");
/// #     scheduler.gather_for(step, Whom::All, std::time::Duration::from_secs(20)).remove(0).outcome
/// # });
/// // In a process that the scheduler has started, the invitation is `Invitation::from_environment()?`.
/// let worker: TypedWorker<Step, Sum> = TypedWorker::join(&invitation)?;
/// let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// runtime.block_on(async {
///     let mut worker: AsyncTypedWorker<Step, Sum> = AsyncTypedWorker::new(worker)?;
///     while let Some(mut broadcast) = worker.next().await? {
///         let sum = broadcast.message().0.iter().copied().map(u64::from).sum();
///         broadcast.answer(&Sum(sum), 0).await?;
///     }
///     Ok::<_, Box<dyn std::error::Error>>(())
/// })?;
/// # assert!(matches!(scheduler.join(), Ok(Ok((Sum(3), 0)))));
/// # Ok(())
/// # }
/// ```
pub type AsyncTypedWorker<B, A, F = Records> = AsyncWorker<TypedWorker<B, A, F>>;

impl<W: Work> AsyncWorker<W> {
    /// Wraps `worker`, whose wait strategy is not used from then on.
    ///
    /// # Errors
    /// There is no doorbell: see [`AsyncConsumer::new`](super::AsyncConsumer::new).
    ///
    /// # Panics
    /// Outside a tokio runtime, or in one without an I/O driver.
    pub fn new(mut worker: W) -> io::Result<Self> {
        let name = worker.end_mut().name().to_owned();
        let (broadcasts, urgent) = worker.end_mut().lanes();
        let bell = Bell::new(broadcasts.doorbell()?)?;
        let urgent_bell = urgent.map(|urgent| urgent.doorbell().and_then(Bell::new)).transpose()?;
        Ok(Self { bell, urgent_bell, room: None, worker, name })
    }

    /// The next broadcast, with the way to answer it; `None` once the scheduler has closed the topology, like
    /// [`WorkerEnd::next_or_end`] and unlike [`WorkerEnd::next`].
    ///
    /// A broadcast of bytes is read in place, a typed one is decoded. Dropping it acknowledges it.
    ///
    /// Cancel safe: a future that is dropped has taken nothing.
    ///
    /// # Errors
    /// As [`WorkerEnd::next_or_end`] and [`TypedWorker::next_or_end`].
    ///
    /// # Panics
    /// When it has to wait and the runtime is being shut down.
    pub async fn next(&mut self) -> Result<Option<AsyncBroadcast<'_, W::Broadcast<'_>>>, TopologyError> {
        let Self { bell, urgent_bell, room, worker, name } = self;
        let heard = poll_fn(|context| {
            let (broadcasts, urgent) = worker.end_mut().lanes();
            if let (Some(urgent), Some(bell)) = (urgent, &mut *urgent_bell)
                && let Poll::Ready(Ok(())) = poll_message(urgent, bell, context)
            {
                return Poll::Ready(Ok(()));
            }
            // If the lane has ended, the broadcasts report the same end, after the messages that are left.
            poll_message(broadcasts, bell, context)
        });
        match heard.await {
            Err(TransportError::Consume(ConsumeError::Closed)) => return Ok(None),
            answer => answer.map_err(|error| TopologyError::of(&*name, error))?,
        }
        // What was seen stays until it is taken, except in a forked child, which owns no place in the ring.
        let broadcast = worker.next_now()?.ok_or_else(|| TopologyError::of(&*name, ConsumeError::Forked))?;
        Ok(Some(AsyncBroadcast { broadcast, room }))
    }

    /// Answers the broadcast `step`, as [`WorkerEnd::answer`] does, and awaits room. A typed answer is encoded in the
    /// ring.
    ///
    /// Cancel safe: a future that is dropped before it was ready has sent nothing.
    ///
    /// # Errors
    /// The same as that call, and `Codec` if the answer cannot be encoded.
    pub async fn answer(&mut self, step: Sequence, answer: &W::Answer, kind: u8) -> Result<Sequence, TopologyError> {
        self.worker.answer(&mut self.room, step, answer, kind).await
    }

    /// The end that is wrapped.
    pub fn get_ref(&self) -> &W {
        &self.worker
    }

    /// As [`WorkerEnd::take_urgent`]. Its calls block the thread; those with [`Patience::Now`] do not.
    pub fn take_urgent(&mut self) -> Option<UrgentHandle<W::Format>> {
        self.urgent_bell = None;
        self.worker.end_mut().take_urgent()
    }

    /// As [`WorkerEnd::rings`]. Calls that wait block the thread; those with [`Patience::Now`] do not.
    pub fn rings(&mut self) -> (BorrowedConsumer<'_, W::Format>, BorrowedProducer<'_, W::Format>) {
        self.worker.end_mut().rings()
    }

    /// The end that was wrapped.
    pub fn into_inner(self) -> W {
        self.worker
    }
}

/// A [`Broadcast`] or a [`TypedBroadcast`] whose answer is awaited; its other methods are reached by `Deref`. Dropping
/// it acknowledges it, even when a cancelled task drops it. So answer before the first wait that may be cancelled, or
/// [give it back](Self::release_unread).
///
/// ```
/// use myelon::asynchronous::AsyncWorker;
/// use myelon::prelude::*;
/// use std::time::Duration;
/// use tokio::time::timeout;
///
/// /// Work that takes long, and may be cancelled.
/// async fn think(step: &[u8]) -> Vec<u8> {
///     step.to_ascii_uppercase()
/// }
///
/// /// Answers until the topology is closed, or a step takes too long: the worker's successor gets that one.
/// async fn work(mut worker: AsyncWorker) -> Result<(), TopologyError> {
///     while let Some(mut broadcast) = worker.next().await? {
///         match timeout(Duration::from_secs(20), think(&broadcast)).await {
///             Ok(answer) => drop(broadcast.answer(&answer, 0).await?),
///             Err(_) => {
///                 broadcast.release_unread();
///                 break;
///             }
///         }
///     }
///     Ok(())
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # if !cfg!(target_os = "linux") { return Ok(()); }
/// # let topology: Topology = Topology::new(&portable_shm_segment_name("doc"), 1usize)?;
/// # let invitation = topology.invitation(0)?;
/// # let scheduler = std::thread::spawn(move || {
/// #     let mut scheduler = topology.launch(Workers::started_elsewhere()).expect("a worker comes");
/// #     let step = scheduler.broadcast(b"a step", 1, Patience::Endless).expect("there is room");
/// #     let soon = std::time::Instant::now() + std::time::Duration::from_secs(20);
/// #     scheduler.gather_for(step, Whom::All, soon).remove(0).outcome
/// # });
/// # let worker: WorkerEnd = WorkerEnd::join(&invitation)?;
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(async { work(AsyncWorker::new(worker)?).await.map_err(Box::<dyn std::error::Error>::from) })?;
/// # assert!(matches!(scheduler.join(), Ok(Outcome::Message { bytes, .. }) if bytes == b"A STEP"));
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping a broadcast acknowledges it"]
pub struct AsyncBroadcast<'a, B = Broadcast<'a>> {
    broadcast: B,
    room: &'a mut RoomBell,
}

/// A [`TypedBroadcast`] whose answer is awaited.
pub type AsyncTypedBroadcast<'a, B, A, F = Records> = AsyncBroadcast<'a, TypedBroadcast<'a, B, A, F>>;

impl<B: Answerable> AsyncBroadcast<'_, B> {
    /// Answers the broadcast, and awaits room in the response ring. A typed answer is encoded in the ring.
    ///
    /// Cancel safe: a future that is dropped before it was ready has sent nothing.
    ///
    /// # Errors
    /// As [`Broadcast::answer`] and [`TypedBroadcast::answer`].
    pub async fn answer(&mut self, answer: &B::Answer, kind: u8) -> Result<Sequence, TopologyError> {
        self.broadcast.answer(self.room, answer, kind).await
    }

    /// Gives the broadcast back without acknowledging it: the next call returns it again.
    pub fn release_unread(self) {
        self.broadcast.release_unread();
    }
}

impl<F: Format> AsyncBroadcast<'_, Broadcast<'_, F>> {
    /// [`Broadcast::urgent`].
    ///
    /// # Errors
    /// The same as that call.
    pub fn urgent(&mut self) -> Result<Option<Message<'_, F>>, TopologyError> {
        self.broadcast.urgent()
    }
}

impl<B, A: Codec, F: Format> AsyncTypedBroadcast<'_, B, A, F> {
    /// [`TypedBroadcast::into_message`].
    pub fn into_message(self) -> (B, Sequence) {
        self.broadcast.into_message()
    }
}

impl<B: Codec, A: Codec, F: Format> AsyncTypedBroadcast<'_, B, A, F> {
    /// [`TypedBroadcast::urgent`].
    ///
    /// # Errors
    /// The same as that call.
    pub fn urgent(&mut self) -> Result<Option<TypedUrgent<B>>, TopologyError> {
        self.broadcast.urgent()
    }
}

impl<B> Deref for AsyncBroadcast<'_, B> {
    type Target = B;

    fn deref(&self) -> &B {
        &self.broadcast
    }
}

impl<B: fmt::Debug> fmt::Debug for AsyncBroadcast<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncBroadcast").field("broadcast", &self.broadcast).finish_non_exhaustive()
    }
}
