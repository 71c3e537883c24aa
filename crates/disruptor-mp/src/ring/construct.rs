//! Making endpoints: create, take over or replace for a producer; open and join for a consumer; open read-only for a
//! tap.
//!
//! **Lives here:** [`producer`], [`consumer`], [`tap`]. **Builds on:** `segment` for objects and locks, `layout` for
//! their shape. **May touch it:** the builder.

use super::identity::ConsumerId;
use super::lineage::{self, Expected};
use super::membership::{self, JoinRequest, PRODUCER_BYTE};
use super::refusal::{self, RefusalCause};
use super::selection::Selection;
use crate::error::{MultiProcessError, MultiProcessResult};
use crate::liveness::{ProcessIdentity, ProcessState};
use crate::ring::ends::consumer_end::ConsumerBase;
use crate::ring::ends::patience::Patience;
use crate::ring::ends::producer_end::{Origin, ProducerBase};
use crate::ring::memory::layout::{Carries, PLACES_FOR_OTHERS, TABLE_LEN_MAX, blueprint};
use crate::ring::memory::mapped::Mapped;
use crate::ring::memory::sections::{control, initialise};
use crate::ring::protocol::ending::Ending;
use crate::ring::protocol::form::Form;
use crate::ring::protocol::join::StartAt;
use crate::ring::protocol::memory::Memory;
use crate::ring::protocol::sequencer::Sequencer;
use crate::schema::{Schema, fnv1a};
use crate::segment::{
    self, Access, Blueprint, COLLECTOR, Claim, CreateError, CreateOptions, Fate, GcError, Kind, OpenError, Place,
    Segment, SegmentMake,
};
use crate::step;
use crate::sync::announce::Announce;
use crate::sync::primitive::Ordering;
use crate::sync::wait::WaitStrategy;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a producer starts over because the name changed hands under it. Somebody else who does the same makes it
/// `InUse` soon.
const ATTEMPTS: usize = 16;

/// The minor version of the ABI from which on producers of forms that ask for it store *claimed*. Source: RFC 0011.
const MINOR_WITH_CLAIMED: u16 = 1;

/// What `build_producer` does if the name exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    TakeOverOrReplace,
    Refuse,
    TakeOver,
    Replace,
}

pub(crate) struct ProducerRequest {
    pub(crate) place: Place,
    pub(crate) capacity: usize,
    /// Places in the table for the consumers that are asked for.
    pub(crate) places: usize,
    pub(crate) max_buffer: Option<usize>,
    pub(crate) content_tag: Option<String>,
    pub(crate) options: CreateOptions,
    pub(crate) existing: Existing,
    pub(crate) wait: WaitStrategy,
    pub(crate) selection: Selection,
}

/// The ring that an end attaches to.
pub(crate) struct RingRequest {
    pub(crate) place: Place,
    /// 0: whatever the ring has.
    pub(crate) capacity: usize,
    pub(crate) content_tag: Option<String>,
    /// Others that will do.
    pub(crate) older_content_tags: Vec<String>,
    /// How long to wait for a ring with a living producer; `None`: whatever is there will do.
    pub(crate) ready: Option<Patience>,
}

pub(crate) struct ConsumerRequest {
    pub(crate) ring: RingRequest,
    pub(crate) id: Option<String>,
    pub(crate) rank: Option<u32>,
    pub(crate) start: StartAt,
    pub(crate) keeps_place: bool,
    pub(crate) wait: WaitStrategy,
    /// The generation of the ring that the consumer comes from, in which it has read everything: only those after it
    /// are asked for.
    pub(crate) after: Option<u64>,
    /// Whether the producer learns from elsewhere that this process was refused.
    pub(crate) is_refused_silently: bool,
}

/// A segment with the producer's claim, and how it was come by.
struct Possession {
    segment: Segment,
    claim: Claim,
    origin: Origin,
}

