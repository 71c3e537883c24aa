//! Ten thousand descriptors and a hundred thousand timers.

use crate::watchdog;
use myelon_runtime::event_loop::{EventLoop, Interest, Next, Ready};
use myelon_runtime::testing::VirtualClock;
use std::cell::Cell;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

// no limit of 128, and one turn serves many events.
#[test]
fn ten_thousand_descriptors_are_all_served() {
    const COUNT: usize = 10_000;
    let _watchdog = watchdog("ten thousand descriptors");
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    if limit.maximum.is_some_and(|maximum| maximum < 2 * COUNT as u64) {
        testkit::skip!("the hard limit of descriptors is {:?}, and this test needs {}", limit.maximum, 2 * COUNT);
    }
    if limit.current.is_some_and(|current| current < 2 * COUNT as u64) {
        limit.current = Some(2 * COUNT as u64);
        rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    }
    let mut event_loop = EventLoop::new().unwrap();
    let served = Rc::new(Cell::new(0));
    let mut ids = Vec::new();
    for _ in 0..COUNT {
        let event = rustix::event::eventfd(1, rustix::event::EventfdFlags::CLOEXEC).unwrap();
        let count = Rc::clone(&served);
        let handler = move |_: &mut EventLoop, event: &mut OwnedFd, _: Ready| {
            rustix::io::read(event, &mut [0; 8]).unwrap();
            count.set(count.get() + 1);
            Next::Drained
        };
        ids.push(event_loop.add(event, Interest::Readable, "one of many", handler).unwrap());
    }
    while served.get() < COUNT {
        assert!(event_loop.turn(Duration::ZERO).unwrap() > 0, "{} of {COUNT} were served", served.get());
    }
    for id in ids {
        assert!(event_loop.remove(id));
    }
    let statistics = event_loop.handle().statistics();
    assert_eq!(statistics.stale_events, 0);
    assert!(statistics.turns <= 20, "{} turns for {COUNT} events", statistics.turns);
}

//
#[test]
fn a_hundred_thousand_timers_with_handlers_are_all_served() {
    const COUNT: u32 = 100_000;
    let _watchdog = watchdog("a hundred thousand timers");
    let mut event_loop = EventLoop::builder().clock(VirtualClock::new()).build().unwrap();
    let served = Rc::new(Cell::new(0));
    let mut cancelled = 0;
    for index in 0..COUNT {
        let count = Rc::clone(&served);
        let after = Duration::from_millis(u64::from(index.wrapping_mul(48_271) % 60_000));
        let id = event_loop.add_timer(after, "one of many", move |_: &mut EventLoop, _| count.set(count.get() + 1));
        if index % 4 == 0 {
            assert!(event_loop.remove(id));
            cancelled += 1;
        }
    }
    while served.get() < COUNT - cancelled {
        assert!(event_loop.turn(Duration::from_secs(60)).unwrap() > 0);
    }
    assert_eq!(event_loop.turn(Duration::from_secs(60)).unwrap(), 0);
}
