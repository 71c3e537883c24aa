//! The words with which other threads reach a group of agents: that it was called, that it is to close, and how it
//! [sleeps](crate::sleeping).
//!
//! Nothing here knows a thread or a descriptor: the models run the same code.

#[cfg(all(test, loom))]
pub(crate) mod models;

pub(crate) mod place;

use crate::primitive::{AtomicBool, Ordering, Site, order, weakened};
use crate::sleeping::{Sleep, Sleeping};

/// The words of one group.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    called: AtomicBool,
    closing: AtomicBool,
    sleeping: Sleeping,
}

/// For callers.
impl Calls {
    /// Calls the group. The answer says how it slept, and that this caller, and no other, wakes it; `None`: it is
    /// awake, or another caller wakes it.
    pub(crate) fn call(&self) -> Option<Sleep> {
        // Release, partner in `clear`: what the caller did before is visible to the cycle that follows. An exchange,
        // since a store would end the release sequence of another caller: the cycle would see what one of two has done.
        let release = order(Site::CalledRelease, Ordering::Release);
        if weakened(Site::CallsMerged) {
            self.called.store(true, release);
        } else {
            self.called.swap(true, release);
        }
        self.sleeping.take()
    }

    /// Asks the group to close, and calls it. The answer is that of [`call`](Self::call).
    pub(crate) fn close(&self) -> Option<Sleep> {
        // Release, partner in `is_closing`: what the caller did before is visible to the agents that close.
        self.closing.store(true, order(Site::ClosingRelease, Ordering::Release));
        self.call()
    }
}

/// For the group.
impl Calls {
    /// The group is about to sleep. `false`: it was called, so it must not.
    ///
    /// The answer `true` may also mean that a caller wakes the group already. It brings one that is [`Sleep::Away`] to
    /// a thread, so this one must leave it.
    pub(crate) fn announce(&self, how: Sleep) -> bool {
        self.sleeping.announce(how, || self.called.load(Ordering::Relaxed)) || !self.take_back(how)
    }

    /// Sleeps in another way than was announced. `false`: a caller has woken the group meanwhile.
    pub(crate) fn change(&self, from: Sleep, to: Sleep) -> bool {
        self.sleeping.change(from, to)
    }

    /// Whether no caller has woken the group since it announced that it sleeps in this way. What wakes a parked thread
    /// is a token of the thread, and each call of the program that blocks may take it. So this is asked right before.
    pub(crate) fn is_announced(&self, how: Sleep) -> bool {
        self.sleeping.is_announced(how)
    }

    /// The group does not sleep after all. `false`: a caller has seen that it sleeps, and wakes it.
    pub(crate) fn take_back(&self, how: Sleep) -> bool {
        self.sleeping.take_back(how)
    }

    /// The group is awake. A call from now on is for the sleep after the cycle that follows. Returns whether it was
    /// called.
    pub(crate) fn clear(&self) -> bool {
        self.sleeping.awake();
        // A look first, so that a cycle without a call costs no locked operation. Acquire, partner in `call`. An
        // exchange that fails stores nothing; a swap would be right too, but loom has no total order of the stores to
        // one word.
        let acquire = order(Site::CalledAcquire, Ordering::Acquire);
        self.called.load(Ordering::Relaxed)
            && self.called.compare_exchange(true, false, acquire, Ordering::Relaxed).is_ok()
    }

    /// Whether the group was asked to close. If this is `true`, it stays `true`.
    pub(crate) fn is_closing(&self) -> bool {
        // Acquire, partner in `close`.
        self.closing.load(order(Site::ClosingAcquire, Ordering::Acquire))
    }
}
