//! What a producer may do about a consumer that makes no progress.

use super::report::StallReport;
use crate::ring::protocol::ending::Ending;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The default time in which a required consumer must join.
pub const fn default_startup_wait_timeout_duration() -> Duration {
    Duration::from_secs(5)
}

/// The default time without progress after which a blocked producer raises the alert. A prefill takes 2 s and needs no
/// alert. A death needs no timeout, because the kernel reports it.
pub const fn default_progress_timeout_duration() -> Duration {
    Duration::from_secs(10)
}

/// The default interval at which a blocked producer looks at the consumer that blocks it.
pub const fn default_progress_check_interval_duration() -> Duration {
    Duration::from_millis(5)
}

/// The default time for which the producer goes on waiting after the alert. Together with the progress timeout it is
/// longer than a compilation of 120 s, which a healthy worker may need.
pub const fn default_shutdown_grace_period_duration() -> Duration {
    Duration::from_secs(170)
}

/// What the producer does if a required consumer is gone, or has made no progress by the end of the grace period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum RequiredConsumerFailureAction {
    /// A consumer without progress shuts the producer: this and every later managed publish fail until the liveness is
    /// reset. A consumer that is gone makes this publish fail; publish again after the consumer has come back under its
    /// id.
    #[default]
    GracefulShutdown,
    /// Raises the alert and goes on waiting: for a consumer without progress until it makes progress, and for a
    /// consumer that is gone until it has come back. The deadline of the call still ends the wait.
    AlertOnly,
    /// Removes consumers without an owner from the table and goes on without them. This is for pools of workers. A
    /// removed consumer is required again from the moment it joins again. A live consumer, however slow, is never
    /// removed: it may be reading a slot.
    Evict,
}

/// One alert: which consumer, its position, and the stall report.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequiredConsumerAlert {
    /// The id of the required consumer that makes no progress.
    pub consumer_id: String,
    /// The last sequence that it released; -1 if none.
    pub last_sequence: i64,
    /// How long it has blocked the producer at that position. Only time in which the producer ran counts.
    pub stalled_for: Duration,
    /// The stall report at the time of the alert.
    pub report: StallReport,
}

impl RequiredConsumerAlert {
    pub(crate) fn new(consumer_id: String, last_sequence: i64, stalled_for: Duration, report: StallReport) -> Self {
        Self { consumer_id, last_sequence, stalled_for, report }
    }
}

/// Called once per stall, and once for each required consumer that is gone, on the publishing thread, before the
/// failure action. If it panics, the panic is caught and the watch goes on.
pub type RequiredConsumerAlertHook = Arc<dyn Fn(&RequiredConsumerAlert) + Send + Sync>;

/// Which consumers must be there, how long a blocked producer waits for one, and what it does then.
///
/// The producer looks at its consumers while it is blocked, when a consumer is gone, and otherwise once a lap at the
/// latest. All other managed calls compare one word. The kernel reports a death independently of the timeouts: within
/// 100 ms while the producer is blocked, otherwise when it looks at its consumers.
/// [`watch_required_consumers`](crate::ProducerEnd::watch_required_consumers) reports a death without such a look.
///
/// ```
/// use disruptor_mp::{Patience, RequiredConsumerAlert, RequiredConsumerLivenessConfig};
/// use disruptor_mp::{attach_shared_consumer, build_shared_single_producer};
/// use std::sync::Arc;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let name = disruptor_mp::portable_shm_segment_name("doc");
/// let mut producer = build_shared_single_producer::<u64>(&name, 8).build_producer(|| 0)?;
/// let attach = || attach_shared_consumer::<u64>(&name, 8).with_consumer_id("worker-0").build_consumer();
/// let worker = attach()?; // usually in another process
///
/// // Told on each alert: which consumer, since when, and what its process does.
/// let hook = Arc::new(|alert: &RequiredConsumerAlert| eprintln!("{}", alert.report));
/// let config = RequiredConsumerLivenessConfig::new(["worker-0"]).with_alert_hook(hook);
/// producer.enable_required_consumer_liveness(config)?;
/// producer.publish_with(Patience::Managed, |slot| *slot = 7)?;
///
/// // Without its consumer, nothing is published: the application hears of it, and decides.
/// worker.leave();
/// if let Err(error) = producer.publish_with(Patience::Managed, |slot| *slot = 8) {
///     assert!(error.is_peer_gone());
///     eprintln!("{error}"); // required consumer `worker-0` (process 4711) has left, or was evicted, ...
/// }
/// let worker = attach()?; // started again
/// producer.publish_with(Patience::Managed, |slot| *slot = 8)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct RequiredConsumerLivenessConfig {
    /// The consumers that must have joined before the first managed publish, and must be there afterwards. At least
    /// one.
    pub required_consumer_ids: Vec<String>,
    /// How long the first managed publish waits for them. Zero: one look. For this and the other times,
    /// [`Duration::MAX`] means without end.
    pub startup_wait_timeout: Duration,
    /// How long a consumer that blocks the producer may make no progress before the alert. Time counts only while the
    /// producer itself runs and that consumer blocks it. Zero: the first look raises the alert.
    pub progress_timeout: Duration,
    /// The interval at which a blocked producer looks for progress. At most ten intervals count of the time between two
    /// looks. An interval below a millisecond counts as a millisecond.
    pub progress_check_interval: Duration,
    /// The time from the alert to the failure action.
    pub shutdown_grace_period: Duration,
    /// The action after the grace period.
    pub failure_action: RequiredConsumerFailureAction,
    /// The hook that is called with each alert.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub alert_hook: Option<RequiredConsumerAlertHook>,
}

