//! A ring of events has no records.

use disruptor_mp::SharedDisruptorBuilder;

fn main() {
    let _ = SharedDisruptorBuilder::<u64>::new("ring", 8).build_record_producer();
}
