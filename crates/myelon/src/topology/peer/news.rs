//! What is reported about a worker: each fact once, and in order.
//!
//! The calls that report are `gather`, `receive`, `check_workers` and `wait_for`.

use super::super::answer::Change;
use super::failure::Failure;
use super::gone::Gone;
use super::{Peer, Standing};
use crate::transport::Format;
use disruptor_mp::liveness::ProcessIdentity;

/// A change that was not reported to a caller yet.
#[derive(Debug)]
pub(super) enum News {
    Gone(Gone),
    /// Reported once the process can be heard, or could be heard before it ended.
    Rejoined {
        process: ProcessIdentity,
        /// The process's number as owner of the entry in the broadcast ring.
        owner_number: u64,
        was_heard: bool,
    },
    JoinFailed(Failure),
}

impl<F: Format> Peer<F> {
    /// Whether there is something to [tell](Self::tell).
    pub(in crate::topology) fn can_tell(&self) -> bool {
        self.news.front().is_some_and(|news| self.is_settled(news))
    }

    /// Takes the next change that was not reported yet. A return is reported when the new process can be heard, which
    /// is after the last message of the old one. An end is reported when it is known how the process ended, or when
    /// that has not become known for a while.
    pub(in crate::topology) fn tell(&mut self) -> Option<Change> {
        if !self.is_settled(self.news.front()?) {
            return None;
        }
        match self.news.pop_front()? {
            News::Gone(gone) => Some(gone.change()),
            News::Rejoined { process, .. } => Some(Change::Rejoined { pid: process.pid }),
            News::JoinFailed(failure) => Some(failure.change()),
        }
    }

    /// Whether everything about this change is known.
    pub(super) fn is_settled(&self, news: &News) -> bool {
        match news {
            News::Gone(gone) => !self.is_unsettled(gone),
            News::Rejoined { was_heard, .. } => *was_heard || self.is_ready(),
            News::JoinFailed(failure) => !self.is_unsettled_failure(failure),
        }
    }

    /// The state that is reported as long as nothing changes; `None` if the worker is there, or may come.
    pub(in crate::topology) fn word(&self) -> Option<Change> {
        match (self.standing, &self.failed) {
            (Standing::Present(_), _) => None,
            (_, Some(failure)) => Some(failure.change()),
            (Standing::Gone(gone), _) => Some(gone.change()),
            (Standing::Absent, _) => None,
        }
    }

    /// Whether changes that are not reported yet happened before the process that publishes in the ring came.
    pub(in crate::topology) fn has_news_before_ring(&self) -> bool {
        let is_of_ring = |news: &News| matches!(news, News::Rejoined { owner_number, .. } if Some(*owner_number) == self.ring_number);
        self.responses.is_some() && self.news.iter().any(is_of_ring)
    }

    /// The last change that was not reported yet, or else the state; all changes count as reported then. `None` if it
    /// may still become known how a process ended.
    pub(in crate::topology) fn tell_all(&mut self) -> Option<Change> {
        if !self.news.iter().all(|news| self.is_settled(news)) {
            return None;
        }
        let mut last = self.word();
        while let Some(change) = self.tell() {
            last = Some(change);
        }
        last
    }

    /// Whether there are changes to report, now or soon.
    pub(in crate::topology) fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    /// Forgets the changes.
    pub(in crate::topology) fn forget_news(&mut self) {
        self.news.clear();
    }
}
