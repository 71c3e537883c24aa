//! How an endpoint makes sure that who parks beside it is not missed.
//!
//! **Lives here:** [`Announce`], the two ways to order "I stored" before "is anybody parked?". **Builds on:**
//! `primitive`. **May touch it:** the endpoint that owns the word stores its mode; everybody who parks reads it.
//!
//! The handshake is Dekker's: the waker stores its news and then looks at the bell; the sleeper announces itself at the
//! bell and then looks for news. One of the two must see the other, which takes a store-load barrier on both sides. A
//! full fence in every publish is dear (44 against 340 million a second), so a *registered* waker pays with a compiler
//! fence only, and the sleeper, who is slow anyway, has the kernel run a barrier on every processor on which a
//! registered process runs. *Fenced* is the fallback.

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
            // SeqCst fence, partner in `before_second_look`. Either our look sees the sleeper's announcement and we
            // wake it, or its second look sees what we stored and it does not sleep.
            Self::Fenced => fence_at(Site::WakeFence, Ordering::SeqCst),
            #[cfg(not(loom))]
            Self::Registered => super::primitive::compiler_fence(Ordering::SeqCst),
            // The compiler's reorderings are not loom's subject.
            #[cfg(loom)]
            Self::Registered => {}
        }
    }
}

/// The sleeper's barrier, between its announcement and its second look. `waker` is the word in which the waker says how
/// it announces; it is read after our fence, so a waker that changes (a take-over) is either seen here or sees our
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
    // SeqCst fence, partner in `Announce::before_look`.
    fence_at(Site::ParkFence, Ordering::SeqCst);
    if wakers.all(|waker| waker.load(Ordering::Relaxed) != Announce::Registered as u32) {
        return true;
    }
    #[cfg(not(loom))]
    return membarrier::expedite();
    // loom has no barrier that one thread runs on another, so in a model nobody can issue it.
    #[cfg(loom)]
    false
}

#[cfg(all(target_os = "linux", not(loom)))]
mod membarrier {
    use crate::sync::settled::Settled;

    /// Whether this process takes part in global expedited barriers. Registers it on the first call.
    pub(super) fn is_registered() -> bool {
        // Registering takes the kernel milliseconds, so a fork of another thread falls into it now and then. Twice is
        // as good as once.
        static REGISTERED: Settled<bool> = Settled::new();
        *REGISTERED.get_or_make(|| membarrier(libc::MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED))
    }

    /// Runs a full barrier on every processor that runs a registered process. `false` if the kernel refuses.
    pub(super) fn expedite() -> bool {
        membarrier(libc::MEMBARRIER_CMD_GLOBAL_EXPEDITED)
    }

    fn membarrier(command: i32) -> bool {
        // SAFETY: the call takes two integers and touches no memory of ours.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
    }
}

#[cfg(all(not(target_os = "linux"), not(loom)))]
mod membarrier {
    /// Other systems have no such barrier: everybody is *fenced*.
    pub(super) fn is_registered() -> bool {
        false
    }

    pub(super) fn expedite() -> bool {
        false
    }
}
