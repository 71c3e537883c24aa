//! How a new segment is made: its permissions, and what is done about its pages.

/// How a new segment is made. The default: private to the user (0600), all space reserved, nothing prefaulted or
/// locked; the directory of a file is made if it is missing.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreateOptions {
    pub(super) group: Option<u32>,
    pub(super) sparse: bool,
    pub(super) prefault: bool,
    pub(super) mlock: bool,
    pub(super) make_directories: bool,
}

impl Default for CreateOptions {
    fn default() -> Self {
        Self { group: None, sparse: false, prefault: false, mlock: false, make_directories: true }
    }
}

impl CreateOptions {
    /// Readable and writable by the group `gid` as well (0660). A user that may write is trusted: see the module's
    /// documentation.
    pub fn group(mut self, gid: u32) -> Self {
        self.group = Some(gid);
        self
    }

    /// Does not reserve the space. If it runs out later, a process that touches a page that does not exist gets SIGBUS.
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

    /// Whether the directory of a file and its parents are made if they are missing; `true` unless set. Only their
    /// owner may write to them: mode 0755, less the umask. So make the directory yourself if several users create rings
    /// in it. `false` is for a path below a mount point: if the file system is not mounted there, creation then fails
    /// instead of making a directory under the mount point.
    pub fn make_directories(mut self, make_directories: bool) -> Self {
        self.make_directories = make_directories;
        self
    }

    /// The group that was given, and whether it is sparse, prefaulted, locked in memory, and makes directories: for
    /// layers that pass the options on to another process.
    #[doc(hidden)]
    pub fn to_parts(self) -> (Option<u32>, [bool; 4]) {
        (self.group, [self.sparse, self.prefault, self.mlock, self.make_directories])
    }

    /// The reverse of it.
    #[doc(hidden)]
    pub fn from_parts((group, [sparse, prefault, mlock, make_directories]): (Option<u32>, [bool; 4])) -> Self {
        Self { group, sparse, prefault, mlock, make_directories }
    }
}
