//! Waiting for a handle: outside with a patience, on a worker by running others.

use crate::{A_MOMENT, Blocker, PATIENCE, Watchdog, agenda, eventually};
use myelon_runtime::agenda::{Handle, Priority, Step, Submitter, Tasklet, WaitError};
use std::sync::mpsc::channel;
use std::time::Duration;

#[test]
fn a_wait_ends_at_its_patience_and_says_whether_the_tasklet_runs() {
    let _watchdog = Watchdog::new(PATIENCE, "a wait");
    let agenda = agenda(1);
    let mut blocker = Blocker::start(&agenda.submitter());
    let mut waiting = agenda.submit(Tasklet::new("waits", || 5)).unwrap();
    assert!(matches!(blocker.handle.wait(A_MOMENT), Err(WaitError::TimedOut { runs: true, .. })));
    assert!(matches!(waiting.wait(A_MOMENT), Err(WaitError::TimedOut { runs: false, .. })));
    assert!(matches!(waiting.try_wait(), Err(WaitError::TimedOut { .. })));
    blocker.release();
    assert_eq!(waiting.wait(PATIENCE).unwrap(), 5, "it goes on");
}

#[test]
fn a_handle_that_another_thread_waits_for_is_called() {
    let _watchdog = Watchdog::new(PATIENCE, "a wait");
    let agenda = agenda(1);
    let blocker = Blocker::start(&agenda.submitter());
    let mut handle = agenda.submit(Tasklet::new("later", || 5)).unwrap();
    let waiting = std::thread::spawn(move || handle.wait(PATIENCE).unwrap());
    std::thread::sleep(A_MOMENT);
    blocker.release();
    assert_eq!(waiting.join().unwrap(), 5);
}

/// Adds up `from..to` in parts that wait for each other.
fn sum(submitter: &Submitter, from: u64, to: u64) -> u64 {
    if to - from <= 4 {
        return (from..to).sum();
    }
    let middle = (from + to) / 2;
    let inner = submitter.clone();
    let mut half = submitter.submit(Tasklet::new("a half", move || sum(&inner, from, middle))).unwrap();
    let other = sum(submitter, middle, to);
    half.wait(PATIENCE).unwrap() + other
}

#[test]
fn tasklets_that_wait_for_their_parts_do_not_block_the_workers() {
    let _watchdog = Watchdog::new(PATIENCE, "a sum");
    for workers in [1, 2, 4] {
        let agenda = agenda(workers);
        let submitter = agenda.submitter();
        let mut all = agenda.submit(Tasklet::new("the sum", move || sum(&submitter, 0, 1000))).unwrap();
        assert_eq!(all.wait(PATIENCE).unwrap(), 499_500, "{workers} workers");
    }
}

#[test]
fn a_worker_that_waits_runs_others_meanwhile() {
    let _watchdog = Watchdog::new(PATIENCE, "a wait");
    let agenda = agenda(1);
    let submitter = agenda.submitter();
    let outer = Tasklet::new("outer", move || {
        let (send, received) = channel();
        let other = submitter.submit(Tasklet::new("other", move || send.send(7).unwrap())).unwrap();
        // It runs again and again, so it is not run at once in place of the others.
        let awaited = Tasklet::repeating("awaited", move |_| Ok(received.try_recv().map_or(Step::Again, Step::Done)));
        let value = submitter.submit(awaited).unwrap().wait(PATIENCE).unwrap();
        (value, other.ended().is_some())
    });
    assert_eq!(agenda.submit(outer).unwrap().wait(PATIENCE).unwrap(), (7, true));
}

