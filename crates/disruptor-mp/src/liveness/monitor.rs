//! Watches one consumer at a time, the one that the producer waits for, and decides when the producer's patience ends.
//!
//! [`Monitor`] is a state machine without a clock of its own and without system calls.

use super::config::{RequiredConsumerFailureAction, RequiredConsumerLivenessConfig};
use std::time::{Duration, Instant};

/// The time between two looks counts as at most this many check intervals. In a longer gap the producer itself did not
/// run: it was stopped, throttled, or had no processor. The consumer is not blamed for that time.
const GAP_INTERVALS_MAX: u32 = 10;

/// One look of a blocked producer at a consumer that blocks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) entry: usize,
    pub(crate) epoch: u64,
    pub(crate) position: i64,
    /// Whether the consumer is required: only a required consumer shuts the producer.
    pub(crate) is_required: bool,
}

/// What the state machine has seen of the consumer that it watches.
#[derive(Clone, Copy, Debug)]
struct Watch {
    look: Look,
    /// How long it has blocked the producer without progress. Only time in which the producer ran counts.
    stood: Duration,
    /// When the present call last looked; `None` between calls, while the application runs.
    looked_at: Option<Instant>,
    alerted: bool,
}

/// The result of one look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The producer goes on waiting.
    Wait,
    /// The hook must be called, once per stall.
    Alert { stalled_for: Duration, shuts_down_in: Option<Duration> },
    /// The grace period has ended: the producer is shut.
    ShutDown { stalled_for: Duration },
}

/// Watches the consumer that blocks the producer.
pub(crate) struct Monitor {
    pub(crate) config: RequiredConsumerLivenessConfig,
    watch: Option<Watch>,
}

impl Monitor {
    pub(crate) fn new(config: RequiredConsumerLivenessConfig) -> Self {
        Self { config, watch: None }
    }

    /// Notes that the consumer in `look` blocks the producer at `now`. A new stall begins if the consumer has made
    /// progress, if it is another consumer, or if its entry has another owner (a rejoin).
    pub(crate) fn observe(&mut self, now: Instant, look: Look) -> Verdict {
        let gap_max = self.config.progress_check_interval.saturating_mul(GAP_INTERVALS_MAX);
        let watch = match &mut self.watch {
            Some(watch) if watch.look == look => watch,
            stale => stale.insert(Watch { look, stood: Duration::ZERO, looked_at: None, alerted: false }),
        };
        watch.count(now, gap_max);
        watch.looked_at = Some(now);
        let stalled_for = watch.stood;
        if stalled_for < self.config.progress_timeout {
            return Verdict::Wait;
        }
        let patience = self.config.progress_timeout.saturating_add(self.config.shutdown_grace_period);
        let shuts_down =
            look.is_required && self.config.failure_action == RequiredConsumerFailureAction::GracefulShutdown;
        if !watch.alerted {
            watch.alerted = true;
            let shuts_down_in = shuts_down.then(|| patience.saturating_sub(stalled_for));
            return Verdict::Alert { stalled_for, shuts_down_in };
        }
        if shuts_down && stalled_for >= patience { Verdict::ShutDown { stalled_for } } else { Verdict::Wait }
    }

    /// The blocked call ends at `now` without success. The time until the next call does not count against the
    /// consumer.
    pub(crate) fn pause(&mut self, now: Instant) {
        let gap_max = self.config.progress_check_interval.saturating_mul(GAP_INTERVALS_MAX);
        if let Some(watch) = &mut self.watch {
            watch.count(now, gap_max);
            watch.looked_at = None;
        }
    }

    /// The producer is not blocked any more.
    pub(crate) fn relieved(&mut self) {
        self.watch = None;
    }

    /// How long the watched consumer has blocked the producer without progress; `None` if no consumer is watched.
    pub(crate) fn stalled_for(&self) -> Option<Duration> {
        self.watch.map(|watch| watch.stood)
    }
}

