//! How both sides meet, and part.

use super::actors::{Frame, by_hand, workers};
use super::stage::{LARGE_BYTES, Stage, of_label, round, said, soon, until};
use myelon::Patience;
use myelon::process::Command;
use myelon::topology::{LaunchError, MissingState, Outcome, Parting, RestartError, Topology, Whom, Workers};
use myelon::transport::Records;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;
use testkit::fork::fork_then;
use testkit::process::{Respawn, is_victim, say};
use testkit::watchdog::{PATIENCE, Watchdog, eventually};
use testkit::{namespace, skip, test_name};

#[test]
fn the_first_broadcast_reaches_every_worker_and_nothing_is_left_afterwards() {
    let _watchdog = Watchdog::new(4 * PATIENCE, "a topology");
    let stage = Stage::new(4);
    let mut scheduler = stage.topology.launch(workers("answers")).unwrap();
    let pids: Vec<_> = (0..4).map(|rank| scheduler.worker_pid(rank).unwrap()).collect();
    for step in 0..50 {
        round(&mut scheduler, &format!("step {step}"));
    }
    for departure in scheduler.close() {
        assert!(matches!(departure.how, Parting::Exited { status } if status.success()), "{departure:?}");
    }
    stage.assert_nothing_left();
    for pid in pids {
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "process {pid} is still there, or a zombie");
    }
}

#[test]
fn workers_outlive_the_thread_that_has_launched_them() {
    let stage = Stage::new(2);
    let topology = stage.topology.clone();
    let mut scheduler = std::thread::spawn(move || topology.launch(workers("answers")).unwrap()).join().unwrap();
    for step in 0..10 {
        round(&mut scheduler, &format!("step {step}"));
    }
    assert_eq!(scheduler.check_workers(), []);
}

#[test]
fn workers_that_were_started_by_hand_before_their_scheduler_are_met() {
    let stage = Stage::new(2);
    let mut first = by_hand("answers", &stage.topology.invitation(0).unwrap());
    std::thread::scope(|scope| {
        let launched = scope.spawn(|| stage.topology.launch(Workers::started_elsewhere()).unwrap());
        // The other worker comes late.
        first.wait_line("JOINED 0");
        let mut second = by_hand("answers", &stage.topology.invitation(1).unwrap());
        second.wait_line("JOINED 1");
        let mut scheduler = launched.join().unwrap();
        round(&mut scheduler, "hello");
        drop(scheduler);
        second.wait_line("CLOSED");
        assert!(second.wait_exit(PATIENCE).success());
    });
    first.wait_line("CLOSED");
    assert!(first.wait_exit(PATIENCE).success());
    stage.assert_nothing_left();
}

#[test]
fn a_worker_that_does_not_come_is_named_and_the_others_are_told() {
    let stage = Stage::new(3);
    let topology = stage.topology.clone().with_rendezvous_timeout(Duration::from_secs(2));
    let mut there = by_hand("answers", &topology.invitation(1).unwrap());
    let error = topology.launch(Workers::started_elsewhere()).unwrap_err();
    let text = error.to_string();
    let LaunchError::Missing { missing, .. } = error else { panic!("{text}") };
    let ranks: Vec<_> = missing.iter().map(|missing| missing.rank).collect();
    assert_eq!(ranks, [0, 2], "{text}");
    assert!(missing.iter().all(|missing| matches!(missing.state, MissingState::NotSeen { .. })), "{text}");
    assert!(text.contains("rank 0 (never seen; ") && text.contains("rank 2 (never seen; "), "{text}");
    there.wait_line("CLOSED");
    assert!(there.wait_exit(PATIENCE).success());
    stage.assert_nothing_left();
}

#[test]
fn a_worker_that_ends_before_it_has_joined_ends_the_wait_at_once() {
    let stage = Stage::new(2);
    let spawn = |rank| if rank == 1 { Command::new("false") } else { super::actors::command("answers") };
    let error = stage.topology.launch(Workers::spawned(spawn)).unwrap_err();
    let text = error.to_string();
    let LaunchError::Missing { missing, waited, .. } = error else { panic!("{text}") };
    assert!(missing.iter().any(|missing| matches!(missing.state, MissingState::Exited { .. })), "{text}");
    assert!(waited < PATIENCE, "{text}");
    stage.assert_nothing_left();
}

#[test]
fn a_program_that_cannot_be_started_is_an_error_and_nothing_is_left() {
    let stage = Stage::new(2);
    let spawn = |rank| if rank == 1 { Command::new("/no/such/program") } else { super::actors::command("answers") };
    let error = stage.topology.launch(Workers::spawned(spawn)).unwrap_err();
    assert!(matches!(error, LaunchError::Spawn { rank: 1, .. }), "{error}");
    stage.assert_nothing_left();
}

