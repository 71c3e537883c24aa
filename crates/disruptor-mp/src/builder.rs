//! How a program asks for an endpoint: its id, its start-up order, how it waits, and in what kind of segment it is.

mod build;
mod coordination;
mod events;
mod settings;

pub use coordination::{
    CoordinationMode, DiscoveryMode, default_coordination_timeout_duration, default_scan_interval_duration,
};
use settings::Settings;

use crate::error::CoreSetting;
use crate::ring::construct::Existing;
use crate::ring::ends::patience::Patience;
use crate::ring::ends::via::WriteVia;
use crate::ring::protocol::form::{Form, Stamped};
use crate::ring::protocol::join::StartAt;
use crate::segment::{CreateOptions, Place};
use crate::sync::wait::WaitStrategy;
use std::marker::PhantomData;
use std::time::Duration;

/// Builds the endpoints of one ring: a producer, consumers, taps. `E` is the type of its events, `()` for a ring of
/// records. `F` is its form, which determines what can be built.
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
/// // Each worker, usually in a process of its own, begins with event 0. It gives no size: 0 accepts any.
/// let worker = |rank: u32| {
///     SharedDisruptorBuilder::<u64>::new(&name, 0)
///         .with_consumer_id(format!("worker-{rank}"))
///         .with_rank(rank) // shown in every report
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
    pub(crate) settings: Settings,
    carries: PhantomData<fn() -> (E, F)>,
}

impl<E, F: Form> SharedDisruptorBuilder<E, F> {
    /// An endpoint of the ring at `place` with `capacity` slots, or lines.
    pub(crate) fn of(place: impl Into<Place>, capacity: usize) -> Self {
        Self::from_settings(Settings::of(place.into(), capacity))
    }

    fn from_settings(settings: Settings) -> Self {
        Self { settings, carries: PhantomData }
    }

    fn with(mut self, set: impl FnOnce(&mut Settings)) -> Self {
        set(&mut self.settings);
        self
    }

    /// Sets what a new producer does about consumers that have not joined yet.
    #[must_use]
    pub fn with_coordination(self, coordination: CoordinationMode) -> Self {
        self.with(|it| it.coordination = coordination)
    }

    /// Sets how long `WaitForConsumers` waits; selects that mode, for one consumer, if another mode is set. Zero looks
    /// once: it never means "without limit".
    #[must_use]
    pub fn with_coordination_timeout(self, timeout: Duration) -> Self {
        let min_consumers = match self.settings.coordination {
            CoordinationMode::WaitForConsumers { min_consumers, .. } => min_consumers,
            _ => 1,
        };
        self.wait_for_consumers(min_consumers, timeout)
    }

