//! The scheduler's end of a topology: it broadcasts, looks after the workers, and closes the session.
//!
//! One thread uses it at a time. Waiting for answers is in `gather`.

use super::answer::Change;
use super::departure::{Departure, depart};
use super::description::{Topology, no_worker};
use super::error::{RestartError, TopologyError};
use super::invitation::INVITATION_VARIABLE;
use super::launch::{Spawn, Workers};
use super::lent::BorrowedProducer;
use super::peer::{Attachment, Peer, Standing};
use super::report::{WorkerReport, report};
use super::urgent::UrgentError;
use crate::transport::{Format, Records, TransportError, TransportProducer, TransportResult};
use disruptor_mp::__private::ends::HasProducer;
use disruptor_mp::liveness::process::InheritedPipe;
use disruptor_mp::liveness::{NextStep, Refusal};
use disruptor_mp::segment::fork_epoch;
use disruptor_mp::{ConsumerInfo, Patience, Select, Sequence};
use myelon_process::orphan::Parent;
use myelon_process::{Command, Nursery};
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// How often a busy scheduler checks that all workers live: well below the 100 ms within which a death must be
/// reported, and rare enough that its few system calls do not matter.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// How often a report looks again because its worker has moved. A worker that moves each time makes progress.
const REPORT_LOOKS: usize = 8;

/// The scheduler's end: it broadcasts, receives from every worker, and looks after them.
///
/// Dropping it closes the broadcast ring, waits until the workers that it started have read the remaining broadcasts
/// and ended, kills those that do not end in time, and removes what dead workers have left. [`close`](Self::close) does
/// the same and returns how each worker left. Workers that another program has started read the remaining broadcasts as
/// well; the scheduler does not wait for them.
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
///         Outcome::TimedOut => println!("{}", scheduler.report(answer.rank)), // why it is late
///         other => println!("rank {} {other}", answer.rank),
///     }
/// }
/// scheduler.close(); // the workers are told that the topology is closed
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
    /// The last refusal for each worker: the words in the ring, and their meaning.
    refusals: Vec<((u64, u64), Option<Refusal>)>,
    attachment: Attachment,
    topology: Topology<F>,
    pub(super) spawn: Option<Spawn>,
    nursery: Option<Nursery>,
    last_look: Instant,
    /// The last known broadcast, and when it was sent or seen.
    sent: (Sequence, Instant),
    /// The worker that `gather` asks first when any worker will do, so that a worker with many messages does not starve
    /// the others.
    pub(super) turn: usize,
    /// The wait of `gather` for the first answer of any worker.
    pub(super) select: Select,
    /// The fork epoch of the process that owns this end. A pid is not enough: a forked child may have the same one in a
    /// pid namespace of its own.
    fork_epoch: u32,
}

impl<F: Format> SchedulerEnd<F> {
    /// An end whose workers are not started yet.
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
    /// `patience` says; the error names what it waited for. [`Patience::Managed`] waits under the topology's
    /// [liveness](Topology::with_liveness).
    ///
    /// A dead worker gets the message when it comes back, as long as the ring has room for what it has missed.
    ///
    /// # Errors
    /// [`is_full`](TopologyError::is_full) for [`Patience::Now`]; `Publish` with `ConsumerDied` if the ring is full
    /// because of a dead worker: [restart](Self::restart) it, or close. `RequiredConsumer` for managed patience;
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

    /// `source` as the error of this session.
    #[cold]
    pub(crate) fn error(&mut self, source: impl Into<TransportError>) -> TopologyError {
        TopologyError::of_sender(self.broadcast_mut(), source)
    }

    /// Sends `bytes` to every worker, ahead of all broadcasts that the worker has not taken: for control messages, in a
    /// topology [with an urgent lane](Topology::with_urgent_lane). Never waits. The message
    /// [names](super::Broadcast::step) the last broadcast before it. Nothing else about its order among the broadcasts
    /// is certain.
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

