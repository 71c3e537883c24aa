//! How a producer gets the segment of its ring: a new one, the one of a dead producer, or a new one that replaces what
//! is there.

use super::ProducerRequest;
use super::agreement::{carries_same_events, check_content, check_shape, check_table, say_what_they_carry};
use crate::error::{MultiProcessError, MultiProcessResult};
use crate::ring::ends::producer_end::Origin;
use crate::ring::lineage::{self, Expected};
use crate::ring::membership::{self, PRODUCER_BYTE};
use crate::ring::memory::layout::Carries;
use crate::ring::memory::sections::{control, initialise};
use crate::ring::protocol::form::Form;
use crate::segment::{
    self, Access, Blueprint, COLLECTOR, Claim, CreateError, Fate, GcError, Kind, OpenError, Place, Segment, SegmentMake,
};
use crate::step::{nap, rule, step};
use std::sync::Arc;
use std::time::Duration;

/// How often a producer starts again because the name changed owners meanwhile. Another producer that does the same
/// makes it `InUse` soon.
const ATTEMPTS: usize = 16;

/// What `build_producer` does about a ring that is there already.
///
/// A [copy](segment::is_copy) of a ring is a ring without a producer. A copy of another kind is never removed; it is an
/// error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// Takes over the ring of a dead producer if a consumer of the same events needs it, and replaces it otherwise. A
    /// consumer that lives in the ring needs it. So does a consumer that has kept its entry and has not read
    /// everything. In a ring with a content tag, it is enough that a consumer has kept its entry.
    #[default]
    TakeOverOrReplace,
    /// Leaves the ring as it is, and fails.
    Refuse,
    /// Takes it over if a consumer needs it, and fails otherwise.
    TakeOver,
    /// Replaces it, even if consumers live in it.
    Replace,
}

/// A segment with the producer's claim, and how it was obtained.
pub(super) struct Possession {
    pub(super) segment: Arc<Segment>,
    pub(super) claim: Claim,
    pub(super) origin: Origin,
}

/// Obtains the segment, in three steps: [looks](look), [judges](judge), and [acts](act).
pub(super) fn possess<S: Carries>(request: &ProducerRequest, blueprint: &Blueprint) -> MultiProcessResult<Possession> {
    for _ in 0..ATTEMPTS {
        let verdict = judge::<S>(request, look::<S>(request)?)?;
        if let Some(possession) = act::<S>(request, blueprint, verdict)? {
            return Ok(possession);
        }
    }
    Err(MultiProcessError::AlreadyExists { place: segment::called_at(&request.place) })
}

/// What is at the place.
enum Found {
    Nothing,
    /// A ring of our kind and version, with its producer's claim.
    Ring(Arc<Segment>, Claim),
    /// A ring that has just lost its name.
    Nameless,
    /// A segment that this program cannot open as its ring: of another kind, version or byte order, unfinished, or
    /// damaged.
    Other(OpenError),
}

/// What is to be done about it.
enum Verdict {
    LookAgain,
    Create,
    TakeOver(Arc<Segment>, Claim),
    Replace(Arc<Segment>, Claim, Estate),
    /// Removes it unless a process lives in it; the error says what is wrong with it.
    Remove(OpenError),
}

/// What happens to what consumers have not read of a ring that is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Estate {
    /// It is lost. Its consumers are told that the ring was replaced.
    Dropped,
    /// It was closed. Consumers that have not read it yet can find it.
    Readable,
    /// It carries other messages, or has another size: consumers with ids of their own read it to its end and move
    /// over.
    PassedOn,
}

/// First step: looks at what is there, and takes the producer's byte of a ring of our kind.
fn look<S: Carries>(request: &ProducerRequest) -> MultiProcessResult<Found> {
    if request.existing == Existing::Refuse {
        return Ok(Found::Nothing); // creation is exclusive, and says what stands in the way
    }
    let place = &request.place;
    let old = match Segment::open(place, S::Form::KIND, Access::ReadWrite) {
        Ok(old) => old,
        Err(OpenError::NotFound { .. }) => return Ok(Found::Nothing),
        Err(error) if is_other(&error) => return Ok(Found::Other(error)),
        Err(error) => return Err(MultiProcessError::from_open(place, error)),
    };
    let os = |source| MultiProcessError::Os { place: old.called(), call: "locking the producer's byte", source };
    let Some(claim) = claim_producer(&old).map_err(os)? else { return Err(in_use(&old)) };
    step!(TakeOverLocked);
    // The process that closed, replaced or removed it has released the lock that we now have. The name is no longer
    // this ring's.
    if !old.still_named().map_err(os)? {
        return Ok(Found::Nameless);
    }
    Ok(Found::Ring(Arc::new(old), claim))
}

