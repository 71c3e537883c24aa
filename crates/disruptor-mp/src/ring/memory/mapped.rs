//! A ring's words and slots in a segment.

use super::layout::{Carries, Slots};
use crate::ring::membership::entry_byte;
use crate::ring::protocol::control::{Control, Entry};
use crate::ring::protocol::form::{Dense, Form, Lines, SlotForm};
use crate::ring::protocol::memory::{LineMemory, Memory, SlotMemory};
use crate::ring::protocol::records::word::{HEADER_BYTES, LINE_BYTES};
use crate::schema::Event;
use crate::segment::Segment;
use crate::sync::fetch::fetch_for_write;
use crate::sync::racing;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::Arc;
use zerocopy::IntoBytes;

/// A ring that carries `S` in a segment, which it keeps mapped.
pub(crate) struct Mapped<S> {
    control: NonNull<Control>,
    table: NonNull<Entry>,
    slots: NonNull<u8>,
    mask: i64,
    table_len: usize,
    segment: Arc<Segment>,
    carries: PhantomData<fn(S) -> S>,
}

// SAFETY: the pointers reach only atomic words, and payloads that the algorithm hands to one side at a time. Events are
// `Send + Sync`, and so is the segment, which lives as long as we do.
unsafe impl<S: Carries> Send for Mapped<S> {}
// SAFETY: as above.
unsafe impl<S: Carries> Sync for Mapped<S> {}

impl<S> Clone for Mapped<S> {
    fn clone(&self) -> Self {
        Self { segment: Arc::clone(&self.segment), carries: PhantomData, ..*self }
    }
}

impl<S: Carries> Mapped<S> {
    /// The ring in `segment`. The header of the segment says that it carries this: the caller has compared shape and
    /// schema.
    pub(crate) fn new(segment: Arc<Segment>) -> Self {
        let header = segment.header();
        let table_len = header.table_len as usize;
        let (control, control_len) = segment.control();
        let (table, table_bytes) = segment.table();
        let (slots, slots_len) = segment.slots();
        // The header was checked against the object when it was opened; these check that it was this ring's header.
        assert_eq!(header.kind, S::Form::KIND, "lines, and only they, are mapped twice");
        assert_eq!(header.slot_stride as usize, S::STRIDE, "slots of another type");
        assert_eq!(header.payload_offset as usize, S::PAYLOAD_OFFSET, "slots of another type");
        assert!(header.capacity.is_power_of_two(), "capacity is no power of two");
        assert!(
            control_len >= size_of::<Control>() && table_bytes >= table_len * size_of::<Entry>(),
            "sections too short"
        );
        assert!(slots_len as u64 >= header.capacity * header.slot_stride, "sections too short");
        assert!(
            control.cast::<Control>().is_aligned()
                && table.cast::<Entry>().is_aligned()
                && slots.addr().get() % 4096 == 0
        );
        Self {
            control: control.cast(),
            table: table.cast(),
            slots,
            mask: header.capacity as i64 - 1,
            table_len,
            carries: PhantomData,
            segment,
        }
    }

    pub(crate) fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    #[inline(always)]
    fn slot(&self, sequence: i64) -> NonNull<u8> {
        let offset = (sequence & self.mask) as usize * S::STRIDE;
        // SAFETY: the masked number is below the capacity, and `new` has checked that that many strides are mapped.
        unsafe { self.slots.add(offset) }
    }
}

impl<E: Event, F: SlotForm> Mapped<Slots<E, F>> {
    /// The payload of event `sequence`.
    #[inline(always)]
    fn payload(&self, sequence: i64) -> *mut E {
        // SAFETY: the payload is inside its stride by construction of its layout.
        unsafe { self.slot(sequence).add(Slots::<E, F>::PAYLOAD_OFFSET).cast().as_ptr() }
    }

    /// Copies bytes of event `sequence`, from `offset` on. They may be written meanwhile.
    #[inline]
    pub(crate) fn copy_bytes(&self, sequence: i64, offset: usize, into: &mut [u8]) {
        let is_inside = offset.checked_add(into.len()).is_some_and(|end| end <= size_of::<E>());
        assert!(is_inside, "{} bytes from {offset} on, of an event of {}", into.len(), size_of::<E>());
        let from = self.payload(sequence).cast::<u8>().wrapping_add(offset);
        // SAFETY: by the assertion above, these bytes are in the payload, which is mapped as long as `self` lives.
        unsafe { racing::copy(from, into) };
    }

    /// The payloads of the events from `first` on, up to `end` or to the end of the section, after which the next event
    /// is at the beginning of the section. They may be read as far as the caller gates them.
    #[inline(always)]
    pub(crate) fn payloads(&self, first: i64, end: i64) -> impl Iterator<Item = NonNull<E>> + use<E, F> {
        let end = end.min((first | self.mask) + 1);
        // SAFETY: never null, as it is in the section.
        let base = unsafe { NonNull::new_unchecked(self.payload(first)) };
        // SAFETY: no event before `end` is after the one in the last slot, so `new` has checked that its stride is
        // mapped.
        (0..(end - first) as usize).map(move |index| unsafe { base.byte_add(index * Slots::<E, F>::STRIDE) })
    }
}

