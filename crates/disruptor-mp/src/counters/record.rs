//! A counter that was registered under a label, or for an end that was attached to a file.
//!
//! The process that claimed the record writes its description; its one writer counts; every process may read.
//!
//! ```text
//! free --claim--> claiming --fill--> ready --release--> released --claim--> claiming ...
//! ```
//! Only records of attached ends are released. The count stays until the record is claimed again.

use super::snapshot::{COUNTER_FLAG_IN_USE, CounterOwner, CounterSnapshot};
use super::text::Text;
use crate::sync::primitive::{AtomicU32, AtomicU64, Ordering, fence};

/// Bytes of a label that are kept; a longer one is cut at the last character that fits.
pub const LABEL_BYTES_MAX: usize = 48;

const LABEL_WORDS: usize = LABEL_BYTES_MAX / 8;

// The states of a record. Any other number is a damaged record and is skipped like one that is being claimed.
const FREE: u32 = 0;
const CLAIMING: u32 = 1;
const READY: u32 = 2;
const RELEASED: u32 = 3;

/// One counter: its description and its value. Every bit pattern is valid.
///
/// Description and value share their lines: the description is written once, and the value has one writer.
#[derive(Default)]
#[repr(C, align(128))]
pub(super) struct Record {
    state: AtomicU32,
    id: AtomicU32,
    flags: AtomicU32,
    owner_pid: AtomicU32,
    /// Which attached end counts here; 0 for a counter that was registered.
    number: AtomicU32,
    label_len: AtomicU32,
    label: [AtomicU64; LABEL_WORDS],
    ring_len: AtomicU32,
    /// One plus the lock byte that shows that the process of the attached end lives; 0 if it has none.
    lock_plus_one: AtomicU32,
    ring: [AtomicU64; LABEL_WORDS - 1],
    count: AtomicU64,
}

const _: () = assert!(size_of::<Record>() == 128 && core::mem::offset_of!(Record, count) == 120);

/// Which end counts in a record.
#[derive(Clone, Copy)]
pub(super) struct AttachedEnd {
    /// Unique in this table; 0: not an end, but a registered counter.
    pub(super) number: u32,
    /// The lock byte that shows that its process lives.
    pub(super) lock: Option<u32>,
}

impl AttachedEnd {
    /// The value for a registered counter.
    pub(super) const NONE: Self = Self { number: 0, lock: None };
}

/// The subject of a record: two records are the same counter if their subjects are equal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Subject {
    id: u32,
    label: Text<LABEL_WORDS>,
    ring: Text<{ LABEL_WORDS - 1 }>,
}

impl Subject {
    /// A counter that is registered by its label.
    pub(super) fn registered(id: u32, label: &str) -> Self {
        Self::attached(id, label, "")
    }

    /// A counter of an end of `ring`.
    pub(super) fn attached(id: u32, label: &str, ring: &str) -> Self {
        Self { id, label: Text::beginning_of(label), ring: Text::end_of(ring) }
    }
}

impl Record {
    fn is(&self, state: u32) -> bool {
        let found = self.state.load(Ordering::Relaxed);
        // Acquire, partner in `fill`: a reader that sees READY sees the description. A relaxed load and a fence,
        // because the mapping may be read-only and the language guarantees only relaxed loads there.
        fence(Ordering::Acquire);
        found == state
    }

    /// Whether this record is the registered counter `subject`, so that its count continues.
    pub(super) fn is_registered_as(&self, subject: &Subject) -> bool {
        self.is(READY) && self.number.load(Ordering::Relaxed) == 0 && self.subject() == *subject
    }

    /// Whether this record belonged to `subject`, and its owner is gone.
    pub(super) fn is_released_by(&self, subject: &Subject) -> bool {
        self.is(RELEASED) && self.subject() == *subject
    }

    /// Claims this record if it was never used, and says whether the caller has it now.
    pub(super) fn claim_free(&self) -> bool {
        self.claim(FREE)
    }

    /// Claims this record if it was released, and says whether the caller has it now.
    pub(super) fn claim_released(&self) -> bool {
        self.claim(RELEASED)
    }

    fn claim(&self, from: u32) -> bool {
        // Acquire, partner in `release`: our stores come after the last store of the old owner.
        let claimed = self.state.compare_exchange(from, CLAIMING, Ordering::Acquire, Ordering::Relaxed).is_ok();
        if claimed {
            // Release, partner in `look`: a reader that sees a store of ours does not see the old state again.
            fence(Ordering::Release);
        }
        claimed
    }

    /// Describes a counter in a record that the caller has claimed, and publishes it. The count continues if it
    /// belonged to the same subject.
    pub(super) fn fill(&self, subject: &Subject, flags: u32, owner_pid: u32, end: AttachedEnd) {
        if self.subject() != *subject {
            self.count.store(0, Ordering::Relaxed);
        }
        self.id.store(subject.id, Ordering::Relaxed);
        self.number.store(end.number, Ordering::Relaxed);
        self.lock_plus_one.store(end.lock.map_or(0, |byte| byte.saturating_add(1)), Ordering::Relaxed);
        self.label_len.store(subject.label.len_bytes(), Ordering::Relaxed);
        subject.label.store(&self.label);
        self.ring_len.store(subject.ring.len_bytes(), Ordering::Relaxed);
        subject.ring.store(&self.ring);
        self.set_owner(owner_pid, flags);
        // Release pairs with the fences in `is` and `look`.
        self.state.store(READY, Ordering::Release);
    }

    /// Stores the new owner and its flags.
    pub(super) fn set_owner(&self, owner_pid: u32, flags: u32) {
        self.owner_pid.store(owner_pid, Ordering::Relaxed);
        self.flags.store(flags, Ordering::Relaxed);
    }

