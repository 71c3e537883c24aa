//! Which users may use a file, for the error of a process that may not.
//!
//! Nothing is decided by it. It needs only `stat`, which needs no permission of the file itself.

use rustix::fs::{self, Stat};
use std::fmt;
use std::os::fd::AsFd;
use std::path::Path;

/// Mode and owner of a file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Permissions {
    /// Its permissions, such as `0o600`.
    pub mode: u32,
    /// The id of the user that owns it.
    pub owner_uid: u32,
    /// The id of its group.
    pub group_gid: u32,
}

impl Permissions {
    /// The permissions of what has this name; of a symlink, its own. `None` if the system does not say.
    pub(super) fn of_path(path: &Path) -> Option<Self> {
        fs::lstat(path).ok().map(|stat| Self::of(&stat))
    }

    /// The permissions of an open file. `None` if the system does not say.
    pub fn of_file(file: impl AsFd) -> Option<Self> {
        fs::fstat(file).ok().map(|stat| Self::of(&stat))
    }

    #[allow(clippy::unnecessary_cast)] // its types differ by target
    fn of(stat: &Stat) -> Self {
        Self { mode: stat.st_mode as u32 & 0o7777, owner_uid: stat.st_uid, group_gid: stat.st_gid }
    }
}

impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mode, owner_uid, group_gid } = self;
        write!(f, "mode {mode:04o}, user {owner_uid}, group {group_gid}")
    }
}

/// The text for a file that this process may not use:
/// `; it has mode 0600, user 0, group 0, and this process is user 65534, group 65534`.
pub(super) struct Refusing<'a>(pub(super) &'static str, pub(super) &'a Option<Permissions>);

impl fmt::Display for Refusing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(what, Some(permissions)) = self else { return Ok(()) };
        let [uid, gid] = [rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()];
        write!(f, "; {what} has {permissions}, and this process is user {uid}, group {gid}")
    }
}

/// The text after [`Refusing`] for a segment that this process may not open: what it needs.
pub(super) struct Admission<'a>(pub(super) &'a Option<Permissions>);

impl fmt::Display for Admission<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(Permissions { mode, owner_uid, group_gid }) if mode & 0o060 == 0o060 => {
                write!(f, "run this process as user {owner_uid}, or as a member of group {group_gid}")?;
            }
            _ => f.write_str(
                "run both processes as one user, or create it for a group that both are in (`CreateOptions::group`)",
            )?,
        }
        match self.0 {
            Some(_) => f.write_str("; if no process uses it any more, let its owner or root remove it (gc)"),
            None => Ok(()),
        }
    }
}
