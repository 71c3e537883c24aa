//! Managed publishing: which consumers are required, how long the producer is patient, and what it does then.

use crate::actor::Actor;
use crate::stage::{Step, drain, eventually, everywhere, in_ms, join, publish, ring, step, watchdog};
use disruptor_mp::counters::ids;
use disruptor_mp::liveness::{Ending, NextStep, WaitingFor};
use disruptor_mp::segment::Place;
use disruptor_mp::{
    MultiProcessError, NoRoom, Patience, RequiredConsumerAlert, RequiredConsumerError, RequiredConsumerFailureAction,
    RequiredConsumerLivenessConfig, SharedConsumer, SharedProducer,
};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use testkit::names::ShmGuard;

/// Longer than any of these tests may take: the kernel reports a death, not a clock.
const NEVER: Duration = Duration::from_secs(600);

/// Short, so that a stall counts as one at once.
const SOON: Duration = Duration::from_millis(30);

/// The alerts so far, which a hook records before it does what the test wants.
type Alerts = Arc<Mutex<Vec<RequiredConsumerAlert>>>;

fn config(
    alerts: &Alerts,
    then: impl Fn(&RequiredConsumerAlert) + Send + Sync + 'static,
) -> RequiredConsumerLivenessConfig {
    let alerts = Arc::clone(alerts);
    RequiredConsumerLivenessConfig::new(["w"])
        .with_progress_timeout(SOON)
        .with_progress_check_interval(Duration::from_millis(2))
        .with_shutdown_grace_period(SOON)
        .with_alert_hook(Arc::new(move |alert| {
            alerts.lock().unwrap().push(alert.clone());
            then(alert);
        }))
}

/// A ring of two that is managed with `config`.
fn managed(place: &Place, config: RequiredConsumerLivenessConfig) -> SharedProducer<Step> {
    let mut producer = ring(place, 2).build_producer(step).unwrap();
    producer.enable_required_consumer_liveness(config).unwrap();
    producer
}

/// Publishes an event with its own number under management.
fn publish_managed(producer: &mut SharedProducer<Step>) -> Result<i64, RequiredConsumerError> {
    let next = producer.last_published_sequence() + 1;
    producer.publish_managed(|slot| slot.sequence = next as u64)
}

/// The error of a managed publish when `w` was killed before it released anything.
fn died(pid: u32) -> RequiredConsumerError {
    RequiredConsumerError::ConsumerDied { consumer_id: "w".to_owned(), pid, how: Ending::Killed, last_sequence: -1 }
}

#[test]
fn a_startup_timeout_names_who_is_missing_and_nothing_is_published() {
    everywhere(|place| {
        let mut producer = ring(&place, 4).build_producer(step).unwrap();
        assert_eq!(publish_managed(&mut producer), Err(RequiredConsumerError::NotEnabled));
        let config = RequiredConsumerLivenessConfig::new(["w0", "w1", "w2"]).with_startup_wait_timeout(SOON);
        producer.enable_required_consumer_liveness(config).unwrap();
        let _present = join(&place, "w1");
        let missing = vec!["w0".to_owned(), "w2".to_owned()];
        assert_eq!(publish_managed(&mut producer), Err(RequiredConsumerError::StartupTimeout { missing }));
        assert_eq!(producer.last_published_sequence(), -1);
        // A consumer that comes later is in time for the next call.
        let _others = [join(&place, "w0"), join(&place, "w2")];
        assert_eq!(publish_managed(&mut producer), Ok(0));
    });
}

#[test]
fn a_stall_is_alerted_once_then_the_producer_shuts_and_stays_shut_until_it_is_reset() {
    everywhere(|place| {
        let alerts = Alerts::default();
        let mut producer = managed(&place, config(&alerts, |_| ()));
        let mut consumer = join(&place, "w");
        for _ in 0..2 {
            publish_managed(&mut producer).unwrap();
        }
        let shut = publish_managed(&mut producer).unwrap_err();
        match &shut {
            RequiredConsumerError::GracefulShutdownTriggered { consumer_id, last_sequence, stalled_for } => {
                assert_eq!((consumer_id.as_str(), *last_sequence), ("w", -1));
                assert!(*stalled_for >= SOON * 2);
            }
            other => panic!("{other}"),
        }
        {
            let alerts = alerts.lock().unwrap();
            assert_eq!(alerts.len(), 1, "once per stall");
            assert_eq!((alerts[0].consumer_id.as_str(), alerts[0].last_sequence), ("w", -1));
            assert!(alerts[0].stalled_for >= SOON);
            let line = alerts[0].report.to_string();
            assert!(line.contains("producer waits for space") && line.contains("shuts down in"), "{line}");
        }
        assert_eq!(drain(&mut consumer), [0, 1]);
        assert_eq!(publish_managed(&mut producer), Err(shut.clone()), "there is room, and it is shut");
        assert_eq!(producer.publish_batch_managed(2, |_, _| panic!("must not run")), Err(shut));
        producer.reset_required_consumer_liveness();
        assert_eq!(publish_managed(&mut producer), Ok(2));
        assert_eq!(drain(&mut consumer), [2]);
    });
}

