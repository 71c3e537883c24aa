//! The publishing end of a ring of events: the fast path. One process has it, and one thread at a time uses it.

use super::asking::{Asking, BYTES_MAX};
use super::buffer::PayloadBuffer;
use super::error::{MissingFreeSlots, NoRoom, PublishError, RingBufferFull};
use super::pace::now_ns;
use super::patience::Patience;
use super::producer_end::ProducerBase;
use super::producer_face::{HasProducer, ProducerMut};
use super::via::WriteVia;
use crate::Sequence;
use crate::counters::CounterHandle;
use crate::liveness::RequiredConsumerError;
use crate::ring::memory::layout::Slots;
use crate::ring::protocol::form::{SlotForm, Stamped};
use crate::ring::protocol::memory::Memory;
use crate::schema::Event;
use std::fmt;
use std::ptr::NonNull;
use std::time::Instant;

/// The one producer of a ring of events.
///
/// It writes each event in its slot. Where the ring is full, it waits for the slowest consumer, as long as the
/// [`Patience`] of the call says; a wait that ends without room says which consumer held the ring back.
///
/// Dropping it closes the ring: consumers read what is left and then get
/// [`Closed`](super::error::ConsumeError::Closed). The name is removed at the same time; a process that has the ring
/// open keeps the ring.
///
/// ```
/// use disruptor_mp::{Patience, attach_shared_consumer, build_shared_single_producer};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let name = disruptor_mp::portable_shm_segment_name("doc");
/// let mut producer = build_shared_single_producer::<u64>(&name, 2).build_producer(|| 0)?;
/// // Usually in another process. This one is slow: it reads nothing.
/// let slow = attach_shared_consumer::<u64>(&name, 2).with_consumer_id("worker-0").build_consumer()?;
///
/// producer.publish_batch_with(2, Patience::Endless, |slot, index| *slot = index as u64)?;
/// // The ring has two slots. For a call that does not wait, "full" is an ordinary answer:
/// assert!(producer.publish_with(Patience::Now, |slot| *slot = 2).is_err_and(|answer| answer.is_full()));
/// // A call that has waited names the consumer that it waited for:
/// if let Err(error) = producer.publish_with(Duration::from_millis(1), |slot| *slot = 2) {
///     assert!(error.is_timed_out());
///     eprintln!("{error}"); // timed out: ring shm:steps: producer waits for space since 1.1ms; worker-0 pid 4711 ...
/// #   assert!(error.to_string().contains("worker-0 pid "), "{error}");
/// }
///
/// slow.leave(); // the producer waits for it no more
/// producer.publish_with(Patience::Endless, |slot| *slot = 2)?;
/// # Ok(())
/// # }
/// ```
pub struct SharedProducer<E: Event, F: SlotForm = Stamped> {
    end: ProducerBase<Slots<E, F>>,
    buffer: PayloadBuffer,
    /// How many events after the first lap are written plainly: see `is_plain`.
    plain: u64,
    factory: Box<dyn FnMut() -> E + Send>,
}

/// `SharedProducer` on a mapped file; the place is an argument, not another type.
pub type MmapProducer<E> = SharedProducer<E>;

impl<E: Event, F: SlotForm> SharedProducer<E, F> {
    pub(crate) fn new(
        mut end: ProducerBase<Slots<E, F>>,
        via: WriteVia,
        factory: Box<dyn FnMut() -> E + Send>,
    ) -> Self {
        let capacity = end.side.core.memory().capacity();
        // No reader has had the slots of the first lap.
        let tried = if size_of::<E>() <= BYTES_MAX { via } else { WriteVia::Ring };
        end.side.asking = Asking::new(end.side.core.next().max(capacity), tried);
        let plain = plain(&end.side.asking, capacity);
        let bytes = if PayloadBuffer::takes::<E>() { size_of::<E>() } else { 0 };
        Self { end, buffer: PayloadBuffer::new(via, bytes), plain, factory }
    }

