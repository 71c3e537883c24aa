//! The scheduler's end of a topology: it broadcasts, looks after the workers, and closes the session.
//!
//! One thread uses it at a time. Waiting for answers is in `gather`.

use super::answer::Change;
use super::departure::{Departure, depart};
use super::description::{Topology, no_worker};
use super::error::{RestartError, TopologyError};
use super::invitation::{INVITATION_VARIABLE, Parent};
use super::launch::{Spawn, Workers};
use super::lent::BorrowedProducer;
use super::nursery::{Nursery, Pipe};
use super::peer::{Attachment, Peer, Standing};
use super::report::{WorkerReport, report};
use super::urgent::UrgentError;
use crate::transport::{Format, Records, TransportError, TransportProducer, TransportResult};
use disruptor_mp::__private::ends::HasProducer;
use disruptor_mp::liveness::{NextStep, Refusal};
use disruptor_mp::segment::fork_epoch;
use disruptor_mp::{ConsumerInfo, Patience, Select, Sequence};
use std::fmt;
use std::io;
use std::time::{Duration, Instant};

/// How often a scheduler that is busy with its workers looks whether all of them live: well below the 100 ms within
/// which a death is to be named, and rare enough that its few system calls do not matter.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// How often a report looks again because its worker has moved. A worker that moves each time gets on.
const REPORT_LOOKS: usize = 8;

/// The scheduler's end: it broadcasts, hears every worker, and looks after them.
///
/// Dropping it closes the broadcast ring, waits until the workers that it started have read what is left and gone,
/// kills those that do not go in time, and removes what dead workers have left. [`close`](Self::close) does the same
/// and says how each worker left. Workers that another program has started read what is left as well, and are not
/// waited for.
///
/// ```
/// use myelon::prelude::*;
/// use std::time::Duration;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let session = portable_shm_segment_name("doc");
/// let topology: Topology = Topology::new(&session, 1usize)?;
/// # let invitation = topology.invitation(0)?;
/// # let worker = std::thread::spawn(move || {
/// #     let mut worker: WorkerEnd = WorkerEnd::join(&invitation).expect("a scheduler comes");
/// #     worker.serve(|step, answers| answers.send(&step.to_ascii_uppercase(), 1, Patience::Endless).map(drop))
/// # });
/// // By hand or by a supervisor. `Workers::spawned` starts a process for each worker.
/// let mut scheduler: SchedulerEnd = topology.launch(Workers::started_elsewhere())?;
///
/// let step = scheduler.broadcast(b"a step", 1, Patience::Endless)?;
/// for answer in scheduler.gather_for(step, Whom::All, Duration::from_secs(20)) {
///     match answer.outcome {
///         Outcome::Message { bytes, .. } => assert_eq!(bytes, b"A STEP"),
///         Outcome::Died { pid, .. } => eprintln!("process {pid} has died"), // a spawned one: `scheduler.restart(..)`
///         Outcome::TimedOut => println!("{}", scheduler.report(answer.rank)), // it lives, and why it is late
///         other => println!("rank {} {other}", answer.rank),
///     }
/// }
/// scheduler.close(); // the workers hear that the topology is closed
/// # worker.join().expect("the worker has not panicked")?;
/// # Ok(())
/// # }
/// ```
pub struct SchedulerEnd<F: Format = Records> {
    /// `None` once it is closed.
    broadcast: Option<TransportProducer<F>>,
    /// The ring of urgent messages, if the topology has one and is open.
    urgent: Option<TransportProducer<F>>,
    pub(super) peers: Vec<Peer<F>>,
    /// Who was refused as each worker, last: the words that say so, and their meaning.
    refusals: Vec<((u64, u64), Option<Refusal>)>,
    attachment: Attachment,
    topology: Topology<F>,
    pub(super) spawn: Option<Spawn>,
    nursery: Option<Nursery>,
    last_look: Instant,
    /// The last broadcast that we know of, and when it was sent, or seen.
    sent: (Sequence, Instant),
    /// Whom `gather` asks first when anybody will do, so that one who talks much does not drown the others.
    pub(super) turn: usize,
    /// The wait of `gather` where the first answer of any worker will do.
    pub(super) select: Select,
    /// Of the process whose end this is. A pid would not do: a forked child may have the same in a pid namespace of its
    /// own.
    fork_epoch: u32,
}

