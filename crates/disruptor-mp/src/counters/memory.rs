//! The memory of a table: where it is and what keeps it mapped. All pointers of this module are here.
//!
//! The wire types of `table` consist of atomics: any bytes are valid for them, and a shared reference to them stays
//! valid while other processes write. That is why this is here and not in `segment`, which does not know what its
//! sections hold.

use super::block::Block;
use super::file::CountersFile;
use super::record::Record;
use super::table::{CAPACITY_MAX, Header, LINE_BYTES, Shape, Table, TableError};
use crate::segment::{Claim, Segment};
use crate::sync::primitive::AtomicU64;
use core::any::Any;
use core::ptr::NonNull;
use core::slice;
use crossbeam_utils::CachePadded;
use std::sync::Arc;

/// The value that must stay alive so that the bytes stay readable.
type Owner = Arc<dyn Any + Send + Sync>;

/// What the opener of some memory wants to do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// Make a new, empty table.
    Initialise(Shape),
    /// Use the existing table.
    Attach,
    /// Read the existing table, in a mapping that need not be writable; registering is refused.
    AttachReadOnly,
}

/// A table's bytes. Invariant: `shape.len_bytes()` bytes from `base`, aligned to 128, are initialised and have been
/// accessed only through atomics since. They stay readable as long as `owner` lives, and writable if `writable` says
/// so.
#[derive(Clone)]
pub(super) struct Memory {
    base: NonNull<Header>,
    shape: Shape,
    writable: bool,
    owner: Owner,
    /// The segment, and the lock byte that shows other processes that this one counts there; `owner` holds it.
    life: Option<(Arc<Segment>, u32)>,
}

// SAFETY: the bytes at `base` are accessed only through atomics, and they live as long as `owner`, which itself may be
// dropped by any thread.
unsafe impl Send for Memory {}
// SAFETY: as for `Send`.
unsafe impl Sync for Memory {}

impl Memory {
    /// # Safety
    /// As for [`CountersFile::from_section`].
    unsafe fn open(owner: Owner, start: NonNull<u8>, len_bytes: usize, opening: Opening) -> Result<Self, TableError> {
        let address = start.addr().get();
        if !address.is_multiple_of(LINE_BYTES) {
            return Err(TableError::Misaligned { address });
        }
        let least = Shape::file(1).len_bytes();
        if len_bytes < LINE_BYTES {
            return Err(TableError::TooShort { len: len_bytes, needed: least });
        }
        let base = start.cast::<Header>();
        let shape = if let Opening::Initialise(shape) = opening {
            let needed = shape.len_bytes().max(least);
            if shape.records == 0 || needed > len_bytes as u64 {
                return Err(TableError::TooShort { len: len_bytes, needed });
            }
            // SAFETY: the table fits into the caller's bytes by the check above, and until we return these are ours.
            unsafe { start.write_bytes(0, shape.len_bytes() as usize) };
            // SAFETY: aligned and long enough by the checks above; just zeroed.
            unsafe { base.as_ref() }.publish(shape);
            shape
        } else {
            // SAFETY: aligned and long enough by the checks above; initialised, and shared only with atomic accesses,
            // by our caller's promise.
            unsafe { base.as_ref() }.check(len_bytes)?
        };
        Ok(Self { base, shape, writable: opening != Opening::AttachReadOnly, owner, life: None })
    }

    /// How many counters can be registered.
    pub(super) fn capacity(&self) -> u32 {
        self.shape.records
    }

    /// Whether records may be claimed and counts stored.
    pub(super) fn is_writable(&self) -> bool {
        self.writable
    }

