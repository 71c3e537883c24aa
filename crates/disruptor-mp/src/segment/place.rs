//! Where a segment is: every constructor takes `impl Into<Place>`. Nothing is looked up here.

use std::ffi::OsStr;
#[cfg(target_os = "linux")]
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

#[cfg(target_os = "linux")]
use super::backend::MemfdObject;
use super::backend::{Backend, DirEntry, HeapObject, shm_entry, shm_path};
use super::name::{InvalidName, MmapTransportLayout, SegmentName, absolute, printable};
use super::title::Title;

/// Where a segment is, or is to be created.
///
/// A string is a name in shared memory, a path is a file. Making a `Place` never fails and touches nothing: names are
/// checked when the place is used, and a string with a `/` is refused there with [`InvalidName`](super::InvalidName).
///
/// ```
/// use disruptor_mp::{Patience, Place, attach_shared_consumer, build_shared_single_producer};
/// use std::path::Path;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// assert_eq!(Place::from("steps").to_string(), "shm:steps"); // a name in shared memory
/// let file = Path::new("/run/engine/steps.ring");
/// assert_eq!(Place::from(file).path().as_deref(), Some(file));
///
/// // For tests and threads: no name, and nothing is left. Both ends get the same place.
/// let place = Place::heap();
/// let mut producer = build_shared_single_producer::<u64>(&place, 8).build_producer(|| 0)?;
/// let mut consumer = attach_shared_consumer::<u64>(&place, 8).build_consumer()?;
/// producer.publish_with(Patience::Endless, |slot| *slot = 7)?;
/// assert_eq!(consumer.next(Patience::Endless)?.map(|event| *event), Some(7));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Place {
    /// Shared memory under a name: the file of that name in `/dev/shm`. The shared-memory objects of macOS have neither
    /// record locks nor identity, which are needed to notice a death; there it is a file in `/private/tmp` with a
    /// prefix of ours.
    Shm(String),
    /// A file that every participant maps. If you do not need durability, choose a directory on a memory file system.
    File(PathBuf),
    /// Shared memory without a name, passed on as a descriptor.
    #[cfg(target_os = "linux")]
    Memfd(MemfdObject),
    /// Memory of this process alone, shared by the clones of the place: for threads, tests and models.
    Heap(HeapObject),
    /// Any of those with a title: see [`titled`](Place::titled).
    Titled(Box<Place>, Title),
}

impl Place {
    /// A place for a new anonymous memory file. `label` appears in `/proc/<pid>/maps` and in messages; it need not be
    /// unique.
    #[cfg(target_os = "linux")]
    pub fn memfd(label: impl Into<String>) -> Self {
        Self::Memfd(MemfdObject::new(label))
    }

    /// This place with a path that means the same after the process has changed its working directory.
    pub(super) fn fixed(&self) -> Self {
        match self {
            Self::File(path) => Self::File(absolute(path)),
            Self::Titled(place, title) => Self::Titled(Box::new(place.fixed()), title.clone()),
            other => other.clone(),
        }
    }

    /// The backend that finds, names and removes the object here.
    pub(super) fn backend(&self) -> Result<Box<dyn Backend + '_>, InvalidName> {
        Ok(match self {
            Self::Shm(name) => Box::new(shm_entry(name)?),
            Self::File(path) => Box::new(DirEntry::of(path)?),
            #[cfg(target_os = "linux")]
            Self::Memfd(object) => Box::new(object),
            Self::Heap(object) => Box::new(object),
            Self::Titled(place, _) => return place.backend(),
        })
    }

    /// The file under which other processes find the segment; `None` if it has no name, or the name is not valid.
    pub fn path(&self) -> Option<PathBuf> {
        match self {
            Self::Shm(name) => shm_path(name).ok(),
            Self::File(path) => Some(absolute(path)),
            #[cfg(target_os = "linux")]
            Self::Memfd(_) => None,
            Self::Heap(_) => None,
            Self::Titled(place, _) => place.path(),
        }
    }

    /// This place with a title. Errors and reports about it begin with the title. A segment that is created there keeps
    /// the title for every process that opens it. An empty title changes nothing.
    ///
    /// ```
    /// use disruptor_mp::segment::{Place, Title};
    ///
    /// let place = Place::from("vmyam05itfqpr1").titled(Title::new("tp-engine", Some(1)));
    /// assert_eq!(place.to_string(), "tp-engine, rank 1 (shm:vmyam05itfqpr1)");
    /// ```
    #[must_use]
    pub fn titled(self, title: Title) -> Self {
        match (title.is_empty(), self) {
            (true, place) => place,
            (false, Self::Titled(place, _)) => Self::Titled(place, title),
            (false, place) => Self::Titled(Box::new(place), title),
        }
    }

    /// Its title, if it has one.
    pub fn title(&self) -> Option<&Title> {
        match self {
            Self::Titled(_, title) => Some(title),
            _ => None,
        }
    }

    /// The same place without its title.
    pub fn untitled(&self) -> &Self {
        match self {
            Self::Titled(place, _) => place,
            place => place,
        }
    }

    /// The second name of the segment with that generation that is, or was, here. Under it the segment can be found
    /// after another one has replaced it. It is the same from here and from any other second name. `None` if a segment
    /// has no name.
    pub(crate) fn second_name(&self, generation: u64) -> Option<Self> {
        let path = self.path()?;
        let name = first_name(path.file_name()?.as_bytes());
        let second = [name, format!("{MARK}{generation:016x}").as_bytes()].concat();
        Some(Self::File(path.with_file_name(OsStr::from_bytes(&second))))
    }

    /// The place that this [second name](Self::second_name) was made from, or this place itself; `None` if it has no
    /// name.
    pub(crate) fn first_name(&self) -> Option<Self> {
        let path = self.path()?;
        Some(Self::File(path.with_file_name(OsStr::from_bytes(first_name(path.file_name()?.as_bytes())))))
    }

    /// An empty place in this process's own memory; clones of it are the same place.
    pub fn heap() -> Self {
        Self::Heap(HeapObject::new())
    }
}

