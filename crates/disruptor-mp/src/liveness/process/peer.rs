//! Requests of another process by a descriptor that stands for it, which rustix does not have.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Sends a signal to the process of this process descriptor (a pidfd). Every number is accepted, those of real-time
/// signals too.
///
/// # Errors
/// `ESRCH`: the process was reaped. `EPERM`: it has changed its user. `EINVAL`: there is no such signal.
pub fn send_signal(process: impl AsFd, number: i32) -> io::Result<()> {
    let (descriptor, nothing) = (process.as_fd().as_raw_fd(), std::ptr::null::<libc::siginfo_t>());
    // SAFETY: an open descriptor, a number, no structure, and no flags. A descriptor of another kind is an error.
    match unsafe { libc::syscall(libc::SYS_pidfd_send_signal, descriptor, number, nothing, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The supplementary groups that the process at the other end of a Unix socket had when it connected.
///
/// # Errors
/// The descriptor is no connected Unix socket.
pub fn peer_groups(socket: impl AsFd) -> io::Result<Vec<u32>> {
    let mut groups: Vec<libc::gid_t> = vec![0; FEW_GROUPS];
    loop {
        let room_bytes = size_of_val(&groups[..]);
        let mut len_bytes = room_bytes.try_into().expect("a process has at most 65 536 groups");
        // SAFETY: an open descriptor; the kernel writes at most `len_bytes` bytes, which is the length of the vector,
        // and stores the length that it needs. Each group is an integer.
        let result = unsafe {
            libc::getsockopt(
                socket.as_fd().as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut len_bytes,
            )
        };
        let error = io::Error::last_os_error();
        groups.resize(len_bytes as usize / size_of::<libc::gid_t>(), 0);
        match result {
            0 => return Ok(groups),
            // There are more than that. The process at the other end has connected, so their number does not change.
            _ if error.raw_os_error() == Some(libc::ERANGE) && len_bytes as usize > room_bytes => {}
            _ => return Err(error),
        }
    }
}

/// Enough for most users; otherwise the kernel is asked again.
const FEW_GROUPS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Gid, PidfdFlags, getgroups, getpid, pidfd_open};
    use rustix::thread::set_thread_groups;
    use std::os::unix::net::UnixStream;
    use testkit::fork::fork_then;
    use testkit::skip;
    use testkit::watchdog::PATIENCE;

    #[test]
    fn the_groups_of_a_peer_that_is_this_process_are_its_own() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let expected: Vec<u32> = getgroups().unwrap().iter().map(|group| group.as_raw()).collect();
        assert_eq!(peer_groups(&ours).unwrap(), expected);
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(peer_groups(&file).is_err(), "no socket");
    }

    #[test]
    fn many_groups_are_all_told() {
        if !rustix::process::geteuid().is_root() {
            skip!("only root can choose its groups");
        }
        let many: Vec<u32> = (1000..1000 + 3 * FEW_GROUPS as u32).collect();
        let mut child = fork_then(|| {
            let groups: Vec<Gid> = many.iter().map(|&group| Gid::from_raw(group)).collect();
            set_thread_groups(&groups).unwrap();
            let (ours, _theirs) = UnixStream::pair().unwrap();
            i32::from(peer_groups(&ours).unwrap() != many)
        });
        assert_eq!(child.wait_exit(PATIENCE).code(), Some(0));
    }

    #[test]
    fn a_signal_that_does_not_exist_and_a_descriptor_of_something_else_are_errors() {
        let ourselves = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
        send_signal(&ourselves, 0).unwrap();
        assert_eq!(send_signal(&ourselves, 1000).unwrap_err().raw_os_error(), Some(libc::EINVAL));
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(send_signal(&file, 0).unwrap_err().raw_os_error(), Some(libc::EBADF));
    }
}
