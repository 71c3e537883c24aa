//! An impossible topology is refused when it is described, and not by a worker some seconds later.

use super::actors::workers;
use super::stage::{Stage, panic_of};
use myelon::topology::{
    DEFAULT_RESPONSE_BYTES, INVITATION_VARIABLE, Invitation, LaunchError, Topology, Whom, WorkerEnd, Workers,
};
use myelon::transport::{AlignedFixedFrame, Format, Records, TransportBuilder, TransportConsumer, TransportProducer};
use myelon::{DEFAULT_RECORD_RING_BYTES, Patience, plan_records, record_ring_bytes};
use std::time::Instant;
use testkit::process::{Respawn, is_victim, say};
use testkit::test_name;

type Frames = Topology<AlignedFixedFrame<1024>>;

#[track_caller]
fn refused<T>(answer: Result<T, impl ToString>) -> String {
    answer.map(drop).expect_err("an error").to_string()
}

#[test]
fn a_depth_that_no_ring_has_is_refused_when_it_is_given() {
    assert_eq!(
        refused(Frames::with_depths("engine", 2_usize, 4 << 20, 200_000)),
        "engine: the response ring cannot be made: a ring has a power of two of slots, 1 to 1099511627776, and 200000 were asked for; the next that is \
         possible is 262144"
    );
    assert_eq!(
        refused(Topology::<Records>::with_depths("engine", 2_usize, usize::MAX, 4096)),
        "engine: the broadcast ring cannot be made: a ring of records has 1 to 35184372088832 bytes, and 18446744073709551615 were asked for; the \
         default size is 8388608"
    );
    assert_eq!(
        refused(Topology::<Records>::with_depths("engine", 2_usize, 4096, 0)),
        "engine: the depth of the response ring is 0: a ring has at least one slot, or one byte for records"
    );
    // Bytes of records are rounded up, in both processes.
    let topology = Topology::<Records>::with_depths("engine", 2_usize, 4 << 20, 200_000).unwrap();
    let rounded = Topology::<Records>::with_depths("engine", 2_usize, 4 << 20, 262_144).unwrap();
    assert_eq!(topology.planned_bytes().unwrap(), rounded.planned_bytes().unwrap());
}

#[test]
fn a_content_tag_that_cannot_be_one_is_refused_before_a_worker_is_started() {
    let stage = Stage::new(1);
    let topology = stage.topology.clone().with_content_tags("step/1", "an\nanswer");
    let text = format!(
        "{}: the response ring cannot be made: \"an\\nanswer\" is not a content tag, which has 1 to 256 bytes and no character that cannot be seen",
        stage.label()
    );
    let started = Workers::spawned(|rank| panic!("worker {rank} was started"));
    let error = topology.launch(started).unwrap_err();
    assert!(matches!(error, LaunchError::Description(_)));
    assert_eq!(error.to_string(), text);
    assert_eq!(refused(topology.invitation(0)), text);
    stage.assert_nothing_left();
}

#[cfg(feature = "serde")]
#[test]
fn a_depth_that_comes_from_a_file_is_refused_before_a_worker_is_started() {
    let topology = Frames::with_depths("engine", 1_usize, 1024, 256).unwrap();
    let json = serde_json::to_string(&topology).unwrap().replace("1024", "1025");
    let read: Frames = serde_json::from_str(&json).unwrap();
    let text = "engine: the broadcast ring cannot be made: a ring has a power of two of slots, 1 to 1099511627776, and 1025 were asked for; the next that \
                is possible is 2048";
    assert_eq!(refused(read.launch(Workers::started_elsewhere())), text);
}

#[test]
fn a_rank_that_is_not_there_has_no_invitation() {
    let topology = Topology::new("engine", 2_usize).unwrap();
    assert_eq!(refused(topology.invitation(5)), "engine: there is no worker 5: the session has 2, with ranks from 0");
    assert_eq!(
        refused(Topology::new("engine", 0_usize)),
        "engine: a session has at least one worker, and 0 were asked for"
    );
}

#[test]
fn a_rank_that_no_worker_has_is_a_panic_in_the_callers_line_with_the_number_of_workers() {
    let stage = Stage::new(1);
    let label = stage.label();
    let mut scheduler = stage.topology.launch(workers("answers")).unwrap();
    let now = Instant::now();
    let step = scheduler.broadcast(b"a step", 1, Patience::Endless).unwrap();
    let panics = [
        panic_of(|| drop(scheduler.gather(Whom::Rank(5), now))),
        panic_of(|| drop(scheduler.gather_for(step, Whom::Rank(5), now))),
        panic_of(|| drop(scheduler.receive(5, now))),
        panic_of(|| drop(scheduler.report(5))),
        panic_of(|| drop(scheduler.wait_for(5, now))),
        panic_of(|| assert_eq!(scheduler.worker_pid(5), None)),
        panic_of(|| drop(stage.topology.worker_consumer_id(5))),
    ];
    for (text, file) in panics {
        assert_eq!(text, format!("{label}: there is no worker 5: the topology has 1, with ranks from 0"));
        assert!(file.ends_with("descriptions.rs"), "{file}");
    }
    assert_eq!(
        refused(scheduler.restart(5)),
        format!("{label}: there is no worker 5: the session has 1, with ranks from 0")
    );
    drop(scheduler);
    stage.assert_nothing_left();
}

