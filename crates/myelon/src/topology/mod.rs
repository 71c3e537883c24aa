//! One scheduler and its workers: a ring to all of them, a ring back from each, and the processes around them.
//!
//! Both sides agree on a [`Topology`]. [`Topology::launch`] gives the [`SchedulerEnd`], and [`WorkerEnd::join`] a
//! [`WorkerEnd`]. [`TypedScheduler`] and [`TypedWorker`] wrap them. There is one scheduler process, and one process per
//! worker.
//!
//! ```text
//!                 broadcast ring, one message for all
//!   scheduler ===================================> worker 0 ... worker N-1
//!             <----------------------------------- one response ring each
//! ```
//!
//! What it adds to the rings: both sides meet without a race and within a deadline, and missing workers are named. The
//! scheduler is told when a worker dies or comes back, and a worker is told when its scheduler dies. When the scheduler
//! ends, it leaves no processes and no segments.
//!
//! `scheduler` runs in one process, and `worker` in each of those that it starts:
//!
//! ```no_run
//! use myelon::topology::{Invitation, Outcome, SchedulerEnd, Topology, WorkerEnd, Whom, Workers};
//! use myelon::process::Command;
//! use myelon::{Patience, topology::TopologyError};
//! use std::time::Duration;
//!
//! fn scheduler() -> Result<(), Box<dyn std::error::Error>> {
//!     let topology: Topology = Topology::new("engine-0", 8usize)?;
//!     let program = std::env::current_exe()?;
//!     let mut scheduler = topology.launch(Workers::spawned(move |_rank| Command::new(&program)))?;
//!     let step = scheduler.broadcast(b"a step", 1, Patience::Endless)?;
//!     for answer in scheduler.gather_for(step, Whom::All, Duration::from_secs(2)) {
//!         match answer.outcome {
//!             Outcome::Message { kind, bytes } => println!("rank {} says {kind}: {bytes:?}", answer.rank),
//!             Outcome::Died { .. } => drop(scheduler.restart(answer.rank)?),
//!             other => println!("rank {} {other}", answer.rank),
//!         }
//!     }
//!     Ok(())
//! }
//!
//! fn worker() -> Result<(), Box<dyn std::error::Error>> {
//!     let mut worker: WorkerEnd = WorkerEnd::join(&Invitation::from_environment()?)?;
//!     worker.serve(|step, responses| {
//!         responses.send(&step.to_ascii_uppercase(), step.kind(), Patience::Endless)?;
//!         Ok::<(), TopologyError>(())
//!     })?;
//!     Ok(())
//! }
//! ```
//!
//! Source: RFC 0009; RFC 0016 for steps.

mod answer;
mod broadcast;
mod departure;
mod description;
mod error;
mod gather;
mod invitation;
mod launch;
mod leftovers;
mod lent;
mod peer;
mod raw_answer;
mod refusal;
mod report;
mod scheduler;
mod steps;
mod successor;
mod typed;
mod urgent;
mod worker;

pub use answer::{Answer, Change, Outcome, Whom};
pub use broadcast::Broadcast;
pub use departure::{Departure, Parting};
pub use description::{DEFAULT_BROADCAST_BYTES, DEFAULT_RESPONSE_BYTES, DEFAULT_URGENT_BYTES, Topology};
pub use error::{
    LaunchError, MeetingPlace, MissingState, MissingWorker, Parentage, RestartError, RingAccess, SchedulerEnding,
    TopologyError, WorkerJoinError,
};
#[cfg(feature = "tokio")]
pub(crate) use gather::left_until;
pub use invitation::{INVITATION_VARIABLE, Invitation};
pub use launch::Workers;
pub use lent::{BorrowedConsumer, BorrowedProducer};
pub use myelon_process::StatusUnknown;
pub use raw_answer::RawAnswer;
pub use refusal::JoinRefusal;
pub use report::{Situation, WorkerReport};
pub use scheduler::SchedulerEnd;
pub use steps::Unwanted;
pub use successor::Arrival;
#[cfg(feature = "tokio")]
pub(crate) use typed::TypedRing;
pub use typed::{TypedAnswer, TypedBroadcast, TypedScheduler, TypedUrgent, TypedWorker};
pub use urgent::{UrgentError, UrgentHandle};
pub use worker::WorkerEnd;
