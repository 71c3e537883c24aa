//! One mapped segment: how it is opened, and what may be asked of it. The code is the same for all backends.

use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::backend::{Access, Backend, Fault, Mapping, Object};
use super::blueprint::{HEADER_BYTES, Kind, Section, SegmentPlan};
use super::creation::remove_wreck;
use super::error::{CreateError, OpenError};
use super::header::{FATE_OFFSET, Header, HeaderError, READY, READY_OFFSET, parse_header};
use super::owner::{COLLECTOR, Claim, LockRange, PRODUCER, Spare, fork_epoch};
use super::permissions::Permissions;
use super::place::Place;
use crate::step;
use crate::sync::primitive::{AtomicU32, Ordering};

/// How long an opener waits for a creator that is alive and not finished. Reserving a gigabyte takes a third of a
/// second.
const READY_WAIT: Duration = if cfg!(fuzzing) { Duration::ZERO } else { Duration::from_secs(10) };

/// How long the lock of an unready object has to be free until its creator counts as dead: an object under a name
/// exists for an instant before its creator has locked it.
const SECOND_LOOK: Duration = if cfg!(fuzzing) { Duration::ZERO } else { Duration::from_secs(1) };

/// How many processes may write into one segment besides its participants. Each looks for a free byte, one byte after
/// the other.
const WRITERS_MAX: u32 = 4096;

/// How often an opener looks whether a segment has become ready.
const READY_POLL: Duration = Duration::from_millis(1);

/// What happened to a segment, for processes that still have it mapped. It only changes from `Live`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It was neither replaced nor removed: it is in use, or its participants died.
    Live,
    /// Another segment has replaced it.
    Replaced,
    /// It was removed by `gc`.
    Removed,
}

impl Fate {
    pub(super) const fn to_wire(self) -> u32 {
        match self {
            Self::Live => 0,
            Self::Replaced => 1,
            Self::Removed => 2,
        }
    }

    /// A word that none of our builds writes means that this segment should not be used any more.
    const fn from_wire(word: u32) -> Self {
        match word {
            0 => Self::Live,
            1 => Self::Replaced,
            _ => Self::Removed,
        }
    }
}

/// A mapped segment, its checked header, and the object itself for questions about it. Unmapped on drop.
///
/// A child of a fork has private memory instead of the mapping, and can lock, rename and remove nothing through this.
#[derive(Debug)]
pub(crate) struct Segment {
    place: Place,
    object: Object,
    mapping: Mapping,
    header: Header,
    schema: Vec<u8>,
    access: Access,
    fork_epoch: u32,
}

// The type is moved to the consumer's thread and read by watchers on other threads; it only hands out the raw pointers
// inside.
const _: () = {
    const fn shared_by_threads<T: Send + Sync>() {}
    shared_by_threads::<Segment>();
    shared_by_threads::<Claim>();
};

impl Segment {
    /// Opens the ring at `place`, whatever it carries. `WrongKind`: there is something else than a ring.
    pub(crate) fn open_ring(place: &Place, access: Access) -> Result<Self, OpenError> {
        match Self::open(place, Kind::Ring, access) {
            Err(OpenError::WrongKind { found, .. }) if found.is_ring() => Self::open(place, found, access),
            other => other,
        }
    }

