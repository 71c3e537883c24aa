//! What a segment may be called, and where a ring in a file is.

use std::borrow::Cow;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::owner::ProcessIdentity;
use crate::sync::primitive::{AtomicU64, Ordering};
use crate::text::disguises;

/// Why a name was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameProblem {
    /// The name has no characters, or the path ends in no file name (`""`, `/`, `..`).
    #[error("it is empty")]
    Empty,
    /// The name is longer than [`SegmentName::MAX_LEN_BYTES`].
    #[error("it is longer than {max_len_bytes} bytes")]
    TooLong {
        /// The longest name that is accepted, in bytes.
        max_len_bytes: usize,
    },
    /// The name contains a `/`, and so could leave the directory of the segments.
    #[error("it contains a `/`; use a path (`Path`, `PathBuf`) for a file")]
    Separator,
    /// The name starts with a dot, as `.`, `..` and hidden files do.
    #[error("it starts with a dot")]
    LeadingDot,
    /// The name contains a character that cannot be seen, or that changes how its neighbours look: NUL, a line break, a
    /// direction mark, a zero-width space.
    #[error("it contains {found:?}, which cannot be seen")]
    Unprintable {
        /// The first such character.
        found: char,
    },
    /// The name of a file-backed ring may only have letters, digits, `_` and `-`.
    #[error("it contains {found:?}; only letters, digits, `_` and `-` are allowed")]
    Character {
        /// The first character outside that set.
        found: char,
    },
}

/// A name that cannot be the name of a segment. Choose another name; nothing was created or opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` cannot be a segment's name: {reason}", name = name.escape_debug())]
pub struct InvalidName {
    /// The name as it was given; may contain anything.
    pub name: String,
    /// What is wrong with it.
    pub reason: NameProblem,
}

/// A checked name of a segment in shared memory: 1 to [`SegmentName::MAX_LEN_BYTES`] printable bytes without a `/`, not
/// starting with a dot. It therefore names exactly one object in exactly one directory.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SegmentName(String);

impl SegmentName {
    /// The longest name in bytes. File systems limit names to 255 bytes; the rest is left for what tools add to a name.
    pub const MAX_LEN_BYTES: usize = 200;

    /// Checks `name`.
    ///
    /// # Errors
    /// [`InvalidName`] says which rule was broken; choose another name.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidName> {
        let name = name.into();
        match Self::problem(&name) {
            None => Ok(Self(name)),
            Some(reason) => Err(InvalidName { name, reason }),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn problem(name: &str) -> Option<NameProblem> {
        if name.is_empty() {
            return Some(NameProblem::Empty);
        }
        if name.len() > Self::MAX_LEN_BYTES {
            return Some(NameProblem::TooLong { max_len_bytes: Self::MAX_LEN_BYTES });
        }
        if name.contains('/') {
            return Some(NameProblem::Separator);
        }
        if name.starts_with('.') {
            return Some(NameProblem::LeadingDot);
        }
        name.chars().find(|c| disguises(*c)).map(|found| NameProblem::Unprintable { found })
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for SegmentName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for SegmentName {
    type Err = InvalidName;

    fn from_str(name: &str) -> Result<Self, InvalidName> {
        Self::new(name)
    }
}

impl TryFrom<String> for SegmentName {
    type Error = InvalidName;

    fn try_from(name: String) -> Result<Self, InvalidName> {
        Self::new(name)
    }
}

/// The longest name that every operating system accepts for shared memory.
pub const PORTABLE_SHM_SEGMENT_NAME_MAX_LEN: usize = 14;

/// A unique name for a segment: the letters and digits at the beginning of `prefix`, and ten characters that differ
/// from process to process and from call to call. At most [`PORTABLE_SHM_SEGMENT_NAME_MAX_LEN`] bytes; of the prefix,
/// four remain.
///
/// ```
/// let name = disruptor_mp::portable_shm_segment_name("rpc-ring");
/// assert!(name.starts_with("rpcr") && name.len() == disruptor_mp::PORTABLE_SHM_SEGMENT_NAME_MAX_LEN);
/// ```
pub fn portable_shm_segment_name(prefix: &str) -> String {
    const UNIQUE_LEN: usize = 10;
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let kept = prefix.chars().filter(char::is_ascii_alphanumeric).take(PORTABLE_SHM_SEGMENT_NAME_MAX_LEN - UNIQUE_LEN);
    // Ten digits to base 36 are 51 bits. The process's identity, the time and the count of calls are hashed into them:
    // as digits they would be too long.
    let who_and_when = (ProcessIdentity::current(), Instant::now(), CALLS.fetch_add(1, Ordering::Relaxed));
    let mut rest = RandomState::new().hash_one(who_and_when);
    let unique = std::iter::repeat_with(|| {
        let digit = char::from_digit((rest % 36) as u32, 36).expect("a remainder by 36 is a digit to base 36");
        rest /= 36;
        digit
    });
    kept.chain(unique.take(UNIQUE_LEN)).collect()
}

/// Where a ring in a memory-mapped file lives: a directory, and a name of letters, digits, `_` and `-` in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(try_from = "UncheckedLayout"))]
pub struct MmapTransportLayout {
    root_dir: PathBuf,
    segment_name: String,
}

/// The same fields before the name was checked, so that a configuration file cannot contain what
/// [`MmapTransportLayout::new`] refuses.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
struct UncheckedLayout {
    root_dir: PathBuf,
    segment_name: String,
}

#[cfg(feature = "serde")]
impl TryFrom<UncheckedLayout> for MmapTransportLayout {
    type Error = InvalidName;

    fn try_from(unchecked: UncheckedLayout) -> Result<Self, InvalidName> {
        Self::new(unchecked.root_dir, unchecked.segment_name)
    }
}

impl MmapTransportLayout {
    /// A ring called `segment_name` in `root_dir`. Nothing is created; see
    /// [`ensure_directories`](Self::ensure_directories). A relative directory is resolved against the current working
    /// directory now.
    ///
    /// # Errors
    /// [`InvalidName`] if the name has other characters than ASCII letters, digits, `_` and `-`, or is empty or too
    /// long.
    pub fn new(root_dir: impl Into<PathBuf>, segment_name: impl Into<String>) -> Result<Self, InvalidName> {
        let SegmentName(segment_name) = SegmentName::new(segment_name)?;
        match segment_name.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))) {
            None => Ok(Self { root_dir: absolute(&root_dir.into()), segment_name }),
            Some(found) => Err(InvalidName { name: segment_name, reason: NameProblem::Character { found } }),
        }
    }

