//! Why a segment could not be created, opened or removed: one enum per operation.
//!
//! The place is kept as text, so that an error does not keep memory or descriptors alive. [`crate::error`] says where
//! causes are kept; what the operating system said stays a source where our own words say it better.

use std::io;

use super::backend::Fault;
use super::blueprint::{Kind, PlanError};
use super::header::{ABI, AbiVersion, HeaderError};
use super::name::InvalidName;
use super::permissions::{Admission, Permissions, Refusing};
use super::place::Place;

/// Why a segment could not be created. Nothing is left of the attempt.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// Something has that name already, not necessarily a segment. Open it, replace it, or choose another name.
    #[error("{place} exists already; open it, replace it, or choose another name")]
    AlreadyExists {
        /// Where it should have been created.
        place: String,
    },
    /// There is a counters file whose process is gone: its numbers are all that is left of the process, and only a
    /// table of counters may replace it. Remove it with [`gc`](super::gc()), or choose another name.
    #[error(
        "{place} is a counters file that its process has left; remove it (gc) if its numbers are not wanted, or choose another name"
    )]
    HoldsCounters {
        /// Where it should have been created.
        place: String,
    },
    /// The file system is full, or a quota is reached. Make the file system larger, raise the quota, or choose another
    /// place.
    #[error("no space for {place}: {wanted_bytes} bytes wanted, {}", Scarce(*wanted_bytes, *available_bytes, source))]
    NoSpace {
        /// Where it should have been created.
        place: String,
        /// The length of the whole segment.
        wanted_bytes: u64,
        /// What was free in the file system; 0 if the system did not say. Can be more than was wanted if a quota is the
        /// reason.
        available_bytes: u64,
        /// What the system said.
        source: io::Error,
    },
    /// A cgroup of this process may not use that much memory: continuing would end in SIGKILL. Raise its limit, or make
    /// the segment smaller. A larger file system does not help.
    #[error(
        "no memory for {place}: {wanted_bytes} bytes wanted, and the memory limit of this process's control group ({limit_bytes} bytes) \
         leaves {available_bytes}; raise that limit (Docker: --memory, Kubernetes: resources.limits.memory, systemd: MemoryMax; a larger \
         /dev/shm does not help), or make the ring smaller"
    )]
    MemoryLimit {
        /// Where it should have been created.
        place: String,
        /// The length of the whole segment.
        wanted_bytes: u64,
        /// What the limit leaves, including memory that the kernel can reclaim.
        available_bytes: u64,
        /// The limit itself.
        limit_bytes: u64,
    },
    /// This process may not make files of that length: continuing would end in SIGXFSZ. Raise the limit, or make the
    /// segment smaller.
    #[error(
        "{place} needs {wanted_bytes} bytes, and this process may make files of at most {limit_bytes} bytes (RLIMIT_FSIZE); raise the \
         limit (shell: ulimit -f, systemd: LimitFSIZE, Docker: --ulimit fsize), or make the ring smaller"
    )]
    FileSizeLimit {
        /// Where it should have been created.
        place: String,
        /// The length of the whole segment.
        wanted_bytes: u64,
        /// The limit.
        limit_bytes: u64,
    },
    /// `mlock` was asked for, and this process may not keep that much memory from being swapped out. Raise the limit,
    /// or do without `mlock`.
    #[error(
        "{place} needs {wanted_bytes} bytes of locked memory, and this process may lock {limit_bytes} bytes in all (RLIMIT_MEMLOCK); raise \
         the limit (shell: ulimit -l, systemd: LimitMEMLOCK, Docker: --ulimit memlock), or do without mlock"
    )]
    LockLimit {
        /// Where it should have been created.
        place: String,
        /// The length of the whole segment.
        wanted_bytes: u64,
        /// The limit for all memory that this process locks.
        limit_bytes: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The file system has no inodes left for another file, however short. Remove some, or mount it with more inodes.
    #[error(
        "no inode for {place}: its file system has {free_bytes} bytes free and room for no more files; remove files there, mount it \
         with more inodes (tmpfs: nr_inodes), or choose another place"
    )]
    NoInodes {
        /// Where it should have been created.
        place: String,
        /// The bytes that are free all the same.
        free_bytes: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The directory of the file is missing, and was not to be made
    /// ([`CreateOptions::make_directories`](super::CreateOptions::make_directories)), or is not a directory.
    #[error("no directory for {place}: {}", Directory(directory, source))]
    NoDirectory {
        /// Where it should have been created.
        place: String,
        /// The directory of the file.
        directory: String,
        /// What the system said: that it does not exist, or that it is not a directory.
        source: io::Error,
    },
    /// The process may not create anything there, or not with these options. Create it in another directory.
    #[error(
        "not allowed to create {place}: {call}: {source}{}; create it in a directory that this process may write to",
        Refusing("its directory", directory)
    )]
    PermissionDenied {
        /// Where it should have been created.
        place: String,
        /// The call that was refused.
        call: &'static str,
        /// The permissions of the directory, if the system told them.
        directory: Option<Permissions>,
        /// What the system said.
        r#source: io::Error,
    },
    /// The segment was to be shared with a group ([`CreateOptions::group`](super::CreateOptions::group)), and this
    /// process may not give it to that group: it must be one of the process's own groups.
    #[error("not allowed to give {place} to group {group_gid}: {source}; name a group that this process is in")]
    Group {
        /// Where it should have been created.
        place: String,
        /// The group.
        group_gid: u32,
        /// What the system said.
        r#source: io::Error,
    },
    /// It belongs to another user, and in its directory only the owner of a file may remove it, as in `/dev/shm`. It
    /// is as it was: let that user's process replace it, have that user or root remove it, or choose another name.
    #[error(
        "{place} belongs to user {owner_uid}, and this process (user {}) may not remove it; it was left as it is: run as that user, let \
         that user or root remove it, or choose another name",
        rustix::process::geteuid().as_raw()
    )]
    NotOwner {
        /// What was to be replaced.
        place: String,
        /// To whom it belongs.
        owner_uid: u32,
        /// What the system said.
        source: io::Error,
    },
    /// The ring to be replaced has messages that consumers with ids of their own have not read. A ring with a name
    /// would stay readable under a second name, but a memory file or a ring on the heap has none. Let the consumers
    /// read, or call [`replace`](crate::SharedDisruptorBuilder::replace) to give up the unread messages.
    #[error(
        "{place} holds messages for consumers that will come back ({}), and has no name under which it could be kept for \
         them: let them read and leave, or ask for `replace()` to give up what they have not read",
        .ids.join(", ")
    )]
    NoSecondName {
        /// What was to be replaced.
        place: String,
        /// The consumers that have not read it.
        ids: Vec<String>,
    },
    /// The place's name cannot be a segment's name.
    #[error(transparent)]
    InvalidName(#[from] InvalidName),
    /// The blueprint cannot become a segment: it is too large for any, or its numbers contradict each other.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The file system cannot reserve space, so a full disk would end in SIGBUS later. Choose another place, or ask for
    /// a sparse segment and accept that.
    #[error(
        "{place} is on a file system ({file_system}) that cannot reserve space; choose another place, or ask for a sparse segment, \
         which ends in SIGBUS if space runs out"
    )]
    UnsupportedSpace {
        /// Where it should have been created.
        place: String,
        /// The name of the file system, if we know it.
        file_system: String,
        /// What the system said.
        source: io::Error,
    },
    /// Anything else the operating system refused.
    #[error("{call} failed while creating {place}: {source}")]
    Os {
        /// Where it should have been created.
        place: String,
        /// The call that failed.
        call: &'static str,
        /// What the system said.
        r#source: io::Error,
    },
}

