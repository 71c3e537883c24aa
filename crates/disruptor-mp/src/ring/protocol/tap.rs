//! A reader that does not gate: it may miss events, counts them, and never returns a torn one. A read-only mapping is
//! enough.

use super::form::{Form, SlotForm};
use super::memory::{LineMemory, Memory, SlotMemory};
use super::records::lossy;
use super::records::word::Word;

/// The position of a tap.
pub(crate) struct TapReader<M: Memory> {
    memory: M,
    next: i64,
    /// What tells the event at `next` from what is there in another lap.
    expected: <M::Form as Form>::Expected,
    missed: u64,
}

/// A record that a tap has copied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Copied {
    pub(crate) number: i64,
    pub(crate) len: usize,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
}

impl<M: Memory> TapReader<M> {
    /// A tap that begins with the next event.
    pub(crate) fn new(memory: M) -> Self {
        let (next, expected) = M::Form::at_cursor(&memory);
        Self { memory, next, expected, missed: 0 }
    }

    /// A tap that begins up to `events` events before the next one, with an event that is still there.
    pub(crate) fn new_back(memory: M, events: i64) -> Self {
        let (next, expected) = M::Form::before_cursor(&memory, events);
        Self { memory, next, expected, missed: 0 }
    }

    pub(crate) fn memory(&self) -> &M {
        &self.memory
    }

    /// The sequence that the tap looks for next.
    pub(crate) fn number(&self) -> i64 {
        M::Form::number(self.expected, self.next)
    }

    /// Events that were overwritten before they could be copied, since the tap began. Only grows.
    pub(crate) fn missed(&self) -> u64 {
        self.missed
    }

    /// The next event that `copy` gets. `copy` is called with what is expected at a position. It returns `None` if that
    /// is not there; otherwise the event, or nothing if none is to be handed out, and the position after it.
    fn find<T>(
        &mut self,
        mut copy: impl FnMut(&M, i64, <M::Form as Form>::Expected) -> Option<(Option<T>, i64)>,
    ) -> Option<T> {
        let mut is_published = false;
        loop {
            if let Some((found, end)) = copy(&self.memory, self.next, self.expected) {
                self.next = end;
                if found.is_some() {
                    self.expected = M::Form::following(self.expected);
                    return found;
                }
                is_published = false;
                continue;
            }
            if is_published {
                // It was there, and is not any more: lapped, or about to be.
                let (next, expected) = M::Form::resume_lapped(&self.memory, self.next, self.expected);
                let missed = M::Form::number(expected, next).saturating_sub(self.number());
                // The tap has missed no more than there was room for, whatever number is there.
                self.missed += missed.clamp(0, (next - self.next).max(0)) as u64;
                (self.next, self.expected, is_published) = (next, expected, false);
                continue;
            }
            // The event is not written yet, or was written since, or the tap was lapped. The cursor tells; it is a
            // number from shared memory and decides only where we look next.
            let published = self.memory.control().cursor.acquire();
            if published <= self.next {
                // It may lag by less than a lap. More means that our position was no position.
                if self.next - published > self.memory.capacity() {
                    (self.next, self.expected) = M::Form::at_cursor(&self.memory);
                }
                return None;
            }
            is_published = true;
        }
    }
}

impl<M: SlotMemory> TapReader<M> {
    /// A copy of the next event that is still there, or `None` if there is none yet.
    pub(crate) fn copy_next(&mut self) -> Option<(i64, M::Event)> {
        self.copy_next_by(|memory, position| memory.racing_copy(position))
    }
}

impl<M: Memory<Form: SlotForm>> TapReader<M> {
    /// The sequence of the next event that is still there, and what `copy` copies of it; `None` if there is none yet.
    pub(crate) fn copy_next_by<T>(&mut self, mut copy: impl FnMut(&M, i64) -> T) -> Option<(i64, T)> {
        self.find(|memory, position, ()| {
            let event = M::Form::copy_by(memory, position, |memory| copy(memory, position))?;
            Some((Some((position, event)), position + 1))
        })
    }
}

impl<M: LineMemory> TapReader<M> {
    /// Copies the payload of the next record that is still there into `into`; `None` if there is none yet.
    pub(crate) fn copy_next_record(&mut self, into: &mut M::Copy) -> Option<Copied> {
        self.find(|memory, position, number| {
            let (word, end) = lossy::copy(memory, position, number, into)?;
            let copied = match word {
                Word::Record { len, kind, flags, .. } => Some(Copied { number, len: len as usize, kind, flags }),
                Word::Padding { .. } => None,
            };
            Some((copied, end))
        })
    }
}
