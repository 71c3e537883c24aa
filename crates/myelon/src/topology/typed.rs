//! A topology whose messages have one type in each direction.
//!
//! **Lives here:** [`TypedScheduler`], [`TypedWorker`], [`TypedAnswer`], [`TypedBroadcast`], [`TypedUrgent`]. **Builds
//! on:** the ends of bytes, which do everything but encode and decode. **May touch it:** one process each, one thread
//! at a time.

use super::answer::{Answer, Change, Outcome, Whom};
use super::broadcast::Broadcast;
use super::departure::Departure;
use super::description::Topology;
use super::error::{LaunchError, RestartError, TopologyError, WorkerJoinError};
use super::invitation::Invitation;
use super::launch::Workers;
use super::lent::{BorrowedConsumer, BorrowedProducer};
use super::raw_answer::RawAnswer;
use super::report::WorkerReport;
use super::scheduler::SchedulerEnd;
use super::successor::Arrival;
use super::urgent::{UrgentError, UrgentHandle};
use super::worker::WorkerEnd;
use crate::codec::{Codec, CodecResult, OlderVersion, decode_as, older_tags, older_version};
#[cfg(feature = "tokio")]
use crate::transport::TransportError;
use crate::transport::{Format, Records, TransportProducer, TransportResult};
use crate::typed_transport::{Encoder, Reading};
use disruptor_mp::__private::ends::{HasProducer, ProducerBase, ProducerMut};
use disruptor_mp::{Patience, Sequence};
use std::fmt;
use std::marker::PhantomData;

impl<F: Format> Topology<F> {
    /// Says what travels: messages of type `B` to all workers, and of type `A` back. A program that was built for other
    /// types is refused when it attaches. The typed ends say so by themselves.
    #[must_use]
    pub fn carrying<B: Codec, A: Codec>(self) -> Self {
        self.with_content_tags(B::type_tag(), A::type_tag())
    }
}

/// A [`SchedulerEnd`] that broadcasts messages of type `B` and is answered in type `A`.
///
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
    /// How often the counters had moved where `encoder` counts.
    counter_moves: u32,
    /// Versions of the answers that are taken as well.
    older: Vec<OlderVersion<A>>,
    types: PhantomData<fn(&B) -> A>,
}

impl<B: Codec, A: Codec, F: Format> TypedScheduler<B, A, F> {
    /// [`Topology::launch`] for these types. A worker may also answer in one of the
    /// [older versions](Codec::older_versions) of `A`, each in its own.
    ///
    /// # Errors
    /// As there. A worker that answers in another type is [missing](LaunchError::Missing), with the first field or
    /// variant that differs.
    pub fn launch(topology: Topology<F>, workers: Workers) -> Result<Self, LaunchError> {
        let mut raw = topology.carrying::<B, A>().launch_taking(workers, older_tags::<A>())?;
        let encoder = Encoder::new(raw.broadcast_mut());
        Ok(Self { raw, encoder, counter_moves: 0, older: A::older_versions(), types: PhantomData })
    }

    /// [`SchedulerEnd::broadcast`] of a message that is encoded in the ring.
    ///
    /// # Errors
    /// `Codec` if it cannot be encoded; the others as there. Nothing was sent.
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
    /// As there, and if it cannot be encoded. Nothing was sent.
    pub fn broadcast_urgent(&mut self, message: &B, kind: u8) -> Result<Sequence, UrgentError> {
        // Counted with the broadcasts.
        self.ring();
        let Self { raw, encoder, .. } = self;
        raw.send_urgent(|ring| encoder.send(ring, message, kind, Patience::Now))
    }

    /// [`SchedulerEnd::gather`] of messages of type `A`. What is none is [`Outcome::Unreadable`].
    ///
    /// # Panics
    /// As there.
    #[track_caller]
    pub fn gather(&mut self, whom: Whom, patience: impl Into<Patience>) -> Vec<TypedAnswer<A>> {
        let answers = self.raw.gather(whom, patience);
        self.read(answers)
    }

    /// [`SchedulerEnd::gather_for`] of messages of type `A`. What is none is [`Outcome::Unreadable`].
    ///
    /// # Panics
    /// As there.
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

    /// What the workers have answered, decoded.
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
    /// As there.
    pub fn broadcast_raw(
        &mut self,
        bytes: &[u8],
        kind: u8,
        patience: impl Into<Patience>,
    ) -> Result<Sequence, TopologyError> {
        self.raw.broadcast(bytes, kind, patience)
    }

