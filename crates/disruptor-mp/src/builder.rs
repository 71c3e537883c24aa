//! How an endpoint is asked for: who waits for whom at the start, under which id, how it waits, and in what kind of
//! segment.
//!
//! **Lives here:** [`SharedDisruptorBuilder`], [`CoordinationMode`], [`DiscoveryMode`]. **Builds on:** `construct`,
//! which does it. **May touch it:** programs, once per endpoint.

use crate::error::{CoreSetting, MultiProcessError, MultiProcessResult};
use crate::ring::construct::{self, Existing};
use crate::ring::ends::auto::{AutoConsumer, NotStarted};
use crate::ring::ends::consumer::SharedConsumer;
use crate::ring::ends::consumer_end::ConsumerBase;
use crate::ring::ends::consumer_face::ConsumerEnd;
use crate::ring::ends::linger::LINGER_DEFAULT;
use crate::ring::ends::patience::Patience;
use crate::ring::ends::producer::SharedProducer;
use crate::ring::ends::producer_end::ProducerBase;
use crate::ring::ends::tap::Tap;
use crate::ring::ends::via::WriteVia;
use crate::ring::identity::ConsumerId;
use crate::ring::memory::layout::{self, Carries, DEFAULT_MAX_CONSUMERS, Slots};
use crate::ring::memory::mapped::Mapped;
use crate::ring::protocol::form::{Dense, Form, SlotForm, Stamped};
use crate::ring::protocol::join::StartAt;
use crate::ring::selection::Selection;
use crate::schema::Event;
use crate::segment::{CreateOptions, Place};
use crate::sync::affinity::pin_to;
use crate::sync::wait::{AutoWaitStrategy, WaitStrategy, deadline_in};
use crate::{Sequence, environment};
use std::marker::PhantomData;
use std::time::Duration;

/// What a new producer does about consumers that are not there yet.
///
/// In every mode, every registered consumer gates from the moment its join is complete.
///
/// ```
/// use disruptor_mp::{CoordinationMode, SharedDisruptorBuilder};
/// use std::time::Duration;
///
/// # let name = disruptor_mp::portable_shm_segment_name("doc");
/// let both = CoordinationMode::WaitForConsumers { min_consumers: 2, timeout: Duration::from_millis(1) };
/// // Fails if they have not joined in time, and leaves nothing behind: start them, and build again.
/// let producer = SharedDisruptorBuilder::<u64>::new(&name, 1024).with_coordination(both).build_producer(|| 0);
/// assert!(producer.is_err_and(|error| error.is_timed_out()));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum CoordinationMode {
    /// Publishes at once. While no consumer is registered the ring overwrites its oldest events and counts them
    /// ([`OVERWRITTEN_UNREAD`](crate::counters::ids::OVERWRITTEN_UNREAD)); what is still there is for the first
    /// reader, see [`StartAt::Unread`].
    #[default]
    Immediate,
    /// `build_producer` returns once so many consumers have joined, or fails with `CoordinationTimeout`.
    WaitForConsumers {
        /// How many, of those that the discovery mode selects: at least 1, at most its places.
        min_consumers: usize,
        /// How long to wait. Zero looks once, [`Duration::MAX`] waits without end.
        timeout: Duration,
    },
    /// Publishes at once, and holds the first `max_buffer` events until the expected consumers have joined; one
    /// that joins before that starts with event 0. A full buffer is a full ring: publishing waits.
    BufferUntilConsumers {
        /// How many events to hold, at most the ring's slots. Of a ring of records, how many bytes: those of its
        /// records, each with its header of 16 and rounded up to 64.
        max_buffer: usize,
    },
}

/// Which consumers start-up coordination, `get_consumer_count` and the required set look at. It changes nothing about
/// which of them gate: all do.
///
/// ```
/// use disruptor_mp::{SharedConsumer, SharedDisruptorBuilder};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let name = disruptor_mp::portable_shm_segment_name("doc");
/// // Two places for ids that begin with "worker"; only those are counted.
/// let ring = SharedDisruptorBuilder::<u64>::new(&name, 8).discover_consumer_with_prefix(2, "worker");
/// let producer = ring.build_producer(|| 0)?;
/// let worker = SharedConsumer::<u64>::attach(&name, 8, "worker-0")?;
/// let logger = SharedConsumer::<u64>::attach(&name, 8, "logger")?;
/// assert_eq!((producer.get_consumer_count(), producer.consumers().len()), (1, 2));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum DiscoveryMode {
    /// No consumer is waited for; all are counted.
    Disabled,
    /// Consumers whose id begins with the prefix.
    Enabled {
        /// Places in the ring's table for those consumers; one more of them gets `TableFull`. Beside them the table
        /// has four places for consumers whose id begins otherwise; one more of those gets `NoPlaceForOthers`. Without
        /// a prefix all places are for any id: the fifth beyond this number gets `TableFull`.
        max_consumers: usize,
        /// Only ids that begin so; `None`: all. An empty prefix is refused.
        consumer_prefix: Option<String>,
        /// How often start-up looks; zero looks without a pause, and no pause is longer than a second or than what is
        /// left of the timeout. Nothing is scanned once it is over.
        scan_interval: Duration,
    },
}

