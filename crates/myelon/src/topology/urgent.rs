//! The urgent lane: a second ring from the scheduler to all workers, which a worker looks at first.
//!
//! There is no order between the messages of the two rings, except that an urgent message names the last broadcast
//! before it.

use super::error::TopologyError;
use super::gather::left_until;
use super::leftovers::Leftovers;
use crate::transport::{Format, Message, Records, TransportConsumer};
use disruptor_mp::liveness::StallReport;
use disruptor_mp::{ConsumeError, Patience, Ready, Select};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// Why an urgent message was not sent. Nothing was sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UrgentError {
    /// The topology has no urgent lane.
    #[error("{session} has no urgent lane: give its topology one, by `with_urgent_lane`")]
    NoLane {
        /// The session's label.
        session: String,
    },
    /// The lane is full of urgent messages that a worker has not taken. This call does not wait for room: the report
    /// names the process to look at. Send it again later.
    #[error("{session}: the urgent lane is full; send the message again later: {report}")]
    UrgentFull {
        /// The session's label.
        session: String,
        /// Which worker holds it back.
        report: Box<StallReport>,
    },
    /// The message can never be sent, or the ring has ended.
    #[error(transparent)]
    Transport(#[from] TopologyError),
}

impl UrgentError {
    /// Whether the lane has no room. Sending an urgent message never waits.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::UrgentFull { .. })
    }

    /// Whether nothing can be sent into the lane any more.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Transport(error) if error.is_closed())
    }
}

/// A worker's end of the urgent lane.
pub(super) struct Lane<F: Format> {
    pub(super) consumer: TransportConsumer<F>,
    /// Waits for the broadcasts and for this ring.
    select: Select,
    /// Whether nothing more will come in this ring, and everything in it was read.
    has_ended: bool,
}

impl<F: Format> Lane<F> {
    pub(super) fn new(consumer: TransportConsumer<F>) -> Self {
        Self { consumer, select: Select::new(), has_ended: false }
    }

    /// Waits until there is an urgent message (`true`), or one of the `broadcasts`, or `patience` is over.
    ///
    /// # Errors
    /// Why there will be no broadcast, or an error about the broadcasts that is reported once. After a wait also why
    /// there is no broadcast yet.
    pub(super) fn wait(
        &mut self,
        broadcasts: &mut TransportConsumer<F>,
        patience: Patience,
    ) -> Result<bool, ConsumeError> {
        let deadline = patience.deadline();
        // The broadcasts first: an urgent message that was sent before a broadcast is found by the second look,
        // wherever this process was stopped.
        let mut broadcast = is_there(broadcasts);
        let mut since = None;
        loop {
            let is_urgent = is_there(&mut self.consumer).is_ok_and(|is_there| is_there);
            match broadcast {
                // The ring reports this error once, so it is returned now. Urgent messages stay where they are.
                Err(error) if !error.is_end() => return Err(error),
                _ if is_urgent => return Ok(true),
                Ok(false) if !left_until(deadline).is_zero() => {}
                Ok(false) => {
                    let Some(since) = since else { return Ok(false) };
                    let nothing = |reason: ConsumeError| reason.after(Instant::elapsed(&since));
                    return broadcasts.wait_until_available(Patience::Now).map(|()| false).map_err(nothing);
                }
                answer => return answer.map(|_| false),
            }
            since.get_or_insert_with(Instant::now);
            let end = self.sleep(broadcasts, deadline);
            // Only the kernel knows that a scheduler was killed, and that wait has asked it.
            broadcast = end.map_or_else(|| is_there(broadcasts), Err);
        }
    }

    /// Sleeps until there is a message in one of the two rings, or the patience is over; an error is about the
    /// broadcasts.
    fn sleep(&mut self, broadcasts: &mut TransportConsumer<F>, deadline: Option<Instant>) -> Option<ConsumeError> {
        // A lane that has ended is ready at each call, so the wait for the broadcasts leaves it out.
        let ready = match self.has_ended {
            false => self.select.wait(&mut [broadcasts, &mut self.consumer], deadline),
            true => self.select.wait(&mut [broadcasts], deadline),
        };
        let mut said = None;
        for Ready { index, outcome, .. } in ready {
            match (index, outcome) {
                (0, outcome) => said = outcome.err(),
                (_, outcome) => self.has_ended = outcome.is_err_and(|error| error.is_end()),
            }
        }
        said
    }
}