    /// The parts of the table. Its shape was checked once; later changes of the header do not matter.
    pub(super) fn table(&self) -> Table<'_> {
        let (blocks, records) = (self.shape.blocks as usize, self.shape.records as usize);
        // SAFETY: by the invariant the blocks are after the header, the records after the blocks, all inside the bytes
        // that live as long as `owner`, hence as `self`. The sizes of all three are multiples of their alignment, and
        // all are atomics.
        unsafe {
            let first_block = self.base.add(1).cast::<Block>();
            let first_record = first_block.add(blocks).cast::<Record>();
            Table {
                header: self.base.as_ref(),
                blocks: slice::from_raw_parts(first_block.as_ptr(), blocks),
                records: slice::from_raw_parts(first_record.as_ptr(), records),
            }
        }
    }

    /// A count in this table that outlives the file, together with everything else that must live as long as it is
    /// used.
    ///
    /// # Panics
    /// If the count is not in this table, or the table is read-only.
    pub(super) fn hold(&self, count: &AtomicU64, owner: Owner) -> HeldCount {
        let start = self.base.addr().get();
        let offset = (core::ptr::from_ref(count).addr()).wrapping_sub(start);
        assert!(
            self.writable && offset < self.shape.len_bytes() as usize,
            "a writer gets a count of a table to write to"
        );
        HeldCount { count: NonNull::from(count), owner }
    }

    /// The segment of the table, and the lock byte that this process holds in it as long as it can count there, if it
    /// has one.
    pub(super) fn life(&self) -> Option<&(Arc<Segment>, u32)> {
        self.life.as_ref()
    }

    /// This memory for a process that counts in it under lock byte `lock` of `segment`, which `owner` holds.
    pub(super) fn living_by(self, segment: &Arc<Segment>, lock: u32) -> Self {
        Self { life: Some((Arc::clone(segment), lock)), ..self }
    }

    /// What keeps the bytes in memory.
    pub(super) fn owner(&self) -> Owner {
        self.owner.clone()
    }
}

/// One count, together with the value that keeps it in memory. Invariant: `count` is writable as long as `owner` lives.
#[derive(Clone)]
pub(super) struct HeldCount {
    count: NonNull<AtomicU64>,
    #[expect(dead_code, reason = "held, never read: `count` points into what it keeps alive")]
    owner: Owner,
}

// SAFETY: the count is an atomic, and `owner` may be dropped by any thread.
unsafe impl Send for HeldCount {}
// SAFETY: as for `Send`.
unsafe impl Sync for HeldCount {}

impl HeldCount {
    /// A count of its own, starting at 0.
    pub(super) fn on_heap() -> Self {
        // Alone on its cache lines, like one in a table: its neighbours on the heap have other writers.
        let owner = Arc::new(CachePadded::new(AtomicU64::new(0)));
        Self { count: NonNull::from(&**owner), owner }
    }

    #[inline]
    pub(super) fn get(&self) -> &AtomicU64 {
        // SAFETY: by the invariant it lives as long as `owner`, hence as `self`; it is an atomic.
        unsafe { self.count.as_ref() }
    }
}

/// Part of a table on the heap.
#[derive(Default)]
#[repr(C, align(128))]
struct Line([AtomicU64; LINE_BYTES / 8]);

impl CountersFile {
    /// A new table on the heap, which only this process sees: for tests, and for programs that want the numbers without
    /// shared memory.
    ///
    /// # Panics
    /// If `capacity` is 0 or more than [`CAPACITY_MAX`].
    pub fn boxed(capacity: u32) -> Self {
        assert!((1..=CAPACITY_MAX).contains(&capacity), "a table holds 1 to {CAPACITY_MAX} counters, not {capacity}");
        let shape = Shape::file(capacity);
        let len_bytes = shape.len_bytes() as usize;
        let lines: Arc<Vec<Line>> = Arc::new((0..len_bytes / LINE_BYTES).map(|_| Line::default()).collect());
        let start = NonNull::from(lines.as_slice()).cast::<u8>();
        // SAFETY: the lines are `len_bytes` bytes, all in atomics and therefore writable through a shared reference.
        // The vector is never changed, so they do not move as long as the `Arc` lives, and no other thread knows them
        // yet.
        let made = unsafe { Self::from_section(lines, start, len_bytes, Opening::Initialise(shape)) };
        made.expect("lines are aligned, and there are enough of them")
    }

    /// Makes a new table with as many counters as fit into the `len_bytes` bytes at `start`, which are overwritten.
    /// [`COUNTERS_FILE_RESERVED_BYTES`](super::COUNTERS_FILE_RESERVED_BYTES) is a length that suffices for most
    /// programs.
    ///
    /// # Errors
    /// `Misaligned`: `start` is not a multiple of 128. `TooShort`: there is no room for even one counter (256 bytes).
    ///
    /// # Safety
    /// - The bytes are readable and writable until the file, its clones and all handles registered through them are
    ///   dropped.
    /// - No other code accesses them during this call.
    /// - After it, they are accessed only through atomics in every process, as other files attached to them do.
    pub unsafe fn init(start: NonNull<u8>, len_bytes: usize) -> Result<Self, TableError> {
        let opening = Opening::Initialise(Shape::of_file_with(len_bytes));
        // SAFETY: our caller's duties are those of `from_section`. It promises the life of the memory itself: nothing
        // to own.
        unsafe { Self::from_section(Arc::new(()), start, len_bytes, opening) }
    }

