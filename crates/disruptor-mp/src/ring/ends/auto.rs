//! A consumer on a thread of its own.

use super::consumer_face::ConsumerEnd;
use super::error::ConsumeError;
use crate::error::CoreSetting;
use crate::sync::affinity::pin_to;
use crate::sync::companion::{Companion, Joined};
use crate::sync::primitive::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the thread waits for an event before it checks whether it must stop.
const STOP_LATENCY: Duration = Duration::from_millis(20);

/// How a consumer thread ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum AutoConsumerEnd {
    /// It was told to stop.
    ShutDown,
    /// The ring ended: closed, replaced, or its producer died. Everything published was handled. Never
    /// [`ConsumeError::Os`]: where the operating system refuses to say whether the producer lives, the thread goes on
    /// and asks again after a pause.
    RingEnded(ConsumeError),
    /// It has not ended: its own handler tried to wait for it. It goes on when the handler returns.
    InItsHandler,
    /// There is no such thread in this process, which was forked from the one that started it.
    Forked,
}

/// A thread that hands every event, or every record, to a handler. Dropping it stops the thread after the event that is
/// in the handler, and waits until the thread has ended. In the handler itself, and in a child of `fork`, the drop does
/// not wait.
///
/// However the thread ends, the ring keeps what was not acknowledged for the consumer that attaches again under its id,
/// as after [`keep_place`](crate::ConsumerEnd::keep_place): when it is stopped or dropped, when its handler panics,
/// when its producer has died. In two cases the entry is given up: by [`leave`](Self::leave), and when everything up to
/// *closed* was handled. Without an id there is no entry to keep.
///
/// While the operating system refuses to say whether the producer lives (for instance because its descriptors were
/// closed), the thread handles what is published, looking once in 20 ms. It then notices *closed* and *replaced*, but
/// not a death.
///
/// Events are acknowledged as in [`SharedConsumer::process_available`](crate::SharedConsumer::process_available): after
/// every 64, or an eighth of the ring, and once 10 ms have passed since the last time. So a slow handler is not taken
/// for one that hangs.
///
/// ```
/// use disruptor_mp::{AutoConsumerEnd, Patience, SharedDisruptorBuilder};
/// use disruptor_mp::{attach_shared_consumer, build_shared_single_producer};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let name = disruptor_mp::portable_shm_segment_name("doc-a");
/// # let steps = disruptor_mp::portable_shm_segment_name("doc-b");
/// let mut producer = build_shared_single_producer::<u64>(&name, 64).build_producer(|| 0)?;
/// let consumer = attach_shared_consumer::<u64>(&name, 64)
///     .handle_events_with(|event, sequence, _is_last| println!("event {sequence}: {event}"))?;
/// producer.publish(|slot| *slot = 7)?;
///
/// // The same over records.
/// let mut records = SharedDisruptorBuilder::records(&steps, 4096).build_record_producer()?;
/// let reader = SharedDisruptorBuilder::records_at(&steps)
///     .handle_records_with(|bytes, meta, _is_last| println!("record {}: {} bytes", meta.sequence, bytes.len()))?;
/// records.publish(b"step 7", 1, 0, Patience::Endless)?;
///
/// drop((producer, records)); // what was published is handled before the threads end
/// for thread in [consumer, reader] {
///     match thread.join().expect("the handler has not panicked") {
///         AutoConsumerEnd::RingEnded(end) if end.is_closed() => {} // in good order
///         other => return Err(format!("the thread has ended: {other:?}").into()),
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct AutoConsumer {
    orders: Arc<Orders>,
    thread: Option<Companion<AutoConsumerEnd>>,
}

/// Why the thread was not started.
pub(crate) enum NotStarted {
    /// It could not be pinned to the core that was asked for.
    Pinned {
        /// The setting that asked for the core.
        asked: CoreSetting,
        /// The error of the system.
        source: std::io::Error,
    },
    /// The system started no thread.
    Thread(std::io::Error),
}

/// The orders to the thread.
#[derive(Debug, Default)]
struct Orders {
    stop: AtomicBool,
    /// To give the entry up at the end.
    leave: AtomicBool,
}

