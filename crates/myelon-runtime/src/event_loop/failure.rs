//! What goes wrong: in a handler, when a source is added, and in a turn.

use super::turn::contained;
use super::{OnFailure, SourceId};
use std::any::Any;
use std::error::Error;
use std::io;
use std::os::fd::RawFd;

/// A handler has failed. The hook that [`EventLoop::on_failure`](super::EventLoop::on_failure) sets gets it.
///
/// ```
/// use myelon_runtime::event_loop::{EventLoop, Failure};
/// use std::time::Duration;
///
/// let mut event_loop = EventLoop::new()?;
/// event_loop.on_failure(|failure: &Failure<'_>| eprintln!("{}: {}", failure.description, failure.cause));
/// event_loop.add_timer(Duration::ZERO, "the answer", |_: &mut EventLoop, _| "seven".parse::<u8>().map(|_| ()));
/// event_loop.turn(Duration::ZERO)?; // the answer: invalid digit found in string
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Failure<'a> {
    /// The source.
    pub source: SourceId,
    /// Its description.
    pub description: &'a str,
    /// What has happened.
    pub cause: &'a Cause,
    /// What happens to the source.
    pub then: OnFailure,
}

/// How a source has failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// Its handler has returned an error.
    #[error("{0}")]
    Error(#[source] Box<dyn Error>),
    /// Its handler has panicked. Its state may be half changed.
    #[error("the handler panicked: {0}")]
    Panic(String),
    /// The loop cannot wait for its descriptor any more, because it was closed or replaced. The source is removed.
    #[error("the loop cannot wait for this descriptor any more; it was closed outside the loop ({0})")]
    Lost(#[source] io::Error),
    /// A new source has the number of its descriptor, so it was closed. The source is removed.
    #[error("its descriptor was closed outside the loop, and descriptor {0} is another one now")]
    Reused(RawFd),
}

impl Cause {
    pub(super) fn of_panic(payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        Self::Panic(text.unwrap_or("a value that is no text").to_owned())
    }

    /// What it says. The text of an error is the program's, and may panic.
    pub(super) fn text(&self) -> String {
        contained(|| self.to_string()).unwrap_or_else(|_| "an error whose text panicked".to_owned())
    }
}

/// Why a source was not added. It was dropped, and the loop is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AddError {
    /// A regular file or a directory, which is always ready. Read and write it in a thread.
    #[error(
        "`{description}`: a regular file is always ready, so no loop can wait for it; read and write it in a thread"
    )]
    RegularFile {
        /// The description of the source.
        description: String,
    },
    /// This descriptor is a source of this loop already. Duplicate it (`try_clone`), or use one source for both.
    #[error(
        "`{description}`: descriptor {descriptor} is a source of this loop already; duplicate it, or use one source"
    )]
    Twice {
        /// The description of the source.
        description: String,
        /// The descriptor.
        descriptor: RawFd,
    },
    /// The operating system refused: the number is no open descriptor, or `/proc/sys/fs/epoll/max_user_watches` is
    /// reached.
    #[error("`{description}`: the operating system does not wait for descriptor {descriptor}: {source}")]
    Os {
        /// The description of the source.
        description: String,
        /// The descriptor.
        descriptor: RawFd,
        /// Its error.
        source: io::Error,
    },
}

/// Why a turn has ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TurnError {
    /// A handler has called `turn` or `run`. Return from the handler instead.
    #[error("a handler cannot run the loop that has called it")]
    Nested,
    /// The hook for failures or for dumps has panicked, so the loop cannot report what goes wrong.
    #[error("a hook of the loop panicked: {0}")]
    HookPanicked(String),
    /// The operating system refused to wait.
    #[error("waiting for descriptors failed: {0}")]
    Os(#[source] io::Error),
}
