//! Durations of which not the mean is of interest, but the half and the 99th of 100.

use std::fmt;
use std::time::Duration;

/// Durations as they came.
#[derive(Clone, Debug, Default)]
pub struct Quantiles(Vec<Duration>);

impl Quantiles {
    /// One more; returned, so that it can be added to a sum.
    pub fn note(&mut self, duration: Duration) -> Duration {
        self.0.push(duration);
        duration
    }

    /// Whether nothing was measured, for example because the benchmark was not asked for.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `percent` of 100 were not longer. Zero if there are none.
    pub fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
    }
}

impl fmt::Display for Quantiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(all) = self;
        let [p50, p99, most] = [50, 99, 100].map(|percent| self.percentile(percent));
        write!(f, "p50 {p50:.1?}, p99 {p99:.1?}, at most {most:.1?}, of {}", all.len())
    }
}
