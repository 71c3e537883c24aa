//! Large steps through a small ring, at a server's pace: whether the producer ever finds it full.

use std::thread;
use std::time::{Duration, Instant};

use disruptor_mp::counters::ids;
use disruptor_mp::{Patience, RecordConsumer, RecordProducer, SharedDisruptorBuilder, WaitStrategy};
use serde::{Deserialize, Serialize};

use crate::side::{Measurement, Side, Stop};
use crate::stats::Unit;
use crate::subject::Subject;

/// Bytes of the ring.
pub(crate) const RING_BYTES: usize = 1 << 20;
/// Bytes of a step.
pub(crate) const STEP_BYTES: usize = 16_890;
/// How many there are in a second.
pub(crate) const STEPS_PER_SECOND: u32 = 400;

/// Steps that an unread ring holds: a worker may be busy for that long.
const STEPS_HELD: u64 = 60;

/// The kind of a step.
const KIND_STEP: u8 = 0;
/// The kind of the last one.
const KIND_STOP: u8 = 1;

/// A ring that is filled once without a reader, and then carries steps for a second. The measurement is how often it
/// was full.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct HoldSteps;

/// What every byte of step `number` is.
fn content(number: u64) -> u8 {
    number as u8
}

fn send(producer: &mut RecordProducer, number: u64, kind: u8, patience: Patience) -> Result<(), Stop> {
    let mut claim = producer.claim(STEP_BYTES, patience)?;
    claim.fill(content(number));
    claim.commit(STEP_BYTES, kind, 0);
    Ok(())
}

/// Reads the next step, every byte of it. Returns whether it was the last one.
fn receive(consumer: &mut RecordConsumer, number: u64) -> Result<bool, Stop> {
    let Some(record) = consumer.next(Patience::Endless)? else {
        return Err(Stop::Failed("an endless wait ended with nothing".into()));
    };
    if record.len() != STEP_BYTES || record.iter().any(|&byte| byte != content(number)) {
        return Err(Stop::Failed(format!("step {number} is not what was sent")));
    }
    Ok(record.kind() == KIND_STOP)
}

impl Subject for HoldSteps {
    fn shared_bytes(&self) -> usize {
        0
    }

    fn produce(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        let builder = SharedDisruptorBuilder::records(side.segment(0), RING_BYTES).create();
        let mut producer = builder.with_wait_strategy(WaitStrategy::BusySpin).build_record_producer()?;
        side.rendezvous()?;
        side.rendezvous()?;
        for number in 0..STEPS_HELD {
            if let Err(stop) = send(&mut producer, number, KIND_STEP, Patience::Now) {
                return Err(Stop::Failed(format!("the ring holds {number} steps, not {STEPS_HELD}: {stop:?}")));
            }
        }
        side.rendezvous()?;
        side.measured(|| {
            let begin = Instant::now();
            for step in 1..=STEPS_PER_SECOND {
                let due = begin + Duration::from_secs(1) / STEPS_PER_SECOND * step;
                thread::sleep(due.saturating_duration_since(Instant::now()));
                let kind = if step == STEPS_PER_SECOND { KIND_STOP } else { KIND_STEP };
                send(&mut producer, STEPS_HELD + u64::from(step) - 1, kind, Patience::Endless)?;
            }
            let counters = producer.ring_counters().snapshot();
            let full = counters.iter().filter(|counter| counter.id == ids::PRODUCER_FULL_EVENTS);
            Ok(Some(Measurement::of(full.map(|counter| counter.value).sum::<u64>() as f64, Unit::Times)))
        })
    }

    fn consume(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        side.rendezvous()?;
        let builder = SharedDisruptorBuilder::records(side.segment(0), 0);
        let mut consumer = builder.with_wait_strategy(WaitStrategy::BusySpin).build_record_consumer()?;
        side.rendezvous()?;
        side.rendezvous()?;
        let mut number = 0;
        while number < STEPS_HELD {
            receive(&mut consumer, number)?;
            number += 1;
        }
        side.measured(|| {
            while !receive(&mut consumer, number)? {
                number += 1;
            }
            Ok(None)
        })
    }
}
