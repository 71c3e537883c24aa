//! The plain loop `while let Some(..) = ..?` ends without an error when the producer closes, and with an error when it
//! dies. *Not yet* and *never* are told apart by type.

use crate::stage::{PATIENCE, everywhere, in_ms, join, publish, ring};
use disruptor_mp::{
    ConsumeError, NoRoom, Patience, RecordConsumer, RecordError, SharedConsumer, SharedDisruptorBuilder,
    SharedProducer, attach_shared_consumer,
};
use testkit::names::ShmGuard;
use testkit::process::{Respawn, Victim, is_victim, role, say, wait_to_be_killed};
use testkit::test_name;
use testkit::watchdog::Watchdog;

fn events(consumer: &mut SharedConsumer<u64>) -> Result<Vec<u64>, ConsumeError> {
    let mut seen = vec![];
    while let Some(event) = consumer.next_or_end(Patience::Endless)? {
        seen.push(*event);
    }
    Ok(seen)
}

fn batches(consumer: &mut SharedConsumer<u64>) -> Result<Vec<u64>, ConsumeError> {
    let mut seen = vec![];
    while let Some(batch) = consumer.next_batch_or_end(2, Patience::Endless)? {
        seen.extend(batch.iter());
    }
    Ok(seen)
}

fn records(consumer: &mut RecordConsumer) -> Result<Vec<u64>, ConsumeError> {
    let mut seen = vec![];
    while let Some(record) = consumer.next_or_end(Patience::Endless)? {
        seen.push(u64::from_le_bytes(record[..].try_into().unwrap()));
    }
    Ok(seen)
}

#[test]
fn when_the_producer_closes_the_plain_loop_over_events_ends_after_each_was_seen_once() {
    everywhere(|place| {
        for read in [events, batches] {
            let mut producer = SharedProducer::create(place.clone(), 8, || 0_u64).unwrap();
            let mut consumer = attach_shared_consumer::<u64>(place.clone(), 0).build_consumer().unwrap();
            let reader = std::thread::spawn(move || read(&mut consumer));
            for number in 0..100 {
                producer.publish(|event| *event = number).unwrap();
            }
            drop(producer);
            assert_eq!(reader.join().unwrap().unwrap(), Vec::from_iter(0..100));
        }
    });
}

#[test]
fn when_the_producer_closes_the_plain_loop_over_records_ends_after_each_was_seen_once() {
    everywhere(|place| {
        let mut producer = SharedDisruptorBuilder::records(place.clone(), 4096).build_record_producer().unwrap();
        let mut consumer = SharedDisruptorBuilder::records(place.clone(), 0).build_record_consumer().unwrap();
        let reader = std::thread::spawn(move || records(&mut consumer));
        for number in 0..100_u64 {
            producer.publish(&number.to_le_bytes(), 0, 0, Patience::Endless).unwrap();
        }
        drop(producer);
        assert_eq!(reader.join().unwrap().unwrap(), Vec::from_iter(0..100));
    });
}

#[test]
#[ignore = "runs as a victim"]
fn victim_that_publishes_three() {
    if !is_victim() {
        return;
    }
    let role = role().unwrap();
    let (kind, name) = role.split_once(' ').unwrap();
    if kind == "events" {
        let mut producer = SharedProducer::create(name, 8, || 0_u64).unwrap();
        for number in 0..3 {
            producer.publish(|event| *event = number).unwrap();
        }
        say("READY");
        wait_to_be_killed();
    }
    let mut producer = SharedDisruptorBuilder::records(name, 4096).build_record_producer().unwrap();
    for number in 0..3_u64 {
        producer.publish(&number.to_le_bytes(), 0, 0, Patience::Endless).unwrap();
    }
    say("READY");
    wait_to_be_killed();
}

fn victim(kind: &str, name: &str) -> Victim {
    let mut victim = Respawn::test(test_name!(victim_that_publishes_three)).role(format!("{kind} {name}")).spawn();
    victim.wait_line("READY");
    victim
}

#[test]
fn when_the_producer_dies_the_plain_loop_over_events_ends_with_its_death() {
    let _watchdog = Watchdog::new(PATIENCE, "the plain loop");
    for read in [events, batches] {
        let shm = ShmGuard::new();
        let mut victim = victim("events", &shm.name("e"));
        let mut consumer = attach_shared_consumer::<u64>(shm.name("e"), 0).build_consumer().unwrap();
        victim.kill_and_reap();
        let error = read(&mut consumer).unwrap_err();
        assert!(error.is_peer_gone() && error.is_end() && !error.is_closed(), "{error}");
        assert_eq!(consumer.current_sequence(), 2, "everything before was delivered");
    }
}

#[test]
fn when_the_producer_dies_the_plain_loop_over_records_ends_with_its_death() {
    let _watchdog = Watchdog::new(PATIENCE, "the plain loop");
    let shm = ShmGuard::new();
    let mut victim = victim("records", &shm.name("r"));
    let mut consumer = SharedDisruptorBuilder::records(shm.name("r"), 0).build_record_consumer().unwrap();
    victim.kill_and_reap();
    let error = records(&mut consumer).unwrap_err();
    assert!(error.is_peer_gone() && error.is_end() && !error.is_closed(), "{error}");
    assert_eq!(consumer.current_sequence(), 2, "everything before was delivered");
}

