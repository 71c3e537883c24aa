//! [`Memory`], the one type parameter of the algorithm: it gives the words and slots of a ring. Implemented in
//! `ring::memory`.

use super::control::{Control, Entry};
use super::form::{Form, Lines, SlotForm, Worded};
use crate::sync::primitive::AtomicI64;

/// The words of one ring.
pub trait Memory: Sized {
    /// What lies in front of an event.
    type Form: Form;

    /// After this many events that were there at once, a reader is behind and asks the cursor instead of following the
    /// stamps. 1 in the small rings of models and generated tests, so that they come to the cursor.
    const FOLLOW_STAMPS: u32 = 1;

    fn control(&self) -> &Control;

    /// Length of the consumers' table.
    fn table_len(&self) -> usize;

    /// An entry of the table; `index < table_len`.
    fn entry(&self, index: usize) -> &Entry;

    /// All entries, used or not. The high water does not say where to stop: any process may have written over it, and
    /// only the producer remembers how much of the table it has found in use.
    fn entries(&self) -> impl Iterator<Item = &Entry> {
        (0..self.table_len()).map(|index| self.entry(index))
    }

    /// Whether a process holds the lock byte of entry `index`, so that it may read slots whatever the entry says. A
    /// refusal of the kernel proves nothing: `true`. Memory without locks has no owner whose words are not true.
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

    /// The word in front of position `position`: the stamp of the slot in which that event lives, or the commit word of
    /// the line.
    #[inline(always)]
    fn word(&self, position: i64) -> &AtomicI64
    where
        Self::Form: Worded,
    {
        Self::Form::word(self.header(position))
    }

    /// Asks for the line at `position`, where there are records. Nobody may be reading it.
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

    /// Lets `f` write the payload of event `position`. The pointer is valid and aligned; nobody but taps may read it
    /// meanwhile, which is the sequencer's duty.
    fn with_mut<R>(&self, position: i64, f: impl FnOnce(*mut Self::Event) -> R) -> R;

    /// Lets `f` read the payload of event `position`, which the caller has seen published and still gates.
    fn with<R>(&self, position: i64, f: impl FnOnce(*const Self::Event) -> R) -> R;

    /// Asks for the second cache line of the slot in which event `position` will live, if it has one; the first is the
    /// readers' to look at. Nobody may be reading that slot.
    #[inline(always)]
    fn fetch_second_line(&self, _position: i64) {}

    /// A copy of the payload of event `position` that may race with the producer; the caller believes it only if the
    /// form says so.
    fn racing_copy(&self, position: i64) -> Self::Event;
}

/// The lines of a ring of records, for a reader that does not gate them.
pub(crate) trait LineMemory: Memory<Form = Lines> {
    /// Where a payload is copied to.
    type Copy;

    /// Copies `len` bytes of payload, fewer than the ring has, from the record at `position`. That may race with the
    /// producer; the caller believes them only if it has not claimed their lines again.
    fn racing_copy(&self, position: i64, len: usize, into: &mut Self::Copy);
}
