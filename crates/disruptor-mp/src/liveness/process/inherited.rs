//! A descriptor that a child inherits and can recognise.
//!
//! A descriptor number in an environment variable proves nothing: the variable may have been passed on to a process in
//! which that number is another file, or none. So the pipe's identity goes with the number, and is compared before the
//! descriptor is used.

use rustix::fs::fstat;
use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};

/// The writing end of a pipe for a child that inherits it: its descriptor number there, and the identity of the pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InheritedPipe {
    /// Its number in the child.
    pub number: u32,
    /// The device of the pipe.
    pub device: u64,
    /// Its inode on that device, which distinguishes it from any other existing pipe.
    pub inode: u64,
}

impl InheritedPipe {
    /// Describes `pipe` for a child that has it as `number`.
    ///
    /// # Errors
    /// The system did not say what it is.
    #[allow(clippy::unnecessary_cast)] // their types differ by target
    pub fn of(pipe: impl AsFd, number: RawFd) -> io::Result<Self> {
        let stat = fstat(&pipe)?;
        Ok(Self { number: number.cast_unsigned(), device: stat.st_dev as u64, inode: stat.st_ino as u64 })
    }

    /// In the child: another descriptor of the pipe. From now on programs that this process starts inherit neither.
    /// `None`: this process has not inherited it.
    pub fn take(self) -> Option<OwnedFd> {
        let number = RawFd::try_from(self.number).ok()?;
        // SAFETY: a number and a request without memory. For a number that is not a descriptor it answers `EBADF`.
        let copy = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 0) };
        if copy < 0 {
            return None;
        }
        // SAFETY: the kernel has made this descriptor for us in the line above.
        let copy = unsafe { OwnedFd::from_raw_fd(copy) };
        if Self::of(&copy, number).ok()? != self {
            return None;
        }
        // SAFETY: as above; the comparison shows that the number is the pipe that was passed to this process. If
        // another thread has closed and reused the number since, then only one descriptor fewer is inherited.
        unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
        Some(copy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
    use rustix::pipe::{PipeFlags, pipe_with};
    use std::os::fd::AsRawFd;

    /// What a child finds that has inherited `pipe` with the same number.
    fn of(pipe: &OwnedFd) -> InheritedPipe {
        fcntl_setfd(pipe, FdFlags::empty()).unwrap();
        InheritedPipe::of(pipe, pipe.as_raw_fd()).unwrap()
    }

    fn reaches_children(pipe: &OwnedFd) -> bool {
        !fcntl_getfd(pipe).unwrap().contains(FdFlags::CLOEXEC)
    }

    #[test]
    fn a_pipe_is_not_inherited_further_once_it_was_taken() {
        let (_reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let inherited = of(&writer);
        assert!(reaches_children(&writer));
        let taken = inherited.take().unwrap();
        assert!(!reaches_children(&writer) && !reaches_children(&taken));
    }

    #[test]
    fn what_is_written_into_a_taken_pipe_arrives() {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let taken = of(&writer).take().unwrap();
        rustix::io::write(&taken, b"refused").unwrap();
        let mut bytes = [0; 16];
        assert_eq!(rustix::io::read(&reader, &mut bytes).unwrap(), 7);
    }

    #[test]
    fn another_file_under_the_number_is_not_taken_for_the_pipe() {
        let (_reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let (_other_reader, other) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let pipe = of(&writer);
        for number in [1_000_000, u32::MAX] {
            assert!(InheritedPipe { number, ..pipe }.take().is_none());
        }
        // The other descriptor keeps its flag: this process may not change it.
        let number = of(&other).number;
        assert!(InheritedPipe { number, ..pipe }.take().is_none());
        assert!(reaches_children(&other));
    }
}
