//! Sizes are what the user gave: bytes for records, slots for events. Errors and reports never speak of lines.

use crate::stage::{in_ms, watchdog};
use disruptor_mp::{
    CoordinationMode, DEFAULT_RECORD_RING_BYTES, Patience, Place, RecordConsumer, RecordError, RecordProducer,
    SharedConsumer, SharedDisruptorBuilder, SharedProducer, plan_records, record_ring_bytes, records_in_flight,
};
use proptest::prelude::*;
use testkit::names::ShmGuard;

fn producer(place: impl Into<Place>, bytes: usize) -> RecordProducer {
    SharedDisruptorBuilder::records(place, bytes).build_record_producer().unwrap()
}

#[track_caller]
fn refused<T>(answer: Result<T, impl ToString>) -> String {
    answer.map(drop).expect_err("an error").to_string()
}

#[test]
fn a_ring_of_records_of_any_size_is_built_and_has_the_size_that_the_plan_says() {
    let _watchdog = watchdog();
    let names = ShmGuard::new();
    for (index, bytes) in [1, 4_000_000, 10_000_001].into_iter().enumerate() {
        let name = names.name(&format!("r{index}"));
        let mut producer = producer(&name, bytes);
        let planned = plan_records(bytes, 64).unwrap().slots.len;
        assert!(producer.max_record_bytes() as u64 > planned - 256, "{bytes}: {planned}");
        // An end may give the size that was asked for, or the size that it became.
        for asked in [bytes, planned as usize] {
            SharedDisruptorBuilder::records(&name, asked).build_record_consumer().unwrap();
        }
        producer.publish(b"x", 0, 0, Patience::Now).unwrap();
    }
}

#[test]
fn a_size_that_no_ring_of_records_has_is_refused_by_both_ends_as_it_was_given() {
    let _watchdog = watchdog();
    let names = ShmGuard::new();
    let name = names.name("r");
    for bytes in [0, usize::MAX] {
        assert_eq!(
            refused(SharedDisruptorBuilder::records(&name, bytes).build_record_producer()),
            format!(
                "a ring of records has 1 to 35184372088832 bytes, and {bytes} were asked for; the default size is 8388608"
            )
        );
    }
    let _producer = producer(&name, 4096);
    assert_eq!(
        refused(SharedDisruptorBuilder::records(&name, usize::MAX).build_record_consumer()),
        "a ring of records has 1 to 35184372088832 bytes, and 18446744073709551615 were asked for; the default size is 8388608"
    );
}

#[test]
fn a_reader_need_give_no_size_and_another_size_is_refused_in_bytes() {
    let _watchdog = watchdog();
    let names = ShmGuard::new();
    let name = names.name("r");
    let _producer = producer(&name, 64 << 10);
    SharedDisruptorBuilder::records_at(&name).build_record_consumer().unwrap();
    SharedDisruptorBuilder::records(&name, 0).build_record_consumer().unwrap();
    for bytes in [1 << 20, 1_000_003, 1] {
        assert_eq!(
            refused(SharedDisruptorBuilder::records(&name, bytes).build_record_consumer()),
            format!(
                "shm:{name} has 65536 bytes of records, and this program asks for {bytes}; give both programs the same size, or give \
                 consumers none (0)"
            )
        );
    }
}

#[test]
fn a_ring_of_slots_is_spoken_of_in_slots() {
    let _watchdog = watchdog();
    let names = ShmGuard::new();
    let name = names.name("r");
    let _producer = SharedProducer::<u64>::create(&name, 8, || 0).unwrap();
    SharedConsumer::<u64>::attach(&name, 0, "w").unwrap();
    assert_eq!(
        refused(SharedConsumer::<u64>::attach(&name, 16, "w")),
        format!(
            "shm:{name} has 8 slots, and this program asks for 16; give both programs the same size, or give consumers none (0)"
        )
    );
    for (slots, hint) in
        [(7, "; the next that is possible is 8"), (0, "; the next that is possible is 1"), (usize::MAX, "")]
    {
        assert_eq!(
            refused(SharedProducer::<u64>::create(names.name("s"), slots, || 0)),
            format!("a ring has a power of two of slots, 1 to 1099511627776, and {slots} were asked for{hint}")
        );
    }
}

#[test]
fn a_producer_of_records_without_a_size_creates_the_default() {
    let _watchdog = watchdog();
    let names = ShmGuard::new();
    let name = names.name("r");
    let producer = SharedDisruptorBuilder::records_at(&name).build_record_producer().unwrap();
    SharedDisruptorBuilder::records(&name, DEFAULT_RECORD_RING_BYTES).build_record_consumer().unwrap();
    drop(producer);
}

