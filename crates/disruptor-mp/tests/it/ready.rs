//! Attaching as soon as there is a ring of this program's events with a live producer, whichever side starts first.

use crate::stage::{PATIENCE, in_ms, join, ring, step};
use disruptor_mp::{
    ConsumeError, JoinError, MultiProcessError, Origin, Patience, SharedConsumer, SharedDisruptorBuilder,
    SharedProducer, StartAt, attach_shared_consumer,
};
use std::time::Duration;
use testkit::names::ShmGuard;
use testkit::process::{Respawn, Victim, is_victim, role, say, wait_to_be_killed};
use testkit::test_name;
use testkit::watchdog::Watchdog;

fn watchdog() -> Watchdog {
    Watchdog::new(2 * PATIENCE, "attaching when a ring is ready")
}

fn when_ready(name: &str, id: &str, patience: impl Into<Patience>) -> SharedDisruptorBuilder<u64> {
    attach_shared_consumer::<u64>(name, 0).with_consumer_id(id).attach_when_ready(patience)
}

fn error_of<T>(built: Result<T, MultiProcessError>) -> MultiProcessError {
    built.map(drop).unwrap_err()
}

#[test]
#[ignore = "runs as a victim"]
fn victim_with_an_end() {
    if !is_victim() {
        return;
    }
    let role = role().unwrap();
    let (part, name) = role.split_once(' ').unwrap();
    let _end: Box<dyn std::any::Any> = match part {
        "produce" => {
            let mut producer = SharedProducer::create(name, 8, || 0_u64).unwrap();
            producer.publish(|event| *event = 1).unwrap();
            Box::new(producer)
        }
        "produce-others" => Box::new(SharedProducer::create(name, 8, || 0_u32).unwrap()),
        "produce-records" => Box::new(SharedDisruptorBuilder::records(name, 4096).build_record_producer().unwrap()),
        "consume" => Box::new(attach_shared_consumer::<u64>(name, 8).with_consumer_id("w").build_consumer().unwrap()),
        other => panic!("{other}"),
    };
    say("READY");
    wait_to_be_killed();
}

fn victim(part: &str, name: &str) -> Victim {
    let mut victim = Respawn::test(test_name!(victim_with_an_end)).role(format!("{part} {name}")).spawn();
    victim.wait_line("READY");
    victim
}

/// Builds on a thread. When this returns, the thread has been waiting for a while and has looked several times.
fn begin(
    builder: SharedDisruptorBuilder<u64>,
) -> std::thread::JoinHandle<Result<SharedConsumer<u64>, MultiProcessError>> {
    let waiter = std::thread::spawn(move || builder.build_consumer());
    std::thread::sleep(Duration::from_millis(30));
    waiter
}

fn next(consumer: &mut SharedConsumer<u64>) -> u64 {
    *consumer.next(Patience::Until(in_ms(20_000))).unwrap().unwrap()
}

#[test]
fn a_consumer_that_starts_first_gets_the_first_event() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let waiter = begin(when_ready(&shm.name("r"), "w", PATIENCE));
    assert!(!waiter.is_finished(), "there is no ring");
    let mut producer = SharedProducer::create(shm.name("r"), 8, || 0_u64).unwrap();
    producer.publish(|event| *event = 7).unwrap();
    assert_eq!(next(&mut waiter.join().unwrap().unwrap()), 7);
}

#[test]
fn a_consumer_that_starts_second_is_attached_at_once() {
    let shm = ShmGuard::new();
    let _producer = SharedProducer::create(shm.name("r"), 8, || 0_u64).unwrap();
    for patience in [Patience::Now, Patience::Endless] {
        when_ready(&shm.name("r"), "w", patience).build_consumer().unwrap();
    }
}

#[test]
fn over_the_leftovers_of_a_system_that_was_killed_as_a_whole_it_waits_for_the_next_one() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let (mut producer, mut consumer) = (victim("produce", &shm.name("r")), victim("consume", &shm.name("r")));
    producer.kill_and_reap();
    consumer.kill_and_reap();
    let dead = error_of(when_ready(&shm.name("r"), "w", Patience::Now).build_consumer());
    assert!(dead.is_timed_out(), "{dead}");
    // The id of the one that died, and another.
    let (same, other) =
        (begin(when_ready(&shm.name("r"), "w", PATIENCE)), begin(when_ready(&shm.name("r"), "x", PATIENCE)));
    assert!(!same.is_finished() && !other.is_finished(), "a corpse was attached to");
    let mut next_one = SharedProducer::create(shm.name("r"), 8, || 0_u64).unwrap();
    assert_eq!(next_one.origin(), Origin::TookOver, "for what the one that was killed has not read");
    let (mut same, mut other) = (same.join().unwrap().unwrap(), other.join().unwrap().unwrap());
    assert!(same.has_rejoined() && !other.has_rejoined(), "it has an entry in the ring; the other one had none");
    next_one.publish(|event| *event = 7).unwrap();
    assert_eq!([next(&mut same), next(&mut same)], [1, 7]);
    assert_eq!([next(&mut other), next(&mut other)], [1, 7]);
}

