//! How a worker's end ends: by an error, by a panic, by leaving; and what its successor receives.

use super::actors::{by_hand, command, workers};
use super::stage::{Stage, in_one_process, round, said, soon, until};
use myelon::Patience;
use myelon::liveness::Ending;
use myelon::topology::{Change, Outcome, SchedulerEnd, Situation, Topology, TopologyError, Whom, WorkerEnd, Workers};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use testkit::watchdog::{PATIENCE, Watchdog, eventually};

/// Workers that play `first` at their first start, and answer after a restart.
fn first(first: &'static str, ranks: usize) -> Workers {
    let starts = AtomicUsize::new(0);
    Workers::spawned(move |_| command(if starts.fetch_add(1, Ordering::Relaxed) < ranks { first } else { "answers" }))
}

/// Broadcasts 1 to 4.
fn four(scheduler: &mut SchedulerEnd) {
    for number in 1..=4 {
        scheduler.broadcast(format!("step {number}").as_bytes(), 1, Patience::Until(soon())).unwrap();
    }
}

fn next_message(scheduler: &mut SchedulerEnd, rank: usize) -> String {
    let answer = scheduler.gather(Whom::Rank(rank), soon()).remove(0);
    said(&answer)
}

#[track_caller]
fn gone(scheduler: &mut SchedulerEnd, rank: usize) -> (Option<i32>, Ending) {
    match scheduler.gather(Whom::Rank(rank), soon()).remove(0).outcome {
        Outcome::Died { status, how, .. } => (status.and_then(|status| status.code()), how),
        other => panic!("{other:?}"),
    }
}

/// Checks what the successor receives after a worker that has answered step 1 and no other.
#[track_caller]
fn assert_successor_gets_the_rest(scheduler: &mut SchedulerEnd, rank: usize) {
    let (rejoined, _) = until(scheduler, rank, |outcome| !matches!(outcome, Outcome::Died { .. } | Outcome::Left));
    assert!(matches!(rejoined, Outcome::Rejoined { .. }), "{rejoined:?}");
    for number in 2..=4 {
        assert_eq!(next_message(scheduler, rank), format!("STEP {number}"));
    }
}

#[test]
fn a_worker_whose_handler_fails_has_died_with_its_status_and_its_successor_gets_the_rest() {
    let _watchdog = Watchdog::new(4 * PATIENCE, "a worker that fails");
    for (role, code, how) in [("fails", 3, Ending::Dropped), ("panics", 101, Ending::Panicked)] {
        let stage = Stage::new(1);
        let mut scheduler = stage.topology.launch(first(role, 1)).unwrap();
        four(&mut scheduler);
        assert_eq!(next_message(&mut scheduler, 0), "STEP 1");
        assert_eq!(gone(&mut scheduler, 0), (Some(code), how), "{role}");
        assert_eq!(gone(&mut scheduler, 0), (Some(code), how), "{role}: it stays the answer");
        let report = scheduler.report(0);
        assert_eq!(report.situation, Situation::Dead { status: Some(exit(code)), how }, "{report}");
        scheduler.restart(0).unwrap();
        assert_successor_gets_the_rest(&mut scheduler, 0);
        drop(scheduler);
        stage.assert_nothing_left();
    }
}

#[test]
fn ranks_that_panic_have_not_left_in_good_order() {
    let stage = Stage::new(2);
    let mut scheduler = stage.topology.launch(first("panics", 2)).unwrap();
    four(&mut scheduler);
    let mut changes = Vec::new();
    eventually("both deaths", PATIENCE, || {
        changes.append(&mut scheduler.check_workers());
        changes.len() >= 2
    })
    .unwrap();
    changes.sort_by_key(|&(rank, _)| rank);
    for (rank, (told, change)) in changes.into_iter().enumerate() {
        let Change::Died { status, how, .. } = change else { panic!("rank {told}: {change:?}") };
        assert_eq!((told, status, how), (rank, Some(exit(101)), Ending::Panicked));
    }
}

