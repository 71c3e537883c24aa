//! Programs that do to children and to the whole process what a library cannot forbid: each runs as a process of its
//! own.

use crate::{log, settle, watchdog};
use myelon_process::{Child, Command, Ended, Signal, Stdio, signals::block_first};
use myelon_runtime::event_loop::{EventLoop, Tick};
use rustix::process::{WaitOptions, waitpid};
use std::rc::Rc;
use std::time::Duration;
use testkit::fork::alone;
use testkit::process::{Respawn, ignore_children, role, say};
use testkit::test_name;
use testkit::watchdog::PATIENCE;

#[test]
#[ignore = "runs as a victim"]
fn victim_with_children() {
    match role().as_deref() {
        Some("ignores SIGCHLD") => ignore_children(),
        Some("reaps in another thread") => drop(std::thread::spawn(|| {
            loop {
                // With no child there is nothing to wait for.
                if waitpid(None, WaitOptions::empty()).is_err() {
                    std::thread::yield_now();
                }
            }
        })),
        _ => return,
    }
    const CHILDREN: i32 = 20;
    let _watchdog = watchdog("children of a host that reaps");
    let mut event_loop = EventLoop::new().unwrap();
    let told = log();
    for code in 0..CHILDREN {
        let script = format!("exit {code}");
        let mut command = Command::new("sh");
        let child = command.args(["-c", script.as_str()]).stdin(Stdio::null()).spawn().unwrap();
        let kept = Rc::clone(&told);
        let end = move |event_loop: &mut EventLoop, _: &mut Child, ended: Ended| {
            assert!(matches!(ended, Ended::Unknown(_)) || ended == Ended::Exited(code), "{code}: {ended:?}");
            kept.borrow_mut().push(code);
            if kept.borrow().len() == CHILDREN as usize {
                event_loop.handle().quit();
            }
        };
        event_loop.add_child(child, "a child", end).unwrap();
    }
    event_loop.run().unwrap();
    settle(&mut event_loop);
    told.borrow_mut().sort_unstable();
    assert_eq!(*told.borrow(), (0..CHILDREN).collect::<Vec<_>>());
    say("EACH ONCE");
}

#[test]
fn the_end_of_each_child_is_told_once_where_the_kernel_or_another_thread_reaps_it() {
    for role in ["ignores SIGCHLD", "reaps in another thread"] {
        let mut victim = Respawn::test(test_name!(victim_with_children)).role(role).spawn();
        victim.wait_line("EACH ONCE");
        assert!(victim.wait_exit(PATIENCE).success(), "{role}");
    }
}

#[test]
#[ignore = "runs as a victim"]
fn victim_with_an_interval() {
    if role().is_none() {
        return;
    }
    let mut event_loop = EventLoop::new().unwrap();
    let began = event_loop.now();
    let mut periods = 0;
    let mut said = false;
    event_loop.add_interval(Duration::from_millis(10), "a period", move |event_loop: &mut EventLoop, tick: Tick| {
        periods += 1 + tick.missed;
        let over = (event_loop.now() - began).as_millis() / 10;
        // The phase is kept: as many were told as are over, however late this call is.
        assert!(u128::from(periods).abs_diff(over) <= 1, "{periods} of {over}");
        if !std::mem::replace(&mut said, true) {
            say("TICKS");
        }
        if tick.missed >= 50 {
            say("ONE CALL FOR ALL");
            event_loop.handle().quit();
        }
    });
    let id = event_loop.handle().sources().last().unwrap().id;
    event_loop.run().unwrap();
    assert_eq!(event_loop.report(id).unwrap().failures, 0);
}

#[test]
fn a_process_that_is_stopped_for_a_second_tells_the_missed_periods_in_one_call_and_keeps_the_phase() {
    let mut victim = Respawn::test(test_name!(victim_with_an_interval)).spawn();
    victim.wait_line("TICKS");
    victim.stop();
    std::thread::sleep(Duration::from_secs(1)); // it is the time that is missed, and not waited for
    victim.cont();
    victim.wait_line("ONE CALL FOR ALL");
    assert!(victim.wait_exit(PATIENCE).success());
}

#[test]
fn term_ends_a_child_of_a_process_that_has_blocked_it_for_its_loop() {
    alone(|| {
        let blocked = block_first().unwrap();
        let mut event_loop = EventLoop::new().unwrap();
        event_loop.quit_on_signals(blocked.reader().unwrap()).unwrap();
        let sleeper = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
        let told = log();
        let kept = Rc::clone(&told);
        let end = move |event_loop: &mut EventLoop, _: &mut Child, ended: Ended| {
            kept.borrow_mut().push(ended);
            event_loop.handle().exit();
        };
        let id = event_loop.add_child(sleeper, "a sleeper", end).unwrap();
        event_loop.source_mut::<Child>(id).unwrap().signal(Signal::TERM).unwrap();
        event_loop.run().unwrap();
        assert_eq!(*told.borrow(), [Ended::Signalled { signal: Signal::TERM, core_dumped: false }]);
    });
}
