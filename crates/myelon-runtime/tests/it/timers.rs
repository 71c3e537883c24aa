//! Timers of a loop, on a clock that is moved and on the real one.

use crate::{log, watchdog};
use myelon_runtime::clock::Clock;
use myelon_runtime::event_loop::{EventLoop, Next, SourceState, Tick};
use myelon_runtime::testing::VirtualClock;
use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

// a sleep ends at the next deadline.
#[test]
fn a_day_of_timers_runs_on_a_virtual_clock_without_sleeping() {
    let _watchdog = watchdog("a day of timers");
    let clock = VirtualClock::new();
    let start = clock.now();
    let mut event_loop = EventLoop::builder().clock(clock.clone()).build().unwrap();
    let ticks = Rc::new(Cell::new(0));
    let count = Rc::clone(&ticks);
    event_loop.add_interval(Duration::from_secs(60), "a minute", move |_: &mut EventLoop, tick: Tick| {
        assert_eq!(tick.missed, 0);
        count.set(count.get() + 1);
    });
    event_loop
        .add_timer(Duration::from_secs(86_400), "a day", |event_loop: &mut EventLoop, _| event_loop.handle().exit());
    event_loop.run().unwrap();
    assert_eq!(clock.now() - start, Duration::from_secs(86_400));
    assert!((1439..=1440).contains(&ticks.get()), "{}", ticks.get());
}

#[test]
fn a_turn_that_must_not_sleep_does_not_move_a_virtual_clock() {
    let clock = VirtualClock::new();
    let mut event_loop = EventLoop::builder().clock(clock.clone()).build().unwrap();
    let start = clock.now();
    event_loop.add_timer(Duration::from_secs(5), "five seconds", |_: &mut EventLoop, _| ());
    assert_eq!(event_loop.turn(Duration::ZERO).unwrap(), 0);
    assert_eq!(clock.now(), start);
    assert_eq!(event_loop.turn(Duration::from_secs(2)).unwrap(), 0);
    assert_eq!(clock.now() - start, Duration::from_secs(2), "it would have slept that long");
    assert_eq!(event_loop.turn(Duration::MAX).unwrap(), 1);
    assert_eq!(clock.now() - start, Duration::from_secs(5));
}

#[test]
fn a_process_that_was_stopped_gets_one_tick_that_says_what_it_missed() {
    let clock = VirtualClock::new();
    let mut event_loop = EventLoop::builder().clock(clock.clone()).build().unwrap();
    let ticks = log();
    let kept = Rc::clone(&ticks);
    event_loop.add_interval(Duration::from_secs(1), "a second", move |_: &mut EventLoop, tick: Tick| {
        kept.borrow_mut().push(tick.missed);
    });
    clock.advance(Duration::from_millis(3_600_500));
    assert_eq!(event_loop.turn(Duration::ZERO).unwrap(), 1);
    assert_eq!(*ticks.borrow(), [3599]);
    event_loop.turn(Duration::MAX).unwrap();
    assert_eq!(*ticks.borrow(), [3599, 0], "the phase is kept");
}

#[test]
fn a_timer_can_be_armed_again_in_its_handler_and_from_outside() {
    let clock = VirtualClock::new();
    let mut event_loop = EventLoop::builder().clock(clock.clone()).build().unwrap();
    let calls = log();
    let kept = Rc::clone(&calls);
    let start = clock.now();
    let id = event_loop.add_timer(Duration::from_secs(1), "with back-off", move |event_loop: &mut EventLoop, _| {
        kept.borrow_mut().push((event_loop.now() - start).as_secs());
        let times = kept.borrow().len() as u32;
        if times < 4 {
            let id = event_loop.current().unwrap();
            assert!(event_loop.rearm(id, Duration::from_secs(1 << times)));
        }
    });
    assert!(event_loop.rearm(id, start + Duration::from_secs(3)));
    for _ in 0..6 {
        event_loop.turn(Duration::from_secs(10)).unwrap();
    }
    assert_eq!(*calls.borrow(), [3, 5, 9, 17]);
    assert!(!event_loop.rearm(id, Duration::ZERO), "it is over");
}

#[test]
fn a_paused_timer_is_due_when_it_is_resumed_after_its_deadline() {
    let clock = VirtualClock::new();
    let mut event_loop = EventLoop::builder().clock(clock.clone()).build().unwrap();
    let missed = log();
    let kept = Rc::clone(&missed);
    let id = event_loop.add_interval(Duration::from_secs(1), "a second", move |_: &mut EventLoop, tick: Tick| {
        kept.borrow_mut().push(tick.missed);
        Next::Again
    });
    event_loop.pause(id);
    assert_eq!(event_loop.report(id).unwrap().state, SourceState::Paused);
    clock.advance(Duration::from_secs(10));
    assert_eq!(event_loop.turn(Duration::ZERO).unwrap(), 0);
    event_loop.resume(id).unwrap();
    assert_eq!(event_loop.turn(Duration::ZERO).unwrap(), 1);
    assert_eq!(*missed.borrow(), [9]);
}

// three resolutions, with and without a timerfd.
#[test]
fn a_timer_is_never_early_and_its_lateness_is_printed() {
    let _watchdog = watchdog("timers of three resolutions");
    for resolution in [Duration::ZERO, Duration::from_millis(1), Duration::from_millis(10)] {
        let mut event_loop = EventLoop::builder().resolution(resolution).build().unwrap();
        let late = log();
        for index in 1..=100 {
            let kept = Rc::clone(&late);
            let due = event_loop.now() + Duration::from_micros(2_137) * index;
            event_loop.add_timer(due, "one of a hundred", move |event_loop: &mut EventLoop, tick: Tick| {
                kept.borrow_mut().push(Instant::now() - tick.deadline);
                assert!(event_loop.now() >= tick.deadline, "early");
            });
        }
        while late.borrow().len() < 100 {
            event_loop.turn(Duration::MAX).unwrap();
        }
        let mut late = late.take();
        late.sort_unstable();
        println!("resolution {resolution:?}: late by {:?} (p50), {:?} (p99)", late[50], late[99]);
    }
}

#[test]
fn the_report_of_an_interval_says_when_it_is_due_next() {
    let clock = VirtualClock::new();
    let mut event_loop = EventLoop::builder().clock(clock.clone()).build().unwrap();
    let id = event_loop.add_interval(Duration::from_secs(1), "a second", |_: &mut EventLoop, _: Tick| ());
    for _ in 0..3 {
        assert_eq!(event_loop.report(id).unwrap().due_in, Some(Duration::from_secs(1)));
        assert_eq!(event_loop.turn(Duration::MAX).unwrap(), 1);
    }
    clock.advance(Duration::from_millis(5_300));
    event_loop.turn(Duration::ZERO).unwrap();
    assert_eq!(event_loop.report(id).unwrap().due_in, Some(Duration::from_millis(700)));
}