    /// Sends by `send` into the urgent ring, as a message after the last broadcast.
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
                    // A worker whose entry in the broadcast ring was given away loses its entry here too.
                    let placed = broadcast.consumers();
                    let is_placed = |id: &str| placed.iter().any(|info| info.id == id);
                    for gone in urgent.check_peers().iter().filter(|gone| !is_placed(&gone.id)) {
                        // If that is refused, the ring stays full because of it.
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

    /// Notes the time of the last broadcast, for reports.
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

    /// The broadcast ring's producer: for messages that are encoded in place, and for information about its consumers.
    pub fn broadcast_ring(&mut self) -> BorrowedProducer<'_, F> {
        BorrowedProducer::new(self.broadcast_mut())
    }

    /// The same, for this crate. A caller that sends must call [`note_sent`](Self::note_sent).
    pub(crate) fn broadcast_mut(&mut self) -> &mut TransportProducer<F> {
        self.broadcast.as_mut().expect("a topology is open until it is closed, which takes it")
    }

    /// The name of the session.
    pub(super) fn label(&self) -> &str {
        self.topology.label()
    }

    /// How many workers there are.
    pub fn worker_count(&self) -> usize {
        self.peers.len()
    }

    /// Panics at the caller's line if no worker has this rank.
    #[track_caller]
    pub(crate) fn check_rank(&self, rank: usize) {
        let count = self.worker_count();
        assert!(rank < count, "{}", no_worker(self.label(), rank, count));
    }

    /// The pid of worker `rank` in its own namespace, if the worker lived at the last look.
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

    /// Looks at every worker now, and returns the changes that were not reported yet. It is for loops that neither
    /// gather nor receive; those calls report changes themselves.
    ///
    /// Such a look also lets a joining worker in. So a scheduler that waits for something else, such as requests, must
    /// look a few times a second: a worker waits for that no longer than the [rendezvous
    /// timeout](Topology::with_rendezvous_timeout), and then gives up with
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

