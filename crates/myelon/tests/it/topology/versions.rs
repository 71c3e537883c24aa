//! Schedulers and workers of different versions of their messages.

use super::actors::command_of;
use super::stage::{BROADCAST_BYTES, Stage, soon};
use myelon::Patience;
use myelon::codec::Codec;
use myelon::liveness::RefusalCause;
use myelon::topology::{
    Arrival, Change, Invitation, MeetingPlace, Outcome, Parting, TopologyError, TypedScheduler, TypedWorker, Whom,
    WorkerJoinError, Workers,
};
use myelon::transport::TransportBuilder;
use myelon::typed_transport::TypedProducer;
use rustix::process::{Pid, kill_process};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use testkit::process::{role, say, wait_to_be_killed};
use testkit::test_name;
use testkit::watchdog::{PATIENCE, Watchdog, eventually};

/// The messages in programs that are not upgraded yet.
mod old {
    #[myelon::message]
    #[derive(Debug, PartialEq)]
    pub(super) struct Step {
        pub(super) number: u32,
    }

    #[myelon::message]
    #[derive(Debug, PartialEq)]
    pub(super) struct Sum {
        pub(super) total: u32,
    }
}

#[myelon::message(takes(old::Step))]
#[derive(Debug, PartialEq)]
struct Step {
    number: u64,
    lane: u8,
}

impl From<old::Step> for Step {
    fn from(old::Step { number }: old::Step) -> Self {
        Self { number: number.into(), lane: 1 }
    }
}

#[myelon::message(takes(old::Sum))]
#[derive(Debug, PartialEq)]
struct Sum {
    version: u8,
    total: u64,
}

impl From<old::Sum> for Sum {
    fn from(old::Sum { total }: old::Sum) -> Self {
        Self { version: 1, total: total.into() }
    }
}

/// A worker that was built when the messages were old.
type OldWorker = TypedWorker<old::Step, old::Sum>;
/// A worker that receives both versions, and answers in the old one.
type HearsBoth = TypedWorker<Step, old::Sum>;
/// A worker that receives both versions, and answers in the new one.
type NewWorker = TypedWorker<Step, Sum>;

#[test]
#[ignore = "runs as a victim"]
fn victim_worker_of_a_version() {
    let Some(role) = role() else { return };
    let invitation = Invitation::from_environment().unwrap();
    let served = match role.as_str() {
        "old" => OldWorker::join(&invitation)
            .map(|mut worker| worker.serve(|step, _| Ok::<_, TopologyError>(old::Sum { total: step.number + 1 }))),
        "hears both" => HearsBoth::join(&invitation).map(|mut worker| {
            worker.serve(|step, _| Ok::<_, TopologyError>(old::Sum { total: step.number as u32 + 1 }))
        }),
        "new" => NewWorker::join(&invitation)
            .map(|mut worker| worker.serve(|step, _| Ok::<_, TopologyError>(new_sum(&step)))),
        "old, answers and hangs" => OldWorker::join(&invitation).map(|mut worker| {
            let mut step = worker.next(Patience::Endless)?.expect("waited for");
            let sum = old::Sum { total: step.message().number + 1 };
            step.answer(&sum, 0, Patience::Endless).expect("there is room");
            wait_to_be_killed()
        }),
        "new, says why it is refused" => return say(&format!("REFUSED {}", NewWorker::join(&invitation).unwrap_err())),
        other => panic!("no such role: {other}"),
    };
    match served {
        Ok(end) => say(&format!("ENDED {end:?}")),
        Err(error) => say(&format!("REFUSED {error}")),
    }
}

fn new_sum(step: &Step) -> Sum {
    Sum { version: 2, total: step.number + 1 }
}

fn command(role: &str) -> myelon::process::Command {
    command_of(test_name!(victim_worker_of_a_version), role)
}

