//! Segments in this process's own memory, for threads: the same layout and life cycle as in shared memory.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs;

use super::super::blueprint::{HEADER_BYTES, Section};
use super::super::owner::{ForkSafe, LockRange, fork_epoch};
use super::window::Window;
use super::{Access, Backend, Cell, Fault, Identity, Object, Request, descriptor, named_draft_of_a_cell};
use crate::sync::primitive::{AtomicU32, Ordering};

/// An empty place in this process's memory. Creation fills it, and clones of it open what was created. The memory lives
/// as long as the place or any handle.
#[derive(Clone, Debug, Default)]
pub struct HeapObject {
    cell: Cell,
}

impl HeapObject {
    /// An empty place.
    pub fn new() -> Self {
        Self::default()
    }

    /// The content of this place. In a child of a fork it is empty: the child has a copy of the parent's memory, in
    /// which nothing will ever be published, and in which two mappings of one line are no longer the same memory.
    fn cell(&self) -> &Cell {
        self.cell.with(|content| {
            content.take_if(|object| matches!(object, Object::Heap(memory) if memory.fork_epoch != fork_epoch()));
        });
        &self.cell
    }
}

impl Backend for &HeapObject {
    fn draft_nameless(&self, request: &Request) -> Result<Option<Object>, Fault> {
        let memory = HeapMemory::zeroed(request.total_len, request.again)?;
        Ok(Some(Object::Heap(memory.into())))
    }

    fn draft_named(&self, _request: &Request) -> Result<Object, Fault> {
        Err(named_draft_of_a_cell())
    }

    fn give_name(&self, object: &Object) -> Result<(), Fault> {
        self.cell().give_name(object)
    }

    fn lookup(&self, _access: Access) -> Result<Option<Object>, Fault> {
        Ok(self.cell().get())
    }

    fn identity(&self) -> Result<Option<Identity>, Fault> {
        self.cell().identity()
    }

    fn unlink(&self) -> Result<(), Fault> {
        self.cell().unlink()
    }

    fn longest_object_bytes(&self, request: &Request) -> Option<u64> {
        // Memory that is mapped twice is a file.
        request.again.and_then(|_| descriptor::longest_file_bytes())
    }
}

/// Page-aligned, zeroed memory, and the locks that a file would have in the kernel.
#[derive(Debug)]
pub(in crate::segment) struct HeapMemory {
    bytes: Bytes,
    locks: Mutex<Locks>,
    fork_epoch: u32,
}

/// Where the memory comes from.
#[derive(Debug)]
enum Bytes {
    Allocated {
        start: NonNull<u8>,
        layout: Layout,
    },
    /// The allocator cannot map the same memory twice, so this is a file without a name that no other process can open.
    MappedTwice(ForkSafe<Window>),
}

/// Which lock bytes are held.
#[derive(Debug, Default)]
struct Locks {
    bytes: BTreeSet<u32>,
    whole: bool,
}

// SAFETY: the memory is plain bytes that belong to no thread; the code that gets the pointer has the duty to
// synchronise accesses.
unsafe impl Send for HeapMemory {}
// SAFETY: as above; the lock table is protected by its mutex.
unsafe impl Sync for HeapMemory {}

impl HeapMemory {
    /// `len` bytes, and after them the section `again` a second time. It is the last section.
    fn zeroed(len: u64, again: Option<Section>) -> Result<Self, Fault> {
        let out_of_memory = || Fault::new("allocate", io::ErrorKind::OutOfMemory);
        let len = usize::try_from(len).map_err(|_| out_of_memory())?;
        assert!(len >= HEADER_BYTES as usize, "every segment has a header page");
        if again.is_some() {
            let file = Arc::new(nameless_file().map_err(Fault::of("memfd_create"))?);
            fs::ftruncate(&file, len as u64).map_err(Fault::of("ftruncate"))?;
            let window = descriptor::map(&file, len, again, Access::ReadWrite, false)?;
            return Ok(Self { bytes: Bytes::MappedTwice(window), locks: Mutex::default(), fork_epoch: fork_epoch() });
        }
        let layout = Layout::from_size_align(len, HEADER_BYTES as usize).map_err(|_| out_of_memory())?;
        // SAFETY: the layout has a size, by the assertion above.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or_else(out_of_memory)?;
        Ok(Self { bytes: Bytes::Allocated { start, layout }, locks: Mutex::default(), fork_epoch: fork_epoch() })
    }

    pub(super) fn len(&self) -> usize {
        match &self.bytes {
            Bytes::Allocated { layout, .. } => layout.size(),
            Bytes::MappedTwice(window) => window.len(),
        }
    }

    pub(super) fn as_ptr(&self) -> *mut u8 {
        match &self.bytes {
            Bytes::Allocated { start, .. } => start.as_ptr(),
            Bytes::MappedTwice(window) => window.as_ptr(),
        }
    }

    /// The header page as words: some of them change while other threads read them.
    fn header_words(&self) -> &[AtomicU32] {
        // SAFETY: the memory is at least a header page, aligned to one, initialised, and lives as long as `self`. Its
        // header page is only ever accessed as atomics: by this function's callers and by `Segment`.
        unsafe { std::slice::from_raw_parts(self.as_ptr().cast(), HEADER_BYTES as usize / 4) }
    }

    pub(super) fn read_start(&self, max_len: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> =
            self.header_words().iter().flat_map(|word| word.load(Ordering::Relaxed).to_ne_bytes()).collect();
        bytes.truncate(max_len);
        bytes
    }

    /// Writes the header page of an object that no other thread can find yet.
    pub(super) fn fill(&self, page: &[u8]) {
        for (word, bytes) in self.header_words().iter().zip(page.as_chunks().0) {
            word.store(u32::from_ne_bytes(*bytes), Ordering::Relaxed);
        }
    }

    fn locks(&self) -> MutexGuard<'_, Locks> {
        // A panic in another thread cannot leave the table half changed.
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
        if let Bytes::Allocated { start, layout } = self.bytes {
            // SAFETY: allocated with this layout, and this is the last owner.
            unsafe { dealloc(start.as_ptr(), layout) };
        }
    }
}

/// A memory file without a name.
#[cfg(target_os = "linux")]
fn nameless_file() -> io::Result<OwnedFd> {
    Ok(fs::memfd_create("disruptor-mp-heap", fs::MemfdFlags::CLOEXEC)?)
}

/// A file that has lost its name. The system may write it back to the disk now and then.
#[cfg(not(target_os = "linux"))]
fn nameless_file() -> io::Result<OwnedFd> {
    use crate::sync::primitive::AtomicU32;
    static MADE: AtomicU32 = AtomicU32::new(0);
    let name = format!("disruptor-mp-heap-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(name);
    let file = std::fs::File::options().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(path)?;
    Ok(file.into())
}
