//! Segments without a name, passed on as a descriptor. Linux only.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{self, MemfdFlags, SealFlags};

use super::{Access, Backend, Cell, Fault, GET_SEALS, Identity, Object, Request, descriptor, named_draft_of_a_cell};

/// A memory file, or the empty place for one. Creation fills it, and clones of it open what was created.
///
/// A new memory file is sealed against shrinking and growing before any other process sees it, so that no peer can
/// cause a SIGBUS in our mapping. A received memory file is refused if it is not sealed.
#[derive(Clone, Debug)]
pub struct MemfdObject {
    label: String,
    cell: Cell,
}

impl MemfdObject {
    /// An empty place. `label` is for people: it shows in `/proc/<pid>/maps`.
    pub fn new(label: impl Into<String>) -> Self {
        Self { label: label.into(), cell: Cell::default() }
    }

    /// The label that was given.
    pub fn label(&self) -> &str {
        &self.label
    }
}

/// A memory file that was received.
impl From<OwnedFd> for MemfdObject {
    fn from(descriptor: OwnedFd) -> Self {
        Self { label: "received".to_owned(), cell: Cell::holding(Object::Descriptor(descriptor.into())) }
    }
}

const SIZE_SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW);

impl Backend for &MemfdObject {
    fn draft_nameless(&self, request: &Request) -> Result<Option<Object>, Fault> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let descriptor = fs::memfd_create(self.label.as_str(), flags).map_err(Fault::of("memfd_create"))?;
        descriptor::set_permissions(&descriptor, request.mode, request.group)?;
        Ok(Some(Object::Descriptor(descriptor.into())))
    }

    fn draft_named(&self, _request: &Request) -> Result<Object, Fault> {
        Err(named_draft_of_a_cell())
    }

    fn give_name(&self, object: &Object) -> Result<(), Fault> {
        if let Object::Descriptor(descriptor) = object {
            fs::fcntl_add_seals(descriptor, SIZE_SEALS | SealFlags::SEAL).map_err(Fault::of("fcntl(F_ADD_SEALS)"))?;
        }
        self.cell.give_name(object)
    }

    fn lookup(&self, access: Access) -> Result<Option<Object>, Fault> {
        let Some(Object::Descriptor(descriptor)) = self.cell.get() else { return Ok(None) };
        match fs::fcntl_get_seals(&descriptor) {
            Ok(seals) if seals.contains(SIZE_SEALS) => {}
            Ok(_) => {
                let unsealed = io::Error::new(io::ErrorKind::InvalidInput, "not sealed against shrinking and growing");
                return Err(Fault::new(GET_SEALS, unsealed));
            }
            Err(errno) => return Err(Fault::new(GET_SEALS, errno)),
        }
        // Opened again, because the received description may carry locks of another process.
        let own = descriptor::reopen(&descriptor, access).map_err(Fault::of("open /proc/self/fd"))?;
        Ok(Some(Object::Descriptor(own.into())))
    }

    fn identity(&self) -> Result<Option<Identity>, Fault> {
        self.cell.identity()
    }

    fn unlink(&self) -> Result<(), Fault> {
        self.cell.unlink()
    }
}
