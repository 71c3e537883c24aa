//! The end of an agenda: drained by priority within a budget, and a report of what was left.

use crate::{A_MOMENT, Blocker, PATIENCE, Watchdog, agenda, eventually};
use myelon_runtime::agenda::{CloseError, End, NotDone, Priority, Step, SubmitError, Tasklet, WaitError};
use std::sync::mpsc::channel;
use std::time::Duration;

//
#[test]
fn what_waits_is_drained_within_the_budget() {
    let _watchdog = Watchdog::new(PATIENCE, "a close");
    let agenda = agenda(2);
    for _ in 0..1000 {
        agenda.spawn(Tasklet::new("small", || ()).priority(Priority::Low)).unwrap();
    }
    let report = agenda.close(PATIENCE).unwrap();
    assert_eq!(Priority::ALL.map(|priority| report.left(priority)), [0; 3]);
    assert!(report.running.is_empty());
    assert_eq!(agenda.statistics().ended(End::Done), 1000);
    assert_eq!(agenda.close(PATIENCE).unwrap_err(), CloseError::AlreadyClosed);
    let refused = agenda.submit(Tasklet::new("too late", || ())).unwrap_err();
    assert_eq!(refused, SubmitError::Closed { description: "too late".into() });
    agenda.submitter().submit_then(Tasklet::new("too late", || ()), |_| panic!("never accepted")).unwrap_err();
}

// a worker has a number, and what it runs can be seen.
#[test]
fn what_is_left_after_the_budget_ends_as_left_and_what_runs_is_named() {
    let _watchdog = Watchdog::new(PATIENCE, "a close");
    let agenda = agenda(1);
    let blocker = Blocker::start(&agenda.submitter());
    let counts = [(Priority::High, 1), (Priority::Normal, 2), (Priority::Low, 3)];
    let handles = counts
        .iter()
        .flat_map(|(priority, count)| vec![*priority; *count])
        .map(|priority| agenda.submit(Tasklet::new("left", || ()).priority(priority)).unwrap())
        .collect::<Vec<_>>();
    let submitter = agenda.submitter();
    let (go, mut running) = blocker.into_parts();
    let mut accepted = 0;
    let report = std::thread::scope(|scope| {
        let closing = scope.spawn(|| agenda.close(A_MOMENT).unwrap());
        // The budget is over when the close has seen what runs; it then waits for it. Let it go well after the budget.
        eventually("nothing is accepted", PATIENCE, || match submitter.spawn(Tasklet::new("before", || ())) {
            Ok(()) => {
                accepted += 1;
                false
            }
            Err(_) => true,
        })
        .unwrap();
        std::thread::sleep(A_MOMENT * 5);
        go.send(()).unwrap();
        closing.join().unwrap()
    });
    running.wait(PATIENCE).unwrap();
    assert_eq!(Priority::ALL.map(|priority| report.left(priority)), [1, 2 + accepted, 3]);
    let [named] = &report.running[..] else { panic!("{report:?}") };
    assert_eq!((named.description.as_ref(), named.worker), ("block a worker", 0));
    assert!(report.took >= A_MOMENT * 5);
    for mut handle in handles {
        assert!(matches!(handle.wait(PATIENCE), Err(WaitError::NotDone(NotDone::Left { .. }))));
    }
}

// each worker thread is waited for.
#[test]
fn dropping_ends_what_waits_and_waits_for_what_runs() {
    let _watchdog = Watchdog::new(PATIENCE, "a drop");
    let agenda = agenda(1);
    let (send, received) = channel();
    let (begin, begun) = channel();
    let mut runs = agenda
        .submit(Tasklet::new("runs", move || {
            begin.send(()).unwrap();
            std::thread::sleep(A_MOMENT);
            send.send(()).unwrap();
        }))
        .unwrap();
    begun.recv_timeout(PATIENCE).unwrap();
    let mut waits = agenda.submit(Tasklet::new("waits", || ())).unwrap();
    drop(agenda);
    received.try_recv().expect("the drop has waited");
    runs.wait(Duration::ZERO).unwrap();
    assert!(matches!(waits.wait(Duration::ZERO), Err(WaitError::NotDone(NotDone::Left { .. }))));
}

#[test]
fn a_tasklet_and_a_closure_at_a_safe_point_cannot_close_the_agenda_and_may_drop_it() {
    let _watchdog = Watchdog::new(PATIENCE, "a close");
    let first = agenda(1);
    assert_eq!(first.quiesce("close", PATIENCE, || first.close(PATIENCE).unwrap_err()), Ok(CloseError::Inside));
    let submitter = first.submitter();
    let (give, take) = channel::<myelon_runtime::agenda::Agenda>();
    let mut handle = submitter
        .submit(Tasklet::new("close", move || {
            let agenda = take.recv_timeout(PATIENCE).unwrap();
            let error = agenda.close(PATIENCE).unwrap_err();
            drop(agenda);
            error
        }))
        .unwrap();
    let endless = submitter.submit(Tasklet::<(), ()>::repeating("endless", |_| Ok(Step::Again))).unwrap();
    give.send(first).unwrap();
    assert_eq!(handle.wait(PATIENCE).unwrap(), CloseError::OnWorker);
    eventually("the end of the rest", PATIENCE, || endless.ended() == Some(End::Left)).unwrap();
}

#[test]
fn a_worker_that_waits_learns_that_the_agenda_ends() {
    let _watchdog = Watchdog::new(PATIENCE, "a close");
    let agenda = agenda(1);
    let submitter = agenda.submitter();
    let (begin, begun) = channel();
    let mut outer = agenda
        .submit(Tasklet::new("outer", move || {
            let mut endless = submitter.submit(Tasklet::<(), ()>::repeating("endless", |_| Ok(Step::Again))).unwrap();
            begin.send(()).unwrap();
            matches!(endless.wait(PATIENCE), Err(WaitError::NotDone(NotDone::Left { .. })))
        }))
        .unwrap();
    begun.recv_timeout(PATIENCE).unwrap();
    agenda.close(A_MOMENT).unwrap();
    assert!(outer.wait(PATIENCE).unwrap());
}
