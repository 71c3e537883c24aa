//! One word that no process has stored, at a moment when its other readers do not know the right value yet.

use crate::stage::{
    ENTRY_BYTES, Forger, PATIENCE, Step, TempDir, drain, eventually, fill, in_ms, join, publish, ring, step, watchdog,
};
use disruptor_mp::liveness::WaitingFor;
use disruptor_mp::segment::Place;
use disruptor_mp::{
    ConsumeError, CoordinationMode, DEFAULT_MAX_CONSUMERS, JoinError, MultiProcessError, Origin, Patience,
    PublishError, RecordConsumer, RecordProducer, RequiredConsumerError, RequiredConsumerLivenessConfig,
    RingBufferFull, SharedConsumer, SharedDisruptorBuilder, SharedProducer, StartAt, attach_shared_consumer,
    plan_records,
};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use testkit::fork::fork_then;

/// A ring of eight in a file, and a `Forger` for it.
struct Scene {
    dir: TempDir,
    place: Place,
    forger: Forger,
}

// Offsets in the control lines and in an entry. Source: RFC 0011.
const CLAIM_LIMIT: u64 = 256;
const SENTINEL: u64 = 264;
const HIGH_WATER: u64 = 272;
const CLAIM_LIMIT_AGAIN: u64 = 312;
const STATUS: u64 = 16;

impl Scene {
    fn new() -> (Self, SharedProducer<Step>) {
        Self::built(|builder| builder)
    }

    fn built(
        with: impl FnOnce(disruptor_mp::SharedDisruptorBuilder<Step>) -> disruptor_mp::SharedDisruptorBuilder<Step>,
    ) -> (Self, SharedProducer<Step>) {
        let dir = TempDir::new();
        let path = dir.path().join("ring");
        let place = Place::from(path.as_path());
        let producer = with(ring(&place, 8)).build_producer(step).unwrap();
        let forger = Forger::new(&path, 8);
        (Self { dir, place, forger }, producer)
    }

    /// The ring of a producer that published `count` events and died inside the next one. The consumer `w` has read all
    /// published events.
    fn of_producer_that_died_inside_a_slot(count: usize) -> (Self, SharedConsumer<Step>) {
        let dir = TempDir::new();
        let path = dir.path().join("ring");
        let place = Place::from(path.as_path());
        let mut child = fork_then(|| {
            let mut producer = ring(&place, 8).build_producer(step).unwrap();
            let mut consumer = join(&place, "w");
            for _ in 0..count {
                publish(&mut producer, 1);
                drain(&mut consumer);
            }
            consumer.keep_place();
            drop(consumer);
            let _ = producer.publish(|_| {
                rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
                std::thread::sleep(PATIENCE);
            });
            0
        });
        assert_eq!(child.wait_exit(PATIENCE).code(), None);
        let consumer = join(&place, "w");
        let forger = Forger::new(&path, 8);
        (Self { dir, place, forger }, consumer)
    }

    fn control(&self, word: u64) -> u64 {
        self.forger.plan.control.offset + word
    }

    fn set_control(&self, word: u64, value: i64) {
        self.forger.write(self.control(word), &value.to_ne_bytes());
    }

    fn set_status(&self, entry: u64, status: u64) {
        self.forger.write(self.forger.plan.table.offset + entry * ENTRY_BYTES + STATUS, &status.to_ne_bytes());
    }

    fn status(&self, entry: u64) -> u64 {
        self.forger.read_word(self.forger.plan.table.offset + entry * ENTRY_BYTES + STATUS) as u64
    }

    fn builder(&self) -> disruptor_mp::SharedDisruptorBuilder<Step> {
        attach_shared_consumer::<Step>(self.place.clone(), 0)
    }
}

#[test]
fn a_high_water_forged_back_to_its_old_value_hides_no_joiner() {
    let _watchdog = watchdog();
    let (scene, mut producer) = Scene::new();
    let mut first = join(&scene.place, "first");
    let _ = producer.stall_report();
    let mut second = join(&scene.place, "second");
    publish(&mut producer, 3);
    scene.forger.write(scene.control(HIGH_WATER), &1_u32.to_ne_bytes());
    let lease = second.try_consume_next_leased().unwrap();
    for _ in 0..3 {
        let _ = (drain(&mut first), fill(&mut producer));
    }
    assert_eq!(lease.sequence, 0, "the slot of a lease was written");
    drop(lease);
    assert_eq!(drain(&mut second), Vec::from_iter(1..8));
    assert_eq!(fill(&mut producer), 8, "both have read everything");
}

