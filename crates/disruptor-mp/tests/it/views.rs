//! Looking at rings, cursors and counters from outside.

use disruptor_mp::prelude::*;
use disruptor_mp::{
    AdvanceError, ConsumerBarrier, CountersFile, MmapConsumerBarrier, MmapCursor, MmapCursorConfig, MmapFileConfig,
    MmapRingBuffer, PORTABLE_SHM_SEGMENT_NAME_MAX_LEN, Place, ProducerBarrier, SharedCursor, SharedCursorTrait,
    SharedMemoryConfig, SharedRingBuffer, ShmRingBuffer, WatchError, counters::ids, portable_shm_segment_name,
};
use std::time::{Duration, Instant};
use testkit::names::ShmGuard;
use testkit::process::{Respawn, is_victim, role, say, wait_to_be_killed};
use testkit::test_name;
use testkit::watchdog::Watchdog;

#[event]
struct Step {
    sequence: u64,
}

#[event]
struct Other {
    sequence: u64,
    rank: u64,
}

const LONG: Duration = Duration::from_secs(20);

fn soon() -> Instant {
    Instant::now() + LONG
}

fn step() -> Step {
    Step { sequence: 0 }
}

#[test]
fn a_ring_says_what_it_is_and_who_is_in_it() {
    let shm = ShmGuard::new();
    let name = shm.name("r");
    let mut config = SharedMemoryConfig::for_event::<Step>(&name, 8);
    assert!(matches!(ShmRingBuffer::<Step>::attach(config.clone()), Err(MultiProcessError::NotFound { .. })));
    let mut producer = config.clone().builder::<Step>().unwrap().build_producer(step).unwrap();
    let ring = SharedRingBuffer::<Step>::attach(config.clone()).unwrap();
    assert_eq!((ring.capacity(), ring.slot_stride_bytes(), ring.free_slots()), (8, 16, 8));
    assert_eq!((ring.producer_sequence(), ring.consumers().len(), ring.is_closed()), (-1, 0, false));
    assert_eq!(ring.schema(), <Step as Event>::schema());
    assert_eq!((ring.creator().pid, ring.producer().pid), (std::process::id(), std::process::id()));
    assert_eq!(ring.total_len_bytes(), ring.segment_plan().total_len);
    assert!(ring.producer_is_alive().unwrap());

    let mut consumer = SharedConsumer::<Step>::attach(name.as_str(), 8, "one").unwrap();
    producer.publish_batch(3, |slot, i| slot.sequence = i as u64).unwrap();
    drop(consumer.try_consume_next_leased().unwrap());
    assert_eq!((ring.producer_sequence(), ring.free_slots(), ring.consumers()[0].id.as_str()), (2, 6, "one"));
    assert_eq!(ring.cursor().load(), 2);
    assert_eq!(ring.consumer_barrier().load(), 0);
    let published = ring.ring_counters().snapshot().into_iter().find(|counter| counter.id == ids::EVENTS_PUBLISHED);
    assert_eq!(published.unwrap().value, 3);
    assert_ne!(ring.generation(), 0);

    config.element_size = 1;
    let refused = SharedRingBuffer::<Step>::attach(config.clone());
    assert!(matches!(refused, Err(MultiProcessError::IncompatibleLayout { field: "element size", .. })));
    assert!(config.clone().builder::<Step>().is_err());
    config = SharedMemoryConfig { create: true, ..SharedMemoryConfig::for_event::<Step>(&name, 8) };
    let refused = SharedRingBuffer::<Step>::attach(config);
    assert!(matches!(refused, Err(MultiProcessError::OnlyProducersCreate { .. })));
    let refused = SharedRingBuffer::<Other>::open(name.as_str(), 0);
    assert!(matches!(refused, Err(MultiProcessError::IncompatibleEvent { .. })));

    drop((producer, consumer));
    assert!(ring.is_closed() && !ring.producer_is_alive().unwrap());
    shm.assert_nothing_left();
}