#[test]
fn a_worker_by_hand_that_fails_is_known_by_its_place() {
    let _watchdog = Watchdog::new(4 * PATIENCE, "a worker by hand that fails");
    for (role, how) in [("fails", Ending::Dropped), ("panics", Ending::Panicked)] {
        let stage = Stage::new(1);
        let invitation = stage.topology.invitation(0).unwrap();
        let mut worker = by_hand(role, &invitation);
        let mut scheduler = stage.topology.launch(Workers::started_elsewhere()).unwrap();
        four(&mut scheduler);
        assert_eq!(next_message(&mut scheduler, 0), "STEP 1");
        assert_eq!(gone(&mut scheduler, 0), (None, how), "{role}");
        worker.wait_exit(PATIENCE);
        let successor = by_hand("answers", &invitation);
        assert_successor_gets_the_rest(&mut scheduler, 0);
        drop((scheduler, successor));
        stage.collect();
    }
}

#[test]
fn a_worker_that_has_dropped_its_end_and_lives_is_not_called_dead() {
    let stage = Stage::new(1);
    let mut worker = by_hand("drops its end and lives", &stage.topology.invitation(0).unwrap());
    let mut scheduler = stage.topology.launch(Workers::started_elsewhere()).unwrap();
    assert_eq!(gone(&mut scheduler, 0), (None, Ending::Dropped));
    worker.wait_line("DROPPED");
    let report = scheduler.report(0).to_string();
    println!("{report}");
    assert!(report.contains("was dropped; its process is sleeping") && !report.contains("died"), "{report}");
    drop(scheduler);
}

#[test]
fn a_process_that_joins_again_after_its_end_was_dropped_comes_back() {
    let _watchdog = Watchdog::new(4 * PATIENCE, "a process that joins twice");
    let stage = Stage::new(1);
    for start in [workers("fails and joins again"), Workers::started_elsewhere()] {
        let worker = by_hand_if_elsewhere(&start, &stage.topology, "fails and joins again");
        let mut scheduler = stage.topology.launch(start).unwrap();
        let pid = scheduler.worker_pid(0).unwrap();
        four(&mut scheduler);
        assert_eq!(next_message(&mut scheduler, 0), "STEP 1");
        let (rejoined, _) = until(&mut scheduler, 0, |outcome| !matches!(outcome, Outcome::Died { .. }));
        assert!(matches!(rejoined, Outcome::Rejoined { pid: again } if again == pid), "{rejoined:?}");
        for number in 2..=4 {
            assert_eq!(next_message(&mut scheduler, 0), format!("STEP {number}"));
        }
        round(&mut scheduler, "together again");
        drop((scheduler, worker));
        stage.collect();
    }
}

#[test]
fn a_worker_that_leaves_gives_its_place_up_and_one_that_ends_well_keeps_it() {
    let _watchdog = Watchdog::new(4 * PATIENCE, "workers that leave");
    for (role, is_kept) in [("leaves after one", false), ("ends well after one", true)] {
        let stage = Stage::new(1);
        let mut scheduler = stage.topology.launch(first(role, 1)).unwrap();
        four(&mut scheduler);
        assert_eq!(next_message(&mut scheduler, 0), "STEP 1");
        let left = scheduler.gather(Whom::Rank(0), soon()).remove(0).outcome;
        assert!(matches!(left, Outcome::Left), "{role}: {left:?}");
        scheduler.restart(0).unwrap();
        if is_kept {
            assert_successor_gets_the_rest(&mut scheduler, 0);
        } else {
            until(&mut scheduler, 0, |outcome| matches!(outcome, Outcome::Rejoined { .. }));
        }
        round(&mut scheduler, "after");
    }
}

#[test]
fn a_dead_worker_whose_place_was_taken_away_before_anybody_looked_has_not_left() {
    let stage = Stage::new(1);
    let mut worker = by_hand("answers", &stage.topology.invitation(0).unwrap());
    let mut scheduler = stage.topology.launch(Workers::started_elsewhere()).unwrap();
    round(&mut scheduler, "before");
    worker.kill_and_reap();
    let id = stage.topology.worker_consumer_id(0);
    assert!(scheduler.broadcast_ring().evict_consumer(&id).unwrap());
    assert_eq!(gone(&mut scheduler, 0), (None, Ending::Killed));
    drop(scheduler);
    stage.collect();
}

fn exit(code: i32) -> std::process::ExitStatus {
    std::os::unix::process::ExitStatusExt::from_raw(code << 8)
}

fn by_hand_if_elsewhere(start: &Workers, topology: &Topology, role: &str) -> Option<testkit::process::Victim> {
    let is_elsewhere = format!("{start:?}").contains("elsewhere");
    is_elsewhere.then(|| by_hand(role, &topology.invitation(0).unwrap()))
}