#[test]
fn a_start_up_buffer_of_records_counts_bytes() {
    let _watchdog = watchdog();
    let buffered = |max_buffer| {
        let buffer = CoordinationMode::BufferUntilConsumers { max_buffer };
        SharedDisruptorBuilder::records(Place::heap(), 4096).with_coordination(buffer).build_record_producer()
    };
    for (max_buffer, records) in [(1, 1), (64, 1), (65, 2), (640, 10), (4096, 63)] {
        let mut producer = buffered(max_buffer).unwrap();
        let held = (0..).take_while(|_| producer.publish(&[7; 48], 0, 0, Patience::Now).is_ok()).count();
        assert_eq!(held, records, "{max_buffer}");
    }
    for max_buffer in [0, 4097] {
        assert_eq!(
            refused(buffered(max_buffer)),
            format!(
                "a start-up buffer holds 1 to 4096 bytes of records in a ring of 4096, and {max_buffer} were asked for"
            )
        );
    }
    let slots = CoordinationMode::BufferUntilConsumers { max_buffer: 9 };
    let ring = SharedDisruptorBuilder::<u64>::new(Place::heap(), 8).with_coordination(slots);
    assert_eq!(
        refused(ring.build_producer(|| 0)),
        "a start-up buffer holds 1 to 8 slots in a ring of 8, and 9 were asked for"
    );
}

#[test]
fn the_room_of_a_ring_of_records_is_asked_for_in_bytes_and_of_slots_in_slots() {
    let _watchdog = watchdog();
    let (mut records, _reader) = worn(4096, &[]);
    loop {
        for len in [0, 48, 49, 200, 1000, 3000, records.max_record_bytes()] {
            let is_said = records.has_room_now(len, Patience::Now);
            assert_eq!(is_said, records.claim(len, Patience::Now).is_ok(), "{len} bytes");
        }
        // More than the ring has.
        assert!(!records.has_room_now(4096, Patience::Now));
        if records.publish(&[7; 200], 0, 0, Patience::Now).is_err() {
            break;
        }
    }
    let place = Place::heap();
    let mut slots = SharedProducer::<u64>::create(&place, 8, || 0).unwrap();
    let _reader = SharedConsumer::<u64>::attach(&place, 8, "w").unwrap();
    slots.publish(|_| ()).unwrap();
    assert!(slots.has_room_now(7, Patience::Now) && !slots.has_room_now(8, Patience::Now));
}

/// A ring with its reader, after records of the lengths `before` were written and read.
fn worn(bytes: usize, before: &[usize]) -> (RecordProducer, RecordConsumer) {
    let place = Place::heap();
    let mut producer = producer(&place, bytes);
    let mut consumer =
        SharedDisruptorBuilder::records_at(&place).with_consumer_id("w").build_record_consumer().unwrap();
    for &len in before {
        producer.publish(&vec![1; len], 0, 0, Patience::Now).unwrap();
        drop(consumer.next(Patience::Now).unwrap().unwrap());
    }
    (producer, consumer)
}

/// How many records with these lengths in turn fit before the ring is full. The reader asks for the first of them, and
/// takes none.
fn taken((producer, reader): (&mut RecordProducer, &mut RecordConsumer), lengths: &[usize], most: usize) -> usize {
    let mut taken = 0;
    for len in lengths.iter().cycle().take(most) {
        if producer.publish(&vec![2; *len], 0, 0, Patience::Now).is_err() {
            break;
        }
        taken += 1;
        if taken == 1 {
            reader.wait_until_available(Some(in_ms(20_000))).unwrap();
        }
    }
    taken
}

/// Lines of 64 bytes that a record of `len` bytes takes with its header.
fn lines_of(len: usize) -> usize {
    (16 + len).div_ceil(64)
}

#[test]
fn a_ring_whose_reader_has_read_nothing_is_filled_to_the_line_that_the_next_header_needs() {
    let _watchdog = watchdog();
    for bytes in (12..=20).map(|bits| 1_usize << bits) {
        for len in [0, 48, 49, 1000, 2048, 4096, 8192, 10_240, 16_384, 21_808, 30_000, 65_536, 131_072, 200_000] {
            let (mut producer, mut reader) = worn(bytes, &[]);
            let fits = (bytes / 64 - 1) / lines_of(len);
            assert_eq!(taken((&mut producer, &mut reader), &[len], usize::MAX), fits, "of {len} bytes in {bytes}");
        }
    }
}

#[test]
fn the_longest_record_fits_into_an_empty_ring_wherever_it_begins() {
    let _watchdog = watchdog();
    for bytes in [4 << 10, 64 << 10, 1 << 20] {
        let (mut producer, mut reader) = worn(bytes, &[]);
        let longest = producer.max_record_bytes();
        assert_eq!(longest, bytes - 64 - 16, "all but the line of the next header, and the own header");
        for len in (0..200).map(|round| round * 997 % longest.min(20_000)) {
            for len in [len, longest] {
                producer.publish(&vec![1; len], 0, 0, Patience::Now).unwrap();
                assert_eq!(reader.next(Patience::Now).unwrap().unwrap().len(), len);
            }
        }
        assert!(matches!(producer.claim(longest + 1, Patience::Now), Err(RecordError::TooLarge { .. })));
    }
}

