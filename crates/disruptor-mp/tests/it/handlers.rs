//! Handlers that take long, that panic, and that end their own consumer.

use crate::stage::{PATIENCE, Step, drain, eventually, everywhere, join, publish, ring, step, watchdog};
use disruptor_mp::segment::Place;
use disruptor_mp::{
    AutoConsumer, AutoConsumerEnd, Patience, RequiredConsumerLivenessConfig, SharedConsumer, SharedDisruptorBuilder,
    SharedProducer, SlotForm, attach_shared_consumer,
};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::Duration;
use testkit::fork::fork_then;

/// Longer than the time after which a batch is acknowledged, with any resolution of the coarse clock.
const LONG: Duration = Duration::from_millis(25);

/// Starts a consumer `w` on a thread of its own.
fn start(place: &Place, handler: impl FnMut(&Step, i64, bool) + Send + 'static) -> AutoConsumer {
    attach_shared_consumer::<Step>(place.clone(), 0).with_consumer_id("w").handle_events_with(handler).unwrap()
}

/// The position of the one consumer of the ring, as its peers see it.
fn position(producer: &SharedProducer<Step>) -> i64 {
    producer.consumers()[0].position
}

/// Lets `consumer` handle many short events, so that its handler counts as quick, and then a full ring of them.
/// Meanwhile `producer` publishes one more event for each handled one.
fn goes_on<F: SlotForm>(mut producer: SharedProducer<Step, F>, mut consumer: SharedConsumer<Step, F>) {
    for _ in 0..32 {
        publish(&mut producer, 8);
        assert_eq!(consumer.process_available(|_, _| ()), 8);
    }
    publish(&mut producer, 8);
    let mut handled = 0;
    let count = consumer.process_available(|_, sequence| {
        let room = producer.try_publish(|_| ());
        assert_eq!(room.is_ok(), handled > 0, "in event {sequence}, after {handled}: {room:?}");
        handled += 1;
    });
    assert_eq!(count, 8);
}

#[test]
fn a_producer_of_long_events_goes_on_while_a_batch_is_processed() {
    everywhere(|place| {
        goes_on(ring(&place, 8).build_producer(step).unwrap(), join(&place, "w"));
    });
    everywhere(|place| {
        let producer = ring(&place, 8).dense().build_producer(step).unwrap();
        goes_on(producer, attach_shared_consumer(place, 0).dense().build_consumer().unwrap());
    });
}

#[test]
fn a_producer_of_long_records_goes_on_while_a_batch_is_processed() {
    everywhere(|place| {
        let mut producer = SharedDisruptorBuilder::records(place.clone(), 4 << 20).build_record_producer().unwrap();
        let mut consumer = SharedDisruptorBuilder::records(place, 0).build_record_consumer().unwrap();
        for _ in 0..128 {
            producer.publish(b"short", 0, 0, Patience::Now).unwrap();
        }
        assert_eq!(consumer.process_available(|_, _| ()), 128);
        let long = vec![7; 1 << 20];
        let mut publish = || producer.publish(&long, 0, 0, Patience::Now);
        let count = std::iter::repeat_with(&mut publish).take_while(Result::is_ok).count();
        assert_eq!(count, 3, "one more does not fit");
        let mut handled = 0;
        let processed = consumer.process_available(|_, _| {
            let room = publish();
            assert_eq!(room.is_ok(), handled > 0, "after {handled}: {room:?}");
            handled += 1;
        });
        assert_eq!(processed, count);
    });
}

#[test]
fn what_a_slow_handler_has_finished_is_acknowledged_while_its_batch_goes_on() {
    everywhere(|place| {
        let mut producer = ring(&place, 8).build_producer(step).unwrap();
        let mut consumer = join(&place, "w");
        publish(&mut producer, 5);
        let handled = consumer.process_available(|_, sequence| {
            assert_eq!(position(&producer), sequence, "the event before this one took long");
            sleep(LONG);
        });
        assert_eq!((handled, position(&producer)), (5, 5));
    });
}

#[test]
fn what_a_slow_handler_of_records_has_finished_is_acknowledged_while_its_batch_goes_on() {
    everywhere(|place| {
        let mut producer = SharedDisruptorBuilder::records(place.clone(), 4096).build_record_producer().unwrap();
        let builder = SharedDisruptorBuilder::records(place, 0).with_consumer_id("w");
        let mut consumer = builder.build_record_consumer().unwrap();
        for len in [100, 0, 300, 64, 1] {
            producer.publish(&vec![0; len], 0, 0, Patience::Now).unwrap();
        }
        let handled = consumer.process_available(|_, meta| {
            assert_eq!(producer.consumers()[0].position, meta.sequence, "the record before this one took long");
            sleep(LONG);
        });
        assert_eq!((handled, producer.consumers()[0].position), (5, 5));
    });
}

