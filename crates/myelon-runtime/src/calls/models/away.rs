//! A group without a thread of its own: a caller that finds it away brings it to a thread.

use super::*;
use crate::primitive::{Mutex, lock};

/// A group that runs where it was brought to. Here that is the thread of the caller.
struct Group {
    calls: Calls,
    /// Where the group lies while it is away, as on an agenda. The lock is free when the thread that left it is out.
    lies: Mutex<()>,
    /// The threads that run the group, are about to, or are about to leave it.
    with_it: AtomicU32,
    /// What callers have done.
    news: AtomicU32,
    /// What the agents have seen of it.
    seen: AtomicU32,
}

impl Group {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            calls: Calls::default(),
            lies: Mutex::new(()),
            with_it: AtomicU32::new(0),
            news: AtomicU32::new(0),
            seen: AtomicU32::new(0),
        })
    }

    /// Cycles until it is away, or a caller brings it to another thread. `arms` is what the agents answer when they are
    /// asked for the first time whether they have nothing to do.
    fn run(&self, arms: bool) {
        self.with_it.fetch_add(1, Ordering::Relaxed);
        let _lies = lock(&self.lies);
        let mut arms = arms;
        loop {
            assert_eq!(self.with_it.fetch_add(0, Ordering::Relaxed), 1, "{RUNS_TWICE}");
            self.calls.clear();
            self.seen.store(self.news.load(Ordering::Relaxed), Ordering::Relaxed);
            // As `Invoker::go_away`.
            if self.calls.announce(Sleep::Away) && (arms || !self.calls.take_back(Sleep::Away)) {
                self.with_it.fetch_sub(1, Ordering::Relaxed);
                return;
            }
            arms = true;
        }
    }

    /// As `Waker::wake`, after something was done.
    fn call(&self) {
        self.news.fetch_add(1, Ordering::Relaxed);
        match self.calls.call() {
            Some(Sleep::Away) => self.run(true),
            Some(how) => unreachable!("it is never {how:?}"),
            None => {}
        }
    }
}

/// Two callers call a group that runs, and leaves its thread if its agents arm.
fn is_called(arms: bool) {
    explore(2, move || {
        let group = Group::new();
        let callers = [(), ()].map(|()| {
            let group = Arc::clone(&group);
            spawn(move || group.call())
        });
        group.run(arms);
        callers.into_iter().for_each(|caller| caller.join().unwrap());
        assert_eq!(group.seen.load(Ordering::Relaxed), 2, "{NOT_SERVED}");
    });
}

#[test]
pub(crate) fn a_group_that_is_away_is_brought_by_one_of_its_callers() {
    is_called(true);
}

#[test]
pub(crate) fn a_group_that_does_not_leave_after_all_goes_on_or_is_brought() {
    is_called(false);
}
