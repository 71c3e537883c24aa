//! Both ends of a topology as tasks of one thread: an end that blocks the thread blocks the other end, and the test
//! with it.

use myelon::Patience;
use myelon::asynchronous::{AsyncScheduler, AsyncWorker};
use myelon::topology::{Arrival, Outcome, SchedulerEnd, Topology, Whom, WorkerEnd, Workers};
use std::future::Future;
use std::time::{Duration, Instant};
use testkit::watchdog::{PATIENCE, Watchdog};

/// Bytes of the broadcast ring: as small as it can be.
const BROADCAST_BYTES: usize = 16 << 10;

fn soon() -> Instant {
    Instant::now() + PATIENCE
}

fn on_one_thread<T>(run: impl Future<Output = T>) -> T {
    let _watchdog = Watchdog::new(PATIENCE * 2, "the ends of a topology in one thread");
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run)
}

fn topology(workers: usize) -> Topology {
    let label = testkit::names::short();
    let topology = Topology::with_depths(&label, workers, BROADCAST_BYTES, BROADCAST_BYTES).unwrap();
    topology.with_rendezvous_timeout(PATIENCE)
}

fn join(topology: &Topology, rank: usize) -> WorkerEnd {
    WorkerEnd::join(&topology.invitation(rank).unwrap()).unwrap()
}

/// Both sides of a topology after they met. Meeting blocks, so it is done before the runtime starts.
fn met(topology: &Topology) -> (SchedulerEnd, Vec<WorkerEnd>) {
    std::thread::scope(|scope| {
        let joining: Vec<_> =
            (0..topology.worker_count()).map(|rank| scope.spawn(move || join(topology, rank))).collect();
        let scheduler = topology.launch(Workers::started_elsewhere()).unwrap();
        (scheduler, joining.into_iter().map(|joined| joined.join().unwrap()).collect())
    })
}

/// Answers in capitals until the scheduler closes the topology, and returns the number of broadcasts that it received.
async fn serve(worker: WorkerEnd) -> usize {
    let mut worker = AsyncWorker::new(worker).unwrap();
    let mut heard = 0;
    while let Some(mut broadcast) = worker.next().await.unwrap() {
        let answer = broadcast.to_ascii_uppercase();
        broadcast.answer(&answer, broadcast.kind()).await.unwrap();
        heard += 1;
    }
    heard
}

#[test]
fn a_scheduler_and_its_workers_share_one_thread() {
    let topology = topology(3);
    let (scheduler, workers) = met(&topology);
    on_one_thread(async {
        let workers: Vec<_> = workers.into_iter().map(|worker| tokio::spawn(serve(worker))).collect();
        let mut scheduler = AsyncScheduler::new(scheduler);
        for round in 0..200 {
            let text = format!("step {round}");
            let step = scheduler.broadcast(text.as_bytes(), 1).await.unwrap();
            let whom = if round % 2 == 0 { Whom::All } else { Whom::Rank(round % 3) };
            for answer in scheduler.gather_for(step, whom, soon()).await {
                let Outcome::Message { bytes, kind: 1 } = answer.outcome else { panic!("{answer:?}") };
                assert_eq!((bytes, answer.step), (text.to_uppercase().into_bytes(), Some(step)));
            }
        }
        let step = scheduler.broadcast(b"last", 1).await.unwrap();
        for _ in 0..3 {
            let answers = scheduler.gather_for(step, Whom::Any, soon()).await;
            assert!(
                matches!(&answers[..], [answer] if matches!(answer.outcome, Outcome::Message { .. })),
                "{answers:?}"
            );
        }
        scheduler.close().await;
        for worker in workers {
            assert_eq!(worker.await.unwrap(), 201);
        }
    });
}

