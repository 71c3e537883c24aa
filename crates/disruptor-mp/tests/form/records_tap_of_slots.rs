//! The tap of a ring of records yields no events.

use disruptor_mp::{SharedDisruptorBuilder, Tap};

fn main() {
    let _: Tap<u64> = SharedDisruptorBuilder::records("ring", 0).build_tap().unwrap();
}
