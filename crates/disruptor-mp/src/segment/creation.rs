//! Making a segment: a new one that appears under its name when it is ready, or one that replaces another.
//!
//! # Creating, step by step
//!
//! | step | killed here, this remains |
//! |---|---|
//! | make an object without a name | nothing |
//! | lock the producer's byte on a descriptor of its own | nothing |
//! | write the header page, reserve the space | nothing |
//! | map, write the schema, let the caller initialise | nothing |
//! | store `ready` with Release | nothing |
//! | give it its name, exclusively | a whole segment, whose producer is dead |
//!
//! Where an object cannot be without a name (macOS, some network and FUSE file systems) the name comes first, so an
//! unready object may remain. Its lock is then free: an opener recognises by that, after a second look, that the
//! creator is dead, and `gc` removes the object. Only an empty object is left alone, because nothing in it says that it
//! is ours. A replacement first has a hidden name in the same directory, and takes the name when it is complete: see
//! [`replace`].

use std::io;
use std::time::Instant;

use rustix::io::Errno;

use super::backend::{Access, Backend, Fault, GIVE_TO_GROUP, MemoryLimit, Object, Request};
use super::blueprint::{Blueprint, HEADER_BYTES, Kind, SegmentPlan};
use super::error::CreateError;
use super::header::{Header, READY, READY_OFFSET, is_ours};
use super::options::CreateOptions;
use super::owner::{Claim, LockRange, PRODUCER, ProcessIdentity};
use super::permissions::Permissions;
use super::place::Place;
use super::segment::{Segment, twice};
use crate::step;
use crate::sync::primitive::{AtomicU64, Ordering};

impl Segment {
    /// Creates a segment that does not exist and claims its producer's byte, before any other process can find it.
    /// `init` gets the mapped segment, all zero after the header and the schema, and writes what the first reader
    /// needs; not the slots.
    ///
    /// # Errors
    /// [`CreateError`]; nothing is left of the attempt.
    pub(crate) fn create(
        place: &Place,
        blueprint: &Blueprint,
        options: &CreateOptions,
        init: impl FnOnce(&Self),
    ) -> Result<(Self, Claim), CreateError> {
        let construction = Construction::new(place, blueprint, options)?;
        let backend = place.backend()?;
        let fault = |fault| construction.error(fault);
        // Giving the name is exclusive anyway; this look avoids reserving megabytes for nothing.
        if backend.identity().map_err(fault)?.is_some() {
            return Err(CreateError::AlreadyExists { place: place.to_string() });
        }
        let draft = construction.draft(&*backend).map_err(fault)?;
        let new = construction.build(&draft, init)?;
        draft.finish().map_err(fault)?;
        Ok(new)
    }
}

