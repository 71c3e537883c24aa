//! Why a producer waits: a consumer, a start-up buffer, padding, a refusal of the kernel, or nothing. Each has a reason
//! of its own.

use crate::actor::Actor;
use crate::stage::{Step, drain, everywhere, fill, in_ms, join, publish, ring, step, watchdog};
use disruptor_mp::counters::ids;
use disruptor_mp::liveness::{Ending, WaitingFor};
use disruptor_mp::segment::Place;
use disruptor_mp::{
    CoordinationMode, NoRoom, Patience, PublishError, RequiredConsumerError, RequiredConsumerLivenessConfig,
    SharedProducer, StallReport, WaitStrategy, attach_shared_consumer,
};
use std::sync::Arc;
use std::time::{Duration, Instant};
use testkit::names::ShmGuard;
use testkit::watchdog::PATIENCE;

/// The report of a publish that did not get room in time.
fn timed_out(producer: &mut SharedProducer<Step>, milliseconds: u64) -> StallReport {
    match producer.publish_deadline(in_ms(milliseconds), |_| panic!("must not run")) {
        Err(PublishError::TimedOut { report }) => *report,
        other => panic!("{other:?}"),
    }
}

/// A ring of 8 whose start-up buffer of `max_buffer` waits for two consumers.
fn buffering(place: &Place, max_buffer: usize) -> SharedProducer<Step> {
    ring(place, 8)
        .with_coordination(CoordinationMode::BufferUntilConsumers { max_buffer })
        .with_expected_consumers(2)
        .with_wait_strategy(WaitStrategy::Block)
        .build_producer(step)
        .unwrap()
}

#[test]
fn nothing_waits_on_an_idle_ring_and_both_sides_say_so() {
    everywhere(|place| {
        let mut producer = ring(&place, 8).build_producer(step).unwrap();
        let alone = producer.stall_report();
        assert_eq!((alone.waiting_for, alone.culprit.is_none()), (WaitingFor::Nothing, true));
        let mut consumer = join(&place, "w");
        publish(&mut producer, 3);
        let readable = consumer.stall_report(Duration::ZERO);
        assert_eq!(readable.waiting_for, WaitingFor::Nothing, "there is something to read");
        drain(&mut consumer);
        let idle = producer.stall_report();
        assert_eq!((idle.waiting_for, idle.culprit.is_none()), (WaitingFor::Nothing, true));
        for text in [alone.to_string(), readable.to_string(), idle.to_string()] {
            assert!(text.contains("nothing waits") && !text.contains("keeps waiting"), "{text}");
        }
        assert_eq!(consumer.stall_report(Duration::ZERO).waiting_for, WaitingFor::Data);
        // If the ring is full, the report names its consumer.
        fill(&mut producer);
        let full = producer.stall_report();
        assert_eq!((full.waiting_for, full.culprit.unwrap().id.as_str()), (WaitingFor::Space, "w"));
    });
}

#[test]
fn a_consumers_report_says_that_its_ring_was_closed_and_not_that_its_producer_is_dead() {
    everywhere(|place| {
        let mut producer = ring(&place, 8).build_producer(step).unwrap();
        let mut consumer = join(&place, "w");
        publish(&mut producer, 1);
        drop(producer);
        let how = |report: &StallReport| report.culprit.as_ref().map(|it| (it.is_dead, it.ending));
        let readable = consumer.stall_report(Duration::ZERO);
        assert_eq!((readable.waiting_for, how(&readable)), (WaitingFor::Nothing, Some((false, Some(Ending::Left)))));
        drain(&mut consumer);
        let over = consumer.stall_report(Duration::from_secs(1));
        assert_eq!((over.waiting_for, how(&over)), (WaitingFor::Closed, Some((false, Some(Ending::Left)))));
        for text in [readable.to_string(), over.to_string()] {
            assert!(
                text.contains("nothing waits") && !text.contains("dead") && !text.contains("keeps waiting"),
                "{text}"
            );
        }
    });
}

#[test]
fn an_event_that_is_not_published_is_not_waited_for_and_no_reader_is_blamed() {
    everywhere(|place| {
        let mut producer = ring(&place, 8).build_producer(step).unwrap();
        let mut consumer = join(&place, "w");
        let wait = |producer: &mut SharedProducer<Step>, sequence| match producer
            .wait_until_consumed(sequence, Instant::now() + PATIENCE)
        {
            Err(PublishError::NotPublished { sequence, last }) => (sequence, last),
            other => panic!("{other:?}"),
        };
        assert_eq!(wait(&mut producer, 0), (0, -1));
        publish(&mut producer, 2);
        drain(&mut consumer);
        assert_eq!(wait(&mut producer, 2), (2, 1));
        producer.wait_until_consumed(1, in_ms(20_000)).unwrap();
    });
}

