//! Attaches to an existing ring: at once, or as soon as it has a living producer.

use super::agreement::{check_content, check_shape, schema_with};
use super::possess::is_other;
use crate::error::{MultiProcessError, MultiProcessResult};
use crate::liveness::ProcessState;
use crate::ring::ends::consumer_end::ConsumerBase;
use crate::ring::ends::patience::Patience;
use crate::ring::identity::ConsumerId;
use crate::ring::lineage;
use crate::ring::membership::{self, JoinRequest, PRODUCER_BYTE};
use crate::ring::memory::layout::Carries;
use crate::ring::memory::mapped::Mapped;
use crate::ring::memory::sections::control;
use crate::ring::protocol::ending::Ending;
use crate::ring::protocol::form::Form;
use crate::ring::protocol::join::StartAt;
use crate::ring::protocol::memory::Memory;
use crate::ring::refusal::{self, RefusalCause};
use crate::segment::{self, Access, Fate, OpenError, Place, Segment};
use crate::step::nap;
use crate::sync::primitive::Ordering;
use crate::sync::wait::WaitStrategy;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The minor version of the ABI from which on producers of forms that ask for it store *claimed*. Source: RFC 0011.
const MINOR_WITH_CLAIMED: u16 = 1;

/// The ring that an end attaches to.
pub(crate) struct RingRequest {
    pub(crate) place: Place,
    /// 0: the capacity of the ring that is there.
    pub(crate) capacity: usize,
    pub(crate) content_tag: Option<String>,
    /// Other tags that are accepted.
    pub(crate) older_content_tags: Vec<String>,
    /// How long to wait for a ring with a living producer; `None`: a ring without one is accepted.
    pub(crate) ready: Option<Patience>,
}

pub(crate) struct ConsumerRequest {
    pub(crate) ring: RingRequest,
    pub(crate) id: Option<String>,
    pub(crate) rank: Option<u32>,
    pub(crate) start: StartAt,
    pub(crate) keeps_place: bool,
    pub(crate) wait: WaitStrategy,
    pub(crate) linger: Duration,
    /// The generation of the ring that the consumer comes from and has read to the end: only later ones count.
    pub(crate) after: Option<u64>,
    /// Whether the producer learns in another way that this process was refused.
    pub(crate) is_refused_silently: bool,
}

/// The pause between two looks in a wait for a ring. A producer that takes a ring over changes nothing that the system
/// would report, so polling is the only way. A look at a name that is not there costs some microseconds.
const READY_LOOK: Duration = Duration::from_millis(5);

/// Attaches a consumer, as soon as that is possible if the request says so.
pub(crate) fn consumer<S: Carries>(request: ConsumerRequest) -> MultiProcessResult<ConsumerBase<S>> {
    let attached = when_ready(&request.ring, || attach(&request));
    if let Err(error @ MultiProcessError::Unusable { source: OpenError::WrongKind { .. }, .. }) = &attached
        && !request.is_refused_silently
    {
        // A ring that is not mapped yet. What is no ring has no word for a refusal.
        let _ = refusal::leave_refusal(request.ring.place, request.rank, error);
    }
    attached
}

/// Maps the ring read-only for a tap, as soon as that is possible if the request says so. A refused tap stores no
/// refusal: it may not have permission, and no producer waits for it.
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
            let (place, waited) = (segment::called_at(&request.place), begin.elapsed());
            return Err(MultiProcessError::NotReadyInTime { place, waited, source: Box::new(hindrance) });
        }
        nap(READY_LOOK.min(left));
    }
}

/// Whether what is at `place` cannot be opened and no process lives in it: then a producer will replace it.
fn is_left_over(place: &Place, error: &MultiProcessError) -> bool {
    matches!(error, MultiProcessError::Unusable { source, .. } if is_other(source))
        && segment::occupant(place).is_ok_and(|occupant| occupant.is_none_or(|occupant| !occupant.is_in_use))
}

/// An error if the ring has no producer that could go on.
fn check_producer<S: Carries>(segment: &Segment, request: &RingRequest) -> MultiProcessResult<()> {
    let place = segment.called();
    // The lock is read before the flags: a producer that closed and released its lock in between has set them by now.
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
        // A producer that decides what to do with a ring has its lock as well, and stores its identity only once it has
        // taken the ring over. Until then the previous producer's is there. That proves no death, but is a reason to
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
            // If an older ring is refused, the difference is no row of the newest ring. But the producer of the newest
            // ring is the one that waits.
            let is_newest = Arc::ptr_eq(&segment, &newest);
            let reason = if is_newest { error.into() } else { RefusalCause::of(error).into() };
            // If it cannot be stored, this process still has the whole error.
            let _ = refusal::leave_in(Arc::clone(&newest), request.rank, reason);
        }
    })?;
    let memory = Mapped::<S>::new(segment);
    let join = JoinRequest { id: &id, start: request.start, rank: request.rank };
    let member = membership::join(&memory, &join).map_err(|error| {
        // A lock that was held for a moment may have kept another process from removing what no consumer needs.
        if memory.segment().fate() != Fate::Live {
            lineage::tidy::<S>(memory.segment());
        }
        MultiProcessError::from_join(memory.segment().called(), error)
    })?;
    // Only now: until it has its entry here, those entries show that it will come.
    left.iter().for_each(|older| lineage::leave(older, id.as_str()));
    if newest.header().predecessor != 0 {
        // This also removes what other processes left that were killed before they could remove it.
        lineage::tidy::<S>(&newest);
    }
    let mut end =
        ConsumerBase::new(memory, member, id.as_str().to_owned(), request.wait, request.linger, request.after);
    if request.keeps_place {
        end.keep_place();
    }
    Ok(end)
}

/// The ring that a consumer reads next, of the rings that follow each other at one place up to the `newest`. It is the
/// oldest one in which the consumer has something to read, or lives. Also returns the rings in which it has an entry
/// and nothing to read. `after`: the ring that it comes from.
fn to_read<S: Carries>(
    newest: &Arc<Segment>,
    id: &ConsumerId,
    after: Option<u64>,
) -> MultiProcessResult<(Arc<Segment>, Vec<Arc<Segment>>)> {
    let replaced = || MultiProcessError::Replaced { place: newest.called() };
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
        let place = lineage::place_of(&oldest, id.as_str());
        let Some((index, entry)) = place.filter(|(_, entry)| !lineage::is_gone_for_good(&oldest, entry)) else {
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
            place: segment.called(),
            field,
            found: found.into(),
            wanted,
        });
    }
    Ok(Mapped::new(Arc::new(segment)))
}
