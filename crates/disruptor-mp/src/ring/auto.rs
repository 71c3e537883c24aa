//! A consumer on a thread of its own.
//!
//! **Lives here:** [`AutoConsumer`]. **Builds on:** `consumer`. **May touch it:** whoever started it.

use super::consumer::SharedConsumer;
use super::error::ConsumeError;
use crate::Sequence;
use crate::schema::Event;
use crate::sync::primitive::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long the thread waits for an event before it looks whether it is to stop.
const STOP_LATENCY: Duration = Duration::from_millis(20);

/// How a consumer thread ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum AutoConsumerEnd {
    /// It was told to stop.
    ShutDown,
    /// The ring ended: closed, replaced, or its producer died. Everything published was handled.
    RingEnded(ConsumeError),
}

/// A thread that hands every event to a handler. Dropping it stops the thread and waits for it.
#[derive(Debug)]
pub struct AutoConsumer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<AutoConsumerEnd>>,
}

impl AutoConsumer {
    pub(crate) fn start<E: Event>(
        mut consumer: SharedConsumer<E>,
        core: Option<usize>,
        mut handler: impl FnMut(&E, Sequence, bool) + Send + 'static,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let (pinned, is_pinned) = std::sync::mpsc::channel();
        let run = move || {
            let pin = core.map_or(Ok(()), crate::sync::affinity::pin_to);
            let may_run = pin.is_ok();
            let _ = pinned.send(pin);
            // Looked at between batches, so traffic that never ceases cannot keep the thread from stopping.
            while may_run && !flag.load(Ordering::Relaxed) {
                if consumer.process_available_to_end(&mut handler) > 0 {
                    continue;
                }
                match consumer.wait_until_available(Some(Instant::now() + STOP_LATENCY)) {
                    // What is damaged was stepped over and counted; the ring goes on after it.
                    Ok(()) | Err(ConsumeError::TimedOut { .. } | ConsumeError::Damaged { .. }) => {}
                    Err(end) => return AutoConsumerEnd::RingEnded(end),
                }
            }
            AutoConsumerEnd::ShutDown
        };
        let thread = std::thread::Builder::new().name("myelon-consumer".into()).spawn(run)?;
        // The thread sends before anything of the user's runs.
        if let Err(error) = is_pinned.recv().unwrap_or(Ok(())) {
            // It has handled nothing, and gives its place in the ring back before we say so.
            let _ = thread.join();
            return Err(error);
        }
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Tells the thread to stop after the batch that it is in; returns at once.
    pub fn shutdown(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Waits until the thread has ended.
    ///
    /// # Errors
    /// The handler's panic, as `std::thread::JoinHandle::join` gives it; the event that it was in is not acknowledged.
    pub fn join(mut self) -> std::thread::Result<AutoConsumerEnd> {
        self.thread.take().expect("joined once, by value").join()
    }

    /// [`shutdown`](Self::shutdown), then [`join`](Self::join).
    ///
    /// # Errors
    /// The handler's panic.
    pub fn shutdown_and_join(self) -> std::thread::Result<AutoConsumerEnd> {
        self.shutdown();
        self.join()
    }

    /// Whether the thread runs. A thread whose handler has panicked does not. If this is `false`, it stays `false`.
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}

impl Drop for AutoConsumer {
    fn drop(&mut self) {
        self.shutdown();
        if let Some(thread) = self.thread.take() {
            // A panic has been reported by the panic hook; who wants it joins.
            let _ = thread.join();
        }
    }
}
