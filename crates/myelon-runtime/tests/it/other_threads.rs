//! Commands, calls, flags and reports of other threads.

use crate::{log, watchdog};
use myelon_runtime::event_loop::{EventLoop, Refused, RunEnd};
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;
use testkit::watchdog::{PATIENCE, eventually};

#[test]
fn commands_of_many_threads_are_handled_once_and_in_each_senders_order() {
    const THREADS: usize = 4;
    const COMMANDS: usize = 20_000;
    let _watchdog = watchdog("commands of many threads");
    let mut event_loop = EventLoop::new().unwrap();
    let mut next = [0; THREADS];
    let handler = move |event_loop: &mut EventLoop, (thread, number): (usize, usize)| {
        assert_eq!(number, next[thread], "the order of thread {thread}");
        next[thread] += 1;
        if next.iter().sum::<usize>() == THREADS * COMMANDS {
            event_loop.handle().quit();
        }
    };
    let (id, sender) = event_loop.add_channel(64, "numbers", handler);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let sender = sender.clone();
            scope.spawn(move || {
                for number in 0..COMMANDS {
                    let mut command = (thread, number);
                    while let Err(refused) = sender.send(command) {
                        assert!(matches!(refused, Refused::Full(_)));
                        command = refused.into_command();
                        std::thread::yield_now();
                    }
                }
            });
        }
        assert_eq!(event_loop.run().unwrap(), RunEnd::Quit { drained: true });
    });
    let report = event_loop.report(id).unwrap();
    assert_eq!((report.calls, report.failures), ((THREADS * COMMANDS) as u64, 0));
    assert_eq!(sender.waiting(), 0);
}

#[test]
fn a_full_channel_gives_the_command_back_and_counts_it() {
    let mut event_loop = EventLoop::new().unwrap();
    let (id, sender) = event_loop.add_channel(2, "orders", |_: &mut EventLoop, _: u32| ());
    sender.send(1).unwrap();
    sender.send(2).unwrap();
    assert_eq!(sender.send(3), Err(Refused::Full(3)));
    assert_eq!((sender.waiting(), sender.refused()), (2, 1));
    assert_eq!(event_loop.turn(Duration::ZERO).unwrap(), 2);
    sender.send(3).unwrap();
    event_loop.remove(id);
    assert_eq!(sender.send(4), Err(Refused::Closed(4)));
    assert_eq!(sender.waiting(), 0, "what waited is dropped with the channel");
}

/// The handler is out of its entry while it runs, so the look after the pause is made when it has returned.
#[test]
fn a_channel_whose_handler_pauses_and_resumes_it_keeps_its_commands() {
    let mut event_loop = EventLoop::new().unwrap();
    let seen = log();
    let kept = Rc::clone(&seen);
    let (_, sender) = event_loop.add_channel(8, "orders", move |event_loop: &mut EventLoop, order: u32| {
        kept.borrow_mut().push(order);
        let own = event_loop.current().unwrap();
        event_loop.pause(own);
        event_loop.resume(own).unwrap();
    });
    for order in [1, 2] {
        sender.send(order).unwrap();
    }
    event_loop.turn(Duration::ZERO).unwrap();
    event_loop.turn(Duration::ZERO).unwrap();
    sender.send(3).unwrap();
    event_loop.turn(Duration::ZERO).unwrap();
    assert_eq!(*seen.borrow(), [1, 2, 3]);
}

#[test]
fn commands_stay_in_a_paused_channel() {
    let mut event_loop = EventLoop::new().unwrap();
    let seen = log();
    let kept = Rc::clone(&seen);
    let (id, sender) = event_loop.add_channel(8, "orders", move |_: &mut EventLoop, order: u32| {
        kept.borrow_mut().push(order);
    });
    event_loop.pause(id);
    sender.send(1).unwrap();
    assert_eq!(event_loop.turn(Duration::ZERO).unwrap(), 0);
    sender.send(2).unwrap();
    event_loop.resume(id).unwrap();
    event_loop.turn(Duration::ZERO).unwrap();
    sender.send(3).unwrap();
    event_loop.turn(Duration::ZERO).unwrap();
    assert_eq!(*seen.borrow(), [1, 2, 3]);
}

#[test]
fn quit_serves_what_was_sent_before_and_exit_does_not() {
    let mut event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    let served = log();
    let kept = Rc::clone(&served);
    let (_, sender) = event_loop.add_channel(100, "orders", move |_: &mut EventLoop, order: u32| {
        kept.borrow_mut().push(order);
    });
    for order in 0..50 {
        sender.send(order).unwrap();
    }
    handle.quit();
    assert_eq!(event_loop.run().unwrap(), RunEnd::Quit { drained: true });
    assert_eq!(served.borrow().len(), 50);
    sender.send(50).unwrap();
    handle.exit();
    handle.quit();
    assert_eq!(event_loop.run().unwrap(), RunEnd::Exit);
    assert_eq!(served.borrow().len(), 50, "exit calls no further handler");
    handle.quit();
    assert_eq!(event_loop.run().unwrap(), RunEnd::Quit { drained: true });
    assert_eq!(served.borrow().len(), 51, "and loses nothing");
}

