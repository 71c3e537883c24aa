//! What safe Rust cannot express: memory that two processes share, this process's resource usage, signals as a
//! descriptor, a message that is not validated. All `unsafe` of this crate is here.
//!
//! What the module gives out is safe to use, whatever the other process does. The one exception is
//! [`trusted`](fn@trusted), for which the other process has to be one of ours.
#![allow(unsafe_code, reason = "shares memory and signals below the libraries that are measured")]

use std::ffi::c_void;
use std::io;
use std::ops::{Deref, DerefMut};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use myelon::codec::CodecResult;
use myelon::codec::trusted::{self, TrustedCodec};
use myelon::typed_transport::TypedMessage;
use rustix::fs::MemfdFlags;
use rustix::mm::{MapFlags, ProtFlags};
use rustix::thread::futex;

/// A 64-bit word that several processes read and write.
#[repr(transparent)]
pub(crate) struct Word(AtomicU64);

impl Word {
    /// The value. Everything that its writer wrote before [`publish`](Self::publish) may be read after it.
    pub(crate) fn acquire(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Stores `value` and makes everything written before visible to a thread that [acquires](Self::acquire) it.
    pub(crate) fn publish(&self, value: u64) {
        self.0.store(value, Ordering::Release);
    }

    /// The value alone; a cursor acquired earlier says that it is there.
    pub(crate) fn peek(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Stores `value` alone; a cursor published later makes it visible.
    pub(crate) fn put(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Adds one and returns the new value. Ordered both ways: a party that arrives later sees what this one wrote
    /// before
    /// its arrival.
    pub(crate) fn arrive(&self) -> u64 {
        self.0.fetch_add(1, Ordering::AcqRel) + 1
    }
}

/// Numbers for names, one after the other within this process.
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// A number that this counter has not given before. Only the numbers differ; nothing is ordered by them.
    pub(crate) fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// How a wait on a [`FutexWord`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// The thread slept in the kernel and was woken (or interrupted; callers look at the word again).
    Slept,
    /// The word had changed already, so the kernel did not put the thread to sleep.
    Changed,
}

/// A 32-bit word that processes can sleep on.
#[repr(transparent)]
pub(crate) struct FutexWord(AtomicU32);

impl FutexWord {
    /// The value. Everything that was written before [`advance`](Self::advance) may be read after it.
    pub(crate) fn acquire(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    /// Adds one (wrapping) and wakes no thread; partner of [`acquire`](Self::acquire).
    pub(crate) fn advance(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }

    /// Wakes up to `count` sleepers and returns how many there were.
    pub(crate) fn wake(&self, count: u32) -> io::Result<usize> {
        // No PRIVATE flag: the sleeper is in another process.
        Ok(futex::wake(&self.0, futex::Flags::empty(), count)?)
    }

    /// Sleeps for `nap`, or until woken, while the word is 0.
    pub(crate) fn sleep_for(&self, nap: Duration) -> io::Result<()> {
        let nap = rustix::time::Timespec { tv_sec: nap.as_secs() as i64, tv_nsec: nap.subsec_nanos().into() };
        match futex::wait(&self.0, futex::Flags::empty(), 0, Some(&nap)) {
            Ok(()) | Err(rustix::io::Errno::TIMEDOUT | rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Sleeps while the word is `expected`.
    pub(crate) fn sleep_while(&self, expected: u32) -> io::Result<Wait> {
        match futex::wait(&self.0, futex::Flags::empty(), expected, None) {
            Ok(()) | Err(rustix::io::Errno::INTR) => Ok(Wait::Slept),
            Err(rustix::io::Errno::AGAIN) => Ok(Wait::Changed),
            Err(error) => Err(error.into()),
        }
    }
}

/// Lets this thread's timers fire when they are due, and not up to 50 µs later.
pub(crate) fn lower_timer_slack() -> io::Result<()> {
    // SAFETY: PR_SET_TIMERSLACK takes one integer and touches no memory of ours.
    let result = unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_u64, 0_u64, 0_u64, 0_u64) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A mapping that belongs to this value and is unmapped with it.
struct Mapping {
    base: NonNull<u8>,
    bytes: usize,
}

impl Mapping {
    /// Maps `bytes` of `fd` shared and populates the page table, so that no page fault falls into a measurement.
    fn of(fd: BorrowedFd<'_>, bytes: usize) -> io::Result<Self> {
        // SAFETY: a null hint lets the kernel choose the place, so no existing mapping is replaced.
        let base = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                bytes,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED | MapFlags::POPULATE,
                fd,
                0,
            )?
        };
        let base = NonNull::new(base.cast()).expect("the kernel never maps address zero unasked");
        Ok(Self { base, bytes })
    }

    /// A pointer to `count` values of `T` at `offset`.
    ///
    /// # Panics
    /// When they are not inside the mapping, or not on `T`'s alignment: a mistake in a layout of ours.
    fn place<T>(&self, offset: usize, count: usize) -> NonNull<T> {
        let end = count.checked_mul(size_of::<T>()).and_then(|bytes| bytes.checked_add(offset));
        assert!(
            end.is_some_and(|end| end <= self.bytes),
            "{count} words at {offset} leave a mapping of {}",
            self.bytes
        );
        assert!(offset.is_multiple_of(align_of::<T>()), "offset {offset} is not aligned");
        // SAFETY: `offset` is at most `bytes`, by the first assertion.
        unsafe { self.base.add(offset).cast() }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: `base` and `bytes` come from `mmap`, and every reference into the mapping borrows from its owner.
        // A failure would leave the mapping until the process ends, which is no harm.
        let _ = unsafe { rustix::mm::munmap(self.base.as_ptr().cast::<c_void>(), self.bytes) };
    }
}

/// Memory that the roles of one measurement share. Only words are handed out, so a peer's write is never a data race.
pub(crate) struct SharedMemory(Mapping);

impl SharedMemory {
    /// Makes `bytes` of zeroed memory without a name: it is gone when the last process that holds it ends, in any way.
    pub(crate) fn create(bytes: usize) -> io::Result<OwnedFd> {
        let fd = rustix::fs::memfd_create("perf-bench", MemfdFlags::CLOEXEC)?;
        rustix::fs::ftruncate(&fd, bytes as u64)?;
        Ok(fd)
    }

    /// Maps the memory that the parent created; `bytes` is its size.
    pub(crate) fn open(fd: BorrowedFd<'_>, bytes: usize) -> io::Result<Self> {
        // A mapping that reaches beyond its object answers a touch with SIGBUS, so the object is asked first.
        let found = rustix::fs::fstat(fd)?.st_size;
        if usize::try_from(found).is_ok_and(|found| found >= bytes) {
            Ok(Self(Mapping::of(fd, bytes)?))
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidInput, format!("shared memory has {found} B, not {bytes} B")))
        }
    }

    /// The word at `offset` bytes. Panics when there is none.
    pub(crate) fn word(&self, offset: usize) -> &Word {
        // SAFETY: `place` checked bounds and alignment, the borrow keeps the mapping, and every process sees an atomic
        // here.
        unsafe { self.0.place::<Word>(offset, 1).as_ref() }
    }

    /// `count` words from `offset` bytes on. Panics when there are fewer.
    pub(crate) fn words(&self, offset: usize, count: usize) -> &[Word] {
        let first = self.0.place::<Word>(offset, count);
        // SAFETY: as in `word`, for `count` neighbours.
        unsafe { std::slice::from_raw_parts(first.as_ptr(), count) }
    }

    /// The futex word at `offset` bytes. Panics when there is none.
    pub(crate) fn futex(&self, offset: usize) -> &FutexWord {
        // SAFETY: as in `word`.
        unsafe { self.0.place::<FutexWord>(offset, 1).as_ref() }
    }
}

/// Memory of the same kind as a ring's (shared pages of tmpfs) that no other process knows, so plain slices of it are
/// safe.
pub(crate) struct Window(Mapping);

impl Window {
    /// Maps `bytes` of fresh, zeroed, populated memory.
    pub(crate) fn new(bytes: usize) -> io::Result<Self> {
        Ok(Self(Mapping::of(SharedMemory::create(bytes)?.as_fd(), bytes)?))
    }
}

impl Deref for Window {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the mapping has `bytes` initialised bytes. Its descriptor was closed in `new` and never left it, so
        // no other process can reach them, and this borrow excludes `deref_mut`.
        unsafe { std::slice::from_raw_parts(self.0.base.as_ptr(), self.0.bytes) }
    }
}

impl DerefMut for Window {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`; the exclusive borrow excludes every other one.
        unsafe { std::slice::from_raw_parts_mut(self.0.base.as_ptr(), self.0.bytes) }
    }
}

/// The message in place, without validation: the cost of trusted reading. Only for a stream between two roles of one
/// measurement.
///
/// # Errors
/// When its length or address shows that it cannot be such a message.
pub(crate) fn trusted<'m, T: TrustedCodec>(message: &'m TypedMessage<'_, T>) -> CodecResult<T::Archived<'m>> {
    // SAFETY: the stream is of this type, as its tag says, and its sender is another role: a process of this very
    // executable, which encodes its messages with this codec, writes nothing else and leaves them alone until `message`
    // is dropped. No other process knows the segment's name. rkyv's check of the place includes the alignment.
    unsafe { trusted::access::<T>(message) }
}

/// How often the kernel has taken the cpu from this process for another since it started.
pub(crate) fn involuntary_switches() -> u64 {
    // SAFETY: `rusage` is plain numbers, for which all zeros is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is a live `rusage` that the kernel fills in. With a valid `who` the call cannot fail.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
    usage.ru_nivcsw.unsigned_abs()
}

/// Blocks SIGINT, SIGTERM and SIGHUP in this thread and everything it starts, and returns a descriptor that becomes
/// readable when one arrives.
pub(crate) fn termination_signals() -> io::Result<OwnedFd> {
    // SAFETY: `sigset_t` is plain bits, for which all zeros is a value; `sigemptyset` makes it the empty set on every
    // libc.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is live for all calls, the signal numbers are valid, and a null old mask means that we do not want
    // it.
    let fd = unsafe {
        libc::sigemptyset(&raw mut set);
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
            libc::sigaddset(&raw mut set, signal);
        }
        if libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
        libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC)
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is fresh and no other code knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_mappings_of_one_memory_see_each_other() {
        let fd = SharedMemory::create(8192).unwrap();
        let (left, right) =
            (SharedMemory::open(fd.as_fd(), 8192).unwrap(), SharedMemory::open(fd.as_fd(), 8192).unwrap());
        left.word(4096).publish(7);
        assert_eq!(right.word(4096).acquire(), 7);
        assert_eq!(right.words(4096, 2)[0].peek(), 7);
    }

    #[test]
    fn memory_that_is_too_small_is_refused_and_not_a_signal_later() {
        let fd = SharedMemory::create(4096).unwrap();
        assert!(SharedMemory::open(fd.as_fd(), 8192).is_err());
    }

    #[test]
    #[should_panic(expected = "leave a mapping")]
    fn a_word_outside_the_memory_is_refused() {
        let fd = SharedMemory::create(4096).unwrap();
        SharedMemory::open(fd.as_fd(), 4096).unwrap().word(4096);
    }

    #[test]
    fn sleeping_on_a_word_that_has_changed_returns_at_once() {
        let fd = SharedMemory::create(4096).unwrap();
        let memory = SharedMemory::open(fd.as_fd(), 4096).unwrap();
        memory.futex(0).advance();
        assert_eq!(memory.futex(0).sleep_while(0).unwrap(), Wait::Changed);
    }
}
