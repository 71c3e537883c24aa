//! The ends of a ring of events, with stamped and with dense slots.

use super::SharedDisruptorBuilder;
use crate::Sequence;
use crate::error::MultiProcessResult;
use crate::ring::ends::auto::AutoConsumer;
use crate::ring::ends::consumer::SharedConsumer;
use crate::ring::ends::producer::SharedProducer;
use crate::ring::ends::tap::Tap;
use crate::ring::memory::layout::Slots;
use crate::ring::protocol::form::{Dense, SlotForm};
use crate::schema::Event;
use crate::segment::Place;
use crate::sync::wait::AutoWaitStrategy;

impl<E: Event> SharedDisruptorBuilder<E> {
    /// An endpoint of the ring at `place` with `size` slots, a power of two. A consumer that gives 0 accepts any size.
    pub fn new(place: impl Into<Place>, size: usize) -> Self {
        Self::of(place, size)
    }

    /// The same endpoint of a ring in [`Dense`] slots: events without stamps, for the highest rate. The form is part of
    /// the ring, so each of its ends must be built with this.
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
    /// let batch = consumer.next_batch(usize::MAX, Patience::Endless)?.expect("a batch, or an error");
    /// let (events, after_the_end_of_the_ring) = batch.as_slices();
    /// assert_eq!(events.iter().sum::<u64>(), 4950);
    /// assert!(after_the_end_of_the_ring.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn dense(self) -> SharedDisruptorBuilder<E, Dense> {
        SharedDisruptorBuilder::from_settings(self.settings)
    }
}

/// The ends of a ring of events. Those of a ring of records are built with `build_record_producer` and
/// `build_record_consumer`.
impl<E: Event, F: SlotForm> SharedDisruptorBuilder<E, F> {
    /// Builds the one producer. `factory` makes the content of a slot when it is used for the first time.
    ///
    /// If the name exists and its producer is dead, the ring is taken over or replaced; [`SharedProducer::origin`] says
    /// which. It is taken over if there are consumers that live, or that have kept their entries and have unread
    /// events; in a ring with a [content tag](Self::with_content_tag) kept entries are enough. Otherwise it is
    /// replaced. A ring of the same events that differs in another way is replaced, and stays for the consumers that
    /// have not read it: they read it first. A segment of another kind, version or byte order is replaced if no process
    /// uses it, unless it is a counters file.
    ///
    /// # Errors
    /// See [`MultiProcessError`](crate::MultiProcessError): `InUse` while the other producer's lock is held,
    /// `InUseAsOther`, `HoldsCounters`, `NotOwner`, `NoSpace`, `CoordinationTimeout`, and so on. A start-up that cannot
    /// end, or has nothing to wait for, is refused before anything is created. Nothing is left of the attempt.
    pub fn build_producer(
        self,
        factory: impl FnMut() -> E + Send + 'static,
    ) -> MultiProcessResult<SharedProducer<E, F>> {
        let via = self.settings.via.overridden()?;
        Ok(SharedProducer::new(self.producer_end::<Slots<E, F>>()?, via, Box::new(factory)))
    }

    /// Attaches a consumer to an existing ring.
    ///
    /// # Errors
    /// See [`MultiProcessError`](crate::MultiProcessError): `NotFound` (`NotReadyInTime` if it was to
    /// [wait](Self::attach_when_ready)), `IncompatibleEvent` with the first field that differs, `Join` with `IdInUse`
    /// or `TableFull`, and so on.
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
        let wait = self.settings.wait;
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
    /// Creates the ring of `size` slots at `place`, with the builder's defaults for everything else.
    ///
    /// # Errors
    /// As [`SharedDisruptorBuilder::build_producer`].
    pub fn create(
        place: impl Into<Place>,
        size: usize,
        factory: impl FnMut() -> E + Send + 'static,
    ) -> MultiProcessResult<Self> {
        SharedDisruptorBuilder::new(place, size).build_producer(factory)
    }
}

impl<E: Event> SharedConsumer<E> {
    /// Joins the ring of `size` slots at `place` under `consumer_id`, with the builder's defaults for everything else.
    ///
    /// # Errors
    /// As [`SharedDisruptorBuilder::build_consumer`].
    pub fn attach(place: impl Into<Place>, size: usize, consumer_id: impl Into<String>) -> MultiProcessResult<Self> {
        SharedDisruptorBuilder::new(place, size).with_consumer_id(consumer_id).build_consumer()
    }
}
