//! What the ends of a ring count, and which processes can read it.

use crate::actor::Actor;
use crate::stage::{Forger, Step, TempDir, drain, eventually, everywhere, fill, join, publish, ring, step, watchdog};
use disruptor_mp::counters::{COUNTER_FLAG_CONSUMER, COUNTER_FLAG_IN_USE, COUNTER_FLAG_PRODUCER, CounterOwner, ids};
use disruptor_mp::segment::Place;
use disruptor_mp::{
    ConsumeError, CounterSnapshot, CountersFile, Patience, RequiredConsumerLivenessConfig, SharedDisruptorBuilder,
    WaitStrategy, attach_shared_consumer, plan_records,
};
use std::collections::BTreeMap;
use std::time::Duration;
use testkit::names::ShmGuard;

/// The sum of every counter with that id.
fn count(file: &CountersFile, id: u32) -> u64 {
    file.snapshot().iter().filter(|counter| counter.id == id).map(|counter| counter.value).sum()
}

#[test]
fn what_a_ring_has_done_is_counted_in_events_and_bytes() {
    everywhere(|place| {
        let mut producer = ring(&place, 4).build_producer(step).unwrap();
        let mut consumer = join(&place, "w");
        publish(&mut producer, 3);
        assert_eq!(producer.publish_batch(1, |slot, _| slot.sequence = 3).unwrap(), 3);
        assert_eq!(fill(&mut producer), 0);
        assert_eq!(drain(&mut consumer).len(), 4);
        let tap = attach_shared_consumer::<Step>(place, 4).build_tap().unwrap();
        let file = tap.ring_counters();
        let bytes = 4 * size_of::<Step>() as u64;
        for (id, expected) in [
            (ids::EVENTS_PUBLISHED, 4),
            (ids::EVENTS_PUBLISHED_BYTES, bytes),
            (ids::PRODUCER_FULL_EVENTS, 1),
            (ids::EVENTS_CONSUMED, 4),
            (ids::EVENTS_CONSUMED_BYTES, bytes),
        ] {
            assert_eq!(count(&file, id), expected, "{id:#x}");
        }
        assert!(file.register(ids::APPLICATION_BASE, 0, "tap").is_none(), "a tap has the table read-only");
    });
}

#[test]
fn the_lag_of_a_consumer_that_is_far_behind_is_counted() {
    everywhere(|place| {
        let mut producer = ring(&place, 256).build_producer(step).unwrap();
        let mut consumer = attach_shared_consumer::<Step>(place, 0).with_consumer_id("w").build_consumer().unwrap();
        publish(&mut producer, 200);
        assert_eq!(drain(&mut consumer).len(), 200);
        // Right after the producer it follows the events one by one; if that continues, it looks how many there are.
        let lag = count(&producer.ring_counters(), ids::CONSUMER_LAG_MAX);
        assert!((150..=200).contains(&lag), "{lag}");
    });
}

#[test]
fn every_counter_of_a_ring_is_moved_by_what_it_is_about() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let mut moved = BTreeMap::new();
    let files = [overwriting(&shm.name("a")), waiting(&shm.name("b")), dying(&shm.name("c")), damaging()];
    for file in files.iter().flatten() {
        for counter in file.snapshot() {
            *moved.entry(counter.id).or_insert(0) += counter.value;
        }
    }
    // These mean that something is wrong, or that a stream is saturated or its payloads are long. They have tests of
    // their own.
    let others = [
        ids::FORGED_CURSORS,
        ids::PRODUCER_LOST_WAKEUPS,
        ids::CONSUMER_LOST_WAKEUPS,
        ids::CONSUMER_LINGERS,
        ids::PAYLOADS_VIA_BUFFER,
    ];
    // The tests of `myelon` move those of the layers above.
    for declared in ids::ALL.iter().filter(|declared| declared.id < ids::FRAME_PUBLISH_TOTAL) {
        assert_eq!(moved[&declared.id] > 0, !others.contains(&declared.id), "{} in {moved:x?}", declared.name);
    }
}