impl RequiredConsumerLivenessConfig {
    /// The defaults, for these consumers.
    pub fn new(ids: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            required_consumer_ids: ids.into_iter().map(Into::into).collect(),
            startup_wait_timeout: default_startup_wait_timeout_duration(),
            progress_timeout: default_progress_timeout_duration(),
            progress_check_interval: default_progress_check_interval_duration(),
            shutdown_grace_period: default_shutdown_grace_period_duration(),
            failure_action: RequiredConsumerFailureAction::default(),
            alert_hook: None,
        }
    }

    /// Sets how long the first managed publish waits for the required consumers.
    #[must_use]
    pub fn with_startup_wait_timeout(self, startup_wait_timeout: Duration) -> Self {
        Self { startup_wait_timeout, ..self }
    }

    /// Sets how long a consumer may make no progress before the alert.
    #[must_use]
    pub fn with_progress_timeout(self, progress_timeout: Duration) -> Self {
        Self { progress_timeout, ..self }
    }

    /// Sets how often a blocked producer looks.
    #[must_use]
    pub fn with_progress_check_interval(self, progress_check_interval: Duration) -> Self {
        Self { progress_check_interval, ..self }
    }

    /// Sets how long after the alert the failure action follows; `MYELON_SHUTDOWN_GRACE_MS` overrides it.
    #[must_use]
    pub fn with_shutdown_grace_period(self, shutdown_grace_period: Duration) -> Self {
        Self { shutdown_grace_period, ..self }
    }

    /// Sets the failure action.
    #[must_use]
    pub fn with_failure_action(self, failure_action: RequiredConsumerFailureAction) -> Self {
        Self { failure_action, ..self }
    }

    /// Sets the hook that is called with each alert.
    #[must_use]
    pub fn with_alert_hook(self, hook: RequiredConsumerAlertHook) -> Self {
        Self { alert_hook: Some(hook), ..self }
    }
}

impl fmt::Debug for RequiredConsumerLivenessConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequiredConsumerLivenessConfig")
            .field("required_consumer_ids", &self.required_consumer_ids)
            .field("startup_wait_timeout", &self.startup_wait_timeout)
            .field("progress_timeout", &self.progress_timeout)
            .field("progress_check_interval", &self.progress_check_interval)
            .field("shutdown_grace_period", &self.shutdown_grace_period)
            .field("failure_action", &self.failure_action)
            .field("alert_hook", &self.alert_hook.as_ref().map(|_| "..."))
            .finish()
    }
}

