//! What happens to locks and mappings when the process forks: before `fork` returns in the child, it has lost both.
//!
//! A lock of an open file description lives as long as any descriptor refers to it, so with a copy in a child a dead
//! parent would look alive. And a child that keeps a shared mapping could store into it while its parent does, with
//! positions that are out of date. Three handlers prevent both. *Prepare* takes the gate, under which lock descriptors
//! are opened and objects are mapped: no fork falls between that and the registration. *Parent* gives it back. *Child*
//! closes every registered descriptor, maps every registered range privately over itself, and steps the epoch, by which
//! handles notice that they were copied. It allocates nothing and takes no lock.
//!
//! What a child stores through a copied handle stays in the child, whatever it calls. Heap memory needs none of this: a
//! fork has copied it.
//!
//! Not covered: a raw `clone` system call past the C library. `posix_spawn` and `vfork` run no handlers, but what they
//! start has lost its close-on-exec descriptors and its mappings by the time it is another program, and a claim that is
//! dropped meanwhile unlocks explicitly.

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use super::super::backend::{Identity, identity_of_descriptor};
use crate::sync::primitive::{AtomicU32, AtomicU64, Ordering};
use crate::sync::settled::Settled;

/// The number of forks between the first process and this one. A handle with an older value was copied, not made here.
static EPOCH: AtomicU32 = AtomicU32::new(0);

/// The number of forks between the first process and this one. A handle keeps the value of when it was made; if it
/// finds another value later, it is a copy in a child and must not act. Costs one relaxed load.
#[inline(always)]
pub fn fork_epoch() -> u32 {
    // Relaxed: it only changes in the child handler, where no other thread exists.
    EPOCH.load(Ordering::Relaxed)
}

/// Excludes a fork while a lock descriptor is being opened or closed, or an object mapped or unmapped; guards the lists
/// of them. It is the C library's mutex, because the handlers lock it in one function and unlock it in another, in the
/// child too, which no guard can express.
struct Gate {
    mutex: UnsafeCell<libc::pthread_mutex_t>,
    inherited: UnsafeCell<Inherited>,
}

/// What a child of a fork inherits from its parent and must not keep. An entry that is `None` is free.
struct Inherited {
    locks: Vec<Option<RawFd>>,
    parts: Vec<Option<Part>>,
}

// SAFETY: the mutex is only passed to the C library's mutex functions, which several threads may call; only the thread
// that holds it touches the lists.
unsafe impl Sync for Gate {}

static GATE: Gate = Gate {
    mutex: UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER),
    inherited: UnsafeCell::new(Inherited { locks: Vec::new(), parts: Vec::new() }),
};

impl Gate {
    fn lock(&self) {
        // SAFETY: the mutex is static and was initialised by its constant.
        let error = unsafe { libc::pthread_mutex_lock(self.mutex.get()) };
        debug_assert_eq!(error, 0, "a default mutex can always be taken");
    }

    fn unlock(&self) {
        // SAFETY: as in `lock`; each caller holds it.
        let error = unsafe { libc::pthread_mutex_unlock(self.mutex.get()) };
        debug_assert_eq!(error, 0, "the gate was held by us");
    }

    fn with<T>(&self, run: impl FnOnce(&mut Inherited) -> T) -> T {
        struct Unlock<'a>(&'a Gate);
        impl Drop for Unlock<'_> {
            fn drop(&mut self) {
                self.0.unlock();
            }
        }
        self.lock();
        let _unlock = Unlock(self);
        // SAFETY: this thread holds the mutex until the reference is gone. `run` only opens, closes, maps and unmaps,
        // and does not use the gate again.
        run(unsafe { &mut *self.inherited.get() })
    }
}

/// Puts `entry` into the first free place of `list`.
fn enter<T>(list: &mut Vec<Option<T>>, entry: T) -> usize {
    match list.iter().position(Option::is_none) {
        Some(free) => {
            list[free] = Some(entry);
            free
        }
        None => {
            list.push(Some(entry));
            list.len() - 1
        }
    }
}

/// An address range that maps part of an object.
#[derive(Clone, Copy, Debug)]
pub(in crate::segment) struct Part {
    /// Where it begins, on a page.
    pub(in crate::segment) start: usize,
    pub(in crate::segment) len_bytes: usize,
    /// Where in the object it begins, on a page.
    pub(in crate::segment) offset: u64,
    pub(in crate::segment) is_writable: bool,
    /// The mapped descriptor, and the identity of its object: the parent may have closed every descriptor that it could
    /// find.
    descriptor: RawFd,
    identity: Option<Identity>,
}

