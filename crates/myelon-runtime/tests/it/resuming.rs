//! A source that is paused and resumed, by its own handler too, loses nothing and gets nothing more than others.

use crate::{log, settle};
use myelon_runtime::event_loop::{EventLoop, Interest, Next, OnFailure, Ready, Settings, SourceState};
use myelon_runtime::testing::VirtualClock;
use std::cell::Cell;
use std::io::{PipeReader, Read, Write, pipe};
use std::rc::Rc;
use std::time::Duration;

fn pause_and_resume_myself(event_loop: &mut EventLoop) {
    let id = event_loop.current().unwrap();
    assert!(event_loop.pause(id));
    assert!(event_loop.resume(id).unwrap());
}

#[test]
fn a_channel_whose_handler_pauses_and_resumes_it_gets_every_command() {
    let mut event_loop = EventLoop::new().unwrap();
    let got = log();
    let kept = Rc::clone(&got);
    let (_, sender) = event_loop.add_channel(8, "orders", move |event_loop: &mut EventLoop, order: u32| {
        kept.borrow_mut().push(order);
        pause_and_resume_myself(event_loop);
    });
    (0..3).for_each(|order| sender.send(order).unwrap());
    settle(&mut event_loop);
    sender.send(3).unwrap();
    settle(&mut event_loop);
    assert_eq!(*got.borrow(), [0, 1, 2, 3]);
}

#[test]
fn a_descriptor_whose_handler_pauses_and_resumes_it_gets_every_byte() {
    let mut event_loop = EventLoop::new().unwrap();
    let (reader, mut writer) = pipe().unwrap();
    writer.write_all(b"abc").unwrap();
    let got = log();
    let kept = Rc::clone(&got);
    let handler = move |event_loop: &mut EventLoop, pipe: &mut PipeReader, _: Ready| {
        let mut byte = [0];
        pipe.read_exact(&mut byte).unwrap();
        kept.borrow_mut().push(byte[0]);
        pause_and_resume_myself(event_loop);
    };
    event_loop.add(reader, Interest::Readable, "a pipe", handler).unwrap();
    settle(&mut event_loop);
    assert_eq!(*got.borrow(), *b"abc");
}

#[test]
fn an_idle_source_that_was_paused_is_called_when_it_is_resumed() {
    let mut event_loop = EventLoop::new().unwrap();
    let calls = Rc::new(Cell::new(0));
    let count = Rc::clone(&calls);
    let id = event_loop.add_idle("rest", move |event_loop: &mut EventLoop| {
        count.set(count.get() + 1);
        match count.get() {
            // By its answer, by itself, and once by itself with a resume.
            1 => return Next::Pause,
            2 => assert!(event_loop.pause(event_loop.current().unwrap())),
            3 => pause_and_resume_myself(event_loop),
            _ => {}
        }
        Next::Again
    });
    settle(&mut event_loop);
    assert_eq!((calls.get(), event_loop.report(id).unwrap().state), (1, SourceState::Paused));
    assert!(event_loop.resume(id).unwrap());
    settle(&mut event_loop);
    assert_eq!((calls.get(), event_loop.report(id).unwrap().state), (2, SourceState::Paused));
    assert!(event_loop.resume(id).unwrap());
    settle(&mut event_loop);
    assert_eq!(calls.get(), 3, "it has had its call");
    let work = |event_loop: &mut EventLoop| {
        event_loop.add_timer(Duration::ZERO, "work", |_: &mut EventLoop, _| ());
        event_loop.turn(Duration::MAX).unwrap();
        settle(event_loop);
    };
    work(&mut event_loop);
    assert_eq!(calls.get(), 4);
    // It is paused when it would have been called.
    assert!(event_loop.pause(id));
    work(&mut event_loop);
    assert!(event_loop.resume(id).unwrap());
    settle(&mut event_loop);
    assert_eq!(calls.get(), 5);
}

#[test]
fn an_idle_source_that_a_neighbour_pauses_and_resumes_is_called_once_a_turn() {
    let mut event_loop = EventLoop::new().unwrap();
    let calls = Rc::new(Cell::new(0));
    let second = Rc::new(Cell::new(None));
    let other = Rc::clone(&second);
    event_loop.add_idle("first", move |event_loop: &mut EventLoop| {
        event_loop.pause(other.get().unwrap());
        event_loop.resume(other.get().unwrap()).unwrap();
    });
    let count = Rc::clone(&calls);
    second.set(Some(event_loop.add_idle("second", move |_: &mut EventLoop| count.set(count.get() + 1))));
    assert_eq!(event_loop.turn(Duration::ZERO).unwrap(), 2);
    assert_eq!(event_loop.turn(Duration::ZERO).unwrap(), 0);
    assert_eq!(calls.get(), 1);
}

