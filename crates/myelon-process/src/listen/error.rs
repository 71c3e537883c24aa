//! Why a process cannot own a path, and why a peer was not accepted.

use super::{Credentials, PATH_BYTES_MAX};
use std::io;
use std::path::PathBuf;

/// Why this process cannot make a socket or a FIFO at a path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The path is longer than the kernel permits. Choose a shorter directory, such as one in `/run`.
    #[error(
        "`{}` cannot be made: its path has {len_bytes} bytes, and the kernel permits {PATH_BYTES_MAX}; choose a shorter \
         directory",
        path.display()
    )]
    TooLong {
        /// The path.
        path: PathBuf,
        /// Its length.
        len_bytes: usize,
    },
    /// The path is relative, or an abstract name, which begins with a zero byte. A relative path means another file
    /// when the process changes its directory. An abstract name has neither a mode nor an owner: every user may take
    /// it and connect to it.
    #[error("`{}` cannot be made: give an absolute path", path.display())]
    NotAbsolute {
        /// The path.
        path: PathBuf,
    },
    /// Other users can reach the directory. Make one for this file, of mode 0700 (0710 and the group, if a group may
    /// connect); if it does not exist, it is made so.
    #[error(
        "`{}` cannot be made: its directory has mode {mode:04o} and belongs to user {owner}, so that other users could \
         replace it or write to it; use a directory of your own with mode {wanted:04o}",
        path.display()
    )]
    OpenDirectory {
        /// The path.
        path: PathBuf,
        /// The mode of its directory.
        mode: u32,
        /// The owner of its directory.
        owner: u32,
        /// The mode that it should have.
        wanted: u32,
    },
    /// The group that may connect cannot enter the directory, for example because it was made for a socket without a
    /// group. Give it that group and the mode 0710, or remove it: it is made so.
    #[error(
        "`{}` cannot be made: its directory has mode {mode:04o} and group {group}, so that group {wanted} could not \
         connect; give it that group and mode 0710, or remove it",
        path.display()
    )]
    ClosedDirectory {
        /// The path.
        path: PathBuf,
        /// The mode of its directory.
        mode: u32,
        /// The group of its directory.
        group: u32,
        /// The group that may connect.
        wanted: u32,
    },
    /// Another process listens here, or reads this FIFO. End it, or choose another path.
    #[error("`{}` belongs to a process that runs{}; end it or choose another path", path.display(), named(*pid))]
    InUse {
        /// The path.
        path: PathBuf,
        /// That process as it sees itself, if it has written its pid.
        pid: Option<u32>,
    },
    /// There is a file of another kind at the path. It is not removed: move it away, or choose another path.
    #[error(
        "`{}` cannot be made: there is a file of another kind; move it away or choose another path",
        path.display()
    )]
    OtherFile {
        /// The path.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("`{}` cannot be made: {call}: {source}", path.display())]
    Os {
        /// The path.
        path: PathBuf,
        /// The call.
        call: &'static str,
        /// Its error.
        source: io::Error,
    },
}

fn named(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(", process {pid}"))
}

/// Why no process was accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// A process that may not connect has connected; its stream is closed.
    #[error("process {} of user {} and group {} may not connect", who.pid, who.uid, who.gid)]
    Refused {
        /// That process.
        who: Credentials,
    },
    /// The operating system refused.
    #[error("no connection could be accepted: {0}")]
    Os(#[source] io::Error),
}
