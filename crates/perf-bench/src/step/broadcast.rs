//! A step through a topology: a broadcast to all workers, and an answer of each.
//!
//! Workers that spin need a cpu each, and a measurement has two. So all workers are ends of one process, which polls
//! them in turn. Every ring of a real topology is there; measured is the work of the scheduler and of its workers one
//! after the other, not at the same time.

use std::time::{Duration, Instant};

use myelon::Patience;
use myelon::topology::{LaunchError, SchedulerEnd, Topology, TopologyError, WorkerEnd, Workers};
use myelon::transport::WaitStrategy;
use serde::{Deserialize, Serialize};

use crate::side::{Measurement, Side, Stop};
use crate::subject::Subject;
use crate::workload::payload::{self, Source};
use crate::workload::round_trips::{Asking, Questioner};

/// Workers of the topology.
pub(crate) const WORKERS: usize = 2;
/// Bytes of a step: 16 sequences that each got a few tokens.
pub(crate) const STEP_BYTES: usize = 4224;
/// Bytes of an answer.
pub(crate) const ANSWER_BYTES: usize = 3136;

/// Both sides spin.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct BroadcastStep;

/// The kind of a step, and of its answer.
const KIND_STEP: u8 = 0;
/// The kind of a broadcast after which nothing comes.
const KIND_STOP: u8 = 1;

/// Steps before anything is measured: twice round the rings, so that all their pages have been touched.
const WARM_UP: usize = 2048;

/// Steps that are timed together.
const GROUP: u64 = 16;

/// What an answer may take: long enough for any machine that is merely busy.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// The topology of the measurement whose first segment has this name.
fn topology(name: &str) -> Result<Topology, Stop> {
    let topology = Topology::new(name, WORKERS).map_err(failed)?;
    Ok(topology.with_wait_strategy(WaitStrategy::BusySpin))
}

fn failed(error: impl std::error::Error) -> Stop {
    Stop::Failed(error.to_string())
}

impl From<TopologyError> for Stop {
    fn from(error: TopologyError) -> Self {
        failed(error)
    }
}

/// Removes what killed roles of a measurement have left. `name` is the name of its first segment; a topology's rings
/// have names of their own.
pub(crate) fn remove(name: &str) {
    let Ok(topology) = topology(name) else { return };
    let layout = topology.layout();
    for ring in std::iter::once(layout.rpc_ring_name()).chain(layout.response_ring_names()) {
        // As with other segments: what cannot be removed now stays until another process collects it.
        let _ = disruptor_mp::gc(ring);
    }
}

/// Role 0's end, its steps, and the answers that it waits for.
struct Scheduler {
    end: SchedulerEnd,
    steps: Source,
    answers: Source,
}

impl Asking for Scheduler {
    /// One step, and the answers of all workers.
    fn ask(&mut self, number: u64) -> Result<(), Stop> {
        self.broadcast(number, KIND_STEP)?;
        let wanted = self.answers.sum(number);
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        for rank in 0..WORKERS {
            let answer = self.end.receive(rank, deadline);
            let found = payload::sum(&answer.map_err(|outcome| Stop::Failed(format!("worker {rank}: {outcome:?}")))?);
            if found != wanted {
                return Err(Stop::Failed(format!("worker {rank} answered {found} and not {wanted}")));
            }
        }
        Ok(())
    }

    fn stop(&mut self) -> Result<(), Stop> {
        self.broadcast(0, KIND_STOP)
    }
}

impl Scheduler {
    fn broadcast(&mut self, number: u64, kind: u8) -> Result<(), Stop> {
        self.end.broadcast_ring().send(self.steps.bytes(number), kind, Patience::Endless)?;
        Ok(())
    }
}

/// Role 1: answers every step, as one worker after the other, until all have been told to stop.
fn work_until_stop(workers: &mut [WorkerEnd]) -> Result<(), Stop> {
    let (steps, answers) = (Source::new(STEP_BYTES), Source::new(ANSWER_BYTES));
    let mut stopped = 0;
    while stopped < workers.len() {
        for worker in &mut *workers {
            let (mut broadcasts, mut responses) = worker.rings();
            let Some(step) = broadcasts.next(Patience::Now)? else { continue };
            if step.kind() == KIND_STOP {
                stopped += 1;
                continue;
            }
            let number = steps.answer(payload::read(&step));
            let number = number.ok_or_else(|| Stop::Failed("a step is not what was sent".into()))?;
            responses.send(answers.bytes(number), KIND_STEP, Patience::Endless)?;
        }
    }
    Ok(())
}

impl Subject for BroadcastStep {
    fn shared_bytes(&self) -> usize {
        0
    }

    fn produce(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        let launched = topology(&side.segment(0))?.launch(Workers::started_elsewhere());
        let end = launched.map_err(|error| match error {
            LaunchError::Broadcast { source, .. } => (*source).into(),
            error => failed(error),
        })?;
        let mut scheduler =
            Questioner::new(Scheduler { end, steps: Source::new(STEP_BYTES), answers: Source::new(ANSWER_BYTES) });
        (0..WARM_UP).try_for_each(|_| scheduler.ask())?;
        scheduler.stop()?;
        side.measured(|| scheduler.measure(side.window(), GROUP))
    }

    fn consume(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        let topology = topology(&side.segment(0))?;
        let join = |rank| WorkerEnd::join(&topology.invitation(rank).map_err(failed)?).map_err(failed);
        let mut workers = (0..WORKERS).map(join).collect::<Result<Vec<_>, Stop>>()?;
        work_until_stop(&mut workers)?;
        side.measured(|| {
            work_until_stop(&mut workers)?;
            Ok(None)
        })
    }
}
