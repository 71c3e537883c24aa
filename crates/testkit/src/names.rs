//! Names of shared-memory objects that no other test uses, and the removal of what a test leaves behind.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// The length of names from [`short`]: the longest name that works on every system, which is the limit of a portable
/// segment name.
pub const SHORT_NAME_LEN: usize = 14;

/// Where named shared memory is on Linux.
const SHM_DIRECTORY: &str = "/dev/shm";

/// A unique name of exactly [`SHORT_NAME_LEN`] letters and digits.
pub fn short() -> String {
    let name = format!("t{}{}{}", digits(process::id().into(), 5), digits(count(), 4), digits(random(), 4));
    debug_assert_eq!(name.len(), SHORT_NAME_LEN);
    name
}

/// `prefix`, a dash and a [`short`] name.
pub fn unique(prefix: &str) -> String {
    format!("{prefix}-{}", short())
}

/// The names of one test: they share a tag, and this guard's drop removes everything in `/dev/shm` with the tag.
#[derive(Debug)]
pub struct ShmGuard {
    tag: String,
}

impl ShmGuard {
    /// Takes a fresh tag of twelve letters and digits.
    #[expect(clippy::new_without_default, reason = "two guards are never equal, which is what a default suggests")]
    pub fn new() -> Self {
        // The first letter differs from that of `short`, and every part has a fixed width: no tag is part of another
        // name.
        Self { tag: format!("g{}{}{}", digits(process::id().into(), 5), digits(count(), 3), digits(random(), 3)) }
    }

    /// The tag followed by `suffix`. With up to two characters of suffix the name is not longer than
    /// [`SHORT_NAME_LEN`].
    pub fn name(&self, suffix: &str) -> String {
        format!("{}{suffix}", self.tag)
    }

    /// What all names of this guard begin with.
    pub fn prefix(&self) -> &str {
        &self.tag
    }

    /// The objects that exist now, sorted. A name that contains the tag anywhere counts, because a library may add to
    /// it.
    pub fn leftovers(&self) -> Vec<PathBuf> {
        carriers(Path::new(SHM_DIRECTORY), &self.tag)
    }

    /// Panics when an object of this guard still exists, and names it.
    #[track_caller]
    pub fn assert_nothing_left(&self) {
        let left = self.leftovers();
        assert!(left.is_empty(), "left behind in {SHM_DIRECTORY}: {left:?}");
    }
}

impl Drop for ShmGuard {
    fn drop(&mut self) {
        for path in self.leftovers() {
            // Another process may be removing it at this moment, and a failing test must still show its own message.
            if let Err(error) = fs::remove_file(&path)
                && error.kind() != std::io::ErrorKind::NotFound
                && !thread::panicking()
            {
                panic!("cannot remove {}: {error}", path.display());
            }
        }
    }
}

/// The entries of `directory` whose name contains `tag`, sorted. A directory that does not exist has none.
fn carriers(directory: &Path, tag: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().contains(tag))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

/// The last `width` digits of `value` in base 36.
fn digits(mut value: u64, width: usize) -> String {
    let mut text = vec![b'0'; width];
    for place in text.iter_mut().rev() {
        *place = b"0123456789abcdefghijklmnopqrstuvwxyz"[(value % 36) as usize];
        value /= 36;
    }
    text.into_iter().map(char::from).collect()
}

/// Another number on each call in this process.
fn count() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A number that distinguishes two processes with the same pid, one after the other or in two pid namespaces.
fn random() -> u64 {
    // The standard library's only source of randomness: the keys of a hasher come from the operating system.
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_differ_and_keep_their_length() {
        let names: HashSet<String> = (0..1000).map(|_| short()).collect();
        assert_eq!(names.len(), 1000);
        assert!(
            names.iter().all(|name| name.len() == SHORT_NAME_LEN && name.bytes().all(|b| b.is_ascii_alphanumeric()))
        );
        assert_eq!(ShmGuard::new().name("ab").len(), SHORT_NAME_LEN);
        assert!(unique("ring").starts_with("ring-t"));
    }

    #[test]
    fn the_widest_pid_fits() {
        assert_eq!(digits(4_194_304, 5), "2hwcg");
        assert_eq!(digits(35, 3), "00z");
    }

    #[test]
    fn what_carries_the_tag_is_found_and_removed() {
        let guard = ShmGuard::new();
        guard.assert_nothing_left();
        let stranger = PathBuf::from(SHM_DIRECTORY).join(short());
        let ours = PathBuf::from(SHM_DIRECTORY).join(format!("decorated.{}", guard.name("a")));
        fs::write(&stranger, "x").unwrap();
        fs::write(&ours, "x").unwrap();
        assert_eq!(guard.leftovers(), std::slice::from_ref(&ours));
        drop(guard);
        assert!(!ours.exists());
        assert!(stranger.exists(), "an object of another program was removed");
        fs::remove_file(&stranger).unwrap();
    }

    #[test]
    #[should_panic(expected = "left behind")]
    fn something_left_is_an_assertion() {
        let guard = ShmGuard::new();
        fs::write(PathBuf::from(SHM_DIRECTORY).join(guard.name("b")), "x").unwrap();
        guard.assert_nothing_left();
    }
}
