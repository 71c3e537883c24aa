//! Blocked signals: which threads block them, and how they are read.

use crate::{bit, signals_in_status};
use disruptor_mp::liveness::process::send_signal;
use myelon_process::signals::{BlockError, block_first, block_set_first};
use myelon_process::{Command, Ended, Nursery, Signal, SignalSet, Stdio};
use rustix::process::{PidfdFlags, Resource, Rlimit, getpid, getrlimit, kill_process, pidfd_open, setrlimit};
use testkit::fork::alone;
use testkit::process::{Respawn, ignore_children, is_victim, say};
use testkit::watchdog::PATIENCE;
use testkit::{skip, test_name};

/// A program that runs until it is signalled, or until this process is gone.
fn sleeper() -> Command {
    let mut sleeper = Command::new("cat");
    sleeper.stdin(Stdio::piped());
    sleeper
}

#[test]
fn term_ends_a_child_of_a_process_that_has_blocked_its_signals() {
    alone(|| {
        let _blocked = block_first().unwrap();
        let nursery = Nursery::start().unwrap();
        let mut of_std = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        for mut child in [sleeper().spawn().unwrap(), nursery.spawn(&sleeper()).unwrap()] {
            assert_eq!(signals_in_status(child.pid(), "SigBlk"), 0);
            child.signal(Signal::TERM).unwrap();
            let ended = Ended::Signalled { signal: Signal::TERM, core_dumped: false };
            assert_eq!(child.wait(PATIENCE), Some(ended));
        }
        // This is why: a child of the standard library has the mask of the thread that has started it.
        assert_ne!(signals_in_status(of_std.id(), "SigBlk") & bit(Signal::TERM), 0);
        of_std.kill().unwrap();
        of_std.wait().unwrap();
    });
}

#[test]
fn the_mask_of_before_comes_back_and_is_blocked_once_at_a_time() {
    alone(|| {
        let mask = || signals_in_status(std::process::id(), "SigBlk");
        let before = mask();
        let blocked = block_set_first(SignalSet::server().with_realtime()).unwrap();
        for signal in [Signal::TERM, Signal::CHLD, Signal::from_number(40).unwrap()] {
            assert_ne!(mask() & bit(signal), 0, "{signal}");
        }
        for signal in [Signal::SEGV, Signal::PIPE, Signal::ABRT] {
            assert_eq!(mask() & bit(signal), before & bit(signal), "{signal}");
        }
        assert!(matches!(block_first(), Err(BlockError::Twice)));
        drop(blocked);
        assert_eq!(mask(), before);
        drop(block_first().unwrap());
    });
}

#[test]
fn a_process_with_other_threads_is_refused_and_told_what_to_do() {
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let (begun, has_begun) = std::sync::mpsc::channel();
    let wait = move || {
        // It has given itself its name by now.
        begun.send(()).unwrap();
        let _ = ended.recv();
    };
    let thread = std::thread::Builder::new().name("one-of-them".into()).spawn(wait).unwrap();
    has_begun.recv().unwrap();
    let before = signals_in_status(std::process::id(), "SigBlk");
    let error = block_first().unwrap_err();
    assert!(matches!(&error, BlockError::OtherThreads { names } if names.iter().any(|name| name == "one-of-them")));
    assert!(error.to_string().contains("call `block_first` first in `main`"), "{error}");
    assert_eq!(signals_in_status(std::process::id(), "SigBlk"), before);
    drop(end);
    thread.join().unwrap();
}

#[test]
fn a_thread_whose_name_is_cut_within_a_character_is_not_overlooked() {
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let (begun, has_begun) = std::sync::mpsc::channel();
    let wait = move || {
        begun.send(()).unwrap();
        let _ = ended.recv();
    };
    // The kernel keeps 15 bytes, and each of these characters has two.
    let thread = std::thread::Builder::new().name("öäöäöäöäöä".into()).spawn(wait).unwrap();
    has_begun.recv().unwrap();
    let refused = block_first();
    assert!(
        matches!(&refused, Err(BlockError::OtherThreads { names }) if names.iter().any(|name| name.starts_with("öäöäöäö")))
    );
    drop(end);
    thread.join().unwrap();
}

