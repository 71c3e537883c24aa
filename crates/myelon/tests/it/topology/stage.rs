//! What every test of a topology needs: a session of its own, and proof that nothing of it is left.

use myelon::topology::{Answer, Outcome, SchedulerEnd, Topology, Whom, WorkerEnd, Workers};
use myelon::transport::Records;
use myelon::{GcOutcome, Patience, gc};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use testkit::watchdog::{PATIENCE, eventually};

/// Length of a large message.
pub(crate) const LARGE_BYTES: usize = 24_000;

/// Bytes of the rings: small, so that they are full soon, and large enough for a large message.
pub(crate) const BROADCAST_BYTES: usize = 128 << 10;
const RESPONSE_BYTES: usize = 64 << 10;

/// A topology under a label of its own.
pub(crate) struct Stage {
    pub(crate) topology: Topology,
    label: String,
}

impl Stage {
    pub(crate) fn new(workers: usize) -> Self {
        let label = testkit::names::short();
        Self { topology: of_label(&label, workers), label }
    }

    /// The label by which another process makes the same topology.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    fn ring_names(&self) -> Vec<String> {
        let layout = self.topology.layout();
        layout.response_ring_names().chain([layout.rpc_ring_name(), layout.urgent_ring_name()]).collect()
    }

    /// The segments that exist now.
    pub(crate) fn leftovers(&self) -> Vec<PathBuf> {
        let path = |name: &String| Path::new("/dev/shm").join(name);
        self.ring_names().iter().map(path).filter(|path| path.exists()).collect()
    }

    #[track_caller]
    pub(crate) fn assert_nothing_left(&self) {
        assert_eq!(self.leftovers(), Vec::<PathBuf>::new());
    }

    /// Collects everything that is left, after all processes were killed.
    #[track_caller]
    pub(crate) fn collect(&self) {
        for name in self.ring_names() {
            // A process whose main thread is dead holds its locks until its last thread is dead.
            let collected = || matches!(gc(&name).unwrap(), GcOutcome::Removed | GcOutcome::NotFound);
            eventually("the end of the processes that live in a ring", PATIENCE, collected).unwrap();
        }
        self.assert_nothing_left();
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // A failed test leaves nothing either.
        for path in self.leftovers() {
            let _ = std::fs::remove_file(path);
        }
    }
}

pub(crate) fn of_label(label: &str, workers: usize) -> Topology {
    Topology::with_depths(label, workers, BROADCAST_BYTES, RESPONSE_BYTES).unwrap().with_rendezvous_timeout(PATIENCE)
}

/// A session whose workers' ends are driven by the test.
pub(crate) fn in_one_process(topology: &Topology) -> (SchedulerEnd, Vec<WorkerEnd>) {
    std::thread::scope(|scope| {
        let join = |rank| WorkerEnd::<Records>::join(&topology.invitation(rank).unwrap()).unwrap();
        let joining: Vec<_> = (0..topology.worker_count()).map(|rank| scope.spawn(move || join(rank))).collect();
        let scheduler = topology.launch(Workers::started_elsewhere()).unwrap();
        (scheduler, joining.into_iter().map(|joined| joined.join().unwrap()).collect())
    })
}

/// The deadline of waits that should not last so long.
pub(crate) fn soon() -> Instant {
    Instant::now() + PATIENCE
}

/// Broadcasts `text`, and expects it back from every worker in capitals.
#[track_caller]
pub(crate) fn round(scheduler: &mut SchedulerEnd, text: &str) {
    scheduler.broadcast(text.as_bytes(), 7, Patience::Until(soon())).unwrap();
    for answer in scheduler.gather(Whom::All, soon()) {
        assert_eq!(said(&answer), text.to_uppercase(), "rank {}", answer.rank);
    }
}

/// The text of an answer that must be a message.
#[track_caller]
pub(crate) fn said(answer: &Answer) -> String {
    match &answer.outcome {
        Outcome::Message { bytes, .. } => String::from_utf8(bytes.clone()).unwrap(),
        other => panic!("rank {} gave {other:?}", answer.rank),
    }
}

/// Takes one answer of `rank` after the other until `wanted` accepts one. Returns it, and how long that took.
#[track_caller]
pub(crate) fn until(
    scheduler: &mut SchedulerEnd,
    rank: usize,
    wanted: impl Fn(&Outcome) -> bool,
) -> (Outcome, Duration) {
    let began = Instant::now();
    loop {
        let answer = scheduler.gather(Whom::Rank(rank), soon()).remove(0);
        if wanted(&answer.outcome) {
            return (answer.outcome, began.elapsed());
        }
        assert!(began.elapsed() < PATIENCE, "rank {rank} says {:?} all the time", answer.outcome);
    }
}

/// Whether process `pid` runs no more: it is gone, or is a zombie.
pub(crate) fn is_dead(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return true };
    let state = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next());
    matches!(state, Some("Z" | "X"))
}

/// The message of the panic of `ask`, and the file of its location.
pub(crate) fn panic_of(ask: impl FnOnce()) -> (String, String) {
    let file = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let (seen, here) = (std::sync::Arc::clone(&file), std::thread::current().id());
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().id() == here {
            *seen.lock().unwrap() = panic.location().unwrap().file().to_owned();
        } else {
            before(panic);
        }
    }));
    let payload = std::panic::catch_unwind(std::panic::AssertUnwindSafe(ask)).unwrap_err();
    drop(std::panic::take_hook());
    let text = payload.downcast_ref::<String>().unwrap().clone();
    let file = file.lock().unwrap().clone();
    (text, file)
}