    /// `build_producer` waits for this many consumers, at least one; with
    /// [`disable_discovery`](Self::disable_discovery) for none.
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
        self.with(|it| it.expected_consumers = expected_consumers)
    }

    /// Sets which consumers coordination and counting look at.
    #[must_use]
    pub fn with_discovery(self, discovery: DiscoveryMode) -> Self {
        self.with(|it| it.discovery = discovery)
    }

    /// Every consumer counts; the table has entries for `max_consumers`, and four more.
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

    /// Consumers whose id begins with `prefix`, which is not empty, count, and `max_consumers` entries of the table are
    /// kept for them. Other consumers, such as monitors, have four entries of their own.
    #[must_use]
    pub fn discover_consumer_with_prefix(self, max_consumers: usize, prefix: impl Into<String>) -> Self {
        let scan_interval = default_scan_interval_duration();
        self.with_discovery(DiscoveryMode::Enabled {
            max_consumers,
            consumer_prefix: Some(prefix.into()),
            scan_interval,
        })
    }

    /// The consumer's id. A consumer that dies keeps its entry for the consumer that comes back under the same id; one
    /// without an id does not.
    #[must_use]
    pub fn with_consumer_id(self, id: impl Into<String>) -> Self {
        self.with(|it| it.consumer_id = Some(id.into()))
    }

    /// The consumer keeps its entry when it is dropped, until it is told to [`leave`](crate::SharedConsumer::leave) or
    /// has read to the end of the closed ring: see [`keep_place`](crate::ConsumerEnd::keep_place).
    #[must_use]
    pub fn keep_place(self) -> Self {
        self.with(|it| it.keeps_place = true)
    }

    /// The consumer comes from a replaced ring of that [generation](crate::ConsumerEnd::generation), and has read it to
    /// its end. For the layers above.
    #[doc(hidden)]
    #[must_use]
    pub fn coming_from(self, generation: u64) -> Self {
        self.with(|it| it.after = Some(generation))
    }

    /// A consumer or a tap that attaches with this waits until there is a ring with a *live* producer, whichever side
    /// starts first. If the ring of a system that was killed as a whole is still there, it waits until the next
    /// producer has replaced it or taken it over. It looks every 5 ms, and the patience counts from this call.
    ///
    /// A situation that will not change ends the wait at once: a live producer of other events, an id with a live
    /// consumer, a ring that this process may not open. Unread events of a dead producer are not delivered; attach
    /// without this to read them.
    ///
    /// If the producer is in another pid namespace, only its lock is known. While the next producer decides what to do
    /// with a ring, this may attach to the ring, and then gets `Replaced`, like a consumer that was attached before.
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
    /// let request = attach_shared_consumer::<u64>(&name, 8).attach_when_ready(Duration::from_secs(20));
    /// let consumer = request.build_consumer()?;
    /// # drop((producer.join().unwrap()?, consumer));
    ///
    /// let request = attach_shared_consumer::<u64>("never-made", 8).attach_when_ready(Duration::from_millis(1));
    /// let nothing = request.build_consumer();
    /// // there was nothing to attach to at shm:never-made within 1.1ms: there is no ring at shm:never-made
    /// # assert!(nothing.map(drop).unwrap_err().is_timed_out());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn attach_when_ready(self, patience: impl Into<Patience>) -> Self {
        self.with(|it| it.ready = Some(patience.into()))
    }

    /// Does not report to the producer if this consumer is refused: it learns that in another way. For the layers
    /// above.
    #[doc(hidden)]
    #[must_use]
    pub fn refused_silently(self, is_refused_silently: bool) -> Self {
        self.with(|it| it.is_refused_silently = is_refused_silently)
    }

    /// The application's rank of the consumer, for reports.
    #[must_use]
    pub fn with_rank(self, rank: u32) -> Self {
        self.with(|it| it.rank = Some(rank))
    }

    /// Where a new consumer starts.
    #[must_use]
    pub fn start_at(self, start: StartAt) -> Self {
        self.with(|it| it.start = start)
    }

    /// Says what the events carry if the event type does not: the type of the messages in a ring of frames, for
    /// instance. 1 to 256 bytes without control characters, the same in both programs.
    ///
    /// The ring keeps it with its schema. A producer without a tag stores none. A consumer or a tap with a tag is
    /// refused if the ring has another tag or none; one without a tag is not checked.
    #[must_use]
    pub fn with_content_tag(self, tag: impl Into<String>) -> Self {
        self.with(|it| it.content_tag = Some(tag.into()))
    }

    /// Other content tags that a consumer or a tap accepts besides its [own](Self::with_content_tag), such as those of
    /// older versions of its messages. [`ConsumerEnd::content_tag`](crate::ConsumerEnd::content_tag) says which one the
    /// ring has. A producer ignores this.
    #[must_use]
    pub fn with_older_content_tags<T: Into<String>>(self, tags: impl IntoIterator<Item = T>) -> Self {
        self.with(|it| it.older_content_tags = tags.into_iter().map(Into::into).collect())
    }

    /// How the endpoint waits; `MYELON_WAIT` overrides it.
    #[must_use]
    pub fn with_wait_strategy(self, wait: WaitStrategy) -> Self {
        self.with(|it| it.wait = wait)
    }

    /// How long a consumer lingers at most in a saturated stream; 20 us unless set, zero switches it off.
    ///
    /// A consumer that follows its producer closely takes each cache line away while the producer still writes next to
    /// it, and both are slow. So in a stream of 1 GB/s or more a consumer tries to let the producer run ahead: before
    /// it reads on, it waits until about 1 MiB is there, or this time is over, and keeps doing so if that is faster by
    /// a tenth. A look that waits takes that much longer than its [`Patience`] says. Other traffic is not delayed: a
    /// trickle, a burst of less than 256 KiB, messages that wait for an answer. Source: RFC 0018.
    #[must_use]
    pub fn linger_at_most(self, time: Duration) -> Self {
        self.with(|it| it.linger = time)
    }

    /// Where a producer writes payloads first: in the ring, or in a buffer of its own from which they are copied. It
    /// concerns the payloads of claims, what a codec encodes in records, and events of 2 KiB and more.
    /// `MYELON_WRITE_VIA` overrides it: `learned`, `ring`, `buffer`.
    ///
    /// If the readers share no cache with the producer, each store fetches its cache line from them, and the copy of a
    /// long block does not. So a producer measures which of the two costs less, for payloads of 2 KiB to 1 MiB, and
    /// keeps measuring: it times one in about 100 us, and spends at most 1 % of its time on the other way. A payload
    /// that is given as bytes is copied into the ring anyway. Events of a group are written in the ring. The counter
    /// [`PAYLOADS_VIA_BUFFER`](crate::counters::ids::PAYLOADS_VIA_BUFFER) shows which way the producer takes. Source:
    /// RFC 0019.
    #[must_use]
    pub fn write_via(self, via: WriteVia) -> Self {
        self.with(|it| it.via = via)
    }

    /// Permissions, prefault, locking and the like of a new segment.
    #[must_use]
    pub fn with_create_options(self, options: CreateOptions) -> Self {
        self.with(|it| it.options = options)
    }

    /// Pins the thread that builds a producer or a consumer to core `core`, a number from 0 as the system counts them.
    /// The thread stays there. `MYELON_PROCESS_CORE` overrides it, and `MYELON_PRODUCER_CORE` or `MYELON_CONSUMER_CORE`
    /// overrides both. A tap pins no thread.
    #[must_use]
    pub fn with_process_core(self, core: usize) -> Self {
        self.with(|it| it.process_core = Some(CoreSetting { asked_by: "with_process_core", core }))
    }

    /// Pins the thread of an [`AutoConsumer`](crate::AutoConsumer) to core `core`; `MYELON_AUTO_CONSUMER_CORE`
    /// overrides it.
    #[must_use]
    pub fn with_consumer_core(self, core: usize) -> Self {
        self.with(|it| it.consumer_core = Some(CoreSetting { asked_by: "with_consumer_core", core }))
    }

    /// `build_producer` creates a ring. It fails with `AlreadyExists` if the name is taken, even if a dead process left
    /// it.
    #[must_use]
    pub fn create(self) -> Self {
        self.facing(Existing::Refuse)
    }

    /// `build_producer` takes over the ring of a dead producer, and fails if there is none, or no consumer to take it
    /// over for: a live one, one that has kept its entry and has unread events, or in a ring with a [content
    /// tag](Self::with_content_tag) any that has kept its entry.
    #[must_use]
    pub fn take_over(self) -> Self {
        self.facing(Existing::TakeOver)
    }

    /// `build_producer` puts a new ring in place of the ring of a dead producer, even if that has live consumers. These
    /// get `Replaced`.
    #[must_use]
    pub fn replace(self) -> Self {
        self.facing(Existing::Replace)
    }

    /// The choice of the three functions above; for the builders of the layers above.
    #[doc(hidden)]
    #[must_use]
    pub fn facing(self, existing: Existing) -> Self {
        self.with(|it| it.existing = existing)
    }
}
