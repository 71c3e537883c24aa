//! The only door to atomics: `core`'s in every build, loom's in a model.
//!
//! Every ordering that a protocol depends on goes through two functions here and has a name, so that a model can weaken
//! one at a time and must then fail. No other file names `std::sync::atomic`, which `clippy.toml` refuses. (The types
//! are our own, not re-exports: the lint identifies a type by where it is declared.)
#![allow(clippy::disallowed_types, clippy::disallowed_methods)] // the one place for atomics

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::Ordering;
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering, fence};

#[cfg(not(loom))]
pub(crate) type AtomicBool = core::sync::atomic::AtomicBool;
#[cfg(not(loom))]
pub(crate) type AtomicI64 = core::sync::atomic::AtomicI64;
#[cfg(not(loom))]
pub(crate) type AtomicPtr<T> = core::sync::atomic::AtomicPtr<T>;
#[cfg(not(loom))]
pub(crate) type AtomicU8 = core::sync::atomic::AtomicU8;
#[cfg(not(loom))]
pub(crate) type AtomicU16 = core::sync::atomic::AtomicU16;
#[cfg(not(loom))]
pub(crate) type AtomicU32 = core::sync::atomic::AtomicU32;
#[cfg(not(loom))]
pub(crate) type AtomicU64 = core::sync::atomic::AtomicU64;

#[cfg(not(loom))]
#[inline(always)]
pub(crate) fn fence(ordering: Ordering) {
    core::sync::atomic::fence(ordering);
}

#[cfg(not(loom))]
#[inline(always)]
pub(crate) fn compiler_fence(ordering: Ordering) {
    core::sync::atomic::compiler_fence(ordering);
}

/// A model runs the orderings as written; what a compiler might reorder is not modelled.
#[cfg(loom)]
pub(crate) fn compiler_fence(_: Ordering) {}

/// One place in a protocol whose ordering a model can weaken. The names appear in the table of mutants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(loom, derive(PartialOrd, Ord))]
#[repr(u8)]
pub(crate) enum Site {
    /// The stamp that publishes an event: Release.
    StampRelease = 1,
    /// A reader's look at the stamp it waits for: Acquire.
    StampAcquire,
    /// The fence between a slot's invalidation and its payload: Release.
    InvalidateFence,
    /// The fence between a tap's copy and its look at the word that says whether the slot was overwritten (the stamp or
    /// *claimed*): Acquire.
    TapFence,
    /// That the word *claimed* is stored before anything is written up to the position in it.
    ClaimedFirst,
    /// The fence between *claimed* and what is written up to that position: Release.
    ClaimedFence,
    /// A tap's look at *claimed*, after its copy.
    ClaimedCheck,
    /// That a producer that takes over continues from the *claimed* that it finds.
    ClaimedKept,
    /// The published position: Release.
    CursorRelease,
    /// The written position, in rings where only the cursor says what is written: Release.
    WrittenRelease,
    /// A reader's look at the written position: Acquire.
    WrittenAcquire,
    /// A late reader's look at the published position: Acquire.
    CursorAcquire,
    /// That the stamp of the first event of a group is stored after all others.
    GroupOrder,
    /// The attempt to which stamps after the published end belong. Stored after the stamps of older attempts are
    /// cleared: Release.
    AttemptRelease,
    /// A look at that attempt by a reader that copies ahead: Acquire.
    AttemptAcquire,
    /// Its second look at that attempt, after it saw the first stamp of the group.
    AttemptSecondLook,
    /// The clearing of a dead producer's stamps after the published end.
    GroupClearing,
    /// A consumer's gate, when it moves on: Release.
    GateRelease,
    /// The producer's look at a gate: Acquire.
    GateAcquire,
    /// The state of an entry, in particular of one whose owner has left: Release.
    StatusRelease,
    /// The producer's look at the state of an entry: Acquire.
    StatusAcquire,
    /// The producer's fence between the two looks of a rescan: SeqCst.
    RescanFence,
    /// The joiner's fence between its visibility and its second look: SeqCst.
    JoinFence,
    /// The joiner's second look at the published position or claim limit.
    JoinSecondLook,
    /// The waker's fence between its store and its look at the bell: SeqCst.
    WakeFence,
    /// The sleeper's fence between announcing and looking again: SeqCst.
    ParkFence,
    /// The sleeper's second look itself.
    ParkSecondLook,
    /// That a sleeper at several bells has announced itself at all of them before its one fence.
    AnnouncedAtAll,
    /// A consumer's fence after it has said how it announces: SeqCst.
    AnnounceFence,
    /// The ring of a bell. Without it a ring that no sleeper announced itself for would not carry its news: Release.
    RingRelease,
    /// The end of the stream: Release.
    CloseRelease,
    /// A reader's look at the end of the stream: Acquire.
    CloseAcquire,
    /// A reader's second look at the ring after it saw the end.
    CloseSecondLook,
    /// That the ring is marked as read before the reader's entry becomes free.
    ReadStored,
    /// That the position of the first record of each eighth of the ring is stored.
    BeginNoted,
    /// The count of departures, stored after what a leaving consumer stores in its entry: Release.
    DepartureRelease,
    /// The producer's look at the count of departures: Acquire.
    DepartureAcquire,
    /// The refused process, stored after the row in which its schema differs: Release.
    RefusalRelease,
    /// The producer's look at the refused process: Acquire.
    RefusalAcquire,
    /// That the commit word of the next record is cleared before the present one is committed.
    NextWordCleared,
    /// That the gate of a consumer that holds messages is the beginning of the oldest one.
    HeldGate,
    /// That the release of a message that is not the oldest is stored in a word.
    ReleasedStored,
    /// That such a word is reused only after the gate has passed the message in it.
    ReleasedFree,
    /// The word of a released message, stored after the gate that made it free: Release.
    ReleasedRelease,
    /// A successor's look at such a word: Acquire.
    ReleasedAcquire,
    /// That a joiner forgets what consumers of other ids released in its entry.
    ReleasedCleared,
}

/// The ordering at `site`: `strong`, except in the model of that mutant.
#[inline(always)]
pub(crate) fn order(site: Site, strong: Ordering) -> Ordering {
    if weakened(site) { Ordering::Relaxed } else { strong }
}

/// The fence at `site`, except in the model of that mutant.
#[inline(always)]
pub(crate) fn fence_at(site: Site, strong: Ordering) {
    if !weakened(site) {
        fence(strong);
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
