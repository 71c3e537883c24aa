//! How a transport is built: where, how deep, for how many consumers, and what happens to a ring that exists already.

use super::consumer::TransportConsumer;
use super::error::TransportResult;
use super::format::Format;
use super::producer::TransportProducer;
use super::records::{self, Records};
use super::tap::TransportTap;
use disruptor_mp::__private::ends::Existing;
use disruptor_mp::{
    CoordinationMode, CreateOptions, Form, Patience, Place, SharedDisruptorBuilder, StartAt, WaitStrategy, WriteVia,
};
use std::marker::PhantomData;
use std::time::Duration;

/// Builds the endpoints of one transport.
///
/// ```
/// use myelon::Patience;
/// use myelon::transport::{AlignedFixedFrame, TransportBuilder};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let name = myelon::portable_shm_segment_name("doc");
/// type Frame = AlignedFixedFrame<1024>;
/// let mut producer = TransportBuilder::<Frame>::new(&name, 64).with_max_consumers(8).build_producer()?;
/// // Usually in another process:
/// let mut consumer = TransportBuilder::<Frame>::new(&name, 64).with_consumer_id("worker-0").build_consumer()?;
///
/// producer.send(b"a step", 1, Patience::Endless)?;
/// drop(producer);
/// while let Some(message) = consumer.next_or_end(Patience::Endless)? {
///     assert_eq!((&message[..], message.kind()), (&b"a step"[..], 1));
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TransportBuilder<F = Records> {
    settings: Settings,
    format: PhantomData<fn() -> F>,
}

// Not derived: the derive would require `F: Clone`, and a format is only a name.
impl<F> Clone for TransportBuilder<F> {
    fn clone(&self) -> Self {
        Self { settings: self.settings.clone(), format: PhantomData }
    }
}

/// What a format needs to build one of its ends.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the ring is.
    pub(crate) place: Place,
    /// The depth in the format's unit (slots or bytes), if it is given.
    pub(crate) depth: Option<usize>,
    /// The longest message, in bytes; `None`: whatever fits.
    pub(crate) message_limit: Option<usize>,
    /// Whether every message carries its send time.
    pub(crate) has_send_time: bool,
    max_consumers: Option<usize>,
    consumer_prefix: Option<String>,
    content_tag: Option<String>,
    older_content_tags: Vec<String>,
    coordination: Option<CoordinationMode>,
    expected_consumers: Option<usize>,
    wait: WaitStrategy,
    linger: Option<Duration>,
    via: WriteVia,
    consumer_id: Option<String>,
    rank: Option<u32>,
    start: StartAt,
    coming_from: Option<u64>,
    process_core: Option<usize>,
    options: CreateOptions,
    existing: Existing,
    ready: Option<Patience>,
    is_refused_silently: bool,
}

impl Settings {
    /// Passes everything that concerns the ring to the ring's builder.
    pub(crate) fn apply<E, F: Form>(&self, builder: SharedDisruptorBuilder<E, F>) -> SharedDisruptorBuilder<E, F> {
        let mut builder = builder.with_wait_strategy(self.wait).start_at(self.start).write_via(self.via);
        builder = builder.with_create_options(self.options).facing(self.existing);
        let max = self.max_consumers.unwrap_or(disruptor_mp::DEFAULT_MAX_CONSUMERS);
        builder = match &self.consumer_prefix {
            Some(prefix) => builder.discover_consumer_with_prefix(max, prefix),
            None => builder.enable_discovery(max),
        };
        if let Some(linger) = self.linger {
            builder = builder.linger_at_most(linger);
        }
        if let Some(tag) = &self.content_tag {
            builder = builder.with_content_tag(tag);
        }
        builder = builder.with_older_content_tags(&self.older_content_tags).refused_silently(self.is_refused_silently);
        if let Some(coordination) = self.coordination {
            builder = builder.with_coordination(coordination);
        }
        if let Some(expected) = self.expected_consumers {
            builder = builder.with_expected_consumers(expected);
        }
        if let Some(id) = &self.consumer_id {
            builder = builder.with_consumer_id(id);
        }
        if let Some(rank) = self.rank {
            builder = builder.with_rank(rank);
        }
        if let Some(core) = self.process_core {
            builder = builder.with_process_core(core);
        }
        // A consumer that continues in the next ring takes it as it is.
        if let Some(generation) = self.coming_from {
            builder = builder.coming_from(generation);
        } else if let Some(patience) = self.ready {
            builder = builder.attach_when_ready(patience);
        }
        builder
    }
}