#[test]
fn where_a_consumer_has_survived_it_waits_for_the_take_over() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let mut producer = victim("produce", &shm.name("r"));
    let _survivor = attach_shared_consumer::<u64>(shm.name("r"), 0).with_consumer_id("s").build_consumer().unwrap();
    producer.kill_and_reap();
    let waiter = begin(when_ready(&shm.name("r"), "w", PATIENCE).start_at(StartAt::Tail));
    assert!(!waiter.is_finished(), "the ring has no producer");
    let mut next_one = SharedProducer::create(shm.name("r"), 8, || 0_u64).unwrap();
    assert_eq!(next_one.origin(), Origin::TookOver);
    let mut consumer = waiter.join().unwrap().unwrap();
    next_one.publish(|event| *event = 9).unwrap();
    assert_eq!(next(&mut consumer), 9);
}

#[test]
fn leftovers_of_another_type_or_kind_are_waited_out_and_what_they_were_is_said() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    for part in ["produce-others", "produce-records"] {
        victim(part, &shm.name("r")).kill_and_reap();
        let error = error_of(when_ready(&shm.name("r"), "w", in_ms(10)).build_consumer());
        assert!(error.is_timed_out(), "{part}: {error}");
        let MultiProcessError::NotReadyInTime { source, .. } = &error else { panic!("{error}") };
        match &**source {
            MultiProcessError::NoProducer { difference: Some(difference), .. } if part == "produce-others" => {
                assert!(matches!(**difference, MultiProcessError::IncompatibleEvent { .. }), "{error}");
            }
            MultiProcessError::Unusable { .. } if part == "produce-records" => {}
            other => panic!("{part}: {other:?}"),
        }
        let waiter = begin(when_ready(&shm.name("r"), "w", PATIENCE));
        assert!(!waiter.is_finished());
        let producer = SharedProducer::create(shm.name("r"), 8, || 0_u64).unwrap();
        waiter.join().unwrap().unwrap();
        drop(producer);
    }
}

#[test]
fn what_a_living_producer_refuses_ends_the_wait_at_once() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let living = SharedProducer::create(shm.name("r"), 8, || 0_u32).unwrap();
    let error = error_of(when_ready(&shm.name("r"), "w", Patience::Endless).build_consumer());
    assert!(matches!(error, MultiProcessError::IncompatibleEvent { .. }), "{error}");
    drop(living);
    let living = SharedDisruptorBuilder::records(shm.name("r"), 4096).build_record_producer().unwrap();
    let error = error_of(when_ready(&shm.name("r"), "w", Patience::Endless).build_consumer());
    assert!(matches!(error, MultiProcessError::Unusable { .. }), "{error}");
    drop(living);
    let tagged = ring(&shm.name("r").into(), 8).with_content_tag("mine").build_producer(step).unwrap();
    let other = ring(&shm.name("r").into(), 0).with_content_tag("yours").attach_when_ready(Patience::Endless);
    assert!(matches!(error_of(other.build_consumer()), MultiProcessError::IncompatibleContent { .. }));
    let _first = join(&shm.name("r").into(), "w");
    let second = ring(&shm.name("r").into(), 0).with_consumer_id("w").attach_when_ready(Patience::Endless);
    let error = error_of(second.build_consumer());
    assert!(matches!(error, MultiProcessError::Join { source: JoinError::IdInUse { .. }, .. }), "{error}");
    drop(tagged);
}

#[test]
fn what_was_waited_for_is_said_when_it_gives_up() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let name = shm.name("r");
    // This test does not check how long it took.
    let says = |error: &MultiProcessError, what: &str| {
        let text = error.to_string();
        text.starts_with(&format!("there was nothing to attach to at shm:{name} within ")) && text.contains(what)
    };
    let error = error_of(when_ready(&name, "w", in_ms(1)).build_consumer());
    assert!(says(&error, "s: there is no ring; start its producer, or wait longer"), "{error}");

    let mut producer = victim("produce-others", &name);
    let pid = producer.pid();
    producer.kill_and_reap();
    let error = error_of(when_ready(&name, "w", in_ms(1)).build_consumer());
    let left = format!(
        "s: the ring at shm:{name} has no producer: process {pid} died; start the producer again; besides, shm:{name} holds other events: "
    );
    assert!(says(&error, &left), "{error}");
    disruptor_mp::gc(&*name).unwrap();
}

