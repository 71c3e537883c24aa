//! One mapped segment: created, opened, replaced, and what may be asked of it while it lives.
//!
//! **Lives here:** [`Segment`], [`CreateOptions`], [`Fate`]. One path for all backends. **Builds on:** `backend` for
//! objects, `header` for what they say about themselves, `owner` for who lives. **May touch it:** the ring, the
//! cursors, the counters.
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
//! unready object may remain. Its lock is free then, by which an opener recognises after a second look that it is dead,
//! and `gc` that it may go; only one that is still empty is left alone, because nothing in it says that it is ours. A
//! replacement has a hidden name beside it first, and takes the name when it is complete: see [`replace`].

use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::backend::{Access, Backend, Fault, GIVE_TO_GROUP, Mapping, MemoryLimit, Object, Request};
use super::blueprint::{Blueprint, HEADER_BYTES, Kind, Section, SegmentPlan};
use super::error::{CreateError, OpenError};
use super::header::{FATE_OFFSET, Header, HeaderError, READY, READY_OFFSET, is_ours, parse_header};
use super::owner::{COLLECTOR, Claim, LockRange, PRODUCER, ProcessIdentity, Spare, fork_epoch};
use super::permissions::Permissions;
use super::place::Place;
use crate::step;
use crate::sync::primitive::{AtomicU32, AtomicU64, Ordering};

/// How long an opener waits for a creator that is alive and not finished. Reserving a gigabyte takes a third of a
/// second.
const READY_WAIT: Duration = if cfg!(fuzzing) { Duration::ZERO } else { Duration::from_secs(10) };

/// How long the lock of an unready object has to be free until its creator counts as dead: an object under a name
/// exists for an instant before its creator has locked it.
const SECOND_LOOK: Duration = if cfg!(fuzzing) { Duration::ZERO } else { Duration::from_secs(1) };

/// How many processes may write into one segment beside its participants. Each of them looks for a free byte, one
/// after the other.
const WRITERS_MAX: u32 = 4096;

/// How often an opener looks whether a segment has become ready.
const READY_POLL: Duration = Duration::from_millis(1);

/// How a new segment is made. The default: private to the user (0600), all space reserved, nothing prefaulted or
/// locked.
///
/// ```
/// use disruptor_mp::{CreateOptions, build_shared_single_producer};
///
/// # let name = disruptor_mp::portable_shm_segment_name("doc");
/// // Every page is there before the first event: the first lap of the ring is as fast as the others.
/// let options = CreateOptions::default().prefault(true);
/// let producer = build_shared_single_producer::<u64>(&name, 1024).with_create_options(options).build_producer(|| 0)?;
/// # Ok::<_, disruptor_mp::MultiProcessError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CreateOptions {
    group: Option<u32>,
    sparse: bool,
    prefault: bool,
    mlock: bool,
    make_directories: bool,
}

impl CreateOptions {
    /// Readable and writable by the group `gid` as well (0660). Whoever may write is trusted: see the module's
    /// documentation.
    pub fn group(mut self, gid: u32) -> Self {
        self.group = Some(gid);
        self
    }

    /// Does not reserve the space. If it runs out later, whoever touches a page that does not exist gets SIGBUS.
    pub fn sparse(mut self, sparse: bool) -> Self {
        self.sparse = sparse;
        self
    }

    /// Maps every page of the creator at once, about 0.8 µs per page, so that the first lap is as fast as the others.
    /// Linux only; elsewhere, and on the heap, it does nothing.
    pub fn prefault(mut self, prefault: bool) -> Self {
        self.prefault = prefault;
        self
    }

    /// Locks the creator's pages in memory, so that they are never swapped out. Needs `RLIMIT_MEMLOCK` or
    /// `CAP_IPC_LOCK`.
    pub fn mlock(mut self, mlock: bool) -> Self {
        self.mlock = mlock;
        self
    }

    /// Makes the directory of a file, and those above it, where they are missing, as the umask has it.
    /// `SharedProducer::create` and the other `create` functions do.
    pub fn make_directories(mut self, make_directories: bool) -> Self {
        self.make_directories = make_directories;
        self
    }

    /// The group that was given, and whether it is sparse, prefaulted, locked in memory, and makes directories: for
    /// layers that hand the options on to another process.
    #[doc(hidden)]
    pub fn to_parts(self) -> (Option<u32>, [bool; 4]) {
        (self.group, [self.sparse, self.prefault, self.mlock, self.make_directories])
    }

    /// The same, back.
    #[doc(hidden)]
    pub fn from_parts((group, [sparse, prefault, mlock, make_directories]): (Option<u32>, [bool; 4])) -> Self {
        Self { group, sparse, prefault, mlock, make_directories }
    }