impl TransportBuilder<Records> {
    /// An endpoint of the transport over records at `place` (a string is a name in shared memory, a path is a file),
    /// without a size: a consumer takes the ring as it is, and a producer creates one of
    /// [`DEFAULT_RECORD_RING_BYTES`](disruptor_mp::DEFAULT_RECORD_RING_BYTES).
    ///
    /// ```
    /// use myelon::prelude::*;
    ///
    /// # fn main() -> TransportResult<()> {
    /// # let name = portable_shm_segment_name("doc");
    /// let mut producer = TransportBuilder::at(&name).build_producer()?;
    /// let mut consumer = TransportBuilder::at(&name).with_consumer_id("worker-0").build_consumer()?;
    /// producer.publish(b"a step", 1)?;
    /// assert_eq!(consumer.receive_owned(Patience::Endless)?, Some((1, b"a step".to_vec())));
    /// # Ok(())
    /// # }
    /// ```
    pub fn at(place: impl Into<Place>) -> Self {
        Self::sized(place, None)
    }

    /// Attaches a tap, which maps the ring read-only and holds no sender back: see [`TransportTap`]. It begins with the
    /// first message that is sent after this call. It uses the size, the content tags, the message limit and
    /// [`attach_when_ready`](Self::attach_when_ready) of the builder.
    ///
    /// ```
    /// use myelon::prelude::*;
    /// use std::time::Duration;
    ///
    /// # fn main() -> TransportResult<()> {
    /// # let name = portable_shm_segment_name("doc");
    /// # let place = name.clone();
    /// # let producer = std::thread::spawn(move || TransportProducer::<Records>::create(place, 1 << 16));
    /// let mut tap = TransportBuilder::at(&name).attach_when_ready(Duration::from_secs(20)).build_tap()?;
    /// # let mut producer = producer.join().unwrap()?;
    /// # producer.publish(b"a step", 1)?;
    /// assert_eq!(tap.receive_owned(Patience::Endless)?, Some((1, b"a step".to_vec())));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Build`: see [`MultiProcessError`](disruptor_mp::MultiProcessError). `IncompatibleContent` if the tags differ;
    /// `Unusable` with [`WrongKind`](disruptor_mp::segment::OpenError::WrongKind) if the ring has frames;
    /// `IncompatibleLayout` if the ring is from an older build: producers of that build do not publish how far they
    /// write.
    pub fn build_tap(self) -> TransportResult<TransportTap> {
        records::tap(self.settings)
    }
}

impl<F: Format> TransportBuilder<F> {
    /// An endpoint of the transport at `place` (a string is a name in shared memory, a path is a file). `depth` is in
    /// bytes for records, any number, and in slots for frames, a power of two. [`Format::depth_for`] computes it, and
    /// [`Format::in_flight_for`] says how many messages a depth takes. A consumer that gives 0 takes the ring as it is;
    /// a producer that gives 0 is refused.
    pub fn new(place: impl Into<Place>, depth: usize) -> Self {
        Self::sized(place, Some(depth))
    }

    fn sized(place: impl Into<Place>, depth: Option<usize>) -> Self {
        let settings = Settings {
            place: place.into(),
            depth,
            message_limit: None,
            has_send_time: false,
            max_consumers: None,
            consumer_prefix: None,
            content_tag: None,
            older_content_tags: Vec::new(),
            coordination: None,
            expected_consumers: None,
            wait: WaitStrategy::default(),
            linger: None,
            via: WriteVia::default(),
            consumer_id: None,
            rank: None,
            start: StartAt::default(),
            coming_from: None,
            process_core: None,
            options: CreateOptions::default(),
            existing: Existing::default(),
            ready: None,
            is_refused_silently: false,
        };
        Self { settings, format: PhantomData }
    }

    /// The builder of the `create` functions; without a depth it is that of [`at`](TransportBuilder::at).
    pub(crate) fn to_create(place: impl Into<Place>, depth: Option<usize>) -> Self {
        Self::sized(place, depth)
    }

    /// Room for this many consumers, instead of [`DEFAULT_MAX_CONSUMERS`](disruptor_mp::DEFAULT_MAX_CONSUMERS).
    #[must_use]
    pub fn with_max_consumers(mut self, max_consumers: usize) -> Self {
        self.settings.max_consumers = Some(max_consumers);
        self
    }

