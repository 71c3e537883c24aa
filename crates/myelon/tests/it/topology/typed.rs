//! Types in both directions.

use super::actors::command_of;
use super::stage::{Stage, soon};
use disruptor_mp::counters::{CountersFile, ids};
use myelon::Patience;
use myelon::topology::{
    Arrival, Invitation, Outcome, Parting, TopologyError, TypedScheduler, TypedWorker, Whom, Workers,
};
use myelon::transport::TransportError;
use serde::{Deserialize, Serialize};
use testkit::process::is_victim;
use testkit::test_name;
use testkit::watchdog::{PATIENCE, Watchdog, eventually};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Step {
    number: u64,
    tokens: Vec<u32>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Sum {
    step: u64,
    tokens: u64,
}

myelon::bincode_message!(Step);
myelon::bincode_message!(Sum);

#[test]
#[ignore = "runs as a victim"]
fn victim_that_adds() {
    if !is_victim() {
        return;
    }
    let mut worker: TypedWorker<Step, Sum> = TypedWorker::join(&Invitation::from_environment().unwrap()).unwrap();
    let add = |step: Step, _| {
        let tokens = step.tokens.iter().copied().map(u64::from).sum();
        Ok::<_, TopologyError>(Sum { step: step.number, tokens })
    };
    // However `serve` ends, this process leaves in good order, and the scheduler is told so.
    let _ = worker.serve(add);
}

fn adders() -> Workers {
    Workers::spawned(|_| command_of(test_name!(victim_that_adds), "adds"))
}

#[test]
fn steps_go_out_and_sums_come_back() {
    let stage = Stage::new(3);
    let mut scheduler: TypedScheduler<Step, Sum> = TypedScheduler::launch(stage.topology.clone(), adders()).unwrap();
    for number in 0..20 {
        let step = Step { number, tokens: (0..number as u32 * 50).collect() };
        scheduler.broadcast(&step, 4, Patience::Until(soon())).unwrap();
        let tokens = step.tokens.iter().copied().map(u64::from).sum();
        for answer in scheduler.gather(Whom::All, soon()) {
            assert_eq!(answer.outcome.unwrap(), (Sum { step: number, tokens }, 4), "rank {}", answer.rank);
        }
    }
    for departure in scheduler.close() {
        assert!(matches!(departure.how, Parting::Exited { status } if status.success()), "{departure:?}");
    }
    stage.assert_nothing_left();
}

#[test]
fn an_urgent_message_has_the_type_of_the_steps_and_serving_it_answers_none() {
    let stage = Stage::new(1);
    let topology = stage.topology.clone().with_urgent_lane();
    let mut scheduler: TypedScheduler<Step, Sum> = TypedScheduler::launch(topology, adders()).unwrap();
    for number in 0..20 {
        scheduler.broadcast_urgent(&Step { number: 99, tokens: vec![9] }, 9).unwrap();
        let step = Step { number, tokens: vec![1, 2] };
        let sent = scheduler.broadcast(&step, 4, Patience::Until(soon())).unwrap();
        scheduler.broadcast_urgent(&Step { number: 99, tokens: vec![9] }, 9).unwrap();
        let answer = scheduler.gather_for(sent, Whom::Rank(0), soon()).remove(0);
        assert_eq!((answer.outcome.unwrap(), answer.step), ((Sum { step: number, tokens: 3 }, 4), Some(sent)));
    }
    assert_eq!(scheduler.report(0).unwanted, Default::default());
}

#[test]
fn a_worker_hears_what_is_urgent_as_a_value_while_it_works_on_a_step() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "an urgent message for a worker that is busy");
    let stage = Stage::new(1);
    let topology = stage.topology.clone().with_urgent_lane();
    let invitation = topology.invitation(0).unwrap();
    let worker = std::thread::spawn(move || {
        let mut worker: TypedWorker<Step, Sum> = TypedWorker::join(&invitation).unwrap();
        let mut step = worker.next(Patience::Until(soon())).unwrap().unwrap();
        let mut heard = None;
        eventually("an urgent message", PATIENCE, || {
            heard = step.urgent().unwrap();
            heard.is_some()
        })
        .unwrap();
        let urgent = heard.unwrap();
        assert_eq!((urgent.message, urgent.kind, urgent.step), (Step { number: 99, tokens: vec![] }, 9, step.step()));
        assert!(step.urgent().unwrap().is_none(), "it was acknowledged");
        step.answer(&Sum { step: 1, tokens: 0 }, 4, Patience::Until(soon())).unwrap();
        drop(step);
        assert!(worker.next_or_end(Patience::Until(soon())).unwrap().is_none());
    });
    let elsewhere = Workers::started_elsewhere();
    let mut scheduler: TypedScheduler<Step, Sum> = TypedScheduler::launch(topology, elsewhere).unwrap();
    let sent = scheduler.broadcast(&Step { number: 1, tokens: vec![1] }, 1, Patience::Until(soon())).unwrap();
    let mut is_inside = || scheduler.report(0).to_string().contains("its handler has it");
    eventually("a worker in its handler", PATIENCE, &mut is_inside).unwrap();
    scheduler.broadcast_urgent(&Step { number: 99, tokens: vec![] }, 9).unwrap();
    let answer = scheduler.gather_for(sent, Whom::Rank(0), soon()).remove(0);
    assert_eq!(answer.outcome.unwrap(), (Sum { step: 1, tokens: 0 }, 4));
    scheduler.close();
    worker.join().unwrap();
    stage.assert_nothing_left();
}