#[test]
fn a_second_scheduler_of_the_same_label_is_refused() {
    let stage = Stage::new(2);
    let mut scheduler = stage.topology.launch(workers("answers")).unwrap();
    let second = stage.topology.launch(workers("answers"));
    assert!(matches!(second, Err(LaunchError::Broadcast { .. })), "{second:?}");
    round(&mut scheduler, "still here");
}

#[test]
fn a_second_worker_of_the_same_rank_is_refused() {
    let stage = Stage::new(2);
    let mut scheduler = stage.topology.launch(workers("answers")).unwrap();
    let mut second = by_hand("answers", &stage.topology.invitation(1).unwrap());
    let refused = second.wait_line("REFUSED");
    assert!(refused.contains("broadcast"), "{refused}");
    round(&mut scheduler, "undisturbed");
}

#[test]
fn a_worker_that_does_not_leave_is_killed() {
    let stage = Stage::new(2);
    let topology = stage.topology.clone().with_leave_timeout(Duration::from_millis(200));
    let mut scheduler = topology.launch(workers("ignores the end")).unwrap();
    assert!(scheduler.gather(Whom::All, soon()).iter().all(|answer| said(answer) == "HERE"));
    let pids: Vec<_> = (0..2).map(|rank| scheduler.worker_pid(rank).unwrap()).collect();
    let departures = scheduler.close();
    let killed: Vec<_> = pids.iter().map(|&pid| Parting::Killed { pid }).collect();
    assert_eq!(departures.iter().map(|departure| departure.how).collect::<Vec<_>>(), killed);
    stage.assert_nothing_left();
}

#[test]
fn any_gives_the_one_who_answers_and_silence_is_named() {
    let stage = Stage::new(2);
    let topology = stage.topology.clone().with_leave_timeout(Duration::from_millis(200));
    let spawn = |rank| super::actors::command(if rank == 0 { "ignores the end" } else { "answers" });
    let mut scheduler = topology.launch(Workers::spawned(spawn)).unwrap();
    assert_eq!(said(&scheduler.gather(Whom::Rank(0), soon())[0]), "HERE");
    scheduler.broadcast(b"who is there", 1, Patience::Until(soon())).unwrap();
    let answers = scheduler.gather(Whom::Any, soon());
    assert_eq!(answers.len(), 1);
    assert_eq!((answers[0].rank, said(&answers[0])), (1, "WHO IS THERE".to_owned()));
    let silent = scheduler.gather(Whom::Rank(0), std::time::Instant::now() + Duration::from_millis(30)).remove(0);
    assert!(matches!(silent.outcome, myelon::topology::Outcome::TimedOut), "{silent:?}");
}

#[test]
fn an_answer_can_be_read_where_it_lies() {
    let stage = Stage::new(2);
    let mut scheduler = stage.topology.launch(workers("answers")).unwrap();
    scheduler.broadcast(b"in place", 3, Patience::Until(soon())).unwrap();
    for rank in 0..2 {
        let answer = scheduler.receive(rank, soon()).unwrap();
        assert_eq!((&answer[..], answer.kind()), (&b"IN PLACE"[..], 3));
    }
}

#[test]
fn fixed_frames_carry_a_topology_as_well() {
    let label = testkit::names::short();
    let topology = Topology::<Frame>::with_depths(&label, 2usize, 64, 64).unwrap().with_rendezvous_timeout(PATIENCE);
    let mut scheduler = topology.launch(workers("answers in frames")).unwrap();
    let large = "large ".repeat(LARGE_BYTES / 6);
    scheduler.broadcast(large.as_bytes(), 1, Patience::Until(soon())).unwrap();
    for answer in scheduler.gather(Whom::All, soon()) {
        assert_eq!(said(&answer), large.to_uppercase());
    }
    for departure in scheduler.close() {
        assert!(matches!(departure.how, Parting::Exited { status } if status.success()), "{departure:?}");
    }
}

#[test]
fn a_topology_can_live_in_files() {
    // The scheduler makes it.
    let directory = std::env::temp_dir().join(testkit::names::short());
    let stage = Stage::new(2);
    let mut scheduler = stage.topology.clone().in_directory(&directory).launch(workers("answers")).unwrap();
    round(&mut scheduler, "on disk");
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 3);
    stage.assert_nothing_left();
    drop(scheduler);
    // This fails unless the directory is empty.
    std::fs::remove_dir(&directory).unwrap();
}

