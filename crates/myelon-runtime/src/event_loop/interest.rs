//! What a source of a descriptor waits for, and what it is told.

use mio::event::Event;

/// What a source waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Interest {
    /// Something to read, or the end of it.
    Readable,
    /// Room to write.
    Writable,
    /// Both.
    Both,
    /// An exceptional condition (`POLLPRI`): a trigger of memory pressure, or urgent data. Linux only: elsewhere it is
    /// the same as `Readable`.
    Exceptional,
}

impl Interest {
    pub(super) fn to_mio(self) -> mio::Interest {
        match self {
            Self::Readable => mio::Interest::READABLE,
            Self::Writable => mio::Interest::WRITABLE,
            Self::Both => mio::Interest::READABLE | mio::Interest::WRITABLE,
            #[cfg(target_os = "linux")]
            Self::Exceptional => mio::Interest::PRIORITY,
            #[cfg(not(target_os = "linux"))]
            Self::Exceptional => mio::Interest::READABLE,
        }
    }
}

/// What a handler of a descriptor is told: what was seen since its last call. It can have changed since then, so read
/// and write without blocking.
///
/// ```
/// use myelon_runtime::event_loop::{EventLoop, Interest, Ready};
/// use std::io::{PipeReader, Write};
/// use std::time::Duration;
///
/// let mut event_loop = EventLoop::new()?;
/// let (reader, writer) = std::io::pipe()?;
/// let handler = |event_loop: &mut EventLoop, _: &mut PipeReader, ready: Ready| {
///     assert!(ready.hang_up && !ready.readable);
///     event_loop.handle().exit();
/// };
/// event_loop.add(reader, Interest::Readable, "a pipe", handler)?;
/// drop(writer);
/// event_loop.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Ready {
    /// There is something to read, or the end of it.
    pub readable: bool,
    /// There is room to write.
    pub writable: bool,
    /// An exceptional condition (`POLLPRI`).
    pub exceptional: bool,
    /// The other end was closed. There may still be something to read, unless `readable` is `false`. When there is
    /// nothing, this is told once, and the source is paused after the call.
    pub hang_up: bool,
    /// The descriptor has an error, which the next call with it returns. A socket can go on after that, unless
    /// `hang_up` is set as well.
    pub error: bool,
    /// Neither direction works any more.
    pub(super) both_closed: bool,
    /// There is an error, and no other sign of an end. For a pipe this is its end. A socket can go on: the error may be
    /// one of a datagram, or a message in its queue of errors.
    pub(super) closed_by_error: bool,
}

impl Ready {
    pub(super) fn of(event: &Event) -> Self {
        let (read_closed, write_closed) = (event.is_read_closed(), event.is_write_closed());
        Self {
            readable: event.is_readable(),
            writable: event.is_writable(),
            exceptional: event.is_priority(),
            hang_up: read_closed,
            error: event.is_error(),
            both_closed: read_closed && write_closed,
            closed_by_error: write_closed && !read_closed,
        }
    }

    pub(super) fn and(self, later: Self) -> Self {
        Self {
            readable: self.readable || later.readable,
            writable: self.writable || later.writable,
            exceptional: self.exceptional || later.exceptional,
            hang_up: self.hang_up || later.hang_up,
            error: self.error || later.error,
            both_closed: self.both_closed || later.both_closed,
            closed_by_error: self.closed_by_error || later.closed_by_error,
        }
    }

    /// Whether `interest` can get nothing any more, if there is nothing left to read.
    pub(super) fn ends(self, interest: Interest) -> bool {
        match interest {
            Interest::Readable | Interest::Writable => self.hang_up,
            Interest::Both => self.both_closed,
            Interest::Exceptional => self.error || self.hang_up,
        }
    }
}
