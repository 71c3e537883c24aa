//! Where the words and slots of a ring live.
//!
//! **Lives here:** [`Memory`], the one type parameter of the algorithm, and [`HeapMemory`], its home in models and generated tests.
//! The mapped home is `mapped`. **Builds on:** `control`. **May touch it:** the algorithm.

use super::control::{Control, Entry};
use super::records::walk;
use super::recover;
use crate::sync::cursor::POSITION_MAX;
use crate::sync::primitive::{AtomicI64, Ordering};

/// The words of one ring.
pub(crate) trait Memory {
    /// What a slot holds.
    type Event: Copy;

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

    /// The word in front of position `sequence`, which is not negative: the stamp of the slot in which that event lives, or the commit
    /// word of the line.
    fn stamp(&self, sequence: i64) -> &AtomicI64;

    /// Lets `f` write the payload of event `sequence`. The pointer is valid and aligned; nobody but taps may read it meanwhile,
    /// which is the sequencer's duty.
    fn with_mut<R>(&self, sequence: i64, f: impl FnOnce(*mut Self::Event) -> R) -> R;

    /// Lets `f` read the payload of event `sequence`, which the caller has seen published and still gates.
    fn with<R>(&self, sequence: i64, f: impl FnOnce(*const Self::Event) -> R) -> R;

    /// Asks for the second cache line of the slot in which event `sequence` will live, if it has one; the first is the readers' to look at.
    /// Nobody may be reading that slot.
    #[inline(always)]
    fn fetch_second_line(&self, _sequence: i64) {}

    /// Asks for the line at `position`, where there are records. Nobody may be reading it.
    #[inline(always)]
    fn fetch_line(&self, _position: i64) {}

    /// Whether the slots are lines of records, so that where an event ends stands in its first line. See `records`.
    #[inline(always)]
    fn holds_records(&self) -> bool {
        false
    }

    /// The second word of the line at `position`, where there are records: the number of the one that begins, or will begin, there.
    fn number(&self, _position: i64) -> &AtomicI64 {
        unreachable!("asked only where there are records")
    }

    /// The position behind the event that begins at `position`, if `word`, which stands in front of it, says that it is published.
    #[inline(always)]
    fn end_of(&self, position: i64, word: i64) -> Option<i64>
    where
        Self: Sized,
    {
        if self.holds_records() {
            walk::end_of(self, position, word)
        } else {
            (word == position + 1).then_some(position + 1)
        }
    }

    /// Whether what begins at `position` is record `number`; of slots, whose stamps tell, always.
    #[inline(always)]
    fn is_numbered(&self, position: i64, number: i64) -> bool {
        !self.holds_records() || self.number(position).load(Ordering::Relaxed) == number
    }

    /// Whether the word at `position` says that an event is there, and the words around it agree.
    fn is_published(&self, position: i64) -> bool
    where
        Self: Sized,
    {
        // Acquire: as in `Reader::look`.
        let word = self.stamp(position).load(Ordering::Acquire);
        self.end_of(position, word).is_some()
            && (!self.holds_records()
                || walk::leads_on(self, position, word)
                || self.control().cursor.acquire() > position)
    }

    /// What users call the event that begins, or will begin, at `position`: its sequence.
    fn number_at(&self, position: i64) -> i64 {
        if !self.holds_records() {
            return position;
        }
        // A number from shared memory, with which somebody will do arithmetic.
        self.number(position).load(Ordering::Relaxed).clamp(0, POSITION_MAX)
    }

    /// The lowest position from `position` on at which an event begins, or `published`. The caller keeps the producer off what lies from there on.
    fn begin_from(&self, position: i64, published: i64) -> i64
    where
        Self: Sized,
    {
        if self.holds_records() { walk::begin_from(self, position, published) } else { position }
    }

    /// The lowest position from `position` on at which some word says that an event begins, or `published`.
    fn known_begin_from(&self, position: i64, published: i64) -> i64
    where
        Self: Sized,
    {
        if !self.holds_records() {
            return position;
        }
        walk::known_begin(self, position, published)
    }

    /// [`known_begin_from`](Self::known_begin_from) for a producer that has found no consumer in the table.
    fn noted_begin_from(&self, position: i64, published: i64) -> i64
    where
        Self: Sized,
    {
        if !self.holds_records() {
            return position;
        }
        walk::noted_begin(self, position, published)
    }

    /// The end of what was published, when its producer is not there to say it, and whether the cursor could be believed.
    fn published_end(&self) -> (i64, bool)
    where
        Self: Sized,
    {
        if self.holds_records() { walk::published_end(self) } else { recover::published_end(self) }
    }