/// Whether there is a message in the ring.
fn is_there<F: Format>(ring: &mut TransportConsumer<F>) -> Result<bool, ConsumeError> {
    match ring.wait_until_available(Patience::Now) {
        Ok(()) => Ok(true),
        // The error may also be the held limit: a wait then ends when the oldest message is released.
        Err(error) if error.is_timed_out() => Ok(false),
        Err(error) => Err(error),
    }
}

/// A worker's urgent messages for another thread, which receives them while the worker is busy with a broadcast:
/// [`WorkerEnd::take_urgent`](super::WorkerEnd::take_urgent).
///
/// ```
/// use myelon::prelude::*;
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicI64, Ordering};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let topology: Topology = Topology::new(&portable_shm_segment_name("doc"), 1usize)?.with_urgent_lane();
/// # let invitation = topology.invitation(0)?;
/// # let scheduler = std::thread::spawn(move || {
/// #     let mut scheduler = topology.launch(Workers::started_elsewhere()).expect("a worker comes");
/// #     let step = scheduler.broadcast(b"a step", 1, Patience::Endless).expect("there is room");
/// #     scheduler.broadcast_urgent(b"cancel", 9).expect("the lane has room");
/// #     let soon = std::time::Instant::now() + std::time::Duration::from_secs(20);
/// #     scheduler.gather_for(step, Whom::All, soon).remove(0).outcome
/// # });
/// // In a process that the scheduler has started, the invitation is `Invitation::from_environment()?`.
/// let mut worker: WorkerEnd = WorkerEnd::join(&invitation)?;
/// // The last step that is cancelled; -1: none is.
/// let cancelled = Arc::new(AtomicI64::new(-1));
/// if let Some(mut urgent) = worker.take_urgent() {
///     let cancelled = Arc::clone(&cancelled);
///     std::thread::spawn(move || {
///         while let Ok(Some(message)) = urgent.next_or_end(Patience::Endless) {
///             // It cancels everything up to the last step before it.
///             cancelled.fetch_max(message.in_reply_to().unwrap_or(-1), Ordering::Relaxed);
///         }
///     });
/// }
/// while let Some(mut step) = worker.next_or_end(Patience::Endless)? {
/// #   while cancelled.load(Ordering::Relaxed) < step.step() { std::thread::yield_now(); }
///     let is_cancelled = cancelled.load(Ordering::Relaxed) >= step.step();
///     step.answer(if is_cancelled { b"cancelled" } else { b"done" }, 0, Patience::Endless)?;
/// }
/// # assert!(matches!(scheduler.join(), Ok(Outcome::Message { bytes, .. }) if bytes == b"cancelled"));
/// # Ok(())
/// # }
/// ```
pub struct UrgentHandle<F: Format = Records> {
    consumer: TransportConsumer<F>,
    /// The user's name for the worker.
    worker: String,
    has_left: Arc<OnceLock<()>>,
    leftovers: Leftovers,
}

impl<F: Format> UrgentHandle<F> {
    pub(super) fn new(lane: Lane<F>, has_left: Arc<OnceLock<()>>) -> Self {
        let worker = lane.consumer.consumer_id().to_owned();
        Self { consumer: lane.consumer, worker, has_left, leftovers: Leftovers::default() }
    }

    /// The next urgent message, in place; `None` if there is none now and the patience is [`Now`](Patience::Now).
    /// Dropping it acknowledges it. Its [`in_reply_to`](Message::in_reply_to) is the last broadcast before it.
    ///
    /// # Errors
    /// As [`WorkerEnd::next`](super::WorkerEnd::next).
    pub fn next(&mut self, patience: impl Into<Patience>) -> Result<Option<Message<'_, F>>, TopologyError> {
        self.consumer.next(patience.into()).map_err(|error| TopologyError::of(&self.worker, error))
    }

    /// [`next`](Self::next) for loops that end when the topology ends.
    ///
    /// # Errors
    /// As [`next`](Self::next), except `Consume(Closed)`.
    pub fn next_or_end(&mut self, patience: impl Into<Patience>) -> Result<Option<Message<'_, F>>, TopologyError> {
        self.consumer.next_or_end(patience.into()).map_err(|error| TopologyError::of(&self.worker, error))
    }
}

impl<F: Format> Drop for UrgentHandle<F> {
    fn drop(&mut self) {
        let is_over = self.consumer.end_of_publishing().is_some();
        if is_over || self.has_left.get().is_some() {
            self.consumer.leave_on_drop();
        }
        if is_over {
            self.leftovers.push(self.consumer.place());
        }
    }
}

impl<F: Format> std::fmt::Debug for UrgentHandle<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UrgentHandle").field("consumer_id", &self.consumer.consumer_id()).finish_non_exhaustive()
    }
}
