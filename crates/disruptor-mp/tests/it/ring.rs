//! What every ring does: one suite over all kinds of places.

use crate::stage::{Step, TempDir, drain, everywhere, fill, join, publish, ring, step, watchdog};
use disruptor_mp::segment::Place;
use disruptor_mp::{
    ConsumeError, CoordinationMode, CreateOptions, MultiProcessError, RingBufferFull, StartAt, WaitStrategy,
    attach_shared_consumer,
};
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[test]
fn events_arrive_in_order_through_many_laps() {
    everywhere(|place| {
        let mut producer = ring(&place, 4).build_producer(step).unwrap();
        let mut consumer = attach_shared_consumer::<Step>(place, 4).build_consumer().unwrap();
        let reader = std::thread::spawn(move || {
            for expected in 0..10_000 {
                let lease = consumer.consume_next_leased().unwrap();
                assert_eq!((lease.sequence(), lease.sequence as i64, lease.payload[2]), (expected, expected, 9));
            }
            assert!(matches!(consumer.consume_next_leased(), Err(ConsumeError::Closed)));
        });
        for n in 0..10_000 {
            producer
                .publish(|slot| {
                    slot.sequence = n;
                    slot.payload = [7, 8, 9];
                })
                .unwrap();
        }
        drop(producer);
        reader.join().unwrap();
    });
}

#[test]
fn a_full_ring_refuses_and_a_slow_consumer_gates() {
    everywhere(|place| {
        let mut producer = ring(&place, 4).build_producer(step).unwrap();
        let mut consumer = attach_shared_consumer::<Step>(place, 4).build_consumer().unwrap();
        for n in 0..4 {
            producer.try_publish(|slot| slot.sequence = n).unwrap();
        }
        assert_eq!(producer.try_publish(|_| panic!("must not run")), Err(RingBufferFull));
        assert_eq!(consumer.try_consume_next_leased().unwrap().sequence, 0);
        assert_eq!(producer.try_publish(|slot| slot.sequence = 4), Ok(4));
        let mut seen = vec![];
        assert_eq!(consumer.process_available(|event, _| seen.push(event.sequence)), 4);
        assert_eq!(seen, [1, 2, 3, 4]);
    });
}

#[test]
fn a_deadline_names_the_consumer_that_held_the_ring_back() {
    everywhere(|place| {
        let mut producer = ring(&place, 2).with_wait_strategy(WaitStrategy::Block).build_producer(step).unwrap();
        let _consumer = attach_shared_consumer::<Step>(place, 2).with_consumer_id("slow").with_rank(3).build_consumer();
        let deadline = Instant::now() + Duration::from_millis(5);
        producer.publish_batch(2, |_, _| ()).unwrap();
        let error = producer.publish_deadline(deadline, |_| ()).unwrap_err().to_string();
        assert!(error.contains("slow (rank 3)"), "{error}");
    });
}

#[test]
fn a_late_joiner_starts_at_the_tail_at_the_oldest_or_not_at_all() {
    everywhere(|place| {
        let mut producer = ring(&place, 4).build_producer(step).unwrap();
        for n in 0..3 {
            producer.publish(|slot| slot.sequence = n).unwrap();
        }
        let attach = |start| attach_shared_consumer::<Step>(place.clone(), 4).start_at(start).build_consumer();
        assert_eq!(attach(StartAt::Beginning).unwrap().try_consume_next_leased().unwrap().sequence, 0);
        assert!(attach(StartAt::Tail).unwrap().try_consume_next_leased().is_none());
        for n in 3..9 {
            producer.publish(|slot| slot.sequence = n).unwrap();
        }
        let mut oldest = attach(StartAt::Oldest).unwrap();
        let first = oldest.try_consume_next_leased().unwrap();
        assert_eq!(first.sequence as i64, first.sequence());
        assert!(matches!(attach(StartAt::Beginning), Err(MultiProcessError::Join { .. })));
    });
}

#[test]
fn a_buffer_holds_the_first_events_for_the_expected_consumers() {
    everywhere(|place| {
        let mut producer = ring(&place, 8)
            .with_coordination(CoordinationMode::BufferUntilConsumers { max_buffer: 3 })
            .with_expected_consumers(2)
            .build_producer(step)
            .unwrap();
        for n in 0..3 {
            producer.try_publish(|slot| slot.sequence = n).unwrap();
        }
        assert_eq!(producer.try_publish(|_| ()), Err(RingBufferFull));
        let attach = || attach_shared_consumer::<Step>(place.clone(), 8).build_consumer().unwrap();
        let (mut first, mut second) = (attach(), attach());
        let deadline = Instant::now() + Duration::from_secs(20);
        producer.publish_deadline(deadline, |slot| slot.sequence = 3).unwrap();
        assert_eq!(first.try_consume_next_leased().unwrap().sequence, 0);
        assert_eq!(second.try_consume_next_leased().unwrap().sequence, 0);
        assert!(attach().try_consume_next_leased().is_none());
    });
}

