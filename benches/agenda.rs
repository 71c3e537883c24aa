//! Empty tasklets through an agenda, beside rayon: submitted from outside, and from a tasklet.
//!
//! A round is 1024 tasklets, from the first submission to the end of the last one; the throughput that is printed is in
//! tasklets. Both have two threads. The agenda keeps its statistics; its times are taken of each tasklet, or of 1 in
//! 16.

use benches::countdown::Countdown;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use myelon_runtime::agenda::{Agenda, End, Sampling, Submitter, Tasklet};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::Arc;
use std::thread;

const TASKLETS: u64 = 1024;
const THREADS: usize = 2;

fn empty(submitter: &Submitter, countdown: &'static Countdown) {
    submitter.spawn(Tasklet::new("empty", || countdown.count())).expect("it is open");
}

fn agenda(sampling: Sampling) -> Agenda {
    Agenda::builder().workers(THREADS).sampling(sampling).start().expect("threads start")
}

fn pool() -> Arc<ThreadPool> {
    Arc::new(ThreadPoolBuilder::new().num_threads(THREADS).build().expect("threads start"))
}

const SAMPLINGS: [(&str, Sampling); 2] = [("each time", Sampling::Each), ("1 time in 16", Sampling::OneIn16)];

fn from_outside(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("empty tasklets from outside");
    group.throughput(Throughput::Elements(TASKLETS));
    let countdown = Countdown::leaked();
    for (name, sampling) in SAMPLINGS {
        let agenda = agenda(sampling);
        let submitter = agenda.submitter();
        let round = || countdown.round(TASKLETS, || (0..TASKLETS).for_each(|_| empty(&submitter, countdown)));
        round();
        assert_eq!(agenda.statistics().submitted(), TASKLETS);
        group.bench_function(name, |bencher| bencher.iter(round));
    }
    let pool = pool();
    group.bench_function("rayon", |bencher| {
        bencher.iter(|| countdown.round(TASKLETS, || (0..TASKLETS).for_each(|_| pool.spawn(|| countdown.count()))));
    });
    group.finish();
}

fn from_a_tasklet(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("empty tasklets from a tasklet");
    group.throughput(Throughput::Elements(TASKLETS));
    let countdown = Countdown::leaked();
    for (name, sampling) in SAMPLINGS {
        let agenda = agenda(sampling);
        let round = || {
            let submitter = agenda.submitter();
            let all = Tasklet::new("submit", move || (0..TASKLETS).for_each(|_| empty(&submitter, countdown)));
            countdown.round(TASKLETS, || agenda.spawn(all).expect("it is open"));
        };
        round();
        while agenda.statistics().ended(End::Done) != TASKLETS + 1 {
            thread::yield_now();
        }
        group.bench_function(name, |bencher| bencher.iter(round));
    }
    let pool = pool();
    group.bench_function("rayon", |bencher| {
        bencher.iter(|| {
            // `rayon::spawn` on one of its threads goes to that thread's own queue, as with the agenda.
            let all = || (0..TASKLETS).for_each(|_| rayon::spawn(|| countdown.count()));
            countdown.round(TASKLETS, || pool.spawn(all));
        });
    });
    group.finish();
}

criterion_group!(benches, from_outside, from_a_tasklet);
criterion_main!(benches);
