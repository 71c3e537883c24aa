//! A descriptor that other threads make readable.

#[cfg(target_os = "linux")]
pub(super) use linux::Bell;
#[cfg(not(target_os = "linux"))]
pub(super) use other::Bell;

#[cfg(target_os = "linux")]
mod linux {
    use rustix::event::{EventfdFlags, eventfd};
    use std::io;
    use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

    /// An eventfd.
    pub(in crate::agents) struct Bell(OwnedFd);

    impl Bell {
        pub(in crate::agents) fn new() -> io::Result<Self> {
            Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
        }

        pub(in crate::agents) fn ring(&self) {
            // It fails only if its counter is full, and then the descriptor is readable already.
            let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
        }

        pub(in crate::agents) fn clear(&self) {
            // Without a ring there is nothing to read.
            let _ = rustix::io::read(&self.0, &mut [0; 8]);
        }

        pub(in crate::agents) fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod other {
    use std::io::{self, Read, Write};
    use std::os::fd::{AsFd, BorrowedFd};
    use std::os::unix::net::UnixStream;

    /// Two sockets.
    pub(in crate::agents) struct Bell {
        rung: UnixStream,
        ring: UnixStream,
    }

    impl Bell {
        pub(in crate::agents) fn new() -> io::Result<Self> {
            let (rung, ring) = UnixStream::pair()?;
            rung.set_nonblocking(true)?;
            ring.set_nonblocking(true)?;
            Ok(Self { rung, ring })
        }

        pub(in crate::agents) fn ring(&self) {
            // It fails only if its buffer is full, and then the descriptor is readable already.
            let _ = (&self.ring).write(&[1]);
        }

        pub(in crate::agents) fn clear(&self) {
            while (&self.rung).read(&mut [0; 64]).is_ok_and(|read| read == 64) {}
        }

        pub(in crate::agents) fn as_fd(&self) -> BorrowedFd<'_> {
            self.rung.as_fd()
        }
    }
}
