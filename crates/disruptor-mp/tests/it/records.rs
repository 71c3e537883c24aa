//! Messages of any length through a ring of bytes, over every backend.

use crate::stage::{TempDir, eventually, everywhere, in_ms, watchdog};
use disruptor_mp::counters::ids;
use disruptor_mp::liveness::WaitingFor;
use disruptor_mp::segment::Place;
use disruptor_mp::{
    ConsumeError, ConsumerBarrier, NoRoom, Patience, PublishError, RecordConsumer, RecordError, RecordProducer,
    SharedCursor, SharedCursorTrait, SharedDisruptorBuilder, StartAt, WaitStrategy, plan_records,
};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use testkit::names::ShmGuard;

fn producer(place: &Place, bytes: usize) -> RecordProducer {
    SharedDisruptorBuilder::records(place.clone(), bytes).build_record_producer().unwrap()
}

fn consumer(place: &Place, id: &str) -> RecordConsumer {
    SharedDisruptorBuilder::records(place.clone(), 0).with_consumer_id(id).build_record_consumer().unwrap()
}

/// The bytes of record `number` of `len` bytes: no two records have the same run of bytes.
fn content(number: i64, len: usize) -> Vec<u8> {
    (0..len).map(|i| (number as usize * 131 + i * 7) as u8 ^ (i >> 8) as u8).collect()
}

fn publish(producer: &mut RecordProducer, len: usize) {
    let number = producer.last_published_sequence() + 1;
    assert_eq!(producer.publish(&content(number, len), number as u8, 3, Patience::Now).unwrap(), number);
}

/// Takes the next record, which must be record `number` of `len` bytes.
#[track_caller]
fn take(consumer: &mut RecordConsumer, number: i64, len: usize) {
    let record = consumer.next(Patience::Now).unwrap().expect("a record");
    assert_eq!((record.sequence(), record.kind(), record.flags()), (number, number as u8, 3));
    assert!(*record == content(number, len)[..], "record {number} of {len} bytes has {} others", record.len());
    assert_eq!(record.as_ptr() as usize % 16, 0);
}

#[test]
fn padding_alone_is_nothing_to_read() {
    everywhere(|place| {
        let mut producer = producer(&place, 1024);
        let mut consumer = consumer(&place, "a");
        publish(&mut producer, 600);
        take(&mut consumer, 0, 600);
        // It does not fit before the end of the ring, so the rest there is padded; then it is given up.
        drop(producer.claim(500, Patience::Now).unwrap());
        assert!(matches!(consumer.wait_until_available(Some(in_ms(0))), Err(ConsumeError::TimedOut { .. })));
        publish(&mut producer, 500);
        consumer.wait_until_available(Some(in_ms(20_000))).unwrap();
        take(&mut consumer, 1, 500);
    });
}

#[test]
fn records_of_every_length_arrive_whole_and_in_order() {
    everywhere(|place| {
        let mut producer = producer(&place, 8192);
        let mut consumer = consumer(&place, "a");
        let longest = producer.max_record_bytes();
        let lens = move |number: usize| if number % 10 == 9 { (number * 797) % (longest + 1) } else { number % 200 };
        let reader = std::thread::spawn(move || {
            for number in 0..4000 {
                let record = consumer.next(Patience::Endless).unwrap().unwrap();
                assert_eq!((record.sequence(), record.kind()), (number, number as u8));
                assert!(*record == content(number, lens(number as usize))[..], "record {number}");
            }
            assert!(matches!(consumer.next(Patience::Endless), Err(ConsumeError::Closed)));
        });
        for number in 0..4000 {
            let bytes = content(number, lens(number as usize));
            assert_eq!(producer.publish(&bytes, number as u8, 0, Patience::Endless).unwrap(), number);
        }
        drop(producer);
        reader.join().unwrap();
    });
}

