//! How late the kernel's timer ends a sleep.
//!
//! It keeps two quantiles. Each is one number: a sample above it raises it, a sample below it lowers it, in the
//! proportion that holds the number at its quantile. An outlier moves it no more than a near sample does.

use std::time::Duration;

/// What a waiter assumes before its first timed sleep: an idle core of a virtual machine.
const TYPICAL: Duration = Duration::from_micros(20);
const HIGH: Duration = Duration::from_micros(40);

/// Bounds of both: a machine that wakes later than this is overloaded.
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
        // It goes up as often as down: the median.
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