/// How often start-up coordination looks at the table.
pub const fn default_scan_interval_duration() -> Duration {
    Duration::from_millis(1)
}

/// How long start-up coordination waits unless told otherwise.
pub const fn default_coordination_timeout_duration() -> Duration {
    Duration::from_secs(15)
}

impl Default for DiscoveryMode {
    fn default() -> Self {
        Self::Enabled {
            max_consumers: DEFAULT_MAX_CONSUMERS,
            consumer_prefix: None,
            scan_interval: default_scan_interval_duration(),
        }
    }
}

/// Builds the endpoints of one ring: a producer, consumers, taps. `E` is what its events are, `()` for a ring of
/// records; `F` is its form, which says what can be built.
///
/// Made by [`build_shared_single_producer`](crate::build_shared_single_producer) and
/// [`attach_shared_consumer`](crate::attach_shared_consumer), or [`records`](Self::records) for a ring of records.
///
/// ```
/// use disruptor_mp::{CoordinationMode, CreateOptions, Patience, SharedDisruptorBuilder, WaitStrategy};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let name = disruptor_mp::portable_shm_segment_name("doc");
/// // The producer starts at once. Until two workers have joined, it holds up to 512 events for them.
/// let mut producer = SharedDisruptorBuilder::<u64>::new(&name, 1024)
///     .with_coordination(CoordinationMode::BufferUntilConsumers { max_buffer: 512 })
///     .with_expected_consumers(2)
///     .with_wait_strategy(WaitStrategy::Block)
///     .with_create_options(CreateOptions::default().prefault(true))
///     .build_producer(|| 0)?;
/// producer.publish_with(Patience::Endless, |slot| *slot = 7)?;
///
/// // Each worker, usually in a process of its own, begins with event 0. It says nothing of the size: 0 takes any.
/// let worker = |rank: u32| {
///     SharedDisruptorBuilder::<u64>::new(&name, 0)
///         .with_consumer_id(format!("worker-{rank}"))
///         .with_rank(rank) // stands in every report
///         .build_consumer()
/// };
/// for mut worker in [worker(0)?, worker(1)?] {
///     assert_eq!(worker.next(Patience::Endless)?.map(|event| event.sequence()), Some(0));
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SharedDisruptorBuilder<E, F: Form = Stamped> {
    pub(crate) place: Place,
    /// Slots, or lines; 0 takes what is there.
    pub(crate) capacity: usize,
    /// Of a ring of records: the bytes that were asked for, if any were.
    pub(crate) record_bytes: Option<usize>,
    coordination: CoordinationMode,
    discovery: DiscoveryMode,
    expected_consumers: usize,
    consumer_id: Option<String>,
    rank: Option<u32>,
    content_tag: Option<String>,
    older_content_tags: Vec<String>,
    start: StartAt,
    wait: WaitStrategy,
    linger: Duration,
    pub(crate) via: WriteVia,
    options: CreateOptions,
    existing: Existing,
    process_core: Option<CoreSetting>,
    consumer_core: Option<CoreSetting>,
    keeps_place: bool,
    after: Option<u64>,
    ready: Option<Patience>,
    is_refused_silently: bool,
    carries: PhantomData<fn() -> (E, F)>,
}

impl<E: Event> SharedDisruptorBuilder<E> {
    /// An endpoint of the ring at `place` with `size` slots, a power of two. A consumer that gives 0 takes what it
    /// finds.
    pub fn new(place: impl Into<Place>, size: usize) -> Self {
        Self::of(place, size)
    }

