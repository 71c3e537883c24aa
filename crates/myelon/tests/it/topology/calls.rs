//! The whole text of an error when a call of an end fails: whose end it is, and what happened.

use super::actors::{scheduler, workers};
use super::stage::{Stage, in_one_process, soon};
use myelon::codec::EncodeShort;
use myelon::topology::{
    BorrowedProducer, Invitation, Outcome, SchedulerEnd, Topology, TopologyError, Whom, WorkerEnd, Workers,
};
use myelon::transport::{Records, TransportError};
use myelon::{Patience, Sequence};
use std::time::Duration;
use testkit::watchdog::{PATIENCE, Watchdog};

/// A patience that ends soon.
pub(super) const HASTY: Duration = Duration::from_millis(20);

/// More than any ring of the stage holds.
const TOO_LARGE_BYTES: usize = 1 << 20;

pub(super) type Sent = Result<Sequence, TopologyError>;

/// Checks the text of an error whose inner text has a report or a time in it: the inner text is compared with that of
/// its `source`.
#[track_caller]
pub(super) fn begins(error: &TopologyError, title: &str, inner: &str) {
    assert_eq!(error.to_string(), format!("{title}: {}", error.source));
    assert!(error.source.to_string().starts_with(inner), "{error}");
}

/// Checks the errors of a way to send: for a message that is too large, for a full ring, and for a ring that stays
/// full.
#[track_caller]
pub(super) fn sending_fails(title: &str, full: &str, mut send: impl FnMut(&[u8], Patience) -> Sent) {
    let too_large = send(&vec![0; TOO_LARGE_BYTES], Patience::Now).unwrap_err();
    begins(&too_large, title, "a message of ");
    let TransportError::TooLarge { len_bytes, limit_bytes, depth_wanted: Some(depth) } = *too_large.source else {
        panic!("{too_large}")
    };
    assert_eq!(
        too_large.to_string(),
        format!(
            "{title}: a message of {len_bytes} bytes does not fit: at most {limit_bytes}; a ring of depth {depth} would hold it"
        )
    );
    let error = loop {
        if let Err(error) = send(&[0; 1000], Patience::Now) {
            break error;
        }
    };
    assert!(error.is_full() && !error.is_timed_out());
    assert_eq!(error.to_string(), format!("{title}: the ring is full"));
    let error = send(&[0; 1000], HASTY.into()).unwrap_err();
    assert!(error.is_timed_out() && !error.is_full());
    begins(&error, title, &format!("timed out: ring {full} ("));
}

#[test]
fn a_broadcast_that_is_not_sent_says_of_which_session() {
    let _watchdog = Watchdog::new(PATIENCE, "broadcasts that fail");
    let stage = Stage::new(1);
    let label = stage.label();
    let (mut scheduler, _workers) = in_one_process(&stage.topology);
    sending_fails(label, label, |bytes, patience| scheduler.broadcast(bytes, 1, patience));
    let mut ring = scheduler.broadcast_ring();
    sending_fails(label, label, |bytes, patience| ring.send(bytes, 1, patience));
    sending_fails(label, label, |bytes, patience| {
        ring.send_with(1, bytes.len(), patience, |into| {
            let room = into.get_mut(..bytes.len()).ok_or(myelon::codec::EncodeShort::TooSmall)?;
            room.copy_from_slice(bytes);
            Ok(bytes.len())
        })
    });
}

#[test]
fn a_batch_in_a_lent_ring_says_of_which_session_and_how_many_were_sent() {
    let _watchdog = Watchdog::new(PATIENCE, "batches in a lent ring");
    let stage = Stage::new(1);
    let label = stage.label();
    let (mut scheduler, mut joined) = in_one_process(&stage.topology);
    let mut ring = scheduler.broadcast_ring();
    let sent = ring.send_batch(["one", "two"], 1, Patience::Now).unwrap();
    assert_eq!((sent.count, sent.last_sequence), (2, Some(ring.last_published_sequence())));
    let encode = |into: &mut [u8], index: usize| {
        into.get_mut(..1).ok_or(EncodeShort::Needs { len_bytes: 1 })?.fill(index as u8);
        Ok(1)
    };
    assert_eq!(ring.send_batch_with(3, 1, 1, Patience::Now, encode).unwrap().count, 3);
    let huge = vec![0; TOO_LARGE_BYTES];
    let error = ring.send_batch([&b"three"[..], &huge, b"four"], 1, Patience::Now).unwrap_err();
    assert_eq!(error.to_string(), format!("after 1 messages of the batch: {}", error.error));
    begins(&error.error, label, "a message of ");
    let full = loop {
        if let Err(error) = ring.send_batch([[0; 1000]; 4], 1, Patience::Now) {
            break error;
        }
    };
    assert!(full.is_full() && full.sent.count < 4);
    let full: TopologyError = full.into();
    assert_eq!(full.to_string(), format!("{label}: the ring is full"));
    let (mut broadcasts, _) = joined[0].rings();
    let mut next = || broadcasts.next(Patience::Now).unwrap().unwrap().to_vec();
    assert_eq!([next(), next(), next(), next(), next(), next()], [&b"one"[..], b"two", &[0], &[1], &[2], b"three"]);
}