#[test]
fn a_report_is_about_the_room_that_was_asked_for() {
    everywhere(|place| {
        let mut producer = ring(&place, 8).build_producer(step).unwrap();
        let mut consumer = join(&place, "w");
        publish(&mut producer, 6);
        assert_eq!(producer.stall_report().waiting_for, WaitingFor::Nothing);
        assert!(producer.try_publish_batch(3, |_, _| ()).is_err());
        assert_eq!(producer.stall_report().waiting_for, WaitingFor::Space, "three were asked for, and two fit");
        drain(&mut consumer);
        assert_eq!(producer.stall_report().waiting_for, WaitingFor::Nothing);
    });
}

#[test]
fn a_start_up_buffer_is_named_and_nobody_is_blamed_who_has_read_everything() {
    everywhere(|place| {
        let mut producer = buffering(&place, 8);
        let mut reader = join(&place, "w");
        publish(&mut producer, 8);
        assert_eq!(drain(&mut reader).len(), 8);
        let before = Instant::now();
        let report = timed_out(&mut producer, 100);
        assert_eq!((report.waiting_for, &report.culprit), (WaitingFor::Consumers, &None));
        let buffer = report.buffer.unwrap();
        assert_eq!((buffer.joined, buffer.expected), (1, 2));
        assert!(report.to_string().contains("1 of 2 expected consumers have joined"), "{report}");
        let now = producer.stall_report();
        assert_eq!((now.waiting_for, now.buffer), (WaitingFor::Consumers, Some(buffer)));
        // It sleeps for a millisecond between its looks at the consumers that have joined.
        let counters = producer.ring_counters().snapshot();
        let parks = counters.iter().find(|counter| counter.id == ids::PRODUCER_PARK_COUNT).unwrap().value;
        assert!(parks > 0 && u128::from(parks) <= before.elapsed().as_millis() + 1, "{parks} sleeps");
        let mut second = join(&place, "second");
        assert_eq!(drain(&mut second).len(), 8);
        assert_eq!(producer.publish_deadline(in_ms(20_000), |slot| slot.sequence = 8).unwrap(), 8);
    });
}

#[test]
fn a_start_up_buffer_shuts_no_managed_producer_and_raises_no_alert() {
    everywhere(|place| {
        let mut producer = buffering(&place, 4);
        let mut reader = join(&place, "w");
        let config = RequiredConsumerLivenessConfig::new(["w"])
            .with_progress_timeout(Duration::from_millis(1))
            .with_shutdown_grace_period(Duration::from_millis(1))
            .with_alert_hook(Arc::new(|alert| panic!("{}", alert.report)));
        producer.enable_required_consumer_liveness(config).unwrap();
        publish(&mut producer, 4);
        assert_eq!(drain(&mut reader).len(), 4);
        for _ in 0..3 {
            match producer.publish_with(Patience::ManagedUntil(in_ms(50)), |_| panic!("must not run")) {
                Err(NoRoom::RequiredConsumer(RequiredConsumerError::TimedOut { report })) => {
                    assert_eq!(report.waiting_for, WaitingFor::Consumers);
                }
                other => panic!("{other:?}"),
            }
        }
        let counters = producer.ring_counters().snapshot();
        assert!(counters.iter().all(|counter| counter.id != ids::PRODUCER_STALLS || counter.value == 0));
    });
}

#[test]
fn a_consumer_and_a_start_up_buffer_that_are_both_in_the_way_are_both_named() {
    everywhere(|place| {
        let mut producer = buffering(&place, 8);
        let _reader = join(&place, "w");
        publish(&mut producer, 8);
        let report = timed_out(&mut producer, 20);
        assert_eq!(report.waiting_for, WaitingFor::Space);
        assert_eq!(report.culprit.as_ref().unwrap().id, "w");
        assert_eq!(report.buffer.unwrap().joined, 1);
        let text = report.to_string();
        assert!(text.contains("lags by 8 events") && text.contains("the start-up buffer waits"), "{text}");
    });
}