    /// The same endpoint of a ring in [`Dense`] slots: events without stamps, for the highest rate. The ring says its
    /// form, so each of its ends is built with this.
    ///
    /// ```
    /// use disruptor_mp::{Patience, attach_shared_consumer, build_shared_single_producer};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let name = disruptor_mp::portable_shm_segment_name("doc");
    /// let mut producer = build_shared_single_producer::<u64>(&name, 1024).dense().build_producer(|| 0)?;
    /// // Usually in another process:
    /// let mut consumer = attach_shared_consumer::<u64>(&name, 1024).dense().build_consumer()?;
    ///
    /// producer.publish_batch(100, |event, index| *event = index as u64)?; // visible at once
    ///
    /// let batch = consumer.next_batch(usize::MAX, Patience::Endless)?.expect("`Endless` ends with a batch or an error");
    /// let (events, after_the_end_of_the_ring) = batch.as_slices();
    /// assert_eq!(events.iter().sum::<u64>(), 4950);
    /// assert!(after_the_end_of_the_ring.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn dense(self) -> SharedDisruptorBuilder<E, Dense> {
        let Self {
            place,
            capacity,
            record_bytes,
            coordination,
            discovery,
            expected_consumers,
            consumer_id,
            rank,
            content_tag,
            start,
            wait,
            linger,
            via,
            options,
            existing,
            process_core,
            consumer_core,
            keeps_place,
            after,
            ready,
            older_content_tags,
            is_refused_silently,
            carries: _,
        } = self;
        SharedDisruptorBuilder {
            place,
            capacity,
            record_bytes,
            coordination,
            discovery,
            expected_consumers,
            consumer_id,
            rank,
            content_tag,
            start,
            wait,
            linger,
            via,
            options,
            existing,
            process_core,
            consumer_core,
            keeps_place,
            after,
            ready,
            older_content_tags,
            is_refused_silently,
            carries: PhantomData,
        }
    }
}

impl<E, F: Form> SharedDisruptorBuilder<E, F> {
    /// An endpoint of the ring at `place` with `capacity` slots, or lines.
    pub(crate) fn of(place: impl Into<Place>, capacity: usize) -> Self {
        Self {
            place: place.into(),
            capacity,
            record_bytes: None,
            coordination: CoordinationMode::default(),
            discovery: DiscoveryMode::default(),
            expected_consumers: 1,
            consumer_id: None,
            rank: None,
            content_tag: None,
            older_content_tags: Vec::new(),
            start: StartAt::default(),
            wait: WaitStrategy::default(),
            linger: LINGER_DEFAULT,
            via: WriteVia::default(),
            options: CreateOptions::default(),
            existing: Existing::default(),
            process_core: None,
            consumer_core: None,
            keeps_place: false,
            after: None,
            ready: None,
            is_refused_silently: false,
            carries: PhantomData,
        }
    }

    /// Sets what a new producer does about consumers that are not there yet.
    #[must_use]
    pub fn with_coordination(self, coordination: CoordinationMode) -> Self {
        Self { coordination, ..self }
    }

    /// Sets how long `WaitForConsumers` waits; makes it that mode, for one consumer, if it is another. Zero looks
    /// once: it never means "without limit".
    #[must_use]
    pub fn with_coordination_timeout(self, timeout: Duration) -> Self {
        let min_consumers = match self.coordination {
            CoordinationMode::WaitForConsumers { min_consumers, .. } => min_consumers,
            _ => 1,
        };
        self.wait_for_consumers(min_consumers, timeout)
    }

    /// `build_producer` waits for so many consumers, at least one; with [`disable_discovery`](Self::disable_discovery)
    /// for none.
    #[must_use]
    pub fn wait_for_consumers(self, min_consumers: usize, timeout: Duration) -> Self {
        self.with_coordination(CoordinationMode::WaitForConsumers { min_consumers, timeout })
    }

    /// `build_producer` waits for one consumer.
    #[must_use]
    pub fn wait_for_single_consumer(self, timeout: Duration) -> Self {
        self.wait_for_consumers(1, timeout)
    }

    /// How many consumers `BufferUntilConsumers` holds its events for, at least one; 1 unless set.
    #[must_use]
    pub fn with_expected_consumers(self, expected_consumers: usize) -> Self {
        Self { expected_consumers, ..self }
    }

    /// Sets whom coordination and counting look at.
    #[must_use]
    pub fn with_discovery(self, discovery: DiscoveryMode) -> Self {
        Self { discovery, ..self }
    }

    /// Every consumer counts; the table has places for `max_consumers`, and four beside them.
    #[must_use]
    pub fn enable_discovery(self, max_consumers: usize) -> Self {
        let scan_interval = default_scan_interval_duration();
        self.with_discovery(DiscoveryMode::Enabled { max_consumers, consumer_prefix: None, scan_interval })
    }

