//! The steps by which a socket is made.

use super::identity::Made;
use super::place::{Place, give, os};
use super::{Access, ListenError, PATH_BYTES_MAX};
use rustix::fs::{Mode, fchmod};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, socket_with};
use std::fs::FileType;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// How many processes may wait to be accepted. A loop that is busy for a second loses none of a few hundred clients.
const BACKLOG: i32 = 512;

impl Access {
    /// The mode of the socket. To connect is to write.
    fn of_socket(self) -> u32 {
        if self == Self::Owner { 0o600 } else { 0o660 }
    }
}

pub(super) fn check_len(path: &Path) -> Result<(), ListenError> {
    let len_bytes = path.as_os_str().as_bytes().len();
    if path.is_absolute() && len_bytes > PATH_BYTES_MAX {
        return Err(ListenError::TooLong { path: path.to_owned(), len_bytes });
    }
    Ok(())
}

/// Removes a socket that no process listens on.
pub(super) fn remove_left_over(place: &Place) -> Result<(), ListenError> {
    let path = place.path();
    if place.has_left_over(FileType::is_socket, || is_listening(path).map_err(os(path, "connect")))? {
        std::fs::remove_file(path).map_err(os(path, "unlink"))?;
    }
    Ok(())
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
