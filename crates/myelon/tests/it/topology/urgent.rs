//! The urgent lane: urgent messages overtake others, however full the other ring is.

use super::actors::{by_hand, command, scheduler, workers};
use super::stage::{Stage, in_one_process, round, said, soon};
use myelon::liveness::RefusalCause;
use myelon::topology::{
    Arrival, Change, LaunchError, MissingState, Outcome, SchedulerEnd, Topology, UrgentError, Whom, WorkerEnd,
    WorkerJoinError, Workers,
};
use myelon::transport::{HeldMessage, Records, TransportError};
use myelon::{ConsumeError, HELD_MAX, Patience};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use testkit::usage::Usage;
use testkit::watchdog::{PATIENCE, Watchdog, eventually};

/// The kind of a message that cancels.
const CANCEL: u8 = 99;

/// Broadcasts until there is no room.
fn fill(scheduler: &mut SchedulerEnd) -> i64 {
    while scheduler.broadcast(&[7; 1000], 1, Patience::Now).is_ok() {}
    scheduler.broadcast_ring().last_published_sequence()
}

#[test]
fn what_is_urgent_is_heard_before_a_full_ring_and_says_after_which_step_it_was_sent() {
    let stage = Stage::new(1);
    let topology = stage.topology.clone().with_urgent_lane();
    let (mut scheduler, mut workers) = in_one_process(&topology);
    let worker = &mut workers[0];
    scheduler.broadcast_urgent(b"first of all", CANCEL).unwrap();
    let first = worker.next(Patience::Now).unwrap().unwrap();
    assert_eq!((first.is_urgent(), first.step(), first.kind(), &first[..]), (true, -1, CANCEL, &b"first of all"[..]));
    drop(first);
    let last = fill(&mut scheduler);
    scheduler.broadcast_urgent(b"cancel", CANCEL).unwrap();
    let mut cancel = worker.next(Patience::Now).unwrap().unwrap();
    assert_eq!((cancel.is_urgent(), cancel.step(), &cancel[..]), (true, last, &b"cancel"[..]));
    // An answer to it answers the cancelled step.
    cancel.answer(b"cancelled", 2, Patience::Now).unwrap();
    drop(cancel);
    let answer = scheduler.gather_for(last, Whom::Rank(0), soon()).remove(0);
    assert_eq!((said(&answer), answer.step), ("cancelled".to_owned(), Some(last)));
    // Then come the steps, from the first on; and in a handler, the urgent messages that came meanwhile.
    let mut step = worker.next(Patience::Now).unwrap().unwrap();
    assert_eq!((step.is_urgent(), step.step()), (false, 0));
    assert!(step.urgent().unwrap().is_none());
    scheduler.broadcast_urgent(b"pause", CANCEL).unwrap();
    let pause = step.urgent().unwrap().unwrap();
    assert_eq!((&pause[..], pause.in_reply_to()), (&b"pause"[..], Some(last)));
    drop(pause);
    assert!(step.urgent().unwrap().is_none());
}

