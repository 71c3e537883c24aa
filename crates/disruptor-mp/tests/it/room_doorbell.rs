//! A publish that waits for room without blocking sleeps at the bell of the consumer that holds it back.

use crate::stage::{PATIENCE, in_ms};
use disruptor_mp::{
    Patience, Place, PublishError, RoomDoorbell, SharedConsumer, SharedDisruptorBuilder, SharedProducer,
    attach_shared_consumer, build_shared_single_producer,
};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;
use std::time::Duration;
use testkit::names::ShmGuard;
use testkit::process::{Respawn, is_victim, role, say, wait_to_be_killed};
use testkit::test_name;
use testkit::watchdog::Watchdog;

const LONG: Duration = Duration::from_secs(20);

fn watchdog() -> Watchdog {
    Watchdog::new(PATIENCE, "a doorbell for room")
}

fn is_readable(doorbell: &RoomDoorbell, limit: Duration) -> bool {
    let mut fds = [PollFd::new(doorbell, PollFlags::IN)];
    let limit = Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: limit.subsec_nanos().into() };
    poll(&mut fds, Some(&limit)).unwrap() == 1
}

fn ends(place: &Place) -> (SharedProducer<u64>, SharedConsumer<u64>) {
    let producer = build_shared_single_producer::<u64>(place, 4).build_producer(|| 0).unwrap();
    (producer, attach_shared_consumer::<u64>(place, 4).with_consumer_id("a").build_consumer().unwrap())
}

fn fill(producer: &mut SharedProducer<u64>) {
    while producer.publish_with(Patience::Now, |_| ()).is_ok() {}
}

#[test]
fn it_is_rung_when_the_consumer_that_keeps_the_producer_back_releases_and_not_by_another() {
    let _watchdog = watchdog();
    let place = Place::heap();
    let (mut producer, mut slow) = ends(&place);
    let mut fast = attach_shared_consumer::<u64>(&place, 4).with_consumer_id("b").build_consumer().unwrap();
    let mut doorbell = producer.room_doorbell().unwrap();
    assert!(!doorbell.arm(&mut producer), "there is room");
    for _ in 0..50 {
        fill(&mut producer);
        drop(fast.next(Patience::Now).unwrap().unwrap());
        assert!(doorbell.arm(&mut producer));
        assert!(!is_readable(&doorbell, Duration::ZERO), "nothing has happened yet");
        while fast.next(Patience::Now).unwrap().is_some() {}
        assert!(!is_readable(&doorbell, Duration::from_millis(2)), "rung by a consumer that is not in the way");
        drop(slow.next(Patience::Now).unwrap().unwrap());
        assert!(is_readable(&doorbell, LONG));
        producer.check_room().unwrap();
        producer.publish_with(Patience::Now, |_| ()).unwrap();
        while slow.next(Patience::Now).unwrap().is_some() {}
        while fast.next(Patience::Now).unwrap().is_some() {}
    }
}

#[test]
fn it_is_rung_for_room_for_as_much_as_there_was_none_for() {
    let _watchdog = watchdog();
    let place = Place::heap();
    let mut producer = SharedDisruptorBuilder::records(place.clone(), 4096).build_record_producer().unwrap();
    let mut consumer = SharedDisruptorBuilder::records(place, 0).build_record_consumer().unwrap();
    let mut doorbell = producer.room_doorbell().unwrap();
    while producer.publish(&[0; 100], 0, 0, Patience::Now).is_ok() {}
    assert!(producer.publish(&[1; 1000], 1, 0, Patience::Now).unwrap_err().is_full());
    let mut released = 0;
    while doorbell.arm(&mut producer) {
        drop(consumer.next(Patience::Now).unwrap().expect("there is no room, so there are records"));
        released += 1;
        assert!(is_readable(&doorbell, LONG));
    }
    assert!(released > 5, "one release makes no room for a long record");
    producer.publish(&[1; 1000], 1, 0, Patience::Now).unwrap();
}

