//! Where the published events of a ring end when its producer is gone. For a producer that takes over, a consumer that
//! joins at the tail, and a consumer that comes back to its entry.

use super::form::Stamped;
use super::memory::Memory;
use super::stamped::begun_with;
use crate::step;
use crate::sync::cursor::POSITION_MAX;
use crate::sync::primitive::{Ordering, Site, weakened};

/// The end of what was published, and whether the cursor could be believed.
///
/// It is the end of the unbroken run of valid stamps that begins at the cursor. The cursor may lag the stamps: readers
/// follow the stamps and may have seen those events. A cursor that the stamps on either side contradict was not stored
/// by a producer. Then the highest stamp in the ring tells, or the lowest slot before it without its stamp: a producer
/// died there inside a group.
///
/// A slot in which a producer died has no stamp, so no stamp contradicts a cursor that points to it a lap too low or
/// too high. But such a cursor is not within a lap of what that producer was allowed to write.
pub(crate) fn published_end<M: Memory<Form = Stamped>>(memory: &M) -> (i64, bool) {
    let gate = &memory.control().gate;
    // Before the cursor, and after it: a live producer only moves on.
    let allowed = gate.claim_limit_at_least();
    let cursor = memory.control().cursor.acquire();
    let (end, is_believed) = end_from(memory, cursor);
    if allowed.saturating_sub(memory.capacity()) > end || cursor > gate.claim_limit_at_most() {
        let by_stamps = end_by_stamps(memory);
        return (by_stamps, is_believed && by_stamps == end);
    }
    (end, is_believed)
}

/// [`published_end`] as far as `cursor` and the stamps tell.
pub(crate) fn end_from<M: Memory<Form = Stamped>>(memory: &M, cursor: i64) -> (i64, bool) {
    let capacity = memory.capacity();
    if !may_have_been_reached(memory, cursor) {
        return (end_by_stamps(memory), false);
    }
    let mut end = cursor;
    while end - cursor < capacity && memory.word(end).load(Ordering::Acquire) == end + 1 {
        end += 1;
    }
    // The event of a later lap where the run ends: the cursor is too low, or that stamp is damaged. The other stamps
    // tell which.
    if stamp_at(memory, end % capacity) > end + 1 {
        let by_stamps = end_by_stamps(memory);
        if by_stamps > end && stamp_at(memory, (by_stamps - 1) % capacity) == by_stamps {
            return (by_stamps, false);
        }
    }
    (end, true)
}

/// The end of what was published, by the stamps alone.
fn end_by_stamps<M: Memory<Form = Stamped>>(memory: &M) -> i64 {
    let capacity = memory.capacity();
    let highest = (0..capacity).map(|index| stamp_at(memory, index)).max().unwrap_or(0);
    // Without the slot of `highest` itself, which holds the event of a lap before: it may be being written again.
    let mut lap = (highest - capacity + 1).max(0)..highest;
    lap.find(|position| stamp_at(memory, position % capacity) != position + 1).unwrap_or(highest)
}

/// Whether the stamps allow that everything before `position` was published once. The slot before it holds the event
/// before it, or the event of the next lap, if a batch that fills the ring has come round to it; or that batch is
/// writing the slot again.
pub(crate) fn may_have_been_reached<M: Memory<Form = Stamped>>(memory: &M, position: i64) -> bool {
    if !(1..=POSITION_MAX).contains(&position) {
        return position == 0;
    }
    let before = memory.word(position - 1).load(Ordering::Acquire);
    before == position
        || before == position + memory.capacity()
        || (before == 0 && is_being_filled_from(memory, position))
}

/// Whether a batch or a group that begins at `position` may be filling the whole ring: no slot after it holds an older
/// event.
fn is_being_filled_from<M: Memory<Form = Stamped>>(memory: &M, position: i64) -> bool {
    (position..position + memory.capacity() - 1).all(|later| {
        let stamp = memory.word(later).load(Ordering::Acquire);
        stamp == 0 || stamp == later + 1 || stamp == begun_with(later)
    })
}

