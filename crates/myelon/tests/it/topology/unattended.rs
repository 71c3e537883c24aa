//! A scheduler that does not look while a worker joins: both say what happened, and what to do.

use super::actors::scheduler;
use super::stage::{Stage, in_one_process};
use myelon::liveness::{ProcessFacts, ProcessState, RefusalCause};
use myelon::topology::{Change, WorkerEnd, WorkerJoinError};
use myelon::transport::Records;
use std::time::Duration;
use testkit::watchdog::{PATIENCE, Watchdog, eventually};

/// A worker's patience that ends soon.
const HASTY: Duration = Duration::from_millis(20);

/// The error text of rank 0 of the session `label` about a scheduler that has not looked at it.
pub(super) fn not_received(label: &str, scheduler: &ProcessFacts, waited: Duration) -> String {
    let advice = match scheduler.state {
        ProcessState::Stopped => "let the scheduler go on (SIGCONT), and start this worker again",
        _ => {
            "let the scheduler look at its workers by `check_workers`, `gather`, `receive` or `wait_for`, and start this \
             worker again"
        }
    };
    format!(
        "{label}, rank 0: the scheduler ({scheduler}) lives, and has not attached to this worker's response ring within {waited:.1?}: \
         {advice}"
    )
}

/// Joins a worker of the stage's session with a short patience.
fn join(stage: &Stage) -> WorkerJoinError {
    let hasty = stage.topology.clone().with_rendezvous_timeout(HASTY);
    WorkerEnd::<Records>::join(&hasty.invitation(0).unwrap()).unwrap_err()
}

#[test]
fn a_worker_that_the_scheduler_does_not_look_at_says_so_and_the_scheduler_as_soon_as_it_looks() {
    let _watchdog = Watchdog::new(PATIENCE, "a scheduler that does something else");
    let stage = Stage::new(1);
    let (label, me) = (stage.label(), std::process::id());
    let (mut scheduler, mut joined) = in_one_process(&stage.topology);
    joined.remove(0).leave();
    assert_eq!(scheduler.check_workers(), [(0, Change::Left)]);
    let error = join(&stage);
    let WorkerJoinError::NotReceived { scheduler: facts, waited, .. } = &error else { panic!("{error}") };
    assert_eq!((facts.pid, error.to_string()), (me, not_received(label, facts, *waited)));
    let mut changes = scheduler.check_workers();
    let [(0, Change::JoinFailed { pid, status: None, refusal: Some(refusal) })] = &mut changes[..] else {
        panic!("{changes:?}")
    };
    assert_eq!((*pid, refusal.cause), (me, RefusalCause::NotReceived));
    let what = format!(
        "process {me} could not join: the scheduler was stopped, or did not look at its workers by `check_workers`, `gather`, `receive` \
         or `wait_for`, until the patience of this one was over: let the scheduler look, and start the worker again"
    );
    assert_eq!(refusal.to_string(), format!("{label}, rank 0: {what}"));
    assert_eq!(scheduler.report(0).to_string(), format!("{label}, rank 0 is not there: {what}"));
}

#[test]
fn a_worker_whose_scheduler_is_stopped_says_that_it_is() {
    let _watchdog = Watchdog::new(PATIENCE, "a scheduler that is stopped");
    let stage = Stage::new(2);
    let mut victim = scheduler(&stage, "met");
    let mut workers = std::thread::scope(|scope| {
        let join = |rank| WorkerEnd::<Records>::join(&stage.topology.invitation(rank).unwrap()).unwrap();
        let joining = [0, 1].map(|rank| scope.spawn(move || join(rank)));
        joining.map(|joined| joined.join().unwrap()).into_iter().collect::<Vec<_>>()
    });
    victim.stop();
    workers.remove(0).leave();
    let error = join(&stage);
    let WorkerJoinError::NotReceived { scheduler: facts, waited, .. } = &error else { panic!("{error}") };
    assert_eq!((facts.pid, facts.state), (victim.pid(), ProcessState::Stopped));
    assert_eq!(error.to_string(), not_received(stage.label(), facts, *waited));
    victim.cont();
    victim.kill_and_reap();
    drop(workers);
    eventually("the end of the session", PATIENCE, || {
        let _ = stage.topology.gc();
        stage.leftovers().is_empty()
    })
    .unwrap();
}
