//! What consumers of events and of records have in common: how they wait, and what they say about their ring. Users
//! call it through `consumer_face`.

use super::consumer_side::{ConsumerSide, Parting};
use super::error::ConsumeError;
use super::patience::Patience;
use crate::Sequence;
use crate::counters::{CounterHandle, CountersFile, EndCounters};
use crate::liveness::{NextStep, RefusedCall, StallReport, WaitingFor};
use crate::ring::membership::{Member, PRODUCER_BYTE};
use crate::ring::memory::layout::Carries;
use crate::ring::memory::mapped::Mapped;
use crate::ring::protocol::ending::Ending;
use crate::ring::protocol::memory::Memory;
use crate::schema::Schema;
use crate::segment::{Fate, Place};
use crate::sync::bell::Woken;
use crate::sync::wait::{Awaited, SLICE_WITHOUT_BARRIER, WaitEnd, WaitStrategy, Waiter, spin_first};
use std::fmt;
use std::time::{Duration, Instant};

/// The part of a consumer that does not depend on what it reads. Users get no access to it: if they swapped the parts
/// of two consumers, record numbers would move from one ring to another.
pub struct ConsumerBase<S: Carries> {
    waiter: Waiter,
    /// A wait borrows it and the waiter at the same time, so the two are separate fields.
    pub(super) side: ConsumerSide<S>,
    /// The generation of the older ring from which the consumer has moved to this one.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "asked by doorbells, which only Linux has"))]
    pub(super) comes_from: Option<u64>,
    counts_in: Option<CountersFile>,
}

impl<S: Carries> ConsumerBase<S> {
    pub(crate) fn new(
        memory: Mapped<S>,
        member: Member,
        id: String,
        strategy: WaitStrategy,
        linger: Duration,
        comes_from: Option<u64>,
    ) -> Self {
        let side = ConsumerSide::new(memory, member, id, linger);
        Self { waiter: Waiter::new(strategy), side, comes_from, counts_in: None }
    }

    pub(crate) fn keep_place(&mut self) {
        self.side.parting = Parting::Keeps;
    }

    pub(super) fn leave_on_drop(&mut self) {
        self.side.parting = Parting::LeavesAlways;
    }

    pub(super) fn go_over(&mut self) {
        self.side.parting = Parting::GoesOver;
    }

    #[cfg(feature = "dst")]
    pub(super) fn abandon(&mut self) {
        self.side.abandon();
    }

    /// Waits until a look finds something: an event, a record, or a gap between records.
    pub(super) fn wait_until_readable(&mut self, patience: Patience) -> Result<(), ConsumeError> {
        if self.side.look() || self.wait_as(patience)? {
            return Ok(());
        }
        Err(ConsumeError::TimedOut { waited: Duration::ZERO })
    }

    /// [`wait_until_readable`](Self::wait_until_readable), or until `also` returns `true`.
    pub(super) fn wait_until_readable_or(
        &mut self,
        patience: Patience,
        also: impl Fn(&ConsumerSide<S>) -> bool,
    ) -> Result<(), ConsumeError> {
        match patience {
            Patience::Now => self.wait_until_readable(Patience::Now),
            patience => self.wait_for(patience.deadline(), |side| side.look() || also(side)),
        }
    }

    /// Waits for the next event after a look has not found it. `false`: the event is not there yet, and `patience` says
    /// not to wait.
    #[inline(never)]
    pub(super) fn wait_as(&mut self, patience: Patience) -> Result<bool, ConsumeError> {
        match patience {
            Patience::Now => self.side.why_nothing().map_or(Ok(false), Err),
            patience => self.wait(patience.deadline()).map(|()| true),
        }
    }

    /// Not inlined, so that registers are saved only if the caller really waits.
    #[inline(never)]
    pub(super) fn wait(&mut self, deadline: Option<Instant>) -> Result<(), ConsumeError> {
        self.wait_for(deadline, ConsumerSide::look)
    }

    #[inline]
    fn wait_for(
        &mut self,
        deadline: Option<Instant>,
        mut look: impl FnMut(&mut ConsumerSide<S>) -> bool,
    ) -> Result<(), ConsumeError> {
        let (is_ready, spins) = spin_first(|| look(&mut self.side));
        self.side.counters.spins.add(spins.into());
        if is_ready { Ok(()) } else { self.wait_by_the_clock(deadline, look) }
    }

