//! A consumer may start before its producer.

use crate::stage::{PATIENCE, Subject, in_every_format, soon, watchdog};
use myelon::prelude::*;
use testkit::names::ShmGuard;

fn starts_first<F: Subject>(place: Place) {
    let builder = TransportBuilder::<F>::new(place.clone(), 0).with_consumer_id("w").attach_when_ready(PATIENCE);
    let waiter = std::thread::spawn(move || builder.build_consumer());
    let mut producer = TransportBuilder::<F>::new(place, F::DEPTH).build_producer().unwrap();
    producer.publish(b"first", 1).unwrap();
    let mut consumer = waiter.join().unwrap().unwrap();
    assert_eq!(consumer.receive_owned(Patience::Endless).unwrap().unwrap(), (1, b"first".to_vec()));
    consumer.leave();
}

#[test]
fn a_consumer_that_starts_first_gets_the_first_message() {
    in_every_format!(starts_first);
}

#[message]
struct Tick(u32);

#[message]
struct Tock(u64);

#[test]
fn a_typed_consumer_waits_for_its_type_and_is_refused_by_a_living_producer_of_another() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let name = shm.name("t");
    let builder = |patience: Patience| TransportBuilder::<Records>::new(name.as_str(), 0).attach_when_ready(patience);
    let late = TypedConsumer::<Tick>::build(builder(soon().into())).unwrap_err();
    assert!(late.is_timed_out(), "{late}");
    let waiting = builder(Patience::Endless);
    let waiter = std::thread::spawn(move || TypedConsumer::<Tick>::build(waiting));
    let mut producer = TypedProducer::<Tick>::create(name.as_str(), 4096).unwrap();
    producer.publish(&Tick(7), 0).unwrap();
    let mut consumer = waiter.join().unwrap().unwrap();
    assert_eq!(consumer.receive_owned(Patience::Endless).unwrap().unwrap().0.0, 7);
    let refused = TypedConsumer::<Tock>::build(builder(Patience::Endless)).unwrap_err();
    assert!(matches!(refused, TransportError::Build(MultiProcessError::IncompatibleContent { .. })), "{refused}");
}
