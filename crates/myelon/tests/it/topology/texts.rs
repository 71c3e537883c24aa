//! The whole text of every error of a topology: the user's names for the session and the rank come first.

use super::actors::{by_hand, workers};
use super::stage::{BROADCAST_BYTES, Stage, in_one_process, panic_of, round, soon};
use myelon::liveness::{Ending, RefusalCause, RequiredConsumerFailureAction};
use myelon::process::Command;
use myelon::topology::{
    Arrival, Change, Invitation, LaunchError, MeetingPlace, Outcome, Parting, RestartError, SchedulerEnd,
    SchedulerEnding, Topology, UrgentError, Whom, WorkerEnd, WorkerJoinError, Workers,
};
use myelon::transport::{Records, TransportError, TransportProducer};
use myelon::{Patience, RequiredConsumerAlert, RequiredConsumerError, RequiredConsumerLivenessConfig};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use testkit::process::Victim;
use testkit::watchdog::{PATIENCE, Watchdog, eventually};

const HASTY: Duration = Duration::from_millis(20);

fn launch(topology: &Topology) -> LaunchError {
    topology.launch(Workers::started_elsewhere()).unwrap_err()
}

fn join(topology: &Topology, rank: usize) -> WorkerJoinError {
    WorkerEnd::<Records>::join(&topology.invitation(rank).unwrap()).unwrap_err()
}

/// The names of the broadcast ring, the urgent ring and the response ring of rank 0.
fn names(topology: &Topology) -> [String; 3] {
    let layout = topology.layout();
    [layout.rpc_ring_name(), layout.urgent_ring_name(), layout.response_ring_name(0).unwrap()]
}

#[test]
fn a_launch_that_fails_says_of_which_session() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "launches that fail");
    let stage = Stage::new(1);
    let (label, topology, me) = (stage.label(), &stage.topology, std::process::id());
    let [broadcast, urgent, _] = names(topology);
    let stranger = |name: &str| TransportProducer::<Records>::create(name, 4096).unwrap();
    let in_use = |what: &str, name: &str| {
        format!(
            "{label}: the {what} could not be created: {label} (shm:{name}) is in use by producer process {me}, which is "
        )
    };
    let held = stranger(&broadcast);
    let says = |error: LaunchError, begins: &str| assert!(error.to_string().starts_with(begins), "{error}");
    says(launch(topology), &in_use("broadcast ring", &broadcast));
    drop(held);
    let held = stranger(&urgent);
    says(launch(&topology.clone().with_urgent_lane()), &in_use("ring of urgent messages", &urgent));
    drop(held);
    let tagged = topology.clone().with_content_tags("", "answer/1");
    let no_tag = format!(
        "{label}: the broadcast ring cannot be made: \"\" is not a content tag, which has 1 to 256 bytes and no character that cannot be seen"
    );
    assert_eq!(launch(&tagged).to_string(), no_tag);
    let spawned = topology.launch(Workers::spawned(|_| Command::new("/no/such/program"))).unwrap_err();
    assert_eq!(
        spawned.to_string(),
        format!("{label}, rank 0: the process could not be started: the program `/no/such/program` does not exist")
    );
    stage.assert_nothing_left();
}

