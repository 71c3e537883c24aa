//! Wakes a group of agents where it sleeps: parked, at its doorbells, or away from any thread.

use super::bell::Bell;
use crate::calls::Calls;
pub(super) use crate::calls::Sleep;
use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::Thread;

/// Wakes one group, from any thread.
#[derive(Default)]
pub(super) struct Waker {
    calls: Calls,
    thread: Mutex<Option<Thread>>,
    bell: OnceLock<Bell>,
    bring: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl fmt::Debug for Waker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waker").field("calls", &self.calls).finish_non_exhaustive()
    }
}

impl Waker {
    /// Ends the present sleep of the group, or the next one if it does not sleep now.
    pub(super) fn wake(&self) {
        match self.calls.call() {
            Some(Sleep::Parked) => {
                if let Some(thread) = &*self.thread.lock().unwrap_or_else(PoisonError::into_inner) {
                    thread.unpark();
                }
            }
            Some(Sleep::AtDoorbells) => {
                if let Some(bell) = self.bell.get() {
                    bell.ring();
                }
            }
            Some(Sleep::Away) => self.bring(),
            None => {}
        }
    }

    /// The group is about to sleep. `false`: it was called, so it must not.
    ///
    /// For [`Sleep::Away`] the answer `true` may also mean that a caller brings the group to a thread already.
    pub(super) fn announce(&self, how: Sleep) -> bool {
        if how == Sleep::Parked || how == Sleep::AtDoorbells {
            *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(std::thread::current());
        }
        self.calls.announce(how)
    }

    /// Sleeps in another way than was announced. `false`: a caller has woken the group meanwhile.
    pub(super) fn change(&self, from: Sleep, to: Sleep) -> bool {
        self.calls.change(from, to)
    }

    /// The group does not sleep after all. `false`: a caller has seen that it sleeps, and wakes it.
    pub(super) fn take_back(&self, how: Sleep) -> bool {
        self.calls.take_back(how)
    }

    /// The group is awake. A call from now on is for the sleep after the cycle that follows. Returns whether it was
    /// called.
    pub(super) fn clear(&self) -> bool {
        self.calls.clear()
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