/// States that the owner of epoch 0 cannot store while it is there.
const FORGED_STATES: [u64; 8] = [0, 3, 0x7f, 0xff, 1 << 8, 9 << 8, 9 << 8 | 0xff, u64::MAX << 8];

#[test]
fn no_status_opens_the_slots_of_a_lease_whether_the_producer_has_seen_its_consumer_or_not() {
    let _watchdog = watchdog();
    for has_looked in [true, false] {
        for status in FORGED_STATES {
            let case = format!("{status:#x}, seen before: {has_looked}");
            let (scene, mut producer) = Scene::new();
            let mut consumer = join(&scene.place, "w");
            if has_looked {
                let _ = producer.stall_report();
            }
            publish(&mut producer, 2);
            let lease = consumer.try_consume_next_leased().unwrap();
            scene.set_status(0, status);
            assert_eq!(fill(&mut producer), 6, "{case}");
            for _ in 0..3 {
                assert_eq!(producer.try_publish(|_| panic!("must not run")), Err(RingBufferFull), "{case}");
                match producer.publish_deadline(in_ms(20), |_| panic!("must not run")) {
                    Err(PublishError::TimedOut { report }) => {
                        let culprit = report.culprit.as_ref().unwrap_or_else(|| panic!("{case}: {report}"));
                        assert_eq!(
                            (&*culprit.id, culprit.is_dead, report.waiting_for),
                            ("w", false, WaitingFor::Space)
                        );
                    }
                    other => panic!("{case}: {other:?}"),
                }
            }
            assert!(!producer.is_consumed(0), "{case}");
            assert_eq!(lease.sequence, 0, "{case}");
            drop(lease);
            assert_eq!(drain(&mut consumer), Vec::from_iter(1..8), "{case}");
            drop(consumer);
            publish(&mut producer, 24);
            assert_eq!(producer.consumers(), [], "{case}");
        }
    }
}

#[test]
fn a_status_forged_to_free_in_a_later_epoch_ends_with_its_owner() {
    let _watchdog = watchdog();
    for has_looked in [true, false] {
        let (scene, mut producer) = Scene::new();
        let mut consumer = crate::actor::Actor::new();
        consumer.does(format!("attach {} w", scene.dir.path().join("ring").display()));
        if has_looked {
            let _ = producer.stall_report();
        }
        publish(&mut producer, 8);
        scene.set_status(0, 9 << 8);
        assert!(matches!(producer.publish_deadline(in_ms(50), |_| ()), Err(PublishError::TimedOut { .. })));
        consumer.dies();
        assert!(producer.publish_deadline(in_ms(20_000), |_| ()).is_ok(), "seen before: {has_looked}");
    }
}

#[test]
fn managed_publishing_does_not_wait_without_end_for_a_consumer_whose_status_was_forged() {
    let _watchdog = watchdog();
    for status in [0, 9 << 8] {
        let (scene, mut producer) = Scene::new();
        let _consumer = join(&scene.place, "w");
        let moment = Duration::from_millis(1);
        let required = RequiredConsumerLivenessConfig::new(["w"])
            .with_progress_timeout(moment)
            .with_progress_check_interval(moment)
            .with_shutdown_grace_period(moment);
        producer.enable_required_consumer_liveness(required).unwrap();
        for _ in 0..8 {
            producer.publish_managed(|_| ()).unwrap();
        }
        scene.set_status(0, status);
        let shut = producer.publish_managed(|_| ()).unwrap_err();
        assert!(matches!(shut, RequiredConsumerError::GracefulShutdownTriggered { .. }), "{status:#x}: {shut:?}");
    }
}

#[test]
fn who_leaves_makes_room_at_once() {
    let _watchdog = watchdog();
    for _ in 0..50 {
        let (scene, mut producer) = Scene::new();
        let consumer = join(&scene.place, "w");
        publish(&mut producer, 8);
        assert_eq!(fill(&mut producer), 0);
        consumer.leave();
        publish(&mut producer, 24);
    }
}