/// Kills and restarts every rank, one after the other; restarted workers have the second role.
fn restart_one_by_one<B: Codec>(
    workers: [&'static str; 2],
    mut step: impl FnMut(u64) -> B,
    mut check: impl FnMut(usize, u64, Sum),
) {
    const RANKS: usize = 3;
    let _watchdog = Watchdog::new(4 * PATIENCE, "a rolling restart of workers");
    let stage = Stage::new(RANKS);
    let is_upgraded = Arc::new(AtomicBool::new(false));
    let spawn = {
        let is_upgraded = Arc::clone(&is_upgraded);
        move |_| command(workers[usize::from(is_upgraded.load(Ordering::Relaxed))])
    };
    let mut scheduler: TypedScheduler<B, Sum> =
        TypedScheduler::launch(stage.topology.clone(), Workers::spawned(spawn)).unwrap();
    is_upgraded.store(true, Ordering::Relaxed);
    let mut number = 0;
    for restarted in 0..RANKS {
        for is_restarting in [false, true, false] {
            number += 1;
            let sent = scheduler.broadcast(&step(number), 0, Patience::Until(soon())).unwrap();
            if is_restarting {
                // It may have answered or not, or may be working on the step.
                scheduler.restart(restarted).unwrap();
            }
            let mut answers = BTreeMap::new();
            while answers.len() < RANKS {
                for answer in scheduler.gather_for(sent, Whom::All, soon()) {
                    match answer.outcome {
                        Ok((sum, _)) => assert!(answers.insert(answer.rank, sum).is_none(), "rank {}", answer.rank),
                        Err(Outcome::Answered | Outcome::Died { .. } | Outcome::Rejoined { .. }) => {}
                        Err(other) => panic!("rank {}: {other:?}", answer.rank),
                    }
                }
            }
            for (rank, sum) in answers {
                check(rank, number, sum);
            }
        }
    }
    for departure in scheduler.close() {
        assert!(matches!(departure.how, Parting::Exited { status } if status.success()), "{departure:?}");
    }
    stage.assert_nothing_left();
}

#[test]
fn workers_are_upgraded_one_by_one_under_a_scheduler_that_sends_the_old_steps() {
    restart_one_by_one(
        ["old", "hears both"],
        |number| old::Step { number: number as u32 },
        |rank, number, sum| assert_eq!(sum, Sum { version: 1, total: number + 1 }, "rank {rank}"),
    );
}

#[test]
fn a_scheduler_reads_the_answers_of_each_worker_in_its_own_version() {
    let mut versions = BTreeMap::new();
    restart_one_by_one(
        ["hears both", "new"],
        |number| Step { number, lane: 3 },
        |rank, number, sum| {
            assert_eq!(sum.total, number + 1, "rank {rank}");
            let last = versions.insert(rank, sum.version);
            assert!(last.is_none_or(|last| last <= sum.version), "rank {rank} became older");
        },
    );
    assert_eq!(versions, BTreeMap::from([(0, 2), (1, 2), (2, 2)]));
}

/// A scheduler whose old worker has answered step 0 and was killed, and whose new worker has received step 1. The old
/// worker's answer is set aside, so that the new worker can be heard.
fn restarted_with_an_answer_waiting(stage: &Stage) -> TypedScheduler<old::Step, Sum> {
    let is_upgraded = Arc::new(AtomicBool::new(false));
    let spawn = {
        let is_upgraded = Arc::clone(&is_upgraded);
        move |_| command(["old, answers and hangs", "new"][usize::from(is_upgraded.load(Ordering::Relaxed))])
    };
    let mut scheduler: TypedScheduler<old::Step, Sum> =
        TypedScheduler::launch(stage.topology.clone(), Workers::spawned(spawn)).unwrap();
    assert_eq!(scheduler.broadcast(&old::Step { number: 7 }, 0, Patience::Now).unwrap(), 0);
    eventually("the answer", PATIENCE, || scheduler.report(0).answers_waiting == 1).unwrap();
    assert!(scheduler.is_of_older_version(0));
    is_upgraded.store(true, Ordering::Relaxed);
    let pid = scheduler.raw().worker_pid(0).unwrap();
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), testkit::Signal::KILL).unwrap();
    scheduler.restart(0).unwrap();
    scheduler.wait_for(0, soon());
    assert_eq!(scheduler.broadcast(&old::Step { number: 8 }, 0, Patience::Now).unwrap(), 1);
    scheduler
}

