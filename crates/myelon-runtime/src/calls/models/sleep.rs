//! Sleep and call: a group that is not woken is a deadlock, which loom reports.

use super::{NEWS_UNSEEN, RUNS_TWICE};
use crate::agenda::parked::Parker;
use crate::calls::{Calls, Sleep};
use crate::models::explore;
use crate::primitive::{AtomicU32, Ordering};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread::spawn;

/// A group with the two places at which it sleeps.
struct Group {
    calls: Calls,
    parked: Parker,
    doorbells: Parker,
    news: AtomicU32,
}

impl Group {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            calls: Calls::default(),
            parked: Parker::new(),
            doorbells: Parker::new(),
            news: AtomicU32::new(0),
        })
    }

    fn call(&self) {
        self.news.fetch_add(1, Ordering::Relaxed);
        match self.calls.call() {
            Some(Sleep::Parked) => self.parked.call(),
            Some(Sleep::AtDoorbells) => self.doorbells.call(),
            Some(Sleep::Away) => unreachable!("it has a thread"),
            None => {}
        }
    }
}

/// The group sleeps until it is called, and sees what the caller has done.
#[test]
pub(crate) fn a_group_that_is_called_does_not_sleep_on() {
    explore(3, || {
        let group = Group::new();
        let caller = Arc::clone(&group);
        let caller = spawn(move || caller.call());
        while !group.calls.clear() {
            if group.calls.announce(Sleep::Parked) {
                group.parked.park(None);
            }
        }
        assert_eq!(group.news.load(Ordering::Relaxed), 1, "{NEWS_UNSEEN}");
        caller.join().unwrap();
    });
}

#[test]
pub(crate) fn a_group_that_changes_the_way_in_which_it_sleeps_is_woken_in_the_one_or_the_other() {
    explore(3, || {
        let group = Group::new();
        let caller = Arc::clone(&group);
        let caller = spawn(move || caller.call());
        while !group.calls.clear() {
            // As a group whose doorbells say that there is nothing to wait for.
            if group.calls.announce(Sleep::AtDoorbells) && group.calls.change(Sleep::AtDoorbells, Sleep::Parked) {
                group.parked.park(None);
            }
        }
        caller.join().unwrap();
    });
}

/// A group without a thread of its own: what runs is `state`, which two must not touch at once.
struct Away {
    calls: Calls,
    state: UnsafeCell<u32>,
    runs: AtomicU32,
}

impl Away {
    /// One cycle: in the place where the group is, or where a caller has brought it.
    fn run(&self) {
        assert_eq!(self.runs.fetch_add(1, Ordering::Relaxed), 0, "{RUNS_TWICE}");
        // Loom reports an access that is not ordered after the last one.
        self.state.with_mut(|state| assert!(!state.is_null()));
        self.runs.fetch_sub(1, Ordering::Relaxed);
    }

    fn call(&self) -> bool {
        let brought = self.calls.call() == Some(Sleep::Away);
        if brought {
            self.run();
        }
        brought
    }
}

#[test]
pub(crate) fn a_group_that_is_away_is_brought_by_one_caller_or_goes_on_itself() {
    explore(3, || {
        let group = Arc::new(Away { calls: Calls::default(), state: UnsafeCell::new(0), runs: AtomicU32::new(0) });
        let callers = [(), ()].map(|()| {
            let group = Arc::clone(&group);
            spawn(move || group.call())
        });
        group.run();
        let goes_on = !group.calls.announce(Sleep::Away);
        if goes_on {
            group.run();
        }
        let brought = callers.map(|caller| caller.join().unwrap());
        let brought = brought.into_iter().filter(|brought| *brought).count();
        // Both may have called before the group looked; then it goes on, and no caller brings it.
        assert_eq!(brought + usize::from(goes_on), 1, "{RUNS_TWICE}");
    });
}
