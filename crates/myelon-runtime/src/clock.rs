//! Where the time comes from, so that a test can move it.

use std::fmt;
use std::time::Instant;

/// Tells the time that deadlines are compared with.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Now. It never goes back.
    fn now(&self) -> Instant;
}

/// The system's monotonic clock. It does not count the time in which the machine is suspended.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }
}
