//! A word on which a thread may sleep.
//!
//! Sleepers call `announce` and `sleep`; wakers call `ring_if_awaited` after their barrier.
//!
//! Bit 0 says that a sleeper announced itself; the other bits count how often the bell was rung. Bit 0 is a flag and
//! not a count of sleepers: a killed sleeper costs one needless wake.

use super::primitive::{AtomicU32, Ordering, Site, order};
#[cfg(loom)]
use std::sync::Arc;
use std::time::Duration;

const AWAITED: u32 = 1;

/// One futex word, shared between processes.
#[repr(C)]
pub(crate) struct Bell {
    word: AtomicU32,
    /// The kernel's part of the futex, which a model must have of its own.
    #[cfg(loom)]
    kernel: LoomKernel,
}

/// What the bell looked like when a sleeper announced itself; it sleeps only while that is still so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u32);

/// The right to sleep: its holder has announced itself, passed its barrier and looked again.
#[derive(Clone, Copy)]
pub(crate) struct Park {
    pub(crate) ticket: Ticket,
    /// Whether the barrier was issued; without it a sleep must be short.
    pub(crate) barrier: bool,
}

/// How a sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// The bell was rung, before or during the sleep, or a signal came.
    Rung,
    /// The slice passed.
    TimedOut,
}

impl Bell {
    pub(crate) fn new() -> Self {
        Self {
            word: AtomicU32::new(0),
            #[cfg(loom)]
            kernel: LoomKernel::new(),
        }
    }

    /// Announces that the caller is about to sleep. The caller must then pass its barrier and look once more for what
    /// it waits for.
    pub(crate) fn announce(&self) -> Ticket {
        Ticket(self.word.fetch_or(AWAITED, Ordering::AcqRel) | AWAITED)
    }

    /// Whether the bell has not been rung since `ticket` was drawn. If this is `false`, it stays `false` until the bell
    /// was rung 2^31 times.
    #[cfg(any(target_os = "linux", loom))]
    pub(crate) fn is_silent_since(&self, ticket: Ticket) -> bool {
        self.word.load(Ordering::Acquire) == ticket.0
    }

    /// Whether a sleeper has announced itself and has not been rung since. It may have given up its wait meanwhile.
    #[inline(always)]
    pub(crate) fn is_awaited(&self) -> bool {
        self.word.load(Ordering::Relaxed) & AWAITED != 0
    }

    /// Wakes the sleepers, if there are any. The caller has stored its news and passed its barrier.
    #[inline(always)]
    pub(crate) fn ring_if_awaited(&self) -> bool {
        if !self.is_awaited() {
            return false;
        }
        self.ring();
        true
    }

    /// Wakes all threads that sleep here or are about to, without checking whether there are any.
    #[cold]
    #[inline(never)]
    pub(crate) fn ring(&self) {
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            // An odd word becomes even by 1 (the flag is cleared, the carry counts the ring), an even one stays even by
            // 2: either way the value changes, and the kernel does not let a sleeper that arrives now sleep.
            let rung = seen.wrapping_add(if seen & AWAITED == 0 { 2 } else { 1 });
            // AcqRel: the release half pairs with `announce` and the sleeper's fence after it. A sleeper that announces
            // itself after this exchange sees what was stored before it. This holds even if no sleeper was announced
            // and the waker passed no barrier.
            match self.word.compare_exchange(seen, rung, order(Site::RingRelease, Ordering::AcqRel), Ordering::Relaxed)
            {
                Ok(_) => break,
                Err(now) => seen = now,
            }
        }
        #[cfg(not(loom))]
        crate::step!(StoredNotWoken);
        #[cfg(not(loom))]
        super::futex::wake_all(&self.word);
        #[cfg(loom)]
        self.kernel.wake_all();
    }

    /// Sleeps until the bell is rung or `slice` has passed. Returns at once if it was rung since `ticket` was drawn.
    #[cfg(not(loom))]
    pub(crate) fn sleep(&self, ticket: Ticket, slice: Duration) -> Woken {
        super::futex::wait(&self.word, ticket.0, slice)
    }

    /// In a model there is no time: a sleeper that no thread wakes is a deadlock, which loom reports.
    #[cfg(loom)]
    pub(crate) fn sleep(&self, ticket: Ticket, _slice: Duration) -> Woken {
        self.kernel.wait(|| self.word.load(Ordering::Relaxed) == ticket.0);
        Woken::Rung
    }

    /// Sleeps until one of `bells` is rung. Returns at once if one was rung since its ticket was drawn.
    #[cfg(loom)]
    pub(crate) fn sleep_at_any(bells: &[(&Self, Ticket)]) {
        let sleeper = Arc::new(LoomSleeper::new());
        for (bell, ticket) in bells {
            if !bell.kernel.enqueue(&sleeper, || bell.word.load(Ordering::Relaxed) == ticket.0) {
                return;
            }
        }
        sleeper.sleep();
    }

    /// The word, for a wait on several bells at once.
    #[cfg(all(target_os = "linux", not(loom)))]
    pub(crate) fn word(&self) -> &AtomicU32 {
        &self.word
    }
}

#[cfg(any(target_os = "linux", loom))]
impl Ticket {
    pub(crate) fn value(self) -> u32 {
        self.0
    }

    /// The ticket for a value of the word.
    pub(crate) fn of(value: u32) -> Self {
        Self(value)
    }
}

/// The futex of a model: "compare and sleep" is one step, as it is in the kernel.
#[cfg(loom)]
struct LoomKernel {
    /// The threads that sleep here and at other bells.
    queue: loom::sync::Mutex<Vec<Arc<LoomSleeper>>>,
    /// The threads that sleep here only.
    sleepers: loom::sync::Condvar,
}

#[cfg(loom)]
impl LoomKernel {
    fn new() -> Self {
        Self { queue: loom::sync::Mutex::new(vec![]), sleepers: loom::sync::Condvar::new() }
    }

    fn wait(&self, still: impl Fn() -> bool) {
        let guard = self.queue.lock().unwrap();
        if still() {
            drop(self.sleepers.wait(guard).unwrap());
        }
    }

    /// `false`: the word has changed. A thread that is queued and does not sleep is woken once more than needed.
    fn enqueue(&self, sleeper: &Arc<LoomSleeper>, still: impl Fn() -> bool) -> bool {
        let mut queue = self.queue.lock().unwrap();
        let still = still();
        if still {
            queue.push(Arc::clone(sleeper));
        }
        still
    }

    fn wake_all(&self) {
        let mut queue = self.queue.lock().unwrap();
        queue.drain(..).for_each(|sleeper| sleeper.wake());
        self.sleepers.notify_all();
    }
}

/// A thread that sleeps at several bells of a model.
#[cfg(loom)]
struct LoomSleeper {
    is_woken: loom::sync::Mutex<bool>,
    waker: loom::sync::Condvar,
}

#[cfg(loom)]
impl LoomSleeper {
    fn new() -> Self {
        Self { is_woken: loom::sync::Mutex::new(false), waker: loom::sync::Condvar::new() }
    }

    fn sleep(&self) {
        let mut is_woken = self.is_woken.lock().unwrap();
        while !*is_woken {
            is_woken = self.waker.wait(is_woken).unwrap();
        }
    }

    fn wake(&self) {
        *self.is_woken.lock().unwrap() = true;
        self.waker.notify_one();
    }
}
