//! A process by its number, for systems without descriptors of processes. The number is right as long as only this
//! module reaps.

use crate::{Ended, Signal, StatusUnknown};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, kill_process, waitpid};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

/// How often a child is checked for its end.
const REAP_INTERVAL: Duration = Duration::from_millis(2);

/// Nothing is needed before a process is started.
pub(crate) struct Reserve;

impl Reserve {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self)
    }
}

#[derive(Debug)]
pub(super) struct Process(Pid);

impl Process {
    pub(super) fn of(pid: u32, _: Reserve) -> io::Result<(Self, Option<Ended>)> {
        Ok((Self(Pid::from_raw(pid.cast_signed()).expect("the pid of a process that was started is positive")), None))
    }

    pub(super) fn ended(&self) -> Option<Ended> {
        match waitpid(Some(self.0), WaitOptions::NOHANG) {
            Ok(status) => status.map(|(_, status)| Ended::of_status(ExitStatus::from_raw(status.as_raw()))),
            Err(Errno::INTR) => None,
            // It is no longer a child.
            Err(_) => Some(Ended::Unknown(StatusUnknown::ReapedElsewhere)),
        }
    }

    pub(super) fn nap(&self, time: Duration) {
        std::thread::sleep(time.min(REAP_INTERVAL));
    }

    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        let signal = rustix::process::Signal::from_named_raw(signal.number()).ok_or(io::ErrorKind::Unsupported)?;
        match kill_process(self.0, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn abandon(&mut self, pid: u32) {
        let process = self.0;
        let reap = move || while let Err(Errno::INTR) = waitpid(Some(process), WaitOptions::empty()) {};
        let _ = std::thread::Builder::new().name(format!("reap-{pid}")).spawn(reap);
    }
}
