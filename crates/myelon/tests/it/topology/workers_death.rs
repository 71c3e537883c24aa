//! A worker is killed, and the others go on.

use super::actors::{by_hand, command, workers};
use super::stage::{Stage, round, said, soon, until};
use myelon::Patience;
use myelon::topology::{Change, Outcome, Whom, Workers};
use std::time::Instant;
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

    // The others answer, and the dead one is dead at once for everybody who asks.
    scheduler.broadcast(b"without you", 1, Patience::Until(soon())).unwrap();
    let answers = scheduler.gather(Whom::All, soon());
    assert_eq!([said(&answers[0]), said(&answers[2])], ["WITHOUT YOU", "WITHOUT YOU"]);
    assert!(matches!(answers[1].outcome, Outcome::Died { .. }), "{answers:?}");

    let successor = scheduler.restart(1).unwrap();
    let (rejoined, _) = until(&mut scheduler, 1, |outcome| !matches!(outcome, Outcome::Died { .. }));
    assert!(matches!(rejoined, Outcome::Rejoined { pid } if pid == successor), "{rejoined:?}");
    // What its predecessor had not acknowledged: perhaps the first, certainly the second.
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
fn a_worker_that_dies_while_nobody_asks_it_is_named_once_to_a_loop_that_looks() {
    let stage = Stage::new(2);
    let mut scheduler = stage.topology.launch(workers("answers")).unwrap();
    round(&mut scheduler, "before");
    assert_eq!(scheduler.check_workers(), []);
    let pid = scheduler.worker_pid(0).unwrap();
    kill(pid);
    let mut changes = Vec::new();
    eventually("the news", PATIENCE, || {
        changes = scheduler.check_workers();
        !changes.is_empty()
    })
    .unwrap();
    assert_eq!(changes, [(0, Change::Died { pid })]);
    assert_eq!(scheduler.check_workers(), []);
    assert_eq!(scheduler.worker_pid(0), None);
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
    println!("whoever waited for any was told after {:.1?}", killed.elapsed());
    assert!(heard.rank == 1 && matches!(heard.outcome, Outcome::Died { .. }), "{heard:?}");
    // Told once; the living one is waited for from now on.
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
fn a_stopped_worker_is_late_and_not_dead() {
    let stage = Stage::new(2);
    let mut worker = by_hand("answers", &stage.topology.invitation(0).unwrap());
    let spawned = by_hand("answers", &stage.topology.invitation(1).unwrap());
    let mut scheduler = stage.topology.launch(Workers::started_elsewhere()).unwrap();
    worker.wait_line("JOINED");
    worker.stop();
    scheduler.broadcast(b"late", 1, Patience::Until(soon())).unwrap();
    let answers = scheduler.gather(Whom::All, Instant::now() + std::time::Duration::from_millis(300));
    assert!(matches!(answers[0].outcome, Outcome::TimedOut), "{answers:?}");
    assert_eq!(said(&answers[1]), "LATE");
    worker.cont();
    assert_eq!(said(&scheduler.gather(Whom::Rank(0), soon())[0]), "LATE");
    drop((scheduler, spawned));
}

/// SIGKILL to a child of ours that the scheduler has not reaped, because nobody has asked it since.
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