    /// Opens a segment of that kind and maps it. Waits for at most ten seconds for a live creator that has not
    /// finished.
    ///
    /// # Errors
    /// [`OpenError`]; each reason has its own variant.
    pub(crate) fn open(place: &Place, kind: Kind, access: Access) -> Result<Self, OpenError> {
        let backend = place.backend()?;
        let fault = |fault| OpenError::from_fault(place, fault);
        let started = Instant::now();
        let mut unlocked_since = None;
        loop {
            let object = backend.lookup(access).map_err(fault)?;
            let object = object.ok_or_else(|| OpenError::NotFound { place: place.to_string() })?;
            let error = match read_header(&object).map_err(fault)? {
                Ok(header) => return Self::attach(place, object, header, kind, access),
                Err(error) => error,
            };
            let held =
                object.first_held(LockRange::Byte(PRODUCER)).map_err(|e| fault(Fault::new("fcntl(F_OFD_GETLK)", e)))?;
            let unfinished_by = match error {
                HeaderError::NotReady { pid } => pid,
                // Its creator, if there is one, has just made it and writes the header next.
                HeaderError::TooShort { len_bytes: 0 } => 0,
                HeaderError::WrongMagic { blank: true } if held.is_some() => 0,
                _ => return Err(OpenError::from_header(place, error)),
            };
            if held.is_some() {
                unlocked_since = None;
                if started.elapsed() >= READY_WAIT {
                    return Err(OpenError::NotReady { place: place.to_string(), pid: unfinished_by });
                }
            } else if unlocked_since.get_or_insert_with(Instant::now).elapsed() >= SECOND_LOOK {
                return Err(match error {
                    HeaderError::NotReady { .. } => OpenError::CreatorDied { place: place.to_string() },
                    _ => OpenError::from_header(place, error),
                });
            }
            std::thread::sleep(READY_POLL);
        }
    }

    /// Maps what is at `place` read-only, whatever it is, and waits for nothing.
    ///
    /// # Errors
    /// [`OpenError`]; `CreatorDied` if the segment is not finished and no process holds the creator's lock.
    pub(crate) fn observe(place: &Place) -> Result<Self, OpenError> {
        let backend = place.backend()?;
        let fault = |fault| OpenError::from_fault(place, fault);
        let object = backend.lookup(Access::ReadOnly).map_err(fault)?;
        let object = object.ok_or_else(|| OpenError::NotFound { place: place.to_string() })?;
        let header = match read_header(&object).map_err(fault)? {
            Ok(header) => header,
            Err(HeaderError::NotReady { .. }) if matches!(object.first_held(LockRange::Byte(PRODUCER)), Ok(None)) => {
                return Err(OpenError::CreatorDied { place: place.to_string() });
            }
            Err(error) => return Err(OpenError::from_header(place, error)),
        };
        let kind = header.kind;
        Self::attach(place, object, header, kind, Access::ReadOnly)
    }

    /// Whether it is a copy: its header was written for another object. `false` if the header does not say.
    pub(crate) fn is_copy(&self) -> io::Result<bool> {
        let numbers = self.object.numbers()?;
        Ok(self.header.object.is_some_and(|written_for| numbers.is_some_and(|numbers| numbers != written_for)))
    }

    /// Whether the object has all bytes that are mapped.
    pub(crate) fn is_whole(&self) -> io::Result<bool> {
        Ok(self.object.len()? >= self.total_len())
    }

    /// Maps an object whose header is right.
    fn attach(place: &Place, object: Object, header: Header, kind: Kind, access: Access) -> Result<Self, OpenError> {
        // From here on it has the title that is in its header.
        let place = &place.clone().titled(header.title.clone());
        if header.kind != kind {
            let (found, event_bytes) = (header.kind, header.payload_len);
            return Err(OpenError::WrongKind { place: place.to_string(), found, event_bytes, wanted: kind });
        }
        let len = header.plan.total_len as usize; // the layout rule keeps it within `isize`
        let mapping = object
            .map(len, twice(header.kind, &header.plan), access, false)
            .map_err(|fault| OpenError::from_fault(place, fault))?;
        let mut segment = Self::of(place, object, mapping, header, Vec::new(), access);
        // Acquire pairs with the Release in `Construction::build`: a process that sees READY here sees what the creator
        // wrote before it. We know already that the word was READY, but from a read that orders nothing.
        if segment.word(READY_OFFSET).load(Ordering::Acquire) != READY {
            return Err(OpenError::from_header(place, HeaderError::NotReady { pid: segment.header.creator.pid }));
        }
        segment.schema = segment.copy_schema();
        Ok(segment)
    }

    /// A segment of what this process has mapped.
    pub(super) fn of(
        place: &Place,
        object: Object,
        mapping: Mapping,
        header: Header,
        schema: Vec<u8>,
        access: Access,
    ) -> Self {
        Self { place: place.fixed(), object, mapping, header, schema, access, fork_epoch: fork_epoch() }
    }

