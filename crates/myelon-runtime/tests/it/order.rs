//! The order of a turn, and that no source takes it all.

use crate::{log, settle};
use myelon_runtime::event_loop::{EventLoop, Interest, Next, Priority, Ready, Settings};
use myelon_runtime::testing::VirtualClock;
use std::io::{PipeReader, Read, Write, pipe};
use std::rc::Rc;
use std::time::Duration;

// one coordinator, and the order of its turn.
#[test]
fn a_turn_serves_results_timers_and_descriptors_by_priority_and_idle_sources_when_there_was_nothing() {
    let clock = VirtualClock::new();
    let mut event_loop = EventLoop::builder().clock(clock.clone()).build().unwrap();
    let order = log();
    let mut writers = Vec::new();
    for (priority, name) in [(Priority::Low, "low"), (Priority::Normal, "normal"), (Priority::High, "high")] {
        let (reader, mut writer) = pipe().unwrap();
        writer.write_all(b"x").unwrap();
        writers.push(writer);
        let kept = Rc::clone(&order);
        let handler = move |_: &mut EventLoop, _: &mut PipeReader, _: Ready| {
            kept.borrow_mut().push(name);
            Next::Remove
        };
        event_loop.add(reader, Interest::Readable, Settings::new(name).priority(priority), handler).unwrap();
    }
    let [timer, command, idle] = [(); 3].map(|()| Rc::clone(&order));
    event_loop.add_timer(Duration::ZERO, "timer", move |_: &mut EventLoop, _| timer.borrow_mut().push("timer"));
    let (_, sender) =
        event_loop.add_channel(1, "channel", move |_: &mut EventLoop, ()| command.borrow_mut().push("command"));
    event_loop.add_idle("idle", move |_: &mut EventLoop| idle.borrow_mut().push("idle"));
    sender.send(()).unwrap();
    clock.advance(Duration::from_millis(1));
    assert_eq!(event_loop.turn(Duration::ZERO).unwrap(), 5);
    settle(&mut event_loop);
    assert_eq!(*order.borrow(), ["command", "timer", "high", "normal", "low", "idle"]);
    // It is idle still, so the idle source is not called again.
    settle(&mut event_loop);
    assert_eq!(order.borrow().len(), 6);
}

// many events in a turn, within budgets.
#[test]
fn a_busy_source_starves_neither_its_neighbours_nor_timers_nor_commands() {
    let clock = VirtualClock::new();
    let mut event_loop = EventLoop::builder().clock(clock.clone()).build().unwrap();
    let calls = log();
    let mut writers = Vec::new();
    for (name, budget) in [("busy", 10), ("other", 2)] {
        let (reader, mut writer) = pipe().unwrap();
        writer.write_all(b"x").unwrap();
        writers.push(writer);
        let kept = Rc::clone(&calls);
        let handler = move |_: &mut EventLoop, _: &mut PipeReader, _: Ready| {
            kept.borrow_mut().push(name);
            Next::More
        };
        let priority = if name == "busy" { Priority::High } else { Priority::Low };
        let settings = Settings::new(name).budget(budget).priority(priority);
        event_loop.add(reader, Interest::Readable, settings, handler).unwrap();
    }
    let [timer, command] = [(); 2].map(|()| Rc::clone(&calls));
    event_loop
        .add_interval(Duration::from_millis(1), "timer", move |_: &mut EventLoop, _| timer.borrow_mut().push("timer"));
    let (_, sender) =
        event_loop.add_channel(1, "channel", move |_: &mut EventLoop, ()| command.borrow_mut().push("command"));
    for turn in 1..=5 {
        clock.advance(Duration::from_millis(1));
        sender.send(()).unwrap();
        event_loop.turn(Duration::ZERO).unwrap();
        let count = |name| calls.borrow().iter().filter(|called| **called == name).count();
        assert_eq!(
            [count("busy"), count("other"), count("timer"), count("command")],
            [10 * turn, 2 * turn, turn, turn]
        );
    }
}

#[test]
fn sources_of_one_priority_take_turns() {
    let mut event_loop = EventLoop::new().unwrap();
    let calls = log();
    let mut writers = Vec::new();
    for name in 0..3 {
        let (reader, mut writer) = pipe().unwrap();
        writer.write_all(b"x").unwrap();
        writers.push(writer);
        let kept = Rc::clone(&calls);
        let handler = move |_: &mut EventLoop, _: &mut PipeReader, _: Ready| {
            kept.borrow_mut().push(name);
            Next::More
        };
        event_loop.add(reader, Interest::Readable, Settings::new("one of three").budget(2), handler).unwrap();
    }
    event_loop.turn(Duration::ZERO).unwrap();
    let calls = calls.borrow();
    let (first, second) = calls.split_at(3);
    assert_eq!(first, second, "each was called once before the first one was called again");
}

#[test]
fn a_rate_limit_holds_and_ends_with_its_interval() {
    let clock = VirtualClock::new();
    let mut event_loop = EventLoop::builder().clock(clock.clone()).build().unwrap();
    let (reader, mut writer) = pipe().unwrap();
    writer.write_all(b"x").unwrap();
    let calls = log();
    let kept = Rc::clone(&calls);
    let settings = Settings::new("limited").rate_limit(3, Duration::from_secs(1));
    let handler =
        move |event_loop: &mut EventLoop, _: &mut PipeReader, _: Ready| kept.borrow_mut().push(event_loop.now());
    event_loop.add(reader, Interest::Readable, settings, handler).unwrap();
    settle(&mut event_loop);
    assert_eq!(calls.borrow().len(), 3);
    for _ in 0..40 {
        event_loop.turn(Duration::from_secs(60)).unwrap();
    }
    let calls = calls.borrow();
    for three in calls.chunks(3).collect::<Vec<_>>().windows(2) {
        assert!(three[1][0] - three[0][0] >= Duration::from_secs(1));
    }
    assert!(calls.len() > 9, "it goes on: {} calls", calls.len());
}

#[test]
fn a_handler_that_has_more_is_called_after_a_rate_limit_or_a_pause_also_if_nothing_new_is_there() {
    let mut event_loop = EventLoop::builder().clock(VirtualClock::new()).build().unwrap();
    let (reader, mut writer) = pipe().unwrap();
    writer.write_all(b"12345678").unwrap();
    let served = log();
    let kept = Rc::clone(&served);
    let mut read = Vec::new();
    let handler = move |_: &mut EventLoop, reader: &mut PipeReader, ready: Ready| {
        if ready.readable && read.is_empty() {
            read = vec![0; 8];
            reader.read_exact(&mut read).unwrap();
        }
        kept.borrow_mut().push(read.remove(0));
        if read.is_empty() { Next::Drained } else { Next::More }
    };
    let settings = Settings::new("reads all and serves one by one").rate_limit(3, Duration::from_secs(1));
    let id = event_loop.add(reader, Interest::Readable, settings, handler).unwrap();
    settle(&mut event_loop);
    assert_eq!(*served.borrow(), b"123");
    event_loop.pause(id);
    event_loop.resume(id).unwrap();
    for _ in 0..10 {
        event_loop.turn(Duration::from_secs(60)).unwrap();
    }
    assert_eq!(*served.borrow(), b"12345678", "each once, and no call when there is no more");
}