#[test]
fn who_is_missing_is_said_with_the_session_before_and_each_worker_by_its_name() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "launches without workers");
    let stage = Stage::new(2);
    let label = stage.label();
    let of = |error: LaunchError, workers: &str| {
        let text = error.to_string();
        let LaunchError::Missing { waited, .. } = error else { panic!("{text}") };
        assert_eq!(text, format!("{label}: after {waited:.1?} these workers are missing: {workers}"));
    };
    let owner = rustix::process::geteuid().as_raw();
    let never = format!("(never seen; the broadcast ring has mode 0600 and belongs to user {owner})");
    of(
        launch(&stage.topology.clone().with_rendezvous_timeout(HASTY)),
        &format!("{label}, rank 0 {never}, {label}, rank 1 {never}"),
    );
    // One that runs and does not join, and one that ends.
    let pids = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&pids);
    let spawn = move |rank| {
        let mut command = Command::new("sh");
        // The test learns its pid from a file; it tells the scheduler nothing.
        command.args(["-c", if rank == 0 { "exec sleep 600" } else { "exit 7" }]);
        seen.lock().unwrap().push(rank);
        command
    };
    let error = stage.topology.launch(Workers::spawned(spawn)).unwrap_err();
    let text = error.to_string();
    let LaunchError::Missing { missing, .. } = &error else { panic!("{text}") };
    let said: Vec<_> =
        missing.iter().map(|worker| (worker.consumer_id.clone(), format!("{:?}", worker.state))).collect();
    assert_eq!(pids.lock().unwrap().len(), 2);
    let pid_of = |state: &str| state.split("pid: ").nth(1).unwrap().split([',', ' ', '}']).next().unwrap().to_owned();
    let [(_, runs), (_, ended)] = &said[..] else { panic!("{text}") };
    of(
        error,
        &format!(
            "{label}, rank 0 (process {} runs and has not joined), {label}, rank 1 (process {} ended before it had joined: exit status: 7)",
            pid_of(runs),
            pid_of(ended)
        ),
    );
    stage.assert_nothing_left();
}

#[test]
fn a_worker_that_is_refused_says_who_it_is_and_its_scheduler_the_same() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "workers that are refused");
    let stage = Stage::new(1);
    let topology = stage.topology.clone().with_urgent_lane();
    let (label, me) = (stage.label(), std::process::id());
    let [broadcast, ..] = names(&topology);
    let (mut scheduler, joined) = in_one_process(&topology);
    let in_use = format!(
        "the broadcast ring could not be joined: {label} (shm:{broadcast}) could not be joined: consumer \
         `{label}, rank 0` is in use by process {me}; choose another id, or end that process"
    );
    let error = join(&topology, 0);
    assert!(matches!(error, WorkerJoinError::Broadcast { .. }), "{error:?}");
    assert_eq!(error.to_string(), format!("{label}, rank 0: {in_use}"));
    let changes = scheduler.check_workers();
    let [(0, myelon::topology::Change::JoinFailed { refusal: Some(refusal), .. })] = &changes[..] else {
        panic!("{changes:?}")
    };
    // The ring carries only a number.
    assert_eq!(refusal.cause, RefusalCause::IdInUse);
    assert_eq!(
        refusal.to_string(),
        format!("{label}, rank 0: process {me} could not join: a live process has its id: end that process first")
    );
    drop((scheduler, joined));
    stage.assert_nothing_left();
}

