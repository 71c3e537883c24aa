//! Batches of records: taken together, acknowledged together, partly given back.

use crate::stage::{everywhere, in_ms, watchdog};
use disruptor_mp::counters::ids;
use disruptor_mp::segment::Place;
use disruptor_mp::{ConsumeError, HeldRecordBatch, Patience, RecordConsumer, RecordProducer, SharedDisruptorBuilder};
use std::panic::{AssertUnwindSafe, catch_unwind};

fn ends(place: &Place) -> (RecordProducer, RecordConsumer) {
    let producer = SharedDisruptorBuilder::records(place.clone(), 4096).build_record_producer().unwrap();
    (producer, consumer(place))
}

fn consumer(place: &Place) -> RecordConsumer {
    SharedDisruptorBuilder::records(place.clone(), 0).with_consumer_id("w").build_record_consumer().unwrap()
}

/// Publishes `count` records of different lengths. Each contains its own number.
fn publish(producer: &mut RecordProducer, count: usize) {
    for _ in 0..count {
        let number = producer.last_published_sequence() + 1;
        producer.publish(&vec![number as u8; number as usize * 53 % 200], number as u8, 0, Patience::Now).unwrap();
    }
}

/// The next batch of at most `max` records, each of which must be whole and in its place. Returns its first number,
/// length and redeliveries.
#[track_caller]
fn look(consumer: &mut RecordConsumer, max: usize) -> Option<(i64, usize, Vec<u32>)> {
    let batch = consumer.next_batch(max, Patience::Now).unwrap()?;
    let (first, len) = (batch.first_sequence(), batch.len());
    let mut redeliveries = vec![];
    for (number, (bytes, meta)) in (first..).zip(batch.iter()) {
        assert_eq!((meta.sequence, meta.kind), (number, number as u8));
        assert_eq!(bytes, vec![number as u8; number as usize * 53 % 200]);
        redeliveries.push(meta.redeliveries);
    }
    assert_eq!(redeliveries.len(), len);
    batch.release_first(0);
    Some((first, len, redeliveries))
}

#[test]
fn a_batch_of_records_is_acknowledged_as_a_whole_when_it_is_dropped() {
    everywhere(|place| {
        let (mut producer, mut consumer) = ends(&place);
        let mut first = 0;
        for count in (1..12).cycle().take(60) {
            publish(&mut producer, count);
            let batch = consumer.next_batch(100, Patience::Now).unwrap().unwrap();
            assert_eq!((batch.first_sequence(), batch.len()), (first, count));
            assert_eq!(producer.consumer_sequence("w"), Some(first - 1), "acknowledged before it was dropped");
            drop(batch);
            first += count as i64;
            assert_eq!(producer.consumer_sequence("w"), Some(first - 1));
        }
        assert!(consumer.next_batch(100, Patience::Now).unwrap().is_none());
        let late = consumer.next_batch(100, Patience::Until(in_ms(1))).map(drop);
        assert!(matches!(late, Err(ConsumeError::TimedOut { .. })));
        drop(producer);
        assert!(matches!(consumer.next_batch(1, Patience::Endless).map(drop), Err(ConsumeError::Closed)));
    });
}

#[test]
fn a_batch_has_no_more_records_than_were_asked_for_and_what_is_given_back_comes_again() {
    everywhere(|place| {
        let (mut producer, mut consumer) = ends(&place);
        publish(&mut producer, 10);
        assert_eq!(look(&mut consumer, 3), Some((0, 3, vec![0; 3])));
        consumer.next_batch(7, Patience::Now).unwrap().unwrap().release_first(4);
        assert_eq!(producer.consumer_sequence("w"), Some(3));
        assert_eq!(look(&mut consumer, 100), Some((4, 6, vec![0; 6])));
        drop(consumer.next_batch(100, Patience::Now).unwrap());
        assert_eq!(look(&mut consumer, 100), None);
    });
}

#[test]
fn a_panic_gives_the_batch_back_and_its_records_come_one_by_one_and_marked() {
    everywhere(|place| {
        let (mut producer, mut consumer) = ends(&place);
        publish(&mut producer, 6);
        drop(consumer.next_batch(2, Patience::Now).unwrap());
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _batch = consumer.next_batch(3, Patience::Now).unwrap().unwrap();
            std::panic::resume_unwind(Box::new("in a handler"));
        }));
        assert!(panicked.is_err());
        for number in 2..5 {
            assert_eq!(look(&mut consumer, 100), Some((number, 1, vec![1])));
            assert!(consumer.skip().unwrap());
        }
        assert_eq!(look(&mut consumer, 100), Some((5, 1, vec![0])));
    });
}