    /// Publishes one event: waits for room as `patience` says, lets `fill` write the slot, and returns the event's
    /// sequence.
    ///
    /// The slot holds what the factory made when it is used for the first time, and an older event afterwards: `fill`
    /// overwrites what matters. If `fill` panics, nothing is published. An event of 2 KiB or more may be written in a
    /// buffer from which it is copied: see [`write_via`](crate::SharedDisruptorBuilder::write_via).
    ///
    /// With [`Patience::Managed`] the call is under the watch that was enabled: alerts, then the failure action. If a
    /// required consumer has left, was dropped or was evicted, the next call knows it. If its process was killed, the
    /// producer knows it, counted from 5 ms after the kill, at the latest after another half of the ring (a slow
    /// producer after 16 events), or within two intervals of the watcher.
    /// [`enable_required_consumer_liveness`](Self::enable_required_consumer_liveness) says exactly when.
    ///
    /// # Errors
    /// `Full` for `Now`: try later. `Publish` and `RequiredConsumer` say why a wait ended without room. If a consumer
    /// died, restart it under its id, or [evict](Self::evict_consumer) it. `fill` has not run. Source: RFC 0001,
    /// "Publish".
    #[inline]
    pub fn publish_with(
        &mut self,
        patience: impl Into<Patience>,
        fill: impl FnOnce(&mut E),
    ) -> Result<Sequence, NoRoom> {
        self.end.make_room(1, &patience.into())?;
        Ok(self.write(fill))
    }

    /// [`publish_with`](Self::publish_with)`(Patience::Endless, fill)`.
    ///
    /// # Errors
    /// See [`PublishError`]; `fill` has not run.
    #[inline]
    pub fn publish(&mut self, fill: impl FnOnce(&mut E)) -> Result<Sequence, PublishError> {
        if self.end.side.must_look(1) {
            self.end.wait_for_room(1, None)?;
        }
        Ok(self.write(fill))
    }

    /// [`publish_with`](Self::publish_with)`(Patience::Until(deadline), fill)`.
    ///
    /// # Errors
    /// See [`PublishError`]: the report in `TimedOut` names the consumer that held the ring back. `fill` has not run.
    #[inline]
    pub fn publish_deadline(&mut self, deadline: Instant, fill: impl FnOnce(&mut E)) -> Result<Sequence, PublishError> {
        if self.end.side.must_look(1) {
            self.end.wait_for_room(1, Some(deadline))?;
        }
        Ok(self.write(fill))
    }

    /// [`publish_with`](Self::publish_with)`(Patience::Now, fill)`.
    ///
    /// # Errors
    /// `RingBufferFull`: `fill` has not run; try later. A producer that is shut also gives this answer, and so does a
    /// handle that a fork has carried into a child process. The call frees the entries of dead consumers under ids that
    /// are not used again; for the others ask [`check_peers`](Self::check_peers).
    #[inline]
    pub fn try_publish(&mut self, fill: impl FnOnce(&mut E)) -> Result<Sequence, RingBufferFull> {
        if self.end.side.must_look(1) && !self.end.side.find_room(1) {
            return Err(RingBufferFull);
        }
        Ok(self.write(fill))
    }

    /// [`publish_with`](Self::publish_with)`(Patience::Managed, fill)`.
    ///
    /// # Errors
    /// See [`RequiredConsumerError`]; `fill` has not run.
    #[inline]
    pub fn publish_managed(&mut self, fill: impl FnOnce(&mut E)) -> Result<Sequence, RequiredConsumerError> {
        self.end.enter_managed(1, None)?;
        Ok(self.write(fill))
    }

