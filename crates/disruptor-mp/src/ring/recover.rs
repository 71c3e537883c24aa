//! Where the published events of a ring end, when its producer is not there to say it.
//!
//! **Lives here:** [`published_end`], [`may_have_been_reached`]. **Builds on:** `memory`. **May touch it:** who takes over, and who comes back to its entry.

use super::memory::Memory;
use crate::sync::cursor::POSITION_MAX;
use crate::sync::primitive::Ordering;

/// The end of what was published, and whether the cursor could be believed.
///
/// It is the end of the unbroken run of valid stamps that begins at the cursor, which may lag behind them: readers follow the stamps
/// and may have seen those events. A cursor that the stamps on either side of it contradict was not stored by a producer; then the highest
/// stamp in the ring tells, or the lowest slot before it that lacks its stamp: there a producer died inside a group.
pub(crate) fn published_end<M: Memory>(memory: &M) -> (i64, bool) {
    let capacity = memory.capacity();
    let cursor = memory.control().cursor.acquire();
    if !may_have_been_reached(memory, cursor) {
        return (end_by_stamps(memory), false);
    }
    let mut end = cursor;
    while end - cursor < capacity && memory.stamp(end).load(Ordering::Acquire) == end + 1 {
        end += 1;
    }
    // The event of a later lap where the run ends: the cursor is too low, or that stamp is damaged. The other stamps tell which.
    if stamp_at(memory, end % capacity) > end + 1 {
        let by_stamps = end_by_stamps(memory);
        if by_stamps > end && stamp_at(memory, (by_stamps - 1) % capacity) == by_stamps {
            return (by_stamps, false);
        }
    }
    (end, true)
}

/// The end of what was published, as the stamps alone have it.
fn end_by_stamps<M: Memory>(memory: &M) -> i64 {
    let capacity = memory.capacity();
    let highest = (0..capacity).map(|index| stamp_at(memory, index)).max().unwrap_or(0);
    // Not the slot of `highest` itself, which is a lap behind the event before it: it may be being written again.
    let mut lap = (highest - capacity + 1).max(0)..highest;
    lap.find(|position| stamp_at(memory, position % capacity) != position + 1).unwrap_or(highest)
}

/// Whether the stamps allow that everything before `position` was published once: the slot before it holds the event before it, or is
/// being written again, or holds the event of the next lap, which a batch that fills the ring reaches from behind.
pub(crate) fn may_have_been_reached<M: Memory>(memory: &M, position: i64) -> bool {
    if !(1..=POSITION_MAX).contains(&position) {
        return position == 0;
    }
    let before = memory.stamp(position - 1).load(Ordering::Acquire);
    before == position || before == 0 || before == position + memory.capacity()
}

/// The stamp of slot `index`, if it is one that a producer can have put there, and 0 otherwise.
fn stamp_at<M: Memory>(memory: &M, index: i64) -> i64 {
    let stamp = memory.stamp(index).load(Ordering::Acquire);
    let belongs = (1..=POSITION_MAX).contains(&stamp) && (stamp - 1) % memory.capacity() == index;
    if belongs { stamp } else { 0 }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::ring::memory::HeapMemory;
    use std::sync::Arc;

    /// A ring of four in which `stamps` stand and the cursor at `cursor`.
    fn ring(stamps: [i64; 4], cursor: i64) -> Arc<HeapMemory<u64>> {
        let memory = Arc::new(HeapMemory::<u64>::new(4, 1, None));
        for (index, stamp) in stamps.into_iter().enumerate() {
            memory.stamp(index as i64).store(stamp, Ordering::Relaxed);
        }
        memory.control().cursor.publish(cursor);
        memory
    }

    #[test]
    fn the_end_is_behind_the_stamps_that_follow_the_cursor() {
        assert_eq!(published_end(&ring([0, 0, 0, 0], 0)), (0, true), "nothing published");
        assert_eq!(published_end(&ring([1, 2, 0, 0], 0)), (2, true), "killed in a batch, before the cursor");
        assert_eq!(published_end(&ring([5, 6, 3, 4], 4)), (6, true), "the same, one lap on");
        assert_eq!(published_end(&ring([5, 0, 3, 4], 5)), (5, true), "killed inside a slot");
        assert_eq!(published_end(&ring([5, 6, 7, 8], 4)), (8, true), "killed behind a batch that filled the ring");
        assert_eq!(published_end(&ring([1, 0, 3, 0], 1)), (1, true), "a stamp behind a gap is not published");
    }

    #[test]
    fn a_forged_cursor_is_not_believed() {
        assert_eq!(published_end(&ring([5, 6, 3, 4], 900)), (6, false));
        assert_eq!(published_end(&ring([5, 6, 3, 4], i64::MAX)), (6, false));
        for too_low in [i64::MIN, -1, 0, 1] {
            assert_eq!(published_end(&ring([5, 6, 3, 4], too_low)), (6, false), "{too_low}");
        }
        assert_eq!(published_end(&ring([0, 6, 3, 4], 1)), (4, false), "too low, and its producer died inside a slot");
        assert_eq!(published_end(&ring([5, 6, 3, i64::MAX], -7)), (3, false), "a damaged stamp is none");
        assert_eq!(published_end(&ring([5, 0, 0, 0], 0)), (0, true), "a damaged stamp behind a cursor that is right");
    }
}
