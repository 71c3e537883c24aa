//! Messages that are held, in every format: taken in order, released in any order, from any thread.

use crate::stage::{Subject, in_every_format, pair, payload};
use myelon::HELD_MAX;
use myelon::liveness::WaitingFor;
use myelon::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

/// A message in one frame, and one in several.
const LENGTHS: [usize; 2] = [20, 200];

/// Sends three messages, each `len` bytes of its own.
fn send_three<F: Subject>(producer: &mut FramedTransportProducer<F>, len: usize) {
    for number in 0..3 {
        producer.publish(&payload(len, number), number as u8).unwrap();
    }
}

/// The next message, which must be that one and whole.
#[track_caller]
fn take<F: Subject>(consumer: &mut FramedTransportConsumer<F>, len: usize, number: usize) -> HeldMessage<F> {
    let message = consumer.next_held(Patience::Now).unwrap().expect("there is one");
    check(&message, len, number);
    message
}

#[track_caller]
fn check<F: Subject>(message: &HeldMessage<F>, len: usize, number: usize) {
    assert_eq!((message.kind() as usize, &message[..]), (number, &payload(len, number)[..]));
}

/// Depths at which three messages fit.
fn ends<F: Subject>(place: &Place) -> (FramedTransportProducer<F>, FramedTransportConsumer<F>) {
    let builder = || TransportBuilder::<F>::new(place, F::DEPTH * 4);
    (builder().build_producer().unwrap(), builder().with_consumer_id("w").build_consumer().unwrap())
}

fn are_released_in_any_order<F: Subject>(place: Place) {
    for len in LENGTHS {
        let (mut producer, mut consumer) = ends::<F>(&place);
        send_three(&mut producer, len);
        let last = producer.last_published_sequence();
        let [a, b, c] = [0, 1, 2].map(|number| take(&mut consumer, len, number));
        assert!(consumer.next_held(Patience::Now).unwrap().is_none());
        let other = std::thread::spawn(move || {
            check(&c, len, 2);
            c.release();
            check(&b, len, 1);
            b.release();
        });
        other.join().unwrap();
        check(&a, len, 0);
        assert!(!producer.is_consumed(0), "the oldest is held");
        a.release();
        assert!(producer.is_consumed(last));
        // The ring works as before, also in the slots of the held messages.
        for round in 0..50 {
            producer.publish(&payload(len, round), 9).unwrap();
            assert_eq!(consumer.next(Patience::Now).unwrap().expect("sent").to_vec(), payload(len, round));
        }
    }
}

#[test]
fn messages_are_released_in_any_order_from_any_thread_and_are_whole_until_then() {
    in_every_format!(are_released_in_any_order);
}

fn come_again<F: Subject>(place: Place) {
    for len in LENGTHS {
        let (mut producer, mut consumer) = ends::<F>(&place);
        send_three(&mut producer, len);
        let [a, b, c] = [0, 1, 2].map(|number| take(&mut consumer, len, number));
        drop(b);
        let b = take(&mut consumer, len, 1);
        assert!(b.is_redelivered() && !a.is_redelivered());
        // Its successor gets the messages that are given back, whole, and skips those that are released.
        c.release();
        drop(consumer);
        drop(b);
        a.release();
        let mut back = TransportBuilder::<F>::new(&place, 0).with_consumer_id("w").build_consumer().unwrap();
        assert!(take(&mut back, len, 1).is_redelivered());
        take(&mut back, len, 1).release();
        assert!(back.next(Patience::Now).unwrap().is_none(), "the third was released");
        assert_eq!(back.skipped(), 0);
        producer.publish(&payload(len, 7), 7).unwrap();
        assert_eq!(take(&mut back, len, 7).sequence(), producer.last_published_sequence());
        back.leave();
    }
}

#[test]
fn a_message_that_is_given_back_comes_again_whole_also_to_a_successor() {
    in_every_format!(come_again);
}

fn is_read_once_in_a_loop<F: Subject>(place: Place) {
    for len in LENGTHS {
        let (mut producer, mut consumer) = ends::<F>(&place);
        send_three(&mut producer, len);
        drop(producer);
        let mut seen = vec![];
        for message in consumer.messages() {
            let message = message.unwrap();
            check(&message, len, seen.len());
            seen.push(message.kind());
        }
        assert_eq!(seen, [0, 1, 2]);
        assert!(consumer.next(Patience::Endless).map(drop).unwrap_err().is_closed());
    }
}

