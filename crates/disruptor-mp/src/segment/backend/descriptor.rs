//! What can be done with any object that is a file: measure, fill, map and reopen it. One descriptor, no names.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{self, FallocateFlags, Mode, OFlags};
use rustix::io::Errno;

use super::super::blueprint::Section;
use super::super::owner::ForkSafe;
use super::window::Window;
use super::{Access, Fault, GIVE_TO_GROUP, Identity};

/// How much is reserved per call. A signal interrupts a reservation and undoes what this call did; a process whose
/// timer fires more often than it takes to reserve a whole segment would never finish. One piece takes about a
/// millisecond.
#[cfg(any(target_os = "linux", test))]
const RESERVE_STEP_BYTES: u64 = 4 << 20;

/// The shortest step that is tried when longer ones are interrupted: one page, which takes about a microsecond.
const RESERVE_STEP_MIN_BYTES: u64 = 4096;

/// How often in a row the shortest step may be interrupted. Otherwise a file system that always answers so would keep
/// us in the loop without end.
const INTERRUPTIONS_MAX: u32 = 1000;

pub(super) fn len(descriptor: impl AsFd) -> io::Result<u64> {
    Ok(fs::fstat(descriptor)?.st_size as u64)
}

pub(in crate::segment) fn identity(descriptor: impl AsFd) -> io::Result<Identity> {
    Ok(identity_of(&fs::fstat(descriptor)?))
}

#[allow(clippy::unnecessary_cast)] // their types differ by target
pub(super) fn identity_of(stat: &fs::Stat) -> Identity {
    Identity { device: stat.st_dev as u64, inode: stat.st_ino as u64 }
}

/// Flags of opening for `access`. A FIFO of that name must not make the open wait.
pub(super) fn open_flags(access: Access) -> OFlags {
    let how = match access {
        Access::ReadOnly => OFlags::RDONLY,
        Access::ReadWrite => OFlags::RDWR,
    };
    how | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK
}

/// Opens the object of `descriptor` again: another open file description of the same object, even if its name is gone.
#[cfg(target_os = "linux")]
pub(super) fn reopen(descriptor: impl AsFd, access: Access) -> io::Result<OwnedFd> {
    Ok(fs::open(proc_path(descriptor), open_flags(access), Mode::empty())?)
}

/// The kernel's own name of an open object. It leads to the object itself, even if that has no other name.
#[cfg(target_os = "linux")]
pub(super) fn proc_path(descriptor: impl AsFd) -> String {
    use std::os::fd::AsRawFd;
    format!("/proc/self/fd/{}", descriptor.as_fd().as_raw_fd())
}

/// Opens the object of `descriptor` again. Without `/proc` this goes by the name that the system remembers, so the
/// object must still have one, and the result is checked to be the same object.
#[cfg(not(target_os = "linux"))]
pub(super) fn reopen(descriptor: impl AsFd, access: Access) -> io::Result<OwnedFd> {
    let path = fs::getpath(descriptor.as_fd())?;
    let again = fs::open(path, open_flags(access) | OFlags::NOFOLLOW, Mode::empty())?;
    match identity(&again)? == identity(descriptor)? {
        true => Ok(again),
        false => Err(Errno::NOENT.into()),
    }
}

pub(super) fn set_permissions(descriptor: impl AsFd, mode: u32, group: Option<u32>) -> Result<(), Fault> {
    if let Some(gid) = group {
        fs::fchown(&descriptor, None, Some(fs::Gid::from_raw(gid))).map_err(Fault::of(GIVE_TO_GROUP))?;
    }
    // The umask has narrowed the mode given to `open`, but the caller wants exactly this mode.
    fs::fchmod(&descriptor, Mode::from_raw_mode(mode as _)).map_err(Fault::of("fchmod"))
}

