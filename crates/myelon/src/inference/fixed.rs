//! One scheduler that publishes events to a fixed set of workers.
//!
//! The scheduler and each worker make an equal value of it.

use super::WorkerCount;
use disruptor_mp::segment::SegmentName;
use disruptor_mp::{Event, MultiProcessError, SharedConsumer, SharedDisruptorBuilder, SharedProducer};
use std::ops::Range;
use std::time::Duration;

/// Result of building an end of a topology.
pub type InferenceTopologyResult<T> = Result<T, InferenceTopologyError>;

/// Why an end of a topology could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InferenceTopologyError {
    /// Workers are numbered from 0.
    #[error("there is no worker {index} among {worker_count}: they are numbered from 0")]
    InvalidWorkerIndex {
        /// The index that was asked for.
        index: usize,
        /// How many there are.
        worker_count: usize,
    },
    /// The ring cannot have that name, or no worker can have an id that begins with it.
    #[error(
        "`{segment_name}` cannot name a fixed topology: its workers are called `{segment_name}_wk_0` and so on, so it may have 1 to \
         {SEGMENT_NAME_BYTES_MAX} bytes, none of them `/`, and no characters that cannot be seen",
        segment_name = segment_name.escape_debug()
    )]
    InvalidSegmentName {
        /// The name that was given.
        segment_name: String,
    },
    /// The ring could not be built or attached to.
    #[error(transparent)]
    MultiProcess(#[from] MultiProcessError),
}

/// Use this for a ring of small events of a fixed size to two to eight workers that only listen. Use
/// [`Topology`](crate::topology::Topology) for workers that answer, die, are restarted and leave.
///
/// A ring with one scheduler and a fixed number of workers with fixed names: the worker at index `i` is the consumer
/// `{segment}_wk_{i}`, and comes back under that id if it dies.
///
/// ```
/// use myelon::inference::{FixedTopology, InferenceTopologyResult, WorkerCount};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let segment = myelon::portable_shm_segment_name("doc");
/// let topology = FixedTopology::new(&segment, 1024, WorkerCount::Two);
/// let scheduler = std::thread::spawn({
///     let topology = topology.clone();
///     move || topology.build_scheduler::<u64>(|| 0) // returns once both workers have joined
/// });
/// // Usually in two other processes, which may start before the scheduler:
/// let patience = std::time::Duration::from_secs(20);
/// let attach = |index| {
///     let builder = topology.worker_builder::<u64>(index)?.attach_when_ready(patience);
///     builder.build_consumer().map_err(From::from)
/// };
/// let mut workers = [attach(0), attach(1)].into_iter().collect::<InferenceTopologyResult<Vec<_>>>()?;
/// let mut producer = scheduler.join().expect("the scheduler has not panicked")?;
/// producer.publish(|step| *step = 7)?;
/// for worker in &mut workers {
///     assert_eq!(*worker.consume_next_leased()?, 7);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(try_from = "UncheckedTopology"))]
pub struct FixedTopology {
    segment_name: String,
    buffer_size: usize,
    worker_count: WorkerCount,
    coordination_timeout: Duration,
}

/// The same fields before they are checked, so that a configuration file cannot contain what the constructor refuses.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
struct UncheckedTopology {
    segment_name: String,
    buffer_size: usize,
    worker_count: WorkerCount,
    coordination_timeout: Duration,
}

#[cfg(feature = "serde")]
impl TryFrom<UncheckedTopology> for FixedTopology {
    type Error = InferenceTopologyError;

    fn try_from(unchecked: UncheckedTopology) -> InferenceTopologyResult<Self> {
        let UncheckedTopology { segment_name, buffer_size, worker_count, coordination_timeout } = unchecked;
        Ok(Self::try_new(segment_name, buffer_size, worker_count)?.with_coordination_timeout(coordination_timeout))
    }
}

/// The text between the ring's name and the index in a worker's id.
const WORKER_INFIX: &str = "_wk_";

/// The longest name of a ring whose workers' ids are not too long: they end in one digit.
const SEGMENT_NAME_BYTES_MAX: usize = disruptor_mp::CONSUMER_ID_MAX_LEN - WORKER_INFIX.len() - 1;

impl FixedTopology {
    /// The ring `segment_name` of `buffer_size` slots, a power of two. Nothing is created.
    ///
    /// # Panics
    /// If no ring or no worker can have that name: see [`try_new`](Self::try_new), which returns an error instead.
    pub fn new(segment_name: impl Into<String>, buffer_size: usize, worker_count: WorkerCount) -> Self {
        Self::try_new(segment_name, buffer_size, worker_count).unwrap_or_else(|error| panic!("{error}"))
    }

