//! Messages that are sent together.

use crate::stage::{PATIENCE, Subject, in_every_format, pair, payload, soon};
use myelon::codec::{CodecError, EncodeShort};
use myelon::counters::ids;
use myelon::prelude::*;
use myelon::transport::{BatchError, Sent, monotonic_ns};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// What one consumer can receive now.
fn received<F: Format>(consumer: &mut TransportConsumer<F>) -> Vec<(u8, Vec<u8>)> {
    std::iter::from_fn(|| consumer.receive_owned(Patience::Now).unwrap()).collect()
}

/// The producer's counter `id`.
fn counted<F: Format>(producer: &TransportProducer<F>, id: u32) -> u64 {
    let counters = producer.ring_counters().snapshot();
    counters.iter().filter(|counter| counter.id == id).map(|counter| counter.value).sum()
}

fn arrives_in_order<F: Subject>(place: Place) {
    let (mut producer, mut consumer) = pair::<F>(&place);
    producer.publish(b"before", 1).unwrap();
    // A split message between short ones.
    let messages = [payload(10, 0), payload(70, 1), payload(0, 2)];
    let sent = producer.send_batch(&messages, 7, Patience::Now).unwrap();
    assert_eq!((sent.count, sent.last_sequence), (3, Some(producer.last_published_sequence())));
    assert_eq!(counted(&producer, ids::FRAME_PUBLISH_TOTAL), 4);
    assert_eq!(counted(&producer, ids::FRAME_BYTES_COPIED), 6 + 10 + 70);
    assert_eq!(counted(&producer, ids::EVENTS_PUBLISHED), counted(&producer, ids::FRAME_FRAGMENT_COUNT));
    let mut expected = vec![(1, b"before".to_vec())];
    expected.extend(messages.iter().map(|message| (7, message.clone())));
    assert_eq!(received(&mut consumer), expected);
    assert!(producer.is_consumed(sent.last_sequence.unwrap()));
    // Their numbers continue, and a single message follows them.
    producer.publish(b"after", 2).unwrap();
    assert_eq!(consumer.next(Patience::Now).unwrap().unwrap().msg_id(), 4);
    let nothing: [&[u8]; 0] = [];
    assert_eq!(producer.send_batch(nothing, 7, Patience::Now).unwrap(), Sent::default());
}

#[test]
fn a_batch_arrives_in_order_each_message_whole_and_counted() {
    in_every_format!(arrives_in_order);
}

/// Another handle of the counters sees it while the batch goes on.
fn counts_each<F: Subject>(place: Place) {
    let (mut producer, _consumer) = pair::<F>(&place);
    let counters = producer.ring_counters();
    let sum = |id: u32| -> u64 {
        counters.snapshot().iter().filter(|counter| counter.id == id).map(|counter| counter.value).sum()
    };
    let encode = |bytes: &mut [u8], index: usize| {
        assert_eq!(sum(ids::FRAME_PUBLISH_TOTAL), index as u64, "before message {index}");
        assert_eq!(sum(ids::EVENTS_PUBLISHED), sum(ids::FRAME_FRAGMENT_COUNT));
        bytes.get_mut(..20).ok_or(EncodeShort::Needs { len_bytes: 20 })?.fill(0);
        Ok(20)
    };
    assert_eq!(producer.send_batch_with(4, 1, 20, Patience::Now, encode).unwrap().count, 4);
    assert_eq!(sum(ids::FRAME_PUBLISH_TOTAL), 4);
}

#[test]
fn a_message_of_a_batch_is_counted_as_soon_as_it_can_be_read() {
    in_every_format!(counts_each);
}

fn goes_with_each<F: Subject>(place: Place) {
    let builder = TransportBuilder::<F>::new(&place, F::DEPTH);
    let mut producer = builder.clone().with_send_time(true).build_producer().unwrap();
    let mut consumer = builder.build_consumer().unwrap();
    let trace_id = *b"0123456789abcdef";
    producer.set_trace_id(Some(trace_id));
    let messages = [payload(10, 0), payload(70, 1), payload(0, 2)];
    let encode = |bytes: &mut [u8], index: usize| {
        let message = &messages[index];
        let room = bytes.get_mut(..message.len()).ok_or(EncodeShort::Needs { len_bytes: message.len() })?;
        room.copy_from_slice(message);
        Ok(message.len())
    };
    let before = monotonic_ns();
    let mut check = |is_reply: bool| {
        for expected in &messages {
            let message = consumer.next(Patience::Now).unwrap().unwrap();
            assert_eq!((message.to_vec(), message.trace_id()), (expected.clone(), Some(trace_id)));
            assert_eq!(message.timestamp_ns().is_some_and(|time| time >= before), !is_reply);
            assert_eq!(message.in_reply_to(), is_reply.then_some(5));
        }
    };
    producer.send_batch(&messages, 7, Patience::Now).unwrap();
    check(false);
    producer.send_batch_with(messages.len(), 7, 10, Patience::Now, encode).unwrap();
    check(false);
    producer.set_in_reply_to(Some(5));
    producer.send_batch(&messages, 7, Patience::Now).unwrap();
    check(true);
}

