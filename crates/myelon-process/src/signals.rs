//! Blocking signals, so that they can be read as events, and reading them.
//!
//! A blocked signal waits until it is read. A mask belongs to a thread, and a new thread has that of the thread that
//! starts it. So signals are blocked before the first thread exists, and no handler ever runs.

#[cfg(target_os = "linux")]
mod reader;

#[cfg(target_os = "linux")]
pub use reader::{Received, SignalReader};

use crate::SignalSet;
use nix::sys::signal::{SigSet, SigmaskHow};
use std::io;
use std::sync::{PoisonError, RwLock};
use std::thread::{self, ThreadId};

/// The mask that the first thread had before [`block_first`]; `None` outside its time.
///
/// A child of `fork` may find this lock held for writing only if its parent has forked in one thread while another
/// dropped its [`Blocked`].
static BEFORE: RwLock<Option<SigSet>> = RwLock::new(None);

/// Why signals were not blocked. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlockError {
    /// The process has other threads already. The kernel would give them the signals, and end the process.
    #[error(
        "signals must be blocked before the process has other threads, and it has {count}: {names}; call `block_first` first in \
         `main`, before a runtime, a logger or a library starts a thread",
        count = names.len(), names = names.join(", ")
    )]
    OtherThreads {
        /// The names of the other threads.
        names: Vec<String>,
    },
    /// They are blocked already. Keep the first [`Blocked`], and block all signals that you want there.
    #[error("signals are blocked already: call `block_first` once, with all signals")]
    Twice,
    /// The operating system refused. If it is the list of threads, mount `/proc`.
    #[error("signals could not be blocked: {call}: {source}")]
    Os {
        /// The call.
        call: &'static str,
        /// Its error.
        source: io::Error,
    },
}

/// Blocks [the signals that a server reads](SignalSet::server) for this thread and all later ones. Call it first in
/// `main`. Until the result is dropped, children that [`Command`](crate::Command) starts have the mask of before.
///
/// Then read the signals with [`Blocked::reader`]. The loop of `myelon-runtime` takes that reader. A library inside
/// another program's process does not call this; its host decides about signals.
///
/// ```standalone_crate
/// use myelon_process::{Patience, Signal, signals};
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let blocked = signals::block_first()?;
///     let signals = blocked.reader()?;
///     // ... start threads and children ...
///     # std::process::Command::new("kill").arg(std::process::id().to_string()).status()?; // SIGTERM
///     while let Some(received) = signals.next(Patience::Endless)? {
///         match received.signal {
///             Signal::TERM | Signal::INT => break, // end in good order
///             other => println!("{other} from process {}", received.pid),
///         }
///     }
///     Ok(())
/// }
/// ```
///
/// # Errors
/// See [`BlockError`].
/// Source: RFC 0020, "Signals".
pub fn block_first() -> Result<Blocked, BlockError> {
    block_set_first(SignalSet::server())
}

/// [`block_first`] for other signals.
///
/// ```no_run
/// use myelon_process::{SignalSet, signals};
///
/// fn main() -> Result<(), signals::BlockError> {
///     let blocked = signals::block_set_first(SignalSet::server().with_realtime())?;
///     println!("events: {}", blocked.set());
///     Ok(())
/// }
/// ```
///
/// # Errors
/// See [`BlockError`].
pub fn block_set_first(set: SignalSet) -> Result<Blocked, BlockError> {
    let mut before = BEFORE.write().unwrap_or_else(PoisonError::into_inner);
    if before.is_some() {
        return Err(BlockError::Twice);
    }
    let names = other_threads().map_err(|source| BlockError::Os { call: "reading /proc/self/task", source })?;
    if !names.is_empty() {
        return Err(BlockError::OtherThreads { names });
    }
    let mask = set.to_system().thread_swap_mask(SigmaskHow::SIG_BLOCK);
    let mask = mask.map_err(|error| BlockError::Os { call: "pthread_sigmask", source: error.into() })?;
    *before = Some(mask);
    Ok(Blocked { set, thread: thread::current().id() })
}

/// Signals are blocked until this is dropped.
///
/// When it is dropped, the mask of before comes back for the thread that has blocked them, if that thread drops it.
/// Threads that were started meanwhile keep their masks. A signal that was not read then acts as it does by default:
/// a second SIGTERM ends the process. So drop it last in `main`.
///
/// ```no_run
/// use myelon_process::{Signal, signals};
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let blocked = signals::block_first()?;
///     assert!(blocked.set().contains(Signal::TERM));
///     let reader = blocked.reader()?; // readable when a signal has come
///     Ok(())
/// }
/// ```
#[derive(Debug)]
#[must_use = "the signals are blocked only until this is dropped"]
pub struct Blocked {
    set: SignalSet,
    thread: ThreadId,
}

impl Blocked {
    /// The blocked signals.
    pub fn set(&self) -> SignalSet {
        self.set
    }

    /// A reader of these signals. Each signal is read once, so a program has one reader.
    ///
    /// # Errors
    /// There are no descriptors left.
    #[cfg(target_os = "linux")]
    pub fn reader(&self) -> io::Result<SignalReader> {
        SignalReader::of(self.set)
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        let mask = BEFORE.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mask) = mask.filter(|_| self.thread == thread::current().id()) {
            // The mask was valid when the kernel gave it to us.
            let _ = mask.thread_set_mask();
        }
    }
}

/// The mask for a child: that of before [`block_first`], or that of the calling thread.
pub(crate) fn mask_for_children() -> io::Result<SigSet> {
    let before = *BEFORE.read().unwrap_or_else(PoisonError::into_inner);
    match before {
        Some(mask) => Ok(mask),
        None => Ok(SigSet::thread_get_mask()?),
    }
}

/// The names of all threads of this process but the calling one.
#[cfg(target_os = "linux")]
fn other_threads() -> io::Result<Vec<String>> {
    // Its last component is our number in that `/proc`, which may be of another pid namespace.
    let ours = std::fs::read_link("/proc/thread-self")?;
    let mut names = Vec::new();
    for task in std::fs::read_dir("/proc/self/task")? {
        let task = task?;
        let number = task.file_name();
        if Some(&*number) == ours.file_name() {
            continue;
        }
        match std::fs::read(task.path().join("comm")) {
            // The kernel cuts a long name, also within a character.
            Ok(name) => names.push(String::from_utf8_lossy(&name).trim_end().to_owned()),
            // A thread that has just ended is no thread any more.
            Err(error) if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(GONE) => {}
            // It is there, even if its name cannot be read.
            Err(_) => names.push(format!("thread {}", number.display())),
        }
    }
    Ok(names)
}

/// The error of reading a file of a thread that has ended after it was opened.
#[cfg(target_os = "linux")]
const GONE: i32 = rustix::io::Errno::SRCH.raw_os_error();

/// This system does not say it without a call that needs `unsafe`.
#[cfg(not(target_os = "linux"))]
fn other_threads() -> io::Result<Vec<String>> {
    Ok(Vec::new())
}
