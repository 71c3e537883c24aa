//! A worker's end of a topology, and the steps by which it joins.
//!
//! One thread uses it at a time.

use super::broadcast::Broadcast;
use super::description::RESPONSE_CONSUMERS_MAX;
use super::error::{MeetingPlace, Parentage, SchedulerEnding, TopologyError, WorkerJoinError};
use super::invitation::{Invitation, scheduler_id};
use super::leftovers::Leftovers;
use super::lent::{BorrowedConsumer, BorrowedProducer};
use super::refusal::tell;
use super::urgent::{Lane, UrgentHandle};
use crate::transport::{
    Format, Message, Records, TransportBuilder, TransportConsumer, TransportError, TransportProducer, TransportResult,
};
use disruptor_mp::liveness::process::InheritedPipe;
use disruptor_mp::liveness::{Ending, Refusal};
use disruptor_mp::{ConsumeError, ConsumerBarrier, ConsumerInfo, MultiProcessError, Patience, Place, Sequence, or_end};
use myelon_process::orphan::{Tie, die_with_parent};
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// How often a worker looks while it waits for its scheduler.
const MEETING_POLL: Duration = Duration::from_millis(1);

/// A worker's end: it receives every broadcast, and answers.
///
/// A broadcast is acknowledged when its message is dropped. Answer first, then drop it: a worker that is killed in
/// between answers twice when it comes back, instead of never.
///
/// Dropping the end keeps the worker's entry, with what it had not acknowledged, for its successor: an error that ends
/// `main` and a panic lose nothing. The entry is given up by [`leave`](Self::leave), or by dropping an end that was
/// told that the topology is closed.
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
/// println!("rank {}, in the place of one that died: {}", worker.rank(), worker.has_rejoined());
///
/// // Until the scheduler closes the topology. An error of the handler ends it as well, and its broadcast comes again.
/// worker.serve(|step, responses| {
///     responses.send(&step.to_ascii_uppercase(), step.kind(), Patience::Endless)?;
///     Ok::<(), TopologyError>(())
/// })?;
/// # assert!(matches!(scheduler.join(), Ok(Outcome::Message { bytes, .. }) if bytes == b"A STEP"));
/// # Ok(())
/// # }
/// ```
pub struct WorkerEnd<F: Format = Records> {
    broadcasts: TransportConsumer<F>,
    responses: TransportProducer<F>,
    /// The urgent lane, if there is one and no handle has taken it.
    urgent: Option<Lane<F>>,
    /// Set once the entry was given up: then the entry in the urgent lane is given up as well.
    has_left: Arc<OnceLock<()>>,
    rank: usize,
    /// The user's name for this worker.
    name: String,
    /// The last field, so that it is dropped after the ends of the rings.
    leftovers: Leftovers,
}

impl WorkerEnd<Records> {
    /// Joins the topology of the invitation, and returns once the scheduler can receive this worker's messages. Waits
    /// for a scheduler that is not there yet. A worker that comes back after its death continues with the first
    /// broadcast that it had not acknowledged. A scheduler lets workers in while it gathers, receives, waits for one,
    /// or [looks at them](super::SchedulerEnd::check_workers).
    ///
    /// Call it on a thread that lives as long as the worker. If the scheduler has started this process itself, the
    /// kernel is asked to kill it when the scheduler dies, and it ties that to the calling thread.
    ///
    /// # Errors
    /// See [`WorkerJoinError`].
    /// Source: RFC 0009, "Meeting".
    pub fn join(invitation: &Invitation) -> Result<Self, WorkerJoinError> {
        Self::join_format(invitation)
    }
}

impl<F: Format> WorkerEnd<F> {
    /// [`join`](WorkerEnd::join) for a topology of any format, which the program names:
    /// `WorkerEnd::<FixedFrame<1024>>::join_format(..)`.
    ///
    /// # Errors
    /// The same as that call.
    pub fn join_format(invitation: &Invitation) -> Result<Self, WorkerJoinError> {
        Self::join_taking(invitation, Vec::new())
    }

    /// [`join_format`](Self::join_format) that also accepts broadcasts with one of those tags.
    pub(super) fn join_taking(invitation: &Invitation, older_tags: Vec<String>) -> Result<Self, WorkerJoinError> {
        // Taken in any case, so that no process that this one starts inherits it.
        let pipe = invitation.pipe.and_then(InheritedPipe::take);
        let joined = Self::meet(invitation, older_tags);
        if let Err(error) = &joined {
            tell(invitation, pipe, error);
        }
        joined
    }

