//! What a transport counts beside what its ring counts.
//!
//! **Lives here:** the handles of both ends. **Builds on:** `disruptor_mp::counters`. **May touch it:** the formats.

use disruptor_mp::counters::ids;
use disruptor_mp::{CounterHandle, CountersFile};

/// A sender's counters. See [`ids`] for what each counts.
pub(crate) struct SenderCounters {
    pub(crate) messages: CounterHandle,
    pub(crate) frames: CounterHandle,
    pub(crate) copied_bytes: CounterHandle,
}

impl SenderCounters {
    /// Registers every counter in `file`; one for which there is no room counts into the void.
    pub(crate) fn register(file: &CountersFile) -> Self {
        let register = |id| file.register(id, 0, "producer").unwrap_or_else(CounterHandle::detached);
        Self {
            messages: register(ids::FRAME_PUBLISH_TOTAL),
            frames: register(ids::FRAME_FRAGMENT_COUNT),
            copied_bytes: register(ids::FRAME_BYTES_COPIED),
        }
    }
}

/// A receiver's counters.
pub(crate) struct ReceiverCounters {
    pub(crate) reassembled: CounterHandle,
    pub(crate) copied_bytes: CounterHandle,
    pub(crate) skipped: CounterHandle,
}

impl ReceiverCounters {
    /// Registers every counter in `file` under `label`, that of the ring's own counters of this consumer.
    pub(crate) fn register(file: &CountersFile, label: &str) -> Self {
        let register = |id| file.register(id, 0, label).unwrap_or_else(CounterHandle::detached);
        Self {
            reassembled: register(ids::FRAME_REASSEMBLE_COUNT),
            copied_bytes: register(ids::FRAME_BYTES_COPIED),
            skipped: register(ids::FRAME_SKIPPED_COUNT),
        }
    }
}
