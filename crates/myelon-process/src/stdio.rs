//! What a child has as its standard input, output or error.

use std::fs::File;
use std::io::{PipeReader, PipeWriter};
use std::os::fd::OwnedFd;

/// What a child has as its standard input, output or error.
///
/// ```
/// use myelon_process::{Command, Patience, Stdio};
/// use std::io::Read;
///
/// let mut child = Command::new("echo").arg("hello").stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
/// let mut text = String::new();
/// child.stdout.take().expect("it is piped").read_to_string(&mut text)?;
/// assert_eq!(text, "hello\n");
/// assert!(child.wait(Patience::Endless).is_some_and(|ended| ended.is_success()));
///
/// // A file, or any other descriptor:
/// let path = std::env::temp_dir().join(format!("worker-{}.log", std::process::id()));
/// Command::new("true").stdout(std::fs::File::create(&path)?).spawn()?.wait(Patience::Endless);
/// # std::fs::remove_file(path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Stdio(pub(crate) Kind);

#[derive(Debug)]
pub(crate) enum Kind {
    Inherit,
    Null,
    Piped,
    Descriptor(OwnedFd),
}

impl Stdio {
    /// The same as in this process.
    pub fn inherit() -> Self {
        Self(Kind::Inherit)
    }

    /// Nothing: reading gives the end, and what is written is discarded.
    pub fn null() -> Self {
        Self(Kind::Null)
    }

    /// A pipe whose other end is in the [`Child`](crate::Child).
    pub fn piped() -> Self {
        Self(Kind::Piped)
    }
}

/// This descriptor. The command keeps it; drop the command if other processes wait for the end of a pipe.
impl From<OwnedFd> for Stdio {
    fn from(descriptor: OwnedFd) -> Self {
        Self(Kind::Descriptor(descriptor))
    }
}

/// This file, at its present position.
impl From<File> for Stdio {
    fn from(file: File) -> Self {
        Self::from(OwnedFd::from(file))
    }
}

/// The pipe of another child, or one of your own.
impl From<PipeReader> for Stdio {
    fn from(pipe: PipeReader) -> Self {
        Self::from(OwnedFd::from(pipe))
    }
}

/// The pipe of another child, or one of your own.
impl From<PipeWriter> for Stdio {
    fn from(pipe: PipeWriter) -> Self {
        Self::from(OwnedFd::from(pipe))
    }
}
