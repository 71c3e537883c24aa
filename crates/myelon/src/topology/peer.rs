//! One worker as its scheduler sees it: whether it is there, and the ring on which it answers.
//!
//! **Lives here:** [`Peer`], [`Standing`]. **Builds on:** the broadcast ring's table of consumers, which says who lives, and the response
//! ring. **May touch it:** the scheduler's end.
//!
//! The table decides. A response ring alone proves nothing: it may have been left by a dead session or belong to a worker that is about to
//! leave one. So a ring counts as this worker's only if the process that publishes in it is the one that the table has under this worker's
//! id. A worker joins the table first and makes its ring afterwards, so such a moment comes for every worker that does not die on the way.

use super::answer::Change;
use crate::transport::{Format, FramedTransportConsumer, MyelonWaitStrategy, TransportBuilder, TransportError};
use disruptor_mp::liveness::ProcessIdentity;
use disruptor_mp::{ConsumeError, ConsumerInfo, Doorbell, MultiProcessError, Place};
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// What the table last said about a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has never been there.
    Absent,
    /// It lives.
    Present(ProcessIdentity),
    /// It has died; its place is kept for its successor.
    Dead(ProcessIdentity),
    /// It has left, and given its place back.
    Left,
}

/// How response rings are attached to: the same for all workers.
#[derive(Clone, Debug)]
pub(super) struct Attachment {
    pub(super) depth: usize,
    pub(super) scheduler_id: String,
    pub(super) wait: MyelonWaitStrategy,
    pub(super) message_limit_bytes: Option<usize>,
    pub(super) content_tag: Option<String>,
}

/// One worker as its scheduler sees it.
pub(super) struct Peer<F: Format> {
    pub(super) rank: usize,
    /// Its consumer id in the broadcast ring.
    pub(super) id: String,
    pub(super) place: Place,
    pub(super) standing: Standing,
    /// What nobody has been told yet; see [`tell`](Self::tell).
    pub(super) news: Option<Change>,
    pub(super) responses: Option<FramedTransportConsumer<F>>,
    /// The process that publishes in `responses`.
    owner: Option<ProcessIdentity>,
    /// Rung when there may be an answer; made when first needed, and lost with the ring.
    pub(super) doorbell: Option<Doorbell>,
    /// Why the ring could not be attached to, the last time.
    pub(super) refusal: Option<TransportError>,
    /// Its process, if we started it and have not reaped it.
    pub(super) child: Option<Child>,
    /// How its last process ended, if that was ours.
    pub(super) status: Option<ExitStatus>,
}

impl<F: Format> Peer<F> {
    pub(super) fn new(rank: usize, id: String, place: Place) -> Self {
        Self {
            rank,
            id,
            place,
            standing: Standing::Absent,
            news: None,
            responses: None,
            owner: None,
            doorbell: None,
            refusal: None,
            child: None,
            status: None,
        }
    }

    /// Whether it lives, and the ring that we read is its own.
    pub(super) fn is_ready(&self) -> bool {
        matches!(self.standing, Standing::Present(process) if self.responses.is_some() && self.owner == Some(process))
    }

    /// Takes note of what the table says now, reaps its process if that has ended, and attaches to its ring if it has none.
    pub(super) fn look(&mut self, info: Option<&ConsumerInfo>, attachment: &Attachment) {
        self.reap();
        let seen = match info {
            // Somebody has taken the lock of the dead one's entry and has not signed it yet. The next look tells who.
            Some(info) if info.alive && self.standing == Standing::Dead(info.process) => self.standing,
            Some(info) if info.alive => Standing::Present(info.process),
            Some(info) => Standing::Dead(info.process),
            None if self.standing == Standing::Absent => Standing::Absent,
            None => Standing::Left,
        };
        if seen != self.standing {
            self.news = match (self.standing, seen) {
                // The first process under this id succeeds nobody.
                (Standing::Absent, Standing::Present(_)) => None,
                (_, Standing::Present(process)) => Some(Change::Rejoined { pid: process.pid }),
                (_, Standing::Dead(process)) => Some(Change::Died { pid: process.pid }),
                _ => Some(Change::Left),
            };
            self.standing = seen;
        }
        if let Standing::Present(process) = self.standing
            && !self.is_ready()
            && !self.has_message()
            && self.responses.is_none()
        {
            self.attach(process, attachment);
        }
    }

    /// Whether there is a message to take. Lets go of a ring that was read to its end.
    pub(super) fn has_message(&mut self) -> bool {
        let Some(responses) = &mut self.responses else { return false };
        match responses.wait_until_available(Some(Instant::now())) {
            Ok(()) => return true,
            // The worker has left, or its successor has made another ring.
            Err(ConsumeError::Closed | ConsumeError::Replaced) => self.detach(),
            // The successor is about to. Without one the ring stays, so that it is not forgotten when it is time to clean up.
            Err(ConsumeError::ProducerDied { .. })
                if matches!(self.standing, Standing::Present(_)) && !self.is_ready() =>
            {
                self.detach();
            }
            Err(_) => {}
        }
        false
    }

    /// Takes what nobody has been told yet. A return is told when the new process can be heard, which is after the last message of the old.
    pub(super) fn tell(&mut self) -> Option<Change> {
        let is_heard = self.is_ready();
        self.news.take_if(|news| !matches!(news, Change::Rejoined { .. }) || is_heard)
    }

    fn attach(&mut self, process: ProcessIdentity, attachment: &Attachment) {
        let mut builder = TransportBuilder::<F>::new(&self.place, attachment.depth)
            .with_consumer_id(attachment.scheduler_id.as_str())
            .with_wait_strategy(attachment.wait);
        if let Some(limit) = attachment.message_limit_bytes {
            builder = builder.with_message_limit(limit);
        }
        if let Some(tag) = &attachment.content_tag {
            builder = builder.with_content_tag(tag.as_str());
        }
        match builder.build_consumer() {
            Ok(responses) => {
                let owner = responses.stall_report(Duration::ZERO).culprit.map(|culprit| culprit.process);
                // Dropped again unless it is the worker's: the last one out of a dead worker's ring removes it.
                self.responses = (owner == Some(process)).then_some(responses);
                self.owner = owner;
                self.refusal = None;
            }
            Err(error) => self.refusal = Some(error),
        }
    }

    /// Lets go of the ring. What the worker does next decides whether there is another.
    pub(super) fn detach(&mut self) {
        self.doorbell = None;
        self.responses = None;
    }

    /// Whether the ring could not be attached to because it is not there yet, which is how every worker begins.
    pub(super) fn refusal_worth_telling(&mut self) -> Option<TransportError> {
        self.refusal.take_if(|error| !matches!(error, TransportError::Build(MultiProcessError::NotFound { .. })))
    }

    /// Asks the operating system whether our child has ended, so that it does not stay as a zombie.
    pub(super) fn reap(&mut self) {
        if let Some(child) = &mut self.child
            && let Ok(Some(status)) = child.try_wait()
        {
            self.status = Some(status);
            self.child = None;
        }
    }

    /// How its process ended, if that was our child and the kernel has finished with it. It lets go of locks a little earlier.
    pub(super) fn status_of_death(&mut self) -> Option<ExitStatus> {
        self.reap();
        self.status.filter(|_| self.child.is_none())
    }
}
