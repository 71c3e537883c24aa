//! Children that end with their parent.

use disruptor_mp::liveness::{ProcessIdentity, ProcessState};
use myelon_process::orphan::{Parent, Tie, die_with_parent};
use myelon_process::{Child, Command, Ended, Nursery, Signal, Stdio};
use std::io::{BufRead, BufReader};
use testkit::process::{Respawn, is_victim, role, say, wait_to_be_killed};
use testkit::test_name;
use testkit::watchdog::{PATIENCE, eventually};

/// The variable with the parent.
const PARENT: &str = "MYELON_PROCESS_TEST_PARENT";

#[test]
#[ignore = "runs as a victim"]
fn victim_that_is_tied() {
    if !is_victim() {
        return;
    }
    let parent: Parent = std::env::var(PARENT).unwrap().parse().unwrap();
    let tie = die_with_parent(parent).unwrap();
    let ProcessIdentity { pid, start_time_ticks, pid_namespace } = ProcessIdentity::current();
    say(&format!("{tie:?} {pid} {start_time_ticks} {pid_namespace}"));
    if tie == Tie::Tied {
        wait_to_be_killed();
    }
}

/// This binary as a child that ties itself.
fn tied() -> Command {
    let test = test_name!(victim_that_is_tied);
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--include-ignored", "--test-threads=1", "--quiet"]);
    command.env("TESTKIT_ROLE", "tied").env(PARENT, Parent::current().to_string()).stdin(Stdio::null());
    command
}

/// What it says of its tie. It keeps its output, so that the harness in it can end in good order.
fn said(child: &mut Child) -> String {
    let output = child.stdout.as_ref().unwrap().try_clone().unwrap();
    let lines = BufReader::new(output).lines();
    lines.map_while(Result::ok).find(|line| line.contains("Parent") || line.contains("Tied")).unwrap()
}

#[test]
#[ignore = "runs as a victim"]
fn victim_that_starts_children() {
    if role().is_none() {
        return;
    }
    let nursery = Nursery::start().unwrap();
    let _child = nursery.spawn(&tied()).unwrap();
    wait_to_be_killed();
}

#[test]
fn children_die_with_a_parent_that_is_killed() {
    let mut parent = Respawn::test(test_name!(victim_that_starts_children)).spawn();
    let said = parent.wait_line("Tied");
    let numbers: Vec<u64> = said.split(' ').skip(1).map(|number| number.parse().unwrap()).collect();
    let &[pid, start_time_ticks, pid_namespace] = &numbers[..] else { panic!("{said}") };
    let child = ProcessIdentity { pid: pid.try_into().unwrap(), start_time_ticks, pid_namespace };
    assert!(!matches!(child.observe().state, ProcessState::Zombie | ProcessState::Gone));
    parent.kill_and_reap();
    eventually("the end of the child", PATIENCE, || {
        // The process that adopts it may not reap it.
        matches!(child.observe().state, ProcessState::Zombie | ProcessState::Gone)
    })
    .unwrap();
}

#[test]
fn a_tie_is_to_the_thread_that_started_the_child_and_the_nursery_is_such_a_thread() {
    let nursery = Nursery::start().unwrap();
    let started = std::thread::scope(|scope| {
        let start = || {
            let mut of_nursery = nursery.spawn(tied().stdout(Stdio::piped())).unwrap();
            let mut of_thread = tied().stdout(Stdio::piped()).spawn().unwrap();
            assert!(said(&mut of_nursery).starts_with("Tied") && said(&mut of_thread).starts_with("Tied"));
            (of_nursery, of_thread)
        };
        scope.spawn(start).join().unwrap()
    });
    let (mut of_nursery, mut of_thread) = started;
    let killed = Some(Ended::Signalled { signal: Signal::KILL, core_dumped: false });
    assert_eq!(of_thread.wait(PATIENCE), killed);
    assert_eq!(of_nursery.try_wait(), None);
    drop(nursery);
    assert_eq!(of_nursery.wait(PATIENCE), killed);
}

#[test]
fn a_child_of_a_shell_is_not_tied() {
    let mut shell = Command::new("sh");
    let program = std::env::current_exe().unwrap();
    let test = test_name!(victim_that_is_tied);
    // With a second command the shell does not execute the first in its own place.
    shell.arg("-c").arg(format!("'{}' --exact {test} --nocapture --include-ignored --quiet; true", program.display()));
    shell.env("TESTKIT_ROLE", "tied").env(PARENT, Parent::current().to_string()).stdout(Stdio::piped());
    let mut child = shell.spawn().unwrap();
    assert!(said(&mut child).starts_with("NotOurParent"));
    child.wait(PATIENCE);
}

#[test]
fn a_nursery_goes_on_after_a_program_that_does_not_exist() {
    let nursery = Nursery::start().unwrap();
    let error = nursery.spawn(&Command::new("/no/such/program")).unwrap_err();
    assert_eq!(error.to_string(), "the program `/no/such/program` does not exist");
    assert_eq!(nursery.spawn(&Command::new("true")).unwrap().wait(PATIENCE), Some(Ended::Exited(0)));
}

#[test]
fn a_nursery_of_the_parent_starts_nothing_in_a_forked_child() {
    let nursery = Nursery::start().unwrap();
    let mut child = testkit::fork::fork_then(|| {
        let refused = nursery.spawn(&Command::new("true")).is_err();
        i32::from(!refused)
    });
    assert_eq!(child.wait_exit(PATIENCE).code(), Some(0));
}