    pub(super) fn object(&self) -> &Object {
        &self.object
    }

    /// The checked copy of the header, taken when the segment was opened.
    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// The description of the slots, copied when the segment was opened.
    pub(crate) fn schema(&self) -> &[u8] {
        &self.schema
    }

    /// The control lines: where they begin, and their length in bytes. Aligned to 128 bytes, valid as long as `self`.
    pub(crate) fn control(&self) -> (NonNull<u8>, usize) {
        self.section(self.header.plan.control)
    }

    /// The consumer table, as [`control`](Self::control).
    pub(crate) fn table(&self) -> (NonNull<u8>, usize) {
        self.section(self.header.plan.table)
    }

    /// The counters, as [`control`](Self::control).
    pub(crate) fn counters(&self) -> (NonNull<u8>, usize) {
        self.section(self.header.plan.counters)
    }

    /// The slots, as [`control`](Self::control), aligned to 4096 bytes. Zero at creation. Those of a ring of records
    /// are mapped twice in a row: after the last comes the first.
    pub(crate) fn slots(&self) -> (NonNull<u8>, usize) {
        self.section(self.header.plan.slots)
    }

    /// Where it was created or opened, with the title from its header.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Its name for reports and errors: its session and rank, and then its place.
    pub(crate) fn called(&self) -> String {
        self.place.to_string()
    }

    /// Distinguishes this segment from any other, even from one of the same name.
    pub(crate) fn generation(&self) -> u64 {
        self.header.generation
    }

