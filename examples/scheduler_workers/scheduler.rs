//! The scheduler: broadcasts the text, collects the answers, and starts a new worker in the place of one that died or
//! stopped.

use super::answers::{Answers, Books};
use super::clock::{cpu_time, now_ns};
use super::events::Chunk;
use super::fleet::Fleet;
use super::input::{Piece, pieces};
use super::options::Options;
use super::report::{Progress, Summary};
use super::worker::worker_id;
use super::{Failure, Interrupted};
use disruptor_mp::{
    ConsumeError, RequiredConsumerAlert, RequiredConsumerError, RequiredConsumerLivenessConfig, SharedProducer,
    build_shared_single_producer,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long a worker may make no progress until its stall is reported. A chunk takes microseconds.
const STALL_TIMEOUT: Duration = Duration::from_secs(1);

/// How long after the report it is killed and restarted. Death needs no timeout: the kernel reports it.
const GRACE_PERIOD: Duration = Duration::from_secs(4);

/// How long a started process may take until it has joined.
const JOIN_TIMEOUT: Duration = Duration::from_secs(20);

/// The longest that the scheduler waits without asking whether the user has pressed Ctrl-C.
const SLICE: Duration = Duration::from_millis(20);

/// One run.
///
/// Both directions are bounded, and two parties that wait for each other's space would wait without end. Here a worker
/// never waits: the scheduler empties the answer rings at least every half lap of the broadcast ring. Between two
/// emptyings workers can answer what was in the ring (a lap at most) and what came in since (half a lap), and an answer
/// ring has room for two laps. So the scheduler may block in a publish without reading answers, and the wait always
/// ends.
pub(crate) struct Scheduler<'a> {
    options: &'a Options,
    interrupted: &'a AtomicBool,
    // The fields are dropped in this order, however the run ends. First the ring is closed, which tells the workers
    // that it is over; then they are waited for; then the answer rings of workers that were killed are removed.
    broadcast: SharedProducer<Chunk>,
    fleet: Fleet,
    answers: Answers,
    /// Whether chaos has struck.
    has_struck: bool,
    /// When it struck, until the scheduler has noticed.
    killed: Option<Instant>,
}

/// Broadcasts `text`, and returns what came back.
///
/// # Errors
/// `Interrupted`, or something that a restart does not cure. No process and no shared memory is left in any case.
pub(crate) fn run(options: &Options, text: &[u8], interrupted: &AtomicBool) -> Result<Summary, Failure> {
    let mut scheduler = Scheduler::new(options, interrupted)?;
    scheduler.start_workers()?;
    let events = pieces(text).count() as i64;
    let (started, cpu_before) = (Instant::now(), cpu_time());
    let mut progress = Progress::new(events);
    for (sequence, piece) in (0..).zip(pieces(text)) {
        scheduler.wait_for_turn(sequence, started)?;
        if options.chaos && sequence >= events / 2 {
            scheduler.strike(sequence, sequence >= events * 3 / 4)?;
        }
        scheduler.publish(piece)?;
        progress.show(sequence + 1, scheduler.answers.complete());
    }
    scheduler.await_answers(events)?;
    let (elapsed, scheduler_cpu, restarts) = (started.elapsed(), cpu_time() - cpu_before, scheduler.fleet.restarts());
    let (worker_cpu, books) = scheduler.finish();
    Ok(Summary { events, elapsed, books, scheduler_cpu, worker_cpu, restarts })
}

impl<'a> Scheduler<'a> {
    fn new(options: &'a Options, interrupted: &'a AtomicBool) -> Result<Self, Failure> {
        let mut broadcast = build_shared_single_producer::<Chunk>(options.segment.as_str(), options.capacity)
            .build_producer(|| Chunk::EMPTY)?;
        if broadcast.last_published_sequence() >= 0 {
            return Err(
                format!("workers of an earlier run still live in {}; choose another name", options.segment).into()
            );
        }
        let liveness = RequiredConsumerLivenessConfig::new((0..options.workers).map(worker_id))
            .with_progress_timeout(STALL_TIMEOUT)
            .with_shutdown_grace_period(GRACE_PERIOD)
            .with_alert_hook(Arc::new(|alert: &RequiredConsumerAlert| eprintln!("stall report: {}", alert.report)));
        broadcast.enable_required_consumer_liveness(liveness)?;
        let (fleet, answers) = (Fleet::default(), Answers::default());
        Ok(Self { options, interrupted, broadcast, fleet, answers, has_struck: false, killed: None })
    }

    fn start_workers(&mut self) -> Result<(), Failure> {
        self.fleet.start(self.options)?;
        for rank in 0..self.options.workers {
            self.wait_until_joined(rank)?;
        }
        // Before the first chunk is published, so that every answer has a reader.
        self.answers.attach(self.options)
    }

    fn wait_until_joined(&mut self, rank: u32) -> Result<(), Failure> {
        let (id, deadline) = (worker_id(rank), Instant::now() + JOIN_TIMEOUT);
        while !self.broadcast.wait_for_consumer_id(&id, SLICE) {
            self.check_interrupt()?;
            self.fleet.check(rank)?;
            if Instant::now() >= deadline {
                return Err(format!("{id} did not join within {JOIN_TIMEOUT:?}").into());
            }
        }
        eprintln!("{id} is process {}", self.fleet.pid(rank));
        Ok(())
    }

