//! What the loop, its timers and the agenda allocate: nothing once they have been through everything once.
//!
//! It is a test binary of its own, because it counts with a global allocator.
#![cfg(target_os = "linux")]

use myelon_runtime::agenda::{Agenda, Tasklet};
use myelon_runtime::event_loop::{EventLoop, Interest, Next, Ready};
use myelon_runtime::testing::VirtualClock;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;
use testkit::alloc::{CountingAllocator, allocations_in};
use testkit::watchdog::{PATIENCE, Watchdog};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

//
#[test]
fn turns_with_events_commands_ticks_and_none_of_these_allocate_nothing() {
    let _watchdog = Watchdog::new(PATIENCE, "turns");
    let clock = VirtualClock::new();
    let mut event_loop = EventLoop::builder().clock(clock.clone()).build().unwrap();
    let agenda = Agenda::builder().workers(1).start().unwrap();
    event_loop.attend(&agenda, "the loop");
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let handler =
        |_: &mut EventLoop, stream: &mut UnixStream, _: Ready| stream.read_exact(&mut [0]).map(|()| Next::Again);
    let id = event_loop.add(ours, Interest::Readable, "bytes", handler).unwrap();
    let (_, sender) = event_loop.add_channel(8, "numbers", |_: &mut EventLoop, _: u64| ());
    event_loop.add_interval(Duration::from_millis(1), "ticks", |_: &mut EventLoop, _| ());
    event_loop.add_idle("rest", |_: &mut EventLoop| ());
    let mut turns = |rounds: u64| {
        for number in 0..rounds {
            theirs.write_all(&[1, 2]).unwrap();
            sender.send(number).unwrap();
            clock.advance(Duration::from_millis(1));
            for _ in 0..3 {
                event_loop.turn(Duration::ZERO).unwrap();
            }
        }
    };
    turns(10);
    assert_eq!(allocations_in(|| turns(1000)), 0);
    let report = event_loop.report(id).unwrap();
    assert_eq!((report.calls, report.failures), (2020, 0), "{report}");
}

#[test]
fn a_tasklet_is_one_allocation_of_its_submitter() {
    let _watchdog = Watchdog::new(PATIENCE, "tasklets");
    let agenda = Agenda::builder().workers(1).start().unwrap();
    let submit = |count: usize| {
        for _ in 0..count {
            agenda.submit(Tasklet::new("nothing", || ())).unwrap().wait(PATIENCE).unwrap();
        }
    };
    submit(200);
    // The queue of what came from outside grows by a block for each 63 tasklets.
    let allocations = allocations_in(|| submit(630));
    assert!((630..=630 + 12).contains(&allocations), "{allocations}");
}
