//! What a producer knows of its ring, of events or of records: its consumers, their deaths, its counters. A wait
//! borrows this beside the waiter, which is the other half of `producer_end`.

use super::asking::Asking;
use super::error::PublishError;
use super::managed::Management;
use super::producer_end::Origin;
use super::room::Blocked;
use super::via::WriteVia;
use crate::Sequence;
use crate::counters::{CounterHandle, EndCounters, ids};
use crate::liveness::monitor::Monitor;
use crate::ring::eviction::{self, Fallen};
use crate::ring::lineage;
use crate::ring::memory::layout::Carries;
use crate::ring::memory::mapped::Mapped;
use crate::ring::protocol::control::{ABANDONED, CLOSED, Status};
use crate::ring::protocol::memory::Memory;
use crate::ring::protocol::sequencer::{Scan, Sequencer};
use crate::ring::roster::{self, ConsumerInfo};
use crate::ring::selection::Selection;
use crate::segment::{Claim, Segment, Spare};
use crate::step;
use crate::sync::primitive::Ordering;
use std::time::{Duration, Instant};

/// A producer's end without its waiter.
pub(super) struct ProducerSide<S: Carries> {
    pub(super) core: Sequencer<Mapped<S>>,
    pub(super) counters: ProducerCounters,
    pub(super) counters_of: EndCounters,
    pub(super) monitor: Option<Monitor>,
    pub(super) management: Management,
    pub(super) selection: Selection,
    pub(super) course: S::Course,
    /// Made by the producer, which knows what the user has fixed.
    pub(super) asking: Asking,
    pub(super) origin: Origin,
    /// What could be overwritten when the last consumer had gone.
    alone: Option<Alone>,
    /// When a call that does not wait last looked at its peers.
    last_examined: Option<Instant>,
    /// How much room was missing, and at which position: the subject of a report, until something is published.
    unmet: (i64, usize),
    pub(super) fork_epoch: u32,
    /// Whether a panic was under way when it was made: then that panic is not the one that drops it.
    is_made_by_panic: bool,
    /// Whether the ring must be left as it was found.
    pub(super) is_given_back: bool,
    /// Takes dead consumers out of the table, even when this process has no descriptor left.
    spare: Spare,
    /// Held as long as we live; the kernel drops it when we die.
    _claim: Claim,
}

/// A time in which no consumer is registered.
#[derive(Default)]
struct Alone {
    /// Events before this sequence were for a consumer to read, or have been counted.
    counted_to: Sequence,
}

/// The producer's counters. See [`crate::counters::ids`].
pub(super) struct ProducerCounters {
    pub(super) published: CounterHandle,
    pub(super) bytes: CounterHandle,
    pub(super) full: CounterHandle,
    pub(super) parks: CounterHandle,
    pub(super) unparks: CounterHandle,
    pub(super) lost_wakeups: CounterHandle,
    pub(super) stalls: CounterHandle,
    pub(super) freed: CounterHandle,
    pub(super) evicted: CounterHandle,
    pub(super) forged: CounterHandle,
    pub(super) overwritten_unread: CounterHandle,
    pub(super) via_buffer: CounterHandle,
}

impl ProducerCounters {
    pub(super) fn of(counters: &EndCounters) -> Self {
        Self {
            published: counters.counter(ids::EVENTS_PUBLISHED),
            bytes: counters.counter(ids::EVENTS_PUBLISHED_BYTES),
            full: counters.counter(ids::PRODUCER_FULL_EVENTS),
            parks: counters.counter(ids::PRODUCER_PARK_COUNT),
            unparks: counters.counter(ids::PRODUCER_UNPARK_COUNT),
            lost_wakeups: counters.counter(ids::PRODUCER_LOST_WAKEUPS),
            stalls: counters.counter(ids::PRODUCER_STALLS),
            freed: counters.counter(ids::DEAD_CONSUMERS_FREED),
            evicted: counters.counter(ids::CONSUMERS_EVICTED),
            forged: counters.counter(ids::FORGED_CURSORS),
            overwritten_unread: counters.counter(ids::OVERWRITTEN_UNREAD),
            via_buffer: counters.counter(ids::PAYLOADS_VIA_BUFFER),
        }
    }
}

/// How often a wait for consumers to join looks at the table.
pub(super) const JOIN_POLL: Duration = Duration::from_millis(1);

/// How often a call that does not wait looks at its peers while the ring is full.
const TRY_EXAMINE_INTERVAL: Duration = Duration::from_millis(10);