/// There is something else than a record where the next one is expected.
fn damaging() -> [CountersFile; 2] {
    let dir = TempDir::new();
    let path = dir.path().join("records");
    let mut producer = SharedDisruptorBuilder::records(path.as_path(), 4096).build_record_producer().unwrap();
    let mut consumer = SharedDisruptorBuilder::records(path.as_path(), 0).build_record_consumer().unwrap();
    producer.publish(&[7], 0, 0, Patience::Now).unwrap();
    let slots = plan_records(4096, disruptor_mp::DEFAULT_MAX_CONSUMERS).unwrap().slots.offset;
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &7_u64.to_ne_bytes(), slots).unwrap();
    assert!(matches!(consumer.next(Patience::Endless), Err(ConsumeError::Damaged { skipped: 1 })));
    [producer.ring_counters(), CountersFile::boxed(1)]
}

/// No consumer reads, and a tap cannot keep up.
fn overwriting(name: &str) -> [CountersFile; 2] {
    let mut producer = ring(&Place::from(name), 4).build_producer(step).unwrap();
    let mut tap = attach_shared_consumer::<Step>(name, 4).build_tap().unwrap();
    let own = CountersFile::boxed(1);
    tap.attach_counters(&own, "tap");
    publish(&mut producer, 20);
    tap.try_next().unwrap();
    assert_eq!(count(&own, ids::TAP_MISSED), tap.missed());
    [own, producer.ring_counters()]
}

/// Each end sleeps until the other one wakes it, and an alert is raised about a stopped one.
fn waiting(name: &str) -> [CountersFile; 2] {
    let mut actor = Actor::new();
    let builder = ring(&Place::from(name), 1).with_wait_strategy(WaitStrategy::Block);
    let mut producer = builder.build_producer(step).unwrap();
    let config = RequiredConsumerLivenessConfig::new(["w"]).with_progress_timeout(Duration::from_millis(1));
    producer.enable_required_consumer_liveness(config).unwrap();
    actor.does(format!("attach {name} w block"));
    actor.begins("consume 1000000");
    let file = producer.ring_counters();
    let all = [ids::PRODUCER_UNPARK_COUNT, ids::PRODUCER_STALLS, ids::CONSUMER_UNPARK_COUNT];
    while !all.into_iter().all(|id| count(&file, id) > 0) {
        let (file, victim) = (&file, &mut actor.victim);
        victim.stop();
        std::thread::scope(|threads| {
            let parks = count(file, ids::PRODUCER_PARK_COUNT);
            threads.spawn(move || {
                eventually("a producer that sleeps", || count(file, ids::PRODUCER_PARK_COUNT) > parks);
                eventually("an alert", || count(file, ids::PRODUCER_STALLS) > 0);
                victim.cont();
            });
            for _ in 0..2 {
                let next = producer.last_published_sequence() + 1;
                producer.publish_managed(|slot| slot.sequence = next as u64).unwrap();
            }
        });
        let parks = count(file, ids::CONSUMER_PARK_COUNT);
        eventually("a consumer that sleeps", || count(file, ids::CONSUMER_PARK_COUNT) > parks);
    }
    [file, CountersFile::boxed(1)]
}

/// A dead producer without readers is replaced; the ring of one with readers is taken over. One reader comes back, and
/// others do not.
fn dying(name: &str) -> [CountersFile; 2] {
    let (mut first, mut second) = (Actor::new(), Actor::new());
    first.does(format!("produce {name} 4"));
    first.dies();
    second.does(format!("produce {name} 4"));
    let mut watching = join(&Place::from(name), "watching");
    let mut worker = Actor::new();
    worker.does(format!("attach {name} w"));
    second.does("publish 1");
    worker.does("hold");
    second.dies();
    worker.dies();
    assert_eq!(drain(&mut watching), [0]);

    let mut producer = ring(&Place::from(name), 4).build_producer(step).unwrap();
    let (mut worker, mut anonymous) = (Actor::new(), Actor::new());
    worker.does(format!("attach {name} w"));
    worker.does("consume 1");
    anonymous.does(format!("attach {name} -"));
    worker.dies();
    anonymous.dies();
    assert_eq!(producer.check_peers().len(), 2);
    assert!(producer.evict_consumer("w").unwrap());
    [producer.ring_counters(), CountersFile::boxed(1)]
}

