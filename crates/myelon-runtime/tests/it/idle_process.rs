//! A process that has nothing to do makes no system call.

use crate::watchdog;
use myelon_runtime::agenda::{Agenda, Tasklet};
use myelon_runtime::event_loop::{EventLoop, Interest, Ready};
use std::fs::read_to_string;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;
use testkit::process::{Respawn, Victim, is_victim, say};
use testkit::test_name;
use testkit::watchdog::{PATIENCE, eventually};

/// For how many seconds the process is watched, if not for two.
const SECONDS_VARIABLE: &str = "MYELON_TEST_IDLE_SECONDS";

#[test]
fn victim_with_a_loop_and_an_agenda_and_nothing_to_do() {
    if !is_victim() {
        return;
    }
    let agenda = Agenda::builder().workers(2).start().unwrap();
    let mut event_loop = EventLoop::new().unwrap();
    event_loop.attend(&agenda, "the loop");
    let (reader, _writer) = std::io::pipe().unwrap();
    event_loop.add(reader, Interest::Readable, "a pipe", |_: &mut EventLoop, _: &mut _, _: Ready| ()).unwrap();
    let (ours, _theirs) = UnixStream::pair().unwrap();
    event_loop.add(ours, Interest::Readable, "a socket", |_: &mut EventLoop, _: &mut _, _: Ready| ()).unwrap();
    let (_, _sender) = event_loop.add_channel(8, "no orders", |_: &mut EventLoop, ()| ());
    event_loop.add_at_safe_point(PATIENCE, "no reload", |_: &mut EventLoop| ());
    event_loop.add_idle("work for when there is no other", |_: &mut EventLoop| ());
    // A result comes into the loop, so that all parts have worked before they rest.
    let tasklet = Tasklet::new("a sum", || 40 + 2);
    let handle = event_loop.handle();
    handle.submit(&agenda, tasklet, |_, sum| say(&format!("the sum is {}", sum.unwrap()))).unwrap();
    event_loop.run().unwrap();
}

/// How often each thread has had a core.
fn switches(victim: &Victim) -> Vec<String> {
    let mut all = Vec::new();
    for task in std::fs::read_dir(format!("/proc/{}/task", victim.pid())).unwrap().flatten() {
        let status = read_to_string(task.path().join("status")).unwrap();
        all.extend(status.lines().filter(|line| line.contains("ctxt_switches")).map(str::to_owned));
    }
    all
}

// no call in the time, by loop and workers together.
#[test]
fn an_idle_loop_and_its_agenda_make_no_system_call() {
    let seconds = std::env::var(SECONDS_VARIABLE).map_or(2, |seconds| seconds.parse().expect("a number of seconds"));
    let _watchdog = watchdog("an idle process");
    let mut victim = Respawn::test(test_name!(victim_with_a_loop_and_an_agenda_and_nothing_to_do)).spawn();
    victim.wait_line("the sum is 42");
    eventually("rest", PATIENCE, || {
        let before = switches(&victim);
        std::thread::sleep(Duration::from_millis(300));
        before == switches(&victim)
    })
    .unwrap();

    let tracer = Command::new("strace")
        .args(["-f", "-p", &victim.pid().to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut tracer) = tracer else { testkit::skip!("there is no strace here") };
    let mut report = BufReader::new(tracer.stderr.take().unwrap());
    let mut first = String::new();
    report.read_line(&mut first).unwrap();
    if !first.contains("attached") {
        tracer.wait().unwrap();
        testkit::skip!("strace may not attach to a process here: {first}");
    }
    std::thread::sleep(Duration::from_secs(seconds));
    // strace leaves the process when it is interrupted.
    let pid = rustix::process::Pid::from_child(&tracer);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let mut calls = String::new();
    report.read_to_string(&mut calls).unwrap();
    tracer.wait().unwrap();
    println!("{seconds} s:\n{calls}");
    // A call that ends has a result. What each thread sleeps in has none.
    let ended = calls.lines().filter(|line| line.contains(" = ")).count();
    assert!(calls.contains("epoll_"), "the loop was not watched:\n{calls}");
    assert_eq!(ended, 0, "system calls in {seconds} s:\n{calls}");
}
