//! What `Debug` says of ends and of what they hand out: place, process and sequence; never the content of an event.

use crate::stage::{join, publish, ring, step};
use disruptor_mp::{Patience, Place, SharedDisruptorBuilder};
use std::fmt::Debug;

/// None of them may be shown: not in decimal or hexadecimal digits, as bytes or as a number.
const SECRET: [u8; 4] = [211, 211, 211, 211];

#[track_caller]
fn shows(what: &dyn Debug, wanted: &[&str]) {
    let shown = format!("{what:?}");
    for wanted in wanted {
        assert!(shown.contains(wanted), "{shown} does not say {wanted}");
    }
    for secret in ["211", "d3d3", "3553874899"] {
        assert!(!shown.contains(secret), "{shown} shows what is in an event");
    }
}

#[test]
fn ends_and_leases_of_events_say_where_who_and_which_and_no_contents() {
    let place = Place::heap();
    let mut producer = ring(&place, 8).build_producer(step).unwrap();
    let mut consumer = join(&place, "reader");
    let mut tap = ring(&place, 0).build_tap().unwrap();
    publish(&mut producer, 3);
    producer.publish(|slot| slot.payload = [u64::from(u32::from_ne_bytes(SECRET)); 3]).unwrap();
    shows(&producer, &["SharedProducer", "heap", "origin: Created", "capacity: 8", "next_sequence: 4"]);
    consumer.skip();
    shows(&consumer, &["SharedConsumer", "heap", "id: \"reader\"", "capacity: 8", "next_sequence: 1"]);
    consumer.skip();
    shows(&consumer.try_consume_next_leased().unwrap(), &["Lease", "sequence: 2", "redeliveries: 0"]);
    shows(&consumer.try_consume_batch_leased(8).unwrap(), &["BatchLease", "first_sequence: 3", "len: 1"]);
    tap.try_next().unwrap();
    shows(&tap, &["Tap", "heap", "next_sequence: 1", "missed: 0"]);
}

#[test]
fn ends_claims_and_leases_of_records_say_where_who_and_which_and_no_contents() {
    let place = Place::heap();
    let mut producer = SharedDisruptorBuilder::records(&place, 4096).build_record_producer().unwrap();
    let builder = SharedDisruptorBuilder::records(&place, 0).with_consumer_id("reader");
    let mut consumer = builder.build_record_consumer().unwrap();
    for _ in 0..2 {
        // Longer than a line: the numbers in the output count records.
        producer.publish(&SECRET.repeat(50), 7, 1, Patience::Now).unwrap();
    }
    shows(&producer, &["RecordProducer", "heap", "next_sequence: 2"]);
    let mut claim = producer.claim(12, Patience::Now).unwrap();
    claim.fill(SECRET[0]);
    shows(&claim, &["RecordClaim", "len_bytes: 12", "next_sequence: 2"]);
    drop(claim);
    shows(&producer.batch(), &["RecordBatch", "next_sequence: 2"]);
    let mut tap = SharedDisruptorBuilder::records(&place, 0).build_tap().unwrap();
    producer.publish(&SECRET, 7, 1, Patience::Now).unwrap();
    shows(&tap, &["RecordTap", "heap", "next_sequence: 2", "missed: 0"]);
    shows(&tap.next(Patience::Now).unwrap().unwrap(), &["RecordCopy", "sequence: 2", "kind: 7", "len_bytes: 4"]);
    drop(consumer.next(Patience::Now).unwrap());
    shows(&consumer, &["RecordConsumer", "heap", "id: \"reader\"", "next_sequence: 1"]);
    let lease = consumer.next(Patience::Now).unwrap().unwrap();
    shows(&lease, &["RecordLease", "sequence: 1", "kind: 7", "flags: 1", "len_bytes: 200"]);
    drop(lease);
    let batch = consumer.next_batch(8, Patience::Now).unwrap().unwrap();
    shows(&batch, &["RecordBatchLease", "first_sequence: 2", "len: 1"]);
}