    fn meet(invitation: &Invitation, older_tags: Vec<String>) -> Result<Self, WorkerJoinError> {
        let began = Instant::now();
        let os = |source| WorkerJoinError::Os { worker: invitation.consumer_id(), source };
        let tie = invitation.parent.map(die_with_parent).transpose().map_err(os)?;
        let meeting = Meeting { invitation, older_tags, is_child: tie.is_some(), began };
        if let (Some(parent), Some(Tie::Orphaned)) = (invitation.parent, tie) {
            return Err(meeting.gone(SchedulerEnding::Orphaned { pid: parent.pid }));
        }
        let mut broadcasts = meeting.attach_to_broadcast()?;
        broadcasts.keep_place();
        // Before the worker's own ring: once the scheduler can hear a worker, that worker receives urgent messages.
        let urgent = meeting.attach_to_urgent(&broadcasts)?.map(Lane::new);
        let responses = meeting.create_responses(&broadcasts)?;
        meeting.wait_to_be_heard(&broadcasts, &responses)?;
        Ok(Self {
            broadcasts,
            responses,
            urgent,
            has_left: Arc::default(),
            rank: invitation.rank(),
            name: invitation.consumer_id(),
            leftovers: Leftovers::default(),
        })
    }

    /// Which worker this is.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// The content tag of the scheduler's broadcasts, if there is one.
    pub(super) fn broadcast_tag(&self) -> Option<String> {
        self.broadcasts.content_tag()
    }

    /// Whether it continues for a worker that died.
    pub fn has_rejoined(&self) -> bool {
        self.broadcasts.has_rejoined()
    }

