//! A scheduler's end of a topology, awaited: [`AsyncScheduler`].
//!
//! One task uses it at a time. Each response ring has a doorbell.

use super::bell::Bell;
use super::send::{RoomBell, publish, take_turn};
use crate::codec::Codec;
use crate::topology::{
    Answer, Arrival, BorrowedProducer, Change, Departure, Outcome, RawAnswer, RestartError, SchedulerEnd,
    TopologyError, TypedAnswer, TypedScheduler, UrgentError, Whom, WorkerReport, left_until,
};
use crate::transport::{Format, Message, Records};
use disruptor_mp::{Doorbell, Patience, Sequence};
use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// The pause after a worker's ring has ended, until its process says how; and the pause when there is no doorbell.
const NAP: Duration = Duration::from_millis(1);

/// An end that can be awaited: [`SchedulerEnd`] or [`TypedScheduler`]. Sealed.
pub trait Schedule: sealed::Schedule {}

impl<F: Format> Schedule for SchedulerEnd<F> {}
impl<B: Codec, A: Codec, F: Format> Schedule for TypedScheduler<B, A, F> {}

mod sealed {
    use super::*;

    /// What an end must be able to do without waiting, and how it sends.
    pub trait Schedule {
        type Format: Format;
        type Message: ?Sized;
        type Answer;
        type Received<'a>
        where
            Self: 'a;

        /// The end of bytes.
        fn end(&self) -> &SchedulerEnd<Self::Format>;

        /// The end of bytes, to change it.
        fn end_mut(&mut self) -> &mut SchedulerEnd<Self::Format>;

        fn broadcast(
            &mut self,
            room: &mut RoomBell,
            message: &Self::Message,
            kind: u8,
        ) -> impl Future<Output = Result<Sequence, TopologyError>>;

        fn broadcast_now(&mut self, message: &Self::Message, kind: u8) -> Result<Sequence, TopologyError>;

        fn broadcast_urgent(&mut self, message: &Self::Message, kind: u8) -> Result<Sequence, UrgentError>;

        /// The next message of worker `rank` as its bytes, if there is one now.
        fn receive_now(&mut self, rank: usize) -> Result<Self::Received<'_>, Outcome>;

        /// `answers` in the form that the caller gets.
        fn read(&mut self, answers: Vec<Answer>) -> Vec<Self::Answer>;

        fn close(self) -> Vec<Departure>;
    }
}

impl<F: Format> sealed::Schedule for SchedulerEnd<F> {
    type Format = F;
    type Message = [u8];
    type Answer = Answer;
    type Received<'a> = Message<'a, F>;

    fn end(&self) -> &Self {
        self
    }

    fn end_mut(&mut self) -> &mut Self {
        self
    }

    async fn broadcast(&mut self, room: &mut RoomBell, message: &[u8], kind: u8) -> Result<Sequence, TopologyError> {
        publish(self.broadcast_mut(), room, message, kind).await.map_err(|error| self.error(error))
    }

    fn broadcast_now(&mut self, message: &[u8], kind: u8) -> Result<Sequence, TopologyError> {
        self.broadcast(message, kind, Patience::Now)
    }

    fn broadcast_urgent(&mut self, message: &[u8], kind: u8) -> Result<Sequence, UrgentError> {
        self.broadcast_urgent(message, kind)
    }

    fn receive_now(&mut self, rank: usize) -> Result<Message<'_, F>, Outcome> {
        self.receive(rank, Patience::Now)
    }

    fn read(&mut self, answers: Vec<Answer>) -> Vec<Answer> {
        answers
    }

    fn close(self) -> Vec<Departure> {
        self.close()
    }
}

impl<B: Codec, A: Codec, F: Format> sealed::Schedule for TypedScheduler<B, A, F> {
    type Format = F;
    type Message = B;
    type Answer = TypedAnswer<A>;
    type Received<'a>
        = RawAnswer<'a, A, F>
    where
        Self: 'a;

    fn end(&self) -> &SchedulerEnd<F> {
        self.end()
    }

    fn end_mut(&mut self) -> &mut SchedulerEnd<F> {
        self.end_mut()
    }

    async fn broadcast(&mut self, room: &mut RoomBell, message: &B, kind: u8) -> Result<Sequence, TopologyError> {
        publish(&mut self.ring(), room, message, kind).await.map_err(|error| self.end_mut().error(error))
    }

