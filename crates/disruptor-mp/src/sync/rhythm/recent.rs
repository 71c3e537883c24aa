//! The last few gaps of a stream of events.
//!
//! It uses order statistics of eight gaps and no average: one outlier moves nothing, and eight gaps after a change of
//! rhythm the old one is forgotten.

use std::time::Duration;

/// Nanoseconds.
pub(super) type Sample = u64;

/// How many are kept: enough that one outlier does not matter, and few enough that a new rhythm is learned in ten
/// events.
const KEPT: usize = 8;

#[derive(Clone, Debug)]
pub(super) struct Recent {
    samples: [Sample; KEPT],
    /// How many there have been in all.
    count: usize,
}

impl Recent {
    pub(super) fn new() -> Self {
        Self { samples: [0; KEPT], count: 0 }
    }

    pub(super) fn push(&mut self, sample: Duration) {
        self.samples[self.count % KEPT] = sample.as_nanos() as Sample;
        self.count += 1;
    }

    /// The kept samples, the shortest first.
    pub(super) fn sorted(&self) -> Sorted {
        let len = self.count.min(KEPT);
        let mut samples = self.samples;
        samples[..len].sort_unstable();
        Sorted { samples, len }
    }
}

pub(super) struct Sorted {
    samples: [Sample; KEPT],
    len: usize,
}

impl std::ops::Deref for Sorted {
    type Target = [Sample];

    fn deref(&self) -> &[Sample] {
        &self.samples[..self.len]
    }
}
