//! Participants in other containers, and file systems that are full.

use crate::actor::Actor;
use crate::stage::{drain, entries, fill, in_ms, join, publish, ring, step, watchdog};
use disruptor_mp::liveness::ProcessState;
use disruptor_mp::segment::Place;
use disruptor_mp::{ConsumeError, MultiProcessError, Origin, PublishError};
use std::io::Write;
use testkit::names::ShmGuard;
use testkit::tmpfs::Tmpfs;
use testkit::{namespace, skip};

#[test]
fn the_life_of_a_consumer_in_another_pid_namespace_is_known() {
    if let Err(reason) = namespace::available() {
        skip!("{reason}");
    }
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let place = Place::from(shm.name("a"));
    let mut producer = ring(&place, 4).build_producer(step).unwrap();
    let mut consumer = Actor::start(Actor::respawn().in_new_pid_namespace());
    consumer.does(format!("attach {} w block", shm.name("a")));
    consumer.begins("consume 3");
    for n in 0..3 {
        producer.publish(|slot| slot.sequence = n).unwrap();
    }
    assert_eq!(consumer.ends().unwrap(), "2");

    // From here it cannot be seen whether it is stopped, but that it lives can.
    consumer.victim.stop();
    publish(&mut producer, 4);
    match producer.publish_deadline(in_ms(150), |_| ()) {
        Err(PublishError::TimedOut { report }) => {
            let culprit = report.culprit.as_ref().unwrap();
            assert_eq!((culprit.id.as_str(), culprit.process.pid, culprit.is_dead), ("w", 1, false));
            assert_eq!(culprit.facts.state, ProcessState::OtherNamespace);
        }
        other => panic!("{other:?}"),
    }
    assert!(!producer.evict_consumer("w").unwrap());
    consumer.dies();
    assert!(matches!(producer.publish(|_| ()), Err(PublishError::ConsumerDied { pid: 1, .. })));

    // A consumer of this namespace may come back under its id.
    let mut successor = join(&place, "w");
    assert!(successor.has_rejoined());
    assert_eq!(drain(&mut successor), [3, 4, 5, 6]);
}

#[test]
fn the_life_of_a_producer_in_another_pid_namespace_is_known() {
    if let Err(reason) = namespace::available() {
        skip!("{reason}");
    }
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let place = Place::from(shm.name("a"));
    let mut producer = Actor::start(Actor::respawn().in_new_pid_namespace());
    producer.does(format!("produce {} 4 block", shm.name("a")));
    let mut consumer = join(&place, "w");
    producer.does("publish 2");
    match ring(&place, 4).build_producer(step).map(|producer| producer.origin()) {
        Err(MultiProcessError::InUse { pid, state, .. }) => assert_eq!((pid, state), (1, ProcessState::OtherNamespace)),
        other => panic!("{other:?}"),
    }
    producer.dies();
    assert_eq!(drain(&mut consumer), [0, 1]);
    assert!(matches!(consumer.consume_next_leased(), Err(ConsumeError::ProducerDied { pid: 1, .. })));
    let mut successor = ring(&place, 4).build_producer(step).unwrap();
    assert_eq!(successor.origin(), Origin::TookOver);
    publish(&mut successor, 4);
    assert_eq!(drain(&mut consumer), [2, 3, 4, 5]);
}

#[test]
fn a_full_file_system_is_an_error_and_not_a_signal() {
    const SIZE_BYTES: u64 = 4 << 20;
    let _watchdog = watchdog();
    let tmpfs = match Tmpfs::mount(SIZE_BYTES) {
        Ok(tmpfs) => tmpfs,
        Err(reason) => skip!("{reason}"),
    };
    let at = |name: &str| Place::from(tmpfs.path().join(name));
    // 65536 events of 64 bytes are 4 MiB, and a header.
    match ring(&at("large"), 65536).build_producer(step).map(|producer| producer.origin()) {
        Err(error @ MultiProcessError::NoSpace { wanted_bytes, available_bytes, .. }) => {
            assert!(wanted_bytes > SIZE_BYTES && available_bytes <= SIZE_BYTES, "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(entries(tmpfs.path()), [""; 0], "nothing of it is left");

    // A ring that fits has all its pages: filling up the rest takes nothing from it.
    let place = at("fits");
    let mut producer = ring(&place, 16384).build_producer(step).unwrap();
    let mut consumer = join(&place, "w");
    let mut rest = std::fs::File::create(tmpfs.path().join("rest")).unwrap();
    while rest.write_all(&[0xff; 4096]).is_ok() {}
    assert_eq!(fill(&mut producer), 16384);
    assert_eq!(drain(&mut consumer).len(), 16384);
    assert!(matches!(ring(&at("small"), 2).build_producer(step), Err(MultiProcessError::NoSpace { .. })));

    // When there is room again, it can be used.
    drop((producer, consumer));
    ring(&at("small"), 2).build_producer(step).unwrap();
    assert_eq!(entries(tmpfs.path()), ["rest"]);
}