#[test]
fn a_broadcast_that_waits_for_a_dead_worker_says_of_which_session_and_which_worker_that_is() {
    let _watchdog = Watchdog::new(PATIENCE, "a dead worker");
    let stage = Stage::new(1);
    let label = stage.label();
    let mut scheduler = stage.topology.launch(workers("hangs")).unwrap();
    let pid = scheduler.worker_pid(0).unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid.cast_signed()).unwrap(), testkit::Signal::KILL)
        .unwrap();
    let error = loop {
        if let Err(error) = scheduler.broadcast(&[0; 1000], 1, Patience::Endless) {
            break error;
        }
    };
    assert!(error.is_peer_gone());
    begins(
        &error,
        label,
        &format!(
            "consumer `{label}, rank 0` (process {pid}) died; attach again under its id, or evict it: ring {label} ("
        ),
    );
}

/// The error of every way to answer.
#[test]
fn an_answer_that_is_not_sent_says_of_which_worker() {
    let _watchdog = Watchdog::new(PATIENCE, "answers that fail");
    let stage = Stage::new(1);
    let name = stage.topology.worker_consumer_id(0);
    let (mut scheduler, mut joined) = in_one_process(&stage.topology);
    let step = scheduler.broadcast(b"a step", 1, Patience::Now).unwrap();
    let worker = &mut joined[0];
    sending_fails(&name, &name, |bytes, patience| worker.answer(step, bytes, 1, patience));
    sending_fails(&name, &name, |bytes, patience| worker.respond(bytes, 1, patience));
    sending_fails(&name, &name, |bytes, patience| worker.rings().1.send(bytes, 1, patience));
    let mut broadcast = worker.next(Patience::Now).unwrap().unwrap();
    sending_fails(&name, &name, |bytes, patience| broadcast.answer(bytes, 1, patience));
    sending_fails(&name, &name, |bytes, patience| broadcast.responses().send(bytes, 1, patience));
    broadcast.release_unread();
    let full = |responses: &mut BorrowedProducer<'_>| responses.send(&[0; 1000], 1, Patience::Now).map(drop);
    let served = worker.serve(|_, responses| full(responses)).unwrap_err();
    assert_eq!(served.to_string(), format!("{name}: the ring is full"));
}

#[test]
fn a_worker_that_hears_nothing_says_which_worker_it_is() {
    let _watchdog = Watchdog::new(PATIENCE, "a worker that hears nothing");
    for topology in [|stage: &Stage| stage.topology.clone(), |stage: &Stage| stage.topology.clone().with_urgent_lane()]
    {
        let stage = Stage::new(1);
        let topology: Topology = topology(&stage);
        let name = topology.worker_consumer_id(0);
        let (scheduler, mut joined) = in_one_process(&topology);
        let worker = &mut joined[0];
        let waits = |error: TopologyError| {
            assert!(error.is_timed_out() && !error.is_end());
            begins(&error, &name, "no event was handed out within ");
        };
        waits(worker.next(HASTY).unwrap_err());
        waits(worker.next_or_end(HASTY).unwrap_err());
        waits(worker.next_or_end(Patience::Now).unwrap_err());
        waits(worker.rings().0.next(HASTY).unwrap_err());
        waits(worker.rings().0.next_or_end(Patience::Now).unwrap_err());
        waits(worker.rings().0.next_held(HASTY).unwrap_err());
        let mut urgent = worker.take_urgent();
        if let Some(urgent) = &mut urgent {
            waits(urgent.next(HASTY).unwrap_err());
            waits(urgent.next_or_end(Patience::Now).unwrap_err());
        }
        scheduler.close();
        let closed = |error: TopologyError| {
            assert!(error.is_closed() && error.is_end() && !error.is_peer_gone());
            assert_eq!(error.to_string(), format!("{name}: the ring is closed"));
        };
        closed(worker.next(Patience::Endless).unwrap_err());
        closed(worker.rings().0.next(Patience::Endless).unwrap_err());
        closed(worker.rings().0.next_held(Patience::Endless).unwrap_err());
        assert!(worker.rings().0.messages().next().is_none());
        assert!(matches!(worker.next_or_end(Patience::Endless), Ok(None)), "that is no error of a loop");
        worker.serve(|_, _| Ok::<_, TopologyError>(())).unwrap();
        if let Some(urgent) = &mut urgent {
            closed(urgent.next(Patience::Endless).unwrap_err());
            assert!(matches!(urgent.next_or_end(Patience::Endless), Ok(None)));
        }
    }
}

