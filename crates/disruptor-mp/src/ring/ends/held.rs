//! Held events: taken out of a consumer, and released from any thread, in any order. They may outlive their consumer.

use super::keeper::Holding;
use super::messages::Release;
use crate::Sequence;
use crate::ring::memory::layout::Slots;
use crate::ring::protocol::form::{SlotForm, Stamped};
use crate::ring::protocol::memory::SlotMemory;
use crate::schema::Event;
use std::fmt;
use std::ops::Deref;

/// One event, in its slot, as long as it is needed, in any thread. [`release`](Self::release) acknowledges it. Dropping
/// it gives it back: the next call of its consumer hands it out before newer ones,
/// [marked](crate::Lease::is_redelivered). If the consumer has gone, a successor gets it. A panic, and a cancelled
/// task, drop it as well.
///
/// The producer waits for the oldest event that is not released. So does the consumer, once it was handed 64
/// ([`HELD_MAX`](crate::HELD_MAX)) counted from that one. The consumer's entry is kept until the last held event is
/// gone, even if the consumer was dropped. Until then its id is in use.
///
/// ```
/// # use disruptor_mp::{Patience, attach_shared_consumer, build_shared_single_producer};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let name = disruptor_mp::portable_shm_segment_name("doc");
/// let mut producer = build_shared_single_producer::<u64>(&name, 8).build_producer(|| 0)?;
/// let mut consumer = attach_shared_consumer::<u64>(&name, 8).build_consumer()?;
/// # producer.publish_batch(2, |slot, number| *slot = number as u64)?;
/// let first = consumer.next_held(Patience::Endless)?.expect("an endless wait ends with an event or an error");
/// let second = consumer.next_held(Patience::Endless)?.expect("an endless wait ends with an event or an error");
/// // Each is processed in any thread, and released when that is done, in any order: here the newer one first.
/// let worker = std::thread::spawn(move || {
///     assert_eq!(*second, 1);
///     second.release();
/// });
/// worker.join().expect("the worker has not panicked");
/// drop(first); // not released, so given back: the next call hands it out again
/// assert_eq!(consumer.next(Patience::Now)?.map(|event| *event), Some(0));
/// # Ok(())
/// # }
/// ```
///
/// Source: RFC 0014.
#[must_use = "dropping a held event gives it back"]
pub struct HeldEvent<E: Event, F: SlotForm = Stamped> {
    holding: Holding<Slots<E, F>>,
    redeliveries: u32,
}

impl<E: Event, F: SlotForm> HeldEvent<E, F> {
    pub(super) fn new(holding: Holding<Slots<E, F>>, redeliveries: u32) -> Self {
        Self { holding, redeliveries }
    }

    /// The event's sequence.
    pub fn sequence(&self) -> Sequence {
        self.holding.begin()
    }

    /// Whether this event may have been handed out before: see [`Lease::is_redelivered`](crate::Lease::is_redelivered).
    pub fn is_redelivered(&self) -> bool {
        self.redeliveries > 0
    }

    /// How often this event was handed out without being acknowledged: see
    /// [`Lease::redeliveries`](crate::Lease::redeliveries).
    pub fn redeliveries(&self) -> u32 {
        self.redeliveries
    }

    /// Acknowledges the event.
    ///
    /// ```compile_fail,E0382
    /// fn answer(event: disruptor_mp::HeldEvent<u64>) -> u64 {
    ///     event.release();
    ///     *event
    /// }
    /// ```
    pub fn release(self) {
        self.holding.release();
    }
}

impl<E: Event, F: SlotForm> Release for HeldEvent<E, F> {
    fn release(self) {
        self.release();
    }
}

impl<E: Event, F: SlotForm> Deref for HeldEvent<E, F> {
    type Target = E;

    fn deref(&self) -> &E {
        // SAFETY: published, which its consumer has seen (Acquire) before it handed it out. The producer does not write
        // it: the gate of the consumer's entry is not beyond a held event, and moves beyond this one only when
        // `holding` is dropped. As long as `holding` lives, so do the entry, its lock and the mapping. Every bit
        // pattern is an `E`.
        self.holding.memory().with(self.holding.begin(), |event| unsafe { &*event })
    }
}

impl<E: Event, F: SlotForm> fmt::Debug for HeldEvent<E, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldEvent").field("sequence", &self.sequence()).finish_non_exhaustive()
    }
}

/// Several consecutive events that are held as one message: see [`HeldEvent`]. They are released together, and are
/// handed out again together.
///
/// ```
/// # use disruptor_mp::{Patience, attach_shared_consumer, build_shared_single_producer};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let name = disruptor_mp::portable_shm_segment_name("doc");
/// # let mut producer = build_shared_single_producer::<u64>(&name, 8).build_producer(|| 0)?;
/// # let mut consumer = attach_shared_consumer::<u64>(&name, 8).build_consumer()?;
/// # producer.publish_batch(3, |slot, number| *slot = number as u64)?;
/// let batch = consumer.next_batch(16, Patience::Endless)?.expect("an endless wait ends with a batch or an error");
/// let batch = batch.hold();
/// let sum = std::thread::spawn(move || {
///     let sum = batch.iter().sum::<u64>();
///     batch.release();
///     sum
/// });
/// assert_eq!(sum.join().expect("the worker has not panicked"), 0 + 1 + 2);
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping a held batch gives it back"]
pub struct HeldBatch<E: Event, F: SlotForm = Stamped> {
    holding: Holding<Slots<E, F>>,
    redeliveries: u32,
}

impl<E: Event, F: SlotForm> HeldBatch<E, F> {
    pub(super) fn new(holding: Holding<Slots<E, F>>, redeliveries: u32) -> Self {
        Self { holding, redeliveries }
    }

    /// Number of events; at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a batch is never empty")]
    pub fn len(&self) -> usize {
        (self.holding.end() - self.holding.begin()) as usize
    }

    /// The sequence of the first event; those of the others follow.
    pub fn first_sequence(&self) -> Sequence {
        self.holding.begin()
    }

    /// The event at `index`, counted from the first of the batch.
    ///
    /// # Panics
    /// If `index` is not below [`len`](Self::len).
    pub fn get(&self, index: usize) -> &E {
        assert!(index < self.len(), "event {index} of a batch of {}", self.len());
        // SAFETY: as for `HeldEvent`; all of them are held together.
        self.holding.memory().with(self.holding.begin() + index as i64, |event| unsafe { &*event })
    }

    /// The events in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &E> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// How often the first event was handed out without being acknowledged: see
    /// [`Lease::redeliveries`](crate::Lease::redeliveries).
    pub fn redeliveries(&self) -> u32 {
        self.redeliveries
    }

    /// Acknowledges all of them.
    pub fn release(self) {
        self.holding.release();
    }
}

impl<E: Event, F: SlotForm> Release for HeldBatch<E, F> {
    fn release(self) {
        self.release();
    }
}

impl<E: Event, F: SlotForm> fmt::Debug for HeldBatch<E, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = self.first_sequence()..self.first_sequence() + self.len() as Sequence;
        f.debug_struct("HeldBatch").field("sequences", &span).finish_non_exhaustive()
    }
}