impl<F: Format> SchedulerEnd<F> {
    /// An end whose workers have not been started.
    pub(super) fn new(
        topology: Topology<F>,
        broadcast: TransportProducer<F>,
        urgent: Option<TransportProducer<F>>,
        workers: Workers,
        attachment: Attachment,
    ) -> io::Result<Self> {
        let spawn = workers.0;
        let nursery = spawn.is_some().then(Nursery::start).transpose()?;
        let peer = |(rank, place)| Peer::new(rank, topology.worker_consumer_id(rank), place);
        Ok(Self {
            broadcast: Some(broadcast),
            urgent,
            peers: topology.response_places().enumerate().map(peer).collect(),
            refusals: vec![Default::default(); topology.worker_count()],
            attachment,
            topology,
            spawn,
            nursery,
            last_look: Instant::now(),
            sent: (-1, Instant::now()),
            turn: 0,
            select: Select::new(),
            fork_epoch: fork_epoch(),
        })
    }

    /// Sends `bytes` to every worker, as a message of that kind, and returns its sequence. Waits for room as long as
    /// `patience` says; what holds it up is named in the error. [`Patience::Managed`] waits under the topology's
    /// [liveness](Topology::with_liveness).
    ///
    /// A worker that is dead gets the message when it comes back, as long as the ring has room for what it has missed.
    ///
    /// # Errors
    /// [`is_full`](TopologyError::is_full) without patience; `Publish` with `ConsumerDied` if the ring is full and
    /// waits for a dead worker: [restart](Self::restart) it, or close. `RequiredConsumer` for managed patience;
    /// `TooLarge`, and so on.
    pub fn broadcast(
        &mut self,
        bytes: &[u8],
        kind: u8,
        patience: impl Into<Patience>,
    ) -> Result<Sequence, TopologyError> {
        let sent = self.broadcast_mut().send(bytes, kind, patience.into());
        self.note_sent();
        sent.map_err(|error| self.error(error))
    }

    /// Why a broadcast was not sent, as the error of this session.
    #[cold]
    pub(crate) fn error(&mut self, source: impl Into<TransportError>) -> TopologyError {
        TopologyError::of_sender(self.broadcast_mut(), source)
    }

    /// Sends `bytes` to every worker, before all broadcasts that it has not taken: for control messages, in a topology
    /// [with an urgent lane](Topology::with_urgent_lane). Never waits. The message [says](super::Broadcast::step) which
    /// broadcast was the last one before it: that is all that is certain of its place among them.
    ///
    /// ```
    /// use myelon::topology::{SchedulerEnd, UrgentError};
    ///
    /// const CANCEL: u8 = 9;
    ///
    /// fn cancel(scheduler: &mut SchedulerEnd) {
    ///     match scheduler.broadcast_urgent(b"", CANCEL) {
    ///         Ok(_) => {}
    ///         Err(UrgentError::UrgentFull { report, .. }) => eprintln!("no worker hears it yet: {report}"),
    ///         Err(error) => eprintln!("{error}"),
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// See [`UrgentError`]. Nothing was sent.
    /// Source: RFC 0016, "Urgent lane".
    pub fn broadcast_urgent(&mut self, bytes: &[u8], kind: u8) -> Result<Sequence, UrgentError> {
        self.send_urgent(|urgent| urgent.send(bytes, kind, Patience::Now))
    }

