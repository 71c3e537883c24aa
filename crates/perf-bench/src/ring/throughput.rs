//! As many events as go through one ring, written and read as a whole.
//!
//! **Lives here:** [`Throughput`]. **Builds on:** `event_ring`. **May touch it:** `workload`.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::event_ring::{EventRing, Publishing, Reading, Whose, with_ring};
use super::with_words;
use crate::side::{Measurement, Side, Stop};
use crate::stats::{Unit, sum_below};
use crate::subject::Subject;

/// One producer and one consumer, both spinning. The consumer takes what is there at once.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Throughput {
    pub(crate) whose: Whose,
    pub(crate) payload_bytes: usize,
    /// Events that are published together; 1 is the interface for single events.
    pub(crate) batch: usize,
    pub(crate) slots: usize,
}

/// The one ring.
const RING: usize = 0;
/// How many events there were; zero as long as it goes on.
const END: usize = 0;

/// Events between two looks at the clock.
const EVENTS_PER_LOOK: usize = 4096;
/// The most events of one lease: a small part of the ring, so that the producer gets room back early.
const LEASE_PART: usize = 16;

impl Throughput {
    fn publish<R: EventRing, const WORDS: usize>(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        let end = side.word(END);
        let mut producer = R::create::<WORDS>(side, RING, self.slots)?;
        side.rendezvous()?;
        side.rendezvous()?;
        producer.join()?;
        let mut next = 0_u64;
        let mut publish = |count: usize| -> Result<u64, Stop> {
            for _ in 0..count / self.batch {
                if self.batch == 1 {
                    producer.publish(next)?;
                } else {
                    producer.publish_batch(self.batch, next)?;
                }
                next += self.batch as u64;
            }
            Ok(next)
        };
        // The first lap touches every page, which no later one does.
        publish(self.slots)?;
        side.measured(|| {
            let begin = Instant::now();
            let mut published = publish(EVENTS_PER_LOOK)?;
            while begin.elapsed() < side.window() {
                published = publish(EVENTS_PER_LOOK)?;
            }
            end.publish(published);
            Ok(None)
        })
    }

    fn read<R: EventRing, const WORDS: usize>(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        let end = side.word(END);
        side.rendezvous()?;
        let mut consumer = R::attach::<WORDS>(side, RING, self.slots)?;
        side.rendezvous()?;
        let lease_max = (self.slots / LEASE_PART).max(1);
        let (mut next, mut total) = (0_u64, 0_u64);
        let mut read = |max: usize| {
            let (count, sum) = consumer.read_some(max)?;
            next += count as u64;
            total = total.wrapping_add(sum);
            Some((next, total))
        };
        let mut warm = 0;
        while warm < self.slots as u64 {
            warm = read((self.slots - warm as usize).min(lease_max)).map_or(warm, |(next, _)| next);
        }
        side.measured(|| {
            let mut begin = R::READS_ON.then(Instant::now);
            let mut seen = (warm, 0);
            let elapsed = loop {
                match read(lease_max) {
                    Some(now) => {
                        begin.get_or_insert_with(Instant::now);
                        seen = now;
                    }
                    None if end.acquire() == seen.0 => {
                        break begin.map_or_else(Default::default, |begin: Instant| begin.elapsed());
                    }
                    None => {}
                }
            };
            let expected = sum_below(seen.0).wrapping_mul(WORDS as u64);
            if seen.1 != expected {
                return Err(Stop::Failed(format!("{} events came to {} and not to {expected}", seen.0, seen.1)));
            }
            let rate = (seen.0 - warm) as f64 / elapsed.as_secs_f64();
            Ok(Some(Measurement::of(rate, Unit::EventsPerSecond)))
        })
    }
}

impl Subject for Throughput {
    fn is_peers(&self) -> bool {
        self.whose != Whose::Ours
    }

    fn shared_bytes(&self) -> usize {
        128
    }

    fn produce(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        with_ring!(self.whose, R => with_words!(self.payload_bytes, WORDS => self.publish::<R, WORDS>(side)))
    }

    fn consume(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        with_ring!(self.whose, R => with_words!(self.payload_bytes, WORDS => self.read::<R, WORDS>(side)))
    }
}
