//! Senders and receivers that are killed: messages are whole or absent, and unacknowledged ones come again.
//!
//! Kills at every single store of a group are in `disruptor-mp`, `src/kill`.

use crate::stage::{DEPTH, Small, Subject, payload, watchdog};
use myelon::transport::{FramedTransportConsumer, FramedTransportProducer, Records, TransportBuilder, TransportError};
use myelon::{ConsumeError, Origin, Patience, StartAt};
use testkit::names::ShmGuard;
use testkit::process::{Respawn, Victim, is_victim, role, say, wait_to_be_killed};
use testkit::test_name;

/// The environment variable that tells a victim its ring.
const RING: &str = "TRANSPORT_TEST_RING";

/// How many senders are killed, each at another point.
const KILLS: usize = 12;

fn build<F: Subject>(name: &str) -> FramedTransportProducer<F> {
    TransportBuilder::new(name, F::DEPTH).build_producer().unwrap()
}

/// The content of message `number` of a sender: its number, and mostly more than one frame or line.
pub(crate) fn message(author: u32, number: usize) -> Vec<u8> {
    [&number.to_le_bytes()[..], &payload(number * 7 % 240, author as usize + number)].concat()
}

/// The number in a message.
pub(crate) fn number_of(message: &[u8]) -> usize {
    usize::from_le_bytes(*message.first_chunk().expect("a message begins with its number"))
}

#[test]
#[ignore = "runs as a victim"]
fn victim_that_sends() {
    if !is_victim() {
        return;
    }
    let name = std::env::var(RING).unwrap();
    match role().as_deref() {
        Some("records") => send_for_ever::<Records>(&name),
        _ => send_for_ever::<Small>(&name),
    }
}

/// A process that sends messages in that format into the ring `name` until it is killed.
pub(crate) fn sender(format: &str, name: &str) -> Victim {
    let mut victim = Respawn::test(test_name!(victim_that_sends)).role(format).env(RING, name).spawn();
    victim.wait_line("READY");
    victim
}

fn send_for_ever<F: Subject>(name: &str) {
    let mut producer = build::<F>(name);
    say("READY");
    for number in 0.. {
        producer.publish(&message(std::process::id(), number), number as u8).unwrap();
    }
}

#[test]
fn a_sender_of_frames_that_is_killed_leaves_whole_messages_and_its_successor_goes_on() {
    kill_senders::<Small>("frames");
}

#[test]
fn a_sender_of_records_that_is_killed_leaves_whole_messages_and_its_successor_goes_on() {
    kill_senders::<Records>("records");
}

fn kill_senders<F: Subject>(format: &str) {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let name = shm.name("s");
    let mut consumer: Option<FramedTransportConsumer<F>> = None;
    for kill in 0..KILLS {
        let mut victim = sender(format, &name);
        let author = victim.pid();
        // The first consumer joins at the tail, where a message begins: the oldest frame that is certain to stay may be
        // inside a message. The others are there from the first message on.
        let mut next = consumer.is_some().then_some(0);
        let consumer = consumer.get_or_insert_with(|| {
            TransportBuilder::new(name.as_str(), F::DEPTH).start_at(StartAt::Tail).build_consumer().unwrap()
        });
        let mut received = 0;
        let end = loop {
            if received == 100 + 37 * kill {
                victim.kill_and_reap();
            }
            match consumer.next(Patience::Endless) {
                Ok(Some(received)) => {
                    let number = *next.get_or_insert(number_of(&received));
                    assert!(received[..] == message(author, number), "message {number} is another one");
                    assert_eq!(received.kind(), number as u8);
                    next = Some(number + 1);
                }
                Ok(None) => unreachable!("waits"),
                Err(error) => break error,
            }
            received += 1;
        };
        assert!(matches!(end, TransportError::Consume(ConsumeError::ProducerDied { .. })), "{end}");
        assert_eq!(consumer.skipped(), 0);
    }
    let mut producer = build::<F>(&name);
    assert_eq!(producer.origin(), Origin::TookOver);
    producer.publish(b"the last one", 1).unwrap();
    let mut consumer = consumer.unwrap();
    assert_eq!(consumer.receive_owned(Patience::Endless).unwrap(), Some((1, b"the last one".to_vec())));
    drop((producer, consumer));
    shm.assert_nothing_left();
}

#[test]
#[ignore = "runs as a victim"]
fn victim_that_receives() {
    if !is_victim() {
        return;
    }
    let mut consumer: FramedTransportConsumer<Small> =
        TransportBuilder::new(std::env::var(RING).unwrap(), DEPTH).with_consumer_id("w").build_consumer().unwrap();
    say("READY");
    drop(consumer.next(Patience::Endless).unwrap());
    let held = consumer.next(Patience::Endless).unwrap().unwrap();
    say(&format!("HOLDS {}", held.len()));
    wait_to_be_killed();
}

#[test]
fn a_killed_receiver_gets_its_message_again_marked() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let name = shm.name("r");
    let mut producer = build::<Small>(&name);
    let mut victim = Respawn::test(test_name!(victim_that_receives)).env(RING, &name).spawn();
    victim.wait_line("READY");
    for (seed, size) in [30, 200, 10].into_iter().enumerate() {
        producer.publish(&payload(size, seed), seed as u8).unwrap();
    }
    victim.wait_line("HOLDS 200");
    victim.kill_and_reap();

    let mut consumer: FramedTransportConsumer<Small> =
        TransportBuilder::new(name.as_str(), DEPTH).with_consumer_id("w").build_consumer().unwrap();
    assert!(consumer.has_rejoined());
    let again = consumer.next(Patience::Now).unwrap().unwrap();
    assert_eq!((&again[..], again.kind(), again.redeliveries()), (&payload(200, 1)[..], 1, 1));
    drop(again);
    let fresh = consumer.next(Patience::Now).unwrap().unwrap();
    assert_eq!((&fresh[..], fresh.is_redelivered()), (&payload(10, 2)[..], false));
    drop(fresh);
    drop((producer, consumer));
    shm.assert_nothing_left();
}