    /// Sends by `send` into the ring of urgent messages, what comes after the last broadcast.
    pub(super) fn send_urgent(
        &mut self,
        mut send: impl FnMut(&mut TransportProducer<F>) -> TransportResult<Sequence>,
    ) -> Result<Sequence, UrgentError> {
        let after = Some(self.last_broadcast()).filter(|step| *step >= 0);
        let (Some(urgent), Some(broadcast)) = (&mut self.urgent, &self.broadcast) else {
            return Err(UrgentError::NoLane { session: self.label().to_owned() });
        };
        urgent.set_in_reply_to(after);
        for is_last in [false, true] {
            match send(urgent) {
                Err(TransportError::Full) if !is_last => {
                    // Whose place among the broadcasts was given away is waited for by nothing here either.
                    let placed = broadcast.consumers();
                    let is_placed = |id: &str| placed.iter().any(|info| info.id == id);
                    for gone in urgent.check_peers().iter().filter(|gone| !is_placed(&gone.id)) {
                        // If that is refused, it stays what the ring is full of.
                        let _ = urgent.evict_consumer(&gone.id);
                    }
                }
                Err(TransportError::Full) => break,
                answer => return answer.map_err(|error| TopologyError::of_sender(urgent, error).into()),
            }
        }
        let mut report = urgent.stall_report();
        report.next = NextStep::GiveUp;
        Err(UrgentError::UrgentFull { session: self.label().to_owned(), report: Box::new(report) })
    }

    /// Notes when the last broadcast was sent, for reports.
    pub(crate) fn note_sent(&mut self) {
        let last = self.last_broadcast();
        if last != self.sent.0 {
            let moment = Instant::now();
            self.sent = (last, moment);
            self.peers.iter_mut().for_each(|peer| peer.progress.sent(moment));
        }
    }

    /// The sequence of the last broadcast; -1 if there was none.
    pub fn last_broadcast(&self) -> Sequence {
        self.broadcast.as_ref().map_or(-1, |broadcast| broadcast.last_published_sequence())
    }