#[test]
fn quit_gives_up_on_a_source_that_is_always_ready() {
    let mut event_loop =
        EventLoop::builder().resolution(Duration::ZERO).drain(Duration::from_millis(5)).build().unwrap();
    let again = |event_loop: &mut EventLoop, _| {
        let id = event_loop.current().unwrap();
        event_loop.rearm(id, Duration::ZERO);
    };
    event_loop.add_timer(Duration::ZERO, "always due", again);
    event_loop.handle().quit();
    assert_eq!(event_loop.run().unwrap(), RunEnd::Quit { drained: false });
}

#[test]
fn another_thread_sees_which_handler_runs_while_it_runs() {
    let _watchdog = watchdog("a handler that hangs");
    let mut event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    let (release, hangs) = mpsc::channel::<()>();
    event_loop.add_timer(Duration::ZERO, "hangs until it was seen", move |event_loop: &mut EventLoop, _| {
        hangs.recv().unwrap();
        event_loop.handle().quit();
    });
    let seen = std::thread::spawn(move || {
        eventually("the handler was seen", PATIENCE, || {
            handle.sources().iter().any(|report| report.running_for.is_some() && report.description.contains("hangs"))
        })
        .unwrap();
        let dump = handle.dump();
        release.send(()).unwrap();
        dump
    });
    event_loop.run().unwrap();
    let dump = seen.join().unwrap();
    assert!(dump.contains("hangs until it was seen; has run for"), "{dump}");
}

#[test]
fn a_dump_is_asked_for_from_outside_and_has_every_source() {
    let mut event_loop = EventLoop::new().unwrap();
    let dumps = log();
    let kept = Rc::clone(&dumps);
    event_loop.on_dump(move |text| kept.borrow_mut().push(text.to_owned()));
    event_loop.add_timer(Duration::from_secs(3600), "an hour", |_: &mut EventLoop, _| ());
    event_loop.add_timer(Duration::ZERO, "fails", |_: &mut EventLoop, _| -> Result<(), &str> { Err("two\nlines") });
    let settings = myelon_runtime::event_loop::Settings::new("fails often");
    event_loop.add_interval(Duration::from_millis(1), settings, |_: &mut EventLoop, _| -> Result<(), &str> {
        Err("two\nlines")
    });
    event_loop.turn(Duration::MAX).unwrap();
    event_loop.turn(Duration::MAX).unwrap();
    let handle = event_loop.handle();
    std::thread::spawn(move || handle.request_dump()).join().unwrap();
    event_loop.turn(Duration::ZERO).unwrap();
    let dump = dumps.borrow()[0].clone();
    println!("{dump}");
    for part in ["calls from other threads", "an hour; due in", "fails often", "last error: two\\nlines"] {
        assert!(dump.contains(part), "no `{part}` in:\n{dump}");
    }
    assert_eq!(dump.lines().count(), 5, "one line for the loop and one a source:\n{dump}");
}

#[test]
fn an_idle_loop_makes_no_system_call() {
    let _watchdog = watchdog("an idle loop");
    let mut event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    let (_, _sender) = event_loop.add_channel(1, "no orders", |_: &mut EventLoop, ()| ());
    let (_reader, _writer) = std::io::pipe().unwrap();
    let thread = rustix::thread::gettid().as_raw_pid();
    let observer = std::thread::spawn(move || {
        // A thread that sleeps and is not scheduled makes no call. The number of its call is the first word.
        let switches = || {
            let status = std::fs::read_to_string(format!("/proc/self/task/{thread}/status")).unwrap();
            let count = |line: &&str| line.contains("ctxt_switches");
            status.lines().filter(count).map(str::to_owned).collect::<Vec<_>>()
        };
        let sleeps = || {
            let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat")).unwrap();
            stat.rsplit(") ").next().unwrap().starts_with('S')
        };
        eventually("the loop sleeps", PATIENCE, || handle.statistics().sleeps == 1 && sleeps()).unwrap();
        let before = switches();
        std::thread::sleep(Duration::from_secs(2));
        let after = switches();
        handle.exit();
        (before, after)
    });
    event_loop.run().unwrap();
    let (before, after) = observer.join().unwrap();
    assert_eq!(before, after);
}
