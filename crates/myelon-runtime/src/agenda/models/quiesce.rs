//! Quiesce and rest, quiesce and submit, two that quiesce: a closure runs alone, and its effect is seen afterwards.

use super::*;
use crate::agenda::parked::Parker;
use crate::agenda::safe_point::{Member, SafePoints};
use crate::requests::models::{FIRST, asked};
use loom::sync::atomic::AtomicU32;
use loom::thread::{spawn, yield_now};
use std::time::Duration;

/// What tasklets and closures change without any order of their own: if one runs beside another, or does not see what
/// an earlier one has done, a change is lost.
struct Table {
    points: SafePoints,
    changes: AtomicU32,
    inside: AtomicU32,
}

impl Table {
    fn new() -> Arc<Self> {
        Arc::new(Self { points: SafePoints::new(), changes: AtomicU32::new(0), inside: AtomicU32::new(0) })
    }

    fn change(&self) {
        assert_eq!(self.inside.load(Ordering::Relaxed), 0, "{BESIDE}");
        self.inside.store(1, Ordering::Relaxed);
        self.changes.store(self.changes.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        self.inside.store(0, Ordering::Relaxed);
    }

    fn quiesce(&self) {
        self.points.quiesce("change".into(), Duration::MAX, || self.change()).unwrap();
    }

    /// A thread that does `steps` as a party.
    fn party(self: &Arc<Self>, steps: impl FnOnce(&Self, &Member) + Send + 'static) -> loom::thread::JoinHandle<()> {
        let table = Arc::clone(self);
        spawn(move || {
            let member = table.points.join("a party".into(), Box::new(|| None));
            steps(&table, &member);
            table.points.leave(&member);
        })
    }

    fn assert_changes(&self, wanted: u32) {
        assert_eq!(self.changes.load(Ordering::Relaxed), wanted, "{BESIDE}");
    }
}

#[test]
pub(crate) fn a_closure_is_alone_with_a_party_that_rests_in_between() {
    explore(3, || {
        let table = Table::new();
        let party = table.party(|table, member| {
            table.points.look(member);
            table.change();
            table.points.rest(member, || ());
            table.change();
        });
        table.quiesce();
        party.join().unwrap();
        table.assert_changes(3);
    });
}

/// The party sleeps until the closure has run: the closure must not wait for it.
#[test]
pub(crate) fn a_party_that_rests_does_not_hold_up_a_closure() {
    explore(3, || {
        let table = Table::new();
        let parker = Arc::new(Parker::new());
        let sleeping = Arc::clone(&parker);
        let party = table.party(move |table, member| {
            table.change();
            table.points.rest(member, || sleeping.park(None));
            table.change();
        });
        table
            .points
            .quiesce("change and call".into(), Duration::MAX, || {
                table.change();
                parker.call();
            })
            .unwrap();
        party.join().unwrap();
        table.assert_changes(3);
    });
}

/// The party works until the closure has run: it must see that it is asked.
#[test]
pub(crate) fn a_party_that_works_on_stops_at_its_next_look() {
    explore(2, || {
        let table = Table::new();
        let party = table.party(|table, member| {
            while table.changes.load(Ordering::Relaxed) == 0 {
                table.points.look(member);
                yield_now();
            }
            table.points.look(member);
            table.change();
        });
        table.quiesce();
        party.join().unwrap();
        table.assert_changes(2);
    });
}

#[test]
pub(crate) fn two_closures_do_not_run_at_once() {
    explore(3, || {
        let table = Table::new();
        let other = {
            let table = Arc::clone(&table);
            spawn(move || table.quiesce())
        };
        table.quiesce();
        other.join().unwrap();
        table.assert_changes(2);
    });
}

/// A party asks while another thread asks. Each counts the party as stopped.
#[test]
pub(crate) fn a_party_that_asks_does_not_hold_up_another_that_asks() {
    explore(2, || {
        let table = Table::new();
        let party = table.party(|table, member| {
            table.points.look(member);
            table.change();
            table.quiesce();
            table.points.look(member);
            table.change();
        });
        table.quiesce();
        party.join().unwrap();
        table.assert_changes(4);
    });
}

/// A worker that sleeps, one tasklet that is submitted, one closure.
#[test]
pub(crate) fn a_tasklet_that_is_submitted_during_a_closure_runs_before_or_after_it() {
    explore(2, || {
        let table = Table::new();
        let (bench, mut owned) = bench(1);
        let worker = {
            let (bench, own) = (Arc::clone(&bench), owned.remove(0));
            table.party(move |table, member| {
                loop {
                    table.points.look(member);
                    if bench.take(&own).is_some() {
                        return table.change();
                    }
                    table
                        .points
                        .rest(member, || bench.parked.sleep(0, Priority::Low, None, || bench.board.any(Priority::Low)));
                }
            })
        };
        let submitting = spawn(move || bench.put(7));
        table.quiesce();
        submitting.join().unwrap();
        worker.join().unwrap();
        table.assert_changes(2);
    });
}

/// A loop that sleeps until the closure has asked it for something: the closure must not wait for it, and what it asked
/// for is done after it.
#[test]
pub(crate) fn a_loop_that_sleeps_does_not_hold_up_a_closure_that_asks_it() {
    explore(3, || {
        let table = Table::new();
        let asked = asked();
        let of_loop = Arc::clone(&asked);
        let party = table.party(move |table, member| {
            while of_loop.take(FIRST) == 0 {
                of_loop.look_with(|sleep| table.points.rest(member, sleep));
            }
            table.points.look(member);
            table.change();
        });
        table
            .points
            .quiesce("change and ask".into(), Duration::MAX, || {
                table.change();
                asked.ask(FIRST);
            })
            .unwrap();
        party.join().unwrap();
        table.assert_changes(2);
    });
}
