//! How a new producer waits for consumers, and which consumers it waits for and counts.

use crate::ring::memory::layout::DEFAULT_MAX_CONSUMERS;
use std::time::Duration;

/// What a new producer does about consumers that have not joined yet.
///
/// In every mode, each consumer gates as soon as it has joined: the producer does not overwrite what that consumer has
/// not read.
///
/// ```
/// use disruptor_mp::{CoordinationMode, SharedDisruptorBuilder};
/// use std::time::Duration;
///
/// # let name = disruptor_mp::portable_shm_segment_name("doc");
/// let both = CoordinationMode::WaitForConsumers { min_consumers: 2, timeout: Duration::from_millis(1) };
/// // If they have not joined in time, this fails and leaves no ring: start the consumers, and build again.
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
        /// How many consumers to wait for, of those that the discovery mode selects: at least 1, and at most as many as
        /// it has entries for.
        min_consumers: usize,
        /// How long to wait. Zero looks once, [`Duration::MAX`] waits without end.
        timeout: Duration,
    },
    /// Publishes at once, and keeps the first `max_buffer` events until the expected consumers have joined. A consumer
    /// that joins before that starts with event 0. When the buffer is full, publishing waits, as on a full ring.
    BufferUntilConsumers {
        /// How many events to keep, at most as many as the ring has slots. For a ring of records: how many bytes. A
        /// record counts with its header of 16 bytes, rounded up to a multiple of 64.
        max_buffer: usize,
    },
}

/// Which consumers count for start-up coordination, for `get_consumer_count` and as required consumers. All consumers
/// gate, whatever the mode.
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
    /// The producer waits for no consumer, and counts all.
    Disabled,
    /// Consumers whose id begins with the prefix.
    Enabled {
        /// Entries in the ring's table for those consumers. If all of them are in use, the next such consumer gets
        /// `TableFull`. The table has four more entries for consumers with other ids. If those are in use, the next one
        /// gets `NoPlaceForOthers`. Without a prefix, all entries, with the four, are for any id; if all are in use,
        /// the next consumer gets `TableFull`.
        max_consumers: usize,
        /// The prefix of the ids. `None`: all ids. An empty prefix is refused.
        consumer_prefix: Option<String>,
        /// The pause between two looks at the table during start-up; zero: no pause. No pause is longer than a second
        /// or than the rest of the timeout. After start-up the producer does not scan the table.
        scan_interval: Duration,
    },
}

/// The pause between two looks of start-up coordination at the table.
pub const fn default_scan_interval_duration() -> Duration {
    Duration::from_millis(1)
}

/// How long start-up coordination waits unless the program sets another time.
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