/// Replaces `old` by a new segment. `claim` is the producer's claim of `old` and is held until the new one is there, so
/// that no process takes `old` over meanwhile. `old` is marked as replaced and then handed to `woken`, which wakes all
/// its readers.
///
/// Steps that can be refused come first. In a directory the new segment is completed, gets a hidden name, and then
/// takes the name of `old` in one step: there is a segment under the name at any time. Only then is `old` marked. After
/// a refusal `old` is as it was.
///
/// # Errors
/// [`CreateError`]; `AlreadyExists` if something else is in the place of `old`, `NotOwner` if this process may not
/// remove its name.
pub(crate) fn replace(
    old: &Segment,
    claim: Claim,
    place: &Place,
    blueprint: &Blueprint,
    options: &CreateOptions,
    woken: impl FnOnce(&Segment),
    init: impl FnOnce(&Segment),
) -> Result<(Segment, Claim), CreateError> {
    assert_eq!(claim.byte(), PRODUCER, "only who holds the producer's claim may replace a segment");
    let construction = Construction::new(place, blueprint, options)?;
    let backend = place.backend()?;
    let fault = |fault| construction.error(fault);
    let old_identity = old.object().identity().map_err(|e| fault(Fault::new("fstat", e)))?;
    // Whether the name leads to `old` (true) or nowhere (false).
    let names_old = || match backend.identity().map_err(fault)? {
        None => Ok(false),
        Some(identity) if identity == old_identity => Ok(true),
        Some(_) => Err(CreateError::AlreadyExists { place: place.to_string() }),
    };
    let refused = |fault| construction.unlink_error(&*backend, fault);
    let has_name = names_old()?;
    let new = match backend.aside().filter(|_| has_name) {
        Some(aside) => {
            remove_wreck(&*aside).map_err(fault)?;
            let in_the_way = |fault: Fault| match fault.source.kind() {
                io::ErrorKind::AlreadyExists => CreateError::Os {
                    place: place.to_string(),
                    call: "making the replacement in a hidden file beside it, `.NAME.new`, which is not ours,",
                    source: fault.source,
                },
                _ => construction.error(fault),
            };
            let mut draft = construction.draft(&*aside).map_err(in_the_way)?;
            let new = construction.build(&draft, init)?;
            draft.name().map_err(in_the_way)?;
            step!(ReplacementMade);
            // As long as the name leads to `old`, whose producer's claim we hold, no process that follows the protocol
            // replaces it. If the name was removed meanwhile, any process may take it: the caller looks again.
            if !names_old()? {
                return Err(CreateError::AlreadyExists { place: place.to_string() });
            }
            backend.move_here().map_err(refused)?;
            draft.finish().map_err(fault)?;
            old.mark_replaced();
            woken(old);
            new
        }
        // A place without a directory, or `old` has lost its name already.
        None => {
            let draft = construction.draft(&*backend).map_err(fault)?;
            let new = construction.build(&draft, init)?;
            if has_name {
                backend.unlink().map_err(refused)?;
            }
            old.mark_replaced();
            woken(old);
            draft.finish().map_err(fault)?;
            new
        }
    };
    drop(claim);
    Ok(new)
}

/// Removes what a killed replacer has left [aside](Backend::aside), unless a process uses it. A process that makes an
/// object there holds the producer's claim of the segment that it replaces. An empty file there is an unfinished
/// replacement: its name says so.
pub(super) fn remove_wreck(aside: &dyn Backend) -> Result<(), Fault> {
    let Some(wreck) = aside.lookup(Access::ReadWrite)? else { return Ok(()) };
    let start = wreck.read_start(HEADER_BYTES as usize).map_err(Fault::of("pread"))?;
    if !start.is_empty() && !is_ours(&start) {
        return Ok(());
    }
    let everybody = wreck.try_lock(LockRange::Whole).map_err(Fault::of("fcntl(F_OFD_SETLK)"))?;
    let identity = wreck.identity().map_err(Fault::of("fstat"))?;
    if everybody.is_none() || aside.identity()? != Some(identity) {
        return Ok(());
    }
    aside.unlink()
}

/// Everything that is decided before an object exists.
struct Construction<'a> {
    place: &'a Place,
    blueprint: &'a Blueprint,
    options: &'a CreateOptions,
    plan: SegmentPlan,
    request: Request,
}

impl<'a> Construction<'a> {
    fn new(place: &'a Place, blueprint: &'a Blueprint, options: &'a CreateOptions) -> Result<Self, CreateError> {
        let plan = blueprint.plan()?;
        let new = Self { place, blueprint, options, plan, request: request_of(options, blueprint.kind, &plan) };
        let backend = place.backend()?;
        let wanted_bytes = plan.total_len;
        if let Some(limit_bytes) =
            backend.longest_object_bytes(&new.request).filter(|limit_bytes| *limit_bytes < wanted_bytes)
        {
            return Err(CreateError::FileSizeLimit { place: place.to_string(), wanted_bytes, limit_bytes });
        }
        // The directory of shared memory is the system's.
        if options.make_directories && matches!(place.untitled(), Place::File(_)) {
            backend.make_directories().map_err(|fault| new.error(fault))?;
        }
        Ok(new)
    }

