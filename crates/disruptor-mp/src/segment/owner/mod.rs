//! Which processes use a segment: one lock byte per participant. The kernel knows it, no clock decides it.
//!
//! The lock bytes are far beyond the end of any object; nothing is stored there:
//!
//! ```text
//! 0 ......... total_len   ....   1 << 62     +1       +2            + 2^32
//! |  the object         |        | producer | entry 0 | entry 1 | ... |
//! ```
//!
//! The position and length of the range never change, in any version: so every build can tell whether a process uses a
//! segment, whatever the segment is. Byte 0 and the range as a whole have the same meaning in every version; the kind
//! of segment defines the other bytes.
//!
//! The kernel drops a lock when the last descriptor of its open file description is closed, so at the latest when the
//! process dies. Hence a locked descriptor is opened for that purpose, never mapped, never received, never sent. A
//! process that only asks uses `F_OFD_GETLK`, which works on a read-only descriptor and across pid namespaces, and
//! prevents no process from taking the lock. POSIX locks (`F_SETLK`) would be lost as soon as any descriptor of the
//! file is closed anywhere in the process.

mod fork;

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

pub(super) use crate::liveness::ProcessIdentity;
pub(super) use fork::watch as watch_forks;
pub(super) use fork::{ForkSafe, Part};
pub use fork::{Registered, fork_epoch};

use super::backend::HeapMemory;
use crate::step::turn;

/// The lock byte of the producer.
pub(crate) const PRODUCER: u32 = 0;

/// A lock byte that belongs to no participant: only a process that locks the whole range holds it.
pub(crate) const COLLECTOR: u32 = u32::MAX;

/// Where the lock bytes begin: far beyond any object, and far below the largest signed offset.
const LOCK_BASE: i64 = 1 << 62;

const _: () = assert!(size_of::<libc::off_t>() == 8, "lock bytes need 64-bit file offsets");

/// Some of the lock bytes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LockRange {
    /// One participant's.
    Byte(u32),
    /// All of them: a process that holds this knows that no other process uses the segment.
    Whole,
}

impl LockRange {
    fn write_lock(self, kind: libc::c_short) -> libc::flock {
        let (start, len) = match self {
            Self::Byte(byte) => (LOCK_BASE + i64::from(byte), 1),
            Self::Whole => (LOCK_BASE, 1 << 32),
        };
        // SAFETY: `flock` is plain integers, for which zero is a value; its `l_pid` has to be zero for these calls.
        let mut lock: libc::flock = unsafe { std::mem::zeroed() };
        lock.l_type = kind;
        lock.l_whence = libc::SEEK_SET as libc::c_short;
        lock.l_start = start;
        lock.l_len = len;
        lock
    }

    /// The first byte of the range.
    pub(super) fn first(self) -> u32 {
        match self {
            Self::Byte(byte) => byte,
            Self::Whole => 0,
        }
    }
}

/// A held lock byte. It is released when this is dropped or the process dies. In a child of a fork this is a dead copy:
/// the child holds nothing, and dropping it there does nothing.
#[derive(Debug)]
pub(crate) struct Claim {
    range: LockRange,
    holding: Holding,
}

#[derive(Debug)]
enum Holding {
    Descriptor(Registered),
    /// A lock in the table of a heap object, and the epoch in which it was taken.
    Heap(Arc<HeapMemory>, u32),
}

impl Claim {
    /// Locks `range` on a descriptor that `open` opens for this purpose. `None`: a byte of it is held.
    pub(super) fn on_descriptor(
        range: LockRange,
        open: impl FnOnce() -> io::Result<OwnedFd>,
    ) -> io::Result<Option<Self>> {
        let descriptor = Registered::open(open)?;
        let taken = try_lock(descriptor.descriptor().expect("opened by this process a moment ago"), range)?;
        Ok(taken.then_some(Self { range, holding: Holding::Descriptor(descriptor) }))
    }

    /// Locks `range` in the table of a heap object.
    pub(super) fn on_heap(range: LockRange, memory: &Arc<HeapMemory>) -> io::Result<Option<Self>> {
        watch_forks()?;
        let taken = memory.try_lock(range);
        Ok(taken.then(|| Self { range, holding: Holding::Heap(Arc::clone(memory), fork_epoch()) }))
    }

