//! Creating and removing a ring of 4 MiB, joining it and leaving it.

use benches::{CAPACITY, Sample, ring};
use criterion::{Criterion, criterion_group, criterion_main};
use disruptor_mp::{MmapTransportLayout, Place, attach_shared_consumer, build_shared_single_producer, plan};
use std::time::Instant;

/// Slots of 128 bytes: with 32768 of them the ring is 4 MiB and a little long.
const SLOTS: usize = 32 << 10;

/// A name in shared memory that no other process uses.
fn name(what: &str) -> String {
    format!("bench-{what}-{}", std::process::id())
}

fn creating(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("create and drop 4 MiB");
    let bytes = plan::<Sample>(SLOTS, 64).expect("it can be").slots.len;
    assert_eq!(bytes, 4 << 20, "the ring is not as long as its name says");
    let file = MmapTransportLayout::new(std::env::temp_dir(), name("file")).expect("a good name");
    for (kind, place) in [
        ("shared memory", Place::from(name("shm"))),
        ("memory file", Place::memfd("bench")),
        ("file", Place::from(&file)),
        ("heap", Place::heap()),
    ] {
        group.bench_function(kind, |bencher| {
            bencher.iter(|| {
                let ring = build_shared_single_producer::<Sample>(place.clone(), SLOTS).create();
                let producer = ring.build_producer(|| Sample::new(0)).expect("it does not exist");
                assert_eq!(producer.last_published_sequence(), -1);
            });
        });
    }
    group.finish();
}

fn joining(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("join and leave");
    for (kind, place) in [("shared memory", Place::from(name("join"))), ("heap", Place::heap())] {
        let producer = ring(&place).build_producer(|| Sample::new(0)).expect("a new ring");
        group.bench_function(kind, |bencher| {
            let join = || {
                let consumer = attach_shared_consumer::<Sample>(place.clone(), CAPACITY).with_consumer_id("worker");
                consumer.build_consumer().expect("room for a consumer")
            };
            let consumer = join();
            assert_eq!(producer.get_consumer_count(), 1);
            drop(consumer);
            assert_eq!(producer.get_consumer_count(), 0);
            bencher.iter(|| drop(join()));
        });
        // Apart from the ring's memory nothing is mapped, so this is the handshake and two locks.
        group.bench_function(format!("{kind}, joining alone"), |bencher| {
            bencher.iter_custom(|rounds| {
                let mut total = std::time::Duration::ZERO;
                for _ in 0..rounds {
                    let consumer = attach_shared_consumer::<Sample>(place.clone(), CAPACITY).with_consumer_id("worker");
                    let begin = Instant::now();
                    let consumer = consumer.build_consumer().expect("room for a consumer");
                    total += begin.elapsed();
                    drop(consumer);
                }
                total
            });
        });
    }
    group.finish();
}

criterion_group!(benches, creating, joining);
criterion_main!(benches);