    /// No consumer is waited for.
    #[must_use]
    pub fn disable_discovery(self) -> Self {
        self.with_discovery(DiscoveryMode::Disabled)
    }

    /// Consumers whose id begins with `prefix`, which is not empty, count, and `max_consumers` places of the table are
    /// kept for them. Others, monitors for instance, have four places of their own.
    #[must_use]
    pub fn discover_consumer_with_prefix(self, max_consumers: usize, prefix: impl Into<String>) -> Self {
        let scan_interval = default_scan_interval_duration();
        self.with_discovery(DiscoveryMode::Enabled {
            max_consumers,
            consumer_prefix: Some(prefix.into()),
            scan_interval,
        })
    }

    /// The consumer's id. A consumer that dies keeps its place for the consumer that comes back under the same id; one
    /// without an id does not.
    #[must_use]
    pub fn with_consumer_id(self, id: impl Into<String>) -> Self {
        Self { consumer_id: Some(id.into()), ..self }
    }

    /// The consumer keeps its place when it is dropped, until it is told to [`leave`](SharedConsumer::leave) or has
    /// read up to *closed*: see [`keep_place`](crate::ConsumerEnd::keep_place).
    #[must_use]
    pub fn keep_place(self) -> Self {
        Self { keeps_place: true, ..self }
    }

    /// The consumer comes from a ring of that [generation](ConsumerEnd::generation), which was replaced, and has read
    /// it to its end. For the layers above.
    #[doc(hidden)]
    #[must_use]
    pub fn coming_from(self, generation: u64) -> Self {
        Self { after: Some(generation), ..self }
    }

