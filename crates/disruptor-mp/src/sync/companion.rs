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

/// The result of waiting for a thread.
pub(crate) enum Joined<T> {
    /// It has ended: with this result, or with a panic.
    Ended(std::thread::Result<T>),
    /// It is the calling thread itself. It goes on alone.
    Itself,
    /// It exists in the process from which this one was forked, not in this one.
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

    /// Waits until the thread has ended, if this process and thread can wait for it.
    pub(crate) fn join(self) -> Joined<T> {
        if !self.is_here() {
            // Dropping the handle would detach a thread that does not exist here, and the C library has reused its
            // memory.
            std::mem::forget(self.handle);
            return Joined::Elsewhere;
        }
        if self.handle.thread().id() == std::thread::current().id() {
            return Joined::Itself;
        }
        Joined::Ended(self.handle.join())
    }
}
