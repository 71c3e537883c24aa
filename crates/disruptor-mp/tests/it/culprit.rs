//! One event ends every process that handles it. The application skips an event that has ended three processes, and no
//! other.
//!
//! Each victim reads in another way.

use crate::stage::{Step, publish, ring, step, watchdog};
use disruptor_mp::segment::Place;
use disruptor_mp::{Patience, RecordConsumer, SharedConsumer, SharedDisruptorBuilder, attach_shared_consumer};
use testkit::names::ShmGuard;
use testkit::process::{Respawn, is_victim, role, say, wait_to_be_killed};
use testkit::test_name;

/// The environment variable with a victim's ring.
const RING: &str = "CULPRIT_TEST_RING";

/// How many events there are, and which of them ends the process that handles it.
const EVENTS: i64 = 10;
const CULPRIT: i64 = 5;

/// How many events a batch has. The culprit is in the first.
const BATCH: usize = 8;

/// Handles an event, or skips one that was handed out three times.
fn handle(sequence: i64, redeliveries: u32) {
    if redeliveries >= 3 {
        say(&format!("SKIPPED {sequence}"));
    } else if sequence == CULPRIT {
        say(&format!("DIES {sequence} {redeliveries}"));
        wait_to_be_killed();
    } else {
        say(&format!("HANDLED {sequence} {redeliveries}"));
    }
}

/// Reads the published events in one way.
fn read(consumer: &mut SharedConsumer<Step>, way: &str) {
    match way {
        "one by one" => {
            let lease = consumer.try_consume_next_leased().unwrap();
            handle(lease.sequence(), lease.redeliveries());
        }
        "batches" => {
            let batch = consumer.try_consume_batch_leased(BATCH).unwrap();
            for index in 0..batch.len() {
                handle(batch.first_sequence() + index as i64, batch.redeliveries(index));
            }
        }
        "batches in two parts" => {
            let batch = consumer.try_consume_batch_leased(BATCH).unwrap();
            let part = batch.len().min(3);
            for index in 0..part {
                handle(batch.first_sequence() + index as i64, batch.redeliveries(index));
            }
            batch.release_first(part);
        }
        "one by one, after a look" => {
            consumer.try_consume_next_leased().unwrap().release_unread();
            let lease = consumer.try_consume_next_leased().unwrap();
            handle(lease.sequence(), lease.redeliveries());
        }
        "a handler" => {
            // A batch does not say how often; so the application looks at the first event before.
            let lease = consumer.try_consume_next_leased().unwrap();
            if lease.redeliveries() >= 3 {
                return handle(lease.sequence(), lease.redeliveries());
            }
            lease.release_unread();
            consumer.process_available(|_, sequence| handle(sequence, 0));
        }
        _ => unreachable!("there is no way called {way}"),
    }
}

/// The same for records.
fn read_records(consumer: &mut RecordConsumer, way: &str) {
    match way {
        "records one by one" => {
            let lease = consumer.next(Patience::Now).unwrap().unwrap();
            handle(lease.sequence(), lease.redeliveries());
        }
        "records one by one, after a look" => {
            consumer.next(Patience::Now).unwrap().unwrap().release_unread();
            let lease = consumer.next(Patience::Now).unwrap().unwrap();
            handle(lease.sequence(), lease.redeliveries());
        }
        "a handler of records" => {
            consumer.process_available(|_, meta| handle(meta.sequence, meta.redeliveries));
        }
        _ => unreachable!("there is no way called {way}"),
    }
}

#[test]
#[ignore = "runs as a victim"]
fn victim_that_handles() {
    if !is_victim() {
        return;
    }
    let (ring, way) = (std::env::var(RING).unwrap(), role().unwrap());
    if way.contains("records") {
        let builder = SharedDisruptorBuilder::records(ring.as_str(), 0).with_consumer_id("w");
        let mut consumer = builder.build_record_consumer().unwrap();
        say("READY");
        while consumer.current_sequence() < EVENTS - 1 && consumer.wait_until_available(None).is_ok() {
            read_records(&mut consumer, &way);
        }
    } else {
        let mut consumer =
            attach_shared_consumer::<Step>(ring.as_str(), 0).with_consumer_id("w").build_consumer().unwrap();
        say("READY");
        while consumer.current_sequence() < EVENTS - 1 && consumer.wait_until_available(None).is_ok() {
            read(&mut consumer, &way);
        }
    }
    say("END");
}

/// The lines that the victims print until one reaches the end. A victim that handles the culprit is killed there.
/// `publish` is called when the first has joined.
fn story(ring: &str, way: &str, publish: impl FnOnce()) -> Vec<String> {
    let mut publish = Some(publish);
    let mut told = vec![];
    for _ in 0..8 {
        let mut victim = Respawn::test(test_name!(victim_that_handles)).role(way).env(RING, ring).spawn();
        victim.wait_line("READY");
        if let Some(publish) = publish.take() {
            publish();
        }
        loop {
            let line = victim.wait_line("");
            let is_last = line == "END";
            let dies = line.starts_with("DIES");
            if ["HANDLED", "SKIPPED", "DIES", "END"].iter().any(|word| line.starts_with(word)) {
                told.push(line);
            }
            if is_last {
                return told;
            }
            if dies {
                victim.kill_and_reap();
                break;
            }
        }
    }
    panic!("no victim comes to the end: {told:?}");
}

/// Only the culprit is skipped, after three deaths. The first victim that reaches the other events of its batch handles
/// them.
fn only_the_culprit_is_stepped_over(told: &[String], way: &str) {
    let of = |word: &str| told.iter().filter(|line| line.starts_with(word)).cloned().collect::<Vec<_>>();
    assert_eq!(of("SKIPPED"), ["SKIPPED 5"], "{way}: {told:?}");
    assert_eq!(of("DIES").len(), 3, "{way}: {told:?}");
    for sequence in (0..EVENTS).filter(|sequence| *sequence != CULPRIT) {
        let handled = of(&format!("HANDLED {sequence} "));
        // One time more if a batch was lost at the first death, which any event of it may have caused.
        assert!([1, 2].contains(&handled.len()), "{way}: {told:?}");
        let highest = handled.iter().map(|line| line.rsplit(' ').next().unwrap().parse::<u32>().unwrap()).max();
        assert!(highest <= Some(1), "the count of innocent event {sequence} grew, {way}: {told:?}");
    }
}

#[test]
fn after_three_deaths_only_the_event_that_was_being_handled_is_stepped_over() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let ways = ["one by one", "batches", "a handler", "batches in two parts", "one by one, after a look"];
    for (number, way) in ways.into_iter().enumerate() {
        let name = shm.name(&format!("e{number}"));
        let mut producer = ring(&Place::from(name.clone()), 16).build_producer(step).unwrap();
        let told = story(&name, way, || publish(&mut producer, EVENTS as usize));
        only_the_culprit_is_stepped_over(&told, way);
    }
}

#[test]
fn after_three_deaths_only_the_record_that_was_being_handled_is_stepped_over() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let ways = ["records one by one", "a handler of records", "records one by one, after a look"];
    for (number, way) in ways.into_iter().enumerate() {
        let name = shm.name(&format!("r{number}"));
        let mut producer = SharedDisruptorBuilder::records(name.as_str(), 8192).build_record_producer().unwrap();
        let told = story(&name, way, || {
            for number in 0..EVENTS {
                producer.publish(&vec![number as u8; 20 + 50 * number as usize], 0, 0, Patience::Now).unwrap();
            }
        });
        only_the_culprit_is_stepped_over(&told, way);
    }
}
