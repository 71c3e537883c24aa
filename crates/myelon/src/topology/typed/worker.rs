//! A worker's end that receives messages of one type and answers in another.
//!
//! One thread uses it at a time.

use super::super::broadcast::Broadcast;
use super::super::error::{TopologyError, WorkerJoinError};
use super::super::invitation::Invitation;
use super::super::lent::{BorrowedConsumer, BorrowedProducer};
use super::super::urgent::UrgentHandle;
use super::super::worker::WorkerEnd;
use super::broadcast::TypedBroadcast;
use super::ring::TypedRing;
use crate::codec::{Codec, CodecResult, older_tags, older_version};
use crate::transport::{Format, Records};
use crate::typed_transport::{Encoder, Reading};
use disruptor_mp::{Patience, Sequence};
use std::fmt;
use std::marker::PhantomData;

/// A [`WorkerEnd`] that receives messages of type `B` and answers in type `A`.
#[cfg_attr(feature = "bincode", doc = "```")]
#[cfg_attr(not(feature = "bincode"), doc = "```ignore")]
/// use myelon::prelude::*;
///
/// #[message]
/// struct Step(Vec<u32>);
///
/// #[message]
/// #[derive(Debug)]
/// struct Sum(u64);
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let topology: Topology = Topology::new(&portable_shm_segment_name("doc"), 1usize)?;
/// # let invitation = topology.invitation(0)?;
/// # let scheduler = std::thread::spawn(move || {
/// #     let launched = TypedScheduler::<Step, Sum>::launch(topology, Workers::started_elsewhere());
/// #     let mut scheduler = launched.expect("a worker comes");
/// #     let step = scheduler.broadcast(&Step(vec![1, 2]), 0, Patience::Endless).expect("there is room");
/// #     let soon = std::time::Instant::now() + std::time::Duration::from_secs(20);
/// #     scheduler.gather_for(step, Whom::All, soon).remove(0).outcome
/// # });
/// // In a process that the scheduler has started, the invitation is `Invitation::from_environment()?`.
/// let mut worker: TypedWorker<Step, Sum> = TypedWorker::join(&invitation)?;
/// // Until the scheduler closes the topology.
/// worker.serve(|step, _kind| Ok::<_, TopologyError>(Sum(step.0.iter().copied().map(u64::from).sum())))?;
/// # assert!(matches!(scheduler.join(), Ok(Ok((Sum(3), 0)))));
/// # Ok(())
/// # }
/// ```
pub struct TypedWorker<B: Codec, A: Codec, F: Format = Records> {
    raw: WorkerEnd<F>,
    encoder: Encoder<A>,
    reading: Reading<B>,
    /// The counts of moves of the counters for which `encoder` and `reading` have handles.
    counter_moves: (u32, u32),
    /// A copy of the broadcast that is being decoded, which the process that wrote it cannot change.
    copy: Vec<u8>,
    types: PhantomData<fn(&A) -> B>,
}

impl<B: Codec, A: Codec> TypedWorker<B, A, Records> {
    /// [`WorkerEnd::join`] for these types. The scheduler may also broadcast one of the
    /// [older versions](Codec::older_versions) of `B`; answers are always of type `A` itself.
    ///
    /// # Errors
    /// The same as that call; `Broadcast` with `IncompatibleContent` if the scheduler sends messages of another type,
    /// `Refused` if it cannot read those of type `A`. Both name the first field or variant that differs.
    pub fn join(invitation: &Invitation) -> Result<Self, WorkerJoinError> {
        Self::join_format(invitation)
    }
}

impl<B: Codec, A: Codec, F: Format> TypedWorker<B, A, F> {
    /// [`join`](TypedWorker::join) for a topology of any format.
    ///
    /// # Errors
    /// The same as that call.
    pub fn join_format(invitation: &Invitation) -> Result<Self, WorkerJoinError> {
        let mut invitation = invitation.clone();
        invitation.broadcast_tag = Some(B::type_tag().into());
        invitation.response_tag = Some(A::type_tag().into());
        let mut raw = WorkerEnd::join_taking(&invitation, older_tags::<B>())?;
        let older = older_version(raw.broadcast_tag());
        let (broadcasts, responses) = raw.rings();
        let (reading, encoder) = (Reading::new(&broadcasts, older), Encoder::new(&responses));
        Ok(Self { raw, encoder, reading, counter_moves: (0, 0), copy: Vec::new(), types: PhantomData })
    }

    /// Whether the scheduler's broadcasts have one of the [older versions](Codec::older_versions) of `B`. They are
    /// decoded into `B`. This does not change while the worker is part of the topology.
    pub fn is_of_older_version(&self) -> bool {
        self.reading.older.is_some()
    }

    /// A function that decodes the bytes of the scheduler's broadcasts, whatever their version: for those of
    /// [`next_raw`](Self::next_raw), and for the thread that has [taken the urgent lane](Self::take_urgent).
    pub fn decoder(&self) -> impl Fn(&[u8]) -> CodecResult<B> + Clone + Send + 'static + use<B, A, F>
    where
        B: 'static,
    {
        self.reading.decoder()
    }

