//! Whether an object is a copy of a segment.
//!
//! A segment's header has the device and the inode of its object. `cp` copies the header too, so the numbers of the
//! copy are those of another object. The locks are not copied: that no lock of a copy is held says nothing about the
//! processes in the ring.

use std::io;

use super::backend::{Access, Backend, Fault, Object};
use super::blueprint::HEADER_BYTES;
use super::error::OpenError;
use super::header;
use super::place::Place;

/// Whether the object at `place` is a copy: it has another device or inode than the object for which its header was
/// written. The answer stays as it is for this object.
///
/// `false` if there is nothing, or no segment of ours, or one whose header does not say: on the heap, or written by a
/// build before layout version 2.3. A file can also look like a copy if its device has another number than before:
/// some file systems (btrfs, NFS, volumes of a device mapper) may change it when they are mounted again, and an
/// overlay shows another number than the directory below it. And a copy is not told if it got the inode of its
/// original, which was removed before.
///
/// # Errors
/// It may not be opened by this process, or the system fails.
pub fn is_copy(place: impl Into<Place>) -> Result<bool, OpenError> {
    let place = &place.into();
    let fault = |fault| OpenError::from_fault(place, fault);
    let backend = place.backend()?;
    is_copied_now(&*backend).map_err(fault)
}

/// Whether the object at a place is a copy; `false` if it cannot be told.
pub(super) fn is_copied(backend: &dyn Backend) -> bool {
    is_copied_now(backend).unwrap_or(false)
}

fn is_copied_now(backend: &dyn Backend) -> Result<bool, Fault> {
    let Some(object) = backend.lookup(Access::ReadOnly)? else { return Ok(false) };
    let start = object.read_start(HEADER_BYTES as usize).map_err(Fault::of("pread"))?;
    is_copy_of(&object, &start).map_err(Fault::of("fstat"))
}

/// Whether `object`, which begins with `start`, is a copy.
pub(super) fn is_copy_of(object: &Object, start: &[u8]) -> io::Result<bool> {
    let Some(written_for) = header::object_of(start) else { return Ok(false) };
    Ok(object.numbers()?.is_some_and(|numbers| numbers != written_for))
}