#[test]
fn counters_are_read_by_another_process_while_their_owner_is_stopped_and_when_it_is_dead() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let name = shm.name("a");
    let (mut producer, mut consumer) = (Actor::new(), Actor::new());
    producer.does(format!("produce {name} 8"));
    consumer.does(format!("attach {name} w"));
    producer.does("publish 7");
    consumer.does("consume 5");
    let attach = || attach_shared_consumer::<Step>(name.as_str(), 8).build_tap().unwrap();
    let read = |tap: &disruptor_mp::Tap<Step>| {
        let file = tap.ring_counters();
        let consumed = file.snapshot().into_iter().find(|counter| counter.id == ids::EVENTS_CONSUMED).unwrap();
        (count(&file, ids::EVENTS_PUBLISHED), consumed.value, consumed.label, consumed.owner_pid)
    };
    let expected = (7, 5, "w".to_owned(), consumer.pid());
    let early = attach();
    assert_eq!(read(&early), expected);
    producer.victim.stop();
    consumer.victim.stop();
    assert_eq!(read(&attach()), expected);
    producer.dies();
    consumer.dies();
    assert_eq!(read(&attach()), expected);
    assert_eq!(read(&early), expected);
}

#[test]
fn a_handle_outlives_the_ring_that_it_counts_in() {
    everywhere(|place| {
        let producer = ring(&place, 4).build_producer(step).unwrap();
        let consumer = join(&place, "w");
        let file = consumer.ring_counters();
        let handle = file.register(ids::APPLICATION_BASE, 0, "mine").unwrap();
        drop((producer, consumer, place.clone()));
        handle.add(3);
        assert_eq!(count(&file, ids::APPLICATION_BASE), 3);
        drop(file);
        handle.inc();
        assert_eq!(handle.get(), 4);
    });
}

#[test]
fn consumers_without_an_id_do_not_use_up_the_table_of_counters() {
    everywhere(|place| {
        let mut producer = ring(&place, 4).build_producer(step).unwrap();
        for round in 1..=200 {
            let mut consumer = attach_shared_consumer::<Step>(place.clone(), 4).build_consumer().unwrap();
            publish(&mut producer, 1);
            assert_eq!(drain(&mut consumer).len(), 1);
            assert_eq!(count(&producer.ring_counters(), ids::EVENTS_CONSUMED), round);
        }
    });
}

#[test]
fn every_consumer_of_a_full_table_has_its_counters() {
    everywhere(|place| {
        let mut producer = ring(&place, 4).enable_discovery(16).build_producer(step).unwrap();
        let mut consumers: Vec<_> = (0..16).map(|n| join(&place, &format!("w{n}"))).collect();
        publish(&mut producer, 1);
        for consumer in &mut consumers {
            assert_eq!(drain(consumer), [0]);
        }
        let consumed = producer.ring_counters().snapshot();
        assert_eq!(
            consumed.iter().filter(|counter| counter.id == ids::EVENTS_CONSUMED && counter.value == 1).count(),
            16
        );
        // The application has counters as well.
        assert!(producer.ring_counters().register(ids::APPLICATION_BASE, 0, "mine").is_some());
    });
}

/// The counter `id` of each owner with the label `label`.
fn of(file: &CountersFile, id: u32, label: &str) -> Vec<CounterSnapshot> {
    file.snapshot().into_iter().filter(|counter| counter.id == id && counter.label == label).collect()
}

#[test]
fn consumers_whose_ids_begin_alike_never_share_a_counter() {
    everywhere(|place| {
        let mut producer = ring(&place, 8).build_producer(step).unwrap();
        let names = ["a", "b"].map(|last| format!("{}{last}", "worker-of-the-first-node-".repeat(4)));
        let mut consumers = names.each_ref().map(|name| join(&place, name));
        publish(&mut producer, 5);
        assert_eq!(drain(&mut consumers[0]).len(), 5);
        drop(consumers[1].try_consume_next_leased().unwrap());
        let file = producer.ring_counters();
        let values = |name| of(&file, ids::EVENTS_CONSUMED, name).iter().map(|c| c.value).collect::<Vec<_>>();
        assert_eq!((values(&names[0]), values(&names[1])), (vec![5], vec![1]));
    });
}

