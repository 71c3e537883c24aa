//! Segments as entries of a directory.
//!
//! On Linux an object is made without a name (`O_TMPFILE`) and linked when it is complete. Where the system or the file
//! system cannot do that, it is created under its name, exclusively, and openers wait until its creator is done. A
//! replacement first gets a temporary name in the same directory, and is renamed when it is complete.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::super::error::SpecialFile;
use super::super::name::{self, InvalidName};
use super::{Access, Backend, Fault, Identity, Object, Request, descriptor};
use crate::step::turn;

/// How much of a name the hidden name of a replacement keeps: file systems limit names to 255 bytes.
const ASIDE_NAME_BYTES_MAX: usize = 200;

/// The mode of a directory that is made for a segment. A user that may write to it may replace the files in it, so only
/// its owner may.
const DIRECTORY_MODE: u32 = 0o755;

/// A name in a directory. The last component is never followed if it is a symlink, and it cannot be `..`.
#[derive(Debug)]
pub(crate) struct DirEntry {
    dir: PathBuf,
    path: PathBuf,
}

impl DirEntry {
    /// The entry that `path` names.
    pub(crate) fn of(path: &Path) -> Result<Self, InvalidName> {
        let name = name::file_name(path)?;
        let dir = match path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir.to_owned(),
            _ => PathBuf::from("."),
        };
        Ok(Self { path: dir.join(name), dir })
    }

    /// A hidden name in the same directory. It is the same for every process.
    fn path_aside(&self) -> PathBuf {
        let name = self.path.file_name().unwrap_or_default().as_bytes();
        let name = OsStr::from_bytes(&name[..name.len().min(ASIDE_NAME_BYTES_MAX)]);
        self.dir.join([OsStr::new("."), name, OsStr::new(".new")].into_iter().collect::<OsString>())
    }

    #[cfg(target_os = "linux")]
    fn open_nameless(&self) -> Result<Option<Object>, Fault> {
        #[cfg(test)]
        if NO_TMPFILE.get() {
            return Ok(None);
        }
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match fs::open(&self.dir, flags, Mode::RUSR | Mode::WUSR) {
            Ok(descriptor) => Ok(Some(Object::Descriptor(descriptor.into()))),
            // The answers of file systems that cannot do it, and of kernels that do not know the flag.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => Ok(None),
            Err(errno) => Err(Fault::new("open(O_TMPFILE)", errno)),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn open_nameless(&self) -> Result<Option<Object>, Fault> {
        Ok(None)
    }
}

impl Backend for DirEntry {
    fn draft_nameless(&self, request: &Request) -> Result<Option<Object>, Fault> {
        let draft = self.open_nameless()?;
        if let Some(Object::Descriptor(descriptor)) = &draft {
            descriptor::set_permissions(descriptor, request.mode, request.group)?;
        }
        Ok(draft)
    }

    fn draft_named(&self, request: &Request) -> Result<Object, Fault> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::RDWR | OFlags::CLOEXEC;
        let new = fs::open(&self.path, flags, Mode::RUSR | Mode::WUSR).map_err(Fault::of("open(O_CREAT | O_EXCL)"))?;
        descriptor::set_permissions(&new, request.mode, request.group).inspect_err(|_| {
            // It is certainly ours: created exclusively a moment ago, and no process removes an object without a
            // header.
            let _ = fs::unlink(&self.path);
        })?;
        Ok(Object::Descriptor(new.into()))
    }

    #[cfg(target_os = "linux")]
    fn give_name(&self, object: &Object) -> Result<(), Fault> {
        turn!();
        let Object::Descriptor(descriptor) = object else {
            return Err(Fault::new("linkat", Errno::XDEV));
        };
        let from = descriptor::proc_path(descriptor.as_ref());
        fs::linkat(CWD, from, CWD, &self.path, AtFlags::SYMLINK_FOLLOW).map_err(Fault::of("linkat"))
    }

    #[cfg(not(target_os = "linux"))]
    fn give_name(&self, _object: &Object) -> Result<(), Fault> {
        Err(Fault::new("linkat", Errno::NOTSUP))
    }

    fn lookup(&self, access: Access) -> Result<Option<Object>, Fault> {
        turn!();
        match fs::open(&self.path, descriptor::open_flags(access) | OFlags::NOFOLLOW, Mode::empty()) {
            // Also where a file has the name of a directory of the path.
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            // The kernel's answers for a symlink that is not followed, a directory and a socket. None of the three
            // texts says what the object is.
            Err(errno @ (Errno::LOOP | Errno::ISDIR | Errno::NXIO)) => {
                let stat = fs::statat(CWD, &self.path, AtFlags::SYMLINK_NOFOLLOW).map_err(Fault::of("fstatat"))?;
                Err(special(&stat).unwrap_or_else(|| Fault::new("open", errno)))
            }
            Err(errno) => Err(Fault::new("open", errno)),
            Ok(found) => match special(&fs::fstat(&found).map_err(Fault::of("fstat"))?) {
                None => Ok(Some(Object::Descriptor(found.into()))),
                Some(fault) => Err(fault),
            },
        }
    }

    fn aside(&self) -> Option<Box<dyn Backend + '_>> {
        Some(Box::new(Self { dir: self.dir.clone(), path: self.path_aside() }))
    }

    fn move_here(&self) -> Result<(), Fault> {
        turn!();
        fs::rename(self.path_aside(), &self.path).map_err(Fault::of("rename"))
    }

    fn link(&self, second: &Path) -> Result<(), Fault> {
        turn!();
        fs::linkat(CWD, &self.path, CWD, second, AtFlags::empty()).map_err(Fault::of("linkat"))
    }

    #[allow(clippy::unnecessary_cast)] // its type differs by target
    fn protecting_owner(&self) -> Option<u32> {
        let (dir, file) = (fs::stat(&self.dir).ok()?, fs::statat(CWD, &self.path, AtFlags::SYMLINK_NOFOLLOW).ok()?);
        let is_sticky = Mode::from_raw_mode(dir.st_mode as _).contains(Mode::SVTX);
        let us = rustix::process::geteuid();
        (is_sticky && !us.is_root() && us.as_raw() != dir.st_uid && us.as_raw() != file.st_uid).then_some(file.st_uid)
    }

    fn identity(&self) -> Result<Option<Identity>, Fault> {
        turn!();
        match fs::statat(CWD, &self.path, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(descriptor::identity_of(&stat))),
            // Also where a file has the name of a directory of the path.
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(errno) => Err(Fault::new("fstatat", errno)),
        }
    }

    fn unlink(&self) -> Result<(), Fault> {
        turn!();
        fs::unlink(&self.path).map_err(Fault::of("unlink"))
    }

    fn refusing_owner(&self, error: &io::Error) -> Option<u32> {
        let is_refusal = matches!(Errno::from_io_error(error), Some(Errno::PERM | Errno::ACCESS));
        let owner_uid = fs::statat(CWD, &self.path, AtFlags::SYMLINK_NOFOLLOW).ok()?.st_uid;
        (is_refusal && owner_uid != rustix::process::geteuid().as_raw()).then_some(owner_uid)
    }

    fn make_directories(&self) -> Result<(), Fault> {
        if self.dir.is_dir() {
            return Ok(());
        }
        match std::fs::DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(&self.dir) {
            // A file has the name of a directory.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(Fault::new("mkdir", Errno::NOTDIR)),
            made => made.map_err(Fault::of("mkdir")),
        }
    }

    fn missing_directory(&self) -> Option<&Path> {
        (!self.dir.is_dir()).then_some(&*self.dir)
    }

    fn free_bytes_without_inodes(&self) -> Option<u64> {
        let stat = fs::statvfs(&self.dir).ok()?;
        // A file system that makes inodes on demand reports 0 inodes.
        (stat.f_files > 0 && stat.f_ffree == 0).then(|| stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

/// The fault of an object that is not a regular file. We never create such an object, nor a symlink.
fn special(stat: &fs::Stat) -> Option<Fault> {
    let what = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => return None,
        FileType::Directory => "a directory",
        FileType::Symlink => "a symlink",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "a special file",
    };
    Some(Fault::new("open", io::Error::other(SpecialFile(what))))
}

#[cfg(test)]
thread_local! {
    static NO_TMPFILE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Runs `run` as if no file system could make a file without a name. In this thread only.
#[cfg(test)]
pub(in crate::segment) fn pretend_no_tmpfile<T>(run: impl FnOnce() -> T) -> T {
    NO_TMPFILE.set(true);
    let result = run();
    NO_TMPFILE.set(false);
    result
}
