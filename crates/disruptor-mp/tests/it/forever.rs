//! `Duration::MAX` means "no deadline", wherever a duration can be given; and no pause outlasts the wait that it is a
//! part of.

use crate::stage::{eventually, watchdog};
use disruptor_mp::counters::ids;
use disruptor_mp::segment::Place;
use disruptor_mp::{
    CoordinationMode, DiscoveryMode, MultiProcessError, Patience, RequiredConsumerFailureAction,
    RequiredConsumerLivenessConfig, SharedConsumer, SharedDisruptorBuilder, SharedProducer, WaitStrategy,
};
use std::time::Duration;

const FOREVER: Duration = Duration::MAX;

fn ring(place: &Place) -> SharedDisruptorBuilder<u64> {
    SharedDisruptorBuilder::new(place.clone(), 4)
}

fn ends() -> (SharedProducer<u64>, SharedConsumer<u64>) {
    let place = Place::heap();
    let producer = ring(&place).build_producer(|| 0).unwrap();
    (producer, ring(&place).with_consumer_id("w").build_consumer().unwrap())
}

/// Managed publishing that waits for everything without end.
fn patient() -> RequiredConsumerLivenessConfig {
    RequiredConsumerLivenessConfig::new(["w"])
        .with_startup_wait_timeout(FOREVER)
        .with_progress_timeout(FOREVER)
        .with_progress_check_interval(FOREVER)
        .with_shutdown_grace_period(FOREVER)
}

#[test]
fn a_start_up_waits_for_its_consumers_without_end() {
    let _watchdog = watchdog();
    let names = testkit::names::ShmGuard::new();
    let place = || Place::from(names.name("r"));
    let joiner = std::thread::spawn({
        let place = place();
        move || {
            let mut joined = None;
            eventually("a ring to join", || {
                joined = ring(&place).with_consumer_id("w").build_consumer().ok();
                joined.is_some()
            });
            joined.unwrap()
        }
    });
    let producer = ring(&place()).wait_for_consumers(1, FOREVER).build_producer(|| 0).unwrap();
    assert_eq!(producer.get_consumer_count(), 1);
    drop(joiner.join().unwrap());
}

#[test]
fn a_pause_between_two_looks_does_not_outlast_the_start_up() {
    let _watchdog = watchdog();
    for scan_interval in [Duration::from_secs(3600), FOREVER] {
        let discovery = DiscoveryMode::Enabled { max_consumers: 4, consumer_prefix: None, scan_interval };
        let timeout = Duration::from_millis(20);
        let start_up = CoordinationMode::WaitForConsumers { min_consumers: 1, timeout };
        let refused = ring(&Place::heap()).with_discovery(discovery).with_coordination(start_up).build_producer(|| 0);
        assert!(matches!(refused, Err(MultiProcessError::CoordinationTimeout { joined: 0, wanted: 1, .. })));
    }
}

#[test]
fn a_pause_without_end_is_no_end_of_looking() {
    let _watchdog = watchdog();
    let place = Place::heap();
    // Its first looks find no consumer.
    let discovery = DiscoveryMode::Enabled { max_consumers: 4, consumer_prefix: None, scan_interval: FOREVER };
    let builder = ring(&place).with_discovery(discovery).wait_for_consumers(1, FOREVER);
    let producer = std::thread::spawn(move || builder.build_producer(|| 0).unwrap());
    let mut joined = None;
    eventually("a ring to join", || {
        joined = ring(&place).with_consumer_id("w").build_consumer().ok();
        joined.is_some()
    });
    assert_eq!(producer.join().unwrap().get_consumer_count(), 1);
}

#[test]
fn a_consumer_is_waited_for_without_end() {
    let _watchdog = watchdog();
    let (producer, _consumer) = ends();
    assert!(producer.wait_for_consumer_id("w", FOREVER));
}

#[test]
fn managed_publishing_waits_without_end_whatever_it_waits_for() {
    let _watchdog = watchdog();
    for strategy in [WaitStrategy::Block, WaitStrategy::Sleep(FOREVER), WaitStrategy::BusySpin] {
        for action in [RequiredConsumerFailureAction::GracefulShutdown, RequiredConsumerFailureAction::AlertOnly] {
            let place = Place::heap();
            let mut producer = ring(&place).with_wait_strategy(strategy).build_producer(|| 0).unwrap();
            let mut consumer = ring(&place).with_consumer_id("w").build_consumer().unwrap();
            let config = patient().with_progress_timeout(Duration::from_nanos(1)).with_failure_action(action);
            producer.enable_required_consumer_liveness(config).unwrap();
            producer.watch_required_consumers(FOREVER).unwrap();
            for number in 0..4 {
                producer.publish_managed(|slot| *slot = number).unwrap();
            }
            let counters = producer.ring_counters();
            let reader = std::thread::spawn(move || {
                // At its first look it finds a stall and raises an alert, so the time until the failure action is
                // computed as well.
                let has_alerted = || {
                    let is_alert = |counter: &disruptor_mp::CounterSnapshot| counter.id == ids::PRODUCER_STALLS;
                    counters.snapshot().iter().any(|counter| is_alert(counter) && counter.value > 0)
                };
                eventually("an alert", has_alerted);
                assert_eq!(consumer.process_available(|_, _| ()), 4);
                consumer
            });
            producer.publish_managed(|slot| *slot = 4).unwrap();
            drop(reader.join().unwrap());
        }
    }
}

#[test]
fn a_consumer_that_polls_without_end_still_sees_what_is_published() {
    let _watchdog = watchdog();
    let place = Place::heap();
    let mut producer = ring(&place).build_producer(|| 0).unwrap();
    let consumer = ring(&place).with_consumer_id("w").with_wait_strategy(WaitStrategy::Sleep(FOREVER));
    let mut consumer = consumer.build_consumer().unwrap();
    let reader = std::thread::spawn(move || *consumer.consume_next_leased().unwrap());
    producer.publish_with(Patience::Endless, |slot| *slot = 7).unwrap();
    assert_eq!(reader.join().unwrap(), 7);
}
