//! A tap of a ring of records. It needs only read permission.

use crate::Sequence;
use crate::ring::ends::error::{ConsumeError, or_end};
use crate::ring::ends::patience::Patience;
use crate::ring::ends::tap_end::TapEnd;
use crate::ring::memory::mapped::Mapped;
use crate::ring::protocol::records::line::Lines;
use crate::ring::protocol::tap::{Copied, TapReader};
use std::fmt;
use std::ops::Deref;
use zerocopy::IntoBytes;

/// A reader of a ring of records that never holds the producer back, for monitors and lossy streams. It gets copies,
/// never a torn one, and knows how many records it missed. It misses none as long as it lags by less than seven eighths
/// of the ring, less the record at hand.
///
/// ```
/// use disruptor_mp::{Patience, SharedDisruptorBuilder};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let name = disruptor_mp::portable_shm_segment_name("doc-tap");
/// let mut producer = SharedDisruptorBuilder::records(&name, 4096).build_record_producer()?;
/// // Usually in another process, which needs only read permission:
/// let mut tap = SharedDisruptorBuilder::records_at(&name).build_tap()?;
///
/// producer.publish(b"step 7", 1, 0, Patience::Now)?;
/// if let Some(record) = tap.next(Patience::Now)? {
///     assert_eq!((&record[..], record.kind(), record.sequence()), (&b"step 7"[..], 1, 0));
/// }
///
/// // The ring is full of newer records before the tap looks again.
/// for step in 8..80_u8 {
///     producer.publish(&[step; 100], 1, 0, Patience::Now)?;
/// }
/// if let Some(record) = tap.next(Patience::Now)? {
///     let sequence = record.sequence();
///     assert_eq!(tap.missed(), sequence as u64 - 1);
/// }
/// # assert!(tap.missed() > 0);
/// # Ok(())
/// # }
/// ```
pub struct RecordTap {
    end: TapEnd<Lines>,
    /// The buffer for copies of payloads. Its memory is reused.
    copy: Vec<u128>,
}

impl RecordTap {
    pub(crate) fn new(memory: Mapped<Lines>) -> Self {
        Self { end: TapEnd::new(memory), copy: Vec::new() }
    }

    /// A copy of the next record that is still in the ring; waits for it as `patience` says, looking once a
    /// millisecond. `None` only for [`Patience::Now`], if there is none yet. A sequence that is more than one above
    /// the last means that records were missed.
    ///
    /// # Errors
    /// `TimedOut`, or the end of the ring: `Closed`, `Replaced`. A dead producer is not an end for a tap: it waits for
    /// the next one, as long as the ring has its name. Without the name none can come, and that is `Replaced` as well.
    /// With `Patience::Now` the tap reads the end in the ring, asks no process, and does not report that.
    pub fn next(&mut self, patience: impl Into<Patience>) -> Result<Option<RecordCopy<'_>>, ConsumeError> {
        let patience = patience.into();
        let copy = |core: &mut TapReader<_>| core.copy_next_record(&mut self.copy);
        let copied = match patience {
            Patience::Now => self.end.look(copy)?,
            _ => Some(self.end.wait(patience.deadline(), copy)?),
        };
        Ok(copied.map(|copied| RecordCopy { bytes: &self.copy.as_bytes()[..copied.len], copied }))
    }

    /// [`next`](Self::next) for loops that end where the ring ends. `None`: the producer has closed it and what was
    /// there was copied. If there is nothing yet, the error is [`TimedOut`](ConsumeError::TimedOut).
    ///
    /// # Errors
    /// As [`next`](Self::next), without `Closed`.
    pub fn next_or_end(&mut self, patience: impl Into<Patience>) -> Result<Option<RecordCopy<'_>>, ConsumeError> {
        or_end(self.next(patience), ConsumeError::is_closed)
    }

    crate::tap_end_methods!();
}

/// A copy of a record, aligned to 16, in the memory of the tap that made it. Each copy overwrites the previous one:
/// copy out what must be kept longer.
///
/// ```
/// # use disruptor_mp::{Patience, SharedDisruptorBuilder};
/// # let name = disruptor_mp::portable_shm_segment_name("doc");
/// # let mut producer = SharedDisruptorBuilder::records(&name, 4096).build_record_producer()?;
/// # let mut tap = SharedDisruptorBuilder::records_at(&name).build_tap()?;
/// # producer.publish(b"step 7", 1, 0, Patience::Now)?;
/// # drop(producer);
/// let mut newest = None;
/// while let Some(record) = tap.next_or_end(Patience::Endless)? {
///     newest = Some((record.sequence(), record.to_vec()));
/// }
/// assert_eq!(newest, Some((0, b"step 7".to_vec())));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct RecordCopy<'a> {
    bytes: &'a [u8],
    copied: Copied,
}

impl RecordCopy<'_> {
    /// Its number in the ring, from 0.
    pub fn sequence(&self) -> Sequence {
        self.copied.number
    }

    /// The application's kind.
    pub fn kind(&self) -> u8 {
        self.copied.kind
    }

    /// The application's flags.
    pub fn flags(&self) -> u8 {
        self.copied.flags
    }
}

impl Deref for RecordCopy<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes
    }
}

impl fmt::Debug for RecordTap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.end.describe("RecordTap", f)
    }
}

impl fmt::Debug for RecordCopy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordCopy")
            .field("sequence", &self.sequence())
            .field("kind", &self.kind())
            .field("len_bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}
