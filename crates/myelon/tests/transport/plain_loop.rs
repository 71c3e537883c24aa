//! The simplest loop, `while let Some(message) = ..?`, ends without an error if the sender closes, and with one if it
//! dies.

use crate::stage::{Small, Subject, in_every_format, pair, watchdog};
use myelon::prelude::*;
use testkit::names::ShmGuard;
use testkit::process::{Respawn, is_victim, role, say, wait_to_be_killed};
use testkit::test_name;

/// The environment variable that tells a victim its ring.
const RING: &str = "TRANSPORT_PLAIN_LOOP_RING";

fn kinds<F: Format>(consumer: &mut FramedTransportConsumer<F>) -> TransportResult<Vec<u8>> {
    let mut seen = vec![];
    while let Some(message) = consumer.next_or_end(Patience::Endless)? {
        seen.push(message.kind());
    }
    Ok(seen)
}

fn owned_kinds<F: Format>(consumer: &mut FramedTransportConsumer<F>) -> TransportResult<Vec<u8>> {
    let mut seen = vec![];
    while let Some((kind, _)) = consumer.receive_owned_or_end(Patience::Endless)? {
        seen.push(kind);
    }
    Ok(seen)
}

fn ends_without_an_error<F: Subject>(place: Place) {
    for read in [kinds, owned_kinds] {
        let (mut producer, mut consumer) = pair::<F>(&place);
        let reader = std::thread::spawn(move || read(&mut consumer));
        for kind in 0..100 {
            producer.publish(&[kind; 50], kind).unwrap();
        }
        drop(producer);
        assert_eq!(reader.join().unwrap().unwrap(), Vec::from_iter(0..100));
    }
}

#[test]
fn when_the_sender_closes_the_plain_loop_ends_after_each_message_was_seen_once() {
    in_every_format!(ends_without_an_error);
}

fn tells_closed_from_nothing_yet<F: Subject>(place: Place) {
    let (mut producer, mut consumer) = pair::<F>(&place);
    assert!(consumer.next(Patience::Now).unwrap().is_none(), "nothing yet");
    assert!(consumer.next_or_end(Patience::Now).map(drop).unwrap_err().is_timed_out());
    assert_eq!(consumer.process_available(|_| ()).unwrap(), 0);
    while producer.try_publish(&[1; 20], 1).is_ok() {}
    let full = producer.try_publish(&[1; 20], 1).unwrap_err();
    assert!(full.is_full() && !full.is_timed_out(), "{full}");
    drop(producer);
    assert!(consumer.process_available(|_| ()).unwrap() > 0, "what was sent comes first");
    assert!(consumer.process_available(|_| ()).unwrap_err().is_closed());
    assert!(consumer.next(Patience::Now).map(drop).unwrap_err().is_closed());
    assert!(consumer.next_or_end(Patience::Now).unwrap().is_none());
}

#[test]
fn a_call_that_does_not_wait_tells_closed_from_nothing_yet() {
    in_every_format!(tells_closed_from_nothing_yet);
}

#[test]
#[ignore = "runs as a victim"]
fn victim_that_sends_three() {
    if !is_victim() {
        return;
    }
    let name = std::env::var(RING).unwrap();
    match role().as_deref() {
        Some("records") => send_three::<Records>(&name),
        _ => send_three::<Small>(&name),
    }
}

fn send_three<F: Subject>(name: &str) {
    let mut producer = FramedTransportProducer::<F>::create(name, F::DEPTH).unwrap();
    for kind in 0..3 {
        producer.publish(b"a message", kind).unwrap();
    }
    say("READY");
    wait_to_be_killed();
}

fn ends_with_the_death<F: Subject>(format: &str) {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let name = shm.name("s");
    let mut victim = Respawn::test(test_name!(victim_that_sends_three)).role(format).env(RING, &name).spawn();
    victim.wait_line("READY");
    let mut consumer: FramedTransportConsumer<F> = TransportBuilder::new(name.as_str(), 0).build_consumer().unwrap();
    victim.kill_and_reap();
    let error = kinds(&mut consumer).unwrap_err();
    assert!(error.is_peer_gone() && error.is_end() && !error.is_closed(), "{error}");
    assert_eq!(consumer.producer_sequence(), consumer.current_sequence(), "everything before was delivered");
}

#[test]
fn when_the_sender_dies_the_plain_loop_ends_with_its_death() {
    ends_with_the_death::<Records>("records");
    ends_with_the_death::<Small>("frames");
}