#[test]
fn a_batch_of_quick_events_is_acknowledged_every_64() {
    let _watchdog = watchdog();
    let place = Place::heap();
    let mut producer = ring(&place, 1024).build_producer(step).unwrap();
    let mut consumer = join(&place, "w");
    for round in 0..3 {
        publish(&mut producer, 1000);
        let mut acknowledgements = vec![];
        let handled = consumer.process_available(|_, sequence| {
            let position = position(&producer);
            assert!(
                (position..position + 64).contains(&sequence),
                "event {sequence} of a batch that stands at {position}"
            );
            acknowledgements.push(position);
        });
        acknowledgements.dedup();
        assert_eq!((handled, position(&producer)), (1000, (round + 1) * 1000));
        assert!(round == 0 || acknowledgements.len() < 30, "a quick handler pays for few acknowledgements");
    }
    let place = Place::heap();
    let mut producer = SharedDisruptorBuilder::records(place.clone(), 1 << 16).build_record_producer().unwrap();
    let mut consumer = SharedDisruptorBuilder::records(place, 0).build_record_consumer().unwrap();
    for _ in 0..500 {
        producer.publish(&[0; 40], 0, 0, Patience::Now).unwrap();
    }
    consumer.process_available(|_, meta| {
        let position = producer.consumers()[0].position;
        assert!((position..position + 64).contains(&meta.sequence), "record {} at {position}", meta.sequence);
    });
}

#[test]
fn a_healthy_handler_that_takes_longer_for_a_lap_than_the_patience_of_its_producer_is_no_stall() {
    everywhere(|place| {
        // 64 events of 25 ms are 1.6 s.
        let mut producer = ring(&place, 64).build_producer(step).unwrap();
        let alerts = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&alerts);
        let config = RequiredConsumerLivenessConfig::new(["w"])
            .with_progress_timeout(Duration::from_millis(800))
            .with_shutdown_grace_period(Duration::from_millis(1))
            .with_progress_check_interval(Duration::from_millis(5))
            .with_alert_hook(Arc::new(move |_| {
                count.fetch_add(1, Ordering::Relaxed);
            }));
        producer.enable_required_consumer_liveness(config).unwrap();
        let consumer = start(&place, |_, _, _| sleep(LONG));
        // The second half waits until half of the first lap is handled.
        for n in 0..96 {
            producer.publish_managed(|slot| slot.sequence = n).unwrap();
        }
        assert_eq!(alerts.load(Ordering::Relaxed), 0);
        drop(consumer);
    });
}

/// A ring of 4 000 events, and a consumer `w` that is in event 100 until it is let go; and how many events it has
/// handled.
fn held_in_its_handler(place: &Place) -> (SharedProducer<Step>, AutoConsumer, impl FnOnce() + use<>, Arc<AtomicI64>) {
    let mut producer = ring(place, 4096).build_producer(step).unwrap();
    let handled = Arc::new(AtomicI64::new(0));
    let (count, (let_go, may_go), (arrive, arrived)) = (Arc::clone(&handled), channel(), channel());
    let consumer = start(place, move |_, sequence, _| {
        if sequence == 100 {
            arrive.send(()).unwrap();
            may_go.recv().unwrap();
        }
        count.fetch_add(1, Ordering::Relaxed);
    });
    publish(&mut producer, 4000);
    arrived.recv().unwrap();
    (producer, consumer, move || let_go.send(()).unwrap(), handled)
}

#[test]
fn a_consumer_that_is_told_to_stop_handles_the_event_in_hand_and_no_other() {
    everywhere(|place| {
        let (producer, consumer, let_go, handled) = held_in_its_handler(&place);
        consumer.shutdown();
        let_go();
        assert!(matches!(consumer.join().unwrap(), AutoConsumerEnd::ShutDown));
        assert_eq!(handled.load(Ordering::Relaxed), 101);
        drop(producer);
    });
}

#[test]
fn dropping_a_consumer_does_not_wait_for_events_that_it_has_not_begun() {
    everywhere(|place| {
        let mut producer = ring(&place, 4096).build_producer(step).unwrap();
        publish(&mut producer, 1);
        let handled = Arc::new(AtomicI64::new(0));
        let count = Arc::clone(&handled);
        let consumer = start(&place, move |_, _, _| {
            sleep(Duration::from_millis(1));
            count.fetch_add(1, Ordering::Relaxed);
        });
        publish(&mut producer, 4000);
        eventually("the first events", || handled.load(Ordering::Relaxed) > 1);
        drop(consumer);
        assert!(handled.load(Ordering::Relaxed) < 4000, "all of them were handled");
    });
}

#[test]
fn an_event_in_which_a_handler_panics_comes_again_marked_and_those_after_it_unmarked() {
    everywhere(|place| {
        let mut producer = ring(&place, 8).build_producer(step).unwrap();
        let mut consumer = join(&place, "w");
        publish(&mut producer, 6);
        for round in 0..3 {
            let mut seen = vec![];
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                consumer.process_available(|_, sequence| {
                    seen.push(sequence);
                    if sequence == 2 {
                        resume_unwind(Box::new("a test"));
                    }
                })
            }));
            assert!(panicked.is_err());
            assert_eq!(seen.last(), Some(&2));
            let lease = consumer.try_consume_next_leased().unwrap();
            assert_eq!((lease.sequence(), lease.redeliveries()), (2, round + 1));
            lease.release_unread();
        }
        assert!(consumer.skip());
        assert!(!consumer.try_consume_next_leased().unwrap().is_redelivered());
        assert_eq!(drain(&mut consumer), [4, 5]);
    });
}

