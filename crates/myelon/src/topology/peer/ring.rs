//! The ring on which a worker answers: attached to, refused, and let go.

use super::super::refusal::JoinRefusal;
use super::super::steps::Version;
use super::{Peer, Standing};
#[cfg(feature = "tokio")]
use crate::transport::TransportConsumer;
use crate::transport::{Format, TransportBuilder, TransportError, TransportProducer, WaitStrategy};
use disruptor_mp::liveness::{ProcessIdentity, RefusalCause, RefusalReason, leave_refusal};
use disruptor_mp::{ConsumerBarrier, MultiProcessError};
use std::time::Duration;

/// The settings for attaching to response rings, the same for all workers.
#[derive(Clone, Debug)]
pub(in crate::topology) struct Attachment {
    pub(in crate::topology) depth: usize,
    pub(in crate::topology) scheduler_id: String,
    pub(in crate::topology) wait: WaitStrategy,
    pub(in crate::topology) message_limit_bytes: Option<usize>,
    pub(in crate::topology) content_tag: Option<String>,
    /// Other tags that are accepted.
    pub(in crate::topology) older_tags: Vec<String>,
}

impl<F: Format> Peer<F> {
    /// Whether it is on the urgent lane, if there is one. A worker joins the lane before it makes its ring: a process
    /// that has made its ring and is not on the lane is refused.
    pub(super) fn hears_urgent(&mut self, lane: Option<&TransportProducer<F>>) -> bool {
        let (Some(lane), Standing::Present(process)) = (lane, self.standing) else { return true };
        let is_on_lane =
            |id: &str| lane.consumers().iter().any(|info| info.alive && info.id == id && info.process == process);
        if is_on_lane(&self.id) {
            return true;
        }
        let makes_ring = || ConsumerBarrier::attach(&self.place).is_ok_and(|ring| ring.producer() == process);
        if !makes_ring() {
            return false;
        }
        // It may have joined the lane and made its ring since the first look.
        if is_on_lane(&self.id) {
            return true;
        }
        let text =
            "its invitation has no urgent lane, and the topology has one: make the invitation from this topology";
        self.refuse(process, RefusalCause::OtherRings.into(), text.to_owned());
        self.without_lane = self.is_refused_for_good.then_some(process.pid);
        false
    }

    pub(super) fn attach(&mut self, attachment: &Attachment) {
        let mut builder = TransportBuilder::<F>::new(&self.place, attachment.depth)
            .with_consumer_id(attachment.scheduler_id.as_str())
            .with_wait_strategy(attachment.wait)
            .refused_silently();
        if let Some(limit) = attachment.message_limit_bytes {
            builder = builder.with_message_limit(limit);
        }
        if let Some(tag) = &attachment.content_tag {
            builder = builder.with_content_tag(tag.as_str()).with_older_content_tags(&attachment.older_tags);
        }
        match builder.build_consumer() {
            Ok(mut responses) => {
                // A scheduler that no longer reads the ring keeps no entry in it.
                responses.leave_on_drop();
                let owner = responses.stall_report(Duration::ZERO).culprit.map(|culprit| culprit.process);
                // Dropped again unless it is the worker's: the last process that leaves a dead worker's ring removes
                // it.
                let is_its_own = matches!(self.standing, Standing::Present(process) if owner == Some(process));
                self.version = Version::of(responses.content_tag(), &attachment.older_tags);
                self.responses = is_its_own.then_some(responses);
                self.ring_number = is_its_own.then_some(self.owner_number);
                self.owner = owner;
                self.refusal = None;
            }
            Err(error) => {
                if let (TransportError::Build(build), Standing::Present(process)) = (&error, self.standing)
                    && !build.is_passing()
                {
                    self.refuse(process, build.into(), error.to_string());
                }
                self.refusal = Some(error);
            }
        }
    }

    /// The ring can never be used. If it belongs to `process`, tells that process.
    pub(super) fn refuse(&mut self, process: ProcessIdentity, reason: RefusalReason, text: String) {
        self.is_refused_for_good = match leave_refusal(&self.place, None, reason) {
            // The ring of another process may be replaced.
            Ok(owner) => owner == process,
            // The process cannot be told. Nor can the worker make a ring of its own in place of another user's.
            Err(MultiProcessError::PermissionDenied { .. }) => true,
            Err(_) => false,
        };
        if self.is_refused_for_good {
            let ours = self.started.as_ref().filter(|started| started.joined_as == Some(process));
            let child = ours.map(|started| started.process.pid());
            self.could_not_join(JoinRefusal::of(self.id.clone(), process, reason.cause(), text), child);
        }
    }

    /// Detaches from the ring. What the worker does next decides whether there is another one.
    pub(in crate::topology) fn detach(&mut self) {
        self.responses = None;
    }

    /// The last error of attaching, unless the ring is not there yet, which is normal at a worker's start.
    pub(in crate::topology) fn refusal_worth_telling(&mut self) -> Option<TransportError> {
        self.refusal.take_if(|error| !matches!(error, TransportError::Build(MultiProcessError::NotFound { .. })))
    }

    /// Its ring and the ring's number, if nothing is to be reported before the ring's next message.
    #[cfg(feature = "tokio")]
    pub(in crate::topology) fn heard_ring(&mut self) -> Option<(u64, &mut TransportConsumer<F>)> {
        let is_next = self.is_ready() && !self.has_news() && self.aside.is_empty();
        self.ring_number.zip(self.responses.as_mut()).filter(|_| is_next)
    }
}
