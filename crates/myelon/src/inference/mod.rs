//! One scheduler and a fixed number of workers around one ring of events.
//!
//! It is for programs with rings of their own event types. For messages of any size, responses and processes see
//! [`topology`](crate::topology).

mod fixed;
mod worker_count;

pub use fixed::{FixedTopology, InferenceTopologyError, InferenceTopologyResult};
pub use worker_count::{InvalidWorkerCount, WorkerCount};