/// Second step: decides. Nothing has been changed yet, and an error leaves it so.
fn judge<S: Carries>(request: &ProducerRequest, found: Found) -> MultiProcessResult<Verdict> {
    let place = &request.place;
    let (old, claim) = match (found, request.existing) {
        (Found::Nameless, _) => return Ok(Verdict::LookAgain),
        (Found::Nothing, Existing::TakeOver) => return Err(MultiProcessError::NotFound { place: place.to_string() }),
        (Found::Nothing, _) => return Ok(Verdict::Create),
        (Found::Other(error), Existing::TakeOver) => return Err(MultiProcessError::from_open(place, error)),
        (Found::Other(OpenError::WrongKind { found: Kind::Counters, .. }), Existing::TakeOverOrReplace)
            if segment::occupant(place).is_ok_and(|it| it.is_none_or(|it| !it.is_in_use)) =>
        {
            return Err(MultiProcessError::HoldsCounters { place: segment::called_at(place) });
        }
        (Found::Other(error), _) => return Ok(Verdict::Remove(error)),
        (Found::Ring(old, claim), _) => (old, claim),
    };
    Ok(match decide::<S>(request, &old)? {
        Decision::TakeOver => Verdict::TakeOver(old, claim),
        Decision::Replace(estate) => Verdict::Replace(old, claim, estate),
    })
}

/// What must be done about the ring `old` of our kind, which has no producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    TakeOver,
    Replace(Estate),
}

fn decide<S: Carries>(request: &ProducerRequest, old: &Arc<Segment>) -> MultiProcessResult<Decision> {
    // A closer, replacer or collector may have been killed. The processes in the ring were told, or are told now, that
    // it is over.
    let is_over = old.fate() != Fate::Live || control(old).is_some_and(|it| it.gate.is_closed());
    let mismatch = check_shape::<S>(old, request.capacity)
        .and_then(|found| {
            check_table(old, request)?;
            check_content(old, &found, request.content_tag.as_deref())
        })
        .err();
    // This is asked only of a table that is as long as ours: a foreign header may claim four thousand million entries.
    let is_inhabited = !is_over
        && mismatch.is_none()
        && ((0..old.header().table_len).any(|index| old.is_held(index + 1).unwrap_or(true))
            || lineage::is_awaited(old)
            || lineage::keeps_places::<S>(old));
    match (request.existing, mismatch) {
        (Existing::TakeOverOrReplace | Existing::TakeOver, None) if is_inhabited => Ok(Decision::TakeOver),
        (Existing::TakeOver, Some(mismatch)) => Err(mismatch),
        (Existing::TakeOver, None) => Err(MultiProcessError::NothingToTakeOver { place: old.called() }),
        (Existing::TakeOverOrReplace, Some(_)) if !is_over && is_passed_on::<S>(old, request) => {
            Ok(Decision::Replace(Estate::PassedOn))
        }
        (Existing::TakeOverOrReplace, _) if is_over => Ok(Decision::Replace(Estate::Readable)),
        _ => Ok(Decision::Replace(Estate::Dropped)),
    }
}

/// Whether consumers that know the messages of the ring `old` read it to its end before they read the ring that
/// replaces it. They do if the events are the same, and if both rings say what they carry, or messages would otherwise
/// be lost.
fn is_passed_on<S: Carries>(old: &Arc<Segment>, request: &ProducerRequest) -> bool {
    carries_same_events::<S>(old) && (say_what_they_carry(old, request) || lineage::has_backlog::<S>(old))
}

/// Third step: does what was decided. `None`: the name has changed owners meanwhile.
fn act<S: Carries>(
    request: &ProducerRequest,
    blueprint: &Blueprint,
    verdict: Verdict,
) -> MultiProcessResult<Option<Possession>> {
    match verdict {
        Verdict::LookAgain => Ok(None),
        Verdict::Create => create(request, blueprint, Origin::Created),
        Verdict::TakeOver(old, claim) => Ok(Some(take_over::<S>(old, claim))),
        Verdict::Replace(old, claim, estate) => replace::<S>(request, blueprint, &old, claim, estate),
        Verdict::Remove(error) => {
            remove::<S>(&request.place, error)?;
            create(request, blueprint, Origin::Replaced)
        }
    }
}

fn create(request: &ProducerRequest, blueprint: &Blueprint, origin: Origin) -> MultiProcessResult<Option<Possession>> {
    let init = |segment: &Segment| initialise(segment, request.capacity, request.max_buffer);
    match Segment::create(&request.place, blueprint, &request.options, init) {
        Ok((segment, claim)) => Ok(Some(Possession { segment: Arc::new(segment), claim, origin })),
        Err(CreateError::AlreadyExists { .. }) if request.existing != Existing::Refuse => Ok(None),
        Err(error) => Err(MultiProcessError::from_create(&request.place, error)),
    }
}