    /// The segment that this one replaced, if it has unread content and can be found under its second name.
    ///
    /// # Errors
    /// It exists, but may not be opened or is damaged.
    pub(crate) fn predecessor(&self) -> Result<Option<Self>, OpenError> {
        let generation = self.header.predecessor;
        if generation == 0 {
            return Ok(None);
        }
        let Some(second) = self.place.second_name(generation) else { return Ok(None) };
        match Self::open(&second, self.header.kind, Access::ReadWrite) {
            Ok(older) => Ok((older.generation() == generation).then_some(older)),
            Err(OpenError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether it can be found under its second name.
    pub(crate) fn has_second_name(&self) -> bool {
        self.place.second_name(self.generation()).is_some_and(|second| self.is_named_at(&second))
    }

    /// Whether it is mapped read-only: a write would be SIGSEGV.
    pub(crate) fn is_read_only(&self) -> bool {
        self.access == Access::ReadOnly
    }

    /// The length of the mapping in bytes.
    pub(crate) fn total_len(&self) -> u64 {
        self.header.plan.total_len
    }

    /// Tries to take one lock byte. `None`: it is held, perhaps by this process.
    ///
    /// # Errors
    /// The system could not open the object once more, or has no locks for it. Not possible on a read-only segment,
    /// nor in a child of the process that opened it: there it is an error that says so.
    pub(crate) fn claim(&self, byte: u32) -> io::Result<Option<Claim>> {
        if self.fork_epoch != fork_epoch() {
            return Err(io::Error::other("the handle belongs to the process that has forked this one"));
        }
        match self.access {
            Access::ReadOnly => Err(io::ErrorKind::PermissionDenied.into()),
            Access::ReadWrite => self.object.try_lock(LockRange::Byte(byte)),
        }
    }

    /// Takes a lock byte for a process that writes into the segment but is neither its producer nor in its table, so
    /// that others see that the segment is in use. It is the first free byte after those of the table and of joining.
    /// `None`: there is none, or a collector is at work.
    ///
    /// # Errors
    /// As [`claim`](Self::claim).
    pub(crate) fn claim_beside(&self) -> io::Result<Option<Claim>> {
        for byte in self.bytes_beside() {
            if let Some(claim) = self.claim(byte)? {
                return Ok(Some(claim));
            }
            // A process that holds all of them also holds the next.
            if self.is_held(COLLECTOR)? {
                break;
            }
        }
        Ok(None)
    }

    /// The bytes from which [`claim_beside`](Self::claim_beside) takes one: after those of the producer, the table's
    /// entries and the table.
    pub(crate) fn bytes_beside(&self) -> Range<u32> {
        let first = self.header.table_len.saturating_add(2);
        first..first.saturating_add(WRITERS_MAX)
    }

    /// A descriptor for short claims, for a process that must be able to make one when it has no descriptors left.
    ///
    /// # Errors
    /// The system could not open the object once more.
    pub(crate) fn spare(&self) -> io::Result<Spare> {
        self.object.spare()
    }

    /// Whether that lock byte is held. `false` means that the participant that held it is gone for good; `true` can be
    /// stale.
    pub(crate) fn is_held(&self, byte: u32) -> io::Result<bool> {
        Ok(self.object.first_held(LockRange::Byte(byte))?.is_some())
    }

    /// What happened to it. Acquire, partner in `mark`: a process that sees that it ended sees what was written before.
    pub(crate) fn fate(&self) -> Fate {
        Fate::from_wire(self.word(FATE_OFFSET).load(Ordering::Acquire))
    }

    /// Tells every process in it that another segment replaces it. The caller holds the producer's claim and wakes them
    /// afterwards.
    pub(crate) fn mark_replaced(&self) {
        self.mark(Fate::Replaced);
    }

    /// Tells every process that still has it mapped that it was removed. The caller holds the producer's claim.
    pub(crate) fn mark_removed(&self) {
        self.mark(Fate::Removed);
    }

    fn mark(&self, fate: Fate) {
        assert!(!self.is_read_only(), "a read-only mapping cannot say anything");
        // Release pairs with the Acquire in `fate`.
        self.word(FATE_OFFSET).store(fate.to_wire(), Ordering::Release);
    }

    /// A descriptor of the object, to be handed to another process; it holds no lock. Only for memory files and files.
    pub(crate) fn try_clone_fd(&self) -> io::Result<OwnedFd> {
        match &self.object {
            Object::Descriptor(descriptor) => descriptor.try_clone(),
            Object::Heap(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Whether the place still leads to this very object. Can be stale at once, unless the producer's claim is held: no
    /// process replaces or removes a segment without it.
    pub(crate) fn still_named(&self) -> io::Result<bool> {
        let named = self.backend()?.identity().map_err(|fault| fault.source)?;
        Ok(named == Some(self.object.identity()?))
    }

    /// Removes the name if it still leads to this very object, and says whether it did. The caller holds the producer's
    /// claim: so no process that follows the protocol puts something else there between the look and the unlinking.
    pub(crate) fn unlink_if_same(&self) -> io::Result<bool> {
        if self.fork_epoch != fork_epoch() || !self.still_named()? {
            return Ok(false);
        }
        match self.backend()?.unlink() {
            Ok(()) => Ok(true),
            Err(fault) if fault.source.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(fault) => Err(fault.source),
        }
    }

    /// Gives this segment its [second name](Place::second_name) as well, so that its content can be read after another
    /// segment has taken its name. The caller holds the producer's claim. It is checked first that the old name can be
    /// removed. `ids` are the consumers that need it, for the error.
    ///
    /// # Errors
    /// [`CreateError`]: `NoSecondName` if the segment has no name, `NotOwner`, or the system refuses. The segment then
    /// has one name as before.
    pub(crate) fn give_second_name(&self, ids: Vec<String>) -> Result<(), CreateError> {
        let place = || self.place.to_string();
        let second = self.place.second_name(self.generation());
        let path =
            second.as_ref().and_then(Place::path).ok_or_else(|| CreateError::NoSecondName { place: place(), ids })?;
        let backend = self.place.backend()?;
        if let Some(owner_uid) = backend.protecting_owner() {
            return Err(CreateError::NotOwner { place: place(), owner_uid, source: Errno::PERM.into() });
        }
        match backend.link(&path) {
            Ok(()) => {}
            // An earlier producer was killed after this step.
            Err(_) if self.is_named_at(&Place::File(path)) => {}
            Err(Fault { call, source }) if source.kind() == io::ErrorKind::PermissionDenied => {
                let directory = self.place.path().and_then(|path| Permissions::of_path(path.parent()?));
                return Err(CreateError::PermissionDenied { place: place(), call, directory, source });
            }
            Err(Fault { call, source }) => return Err(CreateError::Os { place: place(), call, source }),
        }
        step!(SecondNameGiven);
        Ok(())
    }

    /// Removes what replacers have left if they were killed before they had replaced this segment: its second name, and
    /// an unfinished replacement. The caller holds the producer's claim.
    pub(crate) fn remove_traces_of_replacers(&self) {
        if let Ok(backend) = self.place.backend()
            && let Some(aside) = backend.aside()
        {
            let _ = remove_wreck(&*aside);
        }
        if let Some(second) = self.place.second_name(self.generation()).filter(|second| self.is_named_at(second)) {
            // If it stays, it blocks no process. A collector finds it through the segment that refers to it, or a
            // person removes it.
            let _ = second.backend().map(|backend| backend.unlink());
        }
    }

    /// Whether `place` leads to this very object.
    fn is_named_at(&self, place: &Place) -> bool {
        let named = place.backend().ok().and_then(|backend| backend.identity().ok().flatten());
        named.is_some() && named == self.object.identity().ok()
    }

    fn backend(&self) -> io::Result<Box<dyn Backend + '_>> {
        // The place led here, so its name is valid.
        self.place.backend().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
    }

    pub(super) fn section(&self, section: Section) -> (NonNull<u8>, usize) {
        debug_assert!(section.offset + section.len <= self.mapping.len() as u64);
        // SAFETY: the header check put every section within `total_len`, and the mapping has that length.
        let start = unsafe { self.mapping.as_ptr().add(section.offset as usize) };
        (NonNull::new(start).expect("a mapping is not at address zero"), section.len as usize)
    }

    /// One of the header page's words that change. Every process accesses them as atomics only.
    pub(super) fn word(&self, offset: usize) -> &AtomicU32 {
        header_word(&self.mapping, offset)
    }

    fn copy_schema(&self) -> Vec<u8> {
        let (start, len) = self.section(self.header.plan.schema);
        let mut schema = vec![0; len];
        // SAFETY: the section is `len` bytes within the mapping and the vector is as long. A peer that may write is
        // trusted not to change what its creator wrote before READY.
        unsafe { std::ptr::copy_nonoverlapping(start.as_ptr(), schema.as_mut_ptr(), len) };
        schema
    }

    pub(super) fn write_schema(&self, schema: &[u8]) {
        let (start, len) = self.section(self.header.plan.schema);
        assert_eq!(len, schema.len(), "the plan was made of this schema");
        // SAFETY: the section is `len` bytes within our writable mapping, and no other process can know the segment
        // yet.
        unsafe { std::ptr::copy_nonoverlapping(schema.as_ptr(), start.as_ptr(), len) };
    }
}

/// The section that is mapped a second time right after the segment: the lines of a ring of records, in which a record
/// may cross the end.
pub(super) fn twice(kind: Kind, plan: &SegmentPlan) -> Option<Section> {
    (kind == Kind::Records).then_some(plan.slots)
}

/// Reads and parses the header of `object`. The length is taken before the bytes: an object only grows while it is
/// being created.
fn read_header(object: &Object) -> Result<Result<Header, HeaderError>, Fault> {
    let object_len = object.len().map_err(Fault::of("fstat"))?;
    let start = object.read_start(HEADER_BYTES as usize).map_err(Fault::of("pread"))?;
    Ok(parse_header(&start, object_len))
}

/// A word of the header page of `mapping`, which has at least that page.
pub(super) fn header_word(mapping: &Mapping, offset: usize) -> &AtomicU32 {
    assert!(offset.is_multiple_of(4) && offset + 4 <= HEADER_BYTES as usize && mapping.len() >= HEADER_BYTES as usize);
    // SAFETY: within the mapping and aligned, by the line above and because mappings begin on a page; the mapping lives
    // as long as the reference; every process changes these words atomically.
    unsafe { &*mapping.as_ptr().add(offset).cast::<AtomicU32>() }
}
