//! What the report on a worker says, situation by situation.

use super::actors::{by_hand, command, workers};
use super::stage::{Stage, round, soon, until};
use myelon::Patience;
use myelon::liveness::ProcessState;
use myelon::topology::{Outcome, SchedulerEnd, Situation, Whom, WorkerReport, Workers};
use std::time::{Duration, Instant};
use testkit::watchdog::{PATIENCE, eventually};

fn broadcast(scheduler: &mut SchedulerEnd, text: &str) {
    scheduler.broadcast(text.as_bytes(), 1, Patience::Until(soon())).unwrap();
}

/// The first report on `rank` that `wanted` recognises.
#[track_caller]
fn report(scheduler: &mut SchedulerEnd, rank: usize, wanted: impl Fn(&WorkerReport) -> bool) -> WorkerReport {
    let mut seen = None;
    let found = eventually("the report", PATIENCE, || wanted(seen.insert(scheduler.report(rank))));
    let seen = seen.unwrap();
    found.unwrap_or_else(|error| panic!("{error}: {seen}"));
    println!("{seen}");
    seen
}

#[test]
fn nothing_waits_for_a_worker_to_which_nothing_was_sent_or_that_has_answered() {
    let stage = Stage::new(2);
    let mut scheduler = stage.topology.launch(workers("answers")).unwrap();
    let silent = scheduler.report(0);
    assert_eq!((&silent.situation, silent.broadcast, silent.is_waited_for()), (&Situation::NothingSent, -1, false));
    assert!(silent.to_string().contains("nothing is waiting for it"), "{silent}");
    for number in 0..3 {
        round(&mut scheduler, &format!("step {number}"));
    }
    for rank in 0..2 {
        let answered = scheduler.report(rank);
        assert_eq!((&answered.situation, answered.broadcast), (&Situation::Answered, 2));
        assert!(!answered.is_waited_for() && answered.answers_waiting == 0);
        assert!(answered.to_string().contains("nothing is waiting for it"), "{answered}");
    }
    // An answer that was not taken counts as an answer.
    broadcast(&mut scheduler, "one more");
    let waits = report(&mut scheduler, 1, |report| report.answers_waiting == 1);
    assert_eq!(waits.situation, Situation::Answered);
    assert!(waits.to_string().contains("1 of its answers wait"), "{waits}");
}

#[test]
fn a_worker_that_has_acknowledged_and_never_answers_is_to_blame_and_no_other() {
    let stage = Stage::new(2);
    let spawn = |rank| command(if rank == 1 { "never answers" } else { "answers" });
    let mut scheduler = stage.topology.launch(Workers::spawned(spawn)).unwrap();
    broadcast(&mut scheduler, "hello");
    report(&mut scheduler, 1, |report| {
        matches!(report.situation, Situation::NotAnswered { is_acknowledged: true, .. })
    });
    let silent = scheduler.gather(Whom::Rank(1), Instant::now() + Duration::from_millis(30)).remove(0);
    assert!(matches!(silent.outcome, Outcome::TimedOut), "{silent:?}");
    let silent = scheduler.report(1);
    assert!(silent.is_waited_for(), "{silent}");
    assert!(silent.to_string().contains("has received broadcast 0 and has not answered it"), "{silent}");
    let other = report(&mut scheduler, 0, |report| report.answers_waiting == 1);
    assert!(!other.is_waited_for(), "{other}");
}

#[test]
fn a_worker_that_is_stopped_has_not_received_and_its_state_is_named() {
    let stage = Stage::new(2);
    let stopped = by_hand("answers", &stage.topology.invitation(0).unwrap());
    let _other = by_hand("answers", &stage.topology.invitation(1).unwrap());
    let mut scheduler = stage.topology.launch(Workers::started_elsewhere()).unwrap();
    round(&mut scheduler, "before");
    stopped.stop();
    broadcast(&mut scheduler, "one");
    broadcast(&mut scheduler, "two");
    let late = scheduler.report(0);
    let Situation::NotReceived { lag, working_on, .. } = late.situation else { panic!("{late}") };
    // It may have been stopped after an answer and before the acknowledgement.
    assert!(lag == 2 && working_on.is_none_or(|sequence| sequence == 0), "{late}");
    let facts = late.process.as_ref().unwrap();
    assert_eq!((facts.pid, facts.state), (stopped.pid(), ProcessState::Stopped));
    assert!(late.to_string().contains("has not received broadcast 2: it lags by 2"), "{late}");
    stopped.cont();
    report(&mut scheduler, 0, |report| report.situation == Situation::Answered);
}