#[test]
fn a_consumer_that_is_called_producer_shares_no_counter_with_the_producer() {
    everywhere(|place| {
        let mut producer = ring(&place, 8).build_producer(step).unwrap();
        let mut consumer = join(&place, "producer");
        publish(&mut producer, 2);
        assert_eq!(drain(&mut consumer).len(), 2);
        let owner = |id| of(&producer.ring_counters(), id, "producer").remove(0).owner;
        assert_eq!(owner(ids::EVENTS_PUBLISHED), CounterOwner::Producer { reign: 1 });
        assert!(matches!(owner(ids::EVENTS_CONSUMED), CounterOwner::Consumer { entry: 0, .. }));
    });
}

#[test]
fn a_ring_whose_consumers_get_a_new_id_at_each_restart_has_counters_for_every_one() {
    everywhere(|place| {
        let mut producer = ring(&place, 4).enable_discovery(1).build_producer(step).unwrap();
        let file = producer.ring_counters();
        let mut owners = vec![];
        for round in 1..=300 {
            let id = format!("worker-{round}");
            let mut consumer = join(&place, &id);
            publish(&mut producer, 1);
            assert_eq!(drain(&mut consumer).len(), 1);
            let own = of(&file, ids::EVENTS_CONSUMED, &id);
            assert_eq!((own.len(), own[0].value), (1, 1), "{own:?}");
            assert!(!owners.contains(&own[0].owner), "told apart from every owner before: {own:?}");
            owners.push(own[0].owner.clone());
            assert_eq!(count(&file, ids::EVENTS_CONSUMED), round, "what the former ones have counted is not lost");
        }
        assert!(file.register(ids::APPLICATION_BASE, 0, "mine").is_some());
    });
}

#[test]
fn a_consumer_that_comes_back_under_its_id_goes_on_counting() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let name = shm.name("a");
    let mut producer = ring(&Place::from(name.as_str()), 8).build_producer(step).unwrap();
    let mut counted = vec![];
    for _ in 0..3 {
        let mut worker = Actor::new();
        worker.does(format!("attach {name} w"));
        publish(&mut producer, 2);
        worker.does("consume 2");
        let [ref counter] = of(&producer.ring_counters(), ids::EVENTS_CONSUMED, "w")[..] else { panic!("one counter") };
        assert_eq!(counter.owner_pid, worker.pid());
        counted.push((counter.value, counter.owner.clone()));
        worker.dies();
    }
    let epochs: Vec<_> = counted.iter().map(|(_, owner)| owner).collect();
    assert!(epochs.windows(2).all(|pair| pair[0] != pair[1]), "owners are told apart: {epochs:?}");
    assert_eq!(counted.iter().map(|(value, _)| *value).collect::<Vec<_>>(), [2, 4, 6]);
}

#[test]
fn a_snapshot_says_which_counter_a_number_is_and_whose() {
    everywhere(|place| {
        let mut producer = ring(&place, 8).build_producer(step).unwrap();
        let mut consumer = join(&place, "w");
        publish(&mut producer, 3);
        assert_eq!(drain(&mut consumer).len(), 3);
        let file = producer.ring_counters();
        file.register(ids::APPLICATION_BASE, 0, "prefills").unwrap().add(7);
        let counters = file.snapshot();
        let lines: Vec<_> = counters.iter().map(ToString::to_string).collect();
        for line in [
            "events_published = 3 events (producer; reign 1)",
            "events_published_bytes = 96 bytes (producer; reign 1)",
            "events_consumed = 3 events (w; entry 0, epoch 0)",
            &format!("prefills = 7 (registered by process {})", std::process::id()),
        ] {
            assert!(lines.iter().any(|found| found == line), "{line} is not in {lines:#?}");
        }
        for (index, line) in lines.iter().enumerate() {
            assert!(!lines[..index].contains(line), "two counters that read the same: {line}");
        }
        for counter in &counters {
            assert!(!counter.name.is_empty() && !counter.help.is_empty(), "{counter:?}");
        }

        let flags = |id, label| of(&file, id, label)[0].flags;
        assert_eq!(flags(ids::EVENTS_PUBLISHED, "producer"), COUNTER_FLAG_PRODUCER | COUNTER_FLAG_IN_USE);
        assert_eq!(flags(ids::EVENTS_CONSUMED, "w"), COUNTER_FLAG_CONSUMER | COUNTER_FLAG_IN_USE);
        drop(consumer);
        assert_eq!(flags(ids::EVENTS_CONSUMED, "w"), COUNTER_FLAG_CONSUMER, "it has gone");
        assert_eq!(of(&file, ids::EVENTS_CONSUMED, "w")[0].value, 3);
    });
}

