//! Numbers that no correct process has written, rings of other programs, and calls that cannot succeed.

use crate::actor::Actor;
use crate::stage::{
    ENTRY_BYTES, Forger, PATIENCE, Step, TempDir, drain, everywhere, fill, in_ms, join, publish, ring, step, watchdog,
};
use disruptor_mp::counters::ids;
use disruptor_mp::segment::{ABI, OpenError, Place, SegmentPlan};
use disruptor_mp::{
    BatchLease, ConsumeError, CoordinationMode, JoinError, MultiProcessError, Origin, PublishError,
    RequiredConsumerError, RequiredConsumerLivenessConfig, RingBufferFull, SharedCursorTrait, SharedRingBuffer,
    SizeUnit, StartAt, attach_shared_consumer, build_shared_single_producer, event,
};
use std::time::{Duration, Instant};
use testkit::fork::fork_then;

/// A ring of four in a file, and a `Forger` for it.
fn forged_ring() -> (TempDir, Place, disruptor_mp::SharedProducer<Step>, Forger) {
    let dir = TempDir::new();
    let path = dir.path().join("ring");
    let place = Place::from(path.as_path());
    let producer = ring(&place, 4).build_producer(step).unwrap();
    let forger = Forger::new(&path, 4);
    (dir, place, producer, forger)
}

#[test]
fn a_forged_position_never_switches_gating_off_and_is_counted() {
    let _watchdog = watchdog();
    for forged in [i64::MAX, i64::MAX - 4, i64::MIN, -1, 5, 1000, 1 << 40] {
        let (_dir, place, mut producer, forger) = forged_ring();
        let mut consumer = join(&place, "w");
        publish(&mut producer, 4);
        assert_eq!(fill(&mut producer), 0); // the producer has seen the position of the consumer
        forger.set_position(0, forged);
        assert_eq!(fill(&mut producer), 0, "{forged} made room");
        let counters = producer.ring_counters().snapshot();
        let counted = counters.iter().find(|counter| counter.id == ids::FORGED_CURSORS).unwrap().value;
        assert!(counted > 0, "{forged} was not counted");
        match producer.publish_deadline(in_ms(5), |_| ()) {
            Err(PublishError::TimedOut { report }) => assert_eq!(report.culprit.as_ref().unwrap().id, "w"),
            other => panic!("{other:?}"),
        }
        assert_eq!(producer.consumer_sequence("w"), Some(forged.saturating_sub(1)), "what it says is shown as it is");
        // The consumer knows its position: nothing that it reads was overwritten, and its next release counts.
        assert_eq!(drain(&mut consumer), [0, 1, 2, 3]);
        assert_eq!(fill(&mut producer), 4);
    }
}

#[test]
fn a_forged_position_of_a_required_consumer_ends_in_a_reason() {
    let _watchdog = watchdog();
    for forged in [i64::MAX, i64::MIN, -1, 1000] {
        let (_dir, place, mut producer, forger) = forged_ring();
        let mut consumer = join(&place, "w");
        let moment = Duration::from_millis(1);
        let required = RequiredConsumerLivenessConfig::new(["w"])
            .with_progress_timeout(moment)
            .with_progress_check_interval(moment)
            .with_shutdown_grace_period(moment);
        producer.enable_required_consumer_liveness(required).unwrap();
        publish(&mut producer, 4);
        assert_eq!(drain(&mut consumer), [0, 1, 2, 3]);
        assert_eq!(fill(&mut producer), 4);
        forger.set_position(0, forged);
        let shut = producer.publish_managed(|_| ()).unwrap_err();
        assert!(matches!(shut, RequiredConsumerError::GracefulShutdownTriggered { .. }), "{forged}: {shut:?}");
    }
}

