//! Criterion micro benchmarks: one operation each, in one thread, so that nothing is measured but the operation.
//!
//! What the benchmarks share: their event and their rings, the end of a round, quantiles. Each benchmark checks its
//! answer before it measures. `perf-bench` measures whole processes.
#![forbid(unsafe_code)]

pub mod countdown;
pub mod quantiles;

use disruptor_mp::{
    Place, SharedConsumer, SharedDisruptorBuilder, SharedProducer, attach_shared_consumer,
    build_shared_single_producer, event,
};
use std::time::{Duration, Instant};

/// Slots of the rings: two laps of payloads fit into the second cache.
pub const CAPACITY: usize = 1024;

/// An event whose slot is two cache lines long.
#[event]
#[derive(Debug)]
pub struct Sample {
    /// What is published and checked.
    pub value: u64,
    /// Fills the rest.
    pub rest: [u64; 7],
}

impl Sample {
    /// An event of that value.
    pub const fn new(value: u64) -> Self {
        Self { value, rest: [value; 7] }
    }
}

/// Begins a ring of samples on the heap: the same words and slots as in shared memory.
pub fn ring(place: &Place) -> SharedDisruptorBuilder<Sample> {
    build_shared_single_producer(place.clone(), CAPACITY)
}

/// A producer and a consumer of one ring.
pub fn pair(place: &Place) -> (SharedProducer<Sample>, SharedConsumer<Sample>) {
    let producer = ring(place).build_producer(|| Sample::new(0)).expect("a new ring");
    let consumer = attach_shared_consumer(place.clone(), CAPACITY).build_consumer().expect("room for a consumer");
    (producer, consumer)
}

/// Publishes a full lap of events, whose values count from `first`.
pub fn fill(producer: &mut SharedProducer<Sample>, first: u64) {
    producer
        .try_publish_batch(CAPACITY, |event, i| *event = Sample::new(first + i as u64))
        .expect("the ring has been read empty");
}

/// How long `rounds` rounds of `measured` take, each after a `prepare` that does not count. A round does many
/// operations, so that the two clock readings do not matter.
pub fn time_rounds<S>(
    rounds: u64,
    state: &mut S,
    mut prepare: impl FnMut(&mut S),
    mut measured: impl FnMut(&mut S),
) -> Duration {
    let mut total = Duration::ZERO;
    for _ in 0..rounds {
        prepare(state);
        let begin = Instant::now();
        measured(state);
        total += begin.elapsed();
    }
    total
}
