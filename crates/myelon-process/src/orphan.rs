//! Ties the life of a child to that of the process that started it.
//!
//! The child asks for it itself. There is no such tie outside Linux; there a child has to notice the death in another
//! way, for example by a pipe that ends.

use disruptor_mp::liveness::ProcessIdentity;
use std::fmt;
use std::str::FromStr;

/// A process as its children know it: its pid, and the pid namespace of that pid. `Display` writes it in a form for an
/// argument or a variable of the environment, and `parse` reads it.
///
/// ```
/// use myelon_process::orphan::Parent;
/// use myelon_process::Command;
///
/// let mut command = Command::new("./worker");
/// command.env("PARENT", Parent::current().to_string());
///
/// // In the worker:
/// let text = Parent::current().to_string();
/// let parent: Parent = text.parse()?;
/// assert_eq!(parent, Parent::current());
/// # Ok::<(), myelon_process::orphan::InvalidParent>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Parent {
    /// Its pid as it sees it itself.
    pub pid: u32,
    /// The inode number of its pid namespace; 0 if the system does not say.
    pub pid_namespace: u64,
}

impl Parent {
    /// This process.
    pub fn current() -> Self {
        let ProcessIdentity { pid, pid_namespace, .. } = ProcessIdentity::current();
        Self { pid, pid_namespace }
    }

    /// Whether it has started the calling process and lives. A pid of another namespace says nothing: here it is the
    /// pid of another process. Once this is `false`, it stays `false`.
    pub fn is_ours(self) -> bool {
        let is_here = Self::current().pid_namespace == self.pid_namespace;
        is_here && rustix::process::getppid().is_some_and(|pid| pid.as_raw_pid().cast_unsigned() == self.pid)
    }

    /// Whether it is known to have ended. Another process may have its number by now: then that is not known.
    #[cfg(target_os = "linux")]
    fn has_ended(self) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        use rustix::process::{Pid, PidfdFlags, pidfd_open};
        // Two namespaces that the system does not tell may differ.
        let is_here = self.pid_namespace != 0 && self.pid_namespace == Self::current().pid_namespace;
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw).filter(|_| is_here) else { return false };
        match pidfd_open(pid, PidfdFlags::empty()) {
            // Readable: it has ended, and its own parent has not reaped it yet.
            Ok(process) => poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&Timespec::default()))
                .is_ok_and(|ready| ready > 0),
            Err(error) => error == rustix::io::Errno::SRCH,
        }
    }
}

impl fmt::Display for Parent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}@{}", self.pid, self.pid_namespace))
    }
}

/// The text is not that of a [`Parent`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no process: it has the form PID@NAMESPACE, as `Parent::current().to_string()` writes it")]
pub struct InvalidParent {
    /// That text.
    pub text: String,
}

impl FromStr for Parent {
    type Err = InvalidParent;

    fn from_str(text: &str) -> Result<Self, InvalidParent> {
        let parsed = || {
            let (pid, pid_namespace) = text.split_once('@')?;
            Some(Self { pid: pid.parse().ok()?, pid_namespace: pid_namespace.parse().ok()? })
        };
        parsed().ok_or_else(|| InvalidParent { text: text.to_owned() })
    }
}

/// Whether the calling process was tied to its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tie {
    /// The kernel kills this process when the *thread* that started it ends: see [`Nursery`](crate::Nursery).
    Tied,
    /// The parent is another process, such as a shell that was started in between. Nothing was changed. Outside Linux
    /// this is the only answer.
    NotOurParent,
    /// That parent has died, before the call or during it. The kernel sends no signal for it any more: end now.
    Orphaned,
}

/// Asks the kernel to kill the calling process when its parent dies, if that is `parent`. This works also if the
/// process is stopped then, or hangs in a driver's call. The signal is SIGKILL, because the process cannot refuse it.
///
/// Call it first in `main`: until then the process outlives its parent. A program that cannot call
/// it is started by `setpriv --pdeathsig KILL PROGRAM`, which executes the program in its own place.
///
/// ```no_run
/// use myelon_process::orphan::{Parent, Tie, die_with_parent};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let parent: Parent = std::env::var("PARENT")?.parse()?;
/// if die_with_parent(parent)? == Tie::Orphaned {
///     return Err("the supervisor is gone".into());
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The kernel refused. No kernel is known that does.
#[cfg(target_os = "linux")]
pub fn die_with_parent(parent: Parent) -> std::io::Result<Tie> {
    use rustix::process::{Signal, set_parent_process_death_signal};
    if !parent.is_ours() {
        return Ok(if parent.has_ended() { Tie::Orphaned } else { Tie::NotOurParent });
    }
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // There is no signal for a parent that died before the call: only this check finds it.
    Ok(if parent.is_ours() { Tie::Tied } else { Tie::Orphaned })
}

/// There is no such signal here, so the answer is always `NotOurParent`.
///
/// # Errors
/// None.
#[cfg(not(target_os = "linux"))]
pub fn die_with_parent(_: Parent) -> std::io::Result<Tie> {
    Ok(Tie::NotOurParent)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_not_tied_to_one_that_is_not_its_parent() {
        let here = Parent::current();
        for pid in [0, u32::MAX, std::process::id()] {
            assert_eq!(die_with_parent(Parent { pid, ..here }).unwrap(), Tie::NotOurParent);
        }
    }

    #[test]
    fn a_parent_that_died_before_the_call_has_left_an_orphan() {
        use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
        let mut process = std::process::Command::new("true").spawn().unwrap();
        let parent = Parent { pid: process.id(), ..Parent::current() };
        let pid = Pid::from_raw(process.id().cast_signed()).unwrap();
        waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).unwrap();
        assert_eq!(die_with_parent(parent).unwrap(), Tie::Orphaned, "not reaped yet");
        process.wait().unwrap();
        assert_eq!(die_with_parent(parent).unwrap(), Tie::Orphaned);
    }

    #[test]
    fn the_parents_number_in_another_namespace_is_another_process() {
        let pid = rustix::process::getppid().unwrap().as_raw_pid().cast_unsigned();
        let here = Parent { pid, ..Parent::current() };
        assert!(here.is_ours());
        let elsewhere = Parent { pid_namespace: here.pid_namespace + 1, ..here };
        assert_eq!(die_with_parent(elsewhere).unwrap(), Tie::NotOurParent);
    }

    #[test]
    fn a_text_that_is_no_parent_is_named() {
        for text in ["", "1", "1@", "@1", "-1@1", "1@1@1", "4294967296@1"] {
            assert_eq!(text.parse::<Parent>(), Err(InvalidParent { text: text.to_owned() }));
        }
    }
}
