//! Several records that are read in place and acknowledged together. A lease borrows its consumer, so there is one at a
//! time.

use super::found::Walk;
use super::held::HeldRecordBatch;
use super::lease::RecordMeta;
use crate::Sequence;
use crate::ring::ends::consumer_side::ConsumerSide;
use crate::ring::protocol::records::line::Lines;
use std::fmt;

/// Several consecutive records, in the ring, acknowledged together when the lease is dropped. Not while a panic
/// unwinds: then all of them are handed out again, one at a time.
///
/// Nothing of a lease is acknowledged before it is dropped, however long its records take: see
/// [`BatchLease`](crate::BatchLease), which is the same for events. Redelivered records come in batches of one.
///
/// ```
/// use disruptor_mp::{Patience, SharedDisruptorBuilder};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let name = disruptor_mp::portable_shm_segment_name("doc-batch");
/// let mut producer = SharedDisruptorBuilder::records(&name, 4096).build_record_producer()?;
/// let mut consumer = SharedDisruptorBuilder::records_at(&name).build_record_consumer()?;
/// for word in ["one", "two", "three"] {
///     producer.publish(word.as_bytes(), 7, 0, Patience::Now)?;
/// }
/// let batch = consumer.next_batch(64, Patience::Endless)?.expect("an endless wait ends with records or an error");
/// assert_eq!((batch.len(), batch.first_sequence()), (3, 0));
/// for (bytes, meta) in batch.iter() {
///     println!("record {} of kind {}: {} bytes", meta.sequence, meta.kind, bytes.len());
/// }
/// batch.release_first(2); // "three" is handed out again
/// assert_eq!(consumer.next(Patience::Now)?.as_deref(), Some(&b"three"[..]));
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping a lease acknowledges its records"]
pub struct RecordBatchLease<'a> {
    consumer: &'a mut ConsumerSide<Lines>,
    span: Span,
    /// Whether a panic was under way when the lease began: then it is not ours, and dropping acknowledges as usual.
    was_panicking: bool,
}

/// Some consecutive records from a consumer's position on.
#[derive(Clone, Copy)]
pub(super) struct Span {
    count: usize,
    bytes: u64,
    /// Where the last of them begins, and where the next record begins.
    last: i64,
    end: i64,
}

impl Span {
    /// At most `max` of the records that a look has found.
    pub(super) fn of(consumer: &ConsumerSide<Lines>, max: usize) -> Self {
        let mut walk = Walk::of(consumer, consumer.core.readable());
        let begin = consumer.core.next();
        let mut span = Self { count: 0, bytes: 0, last: begin, end: begin };
        while span.count < max
            && let Some((last, bytes, _)) = walk.next()
        {
            span = Self { count: span.count + 1, bytes: span.bytes + bytes.len() as u64, last, end: walk.position() };
        }
        span
    }

    /// Whether there is no record: nothing but padding, or damage.
    pub(super) fn is_empty(self) -> bool {
        self.count == 0
    }
}

impl<'a> RecordBatchLease<'a> {
    /// The caller has found `span`, which is not empty.
    pub(super) fn new(consumer: &'a mut ConsumerSide<Lines>, span: Span) -> Self {
        consumer.core.deliver_to(span.end);
        Self { consumer, span, was_panicking: std::thread::panicking() }
    }

    /// Number of records; at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a batch is never empty")]
    pub fn len(&self) -> usize {
        self.span.count
    }

    /// The sequence of the first record; those of the others follow.
    pub fn first_sequence(&self) -> Sequence {
        self.consumer.core.number_found()
    }

    /// The records in order, with the metadata of each. If words of the ring are damaged meanwhile, it ends early.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], RecordMeta)> {
        Walk::of(self.consumer, self.span.end).map(|(begin, bytes, meta)| {
            let redeliveries = self.consumer.redelivery_of(begin);
            // SAFETY: `look_in` has checked that they are in the ring. They were committed before a look found them
            // (Acquire), and our gate, which keeps the producer off them, advances only through `&mut` of the consumer,
            // which is borrowed as long. The memory is mapped as long as the consumer lives.
            (unsafe { bytes.as_ref() }, RecordMeta { redeliveries, ..meta })
        })
    }

    /// Takes all of them out of the consumer, as one message: they are acknowledged by [`HeldRecordBatch::release`],
    /// from any thread, while newer ones are received. If what is after the last record is damaged, that record is left
    /// to the next call.
    ///
    /// # Panics
    /// If there are more than 65 536.
    pub fn hold(mut self) -> HeldRecordBatch {
        let whole = self.span;
        if whole.count > 1 && !self.consumer.core.leads_to(whole.end, whole.count as i64) {
            self.span = Span::of(self.consumer, whole.count - 1);
            self.consumer.note_given_back(self.span.end, whole.end);
        }
        let (first, redeliveries) = (self.first_sequence(), self.consumer.redelivery_of(self.consumer.core.next()));
        // Dropping this acknowledges nothing any more.
        let Span { count, bytes, last, end } = std::mem::replace(&mut self.span, Span { count: 0, ..whole });
        HeldRecordBatch::new(self.consumer.hold(end, count, bytes, last), first, count, end, redeliveries)
    }

    /// Acknowledges only the first `count` records; the next call returns the others again.
    ///
    /// # Panics
    /// If `count` is more than [`len`](Self::len).
    pub fn release_first(mut self, count: usize) {
        assert!(count <= self.len(), "released {count} of a batch of {}", self.len());
        let delivered = self.span.end;
        self.span = Span::of(self.consumer, count);
        self.consumer.note_given_back(self.span.end, delivered);
    }
}

impl Drop for RecordBatchLease<'_> {
    fn drop(&mut self) {
        let Span { count, bytes, last, end } = self.span;
        if count > 0 {
            self.consumer.acknowledge(end, count as u64, bytes, self.was_panicking, last);
        }
    }
}

impl fmt::Debug for RecordBatchLease<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordBatchLease")
            .field("first_sequence", &self.first_sequence())
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
