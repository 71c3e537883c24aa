//! When a consumer lets its producer run ahead, and when it never does. The producer is another process.

use crate::stage::watchdog;
use disruptor_mp::counters::ids;
use disruptor_mp::{
    Patience, SharedConsumer, SharedDisruptorBuilder, SlotForm, attach_shared_consumer, build_shared_single_producer,
};
use std::time::Duration;
use testkit::names::ShmGuard;
use testkit::process::{Respawn, Victim, is_victim, role, say};
use testkit::test_name;

/// 64 KiB: a few of them are a saturated stream, also on a slow machine.
#[disruptor_mp::event]
struct Block {
    words: [u64; 8192],
}

const BLANK: Block = Block { words: [0; 8192] };

/// How many blocks fit into a ring.
const DEPTH: usize = 64;

/// The clock is read after this many.
const BURST: usize = 4;

const RING: &str = "LINGER_TEST_RING";

/// A process that writes in the way of `role`.
fn writer(role: &str, ring: &str) -> Victim {
    let mut victim = Respawn::test(test_name!(write)).role(role).env(RING, ring).spawn();
    victim.wait_line("READY");
    victim
}

#[test]
#[ignore = "runs as a victim"]
fn write() {
    if !is_victim() {
        return;
    }
    let (role, name) = (role().unwrap(), std::env::var(RING).unwrap());
    let builder = || build_shared_single_producer::<Block>(&name, DEPTH);
    match role.as_str() {
        "stream" => stream(builder()),
        "dense stream" => stream(builder().dense()),
        "trickle" => slowly(1, Duration::from_millis(1), builder()),
        "bursts" => slowly(BURST, Duration::from_millis(10), builder()),
        "echo" => echo(&name),
        other => panic!("{other}"),
    }
}

/// Block after block; each is completely written.
fn stream<F: SlotForm>(builder: SharedDisruptorBuilder<Block, F>) {
    let mut producer = builder.build_producer(|| BLANK).unwrap();
    say("READY");
    for number in 0.. {
        // Until it is killed, or its reader is gone.
        if producer.publish(|block| block.words.fill(number)).is_err() {
            return;
        }
    }
}

/// This many blocks at once, and a pause.
fn slowly(count: usize, pause: Duration, builder: SharedDisruptorBuilder<Block>) {
    let mut producer = builder.build_producer(|| BLANK).unwrap();
    say("READY");
    while producer.publish_batch(count, |block, number| block.words.fill(number as u64)).is_ok() {
        // This makes it a trickle, or bursts.
        std::thread::sleep(pause);
    }
}

/// Answers each event.
fn echo(name: &str) {
    let mut answers = build_shared_single_producer::<u64>(format!("{name}a"), DEPTH).build_producer(|| 0).unwrap();
    let mut questions = attach_shared_consumer::<u64>(name, 0).build_consumer().unwrap();
    say("READY");
    while let Ok(Some(number)) = questions.next_or_end(Patience::Endless).map(|event| event.map(|event| *event)) {
        answers.publish(|answer| *answer = number).unwrap();
    }
}

fn lingers<E: disruptor_mp::Event, F: SlotForm>(consumer: &SharedConsumer<E, F>) -> u64 {
    let counters = consumer.ring_counters().snapshot();
    counters.iter().filter(|counter| counter.id == ids::CONSUMER_LINGERS).map(|counter| counter.value).sum()
}

#[test]
fn a_consumer_of_a_saturated_stream_lets_its_producer_run_ahead() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let name = shm.name("a");
    let mut producer = writer("stream", &name);
    let mut consumer = attach_shared_consumer::<Block>(&name, 0).build_consumer().unwrap();
    while lingers(&consumer) == 0 {
        consumer.process_available(|_, _| ());
    }
    producer.kill_and_reap();
}

#[test]
fn a_consumer_that_takes_the_events_of_a_saturated_stream_one_by_one_does_so_too() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let name = shm.name("a");
    let mut producer = writer("dense stream", &name);
    let mut consumer = attach_shared_consumer::<Block>(&name, 0).dense().build_consumer().unwrap();
    while lingers(&consumer) == 0 {
        drop(consumer.next(Patience::Endless).unwrap());
    }
    producer.kill_and_reap();
}

#[test]
fn a_consumer_that_is_told_not_to_linger_never_does() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let name = shm.name("a");
    let mut producer = writer("stream", &name);
    let builder = attach_shared_consumer::<Block>(&name, 0).linger_at_most(Duration::ZERO);
    let mut consumer = builder.build_consumer().unwrap();
    let mut handled = 0;
    while handled < 10_000 {
        handled += consumer.process_available(|_, _| ());
    }
    assert_eq!(lingers(&consumer), 0);
    producer.kill_and_reap();
}

/// Takes this many blocks of a stream that is not saturated, with calls that do not wait.
fn is_never_delayed(role: &str, blocks: usize) {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let name = shm.name("a");
    let mut producer = writer(role, &name);
    let mut consumer = attach_shared_consumer::<Block>(&name, 0).build_consumer().unwrap();
    let mut taken = 0;
    while taken < blocks {
        taken += consumer.next_batch(DEPTH, Patience::Endless).unwrap().map_or(0, |batch| batch.len());
    }
    assert_eq!(lingers(&consumer), 0, "{role}");
    producer.kill_and_reap();
}

#[test]
fn a_trickle_is_never_delayed() {
    is_never_delayed("trickle", 300);
}

#[test]
fn a_burst_is_never_delayed() {
    is_never_delayed("bursts", 40 * BURST);
}

#[test]
fn a_ping_pong_by_next_is_never_delayed() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let name = shm.name("a");
    let mut questions = build_shared_single_producer::<u64>(&name, DEPTH).build_producer(|| 0).unwrap();
    let mut peer = writer("echo", &name);
    let mut answers = attach_shared_consumer::<u64>(format!("{name}a"), 0).build_consumer().unwrap();
    for number in 0..20_000 {
        questions.publish(|question| *question = number).unwrap();
        assert_eq!(answers.next(Patience::Endless).unwrap().map(|answer| *answer), Some(number));
    }
    assert_eq!(lingers(&answers), 0);
    peer.kill_and_reap();
}
