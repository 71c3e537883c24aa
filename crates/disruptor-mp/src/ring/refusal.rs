//! Why a process could not join a ring, said in the ring itself.
//!
//! **Lives here:** [`Refusal`], [`RefusalCause`], [`leave_refusal`]. **Builds on:** `words`, which needs to know
//! nothing of the ring's events. **May touch it:** a process that was refused stores one word and steps one count; the
//! ring's producer reads them.
//!
//! A refused process has no entry. Its rank is known, so it writes into the entry of that *index*, whoever owns the
//! entry, or without a rank into one word for all. The last refusal of a rank stays until the next.
//!
//! ```text
//! 63             32 31                    8 7     0
//! | pid            | pid namespace's tag   | cause |     0 says nothing
//! ```
//!
//! A pid alone is no process: the first process of every container is 1. The tag says in which namespace the pid
//! counts.

use super::membership::JoinError;
use super::words::Words;
use crate::error::{MultiProcessError, MultiProcessResult};
use crate::liveness::ProcessIdentity;
use crate::ring::ends::producer_end::ProducerBase;
use crate::ring::memory::layout::Carries;
use crate::ring::protocol::memory::Memory;
use crate::segment::{Access, Kind, OpenError, Place, Segment};
use crate::sync::primitive::{AtomicU64, Ordering};
use std::fmt;
use std::sync::Arc;

/// Why a process could not join a ring, in one number. The process itself has the whole error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusalCause {
    /// It was built for other events, or for another form of ring.
    OtherEvent,
    /// It expects another content tag.
    OtherContent,
    /// It expects another number of slots, or its own ring cannot have the shape that it asks for.
    OtherShape,
    /// A process alive has its id.
    IdInUse,
    /// The table has no place for it.
    TableFull,
    /// It may not use the ring.
    NotAllowed,
    /// There is no space for a ring of its own.
    NoSpace,
    /// Anything else.
    Other,
}

const CAUSES: [(u32, RefusalCause); 8] = [
    (1, RefusalCause::OtherEvent),
    (2, RefusalCause::OtherContent),
    (3, RefusalCause::OtherShape),
    (4, RefusalCause::IdInUse),
    (5, RefusalCause::TableFull),
    (6, RefusalCause::NotAllowed),
    (7, RefusalCause::NoSpace),
    (255, RefusalCause::Other),
];

impl RefusalCause {
    /// The cause that an error is.
    pub fn of(error: &MultiProcessError) -> Self {
        match error {
            MultiProcessError::IncompatibleEvent { .. }
            | MultiProcessError::DamagedSchema { .. }
            | MultiProcessError::Unusable { source: OpenError::WrongKind { .. }, .. } => Self::OtherEvent,
            MultiProcessError::IncompatibleContent { .. } => Self::OtherContent,
            MultiProcessError::OtherSize { .. }
            | MultiProcessError::IncompatibleLayout { .. }
            | MultiProcessError::Shape(_) => Self::OtherShape,
            MultiProcessError::Join { source: JoinError::IdInUse { .. }, .. } => Self::IdInUse,
            MultiProcessError::Join {
                source: JoinError::TableFull { .. } | JoinError::NoPlaceForOthers { .. },
                ..
            } => Self::TableFull,
            MultiProcessError::PermissionDenied { .. } => Self::NotAllowed,
            MultiProcessError::NoSpace { .. } => Self::NoSpace,
            _ => Self::Other,
        }
    }

    /// The number by which processes tell each other.
    pub fn number(self) -> u32 {
        CAUSES.into_iter().find(|&(_, cause)| cause == self).map_or(u32::MAX, |(number, _)| number)
    }

    /// The cause of that number. A newer build may have more causes than this one.
    pub fn from_number(number: u32) -> Self {
        CAUSES.into_iter().find(|&(known, _)| known == number).map_or(Self::Other, |(_, cause)| cause)
    }
}

impl fmt::Display for RefusalCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::OtherEvent => "it was built for other messages",
            Self::OtherContent => "it expects another content tag",
            Self::OtherShape => "it expects a ring of another size, or asks for one that cannot be",
            Self::IdInUse => "a process alive has its id",
            Self::TableFull => "the table of consumers has no place for it",
            Self::NotAllowed => "it may not use the ring",
            Self::NoSpace => "there is no space for its own ring",
            Self::Other => "its own error says why",
        })
    }
}

/// A process that could not join.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Refusal {
    /// The process, as seen in its own pid namespace.
    pub pid: u32,
    /// [Which namespace](ProcessIdentity::pid_namespace_tag) that is; 0 where the system did not tell the process.
    pub pid_namespace_tag: u32,
    /// Why.
    pub cause: RefusalCause,
}

impl Refusal {
    /// That of the calling process.
    fn of_this_process(cause: RefusalCause) -> Self {
        let process = ProcessIdentity::current();
        Self { pid: process.pid, pid_namespace_tag: process.pid_namespace_tag(), cause }
    }