#[test]
fn bytes_of_no_type_end_a_worker_and_not_its_successor() {
    let stage = Stage::new(1);
    let mut scheduler: TypedScheduler<Step, Sum> = TypedScheduler::launch(stage.topology.clone(), adders()).unwrap();
    // A step without its tokens.
    scheduler.broadcast_raw(&[1], 1, Patience::Until(soon())).unwrap();
    let ended = scheduler.gather(Whom::All, soon()).remove(0).outcome.unwrap_err();
    assert!(matches!(ended, Outcome::Left), "{ended:?}");
    scheduler.restart(0).unwrap();
    let arrival = scheduler.wait_for(0, soon());
    assert!(matches!(arrival, Arrival::Joined { .. }), "{arrival:?}");
    scheduler.broadcast(&Step { number: 2, tokens: vec![3, 4] }, 1, Patience::Until(soon())).unwrap();
    let answer = scheduler.gather(Whom::All, soon()).remove(0);
    assert_eq!(answer.outcome.unwrap(), (Sum { step: 2, tokens: 7 }, 1));
}

#[test]
fn a_step_that_can_never_fit_is_refused_at_once_although_no_worker_reads() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "a broadcast that never fits");
    let stage = Stage::new(1);
    let invitation = stage.topology.invitation(0).unwrap();
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    let idle = std::thread::spawn(move || {
        let worker: TypedWorker<Step, Sum> = TypedWorker::join(&invitation).unwrap();
        let _ = is_done.recv();
        drop(worker);
    });
    let elsewhere = Workers::started_elsewhere();
    let mut scheduler: TypedScheduler<Step, Sum> = TypedScheduler::launch(stage.topology.clone(), elsewhere).unwrap();
    scheduler.broadcast(&Step { number: 1, tokens: vec![1] }, 1, Patience::Endless).unwrap();
    let huge = Step { number: 2, tokens: vec![0; 2 << 20] };
    let refused = scheduler.broadcast(&huge, 1, Patience::Endless).unwrap_err();
    let TransportError::TooLarge { len_bytes, depth_wanted, .. } = *refused.source else { panic!("{refused:?}") };
    assert_eq!((len_bytes, depth_wanted), (8 + 8 + (8 << 20), Some(16 << 20)));
    drop(done);
    idle.join().unwrap();
}

/// The sum of the counters with this id in a ring.
fn value(file: &CountersFile, id: u32) -> u64 {
    file.snapshot().iter().filter(|counter| counter.id == id).map(|counter| counter.value).sum()
}

#[test]
fn what_both_ends_encode_and_decode_is_counted() {
    let _watchdog = Watchdog::new(PATIENCE, "a topology that counts");
    let stage = Stage::new(1);
    let topology = stage.topology.clone().with_urgent_lane();
    let (mut scheduler, mut worker) = std::thread::scope(|scope| {
        let joining = scope.spawn(|| TypedWorker::<Step, Sum>::join(&topology.invitation(0).unwrap()).unwrap());
        let scheduler = TypedScheduler::<Step, Sum>::launch(topology.clone(), Workers::started_elsewhere()).unwrap();
        (scheduler, joining.join().unwrap())
    });
    let step = |number| Step { number, tokens: vec![] };
    let broadcasts = CountersFile::open_read_only(topology.layout().rpc_ring_name()).unwrap();
    let responses = CountersFile::open_read_only(topology.layout().response_ring_name(0).unwrap()).unwrap();
    let counted = |file: &CountersFile| {
        [ids::CODEC_ENCODE_TOTAL, ids::CODEC_DECODE_TOTAL, ids::CODEC_UNDECODABLE_COUNT].map(|id| value(file, id))
    };
    assert_eq!((counted(&broadcasts), counted(&responses)), ([0; 3], [0; 3]));
    scheduler.broadcast(&step(1), 0, Patience::Now).unwrap();
    scheduler.broadcast_raw(&[1], 0, Patience::Now).unwrap();
    scheduler.broadcast_urgent(&step(2), 0).unwrap();
    worker.next(Patience::Now).unwrap().unwrap().answer(&Sum { step: 2, tokens: 0 }, 0, Patience::Now).unwrap();
    worker.next(Patience::Now).unwrap().unwrap().answer(&Sum { step: 1, tokens: 0 }, 0, Patience::Now).unwrap();
    worker.next(Patience::Now).unwrap_err();
    assert_eq!((counted(&broadcasts), counted(&responses)), ([2, 2, 1], [2, 0, 0]));
    worker.rings().1.send(&[1], 0, Patience::Now).unwrap();
    worker.answer(1, &Sum { step: 1, tokens: 0 }, 0, Patience::Now).unwrap();
    for _ in 0..4 {
        scheduler.gather(Whom::All, Patience::Now);
    }
    assert_eq!(counted(&responses), [3, 3, 1]);
    // Decoded in another thread, by the decoder.
    let decode = worker.decoder();
    decode(&[1]).unwrap_err();
    assert!(worker.next(Patience::Now).unwrap().is_none());
    assert_eq!(counted(&broadcasts), [2, 2, 2]);
    // Also after the counters have moved.
    let file = CountersFile::boxed(64);
    scheduler.broadcast_ring().attach_counters(&file);
    let (mut heard, mut answered) = worker.rings();
    heard.attach_counters(&file);
    answered.attach_counters(&file);
    scheduler.broadcast(&step(3), 0, Patience::Now).unwrap();
    let mut heard = worker.next(Patience::Now).unwrap().unwrap();
    heard.answer(&Sum { step: 3, tokens: 0 }, 0, Patience::Now).unwrap();
    assert_eq!(counted(&file), [2, 1, 0]);
    scheduler.broadcast_urgent(&step(4), 0).unwrap();
    assert_eq!(heard.urgent().unwrap().unwrap().message, step(4));
    assert_eq!(counted(&file), [3, 2, 0]);
    drop(heard);
    scheduler.close();
}
