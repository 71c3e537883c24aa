//! Records: where they end when their producer is gone.

use crate::ring::ends::producer_face::HasProducer;
use crate::ring::protocol::memory::Memory;
use crate::ring::protocol::sequencer::Sequencer;
use crate::sync::announce::Announce;
use crate::sync::primitive::Ordering;
use crate::{Patience, Place, SharedDisruptorBuilder};

#[test]
fn a_record_whose_cursor_was_not_stored_is_published_although_nobody_gates() {
    let mut producer = SharedDisruptorBuilder::records(Place::heap(), 1024).build_record_producer().unwrap();
    let memory = producer.base().memory().clone();
    producer.publish(&[1; 40], 0, 0, Patience::Now).unwrap();
    producer.publish(&[2; 100], 0, 0, Patience::Now).unwrap();
    // Killed between the word of the second and the cursor, while a consumer is joining at the end of the first.
    memory.control().cursor.publish(1);
    let next = Sequencer::take_over(memory.clone(), Announce::Fenced);
    assert_eq!((next.next(), next.next_number()), (3, 2));
}

#[test]
fn gates_tell_where_the_end_is_although_the_high_water_was_forged() {
    let place = Place::heap();
    let builder = SharedDisruptorBuilder::records(place.clone(), 1024);
    let mut producer = builder.build_record_producer().unwrap();
    let _consumer = SharedDisruptorBuilder::records(place, 0).build_record_consumer().unwrap();
    producer.publish(&[1; 100], 0, 0, Patience::Now).unwrap();
    let memory = producer.base().memory().clone();
    let end = memory.control().cursor.acquire();
    // No record begins there, and only the gate at 0 leads to one.
    memory.control().cursor.publish(1);
    memory.control().gate.high_water.store(0, Ordering::Relaxed);
    let next = Sequencer::take_over(memory.clone(), Announce::Fenced);
    assert_eq!((next.next(), next.next_number()), (end, 1));
}

#[test]
fn a_cursor_beyond_what_was_claimed_is_not_believed_although_nobody_gates() {
    let mut producer = SharedDisruptorBuilder::records(Place::heap(), 4096).build_record_producer().unwrap();
    let memory = producer.base().memory().clone();
    for _ in 0..80 {
        producer.publish(&[1; 40], 0, 0, Patience::Now).unwrap();
    }
    let (end, claimed) = (memory.control().cursor.acquire(), memory.control().claimed.load());
    assert!((end..end + 64).contains(&claimed) && claimed < memory.control().gate.claim_limit_at_most() + 1);
    // Where a record was a lap ago: its words lead on.
    memory.control().gate.set_claim_limit(end + 64);
    memory.control().cursor.publish(claimed + 3);
    let mut next = Sequencer::take_over(memory.clone(), Announce::Fenced);
    assert_eq!((next.next(), next.next_number(), next.take_forged()), (end, 80, 1));
}

#[test]
fn a_forged_claimed_moves_no_end() {
    for lie in [i64::MIN, -1, 1, 20, i64::MAX] {
        let place = Place::heap();
        let mut producer = SharedDisruptorBuilder::records(place.clone(), 4096).build_record_producer().unwrap();
        let _consumer = SharedDisruptorBuilder::records(place, 0).build_record_consumer().unwrap();
        for _ in 0..30 {
            producer.publish(&[1; 40], 0, 0, Patience::Now).unwrap();
        }
        let memory = producer.base().memory().clone();
        memory.control().claimed.store(lie);
        let next = Sequencer::take_over(memory.clone(), Announce::Fenced);
        assert_eq!((next.next(), next.next_number()), (30, 30), "{lie}");
        assert!((30..30 + 64).contains(&memory.control().claimed.load()), "{lie}");
    }
}

/// A gap may be beyond what its record has claimed. Taps go by that word, so it must move first.
#[test]
fn a_header_behind_a_gap_is_claimed_too_and_no_gap_is_lost_for_want_of_a_claim() {
    let place = Place::heap();
    let mut producer = SharedDisruptorBuilder::records(place.clone(), 1 << 20).build_record_producer().unwrap();
    let mut consumer = SharedDisruptorBuilder::records(place, 0).build_record_consumer().unwrap();
    let memory = producer.base().memory().clone();
    let end = || memory.control().cursor.acquire();
    let (mut without, mut begin) = (0, 0);
    for number in 0..500 {
        producer.publish(&[1; 16_384], 0, 0, Patience::Now).unwrap();
        assert!(memory.control().claimed.load() > end(), "record {number}");
        // 257 lines and a gap of 128.
        without += u32::from(end() - begin != 257 + 128);
        begin = end();
        drop(consumer.next(Patience::Now).unwrap().unwrap());
    }
    // Until the reader is known to keep up, and once a lap, where the producer must look how much is free.
    assert!(without <= 2 + 500 * 385 / 16_384 + 1, "{without} of 500 records do not have all their gap");
}
