//! What the operating system knows about a process, for reports.
//!
//! On Linux, the facts come from `/proc` and the cgroup file system; elsewhere every state is
//! [`ProcessState::Unknown`].
//!
//! These facts decide nothing. A pid is recycled, `/proc` may be hidden or be that of another namespace, and an answer
//! may be stale before it is printed. Whether a participant lives is known from the lock that the kernel holds for it.

#[cfg(target_os = "linux")]
mod exit;
mod inherited;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
mod peer;
mod spawn;

#[cfg(target_os = "linux")]
pub use exit::exit_status;
pub use inherited::InheritedPipe;
#[cfg(target_os = "linux")]
use linux as system;
#[cfg(target_os = "linux")]
pub use peer::{peer_groups, send_signal};
pub use spawn::Spawn;

use std::cell::Cell;
use std::fmt;
use std::time::Duration;

/// What a process is doing, in the words of a process list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProcessState {
    /// On a processor, or ready for one and waiting for its turn.
    Running,
    /// Waiting for something that a signal can interrupt.
    Sleeping,
    /// Waiting for something that not even SIGKILL interrupts, usually a disk or a network file system.
    DiskSleep,
    /// Stopped by a signal (SIGSTOP, Ctrl-Z) or by a debugger. It continues after SIGCONT or when the debugger allows
    /// it.
    Stopped,
    /// Dead, but its parent has not asked for its exit status yet.
    Zombie,
    /// There is no such process, or another one has its pid. Once this is the answer, it never changes.
    Gone,
    /// Its pid belongs to another pid namespace (another container), so nothing can be looked up with it here.
    OtherNamespace,
    /// The operating system does not say, or offers no way to ask.
    Unknown,
}

impl fmt::Display for ProcessState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Running => "running",
            Self::Sleeping => "sleeping",
            Self::DiskSleep => "in uninterruptible sleep",
            Self::Stopped => "stopped",
            Self::Zombie => "zombie",
            Self::Gone => "gone",
            Self::OtherNamespace => "in another pid namespace",
            Self::Unknown => "unknown",
        })
    }
}

/// How often and how long a cgroup's processor limit has kept its processes from running, since the cgroup was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Throttling {
    /// Periods (of usually 100 ms) in which the limit was reached.
    pub periods: u64,
    /// The time for which threads had to wait, summed over the processors.
    pub time: Duration,
}

/// What is known about a process. Each fact was true at some moment during [`ProcessIdentity::observe`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessFacts {
    /// The pid in the namespace of the process itself.
    pub pid: u32,
    /// The state of its first thread, which represents the process.
    pub state: ProcessState,
    /// The kernel function in which the first thread waits, such as `futex_do_wait`. `None` if it does not wait, or if
    /// we do not have the right to debug the process, which this needs.
    pub wchan: Option<String>,
    /// Its cgroup's throttling, or that of the enclosing group that was throttled the longest. `None` without a
    /// processor limit or without cgroup version 2.
    pub throttled: Option<Throttling>,
}

impl fmt::Display for ProcessFacts {
    /// One line without a line end: `pid 4711 sleeping, waits in futex_do_wait, throttled 12 times for 1.5s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid {} {}", self.pid, self.state)?;
        if let Some(wchan) = &self.wchan {
            write!(f, ", waits in {wchan}")?;
        }
        match self.throttled {
            Some(Throttling { periods, time }) if periods > 0 => write!(f, ", throttled {periods} times for {time:?}"),
            _ => Ok(()),
        }
    }
}

/// Identifies a process. A later process with the same pid has another identity, and so has a process with the same pid
/// in another pid namespace.
///
/// The numbers are meant to be kept in shared memory. They are valid only on the same machine and until its next boot,
/// like the shared memory itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProcessIdentity {
    /// The pid as the process itself sees it.
    pub pid: u32,
    /// When the process started, in clock ticks after boot. They are counted by the machine's own clock, even if the
    /// process is in a time namespace with another clock. 0 if the system does not say.
    pub start_time_ticks: u64,
    /// The inode number of its pid namespace; 0 if the system does not say.
    pub pid_namespace: u64,
}

thread_local! {
    // Per thread, so that a child of `fork` cannot inherit a lock or a half-written value.
    static CURRENT: Cell<Option<ProcessIdentity>> = const { Cell::new(None) };
}

impl ProcessIdentity {
    /// The identity of an unknown process.
    pub(crate) fn unknown() -> Self {
        Self { pid: 0, start_time_ticks: 0, pid_namespace: 0 }
    }

    /// The identity of the calling process. Cached per thread, and determined again in a child of `fork`.
    pub fn current() -> Self {
        let pid = system::current_pid();
        if let Some(remembered) = CURRENT.get()
            && remembered.pid == pid
        {
            return remembered;
        }
        let identity = system::identify(pid);
        // The first process of a container can fork the first process of a nested container. That child has another
        // identity with the same pid, and the cached value would be that of its parent.
        if pid != 1 {
            CURRENT.set(Some(identity));
        }
        identity
    }