#[test]
fn progress_within_the_grace_period_is_recovery_and_the_next_stall_is_another_one() {
    everywhere(|place| {
        let consumer = Arc::new(Mutex::new(None));
        let alerts = Alerts::default();
        let reader = Arc::clone(&consumer);
        // The hook makes the consumer read one event.
        let config = config(&alerts, move |_| {
            let mut reader = reader.lock().unwrap();
            let reader: &mut disruptor_mp::SharedConsumer<Step> = reader.as_mut().unwrap();
            drop(reader.try_consume_next_leased().unwrap());
        });
        let mut producer = managed(&place, config.with_shutdown_grace_period(NEVER));
        *consumer.lock().unwrap() = Some(join(&place, "w"));
        for expected in 0..5 {
            assert_eq!(publish_managed(&mut producer), Ok(expected));
        }
        assert_eq!(alerts.lock().unwrap().len(), 3, "one alert for each event that had to wait");
        let counted = producer.ring_counters().snapshot();
        assert_eq!(counted.iter().find(|counter| counter.id == ids::PRODUCER_STALLS).unwrap().value, 3);
    });
}

#[test]
fn a_hook_that_panics_does_not_switch_the_watch_off() {
    everywhere(|place| {
        let alerts = Alerts::default();
        let mut producer = managed(&place, config(&alerts, |_| std::panic::resume_unwind(Box::new(()))));
        let mut consumer = join(&place, "w");
        for round in 1..=2 {
            for _ in 0..2 {
                publish_managed(&mut producer).unwrap();
            }
            let shut = publish_managed(&mut producer);
            assert!(matches!(shut, Err(RequiredConsumerError::GracefulShutdownTriggered { .. })), "{shut:?}");
            assert_eq!(alerts.lock().unwrap().len(), round);
            assert_eq!(drain(&mut consumer).len(), 2);
            producer.reset_required_consumer_liveness();
        }
    });
}

#[test]
fn a_dead_consumer_is_reported_without_waiting_for_a_timeout_and_may_come_back() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let place = Place::from(shm.name("a"));
    let alerts = Alerts::default();
    let patient = config(&alerts, |_| ()).with_progress_timeout(NEVER).with_shutdown_grace_period(NEVER);
    let mut producer = managed(&place, patient.with_startup_wait_timeout(NEVER));
    let mut consumer = Actor::new();
    consumer.does(format!("attach {} w", shm.name("a")));
    let pid = consumer.pid();
    for _ in 0..2 {
        publish_managed(&mut producer).unwrap();
    }
    consumer.dies();
    for _ in 0..2 {
        assert_eq!(publish_managed(&mut producer), Err(died(pid)), "the producer is not shut, and asks again");
    }
    assert!(alerts.lock().unwrap().iter().all(|alert| alert.report.culprit.as_ref().unwrap().is_dead));
    let mut back = join(&place, "w");
    assert!(back.has_rejoined());
    assert_eq!(drain(&mut back), [0, 1]);
    assert_eq!(publish_managed(&mut producer), Ok(2));
}

