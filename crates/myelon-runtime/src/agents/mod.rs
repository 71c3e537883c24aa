//! Agents: work in cycles, on a thread, on the caller's thread, in a loop or on an agenda.
//!
//! An [`Agent`] has a start, a piece of work that is called again and again, and a close. A [`Group`] of agents runs in
//! one of four places:
//!
//! | where | by | idles |
//! |---|---|---|
//! | a thread of its own | [`Group::spawn`] | with an [`IdleStrategy`] |
//! | the thread that calls it | [`Group::into_invoker`] | as the caller likes |
//! | an [`EventLoop`](crate::event_loop::EventLoop) | [`Group::add_to`] | at doorbells and deadlines, with the loop |
//! | the workers of an [`Agenda`](crate::agenda::Agenda) | [`Group::submit`] | until it is woken |
//!
//! What holds:
//!
//! - **Once.** For each `on_start` that succeeded, `on_close` is called once: after the end, an error, a panic, a
//!   close, or a drop of what runs the group. Agents start in order and close in reverse order.
//! - **Failures.** An error and a panic are the same event: counted, kept, told to a hook with the agent's name and
//!   what happens next. Then the agent is restarted with back-off, or it ends, or its group ends ([`Policy`]).
//! - **No lost wake-up.** A cycle begins after each [`GroupHandle::wake`], and after each ring of a doorbell.
//! - **Idle.** A group that waits at doorbells makes no system call.
//! - **Visible.** [`GroupHandle::agents`] says what each agent has done, what it does now, since when. A close that is
//!   not in time names the agent that does not return.
//! - **Safe points.** A group that [attends](Group::attend) an agenda stops between two calls of `do_work`.
//!
//! ```
//! use myelon_runtime::agents::{Agent, AgentError, BackOff, Group, GroupEnd, Policy, Work};
//! use std::time::{Duration, Instant};
//!
//! struct Driver {
//!     clients: Option<Vec<u32>>,
//! }
//!
//! impl Agent for Driver {
//!     fn name(&self) -> &str {
//!         "driver"
//!     }
//!
//!     fn on_start(&mut self) -> Result<(), AgentError> {
//!         self.clients = Some(vec![1, 2, 3]);
//!         Ok(())
//!     }
//!
//!     fn do_work(&mut self, _now: Instant) -> Result<Work, AgentError> {
//!         let clients = self.clients.as_mut().ok_or("not started")?;
//!         match clients.pop() {
//!             Some(client) => {
//!                 println!("served client {client}");
//!                 Ok(Work::Count(1))
//!             }
//!             None => Ok(Work::Finished),
//!         }
//!     }
//!
//!     fn on_close(&mut self) {
//!         self.clients = None;
//!     }
//! }
//!
//! let mut runner = Group::new("drivers")
//!     .agent_with(Driver { clients: None }, Policy::EndGroup)
//!     .on_failure(|failure| eprintln!("{failure}"))
//!     .spawn(BackOff::default())?;
//! assert_eq!(runner.wait(Duration::from_secs(30))?, GroupEnd::Finished);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Source: RFC 0024.

mod agent;
mod bell;
mod doorbells;
mod failure;
mod group;
mod idle;
mod invoker;
mod on_agenda;
mod on_loop;
mod policy;
mod poll;
mod record;
mod runner;
mod shared;
mod waker;

pub use agent::{Activity, Agent, AgentError, Work, from_fn};
pub use doorbells::Doorbells;
pub use failure::{Cause, CloseError, Failure, SpawnError, Then};
pub use group::{Group, GroupEnd};
pub use idle::{Adaptive, BackOff, IdleStrategy, NoIdle, ParkAtDoorbells, Pause, Spin, Yield};
pub use invoker::Invoker;
pub use policy::{Policy, Restart, Restarts};
pub use record::{AgentReport, AgentState};
pub use runner::Runner;
pub use shared::GroupHandle;
