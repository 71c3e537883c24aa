//! A view of a ring's consumers: which have joined, and how far all of them have got.

use super::watch::{self, SharedCursorTrait, WatchError};
use crate::Sequence;
use crate::error::MultiProcessResult;
use crate::liveness::ProcessIdentity;
use crate::ring::ends::patience::Patience;
use crate::ring::roster::ConsumerInfo;
use crate::ring::words::Words;
use crate::segment::{Place, Title};
use std::fmt;

/// What a ring's producer may not lap: the positions of its consumers, seen from any process, on a read-only mapping.
///
/// As a [cursor](SharedCursorTrait) it is the last sequence that all consumers have released; while no consumer is
/// registered, that is everything published. It is for a stage that comes after all of them: for instance, one that
/// frees what the events point to. The producer itself has
/// [`wait_until_consumed`](crate::ProducerEnd::wait_until_consumed).
///
/// ```
/// use disruptor_mp::{ConsumerBarrier, Patience, SharedCursorTrait};
/// use disruptor_mp::{attach_shared_consumer, build_shared_single_producer};
/// use std::time::{Duration, Instant};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let name = disruptor_mp::portable_shm_segment_name("doc");
/// // Each event is the number of a buffer, which the consumers read.
/// let mut producer = build_shared_single_producer::<u64>(&name, 8).build_producer(|| 0)?;
/// let mut worker = attach_shared_consumer::<u64>(&name, 8).with_consumer_id("worker-0").build_consumer()?;
/// let sequence = producer.publish_with(Patience::Endless, |buffer| *buffer = 3)?;
///
/// // The process that owns the buffers, usually another one:
/// let barrier = ConsumerBarrier::attach(&name)?;
/// assert_eq!(barrier.consumer_sequence("worker-0"), Some(-1)); // it has released nothing yet
/// # drop(worker.next(Patience::Endless)?);
/// barrier.wait_for(sequence, Instant::now() + Duration::from_secs(5))?;
/// println!("buffer 3 is free");
/// # Ok(())
/// # }
/// ```
pub struct ConsumerBarrier {
    words: Words,
}

/// `ConsumerBarrier` of a ring in a file; the place is an argument, not another type.
pub type MmapConsumerBarrier = ConsumerBarrier;

impl ConsumerBarrier {
    /// Looks at the consumers of the ring at `place`, read-only.
    ///
    /// # Errors
    /// See [`MultiProcessError`](crate::MultiProcessError).
    pub fn attach(place: impl Into<Place>) -> MultiProcessResult<Self> {
        Ok(Self::of(Words::open_ring(&place.into())?))
    }

    pub(super) fn of(words: Words) -> Self {
        Self { words }
    }

    /// The ring's title: its session, and the rank of the process that writes it.
    pub fn title(&self) -> Title {
        self.words.segment().header().title.clone()
    }

    /// The process that produces, or produced last: the creator, or one that took over.
    pub fn producer(&self) -> ProcessIdentity {
        self.words.control().expect("a ring has a producer's lines").producer.identity.load()
    }

    /// All consumers in the table, alive or dead.
    pub fn consumers(&self) -> Vec<ConsumerInfo> {
        self.words.roster()
    }

    /// How many consumers gate, alive or dead.
    pub fn consumer_count(&self) -> usize {
        self.consumers().len()
    }

    /// The last sequence that the consumer `id` has released; -1 if none. `None`: there is no such consumer.
    pub fn consumer_sequence(&self, id: &str) -> Option<Sequence> {
        self.consumers().into_iter().find(|info| info.id == id).map(|info| info.position.saturating_sub(1))
    }

    /// The last sequence that all consumers have released; -1 if none. `None`: no consumer is registered.
    pub fn min_consumer_sequence(&self) -> Option<Sequence> {
        self.words.slowest_number().map(|number| number.max(0) - 1)
    }

    /// Waits until at least `count` consumers are registered, as long as `patience` says. Looks once a millisecond.
    ///
    /// # Errors
    /// See [`WatchError`]; `reached` is the number of consumers.
    pub fn wait_for_consumers(&self, count: usize, patience: impl Into<Patience>) -> Result<(), WatchError> {
        let wanted = Sequence::try_from(count).unwrap_or(Sequence::MAX);
        watch::wait_for(&self.words, wanted, patience, || self.consumer_count() as Sequence).map(|_| ())
    }
}

impl SharedCursorTrait for ConsumerBarrier {
    fn load(&self) -> Sequence {
        self.min_consumer_sequence().unwrap_or_else(|| self.words.published().max(0) - 1)
    }

    fn wait_for(&self, sequence: Sequence, patience: impl Into<Patience>) -> Result<Sequence, WatchError> {
        watch::wait_for(&self.words, sequence, patience, || self.load())
    }
}

impl fmt::Debug for ConsumerBarrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsumerBarrier")
            .field("place", &self.words.segment().called())
            .field("sequence", &self.load())
            .finish_non_exhaustive()
    }
}