    #[cold]
    #[inline(never)]
    fn wait_by_the_clock(
        &mut self,
        deadline: Option<Instant>,
        look: impl FnMut(&mut ConsumerSide<S>) -> bool,
    ) -> Result<(), ConsumeError> {
        if self.side.is_forked() {
            return Err(ConsumeError::Forked);
        }
        self.side.is_made_by_panic &= std::thread::panicking();
        let begin = Instant::now();
        let mut wait = DataWait { consumer: &mut self.side, look, since: begin, damage: None };
        let end = self.waiter.wait(&mut wait, deadline);
        let damage = wait.damage;
        match (damage, end) {
            (Some(damage), _) => Err(damage),
            (None, WaitEnd::Ready) => Ok(()),
            // Until now the wait may have looked only at the next event.
            (None, WaitEnd::TimedOut) => {
                let waited = begin.elapsed();
                let reason = self.side.step_over_damage(false).or_else(|| self.side.held_limit(waited));
                Err(reason.unwrap_or(ConsumeError::TimedOut { waited }))
            }
            (None, WaitEnd::Reason(reason)) => Err(reason),
        }
    }

    pub(super) fn check_producer(&mut self) -> Result<(), ConsumeError> {
        self.side.is_made_by_panic &= std::thread::panicking();
        match self.side.end_of_ring(Duration::ZERO) {
            // Damage is reported by one call; the end of a ring is reported by every call.
            Some(reason @ ConsumeError::Damaged { .. }) => Err(reason),
            Some(reason) if !self.side.look() && !self.side.is_full() => Err(reason),
            _ => Ok(()),
        }
    }

    pub(super) fn end_of_publishing(&self) -> Option<ConsumeError> {
        let said = || match self.side.segment().fate() {
            _ if self.side.core.is_closed() => Some(ConsumeError::Closed),
            Fate::Live if self.side.core.memory().control().gate.is_abandoned() => {
                Some(self.side.death(Duration::ZERO))
            }
            Fate::Live => None,
            Fate::Replaced | Fate::Removed => Some(ConsumeError::Replaced),
        };
        // An error of the kernel does not prove a death. The flags are read again after the lock: a producer that
        // closed the ring in between has set them.
        said().or_else(|| match self.side.segment().is_held(PRODUCER_BYTE) {
            Ok(false) => said().or_else(|| Some(self.side.death(Duration::ZERO))),
            _ => None,
        })
    }

    pub(super) fn stall_report(&self, waited: Duration) -> StallReport {
        let held = self.side.segment().is_held(PRODUCER_BYTE);
        // The flags are read after the lock: a producer that has closed the ring and then released its lock has set
        // them by now.
        let (over, said) = match self.side.segment().fate() {
            _ if self.side.core.is_closed() => (Some(WaitingFor::Closed), Some(Ending::Left)),
            Fate::Live => (None, None),
            Fate::Replaced | Fate::Removed => (Some(WaitingFor::Replaced), None),
        };
        let ending = said.or_else(|| matches!(held, Ok(false)).then(|| self.side.producers_ending()));
        let mut report = self.side.report(waited, NextStep::KeepWaiting, ending);
        match (over, held) {
            (Some(over), _) if report.waiting_for == WaitingFor::Data => report.waiting_for = over,
            (None, Err(error)) => {
                report.refused = Some(RefusedCall::new("looking at the producer's lock", &error));
            }
            _ => {}
        }
        report
    }

    pub(super) fn current_sequence(&self) -> Sequence {
        self.side.core.memory().number_at(self.side.gate()) - 1
    }

    pub(super) fn producer_sequence(&self) -> Sequence {
        let memory = self.side.core.memory();
        memory.number_at(memory.control().cursor.acquire()) - 1
    }

    pub(super) fn holds_up_producer(&self) -> bool {
        let memory = self.side.core.memory();
        let has_unread = memory.control().cursor.acquire() > self.side.gate();
        has_unread && memory.entry(self.side.member().index).writer.is_awaited()
    }