    /// Asks the kernel which workers live, and attaches to new response rings.
    pub(crate) fn look(&mut self) {
        // In a forked child, the workers and the entry in their rings belong to the parent.
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
            // Naming a difference reads the whole schema, so it is done only for a new refusal.
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

    /// What worker `rank` does about the last broadcast: whether it has received it, has answered it, or why not. Use
    /// it when [`gather`](Self::gather) has timed out. It looks at all workers first.
    ///
    /// The producer's own [stall report](disruptor_mp::ProducerEnd::stall_report) is about the room in the broadcast
    /// ring, which another worker may hold back.
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
            // The values from the two rings belong together only if the worker has not moved in the meantime.
            let now = self.table_entry(rank);
            if now == info {
                return made;
            }
            info = now;
        }
        report(&mut self.peers[rank], info.as_ref(), last, sent)
    }

    /// The entry of worker `rank` in the broadcast ring's table now.
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

    /// Restarts worker `rank`: kills its process if it still runs, and starts another one in its place, which continues
    /// with the first broadcast that its predecessor had not acknowledged. Returns the new process's pid. When it has
    /// joined, [`Rejoined`](super::Outcome::Rejoined) is reported.
    ///
    /// # Errors
    /// See [`RestartError`].
    pub fn restart(&mut self, rank: usize) -> Result<u32, RestartError> {
        self.kill_worker(rank)?;
        if let Some(started) = &mut self.peers[rank].started {
            started.process.wait(Patience::Endless);
        }
        self.start_successor(rank)
    }

    /// First step: kills the old process if it still runs.
    pub(crate) fn kill_worker(&mut self, rank: usize) -> Result<(), RestartError> {
        // This call also checks that there is such a rank.
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
        self.peers[rank].started.as_mut().is_none_or(|started| started.process.try_wait().is_some())
    }

    /// Last step, after the old process was reaped: the kernel has then released the locks by which the rings know that
    /// it lived.
    pub(crate) fn start_successor(&mut self, rank: usize) -> Result<u32, RestartError> {
        // This look records the end of the old process; a process that comes after it is the successor.
        self.look();
        let worker = self.topology.worker_consumer_id(rank);
        self.start_worker(rank).map_err(|source| RestartError::Os { worker, rank, source })?;
        Ok(self.peers[rank].started.as_ref().map_or(0, |started| started.process.pid()))
    }

    /// Starts worker `rank` with its invitation in its environment, if this scheduler starts the workers.
    pub(super) fn start_worker(&mut self, rank: usize) -> io::Result<()> {
        let (Some(spawn), Some(nursery)) = (&mut self.spawn, &self.nursery) else { return Ok(()) };
        let mut invitation = self.topology.invitation(rank).map_err(io::Error::other)?;
        invitation.parent = Some(Parent::current());
        let mut command = spawn(rank);
        let pipe = pipe_for(&mut command).ok();
        invitation.pipe = pipe.as_ref().map(|&(_, inherited)| inherited);
        command.env(INVITATION_VARIABLE, invitation.to_string());
        self.peers[rank].start(nursery.spawn(&command)?, pipe.map(|(reader, _)| reader));
        Ok(())
    }

    fn is_forked(&self) -> bool {
        self.fork_epoch != fork_epoch()
    }

    /// Closes the topology, as dropping it does, and returns how each worker left. Gather the answers that you still
    /// need first: after this call no process receives from the workers.
    pub fn close(mut self) -> Vec<Departure> {
        self.end()
    }

    fn end(&mut self) -> Vec<Departure> {
        // In a forked child everything here belongs to the parent, above all the processes.
        let is_forked = self.is_forked();
        let Some(broadcast) = self.broadcast.take().filter(|_| !is_forked) else {
            return Vec::new();
        };
        // A ring whose producer is dropped by a panic keeps its name for a successor. No process takes over a
        // topology's ring: its workers belong to this session.
        let _ = broadcast.remove_name();
        drop(broadcast);
        if let Some(urgent) = self.urgent.take() {
            let _ = urgent.remove_name();
        }
        // A worker may be waiting for room in its response ring. Once the scheduler has left that ring, the worker has
        // all of its room.
        self.peers.iter_mut().for_each(Peer::detach);
        let deadline = Instant::now().checked_add(self.topology.leave_timeout);
        let departures = self.peers.iter_mut().map(|peer| depart(peer, deadline)).collect();
        // A producer that a panic drops leaves its ring for its readers to remove, and those may have been killed.
        for place in self
            .peers
            .iter()
            .map(|peer| &peer.place)
            .chain([&self.topology.broadcast_place(), &self.topology.urgent_place()])
        {
            // A ring in which a process lives stays. If the removal fails, the next launch or a collector does it.
            let _ = disruptor_mp::gc(place);
        }
        departures
    }
}

/// A pipe into which the child says why it could not join: our end, and the description by which the child will find
/// the other one. Without a pipe (no descriptors left, or another system) a refused worker can only end.
#[cfg(target_os = "linux")]
fn pipe_for(command: &mut Command) -> io::Result<(OwnedFd, InheritedPipe)> {
    use rustix::pipe::{PipeFlags, pipe_with};
    // Non-blocking, because no process waits for it: the scheduler polls it, and a line is far shorter than what a pipe
    // holds.
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    let copy = writer.try_clone()?;
    let number = command.inherit_anywhere(writer)?;
    Ok((reader, InheritedPipe::of(&copy, number)?))
}

/// On this system a process that another thread starts meanwhile would inherit the pipe too.
#[cfg(not(target_os = "linux"))]
fn pipe_for(_: &mut Command) -> io::Result<(OwnedFd, InheritedPipe)> {
    Err(io::ErrorKind::Unsupported.into())
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
