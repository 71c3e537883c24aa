//! Where the time comes from, so that a test can move it.

use std::fmt;
use std::time::{Duration, Instant};

/// Tells the time that deadlines are compared with.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Now. It never goes back.
    fn now(&self) -> Instant;

    /// How long a loop that has nothing to do until `deadline` may really sleep. `None`: until something happens. It
    /// always wakes up for a descriptor or a command.
    fn real_sleep(&self, deadline: Option<Instant>) -> Option<Duration> {
        deadline.map(|deadline| deadline.saturating_duration_since(self.now()))
    }

    /// A loop has slept as long as it may for `deadline`, and nothing has happened. A clock that is moved by hand moves
    /// to this deadline.
    fn slept_until(&self, deadline: Instant) {
        let _ = deadline;
    }
}

/// The system's monotonic clock. It does not count the time in which the machine is suspended.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }
}