#[test]
fn the_ends_of_several_rings_share_a_file_and_no_counter() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let file = CountersFile::boxed(256);
    let rings = ["a", "b"].map(|name| {
        let place = Place::from(shm.name(name));
        let mut producer = ring(&place, 8).build_producer(step).unwrap();
        let mut consumer = join(&place, "w");
        let mut tap = attach_shared_consumer::<Step>(place.clone(), 8).build_tap().unwrap();
        producer.attach_counters(&file);
        consumer.attach_counters(&file);
        tap.attach_counters(&file, "w");
        (place, producer, consumer, tap)
    });
    let mut published = vec![];
    for (events, (place, mut producer, mut consumer, _tap)) in (1..).zip(rings) {
        publish(&mut producer, events);
        assert_eq!(drain(&mut consumer).len(), events);
        published.push((place.to_string(), events as u64));
    }
    for id in [ids::EVENTS_PUBLISHED, ids::EVENTS_CONSUMED] {
        let label = if id == ids::EVENTS_PUBLISHED { "producer" } else { "w" };
        let found = of(&file, id, label).into_iter().map(|counter| match counter.owner {
            CounterOwner::Attached { ring, .. } => (ring, counter.value),
            other => panic!("{other:?}"),
        });
        assert_eq!(found.collect::<Vec<_>>(), published);
    }
    let numbers = file.snapshot().into_iter().filter_map(|counter| match counter.owner {
        CounterOwner::Attached { number, .. } => Some(number),
        _ => None,
    });
    assert_eq!(numbers.collect::<std::collections::BTreeSet<_>>().len(), 6, "each end has a number of its own");
}

#[test]
fn two_consumers_of_one_name_that_count_into_one_file_never_share_a_counter() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let place = Place::from(shm.name("a"));
    let file = CountersFile::boxed(256);
    let mut producer = ring(&place, 8).build_producer(step).unwrap();
    let mut first = join(&place, "w");
    first.attach_counters(&file);
    publish(&mut producer, 4);
    assert_eq!(drain(&mut first).len(), 4);
    // The ring is replaced while the consumer of the old one continues.
    drop(producer);
    let mut producer = ring(&place, 8).build_producer(step).unwrap();
    let mut second = join(&place, "w");
    second.attach_counters(&file);
    publish(&mut producer, 1);
    assert_eq!(drain(&mut second).len(), 1);
    let values = |file: &CountersFile| of(file, ids::EVENTS_CONSUMED, "w").iter().map(|c| c.value).collect::<Vec<_>>();
    assert_eq!(values(&file), [4, 1]);
    // A consumer that comes after both are gone continues the counts of one of them.
    drop((first, second));
    let mut third = join(&place, "w");
    third.attach_counters(&file);
    publish(&mut producer, 2);
    assert_eq!(drain(&mut third).len(), 2);
    assert_eq!(values(&file), [6, 1]);
}

#[test]
fn ends_that_come_and_go_do_not_use_up_a_file() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let place = Place::from(shm.name("a"));
    let file = CountersFile::boxed(16);
    let mut producer = ring(&place, 8).build_producer(step).unwrap();
    for round in 0..200 {
        let id = format!("worker-{round}");
        let mut consumer = join(&place, &id);
        consumer.attach_counters(&file);
        publish(&mut producer, 1);
        assert_eq!(drain(&mut consumer).len(), 1);
        let own = of(&file, ids::EVENTS_CONSUMED, &id);
        assert_eq!((own.len(), own[0].value), (1, 1), "round {round}");
    }
}