#[test]
fn a_ring_in_a_file_goes_by_the_mmap_names() {
    let dir = std::env::temp_dir().join(testkit::names::unique("views"));
    let layout = MmapTransportLayout::new(&dir, "steps").unwrap();
    layout.ensure_directories().unwrap();
    let mut producer = MmapProducer::create(&layout, 4, step).unwrap();
    let consumer = MmapConsumer::<Step>::attach(&layout, 4, "one").unwrap();
    let ring = MmapRingBuffer::<Step>::attach(MmapFileConfig::for_event::<Step>(layout.ring_path(), 4)).unwrap();
    let barrier = MmapConsumerBarrier::attach(&layout).unwrap();
    producer.publish(|slot| slot.sequence = 1).unwrap();
    assert_eq!((ring.producer_sequence(), barrier.consumer_sequence("one")), (0, Some(-1)));
    let mut cursor = MmapCursor::with_config(MmapCursorConfig { path: dir.join("ready"), create: true }).unwrap();
    let seen = MmapCursor::with_config(MmapCursorConfig { path: dir.join("ready"), create: false }).unwrap();
    assert_eq!((cursor.is_owner(), seen.is_owner(), seen.load()), (true, false, -1));
    cursor.advance_to(3).unwrap();
    assert_eq!(seen.load(), 3);
    drop((producer, consumer, cursor));
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0, "nothing is left behind");
    std::fs::remove_dir(&dir).unwrap();
}

#[test]
fn a_cursor_is_moved_by_its_creator_only_and_forwards_only() {
    let shm = ShmGuard::new();
    let name = shm.name("c");
    let mut cursor = SharedCursor::create(name.as_str(), 5).unwrap();
    let mut seen = SharedCursor::attach(name.as_str()).unwrap();
    assert_eq!((cursor.load(), seen.load()), (5, 5));
    assert_eq!(seen.advance_to(6), Err(AdvanceError::NotCreator));
    assert_eq!(cursor.advance_to(4), Err(AdvanceError::Backwards { current: 5, wanted: 4 }));
    cursor.advance_to(5).unwrap();
    assert!(matches!(SharedCursor::create(name.as_str(), -1), Err(MultiProcessError::AlreadyExists { .. })));
    assert!(matches!(ConsumerBarrier::attach(name.as_str()), Err(MultiProcessError::Unusable { .. })));
    drop(cursor);
    assert_eq!(seen.wait_for(5, soon()), Ok(5));
    assert_eq!(seen.wait_for(6, soon()), Err(WatchError::Closed { reached: 5 }));
    shm.assert_nothing_left();
}

#[test]
fn every_view_waits_as_long_as_a_moment_a_duration_or_a_patience_says() {
    let _watchdog = Watchdog::new(3 * LONG, "views that wait");
    let place = Place::heap();
    let mut producer = build_shared_single_producer::<u64>(&place, 4).build_producer(|| 0).unwrap();
    let consumer = attach_shared_consumer::<u64>(&place, 4).with_consumer_id("one").build_consumer().unwrap();
    let (published, released) = (ProducerBarrier::attach(&place).unwrap(), ConsumerBarrier::attach(&place).unwrap());
    producer.publish(|slot| *slot = 1).unwrap();
    let short = Duration::from_millis(2);
    assert!(published.wait_for(1, short).unwrap_err().is_timed_out());
    assert!(published.wait_for(1, Instant::now() + short).unwrap_err().is_timed_out());
    assert!(released.wait_for(0, Patience::Now).unwrap_err().is_timed_out());
    assert!(released.wait_for_consumers(2, short).unwrap_err().is_timed_out());
    // With endless patience, it ends with the position or with the ring.
    assert_eq!(published.wait_for(0, Patience::Endless), Ok(0));
    let closing = std::thread::spawn(move || drop(producer));
    assert_eq!(published.wait_for(1, Patience::Managed), Err(WatchError::Closed { reached: 0 }));
    assert_eq!(released.wait_for(0, Patience::Endless), Err(WatchError::Closed { reached: -1 }));
    closing.join().unwrap();
    drop(consumer);
}

