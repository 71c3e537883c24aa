//! Workers that sleep, and how the thread that has work for them finds one.
//!
//! ```text
//! submitter                               worker
//! push into a queue                       set the own bit
//! SeqCst fence                            SeqCst fence
//! look at the bits; take one and call     look at the queues again; if there is something: clear the bit, do not sleep
//! ```
//!
//! One of the two sees the other. A bit is set by its worker alone, and cleared by the thread that takes it: the worker
//! itself, or one caller. A call is a token that stays until its worker has slept, so a call that comes early is not
//! lost; a token that is not needed costs one look.
//!
//! There is one word of bits for each *floor*: the lowest priority that its sleepers would run. A worker that waits for
//! a tasklet is called for what it may run, and for nothing else.

use crate::Priority;
use crate::primitive::{AtomicU64, Condvar, Mutex, Ordering, Site, fence_at, lock, weakened};
use crossbeam_utils::CachePadded;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

/// Where one thread sleeps until it is called.
#[derive(Debug)]
pub(crate) struct Parker {
    called: Mutex<bool>,
    bell: Condvar,
}

impl Parker {
    pub(crate) fn new() -> Self {
        Self { called: Mutex::new(false), bell: Condvar::new() }
    }

    /// Sleeps until it is called or `until` comes, and takes the call.
    pub(crate) fn park(&self, until: Option<Instant>) {
        let mut called = lock(&self.called);
        while !*called {
            called = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                None => self.bell.wait(called).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => return,
                Some(left) => self.bell.wait_timeout(called, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
        *called = false;
    }

    pub(crate) fn call(&self) {
        let mut called = lock(&self.called);
        if !*called {
            *called = true;
            self.bell.notify_one();
        }
    }
}

/// The workers that sleep.
#[derive(Debug)]
pub(crate) struct Parked {
    /// By floor, one bit a worker.
    bits: CachePadded<[AtomicU64; 3]>,
    parkers: Box<[Arc<Parker>]>,
}

impl Parked {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            bits: CachePadded::new([0, 0, 0].map(AtomicU64::new)),
            parkers: (0..workers).map(|_| Arc::new(Parker::new())).collect(),
        }
    }

    pub(crate) fn parker(&self, worker: usize) -> &Arc<Parker> {
        &self.parkers[worker]
    }

    /// Sleeps as worker `me`, unless `found` sees something after the announcement. Returns whether a caller had taken
    /// our bit. Then its work may be ours to pass on.
    pub(crate) fn sleep(
        &self,
        me: usize,
        floor: Priority,
        until: Option<Instant>,
        found: impl FnOnce() -> bool,
    ) -> bool {
        let (bits, mine) = (&self.bits[floor.index()], 1 << me);
        bits.fetch_or(mine, Ordering::Relaxed);
        // Partner: `wake_one`. Either that caller sees our bit, or we see what it pushed.
        fence_at(Site::ParkFence);
        if weakened(Site::ParkSecondLook) || !found() {
            self.parkers[me].park(until);
        }
        // Acquire: the caller that took the bit pushed before it, so the next look finds that.
        bits.fetch_and(!mine, Ordering::Acquire) & mine == 0
    }

    /// Calls one sleeper that would run work of `priority`, after such work was pushed.
    pub(crate) fn wake_one(&self, priority: Priority) {
        // Partner: `sleep`.
        fence_at(Site::WakeFence);
        self.call_one(priority);
    }

    /// Whether a worker sleeps, or did a moment ago.
    pub(crate) fn any(&self) -> bool {
        self.bits.iter().any(|bits| bits.load(Ordering::Relaxed) != 0)
    }

    /// Calls one sleeper that would run work of `priority`. Workers that run anything come first.
    fn call_one(&self, priority: Priority) {
        for bits in &self.bits[..=priority.index()] {
            let mut set = bits.load(Ordering::Relaxed);
            while set != 0 {
                let worker = set.trailing_zeros();
                match bits.compare_exchange_weak(set, set & !(1 << worker), Ordering::Release, Ordering::Relaxed) {
                    Ok(_) => return self.parkers[worker as usize].call(),
                    Err(now) => set = now,
                }
            }
        }
    }

    /// Calls another sleeper if there is more work, after a worker took something that was not its own. Each such
    /// worker does so: several tasklets may have come with one call, and a call may have come to a worker that was
    /// awake.
    pub(crate) fn pass_on(&self, highest: impl FnOnce() -> Option<Priority>) {
        if !weakened(Site::Spread)
            && let Some(priority) = highest()
        {
            self.wake_one(priority);
        }
    }

    /// Calls every worker, asleep or not, after something changed that all must see.
    pub(crate) fn wake_all(&self) {
        for parker in &self.parkers {
            parker.call();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::time::Duration;
    use testkit::watchdog::{PATIENCE, Watchdog};

    #[test]
    fn an_early_call_is_not_lost() {
        let _watchdog = Watchdog::new(PATIENCE, "a sleep after a call");
        let parked = Parked::new(1);
        parked.parker(0).call();
        assert!(!parked.sleep(0, Priority::Low, None, || false), "no caller took the bit");
    }

    #[test]
    fn a_sleep_ends_at_its_time_and_leaves_no_bit() {
        let parked = Parked::new(1);
        let until = Instant::now() + Duration::from_millis(5);
        assert!(!parked.sleep(0, Priority::Low, Some(until), || false));
        assert!(Instant::now() >= until);
        parked.wake_one(Priority::High);
        assert!(!*lock(&parked.parkers[0].called), "no bit, so no call");
    }

    #[test]
    fn a_sleeper_is_called_only_for_what_it_would_run() {
        let parked = Parked::new(2);
        let looked = parked.sleep(0, Priority::High, None, || {
            parked.wake_one(Priority::Normal);
            assert!(!*lock(&parked.parkers[0].called), "normal is below its floor");
            parked.sleep(1, Priority::Low, None, || {
                parked.wake_one(Priority::High);
                assert!(*lock(&parked.parkers[1].called), "a worker that runs anything comes first");
                true
            });
            parked.wake_one(Priority::High);
            true
        });
        assert!(looked, "the second call for high took the bit");
    }
}
