//! A worker is killed, and the others go on.

use super::actors::{by_hand, command, workers};
use super::stage::{LARGE_BYTES, Stage, round, said, soon, until};
use myelon::liveness::Ending;
use myelon::topology::{Change, Outcome, SchedulerEnd, Whom, Workers};
use myelon::transport::TransportError;
use myelon::{Patience, RequiredConsumerError, RequiredConsumerLivenessConfig};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};
use testkit::Signal;
use testkit::watchdog::{PATIENCE, Watchdog, eventually};

#[test]
fn a_worker_that_is_killed_is_named_and_its_successor_goes_on() {
    let _watchdog = Watchdog::new(8 * PATIENCE, "a topology with a death in it");
    let stage = Stage::new(3);
    let mut scheduler = stage.topology.launch(workers("answers")).unwrap();
    round(&mut scheduler, "before");
    let pid = scheduler.worker_pid(1).unwrap();
    kill(pid);
    let killed = Instant::now();
    let died = scheduler.gather(Whom::Rank(1), soon()).remove(0);
    println!("a killed worker was named after {:.1?}", killed.elapsed());
    assert!(matches!(died.outcome, Outcome::Died { pid: named, .. } if named == pid), "{died:?}");

    // The others answer, and every call reports the death at once.
    scheduler.broadcast(b"without you", 1, Patience::Until(soon())).unwrap();
    let answers = scheduler.gather(Whom::All, soon());
    assert_eq!([said(&answers[0]), said(&answers[2])], ["WITHOUT YOU", "WITHOUT YOU"]);
    assert!(matches!(answers[1].outcome, Outcome::Died { .. }), "{answers:?}");

    let successor = scheduler.restart(1).unwrap();
    let (rejoined, _) = until(&mut scheduler, 1, |outcome| !matches!(outcome, Outcome::Died { .. }));
    assert!(matches!(rejoined, Outcome::Rejoined { pid } if pid == successor), "{rejoined:?}");
    // The messages that its predecessor had not acknowledged: perhaps the first, certainly the second.
    let (caught_up, _) = until(
        &mut scheduler,
        1,
        |outcome| matches!(outcome, Outcome::Message { bytes, .. } if bytes == b"WITHOUT YOU"),
    );
    assert!(matches!(caught_up, Outcome::Message { .. }));
    round(&mut scheduler, "together again");
    drop(scheduler);
    stage.assert_nothing_left();
}

#[test]
fn a_death_and_a_return_are_each_told_once_to_a_loop_that_only_looks() {
    let stage = Stage::new(2);
    let mut scheduler = stage.topology.launch(workers("answers")).unwrap();
    round(&mut scheduler, "before");
    assert_eq!(scheduler.check_workers(), []);
    let pid = scheduler.worker_pid(0).unwrap();
    kill(pid);
    assert_eq!(next_changes(&mut scheduler), [(0, Change::Died { pid, status: Some(killed()), how: Ending::Killed })]);
    assert_eq!(scheduler.check_workers(), []);
    assert_eq!(scheduler.worker_pid(0), None);
    let successor = scheduler.restart(0).unwrap();
    assert_eq!(next_changes(&mut scheduler), [(0, Change::Rejoined { pid: successor })]);
    assert_eq!(scheduler.check_workers(), []);
}

#[test]
fn the_death_of_a_worker_is_heard_by_whoever_waits_for_any() {
    let stage = Stage::new(2);
    let mut scheduler = stage.topology.launch(workers("answers")).unwrap();
    round(&mut scheduler, "before");
    let pid = scheduler.worker_pid(1).unwrap();
    kill(pid);
    let killed = Instant::now();
    let heard = scheduler.gather(Whom::Any, soon()).remove(0);
    println!("a call that waited for any worker was told after {:.1?}", killed.elapsed());
    assert!(heard.rank == 1 && matches!(heard.outcome, Outcome::Died { .. }), "{heard:?}");
    // It is reported once; from now on the call waits for the live worker.
    scheduler.broadcast(b"still", 1, Patience::Until(soon())).unwrap();
    assert_eq!(said(&scheduler.gather(Whom::Any, soon())[0]), "STILL");
}

