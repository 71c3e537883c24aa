//! Sleeps until something wakes it.

use super::{IdleStrategy, Pause};

/// Sleeps until a descriptor of an agent is readable, the group is [woken](crate::agents::GroupHandle::wake), or a
/// deadline comes. An idle group costs nothing.
///
/// Every agent of the group must have a doorbell, a deadline, or senders that wake the group: another one would not be
/// called again.
///
/// ```
/// use myelon_runtime::agents::{Group, GroupEnd, ParkAtDoorbells, Work, from_fn};
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
///
/// let ready = Arc::new(AtomicBool::new(false));
/// let seen = Arc::clone(&ready);
/// let agent = from_fn("waits", move |_| Ok(if seen.load(Relaxed) { Work::Finished } else { Work::NONE }));
/// let mut runner = Group::new("example").agent(agent).spawn(ParkAtDoorbells)?;
/// ready.store(true, Relaxed);
/// runner.handle().wake();
/// assert_eq!(runner.wait(std::time::Duration::from_secs(30))?, GroupEnd::Finished);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ParkAtDoorbells;

impl IdleStrategy for ParkAtDoorbells {
    fn idle(&mut self, pause: &mut Pause<'_>) {
        pause.park_at_doorbells(None);
    }
}
