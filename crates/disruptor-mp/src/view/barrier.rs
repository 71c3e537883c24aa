//! A view of a ring's consumers: who is there, and how far all of them have got.
//!
//! **Lives here:** [`ConsumerBarrier`]. **Builds on:** `watch`, `ring::words`. **May touch it:** anybody.

use super::watch::{self, SharedCursorTrait, WatchError};
use crate::Sequence;
use crate::error::MultiProcessResult;
use crate::ring::ends::patience::Patience;
use crate::ring::membership::ConsumerInfo;
use crate::ring::words::Words;
use crate::segment::{Place, Title};
use std::fmt;
use std::time::Instant;

/// What a ring's producer may not lap: the positions of its consumers.
///
/// As a [cursor](SharedCursorTrait) it is the last sequence that everybody has released; while nobody is registered,
/// that is everything published.
pub struct ConsumerBarrier {
    words: Words,
}

/// `ConsumerBarrier` of a ring in a file; the place is an argument, not another type.
pub type MmapConsumerBarrier = ConsumerBarrier;

impl ConsumerBarrier {
    /// Looks at the consumers of the ring at `place`, read-only.
    ///
    /// # Errors
    /// See [`MultiProcessError`](crate::MultiProcessError).
    pub fn attach(place: impl Into<Place>) -> MultiProcessResult<Self> {
        Ok(Self::of(Words::open_ring(&place.into())?))
    }

    pub(super) fn of(words: Words) -> Self {
        Self { words }
    }

    /// What people call the ring: its session, and the rank of the process that writes it.
    pub fn title(&self) -> Title {
        self.words.segment().header().title.clone()
    }

    /// Everybody in the consumers' table, alive or dead.
    pub fn consumers(&self) -> Vec<ConsumerInfo> {
        self.words.roster()
    }

    /// How many consumers gate, alive or dead.
    pub fn consumer_count(&self) -> usize {
        self.consumers().len()
    }

    /// The last sequence that the consumer called `id` has released; -1 if none. `None`: nobody is called so.
    pub fn consumer_sequence(&self, id: &str) -> Option<Sequence> {
        self.consumers().into_iter().find(|info| info.id == id).map(|info| info.position.saturating_sub(1))
    }

    /// The last sequence that everybody has released; -1 if none. `None`: nobody is registered.
    pub fn min_consumer_sequence(&self) -> Option<Sequence> {
        self.words.slowest_number().map(|number| number.max(0) - 1)
    }

    /// Waits until at least `count` consumers are registered, as long as `patience` says. Looks once a millisecond.
    ///
    /// # Errors
    /// See [`WatchError`]; `reached` is the number of consumers.
    pub fn wait_for_consumers(&self, count: usize, patience: impl Into<Patience>) -> Result<(), WatchError> {
        let wanted = Sequence::try_from(count).unwrap_or(Sequence::MAX);
        watch::wait_for(&self.words, wanted, patience.into().deadline(), || self.consumer_count() as Sequence)
            .map(|_| ())
    }
}

impl SharedCursorTrait for ConsumerBarrier {
    fn load(&self) -> Sequence {
        self.min_consumer_sequence().unwrap_or_else(|| self.words.published().max(0) - 1)
    }

    fn wait_for(&self, sequence: Sequence, deadline: Instant) -> Result<Sequence, WatchError> {
        watch::wait_for(&self.words, sequence, Some(deadline), || self.load())
    }
}

impl fmt::Debug for ConsumerBarrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsumerBarrier")
            .field("place", &self.words.segment().called())
            .field("sequence", &self.load())
            .finish_non_exhaustive()
    }
}
