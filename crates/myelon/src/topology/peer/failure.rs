//! Processes that failed to become a worker: whether a process that we started may still become one, and why one could
//! not.

use super::super::answer::Change;
use super::super::refusal::JoinRefusal;
use super::gone::STATUS_PATIENCE;
use super::news::News;
use super::{Peer, Standing};
use crate::transport::Format;
use disruptor_mp::liveness::{ProcessIdentity, RefusalCause};
use myelon_process::{Child, Ended};
use std::os::fd::OwnedFd;
use std::time::Instant;

/// A process that this scheduler has started as this worker.
#[derive(Debug)]
pub(in crate::topology) struct Started {
    pub(in crate::topology) process: Child,
    /// The pipe into which it writes why it could not join, until it has joined.
    pub(super) pipe: Option<OwnedFd>,
    /// The worker that it became, according to the table. If the process is a shell, the worker has another pid.
    pub(super) joined_as: Option<ProcessIdentity>,
    /// It has said that another process has the entry, and that was reported: it did not become the worker in the
    /// table.
    pub(super) is_refused: bool,
}

impl Started {
    /// Why it could not join, if it has said so; returned once. Call it after the child's end was looked for, so that
    /// the last message of a process that has ended is not missed.
    pub(super) fn refusal(&mut self, worker: &str) -> Option<JoinRefusal> {
        let refusal = JoinRefusal::read(worker, self.pipe.as_ref()?)?;
        self.pipe = None;
        Some(refusal)
    }

    /// Whether it may still become the worker.
    pub(super) fn may_join(&self) -> bool {
        self.joined_as.is_none() && !self.is_refused
    }
}

/// A process that could not take a worker's entry.
#[derive(Clone, Debug)]
pub(in crate::topology) struct Failure {
    /// As seen in its own pid namespace.
    pub(in crate::topology) pid: u32,
    /// The child of the scheduler, if it is that process or descends from it.
    pub(super) child: Option<u32>,
    /// How it ended, if it was a child and has ended.
    pub(in crate::topology) exit: Option<Ended>,
    /// The refusal that it has reported.
    pub(in crate::topology) refusal: Option<JoinRefusal>,
    pub(super) since: Instant,
}

impl Failure {
    /// A child that has ended and has reported nothing.
    pub(super) fn of_child(pid: u32, exit: Ended) -> Self {
        Self { pid, child: Some(pid), exit: Some(exit), refusal: None, since: Instant::now() }
    }

    /// Whether this failure belongs to the refused process: `child`, or a process that is no child.
    pub(super) fn is_that_of(&self, refusal: &JoinRefusal, child: Option<u32>) -> bool {
        match child {
            Some(_) => self.child == child,
            None => self.child.is_none() && self.refusal.as_ref().is_some_and(|said| said.is_of_same(refusal)),
        }
    }

    /// Whether `process`, which is or was in the table, is the one that could not join.
    pub(super) fn is_of(&self, process: ProcessIdentity) -> bool {
        self.refusal.as_ref().is_some_and(|said| said.is_of(process))
    }

    pub(super) fn change(&self) -> Change {
        let status = self.exit.and_then(|ended| ended.status().ok());
        Change::JoinFailed { pid: self.pid, status, refusal: self.refusal.clone() }
    }
}

impl<F: Format> Peer<F> {
    /// A process has reported that it could not take this entry. `child`: the child that it is or descends from.
    pub(super) fn could_not_join(&mut self, refusal: JoinRefusal, child: Option<u32>) {
        let is_other = match self.standing {
            Standing::Present(process) => !refusal.is_of(process) || self.is_heard(process),
            // The child that we have started decides what is reported; it is on its way, or has ended on it.
            Standing::Absent | Standing::Gone(_) => {
                child.is_none() && self.started.as_ref().is_some_and(Started::may_join)
            }
        };
        if is_other || refusal.cause == RefusalCause::IdInUse {
            if let Some(started) = self.started.as_mut().filter(|started| child == Some(started.process.pid())) {
                started.is_refused = true;
                // Its exit status is not that of the process that has the entry.
                started.joined_as = started.joined_as.filter(|process| refusal.is_of(*process));
            }
            return self.strays.push(refusal);
        }
        // The refused process may have been in the table for a moment.
        self.news.retain(|news| match news {
            News::Gone(gone) => gone.was_heard || !refusal.is_of(gone.process),
            News::Rejoined { process, .. } => !refusal.is_of(*process),
            News::JoinFailed(failure) => !failure.is_that_of(&refusal, child),
        });
        let known = self.failed.as_ref().filter(|failure| failure.is_that_of(&refusal, child));
        let exit = known.and_then(|failure| failure.exit);
        self.fail(Failure { pid: refusal.pid, child, exit, refusal: Some(refusal), since: Instant::now() });
    }

    pub(super) fn fail(&mut self, failure: Failure) {
        self.news.push_back(News::JoinFailed(failure.clone()));
        self.failed = Some(failure);
    }

    /// [`is_unsettled`](Self::is_unsettled) for a process that could not join.
    pub(super) fn is_unsettled_failure(&self, failure: &Failure) -> bool {
        let is_ours = self.started.as_ref().is_some_and(|started| failure.child == Some(started.process.pid()));
        is_ours && failure.exit.is_none() && failure.since.elapsed() < STATUS_PATIENCE
    }

    /// Takes the refusals of processes that are not this worker and were not started as it.
    pub(in crate::topology) fn take_strays(&mut self) -> Vec<JoinRefusal> {
        std::mem::take(&mut self.strays)
    }

    /// The same as changes.
    pub(in crate::topology) fn strays(&mut self) -> impl Iterator<Item = Change> + use<F> {
        let failed =
            |refusal: JoinRefusal| Change::JoinFailed { pid: refusal.pid, status: None, refusal: Some(refusal) };
        self.take_strays().into_iter().map(failed)
    }
}
