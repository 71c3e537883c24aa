//! Why a consumer finds nothing: the end of its ring, and what happened to its producer. The answers come from flags,
//! from the producer's lock, and from reports.

use super::consumer_side::ConsumerSide;
use super::error::ConsumeError;
use crate::liveness::{Culprit, NextStep, RefusedCall, StallReport, WaitingFor};
use crate::ring::membership::PRODUCER_BYTE;
use crate::ring::memory::layout::Carries;
use crate::ring::protocol::ending::Ending;
use crate::ring::protocol::form::Form;
use crate::ring::protocol::memory::Memory;
use crate::segment::Fate;
use std::time::Duration;

impl<S: Carries> ConsumerSide<S> {
    /// Why a look that does not wait has found nothing; `None`: there is nothing yet. Makes no system call. Steps over
    /// damage only where a word is not valid, so that a look at an empty ring does not touch the cursor's line.
    #[inline]
    pub(super) fn why_nothing(&mut self) -> Option<ConsumeError> {
        if let Some(limit) = self.held_limit(Duration::ZERO) {
            return Some(limit);
        }
        let is_silent = <S::Form as Form>::is_silent(self.core.memory(), self.core.next()) && self.core.is_believed();
        let damage = if is_silent { None } else { self.step_over_damage(false) };
        damage.or_else(|| {
            let may_end = self.core.is_over() || self.segment().fate() != Fate::Live || self.is_forked();
            if may_end { self.end_that_was_said() } else { None }
        })
    }

    /// The end of the ring as it is stored there, if everything published before it was read.
    #[cold]
    fn end_that_was_said(&mut self) -> Option<ConsumeError> {
        if self.is_forked() {
            return Some(ConsumeError::Forked);
        }
        let end = self.said_end().or_else(|| {
            let is_abandoned = self.core.memory().control().gate.is_abandoned();
            is_abandoned.then(|| self.death(Duration::ZERO))
        });
        // What was published before the end comes first.
        if self.look() { None } else { end }
    }

    /// Whether the ring says that it was closed, and everything in it was read, or that another has replaced it.
    fn said_end(&mut self) -> Option<ConsumeError> {
        if self.core.is_finished() {
            return Some(self.step_over_damage(true).unwrap_or(ConsumeError::Closed));
        }
        if self.segment().fate() != Fate::Live {
            return Some(self.step_over_damage(true).unwrap_or(ConsumeError::Replaced));
        }
        None
    }

    pub(super) fn end_of_ring(&mut self, waited: Duration) -> Option<ConsumeError> {
        if let Some(damage) = self.step_over_damage(false) {
            return Some(damage);
        }
        if let Some(end) = self.said_end() {
            return Some(end);
        }
        if !self.core.memory().control().gate.is_abandoned() {
            match self.segment().is_held(PRODUCER_BYTE) {
                Ok(true) => return None,
                Ok(false) => {}
                // Proves neither death nor life.
                Err(error) => {
                    let refused = Some(RefusedCall::new("looking at the producer's lock", &error));
                    let report = StallReport { refused, ..self.report(waited, NextStep::GiveUp, None) };
                    return Some(ConsumeError::Os { report: Box::new(report) });
                }
            }
        }
        // The lock was looked at after the flags: a producer that closed and left in between has set them by now.
        self.said_end().or_else(|| Some(self.death(waited)))
    }

    /// The producer's lock is free, or the ring says that a panic dropped the producer.
    pub(super) fn death(&self, waited: Duration) -> ConsumeError {
        let how = self.producers_ending();
        let report = self.report(waited, NextStep::GiveUp, Some(how));
        let pid = report.culprit.as_ref().map_or(0, |culprit| culprit.process.pid);
        ConsumeError::ProducerDied { pid, how, report: Box::new(report) }
    }

    /// How a producer that no longer holds its lock has gone.
    pub(super) fn producers_ending(&self) -> Ending {
        if self.core.memory().control().gate.is_abandoned() { Ending::Panicked } else { Ending::Killed }
    }

    pub(super) fn report(&self, waited: Duration, next: NextStep, ending: Option<Ending>) -> StallReport {
        let memory = self.core.memory();
        let process = memory.control().producer.identity.load();
        let culprit = Culprit {
            id: "producer".to_owned(),
            rank: None,
            facts: process.observe(),
            process,
            is_dead: ending == Some(Ending::Killed),
            ending,
            sequence: memory.number_at(memory.control().cursor.acquire()),
            lag_events: 0,
            is_inside_handler: false,
            held: None,
            no_progress_for: Some(waited).filter(|waited| !waited.is_zero()),
        };
        // What was published and not acknowledged can be read, or is being read.
        let has_data = memory.control().cursor.acquire() > self.core.next();
        let waiting_for = match has_data {
            true if ending.is_none() && self.is_full() => WaitingFor::HeldRelease,
            true => WaitingFor::Nothing,
            false => WaitingFor::Data,
        };
        StallReport::new(self.segment().called(), waiting_for, waited, Some(culprit), next)
    }
}