    /// The directory that holds the ring: an absolute path.
    pub fn root_dir(&self) -> &Path {
        &self.root_dir
    }

    /// The ring's name, without directory or extension.
    pub fn segment_name(&self) -> &str {
        &self.segment_name
    }

    /// The file of the ring: `root_dir/segment_name.ring`.
    pub fn ring_path(&self) -> PathBuf {
        self.root_dir.join(format!("{}.ring", self.segment_name))
    }

    /// Creates `root_dir` and its parents where they are missing, with the permissions of the process's umask.
    ///
    /// # Errors
    /// What the operating system says about the directory.
    pub fn ensure_directories(&self) -> io::Result<()> {
        std::fs::create_dir_all(&self.root_dir)
    }
}

/// The name of the file at the end of `path`, checked: there must be one, and it may not contain NUL.
pub(super) fn file_name(path: &Path) -> Result<&std::ffi::OsStr, InvalidName> {
    let refuse = |reason| InvalidName { name: path.display().to_string(), reason };
    let name = path.file_name().ok_or_else(|| refuse(NameProblem::Empty))?;
    match path.as_os_str().as_encoded_bytes().contains(&0) {
        true => Err(refuse(NameProblem::Unprintable { found: '\0' })),
        false => Ok(name),
    }
}

/// `path` in a form that means the same after the process has changed its working directory. A path that has no such
/// form stays as it is, and is refused when it is used.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The text of `name` for messages, with any content made printable.
pub(super) fn printable(name: &str) -> Cow<'_, str> {
    match name.chars().any(disguises) {
        true => Cow::Owned(name.escape_debug().to_string()),
        false => Cow::Borrowed(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(name: &str) -> NameProblem {
        SegmentName::new(name).unwrap_err().reason
    }

    #[test]
    fn a_name_stays_in_its_directory_and_on_one_line() {
        assert_eq!(reason(""), NameProblem::Empty);
        assert_eq!(reason("."), NameProblem::LeadingDot);
        assert_eq!(reason(".."), NameProblem::LeadingDot);
        assert_eq!(reason(".hidden"), NameProblem::LeadingDot);
        assert_eq!(reason("a/b"), NameProblem::Separator);
        assert_eq!(reason("/a"), NameProblem::Separator);
        assert_eq!(reason("a\0b"), NameProblem::Unprintable { found: '\0' });
        for found in ['\n', '\u{202e}', '\u{2066}', '\u{200b}', '\u{2028}', '\u{2029}', '\u{feff}'] {
            assert_eq!(reason(&format!("a{found}b")), NameProblem::Unprintable { found });
        }
        assert_eq!(reason(&"x".repeat(201)), NameProblem::TooLong { max_len_bytes: 200 });
        for good in ["a", "vmy_rpc.7", "rank 3", "größe", &"x".repeat(200)] {
            assert_eq!(SegmentName::new(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn portable_names_are_short_valid_and_unique() {
        let mut seen = std::collections::BTreeSet::new();
        for prefix in ["", "a", "rpc", "größe/../x", "a long prefix with blanks"] {
            for _ in 0..1000 {
                let name = portable_shm_segment_name(prefix);
                assert!(
                    name.len() <= PORTABLE_SHM_SEGMENT_NAME_MAX_LEN && name.bytes().all(|b| b.is_ascii_alphanumeric())
                );
                SegmentName::new(&name).unwrap();
                assert!(seen.insert(name));
            }
        }
    }

    #[test]
    fn a_layout_takes_letters_digits_underscore_and_hyphen_only() {
        let layout = MmapTransportLayout::new("/tmp/run", "tok_en-7").unwrap();
        assert_eq!(layout.ring_path(), Path::new("/tmp/run/tok_en-7.ring"));
        for (bad, found) in [("a.b", '.'), ("a b", ' '), ("ä", 'ä')] {
            assert_eq!(MmapTransportLayout::new("/tmp", bad).unwrap_err().reason, NameProblem::Character { found });
        }
    }

    #[test]
    fn a_path_without_a_last_component_is_no_place() {
        for bad in ["", "/", "a/.."] {
            assert_eq!(file_name(Path::new(bad)).unwrap_err().reason, NameProblem::Empty);
        }
        assert_eq!(file_name(Path::new("a/b.ring")).unwrap(), "b.ring");
    }

    #[cfg(feature = "serde")]
    #[test]
    fn deserialising_a_layout_checks_its_name() {
        use serde::Deserialize;
        use serde::de::value::{Error, MapDeserializer};
        let read = |name: &'static str| {
            let fields = [("root_dir", "/tmp"), ("segment_name", name)];
            MmapTransportLayout::deserialize(MapDeserializer::<_, Error>::new(fields.into_iter()))
        };
        assert_eq!(read("ring").unwrap().segment_name(), "ring");
        assert!(read("../ring").is_err());
    }
}
