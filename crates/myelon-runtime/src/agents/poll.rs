//! A sleep at descriptors.

use super::bell::Bell;
use rustix::event::{PollFd, PollFlags, Timespec, poll as wait};
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// How often a group whose bell the system refused looks whether it was called.
const WITHOUT_BELL: Duration = Duration::from_millis(1);

/// Sleeps until the bell or one of `descriptors` is readable, at most for `longest`. Returns whether nothing was.
pub(super) fn poll(bell: Option<&Bell>, descriptors: &[BorrowedFd<'_>], longest: Option<Duration>) -> bool {
    let longest = if bell.is_some() { longest } else { Some(longest.unwrap_or(WITHOUT_BELL).min(WITHOUT_BELL)) };
    let bells = bell.iter().map(|bell| bell.as_fd());
    let mut all: Vec<_> =
        bells.chain(descriptors.iter().copied()).map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
    let timeout = longest.map(|longest| Timespec {
        tv_sec: longest.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: longest.subsec_nanos().into(),
    });
    // An error is a signal, a debugger, or no memory: the cycle that follows looks.
    let nothing = wait(&mut all, timeout.as_ref()) == Ok(0);
    if let Some(bell) = bell
        && !all[0].revents().is_empty()
    {
        bell.clear();
    }
    nothing
}
