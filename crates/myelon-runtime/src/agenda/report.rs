//! What the end of an agenda left, or why it did not end.

use super::running::Running;
use crate::Priority;
use std::time::Duration;

/// What the end of an agenda left.
///
/// ```
/// use myelon_runtime::agenda::{Agenda, Priority, Tasklet};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let agenda = Agenda::builder().workers(1).start()?;
/// agenda.spawn(Tasklet::new("clean up", || ()).priority(Priority::Low))?;
/// let report = agenda.close(Duration::from_secs(5))?;
/// for running in &report.running {
///     eprintln!("{running}, after the budget was over");
/// }
/// println!("{} tasklets of low priority were left, after {:?}", report.left(Priority::Low), report.took);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CloseReport {
    pub(crate) left: [u64; 3],
    /// What ran when the budget was over. The end has waited for it.
    pub running: Vec<Running>,
    /// How long it took, with that wait.
    pub took: Duration,
}

impl CloseReport {
    /// How many tasklets of this priority ended as [`Left`](crate::agenda::End::Left).
    pub fn left(&self, priority: Priority) -> u64 {
        self.left[priority.index()]
    }
}

/// Why an agenda could not be closed. It goes on as before, except where it is closed already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloseError {
    /// The caller is a tasklet of this agenda, and closing would wait for it. Close it from another thread, or drop it:
    /// that does not wait on a worker.
    #[error("a tasklet cannot close the agenda it runs on; close it from another thread")]
    OnWorker,
    /// The caller is a closure at a safe point of this agenda: its workers wait for the closure. Close it afterwards.
    #[error("the agenda cannot be closed inside a closure at its safe point; close it afterwards")]
    Inside,
    /// It is closed already. The first call has the report.
    #[error("the agenda is closed already")]
    AlreadyClosed,
    /// This process is a child made by `fork`, and has no workers. The parent closes its own agenda.
    #[error("this process was forked from the one that has the workers")]
    Forked,
}
