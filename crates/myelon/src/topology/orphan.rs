//! A worker's life, tied to that of the scheduler that has started it.
//!
//! **Lives here:** [`die_with_parent`]. **Builds on:** the kernel's parent-death signal; where there is none, a worker learns of its
//! scheduler's death from the broadcast ring alone. **May touch it:** `join`, in the worker's process.

/// Whether the parent was there to be tied to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tie {
    /// The kernel kills this process when the thread that started it ends.
    Tied,
    /// Our parent is somebody else: a wrapper such as a shell, or whoever adopts orphans. The broadcast ring's lock tells which.
    NotOurParent,
    /// The parent died while we asked.
    Orphaned,
}

/// Has the kernel kill this process when its parent `pid` dies, also if it is stopped or hangs in a driver's call.
#[cfg(target_os = "linux")]
pub(super) fn die_with_parent(pid: u32) -> std::io::Result<Tie> {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};
    // Our parent in another pid namespace has the number 0 here, which is none.
    let is_our_parent = || getppid().is_some_and(|parent| parent.as_raw_pid().cast_unsigned() == pid);
    if !is_our_parent() {
        return Ok(Tie::NotOurParent);
    }
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // Whoever died before the call is not heard of: only this look tells.
    Ok(if is_our_parent() { Tie::Tied } else { Tie::Orphaned })
}

/// There is no such signal here.
#[cfg(not(target_os = "linux"))]
pub(super) fn die_with_parent(_: u32) -> std::io::Result<Tie> {
    Ok(Tie::NotOurParent)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_not_tied_to_somebody_who_is_not_its_parent() {
        for pid in [0, u32::MAX, std::process::id()] {
            assert_eq!(die_with_parent(pid).unwrap(), Tie::NotOurParent);
        }
    }
}
