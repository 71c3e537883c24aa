//! Stamps, commit words and cursors that no producer has written: whoever reads is told, and gets what is whole.

use crate::stage::{Forger, Step, TempDir, drain, fill, in_ms, join, publish, ring, step, watchdog};
use disruptor_mp::counters::ids;
use disruptor_mp::{
    ConsumeError, DEFAULT_MAX_CONSUMERS, Patience, Place, RecordConsumer, RecordProducer, SharedConsumer,
    SharedDisruptorBuilder, SharedProducer, WaitStrategy, attach_shared_consumer, plan_records,
};
use std::os::unix::fs::FileExt;

/// A ring of 64 in a file with a consumer that has read nothing, and a hand in it.
struct Scene {
    _dir: TempDir,
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
        Self { _dir: dir, place, producer, consumer, forger: Forger::new(&path, 64) }
    }

    /// Everything up to the end of the ring: numbers of events, and for each damage how many were skipped.
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
    // The last four are what a slot may hold before its event; the others never.
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
        // So many that it asks the cursor, one by one or at once.
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

/// A ring of records in a file with a consumer, and a hand in its lines.
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
        // To the end, or to where the next eighth of the ring begins.
        let rest = std::iter::from_fn(|| consumer.next(Patience::Now).unwrap().map(|record| record.sequence()));
        assert_eq!(Vec::from_iter(rest), Vec::from_iter(first + 1 + skipped as i64..first + 3));
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
