//! Why a process could not join a ring, written in the ring itself.
//!
//! The refused process stores two words and increments one count. The ring's producer reads them. A refused process has
//! no entry. If its rank is known, it writes into the entry of that *index*, whichever process owns the entry. Without
//! a rank it writes into words that all share. The last refusal of a rank stays until the next.
//!
//! ```text
//! 63             32 31                    8 7     0
//! | pid            | pid namespace's tag   | cause |            0 says nothing
//!
//! 63       42 41                   18 17    14 13     0
//! | pid      | pid namespace's tag   | what   | row    |        0 says nothing
//! ```
//!
//! A pid alone does not identify a process: the first process of every container is 1. The tag says in which namespace
//! the pid counts. The second word is valid only for the refusal of the same process, and a *row* of an event only if
//! the event is the cause. So two processes that are refused at the same time are not taken for one.

use super::membership::JoinError;
use super::words::Words;
use crate::error::{MultiProcessError, MultiProcessResult};
use crate::liveness::ProcessIdentity;
use crate::ring::ends::producer_end::ProducerBase;
use crate::ring::memory::layout::Carries;
use crate::ring::memory::mapped::Mapped;
use crate::ring::protocol::control::{Control, Entry};
use crate::ring::protocol::memory::Memory;
use crate::ring::protocol::refused::RefusalWords;
use crate::schema::{MessageSchema, Numbered, Schema, SchemaDifference};
use crate::segment::{Access, OpenError, Place, Segment};
use crate::sync::primitive::Ordering;
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
    /// A living process has its id.
    IdInUse,
    /// The table has no entry for it.
    TableFull,
    /// It may not use the ring.
    NotAllowed,
    /// There is no room for a ring of its own: its file system is full, or its memory limit is reached.
    NoSpace,
    /// It was told of another set of rings than the session has: one has an urgent lane, and the other has none.
    OtherRings,
    /// The scheduler lived, and had not looked at it when its patience was over.
    NotReceived,
    /// Until its patience was over, it found no ring whose producer lives, or only one that could not be used yet.
    NoScheduler,
    /// Anything else.
    Other,
}

const CAUSES: [(u32, RefusalCause); 11] = [
    (1, RefusalCause::OtherEvent),
    (2, RefusalCause::OtherContent),
    (3, RefusalCause::OtherShape),
    (4, RefusalCause::IdInUse),
    (5, RefusalCause::TableFull),
    (6, RefusalCause::NotAllowed),
    (7, RefusalCause::NoSpace),
    (8, RefusalCause::OtherRings),
    (9, RefusalCause::NotReceived),
    (10, RefusalCause::NoScheduler),
    (255, RefusalCause::Other),
];

impl RefusalCause {
    /// The cause of an error.
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

    /// The number that stands for this cause between processes.
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
            Self::OtherShape => "it expects a ring of another size, or asks for one that is not possible: give both programs the same size",
            Self::IdInUse => "a live process has its id: end that process first",
            Self::TableFull => "the table of consumers has no entry for it: create the ring with more entries",
            Self::NotAllowed => "it may not use the ring: run both processes as one user, or create the ring for a common group",
            Self::NoSpace => "there is no room for its own ring: its file system is full, or its memory limit is reached",
            Self::OtherRings => {
                "either its invitation or the topology has an urgent lane, and the other has none: make the invitation \
                 from that topology"
            }
            Self::NotReceived => {
                "the scheduler was stopped, or did not look at its workers by `check_workers`, `gather`, `receive` or \
                 `wait_for`, until the patience of this one was over: let the scheduler look, and start the worker again"
            }
            Self::NoScheduler => {
                "it found no live scheduler until its patience was over: start the worker again"
            }
            Self::Other => "its own error says why",
        })
    }
}

/// Why a process could not join a ring, as far as numbers tell: a [`RefusalCause`], or the cause of an error with the
/// row of the ring's schema that differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusalReason {
    cause: RefusalCause,
    difference: Option<Numbered>,
}

impl RefusalReason {
    /// The cause.
    pub fn cause(self) -> RefusalCause {
        self.cause
    }
}

impl From<RefusalCause> for RefusalReason {
    fn from(cause: RefusalCause) -> Self {
        Self { cause, difference: None }
    }
}

