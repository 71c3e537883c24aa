//! A ring of slots in a segment, for a reader that does not know the type of its events: sizes come from the header.

use super::layout::{CAPACITY_MAX, PLACES_FOR_OTHERS, TABLE_LEN_MAX};
use super::sections;
use crate::ring::membership::entry_byte;
use crate::ring::protocol::control::{Control, Entry};
use crate::ring::protocol::form::{Form, SlotForm};
use crate::ring::protocol::memory::Memory;
use crate::segment::Segment;
use crate::sync::racing;
use std::marker::PhantomData;
use std::sync::Arc;

/// The control lines, the table and the slots of a ring of the form `F`, for looking.
pub(crate) struct RawSlots<F> {
    segment: Arc<Segment>,
    stride: usize,
    payload_offset: usize,
    payload_len: usize,
    capacity: i64,
    form: PhantomData<fn(F) -> F>,
}

impl<F: SlotForm> RawSlots<F> {
    /// The ring in `segment`; `None` if its numbers contradict each other, or do not fit this form.
    pub(crate) fn new(segment: Arc<Segment>) -> Option<Self> {
        let header = segment.header();
        let stride = usize::try_from(header.slot_stride).ok()?;
        let (payload_offset, payload_len) =
            (usize::try_from(header.payload_offset).ok()?, usize::try_from(header.payload_len).ok()?);
        let capacity = usize::try_from(header.capacity).ok().filter(|capacity| *capacity <= CAPACITY_MAX)?;
        let header_bytes = size_of::<F::Header>();
        let is_laid_out = header.kind == F::KIND
            && capacity.is_power_of_two()
            && (header_bytes == 0 || stride.is_multiple_of(align_of::<F::Header>()))
            && payload_offset >= header_bytes
            && payload_offset.checked_add(payload_len).is_some_and(|end| end <= stride)
            && stride.checked_mul(capacity).is_some_and(|len| len <= segment.slots().1)
            && header.table_len as usize <= TABLE_LEN_MAX + PLACES_FOR_OTHERS
            && sections::control(&segment).is_some()
            && (header.table_len == 0 || sections::entry(&segment, header.table_len as usize - 1).is_some());
        let capacity = capacity as i64;
        is_laid_out.then_some(Self { segment, stride, payload_offset, payload_len, capacity, form: PhantomData })
    }

    /// Copies the payload of the event at `position` into `into`. It may be written meanwhile.
    pub(crate) fn racing_copy(&self, position: i64, into: &mut Vec<u8>) {
        into.resize(self.payload_len, 0);
        // SAFETY: the payload ends inside its stride, and `new` has checked that as many strides as there are slots are
        // in the section, which is mapped for reading as long as the segment lives.
        unsafe { racing::copy(self.slot(position).add(self.payload_offset), into) };
    }

    fn slot(&self, position: i64) -> *const u8 {
        let index = (position & (self.capacity - 1)) as usize;
        self.segment.slots().0.as_ptr().wrapping_add(index * self.stride)
    }
}

impl<F: SlotForm> Memory for RawSlots<F> {
    type Form = F;

    fn control(&self) -> &Control {
        sections::control(&self.segment).expect("`new` has found them")
    }

    fn table_len(&self) -> usize {
        self.segment.header().table_len as usize
    }

    fn entry(&self, index: usize) -> &Entry {
        sections::entry(&self.segment, index).expect("`new` has found the last one")
    }

    fn is_held(&self, index: usize) -> bool {
        self.segment.is_held(entry_byte(index)).unwrap_or(true)
    }

    fn capacity(&self) -> i64 {
        self.capacity
    }

    fn header(&self, position: i64) -> &<F as Form>::Header {
        // SAFETY: the header is at the beginning of a slot of the section, which begins at a page. `new` has checked
        // that it is no longer than the slot, and that slots are a multiple of its alignment apart. It consists of
        // atomic words, or of nothing; the mapping lives as long as the reference.
        unsafe { &*self.slot(position).cast() }
    }
}