    /// What attaches then, a consumer or a tap, waits until there is a ring with a *living* producer, whichever side
    /// starts first: also where the ring of a system that was killed as a whole is still there, until its next producer
    /// has replaced it or taken it over. It looks every 5 ms, and the patience counts from this call.
    ///
    /// What would be no other at the next look ends the wait at once: a living producer of other events, an id that
    /// lives already, a ring that this process may not open. Unread events that a dead producer has left are not
    /// delivered by it; attach without this for those.
    ///
    /// Of a producer in another pid namespace only its lock is known. In the moment in which the next one decides what
    /// to do with a ring, this may attach to it, and is then told that it was `Replaced`, like one that was there
    /// before.
    ///
    /// ```
    /// use disruptor_mp::{SharedProducer, attach_shared_consumer};
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let name = disruptor_mp::portable_shm_segment_name("doc");
    /// # let place = name.clone();
    /// // Usually another process, which may come later.
    /// let producer = std::thread::spawn(move || SharedProducer::create(place, 8, || 0_u64));
    /// let consumer = attach_shared_consumer::<u64>(&name, 8).attach_when_ready(Duration::from_secs(20)).build_consumer()?;
    /// # drop((producer.join().unwrap()?, consumer));
    ///
    /// let nothing = attach_shared_consumer::<u64>("never-made", 8).attach_when_ready(Duration::from_millis(1)).build_consumer();
    /// // there was nothing to attach to at shm:never-made within 1.1ms: there is no ring at shm:never-made
    /// # assert!(nothing.map(drop).unwrap_err().is_timed_out());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn attach_when_ready(self, patience: impl Into<Patience>) -> Self {
        Self { ready: Some(patience.into()), ..self }
    }

    /// Says nothing to the producer if this consumer is refused: it learns that from elsewhere. For the layers above.
    #[doc(hidden)]
    #[must_use]
    pub fn refused_silently(self, is_refused_silently: bool) -> Self {
        Self { is_refused_silently, ..self }
    }

    /// The application's rank of the consumer, for reports.
    #[must_use]
    pub fn with_rank(self, rank: u32) -> Self {
        Self { rank: Some(rank), ..self }
    }

    /// Where a new consumer starts.
    #[must_use]
    pub fn start_at(self, start: StartAt) -> Self {
        Self { start, ..self }
    }

    /// Says what the events carry, where the event type does not: the type of the messages in a ring of frames, for
    /// instance. 1 to 256 bytes without control characters, the same in both programs.
    ///
    /// The ring keeps it beside its schema. A producer without a tag leaves none; a consumer with one is refused by a
    /// ring that has another or none, and so is a tap; one without a tag does not ask.
    #[must_use]
    pub fn with_content_tag(self, tag: impl Into<String>) -> Self {
        Self { content_tag: Some(tag.into()), ..self }
    }

    /// Other content tags that a consumer or a tap takes besides its [own](Self::with_content_tag), such as those of
    /// older versions of its messages. Which one the ring has is what [`ConsumerEnd::content_tag`] says. A producer
    /// does not ask.
    #[must_use]
    pub fn with_older_content_tags<T: Into<String>>(self, tags: impl IntoIterator<Item = T>) -> Self {
        Self { older_content_tags: tags.into_iter().map(Into::into).collect(), ..self }
    }

    /// How the endpoint waits; `MYELON_WAIT` overrides it.
    #[must_use]
    pub fn with_wait_strategy(self, wait: WaitStrategy) -> Self {
        Self { wait, ..self }
    }

    /// How long a consumer lingers at the most in a saturated stream; 20 us unless set, zero switches it off.
    ///
    /// A consumer that follows its producer closely takes each cache line away while the producer still writes beside
    /// it, and both are slow. So in a stream of 1 GB/s or more a consumer tries to let the producer run ahead: before
    /// it reads on, it waits until about 1 MiB is there, or this time is over, and goes on so if that is faster by a
    /// tenth. A look that waits takes that much longer than its [`Patience`] says. What is no such stream is not
    /// delayed: a trickle, a burst of less than 256 KiB, messages that wait for an answer. Source: RFC 0018.
    #[must_use]
    pub fn linger_at_most(self, time: Duration) -> Self {
        Self { linger: time, ..self }
    }

    /// Where a producer writes payloads first, those of claims, what a codec encodes in records, and events of 2 KiB
    /// and more: in the ring, or in a buffer of its own from which they are copied. `MYELON_WRITE_VIA` overrides it:
    /// `learned`, `ring`, `buffer`.
    ///
    /// Where the readers share no cache with the producer, each store fetches its cache line from them, and the copy of
    /// a long block does not. So a producer finds out which of the two costs less, for payloads of 2 KiB to 1 MiB, and
    /// goes on doing so: it times one in about 100 us, and spends at most 1 % of its time on the other way. A
    /// payload that is given as bytes is copied into the ring anyway. Events of a group are written in the ring. Source:
    /// RFC 0019.
    #[must_use]
    pub fn write_via(self, via: WriteVia) -> Self {
        Self { via, ..self }
    }

    /// Permissions, prefault, locking and the like of a new segment.
    #[must_use]
    pub fn with_create_options(self, options: CreateOptions) -> Self {
        Self { options, ..self }
    }

    /// Pins the thread that builds an endpoint to core `core`; `MYELON_PROCESS_CORE` overrides it.
    #[must_use]
    pub fn with_process_core(self, core: usize) -> Self {
        Self { process_core: Some(CoreSetting { asked_by: "with_process_core", core }), ..self }
    }

    /// Pins the thread of an [`AutoConsumer`] to core `core`; `MYELON_AUTO_CONSUMER_CORE` overrides it.
    #[must_use]
    pub fn with_consumer_core(self, core: usize) -> Self {
        Self { consumer_core: Some(CoreSetting { asked_by: "with_consumer_core", core }), ..self }
    }

    /// `build_producer` creates, and fails with `AlreadyExists` if the name is taken, also if a dead process left it.
    #[must_use]
    pub fn create(self) -> Self {
        self.facing(Existing::Refuse)
    }

    /// `build_producer` takes over the ring of a dead producer, and fails if there is none, or no consumer to take it
    /// over for: a live one, one that has kept its place and has something to read, or in a ring with a
    /// [content tag](Self::with_content_tag) any that has kept its place.
    #[must_use]
    pub fn take_over(self) -> Self {
        self.facing(Existing::TakeOver)
    }

    /// `build_producer` puts a new ring in place of a dead producer's, also if live consumers are there; they get
    /// `Replaced`.
    #[must_use]
    pub fn replace(self) -> Self {
        self.facing(Existing::Replace)
    }

    /// What the three above choose; for the builders of the layers above.
    #[doc(hidden)]
    #[must_use]
    pub fn facing(self, existing: Existing) -> Self {
        Self { existing, ..self }
    }

    /// The producer without what it writes.
    pub(crate) fn producer_end<S: Carries<Form = F>>(self) -> MultiProcessResult<ProducerBase<S>> {
        self.pin("MYELON_PRODUCER_CORE")?;
        self.check_start_up()?;
        let (places, prefix) = match &self.discovery {
            DiscoveryMode::Disabled => (DEFAULT_MAX_CONSUMERS, None),
            DiscoveryMode::Enabled { max_consumers, consumer_prefix, .. } => (*max_consumers, consumer_prefix.clone()),
        };
        // A ring of that size must be possible before anything is said about a part of it.
        layout::plan_for::<S>(self.capacity, places)?;
        let max_buffer = match self.coordination {
            CoordinationMode::BufferUntilConsumers { max_buffer } => {
                let (unit, capacity) = (S::SIZE_UNIT, self.capacity * S::SIZE_UNIT.per_slot());
                if max_buffer == 0 || max_buffer > capacity {
                    return Err(MultiProcessError::BufferSize { unit, max_buffer, capacity });
                }
                let slots = max_buffer.div_ceil(unit.per_slot()) + F::HEADROOM as usize;
                // `Disabled` means that no consumer is waited for.
                (self.discovery != DiscoveryMode::Disabled).then_some(slots.min(self.capacity))
            }
            _ => None,
        };
        let producer = construct::producer::<S>(construct::ProducerRequest {
            place: self.place,
            capacity: self.capacity,
            places,
            max_buffer,
            content_tag: self.content_tag,
            options: self.options,
            existing: self.existing,
            wait: self.wait.overridden()?,
            selection: Selection { prefix, expected_consumers: self.expected_consumers },
        })?;
        if let CoordinationMode::WaitForConsumers { min_consumers, timeout } = self.coordination
            && let DiscoveryMode::Enabled { scan_interval, .. } = self.discovery
        {
            let deadline = deadline_in(timeout);
            if !producer.poll_until(deadline, scan_interval, || producer.get_consumer_count() >= min_consumers) {
                let joined = producer.get_consumer_count();
                let (place, wanted) = (producer.place().to_string(), min_consumers);
                producer.give_back();
                return Err(MultiProcessError::CoordinationTimeout { place, joined, wanted, waited: timeout });
            }
        }
        Ok(producer)
    }

    /// Refuses a start-up that waits for no consumer, or for one that has no place.
    fn check_start_up(&self) -> MultiProcessResult<()> {
        let DiscoveryMode::Enabled { max_consumers, consumer_prefix, .. } = &self.discovery else { return Ok(()) };
        let place = || self.place.to_string();
        if consumer_prefix.as_deref() == Some("") {
            return Err(MultiProcessError::EmptyPrefix { place: place() });
        }
        if let Some(prefix) = consumer_prefix {
            // Otherwise the places are kept for ids that cannot be.
            ConsumerId::chosen(prefix)?;
        }
        let expected = match self.coordination {
            CoordinationMode::Immediate => return Ok(()),
            CoordinationMode::WaitForConsumers { min_consumers, .. } => min_consumers,
            CoordinationMode::BufferUntilConsumers { .. } => self.expected_consumers,
        };
        match expected {
            0 => Err(MultiProcessError::NoConsumersExpected { place: place() }),
            _ if expected > *max_consumers => {
                Err(MultiProcessError::TooManyExpected { place: place(), expected, max_consumers: *max_consumers })
            }
            _ => Ok(()),
        }
    }

    /// The consumer without what it reads.
    pub(crate) fn consumer_end<S: Carries<Form = F>>(self) -> MultiProcessResult<ConsumerBase<S>> {
        self.pin("MYELON_CONSUMER_CORE")?;
        construct::consumer(construct::ConsumerRequest {
            ring: construct::RingRequest {
                place: self.place,
                capacity: self.capacity,
                content_tag: self.content_tag,
                older_content_tags: self.older_content_tags,
                ready: self.ready,
            },
            id: self.consumer_id,
            rank: self.rank,
            start: self.start,
            keeps_place: self.keeps_place,
            wait: self.wait.overridden()?,
            linger: self.linger,
            after: self.after,
            is_refused_silently: self.is_refused_silently,
        })
    }

    /// The memory of a tap.
    pub(crate) fn tap_memory<S: Carries<Form = F>>(self) -> MultiProcessResult<Mapped<S>> {
        let Self { place, capacity, content_tag, older_content_tags, ready, .. } = self;
        construct::tap(&construct::RingRequest { place, capacity, content_tag, older_content_tags, ready })
    }

    /// Builds a consumer, and runs `process` with it on a thread of its own: see [`AutoConsumer::start`].
    pub(crate) fn run_on_thread<C: ConsumerEnd + Send + 'static>(
        self,
        build: impl FnOnce(Self) -> MultiProcessResult<C>,
        process: impl FnMut(&mut C, &dyn Fn() -> bool) -> usize + Send + 'static,
    ) -> MultiProcessResult<AutoConsumer> {
        let core = environment::core("MYELON_AUTO_CONSUMER_CORE", self.consumer_core)?;
        let place = self.place.to_string();
        AutoConsumer::start(build(self)?, core, process).map_err(|error| match error {
            NotStarted::Pinned { asked, source } => asked.refused(source),
            NotStarted::Thread(source) => {
                MultiProcessError::Os { place, call: "starting the consumer's thread", source }
            }
        })
    }

    /// Pins this thread if the builder or the environment asks for it.
    fn pin(&self, role: &'static str) -> MultiProcessResult<()> {
        let asked = environment::core(role, environment::core("MYELON_PROCESS_CORE", self.process_core)?)?;
        let Some(asked) = asked else { return Ok(()) };
        pin_to(asked.core).map_err(|source| asked.refused(source))
    }
}