/// Why a segment could not be opened. Each situation that calls for another reaction has its own variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is nothing of that name. Its creator has not started yet, or the segment was removed. Start the creator
    /// first.
    #[error("{place} does not exist; start the process that creates it first")]
    NotFound {
        /// What was to be opened.
        place: String,
    },
    /// It exists, but this process may not open it. Segments are private to their creator's user unless a group was
    /// asked for. If no process uses it any more, its owner or root removes it with [`gc`](super::gc()).
    #[error("not allowed to open {place}: {call}: {source}{}; {}", Refusing("it", permissions), Admission(permissions))]
    PermissionDenied {
        /// What was to be opened.
        place: String,
        /// The call that was refused.
        call: &'static str,
        /// The permissions of the object, if the system has said so.
        permissions: Option<Permissions>,
        /// What the system said.
        r#source: io::Error,
    },
    /// The name belongs to something that is not a regular file: a symlink, which is never followed, a directory, or
    /// the like. Choose another name.
    #[error("{place} is {found}; segments are regular files, and symlinks are not followed: choose another name")]
    NotAFile {
        /// What was to be opened.
        place: String,
        /// What it is instead, with an article: `a FIFO`.
        found: &'static str,
    },
    /// It ends within its first page: truncated, or never a segment. Remove it if no program needs it, or choose
    /// another name.
    #[error(
        "{place} is too short to be a segment: {len_bytes} bytes; remove it if no program needs it, or choose another name"
    )]
    TooShort {
        /// What was to be opened.
        place: String,
        /// Its length.
        len_bytes: u64,
    },
    /// Its creator is alive and has not finished in the time we wait. Try again, or look at what the creator does.
    #[error(
        "{place} is still being initialised by process {pid} (0: not known yet); try again, or look at what that process does"
    )]
    NotReady {
        /// What was to be opened.
        place: String,
        /// The creator, in its own pid namespace; 0 if it has not said.
        pid: u32,
    },
    /// Its creator died before it was finished. Remove it with [`gc`](super::gc()), or replace it.
    #[error("the creator of {place} died before it was finished; remove it (gc), or create it again")]
    CreatorDied {
        /// What was to be opened.
        place: String,
    },
    /// It is not a segment of this library. Choose another name.
    #[error("{place} is not a segment: its first bytes are not those of one; choose another name")]
    WrongMagic {
        /// What was to be opened.
        place: String,
    },
    /// It comes from a machine of the other byte order. Create it on this machine.
    #[error("{place} was written by a machine of the other byte order; create it on this machine")]
    ByteOrder {
        /// What was to be opened.
        place: String,
    },
    /// It was created by a build with another layout. Both sides have to be of one version.
    #[error(
        "{place} has layout version {found}, this build needs {wanted}; use one version of the library on all sides"
    )]
    Version {
        /// What was to be opened.
        place: String,
        /// Its version.
        found: AbiVersion,
        /// Ours; an equal major version would do.
        wanted: AbiVersion,
    },
    /// It is a segment for something else. Choose another name, or attach to it as what it is.
    #[error(
        "{place} is {found}{}, and this program wants {wanted}; choose another name, or attach to it as what it is",
        Each(*found, *event_bytes)
    )]
    WrongKind {
        /// What was to be opened.
        place: String,
        /// Its kind.
        found: Kind,
        /// Bytes of each of its events or frames; 0 if it has none.
        event_bytes: u64,
        /// The kind that was asked for.
        wanted: Kind,
    },
    /// It was truncated: its header speaks of bytes that it does not have, and touching them would be SIGBUS. Create it
    /// again.
    #[error("{place} was truncated: it should have {header_bytes} bytes and has {object_bytes}; create it again")]
    Length {
        /// What was to be opened.
        place: String,
        /// The length that its header states.
        header_bytes: u64,
        /// The length that it has.
        object_bytes: u64,
    },
    /// Its header holds a number that no creator writes. Create it again.
    #[error("{place} is damaged: {field} is {found}; create it again")]
    Corrupt {
        /// What was to be opened.
        place: String,
        /// What is wrong.
        field: &'static str,
        /// Its value.
        found: u64,
    },
    /// A memory file that was received can still change its length. Its creator has to seal it, as this library does
    /// for [`Place::memfd`](super::Place::memfd).
    #[error(
        "{place} is not a memory file that is sealed against shrinking and growing, so it could be truncated while it is mapped; let \
         its creator seal it"
    )]
    Unsealed {
        /// What was to be opened.
        place: String,
        /// What the system said.
        source: io::Error,
    },
    /// The place's name cannot be a segment's name.
    #[error(transparent)]
    InvalidName(#[from] InvalidName),
    /// Anything else the operating system refused. On a file system that is mounted read-only, mount it for writing:
    /// every end writes.
    #[error("{call} failed while opening {place}: {source}{}", Mounting(source))]
    Os {
        /// What was to be opened.
        place: String,
        /// The call that failed.
        call: &'static str,
        /// What the system said.
        r#source: io::Error,
    },
}

