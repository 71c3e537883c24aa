//! How a waker makes sure that it does not miss a process that is just parking.
//!
//! There are two ways to order "I stored" before "is a waiter parked?". The endpoint that owns the mode word stores it;
//! each waiter that parks reads it.
//!
//! The handshake is Dekker's: the waker stores its news and then looks at the bell; the sleeper announces itself at the
//! bell and then looks for news. One of the two must see the other, which takes a store-load barrier on both sides. A
//! full fence in every publish is expensive (44 against 340 million a second), so a *registered* waker uses only a
//! compiler fence, and the sleeper, which is slow anyway, has the kernel run a barrier on every processor on which a
//! registered process runs. *Fenced* is the fallback.
//!
//! That barrier interrupts the waker's core and takes the sleeper 10 microseconds, more than the sleep itself. So a
//! producer whose readers sleep uses fences for a while: a fence costs little compared with the wake that it has just
//! made.

use super::bell::Bell;
use super::primitive::{AtomicU32, Ordering, Site, fence_at};

/// How a waker orders its store before its look at the bell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Announce {
    /// A sequentially consistent fence in every announcement.
    Fenced = 0,
    /// A compiler fence; sleepers issue the barrier for us.
    Registered = 1,
}

impl Announce {
    /// The best mode that this process can have. Registers the process with the kernel on the first call.
    #[cfg(not(loom))]
    pub(crate) fn best() -> Self {
        if membarrier::is_registered() { Self::Registered } else { Self::Fenced }
    }

    /// The waker's barrier, between its store and its look at the bell.
    #[inline(always)]
    pub(crate) fn before_look(self) {
        match self {
            // SeqCst fence, partner in `before_second_look_at`. Either our look sees the sleeper's announcement and we
            // wake it, or its second look sees what we stored and it does not sleep.
            Self::Fenced => fence_at(Site::WakeFence, Ordering::SeqCst),
            #[cfg(not(loom))]
            Self::Registered => super::primitive::compiler_fence(Ordering::SeqCst),
            // loom does not model what the compiler reorders.
            #[cfg(loom)]
            Self::Registered => {}
        }
    }
}

/// How many announcements use a fence after the waker has rung the bell: together they cost about as much as that. One
/// in a model.
const FENCED_COUNT: u32 = if cfg!(loom) { 1 } else { 64 };

/// A waker that fences while there are sleepers, and relies on their barrier while there are none.
pub(crate) struct Announcer {
    now: Announce,
    /// How it announces while no waiter sleeps.
    best: Announce,
    /// Announcements until it announces in the best way again.
    fenced_left: u32,
}

impl Announcer {
    /// Stores in `word` how it announces. The caller must issue a fence before the first look at a bell, unless no
    /// sleeper has seen the word before.
    pub(crate) fn new(best: Announce, word: &AtomicU32) -> Self {
        word.store(best as u32, Ordering::Relaxed);
        Self { now: best, best, fenced_left: 0 }
    }

