//! Where the words and slots of a ring live.
//!
//! **Lives here:** [`Memory`], the one type parameter of the algorithm, with [`SlotMemory`] for a ring of events; and [`HeapMemory`], its home
//! in models and generated tests.
//! The mapped home is `mapped`. **Builds on:** `control`. **May touch it:** the algorithm.

use super::control::{Control, Entry};
#[cfg(test)]
use super::form::Stamped;
use super::form::{Form, SlotForm};
use crate::sync::primitive::AtomicI64;

/// The words of one ring.
pub trait Memory {
    /// What lies in front of an event.
    type Form: Form;

    /// After so many events that were there at once, a reader is behind and asks the cursor instead of following the stamps. 1 in the
    /// small rings of models and generated tests, so that they come to the cursor.
    const FOLLOW_STAMPS: u32 = 1;

    fn control(&self) -> &Control;

    /// Length of the consumers' table.
    fn table_len(&self) -> usize;

    /// An entry of the table; `index < table_len`.
    fn entry(&self, index: usize) -> &Entry;

    /// All entries, used or not. The high water does not say where to stop: any process may have written over it, and only the producer
    /// remembers how much of the table it has found in use.
    fn entries(&self) -> impl Iterator<Item = &Entry> {
        (0..self.table_len()).map(|index| self.entry(index))
    }

    /// Whether a process holds the lock byte of entry `index`, so that it may read slots whatever the entry says. A refusal of the kernel
    /// proves nothing: `true`. Memory without locks has no owner whose words are not true.
    fn is_held(&self, _index: usize) -> bool {
        false
    }

    /// Whether a consumer is in the middle of joining, or may be.
    fn is_joining(&self) -> bool {
        false
    }

    /// Number of slots, a power of two.
    fn capacity(&self) -> i64;

    /// The words in front of position `position`, which is not negative.
    fn header(&self, position: i64) -> &<Self::Form as Form>::Header;

    /// The word in front of position `position`: the stamp of the slot in which that event lives, or the commit word of the line.
    #[inline(always)]
    fn stamp(&self, position: i64) -> &AtomicI64 {
        Self::Form::word(self.header(position))
    }

    /// Asks for the line at `position`, where there are records. Nobody may be reading it.
    #[inline(always)]
    fn fetch_line(&self, _position: i64) {}

    /// See [`Form::end_of`].
    #[inline(always)]
    fn end_of(&self, position: i64, word: i64) -> Option<i64>
    where
        Self: Sized,
    {
        Self::Form::end_of(self, position, word)
    }

    /// See [`Form::is_published`].
    fn is_published(&self, position: i64) -> bool
    where
        Self: Sized,
    {
        Self::Form::is_published(self, position)
    }

    /// See [`Form::number_at`].
    #[inline(always)]
    fn number_at(&self, position: i64) -> i64
    where
        Self: Sized,
    {
        Self::Form::number_at(self, position)
    }

    /// See [`Form::begin_from`].
    fn begin_from(&self, position: i64, published: i64) -> i64
    where
        Self: Sized,
    {
        Self::Form::begin_from(self, position, published)
    }

    /// See [`Form::known_begin_from`].
    fn known_begin_from(&self, position: i64, published: i64) -> i64
    where
        Self: Sized,
    {
        Self::Form::known_begin_from(self, position, published)
    }

    /// See [`Form::noted_begin_from`].
    fn noted_begin_from(&self, position: i64, published: i64) -> i64
    where
        Self: Sized,
    {
        Self::Form::noted_begin_from(self, position, published)
    }

    /// See [`Form::published_end`].
    fn published_end(&self) -> (i64, bool)
    where
        Self: Sized,
    {
        Self::Form::published_end(self)
    }

    /// See [`Form::end_from`].
    fn end_from(&self, cursor: i64) -> (i64, bool)
    where
        Self: Sized,
    {
        Self::Form::end_from(self, cursor)
    }

    /// See [`Form::confirms_published`].
    #[inline(always)]
    fn confirms_published(&self, published: i64) -> bool
    where
        Self: Sized,
    {
        Self::Form::confirms_published(self, published)
    }

    /// See [`Form::may_have_been_reached`].
    fn may_have_been_reached(&self, position: i64) -> bool
    where
        Self: Sized,
    {
        Self::Form::may_have_been_reached(self, position)
    }
}

/// The slots of a ring of events.
pub trait SlotMemory: Memory<Form: SlotForm> {
    /// What a slot holds.
    type Event: Copy;

    /// Lets `f` write the payload of event `position`. The pointer is valid and aligned; nobody but taps may read it meanwhile,
    /// which is the sequencer's duty.
    fn with_mut<R>(&self, position: i64, f: impl FnOnce(*mut Self::Event) -> R) -> R;