#[test]
fn a_wait_for_a_cursor_ends_with_the_position_or_the_deadline() {
    let _watchdog = Watchdog::new(3 * LONG, "waiting for a cursor");
    let place = Place::heap();
    let mut cursor = SharedCursor::create(&place, -1).unwrap();
    let seen = SharedCursor::attach(&place).unwrap();
    let timed_out = seen.wait_for(0, Instant::now() + Duration::from_millis(3));
    assert!(matches!(timed_out, Err(WatchError::TimedOut { reached: -1, .. })));
    let waiter = std::thread::spawn(move || seen.wait_for(9, soon()));
    for sequence in 0..10 {
        cursor.advance_to(sequence).unwrap();
    }
    assert_eq!(waiter.join().unwrap(), Ok(9));
}

#[test]
fn barriers_follow_the_producer_and_the_slowest_consumer() {
    let place = Place::heap();
    let mut producer = build_shared_single_producer::<Step>(&place, 8).build_producer(step).unwrap();
    let published = ProducerBarrier::attach(&place).unwrap();
    let released = ConsumerBarrier::attach(&place).unwrap();
    producer.publish_batch(2, |_, _| ()).unwrap();
    assert_eq!((published.load(), released.load(), released.min_consumer_sequence()), (1, 1, None));
    let mut fast = SharedConsumer::<Step>::attach(&place, 8, "fast").unwrap();
    let mut slow = SharedConsumer::<Step>::attach(&place, 8, "slow").unwrap();
    released.wait_for_consumers(2, soon()).unwrap();
    producer.publish_batch(3, |_, _| ()).unwrap();
    fast.process_available(|_, _| ());
    assert_eq!((released.load(), released.consumer_sequence("fast"), released.consumer_count()), (-1, Some(4), 2));
    assert_eq!(released.consumer_sequence("nobody"), None);
    slow.process_available(|_, _| ());
    assert_eq!(released.wait_for(4, soon()), Ok(4));
    drop(producer);
    assert_eq!(published.wait_for(4, soon()), Ok(4), "what was published before the end counts");
    assert_eq!(published.wait_for(5, soon()), Err(WatchError::Closed { reached: 4 }));
}

#[test]
#[ignore = "runs as a victim"]
fn victim_that_creates() {
    if !is_victim() {
        return;
    }
    let name = role().unwrap();
    let cursor = SharedCursor::create(format!("{name}c"), 3).unwrap();
    let counters = CountersFile::create(format!("{name}f"), 4).unwrap();
    counters.register(ids::APPLICATION_BASE, 0, "victim").unwrap().add(7);
    say("READY");
    let _keep = (cursor, counters);
    wait_to_be_killed();
}

#[test]
fn what_a_killed_process_leaves_is_told_apart_and_makes_way() {
    let _watchdog = Watchdog::new(3 * LONG, "the creator of a cursor is killed");
    let shm = ShmGuard::new();
    let (cursor_name, counters_name) = (shm.name("c"), shm.name("f"));
    let mut victim = Respawn::test(test_name!(victim_that_creates)).role(shm.prefix()).spawn();
    victim.wait_line("READY");
    let seen = SharedCursor::attach(cursor_name.as_str()).unwrap();
    let counters = CountersFile::open_read_only(counters_name.as_str()).unwrap();
    assert!(matches!(CountersFile::create(counters_name.as_str(), 4), Err(MultiProcessError::AlreadyExists { .. })));
    let pid = victim.pid();
    victim.kill_and_reap();
    assert_eq!(seen.wait_for(4, soon()), Err(WatchError::OwnerDied { pid, reached: 3 }));
    assert!(!seen.owner_is_alive().unwrap());
    assert_eq!(counters.snapshot()[0].value, 7, "the numbers of the dead can be read");

    let again = SharedCursor::create(cursor_name.as_str(), -1).unwrap();
    assert_eq!(SharedCursor::attach(cursor_name.as_str()).unwrap().load(), -1);
    let counted_again = CountersFile::create(counters_name.as_str(), 4).unwrap();
    assert!(counted_again.snapshot().is_empty());
    drop((again, counted_again));
    shm.assert_nothing_left();
}