pub(crate) fn producer<S: Carries>(request: ProducerRequest) -> MultiProcessResult<ProducerBase<S>> {
    let blueprint = Blueprint {
        schema: schema_with::<S>(request.content_tag.as_deref())?.encode(),
        fingerprint: request.content_tag.as_ref().map_or(0, |tag| fnv1a(tag.as_bytes())),
        prefix: request.selection.prefix().to_owned(),
        ..blueprint::<S>(request.capacity, request.places)?
    };
    let Possession { segment, claim, origin } = possess::<S>(&request, &blueprint)?;
    let spare = match segment.spare() {
        Ok(spare) => spare,
        Err(source) => {
            // What was made a moment ago is not left behind; what was taken over is as it was.
            if origin != Origin::TookOver {
                let _ = segment.unlink_if_same();
            }
            let place = request.place.to_string();
            return Err(MultiProcessError::Os { place, call: "opening a descriptor for locks", source });
        }
    };
    let memory = Mapped::new(Arc::new(segment));
    let announce = Announce::best();
    memory.control().producer.identity.store(ProcessIdentity::current());
    let core = if origin == Origin::TookOver {
        // One more reign; wrapping is harmless, it is for humans.
        memory.control().producer.reign.fetch_add(1, Ordering::Relaxed);
        Sequencer::take_over(memory, announce)
    } else {
        Sequencer::create(memory, announce)
    };
    Ok(ProducerBase::new(core, claim, spare, origin, request.wait, request.selection))
}

/// Comes by the segment: a new one, the one of a dead producer, or a new one in place of what is there.
fn possess<S: Carries>(request: &ProducerRequest, blueprint: &Blueprint) -> MultiProcessResult<Possession> {
    let place = &request.place;
    let create_error = |error| MultiProcessError::from_create(place, error);
    let init = |segment: &Segment| initialise(segment, request.capacity, request.max_buffer);
    let mut origin = Origin::Created;
    for _ in 0..ATTEMPTS {
        match judge::<S>(request, look::<S>(request)?)? {
            Verdict::LookAgain => {}
            Verdict::Create => match Segment::create(place, blueprint, &request.options, init) {
                Ok((segment, claim)) => return Ok(Possession { segment, claim, origin }),
                Err(CreateError::AlreadyExists { .. }) if request.existing != Existing::Refuse => {}
                Err(error) => return Err(create_error(error)),
            },
            Verdict::TakeOver(old, claim) => {
                // What producers have left that were killed: before they had replaced this ring, or right after they
                // had replaced the one before.
                old.remove_traces_of_replacers();
                lineage::finish_replacing(&old);
                return Ok(Possession { segment: *old, claim, origin: Origin::TookOver });
            }
            Verdict::Replace(old, claim, estate) => {
                lineage::finish_replacing(&old);
                let Inheritance { predecessor, expected, seats, _table } = inherit(request, blueprint, &old, estate)?;
                let blueprint = Blueprint { predecessor, ..blueprint.clone() };
                let init = |segment: &Segment| {
                    init(segment);
                    lineage::await_all(segment, &seats, &expected);
                };
                let wake = |old: &Segment| {
                    step!(ReplaceMarked);
                    wake_everybody(old);
                    step!(ReplaceWoken);
                };
                match segment::replace(&old, claim, place, &blueprint, &request.options, wake, init) {
                    Ok((segment, claim)) => {
                        if predecessor == 0 {
                            old.remove_traces_of_replacers();
                        }
                        return Ok(Possession { segment, claim, origin: Origin::Replaced });
                    }
                    Err(CreateError::AlreadyExists { .. }) => {}
                    Err(error) => return Err(create_error(error)),
                }
            }
            Verdict::Remove(error) => {
                remove::<S>(place, error)?;
                origin = Origin::Replaced;
            }
        }
    }
    Err(MultiProcessError::AlreadyExists { place: place.to_string() })
}

/// What stands at the place.
enum Found {
    Nothing,
    /// A ring of our kind and version, with its producer's claim.
    Ring(Box<Segment>, Claim),
    /// A ring that has just lost its name.
    Nameless,
    /// A segment that this program cannot have open as its ring: of another kind, version or byte order, unfinished,
    /// or damaged.
    Other(OpenError),
}

