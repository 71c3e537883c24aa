//! Slots with a stamp: one event each, after a word that says which event it is.
//!
//! ```text
//! slot    0        8 or the event's alignment
//! stamp   | 0: never written, or being written. n: event n - 1 is there | payload
//!         | -n: event n - 1 is written, and begins a group of which others are not
//! ```

use super::form::{Form, SlotForm, Worded, sealed};
use super::memory::{Memory, SlotMemory};
use super::{damage, recover};
#[cfg(not(loom))]
use crate::segment::Kind;
use crate::step;
use crate::sync::primitive::{AtomicI64, Ordering, Site, fence_at, order, weakened};

/// Slots with a stamp each: the default form of a ring of events. A reader that follows closely waits for the stamp of
/// its next event, on the line on which the event begins, and does not touch the producer's line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamped {}

impl sealed::Sealed for Stamped {}

impl Form for Stamped {
    type Header = AtomicI64;
    type Expected = ();

    #[cfg(not(loom))]
    const KIND: Kind = Kind::Ring;
    const CLAIMS: bool = false;

    #[inline(always)]
    fn end_of<M: Memory<Form = Self>>(memory: &M, position: i64) -> Option<i64> {
        // Acquire pairs with Release in `Stamped::write`: a reader that sees the stamp sees the payload.
        let stamp = memory.word(position).load(order(Site::StampAcquire, Ordering::Acquire));
        (stamp == position + 1).then_some(position + 1)
    }

    #[inline(always)]
    fn is_silent<M: Memory<Form = Self>>(memory: &M, position: i64) -> bool {
        memory.word(position).load(Ordering::Relaxed) == 0
    }

    fn is_published<M: Memory<Form = Self>>(memory: &M, position: i64) -> bool {
        Self::end_of(memory, position).is_some()
    }

    fn published_end<M: Memory<Form = Self>>(memory: &M) -> (i64, bool) {
        recover::published_end(memory)
    }

    fn end_from<M: Memory<Form = Self>>(memory: &M, cursor: i64) -> (i64, bool) {
        // In a model no cursor is forged, and loom pays for each look.
        if cfg!(loom) { (cursor, true) } else { recover::end_from(memory, cursor) }
    }

    #[inline(always)]
    fn confirms_published<M: Memory<Form = Self>>(memory: &M, published: i64) -> bool {
        memory.word(published - 1).load(Ordering::Relaxed) == published
    }

    fn may_have_been_reached<M: Memory<Form = Self>>(memory: &M, position: i64) -> bool {
        recover::may_have_been_reached(memory, position)
    }

    fn tells_of_overrun<M: Memory<Form = Self>>(memory: &M, position: i64, published: i64) -> bool {
        let stamp = memory.word(position).load(Ordering::Acquire);
        damage::is_of_lap_after(memory, position, stamp) && stamp <= published
    }

    fn resume_after<M: Memory<Form = Self>>(
        memory: &M,
        next: i64,
        (): (),
        published: i64,
        is_over: bool,
    ) -> Option<i64> {
        damage::resume_among_stamps(memory, next, published, is_over)
    }

    fn clear_leftovers<M: Memory<Form = Self>>(memory: &M, end: i64) {
        recover::clear_leftovers(memory, end);
    }
}

impl Worded for Stamped {
    #[inline(always)]
    fn word(header: &AtomicI64) -> &AtomicI64 {
        header
    }
}

impl SlotForm for Stamped {
    #[inline(always)]
    fn write<M: SlotMemory<Form = Self>>(memory: &M, position: i64, fill: impl FnOnce(*mut M::Event)) {
        let stamp = memory.word(position);
        // 0 means "being written". Relaxed: the fence below orders it before the payload.
        stamp.store(0, Ordering::Relaxed);
        step!(StampInvalidated);
        // Release fence, partner in `Stamped::copy_by`: a tap that copied any byte of the new payload then finds 0 or a
        // newer stamp.
        fence_at(Site::InvalidateFence, Ordering::Release);
        memory.with_mut(position, fill);
        step!(PayloadWritten);
        // Release pairs with Acquire in `Stamped::end_of`: a reader that sees this stamp sees the payload.
        stamp.store(position + 1, order(Site::StampRelease, Ordering::Release));
        step!(StampStored);
    }