#[test]
fn what_an_old_worker_has_sent_is_read_as_that_after_a_new_one_has_taken_its_place() {
    let _watchdog = Watchdog::new(3 * PATIENCE, "answers of two versions");
    let stage = Stage::new(1);
    let mut scheduler = restarted_with_an_answer_waiting(&stage);
    for (step, sum) in [(0, Sum { version: 1, total: 8 }), (1, Sum { version: 2, total: 9 })] {
        let answer = scheduler.gather_for(step, Whom::Rank(0), soon()).remove(0);
        assert_eq!((answer.outcome.unwrap(), answer.step), ((sum, 0), Some(step)));
    }
    assert!(!scheduler.is_of_older_version(0));
}

/// By then the scheduler's version of this worker is that of the new process.
#[test]
fn bytes_that_an_old_worker_has_sent_say_their_version_after_a_new_one_has_taken_its_place() {
    let _watchdog = Watchdog::new(3 * PATIENCE, "answers of two versions as bytes");
    let stage = Stage::new(1);
    let mut scheduler = restarted_with_an_answer_waiting(&stage);
    assert!(!scheduler.is_of_older_version(0), "its successor");
    let set_aside = scheduler.receive_raw(0, soon()).unwrap();
    assert_eq!((set_aside.is_in_place(), set_aside.in_reply_to(), set_aside.kind()), (false, Some(0), 0));
    assert_eq!((set_aside.tag(), set_aside.is_of_older_version()), (old::Sum::type_tag(), true));
    assert_eq!(old::Sum::decode(&set_aside).unwrap(), old::Sum { total: 8 }, "by what the tag says");
    assert_eq!(set_aside.decode().unwrap(), Sum { version: 1, total: 8 });
    let set_aside = set_aside.into_message().unwrap_err();
    assert_eq!(set_aside[..], [8, 0, 0, 0]);
    drop(set_aside);

    // Its successor answers the same step again, and then the next one.
    for (step, total) in [(0, 8), (1, 9)] {
        let given_back = scheduler.receive_raw(0, soon()).unwrap();
        assert_eq!((given_back.is_in_place(), given_back.in_reply_to()), (true, Some(step)));
        given_back.into_message().unwrap().release_unread();
        let answer = scheduler.receive_raw(0, soon()).unwrap();
        assert_eq!((answer.in_reply_to(), answer.tag()), (Some(step), Sum::type_tag()));
        assert!(!answer.is_of_older_version());
        assert_eq!(answer.decode().unwrap(), Sum { version: 2, total });
    }
    let none = scheduler.receive_raw(0, Patience::Now).unwrap_err();
    assert!(matches!(none, Outcome::TimedOut), "{none:?}");
}

/// A scheduler of the older version with an urgent lane, and the newer worker that does `work` in a thread.
fn with_new_worker<T: Send + 'static>(
    stage: &Stage,
    work: impl FnOnce(NewWorker) -> T + Send + 'static,
) -> (TypedScheduler<old::Step, Sum>, JoinHandle<T>) {
    let topology = stage.topology.clone().with_urgent_lane();
    let invitation = topology.invitation(0).unwrap();
    let worker = std::thread::spawn(move || {
        let worker = NewWorker::join(&invitation).unwrap();
        assert!(worker.is_of_older_version());
        work(worker)
    });
    (TypedScheduler::launch(topology, Workers::started_elsewhere()).unwrap(), worker)
}

