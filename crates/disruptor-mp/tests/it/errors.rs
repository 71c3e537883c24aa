//! `{error}` says everything that a person needs at night, once: what happened, to which ring, and why.

use crate::stage::{TempDir, in_ms, watchdog};
use disruptor_mp::segment::{CreateError, GcError, OpenError};
use disruptor_mp::{
    ConsumeError, CoordinationMode, MultiProcessError, Patience, PublishError, RecordError,
    RequiredConsumerLivenessConfig, SharedConsumer, SharedCursor, SharedCursorTrait, SharedDisruptorBuilder,
    SharedProducer, StartAt, gc, plan,
};
use std::error::Error;
use std::io;
use std::path::Path;
use std::time::Duration;
use testkit::errors::assert_says_all_once;
use testkit::names::ShmGuard;

type Builder = SharedDisruptorBuilder<u64>;

#[track_caller]
fn says<T, E: Error + 'static>(answer: Result<T, E>, facts: &[&str]) {
    match answer {
        Ok(_) => panic!("no error"),
        Err(error) => assert_says_all_once(&error, facts),
    }
}

fn build(builder: Builder) -> Result<SharedProducer<u64>, MultiProcessError> {
    builder.build_producer(|| 0)
}

#[test]
fn an_error_of_building_names_the_ring_and_the_cause_once() {
    let _watchdog = watchdog();
    let names = ShmGuard::new();
    let name = names.name("r");
    let ring = || Builder::new(&name, 8);
    says(ring().build_consumer(), &["there is no ring", &name]);
    let mut producer = build(ring().with_content_tag("steps/1").enable_discovery(1)).unwrap();
    let pid = std::process::id().to_string();
    says(build(ring()), &[&name, "is in use", &pid]);
    says(build(ring().create()), &[&name, "exists already"]);
    says(Builder::new(&name, 16).build_consumer(), &[&name, "has 8 slots", "asks for 16"]);
    says(SharedDisruptorBuilder::<i64>::new(&name, 8).build_consumer(), &[&name, "holds other events"]);
    says(ring().with_content_tag("steps/2").build_consumer(), &[&name, "steps/1", "steps/2"]);
    says(ring().with_content_tag("").build_consumer(), &["cannot be a content tag"]);
    says(ring().with_consumer_id("").build_consumer(), &["consumer id of 0 bytes"]);
    says(SharedDisruptorBuilder::records(&name, 0).build_record_consumer(), &[&name, "of kind", "wanted was"]);
    for number in 0..20 {
        producer.publish(|slot| *slot = number).unwrap();
    }
    says(ring().start_at(StartAt::Beginning).build_consumer(), &[&name, "no longer holds its first event"]);
    let _consumer = ring().with_consumer_id("w").build_consumer().unwrap();
    says(ring().with_consumer_id("w").build_consumer(), &[&name, "`w` is in use", &pid]);
    says(build(Builder::new(names.name("a"), 7)), &["a power of two", "7 were asked for"]);
    says(build(Builder::new(names.name("a"), 8).enable_discovery(5000)), &["5000"]);
    says(build(Builder::new(names.name("a"), 1 << 40)), &["bytes"]);
    says(plan::<[u8; 1 << 24]>(1 << 40, 1), &["the segment would need"]);
    let nothing_held = disruptor_mp::CoordinationMode::BufferUntilConsumers { max_buffer: 0 };
    let builder = SharedDisruptorBuilder::records(names.name("a"), 1 << 46).with_coordination(nothing_held);
    says(builder.build_record_producer(), &["1 to 35184372088832 bytes", "70368744177664 were asked for"]);
    let late = ring().wait_for_consumers(1, Duration::from_millis(1));
    says(
        build(Builder::new(names.name("b"), 8).with_coordination_timeout(Duration::ZERO)),
        &["0 of 1 consumers joined"],
    );
    says(build(late), &["is in use"]);
    let buffer = CoordinationMode::BufferUntilConsumers { max_buffer: 9 };
    says(build(Builder::new(names.name("c"), 8).with_coordination(buffer)), &["a start-up buffer", "9 were asked for"]);
    says(build(Builder::new("a/b", 8)), &["`a/b`", "cannot be a segment's name"]);
    says(build(Builder::new(names.name("d"), 8).take_over()), &["there is no ring"]);
}

#[test]
fn an_error_about_what_stands_in_the_way_says_what_it_is() {
    let _watchdog = watchdog();
    let dir = TempDir::new();
    let at = |name: &str| dir.path().join(name);
    let attach = |path: &Path| Builder::new(path, 8).build_consumer();
    std::fs::write(at("short"), b"short").unwrap();
    says(attach(&at("short")), &["short to be a segment", "5 bytes"]);
    std::fs::write(at("other"), vec![7; 8192]).unwrap();
    says(attach(&at("other")), &["is not a segment"]);
    std::fs::create_dir(at("directory")).unwrap();
    says(attach(&at("directory")), &["a directory"]);
    let missing = at("no").join("such").join("directory");
    says(build(Builder::new(&missing, 8)), &["No such file or directory"]);
    says(gc("a/b"), &["cannot be a segment's name"]);
}

