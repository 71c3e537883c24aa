//! A group with a thread sleeps, parked or at its doorbells, and is called. One that is not woken is a deadlock, which
//! loom reports.

use super::*;
use crate::agenda::parked::Parker;

/// A group with the two places at which its thread sleeps.
struct Group {
    calls: Calls,
    parked: Parker,
    /// Whether there is a bell. It is made at the first sleep.
    has_bell: AtomicU32,
    bell: Parker,
    /// What callers have done.
    news: AtomicU32,
}

impl Group {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            calls: Calls::default(),
            parked: Parker::new(),
            has_bell: AtomicU32::new(0),
            bell: Parker::new(),
            news: AtomicU32::new(0),
        })
    }

    fn add_news(&self) {
        self.news.fetch_add(1, Ordering::Relaxed);
    }

    fn news(&self) -> u32 {
        self.news.load(Ordering::Relaxed)
    }

    fn wake_from(&self, sleep: Option<Sleep>) {
        match sleep {
            Some(Sleep::Parked) => self.parked.call(),
            Some(Sleep::AtDoorbells) => {
                assert_eq!(self.has_bell.load(Ordering::Relaxed), 1, "{NO_BELL}");
                self.bell.call();
            }
            Some(Sleep::Away) => unreachable!("it has a thread"),
            None => {}
        }
    }

    /// As `Waker::wake`, after something was done.
    fn call(&self) {
        self.add_news();
        self.wake_from(self.calls.call());
    }

    /// As `Waker::close`, after something was done.
    fn close(&self) {
        self.add_news();
        self.wake_from(self.calls.close());
    }

    /// As `Invoker::sleep`, without a time, for a group without descriptors. Returns whether it was called.
    fn sleep_parked(&self) -> bool {
        if self.calls.announce(Sleep::Parked) {
            self.parked.park(None);
        }
        self.calls.clear()
    }

    /// The same with an agent that waits for something of its own before its thread is parked, and so takes a call.
    fn sleep_after_a_wait(&self) -> bool {
        if self.calls.announce(Sleep::Parked) {
            self.parked.park(None);
            if self.calls.is_announced(Sleep::Parked) {
                self.parked.park(None);
            }
        }
        self.calls.clear()
    }

    /// The same with descriptors.
    fn sleep_at_doorbells(&self) -> bool {
        if self.calls.announce(Sleep::Parked) {
            self.has_bell.store(1, Ordering::Relaxed);
            if self.calls.change(Sleep::Parked, Sleep::AtDoorbells) {
                self.bell.park(None);
            }
        }
        self.calls.clear()
    }
}

fn calling<const COUNT: usize>(group: &Arc<Group>, call: fn(&Group)) -> [loom::thread::JoinHandle<()>; COUNT] {
    [(); COUNT].map(|()| {
        let group = Arc::clone(group);
        spawn(move || call(&group))
    })
}

#[test]
pub(crate) fn a_parked_group_that_is_called_does_not_sleep_on() {
    explore(3, || {
        let group = Group::new();
        let [caller] = calling(&group, Group::call);
        while !group.sleep_parked() {}
        assert_eq!(group.news(), 1, "{NEWS_UNSEEN}");
        caller.join().unwrap();
    });
}

#[test]
pub(crate) fn a_call_that_wakes_a_wait_of_an_agent_does_not_let_the_group_sleep_on() {
    explore(3, || {
        let group = Group::new();
        let [caller] = calling(&group, Group::call);
        while !group.sleep_after_a_wait() {}
        assert_eq!(group.news(), 1, "{NEWS_UNSEEN}");
        caller.join().unwrap();
    });
}

/// The calls may come before, during and after the same sleep or two of them.
#[test]
pub(crate) fn what_each_of_two_callers_has_done_is_seen() {
    explore(2, || {
        let group = Group::new();
        let callers = calling::<2>(&group, Group::call);
        while group.news() < 2 {
            group.sleep_parked();
        }
        callers.into_iter().for_each(|caller| caller.join().unwrap());
    });
}

/// Also if the call comes while the thread, which was about to be parked, goes to its doorbells for the first time.
#[test]
pub(crate) fn a_group_at_its_doorbells_that_is_called_does_not_sleep_on() {
    explore(3, || {
        let group = Group::new();
        let [caller] = calling(&group, Group::call);
        while !group.sleep_at_doorbells() {}
        assert_eq!(group.news(), 1, "{NEWS_UNSEEN}");
        caller.join().unwrap();
    });
}

#[test]
pub(crate) fn a_group_that_sleeps_in_both_ways_in_turn_sees_what_each_of_two_callers_has_done() {
    explore(2, || {
        let group = Group::new();
        let callers = calling::<2>(&group, Group::call);
        let mut sleeps = 0;
        while group.news() < 2 {
            sleeps += 1;
            if sleeps % 2 == 1 {
                group.sleep_at_doorbells();
            } else {
                group.sleep_parked();
            }
        }
        callers.into_iter().for_each(|caller| caller.join().unwrap());
    });
}

/// The group looks between two agents too, so it may see that it is to close before it sees a call.
#[test]
pub(crate) fn a_group_that_is_to_close_does_so_and_sees_what_was_done_before() {
    explore(3, || {
        let group = Group::new();
        let [caller] = calling(&group, Group::close);
        while !group.calls.is_closing() {
            group.sleep_parked();
        }
        assert_eq!(group.news(), 1, "{NEWS_UNSEEN}");
        caller.join().unwrap();
    });
}
