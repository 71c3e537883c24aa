//! An end is no reference to what ends of its side have in common: two of them cannot be exchanged in part.

use disruptor_mp::{RecordConsumer, RecordProducer, SharedConsumer, SharedProducer};
use std::mem::swap;

fn records(one: &mut RecordProducer, other: &mut RecordProducer) {
    swap(&mut **one, &mut **other);
}

fn events(one: &mut SharedProducer<u64>, other: &mut SharedProducer<u64>) {
    swap(&mut **one, &mut **other);
}

fn readers(one: &mut RecordConsumer, other: &mut RecordConsumer) {
    swap(&mut **one, &mut **other);
}

fn readers_of_events(one: &mut SharedConsumer<u64>, other: &mut SharedConsumer<u64>) {
    swap(&mut **one, &mut **other);
}

/// Where an end is wanted, another kind of end is none.
fn kinds(events: &mut SharedConsumer<u64>, records: &mut RecordConsumer) {
    swap(events, records);
}

fn main() {}
