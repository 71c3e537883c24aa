//! How late the kernel's timer ends a sleep.
//!
//! **Lives here:** [`Lateness`]. **Builds on:** nothing. **May touch it:** `rhythm`.
//!
//! Two quantiles, each one number that a sample above it raises and one below it lowers, in the proportion that keeps
//! it where it belongs. A sample that is far off moves them no more than one that is near.

use std::time::Duration;

/// What a waiter assumes that has not slept by the clock: an idle core of a virtual machine.
const TYPICAL: Duration = Duration::from_micros(20);
const HIGH: Duration = Duration::from_micros(40);

/// Bounds of both: what is later than this is a machine that has no time for us.
const MIN: Duration = Duration::from_micros(2);
const MAX: Duration = Duration::from_millis(1);

#[derive(Clone, Debug)]
pub(super) struct Lateness {
    typical: Duration,
    high: Duration,
}

impl Lateness {
    pub(super) fn new() -> Self {
        Self { typical: TYPICAL, high: HIGH }
    }

    pub(super) fn observe(&mut self, late: Duration) {
        // Up as often as down: the median.
        let step = self.typical / 16;
        self.typical = if late > self.typical { self.typical + step } else { self.typical - step }.clamp(MIN, MAX);
        // A step up is as large as 16 down: about one in 17 is later.
        self.high =
            if late > self.high { self.high + self.high / 8 } else { self.high - self.high / 128 }.clamp(MIN, MAX);
    }

    /// The median.
    pub(super) fn typical(&self) -> Duration {
        self.typical
    }

    /// Exceeded by about six in a hundred.
    pub(super) fn high(&self) -> Duration {
        self.high
    }
}