/// What is to be done about it.
enum Verdict {
    LookAgain,
    Create,
    TakeOver(Box<Segment>, Claim),
    Replace(Box<Segment>, Claim, Estate),
    /// Takes it away unless a process lives in it; the error says what is wrong with it.
    Remove(OpenError),
}

/// What becomes of what consumers have not read of a ring that is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Estate {
    /// Its consumers are told that it was replaced, and that is all.
    Dropped,
    /// It was closed. Those who are still to read it find it.
    Readable,
    /// It carries messages of another type: consumers with ids of their own read it to its end and come over.
    PassedOn,
}

/// What a new ring has of the one that it replaces.
#[derive(Default)]
struct Inheritance {
    predecessor: u64,
    expected: Vec<Expected>,
    seats: Vec<usize>,
    /// That of the old table: no consumer joins there any more.
    _table: Option<Claim>,
}

/// Prepares the ring `old` for being replaced, so that what is not read of it is not lost. An error leaves it as it
/// was.
fn inherit(
    request: &ProducerRequest,
    blueprint: &Blueprint,
    old: &Segment,
    estate: Estate,
) -> MultiProcessResult<Inheritance> {
    let place = &request.place;
    let mut new = Inheritance::default();
    if estate == Estate::PassedOn {
        new._table =
            Some(membership::claim_table(old).map_err(|error| MultiProcessError::from_join(old.called(), error))?);
        new.expected = lineage::expected(old);
        new.seats = lineage::seats(blueprint, &new.expected).ok_or_else(|| MultiProcessError::TooManyExpected {
            place: place.to_string(),
            expected: new.expected.len(),
            max_consumers: request.places,
        })?;
    }
    if !new.expected.is_empty() || (estate == Estate::Readable && lineage::is_awaited(old)) {
        old.give_second_name().map_err(|error| MultiProcessError::from_create(place, error))?;
        new.predecessor = old.generation();
    }
    Ok(new)
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
    let os = |source| MultiProcessError::Os { place: place.to_string(), call: "locking the producer's byte", source };
    let Some(claim) = claim_producer(&old).map_err(os)? else { return Err(in_use(&old)) };
    step!(TakeOverLocked);
    // Whoever closed, replaced or removed it has let go of the lock we now have; the name leads elsewhere by now.
    if !old.still_named().map_err(os)? {
        return Ok(Found::Nameless);
    }
    Ok(Found::Ring(Box::new(old), claim))
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
            return Err(MultiProcessError::HoldsCounters { place: place.to_string() });
        }
        (Found::Other(error), _) => return Ok(Verdict::Remove(error)),
        (Found::Ring(old, claim), _) => (old, claim),
    };
    // A closer, replacer or collector may have been killed. Those who are in the ring have been told, or are told now,
    // that it is over.
    let is_over = old.fate() != Fate::Live || control(&old).is_some_and(|it| it.gate.is_closed());
    let carries_messages = carries_messages::<S>(&old, request);
    let mismatch = check_shape::<S>(&old, request.capacity)
        .and_then(|found| {
            check_table(&old, request)?;
            check_content(&old, &found, request.content_tag.as_deref())
        })
        .err();
    // Asked only of a table that is as long as ours: the header of a stranger may claim four thousand million entries.
    let is_inhabited = !is_over
        && mismatch.is_none()
        && ((0..old.header().table_len).any(|index| old.is_held(index + 1).unwrap_or(true))
            || lineage::is_awaited(&old));
    match (request.existing, mismatch) {
        (Existing::TakeOverOrReplace | Existing::TakeOver, None) if is_inhabited => Ok(Verdict::TakeOver(old, claim)),
        (Existing::TakeOver, Some(mismatch)) => Err(mismatch),
        (Existing::TakeOver, None) => Err(MultiProcessError::NothingToTakeOver { place: place.to_string() }),
        (Existing::TakeOverOrReplace, Some(_)) if carries_messages && !is_over => {
            Ok(Verdict::Replace(old, claim, Estate::PassedOn))
        }
        (Existing::TakeOverOrReplace, _) if is_over => Ok(Verdict::Replace(old, claim, Estate::Readable)),
        _ => Ok(Verdict::Replace(old, claim, Estate::Dropped)),
    }
}

