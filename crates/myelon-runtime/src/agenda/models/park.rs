//! Submit and park: a worker that is not woken is a deadlock, which loom reports.

use super::*;
use loom::thread::spawn;

#[test]
pub(crate) fn a_worker_that_sleeps_is_woken_by_a_submission() {
    explore(3, || {
        let (bench, mut owned) = bench(1);
        let working = {
            let (bench, own) = (Arc::clone(&bench), owned.remove(0));
            spawn(move || assert_eq!(bench.wait(0, &own), 7))
        };
        bench.put(7);
        working.join().unwrap();
    });
}

/// Worker 0 takes one tasklet and never comes back: its tasklet is long. The other one must not wait for it.
fn the_rest_reaches_the_other_worker(from_outside: bool) {
    explore(2, move || {
        let (bench, mut owned) = bench(2);
        let second = owned.pop().unwrap();
        let first = owned.pop().unwrap();
        // Neither worker ends before both tasklets run, as if each tasklet waited for the other.
        let workers = [(0, first), (1, second)].map(|(me, own)| {
            let bench = Arc::clone(&bench);
            spawn(move || bench.wait(me, &own))
        });
        bench.board.put(Priority::Normal, 1);
        if from_outside {
            // One call for two: the worker that takes the first passes it on.
            bench.board.put(Priority::Normal, 2);
            bench.parked.wake_one(Priority::Normal);
        } else {
            bench.parked.wake_one(Priority::Normal);
            bench.put(2);
        }
        let mut got = workers.map(|worker| worker.join().unwrap());
        got.sort_unstable();
        assert_eq!(got, [1, 2]);
    });
}

#[test]
pub(crate) fn two_submissions_reach_two_workers() {
    the_rest_reaches_the_other_worker(false);
}

#[test]
pub(crate) fn a_wake_spreads() {
    the_rest_reaches_the_other_worker(true);
}

/// What a worker pushes into its own queue is stolen by a worker that sleeps.
#[test]
pub(crate) fn what_a_worker_pushes_wakes_a_thief() {
    explore(3, || {
        let (bench, mut owned) = bench(2);
        let thief = {
            let (bench, own) = (Arc::clone(&bench), owned.pop().unwrap());
            spawn(move || assert_eq!(bench.wait(1, &own), 7))
        };
        let own = owned.pop().unwrap();
        bench.board.push(&own, Priority::High, 7);
        bench.parked.wake_one(Priority::High);
        thief.join().unwrap();
    });
}

/// A thief and the owner take from one queue: each tasklet goes to one of them.
#[test]
pub(crate) fn what_is_stolen_is_not_popped() {
    explore(3, || {
        let (bench, mut owned) = bench(2);
        let own = owned.remove(0);
        for item in [1, 2] {
            bench.board.push(&own, Priority::Normal, item);
        }
        let thief = {
            let (bench, own) = (Arc::clone(&bench), owned.remove(0));
            spawn(move || std::iter::from_fn(|| bench.take(&own)).collect::<Vec<_>>())
        };
        let mut got = std::iter::from_fn(|| bench.take(&own)).collect::<Vec<_>>();
        got.extend(thief.join().unwrap());
        // The owner looks once more after the thief has gone: the thief may have moved some to its own queue, but it
        // takes all of that before it ends.
        got.sort_unstable();
        assert_eq!(got, [1, 2]);
    });
}
