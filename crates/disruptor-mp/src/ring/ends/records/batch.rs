//! Several records, announced together.
//!
//! **Lives here:** [`RecordBatch`]. **Builds on:** `producer`. **May touch it:** the application.

use super::claim::RecordClaim;
use super::error::RecordError;
use super::producer::{RecordProducer, Tell};
use crate::Sequence;
use crate::ring::ends::patience::Patience;
use std::fmt;

/// Records that wake who sleeps once, when the batch is dropped, or when a call inside it has to wait. A reader that is
/// awake gets each as soon as it is committed. Of a batch that is forgotten, the producer's next call tells.
pub struct RecordBatch<'a> {
    producer: &'a mut RecordProducer,
}

impl<'a> RecordBatch<'a> {
    pub(super) fn new(producer: &'a mut RecordProducer) -> Self {
        Self { producer }
    }

    /// See [`RecordProducer::publish`].
    ///
    /// # Errors
    /// See [`RecordError`]; what was published before stays published.
    #[inline]
    pub fn publish(
        &mut self,
        payload: &[u8],
        kind: u8,
        flags: u8,
        patience: Patience,
    ) -> Result<Sequence, RecordError> {
        self.producer.publish_telling(payload, kind, flags, patience, Tell::WithBatch)
    }

    /// See [`RecordProducer::claim`].
    ///
    /// # Errors
    /// See [`RecordError`].
    #[inline]
    pub fn claim(&mut self, len: usize, patience: Patience) -> Result<RecordClaim<'_>, RecordError> {
        self.producer.claim_telling(len, patience, Tell::WithBatch)
    }

    /// See [`RecordProducer::claim_at_least`].
    ///
    /// # Errors
    /// See [`RecordError`].
    #[inline]
    pub fn claim_at_least(
        &mut self,
        min: usize,
        max: usize,
        patience: Patience,
    ) -> Result<RecordClaim<'_>, RecordError> {
        self.producer.claim_at_least_telling(min, max, patience, Tell::WithBatch)
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