    /// [`SchedulerEnd::receive`]: the next message of worker `rank` as its bytes, which say of which version they are. In
    /// place where it lies in the ring, else a copy: an answer that [`gather_for`](Self::gather_for) has kept, or that
    /// was set aside because a successor has taken its worker's place.
    ///
    /// # Errors
    /// Why there is no message; never [`Outcome::Message`].
    ///
    /// # Panics
    /// As there.
    #[track_caller]
    pub fn receive_raw(&mut self, rank: usize, patience: impl Into<Patience>) -> Result<RawAnswer<'_, A, F>, Outcome> {
        let Self { raw, older, .. } = self;
        RawAnswer::of(raw.next_answer(rank, patience.into())?, older)
    }

    /// As [`SchedulerEnd::restart`].
    ///
    /// # Errors
    /// As there.
    pub fn restart(&mut self, rank: usize) -> Result<u32, RestartError> {
        self.raw.restart(rank)
    }

    /// As [`SchedulerEnd::wait_for`].
    ///
    /// # Panics
    /// As there.
    #[track_caller]
    pub fn wait_for(&mut self, rank: usize, patience: impl Into<Patience>) -> Arrival {
        self.raw.wait_for(rank, patience)
    }

    /// Whether worker `rank` answers in one of the [older versions](Codec::older_versions) of `A`, as far as its ring
    /// was found. Its successor may answer in another.
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
    /// As there.
    #[track_caller]
    pub fn report(&mut self, rank: usize) -> WorkerReport {
        self.raw.report(rank)
    }

    /// As [`SchedulerEnd::broadcast_ring`]. Bytes that are sent through it are taken for messages of type `B`.
    pub fn broadcast_ring(&mut self) -> BorrowedProducer<'_, F> {
        self.raw.broadcast_ring()
    }

    /// The end of bytes under it, for what it can be asked.
    pub fn raw(&self) -> &SchedulerEnd<F> {
        &self.raw
    }

    /// As [`SchedulerEnd::close`].
    pub fn close(self) -> Vec<Departure> {
        self.raw.close()
    }
}

/// What came of waiting for one worker.
///
#[cfg_attr(feature = "bincode", doc = "```")]
#[cfg_attr(not(feature = "bincode"), doc = "```ignore")]
/// use myelon::prelude::*;
/// use std::time::Duration;
///
/// # #[message]
/// # struct Step(Vec<u32>);
/// #[message]
/// struct Sum(u64);
///
/// fn total(scheduler: &mut TypedScheduler<Step, Sum>, step: Sequence) -> u64 {
///     let mut total = 0;
///     for answer in scheduler.gather_for(step, Whom::All, Duration::from_millis(50)) {
///         match answer.outcome {
///             Ok((Sum(sum), _kind)) => total += sum,
///             Err(Outcome::Unreadable(error)) => eprintln!("rank {} has answered no sum: {error}", answer.rank),
///             Err(why) => eprintln!("rank {} {why}", answer.rank),
///         }
///     }
///     total
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct TypedAnswer<A> {
    /// Which worker.
    pub rank: usize,
    /// The broadcast that the message answers, as [`Answer::step`] says it.
    pub step: Option<Sequence>,
    /// Its message and the kind that it gave it; or why there is none, which is never [`Outcome::Message`].
    pub outcome: Result<(A, u8), Outcome>,
}

impl<A: Codec> TypedAnswer<A> {
    /// `older`: the versions that were asked for when its ring was attached to. `worker`: what people call it.
    fn of(Answer { rank, step, version, outcome }: Answer, older: &[OlderVersion<A>], worker: &str) -> Self {
        let older = version.0.and_then(|number| older.get(number));
        let outcome = match outcome {
            Outcome::Message { kind, bytes } => match decode_as(older, &bytes) {
                Ok(message) => Ok((message, kind)),
                Err(error) => Err(Outcome::Unreadable(TopologyError::of(worker, error))),
            },
            other => Err(other),
        };
        Self { rank, step, outcome }
    }
}

/// A [`WorkerEnd`] that hears messages of type `B` and answers in type `A`.
///
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
    /// How often the counters had moved where `encoder` and `reading` count.
    counter_moves: (u32, u32),
    /// The broadcast that is being decoded, out of reach of whoever wrote it.
    copy: Vec<u8>,
    types: PhantomData<fn(&A) -> B>,
}

