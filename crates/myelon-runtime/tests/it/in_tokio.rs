//! The loop as a task of a tokio runtime, and commands from a runtime in another thread.

use crate::{log, watchdog};
use myelon_runtime::agenda::Agenda;
use myelon_runtime::event_loop::{EventLoop, Interest, Next, Ready, RunEnd, Tick, TurnError};
use myelon_runtime::testing::VirtualClock;
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io::{PipeReader, Read, Write, pipe};
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};
use testkit::watchdog::PATIENCE;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::{LocalSet, spawn_local, yield_now};

/// A runtime without a time driver, which the loop does not need.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_io().build().unwrap()
}

/// Polls a future a few times, and drops it if it is not ready then.
async fn polled<T>(times: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    for _ in 0..times {
        let ready = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
        if let Poll::Ready(value) = ready {
            return Some(value);
        }
        yield_now().await;
    }
    None
}

#[test]
fn a_loop_in_tokio_serves_descriptors_timers_and_commands_and_no_timer_is_early() {
    let _watchdog = watchdog("a loop in tokio");
    let mut event_loop = EventLoop::new().unwrap();
    let (reader, mut writer) = pipe().unwrap();
    let told = log();
    let [of_pipe, of_timer, of_channel] = [(); 3].map(|()| Rc::clone(&told));
    let (_, sender) = event_loop.add_channel(8, "commands", move |event_loop: &mut EventLoop, ()| {
        of_channel.borrow_mut().push("command");
        event_loop.handle().quit();
    });
    let handler = move |_: &mut EventLoop, reader: &mut PipeReader, _: Ready| {
        let mut byte = [0];
        reader.read_exact(&mut byte)?;
        of_pipe.borrow_mut().push("pipe");
        // Another thread sends while the loop awaits.
        let sender = sender.clone();
        std::thread::spawn(move || sender.send(()).unwrap());
        Ok::<_, std::io::Error>(Next::Again)
    };
    event_loop.add(reader, Interest::Readable, "a pipe", handler).unwrap();
    event_loop.add_timer(Duration::from_millis(20), "write", move |event_loop: &mut EventLoop, tick: Tick| {
        assert!(event_loop.now() >= tick.deadline && Instant::now() >= tick.deadline);
        of_timer.borrow_mut().push("timer");
        writer.write_all(b"x")
    });
    assert_eq!(runtime().block_on(event_loop.run_in_tokio()).unwrap(), RunEnd::Quit { drained: true });
    assert_eq!(*told.borrow(), ["timer", "pipe", "command"]);
    // Afterwards it runs without tokio as before.
    event_loop
        .add_timer(Duration::from_millis(2), "the end", |event_loop: &mut EventLoop, _| event_loop.handle().exit());
    assert_eq!(event_loop.run().unwrap(), RunEnd::Exit);
}

#[test]
fn an_idle_loop_in_tokio_does_not_poll() {
    let _watchdog = watchdog("an idle loop in tokio");
    let mut event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    // Tasks in the loop's thread run all the time, and the loop has nothing to do.
    let tasks = LocalSet::new();
    let end = tasks.block_on(&runtime(), async {
        spawn_local(async move {
            for _ in 0..10_000 {
                yield_now().await;
            }
            let turns = handle.statistics().turns;
            assert!(turns <= 3, "{turns} turns for nothing");
            handle.exit();
        });
        event_loop.run_in_tokio().await
    });
    assert_eq!(end.unwrap(), RunEnd::Exit);
}

#[test]
fn a_loop_that_is_always_busy_lets_other_tasks_run_after_each_turn() {
    let _watchdog = watchdog("tasks beside a busy loop");
    let mut event_loop = EventLoop::new().unwrap();
    event_loop.add_idle("always busy", |_: &mut EventLoop| Next::More);
    let handle = event_loop.handle();
    let tasks = LocalSet::new();
    let end = tasks.block_on(&runtime(), async {
        spawn_local(async move {
            let before = handle.statistics().turns;
            for _ in 0..1000 {
                yield_now().await;
            }
            let turns = handle.statistics().turns - before;
            assert!((500..=1001).contains(&turns), "{turns} turns while a task had a thousand");
            handle.exit();
        });
        event_loop.run_in_tokio().await
    });
    assert_eq!(end.unwrap(), RunEnd::Exit);
}

