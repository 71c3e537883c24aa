//! Stamps, commit words and cursors that no producer has written: the reader is told, and gets the events that are
//! whole.

use crate::stage::{Forger, Step, TempDir, drain, fill, in_ms, join, publish, ring, step, watchdog};
use disruptor_mp::counters::ids;
use disruptor_mp::segment::SegmentPlan;
use disruptor_mp::{
    ConsumeError, ConsumerBarrier, DEFAULT_MAX_CONSUMERS, Patience, Place, RecordConsumer, RecordProducer,
    SharedConsumer, SharedCursor, SharedCursorTrait, SharedDisruptorBuilder, SharedProducer, StartAt, WaitStrategy,
    attach_shared_consumer, plan_records,
};
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// A ring of 64 in a file with a consumer that has read nothing, and a `Forger` for it.
struct Scene {
    dir: TempDir,
    place: Place,
    producer: SharedProducer<Step>,
    consumer: SharedConsumer<Step>,
    forger: Forger,
}

impl Scene {
    fn new() -> Self {
        let dir = TempDir::new();
        let path = dir.path().join("ring");
        let place = Place::from(path.as_path());
        let producer = ring(&place, 64).build_producer(step).unwrap();
        let consumer = join(&place, "w");
        Self { dir, place, producer, consumer, forger: Forger::new(&path, 64) }
    }

    /// Reads up to the end of the ring: the numbers of the events, and for each damage how many were skipped.
    fn read_to_end(&mut self) -> (Vec<i64>, Vec<u64>) {
        let (mut events, mut skipped) = (vec![], vec![]);
        loop {
            match self.consumer.consume_next_leased_deadline(in_ms(20_000)) {
                Ok(event) => {
                    assert_eq!(event.sequence as i64, event.sequence(), "an event under the number of another");
                    events.push(event.sequence());
                }
                Err(ConsumeError::Damaged { skipped: count }) => skipped.push(count),
                Err(ConsumeError::Closed) => return (events, skipped),
                Err(other) => panic!("{other}"),
            }
        }
    }

    fn counted(&self) -> u64 {
        let counters = self.consumer.ring_counters().snapshot();
        counters.iter().filter(|counter| counter.id == ids::RECORDS_SKIPPED_DAMAGED).map(|counter| counter.value).sum()
    }
}

#[test]
fn a_damaged_stamp_is_told_and_the_events_after_it_are_delivered() {
    let _watchdog = watchdog();
    // A slot may hold the last four before its event, and never the others.
    for stamp in [i64::MIN, -1, 2, 63, i64::MAX, 0, 1 - 64] {
        let mut scene = Scene::new();
        publish(&mut scene.producer, 4);
        scene.forger.set_stamp(0, stamp);
        match scene.consumer.consume_next_leased_deadline(in_ms(1)).map(|event| event.sequence()) {
            Err(ConsumeError::Damaged { skipped: 1 }) => {}
            other => panic!("stamp {stamp}: {other:?}"),
        }
        assert_eq!(scene.counted(), 1);
        publish(&mut scene.producer, 60);
        assert_eq!(drain(&mut scene.consumer), Vec::from_iter(1..64), "stamp {stamp}");
    }
}

#[test]
fn a_ring_that_closes_over_a_damaged_stamp_delivers_everything_else_before_the_end() {
    let _watchdog = watchdog();
    for (stamps, whole, lost) in [
        (&[(0, 77)][..], vec![1, 2, 3], vec![1]),
        (&[(0, 0)], vec![1, 2, 3], vec![1]),
        (&[(3, 0)], vec![0, 1, 2], vec![1]),
        (&[(1, 0), (2, 99)], vec![0, 3], vec![2]),
        (&[(0, 0), (2, 0)], vec![1, 3], vec![1, 1]),
        (&[(0, 0), (1, 0), (2, 0), (3, 0)], vec![], vec![4]),
    ] {
        let mut scene = Scene::new();
        publish(&mut scene.producer, 4);
        for &(slot, stamp) in stamps {
            scene.forger.set_stamp(slot, stamp);
        }
        let closed = std::mem::replace(&mut scene.producer, ring(&Place::heap(), 4).build_producer(step).unwrap());
        closed.close();
        assert_eq!(scene.read_to_end(), (whole, lost), "{stamps:?}");
    }
}

