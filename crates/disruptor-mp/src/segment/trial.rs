//! Whether a directory can hold rings: a file in it is used as a ring uses its file, and does not stay.

use std::io;
use std::path::Path;

use super::backend::{Access, Backend, DirEntry, Fault, Object, Request};
use super::header;
use super::owner::{LockRange, PRODUCER};

/// The length of the file.
const TRIAL_BYTES: u64 = 4096;

/// What a directory answered. The answers are those of this moment and of this process.
#[derive(Debug)]
#[non_exhaustive]
pub struct DirectoryTrial {
    /// Whether files can be made without a name. If not, a ring is visible before it is complete, and openers wait.
    pub nameless: bool,
    /// Whether space can be reserved: otherwise a full file system ends in SIGBUS, not in an error.
    pub space: io::Result<()>,
    /// Whether the file can be mapped for several processes.
    pub mapping: io::Result<()>,
    /// Whether locks of open files work (`F_OFD_GETLK`, `F_OFD_SETLK`), by which processes learn of a death.
    pub locks: io::Result<()>,
}

/// Makes a file of 4096 bytes in `directory`, reserves its space, maps it, locks it, and removes it. Where the file
/// system can, it never has a name.
///
/// # Errors
/// The file cannot be made: the directory is missing, read-only or not ours, or the file system is full.
pub fn directory_trial(directory: &Path) -> io::Result<DirectoryTrial> {
    let name = format!(".myelon-trial-{}", std::process::id());
    let entry =
        DirEntry::of(&directory.join(name)).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let request = Request { total_len: TRIAL_BYTES, again: None, mode: 0o600, group: None };
    let cause = |fault: Fault| fault.source;
    let (object, nameless) = match entry.draft_nameless(&request).map_err(cause)? {
        Some(object) => (object, true),
        None => (entry.draft_named(&request).map_err(cause)?, false),
    };
    let trial = try_out(&object, nameless);
    if !nameless {
        // It was created exclusively above, so it is ours.
        let _ = entry.unlink();
    }
    Ok(trial)
}

/// Whether a file that begins with these bytes is a ring, of any version and in any state.
pub fn is_ring(start: &[u8]) -> bool {
    header::is_ours(start)
}

fn try_out(object: &Object, nameless: bool) -> DirectoryTrial {
    let space = match super::backend::longest_file_bytes() {
        // Reserving more would send SIGXFSZ.
        Some(limit) if limit < TRIAL_BYTES => Err(rustix::io::Errno::FBIG.into()),
        _ => object.fill(&[0], TRIAL_BYTES, false).map_err(|fault| fault.source),
    };
    let mapping = match object.len() {
        Ok(len) if len >= TRIAL_BYTES => {
            object.map(TRIAL_BYTES as usize, None, Access::ReadWrite, false).map(drop).map_err(|fault| fault.source)
        }
        Ok(_) => Err(io::Error::other("there is no space to map")),
        Err(error) => Err(error),
    };
    let locks = object.first_held(LockRange::Byte(PRODUCER)).and_then(|_| object.try_lock(LockRange::Whole)).map(drop);
    DirectoryTrial { nameless, space, mapping, locks }
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;
    use crate::segment::backend::pretend_no_tmpfile;

    #[test]
    fn a_directory_that_can_hold_rings_passes_and_is_empty_afterwards() {
        let directory = std::env::temp_dir().join(testkit::names::unique("trial"));
        assert_eq!(directory_trial(&directory).unwrap_err().kind(), io::ErrorKind::NotFound);
        std::fs::create_dir(&directory).unwrap();
        for nameless in [true, false] {
            let trial = match nameless {
                true => directory_trial(&directory),
                false => pretend_no_tmpfile(|| directory_trial(&directory)),
            };
            let trial = trial.unwrap();
            assert_eq!(trial.nameless, nameless);
            assert!(trial.space.is_ok() && trial.mapping.is_ok() && trial.locks.is_ok(), "{trial:?}");
            assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
        }
        std::fs::remove_dir(&directory).unwrap();
    }
}
