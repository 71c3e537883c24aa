//! Taps of transports: they give whole messages or a number of missed ones, whichever process dies, and no sender waits
//! for them.

use crate::processes::{message, number_of, sender};
use crate::stage::{PATIENCE, everywhere, pair, payload, soon, watchdog};
use myelon::prelude::*;
use myelon::transport::{Malformed, MessageCopy, TransportTap};
use myelon::{Origin, SharedDisruptorBuilder};
use testkit::names::ShmGuard;

/// A length for message `number` that changes each time, and mostly takes several lines.
fn len(number: usize) -> usize {
    number * 37 % 500
}

/// Checks that a message has the length of [`len`] and is whole, and returns its number.
#[track_caller]
fn check(message: &MessageCopy<'_>) -> usize {
    let number = message.sequence() as usize;
    assert_eq!((&message[..], message.kind()), (&payload(len(number), number)[..], number as u8));
    number
}

#[test]
fn a_tap_gets_what_is_sent_and_has_no_place_in_the_ring() {
    everywhere(|place| {
        let (mut producer, mut consumer) = pair::<Records>(&place);
        let mut tap = TransportTap::attach(&place).unwrap();
        assert!(tap.next(Patience::Now).unwrap().is_none());
        for number in 0..300 {
            producer.set_trace_id((number % 3 == 0).then_some([number as u8; 16]));
            producer.set_in_reply_to((number % 2 == 0).then_some(number as i64 * 7));
            producer.publish(&payload(len(number), number), number as u8).unwrap();
            let copy = tap.next(Patience::Now).unwrap().expect("sent");
            assert_eq!(check(&copy), number);
            assert_eq!(copy.as_ptr() as usize % 16, 0);
            assert_eq!(copy.trace_id(), (number % 3 == 0).then_some([number as u8; 16]));
            assert_eq!(copy.in_reply_to(), (number % 2 == 0).then_some(number as i64 * 7));
            assert_eq!((copy.meta().len, copy.timestamp_ns()), (len(number), None));
            drop(consumer.next(Patience::Now).unwrap().expect("sent"));
        }
        assert_eq!((tap.missed(), tap.skipped()), (0, 0));
        assert_eq!(producer.consumers().len(), 1, "a tap is no consumer");
        drop(producer);
        assert!(tap.next_or_end(Patience::Endless).unwrap().is_none());
    });
}

#[test]
fn a_tap_that_was_lapped_says_how_many_messages_it_missed_and_goes_on_with_whole_ones() {
    everywhere(|place| {
        let mut producer = TransportProducer::<Records>::create(&place, 1 << 14).unwrap();
        let mut tap = TransportTap::attach(&place).unwrap();
        let (mut sent, mut seen) = (0, 0);
        for burst in (1..400).step_by(23) {
            // No consumer reads: the sender waits for none, and laps the tap.
            for _ in 0..burst {
                producer.publish(&payload(len(sent), sent), sent as u8).unwrap();
                sent += 1;
            }
            let mut last = None;
            while let Some(copy) = tap.next(Patience::Now).unwrap() {
                let number = check(&copy);
                assert!(last.is_none_or(|last| last < number), "{number} after {last:?}");
                (last, seen) = (Some(number), seen + 1);
            }
            assert_eq!((last, seen + tap.missed()), (Some(sent - 1), sent as u64), "neither copied nor counted");
        }
        assert!(tap.missed() > 0 && seen > 0);
    });
}

#[test]
fn every_message_that_a_tap_hands_out_beside_a_running_sender_is_whole() {
    everywhere(|place| {
        let mut producer = TransportProducer::<Records>::create(&place, 4096).unwrap();
        let mut tap = TransportTap::attach(&place).unwrap();
        let sending = std::thread::spawn(move || {
            for number in 0..50_000 {
                producer.publish(&payload(len(number), number), number as u8).unwrap();
            }
        });
        let mut seen = 0;
        while let Some(copy) = tap.next_or_end(Patience::Endless).unwrap() {
            check(&copy);
            seen += 1;
        }
        sending.join().unwrap();
        assert_eq!(seen + tap.missed(), 50_000);
    });
}

