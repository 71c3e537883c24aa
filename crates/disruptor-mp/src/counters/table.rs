//! What the bytes of a table mean, and how a record in it is found, claimed and read.
//!
//! **Lives here:** the three wire types, [`Table`] with its two operations, [`TableError`]. **Builds on:** `primitive`.
//! **May touch it:** `memory` makes the references, `file` and `handle` call the operations. Everything read here may
//! have been written by a confused peer: it is copied once, checked, then used.

use crate::sync::primitive::{AtomicU32, AtomicU64, Ordering, fence};

/// Bytes of a label that are kept; a longer one is cut at the last character that fits.
pub const LABEL_BYTES_MAX: usize = 48;

/// The most counters that one table holds: 16 MiB, and a bound on what a snapshot of a hostile table allocates. A ring
/// with 1000 consumers needs a sixth of it.
pub const CAPACITY_MAX: u32 = 1 << 16;

/// Size and alignment of the header, of a record and of a value: two cache lines of 64 bytes, or one of 128.
pub(super) const LINE_BYTES: usize = 128;

const MAGIC: u64 = u64::from_ne_bytes(*b"MYELCNTR");
const VERSION: u32 = 1;
const LABEL_WORDS: usize = LABEL_BYTES_MAX / 8;

// The states of a record. Any other number is a damaged record and is passed over like one that is being claimed.
const FREE: u32 = 0;
const CLAIMING: u32 = 1;
const READY: u32 = 2;

/// Bytes of a table with room for `capacity` counters.
pub(crate) const fn section_len(capacity: u32) -> u64 {
    LINE_BYTES as u64 * (1 + 2 * capacity as u64)
}

/// How many counters fit into `len_bytes`, at most [`CAPACITY_MAX`]; 0 if there is no room for one.
pub(super) fn capacity_for(len_bytes: usize) -> u32 {
    let lines = len_bytes / LINE_BYTES;
    u32::try_from(lines.saturating_sub(1) / 2).unwrap_or(CAPACITY_MAX).min(CAPACITY_MAX)
}

/// Why some bytes cannot be used as a table of counters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The memory does not start on a multiple of 128. Place it elsewhere.
    #[error("a table of counters starts on a multiple of 128, not at address {address:#x}")]
    Misaligned {
        /// Where it starts.
        address: usize,
    },
    /// The memory ends before the table does: a truncated file, or too little room for a new table.
    #[error("the table of counters takes {needed} bytes, there are {len}")]
    TooShort {
        /// Bytes that are there.
        len: usize,
        /// Bytes that the table takes, or the smallest table there is.
        needed: u64,
    },
    /// The first word is still 0: its creator is not done, or died before it was. Try again while it lives.
    #[error("the table of counters is not ready yet")]
    NotReady,
    /// These bytes are something else, or come from a machine with another byte order.
    #[error("this is not a table of counters: its first word is {found:#018x}")]
    WrongMagic {
        /// The first word.
        found: u64,
    },
    /// Another build of this crate made the table. Read it with that one.
    #[error("the table of counters has version {found}, this build needs {wanted}")]
    OtherVersion {
        /// The table's version.
        found: u32,
        /// This build's version.
        wanted: u32,
    },
    /// The table says that it has no counters, or more than there can be: it is damaged.
    #[error("the table of counters claims to hold {found} counters, possible are 1 to {max}")]
    BadCapacity {
        /// What the header says.
        found: u32,
        /// [`CAPACITY_MAX`].
        max: u32,
    },
}

/// One counter as it was when somebody looked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CounterSnapshot {
    /// What is counted: one of [`ids`](super::ids), or an application's own.
    pub id: u32,
    /// What the owner passed when it registered; this crate gives no meaning to it.
    pub flags: u32,
    /// The count, in the unit that the id defines. Stale as soon as it has been read, never torn.
    pub value: u64,
    /// Whose count it is. Bytes that are not UTF-8, which only a damaged table has, are replaced by U+FFFD.
    pub label: String,
    /// The process that registered the counter last, by the number its own pid namespace gives it. It may be dead.
    pub owner_pid: u32,
}

/// The first line of a table. Every bit pattern is valid, here and in the other two wire types.
#[derive(Default)]
#[repr(C, align(128))]
pub(super) struct Header {
    magic: AtomicU64,
    version: AtomicU32,
    capacity: AtomicU32,
    reserved: [AtomicU64; 14],
}

/// What a counter is. Owned by whoever moved `state` from free to claiming; not changed after ready, except for the
/// owner's pid and the flags when the same counter is registered again.
#[derive(Default)]
#[repr(C, align(128))]
pub(super) struct Record {
    state: AtomicU32,
    id: AtomicU32,
    flags: AtomicU32,
    owner_pid: AtomicU32,
    label_len: AtomicU32,
    reserved_a: AtomicU32,
    label: [AtomicU64; LABEL_WORDS],
    reserved_b: [AtomicU64; 7],
}

/// How much a counter has counted, alone on its lines.
#[derive(Default)]
#[repr(C, align(128))]
pub(super) struct Value {
    count: AtomicU64,
    reserved: [AtomicU64; 15],
}

