//! How a child has ended, and how that is known.

use myelon_process::{Child, Command, Ended, Signal, StatusUnknown, Stdio};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, WaitOptions, waitpid};
use std::thread;
use std::time::Duration;
use testkit::process::{Respawn, ignore_children, is_victim, say};
use testkit::test_name;
use testkit::watchdog::{PATIENCE, eventually};

fn shell(script: &str) -> Child {
    Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).spawn().unwrap()
}

fn is_readable(child: &Child) -> bool {
    poll(&mut [PollFd::new(child, PollFlags::IN)], Some(&Timespec::default())).unwrap() > 0
}

#[test]
fn an_end_is_the_one_that_the_standard_library_gives() {
    for script in ["exit 0", "exit 7", "exit 255", "kill -9 $$", "kill -15 $$", "kill -40 $$"] {
        let expected = std::process::Command::new("sh").args(["-c", script]).status().unwrap();
        let ended = shell(script).wait(PATIENCE).unwrap();
        assert_eq!(ended.status(), Ok(expected), "{script}");
    }
}

#[test]
fn a_child_runs_until_it_is_signalled_and_its_end_stays_the_answer() {
    let mut child = shell("read line");
    assert_eq!(child.try_wait(), None);
    assert_eq!(child.wait(Duration::from_millis(1)), None);
    assert!(!is_readable(&child));
    child.signal(Signal::TERM).unwrap();
    let ended = Ended::Signalled { signal: Signal::TERM, core_dumped: false };
    for _ in 0..2 {
        assert_eq!(child.wait(PATIENCE), Some(ended));
        assert!(is_readable(&child));
    }
    // Another process may have its number now; that one gets nothing.
    child.kill().unwrap();
    child.signal(Signal::STOP).unwrap();
}

#[test]
fn the_descriptor_is_readable_when_the_child_has_ended_and_was_not_asked_yet() {
    let mut child = shell("read line; exit 3");
    drop(child.stdin.take());
    let timeout = Timespec::try_from(PATIENCE).unwrap();
    assert_eq!(poll(&mut [PollFd::new(&child, PollFlags::IN)], Some(&timeout)).unwrap(), 1);
    assert_eq!(child.try_wait(), Some(Ended::Exited(3)));
}

/// Whether it ended with `code`, or it is rightly unknown. Linux before 6.15 does not keep what others have reaped.
fn is_told_truly(ended: Option<Ended>, code: i32) -> bool {
    match ended {
        Some(Ended::Exited(found)) => found == code,
        Some(Ended::Unknown(StatusUnknown::ReapedElsewhere)) => !keeps_statuses(),
        Some(Ended::Unknown(StatusUnknown::GoneAtOnce)) => true,
        _ => false,
    }
}

/// Whether this kernel says how a process ended that another has reaped.
fn keeps_statuses() -> bool {
    let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
    let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
    let descriptor = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
    // It closes the input first.
    let _ = child.wait();
    matches!(disruptor_mp::liveness::process::exit_status(&descriptor), Ok(Some(_)))
}

/// Children that live until their descriptor is open, so that their end is known, and others that may not.
fn check_ends() {
    for code in [0, 7] {
        let mut child = shell(&format!("read line; exit {code}"));
        assert_eq!(child.try_wait(), None);
        drop(child.stdin.take());
        let ended = child.wait(PATIENCE);
        assert!(is_told_truly(ended, code) && ended != Some(Ended::Unknown(StatusUnknown::GoneAtOnce)), "{ended:?}");
    }
    for _ in 0..100 {
        let ended = Command::new("true").spawn().unwrap().wait(PATIENCE);
        assert!(is_told_truly(ended, 0), "{ended:?}");
    }
    let mut killed = shell("read line");
    killed.kill().unwrap();
    assert!(matches!(killed.wait(PATIENCE), Some(Ended::Signalled { signal: Signal::KILL, .. } | Ended::Unknown(_))));
    let error = Command::new("/no/such/program").spawn().unwrap_err();
    assert_eq!(error.to_string(), "the program `/no/such/program` does not exist");
}

#[test]
#[ignore = "runs as a victim"]
fn victim_with_a_host() {
    match testkit::process::role().as_deref() {
        Some("ignores SIGCHLD") => ignore_children(),
        Some("reaps in another thread") => drop(thread::spawn(|| {
            loop {
                // With no child there is nothing to wait for.
                if waitpid(None, WaitOptions::empty()).is_err() {
                    thread::yield_now();
                }
            }
        })),
        _ => return,
    }
    check_ends();
    say("ALL KNOWN");
}

#[test]
fn ends_are_told_truly_where_the_kernel_or_another_thread_reaps() {
    for role in ["ignores SIGCHLD", "reaps in another thread"] {
        let mut victim = Respawn::test(test_name!(victim_with_a_host)).role(role).spawn();
        victim.wait_line("ALL KNOWN");
        assert!(victim.wait_exit(PATIENCE).success(), "{role}");
    }
}

#[test]
#[ignore = "runs as a victim"]
fn victim_that_drops_a_child() {
    if !is_victim() {
        return;
    }
    let mut child = shell("read line; exit 0");
    let (pid, stdin) = (Pid::from_raw(child.pid().cast_signed()).unwrap(), child.stdin.take());
    drop(child);
    assert!(rustix::process::test_kill_process(pid).is_ok(), "it runs on");
    drop(stdin);
    // A zombie could still be signalled.
    eventually("the child is reaped", PATIENCE, || rustix::process::test_kill_process(pid).is_err()).unwrap();
    say("REAPED");
}

#[test]
fn a_dropped_child_runs_on_and_leaves_no_zombie() {
    let mut victim = Respawn::test(test_name!(victim_that_drops_a_child)).spawn();
    victim.wait_line("REAPED");
    assert!(victim.wait_exit(PATIENCE).success());
}
