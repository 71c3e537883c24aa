//! The scheduler is killed, and its workers end.

use super::actors::{by_hand, scheduler, tagged, workers};
use super::stage::{Stage, is_dead, round};
use myelon::topology::Topology;
use std::time::Instant;
use testkit::watchdog::{PATIENCE, Watchdog, eventually};

#[test]
fn workers_by_hand_are_told_that_their_scheduler_was_killed() {
    let stage = Stage::new(2);
    are_told(&stage, &stage.topology, "does not");
}

#[test]
fn workers_by_hand_with_an_urgent_lane_are_told_that_their_scheduler_was_killed() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "workers that wait at two rings of a dead scheduler");
    let stage = Stage::new(2);
    are_told(&stage, &stage.topology.clone().with_urgent_lane(), "does not, with an urgent lane");
}

fn are_told(stage: &Stage, topology: &Topology, role: &str) {
    let mut hands: Vec<_> = (0..2).map(|rank| by_hand("answers", &topology.invitation(rank).unwrap())).collect();
    let mut scheduler = scheduler(stage, role);
    scheduler.wait_line("WORKER");
    let pid = scheduler.pid();
    scheduler.kill_and_reap();
    let killed = Instant::now();
    for hand in &mut hands {
        assert_eq!(hand.wait_line("D"), format!("DIED {pid}"));
        println!("a worker was told of its scheduler's death after {:.1?}", killed.elapsed());
        assert!(hand.wait_exit(PATIENCE).success());
    }
    // The last process that left has removed the ring.
    stage.assert_nothing_left();
}

#[test]
fn a_broadcast_in_whose_middle_the_scheduler_was_killed_reaches_nobody() {
    let stage = Stage::new(2);
    let mut hands: Vec<_> = (0..2).map(|rank| by_hand("answers", &stage.topology.invitation(rank).unwrap())).collect();
    let mut scheduler = scheduler(&stage, "stops halfway");
    scheduler.wait_line("HALFWAY");
    let pid = scheduler.pid();
    scheduler.kill_and_reap();
    for hand in &mut hands {
        hand.wait_line("HEARD 5");
        // If it had received anything else, that line would come first.
        assert_eq!(hand.wait_line(""), format!("DIED {pid}"));
        assert!(hand.wait_exit(PATIENCE).success());
    }
    stage.collect();
}

#[test]
fn when_the_scheduler_and_a_worker_are_killed_the_other_is_told_and_the_label_can_be_used_again() {
    let stage = Stage::new(2);
    let mut survivor = by_hand("answers", &stage.topology.invitation(0).unwrap());
    let mut doomed = by_hand("stops halfway", &stage.topology.invitation(1).unwrap());
    let mut scheduler = scheduler(&stage, "stops halfway after two");
    scheduler.wait_line("HALFWAY");
    doomed.wait_line("HALFWAY");
    let pid = scheduler.pid();
    scheduler.kill(testkit::Signal::KILL);
    doomed.kill(testkit::Signal::KILL);
    survivor.wait_line(&format!("DIED {pid}"));
    scheduler.wait_exit(PATIENCE);
    doomed.wait_exit(PATIENCE);
    let mut second = stage.topology.launch(workers("answers")).unwrap();
    round(&mut second, "again");
    drop(second);
    assert!(survivor.wait_exit(PATIENCE).success());
    stage.assert_nothing_left();
}

/// No process comes back to the entry that the first worker has kept.
#[test]
fn the_last_worker_removes_the_rings_of_a_dead_scheduler_although_another_has_died_before() {
    let stage = Stage::new(2);
    let topology = tagged(stage.topology.clone());
    let mut doomed = by_hand("answers", &topology.invitation(1).unwrap());
    let mut survivor = by_hand("answers", &topology.invitation(0).unwrap());
    let mut scheduler = scheduler(&stage, "tagged, does not");
    scheduler.wait_line("WORKER");
    doomed.kill_and_reap();
    let pid = scheduler.pid();
    scheduler.kill_and_reap();
    survivor.wait_line(&format!("DIED {pid}"));
    assert!(survivor.wait_exit(PATIENCE).success());
    let response = topology.layout().response_ring_names().nth(1).unwrap();
    let left = stage.leftovers();
    assert!(left.iter().all(|path| path.ends_with(&response)), "beside the ring of the dead worker: {left:?}");
    stage.collect();
}

#[test]
fn what_a_session_that_was_killed_as_a_whole_has_left_is_collected_by_its_description() {
    let stage = Stage::new(2);
    let topology = stage.topology.clone().with_urgent_lane();
    let mut hands: Vec<_> = (0..2).map(|rank| by_hand("answers", &topology.invitation(rank).unwrap())).collect();
    let mut scheduler = scheduler(&stage, "does not, with an urgent lane");
    scheduler.wait_line("WORKER");
    assert_eq!((topology.gc().unwrap(), stage.leftovers().len()), (0, 4), "processes live in them");
    for hand in &mut hands {
        hand.kill_and_reap();
    }
    scheduler.kill_and_reap();
    let mut removed = 0;
    // A process whose main thread is dead holds its locks until its last thread is dead.
    let mut is_gone = || {
        removed += topology.gc().unwrap();
        stage.leftovers().is_empty()
    };
    eventually("the end of all who live in a ring", PATIENCE, &mut is_gone).unwrap();
    assert_eq!(removed, 4);
}

#[test]
fn workers_that_were_spawned_die_with_their_scheduler_even_if_they_are_stopped() {
    let stage = Stage::new(2);
    let mut scheduler = scheduler(&stage, "spawns");
    let mut pids = Vec::new();
    for _ in 0..2 {
        let line = scheduler.wait_line("WORKER ");
        pids.push(line["WORKER ".len()..].parse::<u32>().unwrap());
    }
    let stopped = rustix::process::Pid::from_raw(pids[1].cast_signed()).unwrap();
    rustix::process::kill_process(stopped, testkit::Signal::STOP).unwrap();
    scheduler.kill_and_reap();
    let killed = Instant::now();
    for pid in pids {
        eventually("the end of a worker", PATIENCE, || is_dead(pid)).unwrap();
    }
    println!("the workers were gone {:.1?} after their scheduler", killed.elapsed());
    stage.collect();
}

#[test]
fn a_new_scheduler_of_the_same_label_begins_anew() {
    let stage = Stage::new(2);
    let mut survivors: Vec<_> =
        (0..2).map(|rank| by_hand("ignores the end", &stage.topology.invitation(rank).unwrap())).collect();
    let mut first = scheduler(&stage, "met");
    for survivor in &mut survivors {
        survivor.wait_line("JOINED");
    }
    first.kill_and_reap();
    // The survivors hang, and hold their rings: a process that comes in their place is told which process is in the
    // way, and joins later.
    std::thread::scope(|scope| {
        let second = scope.spawn(|| stage.topology.launch(workers("answers")).unwrap());
        for survivor in &mut survivors {
            survivor.kill_and_reap();
        }
        let mut second = second.join().unwrap();
        round(&mut second, "again");
    });
    stage.assert_nothing_left();
}
