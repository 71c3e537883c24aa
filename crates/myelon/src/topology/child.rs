//! A worker's process that the scheduler has started: whether it runs, and how it ended.
//!
//! A process is identified by a descriptor, not by its number. The number can belong to another process as soon as this
//! one was reaped, and not only this module reaps: where SIGCHLD is ignored the kernel does, and a thread of the
//! application may wait for any child.

use super::refusal::JoinRefusal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// How often a child without a descriptor is checked for its end.
const REAP_INTERVAL: Duration = Duration::from_millis(2);

/// The longest sleep at a descriptor. A deadline may be later than the kernel's timeouts can express.
const POLL_MAX: Duration = Duration::from_secs(60);

/// Why it is not known how a process has ended. That it has ended is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StatusUnknown {
    /// Another thread of this process has waited for it, or the kernel has reaped it because SIGCHLD is ignored; and
    /// this kernel does not keep the status. Linux 6.15 and later keep it.
    ReapedElsewhere,
}

impl fmt::Display for StatusUnknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::ReapedElsewhere => {
                "its status was given to another thread, or to none because SIGCHLD is ignored, and this kernel does not keep it"
            }
        })
    }
}

/// How a process has ended, as far as it can be known.
pub(super) type Exit = Result<ExitStatus, StatusUnknown>;

/// A process that we have started.
#[derive(Debug)]
pub(super) struct ChildProcess {
    child: Child,
    /// Opened right after the process was started; `None` if the kernel has no such descriptors.
    descriptor: Option<OwnedFd>,
    exit: Option<Exit>,
    /// The pipe into which it writes why it could not join, until it has.
    pipe: Option<OwnedFd>,
}

impl ChildProcess {
    /// Looks after a process that was started just now. `pipe` is the reading end of the pipe that it has inherited.
    pub(super) fn new(child: Child, pipe: Option<OwnedFd>) -> Self {
        let descriptor = system::open(child.id());
        Self { child, descriptor, exit: None, pipe }
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Why it could not join, if it has said so; returned once. Call it after [`exit`](Self::exit), so that the last
    /// message of a process that has ended is not missed.
    pub(super) fn refusal(&mut self, worker: &str) -> Option<JoinRefusal> {
        let refusal = JoinRefusal::read(worker, self.pipe.as_ref()?)?;
        self.pipe = None;
        Some(refusal)
    }

    /// Called when it has joined: no refusal will come.
    pub(super) fn forget_pipe(&mut self) {
        self.pipe = None;
    }

    /// How it has ended; `None` as long as it runs. Reaps it.
    pub(super) fn exit(&mut self) -> Option<Exit> {
        if self.exit.is_none() {
            self.exit = match &self.descriptor {
                Some(descriptor) => system::exit(descriptor),
                None => match self.child.try_wait() {
                    Ok(status) => status.map(Ok),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => None,
                    // It is no longer a child.
                    Err(_) => Some(Err(StatusUnknown::ReapedElsewhere)),
                },
            };
        }
        self.exit
    }

    /// Waits until it has ended, or until `deadline`.
    pub(super) fn wait(&mut self, deadline: Option<Instant>) -> Option<Exit> {
        loop {
            if let Some(exit) = self.exit() {
                return Some(exit);
            }
            let left = deadline.map_or(POLL_MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return None;
            }
            self.nap(left.min(POLL_MAX));
        }
    }

    fn nap(&self, left: Duration) {
        let Some(descriptor) = &self.descriptor else { return std::thread::sleep(left.min(REAP_INTERVAL)) };
        let timeout = Timespec::try_from(left).expect("a minute at most");
        let mut ends = [PollFd::new(descriptor, PollFlags::IN)];
        // It has ended and has no status yet, because another thread is reaping it. Sleep a little in every case.
        if poll(&mut ends, Some(&timeout)).is_ok_and(|ended| ended > 0) {
            std::thread::sleep(left.min(REAP_INTERVAL));
        }
    }

    /// SIGKILL, unless it has ended.
    ///
    /// # Errors
    /// The system refused: the process has changed its user.
    pub(super) fn kill(&mut self) -> io::Result<()> {
        if self.exit().is_some() {
            return Ok(());
        }
        match &self.descriptor {
            Some(descriptor) => system::kill(descriptor),
            None => self.child.kill(),
        }
    }
}

#[cfg(target_os = "linux")]
mod system {
    use super::{Exit, StatusUnknown};
    use disruptor_mp::liveness::process::exit_status;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::io::Errno;
    use rustix::process::{
        Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus, pidfd_open, pidfd_send_signal, waitid,
    };
    use std::os::fd::{AsFd, OwnedFd};
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    /// The bit of a status word that says that a core was dumped.
    const CORE_DUMPED: i32 = 0x80;