    /// Lets `f` read the payload of event `position`, which the caller has seen published and still gates.
    fn with<R>(&self, position: i64, f: impl FnOnce(*const Self::Event) -> R) -> R;

    /// Asks for the second cache line of the slot in which event `position` will live, if it has one; the first is the readers' to look at.
    /// Nobody may be reading that slot.
    #[inline(always)]
    fn fetch_second_line(&self, _position: i64) {}

    /// A copy of the payload of event `position` that may race with the producer; the caller believes it only if the form says so.
    fn racing_copy(&self, position: i64) -> Self::Event;
}

/// A ring on the heap of one process: for models, where every word is loom's, and for generated tests.
#[cfg(test)]
pub(crate) struct HeapMemory<E, F: Form = Stamped> {
    control: Control,
    entries: Box<[Entry]>,
    slots: Box<[HeapSlot<E, F>]>,
}

#[cfg(test)]
struct HeapSlot<E, F: Form> {
    header: F::Header,
    #[cfg(not(loom))]
    payload: std::cell::UnsafeCell<E>,
    #[cfg(loom)]
    payload: loom::cell::UnsafeCell<E>,
}

// SAFETY: a payload is written only by the one producer and read only by consumers that gate it; that this is so is what the models
// of the algorithm show.
#[cfg(test)]
unsafe impl<E: Send, F: Form> Sync for HeapMemory<E, F> {}
// SAFETY: as above; the memory owns everything in it.
#[cfg(test)]
unsafe impl<E: Send, F: Form> Send for HeapMemory<E, F> {}

#[cfg(test)]
impl<E: Copy + Default, F: Form> HeapMemory<E, F> {
    /// A ring of `capacity` slots; in one of records, each line carries one `E`.
    pub(crate) fn new(capacity: usize, table_len: usize, sentinel: Option<i64>) -> Self {
        assert!(capacity.is_power_of_two());
        let sentinel = sentinel.unwrap_or(super::control::SENTINEL_LIFTED);
        Self {
            control: Control::new((capacity as i64).min(sentinel), sentinel),
            entries: (0..table_len).map(|_| Entry::new()).collect(),
            slots: (0..capacity)
                .map(|_| HeapSlot { header: F::Header::default(), payload: E::default().into() })
                .collect(),
        }
    }
}

#[cfg(test)]
impl<E, F: Form> HeapMemory<E, F> {
    fn slot(&self, position: i64) -> &HeapSlot<E, F> {
        &self.slots[position as usize & (self.slots.len() - 1)]
    }

    /// Lets `f` write the payload at `position`.
    #[cfg(not(loom))]
    pub(crate) fn with_mut<R>(&self, position: i64, f: impl FnOnce(*mut E) -> R) -> R {
        f(self.slot(position).payload.get())
    }

    /// Lets `f` write the payload at `position`.
    #[cfg(loom)]
    pub(crate) fn with_mut<R>(&self, position: i64, f: impl FnOnce(*mut E) -> R) -> R {
        self.slot(position).payload.with_mut(f)
    }

    /// Lets `f` read the payload at `position`.
    #[cfg(not(loom))]
    pub(crate) fn with<R>(&self, position: i64, f: impl FnOnce(*const E) -> R) -> R {
        f(self.slot(position).payload.get())
    }

    /// Lets `f` read the payload at `position`.
    #[cfg(loom)]
    pub(crate) fn with<R>(&self, position: i64, f: impl FnOnce(*const E) -> R) -> R {
        self.slot(position).payload.with(f)
    }
}

#[cfg(test)]
impl<E, F: Form> Memory for std::sync::Arc<HeapMemory<E, F>> {
    type Form = F;

    fn control(&self) -> &Control {
        &self.control
    }

    fn table_len(&self) -> usize {
        self.entries.len()
    }

    fn entry(&self, index: usize) -> &Entry {
        &self.entries[index]
    }

    fn capacity(&self) -> i64 {
        self.slots.len() as i64
    }

    fn header(&self, position: i64) -> &F::Header {
        &self.slot(position).header
    }
}

#[cfg(test)]
impl<E: Copy, F: SlotForm> SlotMemory for std::sync::Arc<HeapMemory<E, F>> {
    type Event = E;

    fn with_mut<R>(&self, position: i64, f: impl FnOnce(*mut E) -> R) -> R {
        (**self).with_mut(position, f)
    }

    fn with<R>(&self, position: i64, f: impl FnOnce(*const E) -> R) -> R {
        (**self).with(position, f)
    }

    fn racing_copy(&self, _position: i64) -> E {
        unreachable!("loom has no racing reads of plain memory: taps are modelled over `RacingMemory`")
    }
}
