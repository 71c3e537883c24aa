//! What a test needs to run a loop, timers and an agenda on a time of its own.

use crate::clock::Clock;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A clock that stands still until it is moved. Its clones show the same time.
///
/// A loop with this clock does not sleep for its timers: when nothing is ready it moves the clock to the next deadline.
/// A turn that must not sleep does not move it. What other threads and processes do takes no time on this clock.
///
/// So a loop that *runs* on this clock does not wait for tasklets, children or other threads before it moves to its
/// next deadline: a timer that guards a tasklet fires first. A test whose loop waits for them turns without sleep until
/// the result is there, and moves the clock itself:
///
/// ```
/// use myelon_runtime::agenda::{Agenda, Late, Tasklet};
/// use myelon_runtime::event_loop::{EventLoop, Tick};
/// use myelon_runtime::testing::VirtualClock;
/// use std::sync::mpsc::channel;
/// use std::time::Duration;
///
/// let clock = VirtualClock::new();
/// let agenda = Agenda::builder().workers(1).clock(clock.clone()).start()?;
/// let mut event_loop = EventLoop::builder().clock(clock.clone()).build()?;
/// let late = event_loop.add_timer(Duration::from_secs(60), "the answer is late", |_: &mut EventLoop, _: Tick| -> () {
///     panic!("no time has passed")
/// });
/// let (send, answer) = channel();
/// event_loop.handle().submit(&agenda, Tasklet::new("answer", || 42), move |event_loop, outcome| {
///     event_loop.remove(late);
///     let _ = send.send(outcome);
/// })?;
/// let answer = loop {
///     event_loop.turn(Duration::ZERO)?; // does not move the clock
///     if let Ok(answer) = answer.try_recv() {
///         break answer;
///     }
/// };
/// assert_eq!(answer?, 42);
///
/// // A deadline of a tasklet that the only worker cannot begin in time.
/// let (release, released) = channel::<()>();
/// agenda.spawn(Tasklet::new("the worker is busy", move || released.recv()))?;
/// let deadline = event_loop.now() + Duration::from_secs(60);
/// let mut expires = agenda.submit(Tasklet::new("late", || ()).deadline(deadline, Late::Expire))?;
/// clock.advance(Duration::from_secs(61));
/// drop(release);
/// assert!(expires.wait(Duration::from_secs(30)).is_err()); // how long a wait takes at most is real time
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
