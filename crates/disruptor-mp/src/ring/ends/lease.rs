//! What a consumer hands out: access to slots that the producer must not overwrite until the lease ends. A lease
//! borrows its consumer, so there is one at a time.

use super::consumer_side::ConsumerSide;
use super::held::{HeldBatch, HeldEvent};
use super::keeper::Holding;
use crate::Sequence;
use crate::ring::memory::layout::Slots;
use crate::ring::protocol::form::{Dense, SlotForm, Stamped};
use crate::ring::protocol::memory::SlotMemory;
use crate::schema::Event;
use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::Deref;

/// One event, in its slot. Dropping the lease acknowledges the event. While a panic unwinds, dropping does not
/// acknowledge it, and the event is handed out again.
///
/// The producer does not write the slot while the lease lives. So the event needs no copy, and a lease that lives long
/// fills the ring: [hold](Self::hold) or copy what must be kept while newer events are read.
///
/// ```
/// use disruptor_mp::{Patience, attach_shared_consumer, build_shared_single_producer};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let place = disruptor_mp::Place::heap();
/// let mut producer = build_shared_single_producer::<[u8; 48]>(&place, 2).build_producer(|| [0; 48])?;
/// let mut consumer = attach_shared_consumer::<[u8; 48]>(&place, 2).build_consumer()?;
/// producer.publish_batch_with(2, Patience::Endless, |slot, index| slot[0] = index as u8)?;
///
/// if let Some(event) = consumer.next(Patience::Endless)? {
///     // It is read in place; the producer waits for its slot.
///     assert_eq!((event.sequence(), event[0]), (0, 0));
///     assert!(producer.publish_with(Patience::Now, |slot| slot[0] = 2).is_err_and(|answer| answer.is_full()));
/// } // acknowledged: the slot is free
/// producer.publish_with(Patience::Now, |slot| slot[0] = 2)?;
///
/// if let Some(event) = consumer.next(Patience::Endless)? {
///     event.release_unread(); // given back: the next call returns event 1 again
/// }
/// # assert_eq!(consumer.next(Patience::Now)?.map(|event| event.sequence()), Some(1));
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping a lease acknowledges its event"]
pub struct Lease<'a, E: Event, F: SlotForm = Stamped> {
    event: &'a E,
    consumer: Unadvanced<'a, E, F>,
}

/// A consumer whose position advances when this is dropped.
struct Unadvanced<'a, E: Event, F: SlotForm> {
    consumer: &'a mut ConsumerSide<Slots<E, F>>,
    /// The position that it advances to.
    end: i64,
    /// Whether a panic was under way when the lease began: then it is not ours, and dropping acknowledges as usual.
    was_panicking: bool,
}

impl<'a, E: Event, F: SlotForm> Lease<'a, E, F> {
    /// The caller has looked: there is an event.
    #[inline(always)]
    pub(super) fn new(consumer: &'a mut ConsumerSide<Slots<E, F>>) -> Self {
        let sequence = consumer.core.next();
        consumer.core.deliver_to(sequence + 1);
        // SAFETY: `look` has seen the event published (Acquire), and our gate, which keeps the producer off this slot,
        // advances only when the lease is dropped. The memory is mapped as long as the consumer lives, which the lease
        // borrows. Every bit pattern is an `E`.
        let event = consumer.core.memory().with(sequence, |event| unsafe { &*event });
        Self { event, consumer: Unadvanced::new(consumer, sequence + 1) }
    }

    /// The event's sequence.
    pub fn sequence(&self) -> Sequence {
        self.consumer.end - 1
    }

    /// Whether this event may have been handed out before, to a consumer of this id that died or panicked before it
    /// acknowledged it.
    pub fn is_redelivered(&self) -> bool {
        self.redeliveries() > 0
    }

    /// How often this event has been handed out without being acknowledged, as far as is known. If the count grows with
    /// every restart, the event kills its consumer, and may be [skipped](crate::SharedConsumer::skip).
    ///
    /// Each event that was in hand at a death counts 1. They are handed out again one at a time, so at the next death
    /// only the event that was being handled counts 2. An event in which a handler panicked counts as well, even for
    /// the same consumer. An event that was given back counts 1 for a successor, and adds nothing to a death.
    pub fn redeliveries(&self) -> u32 {
        self.consumer.consumer.redelivery_of(self.sequence())
    }

