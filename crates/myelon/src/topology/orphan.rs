//! Ties a worker's life to that of the scheduler that started it.
//!
//! `join` calls it in the worker's process. Where there is no parent-death signal, a worker learns of its scheduler's
//! death from the broadcast ring alone.

use super::invitation::Parent;

/// Whether this process was tied to its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only Linux ties a child to its parent"))]
pub(super) enum Tie {
    /// The kernel kills this process when the thread that started it ends.
    Tied,
    /// Our parent is another process: a wrapper such as a shell, or the process that adopts orphans. The broadcast
    /// ring's lock tells which.
    NotOurParent,
    /// The parent died during the call.
    Orphaned,
}

/// Asks the kernel to kill this process when its parent dies, if that is `parent`; this works also if the process is
/// stopped or hangs in a driver's call.
#[cfg(target_os = "linux")]
pub(super) fn die_with_parent(parent: Parent) -> std::io::Result<Tie> {
    use rustix::process::{Signal, set_parent_process_death_signal};
    if !is_our_parent(parent) {
        return Ok(Tie::NotOurParent);
    }
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // There is no signal for a parent that died before the call: only this check finds it.
    Ok(if is_our_parent(parent) { Tie::Tied } else { Tie::Orphaned })
}

/// There is no such signal here.
#[cfg(not(target_os = "linux"))]
pub(super) fn die_with_parent(_: Parent) -> std::io::Result<Tie> {
    Ok(Tie::NotOurParent)
}

/// Whether `parent` has started this process and lives. A pid of another namespace says nothing: here it is the pid of
/// another process.
pub(super) fn is_our_parent(parent: Parent) -> bool {
    let is_ours = Parent::current().pid_namespace == parent.pid_namespace;
    is_ours && rustix::process::getppid().is_some_and(|pid| pid.as_raw_pid().cast_unsigned() == parent.pid)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_not_tied_to_somebody_who_is_not_its_parent() {
        let here = Parent::current();
        for pid in [0, u32::MAX, std::process::id()] {
            assert_eq!(die_with_parent(Parent { pid, ..here }).unwrap(), Tie::NotOurParent);
        }
    }

    #[test]
    fn the_parents_number_in_another_namespace_is_another_process() {
        let pid = rustix::process::getppid().unwrap().as_raw_pid().cast_unsigned();
        let here = Parent { pid, ..Parent::current() };
        assert!(is_our_parent(here));
        let elsewhere = Parent { pid_namespace: here.pid_namespace + 1, ..here };
        assert_eq!(die_with_parent(elsewhere).unwrap(), Tie::NotOurParent);
    }
}
