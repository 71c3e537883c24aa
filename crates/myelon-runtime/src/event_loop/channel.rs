//! Commands of one type from other threads, in a queue with a limit.

use super::handle::Shared;
use super::handler::{Answer, Handler, News};
use super::{EventLoop, IntoNext, Next, SourceId};
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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

struct Queue<C> {
    commands: VecDeque<C>,
    closed: bool,
    /// Whether the loop knows that there are commands. Then senders need not tell it.
    told: bool,
    refused: u64,
}

struct Inner<C> {
    queue: Mutex<Queue<C>>,
    capacity: usize,
    id: SourceId,
    shared: Arc<Shared>,
}

impl<C> Inner<C> {
    fn queue(&self) -> MutexGuard<'_, Queue<C>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends commands to a loop, from any thread. [`EventLoop::add_channel`] makes it.
///
/// Each sender's commands are handled in the order in which it sent them, each once.
///
/// ```
/// use myelon_runtime::event_loop::{CommandSender, EventLoop};
///
/// enum Order { Add(u32), Finish }
///
/// let mut event_loop = EventLoop::new()?;
/// let mut sum = 0;
/// let (_, sender) = event_loop.add_channel(64, "sums", move |event_loop: &mut EventLoop, order| match order {
///     Order::Add(number) => sum += number,
///     Order::Finish => {
///         assert_eq!(sum, 5);
///         event_loop.handle().quit();
///     }
/// });
/// std::thread::spawn(move || {
///     for order in [Order::Add(2), Order::Add(3), Order::Finish] {
///         sender.send(order).expect("64 may wait");
///     }
/// });
/// event_loop.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct CommandSender<C>(Arc<Inner<C>>);

impl<C> Clone for CommandSender<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C> fmt::Debug for CommandSender<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandSender")
            .field("id", &self.0.id)
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}

impl<C> CommandSender<C> {
    /// Sends a command, without waiting. The loop wakes up if it sleeps; many commands wake it once.
    ///
    /// # Errors
    /// [`Refused`], with the command.
    pub fn send(&self, command: C) -> Result<(), Refused<C>> {
        let mut queue = self.0.queue();
        if queue.closed {
            return Err(Refused::Closed(command));
        }
        if queue.commands.len() == self.0.capacity {
            queue.refused += 1;
            return Err(Refused::Full(command));
        }
        queue.commands.push_back(command);
        let told = std::mem::replace(&mut queue.told, true);
        drop(queue);
        if !told {
            self.0.shared.add_news(self.0.id);
        }
        Ok(())
    }

    /// The source of this channel.
    pub fn id(&self) -> SourceId {
        self.0.id
    }

    /// How many commands wait.
    pub fn waiting(&self) -> usize {
        self.0.queue().commands.len()
    }

    /// How many commands came back because the channel was full.
    pub fn refused(&self) -> u64 {
        self.0.queue().refused
    }
}

/// The loop's end: closes the channel when it is dropped.
struct Receiver<C, H> {
    inner: Arc<Inner<C>>,
    handler: H,
}

pub(super) fn channel<C: 'static, R: IntoNext, H: FnMut(&mut EventLoop, C) -> R + 'static>(
    capacity: usize,
    id: SourceId,
    shared: Arc<Shared>,
    handler: H,
) -> (CommandSender<C>, Box<dyn Handler>) {
    let queue = Queue { commands: VecDeque::new(), closed: false, told: false, refused: 0 };
    let inner = Arc::new(Inner { queue: Mutex::new(queue), capacity, id, shared });
    (CommandSender(Arc::clone(&inner)), Box::new(Receiver { inner, handler }))
}

impl<C, R: IntoNext, H: FnMut(&mut EventLoop, C) -> R> Handler for Receiver<C, H> {
    fn call(&mut self, event_loop: &mut EventLoop, _: News) -> Answer {
        let command = self.inner.queue().commands.pop_front();
        match command {
            Some(command) => (self.handler)(event_loop, command).into_next(),
            None => Ok(Next::Again),
        }
    }

    fn has_more(&self) -> bool {
        let mut queue = self.inner.queue();
        queue.told = !queue.commands.is_empty();
        queue.told
    }
}

impl<C, H> Drop for Receiver<C, H> {
    fn drop(&mut self) {
        let left = {
            let mut queue = self.inner.queue();
            queue.closed = true;
            std::mem::take(&mut queue.commands)
        };
        // A command may have a sender in it, so the lock must be free.
        drop(left);
    }
}
