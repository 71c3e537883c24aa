//! Where the words and slots of a ring live.
//!
//! **Lives here:** [`Memory`], the one type parameter of the algorithm, and [`HeapMemory`], its home in models and generated tests.
//! The mapped home is `mapped`. **Builds on:** `control`. **May touch it:** the algorithm.

use super::control::{Control, Entry};
use super::recover;
use crate::sync::primitive::AtomicI64;

/// The words of one ring.
pub(crate) trait Memory {
    /// What a slot holds.
    type Event: Copy;

    /// After so many events that were there at once, a reader is behind and asks the cursor instead of following the stamps. 1 in the
    /// small rings of models and generated tests, so that they come to the cursor.
    const FOLLOW_STAMPS: u32 = 1;

    fn control(&self) -> &Control;

    /// Length of the consumers' table.
    fn table_len(&self) -> usize;

    /// An entry of the table; `index < table_len`.
    fn entry(&self, index: usize) -> &Entry;

    /// Number of slots, a power of two.
    fn capacity(&self) -> i64;

    /// The word in front of position `sequence`, which is not negative: the stamp of the slot in which that event lives, or the commit
    /// word of the line.
    fn stamp(&self, sequence: i64) -> &AtomicI64;

    /// Lets `f` write the payload of event `sequence`. The pointer is valid and aligned; nobody but taps may read it meanwhile,
    /// which is the sequencer's duty.
    fn with_mut<R>(&self, sequence: i64, f: impl FnOnce(*mut Self::Event) -> R) -> R;

    /// Lets `f` read the payload of event `sequence`, which the caller has seen published and still gates.
    fn with<R>(&self, sequence: i64, f: impl FnOnce(*const Self::Event) -> R) -> R;

    /// The position behind the event that begins at `position`, if `word`, which stands in front of it, says that it is published.
    #[inline(always)]
    fn end_of(&self, position: i64, word: i64) -> Option<i64> {
        (word == position + 1).then_some(position + 1)
    }

    /// Whether `word`, in front of position `position`, is what no producer has stored, so that waiting for it to change is in vain.
    fn is_damaged(&self, _position: i64, _word: i64) -> bool {
        false
    }

    /// What users call the event that begins, or will begin, at `position`: its sequence.
    fn number_at(&self, position: i64) -> i64 {
        position
    }

    /// The lowest position from `position` on at which an event is known to begin.
    fn begin_from(&self, position: i64) -> i64 {
        position
    }

    /// See [`recover::published_end`].
    fn published_end(&self) -> (i64, bool)
    where
        Self: Sized,
    {
        recover::published_end(self)
    }

    /// See [`recover::may_have_been_reached`].
    fn may_have_been_reached(&self, position: i64) -> bool
    where
        Self: Sized,
    {
        recover::may_have_been_reached(self, position)
    }

    /// A copy of the payload of event `sequence` that may race with the producer; the caller believes it only if the stamp says so.
    fn racing_copy(&self, sequence: i64) -> Self::Event;
}

/// A ring on the heap of one process: for models, where every word is loom's, and for generated tests.
#[cfg(test)]
pub(crate) struct HeapMemory<E> {
    control: Control,
    entries: Box<[Entry]>,
    slots: Box<[HeapSlot<E>]>,
}

#[cfg(test)]
struct HeapSlot<E> {
    stamp: AtomicI64,
    #[cfg(not(loom))]
    payload: std::cell::UnsafeCell<E>,
    #[cfg(loom)]
    payload: loom::cell::UnsafeCell<E>,
}

// SAFETY: a payload is written only by the one producer and read only by consumers that gate it; that this is so is what the models
// of the algorithm show.
#[cfg(test)]
unsafe impl<E: Send> Sync for HeapMemory<E> {}
// SAFETY: as above; the memory owns everything in it.
#[cfg(test)]
unsafe impl<E: Send> Send for HeapMemory<E> {}

#[cfg(test)]
impl<E: Copy + Default> HeapMemory<E> {
    pub(crate) fn new(capacity: usize, table_len: usize, sentinel: Option<i64>) -> Self {
        assert!(capacity.is_power_of_two());
        let sentinel = sentinel.unwrap_or(super::control::SENTINEL_LIFTED);
        Self {
            control: Control::new((capacity as i64).min(sentinel), sentinel),
            entries: (0..table_len).map(|_| Entry::new()).collect(),
            slots: (0..capacity).map(|_| HeapSlot { stamp: AtomicI64::new(0), payload: E::default().into() }).collect(),
        }
    }
}

#[cfg(test)]
impl<E> HeapMemory<E> {
    fn slot(&self, sequence: i64) -> &HeapSlot<E> {
        &self.slots[sequence as usize & (self.slots.len() - 1)]
    }
}

#[cfg(test)]
impl<E: Copy> Memory for std::sync::Arc<HeapMemory<E>> {
    type Event = E;

    fn control(&self) -> &Control {
        &self.control
    }

    fn table_len(&self) -> usize {
        self.entries.len()
    }

    fn entry(&self, index: usize) -> &Entry {
        &self.entries[index]
    }

    fn capacity(&self) -> i64 {
        self.slots.len() as i64
    }

    fn stamp(&self, sequence: i64) -> &AtomicI64 {
        &self.slot(sequence).stamp
    }

    #[cfg(not(loom))]
    fn with_mut<R>(&self, sequence: i64, f: impl FnOnce(*mut E) -> R) -> R {
        f(self.slot(sequence).payload.get())
    }

    #[cfg(loom)]
    fn with_mut<R>(&self, sequence: i64, f: impl FnOnce(*mut E) -> R) -> R {
        self.slot(sequence).payload.with_mut(f)
    }

    #[cfg(not(loom))]
    fn with<R>(&self, sequence: i64, f: impl FnOnce(*const E) -> R) -> R {
        f(self.slot(sequence).payload.get())
    }

    #[cfg(loom)]
    fn with<R>(&self, sequence: i64, f: impl FnOnce(*const E) -> R) -> R {
        self.slot(sequence).payload.with(f)
    }

    fn racing_copy(&self, _sequence: i64) -> E {
        unreachable!("loom has no racing reads of plain memory: taps are modelled over `RacingMemory`")
    }
}
