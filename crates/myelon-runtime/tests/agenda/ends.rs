//! Each tasklet ends in exactly one of six ways, and its asker learns it once.

use crate::{Blocker, PATIENCE, Watchdog, agenda, eventually};
use myelon_runtime::agenda::{Agenda, End, Late, NotDone, Priority, Sampling, Step, Tasklet, TaskletError, WaitError};
use myelon_runtime::clock::Clock;
use myelon_runtime::testing::VirtualClock;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

/// A panic that prints nothing.
fn panic_quietly(text: &'static str) -> ! {
    resume_unwind(Box::new(text))
}

#[test]
fn a_value_is_taken_once() {
    let _watchdog = Watchdog::new(PATIENCE, "a tasklet");
    let agenda = agenda(1);
    let mut handle = agenda.submit(Tasklet::new("a value", || vec![1, 2])).unwrap();
    assert_eq!(handle.wait(PATIENCE).unwrap(), [1, 2]);
    assert_eq!(handle.ended(), Some(End::Done));
    assert!(matches!(handle.wait(PATIENCE), Err(WaitError::Taken { .. })));
    assert!(!handle.cancel(), "what has ended cannot be cancelled");
}

#[test]
fn an_error_and_a_panic_are_two_ends_and_the_worker_lives() {
    let _watchdog = Watchdog::new(PATIENCE, "a tasklet");
    let agenda = agenda(1);
    let mut failing = agenda.submit(Tasklet::fallible("parse", || "x".parse::<u8>())).unwrap();
    match failing.wait(PATIENCE) {
        Err(WaitError::NotDone(NotDone::Failed { description, source })) => {
            assert_eq!(description, "parse");
            assert!(source.is::<std::num::ParseIntError>(), "the error itself, not its text");
        }
        other => panic!("{other:?}"),
    }
    let mut panicking = agenda.submit(Tasklet::new("break", || -> u8 { panic_quietly("out of coffee") })).unwrap();
    let error = panicking.wait(PATIENCE).unwrap_err();
    assert_eq!(error.to_string(), "tasklet `break` panicked: out of coffee");
    assert_eq!((failing.ended(), panicking.ended()), (Some(End::Failed), Some(End::Panicked)));
    assert!(agenda.running().is_empty(), "cleared after an error and a panic");
    assert_eq!(agenda.submit(Tasklet::new("go on", || 3)).unwrap().wait(PATIENCE).unwrap(), 3);
}

#[test]
fn a_destructor_that_panics_is_contained() {
    let _watchdog = Watchdog::new(PATIENCE, "a tasklet");
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic_quietly("in a destructor");
        }
    }
    let agenda = agenda(1);
    let captured = Bomb;
    let mut closure = agenda
        .submit(Tasklet::repeating("captures", move |_| {
            let _ = &captured;
            Ok(Step::Done(()))
        }))
        .unwrap();
    assert!(matches!(closure.wait(PATIENCE), Err(WaitError::NotDone(NotDone::Panicked { .. }))));
    agenda.spawn(Tasklet::new("a value that no one takes", || Bomb)).unwrap();
    let blocker = Blocker::start(&agenda.submitter());
    drop(agenda.submit(Tasklet::new("a value of a dropped handle", || Bomb)).unwrap());
    let cancelled = Bomb;
    let handle = agenda.submit(Tasklet::new("cancelled", move || drop(cancelled))).unwrap();
    assert!(handle.cancel());
    blocker.release();
    assert_eq!(agenda.submit(Tasklet::new("go on", || 3)).unwrap().wait(PATIENCE).unwrap(), 3);
    assert_eq!(agenda.statistics().ended(End::Done), 4);
}

#[test]
fn a_cancelled_tasklet_never_runs_and_its_closure_is_dropped_at_once() {
    let _watchdog = Watchdog::new(PATIENCE, "a tasklet");
    let agenda = agenda(1);
    let blocker = Blocker::start(&agenda.submitter());
    let captured = Arc::new(());
    let weak = Arc::downgrade(&captured);
    let mut handle = agenda.submit(Tasklet::new("never", move || drop(captured))).unwrap();
    assert!(handle.cancel() && !handle.cancel());
    assert_eq!(weak.strong_count(), 0);
    assert!(matches!(handle.wait(PATIENCE), Err(WaitError::NotDone(NotDone::Cancelled { .. }))));
    assert!(!blocker.handle.cancel(), "it runs");
    blocker.release();
    let statistics = agenda.statistics();
    assert_eq!((statistics.ended(End::Cancelled), statistics.ended(End::Done)), (1, 1));
}

