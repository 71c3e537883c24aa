//! Spins, then yields, then sleeps, longer and longer.

use super::{IdleStrategy, Pause};
use std::time::{Duration, Instant};

/// Spins for some cycles, then yields for some, then sleeps; each sleep is twice as long as the last one. Work begins
/// anew. For agents without doorbells: they are polled.
///
/// By default 10 spins, 20 yields, and sleeps from 50 us to 1 ms.
///
/// ```
/// use myelon_runtime::agents::{BackOff, Group, Work, from_fn};
/// use std::time::Duration;
///
/// let idle = BackOff::new(Duration::from_micros(10), Duration::from_millis(5)).spins(100).yields(0);
/// let runner = Group::new("polls").agent(from_fn("polls", |_| Ok(Work::NONE))).spawn(idle)?;
/// # drop(runner);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct BackOff {
    spins: u32,
    yields: u32,
    least: Duration,
    most: Duration,
    /// Spins and yields since the last work.
    steps: u32,
    sleep: Duration,
}

impl Default for BackOff {
    fn default() -> Self {
        Self::new(Duration::from_micros(50), Duration::from_millis(1))
    }
}

impl BackOff {
    /// With sleeps from `least` to `most`.
    ///
    /// # Panics
    /// `least` is zero, or longer than `most`.
    pub fn new(least: Duration, most: Duration) -> Self {
        assert!(!least.is_zero() && least <= most, "the shortest sleep is not zero, and not longer than the longest");
        Self { spins: 10, yields: 20, least, most, steps: 0, sleep: least }
    }

    /// How many cycles it spins first.
    #[must_use]
    pub fn spins(mut self, spins: u32) -> Self {
        self.spins = spins;
        self
    }

    /// How many cycles it yields after that.
    #[must_use]
    pub fn yields(mut self, yields: u32) -> Self {
        self.yields = yields;
        self
    }
}

impl IdleStrategy for BackOff {
    fn idle(&mut self, pause: &mut Pause<'_>) {
        if self.steps < self.spins {
            self.steps += 1;
            std::hint::spin_loop();
        } else if self.steps - self.spins < self.yields {
            self.steps += 1;
            std::thread::yield_now();
        } else {
            pause.park(self.sleep);
            self.sleep = self.sleep.saturating_mul(2).min(self.most);
        }
    }

    fn worked(&mut self, _: Instant) {
        (self.steps, self.sleep) = (0, self.least);
    }
}