    pub(super) fn place(&self) -> &Place {
        self.side.segment().place()
    }

    pub(super) fn content_tag(&self) -> Option<String> {
        Schema::content_tag_in(self.side.segment().schema())
    }

    pub(super) fn consumer_id(&self) -> &str {
        &self.side.id
    }

    pub(super) fn has_rejoined(&self) -> bool {
        self.side.member().rejoined
    }

    /// In slots; for a ring of records in bytes.
    pub(super) fn capacity(&self) -> usize {
        self.side.core.memory().capacity() as usize * S::SIZE_UNIT.per_slot()
    }

    pub(super) fn attach_counters(&mut self, file: &CountersFile) {
        let place = self.side.segment().place().untitled().to_string();
        self.side.count_into(EndCounters::of_attached_consumer(file, &self.side.id, place));
        self.counts_in = Some(file.clone());
    }

    pub(super) fn counter(&self, id: u32) -> CounterHandle {
        self.side.counters_of.counter(id)
    }

    pub(super) fn ring_counters(&self) -> CountersFile {
        CountersFile::of_ring(self.side.core.memory().segment())
    }

    /// The file in which the consumer counts, if it does not count in the ring's own segment.
    pub(super) fn counts_in(&self) -> Option<&CountersFile> {
        self.counts_in.as_ref()
    }

    pub(super) fn generation(&self) -> u64 {
        self.side.segment().generation()
    }

    pub(super) fn is_replaced(&self) -> bool {
        self.side.segment().fate() == Fate::Replaced
    }

    /// What `Debug` prints for a consumer of the type `name`: only what this process knows without a look at the ring.
    #[doc(hidden)]
    pub fn describe(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name)
            .field("place", &self.place().to_string())
            .field("id", &self.consumer_id())
            .field("capacity", &self.capacity())
            .field("next_sequence", &self.side.core.number())
            .finish_non_exhaustive()
    }

    pub(super) fn wait_strategy(&self) -> WaitStrategy {
        self.waiter.strategy()
    }
}

struct DataWait<'a, S: Carries, L> {
    consumer: &'a mut ConsumerSide<S>,
    /// Whether what is waited for is there.
    look: L,
    since: Instant,
    /// The damage that the wait has stepped over. It is reported once; the end of a ring is reported by every call.
    damage: Option<ConsumeError>,
}

impl<S: Carries, L: FnMut(&mut ConsumerSide<S>) -> bool> Awaited for DataWait<'_, S, L> {
    type Reason = ConsumeError;

    #[inline(always)]
    fn is_ready(&mut self) -> bool {
        self.damage.is_some() || (self.look)(self.consumer)
    }

    fn is_ended(&mut self) -> bool {
        self.consumer.core.is_over() || self.consumer.segment().fate() != Fate::Live
    }

    fn examine(&mut self) -> Option<ConsumeError> {
        // Events that were published before the end are handed out first, as soon as a held message is released.
        if self.consumer.is_full() && self.consumer.core.look() {
            return None;
        }
        match self.consumer.end_of_ring(self.since.elapsed()) {
            Some(damage @ ConsumeError::Damaged { .. }) => {
                self.damage = Some(damage);
                None
            }
            end => end,
        }
    }

    fn park(&mut self, slice: Duration) {
        let consumer = &mut *self.consumer;
        let Some(park) = consumer.prepare_park() else { return };
        consumer.judge_suspect(park.ticket);
        let slice = if park.barrier { slice } else { slice.min(SLICE_WITHOUT_BARRIER) };
        consumer.counters.parks.inc();
        let woken = consumer.core.memory().control().readers.0.sleep(park.ticket, slice);
        match woken {
            Woken::Rung => consumer.counters.unparks.inc(),
            // There is data now, and the bell was not rung. Either the producer is about to ring it, or this wake-up is
            // lost.
            Woken::TimedOut if consumer.look() => consumer.suspect = Some((park.ticket, Instant::now())),
            Woken::TimedOut => {}
        }
    }

    fn count_spins(&mut self, spins: u64) {
        self.consumer.counters.spins.add(spins);
    }
}

impl<S: Carries> fmt::Debug for ConsumerBase<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.describe("ConsumerBase", f)
    }
}
