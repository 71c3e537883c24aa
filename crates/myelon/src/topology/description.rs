//! What a scheduler and its workers agree on before either of them runs.
//!
//! [`Topology`] is a value: nothing is created before [`Topology::launch`].

use super::error::TopologyError;
use super::invitation::{Invitation, RingOptions, UrgentRing, place, worker_id};
use crate::transport::{
    Format, MyelonTransportLayout, Records, RunnerMyelonTransportConfig, SessionLayoutError, WaitStrategy,
};
use disruptor_mp::schema::Schema;
use disruptor_mp::segment::{GcError, SegmentPlan, Title};
use disruptor_mp::{
    CreateOptions, DEFAULT_RECORD_RING_BYTES, GcOutcome, Place, RequiredConsumerLivenessConfig, gc, record_ring_bytes,
};
use std::marker::PhantomData;
use std::path::PathBuf;
use std::time::Duration;

/// Bytes of the ring to all workers: the default of every ring of records.
pub const DEFAULT_BROADCAST_BYTES: usize = DEFAULT_RECORD_RING_BYTES;

/// The longest usual answer in bytes: a step with 1 024 sequences and eight candidates for each.
const USUAL_ANSWER_BYTES: usize = 128 << 10;

/// Bytes of each ring back. It has room for the answer that the scheduler reads and for one that the worker writes
/// meanwhile, if each has at most 128 KiB. Rounded up to what a ring can have, that is 512 KiB, which hold three such
/// answers.
///
/// ```
/// use myelon::topology::DEFAULT_RESPONSE_BYTES;
/// use myelon::transport::{Format, Records};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// assert_eq!(DEFAULT_RESPONSE_BYTES, 512 << 10);
/// assert_eq!(Records::in_flight_for(DEFAULT_RESPONSE_BYTES, 128 << 10)?, 3);
/// # Ok(())
/// # }
/// ```
pub const DEFAULT_RESPONSE_BYTES: usize = match record_ring_bytes(2, USUAL_ANSWER_BYTES) {
    Ok(bytes) => bytes,
    Err(_) => panic!("there is such a ring"),
};

/// Bytes of the ring of urgent messages: hundreds of control messages, and one of some 30 KiB.
pub const DEFAULT_URGENT_BYTES: usize = 64 << 10;

/// Only the scheduler reads a response ring.
pub(super) const RESPONSE_CONSUMERS_MAX: usize = 1;

/// How long the two sides wait for each other. Loading weights comes after joining and does not count.
const DEFAULT_RENDEZVOUS_TIMEOUT: Duration = disruptor_mp::default_coordination_timeout_duration();

/// How long workers may take to leave before they are killed: enough for a prefill of 2 s that was just begun.
const DEFAULT_LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Use this for a scheduler whose workers answer, die, are restarted and leave. Use
/// [`inference::FixedTopology`](crate::inference::FixedTopology) for a ring of small events of a fixed size to workers
/// that only listen.
///
/// One scheduler and its workers: what their rings are called, how large they are, and how long one side waits for the
/// other.
///
/// `F` is the format of the rings: [`Records`] of any length unless a format of fixed frames is named.
///
/// ```
/// use myelon::topology::Topology;
/// use std::time::Duration;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let topology = Topology::new("tp-engine", 8usize)?
///     .with_urgent_lane()
///     .with_rendezvous_timeout(Duration::from_secs(60));
/// // Nothing is created yet. This is how much it will be:
/// assert!(topology.planned_bytes()? < 14 << 20);
/// assert_eq!(topology.worker_consumer_id(1), "tp-engine, rank 1");
/// # Ok(())
/// # }
/// ```
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(bound = ""))]
pub struct Topology<F: Format = Records> {
    pub(super) layout: MyelonTransportLayout,
    pub(super) wait: WaitStrategy,
    #[cfg_attr(feature = "serde", serde(default, deserialize_with = "absolute_directory"))]
    pub(super) directory: Option<PathBuf>,
    pub(super) message_limit_bytes: Option<usize>,
    pub(super) broadcast_tag: Option<String>,
    pub(super) response_tag: Option<String>,
    #[cfg_attr(feature = "serde", serde(default))]
    pub(super) options: RingOptions,
    #[cfg_attr(feature = "serde", serde(default))]
    pub(super) urgent_depth: Option<usize>,
    pub(super) rendezvous_timeout: Duration,
    pub(super) leave_timeout: Duration,
    pub(super) liveness: RequiredConsumerLivenessConfig,
    #[cfg_attr(feature = "serde", serde(skip))]
    format: PhantomData<fn() -> F>,
}

