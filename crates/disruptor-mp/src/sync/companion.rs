//! A thread that belongs to a value, and ends with it.
//!
//! Its owner may drop it anywhere: also in that thread itself, and in a child of `fork`, which has the handle but not
//! the thread.

use crate::segment::fork_epoch;
use std::io;
use std::thread::{Builder, JoinHandle, Thread};

/// A thread and the right to wait for it.
#[derive(Debug)]
pub(crate) struct Companion<T> {
    handle: JoinHandle<T>,
    fork_epoch: u32,
}

/// What came of waiting for a thread.
pub(crate) enum Joined<T> {
    /// It has ended: with this result, or with a panic.
    Ended(std::thread::Result<T>),
    /// It is the thread that wants to wait. It goes on, on its own.
    Itself,
    /// It exists in the process from which this one was forked, and not here.
    Elsewhere,
}

impl<T: Send + 'static> Companion<T> {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub(crate) fn start(name: &str, run: impl FnOnce() -> T + Send + 'static) -> io::Result<Self> {
        let handle = Builder::new().name(name.into()).spawn(run)?;
        Ok(Self { handle, fork_epoch: fork_epoch() })
    }

    fn is_here(&self) -> bool {
        self.fork_epoch == fork_epoch()
    }

    /// Whether it runs, in this process. If this is `false`, it stays `false`.
    pub(crate) fn is_running(&self) -> bool {
        self.is_here() && !self.handle.is_finished()
    }

    pub(crate) fn thread(&self) -> &Thread {
        self.handle.thread()
    }

    /// Waits until it has ended, if it can be waited for.
    pub(crate) fn join(self) -> Joined<T> {
        if !self.is_here() {
            // Dropping the handle would detach a thread that is not there, and the C library has given its memory to
            // others.
            std::mem::forget(self.handle);
            return Joined::Elsewhere;
        }
        if self.handle.thread().id() == std::thread::current().id() {
            return Joined::Itself;
        }
        Joined::Ended(self.handle.join())
    }
}
