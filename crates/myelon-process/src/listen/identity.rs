//! Which file is at a path, so that the file of another process is not taken for ours.

use rustix::fs::{AtFlags, CWD, Stat, statat};
use rustix::io::Errno;
use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;

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

/// A file as its owner has made it. Once it is removed, another file may have its inode, but with another time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) file: FileIdentity,
    changed_s: i64,
    changed_ns: i64,
}

impl Made {
    /// What is at `path`, which is not followed if it is a symlink.
    #[allow(clippy::unnecessary_cast)] // their types differ by target
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        let stat = statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW)?;
        let file = FileIdentity::of(&stat);
        Ok(Self { file, changed_s: stat.st_ctime as i64, changed_ns: stat.st_ctime_nsec as i64 })
    }
}

/// `DEVICE INODE SECONDS NANOSECONDS`
impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file: FileIdentity { device, inode }, changed_s, changed_ns } = self;
        write!(f, "{device} {inode} {changed_s} {changed_ns}")
    }
}

/// The text is of another version, or damaged.
pub(super) struct NotMade;

impl FromStr for Made {
    type Err = NotMade;

    fn from_str(text: &str) -> Result<Self, NotMade> {
        let parsed = || {
            let mut words = text.split(' ');
            let file = FileIdentity { device: words.next()?.parse().ok()?, inode: words.next()?.parse().ok()? };
            Some(Self { file, changed_s: words.next()?.parse().ok()?, changed_ns: words.next()?.parse().ok()? })
        };
        parsed().ok_or(NotMade)
    }
}
