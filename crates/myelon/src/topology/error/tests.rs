//! The texts of errors that the tests with processes do not provoke.

use super::*;
use crate::topology::JoinRefusal;
use crate::transport::TransportError;
use disruptor_mp::liveness::{Ending, ProcessIdentity, ProcessState, RefusalCause};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

const WORKER: &str = "tp-engine, rank 1";

fn os() -> io::Error {
    io::Error::other("no")
}

fn worker() -> String {
    WORKER.to_owned()
}

#[test]
fn what_is_missing_at_a_launch_is_called_by_label_and_rank() {
    let died = ExitStatus::from_raw(9);
    let refusal = || JoinRefusal {
        worker: worker(),
        pid: 7,
        pid_namespace_tag: 0,
        cause: RefusalCause::IdInUse,
        difference: None,
        text: None,
    };
    let cause = RefusalCause::IdInUse;
    for (state, text) in [
        (MissingState::NotSeen { ring: None }, "never seen".to_owned()),
        (MissingState::NotJoined { pid: 7 }, "process 7 runs and has not joined".to_owned()),
        (
            MissingState::Refused { refusal: refusal(), status: Some(died) },
            format!("process 7 could not join: {cause}; it has ended: {died}"),
        ),
        (MissingState::Exited { pid: 7, status: Some(died) }, format!("process 7 ended before it had joined: {died}")),
        (
            MissingState::Exited { pid: 7, status: None },
            "process 7 ended before it had joined, and how cannot be known".to_owned(),
        ),
        (
            MissingState::NoResponses { pid: 7, source: Some(Box::new(TransportError::Full)) },
            "process 7 has joined, but its response ring cannot be used: the ring is full".to_owned(),
        ),
        (
            MissingState::NoResponses { pid: 7, source: None },
            "process 7 has joined, but has not made its response ring".to_owned(),
        ),
        (
            MissingState::Died { pid: 7, status: Some(died), how: Ending::Killed },
            format!("process 7 has joined and has died: {died}"),
        ),
        (MissingState::Left, "has joined and left".to_owned()),
    ] {
        let missing = MissingWorker { rank: 1, consumer_id: worker(), state, others_refused: vec![refusal()] };
        let wanted = format!("{WORKER} ({text}; beside it, process 7 could not join: {cause})");
        assert_eq!(missing.to_string(), wanted);
        let (session, waited) = ("tp-engine".to_owned(), Duration::from_secs(3));
        let error = LaunchError::Missing { session, missing: vec![missing], waited };
        assert_eq!(error.to_string(), format!("tp-engine: after 3.0s these workers are missing: {wanted}"));
    }
    let spawn = LaunchError::Spawn { worker: worker(), rank: 1, source: os() };
    assert_eq!(spawn.to_string(), "tp-engine, rank 1: the process could not be started: no");
    let thread = LaunchError::Thread { session: "tp-engine".to_owned(), source: os() };
    assert_eq!(
        thread.to_string(),
        "tp-engine: the thread that starts workers could not be started: no; see the limits of processes and threads"
    );
    let restart = RestartError::Os { worker: worker(), rank: 1, source: os() };
    assert_eq!(restart.to_string(), "tp-engine, rank 1: the process could not be started again: no");
}

#[test]
fn why_a_worker_is_no_part_of_its_topology_is_called_by_label_and_rank() {
    let waited = Duration::from_secs(3);
    let ended = |ending| MeetingPlace::Ended { place: "shm:p".to_owned(), ending };
    for (error, text) in [
        (
            WorkerJoinError::NoScheduler {
                worker: worker(),
                waited,
                found: ended(SchedulerEnding::NoProducer { pid: 7 }),
            },
            "no scheduler within 3.0s: the broadcast ring at shm:p belongs to a scheduler that is gone: the broadcast ring's producer, \
             process 7, has gone; start the scheduler again",
        ),
        (
            WorkerJoinError::NoRing { worker: worker(), place: "shm:p".to_owned(), scheduler: Parentage::Hidden },
            "there is no broadcast ring at shm:p, which the scheduler had made before it started this worker; whether the scheduler lives \
             cannot be known, because this worker is not its own child: see whether it runs, and start the session again",
        ),
        (
            WorkerJoinError::SchedulerGone { worker: worker(), found: SchedulerEnding::Closed },
            "the scheduler has gone while this worker joined, so the worker is not needed: it has closed the topology",
        ),
        (
            WorkerJoinError::SchedulerGone { worker: worker(), found: SchedulerEnding::Replaced },
            "the scheduler has gone while this worker joined, so the worker is not needed: another scheduler has taken its place",
        ),
        (
            WorkerJoinError::SchedulerGone { worker: worker(), found: SchedulerEnding::Orphaned { pid: 7 } },
            "the scheduler has gone while this worker joined, so the worker is not needed: its process 7 has ended",
        ),
        (
            WorkerJoinError::Os { worker: worker(), source: os() },
            "asking for a signal at the scheduler's death failed: no",
        ),
    ] {
        assert_eq!(error.to_string(), format!("{WORKER}: {text}"));
    }
    for (state, advice) in [
        (ProcessState::Stopped, "let the scheduler go on (SIGCONT), and start this worker again"),
        (
            ProcessState::Unknown,
            "let the scheduler look at its workers by `check_workers`, `gather`, `receive` or `wait_for`, and start this \
             worker again",
        ),
    ] {
        let mut scheduler = ProcessIdentity::current().observe();
        (scheduler.pid, scheduler.state, scheduler.wchan, scheduler.throttled) = (7, state, None, None);
        let error = WorkerJoinError::NotReceived { worker: worker(), scheduler, waited };
        let what = "lives, and has not attached to this worker's response ring within 3.0s";
        assert_eq!(error.to_string(), format!("{WORKER}: the scheduler (pid 7 {state}) {what}: {advice}"));
    }
    let refused = WorkerJoinError::Refused { worker: worker(), pid: 7, cause: RefusalCause::IdInUse, difference: None };
    let cause = RefusalCause::IdInUse;
    let wanted = format!("{WORKER}: the scheduler, process 7, cannot use this worker's response ring: {cause}");
    assert_eq!(refused.to_string(), wanted);
    let variable = super::super::INVITATION_VARIABLE;
    let uninvited = format!(
        "the environment variable {variable} is not set: let a scheduler start this process, or set the variable to the text of `Topology::invitation`"
    );
    assert_eq!(WorkerJoinError::NotInvited.to_string(), uninvited);
}
