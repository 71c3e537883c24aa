//! A consumer of records with its own thread: what its handler gets, and what happens to its entry.

use crate::stage::{eventually, everywhere, watchdog};
use disruptor_mp::liveness::Ending;
use disruptor_mp::segment::Place;
use disruptor_mp::{AutoConsumerEnd, ConsumeError, Lines, Patience, RecordProducer, SharedDisruptorBuilder};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

fn producer(place: &Place) -> RecordProducer {
    SharedDisruptorBuilder::records(place.clone(), 4096).build_record_producer().unwrap()
}

fn attach(place: &Place) -> SharedDisruptorBuilder<(), Lines> {
    SharedDisruptorBuilder::records(place.clone(), 0).with_consumer_id("w")
}

/// Publishes `count` records. The length and the bytes of each are its own number.
fn publish(producer: &mut RecordProducer, count: usize) {
    for _ in 0..count {
        let number = (producer.last_published_sequence() + 1) as usize % 200;
        producer.publish(&vec![number as u8; number], 3, 0, Patience::Endless).unwrap();
    }
}

#[test]
fn a_handler_sees_every_record_in_order_and_the_end_of_each_batch() {
    everywhere(|place| {
        let mut producer = producer(&place);
        let seen = Arc::new(Mutex::new(vec![]));
        let notes = Arc::clone(&seen);
        let consumer = attach(&place)
            .handle_records_with(move |bytes, meta, is_last| {
                let number = meta.sequence as usize % 200;
                assert_eq!((bytes, meta.kind, meta.redeliveries), (&vec![number as u8; number][..], 3, 0));
                notes.lock().unwrap().push((meta.sequence, is_last));
            })
            .unwrap();
        publish(&mut producer, 1000);
        producer.close();
        let end = consumer.join().unwrap();
        assert!(matches!(end, AutoConsumerEnd::RingEnded(ConsumeError::Closed)), "{end:?}");
        let seen = seen.lock().unwrap();
        assert!(seen.iter().map(|(sequence, _)| *sequence).eq(0..1000));
        assert!(seen.last().unwrap().1, "the last record ends a batch");
    });
}

/// A large ring that starts over has padding after a record; the handler is still told that the record is the last.
#[test]
fn the_record_before_padding_is_the_last_of_its_batch() {
    let _watchdog = watchdog();
    let place = Place::heap();
    let mut producer = SharedDisruptorBuilder::records(place.clone(), 16 << 20).build_record_producer().unwrap();
    let (told, ends) = channel();
    let _consumer = attach(&place).handle_records_with(move |_, _, is_last| told.send(is_last).unwrap()).unwrap();
    // One at a time, so each is a batch of its own; after a working set of 4 MiB the ring starts over.
    for number in 0..600 {
        producer.publish(&[7; 20_000], 0, 0, Patience::Endless).unwrap();
        assert_eq!(ends.recv(), Ok(true), "record {number}");
        eventually("the acknowledgement", || producer.is_consumed(number));
    }
}

#[test]
fn one_that_is_stopped_keeps_its_place_and_its_successor_goes_on_unmarked() {
    everywhere(|place| {
        let mut producer = producer(&place);
        let (arrive, arrived) = channel();
        let (let_go, may_go) = channel::<()>();
        let consumer = attach(&place)
            .handle_records_with(move |_, meta, _| {
                if meta.sequence == 2 {
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
        assert_eq!(producer.consumers()[0].ending, Some(Ending::Dropped));
        let mut successor = attach(&place).build_record_consumer().unwrap();
        assert!(successor.has_rejoined());
        for sequence in 3..6 {
            let lease = successor.next(Patience::Now).unwrap().unwrap();
            assert_eq!((lease.sequence(), lease.redeliveries()), (sequence, 0), "it was not handed to the handler");
        }
    });
}

#[test]
fn a_handler_that_panics_keeps_the_place_and_its_successor_gets_the_record_again() {
    everywhere(|place| {
        let mut producer = producer(&place);
        for count in 1..=2 {
            let consumer = attach(&place)
                .handle_records_with(|_, meta, _| {
                    if meta.sequence == 2 {
                        std::panic::resume_unwind(Box::new("the handler's own words"));
                    }
                })
                .unwrap();
            if count == 1 {
                let mut batch = producer.batch();
                for number in 0..5_u8 {
                    batch.publish(&vec![number; number.into()], 3, 0, Patience::Now).unwrap();
                }
            }
            eventually("the end of the thread", || !consumer.is_running());
            let panic = consumer.join().unwrap_err();
            assert_eq!(*panic.downcast_ref::<&str>().unwrap(), "the handler's own words");
            assert_eq!(producer.consumers()[0].ending, Some(Ending::Panicked));
        }
        let mut successor = attach(&place).build_record_consumer().unwrap();
        assert!(successor.has_rejoined());
        for sequence in 2..5 {
            let lease = successor.next(Patience::Now).unwrap().unwrap();
            assert_eq!((lease.sequence(), lease.redeliveries()), (sequence, if sequence == 2 { 2 } else { 0 }));
        }
    });
}

#[test]
fn a_handler_that_takes_long_is_acknowledged_as_it_goes() {
    everywhere(|place| {
        let mut producer = producer(&place);
        let (arrive, arrived) = channel();
        let (let_go, may_go) = channel::<()>();
        // They are published before the handler runs, so they are one batch.
        publish(&mut producer, 3);
        let consumer = attach(&place)
            .handle_records_with(move |_, meta, _| {
                // Longer than the interval, which is measured with a coarse clock.
                std::thread::sleep(std::time::Duration::from_millis(30));
                arrive.send(meta.sequence).unwrap();
                may_go.recv().unwrap();
            })
            .unwrap();
        for sequence in 0..3 {
            assert_eq!(arrived.recv(), Ok(sequence));
            // The records before the current one were acknowledged before that was handed out.
            assert_eq!(producer.consumer_sequence("w"), Some(sequence - 1));
            let_go.send(()).unwrap();
        }
        consumer.leave().unwrap();
        assert_eq!(producer.consumers(), []);
    });
}
