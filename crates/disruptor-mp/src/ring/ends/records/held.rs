//! Held records: taken out of a consumer, and released from any thread, in any order. They may outlive their consumer.

use super::found::Walk;
use super::lease::{RecordMeta, meta_methods};
use crate::Sequence;
use crate::ring::ends::keeper::Holding;
use crate::ring::ends::messages::Release;
use crate::ring::protocol::records::line::Lines;
use std::fmt;
use std::ops::Deref;

/// One record, in place, as long as it is needed, in any thread. [`release`](Self::release) acknowledges it; dropping
/// it gives it back. See [`HeldEvent`](crate::HeldEvent).
///
/// ```
/// # use disruptor_mp::{Patience, SharedDisruptorBuilder};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let name = disruptor_mp::portable_shm_segment_name("doc");
/// let mut producer = SharedDisruptorBuilder::records(&name, 4096).build_record_producer()?;
/// let mut consumer = SharedDisruptorBuilder::records(&name, 0).build_record_consumer()?;
/// producer.publish(b"a step", 0, 0, Patience::Endless)?;
///
/// let record = consumer.next_held(Patience::Endless)?.expect("an endless wait ends with a record or an error");
/// let len = std::thread::spawn(move || {
///     let len = record.len();
///     record.release();
///     len
/// });
/// assert_eq!(len.join().expect("the worker has not panicked"), 6);
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping a held record gives it back"]
pub struct HeldRecord {
    holding: Holding<Lines>,
    len_bytes: usize,
    meta: RecordMeta,
}

impl HeldRecord {
    pub(super) fn new(holding: Holding<Lines>, len_bytes: usize, meta: RecordMeta) -> Self {
        Self { holding, len_bytes, meta }
    }

    /// Its metadata.
    pub fn meta(&self) -> RecordMeta {
        self.meta
    }

    meta_methods!();

    /// Acknowledges the record.
    pub fn release(self) {
        self.holding.release();
    }
}

impl Release for HeldRecord {
    fn release(self) {
        self.release();
    }
}

impl Deref for HeldRecord {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the lease from which this was made has checked that these bytes are in the ring, and has seen them
        // committed (Acquire). The producer does not write them: the gate of the consumer's entry is not beyond a held
        // record, and moves beyond this one only when `holding` is dropped. As long as `holding` lives, so do the
        // entry, its lock and the mapping.
        unsafe { self.holding.memory().record(self.holding.begin(), self.len_bytes).as_ref() }
    }
}

impl fmt::Debug for HeldRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldRecord")
            .field("meta", &self.meta)
            .field("len_bytes", &self.len_bytes)
            .finish_non_exhaustive()
    }
}

/// Several consecutive records that are held as one message: see [`HeldRecord`]. They are released together, and are
/// handed out again together.
///
/// ```
/// # use disruptor_mp::{Patience, SharedDisruptorBuilder};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let name = disruptor_mp::portable_shm_segment_name("doc");
/// # let mut producer = SharedDisruptorBuilder::records(&name, 4096).build_record_producer()?;
/// # let mut consumer = SharedDisruptorBuilder::records_at(&name).build_record_consumer()?;
/// # for word in ["one", "two", "three"] {
/// #     producer.publish(word.as_bytes(), 7, 0, Patience::Now)?;
/// # }
/// let batch = consumer.next_batch(64, Patience::Endless)?.expect("`Endless` ends with records or an error").hold();
/// let bytes = std::thread::spawn(move || {
///     let bytes: usize = batch.iter().map(|(bytes, _)| bytes.len()).sum();
///     batch.release();
///     bytes
/// });
/// assert_eq!(bytes.join().unwrap(), "onetwothree".len());
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping a held batch gives it back"]
pub struct HeldRecordBatch {
    holding: Holding<Lines>,
    first: Sequence,
    count: usize,
    /// Where the last of them ends.
    end: i64,
    redeliveries: u32,
}

impl HeldRecordBatch {
    pub(super) fn new(holding: Holding<Lines>, first: Sequence, count: usize, end: i64, redeliveries: u32) -> Self {
        Self { holding, first, count, end, redeliveries }
    }

    /// Number of records; at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a batch is never empty")]
    pub fn len(&self) -> usize {
        self.count
    }

    /// The sequence of the first record; those of the others follow.
    pub fn first_sequence(&self) -> Sequence {
        self.first
    }

    /// The records in order, with the metadata of each; [redeliveries](RecordMeta::redeliveries) of each are those of
    /// the first. If words of the ring are damaged meanwhile, it ends early.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], RecordMeta)> {
        let walk = Walk::new(self.holding.memory(), (self.holding.begin(), self.end), self.first);
        walk.map(|(_, bytes, meta)| {
            // SAFETY: as for `HeldRecord`, with `look_in`, which has checked just now that they are in the ring; all of
            // them are held together.
            (unsafe { bytes.as_ref() }, RecordMeta { redeliveries: self.redeliveries, ..meta })
        })
    }

    /// How often the first record was handed out without being acknowledged, as far as is known.
    pub fn redeliveries(&self) -> u32 {
        self.redeliveries
    }

    /// Acknowledges all of them.
    pub fn release(self) {
        self.holding.release();
    }
}

impl Release for HeldRecordBatch {
    fn release(self) {
        self.release();
    }
}

impl fmt::Debug for HeldRecordBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = self.first..self.first + self.count as Sequence;
        f.debug_struct("HeldRecordBatch").field("sequences", &numbers).finish_non_exhaustive()
    }
}