#[test]
fn an_exit_keeps_the_idle_sources_that_were_not_called() {
    let mut event_loop = EventLoop::new().unwrap();
    let calls = Rc::new(Cell::new(0));
    for _ in 0..3 {
        let count = Rc::clone(&calls);
        event_loop.add_idle("leaves", move |event_loop: &mut EventLoop| {
            count.set(count.get() + 1);
            event_loop.handle().exit();
        });
    }
    for run in 1..=3 {
        event_loop.run().unwrap();
        assert_eq!(calls.get(), run, "each run calls one");
    }
}

#[test]
fn a_pause_does_not_end_the_interval_of_a_rate_limit() {
    let clock = VirtualClock::new();
    let mut event_loop = EventLoop::builder().clock(clock.clone()).build().unwrap();
    let calls = Rc::new(Cell::new(0));
    for by_itself in [false, true] {
        let (reader, mut writer) = pipe().unwrap();
        writer.write_all(&[0; 64]).unwrap();
        calls.set(0);
        let count = Rc::clone(&calls);
        let handler = move |event_loop: &mut EventLoop, pipe: &mut PipeReader, _: Ready| {
            count.set(count.get() + 1);
            pipe.read_exact(&mut [0]).unwrap();
            if by_itself {
                pause_and_resume_myself(event_loop);
            }
        };
        let settings = Settings::new("a pipe").rate_limit(3, Duration::from_secs(1));
        let id = event_loop.add(reader, Interest::Readable, settings, handler).unwrap();
        for interval in 1..=3 {
            for _ in 0..10 {
                settle(&mut event_loop);
                assert!(event_loop.pause(id) && event_loop.resume(id).unwrap());
            }
            assert_eq!(calls.get(), 3 * interval);
            assert_eq!(event_loop.report(id).unwrap().state, SourceState::Limited);
            clock.advance(Duration::from_secs(1));
        }
        assert!(event_loop.remove(id));
    }
}

#[test]
fn the_first_interval_of_a_rate_limit_begins_with_the_first_call() {
    let clock = VirtualClock::new();
    let mut event_loop = EventLoop::builder().clock(clock.clone()).build().unwrap();
    let (reader, mut writer) = pipe().unwrap();
    let calls = Rc::new(Cell::new(0));
    let count = Rc::clone(&calls);
    let handler = move |_: &mut EventLoop, pipe: &mut PipeReader, _: Ready| {
        count.set(count.get() + 1);
        pipe.read_exact(&mut [0]).unwrap();
    };
    let settings = Settings::new("a pipe").rate_limit(3, Duration::from_secs(1));
    event_loop.add(reader, Interest::Readable, settings, handler).unwrap();
    clock.advance(Duration::from_millis(900));
    writer.write_all(&[0; 64]).unwrap();
    settle(&mut event_loop);
    clock.advance(Duration::from_millis(200));
    // The end of an interval is no call, so the first turn may have none.
    event_loop.turn(Duration::ZERO).unwrap();
    settle(&mut event_loop);
    assert_eq!(calls.get(), 3, "not six within 200 ms");
}

#[test]
fn limits_without_an_end_are_limits() {
    let mut event_loop = EventLoop::builder().drain(Duration::MAX).build().unwrap();
    let (reader, mut writer) = pipe().unwrap();
    writer.write_all(&[0; 8]).unwrap();
    let calls = Rc::new(Cell::new(0));
    let count = Rc::clone(&calls);
    let handler = move |event_loop: &mut EventLoop, _: &mut PipeReader, _: Ready| {
        count.set(count.get() + 1);
        event_loop.handle().quit();
    };
    let settings = Settings::new("once").rate_limit(1, Duration::MAX);
    event_loop.add(reader, Interest::Readable, settings, handler).unwrap();
    event_loop.run().unwrap();
    settle(&mut event_loop);
    assert_eq!(calls.get(), 1);
}

#[test]
fn an_answer_and_a_policy_that_pause_come_after_a_resume_by_the_same_handler() {
    for fails in [false, true] {
        let mut event_loop = EventLoop::new().unwrap();
        let (reader, mut writer) = pipe().unwrap();
        writer.write_all(b"ab").unwrap();
        let handler = move |event_loop: &mut EventLoop, pipe: &mut PipeReader, _: Ready| {
            pipe.read_exact(&mut [0])?;
            pause_and_resume_myself(event_loop);
            if fails { Err(std::io::Error::other("on purpose")) } else { Ok(Next::Pause) }
        };
        let settings = Settings::new("a pipe").on_failure(OnFailure::Pause);
        let id = event_loop.add(reader, Interest::Readable, settings, handler).unwrap();
        settle(&mut event_loop);
        let report = event_loop.report(id).unwrap();
        assert_eq!((report.calls, report.state), (1, SourceState::Paused), "{report}");
        assert!(event_loop.resume(id).unwrap());
        settle(&mut event_loop);
        assert_eq!(event_loop.report(id).unwrap().calls, 2);
    }
}
