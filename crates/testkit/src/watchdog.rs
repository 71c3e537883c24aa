//! A limit for how long a test waits.
//!
//! [`Watchdog`] is for code that may hang inside a call, [`eventually`] for a condition that can be polled.
//!
//! The times are limits for a test that has gone wrong, not expectations: choose generous ones (20 s and more).

use std::fmt;
use std::io::Write;
use std::process;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

/// How long the tools of this crate wait for something that normally takes milliseconds.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often a condition is looked at. A test machine has few cores, so polling sleeps instead of spinning.
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// Aborts the process, with a message that says what hung, unless it is dropped in time.
///
/// It aborts because a thread that hangs inside a call cannot be made to panic.
#[must_use = "a watchdog that is dropped at once watches nothing"]
#[derive(Debug)]
pub struct Watchdog {
    /// Nothing is ever sent: the watching thread waits until this is dropped.
    _disarm: Sender<()>,
}

impl Watchdog {
    /// Starts to watch. `what` completes the sentence "… did not end within …".
    pub fn new(limit: Duration, what: &str) -> Self {
        let (disarm, disarmed) = mpsc::channel();
        let test = thread::current().name().unwrap_or("unnamed thread").to_owned();
        let what = what.to_owned();
        thread::Builder::new()
            .name("watchdog".into())
            .spawn(move || {
                if disarmed.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                    let message = format!("watchdog of `{test}`: {what} did not end within {limit:?}; aborting\n");
                    // Not `eprintln!`: the harness would capture the line, and the process aborts before it is shown.
                    let _ = std::io::stderr().write_all(message.as_bytes());
                    process::abort();
                }
            })
            .expect("the watchdog's thread starts");
        Self { _disarm: disarm }
    }
}

/// [`eventually`] gave up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimedOut {
    /// What was waited for.
    pub what: String,
    /// How long.
    pub waited: Duration,
}

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} did not happen within {:?}", self.what, self.waited)
    }
}

impl std::error::Error for TimedOut {}

/// Polls `condition` until it holds. `what` completes the sentence "… did not happen within …".
///
/// # Errors
/// `TimedOut`: it never held until `limit` had passed. The last look comes after the limit, so a test that was not
/// scheduled for a while does not fail for that reason.
pub fn eventually(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) -> Result<(), TimedOut> {
    let started = Instant::now();
    loop {
        let late = started.elapsed() >= limit;
        if condition() {
            return Ok(());
        }
        if late {
            return Err(TimedOut { what: what.to_owned(), waited: limit });
        }
        thread::sleep(POLL_INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Signal;
    use crate::process::{Respawn, is_victim};
    use crate::test_name;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    #[ignore = "runs as a victim"]
    fn victim_that_hangs() {
        if !is_victim() {
            return;
        }
        let _watchdog = Watchdog::new(Duration::from_millis(20), "a sleep without end");
        loop {
            thread::park();
        }
    }

    #[test]
    fn a_hang_aborts_the_process() {
        let mut victim = Respawn::test(test_name!(victim_that_hangs)).spawn();
        assert_eq!(victim.wait_exit(PATIENCE).signal(), Some(Signal::ABORT.as_raw()));
    }

    #[test]
    fn a_dropped_watchdog_does_nothing() {
        let limit = Duration::from_millis(20);
        drop(Watchdog::new(limit, "nothing"));
        // This is not a wait for an event: we sleep past the limit to see that nothing happens.
        thread::sleep(limit * 3);
    }

    #[test]
    fn a_condition_that_comes_true_is_seen() {
        let mut looks = 0;
        let seen = eventually("the third look", PATIENCE, || {
            looks += 1;
            looks == 3
        });
        assert_eq!(seen, Ok(()));
    }

    #[test]
    fn giving_up_names_what_was_waited_for() {
        let error = eventually("pigs flying", Duration::from_millis(5), || false).unwrap_err();
        assert_eq!(error.to_string(), "pigs flying did not happen within 5ms");
    }
}
