//! Building the ends of a ring of records.
//!
//! **Lives here:** [`SharedDisruptorBuilder::records`] and what it builds; every other choice is the builder's own. **Builds on:** `builder`.
//! **May touch it:** applications.

use super::consumer::RecordConsumer;
use super::producer::RecordProducer;
use crate::builder::SharedDisruptorBuilder;
use crate::error::{MultiProcessError, MultiProcessResult};
use crate::ring::memory::layout::{self, ShapeError};
use crate::ring::protocol::records::line::Lines;
use crate::ring::protocol::records::word::LINE_BYTES;
use crate::segment::{Place, SegmentPlan};

/// Bytes of a ring of records unless there is a reason for another size: room for a backlog, and for messages of 2 MiB that are written while
/// others are read.
pub const DEFAULT_RECORD_RING_BYTES: usize = 8 << 20;

/// Bytes of the smallest ring of records, a page: its lines are mapped twice in a row. Source: RFC 0006, "Layout".
pub const RECORD_RING_BYTES_MIN: usize = 4096;

impl SharedDisruptorBuilder<(), Lines> {
    /// An endpoint of the ring of records at `place` with `bytes` bytes, a power of two. A ring has at least a page: what is smaller than
    /// 4096 bytes is rounded up. A consumer that gives 0 takes what it finds. [`DEFAULT_RECORD_RING_BYTES`] is a good size.
    ///
    /// `max_buffer` of [`BufferUntilConsumers`](crate::CoordinationMode::BufferUntilConsumers) counts lines of 64 bytes here.
    ///
    /// ```
    /// use disruptor_mp::{Patience, SharedDisruptorBuilder};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let name = disruptor_mp::portable_shm_segment_name("doc");
    /// let mut producer = SharedDisruptorBuilder::records(&name, 1 << 20).build_record_producer()?;
    /// // Usually in another process:
    /// let mut consumer = SharedDisruptorBuilder::records(&name, 0).with_consumer_id("worker-0").build_record_consumer()?;
    ///
    /// producer.publish(b"step 7", 1, 0, Patience::Endless)?;
    ///
    /// // Written in place: claim, fill, commit what was used.
    /// let mut claim = producer.claim(64, Patience::Endless)?;
    /// claim[..4].copy_from_slice(b"more");
    /// claim.commit(4, 1, 0);
    ///
    /// let record = consumer.next(Patience::Endless)?.expect("`Endless` ends with a record or an error");
    /// assert_eq!((&record[..], record.kind(), record.sequence()), (&b"step 7"[..], 1, 0));
    /// drop(record); // acknowledges it
    /// # assert_eq!(&consumer.next(Patience::Now)?.unwrap()[..], b"more");
    /// # Ok(())
    /// # }
    /// ```
    pub fn records(place: impl Into<Place>, bytes: usize) -> Self {
        let mut builder = Self::of(place, lines_in(bytes));
        builder.record_bytes = bytes;
        builder
    }

    /// Builds the one producer of a ring of records: see [`build_producer`](Self::build_producer).
    ///
    /// # Errors
    /// See [`MultiProcessError`](crate::MultiProcessError). `Shape`: the size is not a power of two.
    pub fn build_record_producer(self) -> MultiProcessResult<RecordProducer> {
        let bytes = self.record_bytes;
        Ok(RecordProducer::new(self.producer_end::<Lines>().map_err(|error| built_in_bytes(error, bytes))?))
    }

    /// Attaches a consumer to a ring of records that exists.
    ///
    /// # Errors
    /// See [`MultiProcessError`](crate::MultiProcessError). `Shape`: a size was given that no ring of records has.
    pub fn build_record_consumer(self) -> MultiProcessResult<RecordConsumer> {
        let bytes = self.record_bytes;
        Ok(RecordConsumer::new(self.consumer_end::<Lines>().map_err(|error| built_in_bytes(error, bytes))?))
    }
}

/// How many bytes a ring of records would need, section by section, before anything is created. Less than 4096 bytes are rounded up to
/// that, as in [`SharedDisruptorBuilder::records`].
///
/// # Errors
/// [`ShapeError`] says which number cannot be.
pub fn plan_records(bytes: usize, max_consumers: usize) -> Result<SegmentPlan, ShapeError> {
    layout::plan_for::<Lines>(lines_in(bytes), max_consumers).map_err(|shape| in_bytes(shape, bytes))
}

/// The error of a build, with what is wrong with the size in the unit in which it was asked for.
fn built_in_bytes(error: MultiProcessError, bytes: usize) -> MultiProcessError {
    match error {
        MultiProcessError::Shape(shape) => in_bytes(shape, bytes).into(),
        error => error,
    }
}

fn in_bytes(shape: ShapeError, bytes: usize) -> ShapeError {
    match shape {
        ShapeError::Capacity { .. } => ShapeError::RecordBytes { bytes },
        shape => shape,
    }
}

/// Lines of a ring of `bytes` bytes. A size that is no number of lines comes out as one that is refused, with the others that are no powers
/// of two.
fn lines_in(bytes: usize) -> usize {
    match bytes {
        1..RECORD_RING_BYTES_MIN => RECORD_RING_BYTES_MIN / LINE_BYTES,
        _ if bytes.is_multiple_of(LINE_BYTES) => bytes / LINE_BYTES,
        _ => usize::MAX,
    }
}
