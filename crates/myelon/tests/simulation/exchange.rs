//! The world of one run: a scheduler, its workers, their rings, and what becomes of them.

use crate::model::Model;
use myelon::codec::{CodecError, EncodeShort};
use myelon::dst::{Crash, CrashPoint, Faults, Schedule, Trace};
use myelon::transport::{
    FramedTransportConsumer, FramedTransportProducer, Message, Records, TransportBuilder, TransportError,
};
use myelon::{ConsumeError, MultiProcessError, Origin, Patience, Place};
use std::collections::BTreeMap;
use std::fmt;
use std::mem;
use std::time::Duration;

type Producer = FramedTransportProducer<Records>;
type Consumer = FramedTransportConsumer<Records>;

const WORKERS: usize = 3;

/// Bytes of each ring: so few that a reader that is dead for a while holds its writer back.
const DEPTH: usize = 2048;

/// Broadcasts until the faults end.
const BROADCASTS: u32 = 40;

/// How long an actor sleeps at most without being woken: the promise that a lost wake costs only time.
const SLICE: Duration = Duration::from_millis(50);

/// The limit of turns in a run; a run takes some thousands.
const TURNS_MAX: u32 = 100_000;

/// The reader of every response ring.
const SCHEDULER: usize = WORKERS;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Actor {
    Scheduler,
    Worker(usize),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheduler => f.write_str("scheduler"),
            Self::Worker(rank) => write!(f, "worker {rank}"),
        }
    }
}

/// Why an actor runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cause {
    /// Its slice is over: it looks for itself. If it is dead, it is started again.
    Timer,
    Wake,
}

/// The scheduler, while it lives.
struct Scheduler {
    broadcast: Producer,
    responses: [Option<Consumer>; WORKERS],
}

/// A worker, while it lives.
struct Worker {
    broadcast: Option<Consumer>,
    response: Producer,
}

/// How often each event happened, over all runs: a simulation in which nothing happens proves nothing.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    counts: BTreeMap<&'static str, u64>,
}

impl Seen {
    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: Self) {
        other.counts.into_iter().for_each(|(what, count)| *self.counts.entry(what).or_default() += count);
    }

    /// Whether every possible event has happened.
    pub(crate) fn is_complete(&self) -> bool {
        let all = [
            "created",
            "took over",
            "replaced",
            "rejoined",
            "redelivered",
            "full",
            "wake lost",
            "died Idle",
            "died InsidePublish",
            "died Published",
            "died HoldingMessage",
        ];
        all.iter().all(|what| self.counts.contains_key(what))
    }
}

pub(crate) struct World {
    seed: u64,
    schedule: Schedule<(Actor, Cause)>,
    trace: Trace,
    seen: Seen,
    broadcast: Ring,
    responses: [Ring; WORKERS],
    scheduler: Option<Scheduler>,
    workers: [Option<Worker>; WORKERS],
    broadcasts_left: u32,
    next_value: u64,
}

/// A ring, and its expected content.
struct Ring {
    place: Place,
    model: Model,
}

impl Ring {
    fn new() -> Self {
        Self { place: Place::heap(), model: Model::default() }
    }

    fn builder(&self) -> TransportBuilder<Records> {
        TransportBuilder::new(self.place.clone(), DEPTH).with_max_consumers(WORKERS + 1)
    }

    fn producer(&mut self) -> Producer {
        let producer = self.builder().build_producer().unwrap();
        self.model.began(producer.origin());
        producer
    }

    /// `None` if the ring has never been made.
    fn consumer(&mut self, reader: usize) -> Option<Consumer> {
        match self.builder().with_consumer_id(format!("reader-{reader}")).build_consumer() {
            Ok(consumer) => {
                let start = consumer.current_sequence() + 1;
                self.model.joined(reader, consumer.has_rejoined(), start as usize);
                Some(consumer)
            }
            Err(TransportError::Build(MultiProcessError::NotFound { .. })) => None,
            Err(error) => panic!("{error}"),
        }
    }
}

/// The payload of message `value`: its length follows from the value, so that messages are at every position of the
/// ring.
fn payload(value: u64) -> Vec<u8> {
    let mut bytes = value.to_le_bytes().to_vec();
    bytes.resize(8 + (value.wrapping_mul(97) % 400) as usize, value as u8);
    bytes
}

/// The value of a message, which must be whole.
fn value_of(message: &Message<'_, Records>) -> u64 {
    let value = u64::from_le_bytes(message[..8].try_into().unwrap());
    assert_eq!(message[..], payload(value), "the message is whole");
    value
}

