//! A group without a thread of its own: a caller that finds it away brings it to a thread, as an agenda does.

use super::*;
use crate::calls::place::{Place, PutDown};

/// A group that runs where it was brought to. Here that is the thread of the caller.
struct Group {
    calls: Calls,
    /// Where the group lies while it is away, as on an agenda.
    place: Place<()>,
    /// Threads that have put the group down and take it again next. On an agenda that is a tasklet that goes round.
    staying: AtomicU32,
    /// What callers have done.
    news: AtomicU32,
    /// What the agents have seen of it.
    seen: AtomicU32,
}

impl Group {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            calls: Calls::default(),
            place: Place::new(()),
            staying: AtomicU32::new(0),
            news: AtomicU32::new(0),
            seen: AtomicU32::new(0),
        })
    }

    /// Cycles until it is away, or a caller brings it to another thread. `arms` is what the agents answer when they are
    /// asked for the first time whether they have nothing to do. As `Turn::run`, again and again.
    fn run(&self, arms: bool) {
        let (mut arms, mut stays) = (arms, false);
        while self.place.take().is_some() {
            let staying = self.staying.fetch_sub(u32::from(stays), Ordering::Relaxed);
            assert_eq!(staying, u32::from(stays), "{RUNS_TWICE}");
            self.calls.clear();
            self.seen.store(self.news.load(Ordering::Relaxed), Ordering::Relaxed);
            // As `Invoker::go_away`.
            let is_away = self.calls.announce(Sleep::Away) && (arms || !self.calls.take_back(Sleep::Away));
            self.staying.fetch_add(u32::from(!is_away), Ordering::Relaxed);
            match self.place.put_down(()) {
                PutDown::Lies if is_away => return,
                PutDown::Lies => {}
                PutDown::RunAgain => _ = self.staying.fetch_add(u32::from(is_away), Ordering::Relaxed),
                PutDown::Ends(()) => unreachable!("it does not end"),
            }
            (arms, stays) = (true, true);
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

/// Callers call a group that runs, and leaves its thread if its agents arm.
fn is_called<const CALLERS: usize>(arms: bool, preemptions: usize) {
    explore(preemptions, move || {
        let group = Group::new();
        let callers = [(); CALLERS].map(|()| {
            let group = Arc::clone(&group);
            spawn(move || group.call())
        });
        group.run(arms);
        callers.into_iter().for_each(|caller| caller.join().unwrap());
        assert_eq!(group.seen.load(Ordering::Relaxed), CALLERS as u32, "{NOT_SERVED}");
    });
}

#[test]
pub(crate) fn a_group_that_is_away_is_brought_by_one_of_its_callers() {
    is_called::<2>(true, 2);
}

#[test]
pub(crate) fn a_group_that_does_not_leave_after_all_goes_on_or_is_brought() {
    is_called::<2>(false, 2);
}

#[test]
pub(crate) fn a_group_that_was_called_as_it_left_goes_on_or_is_brought() {
    is_called::<1>(true, 3);
}
