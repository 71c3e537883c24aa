//! What producers of events and of records have in common: what they say of their consumers, and their waits. Users see
//! it through `producer_face`.

use super::error::{NoRoom, PublishError};
use super::patience::Patience;
use super::producer_side::{JOIN_POLL, ProducerCounters, ProducerSide};
use super::room::{Target, Watch};
use crate::Sequence;
use crate::counters::{CounterHandle, CountersFile, EndCounters};
use crate::liveness::{NextStep, StallReport, WaitingFor};
use crate::ring::memory::layout::Carries;
use crate::ring::memory::mapped::Mapped;
use crate::ring::protocol::memory::Memory;
use crate::ring::protocol::sequencer::Sequencer;
use crate::ring::roster::{self, ConsumerInfo};
use crate::ring::selection::Selection;
use crate::segment::{Claim, Place, Spare};
use crate::sync::wait::{WaitStrategy, Waiter};
use std::fmt;
use std::time::{Duration, Instant};

/// How a producer came to its ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// There was nothing under the name.
    Created,
    /// The last producer was dead, and the ring goes on after the last published event. Some consumer needed it: one
    /// lives in it, or has kept its entry and not read everything; in a ring with a content tag, one that has kept its
    /// entry at all.
    TookOver,
    /// The last producer was dead and there was no such consumer: a new ring has replaced the old one.
    Replaced,
}

/// What a producer knows of its ring besides what it writes. Users get no access to it: if it were exchanged for
/// another producer's, it would move record numbers from one ring to another.
pub struct ProducerBase<S: Carries> {
    pub(super) waiter: Waiter,
    /// Borrowed by a wait, beside the waiter.
    pub(super) side: ProducerSide<S>,
}

/// The longest pause between two looks at which consumers have joined, whatever interval was asked for: a look costs
/// microseconds.
const JOIN_POLL_MAX: Duration = Duration::from_secs(1);

impl<S: Carries> ProducerBase<S> {
    pub(crate) fn new(
        core: Sequencer<Mapped<S>>,
        claim: Claim,
        spare: Spare,
        origin: Origin,
        strategy: WaitStrategy,
        selection: Selection,
    ) -> Self {
        Self { waiter: Waiter::new(strategy), side: ProducerSide::new(core, claim, spare, origin, selection) }
    }

    /// Whether a call with this `patience` that needs room for `size`, in the unit of users, would go on at once.
    pub(super) fn has_room_for(&mut self, size: usize, patience: Patience) -> bool {
        self.has_room_now(S::slots_for(size), &patience)
    }

    /// Whether a call with this `patience` that needs `count` slots, or lines, would go on at once. Then `count` are
    /// free, and a managed call has no consumer to wait for and no death to act on. If this is `true`, the slots stay
    /// free until something is published.
    #[inline]
    pub(super) fn has_room_now(&mut self, count: usize, patience: &Patience) -> bool {
        let is_managed = matches!(patience, Patience::Managed | Patience::ManagedUntil(_));
        (!is_managed || self.side.is_settled()) && (!self.side.must_look(count) || self.side.looks_for_room(count))
    }

    #[cfg(feature = "dst")]
    pub(super) fn abandon(&mut self) {
        // From now on this end is treated as in a child of a fork: it is a dead copy. The claim knows by itself that
        // the lock is ours.
        self.side.fork_epoch = self.side.fork_epoch.wrapping_sub(1);
    }

    pub(crate) fn place(&self) -> &Place {
        self.side.segment().place()
    }

    pub(super) fn origin(&self) -> Origin {
        self.side.origin
    }

    pub(super) fn last_published_sequence(&self) -> Sequence {
        self.side.next_number() - 1
    }

    /// Slots, or bytes of a ring of records.
    pub(super) fn capacity(&self) -> usize {
        self.side.capacity() * S::SIZE_UNIT.per_slot()
    }

    pub(super) fn is_consumed(&self, sequence: Sequence) -> bool {
        sequence < self.side.next_number()
            && (!self.side.core.has_sentinel() || self.side.is_complete())
            && (0..self.side.core.memory().table_len())
                .filter(|&index| self.side.core.gates(index))
                .all(|index| roster::describe(self.side.core.memory(), index).position > sequence)
    }

    pub(super) fn wait_until_consumed(&mut self, sequence: Sequence, patience: Patience) -> Result<(), PublishError> {
        let deadline = patience.deadline();
        // Only this producer could publish it, and it waits.
        let last = self.last_published_sequence();
        if sequence > last && !self.side.is_forked() {
            return Err(PublishError::NotPublished { sequence, last });
        }
        self.side
            .wait_for(&mut self.waiter, Target::Consumed(sequence), deadline, Watch::Unwatched)
            .map_err(|blocked| self.side.publish_error(blocked))
    }

    pub(super) fn consumer_sequence(&self, id: &str) -> Option<Sequence> {
        let memory = self.side.core.memory();
        let index = roster::find(memory, id)?;
        Some(roster::info(memory, index)?.position.saturating_sub(1))
    }

    pub(super) fn wait_for_consumer(&self, id: &str, patience: Patience) -> bool {
        self.poll_until(patience.deadline(), JOIN_POLL, || self.side.is_joined(id))
    }

