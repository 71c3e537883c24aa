//! The words that say how a group sleeps, and that it was called.
//!
//! ```text
//! the group                             a caller
//! sleeping = how                        called = 1
//! fence                                 fence
//! called?  then no sleep                take `sleeping`: what it was says how to wake
//! sleep
//! ```
//! Either the group sees that it was called, or the caller sees that it sleeps.

use super::bell::Bell;
use crate::primitive::{AtomicBool, AtomicU8, Ordering, fence};
use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::Thread;

const AWAKE: u8 = 0;

/// How a group sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Sleep {
    /// Its thread is parked.
    Parked = 1,
    /// Its thread polls descriptors.
    AtDoorbells,
    /// It has no thread; the caller must bring it to one.
    Away,
}

/// Wakes one group, from any thread.
#[derive(Default)]
pub(super) struct Waker {
    called: AtomicBool,
    sleeping: AtomicU8,
    thread: Mutex<Option<Thread>>,
    bell: OnceLock<Bell>,
    bring: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl fmt::Debug for Waker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waker").field("called", &self.called).field("sleeping", &self.sleeping).finish_non_exhaustive()
    }
}

impl Waker {
    /// Ends the present sleep of the group, or the next one if it does not sleep now.
    pub(super) fn wake(&self) {
        // Release, partner in `clear`: what the caller did before is visible to the cycle that follows.
        self.called.store(true, Ordering::Release);
        // SeqCst fence, partner in `announce`. Either the group sees that it was called, or we see that it sleeps.
        fence(Ordering::SeqCst);
        // A look first, so that a group that is awake costs no locked operation.
        if self.sleeping.load(Ordering::Relaxed) == AWAKE {
            return;
        }
        // Of several callers one takes it.
        match self.sleeping.swap(AWAKE, Ordering::AcqRel) {
            how if how == Sleep::Parked as u8 => {
                if let Some(thread) = &*self.thread.lock().unwrap_or_else(PoisonError::into_inner) {
                    thread.unpark();
                }
            }
            how if how == Sleep::AtDoorbells as u8 => {
                if let Some(bell) = self.bell.get() {
                    bell.ring();
                }
            }
            how if how == Sleep::Away as u8 => self.bring(),
            _ => {}
        }
    }

    /// The group is about to sleep. `false`: it was called, so it must not.
    ///
    /// For [`Sleep::Away`] the answer `true` may also mean that a caller brings the group to a thread already.
    pub(super) fn announce(&self, how: Sleep) -> bool {
        if how == Sleep::Parked || how == Sleep::AtDoorbells {
            *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(std::thread::current());
        }
        // Release, partner in `wake`: the caller that takes it sees everything that the group has done.
        self.sleeping.store(how as u8, Ordering::Release);
        // SeqCst fence, partner in `wake`.
        fence(Ordering::SeqCst);
        !self.called.load(Ordering::Relaxed) || !self.take_back(how)
    }

    /// Sleeps in another way than was announced. `false`: a caller has woken the group meanwhile.
    pub(super) fn change(&self, from: Sleep, to: Sleep) -> bool {
        self.sleeping.compare_exchange(from as u8, to as u8, Ordering::Release, Ordering::Relaxed).is_ok()
    }

    /// The group does not sleep after all. `false`: a caller has seen that it sleeps, and wakes it.
    pub(super) fn take_back(&self, how: Sleep) -> bool {
        self.sleeping.compare_exchange(how as u8, AWAKE, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// The group is awake. A call from now on is for the sleep after the cycle that follows. Returns whether it was
    /// called.
    pub(super) fn clear(&self) -> bool {
        self.sleeping.store(AWAKE, Ordering::Relaxed);
        // Acquire, partner in `wake`.
        self.called.swap(false, Ordering::Acquire)
    }

    /// What is rung; `None` if the system has no descriptor for it.
    pub(super) fn bell(&self) -> Option<&Bell> {
        if self.bell.get().is_none() {
            // Only the group's thread comes here.
            let _ = self.bell.set(Bell::new().ok()?);
        }
        self.bell.get()
    }

    /// Sets what brings a group that is away to a thread.
    pub(super) fn set_bring(&self, bring: impl Fn() + Send + Sync + 'static) {
        let set = self.bring.set(Box::new(bring));
        debug_assert!(set.is_ok(), "a group is run in one way");
    }

    pub(super) fn bring(&self) {
        if let Some(bring) = self.bring.get() {
            bring();
        }
    }
}
