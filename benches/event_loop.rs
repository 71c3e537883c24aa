//! The event loop: an event beside bare epoll, a wake beside a bare eventfd, timers, and how late they are.
//!
//! What is measured beside ours makes the same system calls for the same news: it writes and reads the same eventfds.

use benches::quantiles::Quantiles;
use benches::time_rounds;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use myelon_runtime::event_loop::{EventLoop, Interest, LoopHandle, Next, Ready, SourceId, Tick};
use rustix::buffer::spare_capacity;
use rustix::event::{EventfdFlags, epoll, eventfd};
use rustix::io::{read, write};
use rustix::process::{Resource, getrlimit, setrlimit};
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// How many events one look at epoll takes; the loop's own number.
const EVENTS: usize = 1024;

/// Descriptors that are ready at once, where it is more than one.
const AT_ONCE: usize = 64;

fn new_eventfd() -> OwnedFd {
    eventfd(0, EventfdFlags::CLOEXEC).expect("a descriptor is left")
}

fn signal(event: &OwnedFd) {
    write(event, &1u64.to_ne_bytes()).expect("it is not full");
}

fn take(event: &OwnedFd) {
    read(event, &mut [0; 8]).expect("it was written");
}

/// Raises the limit of open descriptors; the error says why that is impossible.
fn allow_descriptors(count: usize) -> Result<(), String> {
    // Some are for the rest of the process.
    let wanted = count as u64 + 100;
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    limit.current = Some(wanted);
    setrlimit(Resource::Nofile, limit)
        .map_err(|error| format!("{wanted} descriptors are needed, the hard limit is {:?}: {error}", limit.maximum))
}

/// Epoll without a loop around it.
struct Bare {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    descriptors: Vec<OwnedFd>,
}

impl Bare {
    fn new(descriptors: Vec<OwnedFd>, flags: epoll::EventFlags) -> Self {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("a descriptor is left");
        for (index, descriptor) in descriptors.iter().enumerate() {
            epoll::add(&epoll, descriptor, epoll::EventData::new_u64(index as u64), flags).expect("a new one");
        }
        Self { epoll, events: Vec::with_capacity(EVENTS), descriptors }
    }

    /// One turn: waits, and reads what is ready. Returns how many that were.
    fn turn(&mut self) -> usize {
        self.events.clear();
        epoll::wait(&self.epoll, spare_capacity(&mut self.events), None).expect("no signal has a handler");
        for event in &self.events {
            take(&self.descriptors[event.data.u64() as usize]);
        }
        self.events.len()
    }
}

/// A loop with that many eventfds. What it answers after each is `next`.
fn looped<R: myelon_runtime::event_loop::IntoNext + Copy + 'static>(
    count: usize,
    next: R,
) -> (EventLoop, Vec<Rc<OwnedFd>>) {
    let mut event_loop = EventLoop::new().expect("descriptors are left");
    let descriptors: Vec<_> = (0..count).map(|_| Rc::new(new_eventfd())).collect();
    for descriptor in &descriptors {
        let handler = move |_: &mut EventLoop, event: &mut Rc<OwnedFd>, _: Ready| {
            take(event);
            next
        };
        event_loop.add(Rc::clone(descriptor), Interest::Readable, "one of many", handler).expect("a new descriptor");
    }
    (event_loop, descriptors)
}

/// Visits all places in disorder.
fn step(place: &Cell<usize>, count: usize) -> usize {
    place.set((place.get() + 7919) % count);
    place.get()
}