pub(super) fn read_start(descriptor: impl AsFd, max_len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; max_len];
    let mut filled = 0;
    while filled < max_len {
        match rustix::io::pread(&descriptor, &mut bytes[filled..], filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

pub(super) fn fill(descriptor: impl AsFd, page: &[u8], total_len: u64, sparse: bool) -> Result<(), Fault> {
    let descriptor = descriptor.as_fd();
    if !sparse && is_certainly_too_full(descriptor, total_len) {
        return Err(Fault::new("fallocate", Errno::NOSPC));
    }
    let mut written = 0;
    while written < page.len() {
        match rustix::io::pwrite(descriptor, &page[written..], written as u64) {
            Ok(0) => return Err(Fault::new("pwrite", io::ErrorKind::WriteZero)),
            Ok(bytes) => written += bytes,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Fault::new("pwrite", errno)),
        }
    }
    match sparse {
        true => fs::ftruncate(descriptor, total_len).map_err(Fault::of("ftruncate")),
        false => reserve(descriptor, total_len),
    }
}

#[cfg(target_os = "linux")]
fn reserve(descriptor: impl AsFd, total_len: u64) -> Result<(), Fault> {
    let step = |offset, len| fs::fallocate(&descriptor, FallocateFlags::empty(), offset, len);
    reserve_in_steps(total_len, RESERVE_STEP_BYTES, step).map_err(Fault::of("fallocate"))
}

/// Other systems cannot reserve a range, only the whole length at the end of the file.
#[cfg(not(target_os = "linux"))]
fn reserve(descriptor: impl AsFd, total_len: u64) -> Result<(), Fault> {
    let whole = |_, _| fs::fallocate(&descriptor, FallocateFlags::empty(), 0, total_len);
    reserve_in_steps(total_len, total_len, whole).map_err(Fault::of("fcntl(F_PREALLOCATE)"))
}

/// Calls `reserve(offset, len)` until `total_len` bytes are reserved. Steps that are interrupted become shorter, and
/// too many interruptions are an error.
fn reserve_in_steps(
    total_len: u64,
    longest_step: u64,
    mut reserve: impl FnMut(u64, u64) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let (mut offset, mut step, mut interruptions) = (0, longest_step, 0);
    while offset < total_len {
        let len = step.min(total_len - offset);
        match reserve(offset, len) {
            Ok(()) => (offset, interruptions) = (offset + len, 0),
            Err(Errno::INTR) if interruptions < INTERRUPTIONS_MAX => {
                step = (step / 2).max(RESERVE_STEP_MIN_BYTES);
                interruptions += 1;
            }
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Whether space reserved here is memory that counts against a memory limit.
#[cfg(target_os = "linux")]
pub(super) fn is_memory(descriptor: impl AsFd) -> bool {
    matches!(file_system(descriptor).as_str(), "tmpfs" | "ramfs")
}

/// Other systems have no memory limits of this kind.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_memory(_descriptor: impl AsFd) -> bool {
    false
}

/// The longest file that this process may make, if there is a limit. A process that exceeds it gets SIGXFSZ before it
/// gets an error.
pub(in crate::segment) fn longest_file_bytes() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Fsize).current
}

/// Whether the file system cannot give that many bytes to any process. Reserving piece by piece would succeed or fail
/// just the same, but would fill the file system for all other processes meanwhile.
fn is_certainly_too_full(descriptor: impl AsFd, wanted_bytes: u64) -> bool {
    // A file system without a limit reports 0 blocks.
    fs::fstatvfs(descriptor)
        .is_ok_and(|stat| stat.f_blocks > 0 && stat.f_bfree.saturating_mul(stat.f_frsize) < wanted_bytes)
}

pub(super) fn available_bytes(descriptor: impl AsFd) -> u64 {
    fs::fstatvfs(descriptor).map_or(0, |stat| stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// The name of the file system, or its number where we have no name for it.
#[cfg(target_os = "linux")]
pub(super) fn file_system(descriptor: impl AsFd) -> String {
    let Ok(stat) = fs::fstatfs(descriptor) else { return "unknown".to_owned() };
    let name = match stat.f_type as u64 & 0xffff_ffff {
        0x0102_1994 => "tmpfs",
        0x8584_58f6 => "ramfs",
        0x0000_ef53 => "ext4",
        0x5846_5342 => "xfs",
        0x9123_683e => "btrfs",
        0x2fc1_2fc1 => "zfs",
        0x794c_7630 => "overlayfs",
        0x0000_6969 => "nfs",
        0x0102_1997 => "9p",
        0x6573_5546 => "fuse",
        0x0000_4d44 => "vfat",
        number => return format!("of type {number:#x}"),
    };
    name.to_owned()
}

/// Only used in messages; other systems have none.
#[cfg(not(target_os = "linux"))]
pub(super) fn file_system(_descriptor: impl AsFd) -> String {
    "unknown".to_owned()
}

/// Maps the first `len` bytes.
pub(super) fn map(
    descriptor: &Arc<OwnedFd>,
    len: usize,
    again: Option<Section>,
    access: Access,
    prefault: bool,
) -> Result<ForkSafe<Window>, Fault> {
    let map = |own: BorrowedFd<'_>| Window::map(own, len, again, access, prefault);
    ForkSafe::map(descriptor, map, Window::parts).map_err(Fault::of("mmap"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reservation_that_is_always_interrupted_ends() {
        let mut calls = 0;
        let reserve = |_, _| {
            calls += 1;
            assert!(calls <= INTERRUPTIONS_MAX + 1, "it does not stop");
            Err(Errno::INTR)
        };
        assert_eq!(reserve_in_steps(64 << 20, RESERVE_STEP_BYTES, reserve), Err(Errno::INTR));
        assert_eq!(calls, INTERRUPTIONS_MAX + 1);
    }

    #[test]
    fn a_reservation_whose_long_steps_are_interrupted_takes_short_ones() {
        let mut reserved = 0;
        let reserve = |offset, len| {
            assert_eq!(offset, reserved, "every byte once, in order");
            if len > 64 << 10 {
                return Err(Errno::INTR);
            }
            reserved += len;
            Ok(())
        };
        assert_eq!(reserve_in_steps((8 << 20) + 5, RESERVE_STEP_BYTES, reserve), Ok(()));
        assert_eq!(reserved, (8 << 20) + 5);
    }
}