#[test]
fn a_claim_limit_that_was_forged_starts_nobody_where_the_producer_writes() {
    let _watchdog = watchdog();
    for word in [CLAIM_LIMIT, CLAIM_LIMIT_AGAIN] {
        for start in [StartAt::Unread, StartAt::Oldest, StartAt::Tail] {
            for forged in [i64::MIN, 0, 9, 12, 15, 17, 1000, i64::MAX] {
                let case = format!("{word} is {forged}, {start:?}");
                let (scene, mut producer) = Scene::new();
                let mut first = join(&scene.place, "first");
                for _ in 0..8 {
                    publish(&mut producer, 1);
                    drain(&mut first);
                }
                publish(&mut producer, 1); // it has seen both laps: the limit is 16
                scene.set_control(word, forged);
                let mut late = scene.builder().start_at(start).with_consumer_id("late").build_consumer().unwrap();
                if let Some(lease) = late.try_consume_next_leased() {
                    let sequence = lease.sequence() as u64;
                    for _ in 0..4 {
                        let _ = (drain(&mut first), fill(&mut producer));
                    }
                    assert_eq!(lease.sequence, sequence, "{case}: the slot of a lease was written");
                }
                drain(&mut late);
                drain(&mut first);
                assert_eq!(fill(&mut producer), 8, "{case}");
            }
        }
    }
}

#[test]
fn a_cursor_that_was_forged_starts_nobody_where_the_producer_writes_and_stops_nothing() {
    let _watchdog = watchdog();
    for start in [StartAt::Unread, StartAt::Tail, StartAt::Oldest] {
        for forged in [i64::MIN, -1, 0, 1, 5, 8, 11, 13, 16, 22, 24, 1000, i64::MAX] {
            let case = format!("{forged}, {start:?}");
            let (scene, mut producer) = Scene::new();
            let mut first = join(&scene.place, "first");
            for _ in 0..14 {
                publish(&mut producer, 1);
                drain(&mut first);
            }
            scene.forger.set_cursor(forged);
            let mut late = scene.builder().start_at(start).with_consumer_id("late").build_consumer().unwrap();
            if let Some(lease) = late.try_consume_next_leased() {
                let sequence = lease.sequence() as u64;
                for _ in 0..4 {
                    let _ = (drain(&mut first), fill(&mut producer));
                }
                assert_eq!(lease.sequence, sequence, "{case}: the slot of a lease was written");
            }
            for round in 0..3 {
                let _ = (drain(&mut first), drain(&mut late), fill(&mut producer));
                let published = producer.last_published_sequence() + 1;
                assert_eq!(drain(&mut late).last(), Some(&(published - 1)), "{case}, round {round}");
            }
        }
    }
}

#[test]
fn one_forged_claim_limit_and_a_take_over_cost_nobody_who_comes_back_an_event() {
    let _watchdog = watchdog();
    for word in [CLAIM_LIMIT, CLAIM_LIMIT_AGAIN] {
        for forged in [0, 13, i64::MAX] {
            let dir = TempDir::new();
            let path = dir.path().join("ring");
            let place = Place::from(path.as_path());
            let mut child = fork_then(|| {
                let mut producer = ring(&place, 8).build_producer(step).unwrap();
                let mut consumer = join(&place, "w");
                publish(&mut producer, 2);
                drain(&mut consumer);
                publish(&mut producer, 3);
                consumer.keep_place();
                drop(consumer);
                std::mem::forget(producer);
                0
            });
            assert_eq!(child.wait_exit(PATIENCE).code(), Some(0));
            let scene = Scene { forger: Forger::new(&path, 8), dir, place };
            let _other = join(&scene.place, "other");
            scene.set_control(word, forged);
            let producer = ring(&scene.place, 8).build_producer(step).unwrap();
            assert_eq!(producer.origin(), Origin::TookOver);
            let mut consumer = join(&scene.place, "w");
            assert_eq!(drain(&mut consumer), [2, 3, 4], "{forged} at {word}");
        }
    }
}