#[test]
fn a_rejoin_within_the_grace_period_is_recovery() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let place = Place::from(shm.name("a"));
    let alerts = Alerts::default();
    let mut consumer = Actor::new();
    let victim = Arc::new(Mutex::new(None::<Actor>));
    let name = shm.name("a");
    let successor = Arc::clone(&victim);
    // The first alert is about a stopped process. It is killed and another process takes over its entry, while the
    // producer waits.
    let config = config(&alerts, move |_| {
        let mut actor = successor.lock().unwrap();
        if let Some(stopped) = actor.take() {
            stopped.dies();
            let mut fresh = Actor::new();
            assert_eq!(fresh.does(format!("attach {name} w")), "true Adaptive");
            fresh.does("consume 1");
            *actor = Some(fresh);
        }
    });
    let mut producer = managed(&place, config.with_shutdown_grace_period(NEVER));
    consumer.does(format!("attach {} w", shm.name("a")));
    consumer.victim.stop();
    *victim.lock().unwrap() = Some(consumer);
    for expected in 0..3 {
        assert_eq!(publish_managed(&mut producer), Ok(expected));
    }
    assert_eq!(alerts.lock().unwrap().len(), 1);
    // The last actor must end before the names are removed.
    drop((producer, victim.lock().unwrap().take()));
}

#[test]
fn only_the_dead_are_evicted() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let place = Place::from(shm.name("a"));
    let alerts = Alerts::default();
    let victim = Arc::new(Mutex::new(None::<Actor>));
    let stopped = Arc::clone(&victim);
    let config = config(&alerts, move |alert| {
        // First there is an alert about the stopped one, then it is killed. If it had been evicted, the publish would
        // not wait any more.
        if !alert.report.culprit.as_ref().unwrap().is_dead {
            stopped.lock().unwrap().take().unwrap().dies();
        }
    });
    let mut producer = managed(&place, config.with_failure_action(RequiredConsumerFailureAction::Evict));
    let mut consumer = Actor::new();
    consumer.does(format!("attach {} w", shm.name("a")));
    consumer.victim.stop();
    *victim.lock().unwrap() = Some(consumer);
    for expected in 0..4 {
        assert_eq!(publish_managed(&mut producer), Ok(expected));
    }
    let were_dead: Vec<_> =
        alerts.lock().unwrap().iter().map(|alert| alert.report.culprit.as_ref().unwrap().is_dead).collect();
    assert_eq!(were_dead, [false, true]);
    assert_eq!(producer.consumers(), []);
    let counted = producer.ring_counters().snapshot();
    assert_eq!(counted.iter().find(|counter| counter.id == ids::CONSUMERS_EVICTED).unwrap().value, 1);
}

#[test]
fn alert_only_goes_on_waiting_for_the_dead_until_they_come_back() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let place = Place::from(shm.name("a"));
    let alerts = Alerts::default();
    let (sender, receiver) = std::sync::mpsc::channel();
    let config = config(&alerts, move |_| sender.send(()).unwrap_or_default());
    let mut producer = managed(&place, config.with_failure_action(RequiredConsumerFailureAction::AlertOnly));
    let mut consumer = Actor::new();
    consumer.does(format!("attach {} w", shm.name("a")));
    for _ in 0..2 {
        publish_managed(&mut producer).unwrap();
    }
    consumer.dies();
    let successor = std::thread::spawn(move || {
        receiver.recv().unwrap();
        let mut back = join(&place, "w");
        let mut seen = drain(&mut back);
        while seen.len() < 3 {
            seen.push(back.consume_next_leased().unwrap().sequence());
        }
        seen
    });
    assert_eq!(publish_managed(&mut producer), Ok(2));
    assert_eq!(successor.join().unwrap(), [0, 1, 2]);
}

#[test]
fn a_watcher_reports_a_death_although_the_ring_is_not_full() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let place = Place::from(shm.name("a"));
    let mut producer = ring(&place, 1 << 20).build_producer(step).unwrap();
    assert!(producer.watch_required_consumers(SOON).is_err(), "whom should it watch?");
    producer.enable_required_consumer_liveness(RequiredConsumerLivenessConfig::new(["w"])).unwrap();
    producer.watch_required_consumers(Duration::from_millis(1)).unwrap();
    let mut consumer = Actor::new();
    consumer.does(format!("attach {} w", shm.name("a")));
    assert_eq!(publish_managed(&mut producer), Ok(0));
    let pid = consumer.pid();
    consumer.dies();
    let mut told = None;
    eventually("the report of a death", || {
        told = publish_managed(&mut producer).err();
        told.is_some()
    });
    assert_eq!(told, Some(died(pid)));
    // When a consumer is back in its entry, publishing works again.
    let _back = join(&place, "w");
    eventually("a publish", || publish_managed(&mut producer).is_ok());
}

