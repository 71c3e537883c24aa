//! A loop with real descriptors, signals, children and threads.
#![cfg(target_os = "linux")]

mod children;
mod command_fifo;
mod counters;
mod descriptors;
mod docs;
mod failures;
mod generated;
mod hosts;
mod idle_process;
#[cfg(feature = "tokio")]
mod in_tokio;
#[cfg(feature = "json-rpc")]
mod json_rpc;
mod many;
mod memory_pressure;
mod order;
mod other_threads;
mod resuming;
mod signals;
mod sockets;
mod terminal;
mod timers;
mod under_load;
mod with_agenda;

use myelon_runtime::event_loop::{EventLoop, Failure};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use testkit::watchdog::Watchdog;

/// What handlers have done, in order.
type Log<T> = Rc<RefCell<Vec<T>>>;

fn log<T>() -> Log<T> {
    Rc::default()
}

fn watchdog(what: &str) -> Watchdog {
    Watchdog::new(Duration::from_secs(60), what)
}

/// Turns that do not sleep, until one has nothing to do.
fn settle(event_loop: &mut EventLoop) {
    while event_loop.turn(Duration::ZERO).unwrap() > 0 {}
}

/// The failures of a loop, as text.
fn failures(event_loop: &mut EventLoop) -> Log<String> {
    let failures = log();
    let kept = Rc::clone(&failures);
    event_loop.on_failure(move |failure: &Failure<'_>| {
        kept.borrow_mut().push(format!("{}: {}", failure.description, failure.cause));
    });
    failures
}