#[test]
fn a_future_that_is_dropped_after_some_polls_loses_no_event_no_command_and_no_request_to_quit() {
    const COMMANDS: usize = 2000;
    let _watchdog = watchdog("dropped futures");
    let mut event_loop = EventLoop::new().unwrap();
    let (mut commands, bytes) = (0, Rc::new(Cell::new(0)));
    let (_, sender) = event_loop.add_channel(COMMANDS, "commands", move |event_loop: &mut EventLoop, number: usize| {
        assert_eq!(number, commands);
        commands += 1;
        if commands == COMMANDS {
            event_loop.handle().quit();
        }
    });
    let (reader, mut writer) = pipe().unwrap();
    let count = Rc::clone(&bytes);
    let handler = move |_: &mut EventLoop, reader: &mut PipeReader, ready: Ready| {
        if !ready.readable {
            return Ok(Next::Remove);
        }
        let mut some = [0; 64];
        count.set(count.get() + reader.read(&mut some)?);
        Ok::<_, std::io::Error>(Next::Again)
    };
    event_loop.add(reader, Interest::Readable, "a pipe", handler).unwrap();
    let other = std::thread::spawn(move || {
        for number in 0..COMMANDS {
            sender.send(number).unwrap();
            writer.write_all(b"x").unwrap();
        }
    });
    let mut dropped = 0;
    let end = runtime().block_on(async {
        loop {
            // A request to quit is seen in one poll, and followed in the next one.
            if let Some(end) = polled(1 + dropped % 3, event_loop.run_in_tokio()).await {
                break end;
            }
            dropped += 1;
        }
    });
    assert_eq!(end.unwrap(), RunEnd::Quit { drained: true });
    other.join().unwrap();
    // It goes on without tokio.
    while bytes.get() < COMMANDS {
        event_loop.turn(PATIENCE).unwrap();
    }
    assert!(dropped > 2, "{dropped}");
}

#[test]
fn more_events_than_one_look_takes_are_all_served_in_tokio() {
    const COUNT: usize = 3000;
    let _watchdog = watchdog("three thousand descriptors in tokio");
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    if limit.maximum.is_some_and(|maximum| maximum < 20_000) {
        testkit::skip!("the hard limit of descriptors is {:?}, and this test needs 20000", limit.maximum);
    }
    if limit.current.is_some_and(|current| current < 20_000) {
        limit.current = Some(20_000);
        rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    }
    let mut event_loop = EventLoop::new().unwrap();
    let left = Rc::new(Cell::new(COUNT));
    for _ in 0..COUNT {
        let event = rustix::event::eventfd(1, rustix::event::EventfdFlags::CLOEXEC).unwrap();
        let left = Rc::clone(&left);
        let handler = move |event_loop: &mut EventLoop, event: &mut OwnedFd, _: Ready| {
            rustix::io::read(event, &mut [0; 8]).unwrap();
            left.set(left.get() - 1);
            if left.get() == 0 {
                event_loop.handle().exit();
            }
            Next::Drained
        };
        event_loop.add(event, Interest::Readable, "one of many", handler).unwrap();
    }
    assert_eq!(runtime().block_on(event_loop.run_in_tokio()).unwrap(), RunEnd::Exit);
    assert_eq!(left.get(), 0);
}

#[test]
fn a_virtual_hour_takes_no_time_in_tokio_and_other_tasks_run_meanwhile() {
    let _watchdog = watchdog("a virtual hour");
    let clock = VirtualClock::new();
    let mut event_loop = EventLoop::builder().clock(clock).build().unwrap();
    let start = event_loop.now();
    let (others, seen) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let count = Rc::clone(&others);
    let mut ticks = 0;
    event_loop.add_interval(Duration::from_secs(1), "a second", move |event_loop: &mut EventLoop, tick: Tick| {
        assert_eq!(tick.missed, 0);
        ticks += 1;
        seen.set(count.get());
        if ticks == 3600 {
            assert!(seen.get() > 1000, "another task ran {} times", seen.get());
            event_loop.handle().exit();
        }
    });
    let tasks = LocalSet::new();
    let end = tasks.block_on(&runtime(), async {
        spawn_local(async move {
            loop {
                others.set(others.get() + 1);
                yield_now().await;
            }
        });
        event_loop.run_in_tokio().await
    });
    assert_eq!(end.unwrap(), RunEnd::Exit);
    assert_eq!(event_loop.now() - start, Duration::from_secs(3600));
}

