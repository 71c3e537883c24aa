//! The kinds of places a segment can be in. A backend finds, names and removes objects. What happens *in* an object is
//! the same for all backends and is not here.

mod descriptor;
mod file;
mod heap;
#[cfg(target_os = "linux")]
mod memfd;
mod memory_limit;
mod shm;
mod window;

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

pub(super) use descriptor::identity as identity_of_descriptor;
pub(super) use file::DirEntry;
#[cfg(test)]
pub(super) use file::pretend_no_tmpfile;
pub(super) use heap::HeapMemory;
pub use heap::HeapObject;
#[cfg(target_os = "linux")]
pub use memfd::MemfdObject;
pub(super) use memory_limit::MemoryLimit;
pub(super) use shm::{entry as shm_entry, path as shm_path};

use super::blueprint::Section;
use super::owner::{self, Claim, ForkSafe, LockRange, Spare};
use window::Window;

/// What a participant may do with a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Map it read-only: monitors and taps.
    ReadOnly,
    /// Map it for reading and writing: producers and consumers.
    ReadWrite,
}

/// Which call failed, and how. Whoever knows the place turns it into an error for the user.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(super) call: &'static str,
    pub(super) source: io::Error,
}

impl Fault {
    pub(super) fn new(call: &'static str, source: impl Into<io::Error>) -> Self {
        Self { call, source: source.into() }
    }

    /// For `map_err`.
    pub(super) fn of<E: Into<io::Error>>(call: &'static str) -> impl Fn(E) -> Self {
        move |source| Self::new(call, source)
    }
}

/// What tells two objects apart: device and inode, or the address for memory of this process. Unique among objects that
/// exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

/// What a new object needs to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    /// Its length in bytes. Only heap memory is made with it; files get it when their space is reserved.
    pub(super) total_len: u64,
    /// The section at its end that is mapped a second time right after it. Only heap memory is made with it; files are
    /// mapped so.
    pub(super) again: Option<Section>,
    /// Its permission bits.
    pub(super) mode: u32,
    /// Its group, where that is not the creator's.
    pub(super) group: Option<u32>,
}

/// The call that gives an object to a group; its failure has an error of its own.
pub(super) const GIVE_TO_GROUP: &str = "fchown";

/// The call that asks a memory file for its seals; its failure has an error of its own.
pub(super) const GET_SEALS: &str = "fcntl(F_GET_SEALS)";

/// A place: finds, names and removes objects.
pub(super) trait Backend {
    /// A new object that nobody else can find. `None` if this place cannot make one: then
    /// [`draft_named`](Self::draft_named) has to do.
    fn draft_nameless(&self, request: &Request) -> Result<Option<Object>, Fault>;

    /// A new object that has its name from the beginning. Exclusive, as [`give_name`](Self::give_name) is.
    fn draft_named(&self, request: &Request) -> Result<Object, Fault>;

    /// Lets others find a nameless draft. Exclusive: `AlreadyExists` if there is anything of that name, and it stays
    /// untouched.
    fn give_name(&self, object: &Object) -> Result<(), Fault>;

    /// The object of that name. `None` if there is none; every failure to look is an error.
    fn lookup(&self, access: Access) -> Result<Option<Object>, Fault>;

