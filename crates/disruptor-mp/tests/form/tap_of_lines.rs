//! Lines are no form of slots, for a tap either.

use disruptor_mp::{Lines, Tap};

fn watch(_: Tap<u64, Lines>) {}

fn main() {}
