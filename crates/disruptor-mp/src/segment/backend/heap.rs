//! Segments in this process's own memory: the same layout and life as in shared memory, among threads.
//!
//! **Lives here:** [`HeapObject`], and the memory with its lock table. **Builds on:** the allocator.
//! **May touch it:** anybody through `Place`.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::BTreeSet;
use std::io;
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::super::blueprint::HEADER_BYTES;
use super::super::owner::LockRange;
use super::{Access, Backend, Cell, Fault, Identity, Object, Request, named_draft_of_a_cell};
use crate::sync::primitive::{AtomicU32, Ordering};

/// An empty place in this process's memory: creation fills it, and clones of it open what was created. The memory lives as long as the
/// place or any handle.
#[derive(Clone, Debug, Default)]
pub struct HeapObject {
    cell: Cell,
}

impl HeapObject {
    /// An empty place.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Backend for &HeapObject {
    fn draft_nameless(&self, request: &Request) -> Result<Option<Object>, Fault> {
        let memory = HeapMemory::zeroed(request.total_len).map_err(Fault::of("allocate"))?;
        Ok(Some(Object::Heap(memory.into())))
    }

    fn draft_named(&self, _request: &Request) -> Result<Object, Fault> {
        Err(named_draft_of_a_cell())
    }

    fn give_name(&self, object: &Object) -> Result<(), Fault> {
        self.cell.give_name(object)
    }

    fn lookup(&self, _access: Access) -> Result<Option<Object>, Fault> {
        Ok(self.cell.get())
    }

    fn identity(&self) -> Result<Option<Identity>, Fault> {
        self.cell.identity()
    }

    fn unlink(&self) -> Result<(), Fault> {
        self.cell.unlink()
    }

    fn longest_object_bytes(&self) -> Option<u64> {
        None
    }
}

/// Page-aligned, zeroed memory, and the locks that a file would have in the kernel.
#[derive(Debug)]
pub(in crate::segment) struct HeapMemory {
    start: NonNull<u8>,
    layout: Layout,
    locks: Mutex<Locks>,
}

/// Which lock bytes are held.
#[derive(Debug, Default)]
struct Locks {
    bytes: BTreeSet<u32>,
    whole: bool,
}

// SAFETY: the memory is plain bytes that belong to nobody's thread; who touches them is the duty of those who get the pointer.
unsafe impl Send for HeapMemory {}
// SAFETY: as above; the lock table is behind its mutex.
unsafe impl Sync for HeapMemory {}

impl HeapMemory {
    fn zeroed(len: u64) -> io::Result<Self> {
        let out_of_memory = || io::Error::from(io::ErrorKind::OutOfMemory);
        let len = usize::try_from(len).map_err(|_| out_of_memory())?;
        let layout = Layout::from_size_align(len, HEADER_BYTES as usize).map_err(|_| out_of_memory())?;
        assert!(len >= HEADER_BYTES as usize, "every segment has a header page");
        // SAFETY: the layout has a size, by the line above.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or_else(out_of_memory)?;
        Ok(Self { start, layout, locks: Mutex::default() })
    }

    pub(super) fn len(&self) -> usize {
        self.layout.size()
    }

    pub(super) fn as_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// The header page as words: some of them change while others read.
    fn header_words(&self) -> &[AtomicU32] {
        // SAFETY: the memory is at least a header page, aligned to one, initialised, and lives as long as `self`. Its header page is
        // only ever accessed as atomics: by this function's callers and by `Segment`.
        unsafe { std::slice::from_raw_parts(self.as_ptr().cast(), HEADER_BYTES as usize / 4) }
    }

    pub(super) fn read_start(&self, max_len: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> =
            self.header_words().iter().flat_map(|word| word.load(Ordering::Relaxed).to_ne_bytes()).collect();
        bytes.truncate(max_len);
        bytes
    }

    /// Writes the header page of an object that nobody else can find yet.
    pub(super) fn fill(&self, page: &[u8]) {
        for (word, bytes) in self.header_words().iter().zip(page.as_chunks().0) {
            word.store(u32::from_ne_bytes(*bytes), Ordering::Relaxed);
        }
    }

    fn locks(&self) -> MutexGuard<'_, Locks> {
        // A panic elsewhere cannot leave the table half changed.
        self.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes `range` unless any byte of it is taken.
    pub(in crate::segment) fn try_lock(&self, range: LockRange) -> bool {
        let mut locks = self.locks();
        match range {
            _ if locks.whole => false,
            LockRange::Byte(byte) => locks.bytes.insert(byte),
            LockRange::Whole => {
                locks.whole = locks.bytes.is_empty();
                locks.whole
            }
        }
    }

    /// Gives back what `try_lock` took.
    pub(in crate::segment) fn unlock(&self, range: LockRange) {
        let mut locks = self.locks();
        match range {
            LockRange::Byte(byte) => {
                locks.bytes.remove(&byte);
            }
            LockRange::Whole => locks.whole = false,
        }
    }

    /// The first byte of `range` that is taken.
    pub(super) fn first_held(&self, range: LockRange) -> Option<u32> {
        let locks = self.locks();
        match range {
            _ if locks.whole => Some(range.first()),
            LockRange::Byte(byte) => locks.bytes.get(&byte).copied(),
            LockRange::Whole => locks.bytes.first().copied(),
        }
    }
}

impl Drop for HeapMemory {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, and this is the last owner.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}