#[test]
fn a_repeating_tasklet_counts_its_runs_lets_others_in_between_and_can_be_cancelled() {
    let _watchdog = Watchdog::new(PATIENCE, "a tasklet");
    let agenda = agenda(1);
    let mut three = agenda.submit(Tasklet::repeating("three", |run| {
        Ok(if run.count == 3 { Step::Done(run.count) } else { Step::Again })
    }));
    assert_eq!(three.as_mut().unwrap().wait(PATIENCE).unwrap(), 3);
    assert_eq!(three.unwrap().metadata().runs, 3);

    let endless = agenda.submit(Tasklet::<(), ()>::repeating("endless", |_| Ok(Step::Again))).unwrap();
    for value in 0..10 {
        assert_eq!(agenda.submit(Tasklet::new("another", move || value)).unwrap().wait(PATIENCE).unwrap(), value);
    }
    // It may run at the moment of a call.
    eventually("the cancel", PATIENCE, || endless.cancel()).unwrap();
    assert_eq!(endless.ended(), Some(End::Cancelled));
    assert!(endless.metadata().runs > 0);
    let again = agenda.statistics().worker(0, Priority::Normal).again;
    assert_eq!(again, 2 + endless.metadata().runs);
}

#[test]
fn a_late_tasklet_expires_only_if_it_asked_for_it() {
    let _watchdog = Watchdog::new(PATIENCE, "a tasklet");
    let clock = VirtualClock::new();
    let agenda = Agenda::builder().workers(1).clock(clock.clone()).start().unwrap();
    let deadline = clock.now() + Duration::from_secs(60);
    let blocker = Blocker::start(&agenda.submitter());
    let mut expires = agenda.submit(Tasklet::new("expires", || 1).deadline(deadline, Late::Expire)).unwrap();
    let mut late = agenda.submit(Tasklet::new("late", || 2).deadline(deadline, Late::Run)).unwrap();
    let in_time = Tasklet::new("in time", || 3).deadline(deadline + Duration::from_secs(60), Late::Expire);
    let mut in_time = agenda.submit(in_time).unwrap();
    clock.advance(Duration::from_secs(61));
    blocker.release();
    assert!(matches!(expires.wait(PATIENCE), Err(WaitError::NotDone(NotDone::Expired { .. }))));
    assert_eq!((late.wait(PATIENCE).unwrap(), in_time.wait(PATIENCE).unwrap()), (2, 3));
    let counts = *agenda.statistics().worker(0, Priority::Normal);
    assert_eq!((counts.late, counts.ended(End::Expired), counts.ended(End::Done)), (2, 1, 3));
}

#[test]
fn creation_start_and_end_are_noted() {
    let _watchdog = Watchdog::new(PATIENCE, "a tasklet");
    let clock = VirtualClock::new();
    let agenda = Agenda::builder().workers(1).clock(clock.clone()).start().unwrap();
    let blocker = Blocker::start(&agenda.submitter());
    let created = clock.now();
    let inner = clock.clone();
    let tasklet = Tasklet::new("takes two seconds", move || inner.advance(Duration::from_secs(2)));
    let mut handle = agenda.submit(tasklet).unwrap();
    assert_eq!((handle.metadata().created, handle.metadata().started), (Some(created), None));
    clock.advance(Duration::from_secs(3));
    blocker.release();
    handle.wait(PATIENCE).unwrap();
    let metadata = handle.metadata();
    assert_eq!(metadata.started, Some(created + Duration::from_secs(3)));
    assert_eq!(metadata.ended, Some(created + Duration::from_secs(5)));
    let counts = *agenda.statistics().worker(0, Priority::Normal);
    assert!(counts.ran.p99 >= Duration::from_secs(2) && counts.waited.p99 >= Duration::from_secs(3), "{counts:?}");
}

