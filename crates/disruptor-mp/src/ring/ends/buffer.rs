//! A buffer of the producer. A payload is written there first, and is copied into the ring at the commit.

use super::pace::now_ns;
use super::via::{BYTES_MIN, Learner, Plan, Way, WriteVia};
use crate::counters::CounterHandle;
use crate::schema::Event;
use crate::step;
use crate::sync::primitive::{Ordering, fence};
use std::ptr::NonNull;
use zerocopy::IntoBytes;

/// Longer payloads are written in the ring: this is what stays in a second-level cache.
const BYTES_MAX: usize = 1 << 20;

/// The plan for a payload from which there is nothing to learn.
const IN_THE_RING: Plan = Plan { way: Way::Ring, is_timed: false };

/// A piece of the buffer, with the alignment of a payload in a ring.
type Piece = u128;

/// Where a producer writes a payload first, if that costs less than to write it in the ring.
pub(super) struct PayloadBuffer {
    learner: Learner,
    pieces: Box<[Piece]>,
    /// The plan for the payload that was claimed last, if there is one; and when it was claimed.
    plan: Plan,
    began_ns: u64,
    /// Whether an event is in the buffer.
    holds_event: bool,
}

impl PayloadBuffer {
    /// For payloads of at most `bytes_max` bytes. Memory that is not written is not touched.
    pub(super) fn new(via: WriteVia, bytes_max: usize) -> Self {
        let bytes = if via == WriteVia::Ring { 0 } else { bytes_max.min(BYTES_MAX) };
        let pieces = vec![0; bytes.div_ceil(size_of::<Piece>())].into();
        Self { learner: Learner::new(via), pieces, plan: IN_THE_RING, began_ns: 0, holds_event: false }
    }

    /// Whether a payload of `len` bytes is simply written in the ring.
    #[inline(always)]
    pub(super) fn is_plain(&mut self, len: usize) -> bool {
        self.learner.is_plain(len)
    }

    /// Plans a payload that is not plain: of about `likely_len` bytes, and at most as long as its `place` in the ring.
    /// Returns the place to write it in, which may be shorter if that is enough for the likely length.
    #[cold]
    #[inline(never)]
    pub(super) fn begin(&mut self, likely_len: usize, place: NonNull<[u8]>) -> NonNull<[u8]> {
        let buffer = self.pieces.as_mut_bytes();
        self.plan = if likely_len <= buffer.len() { self.learner.plan(likely_len) } else { IN_THE_RING };
        let place = match self.plan.way {
            Way::Ring => place,
            Way::Buffer => {
                let len = buffer.len().min(place.len());
                NonNull::from(&mut buffer[..len])
            }
        };
        if self.plan.is_timed {
            self.began_ns = drained_ns();
        }
        place
    }

    /// The payload in `written`, the place that [`begin`](Self::begin) returned, is complete. Copies it to `place`,
    /// which is as long, and counts it in `copied`, if it is in the buffer.
    ///
    /// # Safety
    /// `place` is valid for writes, and no other thread or process reads or writes there.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn finish(&mut self, written: &[u8], place: NonNull<[u8]>, copied: &CounterHandle) {
        let plan = self.plan;
        if plan.way == Way::Buffer {
            assert_eq!(written.len(), place.len(), "a place of another length");
            // SAFETY: both have that length, and the place is valid, by the caller's promise; what was written is in
            // our buffer.
            unsafe { place.cast::<u8>().as_ptr().copy_from_nonoverlapping(written.as_ptr(), written.len()) };
            copied.inc();
        }
        if plan.is_timed {
            let now_ns = drained_ns();
            self.learner.timed(written.len(), plan.way, now_ns.saturating_sub(self.began_ns), now_ns);
        }
    }

    /// Whether events of that type may be written in a buffer.
    pub(super) const fn takes<E>() -> bool {
        size_of::<E>() >= BYTES_MIN && size_of::<E>() <= BYTES_MAX && align_of::<E>() <= align_of::<Piece>()
    }

    /// Lets `fill` write an event that is not plain, for `slot`, which holds an older event unless it is new. `fill`
    /// finds an older event in either place. An event that is copied counts in `copied`.
    ///
    /// # Safety
    /// `slot` is valid and aligned, and no other thread or process reads or writes there.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn fill_event<E: Event>(
        &mut self,
        slot: NonNull<E>,
        is_new: bool,
        copied: &CounterHandle,
        fill: impl FnOnce(&mut E),
    ) {
        let place = NonNull::slice_from_raw_parts(slot.cast::<u8>(), size_of::<E>());
        let written = self.begin(size_of::<E>(), place);
        let is_buffered = self.plan.way == Way::Buffer;
        let mut event = written.cast::<E>();
        if is_buffered && !is_new && !self.holds_event {
            // SAFETY: the slot is valid, by the caller's promise, and the buffer as long.
            unsafe { event.as_ptr().copy_from_nonoverlapping(slot.as_ptr(), 1) };
        }
        // SAFETY: it is the slot, or the beginning of the buffer, which is as long, aligned for it (`takes`), and ours.
        // Zeros or an older event: every bit pattern is an `E`.
        fill(unsafe { event.as_mut() });
        if is_buffered {
            self.holds_event = true;
            step!(PayloadBuffered);
        }
        // SAFETY: the event that was just written, and the slot as the caller has promised it.
        unsafe { self.finish(event.as_ref().as_bytes(), place, copied) };
    }
}

/// The time at which every store before this call is done. Stores wait in a queue, and that wait is part of the cost of
/// a way.
fn drained_ns() -> u64 {
    fence(Ordering::SeqCst);
    now_ns()
}
