//! A consumer with its own thread: it can be stopped, and it ends with a reason.

use crate::stage::{Step, eventually, everywhere, in_ms, publish, ring, step, watchdog};
use disruptor_mp::liveness::Ending;
use disruptor_mp::{
    AutoConsumerEnd, ConsumeError, PublishError, SharedDisruptorBuilder, SharedProducer, WaitStrategy,
    attach_shared_consumer,
};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use testkit::names::ShmGuard;
use testkit::process::{Respawn, is_victim, role, say, wait_to_be_killed};
use testkit::test_name;

fn attach(place: disruptor_mp::segment::Place) -> SharedDisruptorBuilder<Step> {
    attach_shared_consumer(place, 8).with_consumer_id("w")
}

#[test]
fn a_handler_sees_every_event_in_order_and_the_end_of_each_batch() {
    everywhere(|place| {
        let mut producer = ring(&place, 8).build_producer(step).unwrap();
        let seen = Arc::new(Mutex::new(vec![]));
        let notes = Arc::clone(&seen);
        let consumer = attach(place)
            .handle_events_with(move |event, sequence, is_last| {
                assert_eq!(event.sequence as i64, sequence);
                notes.lock().unwrap().push((sequence, is_last));
            })
            .unwrap();
        for n in 0..1000 {
            producer.publish(|slot| slot.sequence = n).unwrap();
        }
        producer.close();
        let end = consumer.join().unwrap();
        assert!(matches!(end, AutoConsumerEnd::RingEnded(ConsumeError::Closed)), "{end:?}");
        let seen = seen.lock().unwrap();
        assert!(seen.iter().map(|(sequence, _)| *sequence).eq(0..1000));
        assert!(seen.last().unwrap().1, "the last event ends a batch");
    });
}

#[test]
fn it_can_be_stopped_while_traffic_flows() {
    for strategy in [WaitStrategy::Adaptive, WaitStrategy::Block, WaitStrategy::BusySpinWithSpinLoopHint] {
        everywhere(|place| {
            let mut producer = ring(&place, 8).build_producer(step).unwrap();
            let handled = Arc::new(AtomicI64::new(-1));
            let note = Arc::clone(&handled);
            let consumer = attach(place.clone())
                .handle_events_batch(move |_, sequence, _| note.store(sequence, Ordering::Relaxed), strategy)
                .unwrap();
            let stop = Arc::new(AtomicBool::new(false));
            let until = Arc::clone(&stop);
            let traffic = std::thread::spawn(move || {
                while !until.load(Ordering::Relaxed) {
                    let _ = producer.try_publish(|slot| slot.sequence = 0);
                }
                producer
            });
            eventually("traffic", || handled.load(Ordering::Relaxed) > 100);
            assert!(consumer.is_running());
            assert!(matches!(consumer.leave().unwrap(), AutoConsumerEnd::ShutDown));
            stop.store(true, Ordering::Relaxed);
            let producer = traffic.join().unwrap();
            assert_eq!(producer.consumers(), [], "its entry was given up");
        });
    }
}

/// How the one consumer of the ring ended.
fn ending(producer: &SharedProducer<Step>) -> Option<Ending> {
    producer.consumers()[0].ending
}

#[test]
fn it_can_be_stopped_while_nothing_happens_and_by_dropping_it() {
    everywhere(|place| {
        let producer = ring(&place, 8).build_producer(step).unwrap();
        let consumer = attach(place.clone()).handle_events_with(|_, _, _| ()).unwrap();
        assert!(consumer.is_running());
        assert!(matches!(consumer.shutdown_and_join().unwrap(), AutoConsumerEnd::ShutDown));
        assert_eq!(ending(&producer), Some(Ending::Dropped));
        drop(attach(place.clone()).handle_events_with(|_, _, _| ()).unwrap());
        assert_eq!(ending(&producer), Some(Ending::Dropped));
        attach(place.clone()).handle_events_with(|_, _, _| ()).unwrap().leave().unwrap();
        assert_eq!(producer.consumers(), []);
        // No consumer could come back to an entry without an id.
        drop(attach_shared_consumer::<Step>(place.clone(), 8).handle_events_with(|_, _, _| ()).unwrap());
        assert_eq!(producer.consumers(), []);
    });
}

#[test]
fn one_that_cannot_be_started_keeps_the_place_of_the_one_it_was_to_go_on_for() {
    everywhere(|place| {
        let mut producer = ring(&place, 8).build_producer(step).unwrap();
        let start = |core| {
            let builder = attach(place.clone());
            let builder = if let Some(core) = core { builder.with_consumer_core(core) } else { builder };
            let (told, events) = channel();
            (builder.handle_events_with(move |_, sequence, _| told.send(sequence).unwrap()), events)
        };
        assert!(start(Some(usize::MAX)).0.is_err());
        assert_eq!(producer.consumers(), [], "it had no predecessor");
        drop(start(None).0.unwrap());
        publish(&mut producer, 4);
        assert!(start(Some(usize::MAX)).0.is_err());
        assert_eq!(ending(&producer), Some(Ending::Dropped), "four events wait for its successor");
        let (successor, events) = start(None);
        assert!(events.into_iter().take(4).eq(0..4));
        drop(successor);
    });
}

