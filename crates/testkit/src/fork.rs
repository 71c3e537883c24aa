//! Children made by `fork` alone: processes that have our memory but not our threads. [`fork_then`] lists the duties of
//! the caller.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, set_parent_process_death_signal, waitpid};

use crate::raw;
use crate::watchdog::{PATIENCE, eventually};

/// The exit code of a child that panicked: that of a Rust program.
pub const PANICKED: i32 = 101;

/// Forks. The child runs `child`, exits with what it returns (its lowest eight bits) and does nothing else: no
/// destructor of the parent's values and no `atexit` handler runs there. A panic becomes the exit code [`PANICKED`].
///
/// The child has only this thread, and a lock that another thread held is never released. So it must only do what is
/// async-signal-safe, and what the test accepts to hang on (allocating works with glibc, whose allocator handles forks;
/// printing does not, and would show nothing under the harness). Wait for it with a limit. It dies with the thread that
/// forked it.
#[track_caller]
pub fn fork_then(child: impl FnOnce() -> i32) -> ForkedChild {
    match raw::fork().expect("fork works") {
        Some(pid) => ForkedChild { pid, status: None },
        None => {
            let code = catch_unwind(AssertUnwindSafe(|| {
                // Otherwise it would outlive a test that is killed while the child is stopped or stuck.
                set_parent_process_death_signal(Some(Signal::KILL)).expect("SIGKILL is a signal");
                child()
            }));
            raw::exit_now(code.unwrap_or(PANICKED))
        }
    }
}

/// Runs `claims` in a process that has one thread, as [`fork_then`] does. A claim that does not hold is written to its
/// standard error, and fails the test that called this.
#[track_caller]
pub fn alone(claims: impl FnOnce()) {
    let mut child = fork_then(|| match catch_unwind(AssertUnwindSafe(claims)) {
        Ok(()) => 0,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
            let _ = rustix::io::write(io::stderr(), text.as_bytes());
            1
        }
    });
    assert_eq!(child.wait_exit(PATIENCE).code(), Some(0));
}

/// A child of [`fork_then`]; killed and reaped when dropped.
#[derive(Debug)]
pub struct ForkedChild {
    pid: Pid,
    /// Set once reaped. From then on another process may have the pid.
    status: Option<ExitStatus>,
}

impl ForkedChild {
    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// When the child has been reaped.
    #[track_caller]
    pub fn kill(&self, signal: Signal) {
        assert!(self.status.is_none(), "child {} has been reaped", self.pid());
        kill_process(self.pid, signal).expect("our child exists until we reap it");
    }

    /// Waits for it to end, and reaps it.
    ///
    /// # Panics
    /// When it has not ended within `limit`.
    #[track_caller]
    pub fn wait_exit(&mut self, limit: Duration) -> ExitStatus {
        let pid = self.pid();
        if let Err(error) =
            eventually(&format!("the end of forked child {pid}"), limit, || self.reap(WaitOptions::NOHANG).is_some())
        {
            panic!("{error}");
        }
        self.status.expect("reaped above")
    }

    fn reap(&mut self, options: WaitOptions) -> Option<ExitStatus> {
        if self.status.is_none() {
            let answer =
                waitpid(Some(self.pid), options).map_err(io::Error::from).expect("our child exists until we reap it");
            self.status = answer.map(|(_, status)| ExitStatus::from_raw(status.as_raw()));
        }
        self.status
    }
}

impl Drop for ForkedChild {
    fn drop(&mut self) {
        if self.status.is_none() {
            self.kill(Signal::KILL);
            self.reap(WaitOptions::empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watchdog::PATIENCE;
    use std::process;

    #[test]
    fn the_child_has_our_memory_and_a_pid_of_its_own() {
        let (parent, secret) = (process::id(), 42);
        let mut child = fork_then(|| if process::id() == parent { 1 } else { secret });
        assert_ne!(child.pid(), parent);
        assert_eq!(child.wait_exit(PATIENCE).code(), Some(42));
        assert_eq!(child.wait_exit(PATIENCE).code(), Some(42), "the answer stays");
    }

    #[test]
    fn destructors_of_the_parent_do_not_run_in_the_child() {
        struct AbortsElsewhere(u32);
        impl Drop for AbortsElsewhere {
            fn drop(&mut self) {
                if process::id() != self.0 {
                    process::abort();
                }
            }
        }
        let _value = AbortsElsewhere(process::id());
        assert_eq!(fork_then(|| 0).wait_exit(PATIENCE).code(), Some(0));
    }

    #[test]
    fn a_panic_is_an_exit_code() {
        // `resume_unwind` panics without the hook, which would print.
        let mut child = fork_then(|| std::panic::resume_unwind(Box::new(())));
        assert_eq!(child.wait_exit(PATIENCE).code(), Some(PANICKED));
    }

    #[test]
    fn a_dropped_child_is_gone() {
        let child = fork_then(|| {
            loop {
                std::thread::park();
            }
        });
        let pid = child.pid;
        drop(child);
        assert_eq!(waitpid(Some(pid), WaitOptions::NOHANG).unwrap_err(), rustix::io::Errno::CHILD);
    }
}