    /// The entry beside this one under which a replacement is made where an object cannot be without a name. A hidden
    /// name: no segment in shared memory can have it.
    /// `None` where that is never needed.
    fn aside(&self) -> Option<Box<dyn Backend + '_>> {
        None
    }

    /// Gives this name to the object that stands [aside](Self::aside), in the place of the one that has it, in one
    /// step.
    fn move_here(&self) -> Result<(), Fault> {
        Err(named_draft_of_a_cell())
    }

    /// Gives the object that has this name a second one in the same directory. Exclusive, as
    /// [`give_name`](Self::give_name) is.
    fn link(&self, _second: &Path) -> Result<(), Fault> {
        Err(Fault::new("linkat", io::ErrorKind::Unsupported))
    }

    /// The user to whom the object of that name belongs, if that is why this process may not take the name away.
    fn protecting_owner(&self) -> Option<u32> {
        None
    }

    /// Which object has the name at the moment. Needs no permission to open it.
    fn identity(&self) -> Result<Option<Identity>, Fault>;

    /// Takes the name away. `NotFound` if it is gone already.
    fn unlink(&self) -> Result<(), Fault>;

    /// The user to whom the object of that name belongs, if that is why `error` came of taking the name away: in a
    /// directory with the sticky bit only the owner of a file, or of the directory, may do that.
    fn refusing_owner(&self, _error: &io::Error) -> Option<u32> {
        None
    }

    /// Whether the place can have no further object, however short: the bytes that are free there all the same.
    /// `None`: it can, or does not say.
    fn free_bytes_without_inodes(&self) -> Option<u64> {
        None
    }

    /// Makes the directories that a name is missing.
    fn make_directories(&self) -> Result<(), Fault> {
        Ok(())
    }

    /// The longest object that this process may make here, in bytes, if there is a limit.
    fn longest_object_bytes(&self, _request: &Request) -> Option<u64> {
        descriptor::longest_file_bytes()
    }
}

/// An object that exists, with or without a name: something with a length that can be mapped and locked.
#[derive(Clone, Debug)]
pub(super) enum Object {
    /// A file, be it in memory or on a disk. The descriptor is used for looking, never for holding a lock.
    Descriptor(Arc<OwnedFd>),
    Heap(Arc<HeapMemory>),
}

impl Object {
    pub(super) fn len(&self) -> io::Result<u64> {
        match self {
            Self::Descriptor(descriptor) => descriptor::len(descriptor),
            Self::Heap(memory) => Ok(memory.len() as u64),
        }
    }

    pub(super) fn identity(&self) -> io::Result<Identity> {
        match self {
            Self::Descriptor(descriptor) => descriptor::identity(descriptor),
            // The address is unique as long as the memory exists, and the caller's `Arc` sees to that.
            Self::Heap(memory) => Ok(Identity { device: 0, inode: memory.as_ptr() as u64 }),
        }
    }

    /// Copies the beginning of the object, as much as there is, at most `max_len` bytes.
    pub(super) fn read_start(&self, max_len: usize) -> io::Result<Vec<u8>> {
        match self {
            Self::Descriptor(descriptor) => descriptor::read_start(descriptor, max_len),
            Self::Heap(memory) => Ok(memory.read_start(max_len)),
        }
    }

    /// Gives a new object its first page and then all of its space. The page comes first so that an object which a
    /// killed creator leaves behind under a name can be recognised as ours. Nothing behind the page is written.
    pub(super) fn fill(&self, page: &[u8], total_len: u64, sparse: bool) -> Result<(), Fault> {
        match self {
            Self::Descriptor(descriptor) => descriptor::fill(descriptor, page, total_len, sparse),
            Self::Heap(memory) => {
                memory.fill(page);
                Ok(())
            }
        }
    }

    /// Bytes that are free where the object lives; 0 where nobody says.
    pub(super) fn available_bytes(&self) -> u64 {
        match self {
            Self::Descriptor(descriptor) => descriptor::available_bytes(descriptor),
            Self::Heap(_) => 0,
        }
    }

    /// The memory limit of this process, if what is reserved here counts against it.
    pub(super) fn memory_limit(&self) -> Option<MemoryLimit> {
        match self {
            Self::Descriptor(descriptor) if descriptor::is_memory(descriptor) => MemoryLimit::of_this_process(),
            _ => None,
        }
    }

    /// The name of the file system for a message.
    pub(super) fn file_system(&self) -> String {
        match self {
            Self::Descriptor(descriptor) => descriptor::file_system(descriptor),
            Self::Heap(_) => "heap".to_owned(),
        }
    }