/// The tap reads each message before the consumer does, so it is never lapped.
#[test]
fn a_tap_goes_on_through_the_death_of_its_sender_and_the_take_over_and_misses_nothing() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let name = shm.name("s");
    let mut ends: Option<(TransportConsumer, TransportTap)> = None;
    for kill in 0..6 {
        let mut victim = sender("records", &name);
        let author = victim.pid();
        let (consumer, tap) = ends.get_or_insert_with(|| {
            let consumer =
                TransportBuilder::<Records>::at(name.as_str()).start_at(StartAt::Tail).build_consumer().unwrap();
            (consumer, TransportTap::attach(name.as_str()).unwrap())
        });
        let check = |copy: &MessageCopy<'_>| {
            assert_eq!(copy[..], message(author, number_of(copy)), "of sender {kill}");
            copy.sequence()
        };
        // The consumer has joined at the tail before the tap, so it first reads the messages between the two.
        while consumer.current_sequence() + 1 < tap.next_sequence() {
            drop(consumer.next(Patience::Endless).unwrap());
        }
        for _ in 0..100 + 37 * kill {
            let sequence = check(&tap.next(Patience::Endless).unwrap().unwrap());
            assert_eq!(consumer.next(Patience::Endless).unwrap().unwrap().sequence(), sequence);
        }
        victim.kill_and_reap();
        let end = loop {
            match consumer.next(Patience::Endless) {
                Ok(message) => {
                    let message = message.expect("waited for");
                    assert_eq!(check(&tap.next(Patience::Now).unwrap().unwrap()), message.sequence());
                }
                Err(end) => break end,
            }
        };
        assert!(end.is_peer_gone(), "{end}");
        assert!(tap.next(Patience::Now).unwrap().is_none(), "half a message is none");
        assert!(tap.next(Patience::Until(soon())).unwrap_err().is_timed_out(), "another sender may come");
        assert_eq!(tap.missed(), 0);
    }
    let mut last = TransportBuilder::<Records>::new(name.as_str(), 1024).build_producer().unwrap();
    assert_eq!(last.origin(), Origin::TookOver);
    let sent = last.publish(b"last", 9).unwrap();
    let (_, mut tap) = ends.unwrap();
    let copy = tap.next(Patience::Until(std::time::Instant::now() + PATIENCE)).unwrap().unwrap();
    assert_eq!((copy.sequence(), &copy[..]), (sent, &b"last"[..]));
}

#[test]
fn a_tap_of_a_ring_that_is_replaced_gets_what_was_there_and_is_told() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let name = shm.name("r");
    let mut old = TransportProducer::<Records>::create(name.as_str(), 4096).unwrap();
    let mut tap = TransportTap::attach(name.as_str()).unwrap();
    old.publish(b"one", 1).unwrap();
    old.hand_over();
    let mut new = TransportBuilder::<Records>::new(name.as_str(), 4096).replace().build_producer().unwrap();
    assert_eq!(tap.receive_owned(Patience::Endless).unwrap(), Some((1, b"one".to_vec())));
    let end = tap.next(Patience::Endless).map(drop).unwrap_err();
    assert!(matches!(end, TransportError::Consume(ConsumeError::Replaced)), "{end}");
    let mut tap = TransportTap::attach(name.as_str()).unwrap();
    new.publish(b"two", 2).unwrap();
    assert_eq!(tap.receive_owned(Patience::Endless).unwrap(), Some((2, b"two".to_vec())));
}

#[test]
fn what_is_no_message_is_an_error_once_and_counted_and_the_tap_goes_on() {
    let _watchdog = watchdog();
    let place = Place::heap();
    let mut records = SharedDisruptorBuilder::records(place.clone(), 4096).build_record_producer().unwrap();
    let mut tap = TransportBuilder::<Records>::at(place).with_message_limit(100).build_tap().unwrap();
    for (bytes, flags) in [(20, 0), (20, 3), (101, 3), (4, 3 | 8), (100, 3)] {
        records.publish(&vec![7; bytes], 1, flags, Patience::Now).unwrap();
    }
    let mut faults = vec![];
    for sequence in 0..5 {
        match tap.next(Patience::Now) {
            Ok(copy) => assert_eq!((copy.unwrap().sequence(), [1, 4].contains(&sequence)), (sequence, true)),
            Err(TransportError::Malformed(fault)) => faults.push(fault),
            Err(error) => panic!("{error}"),
        }
    }
    let [flags, limit, prefix] = &faults[..] else { panic!("{faults:?}") };
    assert_eq!(*flags, Malformed::Flags { flags: 0 });
    assert_eq!(*limit, Malformed::BeyondLimit { total_bytes: 101, limit_bytes: 100 });
    assert!(matches!(prefix, Malformed::Length { len_bytes: 4, .. }), "{prefix:?}");
    assert_eq!((tap.skipped(), tap.missed()), (3, 0));
}

#[test]
fn a_tap_of_another_tag_is_refused_and_so_is_one_of_frames() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let at = |name: &str| TransportBuilder::<Records>::at(shm.name(name));
    let _steps = at("s").with_content_tag("steps/1").build_producer().unwrap();
    assert_eq!(at("s").build_tap().unwrap().content_tag().as_deref(), Some("steps/1"));
    at("s").with_content_tag("steps/1").build_tap().unwrap();
    at("s").with_content_tag("steps/2").with_older_content_tags(["steps/1"]).build_tap().unwrap();
    let refused = at("s").with_content_tag("steps/2").build_tap().unwrap_err();
    assert!(matches!(refused, TransportError::Build(MultiProcessError::IncompatibleContent { .. })), "{refused}");
    let _frames = TransportBuilder::<AlignedFixedFrame<96>>::new(shm.name("f"), 8).build_producer().unwrap();
    let refused = at("f").build_tap().unwrap_err();
    assert!(matches!(refused, TransportError::Build(MultiProcessError::Unusable { .. })), "{refused}");
}
