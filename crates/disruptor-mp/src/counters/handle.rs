//! The writing end of one counter.
//!
//! One writer per counter calls `inc`, `add` and `record_max`; every thread may `get`.

use super::memory::HeldCount;
use crate::sync::primitive::Ordering;
use core::fmt;

/// One counter, to be updated by one thread at a time.
///
/// An update is a relaxed load and a relaxed store. If several threads use clones at once, counts are lost; there is no
/// other harm. A handle keeps the memory of its table alive, even after its file has been dropped.
#[derive(Clone)]
pub struct CounterHandle {
    count: HeldCount,
}

impl CounterHandle {
    pub(super) fn new(count: HeldCount) -> Self {
        Self { count }
    }

    /// A counter that belongs to no table: it counts, and only the handle and its clones see it.
    ///
    /// With it, code that counts always has a handle, and needs no branch for "no file is attached".
    pub fn detached() -> Self {
        Self::new(HeldCount::on_heap())
    }

    /// Counts one more. Wraps after 2^64, like [`add`](Self::add).
    #[inline]
    pub fn inc(&self) {
        self.add(1);
    }

    /// Counts `amount` more, in the unit that the counter's id defines.
    #[inline]
    pub fn add(&self, amount: u64) {
        let count = self.count.get();
        // Relaxed, here and below: a count orders nothing, and a reader needs only some value that it once had. A load
        // and a store, not a locked instruction: if two threads load, add and store at the same time, one count is
        // lost.
        count.store(count.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
    }

    /// Makes `candidate` the value if it is larger than all before. Not for a counter that is also added to.
    #[inline]
    pub fn record_max(&self, candidate: u64) {
        let count = self.count.get();
        if candidate > count.load(Ordering::Relaxed) {
            count.store(candidate, Ordering::Relaxed);
        }
    }

    /// The value now; stale as soon as it is read, unless the caller is the writer.
    #[inline]
    pub fn get(&self) -> u64 {
        self.count.get().load(Ordering::Relaxed)
    }
}

impl fmt::Debug for CounterHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CounterHandle").field("value", &self.get()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detached_handle_counts_alone() {
        let (one, other) = (CounterHandle::detached(), CounterHandle::detached());
        one.inc();
        one.add(4);
        assert_eq!((one.get(), one.clone().get(), other.get()), (5, 5, 0));
    }

    #[test]
    fn a_maximum_never_falls() {
        let handle = CounterHandle::detached();
        for (candidate, expected) in [(3, 3), (2, 3), (9, 9), (0, 9), (u64::MAX, u64::MAX), (1, u64::MAX)] {
            handle.record_max(candidate);
            assert_eq!(handle.get(), expected);
        }
    }

    #[test]
    fn a_sum_wraps_instead_of_panicking() {
        let handle = CounterHandle::detached();
        handle.add(u64::MAX);
        handle.add(2);
        assert_eq!(handle.get(), 1);
    }
}
