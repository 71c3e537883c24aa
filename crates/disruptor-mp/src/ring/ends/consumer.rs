//! The reading end of a ring of events. One process has it, and one thread at a time uses it.

use super::consumer_end::ConsumerBase;
use super::consumer_face::{ConsumerMut, HasConsumer};
use super::consumer_side::ConsumerSide;
use super::error::{ConsumeError, or_end};
use super::held::HeldEvent;
use super::lease::{BatchLease, Lease};
use super::messages::{Holds, Messages};
use super::pace::coarse_now_ns;
use super::patience::Patience;
use crate::Sequence;
use crate::ring::memory::layout::Slots;
use crate::ring::protocol::form::{SlotForm, Stamped};
use crate::schema::Event;
use std::fmt;
use std::time::Instant;

/// One consumer of a ring: it sees every event from its start on, in order, and the producer waits for it.
///
/// Delivery is *at least once*: an event is acknowledged when its lease is dropped, never before the application has
/// seen it. A consumer that is killed and comes back under its id gets what it had not acknowledged again, marked
/// [redelivered](Lease::is_redelivered).
///
/// Dropping the consumer gives its entry up, and with it what was not acknowledged, unless the program asked for
/// [`keep_place`](Self::keep_place). A panic that drops the consumer keeps the entry of a consumer whose id the program
/// chose: a consumer that attaches again under that id, in any process, continues as after a death.
///
/// ```
/// use disruptor_mp::{Patience, attach_shared_consumer, build_shared_single_producer};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let name = disruptor_mp::portable_shm_segment_name("doc");
/// # let mut producer = build_shared_single_producer::<u64>(&name, 8).build_producer(|| 0)?;
/// let attach = || attach_shared_consumer::<u64>(&name, 8).with_consumer_id("worker-0").keep_place().build_consumer();
/// let mut consumer = attach()?;
/// # producer.publish_batch(3, |slot, number| *slot = number as u64)?;
/// if let Some(event) = consumer.next(Patience::Endless)? {
///     println!("event {}: {}", event.sequence(), *event);
/// } // the lease is dropped here: the event is acknowledged
/// drop(consumer); // the process ends, or is restarted
///
/// // Under the same id it goes on with the first event that was not acknowledged, here or in another process.
/// let mut consumer = attach()?;
/// # drop(producer);
/// # let mut sequences = vec![];
/// while let Some(event) = consumer.next_or_end(Patience::Endless)? {
///     println!("event {}: {}", event.sequence(), *event);
/// #   sequences.push(event.sequence());
/// } // the loop ends when the producer has closed the ring and everything was read
/// # assert_eq!(sequences, [1, 2]);
/// # Ok(())
/// # }
/// ```
pub struct SharedConsumer<E: Event, F: SlotForm = Stamped> {
    pub(super) end: ConsumerBase<Slots<E, F>>,
}

/// `SharedConsumer` on a mapped file; the place is an argument, not another type.
pub type MmapConsumer<E> = SharedConsumer<E>;

impl<E: Event, F: SlotForm> SharedConsumer<E, F> {
    pub(crate) fn new(end: ConsumerBase<Slots<E, F>>) -> Self {
        Self { end }
    }

