//! A process by its descriptor (a pidfd), which always means this process and no later one with its number.

use crate::{Ended, Signal, StatusUnknown};
use disruptor_mp::liveness::process::{exit_status, send_signal};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, WaitIdStatus, getpid, kill_process, pidfd_open, waitid};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// The pause while another thread that has taken the status of an ended process is still reaping it.
const REAP_INTERVAL: Duration = Duration::from_millis(2);

/// The stack of a thread that only waits.
const STACK_BYTES: usize = 64 * 1024;

/// What is needed for a process that is not started yet: that nothing is missing is known before it runs.
pub(crate) struct Reserve {
    /// A descriptor that is readable, which stands for a process that is gone.
    readable: OwnedFd,
}

impl Reserve {
    /// # Errors
    /// There are no descriptors left, or this kernel (before 5.4) has none for processes.
    pub(crate) fn new() -> io::Result<Self> {
        drop(pidfd_open(getpid(), PidfdFlags::empty())?);
        Ok(Self { readable: readable_descriptor()? })
    }
}

#[derive(Debug)]
pub(super) struct Process {
    /// `None` once it was abandoned.
    descriptor: Option<OwnedFd>,
}

impl Process {
    /// The process `pid`, and its end if it is gone already.
    pub(super) fn of(pid: u32, Reserve { readable }: Reserve) -> io::Result<(Self, Option<Ended>)> {
        let pid = Pid::from_raw(pid.cast_signed()).expect("the pid of a process that was started is positive");
        let mut reserve = Some(readable);
        let mut opened = pidfd_open(pid, PidfdFlags::empty());
        if let Err(Errno::MFILE | Errno::NFILE) = opened {
            // Another thread has taken the descriptor that was free a moment ago.
            reserve = None;
            opened = pidfd_open(pid, PidfdFlags::empty());
        }
        match opened {
            Ok(descriptor) if is_our_child(&descriptor) => Ok((Self { descriptor: Some(descriptor) }, None)),
            // It cannot be looked after, so it must not run.
            Err(error) if error != Errno::SRCH && end(pid) => Err(error.into()),
            // There is no process of this number any more, or it belongs to another process already, or to a thread.
            Ok(_) | Err(_) => {
                let readable = reserve.map_or_else(readable_descriptor, Ok)?;
                Ok((Self { descriptor: Some(readable) }, Some(Ended::Unknown(StatusUnknown::GoneAtOnce))))
            }
        }
    }

    pub(super) fn ended(&self) -> Option<Ended> {
        let descriptor = self.as_fd();
        match waitid(WaitId::PidFd(descriptor), WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
            Ok(status) => return status.as_ref().and_then(end_of),
            Err(Errno::INTR) => return None,
            // It is no child: it was reaped, or is being reaped.
            Err(_) => {}
        }
        match exit_status(descriptor) {
            Ok(status) => status.map(Ended::of_status),
            Err(_) => is_readable(descriptor).then_some(Ended::Unknown(StatusUnknown::ReapedElsewhere)),
        }
    }

    /// Sleeps until it ends, at most for `time`.
    pub(super) fn nap(&self, time: Duration) {
        let timeout = Timespec::try_from(time).expect("a minute at most");
        // It has ended and has no status yet, because another thread is reaping it. Sleep a little in every case.
        if poll(&mut [PollFd::new(self, PollFlags::IN)], Some(&timeout)).is_ok_and(|ended| ended > 0) {
            std::thread::sleep(time.min(REAP_INTERVAL));
        }
    }

    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        match send_signal(self, signal.number()) {
            // It has ended meanwhile.
            Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => Ok(()),
            sent => sent,
        }
    }

    /// Lets a thread reap it when it ends.
    pub(super) fn abandon(&mut self, pid: u32) {
        let Some(descriptor) = self.descriptor.take() else { return };
        let reap = move || {
            while let Err(Errno::INTR) = waitid(WaitId::PidFd(descriptor.as_fd()), WaitIdOptions::EXITED) {}
        };
        // Without a thread it stays a zombie until this process ends, as it does with the standard library.
        let _ = std::thread::Builder::new().name(format!("reap-{pid}")).stack_size(STACK_BYTES).spawn(reap);
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_ref().expect("it is abandoned when it is dropped").as_fd()
    }
}

/// A descriptor that is readable and stays so.
fn readable_descriptor() -> io::Result<OwnedFd> {
    Ok(eventfd(1, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)
}

/// Kills and reaps a child. `false`: it is no child.
fn end(pid: Pid) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let is_child = waitid(WaitId::Pid(pid), options).is_ok();
    if is_child && kill_process(pid, rustix::process::Signal::KILL).is_ok() {
        let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED);
    }
    is_child
}

/// Whether the process that was just opened by its number is our child, which was started with that number. If the
/// child was reaped meanwhile, its number may belong to a process of another parent.
fn is_our_child(process: &OwnedFd) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    // A child that was reaped after the descriptor was opened is no child any more, and is gone.
    waitid(WaitId::PidFd(process.as_fd()), options).is_ok() || is_readable(process.as_fd())
}

fn is_readable(descriptor: BorrowedFd<'_>) -> bool {
    poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

fn end_of(status: &WaitIdStatus) -> Option<Ended> {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Some(Ended::Exited(code)),
        (None, signal) => {
            let signal = Signal::from_number(signal?)?;
            Some(Ended::Signalled { signal, core_dumped: status.dumped() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found for a process that another part of the program has started.
    fn found(pid: u32) -> (Process, Option<Ended>) {
        Process::of(pid, Reserve::new().unwrap()).unwrap()
    }

    #[test]
    fn a_child_that_is_gone_before_it_is_opened_has_ended_and_its_descriptor_is_readable() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let (process, ended) = found(child.id());
        assert_eq!(ended, Some(Ended::Unknown(StatusUnknown::GoneAtOnce)));
        assert!(is_readable(process.as_fd()));
    }

    #[test]
    fn a_process_that_has_the_number_of_a_child_that_is_gone_is_not_taken_for_it() {
        let parent = rustix::process::getppid().unwrap().as_raw_pid().cast_unsigned();
        let (process, ended) = found(parent);
        assert_eq!(ended, Some(Ended::Unknown(StatusUnknown::GoneAtOnce)));
        assert!(is_readable(process.as_fd()), "it does not stand for the other process");
    }

    #[test]
    fn a_thread_that_has_the_number_of_a_child_that_is_gone_is_not_taken_for_it() {
        // A test runs in a thread that is not the first of its process.
        let thread = rustix::thread::gettid().as_raw_pid().cast_unsigned();
        assert_ne!(thread, std::process::id(), "run the tests in threads of their own");
        let (process, ended) = found(thread);
        assert_eq!(ended, Some(Ended::Unknown(StatusUnknown::GoneAtOnce)));
        assert!(is_readable(process.as_fd()));
    }

    #[test]
    fn a_zombie_is_a_child() {
        let mut child = std::process::Command::new("sh").args(["-c", "exit 7"]).spawn().unwrap();
        let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
        waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).unwrap();
        let (process, ended) = found(child.id());
        assert_eq!((ended, process.ended()), (None, Some(Ended::Exited(7))));
        assert!(child.wait().is_err(), "reaped above");
    }
}
