//! The public face of a tap: a reader for monitors and lossy streams, on a read-only mapping.
//!
//! **Lives here:** [`Tap`]. **Builds on:** `protocol::tap` for the algorithm. **May touch it:** anybody with read permission.

use super::error::ConsumeError;
use super::patience::Patience;
use crate::Sequence;
use crate::counters::{CounterHandle, CountersFile, EndCounters, ids};
use crate::ring::membership::{self, ConsumerInfo, PRODUCER_BYTE};
use crate::ring::memory::layout::Slots;
use crate::ring::memory::mapped::Mapped;
use crate::ring::protocol::form::{SlotForm, Stamped};
use crate::ring::protocol::memory::Memory;
use crate::ring::protocol::tap::TapReader;
use crate::schema::Event;
use crate::segment::Fate;
use std::time::{Duration, Instant};

/// How long a tap sleeps between two looks: it cannot announce itself from a read-only mapping, so nobody wakes it.
const TAP_NAP: Duration = Duration::from_millis(1);

/// How often a tap that waits asks the system whether another producer can still come.
const NAME_LOOK: Duration = Duration::from_millis(50);

/// A reader that holds nobody back. It gets copies, never a torn one, and knows how many events it missed.
pub struct Tap<E: Event, F: SlotForm = Stamped> {
    core: TapReader<Mapped<Slots<E, F>>>,
    /// Detached until somebody attaches a file: the ring's own table is mapped read-only.
    missed: CounterHandle,
    missed_counted: u64,
    fork_epoch: u32,
}

impl<E: Event, F: SlotForm> Tap<E, F> {
    pub(crate) fn new(memory: Mapped<Slots<E, F>>) -> Self {
        Self {
            core: TapReader::new(memory),
            missed: CounterHandle::detached(),
            missed_counted: 0,
            fork_epoch: crate::segment::fork_epoch(),
        }
    }

    /// [`next`](Self::next)`(Patience::Now)` that does not say why there is nothing. A sequence that is more
    /// than one above the last means that events were missed.
    #[inline]
    pub fn try_next(&mut self) -> Option<(Sequence, E)> {
        let next = self.core.copy_next();
        let missed = self.core.missed();
        if missed > self.missed_counted {
            self.missed.add(missed - self.missed_counted);
            self.missed_counted = missed;
        }
        next
    }

    /// A copy of the next event that is still in the ring, with its sequence; waits for it as long as `patience` says, looking once a
    /// millisecond.
    ///
    /// # Errors
    /// `TimedOut`, or the end of the ring: `Closed`, `Replaced`. A dead producer is not an end for a tap: it waits for the next one, as long as
    /// the ring has its name. Without the name none can come, and that is `Replaced` as well.
    pub fn next(&mut self, patience: impl Into<Patience>) -> Result<(Sequence, E), ConsumeError> {
        let begin = Instant::now();
        let deadline = patience.into().deadline();
        let mut last_look = begin;
        loop {
            if let Some(found) = self.try_next() {
                return Ok(found);
            }
            if let Some(end) = self.end() {
                // What was published before the end is still there to be copied.
                return self.try_next().ok_or(end);
            }
            let now = Instant::now();
            let is_late = deadline.is_some_and(|deadline| now >= deadline);
            if is_late || now.duration_since(last_look) >= NAME_LOOK {
                last_look = now;
                if self.is_abandoned() {
                    return self.try_next().ok_or(ConsumeError::Replaced);
                }
            }
            if is_late {
                return Err(ConsumeError::TimedOut { waited: begin.elapsed() });
            }
            std::thread::sleep(TAP_NAP);
        }
    }

    fn end(&self) -> Option<ConsumeError> {
        let memory = self.core.memory();
        if self.fork_epoch != crate::segment::fork_epoch() {
            Some(ConsumeError::Forked)
        } else if memory.control().gate.is_closed() {
            Some(ConsumeError::Closed)
        } else if memory.segment().fate() != Fate::Live {
            Some(ConsumeError::Replaced)
        } else {
            None
        }
    }

    /// Whether the ring has no producer, and none can come: its name leads elsewhere or nowhere, and nobody has said so in the ring.
    fn is_abandoned(&self) -> bool {
        let segment = self.core.memory().segment();
        // The name first: who takes a ring over locks its byte, looks at the name and only then goes on. Where the system refuses to say
        // something, nothing is concluded.
        matches!(segment.still_named(), Ok(false)) && matches!(segment.is_held(PRODUCER_BYTE), Ok(false))
    }

    /// Events that were overwritten before this tap could copy them. Only grows.
    pub fn missed(&self) -> u64 {
        self.core.missed()
    }

    /// Counts what is missed from now on in `file`, under `label`, in a counter of its own. A tap cannot count in the ring's own table,
    /// which it has read-only.
    pub fn attach_counters(&mut self, file: &CountersFile, label: &str) {
        let ring = self.core.memory().segment().place().untitled().to_string();
        self.missed = EndCounters::of_attached_consumer(file, label, ring).counter(ids::TAP_MISSED);
    }

    /// The sequence that the tap looks for next.
    pub fn next_sequence(&self) -> Sequence {
        self.core.next()
    }

    /// The sequence of the last published event, as the producer's cursor has it; -1 if there is none. Goes stale at once.
    pub fn producer_sequence(&self) -> Sequence {
        self.core.memory().control().cursor.acquire() - 1
    }

    /// Everybody in the consumers' table, alive or dead.
    pub fn consumers(&self) -> Vec<ConsumerInfo> {
        membership::roster(self.core.memory())
    }

    /// Whether the producer lives. If this is `false`, it stays so until another takes the ring over.
    ///
    /// # Errors
    /// The operating system refused to tell.
    pub fn producer_is_alive(&self) -> std::io::Result<bool> {
        self.core.memory().segment().is_held(PRODUCER_BYTE)
    }

    /// The counters that live in the ring's segment, to be read.
    pub fn ring_counters(&self) -> CountersFile {
        CountersFile::of_ring(self.core.memory().segment())
    }
}