    /// Keeps those entries for consumers whose id begins with `prefix`; there are four more entries for other
    /// consumers. See [`discover_consumer_with_prefix`](SharedDisruptorBuilder::discover_consumer_with_prefix).
    #[must_use]
    pub fn with_consumer_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.settings.consumer_prefix = Some(prefix.into());
        self
    }

    /// Names the type of the messages: a consumer with another tag than the producer's is refused. See
    /// [`with_content_tag`](SharedDisruptorBuilder::with_content_tag).
    #[must_use]
    pub fn with_content_tag(mut self, tag: impl Into<String>) -> Self {
        self.settings.content_tag = Some(tag.into());
        self
    }

    /// Other tags that a consumer accepts: see
    /// [`with_older_content_tags`](SharedDisruptorBuilder::with_older_content_tags).
    #[must_use]
    pub fn with_older_content_tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.settings.older_content_tags = tags.into_iter().map(Into::into).collect();
        self
    }

    /// For a consumer that has read the ring of that generation to its end, after the ring was replaced. The next ring
    /// keeps everything for a consumer with an id of its own; any other consumer starts as early as it can.
    pub(crate) fn coming_from(mut self, generation: u64) -> Self {
        self.settings.coming_from = Some(generation);
        if self.settings.consumer_id.is_none() {
            self.settings.start = StartAt::Oldest;
        }
        self
    }

    /// Does not tell the producer if this consumer is refused.
    pub(crate) fn refused_silently(mut self) -> Self {
        self.settings.is_refused_silently = true;
        self
    }

    /// The longest message, in bytes, that this end sends or receives. It is at most what the ring can hold, which is
    /// also the default. With 0 only empty messages are sent and received. A receiver uses at most this much memory for
    /// messages that were split.
    #[must_use]
    pub fn with_message_limit(mut self, bytes: usize) -> Self {
        self.settings.message_limit = Some(bytes);
        self
    }

    /// Whether every message carries the time at which it was sent, in nanoseconds of the monotonic clock: 8 bytes, or
    /// 16 where payloads are aligned, and some 20 ns.
    #[must_use]
    pub fn with_send_time(mut self, has_send_time: bool) -> Self {
        self.settings.has_send_time = has_send_time;
        self
    }

    /// Sets how a new producer treats consumers that are not there yet.
    #[must_use]
    pub fn with_coordination(mut self, coordination: CoordinationMode) -> Self {
        self.settings.coordination = Some(coordination);
        self
    }

    /// The number of consumers for which [`BufferUntilConsumers`](CoordinationMode::BufferUntilConsumers) keeps its
    /// messages; 1 unless set. Its `max_buffer` is in the unit of the depth: bytes for records, slots for frames.
    #[must_use]
    pub fn with_expected_consumers(mut self, expected_consumers: usize) -> Self {
        self.settings.expected_consumers = Some(expected_consumers);
        self
    }

    /// How the endpoint waits. `MYELON_WAIT` overrides it.
    #[must_use]
    pub fn with_wait_strategy(mut self, wait: impl Into<WaitStrategy>) -> Self {
        self.settings.wait = wait.into();
        self
    }

    /// The longest time for which a receiver lingers in a saturated stream; 20 us unless set, zero switches it off: see
    /// [`linger_at_most`](SharedDisruptorBuilder::linger_at_most) of the ring's builder.
    #[must_use]
    pub fn linger_at_most(mut self, time: Duration) -> Self {
        self.settings.linger = Some(time);
        self
    }

    /// Sets where a sender of records encodes messages of 2 KiB and more: in the ring, or in a buffer from which they
    /// are copied. Unless it is set, the sender measures which costs less. See
    /// [`write_via`](SharedDisruptorBuilder::write_via) of the ring's builder.
    #[must_use]
    pub fn write_via(mut self, via: WriteVia) -> Self {
        self.settings.via = via;
        self
    }

    /// The consumer's id. A consumer that comes back under it gets again what was not acknowledged, and the sender
    /// waits for it: however the consumer ends, it keeps its entry until it [leaves](TransportConsumer::leave) or has
    /// read up to *closed*. A consumer without an id of its own keeps no entry.
    #[must_use]
    pub fn with_consumer_id(mut self, id: impl Into<String>) -> Self {
        self.settings.consumer_id = Some(id.into());
        self
    }

    /// `build_consumer`, `build_tap` and their typed versions then wait until there is a ring with a *live* producer,
    /// whichever side starts first: see [`attach_when_ready`](SharedDisruptorBuilder::attach_when_ready) of the ring's
    /// builder.
    ///
    /// ```
    /// use myelon::prelude::*;
    /// use std::time::Duration;
    ///
    /// # fn main() -> TransportResult<()> {
    /// # let name = portable_shm_segment_name("doc");
    /// # let place = name.clone();
    /// // Usually another process, which may come later.
    /// let producer = std::thread::spawn(move || FramedTransportProducer::<Records>::create(place, 1 << 16));
    /// let builder = TransportBuilder::<Records>::new(&name, 0).with_consumer_id("worker-0");
    /// let consumer = builder.attach_when_ready(Duration::from_secs(20)).build_consumer()?;
    /// # drop((producer.join().unwrap()?, consumer));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn attach_when_ready(mut self, patience: impl Into<Patience>) -> Self {
        self.settings.ready = Some(patience.into());
        self
    }

    /// The application's rank of the consumer, for reports.
    #[must_use]
    pub fn with_rank(mut self, rank: u32) -> Self {
        self.settings.rank = Some(rank);
        self
    }

    /// Where a new consumer starts. One that starts in the middle of a message begins with the next one.
    #[must_use]
    pub fn start_at(mut self, start: StartAt) -> Self {
        self.settings.start = start;
        self
    }

    /// Pins the thread that builds a producer or a consumer to core `core`, a number from 0 as the system counts them.
    /// The thread stays there. Variables of the environment override it: see
    /// [`with_process_core`](SharedDisruptorBuilder::with_process_core) of the ring's builder. A tap pins no thread.
    ///
    /// A core that does not exist, or that this process may not use, is [`Core`](disruptor_mp::MultiProcessError::Core)
    /// when the end is built.
    ///
    /// ```no_run
    /// use myelon::prelude::*;
    ///
    /// # fn main() -> TransportResult<()> {
    /// // Typed streams are built from the same builder.
    /// let steps = TransportBuilder::at("steps").with_consumer_id("worker-0").with_process_core(3).build_consumer()?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_process_core(mut self, core: usize) -> Self {
        self.settings.process_core = Some(core);
        self
    }

    /// Permissions, prefault, locking and the like of a new segment.
    #[must_use]
    pub fn with_create_options(mut self, options: CreateOptions) -> Self {
        self.settings.options = options;
        self
    }

    /// `build_producer` creates a ring. It fails if the name is taken, even if a dead process left it.
    #[must_use]
    pub fn create(mut self) -> Self {
        self.settings.existing = Existing::Refuse;
        self
    }

    /// `build_producer` takes over the ring of a dead producer. It fails if there is no such ring, or no consumer that
    /// still needs it. Such a consumer is one that lives, one that has kept its entry and has something to read, or, in
    /// a ring with a [content tag](Self::with_content_tag), any one that has kept its entry.
    #[must_use]
    pub fn take_over(mut self) -> Self {
        self.settings.existing = Existing::TakeOver;
        self
    }

    /// `build_producer` replaces the ring of a dead producer by a new one, even if there are live consumers; they get
    /// `Replaced`.
    #[must_use]
    pub fn replace(mut self) -> Self {
        self.settings.existing = Existing::Replace;
        self
    }

    /// Builds the one producer.
    ///
    /// If the name exists and its producer is dead, the ring is taken over if a consumer still needs it (see
    /// [`take_over`](Self::take_over)), and replaced otherwise, unless [`create`](Self::create), `take_over` or
    /// [`replace`](Self::replace) was called. A ring of the same format that differs in something else is replaced. It
    /// stays for the consumers that have not read it to its end, which read it first.
    ///
    /// # Errors
    /// `Build`: see [`MultiProcessError`](disruptor_mp::MultiProcessError). Nothing remains.
    pub fn build_producer(self) -> TransportResult<TransportProducer<F>> {
        let has_send_time = self.settings.has_send_time;
        Ok(TransportProducer::new(F::sender(self.settings)?, has_send_time))
    }

    /// Attaches a consumer to a ring that exists.
    ///
    /// # Errors
    /// `Build`: see [`MultiProcessError`](disruptor_mp::MultiProcessError). `IncompatibleEvent` if the frames have
    /// another size or alignment; `Unusable` with [`WrongKind`](disruptor_mp::segment::OpenError::WrongKind) if one
    /// side has records and the other frames; `IncompatibleContent` if the tags differ.
    pub fn build_consumer(self) -> TransportResult<TransportConsumer<F>> {
        Ok(TransportConsumer::new(F::receiver(self.settings)?))
    }
}