#[test]
fn a_successor_that_finds_a_forged_cursor_does_not_overrun_a_lease() {
    let _watchdog = watchdog();
    for forged in [i64::MAX, i64::MIN, -1, 0, 1, 2, 3, 5] {
        let dir = TempDir::new();
        let path = dir.path().join("ring");
        let place = Place::from(path.as_path());
        let mut child = fork_then(|| {
            let mut producer = ring(&place, 4).build_producer(step).unwrap();
            let mut consumer = join(&place, "w");
            publish(&mut producer, 4);
            assert_eq!(drain(&mut consumer), [0, 1, 2, 3]);
            publish(&mut producer, 2);
            std::mem::forget((producer, consumer));
            0
        });
        assert_eq!(child.wait_exit(PATIENCE).code(), Some(0));
        let mut consumer = join(&place, "w");
        let leased = consumer.try_consume_batch_leased(4).unwrap();
        Forger::new(&path, 4).set_cursor(forged);
        let mut successor = ring(&place, 4).build_producer(step).unwrap();
        assert_eq!((successor.origin(), fill(&mut successor)), (Origin::TookOver, 2), "{forged}");
        assert!(leased.iter().map(|event| event.sequence).eq([4, 5]), "{forged}");
        drop(leased);
        assert_eq!(drain(&mut consumer), [6, 7], "{forged}");
    }
}

#[test]
fn a_position_that_goes_back_gates_where_it_was() {
    let _watchdog = watchdog();
    let (_dir, place, mut producer, forger) = forged_ring();
    let mut consumer = join(&place, "w");
    publish(&mut producer, 4);
    assert_eq!(drain(&mut consumer).len(), 4);
    assert_eq!(fill(&mut producer), 4);
    forger.set_position(0, 2);
    assert_eq!(fill(&mut producer), 0);
    assert_eq!(drain(&mut consumer), [4, 5, 6, 7]);
    assert_eq!(fill(&mut producer), 4);
}

#[test]
fn a_forged_cursor_never_makes_a_consumer_read_what_was_not_published() {
    let _watchdog = watchdog();
    // Not 4: the cursor of this ring could have that value.
    for forged in [i64::MAX, i64::MIN, -1, 0, 5, 1000] {
        let (_dir, place, mut producer, forger) = forged_ring();
        let mut consumer = join(&place, "w");
        let mut tap = attach_shared_consumer::<Step>(place.clone(), 4).build_tap().unwrap();
        publish(&mut producer, 2);
        forger.set_cursor(forged);
        // The other slots were never written, and a zero slot is an event.
        assert_eq!(drain(&mut consumer), [0, 1], "{forged}");
        for (sequence, event) in std::iter::from_fn(|| tap.try_next()) {
            assert_eq!((event.sequence as i64, sequence < 2), (sequence, true), "{forged}");
        }
        assert!(tap.producer_sequence() >= -1 && consumer.producer_sequence() >= -1);
        // A joiner starts at some position, and never reads an event under another number.
        drop(attach_shared_consumer::<Step>(place, 4).build_consumer().map(|mut late| drain(&mut late)));
        // The producer knows its position. After it has stored it, the tap continues there.
        let mut last = 0;
        for expected in 2..10 {
            publish(&mut producer, 1);
            assert_eq!(drain(&mut consumer), [expected], "{forged}");
            for (sequence, event) in std::iter::from_fn(|| tap.try_next()) {
                assert_eq!(event.sequence as i64, sequence, "{forged}");
                last = sequence;
            }
        }
        assert_eq!(last, 9, "{forged}");
    }
}

