//! Which file is at a path, so that the file of another process is not taken for ours.

use rustix::fs::{AtFlags, CWD, Stat, statat};
use rustix::io::Errno;
use std::io;
use std::path::Path;

/// A file by its device and its inode. No other file has them while this one is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileIdentity {
    device: u64,
    inode: u64,
}

impl FileIdentity {
    /// The file at `path`, which is not followed if it is a symlink.
    pub(super) fn at(path: &Path) -> io::Result<Option<Self>> {
        match statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Self::of(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    #[allow(clippy::unnecessary_cast)] // their types differ by target
    pub(super) fn of(stat: &Stat) -> Self {
        Self { device: stat.st_dev as u64, inode: stat.st_ino as u64 }
    }

    /// Removes the file, if it is still at `path`.
    pub(super) fn remove(self, path: &Path) {
        if Self::at(path).is_ok_and(|found| found == Some(self)) {
            let _ = std::fs::remove_file(path);
        }
    }
}