#[test]
fn a_worker_without_its_rings_says_who_it_is_and_where_it_looked() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "workers without rings");
    let stage = Stage::new(1);
    let (label, me) = (stage.label(), std::process::id());
    let hasty = stage.topology.clone().with_urgent_lane().with_rendezvous_timeout(HASTY);
    let [broadcast, urgent, response] = names(&hasty);
    let waited_by = |error: &WorkerJoinError| match error {
        WorkerJoinError::NoScheduler { waited, .. } => *waited,
        other => panic!("{other:?}"),
    };
    let error = join(&hasty, 0);
    let waited = waited_by(&error);
    let advice = "and no other ring of this session: start the scheduler, with the same label and directory; if it runs, the names were \
                  removed: end it, and start the session again";
    assert_eq!(
        error.to_string(),
        format!(
            "{label}, rank 0: no scheduler within {waited:.1?}: there is no broadcast ring at /dev/shm/{broadcast}, {advice}; if it \
             runs in another container, let both containers share the directory of the rings"
        )
    );
    // A ring under that name, whose owner does not look after workers and makes no urgent ring.
    let not_a_scheduler = TransportProducer::<Records>::create_with_consumers(&broadcast, BROADCAST_BYTES, 1).unwrap();
    let error = join(&hasty, 0);
    assert!(matches!(error, WorkerJoinError::NoUrgentLane { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        format!(
            "{label}, rank 0: the invitation speaks of an urgent lane, and the scheduler has made none at shm:{urgent}: make the \
             invitation from the scheduler's topology"
        )
    );
    let without_lane = stage.topology.clone().with_rendezvous_timeout(HASTY);
    let error = join(&without_lane, 0);
    let WorkerJoinError::NotReceived { scheduler, waited, .. } = &error else { panic!("{error:?}") };
    assert_eq!((scheduler.pid, error.to_string()), (me, super::unattended::not_received(label, scheduler, *waited)));
    let held = TransportProducer::<Records>::create(&response, 4096).unwrap();
    let error = join(&without_lane, 0);
    assert!(matches!(error, WorkerJoinError::Responses { .. }), "{error:?}");
    let in_use = format!(
        "{label}, rank 0: the response ring could not be created: {label}, rank 0 (shm:{response}) is in use by producer process {me}, \
         which is "
    );
    assert!(error.to_string().starts_with(&in_use), "{error}");
    drop(held);
    // An urgent ring of other messages.
    let other = TransportProducer::<myelon::AlignedFixedFrame<64>>::create_with_consumers(&urgent, 16, 1).unwrap();
    let error = join(&hasty, 0);
    assert!(matches!(error, WorkerJoinError::Urgent { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        format!(
            "{label}, rank 0: the ring of urgent messages could not be joined: {label} (shm:{urgent}) is a ring of events or frames of 80 \
             bytes each, and this program wants a ring of records; choose another name, or attach to it as what it is"
        )
    );
    drop((other, not_a_scheduler));
}

#[test]
fn a_worker_whose_scheduler_has_gone_says_who_it_is_and_how() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "a worker whose scheduler goes");
    let stage = Stage::new(1);
    let label = stage.label();
    let [broadcast, _, response] = names(&stage.topology);
    let invitation = stage.topology.invitation(0).unwrap();
    let closes = TransportProducer::<Records>::create_with_consumers(&broadcast, BROADCAST_BYTES, 1).unwrap();
    let joining = std::thread::spawn(move || WorkerEnd::<Records>::join(&invitation).unwrap_err());
    // It has joined the broadcast ring, and waits until the scheduler has found its own.
    eventually("the response ring", PATIENCE, || Path::new("/dev/shm").join(&response).exists()).unwrap();
    drop(closes);
    let error = joining.join().unwrap();
    assert!(matches!(error, WorkerJoinError::SchedulerGone { found: SchedulerEnding::Closed, .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        format!(
            "{label}, rank 0: the scheduler has gone while this worker joined, so the worker is not needed: it has closed the topology"
        )
    );
}

#[test]
fn an_invitation_that_is_none_says_so_as_far_as_it_can_be_read() {
    let error = WorkerJoinError::from("no invitation".parse::<Invitation>().unwrap_err());
    assert_eq!(
        error.to_string(),
        "the invitation cannot be read: the text does not begin with `myelon-worker:`; pass on the text of `Topology::invitation` unchanged"
    );
    assert_eq!(
        WorkerJoinError::NotInvited.to_string(),
        "the environment variable MYELON_INVITATION is not set: let a scheduler start this process, or set the variable to the text of `Topology::invitation`"
    );
}

#[test]
fn what_a_scheduler_cannot_do_is_said_of_its_session_and_of_the_worker() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "calls that are refused");
    let stage = Stage::new(1);
    let label = stage.label();
    let (mut scheduler, _workers) = in_one_process(&stage.topology);
    let text = |answer: Result<i64, UrgentError>| answer.unwrap_err().to_string();
    assert_eq!(
        text(scheduler.broadcast_urgent(b"cancel", 1)),
        format!("{label} has no urgent lane: give its topology one, by `with_urgent_lane`")
    );
    let text = |answer: Result<u32, RestartError>| answer.unwrap_err().to_string();
    assert_eq!(
        text(scheduler.restart(0)),
        format!(
            "{label}, rank 0: the scheduler does not start this topology's workers; start it again with the program that started it"
        )
    );
    assert_eq!(
        text(scheduler.restart(5)),
        format!("{label}: there is no worker 5: the session has 1, with ranks from 0")
    );
    let forked = RestartError::Forked { worker: stage.topology.worker_consumer_id(0) };
    assert_eq!(
        forked.to_string(),
        format!("{label}, rank 0: the topology belongs to the parent process; restart the worker in that process")
    );
    let step = scheduler.broadcast(b"a step", 1, Patience::Now).unwrap();
    let now = Instant::now();
    for (ask, said) in [
        (
            panic_of(|| drop(scheduler.gather(Whom::Rank(5), now))),
            "there is no worker 5: the topology has 1, with ranks from 0",
        ),
        (
            panic_of(|| drop(scheduler.gather_for(step + 1, Whom::All, now))),
            "step 1 was not broadcast: the last broadcast is 0",
        ),
        (
            panic_of(|| drop(scheduler.gather_for(-1, Whom::All, now))),
            "step -1 was not broadcast: the last broadcast is 0",
        ),
    ] {
        assert_eq!(ask.0, format!("{label}: {said}"));
    }
}

#[test]
fn an_urgent_message_that_is_not_sent_says_of_which_session() {
    let stage = Stage::new(1);
    let label = stage.label();
    let topology = stage.topology.clone().with_urgent_depth(4096).unwrap();
    let (mut scheduler, _workers) = in_one_process(&topology);
    let [_, urgent, _] = names(&topology);
    let longest = scheduler.broadcast_urgent(&[0; 1 << 20], 1).unwrap_err();
    assert!(matches!(longest, UrgentError::Transport { .. }));
    assert_eq!(
        longest.to_string(),
        format!(
            "{label}: a message of 1048576 bytes does not fit: at most 4016; a ring of depth 2097152 would hold it"
        )
    );
    let full = loop {
        if let Err(error) = scheduler.broadcast_urgent(&[0; 100], 1) {
            break error;
        }
    };
    let text = full.to_string();
    let UrgentError::UrgentFull { report, .. } = full else { panic!("{text}") };
    assert_eq!(text, format!("{label}: the urgent lane is full; send the message again later: {report}"));
    let culprit = format!(
        "ring {label} (shm:{urgent}): producer waits for space; {label}, rank 0 pid {} is ",
        std::process::id()
    );
    assert!(report.to_string().starts_with(&culprit), "{report}");
}

#[test]
fn an_alert_names_the_worker_and_the_session_and_so_does_what_follows() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "an alert");
    let stage = Stage::new(1);
    let label = stage.label();
    let alerts = Arc::new(Mutex::new(Vec::<RequiredConsumerAlert>::new()));
    let told = Arc::clone(&alerts);
    let mut liveness = RequiredConsumerLivenessConfig::new([""; 0])
        .with_progress_timeout(Duration::from_millis(20))
        .with_shutdown_grace_period(Duration::from_millis(20))
        .with_alert_hook(Arc::new(move |alert| told.lock().unwrap().push(alert.clone())));
    liveness.failure_action = RequiredConsumerFailureAction::GracefulShutdown;
    let topology = stage.topology.clone().with_liveness(liveness);
    let (mut scheduler, _workers) = in_one_process(&topology);
    let [broadcast, ..] = names(&topology);
    let error = loop {
        if let Err(error) = scheduler.broadcast(&[7; 1000], 1, Patience::Managed) {
            break error;
        }
    };
    let alert = alerts.lock().unwrap().first().cloned().expect("an alert");
    assert_eq!(alert.consumer_id, format!("{label}, rank 0"));
    let begins = format!("ring {label} (shm:{broadcast}): producer waits for space since ");
    let culprit = format!("; {label}, rank 0 pid {} is ", std::process::id());
    let report = alert.report.to_string();
    assert!(report.starts_with(&begins) && report.contains(&culprit), "{report}");
    let text = error.to_string();
    let TransportError::RequiredConsumer(RequiredConsumerError::GracefulShutdownTriggered { stalled_for, .. }) =
        *error.source
    else {
        panic!("{text}")
    };
    assert_eq!(
        text,
        format!(
            "{label}: consumer `{label}, rank 0` has released nothing after sequence -1 for {stalled_for:.1?}: the producer refuses managed calls \
             until `reset_required_consumer_liveness`"
        )
    );
}

