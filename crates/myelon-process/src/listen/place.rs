//! A path that one process owns: the rules for its directory, and the lock file that tells a living owner from a
//! left-over.
//!
//! - **Invariant:** what is at the path is made, replaced and removed only while the lock is held.

use super::identity::Made;
use super::lock::Lock;
use super::{Access, ListenError};
use disruptor_mp::liveness::ProcessIdentity;
use rustix::fs::{AtFlags, CWD, Gid, Mode, chmod, chownat};
use std::fs::{DirBuilder, FileType, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// A path that this process owns. When it is dropped, the file that was made there and the lock file are removed.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    lock: Lock,
    /// What this owner has made at the path.
    made: Option<Made>,
    owner: ProcessIdentity,
}

impl Place {
    /// Makes the directory if it does not exist, and becomes the owner of `path`, which is absolute.
    pub(super) fn take(path: &Path, access: Access) -> Result<Self, ListenError> {
        // An abstract name is not absolute, because it begins with a zero byte.
        if !path.is_absolute() {
            return Err(ListenError::NotAbsolute { path: path.to_owned() });
        }
        make_directory(path, access)?;
        let lock = Lock::take(path)?;
        Ok(Self { path: path.to_owned(), lock, made: None, owner: ProcessIdentity::current() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a file is at the path that may be replaced: one that the last owner has left, or one that no process
    /// uses. The last owner held the lock, so it is gone, even if a child that it has forked keeps its file open.
    pub(super) fn has_left_over(
        &self,
        is_kind: impl FnOnce(&FileType) -> bool,
        is_used: impl FnOnce() -> Result<bool, ListenError>,
    ) -> Result<bool, ListenError> {
        let path = || self.path.clone();
        match std::fs::symlink_metadata(&self.path) {
            Ok(found) if !is_kind(&found.file_type()) => Err(ListenError::OtherFile { path: path() }),
            Ok(_) => {
                // A program that knows no lock file may use it.
                let left = self.lock.left();
                let is_of_owner = left.is_some() && Made::at(&self.path).ok() == left;
                if !is_of_owner && is_used()? {
                    return Err(ListenError::InUse { path: path(), pid: None });
                }
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(os(&self.path, "stat")(error)),
        }
    }

    /// Notes what this owner has made at the path.
    pub(super) fn note(&mut self, made: Made) {
        self.made = Some(made);
        self.lock.note(made);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // In a child of `fork` the path belongs to the parent.
        if self.owner == ProcessIdentity::current() {
            // The lock is still held. But the files may have been removed by hand, and made anew by another process.
            if let Some(made) = self.made {
                made.file.remove(&self.path);
            }
            self.lock.remove();
        }
    }
}

pub(super) fn os(path: &Path, call: &'static str) -> impl Fn(io::Error) -> ListenError + use<> {
    let path = path.to_owned();
    move |source| ListenError::Os { path: path.clone(), call, source }
}

impl Access {
    /// The mode of the directory.
    fn of_directory(self) -> u32 {
        if self == Self::Owner { 0o700 } else { 0o710 }
    }
}

/// Makes the directory, or looks whether other users could do harm in the one that is there.
fn make_directory(path: &Path, access: Access) -> Result<(), ListenError> {
    // `/` alone has no parent: it is no name for a file, and the next step says so.
    let directory = path.parent().unwrap_or(path);
    let wanted = access.of_directory();
    match DirBuilder::new().mode(0o700).create(directory) {
        // The umask has changed its mode.
        Ok(()) => give(directory, access, wanted).map_err(os(path, "chown or chmod of its directory"))?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(os(path, "mkdir")(error)),
    }
    let is_ours = |found: &Metadata| found.uid() == rustix::process::geteuid().as_raw() || found.uid() == 0;
    let refused = |found: &Metadata| {
        let (mode, owner) = (found.mode() & 0o7777, found.uid());
        Err(ListenError::OpenDirectory { path: path.to_owned(), mode, owner, wanted })
    };
    // Another user's symlink may lead to another directory tomorrow.
    let link = std::fs::symlink_metadata(directory).map_err(os(path, "stat of its directory"))?;
    if !is_ours(&link) {
        return refused(&link);
    }
    let found = std::fs::metadata(directory).map_err(os(path, "stat of its directory"))?;
    // The group may read the directory, but not write into it.
    let too_open = if access == Access::Owner { 0o077 } else { 0o027 };
    if !is_ours(&found) || found.mode() & too_open != 0 {
        return refused(&found);
    }
    match access {
        Access::Group(wanted) if found.gid() != wanted || found.mode() & 0o010 == 0 => {
            let (mode, group) = (found.mode() & 0o7777, found.gid());
            Err(ListenError::ClosedDirectory { path: path.to_owned(), mode, group, wanted })
        }
        _ => Ok(()),
    }
}

/// Gives a file of ours its mode, and its group if there is one. No other user writes into its directory, so the path
/// is that file.
pub(super) fn give(path: &Path, access: Access, mode: u32) -> io::Result<()> {
    if let Access::Group(group) = access {
        chownat(CWD, path, None, Some(Gid::from_raw(group)), AtFlags::empty())?;
    }
    Ok(chmod(path, Mode::from_raw_mode(mode))?)
}