    /// [`new`](Self::new) for a name that the program did not choose.
    ///
    /// # Errors
    /// `InvalidSegmentName`: choose another name.
    pub fn try_new(
        segment_name: impl Into<String>,
        buffer_size: usize,
        worker_count: WorkerCount,
    ) -> InferenceTopologyResult<Self> {
        let segment_name = segment_name.into();
        if segment_name.len() > SEGMENT_NAME_BYTES_MAX || SegmentName::new(segment_name.as_str()).is_err() {
            return Err(InferenceTopologyError::InvalidSegmentName { segment_name });
        }
        let coordination_timeout = disruptor_mp::default_coordination_timeout_duration();
        Ok(Self { segment_name, buffer_size, worker_count, coordination_timeout })
    }

    /// Sets how long the scheduler waits for its workers; 15 s unless set. Zero looks once.
    #[must_use]
    pub fn with_coordination_timeout(self, coordination_timeout: Duration) -> Self {
        Self { coordination_timeout, ..self }
    }

    /// The ring's name.
    pub fn segment_name(&self) -> &str {
        &self.segment_name
    }

    /// The ring's slots.
    pub fn buffer_size(&self) -> usize {
        self.buffer_size
    }

    /// How many workers there are.
    pub fn worker_count(&self) -> WorkerCount {
        self.worker_count
    }

    /// How long the scheduler waits for its workers.
    pub fn coordination_timeout(&self) -> Duration {
        self.coordination_timeout
    }

    /// The indices of the workers.
    pub fn worker_indices(&self) -> Range<usize> {
        0..self.worker_count.as_usize()
    }

    /// The consumer id of worker `index`: `{segment}_wk_{index}`.
    ///
    /// # Errors
    /// `InvalidWorkerIndex` if there is no such worker.
    pub fn worker_consumer_id(&self, index: usize) -> InferenceTopologyResult<String> {
        let worker_count = self.worker_count.as_usize();
        match index < worker_count {
            true => Ok(format!("{}{index}", self.worker_id_prefix())),
            false => Err(InferenceTopologyError::InvalidWorkerIndex { index, worker_count }),
        }
    }

    fn worker_id_prefix(&self) -> String {
        format!("{}{WORKER_INFIX}", self.segment_name)
    }

    /// The builder of the scheduler's end: it waits for all workers, and keeps an entry for each of them. There are
    /// four more entries for other consumers.
    pub fn scheduler_builder<E: Event>(&self) -> SharedDisruptorBuilder<E> {
        let workers = self.worker_count.as_usize();
        SharedDisruptorBuilder::new(self.segment_name.as_str(), self.buffer_size)
            .discover_consumer_with_prefix(workers, self.worker_id_prefix())
            .wait_for_consumers(workers, self.coordination_timeout)
    }

    /// Builds the scheduler's end, and returns once all workers have joined. `factory` makes the first content of a
    /// slot.
    ///
    /// # Errors
    /// `MultiProcess`: `CoordinationTimeout` says how many workers joined, `InUse` that another scheduler runs.
    pub fn build_scheduler<E: Event>(
        &self,
        factory: impl FnMut() -> E + Send + 'static,
    ) -> InferenceTopologyResult<SharedProducer<E>> {
        Ok(self.scheduler_builder().build_producer(factory)?)
    }

    /// The builder of the end of worker `index`.
    ///
    /// # Errors
    /// `InvalidWorkerIndex` if there is no such worker.
    pub fn worker_builder<E: Event>(&self, index: usize) -> InferenceTopologyResult<SharedDisruptorBuilder<E>> {
        let id = self.worker_consumer_id(index)?;
        let builder = SharedDisruptorBuilder::new(self.segment_name.as_str(), self.buffer_size);
        Ok(builder.with_consumer_id(id).with_rank(index as u32))
    }

