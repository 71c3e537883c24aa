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
    /// The number of its messages that were not looked at: in its ring, and set aside.
    pub(in crate::topology) fn unseen(&self) -> u64 {
        let lag = |ring: &TransportConsumer<F>| ring.producer_sequence().saturating_sub(ring.current_sequence());
        self.responses.as_ref().map_or(0, |ring| lag(ring).max(0).cast_unsigned()) + self.aside.len() as u64
    }

    /// Whether there is a message to take. Detaches from a ring that was read to its end.
    pub(in crate::topology) fn has_message(&mut self) -> bool {
        let Some(responses) = &mut self.responses else { return false };
        match responses.wait_until_available(Some(Instant::now())) {
            Ok(()) => return true,
            // The worker has left, or its successor has made another ring.
            Err(ConsumeError::Closed | ConsumeError::Replaced) => self.detach(),
            // A successor is about to make its ring. Without a successor the ring stays, so that it is removed at the
            // end.
            Err(ConsumeError::ProducerDied { .. }) if self.is_present() && !self.is_ready() => self.detach(),
            Err(_) => {}
        }
        false
    }

    /// Takes everything out of the ring of a process that is gone, if that ring keeps its successor from being heard.
    pub(in crate::topology) fn set_aside(&mut self) {
        while self.is_present() && !self.is_ready() && self.has_message() {
            let next = self.responses.as_mut().map(|ring| ring.next(Patience::Now)).transpose();
            let next = next.map(|message| message.flatten().map(|message| Reply::of_message(&message, self.version)));
            self.aside.extend(next.transpose());
        }
    }

    /// The next message, from those set aside or from the ring. `None`: there is none after all.
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

    /// Whether a message was set aside; it is handed out before any news.
    pub(in crate::topology) fn has_aside(&self) -> bool {
        !self.aside.is_empty()
    }

    /// From now on answers to steps before `step` count as late.
    pub(in crate::topology) fn expect(&mut self, step: Sequence) {
        let before = self.answered.unwanted;
        self.answered.expect(step);
        self.count(before);
    }

    /// Takes the next message, for a caller that waits for the answer to `step`; `last` is the last broadcast. Keeps it
    /// if it answers `step` or a later one. A message that cannot be received is still there afterwards.
    pub(in crate::topology) fn sort_next(&mut self, step: Sequence, last: Sequence) {
        match self.next_reply() {
            Ok(Some(reply)) => {
                self.progress.heard(reply.step, last);
                let before = self.answered.unwanted;
                self.answered.sort(reply, step, last);
                self.count(before);
            }
            // An earlier look has found a message; only a damaged ring can lose it.
            Ok(None) => {}
            Err(error) => self.aside.push_front(Err(error)),
        }
    }

    /// Takes the message for a caller that waits for the answer to `step`, or for any message.
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

    /// The outcome for a message that cannot be received.
    #[cold]
    pub(in crate::topology) fn unreadable(&self, source: impl Into<TransportError>) -> Outcome {
        Outcome::Unreadable(TopologyError::of(&self.id, source))
    }

    /// The outcome for a worker that lives and has sent nothing during a wait of that length.
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

    /// Adds what was dropped since `before` to the counters of its ring.
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

    /// Counts in its ring that a message was decoded, or could not be decoded.
    pub(in crate::topology) fn count_read(&self, is_readable: bool) {
        if let Some(responses) = &self.responses {
            Tally::new(responses, 0).count(is_readable);
        }
    }
}