impl AutoConsumer {
    /// Runs `process` on a thread. `process` hands what can be read now to a handler, as long as the function that it
    /// is given returns `true` after each, and returns how many it handed over.
    pub(crate) fn start<C: ConsumerEnd + Send + 'static>(
        mut consumer: C,
        core: Option<CoreSetting>,
        mut process: impl FnMut(&mut C, &dyn Fn() -> bool) -> usize + Send + 'static,
    ) -> Result<Self, NotStarted> {
        consumer.keep_place();
        let orders = Arc::new(Orders::default());
        let told = Arc::clone(&orders);
        let (pinned, is_pinned) = std::sync::mpsc::channel();
        let run = move || {
            let pin =
                core.map_or(Ok(()), |asked| pin_to(asked.core).map_err(|source| NotStarted::Pinned { asked, source }));
            let may_run = pin.is_ok();
            let _ = pinned.send(pin);
            // Acquire pairs with Release in `shutdown`.
            let goes_on = || !told.stop.load(Ordering::Acquire);
            while may_run && goes_on() {
                if process(&mut consumer, &goes_on) > 0 {
                    continue;
                }
                match consumer.wait_until_available(Some(Instant::now() + STOP_LATENCY)) {
                    // Damage was stepped over and counted; the ring goes on after it.
                    Ok(()) | Err(ConsumeError::Damaged { .. }) => {}
                    Err(error) if error.is_timed_out() => {}
                    // No end: nothing was concluded, and published events can still be read. The answer came at once,
                    // so the pause is made here.
                    Err(ConsumeError::Os { .. }) => std::thread::sleep(STOP_LATENCY),
                    Err(end) => return AutoConsumerEnd::RingEnded(end),
                }
            }
            // A thread that may not run has handled nothing. It gives up its own entry, and keeps the entry of a
            // predecessor that it was to continue.
            if told.leave.load(Ordering::Relaxed) || (!may_run && !consumer.has_rejoined()) {
                consumer.leave_on_drop();
            }
            AutoConsumerEnd::ShutDown
        };
        let thread = Companion::start("myelon-consumer", run).map_err(NotStarted::Thread)?;
        // The thread sends before any code of the user runs.
        if let Err(error) = is_pinned.recv().unwrap_or(Ok(())) {
            // Before the error is returned, its entry is free or kept.
            drop(thread.join());
            return Err(error);
        }
        Ok(Self { orders, thread: Some(thread) })
    }

    /// Tells the thread to stop after the event that is in the handler; returns at once. The events after it stay in
    /// the ring, and a batch that ends this way has no last event.
    pub fn shutdown(&self) {
        // Release, partner in `AutoConsumer::start`: a thread that sees the order to stop also sees an earlier order to
        // leave.
        self.orders.stop.store(true, Ordering::Release);
    }

    /// Waits until the thread has ended. The thread's own handler and a child of `fork` cannot wait for its end: they
    /// get [`InItsHandler`](AutoConsumerEnd::InItsHandler) and [`Forked`](AutoConsumerEnd::Forked).
    ///
    /// # Errors
    /// The handler's panic, as `std::thread::JoinHandle::join` returns it; the event that was in the handler is not
    /// acknowledged.
    pub fn join(mut self) -> std::thread::Result<AutoConsumerEnd> {
        match self.thread.take().expect("joined once, by value").join() {
            Joined::Ended(end) => end,
            Joined::Itself => Ok(AutoConsumerEnd::InItsHandler),
            Joined::Elsewhere => Ok(AutoConsumerEnd::Forked),
        }
    }

    /// [`shutdown`](Self::shutdown), then [`join`](Self::join).
    ///
    /// # Errors
    /// The handler's panic.
    pub fn shutdown_and_join(self) -> std::thread::Result<AutoConsumerEnd> {
        self.shutdown();
        self.join()
    }

    /// [`shutdown_and_join`](Self::shutdown_and_join), and gives the entry up: what was not handled is lost to this id,
    /// and the id is free. A thread that had ended by itself before has kept its entry, unless it had handled
    /// everything up to *closed*.
    ///
    /// # Errors
    /// The handler's panic; the entry is kept.
    pub fn leave(self) -> std::thread::Result<AutoConsumerEnd> {
        // This store comes before the order to stop. The Release of that order makes it visible.
        self.orders.leave.store(true, Ordering::Relaxed);
        self.shutdown_and_join()
    }

    /// Whether the thread runs. It does not after its handler has panicked, and not in a forked child of its process.
    /// If this is `false`, it stays `false`.
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(Companion::is_running)
    }
}

impl Drop for AutoConsumer {
    fn drop(&mut self) {
        self.shutdown();
        if let Some(thread) = self.thread.take() {
            // The panic hook has reported a panic; a caller that needs it uses `join`.
            drop(thread.join());
        }
    }
}