    fn broadcast_now(&mut self, message: &B, kind: u8) -> Result<Sequence, TopologyError> {
        self.broadcast(message, kind, Patience::Now)
    }

    fn broadcast_urgent(&mut self, message: &B, kind: u8) -> Result<Sequence, UrgentError> {
        self.broadcast_urgent(message, kind)
    }

    fn receive_now(&mut self, rank: usize) -> Result<RawAnswer<'_, A, F>, Outcome> {
        self.receive_raw(rank, Patience::Now)
    }

    fn read(&mut self, answers: Vec<Answer>) -> Vec<TypedAnswer<A>> {
        self.read(answers)
    }

    fn close(self) -> Vec<Departure> {
        self.close()
    }
}

/// A scheduler's end that is awaited: `S` is a [`SchedulerEnd`] or a [`TypedScheduler`]. No call blocks the runtime's
/// thread, not even a broadcast into a full ring.
///
/// Launch the topology before, or with `spawn_blocking`: [`launch`](crate::topology::Topology::launch) blocks until the
/// workers have joined. While a call waits, it looks after the workers as a blocking call does.
///
/// ```
/// use myelon::asynchronous::AsyncScheduler;
/// use myelon::prelude::*;
/// use std::time::Duration;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # if !cfg!(target_os = "linux") { return Ok(()); }
/// # let session = portable_shm_segment_name("doc");
/// let topology: Topology = Topology::new(&session, 1usize)?;
/// # let invitation = topology.invitation(0)?;
/// # let worker = std::thread::spawn(move || {
/// #     let mut worker: WorkerEnd = WorkerEnd::join(&invitation).expect("a scheduler comes");
/// #     worker.serve(|step, answers| answers.send(&step.to_ascii_uppercase(), 1, Patience::Endless).map(drop))
/// # });
/// let scheduler = topology.launch(Workers::started_elsewhere())?;
/// let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// runtime.block_on(async {
///     let mut scheduler = AsyncScheduler::new(scheduler);
///     let step = scheduler.broadcast(b"a step", 1).await?;
///     for answer in scheduler.gather_for(step, Whom::All, Duration::from_secs(20)).await {
///         match answer.outcome {
///             Outcome::Message { bytes, .. } => assert_eq!(bytes, b"A STEP"),
///             other => println!("rank {} {other}", answer.rank), // it has died, left, or is late
///         }
///     }
///     scheduler.close().await;
///     Ok::<_, Box<dyn std::error::Error>>(())
/// })?;
/// # worker.join().expect("the worker has not panicked")?;
/// # Ok(())
/// # }
/// ```
///
/// Dropping it does what dropping the end does, and blocks until the workers that it has started have ended.
/// [`close`](Self::close) waits in another thread. Source: RFC 0016, "Awaiting".
pub struct AsyncScheduler<S = SchedulerEnd> {
    // Dropped before the scheduler, so that nothing waits at a ring's bell when the ring is unmapped.
    bells: Vec<Option<RingBell>>,
    room: RoomBell,
    scheduler: S,
}

/// A [`TypedScheduler`] that is awaited.
#[cfg_attr(feature = "bincode", doc = "```")]
#[cfg_attr(not(feature = "bincode"), doc = "```ignore")]
/// use myelon::asynchronous::AsyncTypedScheduler;
/// use myelon::topology::{TypedScheduler, Whom};
/// use std::time::Duration;
///
/// #[myelon::message]
/// struct Step(Vec<u32>);
///
/// #[myelon::message]
/// #[derive(Debug)]
/// struct Sum(u64);
///
/// async fn run(scheduler: TypedScheduler<Step, Sum>) -> Result<(), Box<dyn std::error::Error>> {
///     let mut scheduler: AsyncTypedScheduler<Step, Sum> = AsyncTypedScheduler::new(scheduler);
///     let step = scheduler.broadcast(&Step(vec![1, 2]), 0).await?;
///     for answer in scheduler.gather_for(step, Whom::All, Duration::from_secs(2)).await {
///         println!("rank {}: {:?}", answer.rank, answer.outcome); // the sum and its kind, or why there is none
///     }
///     Ok(())
/// }
/// ```
pub type AsyncTypedScheduler<B, A, F = Records> = AsyncScheduler<TypedScheduler<B, A, F>>;

/// The doorbell of one response ring.
struct RingBell {
    /// Which of its worker's rings it belongs to.
    ring_number: u64,
    bell: Bell<Doorbell>,
}