#[test]
fn a_worker_by_hand_that_is_killed_is_replaced_by_another_by_hand() {
    let stage = Stage::new(2);
    let invitation = |rank| stage.topology.invitation(rank).unwrap();
    let mut first = by_hand("answers", &invitation(0));
    let mut second = by_hand("answers", &invitation(1));
    let mut scheduler = stage.topology.launch(Workers::started_elsewhere()).unwrap();
    round(&mut scheduler, "one");
    first.kill_and_reap();
    let mut third = by_hand("answers", &invitation(0));
    let (rejoined, took) = until(&mut scheduler, 0, |outcome| matches!(outcome, Outcome::Rejoined { .. }));
    println!("a successor was named after {took:.1?}");
    assert!(matches!(rejoined, Outcome::Rejoined { pid } if pid == third.pid()), "{rejoined:?}");
    third.wait_line("JOINED 0");
    drop(scheduler);
    for worker in [&mut second, &mut third] {
        worker.wait_line("CLOSED");
        assert!(worker.wait_exit(PATIENCE).success());
    }
    stage.assert_nothing_left();
}

#[test]
fn a_worker_that_is_killed_in_the_middle_of_a_large_answer_has_not_answered() {
    let stage = Stage::new(2);
    let invitation = |rank| stage.topology.invitation(rank).unwrap();
    let mut healthy = by_hand("answers", &invitation(0));
    let mut doomed = by_hand("stops halfway", &invitation(1));
    let mut scheduler = stage.topology.launch(Workers::started_elsewhere()).unwrap();
    let large = "large ".repeat(LARGE_BYTES / 6);
    scheduler.broadcast(large.as_bytes(), 1, Patience::Until(soon())).unwrap();
    doomed.wait_line("HALFWAY");
    doomed.kill_and_reap();
    let answers = scheduler.gather(Whom::All, soon());
    assert_eq!(said(&answers[0]), large.to_uppercase());
    assert!(matches!(answers[1].outcome, Outcome::Died { pid, .. } if pid == doomed.pid()), "{:?}", answers[1].rank);

    let successor = by_hand("answers", &invitation(1));
    until(&mut scheduler, 1, |outcome| matches!(outcome, Outcome::Rejoined { .. }));
    let whole = scheduler.gather(Whom::Rank(1), soon()).remove(0);
    assert_eq!(said(&whole), large.to_uppercase(), "the first that is heard of the successor");
    round(&mut scheduler, "and so on");
    drop(scheduler);
    healthy.wait_line("CLOSED");
    drop((healthy, successor));
    stage.collect();
}

#[test]
fn a_dead_worker_that_everybody_waits_for_is_named_by_the_broadcast() {
    let stage = Stage::new(2);
    let liveness = RequiredConsumerLivenessConfig::new([""; 0]);
    let topology = stage.topology.clone().with_liveness(liveness);
    let mut scheduler = topology.launch(workers("answers")).unwrap();
    scheduler.broadcast(b"before", 1, Patience::Managed).unwrap();
    assert_eq!(scheduler.gather(Whom::All, soon()).iter().map(said).collect::<Vec<_>>(), ["BEFORE", "BEFORE"]);
    kill(scheduler.worker_pid(1).unwrap());
    until(&mut scheduler, 1, |outcome| matches!(outcome, Outcome::Died { .. }));
    let refused = loop {
        match scheduler.broadcast(b"more", 1, Patience::Managed) {
            Ok(_) => {}
            Err(error) => break error,
        }
        // The live worker must not be the one that keeps the ring full.
        assert_eq!(said(&scheduler.gather(Whom::Rank(0), soon())[0]), "MORE");
    };
    let dead_id = topology.worker_consumer_id(1);
    let TransportError::RequiredConsumer(RequiredConsumerError::ConsumerDied { consumer_id, .. }) = *refused.source
    else {
        panic!("{refused}");
    };
    assert_eq!(consumer_id, dead_id);
    scheduler.restart(1).unwrap();
    until(&mut scheduler, 1, |outcome| matches!(outcome, Outcome::Rejoined { .. }));
    // The messages that it has missed; before them perhaps one that it had answered and not acknowledged.
    until(&mut scheduler, 1, |outcome| matches!(outcome, Outcome::Message { bytes, .. } if bytes == b"MORE"));
}

#[test]
fn a_killed_worker_is_named_by_the_broadcast_within_sixteen_messages_of_a_slow_scheduler() {
    let _watchdog = Watchdog::new(4 * PATIENCE, "a managed broadcast");
    let stage = Stage::new(1);
    let mut scheduler = stage.topology.launch(workers("never answers")).unwrap();
    let pid = scheduler.worker_pid(0).unwrap();
    for _ in 0..10 {
        scheduler.broadcast(b"before", 1, Patience::Managed).unwrap();
    }
    scheduler.broadcast_ring().wait_until_consumed(9, soon()).unwrap();
    kill(pid);
    until(&mut scheduler, 0, |outcome| matches!(outcome, Outcome::Died { .. }));
    // Longer than the interval between two questions to the kernel.
    std::thread::sleep(Duration::from_millis(50));
    let sent = (0..).take_while(|_| scheduler.broadcast(b"more", 1, Patience::Managed).is_ok()).count();
    // The scheduler has sent ten messages since it last asked the kernel. A message is at least one line of 64 bytes.
    assert!(sent <= 16, "{sent} messages were sent although it is dead");
}