#[test]
fn how_each_worker_left_is_said_with_its_name() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "departures");
    let stage = Stage::new(1);
    let name = stage.topology.worker_consumer_id(0);
    let said = |scheduler: SchedulerEnd| scheduler.close().iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut scheduler = stage.topology.launch(workers("answers")).unwrap();
    round(&mut scheduler, "a step");
    assert_eq!(said(scheduler), [format!("{name} has ended: exit status: 0")]);
    let hasty = stage.topology.clone().with_leave_timeout(Duration::from_millis(50));
    let mut scheduler = hasty.launch(workers("ignores the end")).unwrap();
    let pid = scheduler.worker_pid(0).unwrap();
    assert_eq!(super::stage::said(&scheduler.gather(Whom::All, soon())[0]), "HERE");
    assert_eq!(said(scheduler), [format!("{name} did not leave in time and was killed: process {pid}")]);
    let (scheduler, workers) = in_one_process(&stage.topology);
    let departure = scheduler.close().remove(0);
    drop(workers);
    assert_eq!((departure.rank, departure.how, &departure.worker), (0, Parting::StartedElsewhere, &name));
    assert_eq!(departure.to_string(), format!("{name} was started by another process, which has to end it"));
    let why = std::io::ErrorKind::PermissionDenied;
    assert_eq!(
        Parting::Remains { pid: 7, why }.to_string(),
        "did not leave in time and could not be killed: permission denied; process 7 runs on: end it"
    );
    let why = myelon::topology::StatusUnknown::ReapedElsewhere;
    assert_eq!(
        Parting::Ended { why }.to_string(),
        "has ended, and how cannot be known: its status was given to another thread, or to none because SIGCHLD is ignored, and this kernel \
         does not keep it"
    );
    stage.assert_nothing_left();
}

