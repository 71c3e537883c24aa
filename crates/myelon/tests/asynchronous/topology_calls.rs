//! An awaited call of a topology's end that fails names its end, as a blocking call does.

use crate::stage::in_either_runtime;
use myelon::Patience;
use myelon::asynchronous::{AsyncScheduler, AsyncTypedScheduler, AsyncTypedWorker, AsyncWorker};
use myelon::topology::{
    Outcome, SchedulerEnd, Topology, TopologyError, TypedScheduler, TypedWorker, Whom, WorkerEnd, Workers,
};
use std::time::Duration;
use testkit::watchdog::PATIENCE;

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Bytes(Vec<u8>);

myelon::bincode_message!(Bytes);

const RING_BYTES: usize = 16 << 10;
const TOO_LARGE_BYTES: usize = 1 << 20;

fn stage() -> (Topology, String, String) {
    let label = testkit::names::short();
    let topology: Topology = Topology::with_depths(&label, 1usize, RING_BYTES, RING_BYTES).unwrap();
    let name = topology.worker_consumer_id(0);
    (topology.with_rendezvous_timeout(PATIENCE).with_urgent_lane(), label, name)
}

/// Both sides after they met by `launch` and `join`, which block.
fn met<S: Send, W: Send>(launch: impl FnOnce() -> S + Send, join: impl FnOnce() -> W + Send) -> (S, W) {
    std::thread::scope(|scope| {
        let joining = scope.spawn(join);
        (launch(), joining.join().unwrap())
    })
}

#[track_caller]
fn too_large(title: &str, sent: Result<i64, TopologyError>) {
    let error = sent.unwrap_err();
    let (text, inner) = (error.to_string(), error.source.to_string());
    assert_eq!(text, format!("{title}: {inner}"));
    assert!(inner.starts_with("a message of ") && inner.contains(" bytes does not fit: at most "), "{inner}");
}

#[track_caller]
fn full(title: &str, mut send: impl FnMut() -> Result<i64, TopologyError>) {
    let error = loop {
        if let Err(error) = send() {
            break error;
        }
    };
    assert!(error.is_full());
    assert_eq!(error.to_string(), format!("{title}: the ring is full"));
}

#[test]
fn an_awaited_call_of_bytes_that_fails_says_whose_end_it_is() {
    in_either_runtime("awaited calls that fail", |runtime| {
        let (topology, label, name) = stage();
        let (scheduler, worker): (SchedulerEnd, WorkerEnd) = met(
            || topology.launch(Workers::started_elsewhere()).unwrap(),
            || WorkerEnd::join(&topology.invitation(0).unwrap()).unwrap(),
        );
        runtime.block_on(async {
            let mut scheduler = AsyncScheduler::new(scheduler);
            let mut worker = AsyncWorker::new(worker).unwrap();
            let huge = vec![0; TOO_LARGE_BYTES];
            too_large(&label, scheduler.broadcast(&huge, 1).await);
            let urgent = scheduler.broadcast_urgent(&huge, 1).unwrap_err().to_string();
            assert!(urgent.starts_with(&format!("{label}: a message of 1048576 bytes does not fit")), "{urgent}");
            let step = scheduler.broadcast(b"a step", 1).await.unwrap();
            full(&label, || scheduler.try_broadcast(&[0; 1000], 1));
            too_large(&name, worker.answer(step, &huge, 1).await);
            let mut broadcast = worker.next().await.unwrap().unwrap();
            too_large(&name, broadcast.answer(&huge, 1).await);
            drop(broadcast);
            full(&name, || worker.rings().1.send(&[0; 1000], 1, Patience::Now));
            let dying = worker.into_inner();
            tokio::task::spawn_blocking(move || drop(dying)).await.unwrap();
            // The ring is full of what the dead worker has not taken.
            let error = scheduler.broadcast(&[0; 1000], 1).await.unwrap_err();
            assert!(error.is_peer_gone(), "{error}");
            let begins = format!("{label}: consumer `{name}` (process {}) ", std::process::id());
            assert!(error.to_string().starts_with(&begins), "{error}");
        });
    });
}

#[test]
fn an_awaited_typed_call_that_fails_says_whose_end_it_is() {
    in_either_runtime("awaited typed calls that fail", |runtime| {
        let (topology, label, name) = stage();
        let (scheduler, worker): (TypedScheduler<Bytes, Bytes>, TypedWorker<Bytes, Bytes>) = met(
            || TypedScheduler::launch(topology.clone(), Workers::started_elsewhere()).unwrap(),
            || TypedWorker::join(&topology.invitation(0).unwrap()).unwrap(),
        );
        runtime.block_on(async {
            let mut scheduler = AsyncTypedScheduler::new(scheduler);
            let mut worker = AsyncTypedWorker::new(worker).unwrap();
            let huge = Bytes(vec![0; TOO_LARGE_BYTES]);
            too_large(&label, scheduler.broadcast(&huge, 1).await);
            let step = scheduler.broadcast(&Bytes(vec![]), 1).await.unwrap();
            too_large(&name, worker.answer(step, &huge, 1).await);
            let mut broadcast = worker.next().await.unwrap().unwrap();
            too_large(&name, broadcast.answer(&huge, 1).await);
            drop(broadcast);
            let undecodable = format!("{name}: bincode could not decode 1 bytes: ");
            scheduler.broadcast_ring().send(&[9], 1, Patience::Now).unwrap();
            let error = worker.next().await.map(drop).unwrap_err();
            assert!(error.to_string().starts_with(&undecodable), "{error}");
            let mut responses = worker.rings().1;
            responses.set_in_reply_to(Some(step));
            responses.send(&[9], 1, Patience::Now).unwrap();
            match scheduler.gather_for(step, Whom::All, PATIENCE).await.remove(0).outcome {
                Err(Outcome::Unreadable(error)) => assert!(error.to_string().starts_with(&undecodable), "{error}"),
                other => panic!("{other:?}"),
            }
            full(&label, || scheduler.try_broadcast(&Bytes(vec![0; 1000]), 1));
        });
    });
}

#[test]
fn an_awaited_worker_whose_scheduler_dies_by_a_panic_says_which_worker_it_is() {
    in_either_runtime("a scheduler dropped by a panic", |runtime| {
        let (topology, _, name) = stage();
        let (scheduler, worker): (SchedulerEnd, WorkerEnd) = met(
            || topology.launch(Workers::started_elsewhere()).unwrap(),
            || WorkerEnd::join(&topology.invitation(0).unwrap()).unwrap(),
        );
        let panicking = std::thread::spawn(move || {
            let _scheduler = scheduler;
            std::panic::resume_unwind(Box::new("as a scheduler does"));
        });
        panicking.join().unwrap_err();
        runtime.block_on(async {
            let mut worker = AsyncWorker::new(worker).unwrap();
            let next = tokio::time::timeout(Duration::from_secs(20), worker.next()).await.unwrap();
            let error = next.map(drop).unwrap_err();
            assert!(error.is_peer_gone() && error.is_end());
            assert!(
                error.to_string().starts_with(&format!(
                    "{name}: the producer was dropped by a panic; wait for another one, or give up: ring "
                )),
                "{error}"
            );
        });
    });
}
