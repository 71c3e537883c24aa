//! A ring of records has ends of its own.

use disruptor_mp::SharedDisruptorBuilder;

fn main() {
    let _ = SharedDisruptorBuilder::records("ring", 0).build_producer(|| 0_u64);
}