#[test]
fn processes_that_are_killed_do_not_use_up_a_file_that_they_count_into() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let (name, counters) = (shm.name("a"), shm.name("c"));
    let file = CountersFile::create(counters.as_str(), 24).unwrap();
    let mut producer = ring(&Place::from(name.as_str()), 8).build_producer(step).unwrap();
    // A consumer that lives all the time keeps its counters.
    let mut living = join(&Place::from(name.as_str()), "living");
    living.attach_counters(&file);
    for round in 1..=6 {
        let id = if round <= 3 { "w".to_owned() } else { format!("w{round}") };
        let mut worker = Actor::new();
        worker.does(format!("attach {name} {id}"));
        worker.does(format!("count {counters}"));
        publish(&mut producer, 2);
        worker.does("consume 2");
        assert_eq!(drain(&mut living).len(), 2);
        let values = |label: &str| of(&file, ids::EVENTS_CONSUMED, label).iter().map(|c| c.value).collect::<Vec<_>>();
        // A worker that comes back under its id continues to count.
        assert_eq!(values(&id), [if round <= 3 { 2 * round } else { 2 }], "round {round}");
        assert_eq!(values("living"), [2 * round]);
        worker.dies();
        if round >= 3 {
            assert!(producer.evict_consumer(&id).unwrap());
        }
    }
}

#[test]
fn what_several_dead_processes_have_counted_goes_on_under_their_names() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let (name, counters) = (shm.name("a"), shm.name("c"));
    let file = CountersFile::create(counters.as_str(), 22).unwrap();
    let mut producer = ring(&Place::from(name.as_str()), 8).build_producer(step).unwrap();
    let start = |id: &str| {
        let mut worker = Actor::new();
        worker.does(format!("attach {name} {id}"));
        worker.does(format!("count {counters}"));
        worker
    };
    let mut workers = ["w1", "w2"].map(start);
    publish(&mut producer, 2);
    workers.iter_mut().for_each(|worker| drop(worker.does("consume 2")));
    workers.into_iter().for_each(Actor::dies);
    // The consumer that comes back has the lock byte of the other one.
    let mut second = start("w2");
    publish(&mut producer, 2);
    second.does("consume 2");
    let values = |label: &str| of(&file, ids::EVENTS_CONSUMED, label).iter().map(|c| c.value).collect::<Vec<_>>();
    assert_eq!((values("w1"), values("w2")), (vec![2], vec![4]));
}

#[test]
fn a_process_that_is_stopped_keeps_its_counters_in_a_file() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let (name, counters) = (shm.name("a"), shm.name("c"));
    let file = CountersFile::create(counters.as_str(), 64).unwrap();
    let mut producer = ring(&Place::from(name.as_str()), 8).build_producer(step).unwrap();
    let mut first = Actor::new();
    first.does(format!("attach {name} w"));
    first.does(format!("count {counters}"));
    publish(&mut producer, 3);
    first.does("consume 3");
    first.victim.stop();
    // The ring is replaced, and another process takes the id in the new one.
    drop(producer);
    let mut producer = ring(&Place::from(name.as_str()), 8).build_producer(step).unwrap();
    let mut second = Actor::new();
    second.does(format!("attach {name} w"));
    second.does(format!("count {counters}"));
    publish(&mut producer, 1);
    second.does("consume 1");
    let values: Vec<_> = of(&file, ids::EVENTS_CONSUMED, "w").iter().map(|c| c.value).collect();
    assert_eq!(values, [3, 1]);
}

#[test]
fn a_small_ring_for_two_pays_little_for_its_counters() {
    let counters = disruptor_mp::plan::<Step>(8, 2).unwrap().counters.len;
    assert!(counters <= 8 << 10, "{counters} bytes");
    let many = disruptor_mp::plan::<Step>(8, 1002).unwrap().counters.len;
    assert_eq!((many - counters) / 1000, 384, "bytes for each more consumer");
}

#[test]
fn the_largest_table_of_consumers_has_counters() {
    let mut producer =
        ring(&Place::heap(), 4).enable_discovery(disruptor_mp::TABLE_LEN_MAX).build_producer(step).unwrap();
    publish(&mut producer, 3);
    assert_eq!(count(&producer.ring_counters(), ids::EVENTS_PUBLISHED), 3);
}