    /// Refuses what would end in SIGKILL.
    fn check_memory(&self, object: &Object) -> Result<(), CreateError> {
        let wanted_bytes = self.plan.total_len;
        match object.memory_limit() {
            Some(MemoryLimit { limit_bytes, available_bytes })
                if !self.options.sparse && available_bytes < wanted_bytes =>
            {
                Err(CreateError::MemoryLimit {
                    place: self.place.to_string(),
                    wanted_bytes,
                    available_bytes,
                    limit_bytes,
                })
            }
            _ => Ok(()),
        }
    }

    /// A new object: without a name or, if the place cannot do that, with the name of `backend`.
    fn draft<'b>(&self, backend: &'b dyn Backend) -> Result<Draft<'b>, Fault> {
        Ok(match backend.draft_nameless(&self.request)? {
            Some(object) => Draft { backend, object, named: false },
            None => Draft { backend, object: backend.draft_named(&self.request)?, named: true },
        })
    }

    /// Turns a draft into a ready segment. The lock comes first: an object that can be found is locked or dead.
    fn build(&self, draft: &Draft<'_>, init: impl FnOnce(&Segment)) -> Result<(Segment, Claim), CreateError> {
        let fault = |fault| self.error(fault);
        let object = &draft.object;
        let claim =
            object.try_lock(LockRange::Byte(PRODUCER)).map_err(|e| fault(Fault::new("fcntl(F_OFD_SETLK)", e)))?;
        let claim = claim.ok_or_else(|| CreateError::AlreadyExists { place: self.place.to_string() })?;
        step!(ProducerLocked);
        self.check_memory(object)?;
        let title = self.place.title().cloned().unwrap_or_default();
        let numbers = object.numbers().map_err(|e| fault(Fault::new("fstat", e)))?;
        let creator = ProcessIdentity::current();
        let header = Header::new(self.blueprint, title, self.plan, new_generation(), creator, numbers);
        let filled = object.fill(&header.to_page(), self.plan.total_len, self.options.sparse);
        filled.map_err(|fault| self.fill_error(object, fault))?;
        step!(SegmentReserved);
        let len = self.plan.total_len as usize; // the plan keeps it within `isize`
        let mapping = object.map(len, self.request.again, Access::ReadWrite, self.options.prefault).map_err(fault)?;
        if self.options.mlock {
            mapping.lock_pages().map_err(|e| self.lock_error(e))?;
        }
        let schema = self.blueprint.schema.clone();
        let segment = Segment::of(self.place, object.clone(), mapping, header, schema, Access::ReadWrite);
        segment.write_schema(segment.schema());
        init(&segment);
        step!(SegmentWritten);
        // Release, last of all: pairs with the Acquire in `Segment::attach`.
        segment.word(READY_OFFSET).store(READY, Ordering::Release);
        step!(SegmentReady);
        Ok((segment, claim))
    }

    /// The error if the pages cannot be locked in memory.
    fn lock_error(&self, source: io::Error) -> CreateError {
        // The system's answers for a limit of 0, and for one that would be exceeded.
        let is_limit = matches!(Errno::from_io_error(&source), Some(Errno::PERM | Errno::NOMEM | Errno::AGAIN));
        match rustix::process::getrlimit(rustix::process::Resource::Memlock).current.filter(|_| is_limit) {
            Some(limit_bytes) => CreateError::LockLimit {
                place: self.place.to_string(),
                wanted_bytes: self.plan.total_len,
                limit_bytes,
                source,
            },
            None => self.error(Fault::new("mlock", source)),
        }
    }

    /// The error if the name of the replaced segment may not be removed.
    fn unlink_error(&self, backend: &dyn Backend, fault: Fault) -> CreateError {
        match backend.refusing_owner(&fault.source) {
            Some(owner_uid) => CreateError::NotOwner { place: self.place.to_string(), owner_uid, source: fault.source },
            None => self.error(fault),
        }
    }

    /// The error if the space cannot be reserved.
    fn fill_error(&self, object: &Object, fault: Fault) -> CreateError {
        let (place, wanted_bytes) = (self.place.to_string(), self.plan.total_len);
        match Errno::from_io_error(&fault.source) {
            Some(Errno::NOSPC | Errno::DQUOT) => CreateError::NoSpace {
                place,
                wanted_bytes,
                available_bytes: object.available_bytes(),
                source: fault.source,
            },
            Some(Errno::OPNOTSUPP) => {
                CreateError::UnsupportedSpace { place, file_system: object.file_system(), source: fault.source }
            }
            _ => self.error(fault),
        }
    }

    /// The error for any other failure. A file system without free inodes can refuse the first call, and also the last.
    fn error(&self, fault: Fault) -> CreateError {
        let Fault { call, source } = fault;
        let place = self.place.to_string();
        if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
            && let Ok(backend) = self.place.backend()
            && let Some(directory) = backend.missing_directory()
        {
            return CreateError::NoDirectory { place, directory: directory.display().to_string(), source };
        }
        match (source.kind(), Errno::from_io_error(&source)) {
            (_, Some(Errno::NOSPC | Errno::DQUOT)) => {
                match self.place.backend().ok().and_then(|backend| backend.free_bytes_without_inodes()) {
                    Some(free_bytes) => CreateError::NoInodes { place, free_bytes, source },
                    None => {
                        CreateError::NoSpace { place, wanted_bytes: self.plan.total_len, available_bytes: 0, source }
                    }
                }
            }
            (io::ErrorKind::AlreadyExists, _) => CreateError::AlreadyExists { place },
            (io::ErrorKind::PermissionDenied, _) => match (call, self.request.group) {
                (GIVE_TO_GROUP, Some(group_gid)) => CreateError::Group { place, group_gid, source },
                _ => {
                    let directory = self.place.path().and_then(|path| Permissions::of_path(path.parent()?));
                    CreateError::PermissionDenied { place, call, directory, source }
                }
            },
            _ => CreateError::Os { place, call, source },
        }
    }
}

