//! A worker that cannot join says why, and the scheduler is told at once.

use super::actors::{by_hand, command, scheduler, workers};
use super::stage::{Stage, is_dead, of_label, round, soon};
use myelon::liveness::{Ending, RefusalCause, leave_refusal};
use myelon::topology::{
    Change, JoinRefusal, LaunchError, MissingState, MissingWorker, Outcome, Situation, Topology, Whom, WorkerEnd,
    Workers,
};
use myelon::transport::{Records, TransportBuilder};
use myelon::{ConsumerBarrier, RecordConsumer, SharedDisruptorBuilder};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use testkit::errors::assert_is_like;
use testkit::process::{Respawn, role, say, wait_to_be_killed};
use testkit::watchdog::{PATIENCE, Watchdog, eventually};
use testkit::{namespace, skip, test_name};

/// Far beyond the watchdog: a call that ends in time has not waited for it.
const LONG: Duration = Duration::from_secs(3600);

/// The workers that the launch says are missing, and its text.
#[track_caller]
fn missing(topology: &Topology, workers: Workers) -> (Vec<MissingWorker>, String) {
    let _watchdog = Watchdog::new(2 * PATIENCE, "a launch that cannot come about");
    let error = topology.launch(workers).unwrap_err();
    let text = error.to_string();
    println!("{text}");
    let LaunchError::Missing { missing, .. } = error else { panic!("{text}") };
    (missing, text)
}

