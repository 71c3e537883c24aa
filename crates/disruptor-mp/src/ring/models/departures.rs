//! Departures: a producer that finds a changed count finds what the departed consumer wrote in its entry.

use super::*;
use crate::ring::protocol::ending::Ending;
use loom::thread::spawn;

#[test]
pub(super) fn a_counted_departure_is_found_in_the_entry_of_who_left() {
    explore(None, 1, || depart(|entry| entry.set_free_after(0), |entry| assert!(!entry.status().gates(), "{UNFOUND}")));
}

#[test]
pub(super) fn a_counted_departure_is_found_in_the_entry_of_who_was_dropped() {
    explore(None, 1, || {
        depart(
            |entry| entry.set_ending(0, Ending::Panicked),
            |entry| assert_eq!(entry.ending(entry.status()), Some(Ending::Panicked), "{UNFOUND}"),
        )
    });
}

/// A consumer goes by `say` and counts itself; the producer compares the count, as a managed publish does. Returns
/// whether it found another count.
fn depart(say: fn(&Entry), find: fn(&Entry)) -> i64 {
    let ring = ring(1);
    consumer(&ring, 0, Announce::Registered);
    let going = {
        let ring = Arc::clone(&ring);
        spawn(move || {
            say(ring.entry(0));
            ring.control().gate.count_departure();
        })
    };
    let gate = &ring.control().gate;
    let is_counted = gate.departures_now() != 0;
    if is_counted {
        gate.departures();
        find(ring.entry(0));
    }
    going.join().unwrap();
    is_counted.into()
}