const _: () = assert!(size_of::<Header>() == LINE_BYTES && align_of::<Header>() == LINE_BYTES);
const _: () = assert!(size_of::<Record>() == LINE_BYTES && align_of::<Record>() == LINE_BYTES);
const _: () = assert!(size_of::<Value>() == LINE_BYTES && align_of::<Value>() == LINE_BYTES);
const _: () = assert!(core::mem::offset_of!(Record, label) == 24);

impl Header {
    /// Declares a zeroed table of `capacity` counters ready.
    pub(super) fn publish(&self, capacity: u32) {
        self.version.store(VERSION, Ordering::Relaxed);
        self.capacity.store(capacity, Ordering::Relaxed);
        // Release pairs with the fence in `check`: who sees the magic sees the zeros and the two numbers as well.
        self.magic.store(MAGIC, Ordering::Release);
    }

    /// The capacity of the table that starts here and has `len_bytes` bytes, once everything about it has been checked.
    pub(super) fn check(&self, len_bytes: usize) -> Result<u32, TableError> {
        match self.magic.load(Ordering::Relaxed) {
            MAGIC => {}
            0 => return Err(TableError::NotReady),
            found => return Err(TableError::WrongMagic { found }),
        }
        // Acquire, partner in `publish`. A relaxed load and a fence, because the mapping may be read-only and the
        // language guarantees only relaxed loads there.
        fence(Ordering::Acquire);
        let found = self.version.load(Ordering::Relaxed);
        if found != VERSION {
            return Err(TableError::OtherVersion { found, wanted: VERSION });
        }
        let capacity = self.capacity.load(Ordering::Relaxed);
        if capacity == 0 || capacity > CAPACITY_MAX {
            return Err(TableError::BadCapacity { found: capacity, max: CAPACITY_MAX });
        }
        let needed = section_len(capacity);
        if (len_bytes as u64) < needed {
            return Err(TableError::TooShort { len: len_bytes, needed });
        }
        Ok(capacity)
    }
}

impl Value {
    /// The count.
    #[inline]
    pub(super) fn get(&self) -> u64 {
        // Relaxed, here and below: a count orders nothing, and a reader needs no more than some value it once had.
        self.count.load(Ordering::Relaxed)
    }

    /// Replaces the count. Single writer: of two that read, compute and set at the same time, one is lost.
    #[inline]
    pub(super) fn set(&self, count: u64) {
        self.count.store(count, Ordering::Relaxed);
    }
}

/// A label as a record holds it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Label {
    len_bytes: u32,
    words: [u64; LABEL_WORDS],
}

impl Label {
    /// The first characters of `text` that fit.
    fn cut(text: &str) -> Self {
        let mut end = text.len().min(LABEL_BYTES_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let mut bytes = [0; LABEL_BYTES_MAX];
        bytes[..end].copy_from_slice(&text.as_bytes()[..end]);
        let mut words = [0; LABEL_WORDS];
        for (word, chunk) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = u64::from_ne_bytes(*chunk);
        }
        Self { len_bytes: end as u32, words }
    }

    /// As text, whatever the bytes are.
    fn to_text(self) -> String {
        let mut bytes = [0; LABEL_BYTES_MAX];
        for (chunk, word) in bytes.as_chunks_mut().0.iter_mut().zip(self.words) {
            *chunk = word.to_ne_bytes();
        }
        let end = (self.len_bytes as usize).min(LABEL_BYTES_MAX);
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    }
}

impl Record {
    fn is_ready(&self) -> bool {
        let ready = self.state.load(Ordering::Relaxed) == READY;
        // Acquire, partner in `fill`: who sees ready sees id and label. A fence for the reason given in
        // `Header::check`.
        fence(Ordering::Acquire);
        ready
    }

    /// Whether this free record now belongs to the caller.
    fn claim(&self) -> bool {
        // Relaxed is enough: a record is free only once, so there is no earlier owner whose stores we would have to
        // see.
        self.state.compare_exchange(FREE, CLAIMING, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Describes a counter in a record that the caller has claimed, and shows it to everybody.
    fn fill(&self, id: u32, label: Label) {
        self.id.store(id, Ordering::Relaxed);
        self.label_len.store(label.len_bytes, Ordering::Relaxed);
        for (word, text) in self.label.iter().zip(label.words) {
            word.store(text, Ordering::Relaxed);
        }
        // Release pairs with the fence in `is_ready`.
        self.state.store(READY, Ordering::Release);
    }

    /// Who counts from now on, and the flags it gave.
    fn set_owner(&self, owner_pid: u32, flags: u32) {
        self.owner_pid.store(owner_pid, Ordering::Relaxed);
        self.flags.store(flags, Ordering::Relaxed);
    }

    fn label(&self) -> Label {
        let mut words = [0; LABEL_WORDS];
        for (copy, word) in words.iter_mut().zip(&self.label) {
            *copy = word.load(Ordering::Relaxed);
        }
        Label { len_bytes: self.label_len.load(Ordering::Relaxed), words }
    }
}

/// The two arrays of one table, equally long.
#[derive(Clone, Copy)]
pub(super) struct Table<'a> {
    pub(super) records: &'a [Record],
    pub(super) values: &'a [Value],
}

impl Table<'_> {
    /// The index of the record for (`id`, `label`): the one that exists, or else the first free one. `None`: none is
    /// free.
    ///
    /// One pass answers both questions, because records are claimed from the front and never freed. Records that
    /// somebody else is just claiming are passed over, for their owner may be stopped or dead.
    pub(super) fn register(&self, id: u32, flags: u32, label: &str, owner_pid: u32) -> Option<usize> {
        let label = Label::cut(label);
        for (index, record) in self.records.iter().enumerate() {
            if record.claim() {
                record.set_owner(owner_pid, flags);
                record.fill(id, label);
                return Some(index);
            }
            if record.is_ready() && record.id.load(Ordering::Relaxed) == id && record.label() == label {
                record.set_owner(owner_pid, flags);
                return Some(index);
            }
        }
        None
    }