    /// The next broadcast, in place, with the way to answer it; `None` if there is none now and the patience is
    /// [`Now`](Patience::Now). The end of the topology is the error `Consume(Closed)`. In a loop use
    /// [`next_or_end`](Self::next_or_end). Its `None` says that the topology was closed, as the `None` of
    /// `AsyncWorker::next` does.
    ///
    /// Dropping a broadcast acknowledges it. Messages that are sent by [`respond`](Self::respond) afterwards answer it
    /// too.
    ///
    /// In a topology with an [urgent lane](super::Topology::with_urgent_lane), [urgent](Broadcast::is_urgent) messages
    /// come first.
    ///
    /// # Errors
    /// `Consume` with `Closed` when the scheduler has closed the topology and everything was read, with `ProducerDied`
    /// when it has died, with `Replaced` when another scheduler has replaced it. That one does not accept the
    /// workers of the first.
    pub fn next(&mut self, patience: impl Into<Patience>) -> Result<Option<Broadcast<'_, F>>, TopologyError> {
        let Self { broadcasts, responses, urgent, name, .. } = self;
        hear(broadcasts, responses, urgent, patience.into()).map_err(|error| TopologyError::of(name, error))
    }

    /// The worker's urgent messages, for another thread. [`next`](Self::next) returns none of them from then on.
    /// `None`: the topology has no [urgent lane](super::Topology::with_urgent_lane), or it was taken before.
    pub fn take_urgent(&mut self) -> Option<UrgentHandle<F>> {
        Some(UrgentHandle::new(self.urgent.take()?, Arc::clone(&self.has_left)))
    }

    /// [`next`](Self::next) for loops that end when the topology ends: `None` says that the scheduler has closed it and
    /// everything was received. If there is nothing yet, the error is `Consume(TimedOut)`.
    ///
    /// # Errors
    /// As [`next`](Self::next), except `Consume(Closed)`.
    pub fn next_or_end(&mut self, patience: impl Into<Patience>) -> Result<Option<Broadcast<'_, F>>, TopologyError> {
        let Self { broadcasts, responses, urgent, name, .. } = self;
        let heard = hear(broadcasts, responses, urgent, patience.into());
        or_end(heard, TransportError::is_closed).map_err(|error| TopologyError::of(name, error))
    }

    /// Answers the broadcast whose [sequence](Message::sequence) is `step`. It need not be the last one: a worker may
    /// answer its broadcasts in any order, several times, or not at all.
    ///
    /// # Errors
    /// As [`respond`](Self::respond).
    pub fn answer(
        &mut self,
        step: Sequence,
        bytes: &[u8],
        kind: u8,
        patience: impl Into<Patience>,
    ) -> Result<Sequence, TopologyError> {
        self.responses_to(step).send(bytes, kind, patience.into()).map_err(|error| self.error(error))
    }

    /// Answers the broadcast that [`next`](Self::next) or [`serve`](Self::serve) handed out last, or the one that
    /// [`answer`](Self::answer) answered last if that call was later. Before the first broadcast the message answers
    /// none.
    ///
    /// # Errors
    /// `Publish` with `ConsumerDied` when the ring is full and the scheduler is dead; see [`TransportError`].
    pub fn respond(
        &mut self,
        bytes: &[u8],
        kind: u8,
        patience: impl Into<Patience>,
    ) -> Result<Sequence, TopologyError> {
        self.responses.send(bytes, kind, patience.into()).map_err(|error| self.error(error))
    }

    /// The user's name for this worker.
    #[cfg(feature = "tokio")]
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// `source` as the error of this worker.
    #[cold]
    pub(crate) fn error(&self, source: impl Into<TransportError>) -> TopologyError {
        TopologyError::of(&self.name, source)
    }

    /// Leaves the topology before it is closed, and gives the entry up: messages that were not acknowledged are lost to
    /// this rank, and a process that joins under it starts with the next broadcast.
    pub fn leave(mut self) {
        self.give_place_up();
    }

    fn give_place_up(&mut self) {
        self.broadcasts.leave_on_drop();
        if let Some(lane) = &mut self.urgent {
            lane.consumer.leave_on_drop();
        }
        // For the handle, if the lane was taken. An error says that it is set already.
        let _ = self.has_left.set(());
    }

    /// The rings that this end reads: the broadcast ring and the urgent ring.
    #[cfg(feature = "tokio")]
    pub(crate) fn lanes(&mut self) -> (&mut TransportConsumer<F>, Option<&mut TransportConsumer<F>>) {
        (&mut self.broadcasts, self.urgent.as_mut().map(|lane| &mut lane.consumer))
    }

    /// Both rings, for programs that need more than [`next`](Self::next) and [`answer`](Self::answer). Set the
    /// broadcast that the messages answer with [`set_in_reply_to`](BorrowedProducer::set_in_reply_to) and its
    /// [sequence](Message::sequence).
    pub fn rings(&mut self) -> (BorrowedConsumer<'_, F>, BorrowedProducer<'_, F>) {
        (BorrowedConsumer::new(&mut self.broadcasts, &self.name), BorrowedProducer::new(&mut self.responses))
    }

    /// The response ring. Its messages from now on answer the broadcast `step`.
    pub(crate) fn responses_to(&mut self, step: Sequence) -> &mut TransportProducer<F> {
        self.responses.set_in_reply_to(Some(step));
        &mut self.responses
    }

    /// Hands every broadcast to `handler`, with the ring on which it is answered, until the scheduler closes the
    /// topology. A broadcast is acknowledged when the handler has returned without an error and without a panic. Urgent
    /// messages are handed to it as well, first: their kind tells them apart, and messages that are sent then answer
    /// the last broadcast before them.
    ///
    /// # Errors
    /// The handler's error, with its broadcast unacknowledged; or why there is nothing more to read, unless the
    /// topology was closed.
    pub fn serve<E: From<TopologyError>>(
        &mut self,
        mut handler: impl FnMut(&Message<'_, F>, &mut BorrowedProducer<'_, F>) -> Result<(), E>,
    ) -> Result<(), E> {
        while let Some(mut broadcast) = self.next_or_end(Patience::Endless)? {
            let (message, mut responses) = broadcast.parts();
            if let Err(error) = handler(message, &mut responses) {
                broadcast.release_unread();
                return Err(error);
            }
        }
        Ok(())
    }
}

/// The next urgent message, or else the next broadcast.
#[inline]
fn hear<'a, F: Format>(
    broadcasts: &'a mut TransportConsumer<F>,
    responses: &'a mut TransportProducer<F>,
    urgent: &'a mut Option<Lane<F>>,
    patience: Patience,
) -> TransportResult<Option<Broadcast<'a, F>>> {
    let Some(lane) = urgent else {
        return Ok(broadcasts.next(patience)?.map(|message| Broadcast::new(message, responses, None)));
    };
    match lane.wait(broadcasts, patience)? {
        true => Ok(lane.consumer.next(Patience::Now)?.map(|message| Broadcast::urgent_one(message, responses))),
        false => {
            let urgent = Some(&mut lane.consumer);
            Ok(broadcasts.next(patience)?.map(|message| Broadcast::new(message, responses, urgent)))
        }
    }
}