#[test]
fn a_full_urgent_lane_is_an_error_at_once_that_names_the_worker() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "an urgent message that is not taken");
    let stage = Stage::new(2);
    let topology = stage.topology.clone().with_urgent_depth(4096).unwrap();
    let (mut scheduler, mut workers) = in_one_process(&topology);
    let error = loop {
        drop(workers[0].next(Patience::Now).unwrap());
        match scheduler.broadcast_urgent(&[0; 100], CANCEL) {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    let (text, label) = (error.to_string(), stage.label());
    let UrgentError::UrgentFull { report, .. } = error else { panic!("{text}") };
    assert_eq!(report.culprit.as_ref().map(|culprit| culprit.id.clone()), Some(format!("{label}, rank 1")));
    let ring = topology.layout().urgent_ring_name();
    assert!(
        text.starts_with(&format!("{label}: the urgent lane is full; send the message again later: ring {label} (shm:{ring}): producer waits for ")),
        "{text}"
    );
    assert!(text.contains(&format!("; {label}, rank 1 pid ")) && text.ends_with("; gives up"), "{text}");
    // The broadcasts go on, and so does the lane once it was read.
    let step = scheduler.broadcast(b"a step", 1, Patience::Now).unwrap();
    while workers[1].next(Patience::Now).unwrap().is_some_and(|message| message.step() < step) {}
    scheduler.broadcast_urgent(b"again", CANCEL).unwrap();
}

#[test]
fn a_worker_that_has_left_holds_no_urgent_lane_back() {
    let stage = Stage::new(2);
    let topology = stage.topology.clone().with_urgent_depth(4096).unwrap();
    let (mut scheduler, mut workers) = in_one_process(&topology);
    // One worker gives its entry up while another thread has its handle; the other worker is evicted.
    let handle = workers[1].take_urgent().unwrap();
    assert!(workers[1].take_urgent().is_none());
    workers.remove(1).leave();
    drop(handle);
    drop(workers.remove(0));
    assert!(scheduler.broadcast_ring().evict_consumer(&topology.worker_consumer_id(0)).unwrap());
    for _ in 0..200 {
        scheduler.broadcast_urgent(&[0; 100], CANCEL).unwrap();
    }
}

#[test]
fn a_worker_that_was_invited_without_the_urgent_lane_is_named_at_the_launch_and_ends() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "a worker without the lane");
    let stage = Stage::new(1);
    let mut worker = by_hand("says what it hears", &stage.topology.invitation(0).unwrap());
    let launched = stage.topology.clone().with_urgent_lane().launch(Workers::started_elsewhere());
    let error = launched.map(drop).unwrap_err();
    let LaunchError::Missing { missing, .. } = &error else { panic!("{error}") };
    assert!(matches!(missing[0].state, MissingState::NoUrgentLane { pid } if pid == worker.pid()), "{error}");
    let says = format!("rank 0 (process {} has joined without the urgent lane: make its invitation", worker.pid());
    assert!(error.to_string().contains(&says), "{error}");
    worker.wait_line("REFUSED");
    assert!(worker.wait_exit(PATIENCE).success());
    stage.assert_nothing_left();
}

#[test]
fn a_worker_that_was_invited_to_an_urgent_lane_that_there_is_not_is_refused_at_once_and_named_at_the_launch() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "a worker with a lane of its own");
    let stage = Stage::new(1);
    let topology = stage.topology.clone().with_rendezvous_timeout(Duration::from_secs(3600));
    let invitation = topology.clone().with_urgent_lane().invitation(0).unwrap();
    let place = format!("shm:{}", topology.layout().urgent_ring_name());
    let worker = std::thread::spawn(move || WorkerEnd::<Records>::join(&invitation).map(drop).unwrap_err());
    let error = topology.launch(Workers::started_elsewhere()).map(drop).unwrap_err();
    let LaunchError::Missing { missing, .. } = &error else { panic!("{error}") };
    let MissingState::Refused { refusal, .. } = &missing[0].state else { panic!("{error}") };
    assert_eq!((refusal.cause, refusal.pid), (RefusalCause::OtherRings, std::process::id()));
    let says =
        format!("{}, rank 0 (process {} could not join: {})", stage.label(), refusal.pid, RefusalCause::OtherRings);
    assert!(error.to_string().contains(&says), "{error}");
    let error = worker.join().unwrap();
    assert!(matches!(error, WorkerJoinError::NoUrgentLane { .. }), "{error}");
    let says = format!(
        "{}, rank 0: the invitation speaks of an urgent lane, and the scheduler has made none at {place}: make the \
         invitation from the scheduler's topology",
        stage.label()
    );
    assert_eq!(error.to_string(), says);
    stage.assert_nothing_left();
}

