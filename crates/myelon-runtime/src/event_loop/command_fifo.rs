//! Commands of an operator: single bytes on a FIFO.

use super::{AddError, EventLoop, Interest, LoopHandle, Next, OnFailure, Ready, Settings, SourceId};
use myelon_process::listen::Fifo;
use std::io::{ErrorKind, Read};

/// How many bytes one call reads. Many commands are one call; a flood leaves the loop after its budget of calls.
const READ_BYTES: usize = 4096;

/// Bytes on a command FIFO that are no commands. They were skipped; the commands around them were obeyed. It is the
/// cause of a failure of that source, so the hook of [`EventLoop::on_failure`] gets it.
///
/// ```
/// use myelon_process::listen::Fifo;
/// use myelon_runtime::event_loop::{Cause, EventLoop, Failure, UnknownCommands};
/// use std::time::Duration;
///
/// # let directory = std::env::temp_dir().join(format!("myelon-doc-unknown-{}", std::process::id()));
/// # let path = directory.join("commands");
/// let mut event_loop = EventLoop::new()?;
/// event_loop.on_failure(|failure: &Failure<'_>| {
///     if let Cause::Error(error) = failure.cause
///         && let Some(unknown) = error.downcast_ref::<UnknownCommands>()
///     {
///         assert_eq!((unknown.first, unknown.count), (b'z', 2));
///     }
/// });
/// event_loop.add_command_fifo(Fifo::create(&path)?, "commands of the operator")?;
/// std::fs::write(&path, "zDz\n")?;
/// event_loop.turn(Duration::ZERO)?;
/// # drop(event_loop);
/// # std::fs::remove_dir(&directory)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error(
    "'{}' ({first:#04x}) is no command; unknown bytes that were skipped: {count} now, {total} in all; the commands are D \
     (dump), G (quiesce), Q (quit) and X (exit)",
    first.escape_ascii()
)]
pub struct UnknownCommands {
    /// The first of them.
    pub first: u8,
    /// How many one read has found.
    pub count: u64,
    /// How many there were since the source was added.
    pub total: u64,
}

/// Does what the commands say, and returns what is no command: the first byte, and how many there are.
fn obey(bytes: &[u8], handle: &LoopHandle) -> Option<(u8, u64)> {
    let mut unknown = None;
    for &byte in bytes {
        match byte {
            b'D' => handle.request_dump(),
            b'G' => handle.request_quiesce(),
            b'Q' => handle.quit(),
            b'X' => handle.exit(),
            b' ' | b'\t' | b'\r' | b'\n' => {}
            _ => unknown.get_or_insert((byte, 0)).1 += 1,
        }
    }
    unknown
}

impl EventLoop {
    /// Obeys commands of an operator: each byte on the FIFO is one.
    ///
    /// | byte | what the loop does |
    /// |---|---|
    /// | `D` | [`request_dump`](LoopHandle::request_dump) |
    /// | `G` | [`request_quiesce`](LoopHandle::request_quiesce) |
    /// | `Q` | [`quit`](LoopHandle::quit) |
    /// | `X` | [`exit`](LoopHandle::exit) |
    /// | blank, tab, end of a line | nothing |
    /// | another one | skips it, and tells it as [`UnknownCommands`] |
    ///
    /// `Q` and `X` end [`run`](EventLoop::run) and call no handler of a signal: what is to be done before the process
    /// ends, such as asking children to end, is done [after `run`](crate#ending-in-order).
    ///
    /// So `echo DG > PATH` works from a shell. A command that comes again before the loop has obeyed it is obeyed
    /// once, as with a [`LoopHandle`]. A writer that closes ends nothing. Unknown bytes are failures that the source
    /// survives, whatever `settings` say; a flood of them is bounded by the budget, and by a
    /// [rate limit](Settings::rate_limit) if there is one.
    ///
    /// ```
    /// use myelon_process::listen::Fifo;
    /// use myelon_runtime::event_loop::{EventLoop, RunEnd};
    ///
    /// let directory = std::env::temp_dir().join(format!("myelon-doc-commands-{}", std::process::id()));
    /// let fifo = Fifo::create(directory.join("commands"))?;
    /// let path = fifo.path().to_owned();
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// event_loop.on_dump(|text| print!("{text}"));
    /// event_loop.add_command_fifo(fifo, "commands of the operator")?;
    ///
    /// std::fs::write(&path, "D\nQ\n")?; // what a shell would do
    /// assert_eq!(event_loop.run()?, RunEnd::Quit { drained: true });
    /// # drop(event_loop);
    /// # std::fs::remove_dir(&directory)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// See [`AddError`]. The FIFO is removed then.
    pub fn add_command_fifo(&mut self, fifo: Fifo, settings: impl Into<Settings>) -> Result<SourceId, AddError> {
        let settings = settings.into().on_failure(OnFailure::Keep);
        let mut total = 0;
        let handler = move |event_loop: &mut EventLoop, fifo: &mut Fifo, _: Ready| {
            let mut bytes = [0; READ_BYTES];
            let len = match fifo.read(&mut bytes) {
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Next::Drained),
                Err(error) => return Err(Box::<dyn std::error::Error>::from(error)),
            };
            match obey(&bytes[..len], &event_loop.handle) {
                Some((first, count)) => {
                    total += count;
                    Err(UnknownCommands { first, count, total }.into())
                }
                None => Ok(Next::Again),
            }
        };
        self.add(fifo, Interest::Readable, settings, handler)
    }
}
