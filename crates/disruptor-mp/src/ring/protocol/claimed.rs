//! What the word *claimed* says to a reader that does not gate. `Sequencer::claim` is the producer's half. Source: RFC
//! 0013.

use super::memory::Memory;
use crate::sync::primitive::{Ordering, Site, fence_at};

/// Whether no byte that was read from `position` to `end` before this call was overwritten.
pub(crate) fn is_whole<M: Memory>(memory: &M, position: i64, end: i64) -> bool {
    // Acquire fence, partner is the Release fence in `Sequencer::claim`: if a byte that was read is one of the next
    // lap, the load finds what the producer claimed before it wrote that byte.
    fence_at(Site::TapFence, Ordering::Acquire);
    (end..=position + memory.capacity()).contains(&memory.control().claimed.load())
}
