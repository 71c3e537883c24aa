//! How an end ends: what a panic, a drop and a farewell leave, and what the peers are told.

use crate::actor::Actor;
use crate::stage::{Step, TempDir, drain, eventually, everywhere, fill, in_ms, join, publish, ring, step, watchdog};
use disruptor_mp::liveness::{Ending, WaitingFor};
use disruptor_mp::segment::{GcOutcome, Place, gc};
use disruptor_mp::{
    ConsumeError, MultiProcessError, Origin, Patience, PublishError, SharedConsumer, SharedDisruptorBuilder,
    SharedProducer, attach_shared_consumer,
};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;
use testkit::names::ShmGuard;

/// Runs `work`, which must panic. The panic drops what it owns.
fn panics(work: impl FnOnce()) {
    assert!(catch_unwind(AssertUnwindSafe(work)).is_err(), "it was to panic");
}

fn panic_now() {
    resume_unwind(Box::new("on purpose"));
}

/// Drops `end` in a panic.
fn drop_by_panic<T>(end: T) {
    panics(|| {
        let _end = end;
        panic_now();
    });
}

/// The only consumer in the table: its id, whether its owner is there, and how the owner ended.
fn only(producer: &SharedProducer<Step>) -> (String, bool, Option<Ending>) {
    let consumers = producer.consumers();
    assert_eq!(consumers.len(), 1, "{consumers:?}");
    (consumers[0].id.clone(), consumers[0].alive, consumers[0].ending)
}

