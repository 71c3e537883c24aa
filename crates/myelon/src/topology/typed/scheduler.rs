//! A scheduler's end that broadcasts messages of one type and receives answers of another.
//!
//! One thread uses it at a time.

use super::super::answer::{Answer, Change, Outcome, Whom};
use super::super::departure::Departure;
use super::super::description::Topology;
use super::super::error::{LaunchError, RestartError, TopologyError};
use super::super::launch::Workers;
use super::super::lent::BorrowedProducer;
use super::super::raw_answer::RawAnswer;
use super::super::report::WorkerReport;
use super::super::scheduler::SchedulerEnd;
use super::super::successor::Arrival;
use super::super::urgent::UrgentError;
use super::answer::TypedAnswer;
use super::ring::TypedRing;
use crate::codec::{Codec, OlderVersion, older_tags};
use crate::transport::{Format, Records};
use crate::typed_transport::Encoder;
use disruptor_mp::{Patience, Sequence};
use std::fmt;
use std::marker::PhantomData;

/// A [`SchedulerEnd`] that broadcasts messages of type `B` and receives answers of type `A`.
#[cfg_attr(feature = "bincode", doc = "```")]
#[cfg_attr(not(feature = "bincode"), doc = "```ignore")]
/// use myelon::prelude::*;
/// use std::time::Duration;
///
/// #[message]
/// struct Step(Vec<u32>);
///
/// #[message]
/// #[derive(Debug, PartialEq)]
/// struct Sum(u64);
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let session = portable_shm_segment_name("doc");
/// let topology = Topology::new(&session, 1usize)?;
/// # let invitation = topology.invitation(0)?;
/// # let worker = std::thread::spawn(move || {
/// #     let mut worker = TypedWorker::<Step, Sum>::join(&invitation).expect("a scheduler comes");
/// #     worker.serve(|step, _kind| Ok::<_, TopologyError>(Sum(step.0.iter().copied().map(u64::from).sum())))
/// # });
/// let mut scheduler: TypedScheduler<Step, Sum> = TypedScheduler::launch(topology, Workers::started_elsewhere())?;
/// let step = scheduler.broadcast(&Step(vec![1, 2]), 0, Patience::Endless)?;
/// for answer in scheduler.gather_for(step, Whom::All, Duration::from_secs(20)) {
///     match answer.outcome {
///         Ok((sum, _kind)) => assert_eq!(sum, Sum(3)),
///         Err(why) => println!("rank {} {why}", answer.rank), // it has died, left, or is late
///     }
/// }
/// scheduler.close();
/// # worker.join().expect("the worker has not panicked")?;
/// # Ok(())
/// # }
/// ```
pub struct TypedScheduler<B: Codec, A: Codec, F: Format = Records> {
    raw: SchedulerEnd<F>,
    encoder: Encoder<B>,
    /// The count of moves of the counters for which `encoder` has handles.
    counter_moves: u32,
    /// Older versions of the answers that are accepted.
    older: Vec<OlderVersion<A>>,
    types: PhantomData<fn(&B) -> A>,
}

impl<B: Codec, A: Codec, F: Format> TypedScheduler<B, A, F> {
    /// [`Topology::launch`] for these types. A worker may also answer in one of the
    /// [older versions](Codec::older_versions) of `A`, each in its own.
    ///
    /// # Errors
    /// The same as that call. A worker that answers in another type is [missing](LaunchError::Missing), with the first
    /// field or variant that differs.
    pub fn launch(topology: Topology<F>, workers: Workers) -> Result<Self, LaunchError> {
        let mut raw = topology.carrying::<B, A>().launch_taking(workers, older_tags::<A>())?;
        let encoder = Encoder::new(raw.broadcast_mut());
        Ok(Self { raw, encoder, counter_moves: 0, older: A::older_versions(), types: PhantomData })
    }

    /// [`SchedulerEnd::broadcast`] of a message that is encoded in the ring.
    ///
    /// # Errors
    /// `Codec` if it cannot be encoded; the others as of that call. Nothing was sent.
    pub fn broadcast(
        &mut self,
        message: &B,
        kind: u8,
        patience: impl Into<Patience>,
    ) -> Result<Sequence, TopologyError> {
        let sent = self.ring().send(message, kind, patience.into());
        self.raw.note_sent();
        sent.map_err(|error| self.raw.error(error))
    }

    /// [`SchedulerEnd::broadcast_urgent`] of a message that is encoded in the ring. It has the type of the broadcasts:
    /// make `B` an enum, of which one variant is `Cancel`.
    ///
    /// # Errors
    /// The same as that call, and an error if the message cannot be encoded. Nothing was sent.
    pub fn broadcast_urgent(&mut self, message: &B, kind: u8) -> Result<Sequence, UrgentError> {
        // It counts with the broadcasts.
        self.ring();
        let Self { raw, encoder, .. } = self;
        raw.send_urgent(|ring| encoder.send(ring, message, kind, &Patience::Now))
    }

