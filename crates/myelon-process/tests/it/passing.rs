//! Which descriptors a child has.

use myelon_process::{Child, Command, Patience, Stdio};
use rustix::io::fcntl_dupfd_cloexec;
use std::fs;
use std::io::{PipeWriter, Read};
use std::os::fd::AsRawFd;
use std::thread;
use testkit::fork::fork_then;
use testkit::process::{Respawn, is_victim, say};
use testkit::test_name;
use testkit::watchdog::{PATIENCE, Watchdog, eventually};

/// The numbers of the descriptors of a child.
fn numbers_in_child() -> String {
    let mut child = Command::new("ls").arg("/proc/self/fd").stdout(Stdio::piped()).spawn().unwrap();
    let mut numbers = String::new();
    child.stdout.take().unwrap().read_to_string(&mut numbers).unwrap();
    child.wait(Patience::Endless);
    numbers
}

fn cat() -> Child {
    let streams = (Stdio::piped(), Stdio::piped(), Stdio::piped());
    Command::new("cat").stdin(streams.0).stdout(streams.1).stderr(streams.2).spawn().unwrap()
}

#[test]
fn a_child_has_no_descriptor_that_it_was_not_given() {
    let before = numbers_in_child();
    let mut others: Vec<_> = (0..8).map(|_| cat()).collect();
    let (_reader, writer) = std::io::pipe().unwrap();
    let mut command = Command::new("true");
    let number = command.inherit_anywhere(writer).unwrap();
    assert!(number > 2);
    assert_eq!(numbers_in_child(), before);
    for child in &mut others {
        drop(child.stdin.take());
        assert!(child.wait(Patience::Endless).unwrap().is_success());
    }
}

#[test]
fn no_child_inherits_the_pipe_of_another_that_is_started_at_the_same_time() {
    let _watchdog = Watchdog::new(4 * PATIENCE, "children whose input has ended");
    let starts = || -> Vec<Child> { (0..20).map(|_| cat()).collect() };
    let children: Vec<Child> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(starts)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    // Each ends when its own input ends, while the inputs of the later ones are open.
    for mut child in children {
        drop(child.stdin.take());
        assert!(child.wait(Patience::Endless).unwrap().is_success());
    }
}

/// What the child writes into `number`, read from the other end.
fn writes(script: &str, given: Vec<(PipeWriter, i32)>, mut reader: impl Read) -> String {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    for (writer, number) in given {
        command.inherit(writer, number);
    }
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert!(child.wait(Patience::Endless).unwrap().is_success());
    text
}

#[test]
fn a_descriptor_has_the_number_that_was_asked_for() {
    let (reader, writer) = std::io::pipe().unwrap();
    assert_eq!(writes("echo seven >&7", vec![(writer, 7)], reader), "seven\n");
}

/// What `/proc` calls this pipe.
fn link_of(pipe: &impl AsRawFd) -> String {
    fs::read_link(format!("/proc/self/fd/{}", pipe.as_raw_fd())).unwrap().to_str().unwrap().to_owned()
}

#[test]
fn descriptors_arrive_whatever_numbers_this_process_uses_for_their_copies() {
    // With one thread, the numbers of the copies are those that are free next. Some of the numbers here are the same.
    let mut child = fork_then(|| {
        let pipes = [std::io::pipe().unwrap(), std::io::pipe().unwrap()];
        let free = fcntl_dupfd_cloexec(&pipes[0].1, 3).unwrap().as_raw_fd();
        for number in free..free + 8 {
            let mut command = Command::new("readlink");
            for ((_, writer), number) in pipes.iter().zip([number, number + 1]) {
                command.arg(format!("/proc/self/fd/{number}")).inherit(writer.try_clone().unwrap(), number);
            }
            let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
            let mut found = String::new();
            child.stdout.take().unwrap().read_to_string(&mut found).unwrap();
            child.wait(Patience::Endless);
            if found != format!("{}\n{}\n", link_of(&pipes[0].1), link_of(&pipes[1].1)) {
                return 1;
            }
        }
        0
    });
    assert_eq!(child.wait_exit(PATIENCE).code(), Some(0));
}

#[test]
fn a_number_that_is_taken_is_not_given_twice() {
    let (_reader, writer) = std::io::pipe().unwrap();
    let copy = writer.try_clone().unwrap();
    let mut command = Command::new("true");
    command.inherit(copy, writer.as_raw_fd());
    let taken = writer.as_raw_fd();
    assert_ne!(command.inherit_anywhere(writer).unwrap(), taken);
}

#[test]
fn a_number_beyond_the_limit_of_open_files_is_an_error_that_says_so() {
    let (_reader, writer) = std::io::pipe().unwrap();
    let error = Command::new("true").inherit(writer, i32::MAX).spawn().unwrap_err();
    let expected = format!("the program `true` cannot be given a descriptor as its number {}: ", i32::MAX);
    assert!(error.to_string().starts_with(&expected), "{error}");
}

#[test]
#[ignore = "runs as a victim"]
fn victim_that_starts_a_thousand() {
    if !is_victim() {
        return;
    }
    let descriptors = || fs::read_dir("/proc/self/fd").unwrap().count();
    // Whatever the first one needs stays.
    numbers_in_child();
    let before = descriptors();
    for number in 0..1000 {
        let mut command = Command::new("true");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        match number % 4 {
            // Dropped while it runs, or has ended and was not asked.
            0 => drop(child),
            _ => assert!(child.wait(Patience::Endless).unwrap().is_success()),
        }
        if number % 100 == 0 {
            assert!(Command::new("/no/such/program").stdin(Stdio::piped()).spawn().is_err());
        }
    }
    let has_children = || {
        use rustix::process::{WaitId, WaitIdOptions, waitid};
        waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT).is_ok()
    };
    eventually("the end of the last child", PATIENCE, || !has_children()).unwrap();
    eventually("the end of the threads that have reaped", PATIENCE, || descriptors() == before).unwrap();
    say("NOTHING LEFT");
}

#[test]
fn a_thousand_children_leave_no_descriptor_and_no_zombie() {
    let mut victim = Respawn::test(test_name!(victim_that_starts_a_thousand)).spawn();
    victim.wait_line("NOTHING LEFT");
    assert!(victim.wait_exit(PATIENCE).success());
}