#[test]
fn a_batch_lease_that_a_panic_takes_comes_again_one_event_at_a_time() {
    everywhere(|place| {
        let mut producer = ring(&place, 8).build_producer(step).unwrap();
        let mut consumer = join(&place, "w");
        publish(&mut producer, 6);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _batch = consumer.try_consume_batch_leased(4).unwrap();
            resume_unwind(Box::new("a test"));
        }));
        assert!(panicked.is_err());
        for sequence in 0..4 {
            let batch = consumer.try_consume_batch_leased(4).unwrap();
            assert_eq!((batch.first_sequence(), batch.len(), batch.redeliveries(0)), (sequence, 1, 1));
        }
        let batch = consumer.try_consume_batch_leased(4).unwrap();
        assert_eq!((batch.first_sequence(), batch.len(), batch.redeliveries(0)), (4, 2, 0));
    });
}

/// A consumer that its own handler can reach.
type Own = Arc<Mutex<Option<AutoConsumer>>>;

/// Publishes an event whose handler calls `end` on its own consumer, and returns the result.
fn in_its_own_handler<T: Send + 'static>(place: &Place, end: fn(AutoConsumer) -> T) -> T {
    let mut producer = ring(place, 8).build_producer(step).unwrap();
    let own = Own::default();
    let (answer, answered) = channel();
    let taken = Arc::clone(&own);
    let consumer = start(place, move |_, _, _| {
        if let Some(consumer) = taken.lock().unwrap().take() {
            answer.send(end(consumer)).unwrap();
        }
    });
    *own.lock().unwrap() = Some(consumer);
    publish(&mut producer, 1);
    let answer = answered.recv_timeout(PATIENCE).expect("the handler returns");
    // Its thread ends by itself, and gives up its entry.
    eventually("the end of the thread", || producer.consumers().iter().all(|consumer| !consumer.alive));
    answer
}

#[test]
fn a_consumer_can_be_dropped_in_its_own_handler() {
    everywhere(|place| in_its_own_handler(&place, drop));
}

#[test]
fn a_handler_that_waits_for_its_own_thread_is_told_so() {
    everywhere(|place| {
        let end = in_its_own_handler(&place, |consumer| consumer.shutdown_and_join().unwrap());
        assert!(matches!(end, AutoConsumerEnd::InItsHandler));
    });
}

#[test]
fn a_child_of_fork_that_drops_what_has_a_thread_in_its_parent_neither_panics_nor_waits() {
    everywhere(|place| {
        let mut producer = ring(&place, 8).build_producer(step).unwrap();
        producer.enable_required_consumer_liveness(RequiredConsumerLivenessConfig::new(["w"])).unwrap();
        producer.watch_required_consumers(Duration::from_millis(5)).unwrap();
        let handled = Arc::new(AtomicI64::new(0));
        let count = Arc::clone(&handled);
        let start_one = |id: &str| {
            let count = Arc::clone(&count);
            let builder = attach_shared_consumer::<Step>(place.clone(), 0).with_consumer_id(id);
            builder
                .handle_events_with(move |_, _, _| {
                    count.fetch_add(1, Ordering::Relaxed);
                })
                .unwrap()
        };
        let mut consumers = Some((start_one("a"), start_one("b"), start_one("w")));
        let mut producer = Some(producer);
        let mut child = fork_then(|| {
            let (dropped, joined, asked) = consumers.take().unwrap();
            let is_running = asked.is_running();
            drop(dropped);
            let end = joined.shutdown_and_join().unwrap();
            drop(producer.take());
            i32::from(is_running || !matches!(end, AutoConsumerEnd::Forked))
        });
        assert_eq!(child.wait_exit(PATIENCE).code(), Some(0));
        // The parent's handles have not changed.
        producer.as_mut().unwrap().publish_managed(|_| ()).unwrap();
        eventually("all three", || handled.load(Ordering::Relaxed) == 3);
        let (a, b, w) = consumers.unwrap();
        assert!(a.is_running() && b.is_running() && w.is_running());
    });
}

#[test]
fn a_child_that_a_handler_forks_can_drop_the_consumer_of_that_handler() {
    everywhere(|place| {
        let mut producer = ring(&place, 8).build_producer(step).unwrap();
        let own = Own::default();
        let (answer, answered) = channel();
        let mine = Arc::clone(&own);
        let consumer = start(&place, move |_, _, _| {
            let mut consumer = mine.lock().unwrap();
            let mut child = fork_then(|| {
                drop(consumer.take());
                0
            });
            answer.send(child.wait_exit(PATIENCE).code()).unwrap();
        });
        *own.lock().unwrap() = Some(consumer);
        publish(&mut producer, 2);
        for _ in 0..2 {
            assert_eq!(answered.recv_timeout(PATIENCE).expect("the handler returns"), Some(0));
        }
        drop(own.lock().unwrap().take());
    });
}
