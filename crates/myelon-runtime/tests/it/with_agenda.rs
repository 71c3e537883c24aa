//! The loop and an agenda together: results, safe points, and the watchdog.

use myelon_runtime::agenda::{Agenda, NotDone, QuiesceError, Tasklet};
use myelon_runtime::event_loop::{EventLoop, Next, RunEnd, SourceKind};
use myelon_runtime::testing::VirtualClock;
use myelon_runtime::watchdog::Watch;
use std::cell::RefCell;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use testkit::watchdog::{PATIENCE, Watchdog};

fn agenda() -> Agenda {
    Agenda::builder().workers(2).start().unwrap()
}

//
#[test]
fn results_of_tasklets_come_into_the_loop_each_once_in_its_thread() {
    const TASKLETS: usize = 5000;
    let _watchdog = Watchdog::new(PATIENCE, "results of tasklets");
    let agenda = agenda();
    let mut event_loop = EventLoop::new().unwrap();
    let thread = std::thread::current().id();
    let (seen, left) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(TASKLETS)));
    for number in 0..TASKLETS {
        let (seen, left) = (Arc::clone(&seen), Arc::clone(&left));
        let tasklet = Tasklet::fallible("a number", move || match number % 3 {
            0 => Ok::<_, &str>(number),
            1 => Err("no number"),
            _ => panic!("of a tasklet"),
        });
        let then = move |event_loop: &mut EventLoop, outcome: Result<usize, NotDone>| {
            assert_eq!(std::thread::current().id(), thread);
            match (number % 3, outcome) {
                (0, Ok(value)) => assert_eq!(value, number),
                (1, Err(NotDone::Failed { .. })) | (2, Err(NotDone::Panicked { .. })) => {}
                (_, outcome) => panic!("{number}: {outcome:?}"),
            }
            seen.fetch_add(1, Ordering::Relaxed);
            if left.fetch_sub(1, Ordering::Relaxed) == 1 {
                event_loop.handle().quit();
            }
        };
        event_loop.handle().submit(&agenda, tasklet, then).unwrap();
    }
    assert_eq!(event_loop.run().unwrap(), RunEnd::Quit { drained: true });
    assert_eq!(seen.load(Ordering::Relaxed), TASKLETS);
    assert!(event_loop.handle().sources().iter().all(|source| source.failures == 0), "{}", event_loop.handle().dump());
}

#[test]
fn a_loop_that_cancels_its_tasklet_gets_the_cancel_as_the_result_in_its_thread() {
    let _watchdog = Watchdog::new(PATIENCE, "a cancelled tasklet");
    let agenda = Agenda::builder().workers(1).start().unwrap();
    let mut event_loop = EventLoop::new().unwrap();
    let (release, released) = channel::<()>();
    agenda.spawn(Tasklet::new("the worker is busy", move || released.recv())).unwrap();
    let thread = std::thread::current().id();
    let then = move |event_loop: &mut EventLoop, outcome: Result<(), NotDone>| {
        assert_eq!(std::thread::current().id(), thread);
        assert!(matches!(outcome, Err(NotDone::Cancelled { .. })), "{outcome:?}");
        event_loop.handle().quit();
    };
    let asked = event_loop.handle().submit(&agenda, Tasklet::new("a question", || ()), then).unwrap();
    assert!(std::thread::spawn(move || asked.cancel()).join().unwrap());
    assert_eq!(event_loop.run().unwrap(), RunEnd::Quit { drained: true });
    assert!(event_loop.handle().sources().iter().all(|source| source.failures == 0), "{}", event_loop.handle().dump());
    drop(release);
}

#[test]
fn a_result_for_a_loop_that_is_gone_is_dropped() {
    let _watchdog = Watchdog::new(PATIENCE, "the end of a tasklet");
    struct Told(std::sync::mpsc::Sender<()>);
    impl Drop for Told {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
        }
    }
    let agenda = agenda();
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    drop(event_loop);
    let (sender, dropped) = channel();
    let told = Told(sender);
    handle.submit(&agenda, Tasklet::new("a value", move || 5), move |_, _| drop(told)).unwrap();
    dropped.recv().unwrap();
}