#[test]
fn a_variable_that_holds_no_invitation_is_named_with_its_value() {
    let said = |variable: Option<&str>| {
        let mut victim = Respawn::test(test_name!(victim_that_is_invited));
        if let Some(value) = variable {
            victim = victim.env(INVITATION_VARIABLE, value);
        }
        victim.spawn().wait_line("SAID ").trim_start_matches("SAID ").to_owned()
    };
    assert_eq!(
        said(None),
        "the environment variable MYELON_INVITATION is not set: let a scheduler start this process, or set the variable to the text of `Topology::invitation`"
    );
    assert_eq!(
        said(Some("worker 3")),
        "MYELON_INVITATION: `worker 3` is not an invitation: the text does not begin with `myelon-worker:`; set it to the text of `Topology::invitation`, unchanged"
    );
}

#[test]
#[ignore = "runs as a victim"]
fn victim_that_is_invited() {
    if is_victim() {
        say(&format!("SAID {}", refused(Invitation::from_environment())));
    }
}

#[test]
fn one_default_size_is_that_of_every_ring_of_records_and_a_response_ring_holds_three_long_answers() {
    let topology = Topology::new("engine", 1_usize).unwrap();
    let broadcast = plan_records(DEFAULT_RECORD_RING_BYTES, 1).unwrap().total_len;
    let response = plan_records(DEFAULT_RESPONSE_BYTES, 1).unwrap().total_len;
    assert_eq!(topology.planned_bytes().unwrap(), broadcast + response);
    assert_eq!(Records::in_flight_for(DEFAULT_RESPONSE_BYTES, 128 << 10), Ok(3));

    let name = myelon::portable_shm_segment_name("three");
    let mut responses = TransportBuilder::<Records>::new(&name, DEFAULT_RESPONSE_BYTES).build_producer().unwrap();
    let _scheduler = TransportBuilder::at(&name).with_consumer_id("scheduler").build_consumer().unwrap();
    for _ in 0..3 {
        responses.send(&[7; 128 << 10], 1, Patience::Now).unwrap();
    }
    assert!(responses.send(&[7; 128 << 10], 1, Patience::Now).unwrap_err().is_full());
}

/// Checks that a ring of the depth in the rule takes exactly the messages in the rule.
fn takes<F: Format>(in_flight: usize, message_bytes: usize) {
    let name = myelon::portable_shm_segment_name("rule");
    let depth = F::depth_for(in_flight, message_bytes).unwrap();
    // A rounded depth may take more.
    let takes = F::in_flight_for(depth, message_bytes).unwrap();
    assert!(takes >= in_flight && F::depth_for(takes, message_bytes).unwrap() == depth);
    assert!(F::depth_for(takes + 1, message_bytes).unwrap() > depth);
    let builder = TransportBuilder::<F>::new(&name, depth).with_send_time(true);
    let mut producer = builder.build_producer().unwrap();
    producer.set_trace_id(Some([1; 16]));
    let _consumer = TransportBuilder::<F>::new(&name, 0).with_consumer_id("w").build_consumer().unwrap();
    for number in 0..takes {
        let sent = producer.send(&vec![7; message_bytes], 1, Patience::Now);
        assert!(sent.is_ok(), "message {number} of {takes} with {message_bytes} bytes: {sent:?}");
    }
    let beyond = producer.send(&vec![7; message_bytes], 1, Patience::Now);
    assert!(beyond.unwrap_err().is_full(), "{takes} messages with {message_bytes} bytes, and one more");
}

#[test]
fn a_ring_takes_as_many_messages_as_the_rule_of_its_format_says() {
    for (in_flight, message_bytes) in [(1, 0), (13, 20_144), (7, 100_000), (64, 48), (3, 1024), (64, 992)] {
        takes::<Records>(in_flight, message_bytes);
        takes::<AlignedFixedFrame<1024>>(in_flight, message_bytes);
    }
    assert_eq!(AlignedFixedFrame::<1024>::depth_for(64, 992).unwrap(), 64);
    assert_eq!(AlignedFixedFrame::<64>::in_flight_for(64, 1 << 20).unwrap(), 0);
    assert_eq!(Records::in_flight_for(4096, usize::MAX).unwrap(), 0);
    assert!(AlignedFixedFrame::<64>::in_flight_for(63, 1).is_err() && Records::in_flight_for(0, 1).is_err());
    assert_eq!(record_ring_bytes(13, 20_144 + 32).unwrap(), Records::depth_for(13, 20_144).unwrap());
    assert_eq!(
        refused(AlignedFixedFrame::<64>::depth_for(2, 1 << 30)),
        "no ring holds 2 messages of 1073741824 bytes at once; ask for fewer or shorter ones"
    );
    assert_eq!(
        refused(Records::depth_for(2, usize::MAX)),
        "no ring holds 2 messages of 18446744073709551615 bytes at once; ask for fewer or shorter ones"
    );
}

/// Compiled, and not run: the format of records needs no annotation anywhere.
#[test]
fn ends_of_records_are_made_without_a_type_annotation() {
    let _ = |invitation: &Invitation| -> Result<(), Box<dyn std::error::Error>> {
        let mut worker = WorkerEnd::join(invitation)?;
        worker.next(Patience::Now)?;
        let mut producer = TransportProducer::create_default("x")?;
        producer.publish(b"x", 1)?;
        let mut consumer = TransportConsumer::join("x", "w")?;
        consumer.next(Patience::Now)?;
        TransportBuilder::at("x").build_producer()?.publish(b"x", 1)?;
        Ok(())
    };
}