#[test]
fn a_for_loop_over_three_messages_sees_each_once() {
    in_every_format!(is_read_once_in_a_loop);
}

fn comes_again_after_a_panic<F: Subject>(place: Place) {
    let (mut producer, mut consumer) = pair::<F>(&place);
    producer.publish(b"poison", 1).unwrap();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _message = consumer.messages().next().expect("sent").unwrap();
        resume_unwind(Box::new("on purpose"));
    }));
    assert!(panicked.is_err());
    let message = consumer.next(Patience::Now).unwrap().expect("it was given back");
    assert!(message.is_redelivered());
}

#[test]
fn a_message_of_a_loop_that_panics_comes_again() {
    in_every_format!(comes_again_after_a_panic);
}

#[test]
fn at_the_bound_handlers_and_loops_that_do_not_wait_say_so() {
    let place = Place::heap();
    let mut producer = TransportBuilder::<Records>::new(&place, 1 << 16).build_producer().unwrap();
    let mut consumer = TransportBuilder::<Records>::new(&place, 0).build_consumer().unwrap();
    for number in 0..70 {
        producer.publish(&[number; 10], number).unwrap();
    }
    let oldest = consumer.next_held(Patience::Now).unwrap().unwrap();
    // Messages that are acknowledged meanwhile are remembered until the oldest is released.
    assert_eq!(consumer.process_available(|_| ()).unwrap(), 63);
    assert!(consumer.process_available(|_| ()).unwrap_err().is_held_limit());
    assert!(consumer.next(Patience::Now).map(drop).unwrap_err().is_held_limit());
    let report = consumer.stall_report(Duration::ZERO);
    assert_eq!(report.waiting_for, WaitingFor::HeldRelease);
    let says = ": consumer is handed no more than 64 messages from the oldest that it holds on, and waits for its release; \
                producer pid ";
    assert!(report.to_string().contains(says), "{report}");
    oldest.release();
    assert_eq!(consumer.process_available(|_| ()).unwrap(), 6);
}

/// A consumer at its held limit, the messages that it holds, and one more message in the ring.
fn at_the_limit<F: Subject>(
    place: &Place,
) -> (FramedTransportProducer<F>, FramedTransportConsumer<F>, Vec<HeldMessage<F>>) {
    let builder = || TransportBuilder::<F>::new(place, F::DEPTH * 64);
    let mut producer = builder().build_producer().unwrap();
    let mut consumer = builder().with_consumer_id("w").build_consumer().unwrap();
    let held = (0..HELD_MAX).map(|number| {
        producer.publish(&payload(20, number), 0).unwrap();
        consumer.next_held(Patience::Now).unwrap().unwrap()
    });
    let held = held.collect();
    producer.publish(b"one more", 0).unwrap();
    (producer, consumer, held)
}

fn says_the_limit_on_every_call<F: Subject>(place: Place) {
    let (_producer, mut consumer, held) = at_the_limit::<F>(&place);
    let short = Duration::from_millis(5);
    let answers = [
        consumer.next(short).map(drop),
        consumer.next_or_end(short).map(drop),
        consumer.next_held(short).map(drop),
        consumer.receive_owned(short).map(drop),
        consumer.receive_owned_or_end(short).map(drop),
        consumer.wait_until_available(short).map_err(TransportError::from),
    ];
    for answer in answers {
        let Err(TransportError::Consume(ConsumeError::HeldLimit(ref limit))) = answer else { panic!("{answer:?}") };
        assert!(limit.held == HELD_MAX && limit.oldest == 0 && !limit.waited.is_zero(), "{answer:?}");
        assert!(answer.is_err_and(|error| error.is_held_limit() && error.is_timed_out()));
    }
    let now = [consumer.next(Patience::Now).map(drop), consumer.next_or_end(Patience::Now).map(drop)];
    assert!(now.iter().all(|answer| answer.as_ref().is_err_and(TransportError::is_held_limit)), "{now:?}");
    held.into_iter().for_each(HeldMessage::release);
    assert_eq!(&consumer.next(Patience::Now).unwrap().unwrap()[..], b"one more");
}

#[test]
fn a_wait_that_ends_at_the_held_limit_says_so_on_every_call() {
    in_every_format!(says_the_limit_on_every_call);
}
