//! Looking at events before taking them: for events that say how many of them belong together.
//!
//! **Lives here:** peeking, and the lease of what was peeked at. **Builds on:** `consumer`, `lease`. **May touch it:**
//! the one reader.

use super::consumer::SharedConsumer;
use super::lease::BatchLease;
use crate::ring::protocol::form::SlotForm;
use crate::ring::protocol::memory::SlotMemory;
use crate::schema::Event;

impl<E: Event, F: SlotForm> SharedConsumer<E, F> {
    /// The event `index` places behind the next one, if everything up to it is published now; 0 is the next one. It is
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
        // SAFETY: published, which a stamp or the cursor has shown (Acquire), and our gate, which keeps the producer
        // off this slot, stands at the next event; it advances only through `&mut self`, which the event borrows. Every
        // bit pattern is an `E`.
        Some(self.end.side.core.memory().with(sequence, |event| unsafe { &*event }))
    }

    /// Takes exactly the next `count` events, at the last of which [`peek_at`](Self::peek_at) has looked, as one lease.
    ///
    /// # Panics
    /// If `count` is 0, or `peek_at` has not looked that far.
    #[inline]
    pub fn lease_peeked(&mut self, count: usize) -> BatchLease<'_, E, F> {
        let seen = self.end.side.core.readable() - self.end.side.core.next();
        assert!(count > 0 && count as u64 <= seen as u64, "a lease of {count} events of which {seen} were looked at");
        BatchLease::new(&mut self.end.side, count)
    }
}
