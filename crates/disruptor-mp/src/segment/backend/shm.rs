//! Segments in shared memory under a name: files of that name in one fixed directory.
//!
//! On Linux, POSIX shared memory *is* a file in `/dev/shm`, so any tool that uses `shm_open` sees the same object.
//! macOS keeps its shared-memory objects outside any file system: they have no inode, cannot be locked and take 31
//! bytes of name, so neither a death nor a replacement could be noticed. There a file in `/private/tmp` takes their
//! place; its pages are written back to the disk now and then, which costs some bandwidth and nothing else.

use std::path::{Path, PathBuf};

use super::super::name::{InvalidName, SegmentName};
use super::file::DirEntry;

/// The entry for `name`.
///
/// # Errors
/// The name is not valid, for instance because it has a `/`.
pub(crate) fn entry(name: &str) -> Result<DirEntry, InvalidName> {
    DirEntry::of(&path(name)?)
}

/// The file for `name`.
///
/// # Errors
/// As [`entry`].
pub(crate) fn path(name: &str) -> Result<PathBuf, InvalidName> {
    let name = SegmentName::new(name)?;
    Ok(directory().join(format!("{PREFIX}{name}")))
}

/// What precedes a name where the directory is not for shared memory alone.
const PREFIX: &str = if cfg!(target_os = "linux") { "" } else { "disruptor-mp-" };

/// The directory with the files of all names.
pub(crate) fn directory() -> &'static Path {
    Path::new(if cfg!(target_os = "linux") { "/dev/shm" } else { "/private/tmp" })
}

/// The name for which `file_name` in that directory is the file; `None` if no name has that file.
pub(crate) fn name_of(file_name: &str) -> Option<&str> {
    file_name.strip_prefix(PREFIX).filter(|name| SegmentName::new(*name).is_ok())
}
