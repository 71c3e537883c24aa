//! What the ends of a ring count, and who can read it.

use crate::actor::Actor;
use crate::stage::{Forger, Step, TempDir, drain, eventually, everywhere, fill, join, publish, ring, step, watchdog};
use disruptor_mp::counters::ids;
use disruptor_mp::segment::Place;
use disruptor_mp::{CountersFile, RequiredConsumerLivenessConfig, WaitStrategy, attach_shared_consumer};
use std::collections::BTreeMap;
use std::time::Duration;
use testkit::names::ShmGuard;

/// The sum of every counter with that id.
fn count(file: &CountersFile, id: u32) -> u64 {
    file.snapshot().iter().filter(|counter| counter.id == id).map(|counter| counter.value).sum()
}

#[test]
fn what_a_ring_has_done_is_counted_in_events_and_bytes() {
    everywhere(|place| {
        let mut producer = ring(&place, 4).build_producer(step).unwrap();
        let mut consumer = join(&place, "w");
        publish(&mut producer, 3);
        assert_eq!(producer.publish_batch(1, |slot, _| slot.sequence = 3).unwrap(), 3);
        assert_eq!(fill(&mut producer), 0);
        assert_eq!(drain(&mut consumer).len(), 4);
        let tap = attach_shared_consumer::<Step>(place, 4).build_tap().unwrap();
        let file = tap.ring_counters();
        let bytes = 4 * size_of::<Step>() as u64;
        for (id, expected) in [
            (ids::EVENTS_PUBLISHED, 4),
            (ids::EVENTS_PUBLISHED_BYTES, bytes),
            (ids::PRODUCER_FULL_EVENTS, 1),
            (ids::EVENTS_CONSUMED, 4),
            (ids::EVENTS_CONSUMED_BYTES, bytes),
        ] {
            assert_eq!(count(&file, id), expected, "{id:#x}");
        }
        assert!(file.register(ids::APPLICATION_BASE, 0, "tap").is_none(), "a tap has the table read-only");
    });
}

#[test]
fn the_lag_of_a_consumer_that_is_far_behind_is_counted() {
    everywhere(|place| {
        let mut producer = ring(&place, 256).build_producer(step).unwrap();
        let mut consumer = attach_shared_consumer::<Step>(place, 0).with_consumer_id("w").build_consumer().unwrap();
        publish(&mut producer, 200);
        assert_eq!(drain(&mut consumer).len(), 200);
        // Close behind the producer it follows the events one by one; it looks how many there are when that goes on.
        let lag = count(&producer.ring_counters(), ids::CONSUMER_LAG_MAX);
        assert!((150..=200).contains(&lag), "{lag}");
    });
}

#[test]
fn every_counter_of_a_ring_is_moved_by_what_it_is_about() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let mut moved = BTreeMap::new();
    for file in [overwriting(&shm.name("a")), waiting(&shm.name("b")), dying(&shm.name("c"))].iter().flatten() {
        for counter in file.snapshot() {
            *moved.entry(counter.id).or_insert(0) += counter.value;
        }
    }
    // These say that something is wrong, and have tests of their own.
    let wrong = [ids::FORGED_CURSORS, ids::PRODUCER_LOST_WAKEUPS, ids::CONSUMER_LOST_WAKEUPS];
    let declared = (ids::EVENTS_PUBLISHED..=ids::PRODUCER_LOST_WAKEUPS).chain(ids::EVENTS_CONSUMED..=ids::TAP_MISSED);
    for id in declared {
        assert_eq!(moved[&id] > 0, !wrong.contains(&id), "{id:#x} in {moved:x?}");
    }
}

/// Nobody reads, and a tap cannot keep up.
fn overwriting(name: &str) -> [CountersFile; 2] {
    let mut producer = ring(&Place::from(name), 4).build_producer(step).unwrap();
    let mut tap = attach_shared_consumer::<Step>(name, 4).build_tap().unwrap();
    let own = CountersFile::boxed(1);
    tap.attach_counters(&own, "tap");
    publish(&mut producer, 20);
    tap.try_next().unwrap();
    assert_eq!(count(&own, ids::TAP_MISSED), tap.missed());
    [own, producer.ring_counters()]
}

