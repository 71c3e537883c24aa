//! What happens to lock descriptors when the process forks: the child closes them before `fork` returns.
//!
//! **Lives here:** the gate, the registry of lock descriptors, and the epoch. **Builds on:** `pthread_atfork`.
//! **May touch it:** `owner` only; [`fork_epoch`] is for every handle.
//!
//! A lock of an open file description lives as long as any descriptor refers to it, so a child that keeps a copy would keep a dead
//! parent alive. Three handlers prevent that. *Prepare* takes the gate, which also covers opening and registering a lock descriptor:
//! no fork lands between the two. *Parent* gives it back. *Child* closes every registered descriptor and steps the epoch, by which
//! handles notice that they were copied; it allocates nothing and takes no lock.
//!
//! Not covered: a raw `clone` system call past the C library. `posix_spawn` and `vfork` run no handlers, but what they start has lost
//! its close-on-exec descriptors by the time it is another program, and a claim that is dropped meanwhile unlocks explicitly.

use std::cell::UnsafeCell;
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::OnceLock;

use crate::sync::primitive::{AtomicU32, Ordering};

/// How often this process has become another one by forking. A handle that remembers an older value was copied, not made here.
static EPOCH: AtomicU32 = AtomicU32::new(0);

/// The number of forks between the first process and this one. A handle keeps the value of its making, and one that finds another value
/// later is a copy in a child and must not act. Costs one relaxed load.
#[inline(always)]
pub fn fork_epoch() -> u32 {
    // Relaxed: it only changes in the child handler, where no other thread exists.
    EPOCH.load(Ordering::Relaxed)
}

/// Excludes a fork while a lock descriptor is being opened or closed. The C library's mutex, because the handlers take it in one
/// function and give it back in another, in the child too, which no guard can express.
struct Gate(UnsafeCell<libc::pthread_mutex_t>);

// SAFETY: the mutex is only ever handed to the C library's mutex functions, which are made for being called by several threads.
unsafe impl Sync for Gate {}

static GATE: Gate = Gate(UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER));

impl Gate {
    fn lock(&self) {
        // SAFETY: the mutex is static and was initialised by its constant.
        let error = unsafe { libc::pthread_mutex_lock(self.0.get()) };
        debug_assert_eq!(error, 0, "a default mutex can always be taken");
    }

    fn unlock(&self) {
        // SAFETY: as in `lock`; each caller holds it.
        let error = unsafe { libc::pthread_mutex_unlock(self.0.get()) };
        debug_assert_eq!(error, 0, "the gate was held by us");
    }

    fn with<T>(&self, run: impl FnOnce() -> T) -> T {
        struct Unlock<'a>(&'a Gate);
        impl Drop for Unlock<'_> {
            fn drop(&mut self) {
                self.0.unlock();
            }
        }
        self.lock();
        let _unlock = Unlock(self);
        run()
    }
}

/// How many descriptors one chunk holds. Most processes have a handful of claims, so one chunk is nearly always enough.
const CHUNK_LEN: usize = 64;

/// An entry of the registry without a descriptor.
const FREE: u32 = u32::MAX;

/// Part of the registry. Chunks are appended and never freed: the child handler walks them without any lock.
struct Chunk {
    descriptors: [AtomicU32; CHUNK_LEN],
    next: OnceLock<&'static Chunk>,
}

impl Chunk {
    const fn new() -> Self {
        Self { descriptors: [const { AtomicU32::new(FREE) }; CHUNK_LEN], next: OnceLock::new() }
    }
}

static FIRST: Chunk = Chunk::new();

/// Enters a descriptor in the registry. The gate is held, so nobody else changes it.
fn register(descriptor: RawFd) -> &'static AtomicU32 {
    let mut chunk = &FIRST;
    loop {
        // Relaxed throughout: the gate orders all who write, and the child handler runs on the thread that took the gate before.
        if let Some(entry) = chunk.descriptors.iter().find(|entry| entry.load(Ordering::Relaxed) == FREE) {
            entry.store(descriptor as u32, Ordering::Relaxed);
            return entry;
        }
        chunk = chunk.next.get_or_init(|| Box::leak(Box::new(Chunk::new())));
    }
}

extern "C" fn prepare() {
    GATE.lock();
}

extern "C" fn parent() {
    GATE.unlock();
}

extern "C" fn child() {
    let mut next = Some(&FIRST);
    while let Some(chunk) = next {
        for entry in &chunk.descriptors {
            let descriptor = entry.load(Ordering::Relaxed);
            if descriptor != FREE {
                // SAFETY: a registered descriptor is open and belongs to the registry; `Registered` forgets it in a child.
                unsafe { libc::close(descriptor as RawFd) };
                entry.store(FREE, Ordering::Relaxed);
            }
        }
        // `get` on a cell that may be half initialised elsewhere is one load: it does not wait.
        next = chunk.next.get().copied();
    }
    EPOCH.store(EPOCH.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    GATE.unlock();
}

/// Installs the handlers, once in the life of the process and of everything forked from it. Called before a handle remembers an epoch.
///
/// # Errors
/// The C library had no memory for them.
pub(crate) fn watch() -> io::Result<()> {
    static INSTALLED: OnceLock<i32> = OnceLock::new();
    if cfg!(miri) {
        return Ok(()); // Miri cannot fork.
    }
    // SAFETY: the three functions have the wanted signature and live as long as the program. As each only touches what this module
    // owns, their order relative to other libraries' handlers does not matter.
    let error = *INSTALLED.get_or_init(|| unsafe { libc::pthread_atfork(Some(prepare), Some(parent), Some(child)) });
    match error {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// A lock descriptor that a forked child does not inherit. Closed on drop, except in a child, where the handler has closed it already
/// and its number may belong to another file.
#[derive(Debug)]
pub(super) struct Registered {
    descriptor: RawFd,
    entry: &'static AtomicU32,
    epoch: u32,
}

impl Registered {
    /// Opens and registers as one step, as far as any fork can see.
    pub(super) fn open(open: impl FnOnce() -> io::Result<OwnedFd>) -> io::Result<Self> {
        watch()?;
        GATE.with(|| {
            let descriptor = open()?.into_raw_fd();
            Ok(Self { descriptor, entry: register(descriptor), epoch: fork_epoch() })
        })
    }

    /// The descriptor, or `None` in a child of the process that opened it.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        // SAFETY: in the process that opened it, it stays open until `drop`, which the borrow of `self` excludes.
        (self.epoch == fork_epoch()).then(|| unsafe { BorrowedFd::borrow_raw(self.descriptor) })
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        if self.epoch != fork_epoch() {
            return;
        }
        GATE.with(|| {
            self.entry.store(FREE, Ordering::Relaxed);
            // SAFETY: opened by us in this process, registered until the line above, and used by nobody after this.
            drop(unsafe { OwnedFd::from_raw_fd(self.descriptor) });
        });
    }
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;

    #[test]
    fn more_descriptors_than_a_chunk_are_all_registered() {
        let open = || Registered::open(|| Ok(std::fs::File::open("/dev/null")?.into()));
        let many: Vec<Registered> = (0..CHUNK_LEN + 10).map(|_| open().unwrap()).collect();
        for one in &many {
            assert_eq!(one.entry.load(Ordering::Relaxed), one.descriptor as u32);
            assert!(one.descriptor().is_some());
        }
        let mut entries: Vec<*const AtomicU32> = many.iter().map(|one| std::ptr::from_ref(one.entry)).collect();
        entries.sort_unstable();
        entries.dedup();
        assert_eq!(entries.len(), many.len());
    }
}