#[test]
fn a_loop_that_does_not_wait_learns_of_a_damaged_stamp_where_it_asks_for_the_producer() {
    let _watchdog = watchdog();
    let mut scene = Scene::new();
    publish(&mut scene.producer, 4);
    scene.forger.set_stamp(0, 0);
    assert!(scene.consumer.try_consume_next_leased().is_none());
    let told = scene.consumer.check_producer();
    assert!(matches!(told, Err(ConsumeError::Damaged { skipped: 1 })), "{told:?}");
    assert_eq!(drain(&mut scene.consumer), [1, 2, 3]);
    scene.consumer.check_producer().unwrap();
}

#[test]
fn every_way_to_wait_tells_of_a_damaged_stamp() {
    let _watchdog = watchdog();
    for wait in [
        WaitStrategy::BusySpin,
        WaitStrategy::SpinThenYield { spins: 10 },
        WaitStrategy::Sleep(std::time::Duration::from_millis(1)),
        WaitStrategy::Block,
        WaitStrategy::Adaptive,
    ] {
        let mut scene = Scene::new();
        let builder = attach_shared_consumer::<Step>(scene.place.clone(), 0).with_wait_strategy(wait);
        let mut consumer = builder.build_consumer().unwrap();
        publish(&mut scene.producer, 2);
        scene.forger.set_stamp(0, 0);
        let told = consumer.consume_next_leased().map(|event| event.sequence());
        assert!(matches!(told, Err(ConsumeError::Damaged { skipped: 1 })), "{wait:?}: {told:?}");
        assert_eq!(consumer.consume_next_leased().unwrap().sequence(), 1);
    }
}

#[test]
fn an_auto_consumer_steps_over_a_damaged_stamp_and_goes_on() {
    let _watchdog = watchdog();
    let mut scene = Scene::new();
    publish(&mut scene.producer, 4);
    scene.forger.set_stamp(1, 0);
    let (seen, events) = std::sync::mpsc::channel();
    let builder = attach_shared_consumer::<Step>(scene.place.clone(), 0);
    let _auto = builder.handle_events_with(move |_, sequence, _| seen.send(sequence).unwrap()).unwrap();
    assert_eq!(Vec::from_iter(events.iter().take(3)), [0, 2, 3]);
}

#[test]
fn a_cursor_forged_within_a_lap_never_makes_anybody_read_what_was_not_published() {
    let _watchdog = watchdog();
    for forged in [41, 45, 63, 64] {
        let mut scene = Scene::new();
        publish(&mut scene.producer, 40);
        scene.forger.set_cursor(forged);
        // Enough that it reads the cursor, one by one or at once.
        let mut seen: Vec<_> = (0..35).map(|_| scene.consumer.try_consume_next_leased().unwrap().sequence()).collect();
        seen.extend(drain(&mut scene.consumer));
        assert_eq!(seen, Vec::from_iter(0..40), "{forged}");
        let waited = scene.consumer.consume_next_leased_deadline(in_ms(1)).map(|event| event.sequence());
        assert!(matches!(waited, Err(ConsumeError::TimedOut { .. })), "{forged}: {waited:?}");
        // The next publish repairs it, and nothing was lost.
        publish(&mut scene.producer, 30);
        assert_eq!(drain(&mut scene.consumer), Vec::from_iter(40..70), "{forged}");
        assert_eq!(fill(&mut scene.producer), 64);
    }
}

