//! Removing segments that no process uses any more.
//!
//! It may run at any time: it never removes what is in use, nor what is not ours.

use super::backend::{Access, Fault, Object};
use super::blueprint::HEADER_BYTES;
use super::copy;
use super::creation::remove_wreck;
use super::error::{GcError, OpenError, special_file};
use super::header::{self, FATE_OFFSET, SegmentMake};
use super::owner::LockRange;
use super::place::Place;
use super::segment::{Fate, header_word};
use crate::step;
use crate::sync::primitive::Ordering;

/// What [`gc`] found and did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GcOutcome {
    /// No process used it; it is gone.
    Removed,
    /// A process uses it; it was not touched.
    InUse {
        /// A lock byte that is held: 0 is the producer's, `1 + i` that of entry `i` of the consumer table.
        byte: u32,
    },
    /// There is nothing at that place.
    NotFound,
    /// What is there is not a segment of ours, in any state; it was not touched. An empty file is not recognisable as
    /// ours.
    NotOurs,
    /// It is a [copy](super::is_copy) of a segment, and no process has locked it; it was not touched. A person made it
    /// and removes it as any other file.
    IsCopy,
}

/// What is at a place.
#[derive(Clone, Debug)]
pub(crate) struct Occupant {
    /// Its name for people.
    pub(crate) called: String,
    pub(crate) make: SegmentMake,
    /// Whether a process uses it: one that holds a lock byte.
    pub(crate) is_in_use: bool,
}

/// The segment of ours at `place`, of any version; `None` if there is none, or its first bytes are damaged. The answer
/// can be stale at once.
///
/// # Errors
/// It may not be opened by this process, or the system fails.
pub(crate) fn occupant(place: &Place) -> Result<Option<Occupant>, OpenError> {
    let fault = |fault| OpenError::from_fault(place, fault);
    let Some(object) = place.backend()?.lookup(Access::ReadOnly).map_err(fault)? else { return Ok(None) };
    let start = object.read_start(HEADER_BYTES as usize).map_err(|e| fault(Fault::new("pread", e)))?;
    let held = object.first_held(LockRange::Whole).map_err(|e| fault(Fault::new("fcntl(F_OFD_GETLK)", e)))?;
    let occupant = |make| Occupant { called: called(place, &start), make, is_in_use: held.is_some() };
    Ok(header::make_of(&start).map(occupant))
}

/// The name for people of the object at `place`, if this process can read it: for errors about a segment that it has
/// not opened.
pub(crate) fn called_at(place: &Place) -> String {
    occupant(place).ok().flatten().map_or_else(|| place.to_string(), |occupant| occupant.called)
}

/// The name for people of the segment at `place` that begins with `start`.
fn called(place: &Place, start: &[u8]) -> String {
    match header::parse_header(start, u64::MAX) {
        Ok(header) => place.clone().titled(header.title).to_string(),
        Err(_) => place.to_string(),
    }
}

/// Removes the segment at `place` if no process uses it: neither a producer, nor a registered consumer, nor a process
/// that counts in it, in any container. Damaged and unfinished segments are removed as well, and those of other
/// versions. A [copy](super::is_copy) stays.
///
/// A ring that replaced one with messages of another type counts together with it: it is in use as long as a consumer
/// reads the older one, and both are removed together.
///
/// All lock bytes are held at once meanwhile, so no process can join; a process that opened the segment just before
/// finds it marked as removed. Taps are not seen: they keep their mapping and read in it that the segment was removed.
///
/// # Errors
/// [`GcError`]: it may not be opened or removed by this process, or the system fails. It is still there then.
pub fn gc(place: impl Into<Place>) -> Result<GcOutcome, GcError> {
    collect(&place.into(), |_| true).map(|outcome| outcome.expect("everything may go"))
}

