//! The surviving ends of a play: readers, a publisher and a tap on threads of this process, and a watch on a lock.

use super::InForm;
use super::event::{Event, Seen};
use crate::liveness::Ending;
use crate::ring::membership::{PRODUCER_BYTE, entry_byte};
use crate::ring::memory::layout::Slots;
use crate::ring::memory::mapped::Mapped;
use crate::ring::roster;
use crate::segment::{Access, Place, Segment};
use crate::{ConsumeError, PublishError, SharedConsumer, SharedProducer, Tap};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use testkit::watchdog::PATIENCE;

/// When a call began and when it returned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waited {
    pub(super) begun: Instant,
    pub(super) returned: Instant,
}

impl Waited {
    /// How much of the call is after the last moment at which the victim was known to live: at least the time from the
    /// drop of its lock to the return.
    pub(super) fn after(&self, alive: Instant) -> Duration {
        self.returned.saturating_duration_since(self.begun.max(alive))
    }
}

/// A call that takes longer has waited.
const AT_ONCE: Duration = Duration::from_micros(100);

/// The longest of the waits that ended after the victim was last known to live and began before `dead`; `None` if the
/// victim was in no producer's way.
pub(super) fn longest(waits: &[Waited], alive: Instant, dead: Instant) -> Option<Duration> {
    let concerned = waits.iter().filter(|wait| wait.returned > alive && wait.begun < dead);
    concerned.map(|wait| wait.after(alive)).max()
}

/// Joins `thread` and passes its panic on.
fn join<T>(thread: JoinHandle<T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// How a reader's wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    ProducerDied,
    Replaced,
    Closed,
}

/// What a reader reports when its ring ends; it then waits to be told to go on.
#[derive(Debug)]
pub(super) struct EndReport {
    pub(super) end: End,
    /// How many events it has read so far.
    pub(super) read: usize,
    /// Its waits since it was resumed, the last of which ended like that. Those before it brought events.
    pub(super) waits: Vec<Waited>,
}

/// A consumer that reads everything and checks every event. It begins when it is told to [resume](Self::resume).
pub(super) struct Reader {
    resume: Sender<()>,
    ends: Receiver<EndReport>,
    thread: JoinHandle<Vec<Seen>>,
}

impl Reader {
    pub(super) fn start<F: InForm>(mut consumer: SharedConsumer<Event, F>) -> Self {
        let (resume, resumed) = channel();
        let (report, ends) = channel();
        let thread = std::thread::spawn(move || {
            let mut history = Vec::new();
            while resumed.recv().is_ok() {
                let mut waits = Vec::new();
                let end = loop {
                    let begun = Instant::now();
                    let end = match consumer.consume_next_leased() {
                        Ok(lease) => {
                            let returned = Instant::now();
                            if returned - begun > AT_ONCE {
                                waits.push(Waited { begun, returned });
                            }
                            history.push(lease.seen(lease.sequence()));
                            continue;
                        }
                        Err(ConsumeError::ProducerDied { .. }) => End::ProducerDied,
                        Err(ConsumeError::Replaced) => End::Replaced,
                        Err(ConsumeError::Closed) => End::Closed,
                        Err(other) => panic!("{other}"),
                    };
                    waits.push(Waited { begun, returned: Instant::now() });
                    break end;
                };
                if report.send(EndReport { end, read: history.len(), waits }).is_err() {
                    break;
                }
            }
            history
        });
        Self { resume, ends, thread }
    }

    /// Lets it read until its ring ends.
    pub(super) fn resume(&self) {
        self.resume.send(()).expect("the reader is there; see its panic");
    }

    /// Waits for the end that it meets next.
    pub(super) fn end(&self) -> EndReport {
        self.ends.recv_timeout(PATIENCE).expect("the reader's wait ends")
    }

    /// Drops the consumer, and returns what it has read.
    pub(super) fn finish(self) -> Vec<Seen> {
        drop(self.resume);
        join(self.thread)
    }
}

/// A tap that copies what it can and checks every copy.
pub(super) struct Onlooker {
    stop: Sender<()>,
    thread: JoinHandle<Vec<Seen>>,
}

impl Onlooker {
    pub(super) fn start<F: InForm>(mut tap: Tap<Event, F>) -> Self {
        let (stop, stopped) = channel();
        let thread = std::thread::spawn(move || {
            let mut history = Vec::new();
            loop {
                let is_over = stopped.try_recv() == Err(TryRecvError::Disconnected);
                while let Some((sequence, event)) = tap.try_next() {
                    history.push(event.seen(sequence));
                }
                if is_over {
                    return history;
                }
                std::thread::sleep(Duration::from_micros(200));
            }
        });
        Self { stop, thread }
    }