#[track_caller]
fn refused(missing: &[MissingWorker]) -> &JoinRefusal {
    match &missing[0].state {
        MissingState::Refused { refusal, .. } => refusal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_child_built_for_another_form_of_ring_is_told_to_the_scheduler_at_once() {
    let stage = Stage::new(1);
    let (missing, text) = missing(&stage.topology.clone().with_rendezvous_timeout(LONG), workers("answers in frames"));
    assert_eq!(refused(&missing).cause, RefusalCause::OtherEvent, "{text}");
    assert!(text.contains("could not join: the broadcast ring could not be joined"), "{text}");
    stage.assert_nothing_left();
}

#[test]
fn a_child_of_another_user_is_told_to_the_scheduler_although_it_cannot_open_the_ring() {
    if !rustix::process::geteuid().is_root() {
        skip!("only root can start a process of another user");
    }
    let stage = Stage::new(1);
    let spawn = |_| {
        let worker = command("answers");
        // It executes the worker in its own place.
        let mut other = myelon::process::Command::new("setpriv");
        other.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
        other.arg(worker.get_program()).args(worker.get_args());
        for (name, value) in worker.get_envs() {
            other.env(name, value.unwrap());
        }
        other
    };
    let (missing, text) = missing(&stage.topology.clone().with_rendezvous_timeout(LONG), Workers::spawned(spawn));
    assert_eq!(refused(&missing).cause, RefusalCause::NotAllowed, "{text}");
    stage.assert_nothing_left();
}

#[test]
fn a_child_whose_response_ring_cannot_be_made_is_told_to_the_scheduler_at_once() {
    let label = testkit::names::short();
    // More memory than any machine has: only the worker, which makes the ring, notices that.
    let topology =
        Topology::<Records>::with_depths(&label, 1usize, 128 << 10, 1 << 44).unwrap().with_rendezvous_timeout(LONG);
    let (missing, text) = missing(&topology, workers("answers"));
    assert!(refused(&missing).text.as_ref().is_some_and(|text| text.contains("response ring")), "{text}");
}

#[test]
fn a_worker_by_hand_built_for_other_messages_says_so_in_the_ring() {
    let stage = Stage::new(1);
    let tagged = |step: &str| stage.topology.clone().with_rendezvous_timeout(LONG).with_content_tags(step, "answer/1");
    let invitation = tagged("step/1").invitation(0).unwrap();
    let mut other = by_hand("answers", &invitation);
    let (missing, text) = missing(&tagged("step/2"), Workers::started_elsewhere());
    let refusal = refused(&missing);
    assert_eq!((refusal.pid, refusal.cause), (other.pid(), RefusalCause::OtherContent), "{text}");
    other.wait_line(&format!("REFUSED {}, rank 0: the broadcast ring could not be joined: ", stage.label()));
    stage.assert_nothing_left();
}

#[test]
fn answers_of_another_type_end_the_rendezvous_at_once_on_both_sides() {
    let stage = Stage::new(1);
    let tagged =
        |answer: &str| stage.topology.clone().with_rendezvous_timeout(LONG).with_content_tags("step/1", answer);
    let mut other = by_hand("answers", &tagged("answer/2").invitation(0).unwrap());
    let (missing, text) = missing(&tagged("answer/1"), Workers::started_elsewhere());
    assert!(matches!(missing[0].state, MissingState::NoResponses { source: Some(_), .. }), "{text}");
    let (worker, ring) = (stage.topology.worker_consumer_id(0), stage.topology.layout().response_ring_name(0).unwrap());
    assert_is_like(
        &missing[0].to_string(),
        &format!(
            "{worker} (process {} has joined, but its response ring cannot be used: {worker} (shm:{ring}) carries `answer/2`, and this program \
             expects `answer/1`; give both programs the same content tag)",
            other.pid()
        ),
    );
    assert_is_like(
        &other.wait_line("REFUSED"),
        &format!(
            "REFUSED {worker}: the scheduler, process {}, cannot use this worker's response ring: {}",
            std::process::id(),
            RefusalCause::OtherContent
        ),
    );
    stage.assert_nothing_left();
}

#[test]
fn where_no_process_has_come_the_ring_says_who_may_use_it() {
    let stage = Stage::new(1);
    let topology = stage.topology.clone().with_rendezvous_timeout(Duration::from_millis(50));
    let (missing, text) = missing(&topology, Workers::started_elsewhere());
    let MissingState::NotSeen { ring: Some(access) } = &missing[0].state else { panic!("{text}") };
    assert_eq!((access.mode, access.owner_uid), (0o600, rustix::process::geteuid().as_raw()));
    assert!(text.contains("never seen; the broadcast ring has mode 0600 and belongs to user"), "{text}");
}

#[test]
fn a_second_worker_of_a_rank_is_told_without_disturbing_the_first() {
    let stage = Stage::new(2);
    let mut scheduler = stage.topology.launch(workers("answers")).unwrap();
    let mut second = by_hand("answers", &stage.topology.invitation(1).unwrap());
    second.wait_line("REFUSED");
    let mut changes = Vec::new();
    eventually("the refusal", PATIENCE, || {
        changes.append(&mut scheduler.check_workers());
        !changes.is_empty()
    })
    .unwrap();
    let [(1, Change::JoinFailed { pid, refusal: Some(refusal), .. })] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!((*pid, refusal.cause), (second.pid(), RefusalCause::IdInUse));
    assert_eq!(scheduler.check_workers(), [], "told once");
    round(&mut scheduler, "undisturbed");
}

#[test]
fn a_second_worker_of_a_rank_does_not_end_the_rendezvous() {
    let stage = Stage::new(2);
    let invitation = |rank| stage.topology.invitation(rank).unwrap();
    std::thread::scope(|scope| {
        let launched = scope.spawn(|| stage.topology.launch(Workers::started_elsewhere()).unwrap());
        let mut first = by_hand("answers", &invitation(0));
        first.wait_line("JOINED");
        let mut second = by_hand("answers", &invitation(0));
        second.wait_line("REFUSED");
        let mut other = by_hand("answers", &invitation(1));
        let mut scheduler = launched.join().unwrap();
        round(&mut scheduler, "hello");
        drop(scheduler);
        first.wait_line("CLOSED");
        other.wait_line("CLOSED");
    });
}

#[test]
fn the_status_of_a_child_that_was_refused_is_not_that_of_the_worker_in_its_place() {
    let _watchdog = Watchdog::new(4 * PATIENCE, "a worker by hand in a child's place");
    let stage = Stage::new(1);
    let id = stage.topology.worker_consumer_id(0);
    let mut worker = by_hand("answers", &stage.topology.invitation(0).unwrap());
    let ring = stage.topology.layout().rpc_ring_name();
    let spawn = move |_| {
        // The ring is there before the first child is started.
        let table = ConsumerBarrier::attach(ring.as_str()).unwrap();
        eventually("the worker by hand", PATIENCE, || table.consumers().iter().any(|it| it.id == id)).unwrap();
        command("answers")
    };
    let mut scheduler = stage.topology.launch(Workers::spawned(spawn)).unwrap();
    worker.wait_line("JOINED");
    let mut changes = Vec::new();
    eventually("the refusal of the child", PATIENCE, || {
        changes.append(&mut scheduler.check_workers());
        !changes.is_empty()
    })
    .unwrap();
    let [(0, Change::JoinFailed { pid: child, refusal: Some(refusal), .. })] = &changes[..] else {
        panic!("{changes:?}")
    };
    assert_eq!(refusal.cause, RefusalCause::IdInUse);
    eventually("the end of the child", PATIENCE, || is_dead(*child)).unwrap();
    assert_eq!(scheduler.check_workers(), [], "told once");
    let pid = worker.pid();
    worker.kill_and_reap();
    let mut changes = Vec::new();
    eventually("the death of the worker", PATIENCE, || {
        changes.append(&mut scheduler.check_workers());
        !changes.is_empty()
    })
    .unwrap();
    assert_eq!(changes, [(0, Change::Died { pid, status: None, how: Ending::Killed })]);
}

#[test]
fn a_successor_whose_ring_has_lost_its_name_says_what_it_found() {
    let _watchdog = Watchdog::new(4 * PATIENCE, "a topology without names");
    let stage = Stage::new(2);
    let mut scheduler = stage.topology.launch(workers("answers")).unwrap();
    round(&mut scheduler, "before");
    for path in stage.leftovers() {
        std::fs::remove_file(path).unwrap();
    }
    round(&mut scheduler, "without names");
    let pid = scheduler.restart(1).unwrap();
    let refusal = loop {
        match scheduler.gather(Whom::Rank(1), soon()).remove(0).outcome {
            Outcome::JoinFailed { pid: failed, refusal: Some(refusal), .. } if failed == pid => break refusal,
            Outcome::Died { .. } | Outcome::Message { .. } => {}
            other => panic!("{other:?}"),
        }
    };
    assert_is_like(
        &refusal.to_string(),
        &format!(
            "{worker}: process {pid} could not join: there is no broadcast ring at shm:{}, which the scheduler had made before it \
             started this worker; the scheduler, process {}, lives: it has closed the topology, or another process has removed the name; start the session again",
            stage.topology.layout().rpc_ring_name(),
            std::process::id(),
            worker = stage.topology.worker_consumer_id(1),
        ),
    );
    // The other worker is still there.
    scheduler.broadcast(b"still", 1, myelon::Patience::Until(soon())).unwrap();
    let answer = scheduler.gather(Whom::Rank(0), soon()).remove(0);
    assert_eq!(super::stage::said(&answer), "STILL");
}

/// The error of a worker that is started by hand as `rank`, with a very short patience, for a scheduler that does not
/// come.
fn alone(stage: &Stage, rank: usize) -> String {
    let hasty = stage.topology.clone().with_rendezvous_timeout(Duration::from_millis(50));
    let said = by_hand("answers", &hasty.invitation(rank).unwrap()).wait_line("REFUSED");
    println!("{said}");
    assert!(said.starts_with(&format!("REFUSED {}, rank {rank}: no scheduler within ", stage.label())), "{said}");
    said
}

#[test]
fn a_worker_by_hand_that_finds_no_ring_says_where_it_looked_and_what_else_is_there() {
    let _watchdog = Watchdog::new(4 * PATIENCE, "a worker by hand without a ring");
    let stage = Stage::new(2);
    let path = format!("there is no broadcast ring at /dev/shm/{}", stage.topology.layout().rpc_ring_name());
    let nothing = alone(&stage, 1);
    assert!(nothing.contains(&format!("{path}, and no other ring of this session")), "{nothing}");
    assert!(nothing.contains("let both containers share the directory of the rings"), "{nothing}");

    let mut scheduler = stage.topology.launch(workers("answers")).unwrap();
    round(&mut scheduler, "before");
    std::fs::remove_file(format!("/dev/shm/{}", stage.topology.layout().rpc_ring_name())).unwrap();
    let others = alone(&stage, 1);
    let rings: Vec<_> = stage.topology.layout().response_ring_names().map(|name| format!("shm:{name}")).collect();
    let expected = format!("{path}, but of this session there is {}, ", rings.join(", "));
    assert!(others.contains(&expected), "{others}");
    assert!(!others.contains("containers"), "{others}");
    assert!(others.contains(&format!("which the scheduler, process {}, reads", std::process::id())), "{others}");

    for path in stage.leftovers() {
        std::fs::remove_file(path).unwrap();
    }
    let unnamed = alone(&stage, 1);
    assert!(unnamed.contains("if it runs, the names were removed"), "{unnamed}");
    round(&mut scheduler, "undisturbed");
}

#[test]
fn a_worker_by_hand_that_finds_the_ring_of_a_dead_scheduler_says_so() {
    let stage = Stage::new(2);
    let mut hands: Vec<_> = (0..2).map(|rank| by_hand("hangs", &stage.topology.invitation(rank).unwrap())).collect();
    let mut dead = scheduler(&stage, "met");
    for hand in &mut hands {
        hand.wait_line("JOINED");
    }
    // The stopped worker lives, and keeps the ring of the dead scheduler; if it ran, it would end at that death.
    hands[0].stop();
    let pid = dead.pid();
    dead.kill_and_reap();
    hands.pop().unwrap().kill_and_reap();
    let said = alone(&stage, 1);
    let name = stage.topology.layout().rpc_ring_name();
    assert_is_like(
        &said,
        &format!(
            "REFUSED {}, rank 1: no scheduler within …: the broadcast ring at shm:{name} belongs to a scheduler that is gone: the broadcast \
             ring's producer, process {pid}, has gone; start the scheduler again",
            stage.label()
        ),
    );
    hands.pop().unwrap().kill_and_reap();
    stage.collect();
}

/// A consumer in the broadcast ring of `stage` with the id of a worker that does not exist.
fn stranger(stage: &Stage, number: usize) -> RecordConsumer {
    let name = stage.topology.layout().rpc_ring_name();
    let id = format!("{}stranger{number}", stage.topology.worker_consumer_id(0).trim_end_matches('0'));
    SharedDisruptorBuilder::records(name, 0).with_consumer_id(id).build_record_consumer().unwrap()
}

#[test]
fn a_child_that_finds_the_table_full_is_told_to_the_scheduler_at_once() {
    let stage = std::sync::Arc::new(Stage::new(1));
    let strangers = std::sync::Arc::new(Mutex::new(Vec::new()));
    let (session, taken) = (stage.clone(), strangers.clone());
    let spawn = move |rank| {
        // The ring is there before the first worker is started.
        taken.lock().unwrap().push(stranger(&session, rank));
        command("answers")
    };
    let (missing, text) = missing(&stage.topology.clone().with_rendezvous_timeout(LONG), Workers::spawned(spawn));
    assert_eq!(refused(&missing).cause, RefusalCause::TableFull, "{text}");
    assert!(text.contains("all 1 entries for such consumer ids are in use"), "{text}");
    drop(strangers);
    stage.assert_nothing_left();
}

#[test]
fn a_worker_by_hand_that_finds_the_table_full_says_so_in_the_ring() {
    let stage = Stage::new(2);
    let topology = stage.topology.clone().with_rendezvous_timeout(LONG);
    std::thread::scope(|scope| {
        let launched = scope.spawn(|| missing(&topology, Workers::started_elsewhere()));
        let ring = std::path::Path::new("/dev/shm").join(stage.topology.layout().rpc_ring_name());
        eventually("the broadcast ring", PATIENCE, || ring.exists()).unwrap();
        let strangers = [0, 1].map(|number| stranger(&stage, number));
        let mut late = by_hand("answers", &topology.invitation(1).unwrap());
        let (missing, text) = launched.join().unwrap();
        let MissingState::Refused { refusal, .. } = &missing[1].state else { panic!("{text}") };
        assert_eq!((refusal.pid, refusal.cause), (late.pid(), RefusalCause::TableFull), "{text}");
        late.wait_line(&format!("REFUSED {}, rank 1: the broadcast ring could not be joined: ", stage.label()));
        drop(strangers);
    });
    stage.assert_nothing_left();
}

#[test]
fn a_worker_by_hand_for_which_no_place_is_kept_says_so_in_the_ring() {
    let stage = Stage::new(1);
    // A ring under the topology's name, whose entries are kept for ids that no worker has.
    let name = stage.topology.layout().rpc_ring_name();
    let builder = TransportBuilder::<Records>::new(name.as_str(), stage.topology.layout().rpc_depth());
    let producer = builder.with_max_consumers(1).with_consumer_prefix("cp").build_producer().unwrap();
    let strangers: Vec<_> = (0..myelon::PLACES_FOR_OTHERS).map(|number| stranger(&stage, number)).collect();
    let mut worker = by_hand("answers", &stage.topology.invitation(0).unwrap());
    let said =
        worker.wait_line(&format!("REFUSED {}, rank 0: the broadcast ring could not be joined: ", stage.label()));
    assert!(said.contains("finds no entry: this ring keeps its entries for ids that begin with `cp`"), "{said}");
    let refusal = producer.refusal(Some(0)).unwrap();
    assert_eq!((refusal.pid, refusal.cause), (worker.pid(), RefusalCause::TableFull));
    drop((producer, strangers));
    stage.assert_nothing_left();
}

#[test]
fn a_successor_that_is_refused_while_others_work_is_told_with_its_cause() {
    let _watchdog = Watchdog::new(4 * PATIENCE, "a successor that is refused");
    let stage = Stage::new(1);
    let starts = AtomicUsize::new(0);
    let spawn = move |_| match starts.fetch_add(1, Ordering::Relaxed) {
        0 => command("answers"),
        _ => command("answers in frames"),
    };
    let mut scheduler = stage.topology.launch(Workers::spawned(spawn)).unwrap();
    let old = scheduler.worker_pid(0).unwrap();
    let pid = scheduler.restart(0).unwrap();
    let died = scheduler.gather(Whom::Any, soon()).remove(0).outcome;
    assert!(matches!(died, Outcome::Died { pid, .. } if pid == old), "{died:?}");
    let failed = scheduler.gather(Whom::Any, soon()).remove(0).outcome;
    let Outcome::JoinFailed { pid: failed, refusal: Some(refusal), .. } = &failed else { panic!("{failed:?}") };
    assert_eq!((*failed, refusal.cause), (pid, RefusalCause::OtherEvent));
    let report = scheduler.report(0);
    assert!(
        report
            .to_string()
            .starts_with(&format!("{}, rank 0 is not there: process {pid} could not join", stage.label())),
        "{report}"
    );
}

#[test]
fn a_process_that_a_worker_starts_does_not_inherit_the_way_to_the_scheduler() {
    let stage = Stage::new(1);
    let mut scheduler = stage.topology.launch(workers("says what its children inherit")).unwrap();
    scheduler.broadcast(b"say", 1, myelon::Patience::Until(soon())).unwrap();
    let said = super::stage::said(&scheduler.gather(Whom::Rank(0), soon())[0]);
    assert_eq!(said, "no pipe to the scheduler");
}

#[test]
fn a_label_that_is_in_use_is_refused_before_any_worker_is_started() {
    let stage = Stage::new(1);
    let _first = stage.topology.launch(workers("answers")).unwrap();
    let starts = std::sync::Arc::new(AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&starts);
    let spawn = move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        command("answers")
    };
    let second = of_label(stage.label(), 1).launch(Workers::spawned(spawn));
    assert!(matches!(second, Err(LaunchError::Broadcast { .. })) && starts.load(Ordering::Relaxed) == 0, "{second:?}");
}

#[test]
fn a_process_that_is_refused_hides_no_worker_of_the_same_number_in_another_namespace() {
    let stage = Stage::new(1);
    let _watchdog = Watchdog::new(2 * PATIENCE, "a worker beside a process that is refused");
    let invitation = stage.topology.invitation(0).unwrap();
    let joining = std::thread::spawn(move || WorkerEnd::<Records>::join(&invitation).unwrap());
    let mut scheduler = stage.topology.launch(Workers::started_elsewhere()).unwrap();
    let worker = joining.join().unwrap();
    // The refusal of a process in another container: its pid there is that of the worker here.
    let pid = std::process::id();
    leave_refusal(stage.topology.layout().rpc_ring_name(), Some(0), RefusalCause::OtherContent).unwrap();
    match &scheduler.check_workers()[..] {
        [(0, Change::JoinFailed { refusal: Some(refusal), .. })] => {
            assert_eq!(refusal.cause, RefusalCause::OtherContent)
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(scheduler.report(0).situation, Situation::NothingSent);
    drop(worker);
    let died = Change::Died { pid, status: None, how: Ending::Dropped };
    assert_eq!(scheduler.check_workers(), [(0, died)]);
    match &scheduler.gather(Whom::All, soon())[0].outcome {
        Outcome::Died { how: Ending::Dropped, .. } => {}
        other => panic!("{other:?}"),
    }
}

/// The environment variables by which the processes below find the broadcast ring and the id of a worker.
const RING_VARIABLE: &str = "MYELON_TEST_RING";
const ID_VARIABLE: &str = "MYELON_TEST_ID";

#[test]
#[ignore = "runs as a victim"]
fn victim_first_of_its_namespace() {
    let Some(role) = role() else { return };
    assert_eq!(std::process::id(), 1);
    let [ring, id] = [RING_VARIABLE, ID_VARIABLE].map(|variable| std::env::var(variable).unwrap());
    if role == "is refused" {
        leave_refusal(ring, Some(0), RefusalCause::OtherContent).unwrap();
        return say("SAID");
    }
    // A worker that has joined, and has not made its response ring.
    let mut worker = SharedDisruptorBuilder::records(ring, 0).with_consumer_id(id).build_record_consumer().unwrap();
    worker.keep_place();
    say("JOINED");
    wait_to_be_killed()
}

#[test]
fn the_refusal_of_another_containers_first_process_does_not_hide_the_death_of_this_ones() {
    if let Err(reason) = namespace::available() {
        skip!("{reason}");
    }
    let _watchdog = Watchdog::new(4 * PATIENCE, "two processes of one number");
    let stage = Stage::new(1);
    let ring = stage.topology.layout().rpc_ring_name();
    let first = |role: &str| {
        Respawn::test(test_name!(victim_first_of_its_namespace))
            .role(role)
            .env(RING_VARIABLE, &ring)
            .env(ID_VARIABLE, stage.topology.worker_consumer_id(0))
            .in_new_pid_namespace()
            .spawn()
    };
    let mut old = by_hand("hangs", &stage.topology.invitation(0).unwrap());
    let mut scheduler = stage.topology.launch(Workers::started_elsewhere()).unwrap();
    let mut changes = Vec::new();
    let mut hear = |what: &str, is_wanted: &dyn Fn(&Change) -> bool| {
        eventually(what, PATIENCE, || {
            changes.append(&mut scheduler.check_workers());
            changes.iter().any(|(_, change)| is_wanted(change))
        })
        .unwrap_or_else(|error| panic!("{error}; {changes:?}"));
        std::mem::take(&mut changes)
    };
    let old_pid = old.pid();
    old.kill_and_reap();
    hear("the death of the old one", &|change| matches!(change, Change::Died { pid, .. } if *pid == old_pid));
    let mut worker = first("joins");
    worker.wait_line("JOINED");
    first("is refused").wait_line("SAID");
    let refused = hear("the refusal", &|change| matches!(change, Change::JoinFailed { .. }));
    let [(0, Change::JoinFailed { pid: 1, refusal: Some(refusal), .. })] = &refused[..] else { panic!("{refused:?}") };
    assert!(refusal.is_in_other_namespace());
    assert!(refusal.to_string().contains(", rank 0: process 1 of another pid namespace could not join: "), "{refusal}");
    worker.kill_and_reap();
    let died = hear("the death of the worker", &|change| matches!(change, Change::Died { .. }));
    assert!(matches!(died[..], [(0, Change::Died { pid: 1, .. })]), "{died:?}");
}

#[test]
fn a_launch_without_a_worker_names_those_that_were_refused_beside_its_child() {
    let stage = Stage::new(1);
    let topology = stage.topology.clone().with_rendezvous_timeout(LONG);
    let ring = topology.layout().rpc_ring_name();
    let spawn = move |_| {
        // The ring is there before the first worker is started. The child reports nothing and ends.
        leave_refusal(ring.as_str(), Some(0), RefusalCause::NotAllowed).unwrap();
        let mut fails = myelon::process::Command::new("sh");
        fails.args(["-c", "exit 7"]);
        fails
    };
    let (missing, text) = missing(&topology, Workers::spawned(spawn));
    assert!(matches!(missing[0].state, MissingState::Exited { status: Some(status), .. } if status.code() == Some(7)));
    let [refused] = &missing[0].others_refused[..] else { panic!("{text}") };
    assert_eq!((refused.pid, refused.cause), (std::process::id(), RefusalCause::NotAllowed));
    assert!(text.contains(&format!("; beside it, process {} could not join: ", std::process::id())), "{text}");
}

#[test]
fn what_has_become_of_each_missing_worker_is_said_after_its_name() {
    let _watchdog = Watchdog::new(4 * PATIENCE, "workers that are missing");
    let stage = Stage::new(4);
    let topology = stage.topology.clone().with_rendezvous_timeout(LONG);
    let ring = topology.layout().rpc_ring_name();
    std::thread::scope(|scope| {
        let launched = scope.spawn(|| missing(&topology, Workers::started_elsewhere()));
        let path = std::path::Path::new("/dev/shm").join(&ring);
        eventually("the broadcast ring", PATIENCE, || path.exists()).unwrap();
        let builder =
            SharedDisruptorBuilder::records(ring.as_str(), 0).with_consumer_id(topology.worker_consumer_id(2));
        let _silent = builder.build_record_consumer().unwrap();
        let mut killed = by_hand("hangs", &topology.invitation(1).unwrap());
        killed.wait_line("JOINED");
        WorkerEnd::<Records>::join(&topology.invitation(0).unwrap()).unwrap().leave();
        let pid = killed.pid();
        killed.kill_and_reap();
        // Nothing more will come now, so a refusal ends the wait.
        leave_refusal(ring.as_str(), Some(3), RefusalCause::NotAllowed).unwrap();
        let (missing, _) = launched.join().unwrap();
        let me = std::process::id();
        let states = [
            "has joined and left".to_owned(),
            format!("process {pid} has joined and has died"),
            format!("process {me} has joined, but has not made its response ring"),
            format!("process {me} could not join: {}", RefusalCause::NotAllowed),
        ];
        let said: Vec<_> = missing.iter().map(ToString::to_string).collect();
        let wanted: Vec<_> = states
            .iter()
            .enumerate()
            .map(|(rank, state)| format!("{}, rank {rank} ({state})", stage.label()))
            .collect();
        assert_eq!(said, wanted);
    });
    stage.collect();
}
