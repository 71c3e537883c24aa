//! The two words of a refusal, as one says them and another reads them.
//!
//! **Lives here:** [`RefusalWords`]. **Builds on:** `primitive`. **May touch it:** a process that was refused stores
//! both; the ring's producer reads them, and others may be refused meanwhile.
//!
//! The first word says who was refused and why, the second in which row of the ring's schema, and for whom that is
//! true. Processes that are refused at once may leave the first word of one and the second of the other; a process that
//! reads them compares whose each is. So nothing has to be locked, and a number of a stranger says nothing.

use crate::step;
use crate::sync::primitive::{AtomicU64, Ordering, Site, order};

/// Both words, wherever they lie.
pub(crate) struct RefusalWords<'a> {
    pub(crate) refusal: &'a AtomicU64,
    pub(crate) row: &'a AtomicU64,
}

impl RefusalWords<'_> {
    /// Says both. A process that dies between the two stores has said nothing: its row goes with no refusal.
    pub(crate) fn store(&self, refusal: u64, row: u64) {
        self.row.store(row, Ordering::Relaxed);
        step!(RefusalRowStored);
        // Release pairs with Acquire in `load`: who reads this refusal finds its row, or that of one that came later.
        self.refusal.store(refusal, order(Site::RefusalRelease, Ordering::Release));
        step!(RefusalStored);
    }

    /// The refusal, and the row that was stored last as far as is known. Acquire: see `store`.
    pub(crate) fn load(&self) -> (u64, u64) {
        let refusal = self.refusal.load(order(Site::RefusalAcquire, Ordering::Acquire));
        (refusal, self.row.load(Ordering::Relaxed))
    }
}
