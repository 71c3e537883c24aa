//! Pauses for loops that a program writes itself around the `try_` calls.
//!
//! Nothing in this crate waits this way. A consumer's own waits are better: they are woken, and they end when the other
//! side ends.

use std::time::Duration;

/// The pause of a loop that would rather block: long enough to cost less than a hundredth of a core.
pub const fn default_block_strategy_duration() -> Duration {
    Duration::from_millis(1)
}

/// The pause of a loop that consumes: about the shortest possible sleep, because the kernel adds its timer slack of 50
/// µs.
pub const fn default_consume_sleep_duration() -> Duration {
    Duration::from_micros(50)
}

/// The pause of a loop that looks for consumers. Source: the scan interval of start-up coordination.
pub const fn default_discovery_poll_duration() -> Duration {
    crate::builder::default_scan_interval_duration()
}

/// Sleeps for [`default_block_strategy_duration`].
pub fn perform_default_block_wait() {
    perform_sleep_wait(default_block_strategy_duration());
}

/// Sleeps for [`default_consume_sleep_duration`].
pub fn perform_default_consume_sleep_wait() {
    perform_sleep_wait(default_consume_sleep_duration());
}

/// Sleeps for [`default_discovery_poll_duration`].
pub fn perform_default_discovery_poll_wait() {
    perform_sleep_wait(default_discovery_poll_duration());
}

/// Sleeps for `duration`; if it is zero, yields the core.
pub fn perform_sleep_wait(duration: Duration) {
    if duration.is_zero() { std::thread::yield_now() } else { std::thread::sleep(duration) }
}
