//! A broadcast that a worker received, and the way to answer it.
//!
//! It borrows the worker's end, so there is one at a time.

use super::error::TopologyError;
use super::lent::BorrowedProducer;
use crate::transport::{Format, Message, Records, TransportConsumer, TransportError, TransportProducer};
use disruptor_mp::{Patience, Sequence};
use std::ops::Deref;

/// A broadcast: the message, by `Deref`, and the way to [answer](Self::answer) it. Dropping it acknowledges it. While a
/// panic unwinds it is not acknowledged, and comes again.
///
/// ```
/// use myelon::prelude::*;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let topology: Topology = Topology::new(&portable_shm_segment_name("doc"), 1usize)?;
/// # let invitation = topology.invitation(0)?;
/// # let scheduler = std::thread::spawn(move || {
/// #     let mut scheduler = topology.launch(Workers::started_elsewhere()).expect("a worker comes");
/// #     let step = scheduler.broadcast(b"a step", 1, Patience::Endless).expect("there is room");
/// #     let soon = std::time::Instant::now() + std::time::Duration::from_secs(20);
/// #     scheduler.gather_for(step, Whom::All, soon).remove(0).outcome
/// # });
/// // In a process that the scheduler has started, the invitation is `Invitation::from_environment()?`.
/// let mut worker: WorkerEnd = WorkerEnd::join(&invitation)?;
/// while let Some(mut broadcast) = worker.next_or_end(Patience::Endless)? {
///     let answer = broadcast.to_ascii_uppercase();
///     // Answer first; dropping it acknowledges it. A death between the two repeats the answer.
///     broadcast.answer(&answer, 0, Patience::Endless)?;
/// }
/// # assert!(matches!(scheduler.join(), Ok(Outcome::Message { bytes, .. }) if bytes == b"A STEP"));
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping a broadcast acknowledges it"]
pub struct Broadcast<'a, F: Format = Records> {
    message: Message<'a, F>,
    responses: &'a mut TransportProducer<F>,
    /// The urgent lane, if there is one and this message is not from it.
    urgent: Option<&'a mut TransportConsumer<F>>,
    is_urgent: bool,
}

impl<'a, F: Format> Broadcast<'a, F> {
    /// A broadcast of `message`. Everything that is sent through `responses` from now on answers it.
    pub(super) fn new(
        message: Message<'a, F>,
        responses: &'a mut TransportProducer<F>,
        urgent: Option<&'a mut TransportConsumer<F>>,
    ) -> Self {
        responses.set_in_reply_to(Some(message.sequence()));
        Self { message, responses, urgent, is_urgent: false }
    }

    /// An urgent `message`. Everything that is sent from now on answers the last broadcast before it, if there was one.
    pub(super) fn urgent_one(message: Message<'a, F>, responses: &'a mut TransportProducer<F>) -> Self {
        responses.set_in_reply_to(message.in_reply_to());
        Self { message, responses, urgent: None, is_urgent: true }
    }

    /// The number of the broadcast that an answer refers to: the broadcast's [sequence](Message::sequence). For an
    /// urgent message it is that of the last broadcast before it, or -1 if there was none; so an answer to *cancel* is
    /// an answer to the cancelled broadcast.
    pub fn step(&self) -> Sequence {
        match self.is_urgent {
            false => self.message.sequence(),
            true => self.message.in_reply_to().unwrap_or(-1),
        }
    }

    /// Whether it came through the [urgent lane](super::Topology::with_urgent_lane).
    pub fn is_urgent(&self) -> bool {
        self.is_urgent
    }

    /// The next urgent message, if there is one now: for a handler that looks while it works on this broadcast. Its
    /// [`in_reply_to`](Message::in_reply_to) is the last broadcast before it. Dropping it acknowledges it. Always
    /// `None` if this message is urgent itself, if the topology has no urgent lane, or if the lane was
    /// [taken](super::WorkerEnd::take_urgent).
    ///
    /// # Errors
    /// As [`WorkerEnd::next`](super::WorkerEnd::next), except the end of the lane, which the broadcasts report.
    pub fn urgent(&mut self) -> Result<Option<Message<'_, F>>, TopologyError> {
        let Some(urgent) = &mut self.urgent else { return Ok(None) };
        match urgent.next(Patience::Now) {
            Err(TransportError::Consume(_)) => Ok(None),
            answer => answer.map_err(|error| TopologyError::of_sender(self.responses, error)),
        }
    }

    /// Answers the broadcast.
    ///
    /// # Errors
    /// `Publish` with `ConsumerDied` when the ring is full and the scheduler is dead; see [`TransportError`].
    pub fn answer(&mut self, bytes: &[u8], kind: u8, patience: impl Into<Patience>) -> Result<Sequence, TopologyError> {
        self.responses.send(bytes, kind, patience.into()).map_err(|error| self.error(error))
    }

    /// `source` as the error of the worker.
    #[cold]
    pub(crate) fn error(&self, source: impl Into<TransportError>) -> TopologyError {
        TopologyError::of_sender(self.responses, source)
    }

    /// The ring to answer on, for answers that are encoded in place. Every message that is sent there answers this
    /// broadcast.
    pub fn responses(&mut self) -> BorrowedProducer<'_, F> {
        BorrowedProducer::new(self.responses)
    }

    /// The same ring, for this crate.
    pub(crate) fn responses_mut(&mut self) -> &mut TransportProducer<F> {
        self.responses
    }

    /// The message, and that ring.
    pub(super) fn parts(&mut self) -> (&Message<'a, F>, BorrowedProducer<'_, F>) {
        (&self.message, BorrowedProducer::new(self.responses))
    }

    /// Gives the broadcast back without acknowledging it: the next call returns it again.
    pub fn release_unread(self) {
        self.message.release_unread();
    }
}

impl<'a, F: Format> Deref for Broadcast<'a, F> {
    type Target = Message<'a, F>;

    fn deref(&self) -> &Message<'a, F> {
        &self.message
    }
}

impl<F: Format> std::fmt::Debug for Broadcast<'_, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broadcast")
            .field("step", &self.step())
            .field("is_urgent", &self.is_urgent)
            .field("kind", &self.kind())
            .field("len_bytes", &self.len())
            .finish_non_exhaustive()
    }
}