    pub(super) fn wait_for_consumers(&self, count: usize, patience: Patience) -> bool {
        self.poll_until(patience.deadline(), JOIN_POLL, || self.get_consumer_count() >= count)
    }

    /// Looks every `interval` until `deadline`, if there is one. Joining is rare and takes milliseconds: no process
    /// needs to be woken for it.
    pub(crate) fn poll_until(&self, deadline: Option<Instant>, interval: Duration, is_done: impl Fn() -> bool) -> bool {
        while !is_done() {
            let left = deadline.map_or(JOIN_POLL_MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return false;
            }
            std::thread::sleep(interval.min(left).min(JOIN_POLL_MAX));
        }
        true
    }

    pub(crate) fn get_consumer_count(&self) -> usize {
        self.side
            .consumers()
            .iter()
            .filter(|consumer| consumer.alive && self.side.selection.selects(&consumer.id))
            .count()
    }

    pub(super) fn consumers(&self) -> Vec<ConsumerInfo> {
        self.side.consumers()
    }

    pub(super) fn check_peers(&mut self) -> Vec<ConsumerInfo> {
        let gone: Vec<_> = self.side.consumers().into_iter().filter(|consumer| !consumer.alive).collect();
        for consumer in &gone {
            if let Some(index) = roster::find(self.side.core.memory(), &consumer.id) {
                // If it cannot be freed now, the next call names it again.
                let _ = self.side.bury(index);
            }
        }
        gone
    }

    pub(super) fn evict_consumer(&mut self, id: &str) -> std::io::Result<bool> {
        match roster::find(self.side.core.memory(), id) {
            Some(index) => self.side.evict(index, self.side.core.entry(index).status()),
            None => Ok(false),
        }
    }

    pub(super) fn stall_report(&mut self) -> StallReport {
        let wanted = self.side.unmet().unwrap_or(1);
        let scan = self.side.rescan_for(wanted);
        let hindrance = self.side.hindrance(Target::Room(wanted), scan);
        let report = self.side.report(hindrance, Duration::ZERO, NextStep::KeepWaiting);
        match report.waiting_for {
            WaitingFor::Nothing => self.side.report_on_required().unwrap_or(report),
            _ => report,
        }
    }

    pub(super) fn attach_counters(&mut self, file: &CountersFile) {
        let ring = self.side.segment().place().untitled().to_string();
        self.side.counters_of = EndCounters::of_attached_producer(file, ring);
        self.side.counters = ProducerCounters::of(&self.side.counters_of);
    }

    pub(super) fn counter(&self, id: u32) -> CounterHandle {
        self.side.counters_of.counter(id)
    }

    pub(super) fn ring_counters(&self) -> CountersFile {
        CountersFile::of_ring(self.side.core.memory().segment())
    }

    pub(super) fn try_clone_fd(&self) -> std::io::Result<std::os::fd::OwnedFd> {
        self.side.segment().try_clone_fd()
    }

    pub(super) fn remove_name(&self) -> std::io::Result<bool> {
        self.side.segment().unlink_if_same()
    }

    /// What `Debug` prints of a producer that is called `name`: only what this process knows by itself.
    #[doc(hidden)]
    pub fn describe(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name)
            .field("place", &self.place().to_string())
            .field("origin", &self.origin())
            .field("capacity", &self.capacity())
            .field("next_sequence", &self.side.next_number())
            .finish_non_exhaustive()
    }

    /// Drops the end of a producer that could not start. A ring that it has taken over is left for the next one as it
    /// was found; a ring that it has made is removed.
    pub(crate) fn give_back(mut self) {
        self.side.is_given_back = self.side.origin == Origin::TookOver;
    }

    pub(super) fn leave_to_successor(&mut self) {
        self.side.core.publish();
        self.side.is_given_back = true;
    }

    /// Room for `count` events, or for that many lines of records, with any patience.
    #[inline(always)]
    pub(super) fn make_room(&mut self, count: usize, patience: &Patience) -> Result<(), NoRoom> {
        let deadline = match *patience {
            Patience::Managed => return Ok(self.enter_managed(count, None)?),
            Patience::ManagedUntil(deadline) => return Ok(self.enter_managed(count, Some(deadline))?),
            _ if !self.side.must_look(count) || self.side.may_claim(count) => return Ok(()),
            Patience::Now if self.side.find_room(count) => return Ok(()),
            Patience::Now => return Err(NoRoom::Full),
            Patience::Endless => None,
            Patience::Until(deadline) => Some(deadline),
        };
        Ok(self.wait_for_room(count, deadline)?)
    }

    #[cold]
    #[inline(never)]
    pub(super) fn wait_for_room(&mut self, count: usize, deadline: Option<Instant>) -> Result<(), PublishError> {
        self.side
            .wait_for(&mut self.waiter, Target::Room(count), deadline, Watch::Unwatched)
            .map_err(|blocked| self.side.publish_error(blocked))
    }

    /// The words of the ring.
    pub(crate) fn memory(&self) -> &Mapped<S> {
        self.side.core.memory()
    }
}

impl<S: Carries> fmt::Debug for ProducerBase<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.describe("ProducerBase", f)
    }
}
