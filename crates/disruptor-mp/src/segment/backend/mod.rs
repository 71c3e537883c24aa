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
#[cfg(target_os = "linux")]
pub(super) use descriptor::longest_file_bytes;
pub(super) use file::DirEntry;
#[cfg(test)]
pub(super) use file::pretend_no_tmpfile;
pub(super) use heap::HeapMemory;
pub use heap::HeapObject;
#[cfg(target_os = "linux")]
pub use memfd::MemfdObject;
pub use memory_limit::MemoryLimit;
pub(crate) use shm::{directory as shared_memory_directory, name_of as name_of_shared_memory};
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

/// Which call failed, and how. The caller that knows the place turns it into an error for the user.
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

/// The identity of an object: device and inode, or the address for memory of this process. Unique among existing
/// objects.
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
    /// mapped twice later.
    pub(super) again: Option<Section>,
    /// Its permission bits.
    pub(super) mode: u32,
    /// Its group, if that is not the creator's.
    pub(super) group: Option<u32>,
}

/// The call that gives an object to a group; its failure has an error of its own.
pub(super) const GIVE_TO_GROUP: &str = "fchown";

/// The call that asks a memory file for its seals; its failure has an error of its own.
pub(super) const GET_SEALS: &str = "fcntl(F_GET_SEALS)";

/// A place: finds, names and removes objects.
pub(super) trait Backend {
    /// A new object that no other process can find. `None` if this place cannot make one: then the caller uses
    /// [`draft_named`](Self::draft_named).
    fn draft_nameless(&self, request: &Request) -> Result<Option<Object>, Fault>;

    /// A new object that has its name from the beginning. Exclusive, as [`give_name`](Self::give_name) is.
    fn draft_named(&self, request: &Request) -> Result<Object, Fault>;

    /// Gives a nameless draft its name, so that others find it. Exclusive: `AlreadyExists` if there is anything of that
    /// name, and it stays untouched.
    fn give_name(&self, object: &Object) -> Result<(), Fault>;

    /// The object of that name. `None` if there is none; every failure to look is an error.
    fn lookup(&self, access: Access) -> Result<Option<Object>, Fault>;

    /// The entry in the same directory under which a replacement is made if an object cannot be without a name. Its
    /// name is hidden: no segment in shared memory can have it. `None` if that is never needed.
    fn aside(&self) -> Option<Box<dyn Backend + '_>> {
        None
    }

    /// Gives this name to the object [aside](Self::aside), replacing the one that has it, in one step.
    fn move_here(&self) -> Result<(), Fault> {
        Err(named_draft_of_a_cell())
    }

    /// Gives the object that has this name a second one in the same directory. Exclusive, as
    /// [`give_name`](Self::give_name) is.
    fn link(&self, _second: &Path) -> Result<(), Fault> {
        Err(Fault::new("linkat", io::ErrorKind::Unsupported))
    }

    /// The user that owns the object of that name, if this process may therefore not remove the name.
    fn protecting_owner(&self) -> Option<u32> {
        None
    }

    /// The identity of the object that has the name at the moment. Needs no permission to open it.
    fn identity(&self) -> Result<Option<Identity>, Fault>;

    /// Removes the name. `NotFound` if it is gone already.
    fn unlink(&self) -> Result<(), Fault>;

    /// The user that owns the object of that name, if removing the name failed with `error` for that reason: in a
    /// directory with the sticky bit only the owner of the file, or of the directory, may remove it.
    fn refusing_owner(&self, _error: &io::Error) -> Option<u32> {
        None
    }

    /// The free bytes of a place that can take no further object, however short, because it has no inodes left. `None`:
    /// the place can take one, or does not say.
    fn free_bytes_without_inodes(&self) -> Option<u64> {
        None
    }

    /// Makes the missing directories of a name.
    fn make_directories(&self) -> Result<(), Fault> {
        Ok(())
    }

    /// The directory of a name, if it does not exist or is not a directory.
    fn missing_directory(&self) -> Option<&Path> {
        None
    }

    /// The longest object that this process may make here, in bytes, if there is a limit.
    fn longest_object_bytes(&self, _request: &Request) -> Option<u64> {
        descriptor::longest_file_bytes()
    }
}

