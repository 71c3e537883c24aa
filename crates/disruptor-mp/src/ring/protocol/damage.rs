//! Where a reader goes on when a word below the published position was not written by a producer.
//!
//! A producer stores the words of an event first and the cursor afterwards. If the cursor is beyond the next event of a
//! reader and that event is not there, one of the two is damaged: the word of the event, or the cursor. The words
//! between them can show which: a later event that is there was published after ours, so the word of ours is damaged.
//! If they show nothing, the reader waits for the next publish. That stores a correct cursor. If our event is still not
//! there then, its word is damaged. Readers come here only on their slow path.

use super::form::{Form, Stamped};
use super::memory::Memory;
use super::stamped::begun_with;
use crate::sync::primitive::Ordering;

/// Where a reader at `next`, which expects `expected` there, goes on if that word is damaged. `None` if its event is
/// there, or may not be published yet as far as the words tell. `is_over`: nothing more will be published, so words
/// that contradict each other now always will.
pub(crate) fn resume_after<M: Memory>(
    memory: &M,
    next: i64,
    expected: <M::Form as Form>::Expected,
    is_over: bool,
) -> Option<i64> {
    // The cursor first: an event that it covers then has its word as well.
    let published = memory.control().cursor.acquire();
    let is_there = M::Form::is_expected(memory, expected, next) && memory.end_of(next).is_some();
    if published <= next || is_there {
        return None;
    }
    if published - next > memory.capacity() {
        // The cursor is damaged, unless the slot confirms it: then the producer has overrun us.
        return M::Form::tells_of_overrun(memory, next, published).then_some(published);
    }
    M::Form::resume_after(memory, next, expected, published, is_over)
}

/// [`Form::resume_after`] of slots with stamps.
pub(super) fn resume_among_stamps<M: Memory<Form = Stamped>>(
    memory: &M,
    next: i64,
    published: i64,
    is_over: bool,
) -> Option<i64> {
    let stamp = memory.word(next).load(Ordering::Acquire);
    // Published in order: if an event after ours is there, ours was published before it.
    let is_there = |position: &i64| memory.word(*position).load(Ordering::Acquire) == position + 1;
    match (next + 1..published).find(is_there) {
        None if !is_older(memory, next, stamp) => Some(next + 1),
        None if is_over => Some(published),
        found => found,
    }
}

/// Whether `stamp` may have been in the slot of event `next` before that event was published: being written, alone or
/// with its group, or of an earlier lap.
fn is_older<M: Memory>(memory: &M, next: i64, stamp: i64) -> bool {
    stamp == 0
        || stamp == begun_with(next)
        || ((1..=next).contains(&stamp) && (next + 1 - stamp) % memory.capacity() == 0)
}

/// Whether `stamp` is that of an event that has overwritten event `next`.
pub(super) fn is_of_lap_after<M: Memory>(memory: &M, next: i64, stamp: i64) -> bool {
    stamp > next + 1 && (stamp - next - 1) % memory.capacity() == 0
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::ring::memory::heap::HeapMemory;
    use std::sync::Arc;

    /// Where a reader at 4 of a ring of four goes on, with `stamps` in it and the cursor at `cursor`; now, and when the
    /// ring is over.
    fn resume(stamps: [i64; 4], cursor: i64) -> [Option<i64>; 2] {
        let memory = Arc::new(HeapMemory::<u64>::new(4, 1, None));
        for (index, stamp) in stamps.into_iter().enumerate() {
            memory.word(index as i64).store(stamp, Ordering::Relaxed);
        }
        memory.control().cursor.publish(cursor);
        [false, true].map(|is_over| resume_after(&memory, 4, (), is_over))
    }

    #[test]
    fn what_a_producer_may_leave_is_no_damage() {
        assert_eq!(resume([1, 2, 3, 4], 4), [None; 2], "nothing published");
        assert_eq!(resume([5, 2, 3, 4], 4), [None; 2], "stamped, cursor not stored");
        assert_eq!(resume([5, 6, 7, 8], 8), [None; 2], "published");
        assert_eq!(resume([0, 2, 3, 4], 4), [None; 2], "being written");
        assert_eq!(resume([0, 6, 7, 4], 4), [None; 2], "in the middle of a group");
        assert_eq!(resume([-5, 6, 7, 4], 4), [None; 2], "the same, and its first event is written");
        assert_eq!(resume([77, 2, 3, 4], 4), [None; 2], "nonsense in a slot that the producer comes to next");
    }

    #[test]
    fn a_damaged_stamp_is_stepped_over_as_soon_as_it_is_told_from_a_forged_cursor() {
        assert_eq!(resume([77, 6, 7, 4], 7), [Some(5); 2], "nonsense");
        assert_eq!(resume([77, 2, 3, 4], 5), [Some(5); 2], "nonsense, and nothing after it");
        assert_eq!(resume([-1, i64::MIN, 7, 8], 8), [Some(6); 2], "two of them");
        assert_eq!(resume([-5, 2, 3, 4], 5), [None, Some(5)], "a group that has begun, and a forged cursor");
        assert_eq!(resume([0, 6, 7, 4], 7), [Some(5); 2], "cleared");
        assert_eq!(resume([1, 6, 7, 4], 7), [Some(5); 2], "as it was a lap ago");
        assert_eq!(resume([0, 2, 3, 4], 5), [None, Some(5)], "cleared, or a forged cursor");
        assert_eq!(resume([1, 2, 3, 4], 8), [None, Some(8)], "a forged cursor, or everything as it was a lap ago");
    }

    #[test]
    fn a_cursor_beyond_a_lap_is_followed_only_where_the_slot_was_overwritten() {
        assert_eq!(resume([1, 2, 3, 4], 9), [None; 2]);
        assert_eq!(resume([1, 2, 3, 4], i64::MAX), [None; 2]);
        assert_eq!(resume([13, 14, 11, 12], 14), [Some(14); 2]);
    }
}