impl<B: Codec, A: Codec> TypedWorker<B, A, Records> {
    /// [`WorkerEnd::join`] for these types. The scheduler may also broadcast one of the
    /// [older versions](Codec::older_versions) of `B`; answers are always of type `A` itself.
    ///
    /// # Errors
    /// As there; `Broadcast` with `IncompatibleContent` if the scheduler sends messages of another type, `Refused` if
    /// it cannot read those of type `A`. Both name the first field or variant that differs.
    pub fn join(invitation: &Invitation) -> Result<Self, WorkerJoinError> {
        Self::join_format(invitation)
    }
}

impl<B: Codec, A: Codec, F: Format> TypedWorker<B, A, F> {
    /// [`join`](TypedWorker::join) for a topology of any format.
    ///
    /// # Errors
    /// As there.
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

    /// Whether the scheduler's broadcasts are of one of the [older versions](Codec::older_versions) of `B`. They are
    /// decoded into `B`. The same for as long as this worker is part of the topology.
    pub fn is_of_older_version(&self) -> bool {
        self.reading.older.is_some()
    }

    /// Makes values of type `B` of the bytes of the scheduler's broadcasts, whatever version they are of: of those that
    /// [`next_raw`](Self::next_raw) hands out, and in the thread that has [taken the urgent lane](Self::take_urgent).
    pub fn decoder(&self) -> impl Fn(&[u8]) -> CodecResult<B> + Clone + Send + 'static + use<B, A, F>
    where
        B: 'static,
    {
        self.reading.decoder()
    }

