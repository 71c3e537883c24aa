//! How a worker that is gone ended.

use super::super::answer::Change;
use super::super::child::Exit;
use super::Peer;
use super::Standing;
use super::news::News;
use crate::transport::Format;
use disruptor_mp::ConsumeError;
use disruptor_mp::liveness::{Ending, ProcessIdentity};
use std::time::{Duration, Instant};

/// How long a death is not told while it is not known how the process ended. The kernel lets go of a process's locks
/// before it lets the parent know.
pub(super) const STATUS_PATIENCE: Duration = Duration::from_millis(50);

/// The same for a process whose end was dropped: it was alive then, and says how it ends when it has unwound and
/// returned from `main`.
const UNWINDING_PATIENCE: Duration = Duration::from_secs(2);

/// A worker that is not there any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::topology) struct Gone {
    pub(in crate::topology) process: ProcessIdentity,
    /// How its end went, and its place is kept for a successor, unless that is not known; `None` if it has given its
    /// place up.
    pub(super) how: Option<Ending>,
    pub(super) since: Instant,
    /// How our process ended, if it became this worker and the kernel has said so.
    pub(super) exit: Option<Exit>,
    /// Whether our process is the worker itself, and not a shell in front of it.
    pub(super) is_itself: bool,
    /// Whether it was heard, so that it had joined: a refused process of its number is another one.
    pub(super) was_heard: bool,
}

impl Gone {
    /// Our process, which joined as `joined_as`, has ended.
    pub(super) fn learn(&mut self, joined_as: Option<ProcessIdentity>, pid: u32, exit: Exit) {
        if joined_as == Some(self.process) {
            self.exit = Some(exit);
            self.is_itself = has_number(self.process, pid);
        }
    }

    /// What it is called. A process that ended with success has left, unless a panic has dropped its end. The success
    /// of a shell says nothing of a worker behind it that was killed. Where there is no status, the place decides.
    pub(super) fn change(&self) -> Change {
        let (pid, how) = (self.process.pid, self.how.unwrap_or(Ending::Left));
        match self.exit {
            Some(Ok(status)) => {
                let is_clean = match how {
                    Ending::Left | Ending::Dropped => true,
                    Ending::Killed | Ending::Unknown => self.is_itself,
                    _ => false,
                };
                if is_clean && status.success() {
                    Change::Left
                } else {
                    Change::Died { pid, status: Some(status), how }
                }
            }
            Some(Err(_)) | None if how == Ending::Left => Change::Left,
            Some(Err(_)) | None => Change::Died { pid, status: None, how },
        }
    }
}

/// Whether `process` has number `pid` here. A number is compared only with one of the same namespace.
pub(super) fn has_number(process: ProcessIdentity, pid: u32) -> bool {
    process.pid == pid && process.pid_namespace == ProcessIdentity::current().pid_namespace
}

impl<F: Format> Peer<F> {
    /// How the end of `process` went, as its own ring says it; `None` if that does not say.
    pub(super) fn ending_in_ring(&self, process: ProcessIdentity) -> Option<Ending> {
        let ring = self.responses.as_ref().filter(|_| self.owner == Some(process))?;
        match ring.end_of_publishing()? {
            ConsumeError::ProducerDied { how, .. } => Some(how),
            ConsumeError::Replaced => Some(Ending::Unknown),
            _ => None,
        }
    }

    pub(super) fn went(&mut self, process: ProcessIdentity, how: Option<Ending>) {
        let gone = Gone {
            process,
            how,
            since: Instant::now(),
            exit: None,
            is_itself: false,
            was_heard: self.is_heard(process),
        };
        self.standing = Standing::Gone(gone);
        if let Some(News::Rejoined { process: rejoined, was_heard, .. }) = self.news.back_mut()
            && *rejoined == process
        {
            *was_heard = gone.was_heard;
            // One that could never be heard has not come back.
            if !gone.was_heard {
                self.news.pop_back();
            }
        }
        // Why it has gone was told already.
        if gone.was_heard || self.failed.as_ref().is_none_or(|failure| !failure.is_of(process)) {
            self.news.push_back(News::Gone(gone));
        }
    }

    /// Whether `process`, which is this worker or was, has joined: we have found its ring.
    pub(super) fn is_heard(&self, process: ProcessIdentity) -> bool {
        self.owner == Some(process) && !self.is_refused_for_good
    }

    /// Whether it may still become known how it ended.
    pub(super) fn is_unsettled(&self, gone: &Gone) -> bool {
        let is_ours = self.started.as_ref().is_some_and(|started| started.joined_as == Some(gone.process));
        let patience = match gone.how {
            Some(Ending::Dropped | Ending::Panicked) => UNWINDING_PATIENCE,
            _ => STATUS_PATIENCE,
        };
        // A process that has come back has not ended.
        let is_back =
            self.news.iter().any(|news| matches!(news, News::Rejoined { process, .. } if *process == gone.process));
        is_ours && !is_back && gone.exit.is_none() && gone.since.elapsed() < patience
    }
}
