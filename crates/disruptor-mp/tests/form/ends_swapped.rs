//! The end of a ring of records is no end of a ring of events.

use disruptor_mp::{ConsumerEnd, RecordConsumer, SharedConsumer, Slots};

fn swap(events: &mut SharedConsumer<u64>, records: &mut RecordConsumer) {
    std::mem::swap::<ConsumerEnd<Slots<u64>>>(events, records);
}

fn main() {}
