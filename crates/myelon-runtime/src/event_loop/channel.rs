//! Commands of one type from other threads, in a queue with a limit.

use super::handle::Shared;
use super::handler::{Answer, Handler, News};
use super::{EventLoop, IntoNext, Next, Refused, SourceId};
use crate::primitive::Site;
use crate::requests::Queue;
use std::fmt;
use std::sync::Arc;

/// What a sender has.
struct Inner<C> {
    queue: Queue<C>,
    id: SourceId,
    shared: Arc<Shared>,
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
        if self.0.queue.push(command)? {
            self.0.shared.requests.add_news(self.0.id);
        }
        Ok(())
    }

    /// The source of this channel.
    pub fn id(&self) -> SourceId {
        self.0.id
    }

    /// How many commands wait.
    pub fn waiting(&self) -> usize {
        self.0.queue.waiting()
    }

    /// How many commands came back because the channel was full.
    pub fn refused(&self) -> u64 {
        self.0.queue.refused()
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
    let inner = Arc::new(Inner { queue: Queue::new(capacity), id, shared });
    (CommandSender(Arc::clone(&inner)), Box::new(Receiver { inner, handler }))
}

impl<C, R: IntoNext, H: FnMut(&mut EventLoop, C) -> R> Handler for Receiver<C, H> {
    fn call(&mut self, event_loop: &mut EventLoop, _: News) -> Answer {
        match self.inner.queue.pop() {
            Some(command) => (self.handler)(event_loop, command).into_next(),
            None => Ok(Next::Again),
        }
    }

    fn has_more(&self, look: Site) -> bool {
        self.inner.queue.has_more(look)
    }
}

impl<C, H> Drop for Receiver<C, H> {
    fn drop(&mut self) {
        // A command may have a sender in it, so the lock of the queue is free when it is dropped.
        drop(self.inner.queue.close());
    }
}