#[test]
fn a_worker_that_waits_is_called_when_another_worker_has_finished() {
    let _watchdog = Watchdog::new(PATIENCE, "a wait");
    let agenda = agenda(2);
    let blocker = Blocker::start(&agenda.submitter());
    let (give, take) = channel::<Handle<()>>();
    let mut outer = agenda.submit(Tasklet::new("outer", move || take.recv().unwrap().wait(PATIENCE).is_ok())).unwrap();
    let (go, handle) = blocker.into_parts();
    give.send(handle).unwrap();
    eventually("both run", PATIENCE, || agenda.running().len() == 2).unwrap();
    std::thread::sleep(A_MOMENT);
    go.send(()).unwrap();
    assert!(outer.wait(PATIENCE).unwrap());
}

#[test]
fn waiting_for_itself_or_for_what_is_below_would_deadlock() {
    let _watchdog = Watchdog::new(PATIENCE, "a wait");
    let agenda = agenda(1);
    let blocker = Blocker::start(&agenda.submitter());
    let (give, take) = channel::<Handle<bool>>();
    let submitter = agenda.submitter();
    let outer = agenda
        .submit(Tasklet::new("outer", move || {
            let mut me = take.recv().unwrap();
            assert!(matches!(me.wait(PATIENCE), Err(WaitError::WouldDeadlock { .. })), "itself");
            let inner =
                Tasklet::new("inner", move || matches!(me.wait(PATIENCE), Err(WaitError::WouldDeadlock { .. })));
            submitter.submit(inner).unwrap().wait(PATIENCE).unwrap()
        }))
        .unwrap();
    let (send, result) = channel();
    give.send(outer).unwrap();
    agenda.submit_then(Tasklet::new("after", || ()), move |_| send.send(()).unwrap()).unwrap();
    blocker.release();
    result.recv_timeout(PATIENCE).unwrap();
    let counts = *agenda.statistics().worker(0, Priority::Normal);
    assert_eq!((counts.ended(myelon_runtime::agenda::End::Panicked), counts.runs), (0, 4), "no assertion failed");
}

#[test]
fn waits_on_one_stack_have_a_limit() {
    let _watchdog = Watchdog::new(PATIENCE, "a wait");
    fn deeper(submitter: &Submitter) -> u32 {
        let inner = submitter.clone();
        let mut handle = submitter.submit(Tasklet::new("deeper", move || deeper(&inner))).unwrap();
        match handle.wait(PATIENCE) {
            Ok(depth) => depth + 1,
            Err(WaitError::WouldDeadlock { .. }) => {
                handle.cancel();
                1
            }
            Err(error) => panic!("{error}"),
        }
    }
    let agenda = agenda(1);
    let submitter = agenda.submitter();
    let mut handle = agenda.submit(Tasklet::new("the first", move || deeper(&submitter))).unwrap();
    assert_eq!(handle.wait(PATIENCE).unwrap(), 64);
}

#[test]
fn a_wait_inside_a_closure_at_a_safe_point_would_deadlock() {
    let _watchdog = Watchdog::new(PATIENCE, "a wait");
    let agenda = agenda(1);
    let mut handle = agenda
        .quiesce("submit and wait", PATIENCE, || {
            let mut handle = agenda.submit(Tasklet::new("afterwards", || 1)).unwrap();
            assert!(matches!(handle.wait(PATIENCE), Err(WaitError::WouldDeadlock { .. })));
            handle
        })
        .unwrap();
    assert_eq!(handle.wait(PATIENCE).unwrap(), 1);
}

#[test]
fn a_wait_of_a_tasklet_has_a_patience_too() {
    let _watchdog = Watchdog::new(PATIENCE, "a wait");
    let agenda = agenda(2);
    let blocker = Blocker::start(&agenda.submitter());
    let (go, mut handle) = blocker.into_parts();
    let mut outer = agenda
        .submit(Tasklet::new("outer", move || handle.wait(Duration::from_millis(5)).unwrap_err().to_string()))
        .unwrap();
    let text = outer.wait(PATIENCE).unwrap();
    assert!(text.starts_with("tasklet `block a worker` has not ended within"), "{text}");
    go.send(()).unwrap();
}