/// The ends of a ring of events. Those of a ring of records are built with `build_record_producer` and
/// `build_record_consumer`.
impl<E: Event, F: SlotForm> SharedDisruptorBuilder<E, F> {
    /// Builds the one producer. `factory` makes the content of a slot when it is used for the first time.
    ///
    /// If the name exists and its producer is dead, the ring is taken over for the consumers that live in it, or have
    /// kept their places and not read everything, or, if it has a [content tag](Self::with_content_tag), have kept
    /// their places at all; or replaced if there are none; [`SharedProducer::origin`] says which. A ring of the same
    /// events that differs otherwise is replaced, and stays for those that have not read it, who read it first. A
    /// segment of another kind, version or byte order is replaced if no process uses it, unless it is a counters file.
    ///
    /// # Errors
    /// See [`MultiProcessError`]: `InUse` while the other producer's lock is held, `InUseAsOther`, `HoldsCounters`,
    /// `NotOwner`, `NoSpace`, `CoordinationTimeout`, and so on. A start-up that cannot come to its end, or has nothing
    /// to wait for, is refused before anything is created. Nothing is left behind.
    pub fn build_producer(
        self,
        factory: impl FnMut() -> E + Send + 'static,
    ) -> MultiProcessResult<SharedProducer<E, F>> {
        let via = self.via.overridden()?;
        Ok(SharedProducer::new(self.producer_end::<Slots<E, F>>()?, via, Box::new(factory)))
    }