/// One event, or several in one turn: written, waited for, read.
fn events(criterion: &mut Criterion) {
    let edge = epoll::EventFlags::IN | epoll::EventFlags::ET;
    for count in [1, 100, 4_000, 10_000] {
        if let Err(reason) = allow_descriptors(count) {
            println!("skipped: an event among {count} descriptors: {reason}");
            continue;
        }
        for at_once in [1, AT_ONCE] {
            if at_once > count {
                continue;
            }
            let mut group = criterion.benchmark_group(format!("an event, {at_once} ready"));
            group.throughput(Throughput::Elements(at_once as u64));
            let place = Cell::new(0);
            group.bench_function(BenchmarkId::new("bare epoll", count), |bencher| {
                let mut bare = Bare::new((0..count).map(|_| new_eventfd()).collect(), edge);
                bencher.iter(|| {
                    (0..at_once).for_each(|_| signal(&bare.descriptors[step(&place, count)]));
                    assert_eq!(bare.turn(), at_once);
                });
            });
            group.bench_function(BenchmarkId::new("loop", count), |bencher| {
                let (mut event_loop, descriptors) = looped(count, Next::Drained);
                bencher.iter(|| {
                    (0..at_once).for_each(|_| signal(&descriptors[step(&place, count)]));
                    assert_eq!(event_loop.turn(Duration::MAX).expect("no hook panics"), at_once);
                });
            });
            group.finish();
        }
        let mut group = criterion.benchmark_group("an event, 1 ready, by levels");
        let place = Cell::new(0);
        group.bench_function(BenchmarkId::new("bare epoll", count), |bencher| {
            let mut bare = Bare::new((0..count).map(|_| new_eventfd()).collect(), epoll::EventFlags::IN);
            bencher.iter(|| {
                signal(&bare.descriptors[step(&place, count)]);
                assert_eq!(bare.turn(), 1);
            });
        });
        group.bench_function(BenchmarkId::new("loop", count), |bencher| {
            let (mut event_loop, descriptors) = looped(count, ());
            bencher.iter(|| {
                signal(&descriptors[step(&place, count)]);
                assert_eq!(event_loop.turn(Duration::MAX).expect("no hook panics"), 1);
            });
        });
        group.finish();
    }
}

/// There and back: another thread is woken, and answers through an eventfd. The way back is the same for all.
fn wakes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wake and answer");
    let answer = Arc::new(new_eventfd());

    group.bench_function("bare eventfd", |bencher| {
        let (bell, stop) = (Arc::new(new_eventfd()), Arc::new(AtomicBool::new(false)));
        let descriptor = bell.try_clone().expect("a descriptor is left");
        let (ours, stopped) = (Arc::clone(&answer), Arc::clone(&stop));
        let other = thread::spawn(move || {
            let mut bare = Bare::new(vec![descriptor], epoll::EventFlags::IN);
            while bare.turn() == 1 && !stopped.load(Ordering::Relaxed) {
                signal(&ours);
            }
        });
        bencher.iter(|| {
            signal(&bell);
            take(&answer);
        });
        stop.store(true, Ordering::Relaxed);
        signal(&bell);
        other.join().expect("it does not panic");
    });

    group.bench_function("`LoopHandle::wake`", |bencher| {
        let stop = Arc::new(AtomicBool::new(false));
        let (ours, stopped) = (Arc::clone(&answer), Arc::clone(&stop));
        let (give, take_handle) = mpsc::channel();
        let other = thread::spawn(move || {
            let mut event_loop = EventLoop::new().expect("descriptors are left");
            give.send(event_loop.handle()).expect("it is received");
            loop {
                event_loop.turn(Duration::MAX).expect("no hook panics");
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                signal(&ours);
            }
        });
        let handle: LoopHandle = take_handle.recv().expect("it is sent");
        bencher.iter(|| {
            handle.wake();
            take(&answer);
        });
        stop.store(true, Ordering::Relaxed);
        handle.wake();
        other.join().expect("it does not panic");
    });

    group.bench_function("a command", |bencher| {
        let ours = Arc::clone(&answer);
        let (give, take_sender) = mpsc::channel();
        let other = thread::spawn(move || {
            let mut event_loop = EventLoop::new().expect("descriptors are left");
            let (_, sender) = event_loop.add_channel(8, "pings", move |_: &mut EventLoop, ()| signal(&ours));
            give.send((event_loop.handle(), sender)).expect("it is received");
            event_loop.run().expect("no hook panics");
        });
        let (handle, sender) = take_sender.recv().expect("it is sent");
        bencher.iter(|| {
            sender.send(()).expect("8 may wait");
            take(&answer);
        });
        handle.exit();
        other.join().expect("it does not panic");
    });
    group.finish();
}

/// Timers that are added, cancelled or over in one round.
const TIMERS: u64 = 100;

/// A loop in which `count` timers wait for an hour and more.
fn waiting(count: u64) -> EventLoop {
    let mut event_loop = EventLoop::builder().resolution(Duration::ZERO).build().expect("descriptors are left");
    for index in 0..count {
        in_an_hour(&mut event_loop, index);
    }
    event_loop
}

fn in_an_hour(event_loop: &mut EventLoop, index: u64) -> SourceId {
    // A multiplication with an odd number visits all values of 2^17 in disorder.
    let after = Duration::from_secs(3600) + Duration::from_micros((index * 48_271) % (1 << 17));
    event_loop.add_timer(after, "one of many", |_: &mut EventLoop, _: Tick| ())
}

