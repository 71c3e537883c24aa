//! The price of a sleep with an end: how late the kernel's timer ends it.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::side::{Measurement, Side, Stop};
use crate::stats::{Latencies, Unit};
use crate::subject::Subject;

/// From the moment to which the consumer slept to the return of its call, with the lowest possible timer slack. The
/// value is the p50 of one measurement. Its producer spins, like the producer of a periodic event.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Timer {
    pub(crate) nap: Duration,
}

/// The word on which the consumer sleeps; it changes when the last sleep is over.
const OVER: usize = 0;

impl Subject for Timer {
    fn shared_bytes(&self) -> usize {
        128
    }

    fn produce(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        let over = side.futex(OVER);
        side.measured(|| {
            while over.acquire() == 0 {}
            Ok(None)
        })
    }

    fn consume(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        let over = side.futex(OVER);
        crate::raw::lower_timer_slack()?;
        let mut latencies = Latencies::new();
        side.measured(|| {
            let begin = Instant::now();
            while begin.elapsed() < side.window() {
                let before = Instant::now();
                over.sleep_for(self.nap)?;
                let late = before.elapsed().saturating_sub(self.nap);
                latencies.record_ns(late.as_nanos() as u64);
            }
            over.advance();
            let percentiles = latencies.percentiles().ok_or_else(|| Stop::Failed("it never slept".into()))?;
            let value = percentiles.p50_ns as f64;
            Ok(Some(Measurement { value, unit: Unit::Nanoseconds, latencies: Some(latencies) }))
        })
    }
}
