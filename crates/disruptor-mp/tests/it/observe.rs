//! Segments of any program, seen from outside without its types.

use disruptor_mp::observe::{Catalogue, Life, Observer};
use disruptor_mp::prelude::*;
use disruptor_mp::segment::{Kind, OpenError, Title};
use disruptor_mp::{CountersFile, Place, SharedDisruptorBuilder, SizeUnit, counters::ids};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use testkit::names::ShmGuard;
use testkit::process::{Respawn, is_victim, role, say, wait_to_be_killed};
use testkit::watchdog::{PATIENCE, eventually};
use testkit::{Signal, test_name};

#[event]
struct Step {
    sequence: u64,
    rank: u32,
    padding: u32,
}

fn step(sequence: u64) -> Step {
    Step { sequence, rank: 3, padding: 0 }
}

/// What a tap from `back` events before the end copies: the sequences, and the first number in each.
fn copied(ring: &Observer, back: u64) -> Vec<(i64, u64)> {
    let mut tap = ring.tap(back).expect("it is a ring");
    let mut all = Vec::new();
    while let Some(event) = tap.next_now() {
        all.push((event.sequence(), u64::from_ne_bytes(event[..8].try_into().unwrap())));
    }
    all
}

#[test]
fn a_ring_of_any_type_tells_its_shape_its_ends_and_its_last_events() {
    let shm = ShmGuard::new();
    let name = shm.name("r");
    let place = Place::from(&name).titled(Title::new("tp-engine", Some(1)));
    let mut producer = SharedProducer::<Step>::create(place, 8, || step(0)).unwrap();
    let mut worker = SharedConsumer::<Step>::attach(&name, 8, "worker-3").unwrap();
    for n in 0..20 {
        producer.publish(|slot| *slot = step(100 + n)).unwrap();
        if n < 17 {
            drop(worker.try_consume_next_leased().unwrap());
        }
    }
    let ring = Observer::open(&name).unwrap();
    assert_eq!(ring.called(), format!("tp-engine, rank 1 (shm:{name})"));
    assert_eq!(
        (ring.kind(), ring.size(), ring.slot_bytes()),
        (Kind::Ring, Some((8, SizeUnit::EventSlots)), (32, 8, 16))
    );
    assert_eq!(ring.schema().unwrap(), <Step as Event>::schema());
    assert_eq!((ring.life(), ring.producer().process.pid), (Life::Alive, std::process::id()));
    assert_eq!((ring.published(), ring.in_use()), (20, Some((3, 8))));
    let consumers = ring.consumers();
    assert_eq!((consumers.len(), consumers[0].id.as_str(), consumers[0].position), (1, "worker-3", 17));
    assert!(ring.is_named() && ring.is_whole().unwrap());
    assert_eq!(copied(&ring, 3), [(17, 117), (18, 118), (19, 119)]);
    assert_eq!(copied(&ring, 100).len(), 8, "a lap");
    assert_eq!(copied(&ring, 0), []);

    let counters = ring.counters().snapshot();
    let published = counters.iter().find(|counter| counter.id == ids::EVENTS_PUBLISHED).unwrap();
    assert_eq!(published.value, 20);
}

#[test]
fn a_tap_goes_on_with_what_is_published_and_counts_what_it_missed() {
    let shm = ShmGuard::new();
    let name = shm.name("r");
    let mut producer = SharedProducer::<Step>::create(&name, 8, || step(0)).unwrap();
    let ring = Observer::open(&name).unwrap();
    let mut tap = ring.tap(0).unwrap();
    assert!(tap.next_now().is_none());
    producer.publish(|slot| *slot = step(7)).unwrap();
    assert_eq!(tap.next_now().unwrap().sequence(), 0);
    for n in 0..40 {
        producer.publish(|slot| *slot = step(n)).unwrap();
    }
    let first = tap.next_now().unwrap().sequence();
    assert_eq!(tap.missed(), first as u64 - 1, "all between the first one and this one");
    let mut last = first;
    while let Some(event) = tap.next_now() {
        assert_eq!(event.sequence(), last + 1);
        last = event.sequence();
    }
    assert_eq!((last, tap.next_sequence()), (40, 41));
}

#[test]
fn dense_slots_and_records_are_copied_whole() {
    let shm = ShmGuard::new();
    let (dense, records) = (shm.name("d"), shm.name("m"));
    let mut producer =
        disruptor_mp::build_shared_single_producer::<Step>(&dense, 8).dense().build_producer(|| step(0)).unwrap();
    for n in 0..20 {
        producer.publish(|slot| *slot = step(100 + n)).unwrap();
    }
    let ring = Observer::open(&dense).unwrap();
    assert_eq!((ring.kind(), ring.slot_bytes()), (Kind::Dense, (16, 0, 16)));
    assert_eq!(copied(&ring, 2), [(18, 118), (19, 119)]);

    let mut producer = SharedDisruptorBuilder::records(&records, 4096).build_record_producer().unwrap();
    let text = |n: u8| vec![n; usize::from(n) * 3];
    for n in 0..200 {
        producer.publish(&text(n), n, 0, Patience::Endless).unwrap();
    }
    let ring = Observer::open(&records).unwrap();
    assert_eq!((ring.kind(), ring.published()), (Kind::Records, 200));
    let mut tap = ring.tap(1).unwrap();
    let mut last = None;
    while let Some(record) = tap.next_now() {
        let number = record.sequence() as u8;
        assert_eq!((record.kind_and_flags(), record.to_vec()), (Some((number, 0)), text(number)));
        last = Some(number);
    }
    assert_eq!((last, tap.missed()), (Some(199), 0));
    producer.publish(&text(3), 3, 0, Patience::Endless).unwrap();
    assert_eq!(tap.next_now().unwrap().sequence(), 200);
}

