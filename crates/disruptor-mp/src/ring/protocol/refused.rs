//! The two words of a refusal: how the refused process stores them, and how the ring's producer reads them.
//!
//! The first word says which process was refused and why. The second says in which row of the ring's schema, and for
//! which process that is true. Processes that are refused at the same time may leave the first word of one and the
//! second word of the other. The reader compares the process in both words. So no lock is needed, and a word of another
//! refusal is ignored.

use crate::step;
use crate::sync::primitive::{AtomicU64, Ordering, Site, order};

/// Both words, wherever they are stored.
pub(crate) struct RefusalWords<'a> {
    pub(crate) refusal: &'a AtomicU64,
    pub(crate) row: &'a AtomicU64,
}

impl RefusalWords<'_> {
    /// Stores both. If a process dies between the two stores, there is no refusal: its row belongs to none.
    pub(crate) fn store(&self, refusal: u64, row: u64) {
        self.row.store(row, Ordering::Relaxed);
        step!(RefusalRowStored);
        // Release pairs with Acquire in `load`: a producer that reads this refusal finds its row, or a later one.
        self.refusal.store(refusal, order(Site::RefusalRelease, Ordering::Release));
        step!(RefusalStored);
    }

    /// The refusal, and the latest row that is visible. Acquire: see `store`.
    pub(crate) fn load(&self) -> (u64, u64) {
        let refusal = self.refusal.load(order(Site::RefusalAcquire, Ordering::Acquire));
        (refusal, self.row.load(Ordering::Relaxed))
    }
}
