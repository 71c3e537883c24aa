//! The words that say how a group of agents sleeps, and that it was called.
//!
//! ```text
//! the group                             a caller
//! sleeping = how                        called = 1
//! SeqCst fence                          SeqCst fence
//! called?  then no sleep                take `sleeping`: what it was says how to wake
//! sleep
//! ```
//! Either the group sees that it was called, or the caller sees that it sleeps. Nothing here knows a thread or a
//! descriptor: the models run the same code.

#[cfg(all(test, loom))]
pub(crate) mod models;

use crate::primitive::{AtomicBool, AtomicU8, Ordering, Site, fence_at, order, weakened};

const AWAKE: u8 = 0;

/// How a group sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Sleep {
    /// Its thread is parked.
    Parked = 1,
    /// Its thread polls descriptors.
    AtDoorbells,
    /// It has no thread; the caller must bring it to one.
    Away,
}

impl Sleep {
    fn of(word: u8) -> Option<Self> {
        [Self::Parked, Self::AtDoorbells, Self::Away].into_iter().find(|how| *how as u8 == word)
    }
}

/// The two words of one group.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    called: AtomicBool,
    sleeping: AtomicU8,
}

/// For callers.
impl Calls {
    /// Calls the group. The answer says how it slept, and that this caller, and no other, wakes it; `None`: it is
    /// awake, or another caller wakes it.
    pub(crate) fn call(&self) -> Option<Sleep> {
        // Release, partner in `clear`: what the caller did before is visible to the cycle that follows.
        self.called.store(true, order(Site::CalledRelease, Ordering::Release));
        // SeqCst fence, partner in `announce`. Either the group sees that it was called, or we see that it sleeps.
        fence_at(Site::CallFence);
        // A look first, so that a group that is awake costs no locked operation.
        let mut how = self.sleeping.load(Ordering::Relaxed);
        while how != AWAKE {
            if weakened(Site::SleepTaken) {
                self.sleeping.store(AWAKE, Ordering::Relaxed);
                break;
            }
            // Acquire, partner in `announce`: a caller that brings the group to a thread sees all that it has done.
            let acquire = order(Site::SleepAcquire, Ordering::Acquire);
            match self.sleeping.compare_exchange(how, AWAKE, acquire, Ordering::Relaxed) {
                Ok(_) => break,
                // It sleeps in another way now, or another caller was first.
                Err(now) => how = now,
            }
        }
        Sleep::of(how)
    }
}

/// For the group.
impl Calls {
    /// The group is about to sleep. `false`: it was called, so it must not.
    ///
    /// For [`Sleep::Away`] the answer `true` may also mean that a caller brings the group to a thread already.
    pub(crate) fn announce(&self, how: Sleep) -> bool {
        // Release, partner in `call`.
        self.sleeping.store(how as u8, order(Site::SleepRelease, Ordering::Release));
        // SeqCst fence, partner in `call`.
        fence_at(Site::AnnounceFence);
        weakened(Site::CalledSecondLook) || !self.called.load(Ordering::Relaxed) || !self.take_back(how)
    }

    /// Sleeps in another way than was announced. `false`: a caller has woken the group meanwhile.
    pub(crate) fn change(&self, from: Sleep, to: Sleep) -> bool {
        if weakened(Site::ChangeExchange) {
            self.sleeping.store(to as u8, Ordering::Release);
            return true;
        }
        self.sleeping.compare_exchange(from as u8, to as u8, Ordering::Release, Ordering::Relaxed).is_ok()
    }

    /// The group does not sleep after all. `false`: a caller has seen that it sleeps, and wakes it.
    pub(crate) fn take_back(&self, how: Sleep) -> bool {
        if weakened(Site::TakeBackExchange) {
            self.sleeping.store(AWAKE, Ordering::Relaxed);
            return true;
        }
        self.sleeping.compare_exchange(how as u8, AWAKE, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// The group is awake. A call from now on is for the sleep after the cycle that follows. Returns whether it was
    /// called.
    pub(crate) fn clear(&self) -> bool {
        self.sleeping.store(AWAKE, Ordering::Relaxed);
        // A look first, so that a cycle without a call costs no locked operation. Acquire, partner in `call`. An
        // exchange that fails stores nothing; a swap would be right too, but loom has no total order of the stores to
        // one word.
        let acquire = order(Site::CalledAcquire, Ordering::Acquire);
        self.called.load(Ordering::Relaxed)
            && self.called.compare_exchange(true, false, acquire, Ordering::Relaxed).is_ok()
    }
}