#[test]
fn no_bytes_in_the_table_and_the_control_lines_make_anybody_panic_or_hang() {
    let _watchdog = watchdog();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    for round in 0..60 {
        let (_dir, place, mut producer, forger) = forged_ring();
        let mut consumer = join(&place, "w");
        let mut tap = attach_shared_consumer::<Step>(place.clone(), 4).build_tap().unwrap();
        publish(&mut producer, 3);
        let plan = forger.plan;
        let (start, len) = match round % 3 {
            0 => (plan.control.offset, plan.control.len),
            1 => (plan.table.offset, 3 * ENTRY_BYTES),
            _ => (plan.counters.offset, 4096),
        };
        let bytes: Vec<u8> = match round / 3 {
            0 => vec![0xff; len as usize],
            1 => vec![0; len as usize],
            _ => (0..len / 8).flat_map(|_| (next() >> (next() % 64)).to_ne_bytes()).collect(),
        };
        forger.write(start, &bytes);

        let _ = producer.try_publish(|_| ());
        let _ = producer.try_publish_batch(3, |_, _| ());
        let _ = producer.publish_deadline(in_ms(1), |_| ());
        let _ = (producer.consumers(), producer.check_peers(), producer.get_consumer_count());
        let _ = producer.stall_report().to_string();
        let _ = (producer.is_consumed(1), producer.consumer_sequence("w"), producer.evict_consumer("w"));
        let _ = producer.ring_counters().snapshot();
        for _ in 0..20 {
            if consumer.try_consume_next_leased().is_none() {
                break;
            }
        }
        let _ = consumer.try_consume_batch_leased(10).map(|batch| batch.len());
        let _ = consumer.consume_next_leased_deadline(in_ms(1)).map(|event| event.sequence());
        let _ = (consumer.check_producer(), consumer.stall_report(Duration::ZERO).to_string());
        for _ in 0..20 {
            if tap.try_next().is_none() {
                break;
            }
        }
        let _ = (tap.consumers(), tap.producer_sequence(), tap.missed(), tap.ring_counters().snapshot());
        let _ = attach_shared_consumer::<Step>(place.clone(), 4).with_consumer_id("late").build_consumer().map(drop);
        let _ = ring(&place, 4).build_producer(step).map(drop);
    }
}

/// A struct with the size of [`Step`] and other fields.
mod other {
    use disruptor_mp::event;

    #[event]
    pub(crate) struct Step {
        pub(crate) sequence: u64,
        pub(crate) content: [u64; 3],
    }
}

#[test]
fn a_ring_of_another_type_of_the_same_size_is_refused_and_the_field_named() {
    assert_eq!(size_of::<Step>(), size_of::<other::Step>());
    everywhere(|place| {
        let mut producer = ring(&place, 4).build_producer(step).unwrap();
        let attach = || attach_shared_consumer::<other::Step>(place.clone(), 4);
        for error in [attach().build_consumer().err().unwrap(), attach().build_tap().err().unwrap()] {
            assert!(matches!(error, MultiProcessError::IncompatibleEvent { .. }), "{error}");
            let text = error.to_string();
            assert!(text.contains("`content`") && text.contains("`payload`"), "{text}");
        }
        assert_eq!(producer.consumers(), [], "it has not been in the table");
        publish(&mut producer, 8);
    });
}