    /// The stamp of each event of a group is stored once the event is written, but the final stamp of the first event
    /// is stored last. Readers follow stamps in order: no reader passes the first event before its final stamp is
    /// there, and then all the others are. What the early stamps are for: `ahead`. Source: RFC 0007, "Protocol".
    #[inline(always)]
    fn write_group<M: SlotMemory<Form = Self>, X>(
        memory: &M,
        first: i64,
        count: usize,
        mut fill: impl FnMut(*mut M::Event, usize) -> Result<(), X>,
    ) -> Result<(), X> {
        let end = first + count as i64;
        for position in first..end {
            // 0 means "being written". Relaxed: the fence below orders it before the payloads.
            memory.word(position).store(0, Ordering::Relaxed);
        }
        step!(GroupInvalidated);
        // Release fence, partner in `Stamped::copy_by`, as in `write`; one for all of them.
        fence_at(Site::InvalidateFence, Ordering::Release);
        let mut begun = Begun { memory, first, end: first };
        for (index, position) in (first..end).enumerate() {
            memory.with_mut(position, |event| fill(event, index))?;
            begun.end = position + 1;
            if count > 1 {
                let is_first = position == first && !weakened(Site::GroupOrder);
                let stamp = if is_first { begun_with(position) } else { position + 1 };
                // Release pairs with Acquire in `Reader::is_ahead`: a reader that sees this stamp sees the payloads of
                // the group up to this one.
                memory.word(position).store(stamp, order(Site::StampRelease, Ordering::Release));
                step!(InsideGroup);
            }
        }
        begun.end = first;
        step!(GroupWritten);
        // Release pairs with Acquire in `Stamped::end_of`: a reader that sees the first event's stamp, stored last,
        // sees all the payloads and all the other stamps.
        memory.word(first).store(first + 1, order(Site::StampRelease, Ordering::Release));
        step!(GroupStamped);
        Ok(())
    }

    #[inline(always)]
    fn copy_by<M: Memory<Form = Self>, T>(memory: &M, position: i64, copy: impl FnOnce(&M) -> T) -> Option<T> {
        let stamp = memory.word(position);
        // Acquire pairs with Release in `write`: a tap that sees the stamp copies that payload or a newer one.
        if stamp.load(order(Site::StampAcquire, Ordering::Acquire)) != position + 1 {
            return None;
        }
        let event = copy(memory);
        // Acquire fence, partner is the Release fence in `write`: if the copy holds a byte of a newer payload, the load
        // below finds what that writer stored before it, which is 0 or a later stamp.
        fence_at(Site::TapFence, Ordering::Acquire);
        (stamp.load(Ordering::Relaxed) == position + 1).then_some(event)
    }
}

/// The stamp of the first event of a group while others of it are not written.
pub(super) fn begun_with(first: i64) -> i64 {
    -(first + 1)
}

/// A group of which the events before `end` are written. If it is dropped in this state, because the next one fails or
/// panics, the group is given up.
struct Begun<'a, M: Memory<Form = Stamped>> {
    memory: &'a M,
    first: i64,
    end: i64,
}

impl<M: Memory<Form = Stamped>> Drop for Begun<'_, M> {
    #[inline]
    fn drop(&mut self) {
        if self.end > self.first {
            self.undo();
        }
    }
}

impl<M: Memory<Form = Stamped>> Begun<'_, M> {
    /// Takes the stamps back, and stores that another attempt begins, to which all later stamps belong.
    #[cold]
    fn undo(&self) {
        for position in self.first..self.end {
            // Relaxed: the attempt is stored after it with Release.
            self.memory.word(position).store(0, Ordering::Relaxed);
        }
        step!(GroupUndone);
        self.memory.control().producer.begin_attempt();
    }
}
