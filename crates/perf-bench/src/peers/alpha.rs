//! `disruptor-mp` 0.1.0-alpha.2, as it is published: a ring of cursors in shared memory.
//!
//! **Lives here:** [`AlphaPingPong`], [`AlphaThroughput`]. **Builds on:** its public interface, with its defaults.
//! **May touch it:** `workload`.

use std::time::{Duration, Instant};

use alpha::{CoordinationMode, SharedConsumer, SharedProducer, attach_shared_consumer, build_shared_single_producer};
use serde::{Deserialize, Serialize};

use crate::ring::with_words;
use crate::side::{Measurement, Side, Stop};
use crate::stats::{Unit, sum_below};
use crate::subject::Subject;
use crate::workload::round_trips;

/// An event as it wants them. All words are written and read, as those of ours are.
#[derive(Clone, Copy)]
#[repr(C)]
struct Message<const WORDS: usize>([u64; WORDS]);

impl<const WORDS: usize> Default for Message<WORDS> {
    fn default() -> Self {
        Self([0; WORDS])
    }
}

impl<const WORDS: usize> Message<WORDS> {
    #[inline(always)]
    fn sum(&self) -> u64 {
        self.0.iter().fold(0, |sum, word| sum.wrapping_add(*word))
    }
}

/// Its convention for the ids of consumers: a prefix that the producer knows, and a number.
const CONSUMER_PREFIX: &str = "cp";
const CONSUMER_ID: &str = "cp_0";

/// What its calls may take that wait for the other side.
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);

fn failed(error: alpha::MultiProcessError) -> Stop {
    Stop::Failed(error.to_string())
}

/// Creates the ring in segment `index`. Sides meet by our rendezvous: its own coordination writes to standard output.
fn create<const WORDS: usize>(side: &Side, index: usize, slots: usize) -> Result<SharedProducer<Message<WORDS>>, Stop> {
    build_shared_single_producer::<Message<WORDS>>(&side.segment(index), slots)
        .discover_consumer_with_prefix(1, CONSUMER_PREFIX)
        .with_coordination(CoordinationMode::Immediate)
        .build_producer(Message::default)
        .map_err(failed)
}

fn attach<const WORDS: usize>(side: &Side, index: usize, slots: usize) -> Result<SharedConsumer<Message<WORDS>>, Stop> {
    attach_shared_consumer::<Message<WORDS>>(&side.segment(index), slots)
        .with_consumer_id(CONSUMER_ID)
        .build_consumer()
        .map_err(failed)
}

/// Makes the producer aware of its consumer; before that it would overwrite what nobody has read.
fn discover<const WORDS: usize>(producer: &mut SharedProducer<Message<WORDS>>) -> Result<(), Stop> {
    if producer.wait_for_consumer_id(CONSUMER_ID, JOIN_TIMEOUT) {
        Ok(())
    } else {
        Err(Stop::Failed(format!("alpha's producer found no consumer within {JOIN_TIMEOUT:?}")))
    }
}

/// As [`PingPong`](crate::ring::ping_pong::PingPong).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AlphaPingPong {
    pub(crate) payload_bytes: usize,
    pub(crate) slots: usize,
}

const THERE: usize = 0;
const BACK: usize = 1;
/// The question that is not answered.
const STOP: u64 = u64::MAX;

/// Role 0's ends of the two rings.
struct Questioner<const WORDS: usize> {
    there: SharedProducer<Message<WORDS>>,
    back: SharedConsumer<Message<WORDS>>,
    number: u64,
}

impl<const WORDS: usize> Questioner<WORDS> {
    fn ask(&mut self) -> Result<(), Stop> {
        let number = self.number;
        self.there.publish(|message| message.0.fill(number));
        let (wanted, found) = (number.wrapping_mul(WORDS as u64), self.back.consume_next_leased().sum());
        if found != wanted {
            return Err(Stop::Failed(format!("question {number} came back as {found}, not {wanted}")));
        }
        self.number += 1;
        Ok(())
    }
}

