//! How far a writer has got: one published position, alone on its cache lines.
//!
//! One writer calls `publish`; every thread may call `acquire`. Nothing here waits, maps or counts.

use super::primitive::{AtomicI64, Ordering, Site, order};

/// Positions stay below this; at a billion events a second that takes a century.
pub(crate) const POSITION_MAX: i64 = 1 << 61;

/// A published position: the number of events that may be read. Part of the wire layout, so its size and alignment do
/// not depend on the target.
#[repr(C, align(128))]
pub(crate) struct Cursor {
    published: AtomicI64,
    /// Everything before this position is written. Used in rings where no other word says so; 0 in others.
    written: AtomicI64,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Cursor>() == 128);

impl Cursor {
    /// The cursor of a ring in which nothing was published.
    pub(crate) fn new() -> Self {
        Self { published: AtomicI64::new(0), written: AtomicI64::new(0) }
    }

    /// The published position, and with it the right to read everything before it. A number that no producer can have
    /// stored is clamped to the nearest one that it can, so that no arithmetic overflows.
    #[inline]
    pub(crate) fn acquire(&self) -> i64 {
        // Acquire pairs with Release in `publish`: a thread that sees `n` sees the payloads that were written before
        // it.
        self.published.load(order(Site::CursorAcquire, Ordering::Acquire)).clamp(0, POSITION_MAX)
    }

    /// The written position. It is at least any published position that was seen before, unless one of the two was
    /// damaged.
    #[inline]
    pub(crate) fn acquire_written(&self) -> i64 {
        // Acquire pairs with Release in `write`, for a reader that comes here because of a damaged published position.
        self.written.load(order(Site::WrittenAcquire, Ordering::Acquire)).clamp(0, POSITION_MAX)
    }

    /// Asks for the line, which is written next.
    #[inline(always)]
    pub(crate) fn fetch(&self) {
        #[cfg(not(loom))]
        super::fetch::fetch_for_write((&raw const self.published).cast());
    }

    /// Stores that everything before `position` is written. Called before it is published.
    #[inline]
    pub(crate) fn write(&self, position: i64) {
        self.written.store(position, order(Site::WrittenRelease, Ordering::Release));
    }

    /// Makes everything before `position` visible. Single writer; positions only grow, except when a take-over corrects
    /// them.
    #[inline]
    pub(crate) fn publish(&self, position: i64) {
        self.published.store(position, order(Site::CursorRelease, Ordering::Release));
    }
}
