//! A reader that does not gate: it may miss events, knows how many, and never sees a torn one.
//!
//! **Lives here:** [`TapReader`], the algorithm; its public face is `ends::tap`. **Builds on:** `memory`, `form`. **May touch it:**
//! anybody, also on a read-only mapping.

use super::form::SlotForm;
use super::memory::{Memory, SlotMemory};
use crate::sync::primitive::Ordering;

/// Where a tap stands.
pub(crate) struct TapReader<M: Memory> {
    memory: M,
    next: i64,
    missed: u64,
}

impl<M: SlotMemory> TapReader<M> {
    /// A tap that begins with the next event.
    pub(crate) fn new(memory: M) -> Self {
        let next = memory.control().cursor.acquire();
        Self { memory, next, missed: 0 }
    }

    pub(crate) fn memory(&self) -> &M {
        &self.memory
    }

    /// The sequence that the tap looks for next.
    pub(crate) fn next(&self) -> i64 {
        self.next
    }

    /// Events that were overwritten before they could be copied, since the tap began. Only grows.
    pub(crate) fn missed(&self) -> u64 {
        self.missed
    }

    /// A copy of the next event that is still there, or `None` if there is none yet.
    pub(crate) fn copy_next(&mut self) -> Option<(i64, M::Event)> {
        loop {
            if let Some(event) = M::Form::copy(&self.memory, self.next) {
                self.next += 1;
                return Some((self.next - 1, event));
            }
            // Not there: not yet written, or lapped. The cursor tells; it is a number from shared memory and decides
            // only where we look next.
            let published = self.memory.control().cursor.acquire();
            if published <= self.next {
                // It may lag behind what was stamped, by less than a lap. More means that what led us here was no
                // position.
                if self.next - published > self.memory.capacity() {
                    self.next = published;
                }
                return None;
            }
            let stamp = self.memory.word(self.next).load(Ordering::Acquire);
            if self.memory.end_of(self.next, stamp).is_some() {
                continue; // it has just appeared
            }
            // Lapped, or about to be: half a lap behind the writer there is room to breathe.
            let resume = (published - self.memory.capacity() / 2).max(self.next + 1).min(published);
            self.missed += (resume - self.next) as u64;
            self.next = resume;
        }
    }
}