    /// The work between two events: answers are read in time, and with a rate, nothing is published too early.
    fn wait_for_turn(&mut self, sequence: i64, started: Instant) -> Result<(), Failure> {
        self.check_interrupt()?;
        if sequence % (self.options.capacity as i64 / 2) == 0 {
            self.answers.drain()?;
        }
        let Some(rate) = self.options.rate else { return Ok(()) };
        let due = started + Duration::from_secs_f64(sequence as f64 / rate);
        while let Some(early) = due.checked_duration_since(Instant::now()).filter(|early| !early.is_zero()) {
            self.answers.drain()?;
            thread::sleep(early.min(SLICE));
            self.check_interrupt()?;
        }
        Ok(())
    }

    fn publish(&mut self, piece: Piece<'_>) -> Result<(), Failure> {
        loop {
            // The slot is filled once it is free, so its time of sending does not contain the wait for it.
            match self.broadcast.publish_managed(|slot| slot.fill(piece, now_ns())) {
                Ok(_) => return Ok(()),
                Err(RequiredConsumerError::ConsumerDied { consumer_id, .. }) => {
                    self.replace(self.rank_of(&consumer_id)?)?
                }
                Err(RequiredConsumerError::GracefulShutdownTriggered { consumer_id, .. }) => {
                    // It lives and does nothing: stopped, or in an endless loop. Only a dead one can be replaced.
                    self.replace(self.rank_of(&consumer_id)?)?;
                    self.broadcast.reset_required_consumer_liveness();
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits until all workers have answered everything.
    fn await_answers(&mut self, events: i64) -> Result<(), Failure> {
        let (mut last_progress, mut is_reported) = (Instant::now(), false);
        loop {
            if self.answers.drain()? > 0 {
                (last_progress, is_reported) = (Instant::now(), false);
            }
            if self.answers.complete() == events {
                return Ok(());
            }
            self.check_interrupt()?;
            let rank = self.answers.slowest();
            match self.answers.wait(rank, Instant::now() + SLICE) {
                Ok(()) => continue,
                // Nothing is published any more, so the publish calls no longer watch the workers.
                Err(ConsumeError::TimedOut { .. }) if last_progress.elapsed() < STALL_TIMEOUT => continue,
                Err(ConsumeError::TimedOut { .. }) => {
                    if !std::mem::replace(&mut is_reported, true) {
                        eprintln!("stall report: {}", self.answers.stall_report(rank, last_progress.elapsed()));
                    }
                    if last_progress.elapsed() < STALL_TIMEOUT + GRACE_PERIOD {
                        continue;
                    }
                }
                Err(ConsumeError::ProducerDied { report, .. }) => eprintln!("stall report: {report}"),
                // It has closed its ring, so it did not die; it has written its reason to stderr.
                Err(ConsumeError::Closed) => return Err(format!("{} has left early", worker_id(rank)).into()),
                Err(error) => return Err(error.into()),
            }
            self.replace(rank)?;
            (last_progress, is_reported) = (Instant::now(), false);
        }
    }

    /// Kills a worker, once. Best in the middle of its work, when it holds chunks that it has not acknowledged. If it
    /// never has such chunks, it is killed when it `must` be.
    fn strike(&mut self, sequence: i64, must: bool) -> Result<(), Failure> {
        let (rank, id) = (self.options.workers - 1, worker_id(self.options.workers - 1));
        let is_at_work = || self.broadcast.consumers().iter().any(|who| who.id == id && who.delivered > who.position);
        if self.has_struck || !(must || is_at_work()) {
            return Ok(());
        }
        self.fleet.kill(rank)?;
        (self.has_struck, self.killed) = (true, Some(Instant::now()));
        eprintln!("chaos: SIGKILL to {id} (process {}) before event {sequence}", self.fleet.pid(rank));
        Ok(())
    }

    /// Starts a new process in the place of a worker. It takes over both of its rings: the chunks that the old one had
    /// not acknowledged come again, and its answers stay.
    fn replace(&mut self, rank: u32) -> Result<(), Failure> {
        self.check_interrupt()?;
        let id = worker_id(rank);
        if let Some(killed) = self.killed.take() {
            eprintln!("chaos: noticed {:.1?} after the kill", killed.elapsed());
        }
        self.fleet.restart(rank, self.options)?;
        // Its repeated answers must find room; see the type.
        self.answers.drain()?;
        self.answers.note_restart(rank);
        self.wait_until_joined(rank)?;
        eprintln!("{id} goes on where the one before it stopped");
        Ok(())
    }

    /// Closes the ring, waits for the workers to leave, and returns the books and the processor time of each worker.
    fn finish(self) -> (Vec<Duration>, Books) {
        drop(self.broadcast);
        drop(self.fleet);
        (self.answers.cpu_times(), self.answers.into_books())
    }

    fn rank_of(&self, id: &str) -> Result<u32, Failure> {
        (0..self.options.workers).find(|rank| worker_id(*rank) == id).ok_or_else(|| format!("{id} is not ours").into())
    }

    fn check_interrupt(&self) -> Result<(), Interrupted> {
        // The flag publishes no other memory.
        if self.interrupted.load(Ordering::Relaxed) { Err(Interrupted) } else { Ok(()) }
    }
}
