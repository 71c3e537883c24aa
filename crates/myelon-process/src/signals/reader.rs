//! Reading blocked signals from a descriptor.

use crate::{Signal, SignalSet};
use disruptor_mp::Patience;
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// The longest sleep. A deadline may be later than the kernel's timeouts can express.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// A signal that was read.
///
/// ```
/// use myelon_process::{Signal, signals::Received};
///
/// fn log(received: Received) {
///     println!("{} from process {} of user {}", received.signal, received.pid, received.uid);
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Received {
    /// The signal.
    pub signal: Signal,
    /// The process that has sent it, as seen in the namespace of this process; 0 if it was the kernel, or if the sender
    /// cannot be seen here. With SIGCHLD, the child.
    pub pid: u32,
    /// The user of that process.
    pub uid: u32,
    /// The value that was sent along by `sigqueue`, for real-time signals; otherwise 0.
    pub value: i32,
}

/// Reads the signals that [`block_first`](super::block_first) has blocked. Its descriptor is readable while one waits.
///
/// The kernel gives the lowest number first. A standard signal that comes again before it was read is read once;
/// real-time signals are read as often as they were sent. A child of `fork` that reads here reads its own signals.
///
/// ```no_run
/// use myelon_process::{Signal, signals};
/// use std::time::Duration;
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let blocked = signals::block_first()?;
///     let reader = blocked.reader()?;
///     match reader.next(Duration::from_secs(1))? {
///         Some(received) if received.signal == Signal::HUP => println!("load the configuration again"),
///         Some(received) => println!("{}", received.signal),
///         None => println!("no signal for a second"),
///     }
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct SignalReader(SignalFd);

impl SignalReader {
    pub(super) fn of(set: SignalSet) -> io::Result<Self> {
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        Ok(Self(SignalFd::with_flags(&set.to_system(), flags)?))
    }

    /// The next signal; `None` if none waits.
    ///
    /// # Errors
    /// The operating system refused, which it does only without memory.
    pub fn try_next(&self) -> io::Result<Option<Received>> {
        loop {
            match self.0.read_signal() {
                Ok(Some(info)) => {
                    // The kernel has no signal without a number.
                    let Some(signal) = Signal::from_number(info.ssi_signo.cast_signed()) else { continue };
                    let (pid, uid, value) = (info.ssi_pid, info.ssi_uid, info.ssi_int);
                    return Ok(Some(Received { signal, pid, uid, value }));
                }
                Ok(None) => return Ok(None),
                Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits for the next signal; `None` when the patience is over.
    ///
    /// # Errors
    /// The same as [`try_next`](Self::try_next).
    pub fn next(&self, patience: impl Into<Patience>) -> io::Result<Option<Received>> {
        let deadline = patience.into().deadline();
        loop {
            if let Some(received) = self.try_next()? {
                return Ok(Some(received));
            }
            let left = deadline.map_or(SLEEP_MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Ok(None);
            }
            let timeout = Timespec::try_from(left.min(SLEEP_MAX)).expect("a minute at most");
            match poll(&mut [PollFd::new(self, PollFlags::IN)], Some(&timeout)) {
                // A signal that is not in the set, and has a handler.
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for SignalReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
