//! A consumer's entry stays its own until it leaves or has read to the end: dropping a consumer loses no message.

use crate::messages::{BincodeStep, Sequence, Step};
use crate::stage::Frame;
use myelon::liveness::Ending;
use myelon::transport::{
    Format, FramedTransportConsumer, FramedTransportProducer, MyelonWaitStrategy, Records, TransportBuilder,
    TransportError,
};
use myelon::typed_transport::{TypedConsumer, TypedProducer};
use myelon::{ConsumerBarrier, Patience, Place, PublishError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};
use testkit::names::ShmGuard;

fn step(id: u64) -> BincodeStep {
    BincodeStep(Step { sequences: vec![Sequence { id, tokens: vec![], blocks: vec![] }] })
}

fn id_of(step: &BincodeStep) -> u64 {
    step.0.sequences[0].id
}

fn attach<F: Format>(place: &Place) -> TypedConsumer<BincodeStep, F> {
    TypedConsumer::attach_with_consumer_id(place, 0, "w", MyelonWaitStrategy::Adaptive).unwrap()
}

fn attach_bytes<F: Format>(place: &Place) -> FramedTransportConsumer<F> {
    FramedTransportConsumer::attach_with_consumer_id(place, 0, "w", MyelonWaitStrategy::Adaptive).unwrap()
}

/// What happened to the consumer for which the producer waits.
#[track_caller]
fn ending_of<F: Format>(producer: &mut FramedTransportProducer<F>) -> Ending {
    let deadline = Instant::now() + Duration::from_secs(20);
    // More messages than the ring holds.
    for _ in 0..1000 {
        match producer.publish_deadline(&[0; 16], 0, deadline) {
            Ok(_) => {}
            Err(TransportError::Publish(PublishError::ConsumerDied { id, how, pid, .. })) => {
                assert_eq!((id.as_str(), pid), ("w", std::process::id()));
                return how;
            }
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the ring does not wait for the consumer");
}

/// The worker has handled message 0 and is dropped by `go` before it has acknowledged message 1.
fn successor_gets_what_was_not_acknowledged<F: Format>(depth: usize, go: impl FnOnce(TypedConsumer<BincodeStep, F>)) {
    let place = Place::heap();
    let mut producer = TypedProducer::<BincodeStep, F>::create(&place, depth).unwrap();
    let mut consumer = attach::<F>(&place);
    for id in 0..4 {
        producer.publish(&step(id), 0).unwrap();
    }
    assert_eq!(id_of(&consumer.receive_owned(Patience::Now).unwrap().unwrap().0), 0);
    go(consumer);
    let mut successor = attach::<F>(&place);
    assert!(successor.has_rejoined());
    for id in 1..4 {
        assert_eq!(id_of(&successor.receive_owned(Patience::Now).unwrap().unwrap().0), id);
    }
}

fn drops_of_every_kind<F: Format>(depth: usize) {
    successor_gets_what_was_not_acknowledged::<F>(depth, drop);
    // An error that ends `main`.
    successor_gets_what_was_not_acknowledged::<F>(depth, |mut consumer| {
        let main = move || {
            consumer.next(Patience::Now).unwrap().unwrap().release_unread();
            Err::<(), _>("the handler could not do its work")
        };
        assert!({ main }().is_err());
    });
    successor_gets_what_was_not_acknowledged::<F>(depth, |consumer| {
        let panicked = catch_unwind(AssertUnwindSafe(move || {
            let mut consumer = consumer;
            let _message = consumer.next(Patience::Now).unwrap().unwrap();
            panic!("in the handler");
        }));
        assert!(panicked.is_err());
    });
}

#[test]
fn whatever_drops_a_typed_consumer_its_successor_gets_what_was_not_acknowledged() {
    drops_of_every_kind::<Records>(1 << 14);
    drops_of_every_kind::<Frame>(16);
}

fn producer_is_told<F: Format>(depth: usize) {
    let place = Place::heap();
    let mut producer = FramedTransportProducer::<F>::create(&place, depth).unwrap();
    drop(attach_bytes::<F>(&place));
    assert_eq!(ending_of(&mut producer), Ending::Dropped);

    let place = Place::heap();
    let mut producer = FramedTransportProducer::<F>::create(&place, depth).unwrap();
    let consumer = attach_bytes::<F>(&place);
    let panicked = catch_unwind(AssertUnwindSafe(move || {
        let _consumer = consumer;
        panic!("beside it");
    }));
    assert!(panicked.is_err());
    assert_eq!(ending_of(&mut producer), Ending::Panicked);
}

#[test]
fn a_producer_that_waits_for_a_place_without_an_owner_is_told_how_its_owner_went() {
    producer_is_told::<Records>(1 << 14);
    producer_is_told::<Frame>(16);
}

fn leaving_gives_the_place_up<F: Format>(depth: usize) {
    for leave in [
        |place: &Place| attach::<F>(place).leave(),
        |place: &Place| attach_bytes::<F>(place).leave(),
        // No consumer can come back to an id that the library chose.
        |place: &Place| drop(TransportBuilder::<F>::new(place, 0).build_consumer().unwrap()),
    ] {
        let place = Place::heap();
        let mut producer = TypedProducer::<BincodeStep, F>::create(&place, depth).unwrap();
        let mut witness = TypedConsumer::<BincodeStep, F>::attach(&place, 0, MyelonWaitStrategy::Adaptive).unwrap();
        producer.publish(&step(0), 0).unwrap();
        leave(&place);
        assert_eq!(producer.consumers().len(), 1, "beside the witness, an entry is kept");
        for id in 1..100 {
            producer.publish(&step(id), 0).unwrap();
            while witness.receive_owned(Patience::Now).unwrap().is_some() {}
        }
        assert!(!attach::<F>(&place).has_rejoined());
    }
}

#[test]
fn a_consumer_that_leaves_gives_its_place_up() {
    leaving_gives_the_place_up::<Records>(1 << 14);
    leaving_gives_the_place_up::<Frame>(16);
}

fn reading_to_the_end_gives_the_place_up<F: Format>(depth: usize) {
    let names = ShmGuard::new();
    let place = || Place::from(names.name("r"));
    let mut producer = TypedProducer::<BincodeStep, F>::create(place(), depth).unwrap();
    let mut consumer = attach::<F>(&place());
    let witness = ConsumerBarrier::attach(place()).unwrap();
    producer.publish(&step(0), 0).unwrap();
    drop(producer);
    assert!(consumer.receive_owned(Patience::Endless).unwrap().is_some());
    assert!(consumer.receive_owned(Patience::Endless).is_err());
    assert_eq!(witness.consumers().len(), 1);
    drop(consumer);
    assert_eq!(witness.consumers(), []);
    names.assert_nothing_left();
}

#[test]
fn a_consumer_that_has_read_to_the_end_gives_its_place_up() {
    reading_to_the_end_gives_the_place_up::<Records>(1 << 14);
    reading_to_the_end_gives_the_place_up::<Frame>(16);
}