#[test]
fn what_a_sender_says_of_its_messages_goes_with_each_of_a_batch() {
    in_every_format!(goes_with_each);
}

fn says_how_far_it_came<F: Subject>(place: Place) {
    let (mut producer, mut consumer) = pair::<F>(&place);
    let messages: Vec<_> = (0..100).map(|number| payload(30, number)).collect();
    let mut next = 0;
    let full = producer.send_batch(&messages, 1, Patience::Now).unwrap_err();
    assert!(full.is_full() && full.sent.count > 1, "{full}");
    assert_eq!(full.to_string(), format!("after {} messages of the batch: the ring is full", full.sent.count));
    let late = producer.send_batch(&messages[full.sent.count..], 1, soon()).unwrap_err();
    assert!(late.is_timed_out() && late.sent == Sent::default(), "{late}");
    let mut check = |consumer: &mut TransportConsumer<F>, sent: Sent| {
        let expected: Vec<_> = messages[next..next + sent.count].iter().map(|message| (1, message.clone())).collect();
        assert_eq!(received(consumer), expected);
        next += sent.count;
    };
    check(&mut consumer, full.sent);
    // A message that can never be sent ends a batch at once, and the messages before it are sent.
    let huge = vec![0; 1 << 20];
    let batch = [messages[full.sent.count].as_slice(), &huge, &[]];
    let too_large = producer.send_batch(batch, 1, Patience::Endless).unwrap_err();
    assert!(matches!(*too_large.error, TransportError::TooLarge { len_bytes: 1_048_576, .. }), "{too_large}");
    check(&mut consumer, too_large.sent);
    assert_eq!(too_large.sent.count, 1);
    let error: TransportError = too_large.into();
    assert!(matches!(error, TransportError::TooLarge { .. }));
}

#[test]
fn a_batch_that_ends_early_says_how_many_messages_were_sent_and_why_the_next_one_was_not() {
    in_every_format!(says_how_far_it_came);
}

fn keeps_what_was_finished<F: Subject>(place: Place) {
    let (mut producer, mut consumer) = pair::<F>(&place);
    let fill = |bytes: &mut [u8], index: usize| {
        bytes.get_mut(..20).ok_or(EncodeShort::Needs { len_bytes: 20 })?.fill(index as u8);
        Ok(20)
    };
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        producer.send_batch_with(5, 3, 20, Patience::Now, |bytes, index| match index {
            2 => resume_unwind(Box::new("a test")),
            _ => fill(bytes, index),
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(received(&mut consumer), [(3, vec![0; 20]), (3, vec![1; 20])]);
    let failed: BatchError<TransportError> = producer
        .send_batch_with(5, 4, 20, Patience::Now, |bytes, index| match index {
            1 => Err(CodecError::encode("mine", "no such token").into()),
            _ => fill(bytes, index),
        })
        .unwrap_err();
    assert!(matches!(*failed.error, TransportError::Codec(_)) && failed.sent.count == 1, "{failed}");
    assert_eq!(received(&mut consumer), [(4, vec![0; 20])]);
    assert_eq!(producer.send_batch_with(3, 5, 20, Patience::Now, fill).unwrap().count, 3);
    assert_eq!(received(&mut consumer).len(), 3);
    assert_eq!(counted(&producer, ids::FRAME_PUBLISH_TOTAL), 6, "what a panic ended is counted, too");
}

#[test]
fn what_was_finished_when_an_encoder_panics_or_fails_is_sent_and_nothing_of_the_rest() {
    in_every_format!(keeps_what_was_finished);
}

fn wakes_a_sleeper<F: Subject>(place: Place) {
    let (mut producer, _other) = pair::<F>(&place);
    let builder = TransportBuilder::<F>::new(&place, 0).with_wait_strategy(WaitStrategy::Block);
    let mut sleeper = builder.build_consumer().unwrap();
    let reader = std::thread::spawn(move || {
        (0..4).map(|_| sleeper.receive_owned(PATIENCE).unwrap().unwrap().0).collect::<Vec<_>>()
    });
    for round in 0..2 {
        // The reader may sleep by then or not: it gets the messages in either case.
        assert_eq!(producer.send_batch([b"one", b"two"], round, Patience::Endless).unwrap().count, 2);
    }
    assert_eq!(reader.join().unwrap(), [0, 0, 1, 1]);
}

#[test]
fn a_reader_that_sleeps_gets_all_of_a_batch() {
    in_every_format!(wakes_a_sleeper);
}
