//! What publishing and consuming cost besides memory accesses: no allocation, and no system call while no process is
//! parked.
//!
//! A test binary of its own, because it counts with a global allocator.

use disruptor_mp::{
    Event, Place, RequiredConsumerLivenessConfig, SharedConsumer, SharedProducer, WaitStrategy, attach_shared_consumer,
    build_shared_single_producer, event,
};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use testkit::alloc::{CountingAllocator, allocations_in};
use testkit::names::{ShmGuard, unique};
use testkit::watchdog::Watchdog;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Events that each way of publishing and consuming carries while allocations are counted.
const EVENTS: u64 = 1_000_000;

/// Slots of the rings: few, so that a cost of once a lap comes often.
const CAPACITY: usize = 64;

/// How many events the process under strace carries; only that process has this variable.
const EVENTS_VARIABLE: &str = "COST_EVENTS";

#[event]
struct Step {
    sequence: u64,
    payload: [u64; 3],
}

fn step() -> Step {
    Step { sequence: 0, payload: [0; 3] }
}

struct Ends {
    producer: SharedProducer<Step>,
    consumer: SharedConsumer<Step>,
    next: u64,
    /// Far away: a call that waits for it hangs.
    deadline: Instant,
}

/// One way to carry events from the producer to the consumer: its name, how many events it carries at once, and the
/// function. It runs in one thread, so that no call ever waits.
type Way = (&'static str, u64, fn(&mut Ends));

const WAYS: [Way; 7] = [
    ("trying", 1, |ends| {
        let next = ends.next;
        ends.producer.try_publish(|slot| slot.sequence = next).expect("room");
        assert_eq!(ends.consumer.try_consume_next_leased().expect("an event").sequence, next);
    }),
    ("blocking", 1, |ends| {
        let next = ends.next;
        ends.producer.publish(|slot| slot.sequence = next).expect("room");
        assert_eq!(ends.consumer.consume_next_leased().expect("an event").sequence, next);
    }),
    ("with a deadline", 1, |ends| {
        let (next, deadline) = (ends.next, ends.deadline);
        ends.producer.publish_deadline(deadline, |slot| slot.sequence = next).expect("room");
        assert_eq!(ends.consumer.consume_next_leased_deadline(deadline).expect("an event").sequence, next);
    }),
    ("in batches", 32, |ends| {
        let next = ends.next;
        ends.producer.publish_batch(32, |slot, i| slot.sequence = next + i as u64).expect("room");
        let batch = ends.consumer.consume_batch_leased(32, None).expect("events");
        assert_eq!((batch.len(), batch.get(31).sequence), (32, next + 31));
    }),
    ("trying in batches", 64, |ends| {
        let next = ends.next;
        ends.producer.try_publish_batch(64, |slot, i| slot.sequence = next + i as u64).expect("room");
        let mut seen = next;
        let count = ends.consumer.process_available(|event, _| {
            assert_eq!(event.sequence, seen);
            seen += 1;
        });
        assert_eq!(count, 64);
    }),
    ("managed", 1, |ends| {
        let next = ends.next;
        ends.producer.publish_managed(|slot| slot.sequence = next).expect("room");
        assert_eq!(ends.consumer.try_consume_next_leased().expect("an event").sequence, next);
    }),
    ("managed in batches", 32, |ends| {
        let next = ends.next;
        ends.producer.publish_batch_managed(32, |slot, i| slot.sequence = next + i as u64).expect("room");
        let batch = ends.consumer.try_consume_batch_leased(32).expect("events");
        assert_eq!((batch.len(), batch.get(0).sequence), (32, next));
    }),
];

impl Ends {
    fn new(place: Place) -> Self {
        let ring = build_shared_single_producer(place.clone(), CAPACITY).with_wait_strategy(WaitStrategy::Block);
        let mut producer = ring.build_producer(step).expect("a new ring");
        let consumer = attach_shared_consumer(place, CAPACITY).with_consumer_id("reader");
        let consumer = consumer.with_wait_strategy(WaitStrategy::Block).build_consumer().expect("room for a consumer");
        producer
            .enable_required_consumer_liveness(RequiredConsumerLivenessConfig::new(["reader"]))
            .expect("no override");
        // The first managed publish checks whether all required consumers have joined.
        producer.publish_managed(|_| ()).expect("room");
        let mut ends = Self { producer, consumer, next: 0, deadline: Instant::now() + Duration::from_secs(3600) };
        assert!(ends.consumer.skip());
        ends
    }

    /// Carries at least `events` events in that way.
    fn carry(&mut self, (_, events_at_once, way): Way, events: u64) {
        for _ in 0..events.div_ceil(events_at_once) {
            way(self);
            self.next += events_at_once;
        }
    }
}

#[test]
fn a_million_events_allocate_nothing_in_any_way_of_carrying_them() {
    let _watchdog = Watchdog::new(Duration::from_secs(120), "counting allocations");
    assert!(size_of::<Step>() == 32 && Step::schema().size_bytes() == 32);
    for place in [Place::heap(), Place::memfd("cost")] {
        let mut ends = Ends::new(place);
        for way in WAYS {
            let allocations = allocations_in(|| ends.carry(way, EVENTS));
            assert_eq!(allocations, 0, "{EVENTS} events {} allocate", way.0);
        }
    }
}

#[test]
fn system_calls_do_not_grow_with_the_number_of_events() {
    let _watchdog = Watchdog::new(Duration::from_secs(120), "counting system calls");
    if let Ok(events) = std::env::var(EVENTS_VARIABLE) {
        return carry_in_shared_memory(events.parse().expect("a number"));
    }
    let [few, many] = [10_000, 100_000];
    let (few_calls, many_calls) = match (calls_of(few), calls_of(many)) {
        (Ok(few_calls), Ok(many_calls)) => (few_calls, many_calls),
        (Err(reason), _) | (_, Err(reason)) => testkit::skip!("{reason}"),
    };
    // The harness has threads, and one of them may sleep for a moment or not. One call per lap of the ring would be 90
    // 000 / 64 * 7 more.
    assert!(
        many_calls < few_calls + 100,
        "{few} events in each way took {few_calls} system calls, {many} took {many_calls}"
    );
}

/// What the process under strace runs.
fn carry_in_shared_memory(events: u64) {
    let shm = ShmGuard::new();
    let mut ends = Ends::new(Place::from(shm.name("a")));
    for way in WAYS {
        ends.carry(way, events);
    }
}

/// A file that strace writes, removed at the end.
struct Summary(PathBuf);

impl Drop for Summary {
    fn drop(&mut self) {
        // It does not exist if strace could not be started.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// How many system calls a process makes that carries `events` events in each way; or why they cannot be counted here.
fn calls_of(events: u64) -> Result<u64, String> {
    let summary = Summary(std::env::temp_dir().join(unique("strace")));
    let output = Command::new("strace")
        .args(["-f", "-c", "-U", "calls,name", "-e", "trace=all", "-o"])
        .arg(&summary.0)
        .arg(std::env::current_exe().expect("a running program has a file"))
        .args(["--exact", testkit::test_name!(system_calls_do_not_grow_with_the_number_of_events), "--test-threads=1"])
        .env(EVENTS_VARIABLE, events.to_string())
        .output()
        .map_err(|error| format!("strace does not start: {error}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    if errors.contains("PTRACE") || errors.contains("ptrace") {
        return Err(format!("strace may not trace: {}", errors.trim()));
    }
    assert!(output.status.success(), "{}{errors}", String::from_utf8_lossy(&output.stdout));
    let table = std::fs::read_to_string(&summary.0).expect("strace has written its table");
    let total = table.lines().rfind(|line| line.ends_with("total")).expect("the table has a last line");
    Ok(total.split_whitespace().next().and_then(|calls| calls.parse().ok()).expect("which counts the calls"))
}
