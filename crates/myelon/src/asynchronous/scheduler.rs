//! A scheduler's end of a topology, awaited.
//!
//! **Lives here:** [`AsyncScheduler`]. **Builds on:** the looks of the end that it wraps, which are those of `gather`;
//! a doorbell for each response ring. **May touch it:** one task at a time.

use super::bell::Bell;
use super::send::RoomBell;
use super::send::{publish, take_turn};
use crate::topology::{
    Answer, Arrival, Change, Departure, Outcome, RestartError, SchedulerEnd, UrgentError, Whom, WorkerReport,
};
use crate::transport::{BorrowedProducer, Format, Message, Records, TransportResult};
use disruptor_mp::{Doorbell, Patience, Sequence};
use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// The pause where a worker's process is about to say more than that its ring has ended, and where there is no
/// doorbell.
const NAP: Duration = Duration::from_millis(1);

/// A [`SchedulerEnd`] that is awaited: no call blocks the runtime's thread, also not a broadcast into a full ring.
///
/// Launch before, or on a thread for what blocks: [`launch`](crate::topology::Topology::launch) waits for the workers.
/// While a call waits, the workers are looked after as in a call that blocks.
///
/// ```no_run
/// use myelon::asynchronous::AsyncScheduler;
/// use myelon::topology::{Outcome, SchedulerEnd, Whom};
/// use std::time::{Duration, Instant};
///
/// async fn run(scheduler: SchedulerEnd) -> Result<(), Box<dyn std::error::Error>> {
///     let mut scheduler = AsyncScheduler::new(scheduler);
///     let step = scheduler.broadcast(b"a step", 1).await?;
///     for answer in scheduler.gather_for(step, Whom::All, Instant::now() + Duration::from_secs(2)).await {
///         if let Outcome::Message { bytes, .. } = answer.outcome {
///             println!("rank {}: {bytes:?}", answer.rank);
///         }
///     }
///     scheduler.close().await;
///     Ok(())
/// }
/// ```
///
/// Dropping it does what dropping a `SchedulerEnd` does, and waits for the workers that it has started:
/// [`close`](Self::close) waits elsewhere. Source: RFC 0016, "Awaiting".
pub struct AsyncScheduler<F: Format = Records> {
    // Before the scheduler: nothing waits at a ring's bell when the ring goes.
    bells: Vec<Option<RingBell>>,
    room: RoomBell,
    scheduler: SchedulerEnd<F>,
}

/// The doorbell of one response ring.
struct RingBell {
    /// Which of its worker's rings that is.
    ring_number: u64,
    bell: Bell<Doorbell>,
}

impl<F: Format> AsyncScheduler<F> {
    /// Wraps `scheduler`, whose wait strategies are not used from then on.
    pub fn new(scheduler: SchedulerEnd<F>) -> Self {
        let bells = (0..scheduler.worker_count()).map(|_| None).collect();
        Self { bells, room: None, scheduler }
    }

    /// Sends `bytes` to every worker, as [`SchedulerEnd::broadcast`] does, and awaits room.
    ///
    /// Cancel safe: a future that is dropped before it was ready has sent nothing, and no sequence is used up.
    ///
    /// # Errors
    /// As there; `Publish` with `ConsumerDied` within 100 ms of the death of the worker that everything waits for.
    ///
    /// # Panics
    /// If it has to wait in a runtime without a time driver; so do all calls here.
    pub async fn broadcast(&mut self, bytes: &[u8], kind: u8) -> TransportResult<Sequence> {
        let sent = publish(self.scheduler.broadcast_mut(), &mut self.room, bytes, kind).await;
        self.scheduler.note_sent();
        sent
    }

    /// [`SchedulerEnd::broadcast`] that does not wait for room.
    ///
    /// # Errors
    /// As there; `Full` if there is no room now.
    pub fn try_broadcast(&mut self, bytes: &[u8], kind: u8) -> TransportResult<Sequence> {
        self.scheduler.broadcast(bytes, kind, Patience::Now)
    }

    /// [`SchedulerEnd::broadcast_urgent`], which never waits.
    ///
    /// # Errors
    /// As there.
    pub fn broadcast_urgent(&mut self, bytes: &[u8], kind: u8) -> Result<Sequence, UrgentError> {
        self.scheduler.broadcast_urgent(bytes, kind)
    }

    /// [`SchedulerEnd::gather`], awaited.
    ///
    /// Cancel safe: messages are taken and changes told in the poll that returns all of them.
    ///
    /// # Panics
    /// As there.
    pub async fn gather(&mut self, whom: Whom, deadline: Instant) -> Vec<Answer> {
        self.gather_step(None, whom, deadline).await
    }

