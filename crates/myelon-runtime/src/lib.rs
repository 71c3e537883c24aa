//! One loop that waits for everything a process of a server waits for, and an agenda that runs its work by priority on
//! a few threads.
//!
//! | you want to | take |
//! |---|---|
//! | wait for descriptors, timers, signals, children and commands in one thread | [`event_loop`] |
//! | let a shell command the loop by bytes on a FIFO | `EventLoop::add_command_fifo` |
//! | answer JSON-RPC lines on a socket or on FIFOs | `event_loop::json_rpc` (feature `json-rpc`) |
//! | run work by priority on a few threads, and stop all of it at a safe point | [`agenda`] |
//! | write work in cycles once, and run it on a thread, in the loop or on the agenda | [`agents`] |
//! | know which deadline is next, in a loop of your own | [`timers`] |
//! | show what a loop does in another process | [`counters`] |
//! | run either on a time that your test moves | [`testing::VirtualClock`] |
//!
//! # One turn
//!
//! ```text
//!   sleep until: a descriptor, a wake, the next timer, the end of a rate limit   (not at all if something is ready)
//! 1 results        a dump that was asked for; calls and commands that other threads have sent
//! 2 timers         that are due, by deadline
//! 3 signals        in the order of the kernel: lowest number first
//! 4 descriptors    by priority, and in one priority in turn; children and sockets are descriptors
//! 5 idle           sources that run when 1 to 4 had nothing to do
//! ```
//!
//! # Guarantees
//!
//! - **Levels.** A handler is called as long as what it waits for is there, whether it reads all or one byte, fails or
//!   panics. Only one that answers [`Drained`](event_loop::Next::Drained) is not called for what it has left.
//! - **Fairness.** A source is called at most as often in a turn as its budget says. Every priority is served in every
//!   turn.
//! - **Failures.** An error and a panic cost the event of that handler. They are counted, kept with the description,
//!   and told to a hook. (A program that is built with `panic = "abort"` ends instead.)
//! - **Removal.** No handler of a removed source is called any more, also in the same turn.
//! - **Deadlines.** No timer is early. A periodic one keeps its phase, and is called once for all periods that it
//!   missed.
//! - **Commands.** Each sender's are handled in order, each once. A full channel gives the command back.
//!   [`quit`](event_loop::LoopHandle::quit) and [`exit`](event_loop::LoopHandle::exit) are never refused.
//!
//! # Example
//!
//! ```
//! use myelon_runtime::event_loop::{EventLoop, Tick};
//! use std::time::Duration;
//!
//! let mut event_loop = EventLoop::new()?;
//! event_loop.add_timer(Duration::from_millis(1), "the first millisecond", |event_loop: &mut EventLoop, tick: Tick| {
//!     println!("late by {:?}", event_loop.now() - tick.deadline);
//!     event_loop.handle().quit();
//! });
//! event_loop.run()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `json-rpc` | `event_loop::json_rpc`: commands as JSON-RPC 2.0 lines, on a Unix socket and on FIFOs (Linux) |
//! | `tokio` | `EventLoop::run_in_tokio`: the loop as a task of a tokio runtime (Linux) |
//!
//! # Platforms
//!
//! Linux 5.4 or later. On macOS there are neither signals nor children in the loop, and a sleep ends at a millisecond.
//!
//! Source: RFC 0022.
#![forbid(unsafe_code)]
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]
#![cfg_attr(loom, allow(dead_code, unreachable_pub, unused_imports, reason = "a model uses only the protocols"))]

pub mod agenda;
#[cfg(not(loom))]
pub mod agents;
pub mod clock;
pub mod counters;
#[cfg(not(loom))]
pub mod event_loop;
#[cfg(all(test, loom))]
mod models;
mod primitive;
mod priority;
mod requests;
pub mod testing;
pub mod timers;
#[cfg(not(loom))]
pub mod watchdog;

pub use priority::Priority;

/// Compiles and runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