/// Errors of the system, which a test cannot have at will.
#[test]
fn an_error_of_the_system_is_in_the_text() {
    let denied = || io::Error::from_raw_os_error(13);
    let place = || "shm:ring".to_owned();
    let facts = &["shm:ring", "Permission denied (os error 13)"];
    let open = || OpenError::PermissionDenied { place: place(), call: "open", source: denied() };
    let create = || CreateError::PermissionDenied { place: place(), call: "open", source: denied() };
    assert_says_all_once(&open(), facts);
    assert_says_all_once(&create(), facts);
    assert_says_all_once(&MultiProcessError::PermissionDenied { place: place(), source: Box::new(open()) }, facts);
    assert_says_all_once(&MultiProcessError::PermissionDenied { place: place(), source: Box::new(create()) }, facts);
    let create = CreateError::Os { place: place(), call: "fallocate", source: denied() };
    assert_says_all_once(&MultiProcessError::Create { place: place(), source: create }, facts);
    let open = OpenError::Os { place: place(), call: "mmap", source: denied() };
    assert_says_all_once(&MultiProcessError::Unusable { place: place(), source: open }, facts);
    let remove = GcError::Os { place: place(), call: "unlink", source: denied() };
    assert_says_all_once(&MultiProcessError::CleanUp { place: place(), source: remove }, facts);
    let remove = GcError::PermissionDenied { place: place(), call: "unlink", source: denied() };
    assert_says_all_once(&MultiProcessError::CleanUp { place: place(), source: remove }, facts);
    assert_says_all_once(&MultiProcessError::Os { place: place(), call: "sched_setaffinity", source: denied() }, facts);
    let join = denied().into();
    assert_says_all_once(&MultiProcessError::Join { place: place(), source: join }, facts);
    let (wanted_bytes, available_bytes) = (4096, 100);
    let full = CreateError::NoSpace { place: place(), wanted_bytes, available_bytes, source: denied() };
    let full = MultiProcessError::NoSpace { place: place(), wanted_bytes, available_bytes, source: full };
    assert_says_all_once(&full, &["no space for shm:ring", "4096 bytes wanted", "--shm-size"]);
}

#[test]
fn an_error_of_a_running_ring_names_the_reason_once() {
    let _watchdog = watchdog();
    let names = ShmGuard::new();
    let mut producer: SharedProducer<u64> = build(Builder::new(names.name("r"), 4)).unwrap();
    let mut consumer = SharedConsumer::<u64>::attach(names.name("r"), 4, "w").unwrap();
    says(consumer.consume_next_leased_deadline(in_ms(1)), &["no event within"]);
    says(producer.publish_managed(|_| ()), &["is not enabled"]);
    producer
        .enable_required_consumer_liveness(
            RequiredConsumerLivenessConfig::new(["absent"]).with_startup_wait_timeout(Duration::ZERO),
        )
        .unwrap();
    says(producer.publish_managed(|_| ()), &["did not join: absent"]);
    for _ in 0..4 {
        producer.publish(|_| ()).unwrap();
    }
    says(producer.try_publish(|_| ()), &["the ring is full"]);
    says(producer.try_publish_batch(2, |_, _| ()), &["2 slots are missing"]);
    says(producer.publish_batch(5, |_, _| ()), &["5 events", "a ring of 4"]);
    says(producer.publish_deadline(in_ms(1), |_| ()), &["timed out", "producer waits for space"]);
    says(producer.publish_with(Patience::Until(in_ms(1)), |_| ()), &["timed out", "producer waits for space"]);
    says(SharedCursor::attach(names.name("r")).unwrap().wait_for(9, in_ms(1)), &["timed out", "at sequence 3"]);
    drop(producer);
    assert_eq!(consumer.process_available(|_, _| ()), 4);
    says(consumer.consume_next_leased(), &["the ring is closed"]);
    assert!(matches!(consumer.consume_next_leased(), Err(ConsumeError::Closed)));
}

#[test]
fn an_error_of_records_names_the_reason_once() {
    let _watchdog = watchdog();
    let place = disruptor_mp::Place::heap();
    let mut producer = SharedDisruptorBuilder::records(&place, 1 << 14).build_record_producer().unwrap();
    let _consumer = SharedDisruptorBuilder::records(&place, 0).with_consumer_id("w").build_record_consumer().unwrap();
    says(producer.publish(&vec![0; 1 << 15], 0, 0, Patience::Now), &["a record of 32768 bytes", "65536 bytes"]);
    while producer.publish(&[0; 1000], 0, 0, Patience::Now).is_ok() {}
    says(producer.publish(&[0; 1000], 0, 0, Patience::Now), &["the ring is full"]);
    let late = producer.publish(&[0; 1000], 0, 0, Patience::Until(in_ms(1)));
    assert!(matches!(&late, Err(RecordError::NoRoom(disruptor_mp::NoRoom::Publish(PublishError::TimedOut { .. })))));
    says(late, &["timed out", "producer waits for space"]);
}