    fn from_word(word: u64) -> Option<Self> {
        (word != 0).then(|| Self {
            pid: (word >> 32) as u32,
            pid_namespace_tag: word as u32 >> 8,
            cause: RefusalCause::from_number(word as u32 & 0xff),
        })
    }

    fn word(self) -> u64 {
        u64::from(self.pid) << 32 | u64::from(self.pid_namespace_tag) << 8 | u64::from(self.cause.number())
    }
}

/// Says in the ring at `place` why this process, which wanted to be `rank` there, could not join. Returns the ring's
/// producer, which can read it. Only the ring's own layout must be known to this build, not what lies in it.
///
/// # Errors
/// See [`MultiProcessError`]: the ring cannot be mapped for writing. Then only this process itself can say why it was
/// refused. Source: RFC 0009, "Refusals".
pub fn leave_refusal(
    place: impl Into<Place>,
    rank: Option<u32>,
    cause: RefusalCause,
) -> MultiProcessResult<ProcessIdentity> {
    let place = place.into();
    let open = |kind| Segment::open(&place, kind, Access::ReadWrite);
    let segment = match open(Kind::Ring) {
        Err(OpenError::WrongKind { found: Kind::Records, .. }) => open(Kind::Records),
        other => other,
    };
    let words = Words::new(Arc::new(segment.map_err(|error| MultiProcessError::from_open(&place, error))?))?;
    let control = words.control().expect("a segment of a ring's kind has a ring's lines");
    let word = match rank.and_then(|rank| words.entry(rank as usize)) {
        Some(entry) => &entry.member.refusal,
        None => &control.gate.refusal,
    };
    // Relaxed, both: the word says everything by itself, and a producer that misses it sees it at its next look.
    word.store(Refusal::of_this_process(cause).word(), Ordering::Relaxed);
    control.gate.refusals.fetch_add(1, Ordering::Relaxed);
    Ok(control.producer.identity.load())
}

impl<S: Carries> ProducerBase<S> {
    pub(super) fn refusal(&self, rank: Option<u32>) -> Option<Refusal> {
        let memory = self.memory();
        let word: &AtomicU64 = match rank.map(|rank| rank as usize).filter(|&rank| rank < memory.table_len()) {
            Some(index) => &memory.entry(index).member.refusal,
            None => &memory.control().gate.refusal,
        };
        Refusal::from_word(word.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SharedDisruptorBuilder;

    #[test]
    fn every_cause_has_a_number_of_its_own_and_unknown_numbers_are_a_cause() {
        for (number, cause) in CAUSES {
            assert_eq!((cause.number(), RefusalCause::from_number(number)), (number, cause));
        }
        assert_eq!(RefusalCause::from_number(99), RefusalCause::Other);
        assert_eq!(Refusal::from_word(0), None);
    }

    #[test]
    fn a_word_keeps_its_three_parts_apart() {
        for (_, cause) in CAUSES {
            for (pid, pid_namespace_tag) in [(1, 0xff_ffff), (u32::MAX, 0), (4_194_304, 0xff_fffc), (0, 1)] {
                let refusal = Refusal { pid, pid_namespace_tag, cause };
                assert_eq!(Refusal::from_word(refusal.word()), Some(refusal));
            }
        }
    }

    #[test]
    fn a_process_built_for_other_events_tells_the_producer_by_rank() {
        let place = Place::heap();
        let ring = SharedDisruptorBuilder::<u64>::new(&place, 8).enable_discovery(2);
        let producer = ring.build_producer(|| 0).unwrap();
        assert_eq!(producer.refusal(Some(1)), None);
        let joined = SharedDisruptorBuilder::<u32>::new(&place, 8).build_consumer();
        let error = joined.map(drop).unwrap_err();
        let cause = RefusalCause::of(&error);
        assert_eq!(leave_refusal(&place, Some(1), cause).unwrap(), ProcessIdentity::current());
        let refusal = Refusal::of_this_process(RefusalCause::OtherEvent);
        assert_eq!(producer.refusal(Some(1)), Some(refusal));
        assert_eq!((producer.refusal(Some(0)), producer.refusal(None)), (None, None));
        // Who joins in that entry is not who was refused.
        let joined = SharedDisruptorBuilder::<u64>::new(&place, 8).build_consumer().unwrap();
        assert_eq!(producer.refusal(Some(1)), Some(refusal));
        drop(joined);
        // A rank beyond the table, and none.
        for rank in [None, Some(4711)] {
            leave_refusal(&place, rank, RefusalCause::NoSpace).unwrap();
            assert_eq!(producer.refusal(rank).map(|refusal| refusal.cause), Some(RefusalCause::NoSpace));
        }
    }

    #[test]
    fn a_ring_that_is_not_there_is_an_error() {
        let name = testkit::names::short();
        let error = leave_refusal(name, None, RefusalCause::Other).unwrap_err();
        assert!(matches!(error, MultiProcessError::NotFound { .. }), "{error}");
    }
}