/// The error text for a rank that the topology does not have.
pub(super) fn no_worker(label: &str, rank: usize, count: usize) -> String {
    format!("{label}: there is no worker {rank}: the topology has {count}, with ranks from 0")
}

/// `path` made absolute, so that it means the same in another working directory and in another process.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

#[cfg(feature = "serde")]
fn absolute_directory<'de, D: serde::Deserializer<'de>>(read: D) -> Result<Option<PathBuf>, D::Error> {
    Ok(<Option<PathBuf> as serde::Deserialize>::deserialize(read)?.map(absolute))
}

impl Topology<Records> {
    /// The session called `label` with this many workers, and rings of records of the default sizes.
    ///
    /// # Errors
    /// [`TopologyError`], like all errors here, if there are no workers or more than 256.
    pub fn new(label: &str, workers: impl Into<usize>) -> Result<Self, TopologyError> {
        Self::with_depths(label, workers, DEFAULT_BROADCAST_BYTES, DEFAULT_RESPONSE_BYTES)
    }

    /// Adds a second ring to all workers, of [`DEFAULT_URGENT_BYTES`], for control messages such as *cancel* and
    /// *pause*. A message sent by [`broadcast_urgent`](super::SchedulerEnd::broadcast_urgent) overtakes all broadcasts
    /// that a worker has not taken, however full their ring is. Without this call there is no such ring, and workers do
    /// not look for one.
    #[must_use]
    pub fn with_urgent_lane(self) -> Self {
        Self { urgent_depth: Some(DEFAULT_URGENT_BYTES), ..self }
    }
}

impl<F: Format> Topology<F> {
    /// [`new`](Topology::new) for any format, with rings of these depths: bytes for records, of any number; slots for
    /// fixed frames, powers of two. [`Format::depth_for`] says how deep a ring must be, and [`Format::in_flight_for`]
    /// how many messages one takes.
    ///
    /// # Errors
    /// As `new`, and `NoDepth` or `Depth` if there can be no ring of that depth.
    pub fn with_depths(
        label: &str,
        workers: impl Into<usize>,
        broadcast_depth: usize,
        response_depth: usize,
    ) -> Result<Self, TopologyError> {
        let layout = MyelonTransportLayout::for_session(label, workers.into(), broadcast_depth, response_depth);
        let topology = Self {
            layout: layout.map_err(|source| TopologyError::of(label, source))?,
            wait: WaitStrategy::default(),
            directory: None,
            message_limit_bytes: None,
            broadcast_tag: None,
            response_tag: None,
            options: RingOptions::default(),
            urgent_depth: None,
            rendezvous_timeout: DEFAULT_RENDEZVOUS_TIMEOUT,
            leave_timeout: DEFAULT_LEAVE_TIMEOUT,
            liveness: RequiredConsumerLivenessConfig::new([""; 0]),
            format: PhantomData,
        };
        topology.check()?;
        Ok(topology)
    }

    /// Refuses what otherwise only another process would notice: each worker makes its response ring itself. A topology
    /// that was read from a file is checked when it is used.
    pub(super) fn check(&self) -> Result<(), TopologyError> {
        self.plans()?;
        for (ring, tag) in [("broadcast", &self.broadcast_tag), ("response", &self.response_tag)] {
            if let Some(tag) = tag.as_deref().filter(|tag| !Schema::is_content_tag(tag)) {
                let source = SessionLayoutError::ContentTag { ring, tag: tag.to_owned() };
                return Err(TopologyError::of(self.label(), source));
            }
        }
        Ok(())
    }

    /// How many bytes of shared memory the whole topology will take: leave at least that much with `--shm-size` or the
    /// like.
    ///
    /// # Errors
    /// `Depth`: there can be no ring of one of the depths.
    pub fn planned_bytes(&self) -> Result<u64, TopologyError> {
        let ([broadcast, response], urgent) = self.plans()?;
        let urgent_bytes = urgent.map_or(0, |plan| plan.total_len);
        Ok(broadcast.total_len + response.total_len * self.worker_count() as u64 + urgent_bytes)
    }

    /// The plans of the broadcast ring, of each response ring, and of the urgent ring if there is one.
    fn plans(&self) -> Result<([SegmentPlan; 2], Option<SegmentPlan>), TopologyError> {
        let plan = |ring, depth, consumers| {
            let refused = |source| TopologyError::of(self.label(), SessionLayoutError::Depth { ring, source });
            F::plan(depth, consumers).map_err(refused)
        };
        let broadcast = plan("broadcast", self.layout.rpc_depth(), self.worker_count())?;
        let response = plan("response", self.layout.response_depth(), RESPONSE_CONSUMERS_MAX)?;
        let urgent = self.urgent_depth.map(|depth| plan("urgent", depth, self.worker_count())).transpose()?;
        Ok(([broadcast, response], urgent))
    }

