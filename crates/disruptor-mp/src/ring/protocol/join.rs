//! How a consumer joins beside a running producer without being lapped, and how it leaves. Only the holder of the
//! entry's lock byte does either.
//!
//! The producer looks at the table only when its known gate is used up. So a joiner cannot know whether the last look
//! of the producer saw it. The two fences decide it. Either that look saw our first gate, and the producer stays within
//! a lap of it. Or our second look sees what the producer had stored before it looked, and we start where it promised
//! not to write.

use super::control::{Entry, NOTHING_DELIVERED, SENTINEL_LIFTED, State};
use super::memory::Memory;
use crate::step;
use crate::sync::primitive::{Ordering, Site, fence_at, order, weakened};

/// Where a new consumer starts. A consumer that comes back under its id continues where it stopped, whatever this says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum StartAt {
    /// With the oldest event that is certain to stay, if no consumer was ever handed an event of this ring; otherwise
    /// with the next event to be published. So the first reader finds what was published before it came, at least seven
    /// eighths of a lap. Two readers that start at the same time may start with different events. If both need the same
    /// events, wait for both ([`wait_for_consumers`](crate::SharedDisruptorBuilder::wait_for_consumers)).
    #[default]
    Unread,
    /// With the next event to be published. While a start-up buffer waits for its consumers: with the first event.
    Tail,
    /// With the oldest event that is certain to stay until it is read.
    Oldest,
    /// With event 0, or not at all.
    Beginning,
}

/// The ring no longer holds event 0. Start at [`StartAt::Oldest`], or attach before the ring has gone round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the ring no longer holds its first event; the oldest that is certain to stay is {oldest}: begin with it (`StartAt::Oldest`)"
)]
pub struct BeginningGone {
    /// The sequence at which [`StartAt::Oldest`] would have started.
    pub oldest: i64,
}

/// Makes entry `index` gate, and returns the sequence at which it starts. The caller holds the entry's lock byte;
/// identity and id are written; the state is free. On an error the entry is free again.
pub(crate) fn handshake<M: Memory>(memory: &M, index: usize, start: StartAt) -> Result<i64, BeginningGone> {
    let control = memory.control();
    let entry = memory.entry(index);
    // Decided once. A reader that is handed its first event meanwhile has started at the same time as we.
    let start = match start {
        StartAt::Unread if is_read(memory) => StartAt::Tail,
        StartAt::Unread => StartAt::Oldest,
        other => other,
    };
    let first_look = match start {
        StartAt::Tail if !has_sentinel(memory) => published(memory),
        StartAt::Tail => 0,
        // The events are not looked at more closely: the producer may still overwrite them.
        _ => {
            let published = published(memory);
            memory.known_begin_from(oldest(memory, published), published)
        }
    };
    entry.position.store(first_look, Ordering::Relaxed);
    entry.delivered.store(NOTHING_DELIVERED, Ordering::Relaxed);
    step!(JoinFirstGate);
    control.gate.high_water.fetch_max(index as u32 + 1, Ordering::AcqRel);
    // Release, in `set_state`: a producer that sees the state sees the gate.
    entry.set_state(State::Joining);
    step!(JoinVisible);
    control.gate.count_arrival();
    step!(JoinCounted);
    // SeqCst fence, partner in `Sequencer::rescan_for`.
    fence_at(Site::JoinFence, Ordering::SeqCst);
    let position = if weakened(Site::JoinSecondLook) {
        first_look
    } else {
        match start {
            // Still held for us, among others. The producer that lifts the sentinel fences after our fence, so it sees
            // our first gate, which is 0.
            StartAt::Tail if first_look == 0 && has_sentinel(memory) => 0,
            StartAt::Tail => published(memory),
            // The position is not before our first gate, which is the one that the producer respects.
            _ => {
                let published = published(memory);
                memory.begin_from(oldest(memory, published).max(first_look), published)
            }
        }
    };
    if start == StartAt::Beginning && position > 0 {
        // What users call it; looked up while our gate keeps it there.
        let oldest = memory.number_at(position);
        free(memory, index, 0);
        return Err(BeginningGone { oldest });
    }
    entry.position.store(position, order(Site::GateRelease, Ordering::Release));
    step!(JoinSecondGate);
    entry.set_state(State::Active);
    step!(JoinActive);
    // The producer may have gone to sleep on our first gate, which may have been old.
    entry.writer.ring();
    Ok(position)
}

