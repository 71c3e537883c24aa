//! What is already at a name: which process may put a ring in its place, and what a refused process is told.

use crate::actor::Actor;
use crate::stage::{Step, TempDir, drain, everywhere, join, publish, ring, step, watchdog};
use disruptor_mp::counters::ids;
use disruptor_mp::segment::{ABI, AbiVersion, CreateOptions, Kind, Place};
use disruptor_mp::{
    ConsumeError, CountersFile, GcOutcome, JoinError, MultiProcessError, Origin, SharedCursor, SharedDisruptorBuilder,
    attach_shared_consumer, build_shared_single_producer, gc, plan, plan_records,
};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use testkit::fork::fork_then;
use testkit::names::ShmGuard;
use testkit::watchdog::PATIENCE;

/// Lets another process make something, and die without releasing it.
fn left_by_a_dead_process<T>(make: impl FnOnce() -> T) {
    let mut child = fork_then(|| {
        std::mem::forget(make());
        0
    });
    assert_eq!(child.wait_exit(PATIENCE).code(), Some(0));
}

fn records(place: &Place) -> SharedDisruptorBuilder<(), disruptor_mp::Lines> {
    SharedDisruptorBuilder::records(place.clone(), 4096)
}

/// Runs `claim` over a name and a path.
fn at_names(claim: impl Fn(Place, &Path)) {
    let (_watchdog, shm, dir) = (watchdog(), ShmGuard::new(), TempDir::new());
    let path = dir.path().join("ring");
    claim(Place::from(path.as_path()), &path);
    let name = shm.name("a");
    claim(Place::from(name.as_str()), &Path::new("/dev/shm").join(name));
    shm.assert_nothing_left();
    assert_eq!(dir.entries(), [""; 0], "left behind");
}

/// Changes the header of the segment at `path` to version `major`, or to the other byte order.
fn forge(path: &Path, major: u16, is_native: bool) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut mark = [0; 4];
    file.read_exact_at(&mut mark, 8).unwrap();
    if !is_native {
        mark.reverse();
    }
    file.write_all_at(&mark, 8).unwrap();
    for (number, at) in [(major, 12), (ABI.minor, 14)] {
        let number = if is_native { number } else { number.swap_bytes() };
        file.write_all_at(&number.to_ne_bytes(), at).unwrap();
    }
}

#[test]
fn a_ring_of_another_kind_that_no_process_uses_is_replaced() {
    at_names(|place, _| {
        left_by_a_dead_process(|| ring(&place, 8).build_producer(step).unwrap());
        let producer = records(&place).build_record_producer().unwrap();
        assert_eq!(producer.origin(), Origin::Replaced);
        drop(producer);
        left_by_a_dead_process(|| records(&place).build_record_producer().unwrap());
        assert_eq!(ring(&place, 8).build_producer(step).unwrap().origin(), Origin::Replaced);
        left_by_a_dead_process(|| SharedCursor::create(place.clone(), 3).unwrap());
        assert_eq!(ring(&place, 8).build_producer(step).unwrap().origin(), Origin::Replaced);
        // A cursor of a living process is in use.
        let _cursor = SharedCursor::create(place.clone(), 3).unwrap();
        let refused = ring(&place, 8).build_producer(step).map(drop).unwrap_err();
        assert!(matches!(refused, MultiProcessError::InUseAsOther { .. }), "{refused:?}");
    });
}

#[test]
fn records_take_the_place_of_events_whose_producer_was_killed() {
    at_names(|place, path| {
        let mut producer = Actor::new();
        producer.does(format!(
            "produce {} 8",
            if path.starts_with("/dev/shm") { place.to_string()[4..].to_owned() } else { path.display().to_string() }
        ));
        producer.dies();
        assert_eq!(records(&place).build_record_producer().unwrap().origin(), Origin::Replaced);
    });
}

