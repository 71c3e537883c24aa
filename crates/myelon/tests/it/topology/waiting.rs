//! What waiting costs, and who is told what while somebody does not get on.

use super::actors::{by_hand, command, scheduler};
use super::stage::{Stage, round};
use myelon::topology::Workers;
use std::process::{Command, Stdio};
use std::time::Duration;
use testkit::usage::Usage;
use testkit::watchdog::{PATIENCE, Watchdog};

#[test]
fn nobody_burns_a_core_while_nothing_happens() {
    for role in ["waits for any", "waits for all"] {
        let stage = Stage::new(2);
        let mut scheduler = scheduler(&stage, role);
        let mut waiters = vec![scheduler.pid()];
        for _ in 0..2 {
            let line = scheduler.wait_line("WORKER ");
            waiters.push(line["WORKER ".len()..].parse().unwrap());
        }
        // What counts is the processor time in a second of waiting, not when that second ends.
        std::thread::sleep(Duration::from_millis(100));
        let before: Vec<_> = waiters.iter().map(|&pid| Usage::of(pid).unwrap()).collect();
        std::thread::sleep(Duration::from_secs(1));
        for (&pid, before) in waiters.iter().zip(before) {
            let used = Usage::of(pid).unwrap().since(before);
            println!("{role}: process {pid} used {:?} and went to sleep {} times", used.cpu, used.voluntary_switches);
            assert!(used.cpu <= Duration::from_millis(150), "{used:?} of a second in which nothing happened");
        }
        scheduler.kill_and_reap();
        stage.collect();
    }
}

#[test]
fn times_without_end_have_no_end_and_are_no_panic() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "a topology without deadlines");
    let stage = Stage::new(1);
    let topology = stage.topology.clone().with_rendezvous_timeout(Duration::MAX).with_leave_timeout(Duration::MAX);
    let mut scheduler = topology.launch(Workers::spawned(|_| command("answers"))).unwrap();
    assert!(scheduler.broadcast_ring().get_ref().discover_consumers(Duration::MAX));
    assert!(scheduler.broadcast_ring().get_ref().discover_consumer_id(&topology.worker_consumer_id(0), Duration::MAX));
    round(&mut scheduler, "a step");
    assert_eq!(scheduler.close().len(), 1);
    stage.assert_nothing_left();
}

#[test]
fn a_stopped_scheduler_is_not_dead() {
    let stage = Stage::new(2);
    let mut hands: Vec<_> = (0..2).map(|rank| by_hand("answers", &stage.topology.invitation(rank).unwrap())).collect();
    let mut scheduler = scheduler(&stage, "does not");
    scheduler.wait_line("WORKER");
    scheduler.stop();
    // Six times as long as a worker needs to notice a death.
    std::thread::sleep(Duration::from_millis(300));
    scheduler.cont();
    let pid = scheduler.pid();
    scheduler.kill_and_reap();
    for hand in &mut hands {
        hand.wait_line("HEARD 5");
        // Not before: whatever else it had said would stand here.
        assert_eq!(hand.wait_line(""), format!("DIED {pid}"));
        assert!(hand.wait_exit(PATIENCE).success());
    }
    stage.collect();
}

#[test]
fn a_worker_behind_a_shell_is_met_and_told_of_the_end() {
    let stage = Stage::new(2);
    let spawn = |_| {
        let worker = command("answers");
        let mut shell = Command::new("sh");
        // Two commands, so that no shell puts the worker in its own place.
        shell.args(["-c", "\"$@\"; exit $?", "sh"]).arg(worker.get_program()).args(worker.get_args());
        for (name, value) in worker.get_envs() {
            shell.env(name, value.unwrap());
        }
        shell.stdin(Stdio::null()).stdout(Stdio::null());
        shell
    };
    let mut scheduler = stage.topology.launch(Workers::spawned(spawn)).unwrap();
    round(&mut scheduler, "through a shell");
    for departure in scheduler.close() {
        let text = format!("{departure:?}");
        assert!(text.contains("Exited") && text.contains("(0)"), "{text}");
    }
    stage.assert_nothing_left();
}