    /// Wakes the threads that sleep at `bell`. The caller has stored its news before.
    #[inline(always)]
    pub(crate) fn wake(&mut self, bell: &Bell, word: &AtomicU32) {
        match self.now {
            Announce::Fenced => self.wake_fenced(bell, word),
            Announce::Registered => {
                self.now.before_look();
                if bell.is_awaited() {
                    self.wake_first(bell, word);
                }
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn wake_first(&mut self, bell: &Bell, word: &AtomicU32) {
        bell.ring();
        self.fence_from_now_on(word);
    }

    /// Relaxed is enough. A sleeper that reads this word has announced itself after the preceding ring, and got our
    /// news from it; or it has announced itself before, and does not sleep because the bell has changed. What we store
    /// from now on is fenced.
    fn fence_from_now_on(&mut self, word: &AtomicU32) {
        word.store(Announce::Fenced as u32, Ordering::Relaxed);
        crate::step!(FencedStored);
        (self.now, self.fenced_left) = (Announce::Fenced, FENCED_COUNT);
    }

    #[inline(never)]
    fn wake_fenced(&mut self, bell: &Bell, word: &AtomicU32) {
        self.now.before_look();
        if bell.ring_if_awaited() {
            self.fenced_left = FENCED_COUNT;
        } else if self.best == Announce::Registered {
            self.fenced_left = self.fenced_left.saturating_sub(1);
            if self.fenced_left == 0 {
                word.store(Announce::Registered as u32, Ordering::Relaxed);
                // SeqCst fence, partner in `before_second_look_at`: a sleeper either reads how we announce from now on,
                // or has announced itself before our next look at its bell.
                fence_at(Site::AnnounceFence, Ordering::SeqCst);
                self.now = Announce::Registered;
            }
        }
    }

    /// Starts in the state in which a waker is that has just rung the bell.
    #[cfg(loom)]
    pub(crate) fn begin_fenced(&mut self, word: &AtomicU32) {
        self.fence_from_now_on(word);
    }
}

/// The sleeper's barrier, between its announcement and its second look. `waker` is the word in which the waker says how
/// it announces; it is read after our fence, so either we see that the waker has changed (a take-over), or it sees our
/// announcement.
///
/// Returns `false` if the waker relies on a barrier that this process cannot issue: the caller then sleeps in short
/// slices.
pub(crate) fn before_second_look(waker: &AtomicU32) -> bool {
    before_second_look_at(std::iter::once(waker))
}

/// [`before_second_look`] of a sleeper that has announced itself at several bells: one barrier for all of their
/// `wakers`.
pub(crate) fn before_second_look_at<'a>(mut wakers: impl Iterator<Item = &'a AtomicU32>) -> bool {
    // SeqCst fence, partners in `before_look` and `wake_fenced`.
    fence_at(Site::ParkFence, Ordering::SeqCst);
    if wakers.all(|waker| waker.load(Ordering::Relaxed) != Announce::Registered as u32) {
        return true;
    }
    #[cfg(not(loom))]
    return membarrier::expedite();
    // loom has no barrier that one thread runs on another, so in a model no thread can issue it.
    #[cfg(loom)]
    false
}

/// Whether one process can run a barrier on the processors of others here.
///
/// # Errors
/// It cannot: the kernel's answer.
#[cfg(all(target_os = "linux", not(loom)))]
pub(crate) fn barrier_of_others() -> std::io::Result<()> {
    match membarrier::is_offered()? {
        true => Ok(()),
        false => Err(std::io::ErrorKind::Unsupported.into()),
    }
}

#[cfg(all(target_os = "linux", not(loom)))]
mod membarrier {
    use crate::sync::settled::Settled;

    /// Whether this process takes part in global expedited barriers. Registers it on the first call.
    pub(super) fn is_registered() -> bool {
        // Registering takes the kernel milliseconds, so another thread may well fork meanwhile. Registering twice does
        // no harm.
        static REGISTERED: Settled<bool> = Settled::new();
        *REGISTERED.get_or_make(|| membarrier(libc::MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED))
    }

    /// Runs a full barrier on every processor that runs a registered process. `false` if the kernel refuses.
    pub(super) fn expedite() -> bool {
        membarrier(libc::MEMBARRIER_CMD_GLOBAL_EXPEDITED)
    }

    fn membarrier(command: i32) -> bool {
        call(command) == 0
    }

    /// Whether the kernel has both, and lets this process use them.
    pub(super) fn is_offered() -> std::io::Result<bool> {
        let both = libc::MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED | libc::MEMBARRIER_CMD_GLOBAL_EXPEDITED;
        match call(libc::MEMBARRIER_CMD_QUERY) {
            -1 => Err(std::io::Error::last_os_error()),
            commands => Ok(commands & i64::from(both) == i64::from(both)),
        }
    }

    fn call(command: i32) -> libc::c_long {
        // SAFETY: the call takes two integers and touches no memory of ours.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) }
    }
}

#[cfg(all(not(target_os = "linux"), not(loom)))]
mod membarrier {
    /// Other systems have no such barrier: every waker is *fenced*.
    pub(super) fn is_registered() -> bool {
        false
    }

    pub(super) fn expedite() -> bool {
        false
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// A sleeper finds *fenced*, and needs no barrier, if the waker has rung for it before.
    #[test]
    fn a_waker_fences_while_there_are_sleepers_and_no_longer() {
        let (bell, word) = (Bell::new(), AtomicU32::new(7));
        let is_fenced = |word: &AtomicU32| word.load(Ordering::Relaxed) == Announce::Fenced as u32;
        let mut announcer = Announcer::new(Announce::Registered, &word);
        announcer.wake(&bell, &word);
        assert!(!is_fenced(&word), "no sleeper was there");
        for _ in 0..3 {
            for _ in 0..FENCED_COUNT / 2 {
                bell.announce();
                announcer.wake(&bell, &word);
                assert!(is_fenced(&word) && !bell.is_awaited());
                announcer.wake(&bell, &word);
                assert!(is_fenced(&word));
            }
            // One announcement after the last ring has been made.
            for _ in 1..FENCED_COUNT {
                assert!(is_fenced(&word));
                announcer.wake(&bell, &word);
            }
            assert!(!is_fenced(&word));
        }
    }

    /// As on a kernel without a barrier for other processors.
    #[test]
    fn a_waker_that_can_only_fence_always_does() {
        let (bell, word) = (Bell::new(), AtomicU32::new(7));
        let mut announcer = Announcer::new(Announce::Fenced, &word);
        for _ in 0..3 * FENCED_COUNT {
            announcer.wake(&bell, &word);
            assert_eq!(word.load(Ordering::Relaxed), Announce::Fenced as u32);
        }
    }
}