#[test]
fn a_producer_that_closes_while_it_is_looked_at_is_waited_out() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    for _ in 0..200 {
        let producer = SharedProducer::create(shm.name("r"), 8, || 0_u64).unwrap();
        let closer = std::thread::spawn(move || drop(producer));
        match when_ready(&shm.name("r"), "w", Patience::Now).build_consumer() {
            // The producer was there, and has closed since.
            Ok(mut consumer) => {
                let end = consumer.next(Patience::Endless).map(drop).unwrap_err();
                assert!(matches!(end, ConsumeError::Closed), "{end}");
            }
            Err(error) => assert!(error.is_timed_out(), "{error}"),
        }
        closer.join().unwrap();
    }
    shm.assert_nothing_left();
}

#[test]
fn records_are_attached_to_when_they_are_ready() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let builder = SharedDisruptorBuilder::records(shm.name("r"), 0).attach_when_ready(PATIENCE);
    let waiter = std::thread::spawn(move || builder.build_record_consumer());
    let mut producer = SharedDisruptorBuilder::records(shm.name("r"), 4096).build_record_producer().unwrap();
    producer.publish(b"first", 0, 0, Patience::Now).unwrap();
    let mut consumer = waiter.join().unwrap().unwrap();
    assert_eq!(&consumer.next(Patience::Endless).unwrap().unwrap()[..], b"first");
}

#[test]
fn taps_wait_for_a_living_producer_as_consumers_do() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let name = shm.name("r");
    let events = || attach_shared_consumer::<u64>(&name, 0);
    let records = || SharedDisruptorBuilder::records_at(&name);
    // There is nothing.
    let nothing = error_of(events().attach_when_ready(Patience::Now).build_tap());
    assert!(matches!(nothing, MultiProcessError::NotReadyInTime { .. }), "{nothing}");
    let nothing = error_of(records().attach_when_ready(Patience::Now).build_tap());
    assert!(matches!(nothing, MultiProcessError::NotReadyInTime { .. }), "{nothing}");
    // The ring of a producer that was killed.
    victim("produce", &name).kill_and_reap();
    let dead = error_of(events().attach_when_ready(Patience::Now).build_tap());
    assert!(dead.is_timed_out() && dead.to_string().ends_with("died; start the producer again"), "{dead}");
    let waiting = events().attach_when_ready(PATIENCE);
    let waiter = std::thread::spawn(move || waiting.build_tap());
    let mut producer = SharedProducer::create(name.as_str(), 8, || 0_u64).unwrap();
    let mut tap = waiter.join().unwrap().unwrap();
    producer.publish(|event| *event = 7).unwrap();
    assert_eq!(tap.next(Patience::Until(in_ms(20_000))).unwrap(), (0, 7));
    // A situation that will not change ends the wait at once.
    let other = error_of(records().attach_when_ready(Patience::Endless).build_tap());
    assert!(matches!(other, MultiProcessError::Unusable { .. }), "{other}");
    drop(producer);
    let waiting = records().attach_when_ready(PATIENCE);
    let waiter = std::thread::spawn(move || waiting.build_tap());
    let mut producer = SharedDisruptorBuilder::records(&name, 4096).build_record_producer().unwrap();
    let mut tap = waiter.join().unwrap().unwrap();
    producer.publish(b"seven", 1, 0, Patience::Now).unwrap();
    assert_eq!(&tap.next(Patience::Until(in_ms(20_000))).unwrap().unwrap()[..], b"seven");
}

#[test]
fn a_tap_of_another_content_tag_is_refused() {
    let shm = ShmGuard::new();
    let (events, records) = (shm.name("e"), shm.name("r"));
    let steps = |builder: SharedDisruptorBuilder<u64>| builder.with_content_tag("steps/1");
    let _events = steps(SharedDisruptorBuilder::new(&events, 8)).build_producer(|| 0).unwrap();
    let _records =
        SharedDisruptorBuilder::records(&records, 4096).with_content_tag("steps/1").build_record_producer().unwrap();
    for (tag, is_ours) in [("steps/1", true), ("steps/2", false), ("", false)] {
        for ready in [None, Some(Patience::Endless)] {
            let mut of_events = attach_shared_consumer::<u64>(&events, 0).with_content_tag(tag);
            let mut of_records = SharedDisruptorBuilder::records_at(&records).with_content_tag(tag);
            if let Some(patience) = ready {
                (of_events, of_records) =
                    (of_events.attach_when_ready(patience), of_records.attach_when_ready(patience));
            }
            for built in [of_events.build_tap().map(drop), of_records.build_tap().map(drop)] {
                match built {
                    Ok(()) => assert!(is_ours, "a tap of `{tag}` watches steps/1"),
                    Err(MultiProcessError::IncompatibleContent { .. }) => assert_eq!(tag, "steps/2"),
                    Err(MultiProcessError::InvalidContentTag { .. }) => assert_eq!(tag, ""),
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }
    attach_shared_consumer::<u64>(&events, 0).build_tap().expect("a tap without a tag does not ask");
}
