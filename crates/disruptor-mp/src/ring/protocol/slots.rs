//! The producer's half of a ring of events: writing one, several, or a group that becomes visible together. The form
//! stores it in the slots.

use super::form::{Form, SlotForm};
use super::memory::{Memory, SlotMemory};
use super::sequencer::Sequencer;
use crate::step;

impl<M: SlotMemory> Sequencer<M> {
    /// Writes and publishes one event. The caller has seen that there is room.
    ///
    /// If `fill` panics, the slot stays invalid, nothing is published, and the next write uses it again.
    #[inline(always)]
    pub(crate) fn write(&mut self, fill: impl FnOnce(*mut M::Event)) -> i64 {
        let sequence = self.next();
        self.fill(sequence, fill);
        self.publish_to(sequence + 1);
        // The readers have had the next slot since the last lap. Fetching it back now, when there is time, shortens the
        // next publish.
        if self.has_room(1) {
            self.memory().fetch_second_line(sequence + 1);
        }
        sequence
    }

    /// Writes and publishes `count` events, each visible as soon as it is stamped, with one store of the cursor and one
    /// look at the bell. The caller has seen that there is room. If `fill` panics, what it had finished stays
    /// published.
    #[inline(always)]
    pub(crate) fn write_batch(&mut self, count: usize, mut fill: impl FnMut(*mut M::Event, usize)) {
        /// Publishes what was stamped, even when the closure unwinds.
        struct Finish<'a, M: Memory> {
            sequencer: &'a mut Sequencer<M>,
            stamped: i64,
        }
        impl<M: Memory> Drop for Finish<'_, M> {
            #[inline(always)]
            fn drop(&mut self) {
                step!(BatchStamped);
                self.sequencer.publish_to(self.stamped);
            }
        }
        let stamped = self.next();
        let mut finish = Finish { sequencer: self, stamped };
        for i in 0..count {
            finish.sequencer.fill(finish.stamped, |event| fill(event, i));
            finish.stamped += 1;
            step!(InsideBatch);
        }
    }

    /// Writes `count` events and makes them visible together, with one store of the cursor and one look at the bell:
    /// see [`put_group`](Self::put_group).
    #[cfg(test)]
    pub(crate) fn write_group<X>(
        &mut self,
        count: usize,
        fill: impl FnMut(*mut M::Event, usize) -> Result<(), X>,
    ) -> Result<(), X> {
        self.put_group(count, fill)?;
        self.publish_to(self.next());
        Ok(())
    }

    /// Writes `count` events and makes them visible together; [`publish`](Self::publish) stores the cursor and rings
    /// the bell later. The caller has seen that there is room. If `fill` fails or panics, none of them is published,
    /// and the next write uses their slots again.
    #[inline(always)]
    pub(crate) fn put_group<X>(
        &mut self,
        count: usize,
        fill: impl FnMut(*mut M::Event, usize) -> Result<(), X>,
    ) -> Result<(), X> {
        debug_assert!(count > 0 && self.has_room(count as i64), "wrote beyond the gate");
        let first = self.next();
        M::Form::write_group(self.memory(), first, count, fill)?;
        self.move_to(first + count as i64);
        Ok(())
    }

    /// Asks for the lines of the next `count` slots, and for the line of the cursor if readers wait there, all at once.
    /// There is room for these events, and they are written next.
    pub(crate) fn ask_for_slots(&self, count: usize) {
        if M::Form::CURSOR_TELLS {
            self.memory().control().cursor.fetch();
        }
        for sequence in self.next()..self.next() + count as i64 {
            self.memory().fetch_slot(sequence);
        }
    }

    /// Writes the slot of event `sequence`, which no reader may be reading: below the gate, and not yet published.
    #[inline(always)]
    fn fill(&self, sequence: i64, fill: impl FnOnce(*mut M::Event)) {
        debug_assert!((0..self.room()).contains(&(sequence - self.next())), "wrote beyond the gate");
        M::Form::write(self.memory(), sequence, fill);
    }
}