#[test]
fn a_segment_of_another_kind_that_a_process_uses_is_refused_with_both_kinds() {
    at_names(|place, _| {
        // The child is a producer that died; the consumer belongs to this process.
        left_by_a_dead_process(|| ring(&place, 8).build_producer(step).unwrap());
        let consumer = join(&place, "w");
        for builder in [records(&place), records(&place).replace()] {
            let refused = builder.build_record_producer().map(drop).unwrap_err();
            let MultiProcessError::InUseAsOther { found, wanted, .. } = &refused else { panic!("{refused:?}") };
            assert_eq!((found.kind, wanted.kind), (Some(Kind::Ring), Some(Kind::Records)));
            let text = refused.to_string();
            assert!(text.contains("it is a ring of events or frames, layout"), "{text}");
            assert!(text.contains("needs a ring of records, layout"), "{text}");
        }
        assert!(matches!(records(&place).take_over().build_record_producer(), Err(MultiProcessError::Unusable { .. })));
        // The last consumer that leaves a ring with a dead producer removes it.
        drop(consumer);
        assert_eq!(records(&place).build_record_producer().unwrap().origin(), Origin::Created);
    });
}

#[test]
fn a_segment_of_another_version_or_byte_order_goes_once_no_process_uses_it() {
    at_names(|place, path| {
        for (major, is_native) in [(1, true), (ABI.major + 1, true), (ABI.major, false), (1, false)] {
            left_by_a_dead_process(|| ring(&place, 8).build_producer(step).unwrap());
            let consumer = join(&place, "w");
            forge(path, major, is_native);
            for existing in [ring(&place, 8), ring(&place, 8).replace()] {
                let refused = existing.build_producer(step).map(drop).unwrap_err();
                let MultiProcessError::InUseAsOther { found, wanted, .. } = &refused else { panic!("{refused:?}") };
                assert_eq!((found.kind, found.abi.major, found.is_native), (None, major, is_native));
                assert_eq!((wanted.kind, wanted.abi, wanted.is_native), (Some(Kind::Ring), ABI, true));
                let text = refused.to_string();
                let theirs = AbiVersion { major, ..ABI };
                assert!(
                    text.contains(&format!("version {theirs}")) && text.contains(&format!("version {ABI}")),
                    "{text}"
                );
                assert_eq!(text.contains("other byte order"), !is_native, "{text}");
            }
            assert!(
                matches!(gc(&place).unwrap(), GcOutcome::InUse { byte: 1 }),
                "the range of locks is that of every version"
            );
            forge(path, if is_native { ABI.major } else { ABI.major.swap_bytes() }, is_native);
            drop(consumer);
            // Whether or not the consumer has removed it.
            let _ = gc(&place);
            left_by_a_dead_process(|| ring(&place, 8).build_producer(step).unwrap());
            forge(path, major, is_native);
            assert_eq!(ring(&place, 8).build_producer(step).unwrap().origin(), Origin::Replaced);
        }
    });
}

#[test]
fn a_counters_file_that_its_process_has_left_is_replaced_only_by_request() {
    at_names(|place, _| {
        left_by_a_dead_process(|| CountersFile::create(place.clone(), 4).unwrap());
        let refused = ring(&place, 8).build_producer(step).map(drop).unwrap_err();
        assert!(matches!(refused, MultiProcessError::HoldsCounters { .. }), "{refused:?}");
        let text = refused.to_string();
        assert!(text.contains("counters file") && text.contains("replace()"), "{text}");
        assert!(records(&place).build_record_producer().is_err());
        let refused = SharedCursor::create(place.clone(), 0).map(drop).unwrap_err();
        assert!(matches!(refused, MultiProcessError::HoldsCounters { .. }), "{refused:?}");
        let table = CountersFile::open(&place).unwrap();
        for builder in [ring(&place, 8), ring(&place, 8).replace()] {
            let refused = builder.build_producer(step).map(drop).unwrap_err();
            assert!(matches!(refused, MultiProcessError::InUseAsOther { .. }), "a process counts in it: {refused:?}");
        }
        drop(table);
        assert_eq!(ring(&place, 8).replace().build_producer(step).unwrap().origin(), Origin::Replaced);
        left_by_a_dead_process(|| CountersFile::create(place.clone(), 4).unwrap());
        drop(CountersFile::create(place, 4).unwrap());
    });
}

