//! Topologies of types, awaited at both ends.

use crate::stage::{in_either_runtime, within};
use myelon::Patience;
use myelon::asynchronous::{AsyncTypedScheduler, AsyncTypedWorker, AsyncWorker};
use myelon::codec::Codec;
use myelon::topology::{Arrival, Outcome, Topology, TypedScheduler, TypedWorker, Whom, WorkerEnd, Workers};
use myelon::transport::{AlignedFixedFrame, Format, Records, TransportError};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use testkit::watchdog::PATIENCE;
use tokio::task::LocalSet;

static ENCODED: AtomicU32 = AtomicU32::new(0);

#[derive(Debug, Clone, PartialEq)]
struct Step(Vec<u8>);

impl serde::Serialize for Step {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Only the messages of the test that counts.
        if self.0.first() == Some(&0xC0) {
            ENCODED.fetch_add(1, Ordering::Relaxed);
        }
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Step {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Vec::<u8>::deserialize(deserializer)?))
    }
}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Sum(u64);

myelon::bincode_message!(Step);
myelon::bincode_message!(Sum);

/// The messages in programs that are not upgraded yet.
mod old {
    #[myelon::message]
    #[derive(Debug, PartialEq)]
    pub(super) struct Task {
        pub(super) number: u32,
    }

    #[myelon::message]
    #[derive(Debug, PartialEq)]
    pub(super) struct Done {
        pub(super) total: u32,
    }
}

#[myelon::message(takes(old::Task))]
#[derive(Debug, PartialEq)]
struct Task {
    number: u64,
    lane: u8,
}

impl From<old::Task> for Task {
    fn from(old::Task { number }: old::Task) -> Self {
        Self { number: number.into(), lane: 1 }
    }
}

#[myelon::message(takes(old::Done))]
#[derive(Debug, PartialEq)]
struct Done {
    version: u8,
    total: u64,
}

impl From<old::Done> for Done {
    fn from(old::Done { total }: old::Done) -> Self {
        Self { version: 1, total: total.into() }
    }
}

type Ends<B, A, F> = (TypedScheduler<B, A, F>, Vec<TypedWorker<B, A, F>>);

/// Both sides of a topology after they met. Meeting blocks, so it is done before the runtime starts.
pub(crate) fn met<B: Codec<Scratch = ()>, A: Codec<Scratch = ()>, F: Format>(topology: &Topology<F>) -> Ends<B, A, F> {
    std::thread::scope(|scope| {
        let join = |rank| TypedWorker::join_format(&topology.invitation(rank).unwrap()).unwrap();
        let joining: Vec<_> = (0..topology.worker_count()).map(|rank| scope.spawn(move || join(rank))).collect();
        let scheduler = TypedScheduler::launch(topology.clone(), Workers::started_elsewhere()).unwrap();
        (scheduler, joining.into_iter().map(|joined| joined.join().unwrap()).collect())
    })
}

pub(crate) fn topology<F: Format>(workers: usize, depth: usize) -> Topology<F> {
    let topology = Topology::with_depths(&testkit::names::short(), workers, depth, depth).unwrap();
    topology.with_rendezvous_timeout(PATIENCE)
}

fn sum_of(step: &Step) -> Sum {
    Sum(step.0.iter().copied().map(u64::from).sum())
}

/// Adds until the scheduler closes the topology, and returns the number of steps that it received.
async fn add<F: Format>(worker: TypedWorker<Step, Sum, F>) -> usize {
    let mut worker = AsyncTypedWorker::new(worker).unwrap();
    let mut heard = 0;
    while let Some(mut broadcast) = worker.next().await.unwrap() {
        let (sum, kind) = (sum_of(broadcast.message()), broadcast.kind());
        broadcast.answer(&sum, kind).await.unwrap();
        heard += 1;
    }
    heard
}

