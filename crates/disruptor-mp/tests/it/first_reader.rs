//! A ring that no consumer has ever read keeps its events for its first reader, as long as they are there.

use crate::stage::{drain, everywhere, fill, join, publish, ring, step};
use disruptor_mp::counters::ids;
use disruptor_mp::{CountersFile, Patience, SharedDisruptorBuilder, StartAt, attach_shared_consumer};

#[test]
fn what_was_published_before_anybody_came_is_there_for_the_first_reader() {
    everywhere(|place| {
        let mut producer = ring(&place, 8).build_producer(step).unwrap();
        publish(&mut producer, 1);
        assert_eq!(drain(&mut join(&place, "first")), [0]);
    });
}

#[test]
fn the_first_reader_gets_at_least_seven_eighths_of_a_lap() {
    everywhere(|place| {
        for published in [63, 64, 65, 71, 72, 73, 100, 128, 129, 500] {
            let place = if place.to_string().starts_with("heap") { disruptor_mp::Place::heap() } else { place.clone() };
            let mut producer = ring(&place, 64).build_producer(step).unwrap();
            publish(&mut producer, published);
            let seen = drain(&mut join(&place, "first"));
            assert_eq!(seen.last().copied(), Some(published as i64 - 1));
            assert!(seen.len() >= 56.min(published), "{} events of {published}", seen.len());
            assert!(seen.is_sorted_by(|a, b| a + 1 == *b), "{seen:?}");
            drop(producer);
        }
    });
}

#[test]
fn a_batch_as_large_as_the_ring_is_published_although_nobody_reads() {
    everywhere(|place| {
        let mut producer = ring(&place, 64).build_producer(step).unwrap();
        for round in 1..5 {
            assert_eq!(
                producer.try_publish_batch(64, |slot, i| slot.sequence = (round - 1) * 64 + i as u64).unwrap(),
                round as i64 * 64 - 1
            );
        }
        assert_eq!(drain(&mut join(&place, "first")), Vec::from_iter(192..256));
    });
}

#[test]
fn later_readers_start_at_the_tail_whether_the_first_lives_or_has_left() {
    everywhere(|place| {
        let mut producer = ring(&place, 8).build_producer(step).unwrap();
        publish(&mut producer, 3);
        let mut first = join(&place, "first");
        assert_eq!(drain(&mut first), [0, 1, 2]);
        assert_eq!(drain(&mut join(&place, "second")), [0; 0], "beside a living one");
        drop(first);
        publish(&mut producer, 1);
        assert_eq!(drain(&mut join(&place, "third")), [0; 0], "after it has left");
    });
}

#[test]
fn a_reader_that_leaves_before_it_was_handed_anything_leaves_the_ring_unread() {
    everywhere(|place| {
        let mut producer = ring(&place, 8).build_producer(step).unwrap();
        publish(&mut producer, 3);
        drop(join(&place, "looks away"));
        let beside = join(&place, "looks away, and stays");
        let mut first = join(&place, "first");
        assert_eq!(first.try_consume_next_leased().unwrap().sequence(), 0);
        drop(beside);
        publish(&mut producer, 1);
        assert_eq!(drain(&mut first), [1, 2, 3]);
    });
}

#[test]
fn who_asks_for_the_tail_gets_it_from_an_unread_ring() {
    everywhere(|place| {
        let mut producer = ring(&place, 8).build_producer(step).unwrap();
        publish(&mut producer, 3);
        let mut tail = attach_shared_consumer(place.clone(), 0).start_at(StartAt::Tail).build_consumer().unwrap();
        publish(&mut producer, 1);
        assert_eq!(drain(&mut tail), [3]);
    });
}

#[test]
fn the_first_reader_gates_where_it_starts() {
    everywhere(|place| {
        let mut producer = ring(&place, 8).build_producer(step).unwrap();
        publish(&mut producer, 11);
        let mut first = join(&place, "first");
        let more = fill(&mut producer);
        let seen = drain(&mut first);
        assert_eq!(seen.len(), 8, "a lap from its start on: {more} after {seen:?}");
        assert_eq!(seen.last().copied(), Some(10 + more as i64));
    });
}

#[test]
fn every_event_is_handed_to_the_first_reader_or_counted_as_overwritten() {
    everywhere(|place| {
        let mut producer = ring(&place, 64).build_producer(step).unwrap();
        publish(&mut producer, 1000);
        let mut first = join(&place, "first");
        let unread = counted(&producer.ring_counters(), ids::OVERWRITTEN_UNREAD);
        assert_eq!(unread as usize + drain(&mut first).len(), 1000);
    });
}

#[test]
fn every_record_is_handed_to_the_first_reader_or_counted_as_overwritten() {
    everywhere(|place| {
        for len in [0, 40, 100, 1000, 3000] {
            let place = if place.to_string().starts_with("heap") { disruptor_mp::Place::heap() } else { place.clone() };
            let builder = SharedDisruptorBuilder::records(place.clone(), 16 << 10);
            let mut producer = builder.build_record_producer().unwrap();
            for _ in 0..1000 {
                producer.publish(&[7; 3000][..len], 1, 0, Patience::Now).unwrap();
            }
            let mut first = SharedDisruptorBuilder::records(place, 0).build_record_consumer().unwrap();
            let unread = counted(&producer.ring_counters(), ids::OVERWRITTEN_UNREAD);
            assert_eq!(unread as usize + first.process_available(|_, _| ()), 1000, "records of {len} bytes");
        }
    });
}

fn counted(counters: &CountersFile, id: u32) -> u64 {
    counters.snapshot().iter().filter(|counter| counter.id == id).map(|counter| counter.value).sum()
}

#[test]
fn the_first_reader_of_records_gets_what_was_published_before_it_came() {
    everywhere(|place| {
        let mut producer = SharedDisruptorBuilder::records(place.clone(), 4096).build_record_producer().unwrap();
        producer.publish(b"hello", 1, 0, Patience::Now).unwrap();
        let mut first = SharedDisruptorBuilder::records(place.clone(), 0).build_record_consumer().unwrap();
        assert_eq!(first.next(Patience::Now).unwrap().as_deref(), Some(&b"hello"[..]));
        let mut second = SharedDisruptorBuilder::records(place.clone(), 0).build_record_consumer().unwrap();
        assert!(second.next(Patience::Now).unwrap().is_none(), "a later reader starts at the tail");
    });
}
