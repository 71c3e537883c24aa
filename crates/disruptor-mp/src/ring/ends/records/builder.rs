//! Builds the ends of a ring of records. Every choice that does not concern records is made in the builder for all
//! rings.

use super::consumer::{RecordConsumer, Then};
use super::lease::RecordMeta;
use super::producer::RecordProducer;
use super::tap::RecordTap;
use crate::builder::SharedDisruptorBuilder;
use crate::error::{MultiProcessError, MultiProcessResult};
use crate::ring::ends::auto::AutoConsumer;
use crate::ring::memory::record_size::{self, DEFAULT_RECORD_RING_BYTES};
use crate::ring::protocol::records::line::Lines;
use crate::segment::Place;

impl SharedDisruptorBuilder<(), Lines> {
    /// An endpoint of the ring of records at `place` with `bytes` bytes; a consumer that gives 0 takes the ring as it
    /// is.
    ///
    /// Any size is accepted. It is rounded up to the next power of two, at least a page;
    /// [`plan_records`](crate::plan_records) tells the result. Two sizes with the same result are equal.
    /// [`record_ring_bytes`](crate::record_ring_bytes) says how large a ring must be, and
    /// [`records_in_flight`](crate::records_in_flight) how many records one takes.
    ///
    /// ```
    /// use disruptor_mp::{Patience, SharedDisruptorBuilder};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let name = disruptor_mp::portable_shm_segment_name("doc");
    /// let mut producer = SharedDisruptorBuilder::records(&name, 1 << 20).build_record_producer()?;
    /// // Usually in another process:
    /// let builder = SharedDisruptorBuilder::records_at(&name).with_consumer_id("worker-0");
    /// let mut consumer = builder.build_record_consumer()?;
    ///
    /// producer.publish(b"step 7", 1, 0, Patience::Endless)?;
    ///
    /// // Written in place: claim, fill, commit what was used.
    /// let mut claim = producer.claim(64, Patience::Endless)?;
    /// claim[..4].copy_from_slice(b"more");
    /// claim.commit(4, 1, 0);
    ///
    /// if let Some(record) = consumer.next(Patience::Endless)? {
    ///     assert_eq!((&record[..], record.kind(), record.sequence()), (&b"step 7"[..], 1, 0));
    /// } // the lease is dropped here, which acknowledges the record
    /// # assert_eq!(&consumer.next(Patience::Now)?.unwrap()[..], b"more");
    /// # Ok(())
    /// # }
    /// ```
    pub fn records(place: impl Into<Place>, bytes: usize) -> Self {
        let mut builder = Self::of(place, record_size::lines_in(bytes));
        builder.settings.record_bytes = Some(bytes);
        builder
    }

    /// An endpoint of the ring of records at `place`, without a size: a consumer takes the ring as it is, and a
    /// producer creates one of [`DEFAULT_RECORD_RING_BYTES`].
    pub fn records_at(place: impl Into<Place>) -> Self {
        Self::of(place, 0)
    }

    /// Builds the one producer of a ring of records: see [`build_producer`](Self::build_producer).
    ///
    /// # Errors
    /// See [`MultiProcessError`](crate::MultiProcessError). `Shape`: no ring of records has that size.
    pub fn build_record_producer(mut self) -> MultiProcessResult<RecordProducer> {
        let bytes = self.settings.record_bytes.unwrap_or(DEFAULT_RECORD_RING_BYTES);
        self.settings.capacity = record_size::lines_in(bytes);
        let via = self.settings.via.overridden()?;
        let end = self.producer_end::<Lines>().map_err(|error| built_in_bytes(error, bytes))?;
        Ok(RecordProducer::new(end, via))
    }

    /// Attaches a consumer to a ring of records that exists.
    ///
    /// # Errors
    /// See [`MultiProcessError`](crate::MultiProcessError). `OtherSize`: the ring has another size than the one given;
    /// `Shape`: no ring of records has the one given.
    pub fn build_record_consumer(self) -> MultiProcessResult<RecordConsumer> {
        let bytes = self.settings.record_bytes.unwrap_or(0);
        Ok(RecordConsumer::new(self.consumer_end::<Lines>().map_err(|error| built_in_bytes(error, bytes))?))
    }

    /// Attaches a consumer and runs `handler(bytes, meta, end_of_batch)` for every record, on a thread of its own.
    /// Records are acknowledged as [`AutoConsumer`] says.
    ///
    /// # Errors
    /// As [`build_record_consumer`](Self::build_record_consumer).
    pub fn handle_records_with(
        self,
        mut handler: impl FnMut(&[u8], RecordMeta, bool) + Send + 'static,
    ) -> MultiProcessResult<AutoConsumer> {
        let handle = move |consumer: &mut RecordConsumer, goes_on: &dyn Fn() -> bool| {
            consumer.process_while(|record, ahead| {
                handler(&record, record.meta(), ahead.is_empty(&record));
                if goes_on() { Then::GoOn } else { Then::Stop }
            })
        };
        self.run_on_thread(Self::build_record_consumer, handle)
    }

    /// Attaches a tap: it maps the ring read-only, never holds the producer back, and may miss records. It begins with
    /// the first record that is published after this call.
    ///
    /// # Errors
    /// As [`build_record_consumer`](Self::build_record_consumer), without `Join`. `IncompatibleLayout` of a *minor
    /// version*: an older build made the ring, and its producers do not store how far they write.
    pub fn build_tap(self) -> MultiProcessResult<RecordTap> {
        let bytes = self.settings.record_bytes.unwrap_or(0);
        let memory = self.tap_memory::<Lines>().map_err(|error| built_in_bytes(error, bytes))?;
        Ok(RecordTap::new(memory))
    }
}

/// The error of a build, with what is wrong with the size in the unit in which it was asked for.
fn built_in_bytes(error: MultiProcessError, bytes: usize) -> MultiProcessError {
    match error {
        MultiProcessError::Shape(shape) => record_size::in_bytes(shape, bytes).into(),
        MultiProcessError::OtherSize { place, unit, found, .. } => {
            MultiProcessError::OtherSize { place, unit, found, wanted: bytes as u64 }
        }
        error => error,
    }
}