/// Each end sleeps until the other one wakes it, and an alert is raised about one that is stopped.
fn waiting(name: &str) -> [CountersFile; 2] {
    let mut actor = Actor::new();
    let builder = ring(&Place::from(name), 1).with_wait_strategy(WaitStrategy::Block);
    let mut producer = builder.build_producer(step).unwrap();
    let config = RequiredConsumerLivenessConfig::new(["w"]).with_progress_timeout(Duration::from_millis(1));
    producer.enable_required_consumer_liveness(config).unwrap();
    actor.does(format!("attach {name} w block"));
    actor.begins("consume 1000000");
    let file = producer.ring_counters();
    let all = [ids::PRODUCER_UNPARK_COUNT, ids::PRODUCER_STALLS, ids::CONSUMER_UNPARK_COUNT];
    while !all.into_iter().all(|id| count(&file, id) > 0) {
        let (file, victim) = (&file, &mut actor.victim);
        victim.stop();
        std::thread::scope(|threads| {
            let parks = count(file, ids::PRODUCER_PARK_COUNT);
            threads.spawn(move || {
                eventually("a producer that sleeps", || count(file, ids::PRODUCER_PARK_COUNT) > parks);
                eventually("an alert", || count(file, ids::PRODUCER_STALLS) > 0);
                victim.cont();
            });
            for _ in 0..2 {
                let next = producer.last_published_sequence() + 1;
                producer.publish_managed(|slot| slot.sequence = next as u64).unwrap();
            }
        });
        let parks = count(file, ids::CONSUMER_PARK_COUNT);
        eventually("a consumer that sleeps", || count(file, ids::CONSUMER_PARK_COUNT) > parks);
    }
    [file, CountersFile::boxed(1)]
}

/// A dead producer without readers is replaced, one with readers succeeded; a reader comes back, and others do not.
fn dying(name: &str) -> [CountersFile; 2] {
    let (mut first, mut second) = (Actor::new(), Actor::new());
    first.does(format!("produce {name} 4"));
    first.dies();
    second.does(format!("produce {name} 4"));
    let mut watching = join(&Place::from(name), "watching");
    let mut worker = Actor::new();
    worker.does(format!("attach {name} w"));
    second.does("publish 1");
    worker.does("hold");
    second.dies();
    worker.dies();
    assert_eq!(drain(&mut watching), [0]);

    let mut producer = ring(&Place::from(name), 4).build_producer(step).unwrap();
    let (mut worker, mut anonymous) = (Actor::new(), Actor::new());
    worker.does(format!("attach {name} w"));
    worker.does("consume 1");
    anonymous.does(format!("attach {name} -"));
    worker.dies();
    anonymous.dies();
    assert_eq!(producer.check_peers().len(), 2);
    assert!(producer.evict_consumer("w").unwrap());
    [producer.ring_counters(), CountersFile::boxed(1)]
}

#[test]
fn counters_are_read_by_another_process_while_their_owner_is_stopped_and_when_it_is_dead() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let name = shm.name("a");
    let (mut producer, mut consumer) = (Actor::new(), Actor::new());
    producer.does(format!("produce {name} 8"));
    consumer.does(format!("attach {name} w"));
    producer.does("publish 7");
    consumer.does("consume 5");
    let attach = || attach_shared_consumer::<Step>(name.as_str(), 8).build_tap().unwrap();
    let read = |tap: &disruptor_mp::Tap<Step>| {
        let file = tap.ring_counters();
        let consumed = file.snapshot().into_iter().find(|counter| counter.id == ids::EVENTS_CONSUMED).unwrap();
        (count(&file, ids::EVENTS_PUBLISHED), consumed.value, consumed.label, consumed.owner_pid)
    };
    let expected = (7, 5, "w".to_owned(), consumer.pid());
    let early = attach();
    assert_eq!(read(&early), expected);
    producer.victim.stop();
    consumer.victim.stop();
    assert_eq!(read(&attach()), expected);
    producer.dies();
    consumer.dies();
    assert_eq!(read(&attach()), expected);
    assert_eq!(read(&early), expected);
}

#[test]
fn a_handle_outlives_the_ring_that_it_counts_in() {
    everywhere(|place| {
        let producer = ring(&place, 4).build_producer(step).unwrap();
        let consumer = join(&place, "w");
        let file = consumer.ring_counters();
        let handle = file.register(ids::APPLICATION_BASE, 0, "mine").unwrap();
        drop((producer, consumer, place.clone()));
        handle.add(3);
        assert_eq!(count(&file, ids::APPLICATION_BASE), 3);
        drop(file);
        handle.inc();
        assert_eq!(handle.get(), 4);
    });
}

#[test]
fn consumers_without_an_id_do_not_use_up_the_table_of_counters() {
    everywhere(|place| {
        let mut producer = ring(&place, 4).build_producer(step).unwrap();
        for round in 1..=200 {
            let mut consumer = attach_shared_consumer::<Step>(place.clone(), 4).build_consumer().unwrap();
            publish(&mut producer, 1);
            assert_eq!(drain(&mut consumer).len(), 1);
            assert_eq!(count(&producer.ring_counters(), ids::EVENTS_CONSUMED), round);
        }
    });
}

