//! A child: whether it runs, how it ended, and signals for it.
//!
//! A child is identified by a descriptor, not by its number. The number can belong to another process as soon as the
//! child was reaped, and not only this module reaps: where SIGCHLD is ignored the kernel does, and a thread of the
//! application may wait for any child.

#[cfg(target_os = "linux")]
mod by_descriptor;
#[cfg(not(target_os = "linux"))]
mod by_number;

#[cfg(target_os = "linux")]
use by_descriptor as system;
#[cfg(not(target_os = "linux"))]
use by_number as system;

pub(crate) use system::Reserve;

use crate::{Ended, Signal};
use disruptor_mp::Patience;
use disruptor_mp::liveness::ProcessIdentity;
use std::io::{self, PipeReader, PipeWriter};
#[cfg(target_os = "linux")]
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// The longest sleep. A deadline may be later than the kernel's timeouts can express.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// The ends of a child's pipes that this process holds.
#[derive(Debug, Default)]
pub(crate) struct Pipes {
    pub(crate) stdin: Option<PipeWriter>,
    pub(crate) stdout: Option<PipeReader>,
    pub(crate) stderr: Option<PipeReader>,
}

/// A process that [`Command::spawn`](crate::Command::spawn) or [`Nursery::spawn`](crate::Nursery::spawn) has started.
///
/// Its descriptor (on Linux, by `AsFd`) becomes readable when it has ended and stays so: a loop can wait for it.
///
/// A `Child` that is dropped ends nothing: its process runs on. It leaves no zombie either: a thread that does nothing
/// else waits for that process and reaps it.
///
/// ```
/// use myelon_process::{Command, Ended, Signal};
/// use std::time::Duration;
///
/// let mut child = Command::new("sleep").arg("1000").spawn()?;
/// assert_eq!(child.wait(Duration::from_millis(10)), None);
/// child.signal(Signal::TERM)?;
/// let ended = child.wait(Duration::from_secs(30));
/// assert_eq!(ended, Some(Ended::Signalled { signal: Signal::TERM, core_dumped: false }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Child {
    /// The writing end of its standard input, if that was [`Stdio::piped`](crate::Stdio::piped). Drop it before you
    /// wait for a child that reads to the end of its input.
    pub stdin: Option<PipeWriter>,
    /// The reading end of its standard output, if that was piped. A child whose pipe is full waits for its reader.
    pub stdout: Option<PipeReader>,
    /// The reading end of its standard error, if that was piped.
    pub stderr: Option<PipeReader>,
    pid: u32,
    process: system::Process,
    ended: Option<Ended>,
    /// The process that has started it. A child of `fork` has a copy of this value.
    owner: ProcessIdentity,
}

impl Child {
    /// Looks after the process `pid`, which was started just now.
    pub(crate) fn new(pid: u32, reserve: Reserve, pipes: Pipes) -> io::Result<Self> {
        let Pipes { stdin, stdout, stderr } = pipes;
        let (process, ended) = system::Process::of(pid, reserve)?;
        Ok(Self { stdin, stdout, stderr, pid, process, ended, owner: ProcessIdentity::current() })
    }

    /// Its pid. Another process may have it as soon as this one has ended.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// How it has ended; `None` as long as it runs. Reaps it. Once there is an end, it stays the answer.
    pub fn try_wait(&mut self) -> Option<Ended> {
        if self.ended.is_none() {
            self.ended = self.process.ended();
        }
        self.ended
    }

    /// Waits until it has ended, or until the patience is over, and then answers as [`try_wait`](Self::try_wait) does.
    /// A duration, a deadline or [`Patience::Endless`] says how long; with `Endless` there is always an end.
    ///
    /// A child that reads its input to the end does not end before you drop [`stdin`](Self::stdin).
    pub fn wait(&mut self, patience: impl Into<Patience>) -> Option<Ended> {
        let deadline = patience.into().deadline();
        loop {
            if let Some(ended) = self.try_wait() {
                return Some(ended);
            }
            let left = deadline.map_or(SLEEP_MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return None;
            }
            self.process.nap(left.min(SLEEP_MAX));
        }
    }

    /// Sends it a signal, unless it has ended.
    ///
    /// # Errors
    /// The system refused: the process has changed its user.
    pub fn signal(&mut self, signal: Signal) -> io::Result<()> {
        match self.try_wait() {
            Some(_) => Ok(()),
            None => self.process.signal(signal),
        }
    }

    /// Ends it by SIGKILL, unless it has ended. It is not reaped yet: [`wait`](Self::wait) for it.
    ///
    /// # Errors
    /// The same as [`signal`](Self::signal).
    pub fn kill(&mut self) -> io::Result<()> {
        self.signal(Signal::KILL)
    }
}

/// Readable when it has ended.
#[cfg(target_os = "linux")]
impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // In a child of `fork` the process is the parent's child, not ours.
        if self.owner == ProcessIdentity::current() && self.try_wait().is_none() {
            self.process.abandon(self.pid);
        }
    }
}
