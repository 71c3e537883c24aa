//! The end of a child as a source.

use super::handler::{Answer, Handler, News};
use super::{AddError, EventLoop, Interest, IntoNext, Next, OnFailure, Settings, SourceId, SourceKind};
use myelon_process::{Child, Ended};
use std::any::Any;
use std::os::fd::{AsFd, AsRawFd, RawFd};

struct Watched<H> {
    child: Child,
    /// `None` once the end was told.
    handler: Option<H>,
}

impl<R: IntoNext, H: FnOnce(&mut EventLoop, &mut Child, Ended) -> R> Handler for Watched<H> {
    fn call(&mut self, event_loop: &mut EventLoop, _: News) -> Answer {
        // `None`: another thread reaps it just now.
        let Some(ended) = self.child.try_wait() else { return Ok(Next::Again) };
        if let Some(handler) = self.handler.take() {
            handler(event_loop, &mut self.child, ended).into_next()?;
        }
        Ok(Next::Remove)
    }

    fn descriptor(&self) -> Option<RawFd> {
        Some(self.child.as_fd().as_raw_fd())
    }

    fn owns(&self) -> bool {
        true
    }

    fn source(&mut self) -> Option<&mut dyn Any> {
        Some(&mut self.child)
    }

    fn into_source(self: Box<Self>) -> Option<Box<dyn Any>> {
        Some(Box::new(self.child))
    }
}

impl EventLoop {
    /// Calls `handler` once, when the child has ended, with how it ended. Then the source is removed, whatever the
    /// handler answers. A child that has ended before is told in the next turn.
    ///
    /// Until then [`source_mut::<Child>`](Self::source_mut) has it, to send it a signal, and [`take`](Self::take)
    /// returns it. A child whose source is removed runs on, also when that is because the loop was dropped. One that
    /// is to end with this process, also after `kill -9`, comes from a [`Nursery`](myelon_process::Nursery).
    ///
    /// ```
    /// use myelon_process::{Child, Command, Ended};
    /// use myelon_runtime::event_loop::EventLoop;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut event_loop = EventLoop::new()?;
    /// let child = Command::new("sh").args(["-c", "exit 3"]).spawn()?;
    /// event_loop.add_child(child, "a worker", |event_loop: &mut EventLoop, child: &mut Child, ended: Ended| {
    ///     println!("process {} {ended}", child.pid());
    ///     assert_eq!(ended, Ended::Exited(3));
    ///     event_loop.handle().quit();
    /// })?;
    /// event_loop.run()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A supervisor starts it again, later if it fails often:
    ///
    /// ```
    /// use myelon_process::{Child, Command, Ended};
    /// use myelon_runtime::agents::{Restart, Restarts};
    /// use myelon_runtime::event_loop::{EventLoop, Tick};
    /// use std::time::Duration;
    ///
    /// fn start(event_loop: &mut EventLoop, mut restarts: Restarts) -> Result<(), Box<dyn std::error::Error>> {
    ///     let child = Command::new("sh").args(["-c", "exit 3"]).spawn()?;
    ///     let started = event_loop.now();
    ///     event_loop.add_child(child, "a worker", move |event_loop: &mut EventLoop, _: &mut Child, ended: Ended| {
    ///         match restarts.next_after(event_loop.now() - started) {
    ///             Some(delay) => {
    ///                 println!("the worker {ended}; it is started again in {delay:?}");
    ///                 let restart = move |event_loop: &mut EventLoop, _: Tick| start(event_loop, restarts);
    ///                 event_loop.add_timer(delay, "start the worker again", restart);
    ///             }
    ///             None => event_loop.handle().quit(),
    ///         }
    ///     })?;
    ///     Ok(())
    /// }
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let row = Restart::new(Duration::from_millis(10), Duration::from_secs(1)).calm(Duration::from_secs(5)).limit(3);
    /// start(&mut event_loop, row.row())?;
    /// event_loop.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// See [`AddError`]. The child is dropped then, and runs on.
    pub fn add_child<R, H>(
        &mut self,
        child: Child,
        settings: impl Into<Settings>,
        handler: H,
    ) -> Result<SourceId, AddError>
    where
        R: IntoNext,
        H: FnOnce(&mut EventLoop, &mut Child, Ended) -> R + 'static,
    {
        // The end is told once, so a handler that fails is not called again.
        let settings = settings.into().on_failure(OnFailure::Remove);
        let step = super::adding::step_of(settings.priority);
        let source = Box::new(Watched { child, handler: Some(handler) });
        self.add_descriptor(source, Interest::Readable, SourceKind::Child, step, settings)
    }
}
