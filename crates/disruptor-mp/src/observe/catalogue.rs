//! The segments in a directory.

use super::observer::Observer;
use crate::segment::{OpenError, Place, name_of_shared_memory, shared_memory_directory};
use std::fs::{self, ReadDir};
use std::io;
use std::path::{Path, PathBuf};

/// The segments in a directory, one after the other in the order of the directory. Files that do not begin as a segment
/// does are passed over.
///
/// ```
/// use disruptor_mp::observe::Catalogue;
///
/// # fn main() -> std::io::Result<()> {
/// for found in Catalogue::of_shared_memory()? {
///     match &found.segment {
///         Ok(segment) => println!("{}: {}, {}", segment.called(), segment.kind(), segment.life()),
///         Err(error) => println!("{}: {error}", found.path.display()), // damaged, of another version, unreadable
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Catalogue {
    entries: ReadDir,
    in_shared_memory: bool,
}

/// A segment that was found, or the reason why it cannot be looked at.
#[derive(Debug)]
#[non_exhaustive]
pub struct Found {
    /// Its file.
    pub path: PathBuf,
    /// The segment, mapped read-only.
    ///
    /// # Errors
    /// As for [`Observer::open`].
    pub segment: Result<Observer, OpenError>,
}

impl Catalogue {
    /// The segments in shared memory.
    ///
    /// # Errors
    /// The directory could not be read.
    pub fn of_shared_memory() -> io::Result<Self> {
        Ok(Self { entries: fs::read_dir(shared_memory_directory())?, in_shared_memory: true })
    }

    /// The segments in `directory`, not in the directories below.
    ///
    /// # Errors
    /// The directory could not be read.
    pub fn of(directory: &Path) -> io::Result<Self> {
        let in_shared_memory = directory == shared_memory_directory();
        Ok(Self { entries: fs::read_dir(directory)?, in_shared_memory })
    }
}

impl Iterator for Catalogue {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        loop {
            // An entry that cannot be read has no name to speak of.
            let Ok(entry) = self.entries.next()? else { continue };
            let path = entry.path();
            let name = path.file_name().and_then(|name| name.to_str()).and_then(name_of_shared_memory);
            let name = name.filter(|_| self.in_shared_memory);
            let place = name.map_or_else(|| Place::from(path.as_path()), Place::from);
            match Observer::open(place) {
                // No file of ours, or it was removed while we looked.
                Err(OpenError::WrongMagic { .. } | OpenError::NotAFile { .. } | OpenError::NotFound { .. }) => {}
                Err(OpenError::TooShort { .. }) => {}
                segment => return Some(Found { path, segment }),
            }
        }
    }
}
