//! Sleeps that end between two milliseconds. The timeout of epoll has no finer unit.

use super::FINE;
use mio::unix::SourceFd;
use mio::{Interest, Registry};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

/// A timerfd in the loop's epoll.
#[derive(Debug)]
pub(super) struct Fine {
    timer: OwnedFd,
    armed: bool,
}

impl Fine {
    pub(super) fn new(registry: &Registry) -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        registry.register(&mut SourceFd(&timer.as_raw_fd()), FINE, Interest::READABLE)?;
        Ok(Self { timer, armed: false })
    }

    /// Takes over a timeout, and returns what is left for epoll. It is never read: setting it gives a new edge.
    pub(super) fn arm(&mut self, timeout: Option<Duration>) -> io::Result<Option<Duration>> {
        let nap = match timeout {
            Some(Duration::ZERO) => return Ok(timeout),
            Some(nap) => nap,
            None if self.armed => Duration::ZERO,
            None => return Ok(None),
        };
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        // A time that the kernel cannot express is as good as none.
        let value = Timespec::try_from(nap).unwrap_or(zero);
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &Itimerspec { it_interval: zero, it_value: value })?;
        self.armed = !nap.is_zero();
        Ok(None)
    }
}
