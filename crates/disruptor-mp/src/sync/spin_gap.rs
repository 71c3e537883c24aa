//! What a spinning waiter does between two looks.
//!
//! Looks that follow one another at once make a message slow. A locked addition to a word that no other process knows
//! makes round trips up to a third shorter, although it takes 5 ns. A pause, a fence or idle arithmetic of the same
//! length does not. The reason is not known. Source: RFC 0004, "Between two looks".

use crate::sync::primitive::{AtomicU32, Ordering};
use std::hint::black_box;

/// A word that only the waiter uses.
pub(crate) struct SpinGap(AtomicU32);

impl SpinGap {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// The gap between two looks.
    #[inline(always)]
    pub(crate) fn pass(&self) {
        if cfg!(target_arch = "x86_64") {
            // `SeqCst` would be the same instruction. Only its duration matters, and nothing depends on its order.
            black_box(&self.0).fetch_add(1, Ordering::Relaxed);
        } else {
            std::hint::spin_loop();
        }
    }
}