    /// [`SchedulerEnd::gather_for`], awaited.
    ///
    /// Cancel safe: a future that is dropped before it was ready has handed out and told nothing. What it has sorted on
    /// the way is where the next call finds it.
    ///
    /// # Panics
    /// As there.
    pub async fn gather_for(&mut self, step: Sequence, whom: Whom, deadline: Instant) -> Vec<Answer> {
        self.scheduler.check_step(step);
        self.gather_step(Some(step), whom, deadline).await
    }

    async fn gather_step(&mut self, step: Option<Sequence>, whom: Whom, deadline: Instant) -> Vec<Answer> {
        loop {
            take_turn().await;
            let silent = self.scheduler.silent(step, whom);
            if silent.is_empty() || Instant::now() >= deadline {
                return self.scheduler.gather_step(step, whom, Instant::now());
            }
            self.pause(&silent, deadline).await;
        }
    }

    /// [`SchedulerEnd::receive`] that does not wait.
    ///
    /// # Errors
    /// As there; `NoAnswer` if there is no message now.
    ///
    /// # Panics
    /// As there.
    #[track_caller]
    pub fn try_receive(&mut self, rank: usize) -> Result<Message<'_, F>, Outcome> {
        self.scheduler.receive(rank, Instant::now())
    }

    /// As [`SchedulerEnd::check_workers`].
    pub fn check_workers(&mut self) -> Vec<(usize, Change)> {
        self.scheduler.check_workers()
    }

    /// As [`SchedulerEnd::report`].
    ///
    /// # Panics
    /// As there.
    #[track_caller]
    pub fn report(&mut self, rank: usize) -> WorkerReport {
        self.scheduler.report(rank)
    }

    /// As [`SchedulerEnd::broadcast_ring`]. Calls that wait block the thread; those with [`Patience::Now`] do not.
    pub fn broadcast_ring(&mut self) -> BorrowedProducer<'_, F> {
        self.scheduler.broadcast_ring()
    }

    /// [`SchedulerEnd::wait_for`], awaited.
    ///
    /// Cancel safe: nothing is told before the poll that returns it.
    ///
    /// # Panics
    /// As there.
    pub async fn wait_for(&mut self, rank: usize, deadline: Instant) -> Arrival {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if let Some(arrival) = self.scheduler.arrival(rank) {
                return arrival;
            }
            if left.is_zero() {
                return self.scheduler.wait_for(rank, deadline);
            }
            tokio::time::sleep(self.scheduler.arrival_pause(rank).min(left)).await;
        }
    }

    /// [`SchedulerEnd::restart`]; the end of the old process is awaited.
    ///
    /// Cancel safe: a future that is dropped before it was ready may have killed the old process, and has started none.
    ///
    /// # Errors
    /// As there.
    pub async fn restart(&mut self, rank: usize) -> Result<u32, RestartError> {
        self.scheduler.kill_worker(rank)?;
        while !self.scheduler.has_worker_ended(rank) {
            tokio::time::sleep(NAP).await;
        }
        self.scheduler.start_successor(rank)
    }

    /// [`SchedulerEnd::close`], on a thread for what blocks.
    pub async fn close(self) -> Vec<Departure> {
        let Self { bells, scheduler, .. } = self;
        drop(bells);
        let closed = tokio::task::spawn_blocking(move || scheduler.close()).await;
        closed.expect("closing does not panic, and is not cancelled once it runs")
    }

    /// The end that is wrapped.
    pub fn get_ref(&self) -> &SchedulerEnd<F> {
        &self.scheduler
    }

    /// The end that was wrapped.
    pub fn into_inner(self) -> SchedulerEnd<F> {
        self.scheduler
    }

    /// Waits until one of the `silent` may have something to say, or it is time to look after them.
    async fn pause(&mut self, silent: &[usize], deadline: Instant) {
        let patience = silent.iter().map(|&rank| self.scheduler.patience_with(rank)).min().unwrap_or(NAP);
        let left = deadline.saturating_duration_since(Instant::now());
        let rung = tokio::time::timeout(patience.min(left), poll_fn(|context| self.poll_bells(context, silent))).await;
        match rung {
            Ok(Rung::News) => {}
            Ok(Rung::End | Rung::NoBell) => {
                // A ring that has ended is rung at once, and what became of its worker is known a moment later.
                tokio::time::sleep(NAP.min(left)).await;
                self.scheduler.look();
            }
            Err(_) if patience <= NAP => self.scheduler.look(),
            Err(_) => {}
        }
    }

    fn poll_bells(&mut self, context: &mut Context<'_>, silent: &[usize]) -> Poll<Rung> {
        let Self { bells, scheduler, .. } = self;
        for &rank in silent {
            let Some((ring_number, responses)) = scheduler.heard_ring(rank) else { continue };
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
    /// There is a ring without a doorbell: no more can be had.
    NoBell,
}

impl<F: Format> fmt::Debug for AsyncScheduler<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncScheduler").field("scheduler", &self.scheduler).finish_non_exhaustive()
    }
}