    /// The next event, in its slot; waits for it as `patience` says. `None` only for [`Patience::Now`], if there is
    /// none yet. The lease gives access to the slot itself; dropping it acknowledges the event.
    ///
    /// # Errors
    /// See [`ConsumeError`]; everything published before the end is delivered first. `Now` reads the end in the ring
    /// and asks no process, so it does not notice a killed producer: use [`check_producer`](Self::check_producer) for
    /// that.
    #[inline(always)]
    pub fn next(&mut self, patience: impl Into<Patience>) -> Result<Option<Lease<'_, E, F>>, ConsumeError> {
        if !self.end.side.look() && !self.end.wait_as(patience.into())? {
            return Ok(None);
        }
        Ok(Some(Lease::new(&mut self.end.side)))
    }

    /// [`next`](Self::next) for loops that end where the ring ends. `None`: the producer has closed it and everything
    /// was read. If there is nothing yet, the error is [`TimedOut`](ConsumeError::TimedOut).
    ///
    /// ```
    /// # use disruptor_mp::{Patience, attach_shared_consumer, build_shared_single_producer};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let name = disruptor_mp::portable_shm_segment_name("doc");
    /// # let mut producer = build_shared_single_producer::<u64>(&name, 8).build_producer(|| 0)?;
    /// # let mut consumer = attach_shared_consumer::<u64>(&name, 8).build_consumer()?;
    /// # for number in 1..4 {
    /// #     producer.publish(|event| *event = number)?;
    /// # }
    /// # drop(producer);
    /// let mut sum = 0;
    /// while let Some(event) = consumer.next_or_end(Patience::Endless)? {
    ///     sum += *event;
    /// }
    /// # assert_eq!(sum, 1 + 2 + 3);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`next`](Self::next), without `Closed`.
    #[inline(always)]
    pub fn next_or_end(&mut self, patience: impl Into<Patience>) -> Result<Option<Lease<'_, E, F>>, ConsumeError> {
        or_end(self.next(patience), ConsumeError::is_closed)
    }

    /// Everything that can be read now, at most `max` events, as one lease that is acknowledged as a whole; waits for
    /// the first of them as `patience` says. `None` only for [`Patience::Now`], if there is none yet.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    ///
    /// # Panics
    /// If `max` is 0.
    #[inline(always)]
    pub fn next_batch(
        &mut self,
        max: usize,
        patience: impl Into<Patience>,
    ) -> Result<Option<BatchLease<'_, E, F>>, ConsumeError> {
        assert!(max > 0, "a batch has room for at least one event");
        if !self.end.side.look_for_all() {
            if !self.end.wait_as(patience.into())? {
                return Ok(None);
            }
            self.end.side.look_for_all();
        }
        Ok(Some(BatchLease::new(&mut self.end.side, max)))
    }

    /// [`next_batch`](Self::next_batch) for loops that end where the ring ends, as [`next_or_end`](Self::next_or_end).
    ///
    /// # Errors
    /// As [`next`](Self::next), without `Closed`.
    ///
    /// # Panics
    /// If `max` is 0.
    #[inline(always)]
    pub fn next_batch_or_end(
        &mut self,
        max: usize,
        patience: impl Into<Patience>,
    ) -> Result<Option<BatchLease<'_, E, F>>, ConsumeError> {
        or_end(self.next_batch(max, patience), ConsumeError::is_closed)
    }

    /// [`next`](Self::next)`(Patience::Now)` without the reason why there is nothing.
    #[inline]
    pub fn try_consume_next_leased(&mut self) -> Option<Lease<'_, E, F>> {
        if self.end.side.look() { Some(Lease::new(&mut self.end.side)) } else { None }
    }

    /// [`next`](Self::next)`(Patience::Endless)`.
    ///
    /// # Errors
    /// See [`ConsumeError`]; everything published before the end is delivered first.
    #[inline]
    pub fn consume_next_leased(&mut self) -> Result<Lease<'_, E, F>, ConsumeError> {
        if !self.end.side.look() {
            self.end.wait(None)?;
        }
        Ok(Lease::new(&mut self.end.side))
    }

    /// [`next`](Self::next)`(Patience::Until(deadline))`.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    #[inline]
    pub fn consume_next_leased_deadline(&mut self, deadline: Instant) -> Result<Lease<'_, E, F>, ConsumeError> {
        if !self.end.side.look() {
            self.end.wait(Some(deadline))?;
        }
        Ok(Lease::new(&mut self.end.side))
    }

    /// [`next_batch`](Self::next_batch)`(max, Patience::Now)` without the reason why there is nothing.
    #[inline]
    pub fn try_consume_batch_leased(&mut self, max: usize) -> Option<BatchLease<'_, E, F>> {
        if max > 0 && self.end.side.look_for_all() { Some(BatchLease::new(&mut self.end.side, max)) } else { None }
    }

    /// [`next_batch`](Self::next_batch)`(max, Patience::Until(deadline))`; without a deadline, `Patience::Endless`.
    ///
    /// # Errors
    /// See [`ConsumeError`].
    ///
    /// # Panics
    /// If `max` is 0.
    #[inline]
    pub fn consume_batch_leased(
        &mut self,
        max: usize,
        deadline: Option<Instant>,
    ) -> Result<BatchLease<'_, E, F>, ConsumeError> {
        assert!(max > 0, "a batch has room for at least one event");
        if !self.end.side.look_for_all() {
            self.end.wait(deadline)?;
            self.end.side.look_for_all();
        }
        Ok(BatchLease::new(&mut self.end.side, max))
    }

    /// The next event, to be released from any thread while newer ones are read; waits for it as `patience` says.
    /// `None` only for [`Patience::Now`], if there is none.
    ///
    /// An event that was given back comes before newer ones. Counted from the oldest event that it still holds, a
    /// consumer is handed 64 ([`HELD_MAX`](crate::HELD_MAX)), released or not. After that it gets nothing newer by any
    /// call until the oldest is released. The release of another makes no room.
    ///
    /// # Errors
    /// See [`ConsumeError`]; everything published before the end is delivered first. `HeldLimit` if the oldest is not
    /// released within `patience`: the call waits for that as well; for [`Patience::Now`] at once.
    pub fn next_held(&mut self, patience: impl Into<Patience>) -> Result<Option<HeldEvent<E, F>>, ConsumeError> {
        Ok(self.next(patience)?.map(Lease::hold))
    }

    /// The events of the ring, one by one, until the producer has closed it.
    ///
    /// An event of the loop is acknowledged when it is dropped, except by a panic, which gives it back.
    /// [`hold`](crate::Taken::hold) takes it out of the loop. Each event costs a lock: where that matters, take leases.
    /// Counted from the oldest event that is kept, 64 are handed out; then the loop waits until that one is released.
    ///
    /// ```
    /// # use disruptor_mp::{attach_shared_consumer, build_shared_single_producer};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let name = disruptor_mp::portable_shm_segment_name("doc");
    /// # let mut producer = build_shared_single_producer::<u64>(&name, 8).build_producer(|| 0)?;
    /// # let mut consumer = attach_shared_consumer::<u64>(&name, 8).build_consumer()?;
    /// # producer.publish_batch(3, |slot, number| *slot = number as u64)?;
    /// # drop(producer);
    /// let mut sum = 0;
    /// for event in consumer.messages() {
    ///     sum += **event?;
    /// }
    /// assert_eq!(sum, 0 + 1 + 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// An error is yielded. It ends the loop if nothing will come any more: `Replaced`, `ProducerDied`, `Forked`.
    pub fn messages(&mut self) -> Messages<'_, Self> {
        Messages::new(self)
    }

    /// Hands everything that can be read now to `handler`, and returns how many events that were.
    ///
    /// They are acknowledged on the way: every 64 events, or an eighth of the ring, and once 10 ms have passed since
    /// the last time. So the producer sees that a slow handler makes progress, and gets room. If `handler` panics, the
    /// events before that one are acknowledged, and that one is not.
    pub fn process_available(&mut self, mut handler: impl FnMut(&E, Sequence)) -> usize {
        self.process_available_to_end(|event, sequence, _| handler(event, sequence))
    }

    /// [`process_available`](Self::process_available) with a handler that is told which event is the last of the batch.
    #[inline]
    pub fn process_available_to_end(&mut self, mut handler: impl FnMut(&E, Sequence, bool)) -> usize {
        self.process_while(|event, sequence, is_last| {
            handler(event, sequence, is_last);
            true
        })
    }

    /// [`process_available_to_end`](Self::process_available_to_end), as long as `handler` returns `true`. The event for
    /// which it returns `false` counts as handled.
    #[inline]
    pub(crate) fn process_while(&mut self, mut handler: impl FnMut(&E, Sequence, bool) -> bool) -> usize {
        if !self.end.side.is_plain() {
            return self.process_among_held(&mut handler);
        }
        let first = self.end.side.core.next();
        // Redelivered events are handed out one at a time, and each is a batch of its own.
        while self.process_batch(&mut handler) && self.end.side.core.hands_out_singly() {}
        (self.end.side.core.next() - first) as usize
    }

    /// [`process_while`](Self::process_while) where messages are held: each event is acknowledged separately.
    // Inlined like the rest: if a handler's address were passed to another function, the handler's sums would be kept
    // in memory for both.
    #[inline(always)]
    fn process_among_held(&mut self, handler: &mut impl FnMut(&E, Sequence, bool) -> bool) -> usize {
        let most = self.end.capacity();
        for handled in 0..most {
            let Some(event) = self.try_consume_next_leased() else { return handled };
            if !handler(&event, event.sequence(), true) {
                return handled + 1;
            }
        }
        most
    }

    /// Hands what can be read now to `handler`. `false`: there was nothing, or `handler` has returned `false`.
    #[inline(always)]
    fn process_batch(&mut self, handler: &mut impl FnMut(&E, Sequence, bool) -> bool) -> bool {
        if !self.end.side.look_for_all() {
            return false;
        }
        let (begin, end) = (self.end.side.core.next(), self.end.side.core.readable());
        self.end.side.core.deliver_to(end);
        let part = self.end.side.part();
        let mut batch = InHandler { consumer: &mut self.end.side, position: begin, end };
        while batch.position < end {
            let begin = batch.position;
            let count = part.min(batch.consumer.pace.run() as i64);
            let run = batch.consumer.core.memory().payloads(begin, end.min(begin + count));
            for event in run {
                let sequence = batch.position;
                // SAFETY: published, which `look_for_all` has seen (Acquire). Our gate, which keeps the producer off
                // this slot, is not beyond it: `acknowledge` moves it to `position`, and nothing else does while
                // `batch` borrows the consumer. Every bit pattern is an `E`.
                let goes_on = handler(unsafe { event.as_ref() }, sequence, sequence + 1 == end);
                batch.position = sequence + 1;
                if !goes_on {
                    batch.consumer.note_not_handed(batch.position);
                    batch.end = batch.position;
                    return false;
                }
            }
            let is_due = batch.consumer.pace.is_due((batch.position - begin) as u64, coarse_now_ns);
            if is_due || batch.position - batch.consumer.core.next() >= part {
                batch.consumer.acknowledge_handled_slots(batch.position);
            }
        }
        true
    }

    /// Gives the entry up, even after `keep_place`: what was not acknowledged is lost to this id, and the id is free. A
    /// producer that requires this consumer is told.
    pub fn leave(mut self) {
        self.end.leave_on_drop();
    }

    /// Skips the next event without looking at it: for an event that has killed its consumer before. `false` if there
    /// is none now.
    pub fn skip(&mut self) -> bool {
        self.try_consume_next_leased().is_some()
    }

    crate::consumer_end_methods!(end [pub]);
}