/// The error of a publish into a full ring.
fn told(producer: &mut SharedProducer<Step>) -> (String, u32, Ending, String) {
    match producer.publish_deadline(in_ms(20_000), |_| panic!("must not run")) {
        Err(error @ PublishError::ConsumerDied { .. }) => {
            let text = error.to_string();
            let PublishError::ConsumerDied { id, pid, how, report } = error else { unreachable!() };
            assert_eq!(report.culprit.as_ref().unwrap().ending, Some(how));
            (id, pid, how, text)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_panic_with_a_lease_in_hand_keeps_the_place_and_the_events_come_again() {
    everywhere(|place| {
        let mut producer = ring(&place, 4).build_producer(step).unwrap();
        let mut consumer = join(&place, "w");
        publish(&mut producer, 4);
        panics(move || {
            let _lease = consumer.try_consume_next_leased().unwrap();
            panic_now();
        });
        assert_eq!(only(&producer), ("w".to_owned(), false, Some(Ending::Panicked)));
        let (id, pid, how, text) = told(&mut producer);
        assert_eq!((id.as_str(), pid, how), ("w", std::process::id(), Ending::Panicked));
        assert!(text.contains(&format!("w was dropped by a panic; process {pid} lives")), "{text}");
        assert!(!text.contains("dead") && !text.contains("died"), "{text}");
        assert_eq!(producer.check_peers()[0].ending, Some(Ending::Panicked));

        let mut back = join(&place, "w");
        assert!(back.has_rejoined());
        assert_eq!(only(&producer), ("w".to_owned(), true, None), "an ending is that of its owner only");
        assert_eq!(back.try_consume_next_leased().unwrap().redeliveries(), 1);
        assert_eq!(drain(&mut back), [1, 2, 3]);
        assert_eq!(fill(&mut producer), 4);
    });
}

#[test]
fn a_drop_leaves_unless_the_place_is_to_be_kept() {
    type Keep = fn(SharedDisruptorBuilder<Step>) -> SharedConsumer<Step>;
    let by_builder: Keep = |builder| builder.keep_place().build_consumer().unwrap();
    let by_consumer: Keep = |builder| {
        let mut consumer = builder.build_consumer().unwrap();
        consumer.keep_place();
        consumer
    };
    everywhere(|place| {
        let mut producer = ring(&place, 4).build_producer(step).unwrap();
        drop(join(&place, "w"));
        assert_eq!(producer.consumers(), []);
        for keep in [by_builder, by_consumer] {
            let kept = keep(attach_shared_consumer(place.clone(), 0).with_consumer_id("w"));
            fill(&mut producer);
            drop(kept);
            assert_eq!(only(&producer), ("w".to_owned(), false, Some(Ending::Dropped)));
            let (_, _, how, text) = told(&mut producer);
            assert_eq!(how, Ending::Dropped);
            assert!(text.contains("w was dropped and has kept its entry; process") && !text.contains("dead"), "{text}");
            let back = join(&place, "w");
            assert!(back.has_rejoined());
            back.leave();
            assert_eq!(producer.consumers(), []);
        }
    });
}

#[test]
fn who_leaves_gives_a_kept_place_up_also_while_a_panic_unwinds() {
    everywhere(|place| {
        let mut producer = ring(&place, 4).build_producer(step).unwrap();
        let mut consumer = join(&place, "w");
        consumer.keep_place();
        consumer.leave();
        assert_eq!(producer.consumers(), []);
        let mut consumer = join(&place, "w");
        consumer.keep_place();
        consumer.leave_on_drop();
        drop_by_panic(consumer);
        assert_eq!(producer.consumers(), []);
        publish(&mut producer, 8);
    });
}

#[test]
fn an_end_that_a_destructor_makes_while_a_panic_unwinds_leaves() {
    struct Farewell(Place);
    impl Drop for Farewell {
        fn drop(&mut self) {
            assert!(std::thread::panicking());
            drop(join(&self.0, "w"));
        }
    }
    everywhere(|place| {
        let producer = ring(&place, 4).build_producer(step).unwrap();
        drop_by_panic(Farewell(place.clone()));
        assert_eq!(producer.consumers(), [], "the panic was under way before the end was made");
        // A consumer that outlives that panic is dropped by the next panic.
        struct Late(Place, std::sync::mpsc::Sender<SharedConsumer<Step>>);
        impl Drop for Late {
            fn drop(&mut self) {
                self.1.send(join(&self.0, "w")).unwrap();
            }
        }
        let (sender, receiver) = std::sync::mpsc::channel();
        drop_by_panic(Late(place.clone(), sender));
        let mut consumer = receiver.recv().unwrap();
        consumer.check_producer().unwrap();
        drop_by_panic(consumer);
        assert_eq!(only(&producer).2, Some(Ending::Panicked));
    });
}

#[test]
fn an_end_that_has_read_up_to_closed_gives_its_place_up_and_another_keeps_it() {
    everywhere(|place| {
        let attach = |id| attach_shared_consumer::<Step>(place.clone(), 0).with_consumer_id(id).keep_place();
        let mut producer = ring(&place, 4).build_producer(step).unwrap();
        let (mut done, behind) = (attach("done").build_consumer().unwrap(), attach("behind").build_consumer().unwrap());
        let tap = attach_shared_consumer::<Step>(place.clone(), 0).build_tap().unwrap();
        publish(&mut producer, 3);
        producer.close();
        assert_eq!(drain(&mut done), [0, 1, 2]);
        drop(done);
        drop(behind);
        let left: Vec<_> = tap.consumers().into_iter().map(|consumer| (consumer.id, consumer.ending)).collect();
        assert_eq!(left, [("behind".to_owned(), Some(Ending::Dropped))]);
    });
}

#[test]
fn a_place_under_an_id_that_was_made_is_never_kept() {
    everywhere(|place| {
        let mut producer = ring(&place, 4).build_producer(step).unwrap();
        let attach = || attach_shared_consumer::<Step>(place.clone(), 0).keep_place().build_consumer().unwrap();
        drop(attach());
        drop_by_panic(attach());
        assert_eq!(producer.consumers(), [], "no consumer could come back to them");
        publish(&mut producer, 8);
    });
}

#[test]
fn a_kept_place_can_be_evicted() {
    everywhere(|place| {
        let mut producer = ring(&place, 4).build_producer(step).unwrap();
        let consumer = join(&place, "w");
        publish(&mut producer, 4);
        drop_by_panic(consumer);
        assert!(producer.evict_consumer("w").unwrap());
        assert_eq!(producer.consumers(), []);
        publish(&mut producer, 8);
        assert!(!join(&place, "w").has_rejoined());
    });
}

#[test]
fn a_ring_in_which_only_kept_places_are_left_is_collected() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let place = Place::from(shm.name("a"));
    let mut producer = Actor::new();
    producer.does(format!("produce {} 4", shm.name("a")));
    let mut consumer = join(&place, "w");
    consumer.keep_place();
    producer.dies();
    drop(consumer);
    assert_eq!(shm.leftovers().len(), 1, "the drop of a kept entry collects nothing");
    assert_eq!(gc(place).unwrap(), GcOutcome::Removed);
    shm.assert_nothing_left();
}

#[test]
fn a_consumer_of_records_keeps_its_place_like_one_of_events() {
    everywhere(|place| {
        let mut producer = SharedDisruptorBuilder::records(place.clone(), 4096).build_record_producer().unwrap();
        let attach =
            || SharedDisruptorBuilder::records(place.clone(), 0).with_consumer_id("w").build_record_consumer().unwrap();
        let mut consumer = attach();
        for number in 0..3_u8 {
            producer.publish(&[number], 0, 0, Patience::Now).unwrap();
        }
        panics(move || {
            drop(consumer.next(Patience::Now).unwrap());
            let _second = consumer.next(Patience::Now).unwrap().unwrap();
            panic_now();
        });
        assert_eq!(producer.consumers()[0].ending, Some(Ending::Panicked));
        let mut back = attach();
        assert!(back.has_rejoined());
        let record = back.next(Patience::Now).unwrap().unwrap();
        assert_eq!((&record[..], record.redeliveries()), (&[1_u8][..], 1));
        drop(record);
        back.leave();
        assert_eq!(producer.consumers(), []);
    });
}

#[test]
fn a_consumer_that_panics_in_another_process_is_dead_only_when_that_process_is() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let place = Place::from(shm.name("a"));
    let mut producer = ring(&place, 4).build_producer(step).unwrap();
    let mut worker = Actor::new();
    let pid = worker.pid();
    worker.does(format!("attach {} w", shm.name("a")));
    publish(&mut producer, 4);
    worker.does("panic");
    let (_, named, how, text) = told(&mut producer);
    assert_eq!((named, how), (pid, Ending::Panicked));
    assert!(text.contains(&format!("w was dropped by a panic; process {pid} lives")), "{text}");
    worker.dies();
    let (_, _, how, text) = told(&mut producer);
    assert_eq!(how, Ending::Panicked);
    assert!(text.contains(&format!("process {pid} has ended")), "{text}");
    assert!(join(&place, "w").has_rejoined());
}

#[test]
fn a_publisher_that_sleeps_is_woken_by_a_panic_of_whom_it_waits_for() {
    everywhere(|place| {
        let mut producer =
            ring(&place, 4).with_wait_strategy(disruptor_mp::WaitStrategy::Block).build_producer(step).unwrap();
        let consumer = join(&place, "w");
        publish(&mut producer, 4);
        let counters = producer.ring_counters();
        let publishing = std::thread::spawn(move || told(&mut producer));
        let parks = disruptor_mp::counters::ids::PRODUCER_PARK_COUNT;
        eventually("a sleeping producer", || counters.snapshot().iter().any(|c| c.id == parks && c.value > 0));
        drop_by_panic(consumer);
        assert_eq!(publishing.join().unwrap().2, Ending::Panicked);
    });
}

#[test]
fn a_producer_that_a_panic_drops_has_not_closed_its_ring_and_another_takes_it_over() {
    everywhere(|place| {
        let mut producer = ring(&place, 8).build_producer(step).unwrap();
        let mut consumer = join(&place, "w");
        let mut tap = attach_shared_consumer::<Step>(place.clone(), 0).build_tap().unwrap();
        publish(&mut producer, 3);
        drop_by_panic(producer);
        // Everything published is delivered first.
        consumer.check_producer().unwrap();
        assert_eq!(drain(&mut consumer), [0, 1, 2]);
        for _ in 0..2 {
            match consumer.wait_until_available(None) {
                Err(error @ ConsumeError::ProducerDied { .. }) => {
                    let text = error.to_string();
                    let ConsumeError::ProducerDied { pid, how, report } = error else { unreachable!() };
                    assert_eq!((pid, how), (std::process::id(), Ending::Panicked));
                    let culprit = report.culprit.as_ref().unwrap();
                    assert_eq!((culprit.ending, culprit.is_dead), (Some(Ending::Panicked), false));
                    assert!(text.contains("was dropped by a panic; process") && !text.contains("dead"), "{text}");
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(consumer.stall_report(Duration::ZERO).culprit.unwrap().ending, Some(Ending::Panicked));
        for expected in 0..3 {
            assert_eq!(tap.next(in_ms(20_000)).unwrap().0, expected);
        }
        assert!(matches!(tap.next(in_ms(5)), Err(ConsumeError::TimedOut { .. })), "a tap waits for the next producer");
        let mut next = ring(&place, 8).build_producer(step).unwrap();
        assert_eq!((next.origin(), next.last_published_sequence()), (Origin::TookOver, 2));
        publish(&mut next, 2);
        assert_eq!(drain(&mut consumer), [3, 4]);
        assert_eq!(consumer.stall_report(Duration::ZERO).waiting_for, WaitingFor::Data);
        next.close();
        assert!(matches!(consumer.wait_until_available(None), Err(ConsumeError::Closed)));
    });
}

#[test]
fn a_producer_that_a_panic_drops_leaves_nothing_where_no_consumer_lives_or_has_kept_a_place() {
    // `everywhere` checks that nothing is left.
    everywhere(|place| {
        let mut producer = ring(&place, 8).build_producer(step).unwrap();
        let consumer = attach_shared_consumer::<Step>(place.clone(), 0).build_consumer().unwrap();
        let mut tap = attach_shared_consumer::<Step>(place.clone(), 0).build_tap().unwrap();
        publish(&mut producer, 3);
        drop_by_panic(consumer);
        drop_by_panic(producer);
        for expected in 0..3 {
            assert_eq!(tap.next(in_ms(20_000)).unwrap().0, expected);
        }
        let told = tap.next(in_ms(20_000)).map(|(sequence, _)| sequence);
        assert!(matches!(told, Err(ConsumeError::Replaced)), "a tap waits for a producer that cannot come: {told:?}");
    });
}

/// A program that does not know rings may remove the name, or a replacer that was killed before it had marked the ring.
#[test]
fn a_tap_of_a_ring_that_has_lost_its_name_and_its_producer_is_told_that_no_other_comes() {
    let _watchdog = watchdog();
    let (shm, dir) = (ShmGuard::new(), TempDir::new());
    for (place, has_successor) in [
        (Place::from(shm.name("a")), false),
        (Place::from(dir.path().join("a")), false),
        (Place::from(shm.name("b")), true),
        (Place::from(dir.path().join("b")), true),
    ] {
        let mut producer = ring(&place, 8).build_producer(step).unwrap();
        let mut consumer = join(&place, "w");
        let mut tap = attach_shared_consumer::<Step>(place.clone(), 0).build_tap().unwrap();
        publish(&mut producer, 1);
        std::fs::remove_file(place.path().unwrap()).unwrap();
        let successor = has_successor.then(|| ring(&place, 8).build_producer(step).unwrap());
        assert_eq!(tap.next(in_ms(20_000)).unwrap().0, 0);
        let told = tap.next(in_ms(5)).map(|(sequence, _)| sequence);
        assert!(matches!(told, Err(ConsumeError::TimedOut { .. })), "the producer lives: {told:?}");
        publish(&mut producer, 1);
        assert_eq!(tap.next(in_ms(20_000)).unwrap().0, 1);
        drop_by_panic(producer);
        // At the end of a short wait, and long before that of a long one.
        for patience_ms in [1, 3_600_000] {
            let told = tap.next(in_ms(patience_ms)).map(|(sequence, _)| sequence);
            assert!(matches!(told, Err(ConsumeError::Replaced)), "{told:?}");
        }
        assert_eq!(drain(&mut consumer), [0, 1]);
        drop(successor);
    }
    shm.assert_nothing_left();
}

#[test]
fn a_producer_that_a_panic_drops_leaves_its_ring_to_a_place_that_is_kept() {
    everywhere(|place| {
        let mut producer = ring(&place, 8).build_producer(step).unwrap();
        let consumer = join(&place, "w");
        publish(&mut producer, 3);
        drop_by_panic(consumer);
        drop_by_panic(producer);
        let mut successor = join(&place, "w");
        assert!(successor.has_rejoined());
        assert_eq!(drain(&mut successor), [0, 1, 2]);
        // The last consumer that leaves a ring without a producer removes it.
        successor.leave();
    });
}

#[test]
fn a_start_up_that_fails_leaves_a_ring_that_it_took_over_as_it_was() {
    everywhere(|place| {
        let mut producer = ring(&place, 8).build_producer(step).unwrap();
        let mut consumer = join(&place, "w");
        publish(&mut producer, 2);
        drop_by_panic(producer);
        let failed = ring(&place, 8).wait_for_consumers(2, Duration::ZERO).build_producer(step).map(drop);
        assert!(matches!(failed, Err(MultiProcessError::CoordinationTimeout { .. })), "{failed:?}");
        assert_eq!(drain(&mut consumer), [0, 1]);
        let end = consumer.wait_until_available(None);
        assert!(matches!(end, Err(ConsumeError::ProducerDied { .. })), "{end:?}");
        let mut next = ring(&place, 8).build_producer(step).unwrap();
        assert_eq!(next.origin(), Origin::TookOver);
        publish(&mut next, 1);
        assert_eq!(drain(&mut consumer), [2]);
    });
}