#[test]
#[ignore = "runs as a victim"]
fn victim_that_publishes() {
    if !is_victim() {
        return;
    }
    let mut producer = SharedProducer::<Step>::create(role().expect("a name").as_str(), 8, || step(0)).unwrap();
    producer.publish(|slot| *slot = step(7)).unwrap();
    say("PUBLISHED");
    wait_to_be_killed();
}

#[test]
fn the_life_of_a_ring_is_the_kernels_word() {
    let shm = ShmGuard::new();
    let name = shm.name("r");
    let mut victim = Respawn::test(test_name!(victim_that_publishes)).role(&name).spawn();
    victim.wait_line("PUBLISHED");
    let ring = Observer::open(&name).unwrap();
    assert_eq!(ring.life(), Life::Alive);
    victim.stop();
    assert_eq!(ring.life(), Life::Alive, "a stopped process is not dead");
    victim.kill(Signal::KILL);
    eventually("it is dead", PATIENCE, || ring.life() == Life::Dead).unwrap();
    assert_eq!(copied(&ring, 5), [(0, 7)], "what it published can be read");
    // No consumer needs what is in it, so the next producer puts a new ring in its place.
    let producer = SharedProducer::<Step>::create(&name, 8, || step(0)).unwrap();
    assert_eq!((ring.life(), ring.is_named()), (Life::Replaced, false));
    let next = Observer::open(&name).unwrap();
    assert_eq!((next.life(), next.producer().reign), (Life::Alive, 1));
    drop(producer);
    assert_eq!((next.life(), next.is_named()), (Life::Closed, false));
}

#[test]
fn a_directory_is_listed_with_what_cannot_be_opened() {
    let directory = Directory::new();
    let at = |name: &str| directory.0.join(name);
    let producer = SharedProducer::<Step>::create(at("ring").as_path(), 8, || step(0)).unwrap();
    let counters = CountersFile::create(at("counters").as_path(), 4).unwrap();
    let cursor = disruptor_mp::SharedCursor::create(at("cursor").as_path(), 0).unwrap();
    fs::write(at("foreign"), "no ring").unwrap();
    fs::write(at("empty"), "").unwrap();
    fs::create_dir(at("below")).unwrap();
    std::os::unix::fs::symlink(at("ring"), at("link")).unwrap();
    let mut bytes = fs::read(at("ring")).unwrap();
    fs::write(at("copy"), &bytes).unwrap();
    fs::write(at("truncated"), &bytes[..5000]).unwrap();
    bytes[12] += 1;
    fs::write(at("newer"), &bytes).unwrap();
    bytes[12] -= 1;
    bytes[70] ^= 0xff;
    fs::write(at("damaged"), &bytes).unwrap();

    let mut found: Vec<(String, String)> = Catalogue::of(&directory.0)
        .unwrap()
        .map(|found| {
            let name = found.path.file_name().unwrap().to_str().unwrap().to_owned();
            let what = match found.segment {
                Ok(segment) => format!("{}: {}", segment.kind(), segment.life()),
                Err(OpenError::Version { .. }) => "version".to_owned(),
                Err(OpenError::Length { .. }) => "length".to_owned(),
                Err(OpenError::Corrupt { field, .. }) => format!("corrupt {field}"),
                Err(error) => error.to_string(),
            };
            (name, what)
        })
        .collect();
    found.sort();
    let found: Vec<_> = found.iter().map(|(name, what)| (name.as_str(), what.as_str())).collect();
    assert_eq!(
        found,
        [
            ("copy", "a ring of events or frames: unknown (copy)"),
            ("counters", "a counters file: alive"),
            ("cursor", "a cursor: alive"),
            ("damaged", "corrupt checksum"),
            ("newer", "version"),
            ("ring", "a ring of events or frames: alive"),
            ("truncated", "length"),
        ]
    );
    drop((producer, counters, cursor));
}

#[test]
fn looking_needs_read_permission_only_and_writes_nothing() {
    let directory = Directory::new();
    let path = directory.0.join("ring");
    let mut producer = SharedProducer::<Step>::create(path.as_path(), 8, || step(0)).unwrap();
    producer.publish(|slot| *slot = step(7)).unwrap();
    let before = fs::read(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    let ring = Observer::open(path.as_path()).unwrap();
    assert_eq!((copied(&ring, 9).len(), ring.consumers().len(), ring.life()), (1, 0, Life::Alive));
    assert!(!ring.counters().snapshot().is_empty());
    assert!(fs::read(&path).unwrap() == before, "a byte was written");
}

/// A directory of this test's own.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let path = std::env::temp_dir().join(testkit::names::unique("observe"));
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
