//! How often a function allocates, and how many bytes.
//!
//! A test binary that uses it installs [`CountingAllocator`].
//!
//! ```
//! #[global_allocator]
//! static ALLOCATOR: testkit::alloc::CountingAllocator = testkit::alloc::CountingAllocator;
//!
//! assert_eq!(testkit::alloc::allocations_in(|| drop(vec![1, 2, 3])), 1);
//! ```

use std::cell::Cell;
use std::hint::black_box;
use std::thread::LocalKey;

pub use crate::raw::CountingAllocator;

thread_local! {
    // One count per thread, so that tests which run at the same time do not see each other. It is `const` and has no
    // destructor: the allocator can count at any moment in the life of a thread, and counting does not allocate.
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static BYTES: Cell<u64> = const { Cell::new(0) };
}

/// Counts one more allocation of `bytes` bytes by this thread.
pub(crate) fn count(bytes: usize) {
    COUNT.set(COUNT.get() + 1);
    BYTES.set(BYTES.get() + bytes as u64);
}

/// How often this thread allocates, or grows or shrinks an allocation, while `work` runs. Freeing is not counted.
///
/// # Panics
/// When [`CountingAllocator`] is not the global allocator of this binary: the answer would always be 0.
#[track_caller]
pub fn allocations_in(work: impl FnOnce()) -> u64 {
    difference_in(&COUNT, work)
}

/// How many bytes this thread asks for while `work` runs. Growing an allocation counts with its new size; freeing is
/// not counted.
///
/// # Panics
/// As [`allocations_in`].
#[track_caller]
pub fn bytes_allocated_in(work: impl FnOnce()) -> u64 {
    difference_in(&BYTES, work)
}

#[track_caller]
fn difference_in(counter: &'static LocalKey<Cell<u64>>, work: impl FnOnce()) -> u64 {
    let before_probe = counter.get();
    drop(black_box(Box::new(black_box(0_u64))));
    assert_ne!(counter.get(), before_probe, "this binary has no `#[global_allocator] static ...: CountingAllocator`");
    let before = counter.get();
    work();
    counter.get() - before
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
    fn bytes_are_those_that_were_asked_for() {
        let mut grown: Vec<u8> = Vec::new();
        assert_eq!(bytes_allocated_in(|| grown.reserve_exact(10)), 10);
        assert_eq!(bytes_allocated_in(|| grown.reserve_exact(100)), 100);
        assert_eq!(bytes_allocated_in(|| drop(grown)), 0);
    }

    #[test]
    fn other_threads_do_not_count() {
        let (start, started) = std::sync::mpsc::channel::<()>();
        let (done, all_done) = std::sync::mpsc::channel::<()>();
        // Both channels allocate on their first send, which happens outside the counted part.
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
