//! Why a program could not be started.

use std::ffi::OsString;
use std::io;
use std::os::fd::RawFd;
use std::path::PathBuf;

/// Why a program could not be started. The text names the program. It becomes an [`io::Error`] of the same kind by
/// `into`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// There is no such program. Check the name; a name with a `/` is a path, and a relative one starts at the
    /// directory of the child.
    #[error("the program `{}` does not exist", program.display())]
    NotFound {
        /// The program.
        program: OsString,
    },
    /// None of the directories has a program of that name. Give the path of the program, or another `PATH`.
    #[error("the program `{}` is in no directory of PATH (`{}`)", program.display(), path.display())]
    NotInPath {
        /// The program.
        program: OsString,
        /// The directories, as the variable has them.
        path: OsString,
    },
    /// The program exists, and what has to load it does not: the interpreter in the first line of a script, or the
    /// dynamic loader of another system.
    #[error("the program `{}` exists, but its interpreter or loader does not", program.display())]
    NoInterpreter {
        /// The program.
        program: OsString,
    },
    /// The child cannot work in that directory. Create it, or permit this user to enter it.
    #[error("the program `{}` cannot run in the directory `{}`: {source}", program.display(), directory.display())]
    Directory {
        /// The program.
        program: OsString,
        /// The directory.
        directory: PathBuf,
        /// The error of the operating system. `Unsupported`: glibc before 2.29 cannot start a program in another
        /// directory.
        source: io::Error,
    },
    /// An argument, a variable or a path cannot be given to a program.
    #[error("the program `{}` cannot be given {what} `{}`: {why}", program.display(), text.display())]
    Text {
        /// The program.
        program: OsString,
        /// What it was to be.
        what: &'static str,
        /// Its text.
        text: OsString,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A descriptor cannot be passed on.
    #[error("the program `{}` cannot be given a descriptor as its number {number}: {source}", program.display())]
    Descriptor {
        /// The program.
        program: OsString,
        /// The number in the child.
        number: RawFd,
        /// The error of the operating system. `InvalidInput`: the next number is not below the limit of open files
        /// (`ulimit -n`).
        source: io::Error,
    },
    /// The operating system refused. With `EMFILE` this process has too many open files, with `EAGAIN` this user has
    /// too many processes, with `EACCES` the file is not executable. With `ENOSYS` or `EPERM` from `pidfd_open`, Linux
    /// is older than 5.4, or a container hides that call.
    #[error("the program `{}` could not be started: {call}: {source}", program.display())]
    Os {
        /// The program.
        program: OsString,
        /// The call.
        call: &'static str,
        /// Its error.
        source: io::Error,
    },
    /// The [`Nursery`](crate::Nursery) belongs to the parent of this process, which was forked from it, or its thread
    /// has ended. Start a nursery in this process.
    #[error("the program `{}` could not be started: the nursery has no thread in this process", program.display())]
    NoNursery {
        /// The program.
        program: OsString,
    },
}

impl From<SpawnError> for io::Error {
    fn from(error: SpawnError) -> Self {
        let kind = match &error {
            SpawnError::NotFound { .. } | SpawnError::NotInPath { .. } | SpawnError::NoInterpreter { .. } => {
                io::ErrorKind::NotFound
            }
            SpawnError::Text { .. } => io::ErrorKind::InvalidInput,
            SpawnError::Directory { source, .. }
            | SpawnError::Descriptor { source, .. }
            | SpawnError::Os { source, .. } => source.kind(),
            SpawnError::NoNursery { .. } => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