#[test]
fn an_abandoned_claim_is_nothing_and_a_commit_may_be_shorter() {
    everywhere(|place| {
        let mut producer = producer(&place, 4096);
        let mut consumer = consumer(&place, "a");
        let mut abandoned = producer.claim(500, Patience::Now).unwrap();
        abandoned.fill(0xff);
        drop(abandoned);
        assert!(consumer.next(Patience::Now).unwrap().is_none());
        let mut claim = producer.claim_at_least(10, 1000, Patience::Now).unwrap();
        assert_eq!((claim.len(), claim.as_ptr() as usize % 16), (1000, 0));
        claim[..7].copy_from_slice(&content(0, 7));
        assert_eq!(claim.commit(7, 0, 3), 0);
        publish(&mut producer, 0);
        take(&mut consumer, 0, 7);
        take(&mut consumer, 1, 0);
        // The bytes that an abandoned claim left after the next record do not look like a record.
        assert!(consumer.next(Patience::Now).unwrap().is_none());
    });
}

#[test]
fn a_record_larger_than_the_ring_is_refused_with_the_size_to_ask_for() {
    everywhere(|place| {
        let mut small = producer(&place, 1024);
        let len = small.max_record_bytes() + 1;
        let error = small.claim(len, Patience::Endless).expect_err("too large");
        let RecordError::TooLarge { len_bytes, max_bytes, ring_bytes_wanted } = error else { panic!("{error}") };
        assert_eq!((len_bytes, max_bytes, ring_bytes_wanted), (len, len - 1, Some(8192)));
        let refused = small.claim(usize::MAX / 2, Patience::Endless);
        assert!(matches!(refused.err(), Some(RecordError::TooLarge { .. })));
        drop(small);
        let mut wanted = producer(&place, 8192);
        let mut consumer = consumer(&place, "a");
        for number in 0..5 {
            publish(&mut wanted, len);
            take(&mut consumer, number, len);
        }
    });
}

#[test]
fn the_longest_record_fits_wherever_the_last_one_ended() {
    everywhere(|place| {
        let mut producer = producer(&place, 1024);
        let mut consumer = consumer(&place, "a");
        let longest = producer.max_record_bytes();
        for (round, first) in [0, 48, 49, 500, longest - 64, longest].into_iter().enumerate() {
            let number = 2 * round as i64;
            for (number, len) in [(number, first), (number + 1, longest)] {
                publish(&mut producer, len);
                take(&mut consumer, number, len);
            }
        }
    });
}

#[test]
fn a_full_ring_refuses_and_its_report_counts_records() {
    everywhere(|place| {
        let mut producer = producer(&place, 1024);
        let mut consumer = SharedDisruptorBuilder::records(place.clone(), 0)
            .with_consumer_id("slow")
            .with_rank(2)
            .build_record_consumer()
            .unwrap();
        let mut published = 0;
        while producer.publish(&content(published, 100), published as u8, 3, Patience::Now).is_ok() {
            published += 1;
        }
        assert_eq!(published, 31, "31 of two lines, and a line for the header after them");
        let error = producer.publish(&[0; 100], 0, 0, Patience::Now).unwrap_err();
        assert!(matches!(error, RecordError::NoRoom(NoRoom::Full)));
        take(&mut consumer, 0, 100);
        publish(&mut producer, 100);
        let error = producer.publish(&[0; 100], 0, 0, Patience::Until(in_ms(5))).unwrap_err();
        let RecordError::NoRoom(NoRoom::Publish(PublishError::TimedOut { report })) = error else { panic!("{error}") };
        let culprit = report.culprit.unwrap();
        assert_eq!((culprit.id.as_str(), culprit.rank, culprit.sequence, culprit.lag_events), ("slow", Some(2), 1, 31));
        assert_eq!(producer.consumer_sequence("slow"), Some(0));
        assert!(producer.is_consumed(0) && !producer.is_consumed(1));
        assert_eq!((consumer.current_sequence(), consumer.producer_sequence()), (0, 31));
    });
}