/// How large the events of a ring are.
struct Each(Kind, u64);

impl std::fmt::Display for Each {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self(Kind::Ring, bytes) => write!(f, " of {bytes} bytes each"),
            _ => Ok(()),
        }
    }
}

/// What a full file system has free, and what to do.
struct Scarce<'a>(u64, u64, &'a io::Error);

impl std::fmt::Display for Scarce<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(wanted_bytes, available_bytes, source) = *self;
        let is_quota = rustix::io::Errno::from_io_error(source) == Some(rustix::io::Errno::DQUOT);
        if is_quota || available_bytes >= wanted_bytes {
            return write!(
                f,
                "and the file system has {available_bytes} free: a quota of the user, the group or the directory is {}reached; raise the \
                 quota, make the ring smaller, or use a file in another directory",
                if is_quota { "" } else { "probably " }
            );
        }
        write!(
            f,
            "and the file system has {available_bytes} free; make the file system larger (/dev/shm in Docker: --shm-size, in \
             Kubernetes: sizeLimit of an emptyDir with medium Memory), make the ring smaller, or use a file in a directory that has the \
             room"
        )
    }
}

/// What is wrong with the directory of a file, and what to do.
struct Directory<'a>(&'a str, &'a io::Error);

impl std::fmt::Display for Directory<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(directory, source) = self;
        match source.kind() {
            io::ErrorKind::NotADirectory => write!(f, "{directory} is not a directory; choose another place"),
            _ => write!(
                f,
                "{directory} does not exist; make that directory, or let it be made (`CreateOptions::make_directories`)"
            ),
        }
    }
}