    /// Uses an existing table in the `len_bytes` bytes at `start`.
    ///
    /// # Errors
    /// Any [`TableError`]. `NotReady` may pass if the table's creator is alive; the other errors are permanent.
    ///
    /// # Safety
    /// - The bytes are readable and writable until the file, its clones and all handles registered through them are
    ///   dropped.
    /// - They are initialised, to any values, and accessed only through atomics in every process.
    pub unsafe fn attach(start: NonNull<u8>, len_bytes: usize) -> Result<Self, TableError> {
        // SAFETY: as in `init`.
        unsafe { Self::from_section(Arc::new(()), start, len_bytes, Opening::Attach) }
    }

    /// Like [`attach`](Self::attach), for reading only: nothing is ever stored, and `register` returns `None`.
    ///
    /// # Errors
    /// As for `attach`.
    ///
    /// # Safety
    /// As for `attach`, except that the bytes need not be writable.
    pub unsafe fn attach_read_only(start: NonNull<u8>, len_bytes: usize) -> Result<Self, TableError> {
        // SAFETY: as in `init`.
        unsafe { Self::from_section(Arc::new(()), start, len_bytes, Opening::AttachReadOnly) }
    }

    /// Opens a table in memory that `owner` keeps valid, such as a section of a segment. File, clones and handles each
    /// hold the owner. [`Shape::len_bytes`] says how many bytes to reserve.
    ///
    /// # Errors
    /// As for [`init`](Self::init) and [`attach`](Self::attach).
    ///
    /// # Safety
    /// - As long as `owner` lives, the `len_bytes` bytes at `start` are readable, and unless `opening` is
    ///   `AttachReadOnly` writable.
    /// - `Initialise`: no other code accesses them during this call. Otherwise: they are initialised, to any values.
    /// - Except during an `Initialise`, they are accessed only through atomics in every process.
    pub(crate) unsafe fn from_section(
        owner: Owner,
        start: NonNull<u8>,
        len_bytes: usize,
        opening: Opening,
    ) -> Result<Self, TableError> {
        // SAFETY: our caller has the same duties.
        Ok(Self::new(unsafe { Memory::open(owner, start, len_bytes, opening) }?))
    }

    /// Makes an empty table in the counters section of a segment that no other process knows yet: `records` counters
    /// can be registered, and the rest of the section is blocks.
    pub(crate) fn initialise_in(segment: &Segment, records: u32) {
        let (start, len_bytes) = segment.counters();
        let shape = Shape::with(records, len_bytes);
        // SAFETY: the section is mapped and writable for this call, and the table that is made here does not outlive
        // it. No other process accesses it: our caller creates the segment.
        let made = unsafe { Self::from_section(Arc::new(()), start, len_bytes, Opening::Initialise(shape)) };
        let made = made.expect("sections are aligned, and the blueprint's is as long as a table needs");
        made.begin_former_consumers();
    }

    /// The table in the counters section of `segment`, which file, clones and handles keep mapped.
    ///
    /// # Errors
    /// There is no table in it.
    pub(crate) fn in_segment(segment: &Arc<Segment>) -> Result<Self, TableError> {
        Self::of_owner(segment, Arc::clone(segment) as Owner)
    }

    /// [`in_segment`](Self::in_segment) for a process that uses the segment under this claim: file, clones and handles
    /// hold it too.
    ///
    /// # Errors
    /// As for `in_segment`.
    pub(crate) fn in_claimed_segment(segment: &Arc<Segment>, claim: Claim) -> Result<Self, TableError> {
        let lock = claim.byte();
        Ok(Self::of_owner(segment, Arc::new((Arc::clone(segment), claim)))?.living_by(segment, lock))
    }