#[test]
fn a_worker_that_was_built_for_other_messages_is_refused_and_named() {
    let stage = Stage::new(2);
    let tagged = |step: &str| stage.topology.clone().with_content_tags(step, "answer/1");
    let topology = tagged("step/2").with_rendezvous_timeout(Duration::from_secs(2));
    let invitation = tagged("step/1").invitation(1).unwrap();
    let mut same = by_hand("answers", &topology.invitation(0).unwrap());
    let (launched, refused) = std::thread::scope(|scope| {
        let launched = scope.spawn(|| topology.launch(Workers::started_elsewhere()).map(drop));
        same.wait_line("JOINED 0");
        let mut other = by_hand("answers", &invitation);
        other.wait_line("REFUSED");
        (launched.join().unwrap(), other.pid())
    });
    let text = launched.unwrap_err().to_string();
    assert!(
        text.contains(&format!(", rank 1 (process {refused} could not join: it expects another content tag)")),
        "{text}"
    );
    same.wait_line("CLOSED");
    assert!(same.wait_exit(PATIENCE).success());
    stage.assert_nothing_left();
}

#[test]
fn a_forked_child_of_the_scheduler_ends_nothing() {
    let stage = Stage::new(2);
    let mut scheduler = stage.topology.launch(workers("answers")).unwrap();
    round(&mut scheduler, "before");
    let mut scheduler = Some(scheduler);
    let mut child = fork_then(|| {
        let Some(scheduler) = &mut scheduler else { return 1 };
        let is_told =
            matches!(scheduler.restart(0), Err(RestartError::Forked { .. })) && scheduler.check_workers().is_empty();
        i32::from(!is_told)
    });
    assert!(child.wait_exit(PATIENCE).success());
    let mut child = fork_then(|| {
        drop(scheduler.take());
        0
    });
    assert!(child.wait_exit(PATIENCE).success());
    round(&mut scheduler.unwrap(), "after");
}

/// The environment variable with the session's label for the process below.
const LABEL_VARIABLE: &str = "MYELON_TEST_NESTED";

#[test]
#[ignore = "runs as a victim"]
fn victim_that_forks_a_process_of_its_own_number() {
    if !is_victim() {
        return;
    }
    let launched = of_label(&std::env::var(LABEL_VARIABLE).unwrap(), 2).launch(workers("answers")).unwrap();
    let mut scheduler = Some(launched);
    round(scheduler.as_mut().unwrap(), "before");
    let here = std::process::id();
    let mut child = namespace::fork_then_first(|| {
        let Some(mut scheduler) = scheduler.take() else { return 1 };
        let is_told = matches!(scheduler.restart(0), Err(RestartError::Forked { .. }));
        drop(scheduler);
        if std::process::id() != here { 2 } else { i32::from(!is_told) }
    })
    .unwrap();
    let code = child.wait_exit(PATIENCE).code();
    round(scheduler.as_mut().unwrap(), "after");
    say(&format!("ANSWERED {here} {code:?}"));
}

#[test]
fn a_forked_child_that_has_the_schedulers_number_in_another_namespace_ends_nothing() {
    if let Err(reason) = namespace::available() {
        skip!("{reason}");
    }
    let stage = Stage::new(2);
    let mut victim = Respawn::test(test_name!(victim_that_forks_a_process_of_its_own_number))
        .env(LABEL_VARIABLE, stage.label())
        .in_new_pid_namespace()
        .spawn();
    victim.wait_line("ANSWERED 1 Some(0)");
}

#[test]
fn a_forked_child_of_the_scheduler_meets_no_worker_in_its_place() {
    let stage = Stage::new(1);
    let mut scheduler = stage.topology.launch(workers("answers")).unwrap();
    let ring = || std::fs::metadata(&stage.leftovers()[0]).unwrap().ino();
    let first_ring = ring();
    scheduler.restart(0).unwrap();
    // The parent looks at the successor only after the child has.
    let mut child = fork_then(|| {
        eventually("the successor's ring", PATIENCE, || ring() != first_ring).unwrap();
        scheduler.check_workers();
        i32::from(scheduler.worker_pid(0).is_some())
    });
    assert_eq!(child.wait_exit(PATIENCE).code(), Some(0));
    until(&mut scheduler, 0, |outcome| matches!(outcome, Outcome::Rejoined { .. }));
    round(&mut scheduler, "after");
}

#[test]
fn a_topology_without_workers_is_refused() {
    assert!(Topology::<Records>::with_depths("label", 0usize, 8, 8).is_err());
}