    /// Maps the first `len` bytes, which the object has, and after them once more the section `again`, with which they
    /// end.
    pub(super) fn map(
        &self,
        len: usize,
        again: Option<Section>,
        access: Access,
        prefault: bool,
    ) -> Result<Mapping, Fault> {
        Ok(match self {
            Self::Descriptor(descriptor) => Mapping::Shared(descriptor::map(descriptor, len, again, access, prefault)?),
            // Made as it has to be: see `Request`.
            Self::Heap(memory) => Mapping::Heap(Arc::clone(memory)),
        })
    }

    /// Tries to lock `range`, on a description that is opened for this purpose. `None`: somebody holds a byte of it.
    pub(super) fn try_lock(&self, range: LockRange) -> io::Result<Option<Claim>> {
        match self {
            Self::Descriptor(descriptor) => {
                Claim::on_descriptor(range, || descriptor::reopen(descriptor, Access::ReadWrite))
            }
            Self::Heap(memory) => Claim::on_heap(range, memory),
        }
    }

    /// A descriptor for claims that must not need a new one.
    pub(super) fn spare(&self) -> io::Result<Spare> {
        match self {
            Self::Descriptor(descriptor) => Spare::on_descriptor(|| descriptor::reopen(descriptor, Access::ReadWrite)),
            Self::Heap(memory) => Ok(Spare::on_heap(memory)),
        }
    }

    /// The first byte of `range` that somebody holds, without taking anything.
    pub(super) fn first_held(&self, range: LockRange) -> io::Result<Option<u32>> {
        match self {
            Self::Descriptor(descriptor) => owner::first_held(descriptor.as_ref(), range),
            Self::Heap(memory) => Ok(memory.first_held(range)),
        }
    }
}

/// Memory that lies under a segment.
#[derive(Debug)]
pub(super) enum Mapping {
    Shared(ForkSafe<Window>),
    Heap(Arc<HeapMemory>),
}

impl Mapping {
    /// The first byte. Aligned to a page.
    pub(super) fn as_ptr(&self) -> *mut u8 {
        match self {
            Self::Shared(mapping) => mapping.as_ptr(),
            Self::Heap(memory) => memory.as_ptr(),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Shared(mapping) => mapping.len(),
            Self::Heap(memory) => memory.len(),
        }
    }

    /// Keeps the pages in memory. Heap memory is left alone: it belongs to the allocator.
    pub(super) fn lock_pages(&self) -> io::Result<()> {
        match self {
            Self::Shared(mapping) => mapping.lock(),
            Self::Heap(_) => Ok(()),
        }
    }
}

/// The name of an object that no directory lists: empty, or one object. Clones are the same cell.
#[derive(Clone, Debug, Default)]
struct Cell(Arc<Mutex<Option<Object>>>);

impl Cell {
    #[cfg(target_os = "linux")]
    fn holding(object: Object) -> Self {
        Self(Arc::new(Mutex::new(Some(object))))
    }

    fn with<T>(&self, run: impl FnOnce(&mut Option<Object>) -> T) -> T {
        // A panic elsewhere cannot leave an `Option` half written.
        run(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn give_name(&self, object: &Object) -> Result<(), Fault> {
        self.with(|content| match content {
            Some(_) => Err(Fault::new("give the object its place", io::ErrorKind::AlreadyExists)),
            None => {
                *content = Some(object.clone());
                Ok(())
            }
        })
    }

    fn get(&self) -> Option<Object> {
        self.with(|content| content.clone())
    }

    fn identity(&self) -> Result<Option<Identity>, Fault> {
        self.get().map(|object| object.identity()).transpose().map_err(Fault::of("fstat"))
    }

    fn unlink(&self) -> Result<(), Fault> {
        let taken = self.with(Option::take);
        taken.map(drop).ok_or_else(|| Fault::new("empty the place", io::ErrorKind::NotFound))
    }
}

/// A cell always makes nameless drafts, so a draft that must be named at once is never asked of it.
fn named_draft_of_a_cell() -> Fault {
    Fault::new("create the object under its name", io::ErrorKind::Unsupported)
}