#[test]
fn what_is_held_for_an_expected_consumer_is_not_consumed() {
    everywhere(|place| {
        let mut producer = buffering(&place, 4);
        publish(&mut producer, 2);
        assert!(!producer.is_consumed(0), "no consumer has consumed it");
        let mut first = join(&place, "first");
        drain(&mut first);
        assert!(!producer.is_consumed(0) && !producer.is_consumed(1));
        match producer.wait_until_consumed(1, in_ms(20)) {
            Err(PublishError::TimedOut { report }) => {
                assert_eq!((report.waiting_for, report.culprit.is_none()), (WaitingFor::Consumers, true));
            }
            other => panic!("{other:?}"),
        }
        let mut second = join(&place, "second");
        assert!(!producer.is_consumed(0), "the second has joined and not read");
        assert_eq!(drain(&mut second), [0, 1]);
        assert!(producer.is_consumed(1));
        producer.wait_until_consumed(1, in_ms(20_000)).unwrap();
    });
}

#[test]
fn a_wait_for_a_release_is_not_called_one_for_space() {
    everywhere(|place| {
        let mut producer = ring(&place, 8).build_producer(step).unwrap();
        let mut reader = join(&place, "reader");
        publish(&mut producer, 2);
        match producer.wait_until_consumed(1, in_ms(20)) {
            Err(PublishError::TimedOut { report }) => {
                assert_eq!(report.waiting_for, WaitingFor::Release, "the ring has room: {report}");
                assert_eq!(report.culprit.unwrap().lag_events, 2);
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(drain(&mut reader), [0, 1]);
        producer.wait_until_consumed(1, in_ms(20_000)).unwrap();
    });
}

#[test]
fn a_start_up_buffer_that_has_room_is_not_called_full() {
    everywhere(|place| {
        let mut producer = buffering(&place, 4);
        publish(&mut producer, 2);
        let error = producer.wait_until_consumed(1, in_ms(20)).unwrap_err().to_string();
        assert!(error.contains("0 of 2 expected consumers have joined") && !error.contains("full"), "{error}");
    });
}

#[test]
fn an_expected_consumer_that_has_gone_and_kept_its_place_has_joined_and_is_named() {
    everywhere(|place| {
        let mut producer = buffering(&place, 4);
        let mut reader = join(&place, "reader");
        drop(attach_shared_consumer::<Step>(place.clone(), 0).with_consumer_id("gone").keep_place().build_consumer());
        for _ in 0..2 {
            publish(&mut producer, 4);
            drain(&mut reader);
        }
        match producer.publish_deadline(in_ms(20_000), |_| panic!("must not run")) {
            Err(PublishError::ConsumerDied { id, .. }) => assert_eq!(id, "gone"),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_producer_without_a_descriptor_left_takes_the_dead_out_and_goes_on() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let (mut producer, mut consumer) = (Actor::new(), Actor::new());
    producer.does(format!("produce {} 4 block", shm.name("a")));
    consumer.does(format!("attach {} -", shm.name("a")));
    producer.does("exhaust");
    producer.does("publish 4");
    consumer.dies();
    assert_eq!(producer.does("publish 6"), "9");
    // A consumer that keeps its entry is also reported and can be evicted.
    let place = Place::from(shm.name("a"));
    let mut kept = join(&place, "w");
    kept.keep_place();
    producer.begins("publish 5");
    drop(kept);
    let error = producer.ends().unwrap_err();
    assert!(error.starts_with("consumer `w`"), "{error}");
    assert_eq!(producer.does("evict w"), "true");
    producer.does("publish 6");
}

#[test]
fn a_refusal_of_the_kernel_is_an_answer_of_its_own() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let (mut producer, mut consumer) = (Actor::new(), Actor::new());
    producer.does(format!("produce {} 4 block", shm.name("a")));
    consumer.does(format!("attach {} w block", shm.name("a")));
    let _other = join(&Place::from(shm.name("a")), "other");
    producer.does("publish 4");
    // As in a program that becomes a daemon: the ring's descriptors are closed, its mapping is not.
    consumer.does("close-descriptors");
    let error = consumer.fails("consume 5");
    assert!(error.starts_with("it is not known whether the producer lives") && error.contains("looking at"), "{error}");
    producer.does("close-descriptors");
    let error = producer.fails("publish 1");
    assert!(error.starts_with("it is not known whether a consumer lives") && error.contains("looking at"), "{error}");
}

#[test]
fn a_producer_that_cannot_ask_whether_a_consumer_that_left_has_let_go_says_so() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let (mut producer, mut consumer) = (Actor::new(), Actor::new());
    producer.does(format!("produce {} 4 block", shm.name("a")));
    consumer.does(format!("attach {} w", shm.name("a")));
    producer.does("publish 4");
    // Now the producer has looked at the table.
    consumer.does("consume 1");
    producer.does("publish 1");
    consumer.does("drop");
    producer.does("close-descriptors");
    let error = producer.fails("publish 1");
    assert!(error.starts_with("it is not known whether a consumer lives") && error.contains("looking at"), "{error}");
}