fn steps_go_out_and_sums_come_back<F: Format>(depth: usize) {
    in_either_runtime("a typed topology", |runtime| {
        let (scheduler, workers) = met(&topology::<F>(3, depth));
        let tasks = LocalSet::new();
        let workers: Vec<_> = workers.into_iter().map(|worker| tasks.spawn_local(add(worker))).collect();
        runtime.block_on(tasks.run_until(async {
            let mut scheduler = AsyncTypedScheduler::new(scheduler);
            for round in 0..100_u8 {
                let message = Step(vec![round; usize::from(round) * 7]);
                let step = scheduler.broadcast(&message, round).await.unwrap();
                let whom = if round % 2 == 0 { Whom::All } else { Whom::Rank(usize::from(round) % 3) };
                for answer in scheduler.gather_for(step, whom, PATIENCE).await {
                    assert_eq!((answer.outcome.unwrap(), answer.step), ((sum_of(&message), round), Some(step)));
                }
            }
            scheduler.close().await;
            for worker in workers {
                assert_eq!(worker.await.unwrap(), 100);
            }
        }));
    });
}

#[test]
fn typed_steps_go_out_and_sums_come_back_in_either_format_and_runtime() {
    steps_go_out_and_sums_come_back::<Records>(16 << 10);
    steps_go_out_and_sums_come_back::<AlignedFixedFrame<112>>(64);
}

#[test]
fn a_typed_broadcast_that_is_dropped_has_sent_nothing_and_one_that_awaits_room_is_encoded_once() {
    in_either_runtime("typed broadcasts into a full ring", |runtime| {
        let (scheduler, mut workers) = met::<Step, Sum, Records>(&topology(1, 16 << 10));
        runtime.block_on(async {
            let mut scheduler = AsyncTypedScheduler::new(scheduler);
            let filler = Step(vec![1; 3000]);
            let mut filled = 0;
            while within(1, scheduler.broadcast(&filler, 0)).await.is_some_and(|sent| sent.is_ok()) {
                filled += 1;
            }
            let counted = Step(vec![0xC0; 3000]);
            for polls in 0..24 {
                assert!(within(polls, scheduler.broadcast(&counted, 1)).await.is_none());
            }
            ENCODED.store(0, Ordering::Relaxed);
            // Many more looks than any message may have encodings.
            let waiting = tokio::time::timeout(Duration::from_millis(50), scheduler.broadcast(&counted, 1));
            waiting.await.expect_err("there is no room");
            assert_eq!(ENCODED.load(Ordering::Relaxed), 1, "encoded for each look, or more");
            let adding = tokio::spawn(add(workers.remove(0)));
            let step = scheduler.broadcast(&Step(vec![2, 3]), 2).await.unwrap();
            assert_eq!(step, filled, "a sequence was used up");
            let answer = scheduler.gather_for(step, Whom::Rank(0), PATIENCE).await.remove(0);
            assert_eq!(answer.outcome.unwrap(), (Sum(5), 2));
            scheduler.close().await;
            // The worker received none of the messages that were given up.
            assert_eq!(adding.await.unwrap(), usize::try_from(step + 1).unwrap());
        });
    });
}

#[test]
fn a_typed_wait_that_is_dropped_has_taken_nothing_at_either_end() {
    in_either_runtime("typed futures that are dropped", |runtime| {
        let (scheduler, mut workers) = met::<Step, Sum, Records>(&topology(1, 16 << 10));
        runtime.block_on(async {
            let mut scheduler = AsyncTypedScheduler::new(scheduler);
            let mut worker = AsyncTypedWorker::new(workers.remove(0)).unwrap();
            for round in 0..30_u8 {
                let polls = u32::from(round) % 3;
                assert!(within(polls, worker.next()).await.is_none(), "there is nothing yet");
                let step = scheduler.broadcast(&Step(vec![round]), 1).await.unwrap();
                assert!(within(polls, scheduler.gather_for(step, Whom::All, PATIENCE)).await.is_none());
                // A message that was given back comes again, and a dropped future has taken none.
                let broadcast = worker.next().await.unwrap().unwrap();
                assert_eq!((broadcast.message(), broadcast.step()), (&Step(vec![round]), step));
                broadcast.release_unread();
                assert!(within(0, worker.next()).await.is_none());
                let (message, step) = worker.next().await.unwrap().unwrap().into_message();
                assert_eq!(message, Step(vec![round]));
                worker.answer(step, &sum_of(&message), 3).await.unwrap();
                let answer = scheduler.gather_for(step, Whom::Any, PATIENCE).await.remove(0);
                assert_eq!(answer.outcome.unwrap(), (Sum(round.into()), 3));
            }
            scheduler.close().await;
            assert!(worker.next().await.unwrap().is_none());
        });
    });
}