    /// Attaches a consumer to a ring that exists.
    ///
    /// # Errors
    /// See [`MultiProcessError`]: `NotFound` (`NotReadyInTime` where it was to [wait](Self::attach_when_ready)),
    /// `IncompatibleEvent` with the first field that differs, `Join` with `IdInUse` or `TableFull`, and so on.
    pub fn build_consumer(self) -> MultiProcessResult<SharedConsumer<E, F>> {
        Ok(SharedConsumer::new(self.consumer_end::<Slots<E, F>>()?))
    }

    /// Attaches a tap: it maps the ring read-only, holds no producer back, and may miss events. It begins with the
    /// first event that is published after this call.
    ///
    /// # Errors
    /// As [`build_consumer`](Self::build_consumer), but not `Join`.
    pub fn build_tap(self) -> MultiProcessResult<Tap<E, F>> {
        Ok(Tap::new(self.tap_memory::<Slots<E, F>>()?))
    }

    /// Attaches a consumer and runs `handler(event, sequence, end_of_batch)` for every event, on a thread of its own.
    /// Events are acknowledged as [`AutoConsumer`] says.
    ///
    /// # Errors
    /// As [`build_consumer`](Self::build_consumer).
    pub fn handle_events_with(
        self,
        handler: impl FnMut(&E, Sequence, bool) + Send + 'static,
    ) -> MultiProcessResult<AutoConsumer> {
        let wait = self.wait;
        self.handle_events_batch(handler, wait)
    }

    /// [`handle_events_with`](Self::handle_events_with), waiting as `wait` says.
    ///
    /// # Errors
    /// As [`build_consumer`](Self::build_consumer).
    pub fn handle_events_batch(
        self,
        mut handler: impl FnMut(&E, Sequence, bool) + Send + 'static,
        wait: AutoWaitStrategy,
    ) -> MultiProcessResult<AutoConsumer> {
        let handle = move |consumer: &mut SharedConsumer<E, F>, goes_on: &dyn Fn() -> bool| {
            consumer.process_while(|event, sequence, is_last| {
                handler(event, sequence, is_last);
                goes_on()
            })
        };
        self.with_wait_strategy(wait).run_on_thread(Self::build_consumer, handle)
    }
}