    /// The low 24 bits of the namespace's inode number, for words that have no room for all of it; 0 if the system does
    /// not say. Two namespaces have different tags unless their inode numbers differ by a multiple of 2^24.
    pub fn pid_namespace_tag(&self) -> u32 {
        self.pid_namespace as u32 & 0xff_ffff
    }

    /// Looks up the process. Never fails, and accepts any numbers: what is not known is `Unknown` or absent.
    ///
    /// Costs some file reads, so use it only to make a report.
    pub fn observe(&self) -> ProcessFacts {
        let nothing = |state| ProcessFacts { pid: self.pid, state, wchan: None, throttled: None };
        let here = Self::current();
        if self.pid == 0 || self.pid_namespace == 0 || here.pid_namespace == 0 {
            return nothing(ProcessState::Unknown);
        }
        if self.pid_namespace != here.pid_namespace {
            return nothing(ProcessState::OtherNamespace);
        }
        system::look_up(self).unwrap_or_else(nothing)
    }
}

/// A system without `/proc`: the pid is all that is known.
#[cfg(not(target_os = "linux"))]
mod system {
    use super::{ProcessFacts, ProcessIdentity, ProcessState};

    pub(super) fn current_pid() -> u32 {
        std::process::id()
    }

    pub(super) fn identify(pid: u32) -> ProcessIdentity {
        ProcessIdentity { pid, start_time_ticks: 0, pid_namespace: 0 }
    }

