//! How a scheduler begins a topology: it creates the rings, starts the workers, and meets them.

use super::answer::Change;
use super::description::Topology;
use super::error::{LaunchError, MissingState, MissingWorker, RingAccess};
use super::invitation::{scheduler_id, worker_id_prefix};
use super::peer::{Attachment, Peer, Standing};
use super::scheduler::SchedulerEnd;
use crate::transport::{Format, TransportBuilder};
use myelon_process::Command;
use std::time::{Duration, Instant};

/// How often the scheduler looks for its workers. Processes start in milliseconds, so no wake is needed.
const MEETING_POLL: Duration = Duration::from_millis(1);

/// Makes the command that starts a worker.
pub(super) type Spawn = Box<dyn FnMut(usize) -> Command + Send>;

/// Which program starts the workers: the scheduler, or another.
///
/// This runs in the scheduler's process; `./worker` is a program that [joins](super::WorkerEnd::join).
///
/// ```no_run
/// use myelon::process::Command;
/// use myelon::topology::{Topology, Workers};
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
    /// The scheduler starts each worker, with the command that `command` returns for its rank. The worker finds its
    /// invitation in the environment. The kernel kills it when the scheduler dies, [`SchedulerEnd::restart`] restarts
    /// it, and the scheduler waits for it at the end.
    ///
    /// The process must be the worker itself, not a shell that starts it: the scheduler can only look after its own
    /// children. A program such as `setpriv` or `numactl`, which executes the worker in its own place, is fine.
    ///
    /// A worker has the signal mask of before [`block_first`](crate::process::signals::block_first), so SIGTERM ends it
    /// also if the scheduler reads its own signals as events.
    pub fn spawned(command: impl FnMut(usize) -> Command + Send + 'static) -> Self {
        Self(Some(Box::new(command)))
    }

    /// Another program starts the workers, before or after the launch: by hand, by a supervisor, in containers that
    /// share `/dev/shm`. Give each worker its [invitation](Topology::invitation).
    ///
    /// That program restarts a worker that has died, with the same invitation, and waits for the workers at the end.
    /// The scheduler [waits for the successor](SchedulerEnd::wait_for); it ends no process. If the scheduler dies, its
    /// workers are told and end: start all of them again. The example `supervisor` is a program to copy.
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
    /// Creates the broadcast ring, starts the workers if `workers` says so, and returns once every worker has joined
    /// and its messages can be received. The first broadcast reaches all of them.
    ///
    /// A ring that a dead scheduler has left is replaced. Its workers that still live are told so, and cannot join.
    ///
    /// # Errors
    /// See [`LaunchError`]; `Missing` names the missing workers and how far each had got.
    /// Source: RFC 0009, "Meeting".
    pub fn launch(&self, workers: Workers) -> Result<SchedulerEnd<F>, LaunchError> {
        self.launch_taking(workers, Vec::new())
    }

    /// [`launch`](Self::launch) that also accepts answers with one of those tags.
    pub(super) fn launch_taking(
        &self,
        workers: Workers,
        older_tags: Vec<String>,
    ) -> Result<SchedulerEnd<F>, LaunchError> {
        self.check()?;
        for place in self.response_places() {
            // A ring of an earlier session, perhaps of another size. It stays if a process lives in it. If it cannot be
            // removed, the process that needs its name reports it.
            let _ = disruptor_mp::gc(place);
        }
        // The earlier session may have had one.
        let _ = disruptor_mp::gc(self.urgent_place());
        let began = Instant::now();
        let mut scheduler = self.create(workers, older_tags)?;
        self.start_all(&mut scheduler)?;
        loop {
            scheduler.look();
            if scheduler.peers.iter().all(Peer::is_ready) {
                // No worker has missed anything: one that died and came back during the meeting is simply there.
                scheduler.peers.iter_mut().for_each(Peer::forget_news);
                return Ok(scheduler);
            }
            let waited = began.elapsed();
            if waited >= self.rendezvous_timeout || scheduler.peers.iter_mut().any(cannot_come) {
                // A process that has just ended may have joined before.
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
        // It is created before the broadcast ring: a worker that finds that ring, and not this one, knows that there
        // will be no urgent lane. An error of the broadcast ring is returned first, because it concerns the whole
        // session.
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

/// Whether waiting for this worker is pointless: its process has ended, or cannot join, or its responses cannot be
/// received.
fn cannot_come<F: Format>(peer: &mut Peer<F>) -> bool {
    let has_ended = peer.started.as_mut().is_some_and(|started| started.process.try_wait().is_some());
    match peer.is_present() {
        true => peer.is_refused_for_good(),
        false => has_ended || peer.failed.is_some(),
    }
}

/// How far a worker that is not ready has got.
fn describe<F: Format>(peer: &mut Peer<F>, ring: Option<RingAccess>) -> MissingWorker {
    let started = peer.started.as_mut().map(|started| (started.process.pid(), started.process.try_wait()));
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
        (Standing::Absent, _, Some((pid, Some(ended)))) => MissingState::Exited { pid, status: ended.status().ok() },
        (Standing::Absent, _, None) => MissingState::NotSeen { ring },
    };
    let without_lane = peer.without_lane.map(|pid| MissingState::NoUrgentLane { pid });
    let state = without_lane.unwrap_or_else(|| how_far(peer));
    let others_refused = peer.take_strays();
    MissingWorker { rank: peer.rank, consumer_id: peer.id.clone(), state, others_refused }
}