fn add_all(event_loop: &mut EventLoop) -> Vec<SourceId> {
    (0..TIMERS).map(|index| in_an_hour(event_loop, index * 7919)).collect()
}

fn remove_all(event_loop: &mut EventLoop, ids: &mut Vec<SourceId>) {
    ids.drain(..).for_each(|id| assert!(event_loop.remove(id)));
}

/// Sources with a deadline, while others wait: the heap, the handler and what is kept for reports.
fn timers(criterion: &mut Criterion) {
    for count in [1_000, 100_000] {
        let mut state = (waiting(count), Vec::new());
        let mut group = criterion.benchmark_group("timers of a loop");
        group.throughput(Throughput::Elements(TIMERS));
        group.bench_function(BenchmarkId::new("add", count), |bencher| {
            bencher.iter_custom(|rounds| {
                let remove = |(event_loop, ids): &mut (EventLoop, _)| remove_all(event_loop, ids);
                time_rounds(rounds, &mut state, remove, |(event_loop, ids)| *ids = add_all(event_loop))
            });
        });
        let (event_loop, ids) = &mut state;
        remove_all(event_loop, ids);
        group.bench_function(BenchmarkId::new("cancel", count), |bencher| {
            bencher.iter_custom(|rounds| {
                let add = |(event_loop, ids): &mut (EventLoop, _)| *ids = add_all(event_loop);
                time_rounds(rounds, &mut state, add, |(event_loop, ids)| remove_all(event_loop, ids))
            });
        });
        group.bench_function(BenchmarkId::new("expire", count), |bencher| {
            bencher.iter_custom(|rounds| {
                let add = |(event_loop, _): &mut (EventLoop, _)| {
                    for _ in 0..TIMERS {
                        event_loop.add_timer(Duration::ZERO, "due", |_: &mut EventLoop, _: Tick| ());
                    }
                };
                time_rounds(rounds, &mut state, add, |(event_loop, _)| {
                    assert_eq!(event_loop.turn(Duration::ZERO).expect("no hook panics"), TIMERS as usize);
                })
            });
        });
        group.finish();
    }
}

/// A deadline between one and two milliseconds from now, another one each time.
fn delay(round: &mut u64) -> Duration {
    *round += 1;
    Duration::from_micros(1000 + *round * 7919 % 1000)
}

/// What criterion prints is the mean; the quantiles are printed after it.
fn lateness(criterion: &mut Criterion) {
    let mut all = BTreeMap::<String, Quantiles>::new();
    let mut group = criterion.benchmark_group("how late");
    group.sample_size(10);
    for resolution in [Duration::ZERO, Duration::from_millis(1), Duration::from_millis(10)] {
        let name = format!("timer, resolution {resolution:?}");
        let quantiles = all.entry(name.clone()).or_default();
        group.bench_function(name, |bencher| {
            let mut event_loop = EventLoop::builder().resolution(resolution).build().expect("descriptors are left");
            let late = Rc::new(Cell::new(None));
            let mut round = 0;
            bencher.iter_custom(|rounds| {
                let mut total = Duration::ZERO;
                for _ in 0..rounds {
                    let kept = Rc::clone(&late);
                    event_loop.add_timer(delay(&mut round), "a millisecond", move |_: &mut EventLoop, tick: Tick| {
                        kept.set(Some(Instant::now() - tick.deadline));
                    });
                    while late.get().is_none() {
                        event_loop.turn(Duration::MAX).expect("no hook panics");
                    }
                    total += quantiles.note(late.take().unwrap_or_default());
                }
                total
            });
        });
    }
    let name = "clock_nanosleep".to_owned();
    let quantiles = all.entry(name.clone()).or_default();
    group.bench_function(name, |bencher| {
        let now = || Duration::try_from(clock_gettime(ClockId::Monotonic)).expect("not before the start");
        let mut round = 0;
        bencher.iter_custom(|rounds| {
            let mut total = Duration::ZERO;
            for _ in 0..rounds {
                let deadline = now() + delay(&mut round);
                let until = Timespec::try_from(deadline).expect("soon");
                rustix::thread::clock_nanosleep_absolute(ClockId::Monotonic, &until).expect("no signal has a handler");
                total += quantiles.note(now() - deadline);
            }
            total
        });
    });
    group.finish();
    all.retain(|_, quantiles| !quantiles.is_empty());
    for (name, quantiles) in all {
        println!("how late, {name}: {quantiles}");
    }
}

criterion_group!(benches, events, wakes, timers, lateness);
criterion_main!(benches);