    /// The next broadcast, decoded, with the way to answer it; `None` if there is none now and the patience is
    /// [`Now`](Patience::Now). The end of the topology is the error `Consume(Closed)`; in a loop take
    /// [`next_or_end`](Self::next_or_end), whose `None` says that it was closed, as that of `AsyncWorker::next` does.
    ///
    /// Dropping a broadcast acknowledges it, answered or not.
    ///
    /// # Errors
    /// As [`WorkerEnd::next`]; `Codec` for a broadcast that is none of type `B`, which was acknowledged, so that it
    /// does not end every successor too.
    pub fn next(
        &mut self,
        patience: impl Into<Patience>,
    ) -> Result<Option<TypedBroadcast<'_, B, A, F>>, TopologyError> {
        self.follow_counters();
        let Self { raw, encoder, reading, copy, .. } = self;
        raw.next(patience)?.map(|raw| TypedBroadcast::of(raw, encoder, reading, copy)).transpose()
    }

    /// [`next`](Self::next) for loops that end where the topology does: `None` says that the scheduler has closed it
    /// and everything was heard. That there is nothing yet is an error that
    /// [`is_timed_out`](TopologyError::is_timed_out).
    ///
    /// # Errors
    /// As [`next`](Self::next), except that the topology was closed.
    pub fn next_or_end(
        &mut self,
        patience: impl Into<Patience>,
    ) -> Result<Option<TypedBroadcast<'_, B, A, F>>, TopologyError> {
        self.follow_counters();
        let Self { raw, encoder, reading, copy, .. } = self;
        raw.next_or_end(patience)?.map(|raw| TypedBroadcast::of(raw, encoder, reading, copy)).transpose()
    }

    /// Answers the broadcast `step`, whichever was handed out last: a worker may answer its broadcasts in any order,
    /// several times, or not.
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

    /// Counts where the ends of bytes do now, also what was decoded in other threads.
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
    /// are handed to it as well, first, and are not answered: what `handler` returns for one is dropped. For a worker
    /// that does not answer each broadcast, see [`next`](Self::next).
    ///
    /// # Errors
    /// That of the handler, with its broadcast unacknowledged; as [`next`](Self::next), except that the topology was
    /// closed; or why there is no way to answer.
    pub fn serve<E: From<TopologyError>>(&mut self, mut handler: impl FnMut(B, u8) -> Result<A, E>) -> Result<(), E> {
        while let Some(broadcast) = self.next_or_end(Patience::Endless)? {
            let TypedBroadcast { message, mut raw, encoder, .. } = broadcast;
            let kind = raw.kind();
            let answered = handler(message, kind).and_then(|answer| match raw.is_urgent() {
                // It would be taken for the answer to the last step before it.
                true => Ok(()),
                false => match encoder.send(raw.responses_mut(), &answer, kind, Patience::Endless) {
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
    /// As there.
    pub fn next_raw(&mut self, patience: impl Into<Patience>) -> Result<Option<Broadcast<'_, F>>, TopologyError> {
        self.raw.next(patience)
    }

    /// As [`WorkerEnd::take_urgent`]; a worker of one thread hears what is urgent with [`TypedBroadcast::urgent`]. Its
    /// messages are bytes: a [`decoder`](Self::decoder) makes values of them.
    pub fn take_urgent(&mut self) -> Option<UrgentHandle<F>> {
        self.raw.take_urgent()
    }

    /// As [`WorkerEnd::rings`]. What is sent there is taken for messages of type `A`.
    pub fn rings(&mut self) -> (BorrowedConsumer<'_, F>, BorrowedProducer<'_, F>) {
        self.raw.rings()
    }

    /// As [`WorkerEnd::leave`].
    pub fn leave(self) {
        self.raw.leave();
    }

    /// The end of bytes under it, for what it can be asked.
    pub fn raw(&self) -> &WorkerEnd<F> {
        &self.raw
    }
}

/// A broadcast of type `B` that a worker was handed, with the way to answer it in type `A`. Dropping it acknowledges
/// it; while a panic unwinds it is not acknowledged, and comes again.
///
#[cfg_attr(feature = "bincode", doc = "```")]
#[cfg_attr(not(feature = "bincode"), doc = "```ignore")]
/// use myelon::prelude::*;
///
/// #[message]
/// struct Step {
///     tokens: Vec<u32>,
/// }
///
/// #[message]
/// struct Sum(u64);
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let topology: Topology = Topology::new(&portable_shm_segment_name("doc"), 1usize)?;
/// # let invitation = topology.invitation(0)?;
/// # let scheduler = std::thread::spawn(move || {
/// #     let launched = TypedScheduler::<Step, Sum>::launch(topology, Workers::started_elsewhere());
/// #     let mut scheduler = launched.expect("a worker comes");
/// #     let step = scheduler.broadcast(&Step { tokens: vec![1, 2] }, 0, Patience::Endless).expect("there is room");
/// #     let soon = std::time::Instant::now() + std::time::Duration::from_secs(20);
/// #     scheduler.gather_for(step, Whom::All, soon).remove(0).outcome
/// # });
/// // In a process that the scheduler has started, the invitation is `Invitation::from_environment()?`.
/// let mut worker: TypedWorker<Step, Sum> = TypedWorker::join(&invitation)?;
/// let is_first = worker.raw().rank() == 0;
/// while let Some(mut broadcast) = worker.next_or_end(Patience::Endless)? {
///     // Only the first rank answers. The scheduler asks it alone: `gather_for(step, Whom::Rank(0), ..)`.
///     if is_first {
///         let sum = broadcast.message().tokens.iter().copied().map(u64::from).sum();
///         broadcast.answer(&Sum(sum), 0, Patience::Endless)?;
///     }
/// } // acknowledged, answered or not
/// # assert!(matches!(scheduler.join(), Ok(Ok((Sum(3), 0)))));
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping a broadcast acknowledges it"]
pub struct TypedBroadcast<'a, B, A: Codec, F: Format = Records> {
    message: B,
    raw: Broadcast<'a, F>,
    encoder: &'a mut Encoder<A>,
    reading: &'a mut Reading<B>,
}

/// An urgent message of type `B` that a worker was handed while it works on a broadcast. It is acknowledged.
///
#[cfg_attr(feature = "bincode", doc = "```")]
#[cfg_attr(not(feature = "bincode"), doc = "```ignore")]
/// use myelon::Patience;
/// use myelon::topology::TypedWorker;
///
/// #[myelon::message]
/// enum Step {
///     Run { layers: usize },
///     Cancel,
/// }
///
/// #[myelon::message]
/// struct IsDone(bool);
///
/// fn work(worker: &mut TypedWorker<Step, IsDone>) -> Result<(), Box<dyn std::error::Error>> {
///     while let Some(mut broadcast) = worker.next_or_end(Patience::Endless)? {
///         let Step::Run { layers } = *broadcast.message() else { continue };
///         let mut is_cancelled = false;
///         for _layer in 0..layers {
///             while let Some(urgent) = broadcast.urgent()? {
///                 // It cancels everything up to the last step before it.
///                 is_cancelled |= matches!(urgent.message, Step::Cancel) && urgent.step >= broadcast.step();
///             }
///         }
///         broadcast.answer(&IsDone(!is_cancelled), 0, Patience::Endless)?;
///     }
///     Ok(())
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct TypedUrgent<B> {
    /// The message.
    pub message: B,
    /// The kind that the scheduler gave it.
    pub kind: u8,
    /// The last broadcast before it; -1 if there was none.
    pub step: Sequence,
}

impl<'a, B: Codec, A: Codec, F: Format> TypedBroadcast<'a, B, A, F> {
    /// Decodes `raw`, of which `copy` becomes one.
    fn of(
        raw: Broadcast<'a, F>,
        encoder: &'a mut Encoder<A>,
        reading: &'a mut Reading<B>,
        copy: &mut Vec<u8>,
    ) -> Result<Self, TopologyError> {
        copy.clear();
        copy.extend_from_slice(&raw);
        let message = reading.read(copy).map_err(|error| raw.error(error))?;
        Ok(Self { message, raw, encoder, reading })
    }

    /// The next urgent message, decoded and acknowledged, if there is one now: as [`Broadcast::urgent`].
    ///
    /// # Errors
    /// As there; `Codec` for one that is none of type `B`, which was acknowledged.
    pub fn urgent(&mut self) -> Result<Option<TypedUrgent<B>>, TopologyError> {
        let Some(urgent) = self.raw.urgent()? else { return Ok(None) };
        let (kind, step) = (urgent.kind(), urgent.in_reply_to().unwrap_or(-1));
        // Decoded out of reach of the process that wrote it.
        let copy = urgent.to_vec();
        drop(urgent);
        let message = self.reading.read(&copy).map_err(|error| self.raw.error(error))?;
        Ok(Some(TypedUrgent { message, kind, step }))
    }
}

impl<B, A: Codec, F: Format> TypedBroadcast<'_, B, A, F> {
    /// Why it could not be answered, as the error of the worker.
    #[cfg(feature = "tokio")]
    pub(crate) fn error(&self, source: impl Into<TransportError>) -> TopologyError {
        self.raw.error(source)
    }

    /// The message.
    pub fn message(&self) -> &B {
        &self.message
    }

    /// The message, and the number by which [`TypedWorker::answer`] answers it. The broadcast is acknowledged.
    pub fn into_message(self) -> (B, Sequence) {
        let step = self.step();
        (self.message, step)
    }

    /// The kind that the scheduler gave it.
    pub fn kind(&self) -> u8 {
        self.raw.kind()
    }

    /// The number by which an answer says what it answers, as [`Broadcast::step`] gives it.
    pub fn step(&self) -> Sequence {
        self.raw.step()
    }

    /// Whether it came by the [urgent lane](Topology::with_urgent_lane).
    pub fn is_urgent(&self) -> bool {
        self.raw.is_urgent()
    }

    /// Whether it may have been handed out before, to a worker of this rank that died before it acknowledged it.
    pub fn is_redelivered(&self) -> bool {
        self.raw.is_redelivered()
    }

    /// Answers it.
    ///
    /// # Errors
    /// `Codec` if it cannot be encoded; the others as [`Broadcast::answer`]. Nothing was sent.
    pub fn answer(&mut self, answer: &A, kind: u8, patience: impl Into<Patience>) -> Result<Sequence, TopologyError> {
        self.ring().send(answer, kind, patience.into()).map_err(|error| self.raw.error(error))
    }

    /// The ring to answer it in.
    pub(crate) fn ring(&mut self) -> TypedRing<'_, A, F> {
        TypedRing { ring: self.raw.responses_mut(), encoder: self.encoder }
    }

    /// Gives it back without acknowledging it: the next call returns it again.
    pub fn release_unread(self) {
        self.raw.release_unread();
    }
}

