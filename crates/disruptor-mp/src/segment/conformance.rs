//! What a segment promises, tested the same way wherever it is; then what only files or only processes can show.
//!
//! **Lives here:** the suite, instantiated once per backend by [`conformance!`], and the processes that die for it: this very test
//! binary, started again with a role. **Builds on:** everything in `segment`. **May touch it:** tests only.

use std::cell::Cell;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use super::backend::pretend_no_tmpfile;
use super::header::tests::{Damage, damaged_page};
use super::*;
use crate::sync::primitive::{AtomicU64, Ordering};

/// Longer than any of this takes on a busy machine; whoever waits longer has found a bug.
const WATCHDOG: Duration = Duration::from_secs(30);

/// Waits until `condition` holds.
fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < WATCHDOG, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A name that no other test, process or earlier run has.
fn unique() -> String {
    static USED: AtomicU64 = AtomicU64::new(0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    format!("dmp-test-{}-{}-{now:x}", std::process::id(), USED.fetch_add(1, Ordering::Relaxed))
}

/// A directory that is gone at the end of the test, with all that is in it.
struct TempDir(PathBuf);

impl TempDir {
    fn new() -> Self {
        let path = std::env::temp_dir().join(unique());
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }

    fn entries(&self) -> Vec<String> {
        fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A place for one test, cleaned up at its end.
struct Site {
    place: Place,
    _dir: Option<TempDir>,
    shm: Option<PathBuf>,
}

impl Site {
    fn shm() -> Self {
        let name = unique();
        Self { shm: Some(Path::new("/dev/shm").join(&name)), place: Place::from(name), _dir: None }
    }

    fn file() -> Self {
        let dir = TempDir::new();
        Self { place: Place::from(dir.path().join("a.ring")), _dir: Some(dir), shm: None }
    }

    #[cfg(target_os = "linux")]
    fn memfd() -> Self {
        Self { place: Place::memfd("conformance"), _dir: None, shm: None }
    }

    fn heap() -> Self {
        Self { place: Place::heap(), _dir: None, shm: None }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(path) = &self.shm {
            let _ = fs::remove_file(path);
        }
    }
}

fn blueprint() -> Blueprint {
    Blueprint {
        kind: Kind::Ring,
        capacity: 64,
        slot_stride: 128,
        slot_align: 64,
        payload_offset: 64,
        payload_len: 64,
        table_len: 4,
        places: 4,
        prefix: String::new(),
        fingerprint: 0,
        predecessor: 0,
        schema: b"a schema of some bytes".to_vec(),
        control_len: 512,
        table_bytes: 512,
        counters_len: 100,
        errors_len: 0,
        slots_len: 64 * 128,
    }
}

fn create(place: &Place) -> (Segment, Claim) {
    Segment::create(place, &blueprint(), &CreateOptions::default(), |_| {}).unwrap()
}

fn open(place: &Place) -> Result<Segment, OpenError> {
    Segment::open(place, Kind::Ring, Access::ReadWrite)
}

fn bytes((start, len): (std::ptr::NonNull<u8>, usize)) -> Vec<u8> {
    // SAFETY: a section of a segment that the caller holds, and that nobody writes at the moment.
    unsafe { std::slice::from_raw_parts(start.as_ptr(), len) }.to_vec()
}

fn write_first((start, len): (std::ptr::NonNull<u8>, usize), value: u8) {
    assert!(len > 0);
    // SAFETY: the first byte of a section of a writable segment that nobody else looks at now.
    unsafe { start.as_ptr().write(value) };
}

mod suite {
    use super::*;

    pub(super) fn what_is_created_can_be_opened_and_is_the_same(site: &Site) {
        let (mine, _claim) = Segment::create(&site.place, &blueprint(), &CreateOptions::default(), |new| {
            assert!(open_at_once_fails(new.place()), "nobody finds it while it is being initialised");
            write_first(new.control(), 7);
        })
        .unwrap();
        let theirs = open(&site.place).unwrap();
        assert_eq!(theirs.header(), mine.header());
        assert_eq!(theirs.schema(), b"a schema of some bytes");
        assert_eq!(theirs.generation(), mine.generation());
        assert_eq!(theirs.header().creator, crate::liveness::ProcessIdentity::current());
        assert_eq!(bytes(theirs.control())[0], 7);
        assert_eq!(theirs.total_len(), blueprint().plan().unwrap().total_len);
        assert!(bytes(theirs.slots()).iter().all(|byte| *byte == 0), "slots are zero at creation");
        assert_eq!(theirs.slots().0.as_ptr() as usize % 4096, 0);
        for (start, _) in [theirs.control(), theirs.table(), theirs.counters()] {
            assert_eq!(start.as_ptr() as usize % 128, 0);
        }
        write_first(mine.slots(), 42);
        assert_eq!(bytes(theirs.slots())[0], 42, "both map the same memory");
    }

    /// For places that never show an unfinished segment.
    fn open_at_once_fails(place: &Place) -> bool {
        matches!(open(place), Err(OpenError::NotFound { .. }))
    }

    pub(super) fn creation_is_exclusive_and_leaves_the_first_alone(site: &Site) {
        let (first, _claim) = create(&site.place);
        let second = Segment::create(&site.place, &blueprint(), &CreateOptions::default(), |_| {});
        assert!(matches!(second, Err(CreateError::AlreadyExists { .. })), "{second:?}");
        assert!(first.still_named().unwrap());
        assert_eq!(first.fate(), Fate::Live);
    }

    pub(super) fn of_many_creators_exactly_one_wins(site: &Site) {
        let wins = std::thread::scope(|threads| {
            let race = || {
                let result = Segment::create(&site.place, &blueprint(), &CreateOptions::default(), |_| {});
                assert!(matches!(result, Ok(_) | Err(CreateError::AlreadyExists { .. })), "{result:?}");
                result.ok()
            };
            let racers: Vec<_> = (0..4).map(|_| threads.spawn(race)).collect();
            racers.into_iter().filter_map(|racer| racer.join().unwrap()).count()
        });
        assert_eq!(wins, 1);
    }

    pub(super) fn a_lock_byte_has_one_holder_and_everybody_sees_it(site: &Site) {
        let (mine, producer) = create(&site.place);
        let theirs = open(&site.place).unwrap();
        assert_eq!(producer.byte(), PRODUCER);
        assert!(theirs.is_held(PRODUCER).unwrap());
        assert!(theirs.claim(PRODUCER).unwrap().is_none());
        assert!(!mine.is_held(3).unwrap());
        let third = theirs.claim(3).unwrap().unwrap();
        assert_eq!(third.byte(), 3);
        assert!(mine.is_held(3).unwrap());
        assert!(mine.claim(3).unwrap().is_none());
        assert!(!mine.is_held(2).unwrap() && !mine.is_held(4).unwrap(), "neighbours are free");
        drop(third);
        assert!(!mine.is_held(3).unwrap());
        drop(producer);
        assert!(!theirs.is_held(PRODUCER).unwrap());
        assert!(theirs.claim(PRODUCER).unwrap().is_some(), "a free producer's byte can be taken over");
    }

    pub(super) fn a_lock_outlives_the_segment_it_was_taken_on(site: &Site) {
        let (mine, _producer) = create(&site.place);
        let claim = open(&site.place).unwrap().claim(1).unwrap().unwrap();
        assert!(mine.is_held(1).unwrap(), "dropping a mapping gives back no lock");
        drop(claim);
        assert!(!mine.is_held(1).unwrap());
    }

    pub(super) fn opening_what_is_not_there_says_so(site: &Site) {
        assert!(matches!(open(&site.place), Err(OpenError::NotFound { .. })));
        assert_eq!(gc(&site.place).unwrap(), GcOutcome::NotFound);
    }

    pub(super) fn another_kind_is_refused(site: &Site) {
        let _segment = create(&site.place);
        let error = Segment::open(&site.place, Kind::Cursor, Access::ReadOnly).unwrap_err();
        assert!(matches!(error, OpenError::WrongKind { found: Kind::Ring, wanted: Kind::Cursor, .. }), "{error}");
    }

    pub(super) fn gc_leaves_the_living_and_removes_the_dead(site: &Site) {
        let (mine, producer) = create(&site.place);
        let consumer = mine.claim(2).unwrap().unwrap();
        assert_eq!(gc(&site.place).unwrap(), GcOutcome::InUse { byte: 0 });
        drop(producer);
        assert_eq!(gc(&site.place).unwrap(), GcOutcome::InUse { byte: 2 });
        assert!(mine.still_named().unwrap());
        drop(consumer);
        assert_eq!(mine.fate(), Fate::Live);
        assert_eq!(gc(&site.place).unwrap(), GcOutcome::Removed);
        assert_eq!(mine.fate(), Fate::Removed);
        assert!(!mine.still_named().unwrap());
        assert_eq!(gc(&site.place).unwrap(), GcOutcome::NotFound);
        create(&site.place);
    }

    pub(super) fn replacing_marks_the_old_one_while_no_process_can_take_it_over(site: &Site) {
        let (old, claim) = create(&site.place);
        let reader = open(&site.place).unwrap();
        let woken = Cell::new(false);
        let woken_in = |marked: &Segment| {
            assert_eq!(marked.fate(), Fate::Replaced);
            assert!(marked.is_held(PRODUCER).unwrap(), "nobody can take the old one over now");
            assert!(!marked.still_named().unwrap(), "what can be refused came first");
            woken.set(true);
        };
        let options = CreateOptions::default();
        let (new, new_claim) = replace(&old, claim, &site.place, &blueprint(), &options, woken_in, |_| {}).unwrap();
        assert!(woken.get());
        assert_eq!(reader.fate(), Fate::Replaced);
        assert!(!reader.still_named().unwrap() && new.still_named().unwrap());
        assert_ne!(new.generation(), old.generation());
        assert!(!reader.is_held(PRODUCER).unwrap(), "the old claim is over");
        assert_eq!(new_claim.byte(), PRODUCER);
        let opened = open(&site.place).unwrap();
        assert_eq!(opened.generation(), new.generation());
        assert!(opened.is_held(PRODUCER).unwrap());
        assert_eq!(opened.fate(), Fate::Live);
    }

    pub(super) fn what_somebody_else_put_there_is_not_replaced(site: &Site) {
        let (old, claim) = create(&site.place);
        assert!(old.unlink_if_same().unwrap());
        let (other, _other_claim) = create(&site.place);
        assert!(!old.unlink_if_same().unwrap(), "only its own name");
        let result = replace(&old, claim, &site.place, &blueprint(), &CreateOptions::default(), |_| {}, |_| {});
        assert!(matches!(result, Err(CreateError::AlreadyExists { .. })), "{result:?}");
        assert_eq!(old.fate(), Fate::Live, "who was not replaced is not told so");
        assert!(other.still_named().unwrap());
    }

    pub(super) fn a_segment_that_lost_its_name_can_still_be_replaced(site: &Site) {
        let (old, claim) = create(&site.place);
        assert!(old.unlink_if_same().unwrap());
        let options = CreateOptions::default();
        let (new, _claim) = replace(&old, claim, &site.place, &blueprint(), &options, |_| {}, |_| {}).unwrap();
        assert!(new.still_named().unwrap());
        assert_eq!(old.fate(), Fate::Replaced);
    }

    pub(super) fn a_plan_that_cannot_be_creates_nothing(site: &Site) {
        let wrong = Blueprint { slots_len: 1, ..blueprint() };
        let result = Segment::create(&site.place, &wrong, &CreateOptions::default(), |_| {});
        assert!(matches!(result, Err(CreateError::Plan(PlanError::Inconsistent { field: "slots_len", .. }))));
        assert!(matches!(open(&site.place), Err(OpenError::NotFound { .. })));
    }

    pub(super) fn a_panic_while_initialising_leaves_nothing(site: &Site) {
        let create = || Segment::create(&site.place, &blueprint(), &CreateOptions::default(), |_| panic!("on purpose"));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(create)).is_err());
        assert!(matches!(open(&site.place), Err(OpenError::NotFound { .. })));
    }

    pub(super) fn a_read_only_participant_sees_locks_and_takes_none(site: &Site) {
        let (mine, producer) = create(&site.place);
        let tap = Segment::open(&site.place, Kind::Ring, Access::ReadOnly).unwrap();
        assert!(tap.is_read_only() && !mine.is_read_only());
        assert!(tap.is_held(PRODUCER).unwrap());
        assert_eq!(tap.claim(1).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        drop(producer);
        assert!(!tap.is_held(PRODUCER).unwrap());
        mine.mark_removed();
        assert_eq!(tap.fate(), Fate::Removed);
    }

    pub(super) fn prefaulted_and_locked_pages_change_nothing_else(site: &Site) {
        let options = CreateOptions::default().prefault(true).mlock(true);
        match Segment::create(&site.place, &blueprint(), &options, |_| {}) {
            Ok(_) => assert!(open(&site.place).is_ok()),
            // A process without the right to lock pages gets an error and leaves nothing.
            Err(error) => {
                assert!(matches!(
                    error,
                    CreateError::PermissionDenied { call: "mlock", .. } | CreateError::Os { call: "mlock", .. }
                ));
                assert!(matches!(open(&site.place), Err(OpenError::NotFound { .. })));
            }
        }
    }
}

/// One test per claim and backend.
macro_rules! conformance {
    ($($claim:ident,)*) => {
        conformance!(@backend shm, $($claim,)*);
        conformance!(@backend file, $($claim,)*);
        #[cfg(target_os = "linux")]
        conformance!(@backend memfd, $($claim,)*);
        conformance!(@backend heap, $($claim,)*);
    };
    (@backend $backend:ident, $($claim:ident,)*) => {
        mod $backend {
            $(#[test]
            fn $claim() {
                super::suite::$claim(&super::Site::$backend());
            })*
        }
    };
}

conformance! {
    what_is_created_can_be_opened_and_is_the_same,
    creation_is_exclusive_and_leaves_the_first_alone,
    of_many_creators_exactly_one_wins,
    a_lock_byte_has_one_holder_and_everybody_sees_it,
    a_lock_outlives_the_segment_it_was_taken_on,
    opening_what_is_not_there_says_so,
    another_kind_is_refused,
    gc_leaves_the_living_and_removes_the_dead,
    replacing_marks_the_old_one_while_no_process_can_take_it_over,
    what_somebody_else_put_there_is_not_replaced,
    a_segment_that_lost_its_name_can_still_be_replaced,
    a_plan_that_cannot_be_creates_nothing,
    a_panic_while_initialising_leaves_nothing,
    a_read_only_participant_sees_locks_and_takes_none,
    prefaulted_and_locked_pages_change_nothing_else,
}

/// The claims that also hold where the name comes before the content. (`what_is_created…` looks from inside the initialisation, where
/// an opener would wait.)
#[test]
fn a_place_that_cannot_make_nameless_files_keeps_the_same_promises() {
    for claim in [
        suite::creation_is_exclusive_and_leaves_the_first_alone,
        suite::a_lock_byte_has_one_holder_and_everybody_sees_it,
        suite::gc_leaves_the_living_and_removes_the_dead,
        suite::replacing_marks_the_old_one_while_no_process_can_take_it_over,
        suite::what_somebody_else_put_there_is_not_replaced,
        suite::a_segment_that_lost_its_name_can_still_be_replaced,
        suite::a_plan_that_cannot_be_creates_nothing,
        suite::a_panic_while_initialising_leaves_nothing,
    ] {
        pretend_no_tmpfile(|| claim(&Site::file()));
    }
}

mod what_openers_find {
    use super::*;

    /// The bytes of a finished segment.
    fn good_bytes() -> Vec<u8> {
        let dir = TempDir::new();
        let path = dir.path().join("good");
        create(&Place::from(&path));
        fs::read(&path).unwrap()
    }

    fn open_bytes(bytes: &[u8]) -> OpenError {
        let dir = TempDir::new();
        let path = dir.path().join("a.ring");
        fs::write(&path, bytes).unwrap();
        open(&Place::from(path)).unwrap_err()
    }

    #[test]
    fn every_truncation_is_told_from_a_segment() {
        let good = good_bytes();
        let header = HEADER_BYTES as usize;
        // An empty file takes a second look; the others are judged at once.
        for len in (1..300).chain([1000, header - 1]) {
            let error = open_bytes(&good[..len]);
            assert!(
                matches!(error, OpenError::TooShort { len_bytes, .. } if len_bytes == len as u64),
                "{len}: {error}"
            );
        }
        for len in [header, header + 1, good.len() - 1] {
            let error = open_bytes(&good[..len]);
            let expected = (good.len() as u64, len as u64);
            assert!(
                matches!(error, OpenError::Length { header_bytes, object_bytes, .. } if (header_bytes, object_bytes) == expected),
                "{len}: {error}"
            );
        }
        assert!(matches!(open_bytes(b""), OpenError::TooShort { len_bytes: 0, .. }));
    }

    #[test]
    fn each_damage_has_its_answer() {
        let good = good_bytes();
        let with = |damage| {
            let mut bytes = damaged_page(&good[..HEADER_BYTES as usize], damage);
            bytes.extend_from_slice(&good[HEADER_BYTES as usize..]);
            open_bytes(&bytes)
        };
        assert!(matches!(with(Damage::Magic), OpenError::WrongMagic { .. }));
        assert!(matches!(with(Damage::ByteOrder), OpenError::ByteOrder { .. }));
        assert!(
            matches!(with(Damage::Version), OpenError::Version { found, wanted, .. } if found.major == wanted.major + 1)
        );
        assert!(matches!(with(Damage::Sum), OpenError::Corrupt { field: "checksum", .. }));
        assert!(matches!(with(Damage::SectionPastEnd), OpenError::Corrupt { .. }));
        assert!(matches!(with(Damage::Overflow), OpenError::Corrupt { .. }));
        assert!(matches!(with(Damage::Unready), OpenError::CreatorDied { .. }));
        assert!(matches!(open_bytes(&[0; 8192]), OpenError::WrongMagic { .. }));
        assert!(matches!(open_bytes(&[b'x'; 8192]), OpenError::WrongMagic { .. }));
    }

    #[test]
    fn a_longer_object_than_the_header_says_is_no_harm() {
        let dir = TempDir::new();
        let path = dir.path().join("a.ring");
        let mut bytes = good_bytes();
        let len = bytes.len() as u64;
        bytes.extend_from_slice(&[9; 5000]);
        fs::write(&path, bytes).unwrap();
        assert_eq!(open(&Place::from(path)).unwrap().total_len(), len);
    }

    #[test]
    fn an_opener_waits_for_a_creator_that_is_alive() {
        let dir = TempDir::new();
        let place = Place::from(dir.path().join("a.ring"));
        let opener = Cell::new(None);
        let (segment, _claim) = pretend_no_tmpfile(|| {
            Segment::create(&place, &blueprint(), &CreateOptions::default(), |new| {
                let place = new.place().clone();
                let (started, has_started) = std::sync::mpsc::channel();
                opener.set(Some(std::thread::spawn(move || {
                    started.send(()).unwrap();
                    open(&place).map(|found| found.generation())
                })));
                has_started.recv().unwrap();
                // Not needed for the claim, but it makes it likely that the opener has really met the unfinished segment.
                std::thread::sleep(Duration::from_millis(20));
            })
            .unwrap()
        });
        assert_eq!(opener.take().unwrap().join().unwrap().unwrap(), segment.generation());
    }

    #[test]
    fn symlinks_and_special_files_are_refused() {
        let dir = TempDir::new();
        let target = Place::from(dir.path().join("target"));
        let _target = create(&target);
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path().join("target"), &link).unwrap();
        let socket = dir.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let fifo = dir.path().join("fifo");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let directory = dir.path().join("directory");
        fs::create_dir(&directory).unwrap();
        let special = [(link, "a symlink"), (socket, "a socket"), (fifo, "a FIFO"), (directory, "a directory")];
        for (path, what) in special {
            let place = Place::from(&path);
            for access in [Access::ReadOnly, Access::ReadWrite] {
                let error = Segment::open(&place, Kind::Ring, access).unwrap_err();
                assert!(matches!(error, OpenError::NotAFile { found, .. } if found == what), "{place}: {error:?}");
            }
            let result = Segment::create(&place, &blueprint(), &CreateOptions::default(), |_| {});
            assert!(matches!(result, Err(CreateError::AlreadyExists { .. })), "{place}: {result:?}");
            assert_eq!(gc(&place).unwrap(), GcOutcome::NotOurs);
            assert!(fs::symlink_metadata(&path).is_ok(), "{place} is untouched");
        }
        assert!(open(&target).is_ok());
    }

    #[test]
    fn bad_names_are_refused_by_every_operation() {
        for bad in ["", ".", "..", "../x", "a/b", "/dev/shm/x", ".x", "a\0b", &"x".repeat(300)] {
            assert!(matches!(open(&Place::from(bad)), Err(OpenError::InvalidName(_))), "{bad:?}");
            assert!(matches!(gc(bad), Err(GcError::InvalidName(_))));
            let result = Segment::create(&bad.into(), &blueprint(), &CreateOptions::default(), |_| {});
            assert!(matches!(result, Err(CreateError::InvalidName(_))));
        }
        assert!(matches!(open(&Place::from(Path::new("/tmp/.."))), Err(OpenError::InvalidName(_))));
    }

    #[test]
    fn gc_never_removes_what_is_not_ours_and_removes_what_is_damaged() {
        let dir = TempDir::new();
        let path = dir.path().join("a.ring");
        for foreign in [b"".as_slice(), b"some text", &[0; 8192]] {
            fs::write(&path, foreign).unwrap();
            assert_eq!(gc(path.as_path()).unwrap(), GcOutcome::NotOurs);
            assert_eq!(fs::read(&path).unwrap(), foreign);
        }
        let good = good_bytes();
        let page = &good[..HEADER_BYTES as usize];
        for damaged in [&good[..20], &damaged_page(page, Damage::Unready), &damaged_page(page, Damage::Version)] {
            fs::write(&path, damaged).unwrap();
            assert_eq!(gc(path.as_path()).unwrap(), GcOutcome::Removed);
            assert!(!path.exists());
        }
    }
}

#[test]
fn a_segment_is_private_unless_a_group_is_named() {
    let dir = TempDir::new();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let gid = fs::metadata(dir.path()).unwrap().gid();
    for (name, tmpfile) in [("a", true), ("b", false)] {
        let path = dir.path().join(name);
        let grouped = dir.path().join(format!("{name}-group"));
        let make = || {
            create(&Place::from(&path));
            let options = CreateOptions::default().group(gid);
            Segment::create(&Place::from(&grouped), &blueprint(), &options, |_| {}).unwrap();
        };
        if tmpfile {
            make()
        } else {
            pretend_no_tmpfile(make)
        }
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(&grouped), 0o660);
        assert_eq!(fs::metadata(&grouped).unwrap().gid(), gid);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_read_only_segment_is_mapped_read_only() {
    let site = Site::shm();
    let (mine, _claim) = create(&site.place);
    let tap = Segment::open(&site.place, Kind::Ring, Access::ReadOnly).unwrap();
    let protection = |segment: &Segment| {
        let (slots, _) = segment.slots();
        let address = slots.as_ptr() as usize - segment.header().plan.slots.offset as usize;
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let line = maps.lines().find(|line| line.starts_with(&format!("{address:x}-"))).expect("the mapping is listed");
        line.split_ascii_whitespace().nth(1).unwrap().to_owned()
    };
    assert_eq!(protection(&mine), "rw-s");
    assert_eq!(protection(&tap), "r--s");
}

#[cfg(target_os = "linux")]
#[test]
fn space_is_reserved_and_no_slot_is_written() {
    let dir = TempDir::new();
    let slots_len = 64 << 20;
    let large = Blueprint { capacity: slots_len / 128, slots_len, ..blueprint() };
    let total_len = large.plan().unwrap().total_len;
    let (reserved, sparse) = (dir.path().join("reserved"), dir.path().join("sparse"));
    let (segment, _claim) =
        Segment::create(&Place::from(&reserved), &large, &CreateOptions::default(), |_| {}).unwrap();
    Segment::create(&Place::from(&sparse), &large, &CreateOptions::default().sparse(true), |_| {}).unwrap();
    let bytes = |path: &Path| fs::metadata(path).unwrap().blocks() * 512;
    assert!(bytes(&reserved) >= total_len, "{} of {total_len}", bytes(&reserved));
    assert!(bytes(&sparse) < total_len / 2);
    let (slots, _) = segment.slots();
    let smaps = fs::read_to_string("/proc/self/smaps").unwrap();
    let address = slots.as_ptr() as usize - segment.header().plan.slots.offset as usize;
    let mut lines = smaps.lines().skip_while(|line| !line.starts_with(&format!("{address:x}-")));
    let resident = lines.find_map(|line| line.strip_prefix("Rss:")).unwrap();
    let resident_kib: u64 = resident.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(resident_kib < 1024, "creation touched {resident_kib} KiB");
}

#[cfg(target_os = "linux")]
mod scarce_space {
    use super::*;
    use std::ffi::CString;

    /// A tmpfs of its own, unmounted at the end.
    struct Tmpfs(TempDir);

    impl Tmpfs {
        /// `None` where this process may not mount; the test then has nothing to show and says so.
        fn mount(size_bytes: u64) -> Option<Self> {
            Self::mount_with(&format!("size={size_bytes}"))
        }

        fn mount_with(options: &str) -> Option<Self> {
            let dir = TempDir::new();
            let target = CString::new(dir.path().to_str().unwrap()).unwrap();
            let options = CString::new(options).unwrap();
            // SAFETY: four C strings that live through the call.
            let rc = unsafe {
                libc::mount(c"tmpfs".as_ptr(), target.as_ptr(), c"tmpfs".as_ptr(), 0, options.as_ptr().cast())
            };
            if rc == 0 {
                return Some(Self(dir));
            }
            eprintln!("skipped: no tmpfs could be mounted: {}", io::Error::last_os_error());
            None
        }
    }

    impl Drop for Tmpfs {
        fn drop(&mut self) {
            let target = CString::new(self.0.path().to_str().unwrap()).unwrap();
            // SAFETY: a C string that lives through the call.
            unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) };
        }
    }

    fn ring_of(slots_len: u64) -> Blueprint {
        Blueprint { capacity: slots_len / 128, slots_len, ..blueprint() }
    }

    #[test]
    fn a_full_file_system_is_an_error_that_says_how_much_and_what_to_do() {
        let Some(tmpfs) = Tmpfs::mount(1 << 20) else { return };
        let place = Place::from(tmpfs.0.path().join("a.ring"));
        for tmpfile in [true, false] {
            let make = || Segment::create(&place, &ring_of(8 << 20), &CreateOptions::default(), |_| {});
            let error = if tmpfile { make() } else { pretend_no_tmpfile(make) }.unwrap_err();
            match &error {
                CreateError::NoSpace { wanted_bytes, available_bytes, .. } => {
                    assert!(*wanted_bytes > 8 << 20);
                    assert!((1..=1 << 20).contains(available_bytes), "{available_bytes}");
                }
                other => panic!("{other}"),
            }
            let message = error.to_string();
            assert!(message.contains("--shm-size") && message.contains("emptyDir"), "{message}");
            assert_eq!(tmpfs.0.entries(), [""; 0], "nothing is left behind");
        }
        // What fits still fits: nothing of the failed attempts holds space.
        Segment::create(&place, &ring_of(512 << 10), &CreateOptions::default(), |_| {}).unwrap();
    }

    /// A tmpfs that may have `inodes` files, its root among them.
    fn with_inodes(inodes: u32) -> Option<Tmpfs> {
        Tmpfs::mount_with(&format!("size=16m,nr_inodes={inodes}"))
    }

    #[test]
    fn a_file_system_without_inodes_is_said_to_be_short_of_them() {
        let Some(tmpfs) = with_inodes(3) else { return };
        let place = |name: &str| Place::from(tmpfs.0.path().join(name));
        let (_first, _claim) = create(&place("a"));
        for tmpfile in [true, false] {
            fs::write(tmpfs.0.path().join("another"), "").unwrap();
            let make = || Segment::create(&place("b"), &blueprint(), &CreateOptions::default(), |_| {});
            let error = if tmpfile { make() } else { pretend_no_tmpfile(make) }.unwrap_err();
            assert!(matches!(error, CreateError::NoInodes { free_bytes: 1.., .. }), "{error:?}");
            assert!(error.to_string().contains("nr_inodes"), "{error}");
            fs::remove_file(tmpfs.0.path().join("another")).unwrap();
        }
        assert_eq!(tmpfs.0.entries(), ["a"]);
        pretend_no_tmpfile(|| create(&place("b")));
    }

    #[test]
    fn a_replacement_without_room_leaves_the_old_one_in_use() {
        let Some(tmpfs) = Tmpfs::mount(1 << 20) else { return };
        let place = Place::from(tmpfs.0.path().join("a.ring"));
        for tmpfile in [true, false] {
            let (old, claim) = create(&place);
            let (options, woken) = (CreateOptions::default(), |_: &Segment| panic!("nobody is woken"));
            let make = || replace(&old, claim, &place, &ring_of(8 << 20), &options, woken, |_| {});
            let result = if tmpfile { make() } else { pretend_no_tmpfile(make) };
            assert!(matches!(result, Err(CreateError::NoSpace { .. })), "{result:?}");
            assert_eq!(old.fate(), Fate::Live);
            assert!(open(&place).is_ok());
            assert_eq!(tmpfs.0.entries(), ["a.ring"], "nothing is left behind");
            assert_eq!(gc(&place).unwrap(), GcOutcome::Removed);
        }
    }
}

