//! The address range in which an object is mapped: once, or with its last section mapped a second time right after it.
//!
//! A section that is mapped twice in a row can be read and written across its end: the bytes after its end are its
//! first bytes. Both mappings show the same memory, and the processor keeps them coherent.

use std::io;
use std::os::fd::AsFd;
use std::ptr::NonNull;

use rustix::mm::{self, MapFlags, ProtFlags};

use super::super::blueprint::Section;
use super::super::owner::Part;
use super::Access;

/// Mapped memory, unmapped on drop.
#[derive(Debug)]
pub(in crate::segment) struct Window {
    start: NonNull<u8>,
    /// The length of the object, without the second mapping.
    len: usize,
    again: Option<Section>,
    access: Access,
}

// SAFETY: the memory is plain bytes that belong to no thread; the code that gets the pointer has the duty to
// synchronise accesses.
unsafe impl Send for Window {}
// SAFETY: as above.
unsafe impl Sync for Window {}

impl Window {
    /// Maps the first `len` bytes of an object, which must exist, and after them the section `again` a second time. It
    /// is the last section.
    pub(super) fn map(
        descriptor: impl AsFd,
        len: usize,
        again: Option<Section>,
        access: Access,
        prefault: bool,
    ) -> io::Result<Self> {
        assert!(
            again.is_none_or(|it| it.offset + it.len == len as u64),
            "only what an object ends with is mapped again"
        );
        let protection = match access {
            Access::ReadOnly => ProtFlags::READ,
            Access::ReadWrite => ProtFlags::READ | ProtFlags::WRITE,
        };
        #[cfg(target_os = "linux")]
        let flags = if prefault { MapFlags::SHARED | MapFlags::POPULATE } else { MapFlags::SHARED };
        #[cfg(not(target_os = "linux"))]
        let (flags, _) = (MapFlags::SHARED, prefault);
        let Some(section) = again else {
            // SAFETY: a new mapping, at an address that the system chooses.
            let start = unsafe { mm::mmap(std::ptr::null_mut(), len, protection, flags, descriptor, 0) }?;
            return Ok(Self { start: not_at_zero(start), len, again, access });
        };
        let reserved = len.checked_add(section.len as usize).ok_or(io::ErrorKind::OutOfMemory)?;
        // SAFETY: a new mapping, at an address that the system chooses: addresses for both, which follow each other.
        let start =
            unsafe { mm::mmap_anonymous(std::ptr::null_mut(), reserved, ProtFlags::empty(), MapFlags::PRIVATE) }?;
        // Its drop unmaps the addresses on an error.
        let window = Self { start: not_at_zero(start), len, again, access };
        let flags = flags | MapFlags::FIXED;
        // SAFETY: over addresses that were reserved for this in the lines above, and that nothing else uses.
        unsafe {
            mm::mmap(start, len, protection, flags, &descriptor, 0)?;
            mm::mmap(start.byte_add(len), section.len as usize, protection, flags, &descriptor, section.offset)?;
        }
        Ok(window)
    }

    /// The first byte. Aligned to a page.
    pub(super) fn as_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// Length in bytes, without the second mapping.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Locks the pages in memory. They are the same in both mappings.
    pub(super) fn lock(&self) -> io::Result<()> {
        // SAFETY: mapped by us for `len` bytes.
        Ok(unsafe { mm::mlock(self.start.as_ptr().cast(), self.len) }?)
    }

    /// Which address range maps which part of the object.
    pub(super) fn parts(&self) -> Vec<Part> {
        let is_writable = self.access == Access::ReadWrite;
        let whole = Part::new(self.start.as_ptr(), self.len, 0, is_writable);
        let behind = self.start.as_ptr().wrapping_add(self.len);
        let again = self.again.map(|it| Part::new(behind, it.len as usize, it.offset, is_writable));
        std::iter::once(whole).chain(again).collect()
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        let len = self.len + self.again.map_or(0, |section| section.len as usize);
        // SAFETY: mapped by us for this many bytes, and every user of it is gone. It cannot fail for a mapped range.
        let _ = unsafe { mm::munmap(self.start.as_ptr().cast(), len) };
    }
}

fn not_at_zero(start: *mut std::ffi::c_void) -> NonNull<u8> {
    NonNull::new(start.cast()).expect("a mapping is not at address zero")
}
