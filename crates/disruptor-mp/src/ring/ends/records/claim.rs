//! The bytes of a ring in which a record is being written. A claim borrows its producer, so there is one at a time.

use super::producer::{RecordProducer, Tell};
use crate::Sequence;
use crate::step;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// Claimed bytes of a ring, aligned to 16, that no other end reads or writes. They hold older bytes, or zeros, until
/// they are written. They are in the ring, or in a buffer of the producer from which the commit copies them, whichever
/// costs less: see [`write_via`](crate::SharedDisruptorBuilder::write_via).
///
/// Committing publishes the first of them as a record. Dropping abandons the claim: nothing has happened, and the next
/// claim begins at the same place.
///
/// ```
/// use disruptor_mp::{Patience, SharedDisruptorBuilder};
/// use std::io::Write;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let name = disruptor_mp::portable_shm_segment_name("doc");
/// # let mut producer = SharedDisruptorBuilder::records(&name, 4096).build_record_producer()?;
/// # let mut consumer = SharedDisruptorBuilder::records_at(&name).build_record_consumer()?;
/// // Claim what is needed at most, write there, and commit what was used.
/// let mut claim = producer.claim(64, Patience::Endless)?;
/// let mut free = &mut claim[..];
/// write!(free, "step {}", 7)?;
/// let used = 64 - free.len();
/// claim.commit(used, 0, 0);
///
/// // Writing fails: the claim is dropped, and nothing was sent.
/// let mut claim = producer.claim(64, Patience::Endless)?;
/// claim.fill(0xff);
/// drop(claim);
/// drop(producer);
///
/// let mut records = vec![];
/// while let Some(record) = consumer.next_or_end(Patience::Endless)? {
///     records.push(record.to_vec());
/// }
/// assert_eq!(records, [b"step 7"]);
/// # Ok(())
/// # }
/// ```
#[must_use = "a claim that is dropped publishes nothing"]
pub struct RecordClaim<'a> {
    producer: &'a mut RecordProducer,
    bytes: &'a mut [u8],
    /// Whether there is more to do with them than to write them in the ring.
    is_planned: bool,
    tell: Tell,
}

impl<'a> RecordClaim<'a> {
    /// Bytes to be filled, about `likely_len` of them. The caller has made room for a record of `len` bytes at the next
    /// position.
    #[inline(always)]
    pub(super) fn to_fill(producer: &'a mut RecordProducer, likely_len: usize, len: usize, tell: Tell) -> Self {
        let is_plain = producer.buffer.is_plain(likely_len);
        let mut claim = Self::to_copy(producer, len, tell);
        if !is_plain {
            let mut bytes = claim.producer.buffer.begin(likely_len, NonNull::from(&mut *claim.bytes));
            // SAFETY: they are the bytes of the claim, or some of the buffer, which the borrowed producer does not
            // touch before the commit.
            (claim.is_planned, claim.bytes) = (true, unsafe { bytes.as_mut() });
        }
        claim
    }

    /// Bytes of the ring. The caller has made room for a record of `len` bytes at the next position.
    #[inline(always)]
    pub(super) fn to_copy(producer: &'a mut RecordProducer, len: usize, tell: Tell) -> Self {
        let core = &producer.end.side.core;
        let mut bytes = core.memory().record(core.next(), len);
        // SAFETY: `record` has checked that they are in the ring. The caller has checked that they are free: after what
        // is published and before the gate. By the protocol no reader looks there until a commit word says that
        // something is there, and only the one producer, by its lock, writes there. `producer`, which keeps them
        // mapped, is borrowed as long as they are.
        let bytes = unsafe { bytes.as_mut() };
        Self { producer, bytes, is_planned: false, tell }
    }

    /// Publishes the first `len` bytes as a record with the application's `kind` and `flags`, and returns its sequence.
    ///
    /// # Panics
    /// If `len` is more than was claimed.
    #[inline(always)]
    pub fn commit(self, len: usize, kind: u8, flags: u8) -> Sequence {
        if len > self.bytes.len() {
            beyond_the_claim(len, self.bytes.len());
        }
        if self.is_planned {
            self.producer.finish_planned(&self.bytes[..len]);
        }
        step!(PayloadWritten);
        self.producer.commit(len, kind, flags, self.tell)
    }
}

/// Out of line, and with its numbers by value: otherwise every commit would store them, for a text that is seldom made.
#[cold]
#[inline(never)]
fn beyond_the_claim(len: usize, claimed: usize) -> ! {
    panic!("committed {len} bytes of a claim of {claimed}")
}

impl Deref for RecordClaim<'_> {
    type Target = [u8];

    #[inline(always)]
    fn deref(&self) -> &[u8] {
        self.bytes
    }
}

impl DerefMut for RecordClaim<'_> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [u8] {
        self.bytes
    }
}

impl fmt::Debug for RecordClaim<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordClaim").field("len_bytes", &self.bytes.len()).field("producer", self.producer).finish()
    }
}