impl<S: Carries> ProducerSide<S> {
    pub(super) fn new(
        core: Sequencer<Mapped<S>>,
        claim: Claim,
        spare: Spare,
        origin: Origin,
        selection: Selection,
    ) -> Self {
        let reign = core.memory().control().producer.reign.load(Ordering::Relaxed);
        let counters_of = EndCounters::of_producer(core.memory().segment(), reign);
        match origin {
            Origin::Created => {}
            Origin::TookOver => counters_of.counter(ids::TAKE_OVERS).inc(),
            Origin::Replaced => counters_of.counter(ids::REPLACEMENTS).inc(),
        }
        let counters = ProducerCounters::of(&counters_of);
        let (position, capacity) = (core.next(), core.memory().capacity());
        Self {
            course: S::course(position, core.memory().number_at(position), capacity),
            asking: Asking::new(position, WriteVia::Ring),
            core,
            counters,
            counters_of,
            monitor: None,
            management: Management::default(),
            selection,
            origin,
            alone: (origin != Origin::TookOver).then_some(Alone::default()),
            last_examined: None,
            unmet: (-1, 0),
            fork_epoch: crate::segment::fork_epoch(),
            is_made_by_panic: std::thread::panicking(),
            is_given_back: false,
            spare,
            _claim: claim,
        }
    }

    #[inline(always)]
    pub(super) fn must_look(&self, count: usize) -> bool {
        assert!(count > 0, "a batch has at least one event");
        // The second half costs one load of a static: a child of a fork must never write into its parent's ring.
        count > i64::MAX as usize || !self.core.has_room(count as i64) || self.is_forked()
    }

    /// [`must_look`](Self::must_look) for a managed call, which looks more often, because it must also look at the
    /// required consumers.
    #[inline(always)]
    pub(super) fn must_look_managed(&self, count: usize) -> bool {
        assert!(count > 0, "a batch has at least one event");
        count > i64::MAX as usize || !self.core.has_watched_room(count as i64) || self.is_forked()
    }

    /// Whether there is room for `count` that must only be claimed.
    #[inline(always)]
    pub(super) fn may_claim(&mut self, count: usize) -> bool {
        !self.is_forked() && i64::try_from(count).is_ok_and(|count| self.core.claim(count))
    }

    #[inline(always)]
    pub(super) fn is_forked(&self) -> bool {
        crate::segment::fork_epoch() != self.fork_epoch
    }

    #[cold]
    #[inline(never)]
    pub(super) fn looks_for_room(&mut self, count: usize) -> bool {
        if self.is_forked() || count > self.capacity() {
            return false;
        }
        if self.may_claim(count) {
            return true;
        }
        self.rescan_for(count);
        let has_room = self.core.has_room(count as i64);
        if !has_room {
            self.unmet = (self.core.next(), count);
        }
        has_room
    }

    /// One look at all consumers, for a call that does not wait.
    #[cold]
    #[inline(never)]
    pub(super) fn find_room(&mut self, count: usize) -> bool {
        if self.may_claim(count) {
            return true;
        }
        if self.is_forked() {
            return false;
        }
        // It looks even for a batch that never fits, so that the number of missing slots is current.
        let scan = self.rescan_for(count);
        if count as u64 > self.core.memory().capacity() as u64 {
            return false;
        }
        if self.core.has_room(count as i64) {
            return true;
        }
        self.note_unmet(count);
        let now = Instant::now();
        if self.last_examined.is_none_or(|last| now - last >= TRY_EXAMINE_INTERVAL) {
            self.last_examined = Some(now);
            self.lift_sentinel_if_complete();
            if let Some(index) = scan.slowest {
                // The answer is *full* whatever the kernel says; calls that wait report its errors.
                let _ = self.bury(index);
            }
            self.rescan_for(count);
        }
        self.core.has_room(count as i64)
    }

    /// There is no room for `count`.
    pub(super) fn note_unmet(&mut self, count: usize) {
        self.counters.full.inc();
        self.unmet = (self.core.next(), count);
    }

    /// The room that the last call did not get, if nothing was published since.
    pub(super) fn unmet(&self) -> Option<usize> {
        (self.unmet.0 == self.core.next()).then_some(self.unmet.1)
    }

    /// A rescan of the gates, which also updates the counters.
    pub(super) fn rescan(&mut self) -> Scan {
        self.rescan_for(1)
    }

    /// [`rescan`](Self::rescan) for a write of `wanted` events, or lines.
    pub(super) fn rescan_for(&mut self, wanted: usize) -> Scan {
        let scan = self.core.rescan_for(i64::try_from(wanted).unwrap_or(i64::MAX));
        let forged = self.core.take_forged();
        if forged > 0 {
            self.counters.forged.add(forged);
        }
        self.count_unread(scan.slowest.is_none() && !self.core.has_sentinel());
        scan
    }

    /// Counts what was given up to be overwritten while no consumer was registered. Earlier events were for the
    /// consumers of that time.
    fn count_unread(&mut self, is_alone: bool) {
        if !is_alone {
            self.alone = None;
            return;
        }
        let (memory, number) = (self.core.memory(), self.next_number());
        let given_up = memory.number_at(memory.noted_begin_from(self.core.given_up_to(), self.core.next()));
        let alone = self.alone.get_or_insert(Alone { counted_to: number });
        if given_up > alone.counted_to {
            self.counters.overwritten_unread.add((given_up - alone.counted_to) as u64);
            alone.counted_to = given_up;
        }
    }

