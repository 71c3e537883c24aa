//! The claims that hold for a segment in every backend.
//!
//! Each claim is one function; [`conformance!`] makes a test of it for each backend.

use std::cell::Cell;
use std::io;

use super::super::backend::pretend_no_tmpfile;
use super::super::*;
use super::stage::*;

fn what_is_created_can_be_opened_and_is_the_same(site: &Site) {
    let (mine, _claim) = Segment::create(&site.place, &blueprint(), &CreateOptions::default(), |new| {
        assert!(open_at_once_fails(new.place()), "no opener finds it while it is being initialised");
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

fn creation_is_exclusive_and_leaves_the_first_alone(site: &Site) {
    let (first, _claim) = create(&site.place);
    let second = Segment::create(&site.place, &blueprint(), &CreateOptions::default(), |_| {});
    assert!(matches!(second, Err(CreateError::AlreadyExists { .. })), "{second:?}");
    assert!(first.still_named().unwrap());
    assert_eq!(first.fate(), Fate::Live);
}

fn of_many_creators_exactly_one_wins(site: &Site) {
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

fn a_lock_byte_has_one_holder_and_every_segment_sees_it(site: &Site) {
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

fn a_lock_outlives_the_segment_it_was_taken_on(site: &Site) {
    let (mine, _producer) = create(&site.place);
    let claim = open(&site.place).unwrap().claim(1).unwrap().unwrap();
    assert!(mine.is_held(1).unwrap(), "dropping a mapping gives back no lock");
    drop(claim);
    assert!(!mine.is_held(1).unwrap());
}

fn opening_what_is_not_there_says_so(site: &Site) {
    assert!(matches!(open(&site.place), Err(OpenError::NotFound { .. })));
    assert_eq!(gc(&site.place).unwrap(), GcOutcome::NotFound);
}

fn a_segment_has_the_device_and_the_inode_of_its_object(site: &Site) {
    let (mine, _claim) = create(&site.place);
    assert_eq!(mine.header().object, mine.object().numbers().unwrap());
    assert_eq!(open(&site.place).unwrap().header().object, mine.header().object);
    assert!(!is_copy(&site.place).unwrap());
}

fn another_kind_is_refused(site: &Site) {
    let _segment = create(&site.place);
    let error = Segment::open(&site.place, Kind::Cursor, Access::ReadOnly).unwrap_err();
    assert!(matches!(error, OpenError::WrongKind { found: Kind::Ring, wanted: Kind::Cursor, .. }), "{error}");
}

fn gc_leaves_the_living_and_removes_the_dead(site: &Site) {
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

fn replacing_marks_the_old_one_while_no_process_can_take_it_over(site: &Site) {
    let (old, claim) = create(&site.place);
    let reader = open(&site.place).unwrap();
    let woken = Cell::new(false);
    let woken_in = |marked: &Segment| {
        assert_eq!(marked.fate(), Fate::Replaced);
        assert!(marked.is_held(PRODUCER).unwrap(), "no process can take the old one over now");
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

fn what_somebody_else_put_there_is_not_replaced(site: &Site) {
    let (old, claim) = create(&site.place);
    assert!(old.unlink_if_same().unwrap());
    let (other, _other_claim) = create(&site.place);
    assert!(!old.unlink_if_same().unwrap(), "only its own name");
    let result = replace(&old, claim, &site.place, &blueprint(), &CreateOptions::default(), |_| {}, |_| {});
    assert!(matches!(result, Err(CreateError::AlreadyExists { .. })), "{result:?}");
    assert_eq!(old.fate(), Fate::Live, "who was not replaced is not told so");
    assert!(other.still_named().unwrap());
}

fn a_segment_that_lost_its_name_can_still_be_replaced(site: &Site) {
    let (old, claim) = create(&site.place);
    assert!(old.unlink_if_same().unwrap());
    let options = CreateOptions::default();
    let (new, _claim) = replace(&old, claim, &site.place, &blueprint(), &options, |_| {}, |_| {}).unwrap();
    assert!(new.still_named().unwrap());
    assert_eq!(old.fate(), Fate::Replaced);
}

fn a_plan_that_cannot_be_creates_nothing(site: &Site) {
    let wrong = Blueprint { slots_len: 1, ..blueprint() };
    let result = Segment::create(&site.place, &wrong, &CreateOptions::default(), |_| {});
    assert!(matches!(result, Err(CreateError::Plan(PlanError::Inconsistent { field: "slots_len", .. }))));
    assert!(matches!(open(&site.place), Err(OpenError::NotFound { .. })));
}

fn a_panic_while_initialising_leaves_nothing(site: &Site) {
    let create = || Segment::create(&site.place, &blueprint(), &CreateOptions::default(), |_| panic!("on purpose"));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(create)).is_err());
    assert!(matches!(open(&site.place), Err(OpenError::NotFound { .. })));
}

fn a_read_only_participant_sees_locks_and_takes_none(site: &Site) {
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

fn prefaulted_and_locked_pages_change_nothing_else(site: &Site) {
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
                super::$claim(&super::Site::$backend());
            })*
        }
    };
}

conformance! {
    what_is_created_can_be_opened_and_is_the_same,
    creation_is_exclusive_and_leaves_the_first_alone,
    of_many_creators_exactly_one_wins,
    a_lock_byte_has_one_holder_and_every_segment_sees_it,
    a_lock_outlives_the_segment_it_was_taken_on,
    opening_what_is_not_there_says_so,
    a_segment_has_the_device_and_the_inode_of_its_object,
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

/// The claims that also hold where an object has its name before its content. (`what_is_created…` looks from inside the
/// initialisation, where an opener would wait.)
#[test]
fn a_place_that_cannot_make_nameless_files_keeps_the_same_promises() {
    for claim in [
        creation_is_exclusive_and_leaves_the_first_alone,
        a_lock_byte_has_one_holder_and_every_segment_sees_it,
        a_segment_has_the_device_and_the_inode_of_its_object,
        gc_leaves_the_living_and_removes_the_dead,
        replacing_marks_the_old_one_while_no_process_can_take_it_over,
        what_somebody_else_put_there_is_not_replaced,
        a_segment_that_lost_its_name_can_still_be_replaced,
        a_plan_that_cannot_be_creates_nothing,
        a_panic_while_initialising_leaves_nothing,
    ] {
        pretend_no_tmpfile(|| claim(&Site::file()));
    }
}
