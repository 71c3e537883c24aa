//! The roles of the processes: workers that answer in capitals, stop halfway or ignore the end of their topology, and
//! schedulers that follow their role.

use super::stage::{LARGE_BYTES, Stage, of_label, round, said, soon, until};
use myelon::process::{Command, Stdio};
use myelon::topology::{
    BorrowedProducer, Departure, Invitation, Outcome, Parting, Topology, TopologyError, Whom, WorkerEnd, Workers,
};
use myelon::transport::{AlignedFixedFrame, Format, Message, TransportError};
use myelon::{ConsumeError, Patience};
use rustix::process::Pid;
use std::sync::atomic::{AtomicUsize, Ordering};
use testkit::process::{Respawn, Victim, role, say, wait_to_be_killed};
use testkit::test_name;

/// The environment variable that makes a test function a victim; the testkit's name for it.
const ROLE_VARIABLE: &str = "TESTKIT_ROLE";

/// The environment variable that tells a scheduler its session's label.
const LABEL_VARIABLE: &str = "MYELON_TEST_LABEL";

/// Small frames: a large message is cut into several of them.
pub(crate) type Frame = AlignedFixedFrame<1024>;

#[test]
#[ignore = "runs as a victim"]
fn victim_worker() {
    let Some(role) = role() else { return };
    if role == "answers in frames" {
        let mut worker = WorkerEnd::<Frame>::join_format(&Invitation::from_environment().unwrap()).unwrap();
        return worker.serve(shout).unwrap();
    }
    let joined = WorkerEnd::join(&Invitation::from_environment().unwrap());
    let mut worker = match joined {
        Ok(worker) => worker,
        Err(error) => return say(&format!("REFUSED {error}")),
    };
    say(&format!("JOINED {}", worker.rank()));
    match role.as_str() {
        "answers" => {
            let served = worker.serve(|step, responses| {
                say(&format!("HEARD {}", step.len()));
                shout(step, responses)
            });
            match served {
                Ok(()) => say("CLOSED"),
                Err(error) => match *error.source {
                    TransportError::Consume(ConsumeError::ProducerDied { pid, .. }) => say(&format!("DIED {pid}")),
                    _ => say(&format!("ERROR {error}")),
                },
            }
        }
        "stops halfway" => {
            let (mut broadcasts, mut responses) = worker.rings();
            let _step = broadcasts.next(Patience::Until(soon())).unwrap().unwrap();
            stop_halfway(&mut responses);
        }
        "answers once" => {
            let (mut broadcasts, mut responses) = worker.rings();
            let step = broadcasts.next(Patience::Until(soon())).unwrap().unwrap();
            responses.send(&step.to_ascii_uppercase(), step.kind(), Patience::Until(soon())).unwrap();
        }
        "fails" | "fails and joins again" => {
            let failed = answer_one_and_fail(&mut worker, || Err(()));
            drop(worker);
            assert_eq!(failed, Err(()));
            if role == "fails" {
                std::process::exit(3);
            }
            let mut again = WorkerEnd::join(&Invitation::from_environment().unwrap()).unwrap();
            assert!(again.has_rejoined());
            again.serve(shout).unwrap();
        }
        "panics" => drop(answer_one_and_fail(&mut worker, || panic!("as a handler does"))),
        "drops its end and lives" => {
            drop(worker);
            say("DROPPED");
            wait_to_be_killed()
        }
        "leaves after one" => {
            assert_eq!(answer_one_and_fail(&mut worker, || Err(())), Err(()));
            worker.leave();
        }
        "ends well after one" => assert_eq!(answer_one_and_fail(&mut worker, || Err(())), Err(())),
        "never answers" => {
            let (mut broadcasts, _) = worker.rings();
            while broadcasts.next(Patience::Endless).is_ok() {}
        }
        "says what its children inherit" => {
            let (mut broadcasts, mut responses) = worker.rings();
            let step = broadcasts.next(Patience::Until(soon())).unwrap().unwrap();
            let invitation = std::env::var(myelon::topology::INVITATION_VARIABLE).unwrap();
            let inode = invitation.split("pipe-inode=").nth(1).and_then(|rest| rest.split(',').next()).unwrap();
            let listed = std::process::Command::new("ls").args(["-l", "/proc/self/fd"]).output().unwrap();
            let listed = String::from_utf8(listed.stdout).unwrap();
            let found =
                if listed.contains(&format!("pipe:[{inode}]")) { listed } else { "no pipe to the scheduler".into() };
            responses.send(found.as_bytes(), step.kind(), Patience::Until(soon())).unwrap();
        }
        "hangs" => {
            let _step = worker.next(Patience::Until(soon())).unwrap().unwrap();
            wait_to_be_killed()
        }
        "answers once and hangs" => {
            let step = worker.next(Patience::Until(soon())).unwrap().unwrap().to_ascii_uppercase();
            worker.respond(&step, 0, Patience::Until(soon())).unwrap();
            let _step = worker.next(Patience::Until(soon())).unwrap().unwrap();
            wait_to_be_killed()
        }
        "says what it hears" => {
            while let Some(broadcast) = worker.next_or_end(Patience::Endless).unwrap() {
                let urgent = if broadcast.is_urgent() { ", urgent" } else { "" };
                say(&format!("HEARD {} of {}{urgent}", broadcast.step(), broadcast.kind()));
            }
            say("CLOSED");
        }
        "answers and hangs" => {
            let mut step = worker.next(Patience::Until(soon())).unwrap().unwrap();
            let answer = step.to_ascii_uppercase();
            step.answer(&answer, 0, Patience::Until(soon())).unwrap();
            wait_to_be_killed()
        }
        "answers only the last of three" => {
            for _ in 0..2 {
                drop(worker.next(Patience::Until(soon())).unwrap().unwrap());
            }
            worker.serve(shout).unwrap();
        }
        "answers without end" => {
            let (mut broadcasts, mut responses) = worker.rings();
            let step = broadcasts.next(Patience::Until(soon())).unwrap().unwrap();
            while responses.send(&[0; 4096], step.kind(), Patience::Endless).is_ok() {}
        }
        "ignores the end" => {
            worker.respond(b"HERE", 0, Patience::Until(soon())).unwrap();
            wait_to_be_killed()
        }
        other => panic!("no such role: {other}"),
    }
}