impl Watch {
    /// Adds the time since the last look, as far as the producer ran: `gap_max` at most.
    fn count(&mut self, now: Instant, gap_max: Duration) {
        if let Some(last) = self.looked_at {
            self.stood = self.stood.saturating_add(now.saturating_duration_since(last).min(gap_max));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRESS: Duration = Duration::from_secs(10);
    const GRACE: Duration = Duration::from_secs(100);
    const INTERVAL: Duration = Duration::from_secs(1);
    const LOOK: Look = Look { entry: 0, epoch: 1, position: 5, is_required: true };

    /// A monitor, and a producer that looks at it every second while it is blocked.
    struct Blocked {
        monitor: Monitor,
        now: Instant,
    }

    impl Blocked {
        fn new(action: RequiredConsumerFailureAction) -> Self {
            let config = RequiredConsumerLivenessConfig::new(["w"])
                .with_progress_timeout(PROGRESS)
                .with_progress_check_interval(INTERVAL)
                .with_shutdown_grace_period(GRACE)
                .with_failure_action(action);
            Self { monitor: Monitor::new(config), now: Instant::now() }
        }

        /// Looks at once, and then every second for `time`. Returns the verdicts that are not `Wait`.
        fn looks(&mut self, look: Look, time: Duration) -> Vec<Verdict> {
            let mut verdicts = vec![self.monitor.observe(self.now, look)];
            let end = self.now + time;
            while self.now < end {
                self.now += INTERVAL;
                verdicts.push(self.monitor.observe(self.now, look));
            }
            verdicts.retain(|verdict| *verdict != Verdict::Wait);
            verdicts
        }
    }

    #[test]
    fn a_stall_is_alerted_once_and_then_shuts_the_producer() {
        let mut blocked = Blocked::new(RequiredConsumerFailureAction::GracefulShutdown);
        assert_eq!(blocked.looks(LOOK, PROGRESS - INTERVAL), []);
        let alert = Verdict::Alert { stalled_for: PROGRESS, shuts_down_in: Some(GRACE) };
        assert_eq!(blocked.looks(LOOK, GRACE), [alert], "once");
        assert_eq!(blocked.looks(LOOK, INTERVAL), [Verdict::ShutDown { stalled_for: PROGRESS + GRACE }]);
    }

    #[test]
    fn progress_another_culprit_or_a_rejoin_begins_anew() {
        let mut blocked = Blocked::new(RequiredConsumerFailureAction::GracefulShutdown);
        let moved = Look { position: 6, ..LOOK };
        let other = Look { entry: 1, ..moved };
        for look in [LOOK, moved, other, Look { epoch: 2, ..other }] {
            assert_eq!(blocked.looks(look, PROGRESS - INTERVAL), []);
        }
    }

    #[test]
    fn a_consumer_that_is_not_required_is_named_once_and_never_shuts() {
        let mut blocked = Blocked::new(RequiredConsumerFailureAction::GracefulShutdown);
        let look = Look { is_required: false, ..LOOK };
        let alert = Verdict::Alert { stalled_for: PROGRESS, shuts_down_in: None };
        assert_eq!(blocked.looks(look, 10 * (PROGRESS + GRACE)), [alert]);
    }

    #[test]
    fn time_in_which_the_producer_did_not_run_uses_no_patience_up() {
        let mut blocked = Blocked::new(RequiredConsumerFailureAction::GracefulShutdown);
        let ten_intervals = GAP_INTERVALS_MAX * INTERVAL;
        blocked.looks(LOOK, Duration::ZERO);
        // The producer is stopped for an hour, several times. Each stop counts as ten intervals at most.
        for stopped in 1..=(PROGRESS + GRACE).as_secs() / ten_intervals.as_secs() {
            assert_eq!(blocked.monitor.stalled_for(), Some(ten_intervals * (stopped as u32 - 1)));
            blocked.now += Duration::from_secs(3600);
            let verdict = blocked.monitor.observe(blocked.now, LOOK);
            assert_eq!(
                matches!(verdict, Verdict::ShutDown { .. }),
                stopped == 11,
                "after {stopped} stops: {verdict:?}"
            );
        }
    }

    #[test]
    fn time_between_two_calls_uses_no_patience_up() {
        let mut blocked = Blocked::new(RequiredConsumerFailureAction::GracefulShutdown);
        // Each call is blocked for two seconds, and the next one comes a minute later.
        for call in 1..=4 {
            assert_eq!(blocked.looks(LOOK, 2 * INTERVAL), []);
            blocked.monitor.pause(blocked.now);
            assert_eq!(blocked.monitor.stalled_for(), Some(2 * INTERVAL * call));
            blocked.now += Duration::from_secs(60);
        }
    }

    #[test]
    fn a_worker_that_prefills_for_two_seconds_or_compiles_for_two_minutes_is_left_alone() {
        let mut monitor = Monitor::new(RequiredConsumerLivenessConfig::new(["w"]));
        let start = Instant::now();
        for look in 0..121_000 / 5 {
            let verdict = monitor.observe(start + look * Duration::from_millis(5), LOOK);
            assert!(!matches!(verdict, Verdict::ShutDown { .. }), "shut at look {look}");
            assert!(look > 400 || verdict == Verdict::Wait, "alert at look {look}");
        }
    }

    #[test]
    fn alert_only_never_shuts() {
        let mut blocked = Blocked::new(RequiredConsumerFailureAction::AlertOnly);
        let alert = Verdict::Alert { stalled_for: PROGRESS, shuts_down_in: None };
        assert_eq!(blocked.looks(LOOK, 10 * (PROGRESS + GRACE)), [alert]);
    }

    #[test]
    fn timeouts_without_an_end_never_overflow() {
        let config = RequiredConsumerLivenessConfig::new(["w"])
            .with_progress_timeout(Duration::MAX)
            .with_progress_check_interval(Duration::MAX)
            .with_shutdown_grace_period(Duration::MAX);
        let mut monitor = Monitor::new(config);
        assert_eq!(monitor.observe(Instant::now(), LOOK), Verdict::Wait);
        assert_eq!(monitor.observe(Instant::now() + GRACE, LOOK), Verdict::Wait);
    }
}