/// The stamp of slot `index`, if a producer can have stored it, and 0 otherwise.
fn stamp_at<M: Memory<Form = Stamped>>(memory: &M, index: i64) -> i64 {
    let stamp = memory.word(index).load(Ordering::Acquire);
    let belongs = (1..=POSITION_MAX).contains(&stamp) && (stamp - 1) % memory.capacity() == index;
    if belongs { stamp } else { 0 }
}

/// Clears the stamps after `end`, the end of what was published. A producer left them that died between the stamps of a
/// group. A single event that is written before them would make them visible.
///
/// Called between storing `end` in the cursor and the first write. No reader hands out the events of these stamps
/// before that write stores its own stamp, with Release, after they are cleared. If a process is killed inside, fewer
/// of them are left, and the same `end`.
pub(crate) fn clear_leftovers<M: Memory<Form = Stamped>>(memory: &M, end: i64) {
    if weakened(Site::GroupClearing) {
        return;
    }
    for position in end..end + memory.capacity() {
        let stamp = memory.word(position);
        // Any other number is of an older event, and means nothing at this position.
        let found = stamp.load(Ordering::Relaxed);
        if found == position + 1 || found == begun_with(position) {
            stamp.store(0, Ordering::Relaxed);
        }
    }
    step!(LeftoversCleared);
    // A reader that copies ahead may have copied the events of those stamps.
    memory.control().producer.begin_attempt();
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::ring::memory::heap::HeapMemory;
    use std::sync::Arc;

    /// A ring of four with these `stamps` and the cursor at `cursor`.
    fn ring(stamps: [i64; 4], cursor: i64) -> Arc<HeapMemory<u64>> {
        let memory = Arc::new(HeapMemory::<u64>::new(4, 1, None));
        for (index, stamp) in stamps.into_iter().enumerate() {
            memory.word(index as i64).store(stamp, Ordering::Relaxed);
        }
        memory.control().cursor.publish(cursor);
        // The limit is as low as it can be: the producer was allowed to write no more than it has written.
        let highest = stamps.into_iter().filter(|stamp| (0..100).contains(stamp)).max().unwrap_or(0);
        memory.control().gate.set_claim_limit(highest.max(4));
        memory
    }

    #[test]
    fn the_end_is_behind_the_stamps_that_follow_the_cursor() {
        assert_eq!(published_end(&ring([0, 0, 0, 0], 0)), (0, true), "nothing published");
        assert_eq!(published_end(&ring([1, 2, 0, 0], 0)), (2, true), "killed in a batch, before the cursor");
        assert_eq!(published_end(&ring([5, 6, 3, 4], 4)), (6, true), "the same, one lap on");
        assert_eq!(published_end(&ring([5, 0, 3, 4], 5)), (5, true), "killed inside a slot");
        assert_eq!(published_end(&ring([5, 6, 7, 8], 4)), (8, true), "killed after a batch that filled the ring");
        assert_eq!(published_end(&ring([1, 0, 3, 0], 1)), (1, true), "a stamp after a gap is not published");
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
    }

    #[test]
    fn a_damaged_stamp_behind_a_cursor_that_is_right_is_no_event() {
        let memory = ring([5, 0, 0, 0], 0);
        memory.control().gate.set_claim_limit(4);
        assert_eq!(published_end(&memory), (0, true));
    }

    #[test]
    fn a_cursor_forged_to_the_slot_in_which_its_producer_died_is_not_believed() {
        for forged in [0, 4, 9, 13, 17] {
            let memory = ring([0, 6, 7, 8], forged);
            memory.control().gate.set_claim_limit(12);
            assert_eq!(published_end(&memory), (8, false), "{forged}");
        }
        // A group of four leaves these stamps if its producer died before the stamp of the first event.
        let group = ring([0, 6, 7, 8], 4);
        group.control().gate.set_claim_limit(8);
        assert_eq!(published_end(&group), (4, true));
        let first_lap = ring([1, 2, 0, 0], 3);
        first_lap.control().gate.set_claim_limit(4);
        assert_eq!(published_end(&first_lap), (2, false), "inside a slot of the first lap");
    }
}