impl<E: Event> Mapped<Slots<E, Dense>> {
    /// The events from `first` on, up to `end` or to the end of the section, in place. They may be read as far as the
    /// caller gates them.
    pub(crate) fn slice(&self, first: i64, end: i64) -> NonNull<[E]> {
        const { assert!(Slots::<E, Dense>::STRIDE == size_of::<E>(), "an array has nothing between its elements") };
        let end = end.min((first | self.mask) + 1);
        // SAFETY: never null, as it is in the section.
        let base = unsafe { NonNull::new_unchecked(self.payload(first)) };
        NonNull::slice_from_raw_parts(base, (end - first) as usize)
    }
}

impl<S: Carries> Memory for Mapped<S> {
    type Form = S::Form;

    // Where slots share a line, following the stamps takes that line away from a producer that is still writing on it:
    // stop early.
    const FOLLOW_STAMPS: u32 = match S::STRIDE {
        _ if S::Form::CURSOR_TELLS => 1,
        ..64 => 8,
        _ => 32,
    };

    #[inline(always)]
    fn control(&self) -> &Control {
        // SAFETY: mapped as long as the segment lives, which `self` holds; aligned and long enough, as `new` has
        // checked. `Control` is atomic words only: every bit pattern is valid, and any process may write them.
        unsafe { self.control.as_ref() }
    }

    fn table_len(&self) -> usize {
        self.table_len
    }

    #[inline(always)]
    fn entry(&self, index: usize) -> &Entry {
        if index >= self.table_len {
            no_such_entry(index, self.table_len);
        }
        // SAFETY: as for `control`; the index was checked in the line above.
        unsafe { self.table.add(index).as_ref() }
    }

    #[cold]
    fn is_held(&self, index: usize) -> bool {
        self.segment.is_held(entry_byte(index)).unwrap_or(true)
    }

    #[cold]
    fn is_joining(&self) -> bool {
        self.is_held(self.table_len)
    }

    #[inline(always)]
    fn capacity(&self) -> i64 {
        self.mask + 1
    }

    #[inline(always)]
    fn header(&self, position: i64) -> &<S::Form as Form>::Header {
        const {
            let (len, align) = (size_of::<<S::Form as Form>::Header>(), align_of::<<S::Form as Form>::Header>());
            assert!(len <= S::STRIDE && align <= 16 && (len == 0 || S::STRIDE.is_multiple_of(16)));
        }
        // SAFETY: the header is at the beginning of a slot and is no longer than it. Slots with a header are a multiple
        // of 16 bytes apart and begin at a page boundary, so it is aligned. It consists of atomic words, or of nothing,
        // and nothing else is there.
        unsafe { self.slot(position).cast().as_ref() }
    }

    #[inline(always)]
    fn fetch_line(&self, position: i64) {
        fetch_for_write(self.slot(position).as_ptr());
    }
}

impl<E: Event, F: SlotForm> SlotMemory for Mapped<Slots<E, F>> {
    type Event = E;

    #[inline(always)]
    fn fetch_second_line(&self, position: i64) {
        if Slots::<E, F>::STRIDE > LINE_BYTES {
            fetch_for_write(self.slot(position).as_ptr().wrapping_add(LINE_BYTES));
        }
    }

    #[inline(always)]
    fn fetch_slot(&self, position: i64) {
        for offset in (0..Slots::<E, F>::STRIDE).step_by(LINE_BYTES) {
            fetch_for_write(self.slot(position).as_ptr().wrapping_add(offset));
        }
    }

    #[inline(always)]
    fn with_mut<R>(&self, position: i64, f: impl FnOnce(*mut E) -> R) -> R {
        f(self.payload(position))
    }

    #[inline(always)]
    fn with<R>(&self, position: i64, f: impl FnOnce(*const E) -> R) -> R {
        f(self.payload(position))
    }

    fn racing_copy(&self, position: i64) -> E {
        let mut copy = E::new_zeroed();
        // SAFETY: the payload is in its slot, which is mapped for reading as long as `self` lives; every bit pattern is
        // an event.
        unsafe { racing::copy(self.payload(position).cast(), copy.as_mut_bytes()) };
        copy
    }
}

impl LineMemory for Mapped<Lines> {
    /// Blocks of 16 bytes, so that a payload has the same alignment in its copy as in its ring.
    type Copy = Vec<u128>;

    fn racing_copy(&self, position: i64, len: usize, into: &mut Vec<u128>) {
        into.resize(len.div_ceil(size_of::<u128>()), 0);
        let from = self.record(position, len).cast();
        // SAFETY: `record` has checked that the bytes from there are mapped, for reading, as long as `self` lives.
        unsafe { racing::copy(from.as_ptr(), &mut into.as_mut_bytes()[..len]) };
    }
}

impl Mapped<Lines> {
    /// The payload of the record at `position`, which covers as many lines as `len` bytes need, fewer than the ring
    /// has: the caller has checked that. Where it crosses the end of the lines it goes on in their second mapping.
    /// Aligned to 16.
    #[inline(always)]
    pub(crate) fn record(&self, position: i64, len: usize) -> NonNull<[u8]> {
        assert!(len <= self.mask as usize * LINE_BYTES, "a record as long as its ring");
        // SAFETY: the header is inside the line at `position`. By the assertion above, this many bytes after it end
        // before that line's place in the second mapping of the lines. The segment guarantees for its kind that the
        // lines are mapped twice in a row.
        NonNull::slice_from_raw_parts(unsafe { self.slot(position).add(HEADER_BYTES) }, len)
    }
}

/// Out of line, and with its words by value: otherwise every use of an entry would store them, for a text that is
/// seldom made.
#[cold]
#[inline(never)]
fn no_such_entry(index: usize, table_len: usize) -> ! {
    panic!("entry {index} of {table_len}")
}