fn take_over<S: Carries>(old: Arc<Segment>, claim: Claim) -> Possession {
    // Removes what killed processes have left: producers killed before they had replaced this ring, or right after they
    // had replaced the one before; and consumers killed before they had removed what they had left.
    old.remove_traces_of_replacers();
    lineage::finish_replacing(&old);
    lineage::tidy::<S>(&old);
    Possession { segment: old, claim, origin: Origin::TookOver }
}

fn replace<S: Carries>(
    request: &ProducerRequest,
    blueprint: &Blueprint,
    old: &Arc<Segment>,
    claim: Claim,
    estate: Estate,
) -> MultiProcessResult<Option<Possession>> {
    lineage::finish_replacing(old);
    let Some(Inheritance { predecessor, expected, seats, _table }) = inherit::<S>(request, blueprint, old, estate)?
    else {
        return Ok(None);
    };
    let blueprint = Blueprint { predecessor, ..blueprint.clone() };
    let init = |segment: &Segment| {
        initialise(segment, request.capacity, request.max_buffer);
        lineage::await_all(segment, &seats, &expected);
    };
    let wake = |old: &Segment| {
        step!(ReplaceMarked);
        wake_everybody(old);
        step!(ReplaceWoken);
    };
    match segment::replace(old, claim, &request.place, &blueprint, &request.options, wake, init) {
        Ok((segment, claim)) => {
            drop(_table);
            if predecessor == 0 {
                old.remove_traces_of_replacers();
                lineage::give_all_up(old);
            } else {
                // A consumer may have left the old ring while it was being replaced.
                lineage::tidy::<S>(&segment);
            }
            Ok(Some(Possession { segment: Arc::new(segment), claim, origin: Origin::Replaced }))
        }
        Err(CreateError::AlreadyExists { .. }) => Ok(None),
        Err(error) => Err(MultiProcessError::from_create(&request.place, error)),
    }
}

/// What a new ring takes over from the one that it replaces.
#[derive(Default)]
struct Inheritance {
    predecessor: u64,
    expected: Vec<Expected>,
    seats: Vec<usize>,
    /// The claim on the old table: no consumer joins there any more.
    _table: Option<Claim>,
}

/// Prepares the ring `old` for being replaced, so that what is not read of it is not lost. An error leaves it as it
/// was. `None`: a consumer has come meanwhile, so another decision is needed.
fn inherit<S: Carries>(
    request: &ProducerRequest,
    blueprint: &Blueprint,
    old: &Arc<Segment>,
    estate: Estate,
) -> MultiProcessResult<Option<Inheritance>> {
    let mut new = Inheritance::default();
    let mut is_needed = estate == Estate::Readable && lineage::is_awaited(old);
    if request.existing == Existing::TakeOverOrReplace && estate != Estate::Readable {
        let table = membership::claim_table(old).map_err(|error| MultiProcessError::from_join(old.called(), error));
        // A consumer that is stopped while joining does not block a producer from a ring that is not read on.
        new._table = if estate == Estate::PassedOn { Some(table?) } else { table.ok() };
        if !rule!(DecidedUnderTheTable, decide::<S>(request, old)? == Decision::Replace(estate)) {
            return Ok(None);
        }
    }
    if estate == Estate::PassedOn {
        (new.expected, is_needed) = lineage::expected(old, lineage::unread_in::<S>(old));
        new.seats = lineage::seats(blueprint, &new.expected).ok_or_else(|| MultiProcessError::TooManyExpected {
            place: old.called(),
            expected: new.expected.len(),
            max_consumers: request.places,
        })?;
    }
    if is_needed {
        if lineage::is_full(old).map_err(|error| MultiProcessError::from_open(old.place(), error))? {
            return Err(MultiProcessError::TooManyOlderRings {
                place: old.called(),
                ids: lineage::readers(old, &new.expected),
            });
        }
        old.give_second_name(lineage::readers(old, &new.expected))
            .map_err(|error| MultiProcessError::from_create(old.place(), error))?;
        new.predecessor = old.generation();
    }
    Ok(Some(new))
}

/// Removes what is no ring of ours, if no process lives in it.
fn remove<S: Carries>(place: &Place, error: OpenError) -> MultiProcessResult<()> {
    match segment::gc(place) {
        Ok(segment::GcOutcome::Removed | segment::GcOutcome::NotFound) => Ok(()),
        // No process uses a copy, but it is not ours to remove.
        Ok(segment::GcOutcome::IsCopy) => Err(MultiProcessError::from_open(place, error)),
        Ok(_) => {
            let wanted = SegmentMake::ours(S::Form::KIND);
            match segment::occupant(place) {
                Ok(Some(it)) if !it.make.is_like(&wanted) => {
                    Err(MultiProcessError::InUseAsOther { place: it.called, found: it.make, wanted })
                }
                _ => Err(MultiProcessError::from_open(place, error)),
            }
        }
        Err(GcError::NotOwner { place, owner_uid, source }) => {
            Err(MultiProcessError::NotOwner { place, owner_uid, source })
        }
        Err(source) => Err(MultiProcessError::CleanUp { place: place.to_string(), source }),
    }
}