#[test]
fn a_broadcast_into_a_full_ring_waits_for_a_worker_of_the_same_thread() {
    let topology = topology(1);
    let (scheduler, mut workers) = met(&topology);
    on_one_thread(async {
        let mut scheduler = AsyncScheduler::new(scheduler);
        while scheduler.try_broadcast(&[7; 1000], 0).is_ok() {}
        let last = scheduler.get_ref().last_broadcast();
        // A future that is dropped before it was ready has sent nothing, and used no sequence.
        let given_up = tokio::time::timeout(Duration::from_millis(20), scheduler.broadcast(&[8; 1000], 0)).await;
        assert!(given_up.is_err());
        let worker = tokio::spawn(serve(workers.remove(0)));
        let step = scheduler.broadcast(&[9; 1000], 0).await.unwrap();
        assert_eq!(step, last + 1);
        let answer = scheduler.gather_for(step, Whom::Rank(0), soon()).await.remove(0);
        let Outcome::Message { bytes, .. } = answer.outcome else { panic!("{answer:?}") };
        assert_eq!(bytes, [9; 1000]);
        scheduler.close().await;
        assert_eq!(worker.await.unwrap(), usize::try_from(step + 1).unwrap());
    });
}

#[test]
fn the_end_of_a_topology_is_the_error_closed_of_a_worker_that_blocks_and_none_of_one_that_is_awaited() {
    let topology = topology(2);
    let (scheduler, mut workers) = met(&topology);
    on_one_thread(async {
        let mut awaited = AsyncWorker::new(workers.remove(1)).unwrap();
        let mut blocks = workers.remove(0);
        scheduler.close();
        assert!(blocks.next(Patience::Now).map(drop).unwrap_err().is_closed());
        assert!(blocks.next_or_end(Patience::Now).unwrap().is_none());
        assert!(awaited.next().await.unwrap().is_none());
    });
}

#[test]
fn a_gather_that_is_cancelled_has_handed_out_nothing() {
    let topology = topology(2);
    let (scheduler, mut workers) = met(&topology);
    on_one_thread(async {
        let mut scheduler = AsyncScheduler::new(scheduler);
        let mut late = AsyncWorker::new(workers.remove(1)).unwrap();
        let quick = tokio::spawn(serve(workers.remove(0)));
        let step = scheduler.broadcast(b"a step", 1).await.unwrap();
        let wait = Duration::from_millis(50);
        let gathering = scheduler.gather_for(step, Whom::All, soon());
        assert!(tokio::time::timeout(wait, gathering).await.is_err(), "one of them has not answered");
        let gathering = scheduler.gather(Whom::All, soon());
        assert!(tokio::time::timeout(wait, gathering).await.is_err(), "one of them has not answered");
        let mut broadcast = late.next().await.unwrap().unwrap();
        broadcast.answer(b"late", 1).await.unwrap();
        drop(broadcast);
        let answers = scheduler.gather_for(step, Whom::All, soon()).await;
        assert!(answers.iter().all(|answer| answer.step == Some(step)), "{answers:?}");
        assert_eq!(scheduler.report(0).unwanted, myelon::topology::Unwanted::default());
        scheduler.close().await;
        assert_eq!(quick.await.unwrap(), 1);
        assert!(late.next().await.unwrap().is_none());
    });
}

#[test]
fn the_end_of_a_worker_and_its_successor_are_awaited() {
    let topology = topology(1);
    let (scheduler, mut workers) = met(&topology);
    on_one_thread(async {
        let mut scheduler = AsyncScheduler::new(scheduler);
        let step = scheduler.broadcast(b"a step", 1).await.unwrap();
        let worker = workers.remove(0);
        let dying = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            drop(worker);
        });
        let died = scheduler.gather_for(step, Whom::Rank(0), soon()).await.remove(0);
        assert!(matches!(died.outcome, Outcome::Died { .. }), "{died:?}");
        dying.await.unwrap();
        let missing = scheduler.wait_for(0, Instant::now() + Duration::from_millis(30)).await;
        assert!(matches!(missing, Arrival::TimedOut { .. }), "{missing:?}");
        let successor = tokio::task::spawn_blocking({
            let topology = topology.clone();
            move || join(&topology, 0)
        });
        let arrival = scheduler.wait_for(0, soon()).await;
        assert!(matches!(arrival, Arrival::Joined { .. }), "{arrival:?}");
        let worker = tokio::spawn(serve(successor.await.unwrap()));
        let answer = scheduler.gather_for(step, Whom::Rank(0), soon()).await.remove(0);
        assert!(matches!(answer.outcome, Outcome::Message { .. }), "{answer:?}");
        scheduler.close().await;
        assert_eq!(worker.await.unwrap(), 1);
    });
}