#[test]
fn a_stopped_worker_that_holds_the_broadcast_up_is_reported() {
    let stage = Stage::new(2);
    let (tell, told) = std::sync::mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    let liveness = RequiredConsumerLivenessConfig::new([""; 0])
        .with_progress_timeout(Duration::from_millis(50))
        .with_shutdown_grace_period(Duration::from_millis(50))
        .with_alert_hook(Arc::new(move |alert| drop(tell.lock().unwrap().send(alert.report.to_string()))));
    let topology = stage.topology.clone().with_liveness(liveness);
    let stopped = by_hand("answers", &topology.invitation(0).unwrap());
    let other = by_hand("answers", &topology.invitation(1).unwrap());
    let mut scheduler = topology.launch(Workers::started_elsewhere()).unwrap();
    round(&mut scheduler, "before");
    stopped.stop();
    let refused = loop {
        match scheduler.broadcast(b"more", 1, Patience::Managed) {
            Ok(_) => drop(scheduler.gather(Whom::Rank(1), soon())),
            Err(error) => break error,
        }
    };
    assert!(
        matches!(
            *refused.source,
            TransportError::RequiredConsumer(RequiredConsumerError::GracefulShutdownTriggered { .. })
        ),
        "{refused}"
    );
    let report = told.recv_timeout(PATIENCE).unwrap();
    println!("{report}");
    let culprit = format!("{} pid {} is stopped", topology.worker_consumer_id(0), stopped.pid());
    assert!(report.contains(&culprit), "{report}");
    drop((scheduler, stopped, other));
    stage.collect();
}

#[test]
fn a_stopped_worker_is_late_and_not_dead() {
    let stage = Stage::new(2);
    let mut worker = by_hand("answers", &stage.topology.invitation(0).unwrap());
    let spawned = by_hand("answers", &stage.topology.invitation(1).unwrap());
    let mut scheduler = stage.topology.launch(Workers::started_elsewhere()).unwrap();
    worker.wait_line("JOINED");
    worker.stop();
    scheduler.broadcast(b"late", 1, Patience::Until(soon())).unwrap();
    let answers = scheduler.gather(Whom::All, Instant::now() + Duration::from_millis(300));
    assert!(matches!(answers[0].outcome, Outcome::TimedOut), "{answers:?}");
    assert_eq!(said(&answers[1]), "LATE");
    worker.cont();
    assert_eq!(said(&scheduler.gather(Whom::Rank(0), soon())[0]), "LATE");
    drop((scheduler, spawned));
}

/// The next changes that a loop of looks is told.
fn next_changes(scheduler: &mut SchedulerEnd) -> Vec<(usize, Change)> {
    let mut changes = Vec::new();
    eventually("the news", PATIENCE, || {
        changes = scheduler.check_workers();
        !changes.is_empty()
    })
    .unwrap();
    changes
}

/// The status of a process that was killed.
fn killed() -> ExitStatus {
    ExitStatus::from_raw(Signal::KILL.as_raw())
}

/// Sends SIGKILL to a child that the scheduler has not reaped, because no call has looked since.
fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    rustix::process::kill_process(pid, Signal::KILL).unwrap();
}

#[test]
fn a_worker_that_leaves_and_comes_back_is_heard_again() {
    let stage = Stage::new(2);
    let spawn = |rank| command(if rank == 0 { "answers once" } else { "answers" });
    let mut scheduler = stage.topology.launch(Workers::spawned(spawn)).unwrap();
    round(&mut scheduler, "once");
    let (left, _) = until(&mut scheduler, 0, |outcome| !matches!(outcome, Outcome::TimedOut));
    assert!(matches!(left, Outcome::Left), "{left:?}");
    scheduler.restart(0).unwrap();
    let (back, _) = until(&mut scheduler, 0, |outcome| !matches!(outcome, Outcome::Left));
    assert!(matches!(back, Outcome::Rejoined { .. }), "{back:?}");
    round(&mut scheduler, "twice");
}
