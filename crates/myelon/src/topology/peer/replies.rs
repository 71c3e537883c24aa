//! What a worker has sent: in its ring, set aside, or kept for a later step.

use super::super::answer::{Answer, Outcome};
use super::super::error::TopologyError;
use super::super::steps::{Reply, Unwanted};
use super::Peer;
use crate::transport::{Format, TransportConsumer, TransportError, TransportResult};
use crate::typed_transport::Tally;
use disruptor_mp::__private::ends::HasConsumer;
use disruptor_mp::counters::ids;
use disruptor_mp::{ConsumeError, Patience, Sequence};
use std::time::{Duration, Instant};

impl<F: Format> Peer<F> {
    /// Messages of it that were not looked at: in its ring, and set aside.
    pub(in crate::topology) fn unseen(&self) -> u64 {
        let lag = |ring: &TransportConsumer<F>| ring.producer_sequence().saturating_sub(ring.current_sequence());
        self.responses.as_ref().map_or(0, |ring| lag(ring).max(0).cast_unsigned()) + self.aside.len() as u64
    }

    /// Whether there is a message to take. Lets go of a ring that was read to its end.
    pub(in crate::topology) fn has_message(&mut self) -> bool {
        let Some(responses) = &mut self.responses else { return false };
        match responses.wait_until_available(Some(Instant::now())) {
            Ok(()) => return true,
            // The worker has left, or its successor has made another ring.
            Err(ConsumeError::Closed | ConsumeError::Replaced) => self.detach(),
            // The successor is about to. Without one the ring stays, so that it is not forgotten when it is time to
            // clean up.
            Err(ConsumeError::ProducerDied { .. }) if self.is_present() && !self.is_ready() => self.detach(),
            Err(_) => {}
        }
        false
    }

    /// Takes everything out of the ring of a process that has gone, if that keeps its successor from being heard.
    pub(in crate::topology) fn set_aside(&mut self) {
        while self.is_present() && !self.is_ready() && self.has_message() {
            let next = self.responses.as_mut().map(|ring| ring.next(Patience::Now)).transpose();
            let next = next.map(|message| message.flatten().map(|message| Reply::of_message(&message, self.version)));
            self.aside.extend(next.transpose());
        }
    }

    /// The next message, from what was set aside or out of the ring. `None`: there is none after all.
    pub(in crate::topology) fn next_reply(&mut self) -> TransportResult<Option<Reply>> {
        if let Some(reply) = self.aside.pop_front() {
            return reply.map(Some);
        }
        let Some(ring) = &mut self.responses else { return Ok(None) };
        Ok(ring.next(Patience::Now)?.map(|message| Reply::of_message(&message, self.version)))
    }

    /// Whether the next message is to be read in the ring.
    pub(in crate::topology) fn is_next_in_ring(&self) -> bool {
        self.aside.is_empty() && !self.answered.has_kept(None)
    }

    /// Whether there is a message that was set aside, to be told before any news.
    pub(in crate::topology) fn has_aside(&self) -> bool {
        !self.aside.is_empty()
    }

    /// From now on its answers to steps before `step` are late.
    pub(in crate::topology) fn expect(&mut self, step: Sequence) {
        let before = self.answered.unwanted;
        self.answered.expect(step);
        self.count(before);
    }

    /// Takes the message that is there, for a caller who waits for its answer to `step` after the broadcast `last`, and
    /// keeps it if it is that, or one to a later step. One that cannot be received is there afterwards, too.
    pub(in crate::topology) fn sort_next(&mut self, step: Sequence, last: Sequence) {
        match self.next_reply() {
            Ok(Some(reply)) => {
                self.progress.heard(reply.step, last);
                let before = self.answered.unwanted;
                self.answered.sort(reply, step, last);
                self.count(before);
            }
            // The look before said that there is one; only damage can make it vanish.
            Ok(None) => {}
            Err(error) => self.aside.push_front(Err(error)),
        }
    }

    /// Hands out what a caller waits for who waits for its answer to `step`, or for any message.
    pub(in crate::topology) fn take(&mut self, step: Option<Sequence>, last: Sequence) -> Answer {
        let rank = self.rank;
        if let Some(reply) = self.answered.take_kept(step) {
            return reply.of(rank);
        }
        let outcome = match self.next_reply() {
            Ok(Some(reply)) => {
                self.progress.heard(reply.step, last);
                self.answered.handed_out(reply.step);
                return reply.of(rank);
            }
            Ok(None) => Outcome::TimedOut,
            Err(error) => self.unreadable(error),
        };
        Answer::without_message(rank, outcome)
    }

    /// That what it has sent cannot be received.
    #[cold]
    pub(in crate::topology) fn unreadable(&self, source: impl Into<TransportError>) -> Outcome {
        Outcome::Unreadable(TopologyError::of(&self.id, source))
    }

    /// Why there is nothing of it after a wait of that length, as long as it lives.
    pub(in crate::topology) fn silence(&mut self, waited: Duration) -> Outcome {
        match self.responses.as_mut().map(|responses| responses.wait_until_available(Patience::Now)) {
            Some(Err(limit)) if limit.is_held_limit() => self.unreadable(limit.after(waited)),
            _ => Outcome::TimedOut,
        }
    }

    /// Whether the next message is one that cannot be received.
    pub(in crate::topology) fn has_unreadable(&self) -> bool {
        matches!(self.aside.front(), Some(Err(_)))
    }

    /// Counts in its ring what was dropped since `before`.
    pub(super) fn count(&self, before: Unwanted) {
        let now = self.answered.unwanted;
        let Some(responses) = self.responses.as_ref().filter(|_| now != before) else { return };
        for (id, dropped) in [
            (ids::ANSWERS_LATE, now.late - before.late),
            (ids::ANSWERS_REPEATED, now.repeated - before.repeated),
            (ids::ANSWERS_WITHOUT_STEP, now.without_step - before.without_step),
        ] {
            if dropped > 0 {
                responses.counter(id).add(dropped);
            }
        }
    }

    /// Counts in its ring that a message of it was decoded, or could not be.
    pub(in crate::topology) fn count_read(&self, is_readable: bool) {
        if let Some(responses) = &self.responses {
            Tally::new(responses, 0).count(is_readable);
        }
    }
}
