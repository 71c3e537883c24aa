//! Why a channel gives a command back.

use std::fmt;

/// A command that the loop did not take.
///
/// ```
/// use myelon_runtime::event_loop::{EventLoop, Refused};
///
/// let mut event_loop = EventLoop::new()?;
/// let (_, sender) = event_loop.add_channel(1, "orders", |_: &mut EventLoop, order: &'static str| println!("{order}"));
/// sender.send("one").unwrap();
/// assert_eq!(sender.send("two"), Err(Refused::Full("two"))); // try again later
/// drop(event_loop);
/// assert_eq!(sender.send("three"), Err(Refused::Closed("three"))); // never try again
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused<C> {
    /// As many commands wait as the channel may have. The loop is slower than its senders; this is counted.
    #[error("the channel is full")]
    Full(C),
    /// The channel was removed, or its loop is gone.
    #[error("the channel is closed")]
    Closed(C),
}

impl<C> Refused<C> {
    /// The command.
    pub fn into_command(self) -> C {
        match self {
            Self::Full(command) | Self::Closed(command) => command,
        }
    }
}

/// A command need not be printable.
impl<C> fmt::Debug for Refused<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Closed(_) => "Closed(..)",
        })
    }
}
