//! The next producer does not lose events that gone consumers have not read, whatever type of message it has: it goes
//! on for those consumers, or they read the old ring first, or it is refused and told for which consumers.

use crate::actor::Actor;
use crate::stage::{Step, drain, join, publish, ring, step, watchdog};
use disruptor_mp::segment::Place;
use disruptor_mp::{
    ConsumeError, MultiProcessError, Origin, Patience, RecordConsumer, RecordProducer, SharedConsumer,
    SharedDisruptorBuilder, attach_shared_consumer,
};
use testkit::names::ShmGuard;

/// A ring of four events without a tag. The consumer `a` has read one of them, and is gone.
fn left_behind(place: &Place) {
    let mut producer = ring(place, 4).build_producer(step).unwrap();
    let mut consumer = keeper(place, "a");
    publish(&mut producer, 3);
    drop(consumer.next(Patience::Now).unwrap());
    producer.hand_over();
}

fn keeper(place: &Place, id: &str) -> SharedConsumer<Step> {
    attach_shared_consumer::<Step>(place.clone(), 0).with_consumer_id(id).keep_place().build_consumer().unwrap()
}

#[test]
fn a_producer_without_a_tag_goes_on_for_a_consumer_that_was_killed_with_events_unread() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let place = Place::from(shm.name("a"));
    let (mut producer, mut consumer) = (Actor::new(), Actor::new());
    producer.does(format!("produce {} 8", shm.name("a")));
    consumer.does(format!("attach {} w", shm.name("a")));
    producer.does("publish 6");
    consumer.does("consume 4");
    consumer.dies();
    producer.dies();

    let mut producer = ring(&place, 8).build_producer(step).unwrap();
    assert_eq!((producer.origin(), producer.last_published_sequence()), (Origin::TookOver, 5));
    publish(&mut producer, 1);
    let mut consumer = join(&place, "w");
    assert!(consumer.has_rejoined());
    assert_eq!(drain(&mut consumer), [4, 5, 6]);
    drop((producer, consumer));
    shm.assert_nothing_left();
}

#[test]
fn the_last_process_that_leaves_a_ring_without_a_tag_leaves_what_is_unread() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let place = Place::from(shm.name("a"));
    left_behind(&place);
    drop(join(&place, "b"));
    assert_eq!(shm.leftovers().len(), 1);
    let producer = ring(&place, 4).take_over().build_producer(step).unwrap();
    assert_eq!(drain(&mut join(&place, "a")), [1, 2]);
    producer.hand_over();
    // Now nothing is unread: the next producer begins anew.
    assert_eq!(ring(&place, 4).build_producer(step).unwrap().origin(), Origin::Replaced);
}

#[test]
fn records_without_a_tag_that_were_not_read_are_there_after_a_restart() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let name = shm.name("a");
    let builder = |bytes| SharedDisruptorBuilder::records(name.as_str(), bytes);
    let attach =
        || -> RecordConsumer { builder(0).with_consumer_id("a").keep_place().build_record_consumer().unwrap() };
    let publish = |producer: &mut RecordProducer, text: &[u8]| {
        producer.publish(text, 0, 0, Patience::Now).unwrap();
    };
    for bytes in [1 << 14, 1 << 15] {
        let mut producer = builder(1 << 14).build_record_producer().unwrap();
        drop(attach());
        publish(&mut producer, b"first");
        producer.hand_over();
        let mut producer = builder(bytes).build_record_producer().unwrap();
        assert_eq!(producer.origin(), if bytes == 1 << 14 { Origin::TookOver } else { Origin::Replaced });
        publish(&mut producer, b"second");
        let mut consumer = attach();
        assert_eq!(consumer.next(Patience::Now).unwrap().unwrap()[..], *b"first");
        let mut next = consumer.next(Patience::Now).map(|record| record.map(|record| record.to_vec()));
        if matches!(next, Err(ConsumeError::Replaced)) {
            drop(consumer);
            consumer = attach();
            next = consumer.next(Patience::Now).map(|record| record.map(|record| record.to_vec()));
        }
        assert_eq!(next.unwrap().unwrap(), b"second");
        drop((producer, consumer));
        shm.assert_nothing_left();
    }
}

#[test]
fn a_ring_of_another_size_or_tag_is_read_to_its_end_before_the_one_that_replaces_it() {
    for (size, tag) in [(8, None), (2, None), (4, Some("step/2"))] {
        let (_watchdog, shm) = (watchdog(), ShmGuard::new());
        let place = Place::from(shm.name("a"));
        left_behind(&place);
        let builder = ring(&place, size);
        let builder = match tag {
            Some(tag) => builder.with_content_tag(tag),
            None => builder,
        };
        let mut producer = builder.build_producer(step).unwrap();
        assert_eq!(producer.origin(), Origin::Replaced);
        publish(&mut producer, 2);
        let mut consumer = keeper(&place, "a");
        assert_eq!(drain(&mut consumer), [1, 2]);
        assert!(matches!(consumer.next(Patience::Endless), Err(ConsumeError::Replaced)));
        drop(consumer);
        assert_eq!(drain(&mut keeper(&place, "a")), [0, 1]);
        drop(producer);
        shm.assert_nothing_left();
    }
}

#[test]
fn a_producer_without_a_tag_takes_nothing_from_those_who_read_messages_with_one() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let place = Place::from(shm.name("a"));
    let mut producer = ring(&place, 4).with_content_tag("step/1").build_producer(step).unwrap();
    drop(keeper(&place, "a"));
    publish(&mut producer, 2);
    producer.hand_over();
    let mut producer = ring(&place, 4).build_producer(step).unwrap();
    assert_eq!(producer.origin(), Origin::Replaced);
    publish(&mut producer, 1);
    let attach = || {
        let builder = attach_shared_consumer::<Step>(place.clone(), 0).with_consumer_id("a").keep_place();
        builder.with_content_tag("step/1").build_consumer()
    };
    assert_eq!(drain(&mut attach().unwrap()), [0, 1]);
    // It cannot read the next events, and gets an error.
    let refused = attach().map(drop).unwrap_err();
    assert!(matches!(refused, MultiProcessError::IncompatibleContent { .. }), "{refused}");
    assert_eq!(drain(&mut keeper(&place, "a")), [0]);
}

#[test]
fn where_an_older_ring_cannot_be_kept_the_producer_is_refused_and_names_those_who_have_not_read_it() {
    let _watchdog = watchdog();
    for place in [Place::heap(), Place::memfd("backlog")] {
        left_behind(&place);
        keeper(&place, "b").leave();
        let refused = ring(&place, 8).build_producer(step).map(drop).unwrap_err();
        let text = format!(
            "{place} holds messages for consumers that will come back (a), and has no name under which it could be kept \
             for them: let them read and leave, or ask for `replace()` to give up what they have not read"
        );
        assert_eq!(refused.to_string(), text);
        // The ring was not changed.
        assert_eq!(ring(&place, 4).build_producer(step).map(|producer| producer.hand_over()).map_err(drop), Ok(()));
        assert_eq!(drain(&mut keeper(&place, "a")), [1, 2]);
        let producer = ring(&place, 8).build_producer(step).unwrap();
        assert_eq!(producer.origin(), Origin::Replaced, "now it has read everything");
    }
}

#[test]
fn what_was_not_read_is_given_up_on_request() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let place = Place::from(shm.name("a"));
    left_behind(&place);
    let producer = ring(&place, 4).replace().build_producer(step).unwrap();
    assert_eq!((producer.origin(), producer.consumers().len()), (Origin::Replaced, 0));
    assert_eq!(shm.leftovers().len(), 1);
}
