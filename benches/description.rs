//! Counters, and the schema of an event: making, updating, encoding and comparing.

use benches::Sample;
use criterion::{Criterion, criterion_group, criterion_main};
use disruptor_mp::schema::Schema;
use disruptor_mp::{CountersFile, Event};
use std::hint::black_box;

fn counting(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("counters");
    let file = CountersFile::boxed(512);
    let handles: Vec<_> = (0..512).map(|n| file.register(0x100 + n, 0, "bench").expect("room")).collect();
    handles[0].inc();
    assert_eq!(file.snapshot()[0].value, 1);
    group.bench_function("inc", |bencher| bencher.iter(|| black_box(&handles[1]).inc()));
    group.bench_function("record_max", |bencher| {
        let mut candidate = 0;
        bencher.iter(|| {
            candidate += 1;
            black_box(&handles[2]).record_max(candidate);
        });
        assert_eq!(handles[2].get(), candidate);
    });
    group.bench_function("snapshot of 512", |bencher| bencher.iter(|| file.snapshot()));
    group.bench_function("register again, the last of 512", |bencher| {
        assert!(file.register(0x100 + 511, 0, "bench").is_some() && file.register(0x1000, 0, "bench").is_none());
        bencher.iter(|| file.register(black_box(0x100 + 511), 0, "bench"));
    });
    group.finish();
}

fn describing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("schema");
    let schema = Sample::schema();
    let bytes = schema.encode();
    assert_eq!(Schema::decode(&bytes).as_ref(), Ok(&schema));
    assert_eq!(schema.first_difference(&schema), None);
    group.bench_function("make", |bencher| bencher.iter(Sample::schema));
    group.bench_function("fingerprint", |bencher| bencher.iter(|| black_box(&schema).fingerprint()));
    group.bench_function("encode", |bencher| bencher.iter(|| black_box(&schema).encode()));
    group.bench_function("decode", |bencher| bencher.iter(|| Schema::decode(black_box(&bytes))));
    group.bench_function("compare", |bencher| bencher.iter(|| schema.first_difference(black_box(&schema))));
    group.finish();
}

criterion_group!(benches, counting, describing);
criterion_main!(benches);
