//! A broadcast that a worker was handed, with the way to answer it.
//!
//! **Lives here:** [`Broadcast`]. **Builds on:** the transport's message. **May touch it:** the worker; it borrows the worker's end, so there is
//! one at a time.

use crate::transport::{Format, Message, Records, TransportProducer, TransportResult};
use disruptor_mp::{Patience, Sequence};
use std::ops::Deref;

/// A broadcast: the message and what came with it, by `Deref`, and the way to [answer](Self::answer) it. Dropping it acknowledges it; while a
/// panic unwinds it is not acknowledged, and comes again.
///
/// ```no_run
/// use myelon::Patience;
/// use myelon::topology::{Invitation, WorkerEnd};
///
/// fn work() -> Result<(), Box<dyn std::error::Error>> {
///     let mut worker: WorkerEnd = WorkerEnd::join(&Invitation::from_environment()?)?;
///     while let Some(mut broadcast) = worker.next_or_end(Patience::Endless)? {
///         let answer = broadcast.to_ascii_uppercase();
///         // Answered first and acknowledged then, when it is dropped: a death between the two repeats the answer, and loses none.
///         broadcast.answer(&answer, 0, Patience::Endless)?;
///     }
///     Ok(())
/// }
/// ```
#[must_use = "dropping a broadcast acknowledges it"]
pub struct Broadcast<'a, F: Format = Records> {
    message: Message<'a, F>,
    responses: &'a mut TransportProducer<F>,
}

impl<'a, F: Format> Broadcast<'a, F> {
    /// `message`, which whatever is sent through `responses` from now on answers.
    pub(super) fn new(message: Message<'a, F>, responses: &'a mut TransportProducer<F>) -> Self {
        responses.set_in_reply_to(Some(message.sequence()));
        Self { message, responses }
    }

    /// The number by which an answer says what it answers: the broadcast's [sequence](Message::sequence).
    pub fn step(&self) -> Sequence {
        self.message.sequence()
    }

    /// Answers it.
    ///
    /// # Errors
    /// `Publish` with `ConsumerDied` when the ring is full and the scheduler is dead; see [`TransportError`](crate::transport::TransportError).
    pub fn answer(&mut self, bytes: &[u8], kind: u8, patience: Patience) -> TransportResult<Sequence> {
        self.responses.send(bytes, kind, patience)
    }

    /// The ring to answer on, for answers that are encoded in place. Every message that is sent there answers this broadcast.
    pub fn responses(&mut self) -> &mut TransportProducer<F> {
        self.responses
    }

    /// The same, beside the message.
    pub(super) fn parts(&mut self) -> (&Message<'a, F>, &mut TransportProducer<F>) {
        (&self.message, self.responses)
    }

    /// Gives it back without acknowledging it: the next call returns it again.
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
            .field("kind", &self.kind())
            .field("len_bytes", &self.len())
            .finish_non_exhaustive()
    }
}
