//! A descriptor that a child inherits and can recognise.
//!
//! A descriptor number in an environment variable proves nothing: the variable may have been passed on to a process in
//! which that number is another file, or none. So the pipe's identity goes with the number, and is compared before the
//! descriptor is used.

use rustix::fs::fstat;
use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

/// The writing end of a pipe for a child that inherits it: its descriptor number there, and the identity of the pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InheritedPipe {
    /// Its number in the child, the same as in the parent.
    pub number: u32,
    /// The device of the pipe.
    pub device: u64,
    /// Its inode on that device, which distinguishes it from any other existing pipe.
    pub inode: u64,
}

impl InheritedPipe {
    /// Describes `pipe` for a child.
    ///
    /// # Errors
    /// The system did not say what it is.
    #[allow(clippy::unnecessary_cast)] // their types differ by target
    pub fn of(pipe: impl AsFd) -> io::Result<Self> {
        let stat = fstat(&pipe)?;
        let number = pipe.as_fd().as_raw_fd().cast_unsigned();
        Ok(Self { number, device: stat.st_dev as u64, inode: stat.st_ino as u64 })
    }

    /// Sets whether programs that this process starts inherit `pipe`. A new descriptor is not inherited.
    ///
    /// # Errors
    /// The system refused.
    pub fn set_inherited(pipe: impl AsFd, is_inherited: bool) -> io::Result<()> {
        let others = fcntl_getfd(&pipe)? & !FdFlags::CLOEXEC;
        fcntl_setfd(&pipe, if is_inherited { others } else { others | FdFlags::CLOEXEC })?;
        Ok(())
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
        if Self::of(&copy).ok()? != (Self { number: copy.as_raw_fd().cast_unsigned(), ..self }) {
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
    use rustix::pipe::{PipeFlags, pipe_with};
    use std::process::Command;

    fn reaches_children(pipe: &OwnedFd) -> bool {
        let path = format!("/proc/self/fd/{}", pipe.as_raw_fd());
        Command::new("test").args(["-e", &path]).status().unwrap().success()
    }

    #[test]
    fn a_pipe_is_inherited_only_while_that_is_asked_for() {
        let (_reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        assert!(!reaches_children(&writer));
        InheritedPipe::set_inherited(&writer, true).unwrap();
        assert!(reaches_children(&writer));
        let taken = InheritedPipe::of(&writer).unwrap().take().unwrap();
        assert!(!reaches_children(&writer) && !reaches_children(&taken));
        InheritedPipe::set_inherited(&writer, true).unwrap();
        InheritedPipe::set_inherited(&writer, false).unwrap();
        assert!(!reaches_children(&writer));
    }

    #[test]
    fn what_is_written_into_a_taken_pipe_arrives() {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let taken = InheritedPipe::of(&writer).unwrap().take().unwrap();
        rustix::io::write(&taken, b"refused").unwrap();
        let mut bytes = [0; 16];
        assert_eq!(rustix::io::read(&reader, &mut bytes).unwrap(), 7);
    }

    #[test]
    fn another_file_under_the_number_is_not_taken_for_the_pipe() {
        let (_reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let (_other_reader, other) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let pipe = InheritedPipe::of(&writer).unwrap();
        assert!(InheritedPipe { number: other.as_raw_fd().cast_unsigned(), ..pipe }.take().is_none());
        for number in [1_000_000, u32::MAX] {
            assert!(InheritedPipe { number, ..pipe }.take().is_none());
        }
        // The other descriptor keeps its flag: this process may not change it.
        InheritedPipe::set_inherited(&other, true).unwrap();
        assert!(InheritedPipe { number: other.as_raw_fd().cast_unsigned(), ..pipe }.take().is_none());
        assert!(reaches_children(&other));
    }
}
