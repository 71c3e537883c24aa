//! Victims in a pid namespace of their own, like processes of another container.
//!
//! The thread that spawns the victim makes the namespace (`unshare` changes the namespace only for future children of
//! that thread). So the victim is pid 1 inside, and at the same time our direct child with an ordinary pid outside: it
//! can be stopped, killed and reaped like any other. As the first process of its namespace it ignores signals without a
//! handler, except SIGKILL and SIGSTOP from us.

use std::thread;

use rustix::io;
use rustix::mount::{MountFlags, mount};

use crate::fork::{ForkedChild, fork_then};
use crate::process::is_victim;
use crate::raw;
use crate::skip::Reason;

/// Whether [`Respawn::in_new_pid_namespace`](crate::process::Respawn::in_new_pid_namespace) will work.
///
/// # Errors
/// A reason to skip the test: this process may not make namespaces, which usually only root may.
pub fn available() -> Result<(), Reason> {
    // In a thread that ends, because the change applies to the thread.
    let tried = thread::spawn(raw::enter_new_pid_namespace).join().expect("the thread does not panic");
    tried.map_err(|error| {
        // "No space" means that the machine's limit of namespaces, which may be 0, is reached.
        let refused = Reason::is_refusal(error) || error == io::Errno::NOSPC;
        assert!(refused, "making a pid namespace failed: {error}");
        Reason::not_permitted("making a pid namespace", error)
    })
}

/// For a victim in its own namespace: mounts a `/proc` with the pids of this namespace. Until then it sees the one of
/// its parent, as in a container whose `/proc` was bind-mounted from the host.
///
/// # Errors
/// The error of `mount`.
pub fn mount_own_proc() -> io::Result<()> {
    // The mount namespace is private exactly if the pid namespace is ours, that is, if we are its first process.
    // Otherwise this would cover the machine's own `/proc`.
    assert!(is_victim() && rustix::process::getpid().is_init(), "only a victim in a namespace of its own may do this");
    mount("proc", "/proc", "proc", MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC, None)
}

/// [`fork_then`], with the child as the first process of a pid namespace inside ours. The calling thread can have no
/// other children afterwards: the kernel allows none in a namespace whose first process has ended.
///
/// # Errors
/// The error of `unshare`; see [`available`].
#[track_caller]
pub fn fork_then_first(child: impl FnOnce() -> i32) -> io::Result<ForkedChild> {
    raw::enter_new_pid_namespace()?;
    Ok(fork_then(child))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::{Respawn, say, wait_to_be_killed};
    use crate::test_name;
    use crate::watchdog::PATIENCE;
    use crate::{Signal, skip};
    use std::fs;
    use std::os::unix::process::ExitStatusExt;
    use std::process;

    #[test]
    #[ignore = "runs as a victim"]
    fn victim_inside() {
        if !is_victim() {
            return;
        }
        let outside = fs::read_link("/proc/self").unwrap();
        mount_own_proc().unwrap();
        let inside = fs::read_link("/proc/self").unwrap();
        say(&format!("NUMBERS {} {} {}", process::id(), inside.display(), outside.display()));
        wait_to_be_killed();
    }

    #[test]
    fn the_victim_is_first_inside_and_our_child_outside() {
        if let Err(reason) = available() {
            skip!("{reason}");
        }
        let mut victim = Respawn::test(test_name!(victim_inside)).in_new_pid_namespace().spawn();
        assert_eq!(victim.wait_line("NUMBERS"), format!("NUMBERS 1 1 {}", victim.pid()));
        victim.stop();
        victim.kill(Signal::KILL);
        assert_eq!(victim.wait_exit(PATIENCE).signal(), Some(Signal::KILL.as_raw()));
    }

    #[test]
    fn our_own_namespace_and_mounts_do_not_change() {
        let before = (fs::read_link("/proc/self/ns/pid").unwrap(), fs::read_link("/proc/self/ns/mnt").unwrap());
        let _ = available();
        let after = (fs::read_link("/proc/self/ns/pid").unwrap(), fs::read_link("/proc/self/ns/mnt").unwrap());
        assert_eq!(before, after);
    }
}