#[test]
fn a_worker_that_hangs_in_its_handler_is_said_to() {
    let stage = Stage::new(1);
    let topology = stage.topology.clone().with_leave_timeout(Duration::from_millis(200));
    let mut scheduler = topology.launch(workers("hangs")).unwrap();
    broadcast(&mut scheduler, "one");
    report(&mut scheduler, 0, |report| {
        matches!(report.situation, Situation::NotAnswered { is_acknowledged: false, .. })
    });
    broadcast(&mut scheduler, "two");
    let late = scheduler.report(0);
    assert!(matches!(late.situation, Situation::NotReceived { lag: 1, working_on: Some(0), .. }), "{late}");
    assert!(late.to_string().contains("its handler has broadcast 0"), "{late}");
}

#[test]
fn an_answer_to_an_earlier_broadcast_is_none_to_the_last() {
    let stage = Stage::new(1);
    let topology = stage.topology.clone().with_leave_timeout(Duration::from_millis(200));
    let mut scheduler = topology.launch(workers("answers once and hangs")).unwrap();
    broadcast(&mut scheduler, "one");
    broadcast(&mut scheduler, "two");
    // The first answer is taken after the second broadcast was sent.
    until(&mut scheduler, 0, |outcome| matches!(outcome, Outcome::Message { .. }));
    let hangs = report(&mut scheduler, 0, |report| !matches!(report.situation, Situation::NotReceived { .. }));
    assert!(matches!(hangs.situation, Situation::NotAnswered { is_acknowledged: false, .. }), "{hangs}");
}

#[test]
fn a_worker_that_waits_for_room_in_its_response_ring_waits_for_the_scheduler() {
    let stage = Stage::new(1);
    let topology = stage.topology.clone().with_leave_timeout(Duration::from_millis(200));
    let mut scheduler = topology.launch(workers("answers without end")).unwrap();
    broadcast(&mut scheduler, "one");
    let full = report(&mut scheduler, 0, |report| report.waits_for_room);
    assert!(full.answers_waiting > 0, "{full}");
    assert!(full.to_string().contains("it waits for room in its response ring"), "{full}");
}

#[test]
fn a_successor_that_runs_and_has_not_joined_is_named() {
    let stage = Stage::new(1);
    let starts = std::sync::atomic::AtomicUsize::new(0);
    let spawn = move |_| match starts.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
        0 => command("answers"),
        _ => {
            let mut sleeps = myelon::process::Command::new("sleep");
            sleeps.arg("1000");
            sleeps
        }
    };
    let topology = stage.topology.clone().with_leave_timeout(Duration::from_millis(200));
    let mut scheduler = topology.launch(Workers::spawned(spawn)).unwrap();
    let pid = scheduler.restart(0).unwrap();
    let report = scheduler.report(0);
    assert_eq!(report.successor, Some(pid));
    assert!(
        report.to_string().contains(&format!("process {pid} was started in its place and has not joined")),
        "{report}"
    );
}

#[test]
fn the_dead_and_those_who_have_left_are_said_to_be_so() {
    let stage = Stage::new(2);
    let spawn = |rank| command(if rank == 0 { "answers once" } else { "answers" });
    let mut scheduler = stage.topology.launch(Workers::spawned(spawn)).unwrap();
    round(&mut scheduler, "once");
    let left = report(&mut scheduler, 0, |report| report.situation == Situation::Left);
    assert!(!left.is_waited_for(), "{left}");
    let pid = scheduler.worker_pid(1).unwrap();
    let killed = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    rustix::process::kill_process(killed, testkit::Signal::KILL).unwrap();
    let dead = report(&mut scheduler, 1, |report| matches!(report.situation, Situation::Dead { status: Some(_), .. }));
    assert!(dead.is_waited_for() && dead.to_string().contains(&format!("(pid {pid}) has died: signal: 9")), "{dead}");
}