#[cfg(target_os = "linux")]
mod memory_files {
    use super::*;
    use std::os::fd::OwnedFd;

    #[test]
    fn a_memory_file_cannot_change_its_length() {
        let place = Place::memfd("sealed");
        let (segment, _claim) = create(&place);
        let handed: fs::File = segment.try_clone_fd().unwrap().into();
        assert!(handed.set_len(0).is_err());
        assert!(handed.set_len(segment.total_len() * 2).is_err());
    }

    #[test]
    fn a_received_memory_file_opens_and_locks_on_its_own_description() {
        let (mine, producer) = create(&Place::memfd("handed over"));
        let received = Place::from(mine.try_clone_fd().unwrap());
        let theirs = open(&received).unwrap();
        assert_eq!(theirs.generation(), mine.generation());
        assert!(theirs.is_held(PRODUCER).unwrap());
        let entry = theirs.claim(1).unwrap().unwrap();
        assert!(mine.is_held(1).unwrap());
        drop((theirs, received));
        assert!(mine.is_held(1).unwrap(), "closing what was received gives back no lock");
        drop((producer, entry));
        assert!(!mine.is_held(1).unwrap());
    }

    #[test]
    fn a_memory_file_that_can_shrink_is_refused() {
        let unsealed = rustix::fs::memfd_create("unsealed", rustix::fs::MemfdFlags::ALLOW_SEALING).unwrap();
        assert!(matches!(open(&Place::from(unsealed)), Err(OpenError::Unsealed { .. })));
        let no_memory_file: OwnedFd = fs::File::open("/dev/null").unwrap().into();
        assert!(matches!(open(&Place::from(no_memory_file)), Err(OpenError::Unsealed { .. })));
    }
}

