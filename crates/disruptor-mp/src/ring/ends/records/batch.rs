//! Several records that become visible together.

use super::claim::RecordClaim;
use super::error::RecordError;
use super::producer::{RecordProducer, Tell, most};
use crate::Sequence;
use crate::ring::ends::patience::Patience;
use std::fmt;

/// Several records with one wake-up: readers that sleep are woken when the batch is dropped, or when a call inside it
/// has to wait. A reader that is awake gets each record as soon as it is committed.
///
/// It saves a look for sleepers for each record but one, and a system call where they sleep. If the batch is forgotten
/// (`std::mem::forget`), the producer's next call wakes them.
///
/// ```
/// use disruptor_mp::{Patience, SharedDisruptorBuilder};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let name = disruptor_mp::portable_shm_segment_name("doc");
/// # let mut producer = SharedDisruptorBuilder::records(&name, 4096).build_record_producer()?;
/// # let mut consumer = SharedDisruptorBuilder::records_at(&name).build_record_consumer()?;
/// let mut batch = producer.batch();
/// for token in ["the", "next", "tokens"] {
///     batch.publish(token.as_bytes(), 0, 0, Patience::Endless)?;
/// }
/// drop(batch); // wakes the readers that sleep
/// # drop(producer);
/// # let mut text = vec![];
/// # while let Some(record) = consumer.next_or_end(Patience::Endless)? { text.push(record.len()); }
/// # assert_eq!(text, [3, 4, 6]);
/// # Ok(())
/// # }
/// ```
pub struct RecordBatch<'a> {
    pub(super) producer: &'a mut RecordProducer,
}

impl<'a> RecordBatch<'a> {
    #[inline(always)]
    pub(super) fn new(producer: &'a mut RecordProducer) -> Self {
        Self { producer }
    }

    /// See [`RecordProducer::publish`].
    ///
    /// # Errors
    /// See [`RecordError`]; what was published before stays published.
    #[inline(always)]
    pub fn publish(
        &mut self,
        payload: &[u8],
        kind: u8,
        flags: u8,
        patience: impl Into<Patience>,
    ) -> Result<Sequence, RecordError> {
        self.producer.publish_telling(payload, kind, flags, &patience.into(), Tell::WithBatch)
    }

    /// See [`RecordProducer::claim`].
    ///
    /// # Errors
    /// See [`RecordError`].
    #[inline(always)]
    pub fn claim(&mut self, len: usize, patience: impl Into<Patience>) -> Result<RecordClaim<'_>, RecordError> {
        self.producer.claim_telling(len, &patience.into(), Tell::WithBatch)
    }

    /// See [`RecordProducer::claim_at_least`].
    ///
    /// # Errors
    /// See [`RecordError`].
    #[inline(always)]
    pub fn claim_at_least(
        &mut self,
        min: usize,
        max: usize,
        patience: impl Into<Patience>,
    ) -> Result<RecordClaim<'_>, RecordError> {
        self.producer.claim_at_least_telling(min, most(min, max), &patience.into(), Tell::WithBatch)
    }

    /// See [`RecordProducer::try_claim_at_least`].
    ///
    /// # Errors
    /// See [`RecordError`].
    #[inline(always)]
    pub fn try_claim_at_least(
        &mut self,
        min: usize,
        max: usize,
        patience: impl Into<Patience>,
    ) -> Result<Option<RecordClaim<'_>>, RecordError> {
        self.producer.try_claim_at_least_telling(min, most(min, max), &patience.into(), Tell::WithBatch)
    }
}

impl Drop for RecordBatch<'_> {
    #[inline]
    fn drop(&mut self) {
        self.producer.publish_batch();
    }
}

impl fmt::Debug for RecordBatch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordBatch").field("producer", self.producer).finish()
    }
}