#[test]
fn a_managed_batch_larger_than_the_ring_fails_at_once() {
    everywhere(|place| {
        let mut producer = managed(&place, RequiredConsumerLivenessConfig::new(["w"]));
        let error = producer.publish_batch_managed(3, |_, _| panic!("must not run"));
        assert_eq!(error, Err(RequiredConsumerError::TooLarge { count: 3, capacity: 2 }));
    });
}

/// A ring of `size` that is managed with `config`.
fn managed_ring(place: &Place, size: usize, config: RequiredConsumerLivenessConfig) -> SharedProducer<Step> {
    let mut producer = ring(place, size).build_producer(step).unwrap();
    producer.enable_required_consumer_liveness(config).unwrap();
    producer
}

/// Like [`publish_managed`], but gives up at `deadline`.
fn publish_managed_until(producer: &mut SharedProducer<Step>, deadline: Instant) -> Result<i64, RequiredConsumerError> {
    let next = producer.last_published_sequence() + 1;
    match producer.publish_with(Patience::ManagedUntil(deadline), |slot| slot.sequence = next as u64) {
        Ok(sequence) => Ok(sequence),
        Err(NoRoom::RequiredConsumer(error)) => Err(error),
        Err(other) => panic!("{other}"),
    }
}

/// Drops `end` in a panic.
fn drop_by_panic<T>(end: T) {
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _end = end;
        std::panic::resume_unwind(Box::new(()));
    }));
    assert!(panicked.is_err());
}

/// The ids that the alerts so far are about.
fn ids_of(alerts: &Alerts) -> Vec<String> {
    alerts.lock().unwrap().iter().map(|alert| alert.consumer_id.clone()).collect()
}

#[test]
fn a_required_consumer_that_panics_fails_the_next_call_and_all_others_until_it_is_back() {
    everywhere(|place| {
        let alerts = Alerts::default();
        let mut producer = managed_ring(&place, 1024, config(&alerts, |_| ()));
        let mut consumer = join(&place, "w");
        for expected in 0..3 {
            assert_eq!(publish_managed(&mut producer), Ok(expected));
        }
        drop(consumer.try_consume_next_leased().unwrap());
        drop_by_panic(consumer);
        let pid = std::process::id();
        let gone = RequiredConsumerError::ConsumerDied {
            consumer_id: "w".to_owned(),
            pid,
            how: Ending::Panicked,
            last_sequence: 0,
        };
        for _ in 0..3 {
            assert_eq!(publish_managed(&mut producer), Err(gone.clone()));
            assert_eq!(producer.publish_batch_managed(5, |_, _| panic!("must not run")), Err(gone.clone()));
        }
        assert_eq!(ids_of(&alerts), ["w"], "once");
        let report = alerts.lock().unwrap()[0].report.to_string();
        assert!(report.contains(&format!("w was dropped by a panic; process {pid} lives")), "{report}");
        assert!(!report.contains("dead") && !gone.to_string().contains("dead"), "{report}, {gone}");
        // Unmanaged calls are not affected.
        publish(&mut producer, 1);
        let mut back = join(&place, "w");
        assert!(back.has_rejoined());
        assert_eq!(publish_managed(&mut producer), Ok(4));
        assert_eq!(drain(&mut back), [1, 2, 3, 4]);
        drop_by_panic(back);
        assert!(publish_managed(&mut producer).is_err());
        assert_eq!(ids_of(&alerts), ["w", "w"], "once for each time");
    });
}