#[test]
fn one_time_in_16_is_taken_if_that_is_set() {
    let _watchdog = Watchdog::new(PATIENCE, "a tasklet");
    let agenda = Agenda::builder().workers(1).sampling(Sampling::OneIn16).start().unwrap();
    let metadata = (0..160)
        .map(|_| {
            let mut handle = agenda.submit(Tasklet::new("small", || ())).unwrap();
            handle.wait(PATIENCE).unwrap();
            handle.metadata()
        })
        .collect::<Vec<_>>();
    assert_eq!(metadata.iter().filter(|of| of.created.is_some() && of.ended.is_some()).count(), 10);
    let counts = *agenda.statistics().worker(0, Priority::Normal);
    assert_eq!((counts.runs, counts.ran.samples, counts.waited.samples), (160, 10, 10));
}

#[test]
fn the_result_goes_to_a_closure_once_whatever_the_end() {
    let _watchdog = Watchdog::new(PATIENCE, "a tasklet");
    let agenda = agenda(1);
    let (send, results) = channel();
    let to = |send: &std::sync::mpsc::Sender<_>| {
        let send = send.clone();
        move |result: Result<u8, NotDone>| send.send(result.map_err(|why| why.to_string())).unwrap()
    };
    agenda.submit_then(Tasklet::new("value", || 1), to(&send)).unwrap();
    agenda.submit_then(Tasklet::fallible("error", || Err::<u8, TaskletError>("no".into())), to(&send)).unwrap();
    agenda.submit_then(Tasklet::new("panic", || panic_quietly("why")), to(&send)).unwrap();
    agenda.submit_then(Tasklet::new("a closure that panics", || 1), |_| panic_quietly("in the closure")).unwrap();
    let blocker = Blocker::start(&agenda.submitter());
    agenda.submit_then(Tasklet::new("left", || 1), to(&send)).unwrap();
    let release = std::thread::spawn(move || blocker.release());
    // The blocker ends with the test's thread or by its release; both let the close go on.
    let report = agenda.close(Duration::ZERO).unwrap();
    release.join().unwrap();
    drop(send);
    let mut results = results.iter().collect::<Vec<_>>();
    let last = results.pop().unwrap();
    assert_eq!(
        results,
        [Ok(1), Err("tasklet `error` failed: no".to_owned()), Err("tasklet `panic` panicked: why".to_owned())]
    );
    match report.left(Priority::Normal) {
        0 => assert_eq!(last, Ok(1), "the worker was faster"),
        _ => assert_eq!(last, Err("tasklet `left` was left when the agenda ended".to_owned())),
    }
}

#[test]
fn a_closure_can_own_its_own_handle() {
    let _watchdog = Watchdog::new(PATIENCE, "a tasklet");
    let agenda = agenda(1);
    for cancelled in [false, true] {
        let blocker = Blocker::start(&agenda.submitter());
        let (give, handles) = channel::<myelon_runtime::agenda::Handle<()>>();
        let handle = agenda.submit(Tasklet::new("owns its handle", move || drop(handles.recv()))).unwrap();
        if cancelled {
            // The closure holds the channel, and so the handle, while it is dropped.
            assert!(handle.cancel());
        }
        let _ = give.send(handle);
        blocker.release();
    }
    assert_eq!(agenda.submit(Tasklet::new("go on", || 3)).unwrap().wait(PATIENCE).unwrap(), 3);
}

#[test]
fn a_tasklet_whose_result_goes_to_a_closure_can_be_cancelled() {
    let _watchdog = Watchdog::new(PATIENCE, "a cancel");
    let agenda = agenda(1);
    let (send, results) = channel();
    let blocker = Blocker::start(&agenda.submitter());
    let then = move |result: Result<(), NotDone>| send.send(result).unwrap();
    let waits = agenda.submit_then(Tasklet::new("waits", || panic!("cancelled tasklets do not run")), then).unwrap();
    assert_eq!(waits.ended(), None);
    assert!(waits.cancel());
    // The closure was told before the call returned, and its channel is gone with it.
    assert!(matches!(results.try_recv(), Ok(Err(NotDone::Cancelled { .. }))));
    assert!(!waits.cancel() && !waits.clone().cancel(), "it ends once");
    assert_eq!((waits.ended(), waits.description()), (Some(End::Cancelled), "waits"));
    blocker.release();
    assert!(results.recv().is_err(), "the closure is told once");

    let (send, results) = channel();
    let done = agenda.submit_then(Tasklet::new("done", || 1), move |result| send.send(result).unwrap()).unwrap();
    assert!(matches!(results.recv(), Ok(Ok(1))));
    assert!(!done.cancel());
    assert_eq!(agenda.statistics().ended(End::Cancelled), 1);
}