#[test]
#[ignore = "runs as a victim"]
fn victim_scheduler() {
    let Some(role) = role() else { return };
    let topology = of_label(&std::env::var(LABEL_VARIABLE).unwrap(), 2);
    let topology = if role.ends_with(", with an urgent lane") { topology.with_urgent_lane() } else { topology };
    let (role, topology) = match role.strip_prefix("tagged, ") {
        Some(role) => (role.to_owned(), tagged(topology)),
        None => (role, topology),
    };
    match role.as_str() {
        "ignores SIGCHLD" => {
            testkit::process::ignore_children();
            return restart_and_close(&topology);
        }
        "reaps in another thread" => {
            std::thread::spawn(|| {
                loop {
                    // Waits for the next child that ends.
                    if rustix::process::wait(rustix::process::WaitOptions::empty()).is_err() {
                        std::thread::sleep(std::time::Duration::from_millis(1));
                    }
                }
            });
            return restart_and_close(&topology);
        }
        "ignores SIGCHLD and starts nothing" => {
            testkit::process::ignore_children();
            return start_nothing(&topology);
        }
        _ => {}
    }
    let is_parent = ["spawns", "panics"].contains(&role.as_str()) || role.starts_with("waits");
    let start = if is_parent { workers("answers") } else { Workers::started_elsewhere() };
    let mut scheduler = topology.launch(start).unwrap();
    if role == "met" {
        wait_to_be_killed();
    }
    if role == "stops halfway after two" {
        for _ in 0..2 {
            scheduler.broadcast(b"both", 1, Patience::Until(soon())).unwrap();
        }
        stop_halfway(&mut scheduler.broadcast_ring());
    }
    round(&mut scheduler, "hello");
    for rank in 0..2 {
        say(&format!("WORKER {}", scheduler.worker_pid(rank).unwrap()));
    }
    match role.as_str() {
        "stops halfway" => stop_halfway(&mut scheduler.broadcast_ring()),
        "waits for any" => drop(scheduler.gather(Whom::Any, soon())),
        "waits for all" => drop(scheduler.gather(Whom::All, soon())),
        "panics" | "panics among strangers" => {
            let moved = std::panic::AssertUnwindSafe(scheduler);
            let caught = std::panic::catch_unwind(|| {
                let _scheduler = moved;
                std::panic::resume_unwind(Box::new("as a scheduler does"));
            });
            assert!(caught.is_err());
            say("CAUGHT");
            wait_to_be_killed()
        }
        _ => wait_to_be_killed(),
    }
}

/// The same topology, with content tags and an urgent lane.
pub(crate) fn tagged(topology: Topology) -> Topology {
    topology.with_content_tags("step/1", "answer/1").with_urgent_lane()
}