impl From<&MultiProcessError> for RefusalReason {
    fn from(error: &MultiProcessError) -> Self {
        let difference = match error {
            MultiProcessError::IncompatibleEvent { difference, .. } => Some(Numbered::of_event(difference)),
            MultiProcessError::IncompatibleContent { found: Some(there), wanted: Some(here), .. } => {
                let [here, there] = [here, there].map(|tag| MessageSchema::parse(tag).ok());
                here.zip(there)
                    .and_then(|(here, there)| here.first_difference(&there))
                    .map(|it| Numbered::of_message(&it))
            }
            _ => None,
        };
        Self { cause: RefusalCause::of(error), difference }
    }
}

/// A process that could not join.
///
/// Displayed as `` process 4711 was refused: field `Cfg.max_len` differs ``.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Refusal {
    /// The pid of the process, in its own pid namespace.
    pub pid: u32,
    /// [Its pid namespace](ProcessIdentity::pid_namespace_tag); 0 where the system did not tell the process.
    pub pid_namespace_tag: u32,
    /// Why it could not join.
    pub cause: RefusalCause,
    /// What differs, if that was the cause and the ring's schema has a name for it.
    pub difference: Option<SchemaDifference>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let here = ProcessIdentity::current().pid_namespace_tag();
        let is_elsewhere = self.pid_namespace_tag != here && self.pid_namespace_tag != 0 && here != 0;
        let elsewhere = if is_elsewhere { " of another pid namespace" } else { "" };
        write!(f, "process {}{elsewhere} was refused: ", self.pid)?;
        match &self.difference {
            Some(difference) => write!(f, "{difference}"),
            None => write!(f, "{}", self.cause),
        }
    }
}

/// A process, as both words name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Refused {
    pid: u32,
    pid_namespace_tag: u32,
}

/// Bits of a pid in the second word: more than any pid of Linux needs.
const PID_BITS: u32 = 22;

/// Bits of the tag of a pid namespace.
const TAG_BITS: u32 = 24;

const _: () = assert!(PID_BITS + TAG_BITS + Numbered::BITS == 64);

impl Refused {
    /// The calling process.
    fn this_process() -> Self {
        let process = ProcessIdentity::current();
        Self { pid: process.pid, pid_namespace_tag: process.pid_namespace_tag() }
    }

    fn of_word(word: u64) -> Self {
        Self { pid: (word >> 32) as u32, pid_namespace_tag: word as u32 >> 8 }
    }

    fn word(self, cause: RefusalCause) -> u64 {
        u64::from(self.pid) << 32 | u64::from(self.pid_namespace_tag) << 8 | u64::from(cause.number())
    }

    /// The second word; 0, which means nothing, where the difference cannot be expressed.
    fn row_word(self, difference: Option<Numbered>) -> u64 {
        match difference.and_then(Numbered::number) {
            Some(number) if self.pid >> PID_BITS == 0 => self.whose() | number,
            _ => 0,
        }
    }

    /// The part of the second word that names the process.
    fn whose(self) -> u64 {
        (u64::from(self.pid) << TAG_BITS | u64::from(self.pid_namespace_tag)) << Numbered::BITS
    }

    /// The difference that the second word gives for a refusal of this process for that cause.
    fn difference(self, cause: RefusalCause, row: u64) -> Option<Numbered> {
        let number = row & ((1 << Numbered::BITS) - 1);
        let difference = Numbered::from_number(number).filter(|_| row == self.whose() | number)?;
        let is_of_event = match cause {
            RefusalCause::OtherEvent => true,
            RefusalCause::OtherContent => false,
            _ => return None,
        };
        (difference.is_of_event() == is_of_event).then_some(difference)
    }
}

/// Stores in the ring at `place` why this process, which wanted to be `rank` there, could not join. Returns the ring's
/// producer, which can read it. This build must know only the ring's own layout, not its events.
///
/// A consumer that is refused for its type, its content tag or its size has already stored this itself.
///
/// # Errors
/// See [`MultiProcessError`]: the ring cannot be mapped for writing. Then only this process itself can report why it
/// was refused. Source: RFC 0009, "Refusals".
pub fn leave_refusal(
    place: impl Into<Place>,
    rank: Option<u32>,
    reason: impl Into<RefusalReason>,
) -> MultiProcessResult<ProcessIdentity> {
    let place = place.into();
    let segment = Segment::open_ring(&place, Access::ReadWrite);
    leave_in(Arc::new(segment.map_err(|error| MultiProcessError::from_open(&place, error))?), rank, reason.into())
}