#[test]
fn a_successor_whose_invitation_is_of_another_topology_is_refused_and_its_scheduler_told() {
    let _watchdog = Watchdog::new(PATIENCE * 4, "successors with a wrong invitation");
    let stage = Stage::new(1);
    let plain = stage.topology.clone();
    let lane = |depth| plain.clone().with_urgent_depth(depth).unwrap();
    let depths = |broadcast, response| {
        Topology::<Records>::with_depths(stage.label(), 1usize, broadcast, response).unwrap().invitation(0).unwrap()
    };
    let (broadcast, response) = (plain.layout().rpc_depth(), plain.layout().response_depth());
    for (what, topology, invitation, cause) in [
        ("a lane", plain.clone(), lane(4096).invitation(0).unwrap(), RefusalCause::OtherRings),
        ("no lane", lane(4096), plain.invitation(0).unwrap(), RefusalCause::OtherRings),
        ("a lane's depth", lane(4096), lane(8192).invitation(0).unwrap(), RefusalCause::OtherShape),
        ("the broadcasts' depth", plain.clone(), depths(2 * broadcast, response), RefusalCause::OtherShape),
        ("the responses' depth", plain.clone(), depths(broadcast, 2 * response), RefusalCause::OtherShape),
    ] {
        let (mut scheduler, workers) = in_one_process(&topology);
        drop(workers);
        let successor = std::thread::spawn(move || WorkerEnd::<Records>::join(&invitation).map(drop).unwrap_err());
        let mut told = None;
        eventually(what, PATIENCE, || {
            for (_, change) in scheduler.check_workers() {
                if let Change::JoinFailed { refusal, .. } = change {
                    told = refusal;
                }
            }
            told.is_some()
        })
        .unwrap();
        assert_eq!(told.unwrap().cause, cause, "{what}");
        let error = successor.join().unwrap();
        let text = error.to_string();
        assert!(text.starts_with(&format!("{}, rank 0: ", stage.label())), "{text}");
        let is_named = match what {
            "a lane" => matches!(error, WorkerJoinError::NoUrgentLane { .. }),
            "a lane's depth" => matches!(error, WorkerJoinError::Urgent { .. }),
            "the broadcasts' depth" => matches!(error, WorkerJoinError::Broadcast { .. }),
            _ => matches!(error, WorkerJoinError::Refused { cause: said, .. } if said == cause),
        };
        assert!(is_named, "{what}: {text}");
    }
    stage.assert_nothing_left();
}

#[test]
fn a_topology_without_an_urgent_lane_has_no_such_ring_and_says_so() {
    let stage = Stage::new(1);
    let mut scheduler = stage.topology.launch(workers("answers")).unwrap();
    round(&mut scheduler, "hello");
    let text = scheduler.broadcast_urgent(b"cancel", CANCEL).unwrap_err().to_string();
    assert_eq!(text, format!("{} has no urgent lane: give its topology one, by `with_urgent_lane`", stage.label()));
    assert!(!Path::new("/dev/shm").join(stage.topology.layout().urgent_ring_name()).exists());
}

#[test]
fn a_stopped_worker_with_a_full_ring_hears_what_is_urgent_first_when_it_goes_on() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "a stopped worker");
    let stage = Stage::new(1);
    let topology = stage.topology.clone().with_urgent_lane();
    let mut worker = by_hand("says what it hears", &topology.invitation(0).unwrap());
    let mut scheduler = topology.launch(Workers::started_elsewhere()).unwrap();
    worker.wait_line("JOINED");
    scheduler.broadcast(b"to begin with", 1, Patience::Until(soon())).unwrap();
    worker.wait_line("HEARD 0 of 1");
    worker.stop();
    let last = fill(&mut scheduler);
    scheduler.broadcast_urgent(b"cancel", CANCEL).unwrap();
    worker.cont();
    let first = worker.wait_line("HEARD ");
    assert_eq!(first, format!("HEARD {last} of {CANCEL}, urgent"));
    worker.wait_line("HEARD 1 of 1");
    drop(scheduler);
    assert!(worker.wait_exit(PATIENCE).success());
    stage.assert_nothing_left();
}