#[test]
fn ten_thousand_publishes_into_a_full_ring_between_two_threads() {
    let _watchdog = watchdog();
    let (mut producer, mut consumer) = ends(&Place::heap());
    let mut doorbell = producer.room_doorbell().unwrap();
    let reader = std::thread::spawn(move || {
        let mut seen = vec![];
        while let Some(event) = consumer.next_or_end(Patience::Endless).unwrap() {
            (0..*event * 37 % 700).for_each(|_| std::hint::spin_loop());
            seen.push(*event);
        }
        seen
    });
    let mut waits = 0;
    for number in 0..10_000 {
        while producer.publish_with(Patience::Now, |event| *event = number).is_err() {
            if doorbell.arm(&mut producer) {
                waits += 1;
                assert!(is_readable(&doorbell, LONG));
            }
            producer.check_room().unwrap();
        }
    }
    drop(producer);
    assert!(reader.join().unwrap().into_iter().eq(0..10_000));
    assert!(waits > 0, "nothing was waited for");
}

#[test]
#[ignore = "runs as a victim"]
fn victim_that_consumes_nothing() {
    if !is_victim() {
        return;
    }
    let _consumer = attach_shared_consumer::<u64>(role().unwrap(), 4).with_consumer_id("v").build_consumer().unwrap();
    say("READY");
    wait_to_be_killed();
}

#[test]
fn it_is_rung_when_the_consumer_that_keeps_the_producer_back_is_killed() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let mut producer = SharedProducer::create(shm.name("r"), 4, || 0_u64).unwrap();
    let mut victim = Respawn::test(test_name!(victim_that_consumes_nothing)).role(shm.name("r")).spawn();
    victim.wait_line("READY");
    let mut doorbell = producer.room_doorbell().unwrap();
    fill(&mut producer);
    assert!(doorbell.arm(&mut producer));
    assert!(!is_readable(&doorbell, Duration::from_millis(120)), "a living consumer is no reason to ring");
    victim.kill_and_reap();
    assert!(is_readable(&doorbell, LONG));
    let PublishError::ConsumerDied { id, .. } = producer.check_room().unwrap_err() else { panic!("another end") };
    assert_eq!(id, "v");
    assert!(producer.evict_consumer("v").unwrap());
    assert!(!doorbell.arm(&mut producer), "there is room");
}

#[test]
fn it_is_rung_when_the_consumer_leaves_and_while_one_is_expected() {
    let _watchdog = watchdog();
    let (mut producer, consumer) = ends(&Place::heap());
    let mut doorbell = producer.room_doorbell().unwrap();
    fill(&mut producer);
    assert!(doorbell.arm(&mut producer));
    consumer.leave();
    assert!(is_readable(&doorbell, LONG));
    producer.publish_with(Patience::Now, |_| ()).unwrap();

    let place = Place::heap();
    let builder = build_shared_single_producer::<u64>(&place, 4).enable_discovery(2);
    let mode = disruptor_mp::CoordinationMode::BufferUntilConsumers { max_buffer: 4 };
    let mut producer = builder.with_coordination(mode).build_producer(|| 0).unwrap();
    let mut doorbell = producer.room_doorbell().unwrap();
    fill(&mut producer);
    let mut consumer = None;
    while doorbell.arm(&mut producer) {
        let place = place.clone();
        let joined = consumer.get_or_insert_with(|| attach_shared_consumer::<u64>(place, 4).build_consumer().unwrap());
        while joined.next(Patience::Now).unwrap().is_some() {}
        assert!(is_readable(&doorbell, LONG));
    }
    producer.publish_with(Patience::Until(in_ms(20_000)), |_| ()).unwrap();
}

#[test]
#[should_panic(expected = "the doorbell belongs to another producer")]
fn it_serves_its_own_producer_only() {
    let ((producer, _a), (mut other, _b)) = (ends(&Place::heap()), ends(&Place::heap()));
    producer.room_doorbell().unwrap().arm(&mut other);
}

#[test]
fn a_forked_child_does_not_wait_at_its_parents_doorbell() {
    let _watchdog = watchdog();
    let (mut producer, _consumer) = ends(&Place::heap());
    let mut doorbell = producer.room_doorbell().unwrap();
    fill(&mut producer);
    assert!(doorbell.arm(&mut producer));
    let mut child = testkit::fork::fork_then(|| i32::from(doorbell.arm(&mut producer)));
    assert!(child.wait_exit(LONG).success());
}
