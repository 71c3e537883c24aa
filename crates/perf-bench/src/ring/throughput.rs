//! The rate of one ring: as many events as it takes, written and read as a whole.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::event_ring::{EventRing, Publishing, Reading, Ring, with_ring};
use crate::side::{Measurement, Side, Stop};
use crate::stats::Unit;
use crate::subject::Subject;
use crate::workload::payload::Source;

/// One producer and one consumer, or several that one process polls in turn. A consumer takes what is there at once.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Throughput {
    pub(crate) ring: Ring,
    /// Events that are published together; 1 is the interface for single events.
    pub(crate) batch: usize,
}

/// The one ring.
const RING: usize = 0;
/// How many events there were; zero as long as it goes on.
const END: usize = 0;

/// Bytes between two looks at the clock.
const BYTES_PER_LOOK: usize = 256 << 10;
/// The most events of one lease: a small part of the ring, so that the producer gets room back early.
const LEASE_PART: usize = 16;

/// What a consumer has read.
struct Tally<C> {
    consumer: C,
    count: u64,
    total: u64,
}

impl<C: Reading> Tally<C> {
    /// Reads what is there; `None` if nothing is.
    #[inline(always)]
    fn read(&mut self, max: usize) -> Option<()> {
        let (count, sum) = self.consumer.read_some(max)?;
        self.count += count as u64;
        self.total = self.total.wrapping_add(sum);
        Some(())
    }

    /// Whether every event came, and as it was published.
    fn check(&self, source: &Source) -> Result<(), Stop> {
        let expected = source.total(0, self.count);
        if self.total == expected {
            return Ok(());
        }
        Err(Stop::Failed(format!("{} events came to {} and not to {expected}", self.count, self.total)))
    }
}

impl Throughput {
    /// How many events are published before anything is measured: the first lap touches every page, which no later one
    /// does. A multiple of the batch.
    fn warm_up(&self) -> usize {
        self.ring.slots.next_multiple_of(self.batch)
    }

    fn publish<R: EventRing, const WORDS: usize>(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        let end = side.word(END);
        let mut producer = R::create::<WORDS>(side, &self.ring, RING)?;
        side.rendezvous()?;
        side.rendezvous()?;
        producer.join(&self.ring)?;
        let source = Source::new(self.ring.payload_bytes);
        let mut next = 0_u64;
        let mut publish = |count: usize| -> Result<u64, Stop> {
            for _ in 0..count / self.batch {
                if self.batch == 1 {
                    producer.publish(source.event(next))?;
                } else {
                    let first = next;
                    producer.publish_batch(self.batch, |index| source.event(first + index as u64))?;
                }
                next += self.batch as u64;
            }
            Ok(next)
        };
        publish(self.warm_up())?;
        let per_look = (BYTES_PER_LOOK / self.ring.payload_bytes).max(1).next_multiple_of(self.batch);
        side.measured(|| {
            let begin = Instant::now();
            let mut published = publish(per_look)?;
            while begin.elapsed() < side.window() {
                published = publish(per_look)?;
            }
            end.publish(published);
            Ok(None)
        })
    }

    fn read<R: EventRing, const WORDS: usize>(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        let end = side.word(END);
        side.rendezvous()?;
        let attach = |consumer| R::attach::<WORDS>(side, &self.ring, RING, consumer);
        let consumers =
            (0..self.ring.consumers).map(|consumer| Ok(Tally { consumer: attach(consumer)?, count: 0, total: 0 }));
        let mut consumers = consumers.collect::<Result<Vec<_>, Stop>>()?;
        side.rendezvous()?;
        let source = Source::new(self.ring.payload_bytes);
        let lease_max = (self.ring.slots / LEASE_PART).max(1);
        let warm = self.warm_up() as u64;
        while consumers.iter().any(|consumer| consumer.count < warm) {
            for consumer in consumers.iter_mut().filter(|consumer| consumer.count < warm) {
                consumer.read(((warm - consumer.count) as usize).min(lease_max));
            }
        }
        side.measured(|| {
            let mut begin = R::READS_ON.then(Instant::now);
            let mut read = |consumer: &mut Tally<_>| {
                let found = consumer.read(lease_max);
                if found.is_some() {
                    begin.get_or_insert_with(Instant::now);
                }
                found.is_none() && end.acquire() == consumer.count
            };
            // At the end each of them finds nothing, again and again.
            while consumers.iter_mut().map(&mut read).filter(|is_over| !is_over).count() > 0 {}
            let elapsed = begin.map_or_else(Default::default, |begin: Instant| begin.elapsed());
            consumers.iter().try_for_each(|consumer| consumer.check(&source))?;
            let rate = (consumers[0].count - warm) as f64 / elapsed.as_secs_f64();
            Ok(Some(Measurement::of(rate, Unit::EventsPerSecond)))
        })
    }
}

impl Subject for Throughput {
    fn is_peers(&self) -> bool {
        !self.ring.whose.is_ours()
    }

    fn shared_bytes(&self) -> usize {
        128
    }

    fn produce(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        with_ring!(self.ring, R, WORDS => self.publish::<R, WORDS>(side))
    }

    fn consume(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        with_ring!(self.ring, R, WORDS => self.read::<R, WORDS>(side))
    }
}