    /// Which byte is held; 0 is the producer's.
    pub(crate) fn byte(&self) -> u32 {
        self.range.first()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        match &self.holding {
            // Closing is not enough, because a copy of the descriptor may exist: a process that is being spawned has
            // one for a moment. Unlocking works on the description itself.
            Holding::Descriptor(registered) => unlock(registered, self.range),
            Holding::Heap(memory, epoch) if *epoch == fork_epoch() => memory.unlock(self.range),
            Holding::Heap(..) => {}
        }
    }
}

/// A descriptor for short claims, opened long before it is needed: removing a dead participant must not fail because
/// the surviving process has run out of descriptors. The borrow allows one claim at a time. It is never used to look,
/// because a description does not see its own locks. In a child of a fork it is closed.
#[derive(Debug)]
pub(crate) struct Spare(SpareHolding);

#[derive(Debug)]
enum SpareHolding {
    Descriptor(Registered),
    /// Locks of a heap object need no descriptors.
    Heap(Arc<HeapMemory>),
}

/// A claim on a [`Spare`].
#[derive(Debug)]
pub(crate) struct SpareClaim<'a>(SpareClaimHolding<'a>);

#[derive(Debug)]
enum SpareClaimHolding<'a> {
    Descriptor(&'a Registered, LockRange),
    Heap { _claim: Claim },
}

impl Spare {
    pub(super) fn on_descriptor(open: impl FnOnce() -> io::Result<OwnedFd>) -> io::Result<Self> {
        Ok(Self(SpareHolding::Descriptor(Registered::open(open)?)))
    }

    pub(super) fn on_heap(memory: &Arc<HeapMemory>) -> Self {
        Self(SpareHolding::Heap(Arc::clone(memory)))
    }

    /// Tries to take one lock byte. `None`: it is held.
    pub(crate) fn claim(&mut self, byte: u32) -> io::Result<Option<SpareClaim<'_>>> {
        let range = LockRange::Byte(byte);
        let holding = match &self.0 {
            SpareHolding::Descriptor(registered) => {
                let own = registered.descriptor().ok_or(io::ErrorKind::Unsupported)?;
                try_lock(own, range)?.then_some(SpareClaimHolding::Descriptor(registered, range))
            }
            SpareHolding::Heap(memory) => {
                Claim::on_heap(range, memory)?.map(|claim| SpareClaimHolding::Heap { _claim: claim })
            }
        };
        Ok(holding.map(SpareClaim))
    }
}

impl Drop for SpareClaim<'_> {
    fn drop(&mut self) {
        if let SpareClaimHolding::Descriptor(registered, range) = self.0 {
            unlock(registered, range);
        }
    }
}

/// Locks `range` on a descriptor of ours; `false` if another description holds a byte of it.
fn try_lock(own: BorrowedFd<'_>, range: LockRange) -> io::Result<bool> {
    turn!();
    let lock = range.write_lock(libc::F_WRLCK as libc::c_short);
    loop {
        // SAFETY: an open descriptor and a valid `flock` that lives through the call, which does not wait.
        match unsafe { libc::fcntl(own.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) } {
            0 => return Ok(true),
            _ => match io::Error::last_os_error() {
                error if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => return Ok(false),
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => return Err(error),
            },
        }
    }
}

/// Unlocks `range`; does nothing in a child of the process that opened the descriptor.
fn unlock(registered: &Registered, range: LockRange) {
    turn!(unlocking);
    if let Some(descriptor) = registered.descriptor() {
        let lock = range.write_lock(libc::F_UNLCK as libc::c_short);
        // SAFETY: as in `try_lock`. If it fails, the lock ends with the descriptor.
        unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) };
    }
}

/// The first byte of `range` that another description has locked. Takes no lock. The answer can be stale by the time it
/// is used, except that a participant found dead stays dead.
pub(super) fn first_held(descriptor: impl AsFd, range: LockRange) -> io::Result<Option<u32>> {
    turn!();
    let mut lock = range.write_lock(libc::F_WRLCK as libc::c_short);
    // SAFETY: an open descriptor and a valid `flock` that lives through the call, which writes into it and does not
    // wait.
    let rc = unsafe { libc::fcntl(descriptor.as_fd().as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) };
    if rc != 0 {
        return Err(io::Error::last_os_error());
    }
    match lock.l_type == libc::F_UNLCK as libc::c_short {
        true => Ok(None),
        // A foreign lock may begin before the range; then the answer is the first byte of the range.
        false => Ok(Some(u32::try_from(lock.l_start - LOCK_BASE).unwrap_or(range.first()).max(range.first()))),
    }
}