/// A process of this test binary that plays one of the roles in [`victim`]. Killed and reaped at the end of the test.
struct Victim {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Victim {
    fn start(role: &str, path: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "segment::conformance::victim", "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .env(PLACE, path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Waits until it says `word`; libtest says things of its own before. Whoever waits in vain is ended by the victim's own watchdog.
    fn expect(&mut self, word: &str) -> String {
        self.lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.split_once(&format!("VICTIM {word}")).map(|(_, rest)| rest.trim().to_owned()))
            .unwrap_or_else(|| panic!("the victim never said {word}"))
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const ROLE: &str = "DISRUPTOR_MP_SEGMENT_VICTIM";
const PLACE: &str = "DISRUPTOR_MP_SEGMENT_PLACE";

fn say(word: &str) {
    println!("VICTIM {word}");
    io::stdout().flush().unwrap();
}

/// Lives until its starter kills it or dies, which ends its standard input.
fn until_the_end() {
    let _ = io::copy(&mut io::stdin(), &mut io::sink());
}

fn kill_myself() -> ! {
    // SAFETY: sends a signal to this very process.
    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    unreachable!("SIGKILL cannot be survived")
}

/// Not a test but the body of the processes that the tests below start. Without a role it is over at once.
#[test]
fn victim() {
    let (Ok(role), Some(path)) = (std::env::var(ROLE), std::env::var_os(PLACE)) else { return };
    // SAFETY: `alarm` ends a victim that nobody kills; libtest does not use it.
    unsafe { libc::alarm(WATCHDOG.as_secs() as u32) };
    let path = PathBuf::from(path);
    let place = Place::from(&path);
    match role.as_str() {
        "produce" => {
            let _held = create(&place);
            say("ready");
            until_the_end();
        }
        "consume" => {
            let segment = open(&place).unwrap();
            let _held = segment.claim(2).unwrap().unwrap();
            say("ready");
            until_the_end();
        }
        "produce, then fork a child that lives on" => {
            let _held = create(&place);
            // SAFETY: the child only calls what is safe after a fork: `read` and `_exit`. It lives as long as the pipe is open.
            let pid = unsafe { libc::fork() };
            if pid == 0 {
                let mut byte = 0u8;
                // SAFETY: one byte on the child's stack; then the end, without running anything of ours.
                unsafe {
                    while libc::read(0, (&raw mut byte).cast(), 1) > 0 {}
                    libc::_exit(0)
                }
            }
            say(&format!("ready {pid}"));
            until_the_end();
        }
        "die while initialising" => {
            let _ = Segment::create(&place, &blueprint(), &CreateOptions::default(), |_| kill_myself());
        }
        "die while initialising what has a name" => {
            let create = || Segment::create(&place, &blueprint(), &CreateOptions::default(), |_| kill_myself());
            let _ = pretend_no_tmpfile(create);
        }
        "die while initialising a replacement that has a name" => {
            let (old, claim) = create(&place);
            let die = |_: &Segment| kill_myself();
            let replace = || replace(&old, claim, &place, &blueprint(), &CreateOptions::default(), |_| {}, die);
            let _ = pretend_no_tmpfile(replace);
        }
        "die when the new one has the name" => {
            let (old, claim) = create(&place);
            let die = |_: &Segment| kill_myself();
            let _ = replace(&old, claim, &place, &blueprint(), &CreateOptions::default(), die, |_| {});
        }
        "remove and replace as another user of the group" => {
            let group = fs::metadata(&path).unwrap().gid();
            // SAFETY: changes who this process is; it has no other threads that matter.
            let dropped = unsafe { libc::setgroups(0, std::ptr::null()) == 0 && libc::setgid(group) == 0 };
            // SAFETY: as above.
            let dropped = dropped && unsafe { libc::setuid(65534) } == 0;
            let gc_refused = matches!(gc(&place), Err(GcError::NotOwner { owner_uid: 0, .. }));
            let replace_refused = || {
                let (old, options) = (open(&place).unwrap(), CreateOptions::default());
                let claim = old.claim(PRODUCER).unwrap().unwrap();
                let woken = |_: &Segment| panic!("a ring that cannot be replaced was marked");
                let result = replace(&old, claim, &place, &blueprint(), &options, woken, |_| {});
                matches!(result, Err(CreateError::NotOwner { owner_uid: 0, .. }))
            };
            let sole = || Sole::create(&place, &blueprint(), &CreateOptions::default(), |_| {}).map(drop);
            let sole_refused = matches!(sole(), Err(CreateError::NotOwner { owner_uid: 0, .. }));
            let both = replace_refused() && pretend_no_tmpfile(replace_refused);
            say(&format!("ready {dropped} {gc_refused} {both} {sole_refused}"));
        }
        "open as nobody" => {
            // SAFETY: changes who this process is; it has no other threads that matter.
            let dropped = unsafe { libc::setgid(65534) == 0 && libc::setuid(65534) == 0 };
            let denied = matches!(open(&place), Err(OpenError::PermissionDenied { .. }));
            let gc_denied = matches!(gc(&place), Err(GcError::PermissionDenied { .. }));
            let beside = dir_of(&place).join("beside");
            let beside = Segment::create(&beside.into(), &blueprint(), &CreateOptions::default(), |_| {});
            let create_denied = matches!(beside, Err(CreateError::PermissionDenied { .. }));
            say(&format!("ready {dropped} {denied} {gc_denied} {create_denied}"));
        }
        "create more than the memory limit allows" => {
            let mut line = String::new();
            io::stdin().read_line(&mut line).unwrap();
            let slots_len = 512 << 20;
            let large = Blueprint { capacity: slots_len / 128, slots_len, ..blueprint() };
            let error = Segment::create(&place, &large, &CreateOptions::default(), |_| {}).unwrap_err();
            say(&format!("ready {error}"));
        }
        "lock more than the limit allows" => {
            // SAFETY: changes who this process is; it has no other threads that matter.
            assert!(unsafe { libc::setgid(65534) == 0 && libc::setuid(65534) == 0 });
            for bytes in [0, 4096] {
                let limit = libc::rlimit { rlim_cur: bytes, rlim_max: 4096 };
                // SAFETY: a structure that lives through the call.
                assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) }, 0);
                let options = CreateOptions::default().mlock(true);
                let error = Segment::create(&Place::memfd("locked"), &blueprint(), &options, |_| {}).unwrap_err();
                say(&format!("refused {error}"));
            }
            say("ready");
        }
        "create more than the file size limit allows" => {
            let limit = libc::rlimit { rlim_cur: 4096, rlim_max: 4096 };
            // SAFETY: a structure that lives through the call.
            assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) }, 0);
            for place in [place, Place::memfd("limited")] {
                let error = Segment::create(&place, &blueprint(), &CreateOptions::default(), |_| {}).unwrap_err();
                say(&format!("refused {error}"));
            }
            Segment::create(&Place::heap(), &blueprint(), &CreateOptions::default(), |_| {}).unwrap();
            let records = crate::SharedDisruptorBuilder::records(Place::heap(), 64 << 10).build_record_producer();
            say(&format!("refused {}", records.map(drop).unwrap_err()));
            say("ready");
        }
        other => panic!("no such role: {other}"),
    }
}