#[test]
#[ignore = "runs as a victim"]
fn victim_that_watches_without_descriptors() {
    if !is_victim() {
        return;
    }
    let name = role().unwrap();
    let cursor = SharedCursor::attach(format!("{name}c")).unwrap();
    let (published, released) =
        (ProducerBarrier::attach(format!("{name}r")).unwrap(), ConsumerBarrier::attach(format!("{name}r")).unwrap());
    testkit::close_descriptors_above(2);
    say(&format!("CURSOR {}", cursor.wait_for(4, soon()).unwrap_err()));
    say(&format!("PUBLISHED {}", published.wait_for(1, soon()).unwrap_err()));
    say(&format!("RELEASED {}", released.wait_for(1, soon()).unwrap_err()));
    say(&format!("CONSUMERS {}", released.wait_for_consumers(1, soon()).unwrap_err()));
    say(&format!("REACHED {:?}", cursor.wait_for(3, soon())));
    wait_to_be_killed();
}

#[test]
fn a_wait_for_a_cursor_says_what_the_kernel_refused() {
    let _watchdog = Watchdog::new(3 * LONG, "a watcher without descriptors");
    let shm = ShmGuard::new();
    let _cursor = SharedCursor::create(shm.name("c"), 3).unwrap();
    let mut producer = SharedProducer::create(shm.name("r"), 8, step).unwrap();
    producer.publish(|_| ()).unwrap();
    let mut victim = Respawn::test(test_name!(victim_that_watches_without_descriptors)).role(shm.prefix()).spawn();
    for what in ["CURSOR ", "PUBLISHED ", "RELEASED ", "CONSUMERS "] {
        let line = victim.wait_line(what);
        assert!(line.contains("it is not known whether") && line.contains("looking at"), "{line}");
    }
    assert_eq!(victim.wait_line("REACHED "), "REACHED Ok(3)", "what was reached needs no look at a lock");
    victim.kill_and_reap();
}

#[test]
fn counters_are_shared_by_name_and_the_name_goes_with_its_creator() {
    let shm = ShmGuard::new();
    let name = shm.name("f");
    let created = CountersFile::create(name.as_str(), 4).unwrap();
    let opened = CountersFile::open(name.as_str()).unwrap();
    let viewed = CountersFile::open_read_only(name.as_str()).unwrap();
    let handle = created.register(ids::APPLICATION_BASE, 0, "ours").unwrap();
    opened.register(ids::APPLICATION_BASE, 0, "theirs").unwrap().add(2);
    assert!(viewed.register(ids::APPLICATION_BASE, 0, "viewer").is_none());
    let clone = created.clone();
    drop(created);
    assert!(CountersFile::open(name.as_str()).is_ok(), "a clone keeps the name");
    drop(clone);
    assert!(matches!(CountersFile::open(name.as_str()), Err(MultiProcessError::NotFound { .. })));
    shm.assert_nothing_left();
    handle.add(40);
    let values: Vec<_> = viewed.snapshot().into_iter().map(|counter| (counter.label, counter.value)).collect();
    assert_eq!(
        values,
        [("ours".to_owned(), 40), ("theirs".to_owned(), 2)],
        "the mapping is shared by those who have it"
    );
}

#[test]
fn endpoints_count_into_a_file_of_ones_own_and_a_ring_is_opened_for_its_counters() {
    let shm = ShmGuard::new();
    let (ring, file) = (shm.name("r"), shm.name("f"));
    let counters = CountersFile::create(file.as_str(), 64).unwrap();
    let mut producer = SharedProducer::create(ring.as_str(), 8, step).unwrap();
    producer.publish(|_| ()).unwrap();
    producer.attach_counters(&counters);
    producer.publish_batch(2, |_, _| ()).unwrap();
    let published = |file: CountersFile| {
        file.snapshot().into_iter().find(|counter| counter.id == ids::EVENTS_PUBLISHED).map(|counter| counter.value)
    };
    assert_eq!(published(CountersFile::open(file.as_str()).unwrap()), Some(2));
    assert_eq!(published(CountersFile::open_read_only(ring.as_str()).unwrap()), Some(1));
    let cursor = Place::heap();
    let _cursor = SharedCursor::create(&cursor, 0).unwrap();
    assert!(matches!(CountersFile::open(&cursor), Err(MultiProcessError::Unusable { .. })));
}

