//! Calls the measuring thread when all work of a round is done.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, Thread};

/// How much of a round is left.
#[derive(Debug)]
pub struct Countdown {
    left: AtomicU64,
    waiting: OnceLock<Thread>,
}

impl Countdown {
    /// One for the calling thread. It lives as long as the process, so that what counts holds only a pointer to it.
    pub fn leaked() -> &'static Self {
        let countdown = Self { left: AtomicU64::new(0), waiting: OnceLock::new() };
        countdown.waiting.set(thread::current()).expect("a new one");
        Box::leak(Box::new(countdown))
    }

    /// One piece of work is done.
    pub fn count(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.waiting.get().expect("set above").unpark();
        }
    }

    /// One round: `submit` submits `pieces` pieces of work, and each of them counts.
    pub fn round(&self, pieces: u64, submit: impl FnOnce()) {
        self.left.store(pieces, Ordering::Release);
        submit();
        while self.left.load(Ordering::Acquire) != 0 {
            thread::park();
        }
    }
}
