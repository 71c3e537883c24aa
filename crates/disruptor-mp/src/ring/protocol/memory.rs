//! [`Memory`], the one type parameter of the algorithm: it gives the words and slots of a ring. Implemented in
//! `ring::memory`.

use super::control::{Control, Entry};
use super::form::{Form, Lines, SlotForm, Worded};
use crate::sync::primitive::AtomicI64;

/// The words of one ring.
pub trait Memory: Sized {
    /// What is in front of an event.
    type Form: Form;

    /// After this many events without a wait, a reader lags. It then asks the cursor instead of following the stamps. 1
    /// in the small rings of models and generated tests, so that they reach the cursor.
    const FOLLOW_STAMPS: u32 = 1;

    fn control(&self) -> &Control;

    /// Length of the consumers' table.
    fn table_len(&self) -> usize;

    /// An entry of the table; `index < table_len`.
    fn entry(&self, index: usize) -> &Entry;

    /// All entries, used or not. The high water does not say where to stop: any process may have overwritten it, and
    /// only the producer remembers how much of the table it has found in use.
    fn entries(&self) -> impl Iterator<Item = &Entry> {
        (0..self.table_len()).map(|index| self.entry(index))
    }

    /// Whether a process holds the lock byte of entry `index`, so that it may read slots whatever the entry says. If
    /// the kernel refuses to tell: `true`. In memory without locks the words are always true.
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

    /// The word in front of position `position`: the stamp of the slot of that event, or the commit word of the line.
    #[inline(always)]
    fn word(&self, position: i64) -> &AtomicI64
    where
        Self::Form: Worded,
    {
        Self::Form::word(self.header(position))
    }

    /// Prefetches the line at `position`, in a ring of records. No reader may be reading it.
    #[inline(always)]
    fn fetch_line(&self, _position: i64) {}

    /// See [`Form::end_of`].
    #[inline(always)]
    fn end_of(&self, position: i64) -> Option<i64> {
        Self::Form::end_of(self, position)
    }

    /// See [`Form::is_published`].
    fn is_published(&self, position: i64) -> bool {
        Self::Form::is_published(self, position)
    }

    /// See [`Form::number_at`].
    #[inline(always)]
    fn number_at(&self, position: i64) -> i64 {
        Self::Form::number_at(self, position)
    }

    /// See [`Form::begin_from`].
    fn begin_from(&self, position: i64, published: i64) -> i64 {
        Self::Form::begin_from(self, position, published)
    }

    /// See [`Form::known_begin_from`].
    fn known_begin_from(&self, position: i64, published: i64) -> i64 {
        Self::Form::known_begin_from(self, position, published)
    }

    /// See [`Form::noted_begin_from`].
    fn noted_begin_from(&self, position: i64, published: i64) -> i64 {
        Self::Form::noted_begin_from(self, position, published)
    }

    /// See [`Form::published_end`].
    fn published_end(&self) -> (i64, bool) {
        Self::Form::published_end(self)
    }

    /// See [`Form::end_from`].
    fn end_from(&self, cursor: i64) -> (i64, bool) {
        Self::Form::end_from(self, cursor)
    }

    /// See [`Form::confirms_published`].
    #[inline(always)]
    fn confirms_published(&self, published: i64) -> bool {
        Self::Form::confirms_published(self, published)
    }

    /// See [`Form::may_have_been_reached`].
    fn may_have_been_reached(&self, position: i64) -> bool {
        Self::Form::may_have_been_reached(self, position)
    }
}

/// The slots of a ring of events.
pub trait SlotMemory: Memory<Form: SlotForm> {
    /// What a slot holds.
    type Event: Copy;

    /// Lets `f` write the payload of event `position`. The pointer is valid and aligned. Only taps may read it
    /// meanwhile, which is the sequencer's duty.
    fn with_mut<R>(&self, position: i64, f: impl FnOnce(*mut Self::Event) -> R) -> R;

    /// Lets `f` read the payload of event `position`, which the caller has seen published and still gates.
    fn with<R>(&self, position: i64, f: impl FnOnce(*const Self::Event) -> R) -> R;

    /// Prefetches the second cache line of the slot of event `position`, if it has one; the first belongs to the
    /// readers that wait. No reader may be reading that slot.
    #[inline(always)]
    fn fetch_second_line(&self, _position: i64) {}

    /// Prefetches all lines of the slot of event `position`. No reader may be reading it.
    #[inline(always)]
    fn fetch_slot(&self, _position: i64) {}

    /// A copy of the payload of event `position` that may race with the producer. The caller believes it only if the
    /// form says so.
    fn racing_copy(&self, position: i64) -> Self::Event;
}

/// The lines of a ring of records, for a reader that does not gate them.
pub(crate) trait LineMemory: Memory<Form = Lines> {
    /// Where a payload is copied to.
    type Copy;

    /// Copies `len` bytes of payload, fewer than the ring has, from the record at `position`. The copy may race with
    /// the producer. The caller believes it only if the producer has not claimed those lines again.
    fn racing_copy(&self, position: i64, len: usize, into: &mut Self::Copy);
}
