//! One operation on a ring, where no end ever waits: publishing, consuming, copying as a tap.
//!
//! A round is a lap of 1024 events; the throughput that is printed is in events.

use benches::{CAPACITY, Sample, fill, pair, ring, time_rounds};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use disruptor_mp::{Place, SharedConsumer, SharedProducer, attach_shared_consumer};
use std::hint::black_box;

const BATCH: usize = 64;

type Ends = (SharedProducer<Sample>, SharedConsumer<Sample>);

fn drain(consumer: &mut SharedConsumer<Sample>) -> usize {
    consumer.process_available(|event, _| {
        black_box(event.value);
    })
}

fn publishing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("publish");
    group.throughput(Throughput::Elements(CAPACITY as u64));

    group.bench_function("one by one", |bencher| {
        let mut ends = pair(&Place::heap());
        ends.0.publish(|event| *event = Sample::new(7)).expect("room");
        assert_eq!(ends.1.try_consume_next_leased().expect("an event").rest, [7; 7]);
        bencher.iter_custom(|rounds| {
            let measured = |(producer, _): &mut Ends| {
                for value in 0..CAPACITY as u64 {
                    producer.publish(|event| *event = Sample::new(black_box(value))).expect("room");
                }
            };
            time_rounds(rounds, &mut ends, |(_, consumer)| assert_eq!(drain(consumer) % BATCH, 0), measured)
        });
    });

    group.bench_function("in batches of 64", |bencher| {
        let mut ends = pair(&Place::heap());
        ends.0.publish_batch(BATCH, |event, i| *event = Sample::new(i as u64)).expect("room");
        assert_eq!(ends.1.try_consume_batch_leased(BATCH).expect("events").get(BATCH - 1).value, BATCH as u64 - 1);
        bencher.iter_custom(|rounds| {
            let measured = |(producer, _): &mut Ends| {
                for _ in 0..CAPACITY / BATCH {
                    producer.publish_batch(BATCH, |event, i| *event = Sample::new(black_box(i as u64))).expect("room");
                }
            };
            time_rounds(rounds, &mut ends, |(_, consumer)| assert_eq!(drain(consumer) % BATCH, 0), measured)
        });
    });

    group.bench_function("without a consumer", |bencher| {
        let mut producer = ring(&Place::heap()).build_producer(|| Sample::new(0)).expect("a new ring");
        assert_eq!(producer.publish(|event| event.value = 1).expect("room"), 0);
        bencher.iter(|| {
            for value in 0..CAPACITY as u64 {
                producer.publish(|event| *event = Sample::new(black_box(value))).expect("room");
            }
        });
    });
    group.finish();
}

fn consuming(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("consume");
    group.throughput(Throughput::Elements(CAPACITY as u64));

    group.bench_function("one lease after the other", |bencher| {
        let mut ends = pair(&Place::heap());
        fill(&mut ends.0, 3);
        assert_eq!(ends.1.try_consume_next_leased().expect("an event").value, 3);
        assert_eq!(drain(&mut ends.1), CAPACITY - 1);
        bencher.iter_custom(|rounds| {
            time_rounds(
                rounds,
                &mut ends,
                |(producer, _)| fill(producer, 0),
                |(_, consumer)| {
                    while let Some(event) = consumer.try_consume_next_leased() {
                        black_box(event.value);
                    }
                },
            )
        });
    });

    group.bench_function("in leases of 64", |bencher| {
        let mut ends = pair(&Place::heap());
        fill(&mut ends.0, 0);
        assert_eq!(ends.1.try_consume_batch_leased(BATCH).expect("events").len(), BATCH);
        assert_eq!(drain(&mut ends.1), CAPACITY - BATCH);
        bencher.iter_custom(|rounds| {
            time_rounds(
                rounds,
                &mut ends,
                |(producer, _)| fill(producer, 0),
                |(_, consumer)| {
                    while let Some(batch) = consumer.try_consume_batch_leased(BATCH) {
                        for event in batch.iter() {
                            black_box(event.value);
                        }
                    }
                },
            )
        });
    });

    group.bench_function("there and back, one event at a time", |bencher| {
        let (mut producer, mut consumer) = pair(&Place::heap());
        let mut value = 0;
        bencher.iter(|| {
            for _ in 0..CAPACITY {
                value += 1;
                producer.publish(|event| event.value = value).expect("room");
                assert_eq!(consumer.try_consume_next_leased().expect("an event").value, value);
            }
        });
    });
    group.finish();
}

fn tapping(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tap");
    group.throughput(Throughput::Elements(CAPACITY as u64));
    group.bench_function("copies", |bencher| {
        let place = Place::heap();
        let producer = ring(&place).build_producer(|| Sample::new(0)).expect("a new ring");
        let tap = attach_shared_consumer::<Sample>(place, CAPACITY).build_tap().expect("a tap");
        let mut ends = (producer, tap);
        fill(&mut ends.0, 5);
        assert_eq!(ends.1.try_next().expect("an event").1.rest, [5; 7]);
        while ends.1.try_next().is_some() {}
        bencher.iter_custom(|rounds| {
            time_rounds(
                rounds,
                &mut ends,
                |(producer, _)| fill(producer, 0),
                |(_, tap)| {
                    while let Some(copy) = tap.try_next() {
                        black_box(copy);
                    }
                },
            )
        });
        assert_eq!(ends.1.missed(), 0, "the tap was lapped, so it was not copying that was measured");
    });
    group.finish();
}

criterion_group!(benches, publishing, consuming, tapping);
criterion_main!(benches);
