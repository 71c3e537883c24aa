//! Waiting for the process that takes a worker's entry: it ends when there is something to report, and costs nothing
//! meanwhile.

use super::actors::{command, workers};
use super::stage::{Stage, round, said, soon, until};
use myelon::Patience;
use myelon::liveness::Ending;
use myelon::process::Command;
use myelon::topology::{Arrival, Outcome, SchedulerEnd, Whom, Workers};
use rustix::process::{Pid, kill_process};
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use testkit::Signal;
use testkit::watchdog::{PATIENCE, Watchdog};

fn kill(scheduler: &SchedulerEnd, rank: usize) -> u32 {
    let pid = scheduler.worker_pid(rank).unwrap();
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL).unwrap();
    pid
}

/// How often this thread has gone to sleep.
fn sleeps() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
    line.trim().parse().unwrap()
}

#[test]
fn the_successor_of_a_dead_worker_ends_the_wait_and_its_answer_is_the_next_thing_to_be_heard() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "a successor");
    let stage = Stage::new(2);
    let starts = AtomicUsize::new(0);
    let spawn = move |rank| match rank {
        1 if starts.fetch_add(1, Ordering::Relaxed) == 0 => command("hangs"),
        _ => command("answers"),
    };
    let mut scheduler = stage.topology.launch(Workers::spawned(spawn)).unwrap();
    let step = scheduler.broadcast(b"hello", 1, Patience::Now).unwrap();
    assert_eq!(said(&scheduler.gather_for(step, Whom::Rank(0), soon())[0]), "HELLO");
    let old = kill(&scheduler, 1);
    let new = scheduler.restart(1).unwrap();
    let arrival = scheduler.wait_for(1, soon());
    assert!(matches!(arrival, Arrival::Joined { pid } if pid == new && pid != old), "{arrival:?}");
    // Neither its predecessor's death nor its own arrival is reported again.
    assert_eq!(said(&scheduler.gather_for(step, Whom::Rank(1), soon())[0]), "HELLO");
    assert_eq!(scheduler.check_workers(), []);
    let arrival = scheduler.wait_for(0, Instant::now());
    assert!(matches!(arrival, Arrival::Joined { .. }), "one that is there is not waited for: {arrival:?}");
    round(&mut scheduler, "again");
}

#[test]
fn what_a_dead_worker_has_sent_comes_before_its_successor_that_was_waited_for() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "a successor that waits for its predecessor's messages");
    let stage = Stage::new(1);
    let starts = AtomicUsize::new(0);
    let spawn = move |_| command(["answers and hangs", "answers"][starts.fetch_add(1, Ordering::Relaxed).min(1)]);
    let mut scheduler = stage.topology.launch(Workers::spawned(spawn)).unwrap();
    let step = scheduler.broadcast(b"one", 1, Patience::Now).unwrap();
    testkit::watchdog::eventually("the answer", PATIENCE, || scheduler.report(0).answers_waiting == 1).unwrap();
    kill(&scheduler, 0);
    scheduler.restart(0).unwrap();
    let arrival = scheduler.wait_for(0, soon());
    assert!(matches!(arrival, Arrival::Joined { .. }), "{arrival:?}");
    // The new process may have answered by now too.
    let waiting = scheduler.report(0).answers_waiting;
    assert!((1..=2).contains(&waiting), "{waiting}");
    // One answer of the old process and one of the new; the step was not acknowledged.
    assert_eq!(said(&scheduler.gather(Whom::Rank(0), soon())[0]), "ONE");
    let again = scheduler.gather(Whom::Rank(0), soon()).remove(0);
    assert_eq!((said(&again), again.step), ("ONE".to_owned(), Some(step)));
}

#[test]
fn a_successor_that_cannot_be_ends_the_wait_with_its_pid_and_its_status() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "a successor that fails");
    let stage = Stage::new(1);
    let starts = AtomicUsize::new(0);
    let spawn = move |_| match starts.fetch_add(1, Ordering::Relaxed) {
        0 => command("answers"),
        _ => {
            let mut fails = Command::new("sh");
            fails.args(["-c", "exit 7"]);
            fails
        }
    };
    let mut scheduler = stage.topology.launch(Workers::spawned(spawn)).unwrap();
    kill(&scheduler, 0);
    let new = scheduler.restart(0).unwrap();
    match scheduler.wait_for(0, soon()) {
        Arrival::JoinFailed { pid, status: Some(status), refusal: None } => {
            assert_eq!((pid, status.code()), (new, Some(7)))
        }
        other => panic!("{other:?}"),
    }
    // It stays the outcome.
    let again = scheduler.gather(Whom::Rank(0), soon()).remove(0).outcome;
    assert!(matches!(again, Outcome::JoinFailed { pid, .. } if pid == new), "{again:?}");
}