/// A ring of records in a file with a consumer, and a function that writes into its lines.
fn records() -> (TempDir, RecordProducer, RecordConsumer, impl Fn(i64, u64)) {
    let dir = TempDir::new();
    let path = dir.path().join("ring");
    let producer = SharedDisruptorBuilder::records(path.as_path(), 4096).build_record_producer().unwrap();
    let consumer = SharedDisruptorBuilder::records(path.as_path(), 0).build_record_consumer().unwrap();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    let slots = plan_records(4096, DEFAULT_MAX_CONSUMERS).unwrap().slots.offset;
    let set_word =
        move |line: i64, word: u64| file.write_all_at(&word.to_ne_bytes(), slots + 64 * line as u64).unwrap();
    (dir, producer, consumer, set_word)
}

#[test]
fn a_commit_word_forged_to_0_below_the_cursor_is_told_and_the_stream_goes_on() {
    let _watchdog = watchdog();
    let (_dir, mut producer, mut consumer, set_word) = records();
    for round in 0..20_i64 {
        let first = round * 3;
        for _ in 0..3 {
            producer.publish(b"x", 0, 0, Patience::Now).unwrap();
        }
        assert_eq!(consumer.next(Patience::Now).unwrap().unwrap().sequence(), first);
        set_word((first + 1) % 64, 0);
        let told = consumer.next(Patience::Until(in_ms(1))).map(|record| record.map(|record| record.sequence()));
        let Err(ConsumeError::Damaged { skipped }) = told else { panic!("{told:?}") };
        // To the end, or to the beginning of the next eighth of the ring.
        let rest = std::iter::from_fn(|| consumer.next(Patience::Now).unwrap().map(|record| record.sequence()));
        assert_eq!(Vec::from_iter(rest), Vec::from_iter(first + 1 + skipped as i64..first + 3));
    }
}

/// A commit word of a record of `len` bytes. Source: RFC 0005.
fn word_of(len: u64) -> u64 {
    1 << 56 | len
}

/// A ring of 64 lines, of which 63 held a record each and were read. In the last, where the next record will begin,
/// there is a commit word for `len` bytes that the producer has not stored.
fn led_astray(len: u64) -> (TempDir, RecordProducer, RecordConsumer) {
    let (dir, mut producer, consumer, set_word) = records();
    drop(consumer);
    let mut consumer = named(&dir);
    for _ in 0..63 {
        producer.publish(b"x", 0, 0, Patience::Now).unwrap();
        drop(consumer.next(Patience::Now).unwrap().unwrap());
    }
    set_word(63, word_of(len));
    (dir, producer, consumer)
}

fn named(dir: &TempDir) -> RecordConsumer {
    let builder = SharedDisruptorBuilder::records(dir.path().join("ring"), 0);
    builder.with_consumer_id("w").build_record_consumer().unwrap()
}

/// From one line to the largest length that a commit word can have, with half the ring and more in between.
const FORGED_LENGTHS: [u64; 6] = [40, 150, 64 * 32 - 16, 64 * 33 - 16, 64 * 40, 64 * 63 - 16];

/// Publishes records of `lines` lines that contain their own numbers, and reads exactly those, in order.
fn goes_on(producer: &mut RecordProducer, consumer: &mut RecordConsumer, lines: usize, case: &str) {
    let (mut told, mut read, mut last) = (0, 0, 63 - 1);
    for _ in 0..200 {
        let number = producer.last_published_sequence() + 1;
        let payload = vec![number as u8; 64 * lines - 16];
        producer.publish(&payload, 7, 0, Patience::Now).unwrap_or_else(|error| panic!("{case}: {error}"));
        loop {
            match consumer.next(Patience::Now) {
                Ok(Some(record)) => {
                    let sequence = record.sequence();
                    assert!(sequence > last && sequence <= number, "{case}: {sequence} after {last}");
                    assert_eq!((record.kind(), &record[..]), (7, &vec![sequence as u8; 64 * lines - 16][..]), "{case}");
                    (last, read) = (sequence, read + 1);
                }
                Ok(None) => break,
                Err(ConsumeError::Damaged { .. }) => told += 1,
                Err(other) => panic!("{case}: {other}"),
            }
        }
    }
    assert_eq!(last, producer.last_published_sequence(), "{case}");
    assert!(told <= 1 && read >= 130, "{case}: told {told} times, read {read}");
}