#[test]
fn a_worker_that_waits_is_woken_by_either_lane_and_by_the_end() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "a wait at two rings");
    let stage = Stage::new(1);
    let topology = stage.topology.clone().with_urgent_lane();
    let mut worker = by_hand("says what it hears", &topology.invitation(0).unwrap());
    let mut scheduler = topology.launch(Workers::started_elsewhere()).unwrap();
    worker.wait_line("JOINED");
    for round in 0..20 {
        let step = scheduler.broadcast(b"a step", 1, Patience::Until(soon())).unwrap();
        worker.wait_line(&format!("HEARD {step} of 1"));
        scheduler.broadcast_urgent(b"pause", round).unwrap();
        worker.wait_line(&format!("HEARD {step} of {round}, urgent"));
    }
    scheduler.close();
    worker.wait_line("CLOSED");
    assert!(worker.wait_exit(PATIENCE).success());
    stage.assert_nothing_left();
}

#[test]
fn a_successor_hears_what_was_urgent_for_its_predecessor() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "an urgent message for a successor");
    let stage = Stage::new(1);
    let topology = stage.topology.clone().with_urgent_lane();
    let starts = AtomicUsize::new(0);
    let spawn = move |_| command(["hangs", "answers"][starts.fetch_add(1, Ordering::Relaxed).min(1)]);
    let mut scheduler = topology.launch(Workers::spawned(spawn)).unwrap();
    let step = scheduler.broadcast(b"a step", 1, Patience::Now).unwrap();
    let is_inside = |report: myelon::topology::WorkerReport| report.to_string().contains("its handler has it");
    eventually("a worker in its handler", PATIENCE, || is_inside(scheduler.report(0))).unwrap();
    scheduler.broadcast_urgent(b"cancel", CANCEL).unwrap();
    scheduler.restart(0).unwrap();
    assert!(matches!(scheduler.wait_for(0, soon()), Arrival::Joined { .. }));
    // It is served first, and answers the step before it.
    let answer = scheduler.gather_for(step, Whom::Rank(0), soon()).remove(0);
    assert_eq!((said(&answer), answer.step), ("CANCEL".to_owned(), Some(step)));
    drop(scheduler);
    stage.assert_nothing_left();
}

#[test]
fn another_thread_hears_what_is_urgent_while_the_handler_is_busy() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "an urgent handle");
    let stage = Stage::new(1);
    let topology = stage.topology.clone().with_urgent_lane();
    let (mut scheduler, mut workers) = in_one_process(&topology);
    let mut worker = workers.remove(0);
    let mut urgent = worker.take_urgent().unwrap();
    let (say, heard) = std::sync::mpsc::channel();
    let listener = std::thread::spawn(move || {
        while let Some(message) = urgent.next_or_end(Patience::Endless).unwrap() {
            say.send((message.to_vec(), message.in_reply_to())).unwrap();
        }
    });
    let step = scheduler.broadcast(b"a step", 1, Patience::Now).unwrap();
    let mut busy = worker.next(Patience::Now).unwrap().unwrap();
    scheduler.broadcast_urgent(b"cancel", CANCEL).unwrap();
    assert_eq!(heard.recv_timeout(PATIENCE).unwrap(), (b"cancel".to_vec(), Some(step)));
    assert!(busy.urgent().unwrap().is_none(), "the handle has them");
    drop(busy);
    scheduler.close();
    listener.join().unwrap();
    drop(worker);
    stage.assert_nothing_left();
}

#[test]
fn a_worker_that_waits_at_two_lanes_sleeps() {
    let stage = Stage::new(2);
    let topology = stage.topology.clone().with_urgent_lane();
    let mut hands: Vec<_> = (0..2).map(|rank| by_hand("answers", &topology.invitation(rank).unwrap())).collect();
    let mut scheduler = scheduler(&stage, "does not, with an urgent lane");
    scheduler.wait_line("WORKER");
    // The test measures processor time during a second of waiting; it does not matter when that second ends.
    std::thread::sleep(Duration::from_millis(100));
    let before: Vec<_> = hands.iter().map(|hand| Usage::of(hand.pid()).unwrap()).collect();
    let began = Instant::now();
    std::thread::sleep(Duration::from_secs(1));
    let slices = began.elapsed().as_millis() as u64 / 50;
    for (hand, before) in hands.iter().zip(before) {
        let used = Usage::of(hand.pid()).unwrap().since(before);
        println!("a worker used {:?} and went to sleep {} times", used.cpu, used.voluntary_switches);
        assert!(used.cpu <= Duration::from_millis(150), "{used:?} of a second in which nothing happened");
        // It wakes once a slice, and no other thread sleeps for it.
        assert!(used.voluntary_switches <= 2 * slices, "{used:?} in {slices} slices");
    }
    scheduler.kill_and_reap();
    for hand in &mut hands {
        hand.kill_and_reap();
    }
    stage.collect();
}

