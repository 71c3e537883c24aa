//! The publishing end of a ring of records: claiming, and where the next record goes. One process has it, and one
//! thread at a time uses it.

use super::batch::RecordBatch;
use super::claim::RecordClaim;
use super::error::RecordError;
use crate::Sequence;
use crate::ring::ends::asking::{Asking, BYTES_MAX};
use crate::ring::ends::buffer::PayloadBuffer;
use crate::ring::ends::error::NoRoom;
use crate::ring::ends::pace::now_ns;
use crate::ring::ends::patience::Patience;
use crate::ring::ends::producer_end::ProducerBase;
use crate::ring::ends::producer_face::{HasProducer, ProducerMut};
use crate::ring::ends::via::WriteVia;
use crate::ring::memory::record_size::record_ring_bytes;
use crate::ring::protocol::memory::Memory;
use crate::ring::protocol::records::course::{WORKING_SET_LINES, first_look};
use crate::ring::protocol::records::gap;
use crate::ring::protocol::records::line::Lines;
use crate::ring::protocol::records::word::{PAYLOAD_BYTES_MAX, bytes_in, lines_of};
use crate::step;
use std::fmt;

/// The one producer of a ring of records: messages of any length, in order, to every consumer.
///
/// Sequences are numbers of records. A record is copied in by [`publish`](Self::publish), or written in place: see
/// [`RecordClaim`]. Dropping the producer closes the ring: consumers read what is left and then get
/// [`Closed`](crate::ConsumeError::Closed).
///
/// ```
/// use disruptor_mp::{Patience, RecordError, SharedDisruptorBuilder};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let name = disruptor_mp::portable_shm_segment_name("doc");
/// /// What the kind of a record means in this program.
/// const STEP: u8 = 1;
///
/// let mut producer = SharedDisruptorBuilder::records(&name, 1 << 16).build_record_producer()?; // 64 KiB
/// // Waits for room as long as the patience says. The last 0 is for the application's flags.
/// let sequence = producer.publish(b"step 7", STEP, 0, Patience::Endless)?;
/// assert_eq!(sequence, 0);
///
/// // A record that can never fit is refused at once, with the size of a ring that would hold it.
/// match producer.publish(&[0; 100_000], STEP, 0, Patience::Endless) {
///     Err(RecordError::TooLarge { max_bytes, ring_bytes_wanted, .. }) => {
///         assert_eq!((max_bytes, ring_bytes_wanted), (producer.max_record_bytes(), Some(1 << 17)));
///     }
///     other => panic!("{other:?}"),
/// }
/// # Ok(())
/// # }
/// ```
pub struct RecordProducer {
    pub(super) end: ProducerBase<Lines>,
    pub(super) buffer: PayloadBuffer,
}

/// When readers are told what was committed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tell {
    /// By the commit.
    AtOnce,
    /// At the end of the batch.
    WithBatch,
}

impl RecordProducer {
    pub(crate) fn new(mut end: ProducerBase<Lines>, via: WriteVia) -> Self {
        end.side.asking = Asking::new(end.side.core.next(), via);
        let longest = bytes_in(end.side.core.memory().capacity() - 1);
        Self { end, buffer: PayloadBuffer::new(via, longest) }
    }

    /// Publishes a copy of `payload`, marked with the application's `kind` and `flags`, and returns its sequence.
    ///
    /// # Errors
    /// See [`RecordError`].
    #[inline]
    pub fn publish(
        &mut self,
        payload: &[u8],
        kind: u8,
        flags: u8,
        patience: impl Into<Patience>,
    ) -> Result<Sequence, RecordError> {
        self.publish_telling(payload, kind, flags, &patience.into(), Tell::AtOnce)
    }

    #[inline(always)]
    pub(super) fn publish_telling(
        &mut self,
        payload: &[u8],
        kind: u8,
        flags: u8,
        patience: &Patience,
        tell: Tell,
    ) -> Result<Sequence, RecordError> {
        let mut claim = self.claim_to_copy_telling(payload.len(), patience, tell)?;
        claim.copy_from_slice(payload);
        Ok(claim.commit(payload.len(), kind, flags))
    }