/// Frees entry `index`. The caller holds the entry's lock byte; its owner leaves, or is dead. If that owner was handed
/// an event, the ring counts as read. `epoch` is the owner's; a damaged status may not tell it. Until the lock byte is
/// given back the entry gates, so a producer that waits is woken after that.
pub(crate) fn free<M: Memory>(memory: &M, index: usize, epoch: u64) {
    let entry = memory.entry(index);
    // Relaxed: the Release of the status makes it visible to a process that finds the entry free. Partner in `is_read`.
    if entry.was_handed_something() && !weakened(Site::ReadStored) {
        memory.control().gate.read.store(1, Ordering::Relaxed);
        step!(ReadStored);
    }
    entry.set_free_after(epoch);
    step!(LeaveFreed);
    memory.control().gate.count_departure();
    step!(LeaveCounted);
}

/// Whether a consumer has ever been handed an event. An answer of `false` goes stale at once.
fn is_read<M: Memory>(memory: &M) -> bool {
    let handed = |entry: &Entry| entry.status().gates() && entry.was_handed_something();
    // The table first: where it shows an entry as free (Acquire), the word tells of its last owner.
    memory.entries().any(handed) || memory.control().gate.read.load(Ordering::Relaxed) != 0
}

/// Where the next event will be published, or was to be a moment ago: the producer sees our gate before it overwrites
/// that position.
fn published<M: Memory>(memory: &M) -> i64 {
    loop {
        let cursor = memory.control().cursor.acquire();
        let (end, is_believed) = memory.end_from(cursor);
        // A cursor that the stamps contradict was not stored by a producer, or a producer has moved on between our
        // looks.
        if is_believed || memory.control().cursor.acquire() == cursor {
            return end;
        }
    }
}

/// Whether a start-up buffer holds events for consumers that have not joined. No event is published beyond it.
fn has_sentinel<M: Memory>(memory: &M) -> bool {
    memory.control().gate.sentinel(memory.capacity(), published(memory)) != SENTINEL_LIFTED
}

/// No position at or beyond the claim limit is written without another look at the table. So nothing from here on is
/// overwritten before our gate is seen.
fn oldest<M: Memory>(memory: &M, published: i64) -> i64 {
    let limit = memory.control().gate.claim_limit_at_most();
    // Checked: a number from shared memory. It cannot be more than a lap after what was published.
    limit.saturating_sub(memory.capacity()).clamp(0, published)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::ring::memory::heap::HeapMemory;
    use crate::ring::protocol::control::Control;
    use crate::ring::protocol::form::Stamped;
    use crate::sync::primitive::AtomicI64;
    use std::sync::Arc;

    /// A ring in which an event begins at 7, for the first look of a joiner, and at 5 for the second.
    struct Looks(Arc<HeapMemory<u64>>);

    impl Memory for Looks {
        type Form = Stamped;

        fn control(&self) -> &Control {
            self.0.control()
        }
        fn table_len(&self) -> usize {
            self.0.table_len()
        }
        fn entry(&self, index: usize) -> &Entry {
            self.0.entry(index)
        }
        fn capacity(&self) -> i64 {
            self.0.capacity()
        }
        fn header(&self, position: i64) -> &AtomicI64 {
            self.0.header(position)
        }
        fn known_begin_from(&self, _position: i64, _published: i64) -> i64 {
            7
        }
        fn begin_from(&self, position: i64, _published: i64) -> i64 {
            position.max(5)
        }
    }

    #[test]
    fn who_joins_at_the_oldest_never_starts_before_the_gate_that_the_producer_saw() {
        // Between the looks a consumer joins at 5. When it has left again, the producer keeps to our first gate only.
        let ring = Looks(Arc::new(HeapMemory::new(8, 2, None)));
        assert_eq!(handshake(&ring, 0, StartAt::Oldest), Ok(7));
    }
}
