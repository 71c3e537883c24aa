//! One scheduler and a fixed number of workers around one ring of events.
//!
//! **Lives here:** [`FixedTopology`], [`WorkerCount`]. **Builds on:** the builders of layer 0. **May touch it:** programs that want rings
//! of their own event types; for messages of any size, responses and processes see [`topology`](crate::topology).

mod fixed;
mod worker_count;

pub use fixed::{FixedTopology, InferenceTopologyError, InferenceTopologyResult};
pub use worker_count::{InvalidWorkerCount, WorkerCount};