    /// Releases the record of the attached end `number`, so that another end may claim it. Does nothing if the record
    /// is not its own.
    pub(super) fn release(&self, number: u32) {
        if self.is(READY) && self.number.load(Ordering::Relaxed) == number {
            // Release, partner in `claim`.
            self.state.store(RELEASED, Ordering::Release);
        }
    }

    /// The lock byte of the process whose attached end counts here; `None` if there is no such end, or it has no lock.
    pub(super) fn lock(&self) -> Option<u32> {
        let is_attached = self.is(READY) && self.number.load(Ordering::Relaxed) != 0;
        is_attached.then(|| self.lock_plus_one.load(Ordering::Relaxed).checked_sub(1)).flatten()
    }

    /// [`release`](Self::release) by the holder of that lock byte: the end that counted under the byte is gone.
    pub(super) fn release_for(&self, lock: u32) {
        if self.lock() == Some(lock) {
            self.release(self.number.load(Ordering::Relaxed));
        }
    }

    /// The word with the count.
    pub(super) fn count(&self) -> &AtomicU64 {
        &self.count
    }

    fn subject(&self) -> Subject {
        Subject {
            id: self.id.load(Ordering::Relaxed),
            label: Text::load(self.label_len.load(Ordering::Relaxed), &self.label),
            ring: Text::load(self.ring_len.load(Ordering::Relaxed), &self.ring),
        }
    }

    /// The counter; `None` if it cannot be read as a whole.
    pub(super) fn look(&self) -> Option<CounterSnapshot> {
        let state = self.state.load(Ordering::Relaxed);
        // Acquire, partner in `fill`.
        fence(Ordering::Acquire);
        if state != READY && state != RELEASED {
            return None;
        }
        let number = self.number.load(Ordering::Relaxed);
        let Subject { id, label, ring } = self.subject();
        let (flags, owner_pid) = (self.flags.load(Ordering::Relaxed), self.owner_pid.load(Ordering::Relaxed));
        let value = self.count.load(Ordering::Relaxed);
        // Acquire, partner in `claim`: if we read a store of the next owner, the record is claimed now, or has the
        // number of that owner.
        fence(Ordering::Acquire);
        let now = self.state.load(Ordering::Relaxed);
        if (now != READY && now != RELEASED) || self.number.load(Ordering::Relaxed) != number {
            return None;
        }
        let (owner, flags) = match number {
            0 => (CounterOwner::Registered, flags),
            _ if state == READY => (CounterOwner::Attached { ring: ring.into(), number }, flags | COUNTER_FLAG_IN_USE),
            _ => (CounterOwner::Attached { ring: ring.into(), number }, flags),
        };
        Some(CounterSnapshot::new(id, flags, value, label.into(), owner, owner_pid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(subject: &Subject, number: u32) -> Record {
        let record = Record::default();
        assert!(record.claim_free());
        record.fill(subject, 0, 7, AttachedEnd { number, lock: None });
        record
    }

    #[test]
    fn a_record_that_was_released_goes_on_for_the_same_and_begins_anew_for_another() {
        let (first, other) = (Subject::attached(0x20, "w", "shm:a"), Subject::attached(0x20, "w", "shm:b"));
        let record = filled(&first, 1);
        record.count().store(5, Ordering::Relaxed);
        assert!(!record.claim_released() && !record.claim_free(), "its owner counts");
        record.release(2);
        assert!(!record.claim_released(), "released by what does not own it");

        record.release(1);
        assert!(record.is_released_by(&first) && !record.is_released_by(&other));
        assert_eq!(record.look().unwrap().value, 5, "shown until it is taken");
        assert!(record.claim_released() && record.look().is_none());
        record.fill(&first, 0, 7, AttachedEnd { number: 2, lock: None });
        assert_eq!(record.look().unwrap().value, 5);

        record.release(2);
        assert!(record.claim_released());
        record.fill(&other, 0, 7, AttachedEnd { number: 3, lock: None });
        let seen = record.look().unwrap();
        assert_eq!((seen.value, seen.owner), (0, CounterOwner::Attached { ring: "shm:b".into(), number: 3 }));
    }

    #[test]
    fn the_holder_of_a_lock_releases_what_was_counted_under_it_and_nothing_else() {
        let subject = Subject::attached(0x20, "w", "shm:a");
        let counting = |number, lock| {
            let record = Record::default();
            assert!(record.claim_free());
            record.fill(&subject, 0, 7, AttachedEnd { number, lock });
            record
        };
        let records = [counting(1, Some(2)), counting(2, Some(3)), counting(3, None), counting(0, Some(2))];
        assert_eq!(records.each_ref().map(Record::lock), [Some(2), Some(3), None, None]);
        records.iter().for_each(|record| record.release_for(2));
        assert_eq!(records.each_ref().map(|record| record.is(RELEASED)), [true, false, false, false]);
    }

    #[test]
    fn a_damaged_state_is_not_shown_and_not_taken() {
        let record = filled(&Subject::registered(0x100, "a"), 0);
        record.state.store(0xDEAD_BEEF, Ordering::Relaxed);
        assert!(record.look().is_none() && !record.claim_free() && !record.claim_released());
    }

    #[test]
    fn a_label_length_beyond_the_label_is_cut_and_bad_utf8_is_replaced() {
        let record = filled(&Subject::registered(0x100, "abc"), 0);
        record.label_len.store(u32::MAX, Ordering::Relaxed);
        assert_eq!(record.look().unwrap().label.len(), LABEL_BYTES_MAX);
        record.label[0].store(u64::MAX, Ordering::Relaxed);
        assert!(record.look().unwrap().label.starts_with('\u{FFFD}'));
    }
}