#[test]
fn a_thread_whose_name_cannot_be_read_is_not_overlooked() {
    alone(|| {
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            let _ = ended.recv();
        });
        let few = Rlimit { current: Some(64), ..getrlimit(Resource::Nofile) };
        setrlimit(Resource::Nofile, few).unwrap();
        let mut all: Vec<_> = std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).collect();
        // One is left for the list of the threads.
        all.pop();
        assert!(matches!(block_first(), Err(BlockError::OtherThreads { names }) if names.len() == 1));
        drop((all, end));
        thread.join().unwrap();
    });
}

#[test]
fn a_process_that_sees_the_proc_of_another_pid_namespace_is_not_refused_for_its_own_thread() {
    if let Err(reason) = testkit::namespace::available() {
        skip!("{reason}");
    }
    // In a thread that ends, because its later children would be in that namespace.
    let run = || {
        let claims = || i32::from(block_first().is_err());
        testkit::namespace::fork_then_first(claims).unwrap().wait_exit(PATIENCE).code()
    };
    assert_eq!(std::thread::spawn(run).join().unwrap(), Some(0));
}

#[test]
fn signals_are_read_lowest_first_with_their_sender_and_real_time_ones_as_often_as_they_were_sent() {
    alone(|| {
        let realtime = Signal::from_number(40).unwrap();
        let blocked = block_set_first(SignalSet::server().with_realtime()).unwrap();
        let reader = blocked.reader().unwrap();
        assert_eq!(reader.try_next().unwrap(), None);
        let ourselves = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
        for signal in [realtime, realtime, Signal::TERM, Signal::TERM, Signal::HUP] {
            send_signal(&ourselves, signal.number()).unwrap();
        }
        for expected in [Signal::HUP, Signal::TERM, realtime, realtime] {
            let received = reader.next(PATIENCE).unwrap().unwrap();
            assert_eq!((received.signal, received.pid), (expected, std::process::id()));
        }
        assert_eq!(reader.next(std::time::Duration::from_millis(1)).unwrap(), None);
    });
}

#[test]
fn a_child_of_a_host_that_blocks_signals_itself_has_the_mask_that_the_command_says() {
    alone(|| {
        nix::sys::signal::SigSet::from(nix::sys::signal::Signal::SIGTERM).thread_block().unwrap();
        let mut inherits = sleeper().spawn().unwrap();
        assert_ne!(signals_in_status(inherits.pid(), "SigBlk") & bit(Signal::TERM), 0);
        let mut told = sleeper().blocked_signals(SignalSet::empty().with(Signal::HUP)).spawn().unwrap();
        assert_eq!(signals_in_status(told.pid(), "SigBlk"), bit(Signal::HUP));
        for child in [&mut inherits, &mut told] {
            child.kill().unwrap();
            child.wait(PATIENCE).unwrap();
        }
    });
}

#[test]
#[ignore = "runs as a victim"]
fn victim_that_ignores_signals() {
    if !is_victim() {
        return;
    }
    ignore_children();
    assert_ne!(signals_in_status(std::process::id(), "SigIgn") & bit(Signal::PIPE), 0, "as every Rust program does");
    assert_ne!(signals_in_status(std::process::id(), "SigIgn") & bit(Signal::CHLD), 0);
    let mut child = sleeper().spawn().unwrap();
    // The C library ignores its own two in a child until a program uses them.
    let of_library = bit(Signal::from_number(32).unwrap()) | bit(Signal::from_number(33).unwrap());
    say(&format!("IGNORED {:x}", signals_in_status(child.pid(), "SigIgn") & !of_library));
    kill_process(rustix::process::Pid::from_raw(child.pid().cast_signed()).unwrap(), testkit::Signal::KILL).unwrap();
    child.wait(PATIENCE).unwrap();
}

#[test]
fn a_child_ignores_no_signal_that_its_parent_ignores() {
    let mut victim = Respawn::test(test_name!(victim_that_ignores_signals)).spawn();
    assert_eq!(victim.wait_line("IGNORED"), "IGNORED 0");
    assert!(victim.wait_exit(PATIENCE).success());
}