#[test]
fn who_comes_back_is_not_taken_for_forged_wherever_its_join_met_the_producer() {
    let (_watchdog, dir) = (watchdog(), TempDir::new());
    let place = Place::from(dir.path().join("ring"));
    let mut producer = ring(&place, 8).build_producer(step).unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let _ = producer.try_publish(|_| ());
            }
        });
        // About one join in a hundred happens between two looks of the producer.
        let refused = (0..2000).find_map(|_| {
            let join = || attach_shared_consumer::<Step>(place.clone(), 0).with_consumer_id("w");
            let mut consumer = join().start_at(StartAt::Oldest).build_consumer().unwrap();
            consumer.keep_place();
            drop(consumer);
            join().build_consumer().map(SharedConsumer::leave).err()
        });
        is_over.store(true, Ordering::Relaxed);
        assert!(refused.is_none(), "{refused:?}");
    });
}

#[test]
fn a_position_forged_back_while_its_owner_was_dead_leads_no_successor_to_what_the_producer_writes() {
    let _watchdog = watchdog();
    for forged in [0, 3, 7, 8, 13] {
        let (scene, mut producer) = Scene::new();
        let mut consumer = join(&scene.place, "w");
        for _ in 0..16 {
            publish(&mut producer, 1);
            drain(&mut consumer);
        }
        publish(&mut producer, 1); // up to 24 without another look
        consumer.keep_place();
        drop(consumer);
        scene.forger.set_position(0, forged);
        match scene.builder().with_consumer_id("w").build_consumer() {
            Ok(mut successor) => {
                let Some(lease) = successor.try_consume_next_leased() else { panic!("{forged}: nothing to read") };
                let sequence = lease.sequence() as u64;
                let _ = fill(&mut producer);
                assert_eq!(lease.sequence, sequence, "{forged}: the slot of a lease was written");
            }
            Err(MultiProcessError::Join { source: JoinError::PositionForged { .. }, .. }) => {}
            Err(other) => panic!("{forged}: {other}"),
        }
    }
}

#[test]
fn a_forged_sentinel_neither_stops_a_producer_nor_ends_its_start_up_buffer() {
    let _watchdog = watchdog();
    for forged in [i64::MIN, 0, 1, 9] {
        let (scene, mut producer) = Scene::new();
        scene.set_control(SENTINEL, forged);
        publish(&mut producer, 24);
        assert_eq!(producer.stall_report().waiting_for, WaitingFor::Nothing, "{forged}");
    }
    for forged in [9, 1000, i64::MAX] {
        let (scene, mut producer) = Scene::built(|builder| {
            builder
                .with_expected_consumers(2)
                .with_coordination(CoordinationMode::BufferUntilConsumers { max_buffer: 4 })
        });
        let mut first = join(&scene.place, "first");
        scene.set_control(SENTINEL, forged);
        assert_eq!(fill(&mut producer), 4, "{forged}");
        assert_eq!(drain(&mut first), [0, 1, 2, 3]);
        assert_eq!(fill(&mut producer), 0, "{forged}");
        let _second = join(&scene.place, "second");
        eventually("the buffer ends", || fill(&mut producer) > 0);
    }
}

#[test]
fn who_takes_over_from_a_producer_that_died_inside_a_slot_believes_no_forged_cursor() {
    let _watchdog = watchdog();
    for count in [8, 11, 16, 21] {
        for forged in [0, 1, 3, 4, 8, 9, 11, 12, 13, 16, 17, 20, 21, 22, 24, 25, 29, 30, 37] {
            let (scene, mut consumer) = Scene::of_producer_that_died_inside_a_slot(count);
            scene.forger.set_cursor(forged);
            let mut producer = ring(&scene.place, 8).build_producer(step).unwrap();
            let case = format!("{count}, {forged}");
            assert_eq!(producer.origin(), Origin::TookOver, "{case}");
            assert_eq!(producer.last_published_sequence() + 1, count as i64, "{case}");
            publish(&mut producer, 3);
            assert_eq!(drain(&mut consumer), Vec::from_iter(count as i64..count as i64 + 3), "{case}");
            assert!(matches!(consumer.wait_until_available(Some(in_ms(0))), Err(ConsumeError::TimedOut { .. })));
            let _ = scene.status(0);
        }
    }
}