#[test]
fn a_call_that_does_not_wait_tells_closed_from_nothing_yet() {
    everywhere(|place| {
        let mut producer = ring(&place, 4).build_producer(crate::stage::step).unwrap();
        let mut consumer = join(&place, "w");
        assert!(consumer.next(Patience::Now).unwrap().is_none(), "nothing yet");
        assert!(consumer.next_batch(3, Patience::Now).unwrap().is_none());
        assert!(consumer.next_or_end(Patience::Now).map(drop).unwrap_err().is_timed_out());
        assert!(consumer.next(Patience::Until(in_ms(1))).map(drop).unwrap_err().is_timed_out());
        assert!(consumer.wait_until_available(Patience::Now).unwrap_err().is_timed_out());
        publish(&mut producer, 1);
        drop(producer);
        assert_eq!(consumer.next(Patience::Now).unwrap().unwrap().sequence(), 0, "what was published comes first");
        assert!(consumer.next(Patience::Now).map(drop).unwrap_err().is_closed());
        assert!(consumer.next_batch(3, Patience::Now).map(drop).unwrap_err().is_closed());
        assert!(consumer.next_or_end(Patience::Now).unwrap().is_none());
        assert!(consumer.try_consume_next_leased().is_none());
    });
    everywhere(|place| {
        let mut producer = SharedDisruptorBuilder::records(place.clone(), 4096).build_record_producer().unwrap();
        let mut consumer = SharedDisruptorBuilder::records(place.clone(), 0).build_record_consumer().unwrap();
        assert!(consumer.next(Patience::Now).unwrap().is_none(), "nothing yet");
        assert!(consumer.next_or_end(Patience::Now).map(drop).unwrap_err().is_timed_out());
        producer.publish(b"last", 0, 0, Patience::Now).unwrap();
        drop(producer);
        assert_eq!(&consumer.next(Patience::Now).unwrap().unwrap()[..], b"last", "what was published comes first");
        assert!(consumer.next(Patience::Now).map(drop).unwrap_err().is_closed());
        assert!(consumer.next_or_end(Patience::Now).unwrap().is_none());
    });
}

#[test]
fn a_call_that_does_not_wait_tells_replaced_and_abandoned_from_nothing_yet() {
    let _watchdog = Watchdog::new(PATIENCE, "ends");
    let shm = ShmGuard::new();
    let producer = ring(&shm.name("r").into(), 4).build_producer(crate::stage::step).unwrap();
    let mut consumer = join(&shm.name("r").into(), "w");
    let dropped = std::thread::spawn(move || {
        let _producer = producer;
        std::panic::resume_unwind(Box::new("a panic that drops the producer"));
    });
    dropped.join().unwrap_err();
    assert!(consumer.next(Patience::Now).map(drop).unwrap_err().is_peer_gone());
    let _next = ring(&shm.name("r").into(), 4).replace().build_producer(crate::stage::step).unwrap();
    assert!(matches!(consumer.next(Patience::Now).map(drop), Err(ConsumeError::Replaced)));
}

#[test]
fn every_patience_publishes_with_the_general_form() {
    everywhere(|place| {
        let mut producer = ring(&place, 4).build_producer(crate::stage::step).unwrap();
        let mut consumer = join(&place, "w");
        let config = disruptor_mp::RequiredConsumerLivenessConfig::new(["w"]);
        producer.enable_required_consumer_liveness(config).unwrap();
        let until = in_ms(60_000);
        for patience in [Patience::Now, Patience::Until(until), Patience::Endless, Patience::ManagedUntil(until)] {
            producer.publish_batch_with(4, patience, |slot, index| slot.sequence = index as u64).unwrap();
            let batch = consumer.next_batch(9, patience).unwrap().unwrap();
            assert_eq!(batch.iter().map(|event| event.sequence).collect::<Vec<_>>(), [0, 1, 2, 3]);
        }
        producer.publish_batch_with(4, Patience::Now, |_, _| ()).unwrap();
        assert!(producer.publish_batch_with(1, Patience::Now, |_, _| ()).unwrap_err().is_full());
        assert!(producer.publish_with(Patience::Now, |_| ()).unwrap_err().is_full());
        assert!(producer.publish_with(Patience::Until(in_ms(1)), |_| ()).unwrap_err().is_timed_out());
        assert!(producer.publish_with(Patience::ManagedUntil(in_ms(1)), |_| ()).unwrap_err().is_timed_out());
        assert!(producer.wait_until_consumed(19, Patience::Now).unwrap_err().is_timed_out());
        assert!(matches!(producer.publish_batch_with(5, Patience::Endless, |_, _| ()), Err(NoRoom::Publish(_))));
        drop(consumer.next_batch(9, Patience::Now).unwrap());
        producer.wait_until_consumed(19, Patience::Endless).unwrap();
        assert!(producer.wait_for_consumer("w", Patience::Endless) && !producer.wait_for_consumer("x", Patience::Now));
        assert!(producer.wait_for_consumers(1, Patience::Endless) && !producer.wait_for_consumers(2, in_ms(1)));
    });
}

#[test]
fn a_full_ring_of_records_says_so() {
    let place = disruptor_mp::Place::heap();
    let mut producer = SharedDisruptorBuilder::records(place.clone(), 4096).build_record_producer().unwrap();
    let _consumer = SharedDisruptorBuilder::records(place, 0).build_record_consumer().unwrap();
    let full = loop {
        if let Err(error) = producer.publish(&[0; 500], 0, 0, Patience::Now) {
            break error;
        }
    };
    assert!(full.is_full() && !full.is_timed_out(), "{full}");
    let late = producer.claim(500, Patience::Until(in_ms(1))).map(drop).unwrap_err();
    assert!(late.is_timed_out() && !late.is_full(), "{late}");
    let never = producer.claim(1 << 20, Patience::Endless).map(drop).unwrap_err();
    assert!(matches!(never, RecordError::TooLarge { .. }) && !never.is_full() && !never.is_timed_out(), "{never}");
}
