//! How a scheduler begins a topology: it creates the rings, starts the workers, and meets them.

use super::answer::Change;
use super::description::Topology;
use super::error::{LaunchError, MissingState, MissingWorker, RingAccess};
use super::invitation::{scheduler_id, worker_id_prefix};
use super::peer::{Attachment, Peer, Standing};
use super::scheduler::SchedulerEnd;
use crate::transport::{Format, TransportBuilder};
use std::process::Command;
use std::time::{Duration, Instant};

/// How often the scheduler looks for its workers. Processes start in milliseconds: nobody needs to be woken for it.
const MEETING_POLL: Duration = Duration::from_millis(1);

/// Makes the command that starts a worker.
pub(super) type Spawn = Box<dyn FnMut(usize) -> Command + Send>;

/// Which program starts the workers: the scheduler, or another.
///
/// This runs in the scheduler's process; `./worker` is a program that [joins](super::WorkerEnd::join).
///
/// ```no_run
/// use myelon::topology::{Topology, Workers};
/// use std::process::Command;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let topology: Topology = Topology::new("tp-engine", 2usize)?;
/// let spawned = Workers::spawned(|rank| {
///     let mut command = Command::new("./worker");
///     command.env("CUDA_VISIBLE_DEVICES", rank.to_string());
///     command
/// });
/// let mut scheduler = topology.launch(spawned)?;
/// # Ok(())
/// # }
/// ```
pub struct Workers(pub(super) Option<Spawn>);

impl Workers {
    /// The scheduler does, with the command that `command` gives for a rank. The worker finds its invitation in the
    /// environment. It is killed when the scheduler dies, restarted by [`SchedulerEnd::restart`], and waited for at the
    /// end.
    ///
    /// The process must be the worker itself, not a shell that starts it: the scheduler can only look after its own
    /// children.
    pub fn spawned(command: impl FnMut(usize) -> Command + Send + 'static) -> Self {
        Self(Some(Box::new(command)))
    }

    /// Another program does, before or after: by hand, by a supervisor, in containers that share `/dev/shm`. Each
    /// worker is told its [invitation](Topology::invitation).
    ///
    /// That program starts a worker again that has died, with the same invitation, and waits for the workers at the
    /// end. The scheduler [waits for the successor](SchedulerEnd::wait_for); it ends no process. If the scheduler dies,
    /// its workers are told and end: start all of them again. The example `supervisor` is a program to copy.
    pub fn started_elsewhere() -> Self {
        Self(None)
    }
}

impl std::fmt::Debug for Workers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Workers::spawned(..)" } else { "Workers::started_elsewhere()" })
    }
}

impl<F: Format> Topology<F> {
    /// Creates the broadcast ring, starts the workers if that is asked for, and returns once every worker has joined
    /// and can be heard. The first broadcast reaches all of them.
    ///
    /// A ring that a dead scheduler has left is replaced; workers of that one which still live are told so, and are not
    /// taken in.
    ///
    /// # Errors
    /// See [`LaunchError`]; `Missing` names who did not come and how far each had got.
    /// Source: RFC 0009, "Meeting".
    pub fn launch(&self, workers: Workers) -> Result<SchedulerEnd<F>, LaunchError> {
        self.launch_taking(workers, Vec::new())
    }

    /// [`launch`](Self::launch) of workers whose answers may also be what has one of those tags.
    pub(super) fn launch_taking(
        &self,
        workers: Workers,
        older_tags: Vec<String>,
    ) -> Result<SchedulerEnd<F>, LaunchError> {
        self.check()?;
        for place in self.response_places() {
            // Of an earlier session, and perhaps of other sizes. What somebody lives in stays, and what cannot be
            // removed will be reported by whoever needs its name.
            let _ = disruptor_mp::gc(place);
        }
        // The session before may have had one.
        let _ = disruptor_mp::gc(self.urgent_place());
        let began = Instant::now();
        let mut scheduler = self.create(workers, older_tags)?;
        self.start_all(&mut scheduler)?;
        loop {
            scheduler.look();
            if scheduler.peers.iter().all(Peer::is_ready) {
                // Nobody has missed anything: who came and went and came again while we met is simply there.
                scheduler.peers.iter_mut().for_each(Peer::forget_news);
                return Ok(scheduler);
            }
            let waited = began.elapsed();
            if waited >= self.rendezvous_timeout || scheduler.peers.iter_mut().any(cannot_come) {
                // A process that has ended a moment ago may have joined a moment before.
                scheduler.look();
                let ring = scheduler.broadcast_mut().try_clone_fd().ok().and_then(RingAccess::of_file);
                let missing = scheduler.peers.iter_mut().filter(|peer| !peer.is_ready());
                let missing = missing.map(|peer| describe(peer, ring)).collect();
                return Err(LaunchError::Missing { session: self.label().to_owned(), missing, waited });
            }
            std::thread::sleep(MEETING_POLL);
        }
    }

