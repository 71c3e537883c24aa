//! A FIFO that a server reads or writes: it has its mode and its reader before it has its name.

use super::identity::Made;
use super::place::{Place, give, os};
use super::{Access, ListenError};
use rustix::fs::{CWD, FileType, Mode, OFlags, RawMode, mknodat, open};
use rustix::io::Errno;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// The mode of the file.
const MODE: u32 = 0o600;

/// A FIFO that this process owns, under the rules of a [`Listener`](super::Listener): its directory has mode 0700, it
/// has mode 0600, a lock file tells a living owner from a left-over, a left-over is replaced, and what this process has
/// made is removed when this is dropped.
///
/// It is open for reading and writing, so a writer that closes is no end: reading waits for the next writer. It does
/// not block: where nothing is there to read, or no room to write, the error is `WouldBlock`.
///
/// Processes of several users cannot be told apart: only this user and root can open it. What one writer writes with
/// one call of at most 4096 bytes (`PIPE_BUF`) is not mixed with what others write.
///
/// A shell that writes by `> PATH` makes a regular file there if the owner has ended, and the next owner refuses that
/// file. `dd conv=nocreat of=PATH` does not make it.
///
/// ```
/// use myelon_process::listen::Fifo;
/// use std::io::{ErrorKind, Read, Write};
///
/// let directory = std::env::temp_dir().join(format!("myelon-doc-fifo-{}", std::process::id()));
/// let fifo = Fifo::create(directory.join("commands"))?; // the directory is made, with mode 0700
///
/// std::fs::OpenOptions::new().write(true).open(fifo.path())?.write_all(b"D")?;
/// let mut bytes = [0; 64];
/// assert_eq!((&fifo).read(&mut bytes)?, 1);
/// // The writer has closed it, and this is no end.
/// assert_eq!((&fifo).read(&mut bytes).unwrap_err().kind(), ErrorKind::WouldBlock);
/// # drop(fifo);
/// # std::fs::remove_dir(&directory)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Source: RFC 0020, "Listening".
#[derive(Debug)]
pub struct Fifo {
    /// Removes the file before the descriptor is closed.
    place: Place,
    pipe: OwnedFd,
}

impl Fifo {
    /// Makes a FIFO at `path`, which is absolute. The directory is made if it does not exist; its parent has to exist.
    ///
    /// # Errors
    /// See [`ListenError`]: each says what to do.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, ListenError> {
        let mut place = Place::take(path.as_ref(), Access::Owner)?;
        let path = place.path();
        let left = place.has_left_over(FileTypeExt::is_fifo, || has_reader(path))?;
        // A writer may wait in `open` until the FIFO has a reader. It would wait on the old file without end.
        let release = left.then(|| open_here(path, OFlags::RDONLY));
        let (pipe, made) = replace(path)?;
        drop(release);
        place.note(made);
        Ok(Self { place, pipe })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.place.path()
    }
}

fn open_here(path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    open(path, flags | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())
}

/// Whether a process has the FIFO open for reading.
fn has_reader(path: &Path) -> Result<bool, ListenError> {
    match open_here(path, OFlags::WRONLY) {
        Ok(_) => Ok(true),
        Err(Errno::NXIO | Errno::NOENT) => Ok(false),
        Err(error) => Err(os(path, "open of what is there")(error.into())),
    }
}

/// Makes the FIFO under another name, opens it, and gives it its name, instead of a left-over.
fn replace(path: &Path) -> Result<(OwnedFd, Made), ListenError> {
    let new = with_suffix(path, ".new");
    remove_new(path, &new)?;
    let make = || {
        let mode = Mode::from_raw_mode(MODE as RawMode);
        mknodat(CWD, &new, FileType::Fifo, mode, 0).map_err(|error| os(path, "mkfifo")(error.into()))?;
        // The umask has changed its mode.
        give(&new, Access::Owner, MODE).map_err(os(path, "chmod"))?;
        let pipe = open_here(&new, OFlags::RDWR).map_err(|error| os(path, "open")(error.into()))?;
        std::fs::rename(&new, path).map_err(os(path, "rename"))?;
        Ok((pipe, Made::at(path).map_err(os(path, "stat"))?))
    };
    make().inspect_err(|_| drop(std::fs::remove_file(&new)))
}

/// Removes the FIFO that an owner has left that was killed before it gave it its name. The lock is held. Another file
/// that has this name stays, and a FIFO with a reader too.
fn remove_new(path: &Path, new: &Path) -> Result<(), ListenError> {
    match std::fs::symlink_metadata(new) {
        Ok(found) if !found.file_type().is_fifo() => Err(ListenError::OtherFile { path: new.to_owned() }),
        Ok(_) if has_reader(new)? => Err(ListenError::InUse { path: new.to_owned(), pid: None }),
        Ok(_) => std::fs::remove_file(new).map_err(os(path, "unlink of its new name")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(os(path, "stat of its new name")(error)),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Readable when there are bytes, writable when there is room for 4096.
impl AsFd for Fifo {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

/// Never waits, and never returns 0 for a buffer that has room.
impl Read for &Fifo {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::retry_on_intr(|| rustix::io::read(&self.pipe, &mut *buffer))?)
    }
}

/// Never waits. It works also when no process reads: then the kernel keeps 64 KiB.
impl Write for &Fifo {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::retry_on_intr(|| rustix::io::write(&self.pipe, bytes))?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Fifo {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&mut &*self).read(buffer)
    }
}

impl Write for Fifo {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&mut &*self).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