impl<F: Format> Drop for WorkerEnd<F> {
    fn drop(&mut self) {
        // No process takes over the broadcast ring of a scheduler that is gone.
        if self.broadcasts.end_of_publishing().is_some() {
            self.give_place_up();
            self.leftovers.push(self.broadcasts.place());
            if let Some(lane) = &self.urgent {
                self.leftovers.push(lane.consumer.place());
            }
            // If a panic drops this end, its ring would stay because of the entry that the scheduler has kept in it. No
            // process comes back to that entry.
            let _ = self.responses.remove_name();
        }
    }
}

impl<F: Format> fmt::Debug for WorkerEnd<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerEnd")
            .field("rank", &self.rank)
            .field("consumer_id", &self.broadcasts.consumer_id())
            .field("has_rejoined", &self.has_rejoined())
            .finish_non_exhaustive()
    }
}

/// One worker on its way into its topology.
struct Meeting<'a> {
    invitation: &'a Invitation,
    /// Accepted tags of broadcasts, in addition to that of the invitation.
    older_tags: Vec<String>,
    /// Whether the scheduler has started this process, and so was there before it.
    is_child: bool,
    began: Instant,
}

impl Meeting<'_> {
    /// Step 1: attaches to the broadcast ring, as soon as there is one with a live scheduler. From now on this worker
    /// misses nothing, and the ring's table says that it is here.
    fn attach_to_broadcast<F: Format>(&self) -> Result<TransportConsumer<F>, WorkerJoinError> {
        loop {
            let found = match attach(self.builder(true)) {
                Ok(broadcasts) => return Ok(broadcasts),
                // A dead scheduler has left it. Another scheduler may come, unless the dead one has started this
                // process.
                Err(Hindrance::Ended(found)) if self.is_child => return Err(self.gone(found)),
                Err(Hindrance::Ended(ending)) => {
                    let place = self.invitation.broadcast_place().untitled().to_string();
                    MeetingPlace::Ended { place, ending }
                }
                // The scheduler that started this process had made the ring before.
                Err(Hindrance::Refused(error)) if self.is_child && is_absence(&error) => {
                    let place = self.invitation.broadcast_place().untitled().to_string();
                    return Err(WorkerJoinError::NoRing { worker: self.worker(), place, scheduler: self.parentage() });
                }
                Err(Hindrance::Refused(error)) if is_passing(&error) => MeetingPlace::Unusable(Box::new(error)),
                Err(Hindrance::Refused(source)) => {
                    return Err(WorkerJoinError::Broadcast { worker: self.worker(), source: Box::new(source) });
                }
            };
            if !self.nap() {
                let found = match found {
                    MeetingPlace::Unusable(error) if is_absence(&error) => self.without_broadcast(),
                    found => found,
                };
                return Err(WorkerJoinError::NoScheduler {
                    worker: self.worker(),
                    waited: self.began.elapsed(),
                    found,
                });
            }
        }
    }

    /// Attaches to the urgent ring, if the invitation names one. The scheduler makes it before the broadcast ring, so
    /// it must be there.
    fn attach_to_urgent<F: Format>(
        &self,
        broadcasts: &TransportConsumer<F>,
    ) -> Result<Option<TransportConsumer<F>>, WorkerJoinError> {
        let Some(ring) = &self.invitation.urgent else { return Ok(None) };
        loop {
            let builder = self.read_by_us(self.invitation.urgent_place(ring), ring.depth);
            let found = match attach(self.finished(builder, &self.invitation.broadcast_tag)) {
                Ok(mut urgent) => {
                    urgent.keep_place();
                    return Ok(Some(urgent));
                }
                // It is that of a dead scheduler, which the live one has not replaced yet.
                Err(Hindrance::Ended(ending)) => {
                    MeetingPlace::Ended { place: self.invitation.urgent_place(ring).untitled().to_string(), ending }
                }
                Err(Hindrance::Refused(error)) if is_absence(&error) => {
                    // A scheduler that ends removes the name of the broadcast ring first.
                    return Err(match ending(broadcasts) {
                        Some(found) => self.gone(found),
                        None => WorkerJoinError::NoUrgentLane {
                            worker: self.worker(),
                            place: self.invitation.urgent_place(ring).untitled().to_string(),
                        },
                    });
                }
                Err(Hindrance::Refused(error)) if is_passing(&error) => MeetingPlace::Unusable(Box::new(error)),
                Err(Hindrance::Refused(source)) => {
                    return Err(WorkerJoinError::Urgent { worker: self.worker(), source: Box::new(source) });
                }
            };
            if let Some(found) = ending(broadcasts) {
                return Err(self.gone(found));
            }
            if !self.nap() {
                return Err(WorkerJoinError::NoScheduler {
                    worker: self.worker(),
                    waited: self.began.elapsed(),
                    found,
                });
            }
        }
    }

    /// Step 2: makes the worker's own ring. The ring of a dead predecessor is replaced and not taken over: so the
    /// scheduler reads what the old process has sent, is told that this was all, and only then receives from this
    /// process.
    fn create_responses<F: Format>(
        &self,
        broadcasts: &TransportConsumer<F>,
    ) -> Result<TransportProducer<F>, WorkerJoinError> {
        loop {
            match self
                .builder(false)
                .with_max_consumers(RESPONSE_CONSUMERS_MAX)
                .with_consumer_prefix(scheduler_id(self.invitation.label()))
                .with_create_options(self.invitation.options.into())
                .replace()
                .build_producer()
            {
                Ok(responses) => return Ok(responses),
                // The ring belongs to a worker of an earlier session, which was just told to end.
                Err(TransportError::Build(MultiProcessError::InUse { .. })) if self.nap() => {}
                Err(source) => {
                    return Err(WorkerJoinError::Responses { worker: self.worker(), source: Box::new(source) });
                }
            }
            if let Some(found) = ending(broadcasts) {
                return Err(self.gone(found));
            }
        }
    }

    /// Step 3: waits until the scheduler has found the worker's ring. From then on it receives the answers.
    fn wait_to_be_heard<F: Format>(
        &self,
        broadcasts: &TransportConsumer<F>,
        responses: &TransportProducer<F>,
    ) -> Result<(), WorkerJoinError> {
        let scheduler = scheduler_id(self.invitation.label());
        // This also accepts a scheduler that found the ring and died since: its broadcasts are still to be read, and
        // the end comes after them.
        while !responses.consumers().iter().any(|consumer| consumer.id == scheduler) {
            // This process has just made the ring, so there was no refusal before.
            if let Some(Refusal { pid, cause, difference, .. }) = responses.refusal(None) {
                return Err(WorkerJoinError::Refused { worker: self.worker(), pid, cause, difference });
            }
            if let Some(found) = ending(broadcasts) {
                return Err(self.gone(found));
            }
            if !self.nap() {
                let report = broadcasts.stall_report(Duration::ZERO);
                let scheduler = report.culprit.expect("a consumer's report is about the producer").facts;
                let (worker, waited) = (self.worker(), self.began.elapsed());
                return Err(WorkerJoinError::NotReceived { worker, scheduler, waited });
            }
        }
        Ok(())
    }

    fn builder<F: Format>(&self, is_broadcast: bool) -> TransportBuilder<F> {
        let invitation = self.invitation;
        let rings = invitation.rings();
        let (builder, tag) = if is_broadcast {
            (self.read_by_us(invitation.broadcast_place(), rings.rpc_depth), &invitation.broadcast_tag)
        } else {
            (TransportBuilder::new(invitation.response_place(), rings.response_depth), &invitation.response_tag)
        };
        self.finished(builder, tag)
    }

    /// The builder of a ring at `place` that this worker reads under its id.
    fn read_by_us<F: Format>(&self, place: Place, depth: usize) -> TransportBuilder<F> {
        let invitation = self.invitation;
        TransportBuilder::new(place, depth)
            .with_consumer_id(invitation.consumer_id())
            .with_rank(invitation.rank() as u32)
            .with_older_content_tags(&self.older_tags)
    }

    /// `builder` with what all rings of the session have, and the tag of its messages.
    fn finished<F: Format>(&self, builder: TransportBuilder<F>, tag: &Option<String>) -> TransportBuilder<F> {
        let invitation = self.invitation;
        // `tell` reports the reason for a refusal.
        let builder = builder.with_wait_strategy(invitation.rings().wait_strategy).refused_silently();
        let builder = match invitation.message_limit_bytes {
            Some(limit) => builder.with_message_limit(limit),
            None => builder,
        };
        match tag {
            Some(tag) => builder.with_content_tag(tag.as_str()),
            None => builder,
        }
    }

    /// What exists of the session if its broadcast ring does not.
    fn without_broadcast(&self) -> MeetingPlace {
        let mut others = Vec::new();
        let mut scheduler = None;
        let id = scheduler_id(self.invitation.label());
        for place in self.invitation.response_places() {
            match ConsumerBarrier::attach(&place) {
                Ok(ring) => {
                    let reads = |info: &ConsumerInfo| info.id == id && info.alive;
                    scheduler = scheduler.or_else(|| Some(ring.consumers().into_iter().find(reads)?.process.pid));
                }
                Err(MultiProcessError::NotFound { .. }) => continue,
                // Whatever the error, the ring exists.
                Err(_) => {}
            }
            others.push(place.untitled().to_string());
        }
        let place = self.invitation.broadcast_place();
        MeetingPlace::NoRing { path: place.path().unwrap_or_else(|| place.to_string().into()), others, scheduler }
    }

    fn gone(&self, found: SchedulerEnding) -> WorkerJoinError {
        WorkerJoinError::SchedulerGone { worker: self.worker(), found }
    }

    /// The user's name for this worker.
    fn worker(&self) -> String {
        self.invitation.consumer_id()
    }

    /// What is known of the scheduler that has started this process.
    fn parentage(&self) -> Parentage {
        match self.invitation.parent {
            Some(parent) if parent.is_ours() => Parentage::Lives { pid: parent.pid },
            _ => Parentage::Hidden,
        }
    }

    /// Sleeps until the next look; `false` if there is no time for one.
    fn nap(&self) -> bool {
        let is_patient = self.began.elapsed() < self.invitation.patience;
        if is_patient {
            std::thread::sleep(MEETING_POLL);
        }
        is_patient
    }
}

