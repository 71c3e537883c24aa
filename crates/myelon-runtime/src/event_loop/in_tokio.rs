//! The loop as a task of a tokio runtime: it awaits what it would sleep for.
//!
//! The loop's epoll descriptor is readable while it has an event, so tokio's reactor waits for that one descriptor. The
//! deadline of the next timer is set in a timerfd that is in the loop's epoll.
//!
//! - **Invariant:** nothing that the loop has taken from the kernel or from its channels is kept in the future.
//! - **Invariant:** the future awaits only after a look at epoll that has found nothing: tokio's reactor tells an edge,
//!   and there is none for what a full list of events has left.

use super::turn::Ending;
use super::{EventLoop, RunEnd, TurnError, fine::Fine};
use crate::agenda::Party;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::yield_now;

impl EventLoop {
    /// [`run`](Self::run) as a future, in a tokio runtime. It needs the feature `tokio`.
    ///
    /// The loop is not `Send`, so its future is one of [`tokio::task::LocalSet`], or of `block_on` itself. One poll
    /// runs at most one turn, and then other tasks have theirs. A handler that blocks, blocks the thread, as in any
    /// task. When nothing is ready, the future awaits the loop's epoll descriptor: there is no polling.
    ///
    /// The future may be dropped at any time, for example by a `select!`. What has happened stays in the loop, a
    /// request to [`quit`](super::LoopHandle::quit) too, and the next `run_in_tokio` or `run` goes on with it.
    ///
    /// Timers run on the loop's clock, which tokio's `pause` does not stop. They need no time driver. With a
    /// [`VirtualClock`](crate::testing::VirtualClock) the loop moves its clock whenever it would sleep for a timer, as
    /// `run` does. What tasks of tokio await takes no time on it.
    ///
    /// In a loop that [attends](Self::attend) an agenda, this thread is a party only during a turn. Other tasks do not
    /// stop at a safe point. A turn that is due while a closure runs alone waits for its end, and blocks the thread.
    ///
    /// ```
    /// use myelon_runtime::event_loop::{EventLoop, RunEnd, Tick};
    /// use std::time::Duration;
    /// use tokio::sync::mpsc;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut event_loop = EventLoop::new()?;
    /// let (ticks, mut received) = mpsc::unbounded_channel(); // from a handler to a task
    /// event_loop.add_interval(Duration::from_millis(1), "a tick", move |_: &mut EventLoop, tick: Tick| {
    ///     ticks.send(tick.missed)
    /// });
    /// let handle = event_loop.handle(); // from a task to the loop
    ///
    /// let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    /// let tasks = tokio::task::LocalSet::new();
    /// let end = tasks.block_on(&runtime, async {
    ///     tokio::task::spawn_local(async move {
    ///         for _ in 0..3 {
    ///             received.recv().await.expect("the loop runs");
    ///         }
    ///         handle.quit();
    ///     });
    ///     event_loop.run_in_tokio().await
    /// })?;
    /// assert_eq!(end, RunEnd::Quit { drained: true });
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A runtime on threads of its own needs none of this. Its tasks keep a [`CommandSender`](super::CommandSender) and
    /// post into the loop; however many commands are posted before the loop has looked, they wake it once. A task
    /// awaits an answer with a channel of tokio's, whose `send` a handler may call.
    ///
    /// ```
    /// use myelon_runtime::event_loop::{CommandSender, EventLoop};
    /// use tokio::sync::oneshot;
    ///
    /// struct Lookup { model: &'static str, answer: oneshot::Sender<usize> }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut event_loop = EventLoop::new()?;
    /// let (_, lookups): (_, CommandSender<Lookup>) =
    ///     event_loop.add_channel(1024, "lookups", |_: &mut EventLoop, lookup: Lookup| {
    ///         // It fails if the task has given up.
    ///         let _ = lookup.answer.send(lookup.model.len());
    ///     });
    /// let handle = event_loop.handle();
    /// let other = std::thread::spawn(move || {
    ///     let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    ///     let length = runtime.block_on(async {
    ///         let (answer, received) = oneshot::channel();
    ///         lookups.send(Lookup { model: "qwen", answer }).expect("1024 may wait");
    ///         received.await
    ///     });
    ///     handle.quit();
    ///     length
    /// });
    /// event_loop.run()?;
    /// assert_eq!(other.join().unwrap()?, 4);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`TurnError`]; [`TurnError::Os`] also if there are no descriptors left: it needs two more. The loop can be
    /// run again.
    ///
    /// # Panics
    /// Outside a tokio runtime, or in one without an I/O driver (`enable_io`).
    ///
    /// Source: RFC 0022, "Beside tokio".
    pub async fn run_in_tokio(&mut self) -> Result<RunEnd, TurnError> {
        if self.in_turn {
            return Err(TurnError::Nested);
        }
        if self.fine.is_none() {
            self.fine = Some(Fine::new(self.poll.registry()).map_err(TurnError::Os)?);
        }
        let epoll = self.epoll_in_tokio().map_err(TurnError::Os)?;
        let mut ending = Ending::default();
        loop {
            let looked = self.look_and_await(&epoll, ending.longest_sleep()).await;
            self.draining = ending.drains();
            let served = self.serve_what_was_seen(looked);
            self.draining = false;
            if let Some(end) = ending.after_turn(self, served?) {
                return Ok(end);
            }
            let away = self.party.as_ref().map(Party::away);
            yield_now().await;
            drop(away);
        }
    }

    /// A duplicate of the epoll descriptor, registered with the reactor.
    fn epoll_in_tokio(&self) -> io::Result<AsyncFd<OwnedFd>> {
        let epoll = self.poll.registry().as_fd().try_clone_to_owned()?;
        // Deprecated because it trusts `as_raw_fd`, which safe code could implement to return any number. An `OwnedFd`
        // returns the descriptor that it owns.
        #[allow(deprecated)]
        AsyncFd::with_interest(epoll, Interest::READABLE)
    }

    /// Begins a turn, and awaits until there is something to do.
    async fn look_and_await(&mut self, epoll: &AsyncFd<OwnedFd>, longest: Duration) -> io::Result<()> {
        let nap = self.begin_look(longest);
        self.poll(Some(Duration::ZERO))?;
        if self.events.is_empty() && nap.timeout != Some(Duration::ZERO) {
            if let Some(fine) = &mut self.fine {
                fine.arm(nap.timeout)?;
            }
            let away = self.party.as_ref().map(Party::away);
            // Cleared before the look: what comes after that look gives a new edge.
            epoll.readable().await?.clear_ready();
            drop(away);
            self.poll(Some(Duration::ZERO))?;
        }
        self.end_look(nap);
        Ok(())
    }
}