    /// Attaches worker `index`.
    ///
    /// # Errors
    /// `InvalidWorkerIndex`; `MultiProcess` with `NotFound` while there is no scheduler (to wait for it, build with
    /// [`attach_when_ready`](SharedDisruptorBuilder::attach_when_ready)), or with `Join` if that worker lives already.
    pub fn attach_worker<E: Event>(&self, index: usize) -> InferenceTopologyResult<SharedConsumer<E>> {
        Ok(self.worker_builder(index)?.build_consumer()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use disruptor_mp::JoinError;

    #[test]
    fn a_name_with_which_no_worker_could_join_is_refused_at_once() {
        let longest = "x".repeat(SEGMENT_NAME_BYTES_MAX);
        let topology = FixedTopology::new(&longest, 8, WorkerCount::Eight);
        let shm = ShmGuard::new();
        let place = shm.name("id");
        let _ring = SharedDisruptorBuilder::<u64>::new(place.as_str(), 8).build_producer(|| 0).unwrap();
        let id = topology.worker_consumer_id(7).unwrap();
        SharedDisruptorBuilder::<u64>::new(place.as_str(), 8).with_consumer_id(id).build_consumer().unwrap();
        for bad in [format!("{longest}x"), String::new(), "a/b".to_owned(), "a\u{202e}b".to_owned()] {
            let error = FixedTopology::try_new(&bad, 8, WorkerCount::Eight).unwrap_err();
            assert!(error.to_string().starts_with(&format!("`{}` cannot name", bad.escape_debug())), "{error}");
            assert!(std::panic::catch_unwind(|| FixedTopology::new(&bad, 8, WorkerCount::Eight)).is_err());
        }
    }
    use testkit::names::ShmGuard;
    use testkit::watchdog::{PATIENCE, eventually};

    #[test]
    fn a_worker_that_does_not_exist_is_named() {
        let topology = FixedTopology::new("seg", 8, WorkerCount::Three);
        assert_eq!(topology.worker_indices(), 0..3);
        assert_eq!(topology.worker_consumer_id(2).unwrap(), "seg_wk_2");
        let error = topology.attach_worker::<u64>(3).map(drop).unwrap_err();
        assert!(matches!(error, InferenceTopologyError::InvalidWorkerIndex { index: 3, worker_count: 3 }));
        assert_eq!(topology.coordination_timeout(), Duration::from_secs(15));
    }

    #[test]
    fn the_first_event_reaches_every_worker() {
        let shm = ShmGuard::new();
        let topology = FixedTopology::new(shm.name("f"), 8, WorkerCount::Four).with_coordination_timeout(PATIENCE);
        std::thread::scope(|scope| {
            for index in topology.worker_indices() {
                let topology = &topology;
                scope.spawn(move || {
                    let mut worker = None;
                    eventually("the ring", PATIENCE, || {
                        worker = topology.attach_worker::<u64>(index).ok();
                        worker.is_some()
                    })
                    .unwrap();
                    assert_eq!(*worker.unwrap().consume_next_leased().unwrap(), 42);
                });
            }
            let mut scheduler = topology.build_scheduler::<u64>(|| 0).unwrap();
            scheduler.publish(|slot| *slot = 42).unwrap();
        });
        shm.assert_nothing_left();
    }

    #[test]
    fn monitors_that_join_first_leave_the_workers_places_to_the_workers() {
        let shm = ShmGuard::new();
        let topology = FixedTopology::new(shm.name("o"), 8, WorkerCount::Two).with_coordination_timeout(PATIENCE);
        let monitor = || SharedDisruptorBuilder::<u64>::new(topology.segment_name(), 8).build_consumer();
        std::thread::scope(|scope| {
            let scheduler = scope.spawn(|| topology.build_scheduler::<u64>(|| 0).unwrap());
            let mut monitors = Vec::new();
            eventually("an entry for four monitors", PATIENCE, || {
                monitors.extend(monitor());
                monitors.len() == 4
            })
            .unwrap();
            let refused = monitor().map(drop).unwrap_err();
            let MultiProcessError::Join { source: JoinError::NoPlaceForOthers { prefix, places: 4, .. }, .. } = refused
            else {
                panic!("{refused:?}")
            };
            assert_eq!(prefix, format!("{}_wk_", topology.segment_name()));
            let _workers = topology
                .worker_indices()
                .map(|index| topology.attach_worker::<u64>(index).unwrap())
                .collect::<Vec<_>>();
            drop(scheduler.join().unwrap());
        });
        shm.assert_nothing_left();
    }

    #[test]
    fn a_missing_worker_is_an_error_and_nothing_is_left() {
        let shm = ShmGuard::new();
        let topology =
            FixedTopology::new(shm.name("m"), 8, WorkerCount::Two).with_coordination_timeout(Duration::from_millis(20));
        let error = topology.build_scheduler::<u64>(|| 0).map(drop).unwrap_err();
        let InferenceTopologyError::MultiProcess(error) = error else { panic!("{error}") };
        assert!(matches!(error, MultiProcessError::CoordinationTimeout { joined: 0, wanted: 2, .. }), "{error}");
        shm.assert_nothing_left();
    }
}