/// A ring of records of 64 lines in a file, with a consumer that has read 150 records of two lines, and a function that
/// writes its words.
fn records() -> (TempDir, RecordProducer, RecordConsumer, impl Fn(u64, i64)) {
    let dir = TempDir::new();
    let path = dir.path().join("ring");
    let mut producer = SharedDisruptorBuilder::records(path.as_path(), 4096).build_record_producer().unwrap();
    let mut consumer = SharedDisruptorBuilder::records(path.as_path(), 0).build_record_consumer().unwrap();
    for number in 0..150_u8 {
        producer.publish(&[number; 100], 0, 0, Patience::Now).unwrap();
        drop(consumer.next(Patience::Now).unwrap().unwrap());
    }
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    let control = plan_records(4096, DEFAULT_MAX_CONSUMERS).unwrap().control.offset;
    let set = move |word: u64, value: i64| file.write_all_at(&value.to_ne_bytes(), control + word).unwrap();
    (dir, producer, consumer, set)
}

#[test]
fn a_position_of_a_ring_of_records_that_was_forged_starts_nobody_where_the_producer_writes_and_stops_nothing() {
    let _watchdog = watchdog();
    for word in [0, CLAIM_LIMIT, CLAIM_LIMIT_AGAIN] {
        for start in [StartAt::Unread, StartAt::Tail, StartAt::Oldest] {
            for forged in [i64::MIN, -1, 0, 250, 280, 281, 298, 299, 301, 302, 330, 363, 364, 365, 400, 1000, i64::MAX]
            {
                let case = format!("{word} is {forged}, {start:?}");
                let (dir, mut producer, mut first, set) = records();
                set(word, forged);
                let late = SharedDisruptorBuilder::records(dir.path().join("ring"), 0).start_at(start);
                let mut late = late.with_consumer_id("late").build_record_consumer().unwrap();
                let mut publish = |first: &mut RecordConsumer, count: usize| {
                    for _ in 0..count {
                        let number = producer.last_published_sequence() + 1;
                        if producer.publish(&[number as u8; 100], 0, 0, Patience::Now).is_err() {
                            return number;
                        }
                        first.process_available(|_, _| ());
                    }
                    producer.last_published_sequence() + 1
                };
                if let Ok(Some(lease)) = late.next(Patience::Now) {
                    let sequence = lease.sequence() as u8;
                    publish(&mut first, 100);
                    assert!(lease.iter().all(|byte| *byte == sequence), "{case}: the lines of a lease were written");
                }
                let mut last = -1;
                for _ in 0..20 {
                    let _ = publish(&mut first, 10);
                    for _ in 0..100 {
                        match late.next(Patience::Until(in_ms(0))) {
                            Ok(Some(record)) => {
                                assert!(record.sequence() > last, "{case}");
                                last = record.sequence();
                                assert!(record.iter().all(|byte| *byte == last as u8), "{case}: {last}");
                            }
                            Err(ConsumeError::Damaged { .. }) => {}
                            _ => break,
                        }
                    }
                }
                assert_eq!(last + 1, publish(&mut first, 0), "{case}");
                assert!(last > 200, "{case}: stopped at {last}");
            }
        }
    }
}

#[test]
fn a_forged_sentinel_sends_no_joiner_to_a_first_event_that_is_gone() {
    let _watchdog = watchdog();
    for forged in [i64::MIN, 0, 4, 8, 1000] {
        let (scene, mut producer) = Scene::new();
        let mut first = join(&scene.place, "first");
        for _ in 0..20 {
            publish(&mut producer, 1);
            drain(&mut first);
        }
        scene.set_control(SENTINEL, forged);
        let mut late = scene.builder().start_at(StartAt::Tail).build_consumer().unwrap();
        publish(&mut producer, 8);
        assert_eq!((drain(&mut first), drain(&mut late)), (Vec::from_iter(20..28), Vec::from_iter(20..28)), "{forged}");
    }
}

