//! How a worker that is gone ended.

use super::super::answer::Change;
use super::Peer;
use super::Standing;
use super::news::News;
use crate::transport::Format;
use disruptor_mp::ConsumeError;
use disruptor_mp::liveness::{Ending, ProcessIdentity};
use myelon_process::Ended;
use std::time::{Duration, Instant};

/// How long a death is not reported while it is not known how the process ended. The kernel releases a process's locks
/// before it tells the parent.
pub(super) const STATUS_PATIENCE: Duration = Duration::from_millis(50);

/// The same for a process whose end was dropped: it was alive then, and its status comes when it has unwound and
/// returned from `main`.
const UNWINDING_PATIENCE: Duration = Duration::from_secs(2);

/// A worker that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::topology) struct Gone {
    pub(in crate::topology) process: ProcessIdentity,
    /// What happened to its end; its entry is kept for a successor, unless this is `Unknown`. `None` if it has given
    /// its entry up.
    pub(super) how: Option<Ending>,
    pub(super) since: Instant,
    /// How the child of the scheduler ended, if it became this worker and the kernel has said so.
    pub(super) exit: Option<Ended>,
    /// Whether the child is the worker itself, and not a shell that started it.
    pub(super) is_itself: bool,
    /// Whether its ring was found, so that it had joined: a refused process with its pid is another one.
    pub(super) was_heard: bool,
}

impl Gone {
    /// The child `pid`, which joined as `joined_as`, has ended.
    pub(super) fn learn(&mut self, joined_as: Option<ProcessIdentity>, pid: u32, exit: Ended) {
        if joined_as == Some(self.process) {
            self.exit = Some(exit);
            self.is_itself = has_number(self.process, pid);
        }
    }

    /// How it is reported. A process that ended with success has left, unless a panic has dropped its end. The success
    /// of a shell says nothing about the worker that it started: that may have been killed. Without a status, the entry
    /// decides.
    pub(super) fn change(&self) -> Change {
        let (pid, how) = (self.process.pid, self.how.unwrap_or(Ending::Left));
        match self.exit.map(Ended::status) {
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

/// Whether `process` has the pid `pid` in this namespace. Pids are compared only within one namespace.
pub(super) fn has_number(process: ProcessIdentity, pid: u32) -> bool {
    process.pid == pid && process.pid_namespace == ProcessIdentity::current().pid_namespace
}

impl<F: Format> Peer<F> {
    /// What happened to the end of `process`, according to its own ring; `None` if that does not say.
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
            // A process that could never be heard has not come back.
            if !gone.was_heard {
                self.news.pop_back();
            }
        }
        // The reason was reported already.
        if gone.was_heard || self.failed.as_ref().is_none_or(|failure| !failure.is_of(process)) {
            self.news.push_back(News::Gone(gone));
        }
    }

    /// Whether `process`, which is or was this worker, has joined: its ring was found.
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
        // If the process has come back, it has not ended.
        let is_back =
            self.news.iter().any(|news| matches!(news, News::Rejoined { process, .. } if *process == gone.process));
        is_ours && !is_back && gone.exit.is_none() && gone.since.elapsed() < patience
    }
}