fn dir_of(place: &Place) -> PathBuf {
    match place {
        Place::File(path) => path.parent().unwrap().to_owned(),
        other => panic!("{other} has no directory"),
    }
}

mod processes {
    use super::*;

    #[test]
    fn memory_that_may_not_be_locked_is_an_error_that_says_which_limit() {
        // SAFETY: asks who we are.
        if unsafe { libc::geteuid() } != 0 {
            testkit::skip!("only root can become another user");
        }
        let dir = TempDir::new();
        let mut victim = Victim::start("lock more than the limit allows", &dir.path().join("none"));
        for limit in [0, 4096] {
            let error = victim.expect("refused");
            assert!(
                error.contains(&format!("may lock {limit} bytes in all (RLIMIT_MEMLOCK); raise the limit")),
                "{error}"
            );
        }
        victim.expect("ready");
    }

    #[test]
    fn who_may_not_remove_a_segment_leaves_it_as_it_was() {
        // SAFETY: asks who we are.
        if unsafe { libc::geteuid() } != 0 {
            testkit::skip!("only root can become another user");
        }
        const GROUP: u32 = 65_533;
        let dir = TempDir::new();
        // As `/dev/shm`: everybody may add, and only owners may remove.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        let path = dir.path().join("a.ring");
        let options = CreateOptions::default().group(GROUP);
        let (segment, claim) = Segment::create(&Place::from(&path), &blueprint(), &options, |_| {}).unwrap();
        drop(claim);
        let mut stranger = Victim::start("remove and replace as another user of the group", &path);
        assert_eq!(stranger.expect("ready"), "true true true true");
        assert_eq!(segment.fate(), Fate::Live, "its readers believe that it was replaced");
        assert!(segment.still_named().unwrap());
        assert_eq!(dir.entries(), ["a.ring"]);
        let error = GcError::NotOwner {
            place: "shm:a".to_owned(),
            owner_uid: 1001,
            source: io::Error::from(io::ErrorKind::PermissionDenied),
        };
        assert!(error.to_string().contains("belongs to user 1001"), "{error}");
    }