#[test]
fn an_entry_forged_to_active_where_no_consumer_is_is_told_and_can_be_evicted() {
    let _watchdog = watchdog();
    for has_had_an_owner in [true, false] {
        let (scene, mut producer) = Scene::new();
        publish(&mut producer, 1);
        if has_had_an_owner {
            join(&scene.place, "gone").leave();
        }
        // Below the high-water mark, or the producer would not look there.
        scene.forger.write(scene.control(HIGH_WATER), &1_u32.to_ne_bytes());
        scene.set_status(0, scene.status(0) | 2);
        let died = loop {
            match producer.publish_deadline(in_ms(20_000), |_| ()) {
                Ok(_) => {}
                Err(died) => break died,
            }
        };
        let PublishError::ConsumerDied { id, .. } = died else { panic!("{died:?}") };
        assert!(producer.evict_consumer(&id).unwrap());
        publish(&mut producer, 24);
    }
}

#[test]
fn a_forged_ending_evicts_no_consumer_that_lives() {
    let _watchdog = watchdog();
    for id in [Some("w"), None] {
        let (scene, mut producer) = Scene::new();
        let builder = scene.builder();
        let mut consumer = match id {
            Some(id) => builder.with_consumer_id(id).build_consumer().unwrap(),
            None => builder.build_consumer().unwrap(),
        };
        publish(&mut producer, 8);
        let lease = consumer.try_consume_next_leased().unwrap();
        let ending = scene.forger.plan.table.offset + 312;
        scene.forger.write(ending, &1_u64.to_ne_bytes());
        assert!(producer.publish_deadline(in_ms(20), |_| panic!("must not run")).is_err());
        let name = producer.consumers()[0].id.clone();
        assert!(!producer.evict_consumer(&name).unwrap());
        let _ = producer.check_peers();
        assert_eq!((fill(&mut producer), lease.sequence), (0, 0));
    }
}

#[test]
fn who_comes_back_beside_a_forged_cursor_goes_on_where_it_stopped() {
    let _watchdog = watchdog();
    for forged in [i64::MIN, -1, 0, 250, 281, 298, 301, 302, 363, 400, i64::MAX] {
        let (dir, mut producer, mut consumer, set) = records();
        consumer.leave();
        let builder = || SharedDisruptorBuilder::records(dir.path().join("ring"), 0).with_consumer_id("w");
        consumer = builder().start_at(StartAt::Tail).build_record_consumer().unwrap();
        for number in 150..160_u8 {
            producer.publish(&[number; 100], 0, 0, Patience::Now).unwrap();
        }
        drop(consumer.next(Patience::Now).unwrap());
        consumer.keep_place();
        drop(consumer);
        set(0, forged);
        let mut successor = builder().build_record_consumer().unwrap_or_else(|error| panic!("{forged}: {error}"));
        let mut seen = vec![];
        successor.process_available(|_, meta| seen.push(meta.sequence));
        assert_eq!(seen, Vec::from_iter(151..160), "{forged}");

        let (scene, mut producer) = Scene::new();
        let mut consumer = join(&scene.place, "w");
        for _ in 0..21 {
            drain(&mut consumer);
            publish(&mut producer, 1);
        }
        publish(&mut producer, 4);
        consumer.keep_place();
        drop(consumer);
        scene.forger.set_cursor(forged / 13);
        let mut successor = join(&scene.place, "w");
        assert!(successor.has_rejoined());
        assert_eq!(drain(&mut successor), Vec::from_iter(20..25), "{forged}");
    }
}

#[test]
fn who_takes_over_a_ring_of_records_believes_no_forged_cursor() {
    let _watchdog = watchdog();
    for unread in [0, 1, 10] {
        for forged in [i64::MIN, -1, 0, 2, 64, 250, 256, 281, 298, 299, 300, 302, 310, 320, 340, 362, 363, 364, 1000] {
            let dir = TempDir::new();
            let path = dir.path().join("ring");
            let builder = || SharedDisruptorBuilder::records(path.as_path(), 4096).with_consumer_id("w");
            let mut child = fork_then(|| {
                let mut producer = builder().build_record_producer().unwrap();
                let mut consumer = builder().build_record_consumer().unwrap();
                for number in 0..150_u8 {
                    producer.publish(&[number; 100], 0, 0, Patience::Now).unwrap();
                    if i64::from(number) < 150 - unread {
                        drop(consumer.next(Patience::Now).unwrap());
                    }
                }
                std::mem::forget((producer, consumer));
                0
            });
            assert_eq!(child.wait_exit(PATIENCE).code(), Some(0));
            let mut consumer = builder().build_record_consumer().unwrap();
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            let control = plan_records(4096, DEFAULT_MAX_CONSUMERS).unwrap().control.offset;
            file.write_all_at(&i64::to_ne_bytes(forged), control).unwrap();
            let mut producer = builder().take_over().build_record_producer().unwrap();
            let case = format!("{forged}, {unread} unread");
            assert_eq!(producer.last_published_sequence(), 149, "{case}");
            producer.publish(&[150; 100], 0, 0, Patience::Now).unwrap();
            let mut seen = vec![];
            consumer.process_available(|_, meta| seen.push(meta.sequence));
            assert_eq!(seen, Vec::from_iter(150 - unread..151), "{case}");
        }
    }
}

