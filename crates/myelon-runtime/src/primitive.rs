//! The only door to atomics, locks and fences: `std`'s in every build, loom's in a model.
//!
//! Each ordering, fence, second look and exchange on which the agenda, the loop and the agents depend has a name. A
//! model can take out one at a time, and must then fail.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)] // the one place of this crate for atomics

use std::sync::PoisonError;

#[cfg(not(loom))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::Ordering;
#[cfg(loom)]
use loom::sync::atomic::fence;
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
#[cfg(loom)]
pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};

#[cfg(not(loom))]
pub(crate) type AtomicBool = core::sync::atomic::AtomicBool;
#[cfg(not(loom))]
pub(crate) type AtomicU8 = core::sync::atomic::AtomicU8;
#[cfg(not(loom))]
pub(crate) type AtomicU32 = core::sync::atomic::AtomicU32;
#[cfg(not(loom))]
pub(crate) type AtomicU64 = core::sync::atomic::AtomicU64;

#[cfg(not(loom))]
#[inline(always)]
fn fence(ordering: Ordering) {
    core::sync::atomic::fence(ordering);
}

/// What the lock protects. A panic of a user's closure never happens while a lock of this crate is in an intermediate
/// state, so a poisoned lock is as good as any other.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One place in a protocol that a model can take out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(loom, derive(PartialOrd, Ord))]
#[repr(u8)]
pub(crate) enum Site {
    /// The submitter's fence between its push and its look at the sleepers: SeqCst.
    WakeFence = 1,
    /// The worker's fence between its announcement and its second look: SeqCst.
    ParkFence,
    /// The worker's second look at the queues.
    ParkSecondLook,
    /// That a worker that took one tasklet of several wakes another worker.
    Spread,
    /// That starting is an exchange that fails if the tasklet was cancelled.
    StartExchange,
    /// That cancelling is an exchange that fails if the tasklet was started.
    CancelExchange,
    /// The look at a state word of an asker that has announced itself in it.
    WatchSecondLook,
    /// The submitter's second look at the word that says that the agenda has ended.
    ClosedSecondLook,
    /// The closer's fence between storing that the agenda has ended and its last look at the queues: SeqCst.
    CloseFence,
    /// The asker's fence between storing the odd epoch and its look at the parties: SeqCst.
    StopFence,
    /// A party's fence between saying that it runs again and its look at the epoch: SeqCst.
    ResumeFence,
    /// A party's look at the epoch after it rested.
    ResumeSecondLook,
    /// A party's fence between saying that it rests and its look at the epoch: SeqCst.
    RestFence,
    /// The state of a party that rests: Release.
    RestRelease,
    /// The asker's look at the state of a party: Acquire.
    RestAcquire,
    /// The even epoch at the end of a closure: Release.
    GoRelease,
    /// The look at the epoch of a party that rested: Acquire.
    GoAcquire,
    /// A worker's look at the epoch before each tasklet.
    LookBeforeEach,
    /// That a second asker waits until the first has finished.
    OneAsker,
    /// The fence of a thread that asks something of a sleeper, between its request and its look at *sleeping*: SeqCst.
    RequestFence,
    /// The sleeper's fence between *sleeping* and its second look: SeqCst.
    SleepFence,
    /// The sleeper's second look at what is requested.
    SleepSecondLook,
    /// That of several threads that see *sleeping*, the one that takes it wakes the sleeper.
    WakeTaken,
    /// The taking of *sleeping*: Acquire.
    TakeAcquire,
    /// That a sleeper sleeps in another way only if no thread has taken *sleeping*.
    ChangeExchange,
    /// *sleeping* when the way of sleeping changes: Release.
    ChangeRelease,
    /// That a sleeper goes on only if no thread has taken *sleeping*.
    TakeBackExchange,
    /// That a flag is added to those that are set, in one step.
    FlagsMerged,
    /// That the loop takes flags from those that are set, in one step.
    FlagsTaken,
    /// A flag that is set: Release.
    FlagRelease,
    /// The loop's taking of a flag: Acquire.
    FlagAcquire,
    /// The loop's look at a flag that it leaves set: Acquire.
    FlagSeen,
    /// That the loop takes and empties the list of channels with news in one step.
    NewsTaken,
    /// That a command is put into a queue in the step that has found it open, with room.
    AcceptedAtOnce,
    /// That *told* is reset in the step that has found the queue empty.
    UntoldAtOnce,
    /// That a queue is closed in the step that has emptied it.
    ClosedAtOnce,
    /// The loop's look at a queue after it has handled a command.
    MoreAfterCall,
    /// The loop's look at a queue after a pause.
    MoreAfterPause,
    /// That a call is added to those before, in one step.
    CallsMerged,
    /// The group's look whether it still sleeps as announced, before its thread is parked.
    ParkedLastLook,
    /// *called*: Release.
    CalledRelease,
    /// The group's taking of *called*: Acquire.
    CalledAcquire,
    /// That a group is to close: Release.
    ClosingRelease,
    /// The group's look whether it is to close: Acquire.
    ClosingAcquire,
}

/// The ordering at `site`: `strong`, except in the model of that mutant.
#[inline(always)]
pub(crate) fn order(site: Site, strong: Ordering) -> Ordering {
    if weakened(site) { Ordering::Relaxed } else { strong }
}

/// The fence at `site`, except in the model of that mutant.
#[inline(always)]
pub(crate) fn fence_at(site: Site) {
    if !weakened(site) {
        fence(Ordering::SeqCst);
    }
}

/// Whether this run is the model of the mutant that lacks `site`. Always `false`, and free, outside models.
#[cfg(not(loom))]
#[inline(always)]
pub(crate) const fn weakened(_site: Site) -> bool {
    false
}

/// Whether this run is the model of the mutant that lacks `site`.
#[cfg(loom)]
pub(crate) fn weakened(site: Site) -> bool {
    MUTANT.load(std::sync::atomic::Ordering::Relaxed) == site as u8
}

/// The mutant of this process; 0 is the real protocol. A process models one mutant and ends.
#[cfg(loom)]
pub(crate) static MUTANT: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(0);