    /// The table in the counters section of `segment`, which `owner` keeps mapped.
    fn of_owner(segment: &Segment, owner: Owner) -> Result<Self, TableError> {
        let (start, len_bytes) = segment.counters();
        let opening = if segment.is_read_only() { Opening::AttachReadOnly } else { Opening::Attach };
        // SAFETY: the section is mapped as long as the segment lives, which is the owner, and writable unless it says
        // otherwise. Peers access it through atomics: the module `segment` says what they are trusted to do.
        unsafe { Self::from_section(owner, start, len_bytes, opening) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::CounterHandle;
    use crate::sync::primitive::Ordering;
    use proptest::prelude::*;

    const CAPACITY: u32 = 6;
    const WORDS_PER_LINE: usize = LINE_BYTES / 8;
    const SHAPE: Shape = Shape::file(CAPACITY);
    const TABLE_WORDS: usize = SHAPE.len_bytes() as usize / 8;
    const RING: Shape = Shape::ring(2, CAPACITY);
    const RING_WORDS: usize = RING.len_bytes() as usize / 8;

    /// Bytes that a peer has left.
    fn lines(words: &[u64]) -> Arc<Vec<Line>> {
        let line = |chunk: &[u64]| Line(core::array::from_fn(|n| AtomicU64::new(chunk.get(n).copied().unwrap_or(0))));
        Arc::new(words.chunks(WORDS_PER_LINE).map(line).collect())
    }

    fn open(lines: &Arc<Vec<Line>>, len_bytes: usize, opening: Opening) -> Result<CountersFile, TableError> {
        assert!(len_bytes <= lines.len() * LINE_BYTES);
        let start = NonNull::from(lines.as_slice()).cast::<u8>();
        // SAFETY: the length is within the lines, they are all atomics, live in the `Arc`, and no other thread knows
        // them.
        unsafe { CountersFile::from_section(lines.clone(), start, len_bytes, opening) }
    }

    /// Calls every operation on a table with any content.
    fn exercise(file: &CountersFile) {
        let counters = file.snapshot();
        for index in 0..6 {
            file.begin_block(index, 5, "exercise");
            if let Some(handle) = file.count_in_block(index, crate::counters::ids::EVENTS_CONSUMED) {
                handle.inc();
            }
            file.end_block(index);
        }
        if let Some(handle) = file.count_for_attached(0x20, 4, "exercise", "heap", file.begin_attachment()) {
            handle.add(2);
            assert!(file.snapshot().iter().any(|counter| counter.label == "exercise"), "what counts is shown");
        }
        if let Some(handle) = file.register(0x100, 0, "exercise") {
            handle.add(3);
            handle.record_max(u64::MAX);
            assert_eq!(handle.get(), u64::MAX);
        }
        // A counter with that very id and label may have been among them; it counts as one.
        for counter in counters {
            file.register(counter.id, counter.flags, &counter.label);
        }
        file.snapshot();
    }

    #[test]
    fn a_table_made_in_given_memory_is_seen_by_whoever_attaches() {
        let memory = lines(&vec![u64::MAX; TABLE_WORDS + WORDS_PER_LINE]);
        let start = NonNull::from(memory.as_slice()).cast::<u8>();
        let len_bytes = memory.len() * LINE_BYTES - 1;
        // SAFETY: the lines outlive the three files and the handle, are all atomics, and no other thread knows them.
        let [maker, other, viewer] = unsafe {
            [
                CountersFile::init(start, len_bytes),
                CountersFile::attach(start, len_bytes),
                CountersFile::attach_read_only(start, len_bytes),
            ]
        }
        .map(Result::unwrap);
        let counter = maker.register(0x100, 0, "rpc").unwrap();
        counter.add(5);
        assert_eq!(other.register(0x100, 0, "rpc").unwrap().get(), 5);
        assert_eq!((maker.capacity(), other.capacity()), (CAPACITY, CAPACITY));
        assert_eq!(viewer.snapshot(), maker.snapshot());
        assert_eq!(viewer.snapshot()[0].value, 5);
        assert!(viewer.register(0x100, 0, "rpc").is_none(), "who only looks changes nothing");
        let behind = &memory[SHAPE.len_bytes() as usize / LINE_BYTES].0;
        assert!(
            behind.iter().all(|word| word.load(Ordering::Relaxed) == u64::MAX),
            "the line after the table is untouched"
        );
    }

    #[test]
    fn misaligned_and_short_memory_is_refused() {
        let memory = lines(&[0; TABLE_WORDS]);
        let start = NonNull::from(memory.as_slice()).cast::<u8>();
        for shift in [1, 8, 64] {
            // SAFETY: still inside the lines.
            let shifted = unsafe { start.add(shift) };
            // SAFETY: 512 bytes from there are inside the lines, which outlive the call.
            let made = unsafe { CountersFile::init(shifted, 512) };
            assert_eq!(made.unwrap_err(), TableError::Misaligned { address: shifted.addr().get() });
        }
        for len in [0, 1, 127, 128, 255] {
            let refused = open(&memory, len, Opening::Initialise(Shape::of_file_with(len))).unwrap_err();
            assert_eq!(refused, TableError::TooShort { len, needed: 256 });
        }
        for len in [0, 127] {
            assert_eq!(open(&memory, len, Opening::Attach).unwrap_err(), TableError::TooShort { len, needed: 256 });
        }
        assert_eq!(open(&memory, 256, Opening::Attach).unwrap_err(), TableError::NotReady);
        assert_eq!(open(&memory, 256, Opening::Initialise(Shape::file(1))).unwrap().capacity(), 1);
    }

    #[test]
    fn a_handle_keeps_the_memory_of_its_dropped_file() {
        let memory = lines(&[0; TABLE_WORDS]);
        let alive = Arc::downgrade(&memory);
        let file = open(&memory, TABLE_WORDS * 8, Opening::Initialise(SHAPE)).unwrap();
        drop(memory);
        let handle: CounterHandle = file.register(0x100, 0, "survivor").unwrap();
        let clone = handle.clone();
        drop((file, handle));
        clone.inc();
        assert_eq!(clone.get(), 1);
        assert!(alive.upgrade().is_some());
        drop(clone);
        assert!(alive.upgrade().is_none(), "and lets go of it in the end");
    }

    #[test]
    fn a_capacity_that_changes_after_attaching_changes_nothing() {
        let memory = lines(&[0; TABLE_WORDS]);
        let file = open(&memory, TABLE_WORDS * 8, Opening::Initialise(SHAPE)).unwrap();
        for word in [1, 2] {
            memory[0].0[word].store(u64::MAX, Ordering::Relaxed);
        }
        assert_eq!(file.capacity(), CAPACITY);
        exercise(&file);
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: if cfg!(miri) { 4 } else { 256 },
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn arbitrary_bytes_are_refused_or_read_without_harm(
            words in prop::collection::vec(any::<u64>(), 0..TABLE_WORDS),
            opening in prop::sample::select(vec![Opening::Attach, Opening::AttachReadOnly]),
        ) {
            let memory = lines(&words);
            if let Ok(file) = open(&memory, memory.len() * LINE_BYTES, opening) {
                exercise(&file);
            }
        }

        /// With a good header, numbers that are often small enough for states and lengths, and a shape that may be
        /// wrong.
        #[test]
        fn arbitrary_blocks_and_records_after_a_good_header_do_no_harm(
            words in prop::collection::vec(
                prop_oneof![any::<u64>(), 0..4_u64, (0..64_u64).prop_map(|n| n << 32 | 2)],
                RING_WORDS,
            ),
            records in prop_oneof![Just(CAPACITY), 0..2 * CAPACITY, any::<u32>()],
            blocks in prop_oneof![Just(RING.blocks), 0..2 * RING.blocks, any::<u32>()],
            opening in prop::sample::select(vec![Opening::Attach, Opening::AttachReadOnly]),
        ) {
            let memory = lines(&words);
            let header = Header::default();
            header.publish(Shape { blocks, records });
            // SAFETY: a header is as large as a line and consists of atomics.
            let line: Line = unsafe { core::mem::transmute(header) };
            for (word, good) in memory[0].0.iter().zip(line.0) {
                word.store(good.into_inner(), Ordering::Relaxed);
            }
            let fits = 128 + 384 * u64::from(blocks) + 128 * u64::from(records) <= RING.len_bytes();
            match open(&memory, RING_WORDS * 8, opening) {
                Ok(file) => {
                    prop_assert!(records > 0 && fits);
                    exercise(&file);
                }
                Err(error) => prop_assert!(records == 0 || !fits, "{error}"),
            }
        }
    }
}
