//! The end of a ring of records is no end of a ring of events.

use disruptor_mp::{ConsumerEnd, RecordConsumer, SharedConsumer, Slots};

fn exchange(_: &mut ConsumerEnd<Slots<u64>>, _: &mut ConsumerEnd<Slots<u64>>) {}

fn swap(events: &mut SharedConsumer<u64>, records: &mut RecordConsumer) {
    exchange(events, records);
}

fn main() {}
