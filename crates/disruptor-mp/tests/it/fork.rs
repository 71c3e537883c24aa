//! What a child of a fork does with inherited handles stays in the child.

use crate::stage::{Step, TempDir, drain, in_ms, join, publish, ring, step, watchdog};
use disruptor_mp::counters::{CountersFile, ids};
use disruptor_mp::segment::Place;
use disruptor_mp::{
    MultiProcessError, Patience, PublishError, RecordConsumer, SharedCursor, SharedCursorTrait, SharedDisruptorBuilder,
    StartAt,
};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use testkit::fork::fork_then;
use testkit::names::ShmGuard;
use testkit::watchdog::PATIENCE;

/// Every byte of an object.
fn bytes_of(object: &File) -> Vec<u8> {
    let mut bytes = vec![0; object.metadata().unwrap().len() as usize];
    object.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

/// Runs `claim` over a place of every kind that processes share.
fn everywhere_shared(claim: impl Fn(Place)) {
    let (_watchdog, shm, dir) = (watchdog(), ShmGuard::new(), TempDir::new());
    for place in [Place::from(shm.name("a")), Place::from(dir.path().join("ring")), Place::memfd("fork")] {
        claim(place);
    }
    shm.assert_nothing_left();
    assert_eq!(dir.entries(), [""; 0], "left behind");
}

/// Lets a child run `act` and checks that none of the bytes of `object` has changed.
#[track_caller]
fn changes_nothing_in(object: OwnedFd, act: impl FnOnce()) {
    let object = File::from(object);
    let before = bytes_of(&object);
    let mut child = fork_then(|| {
        act();
        0
    });
    assert_eq!(child.wait_exit(PATIENCE).code(), Some(0), "101: a call panicked");
    let after = bytes_of(&object);
    let changed: Vec<usize> = (0..before.len()).filter(|&at| before[at] != after[at]).collect();
    assert!(changed.is_empty(), "bytes that the child has changed: {changed:?}");
}

#[test]
fn a_producers_copy_in_a_child_changes_no_byte_of_the_ring() {
    everywhere_shared(|place| {
        let mut producer = ring(&place, 8).build_producer(step).unwrap();
        let mut consumer = join(&place, "w");
        publish(&mut producer, 8);
        assert_eq!(drain(&mut consumer).len(), 8);
        publish(&mut producer, 4);
        changes_nothing_in(producer.try_clone_fd().unwrap(), || {
            // The parent has used up the room that it had found: a look at the consumers finds more room, and would
            // store that in the ring.
            producer.stall_report();
            producer.check_peers();
            assert!(producer.try_publish(|slot| slot.sequence = 99).is_err());
            assert!(matches!(producer.publish(|slot| slot.sequence = 99), Err(PublishError::Forked)));
            assert!(producer.publish_managed(|slot| slot.sequence = 99).is_err());
            assert!(producer.publish_with(Patience::Now, |slot| slot.sequence = 99).is_err());
            let _ = producer.wait_until_consumed(0, in_ms(0));
            let _ = producer.evict_consumer("w");
            producer.ring_counters().register(ids::APPLICATION_BASE, 0, "child").unwrap().inc();
        });
        let mut producer = Some(producer);
        let object = producer.as_ref().unwrap().try_clone_fd().unwrap();
        changes_nothing_in(object, || producer = None);
    });
}

#[test]
fn what_a_batch_is_short_of_is_a_number_that_can_be_in_a_child_too() {
    everywhere_shared(|place| {
        let mut producer = ring(&place, 64).build_producer(step).unwrap();
        let _consumer = join(&place, "w");
        let mut child = fork_then(|| match producer.try_publish_batch(7, |_, _| ()) {
            Err(missing) if missing.missing == 7 => 0,
            Err(_) => 1,
            Ok(_) => 2,
        });
        assert_eq!(child.wait_exit(PATIENCE).code(), Some(0), "1: another number than 7, 2: published");
    });
}

#[test]
fn a_consumers_copy_in_a_child_changes_no_byte_of_the_ring() {
    everywhere_shared(|place| {
        let mut producer = ring(&place, 8).build_producer(step).unwrap();
        let mut consumer = join(&place, "w");
        publish(&mut producer, 6);
        drop(consumer.consume_next_leased().unwrap());
        let mut lease = Some(consumer.consume_next_leased().unwrap());
        changes_nothing_in(producer.try_clone_fd().unwrap(), || lease = None);
        drop(lease);
        changes_nothing_in(producer.try_clone_fd().unwrap(), || {
            assert_eq!(consumer.process_available(|_, _| ()), 0);
            assert!(consumer.try_consume_batch_leased(3).is_none());
            consumer.skip();
            let _ = consumer.check_producer();
            consumer.stall_report(std::time::Duration::ZERO);
        });
        let mut consumer = Some(consumer);
        changes_nothing_in(producer.try_clone_fd().unwrap(), || consumer = None);
        assert_eq!(producer.get_consumer_count(), 1, "the parent's consumer is still there");
    });
}

#[test]
fn a_record_that_a_child_commits_is_not_published_beside_its_parent() {
    everywhere_shared(|place| {
        let mut producer = SharedDisruptorBuilder::records(place.clone(), 4096).build_record_producer().unwrap();
        let mut consumer: RecordConsumer =
            SharedDisruptorBuilder::records(place.clone(), 0).build_record_consumer().unwrap();
        producer.publish(b"before", 0, 0, Patience::Now).unwrap();
        let fd = producer.try_clone_fd().unwrap();
        let mut claim = Some(producer.claim(20, Patience::Now).unwrap());
        changes_nothing_in(fd, || {
            let mut claim = claim.take().unwrap();
            claim.copy_from_slice(&[7; 20]);
            claim.commit(20, 1, 1);
        });
        let fd = producer.try_clone_fd().unwrap();
        changes_nothing_in(fd, || {
            let mut batch = producer.batch();
            let _ = batch.publish(&[7; 20], 1, 1, Patience::Now);
            drop(batch);
            producer.stall_report();
            let _ = producer.publish(&[8; 200], 1, 1, Patience::Now);
        });
        assert_eq!(SharedCursor::attach(&place).unwrap().load(), 0);
        let lease = consumer.next(Patience::Now).unwrap().unwrap();
        assert_eq!(&*lease, b"before");
        drop(lease);
        assert!(consumer.next(Patience::Now).is_err() || consumer.next(Patience::Now).unwrap().is_none());
    });
}

#[test]
fn a_record_across_the_end_of_its_ring_stays_in_the_child_too() {
    everywhere_shared(|place| {
        let mut producer = SharedDisruptorBuilder::records(place.clone(), 4096).build_record_producer().unwrap();
        let mut consumer = SharedDisruptorBuilder::records(place, 0).build_record_consumer().unwrap();
        // 19 lines each, of 64: the fourth crosses from the first to the second mapping of the lines.
        for _ in 0..3 {
            producer.publish(&[1; 1200], 0, 0, Patience::Now).unwrap();
            assert_eq!(consumer.next(Patience::Now).unwrap().unwrap().len(), 1200);
        }
        let fd = producer.try_clone_fd().unwrap();
        let mut claim = Some(producer.claim(1200, Patience::Now).unwrap());
        changes_nothing_in(fd, || {
            let mut claim = claim.take().unwrap();
            claim.copy_from_slice(&[9; 1200]);
            claim.commit(1200, 1, 1);
        });
        producer.publish(&[4; 1200], 0, 0, Patience::Now).unwrap();
        assert_eq!(*consumer.next(Patience::Now).unwrap().unwrap(), [4; 1200]);
    });
}

#[test]
fn a_cursor_that_a_child_advances_stands_still_for_everybody_else() {
    everywhere_shared(|place| {
        let mut cursor = SharedCursor::create(place.clone(), 5).unwrap();
        let seen = SharedCursor::attach(place).unwrap();
        let mut child = fork_then(|| i32::from(cursor.advance_to(9).is_ok()));
        assert_eq!(child.wait_exit(PATIENCE).code(), Some(0), "a child is not the creator");
        assert_eq!((cursor.load(), seen.load()), (5, 5));
        cursor.advance_to(6).unwrap();
        assert_eq!(seen.load(), 6);
    });
}

#[test]
fn what_a_child_counts_with_its_parents_handles_is_counted_by_nobody() {
    everywhere_shared(|place| {
        let file = CountersFile::create(place.clone(), 4).unwrap();
        let theirs = CountersFile::open(place).unwrap();
        let counter = file.register(ids::APPLICATION_BASE, 0, "mine").unwrap();
        counter.add(3);
        let mut child = fork_then(|| {
            counter.add(1);
            theirs.register(ids::APPLICATION_BASE, 0, "child").unwrap().inc();
            0
        });
        assert_eq!(child.wait_exit(PATIENCE).code(), Some(0));
        let values: Vec<u64> = theirs.snapshot().iter().map(|counter| counter.value).collect();
        assert_eq!(values, [3]);
        counter.inc();
        assert_eq!(theirs.snapshot()[0].value, 4, "the parent counts on in the same memory");
    });
}

#[test]
fn a_child_locks_nothing_through_its_parents_handles() {
    everywhere_shared(|place| {
        let mut producer = ring(&place, 8).build_producer(step).unwrap();
        let dead = join(&place, "w");
        // Its entry is kept and its lock is free, as after a kill.
        let mut child = fork_then(|| {
            let refused = producer.evict_consumer("w").is_err() || !producer.evict_consumer("w").unwrap();
            i32::from(!refused)
        });
        assert_eq!(child.wait_exit(PATIENCE).code(), Some(0));
        assert_eq!(producer.get_consumer_count(), 1);
        drop(dead);
    });
}

#[test]
fn a_child_builds_rings_of_its_own_and_reads_those_of_others() {
    everywhere_shared(|place| {
        let mut producer = ring(&place, 8).build_producer(step).unwrap();
        publish(&mut producer, 3);
        let view = SharedCursor::attach(&place).unwrap();
        let own = Place::heap();
        let path = std::env::temp_dir().join(testkit::names::unique("of-a-child"));
        let mut child = fork_then(|| {
            let mut mine = ring(&own, 8).build_producer(step).unwrap();
            let mut reader = join(&own, "c");
            publish(&mut mine, 2);
            let mut on_disk = ring(&Place::from(path.as_path()), 8).build_producer(step).unwrap();
            publish(&mut on_disk, 2);
            // A grandchild must not reach these either, and its grandparent's handles must not disturb it.
            let mut grandchild = fork_then(|| i32::from(on_disk.try_publish(|_| ()).is_ok()));
            let refused = grandchild.wait_exit(PATIENCE).code() == Some(0);
            let oldest = disruptor_mp::attach_shared_consumer::<Step>(place.clone(), 0).start_at(StartAt::Oldest);
            let joined = drain(&mut oldest.build_consumer().unwrap());
            i32::from(!(refused && drain(&mut reader).len() == 2 && view.load() == 2 && joined == [0, 1, 2]))
        });
        assert_eq!(child.wait_exit(PATIENCE).code(), Some(0));
        assert!(!path.exists());
        publish(&mut producer, 1);
        assert_eq!(view.load(), 3);
    });
}

#[test]
fn a_child_finds_its_places_on_the_heap_empty() {
    let _watchdog = watchdog();
    let place = Place::heap();
    let mut producer = ring(&place, 8).build_producer(step).unwrap();
    let mut reader = join(&place, "w");
    publish(&mut producer, 3);
    let mut child = fork_then(|| {
        assert!(matches!(producer.publish(|_| ()), Err(PublishError::Forked)));
        let found = disruptor_mp::attach_shared_consumer::<Step>(place.clone(), 0).build_consumer().map(drop);
        let mut own = ring(&place, 8).build_producer(step).unwrap();
        publish(&mut own, 1);
        let seen = drain(&mut join(&place, "own"));
        i32::from(!matches!(found, Err(MultiProcessError::NotFound { .. })) || seen != [0])
    });
    assert_eq!(child.wait_exit(PATIENCE).code(), Some(0), "a ring of the parent's lives on in its child");
    publish(&mut producer, 2);
    assert_eq!(drain(&mut reader), [0, 1, 2, 3, 4]);
    reader.check_producer().unwrap();
}