/// The offsets from `start` of every four bytes of the control lines and of an entry that have a meaning in this build.
fn words_in(start: u64, ranges: &[std::ops::Range<u64>]) -> impl Iterator<Item = u64> {
    ranges.iter().flat_map(move |range| range.clone().step_by(4).map(move |word| start + word))
}

#[test]
fn no_word_of_a_ring_lets_a_lease_be_written_or_stops_the_ring() {
    let _watchdog = watchdog();
    let plan = Scene::new().0.forger.plan;
    let of_control = words_in(plan.control.offset, &[0..8, 128..132, 256..280, 284..320, 384..416, 512..520, 640..704]);
    let of_entry = words_in(plan.table.offset + ENTRY_BYTES, &[8..32, 128..184, 304..320, 352..368, 512..520]);
    // Not the word *closed*, nor the position of an entry. Source: RFC 0011, "What a forged word can do".
    for (number, offset) in of_control.chain(of_entry).enumerate() {
        for change in 0..10 {
            let (scene, mut producer) = Scene::new();
            let mut other = join(&scene.place, "v");
            for _ in 0..12 {
                publish(&mut producer, 1);
                drain(&mut other);
            }
            let mut consumer = join(&scene.place, "w");
            publish(&mut producer, 2);
            drain(&mut other);
            if (number + change) % 2 == 0 {
                let _ = producer.stall_report(); // it looks at the table
            }
            let lease = consumer.try_consume_next_leased().unwrap();
            let old = scene.forger.read_word(offset);
            let forged = match change {
                0 => i64::MIN,
                1 => i64::MAX,
                2 => old.wrapping_add(8),
                3 => old.wrapping_sub(8),
                4 => old & !0xffff_ffff,
                5 => old | 0xffff_ffff,
                6 => old ^ 1,
                7 => old ^ 2,
                8 => old.wrapping_sub(1),
                _ => old ^ 256,
            };
            // Half a word if it has another half.
            let len = if offset % 8 == 0 && change < 4 { 8 } else { 4 };
            scene.forger.write(offset, &forged.to_ne_bytes()[..len]);
            let case =
                format!("{offset:#x} of {:#x}, {:#x}: {old:#x} is {forged:#x}", plan.control.offset, plan.table.offset);
            for _ in 0..3 {
                let _ = (drain(&mut other), fill(&mut producer));
            }
            assert_eq!((lease.sequence, producer.last_published_sequence()), (12, 19), "{case}");
            drop(lease);
            assert_eq!(drain(&mut consumer), Vec::from_iter(13..20), "{case}");
            let mut late = scene.builder().with_consumer_id("late").build_consumer().unwrap();
            for _ in 0..3 {
                let published = producer.last_published_sequence();
                for consumer in [&mut consumer, &mut other, &mut late] {
                    drain(consumer);
                    assert_eq!(consumer.current_sequence(), published, "{case}: {}", consumer.consumer_id());
                }
                assert_eq!(fill(&mut producer), 8, "{case}");
            }
            drop((consumer, other, late));
            for _ in 0..24 {
                // If the last forged word was the epoch of a consumer, the first call that waits finds that it is gone.
                let published = producer.publish_deadline(in_ms(20_000), |_| ());
                assert!(published.is_ok(), "{case}: {published:?}");
            }
        }
    }
}
