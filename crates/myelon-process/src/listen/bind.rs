//! The steps by which a socket is made.

use super::identity::Made;
use super::{Access, ListenError, PATH_BYTES_MAX};
use rustix::fs::{AtFlags, CWD, Gid, Mode, chmod, chownat, fchmod};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, socket_with};
use std::fs::{DirBuilder, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// How many processes may wait to be accepted. A loop that is busy for a second loses none of a few hundred clients.
const BACKLOG: i32 = 512;

impl Access {
    /// The mode of the directory.
    fn of_directory(self) -> u32 {
        if self == Self::Owner { 0o700 } else { 0o710 }
    }

    /// The mode of the socket. To connect is to write.
    fn of_socket(self) -> u32 {
        if self == Self::Owner { 0o600 } else { 0o660 }
    }
}

fn os(path: &Path, call: &'static str) -> impl Fn(io::Error) -> ListenError + use<> {
    let path = path.to_owned();
    move |source| ListenError::Os { path: path.clone(), call, source }
}

pub(super) fn check_path(path: &Path) -> Result<(), ListenError> {
    // An abstract name is not absolute, because it begins with a zero byte.
    if !path.is_absolute() {
        return Err(ListenError::NotAbsolute { path: path.to_owned() });
    }
    let len_bytes = path.as_os_str().as_bytes().len();
    if len_bytes > PATH_BYTES_MAX {
        return Err(ListenError::TooLong { path: path.to_owned(), len_bytes });
    }
    Ok(())
}

/// Makes the directory, or looks whether other users could do harm in the one that is there.
pub(super) fn make_directory(path: &Path, access: Access) -> Result<(), ListenError> {
    // `/` alone has no parent: it is no name for a socket, and the next step says so.
    let directory = path.parent().unwrap_or(path);
    let wanted = access.of_directory();
    match DirBuilder::new().mode(0o700).create(directory) {
        // The umask has changed its mode.
        Ok(()) => give(directory, access, wanted).map_err(os(path, "chown or chmod of its directory"))?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(os(path, "mkdir")(error)),
    }
    let is_ours = |found: &Metadata| found.uid() == rustix::process::geteuid().as_raw() || found.uid() == 0;
    let refused = |found: &Metadata| {
        let (mode, owner) = (found.mode() & 0o7777, found.uid());
        Err(ListenError::OpenDirectory { path: path.to_owned(), mode, owner, wanted })
    };
    // Another user's symlink may lead to another directory tomorrow.
    let link = std::fs::symlink_metadata(directory).map_err(os(path, "stat of its directory"))?;
    if !is_ours(&link) {
        return refused(&link);
    }
    let found = std::fs::metadata(directory).map_err(os(path, "stat of its directory"))?;
    // The group may read the directory, but not write into it.
    let too_open = if access == Access::Owner { 0o077 } else { 0o027 };
    if !is_ours(&found) || found.mode() & too_open != 0 {
        return refused(&found);
    }
    match access {
        Access::Group(wanted) if found.gid() != wanted || found.mode() & 0o010 == 0 => {
            let (mode, group) = (found.mode() & 0o7777, found.gid());
            Err(ListenError::ClosedDirectory { path: path.to_owned(), mode, group, wanted })
        }
        _ => Ok(()),
    }
}

/// Removes a socket that no process listens on. Call it with the lock held.
/// `left` is what the owner before has made: it held the lock, so it
/// is gone, even if a child that it has forked keeps its socket open.
pub(super) fn remove_left_over(path: &Path, left: Option<Made>) -> Result<(), ListenError> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => Err(ListenError::OtherFile { path: path.to_owned() }),
        Ok(_) => {
            // A program that knows no lock file may listen on it.
            let is_of_owner = left.is_some() && Made::at(path).ok() == left;
            if !is_of_owner && is_listening(path).map_err(os(path, "connect"))? {
                return Err(ListenError::InUse { path: path.to_owned(), pid: None });
            }
            std::fs::remove_file(path).map_err(os(path, "unlink"))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(os(path, "stat")(error)),
    }
}

fn is_listening(path: &Path) -> io::Result<bool> {
    match connect(new_socket()?, &SocketAddrUnix::new(path)?) {
        // It has no room for one more.
        Ok(()) | Err(Errno::AGAIN) => Ok(true),
        Err(Errno::CONNREFUSED | Errno::NOENT) => Ok(false),
        // A socket of another kind, which is not ours to remove.
        Err(Errno::PROTOTYPE) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

fn new_socket() -> rustix::io::Result<OwnedFd> {
    socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)
}

/// Makes the socket and listens. It never has a wider mode than it should, whatever the umask is.
pub(super) fn listen(path: &Path, access: Access) -> Result<(OwnedFd, Made), ListenError> {
    let socket = new_socket().map_err(|error| os(path, "socket")(error.into()))?;
    // The file that `bind` makes takes the mode of the socket, less the umask.
    fchmod(&socket, Mode::from_raw_mode(0o600)).map_err(|error| os(path, "fchmod")(error.into()))?;
    let address = SocketAddrUnix::new(path).map_err(|error| os(path, "bind")(error.into()))?;
    bind(&socket, &address).map_err(|error| os(path, "bind")(error.into()))?;
    // From the last step on processes connect, so all is set before.
    let opened = give(path, access, access.of_socket()).map_err(os(path, "chown or chmod"));
    let made = opened.and_then(|()| Made::at(path).map_err(os(path, "stat")));
    let begun = made.and_then(|made| {
        rustix::net::listen(&socket, BACKLOG).map_err(|error| os(path, "listen")(error.into()))?;
        Ok(made)
    });
    if begun.is_err() {
        let _ = std::fs::remove_file(path);
    }
    begun.map(|made| (socket, made))
}

/// Gives a file of ours its mode, and its group if there is one. No other user writes into its directory, so the path
/// is that file.
fn give(path: &Path, access: Access, mode: u32) -> io::Result<()> {
    if let Access::Group(group) = access {
        chownat(CWD, path, None, Some(Gid::from_raw(group)), AtFlags::empty())?;
    }
    Ok(chmod(path, Mode::from_raw_mode(mode))?)
}

/// The next process that has connected.
pub(super) fn accept(socket: &OwnedFd) -> io::Result<Option<UnixStream>> {
    loop {
        match accept_with(socket, SocketFlags::CLOEXEC) {
            Ok(stream) => return Ok(Some(stream.into())),
            Err(Errno::AGAIN) => return Ok(None),
            // It has gone again before it was accepted.
            Err(Errno::INTR | Errno::CONNABORTED) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