impl<S: Schedule> AsyncScheduler<S> {
    /// Wraps `scheduler`, whose wait strategies are not used from then on.
    pub fn new(scheduler: S) -> Self {
        let bells = (0..scheduler.end().worker_count()).map(|_| None).collect();
        Self { bells, room: None, scheduler }
    }

    /// Sends `message` to every worker, as [`SchedulerEnd::broadcast`] does, and awaits room. A typed one is encoded in
    /// the ring.
    ///
    /// Cancel safe: a future that is dropped before it was ready has sent nothing, and no sequence is used up.
    ///
    /// # Errors
    /// The same as that call. `Publish` with `ConsumerDied` within 100 ms of the death of the worker that keeps the
    /// ring full; `Codec` if the message cannot be encoded.
    ///
    /// # Panics
    /// If it has to wait in a runtime without a time driver. The same holds for all calls here.
    pub async fn broadcast(&mut self, message: &S::Message, kind: u8) -> Result<Sequence, TopologyError> {
        let sent = self.scheduler.broadcast(&mut self.room, message, kind).await;
        self.scheduler.end_mut().note_sent();
        sent
    }

    /// [`SchedulerEnd::broadcast`] that does not wait for room.
    ///
    /// # Errors
    /// The same as that call; `Full` if there is no room now.
    pub fn try_broadcast(&mut self, message: &S::Message, kind: u8) -> Result<Sequence, TopologyError> {
        self.scheduler.broadcast_now(message, kind)
    }

    /// [`SchedulerEnd::broadcast_urgent`], which never waits.
    ///
    /// # Errors
    /// The same as that call.
    pub fn broadcast_urgent(&mut self, message: &S::Message, kind: u8) -> Result<Sequence, UrgentError> {
        self.scheduler.broadcast_urgent(message, kind)
    }

    /// [`SchedulerEnd::gather`], awaited; a duration begins when the future is polled first.
    ///
    /// Cancel safe: messages are taken and changes are reported in the poll that returns all of them.
    ///
    /// # Panics
    /// The same as that call.
    pub async fn gather(&mut self, whom: Whom, patience: impl Into<Patience>) -> Vec<S::Answer> {
        self.gather_step(None, whom, patience.into().deadline()).await
    }

    /// [`SchedulerEnd::gather_for`], awaited, as [`gather`](Self::gather).
    ///
    /// Cancel safe: a future that is dropped before it was ready has handed out and reported nothing. The next call
    /// finds the messages that it has sorted.
    ///
    /// # Panics
    /// The same as that call.
    pub async fn gather_for(&mut self, step: Sequence, whom: Whom, patience: impl Into<Patience>) -> Vec<S::Answer> {
        self.scheduler.end().check_step(step);
        self.gather_step(Some(step), whom, patience.into().deadline()).await
    }

    async fn gather_step(&mut self, step: Option<Sequence>, whom: Whom, deadline: Option<Instant>) -> Vec<S::Answer> {
        let since = Instant::now();
        loop {
            take_turn().await;
            let end = self.scheduler.end_mut();
            let silent = end.silent(step, whom);
            if silent.is_empty() || left_until(deadline).is_zero() {
                let answers = end.gather_step(step, whom, since, Some(Instant::now()));
                return self.scheduler.read(answers);
            }
            self.pause(&silent, deadline).await;
        }
    }