impl Part {
    pub(in crate::segment) fn new(start: *const u8, len_bytes: usize, offset: u64, is_writable: bool) -> Self {
        Self { start: start as usize, len_bytes, offset, is_writable, descriptor: -1, identity: None }
    }

    /// Replaces the shared mapping by private memory: a copy-on-write mapping of the object or, if that is not
    /// possible, zeros. Runs in a child between `fork` and its return: system calls only.
    fn make_private(&self) {
        let protection = libc::PROT_READ | if self.is_writable { libc::PROT_WRITE } else { 0 };
        let over = |flags: c_int, descriptor: RawFd, offset: u64| {
            let flags = flags | libc::MAP_FIXED | libc::MAP_PRIVATE | libc::MAP_NORESERVE;
            let start = self.start as *mut c_void;
            // SAFETY: a registered part is mapped, from its `start` for `len_bytes`, by a mapping that is still there
            // in the child. Every reader of shared memory expects that its bytes may change; no other thread exists.
            unsafe {
                libc::mmap(start, self.len_bytes, protection, flags, descriptor, offset as libc::off_t)
                    != libc::MAP_FAILED
            }
        };
        let leads_to_it = || {
            // SAFETY: the mapping keeps the descriptor with this number open, or the program has closed it anyway: then
            // the call fails or answers for another object.
            let descriptor = unsafe { BorrowedFd::borrow_raw(self.descriptor) };
            self.identity.is_some() && identity_of_descriptor(descriptor).ok() == self.identity
        };
        // The first way fails over huge pages.
        if (leads_to_it() && over(0, self.descriptor, self.offset)) || over(libc::MAP_ANONYMOUS, -1, 0) {
            return;
        }
        // SAFETY: as above. A child that still has its parent's memory must not run.
        unsafe {
            if libc::mprotect(self.start as *mut c_void, self.len_bytes, libc::PROT_NONE) != 0 {
                libc::abort();
            }
        }
    }
}

/// The thread that holds the gate for a fork; 0: none does. In the child it has the same number.
static FORKING: AtomicU64 = AtomicU64::new(0);

/// Whether this thread holds the gate for a fork. If the handlers are installed twice, only the first call of each does
/// something.
fn is_forking() -> bool {
    // Relaxed, as every access: a thread finds its own number only if it has stored it itself.
    FORKING.load(Ordering::Relaxed) == this_thread()
}

#[allow(clippy::unnecessary_cast)] // its type differs by target
fn this_thread() -> u64 {
    // SAFETY: returns this thread's id.
    (unsafe { libc::pthread_self() }) as u64
}

extern "C" fn prepare() {
    if !is_forking() {
        GATE.lock();
        FORKING.store(this_thread(), Ordering::Relaxed);
    }
}

extern "C" fn parent() {
    if is_forking() {
        FORKING.store(0, Ordering::Relaxed);
        GATE.unlock();
    }
}

