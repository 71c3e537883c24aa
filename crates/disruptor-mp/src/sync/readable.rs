//! A flag that `poll` and `epoll` understand: an eventfd.
//!
//! The owner of a doorbell waits on it and clears it; the watcher's threads set it.

use rustix::event::{EventfdFlags, eventfd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A descriptor that is readable while it is set.
pub(crate) struct Readable {
    eventfd: OwnedFd,
}

impl Readable {
    /// A flag that is not set.
    ///
    /// # Errors
    /// The system refuses an eventfd.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { eventfd: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)? })
    }

    pub(crate) fn set(&self) {
        // It can only fail because the counter is full, that is, because it is readable.
        let _ = rustix::io::write(&self.eventfd, &1_u64.to_ne_bytes());
    }

    pub(crate) fn clear(&self) {
        let mut count = [0; 8];
        // It does not block: if there is nothing to read, the error says that the flag was clear.
        let _ = rustix::io::read(&self.eventfd, &mut count);
    }
}

impl AsFd for Readable {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.eventfd.as_fd()
    }
}