/// The producer's claim; `None` if a producer has it. A collector holds every byte for a moment, and is waited for.
fn claim_producer(segment: &Segment) -> std::io::Result<Option<Claim>> {
    for _ in 0..ATTEMPTS {
        if let Some(claim) = segment.claim(PRODUCER_BYTE)? {
            return Ok(Some(claim));
        }
        if !segment.is_held(COLLECTOR)? {
            break;
        }
        nap(Duration::from_millis(1));
    }
    // That process may have gone between the two looks.
    segment.claim(PRODUCER_BYTE)
}

/// Whether the segment is ours and cannot be a ring of this program: it may be removed if no process lives in it.
pub(super) fn is_other(error: &OpenError) -> bool {
    matches!(
        error,
        OpenError::CreatorDied { .. }
            | OpenError::TooShort { .. }
            | OpenError::Length { .. }
            | OpenError::Corrupt { .. }
            | OpenError::WrongKind { .. }
            | OpenError::Version { .. }
            | OpenError::ByteOrder { .. }
    )
}

fn in_use(segment: &Segment) -> MultiProcessError {
    let process = control(segment).map_or(segment.header().creator, |control| control.producer.identity.load());
    MultiProcessError::InUse { place: segment.called(), pid: process.pid, state: process.observe().state }
}

/// Wakes every process that sleeps in a ring of any shape, which has been marked.
fn wake_everybody(segment: &Segment) {
    if let Some(control) = control(segment) {
        control.readers.0.ring();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SharedDisruptorBuilder;
    use crate::ring::memory::layout::{Slots, blueprint};
    use crate::segment::CreateOptions;

    #[test]
    fn a_name_whose_segment_was_marked_by_somebody_who_died_can_be_used_again() {
        for mark in [Segment::mark_replaced, Segment::mark_removed] {
            let place = Place::heap();
            let blueprint = blueprint::<Slots<u64>>(8, 4).unwrap();
            let init = |segment: &Segment| initialise(segment, 8, None);
            let (segment, claim) = Segment::create(&place, &blueprint, &CreateOptions::default(), init).unwrap();
            mark(&segment);
            drop((segment, claim));
            let producer =
                SharedDisruptorBuilder::<u64>::new(place, 8).enable_discovery(4).build_producer(|| 0).unwrap();
            assert_eq!(producer.origin(), Origin::Replaced);
        }
    }

    #[test]
    fn a_collector_at_work_is_not_taken_for_a_producer() {
        let shm = testkit::names::ShmGuard::new();
        let blueprint = blueprint::<Slots<u64>>(8, 4).unwrap();
        let init = |segment: &Segment| initialise(segment, 8, None);
        for round in 0..300 {
            let place = Place::from(shm.name(&format!("c{round}")));
            let segment = Segment::create(&place, &blueprint, &CreateOptions::default(), init).unwrap();
            drop(segment); // a producer that died
            let start = std::sync::Barrier::new(2);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    start.wait();
                    segment::gc(place.clone()).unwrap();
                });
                start.wait();
                let builder = SharedDisruptorBuilder::<u64>::new(place.clone(), 8).enable_discovery(4);
                builder.build_producer(|| 0).unwrap();
            });
        }
        shm.assert_nothing_left();
    }

    #[test]
    fn a_table_length_that_cannot_be_is_not_walked_through() {
        let _watchdog = testkit::watchdog::Watchdog::new(std::time::Duration::from_secs(60), "replacing a forged ring");
        let place = Place::memfd("forged");
        let good = blueprint::<Slots<u64>>(4, 2).unwrap();
        let forged = Blueprint { table_len: u32::MAX, ..good };
        let options = CreateOptions::default();
        let (segment, claim) =
            Segment::create(&place, &forged, &options, |segment| initialise(segment, 4, None)).unwrap();
        drop((segment, claim));
        let taken = SharedDisruptorBuilder::<u64>::new(&place, 4).take_over().build_producer(|| 0);
        assert!(matches!(taken, Err(MultiProcessError::Shape(_) | MultiProcessError::IncompatibleLayout { .. })));
        let replaced = SharedDisruptorBuilder::<u64>::new(&place, 4).build_producer(|| 0).unwrap();
        assert_eq!(replaced.origin(), Origin::Replaced);
    }
}
