//! An agenda under load, beside rayon and tokio: how long urgent work waits in a flood, and how uneven work balances.
//!
//! Each has two threads. Work is a spin until a time has passed, so it costs the same everywhere. What criterion prints
//! for *urgent* is the mean time from the submission to the start; the quantiles are printed after it.

use benches::countdown::Countdown;
use benches::quantiles::Quantiles;
use criterion::{Criterion, criterion_group, criterion_main};
use myelon_runtime::agenda::{Agenda, Priority, Tasklet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const THREADS: usize = 2;

/// Pieces of work that wait when the urgent one comes, and what each takes: some 8 ms for two threads.
const FLOOD: u64 = 800;
const PIECE: Duration = Duration::from_micros(20);

/// Uneven work: one piece in ten takes ten times as long.
const UNEVEN: u64 = 500;

fn uneven(index: u64) -> Duration {
    Duration::from_micros(if index.is_multiple_of(10) { 1000 } else { 100 })
}

fn spin(time: Duration) {
    let begin = Instant::now();
    while begin.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// What runs work on two threads. `spawn` is called outside and in a piece of work.
trait Pool: Clone + Send + 'static {
    const NAME: &'static str;

    fn spawn(&self, work: impl FnOnce() + Send + 'static);

    /// Where there are priorities: with the highest.
    fn spawn_urgent(&self, work: impl FnOnce() + Send + 'static) {
        self.spawn(work);
    }
}

#[derive(Clone)]
struct Ours(Arc<Agenda>);

impl Ours {
    fn spawn_with(&self, priority: Priority, work: impl FnOnce() + Send + 'static) {
        self.0.spawn(Tasklet::new("a piece", work).priority(priority)).expect("it is open");
    }
}

impl Pool for Ours {
    const NAME: &'static str = "agenda";

    fn spawn(&self, work: impl FnOnce() + Send + 'static) {
        self.spawn_with(Priority::Low, work);
    }

    fn spawn_urgent(&self, work: impl FnOnce() + Send + 'static) {
        self.spawn_with(Priority::High, work);
    }
}

#[derive(Clone)]
struct Rayon(Arc<rayon::ThreadPool>);

impl Pool for Rayon {
    const NAME: &'static str = "rayon";

    fn spawn(&self, work: impl FnOnce() + Send + 'static) {
        self.0.spawn(work);
    }
}

#[derive(Clone)]
struct Tokio(Arc<tokio::runtime::Runtime>);

impl Pool for Tokio {
    const NAME: &'static str = "tokio";

    fn spawn(&self, work: impl FnOnce() + Send + 'static) {
        drop(self.0.spawn(async { work() }));
    }
}

fn ours() -> Ours {
    Ours(Arc::new(Agenda::builder().workers(THREADS).start().expect("threads start")))
}

fn rayon() -> Rayon {
    Rayon(Arc::new(rayon::ThreadPoolBuilder::new().num_threads(THREADS).build().expect("threads start")))
}

fn tokio() -> Tokio {
    Tokio(Arc::new(tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).build().expect("threads start")))
}

/// How long an urgent piece waits for its start when a flood of others waits already.
fn urgent<P: Pool>(criterion: &mut Criterion, pool: &P) {
    let countdown = Countdown::leaked();
    let waited = &*Box::leak(Box::new(AtomicU64::new(0)));
    let mut quantiles = Quantiles::default();
    let mut group = criterion.benchmark_group("urgent work in a flood");
    group.sample_size(10);
    group.bench_function(P::NAME, |bencher| {
        bencher.iter_custom(|rounds| {
            let mut total = Duration::ZERO;
            for _ in 0..rounds {
                countdown.round(FLOOD + 1, || {
                    for _ in 0..FLOOD {
                        pool.spawn(|| {
                            spin(PIECE);
                            countdown.count();
                        });
                    }
                    let begin = Instant::now();
                    pool.spawn_urgent(move || {
                        waited.store(begin.elapsed().as_nanos() as u64, Ordering::Relaxed);
                        countdown.count();
                    });
                });
                total += quantiles.note(Duration::from_nanos(waited.load(Ordering::Relaxed)));
            }
            total
        });
    });
    group.finish();
    if !quantiles.is_empty() {
        println!("urgent work in a flood, {}: {quantiles}", P::NAME);
    }
}

/// How long uneven work takes until all of it is done, beside its sum divided by the threads.
fn balance<P: Pool>(criterion: &mut Criterion, pool: &P) {
    let countdown = Countdown::leaked();
    let ideal = (0..UNEVEN).map(uneven).sum::<Duration>() / THREADS as u32;
    for (place, outside) in [("from outside", true), ("from one piece", false)] {
        let mut quantiles = Quantiles::default();
        let mut group = criterion.benchmark_group("uneven work");
        group.sample_size(10);
        group.bench_function(format!("{place}, {}", P::NAME), |bencher| {
            bencher.iter_custom(|rounds| {
                let mut total = Duration::ZERO;
                for _ in 0..rounds {
                    let inner = pool.clone();
                    let all = move || {
                        for index in 0..UNEVEN {
                            inner.spawn(move || {
                                spin(uneven(index));
                                countdown.count();
                            });
                        }
                    };
                    let begin = Instant::now();
                    countdown.round(UNEVEN, || if outside { all() } else { pool.spawn(all) });
                    total += quantiles.note(begin.elapsed());
                }
                total
            });
        });
        group.finish();
        if quantiles.is_empty() {
            continue;
        }
        let over = quantiles.percentile(50).as_secs_f64() / ideal.as_secs_f64();
        println!("uneven work {place}, {}: {over:.3} of the ideal {ideal:.1?}; {quantiles}", P::NAME);
    }
}

fn load(criterion: &mut Criterion) {
    let (ours, rayon, tokio) = (ours(), rayon(), tokio());
    urgent(criterion, &ours);
    urgent(criterion, &rayon);
    urgent(criterion, &tokio);
    balance(criterion, &ours);
    balance(criterion, &rayon);
    balance(criterion, &tokio);
}

criterion_group!(benches, load);
criterion_main!(benches);