    pub(super) fn look_up(_: &ProcessIdentity) -> Result<ProcessFacts, ProcessState> {
        Err(ProcessState::Unknown)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use testkit::fork::fork_then;
    use testkit::process::{Respawn, Victim, is_victim, say, wait_to_be_killed};
    use testkit::watchdog::{PATIENCE, eventually};
    use testkit::{Signal, namespace, skip, test_name};

    #[test]
    #[ignore = "runs as a victim"]
    fn victim_that_tells_who_it_is() {
        if !is_victim() {
            return;
        }
        let ProcessIdentity { pid, start_time_ticks, pid_namespace } = ProcessIdentity::current();
        say(&format!("IDENTITY {pid} {start_time_ticks} {pid_namespace}"));
        wait_to_be_killed();
    }

    /// Starts a victim and waits for its identity.
    fn start(respawn: Respawn) -> (Victim, ProcessIdentity) {
        let mut victim = respawn.spawn();
        let said = victim.wait_line("IDENTITY");
        let numbers: Vec<u64> = said.split(' ').skip(1).map(|number| number.parse().unwrap()).collect();
        let &[pid, start_time_ticks, pid_namespace] = &numbers[..] else { panic!("{said}") };
        (victim, ProcessIdentity { pid: pid.try_into().unwrap(), start_time_ticks, pid_namespace })
    }

    #[track_caller]
    fn becomes(identity: &ProcessIdentity, state: ProcessState) {
        let outcome = eventually(&format!("{state}"), PATIENCE, || identity.observe().state == state);
        outcome.unwrap_or_else(|error| panic!("{error}; it is {}", identity.observe()));
    }

    #[test]
    fn a_process_is_seen_to_sleep_stop_die_and_go() {
        let (mut victim, identity) = start(Respawn::test(test_name!(victim_that_tells_who_it_is)));
        assert_eq!(identity.pid, victim.pid());
        becomes(&identity, ProcessState::Sleeping);
        victim.stop();
        assert_eq!(identity.observe().state, ProcessState::Stopped);
        victim.cont();
        becomes(&identity, ProcessState::Sleeping);
        victim.kill(Signal::KILL);
        becomes(&identity, ProcessState::Zombie);
        victim.wait_exit(PATIENCE);
        assert_eq!(identity.observe().state, ProcessState::Gone);
    }

    #[test]
    fn we_ourselves_are_running_or_wait_for_the_test() {
        // The first thread represents the process. It is the thread of the test harness, which waits for this one. If
        // tests run one at a time, it is this thread itself.
        let facts = ProcessIdentity::current().observe();
        assert_eq!(facts.pid, std::process::id());
        assert!(matches!(facts.state, ProcessState::Running | ProcessState::Sleeping), "{facts}");
    }

    #[test]
    fn a_recycled_pid_is_gone() {
        let (_victim, mut identity) = start(Respawn::test(test_name!(victim_that_tells_who_it_is)));
        identity.start_time_ticks -= 1;
        assert_eq!(identity.observe().state, ProcessState::Gone);
    }

    #[test]
    fn numbers_that_make_no_sense_are_answered() {
        let us = ProcessIdentity::current();
        let state = |identity: ProcessIdentity| identity.observe().state;
        assert_eq!(state(ProcessIdentity { pid: 0, ..us }), ProcessState::Unknown);
        assert_eq!(state(ProcessIdentity { pid: u32::MAX, ..us }), ProcessState::Gone);
        assert_eq!(state(ProcessIdentity { pid: 4_194_305, ..us }), ProcessState::Gone);
        assert_eq!(state(ProcessIdentity { start_time_ticks: u64::MAX, ..us }), ProcessState::Gone);
        assert_eq!(state(ProcessIdentity { pid_namespace: 0, ..us }), ProcessState::Unknown);
        assert_eq!(state(ProcessIdentity { pid_namespace: u64::MAX, ..us }), ProcessState::OtherNamespace);
    }

    #[test]
    fn a_forked_child_is_not_its_parent() {
        let parent = ProcessIdentity::current();
        let mut child = fork_then(|| {
            let child = ProcessIdentity::current();
            let right = child.pid == std::process::id()
                && child.pid != parent.pid
                && child.pid_namespace == parent.pid_namespace
                && child.start_time_ticks >= parent.start_time_ticks;
            i32::from(!right)
        });
        assert_eq!(child.wait_exit(PATIENCE).code(), Some(0));
    }

    #[test]
    fn a_process_of_another_namespace_is_not_looked_up() {
        if let Err(reason) = namespace::available() {
            skip!("{reason}");
        }
        let (_victim, identity) = start(Respawn::test(test_name!(victim_that_tells_who_it_is)).in_new_pid_namespace());
        assert_eq!(identity.pid, 1, "a pid that exists here too, and is that of another process");
        assert_eq!(
            identity.observe(),
            ProcessFacts { pid: 1, state: ProcessState::OtherNamespace, wchan: None, throttled: None }
        );
    }

    #[test]
    fn a_process_with_another_clock_is_not_gone() {
        use std::io::{BufRead, BufReader};
        use std::process::{Command, Stdio};
        let started = Command::new("unshare")
            .args(["--time", "--boottime", "5000", "--fork", "--kill-child"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", test_name!(victim_that_tells_who_it_is), "--nocapture", "--include-ignored", "--quiet"])
            .env("TESTKIT_ROLE", "tells")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut unshare) = started else { skip!("there is no program `unshare`") };
        let mut lines = BufReader::new(unshare.stdout.take().unwrap()).lines().map_while(Result::ok);
        let Some(said) = lines.find(|line| line.starts_with("IDENTITY")) else {
            let _ = unshare.wait();
            skip!("this user may not make a time namespace");
        };
        let numbers: Vec<u64> = said.split(' ').skip(1).map(|number| number.parse().unwrap()).collect();
        let &[pid, start_time_ticks, pid_namespace] = &numbers[..] else { panic!("{said}") };
        let identity = ProcessIdentity { pid: pid.try_into().unwrap(), start_time_ticks, pid_namespace };
        let state = identity.observe().state;
        unshare.kill().unwrap();
        unshare.wait().unwrap();
        assert!(matches!(state, ProcessState::Running | ProcessState::Sleeping), "it is {state}");
    }

    #[test]
    #[ignore = "runs as a victim"]
    fn victim_that_looks_at_itself() {
        if !is_victim() {
            return;
        }
        let ourselves = ProcessIdentity::current();
        let foreign = ourselves.observe().state;
        namespace::mount_own_proc().unwrap();
        assert_eq!(ProcessIdentity::current(), ourselves);
        say(&format!("STATES {foreign}, {}", ourselves.observe().state));
    }

    #[test]
    fn a_proc_of_another_namespace_is_not_believed() {
        if let Err(reason) = namespace::available() {
            skip!("{reason}");
        }
        let mut victim = Respawn::test(test_name!(victim_that_looks_at_itself)).in_new_pid_namespace().spawn();
        let said = victim.wait_line("STATES");
        assert!(["STATES unknown, running", "STATES unknown, sleeping"].contains(&said.as_str()), "{said}");
    }

    #[test]
    fn facts_read_as_one_line() {
        let mut facts = ProcessFacts { pid: 4711, state: ProcessState::Stopped, wchan: None, throttled: None };
        assert_eq!(facts.to_string(), "pid 4711 stopped");
        facts.wchan = Some("do_signal_stop".into());
        facts.throttled = Some(Throttling { periods: 0, time: Duration::ZERO });
        assert_eq!(facts.to_string(), "pid 4711 stopped, waits in do_signal_stop");
        facts.throttled = Some(Throttling { periods: 12, time: Duration::from_millis(1500) });
        assert_eq!(facts.to_string(), "pid 4711 stopped, waits in do_signal_stop, throttled 12 times for 1.5s");
    }
}