    /// Sets how both sides wait for messages.
    #[must_use]
    pub fn with_wait_strategy(self, wait: WaitStrategy) -> Self {
        Self { wait, ..self }
    }

    /// Puts the rings into files in `directory`, instead of into shared memory. It is made if it is missing
    /// ([`CreateOptions::make_directories`]). A relative path is taken from the current working directory, even for
    /// workers that run in another one.
    #[must_use]
    pub fn in_directory(self, directory: impl Into<PathBuf>) -> Self {
        Self { directory: Some(absolute(directory.into())), ..self }
    }

    /// Sets how every ring is created, by the scheduler and by its workers: for a group of users, with its pages mapped
    /// or locked at once, and so on.
    ///
    /// ```
    /// use myelon::CreateOptions;
    /// use myelon::topology::Topology;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // Workers that run as other users of one group may join.
    /// let options = CreateOptions::default().group(1000).prefault(true);
    /// let topology = Topology::new("tp-engine", 2usize)?.with_create_options(options);
    /// # let _ = topology;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_create_options(self, options: CreateOptions) -> Self {
        Self { options: options.into(), ..self }
    }

    /// `with_urgent_lane` for any format, with a ring of that depth: slots for fixed frames, bytes for records.
    ///
    /// # Errors
    /// `Depth`: there is no such ring.
    pub fn with_urgent_depth(self, depth: usize) -> Result<Self, TopologyError> {
        let topology = Self { urgent_depth: Some(depth), ..self };
        topology.check()?;
        Ok(topology)
    }

    /// Sets the longest message in bytes, in both directions.
    #[must_use]
    pub fn with_message_limit(self, limit_bytes: usize) -> Self {
        Self { message_limit_bytes: Some(limit_bytes), ..self }
    }

    /// Says what the messages are, in both directions: a worker or a scheduler that was built for other messages is
    /// refused when it attaches.
    #[must_use]
    pub fn with_content_tags(self, broadcast: impl Into<String>, response: impl Into<String>) -> Self {
        Self { broadcast_tag: Some(broadcast.into()), response_tag: Some(response.into()), ..self }
    }

    /// Sets how long the two sides wait for each other at the start; 15 s unless set.
    #[must_use]
    pub fn with_rendezvous_timeout(self, rendezvous_timeout: Duration) -> Self {
        Self { rendezvous_timeout, ..self }
    }

    /// Sets how long workers that `launch` has started may take to leave before they are killed; 5 s unless set,
    /// [`Duration::MAX`]: never.
    #[must_use]
    pub fn with_leave_timeout(self, leave_timeout: Duration) -> Self {
        Self { leave_timeout, ..self }
    }

    /// Sets how long [`Patience::Managed`](disruptor_mp::Patience::Managed) broadcasts wait for a worker that makes no
    /// progress, and its alerts. The required consumers are the workers, whatever ids `liveness` names.
    #[must_use]
    pub fn with_liveness(self, liveness: RequiredConsumerLivenessConfig) -> Self {
        Self { liveness, ..self }
    }

    /// Names and depths of the rings.
    pub fn layout(&self) -> &MyelonTransportLayout {
        &self.layout
    }

    /// How many workers there are.
    pub fn worker_count(&self) -> usize {
        self.layout.runner_count()
    }

    /// The name of the session.
    pub fn label(&self) -> &str {
        self.layout.label()
    }

    /// The consumer id of worker `rank` in the broadcast ring, which is also its name in reports and errors:
    /// `tp-engine, rank 1`. It has at most 64 bytes of the label.
    ///
    /// # Panics
    /// If there is no worker of that rank.
    #[track_caller]
    pub fn worker_consumer_id(&self, rank: usize) -> String {
        let count = self.worker_count();
        assert!(rank < count, "{}", no_worker(self.label(), rank, count));
        worker_id(self.label(), rank)
    }

    /// What worker `rank` must be told, for programs that start it themselves: pass it as an argument or in
    /// [`INVITATION_VARIABLE`](super::INVITATION_VARIABLE). It is valid before the launch and after it.
    ///
    /// It has everything that is set here, except the types of messages, which typed ends add themselves. So use one
    /// function to make the topology in the scheduler and in the process that makes invitations, with the same lanes,
    /// sizes and directory. A worker with another invitation does not join, or is
    /// [missing](super::LaunchError::Missing).
    ///
    /// # Errors
    /// `NoSuchRank` if there are fewer workers; `ContentTag` if one of the [tags](Self::with_content_tags) is not
    /// valid.
    pub fn invitation(&self, rank: usize) -> Result<Invitation, TopologyError> {
        self.check()?;
        Ok(Invitation {
            rank,
            worker_count: self.worker_count(),
            label: self.label().to_owned(),
            rings: RunnerMyelonTransportConfig::for_rank(&self.layout, rank, self.wait)
                .map_err(|source| TopologyError::of(self.label(), source))?,
            directory: self.directory.clone(),
            message_limit_bytes: self.message_limit_bytes,
            broadcast_tag: self.broadcast_tag.clone(),
            response_tag: self.response_tag.clone(),
            options: self.options,
            urgent: self.urgent_depth.map(|depth| UrgentRing { name: self.layout.urgent_ring_name(), depth }),
            patience: self.rendezvous_timeout,
            parent: None,
            pipe: None,
        })
    }

    /// Removes the rings that a session of this description has left after all its processes were killed, and returns
    /// how many it removed. If a process lives in one of them, all of them stay. It is for a supervisor that does not
    /// start the session again: a launch replaces what is left.
    ///
    /// ```
    /// use myelon::topology::Topology;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let label = format!("tp-engine {}", std::process::id());
    /// let topology = Topology::new(&label, 2usize)?.with_urgent_lane();
    /// assert_eq!(topology.gc()?, 0, "nothing is left of it");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// This process may not open or remove a ring, or the system fails. Some rings may have been removed before.
    pub fn gc(&self) -> Result<usize, GcError> {
        let mut removed = 0;
        for place in [self.broadcast_place(), self.urgent_place()].into_iter().chain(self.response_places()) {
            removed += usize::from(gc(place)? == GcOutcome::Removed);
        }
        Ok(removed)
    }

    pub(super) fn broadcast_place(&self) -> Place {
        place(self.directory.as_ref(), &self.layout.rpc_ring_name(), Title::new(self.label(), None))
    }

    pub(super) fn urgent_place(&self) -> Place {
        place(self.directory.as_ref(), &self.layout.urgent_ring_name(), Title::new(self.label(), None))
    }

    pub(super) fn response_places(&self) -> impl Iterator<Item = Place> + '_ {
        let place = |(rank, name): (usize, String)| {
            place(self.directory.as_ref(), &name, Title::new(self.label(), Some(rank as u32)))
        };
        self.layout.response_ring_names().enumerate().map(place)
    }
}

