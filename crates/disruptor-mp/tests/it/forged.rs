//! One word that no process has stored, at a moment when its other readers do not know the true one yet.

use crate::stage::{
    ENTRY_BYTES, Forger, PATIENCE, Step, TempDir, drain, eventually, fill, in_ms, join, publish, ring, step, watchdog,
};
use disruptor_mp::liveness::WaitingFor;
use disruptor_mp::segment::Place;
use disruptor_mp::{
    ConsumeError, CoordinationMode, JoinError, MultiProcessError, Origin, PublishError, RequiredConsumerError,
    RequiredConsumerLivenessConfig, RingBufferFull, SharedConsumer, SharedProducer, StartAt, attach_shared_consumer,
};
use std::time::Duration;
use testkit::fork::fork_then;

/// A ring of eight in a file, and a hand in it.
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

    /// The ring of a producer that published `count` events, each of which the consumer `w` has read, and then died inside the next one.
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

/// Everything but what the owner of epoch 0 has stored, or could store and still be there.
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