/// The request to a backend.
fn request_of(options: &CreateOptions, kind: Kind, plan: &SegmentPlan) -> Request {
    let mode = if options.group.is_some() { 0o660 } else { 0o600 };
    Request { total_len: plan.total_len, again: twice(kind, plan), mode, group: options.group }
}

/// An object that is not finished. Dropped before it is finished, it leaves nothing: without a name it vanishes, and a
/// name is removed.
struct Draft<'a> {
    backend: &'a dyn Backend,
    object: Object,
    /// Whether it has its name already, which must be removed if it is not finished.
    named: bool,
}

impl Draft<'_> {
    /// Makes sure that the object has its name. The name is removed if the object is not finished.
    fn name(&mut self) -> Result<(), Fault> {
        if !self.named {
            self.backend.give_name(&self.object)?;
            self.named = true;
        }
        Ok(())
    }

    /// Makes sure that the object has its name, and leaves it there.
    fn finish(mut self) -> Result<(), Fault> {
        self.name()?;
        self.named = false;
        step!(SegmentNamed);
        Ok(())
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if self.named && matches!((self.backend.identity(), self.object.identity()), (Ok(Some(a)), Ok(b)) if a == b) {
            // If it fails, an unready object without a lock remains, which `gc` removes; the error that the caller gets
            // matters more.
            let _ = self.backend.unlink();
        }
    }
}

/// A number that no other segment has. It comes from the random seed of this process's hash tables, and from the
/// process's identity, the time and a count of calls, because a child of a fork inherits the seed.
fn new_generation() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    static MADE: AtomicU64 = AtomicU64::new(0);
    RandomState::new().hash_one((ProcessIdentity::current(), Instant::now(), MADE.fetch_add(1, Ordering::Relaxed)))
}