#[test]
fn what_is_urgent_comes_first_with_its_type() {
    in_either_runtime("a typed urgent lane", |runtime| {
        let (mut scheduler, mut workers) = met::<Step, Sum, Records>(&topology(1, 16 << 10).with_urgent_lane());
        scheduler.broadcast(&Step(vec![1]), 1, Patience::Now).unwrap();
        runtime.block_on(async {
            let mut scheduler = AsyncTypedScheduler::new(scheduler);
            let mut worker = AsyncTypedWorker::new(workers.remove(0)).unwrap();
            scheduler.broadcast_urgent(&Step(vec![9]), 9).unwrap();
            let first = worker.next().await.unwrap().unwrap();
            assert_eq!((first.is_urgent(), first.message()), (true, &Step(vec![9])));
            drop(first);
            assert!(!worker.next().await.unwrap().unwrap().is_urgent());
        });
    });
}

#[test]
fn a_broadcast_of_no_type_is_an_error_of_one_call_and_the_next_one_comes() {
    in_either_runtime("a broadcast of no type", |runtime| {
        let topology = topology::<Records>(1, 16 << 10).carrying::<Step, Sum>();
        let (mut scheduler, worker) = std::thread::scope(|scope| {
            let worker = scope.spawn(|| TypedWorker::<Step, Sum>::join(&topology.invitation(0).unwrap()).unwrap());
            (topology.launch(Workers::started_elsewhere()).unwrap(), worker.join().unwrap())
        });
        // A step whose length is beyond its bytes.
        scheduler.broadcast(&[255; 9], 1, Patience::Now).unwrap();
        scheduler.broadcast(&[0; 8], 2, Patience::Now).unwrap();
        runtime.block_on(async {
            let mut worker = AsyncTypedWorker::new(worker).unwrap();
            let error = worker.next().await.map(drop).unwrap_err();
            assert!(matches!(*error.source, TransportError::Codec(_)), "{error}");
            let broadcast = worker.next().await.unwrap().unwrap();
            assert_eq!((broadcast.message(), broadcast.kind()), (&Step(vec![]), 2));
        });
    });
}

#[test]
fn an_answer_of_no_type_a_death_and_a_step_that_never_fits_are_told() {
    in_either_runtime("an answer of no type", |runtime| {
        let topology = topology::<Records>(1, 16 << 10);
        let carrying = topology.clone().carrying::<Step, Sum>();
        let (scheduler, worker) = std::thread::scope(|scope| {
            let worker = scope.spawn(|| WorkerEnd::<Records>::join(&carrying.invitation(0).unwrap()).unwrap());
            let scheduler = TypedScheduler::<Step, Sum>::launch(topology.clone(), Workers::started_elsewhere());
            (scheduler.unwrap(), worker.join().unwrap())
        });
        runtime.block_on(async {
            let mut scheduler = AsyncTypedScheduler::new(scheduler);
            let mut worker = AsyncWorker::new(worker).unwrap();
            let step = scheduler.broadcast(&Step(vec![4]), 1).await.unwrap();
            worker.next().await.unwrap().unwrap().answer(&[], 1).await.unwrap();
            let answer = scheduler.gather_for(step, Whom::Rank(0), PATIENCE).await.remove(0);
            assert!(matches!(&answer.outcome, Err(Outcome::Unreadable(error)) if matches!(*error.source, TransportError::Codec(_))), "{answer:?}");
            // Refused at once, and not awaited.
            let refused = scheduler.broadcast(&Step(vec![1; 1 << 20]), 1).await.unwrap_err();
            let is_too_large = matches!(*refused.source, TransportError::TooLarge { .. });
            assert!(is_too_large, "{refused:?}");
            let dying = tokio::spawn(async move { drop(worker) });
            let died = scheduler.gather(Whom::All, Patience::Endless).await.remove(0);
            assert!(matches!(died.outcome, Err(Outcome::Died { .. })), "{died:?}");
            dying.await.unwrap();
            let missing = scheduler.wait_for(0, Duration::from_millis(2)).await;
            assert!(matches!(missing, Arrival::TimedOut { .. }), "{missing:?}");
        });
    });
}

