//! The counters of a transport, in addition to those of its ring.

use disruptor_mp::__private::ends::{HasConsumer, HasProducer};
use disruptor_mp::CounterHandle;
use disruptor_mp::counters::ids;

/// A sender's counters. See [`ids`] for what each counts.
pub(crate) struct SenderCounters {
    pub(crate) messages: CounterHandle,
    pub(crate) frames: CounterHandle,
    pub(crate) copied_bytes: CounterHandle,
}

impl SenderCounters {
    /// The counters of `producer` in the place where it counts now.
    pub(crate) fn of(producer: &impl HasProducer) -> Self {
        Self {
            messages: producer.counter(ids::FRAME_PUBLISH_TOTAL),
            frames: producer.counter(ids::FRAME_FRAGMENT_COUNT),
            copied_bytes: producer.counter(ids::FRAME_BYTES_COPIED),
        }
    }
}

impl SenderCounters {
    /// A message was sent, as `frames` frames or one record; `copied_bytes` bytes of it were copied on the way.
    #[inline(always)]
    pub(super) fn count(&self, frames: usize, copied_bytes: usize) {
        self.messages.inc();
        self.frames.add(frames as u64);
        // A message that was encoded in the ring was not copied.
        if copied_bytes > 0 {
            self.copied_bytes.add(copied_bytes as u64);
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
    /// The counters of `consumer` in the place where it counts now.
    pub(crate) fn of(consumer: &impl HasConsumer) -> Self {
        Self {
            reassembled: consumer.counter(ids::FRAME_REASSEMBLE_COUNT),
            copied_bytes: consumer.counter(ids::FRAME_BYTES_COPIED),
            skipped: consumer.counter(ids::FRAME_SKIPPED_COUNT),
        }
    }
}