#[test]
fn a_ring_of_another_shape_is_refused_and_the_number_named() {
    everywhere(|place| {
        let _producer = ring(&place, 4).build_producer(step).unwrap();
        match attach_shared_consumer::<Step>(place.clone(), 8).build_consumer().map(drop) {
            Err(MultiProcessError::OtherSize { unit, found, wanted, .. }) => {
                assert_eq!((unit, found, wanted), (SizeUnit::EventSlots, 4, 8));
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn another_version_of_the_layout_is_refused_with_both_versions() {
    let _watchdog = watchdog();
    let (_dir, place, _producer, forger) = forged_ring();
    forger.write(12, &7_u16.to_ne_bytes());
    forger.write(14, &3_u16.to_ne_bytes());
    let attach = || attach_shared_consumer::<Step>(place.clone(), 4);
    let errors = [
        attach().build_consumer().err().unwrap(),
        attach().build_tap().err().unwrap(),
        ring(&place, 4).take_over().build_producer(step).err().unwrap(),
    ];
    let in_use = ring(&place, 4).build_producer(step).err().unwrap().to_string();
    assert!(in_use.contains("7.3") && in_use.contains(&ABI.to_string()), "{in_use}");
    for error in errors {
        match error {
            MultiProcessError::Unusable { source: source @ OpenError::Version { found, wanted, .. }, .. } => {
                assert_eq!(((found.major, found.minor), wanted), ((7, 3), ABI));
                let text = source.to_string();
                assert!(text.contains("7.3") && text.contains(&ABI.to_string()), "{text}");
            }
            error => panic!("{error}"),
        }
    }
}

#[test]
fn a_damaged_schema_is_an_error() {
    let _watchdog = watchdog();
    let (_dir, place, _producer, forger) = forged_ring();
    for damage in [vec![0xff; forger.plan.schema.len as usize], vec![0; forger.plan.schema.len as usize]] {
        forger.write(forger.plan.schema.offset, &damage);
        let error = attach_shared_consumer::<Step>(place.clone(), 4).build_consumer().err().unwrap();
        assert!(matches!(error, MultiProcessError::DamagedSchema { .. }), "{error}");
    }
}

/// Needs slots aligned to 64 bytes, although it has 24.
#[event(align = 64)]
struct Wide {
    sequence: u64,
    payload: [u64; 2],
}

/// Is itself over-aligned.
#[event]
#[repr(align(128))]
struct Own {
    sequence: u64,
    payload: [u64; 15],
}

#[test]
fn an_over_aligned_event_is_aligned_in_every_slot() {
    everywhere(|place| {
        let mut producer = build_shared_single_producer::<Wide>(place.clone(), 8)
            .build_producer(|| Wide { sequence: 0, payload: [0; 2] })
            .unwrap();
        let mut consumer = attach_shared_consumer::<Wide>(place, 8).build_consumer().unwrap();
        for sequence in 0..20 {
            producer
                .publish(|slot| {
                    assert_eq!(std::ptr::from_mut(slot).addr() % 64, 0);
                    *slot = Wide { sequence, payload: [sequence; 2] };
                })
                .unwrap();
            let event = consumer.try_consume_next_leased().unwrap();
            assert_eq!(
                (event.sequence, event.payload, std::ptr::from_ref(&*event).addr() % 64),
                (sequence, [sequence; 2], 0)
            );
        }
    });
    everywhere(|place| {
        let mut producer = build_shared_single_producer::<Own>(place.clone(), 8)
            .build_producer(|| Own { sequence: 0, payload: [0; 15] })
            .unwrap();
        let mut consumer = attach_shared_consumer::<Own>(place, 8).build_consumer().unwrap();
        for sequence in 0..20 {
            producer
                .publish(|slot| {
                    assert_eq!(std::ptr::from_mut(slot).addr() % 128, 0);
                    *slot = Own { sequence, payload: [sequence; 15] };
                })
                .unwrap();
            let event = consumer.try_consume_next_leased().unwrap();
            assert_eq!(
                (event.sequence, event.payload[14], std::ptr::from_ref(&*event).addr() % 128),
                (sequence, sequence, 0)
            );
        }
    });
}

#[test]
fn a_batch_larger_than_the_ring_fails_at_once() {
    everywhere(|place| {
        let mut producer = ring(&place, 4).build_producer(step).unwrap();
        for count in [5, usize::MAX] {
            match producer.publish_batch(count, |_, _| panic!("must not run")) {
                Err(PublishError::TooLarge { count: found, capacity }) => assert_eq!((found, capacity), (count, 4)),
                other => panic!("{other:?}"),
            }
            let far = std::time::Instant::now() + PATIENCE * 2;
            let error = producer.publish_batch_deadline(count, far, |_, _| panic!("must not run"));
            assert!(matches!(error, Err(PublishError::TooLarge { .. })));
            let missing = producer.try_publish_batch(count, |_, _| panic!("must not run")).unwrap_err().missing;
            assert_eq!(missing, count as u64 - 4);
        }
        assert_eq!(producer.publish_batch(4, |slot, i| slot.sequence = i as u64).unwrap(), 3);
    });
}

#[test]
fn waiting_for_consumers_in_vain_is_an_error_and_leaves_nothing() {
    everywhere(|place| {
        let builder = ring(&place, 4).wait_for_consumers(2, Duration::from_millis(20));
        match builder.build_producer(step).map(drop) {
            Err(MultiProcessError::CoordinationTimeout { joined, wanted, .. }) => assert_eq!((joined, wanted), (0, 2)),
            other => panic!("{other:?}"),
        }
        let error = attach_shared_consumer::<Step>(place, 4).build_consumer().err().unwrap();
        assert!(matches!(error, MultiProcessError::NotFound { .. }), "{error}");
    });
}

#[test]
fn who_does_not_fit_into_the_table_is_told_and_a_place_that_is_given_back_is_used_again() {
    everywhere(|place| {
        let mut producer = ring(&place, 4).discover_consumer_with_prefix(2, "w").build_producer(step).unwrap();
        let builder = |id: &str| attach_shared_consumer::<Step>(place.clone(), 4).with_consumer_id(id);
        let attach = |id: &str| builder(id).start_at(StartAt::Tail).build_consumer();
        let (_first, second) = (attach("w1").unwrap(), attach("w2").unwrap());
        match attach("w3").map(drop) {
            Err(MultiProcessError::Join { source: JoinError::TableFull { table_len }, .. }) => assert_eq!(table_len, 2),
            other => panic!("{other:?}"),
        }
        drop(second);
        publish(&mut producer, 2);
        let mut third = attach("w3").unwrap();
        assert_eq!(drain(&mut third), [0; 0], "it starts at the tail, whatever its predecessor had read");
        publish(&mut producer, 2);
        assert_eq!(drain(&mut third), [2, 3]);
        assert_eq!(producer.try_publish(|_| ()), Err(RingBufferFull));
    });
}

#[test]
fn a_panic_while_publishing_publishes_nothing_and_poisons_nothing() {
    everywhere(|place| {
        let mut producer = ring(&place, 4).build_producer(step).unwrap();
        let mut consumer = join(&place, "w");
        let panics = |run: &mut dyn FnMut()| {
            let run = std::panic::AssertUnwindSafe(run);
            assert!(std::panic::catch_unwind(|| ({ run }.0)()).is_err());
        };
        for round in 0..3 {
            panics(&mut || {
                let _ = producer.publish(|_| std::panic::resume_unwind(Box::new(())));
            });
            assert_eq!(drain(&mut consumer), [0; 0]);
            let first = 3 * round;
            panics(&mut || {
                let _ = producer.publish_batch(3, |slot, i| {
                    slot.sequence = (first + i) as u64;
                    if i == 2 {
                        std::panic::resume_unwind(Box::new(()));
                    }
                });
            });
            // Finished events are published, unfinished ones are not.
            assert_eq!(producer.last_published_sequence(), first as i64 + 1);
            publish(&mut producer, 1);
            assert_eq!(drain(&mut consumer), [first as i64, first as i64 + 1, first as i64 + 2]);
        }
    });
}

#[test]
fn an_event_is_not_acknowledged_while_its_reader_panics() {
    everywhere(|place| {
        let mut producer = ring(&place, 4).build_producer(step).unwrap();
        let mut consumer = join(&place, "w");
        publish(&mut producer, 4);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _lease = consumer.try_consume_next_leased().unwrap();
            std::panic::resume_unwind(Box::new(()));
        }));
        assert!(panicked.is_err());
        assert_eq!(fill(&mut producer), 0);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            consumer.process_available(|_, sequence| {
                if sequence == 2 {
                    std::panic::resume_unwind(Box::new(()));
                }
            })
        }));
        assert!(panicked.is_err());
        assert_eq!(drain(&mut consumer), [2, 3]);
    });
}

