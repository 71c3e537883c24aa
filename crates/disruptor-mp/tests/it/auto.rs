//! A consumer on a thread of its own: it can be stopped, and it ends with a reason.

use crate::stage::{drain, eventually, everywhere, publish, ring, step};
use disruptor_mp::liveness::Ending;
use disruptor_mp::{AutoConsumerEnd, ConsumeError, SharedDisruptorBuilder, WaitStrategy, attach_shared_consumer};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

fn attach(place: disruptor_mp::segment::Place) -> SharedDisruptorBuilder<crate::stage::Step> {
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
            assert!(matches!(consumer.shutdown_and_join().unwrap(), AutoConsumerEnd::ShutDown));
            stop.store(true, Ordering::Relaxed);
            let producer = traffic.join().unwrap();
            assert_eq!(producer.consumers(), [], "its place was given back");
        });
    }
}

#[test]
fn it_can_be_stopped_while_nothing_happens_and_by_dropping_it() {
    everywhere(|place| {
        let producer = ring(&place, 8).build_producer(step).unwrap();
        let consumer = attach(place.clone()).handle_events_with(|_, _, _| ()).unwrap();
        assert!(consumer.is_running());
        assert!(matches!(consumer.shutdown_and_join().unwrap(), AutoConsumerEnd::ShutDown));
        drop(attach(place.clone()).handle_events_with(|_, _, _| ()).unwrap());
        assert_eq!(producer.consumers(), []);
    });
}

#[test]
fn a_handler_that_panics_leaves_it_not_running_and_its_event_unacknowledged() {
    everywhere(|place| {
        let mut producer = ring(&place, 8).build_producer(step).unwrap();
        let consumer = attach(place.clone())
            .handle_events_with(|_, sequence, _| {
                if sequence == 2 {
                    std::panic::resume_unwind(Box::new("the handler's own words"));
                }
            })
            .unwrap();
        let may_finish = producer.publish_batch(5, |slot, i| slot.sequence = i as u64).unwrap();
        assert_eq!(may_finish, 4);
        eventually("the end of the thread", || !consumer.is_running());
        let panic = consumer.join().unwrap_err();
        assert_eq!(*panic.downcast_ref::<&str>().unwrap(), "the handler's own words");
        // The panic has dropped the handle, and its place is kept for a successor.
        let kept = &producer.consumers()[0];
        assert_eq!((kept.id.as_str(), kept.alive, kept.ending), ("w", false, Some(Ending::Panicked)));
        let mut successor = attach(place).build_consumer().unwrap();
        assert!(successor.has_rejoined());
        assert_eq!(drain(&mut successor), [2, 3, 4]);
        publish(&mut producer, 8);
    });
}
