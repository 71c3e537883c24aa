//! Groups: a reader sees a whole group or nothing of it, and no event of an unfinished group ever appears later.

use crate::ring::ends::producer_face::HasProducer;
use crate::ring::memory::heap::HeapMemory;
use crate::ring::protocol::join::{StartAt, handshake};
use crate::ring::protocol::memory::Memory;
use crate::ring::protocol::reader::Reader;
use crate::ring::protocol::sequencer::Sequencer;
use crate::sync::announce::Announce;
use crate::sync::primitive::Ordering;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

type Ring = Arc<HeapMemory<u64>>;

fn ring() -> (Ring, Sequencer<Ring>, Reader<Ring>) {
    let ring = Arc::new(HeapMemory::new(8, 1, None));
    let producer = Sequencer::create(Arc::clone(&ring), Announce::Fenced);
    let start = handshake(&ring, 0, StartAt::Beginning).unwrap();
    let reader = Reader::new(Arc::clone(&ring), 0, start, Announce::Fenced);
    (ring, producer, reader)
}

/// Publishes `count` events that carry `value`, as a group.
fn publish(producer: &mut Sequencer<Ring>, count: usize, value: u64) {
    if !producer.has_room(count as i64) {
        producer.rescan();
    }
    let written = producer.write_group(count, |place, _| {
        // SAFETY: the sequencer hands out a valid place, and one thread plays all roles.
        unsafe { *place = value };
        Ok::<(), ()>(())
    });
    assert!(written.is_ok());
}

/// What can be read now.
fn read(reader: &mut Reader<Ring>) -> Vec<u64> {
    let mut values = Vec::new();
    while reader.look() {
        // SAFETY: the place is valid, and one thread plays all roles.
        values.push(reader.memory().with(reader.next(), |place| unsafe { *place }));
        reader.advance_to(reader.next() + 1);
    }
    values
}

/// Stores what a producer stores for a group of `count` events after `first`, and dies after `stamps` stamps. There are
/// `count + 1`: the first event has one when it is written, and another when the group is whole.
fn die_inside(ring: &Ring, first: i64, count: i64, stamps: i64) {
    for sequence in first..first + count {
        ring.word(sequence).store(0, Ordering::Relaxed);
    }
    for sequence in (first..first + count).take(stamps as usize) {
        let stamp = if sequence == first { -(first + 1) } else { sequence + 1 };
        ring.word(sequence).store(stamp, Ordering::Relaxed);
    }
    if stamps > count {
        ring.word(first).store(first + 1, Ordering::Relaxed);
    }
}

#[test]
fn what_a_dead_producer_stamped_of_a_group_never_comes_alive() {
    for (published, count) in [(0, 4), (5, 4), (9, 8), (16, 2)] {
        for stamps in 0..=count + 1 {
            let (ring, mut producer, mut reader) = ring();
            for _ in 0..published {
                publish(&mut producer, 1, 1);
                read(&mut reader);
            }
            die_inside(&ring, published, count, stamps);
            let mut next = Sequencer::take_over(Arc::clone(&ring), Announce::Fenced);
            let is_whole = stamps > count;
            assert_eq!(next.next(), published + if is_whole { count } else { 0 });
            read(&mut reader);
            publish(&mut next, 1, 2);
            assert_eq!(read(&mut reader), [2], "{stamps} of {count} stamps after {published} events");
        }
    }
}

#[test]
fn a_forged_cursor_does_not_bring_a_part_of_a_group_to_life() {
    let (ring, mut producer, mut reader) = ring();
    publish(&mut producer, 6, 1);
    read(&mut reader);
    producer.rescan();
    die_inside(&ring, 6, 3, 2);
    ring.control().cursor.publish(i64::MAX);
    let mut next = Sequencer::take_over(Arc::clone(&ring), Announce::Fenced);
    assert_eq!((next.next(), next.take_forged()), (6, 1));
    publish(&mut next, 1, 2);
    assert_eq!(read(&mut reader), [2]);
}