#[test]
fn a_consumer_that_is_not_in_the_selection_gates_all_the_same() {
    everywhere(|place| {
        for builder in
            [ring(&place, 4).disable_discovery(), ring(&place, 4).discover_consumer_with_prefix(8, "worker-")]
        {
            let mut producer = builder.build_producer(step).unwrap();
            let mut stranger = join(&place, "stranger");
            assert_eq!(fill(&mut producer), 4, "readers hold references to the slots");
            assert_eq!(drain(&mut stranger), [0, 1, 2, 3]);
        }
    });
}

#[test]
fn shapes_that_cannot_be_are_refused_before_anything_is_created() {
    everywhere(|place| {
        for builder in [
            ring(&place, 0),
            ring(&place, 3),
            ring(&place, 1 << 62),
            ring(&place, 4).enable_discovery(0),
            ring(&place, 4).with_coordination(CoordinationMode::BufferUntilConsumers { max_buffer: 5 }),
            ring(&place, 4).with_coordination(CoordinationMode::BufferUntilConsumers { max_buffer: 0 }),
        ] {
            let error = builder.build_producer(step).err().unwrap();
            assert!(matches!(error, MultiProcessError::Shape(_) | MultiProcessError::BufferSize { .. }), "{error}");
        }
        for id in ["", "new\nline", &"x".repeat(129)] {
            let error = attach_shared_consumer::<Step>(place.clone(), 4).with_consumer_id(id).build_consumer();
            assert!(matches!(error.map(drop), Err(MultiProcessError::InvalidConsumerId(_))), "{id:?}");
        }
    });
}