    /// [`SchedulerEnd::receive`] or [`TypedScheduler::receive_raw`] that does not wait: the next message as its bytes.
    ///
    /// # Errors
    /// The same as that call; [`TimedOut`](Outcome::TimedOut) if there is no message now.
    ///
    /// # Panics
    /// The same as that call.
    #[track_caller]
    pub fn try_receive(&mut self, rank: usize) -> Result<S::Received<'_>, Outcome> {
        self.scheduler.end().check_rank(rank);
        self.scheduler.receive_now(rank)
    }

    /// As [`SchedulerEnd::check_workers`].
    pub fn check_workers(&mut self) -> Vec<(usize, Change)> {
        self.scheduler.end_mut().check_workers()
    }

    /// As [`SchedulerEnd::report`].
    ///
    /// # Panics
    /// The same as that call.
    #[track_caller]
    pub fn report(&mut self, rank: usize) -> WorkerReport {
        self.scheduler.end_mut().report(rank)
    }

    /// As [`SchedulerEnd::broadcast_ring`]. Calls that wait block the thread; those with [`Patience::Now`] do not.
    pub fn broadcast_ring(&mut self) -> BorrowedProducer<'_, S::Format> {
        self.scheduler.end_mut().broadcast_ring()
    }

    /// [`SchedulerEnd::wait_for`], awaited; a duration begins when the future is polled first.
    ///
    /// Cancel safe: nothing is reported before the poll that returns it.
    ///
    /// # Panics
    /// The same as that call.
    pub async fn wait_for(&mut self, rank: usize, patience: impl Into<Patience>) -> Arrival {
        let deadline = patience.into().deadline();
        let end = self.scheduler.end_mut();
        end.check_rank(rank);
        loop {
            let left = left_until(deadline);
            if let Some(arrival) = end.arrival(rank) {
                return arrival;
            }
            if left.is_zero() {
                return end.wait_for(rank, Patience::Now);
            }
            tokio::time::sleep(end.arrival_pause(rank).min(left)).await;
        }
    }

    /// [`SchedulerEnd::restart`]; the end of the old process is awaited.
    ///
    /// Cancel safe: a future that is dropped before it was ready may have killed the old process, and has started none.
    ///
    /// # Errors
    /// The same as that call.
    pub async fn restart(&mut self, rank: usize) -> Result<u32, RestartError> {
        let end = self.scheduler.end_mut();
        end.kill_worker(rank)?;
        while !end.has_worker_ended(rank) {
            tokio::time::sleep(NAP).await;
        }
        end.start_successor(rank)
    }

    /// [`SchedulerEnd::close`], on a thread for blocking calls.
    pub async fn close(self) -> Vec<Departure>
    where
        S: Send + 'static,
    {
        let Self { bells, scheduler, .. } = self;
        drop(bells);
        let closed = tokio::task::spawn_blocking(move || scheduler.close()).await;
        closed.expect("closing does not panic, and is not cancelled once it runs")
    }

    /// The end that is wrapped.
    pub fn get_ref(&self) -> &S {
        &self.scheduler
    }

    /// The end that was wrapped.
    pub fn into_inner(self) -> S {
        self.scheduler
    }

    /// Waits until one of the `silent` workers may have sent something, or it is time to look after them.
    async fn pause(&mut self, silent: &[usize], deadline: Option<Instant>) {
        let end = self.scheduler.end_mut();
        let patience = silent.iter().map(|&rank| end.patience_with(rank)).min().unwrap_or(NAP);
        let left = left_until(deadline);
        let rung = tokio::time::timeout(patience.min(left), poll_fn(|context| self.poll_bells(context, silent))).await;
        match rung {
            Ok(Rung::News) => {}
            Ok(Rung::End | Rung::NoBell) => {
                // A ring that has ended rings at once; how its worker ended is known a moment later.
                tokio::time::sleep(NAP.min(left)).await;
                self.scheduler.end_mut().look();
            }
            Err(_) if patience <= NAP => self.scheduler.end_mut().look(),
            Err(_) => {}
        }
    }

    fn poll_bells(&mut self, context: &mut Context<'_>, silent: &[usize]) -> Poll<Rung> {
        let Self { bells, scheduler, .. } = self;
        for &rank in silent {
            let Some((ring_number, responses)) = scheduler.end_mut().heard_ring(rank) else { continue };
            if bells[rank].as_ref().is_none_or(|bell| bell.ring_number != ring_number) {
                let made = responses.doorbell().and_then(Bell::new);
                bells[rank] = made.ok().map(|bell| RingBell { ring_number, bell });
            }
            let Some(RingBell { bell, .. }) = &mut bells[rank] else { return Poll::Ready(Rung::NoBell) };
            match bell.poll_news(context, responses) {
                Poll::Ready(Ok(())) => return Poll::Ready(Rung::News),
                Poll::Ready(Err(_)) => return Poll::Ready(Rung::End),
                Poll::Pending => {}
            }
        }
        Poll::Pending
    }
}

/// Why a wait at the bells ended.
enum Rung {
    /// There may be a message.
    News,
    /// A ring has ended.
    End,
    /// There is a ring without a doorbell: the process can have no more of them.
    NoBell,
}

impl<S: fmt::Debug> fmt::Debug for AsyncScheduler<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncScheduler").field("scheduler", &self.scheduler).finish_non_exhaustive()
    }
}