/// An existing object, with or without a name. It has a length, and can be mapped and locked.
#[derive(Clone, Debug)]
pub(super) enum Object {
    /// A file, in memory or on a disk. The descriptor is used for looking, never for holding a lock.
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
            // The address is unique as long as the memory exists, and the caller's `Arc` keeps it.
            Self::Heap(memory) => Ok(Identity { device: 0, inode: memory.as_ptr() as u64 }),
        }
    }

    /// Its device and inode; `None` for memory of this process.
    pub(super) fn numbers(&self) -> io::Result<Option<(u64, u64)>> {
        match self {
            Self::Descriptor(_) => self.identity().map(|identity| Some((identity.device, identity.inode))),
            Self::Heap(_) => Ok(None),
        }
    }

    /// Copies the beginning of the object, at most `max_len` bytes.
    pub(super) fn read_start(&self, max_len: usize) -> io::Result<Vec<u8>> {
        match self {
            Self::Descriptor(descriptor) => descriptor::read_start(descriptor, max_len),
            Self::Heap(memory) => Ok(memory.read_start(max_len)),
        }
    }

    /// Gives a new object its first page and then all of its space. The page comes first so that an object that a
    /// killed creator leaves under a name can be recognised as ours. Nothing after the page is written.
    pub(super) fn fill(&self, page: &[u8], total_len: u64, sparse: bool) -> Result<(), Fault> {
        match self {
            Self::Descriptor(descriptor) => descriptor::fill(descriptor, page, total_len, sparse),
            Self::Heap(memory) => {
                memory.fill(page);
                Ok(())
            }
        }
    }

    /// Bytes that are free where the object is; 0 if the system does not say.
    pub(super) fn available_bytes(&self) -> u64 {
        match self {
            Self::Descriptor(descriptor) => descriptor::available_bytes(descriptor),
            Self::Heap(_) => 0,
        }
    }

    /// The memory limit of this process, if space reserved here counts against it.
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

    /// Maps the first `len` bytes, which must exist, and after them the section `again` a second time. It is the last
    /// section.
    pub(super) fn map(
        &self,
        len: usize,
        again: Option<Section>,
        access: Access,
        prefault: bool,
    ) -> Result<Mapping, Fault> {
        Ok(match self {
            Self::Descriptor(descriptor) => Mapping::Shared(descriptor::map(descriptor, len, again, access, prefault)?),
            // It was made with its second mapping: see `Request`.
            Self::Heap(memory) => Mapping::Heap(Arc::clone(memory)),
        })
    }

    /// Tries to lock `range`, on a description that is opened for this purpose. `None`: a byte of it is held.
    pub(super) fn try_lock(&self, range: LockRange) -> io::Result<Option<Claim>> {
        match self {
            Self::Descriptor(descriptor) => {
                Claim::on_descriptor(range, || descriptor::reopen(descriptor, Access::ReadWrite))
            }
            Self::Heap(memory) => Claim::on_heap(range, memory),
        }
    }

    /// A descriptor for claims that must not have to open a new one.
    pub(super) fn spare(&self) -> io::Result<Spare> {
        match self {
            Self::Descriptor(descriptor) => Spare::on_descriptor(|| descriptor::reopen(descriptor, Access::ReadWrite)),
            Self::Heap(memory) => Ok(Spare::on_heap(memory)),
        }
    }

    /// The first byte of `range` that is held. Takes no lock.
    pub(super) fn first_held(&self, range: LockRange) -> io::Result<Option<u32>> {
        match self {
            Self::Descriptor(descriptor) => owner::first_held(descriptor.as_ref(), range),
            Self::Heap(memory) => Ok(memory.first_held(range)),
        }
    }
}

/// The memory of a segment.
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

    /// Locks the pages in memory. Heap memory is not locked: it belongs to the allocator.
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
        // A panic in another thread cannot leave an `Option` half written.
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

/// A cell always makes nameless drafts, so no caller asks it for a named one.
fn named_draft_of_a_cell() -> Fault {
    Fault::new("create the object under its name", io::ErrorKind::Unsupported)
}
