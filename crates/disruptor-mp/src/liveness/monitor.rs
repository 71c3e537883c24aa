//! Watches one consumer at a time, the one that everybody waits for, and decides when patience ends.
//!
//! **Lives here:** [`Monitor`], a state machine over time and positions, without system calls. **Builds on:** `config`.
//! **May touch it:** the producer, while it is blocked.

use super::config::{RequiredConsumerFailureAction, RequiredConsumerLivenessConfig};
use std::time::{Duration, Instant};

/// What the state machine has seen of the consumer that gates.
#[derive(Clone, Copy, Debug)]
struct Watch {
    entry: usize,
    epoch: u64,
    position: i64,
    since: Instant,
    alerted: bool,
}

/// What follows from one look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing yet.
    Wait,
    /// Tell somebody, once per stall.
    Alert { stalled_for: Duration, shuts_down_in: Option<Duration> },
    /// Patience has ended.
    ShutDown { stalled_for: Duration },
}

/// The watch over the consumer that gates.
pub(crate) struct Monitor {
    pub(crate) config: RequiredConsumerLivenessConfig,
    watch: Option<Watch>,
}

impl Monitor {
    pub(crate) fn new(config: RequiredConsumerLivenessConfig) -> Self {
        Self { config, watch: None }
    }

    /// The producer is blocked at `now` by entry `entry` of this `epoch`, which stands at `position`. Progress, another culprit or
    /// another owner of the entry (a rejoin) begins a new stall.
    pub(crate) fn observe(&mut self, now: Instant, entry: usize, epoch: u64, position: i64) -> Verdict {
        let watch = match &mut self.watch {
            Some(watch) if (watch.entry, watch.epoch, watch.position) == (entry, epoch, position) => watch,
            stale => stale.insert(Watch { entry, epoch, position, since: now, alerted: false }),
        };
        let stalled_for = now.duration_since(watch.since);
        if stalled_for < self.config.progress_timeout {
            return Verdict::Wait;
        }
        let patience = self.config.progress_timeout.saturating_add(self.config.shutdown_grace_period);
        let shuts_down = self.config.failure_action == RequiredConsumerFailureAction::GracefulShutdown;
        if !watch.alerted {
            watch.alerted = true;
            let shuts_down_in = shuts_down.then(|| patience.saturating_sub(stalled_for));
            return Verdict::Alert { stalled_for, shuts_down_in };
        }
        if shuts_down && stalled_for >= patience { Verdict::ShutDown { stalled_for } } else { Verdict::Wait }
    }

    /// The producer is not blocked any more.
    pub(crate) fn relieved(&mut self) {
        self.watch = None;
    }

    /// How long the present culprit has stood still.
    pub(crate) fn stalled_for(&self, now: Instant) -> Option<Duration> {
        self.watch.map(|watch| now.duration_since(watch.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRESS: Duration = Duration::from_secs(10);
    const GRACE: Duration = Duration::from_secs(100);

    fn monitor(action: RequiredConsumerFailureAction) -> (Monitor, Instant) {
        let config = RequiredConsumerLivenessConfig::new(["w"])
            .with_progress_timeout(PROGRESS)
            .with_shutdown_grace_period(GRACE)
            .with_failure_action(action);
        (Monitor::new(config), Instant::now())
    }

    #[test]
    fn a_stall_is_alerted_once_and_then_shuts_the_producer() {
        let (mut monitor, start) = monitor(RequiredConsumerFailureAction::GracefulShutdown);
        assert_eq!(monitor.observe(start, 0, 1, 5), Verdict::Wait);
        assert_eq!(monitor.observe(start + PROGRESS / 2, 0, 1, 5), Verdict::Wait);
        let alert = monitor.observe(start + PROGRESS, 0, 1, 5);
        assert_eq!(alert, Verdict::Alert { stalled_for: PROGRESS, shuts_down_in: Some(GRACE) });
        assert_eq!(monitor.observe(start + PROGRESS * 2, 0, 1, 5), Verdict::Wait);
        assert!(matches!(monitor.observe(start + PROGRESS + GRACE, 0, 1, 5), Verdict::ShutDown { .. }));
    }

    #[test]
    fn progress_another_culprit_or_a_rejoin_begins_anew() {
        let (mut monitor, start) = monitor(RequiredConsumerFailureAction::GracefulShutdown);
        monitor.observe(start, 0, 1, 5);
        for (entry, epoch, position) in [(0, 1, 6), (1, 1, 6), (1, 2, 6)] {
            assert_eq!(monitor.observe(start + PROGRESS, entry, epoch, position), Verdict::Wait);
        }
    }

    #[test]
    fn a_worker_that_prefills_for_two_seconds_or_compiles_for_two_minutes_is_left_alone() {
        let mut monitor = Monitor::new(RequiredConsumerLivenessConfig::new(["w"]));
        let start = Instant::now();
        for second in 0..121 {
            let verdict = monitor.observe(start + Duration::from_secs(second), 0, 1, 5);
            assert!(!matches!(verdict, Verdict::ShutDown { .. }), "shut after {second} s");
            assert!(second > 2 || verdict == Verdict::Wait, "alert after {second} s");
        }
    }

    #[test]
    fn alert_only_never_shuts() {
        let (mut monitor, start) = monitor(RequiredConsumerFailureAction::AlertOnly);
        monitor.observe(start, 0, 1, 5);
        assert!(matches!(monitor.observe(start + PROGRESS, 0, 1, 5), Verdict::Alert { shuts_down_in: None, .. }));
        assert_eq!(monitor.observe(start + 10 * (PROGRESS + GRACE), 0, 1, 5), Verdict::Wait);
    }
}
