//! What the bytes of a table mean: its layout, and how a counter in it is found, claimed and read.
//!
//! Everything read here may have been written by a faulty peer: it is copied once, checked, then used.

use super::block::{Block, meaning};
use super::record::{AttachedEnd, Record, Subject};
use super::snapshot::{COUNTER_FLAG_CONSUMER, COUNTER_FLAG_IN_USE, COUNTER_FLAG_PRODUCER, CounterSnapshot};
use super::{CounterOwner, block};
use crate::sync::primitive::{AtomicU32, AtomicU64, Ordering, fence};
use std::collections::BTreeSet;

/// The largest number of counters that can be registered in one table: 8 MiB. It bounds what a snapshot of a hostile
/// table allocates.
pub const CAPACITY_MAX: u32 = 1 << 16;

/// The largest number of blocks: more than the ends of the largest ring. It bounds what a snapshot of a hostile table
/// allocates.
const BLOCKS_MAX: u32 = 1 << 12;

/// A usual length in bytes for a table of its own: room for 63 counters.
pub const COUNTERS_FILE_RESERVED_BYTES: usize = 8192;

/// Alignment of everything: two cache lines of 64 bytes, or one of 128.
pub(super) const LINE_BYTES: usize = 128;

const MAGIC: u64 = u64::from_ne_bytes(*b"MYELCNTR");
const VERSION: u32 = 2;

/// How many blocks and records a table has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// One for each end of the ring that the table belongs to: see `block`.
    pub(super) blocks: u32,
    /// Counters that can be registered.
    pub(super) records: u32,
}

impl Shape {
    /// A table that belongs to no ring.
    pub(crate) const fn file(records: u32) -> Self {
        Self { blocks: 0, records }
    }

    /// The table of a ring with room for `consumers` consumers.
    ///
    /// # Panics
    /// If a table cannot have that many blocks.
    pub(crate) const fn ring(consumers: u32, records: u32) -> Self {
        let blocks = block::FIRST_CONSUMER as u32 + consumers;
        assert!(blocks <= BLOCKS_MAX);
        Self { blocks, records }
    }

    /// Bytes of such a table.
    pub(crate) const fn len_bytes(self) -> u64 {
        let (blocks, records) = (self.blocks as u64, self.records as u64);
        size_of::<Header>() as u64 + blocks * size_of::<Block>() as u64 + records * size_of::<Record>() as u64
    }

    /// A table with room for `records` counters, and with as many blocks as fit into the rest of `len_bytes` bytes.
    pub(super) fn with(records: u32, len_bytes: usize) -> Self {
        let left = (len_bytes as u64).saturating_sub(Self::file(records).len_bytes());
        Self { blocks: (left / size_of::<Block>() as u64).min(BLOCKS_MAX.into()) as u32, records }
    }

    /// A table that belongs to no ring, in `len_bytes` bytes: with as many records as fit, at most [`CAPACITY_MAX`].
    pub(super) fn of_file_with(len_bytes: usize) -> Self {
        let records = (len_bytes / LINE_BYTES).saturating_sub(1);
        Self::file(u32::try_from(records).unwrap_or(CAPACITY_MAX).min(CAPACITY_MAX))
    }
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
    #[error("the table of counters takes {needed} bytes, and there are {len}")]
    TooShort {
        /// Bytes that exist.
        len: usize,
        /// Bytes that the table takes, or the smallest table there is.
        needed: u64,
    },
    /// The first word is still 0: its creator has not finished, or has died. Try again while it lives.
    #[error("the table of counters is not ready yet; try again while its creator lives")]
    NotReady,
    /// These bytes are something else, or come from a machine with another byte order.
    #[error("this is not a table of counters: its first word is {found:#018x}")]
    WrongMagic {
        /// The first word.
        found: u64,
    },
    /// Another build of this crate made the table. Read it with that one.
    #[error(
        "the table of counters has version {found}, and this build needs {wanted}; read it with the build that made it"
    )]
    OtherVersion {
        /// The table's version.
        found: u32,
        /// This build's version.
        wanted: u32,
    },
    /// The table claims to have no counters, or more than possible: it is damaged.
    #[error("the table of counters is damaged: it claims to hold {found} counters, and 1 to {max} are possible")]
    BadCapacity {
        /// What the header says.
        found: u32,
        /// [`CAPACITY_MAX`].
        max: u32,
    },
    /// The table claims to have blocks for more ends than a ring can have: it is damaged.
    #[error(
        "the table of counters is damaged: it claims to have blocks for {found} ends of a ring, and 0 to {max} are possible"
    )]
    BadBlocks {
        /// What the header says.
        found: u32,
        /// The largest possible number.
        max: u32,
    },
}