    pub(super) fn open(pid: u32) -> Option<OwnedFd> {
        pidfd_open(Pid::from_raw(pid.cast_signed())?, PidfdFlags::empty()).ok()
    }

    pub(super) fn exit(descriptor: &OwnedFd) -> Option<Exit> {
        match waitid(WaitId::PidFd(descriptor.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
            Ok(status) => return status.as_ref().and_then(status_of).map(Ok),
            Err(Errno::INTR) => return None,
            // It is no child: it was reaped, or is being reaped.
            Err(_) => {}
        }
        match exit_status(descriptor) {
            Ok(status) => status.map(Ok),
            Err(_) => has_ended(descriptor).then_some(Err(StatusUnknown::ReapedElsewhere)),
        }
    }

    pub(super) fn kill(descriptor: &OwnedFd) -> std::io::Result<()> {
        match pidfd_send_signal(descriptor, Signal::KILL) {
            // It has ended meanwhile.
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn has_ended(descriptor: &OwnedFd) -> bool {
        let mut ends = [PollFd::new(descriptor, PollFlags::IN)];
        poll(&mut ends, Some(&Timespec::default())).is_ok_and(|ended| ended > 0)
    }

    /// Both forms of the kernel's status as one.
    fn status_of(status: &WaitIdStatus) -> Option<ExitStatus> {
        let word = match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => (code & 0xff) << 8,
            (None, Some(signal)) => signal | if status.dumped() { CORE_DUMPED } else { 0 },
            (None, None) => return None,
        };
        Some(ExitStatus::from_raw(word))
    }
}

/// A system without process descriptors: none is ever opened, and the child's number is used.
#[cfg(not(target_os = "linux"))]
mod system {
    use super::Exit;
    use std::os::fd::OwnedFd;

    pub(super) fn open(_: u32) -> Option<OwnedFd> {
        None
    }

    pub(super) fn exit(_: &OwnedFd) -> Option<Exit> {
        None
    }

    pub(super) fn kill(_: &OwnedFd) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Stdio};
    use testkit::watchdog::PATIENCE;

    fn start(script: &str) -> ChildProcess {
        let child = Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).spawn().unwrap();
        ChildProcess::new(child, None)
    }

    #[test]
    fn a_status_is_the_one_that_the_standard_library_gives() {
        for script in ["exit 0", "exit 7", "kill -9 $$", "kill -15 $$"] {
            let expected = Command::new("sh").args(["-c", script]).status().unwrap();
            assert_eq!(start(script).wait(Some(Instant::now() + PATIENCE)), Some(Ok(expected)), "{script}");
        }
    }

    #[test]
    fn a_child_that_runs_has_not_ended_until_it_is_killed() {
        let mut child = start("read line");
        assert_eq!(child.exit(), None);
        assert_eq!(child.wait(Some(Instant::now())), None);
        child.kill().unwrap();
        assert_eq!(child.wait(Some(Instant::now() + PATIENCE)), Some(Ok(ExitStatus::from_raw(9))));
        child.kill().unwrap();
    }
}