#[test]
fn a_commit_word_forged_where_the_next_record_will_begin_never_leads_to_records_of_the_lap_before() {
    let _watchdog = watchdog();
    for len in FORGED_LENGTHS {
        for lines in [1, 2, 5, 31, 40, 62] {
            for way in ["now", "until", "available", "all"] {
                let case = format!("{len} bytes, then records of {lines} lines, {way}");
                let (_dir, mut producer, mut consumer) = led_astray(len);
                let mut seen = vec![];
                for _ in 0..5 {
                    match way {
                        "now" => seen.extend(consumer.next(Patience::Now).unwrap().map(|record| record.sequence())),
                        "until" => match consumer.next(Patience::Until(in_ms(1))) {
                            Ok(record) => seen.push(record.unwrap().sequence()),
                            Err(ConsumeError::TimedOut { .. }) => {}
                            Err(other) => panic!("{case}: {other}"),
                        },
                        "available" => drop(consumer.wait_until_available(Some(in_ms(1)))),
                        _ => drop(consumer.process_available(|_, meta| seen.push(meta.sequence))),
                    }
                }
                assert!(seen.is_empty() || seen == [63], "{case}: {seen:?}");
                if way == "available" {
                    drop(consumer.next(Patience::Now).unwrap());
                }
                goes_on(&mut producer, &mut consumer, lines, &case);
            }
        }
    }
}

#[test]
fn padding_forged_where_the_next_record_will_begin_leads_nowhere() {
    let _watchdog = watchdog();
    for way in ["now", "until", "all"] {
        let (dir, mut producer, mut consumer) = led_astray(40);
        let slots = plan_records(4096, DEFAULT_MAX_CONSUMERS).unwrap().slots.offset;
        let file = std::fs::File::options().write(true).open(dir.path().join("ring")).unwrap();
        file.write_all_at(&(2_u64 << 56 | 1).to_ne_bytes(), slots + 64 * 63).unwrap();
        for _ in 0..3 {
            match way {
                "now" => assert!(consumer.next(Patience::Now).unwrap().is_none()),
                "until" => {
                    let waited = consumer.next(Patience::Until(in_ms(1))).map(|record| record.map(|it| it.sequence()));
                    assert!(matches!(waited, Err(ConsumeError::TimedOut { .. })), "{waited:?}");
                }
                _ => assert_eq!(consumer.process_available(|_, meta| panic!("{meta:?}")), 0),
            }
        }
        goes_on(&mut producer, &mut consumer, 2, way);
    }
}

#[test]
fn who_was_led_astray_by_a_commit_word_hears_of_the_end() {
    let _watchdog = watchdog();
    let (_dir, producer, mut consumer) = led_astray(40);
    drop(producer);
    let mut ends = vec![];
    while !matches!(ends.last(), Some(Err(ConsumeError::Closed))) && ends.len() < 3 {
        ends.push(consumer.next(Patience::Endless).map(|record| record.unwrap().sequence()));
    }
    assert!(matches!(ends[..], [Ok(63), Err(ConsumeError::Closed)]), "{ends:?}");
}

#[test]
fn who_rejoins_before_a_forged_commit_word_reads_no_record_of_the_lap_before() {
    let _watchdog = watchdog();
    for has_read in [false, true] {
        let (dir, mut producer, mut consumer) = led_astray(40);
        if has_read {
            drop(consumer.next(Patience::Now).unwrap());
        }
        consumer.keep_place();
        drop(consumer);
        let place = dir.path().join("ring");
        let builder = || SharedDisruptorBuilder::records(place.as_path(), 0).with_consumer_id("w");
        // A position that no record leads to is reported once.
        let mut consumer = builder().build_record_consumer().or_else(|_| builder().build_record_consumer()).unwrap();
        let mut seen = vec![];
        consumer.process_available(|_, meta| seen.push(meta.sequence));
        assert!(seen.is_empty() || seen == [63], "{seen:?}");
        goes_on(&mut producer, &mut consumer, 1, &format!("has read it: {has_read}"));
    }
}