#[test]
fn records_of_a_batch_that_was_in_hand_at_a_death_come_again_one_by_one_and_marked() {
    let _watchdog = watchdog();
    let place = Place::memfd("batch");
    let (mut producer, consumer) = ends(&place);
    publish(&mut producer, 5);
    // The panic also drops the consumer, which keeps its entry.
    let panicked = catch_unwind(AssertUnwindSafe(move || {
        let mut consumer = consumer;
        let _batch = consumer.next_batch(4, Patience::Now).unwrap().unwrap();
        std::panic::resume_unwind(Box::new("in a handler"));
    }));
    assert!(panicked.is_err());
    let mut again = super::record_batches::consumer(&place);
    assert!(again.has_rejoined());
    for number in 0..4 {
        let (first, len, redeliveries) = look(&mut again, 100).unwrap();
        assert_eq!((first, len), (number, 1));
        assert!(redeliveries[0] > 0, "record {number} is not marked");
        assert!(again.skip().unwrap());
    }
    assert_eq!(look(&mut again, 100), Some((4, 1, vec![0])));
}

#[test]
fn a_batch_lies_across_the_padding_of_a_ring_that_starts_over() {
    let _watchdog = watchdog();
    let place = Place::heap();
    let mut producer = SharedDisruptorBuilder::records(place.clone(), 16 << 20).build_record_producer().unwrap();
    let mut consumer = consumer(&place);
    // A working set of 4 MiB is read as it comes; then the ring starts over, with one piece of padding.
    let mut number = 0;
    for _ in 0..100 {
        for _ in 0..3 {
            producer.publish(&vec![1; 20_000], number as u8, 0, Patience::Now).unwrap();
        }
        let batch = consumer.next_batch(10, Patience::Now).unwrap().unwrap();
        assert_eq!((batch.first_sequence(), batch.len(), batch.iter().count()), (number, 3, 3));
        number += 3;
    }
}

/// The numbers of a held batch, whose records must be whole.
#[track_caller]
fn numbers(batch: &HeldRecordBatch) -> Vec<i64> {
    let numbers: Vec<_> = batch
        .iter()
        .map(|(bytes, meta)| {
            let number = meta.sequence;
            assert_eq!((bytes, meta.kind), (&vec![number as u8; number as usize * 53 % 200][..], number as u8));
            assert_eq!(meta.redeliveries, batch.redeliveries());
            number
        })
        .collect();
    assert_eq!((batch.first_sequence(), batch.len()), (numbers[0], numbers.len()));
    numbers
}

fn consumed(producer: &RecordProducer, id: u32) -> u64 {
    let counters = producer.ring_counters().snapshot();
    counters.into_iter().filter(|counter| counter.id == id).map(|counter| counter.value).sum()
}

#[test]
fn a_batch_of_records_is_held_released_and_given_back_as_one_message() {
    everywhere(|place| {
        let (mut producer, mut consumer) = ends(&place);
        consumer.keep_place();
        publish(&mut producer, 10);
        let batch = consumer.next_batch(4, Patience::Now).unwrap().unwrap().hold();
        assert_eq!((numbers(&batch), batch.redeliveries()), (vec![0, 1, 2, 3], 0));
        let held = consumer.next_held(Patience::Now).unwrap().unwrap();
        assert_eq!(held.sequence(), 4);
        held.release();
        assert_eq!(producer.consumer_sequence("w"), Some(-1), "the oldest is held");
        assert_eq!(producer.consumers()[0].held.as_ref().unwrap().sequences, [0, 1, 2, 3]);
        // Given back in another thread, and handed out again before newer ones.
        std::thread::spawn(move || drop(batch)).join().unwrap();
        let batch = consumer.next_batch(100, Patience::Now).unwrap().unwrap().hold();
        assert_eq!((numbers(&batch), batch.redeliveries()), (vec![0, 1, 2, 3], 1));
        assert_eq!(consumed(&producer, ids::EVENTS_CONSUMED), 1);
        std::thread::spawn(move || batch.release()).join().unwrap();
        assert_eq!(producer.consumer_sequence("w"), Some(4));
        let lengths = |numbers: std::ops::Range<usize>| numbers.map(|number| number * 53 % 200).sum::<usize>() as u64;
        let counted = [ids::EVENTS_CONSUMED, ids::EVENTS_CONSUMED_BYTES].map(|id| consumed(&producer, id));
        assert_eq!(counted, [5, lengths(0..5)]);
        // Dropped with its consumer: the successor gets them one by one.
        let batch = consumer.next_batch(3, Patience::Now).unwrap().unwrap().hold();
        drop(consumer);
        assert!(producer.consumers()[0].alive, "the entry is there as long as the batch is");
        assert_eq!(numbers(&batch), [5, 6, 7]);
        drop(batch);
        let mut again = super::record_batches::consumer(&place);
        for number in 5..8 {
            assert_eq!(look(&mut again, 100), Some((number, 1, vec![1])));
            assert!(again.skip().unwrap());
        }
        assert_eq!(look(&mut again, 100), Some((8, 2, vec![0; 2])));
    });
}

