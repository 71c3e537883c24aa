//! A reader that does not gate: it may miss events, knows how many, and never sees a torn one.
//!
//! **Lives here:** [`TapReader`], the algorithm; its public face is `tap_handle`. **Builds on:** `memory`. **May touch it:** anybody, also on a read-only mapping.

use super::memory::Memory;
use crate::sync::primitive::{Ordering, Site, fence_at, order};

/// Where a tap stands.
pub(crate) struct TapReader<M: Memory> {
    memory: M,
    next: i64,
    missed: u64,
}

impl<M: Memory> TapReader<M> {
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
            if let Some(event) = self.copy(self.next) {
                self.next += 1;
                return Some((self.next - 1, event));
            }
            // Not there: not yet written, or lapped. The cursor tells; it is a number from shared memory and decides only where we
            // look next.
            let published = self.memory.control().cursor.acquire();
            if published <= self.next {
                // It may lag behind what was stamped, by less than a lap. More means that what led us here was no position.
                if self.next - published > self.memory.capacity() {
                    self.next = published;
                }
                return None;
            }
            let stamp = self.memory.stamp(self.next).load(Ordering::Acquire);
            if stamp == self.next + 1 {
                continue; // it has just appeared
            }
            // Lapped, or about to be: half a lap behind the writer there is room to breathe.
            let resume = (published - self.memory.capacity() / 2).max(self.next + 1).min(published);
            self.missed += (resume - self.next) as u64;
            self.next = resume;
        }
    }

    /// A copy of event `sequence`, if its slot held it before the copy and still holds it after.
    fn copy(&self, sequence: i64) -> Option<M::Event> {
        let stamp = self.memory.stamp(sequence);
        // Acquire pairs with Release in `Sequencer::stamp_one`: who sees the stamp copies that payload or a newer one.
        if stamp.load(order(Site::StampAcquire, Ordering::Acquire)) != sequence + 1 {
            return None;
        }
        let event = self.memory.racing_copy(sequence);
        // Acquire fence, partner is the Release fence in `Sequencer::stamp_one`: if the copy holds a byte of a newer payload, the
        // load below finds what that writer stored before it, which is 0 or a later stamp.
        fence_at(Site::TapFence, Ordering::Acquire);
        (stamp.load(Ordering::Relaxed) == sequence + 1).then_some(event)
    }
}
