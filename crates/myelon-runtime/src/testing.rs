//! What a test needs to run a loop, timers and an agenda on a time of its own.

use crate::clock::Clock;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A clock that stands still until it is moved. Its clones show the same time.
///
/// A loop with this clock does not sleep for its timers: when nothing is ready it moves the clock to the next deadline.
/// A turn that must not sleep does not move it. What other threads and processes do takes no time on this clock.
///
/// ```
/// use myelon_runtime::clock::Clock;
/// use myelon_runtime::testing::VirtualClock;
/// use std::time::Duration;
///
/// let clock = VirtualClock::new();
/// let before = clock.now();
/// clock.advance(Duration::from_secs(3600));
/// assert_eq!(clock.now() - before, Duration::from_secs(3600));
/// ```
#[derive(Clone, Debug)]
pub struct VirtualClock(Arc<Mutex<Instant>>);

impl VirtualClock {
    /// A clock that shows some moment.
    #[expect(clippy::new_without_default, reason = "two clocks made by default would show different times")]
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn real_sleep(&self, deadline: Option<Instant>) -> Option<Duration> {
        deadline.map(|_| Duration::ZERO)
    }

    fn slept_until(&self, deadline: Instant) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now = deadline.max(*now);
    }
}
