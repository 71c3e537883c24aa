//! Payloads that are written in the ring, in a buffer of the producer, or as the producer learns.

use crate::stage::everywhere;
use disruptor_mp::counters::ids::PAYLOADS_VIA_BUFFER;
use disruptor_mp::segment::Place;
use disruptor_mp::{
    CountersFile, Patience, RecordConsumer, RecordProducer, SharedDisruptorBuilder, SharedProducer, SlotForm, WriteVia,
    event,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use testkit::names::ShmGuard;

const WAYS: [WriteVia; 3] = [WriteVia::Learned, WriteVia::Ring, WriteVia::Buffer];

/// The size of the ring: enough for two of the longest records, so that the third begins at another offset.
const RING_BYTES: usize = 64 << 10;

fn ends(place: &Place, via: WriteVia) -> (RecordProducer, RecordConsumer) {
    let producer = SharedDisruptorBuilder::records(place.clone(), RING_BYTES).write_via(via).build_record_producer();
    let consumer = SharedDisruptorBuilder::records(place.clone(), 0).build_record_consumer();
    (producer.unwrap(), consumer.unwrap())
}

/// Byte `i` of record `number`.
fn byte(number: usize, i: usize) -> u8 {
    (number * 31 + i * 7 + i / 251) as u8
}

/// Lengths from 0 to 20 KiB, on both sides of each limit.
fn len(number: usize) -> usize {
    [0, 1, 47, 48, 49, 300, 2_047, 2_048, 2_049, 4_000, 9_000, 20_000][number % 12]
}

#[track_caller]
fn check(consumer: &mut RecordConsumer, number: usize) {
    let record = consumer.next(Patience::Now).unwrap().expect("it was committed");
    assert_eq!((record.sequence(), record.len()), (number as i64, len(number)));
    assert!(record.iter().enumerate().all(|(i, found)| *found == byte(number, i)), "record {number} has other bytes");
}

#[test]
fn whichever_way_a_claim_is_written_its_record_has_the_bytes_that_were_written() {
    for via in WAYS {
        everywhere(|place| {
            let (mut producer, mut consumer) = ends(&place, via);
            for number in 0..600 {
                let len = len(number);
                let write = |bytes: &mut [u8]| bytes.iter_mut().enumerate().for_each(|(i, to)| *to = byte(number, i));
                match number % 4 {
                    0 => {
                        let mut claim = producer.claim(len, Patience::Now).unwrap();
                        assert_eq!((claim.len(), claim.as_ptr() as usize % 16), (len, 0));
                        write(&mut claim);
                        claim.commit(len, 0, 0);
                    }
                    1 => {
                        // A claim that is given up leaves nothing in the ring.
                        producer.claim(20_000, Patience::Now).unwrap().fill(0xee);
                        let mut claim = producer.claim_at_least(len, RING_BYTES, Patience::Now).unwrap();
                        write(&mut claim);
                        claim.commit(len, 0, 0);
                    }
                    2 => {
                        let mut batch = producer.batch();
                        let mut claim = batch.claim(len + 100, Patience::Now).unwrap();
                        write(&mut claim);
                        claim.commit(len, 0, 0);
                    }
                    _ => {
                        let mut bytes = vec![0; len];
                        write(&mut bytes);
                        producer.publish(&bytes, 0, 0, Patience::Now).unwrap();
                    }
                }
                check(&mut consumer, number);
            }
            assert!(consumer.next(Patience::Now).unwrap().is_none());
        });
    }
}

#[test]
fn what_is_written_in_a_buffer_shows_only_at_the_commit_and_then_all_of_it() {
    everywhere(|place| {
        let (mut producer, mut consumer) = ends(&place, WriteVia::Buffer);
        let mut claim = producer.claim(9_000, Patience::Now).unwrap();
        claim.fill(7);
        assert!(consumer.next(Patience::Now).unwrap().is_none());
        claim.commit(8_000, 3, 4);
        let record = consumer.next(Patience::Now).unwrap().expect("it was committed");
        assert_eq!((record.len(), record.kind(), record.flags()), (8_000, 3, 4));
        assert!(record.iter().all(|byte| *byte == 7));
    });
}

/// How many payloads the producer of that ring has copied from its buffer.
fn via_buffer(file: &CountersFile) -> u64 {
    file.snapshot().iter().filter(|counter| counter.id == PAYLOADS_VIA_BUFFER).map(|counter| counter.value).sum()
}

#[test]
fn the_records_that_went_through_the_buffer_are_counted_and_no_others() {
    for (via, expected) in [(WriteVia::Ring, 0), (WriteVia::Buffer, 2)] {
        everywhere(|place| {
            let (mut producer, _consumer) = ends(&place, via);
            producer.claim(2_048, Patience::Now).unwrap().commit(2_048, 0, 0);
            let mut batch = producer.batch();
            batch.claim(9_000, Patience::Now).unwrap().commit(1, 0, 0);
            drop(batch);
            // One that is too short, one that is given up, and one that is given as bytes.
            producer.claim(2_047, Patience::Now).unwrap().commit(2_047, 0, 0);
            producer.claim(9_000, Patience::Now).unwrap().fill(7);
            producer.publish(&[7; 9_000], 0, 0, Patience::Now).unwrap();
            assert_eq!(via_buffer(&producer.ring_counters()), expected, "{via:?}");

            // From now on in a file of the user.
            let own = CountersFile::boxed(32);
            producer.attach_counters(&own);
            producer.claim(4_000, Patience::Now).unwrap().commit(4_000, 0, 0);
            assert_eq!(via_buffer(&own), expected.min(1), "{via:?}");
        });
    }
}

#[test]
fn a_way_that_does_not_exist_is_refused_with_those_that_do() {
    for (text, via) in [("learned", WriteVia::Learned), ("ring", WriteVia::Ring), ("buffer", WriteVia::Buffer)] {
        assert_eq!(text.parse(), Ok(via));
    }
    let error = "cache".parse::<WriteVia>().unwrap_err().to_string();
    let wanted = "`cache` is not a way to write payloads: use `learned`, `ring` or `buffer` (also as MYELON_WRITE_VIA)";
    assert_eq!(error, wanted);
}

/// An event that may be written either way.
#[event]
struct Large {
    sequence: u64,
    words: [u64; 400],
}

/// Slots of the rings of events.
const SLOTS: usize = 4;

/// Publishes the next event, and writes all of it or only its number.
fn publish<F: SlotForm>(producer: &mut SharedProducer<Large, F>, is_whole: bool) {
    let next = (producer.last_published_sequence() + 1) as u64;
    let fill = |event: &mut Large| {
        event.sequence = next;
        if is_whole {
            event.words.fill(next);
        }
    };
    assert_eq!(producer.try_publish(fill), Ok(next as i64));
}

fn in_each_way<F: SlotForm>(form: fn(SharedDisruptorBuilder<Large>) -> SharedDisruptorBuilder<Large, F>) {
    for via in WAYS {
        everywhere(|place| {
            let ring = || form(SharedDisruptorBuilder::new(place.clone(), SLOTS)).write_via(via);
            let blank = || Large { sequence: 0, words: [u64::MAX; 400] };
            let mut producer = ring().build_producer(blank).unwrap();
            let mut consumer = ring().build_consumer().unwrap();
            let counters = producer.ring_counters();
            for sequence in 0..300_u64 {
                let is_whole = sequence % 5 != 1;
                if sequence % 3 == 2 {
                    // A closure that panics in the middle publishes nothing.
                    let broken = catch_unwind(AssertUnwindSafe(|| {
                        producer.try_publish(|event| {
                            event.sequence = u64::MAX;
                            panic!("the application's");
                        })
                    }));
                    assert!(broken.is_err());
                }
                publish(&mut producer, is_whole);
                let event = consumer.try_consume_next_leased().expect("it was published");
                assert_eq!(event.sequence, sequence);
                let word = event.words[0];
                assert!(event.words.iter().all(|found| *found == word), "{via:?}: event {sequence} is of two");
                match is_whole {
                    true => assert_eq!(word, sequence),
                    // The old content of its slot: what the factory made, or an older event.
                    false if sequence < SLOTS as u64 => assert_eq!(word, u64::MAX, "{via:?}"),
                    false => assert!(word < sequence, "{via:?}: event {sequence} was written over {word}"),
                }
            }
            for batch in 100..180 {
                let first = (producer.last_published_sequence() + 1) as u64;
                let count = 1 + batch % SLOTS;
                let fill = |event: &mut Large, index: usize| {
                    event.sequence = first + index as u64;
                    event.words.fill(first + index as u64);
                };
                producer.try_publish_batch(count, fill).unwrap();
                for sequence in first..first + count as u64 {
                    let event = consumer.try_consume_next_leased().expect("it was published");
                    assert!(event.sequence == sequence && event.words == [sequence; 400], "{via:?}");
                }
            }
            let published = (producer.last_published_sequence() + 1) as u64;
            match via {
                WriteVia::Ring => assert_eq!(via_buffer(&counters), 0),
                WriteVia::Buffer => assert_eq!(via_buffer(&counters), published),
                _ => assert!(via_buffer(&counters) <= published),
            }
        });
    }
}

#[test]
fn whichever_way_an_event_is_written_it_is_the_one_that_was_written_over_an_older_one() {
    in_each_way(|builder| builder);
}

#[test]
fn whichever_way_a_dense_event_is_written_it_is_the_one_that_was_written_over_an_older_one() {
    in_each_way(SharedDisruptorBuilder::dense);
}

#[test]
fn the_first_event_that_a_successor_writes_in_its_buffer_is_written_over_an_older_one() {
    let names = ShmGuard::new();
    let ring = || SharedDisruptorBuilder::<Large>::new(names.name("a"), SLOTS).write_via(WriteVia::Buffer);
    let blank = || Large { sequence: 0, words: [u64::MAX; 400] };
    let mut producer = ring().build_producer(blank).unwrap();
    let mut consumer = ring().with_consumer_id("worker").build_consumer().unwrap();
    for _ in 0..2 * SLOTS {
        publish(&mut producer, true);
        drop(consumer.try_consume_next_leased().expect("it was published"));
    }
    producer.hand_over();
    let mut next = ring().take_over().build_producer(blank).unwrap();
    publish(&mut next, false);
    let event = consumer.try_consume_next_leased().expect("it was published");
    let older = 2 * SLOTS as u64 - SLOTS as u64;
    assert_eq!((event.sequence, event.words), (2 * SLOTS as u64, [older; 400]), "what its slot held");
}