/// [`leave_refusal`] for the ring in `segment`, which is mapped for writing.
pub(crate) fn leave_in(
    segment: Arc<Segment>,
    rank: Option<u32>,
    RefusalReason { cause, difference }: RefusalReason,
) -> MultiProcessResult<ProcessIdentity> {
    let words = Words::new(segment)?;
    let control = words.control().expect("a segment of a ring's kind has a ring's lines");
    let process = Refused::this_process();
    let entry = rank.and_then(|rank| words.entry(rank as usize));
    words_of(control, entry).store(process.word(cause), process.row_word(difference));
    // Relaxed: a producer that misses the words sees them at its next look.
    control.gate.refusals.fetch_add(1, Ordering::Relaxed);
    Ok(control.producer.identity.load())
}

/// The words for the process that was refused as the rank of `entry`, or without a rank.
fn words_of<'a>(control: &'a Control, entry: Option<&'a Entry>) -> RefusalWords<'a> {
    match entry {
        Some(Entry { member, .. }) => RefusalWords { refusal: &member.refusal, row: &member.refusal_row },
        None => RefusalWords { refusal: &control.gate.refusal, row: &control.gate.refusal_row },
    }
}

/// The words of the process that was refused as `rank`: two numbers, to be compared with those of another look.
fn words_in<S: Carries>(memory: &Mapped<S>, rank: Option<u32>) -> (u64, u64) {
    let index = rank.map(|rank| rank as usize).filter(|&rank| rank < memory.table_len());
    words_of(memory.control(), index.map(|index| memory.entry(index))).load()
}

/// The refusal that these words describe. The schema of the ring names the difference.
fn named<S: Carries>(memory: &Mapped<S>, (refusal, row): (u64, u64)) -> Option<Refusal> {
    if refusal == 0 {
        return None;
    }
    let (process, cause) = (Refused::of_word(refusal), RefusalCause::from_number(refusal as u32 & 0xff));
    let name = |difference: Numbered| difference.named_by(&Schema::decode(memory.segment().schema()).ok()?);
    let difference = process.difference(cause, row).and_then(name);
    Some(Refusal { pid: process.pid, pid_namespace_tag: process.pid_namespace_tag, cause, difference })
}

/// The last refusal of each rank, and the last of a process without one.
pub(crate) fn all<S: Carries>(memory: &Mapped<S>) -> Vec<Refusal> {
    let ranks = (0..memory.table_len()).map(|rank| Some(rank as u32));
    ranks.chain([None]).filter_map(|rank| named(memory, words_in(memory, rank))).collect()
}

impl<S: Carries> ProducerBase<S> {
    pub(super) fn refusal_words(&self, rank: Option<u32>) -> (u64, u64) {
        words_in(self.memory(), rank)
    }