#[test]
fn a_part_of_a_batch_of_records_that_came_back_can_be_taken() {
    everywhere(|place| {
        let (mut producer, mut consumer) = ends(&place);
        publish(&mut producer, 8);
        drop(consumer.next_batch(5, Patience::Now).unwrap().unwrap().hold());
        // One, two, and the rest.
        drop(consumer.next(Patience::Now).unwrap().unwrap());
        assert_eq!(producer.consumer_sequence("w"), Some(0));
        let part = consumer.next_batch(2, Patience::Now).unwrap().unwrap().hold();
        assert_eq!(numbers(&part), [1, 2]);
        part.release();
        assert_eq!(producer.consumer_sequence("w"), Some(2));
        assert_eq!(consumed(&producer, ids::EVENTS_CONSUMED), 3);
        let rest = consumer.next_batch(100, Patience::Now).unwrap().unwrap();
        assert_eq!((rest.first_sequence(), rest.len()), (3, 2));
        drop(rest);
        assert_eq!(producer.consumer_sequence("w"), Some(4));
        let lengths: usize = (0..5).map(|number| number * 53 % 200).sum();
        let counted = [ids::EVENTS_CONSUMED, ids::EVENTS_CONSUMED_BYTES].map(|id| consumed(&producer, id));
        assert_eq!(counted, [5, lengths as u64]);
        assert_eq!(look(&mut consumer, 100), Some((5, 3, vec![0; 3])));
    });
}

/// Held records do not change: the ring is full of them, or it wraps with newer records.
#[test]
fn a_batch_of_records_that_is_held_is_not_overwritten() {
    everywhere(|place| {
        let (mut producer, mut consumer) = ends(&place);
        publish(&mut producer, 12);
        let batch = consumer.next_batch(7, Patience::Now).unwrap().unwrap().hold();
        while producer.publish(&[9; 60], 9, 0, Patience::Now).is_ok() {}
        while consumer.next(Patience::Now).unwrap().is_some() {}
        while producer.publish(&[9; 60], 9, 0, Patience::Now).is_ok() {}
        assert_eq!(numbers(&batch), [0, 1, 2, 3, 4, 5, 6]);
        batch.release();
        assert!(producer.publish(&[9; 60], 9, 0, Patience::Now).is_ok());
    });
}

#[test]
fn a_batch_whose_end_is_damaged_is_held_without_its_last_record() {
    let _watchdog = watchdog();
    let dir = crate::stage::TempDir::new();
    let path = dir.path().join("ring");
    let (mut producer, mut consumer) = ends(&Place::from(path.as_path()));
    for _ in 0..4 {
        producer.publish(&[7; 40], 7, 0, Patience::Now).unwrap();
    }
    let plan = disruptor_mp::plan_records(4096, disruptor_mp::DEFAULT_MAX_CONSUMERS).unwrap();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &77_i64.to_ne_bytes(), plan.slots.offset + 4 * 64 + 8).unwrap();
    let batch = consumer.next_batch(100, Patience::Now).unwrap().unwrap();
    assert_eq!(batch.len(), 4);
    let batch = batch.hold();
    assert_eq!((batch.len(), batch.iter().count()), (3, 3));
    drop(batch);
    let again = consumer.next_batch(100, Patience::Now).unwrap().unwrap().hold();
    assert_eq!((again.first_sequence(), again.len()), (0, 3), "given back, and none is lost");
    again.release();
    assert_eq!(producer.consumer_sequence("w"), Some(2));
    assert_eq!(consumer.next(Patience::Now).unwrap().unwrap().sequence(), 3);
}
