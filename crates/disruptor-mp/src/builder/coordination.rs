//! What a new producer does about consumers that have not joined yet, and which consumers it looks at.

use crate::ring::memory::layout::DEFAULT_MAX_CONSUMERS;
use std::time::Duration;

/// What a new producer does about consumers that have not joined yet.
///
/// In every mode, every registered consumer gates from the moment its join is complete.
///
/// ```
/// use disruptor_mp::{CoordinationMode, SharedDisruptorBuilder};
/// use std::time::Duration;
///
/// # let name = disruptor_mp::portable_shm_segment_name("doc");
/// let both = CoordinationMode::WaitForConsumers { min_consumers: 2, timeout: Duration::from_millis(1) };
/// // Fails if they have not joined in time, and leaves nothing: start them, and build again.
/// let producer = SharedDisruptorBuilder::<u64>::new(&name, 1024).with_coordination(both).build_producer(|| 0);
/// assert!(producer.is_err_and(|error| error.is_timed_out()));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum CoordinationMode {
    /// Publishes at once. While no consumer is registered the ring overwrites its oldest events and counts them
    /// ([`OVERWRITTEN_UNREAD`](crate::counters::ids::OVERWRITTEN_UNREAD)); the first reader gets the events that are
    /// still there, see [`StartAt::Unread`](crate::StartAt::Unread).
    #[default]
    Immediate,
    /// `build_producer` returns once this many consumers have joined, or fails with `CoordinationTimeout`.
    WaitForConsumers {
        /// How many of the consumers that the discovery mode selects: at least 1, at most its entries.
        min_consumers: usize,
        /// How long to wait. Zero looks once, [`Duration::MAX`] waits without end.
        timeout: Duration,
    },
    /// Publishes at once, and holds the first `max_buffer` events until the expected consumers have joined; one
    /// that joins before that starts with event 0. A full buffer is a full ring: publishing waits.
    BufferUntilConsumers {
        /// How many events to hold, at most the ring's slots. For a ring of records, how many bytes: those of its
        /// records, each with its header of 16 bytes and rounded up to 64.
        max_buffer: usize,
    },
}

/// Which consumers start-up coordination, `get_consumer_count` and the required set look at. It does not change which
/// consumers gate: all do.
///
/// ```
/// use disruptor_mp::{SharedConsumer, SharedDisruptorBuilder};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let name = disruptor_mp::portable_shm_segment_name("doc");
/// // Two entries for ids that begin with "worker"; only those are counted.
/// let ring = SharedDisruptorBuilder::<u64>::new(&name, 8).discover_consumer_with_prefix(2, "worker");
/// let producer = ring.build_producer(|| 0)?;
/// let worker = SharedConsumer::<u64>::attach(&name, 8, "worker-0")?;
/// let logger = SharedConsumer::<u64>::attach(&name, 8, "logger")?;
/// assert_eq!((producer.get_consumer_count(), producer.consumers().len()), (1, 2));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum DiscoveryMode {
    /// No consumer is waited for; all are counted.
    Disabled,
    /// Consumers whose id begins with the prefix.
    Enabled {
        /// Entries in the ring's table for those consumers; one more of them gets `TableFull`. The table has four more
        /// entries for consumers with other ids; one more of those gets `NoPlaceForOthers`. Without a prefix all
        /// entries are for any id: the fifth beyond this number gets `TableFull`.
        max_consumers: usize,
        /// Only ids with this prefix; `None`: all. An empty prefix is refused.
        consumer_prefix: Option<String>,
        /// How often start-up looks; zero looks without a pause. No pause is longer than a second or than the rest of
        /// the timeout. After start-up nothing is scanned.
        scan_interval: Duration,
    },
}

/// How often start-up coordination looks at the table.
pub const fn default_scan_interval_duration() -> Duration {
    Duration::from_millis(1)
}

/// How long start-up coordination waits unless told otherwise.
pub const fn default_coordination_timeout_duration() -> Duration {
    Duration::from_secs(15)
}

impl Default for DiscoveryMode {
    fn default() -> Self {
        Self::Enabled {
            max_consumers: DEFAULT_MAX_CONSUMERS,
            consumer_prefix: None,
            scan_interval: default_scan_interval_duration(),
        }
    }
}