#[test]
fn a_worker_at_its_held_limit_says_which_worker_it_is() {
    let stage = Stage::new(1);
    let name = stage.topology.worker_consumer_id(0);
    let (mut scheduler, mut joined) = in_one_process(&stage.topology);
    for _ in 0..=myelon::HELD_MAX {
        scheduler.broadcast(b"a step", 1, Patience::Now).unwrap();
    }
    let (mut broadcasts, _) = joined[0].rings();
    let mut held = Vec::new();
    let error = loop {
        match broadcasts.next_held(Patience::Now) {
            Ok(message) => held.push(message),
            Err(error) => break error,
        }
    };
    assert!(error.is_held_limit());
    begins(&error, &name, "");
}

/// Two workers of a scheduler in another process, which was killed.
fn bereft(stage: &Stage) -> (Vec<WorkerEnd>, u32) {
    let mut victim = scheduler(stage, "met");
    let workers = std::thread::scope(|scope| {
        let join = |rank| WorkerEnd::<Records>::join(&stage.topology.invitation(rank).unwrap()).unwrap();
        let joining = [0, 1].map(|rank| scope.spawn(move || join(rank)));
        joining.map(|joined| joined.join().unwrap()).into()
    });
    let pid = victim.pid();
    victim.kill_and_reap();
    (workers, pid)
}

#[test]
fn a_worker_whose_scheduler_was_killed_says_which_worker_it_is() {
    let _watchdog = Watchdog::new(PATIENCE, "a scheduler that is killed");
    let stage = Stage::new(2);
    let (mut workers, pid) = bereft(&stage);
    let name = stage.topology.worker_consumer_id(1);
    let worker = &mut workers[1];
    let died = |error: TopologyError| {
        assert!(error.is_peer_gone() && error.is_end() && !error.is_closed());
        begins(&error, &name, "the producer died; wait for another one, or give up: ");
        assert!(error.to_string().contains(&format!("pid {pid} ")), "{error}");
    };
    died(worker.serve(|_, _| Ok::<_, TopologyError>(())).unwrap_err());
    died(worker.next(Patience::Endless).unwrap_err());
    died(worker.next_or_end(Patience::Endless).unwrap_err());
    died(worker.rings().0.next(Patience::Endless).unwrap_err());
}

#[test]
fn a_worker_whose_scheduler_was_replaced_says_which_worker_it_is() {
    let _watchdog = Watchdog::new(PATIENCE, "a scheduler that is replaced");
    let stage = Stage::new(2);
    let (mut workers, _) = bereft(&stage);
    let name = stage.topology.worker_consumer_id(0);
    let hasty = stage.topology.clone().with_rendezvous_timeout(HASTY);
    hasty.launch(Workers::started_elsewhere()).unwrap_err();
    let error = workers[0].next(Patience::Endless).unwrap_err();
    assert!(error.is_end() && !error.is_peer_gone());
    assert_eq!(error.to_string(), format!("{name}: the ring was replaced; attach again"));
}

/// A scheduler and a worker with different descriptions.
fn of_two(schedulers: &Topology, workers: &Topology) -> (SchedulerEnd, WorkerEnd) {
    let invitation: Invitation = workers.invitation(0).unwrap();
    std::thread::scope(|scope| {
        let joining = scope.spawn(|| WorkerEnd::join(&invitation).unwrap());
        (schedulers.launch(Workers::started_elsewhere()).unwrap(), joining.join().unwrap())
    })
}

#[test]
fn what_a_scheduler_cannot_receive_is_said_of_the_worker_that_has_sent_it() {
    let _watchdog = Watchdog::new(PATIENCE, "answers that are too long");
    let stage = Stage::new(1);
    let name = stage.topology.worker_consumer_id(0);
    let topology = stage.topology.clone().with_message_limit(100);
    let (mut scheduler, mut worker) = of_two(&topology, &stage.topology);
    let wanted = format!(
        "{name}: a message was skipped: a message of 200 bytes is longer than this receiver's limit of 100; raise the limit if such messages are wanted"
    );
    let unreadable = |outcome: Outcome| match outcome {
        Outcome::Unreadable(error) => assert_eq!(error.to_string(), wanted),
        other => panic!("{other:?}"),
    };
    let mut ask = |ask: &mut dyn FnMut(&mut SchedulerEnd, Sequence) -> Outcome| {
        let step = scheduler.broadcast(b"a step", 1, Patience::Now).unwrap();
        worker.answer(step, &[0; 200], 1, Patience::Now).unwrap();
        unreadable(ask(&mut scheduler, step));
    };
    ask(&mut |scheduler, _| scheduler.gather(Whom::All, soon()).remove(0).outcome);
    ask(&mut |scheduler, step| scheduler.gather_for(step, Whom::Any, soon()).remove(0).outcome);
    ask(&mut |scheduler, _| scheduler.receive(0, soon()).unwrap_err());
    drop((scheduler, worker));
    let (mut scheduler, mut worker) = of_two(&stage.topology, &topology);
    for _ in 0..2 {
        scheduler.broadcast(&[0; 200], 1, Patience::Now).unwrap();
    }
    assert_eq!(worker.next(Patience::Now).unwrap_err().to_string(), wanted);
    assert_eq!(worker.rings().0.next(Patience::Now).unwrap_err().to_string(), wanted);
}