/// The first line of a table. Every bit pattern is valid.
#[derive(Default)]
#[repr(C, align(128))]
pub(super) struct Header {
    magic: AtomicU64,
    version: AtomicU32,
    records: AtomicU32,
    blocks: AtomicU32,
    /// The last number that an attached end has got.
    attached: AtomicU32,
    reserved: [AtomicU64; 13],
}

const _: () = assert!(size_of::<Header>() == LINE_BYTES && align_of::<Header>() == LINE_BYTES);
const _: () = assert!(align_of::<Block>() == LINE_BYTES && align_of::<Record>() == LINE_BYTES);
const _: () = assert!(Shape::file(63).len_bytes() == COUNTERS_FILE_RESERVED_BYTES as u64);

impl Header {
    /// Declares a zeroed table of that shape ready.
    pub(super) fn publish(&self, shape: Shape) {
        self.version.store(VERSION, Ordering::Relaxed);
        self.records.store(shape.records, Ordering::Relaxed);
        self.blocks.store(shape.blocks, Ordering::Relaxed);
        // Release pairs with the fence in `check`: a process that sees the magic sees the zeros and the numbers as
        // well.
        self.magic.store(MAGIC, Ordering::Release);
    }

    /// The shape of the table that starts here and has `len_bytes` bytes, after everything in the header has been
    /// checked.
    pub(super) fn check(&self, len_bytes: usize) -> Result<Shape, TableError> {
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
        let records = self.records.load(Ordering::Relaxed);
        if records == 0 || records > CAPACITY_MAX {
            return Err(TableError::BadCapacity { found: records, max: CAPACITY_MAX });
        }
        let blocks = self.blocks.load(Ordering::Relaxed);
        if blocks > BLOCKS_MAX {
            return Err(TableError::BadBlocks { found: blocks, max: BLOCKS_MAX });
        }
        let shape = Shape { blocks, records };
        if (len_bytes as u64) < shape.len_bytes() {
            return Err(TableError::TooShort { len: len_bytes, needed: shape.len_bytes() });
        }
        Ok(shape)
    }
}

/// The parts of one table.
#[derive(Clone, Copy)]
pub(super) struct Table<'a> {
    pub(super) header: &'a Header,
    pub(super) blocks: &'a [Block],
    pub(super) records: &'a [Record],
}

