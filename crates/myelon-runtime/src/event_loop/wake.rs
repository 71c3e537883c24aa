//! The word that says whether the loop sleeps, and what is asked of it.
//!
//! ```text
//! the loop                                   another thread
//! sleeping = 1                               request = x     (a flag, or a command in a queue)
//! fence                                      fence
//! a request?  then no sleep                  sleeping was 1, and we took it?  then wake
//! sleep
//! ```
//! Either the loop sees the request, or the other thread sees that it sleeps.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering, fence};

/// *Sleeping*, and the flags.
#[derive(Debug, Default)]
pub(super) struct Word {
    sleeping: AtomicBool,
    flags: AtomicU32,
}

impl Word {
    /// The loop is about to sleep. It must look for requests once more.
    pub(super) fn announce_sleep(&self) {
        self.sleeping.store(true, Ordering::Relaxed);
        // SeqCst fence, partner in `must_wake`. Either that thread sees that we sleep, or our look at requests after
        // this sees its own.
        fence(Ordering::SeqCst);
    }

    /// The loop is awake.
    pub(super) fn awake(&self) {
        self.sleeping.store(false, Ordering::Relaxed);
    }

    /// Whether the caller, which has made a request, must wake the loop. Of several callers one must.
    pub(super) fn must_wake(&self) -> bool {
        // SeqCst fence, partner in `announce_sleep`.
        fence(Ordering::SeqCst);
        self.sleeping.load(Ordering::Relaxed) && self.sleeping.swap(false, Ordering::Relaxed)
    }

    /// Sets flags. Release, partner in `take`: what was written before is visible to the loop that takes them.
    pub(super) fn ask(&self, flags: u32) {
        self.flags.fetch_or(flags, Ordering::Release);
    }

    /// The flags that are set.
    pub(super) fn asked(&self) -> u32 {
        self.flags.load(Ordering::Relaxed)
    }

    /// Takes flags: those of `mask` that were set.
    pub(super) fn take(&self, mask: u32) -> u32 {
        if self.asked() & mask == 0 {
            return 0;
        }
        self.flags.fetch_and(!mask, Ordering::Acquire) & mask
    }
}