    /// [`SchedulerEnd::gather`] of messages of type `A`. Any other message is [`Outcome::Unreadable`].
    ///
    /// # Panics
    /// The same as that call.
    #[track_caller]
    pub fn gather(&mut self, whom: Whom, patience: impl Into<Patience>) -> Vec<TypedAnswer<A>> {
        let answers = self.raw.gather(whom, patience);
        self.read(answers)
    }

    /// [`SchedulerEnd::gather_for`] of messages of type `A`. Any other message is [`Outcome::Unreadable`].
    ///
    /// # Panics
    /// The same as that call.
    #[track_caller]
    pub fn gather_for(&mut self, step: Sequence, whom: Whom, patience: impl Into<Patience>) -> Vec<TypedAnswer<A>> {
        let answers = self.raw.gather_for(step, whom, patience);
        self.read(answers)
    }

    /// The ring of the broadcasts, for messages of type `B`.
    pub(crate) fn ring(&mut self) -> TypedRing<'_, B, F> {
        let Self { raw, encoder, counter_moves, .. } = self;
        let ring = raw.broadcast_mut();
        if ring.counter_moves() != *counter_moves {
            encoder.count_in(ring);
            *counter_moves = ring.counter_moves();
        }
        TypedRing { ring, encoder }
    }

    /// The answers, decoded.
    pub(crate) fn read(&mut self, answers: Vec<Answer>) -> Vec<TypedAnswer<A>> {
        let Self { raw, older, .. } = self;
        let read = |answer: Answer| {
            let is_message = matches!(answer.outcome, Outcome::Message { .. });
            let peer = &raw.peers[answer.rank];
            let answer = TypedAnswer::of(answer, older, &peer.id);
            if is_message {
                peer.count_read(answer.outcome.is_ok());
            }
            answer
        };
        answers.into_iter().map(read).collect()
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn end(&self) -> &SchedulerEnd<F> {
        &self.raw
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn end_mut(&mut self) -> &mut SchedulerEnd<F> {
        &mut self.raw
    }

    /// [`SchedulerEnd::broadcast`] of bytes, which the workers take for a message of type `B`.
    ///
    /// # Errors
    /// The same as that call.
    pub fn broadcast_raw(
        &mut self,
        bytes: &[u8],
        kind: u8,
        patience: impl Into<Patience>,
    ) -> Result<Sequence, TopologyError> {
        self.raw.broadcast(bytes, kind, patience)
    }

    /// [`SchedulerEnd::receive`]: the next message of worker `rank` as its bytes, with their version. It is in place if
    /// it is in the ring. An answer that [`gather_for`](Self::gather_for) has kept, or that was set aside because a
    /// successor has taken its worker's place, is a copy.
    ///
    /// # Errors
    /// Why there is no message; never [`Outcome::Message`].
    ///
    /// # Panics
    /// The same as that call.
    #[track_caller]
    pub fn receive_raw(&mut self, rank: usize, patience: impl Into<Patience>) -> Result<RawAnswer<'_, A, F>, Outcome> {
        let Self { raw, older, .. } = self;
        RawAnswer::of(raw.next_answer(rank, patience.into())?, older)
    }

    /// As [`SchedulerEnd::restart`].
    ///
    /// # Errors
    /// The same as that call.
    pub fn restart(&mut self, rank: usize) -> Result<u32, RestartError> {
        self.raw.restart(rank)
    }

    /// As [`SchedulerEnd::wait_for`].
    ///
    /// # Panics
    /// The same as that call.
    #[track_caller]
    pub fn wait_for(&mut self, rank: usize, patience: impl Into<Patience>) -> Arrival {
        self.raw.wait_for(rank, patience)
    }

    /// Whether worker `rank` answers in one of the [older versions](Codec::older_versions) of `A`; `false` until its
    /// ring was found. Its successor may answer in another version.
    ///
    /// # Panics
    /// If there is no such worker.
    #[track_caller]
    pub fn is_of_older_version(&self, rank: usize) -> bool {
        self.raw.check_rank(rank);
        self.raw.peers[rank].version.0.is_some()
    }

    /// As [`SchedulerEnd::check_workers`].
    pub fn check_workers(&mut self) -> Vec<(usize, Change)> {
        self.raw.check_workers()
    }

    /// As [`SchedulerEnd::report`].
    ///
    /// # Panics
    /// The same as that call.
    #[track_caller]
    pub fn report(&mut self, rank: usize) -> WorkerReport {
        self.raw.report(rank)
    }

    /// As [`SchedulerEnd::broadcast_ring`]. Bytes that are sent through it are taken for messages of type `B`.
    pub fn broadcast_ring(&mut self) -> BorrowedProducer<'_, F> {
        self.raw.broadcast_ring()
    }

    /// The wrapped end of bytes.
    pub fn raw(&self) -> &SchedulerEnd<F> {
        &self.raw
    }

    /// As [`SchedulerEnd::close`].
    pub fn close(self) -> Vec<Departure> {
        self.raw.close()
    }
}

impl<B: Codec, A: Codec, F: Format> fmt::Debug for TypedScheduler<B, A, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TypedScheduler").field(&self.raw).finish()
    }
}
