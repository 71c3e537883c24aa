//! Timers: one operation among 100, 10 000 and 100 000 that wait.

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use myelon_runtime::timers::{TimerId, Timers};
use std::time::{Duration, Instant};

/// A multiplication with an odd number visits all values of 2^17 in disorder.
fn disorder(index: u64) -> Duration {
    Duration::from_micros((index * 48_271) % (1 << 17))
}

fn filled(start: Instant, count: u64) -> (Timers<u64>, Vec<TimerId>) {
    let mut timers = Timers::new(start).with_resolution(Duration::ZERO);
    let ids = (0..count).map(|index| timers.insert(start + disorder(index), index)).collect();
    (timers, ids)
}

fn timers(criterion: &mut Criterion) {
    let start = Instant::now();
    for count in [100, 10_000, 100_000] {
        let mut group = criterion.benchmark_group("timers");
        group.bench_function(BenchmarkId::new("insert and cancel", count), |bencher| {
            let (mut timers, _) = filled(start, count);
            let mut index = 0;
            bencher.iter(|| {
                index += 1;
                let id = timers.insert(start + disorder(index), index);
                assert_eq!(timers.cancel(id), Some(index));
            });
        });
        group.bench_function(BenchmarkId::new("cancel any, insert another", count), |bencher| {
            let (mut timers, mut ids) = filled(start, count);
            let mut index = 0;
            bencher.iter(|| {
                index += 1;
                let place = (index * 7919 % count) as usize;
                assert!(timers.cancel(ids[place]).is_some());
                ids[place] = timers.insert(start + disorder(index), index);
            });
        });
        group.bench_function(BenchmarkId::new("re-arm", count), |bencher| {
            let (mut timers, ids) = filled(start, count);
            let mut index = 0;
            bencher.iter(|| {
                index += 1;
                assert!(timers.rearm(ids[(index * 7919 % count) as usize], start + disorder(index)));
            });
        });
        group.bench_function(BenchmarkId::new("fire all", count), |bencher| {
            let end = start + Duration::from_secs(1);
            bencher.iter_batched_ref(
                || filled(start, count).0,
                |timers| assert_eq!(std::iter::from_fn(|| timers.expire(end)).count() as u64, count),
                BatchSize::LargeInput,
            );
        });
        group.finish();
    }
}

criterion_group!(benches, timers);
criterion_main!(benches);