#[test]
fn the_last_answer_of_a_deadline_that_has_passed_is_that_nothing_has_come() {
    let topology = topology(1);
    let (scheduler, workers) = met(&topology);
    on_one_thread(async {
        let mut scheduler = AsyncScheduler::new(scheduler);
        let step = scheduler.broadcast(b"a step", 1).await.unwrap();
        let answers = scheduler.gather_for(step, Whom::Any, Instant::now() + Duration::from_millis(10)).await;
        assert!(matches!(&answers[..], [answer] if matches!(answer.outcome, Outcome::TimedOut)), "{answers:?}");
        drop(workers);
    });
}

#[test]
fn what_is_urgent_is_heard_first_by_a_task_as_well() {
    let topology = topology(1).with_urgent_lane();
    let (scheduler, mut workers) = met(&topology);
    on_one_thread(async {
        let mut scheduler = AsyncScheduler::new(scheduler);
        let mut worker = AsyncWorker::new(workers.remove(0)).unwrap();
        let step = scheduler.broadcast(b"a step", 1).await.unwrap();
        scheduler.broadcast_urgent(b"cancel", 2).unwrap();
        let first = worker.next().await.unwrap().unwrap();
        assert_eq!((first.is_urgent(), first.step(), &first[..]), (true, step, &b"cancel"[..]));
        drop(first);
        let second = worker.next().await.unwrap().unwrap();
        assert_eq!((second.is_urgent(), &second[..]), (false, &b"a step"[..]));
        drop(second);
        // An urgent message alone wakes a task that waits.
        let waiting = tokio::spawn(async move {
            let kind = worker.next().await.unwrap().unwrap().kind();
            (worker, kind)
        });
        tokio::task::yield_now().await;
        scheduler.broadcast_urgent(b"pause", 3).unwrap();
        let (mut worker, kind) = waiting.await.unwrap();
        assert_eq!(kind, 3);
        scheduler.close().await;
        assert!(worker.next().await.unwrap().is_none());
    });
}

#[test]
fn an_awaited_gather_without_end_ends_when_each_worker_has_answered_died_or_left() {
    let topology = topology(3);
    let (scheduler, mut workers) = met(&topology);
    on_one_thread(async {
        let mut scheduler = AsyncScheduler::new(scheduler);
        let step = scheduler.broadcast(b"a step", 1).await.unwrap();
        let ending = tokio::spawn(async move {
            workers.pop().unwrap().leave();
            drop(workers.pop().unwrap());
            let mut last = AsyncWorker::new(workers.pop().unwrap()).unwrap();
            let mut broadcast = last.next().await.unwrap().unwrap();
            broadcast.answer(b"an answer", 1).await.unwrap();
            drop(broadcast);
            last
        });
        let answers = scheduler.gather_for(step, Whom::All, Patience::Endless).await;
        let outcomes: Vec<_> = answers.into_iter().map(|answer| answer.outcome).collect();
        assert!(
            matches!(&outcomes[..], [Outcome::Message { .. }, Outcome::Died { .. }, Outcome::Left]),
            "{outcomes:?}"
        );
        let last = ending.await.unwrap();
        let dying = tokio::spawn(async move { drop(last) });
        let answer = scheduler.gather(Whom::Any, Patience::Managed).await.remove(0);
        assert!(matches!(answer.outcome, Outcome::Died { .. }) && answer.rank == 0, "{answer:?}");
        dying.await.unwrap();
        assert!(matches!(scheduler.wait_for(2, Patience::Endless).await, Arrival::Left));
        let missing = scheduler.wait_for(0, Duration::from_millis(2)).await;
        assert!(matches!(missing, Arrival::TimedOut { .. }), "{missing:?}");
        let died = scheduler.gather(Whom::Rank(0), Patience::Now).await.remove(0);
        assert!(matches!(died.outcome, Outcome::Died { .. }), "{died:?}");
    });
}
