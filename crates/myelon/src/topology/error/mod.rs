//! What goes wrong with a topology: one error for each operation.

mod call;
mod join;
mod launch;
mod meeting_place;
mod missing;
mod restart;
#[cfg(test)]
mod tests;

pub use call::TopologyError;
pub use join::WorkerJoinError;
pub(super) use join::and_what;
pub use launch::LaunchError;
pub use meeting_place::{MeetingPlace, Parentage, SchedulerEnding};
pub(super) use missing::went;
pub use missing::{MissingState, MissingWorker, RingAccess};
pub use restart::RestartError;