    /// Takes the event out of the consumer: it is then acknowledged by [`HeldEvent::release`], from any thread, while
    /// newer ones are received.
    ///
    /// A lease cannot outlive the borrow of its consumer; a held event can.
    ///
    /// ```compile_fail,E0597
    /// fn hand_on(mut consumer: disruptor_mp::SharedConsumer<u64>) {
    ///     let event = consumer.consume_next_leased().expect("an event");
    ///     std::thread::spawn(move || println!("{}", *event));
    /// }
    /// ```
    pub fn hold(self) -> HeldEvent<E, F> {
        let redeliveries = self.redeliveries();
        HeldEvent::new(self.consumer.hold(), redeliveries)
    }

    /// Gives the event back without acknowledging it: the next call returns it again.
    pub fn release_unread(mut self) {
        let next = self.consumer.consumer.core.next();
        self.consumer.consumer.note_given_back(next, self.consumer.end);
        self.consumer.end = next;
    }
}

impl<E: Event, F: SlotForm> Deref for Lease<'_, E, F> {
    type Target = E;

    #[inline(always)]
    fn deref(&self) -> &E {
        self.event
    }
}

impl<'a, E: Event, F: SlotForm> Unadvanced<'a, E, F> {
    #[inline(always)]
    fn new(consumer: &'a mut ConsumerSide<Slots<E, F>>, end: i64) -> Self {
        Self { consumer, end, was_panicking: std::thread::panicking() }
    }

    fn hold(mut self) -> Holding<Slots<E, F>> {
        let end = self.end;
        let count = (end - self.consumer.core.next()) as usize;
        let holding = self.consumer.hold(end, count, (count * size_of::<E>()) as u64, end - 1);
        // Dropping this acknowledges nothing any more.
        self.end = self.consumer.core.next();
        holding
    }
}

impl<E: Event, F: SlotForm> Drop for Unadvanced<'_, E, F> {
    #[inline(always)]
    fn drop(&mut self) {
        let count = self.end - self.consumer.core.next();
        if count > 0 {
            self.consumer.acknowledge_slots(self.end, count as u64, size_of::<E>() as u64, self.was_panicking);
        }
    }
}

/// Several consecutive events, in their slots, acknowledged together when the lease is dropped. Not while a panic
/// unwinds: then all of them are handed out again.
///
/// Nothing of a lease is acknowledged before it is dropped, however long its events take: to a producer, a consumer
/// that works through a long batch looks like one that makes no progress. If events may take milliseconds, take few at
/// a time, or [give back](Self::release_first) what is not done yet. Or use
/// [`SharedConsumer::process_available`](crate::SharedConsumer::process_available), which acknowledges on the way.
///
/// After a [rejoin](crate::ConsumerEnd::has_rejoined), redelivered events come in batches of one.
///
/// ```
/// use disruptor_mp::{Patience, attach_shared_consumer, build_shared_single_producer};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let name = disruptor_mp::portable_shm_segment_name("doc");
/// # let mut producer = build_shared_single_producer::<u64>(&name, 8).build_producer(|| 0)?;
/// # let mut consumer = attach_shared_consumer::<u64>(&name, 8).build_consumer()?;
/// # producer.publish_batch(5, |slot, number| *slot = number as u64)?;
/// # drop(producer);
/// let mut sums = vec![];
/// // All that is there, at most four at a time; each batch is acknowledged at the end of its iteration.
/// while let Some(batch) = consumer.next_batch_or_end(4, Patience::Endless)? {
///     sums.push(batch.iter().sum::<u64>());
///     if sums.len() == 1 {
///         batch.release_first(2); // only two of them are done; the others come again in the next batch
///     }
/// }
/// assert_eq!(sums, [0 + 1 + 2 + 3, 2 + 3 + 4]);
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping a lease acknowledges its events"]
pub struct BatchLease<'a, E: Event, F: SlotForm = Stamped> {
    first: i64,
    len: usize,
    /// Where dropping this advances to: nowhere if the events are lent to a handler.
    consumer: Unadvanced<'a, E, F>,
}

