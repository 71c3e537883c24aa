//! Peeks at events before they are taken: for events that say how many of them belong together.

use super::consumer::SharedConsumer;
use super::consumer_side::ConsumerSide;
use super::lease::BatchLease;
use super::pace::coarse_now_ns;
use crate::ring::memory::layout::Slots;
use crate::ring::protocol::form::SlotForm;
use crate::ring::protocol::memory::SlotMemory;
use crate::schema::Event;
use std::fmt;
use std::mem::ManuallyDrop;

impl<E: Event, F: SlotForm> SharedConsumer<E, F> {
    /// The event `index` places after the next one, if everything up to it is published now; 0 is the next one. It is
    /// not taken, and not acknowledged.
    #[inline]
    pub fn peek_at(&mut self, index: usize) -> Option<&E> {
        let side = &mut self.end.side;
        let index = i64::try_from(index).ok()?;
        if side.is_plain() {
            if !side.look_plainly() {
                return None;
            }
            let sequence = side.core.next().checked_add(index)?;
            while side.core.readable() <= sequence {
                if !side.core.look_further() {
                    return None;
                }
            }
        } else if !side.peek_among_held(index) {
            return None;
        }
        let sequence = side.core.next() + index;
        // SAFETY: published, which a stamp or the cursor has shown (Acquire). Our gate, which keeps the producer off
        // this slot, is at the next event; it advances only through `&mut self`, which the event borrows. Every bit
        // pattern is an `E`.
        Some(self.end.side.core.memory().with(sequence, |event| unsafe { &*event }))
    }

    /// Takes exactly the next `count` events as one lease. [`peek_at`](Self::peek_at) must have looked at the last of
    /// them.
    ///
    /// # Panics
    /// If `count` is 0, or `peek_at` has not looked that far.
    #[inline]
    pub fn lease_peeked(&mut self, count: usize) -> BatchLease<'_, E, F> {
        let seen = self.end.side.core.readable() - self.end.side.core.next();
        assert!(count > 0 && count as u64 <= seen as u64, "a lease of {count} events of which {seen} were looked at");
        BatchLease::new(&mut self.end.side, count)
    }
    /// Begins a run over what can be read now. For the layers above.
    #[doc(hidden)]
    #[inline]
    pub fn peeked_run(&mut self) -> PeekedRun<'_, E, F> {
        let consumer = &mut self.end.side;
        if consumer.is_plain() {
            consumer.look_for_all();
        }
        let position = consumer.core.next();
        PeekedRun { consumer, position, in_hand: position }
    }
}

/// Several groups of events that are peeked at, used and acknowledged in order, as
/// [`process_available`](SharedConsumer::process_available) acknowledges single events: every 64 events, or an eighth
/// of the ring, and once 10 ms have passed since the last time; where messages are held, each. Dropping it acknowledges
/// what was used. If a panic drops it, what was in hand is not acknowledged.
pub struct PeekedRun<'a, E: Event, F: SlotForm> {
    consumer: &'a mut ConsumerSide<Slots<E, F>>,
    /// Everything before it was used.
    position: i64,
    /// The end of what is in hand.
    in_hand: i64,
}

impl<E: Event, F: SlotForm> PeekedRun<'_, E, F> {
    /// As [`SharedConsumer::peek_at`], from the first event that was not used.
    #[inline]
    pub fn peek_at(&mut self, index: usize) -> Option<&E> {
        let index = i64::try_from(index).ok()?;
        if self.consumer.is_plain() {
            let sequence = self.position.checked_add(index)?;
            let core = &mut self.consumer.core;
            if core.next() == core.readable() && !core.look() {
                return None;
            }
            while core.readable() <= sequence {
                if !core.look_further() {
                    return None;
                }
            }
        } else if self.consumer.peek_among_held(index) {
            // Nothing is in hand, and everything before is acknowledged: the next message may be one that was given
            // back.
            (self.position, self.in_hand) = (self.consumer.core.next(), self.consumer.core.next());
        } else {
            return None;
        }
        let sequence = self.position + index;
        // SAFETY: as in `SharedConsumer::peek_at`; our gate is not beyond `position`, where `acknowledge` moves it, and
        // only through `&mut self`, which the event borrows.
        Some(self.consumer.core.memory().with(sequence, |event| unsafe { &*event }))
    }

    /// Takes exactly the next `count` events in hand. [`peek_at`](Self::peek_at) must have looked at the last of them.
    ///
    /// # Panics
    /// If `count` is 0, or `peek_at` has not looked that far.
    #[inline]
    pub fn take(&mut self, count: usize) -> ManuallyDrop<BatchLease<'_, E, F>> {
        let seen = self.consumer.core.readable() - self.position;
        assert!(count > 0 && count as u64 <= seen as u64, "a lease of {count} events of which {seen} were looked at");
        self.in_hand = self.position + count as i64;
        self.consumer.core.deliver_to(self.in_hand);
        BatchLease::lent(self.consumer, self.position, count)
    }

    /// What was in hand is used. Acknowledges, if that is due.
    #[inline]
    pub fn finish(&mut self) {
        let run = self.consumer.pace.run();
        let handled = (self.in_hand - self.position) as u64;
        self.position = self.in_hand;
        let is_due = self.consumer.pace.is_due(handled.min(run), coarse_now_ns);
        // Events that were handed out before are handed out one at a time, so that after a death it is known which was
        // in hand. Where messages are held, each event is handed out alone as well.
        let is_part = self.position - self.consumer.core.next() >= self.consumer.part();
        if is_due || is_part || self.consumer.core.hands_out_singly() {
            self.consumer.acknowledge_handled_slots(self.position);
        }
    }
}

impl<E: Event, F: SlotForm> Drop for PeekedRun<'_, E, F> {
    #[inline(always)]
    fn drop(&mut self) {
        self.consumer.acknowledge_handled_slots(self.position);
        if self.position < self.in_hand {
            self.consumer.note_panic(self.in_hand);
        }
    }
}

impl<E: Event, F: SlotForm> fmt::Debug for PeekedRun<'_, E, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeekedRun").field("position", &self.position).finish_non_exhaustive()
    }
}
