//! Handlers: what they get, and when it is acknowledged.

use crate::stage::{Subject, in_every_format, pair, payload, watchdog};
use myelon::prelude::*;
use myelon::transport::Malformed;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// A sender and a receiver with room for 100 short messages.
fn roomy_pair<F: Format>(depth: usize) -> (TransportProducer<F>, TransportConsumer<F>) {
    let place = Place::heap();
    let builder = TransportBuilder::<F>::new(&place, depth).with_consumer_id("w");
    (builder.clone().build_producer().unwrap(), builder.build_consumer().unwrap())
}

/// The position of the only consumer, as other processes see it.
fn position<F: Format>(producer: &TransportProducer<F>) -> i64 {
    producer.consumers()[0].position
}

fn acknowledges_in_batches<F: Format>(depth: usize) {
    let _watchdog = watchdog();
    let (mut producer, mut consumer) = roomy_pair::<F>(depth);
    // On a busy machine a quick handler can be slow, and then acknowledges more often.
    let is_quick = (0..1000).any(|round| {
        for number in 0..100_u8 {
            producer.publish(&[number; 20], number).unwrap();
        }
        let mut acknowledgements = vec![];
        let mut next = round * 100;
        let handled = consumer.process_available(|meta| {
            assert_eq!((meta.kind, meta.data), ((next % 100) as u8, &[(next % 100) as u8; 20][..]));
            let position = position(&producer);
            assert!((next - 64..=next).contains(&position), "message {next} of a batch that stands at {position}");
            acknowledgements.push(position);
            next += 1;
        });
        assert_eq!((handled.unwrap(), position(&producer)), (100, (round + 1) * 100));
        acknowledgements.dedup();
        acknowledgements.len() <= 3
    });
    assert!(is_quick, "each message was acknowledged by itself");
}

#[test]
fn what_a_quick_handler_has_had_is_acknowledged_64_at_a_time() {
    acknowledges_in_batches::<Records>(1 << 15);
    acknowledges_in_batches::<AlignedFixedFrame<64>>(1024);
    acknowledges_in_batches::<FixedFrame<64>>(1024);
}

/// In a ring that is full of messages of `len` bytes, the sender has room again as soon as the handler is done with
/// one.
fn goes_on<F: Format>(depth: usize, len: usize) {
    let (mut producer, mut consumer) = roomy_pair::<F>(depth);
    // So that the handler counts as quick.
    for _ in 0..128 {
        producer.publish(&[0; 20], 0).unwrap();
        assert_eq!(consumer.process_available(|_| ()).unwrap(), 1);
    }
    let mut send = || producer.send(&vec![7; len], 0, Patience::Now);
    let sent = std::iter::repeat_with(&mut send).take_while(Result::is_ok).count();
    assert!(sent >= 4, "{sent}");
    let mut handled = 0;
    let count = consumer.process_available(|_| {
        let room = send();
        assert_eq!(room.is_ok(), handled > 0, "after {handled}: {room:?}");
        handled += 1;
    });
    // A call over frames also takes messages that come meanwhile.
    assert!(count.unwrap() >= sent);
}

#[test]
fn a_sender_of_long_messages_goes_on_while_a_batch_is_processed() {
    let _watchdog = watchdog();
    goes_on::<Records>(1 << 14, 3000);
    goes_on::<Records>(1 << 16, 12_000);
    goes_on::<AlignedFixedFrame<64>>(8, 20);
    goes_on::<FixedFrame<64>>(8, 20);
    // Of two frames each.
    goes_on::<FixedFrame<64>>(8, 70);
}

#[test]
fn a_long_message_is_acknowledged_as_soon_as_its_handler_has_had_it() {
    let _watchdog = watchdog();
    let (mut producer, mut consumer) = roomy_pair::<Records>(1 << 20);
    // Two rounds of short messages, so that the handler counts as quick.
    for _ in 0..128 {
        producer.publish(&[0; 20], 0).unwrap();
    }
    assert_eq!(consumer.process_available(|_| ()).unwrap(), 128);
    for _ in 0..10 {
        producer.publish(&[0; 5000], 0).unwrap();
    }
    let mut number = 128;
    let handled = consumer.process_available(|_| {
        assert_eq!(position(&producer), number);
        number += 1;
    });
    assert_eq!(handled.unwrap(), 10);
}