    /// A memory cgroup of version 1, removed at the end.
    #[cfg(target_os = "linux")]
    struct MemoryGroup(PathBuf);

    #[cfg(target_os = "linux")]
    impl MemoryGroup {
        /// `None`: this machine has none, or this process may not make one.
        fn new(limit_bytes: u64) -> Option<Self> {
            let path = Path::new("/sys/fs/cgroup/memory").join(unique());
            fs::create_dir(&path).ok()?;
            let group = Self(path);
            fs::write(group.0.join("memory.limit_in_bytes"), limit_bytes.to_string()).ok()?;
            Some(group)
        }
    }

    #[cfg(target_os = "linux")]
    impl Drop for MemoryGroup {
        fn drop(&mut self) {
            let _ = fs::remove_dir(&self.0);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_memory_limit_below_the_segment_is_an_error_and_not_a_kill() {
        let Some(group) = MemoryGroup::new(64 << 20) else { testkit::skip!("no memory cgroup can be made here") };
        let shm = Site::shm();
        let mut victim = Victim::start("create more than the memory limit allows", shm.shm.as_ref().unwrap());
        fs::write(group.0.join("cgroup.procs"), victim.child.id().to_string()).unwrap();
        writeln!(victim.child.stdin.as_mut().unwrap(), "go").unwrap();
        let answer = victim.expect("ready");
        assert!(answer.starts_with("no memory for /dev/shm/"), "{answer}");
        assert!(answer.contains("(67108864 bytes)") && answer.contains("--memory"), "{answer}");
        assert!(!shm.shm.as_ref().unwrap().exists());
        victim.kill();
    }

    #[test]
    fn a_file_size_limit_below_the_segment_is_an_error_and_not_a_signal() {
        let dir = TempDir::new();
        let mut victim = Victim::start("create more than the file size limit allows", &dir.path().join("a.ring"));
        for _ in 0..3 {
            let answer = victim.expect("refused");
            assert!(answer.contains("at most 4096 bytes") && answer.contains("ulimit -f"), "{answer}");
        }
        assert_eq!(victim.expect("ready"), "");
        assert_eq!(dir.entries(), [""; 0]);
    }

    #[test]
    fn the_lock_of_another_process_is_seen_until_it_is_killed() {
        let dir = TempDir::new();
        let path = dir.path().join("a.ring");
        let place = Place::from(&path);
        let mut producer = Victim::start("produce", &path);
        producer.expect("ready");
        let segment = open(&place).unwrap();
        assert_eq!(segment.header().creator.pid, producer.child.id());
        let mut consumer = Victim::start("consume", &path);
        consumer.expect("ready");
        assert!(segment.is_held(PRODUCER).unwrap() && segment.is_held(2).unwrap());
        assert!(segment.claim(PRODUCER).unwrap().is_none());
        assert_eq!(gc(&place).unwrap(), GcOutcome::InUse { byte: 0 });
        producer.kill();
        eventually("the producer's lock is dropped", || !segment.is_held(PRODUCER).unwrap());
        assert_eq!(gc(&place).unwrap(), GcOutcome::InUse { byte: 2 });
        consumer.kill();
        eventually("the consumer's lock is dropped", || !segment.is_held(2).unwrap());
        assert_eq!(gc(&place).unwrap(), GcOutcome::Removed);
        assert_eq!(segment.fate(), Fate::Removed);
        assert_eq!(dir.entries(), [""; 0]);
    }

    #[test]
    fn a_stopped_process_is_alive() {
        let dir = TempDir::new();
        let path = dir.path().join("a.ring");
        let mut producer = Victim::start("produce", &path);
        producer.expect("ready");
        // SAFETY: stops a process that this test started.
        unsafe { libc::kill(producer.child.id() as i32, libc::SIGSTOP) };
        assert!(open(&Place::from(&path)).unwrap().is_held(PRODUCER).unwrap());
        assert_eq!(gc(path.as_path()).unwrap(), GcOutcome::InUse { byte: 0 });
    }

    #[test]
    fn a_child_that_outlives_its_parent_does_not_keep_it_alive() {
        let dir = TempDir::new();
        let path = dir.path().join("a.ring");
        let mut parent = Victim::start("produce, then fork a child that lives on", &path);
        let orphan: i32 = parent.expect("ready").parse().unwrap();
        // Kept open, so that the orphan lives on.
        let stdin = parent.child.stdin.take();
        let segment = open(&Place::from(&path)).unwrap();
        assert!(segment.is_held(PRODUCER).unwrap());
        parent.kill();
        eventually("the parent's lock is dropped", || !segment.is_held(PRODUCER).unwrap());
        // SAFETY: signal 0 only asks whether the process exists; it does, as its pipe is open.
        assert_eq!(unsafe { libc::kill(orphan, 0) }, 0, "the orphan is alive all the time");
        drop(stdin);
    }

    #[test]
    fn a_creator_killed_while_initialising_leaves_nothing() {
        let dir = TempDir::new();
        let path = dir.path().join("a.ring");
        Victim::start("die while initialising", &path).child.wait().unwrap();
        assert_eq!(dir.entries(), [""; 0]);
    }

    #[test]
    fn a_creator_killed_under_the_name_leaves_what_can_be_recognised_and_removed() {
        let dir = TempDir::new();
        let path = dir.path().join("a.ring");
        Victim::start("die while initialising what has a name", &path).child.wait().unwrap();
        let error = open(&Place::from(&path)).unwrap_err();
        assert!(matches!(error, OpenError::CreatorDied { .. }), "{error}");
        assert_eq!(gc(path.as_path()).unwrap(), GcOutcome::Removed);
    }

    #[test]
    fn a_replacer_killed_while_initialising_leaves_the_old_one_and_what_the_next_one_removes() {
        for is_collected in [false, true] {
            let dir = TempDir::new();
            let path = dir.path().join("a.ring");
            let place = Place::from(&path);
            Victim::start("die while initialising a replacement that has a name", &path).child.wait().unwrap();
            let old = open(&place).unwrap();
            assert_eq!((old.fate(), dir.entries().len()), (Fate::Live, 2), "and what it has made aside");
            if is_collected {
                assert_eq!(gc(&place).unwrap(), GcOutcome::Removed);
                assert_eq!(dir.entries(), [""; 0]);
                continue;
            }
            let claim = old.claim(PRODUCER).unwrap().unwrap();
            let options = CreateOptions::default();
            let replace = || replace(&old, claim, &place, &blueprint(), &options, |_| {}, |_| {}).unwrap();
            let (new, _claim) = pretend_no_tmpfile(replace);
            assert!(new.still_named().unwrap());
            assert_eq!(dir.entries(), ["a.ring"]);
        }
    }

    #[test]
    fn a_replacer_killed_after_a_rename_leaves_a_whole_segment() {
        let dir = TempDir::new();
        let place = Place::from(dir.path().join("a.ring"));
        Victim::start("die when the new one has the name", &dir.path().join("a.ring")).child.wait().unwrap();
        let new = open(&place).unwrap();
        assert_eq!((new.fate(), new.is_held(PRODUCER).unwrap()), (Fate::Live, false));
        assert_eq!(dir.entries(), ["a.ring"]);
    }

    #[test]
    fn a_file_that_only_has_the_name_of_a_replacement_is_not_removed() {
        let dir = TempDir::new();
        let (place, other) = (Place::from(dir.path().join("a.ring")), dir.path().join(".a.ring.new"));
        fs::write(&other, "a text").unwrap();
        let (old, claim) = create(&place);
        let options = CreateOptions::default();
        let result = replace(&old, claim, &place, &blueprint(), &options, |_| {}, |_| {});
        let error = result.map(drop).unwrap_err();
        assert!(
            error.to_string().starts_with("making the replacement in a hidden file beside it, `.NAME.new`"),
            "{error}"
        );
        assert_eq!((old.fate(), old.still_named().unwrap()), (Fate::Live, true));
        assert_eq!(gc(&place).unwrap(), GcOutcome::Removed);
        assert_eq!(fs::read(&other).unwrap(), b"a text");
    }

    #[test]
    fn who_may_not_open_it_is_not_told_that_it_does_not_exist() {
        // SAFETY: asks who we are.
        if unsafe { libc::geteuid() } != 0 {
            eprintln!("skipped: only root can become somebody else");
            return;
        }
        let dir = TempDir::new();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let path = dir.path().join("a.ring");
        let _held = create(&Place::from(&path));
        assert_eq!(Victim::start("open as nobody", &path).expect("ready"), "true true true true");
    }

    /// Forks, lets the child run `child`, which may only call what is safe there, and returns its exit status.
    fn in_a_child(child: impl FnOnce() -> i32) -> i32 {
        // SAFETY: the child runs `child` and then ends without unwinding or running destructors.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            let status = child();
            // SAFETY: ends the child.
            unsafe { libc::_exit(status) };
        }
        assert!(pid > 0);
        let mut status = 0;
        // SAFETY: waits for the child that was made above.
        assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
        assert!(libc::WIFEXITED(status), "{status:#x}");
        libc::WEXITSTATUS(status)
    }