#[test]
fn urgent_messages_are_of_the_version_of_the_steps() {
    let _watchdog = Watchdog::new(3 * PATIENCE, "urgent messages of an older version");
    let stage = Stage::new(1);
    let (mut scheduler, worker) = with_new_worker(&stage, |mut worker| {
        let decode = worker.decoder();
        let mut urgent = worker.take_urgent().unwrap();
        let elsewhere = std::thread::spawn(move || {
            let message = urgent.next(Patience::Until(soon())).unwrap().unwrap();
            decode(&message).unwrap()
        });
        assert_eq!(elsewhere.join().unwrap(), Step { number: 9, lane: 1 });
        let mut heard = Vec::new();
        while let Some(mut broadcast) = worker.next_or_end(Patience::Until(soon())).unwrap() {
            heard.push((broadcast.is_urgent(), broadcast.message().number, broadcast.message().lane));
            if !broadcast.is_urgent() {
                let sum = new_sum(broadcast.message());
                broadcast.answer(&sum, 0, Patience::Until(soon())).unwrap();
            }
        }
        heard
    });
    scheduler.broadcast_urgent(&old::Step { number: 9 }, 0).unwrap();
    let step = scheduler.broadcast(&old::Step { number: 1 }, 0, Patience::Now).unwrap();
    let answer = scheduler.gather_for(step, Whom::Rank(0), soon()).remove(0);
    assert_eq!(answer.outcome.unwrap().0, Sum { version: 2, total: 2 });
    drop(scheduler);
    assert_eq!(worker.join().unwrap(), [(false, 1, 1)]);
}

#[test]
fn an_urgent_message_heard_during_a_step_is_of_the_version_of_the_steps() {
    let _watchdog = Watchdog::new(3 * PATIENCE, "an urgent message of an older version during a step");
    let stage = Stage::new(1);
    let (mut scheduler, worker) = with_new_worker(&stage, |mut worker| {
        let mut step = worker.next(Patience::Until(soon())).unwrap().unwrap();
        let mut heard = None;
        eventually("an urgent message", PATIENCE, || {
            heard = step.urgent().unwrap();
            heard.is_some()
        })
        .unwrap();
        assert_eq!(heard.unwrap().message, Step { number: 8, lane: 1 });
        let sum = new_sum(step.message());
        step.answer(&sum, 0, Patience::Until(soon())).unwrap();
    });
    let step = scheduler.broadcast(&old::Step { number: 1 }, 0, Patience::Now).unwrap();
    let mut is_inside = || scheduler.report(0).to_string().contains("its handler has it");
    eventually("a worker in its handler", PATIENCE, &mut is_inside).unwrap();
    scheduler.broadcast_urgent(&old::Step { number: 8 }, 0).unwrap();
    let answer = scheduler.gather_for(step, Whom::Rank(0), soon()).remove(0);
    assert_eq!(answer.outcome.unwrap().0, Sum { version: 2, total: 2 });
    drop(scheduler);
    worker.join().unwrap();
}

/// If the answers have changed, the scheduler must be upgraded before its workers.
#[test]
fn a_new_worker_whose_answers_an_old_scheduler_cannot_read_is_refused_and_both_errors_name_the_field() {
    let _watchdog = Watchdog::new(4 * PATIENCE, "a worker that is refused");
    let stage = Stage::new(2);
    let is_upgraded = Arc::new(AtomicBool::new(false));
    let spawn = {
        let is_upgraded = Arc::clone(&is_upgraded);
        move |_| command(["old", "new, says why it is refused"][usize::from(is_upgraded.load(Ordering::Relaxed))])
    };
    let mut scheduler: TypedScheduler<old::Step, old::Sum> =
        TypedScheduler::launch(stage.topology.clone(), Workers::spawned(spawn)).unwrap();
    is_upgraded.store(true, Ordering::Relaxed);
    let pid = scheduler.restart(1).unwrap();
    let failed = scheduler.wait_for(1, soon());
    let Arrival::JoinFailed { pid: failed, refusal: Some(refusal), .. } = &failed else { panic!("{failed:?}") };
    assert_eq!((*failed, refusal.cause), (pid, RefusalCause::OtherContent));
    let says = "field `Sum.version` is u8 at position 0 there, but does not exist here";
    assert!(refusal.to_string().contains(says), "{refusal}");
    // The other worker goes on.
    let step = scheduler.broadcast(&old::Step { number: 7 }, 0, Patience::Until(soon())).unwrap();
    let answer = scheduler.gather_for(step, Whom::Rank(0), soon()).remove(0);
    assert_eq!(answer.outcome.unwrap().0, old::Sum { total: 8 });
}

