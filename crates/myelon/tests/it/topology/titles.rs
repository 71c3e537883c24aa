//! Rings, reports and errors use the user's names for the session and its workers.

use super::actors::{by_hand, command, workers};
use super::stage::{Stage, round};
use myelon::topology::{Topology, WorkerEnd, WorkerJoinError, Workers};
use myelon::transport::{Records, TransportConsumer, TransportError, WaitStrategy};
use myelon::{ConsumerBarrier, CreateOptions, Patience, PublishError};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};
use testkit::Signal;
use testkit::watchdog::{PATIENCE, Watchdog};

/// The segment names of the broadcast ring and of each response ring.
fn names(topology: &Topology) -> Vec<String> {
    [topology.layout().rpc_ring_name()].into_iter().chain(topology.layout().response_ring_names()).collect()
}

#[test]
fn the_rings_of_a_session_say_its_label_and_whose_they_are() {
    let stage = Stage::new(2);
    let mut scheduler = stage.topology.launch(workers("answers")).unwrap();
    round(&mut scheduler, "hello");
    let title = |name: &String| ConsumerBarrier::attach(name).unwrap().title().to_string();
    let label = stage.label();
    let wanted = [label.to_owned(), format!("{label}, rank 0"), format!("{label}, rank 1")];
    assert_eq!(names(&stage.topology).iter().map(title).collect::<Vec<_>>(), wanted);
    assert_eq!(stage.topology.worker_consumer_id(1), wanted[2]);
    let readers = ConsumerBarrier::attach(&names(&stage.topology)[2]).unwrap().consumers();
    assert_eq!(readers[0].id, format!("{label}, scheduler"));
}

#[test]
fn a_worker_that_holds_a_broadcast_up_is_called_by_label_and_rank_alive_or_dead() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "a full broadcast ring");
    let stage = Stage::new(2);
    let spawn = |rank| command(if rank == 1 { "hangs" } else { "answers" });
    let mut scheduler = stage.topology.launch(Workers::spawned(spawn)).unwrap();
    let (label, ring) = (stage.label(), stage.topology.layout().rpc_ring_name());
    let pid = scheduler.worker_pid(1).unwrap();
    let mut fill = |until: Duration| loop {
        let sent = scheduler.broadcast(&[0; 1000], 1, Patience::Until(Instant::now() + until));
        if let Err(error) = sent {
            break (
                error.to_string(),
                matches!(*error.source, TransportError::Publish(PublishError::ConsumerDied { .. })),
            );
        }
    };
    let (text, is_death) = fill(Duration::from_millis(30));
    let begins = format!("{label}: timed out: ring {label} (shm:{ring}): producer waits for space since ");
    assert!(
        !is_death && text.starts_with(&begins) && text.contains(&format!("; {label}, rank 1 pid {pid} is ")),
        "{text}"
    );
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL).unwrap();
    let (text, is_death) = fill(PATIENCE);
    assert!(
        is_death
            && text.starts_with(&format!("{label}: consumer `{label}, rank 1` (process {pid}) died; attach again under its id, or evict it: ring {label} (")),
        "{text}"
    );
    let report = scheduler.report(1).to_string();
    assert!(report.starts_with(&format!("{label}, rank 1 (pid {pid}) has died")), "{report}");
}

#[test]
fn what_a_worker_waits_for_and_what_it_is_refused_is_said_by_label_and_rank() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "workers that cannot join");
    let stage = Stage::new(2);
    let label = stage.label();
    let hasty = stage.topology.clone().with_rendezvous_timeout(Duration::from_millis(5));
    let error = WorkerEnd::<Records>::join(&hasty.invitation(1).unwrap()).unwrap_err();
    assert!(matches!(&error, WorkerJoinError::NoScheduler { worker, .. } if *worker == format!("{label}, rank 1")));
    let text = error.to_string();
    assert!(text.starts_with(&format!("{label}, rank 1: no scheduler within ")), "{text}");
    let launched = hasty.launch(Workers::started_elsewhere()).unwrap_err().to_string();
    assert!(launched.starts_with(&format!("{label}: after ")), "{launched}");
    assert!(launched.contains(&format!(" are missing: {label}, rank 0 (never seen; ")), "{launched}");
    assert!(launched.contains(&format!("), {label}, rank 1 (never seen; ")), "{launched}");
    let mut scheduler = stage.topology.launch(workers("answers")).unwrap();
    let second = stage.topology.launch(Workers::started_elsewhere()).unwrap_err().to_string();
    let ring = stage.topology.layout().rpc_ring_name();
    let in_use = format!(
        "{label}: the broadcast ring could not be created: {label} (shm:{ring}) is in use by producer process "
    );
    assert!(second.starts_with(&in_use), "{second}");
    let mut other = by_hand("answers", &stage.topology.invitation(1).unwrap());
    let refused = format!(
        "REFUSED {label}, rank 1: the broadcast ring could not be joined: {label} (shm:{ring}) could not be joined: "
    );
    other.wait_line(&refused);
    round(&mut scheduler, "still");
}

#[test]
fn every_ring_of_a_session_is_created_as_its_topology_says() {
    let stage = Stage::new(2);
    let gid = rustix::process::getgid().as_raw();
    let topology = stage.topology.clone().with_create_options(CreateOptions::default().group(gid).prefault(true));
    let mut scheduler = topology.launch(workers("answers")).unwrap();
    round(&mut scheduler, "hello");
    for name in names(&topology) {
        let found = Path::new("/dev/shm").join(&name).metadata().unwrap();
        assert_eq!((found.mode() & 0o7777, found.gid()), (0o660, gid), "{name}");
    }
    drop(scheduler);
    stage.assert_nothing_left();
}

#[test]
fn a_process_that_knows_only_the_name_of_a_ring_reads_whose_it_is_in_its_reports() {
    let stage = Stage::new(2);
    let label = stage.label();
    let mut scheduler = stage.topology.launch(workers("answers")).unwrap();
    round(&mut scheduler, "hello");
    let names = names(&stage.topology);
    let monitor = TransportConsumer::<Records>::attach(&names[0], 0, WaitStrategy::Block).unwrap();
    let report = monitor.stall_report(Duration::ZERO).to_string();
    assert!(report.starts_with(&format!("ring {label} (shm:{}): ", names[0])), "{report}");
}
