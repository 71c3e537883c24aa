//! What the kernel says of the process at the other end of a stream.

use nix::sys::socket::{getsockopt, sockopt};
use std::io;
use std::os::fd::AsFd;

/// A process, as it was when it connected. The kernel says it; the process cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Credentials {
    /// Its pid as this process sees it; 0 if it is in a pid namespace that cannot be seen from here. It may have ended
    /// since.
    pub pid: u32,
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
}

/// The process that has connected, for a stream that was accepted; for one that has connected, the process that
/// listens.
///
/// ```
/// use myelon_process::listen::peer;
/// use std::os::unix::net::UnixStream;
///
/// let (ours, _theirs) = UnixStream::pair()?;
/// assert_eq!(peer(&ours)?.pid, std::process::id());
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// The descriptor is no Unix socket that is connected.
pub fn peer(stream: &impl AsFd) -> io::Result<Credentials> {
    let who = getsockopt(stream, sockopt::PeerCredentials)?;
    Ok(Credentials { pid: who.pid().cast_unsigned(), uid: who.uid(), gid: who.gid() })
}