#[test]
fn closing_tells_everybody_once_they_have_read_everything() {
    everywhere(|place| {
        let mut producer = ring(&place, 4).build_producer(step).unwrap();
        let mut consumer = join(&place, "w");
        let mut tap = attach_shared_consumer::<Step>(place.clone(), 4).build_tap().unwrap();
        publish(&mut producer, 3);
        producer.close();
        consumer.check_producer().unwrap();
        assert_eq!(drain(&mut consumer), [0, 1, 2]);
        assert!(matches!(consumer.check_producer(), Err(ConsumeError::Closed)));
        assert!(matches!(consumer.wait_until_available(None), Err(ConsumeError::Closed)));
        for expected in 0..3 {
            assert_eq!(tap.next(in_ms(20_000)).unwrap().0, expected);
        }
        assert!(matches!(tap.next(in_ms(20_000)).map(|(sequence, _)| sequence), Err(ConsumeError::Closed)));
    });
}

/// A mebibyte, which must not pass through its reader's stack.
#[event]
struct Large {
    words: [u64; 1 << 17],
}

#[test]
fn the_first_lap_of_large_events_fits_the_stack_of_an_ordinary_thread() {
    const WORDS: usize = (768 << 10) / 8;
    #[event]
    struct Huge {
        words: [u64; WORDS],
    }
    let _watchdog = watchdog();
    everywhere(|place| {
        let publisher = std::thread::Builder::new().stack_size(2 << 20).spawn(move || {
            let builder = build_shared_single_producer::<Huge>(place.clone(), 4);
            // Like a program without optimisation, which copies it several times before it returns it.
            let factory = || std::hint::black_box(std::hint::black_box(Huge { words: [7; WORDS] }));
            let mut producer = builder.build_producer(factory).unwrap();
            producer.publish(|slot| slot.words[0] += 1).unwrap();
            producer.try_publish(|slot| slot.words[0] += 2).unwrap();
            producer.publish_batch(2, |slot, i| slot.words[0] += 3 + i as u64).unwrap();
            let late = attach_shared_consumer::<Huge>(place, 4).start_at(StartAt::Beginning);
            let mut seen = vec![];
            late.build_consumer()
                .unwrap()
                .process_available(|event, _| seen.push((event.words[0], event.words[WORDS - 1])));
            assert_eq!(seen, [(8, 7), (9, 7), (10, 7), (11, 7)]);
        });
        publisher.unwrap().join().unwrap();
    });
}

#[test]
fn a_factory_of_large_events_that_panics_publishes_nothing() {
    #[event]
    struct Huge {
        words: [u64; 1 << 17],
    }
    let _watchdog = watchdog();
    let mut calls = 0;
    let builder = build_shared_single_producer::<Huge>(Place::heap(), 2);
    let mut producer = builder
        .build_producer(move || {
            calls += 1;
            assert!(calls > 1, "on purpose");
            Huge { words: [0; 1 << 17] }
        })
        .unwrap();
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| producer.publish(|_| ()))).unwrap_err();
    assert_eq!(*panic.downcast::<&str>().unwrap(), "on purpose");
    assert_eq!(producer.publish(|_| ()).unwrap(), 0);
}

