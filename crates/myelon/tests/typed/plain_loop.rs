//! The simplest loop, `while let Some(message) = ..?`, ends without an error if the sender closes, and with one if it
//! dies.

use crate::stage::{BYTES, Frame, Stream};
use myelon::prelude::*;
use testkit::names::ShmGuard;
use testkit::process::{Respawn, is_victim, role, say, wait_to_be_killed};
use testkit::test_name;

#[message]
struct Tick(u32);

fn in_place<F: Format>(consumer: &mut TypedConsumer<Tick, F>) -> Result<Vec<u32>, Box<dyn std::error::Error>> {
    let mut seen = vec![];
    while let Some(message) = consumer.next_or_end(Patience::Endless)? {
        seen.push(message.decode()?.0);
    }
    Ok(seen)
}

fn owned<F: Format>(consumer: &mut TypedConsumer<Tick, F>) -> Result<Vec<u32>, Box<dyn std::error::Error>> {
    let mut seen = vec![];
    while let Some((Tick(number), _kind)) = consumer.receive_owned_or_end(Patience::Endless)? {
        seen.push(number);
    }
    Ok(seen)
}

fn ends_without_an_error<F: Format>(depth: usize) {
    for read in [in_place, owned] {
        let Stream { guards, mut producer, mut consumer } = Stream::<Tick, F>::of_depth(depth);
        let reader = std::thread::spawn(move || read(&mut consumer).map_err(|error| error.to_string()));
        for number in 0..100 {
            producer.publish(&Tick(number), 0).unwrap();
        }
        drop(producer);
        assert_eq!(reader.join().unwrap().unwrap(), Vec::from_iter(0..100));
        drop(guards);
    }
}

#[test]
fn when_the_sender_closes_the_plain_loop_ends_after_each_message_was_seen_once() {
    ends_without_an_error::<Records>(BYTES);
    ends_without_an_error::<Frame>(16);
}

#[test]
fn a_call_that_does_not_wait_tells_closed_from_nothing_yet() {
    let Stream { guards: _guards, mut producer, mut consumer } = Stream::<Tick, Records>::of_depth(4096);
    assert!(consumer.next(Patience::Now).unwrap().is_none(), "nothing yet");
    assert!(consumer.next_or_end(Patience::Now).map(drop).unwrap_err().is_timed_out());
    while producer.try_publish(&Tick(1), 0).is_ok() {}
    let full = producer.try_publish(&Tick(1), 0).unwrap_err();
    assert!(full.is_full() && !full.is_timed_out(), "{full}");
    drop(producer);
    assert!(consumer.process_available(|_| ()).unwrap() > 0, "what was sent comes first");
    assert!(consumer.process_available(|_| ()).unwrap_err().is_closed());
    assert!(consumer.next(Patience::Now).map(drop).unwrap_err().is_closed());
    assert!(consumer.next_or_end(Patience::Now).unwrap().is_none());
}

#[test]
#[ignore = "runs as a victim"]
fn victim_that_sends_three() {
    if !is_victim() {
        return;
    }
    let mut producer = TypedProducer::<Tick>::create(role().unwrap(), BYTES).unwrap();
    for number in 0..3 {
        producer.publish(&Tick(number), 0).unwrap();
    }
    say("READY");
    wait_to_be_killed();
}

#[test]
fn when_the_sender_dies_the_plain_loop_ends_with_its_death() {
    let names = ShmGuard::new();
    let name = names.name("s");
    let mut victim = Respawn::test(test_name!(victim_that_sends_three)).role(&name).spawn();
    victim.wait_line("READY");
    let mut consumer = TypedConsumer::<Tick>::attach(&name, 0, MyelonWaitStrategy::Adaptive).unwrap();
    victim.kill_and_reap();
    let error = in_place(&mut consumer).unwrap_err();
    let error = error.downcast::<TypedReceiveError>().unwrap();
    assert!(error.is_peer_gone() && error.is_end() && !error.is_closed(), "{error}");
    assert_eq!(consumer.current_sequence(), 2, "everything before was delivered");
}