#[test]
fn a_required_consumer_that_leaves_fails_the_next_call_until_it_has_joined_again() {
    everywhere(|place| {
        for leave in [drop, SharedConsumer::leave] as [fn(SharedConsumer<Step>); 2] {
            let alerts = Alerts::default();
            let mut producer = managed_ring(&place, 1024, config(&alerts, |_| ()));
            let mut consumer = join(&place, "w");
            assert_eq!(publish_managed(&mut producer), Ok(0));
            drain(&mut consumer);
            // Its last known position is what it had released when all required consumers were found to have joined.
            leave(consumer);
            for _ in 0..3 {
                match publish_managed(&mut producer) {
                    Err(RequiredConsumerError::ConsumerLeft { consumer_id, pid, .. }) => {
                        assert_eq!((consumer_id.as_str(), pid), ("w", std::process::id()));
                    }
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(ids_of(&alerts), ["w"]);
            assert!(!alerts.lock().unwrap()[0].report.to_string().contains("dead"));
            let _back = join(&place, "w");
            assert_eq!(publish_managed(&mut producer), Ok(1));
        }
    });
}

#[test]
fn a_required_consumer_that_was_evicted_by_the_program_is_missing_like_one_that_left() {
    everywhere(|place| {
        let mut producer = managed_ring(&place, 1024, RequiredConsumerLivenessConfig::new(["w"]));
        let mut consumer = join(&place, "w");
        assert_eq!(publish_managed(&mut producer), Ok(0));
        consumer.keep_place();
        drop(consumer);
        assert!(matches!(
            publish_managed(&mut producer),
            Err(RequiredConsumerError::ConsumerDied { how: Ending::Dropped, .. })
        ));
        assert!(producer.evict_consumer("w").unwrap());
        assert!(matches!(publish_managed(&mut producer), Err(RequiredConsumerError::ConsumerLeft { .. })));
        let _back = join(&place, "w");
        assert_eq!(publish_managed(&mut producer), Ok(1));
    });
}

#[test]
fn a_required_consumer_that_is_not_the_slowest_fails_a_call_that_waits_for_another() {
    everywhere(|place| {
        let alerts = Alerts::default();
        let patient = config(&alerts, |_| ()).with_progress_timeout(NEVER);
        let mut producer = managed(&place, patient);
        let (mut required, _slowest) = (join(&place, "w"), join(&place, "slow"));
        for _ in 0..2 {
            publish_managed(&mut producer).unwrap();
        }
        drain(&mut required);
        let publishing = std::thread::spawn(move || (publish_managed(&mut producer), producer));
        let departing = std::thread::spawn(move || drop_by_panic(required));
        departing.join().unwrap();
        let (answer, producer) = publishing.join().unwrap();
        assert!(matches!(answer, Err(RequiredConsumerError::ConsumerDied { how: Ending::Panicked, .. })), "{answer:?}");
        assert_eq!(producer.last_published_sequence(), 1);
    });
}

#[test]
fn alert_only_waits_for_a_required_consumer_that_has_gone_until_the_deadline() {
    everywhere(|place| {
        let alerts = Alerts::default();
        let config = config(&alerts, |_| ()).with_failure_action(RequiredConsumerFailureAction::AlertOnly);
        let mut producer = managed_ring(&place, 1024, config);
        let consumer = join(&place, "w");
        assert_eq!(publish_managed(&mut producer), Ok(0));
        drop(consumer);
        for _ in 0..2 {
            match publish_managed_until(&mut producer, Instant::now() + SOON) {
                Err(RequiredConsumerError::TimedOut { report }) => {
                    assert_eq!(report.waiting_for, WaitingFor::Consumers);
                    assert_eq!(report.culprit.as_ref().unwrap().ending, Some(Ending::Left));
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(ids_of(&alerts), ["w"]);
        let _back = join(&place, "w");
        assert_eq!(publish_managed(&mut producer), Ok(1));
    });
}

#[test]
fn what_the_policy_evicts_is_missing_to_nobody_until_it_joins_again() {
    everywhere(|place| {
        let alerts = Alerts::default();
        let config = config(&alerts, |_| ()).with_failure_action(RequiredConsumerFailureAction::Evict);
        let mut producer = managed_ring(&place, 4, config);
        let consumer = join(&place, "w");
        for expected in 0..4 {
            assert_eq!(publish_managed(&mut producer), Ok(expected));
        }
        drop_by_panic(consumer);
        for expected in 4..20 {
            assert_eq!(publish_managed(&mut producer), Ok(expected));
        }
        assert_eq!((ids_of(&alerts), producer.consumers()), (vec!["w".to_owned()], vec![]));
        // It is back, and found at the next look at the gates.
        let mut back = join(&place, "w");
        for _ in 0..8 {
            drain(&mut back);
            publish_managed(&mut producer).unwrap();
        }
        drop(back);
        assert!(publish_managed(&mut producer).is_ok());
        assert_eq!(ids_of(&alerts), ["w", "w"]);
    });
}

#[test]
fn one_that_was_let_go_and_goes_again_is_an_alert_of_its_own_although_it_was_not_found_in_between() {
    everywhere(|place| {
        let alerts = Alerts::default();
        let config = config(&alerts, |_| ()).with_failure_action(RequiredConsumerFailureAction::Evict);
        let mut producer = managed_ring(&place, 1024, config);
        for goes in 1..4 {
            let consumer = join(&place, "w");
            // There is room, so the producer does not look at the gates.
            publish_managed(&mut producer).unwrap();
            drop_by_panic(consumer);
            publish_managed(&mut producer).unwrap();
            assert_eq!(ids_of(&alerts), vec!["w"; goes]);
        }
    });
}

#[test]
fn one_that_was_let_go_and_then_joins_and_leaves_is_an_alert_although_no_call_found_it_in_between() {
    everywhere(|place| {
        let alerts = Alerts::default();
        let config = config(&alerts, |_| ()).with_failure_action(RequiredConsumerFailureAction::Evict);
        let mut producer = managed_ring(&place, 1024, config);
        let first = join(&place, "w");
        publish_managed(&mut producer).unwrap();
        drop_by_panic(first);
        publish_managed(&mut producer).unwrap();
        for goes in 2..5 {
            // Another consumer takes the free entry, so this one comes back to a different entry.
            let _other = join(&place, &format!("other{goes}"));
            publish_managed(&mut producer).unwrap();
            assert_eq!(ids_of(&alerts), vec!["w"; goes - 1], "the other is not required");
            drop(join(&place, "w"));
            publish_managed(&mut producer).unwrap();
            assert_eq!(ids_of(&alerts), vec!["w"; goes]);
            let ending = alerts.lock().unwrap().last().unwrap().report.culprit.as_ref().unwrap().ending;
            assert_eq!(ending, Some(Ending::Left));
            publish_managed(&mut producer).unwrap();
            assert_eq!(ids_of(&alerts), vec!["w"; goes], "told once");
        }
    });
}

#[test]
fn a_report_names_a_required_consumer_that_managed_calls_wait_for_although_there_is_room() {
    everywhere(|place| {
        let alerts = Alerts::default();
        let config = config(&alerts, |_| ()).with_failure_action(RequiredConsumerFailureAction::AlertOnly);
        let mut producer = managed_ring(&place, 1024, config);
        assert_eq!(producer.stall_report().waiting_for, WaitingFor::Consumers, "it has not joined");
        let consumer = join(&place, "w");
        assert_eq!(publish_managed(&mut producer), Ok(0));
        assert_eq!(producer.stall_report().waiting_for, WaitingFor::Nothing);
        drop_by_panic(consumer);
        assert!(publish_managed_until(&mut producer, Instant::now() + SOON).is_err());
        let report = producer.stall_report();
        let culprit = report.culprit.as_ref().unwrap();
        assert_eq!(report.waiting_for, WaitingFor::Consumers, "{report}");
        assert_eq!((culprit.id.as_str(), culprit.ending), ("w", Some(Ending::Panicked)), "{report}");
        let _back = join(&place, "w");
        assert_eq!(publish_managed(&mut producer), Ok(1));
        assert_eq!(producer.stall_report().waiting_for, WaitingFor::Nothing);
    });
}

#[test]
fn a_consumer_that_is_dead_at_the_start_is_reported_as_dead() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let place = Place::from(shm.name("a"));
    let alerts = Alerts::default();
    let mut producer = ring(&place, 4).build_producer(step).unwrap();
    let mut consumer = Actor::new();
    consumer.does(format!("attach {} w", shm.name("a")));
    let pid = consumer.pid();
    consumer.dies();
    let patient = config(&alerts, |_| ()).with_startup_wait_timeout(NEVER);
    producer.enable_required_consumer_liveness(patient).unwrap();
    assert_eq!(publish_managed(&mut producer), Err(died(pid)));
    assert_eq!(ids_of(&alerts), ["w"]);
    let _back = join(&place, "w");
    assert_eq!(publish_managed(&mut producer), Ok(0));
}

#[test]
fn a_required_consumer_that_is_killed_is_found_within_a_lap_without_a_watcher() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let place = Place::from(shm.name("a"));
    let mut producer = managed_ring(&place, 64, RequiredConsumerLivenessConfig::new(["w"]));
    let mut consumer = Actor::new();
    consumer.does(format!("attach {} w", shm.name("a")));
    for _ in 0..40 {
        publish_managed(&mut producer).unwrap();
    }
    consumer.does("consume 40");
    let pid = consumer.pid();
    consumer.dies();
    let published = (0..).take_while(|_| publish_managed(&mut producer).is_ok()).count();
    assert!(published <= 64, "{published} events were published although it is dead");
    assert!(
        matches!(publish_managed(&mut producer), Err(RequiredConsumerError::ConsumerDied { pid: dead, .. }) if dead == pid)
    );
}

/// It moves right before it is killed, so only the kernel can distinguish it from a live one.
#[test]
fn a_required_consumer_that_is_killed_right_after_it_has_moved_is_found_within_half_of_the_ring() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    for (name, slots, laps) in [("a", 1024, 0), ("b", 1024, 1), ("c", 4096, 3)] {
        let place = Place::from(shm.name(name));
        let mut producer = managed_ring(&place, slots, RequiredConsumerLivenessConfig::new(["w"]));
        let mut consumer = Actor::new();
        consumer.does(format!("attach {} w", shm.name(name)));
        // Whole laps, so that the producer looks at the gates with the next event.
        for _ in 0..laps {
            for _ in 0..slots {
                publish_managed(&mut producer).unwrap();
            }
            consumer.does(format!("consume {slots}"));
        }
        publish_managed(&mut producer).unwrap();
        consumer.does("consume 1");
        let pid = consumer.pid();
        consumer.dies();
        // This sleep is part of the rule: it applies to what is published after 5 ms and one step of the coarse clock.
        std::thread::sleep(Duration::from_millis(50));
        let published = (0..).take_while(|_| publish_managed(&mut producer).is_ok()).count();
        assert!(published <= slots / 2, "{published} events were published although it is dead");
        assert!(matches!(
            publish_managed(&mut producer),
            Err(RequiredConsumerError::ConsumerDied { pid: dead, how: Ending::Killed, .. }) if dead == pid
        ));
    }
}

/// A producer that publishes little looks often, however large the ring is.
#[test]
fn a_slow_producer_finds_a_killed_required_consumer_within_sixteen_events() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let slots = 4096;
    let place = Place::from(shm.name("ring"));
    let mut producer = managed_ring(&place, slots, RequiredConsumerLivenessConfig::new(["w"]));
    let mut consumer = Actor::new();
    consumer.does(format!("attach {} w", shm.name("ring")));
    for _ in 0..slots {
        publish_managed(&mut producer).unwrap();
    }
    consumer.does(format!("consume {slots}"));
    // Its own pace, more than 5 ms an event: long enough for a look after half of the ring, if there were no other
    // rule.
    let paced = |producer: &mut SharedProducer<Step>| {
        std::thread::sleep(Duration::from_millis(10));
        publish_managed(producer)
    };
    for _ in 0..16 {
        paced(&mut producer).unwrap();
    }
    consumer.does("consume 16");
    consumer.dies();
    let published = (0..).take_while(|_| paced(&mut producer).is_ok()).count();
    assert!(published <= 16, "{published} events were published although it is dead");
}

/// In a smaller ring, it looks once a lap.
#[test]
fn a_required_consumer_of_a_small_ring_that_is_killed_is_found_within_a_lap_or_sixteen_events() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    for slots in [2, 16, 64] {
        let name = shm.name(&format!("{slots}"));
        let mut producer = managed_ring(&Place::from(name.clone()), slots, RequiredConsumerLivenessConfig::new(["w"]));
        let mut consumer = Actor::new();
        consumer.does(format!("attach {name} w"));
        publish_managed(&mut producer).unwrap();
        consumer.does("consume 1");
        consumer.dies();
        // This sleep is part of the rule: it applies to what is published after 5 ms and one step of the coarse clock.
        std::thread::sleep(Duration::from_millis(50));
        let published = (0..).take_while(|_| publish_managed(&mut producer).is_ok()).count();
        assert!(published <= slots.min(16), "{published} events were published although it is dead");
    }
}