#[test]
fn a_large_event_does_not_pass_through_the_readers_stack() {
    const STACK_BYTES: usize = 512 << 10;
    let _watchdog = watchdog();
    let place = Place::heap();
    // The factory returns its event by value, so the first lap needs a stack with room for several.
    let publisher = std::thread::Builder::new().stack_size(32 << 20);
    let mut producer = publisher
        .spawn({
            let place = place.clone();
            move || {
                let builder = build_shared_single_producer::<Large>(place, 2);
                let mut producer = builder.build_producer(|| Large { words: [0; 1 << 17] }).unwrap();
                producer.publish_batch(2, |slot, i| slot.words[0] = i as u64).unwrap();
                producer
            }
        })
        .unwrap()
        .join()
        .unwrap();
    let reader = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(move || {
        let tail = attach_shared_consumer::<Large>(place, 2).start_at(StartAt::Tail);
        let mut consumer = tail.build_consumer().unwrap();
        for expected in 2..6 {
            producer.publish(|slot| slot.words[(1 << 17) - 1] = expected).unwrap();
            let event = consumer.consume_next_leased().unwrap();
            assert_eq!(event.words[(1 << 17) - 1], expected);
        }
    });
    reader.unwrap().join().unwrap();
}

/// Values for the words that say whether a consumer gates. Offsets: `src/ring/control.rs`.
fn forgeries(plan: &SegmentPlan) -> Vec<(&'static str, u64, Vec<u8>)> {
    let (high_water, status) = (plan.control.offset + 272, plan.table.offset + 16);
    let mut forged = vec![("high water 0", high_water, 0_u32.to_ne_bytes().to_vec())];
    // The owner's status is epoch 0, active.
    for word in [0_u64, 3, 4, 0x7f, 0xff] {
        forged.push(("a state", status, word.to_ne_bytes().to_vec()));
    }
    forged
}

#[test]
fn no_word_switches_gating_off_under_a_live_lease() {
    let _watchdog = watchdog();
    for has_looked in [false, true] {
        for number in 0.. {
            let (_dir, place, mut producer, forger) = forged_ring();
            let Some((what, offset, bytes)) = forgeries(&forger.plan).into_iter().nth(number) else { break };
            let mut consumer = join(&place, "w");
            if has_looked {
                let _ = producer.stall_report();
            }
            publish(&mut producer, 2);
            let lease = consumer.try_consume_next_leased().unwrap();
            if has_looked {
                forger.write(offset, &bytes);
                assert_eq!(fill(&mut producer), 2, "{what} {bytes:?}");
            } else if what == "high water 0" {
                forger.write(offset, &bytes);
                assert_eq!(fill(&mut producer), 2, "{what}, before the first look");
            } else {
                continue;
            }
            for _ in 0..3 {
                assert_eq!(producer.try_publish(|_| panic!("must not run")), Err(RingBufferFull));
                let error = producer.publish_deadline(in_ms(20), |_| panic!("must not run"));
                assert!(matches!(error, Err(PublishError::TimedOut { .. })), "{what} {bytes:?}: {error:?}");
            }
            assert!(!producer.is_consumed(0));
            assert_eq!(lease.sequence, 0, "{what} {bytes:?}");
            drop(lease);
            assert_eq!(drain(&mut consumer), [1, 2, 3], "{what} {bytes:?}");
            // Its owner leaves with a later epoch, whatever is there now.
            drop(consumer);
            publish(&mut producer, 12);
        }
    }
}

#[test]
fn a_forged_high_water_hides_no_consumer_from_those_who_look() {
    let _watchdog = watchdog();
    for forged in [0, u32::MAX] {
        let (_dir, place, mut producer, forger) = forged_ring();
        let mut consumer = join(&place, "w");
        publish(&mut producer, 3);
        drop(consumer.try_consume_next_leased().unwrap());
        let ring = SharedRingBuffer::<Step>::open(&place, 0).unwrap();
        let tap = attach_shared_consumer::<Step>(place.clone(), 0).build_tap().unwrap();
        forger.write(forger.plan.control.offset + 272, &u32::to_ne_bytes(forged));

        let barrier = ring.consumer_barrier();
        let rosters = [ring.consumers(), barrier.consumers(), tap.consumers(), producer.consumers()];
        assert!(rosters.iter().all(|who| who.len() == 1 && who[0].id == "w"), "{forged}: {rosters:?}");
        assert_eq!((barrier.consumer_sequence("w"), barrier.min_consumer_sequence()), (Some(0), Some(0)), "{forged}");
        assert_eq!((barrier.load(), ring.free_slots()), (0, 2), "{forged}");
        assert!(barrier.wait_for_consumers(1, Instant::now()).is_ok(), "{forged}");
    }
}