impl<E: Event> SharedProducer<E> {
    /// Creates the ring of `size` slots at `place`, with everything else as the builder has it by default. Makes the
    /// directory of a file where it is missing.
    ///
    /// # Errors
    /// As [`SharedDisruptorBuilder::build_producer`].
    pub fn create(
        place: impl Into<Place>,
        size: usize,
        factory: impl FnMut() -> E + Send + 'static,
    ) -> MultiProcessResult<Self> {
        let options = CreateOptions::default().make_directories(true);
        SharedDisruptorBuilder::new(place, size).with_create_options(options).build_producer(factory)
    }
}

impl<E: Event> SharedConsumer<E> {
    /// Joins the ring of `size` slots at `place` under `consumer_id`, with everything else as the builder has it by
    /// default.
    ///
    /// # Errors
    /// As [`SharedDisruptorBuilder::build_consumer`].
    pub fn attach(place: impl Into<Place>, size: usize, consumer_id: impl Into<String>) -> MultiProcessResult<Self> {
        SharedDisruptorBuilder::new(place, size).with_consumer_id(consumer_id).build_consumer()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::watchdog::{PATIENCE, Watchdog};

    fn ring() -> SharedDisruptorBuilder<u64> {
        SharedDisruptorBuilder::new(Place::heap(), 8).enable_discovery(2)
    }

    fn refused(builder: SharedDisruptorBuilder<u64>) -> MultiProcessError {
        builder.build_producer(|| 0).map(drop).unwrap_err()
    }

    const BUFFER: CoordinationMode = CoordinationMode::BufferUntilConsumers { max_buffer: 8 };

    #[test]
    fn a_start_up_that_waits_for_more_consumers_than_there_are_places_is_refused() {
        let _watchdog = Watchdog::new(PATIENCE * 2, "a start-up that cannot end");
        let beyond = |error| matches!(error, MultiProcessError::TooManyExpected { expected: 3, max_consumers: 2, .. });
        assert!(beyond(refused(ring().wait_for_consumers(3, Duration::from_secs(3600)))));
        assert!(beyond(refused(ring().with_coordination(BUFFER).with_expected_consumers(3))));
        let by_default = SharedDisruptorBuilder::new(Place::heap(), 8);
        let error = refused(by_default.wait_for_consumers(DEFAULT_MAX_CONSUMERS + 1, Duration::from_secs(3600)));
        assert!(matches!(error, MultiProcessError::TooManyExpected { max_consumers: DEFAULT_MAX_CONSUMERS, .. }));
    }

    #[test]
    fn a_start_up_that_waits_for_no_consumer_is_refused() {
        let nobody = |error| matches!(error, MultiProcessError::NoConsumersExpected { .. });
        assert!(nobody(refused(ring().wait_for_consumers(0, Duration::ZERO))));
        assert!(nobody(refused(ring().with_coordination(BUFFER).with_expected_consumers(0))));
        // Who disables discovery has said so.
        assert!(ring().wait_for_consumers(2, PATIENCE).disable_discovery().build_producer(|| 0).is_ok());
    }

    #[test]
    fn an_empty_prefix_selects_nothing_and_is_refused() {
        let error = refused(ring().discover_consumer_with_prefix(2, ""));
        assert!(matches!(error, MultiProcessError::EmptyPrefix { .. }));
    }

    #[test]
    fn a_prefix_with_which_no_id_can_begin_is_refused() {
        for bad in ["a\u{202e}", &"x".repeat(129)] {
            let error = refused(ring().discover_consumer_with_prefix(2, bad));
            assert!(matches!(error, MultiProcessError::InvalidConsumerId(_)), "{error:?}");
        }
    }

    #[test]
    fn a_timeout_of_zero_looks_once() {
        let _watchdog = Watchdog::new(PATIENCE, "a start-up that looks once");
        let error = refused(ring().wait_for_single_consumer(Duration::ZERO));
        assert!(matches!(error, MultiProcessError::CoordinationTimeout { joined: 0, wanted: 1, .. }), "{error}");
        let producer = ring().build_producer(|| 0).unwrap();
        assert!(!producer.wait_for_consumer_id("w", Duration::ZERO));
    }
}