fn panics_in_the_middle<F: Subject>(place: Place) {
    let (mut producer, mut consumer) = pair::<F>(&place);
    // Short and split messages, before and after the current one.
    let lengths = [10, 90, 0, 70, 5];
    let mut sequences = vec![];
    for (number, len) in lengths.into_iter().enumerate() {
        match producer.try_publish(&payload(len, number), number as u8) {
            Ok(sequence) => sequences.push(sequence),
            Err(full) => assert!(full.is_full(), "{full}"),
        }
    }
    let culprit = 2;
    for round in 1..4 {
        let mut seen = vec![];
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            consumer.process_available(|meta| {
                seen.push(meta.kind);
                if meta.kind == culprit {
                    resume_unwind(Box::new("a test"));
                }
            })
        }));
        assert!(panicked.is_err());
        assert_eq!(seen, if round == 1 { vec![0, 1, 2] } else { vec![2] });
        assert!(producer.is_consumed(sequences[1]) && !producer.is_consumed(sequences[2]));
        let message = consumer.next(Patience::Now).unwrap().unwrap();
        assert_eq!((message.kind(), message.redeliveries()), (culprit, round));
        message.release_unread();
    }
    assert!(consumer.skip().unwrap());
    let mut seen = vec![];
    while consumer.process_available(|meta| seen.push((meta.kind, meta.data.to_vec()))).unwrap() > 0 {}
    let rest: Vec<_> = (3..sequences.len()).map(|number| (number as u8, payload(lengths[number], number))).collect();
    assert_eq!(seen, rest);
    assert!(producer.is_consumed(*sequences.last().unwrap()));
}

#[test]
fn of_a_batch_whose_handler_panics_what_was_before_is_acknowledged_and_the_one_in_hand_comes_again() {
    in_every_format!(panics_in_the_middle);
}

fn skips_the_broken_one<F: Subject>(place: Place) {
    let (mut producer, mut other) = pair::<F>(&place);
    let mut consumer = TransportBuilder::<F>::new(&place, 0).with_message_limit(30).build_consumer().unwrap();
    for (number, len) in [10, 31, 20, 5].into_iter().enumerate() {
        producer.publish(&payload(len, number), number as u8).unwrap();
    }
    let mut seen = vec![];
    let broken = consumer.process_available(|meta| seen.push(meta.kind));
    assert!(matches!(broken, Err(TransportError::Malformed(Malformed::BeyondLimit { .. }))), "{broken:?}");
    assert_eq!((consumer.process_available(|meta| seen.push(meta.kind)).unwrap(), &seen[..]), (2, &[0, 2, 3][..]));
    assert_eq!(consumer.skipped(), 1);
    assert_eq!(other.process_available(|_| ()).unwrap(), 4);
    assert!(producer.is_consumed(producer.last_published_sequence()));
    drop(producer);
    assert!(consumer.process_available(|_| ()).unwrap_err().is_closed());
}

#[test]
fn a_handler_gets_what_is_before_a_message_that_cannot_be_read_and_then_what_is_after_it() {
    in_every_format!(skips_the_broken_one);
}

fn goes_on_while_one_is_held<F: Subject>(place: Place) {
    let (mut producer, mut consumer) = pair::<F>(&place);
    let sequences: Vec<_> =
        (0..4).map(|number| producer.publish(&payload(10, number), number as u8).unwrap()).collect();
    let oldest = consumer.next_held(Patience::Now).unwrap().unwrap();
    let given_back = consumer.next_held(Patience::Now).unwrap().unwrap();
    drop(given_back);
    let mut seen = vec![];
    while consumer.process_available(|meta| seen.push(meta.kind)).unwrap() > 0 {}
    assert_eq!(seen, [1, 2, 3]);
    assert!(!producer.is_consumed(sequences[0]));
    oldest.release();
    assert!(producer.is_consumed(sequences[3]));
}

#[test]
fn a_handler_gets_what_comes_back_and_what_is_new_while_a_message_is_held() {
    in_every_format!(goes_on_while_one_is_held);
}
