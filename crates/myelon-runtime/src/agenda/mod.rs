//! Work by priority on a few threads, and safe points at which a closure runs alone.
//!
//! An [`Agenda`] has workers that run [`Tasklet`]s: *high* before *normal* before *low*. A tasklet is submitted from
//! any thread, from tasklets too, and ends in exactly one of six ways ([`End`]); its [`Handle`] learns it once.
//!
//! ```text
//!             high   normal  low
//! outside    [....] [....] [....]   from other threads
//! worker 0   [....] [....] [....]   from its own tasklets; others steal from it
//! worker 1   [....] [....] [....]
//! ```
//!
//! What holds:
//!
//! - **Order.** A worker looks for *high* in its own queue, outside, with the other workers; then for *normal*, then
//!   for *low*. Every queue is first in, first out; workers run in parallel, so there is no order between two tasklets.
//! - **No starvation.** Every 61st pick of a worker begins at *low*, every 31st at *normal*, every 16th looks outside
//!   before the own queue.
//! - **Failures.** An error or a panic of a tasklet is its own end and nothing else. The worker lives.
//! - **Idle.** A worker that finds nothing sleeps; nothing polls.
//! - **Alone.** [`Agenda::quiesce`] runs a closure while every worker and every [`Party`] is at a safe point, or does
//!   not run it at all and says what held it up.
//! - **Visible.** [`Agenda::running`] says what each worker runs, since when; [`Agenda::statistics`] what it has done.
//!
//! ```
//! use myelon_runtime::agenda::{Agenda, Priority, Tasklet};
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let agenda = Agenda::builder().workers(2).start()?;
//! let mut saved = agenda.submit(Tasklet::new("save a checkpoint", || "saved").priority(Priority::Low))?;
//! let mut answer = agenda.submit(Tasklet::new("cancel a request", || "cancelled").priority(Priority::High))?;
//! assert_eq!(answer.wait(Duration::from_secs(30))?, "cancelled");
//! assert_eq!(saved.wait(Duration::from_secs(30))?, "saved");
//!
//! let report = agenda.close(Duration::from_secs(5))?;
//! assert_eq!(report.left(Priority::Low), 0);
//! # Ok(())
//! # }
//! ```
//!
//! Source: RFC 0023.

#[cfg(not(loom))]
mod attended;
mod closing;
#[cfg(not(loom))]
mod error;
#[cfg(not(loom))]
mod handle;
#[cfg(not(loom))]
mod job;
#[cfg(all(test, loom))]
pub(crate) mod models;
pub(crate) mod parked;
#[cfg(not(loom))]
mod party;
mod picks;
mod queue;
#[cfg(not(loom))]
mod report;
#[cfg(not(loom))]
mod running;
mod safe_point;
#[cfg(not(loom))]
mod shared;
#[cfg(not(loom))]
mod start;
mod state;
#[cfg(not(loom))]
mod statistics;
#[cfg(not(loom))]
mod tasklet;
#[cfg(not(loom))]
mod worker;

pub use crate::Priority;
pub use safe_point::{HoldUp, QuiesceError};
pub use state::End;

#[cfg(not(loom))]
pub(crate) use attended::Attended;
#[cfg(not(loom))]
pub use error::{NotDone, StartError, SubmitError, WaitError};
#[cfg(not(loom))]
pub use handle::{Canceller, Handle, Metadata};
#[cfg(not(loom))]
pub use party::Party;
#[cfg(not(loom))]
pub use report::{CloseError, CloseReport};
#[cfg(not(loom))]
pub use running::Running;
#[cfg(not(loom))]
pub use shared::Sampling;
#[cfg(not(loom))]
pub use start::{Agenda, Builder, Submitter, WORKERS_MAX};
#[cfg(not(loom))]
pub use statistics::{Counts, Statistics, Times};
#[cfg(not(loom))]
pub use tasklet::{Answer, Late, Run, Step, Tasklet, TaskletError};