/// How many records of `len` bytes fit into a ring with all possible gaps, while its reader reads none.
fn taken_with_gaps(bytes: usize, len: usize) -> usize {
    // The reader keeps up until the producer has looked at it twice, at the first record and 256 lines later.
    let before = 1 + 256_usize.div_ceil(lines_of(len));
    let (mut producer, mut reader) = worn(bytes, &vec![len; before]);
    // Records without gaps have filled the ring since, so that the producer checks again how much is free.
    let filled = (0..).take_while(|_| producer.publish(&[3; 1000], 0, 0, Patience::Now).is_ok()).count();
    (0..filled).for_each(|_| drop(reader.next(Patience::Now).unwrap().unwrap()));
    taken((&mut producer, &mut reader), &[len], usize::MAX)
}

#[test]
fn what_a_ring_is_said_to_take_is_exact_one_line_more_is_too_much() {
    let _watchdog = watchdog();
    for bytes in [4 << 10, 64 << 10, 256 << 10, 1 << 20] {
        for in_flight in (1..=20).chain([60, 61, 62, 63]) {
            let takes = |lines| records_in_flight(bytes, lines * 64 - 16).unwrap() >= in_flight;
            let lines = (1..bytes / 64).rev().find(|lines| takes(*lines)).unwrap();
            let longest = lines * 64 - 16;
            assert_eq!(record_ring_bytes(in_flight, longest).unwrap(), bytes);
            assert!(record_ring_bytes(in_flight, longest + 1).unwrap() > bytes);
            assert!(taken_with_gaps(bytes, longest) >= in_flight, "{in_flight} of {longest} in {bytes}");
            let longer = longest + 1;
            if longer <= bytes - 80 {
                assert!(taken_with_gaps(bytes, longer) < in_flight, "{in_flight} of {longer} in {bytes}");
            }
        }
    }
}

/// In a ring of 16 MiB of which 4 MiB were read to the end, so that it goes back to its beginning.
#[test]
fn a_large_ring_that_has_gone_back_to_its_beginning_takes_as_many_once_its_reader_has_asked() {
    let (in_flight, len) = (120, 139_633);
    let bytes = record_ring_bytes(in_flight, len).unwrap();
    assert_eq!(bytes, 16 << 20);
    let (mut producer, mut reader) = worn(bytes, &[len; 40]);
    assert_eq!(taken((&mut producer, &mut reader), &[len], in_flight), in_flight);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 2 } else { 192 }, ..ProptestConfig::default() })]

    #[test]
    fn a_ring_takes_as_many_records_as_the_rule_says_wherever_it_begins(
        in_flight in 1_usize..70,
        longest in prop_oneof![0_usize..2_000, 2_000_usize..20_000, 100_000_usize..140_000],
        parts in proptest::collection::vec(0_usize..=1000, 1..5),
        before in proptest::collection::vec(0_usize..=1000, 0..60),
    ) {
        let bytes = record_ring_bytes(in_flight, longest).unwrap();
        let before: Vec<_> = before.iter().map(|part| longest * part / 1000).collect();
        // The longest ones, and a mixture of lengths up to that.
        let (mut producer, mut reader) = worn(bytes, &before);
        prop_assert_eq!(taken((&mut producer, &mut reader), &[longest], in_flight), in_flight);
        let (mut producer, mut reader) = worn(bytes, &before);
        let mixed: Vec<_> = parts.iter().map(|part| longest * part / 1000).collect();
        prop_assert_eq!(taken((&mut producer, &mut reader), &mixed, in_flight), in_flight);
    }

    #[test]
    fn a_ring_with_all_its_gaps_takes_exactly_as_many_records_as_it_is_said_to(
        bytes in (12..=20).prop_map(|bits| 1_usize << bits),
        len in prop_oneof![0_usize..3_000, 2_000_usize..20_000, 20_000_usize..131_073],
    ) {
        let said = records_in_flight(bytes, len).unwrap();
        prop_assume!(said > 0);
        prop_assert_eq!(taken_with_gaps(bytes, len), said);
    }
}

/// Without gaps, thirteen records of 315 lines and the line after them are exactly 256 KiB.
#[test]
fn the_rule_counts_the_gaps_that_the_ring_leaves() {
    let len = 315 * 64 - 16;
    assert_eq!(record_ring_bytes(13, len).unwrap(), 512 << 10);
    let (mut producer, mut reader) = worn(256 << 10, &[len; 3]);
    assert!(taken((&mut producer, &mut reader), &[len], 13) < 13, "the rule asks for more than is needed");
}