/// An upgrade in the middle of a step: the old worker has answered and not acknowledged it, and the new worker receives
/// it again.
#[test]
fn a_successor_of_another_version_hears_the_old_steps_and_is_heard_beside_what_the_old_one_has_sent() {
    in_either_runtime("a successor of another version", |runtime| {
        let topology = topology::<Records>(1, 16 << 10).with_urgent_lane();
        let invitation = topology.invitation(0).unwrap();
        let (scheduler, first) = std::thread::scope(|scope| {
            let first = scope.spawn(|| TypedWorker::<old::Task, old::Done>::join(&invitation).unwrap());
            let scheduler: TypedScheduler<old::Task, Done> =
                TypedScheduler::launch(topology.clone(), Workers::started_elsewhere()).unwrap();
            (scheduler, first.join().unwrap())
        });
        runtime.block_on(async {
            let mut scheduler = AsyncTypedScheduler::new(scheduler);
            let mut worker = AsyncTypedWorker::new(first).unwrap();
            let step = scheduler.broadcast(&old::Task { number: 4 }, 0).await.unwrap();
            let mut task = worker.next().await.unwrap().unwrap();
            let total = task.message().number + 1;
            task.answer(&old::Done { total }, 1).await.unwrap();
            task.release_unread();
            drop(worker);
            let joining = tokio::task::spawn_blocking({
                let invitation = invitation.clone();
                move || TypedWorker::<Task, Done>::join(&invitation).unwrap()
            });
            let arrival = scheduler.wait_for(0, PATIENCE).await;
            assert!(matches!(arrival, Arrival::Joined { .. }), "{arrival:?}");
            let joined = joining.await.unwrap();
            assert!(joined.is_of_older_version());
            let mut worker = AsyncTypedWorker::new(joined).unwrap();
            assert!(!scheduler.get_ref().is_of_older_version(0), "its answers are of the new one");

            // The old worker's answer tells its version.
            let set_aside = scheduler.try_receive(0).unwrap();
            assert_eq!((set_aside.is_of_older_version(), set_aside.in_reply_to()), (true, Some(step)));
            assert_eq!(set_aside.decode().unwrap(), Done { version: 1, total: 5 });
            drop(set_aside);

            scheduler.broadcast_urgent(&old::Task { number: 9 }, 3).unwrap();
            let urgent = worker.next().await.unwrap().unwrap();
            assert_eq!((urgent.is_urgent(), urgent.message()), (true, &Task { number: 9, lane: 1 }));
            drop(urgent);
            let next = scheduler.broadcast(&old::Task { number: 6 }, 0).await.unwrap();
            for (wanted, is_redelivered) in [(step, true), (next, false)] {
                let mut task = worker.next().await.unwrap().unwrap();
                assert_eq!((task.step(), task.is_redelivered(), task.message().lane), (wanted, is_redelivered, 1));
                let total = task.message().number + 1;
                task.answer(&Done { version: 2, total }, 2).await.unwrap();
            }
            // The answer to the first step is a repetition by now.
            let answer = scheduler.gather_for(next, Whom::Rank(0), PATIENCE).await.remove(0);
            assert_eq!(answer.outcome.unwrap(), (Done { version: 2, total: 7 }, 2));
            scheduler.close().await;
            assert!(worker.next().await.unwrap().is_none());
        });
    });
}

/// No program starts the awaited process.
#[test]
fn a_wait_for_a_rank_that_is_not_started_again_ends_with_its_patience_and_says_what_is_missing() {
    in_either_runtime("a rank that is not started again", |runtime| {
        let (scheduler, workers) = met::<Step, Sum, Records>(&topology(2, 16 << 10));
        runtime.block_on(async {
            let mut scheduler = AsyncTypedScheduler::new(scheduler);
            drop(workers);
            for rank in [1, 0] {
                let Arrival::TimedOut { report } = scheduler.wait_for(rank, Duration::from_millis(30)).await else {
                    panic!("nothing has come")
                };
                let text = report.to_string();
                assert!(text.contains(&format!("rank {rank}")) && text.contains("dropped"), "{text}");
                // The death counts as not reported.
                let died = scheduler.gather(Whom::Rank(rank), Patience::Now).await.remove(0);
                assert!(matches!(died.outcome, Err(Outcome::Died { .. })), "{died:?}");
            }
        });
    });
}