#[test]
fn a_table_in_which_a_living_process_counts_is_not_collected() {
    at_names(|place, _| {
        left_by_a_dead_process(|| CountersFile::create(place.clone(), 4).unwrap());
        let tables: Vec<_> = (0..3).map(|_| CountersFile::open(&place).unwrap()).collect();
        let look = CountersFile::open_read_only(&place).unwrap();
        let counter = tables[1].register(ids::APPLICATION_BASE, 0, "counts").unwrap();
        drop(tables);
        assert!(matches!(gc(&place).unwrap(), GcOutcome::InUse { .. }), "a counter is left");
        counter.inc();
        drop(counter);
        assert_eq!(gc(&place).unwrap(), GcOutcome::Removed, "who only looks keeps nothing");
        assert_eq!(look.snapshot()[0].value, 1);

        left_by_a_dead_process(|| ring(&place, 8).build_producer(step).unwrap());
        let in_ring = CountersFile::open(&place).unwrap();
        assert!(matches!(gc(&place).unwrap(), GcOutcome::InUse { .. }));
        drop(in_ring);
        assert_eq!(gc(&place).unwrap(), GcOutcome::Removed);
    });
}

#[test]
fn a_ring_of_other_events_or_another_size_is_replaced_although_readers_live_in_it() {
    at_names(|place, _| {
        let replace_and_tell = |build: &dyn Fn() -> Origin| {
            left_by_a_dead_process(|| ring(&place, 8).build_producer(step).unwrap());
            let mut reader = join(&place, "w");
            assert_eq!(build(), Origin::Replaced);
            assert!(matches!(reader.check_producer(), Err(ConsumeError::Replaced)));
        };
        replace_and_tell(&|| ring(&place, 16).build_producer(step).unwrap().origin());
        replace_and_tell(&|| {
            build_shared_single_producer::<[u64; 7]>(place.clone(), 8).build_producer(|| [0; 7]).unwrap().origin()
        });
        replace_and_tell(&|| {
            ring(&place, 8).discover_consumer_with_prefix(64, "cp").build_producer(step).unwrap().origin()
        });
    });
}

#[test]
fn a_ring_that_another_user_may_not_remove_is_left_as_it_was() {
    if !rustix::process::geteuid().is_root() {
        testkit::skip!("only root can become another user");
    }
    const GROUP: u32 = 65_533;
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let (name, unread) = (shm.name("a"), shm.name("b"));
    let grouped_at = |name: &str| {
        build_shared_single_producer::<Step>(name, 8).with_create_options(CreateOptions::default().group(GROUP))
    };
    let grouped = || grouped_at(&name);
    left_by_a_dead_process(|| grouped_at(&unread).build_producer(step).unwrap());
    left_by_a_dead_process(|| {
        let mut producer = grouped().build_producer(step).unwrap();
        publish(&mut producer, 3);
        producer
    });
    let mut reader = attach_shared_consumer::<Step>(name.as_str(), 8)
        .with_consumer_id("w")
        .start_at(disruptor_mp::StartAt::Oldest)
        .build_consumer()
        .unwrap();
    let mut stranger = fork_then(|| {
        let (group, user) = (rustix::process::Gid::from_raw(GROUP), rustix::process::Uid::from_raw(65_534));
        rustix::thread::set_thread_groups(&[]).unwrap();
        rustix::thread::set_thread_res_gid(group, group, group).unwrap();
        rustix::thread::set_thread_res_uid(user, user, user).unwrap();
        let replaced = grouped().replace().build_producer(step).map(drop);
        let other = records(&Place::from(name.as_str())).build_record_producer().map(drop);
        let told = matches!(&replaced, Err(MultiProcessError::NotOwner { owner_uid: 0, .. }));
        let says_what_to_do =
            replaced.is_err_and(|error| error.to_string().contains("let that user or root remove it"));
        let of_another_kind = records(&Place::from(unread.as_str())).build_record_producer().map(drop);
        let told_as_well = matches!(of_another_kind, Err(MultiProcessError::NotOwner { owner_uid: 0, .. }));
        i32::from(!told) + 2 * i32::from(!says_what_to_do) + 4 * i32::from(other.is_ok()) + 8 * i32::from(!told_as_well)
    });
    assert_eq!(stranger.wait_exit(PATIENCE).code(), Some(0));
    assert_eq!(drain(&mut reader), [0, 1, 2]);
    let end = reader.check_producer();
    assert!(matches!(end, Err(ConsumeError::ProducerDied { .. })), "it was not replaced: {end:?}");
    assert_eq!(grouped().build_producer(step).unwrap().origin(), Origin::TookOver, "its owner goes on");
    drop(reader);
    let _ = gc(name.as_str());
    assert_eq!(gc(unread.as_str()).unwrap(), GcOutcome::Removed);
    shm.assert_nothing_left();
}