#[test]
fn when_the_scheduler_closes_the_plain_loop_of_a_worker_ends_after_each_broadcast_was_heard_once() {
    let _watchdog = Watchdog::new(4 * PATIENCE, "the plain loop of a worker");
    let stage = Stage::new(1);
    let invitation = stage.topology.invitation(0).unwrap();
    let worker = std::thread::spawn(move || {
        let mut worker: WorkerEnd = WorkerEnd::join(&invitation).unwrap();
        assert!(worker.next_or_end(Patience::Now).map(drop).unwrap_err().is_timed_out(), "nothing yet");
        worker.respond(b"ready", 1, Patience::Endless).unwrap();
        let mut heard = vec![];
        while let Some(step) = worker.next_or_end(Patience::Endless)? {
            heard.push(String::from_utf8(step.to_vec()).unwrap());
        }
        Ok::<_, TopologyError>(heard)
    });
    let mut scheduler = stage.topology.launch(Workers::started_elsewhere()).unwrap();
    assert_eq!(next_message(&mut scheduler, 0), "ready");
    four(&mut scheduler);
    scheduler.close();
    assert_eq!(worker.join().unwrap().unwrap(), ["step 1", "step 2", "step 3", "step 4"]);
}

/// The entry says what happened to the successor. Nothing says that the process before it was killed.
#[test]
fn a_worker_that_has_left_is_not_called_killed_when_its_successor_is_killed_before_the_scheduler_looks() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "a worker that leaves and a successor that is killed");
    let stage = Stage::new(1);
    let (mut scheduler, mut joined) = in_one_process(&stage.topology);
    let response = stage.topology.layout().response_ring_name(0).unwrap();
    let ring = || Path::new("/dev/shm").join(&response).exists();
    joined.remove(0).leave();
    assert!(!ring(), "the ring of a worker that has left is gone");
    let mut successor = by_hand("answers", &stage.topology.invitation(0).unwrap());
    eventually("the successor's ring", PATIENCE, ring).unwrap();
    let pid = successor.pid();
    successor.kill_and_reap();
    let mut changes = scheduler.check_workers();
    eventually("both ends", PATIENCE, || {
        changes.append(&mut scheduler.check_workers());
        changes.len() >= 2
    })
    .unwrap();
    let [
        (0, Change::Died { pid: first, status: None, how }),
        (0, Change::Died { pid: second, how: Ending::Killed, .. }),
    ] = changes[..]
    else {
        panic!("{changes:?}")
    };
    assert_eq!((first, how, second), (std::process::id(), Ending::Unknown, pid));
}

#[test]
fn a_worker_that_was_killed_is_called_so_although_its_successor_is_killed_before_the_scheduler_looks() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "two workers that are killed");
    let stage = Stage::new(1);
    let invitation = stage.topology.invitation(0).unwrap();
    let mut first = by_hand("answers", &invitation);
    let mut scheduler = stage.topology.launch(Workers::started_elsewhere()).unwrap();
    first.wait_line("JOINED");
    first.kill_and_reap();
    let broadcast = stage.topology.layout().rpc_ring_name();
    let mut second = by_hand("answers", &invitation);
    let reads = |pid: u32| {
        let table = myelon::ConsumerBarrier::attach(&broadcast).unwrap().consumers();
        table.iter().any(|info| info.alive && info.process.pid == pid)
    };
    eventually("the successor in the table", PATIENCE, || reads(second.pid())).unwrap();
    second.kill_and_reap();
    let mut changes = scheduler.check_workers();
    eventually("both ends", PATIENCE, || {
        changes.append(&mut scheduler.check_workers());
        changes.len() >= 2
    })
    .unwrap();
    let said: Vec<_> = changes
        .iter()
        .map(|(_, change)| match change {
            Change::Died { pid, how, .. } => (*pid, *how),
            other => panic!("{other:?}"),
        })
        .collect();
    // The successor may have replaced the ring that says it about the first process.
    let [(one, how), (two, Ending::Killed)] = said[..] else { panic!("{said:?}") };
    assert_eq!((one, two), (first.pid(), second.pid()));
    assert!(matches!(how, Ending::Killed | Ending::Unknown), "{how:?}");
}