    /// The broadcast ring's producer: for messages that are encoded in place, and for what it knows of its consumers.
    pub fn broadcast_ring(&mut self) -> BorrowedProducer<'_, F> {
        BorrowedProducer::new(self.broadcast_mut())
    }

    /// The same, for this crate. The caller that sends says so by [`note_sent`](Self::note_sent).
    pub(crate) fn broadcast_mut(&mut self) -> &mut TransportProducer<F> {
        self.broadcast.as_mut().expect("a topology is open until it is closed, which takes it")
    }

    /// What the session is called.
    pub(super) fn label(&self) -> &str {
        self.topology.label()
    }

    /// How many workers there are.
    pub fn worker_count(&self) -> usize {
        self.peers.len()
    }

    /// Refuses a rank that no worker has, in the words of the caller's line.
    #[track_caller]
    pub(crate) fn check_rank(&self, rank: usize) {
        let count = self.worker_count();
        assert!(rank < count, "{}", no_worker(self.label(), rank, count));
    }

    /// The process of worker `rank` as it sees itself, if the worker lived when we last looked.
    ///
    /// # Panics
    /// If there is no such worker.
    #[track_caller]
    pub fn worker_pid(&self, rank: usize) -> Option<u32> {
        self.check_rank(rank);
        match self.peers[rank].standing {
            Standing::Present(process) => Some(process.pid),
            Standing::Absent | Standing::Gone(_) => None,
        }
    }

    /// Looks at every worker now, and returns what has changed and was not told yet. For loops that neither gather
    /// nor receive; those that do learn of it there.
    ///
    /// A worker that joins is let in by such a look as well. So a scheduler that waits for something else, such as
    /// requests, looks a few times a second: a worker waits for that no longer than the
    /// [rendezvous timeout](Topology::with_rendezvous_timeout), and then gives up with
    /// [`NotReceived`](super::WorkerJoinError::NotReceived).
    pub fn check_workers(&mut self) -> Vec<(usize, Change)> {
        self.look();
        let told = |peer: &mut Peer<F>| {
            let changes: Vec<_> = std::iter::from_fn(|| peer.tell()).collect();
            let rank = peer.rank;
            changes.into_iter().chain(peer.strays()).map(move |change| (rank, change)).collect::<Vec<_>>()
        };
        self.peers.iter_mut().flat_map(told).collect()
    }

    /// Asks the kernel who lives, and attaches to response rings that are new.
    pub(crate) fn look(&mut self) {
        // In a child of a fork the workers are its parent's, and so is the place in their rings.
        if self.is_forked() {
            return;
        }
        self.last_look = Instant::now();
        self.note_sent();
        let (last, sent) = self.sent;
        let Some(broadcast) = &self.broadcast else { return };
        self.peers.iter_mut().for_each(Peer::reap);
        let table = broadcast.consumers();
        for peer in &mut self.peers {
            let info = table.iter().find(|info| info.id == peer.id);
            let rank = Some(peer.rank as u32);
            let (words, refusal) = &mut self.refusals[peer.rank];
            // To name a difference, the whole schema is read.
            let now = broadcast.refusal_words(rank);
            if now != *words {
                (*words, *refusal) = (now, broadcast.refusal(rank));
            }
            peer.look(info, refusal.as_ref(), &self.attachment, self.urgent.as_ref());
            if let Some(info) = info {
                peer.progress.look(info.position, last, sent);
            }
        }
    }

    /// What worker `rank` does about the last broadcast: whether it has received it, has answered it, or why not. For a
    /// scheduler whose [`gather`](Self::gather) has timed out; looks at all workers first.
    ///
    /// The producer's own [stall report](disruptor_mp::ProducerEnd::stall_report) is about the room in the broadcast
    /// ring, for which this worker need not be to blame.
    ///
    /// # Panics
    /// If there is no such worker.
    #[track_caller]
    pub fn report(&mut self, rank: usize) -> WorkerReport {
        self.check_rank(rank);
        self.look();
        let (last, sent) = self.sent;
        let mut info = self.table_entry(rank);
        for _ in 0..REPORT_LOOKS {
            let made = report(&mut self.peers[rank], info.as_ref(), last, sent);
            // What was read of the two rings belongs together only if the worker has not moved in the meantime.
            let now = self.table_entry(rank);
            if now == info {
                return made;
            }
            info = now;
        }
        report(&mut self.peers[rank], info.as_ref(), last, sent)
    }

    /// What the broadcast ring's table says of worker `rank` now.
    fn table_entry(&mut self, rank: usize) -> Option<ConsumerInfo> {
        let table = self.broadcast_mut().consumers();
        table.into_iter().find(|info| info.id == self.peers[rank].id)
    }

    /// [`look`](Self::look), if the last one was a while ago.
    pub(super) fn look_if_due(&mut self) {
        if self.last_look.elapsed() >= LOOK_INTERVAL {
            self.look();
        }
    }

    /// Starts worker `rank` again: ends what is left of its process, and starts another in its place, which goes on
    /// with the first broadcast that its predecessor had not acknowledged. Returns the new process's pid; that it has
    /// joined is told as [`Rejoined`](super::Outcome::Rejoined).
    ///
    /// # Errors
    /// See [`RestartError`].
    pub fn restart(&mut self, rank: usize) -> Result<u32, RestartError> {
        self.kill_worker(rank)?;
        if let Some(started) = &mut self.peers[rank].started {
            started.process.wait(None);
        }
        self.start_successor(rank)
    }

    /// First step: ends what is left of the old process.
    pub(crate) fn kill_worker(&mut self, rank: usize) -> Result<(), RestartError> {
        // Also says that there is such a rank.
        self.topology.invitation(rank)?;
        let worker = || self.topology.worker_consumer_id(rank);
        if self.is_forked() {
            return Err(RestartError::Forked { worker: worker() });
        }
        if self.spawn.is_none() {
            return Err(RestartError::StartedElsewhere { worker: worker() });
        }
        match &mut self.peers[rank].started {
            Some(started) => {
                started.process.kill().map_err(|source| RestartError::Os { worker: worker(), rank, source })
            }
            None => Ok(()),
        }
    }

    /// Whether the old process has ended.
    pub(crate) fn has_worker_ended(&mut self, rank: usize) -> bool {
        self.peers[rank].started.as_mut().is_none_or(|started| started.process.exit().is_some())
    }

    /// Last step, after the old process was reaped: the kernel has then dropped the locks by which the rings know that
    /// it lived.
    pub(crate) fn start_successor(&mut self, rank: usize) -> Result<u32, RestartError> {
        // What became of it is known from this look; whoever comes from now on is its successor.
        self.look();
        let worker = self.topology.worker_consumer_id(rank);
        self.start_worker(rank).map_err(|source| RestartError::Os { worker, rank, source })?;
        Ok(self.peers[rank].started.as_ref().map_or(0, |started| started.process.pid()))
    }

    /// Starts worker `rank` with its invitation in its environment, if starting workers is our business.
    pub(super) fn start_worker(&mut self, rank: usize) -> io::Result<()> {
        let (Some(spawn), Some(nursery)) = (&mut self.spawn, &self.nursery) else { return Ok(()) };
        let mut invitation = self.topology.invitation(rank).map_err(io::Error::other)?;
        invitation.parent = Some(Parent::current());
        // Without one the worker can only end: this process has no descriptors left, or is on another system.
        let pipe = Pipe::new().ok();
        invitation.pipe = pipe.as_ref().map(|&(_, inherited)| inherited);
        let mut command = spawn(rank);
        command.env(INVITATION_VARIABLE, invitation.to_string());
        self.peers[rank].start(nursery.spawn(command, pipe.map(|(pipe, _)| pipe))?);
        Ok(())
    }

    fn is_forked(&self) -> bool {
        self.fork_epoch != fork_epoch()
    }

    /// Closes the topology, as dropping it does, and says how each worker left. Gather what is still to be answered
    /// first: no process listens to the workers from now on.
    pub fn close(mut self) -> Vec<Departure> {
        self.end()
    }

    fn end(&mut self) -> Vec<Departure> {
        // What a forked child has of this is its parent's, above all the processes.
        let is_forked = self.is_forked();
        let Some(broadcast) = self.broadcast.take().filter(|_| !is_forked) else {
            return Vec::new();
        };
        // A ring whose producer is dropped by a panic keeps its name for the next one. Nobody takes a topology's over:
        // what its workers do belongs to this session.
        let _ = broadcast.remove_name();
        drop(broadcast);
        if let Some(urgent) = self.urgent.take() {
            let _ = urgent.remove_name();
        }
        // A worker may be waiting for room in its response ring. Once we have left, it has all the room there is.
        self.peers.iter_mut().for_each(Peer::detach);
        let deadline = Instant::now().checked_add(self.topology.leave_timeout);
        let departures = self.peers.iter_mut().map(|peer| depart(peer, deadline)).collect();
        // A producer that a panic drops leaves its ring to its readers, and those may have been killed.
        for place in self
            .peers
            .iter()
            .map(|peer| &peer.place)
            .chain([&self.topology.broadcast_place(), &self.topology.urgent_place()])
        {
            // Only what no process lives in is removed. If that fails now, the next launch or a collector does it.
            let _ = disruptor_mp::gc(place);
        }
        departures
    }
}

impl<F: Format> fmt::Debug for SchedulerEnd<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let standings: Vec<_> = self.peers.iter().map(|peer| (peer.rank, peer.standing)).collect();
        f.debug_struct("SchedulerEnd")
            .field("topology", &self.topology)
            .field("workers", &standings)
            .finish_non_exhaustive()
    }
}

impl<F: Format> Drop for SchedulerEnd<F> {
    fn drop(&mut self) {
        self.end();
    }
}