/// A loop in a thread of its own, which attends the agenda.
fn attending(agenda: &Agenda) -> (std::thread::JoinHandle<()>, myelon_runtime::event_loop::LoopHandle) {
    let (sender, handles): (_, Receiver<_>) = channel();
    let submitter = agenda.submitter();
    let thread = std::thread::spawn(move || {
        let mut event_loop = EventLoop::new().unwrap();
        event_loop.attend(&submitter, "the loop of the test");
        sender.send(event_loop.handle()).unwrap();
        event_loop.run().unwrap();
    });
    (thread, handles.recv().unwrap())
}

//
#[test]
fn a_closure_is_alone_with_a_loop_that_attends_and_a_sleeping_loop_does_not_hold_it_up() {
    let _watchdog = Watchdog::new(PATIENCE, "a loop and safe points");
    let agenda = agenda();
    let (thread, handle) = attending(&agenda);
    let inside = Arc::new(AtomicBool::new(false));
    for round in 0..200 {
        let seen = Arc::clone(&inside);
        // Every second time the loop sleeps when the closure is asked for.
        if round % 2 == 0 {
            let call = move |_: &mut EventLoop| {
                for _ in 0..100 {
                    assert!(!seen.load(Ordering::Relaxed), "a handler ran beside the closure");
                    std::thread::yield_now();
                }
            };
            handle.call(call).unwrap();
        }
        agenda
            .quiesce("alone", PATIENCE, || {
                inside.store(true, Ordering::Relaxed);
                std::thread::yield_now();
                inside.store(false, Ordering::Relaxed);
            })
            .unwrap();
    }
    handle.quit();
    thread.join().unwrap();
    assert!(handle.sources().iter().all(|source| source.failures == 0), "{}", handle.dump());
}

