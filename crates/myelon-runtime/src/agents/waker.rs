//! Wakes a group of agents where it sleeps: parked, at its doorbells, or away from any thread.

use super::bell::Bell;
use crate::calls::Calls;
use crate::sleeping::Sleep;
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
        self.wake_from(self.calls.call());
    }

    /// Asks the group to close, and wakes it.
    pub(super) fn close(&self) {
        self.wake_from(self.calls.close());
    }

    fn wake_from(&self, sleep: Option<Sleep>) {
        match sleep {
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

    /// Whether the group was asked to close. If this is `true`, it stays `true`.
    pub(super) fn is_closing(&self) -> bool {
        self.calls.is_closing()
    }

    /// The group's thread is about to be parked. `false`: it was called, so it must not.
    pub(super) fn announce_parked(&self) -> bool {
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(std::thread::current());
        self.calls.announce(Sleep::Parked)
    }

    /// Whether the group's thread, which was about to be parked, may still be: no caller has woken it meanwhile.
    pub(super) fn may_be_parked(&self) -> bool {
        self.calls.is_announced(Sleep::Parked)
    }

    /// The group's thread, which was about to be parked, polls descriptors instead: those of the group, and the bell
    /// that `poll` is given, or none if the system has no descriptor for it. `None`: a caller has woken the group
    /// meanwhile.
    pub(super) fn at_doorbells<R>(&self, poll: impl FnOnce(Option<&Bell>) -> R) -> Option<R> {
        // First the bell: a caller that sees that the group sleeps there must find it.
        let bell = self.bell();
        if bell.is_some() && !self.calls.change(Sleep::Parked, Sleep::AtDoorbells) {
            return None;
        }
        Some(poll(bell))
    }

    fn bell(&self) -> Option<&Bell> {
        if self.bell.get().is_none() {
            // Only the group's thread comes here.
            let _ = self.bell.set(Bell::new().ok()?);
        }
        self.bell.get()
    }

    /// The group is about to leave its thread. `false`: it was called, so it must not. `true` may also mean that a
    /// caller brings it to a thread already.
    pub(super) fn announce_away(&self) -> bool {
        self.calls.announce(Sleep::Away)
    }

    /// The group that was about to leave its thread stays. `false`: a caller has seen that it was away, and brings it.
    pub(super) fn stay(&self) -> bool {
        self.calls.take_back(Sleep::Away)
    }

    /// The group is awake. A call from now on is for the sleep after the cycle that follows. Returns whether it was
    /// called.
    pub(super) fn clear(&self) -> bool {
        self.calls.clear()
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
