//! How workers' processes end, and how the scheduler knows.

use super::actors::{command, scheduler, workers};
use super::stage::{Stage, round, soon, until};
use myelon::Patience;
use myelon::liveness::Ending;
use myelon::process::{Command, Stdio};
use myelon::topology::{Change, Outcome, SchedulerEnd, Whom, Workers};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicUsize, Ordering};
use testkit::fork::fork_then;
use testkit::watchdog::{PATIENCE, Watchdog, eventually};

/// The status of a process that exits with `code`.
fn code(code: i32) -> ExitStatus {
    ExitStatus::from_raw(code << 8)
}

fn shell(script: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).stdin(Stdio::null());
    shell
}

/// One worker that answers, and at its second start a process that runs `second`.
fn fails_at_the_second_start(second: &'static str) -> Workers {
    let starts = AtomicUsize::new(0);
    Workers::spawned(move |_| match starts.fetch_add(1, Ordering::Relaxed) {
        1 => shell(second),
        _ => command("answers"),
    })
}

fn kill(scheduler: &SchedulerEnd, rank: usize) -> u32 {
    send(scheduler, rank, testkit::Signal::KILL)
}

fn send(scheduler: &SchedulerEnd, rank: usize, signal: testkit::Signal) -> u32 {
    let pid = scheduler.worker_pid(rank).unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
    pid
}

#[test]
fn a_successor_that_ends_before_it_has_joined_is_a_change_with_its_own_pid_and_status() {
    let _watchdog = Watchdog::new(4 * PATIENCE, "a worker whose successor fails");
    let stage = Stage::new(1);
    let mut scheduler = stage.topology.launch(fails_at_the_second_start("exit 7")).unwrap();
    round(&mut scheduler, "before");
    let old = kill(&scheduler, 0);
    let mut changes = Vec::new();
    let mut next = |scheduler: &mut SchedulerEnd| {
        eventually("the next change", PATIENCE, || {
            changes.append(&mut scheduler.check_workers());
            !changes.is_empty()
        })
        .unwrap();
        changes.remove(0)
    };
    let killed = ExitStatus::from_raw(testkit::Signal::KILL.as_raw());
    assert_eq!(next(&mut scheduler), (0, Change::Died { pid: old, status: Some(killed), how: Ending::Killed }));
    let new = scheduler.restart(0).unwrap();
    assert_ne!(old, new);
    assert_eq!(next(&mut scheduler), (0, Change::JoinFailed { pid: new, status: Some(code(7)), refusal: None }));
    assert_eq!(scheduler.check_workers(), [], "told once");
    // In `gather` it stays the outcome.
    for _ in 0..2 {
        let answer = scheduler.gather(Whom::Rank(0), soon()).remove(0);
        assert!(
            matches!(answer.outcome, Outcome::JoinFailed { pid, status, .. } if (pid, status) == (new, Some(code(7)))),
            "{answer:?}"
        );
    }
    let third = scheduler.restart(0).unwrap();
    until(&mut scheduler, 0, |outcome| matches!(outcome, Outcome::Rejoined { pid } if *pid == third));
    scheduler.broadcast(b"after", 1, Patience::Until(soon())).unwrap();
    // Messages that the killed worker had not acknowledged come first.
    until(&mut scheduler, 0, |outcome| matches!(outcome, Outcome::Message { bytes, .. } if bytes == b"AFTER"));
}

#[test]
fn a_death_that_nobody_was_told_of_is_not_lost_in_the_failure_of_the_successor() {
    let _watchdog = Watchdog::new(4 * PATIENCE, "a worker whose successor fails");
    let stage = Stage::new(1);
    let mut scheduler = stage.topology.launch(fails_at_the_second_start("exit 7")).unwrap();
    let old = scheduler.worker_pid(0).unwrap();
    // Ends the old process itself.
    let new = scheduler.restart(0).unwrap();
    let died = scheduler.gather(Whom::Any, soon()).remove(0).outcome;
    assert!(
        matches!(died, Outcome::Died { pid, status: Some(status), .. } if pid == old && !status.success()),
        "{died:?}"
    );
    let (failed, _) = until(&mut scheduler, 0, |outcome| !matches!(outcome, Outcome::Died { .. }));
    assert!(matches!(failed, Outcome::JoinFailed { pid, .. } if pid == new), "{failed:?}");
}