    /// Where the published events end as far as `cursor` and the words around it tell, and whether these do not contradict it. In a model no
    /// cursor is forged, and loom pays for each look.
    fn end_from(&self, cursor: i64) -> (i64, bool)
    where
        Self: Sized,
    {
        match self.holds_records() {
            _ if cfg!(loom) => (cursor, true),
            true => walk::end_from(self, cursor),
            false => recover::end_from(self, cursor),
        }
    }

    /// Whether the word before `published` says that everything before it is published. Where there are records, only who follows them can
    /// tell, and each of them is looked at before it is read.
    #[inline(always)]
    fn confirms_published(&self, published: i64) -> bool {
        self.holds_records() || self.stamp(published - 1).load(Ordering::Relaxed) == published
    }

    /// Whether the words of the ring allow that everything before `position` was published once.
    fn may_have_been_reached(&self, position: i64) -> bool
    where
        Self: Sized,
    {
        if self.holds_records() {
            walk::may_have_been_reached(self, position)
        } else {
            recover::may_have_been_reached(self, position)
        }
    }

    /// A copy of the payload of event `sequence` that may race with the producer; the caller believes it only if the stamp says so.
    fn racing_copy(&self, sequence: i64) -> Self::Event;
}

/// A ring on the heap of one process: for models, where every word is loom's, and for generated tests.
#[cfg(test)]
pub(crate) struct HeapMemory<E> {
    control: Control,
    entries: Box<[Entry]>,
    slots: Box<[HeapSlot<E>]>,
    holds_records: bool,
}

#[cfg(test)]
struct HeapSlot<E> {
    stamp: AtomicI64,
    number: AtomicI64,
    #[cfg(not(loom))]
    payload: std::cell::UnsafeCell<E>,
    #[cfg(loom)]
    payload: loom::cell::UnsafeCell<E>,
}

// SAFETY: a payload is written only by the one producer and read only by consumers that gate it; that this is so is what the models
// of the algorithm show.
#[cfg(test)]
unsafe impl<E: Send> Sync for HeapMemory<E> {}
// SAFETY: as above; the memory owns everything in it.
#[cfg(test)]
unsafe impl<E: Send> Send for HeapMemory<E> {}

#[cfg(test)]
impl<E: Copy + Default> HeapMemory<E> {
    pub(crate) fn new(capacity: usize, table_len: usize, sentinel: Option<i64>) -> Self {
        assert!(capacity.is_power_of_two());
        let sentinel = sentinel.unwrap_or(super::control::SENTINEL_LIFTED);
        Self {
            control: Control::new((capacity as i64).min(sentinel), sentinel),
            entries: (0..table_len).map(|_| Entry::new()).collect(),
            slots: (0..capacity)
                .map(|_| HeapSlot { stamp: AtomicI64::new(0), number: AtomicI64::new(0), payload: E::default().into() })
                .collect(),
            holds_records: false,
        }
    }

    /// A ring of `lines` lines, each of which carries one `E`.
    #[cfg(loom)]
    pub(crate) fn of_records(lines: usize, table_len: usize) -> Self {
        Self { holds_records: true, ..Self::new(lines, table_len, None) }
    }
}

#[cfg(test)]
impl<E> HeapMemory<E> {
    fn slot(&self, sequence: i64) -> &HeapSlot<E> {
        &self.slots[sequence as usize & (self.slots.len() - 1)]
    }
}

#[cfg(test)]
impl<E: Copy> Memory for std::sync::Arc<HeapMemory<E>> {
    type Event = E;

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

    fn stamp(&self, sequence: i64) -> &AtomicI64 {
        &self.slot(sequence).stamp
    }

    fn holds_records(&self) -> bool {
        self.holds_records
    }

    fn number(&self, position: i64) -> &AtomicI64 {
        &self.slot(position).number
    }

    #[cfg(not(loom))]
    fn with_mut<R>(&self, sequence: i64, f: impl FnOnce(*mut E) -> R) -> R {
        f(self.slot(sequence).payload.get())
    }

    #[cfg(loom)]
    fn with_mut<R>(&self, sequence: i64, f: impl FnOnce(*mut E) -> R) -> R {
        self.slot(sequence).payload.with_mut(f)
    }

    #[cfg(not(loom))]
    fn with<R>(&self, sequence: i64, f: impl FnOnce(*const E) -> R) -> R {
        f(self.slot(sequence).payload.get())
    }

    #[cfg(loom)]
    fn with<R>(&self, sequence: i64, f: impl FnOnce(*const E) -> R) -> R {
        self.slot(sequence).payload.with(f)
    }

    fn racing_copy(&self, _sequence: i64) -> E {
        unreachable!("loom has no racing reads of plain memory: taps are modelled over `RacingMemory`")
    }
}