impl<'a, E: Event, F: SlotForm> BatchLease<'a, E, F> {
    /// The caller has looked: there is at least one event.
    #[inline(always)]
    pub(super) fn new(consumer: &'a mut ConsumerSide<Slots<E, F>>, max: usize) -> Self {
        let first = consumer.core.next();
        let end = first + (consumer.core.readable() - first).min(i64::try_from(max).unwrap_or(i64::MAX));
        consumer.core.deliver_to(end);
        Self { first, len: (end - first) as usize, consumer: Unadvanced::new(consumer, end) }
    }

    /// A lease of the `len` events from `first` on for a handler, which has them while it runs. The caller of the
    /// handler has seen them published, and acknowledges them. Dropping the lease would do nothing.
    #[inline(always)]
    pub(super) fn lent(consumer: &'a mut ConsumerSide<Slots<E, F>>, first: i64, len: usize) -> ManuallyDrop<Self> {
        let end = consumer.core.next();
        ManuallyDrop::new(Self { first, len, consumer: Unadvanced { consumer, end, was_panicking: false } })
    }

    /// Number of events; at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a batch is never empty")]
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The sequence of the first event; those of the others follow.
    pub fn first_sequence(&self) -> Sequence {
        self.first
    }

    /// The event at `index`, counted from the first of the batch.
    ///
    /// # Panics
    /// If `index` is not below [`len`](Self::len).
    #[inline(always)]
    pub fn get(&self, index: usize) -> &E {
        assert!(index < self.len(), "event {index} of a batch of {}", self.len());
        // SAFETY: as in `Lease::new`; every event of the batch is published, and the gate is at the first.
        self.consumer.consumer.core.memory().with(self.first + index as i64, |event| unsafe { &*event })
    }

    /// The events in order.
    #[inline]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &E> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// How often the event at `index` was handed out before without being acknowledged, as far as is known. See
    /// [`Lease::redeliveries`].
    pub fn redeliveries(&self, index: usize) -> u32 {
        self.consumer.consumer.redelivery_of(self.first + index as i64)
    }

    /// Takes all of them out of the consumer, as one message: they are acknowledged by [`HeldBatch::release`], from any
    /// thread, while newer ones are received.
    ///
    /// # Panics
    /// If there are more than 65 536.
    pub fn hold(self) -> HeldBatch<E, F> {
        self.assert_own();
        let redeliveries = self.redeliveries(0);
        HeldBatch::new(self.consumer.hold(), redeliveries)
    }

    /// Acknowledges only the first `count` events; the next call returns the others again.
    ///
    /// # Panics
    /// If `count` is more than [`len`](Self::len).
    pub fn release_first(mut self, count: usize) {
        assert!(count <= self.len(), "released {count} of a batch of {}", self.len());
        self.assert_own();
        let end = self.first + count as i64;
        self.consumer.consumer.note_given_back(end, self.consumer.end);
        self.consumer.end = end;
    }

    fn assert_own(&self) {
        assert!(self.consumer.end > self.first, "events that are lent to a handler are not taken out of its batch");
    }
}

impl<E: Event> BatchLease<'_, E, Dense> {
    /// The events in order, in place: up to the end of the ring, and then those at its beginning, of which there may be
    /// none.
    pub fn as_slices(&self) -> (&[E], &[E]) {
        let end = self.consumer.end;
        let memory = self.consumer.consumer.core.memory();
        let first = memory.slice(self.first, end);
        let rest = memory.slice(self.first + first.len() as i64, end);
        // SAFETY: as in `Lease::new`; every event of the batch is published, and the gate is at the first.
        unsafe { (first.as_ref(), rest.as_ref()) }
    }
}

impl<E: Event, F: SlotForm> fmt::Debug for Lease<'_, E, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("sequence", &self.sequence())
            .field("redeliveries", &self.redeliveries())
            .finish_non_exhaustive()
    }
}

impl<E: Event, F: SlotForm> fmt::Debug for BatchLease<'_, E, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchLease")
            .field("first_sequence", &self.first_sequence())
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