/// Why a worker cannot read a ring of its scheduler yet, or never can.
enum Hindrance {
    /// The ring belongs to a scheduler that is gone, whatever the types of its messages.
    Ended(SchedulerEnding),
    Refused(TransportError),
}

/// A consumer of a ring whose scheduler lives. It does not join the ring of a dead scheduler.
fn attach<F: Format>(builder: TransportBuilder<F>) -> Result<TransportConsumer<F>, Hindrance> {
    let mut consumer = match builder.attach_when_ready(Patience::Now).build_consumer() {
        Ok(consumer) => consumer,
        Err(TransportError::Build(MultiProcessError::NotReadyInTime { source, .. })) => {
            return Err(match *source {
                MultiProcessError::NoProducer { how: Ending::Left, .. } => Hindrance::Ended(SchedulerEnding::Closed),
                MultiProcessError::NoProducer { pid, .. } => Hindrance::Ended(SchedulerEnding::NoProducer { pid }),
                MultiProcessError::Replaced { .. } => Hindrance::Ended(SchedulerEnding::Replaced),
                other => Hindrance::Refused(other.into()),
            });
        }
        Err(error) => return Err(Hindrance::Refused(error)),
    };
    match ending(&consumer) {
        None => Ok(consumer),
        // The scheduler has just ended.
        Some(ending) => {
            consumer.leave_on_drop();
            Err(Hindrance::Ended(ending))
        }
    }
}

/// Whether another look may succeed.
fn is_passing(error: &TransportError) -> bool {
    matches!(error, TransportError::Build(error) if error.is_passing())
}

/// Whether there is no ring under the name.
fn is_absence(error: &TransportError) -> bool {
    matches!(error, TransportError::Build(MultiProcessError::NotFound { .. }))
}

/// How the ring has ended, even if there is still something to read in it; `None` if its producer is there.
fn ending<F: Format>(broadcasts: &TransportConsumer<F>) -> Option<SchedulerEnding> {
    match broadcasts.end_of_publishing()? {
        ConsumeError::Closed => Some(SchedulerEnding::Closed),
        ConsumeError::Replaced => Some(SchedulerEnding::Replaced),
        ConsumeError::ProducerDied { pid, .. } => Some(SchedulerEnding::NoProducer { pid }),
        // The kernel's answer is not known, so nothing is concluded.
        _ => None,
    }
}