/// The separator between a name and the generation in a second name.
const MARK: char = '~';

/// The number of digits of a generation.
const DIGITS: usize = 16;

/// The name that a second name was made from, or the name itself.
fn first_name(name: &[u8]) -> &[u8] {
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    match name.len().checked_sub(DIGITS + MARK.len_utf8()).map(|at| name.split_at(at)) {
        Some((first, [mark, digits @ ..])) if *mark == MARK as u8 && digits.iter().all(is_digit) => first,
        _ => name,
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Shm(name) => write!(f, "shm:{}", printable(name)),
            Self::File(path) => write!(f, "{}", printable(&path.to_string_lossy())),
            #[cfg(target_os = "linux")]
            Self::Memfd(object) => write!(f, "memfd:{}", printable(object.label())),
            Self::Heap(_) => f.write_str("heap"),
            Self::Titled(place, title) => f.write_str(&title.before(place)),
        }
    }
}

impl From<&Place> for Place {
    fn from(place: &Place) -> Self {
        place.clone()
    }
}

impl From<&str> for Place {
    fn from(name: &str) -> Self {
        Self::Shm(name.to_owned())
    }
}

impl From<String> for Place {
    fn from(name: String) -> Self {
        Self::Shm(name)
    }
}

impl From<&String> for Place {
    fn from(name: &String) -> Self {
        Self::Shm(name.clone())
    }
}

impl From<&SegmentName> for Place {
    fn from(name: &SegmentName) -> Self {
        Self::Shm(name.as_str().to_owned())
    }
}

impl From<SegmentName> for Place {
    fn from(name: SegmentName) -> Self {
        Self::from(&name)
    }
}

/// A relative path is resolved against the current working directory now, even if the process changes it later.
impl From<&Path> for Place {
    fn from(path: &Path) -> Self {
        Self::File(absolute(path))
    }
}

impl From<PathBuf> for Place {
    fn from(path: PathBuf) -> Self {
        Self::from(path.as_path())
    }
}

impl From<&PathBuf> for Place {
    fn from(path: &PathBuf) -> Self {
        Self::from(path.as_path())
    }
}

impl From<MmapTransportLayout> for Place {
    fn from(layout: MmapTransportLayout) -> Self {
        Self::from(&layout)
    }
}

impl From<&MmapTransportLayout> for Place {
    fn from(layout: &MmapTransportLayout) -> Self {
        Self::from(layout.ring_path())
    }
}

/// An existing memory file from another process. It can be opened; creating there fails because the place is taken.
#[cfg(target_os = "linux")]
impl From<OwnedFd> for Place {
    fn from(descriptor: OwnedFd) -> Self {
        Self::Memfd(MemfdObject::from(descriptor))
    }
}

impl From<HeapObject> for Place {
    fn from(object: HeapObject) -> Self {
        Self::Heap(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_name_is_the_same_from_wherever_it_is_made() {
        for place in [Place::from("rpc"), Place::from(Path::new("/tmp/a/rpc.ring")), Place::from("x~0123456789abcdeF")]
        {
            let (first, second) = (place.second_name(7).unwrap(), place.second_name(8).unwrap());
            assert_eq!(first.second_name(8).unwrap().path(), second.path());
            assert_eq!([&place, &first].map(|it| it.first_name().unwrap().path()), [place.path(), place.path()]);
            let expected = format!("{}~0000000000000007", place.path().unwrap().display());
            assert_eq!(first.path().unwrap().to_str(), Some(expected.as_str()));
        }
        assert!(Place::heap().second_name(7).is_none());
    }
}