#[test]
fn a_place_that_was_given_up_is_not_waited_for_unless_a_process_is_on_its_way() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "a worker that has left");
    let stage = Stage::new(1);
    let starts = AtomicUsize::new(0);
    let spawn = move |_| command(["leaves after one", "answers"][starts.fetch_add(1, Ordering::Relaxed).min(1)]);
    let mut scheduler = stage.topology.launch(Workers::spawned(spawn)).unwrap();
    round(&mut scheduler, "one");
    scheduler.broadcast(b"two", 1, Patience::Now).unwrap();
    until(&mut scheduler, 0, |outcome| matches!(outcome, Outcome::Left));
    let arrival = scheduler.wait_for(0, soon());
    assert!(matches!(arrival, Arrival::Left), "{arrival:?}");
    scheduler.restart(0).unwrap();
    let arrival = scheduler.wait_for(0, soon());
    assert!(matches!(arrival, Arrival::Joined { .. }), "{arrival:?}");
    round(&mut scheduler, "three");
}

#[test]
fn a_dead_worker_that_no_program_but_the_scheduler_would_start_again_is_not_waited_for() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "a worker that is not started again");
    let stage = Stage::new(2);
    let mut scheduler = stage.topology.launch(workers("answers")).unwrap();
    for is_told in [false, true] {
        let killed = kill(&scheduler, 1);
        if is_told {
            until(&mut scheduler, 1, |outcome| matches!(outcome, Outcome::Died { .. }));
        }
        for patience in [Patience::Endless, Patience::Managed, Patience::Endless] {
            let arrival = loop {
                match scheduler.wait_for(1, patience) {
                    // The signal is on its way.
                    Arrival::Joined { pid } if pid == killed => {}
                    arrival => break arrival,
                }
            };
            let Arrival::Died { pid, status: Some(status), how: Ending::Killed } = arrival else {
                panic!("{arrival:?}")
            };
            assert_eq!((pid, status.signal()), (killed, Some(Signal::KILL.as_raw())));
        }
        // It counts as reported, and as soon as another process was started, the call waits for that one.
        assert_eq!(scheduler.check_workers(), []);
        let new = scheduler.restart(1).unwrap();
        let arrival = scheduler.wait_for(1, Patience::Endless);
        assert!(matches!(arrival, Arrival::Joined { pid } if pid == new), "{arrival:?}");
    }
    round(&mut scheduler, "again");
}

#[test]
fn a_wait_for_a_successor_that_does_not_come_sleeps_and_ends_with_a_report() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "a successor that never comes");
    let stage = Stage::new(2);
    let starts = AtomicUsize::new(0);
    let spawn = move |_| match starts.fetch_add(1, Ordering::Relaxed) {
        0 | 1 => command("answers"),
        _ => {
            let mut never_joins = Command::new("sleep");
            never_joins.arg("600");
            never_joins
        }
    };
    let mut scheduler = stage.topology.launch(Workers::spawned(spawn)).unwrap();
    let pid = kill(&scheduler, 1);
    until(&mut scheduler, 1, |outcome| matches!(outcome, Outcome::Died { .. }));
    scheduler.restart(1).unwrap();
    let (slept, waited) = (sleeps(), Duration::from_millis(500));
    let arrival = scheduler.wait_for(1, Instant::now() + waited);
    let slept = sleeps() - slept;
    // One sleep for each look: not one for each millisecond, and not none.
    assert!((1..=100).contains(&slept), "{slept} sleeps in {waited:?}");
    let Arrival::TimedOut { report } = arrival else { panic!("{arrival:?}") };
    let text = report.to_string();
    assert!(text.starts_with(&format!("{}, rank 1 (pid {pid}) has died: signal: 9", stage.label())), "{text}");
}
