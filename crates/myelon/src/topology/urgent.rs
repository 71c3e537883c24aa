//! The urgent lane: a second ring from the scheduler to all workers, which a worker looks at first.
//!
//! **Lives here:** [`Lane`], a worker's end of it; [`UrgentHandle`], the same for another thread; [`UrgentError`].
//! **Builds on:** the transport's consumers. **May touch it:** the worker's end, or the thread that has the handle.
//!
//! What lies in the one ring and what lies in the other have no order, except that an urgent message says which
//! broadcast was the last one before it.

use super::leftovers::Leftovers;
use crate::transport::{Format, Message, Records, TransportConsumer, TransportError, TransportResult};
use disruptor_mp::liveness::StallReport;
use disruptor_mp::{ConsumeError, Doorbell, Patience, or_end};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// How often a worker with two lanes looks before it sleeps at both.
const LOOKS_BEFORE_SLEEP: u32 = 64;

/// The longest sleep: the death of a scheduler is to be named within 100 ms.
const SLICE: Duration = Duration::from_millis(50);

/// The nap where there are no doorbells.
const NAP: Duration = Duration::from_millis(1);

/// Why an urgent message was not sent. Nothing was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UrgentError {
    /// The topology has no urgent lane.
    #[error("{session} has no urgent lane: give its topology one, by `with_urgent_lane`")]
    NoLane {
        /// The session's label.
        session: String,
    },
    /// The lane is full of urgent messages that a worker has not taken. What is urgent is not waited for: the report
    /// says whose process to look at.
    #[error("the urgent lane is full: {report}")]
    UrgentFull {
        /// Which worker holds it back.
        report: Box<StallReport>,
    },
    /// The message can never be sent, or the ring has ended.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

/// A worker's end of the urgent lane.
pub(super) struct Lane<F: Format> {
    pub(super) consumer: TransportConsumer<F>,
    /// Those of the broadcasts and of this ring; made when first needed.
    bells: Option<[Doorbell; 2]>,
}

impl<F: Format> Lane<F> {
    pub(super) fn new(consumer: TransportConsumer<F>) -> Self {
        Self { consumer, bells: None }
    }

    /// Waits until there is an urgent message (`true`), or a call for the next of the `broadcasts` with this patience
    /// would answer at once.
    pub(super) fn wait(&mut self, broadcasts: &mut TransportConsumer<F>, patience: Patience) -> bool {
        let deadline = patience.deadline();
        let mut looks = 0;
        loop {
            // The broadcasts first: what was urgent before a broadcast is found by the second look, wherever this
            // process was stopped. A look that does not wait hears of no death; so once we sleep, we ask.
            let is_answered =
                !is_silent(broadcasts) || (looks >= LOOKS_BEFORE_SLEEP && broadcasts.end_of_publishing().is_some());
            if is_there(&mut self.consumer) {
                return true;
            }
            if is_answered || deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return false;
            }
            looks += 1;
            match looks {
                ..LOOKS_BEFORE_SLEEP => std::hint::spin_loop(),
                _ => self.sleep(broadcasts, deadline),
            }
        }
    }

    /// Sleeps until one of the two rings is rung, or a slice is over.
    fn sleep(&mut self, broadcasts: &mut TransportConsumer<F>, deadline: Option<Instant>) {
        let left = deadline.map_or(SLICE, |deadline| deadline.saturating_duration_since(Instant::now()));
        if self.bells.is_none() {
            self.bells = broadcasts.doorbell().and_then(|first| Ok([first, self.consumer.doorbell()?])).ok();
        }
        let Some([first, second]) = &mut self.bells else { return std::thread::sleep(left.min(NAP)) };
        // One that is not armed has something to say. A ring that has ended says so for ever, which the broadcasts' own
        // end tells.
        let is_urgent_over = self.consumer.end_of_publishing().is_some();
        if !first.arm(broadcasts) || (!is_urgent_over && !second.arm(&mut self.consumer)) {
            return;
        }
        let mut bells = [PollFd::new(first, PollFlags::IN), PollFd::new(second, PollFlags::IN)];
        let timeout = Timespec::try_from(left.min(SLICE)).expect("a slice is short");
        // An interrupted poll is a short one.
        let _ = poll(&mut bells, Some(&timeout));
    }
}

/// Whether there is a message in the ring.
fn is_there<F: Format>(ring: &mut TransportConsumer<F>) -> bool {
    ring.wait_until_available(Patience::Now).is_ok()
}

/// Whether there is neither a message in the ring nor anything else to say.
fn is_silent<F: Format>(ring: &mut TransportConsumer<F>) -> bool {
    matches!(ring.wait_until_available(Patience::Now), Err(ConsumeError::TimedOut { .. }))
}

/// A worker's urgent messages for another thread, which hears them while the worker is busy with a broadcast:
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
    has_left: Arc<OnceLock<()>>,
    leftovers: Leftovers,
}

impl<F: Format> UrgentHandle<F> {
    pub(super) fn new(lane: Lane<F>, has_left: Arc<OnceLock<()>>) -> Self {
        Self { consumer: lane.consumer, has_left, leftovers: Leftovers::default() }
    }

    /// The next urgent message, in place; `None` if there is none now and the patience is [`Now`](Patience::Now).
    /// Dropping it acknowledges it. The last broadcast before it is what it is [in reply to](Message::in_reply_to).
    ///
    /// # Errors
    /// As [`WorkerEnd::next`](super::WorkerEnd::next).
    pub fn next(&mut self, patience: Patience) -> TransportResult<Option<Message<'_, F>>> {
        self.consumer.next(patience)
    }

    /// [`next`](Self::next) for loops that end where the topology does.
    ///
    /// # Errors
    /// As [`next`](Self::next), but for `Consume(Closed)`.
    pub fn next_or_end(&mut self, patience: Patience) -> TransportResult<Option<Message<'_, F>>> {
        or_end(self.next(patience), TransportError::is_closed)
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
