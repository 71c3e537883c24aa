//! What rings need of a machine, tried out: each function makes the calls that a ring makes, and leaves nothing behind.
//! For programs that explain a machine; a ring that cannot be made says so by itself.

use std::io;
use std::time::Duration;

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;
use rustix::thread::futex;
use rustix::time::Timespec;

pub use crate::segment::{DirectoryTrial, MemoryLimit, directory_trial, is_ring};
use crate::sync::primitive::AtomicU32;

/// Sleeps at a bell, for no time.
///
/// # Errors
/// The kernel refuses the call: then a waiting end cannot sleep.
pub fn sleep_at_a_bell() -> io::Result<()> {
    let word = AtomicU32::new(0);
    let no_time = Timespec { tv_sec: 0, tv_nsec: 0 };
    match futex::wait(&word, futex::Flags::empty(), 0, Some(&no_time)) {
        Ok(()) | Err(Errno::TIMEDOUT | Errno::AGAIN | Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Sleeps at two bells at once, for no time.
///
/// # Errors
/// The kernel has no such call (it came with Linux 5.16), or a seccomp filter refuses it.
pub fn sleep_at_several_bells() -> io::Result<()> {
    let (one, other) = (AtomicU32::new(0), AtomicU32::new(0));
    crate::sync::futex::wait_for_any(&[(&one, 0), (&other, 0)], Some(Duration::ZERO))
}

/// Makes the descriptor of a doorbell.
///
/// # Errors
/// The kernel refuses it, or there are no descriptors left.
pub fn doorbell() -> io::Result<()> {
    crate::sync::readable::Readable::new().map(drop)
}

/// Makes a memory file and seals its length.
///
/// # Errors
/// The kernel refuses one of the two.
pub fn memory_file() -> io::Result<()> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = rustix::fs::memfd_create("myelon-probe", flags)?;
    Ok(rustix::fs::fcntl_add_seals(file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?)
}

/// Asks whether one process can run a memory barrier on the processors of others, which makes a fence in each publish
/// unnecessary.
///
/// # Errors
/// The kernel has no such barrier, or a seccomp filter refuses it.
pub fn barrier_of_others() -> io::Result<()> {
    crate::sync::announce::barrier_of_others()
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;

    #[test]
    fn what_this_kernel_has_is_found() {
        sleep_at_a_bell().unwrap();
        doorbell().unwrap();
        memory_file().unwrap();
        let absent = |error: &io::Error| matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM));
        for result in [sleep_at_several_bells(), barrier_of_others()] {
            assert!(result.as_ref().err().is_none_or(absent), "{result:?}");
        }
    }
}