#[test]
fn ends_count_where_they_are_told_to() {
    everywhere(|place| {
        let mut producer = ring(&place, 4).build_producer(step).unwrap();
        let mut consumer = join(&place, "w");
        let file = CountersFile::boxed(32);
        publish(&mut producer, 1);
        producer.attach_counters(&file);
        consumer.attach_counters(&file);
        publish(&mut producer, 2);
        assert_eq!(drain(&mut consumer).len(), 3);
        assert_eq!((count(&file, ids::EVENTS_PUBLISHED), count(&file, ids::EVENTS_CONSUMED)), (2, 3));
        assert_eq!(count(&producer.ring_counters(), ids::EVENTS_PUBLISHED), 1);
    });
}

#[test]
fn only_what_nobody_could_read_counts_as_overwritten_unread() {
    everywhere(|place| {
        let mut producer = ring(&place, 4).build_producer(step).unwrap();
        let mut consumer = join(&place, "w");
        for _ in 0..25 {
            publish(&mut producer, 4);
            assert_eq!(drain(&mut consumer).len(), 4);
        }
        drop(consumer);
        publish(&mut producer, 1);
        let unread = || count(&producer.ring_counters(), ids::OVERWRITTEN_UNREAD);
        assert_eq!(unread(), 0, "everything was read");
        publish(&mut producer, 40);
        let unread = count(&producer.ring_counters(), ids::OVERWRITTEN_UNREAD);
        // Counted when the producer looks, which is once a lap.
        assert!((29..=37).contains(&unread), "{unread} of 41");
    });
}

/// A lost wake-up: the position moves, and no process rings.
#[test]
fn a_wake_that_a_producer_did_not_get_is_counted() {
    let (_watchdog, dir) = (watchdog(), TempDir::new());
    let path = dir.path().join("ring");
    let place = Place::from(path.as_path());
    let builder = ring(&place, 4).with_wait_strategy(WaitStrategy::Block);
    let mut producer = builder.build_producer(step).unwrap();
    let _consumer = join(&place, "w");
    let forger = Forger::new(&path, 4);
    publish(&mut producer, 4);
    let file = producer.ring_counters();
    let sleeper = std::thread::spawn(move || {
        let mut moves = 0;
        // If the producer is awake when the position moves, no wake-up is lost: repeat until it sleeps.
        while count(&producer.ring_counters(), ids::PRODUCER_LOST_WAKEUPS) == 0 {
            producer.publish(|_| ()).unwrap();
            moves += 1;
        }
        moves
    });
    let mut position = 0;
    while !sleeper.is_finished() {
        let parks = count(&file, ids::PRODUCER_PARK_COUNT);
        while count(&file, ids::PRODUCER_PARK_COUNT) == parks && !sleeper.is_finished() {
            std::thread::yield_now();
        }
        if forger.position(0) == position && position < count(&file, ids::EVENTS_PUBLISHED) as i64 {
            position += 1;
            forger.set_position(0, position);
        }
    }
    assert!(sleeper.join().unwrap() > 0);
}

/// The same for a consumer: the stamp appears, and no process rings.
#[test]
fn a_wake_that_a_consumer_did_not_get_is_counted() {
    let (_watchdog, dir) = (watchdog(), TempDir::new());
    let path = dir.path().join("ring");
    let place = Place::from(path.as_path());
    let _producer = ring(&place, 1 << 10).build_producer(step).unwrap();
    let builder = attach_shared_consumer::<Step>(place, 0).with_wait_strategy(WaitStrategy::Block);
    let mut consumer = builder.build_consumer().unwrap();
    let forger = Forger::new(&path, 1 << 10);
    let file = consumer.ring_counters();
    let sleeper = std::thread::spawn(move || {
        while count(&consumer.ring_counters(), ids::CONSUMER_LOST_WAKEUPS) == 0 {
            drop(consumer.consume_next_leased().unwrap());
            // Long after the event, the bell has not been rung.
            std::thread::sleep(Duration::from_millis(15));
        }
    });
    let mut stamped = 0;
    while !sleeper.is_finished() {
        let parks = count(&file, ids::CONSUMER_PARK_COUNT);
        while count(&file, ids::CONSUMER_PARK_COUNT) == parks && !sleeper.is_finished() {
            std::thread::yield_now();
        }
        forger.set_stamp(stamped, stamped as i64 + 1);
        stamped += 1;
    }
    sleeper.join().unwrap();
}
