//! A view of a whole ring: what it consists of, which consumers have joined, how far they are.

use super::barrier::ConsumerBarrier;
use super::cursor::SharedCursor;
use crate::Sequence;
use crate::builder::SharedDisruptorBuilder;
use crate::counters::CountersFile;
use crate::error::{MultiProcessError, MultiProcessResult};
use crate::liveness::ProcessIdentity;
use crate::ring::construct;
use crate::ring::memory::layout::Slots;
use crate::ring::memory::mapped::Mapped;
use crate::ring::protocol::form::{SlotForm, Stamped};
use crate::ring::protocol::memory::Memory;
use crate::ring::roster::{self, ConsumerInfo};
use crate::ring::words::Words;
use crate::schema::{Event, Schema};
use crate::segment::{Place, SegmentPlan, Title};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// A ring in shared memory, as configurations name it. For one in a file there is [`MmapFileConfig`].
///
/// ```
/// use disruptor_mp::{SharedMemoryConfig, SharedRingBuffer};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let name = disruptor_mp::portable_shm_segment_name("doc");
/// let ring = SharedMemoryConfig::for_event::<u64>(&name, 1024);
/// let producer = SharedMemoryConfig { create: true, ..ring.clone() }.builder::<u64>()?.build_producer(|| 0)?;
/// // In other processes: an end, or a view.
/// let consumer = ring.clone().builder::<u64>()?.with_consumer_id("worker-0").build_consumer()?;
/// assert_eq!(SharedRingBuffer::<u64>::attach(ring)?.consumers().len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SharedMemoryConfig {
    /// The name of the ring in shared memory.
    pub name: String,
    /// Number of slots, a power of two. To look at a ring of any size, 0.
    pub buffer_size: usize,
    /// Size of an event in bytes: that of the event type that it is used with.
    pub element_size: usize,
    /// Whether this is the configuration of the producer, which creates the ring.
    pub create: bool,
}

/// A ring in a file, as configurations name it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MmapFileConfig {
    /// The path of the file.
    pub path: PathBuf,
    /// Number of slots, a power of two. To look at a ring of any size, 0.
    pub buffer_size: usize,
    /// Size of an event in bytes: that of the event type that it is used with.
    pub element_size: usize,
    /// Whether this is the configuration of the producer, which creates the ring.
    pub create: bool,
}

/// The common form of both configurations of rings.
#[derive(Clone, Debug)]
pub struct RingConfig {
    place: Place,
    buffer_size: usize,
    element_size: usize,
    create: bool,
}

impl From<SharedMemoryConfig> for RingConfig {
    fn from(config: SharedMemoryConfig) -> Self {
        let SharedMemoryConfig { name, buffer_size, element_size, create } = config;
        Self { place: name.into(), buffer_size, element_size, create }
    }
}

impl From<MmapFileConfig> for RingConfig {
    fn from(config: MmapFileConfig) -> Self {
        let MmapFileConfig { path, buffer_size, element_size, create } = config;
        Self { place: path.into(), buffer_size, element_size, create }
    }
}

impl SharedMemoryConfig {
    /// The configuration of a ring of `buffer_size` events of type `E` that exists. Set `create` for its producer.
    pub fn for_event<E: Event>(name: impl Into<String>, buffer_size: usize) -> Self {
        Self { name: name.into(), buffer_size, element_size: size_of::<E>(), create: false }
    }

    /// Begins an endpoint of the ring.
    ///
    /// # Errors
    /// As [`RingConfig::builder`].
    pub fn builder<E: Event>(self) -> MultiProcessResult<SharedDisruptorBuilder<E>> {
        RingConfig::from(self).builder()
    }
}

impl MmapFileConfig {
    /// The configuration of an existing ring of `buffer_size` events of type `E`. Set `create` for its producer. A
    /// relative path is resolved against the current working directory now.
    pub fn for_event<E: Event>(path: impl Into<PathBuf>, buffer_size: usize) -> Self {
        let path = path.into();
        Self {
            path: std::path::absolute(&path).unwrap_or(path),
            buffer_size,
            element_size: size_of::<E>(),
            create: false,
        }
    }