#[test]
fn only_a_required_consumer_shuts_and_another_that_stalls_is_named() {
    everywhere(|place| {
        let alerts = Alerts::default();
        let mut producer = managed(&place, config(&alerts, |_| ()));
        let (mut required, mut logger) = (join(&place, "w"), join(&place, "logger"));
        for _ in 0..2 {
            publish_managed(&mut producer).unwrap();
        }
        assert_eq!(drain(&mut required), [0, 1]);
        // Much longer than the patience, which is 60 ms of waiting.
        let end = Instant::now() + 10 * SOON;
        while Instant::now() < end || alerts.lock().unwrap().is_empty() {
            match publish_managed_until(&mut producer, Instant::now() + SOON) {
                Err(RequiredConsumerError::TimedOut { report }) => {
                    assert_eq!(report.culprit.as_ref().unwrap().id, "logger");
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(ids_of(&alerts), ["logger"]);
        assert_eq!(alerts.lock().unwrap()[0].report.next, NextStep::KeepWaiting);
        assert_eq!(drain(&mut logger), [0, 1]);
        assert_eq!(publish_managed(&mut producer), Ok(2));
    });
}

#[test]
fn a_required_consumer_shuts_also_where_another_stands_beside_it() {
    everywhere(|place| {
        let alerts = Alerts::default();
        let mut producer = managed(&place, config(&alerts, |_| ()));
        let _consumers = [join(&place, "a"), join(&place, "w"), join(&place, "z")];
        for _ in 0..2 {
            publish_managed(&mut producer).unwrap();
        }
        match publish_managed(&mut producer) {
            Err(RequiredConsumerError::GracefulShutdownTriggered { consumer_id, .. }) => assert_eq!(consumer_id, "w"),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn after_a_shutdown_managed_calls_stay_shut_and_the_others_keep_their_meaning() {
    everywhere(|place| {
        let alerts = Alerts::default();
        let mut producer = managed(&place, config(&alerts, |_| ()));
        let mut consumer = join(&place, "w");
        for _ in 0..2 {
            publish_managed(&mut producer).unwrap();
        }
        let shut = publish_managed(&mut producer).unwrap_err();
        assert!(matches!(shut, RequiredConsumerError::GracefulShutdownTriggered { .. }), "{shut}");
        assert_eq!(drain(&mut consumer), [0, 1]);
        assert_eq!(producer.stall_report().waiting_for, WaitingFor::Reset);
        assert_eq!(producer.try_publish(|slot| slot.sequence = 2), Ok(2));
        assert_eq!(producer.publish(|slot| slot.sequence = 3).unwrap(), 3);
        assert_eq!(publish_managed(&mut producer), Err(shut.clone()));
        assert_eq!(drain(&mut consumer), [2, 3]);
        producer.wait_until_consumed(3, in_ms(20_000)).unwrap();
        assert_eq!(producer.publish_batch(2, |slot, i| slot.sequence = 4 + i as u64).unwrap(), 5);
        assert_eq!(drain(&mut consumer), [4, 5]);
        producer.check_room().unwrap();
        assert_eq!(publish_managed(&mut producer), Err(shut));
        producer.reset_required_consumer_liveness();
        assert_eq!(publish_managed(&mut producer), Ok(6));
    });
}

#[test]
fn a_list_of_required_consumers_that_says_nothing_or_cannot_be_met_is_refused() {
    everywhere(|place| {
        let mut producer = ring(&place, 4).enable_discovery(2).build_producer(step).unwrap();
        let mut enable = |ids: &[&str]| {
            producer.enable_required_consumer_liveness(RequiredConsumerLivenessConfig::new(ids.to_vec()))
        };
        assert!(matches!(enable(&[]), Err(MultiProcessError::NoRequiredConsumers { .. })));
        assert!(matches!(enable(&[""]), Err(MultiProcessError::InvalidConsumerId(_))));
        let many: Vec<String> = (0..100).map(|id| id.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(matches!(enable(&many), Err(MultiProcessError::TooManyExpected { expected: 100, .. })));
        enable(&["w", "w"]).unwrap();
        let _consumer = join(&place, "w");
        assert_eq!(publish_managed(&mut producer), Ok(0));
    });
}

#[test]
fn a_startup_timeout_of_zero_is_one_look() {
    everywhere(|place| {
        let config = RequiredConsumerLivenessConfig::new(["w"]).with_startup_wait_timeout(Duration::ZERO);
        let mut producer = managed_ring(&place, 4, config);
        let missing = vec!["w".to_owned()];
        assert_eq!(publish_managed(&mut producer), Err(RequiredConsumerError::StartupTimeout { missing }));
        let _consumer = join(&place, "w");
        assert_eq!(publish_managed(&mut producer), Ok(0));
    });
}
