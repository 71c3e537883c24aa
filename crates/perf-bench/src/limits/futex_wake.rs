//! The price of an idle core: how long a wake-up takes through the kernel.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::clock::now_ns;
use crate::raw::Wait;
use crate::side::{Measurement, Side, Stop};
use crate::stats::{Latencies, Unit};
use crate::subject::Subject;

/// From before the waker's call to after the sleeper's call has returned, one way. The value is the p50 of one
/// measurement.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct FutexWake;

/// How long the sleeper has been asleep when it is woken: enough that its cpu is idle, and halted where it is virtual.
pub(crate) const ASLEEP: Duration = Duration::from_millis(1);

/// The word slept on: how many wake-ups there were.
const WAKES: usize = 0;
/// How many times the sleeper was about to sleep.
const SLEEPS: usize = 128;
/// When the last wake-up began, in nanoseconds of the monotonic clock, which all processes share.
const BEGAN_NS: usize = 256;
/// Not zero once there are no more wake-ups.
const OVER: usize = 384;

impl Subject for FutexWake {
    fn shared_bytes(&self) -> usize {
        512
    }

    fn produce(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        let (wakes, sleeps, began_ns, over) =
            (side.futex(WAKES), side.word(SLEEPS), side.word(BEGAN_NS), side.word(OVER));
        side.measured(|| {
            let begin = Instant::now();
            let mut wake = 0;
            loop {
                while sleeps.acquire() == wake {}
                wake += 1;
                let seen = Instant::now();
                while seen.elapsed() < ASLEEP {}
                let last = begin.elapsed() >= side.window();
                over.put(u64::from(last));
                began_ns.put(now_ns());
                wakes.advance();
                wakes.wake(1)?;
                if last {
                    return Ok(None);
                }
            }
        })
    }

    fn consume(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        let (wakes, sleeps, began_ns, over) =
            (side.futex(WAKES), side.word(SLEEPS), side.word(BEGAN_NS), side.word(OVER));
        let mut latencies = Latencies::new();
        side.measured(|| {
            for wake in 0_u32.. {
                sleeps.arrive();
                let mut slept = false;
                while wakes.acquire() == wake {
                    slept |= wakes.sleep_while(wake)? == Wait::Slept;
                }
                let ended_ns = now_ns();
                // A consumer that came too late to fall asleep was not woken.
                if slept {
                    latencies.record_ns(ended_ns.saturating_sub(began_ns.peek()));
                }
                if over.peek() != 0 {
                    break;
                }
            }
            let percentiles =
                latencies.percentiles().ok_or_else(|| Stop::Failed("the sleeper was never asleep".into()))?;
            let value = percentiles.p50_ns as f64;
            Ok(Some(Measurement { value, unit: Unit::Nanoseconds, latencies: Some(latencies) }))
        })
    }
}