/// Whether both the ring and this program say what their messages are, so that what the ring has can be read by those
/// who know it, however the two differ.
fn carries_messages<S: Carries>(segment: &Segment, request: &ProducerRequest) -> bool {
    let Ok(schema) = Schema::decode(segment.schema()) else { return false };
    let has_table = segment.header().table_len as usize <= TABLE_LEN_MAX + PLACES_FOR_OTHERS;
    has_table
        && request.content_tag.is_some()
        && schema.content_tag().is_some()
        && S::schema().first_difference(&schema).is_none()
}

/// Third step, where what is there is no ring of ours: takes it away if no process lives in it.
fn remove<S: Carries>(place: &Place, error: OpenError) -> MultiProcessResult<()> {
    match segment::gc(place) {
        Ok(segment::GcOutcome::Removed | segment::GcOutcome::NotFound) => Ok(()),
        Ok(_) => {
            let wanted = SegmentMake::ours(S::Form::KIND);
            match segment::occupant(place) {
                Ok(Some(it)) if !it.make.is_like(&wanted) => {
                    Err(MultiProcessError::InUseAsOther { place: place.to_string(), found: it.make, wanted })
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

/// The producer's claim; `None` if a producer has it. A collector holds every byte for an instant, and is waited for.
fn claim_producer(segment: &Segment) -> std::io::Result<Option<Claim>> {
    for _ in 0..ATTEMPTS {
        if let Some(claim) = segment.claim(PRODUCER_BYTE)? {
            return Ok(Some(claim));
        }
        if !segment.is_held(COLLECTOR)? {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    // Whoever it was may have gone between the two looks.
    segment.claim(PRODUCER_BYTE)
}

/// Whether the segment is ours and cannot be a ring of this program: it may go if no process lives in it.
fn is_other(error: &OpenError) -> bool {
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

/// Wakes whoever sleeps in a ring of whatever shape, which has been marked.
fn wake_everybody(segment: &Segment) {
    if let Some(control) = control(segment) {
        control.readers.0.ring();
    }
}

/// The schema of a ring, with what the events carry.
fn schema_with<S: Carries>(content_tag: Option<&str>) -> MultiProcessResult<Schema> {
    match content_tag {
        None => Ok(S::schema()),
        Some(tag) if Schema::is_content_tag(tag) => Ok(S::schema().with_content_tag(tag)),
        Some(tag) => Err(MultiProcessError::InvalidContentTag { tag: tag.to_owned() }),
    }
}

/// Compares what the events of a ring carry with what this program expects.
fn check_content(segment: &Segment, found: &Schema, wanted: Option<&str>) -> MultiProcessResult<()> {
    if found.content_tag() == wanted {
        return Ok(());
    }
    let (found, wanted) = (found.content_tag().map(str::to_owned), wanted.map(str::to_owned));
    Err(MultiProcessError::IncompatibleContent { place: segment.called(), found, wanted })
}

/// Compares the ring's events and slots with ours, and returns the schema that it has.
fn check_shape<S: Carries>(segment: &Segment, capacity: usize) -> MultiProcessResult<Schema> {
    let place = || segment.called();
    let schema = Schema::decode(segment.schema())
        .map_err(|source| MultiProcessError::DamagedSchema { place: place(), source })?;
    if let Some(difference) = S::schema().first_difference(&schema) {
        return Err(MultiProcessError::IncompatibleEvent { place: place(), difference: Box::new(difference) });
    }
    let header = segment.header();
    let capacity = if capacity == 0 { header.capacity as usize } else { capacity };
    let ours = blueprint::<S>(capacity, (header.places as usize).max(1))?;
    if header.capacity != ours.capacity {
        let unit = S::SIZE_UNIT;
        let [found, wanted] =
            [header.capacity, ours.capacity].map(|slots| slots.saturating_mul(unit.per_slot() as u64));
        return Err(MultiProcessError::OtherSize { place: place(), unit, found, wanted });
    }
    for (field, found, wanted) in [
        ("slot stride", header.slot_stride, ours.slot_stride),
        ("slot alignment", header.slot_align, ours.slot_align),
        ("payload offset", header.payload_offset, ours.payload_offset),
        ("payload length", header.payload_len, ours.payload_len),
        ("control section", header.plan.control.len, ours.control_len),
        ("consumer table", header.table_len.into(), ours.table_len.into()),
        ("consumer table section", header.plan.table.len, ours.table_bytes),
        ("counters section", header.plan.counters.len, ours.counters_len),
        ("slots section", header.plan.slots.len, ours.slots_len),
    ] {
        if found != wanted {
            return Err(MultiProcessError::IncompatibleLayout { place: place(), field, found, wanted });
        }
    }
    Ok(schema)
}

/// A producer goes on only in a ring with the places that it asks for, kept for the consumers that it asks for.
fn check_table(segment: &Segment, request: &ProducerRequest) -> MultiProcessResult<()> {
    let place = segment.called();
    let (found, wanted) = (u64::from(segment.header().places), request.places as u64);
    if found != wanted {
        return Err(MultiProcessError::IncompatibleLayout {
            place,
            field: "number of places for consumers",
            found,
            wanted,
        });
    }
    let (found, wanted) = (segment.header().prefix.as_str(), request.selection.prefix());
    if found != wanted {
        let (found, wanted) = (found.to_owned(), wanted.to_owned());
        return Err(MultiProcessError::IncompatiblePrefix { place, found, wanted });
    }
    Ok(())
}

/// How often a wait for a ring looks. A producer that takes a ring over changes nothing that the system would tell of,
/// so there is no way but to look; a look at a name that is not there costs some microseconds.
const READY_LOOK: Duration = Duration::from_millis(5);

/// Attaches a consumer, as soon as that is possible if the request says so.
pub(crate) fn consumer<S: Carries>(request: ConsumerRequest) -> MultiProcessResult<ConsumerBase<S>> {
    let attached = when_ready(&request.ring, || attach(&request));
    if let Err(error @ MultiProcessError::Unusable { source: OpenError::WrongKind { .. }, .. }) = &attached
        && !request.is_refused_silently
    {
        // A ring in which nothing is mapped yet. What is no ring has no word for it.
        let _ = refusal::leave_refusal(request.ring.place, request.rank, error);
    }
    attached
}

/// Maps the ring read-only for a tap, as soon as that is possible if the request says so. One that is refused leaves no
/// word: it may have no permission to, and no producer waits for it.
pub(crate) fn tap<S: Carries>(request: &RingRequest) -> MultiProcessResult<Mapped<S>> {
    when_ready(request, || attach_tap(request))
}

/// What `attach` attaches, once there is a living producer, if the request asks for one.
fn when_ready<T>(request: &RingRequest, attach: impl Fn() -> MultiProcessResult<T>) -> MultiProcessResult<T> {
    let Some(patience) = request.ready else { return attach() };
    let (begin, deadline) = (Instant::now(), patience.deadline());
    loop {
        let hindrance = match attach() {
            Err(error) if error.is_passing() || is_left_over(&request.place, &error) => error,
            answer => return answer,
        };
        let left = deadline.map_or(READY_LOOK, |deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            let (place, waited) = (request.place.to_string(), begin.elapsed());
            return Err(MultiProcessError::NotReadyInTime { place, waited, source: Box::new(hindrance) });
        }
        std::thread::sleep(READY_LOOK.min(left));
    }
}

/// Whether what stands at `place` is nothing that could be opened, and no process lives in it: then a producer will
/// replace it.
fn is_left_over(place: &Place, error: &MultiProcessError) -> bool {
    matches!(error, MultiProcessError::Unusable { source, .. } if is_other(source))
        && segment::occupant(place).is_ok_and(|occupant| occupant.is_none_or(|occupant| !occupant.is_in_use))
}

/// Says so if the ring has no producer that could go on.
fn check_producer<S: Carries>(segment: &Segment, request: &RingRequest) -> MultiProcessResult<()> {
    let place = segment.called().to_string();
    // The lock before the flags: a producer that closed and let go in between has said so by now.
    let is_held = segment.is_held(PRODUCER_BYTE).map_err(|source| MultiProcessError::Os {
        place: place.clone(),
        call: "looking at the producer's lock",
        source,
    })?;
    if segment.fate() != Fate::Live {
        return Err(MultiProcessError::Replaced { place });
    }
    let control = control(segment);
    let process = control.map_or(segment.header().creator, |control| control.producer.identity.load());
    let how = match control {
        Some(control) if control.gate.is_closed() => Ending::Left,
        Some(control) if control.gate.is_abandoned() => Ending::Panicked,
        // A producer that decides what to do with a ring has its lock as well, and says who it is only once it has
        // taken the ring over. Until then the one before it stands there. That is no proof of death, but a reason to
        // look again.
        _ if is_held && !matches!(process.observe().state, ProcessState::Gone | ProcessState::Zombie) => return Ok(()),
        _ => Ending::Killed,
    };
    let pid = process.pid;
    let difference = check_ring::<S>(segment, request).err().map(Box::new);
    Err(MultiProcessError::NoProducer { place, pid, how, difference })
}

/// Whether the ring is one of this program's.
fn check_ring<S: Carries>(segment: &Segment, request: &RingRequest) -> MultiProcessResult<()> {
    let schema = check_shape::<S>(segment, request.capacity)?;
    let is_taken = |found: &str| request.older_content_tags.iter().any(|older| older == found);
    match &request.content_tag {
        Some(tag) if !schema.content_tag().is_some_and(is_taken) => check_content(segment, &schema, Some(tag)),
        _ => Ok(()),
    }
}

/// The segment of that name, with a living producer if the request asks for one.
fn open<S: Carries>(request: &RingRequest, access: Access) -> MultiProcessResult<Segment> {
    // A tag that no ring can have is this program's mistake, whatever the ring has.
    schema_with::<S>(request.content_tag.as_deref())?;
    let segment = Segment::open(&request.place, S::Form::KIND, access)
        .map_err(|error| MultiProcessError::from_open(&request.place, error))?;
    if request.ready.is_some() {
        check_producer::<S>(&segment, request)?;
    }
    Ok(segment)
}

fn attach<S: Carries>(request: &ConsumerRequest) -> MultiProcessResult<ConsumerBase<S>> {
    let id = match &request.id {
        Some(id) => ConsumerId::chosen(id)?,
        None => ConsumerId::generated(),
    };
    let newest = Arc::new(open::<S>(&request.ring, Access::ReadWrite)?);
    let (segment, left) = to_read::<S>(&newest, &id, request.after)?;
    check_ring::<S>(&segment, &request.ring).inspect_err(|error| {
        if !request.is_refused_silently {
            // What an older ring is refused for is no row of the newest, whose producer is the one that waits.
            let is_newest = Arc::ptr_eq(&segment, &newest);
            let reason = if is_newest { error.into() } else { RefusalCause::of(error).into() };
            // Where it cannot be told, this process has the whole error all the same.
            let _ = refusal::leave_in(Arc::clone(&newest), request.rank, reason);
        }
    })?;
    let memory = Mapped::<S>::new(segment);
    let join = JoinRequest { id: &id, start: request.start, rank: request.rank };
    let refused = |error| MultiProcessError::from_join(memory.segment().called(), error);
    let member = membership::join(&memory, &join).map_err(refused)?;
    // Only now: until it has its place here, those are what says that it will come.
    left.iter().for_each(|older| lineage::leave(older, id.as_str()));
    let mut end = ConsumerBase::new(memory, member, id.as_str().to_owned(), request.wait, request.after);
    if request.keeps_place {
        end.keep_place();
    }
    Ok(end)
}

/// The ring that a consumer reads next, of those that follow each other at one place up to the `newest`: the oldest one
/// in which it has something to read, or lives. Beside it those in which it has a place and nothing to read. `after`:
/// the one that it comes from.
fn to_read<S: Carries>(
    newest: &Arc<Segment>,
    id: &ConsumerId,
    after: Option<u64>,
) -> MultiProcessResult<(Arc<Segment>, Vec<Arc<Segment>>)> {
    let replaced = || MultiProcessError::Replaced { place: newest.place().to_string() };
    if after == Some(newest.generation()) {
        return Err(replaced());
    }
    let mut left = Vec::new();
    if id.is_generated() {
        return Ok((Arc::clone(newest), left));
    }
    let mut older = lineage::ancestors(newest).map_err(|error| MultiProcessError::from_open(newest.place(), error))?;
    if let Some(from) = older.iter().position(|older| Some(older.generation()) == after) {
        older.truncate(from);
    }
    while let Some(oldest) = older.pop() {
        let Some((index, entry)) = lineage::place_of(&oldest, id.as_str()) else {
            // The last one that had a place there may have been killed before it removed it.
            lineage::collect(&oldest);
            continue;
        };
        let position = entry.position.load(Ordering::Acquire);
        check_shape::<S>(&oldest, 0)?;
        let lives = oldest.is_held(membership::entry_byte(index)).unwrap_or(true);
        let oldest = Arc::new(oldest);
        let memory = Mapped::<S>::new(Arc::clone(&oldest));
        if lives || memory.number_at(position) < memory.number_at(memory.published_end().0) {
            return Ok((oldest, left));
        }
        left.push(oldest);
    }
    Ok((Arc::clone(newest), left))
}

fn attach_tap<S: Carries>(request: &RingRequest) -> MultiProcessResult<Mapped<S>> {
    let segment = open::<S>(request, Access::ReadOnly)?;
    check_ring::<S>(&segment, request)?;
    let found = segment.header().abi.minor;
    if S::Form::CLAIMS && found < MINOR_WITH_CLAIMED {
        let (field, wanted) = ("minor version", MINOR_WITH_CLAIMED.into());
        return Err(MultiProcessError::IncompatibleLayout {
            place: request.place.to_string(),
            field,
            found: found.into(),
            wanted,
        });
    }
    Ok(Mapped::new(Arc::new(segment)))
}

/// A ring that carries this, mapped read-only.
pub(crate) fn observed<S: Carries>(place: &Place, capacity: usize) -> MultiProcessResult<Mapped<S>> {
    let segment = Segment::open(place, S::Form::KIND, Access::ReadOnly)
        .map_err(|error| MultiProcessError::from_open(place, error))?;
    check_shape::<S>(&segment, capacity)?;
    Ok(Mapped::new(Arc::new(segment)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SharedDisruptorBuilder;
    use crate::ring::memory::layout::Slots;
    use std::os::unix::fs::FileExt;

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
    fn a_ring_of_records_of_a_build_that_does_not_say_how_far_it_writes_has_readers_and_no_taps() {
        let dir = std::env::temp_dir().join(testkit::names::unique("minor"));
        std::fs::create_dir(&dir).unwrap();
        let path = dir.join("ring");
        let _producer = SharedDisruptorBuilder::records(path.as_path(), 4096).build_record_producer().unwrap();
        let file = std::fs::File::options().read(true).write(true).open(&path).unwrap();
        let mut page = [0; 4096];
        file.read_exact_at(&mut page, 0).unwrap();
        page[14..16].copy_from_slice(&0_u16.to_ne_bytes());
        segment::restamp(&mut page);
        file.write_all_at(&page, 0).unwrap();
        match SharedDisruptorBuilder::records(path.as_path(), 0).build_tap().map(drop) {
            Err(MultiProcessError::IncompatibleLayout { field: "minor version", found: 0, wanted: 1, .. }) => {}
            other => panic!("{other:?}"),
        }
        assert!(SharedDisruptorBuilder::records(path.as_path(), 0).build_record_consumer().is_ok());
        std::fs::remove_dir_all(&dir).unwrap();
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
