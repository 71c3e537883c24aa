//! One sleeper at several bells.
//!
//! Each handshake is that of one sleeper at one bell. One barrier is enough for all of them: it comes after every
//! announcement and before every look.

use super::announce::before_second_look_at;
use super::bell::{Bell, Ticket};
use super::primitive::{AtomicU32, Site, weakened};
#[cfg(any(target_os = "linux", loom))]
use std::time::Duration;

/// A bell, and the word in which its waker says how it announces.
pub(crate) type Rung<'a> = (&'a Bell, &'a AtomicU32);

/// Announces the caller at every one of `bells`, and passes one barrier for all of them. The caller must then look once
/// more for everything that it waits for, and only then sleep with these tickets. `false`: there was no barrier, so it
/// sleeps in short slices.
pub(crate) fn announce_at<'a>(bells: impl Iterator<Item = Rung<'a>> + Clone) -> (Vec<Ticket>, bool) {
    if weakened(Site::AnnouncedAtAll) {
        let barrier = before_second_look_at(bells.clone().map(|(_, announce)| announce));
        return (bells.map(|(bell, _)| bell.announce()).collect(), barrier);
    }
    let tickets = bells.clone().map(|(bell, _)| bell.announce()).collect();
    (tickets, before_second_look_at(bells.map(|(_, announce)| announce)))
}

/// Sleeps until one of `bells` is rung since its ticket was drawn, for at most `slice`. At most 128 bells.
///
/// # Errors
/// The kernel has no such wait (it came with Linux 5.16), or a seccomp filter refuses it.
#[cfg(all(target_os = "linux", not(loom)))]
pub(crate) fn sleep_at(bells: &[(&Bell, Ticket)], slice: Option<Duration>) -> std::io::Result<()> {
    let words: Vec<_> = bells.iter().map(|(bell, ticket)| (bell.word(), ticket.value())).collect();
    super::futex::wait_for_any(&words, slice)
}

/// [`sleep_at`] in a model, where there is no time.
#[cfg(loom)]
pub(crate) fn sleep_at(bells: &[(&Bell, Ticket)], _slice: Option<Duration>) -> std::io::Result<()> {
    Bell::sleep_at_any(bells);
    Ok(())
}