#[test]
fn a_batch_is_read_as_it_is_written_and_a_panicking_handler_has_acknowledged_what_came_before() {
    everywhere(|place| {
        let mut producer = producer(&place, 4096);
        let mut consumer = consumer(&place, "a");
        let mut batch = producer.batch();
        for number in 0..5 {
            batch.publish(&content(number, 30), number as u8, 3, Patience::Now).unwrap();
        }
        take(&mut consumer, 0, 30); // before the batch has ended
        drop(batch);
        let mut seen = vec![];
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            consumer.process_available(|bytes, meta| {
                if seen.len() == 2 {
                    resume_unwind(Box::new(()));
                }
                assert!(*bytes == content(meta.sequence, 30)[..]);
                seen.push(meta.sequence);
            })
        }));
        assert!(panicked.is_err());
        assert_eq!(seen, [1, 2]);
        assert_eq!(consumer.process_available(|_, meta| seen.push(meta.sequence)), 2);
        assert_eq!(seen, [1, 2, 3, 4]);
        let count =
            |id| consumer.ring_counters().snapshot().into_iter().filter(|it| it.id == id).map(|it| it.value).sum();
        let (published, consumed): (u64, u64) = (count(ids::EVENTS_PUBLISHED), count(ids::EVENTS_CONSUMED));
        assert_eq!((published, consumed), (5, 5));
        assert_eq!(count(ids::EVENTS_CONSUMED_BYTES), 5 * 30);
    });
}

#[test]
fn a_late_consumer_starts_at_the_tail_or_at_a_record_that_stays() {
    everywhere(|place| {
        let mut producer = producer(&place, 1024);
        publish(&mut producer, 100);
        let late = |start| SharedDisruptorBuilder::records(place.clone(), 0).start_at(start).build_record_consumer();
        let mut first = late(StartAt::Beginning).unwrap();
        publish(&mut producer, 10);
        let mut tail = late(StartAt::Tail).unwrap();
        publish(&mut producer, 20);
        take(&mut tail, 2, 20);
        take(&mut first, 0, 100);
        take(&mut first, 1, 10);
        for number in 3..40 {
            publish(&mut producer, 60);
            take(&mut tail, number, 60);
            take(&mut first, number - 1, if number == 3 { 20 } else { 60 });
        }
        assert!(late(StartAt::Beginning).is_err(), "record 0 is gone");
        // It starts with a whole record, which is at least as old as the one between the two consumers, and gets all
        // later ones.
        let mut oldest = late(StartAt::Oldest).unwrap();
        let first = oldest.current_sequence() + 1;
        assert!((3..=39).contains(&first), "{first}");
        for number in first..40 {
            take(&mut oldest, number, 60);
        }
    });
}

#[test]
fn a_mebibyte_holds_sixty_steps_of_seventeen_kilobytes() {
    let _watchdog = watchdog();
    for before in [0, 1, 7, 30, 61] {
        let place = Place::heap();
        let mut producer = producer(&place, 1 << 20);
        let mut consumer = consumer(&place, "a");
        for number in 0..before {
            publish(&mut producer, 16_890);
            take(&mut consumer, number, 16_890);
        }
        let mut held = 0;
        while producer.publish(&[0; 16_890], 0, 0, Patience::Now).is_ok() {
            held += 1;
        }
        assert!(held >= 60, "{held} after {before}");
    }
}

#[test]
fn a_large_ring_whose_readers_keep_up_uses_four_mebibytes_of_its_pages() {
    let (_watchdog, dir) = (watchdog(), TempDir::new());
    let place = Place::from(dir.path().join("ring"));
    let mut producer = SharedDisruptorBuilder::records(place.clone(), 32 << 20)
        .with_create_options(disruptor_mp::CreateOptions::default().sparse(true))
        .build_record_producer()
        .unwrap();
    let mut consumer = consumer(&place, "a");
    let used = || std::fs::metadata(dir.path().join("ring")).unwrap().blocks() * 512;
    for number in 0..600 {
        publish(&mut producer, 60_000);
        take(&mut consumer, number, 60_000);
    }
    assert!(used() < 6 << 20, "{} bytes of pages", used());
    // A backlog may use the whole ring.
    let mut held = 0;
    while producer.publish(&[0; 60_000], 0, 0, Patience::Now).is_ok() {
        held += 1;
    }
    assert!(held * 60_000 > 24 << 20, "{held} records");
}

#[test]
fn what_a_dead_consumer_had_not_acknowledged_comes_again_marked() {
    everywhere(|place| {
        let mut producer = producer(&place, 4096);
        let mut dead = consumer(&place, "w");
        for _ in 0..4 {
            publish(&mut producer, 77);
        }
        take(&mut dead, 0, 77);
        // Handed out, and never given back: for the ring that is a death as soon as the lock is released. A fork's
        // child dies without handles.
        dead.next(Patience::Now).unwrap().unwrap().release_unread();
        drop(dead);
        let mut next = consumer(&place, "w");
        assert!(!next.has_rejoined(), "who has left does not come back to anything");
        publish(&mut producer, 5);
        take(&mut next, 4, 5);
    });
}

