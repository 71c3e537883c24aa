//! What taps of events and of records have in common: how they wait, and what they say of their ring.

use super::error::ConsumeError;
use crate::Sequence;
use crate::counters::{CounterHandle, CountersFile, EndCounters, ids};
use crate::ring::membership::PRODUCER_BYTE;
use crate::ring::memory::layout::Carries;
use crate::ring::memory::mapped::Mapped;
use crate::ring::protocol::memory::Memory;
use crate::ring::protocol::tap::TapReader;
use crate::ring::roster::{self, ConsumerInfo};
use crate::schema::Schema;
use crate::segment::Fate;
use std::fmt;
use std::time::{Duration, Instant};

/// How long a tap sleeps between two looks: it cannot announce itself from a read-only mapping, so no producer wakes
/// it.
const TAP_NAP: Duration = Duration::from_millis(1);

/// How often a tap that waits asks the system whether another producer can still come.
const NAME_LOOK: Duration = Duration::from_millis(50);

/// A tap without what it copies.
pub(super) struct TapEnd<S: Carries> {
    core: TapReader<Mapped<S>>,
    /// Detached until a file is attached: the ring's own table is mapped read-only.
    missed: CounterHandle,
    missed_counted: u64,
    fork_epoch: u32,
}

impl<S: Carries> TapEnd<S> {
    pub(super) fn new(memory: Mapped<S>) -> Self {
        Self {
            core: TapReader::new(memory),
            missed: CounterHandle::detached(),
            missed_counted: 0,
            fork_epoch: crate::segment::fork_epoch(),
        }
    }

    /// What `Debug` prints of a tap that is called `name`: only what this process knows by itself.
    pub(super) fn describe(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name)
            .field("place", &self.core.memory().segment().place().to_string())
            .field("next_sequence", &self.next_sequence())
            .field("missed", &self.core.missed())
            .finish_non_exhaustive()
    }

    /// Returns what `copy` gets; counts what was missed before that.
    #[inline]
    pub(super) fn copy<T>(&mut self, copy: impl FnOnce(&mut TapReader<Mapped<S>>) -> Option<T>) -> Option<T> {
        let next = copy(&mut self.core);
        let missed = self.core.missed();
        if missed > self.missed_counted {
            self.missed.add(missed - self.missed_counted);
            self.missed_counted = missed;
        }
        next
    }

    /// [`copy`](Self::copy) that also returns why there is nothing, if the ring says so.
    ///
    /// # Errors
    /// The end of the ring.
    pub(super) fn look<T>(
        &mut self,
        mut copy: impl FnMut(&mut TapReader<Mapped<S>>) -> Option<T>,
    ) -> Result<Option<T>, ConsumeError> {
        match self.copy(&mut copy) {
            Some(found) => Ok(Some(found)),
            // What was published before the end is still there to be copied.
            None => self.end().map_or(Ok(None), |end| self.copy(copy).ok_or(end).map(Some)),
        }
    }

    /// [`copy`](Self::copy) that waits until `deadline`, if there is one.
    pub(super) fn wait<T>(
        &mut self,
        deadline: Option<Instant>,
        mut copy: impl FnMut(&mut TapReader<Mapped<S>>) -> Option<T>,
    ) -> Result<T, ConsumeError> {
        let begin = Instant::now();
        let mut last_look = begin;
        loop {
            if let Some(found) = self.look(&mut copy)? {
                return Ok(found);
            }
            let now = Instant::now();
            let is_over = deadline.is_some_and(|deadline| now >= deadline);
            if is_over || now.duration_since(last_look) >= NAME_LOOK {
                last_look = now;
                if self.is_abandoned() {
                    return self.copy(copy).ok_or(ConsumeError::Replaced);
                }
            }
            if is_over {
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

    /// Whether the ring has no producer, and none can come: its name is another ring's or is gone, and nothing in the
    /// ring says so.
    fn is_abandoned(&self) -> bool {
        let segment = self.core.memory().segment();
        // The name first: a process that takes a ring over locks its byte, looks at the name and only then goes on.
        // Where the system refuses to answer, nothing is concluded.
        matches!(segment.still_named(), Ok(false)) && matches!(segment.is_held(PRODUCER_BYTE), Ok(false))
    }

    pub(super) fn missed(&self) -> u64 {
        self.core.missed()
    }

    pub(super) fn attach_counters(&mut self, file: &CountersFile, label: &str) {
        let ring = self.core.memory().segment().place().untitled().to_string();
        self.missed = EndCounters::of_attached_consumer(file, label, ring).counter(ids::TAP_MISSED);
    }

    pub(super) fn content_tag(&self) -> Option<String> {
        Schema::content_tag_in(self.core.memory().segment().schema())
    }

    pub(super) fn next_sequence(&self) -> Sequence {
        self.core.number()
    }

    pub(super) fn producer_sequence(&self) -> Sequence {
        let memory = self.core.memory();
        memory.number_at(memory.control().cursor.acquire()) - 1
    }

    pub(super) fn consumers(&self) -> Vec<ConsumerInfo> {
        roster::roster(self.core.memory())
    }

    pub(super) fn producer_is_alive(&self) -> std::io::Result<bool> {
        self.core.memory().segment().is_held(PRODUCER_BYTE)
    }

    pub(super) fn ring_counters(&self) -> CountersFile {
        CountersFile::of_ring(self.core.memory().segment())
    }
}

/// The methods of every tap, through its field `end`: a `TapEnd`, or the tap of the layer below.
#[doc(hidden)]
#[macro_export]
macro_rules! tap_end_methods {
    () => {
        /// How many were overwritten before this tap could copy them. Only grows. Exact, unless words of the ring were
        /// damaged.
        pub fn missed(&self) -> u64 {
            self.end.missed()
        }

        /// Counts what is missed from now on in `file`, under `label`, in a counter of its own. A tap cannot count in
        /// the ring's own table, which is mapped read-only.
        pub fn attach_counters(&mut self, file: &$crate::counters::CountersFile, label: &str) {
            self.end.attach_counters(file, label);
        }

        /// What the ring's events carry, if its producer has given it a [content
        /// tag](disruptor_mp::SharedDisruptorBuilder::with_content_tag).
        pub fn content_tag(&self) -> Option<String> {
            self.end.content_tag()
        }

        /// The sequence that the tap looks for next.
        pub fn next_sequence(&self) -> $crate::Sequence {
            self.end.next_sequence()
        }

        /// The last published sequence, as the producer's cursor has it; -1 if there is none. Goes stale at once.
        pub fn producer_sequence(&self) -> $crate::Sequence {
            self.end.producer_sequence()
        }

        /// All consumers in the table, alive or dead.
        pub fn consumers(&self) -> Vec<$crate::ConsumerInfo> {
            self.end.consumers()
        }

        /// Whether the producer lives. If this is `false`, it stays `false` until another takes the ring over.
        ///
        /// # Errors
        /// The operating system refused to tell.
        pub fn producer_is_alive(&self) -> ::std::io::Result<bool> {
            self.end.producer_is_alive()
        }

        /// The counters that live in the ring's segment, to be read.
        pub fn ring_counters(&self) -> $crate::counters::CountersFile {
            self.end.ring_counters()
        }
    };
}