    fn create(&self, workers: Workers, older_tags: Vec<String>) -> Result<SchedulerEnd<F>, LaunchError> {
        let ring = |place, depth| {
            let mut builder = TransportBuilder::<F>::new(place, depth)
                .with_max_consumers(self.worker_count())
                .with_consumer_prefix(worker_id_prefix(self.label()))
                .with_wait_strategy(self.wait)
                .with_create_options(self.options.into())
                .replace();
            if let Some(limit) = self.message_limit_bytes {
                builder = builder.with_message_limit(limit);
            }
            if let Some(tag) = &self.broadcast_tag {
                builder = builder.with_content_tag(tag.as_str());
            }
            builder.build_producer()
        };
        let session = || self.label().to_owned();
        let refused = |source| LaunchError::Broadcast { session: session(), source: Box::new(source) };
        // Before the broadcasts: a worker that finds these, and not this one, knows that there will be none. What
        // hinders the broadcast ring is said first: it hinders the whole session.
        let urgent = self.urgent_depth.map(|depth| ring(self.urgent_place(), depth)).transpose();
        let mut broadcast = ring(self.broadcast_place(), self.layout.rpc_depth()).map_err(refused)?;
        let urgent = urgent.map_err(|source| LaunchError::Urgent { session: session(), source: Box::new(source) })?;
        let mut liveness = self.liveness.clone();
        liveness.required_consumer_ids = (0..self.worker_count()).map(|rank| self.worker_consumer_id(rank)).collect();
        broadcast.enable_required_consumer_liveness(liveness).map_err(|error| refused(error.into()))?;
        let attachment = Attachment {
            depth: self.layout.response_depth(),
            scheduler_id: scheduler_id(self.label()),
            wait: self.wait,
            message_limit_bytes: self.message_limit_bytes,
            content_tag: self.response_tag.clone(),
            older_tags,
        };
        let started = SchedulerEnd::new(self.clone(), broadcast, urgent, workers, attachment);
        started.map_err(|source| LaunchError::Thread { session: session(), source })
    }

    fn start_all(&self, scheduler: &mut SchedulerEnd<F>) -> Result<(), LaunchError> {
        for rank in 0..self.worker_count() {
            let failed = |source| LaunchError::Spawn { worker: self.worker_consumer_id(rank), rank, source };
            scheduler.start_worker(rank).map_err(failed)?;
        }
        Ok(())
    }
}

/// Whether waiting for this worker is pointless: the process that was to be it has ended, or cannot join, or its
/// responses cannot be heard.
fn cannot_come<F: Format>(peer: &mut Peer<F>) -> bool {
    let has_ended = peer.started.as_mut().is_some_and(|started| started.process.exit().is_some());
    match peer.is_present() {
        true => peer.is_refused_for_good(),
        false => has_ended || peer.failed.is_some(),
    }
}

/// How far a worker has got that is not ready.
fn describe<F: Format>(peer: &mut Peer<F>, ring: Option<RingAccess>) -> MissingWorker {
    let started = peer.started.as_mut().map(|started| (started.process.pid(), started.process.exit()));
    let how_far = |peer: &mut Peer<F>| match (peer.standing, peer.word(), started) {
        (Standing::Present(process), ..) => {
            let source = peer.refusal_worth_telling().map(Box::new);
            MissingState::NoResponses { pid: process.pid, source }
        }
        (_, Some(Change::JoinFailed { refusal: Some(refusal), status, .. }), _) => {
            MissingState::Refused { refusal, status }
        }
        (_, Some(Change::JoinFailed { pid, status, refusal: None }), _) => MissingState::Exited { pid, status },
        (_, Some(Change::Died { pid, status, how }), _) => MissingState::Died { pid, status, how },
        (Standing::Gone(_), ..) => MissingState::Left,
        (Standing::Absent, _, Some((pid, None))) => MissingState::NotJoined { pid },
        (Standing::Absent, _, Some((pid, Some(exit)))) => MissingState::Exited { pid, status: exit.ok() },
        (Standing::Absent, _, None) => MissingState::NotSeen { ring },
    };
    let without_lane = peer.without_lane.map(|pid| MissingState::NoUrgentLane { pid });
    let state = without_lane.unwrap_or_else(|| how_far(peer));
    let others_refused = peer.take_strays();
    MissingWorker { rank: peer.rank, consumer_id: peer.id.clone(), state, others_refused }
}
