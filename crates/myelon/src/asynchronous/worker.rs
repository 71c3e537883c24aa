//! A worker's end of a topology, awaited.
//!
//! **Lives here:** [`AsyncWorker`], [`AsyncBroadcast`]. **Builds on:** the same polls as the ends of a transport. **May
//! touch it:** one task at a time.

use super::bell::Bell;
use super::receive::poll_message;
use super::send::{RoomBell, publish};
use crate::topology::{Broadcast, UrgentHandle, WorkerEnd};
use crate::transport::{BorrowedConsumer, BorrowedProducer, Format, Message, Records, TransportError, TransportResult};
use disruptor_mp::{ConsumeError, Doorbell, Patience, Sequence};
use std::future::poll_fn;
use std::io;
use std::ops::Deref;
use std::task::Poll;

/// A [`WorkerEnd`] that is awaited: no call blocks the runtime's thread.
///
/// Join before, on a thread that lives as long as the worker: joining waits for the scheduler, and the kernel ties the
/// worker's life to the thread that joins.
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
pub struct AsyncWorker<F: Format = Records> {
    // Before the worker: nothing waits at the ring's bell when the ring goes.
    bell: Bell<Doorbell>,
    /// That of the urgent lane, if there is one.
    urgent_bell: Option<Bell<Doorbell>>,
    room: RoomBell,
    worker: WorkerEnd<F>,
}

impl<F: Format> AsyncWorker<F> {
    /// Wraps `worker`, whose wait strategy is not used from then on.
    ///
    /// # Errors
    /// There is no doorbell: see [`AsyncConsumer::new`](super::AsyncConsumer::new).
    ///
    /// # Panics
    /// Outside a tokio runtime, or in one without an I/O driver.
    pub fn new(mut worker: WorkerEnd<F>) -> io::Result<Self> {
        let (broadcasts, urgent) = worker.lanes();
        let bell = Bell::new(broadcasts.doorbell()?)?;
        let urgent_bell = urgent.map(|urgent| urgent.doorbell().and_then(Bell::new)).transpose()?;
        Ok(Self { bell, urgent_bell, room: None, worker })
    }

    /// The next broadcast, in place, with the way to answer it; `None` once the scheduler has closed the topology.
    /// Dropping it acknowledges it.
    ///
    /// Cancel safe: a future that is dropped has taken nothing.
    ///
    /// # Errors
    /// As [`WorkerEnd::next`].
    ///
    /// # Panics
    /// When it has to wait and the runtime is being shut down.
    pub async fn next(&mut self) -> TransportResult<Option<AsyncBroadcast<'_, F>>> {
        let Self { bell, urgent_bell, room, worker } = self;
        let heard = poll_fn(|context| {
            let (broadcasts, urgent) = worker.lanes();
            if let (Some(urgent), Some(bell)) = (urgent, &mut *urgent_bell)
                && let Poll::Ready(Ok(())) = poll_message(urgent, bell, context)
            {
                return Poll::Ready(Ok(()));
            }
            // That the lane has ended, the broadcasts say as well, after what is left.
            poll_message(broadcasts, bell, context)
        });
        match heard.await {
            Err(TransportError::Consume(ConsumeError::Closed)) => return Ok(None),
            answer => answer?,
        }
        // What was seen stays until it is taken, except for a child of a fork, to whom nothing belongs.
        let broadcast = worker.next(Patience::Now)?.ok_or(TransportError::Consume(ConsumeError::Forked))?;
        Ok(Some(AsyncBroadcast { broadcast, room }))
    }

    /// Answers the broadcast `step`, as [`WorkerEnd::answer`] does, and awaits room.
    ///
    /// Cancel safe: a future that is dropped before it was ready has sent nothing.
    ///
    /// # Errors
    /// As there.
    pub async fn answer(&mut self, step: Sequence, bytes: &[u8], kind: u8) -> TransportResult<Sequence> {
        publish(self.worker.responses_to(step), &mut self.room, bytes, kind).await
    }

    /// The end that is wrapped.
    pub fn get_ref(&self) -> &WorkerEnd<F> {
        &self.worker
    }

    /// As [`WorkerEnd::take_urgent`]. Its calls block the thread; those with [`Patience::Now`] do not.
    pub fn take_urgent(&mut self) -> Option<UrgentHandle<F>> {
        self.urgent_bell = None;
        self.worker.take_urgent()
    }

    /// As [`WorkerEnd::rings`]. Calls that wait block the thread; those with [`Patience::Now`] do not.
    pub fn rings(&mut self) -> (BorrowedConsumer<'_, F>, BorrowedProducer<'_, F>) {
        self.worker.rings()
    }

    /// The end that was wrapped.
    pub fn into_inner(self) -> WorkerEnd<F> {
        self.worker
    }
}

/// A [`Broadcast`] whose answer is awaited. Dropping it acknowledges it, also when a task that is cancelled drops it:
/// answer before the first wait that may be cancelled, or [give it back](Self::release_unread).
///
/// ```
/// use myelon::asynchronous::AsyncWorker;
/// use myelon::prelude::*;
/// use std::time::Duration;
/// use tokio::time::timeout;
///
/// /// What takes long, and may be cancelled.
/// async fn think(step: &[u8]) -> Vec<u8> {
///     step.to_ascii_uppercase()
/// }
///
/// /// Answers until the topology is closed, or a step takes too long: the worker's successor gets that one.
/// async fn work(mut worker: AsyncWorker) -> TransportResult<()> {
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
#[derive(Debug)]
#[must_use = "dropping a broadcast acknowledges it"]
pub struct AsyncBroadcast<'a, F: Format = Records> {
    broadcast: Broadcast<'a, F>,
    room: &'a mut RoomBell,
}

impl<F: Format> AsyncBroadcast<'_, F> {
    /// The number by which an answer says what it answers.
    pub fn step(&self) -> Sequence {
        self.broadcast.step()
    }

    /// Whether it came by the urgent lane.
    pub fn is_urgent(&self) -> bool {
        self.broadcast.is_urgent()
    }

    /// [`Broadcast::urgent`].
    ///
    /// # Errors
    /// As there.
    pub fn urgent(&mut self) -> TransportResult<Option<Message<'_, F>>> {
        self.broadcast.urgent()
    }

    /// Answers it, and awaits room in the response ring.
    ///
    /// Cancel safe: a future that is dropped before it was ready has sent nothing.
    ///
    /// # Errors
    /// As [`Broadcast::answer`].
    pub async fn answer(&mut self, bytes: &[u8], kind: u8) -> TransportResult<Sequence> {
        publish(self.broadcast.responses_mut(), self.room, bytes, kind).await
    }

    /// Gives it back without acknowledging it: the next call returns it again.
    pub fn release_unread(self) {
        self.broadcast.release_unread();
    }
}

impl<'a, F: Format> Deref for AsyncBroadcast<'a, F> {
    type Target = Message<'a, F>;

    fn deref(&self) -> &Message<'a, F> {
        &self.broadcast
    }
}