    /// Looks whether the owner of the entry has gone, and frees the entry if no consumer can come back for it.
    ///
    /// # Errors
    /// The kernel refused to tell, or to lock the entry. Nothing is concluded then.
    pub(super) fn bury(&mut self, index: usize) -> std::io::Result<Fallen> {
        let gating = self.core.gating_epoch(index);
        let fallen = eviction::bury(self.core.memory(), index, gating, &mut self.spare)?;
        if let Fallen::Freed(_) = &fallen {
            self.counters.freed.inc();
        }
        Ok(fallen)
    }

    /// Takes the owner of entry `index` that was `seen` out of the table, if it has gone.
    pub(super) fn evict(&mut self, index: usize, seen: Status) -> std::io::Result<bool> {
        let gating = self.core.gating_epoch(index);
        let evicted = eviction::evict(self.core.memory(), index, seen, gating, &mut self.spare)?;
        if evicted {
            self.counters.evicted.inc();
        }
        Ok(evicted)
    }

    /// How many of the expected consumers have joined. One that has gone and whose entry is kept counts: its entry
    /// gates.
    pub(super) fn joined(&self) -> usize {
        let has_joined = |consumer: &&ConsumerInfo| {
            (consumer.alive || !consumer.id_is_generated) && self.selection.selects(&consumer.id)
        };
        self.consumers().iter().filter(has_joined).count()
    }

    pub(super) fn is_complete(&self) -> bool {
        self.joined() >= self.selection.expected_consumers
    }

    /// Ends the start-up buffer once the consumers that it waits for have joined.
    pub(super) fn lift_sentinel_if_complete(&mut self) -> bool {
        let complete = self.core.has_sentinel() && self.is_complete();
        if complete {
            self.core.lift_sentinel();
        }
        complete
    }

    /// The sequence of the next event.
    pub(super) fn next_number(&self) -> Sequence {
        S::next_number(&self.course, self.core.next())
    }

    pub(super) fn is_joined(&self, id: &str) -> bool {
        let memory = self.core.memory();
        roster::find(memory, id).and_then(|index| roster::info(memory, index)).is_some_and(|info| info.alive)
    }

    pub(super) fn publish_error(&mut self, blocked: Blocked) -> PublishError {
        match blocked {
            Blocked::Forked => PublishError::Forked,
            Blocked::Replaced => PublishError::Replaced,
            Blocked::Died { id, pid, how, report, .. } => PublishError::ConsumerDied { id, pid, how, report },
            Blocked::TimedOut { report } => PublishError::TimedOut { report },
            Blocked::TooLarge { count, capacity } => PublishError::TooLarge { count, capacity },
            Blocked::Os { report } => PublishError::Os { report },
            Blocked::Closed => PublishError::Closed,
            Blocked::Gone | Blocked::Shut { .. } => unreachable!("only a watched wait ends so"),
        }
    }

    /// Number of slots, or of lines.
    pub(super) fn capacity(&self) -> usize {
        self.core.memory().capacity() as usize
    }

    /// All consumers in the table, alive or dead.
    pub(super) fn consumers(&self) -> Vec<ConsumerInfo> {
        roster::roster(self.core.memory())
    }

    /// The segment's own facts: name, sizes, creator, generation.
    pub(super) fn segment(&self) -> &Segment {
        self.core.memory().segment()
    }
}

impl<S: Carries> Drop for ProducerSide<S> {
    fn drop(&mut self) {
        // A child of a fork has no handles: what it inherited is its parent's.
        if self.is_forked() || self.is_given_back {
            return;
        }
        let is_abandoned = std::thread::panicking() && !self.is_made_by_panic;
        self.core.close(if is_abandoned { ABANDONED } else { CLOSED });
        step!(CloseWoken);
        // A producer that a panic has dropped has not closed its ring. The ring stays for the next producer, as after a
        // kill, if a consumer lives in it or has kept an entry in it.
        if is_abandoned && self.consumers().iter().any(|consumer| consumer.alive || !consumer.id_is_generated) {
            return;
        }
        // A consumer that reads the ring before this one finds this one by its name, and reads it to its end.
        if !is_abandoned && lineage::is_awaited(self.segment()) {
            return;
        }
        // If the name cannot be removed now (for instance because a directory became read-only), a collector removes it
        // later: no process lives in it.
        let _ = self.segment().unlink_if_same();
        step!(CloseUnlinked);
        lineage::give_all_up(self.segment());
        if is_abandoned {
            // Taps wait for the next producer of a ring that was not closed. There will be none.
            self.segment().mark_removed();
        }
    }
}
