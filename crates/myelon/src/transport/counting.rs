//! What a transport counts beside what its ring counts.
//!
//! **Lives here:** the handles of both ends, and what a sender counts in them. **Builds on:** `disruptor_mp::counters`.
//! **May touch it:** the formats.

use disruptor_mp::__private::ends::{HasConsumer, HasProducer};
use disruptor_mp::counters::ids;
use disruptor_mp::{CounterHandle, Sequence};

/// A sender's counters. See [`ids`] for what each counts.
pub(crate) struct SenderCounters {
    pub(crate) messages: CounterHandle,
    pub(crate) frames: CounterHandle,
    pub(crate) copied_bytes: CounterHandle,
}

impl SenderCounters {
    /// Those of `producer`, wherever it counts now.
    pub(crate) fn of(producer: &impl HasProducer) -> Self {
        Self {
            messages: producer.counter(ids::FRAME_PUBLISH_TOTAL),
            frames: producer.counter(ids::FRAME_FRAGMENT_COUNT),
            copied_bytes: producer.counter(ids::FRAME_BYTES_COPIED),
        }
    }
}

/// A message that was put into a ring.
#[derive(Debug)]
pub struct Put {
    pub(super) sequence: Sequence,
    pub(super) frames: usize,
    /// Bytes that were copied on the way.
    pub(super) copied_bytes: usize,
}

impl SenderCounters {
    #[inline(always)]
    pub(super) fn count(&self, put: &Put) {
        self.messages.inc();
        self.frames.add(put.frames as u64);
        self.copied_bytes.add(put.copied_bytes as u64);
    }
}

/// What of a batch is not counted yet.
#[derive(Default)]
pub(super) struct Uncounted {
    messages: u64,
    frames: u64,
    copied_bytes: u64,
}

impl Uncounted {
    #[inline(always)]
    pub(super) fn add(&mut self, put: &Put) {
        self.messages += 1;
        self.frames += put.frames as u64;
        self.copied_bytes += put.copied_bytes as u64;
    }

    #[inline]
    pub(super) fn count_in(&self, counters: &SenderCounters) {
        counters.messages.add(self.messages);
        counters.frames.add(self.frames);
        counters.copied_bytes.add(self.copied_bytes);
    }
}

/// A receiver's counters.
pub(crate) struct ReceiverCounters {
    pub(crate) reassembled: CounterHandle,
    pub(crate) copied_bytes: CounterHandle,
    pub(crate) skipped: CounterHandle,
}

impl ReceiverCounters {
    /// Those of `consumer`, wherever it counts now.
    pub(crate) fn of(consumer: &impl HasConsumer) -> Self {
        Self {
            reassembled: consumer.counter(ids::FRAME_REASSEMBLE_COUNT),
            copied_bytes: consumer.counter(ids::FRAME_BYTES_COPIED),
            skipped: consumer.counter(ids::FRAME_SKIPPED_COUNT),
        }
    }
}