impl OpenError {
    pub(super) fn from_fault(place: &Place, fault: Fault) -> Self {
        let permissions = permissions_of(place);
        let place = place.to_string();
        if let Some(found) = special_file(&fault.source) {
            return Self::NotAFile { place, found };
        }
        let Fault { call, source } = fault;
        match source.kind() {
            io::ErrorKind::PermissionDenied => Self::PermissionDenied { place, call, permissions, source },
            io::ErrorKind::InvalidInput if call == super::backend::GET_SEALS => Self::Unsealed { place, source },
            _ => Self::Os { place, call, source },
        }
    }

    pub(super) fn from_header(place: &Place, error: HeaderError) -> Self {
        let place = place.to_string();
        match error {
            HeaderError::TooShort { len_bytes } => Self::TooShort { place, len_bytes },
            HeaderError::WrongMagic { .. } => Self::WrongMagic { place },
            HeaderError::NotReady { pid } => Self::NotReady { place, pid },
            HeaderError::ByteOrder => Self::ByteOrder { place },
            HeaderError::Version { found } => Self::Version { place, found, wanted: ABI },
            HeaderError::Length { header_bytes, object_bytes } => Self::Length { place, header_bytes, object_bytes },
            HeaderError::Corrupt { field, found } => Self::Corrupt { place, field, found },
        }
    }
}

/// The permissions of what is at a place.
fn permissions_of(place: &Place) -> Option<Permissions> {
    Permissions::of_path(&place.path()?)
}

/// What to do about a file system that is mounted read-only; nothing for another error.
struct Mounting<'a>(&'a io::Error);

impl std::fmt::Display for Mounting<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.kind() {
            io::ErrorKind::ReadOnlyFilesystem => {
                f.write_str("; mount it for writing: a consumer writes how far it has read")
            }
            _ => Ok(()),
        }
    }
}

/// Why it could not be found out whether a segment may be removed, or why it was not. It is still there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GcError {
    /// This process may not open or remove it.
    #[error(
        "not allowed to remove {place}: {call}: {source}{}; let its owner remove it, or run as a user of its group",
        Refusing("it", permissions)
    )]
    PermissionDenied {
        /// What was to be removed.
        place: String,
        /// The call that was refused.
        call: &'static str,
        /// The permissions of the object, if the system has said so.
        permissions: Option<Permissions>,
        /// What the system said.
        r#source: io::Error,
    },
    /// It belongs to another user, and in its directory only the owner of a file may remove it, as in `/dev/shm`. It
    /// is as it was: let that user's process replace it, have that user or root remove it, or choose another name.
    #[error(
        "{place} belongs to user {owner_uid}, and this process (user {}) may not remove it; it was left as it is: run as that user, let \
         that user or root remove it, or choose another name",
        rustix::process::geteuid().as_raw()
    )]
    NotOwner {
        /// What was to be removed.
        place: String,
        /// To whom it belongs.
        owner_uid: u32,
        /// What the system said.
        source: io::Error,
    },
    /// The place's name cannot be a segment's name.
    #[error(transparent)]
    InvalidName(#[from] InvalidName),
    /// Anything else the operating system refused.
    #[error("{call} failed while removing {place}: {source}")]
    Os {
        /// What was to be removed.
        place: String,
        /// The call that failed.
        call: &'static str,
        /// What the system said.
        r#source: io::Error,
    },
}

impl GcError {
    /// `called` is what people call it.
    pub(super) fn from_fault(place: &Place, called: &impl std::fmt::Display, fault: Fault) -> Self {
        let permissions = permissions_of(place);
        let place = called.to_string();
        let Fault { call, source } = fault;
        match source.kind() {
            io::ErrorKind::PermissionDenied => Self::PermissionDenied { place, call, permissions, source },
            _ => Self::Os { place, call, source },
        }
    }
}

/// The cause of a [`Fault`] at a name that belongs to something else than a regular file.
#[derive(Debug, thiserror::Error)]
#[error("it is {0}")]
pub(super) struct SpecialFile(pub(super) &'static str);

/// What the name belongs to, if it is no regular file.
pub(super) fn special_file(error: &io::Error) -> Option<&'static str> {
    error.get_ref()?.downcast_ref::<SpecialFile>().map(|special| special.0)
}