impl<'a> Table<'a> {
    /// The record for (`id`, `label`): the existing one, or else a free one. `None`: the table is full.
    pub(super) fn register(&self, id: u32, flags: u32, label: &str, owner_pid: u32) -> Option<&'a Record> {
        let subject = Subject::registered(id, label);
        // One pass answers both questions, because records are claimed from the front. Records that are just being
        // claimed are skipped, because their owner may be stopped or dead.
        for record in self.records {
            if record.claim_free() {
                record.fill(&subject, flags, owner_pid, AttachedEnd::NONE);
                return Some(record);
            }
            if record.is_registered_as(&subject) {
                record.set_owner(owner_pid, flags);
                return Some(record);
            }
        }
        let record = self.records.iter().find(|record| record.claim_released())?;
        record.fill(&subject, flags, owner_pid, AttachedEnd::NONE);
        Some(record)
    }

    /// A number for an end that attaches: never 0, and unique as long as fewer than 2^32 ends have attached.
    pub(super) fn next_number(&self) -> u32 {
        let next = || self.header.attached.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        match next() {
            0 => next(),
            number => number,
        }
    }

    /// The index of a record for one counter of an attached end, in which no other end counts: a released record of the
    /// same counter, or else a new record, or else any released one.
    pub(super) fn attach(&self, subject: &Subject, flags: u32, owner_pid: u32, end: AttachedEnd) -> Option<usize> {
        let first = |can_be_had: &dyn Fn(&Record) -> bool| self.records.iter().position(can_be_had);
        // If another end claims the record between the look and the claim, the claim fails and the search continues.
        let index = first(&|record| record.is_released_by(subject) && record.claim_released())
            .or_else(|| first(&Record::claim_free))
            .or_else(|| first(&Record::claim_released))?;
        self.records[index].fill(subject, flags, owner_pid, end);
        Some(index)
    }

    /// The lock bytes under which attached ends count.
    pub(super) fn locks(&self) -> BTreeSet<u32> {
        self.records.iter().filter_map(Record::lock).collect()
    }

    /// Releases the records of the ends that counted under that lock byte. The caller holds it, so no end counts under
    /// it now.
    pub(super) fn release_for(&self, lock: u32) {
        self.records.iter().for_each(|record| record.release_for(lock));
    }

    /// Every counter that has or had an owner, those of the ring's ends first, in the order of the table.
    pub(super) fn snapshot(&self) -> Vec<CounterSnapshot> {
        let ends = self.blocks.iter().enumerate().filter_map(|(index, block)| block.look(index));
        let counts = ends.flat_map(|seen| {
            let role = match seen.owner {
                CounterOwner::Producer { .. } => COUNTER_FLAG_PRODUCER,
                _ => COUNTER_FLAG_CONSUMER,
            };
            let flags = if seen.is_counting { role | COUNTER_FLAG_IN_USE } else { role };
            seen.counts.into_iter().map(move |(id, value)| {
                CounterSnapshot::new(id, flags, value, seen.label.clone(), seen.owner.clone(), seen.owner_pid)
            })
        });
        counts.chain(self.records.iter().filter_map(Record::look)).collect()
    }

    /// What is counted in block `index`, and the block.
    pub(super) fn block(&self, index: usize) -> Option<(&'a Block, &'static [u32])> {
        Some((self.blocks.get(index)?, meaning(index)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines<T: Default>(count: usize) -> Vec<T> {
        (0..count).map(|_| T::default()).collect()
    }

    #[test]
    fn shape_and_length_agree() {
        for records in [1, 2, 63, 1000, CAPACITY_MAX] {
            let len = usize::try_from(Shape::file(records).len_bytes()).unwrap();
            assert_eq!(Shape::of_file_with(len).records, records);
            assert_eq!(Shape::of_file_with(len - 1).records, records - 1, "one byte short");
        }
        assert_eq!(Shape::of_file_with(0).records, 0);
        assert_eq!(Shape::of_file_with(usize::MAX).records, CAPACITY_MAX);
        let ring = Shape::ring(1024, 32);
        assert_eq!(Shape::with(32, ring.len_bytes() as usize), ring);
        assert_eq!(Shape::with(5, Shape::file(5).len_bytes() as usize), Shape::file(5));
        // The cost for a small ring: 2 consumers, 4 entries for others, 32 counters of the application.
        assert_eq!(Shape::ring(6, 32).len_bytes(), 128 + 8 * 384 + 32 * 128);
    }

    #[test]
    fn a_record_whose_owner_died_while_claiming_is_passed_over() {
        let (header, records) = (Header::default(), lines::<Record>(3));
        let table = Table { header: &header, blocks: &[], records: &records };
        assert!(records[0].claim_free(), "and then its owner dies");

        let index =
            |found: Option<&Record>| found.and_then(|found| records.iter().position(|r| std::ptr::eq(r, found)));
        assert_eq!(index(table.register(0x100, 0, "alive", 7)), Some(1));
        assert_eq!(index(table.register(0x100, 0, "alive", 8)), Some(1), "found after the dead one");
        assert_eq!(index(table.register(0x100, 0, "another", 7)), Some(2));
        assert_eq!(index(table.register(0x100, 0, "one too many", 7)), None);
        assert_eq!(table.snapshot().len(), 2, "the dead one is not shown");
    }

    #[test]
    fn numbers_of_attached_ends_are_never_zero() {
        let header = Header::default();
        let table = Table { header: &header, blocks: &[], records: &[] };
        assert_eq!((table.next_number(), table.next_number()), (1, 2));
        header.attached.store(u32::MAX, Ordering::Relaxed);
        assert_eq!((table.next_number(), table.next_number()), (1, 2));
    }

    #[test]
    fn each_defect_of_a_header_has_its_own_error() {
        let shape = Shape { blocks: 3, records: 4 };
        let len = usize::try_from(shape.len_bytes()).unwrap();
        let header = Header::default();
        assert_eq!(header.check(len), Err(TableError::NotReady));
        header.publish(shape);
        assert_eq!(header.check(len), Ok(shape));
        assert_eq!(header.check(len - 1), Err(TableError::TooShort { len: len - 1, needed: len as u64 }));
        for found in [BLOCKS_MAX + 1, u32::MAX] {
            header.blocks.store(found, Ordering::Relaxed);
            assert_eq!(header.check(usize::MAX), Err(TableError::BadBlocks { found, max: BLOCKS_MAX }));
        }
        for found in [0, CAPACITY_MAX + 1, u32::MAX] {
            header.records.store(found, Ordering::Relaxed);
            assert_eq!(header.check(usize::MAX), Err(TableError::BadCapacity { found, max: CAPACITY_MAX }));
        }
        header.version.store(1, Ordering::Relaxed);
        assert_eq!(header.check(len), Err(TableError::OtherVersion { found: 1, wanted: VERSION }));
        header.magic.store(MAGIC.swap_bytes(), Ordering::Relaxed);
        assert_eq!(header.check(len), Err(TableError::WrongMagic { found: MAGIC.swap_bytes() }));
    }
}