/// [`gc`] of the segment at `place` if `may_go` allows it for its generation (0: its header is damaged). It is asked
/// while all lock bytes are held: no process uses the segment, and none can join. `None`: it does not allow it.
///
/// # Errors
/// As [`gc`].
pub(crate) fn collect(place: &Place, may_go: impl FnOnce(u64) -> bool) -> Result<Option<GcOutcome>, GcError> {
    let in_use = |byte| Ok(Some(GcOutcome::InUse { byte }));
    let (not_found, not_ours) = (Ok(Some(GcOutcome::NotFound)), Ok(Some(GcOutcome::NotOurs)));
    let backend = place.backend()?;
    let fault = |fault| GcError::from_fault(place, place, fault);
    // A replacer's unfinished object has the device and inode of its own too.
    if let Some(aside) = backend.aside().filter(|aside| !copy::is_copied(&**aside)) {
        // If it cannot be removed, the segment itself can still be collected.
        let _ = remove_wreck(&*aside);
    }
    let object = match backend.lookup(Access::ReadWrite) {
        Ok(Some(object)) => object,
        Ok(None) => return not_found,
        Err(error) if special_file(&error.source).is_some() => return not_ours,
        Err(error) => return Err(fault(error)),
    };
    let start = object.read_start(HEADER_BYTES as usize).map_err(|e| fault(Fault::new("pread", e)))?;
    if !header::is_ours(&start) {
        return not_ours;
    }
    // Errors name the segment as people call it.
    let called = called(place, &start);
    let fault = |fault| GcError::from_fault(place, &called, fault);
    let (generation, predecessor) = descent_of(&object, &start);
    if let Some(byte) = first_held_before(place, predecessor).map_err(fault)? {
        return in_use(byte);
    }
    let _everybody = loop {
        match object.try_lock(LockRange::Whole).map_err(|e| fault(Fault::new("fcntl(F_OFD_SETLK)", e)))? {
            Some(claim) => break claim,
            // The process that held a byte may have gone between the two calls; then we try to lock again.
            None => {
                match object.first_held(LockRange::Whole).map_err(|e| fault(Fault::new("fcntl(F_OFD_GETLK)", e)))? {
                    Some(byte) => return in_use(byte),
                    None => continue,
                }
            }
        }
    };
    let identity = object.identity().map_err(|e| fault(Fault::new("fstat", e)))?;
    match backend.identity().map_err(fault)? {
        None => return not_found,
        // Another process has replaced it between our opening and our locking, and a new segment has a live producer.
        Some(named) if named != identity => return in_use(super::owner::PRODUCER),
        Some(_) => {}
    }
    if copy::is_copy_of(&object, &start).map_err(|e| fault(Fault::new("fstat", e)))? {
        return Ok(Some(GcOutcome::IsCopy));
    }
    if !may_go(generation) {
        return Ok(None);
    }
    let has_page = object.len().map_err(|e| fault(Fault::new("fstat", e)))? >= HEADER_BYTES;
    let page = has_page
        .then(|| object.map(HEADER_BYTES as usize, None, Access::ReadWrite, false))
        .transpose()
        .map_err(fault)?;
    // Its predecessors first: they can be found only through this one, so a collector that is killed in between leaves
    // nothing that cannot be found.
    if predecessor != 0
        && backend.protecting_owner().is_none()
        && let Some(older) = place.second_name(predecessor)
        && let Ok(GcOutcome::InUse { byte }) = gc(older)
    {
        // A consumer has come back to the older segment in between. Any other outcome does not prevent the removal of
        // this one.
        return in_use(byte);
    }
    // The step that can be refused comes first: then the segment is as it was.
    if let Err(error) = backend.unlink() {
        return match (error.source.kind(), backend.refusing_owner(&error.source)) {
            (std::io::ErrorKind::NotFound, _) => not_found,
            (_, Some(owner_uid)) => Err(GcError::NotOwner { place: called, owner_uid, source: error.source }),
            _ => Err(fault(error)),
        };
    }
    step!(CollectUnlinked);
    if let Some(page) = page {
        // Release pairs with the Acquire in `Segment::fate`. The word has this place and meaning in every version.
        header_word(&page, FATE_OFFSET).store(Fate::Removed.to_wire(), Ordering::Release);
        step!(CollectMarked);
    }
    Ok(Some(GcOutcome::Removed))
}

/// How many predecessors of a segment are checked. A longer chain was not made by this library.
const PREDECESSORS_MAX: usize = 64;

/// The generation of the segment that begins with `start`, and that of the segment that it replaced, if that is kept; 0
/// if there is none.
fn descent_of(object: &Object, start: &[u8]) -> (u64, u64) {
    let header = object.len().ok().and_then(|len| header::parse_header(start, len).ok());
    header.map_or((0, 0), |header| (header.generation, header.predecessor))
}

/// A lock byte that is held in a predecessor of the segment at `place` with content that is still to be read.
fn first_held_before(place: &Place, mut predecessor: u64) -> Result<Option<u32>, Fault> {
    for _ in 0..PREDECESSORS_MAX {
        let Some(second) = place.second_name(predecessor).filter(|_| predecessor != 0) else { break };
        let Ok(backend) = second.backend() else { break };
        let Some(older) = backend.lookup(Access::ReadOnly)? else { break };
        let held = older.first_held(LockRange::Whole).map_err(Fault::of("fcntl(F_OFD_GETLK)"))?;
        if held.is_some() {
            return Ok(held);
        }
        let start = older.read_start(HEADER_BYTES as usize).map_err(Fault::of("pread"))?;
        (_, predecessor) = descent_of(&older, &start);
    }
    Ok(None)
}