/// A ring on loan in which messages of type `T` are sent.
pub(crate) struct TypedRing<'a, T: Codec, F: Format> {
    pub(crate) ring: &'a mut TransportProducer<F>,
    encoder: &'a mut Encoder<T>,
}

impl<T: Codec, F: Format> TypedRing<'_, T, F> {
    /// Encodes `message` in the ring, and again where the room turns out too small.
    pub(crate) fn send(&mut self, message: &T, kind: u8, patience: Patience) -> TransportResult<Sequence> {
        self.encoder.send(self.ring, message, kind, patience)
    }

    /// Sends the message for which the last call found no room, as it was encoded then.
    #[cfg(feature = "tokio")]
    pub(crate) fn send_kept(&mut self, kind: u8, patience: Patience) -> TransportResult<Sequence> {
        self.encoder.send_kept(self.ring, kind, patience)
    }
}

impl<T: Codec, F: Format> HasProducer for TypedRing<'_, T, F> {
    type Carries = F::Carries;

    fn base(&self) -> &ProducerBase<F::Carries> {
        self.ring.base()
    }

    fn base_mut(&mut self) -> ProducerMut<'_, F::Carries> {
        self.ring.base_mut()
    }
}

impl<B: fmt::Debug, A: Codec, F: Format> fmt::Debug for TypedBroadcast<'_, B, A, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedBroadcast").field("message", &self.message).field("raw", &self.raw).finish_non_exhaustive()
    }
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