    fn request(&self, kind: Kind, plan: &SegmentPlan) -> Request {
        let mode = if self.group.is_some() { 0o660 } else { 0o600 };
        Request { total_len: plan.total_len, again: twice(kind, plan), mode, group: self.group }
    }
}

/// What became of a segment, as those who still have it mapped read it. It only ever leaves `Live`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing; it is in use, or its participants died.
    Live,
    /// Another segment has taken its place.
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

    /// A word that nobody of ours writes says at least that one should not go on with this segment.
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
/// A child of a fork has private memory in the place of the mapping, and can lock, rename and remove nothing through
/// this.
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

// The type is moved to the consumer's thread and looked at by watchers on others; the raw pointers inside are only
// handed out.
const _: () = {
    const fn shared_by_threads<T: Send + Sync>() {}
    shared_by_threads::<Segment>();
    shared_by_threads::<Claim>();
};

impl Segment {
    /// Creates a segment that does not exist and claims its producer's byte, before anybody can find it. `init` gets
    /// the mapped segment, all zero behind the header and the schema, and writes what must be there when the first
    /// reader comes; not the slots.
    ///
    /// # Errors
    /// [`CreateError`]; nothing is left behind.
    pub(crate) fn create(
        place: &Place,
        blueprint: &Blueprint,
        options: &CreateOptions,
        init: impl FnOnce(&Self),
    ) -> Result<(Self, Claim), CreateError> {
        let construction = Construction::new(place, blueprint, options)?;
        let backend = place.backend()?;
        let fault = |fault| construction.error(fault);
        // Giving the name is exclusive anyway; this look saves reserving megabytes in vain.
        if backend.identity().map_err(fault)?.is_some() {
            return Err(CreateError::AlreadyExists { place: place.to_string() });
        }
        let draft = construction.draft(&*backend).map_err(fault)?;
        let new = construction.build(&draft, init)?;
        draft.finish().map_err(fault)?;
        Ok(new)
    }

    /// Opens a segment of that kind and maps it. Waits, for at most ten seconds, for a creator that is alive and not
    /// finished.
    ///
    /// # Errors
    /// [`OpenError`]; every way in which it is not what was asked for has its own variant.
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
                // Its creator has made it a moment ago and comes to the header next, if there is a creator.
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