/// Writes into a ring of records without the protocol.
#[test]
fn a_damaged_header_is_an_error_and_the_stream_goes_on_behind_it() {
    let (_watchdog, dir) = (watchdog(), TempDir::new());
    let path = dir.path().join("ring");
    let place = Place::from(path.as_path());
    let mut producer = producer(&place, 4096);
    let mut consumer = consumer(&place, "a");
    for _ in 0..3 {
        publish(&mut producer, 10);
    }
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    let slots = plan_records(4096, disruptor_mp::DEFAULT_MAX_CONSUMERS).unwrap().slots.offset;
    for word in [u64::MAX, 1 << 56 | 0xffff_ffff, 2 << 56, 7] {
        let line = (producer.last_published_sequence() + 1 - 3) as u64 % 64;
        file.write_all_at(&word.to_ne_bytes(), slots + 64 * line).unwrap();
        let next = producer.last_published_sequence() + 1;
        match consumer.next(Patience::Endless).map(|record| record.map(|record| record.sequence())) {
            // Up to the next record with a known beginning.
            Err(ConsumeError::Damaged { skipped: skipped @ 1..=3 }) => {
                for number in next - 3 + skipped as i64..next {
                    take(&mut consumer, number, 10);
                }
            }
            other => panic!("{word:#x}: {other:?}"),
        }
        for number in next..next + 3 {
            publish(&mut producer, 10);
            assert_eq!(consumer.current_sequence(), next - 1, "{number}");
        }
    }
    assert!(matches!(consumer.next(Patience::Now), Ok(Some(_))));
}

#[test]
fn a_sleeping_consumer_is_woken_by_a_record_and_a_sleeping_producer_by_room() {
    everywhere(|place| {
        let build = || SharedDisruptorBuilder::records(place.clone(), 1024).with_wait_strategy(WaitStrategy::Block);
        let mut producer = build().build_record_producer().unwrap();
        let mut consumer = build().with_consumer_id("a").build_record_consumer().unwrap();
        let parks = |counters: &disruptor_mp::CountersFile, id| {
            counters.snapshot().into_iter().filter(|it| it.id == id).map(|it| it.value).sum::<u64>()
        };
        let counters = producer.ring_counters();
        std::thread::scope(|scope| {
            let reading = scope.spawn(move || {
                for number in 0..100 {
                    let record = consumer.next(Patience::Endless).unwrap().unwrap();
                    assert_eq!(record.sequence(), number);
                    if number == 50 {
                        // Until the producer sleeps for room.
                        eventually("a full ring", || parks(&consumer_counters(&place), ids::PRODUCER_PARK_COUNT) > 0);
                    }
                }
            });
            eventually("a sleeping reader", || parks(&counters, ids::CONSUMER_PARK_COUNT) > 0);
            for number in 0..100 {
                producer.publish(&content(number, 100), 0, 0, Patience::Endless).unwrap();
            }
            reading.join().unwrap();
        });
        assert_eq!(parks(&counters, ids::CONSUMER_LOST_WAKEUPS) + parks(&counters, ids::PRODUCER_LOST_WAKEUPS), 0);
    });
}

fn consumer_counters(place: &Place) -> disruptor_mp::CountersFile {
    disruptor_mp::CountersFile::open(place.clone()).expect("the ring has counters")
}

#[test]
fn whoever_looks_at_a_ring_of_records_from_outside_sees_numbers_of_records() {
    let (_watchdog, dir) = (watchdog(), TempDir::new());
    let place = Place::from(dir.path().join("ring"));
    let mut producer = producer(&place, 4096);
    let mut consumer = consumer(&place, "a");
    for _ in 0..3 {
        publish(&mut producer, 500);
    }
    take(&mut consumer, 0, 500);
    assert_eq!(SharedCursor::attach(place.clone()).unwrap().load(), 2);
    let barrier = ConsumerBarrier::attach(place).unwrap();
    assert_eq!((barrier.load(), barrier.consumer_sequence("a")), (0, Some(0)));
    assert_eq!(producer.consumers()[0].position, 1);
}

