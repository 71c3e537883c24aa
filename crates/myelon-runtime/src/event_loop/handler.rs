//! A source's handler, with what it owns.

use super::{EventLoop, IntoNext, Next, Ready};
use crate::primitive::Site;
use std::any::Any;
use std::error::Error;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::{Duration, Instant};

/// What a handler of a timer is told.
///
/// ```
/// use myelon_runtime::event_loop::{EventLoop, Tick};
/// use std::time::Duration;
///
/// let mut event_loop = EventLoop::new()?;
/// event_loop.add_interval(Duration::from_millis(1), "a heartbeat", |event_loop: &mut EventLoop, tick: Tick| {
///     println!("late by {:?}, {} missed", event_loop.now() - tick.deadline, tick.missed);
///     event_loop.handle().exit();
/// });
/// event_loop.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tick {
    /// When it was due, as it was asked for.
    pub deadline: Instant,
    /// How many further periods have passed since the last call; 0 for a timer without a period.
    pub missed: u64,
}

/// Why a handler is called.
#[derive(Clone, Copy, Debug)]
pub(super) enum News {
    Ready(Ready),
    Tick(Tick),
    Command,
    Idle,
    SafePoint,
}

pub(super) type Answer = Result<Next, Box<dyn Error>>;

pub(super) trait Handler {
    fn call(&mut self, event_loop: &mut EventLoop, news: News) -> Answer;

    /// The descriptor that the loop waits for.
    fn descriptor(&self) -> Option<RawFd> {
        None
    }

    /// Whether there is nothing to read from that descriptor, of which `ready` was told.
    fn nothing_to_read(&self, ready: Ready) -> bool {
        let _ = ready;
        false
    }

    /// Whether that descriptor is a socket.
    fn is_socket(&self) -> bool {
        false
    }

    /// Whether a channel has more, after a call or a pause, which `look` names. If not, its next sender tells the loop.
    fn has_more(&self, _look: Site) -> bool {
        false
    }

    /// Whether the kernel tells each event of that descriptor once, to the first that looks. Then it is not armed
    /// again: there is no level to look for.
    fn tells_each_event_once(&self) -> bool {
        false
    }

    /// Whether it keeps that descriptor open.
    fn owns(&self) -> bool {
        false
    }

    fn source(&mut self) -> Option<&mut dyn Any> {
        None
    }

    fn into_source(self: Box<Self>) -> Option<Box<dyn Any>> {
        None
    }
}

/// A descriptor that the loop owns.
pub(super) struct Owned<S, H> {
    pub(super) source: S,
    pub(super) handler: H,
}

impl<S: AsFd + 'static, R: IntoNext, H: FnMut(&mut EventLoop, &mut S, Ready) -> R> Handler for Owned<S, H> {
    fn call(&mut self, event_loop: &mut EventLoop, news: News) -> Answer {
        let News::Ready(ready) = news else { unreachable!("a descriptor is told what is ready") };
        (self.handler)(event_loop, &mut self.source, ready).into_next()
    }

    fn descriptor(&self) -> Option<RawFd> {
        Some(self.source.as_fd().as_raw_fd())
    }

    fn nothing_to_read(&self, _: Ready) -> bool {
        // What does not know the number has no bytes.
        rustix::io::ioctl_fionread(self.source.as_fd()).map_or(true, |bytes| bytes == 0)
    }

    fn is_socket(&self) -> bool {
        use rustix::fs::{FileType, fstat};
        fstat(self.source.as_fd()).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_socket())
    }

    fn owns(&self) -> bool {
        true
    }

    fn source(&mut self) -> Option<&mut dyn Any> {
        Some(&mut self.source)
    }

    fn into_source(self: Box<Self>) -> Option<Box<dyn Any>> {
        Some(Box::new(self.source))
    }
}

/// A descriptor that the caller keeps open.
pub(super) struct Raw<H> {
    pub(super) descriptor: RawFd,
    pub(super) handler: H,
}

impl<R: IntoNext, H: FnMut(&mut EventLoop, Ready) -> R> Handler for Raw<H> {
    fn call(&mut self, event_loop: &mut EventLoop, news: News) -> Answer {
        let News::Ready(ready) = news else { unreachable!("a descriptor is told what is ready") };
        (self.handler)(event_loop, ready).into_next()
    }

    fn descriptor(&self) -> Option<RawFd> {
        Some(self.descriptor)
    }

    fn nothing_to_read(&self, ready: Ready) -> bool {
        use nix::sys::socket::{MsgFlags, recv};
        if ready.error {
            // The look would take the error, which is the handler's to read.
            return false;
        }
        // Without an owner there is no safe call for the number of bytes. A byte of a socket can be looked at.
        match recv(self.descriptor, &mut [0], MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT) {
            Ok(bytes) => bytes == 0,
            // A pipe: the kernel tells an end without something to read as such.
            Err(nix::errno::Errno::ENOTSOCK) => false,
            Err(_) => true,
        }
    }

    fn is_socket(&self) -> bool {
        use nix::sys::socket::{SockaddrStorage, getsockname};
        !matches!(getsockname::<SockaddrStorage>(self.descriptor), Err(nix::errno::Errno::ENOTSOCK))
    }
}

/// A timer. The call happens once a deadline.
pub(super) struct Ticking<H>(pub(super) H);

impl<R: IntoNext, H: FnMut(&mut EventLoop, Tick) -> R> Handler for Ticking<H> {
    fn call(&mut self, event_loop: &mut EventLoop, news: News) -> Answer {
        let News::Tick(tick) = news else { unreachable!("a timer is told its deadline") };
        (self.0)(event_loop, tick).into_next()
    }
}

/// Work for when there is no other.
pub(super) struct Idling<H>(pub(super) H);

impl<R: IntoNext, H: FnMut(&mut EventLoop) -> R> Handler for Idling<H> {
    fn call(&mut self, event_loop: &mut EventLoop, _: News) -> Answer {
        (self.0)(event_loop).into_next()
    }
}

/// What is called at a safe point.
pub(super) struct AtSafePoint<H>(pub(super) H);

impl<R: IntoNext, H: FnMut(&mut EventLoop) -> R> Handler for AtSafePoint<H> {
    fn call(&mut self, event_loop: &mut EventLoop, _: News) -> Answer {
        (self.0)(event_loop).into_next()
    }
}

/// A deadline: an instant, or a time from now.
///
/// ```
/// use myelon_runtime::event_loop::{Due, EventLoop};
/// use std::time::Duration;
///
/// let mut event_loop = EventLoop::new()?;
/// let in_a_second = event_loop.now() + Duration::from_secs(1);
/// assert_eq!(Due::from(in_a_second), Due::At(in_a_second));
/// let id = event_loop.add_timer(in_a_second, "a second is over", |_: &mut EventLoop, _| ());
/// event_loop.rearm(id, Duration::from_secs(5)); // five seconds from now
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Then, on the loop's clock.
    At(Instant),
    /// That long after the call.
    In(Duration),
}

impl From<Instant> for Due {
    fn from(instant: Instant) -> Self {
        Self::At(instant)
    }
}

impl From<Duration> for Due {
    fn from(duration: Duration) -> Self {
        Self::In(duration)
    }
}