    /// Publishes `count` events, filled by `fill(slot, index)`, and returns the sequence of the last one. Waits as
    /// `patience` says until there is room for all of them; they become visible one by one, in order, with one wake. If
    /// `fill` panics, the finished ones are published.
    ///
    /// # Errors
    /// See [`NoRoom`]; `fill` has not run. If the ring has fewer than `count` slots, `TooLarge` at once, or `Full` with
    /// the patience [`Now`](Patience::Now).
    ///
    /// # Panics
    /// If `count` is 0.
    #[inline]
    pub fn publish_batch_with(
        &mut self,
        count: usize,
        patience: impl Into<Patience>,
        fill: impl FnMut(&mut E, usize),
    ) -> Result<Sequence, NoRoom> {
        self.end.make_room(count, &patience.into())?;
        Ok(self.write_batch(count, fill))
    }

    /// [`publish_batch_with`](Self::publish_batch_with)`(count, Patience::Endless, fill)`.
    ///
    /// # Errors
    /// See [`PublishError`]; `fill` has not run.
    ///
    /// # Panics
    /// If `count` is 0.
    #[inline]
    pub fn publish_batch(&mut self, count: usize, fill: impl FnMut(&mut E, usize)) -> Result<Sequence, PublishError> {
        if self.end.side.must_look(count) {
            self.end.wait_for_room(count, None)?;
        }
        Ok(self.write_batch(count, fill))
    }

    /// [`publish_batch_with`](Self::publish_batch_with)`(count, Patience::Until(deadline), fill)`.
    ///
    /// # Errors
    /// See [`PublishError`]; `fill` has not run.
    ///
    /// # Panics
    /// If `count` is 0.
    #[inline]
    pub fn publish_batch_deadline(
        &mut self,
        count: usize,
        deadline: Instant,
        fill: impl FnMut(&mut E, usize),
    ) -> Result<Sequence, PublishError> {
        if self.end.side.must_look(count) {
            self.end.wait_for_room(count, Some(deadline))?;
        }
        Ok(self.write_batch(count, fill))
    }

    /// [`publish_batch_with`](Self::publish_batch_with)`(count, Patience::Now, fill)`, with an error that says how much
    /// room is missing.
    ///
    /// # Errors
    /// `MissingFreeSlots` says how many slots are missing; for a batch larger than the ring that never becomes 0.
    ///
    /// # Panics
    /// If `count` is 0.
    #[inline]
    pub fn try_publish_batch(
        &mut self,
        count: usize,
        fill: impl FnMut(&mut E, usize),
    ) -> Result<Sequence, MissingFreeSlots> {
        if self.end.side.must_look(count) && !self.end.side.find_room(count) {
            // In a child of a fork there is no room, whatever was found before.
            let room = if self.end.side.is_forked() { 0 } else { self.end.side.core.open_room() as u64 };
            return Err(MissingFreeSlots { missing: count as u64 - room });
        }
        Ok(self.write_batch(count, fill))
    }

    /// [`publish_batch_with`](Self::publish_batch_with)`(count, Patience::Managed, fill)`.
    ///
    /// # Errors
    /// See [`RequiredConsumerError`]; `fill` has not run.
    ///
    /// # Panics
    /// If `count` is 0.
    #[inline]
    pub fn publish_batch_managed(
        &mut self,
        count: usize,
        fill: impl FnMut(&mut E, usize),
    ) -> Result<Sequence, RequiredConsumerError> {
        self.end.enter_managed(count, None)?;
        Ok(self.write_batch(count, fill))
    }

    /// Publishes `count` events as a group, filled by `fill(slot, index)`: readers find all of them, or none. Returns
    /// the sequence of the last one.
    ///
    /// `fill` gets each slot as it is: zeros when it is used for the first time, whatever the factory makes, and an
    /// older event afterwards. If `fill` fails or panics, nothing is published; its error is the inner one.
    ///
    /// If the process is killed at any point before the end, nothing of the group is published.
    ///
    /// # Errors
    /// See [`NoRoom`]; `fill` has not run. A group of more events than the ring has slots is `TooLarge` at once.
    ///
    /// # Panics
    /// If `count` is 0.
    /// Source: RFC 0007, "Sending".
    #[inline(always)]
    pub fn publish_group<X>(
        &mut self,
        count: usize,
        patience: impl Into<Patience>,
        fill: impl FnMut(&mut E, usize) -> Result<(), X>,
    ) -> Result<Result<Sequence, X>, NoRoom> {
        self.publish_group_within(count, &patience.into(), fill)
    }