#[test]
fn taking_over_a_ring_of_records_leaves_the_bytes_of_unread_ones_alone() {
    let place = crate::Place::heap();
    let mut producer = crate::SharedDisruptorBuilder::records(&place, 16 * 64).build_record_producer().unwrap();
    let mut consumer = crate::SharedDisruptorBuilder::records(&place, 0).build_record_consumer().unwrap();
    // At the beginning of each line is what would be the stamp of that line's next lap.
    let payload: Vec<u8> = (0..10 * 8).flat_map(|word| (word / 8 + 16 + 1_i64).to_le_bytes()).skip(16).collect();
    producer.publish(&payload, 1, 0, crate::Patience::Now).unwrap();
    drop(Sequencer::take_over(producer.base().memory().clone(), Announce::Fenced));
    assert!(consumer.next(crate::Patience::Now).unwrap().unwrap()[..] == payload, "bytes were cleared");
}

#[test]
fn a_group_that_fails_or_panics_publishes_nothing_and_the_next_one_uses_its_slots() {
    let (_ring, mut producer, mut reader) = ring();
    publish(&mut producer, 3, 1);
    assert_eq!(producer.write_group(3, |_, index| if index == 2 { Err("full") } else { Ok(()) }), Err("full"));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        producer.write_group(3, |_, index| if index == 1 { panic!("a test") } else { Ok::<(), ()>(()) })
    }));
    assert!(panicked.is_err());
    assert_eq!(read(&mut reader), [1, 1, 1]);
    publish(&mut producer, 1, 2);
    assert_eq!(read(&mut reader), [2], "nothing of what was given up comes to life");
    publish(&mut producer, 8, 3);
    assert_eq!(read(&mut reader), [3; 8]);
}

#[test]
fn what_is_written_of_a_group_is_ahead_and_confirmed_once_the_group_is_there() {
    let (ring, mut producer, mut reader) = ring();
    publish(&mut producer, 6, 1);
    read(&mut reader);
    producer.rescan();
    for stamps in 0..=3 {
        die_inside(&ring, 6, 3, stamps);
        let ahead = reader.begin_ahead().unwrap();
        let are_ahead: Vec<_> = (0..8).map(|index| reader.is_ahead(index)).collect();
        assert_eq!(are_ahead.iter().filter(|it| **it).count() as i64, stamps, "{are_ahead:?}");
        assert!(!reader.look(), "nothing of it is shown");
        if stamps == 3 {
            die_inside(&ring, 6, 3, 4);
            assert!(reader.look() && reader.is_confirmed(ahead));
        }
    }
}

#[test]
fn what_was_copied_of_a_group_that_was_given_up_is_not_confirmed() {
    let (ring, mut producer, mut reader) = ring();
    let give_up = |producer: &mut Sequencer<Ring>| {
        assert_eq!(producer.write_group(4, |_, index| if index == 3 { Err(()) } else { Ok(()) }), Err(()));
    };
    let ahead = reader.begin_ahead().unwrap();
    give_up(&mut producer);
    assert!(!(0..4).any(|index| reader.is_ahead(index)), "its stamps are taken back");
    publish(&mut producer, 4, 2);
    assert!(reader.look() && !reader.is_confirmed(ahead), "given up in between");
    read(&mut reader);

    let ahead = reader.begin_ahead().unwrap();
    die_inside(&ring, 4, 4, 3);
    assert!((0..3).all(|index| reader.is_ahead(index)));
    let mut next = Sequencer::take_over(Arc::clone(&ring), Announce::Fenced);
    assert!(!(0..4).any(|index| reader.is_ahead(index)), "its stamps are cleared");
    publish(&mut next, 4, 3);
    assert!(reader.look() && !reader.is_confirmed(ahead), "taken over in between");
    assert!(reader.begin_ahead().is_some_and(|ahead| reader.is_confirmed(ahead)));
    read(&mut reader);

    // A producer of another build may give groups up, or take over, without storing an attempt. A reader then finds
    // this.
    ring.control().producer.reign.fetch_add(1, Ordering::Relaxed);
    assert_eq!(reader.begin_ahead(), None);
}
