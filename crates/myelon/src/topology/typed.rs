//! A topology whose messages have one type in each direction.
//!
//! **Lives here:** [`TypedScheduler`], [`TypedWorker`], [`TypedAnswer`]. **Builds on:** the ends of bytes, which do everything but encode and decode.
//! **May touch it:** one process each, one thread at a time.

use super::answer::{Answer, Outcome, Whom};
use super::description::Topology;
use super::error::{LaunchError, WorkerJoinError};
use super::invitation::Invitation;
use super::launch::Workers;
use super::scheduler::{Departure, SchedulerEnd};
use super::worker::WorkerEnd;
use crate::codec::Codec;
use crate::transport::{Format, FramedTransportProducer, Records, TransportError, TransportResult};
use crate::typed_transport::TypedPublishError;
use disruptor_mp::{ConsumeError, Patience, Sequence};
use std::fmt;
use std::marker::PhantomData;
use std::time::Instant;

impl<F: Format> Topology<F> {
    /// Says what travels: messages of type `B` to everybody, and of type `A` back. Whoever was built for other types is refused when it
    /// attaches. The typed ends say so by themselves.
    #[must_use]
    pub fn carrying<B: Codec, A: Codec>(self) -> Self {
        self.with_content_tags(B::type_tag(), A::type_tag())
    }
}

/// A [`SchedulerEnd`] that broadcasts messages of type `B` and is answered in type `A`.
pub struct TypedScheduler<B: Codec, A: Codec, F: Format = Records> {
    raw: SchedulerEnd<F>,
    scratch: B::Scratch,
    types: PhantomData<fn(&B) -> A>,
}

impl<B: Codec, A: Codec, F: Format> TypedScheduler<B, A, F> {
    /// [`Topology::launch`] for these types.
    ///
    /// # Errors
    /// As there.
    pub fn launch(topology: Topology<F>, workers: Workers) -> Result<Self, LaunchError> {
        let raw = topology.carrying::<B, A>().launch(workers)?;
        Ok(Self { raw, scratch: B::Scratch::default(), types: PhantomData })
    }

    /// [`SchedulerEnd::broadcast`] of a message that is encoded in the ring.
    ///
    /// # Errors
    /// `Codec` if it cannot be encoded; the others as there. Nothing was sent.
    pub fn broadcast(&mut self, message: &B, kind: u8, patience: Patience) -> Result<Sequence, TypedPublishError> {
        let sent = send(self.raw.broadcast_ring(), &mut self.scratch, message, kind, patience);
        self.raw.note_sent();
        Ok(sent?)
    }

    /// [`SchedulerEnd::gather`] of messages of type `A`. What is none is [`Outcome::Unreadable`].
    ///
    /// # Panics
    /// As there.
    pub fn gather(&mut self, whom: Whom, deadline: Instant) -> Vec<TypedAnswer<A>> {
        let decoded = |outcome| match outcome {
            Outcome::Message { kind, bytes } => match A::decode(&bytes) {
                Ok(message) => Ok((message, kind)),
                Err(error) => Err(Outcome::Unreadable(TransportError::Codec(error))),
            },
            other => Err(other),
        };
        let typed = |answer: Answer| TypedAnswer { rank: answer.rank, outcome: decoded(answer.outcome) };
        self.raw.gather(whom, deadline).into_iter().map(typed).collect()
    }

    /// The end of bytes under it, for everything else: restarting, looking after workers, reading in place.
    pub fn raw_mut(&mut self) -> &mut SchedulerEnd<F> {
        &mut self.raw
    }

    /// As [`SchedulerEnd::close`].
    pub fn close(self) -> Vec<Departure> {
        self.raw.close()
    }
}

/// What came of waiting for one worker.
#[derive(Debug)]
#[non_exhaustive]
pub struct TypedAnswer<A> {
    /// Which worker.
    pub rank: usize,
    /// Its message and the kind that it gave it; or why there is none.
    pub outcome: Result<(A, u8), Outcome>,
}

/// A [`WorkerEnd`] that hears messages of type `B` and answers in type `A`.
pub struct TypedWorker<B: Codec, A: Codec, F: Format = Records> {
    raw: WorkerEnd<F>,
    scratch: A::Scratch,
    /// The broadcast that is being decoded, out of reach of whoever wrote it.
    copy: Vec<u8>,
    types: PhantomData<fn(&A) -> B>,
}

impl<B: Codec, A: Codec, F: Format> TypedWorker<B, A, F> {
    /// [`WorkerEnd::join`] for these types.
    ///
    /// # Errors
    /// As there; `Broadcast` with `IncompatibleContent` if the scheduler sends messages of another type.
    pub fn join(invitation: &Invitation) -> Result<Self, WorkerJoinError> {
        let mut invitation = invitation.clone();
        invitation.broadcast_tag = Some(B::type_tag().into());
        invitation.response_tag = Some(A::type_tag().into());
        let raw = WorkerEnd::join(&invitation)?;
        Ok(Self { raw, scratch: A::Scratch::default(), copy: Vec::new(), types: PhantomData })
    }

    /// Hands every broadcast and its kind to `handler`, and answers with what it returns, as a message of the same kind, until the scheduler
    /// closes the topology. A broadcast is acknowledged once it is answered.
    ///
    /// # Errors
    /// That of the handler, with its broadcast unacknowledged; `Codec` for a broadcast that is none of type `B`, which was acknowledged, so
    /// that it does not end every successor too; or why there is nothing more to read or no way to answer.
    pub fn serve<E: From<TransportError>>(&mut self, mut handler: impl FnMut(B, u8) -> Result<A, E>) -> Result<(), E> {
        let (broadcasts, responses) = self.raw.rings();
        loop {
            let message = match broadcasts.next(Patience::Endless) {
                Ok(Some(message)) => message,
                Ok(None) => continue,
                Err(TransportError::Consume(ConsumeError::Closed)) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            self.copy.clear();
            self.copy.extend_from_slice(&message);
            let (step, kind) = (B::decode(&self.copy).map_err(TransportError::Codec)?, message.kind());
            let answered = handler(step, kind)
                .and_then(|answer| Ok(send(responses, &mut self.scratch, &answer, kind, Patience::Endless)?));
            if let Err(error) = answered {
                message.release_unread();
                return Err(error);
            }
        }
    }

    /// The end of bytes under it, for everything else.
    pub fn raw_mut(&mut self) -> &mut WorkerEnd<F> {
        &mut self.raw
    }
}

/// Encodes `message` in the ring, and again where the room turns out too small.
fn send<T: Codec, F: Format>(
    ring: &mut FramedTransportProducer<F>,
    scratch: &mut T::Scratch,
    message: &T,
    kind: u8,
    patience: Patience,
) -> TransportResult<Sequence> {
    let size_hint = message.size_hint().min(ring.max_message_bytes());
    ring.send_with(kind, size_hint, patience, |into| message.encode(scratch, into))
}

impl<B: Codec, A: Codec, F: Format> fmt::Debug for TypedScheduler<B, A, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TypedScheduler").field(&self.raw).finish()
    }
}

impl<B: Codec, A: Codec, F: Format> fmt::Debug for TypedWorker<B, A, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TypedWorker").field(&self.raw).finish()
    }
}