#[test]
fn who_takes_over_after_a_forged_commit_word_goes_on_where_the_published_records_end() {
    let _watchdog = watchdog();
    for has_read in [false, true] {
        let (dir, producer, mut consumer) = led_astray(40);
        if has_read {
            drop(consumer.next(Patience::Now).unwrap());
        }
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _producer = producer;
            std::panic::resume_unwind(Box::new(()));
        }))
        .unwrap_err();
        let taken = SharedDisruptorBuilder::records(dir.path().join("ring"), 4096).take_over();
        let mut producer = taken.build_record_producer().unwrap();
        assert_eq!(producer.last_published_sequence(), 62);
        if !has_read {
            drop(consumer.next(Patience::Now).unwrap());
        }
        goes_on(&mut producer, &mut consumer, 1, &format!("has read it: {has_read}"));
    }
}

#[test]
fn a_forged_number_costs_one_record() {
    let _watchdog = watchdog();
    for forged in [0, 4, 77, u64::MAX, i64::MAX as u64] {
        let (dir, mut producer, mut consumer, _) = records();
        for _ in 0..5 {
            producer.publish(b"x", 0, 0, Patience::Now).unwrap();
        }
        let slots = plan_records(4096, DEFAULT_MAX_CONSUMERS).unwrap().slots.offset;
        let file = std::fs::File::options().write(true).open(dir.path().join("ring")).unwrap();
        file.write_all_at(&forged.to_ne_bytes(), slots + 64 * 2 + 8).unwrap();
        let mut seen = vec![];
        for _ in 0..6 {
            match consumer.next(Patience::Until(in_ms(1))) {
                Ok(record) => seen.push(record.unwrap().sequence()),
                Err(ConsumeError::Damaged { .. }) => seen.push(-1),
                Err(ConsumeError::TimedOut { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(&seen[..3], [0, 1, -1], "{forged}");
        producer.publish(b"x", 0, 0, Patience::Now).unwrap();
        assert_eq!(consumer.next(Patience::Now).unwrap().unwrap().sequence(), 5, "{forged}");
    }
}

/// Its number was compared when the consumer reached it.
#[test]
fn a_number_forged_where_a_consumer_stands_costs_nothing_and_ends_every_way_to_read() {
    let _watchdog = watchdog();
    let slots = plan_records(4096, DEFAULT_MAX_CONSUMERS).unwrap().slots.offset;
    for (way, panics_first) in [("batch", false), ("handler", false), ("batch", true), ("handler", true)] {
        let (dir, mut producer, mut consumer, _) = records();
        for _ in 0..4 {
            producer.publish(b"x", 0, 0, Patience::Now).unwrap();
        }
        assert_eq!(consumer.next(Patience::Now).unwrap().unwrap().sequence(), 0);
        if panics_first {
            // After this, records are handed out one at a time.
            let handled = AssertUnwindSafe(|| consumer.process_available(|_, _| panic!("a handler's")));
            assert!(catch_unwind(handled).is_err());
        }
        let file = std::fs::File::options().write(true).open(dir.path().join("ring")).unwrap();
        file.write_all_at(&77_u64.to_ne_bytes(), slots + 64 + 8).unwrap();
        let mut seen = vec![];
        match way {
            "batch" => {
                while let Some(batch) = consumer.next_batch(8, Patience::Now).unwrap() {
                    seen.extend(batch.iter().map(|(_, meta)| meta.sequence));
                }
            }
            _ => drop(consumer.process_available(|_, meta| seen.push(meta.sequence))),
        }
        assert_eq!(seen, [1, 2, 3], "by {way}, after a panic: {panics_first}");
    }
}

#[test]
fn a_cursor_forged_within_a_lap_neither_ends_nor_skips_a_stream_of_records() {
    let _watchdog = watchdog();
    for forged in [4, 10, 63, 64] {
        let (dir, mut producer, mut consumer, _) = records();
        for _ in 0..3 {
            producer.publish(b"x", 0, 0, Patience::Now).unwrap();
        }
        let cursor = plan_records(4096, DEFAULT_MAX_CONSUMERS).unwrap().control.offset;
        let file = std::fs::File::options().write(true).open(dir.path().join("ring")).unwrap();
        file.write_all_at(&i64::to_ne_bytes(forged), cursor).unwrap();
        for expected in 0..3 {
            assert_eq!(consumer.next(Patience::Now).unwrap().unwrap().sequence(), expected);
        }
        let waited = consumer.next(Patience::Until(in_ms(1))).map(|record| record.map(|record| record.sequence()));
        assert!(matches!(waited, Err(ConsumeError::TimedOut { .. })), "{forged}: {waited:?}");
        for expected in 3..100 {
            producer.publish(b"x", 0, 0, Patience::Now).unwrap();
            assert_eq!(consumer.next(Patience::Now).unwrap().unwrap().sequence(), expected);
        }
    }
}

/// The positions among the words of the control lines and of an entry. Source: RFC 0011.
const POSITIONS_OF_RING: [u64; 12] = [0, 256, 264, 512, 640, 648, 656, 664, 672, 680, 688, 696];
const POSITIONS_OF_ENTRY: [u64; 4] = [0, 8, 152, 304];

/// Stores each of the extreme numbers as each position of the ring in turn, and runs `act` with it.
fn with_extreme_positions(place: &Place, path: &Path, plan: SegmentPlan, mut act: impl FnMut()) {
    let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
    let of_entry = POSITIONS_OF_ENTRY.map(|word| plan.table.offset + word);
    let words = POSITIONS_OF_RING.map(|word| plan.control.offset + word).into_iter().chain(of_entry);
    for word in words {
        for number in [i64::MIN, i64::MIN + 1, -1, i64::MAX - 1, i64::MAX] {
            let mut old = [0; 8];
            file.read_exact_at(&mut old, word).unwrap();
            file.write_all_at(&number.to_ne_bytes(), word).unwrap();
            let (cursor, barrier) =
                (SharedCursor::attach(place.clone()).unwrap(), ConsumerBarrier::attach(place.clone()).unwrap());
            let _ = (cursor.load(), barrier.load(), barrier.consumer_sequence("w"), barrier.min_consumer_sequence());
            act();
            file.write_all_at(&old, word).unwrap();
        }
    }
}

const STARTS: [StartAt; 4] = [StartAt::Unread, StartAt::Tail, StartAt::Oldest, StartAt::Beginning];

#[test]
fn positions_at_the_ends_of_their_range_make_nobody_panic_or_hang() {
    let _watchdog = watchdog();
    let mut scene = Scene::new();
    let place = scene.place.clone();
    let path = scene.dir.path().join("ring");
    let mut tap = attach_shared_consumer::<Step>(place.clone(), 0).build_tap().unwrap();
    publish(&mut scene.producer, 50);
    with_extreme_positions(&place, &path, scene.forger.plan, || {
        let (producer, consumer) = (&mut scene.producer, &mut scene.consumer);
        let _ = (producer.try_publish(|_| ()), producer.try_publish_batch(3, |_, _| ()).is_ok());
        let _ =
            (producer.publish_deadline(in_ms(1), |_| ()).is_ok(), producer.wait_until_consumed(3, in_ms(1)).is_ok());
        let _ = (producer.consumers(), producer.check_peers(), producer.stall_report().to_string());
        let _ = (producer.is_consumed(1), producer.consumer_sequence("w"), producer.check_room().is_ok());
        let _ = consumer.try_consume_next_leased().map(|event| event.redeliveries());
        let _ = consumer.try_consume_batch_leased(3).map(|batch| batch.redeliveries(0));
        let _ = (consumer.check_producer().is_ok(), consumer.current_sequence(), consumer.producer_sequence());
        let _ = (consumer.consume_next_leased_deadline(in_ms(1)).is_ok(), tap.try_next().is_some());
        for start in STARTS {
            let late = attach_shared_consumer::<Step>(place.clone(), 0).start_at(start).build_consumer();
            let _ = late.map(|mut late| late.process_available(|_, _| ()));
        }
    });
}

#[test]
fn positions_at_the_ends_of_their_range_make_nobody_panic_or_hang_over_records() {
    let _watchdog = watchdog();
    let (dir, mut producer, mut consumer, _) = records();
    let path = dir.path().join("ring");
    let place = Place::from(path.as_path());
    for _ in 0..100 {
        producer.publish(b"x", 0, 0, Patience::Now).unwrap();
        drop(consumer.next(Patience::Now).unwrap());
    }
    let plan = plan_records(4096, DEFAULT_MAX_CONSUMERS).unwrap();
    let mut tap = SharedDisruptorBuilder::records(place.clone(), 0).build_tap().unwrap();
    with_extreme_positions(&place, &path, plan, || {
        let _ = (tap.next(Patience::Now).is_ok(), tap.missed(), tap.next_sequence(), tap.producer_sequence());
        let _ = (producer.publish(b"x", 0, 0, Patience::Now).is_ok(), producer.claim(100, Patience::Now).is_ok());
        let _ = producer.claim_at_least(10, 1000, Patience::Now).map(|claim| claim.commit(10, 0, 0));
        let _ = producer.publish(b"x", 0, 0, Patience::Until(in_ms(1))).is_ok();
        let _ = (producer.wait_until_consumed(3, in_ms(1)).is_ok(), producer.check_room().is_ok());
        let _ = (producer.consumers(), producer.check_peers(), producer.stall_report().to_string());
        let _ = (producer.is_consumed(1), producer.consumer_sequence("w"));
        let _ = consumer.next(Patience::Now).map(|record| record.map(|record| record.redeliveries()));
        let _ = (consumer.process_available(|_, _| ()), consumer.check_producer().is_ok());
        let _ = (consumer.current_sequence(), consumer.producer_sequence());
        let _ = consumer.next(Patience::Until(in_ms(1))).is_ok();
        for start in STARTS {
            let late = SharedDisruptorBuilder::records(place.clone(), 0).start_at(start).build_record_consumer();
            let _ = late.map(|mut late| late.process_available(|_, _| ()));
        }
    });
}

#[test]
fn words_that_lie_about_where_records_begin_lead_nobody_into_the_middle_of_one() {
    let _watchdog = watchdog();
    for lie in [-1, 1, 101, 135, 150, 163, 1 << 40, i64::MAX, i64::MIN] {
        let (dir, mut producer, consumer, _) = records();
        drop(consumer);
        for _ in 0..40 {
            producer.publish(&[1; 200], 0, 0, Patience::Now).unwrap();
        }
        let file = std::fs::File::options().write(true).open(dir.path().join("ring")).unwrap();
        let begins = plan_records(4096, DEFAULT_MAX_CONSUMERS).unwrap().control.offset + 640;
        for word in 0..7 {
            file.write_all_at(&i64::to_ne_bytes(lie), begins + 8 * word).unwrap();
        }
        let mut first = SharedDisruptorBuilder::records(dir.path().join("ring"), 0).build_record_consumer().unwrap();
        let mut next = first.current_sequence() + 1;
        while let Some(record) = first.next(Patience::Now).unwrap() {
            assert_eq!((record.sequence(), &record[..]), (next, &[1; 200][..]), "{lie}");
            next += 1;
        }
        assert_eq!(next, 40, "{lie}");
    }
}
