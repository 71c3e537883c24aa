//! What zero means: no bytes, no room, no entries, no time.

use crate::stage::{Aligned, Small, Subject, watchdog};
use myelon::transport::{
    FramedTransportConsumer, FramedTransportProducer, Malformed, MyelonWaitStrategy, Records, TransportBuilder,
    TransportError,
};
use myelon::{MultiProcessError, Patience, Place};
use std::time::Duration;

fn attach<F: Subject>(place: &Place) -> FramedTransportConsumer<F> {
    FramedTransportConsumer::attach(place, 0, MyelonWaitStrategy::Adaptive).unwrap()
}

fn no_bytes<F: Subject>() {
    let place = Place::heap();
    let mut producer = TransportBuilder::<F>::new(&place, F::DEPTH).with_message_limit(0).build_producer().unwrap();
    let mut consumer = TransportBuilder::<F>::new(&place, 0).with_message_limit(0).build_consumer().unwrap();
    assert_eq!(producer.max_message_bytes(), 0);
    producer.publish(&[], 3).unwrap();
    producer.send_with(4, 0, Patience::Now, |_| Ok(0)).unwrap();
    let refused = producer.publish(&[1], 3).unwrap_err();
    assert!(matches!(refused, TransportError::TooLarge { len_bytes: 1, limit_bytes: 0, depth_wanted: None }));
    assert_eq!(consumer.receive_owned(Patience::Now).unwrap(), Some((3, vec![])));
    assert_eq!(consumer.receive_owned(Patience::Now).unwrap(), Some((4, vec![])));
    drop(producer);

    let place = Place::heap();
    let mut producer = FramedTransportProducer::<F>::create(&place, F::DEPTH).unwrap();
    let mut consumer = TransportBuilder::<F>::new(&place, 0).with_message_limit(0).build_consumer().unwrap();
    producer.publish(&[1], 3).unwrap();
    producer.publish(&[], 5).unwrap();
    let skipped = consumer.next(Patience::Now).map(drop).unwrap_err();
    let is_beyond = |fault| matches!(fault, Malformed::BeyondLimit { total_bytes: 1, limit_bytes: 0 });
    assert!(matches!(skipped, TransportError::Malformed(fault) if is_beyond(fault)), "{skipped:?}");
    assert_eq!(consumer.receive_owned(Patience::Now).unwrap(), Some((5, vec![])));
}

#[test]
fn a_limit_of_no_bytes_lets_messages_without_bytes_through() {
    let _watchdog = watchdog();
    no_bytes::<Records>();
    no_bytes::<Small>();
    no_bytes::<Aligned>();
}

fn no_room<F: Subject>() {
    let build = || TransportBuilder::<F>::new(Place::heap(), 0);
    let refused = build().build_producer().map(drop).unwrap_err();
    assert!(matches!(refused, TransportError::Build(MultiProcessError::Shape(_))), "{refused:?}");
    let build = || TransportBuilder::<F>::new(Place::heap(), F::DEPTH).with_max_consumers(0);
    let refused = build().build_producer().map(drop).unwrap_err();
    assert!(matches!(refused, TransportError::Build(MultiProcessError::Shape(_))), "{refused:?}");
}

#[test]
fn a_ring_without_room_or_places_is_refused() {
    let _watchdog = watchdog();
    no_room::<Records>();
    no_room::<Small>();
    no_room::<Aligned>();
}

#[test]
fn no_time_is_one_look() {
    let _watchdog = watchdog();
    let place = Place::heap();
    let producer = FramedTransportProducer::<Records>::create(&place, 1 << 14).unwrap();
    assert!(!producer.discover_consumers(Duration::ZERO));
    let _consumer = attach::<Records>(&place);
    assert!(producer.discover_consumers(Duration::ZERO));
    assert!(!producer.discover_consumer_id("absent", Duration::ZERO));
}

#[test]
fn ends_that_are_exchanged_take_messages_as_long_as_their_ring_holds() {
    let _watchdog = watchdog();
    let (short, long) = (Place::heap(), Place::heap());
    let _short = FramedTransportProducer::<Small>::create(&short, 2).unwrap();
    let mut producer = FramedTransportProducer::<Small>::create(&long, 64).unwrap();
    let (mut first, mut second) = (attach::<Small>(&short), attach::<Small>(&long));
    std::mem::swap(&mut first, &mut second);
    let message = vec![7; 1000];
    producer.publish(&message, 1).unwrap();
    assert_eq!(first.receive_owned(Patience::Now).unwrap(), Some((1, message)));
}