    /// Begins an endpoint of the ring.
    ///
    /// # Errors
    /// As [`RingConfig::builder`].
    pub fn builder<E: Event>(self) -> MultiProcessResult<SharedDisruptorBuilder<E>> {
        RingConfig::from(self).builder()
    }
}

impl RingConfig {
    /// Begins an endpoint of the ring, of either kind: a producer creates, a consumer attaches.
    ///
    /// # Errors
    /// `IncompatibleLayout` if `element_size` is not that of `E`.
    pub fn builder<E: Event>(self) -> MultiProcessResult<SharedDisruptorBuilder<E>> {
        self.check_element::<E>()?;
        Ok(SharedDisruptorBuilder::new(self.place, self.buffer_size))
    }

    fn check_element<E: Event>(&self) -> MultiProcessResult<()> {
        if self.element_size == size_of::<E>() {
            return Ok(());
        }
        Err(MultiProcessError::IncompatibleLayout {
            place: self.place.to_string(),
            field: "element size",
            found: size_of::<E>() as u64,
            wanted: self.element_size as u64,
        })
    }
}

/// A ring of events of type `E`, seen from outside: its shape, its consumers, and their positions. It holds no producer
/// back, and reads no event; use a [tap](crate::Tap) for that. Changing numbers are stale at once.
///
/// ```
/// use disruptor_mp::SharedRingBuffer;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let name = disruptor_mp::portable_shm_segment_name("doc");
/// # let mut producer = disruptor_mp::SharedProducer::create(&name, 1024, || 0_u64)?;
/// # let _worker = disruptor_mp::SharedConsumer::<u64>::attach(&name, 1024, "worker-0")?;
/// # producer.publish(|slot| *slot = 7)?;
/// // In any process that may read the ring; it needs no permission to write.
/// let ring = SharedRingBuffer::<u64>::open(&name, 0)?; // 0: whatever size it has
/// println!("{} of {} slots are free", ring.free_slots(), ring.capacity()); // 1023 of 1024 slots are free
/// for consumer in ring.consumers() {
///     let lag_events = ring.producer_sequence() + 1 - consumer.position;
///     println!("{} lags by {lag_events} events, alive: {}", consumer.id, consumer.alive);
/// }
/// if !ring.producer_is_alive()? && !ring.is_closed() {
///     println!("the producer died; the next one takes the ring over");
/// }
/// # assert_eq!((ring.free_slots(), ring.consumers()[0].position), (1023, 0));
/// # Ok(())
/// # }
/// ```
pub struct SharedRingBuffer<E: Event, F: SlotForm = Stamped> {
    memory: Mapped<Slots<E, F>>,
    words: Words,
}

/// `SharedRingBuffer` in shared memory; the place is an argument, not another type.
pub type ShmRingBuffer<E> = SharedRingBuffer<E>;

/// `SharedRingBuffer` in a file; the place is an argument, not another type.
pub type MmapRingBuffer<E> = SharedRingBuffer<E>;

impl<E: Event, F: SlotForm> SharedRingBuffer<E, F> {
    /// Opens the ring that the configuration names, read-only.
    ///
    /// # Errors
    /// `IncompatibleLayout` if `element_size` is not that of `E`, `OnlyProducersCreate` if it says `create`; otherwise
    /// as [`open`](Self::open).
    pub fn attach(config: impl Into<RingConfig>) -> MultiProcessResult<Self> {
        let config = config.into();
        config.check_element::<E>()?;
        if config.create {
            return Err(MultiProcessError::OnlyProducersCreate { place: config.place.to_string() });
        }
        Self::open(config.place, config.buffer_size)
    }

