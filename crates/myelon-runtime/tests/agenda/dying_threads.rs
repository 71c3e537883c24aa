//! Destructors of variables of a thread that ends, and times that no clock reaches.

use crate::{Blocker, PATIENCE, Watchdog, agenda};
use myelon_runtime::agenda::{Handle, Late, Tasklet};
use myelon_runtime::event_loop::EventLoop;
use std::cell::RefCell;
use std::time::{Duration, Instant};

#[test]
fn a_destructor_of_a_thread_that_ends_may_wait_for_a_tasklet() {
    struct Waits(Option<Handle<u32>>);
    impl Drop for Waits {
        fn drop(&mut self) {
            let awaited = self.0.take().map(|mut handle| handle.wait(PATIENCE).unwrap());
            assert!(awaited.is_none_or(|value| value == 7));
        }
    }
    thread_local! {
        static LAST: RefCell<Waits> = const { RefCell::new(Waits(None)) };
    }
    let _watchdog = Watchdog::new(PATIENCE * 2, "a wait of a thread that ends");
    let agenda = agenda(1);
    let submitter = agenda.submitter();
    let blocker = Blocker::start(&submitter);
    let (go, mut blocked) = blocker.into_parts();
    let thread = std::thread::spawn(move || {
        // It is used first, so it is dropped last: after what a wait of this thread has made.
        LAST.with(|last| last.borrow_mut().0 = None);
        submitter.submit(Tasklet::new("high", || ()).priority(myelon_runtime::Priority::High)).unwrap().cancel();
        let mut first = submitter.submit(Tasklet::new("first", || 1)).unwrap();
        assert!(first.wait(Duration::from_millis(1)).is_err(), "the worker is blocked");
        let handle = submitter.submit(Tasklet::new("last", || 7)).unwrap();
        LAST.with(|last| last.borrow_mut().0 = Some(handle));
        go.send(()).unwrap();
    });
    thread.join().unwrap();
    blocked.wait(PATIENCE).unwrap();
}

#[test]
fn a_loop_in_a_variable_of_a_thread_leaves_the_safe_points_when_the_thread_ends() {
    thread_local! {
        static LOOP: RefCell<Option<EventLoop>> = const { RefCell::new(None) };
    }
    let _watchdog = Watchdog::new(PATIENCE * 2, "a loop of a thread that ends");
    let agenda = agenda(1);
    let submitter = agenda.submitter();
    let thread = std::thread::spawn(move || {
        LOOP.with(|place| *place.borrow_mut() = Some(EventLoop::new().unwrap()));
        LOOP.with(|place| place.borrow_mut().as_mut().unwrap().attend(&submitter, "a loop"));
    });
    thread.join().unwrap();
    agenda.quiesce("alone", PATIENCE, || ()).unwrap();
}

#[test]
fn a_deadline_that_no_clock_reaches_is_not_over() {
    let agenda = agenda(1);
    // 2^64 nanoseconds are 584 years.
    for years in [100, 584, 585, 1168, 2000] {
        let far = Instant::now() + Duration::from_secs(years * 365 * 86_400) + Duration::from_nanos(u64::MAX / 200);
        let tasklet = Tasklet::new("in time", || 1).deadline(far, Late::Expire);
        assert_eq!(agenda.submit(tasklet).unwrap().wait(PATIENCE).unwrap(), 1, "{years} years");
    }
    let wraps = Instant::now() + Duration::from_nanos(u64::MAX);
    let tasklet = Tasklet::new("in time", || 1).deadline(wraps, Late::Expire);
    assert_eq!(agenda.submit(tasklet).unwrap().wait(PATIENCE).unwrap(), 1);
}