#[test]
fn a_ring_of_events_is_not_a_ring_of_records() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let place = Place::from(shm.name("a"));
    let _records = producer(&place, 1024);
    let error = disruptor_mp::attach_shared_consumer::<u64>(place.clone(), 0).build_consumer().err().unwrap();
    assert!(matches!(error, disruptor_mp::MultiProcessError::Unusable { .. }), "{error}");
    assert!(SharedDisruptorBuilder::records(place, 8192).build_record_consumer().is_err(), "another size");
}

#[test]
fn a_length_that_no_word_can_say_is_refused_however_large_the_ring_is() {
    everywhere(|place| {
        let mut small = producer(&place, 1024);
        for len in [usize::MAX, usize::MAX - 15, usize::MAX - 16, 1 << 32] {
            assert!(matches!(small.claim(len, Patience::Now).err(), Some(RecordError::TooLarge { .. })), "{len}");
            let refused = small.claim_at_least(len, usize::MAX, Patience::Now);
            assert!(matches!(refused.err(), Some(RecordError::TooLarge { .. })), "{len}");
        }
    });
    let dir = TempDir::new();
    let large = SharedDisruptorBuilder::records(Place::from(dir.path().join("ring")), 8 << 30)
        .with_create_options(disruptor_mp::CreateOptions::default().sparse(true))
        .build_record_producer();
    let mut large = large.unwrap();
    let refused = large.claim(u32::MAX as usize + 1, Patience::Now);
    let Some(RecordError::TooLarge { ring_bytes_wanted: None, .. }) = refused.err() else {
        panic!("a claim that would be committed with another length")
    };
}

#[test]
fn the_smallest_ring_has_a_page_and_less_is_rounded_up() {
    everywhere(|place| {
        for bytes in [1, 64, 100, 1024, 4095] {
            assert_eq!(plan_records(bytes, 1).unwrap(), plan_records(4096, 1).unwrap(), "{bytes}");
        }
        let mut producer = producer(&place, 1);
        assert_eq!((producer.capacity(), producer.max_record_bytes()), (4096, 4096 - 64 - 16));
        // An end that asks for a smaller or the actual size accepts it.
        for bytes in [1, 2048, 4096] {
            SharedDisruptorBuilder::records(place.clone(), bytes).build_record_consumer().unwrap();
        }
        let mut consumer = consumer(&place, "a");
        for number in 0..9 {
            let len = 4016 - number as usize * 8;
            publish(&mut producer, len);
            assert!(matches!(producer.publish(&[0; 64], 0, 0, Patience::Now), Err(RecordError::NoRoom(NoRoom::Full))));
            take(&mut consumer, number, len);
        }
    });
}

#[test]
fn an_empty_ring_has_room_for_its_longest_record_and_nobody_is_blamed() {
    everywhere(|place| {
        let mut producer = producer(&place, 4096);
        let mut consumer = consumer(&place, "a");
        for number in 0..200 {
            let len = if number % 2 == 0 { number as usize * 31 % 4000 } else { 700 };
            publish(&mut producer, len);
            take(&mut consumer, number, len);
            assert!(producer.claim(producer.max_record_bytes(), Patience::Now).is_ok(), "after record {number}");
        }
    });
}

#[test]
fn a_default_ring_holds_a_whole_lap_for_a_reader_that_does_not_look_wherever_it_stopped() {
    let _watchdog = watchdog();
    for read in [0, 1, 810, 1500, 2500] {
        let place = Place::heap();
        let mut producer = producer(&place, disruptor_mp::DEFAULT_RECORD_RING_BYTES);
        let mut consumer = consumer(&place, "a");
        for number in 0..read {
            publish(&mut producer, 4096);
            take(&mut consumer, number, 4096);
        }
        let mut held = 0;
        while producer.publish(&[0; 4096], 0, 0, Patience::Now).is_ok() {
            held += 1;
        }
        assert!(held >= 2000, "{held} after {read}");
    }
}