    /// Copies what is left, and returns everything.
    pub(super) fn finish(self) -> Vec<Seen> {
        drop(self.stop);
        join(self.thread)
    }
}

/// A dead consumer that a publisher was told of.
pub(super) struct Death {
    pub(super) id: String,
    pub(super) how: Ending,
    pub(super) waited: Waited,
}

/// A producer that publishes until it is told to stop. When it learns that a consumer died, it reports that and waits
/// to be told to go on.
pub(super) struct Publisher {
    resume: Sender<()>,
    stop: Sender<()>,
    deaths: Receiver<Death>,
    thread: JoinHandle<Published>,
}

/// What a publisher did.
pub(super) struct Published {
    /// How many events.
    pub(super) count: i64,
    /// The calls that did not return at once.
    pub(super) waits: Vec<Waited>,
}

impl Publisher {
    pub(super) fn start<F: InForm>(mut producer: SharedProducer<Event, F>) -> Self {
        let (resume, resumed) = channel();
        let (stop, stopped) = channel::<()>();
        let (report, deaths) = channel();
        let thread = std::thread::spawn(move || {
            let mut waits = Vec::new();
            while stopped.try_recv() == Err(TryRecvError::Empty) {
                let sequence = producer.last_published_sequence() + 1;
                let begun = Instant::now();
                let published = producer.publish(|event| event.fill(sequence));
                let waited = Waited { begun, returned: Instant::now() };
                match published {
                    Ok(_) if waited.after(begun) > AT_ONCE => waits.push(waited),
                    Ok(_) => {}
                    Err(PublishError::ConsumerDied { id, how, .. }) => {
                        if report.send(Death { id, how, waited }).is_err() || resumed.recv().is_err() {
                            break;
                        }
                    }
                    Err(other) => panic!("{other}"),
                }
            }
            Published { count: producer.last_published_sequence() + 1, waits }
        });
        Self { resume, stop, deaths, thread }
    }

    /// Waits until the publisher learns that a consumer died.
    pub(super) fn death(&self) -> Death {
        self.deaths.recv_timeout(PATIENCE).expect("the publisher is told of the death")
    }

    /// Whether it has learned of a death that [`death`](Self::death) has not returned yet.
    pub(super) fn has_met_death(&self) -> bool {
        self.deaths.try_recv().is_ok()
    }

    /// Lets it go on after a death.
    pub(super) fn resume(&self) {
        self.resume.send(()).expect("the publisher is there; see its panic");
    }

    /// Stops it after the event at hand, and closes the ring.
    pub(super) fn finish(self) -> Published {
        drop((self.stop, self.resume));
        join(self.thread)
    }
}

/// Looks at a lock until the kernel drops it.
pub(super) struct LockWatch(JoinHandle<Instant>);

impl LockWatch {
    /// Watches the producer's lock, which is held.
    pub(super) fn on_producer(name: &str) -> Self {
        Self::start(open(name), PRODUCER_BYTE)
    }

    /// Watches the lock of the consumer called `id`, which is held.
    pub(super) fn on_consumer<F: InForm>(name: &str, id: &str) -> Self {
        let memory = Mapped::<Slots<Event, F>>::new(Arc::new(open(name)));
        let index = roster::find(&memory, id).expect("the consumer is registered");
        Self::start(open(name), entry_byte(index))
    }

    fn start(segment: Segment, byte: u32) -> Self {
        assert!(segment.is_held(byte).unwrap(), "no process holds byte {byte}");
        Self(std::thread::spawn(move || {
            let begun = Instant::now();
            let mut held = begun;
            loop {
                let asked = Instant::now();
                if !segment.is_held(byte).unwrap() {
                    return held;
                }
                held = asked;
                assert!(held - begun < PATIENCE * 2, "byte {byte} is still held");
                std::thread::sleep(Duration::from_micros(50));
            }
        }))
    }

    /// Waits until the lock is dropped. Returns the last moment at which it was certainly held.
    pub(super) fn last_held(self) -> Instant {
        join(self.0)
    }
}

fn open(name: &str) -> Segment {
    Segment::open_ring(&Place::from(name), Access::ReadOnly).unwrap()
}
