//! One scheduler and its workers, broadcasts and responses over rings, in one thread, with every order and every death
//! from a seed.
//!
//! | what must not happen | shown by |
//! |---|---|
//! | a reader gets anything but the next message at its position | [`model`], in every step of every run |
//! | a message that was handed out before is not marked as such, or another is | the same |
//! | a part of a message that a dead sender was writing is ever seen | the same: contents are compared |
//! | an actor hangs although all that died are back | the end of each run |
//! | a run that cannot be replayed | `every_run_replays_from_its_seed_and_no_two_are_the_same` |
//!
//! `MYELON_DST_SEED=17 cargo test -p myelon --features dst --test simulation` replays the run of seed 17.
#![deny(unsafe_code)]

mod exchange;
mod model;

use exchange::{Seen, World};
use myelon::dst::seeds;
use std::collections::HashSet;
use std::time::Duration;
use testkit::watchdog::Watchdog;

/// The number of runs: some seconds in all, with each run done twice.
const RUNS: u64 = 300;

#[test]
fn every_run_replays_from_its_seed_and_no_two_are_the_same() {
    let _watchdog = Watchdog::new(Duration::from_secs(120), "the simulated runs");
    let seeds = seeds(RUNS);
    let mut hashes = HashSet::new();
    let mut seen = Seen::default();
    for &seed in &seeds {
        let (first, of_first) = World::new(seed).run();
        let (second, _) = World::new(seed).run();
        assert_eq!(first, second, "seed {seed} does not replay");
        assert!(hashes.insert(first), "seed {seed} is the same run as another");
        seen.add(of_first);
    }
    eprintln!("{} runs: {seen:?}", seeds.len());
    if seeds.len() > 100 {
        assert!(seen.is_complete(), "something never happened: {seen:?}");
    }
}
