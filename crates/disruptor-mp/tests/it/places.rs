//! Names, paths and directories: a place always means the same, and an error says what it is.

use crate::stage::{Step, TempDir, drain, join, publish, ring, step, watchdog};
use disruptor_mp::segment::Place;
use disruptor_mp::{
    CountersFile, CreateOptions, MmapFileConfig, MmapProducer, MmapTransportLayout, MultiProcessError, RecordProducer,
    SharedCursor, SharedCursorTrait, SharedDisruptorBuilder, SharedProducer, attach_shared_consumer,
};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use testkit::fork::fork_then;
use testkit::watchdog::PATIENCE;

#[test]
fn a_relative_path_means_the_same_after_the_working_directory_has_changed() {
    let (_watchdog, dir) = (watchdog(), TempDir::new());
    std::fs::create_dir(dir.path().join("elsewhere")).unwrap();
    let left = Place::from(dir.path().join("left.ring"));
    let mut dead = fork_then(|| {
        std::mem::forget(ring(&left, 4).build_producer(step).unwrap());
        0
    });
    assert_eq!(dead.wait_exit(PATIENCE).code(), Some(0));
    // In a child: the working directory belongs to the whole process.
    let mut child = fork_then(|| {
        std::env::set_current_dir(dir.path()).unwrap();
        let layout = MmapTransportLayout::new("", "layout").unwrap();
        let below = MmapTransportLayout::new("sub", "layout").unwrap();
        let places = [
            Place::from(Path::new("a.ring")),
            Place::from(Path::new("./b.ring")),
            Place::from(Path::new("sub/../c.ring")),
            Place::from(&layout),
        ];
        // A relative path that was put into the enum by hand works where the segment was made, and only there.
        let by_hand = Place::File("d.ring".into());
        let configured = MmapFileConfig::for_event::<Step>("configured.ring", 4);
        let last_one = join(&Place::File("left.ring".into()), "w");
        std::fs::create_dir("sub").unwrap();
        let build = |place: &Place| ring(place, 4).build_producer(step).unwrap();
        let (mut producers, last) = (places.each_ref().map(build), build(&by_hand));
        std::env::set_current_dir("elsewhere").unwrap();
        for (place, producer) in places.iter().zip(&mut producers) {
            let mut consumer = join(place, "w");
            publish(producer, 1);
            assert_eq!(drain(&mut consumer), [0]);
        }
        drop((producers, last, last_one));
        let root = below.root_dir().to_owned();
        below.ensure_directories().unwrap();
        let found = [root, by_hand.path().unwrap(), configured.path];
        i32::from(found != ["sub", "elsewhere/d.ring", "configured.ring"].map(|path| dir.path().join(path)))
            + 2 * i32::from(Path::new("sub").exists())
    });
    assert_eq!(child.wait_exit(PATIENCE).code(), Some(0));
    let mut left = dir.entries();
    left.sort();
    assert_eq!(
        left,
        ["elsewhere", "sub"],
        "each producer, and the last consumer of a dead one, has taken its name away"
    );
}

#[test]
fn creating_at_a_path_makes_its_directory() {
    let (_watchdog, dir) = (watchdog(), TempDir::new());
    let at = |name: &str| dir.path().join(name).join("deep").join("ring");
    let producer = MmapProducer::<Step>::create(at("events"), 4, step).unwrap();
    let layout = MmapTransportLayout::new(dir.path().join("layout"), "ring").unwrap();
    let by_layout = SharedProducer::<Step>::create(&layout, 4, step).unwrap();
    let cursor = SharedCursor::create(at("cursor"), 3).unwrap();
    assert_eq!(cursor.load(), 3);
    let counters = CountersFile::create(at("counters"), 4).unwrap();
    let built = ring(&Place::from(at("builder")), 4).build_producer(step).unwrap();
    drop((producer, by_layout, cursor, counters, built));
    let without = CreateOptions::default().make_directories(false);
    let refused = ring(&Place::from(at("refused")), 4).with_create_options(without).build_producer(step);
    assert!(refused.is_err() && !dir.path().join("refused").exists());
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(MmapProducer::<Step>::create(file.join("ring"), 4, step).is_err(), "a file is no directory");
}

#[test]
fn only_its_owner_may_write_to_a_directory_that_was_made_whatever_the_umask() {
    let (_watchdog, dir) = (watchdog(), TempDir::new());
    let at = |name: &str| dir.path().join(name).join("deep");
    // The umask is that of the whole process.
    let mut child = fork_then(|| {
        rustix::process::umask(rustix::fs::Mode::empty());
        let group = CreateOptions::default().group(rustix::process::getegid().as_raw());
        let made = [("user", CreateOptions::default()), ("group", group)].map(|(name, options)| {
            ring(&Place::from(at(name).join("ring")), 4).with_create_options(options).build_producer(step).is_ok()
        });
        i32::from(made != [true, true])
    });
    assert_eq!(child.wait_exit(PATIENCE).code(), Some(0));
    for name in ["user", "group"] {
        for made in [at(name), dir.path().join(name)] {
            let mode = std::fs::metadata(&made).unwrap().permissions().mode() & 0o7777;
            assert_eq!(mode, 0o755, "{name}: {mode:o}");
        }
    }
}

#[test]
fn names_and_ids_that_can_disguise_a_line_are_refused() {
    let _watchdog = watchdog();
    let place = Place::heap();
    let _producer = ring(&place, 4).build_producer(step).unwrap();
    for bad in ["a\u{202e}b", "a\u{2066}", "\u{200b}a", "a\u{2028}b", "a\u{2029}", "\u{feff}a", "a\u{ad}b", "a\nb"] {
        let error = attach_shared_consumer::<Step>(place.clone(), 0).with_consumer_id(bad).build_consumer().map(drop);
        assert!(matches!(error, Err(MultiProcessError::InvalidConsumerId(_))), "{bad:?}");
        for place in [Place::from(bad), Place::from(Path::new(bad)), Place::memfd(bad)] {
            assert!(!place.to_string().contains(bad), "the place is disguised: {place:?}");
        }
        let error = ring(&Place::from(bad), 4).build_producer(step).map(drop).unwrap_err();
        assert!(text_of(&error).contains("cannot be a segment's name"), "{error}");
        assert!(!text_of(&error).contains(bad), "the error itself is disguised: {error:?}");
        let tagged = SharedDisruptorBuilder::records(Place::heap(), 4096).with_content_tag(bad);
        let error: Result<RecordProducer, _> = tagged.build_record_producer();
        assert!(matches!(error.map(drop), Err(MultiProcessError::InvalidContentTag { .. })), "{bad:?}");
    }
    assert!(attach_shared_consumer::<Step>(place, 0).with_consumer_id("größe 推論 7").build_consumer().is_ok());
}

/// An error with its causes.
fn text_of(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
