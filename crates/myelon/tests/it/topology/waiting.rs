//! What waiting costs, and what the scheduler is told while a worker makes no progress.

use super::actors::{by_hand, command, scheduler};
use super::stage::{Stage, in_one_process, round, said, soon};
use myelon::Patience;
use myelon::process::{Command, Stdio};
use myelon::topology::{Arrival, Outcome, Whom, WorkerEnd, Workers};
use myelon::transport::Records;
use std::time::{Duration, Instant};
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
        // The test measures processor time during a second of waiting; it does not matter when that second ends.
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
        // It has noticed nothing before: any other output would come first.
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
        // Two commands, so that the shell does not `exec` the worker.
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

#[test]
fn a_gather_without_end_ends_when_each_worker_has_answered_died_or_left() {
    for patience in [Patience::Endless, Patience::Managed] {
        let _watchdog = Watchdog::new(PATIENCE * 2, "a gather without end");
        let stage = Stage::new(3);
        let (mut scheduler, mut workers) = in_one_process(&stage.topology);
        let step = scheduler.broadcast(b"a step", 1, patience).unwrap();
        let last = std::thread::spawn(move || {
            for worker in &mut workers {
                drop(worker.next(Patience::Endless).unwrap().unwrap());
            }
            workers.pop().unwrap().leave();
            drop(workers.pop().unwrap());
            workers[0].respond(b"an answer", 0, Patience::Endless).unwrap();
            workers.pop().unwrap()
        });
        let answers = scheduler.gather_for(step, Whom::All, patience);
        let outcomes: Vec<_> = answers.into_iter().map(|answer| answer.outcome).collect();
        let [Outcome::Message { bytes, .. }, Outcome::Died { .. }, Outcome::Left] = &outcomes[..] else {
            panic!("{outcomes:?}")
        };
        assert_eq!(bytes, b"an answer");
        // No call waits for a worker that cannot answer, whichever worker it asks for.
        let answers = scheduler.gather_for(step, Whom::Any, patience);
        let outcomes: Vec<_> = answers.into_iter().map(|answer| answer.outcome).collect();
        assert!(matches!(&outcomes[..], [Outcome::Answered, Outcome::Died { .. }, Outcome::Left]), "{outcomes:?}");
        assert!(matches!(scheduler.receive(1, patience), Err(Outcome::Died { .. })));
        assert!(matches!(scheduler.gather(Whom::Rank(2), patience)[0].outcome, Outcome::Left));
        assert!(matches!(scheduler.wait_for(2, patience), Arrival::Left));
        // The last worker dies while a call waits for it.
        let last = last.join().unwrap();
        let dying = std::thread::spawn(move || drop(last));
        let answer = scheduler.gather(Whom::Any, patience).remove(0);
        assert!(matches!(answer.outcome, Outcome::Died { .. }) && answer.rank == 0, "{answer:?}");
        dying.join().unwrap();
        // A successor ends the wait for it.
        let invitation = stage.topology.invitation(1).unwrap();
        let successor = std::thread::spawn(move || WorkerEnd::<Records>::join(&invitation).unwrap());
        assert!(matches!(scheduler.wait_for(1, patience), Arrival::Joined { .. }));
        successor.join().unwrap().leave();
    }
}

#[test]
fn every_wait_of_a_topology_takes_a_moment_a_duration_or_a_patience() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "short waits");
    let stage = Stage::new(1);
    let (mut scheduler, mut workers) = in_one_process(&stage.topology.clone().with_urgent_lane());
    let worker = &mut workers[0];
    let short = Duration::from_millis(2);
    let moment = || Instant::now() + short;
    let timed_out = |outcome: &Outcome| matches!(outcome, Outcome::TimedOut);
    let step = scheduler.broadcast(b"a step", 1, PATIENCE).unwrap();
    assert!(timed_out(&scheduler.gather(Whom::Rank(0), short)[0].outcome));
    assert!(timed_out(&scheduler.gather(Whom::Any, moment())[0].outcome));
    assert!(timed_out(&scheduler.gather(Whom::All, Patience::Now)[0].outcome));
    assert!(timed_out(&scheduler.gather_for(step, Whom::All, Patience::ManagedUntil(moment()))[0].outcome));
    assert!(timed_out(&scheduler.gather_for(step, Whom::Any, short)[0].outcome));
    assert!(timed_out(&scheduler.receive(0, short).unwrap_err()));
    assert!(matches!(scheduler.wait_for(0, short), Arrival::Joined { .. }));
    drop(worker.next(PATIENCE).unwrap().unwrap());
    assert!(worker.next(moment()).unwrap_err().is_timed_out());
    assert!(worker.next(short).unwrap_err().is_timed_out());
    assert!(worker.next(Patience::Now).unwrap().is_none());
    assert!(worker.next_or_end(short).unwrap_err().is_timed_out());
    worker.respond(b"one", 0, short).unwrap();
    worker.answer(step, b"two", 0, moment()).unwrap();
    assert_eq!(said(&scheduler.gather(Whom::All, PATIENCE)[0]), "one");
    assert_eq!(said(&scheduler.gather(Whom::All, soon())[0]), "two");
    let mut urgent = worker.take_urgent().unwrap();
    assert!(urgent.next(short).unwrap_err().is_timed_out());
    assert!(urgent.next_or_end(moment()).unwrap_err().is_timed_out());
}
