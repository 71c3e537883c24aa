//! How round trips are timed, whatever makes them.
//!
//! **Lives here:** [`time`]. **Builds on:** `stats`. **May touch it:** workloads that ask and wait for the answer.

use std::time::{Duration, Instant};

use crate::side::{Measurement, Stop};
use crate::stats::{Latencies, Summary, Unit};

/// Short round trips that are timed together: enough to hide the clock's steps.
pub(crate) const GROUP: u64 = 64;

/// Calls `ask`, which makes one round trip, for `window`. The value is the median of groups of `group` of them. The
/// single round trips of the other half of the window, which include a reading of the clock, are there for their tail.
///
/// # Errors
/// What `ask` returns.
pub(crate) fn time(
    window: Duration,
    group: u64,
    mut ask: impl FnMut() -> Result<(), Stop>,
) -> Result<Measurement, Stop> {
    let mut latencies = Latencies::new();
    let mut groups_ns = Vec::with_capacity(4096);
    let begin = Instant::now();
    while groups_ns.is_empty() || begin.elapsed() < window / 2 {
        let group_begin = Instant::now();
        for _ in 0..group {
            ask()?;
        }
        groups_ns.push(group_begin.elapsed().as_nanos() as f64 / group as f64);
    }
    let begin = Instant::now();
    loop {
        let sent = Instant::now();
        if sent - begin >= window / 2 {
            break;
        }
        ask()?;
        latencies.record_ns(sent.elapsed().as_nanos() as u64);
    }
    let summary = Summary::of(&groups_ns).expect("there was a group");
    Ok(Measurement { value: summary.median, unit: Unit::Nanoseconds, latencies: Some(latencies) })
}