// Not derived: a format need not be `Clone` or `Debug`.
impl<F: Format> Clone for Topology<F> {
    fn clone(&self) -> Self {
        Self {
            layout: self.layout.clone(),
            directory: self.directory.clone(),
            broadcast_tag: self.broadcast_tag.clone(),
            response_tag: self.response_tag.clone(),
            liveness: self.liveness.clone(),
            ..*self
        }
    }
}

impl<F: Format> std::fmt::Debug for Topology<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Topology")
            .field("layout", &self.layout)
            .field("wait", &self.wait)
            .field("directory", &self.directory)
            .field("options", &self.options)
            .field("urgent_depth", &self.urgent_depth)
            .field("message_limit_bytes", &self.message_limit_bytes)
            .field("rendezvous_timeout", &self.rendezvous_timeout)
            .field("leave_timeout", &self.leave_timeout)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::WorkerCount;

    #[test]
    fn the_control_plane_of_eight_workers_takes_less_than_13_mib() {
        let topology = Topology::new("engine", WorkerCount::Eight).unwrap();
        let planned = topology.planned_bytes().unwrap();
        assert!((12 << 20..=13 << 20).contains(&planned), "{planned} bytes");
    }

    #[cfg(feature = "serde")]
    #[test]
    fn a_topology_survives_json_and_makes_the_same_invitations() {
        let topology = Topology::new("engine", WorkerCount::Two).unwrap().with_content_tags("step/1", "answer/1");
        let json = serde_json::to_string(&topology).unwrap();
        let read: Topology = serde_json::from_str(&json).unwrap();
        assert_eq!(read.invitation(1).unwrap(), topology.invitation(1).unwrap());
    }

    #[test]
    fn a_relative_directory_is_one_below_the_working_directory_of_now() {
        let wanted = std::env::current_dir().unwrap().join("rings");
        let topology = Topology::new("engine", WorkerCount::Two).unwrap().in_directory("rings");
        assert_eq!(topology.directory.as_ref(), Some(&wanted));
        #[cfg(feature = "serde")]
        {
            let json = serde_json::to_string(&topology).unwrap();
            let relative = json.replace(wanted.to_str().unwrap(), "rings");
            assert_ne!(relative, json);
            let read: Topology = serde_json::from_str(&relative).unwrap();
            assert_eq!(read.directory, Some(wanted));
        }
    }
}