#[test]
fn every_consumer_of_a_full_table_has_its_counters() {
    let place = Place::heap();
    let producer = ring(&place, 4).build_producer(step).unwrap();
    let attach =
        |n| attach_shared_consumer::<Step>(place.clone(), 4).with_consumer_id(format!("w{n}")).build_consumer();
    let consumers: Vec<_> = (0..disruptor_mp::DEFAULT_MAX_CONSUMERS).map(|n| attach(n).unwrap()).collect();
    let counters = producer.ring_counters().snapshot();
    let of = |label: &str| counters.iter().filter(|counter| counter.label == label).count();
    for consumer in &consumers {
        assert_eq!(of(consumer.consumer_id()), of("w0"), "{}", consumer.consumer_id());
    }
}

#[test]
fn a_consumer_thread_that_cannot_be_pinned_leaves_nothing_behind() {
    let place = Place::heap();
    let producer = ring(&place, 4).build_producer(step).unwrap();
    let builder = attach_shared_consumer::<Step>(place, 4).with_consumer_core(usize::MAX);
    let error = builder.handle_events_with(|_, _, _| panic!("must not run")).unwrap_err();
    assert!(matches!(error, MultiProcessError::Core { .. }), "{error}");
    assert_eq!(producer.consumers(), []);
}

#[test]
fn a_consumer_that_joins_a_running_producer_is_never_lapped() {
    everywhere(|place| {
        let mut producer = ring(&place, 2).build_producer(step).unwrap();
        let stop = AtomicBool::new(false);
        std::thread::scope(|threads| {
            threads.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let next = producer.last_published_sequence() + 1;
                    let _ = producer.try_publish(|slot| slot.sequence = next as u64);
                }
            });
            for round in 0..100 {
                let start = if round % 2 == 0 { StartAt::Tail } else { StartAt::Oldest };
                let attach = attach_shared_consumer::<Step>(place.clone(), 2).start_at(start);
                let mut consumer = attach.build_consumer().unwrap();
                let first = consumer.current_sequence() + 1;
                for expected in first..first + 5 {
                    let event = consumer.consume_next_leased().unwrap();
                    assert_eq!((event.sequence(), event.sequence as i64), (expected, expected));
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
    });
}

#[test]
fn a_name_that_somebody_removed_does_not_make_consumers_disappear() {
    let _watchdog = watchdog();
    let dir = TempDir::new();
    let path = dir.path().join("ring");
    let place = Place::from(path.as_path());
    let mut producer = ring(&place, 4).build_producer(step).unwrap();
    let mut consumer = join(&place, "w");
    std::fs::remove_file(&path).unwrap();
    assert_eq!((fill(&mut producer), producer.get_consumer_count()), (4, 1));
    assert_eq!(drain(&mut consumer), [0, 1, 2, 3]);
    // Another ring may take the name. This one must not remove it.
    let _other = ring(&place, 4).build_producer(step).unwrap();
    drop((producer, consumer));
    assert_eq!(dir.entries(), ["ring"]);
}

#[test]
fn creating_and_joining_a_ring_touches_no_slot() {
    let _watchdog = watchdog();
    let dir = TempDir::new();
    let path = dir.path().join("ring");
    let builder =
        ring(&Place::from(path.as_path()), 1 << 20).with_create_options(CreateOptions::default().sparse(true));
    let mut producer = builder.build_producer(step).unwrap();
    let mut consumer = join(&Place::from(path.as_path()), "w");
    publish(&mut producer, 10);
    assert_eq!(drain(&mut consumer).len(), 10);
    let file = std::fs::metadata(path).unwrap();
    // Blocks of 512 bytes. The slots have 64 MiB; the table and the counters have less than one MiB.
    assert!(
        file.len() >= 64 << 20 && file.blocks() * 512 < 1 << 20,
        "{} bytes in {} blocks",
        file.len(),
        file.blocks()
    );
}

#[test]
fn a_ring_that_carries_something_else_is_refused_with_both_tags() {
    everywhere(|place| {
        const SAME: &str = "give both programs the same content tag";
        let attach = |tag: &str| attach_shared_consumer::<Step>(&place, 8).with_content_tag(tag).build_consumer();
        let producer = ring(&place, 8).with_content_tag("rkyv:Step/1").build_producer(step).unwrap();
        let wrong = attach("bincode:Step/1").expect_err("another tag").to_string();
        assert!(
            wrong.ends_with(&format!("carries `rkyv:Step/1`, and this program expects `bincode:Step/1`; {SAME}")),
            "{wrong}"
        );
        drop(attach("rkyv:Step/1").unwrap());
        drop(attach_shared_consumer::<Step>(&place, 8).build_consumer().expect("who does not ask is not refused"));
        drop(producer);
        let untagged = ring(&place, 8).build_producer(step).unwrap();
        let wrong = attach("rkyv:Step/1").expect_err("no tag").to_string();
        assert!(
            wrong.ends_with(&format!("carries no content tag, and this program expects `rkyv:Step/1`; {SAME}")),
            "{wrong}"
        );
        drop(untagged);
        let invalid = ring(&place, 8).with_content_tag("a\nb").build_producer(step).err();
        assert!(matches!(invalid, Some(MultiProcessError::InvalidContentTag { .. })));
    });
}