    /// [`publish_group`](Self::publish_group) for the layers above, which have already converted the patience and lend
    /// it: passed on by value, it would be copied through memory.
    #[doc(hidden)]
    #[inline(always)]
    pub fn publish_group_within<X>(
        &mut self,
        count: usize,
        patience: &Patience,
        fill: impl FnMut(&mut E, usize) -> Result<(), X>,
    ) -> Result<Result<Sequence, X>, NoRoom> {
        let put = self.put_group(count, patience, fill)?;
        if put.is_ok() {
            self.end.side.core.publish();
            self.count(count);
        }
        Ok(put)
    }

    /// [`has_room_now`](Self::has_room_now) for the layers above, as for `publish_group_within`.
    #[doc(hidden)]
    #[inline(always)]
    pub fn has_room_within(&mut self, count: usize, patience: &Patience) -> bool {
        self.end.has_room_now(count, patience)
    }

    /// Begins a batch of groups: each is visible as soon as it is written, and sleeping readers are woken once, at the
    /// end of the batch. For the layers above.
    #[doc(hidden)]
    #[inline]
    pub fn group_batch(&mut self) -> GroupBatch<'_, E, F> {
        GroupBatch { producer: self }
    }

    /// Counts that number of events.
    #[inline(always)]
    fn count(&mut self, events: usize) {
        self.end.side.counters.published.add(events as u64);
        self.end.side.counters.bytes.add((events * size_of::<E>()) as u64);
    }

    /// Writes a group, as soon as there is room for it. The caller stores the cursor, rings the bell and counts.
    #[inline(always)]
    fn put_group<X>(
        &mut self,
        count: usize,
        patience: &Patience,
        mut fill: impl FnMut(&mut E, usize) -> Result<(), X>,
    ) -> Result<Result<Sequence, X>, NoRoom> {
        let capacity = self.end.capacity();
        if count > capacity {
            return Err(PublishError::TooLarge { count, capacity }.into());
        }
        self.end.make_room(count, patience)?;
        if !self.is_plain() {
            self.ask(count);
        }
        let written = self.end.side.core.put_group(count, |slot, index| {
            // SAFETY: the sequencer hands out slots from its next position on, for which there is room: ours alone, by
            // the producer's lock and the gate check. Mapped and aligned, and every bit pattern is an `E`.
            fill(unsafe { &mut *slot }, index)
        });
        Ok(written.map(|()| self.end.side.core.next() - 1))
    }

    /// Closes the ring: consumers read what is left and then get `Closed`. Dropping the producer does the same.
    pub fn close(self) {}

    /// Leaves without closing the ring, for the next producer. A producer of the same messages takes the
    /// ring over if a consumer lives in it or has not read everything; a producer of other messages replaces it
    /// ([`with_content_tag`](crate::SharedDisruptorBuilder::with_content_tag)). Until then consumers get what is there
    /// and then `ProducerDied`, as after a kill.
    pub fn hand_over(mut self) {
        self.leave_to_successor();
    }

    crate::producer_end_methods!(end [pub]);

    #[inline(always)]
    fn write(&mut self, fill: impl FnOnce(&mut E)) -> Sequence {
        if self.is_plain() { self.write_next(false, fill) } else { self.write_with_care(fill) }
    }

    /// Whether the next event is only written: its slot was used before, and no trial begins or ends there.
    #[inline(always)]
    fn is_plain(&self) -> bool {
        let core = &self.end.side.core;
        // In the first lap the difference is negative, which is more than any number of events.
        ((core.next() - core.memory().capacity()) as u64) < self.plain
    }

    #[inline(never)]
    fn write_with_care(&mut self, fill: impl FnOnce(&mut E)) -> Sequence {
        let is_first_lap = self.is_first_lap();
        self.ask(1);
        self.write_next(is_first_lap, fill)
    }

    fn is_first_lap(&self) -> bool {
        self.end.side.core.next() < self.end.side.core.memory().capacity()
    }

    /// Asks for the lines of the next `count` events, which are written next, where that pays or is to be tried.
    #[inline(never)]
    fn ask(&mut self, count: usize) {
        let (core, asking) = (&self.end.side.core, &mut self.end.side.asking);
        if core.next() < asking.from() || count > const { BYTES_MAX / size_of::<E>() } {
            return;
        }
        if asking.asks(core.next(), now_ns) {
            core.ask_for_slots(count);
        }
        self.plain = plain(asking, core.memory().capacity());
    }

    #[inline(always)]
    fn write_next(&mut self, is_first_lap: bool, fill: impl FnOnce(&mut E)) -> Sequence {
        let (factory, buffer) = (&mut self.factory, &mut self.buffer);
        let copied = &self.end.side.counters.via_buffer;
        let sequence = self.end.side.core.write(|slot| {
            // SAFETY: the sequencer hands out the slot of its next position: ours alone, by the producer's lock and the
            // gate check. It is mapped and aligned, and holds zeros or an older event: every bit pattern is an `E`.
            unsafe {
                write_in(buffer, slot, is_first_lap, copied, |event| {
                    if is_first_lap {
                        make(event, factory.as_mut());
                    }
                    fill(event);
                });
            }
        });
        self.end.side.counters.published.inc();
        self.end.side.counters.bytes.add(size_of::<E>() as u64);
        sequence
    }

    #[inline(always)]
    fn write_batch(&mut self, count: usize, mut fill: impl FnMut(&mut E, usize)) -> Sequence {
        let first = self.end.side.core.next();
        if self.is_first_lap() {
            self.write_first_lap(count, fill);
        } else {
            let (buffer, copied) = (&mut self.buffer, &self.end.side.counters.via_buffer);
            self.end.side.core.write_batch(count, |slot, i| {
                // SAFETY: as in `write`.
                unsafe { write_in(buffer, slot, false, copied, |event| fill(event, i)) };
            });
        }
        self.end.side.counters.published.add((self.end.side.core.next() - first) as u64);
        self.end.side.counters.bytes.add((self.end.side.core.next() - first) as u64 * size_of::<E>() as u64);
        self.end.side.core.next() - 1
    }

    /// A batch that begins in the first lap: the factory makes each slot first.
    #[cold]
    fn write_first_lap(&mut self, count: usize, mut fill: impl FnMut(&mut E, usize)) {
        let (first, capacity) = (self.end.side.core.next(), self.end.side.core.memory().capacity());
        let (factory, buffer) = (&mut self.factory, &mut self.buffer);
        let copied = &self.end.side.counters.via_buffer;
        self.end.side.core.write_batch(count, |slot, i| {
            let is_new = first + (i as i64) < capacity;
            // SAFETY: as in `write`.
            unsafe {
                write_in(buffer, slot, is_new, copied, |event| {
                    if is_new {
                        make(event, factory.as_mut());
                    }
                    fill(event, i);
                });
            }
        });
    }
}