#[test]
fn a_successor_that_fails_ends_the_wait_of_whoever_waits_for_any() {
    let stage = Stage::new(1);
    let mut scheduler = stage.topology.launch(fails_at_the_second_start("exit 7")).unwrap();
    kill(&scheduler, 0);
    until(&mut scheduler, 0, |outcome| matches!(outcome, Outcome::Died { .. }));
    let new = scheduler.restart(0).unwrap();
    let failed = scheduler.gather(Whom::Any, soon()).remove(0).outcome;
    assert!(matches!(failed, Outcome::JoinFailed { pid, .. } if pid == new), "{failed:?}");
}

#[test]
fn where_the_kernel_or_another_thread_reaps_workers_restart_and_the_end_is_told_truly() {
    for role in ["ignores SIGCHLD", "reaps in another thread"] {
        let stage = Stage::new(2);
        let mut scheduler = scheduler(&stage, role);
        let said = scheduler.wait_line("STATUS");
        // Linux before 6.15 does not keep the status; then the scheduler says that it cannot be known.
        assert!(
            ["STATUS Some(signal: 9", "STATUS None"].iter().any(|beginning| said.starts_with(beginning)),
            "{role}: {said}"
        );
        let said = scheduler.wait_line("FAILED");
        assert!(["FAILED Some(7)", "FAILED None"].contains(&said.as_str()), "{role}: {said}");
        scheduler.wait_line("REJOINED");
        let said = scheduler.wait_line("LEFT");
        assert_eq!(said, "LEFT [true, true]", "{role}");
        assert!(scheduler.wait_exit(PATIENCE).success(), "{role}");
        stage.assert_nothing_left();
    }
}

#[test]
fn a_program_that_cannot_be_started_ends_no_worker_where_sigchld_is_ignored() {
    let stage = Stage::new(2);
    let mut scheduler = scheduler(&stage, "ignores SIGCHLD and starts nothing");
    scheduler.wait_line("REFUSED");
    scheduler.wait_line("ANSWERED");
    assert!(scheduler.wait_exit(PATIENCE).success());
    stage.assert_nothing_left();
}

#[test]
fn term_ends_a_worker_of_a_scheduler_that_reads_its_own_signals_as_events() {
    let stage = Stage::new(2);
    // A process with one thread, as `main` has it.
    let mut child = fork_then(|| {
        let Ok(_blocked) = myelon::process::signals::block_first() else { return 1 };
        let mut scheduler = stage.topology.launch(workers("answers")).unwrap();
        send(&scheduler, 0, testkit::Signal::TERM);
        let (died, _) = until(&mut scheduler, 0, |outcome| matches!(outcome, Outcome::Died { .. }));
        match died {
            Outcome::Died { status: Some(status), .. } if status.signal() == Some(testkit::Signal::TERM.as_raw()) => 0,
            _ => 2,
        }
    });
    assert_eq!(child.wait_exit(PATIENCE).code(), Some(0));
    stage.assert_nothing_left();
}

#[test]
fn a_scheduler_that_panics_ends_its_workers_and_removes_its_rings() {
    let stage = Stage::new(2);
    let mut scheduler = scheduler(&stage, "panics");
    let mut pids = Vec::new();
    for _ in 0..2 {
        pids.push(scheduler.wait_line("WORKER ")["WORKER ".len()..].parse::<u32>().unwrap());
    }
    scheduler.wait_line("CAUGHT");
    stage.assert_nothing_left();
    for pid in pids {
        assert!(super::stage::is_dead(pid), "process {pid}");
    }
}

#[test]
fn a_scheduler_that_panics_has_not_closed_the_topology_for_workers_by_hand_and_leaves_nothing() {
    let stage = Stage::new(2);
    let mut hands: Vec<_> =
        (0..2).map(|rank| super::actors::by_hand("answers", &stage.topology.invitation(rank).unwrap())).collect();
    let mut scheduler = scheduler(&stage, "panics among strangers");
    scheduler.wait_line("CAUGHT");
    let pid = scheduler.pid();
    for hand in &mut hands {
        hand.wait_line(&format!("DIED {pid}"));
        assert!(hand.wait_exit(PATIENCE).success());
    }
    stage.assert_nothing_left();
}

#[test]
fn workers_that_hang_do_not_outlive_the_panic_of_their_scheduler() {
    let stage = Stage::new(1);
    let topology = stage.topology.clone().with_leave_timeout(std::time::Duration::from_millis(200));
    let panicked = std::thread::spawn(move || {
        let scheduler = topology.launch(workers("ignores the end")).unwrap();
        let pid = scheduler.worker_pid(0).unwrap();
        std::panic::panic_any((pid, scheduler.worker_count()));
    })
    .join()
    .unwrap_err();
    let (pid, _) = *panicked.downcast::<(u32, usize)>().unwrap();
    assert!(super::stage::is_dead(pid));
    stage.assert_nothing_left();
}