    /// Opens the ring of `size` slots at `place`, read-only; 0 means whatever size it has.
    ///
    /// # Errors
    /// See [`MultiProcessError`]: `NotFound`, `IncompatibleEvent` with the first field that differs,
    /// `IncompatibleLayout`, and so on.
    pub fn open(place: impl Into<Place>, size: usize) -> MultiProcessResult<Self> {
        let memory = construct::observed(&place.into(), size)?;
        let words = Words::new(Arc::clone(memory.segment()))?;
        Ok(Self { memory, words })
    }

    /// Number of slots.
    pub fn capacity(&self) -> usize {
        self.memory.capacity() as usize
    }

    /// Bytes from one slot to the next.
    pub fn slot_stride_bytes(&self) -> usize {
        self.memory.segment().header().slot_stride as usize
    }

    /// Bytes of the whole segment.
    pub fn total_len_bytes(&self) -> u64 {
        self.memory.segment().total_len()
    }

    /// Where in the segment each section is.
    pub fn segment_plan(&self) -> SegmentPlan {
        self.memory.segment().header().plan
    }

    /// The schema of an event. It is the same in the ring and in this program: otherwise the ring could not have been
    /// opened.
    pub fn schema(&self) -> Schema {
        E::schema()
    }

    /// Its title: its session, and the rank of the process that writes it.
    pub fn title(&self) -> Title {
        self.memory.segment().header().title.clone()
    }

    /// A random number that no other segment has: two handles with the same number look at one ring, not at two rings
    /// of one name.
    pub fn generation(&self) -> u64 {
        self.memory.segment().generation()
    }

    /// A hash of what the events carry: FNV-1a over the content tag, so for a described message its
    /// [fingerprint](crate::schema::MessageSchema::fingerprint). 0 if the ring does not say.
    pub fn fingerprint(&self) -> u64 {
        self.memory.segment().header().fingerprint
    }

    /// The process that created the ring.
    pub fn creator(&self) -> ProcessIdentity {
        self.memory.segment().header().creator
    }

    /// The process that produces, or produced last: the creator, or one that took over.
    pub fn producer(&self) -> ProcessIdentity {
        self.memory.control().producer.identity.load()
    }

    /// Whether the producer lives. If this is `false`, it stays so until another takes the ring over.
    ///
    /// # Errors
    /// The operating system refused to tell.
    pub fn producer_is_alive(&self) -> std::io::Result<bool> {
        self.words.owner_is_alive()
    }

    /// Whether the producer has closed the ring. If this is `true`, it stays so.
    pub fn is_closed(&self) -> bool {
        self.memory.control().gate.is_closed()
    }

    /// The sequence of the last published event; -1 if there is none.
    pub fn producer_sequence(&self) -> Sequence {
        self.words.published() - 1
    }

    /// All consumers in the table, alive or dead.
    pub fn consumers(&self) -> Vec<ConsumerInfo> {
        roster::roster(&self.memory)
    }

    /// Slots that the producer may write before it has to wait for a consumer: all of them while there is no consumer.
    pub fn free_slots(&self) -> usize {
        // The slowest is read first: events that are published afterwards make the answer smaller, never larger than
        // the ring.
        let slowest = self.words.slowest();
        let published = self.memory.control().cursor.acquire();
        let unread = slowest.map_or(0, |slowest| published.saturating_sub(slowest));
        self.memory.capacity().saturating_sub(unread).clamp(0, self.memory.capacity()) as usize
    }

    /// The ring's published position.
    pub fn cursor(&self) -> SharedCursor {
        SharedCursor::of(self.words.clone())
    }

    /// The ring's consumers.
    pub fn consumer_barrier(&self) -> ConsumerBarrier {
        ConsumerBarrier::of(self.words.clone())
    }

    /// The counters in the ring's segment, for reading.
    pub fn ring_counters(&self) -> CountersFile {
        CountersFile::of_ring(self.memory.segment())
    }
}

impl<E: Event, F: SlotForm> fmt::Debug for SharedRingBuffer<E, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedRingBuffer")
            .field("place", &self.memory.segment().called())
            .field("capacity", &self.capacity())
            .field("producer_sequence", &self.producer_sequence())
            .finish_non_exhaustive()
    }
}
