//! Which peers are alive, how long a blocked producer waits for them, and what it reports.
//!
//! The kernel says which process is dead: it drops the lock of that process. No clock decides this. Clocks decide only
//! when to raise an alert about a live process. Source: RFC 0003, RFC 0005.

mod config;
pub(crate) mod monitor;
#[allow(unsafe_code, reason = "starts a child, reads its exit and what it inherits, by calls of the C library")]
pub mod process;
mod report;

pub use crate::ring::protocol::ending::Ending;
pub use crate::ring::refusal::{Refusal, RefusalCause, RefusalReason, leave_refusal};
pub use crate::schema::{RowName, SchemaDifference};
pub(crate) use config::went;
pub use config::{
    RequiredConsumerAlert, RequiredConsumerAlertHook, RequiredConsumerError, RequiredConsumerFailureAction,
    RequiredConsumerLivenessConfig, default_progress_check_interval_duration, default_progress_timeout_duration,
    default_shutdown_grace_period_duration, default_startup_wait_timeout_duration,
};
pub use process::{ProcessFacts, ProcessIdentity, ProcessState, Throttling};
pub use report::{Culprit, HeldMessages, NextStep, RefusedCall, StallReport, StartUpBuffer, WaitingFor};
