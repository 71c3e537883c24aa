//! One worker as its scheduler sees it: whether it is there, and the ring on which it answers.
//!
//! The table of consumers in the broadcast ring decides which workers live. A response ring alone proves nothing: a
//! dead session may have left it, or its worker may be about to leave. So a ring counts as this worker's only if the
//! process that publishes in it is the one that the table has under this worker's id. A worker joins the table first
//! and makes its ring afterwards, so every worker that survives its start reaches that state.

mod failure;
mod gone;
mod look;
mod news;
mod replies;
mod ring;
#[cfg(test)]
mod tests;

use self::failure::{Failure, Started};
pub(super) use self::gone::Gone;
use self::news::News;
pub(super) use self::ring::Attachment;
use super::refusal::JoinRefusal;
use super::report::Progress;
use super::steps::{Answered, Reply, Version};
use crate::transport::{Format, TransportConsumer, TransportError, TransportResult};
use disruptor_mp::Place;
use disruptor_mp::liveness::{ProcessIdentity, Refusal};
use myelon_process::Child;
use std::collections::VecDeque;
use std::os::fd::OwnedFd;

/// What the table last said about a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has never been there.
    Absent,
    /// It lives.
    Present(ProcessIdentity),
    /// It is gone.
    Gone(Gone),
}

/// One worker as its scheduler sees it.
pub(super) struct Peer<F: Format> {
    pub(super) rank: usize,
    /// Its consumer id in the broadcast ring.
    pub(super) id: String,
    pub(super) place: Place,
    pub(super) standing: Standing,
    /// See [`tell`](Self::tell).
    news: VecDeque<News>,
    pub(super) responses: Option<TransportConsumer<F>>,
    /// The version of its messages in that ring.
    pub(super) version: Version,
    /// The process that publishes in `responses`; `None` from the moment another one is known.
    owner: Option<ProcessIdentity>,
    /// Which owner of the entry in the broadcast ring made `responses`.
    ring_number: Option<u64>,
    /// The number of the known owner of the entry in the broadcast ring, and that of an owner that has not written its
    /// identity yet.
    owner_number: u64,
    unsigned: Option<u64>,
    /// The error of the last attempt to attach to the ring.
    pub(super) refusal: Option<TransportError>,
    /// Whether another attempt is pointless.
    is_refused_for_good: bool,
    /// The process that was refused because it is not on the urgent lane, as seen in its own pid namespace.
    pub(super) without_lane: Option<u32>,
    /// The last process that this scheduler has started for it.
    pub(super) started: Option<Started>,
    /// The last process that could not take its entry: the outcome until another one comes.
    pub(super) failed: Option<Failure>,
    /// The last process that was refused as this worker, according to the broadcast ring.
    refused: Option<Refusal>,
    /// Refusals of other processes that wanted its entry while it lives, or while a child of the scheduler has not
    /// joined yet. No call waits for these processes.
    strays: Vec<JoinRefusal>,
    /// Its progress through the broadcasts.
    pub(super) progress: Progress,
    /// What it has answered.
    pub(super) answered: Answered,
    /// What was taken from the ring of a process that is gone, so that its successor can be heard. It is handed out
    /// before all news.
    aside: VecDeque<TransportResult<Reply>>,
}

impl<F: Format> Peer<F> {
    pub(super) fn new(rank: usize, id: String, place: Place) -> Self {
        Self {
            rank,
            id,
            place,
            standing: Standing::Absent,
            news: VecDeque::new(),
            responses: None,
            version: Version::default(),
            owner: None,
            ring_number: None,
            owner_number: 0,
            unsigned: None,
            refusal: None,
            is_refused_for_good: false,
            without_lane: None,
            started: None,
            failed: None,
            refused: None,
            strays: Vec::new(),
            progress: Progress::default(),
            answered: Answered::default(),
            aside: VecDeque::new(),
        }
    }

    /// Whether it lives, and the ring that is attached is its own.
    pub(super) fn is_ready(&self) -> bool {
        matches!(self.standing, Standing::Present(process) if self.responses.is_some() && self.owner == Some(process))
    }

    /// Its process, if it is there and can be heard.
    pub(super) fn heard_pid(&self) -> Option<u32> {
        match self.standing {
            Standing::Present(process) if self.is_ready() => Some(process.pid),
            _ => None,
        }
    }

    /// Whether it is there, or about to be.
    pub(super) fn is_present(&self) -> bool {
        matches!(self.standing, Standing::Present(_))
    }

    /// Whether it is there and can never be heard.
    pub(super) fn is_refused_for_good(&self) -> bool {
        self.is_refused_for_good
    }

    /// Whether a child that was started to take its entry is on its way.
    pub(super) fn may_come(&self) -> bool {
        self.failed.is_none() && self.started.as_ref().is_some_and(Started::may_join)
    }

    /// A process was started to take its entry; it has inherited the other end of `pipe`. The caller has looked at the
    /// table after the last process had ended.
    pub(super) fn start(&mut self, process: Child, pipe: Option<OwnedFd>) {
        self.started = Some(Started { process, pipe, joined_as: None, is_refused: false });
        self.failed = None;
    }

    /// Asks the operating system whether the child has ended, so that it does not stay a zombie.
    pub(super) fn reap(&mut self) {
        if let Some(started) = &mut self.started {
            started.process.try_wait();
        }
    }
}