/// A worker that another program starts tells that program the same.
#[test]
fn a_worker_by_hand_says_its_name_first() {
    let stage = Stage::new(1);
    let hasty = stage.topology.clone().with_rendezvous_timeout(HASTY);
    let mut worker: Victim = by_hand("answers", &hasty.invitation(0).unwrap());
    let said = worker.wait_line("REFUSED");
    assert!(said.starts_with(&format!("REFUSED {}, rank 0: no scheduler within ", stage.label())), "{said}");
    let found = MeetingPlace::Ended { place: "shm:p".to_owned(), ending: SchedulerEnding::NoProducer { pid: 7 } };
    assert_eq!(
        found.to_string(),
        "the broadcast ring at shm:p belongs to a scheduler that is gone: the broadcast ring's producer, process 7, has gone; start the scheduler again"
    );
    assert!(!Path::new("/dev/shm").join(&names(&stage.topology)[0]).exists());
}

#[test]
fn what_has_become_of_a_worker_is_the_rest_of_a_sentence() {
    let killed = std::os::unix::process::ExitStatusExt::from_raw(9);
    let died = |status| Outcome::Died { pid: 7, status, how: Ending::Killed };
    let failed = |status| Change::JoinFailed { pid: 7, status, refusal: None };
    let there = "is not there: process 7 ended before it had joined";
    for (text, says) in [
        (died(None).to_string(), "has died: process 7; its entry is kept for the process that comes next"),
        (
            died(Some(killed)).to_string(),
            "has died: process 7, signal: 9 (SIGKILL); its entry is kept for the process that comes next",
        ),
        (Outcome::Rejoined { pid: 7 }.to_string(), "is process 7 now, which goes on in its place"),
        (Outcome::TimedOut.to_string(), "lives, and has sent nothing in time"),
        (Outcome::Message { kind: 3, bytes: vec![0; 5] }.to_string(), "has sent 5 bytes of kind 3"),
        (Change::Left.to_string(), "has left in good order"),
        (failed(Some(killed)).to_string(), &format!("{there}, signal: 9 (SIGKILL)")),
        (Outcome::from(failed(None)).to_string(), &format!("{there}, or could not join")),
        (Arrival::Joined { pid: 7 }.to_string(), "is there: process 7"),
        (
            Arrival::Died { pid: 7, status: Some(killed), how: Ending::Killed }.to_string(),
            "has died: process 7, signal: 9 (SIGKILL); its entry is kept for the process that comes next; \
             no process is on its way to it: restart it first",
        ),
    ] {
        assert_eq!(text, says);
    }
}
