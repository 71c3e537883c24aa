//! How an operation is timed that one side alone repeats.

use std::time::{Duration, Instant};

use crate::side::{Measurement, Side, Stop};
use crate::stats::{Summary, Unit};

/// Calls `once`, which returns how long it took, for the measurement's window: at least once. The value is the median.
///
/// # Errors
/// What `once` returns.
pub(crate) fn median(
    side: &Side,
    mut once: impl FnMut() -> Result<Duration, Stop>,
) -> Result<Option<Measurement>, Stop> {
    side.measured(|| {
        let begin = Instant::now();
        let mut times_ns = Vec::new();
        while times_ns.is_empty() || begin.elapsed() < side.window() {
            times_ns.push(once()?.as_nanos() as f64);
        }
        Ok(Summary::of(&times_ns).map(|summary| Measurement::of(summary.median, Unit::Nanoseconds)))
    })
}