    #[test]
    fn a_child_has_no_lock_and_its_end_takes_none_from_its_parent() {
        let site = Site::shm();
        let (segment, producer) = create(&site.place);
        let epoch = fork_epoch();
        let segment = std::mem::ManuallyDrop::new(segment);
        let mut copies = [Some(producer), segment.claim(1).unwrap(), None];
        let status = in_a_child(|| {
            // Dropping claims in the child takes no lock of the allocator: a claim owns only numbers.
            drop(std::mem::take(&mut copies));
            i32::from(fork_epoch() == epoch)
        });
        assert_eq!(status, 0, "the child knows that it is one");
        assert_eq!(fork_epoch(), epoch, "the parent is the same as before");
        assert!(segment.is_held(PRODUCER).unwrap() && segment.is_held(1).unwrap());
        drop(copies);
        assert!(!segment.is_held(PRODUCER).unwrap() && !segment.is_held(1).unwrap());
        drop(std::mem::ManuallyDrop::into_inner(segment));
    }

    #[test]
    fn no_fork_catches_a_lock_descriptor_unregistered() {
        let site = Site::shm();
        let (segment, _producer) = create(&site.place);
        let inode = fs::metadata(site.shm.as_ref().unwrap()).unwrap().ino();
        let done = AtomicU64::new(0);
        let inherited: Vec<i32> = std::thread::scope(|threads| {
            threads.spawn(|| {
                while done.load(Ordering::Acquire) == 0 {
                    drop(segment.claim(5).unwrap());
                }
            });
            let inherited = (0..200).map(|_| in_a_child(|| descriptors_of(inode))).collect();
            done.store(1, Ordering::Release);
            inherited
        });
        // One is right: the descriptor that is looked through, which never holds a lock.
        assert_eq!(inherited, [1; 200]);
    }