impl AlphaPingPong {
    fn ask<const WORDS: usize>(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        let mut there = create::<WORDS>(side, THERE, self.slots)?;
        side.rendezvous()?;
        let back = attach::<WORDS>(side, BACK, self.slots)?;
        side.rendezvous()?;
        discover(&mut there)?;
        side.rendezvous()?;
        let mut questioner = Questioner { there, back, number: 0 };
        (0..self.slots).try_for_each(|_| questioner.ask())?;

        side.measured(|| {
            let measurement = round_trips::time(side.window(), round_trips::GROUP, || questioner.ask())?;
            questioner.there.publish(|message| message.0.fill(STOP));
            Ok(Some(measurement))
        })
    }

    fn answer<const WORDS: usize>(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        let mut back = create::<WORDS>(side, BACK, self.slots)?;
        side.rendezvous()?;
        let mut there = attach::<WORDS>(side, THERE, self.slots)?;
        side.rendezvous()?;
        discover(&mut back)?;
        side.rendezvous()?;
        let mut answer = || {
            let question = there.consume_next_leased();
            let (number, sum) = (question.0[0], question.sum());
            drop(question);
            if number != STOP {
                back.publish(|message| message.0.fill(sum / WORDS as u64));
            }
            number != STOP
        };
        for _ in 0..self.slots {
            answer();
        }
        side.measured(|| {
            while answer() {}
            Ok(None)
        })
    }
}

impl Subject for AlphaPingPong {
    fn is_peers(&self) -> bool {
        true
    }

    fn shared_bytes(&self) -> usize {
        0
    }

    fn produce(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        with_words!(self.payload_bytes, self.ask(side))
    }

    fn consume(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        with_words!(self.payload_bytes, self.answer(side))
    }
}

/// As [`Throughput`](crate::ring::throughput::Throughput).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AlphaThroughput {
    pub(crate) payload_bytes: usize,
    pub(crate) batch: usize,
    pub(crate) slots: usize,
}

const RING: usize = 0;
/// How many events there were; zero as long as it goes on.
const END: usize = 0;
/// Events between two looks at the clock.
const EVENTS_PER_LOOK: usize = 4096;

impl AlphaThroughput {
    fn publish<const WORDS: usize>(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        let end = side.word(END);
        let mut producer = create::<WORDS>(side, RING, self.slots)?;
        side.rendezvous()?;
        side.rendezvous()?;
        discover(&mut producer)?;
        let mut next = 0_u64;
        let mut publish = |count: usize| {
            for _ in 0..count / self.batch {
                if self.batch == 1 {
                    producer.publish(|message| message.0.fill(next));
                } else {
                    // It says when there is no room, and does not wait.
                    while producer
                        .batch_publish(self.batch, |message, index| message.0.fill(next + index as u64))
                        .is_err()
                    {}
                }
                next += self.batch as u64;
            }
            next
        };
        publish(self.slots);
        side.measured(|| {
            let begin = Instant::now();
            let mut published = publish(EVENTS_PER_LOOK);
            while begin.elapsed() < side.window() {
                published = publish(EVENTS_PER_LOOK);
            }
            end.publish(published);
            Ok(None)
        })
    }

    fn read<const WORDS: usize>(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        let end = side.word(END);
        side.rendezvous()?;
        let mut consumer = attach::<WORDS>(side, RING, self.slots)?;
        side.rendezvous()?;
        let (mut next, mut total) = (0_u64, 0_u64);
        let mut read = || {
            next += consumer.process_available(|message, _| total = total.wrapping_add(message.sum())) as u64;
            (next, total)
        };
        while read().0 < self.slots as u64 {}
        side.measured(|| {
            // From the start of both sides: one call of it reads as long as there is something, and may outlast the
            // run.
            let begin = Instant::now();
            let (count, total) = loop {
                let (count, total) = read();
                if end.acquire() == count {
                    break (count, total);
                }
            };
            let elapsed = begin.elapsed();
            let expected = sum_below(count).wrapping_mul(WORDS as u64);
            if total != expected {
                return Err(Stop::Failed(format!("{count} events came to {total} and not to {expected}")));
            }
            let rate = (count - self.slots as u64) as f64 / elapsed.as_secs_f64();
            Ok(Some(Measurement::of(rate, Unit::EventsPerSecond)))
        })
    }
}

impl Subject for AlphaThroughput {
    fn is_peers(&self) -> bool {
        true
    }

    fn shared_bytes(&self) -> usize {
        128
    }

    fn produce(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        with_words!(self.payload_bytes, self.publish(side))
    }

    fn consume(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        with_words!(self.payload_bytes, self.read(side))
    }
}