#[test]
fn padding_of_a_huge_ring_leads_to_its_beginning() {
    let (_watchdog, dir) = (watchdog(), TempDir::new());
    let place = Place::from(dir.path().join("ring"));
    // More lines than 32 bits can count.
    let sparse = disruptor_mp::CreateOptions::default().sparse(true);
    let builder = SharedDisruptorBuilder::records(place.clone(), 1 << 39).with_create_options(sparse);
    let mut producer = builder.build_record_producer().unwrap();
    let mut consumer = consumer(&place, "a");
    for number in 0..200 {
        publish(&mut producer, 60_000);
        take(&mut consumer, number, 60_000);
    }
    let used = std::fs::metadata(dir.path().join("ring")).unwrap().blocks() * 512;
    assert!(used < 6 << 20, "{used} bytes of pages: it did not start over");
}

#[test]
fn a_ring_starts_over_only_if_the_next_record_has_room_there() {
    let _watchdog = watchdog();
    let place = Place::heap();
    let mut producer = producer(&place, 16 << 20);
    let mut consumer = consumer(&place, "a");
    for number in 0..80 {
        publish(&mut producer, 60_000);
        take(&mut consumer, number, 60_000);
    }
    // An empty ring, whose reader does not look again.
    assert!(producer.claim(producer.max_record_bytes(), Patience::Now).is_ok());
}

#[test]
fn space_that_only_padding_holds_is_a_reason_of_its_own_and_names_who_has_not_looked() {
    let _watchdog = watchdog();
    let place = Place::heap();
    let mut producer = producer(&place, 16 << 20);
    let mut consumer = consumer(&place, "w");
    let longest = producer.max_record_bytes();
    // Everything is read. After a claim has started over, only padding is in the ring.
    let is_padded = (0..200).any(|number| {
        publish(&mut producer, 60_000);
        take(&mut consumer, number, 60_000);
        drop(producer.claim(10, Patience::Now).unwrap());
        producer.claim(longest, Patience::Now).is_err()
    });
    assert!(is_padded, "it did not start over");
    let error = producer.claim(longest, Patience::Until(in_ms(5))).expect_err("padding is in the way");
    let RecordError::NoRoom(NoRoom::Publish(PublishError::TimedOut { report })) = error else { panic!("{error}") };
    assert_eq!(report.waiting_for, WaitingFor::Padding, "{report}");
    let culprit = report.culprit.as_ref().expect("who has not looked");
    assert_eq!((culprit.id.as_str(), culprit.lag_events), ("w", 0), "{report}");
    assert!(report.to_string().contains("has read everything and has not looked since"), "{report}");
    assert_eq!(producer.stall_report().waiting_for, WaitingFor::Padding);
    assert!(consumer.next(Patience::Now).unwrap().is_none());
    assert!(producer.claim(longest, Patience::Now).is_ok(), "it has looked");
}

#[test]
fn the_first_reader_of_records_gets_at_least_seven_eighths_of_a_lap_from_a_record_on() {
    let _watchdog = watchdog();
    for published in [1, 60, 63, 64, 65, 100, 500, 1001] {
        for len in [0, 48, 49, 300] {
            let place = Place::heap();
            let mut producer = producer(&place, 16 << 10);
            for _ in 0..published {
                publish(&mut producer, len);
            }
            let mut first = consumer(&place, "a");
            let start = first.current_sequence() + 1;
            for number in start..published {
                take(&mut first, number, len);
            }
            let lines = (len as i64 + 16 + 63) / 64;
            // The record that is written next, the one across the beginning of the eighth, and the header.
            let least = (224 - 2 * lines - 1).min(published * lines);
            assert!((published - start) * lines >= least, "{start} of {published} of {len} bytes");
            assert!(matches!(first.next(Patience::Now), Ok(None)));
        }
    }
}

#[test]
fn a_child_of_a_fork_that_drops_its_parents_batch_does_not_move_the_cursor() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let place = Place::from(shm.name("a"));
    let mut producer = producer(&place, 1024);
    let consumer = consumer(&place, "a");
    let mut batch = Some(producer.batch());
    batch.as_mut().unwrap().publish(b"one", 0, 0, Patience::Now).unwrap();
    let mut child = testkit::fork::fork_then(|| {
        batch = None;
        0
    });
    assert_eq!(child.wait_exit(std::time::Duration::from_secs(10)).code(), Some(0));
    assert_eq!(consumer.producer_sequence(), -1, "the batch is its parent's to announce");
    drop(batch);
    assert_eq!(consumer.producer_sequence(), 0);
}