#[test]
fn a_forged_high_water_makes_no_later_reader_the_first() {
    let _watchdog = watchdog();
    let (_dir, place, mut producer, forger) = forged_ring();
    let mut first = join(&place, "first");
    publish(&mut producer, 2);
    let lease = first.try_consume_next_leased().unwrap();
    forger.write(forger.plan.control.offset + 272, &u32::to_ne_bytes(0));
    assert_eq!(drain(&mut join(&place, "second")), [0; 0]);
    drop(lease);
}

#[test]
fn an_entry_whose_status_was_forged_gates_until_its_owner_is_dead() {
    let _watchdog = watchdog();
    for word in [0_u64, 3, 0xff] {
        let (dir, _place, mut producer, forger) = forged_ring();
        let mut consumer = Actor::new();
        consumer.does(format!("attach {} w", dir.path().join("ring").display()));
        publish(&mut producer, 4);
        assert_eq!(fill(&mut producer), 0);
        forger.write(forger.plan.table.offset + 16, &word.to_ne_bytes());
        assert!(matches!(producer.publish_deadline(in_ms(50), |_| ()), Err(PublishError::TimedOut { .. })), "{word}");
        consumer.dies();
        assert!(producer.publish_deadline(in_ms(20_000), |_| ()).is_ok(), "{word}");
    }
}

#[test]
fn a_higher_epoch_under_a_forged_status_does_not_outlive_its_owner() {
    let _watchdog = watchdog();
    // Active in a later epoch: for the producer it looks like a successor. Its owner still leaves.
    let (_dir, place, mut producer, forger) = forged_ring();
    let consumer = join(&place, "w");
    publish(&mut producer, 4);
    forger.write(forger.plan.table.offset + 16, &(9_u64 << 8 | 2).to_ne_bytes());
    assert_eq!(fill(&mut producer), 0);
    drop(consumer);
    publish(&mut producer, 12);
}

#[test]
fn a_status_forged_before_a_take_over_does_not_open_the_slots_of_a_lease() {
    let _watchdog = watchdog();
    let dir = TempDir::new();
    let path = dir.path().join("ring");
    let place = Place::from(path.as_path());
    let mut child = fork_then(|| {
        let mut producer = ring(&place, 4).build_producer(step).unwrap();
        publish(&mut producer, 2);
        std::mem::forget(producer);
        0
    });
    let mut consumer = loop {
        // The child creates the ring.
        if let Ok(consumer) = attach_shared_consumer::<Step>(&place, 0).with_consumer_id("w").build_consumer() {
            break consumer;
        }
        std::thread::yield_now();
    };
    assert_eq!(child.wait_exit(PATIENCE).code(), Some(0));
    let leased = consumer.consume_batch_leased(4, None).unwrap();
    let numbers = |leased: &BatchLease<'_, Step>| leased.iter().map(|event| event.sequence).collect::<Vec<_>>();
    let before = numbers(&leased);
    let forger = Forger::new(&path, 4);
    let status = forger.plan.table.offset + 16;
    forger.write(status, &(forger.read_word(status) & !0xff).to_ne_bytes());
    let mut successor = ring(&place, 4).build_producer(step).unwrap();
    assert_eq!(successor.origin(), Origin::TookOver);
    for _ in 0..8 {
        let _ = successor.try_publish(|step| step.sequence = 99);
    }
    assert_eq!(numbers(&leased), before, "the slots of a lease were written");
    drop(leased);
    drop(consumer);
    // Its lock is free: the ring continues.
    successor.publish_deadline(in_ms(20_000), |step| step.sequence = 100).unwrap();
}