#[test]
fn every_consumer_of_a_full_table_has_its_counters() {
    everywhere(|place| {
        let mut producer = ring(&place, 4).enable_discovery(16).build_producer(step).unwrap();
        let mut consumers: Vec<_> = (0..16).map(|n| join(&place, &format!("w{n}"))).collect();
        publish(&mut producer, 1);
        for consumer in &mut consumers {
            assert_eq!(drain(consumer), [0]);
        }
        let consumed = producer.ring_counters().snapshot();
        assert_eq!(
            consumed.iter().filter(|counter| counter.id == ids::EVENTS_CONSUMED && counter.value == 1).count(),
            16
        );
        // And so has the application.
        assert!(producer.ring_counters().register(ids::APPLICATION_BASE, 0, "mine").is_some());
    });
}

#[test]
fn ends_count_where_they_are_told_to() {
    everywhere(|place| {
        let mut producer = ring(&place, 4).build_producer(step).unwrap();
        let mut consumer = join(&place, "w");
        let file = CountersFile::boxed(32);
        publish(&mut producer, 1);
        producer.attach_counters(&file);
        consumer.attach_counters(&file);
        publish(&mut producer, 2);
        assert_eq!(drain(&mut consumer).len(), 3);
        assert_eq!((count(&file, ids::EVENTS_PUBLISHED), count(&file, ids::EVENTS_CONSUMED)), (2, 3));
        assert_eq!(count(&producer.ring_counters(), ids::EVENTS_PUBLISHED), 1);
    });
}

#[test]
fn only_what_nobody_could_read_counts_as_overwritten_unread() {
    everywhere(|place| {
        let mut producer = ring(&place, 4).build_producer(step).unwrap();
        let mut consumer = join(&place, "w");
        for _ in 0..25 {
            publish(&mut producer, 4);
            assert_eq!(drain(&mut consumer).len(), 4);
        }
        drop(consumer);
        publish(&mut producer, 1);
        let unread = || count(&producer.ring_counters(), ids::OVERWRITTEN_UNREAD);
        assert_eq!(unread(), 0, "everything was read");
        publish(&mut producer, 40);
        let unread = count(&producer.ring_counters(), ids::OVERWRITTEN_UNREAD);
        // Counted when the producer looks, which is once a lap.
        assert!((29..=37).contains(&unread), "{unread} of 41");
    });
}

/// A wake that does not come: the position moves, and nobody rings.
#[test]
fn a_wake_that_a_producer_did_not_get_is_counted() {
    let (_watchdog, dir) = (watchdog(), TempDir::new());
    let path = dir.path().join("ring");
    let place = Place::from(path.as_path());
    let builder = ring(&place, 4).with_wait_strategy(WaitStrategy::Block);
    let mut producer = builder.build_producer(step).unwrap();
    let _consumer = join(&place, "w");
    let forger = Forger::new(&path, 4);
    publish(&mut producer, 4);
    let file = producer.ring_counters();
    let sleeper = std::thread::spawn(move || {
        let mut moves = 0;
        // A move of the position may meet the producer awake, which is no loss: again, until it met a sleeper.
        while count(&producer.ring_counters(), ids::PRODUCER_LOST_WAKEUPS) == 0 {
            producer.publish(|_| ()).unwrap();
            moves += 1;
        }
        moves
    });
    let mut position = 0;
    while !sleeper.is_finished() {
        let parks = count(&file, ids::PRODUCER_PARK_COUNT);
        while count(&file, ids::PRODUCER_PARK_COUNT) == parks && !sleeper.is_finished() {
            std::thread::yield_now();
        }
        if forger.position(0) == position && position < count(&file, ids::EVENTS_PUBLISHED) as i64 {
            position += 1;
            forger.set_position(0, position);
        }
    }
    assert!(sleeper.join().unwrap() > 0);
}

/// The same for a consumer: the stamp appears, and nobody rings.
#[test]
fn a_wake_that_a_consumer_did_not_get_is_counted() {
    let (_watchdog, dir) = (watchdog(), TempDir::new());
    let path = dir.path().join("ring");
    let place = Place::from(path.as_path());
    let _producer = ring(&place, 1 << 10).build_producer(step).unwrap();
    let builder = attach_shared_consumer::<Step>(place, 0).with_wait_strategy(WaitStrategy::Block);
    let mut consumer = builder.build_consumer().unwrap();
    let forger = Forger::new(&path, 1 << 10);
    let file = consumer.ring_counters();
    let sleeper = std::thread::spawn(move || {
        while count(&consumer.ring_counters(), ids::CONSUMER_LOST_WAKEUPS) == 0 {
            drop(consumer.consume_next_leased().unwrap());
            // Long after the event, the bell has still not been rung.
            std::thread::sleep(Duration::from_millis(15));
        }
    });
    let mut stamped = 0;
    while !sleeper.is_finished() {
        let parks = count(&file, ids::CONSUMER_PARK_COUNT);
        while count(&file, ids::CONSUMER_PARK_COUNT) == parks && !sleeper.is_finished() {
            std::thread::yield_now();
        }
        forger.set_stamp(stamped, stamped as i64 + 1);
        stamped += 1;
    }
    sleeper.join().unwrap();
}