/// If a supervisor starts the workers, the next process comes after the failure was reported.
#[test]
fn a_failure_to_join_that_was_told_does_not_end_the_wait_for_the_process_that_is_started_next() {
    let _watchdog = Watchdog::new(4 * PATIENCE, "the next process");
    let stage = Stage::new(1);
    let invitation = stage.topology.invitation(0).unwrap();
    let worker = std::thread::spawn({
        let invitation = invitation.clone();
        move || OldWorker::join(&invitation).unwrap()
    });
    let elsewhere = Workers::started_elsewhere();
    let mut scheduler: TypedScheduler<old::Step, old::Sum> =
        TypedScheduler::launch(stage.topology.clone(), elsewhere).unwrap();
    drop(worker.join().unwrap());
    eventually("its death", PATIENCE, || matches!(scheduler.check_workers()[..], [(0, Change::Died { .. })])).unwrap();

    let too_new = std::thread::spawn({
        let invitation = invitation.clone();
        move || NewWorker::join(&invitation).map(drop)
    });
    let failed = scheduler.wait_for(0, soon());
    assert!(matches!(failed, Arrival::JoinFailed { .. }), "{failed:?}");
    assert!(too_new.join().unwrap().is_err());
    let not_yet = scheduler.wait_for(0, Patience::Now);
    assert!(matches!(not_yet, Arrival::TimedOut { .. }), "{not_yet:?}");
    // `gather` reports it as long as no other process has come.
    let told = scheduler.gather(Whom::Rank(0), Patience::Now).remove(0).outcome;
    assert!(matches!(told, Err(Outcome::JoinFailed { .. })), "{told:?}");

    let next = std::thread::spawn(move || OldWorker::join(&invitation).map(drop));
    let arrival = scheduler.wait_for(0, soon());
    assert!(matches!(arrival, Arrival::Joined { .. }), "{arrival:?}");
    next.join().unwrap().unwrap();
}

/// Makes at `ring` what a killed scheduler of another build has left: a ring with other messages, in which a worker has
/// kept its entry.
fn leave_over(ring: &str, invitation: &Invitation) {
    let builder = TransportBuilder::at(ring).with_content_tag("of/another build");
    let left = builder.clone().build_producer().unwrap();
    drop(builder.with_consumer_id(invitation.consumer_id()).build_consumer().unwrap());
    left.hand_over();
}

#[test]
fn a_worker_waits_for_its_scheduler_over_what_one_of_other_messages_has_left() {
    let stage = Stage::new(1);
    let topology = stage.topology.clone().with_urgent_lane().with_rendezvous_timeout(Duration::from_millis(20));
    let invitation = topology.invitation(0).unwrap();
    let (broadcast, urgent) = (topology.layout().rpc_ring_name(), topology.layout().urgent_ring_name());
    leave_over(&broadcast, &invitation);
    let nobody_came = || match NewWorker::join(&invitation).unwrap_err() {
        WorkerJoinError::NoScheduler { found: MeetingPlace::Ended { place, .. }, .. } => place,
        other => panic!("{other}"),
    };
    assert_eq!(nobody_came(), format!("shm:{broadcast}"));
    let _scheduler = TypedProducer::<Step>::build(TransportBuilder::new(&broadcast, BROADCAST_BYTES)).unwrap();
    leave_over(&urgent, &invitation);
    assert_eq!(nobody_came(), format!("shm:{urgent}"));
}