    /// What a child stores stays in the child, and it can read and write what its parent could.
    fn a_child_stores_nothing_that_its_parent_sees(site: &Site) {
        let (mine, producer) = create(&site.place);
        let theirs = Segment::open(&site.place, Kind::Ring, Access::ReadOnly).unwrap();
        write_first(mine.slots(), 5);
        let status = in_a_child(|| {
            for section in [mine.control(), mine.table(), mine.counters(), mine.slots()] {
                write_first(section, 99);
            }
            mine.mark_replaced();
            bytes(theirs.slots());
            i32::from(mine.claim(1).is_ok())
        });
        assert_eq!(status, 0, "the child has locked something");
        let firsts = [mine.control(), mine.table(), mine.counters(), mine.slots()].map(|section| bytes(section)[0]);
        assert_eq!((firsts, mine.fate()), ([0, 0, 0, 5], Fate::Live), "the child has written into its parent's memory");
        write_first(mine.slots(), 6);
        assert_eq!(bytes(theirs.slots())[0], 6, "the parent and its peers go on in the same memory");
        drop(producer);
    }

    #[test]
    fn a_child_of_a_fork_stores_nothing_that_its_parent_sees() {
        for site in [Site::shm(), Site::file(), Site::memfd(), Site::heap()] {
            a_child_stores_nothing_that_its_parent_sees(&site);
        }
    }