    pub(super) fn refusal(&self, rank: Option<u32>) -> Option<Refusal> {
        named(self.memory(), words_in(self.memory(), rank))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SharedDisruptorBuilder;
    use crate::ring::ends::producer_face::HasProducer;
    use crate::schema::{Event, event};
    use proptest::prelude::*;

    #[test]
    fn every_cause_has_a_number_of_its_own_and_unknown_numbers_are_a_cause() {
        for (number, cause) in CAUSES {
            assert_eq!((cause.number(), RefusalCause::from_number(number)), (number, cause));
        }
        assert_eq!(RefusalCause::from_number(99), RefusalCause::Other);
    }

    const PROCESSES: [Refused; 4] = [
        Refused { pid: 1, pid_namespace_tag: 0xff_ffff },
        Refused { pid: 4_194_303, pid_namespace_tag: 0 },
        Refused { pid: 1, pid_namespace_tag: 0xff_fffc },
        Refused { pid: 0, pid_namespace_tag: 1 },
    ];

    /// A difference of the event, and one of what it carries.
    fn differences() -> [Numbered; 2] {
        let event = Sample::schema().first_difference(&Other::schema()).unwrap();
        let [here, there] = ["u64", "u32"].map(|it| format!("message/1 bincode struct Cfg {{ max_len: {it} }}"));
        let [here, there] = [here, there].map(|text| MessageSchema::parse(&text).unwrap());
        [Numbered::of_event(&event), Numbered::of_message(&here.first_difference(&there).unwrap())]
    }

    #[event]
    struct Sample {
        value: u64,
    }

    #[event]
    struct Other {
        value: u64,
    }

    #[test]
    fn a_word_keeps_its_three_parts_apart() {
        for (number, cause) in CAUSES {
            for process in PROCESSES.into_iter().chain([Refused { pid: u32::MAX, pid_namespace_tag: 0 }]) {
                let word = process.word(cause);
                assert_eq!((Refused::of_word(word), word & 0xff), (process, number.into()));
            }
        }
    }

    #[test]
    fn a_row_counts_for_the_refusal_of_its_own_process_for_that_cause_and_for_no_other() {
        let causes = [RefusalCause::OtherEvent, RefusalCause::OtherContent];
        let said: Vec<_> = PROCESSES
            .iter()
            .flat_map(|process| differences().into_iter().zip(causes).map(move |it| (process, it)))
            .collect();
        for (process, (difference, cause)) in &said {
            let row = process.row_word(Some(*difference));
            for (other, (_, other_cause)) in &said {
                let is_its = process == other && cause == other_cause;
                assert_eq!(other.difference(*other_cause, row), is_its.then_some(*difference));
            }
            assert_eq!(process.difference(RefusalCause::TableFull, row), None);
            assert_eq!(process.difference(*cause, 0), None, "it has not said which row");
        }
        let no_pid = Refused { pid: 1 << PID_BITS, pid_namespace_tag: 0 };
        assert_eq!(no_pid.row_word(Some(differences()[0])), 0);
    }

    proptest! {
        #[test]
        fn any_words_are_a_refusal_or_none(refusal: u64, row: u64, what in 0_u64..16, number in 0_u64..8) {
            let place = Place::heap();
            let producer = SharedDisruptorBuilder::<Sample>::new(&place, 8).build_producer(|| Sample { value: 0 }).unwrap();
            let memory = producer.base().memory();
            for cause in [refusal & 0xff, 1, 2] {
                let refusal = refusal & !0xff | cause;
                let likely = Refused::of_word(refusal).whose() | what << (Numbered::BITS - 4) | number;
                for row in [row, likely] {
                    words_of(memory.control(), None).store(refusal, row);
                    let _ = producer.refusal(None).map(|refusal| refusal.to_string());
                }
            }
        }
    }

    #[test]
    fn a_process_built_for_other_events_tells_the_producer_by_rank() {
        let place = Place::heap();
        let ring = SharedDisruptorBuilder::<u64>::new(&place, 8).enable_discovery(2);
        let producer = ring.build_producer(|| 0).unwrap();
        assert_eq!(producer.refusal(Some(1)), None);
        SharedDisruptorBuilder::<u32>::new(&place, 8).with_rank(1).build_consumer().map(drop).unwrap_err();
        let refusal = producer.refusal(Some(1)).unwrap();
        let pid = std::process::id();
        assert_eq!((refusal.pid, refusal.cause), (pid, RefusalCause::OtherEvent));
        assert_eq!(refusal.to_string(), format!("process {pid} was refused: its type is not called `u64`"));
        assert_eq!((producer.refusal(Some(0)), producer.refusal(None)), (None, None));
        // The process that joins in that entry is not the refused one.
        let joined = SharedDisruptorBuilder::<u64>::new(&place, 8).build_consumer().unwrap();
        assert_eq!(producer.refusal(Some(1)), Some(refusal));
        drop(joined);
        // A rank beyond the table, and none.
        for rank in [None, Some(4711)] {
            assert_eq!(leave_refusal(&place, rank, RefusalCause::NoSpace).unwrap(), ProcessIdentity::current());
            let refusal = producer.refusal(rank).unwrap();
            assert_eq!((refusal.cause, refusal.difference), (RefusalCause::NoSpace, None));
        }
    }

    #[test]
    fn a_ring_that_is_not_there_is_an_error() {
        let name = testkit::names::short();
        let error = leave_refusal(name, None, RefusalCause::Other).unwrap_err();
        assert!(matches!(error, MultiProcessError::NotFound { .. }), "{error}");
    }
}