    /// Every counter that is ready, in the order of the table.
    pub(super) fn snapshot(&self) -> Vec<CounterSnapshot> {
        let ready = self.records.iter().zip(self.values).filter(|(record, _)| record.is_ready());
        ready
            .map(|(record, value)| CounterSnapshot {
                id: record.id.load(Ordering::Relaxed),
                flags: record.flags.load(Ordering::Relaxed),
                value: value.get(),
                label: record.label().to_text(),
                owner_pid: record.owner_pid.load(Ordering::Relaxed),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines<T: Default>(count: usize) -> Vec<T> {
        (0..count).map(|_| T::default()).collect()
    }

    #[test]
    fn capacity_and_length_agree() {
        for capacity in [1, 2, 63, 1000, CAPACITY_MAX] {
            let len = usize::try_from(section_len(capacity)).unwrap();
            assert_eq!(capacity_for(len), capacity);
            assert_eq!(capacity_for(len - 1), capacity - 1, "one byte short");
        }
        assert_eq!(capacity_for(0), 0);
        assert_eq!(capacity_for(usize::MAX), CAPACITY_MAX);
        assert_eq!(section_len(u32::MAX), 128 * (1 + 2 * 0xFFFF_FFFF));
    }

    #[test]
    fn a_record_whose_owner_died_while_claiming_is_passed_over() {
        let (records, values) = (lines::<Record>(3), lines::<Value>(3));
        let table = Table { records: &records, values: &values };
        assert!(records[0].claim(), "and then its owner dies");

        assert_eq!(table.register(0x100, 0, "alive", 7), Some(1));
        assert_eq!(table.register(0x100, 0, "alive", 8), Some(1), "found behind the dead one");
        assert_eq!(table.register(0x100, 0, "another", 7), Some(2));
        assert_eq!(table.register(0x100, 0, "one too many", 7), None);
        assert_eq!(table.snapshot().len(), 2, "the dead one is not shown");
    }

    #[test]
    fn a_damaged_state_is_passed_over() {
        let (records, values) = (lines::<Record>(2), lines::<Value>(2));
        let table = Table { records: &records, values: &values };
        records[0].state.store(0xDEAD_BEEF, Ordering::Relaxed);
        assert_eq!(table.register(0x100, 0, "alive", 7), Some(1));
        assert_eq!(table.snapshot().len(), 1);
    }

    #[test]
    fn a_label_length_beyond_the_label_is_cut_and_bad_utf8_is_replaced() {
        let (records, values) = (lines::<Record>(1), lines::<Value>(1));
        let table = Table { records: &records, values: &values };
        table.register(0x100, 0, "abc", 7).unwrap();
        records[0].label_len.store(u32::MAX, Ordering::Relaxed);
        assert_eq!(table.snapshot()[0].label.len(), LABEL_BYTES_MAX);
        records[0].label[0].store(u64::MAX, Ordering::Relaxed);
        assert!(table.snapshot()[0].label.starts_with('\u{FFFD}'));
    }

    #[test]
    fn each_defect_of_a_header_has_its_own_error() {
        let len = usize::try_from(section_len(4)).unwrap();
        let header = Header::default();
        assert_eq!(header.check(len), Err(TableError::NotReady));
        header.publish(4);
        assert_eq!(header.check(len), Ok(4));
        assert_eq!(header.check(len - 1), Err(TableError::TooShort { len: len - 1, needed: len as u64 }));
        for found in [0, CAPACITY_MAX + 1, u32::MAX] {
            header.capacity.store(found, Ordering::Relaxed);
            assert_eq!(header.check(usize::MAX), Err(TableError::BadCapacity { found, max: CAPACITY_MAX }));
        }
        header.version.store(2, Ordering::Relaxed);
        assert_eq!(header.check(len), Err(TableError::OtherVersion { found: 2, wanted: VERSION }));
        header.magic.store(MAGIC.swap_bytes(), Ordering::Relaxed);
        assert_eq!(header.check(len), Err(TableError::WrongMagic { found: MAGIC.swap_bytes() }));
    }
}