#[test]
fn one_that_is_stopped_keeps_its_place_and_its_successor_goes_on_unmarked() {
    everywhere(|place| {
        let mut producer = ring(&place, 8).build_producer(step).unwrap();
        let (arrive, arrived) = channel();
        let (let_go, may_go) = channel::<()>();
        let consumer = attach(place.clone())
            .handle_events_with(move |_, sequence, _| {
                if sequence == 2 {
                    arrive.send(()).unwrap();
                    may_go.recv().unwrap();
                }
            })
            .unwrap();
        publish(&mut producer, 6);
        arrived.recv().unwrap();
        consumer.shutdown();
        let_go.send(()).unwrap();
        drop(consumer);
        let mut successor = attach(place).build_consumer().unwrap();
        assert!(successor.has_rejoined());
        for sequence in 3..6 {
            let lease = successor.try_consume_next_leased().unwrap();
            assert_eq!((lease.sequence(), lease.redeliveries()), (sequence, 0), "it was not handed to the handler");
        }
    });
}

#[test]
fn one_that_has_handled_everything_up_to_closed_gives_its_place_up() {
    everywhere(|place| {
        let mut producer = ring(&place, 8).build_producer(step).unwrap();
        let consumer = attach(place.clone()).handle_events_with(|_, _, _| ()).unwrap();
        let tap = attach(place.clone()).build_tap().unwrap();
        publish(&mut producer, 3);
        producer.close();
        assert!(matches!(consumer.join().unwrap(), AutoConsumerEnd::RingEnded(ConsumeError::Closed)));
        assert_eq!(tap.consumers(), []);
    });
}

#[test]
fn a_handler_that_panics_keeps_the_place_and_its_successor_gets_the_event_again() {
    everywhere(|place| {
        let mut producer = ring(&place, 8).build_producer(step).unwrap();
        for count in 1..=2 {
            let consumer = attach(place.clone())
                .handle_events_with(|_, sequence, _| {
                    if sequence == 2 {
                        std::panic::resume_unwind(Box::new("the handler's own words"));
                    }
                })
                .unwrap();
            if count == 1 {
                producer.publish_batch(5, |slot, i| slot.sequence = i as u64).unwrap();
            }
            eventually("the end of the thread", || !consumer.is_running());
            let panic = consumer.join().unwrap_err();
            assert_eq!(*panic.downcast_ref::<&str>().unwrap(), "the handler's own words");
            assert_eq!(ending(&producer), Some(Ending::Panicked));
        }
        publish(&mut producer, 5);
        match producer.publish_deadline(in_ms(20_000), |_| ()) {
            Err(PublishError::ConsumerDied { id, how, .. }) => assert_eq!((id.as_str(), how), ("w", Ending::Panicked)),
            other => panic!("{other:?}"),
        }
        let mut successor = attach(place).build_consumer().unwrap();
        assert!(successor.has_rejoined());
        for sequence in 2..10 {
            let lease = successor.try_consume_next_leased().unwrap();
            assert_eq!((lease.sequence(), lease.redeliveries()), (sequence, if sequence == 2 { 2 } else { 0 }));
        }
    });
}

#[test]
#[ignore = "runs as a victim"]
fn victim_that_handles_without_descriptors() {
    if !is_victim() {
        return;
    }
    let consumer = attach_shared_consumer::<Step>(role().unwrap().as_str(), 8)
        .with_consumer_id("w")
        .handle_events_batch(|_, sequence, _| say(&format!("HANDLED {sequence}")), WaitStrategy::Block)
        .unwrap();
    testkit::close_descriptors_above(2);
    // Time for several looks at the producer's lock. If there are fewer, the test checks less; it does not fail.
    std::thread::sleep(std::time::Duration::from_millis(200));
    say(if consumer.is_running() { "READY" } else { "ENDED" });
    wait_to_be_killed();
}

#[test]
fn a_refusal_of_the_kernel_does_not_end_a_handler() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let place = disruptor_mp::segment::Place::from(shm.name("r"));
    let mut producer = ring(&place, 8).build_producer(step).unwrap();
    let mut victim = Respawn::test(test_name!(victim_that_handles_without_descriptors)).role(shm.name("r")).spawn();
    victim.wait_line("READY");
    publish(&mut producer, 1);
    assert_eq!(victim.wait_line(""), "HANDLED 0");
    victim.kill_and_reap();
}