extern "C" fn child() {
    if !is_forking() {
        return;
    }
    FORKING.store(0, Ordering::Relaxed);
    // SAFETY: this thread has taken the gate in `prepare`, and there is no other thread.
    let inherited = unsafe { &mut *GATE.inherited.get() };
    for descriptor in inherited.locks.iter_mut().filter_map(Option::take) {
        // SAFETY: a registered descriptor is open and belongs to the registry; in a child, `Registered` does not use it
        // any more.
        unsafe { libc::close(descriptor) };
    }
    for part in inherited.parts.iter_mut().filter_map(Option::take) {
        part.make_private();
    }
    EPOCH.store(EPOCH.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    GATE.unlock();
}

/// Installs the handlers for the life of the process and of everything forked from it. Called before a handle remembers
/// an epoch.
///
/// # Errors
/// The C library had no memory for them.
pub(crate) fn watch() -> io::Result<()> {
    // Several threads that come first at the same time, or a child that was forked while its parent installed them, may
    // install them twice.
    static INSTALLED: Settled<i32> = Settled::new();
    if cfg!(miri) {
        return Ok(()); // Miri cannot fork.
    }
    // SAFETY: the three functions have the wanted signature and live as long as the program. Because each only touches
    // what this module owns, their order relative to other libraries' handlers does not matter.
    let error = *INSTALLED.get_or_make(|| unsafe { libc::pthread_atfork(Some(prepare), Some(parent), Some(child)) });
    match error {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// A lock descriptor that a forked child does not inherit. Closed on drop, except in a child, where the handler has
/// closed it already and its number may belong to another file.
#[derive(Debug)]
pub struct Registered {
    descriptor: RawFd,
    entry: usize,
    epoch: u32,
}

impl Registered {
    /// Opens and registers in one step: no fork can fall in between. `open` must not come here again.
    ///
    /// # Errors
    /// That of `open`, or the C library had no memory for the handlers.
    pub fn open(open: impl FnOnce() -> io::Result<OwnedFd>) -> io::Result<Self> {
        watch()?;
        GATE.with(|inherited| {
            let descriptor = open()?.into_raw_fd();
            Ok(Self { descriptor, entry: enter(&mut inherited.locks, descriptor), epoch: fork_epoch() })
        })
    }

    /// The descriptor, or `None` in a child of the process that opened it.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        // SAFETY: in the process that opened it, it stays open until `drop`, which the borrow of `self` excludes.
        (self.epoch == fork_epoch()).then(|| unsafe { BorrowedFd::borrow_raw(self.descriptor) })
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        if self.epoch != fork_epoch() {
            return;
        }
        GATE.with(|inherited| {
            inherited.locks[self.entry] = None;
            // SAFETY: opened by us in this process, registered until the line above, and not used after this.
            drop(unsafe { OwnedFd::from_raw_fd(self.descriptor) });
        });
    }
}

/// A mapping of an object that other processes map too. In a child of a fork it is private memory at the same address.
#[derive(Debug)]
pub(in crate::segment) struct ForkSafe<M> {
    mapping: ManuallyDrop<M>,
    /// Open as long as the mapping exists, because a child maps it again.
    _descriptor: Arc<OwnedFd>,
    entries: Vec<usize>,
    epoch: u32,
}

impl<M> ForkSafe<M> {
    /// Maps and registers in one step: no fork can fall in between. `parts` says which address range of `mapping` maps
    /// which part of the object.
    pub(in crate::segment) fn map(
        descriptor: &Arc<OwnedFd>,
        map: impl FnOnce(BorrowedFd<'_>) -> io::Result<M>,
        parts: impl FnOnce(&M) -> Vec<Part>,
    ) -> io::Result<Self> {
        watch()?;
        let identity = Some(identity_of_descriptor(descriptor.as_fd())?);
        GATE.with(|inherited| {
            let mapping = map(descriptor.as_fd())?;
            let register =
                |part| enter(&mut inherited.parts, Part { descriptor: descriptor.as_raw_fd(), identity, ..part });
            let entries = parts(&mapping).into_iter().map(register).collect();
            let mapping = ManuallyDrop::new(mapping);
            Ok(Self { mapping, _descriptor: Arc::clone(descriptor), entries, epoch: fork_epoch() })
        })
    }
}

impl<M> std::ops::Deref for ForkSafe<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.mapping
    }
}

impl<M> Drop for ForkSafe<M> {
    fn drop(&mut self) {
        GATE.with(|inherited| {
            // In a child the handler has emptied the list, and its entries now are the child's own.
            if self.epoch == fork_epoch() {
                self.entries.iter().for_each(|&entry| inherited.parts[entry] = None);
            }
            // SAFETY: dropped here only.
            unsafe { ManuallyDrop::drop(&mut self.mapping) };
        });
    }
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;
    use testkit::fork::fork_then;
    use testkit::watchdog::PATIENCE;

    #[test]
    fn every_descriptor_that_is_open_is_registered_and_no_other() {
        let open = || Registered::open(|| Ok(std::fs::File::open("/dev/null")?.into()));
        let mut many: Vec<Registered> = (0..80).map(|_| open().unwrap()).collect();
        drop(many.remove(40));
        many.push(open().unwrap());
        GATE.with(|inherited| {
            for one in &many {
                assert_eq!(inherited.locks[one.entry], Some(one.descriptor));
            }
        });
        let mut entries: Vec<usize> = many.iter().map(|one| one.entry).collect();
        entries.sort_unstable();
        entries.dedup();
        assert_eq!(entries.len(), many.len());
        assert!(many.iter().all(|one| one.descriptor().is_some()));
    }

    #[test]
    fn handlers_that_are_installed_twice_do_their_work_once() {
        watch().unwrap();
        // In a child, because installed handlers stay.
        let mut twice = fork_then(|| {
            // SAFETY: as in `watch`.
            let error = unsafe { libc::pthread_atfork(Some(prepare), Some(parent), Some(child)) };
            let before = fork_epoch();
            let mut grandchild = fork_then(|| fork_epoch().wrapping_sub(before) as i32);
            let forks = grandchild.wait_exit(PATIENCE).code();
            GATE.with(|_| i32::from(error != 0 || forks != Some(1) || fork_epoch() != before))
        });
        assert_eq!(twice.wait_exit(PATIENCE).code(), Some(0));
    }
}
