//! Lines are no form of slots.

use disruptor_mp::{Lines, SharedConsumer};

fn read(_: SharedConsumer<u64, Lines>) {}

fn main() {}
