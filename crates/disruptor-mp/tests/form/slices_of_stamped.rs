//! Between stamped events lie their stamps, so a batch of them is no slice.
use disruptor_mp::{BatchLease, Stamped};

fn read(batch: &BatchLease<'_, u64, Stamped>) -> u64 {
    batch.as_slices().0.iter().sum()
}

fn main() {}