/// Writes half of a message, like a process that dies before the other half.
fn write_half(producer: &mut Producer) {
    let broken = producer.send_with(9, 300, Patience::Now, |into| {
        into[..150].fill(0xee);
        Err(EncodeShort::Failed(CodecError::encode("half", "dies here")))
    });
    assert!(matches!(broken, Err(TransportError::Codec(_) | TransportError::Full)), "{broken:?}");
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let faults =
            Faults { wakes_lost_permille: 100, wake_delay_max: Duration::from_millis(2), crashes_permille: 25 };
        let mut schedule = Schedule::new(seed, faults);
        let actors = (0..WORKERS).map(Actor::Worker).chain([Actor::Scheduler]);
        actors.for_each(|actor| schedule.sleep((actor, Cause::Timer), Duration::ZERO));
        Self {
            seed,
            schedule,
            trace: Trace::default(),
            seen: Seen::default(),
            broadcast: Ring::new(),
            responses: std::array::from_fn(|_| Ring::new()),
            scheduler: None,
            workers: Default::default(),
            broadcasts_left: BROADCASTS,
            next_value: 0,
        }
    }

    /// Runs to the end. Returns the hash of everything that happened, and how often each event did.
    pub(crate) fn run(mut self) -> (u64, Seen) {
        for turn in 0.. {
            assert!(turn < TURNS_MAX, "an actor hangs");
            let (actor, cause) = self.schedule.next_actor().expect("timers never end");
            match actor {
                Actor::Scheduler => self.scheduler_turn(cause),
                Actor::Worker(rank) => self.worker_turn(rank, cause),
            }
            if cause == Cause::Timer {
                let slice_us = 1 + self.schedule.random().below(SLICE.as_micros() as u64);
                self.schedule.sleep((actor, cause), Duration::from_micros(slice_us));
            }
            if self.broadcasts_left == 0 {
                // From here on every dead actor comes back and stays, so every actor must get everything.
                self.schedule.set_faults(Faults::none());
                if self.is_complete() {
                    break;
                }
            }
        }
        self.part();
        (self.trace.hash(), mem::take(&mut self.seen))
    }

    fn is_complete(&self) -> bool {
        (0..WORKERS).all(|rank| self.broadcast.model.has_all(rank) && self.responses[rank].model.has_all(SCHEDULER))
    }

    /// The orderly end: a close is reported to every peer.
    fn part(&mut self) {
        let Scheduler { broadcast, .. } = self.scheduler.take().expect("complete means alive");
        drop(broadcast);
        for worker in &mut self.workers {
            let broadcast = worker.as_mut().and_then(|worker| worker.broadcast.as_mut()).expect("complete means alive");
            let end = broadcast.check_producer().unwrap_err();
            assert!(matches!(end, ConsumeError::Closed), "{end}");
        }
    }

    fn note(&mut self, actor: Actor, what: impl fmt::Display) {
        self.trace.record(self.schedule.clock().now(), &actor, &what);
    }

    fn count_origin(&mut self, actor: Actor, origin: Origin) {
        self.seen.count(match origin {
            Origin::Created => "created",
            Origin::TookOver => "took over",
            _ => "replaced",
        });
        self.note(actor, format_args!("begins: {origin:?}"));
    }

    fn wake(&mut self, actor: Actor) {
        if !self.schedule.wake((actor, Cause::Wake)) {
            self.seen.count("wake lost");
        }
    }

    /// Whether `actor` dies at `point`; the caller then leaks what it holds and calls one of the two functions below.
    fn is_fatal(&mut self, actor: Actor, point: CrashPoint) -> bool {
        let is_fatal = self.schedule.is_fatal(point);
        if is_fatal {
            self.note(actor, format_args!("dies: {point:?}"));
            self.seen.count(match point {
                CrashPoint::Idle => "died Idle",
                CrashPoint::InsidePublish => "died InsidePublish",
                CrashPoint::Published => "died Published",
                CrashPoint::HoldingMessage => "died HoldingMessage",
            });
        }
        is_fatal
    }

    fn scheduler_dies(&mut self, Scheduler { broadcast, responses }: Scheduler) {
        broadcast.crash();
        responses.into_iter().flatten().for_each(Crash::crash);
        self.responses.iter_mut().for_each(|ring| ring.model.died(SCHEDULER));
    }

    fn worker_dies(&mut self, rank: usize, Worker { broadcast, response }: Worker) {
        broadcast.into_iter().for_each(Crash::crash);
        response.crash();
        self.broadcast.model.died(rank);
    }

    /// One turn. An actor that is alive at its end is put back; one that died on the way is not.
    fn scheduler_turn(&mut self, cause: Cause) {
        let me = Actor::Scheduler;
        let mut scheduler = match self.scheduler.take() {
            Some(scheduler) => scheduler,
            None if cause == Cause::Wake => return,
            None => {
                let broadcast = self.broadcast.producer();
                self.count_origin(me, broadcast.origin());
                Scheduler { broadcast, responses: Default::default() }
            }
        };
        if self.is_fatal(me, CrashPoint::Idle) {
            return self.scheduler_dies(scheduler);
        }
        for rank in 0..WORKERS {
            let Some(mut responses) =
                scheduler.responses[rank].take().or_else(|| self.responses[rank].consumer(SCHEDULER))
            else {
                continue;
            };
            let survived = self.hear(rank, &mut responses);
            scheduler.responses[rank] = Some(responses);
            if !survived {
                return self.scheduler_dies(scheduler);
            }
        }
        if self.broadcasts_left > 0 && self.schedule.random().chance(500) {
            if self.is_fatal(me, CrashPoint::InsidePublish) {
                write_half(&mut scheduler.broadcast);
                return self.scheduler_dies(scheduler);
            }
            let value = self.next_value;
            match scheduler.broadcast.try_publish(&payload(value), 1) {
                Ok(sequence) => {
                    self.next_value += 1;
                    self.broadcasts_left -= 1;
                    self.broadcast.model.sent(value, sequence);
                    self.note(me, format_args!("broadcasts {value} as {sequence}"));
                    if self.is_fatal(me, CrashPoint::Published) {
                        return self.scheduler_dies(scheduler);
                    }
                    (0..WORKERS).for_each(|rank| self.wake(Actor::Worker(rank)));
                }
                Err(TransportError::Full) => {
                    self.broadcast.model.was_full();
                    self.seen.count("full");
                    self.note(me, "has no room");
                }
                Err(error) => panic!("{error}"),
            }
        }
        self.scheduler = Some(scheduler);
    }

    /// The scheduler reads some of the answers of worker `rank`. `false`: it died.
    fn hear(&mut self, rank: usize, responses: &mut Consumer) -> bool {
        for _ in 0..self.schedule.random().below(4) {
            let Some(message) = responses.next(Patience::Now).unwrap() else {
                self.responses[rank].model.was_empty(SCHEDULER);
                return true;
            };
            let value = value_of(&message);
            self.handed(Actor::Scheduler, Some(rank), value, message.is_redelivered());
            if self.is_fatal(Actor::Scheduler, CrashPoint::HoldingMessage) {
                mem::forget(message);
                return false;
            }
            drop(message);
            self.responses[rank].model.acknowledged(SCHEDULER);
        }
        true
    }

    /// An actor was handed a message: a worker one of the broadcast ring, the scheduler one of worker `from`.
    fn handed(&mut self, actor: Actor, from: Option<usize>, value: u64, is_marked: bool) {
        self.note(actor, format_args!("gets {value} from {from:?}, again: {is_marked}"));
        if is_marked {
            self.seen.count("redelivered");
        }
        match (actor, from) {
            (Actor::Worker(rank), _) => self.broadcast.model.handed(rank, value, is_marked),
            (Actor::Scheduler, from) => {
                let rank = from.expect("the scheduler hears workers");
                self.responses[rank].model.handed(SCHEDULER, value, is_marked);
            }
        }
    }

    fn worker_turn(&mut self, rank: usize, cause: Cause) {
        let me = Actor::Worker(rank);
        let mut worker = match self.workers[rank].take() {
            Some(worker) => worker,
            None if cause == Cause::Wake => return,
            None => {
                let response = self.responses[rank].producer();
                self.count_origin(me, response.origin());
                Worker { broadcast: None, response }
            }
        };
        if self.is_fatal(me, CrashPoint::Idle) {
            return self.worker_dies(rank, worker);
        }
        if worker.broadcast.is_none() {
            worker.broadcast = self.broadcast.consumer(rank);
            if worker.broadcast.as_ref().is_some_and(|consumer| consumer.has_rejoined()) {
                self.seen.count("rejoined");
                self.note(me, "is back");
            }
        }
        if self.work(rank, &mut worker) {
            self.workers[rank] = Some(worker);
        } else {
            self.worker_dies(rank, worker);
        }
    }

    /// Worker `rank` reads some of the broadcasts and answers each of them before it acknowledges it. `false`: it died.
    fn work(&mut self, rank: usize, Worker { broadcast, response }: &mut Worker) -> bool {
        let me = Actor::Worker(rank);
        let Some(broadcast) = broadcast else { return true };
        for _ in 0..self.schedule.random().below(4) {
            let Some(message) = broadcast.next(Patience::Now).unwrap() else {
                self.broadcast.model.was_empty(rank);
                return true;
            };
            let value = value_of(&message);
            self.handed(me, None, value, message.is_redelivered());
            if self.is_fatal(me, CrashPoint::HoldingMessage) {
                mem::forget(message);
                return false;
            }
            if self.is_fatal(me, CrashPoint::InsidePublish) {
                write_half(response);
                mem::forget(message);
                return false;
            }
            match response.try_publish(&payload(value), 2) {
                Ok(sequence) => self.responses[rank].model.sent(value, sequence),
                Err(TransportError::Full) => {
                    self.responses[rank].model.was_full();
                    self.seen.count("full");
                    self.note(me, "has no room");
                    message.release_unread();
                    return true;
                }
                Err(error) => panic!("{error}"),
            }
            if self.is_fatal(me, CrashPoint::Published) {
                mem::forget(message);
                return false;
            }
            drop(message);
            self.broadcast.model.acknowledged(rank);
            self.wake(Actor::Scheduler);
        }
        true
    }
}

impl Drop for World {
    /// Prints how to replay the run, whatever failed.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with {}={}\n{}", myelon::dst::SEED_VARIABLE, self.seed, self.trace);
        }
    }
}