    /// The next broadcast, decoded, with the way to answer it; `None` if there is none now and the patience is
    /// [`Now`](Patience::Now). The end of the topology is the error `Consume(Closed)`. In a loop use
    /// [`next_or_end`](Self::next_or_end). Its `None` says that the topology was closed, as the `None` of
    /// `AsyncWorker::next` does.
    ///
    /// Dropping a broadcast acknowledges it, answered or not.
    ///
    /// # Errors
    /// As [`WorkerEnd::next`]; `Codec` for a broadcast that is not of type `B`. That broadcast was acknowledged, so
    /// that it does not end every successor too.
    pub fn next(
        &mut self,
        patience: impl Into<Patience>,
    ) -> Result<Option<TypedBroadcast<'_, B, A, F>>, TopologyError> {
        self.follow_counters();
        let Self { raw, encoder, reading, copy, .. } = self;
        raw.next(patience)?.map(|raw| TypedBroadcast::of(raw, encoder, reading, copy)).transpose()
    }

    /// [`next`](Self::next) for loops that end when the topology ends: `None` says that the scheduler has closed it and
    /// everything was received. If there is nothing yet, the result is an error for which
    /// [`is_timed_out`](TopologyError::is_timed_out) is true.
    ///
    /// # Errors
    /// As [`next`](Self::next), except that a closed topology is no error.
    pub fn next_or_end(
        &mut self,
        patience: impl Into<Patience>,
    ) -> Result<Option<TypedBroadcast<'_, B, A, F>>, TopologyError> {
        self.follow_counters();
        let Self { raw, encoder, reading, copy, .. } = self;
        raw.next_or_end(patience)?.map(|raw| TypedBroadcast::of(raw, encoder, reading, copy)).transpose()
    }

    /// Answers the broadcast `step`, which need not be the last one: a worker may answer its broadcasts in any order,
    /// several times, or not at all.
    ///
    /// # Errors
    /// `Codec` if it cannot be encoded; the others as [`WorkerEnd::answer`]. Nothing was sent.
    pub fn answer(
        &mut self,
        step: Sequence,
        answer: &A,
        kind: u8,
        patience: impl Into<Patience>,
    ) -> Result<Sequence, TopologyError> {
        self.answering(step).send(answer, kind, patience.into()).map_err(|error| self.raw.error(error))
    }

    /// The ring to answer the broadcast `step` in.
    pub(crate) fn answering(&mut self, step: Sequence) -> TypedRing<'_, A, F> {
        self.follow_counters();
        TypedRing { ring: self.raw.responses_to(step), encoder: &mut self.encoder }
    }

    /// Moves to the counters that the ends of bytes have now, and adds what was decoded in other threads.
    fn follow_counters(&mut self) {
        let (broadcasts, responses) = self.raw.rings();
        let moves = (broadcasts.get_ref().counter_moves(), responses.get_ref().counter_moves());
        if moves != self.counter_moves {
            self.reading.count_in(&broadcasts);
            self.encoder.count_in(&responses);
            self.counter_moves = moves;
        }
        self.reading.collect();
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn end_mut(&mut self) -> &mut WorkerEnd<F> {
        &mut self.raw
    }

    /// Hands every broadcast and its kind to `handler`, and answers with what it returns, as a message of the same
    /// kind, until the scheduler closes the topology. A broadcast is acknowledged once it is answered. Urgent messages
    /// are handed to it as well, first, and are not answered: the result of `handler` for such a message is dropped.
    /// For a worker that does not answer each broadcast, see [`next`](Self::next).
    ///
    /// # Errors
    /// The handler's error, with its broadcast unacknowledged; the errors of [`next`](Self::next), except that a closed
    /// topology is no error; or why the answer could not be sent.
    pub fn serve<E: From<TopologyError>>(&mut self, mut handler: impl FnMut(B, u8) -> Result<A, E>) -> Result<(), E> {
        while let Some(broadcast) = self.next_or_end(Patience::Endless)? {
            let TypedBroadcast { message, mut raw, encoder, .. } = broadcast;
            let kind = raw.kind();
            let answered = handler(message, kind).and_then(|answer| match raw.is_urgent() {
                // Sent, it would be taken for the answer to the last step before the urgent message.
                true => Ok(()),
                false => match encoder.send(raw.responses_mut(), &answer, kind, &Patience::Endless) {
                    Ok(_) => Ok(()),
                    Err(error) => Err(raw.error(error).into()),
                },
            });
            if let Err(error) = answered {
                raw.release_unread();
                return Err(error);
            }
        }
        Ok(())
    }

    /// [`WorkerEnd::next`]: the next broadcast as its bytes, in place, to be answered in bytes.
    ///
    /// # Errors
    /// The same as that call.
    pub fn next_raw(&mut self, patience: impl Into<Patience>) -> Result<Option<Broadcast<'_, F>>, TopologyError> {
        self.raw.next(patience)
    }

    /// As [`WorkerEnd::take_urgent`]; a worker of one thread receives urgent messages with [`TypedBroadcast::urgent`].
    /// The messages of the handle are bytes: a [`decoder`](Self::decoder) decodes them.
    pub fn take_urgent(&mut self) -> Option<UrgentHandle<F>> {
        self.raw.take_urgent()
    }

    /// As [`WorkerEnd::rings`]. Bytes that are sent there are taken for messages of type `A`.
    pub fn rings(&mut self) -> (BorrowedConsumer<'_, F>, BorrowedProducer<'_, F>) {
        self.raw.rings()
    }

    /// As [`WorkerEnd::leave`].
    pub fn leave(self) {
        self.raw.leave();
    }

    /// The wrapped end of bytes.
    pub fn raw(&self) -> &WorkerEnd<F> {
        &self.raw
    }
}

impl<B: Codec, A: Codec, F: Format> fmt::Debug for TypedWorker<B, A, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TypedWorker").field(&self.raw).finish()
    }
}