    /// Maps an object whose header is right.
    fn attach(place: &Place, object: Object, header: Header, kind: Kind, access: Access) -> Result<Self, OpenError> {
        if header.kind != kind {
            let (found, event_bytes) = (header.kind, header.payload_len);
            return Err(OpenError::WrongKind { place: place.to_string(), found, event_bytes, wanted: kind });
        }
        let len = header.plan.total_len as usize; // the layout rule keeps it within `isize`
        let mapping = object
            .map(len, twice(header.kind, &header.plan), access, false)
            .map_err(|fault| OpenError::from_fault(place, fault))?;
        let mut segment = Self {
            place: place.fixed(),
            object,
            mapping,
            header,
            schema: Vec::new(),
            access,
            fork_epoch: fork_epoch(),
        };
        // Acquire pairs with the Release in `Construction::build`: who sees READY here sees what the creator wrote
        // before it. That the word was READY is known already, but from a read that orders nothing.
        if segment.word(READY_OFFSET).load(Ordering::Acquire) != READY {
            return Err(OpenError::from_header(place, HeaderError::NotReady { pid: segment.header.creator.pid }));
        }
        segment.schema = segment.copy_schema();
        Ok(segment)
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
    /// are mapped twice in a row: after the last comes the first again.
    pub(crate) fn slots(&self) -> (NonNull<u8>, usize) {
        self.section(self.header.plan.slots)
    }

    /// Where it was created or opened.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// What people call it, for reports and errors: its session and rank, and then where it is.
    pub(crate) fn called(&self) -> String {
        self.place.called(&self.header.title)
    }

    /// Tells this segment from any other, also from one of the same name.
    pub(crate) fn generation(&self) -> u64 {
        self.header.generation
    }

    /// The segment that this one replaced, if its content is still to be read and it can be found under its second
    /// name.
    ///
    /// # Errors
    /// It is there, and may not be opened or is damaged.
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

    /// Whether it is mapped read-only: writing to it would be SIGSEGV.
    pub(crate) fn is_read_only(&self) -> bool {
        self.access == Access::ReadOnly
    }

    /// The length of the mapping in bytes.
    pub(crate) fn total_len(&self) -> u64 {
        self.header.plan.total_len
    }

    /// Tries to take one lock byte. `None`: somebody holds it, be it in this process.
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

    /// Takes a lock byte for a process that writes into the segment without being its producer or in its table, so
    /// that it is seen to live in it:
    /// the first free one beyond those of the table and of joining. `None`: there is none, or a collector is at work.
    ///
    /// # Errors
    /// As [`claim`](Self::claim).
    pub(crate) fn claim_beside(&self) -> io::Result<Option<Claim>> {
        for byte in self.bytes_beside() {
            if let Some(claim) = self.claim(byte)? {
                return Ok(Some(claim));
            }
            // Who holds all of them also holds the next.
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

    /// A descriptor for short claims, for whoever must be able to make one when there are no descriptors left.
    ///
    /// # Errors
    /// The system could not open the object once more.
    pub(crate) fn spare(&self) -> io::Result<Spare> {
        self.object.spare()
    }

    /// Whether anybody holds that lock byte. `false` of a participant that was there means that it is gone, and stays
    /// true of it; `true` can be stale.
    pub(crate) fn is_held(&self, byte: u32) -> io::Result<bool> {
        Ok(self.object.first_held(LockRange::Byte(byte))?.is_some())
    }

    /// What became of it. Acquire: who sees that it ended sees what was written before that.
    pub(crate) fn fate(&self) -> Fate {
        Fate::from_wire(self.word(FATE_OFFSET).load(Ordering::Acquire))
    }

    /// Says to everybody in it that another segment takes its place. The caller holds the producer's claim and wakes
    /// them afterwards.
    pub(crate) fn mark_replaced(&self) {
        self.mark(Fate::Replaced);
    }

    /// Says to everybody who may still have it mapped that it was removed. The caller holds the producer's claim.
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

    /// Whether the place still leads to this very object. Can be stale at once, unless the producer's claim is held:
    /// nobody replaces or removes a segment without it.
    pub(crate) fn still_named(&self) -> io::Result<bool> {
        let named = self.backend()?.identity().map_err(|fault| fault.source)?;
        Ok(named == Some(self.object.identity()?))
    }

    /// Takes the name away if it still leads to this very object, and says whether it did. The caller holds the
    /// producer's claim: it keeps others who follow the protocol from putting something else there between the look and
    /// the unlinking.
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

    /// Lets this segment be found under its [second name](Place::second_name) as well, so that what is in it can be
    /// read once another segment has its name. The caller holds the producer's claim. That the name itself cannot be
    /// taken away is found out before.
    ///
    /// # Errors
    /// [`CreateError`]: `NoSecondName` where a segment has no name, `NotOwner`, or the system refuses. It has one name then.
    pub(crate) fn give_second_name(&self) -> Result<(), CreateError> {
        let place = || self.place.to_string();
        let second = self.place.second_name(self.generation());
        let path = second.as_ref().and_then(Place::path).ok_or_else(|| CreateError::NoSecondName { place: place() })?;
        let backend = self.place.backend()?;
        if let Some(owner_uid) = backend.protecting_owner() {
            return Err(CreateError::NotOwner { place: place(), owner_uid, source: Errno::PERM.into() });
        }
        match backend.link(&path) {
            Ok(()) => {}
            // A predecessor of ours was killed after this step.
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

    /// Removes what replacers have left that were killed before they had replaced this segment: its second name, and a
    /// replacement without a name of its own. The caller holds the producer's claim.
    pub(crate) fn remove_traces_of_replacers(&self) {
        if let Ok(backend) = self.place.backend()
            && let Some(aside) = backend.aside()
        {
            let _ = remove_wreck(&*aside);
        }
        if let Some(second) = self.place.second_name(self.generation()).filter(|second| self.is_named_at(second)) {
            // If it stays, a collector finds it by the segment that says so, or it is removed by hand: it holds back no
            // process.
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

    /// One of the header page's words that change. They are accessed as atomics only, by everybody.
    fn word(&self, offset: usize) -> &AtomicU32 {
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

    fn write_schema(&self, schema: &[u8]) {
        let (start, len) = self.section(self.header.plan.schema);
        assert_eq!(len, schema.len(), "the plan was made of this schema");
        // SAFETY: the section is `len` bytes within our writable mapping, and nobody else can know the segment yet.
        unsafe { std::ptr::copy_nonoverlapping(schema.as_ptr(), start.as_ptr(), len) };
    }
}

/// Puts a new segment in the place of `old`. `claim` is the producer's claim of `old` and is held until the new one is
/// there, so that no process takes `old` over meanwhile. `old` is marked, and `woken` gets it so marked, to wake all
/// readers in it.
///
/// What can be refused comes first. In a directory the new segment is made complete, gets a hidden name beside that of
/// `old`, and then takes that of `old` in one step: there is a segment under the name at any time. Only then is `old`
/// marked. After a refusal `old` is as it was.
///
/// # Errors
/// [`CreateError`]; `AlreadyExists` if something else stands in the place of `old`, `NotOwner` if its name may not be
/// taken away.
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
    let old_identity = old.object.identity().map_err(|e| fault(Fault::new("fstat", e)))?;
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
            // As long as the name leads to `old`, whose producer's claim we hold, nobody who follows the protocol puts
            // something in its place. A name that was removed meanwhile is free to all: the caller looks again.
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

/// Takes away what a killed replacer has left [aside](Backend::aside), unless a process lives in it. Whoever makes
/// something there holds the producer's claim of the segment that it is to replace. An empty file is one, as far as it
/// got: the name says so.
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

/// The section that is mapped a second time right after the segment: the lines of a ring of records, in which a record
/// may cross the end.
fn twice(kind: Kind, plan: &SegmentPlan) -> Option<Section> {
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
    // as long as the reference; whoever changes these words does so atomically.
    unsafe { &*mapping.as_ptr().add(offset).cast::<AtomicU32>() }
}

/// All that is decided before anything exists.
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
        let new = Self { place, blueprint, options, plan, request: options.request(blueprint.kind, &plan) };
        let backend = place.backend()?;
        let wanted_bytes = plan.total_len;
        if let Some(limit_bytes) =
            backend.longest_object_bytes(&new.request).filter(|limit_bytes| *limit_bytes < wanted_bytes)
        {
            return Err(CreateError::FileSizeLimit { place: place.to_string(), wanted_bytes, limit_bytes });
        }
        if options.make_directories {
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

    /// A new object: without a name, or where it cannot be without one, with that of `backend`.
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
        let header = Header::new(self.blueprint, title, self.plan, new_generation(), ProcessIdentity::current());
        let filled = object.fill(&header.to_page(), self.plan.total_len, self.options.sparse);
        filled.map_err(|fault| self.fill_error(object, fault))?;
        step!(SegmentReserved);
        let len = self.plan.total_len as usize; // the plan keeps it within `isize`
        let mapping = object.map(len, self.request.again, Access::ReadWrite, self.options.prefault).map_err(fault)?;
        if self.options.mlock {
            mapping.lock_pages().map_err(|e| self.lock_error(e))?;
        }
        let schema = self.blueprint.schema.clone();
        let segment = Segment {
            place: self.place.fixed(),
            object: object.clone(),
            mapping,
            header,
            schema,
            access: Access::ReadWrite,
            fork_epoch: fork_epoch(),
        };
        segment.write_schema(&segment.schema);
        init(&segment);
        step!(SegmentWritten);
        // Release, last of all: pairs with the Acquire in `attach`.
        segment.word(READY_OFFSET).store(READY, Ordering::Release);
        step!(SegmentReady);
        Ok((segment, claim))
    }

    /// What it means that the pages cannot be kept in memory.
    fn lock_error(&self, source: io::Error) -> CreateError {
        // What the system says of a limit of 0, and of one that would be passed.
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

    /// What it means that the name of what is replaced may not be taken away.
    fn unlink_error(&self, backend: &dyn Backend, fault: Fault) -> CreateError {
        match backend.refusing_owner(&fault.source) {
            Some(owner_uid) => CreateError::NotOwner { place: self.place.to_string(), owner_uid, source: fault.source },
            None => self.error(fault),
        }
    }

    /// What a failure to get the space means to the user.
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

    /// What any other failure means. A file system without room can refuse the very first call, and the last, for want
    /// of an inode.
    fn error(&self, fault: Fault) -> CreateError {
        let Fault { call, source } = fault;
        let place = self.place.to_string();
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

/// An object that is not finished. Dropped before that, it leaves nothing: without a name it vanishes, and a name is
/// taken away.
struct Draft<'a> {
    backend: &'a dyn Backend,
    object: Object,
    /// Whether it has its name already and would have to lose it.
    named: bool,
}

impl Draft<'_> {
    /// Makes sure that the object has its name, which it loses if it is not finished.
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
            // If it fails, an unready object without a lock stays, which `gc` removes; the error on its way out matters
            // more.
            let _ = self.backend.unlink();
        }
    }
}

/// A number that no other segment has, whoever made it. From the randomness that seeds the hash tables of this process;
/// who we are, when and how often goes in as well, because a child of a fork inherits the seed.
fn new_generation() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    static MADE: AtomicU64 = AtomicU64::new(0);
    RandomState::new().hash_one((ProcessIdentity::current(), Instant::now(), MADE.fetch_add(1, Ordering::Relaxed)))
}
