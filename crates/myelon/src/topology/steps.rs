//! Which broadcasts one worker has answered, and which of these answers no call has asked for yet.
//!
//! A *step* is a broadcast, named by its sequence. A worker may answer steps in any order, several times, or not at
//! all. Its successor answers again what its predecessor had not acknowledged.

use super::answer::{Answer, Outcome};
use crate::transport::{Format, Message};
use disruptor_mp::Sequence;
use std::collections::VecDeque;

/// How many of the last answered steps are remembered. A repeated answer comes from a worker's successor, or from a
/// program that answers twice. If its step is older than these, it is counted as late.
const REMEMBERED_STEPS: usize = 128;

/// The version of a worker's message: that of the scheduler's own type (`None`), or the index of an accepted older one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Version(pub(super) Option<usize>);

impl Version {
    /// The version of a ring with the tag `ring`.
    pub(super) fn of(ring: Option<String>, older_tags: &[String]) -> Self {
        Self(ring.and_then(|ring| older_tags.iter().position(|older| *older == ring)))
    }
}

/// A message of a worker, copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// The broadcast that it answers, if it says so.
    pub(super) step: Option<Sequence>,
    pub(super) kind: u8,
    pub(super) bytes: Vec<u8>,
    version: Version,
}

impl Reply {
    pub(super) fn of_message<F: Format>(message: &Message<'_, F>, version: Version) -> Self {
        Self { step: message.in_reply_to(), kind: message.kind(), bytes: message.to_vec(), version }
    }

    pub(super) fn outcome(self) -> Outcome {
        Outcome::Message { kind: self.kind, bytes: self.bytes }
    }

    /// The message as the answer of worker `rank`.
    pub(super) fn of(self, rank: usize) -> Answer {
        Answer { rank, step: self.step, version: self.version, outcome: self.outcome() }
    }
}

/// Counts of messages that were dropped because no call waited for them. The numbers only grow.
///
/// ```
/// use myelon::topology::SchedulerEnd;
///
/// /// Whether a worker answers in time. If not, ask later, or give it less to do.
/// fn is_in_time(scheduler: &mut SchedulerEnd, rank: usize) -> bool {
///     scheduler.report(rank).unwanted.late == 0
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unwanted {
    /// Answers to an earlier step than the awaited one.
    pub late: u64,
    /// Answers to a step that the worker had answered before.
    pub repeated: u64,
    /// Messages that answer no broadcast, or one that was never sent.
    pub without_step: u64,
}

/// What one worker has answered.
#[derive(Debug, Default)]
pub(super) struct Answered {
    /// Answers to the awaited step or later ones that were not handed out, in the order of their arrival; one for each
    /// step.
    kept: VecDeque<Reply>,
    /// The steps whose answers were handed out last.
    handed: VecDeque<Sequence>,
    pub(super) unwanted: Unwanted,
}

impl Answered {
    /// The kept answer to `step`; for `None`, the first that was kept.
    pub(super) fn take_kept(&mut self, step: Option<Sequence>) -> Option<Reply> {
        let index = match step {
            Some(_) => self.kept.iter().position(|reply| reply.step == step)?,
            None => 0,
        };
        let reply = self.kept.remove(index)?;
        self.handed_out(reply.step);
        Some(reply)
    }

    /// From now on answers to steps before `step` are late, even those that were kept.
    pub(super) fn expect(&mut self, step: Sequence) {
        let kept = self.kept.len();
        self.kept.retain(|reply| reply.step >= Some(step));
        self.unwanted.late += (kept - self.kept.len()) as u64;
    }

    /// Keeps `reply` if it answers `step` or a later one, and counts it otherwise. `step` is the awaited one, `last`
    /// the last broadcast.
    pub(super) fn sort(&mut self, reply: Reply, step: Sequence, last: Sequence) {
        match reply.step.filter(|answered| (0..=last).contains(answered)) {
            None => self.unwanted.without_step += 1,
            Some(answered) if self.has_answered(answered) => self.unwanted.repeated += 1,
            Some(answered) if answered < step => self.unwanted.late += 1,
            Some(_) => self.kept.push_back(reply),
        }
    }

    /// Whether there is a kept answer to `step`; for `None`, to any.
    pub(super) fn has_kept(&self, step: Option<Sequence>) -> bool {
        self.kept.iter().any(|reply| step.is_none() || reply.step == step)
    }

    /// An answer to `step` was handed out.
    pub(super) fn handed_out(&mut self, step: Option<Sequence>) {
        let Some(step) = step.filter(|step| !self.handed.contains(step)) else { return };
        if self.handed.len() == REMEMBERED_STEPS {
            self.handed.pop_front();
        }
        self.handed.push_back(step);
    }

    /// Whether an answer to `step` has come before, as far as is remembered.
    pub(super) fn has_answered(&self, step: Sequence) -> bool {
        self.handed.contains(&step) || self.kept.iter().any(|reply| reply.step == Some(step))
    }

    /// How many answers are kept.
    pub(super) fn kept_count(&self) -> u64 {
        self.kept.len() as u64
    }
}
