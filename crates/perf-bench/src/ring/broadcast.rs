//! One producer and several consumers: what another consumer costs the producer, and the time between the first and the
//! last consumer's receipt of an event.
//!
//! `roles` knows the name of [`publish_burst`] and has its instructions counted.

use std::time::Instant;

use disruptor_mp::{SharedConsumer, SharedProducer, WaitStrategy};
use serde::{Deserialize, Serialize};

use super::{Message, attach, create, fill, sum};
use crate::clock::now_ns;
use crate::raw::Word;
use crate::side::{Measurement, Side, Stop};
use crate::stats::{Latencies, Summary, Unit};
use crate::subject::Subject;

/// The one ring.
const RING: usize = 0;
/// Words of an event: 64 bytes.
const WORDS: usize = 8;
const SLOTS: usize = 4096;

/// What one event costs the producer, one by one, while no consumer is slow: it publishes half a ring, the consumers
/// read it, and so on. No consumer reads while it publishes, so consumers that share cpus do not change the figure.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Bursts {
    /// Whether instructions are counted instead of time. The measurement is then the number of events, by which the
    /// counted instructions are divided.
    pub(crate) instructions: bool,
}

const BURST: usize = SLOTS / 2;
/// Bursts of the first lap, which touches every page, and of one more.
const BURSTS_OF_WARM_UP: usize = 4;

/// Not zero together with the last burst.
const OVER: usize = 0;

/// Publishes one burst. A separate function, so that its instructions can be counted.
#[inline(never)]
pub(crate) fn publish_burst(producer: &mut SharedProducer<Message<WORDS>>, first: u64) -> Result<(), Stop> {
    publish(producer, first)
}

#[inline(always)]
fn publish(producer: &mut SharedProducer<Message<WORDS>>, first: u64) -> Result<(), Stop> {
    for number in first..first + BURST as u64 {
        producer.publish(|message| fill(message, number))?;
    }
    Ok(())
}

/// Reads one burst that has been published, and checks it.
fn read_burst(consumer: &mut SharedConsumer<Message<WORDS>>, first: u64) -> Result<(), Stop> {
    let (mut count, mut total) = (0, 0_u64);
    while count < BURST {
        count += consumer.process_available(|message, _| total = total.wrapping_add(sum(message)));
    }
    let numbers: u64 = (first..first + BURST as u64).sum();
    let wanted = numbers.wrapping_mul(WORDS as u64);
    if total == wanted { Ok(()) } else { Err(Stop::Failed(format!("a burst came to {total} and not to {wanted}"))) }
}

impl Subject for Bursts {
    fn shared_bytes(&self) -> usize {
        128
    }

    fn counted_function(&self) -> Option<&'static str> {
        self.instructions.then_some("publish_burst")
    }

    fn produce(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        let over = side.word(OVER);
        let mut producer = create::<WORDS>(side, RING, SLOTS)?;
        side.rendezvous()?;
        side.rendezvous()?;
        let mut next = 0;
        for _ in 0..BURSTS_OF_WARM_UP {
            publish(&mut producer, next)?;
            next += BURST as u64;
            side.rendezvous()?;
            side.rendezvous()?;
        }
        side.measured(|| {
            let (begin, mut events_ns) = (Instant::now(), Vec::new());
            while over.peek() == 0 {
                let burst_begin = Instant::now();
                publish_burst(&mut producer, next)?;
                events_ns.push(burst_begin.elapsed().as_nanos() as f64 / BURST as f64);
                next += BURST as u64;
                over.put(u64::from(begin.elapsed() >= side.window()));
                // The consumers read between the two.
                side.rendezvous()?;
                side.rendezvous()?;
            }
            if self.instructions {
                return Ok(Some(Measurement::of((events_ns.len() * BURST) as f64, Unit::Instructions)));
            }
            Ok(Summary::of(&events_ns).map(|summary| Measurement::of(summary.median, Unit::Nanoseconds)))
        })
    }

    fn consume(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        let over = side.word(OVER);
        side.rendezvous()?;
        let mut consumer = attach::<WORDS>(side, RING, WaitStrategy::BusySpin)?;
        side.rendezvous()?;
        let mut next = 0;
        let mut read = || {
            side.rendezvous()?;
            read_burst(&mut consumer, next)?;
            next += BURST as u64;
            // Before the second meeting, after which the producer may write it again.
            let is_over = over.peek() != 0;
            side.rendezvous()?;
            Ok::<_, Stop>(is_over)
        };
        for _ in 0..BURSTS_OF_WARM_UP {
            read()?;
        }
        side.measured(|| {
            while !read()? {}
            Ok(None)
        })
    }
}

