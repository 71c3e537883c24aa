//! Counters of a loop in a table, as another process would read it.

use crate::{failures, settle};
use disruptor_mp::counters::ids::APPLICATION_BASE;
use disruptor_mp::counters::{CounterHandle, CountersFile};
use myelon_runtime::Priority;
use myelon_runtime::agenda::{Agenda, Tasklet};
use myelon_runtime::counters::{Counters, Description};
use myelon_runtime::event_loop::{EventLoop, Next, Tick};
use myelon_runtime::testing::VirtualClock;
use std::time::Duration;
use testkit::watchdog::PATIENCE;

const PERIOD: Duration = Duration::from_secs(1);

struct InFile(CountersFile);

impl Counters for InFile {
    type Counter = CounterHandle;

    fn register(&mut self, counter: &'static Description, of: &str) -> Option<CounterHandle> {
        self.0.register(APPLICATION_BASE + counter.number, 0, &format!("{} {of}", counter.name))
    }

    fn add(&mut self, counter: &CounterHandle, amount: u64) {
        counter.add(amount);
    }

    fn record_max(&mut self, counter: &CounterHandle, candidate: u64) {
        counter.record_max(candidate);
    }
}

fn value(file: &CountersFile, label: &str) -> Option<u64> {
    file.snapshot().into_iter().find(|counter| counter.label == label).map(|counter| counter.value)
}

fn at_period(event_loop: &mut EventLoop, clock: &VirtualClock) {
    clock.advance(PERIOD);
    settle(event_loop);
}

/// A source that is called once, for `took`, and is then removed.
fn once(event_loop: &mut EventLoop, clock: &VirtualClock, took: Duration) {
    let clock = clock.clone();
    event_loop.add_timer(Duration::ZERO, "a connection", move |_: &mut EventLoop, _: Tick| clock.advance(took));
}

fn virtual_loop() -> (EventLoop, VirtualClock) {
    let clock = VirtualClock::new();
    let event_loop = EventLoop::builder().clock(clock.clone()).resolution(Duration::ZERO).build().unwrap();
    (event_loop, clock)
}

//
#[test]
fn sources_of_one_description_are_counted_together_and_no_count_is_lost_with_a_source() {
    let (mut event_loop, clock) = virtual_loop();
    let file = CountersFile::boxed(32);
    event_loop.on_failure(|_| ());
    let exporter = event_loop.export_counters(PERIOD, "export", InFile(file.clone()));
    event_loop.add_interval(PERIOD, "orders", |_: &mut EventLoop, _| Err::<(), _>("no orders"));
    // Some of these come and go between two exports, and some are there at one.
    for took in [3, 9, 4] {
        once(&mut event_loop, &clock, Duration::from_nanos(took));
        settle(&mut event_loop);
    }
    let stays = event_loop.add_timer(Duration::from_secs(3600), "a connection", |_: &mut EventLoop, _| ());
    at_period(&mut event_loop, &clock);
    assert_eq!(value(&file, "calls a connection"), Some(3));
    assert_eq!(value(&file, "time a connection"), Some(16));
    assert_eq!(value(&file, "worst a connection"), Some(9), "a maximum, not a sum");
    let connections =
        |file: &CountersFile| file.snapshot().iter().filter(|counter| counter.label.ends_with("a connection")).count();
    assert_eq!(connections(&file), 4, "one set for all of them");

    // The last one goes, and others of that description come later.
    event_loop.remove(stays);
    at_period(&mut event_loop, &clock);
    once(&mut event_loop, &clock, Duration::from_nanos(5));
    settle(&mut event_loop);
    at_period(&mut event_loop, &clock);
    assert_eq!(value(&file, "calls a connection"), Some(4));
    assert_eq!(value(&file, "worst a connection"), Some(9));
    assert_eq!(connections(&file), 4);

    // What was done since the last export is exported when the exporter is removed, or dropped with its loop.
    once(&mut event_loop, &clock, Duration::ZERO);
    settle(&mut event_loop);
    assert_eq!(value(&file, "calls a connection"), Some(4));
    event_loop.remove(exporter);
    assert_eq!(value(&file, "calls a connection"), Some(5));
    assert_eq!(value(&file, "turns the loop"), Some(event_loop.handle().statistics().turns));
    assert!(value(&file, "failures orders").unwrap() > 0);
    assert_eq!(value(&file, "failures orders"), value(&file, "calls orders"));
    assert_eq!(value(&file, "registrations_refused the loop"), Some(0));
}

#[test]
fn the_next_loop_of_a_table_goes_on_with_its_counters() {
    let file = CountersFile::boxed(32);
    for round in 1..=3 {
        let (mut event_loop, clock) = virtual_loop();
        event_loop.export_counters(PERIOD, "export", InFile(file.clone()));
        once(&mut event_loop, &clock, Duration::from_nanos(10 - round));
        settle(&mut event_loop);
        drop(event_loop);
        assert_eq!(value(&file, "calls a connection"), Some(round));
        assert_eq!(value(&file, "worst a connection"), Some(9));
    }
}

#[test]
fn what_an_agenda_has_done_is_counted_by_priority_also_what_it_does_at_its_end() {
    let (mut event_loop, clock) = virtual_loop();
    let file = CountersFile::boxed(64);
    let agenda = Agenda::builder().workers(2).name("decoders").start().unwrap();
    event_loop.export_agenda_counters(&agenda, PERIOD, "export", InFile(file.clone()));
    for number in 0..10 {
        let decode = Tasklet::fallible("decode", move || if number < 3 { Err("no bytes") } else { Ok(number) });
        let _ = agenda.submit(decode.priority(Priority::High)).unwrap().wait(PATIENCE);
    }
    at_period(&mut event_loop, &clock);
    assert_eq!(value(&file, "submitted decoders high"), Some(10));
    // A worker counts an end after it is told.
    agenda.close(PATIENCE).unwrap();
    at_period(&mut event_loop, &clock);
    assert_eq!(value(&file, "runs decoders high"), Some(10));
    assert_eq!(value(&file, "done decoders high"), Some(7));
    assert_eq!(value(&file, "failed decoders high"), Some(3));
    assert_eq!(value(&file, "measured decoders high"), Some(10));
    assert!(value(&file, "ran decoders high").unwrap() > 0);
    assert_eq!(value(&file, "submitted decoders low"), Some(0));
    assert_eq!(file.snapshot().len(), 42);
}

#[test]
fn what_finds_no_room_is_counted_and_nothing_fails() {
    let (mut event_loop, clock) = virtual_loop();
    let told = failures(&mut event_loop);
    // Room for the counters of the loop and half of a description.
    let file = CountersFile::boxed(6);
    event_loop.export_counters(PERIOD, "export", InFile(file.clone()));
    event_loop.add_idle("idle", |_: &mut EventLoop| Next::Again);
    at_period(&mut event_loop, &clock);
    at_period(&mut event_loop, &clock);
    // The two channels that each loop has, the exporter and the idle source; each is refused once.
    assert_eq!(value(&file, "registrations_refused the loop"), Some(4));
    assert!(value(&file, "turns the loop").unwrap() > 0);
    assert_eq!(file.snapshot().len(), 6);
    assert!(told.borrow().is_empty(), "{told:?}");
}
