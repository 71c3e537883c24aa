//! A record that is read in place. A lease borrows its consumer, so there is one at a time.

use super::held::HeldRecord;
use crate::Sequence;
use crate::ring::ends::consumer_side::ConsumerSide;
use crate::ring::protocol::records::line::Lines;
use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::Deref;

/// The metadata of a record: handlers get it with the bytes.
///
/// ```
/// # use disruptor_mp::{Patience, SharedDisruptorBuilder};
/// # let name = disruptor_mp::portable_shm_segment_name("doc");
/// # let mut producer = SharedDisruptorBuilder::records(&name, 4096).build_record_producer()?;
/// # let mut consumer = SharedDisruptorBuilder::records_at(&name).build_record_consumer()?;
/// # producer.publish(b"step 7", 1, 0, Patience::Now)?;
/// let count = consumer.process_available(|bytes, meta| {
///     println!("record {} of kind {}: {} bytes", meta.sequence, meta.kind, bytes.len());
/// });
/// assert_eq!(count, 1);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordMeta {
    /// Its number in the ring, from 0.
    pub sequence: Sequence,
    /// The kind that the producer gave the record; the application says what it means.
    pub kind: u8,
    /// The flags that the producer gave the record; the application says what they mean.
    pub flags: u8,
    /// How often it has been handed out without being acknowledged, as far as is known.
    pub redeliveries: u32,
}

/// The metadata of a record that a consumer has or that is held: its field `meta`.
macro_rules! meta_methods {
    () => {
        /// Its number in the ring, from 0.
        pub fn sequence(&self) -> $crate::Sequence {
            self.meta.sequence
        }

        /// The application's kind.
        pub fn kind(&self) -> u8 {
            self.meta.kind
        }

        /// The application's flags.
        pub fn flags(&self) -> u8 {
            self.meta.flags
        }

        /// Whether this record may have been handed out before, to a consumer of this id that died before it
        /// acknowledged it, or that gave it back.
        pub fn is_redelivered(&self) -> bool {
            self.redeliveries() > 0
        }

        /// How often this record has been handed out without being acknowledged, as far as is known.
        pub fn redeliveries(&self) -> u32 {
            self.meta.redeliveries
        }
    };
}
pub(super) use meta_methods;

/// One record, in the ring, aligned to 16. Dropping the lease acknowledges it. While a panic unwinds, dropping does not
/// acknowledge it, and the record is handed out again.
///
/// ```
/// use disruptor_mp::{Patience, SharedDisruptorBuilder};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let name = disruptor_mp::portable_shm_segment_name("doc");
/// # let mut producer = SharedDisruptorBuilder::records(&name, 4096).build_record_producer()?;
/// # let mut consumer = SharedDisruptorBuilder::records_at(&name).build_record_consumer()?;
/// # producer.publish(b"step 7", 1, 0, Patience::Now)?;
/// // A worker that must stop while it has a record gives the record back: its successor gets it.
/// let stops = true;
/// if let Some(record) = consumer.next(Patience::Endless)? {
///     assert_eq!((&record[..], record.kind(), record.sequence()), (&b"step 7"[..], 1, 0));
///     if stops {
///         record.release_unread();
///     } // otherwise it is acknowledged here
/// }
/// # assert_eq!(consumer.next(Patience::Now)?.map(|record| record.sequence()), Some(0));
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping a lease acknowledges its record"]
pub struct RecordLease<'a> {
    bytes: &'a [u8],
    meta: RecordMeta,
    consumer: &'a mut ConsumerSide<Lines>,
    /// Where the record begins, and where the next one begins; equal if the record must not be acknowledged.
    span: (i64, i64),
    /// Whether a panic was under way when the lease began: then it is not ours, and dropping acknowledges as usual.
    was_panicking: bool,
}

impl<'a> RecordLease<'a> {
    #[inline(always)]
    pub(super) fn new(
        consumer: &'a mut ConsumerSide<Lines>,
        bytes: &'a [u8],
        meta: RecordMeta,
        span: (i64, i64),
    ) -> Self {
        Self { bytes, meta, consumer, span, was_panicking: std::thread::panicking() }
    }

    /// A lease of the record at `begin` for a handler, which has it while it runs. The caller of the handler
    /// acknowledges the record. Dropping the lease would do nothing, so it need not be in memory.
    #[inline(always)]
    pub(super) fn lent(
        consumer: &'a mut ConsumerSide<Lines>,
        bytes: &'a [u8],
        meta: RecordMeta,
        begin: i64,
    ) -> ManuallyDrop<Self> {
        ManuallyDrop::new(Self { bytes, meta, consumer, span: (begin, begin), was_panicking: false })
    }

    /// The consumer that it borrows.
    pub(super) fn consumer(&self) -> &ConsumerSide<Lines> {
        self.consumer
    }

    meta_methods!();

    /// Takes the record out of the consumer: it is then acknowledged by [`HeldRecord::release`], from any thread, while
    /// newer ones are received.
    pub fn hold(mut self) -> HeldRecord {
        let (begin, end) = self.span;
        let holding = self.consumer.hold(end, 1, self.bytes.len() as u64, begin);
        // Dropping this acknowledges nothing any more.
        self.span.1 = begin;
        HeldRecord::new(holding, self.bytes.len(), self.meta)
    }

    /// The record's metadata.
    #[inline(always)]
    pub(super) fn meta(&self) -> RecordMeta {
        self.meta
    }

    /// Gives the record back without acknowledging it: the next call returns it again.
    pub fn release_unread(mut self) {
        self.consumer.note_given_back(self.span.0, self.span.1);
        self.span.1 = self.span.0;
    }
}

impl Deref for RecordLease<'_> {
    type Target = [u8];

    #[inline(always)]
    fn deref(&self) -> &[u8] {
        self.bytes
    }
}

impl Drop for RecordLease<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.span.1 > self.span.0 {
            self.consumer.acknowledge(self.span.1, 1, self.bytes.len() as u64, self.was_panicking, self.span.0);
        }
    }
}

impl fmt::Debug for RecordLease<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RecordMeta { sequence, kind, flags, redeliveries } = self.meta;
        f.debug_struct("RecordLease")
            .field("sequence", &sequence)
            .field("kind", &kind)
            .field("flags", &flags)
            .field("redeliveries", &redeliveries)
            .field("len_bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}