/// How many events after the first lap, of `capacity` events, are before the one at which `asking` is due.
fn plain(asking: &Asking, capacity: i64) -> u64 {
    (asking.from() - capacity).max(0) as u64
}

/// Lets `fill` write the event of `slot`, in the slot or in the buffer from which it is copied. An event that is
/// copied counts in `copied`.
///
/// # Safety
/// `slot` is valid and aligned, and no other thread or process reads or writes there. In a ring of slots every bit
/// pattern is an event.
#[inline(always)]
unsafe fn write_in<E: Event>(
    buffer: &mut PayloadBuffer,
    slot: *mut E,
    is_new: bool,
    copied: &CounterHandle,
    fill: impl FnOnce(&mut E),
) {
    if PayloadBuffer::takes::<E>() && !buffer.is_plain(size_of::<E>()) {
        // SAFETY: not null, as it is valid; the rest is the caller's promise.
        unsafe { buffer.fill_event(NonNull::new_unchecked(slot), is_new, copied, fill) };
    } else {
        // SAFETY: the caller's promise.
        fill(unsafe { &mut *slot });
    }
}

/// Several groups with one store of the cursor and one look at the bell, when this is dropped. A call inside the batch
/// that has to wait does both before.
pub struct GroupBatch<'a, E: Event, F: SlotForm> {
    producer: &'a mut SharedProducer<E, F>,
}

