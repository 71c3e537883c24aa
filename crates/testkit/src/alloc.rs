//! How often something allocates.
//!
//! **Lives here:** [`allocations_in`] and the count that it reads. **Builds on:** `raw`, for the allocator itself. **May touch it:**
//! a test binary that installs [`CountingAllocator`].
//!
//! ```
//! #[global_allocator]
//! static ALLOCATOR: testkit::alloc::CountingAllocator = testkit::alloc::CountingAllocator;
//!
//! assert_eq!(testkit::alloc::allocations_in(|| drop(vec![1, 2, 3])), 1);
//! ```

use std::cell::Cell;
use std::hint::black_box;

pub use crate::raw::CountingAllocator;

thread_local! {
    // One count per thread, so that tests which run at the same time do not see each other. `const` and without a destructor:
    // the allocator can count at any moment in the life of a thread, and counting does not allocate.
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// One more allocation by this thread.
pub(crate) fn count_one() {
    COUNT.set(COUNT.get() + 1);
}

/// How often this thread allocates, or grows or shrinks an allocation, while `work` runs. Freeing is not counted.
///
/// # Panics
/// When [`CountingAllocator`] is not the global allocator of this binary: the answer would always be 0.
#[track_caller]
pub fn allocations_in(work: impl FnOnce()) -> u64 {
    let before_probe = COUNT.get();
    drop(black_box(Box::new(black_box(0_u64))));
    assert_ne!(COUNT.get(), before_probe, "this binary has no `#[global_allocator] static ...: CountingAllocator`");
    let before = COUNT.get();
    work();
    COUNT.get() - before
}

#[cfg(test)]
mod tests {
    use super::*;

    #[global_allocator]
    static ALLOCATOR: CountingAllocator = CountingAllocator;

    #[test]
    fn allocating_and_growing_count_and_freeing_does_not() {
        let mut grown: Vec<u8> = Vec::new();
        assert_eq!(allocations_in(|| grown.reserve_exact(10)), 1);
        assert_eq!(allocations_in(|| grown.reserve_exact(100)), 1);
        assert_eq!(allocations_in(|| drop(black_box(vec![0_u8; 10]))), 1, "zeroed memory counts as well");
        assert_eq!(allocations_in(|| drop(grown)), 0);
    }

    #[test]
    fn other_threads_do_not_count() {
        let (start, started) = std::sync::mpsc::channel::<()>();
        let (done, all_done) = std::sync::mpsc::channel::<()>();
        // Both channels allocate on their first send, which happens outside of what is counted.
        done.send(()).unwrap();
        all_done.recv().unwrap();
        let other = std::thread::spawn(move || {
            started.recv().unwrap();
            drop(black_box(vec![1_u8; 1000]));
            drop(done);
        });
        start.send(()).unwrap();
        assert_eq!(
            allocations_in(|| while all_done.try_recv() != Err(std::sync::mpsc::TryRecvError::Disconnected) {}),
            0
        );
        other.join().unwrap();
    }
}
