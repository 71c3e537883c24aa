//! How a process ended, even if another thread or the kernel has already reaped it.
//!
//! It needs one request of a process descriptor (`PIDFD_GET_INFO`), which rustix does not have.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// How the process of this process descriptor (a pidfd) ended. `None`: it has not been reaped yet. Once there is a
/// status, it stays the answer.
///
/// If SIGCHLD is ignored, the kernel reaps a child itself; if a thread waits for all children, that thread does.
/// `waitid` then answers `ECHILD`, but the kernel keeps the status with the descriptor.
///
/// # Errors
/// `Unsupported`: the kernel is older than 6.15 and does not keep it. `ESRCH`: it was reaped before the descriptor was
/// made. Neither changes.
pub fn exit_status(process: impl AsFd) -> io::Result<Option<ExitStatus>> {
    let mut info = std::mem::MaybeUninit::<libc::pidfd_info>::zeroed();
    // SAFETY: `pidfd_info` is plain integers, for which zero is a value.
    unsafe { info.assume_init_mut() }.mask = u64::from(libc::PIDFD_INFO_EXIT);
    let descriptor = process.as_fd().as_raw_fd();
    // SAFETY: an open descriptor, and a structure of the length that the request's number contains, which the kernel
    // reads and writes within the call. For a descriptor of another kind the request is unknown.
    if unsafe { libc::ioctl(descriptor, libc::PIDFD_GET_INFO, info.as_mut_ptr()) } != 0 {
        let error = io::Error::last_os_error();
        return Err(match error.raw_os_error() {
            Some(libc::ENOTTY | libc::EINVAL) => io::ErrorKind::Unsupported.into(),
            _ => error,
        });
    }
    // SAFETY: initialised with zeros above; the kernel has written integers over them.
    let info = unsafe { info.assume_init() };
    if info.mask & u64::from(libc::PIDFD_INFO_EXIT) != 0 {
        return Ok(Some(ExitStatus::from_raw(info.exit_code)));
    }
    // A kernel that knows the request and has no status answers `ESRCH` for a process that is gone. While the process
    // lives, this cannot be distinguished from a kernel that does not know the request, and need not be.
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, kill_process, pidfd_open, waitpid};
    use testkit::fork::fork_then;
    use testkit::skip;
    use testkit::watchdog::PATIENCE;

    #[test]
    fn the_status_of_a_child_that_another_has_reaped_is_known() {
        for (code, signal) in [(0, None), (7, None), (0, Some(Signal::KILL))] {
            let mut child = fork_then(|| match signal {
                None => code,
                Some(signal) => kill_process(rustix::process::getpid(), signal).map_or(1, |()| 1),
            });
            let pid = Pid::from_raw(child.pid().cast_signed()).unwrap();
            let descriptor = pidfd_open(pid, PidfdFlags::empty()).unwrap();
            let expected = child.wait_exit(PATIENCE);
            assert!(waitpid(Some(pid), WaitOptions::NOHANG).is_err(), "reaped above");
            match exit_status(&descriptor) {
                Err(error) if error.kind() == io::ErrorKind::Unsupported => skip!("a kernel before 6.15"),
                status => assert_eq!(status.unwrap(), Some(expected)),
            }
        }
    }

    #[test]
    fn a_process_that_lives_has_no_status() {
        let ourselves = pidfd_open(rustix::process::getpid(), PidfdFlags::empty()).unwrap();
        assert!(!matches!(exit_status(&ourselves), Ok(Some(_))));
    }

    #[test]
    fn a_descriptor_of_something_else_is_an_error() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(exit_status(&file).unwrap_err().kind(), io::ErrorKind::Unsupported);
    }
}