    #[test]
    fn a_child_whose_parent_has_closed_every_descriptor_stores_nothing_either() {
        // The parent is a child of this test, so that only its own descriptors are closed, as a daemon closes them.
        let status = in_a_child(|| {
            for site in [Site::shm(), Site::file(), Site::memfd()] {
                let held = std::mem::ManuallyDrop::new(create(&site.place));
                let mine = &held.0;
                for descriptor in 3..1024 {
                    // SAFETY: this process goes on with what it has mapped, and ends without running destructors.
                    unsafe { libc::close(descriptor) };
                }
                // From now on the numbers lead to another object.
                let others = std::mem::ManuallyDrop::new([(); 8].map(|()| fs::File::open("/proc/self/exe")));
                assert!(others.iter().all(Result::is_ok));
                write_first(mine.slots(), 5);
                let status = in_a_child(|| {
                    write_first(mine.slots(), 99);
                    0
                });
                if status != 0 || bytes(mine.slots())[0] != 5 {
                    return 1;
                }
            }
            0
        });
        assert_eq!(status, 0);
    }

    /// How many descriptors of this process are open on that inode. Safe after a fork: system calls only.
    fn descriptors_of(inode: u64) -> i32 {
        let is_open_on_it = |descriptor: &i32| {
            // SAFETY: plain integers for which zero is a value; the call writes into it or fails.
            unsafe {
                let mut stat: libc::stat = std::mem::zeroed();
                libc::fstat(*descriptor, &raw mut stat) == 0 && stat.st_ino as u64 == inode
            }
        };
        (0..1024).filter(is_open_on_it).count() as i32
    }
}
