//! The price of not spinning: what a sleeping consumer costs, and how long its wake-up takes.

use std::time::{Duration, Instant};

use disruptor_mp::{ConsumeError, SharedConsumer, WaitStrategy};
use serde::{Deserialize, Serialize};

use super::{Message, attach, create};
use crate::clock::{now_ns, own_cpu};
use crate::limits::futex_wake::ASLEEP;
use crate::side::{Measurement, Side, Stop};
use crate::stats::{Latencies, Unit};
use crate::subject::Subject;

/// The one ring. Its events are a time and whether it is the last one.
const RING: usize = 0;
/// Enough that it is never full.
const SLOTS: usize = 64;

/// What the producer sends: when, in nanoseconds of the monotonic clock, and not zero with the last event.
type Stamped = Message<2>;

/// Attaches the consumer of a measurement whose producer calls [`publisher`].
fn consumer(side: &Side, wait: WaitStrategy) -> Result<SharedConsumer<Stamped>, Stop> {
    side.rendezvous()?;
    let consumer = attach::<2>(side, RING, wait)?;
    side.rendezvous()?;
    Ok(consumer)
}

/// What publishes an event that carries the time just before; its argument says whether it is the last one.
fn publisher(side: &Side) -> Result<impl FnMut(bool) -> Result<(), Stop>, Stop> {
    let mut producer = create::<2>(side, RING, SLOTS)?;
    side.rendezvous()?;
    side.rendezvous()?;
    Ok(move |is_last| {
        let began_ns = now_ns();
        producer.publish(|stamped| *stamped = [began_ns, u64::from(is_last)])?;
        Ok(())
    })
}

/// Takes the next event. Returns how long it took from before its publication, and whether it is the last one.
fn take(consumer: &mut SharedConsumer<Stamped>) -> Result<(u64, bool), Stop> {
    let stamped = consumer.consume_next_leased()?;
    let ended_ns = now_ns();
    Ok((ended_ns.saturating_sub(stamped[0]), stamped[1] != 0))
}

/// The p50 of `latencies` as the value.
fn by_median(latencies: Latencies) -> Result<Option<Measurement>, Stop> {
    let percentiles = latencies.percentiles().ok_or_else(|| Stop::Failed("no event arrived".into()))?;
    let value = percentiles.p50_ns as f64;
    Ok(Some(Measurement { value, unit: Unit::Nanoseconds, latencies: Some(latencies) }))
}

/// From before the producer's call to after the call of a consumer that was asleep in the kernel, one way: what
/// [`FutexWake`](crate::limits::futex_wake::FutexWake) measures, with a ring around it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Parked;

/// How many times the consumer was about to wait.
const WAITS: usize = 0;

impl Subject for Parked {
    fn shared_bytes(&self) -> usize {
        128
    }

    fn produce(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        let waits = side.word(WAITS);
        let mut publish = publisher(side)?;
        side.measured(|| {
            let begin = Instant::now();
            for published in 0_u64.. {
                while waits.acquire() == published {}
                let seen = Instant::now();
                while seen.elapsed() < ASLEEP {}
                let is_last = begin.elapsed() >= side.window();
                publish(is_last)?;
                if is_last {
                    break;
                }
            }
            Ok(None)
        })
    }

    fn consume(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        let waits = side.word(WAITS);
        let mut consumer = consumer(side, WaitStrategy::Block)?;
        let mut latencies = Latencies::new();
        side.measured(|| {
            loop {
                waits.arrive();
                let (latency_ns, is_last) = take(&mut consumer)?;
                latencies.record_ns(latency_ns);
                if is_last {
                    return by_median(latencies);
                }
            }
        })
    }
}

/// A periodic event. The row's cpu is what its consumer used.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Ticking {
    pub(crate) wait: WaitStrategy,
    /// From one event to the next.
    pub(crate) gap: Duration,
    /// The part of it by which each gap is longer or shorter, at most.
    pub(crate) jitter: f64,
    /// How many windows it lasts.
    pub(crate) windows: u32,
}

/// The first events, in which the consumer learns the gap, are in no latency.
const LEARNING: u64 = 10;

impl Ticking {
    /// One gap. The same numbers in every measurement, so that all ways of waiting have the same traffic.
    fn next_gap(&self, random: &mut u64) -> Duration {
        *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let unit = (*random >> 11) as f64 / (1_u64 << 53) as f64;
        self.gap.mul_f64(1.0 + self.jitter * (2.0 * unit - 1.0))
    }
}

impl Subject for Ticking {
    fn shared_bytes(&self) -> usize {
        0
    }

    fn produce(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        let mut publish = publisher(side)?;
        side.measured(|| {
            let begin = Instant::now();
            let end = side.window() * self.windows + self.gap * LEARNING as u32;
            // From the beginning and not from the last event, so that lateness does not add up.
            let (mut due, mut random) = (Duration::ZERO, 1);
            loop {
                due += self.next_gap(&mut random);
                while begin.elapsed() < due {}
                publish(due >= end)?;
                if due >= end {
                    break;
                }
            }
            Ok(None)
        })
    }

    fn consume(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        let mut consumer = consumer(side, self.wait)?;
        let mut latencies = Latencies::new();
        side.measured(|| {
            for taken in 0.. {
                let (latency_ns, is_last) = take(&mut consumer)?;
                if taken >= LEARNING {
                    latencies.record_ns(latency_ns);
                }
                if is_last {
                    break;
                }
            }
            by_median(latencies)
        })
    }
}

/// Nothing happens: what a waiting consumer costs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Idle {
    pub(crate) wait: WaitStrategy,
    /// How many windows it lasts.
    pub(crate) windows: u32,
}

impl Subject for Idle {
    fn shared_bytes(&self) -> usize {
        0
    }

    fn produce(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        let _publish = publisher(side)?;
        side.measured(|| Ok(None))
    }

    fn consume(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        let mut consumer = consumer(side, self.wait)?;
        side.measured(|| {
            let (begin, own_before) = (Instant::now(), own_cpu());
            let deadline = begin + side.window() * self.windows;
            match consumer.consume_next_leased_deadline(deadline) {
                Err(ConsumeError::TimedOut { .. }) => {
                    let used = own_cpu().saturating_sub(own_before);
                    let share = used.as_secs_f64() / begin.elapsed().as_secs_f64();
                    Ok(Some(Measurement::of(share, Unit::Share)))
                }
                Err(error) => Err(error.into()),
                Ok(_) => Err(Stop::Failed("an event arrived that was never published".into())),
            }
        })
    }
}