/// Which time of [`Spread`] is the figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Figure {
    /// From before the publication to the last consumer's receipt.
    Last,
    /// From the first consumer's receipt to the last one's.
    Skew,
}

/// Single events to consumers that spin, the next one when all have received the last. Every process needs a cpu of its
/// own.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Spread {
    pub(crate) consumers: usize,
    pub(crate) figure: Figure,
}

/// What a consumer tells the producer: on cache lines of its own, when it received an event, and how many it has
/// received.
struct Receipt<'m> {
    at_ns: &'m Word,
    count: &'m Word,
}

const RECEIPT_BYTES: usize = 128;

fn receipt(side: &Side, consumer: usize) -> Receipt<'_> {
    let offset = consumer * RECEIPT_BYTES;
    Receipt { at_ns: side.word(offset), count: side.word(offset + size_of::<u64>()) }
}

/// The event with which it ends.
const STOP: u64 = u64::MAX;

impl Subject for Spread {
    fn shared_bytes(&self) -> usize {
        self.consumers * RECEIPT_BYTES
    }

    fn produce(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        let receipts: Vec<_> = (0..self.consumers).map(|consumer| receipt(side, consumer)).collect();
        let mut producer = create::<WORDS>(side, RING, SLOTS)?;
        side.rendezvous()?;
        side.rendezvous()?;
        let mut published = 0;
        let mut publish = |number| -> Result<u64, Stop> {
            let began_ns = now_ns();
            producer.publish(|message| fill(message, number))?;
            published += 1;
            let (mut first_ns, mut last_ns) = (u64::MAX, 0);
            for receipt in &receipts {
                while receipt.count.acquire() != published {}
                let at_ns = receipt.at_ns.peek();
                (first_ns, last_ns) = (first_ns.min(at_ns), last_ns.max(at_ns));
            }
            Ok(match self.figure {
                Figure::Last => last_ns.saturating_sub(began_ns),
                Figure::Skew => last_ns - first_ns,
            })
        };
        let mut numbers = 0..STOP;
        for number in numbers.by_ref().take(SLOTS) {
            publish(number)?;
        }
        let mut latencies = Latencies::new();
        side.measured(|| {
            let begin = Instant::now();
            for number in numbers {
                latencies.record_ns(publish(number)?);
                if begin.elapsed() >= side.window() {
                    break;
                }
            }
            publish(STOP)?;
            Ok(())
        })?;
        let percentiles = latencies.percentiles().expect("at least one event was published");
        let (value, unit) = (percentiles.p50_ns as f64, Unit::Nanoseconds);
        Ok(Some(Measurement { value, unit, latencies: Some(latencies) }))
    }

    fn consume(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        let receipt = receipt(side, side.role() - 1);
        side.rendezvous()?;
        let mut consumer = attach::<WORDS>(side, RING, WaitStrategy::BusySpin)?;
        side.rendezvous()?;
        let mut received = 0;
        let mut receive = || -> Result<bool, Stop> {
            let message = consumer.consume_next_leased()?;
            receipt.at_ns.put(now_ns());
            let is_last = message[0] == STOP;
            if sum(&message) != message[0].wrapping_mul(WORDS as u64) || !is_last && message[0] != received {
                return Err(Stop::Failed(format!("event {received} arrived as {:?}", *message)));
            }
            received += 1;
            receipt.count.publish(received);
            Ok(is_last)
        };
        for _ in 0..SLOTS {
            receive()?;
        }
        side.measured(|| {
            while !receive()? {}
            Ok(None)
        })
    }
}