impl<E: Event, F: SlotForm> GroupBatch<'_, E, F> {
    /// As [`SharedProducer::publish_group`].
    ///
    /// # Errors
    /// As [`SharedProducer::publish_group`]. What was published before stays published.
    #[inline(always)]
    pub fn publish_group_within<X>(
        &mut self,
        count: usize,
        patience: &Patience,
        fill: impl FnMut(&mut E, usize) -> Result<(), X>,
    ) -> Result<Result<Sequence, X>, NoRoom> {
        let put = self.producer.put_group(count, patience, fill)?;
        if put.is_ok() {
            self.producer.count(count);
        }
        Ok(put)
    }

    /// As [`SharedProducer::has_room_within`].
    #[doc(hidden)]
    #[inline(always)]
    pub fn has_room_within(&mut self, count: usize, patience: &Patience) -> bool {
        self.producer.has_room_within(count, patience)
    }
}

impl<E: Event, F: SlotForm> Drop for GroupBatch<'_, E, F> {
    #[inline]
    fn drop(&mut self) {
        // In a child of a fork the batch is its parent's, which may have published more since: the cursor must not go
        // back.
        if !self.producer.end.side.is_forked() {
            self.producer.end.side.core.publish();
        }
    }
}

impl<E: Event, F: SlotForm> fmt::Debug for GroupBatch<'_, E, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupBatch").field("producer", self.producer).finish()
    }
}

impl<E: Event, F: SlotForm> HasProducer for SharedProducer<E, F> {
    type Carries = Slots<E, F>;

    fn base(&self) -> &ProducerBase<Slots<E, F>> {
        &self.end
    }

    fn base_mut(&mut self) -> ProducerMut<'_, Slots<E, F>> {
        ProducerMut(&mut self.end)
    }
}

/// A larger event is made on a stack of its own: a thread's stack may be 2 MiB, of which the program has used some.
const LARGE_EVENT_BYTES: usize = 64 << 10;

/// How many events the stack of a factory can hold. Unoptimised code has its event in several places before it returns
/// it.
const EVENTS_ON_STACK: usize = 16;

/// Makes the content of a slot that is used for the first time. Not part of `write`: the factory returns its event by
/// value. That value must not take stack space in every publish, and a large one must not be on the stack of the
/// publishing thread at all.
#[cold]
#[inline(never)]
fn make<E: Event>(slot: &mut E, factory: &mut (dyn FnMut() -> E + Send)) {
    if size_of::<E>() <= LARGE_EVENT_BYTES {
        return make_here(slot, factory);
    }
    let stack = std::thread::Builder::new().stack_size((1 << 20) + EVENTS_ON_STACK * size_of::<E>());
    let made = std::thread::scope(|scope| stack.spawn_scoped(scope, || make_here(slot, factory)).map(|it| it.join()));
    match made {
        Ok(Ok(())) => {}
        // Nothing is published, as if it had panicked here.
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        // If no thread can be started, this one's stack must do.
        Err(_) => make_here(slot, factory),
    }
}

#[inline(never)]
fn make_here<E>(slot: &mut E, factory: &mut dyn FnMut() -> E) {
    *slot = factory();
}

impl<E: Event, F: SlotForm> fmt::Debug for SharedProducer<E, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.end.describe("SharedProducer", f)
    }
}