#[test]
fn portable_names_name_segments() {
    let name = portable_shm_segment_name("views");
    assert!(name.starts_with("view") && name.len() <= PORTABLE_SHM_SEGMENT_NAME_MAX_LEN, "{name}");
    let cursor = SharedCursor::create(name.as_str(), 0).unwrap();
    assert!(SharedCursor::attach(name).is_ok());
    drop(cursor);
}

#[test]
fn pauses_last_at_least_as_long_as_they_say() {
    use disruptor_mp as mp;
    let lasts = |pause: fn(), at_least: Duration| {
        let begin = Instant::now();
        pause();
        assert!(begin.elapsed() >= at_least);
    };
    lasts(mp::perform_default_block_wait, mp::default_block_strategy_duration());
    lasts(mp::perform_default_consume_sleep_wait, mp::default_consume_sleep_duration());
    lasts(mp::perform_default_discovery_poll_wait, mp::default_discovery_poll_duration());
    lasts(|| mp::perform_sleep_wait(Duration::from_millis(2)), Duration::from_millis(2));
    mp::perform_sleep_wait(Duration::ZERO);
}

#[test]
fn every_path_to_a_name_leads_to_the_same_type() {
    use disruptor_mp::{backend, consumer, lock_free, observability, producer, shared_memory};
    fn same<T>(_: std::marker::PhantomData<T>, _: std::marker::PhantomData<T>) {}
    use std::marker::PhantomData as Of;
    same(Of::<SharedRingBuffer<Step>>, Of::<backend::shared_memory::ShmRingBuffer<Step>>);
    same(Of::<shared_memory::SharedMemoryConfig>, Of::<SharedMemoryConfig>);
    same(Of::<backend::mmap::MmapRingBuffer<Step>>, Of::<MmapRingBuffer<Step>>);
    same(Of::<lock_free::ProducerBarrier>, Of::<lock_free::SharedCursor>);
    same(Of::<producer::SharedProducer<Step>>, Of::<MmapProducer<Step>>);
    same(Of::<consumer::SharedConsumer<Step>>, Of::<MmapConsumer<Step>>);
    same(Of::<observability::CountersFile>, Of::<CountersFile>);
}

/// It is enough that this compiles.
#[test]
fn every_name_of_the_contract_can_be_imported_from_the_root() {
    #[expect(unused_imports, reason = "only their existence is claimed")]
    use disruptor_mp::{
        AutoConsumer, AutoWaitStrategy, ConsumerBarrier, CoordinationMode, CounterHandle, CounterSnapshot,
        CountersFile, DEFAULT_MAX_CONSUMERS, DiscoveryMode, Doorbell, MissingFreeSlots, MmapConsumer,
        MmapConsumerBarrier, MmapCursor, MmapCursorConfig, MmapFileConfig, MmapProducer, MmapRingBuffer,
        MmapTransportLayout, MultiProcessError, MultiProcessResult, PORTABLE_SHM_SEGMENT_NAME_MAX_LEN, ProducerBarrier,
        PublishError, RequiredConsumerAlert, RequiredConsumerAlertHook, RequiredConsumerError,
        RequiredConsumerFailureAction, RequiredConsumerLivenessConfig, RingBufferFull, Sequence, SharedConsumer,
        SharedCursor, SharedCursorTrait, SharedDisruptorBuilder, SharedMemoryConfig, SharedProducer, SharedRingBuffer,
        ShmRingBuffer, attach_shared_consumer, build_shared_single_producer, default_block_strategy_duration,
        default_consume_sleep_duration, default_coordination_timeout_duration, default_discovery_poll_duration,
        default_progress_check_interval_duration, default_progress_timeout_duration, default_scan_interval_duration,
        default_shutdown_grace_period_duration, default_startup_wait_timeout_duration, perform_default_block_wait,
        perform_default_consume_sleep_wait, perform_default_discovery_poll_wait, perform_sleep_wait,
        portable_shm_segment_name,
    };
    assert_eq!((DEFAULT_MAX_CONSUMERS, PORTABLE_SHM_SEGMENT_NAME_MAX_LEN), (64, 14));
    fn moves_between_threads<T: Send>() {}
    moves_between_threads::<(Doorbell, SharedCursor, ConsumerBarrier, SharedRingBuffer<Step>, CountersFile)>();
}
