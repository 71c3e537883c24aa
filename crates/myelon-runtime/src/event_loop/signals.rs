//! Signals as a source.

use super::entry::Step;
use super::handler::{Answer, Handler, News};
use super::{AddError, EventLoop, Interest, IntoNext, Next, Settings, SourceId, SourceKind};
use myelon_process::Signal;
use myelon_process::signals::{Received, SignalReader};
use std::any::Any;
use std::os::fd::{AsFd, AsRawFd, RawFd};

struct Signals<H> {
    reader: SignalReader,
    handler: H,
}

impl<R: IntoNext, H: FnMut(&mut EventLoop, Received) -> R> Handler for Signals<H> {
    fn call(&mut self, event_loop: &mut EventLoop, _: News) -> Answer {
        let Some(received) = self.reader.try_next()? else { return Ok(Next::Drained) };
        // Only the reader knows whether it is drained. So each answer that goes on means that there may be more.
        Ok(match (self.handler)(event_loop, received).into_next()? {
            Next::Again | Next::Drained | Next::More => Next::More,
            next => next,
        })
    }

    fn descriptor(&self) -> Option<RawFd> {
        Some(self.reader.as_fd().as_raw_fd())
    }

    fn owns(&self) -> bool {
        true
    }

    fn source(&mut self) -> Option<&mut dyn Any> {
        Some(&mut self.reader)
    }

    fn into_source(self: Box<Self>) -> Option<Box<dyn Any>> {
        Some(Box::new(self.reader))
    }
}

impl EventLoop {
    /// Calls `handler` for each signal that `reader` reads, after timers and before descriptors, in the order of the
    /// kernel: the lowest number first. A standard signal that comes again before it was read is told once.
    ///
    /// The signals must be blocked before the process has a second thread:
    /// [`block_first`](myelon_process::signals::block_first). They are INT, TERM, HUP, QUIT, USR1, USR2 and CHLD. CHLD
    /// needs no answer: [`add_child`](Self::add_child) tells how a child has ended.
    ///
    /// For a server that only has to end, [`quit_on_signals`](Self::quit_on_signals) does all of this. A process that
    /// leads others to their end has it too: see [ending in order](crate#ending-in-order).
    ///
    /// ```standalone_crate
    /// use myelon_process::{Signal, signals};
    /// use myelon_runtime::event_loop::EventLoop;
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     let blocked = signals::block_first()?;
    ///     let mut event_loop = EventLoop::new()?;
    ///     event_loop.add_signals(blocked.reader()?, "signals", |event_loop: &mut EventLoop, received| {
    ///         println!("{} from process {}", received.signal, received.pid);
    ///         if received.signal == Signal::TERM {
    ///             event_loop.handle().quit();
    ///         }
    ///     })?;
    ///     # std::process::Command::new("kill").arg(std::process::id().to_string()).status()?; // SIGTERM
    ///     event_loop.run()?;
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// See [`AddError`].
    pub fn add_signals<R, H>(
        &mut self,
        reader: SignalReader,
        settings: impl Into<Settings>,
        handler: H,
    ) -> Result<SourceId, AddError>
    where
        R: IntoNext,
        H: FnMut(&mut EventLoop, Received) -> R + 'static,
    {
        let source = Box::new(Signals { reader, handler });
        self.add_descriptor(source, Interest::Readable, SourceKind::Signals, Step::Signals, settings.into())
    }

    /// What a server wants of INT and TERM: the first one asks the loop to quit, when it has served what is ready; the
    /// second one that is *read* ends it at once. Other signals of `reader` are read and dropped.
    ///
    /// They are counted over all runs: if the loop runs again after the first one, the next one ends that run at once.
    /// [Ending in order](crate#ending-in-order) is an example.
    ///
    /// # Errors
    /// See [`AddError`].
    pub fn quit_on_signals(&mut self, reader: SignalReader) -> Result<SourceId, AddError> {
        let mut seen = false;
        self.add_signals(reader, "INT and TERM end the loop", move |event_loop: &mut EventLoop, received: Received| {
            if received.signal == Signal::INT || received.signal == Signal::TERM {
                if std::mem::replace(&mut seen, true) { event_loop.handle.exit() } else { event_loop.handle.quit() }
            }
        })
    }
}
