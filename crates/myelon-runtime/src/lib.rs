//! One loop that waits for everything a process of a server waits for, and an agenda that runs its work by priority on
//! a few threads.
//!
//! | you want to | take |
//! |---|---|
//! | wait for descriptors, timers, signals, children and commands in one thread | [`event_loop`] |
//! | end on TERM, and at once on a second one | [`quit_on_signals`](event_loop::EventLoop::quit_on_signals) |
//! | do other things on signals | [`add_signals`](event_loop::EventLoop::add_signals) |
//! | know how a child has ended, and send it signals until then | [`add_child`](event_loop::EventLoop::add_child) |
//! | start it again with back-off | [`agents::Restart::row`] and a timer |
//! | reach the loop from other threads | [`event_loop::LoopHandle`], [`event_loop::CommandSender`] |
//! | let a shell command the loop by bytes on a FIFO | `EventLoop::add_command_fifo` |
//! | answer JSON-RPC lines on a socket or on FIFOs | `event_loop::json_rpc` (feature `json-rpc`) |
//! | act before the kernel is out of memory | [`event_loop::PressureTrigger`] |
//! | run the loop as a task of a tokio runtime | `EventLoop::run_in_tokio` (feature `tokio`) |
//! | run work by priority on a few threads, with results, deadlines and cancels | [`agenda`] |
//! | get a result of the agenda in the loop's thread | [`LoopHandle::submit`](event_loop::LoopHandle::submit) |
//! | stop all of it at a safe point, and run one closure alone | [`Agenda::quiesce`](agenda::Agenda::quiesce) |
//! | write work in cycles once, and run it on a thread, in the loop or on the agenda | [`agents`] |
//! | learn in the loop that agents have ended for good | [`Group::on_end`](agents::Group::on_end) |
//! | choose how its thread idles | [`agents::IdleStrategy`] |
//! | consume a ring and sleep while it is empty | [`agents::Doorbells`] |
//! | be told which handler, tasklet or agent does not return | [`watchdog`] |
//! | show what a loop does in another process | [`counters`] |
//! | know which deadline is next, in a loop of your own | [`timers`] |
//! | run all of it on a time that your test moves | [`testing`] |
//!
//! # One turn
//!
//! ```text
//!   sleep until: a descriptor, a wake, the next timer, the end of a rate limit   (not at all if something is ready)
//! 1 results        a dump, a safe point; calls and commands of other threads; results of tasklets
//! 2 timers         that are due, by deadline
//! 3 signals        in the order of the kernel: lowest number first
//! 4 descriptors    by priority, and in one priority in turn; children and sockets are descriptors
//! 5 idle           sources that run when 1 to 4 had nothing to do
//! ```
//!
//! # Guarantees
//!
//! - **One at a time.** All handlers run in the thread of the loop, one after the other, and are not nested. So state
//!   that several of them use can be in an `Rc<RefCell<_>>`.
//! - **Order.** It is that of the picture: a timer that is due is served before a signal, and a signal before a
//!   descriptor. Each sender's commands are handled in the order in which they were sent, each once.
//! - **Levels.** A handler is called as long as what it waits for is there, whether it reads all or one byte, fails or
//!   panics. Only one that answers [`Drained`](event_loop::Next::Drained) is not called for what it has left.
//! - **Fairness.** A source is called at most as often in a turn as its budget says. Every priority is served in every
//!   turn.
//! - **Failures.** An error and a panic cost the event of that handler. They are counted, kept with the description,
//!   and told to a hook. (A program that is built with `panic = "abort"` ends instead.)
//! - **Removal.** No handler of a removed source is called any more, also in the same turn.
//! - **Deadlines.** No timer is early. A periodic one keeps its phase, and is called once for all periods that it
//!   missed. A deadline interrupts nothing: a handler that runs for a second makes the others a second late.
//! - **Signals.** A signal that [`block_first`](myelon_process::signals::block_first) has blocked interrupts nothing.
//!   It is read in step 3. One that comes again before it was read is read once, so two TERMs that come during one
//!   handler are one. A signal that was not blocked does what the system does by default: TERM kills the process.
//! - **Commands.** A full channel gives the command back. [`quit`](event_loop::LoopHandle::quit) and
//!   [`exit`](event_loop::LoopHandle::exit) are never refused.
//!
//! The pages of [`agenda`] and [`agents`] say what holds there. Programs to copy are in the repository's `examples/`:
//! `one_loop`, `runtime_console` and `agent_pair`.
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
//! # Ending in order
//!
//! `run` returns when a signal, an operator or another thread asks for it. What is to be done before the process ends
//! is done after `run`, and not in the handler of a signal: then it is also done when an operator has sent `Q` or
//! `quit`. The loop can run again, to wait for what was asked to end. [`RunEnd::Exit`](event_loop::RunEnd::Exit) says
//! that there is no time.
//!
//! ```standalone_crate
//! use myelon_process::{Child, Command, Ended, Signal, signals};
//! use myelon_runtime::agenda::{Agenda, Priority};
//! use myelon_runtime::event_loop::{EventLoop, RunEnd, Tick};
//! use std::time::Duration;
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let blocked = signals::block_first()?; // before there is a second thread
//!     let agenda = Agenda::builder().workers(1).start()?;
//!     let mut event_loop = EventLoop::new()?;
//!     event_loop.on_failure(|failure| eprintln!("{}: {}", failure.description, failure.cause));
//!     event_loop.quit_on_signals(blocked.reader()?)?;
//!     let worker = Command::new("sleep").arg("1000").spawn()?;
//!     let told = |event_loop: &mut EventLoop, _: &mut Child, ended: Ended| {
//!         println!("the worker {ended}");
//!         event_loop.handle().quit();
//!     };
//!     let worker = event_loop.add_child(worker, "a worker", told)?;
//!     # std::process::Command::new("kill").arg(std::process::id().to_string()).status()?; // SIGTERM
//!     let mut end = event_loop.run()?;
//!
//!     // 1. The child is asked, and killed after two seconds. A second TERM ends this run at once.
//!     if let (RunEnd::Quit { .. }, Some(child)) = (end, event_loop.source_mut::<Child>(worker)) {
//!         child.signal(Signal::TERM)?;
//!         let kill = move |event_loop: &mut EventLoop, _: Tick| {
//!             event_loop.source_mut::<Child>(worker).map_or(Ok(()), Child::kill)
//!         };
//!         event_loop.add_timer(Duration::from_secs(2), "the worker did not end", kill);
//!         end = event_loop.run()?;
//!     }
//!     // A child runs on when its loop is dropped.
//!     if let Some(mut child) = event_loop.take::<Child>(worker) {
//!         child.kill()?;
//!     }
//!     // 2. The agenda finishes what it can within a budget.
//!     let budget = if end == RunEnd::Exit { Duration::ZERO } else { Duration::from_secs(5) };
//!     let report = agenda.close(budget)?;
//!     println!("{} tasklets of low priority were left", report.left(Priority::Low));
//!     // 3. The results that came meanwhile, also those that say `Left`.
//!     event_loop.handle().quit();
//!     event_loop.run()?;
//!     Ok(())
//! }
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
mod calls;
pub mod clock;
pub mod counters;
#[cfg(not(loom))]
pub mod event_loop;
#[cfg(all(test, loom))]
mod models;
#[cfg(not(loom))]
mod one_line;
mod primitive;
mod priority;
mod requests;
mod sleeping;
pub mod testing;
pub mod timers;
#[cfg(not(loom))]
pub mod watchdog;

pub use priority::Priority;

/// Compiles and runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