#[test]
fn places_are_kept_for_the_consumers_that_they_were_meant_for() {
    everywhere(|place| {
        let producer = ring(&place, 8).discover_consumer_with_prefix(1, "cp").build_producer(step).unwrap();
        let attach = |id: Option<&str>| {
            let builder = attach_shared_consumer::<Step>(place.clone(), 0);
            match id {
                Some(id) => builder.with_consumer_id(id),
                None => builder,
            }
            .build_consumer()
        };
        let monitor = attach(Some("monitor")).unwrap();
        let _anonymous = attach(None).unwrap();
        let expected = attach(Some("cp-0")).unwrap();
        assert_eq!(producer.get_consumer_count(), 1);
        match attach(Some("cp-1")).map(drop) {
            Err(MultiProcessError::Join { source: JoinError::TableFull { table_len: 1 }, .. }) => {}
            other => panic!("{other:?}"),
        }
        let _others = [attach(Some("c")).unwrap(), attach(None).unwrap()];
        match attach(Some("x")).map(drop) {
            Err(MultiProcessError::Join { source: source @ JoinError::NoPlaceForOthers { .. }, .. }) => {
                let text = source.to_string();
                assert!(text.contains("`x`") && text.contains("`cp`") && text.contains("the 4 for others"), "{text}");
            }
            other => panic!("{other:?}"),
        }
        drop((monitor, expected));
        let (_again, _monitor) = (attach(Some("cp-1")).unwrap(), attach(Some("x")).unwrap());
    });
}

#[test]
fn without_a_prefix_every_place_is_for_any_consumer() {
    everywhere(|place| {
        let _producer = ring(&place, 8).enable_discovery(2).build_producer(step).unwrap();
        let attach = |number: usize| {
            attach_shared_consumer::<Step>(place.clone(), 0).with_consumer_id(format!("c{number}")).build_consumer()
        };
        let _six: Vec<_> = (0..6).map(|number| attach(number).unwrap()).collect();
        match attach(6).map(drop) {
            Err(MultiProcessError::Join { source: JoinError::TableFull { table_len: 6 }, .. }) => {}
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_plan_says_how_many_places_there_are_and_for_whom() {
    let planned = plan::<Step>(8, 3).unwrap();
    assert_eq!((planned.places, planned.places_for_others), (3, 4));
    let planned_records = plan_records(4096, 3).unwrap();
    assert_eq!((planned_records.places, planned_records.places_for_others), (3, 4));
    let (_watchdog, dir) = (watchdog(), TempDir::new());
    let path = dir.path().join("ring");
    let builder = ring(&Place::from(path.as_path()), 8).discover_consumer_with_prefix(3, "cp");
    let _producer = builder.build_producer(step).unwrap();
    assert_eq!(std::fs::metadata(path).unwrap().len(), planned.total_len);
}