/// Why a managed publish did not happen. The closure has not run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequiredConsumerError {
    /// Required consumers did not join in time. Start them, or wait longer.
    #[error("required consumers did not join: {}; start them, or wait longer", missing.join(", "))]
    StartupTimeout {
        /// The missing consumers.
        missing: Vec<String>,
    },
    /// A required consumer made no progress until the end of the grace period. The producer stays shut to managed calls
    /// until [`reset_required_consumer_liveness`](crate::ProducerEnd::reset_required_consumer_liveness); other calls go
    /// on.
    #[error(
        "consumer `{consumer_id}` has released nothing after sequence {last_sequence} for {stalled_for:.1?}: the producer refuses managed \
         calls until `reset_required_consumer_liveness`"
    )]
    GracefulShutdownTriggered {
        /// The consumer.
        consumer_id: String,
        /// The last sequence that it released; -1 if none.
        last_sequence: i64,
        /// How long it blocked the producer at that position. Only time in which the producer ran counts.
        stalled_for: Duration,
    },
    /// A consumer has no owner any more: its process died, or its end was dropped without giving up its entry, by a
    /// panic for instance. Attach again under its id and publish again; it continues with the first event that was not
    /// acknowledged.
    #[error("consumer `{consumer_id}` (process {pid}) {}; attach again under its id", went(*how))]
    ConsumerDied {
        /// The consumer.
        consumer_id: String,
        /// The pid of its process, in that process's own pid namespace. It may live, unless `how` says that it was
        /// killed.
        pid: u32,
        /// How it went.
        how: Ending,
        /// The last sequence that it released; -1 if none.
        last_sequence: i64,
    },
    /// A required consumer has given up its entry, or was evicted. Events that are published from now on are not kept
    /// for it. Attach again under its id, or enable the liveness again without it.
    #[error(
        "required consumer `{consumer_id}` (process {pid}) has left, or was evicted, after sequence {last_sequence}; attach again under its id"
    )]
    ConsumerLeft {
        /// The consumer.
        consumer_id: String,
        /// The pid of its process, in that process's own pid namespace.
        pid: u32,
        /// The last sequence that it was seen to have released; -1 if none.
        last_sequence: i64,
    },
    /// The deadline of the call passed while the ring was full, or a required consumer was missing. The report names
    /// the consumer to look at.
    #[error("timed out: {report}")]
    TimedOut {
        /// Which consumer held the ring back.
        report: Box<StallReport>,
    },
    /// The ring was replaced or removed. Build it again.
    #[error("the ring was replaced; build it again")]
    Replaced,
    /// The batch is larger than the ring. Publish it in parts, or make the ring larger.
    #[error(
        "a batch of {count} events does not fit into a ring of {capacity}; publish it in parts, or make the ring larger"
    )]
    TooLarge {
        /// Events in the batch.
        count: usize,
        /// Slots of the ring.
        capacity: usize,
    },
    /// The operating system refused to say whether a consumer lives, or to let the producer remove it. No conclusion
    /// was drawn. Try again.
    #[error("it is not known whether a consumer lives; try again: {report}")]
    Os {
        /// The awaited consumer, and what was refused.
        report: Box<StallReport>,
    },
    /// This process is a child of the one that owns the handle. A child has no handles; build your own.
    #[error("this handle belongs to the parent process; build a new one in this process")]
    Forked,
    /// A managed call without
    /// [`enable_required_consumer_liveness`](crate::ProducerEnd::enable_required_consumer_liveness). Call it first.
    #[error(
        "required-consumer liveness is not enabled on this producer; call `enable_required_consumer_liveness` first"
    )]
    NotEnabled,
}

impl RequiredConsumerError {
    /// Whether the ring was replaced: nothing can be published into it any more.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Replaced)
    }

    /// Whether the wait timed out: that of the call, or that of the start-up.
    pub fn is_timed_out(&self) -> bool {
        matches!(self, Self::TimedOut { .. } | Self::StartupTimeout { .. })
    }

    /// Whether an awaited or required consumer has no owner any more.
    pub fn is_peer_gone(&self) -> bool {
        matches!(self, Self::ConsumerDied { .. } | Self::ConsumerLeft { .. })
    }
}

/// How an end went, as the predicate of a sentence: the end is the subject.
pub(crate) fn went(how: Ending) -> &'static str {
    match how {
        Ending::Killed => "died",
        Ending::Dropped => "was dropped and has kept its entry",
        Ending::Panicked => "was dropped by a panic",
        Ending::Awaited => "has not come over from the ring before this one",
        Ending::Left => "has left",
        Ending::Unknown => "is not there any more, and how it went is not known",
    }
}
