//! A Unix socket or a FIFO on which a server listens: where it may be, who owns it, and which processes may use it.
//!
//! ```text
//! DIRECTORY/        0700, of this user               (0710 and the group, with `Access::Group`)
//!   NAME.lock       locked by the kernel for the owner: a left-over is not locked
//!   NAME            the socket or the FIFO, 0600     (a socket: 0660 and the group)
//! ```

mod bind;
mod error;
mod fifo;
mod identity;
mod lock;
mod peer;
mod place;

pub use error::{AcceptError, ListenError};
pub use fifo::Fifo;
pub use peer::{Credentials, peer};

use self::place::Place;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// The longest path of a socket: the kernel has 108 bytes for it, and one of them is the end.
pub const PATH_BYTES_MAX: usize = 107;

/// Which processes may connect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Access {
    /// Those of the same user, and those of root.
    #[default]
    Owner,
    /// Those too that are in this group.
    Group(u32),
}

/// A Unix socket on which this process listens.
///
/// Processes of other users can neither see it nor connect: its directory, its own mode and a look at each peer refuse
/// them, each alone. Only one process listens at a path. What a killed process has left there is replaced. When this
/// is dropped, the socket and its lock file are removed.
///
/// ```
/// use myelon_process::listen::{Access, Listener};
/// use std::io::{Read, Write};
/// use std::os::unix::net::UnixStream;
///
/// let directory = std::env::temp_dir().join(format!("myelon-doc-{}", std::process::id()));
/// let path = directory.join("control"); // the directory is made, with mode 0700
/// let listener = Listener::bind(&path, Access::Owner)?;
///
/// let mut client = UnixStream::connect(&path)?;
/// client.write_all(b"D")?;
/// // A loop waits until the descriptor of the listener is readable.
/// let (mut stream, who) = listener.accept()?.expect("a client has connected");
/// assert_eq!(who.pid, std::process::id());
/// let mut byte = [0];
/// stream.read_exact(&mut byte)?;
/// # drop(listener);
/// # std::fs::remove_dir(&directory)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Source: RFC 0020, "Listening".
#[derive(Debug)]
pub struct Listener {
    /// Removes the socket before the descriptor is closed.
    place: Place,
    socket: OwnedFd,
    access: Access,
}

impl Listener {
    /// Listens at `path`, which is absolute and has at most [`PATH_BYTES_MAX`] bytes. The directory is made if it does
    /// not exist; its parent has to exist.
    ///
    /// # Errors
    /// See [`ListenError`]: each says what to do.
    pub fn bind(path: impl AsRef<Path>, access: Access) -> Result<Self, ListenError> {
        let path = path.as_ref();
        bind::check_len(path)?;
        let mut place = Place::take(path, access)?;
        bind::remove_left_over(&place)?;
        let (socket, made) = bind::listen(path, access)?;
        place.note(made);
        Ok(Self { place, socket, access })
    }

    /// Where it listens.
    pub fn path(&self) -> &Path {
        self.place.path()
    }

    /// The next process that has connected, and what the kernel says of it; `None` if none waits. It never waits: use
    /// the descriptor (`AsFd`), which is readable when a process has connected. The stream is a blocking one.
    ///
    /// # Errors
    /// `Refused`: a process that may not connect; its stream is closed, and the next call is about the next process.
    /// `Os`: try again later; with `EMFILE` or `ENFILE` the process waits until a descriptor is free.
    pub fn accept(&self) -> Result<Option<(UnixStream, Credentials)>, AcceptError> {
        let Some(stream) = bind::accept(&self.socket).map_err(AcceptError::Os)? else { return Ok(None) };
        let who = peer(&stream).map_err(AcceptError::Os)?;
        match self.access.admits(&who, &stream).map_err(AcceptError::Os)? {
            true => Ok(Some((stream, who))),
            false => Err(AcceptError::Refused { who }),
        }
    }
}

impl Access {
    fn admits(self, who: &Credentials, stream: &UnixStream) -> io::Result<bool> {
        let is_owner = who.uid == 0 || who.uid == rustix::process::geteuid().as_raw();
        match self {
            Self::Owner => Ok(is_owner),
            Self::Group(group) => Ok(is_owner
                || who.gid == group
                || disruptor_mp::liveness::process::peer_groups(stream)?.contains(&group)),
        }
    }
}

/// Readable when a process has connected.
impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