    /// Claims `len` contiguous bytes, aligned to 16, to be written in place and committed. They hold older bytes.
    /// Dropping the claim abandons it, and nothing has happened.
    ///
    /// # Errors
    /// See [`RecordError`].
    #[inline]
    pub fn claim(&mut self, len: usize, patience: impl Into<Patience>) -> Result<RecordClaim<'_>, RecordError> {
        self.claim_telling(len, &patience.into(), Tell::AtOnce)
    }

    #[inline(always)]
    pub(super) fn claim_telling(
        &mut self,
        len: usize,
        patience: &Patience,
        tell: Tell,
    ) -> Result<RecordClaim<'_>, RecordError> {
        self.reserve(len, patience, tell)?;
        Ok(RecordClaim::to_fill(self, len, len, tell))
    }

    /// [`claim_telling`](Self::claim_telling), always in the ring: for writers that mostly copy one contiguous block of
    /// bytes.
    #[inline(always)]
    pub(super) fn claim_to_copy_telling(
        &mut self,
        len: usize,
        patience: &Patience,
        tell: Tell,
    ) -> Result<RecordClaim<'_>, RecordError> {
        self.reserve(len, patience, tell)?;
        Ok(RecordClaim::to_copy(self, len, tell))
    }

    /// Makes room for a record of `len` bytes at the next position.
    ///
    /// The patience is read in place, here and in the callers: passed on by value, it would be copied through memory,
    /// even if there is room and nothing to wait for.
    #[inline(always)]
    fn reserve(&mut self, len: usize, patience: &Patience, tell: Tell) -> Result<(), RecordError> {
        if self.has_no_place(len, patience) {
            self.make_place(len, *patience, tell)?;
        }
        Ok(())
    }

    /// Whether one look does not find a place at once. In the common case it does: there is room for the record and for
    /// the header after it, and nothing else is due.
    #[inline(always)]
    fn has_no_place(&self, len: usize, patience: &Patience) -> bool {
        // A ring of 8 GiB has room for more bytes than a length can say.
        len > PAYLOAD_BYTES_MAX
            || self.end.side.core.next() >= self.end.side.course.next_stop
            || matches!(patience, Patience::Managed | Patience::ManagedUntil(_))
            || self.end.side.must_look(lines_of(len) as usize + 1)
    }

    /// Claims at least `min` bytes, and more if they are free now, but not more than `max`: for messages whose length
    /// is known only when they have been written. That is up to an eighth of the ring, and somewhat more where that
    /// costs nothing.
    ///
    /// # Errors
    /// See [`RecordError`].
    ///
    /// # Panics
    /// If `min` is more than `max`.
    #[inline(always)]
    pub fn claim_at_least(
        &mut self,
        min: usize,
        max: usize,
        patience: impl Into<Patience>,
    ) -> Result<RecordClaim<'_>, RecordError> {
        self.claim_at_least_telling(min, most(min, max), &patience.into(), Tell::AtOnce)
    }

    #[inline(always)]
    pub(super) fn claim_at_least_telling(
        &mut self,
        min: usize,
        max: usize,
        patience: &Patience,
        tell: Tell,
    ) -> Result<RecordClaim<'_>, RecordError> {
        self.reserve(min, patience, tell)?;
        Ok(self.claim_further(min, max, tell))
    }

    /// [`claim_at_least`](Self::claim_at_least) of what is free now. `None` if that is less than `min` contiguous
    /// bytes, or if a call with this `patience` would have to wait for anything else. For messages that can be encoded
    /// elsewhere meanwhile.
    ///
    /// # Errors
    /// See [`RecordError`].
    ///
    /// # Panics
    /// If `min` is more than `max`.
    #[inline(always)]
    pub fn try_claim_at_least(
        &mut self,
        min: usize,
        max: usize,
        patience: impl Into<Patience>,
    ) -> Result<Option<RecordClaim<'_>>, RecordError> {
        self.try_claim_at_least_telling(min, most(min, max), &patience.into(), Tell::AtOnce)
    }

    #[inline(always)]
    pub(super) fn try_claim_at_least_telling(
        &mut self,
        min: usize,
        max: usize,
        patience: &Patience,
        tell: Tell,
    ) -> Result<Option<RecordClaim<'_>>, RecordError> {
        if self.has_no_place(min, patience) && !self.try_make_place(min, *patience, tell)? {
            return Ok(None);
        }
        Ok(Some(self.claim_further(min, max, tell)))
    }

    /// Claims `min` bytes, for which there is room, and what is free after them, up to `max`. `max` is at least `min`,
    /// and no more than a length can say.
    #[inline(always)]
    fn claim_further(&mut self, min: usize, max: usize, tell: Tell) -> RecordClaim<'_> {
        let (core, eighth) = (&mut self.end.side.core, self.end.side.course.eighth);
        // What is claimed is lost to taps a lap later, used or not. So a length that may never be used claims no more
        // than that.
        if !core.has_room(eighth + 1) {
            core.claim_up_to(eighth + 1);
        }
        // The last line is the next header's.
        let len = bytes_in(core.free() - 1).min(max);
        debug_assert!(len >= min, "claimed {len} bytes instead of {min}");
        RecordClaim::to_fill(self, min, len, tell)
    }

    /// Begins a batch: its records can be read one by one as they are committed, and sleeping readers are woken once,
    /// at the end of the batch. A wait inside the batch wakes them first.
    #[inline]
    pub fn batch(&mut self) -> RecordBatch<'_> {
        RecordBatch::new(self)
    }

    /// Length in bytes of the longest record that this ring can hold.
    #[inline]
    pub fn max_record_bytes(&self) -> usize {
        bytes_in(self.end.side.core.memory().capacity() - 1).min(PAYLOAD_BYTES_MAX)
    }

    /// Closes the ring: consumers read what is left and then get `Closed`. Dropping the producer does the same.
    pub fn close(self) {}

    /// Leaves without closing the ring, for the next producer. A producer of the same messages takes the
    /// ring over if a consumer lives in it or has not read everything; a producer of other messages replaces it
    /// ([`with_content_tag`](crate::SharedDisruptorBuilder::with_content_tag)). Until then consumers get what is there
    /// and then `ProducerDied`, as after a kill.
    pub fn hand_over(mut self) {
        self.leave_to_successor();
    }

    crate::producer_end_methods!(end [pub]);

    /// [`make_place`](Self::make_place), if a call with this `patience` would not have to wait for anything.
    #[cold]
    #[inline(never)]
    fn try_make_place(&mut self, len: usize, patience: Patience, tell: Tell) -> Result<bool, RecordError> {
        if !self.end.has_room_now(lines_of(len) as usize + 1, &patience) {
            return Ok(false);
        }
        self.make_place(len, patience, tell)?;
        Ok(true)
    }

    /// Makes room for a record of `len` bytes at the next position, and does what is due there.
    #[cold]
    #[inline(never)]
    fn make_place(&mut self, len: usize, patience: Patience, tell: Tell) -> Result<(), RecordError> {
        let (lines, capacity) = (lines_of(len), self.end.side.core.memory().capacity());
        if lines >= capacity || len > PAYLOAD_BYTES_MAX {
            let (max_bytes, ring_bytes_wanted) = (self.max_record_bytes(), record_ring_bytes(1, len).ok());
            return Err(RecordError::TooLarge { len_bytes: len, max_bytes, ring_bytes_wanted });
        }
        if self.end.side.is_forked() {
            return Err(NoRoom::from(crate::PublishError::Forked).into());
        }
        if self.end.side.core.next() >= self.end.side.course.next_note {
            if self.end.side.core.next() >= self.end.side.course.next_start_over {
                self.start_over_if_readers_have_caught_up(lines);
            }
            self.end.side.course.next_note = self.end.side.core.note_begin().min(self.end.side.course.next_start_over);
        }
        self.end.make_room(lines as usize + 1, &patience)?;
        self.ask(len, tell);
        self.end.side.course.next_stop = self.end.side.course.next_note.min(self.end.side.asking.from());
        Ok(())
    }

    /// Asks for the lines of a record of `len` bytes, which is written next, where that pays or is to be tried.
    fn ask(&mut self, len: usize, tell: Tell) {
        let (core, asking) = (&self.end.side.core, &mut self.end.side.asking);
        if core.next() < asking.from() || !asking.asks(core.next(), now_ns) || len > BYTES_MAX {
            return;
        }
        match tell {
            // A reader may be waiting for it.
            Tell::AtOnce => core.ask_for_record(lines_of(len)),
            // Others follow soon: there is time to ask for their lines.
            Tell::WithBatch => core.ask_ahead(lines_of(len)),
        }
    }

    /// Goes back to the beginning of a large ring, by one piece of padding. It does so if more of the ring has been
    /// used than stays in the cache, every reader has caught up, and the next record, of `lines` lines, has room there.
    /// If a single record were unread, the padding would block a backlog that could have used the rest of the ring.
    fn start_over_if_readers_have_caught_up(&mut self, lines: i64) {
        let capacity = self.end.side.core.memory().capacity();
        let used = self.end.side.core.next() & (capacity - 1);
        if used >= WORKING_SET_LINES {
            let scan = self.end.side.rescan();
            let caught_up = scan.slowest.is_some() && scan.lowest == self.end.side.core.next();
            // A sentinel holds the first events for consumers that have not joined yet: no reader can catch up.
            let needs = self.end.side.core.lines_to_wrap() + lines + 1;
            if !caught_up || self.end.side.core.has_sentinel() || !self.end.side.core.claim(needs) {
                self.end.side.course.next_start_over = self.end.side.core.next() + WORKING_SET_LINES / 8;
                return;
            }
            self.end.side.core.pad(self.end.side.course.next_number);
            self.end.side.core.publish();
        }
        self.end.side.course.next_start_over = first_look(self.end.side.core.next(), capacity);
    }

    /// Copies what was written for a claim into the ring, if it is not there.
    #[cold]
    #[inline(never)]
    pub(super) fn finish_planned(&mut self, written: &[u8]) {
        step!(PayloadBuffered);
        let core = &self.end.side.core;
        let place = core.memory().record(core.next(), written.len());
        // SAFETY: the first of the bytes that were claimed, which are in the ring, and the producer's alone.
        unsafe { self.buffer.finish(written, place, &self.end.side.counters.via_buffer) };
    }

    /// Commits what was written into a claim.
    #[inline(always)]
    pub(super) fn commit(&mut self, len: usize, kind: u8, flags: u8, tell: Tell) -> Sequence {
        let gap = if gap::pays(len) { self.end.side.course.gaps.take(len) } else { 0 };
        let first = self.end.side.core.next();
        let sequence = self.end.side.course.next_number;
        let next = self.end.side.core.commit(sequence, len, kind, flags, gap);
        self.end.side.course.next_number = sequence + 1;
        if tell == Tell::AtOnce {
            self.end.side.core.publish_to(next);
            self.end.side.core.fetch_next_lines(first, next);
        }
        self.end.side.counters.published.inc();
        self.end.side.counters.bytes.add(len as u64);
        if gap::pays(len) && self.end.side.course.gaps.is_look_due(next) {
            self.look_at_readers();
        }
        sequence
    }

    /// Ends a batch.
    #[inline(always)]
    pub(super) fn publish_batch(&mut self) {
        // In a child of a fork the batch is its parent's, which may have published more since: the cursor must not go
        // back.
        if !self.end.side.is_forked() {
            self.end.side.core.publish();
        }
    }

    /// Finds out how much the readers have released, for the gaps after the next records. Called when a record is on
    /// its way to them.
    #[cold]
    #[inline(never)]
    fn look_at_readers(&mut self) {
        let scan = self.end.side.core.glance();
        let released = scan.slowest.map(|_| scan.lowest);
        self.end.side.course.gaps.look(released, self.end.side.core.next());
    }
}

/// The most that is claimed if `max` bytes are asked for, at least `min` of them.
#[inline(always)]
pub(super) fn most(min: usize, max: usize) -> usize {
    assert!(min <= max, "a claim of at least {min} and at most {max} bytes");
    max.min(PAYLOAD_BYTES_MAX)
}

impl HasProducer for RecordProducer {
    type Carries = Lines;

    fn base(&self) -> &ProducerBase<Lines> {
        &self.end
    }

    fn base_mut(&mut self) -> ProducerMut<'_, Lines> {
        ProducerMut(&mut self.end)
    }
}

impl fmt::Debug for RecordProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.end.describe("RecordProducer", f)
    }
}