#[test]
fn a_handler_that_holds_a_closure_up_is_named() {
    let _watchdog = Watchdog::new(PATIENCE, "a handler that holds up");
    let agenda = agenda();
    let (thread, handle) = attending(&agenda);
    let (go, wait) = channel::<()>();
    let (began, begins) = channel();
    handle
        .call(move |_| {
            began.send(()).unwrap();
            wait.recv().unwrap();
        })
        .unwrap();
    begins.recv().unwrap();
    let refused = agenda.quiesce("reload", Duration::from_millis(10), || unreachable!("it is not alone"));
    let Err(QuiesceError::HeldUp { by, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(by.len(), 1, "{by:?}");
    assert_eq!((&*by[0].party, by[0].runs.as_deref()), ("the loop of the test", Some("calls from other threads")));
    assert!(by[0].since.is_some());
    go.send(()).unwrap();
    handle.quit();
    thread.join().unwrap();
}

//
#[test]
fn what_waits_for_a_safe_point_is_called_there_alone_when_it_is_asked_for() {
    let _watchdog = Watchdog::new(PATIENCE, "a request for a safe point");
    let agenda = agenda();
    let mut event_loop = EventLoop::new().unwrap();
    event_loop.attend(&agenda, "the loop");
    let (running, inside) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    // Load: tasklets that submit each other until the end.
    let ending = Arc::new(AtomicBool::new(false));
    for _ in 0..4 {
        let (running, inside, ending) = (Arc::clone(&running), Arc::clone(&inside), Arc::clone(&ending));
        let load = Tasklet::repeating("load", move |_| {
            running.fetch_add(1, Ordering::SeqCst);
            assert!(!inside.load(Ordering::SeqCst), "a tasklet ran beside the handler");
            running.fetch_sub(1, Ordering::SeqCst);
            Ok(if ending.load(Ordering::SeqCst) {
                myelon_runtime::agenda::Step::Done(())
            } else {
                myelon_runtime::agenda::Step::Again
            })
        });
        agenda.spawn(load).unwrap();
    }
    let rounds = Rc::new(RefCell::new(0));
    let counted = Rc::clone(&rounds);
    let first = move |event_loop: &mut EventLoop| {
        inside.store(true, Ordering::SeqCst);
        assert_eq!(running.load(Ordering::SeqCst), 0);
        for _ in 0..50 {
            std::thread::yield_now();
        }
        inside.store(false, Ordering::SeqCst);
        *counted.borrow_mut() += 1;
        event_loop.handle().request_quiesce();
    };
    let id = event_loop.add_at_safe_point(PATIENCE, "reload the tables", first);
    let counted = Rc::clone(&rounds);
    let second = move |event_loop: &mut EventLoop| {
        if *counted.borrow() == 20 {
            event_loop.handle().exit();
            return Next::Remove;
        }
        Next::Again
    };
    let other = event_loop.add_at_safe_point(PATIENCE, "count the reloads", second);
    event_loop.handle().request_quiesce();
    assert_eq!(event_loop.run().unwrap(), RunEnd::Exit);
    ending.store(true, Ordering::SeqCst);
    let report = event_loop.report(id).unwrap();
    assert_eq!((report.kind, report.calls, report.failures), (SourceKind::SafePoint, 20, 0), "{report}");
    assert!(event_loop.report(other).is_none());
}

#[test]
fn if_the_patience_ends_no_handler_is_called_and_each_has_failed_with_the_name_of_the_hold_up() {
    let _watchdog = Watchdog::new(PATIENCE, "a held up request");
    let agenda = agenda();
    let mut event_loop = EventLoop::new().unwrap();
    event_loop.attend(&agenda, "the loop");
    let (go, wait) = channel::<()>();
    let (began, begins) = channel();
    let long = Tasklet::new("a long checkpoint", move || {
        began.send(()).unwrap();
        wait.recv().unwrap();
    });
    agenda.spawn(long).unwrap();
    begins.recv().unwrap();
    let called = |_: &mut EventLoop| -> () { panic!("it is not alone") };
    let ids = ["a", "b"].map(|name| event_loop.add_at_safe_point(Duration::from_millis(5), name, called));
    event_loop.handle().request_quiesce();
    event_loop.turn(Duration::ZERO).unwrap();
    for id in ids {
        let report = event_loop.report(id).unwrap();
        assert_eq!((report.calls, report.failures), (0, 1));
        assert!(report.last_error.unwrap().contains("`a long checkpoint`"));
    }
    go.send(()).unwrap();
}

#[test]
fn without_an_agenda_a_safe_point_is_between_two_handlers_and_a_paused_source_is_left_out() {
    let mut event_loop = EventLoop::builder().clock(VirtualClock::new()).build().unwrap();
    let calls = Rc::new(RefCell::new(Vec::new()));
    let [one, two] = ["one", "two"].map(|name| {
        let calls = Rc::clone(&calls);
        let handler = move |_: &mut EventLoop| calls.borrow_mut().push(name);
        event_loop.add_at_safe_point(Duration::ZERO, name, handler)
    });
    event_loop.pause(one);
    event_loop.handle().request_quiesce();
    event_loop.handle().request_quiesce();
    event_loop.turn(Duration::ZERO).unwrap();
    assert_eq!(*calls.borrow(), ["two"], "two requests are one");
    event_loop.resume(one).unwrap();
    event_loop.turn(Duration::ZERO).unwrap();
    assert_eq!(*calls.borrow(), ["two"], "a request is not kept for it");
    event_loop.remove(two);
    event_loop.handle().request_quiesce();
    event_loop.turn(Duration::ZERO).unwrap();
    assert_eq!(*calls.borrow(), ["two", "one"]);
}

#[test]
fn an_exit_at_a_safe_point_keeps_the_request_for_the_handlers_that_were_not_called() {
    let agenda = agenda();
    for attends in [false, true] {
        let _watchdog = Watchdog::new(PATIENCE, "an exit at a safe point");
        let mut event_loop = EventLoop::new().unwrap();
        if attends {
            event_loop.attend(&agenda, "the loop");
        }
        let calls = Rc::new(RefCell::new(Vec::new()));
        for name in ["one", "two", "three"] {
            let calls = Rc::clone(&calls);
            event_loop.add_at_safe_point(PATIENCE, name, move |event_loop: &mut EventLoop| {
                calls.borrow_mut().push(name);
                if name == "two" { event_loop.handle().exit() } else { event_loop.handle().quit() }
            });
        }
        event_loop.handle().request_quiesce();
        assert_eq!(event_loop.run().unwrap(), RunEnd::Exit);
        assert_eq!(*calls.borrow(), ["one", "two"], "after an exit no handler is called");
        // It would sleep without end if there were nothing to do.
        assert_eq!(event_loop.run().unwrap(), RunEnd::Quit { drained: true });
        assert_eq!(*calls.borrow(), ["one", "two", "three"], "each is called once for a request");
        // What is left of one request and the next request are one call.
        calls.borrow_mut().clear();
        event_loop.handle().request_quiesce();
        assert_eq!(event_loop.run().unwrap(), RunEnd::Exit);
        event_loop.handle().request_quiesce();
        assert_eq!(event_loop.run().unwrap(), RunEnd::Exit);
        assert_eq!(event_loop.run().unwrap(), RunEnd::Quit { drained: true });
        assert_eq!(*calls.borrow(), ["one", "two", "one", "two", "three"]);
    }
}

#[test]
fn a_hook_that_panics_at_a_safe_point_keeps_the_request_for_the_handlers_that_were_not_called() {
    let mut event_loop = EventLoop::new().unwrap();
    event_loop.on_failure(|_| resume_unwind(Box::new("in the hook")));
    let calls = Rc::new(RefCell::new(Vec::new()));
    let fails = Rc::clone(&calls);
    event_loop.add_at_safe_point(PATIENCE, "fails", move |_: &mut EventLoop| {
        fails.borrow_mut().push("fails");
        Err::<(), _>("on purpose")
    });
    let works = Rc::clone(&calls);
    event_loop.add_at_safe_point(PATIENCE, "works", move |_: &mut EventLoop| works.borrow_mut().push("works"));
    event_loop.handle().request_quiesce();
    assert!(event_loop.turn(Duration::ZERO).is_err());
    assert_eq!(event_loop.turn(Duration::MAX).unwrap(), 1);
    assert_eq!(*calls.borrow(), ["fails", "works"]);
}

#[test]
fn a_handler_at_a_safe_point_may_ask_for_a_dump_a_sleep_and_a_look_but_not_for_another_safe_point() {
    let agenda = agenda();
    let mut event_loop = EventLoop::new().unwrap();
    event_loop.attend(&agenda, "the loop");
    let submitter = agenda.submitter();
    let handler = move |_: &mut EventLoop| {
        let again = submitter.quiesce("again", PATIENCE, || ());
        assert!(matches!(again, Err(QuiesceError::Inside { .. })), "{again:?}");
    };
    let id = event_loop.add_at_safe_point(PATIENCE, "once", handler);
    event_loop.handle().request_quiesce();
    event_loop.turn(Duration::ZERO).unwrap();
    let report = event_loop.report(id).unwrap();
    assert_eq!((report.calls, report.failures), (1, 0), "{report}");
}

//
#[test]
fn a_watch_names_the_handler_and_the_tasklet_that_run_too_long_once_and_again_when_it_has_doubled() {
    let _watchdog = Watchdog::new(PATIENCE, "a watch");
    let clock = VirtualClock::new();
    let agenda = Agenda::builder().workers(1).name("jobs").clock(clock.clone()).start().unwrap();
    let mut event_loop = EventLoop::builder().clock(clock.clone()).build().unwrap();
    let (go, wait) = channel::<()>();
    let (began, begins) = channel();
    let long = Tasklet::new("a long checkpoint", move || {
        began.send(()).unwrap();
        wait.recv().unwrap();
    });
    let mut handle = agenda.submit(long).unwrap();
    begins.recv().unwrap();
    let mut watch = Watch::new(Duration::from_secs(1)).event_loop(&event_loop.handle(), "the loop").agenda(&agenda);
    assert!(watch.look().is_empty(), "nothing has run for a second");
    event_loop.add_timer(Duration::ZERO, "a slow handler", move |_: &mut EventLoop, _| {
        let mut named = |after| {
            clock.advance(after);
            watch.look().iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert!(named(Duration::from_secs(1)).is_empty(), "a second is not more than a second");
        let both =
            ["the loop has run `a slow handler` for 1.5s", "worker 0 of jobs has run `a long checkpoint` for 1.5s"];
        assert_eq!(named(Duration::from_millis(500)), both);
        assert!(named(Duration::from_secs(1)).is_empty(), "it was told");
        assert_eq!(named(Duration::from_millis(500)), both.map(|text| text.replace("1.5s", "3.0s")));
        go.send(()).unwrap();
        handle.wait(PATIENCE).unwrap();
        assert_eq!(named(Duration::from_secs(3)), ["the loop has run `a slow handler` for 6.0s"]);
    });
    event_loop.turn(Duration::ZERO).unwrap();
    assert!(event_loop.handle().sources().iter().all(|source| source.failures == 0), "{}", event_loop.handle().dump());
}

#[cfg(target_os = "linux")]
#[test]
fn a_watchdog_ends_the_process_of_a_handler_that_runs_too_long_and_names_it_before() {
    use std::os::unix::process::ExitStatusExt;
    const NAME: &str = "MYELON_TEST_HANGS";
    if std::env::var_os(NAME).is_some() {
        let mut event_loop = EventLoop::new().unwrap();
        // Also if that comes before the limit at which it would only be told.
        let watch = Watch::new(Duration::from_secs(3600)).event_loop(&event_loop.handle(), "the loop");
        let told = |overdue: &myelon_runtime::agenda::HoldUp| eprintln!("told: {overdue}");
        let _watchdog = watch.abort_after(Duration::from_millis(20)).start(told).unwrap();
        event_loop.add_timer(Duration::ZERO, "a handler that hangs", |_: &mut EventLoop, _| -> () {
            loop {
                std::thread::park();
            }
        });
        event_loop.run().unwrap();
        return;
    }
    let _watchdog = Watchdog::new(PATIENCE, "the end of a process that hangs");
    let test = testkit::test_name!(a_watchdog_ends_the_process_of_a_handler_that_runs_too_long_and_names_it_before);
    let mut program = std::process::Command::new(std::env::current_exe().unwrap());
    let output = program.args(["--exact", test, "--nocapture"]).env(NAME, "1").output().unwrap();
    assert_eq!(output.status.signal(), Some(6), "SIGABRT: {output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("told: the loop has run `a handler that hangs` for"), "{said}");
}

#[test]
fn a_watchdog_tells_from_a_thread_of_its_own_and_ends_with_its_value() {
    let _watchdog = Watchdog::new(PATIENCE, "a watchdog's report");
    let mut event_loop = EventLoop::new().unwrap();
    let (sender, told) = channel();
    let limit = Duration::from_millis(2);
    let watch = Watch::new(limit).event_loop(&event_loop.handle(), "the loop");
    let watchdog = watch.start(move |overdue| sender.send(overdue.clone()).unwrap()).unwrap();
    event_loop.add_timer(Duration::ZERO, "a slow handler", move |_: &mut EventLoop, _| {
        let overdue = told.recv().unwrap();
        assert_eq!((&*overdue.party, overdue.runs.as_deref()), ("the loop", Some("a slow handler")));
        assert!(overdue.since > Some(limit));
    });
    assert_eq!(event_loop.turn(Duration::MAX).unwrap(), 1);
    drop(watchdog);
    assert!(event_loop.handle().sources().iter().all(|source| source.failures == 0), "{}", event_loop.handle().dump());
}

#[test]
fn a_watchdog_that_its_own_hook_drops_ends() {
    let _watchdog = Watchdog::new(PATIENCE, "a watchdog that its hook drops");
    let mut event_loop = EventLoop::new().unwrap();
    let place = std::sync::Arc::new(std::sync::Mutex::new(None));
    let own = std::sync::Arc::clone(&place);
    let (sender, dropped) = channel();
    let watch = Watch::new(Duration::from_millis(2)).event_loop(&event_loop.handle(), "the loop");
    let watchdog = watch.start(move |_| {
        drop(own.lock().unwrap().take());
        let _ = sender.send(());
    });
    *place.lock().unwrap() = Some(watchdog.unwrap());
    event_loop.add_timer(Duration::ZERO, "a slow handler", move |_: &mut EventLoop, _| {
        dropped.recv().unwrap();
        // The thread has ended when the hook, and with it the sender, is gone.
        assert!(dropped.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Disconnected));
    });
    assert_eq!(event_loop.turn(Duration::MAX).unwrap(), 1);
    assert!(place.lock().unwrap().is_none());
    assert!(event_loop.handle().sources().iter().all(|source| source.failures == 0), "{}", event_loop.handle().dump());
}

#[test]
fn a_forked_child_can_drop_the_watchdog_of_its_parent() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "a forked child");
    let event_loop = EventLoop::new().unwrap();
    let watch = Watch::new(Duration::from_millis(2)).event_loop(&event_loop.handle(), "the loop");
    let mut watchdog = Some(watch.start(|_| ()).unwrap());
    let mut child = testkit::fork::fork_then(|| {
        drop(watchdog.take());
        0
    });
    assert_eq!(child.wait_exit(PATIENCE).code(), Some(0));
}
