//! Taps of typed streams.

use crate::messages::{BincodeStep, RkyvStep, Step};
use crate::stage::BYTES;
use myelon::prelude::*;
use myelon::typed_transport::{TypedReceiveError, TypedTap};
use testkit::names::ShmGuard;
use testkit::watchdog::{PATIENCE, Watchdog};

#[message]
#[derive(Debug, PartialEq)]
struct Tick {
    number: u64,
    words: Vec<u32>,
}

fn tick(number: u64) -> Tick {
    Tick { number, words: (0..number as u32 % 50).collect() }
}

/// A type of the same name with another field.
mod other {
    #[myelon::message]
    pub(crate) struct Tick {
        pub(crate) number: u32,
        pub(crate) words: Vec<u32>,
    }
}

fn watchdog() -> Watchdog {
    Watchdog::new(2 * PATIENCE, "a tap of a typed stream")
}

#[test]
fn a_typed_tap_decodes_what_it_did_not_miss() {
    let (_watchdog, names) = (watchdog(), ShmGuard::new());
    let mut producer = TypedProducer::<Tick>::create(names.name("s"), 4096).unwrap();
    let mut tap = TypedTap::<Tick>::attach(names.name("s")).unwrap();
    for number in 0..2000 {
        producer.publish(&tick(number), number as u8).unwrap();
        // The tap is lapped now and then.
        if number % 300 < 200 {
            let copy = tap.next(Patience::Now).unwrap().expect("sent");
            assert_eq!((copy.decode().unwrap(), copy.kind()), (tick(copy.sequence() as u64), copy.sequence() as u8));
        }
    }
    drop(producer);
    let mut copied = tap.next_sequence() as u64 - tap.missed();
    while let Some(copy) = tap.next_or_end(Patience::Endless).unwrap() {
        assert_eq!(copy.decode().unwrap(), tick(copy.sequence() as u64));
        copied += 1;
    }
    assert_eq!((copied + tap.missed(), tap.skipped()), (2000, 0));
    assert!(tap.missed() > 0);
}

#[test]
fn a_typed_tap_of_another_type_is_refused_with_the_first_difference_and_the_sender_is_not_told() {
    let (_watchdog, names) = (watchdog(), ShmGuard::new());
    let producer = TypedProducer::<Tick>::create(names.name("s"), BYTES).unwrap();
    for builder in [
        TransportBuilder::at(names.name("s")),
        TransportBuilder::at(names.name("s")).attach_when_ready(Patience::Endless),
    ] {
        let refused = TypedTap::<other::Tick>::build(builder).unwrap_err();
        assert!(matches!(refused, TransportError::Build(MultiProcessError::IncompatibleContent { .. })), "{refused}");
        assert!(
            refused.to_string().contains("field `Tick.number` is u32 at position 0 here, but u64 at position 0 there"),
            "{refused}"
        );
    }
    assert!(producer.refusal(None).is_none(), "no consumer is missing");
    let refused = TypedTap::<RkyvStep>::attach(names.name("s")).unwrap_err();
    assert!(matches!(refused, TransportError::Build(MultiProcessError::IncompatibleContent { .. })), "{refused}");
}

#[test]
fn a_typed_tap_waits_for_a_living_sender_of_its_type() {
    let (_watchdog, names) = (watchdog(), ShmGuard::new());
    let builder = |patience: Patience| TransportBuilder::at(names.name("s")).attach_when_ready(patience);
    assert!(TypedTap::<Tick>::build(builder(Patience::Now)).unwrap_err().is_timed_out());
    let waiting = builder(Patience::Endless);
    let waiter = std::thread::spawn(move || TypedTap::<Tick>::build(waiting));
    let mut producer = TypedProducer::<Tick>::create(names.name("s"), BYTES).unwrap();
    let mut tap = waiter.join().unwrap().unwrap();
    producer.publish(&tick(7), 3).unwrap();
    assert_eq!(tap.receive_owned(Patience::Endless).unwrap(), Some((tick(7), 3)));
}

#[test]
fn bytes_of_no_type_are_an_error_once_and_the_tap_goes_on() {
    let (_watchdog, names) = (watchdog(), ShmGuard::new());
    let mut producer = TypedProducer::<BincodeStep>::create(names.name("s"), BYTES).unwrap();
    let mut tap = TypedTap::<BincodeStep>::attach(names.name("s")).unwrap();
    producer.send_raw(&[0xFF; 100], 4, Patience::Now).unwrap();
    producer.publish(&BincodeStep(Step { sequences: vec![] }), 5).unwrap();
    let broken = tap.receive_owned(Patience::Now).map(drop).unwrap_err();
    assert!(matches!(broken, TypedReceiveError::Undecodable { sequence: 0, kind: 4, .. }), "{broken}");
    assert_eq!(tap.receive_owned(Patience::Now).unwrap().expect("sent").1, 5);
}

#[test]
fn an_archive_is_viewed_in_the_copy() {
    let (_watchdog, names) = (watchdog(), ShmGuard::new());
    let mut producer = TypedProducer::<RkyvStep>::create(names.name("s"), BYTES).unwrap();
    let mut tap = TypedTap::<RkyvStep>::attach(names.name("s")).unwrap();
    producer.set_trace_id(Some([7; 16]));
    let sent = RkyvStep(Step::typical());
    producer.publish(&sent, 1).unwrap();
    let copy = tap.next(Patience::Now).unwrap().expect("sent");
    assert_eq!(copy.get().unwrap().0.sequences.len(), sent.0.sequences.len());
    assert_eq!(copy.trace_id(), Some([7; 16]));
}
