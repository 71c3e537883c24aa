//! The word that says how a loop or a group of agents sleeps, and how another thread ends that sleep.
//!
//! ```text
//! the sleeper                                  another thread
//! sleeping = how                               request = x
//! SeqCst fence                                 SeqCst fence
//! a request?  then it does not sleep           take `sleeping`: what it was says how to wake
//! sleep
//! ```
//!
//! Either the sleeper sees the request, or the other thread sees that it sleeps. What a request is, and what wakes, is
//! known to [`requests`](crate::requests), for a loop, and to [`calls`](crate::calls), for a group.
//!
//! - **Invariant:** a sleeper that is away runs in another thread only after the one that announced it has put it down,
//!   or both are one thread. So the word does not hand over its state, and a sleeper that takes its announcement back
//!   takes no later one.

use crate::primitive::{AtomicU8, Ordering, Site, fence_at, order, weakened};

const AWAKE: u8 = 0;

/// How it sleeps.
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

/// The word.
#[derive(Debug, Default)]
pub(crate) struct Sleeping(AtomicU8);

/// For other threads.
impl Sleeping {
    /// After a request: how the sleeper sleeps, if it is this caller, and no other, that wakes it. `None`: it is awake,
    /// or another caller wakes it.
    pub(crate) fn take(&self) -> Option<Sleep> {
        // SeqCst fence, partner in `announce`. Either the sleeper sees our request, or we see that it sleeps.
        fence_at(Site::RequestFence);
        // A look first, so that a sleeper that is awake costs no locked operation.
        let mut how = self.0.load(Ordering::Relaxed);
        while how != AWAKE && !weakened(Site::WakeTaken) {
            // Acquire, partner in `change`: we see what the sleeper has made before, to be woken by it.
            //
            // An exchange that fails stores nothing. A swap would store another 0, which is right too, but loom lets a
            // later thread read that instead of the sleeper's next word: it has no total order of the stores to one.
            let acquire = order(Site::TakeAcquire, Ordering::Acquire);
            match self.0.compare_exchange(how, AWAKE, acquire, Ordering::Relaxed) {
                Ok(_) => break,
                // It sleeps in another way now, or another caller was first.
                Err(now) => how = now,
            }
        }
        Sleep::of(how)
    }
}

/// For the sleeper.
impl Sleeping {
    /// It is about to sleep. `false`: something is `requested`, so it must not. The word says still that it sleeps.
    pub(crate) fn announce(&self, how: Sleep, requested: impl FnOnce() -> bool) -> bool {
        self.0.store(how as u8, Ordering::Relaxed);
        // SeqCst fence, partner in `take`.
        fence_at(Site::SleepFence);
        weakened(Site::SleepSecondLook) || !requested()
    }

    /// Whether no caller has taken the word since it was announced.
    pub(crate) fn is_announced(&self, how: Sleep) -> bool {
        // Relaxed: a caller takes the word before it wakes. A sleeper that has noticed the wake sees it.
        weakened(Site::ParkedLastLook) || self.0.load(Ordering::Relaxed) == how as u8
    }

    /// Sleeps in another way than was announced. `false`: a caller has taken the word, and wakes it as announced.
    pub(crate) fn change(&self, from: Sleep, to: Sleep) -> bool {
        // Release, partner in `take`.
        let release = order(Site::ChangeRelease, Ordering::Release);
        if weakened(Site::ChangeExchange) {
            self.0.store(to as u8, release);
            return true;
        }
        self.0.compare_exchange(from as u8, to as u8, release, Ordering::Relaxed).is_ok()
    }

    /// It does not sleep after all. `false`: a caller has taken the word, and wakes it.
    pub(crate) fn take_back(&self, how: Sleep) -> bool {
        if weakened(Site::TakeBackExchange) {
            self.awake();
            return true;
        }
        self.0.compare_exchange(how as u8, AWAKE, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// It is awake: no thread need wake it.
    pub(crate) fn awake(&self) {
        self.0.store(AWAKE, Ordering::Relaxed);
    }
}