#[test]
fn errors_end_the_run_in_tokio_as_they_end_any_run() {
    let mut event_loop = EventLoop::new().unwrap();
    event_loop.on_failure(|_| panic!("of the hook"));
    event_loop.add_timer(Duration::ZERO, "fails", |_: &mut EventLoop, _| Err::<(), _>("no"));
    let error = runtime().block_on(event_loop.run_in_tokio()).unwrap_err();
    assert!(matches!(&error, TurnError::HookPanicked(text) if text.contains("of the hook")), "{error}");
    event_loop.on_failure(|_| ());
    let nested = log();
    let kept = Rc::clone(&nested);
    event_loop.add_timer(Duration::ZERO, "nests", move |event_loop: &mut EventLoop, _| {
        let mut nested = pin!(event_loop.run_in_tokio());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        kept.borrow_mut().push(matches!(nested.as_mut().poll(&mut context), Poll::Ready(Err(TurnError::Nested))));
    });
    event_loop.handle().quit();
    while nested.borrow().is_empty() {
        runtime().block_on(event_loop.run_in_tokio()).unwrap();
        event_loop.handle().quit();
    }
    assert_eq!(*nested.borrow(), [true]);
}

//
#[test]
fn ten_thousand_posts_of_tokio_tasks_wake_the_loop_once() {
    const POSTS: usize = 10_000;
    let _watchdog = watchdog("posts from tokio");
    let mut event_loop = EventLoop::new().unwrap();
    let mut seen = 0;
    let (_, sender) = event_loop.add_channel(POSTS, "posts", move |event_loop: &mut EventLoop, ()| {
        seen += 1;
        if seen == POSTS {
            event_loop.handle().exit();
        }
    });
    // A handler holds the loop while the tasks post.
    let (begun, began) = oneshot::channel();
    let (all, posted) = std::sync::mpsc::channel::<()>();
    let mut begun = Some(begun);
    event_loop.add_timer(Duration::ZERO, "holds the loop", move |_: &mut EventLoop, _| {
        begun.take().unwrap().send(()).unwrap();
        posted.recv_timeout(PATIENCE)
    });
    let handle = event_loop.handle();
    let other = std::thread::spawn(move || {
        runtime().block_on(async {
            began.await.unwrap();
            let before = handle.statistics().sleeps;
            let tasks: Vec<_> = (0..10)
                .map(|_| {
                    let sender = sender.clone();
                    tokio::spawn(async move {
                        for post in 0..POSTS / 10 {
                            sender.send(()).unwrap();
                            if post % 100 == 0 {
                                yield_now().await;
                            }
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            all.send(()).unwrap();
            before
        })
    });
    assert_eq!(event_loop.run().unwrap(), RunEnd::Exit);
    let before = other.join().unwrap();
    assert_eq!(event_loop.handle().statistics().sleeps, before, "the loop slept between two of the posts");
    assert!(event_loop.handle().sources().iter().all(|source| source.failures == 0), "{}", event_loop.handle().dump());
}

#[test]
fn a_loop_that_awaits_holds_no_safe_point_up_and_a_task_of_its_thread_may_ask_for_one() {
    let _watchdog = watchdog("safe points beside tokio");
    let agenda = Arc::new(Agenda::builder().workers(1).start().unwrap());
    let mut event_loop = EventLoop::new().unwrap();
    event_loop.attend(&*agenda, "the loop");
    let handle = event_loop.handle();
    let alone = Arc::new(AtomicUsize::new(0));
    let (for_task, for_thread) = (Arc::clone(&alone), Arc::clone(&alone));
    let (asked, ask) = std::sync::mpsc::channel();
    let of_thread = Arc::clone(&agenda);
    let other = std::thread::spawn(move || {
        ask.recv_timeout(PATIENCE).unwrap();
        let run = || for_thread.fetch_add(1, Ordering::Relaxed);
        of_thread.quiesce("of a thread", PATIENCE, run).unwrap();
        handle.exit();
    });
    let tasks = LocalSet::new();
    let end = tasks.block_on(&runtime(), async {
        let of_task = Arc::clone(&agenda);
        spawn_local(async move {
            yield_now().await;
            of_task.quiesce("of a task", PATIENCE, || for_task.fetch_add(1, Ordering::Relaxed)).unwrap();
            // The loop awaits, and has no reason to run before the other thread had its safe point.
            asked.send(()).unwrap();
        });
        event_loop.run_in_tokio().await
    });
    assert_eq!(end.unwrap(), RunEnd::Exit);
    other.join().unwrap();
    assert_eq!(alone.load(Ordering::Relaxed), 2);
}