#[test]
fn ends_that_are_exchanged_keep_the_record_numbers_of_their_rings() {
    everywhere(|first| {
        everywhere(|second| {
            // One ring is at record 5; its next look at the readers and its next wrap are its own as well.
            let (mut one, mut other) = (producer(&first, 1024), producer(&second, 1 << 14));
            let (mut reads_one, mut reads_other) = (consumer(&first, "a"), consumer(&second, "a"));
            for number in 0..5 {
                publish(&mut one, 50);
                take(&mut reads_one, number, 50);
            }
            std::mem::swap(&mut one, &mut other);
            publish(&mut one, 60);
            publish(&mut other, 70);
            take(&mut reads_other, 0, 60);
            take(&mut reads_one, 5, 70);
        });
    });
}

#[test]
fn a_forgotten_batch_does_not_leave_the_cursor_behind() {
    everywhere(|place| {
        let mut producer = producer(&place, 1024);
        let mut consumer = consumer(&place, "a");
        let mut batch = producer.batch();
        batch.publish(&content(0, 10), 0, 3, Patience::Now).unwrap();
        std::mem::forget(batch);
        publish(&mut producer, 20);
        assert_eq!(consumer.producer_sequence(), 1, "the cursor is after what was published alone");
        take(&mut consumer, 0, 10);
        take(&mut consumer, 1, 20);
    });
}

#[test]
fn a_start_that_is_gone_is_told_with_the_number_of_the_oldest_record() {
    everywhere(|place| {
        let mut producer = producer(&place, 1024);
        let mut consumer = consumer(&place, "a");
        for number in 0..40 {
            publish(&mut producer, 200);
            take(&mut consumer, number, 200);
        }
        let late = |start| SharedDisruptorBuilder::records(place.clone(), 0).start_at(start).build_record_consumer();
        let error = late(StartAt::Beginning).expect_err("record 0 is gone");
        let reason = error.to_string();
        let oldest = late(StartAt::Oldest).unwrap().current_sequence() + 1;
        assert!((1..40).contains(&oldest) && reason.contains(&format!("stay is {oldest}")), "{oldest}: {reason}");
    });
}

#[test]
fn a_look_that_does_not_wait_tells_of_damage() {
    let (_watchdog, dir) = (watchdog(), TempDir::new());
    let path = dir.path().join("ring");
    let place = Place::from(path.as_path());
    let mut producer = producer(&place, 4096);
    let mut consumer = consumer(&place, "a");
    publish(&mut producer, 10);
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    let slots = plan_records(4096, disruptor_mp::DEFAULT_MAX_CONSUMERS).unwrap().slots.offset;
    file.write_all_at(&7_u64.to_ne_bytes(), slots).unwrap();
    producer.publish(&[], 0, 0, Patience::Now).unwrap();
    assert_eq!(consumer.process_available(|_, _| ()), 0);
    // After the damage there is a record to read, which the cursor does not include yet.
    let mut batch = producer.batch();
    batch.publish(&[], 0, 0, Patience::Now).unwrap();
    let told = consumer.check_producer();
    assert!(matches!(told, Err(ConsumeError::Damaged { skipped: 2 })), "{told:?}");
}

#[test]
fn views_never_take_payload_for_a_number() {
    let (_watchdog, dir) = (watchdog(), TempDir::new());
    let place = Place::from(dir.path().join("ring"));
    let mut producer = producer(&place, 512);
    let mut consumer = consumer(&place, "a");
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let views = [0, 1, 2].map(|view| {
            let (place, done) = (place.clone(), &done);
            scope.spawn(move || {
                let (cursor, barrier) =
                    (SharedCursor::attach(place.clone()).unwrap(), ConsumerBarrier::attach(place).unwrap());
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let seen = match view {
                        0 => cursor.load(),
                        1 => barrier.load(),
                        _ => barrier.consumer_sequence("a").unwrap(),
                    };
                    assert!(seen < 1 << 40, "view {view} says {seen}");
                }
            })
        });
        for number in 0..1_000_000_i64 {
            producer.publish(&[0x55; 150][..(number as usize * 50) % 150], 0, 0, Patience::Now).unwrap();
            drop(consumer.next(Patience::Now).unwrap().unwrap());
            if views.iter().any(|view| view.is_finished()) {
                break;
            }
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