/// Kills worker 1, starts a successor that fails and one that does not, closes the topology, and prints what it was
/// told.
fn restart_and_close(topology: &Topology) {
    let starts = AtomicUsize::new(0);
    let spawn = move |rank| match rank {
        1 if starts.fetch_add(1, Ordering::Relaxed) == 1 => {
            let mut fails = Command::new("sh");
            fails.args(["-c", "exit 7"]);
            fails
        }
        _ => command("answers"),
    };
    let mut scheduler = topology.launch(Workers::spawned(spawn)).unwrap();
    round(&mut scheduler, "hello");
    let pid = Pid::from_raw(scheduler.worker_pid(1).unwrap().cast_signed()).unwrap();
    rustix::process::kill_process(pid, testkit::Signal::KILL).unwrap();
    let (died, _) = until(&mut scheduler, 1, |outcome| matches!(outcome, Outcome::Died { .. }));
    let Outcome::Died { status, .. } = died else { unreachable!() };
    say(&format!("STATUS {}", status.map_or("None".to_owned(), |status| format!("Some({status})"))));
    scheduler.restart(1).unwrap();
    let (failed, _) = until(&mut scheduler, 1, |outcome| matches!(outcome, Outcome::JoinFailed { .. }));
    let Outcome::JoinFailed { status, .. } = failed else { unreachable!() };
    say(&format!("FAILED {:?}", status.and_then(|status| status.code())));
    scheduler.restart(1).unwrap();
    until(&mut scheduler, 1, |outcome| matches!(outcome, Outcome::Rejoined { .. }));
    say("REJOINED");
    scheduler.broadcast(b"again", 1, Patience::Until(soon())).unwrap();
    for rank in 0..2 {
        // Messages that the killed worker had not acknowledged come first.
        until(&mut scheduler, rank, |outcome| matches!(outcome, Outcome::Message { bytes, .. } if bytes == b"AGAIN"));
    }
    let has_left = |departure: &Departure| match departure.how {
        Parting::Exited { status } => status.success(),
        Parting::Ended { .. } => true,
        _ => false,
    };
    say(&format!("LEFT {:?}", scheduler.close().iter().map(has_left).collect::<Vec<_>>()));
}

/// Restarts a worker with a program that cannot be started; the others go on.
fn start_nothing(topology: &Topology) {
    let starts = AtomicUsize::new(0);
    let spawn = move |_| match starts.fetch_add(1, Ordering::Relaxed) {
        2 => Command::new("/no/such/program"),
        _ => command("answers"),
    };
    let mut scheduler = topology.launch(Workers::spawned(spawn)).unwrap();
    let error = scheduler.restart(1).unwrap_err();
    say(&format!("REFUSED {error}"));
    scheduler.broadcast(b"still", 1, Patience::Until(soon())).unwrap();
    assert_eq!(said(&scheduler.gather(Whom::Rank(0), soon())[0]), "STILL");
    say("ANSWERED");
}

/// A scheduler of the stage's session, which plays `role`.
pub(crate) fn scheduler(stage: &Stage, role: &str) -> Victim {
    Respawn::test(test_name!(victim_scheduler)).role(role).env(LABEL_VARIABLE, stage.label()).spawn()
}

/// Answers the first broadcast, and fails on the second as `fail` does.
fn answer_one_and_fail(worker: &mut WorkerEnd, fail: impl Fn() -> Result<(), ()>) -> Result<(), ()> {
    struct Failed;
    impl From<TopologyError> for Failed {
        fn from(error: TopologyError) -> Self {
            panic!("{error}")
        }
    }
    let mut heard = 0;
    worker
        .serve(|step, responses| {
            heard += 1;
            if heard == 2 {
                return fail().map_err(|()| Failed);
            }
            shout(step, responses).map_err(Failed::from)
        })
        .map_err(|Failed| ())
}

/// Answers in capitals.
fn shout<F: Format>(step: &Message<'_, F>, responses: &mut BorrowedProducer<'_, F>) -> Result<(), TopologyError> {
    responses.send(&step.to_ascii_uppercase(), step.kind(), Patience::Until(soon())).map(drop)
}

/// Writes half of a large message into the ring, says so, and stops there.
pub(crate) fn stop_halfway(ring: &mut BorrowedProducer<'_>) {
    let sent = ring.send_with(1, LARGE_BYTES, Patience::Until(soon()), |into| {
        into[..LARGE_BYTES / 2].fill(b'X');
        say("HALFWAY");
        wait_to_be_killed()
    });
    panic!("nothing can have been sent: {sent:?}");
}

/// The scheduler's way to start a worker that plays `role`.
pub(crate) fn workers(role: &'static str) -> Workers {
    Workers::spawned(move |_| command(role))
}

/// This binary, as a worker that plays `role`. Its output is discarded.
pub(crate) fn command(role: &str) -> Command {
    command_of(test_name!(victim_worker), role)
}

/// This binary, as a worker that runs the test function `test`.
pub(crate) fn command_of(test: &str, role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", test, "--nocapture", "--include-ignored", "--test-threads=1", "--quiet"])
        .env(ROLE_VARIABLE, role)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

/// A worker that no scheduler has started.
pub(crate) fn by_hand(role: &str, invitation: &Invitation) -> Victim {
    Respawn::test(test_name!(victim_worker))
        .role(role)
        .env(myelon::topology::INVITATION_VARIABLE, invitation.to_string())
        .spawn()
}