impl<E: Event, F: SlotForm> Holds for SharedConsumer<E, F> {
    type Held = HeldEvent<E, F>;
    type Error = ConsumeError;

    fn take_held(&mut self, patience: Patience) -> Result<Option<HeldEvent<E, F>>, ConsumeError> {
        self.next_held(patience)
    }

    fn consume_error(error: &ConsumeError) -> Option<&ConsumeError> {
        Some(error)
    }
}

/// Events that a handler goes through. Dropping this acknowledges those before `position`.
struct InHandler<'a, E: Event, F: SlotForm> {
    consumer: &'a mut ConsumerSide<Slots<E, F>>,
    /// Everything before it was handled.
    position: i64,
    /// The end of what the handler gets; not reached only if it panics.
    end: i64,
}

impl<E: Event, F: SlotForm> Drop for InHandler<'_, E, F> {
    #[inline(always)]
    fn drop(&mut self) {
        self.consumer.acknowledge_handled_slots(self.position);
        if self.position < self.end {
            // The events that the handler had not come to are not in its hands.
            self.consumer.note_panic(self.position + 1);
        }
    }
}

impl<E: Event, F: SlotForm> HasConsumer for SharedConsumer<E, F> {
    type Carries = Slots<E, F>;

    fn base(&self) -> &ConsumerBase<Slots<E, F>> {
        &self.end
    }

    fn base_mut(&mut self) -> ConsumerMut<'_, Slots<E, F>> {
        ConsumerMut(&mut self.end)
    }

    fn wait_for_next(&mut self, patience: Patience) -> Result<(), ConsumeError> {
        self.end.wait_until_readable(patience)
    }
}

impl<E: Event, F: SlotForm> fmt::Debug for SharedConsumer<E, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.end.describe("SharedConsumer", f)
    }
}