/// Broadcasts one step more than a worker can hold, and lets it hold as many as it can.
fn at_the_held_limit(scheduler: &mut SchedulerEnd, worker: &mut WorkerEnd) -> Vec<HeldMessage> {
    for _ in 0..=HELD_MAX {
        scheduler.broadcast(b"a step", 1, Patience::Now).unwrap();
    }
    let (mut broadcasts, _) = worker.rings();
    (0..HELD_MAX).map(|_| broadcasts.next_held(Patience::Now).unwrap().unwrap()).collect()
}

#[test]
fn a_worker_at_the_held_limit_is_told_so_with_and_without_an_urgent_lane_and_waits_for_the_release() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "a worker at the held limit");
    for has_lane in [false, true] {
        let stage = Stage::new(1);
        let topology = if has_lane { stage.topology.clone().with_urgent_lane() } else { stage.topology.clone() };
        let (mut scheduler, mut workers) = in_one_process(&topology);
        let worker = &mut workers[0];
        let mut held = at_the_held_limit(&mut scheduler, worker);
        let short = Duration::from_millis(5);
        for answer in [worker.next(short).map(drop), worker.next_or_end(short).map(drop)] {
            let error = *answer.unwrap_err().source;
            let TransportError::Consume(ConsumeError::HeldLimit(limit)) = error else { panic!("{error:?}") };
            assert!(limit.held == HELD_MAX && !limit.waited.is_zero());
        }
        assert!(worker.next(Patience::Now).map(drop).is_err_and(|error| error.is_held_limit()));
        if has_lane {
            // Urgent messages still come.
            scheduler.broadcast_urgent(b"cancel", CANCEL).unwrap();
            assert!(worker.next(Patience::Endless).unwrap().unwrap().is_urgent());
        }
        let oldest = held.remove(0);
        let releasing = std::thread::spawn(move || oldest.release());
        let step = worker.next(soon()).unwrap().unwrap().step();
        assert_eq!(step, HELD_MAX as i64);
        releasing.join().unwrap();
        held.into_iter().for_each(HeldMessage::release);
    }
}

#[test]
fn a_gather_of_a_worker_whose_answers_are_held_up_to_the_limit_says_so() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "a scheduler at the held limit");
    let stage = Stage::new(1);
    let (mut scheduler, mut workers) = in_one_process(&stage.topology);
    let step = scheduler.broadcast(b"a step", 1, Patience::Now).unwrap();
    let mut held = vec![];
    for _ in 0..HELD_MAX {
        workers[0].answer(step, b"done", 1, Patience::Now).unwrap();
        held.push(scheduler.receive(0, soon()).unwrap().hold());
    }
    workers[0].answer(step, b"more", 1, Patience::Now).unwrap();
    let short = Duration::from_millis(5);
    for whom in [Whom::All, Whom::Any, Whom::Rank(0)] {
        let outcome = scheduler.gather(whom, short).remove(0).outcome;
        let Outcome::Unreadable(error) = outcome else { panic!("{outcome:?}") };
        assert!(error.to_string().starts_with(&format!("{}, rank 0: no newer message", stage.label())), "{error}");
        let TransportError::Consume(ConsumeError::HeldLimit(limit)) = *error.source else { panic!("{error:?}") };
        assert!(!limit.waited.is_zero());
    }
    held.into_iter().for_each(HeldMessage::release);
    assert_eq!(said(&scheduler.gather(Whom::All, soon()).remove(0)), "more");
}
