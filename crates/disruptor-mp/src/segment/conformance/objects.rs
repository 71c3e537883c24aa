//! Facts about the object that holds a segment: its mode, its mapping, its pages; and the length of memory files.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::super::backend::pretend_no_tmpfile;
use super::super::header::tests::{Damage, damaged_page, of_minor_2};
use super::super::*;
use super::stage::*;

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

#[test]
fn gc_leaves_a_copy_and_removes_its_original() {
    let dir = TempDir::new();
    let (original, copy) = (dir.path().join("a.ring"), dir.path().join("copy"));
    let (segment, claim) = create(&Place::from(&original));
    fs::copy(&original, &copy).unwrap();
    assert!(is_copy(copy.as_path()).unwrap() && !is_copy(original.as_path()).unwrap());
    let bytes = fs::read(&copy).unwrap();
    assert_eq!(gc(copy.as_path()).unwrap(), GcOutcome::IsCopy);
    assert_eq!(fs::read(&copy).unwrap(), bytes, "nothing in it has changed");
    // Its header can be opened, and a process may live in it.
    let opened = open(&Place::from(&copy)).unwrap();
    let entry = opened.claim(1).unwrap().unwrap();
    assert_eq!(gc(copy.as_path()).unwrap(), GcOutcome::InUse { byte: 1 });
    drop((entry, opened, claim, segment));
    assert_eq!(gc(original.as_path()).unwrap(), GcOutcome::Removed);
    assert_eq!(gc(copy.as_path()).unwrap(), GcOutcome::IsCopy);
    assert_eq!(dir.entries(), ["copy"]);
}

#[test]
fn an_unfinished_copy_stays_and_also_one_that_a_replacer_would_have_left() {
    let dir = TempDir::new();
    let (original, copy, aside) = (dir.path().join("a.ring"), dir.path().join("copy"), dir.path().join(".copy.new"));
    let _original = create(&Place::from(&original));
    let good = fs::read(&original).unwrap();
    for path in [&copy, &aside] {
        fs::write(path, damaged_page(&good[..HEADER_BYTES as usize], Damage::Unready)).unwrap();
    }
    assert_eq!(gc(copy.as_path()).unwrap(), GcOutcome::IsCopy);
    assert!(copy.exists() && aside.exists());
}

#[test]
fn a_segment_with_another_name_is_no_copy() {
    let dir = TempDir::new();
    let (first, linked, renamed) = (dir.path().join("a.ring"), dir.path().join("linked"), dir.path().join("renamed"));
    drop(create(&Place::from(&first)));
    fs::hard_link(&first, &linked).unwrap();
    fs::rename(&first, &renamed).unwrap();
    assert_eq!(gc(linked.as_path()).unwrap(), GcOutcome::Removed);
    assert_eq!(gc(renamed.as_path()).unwrap(), GcOutcome::Removed);
}

#[test]
fn a_copy_of_a_segment_of_2_2_cannot_be_told() {
    let dir = TempDir::new();
    let (original, copy) = (dir.path().join("a.ring"), dir.path().join("copy"));
    drop(create(&Place::from(&original)));
    let mut bytes = fs::read(&original).unwrap();
    of_minor_2(&mut bytes);
    fs::write(&copy, &bytes).unwrap();
    let opened = open(&Place::from(&copy)).unwrap();
    assert_eq!((opened.header().abi.minor, opened.header().object), (2, None));
    assert!(!is_copy(copy.as_path()).unwrap());
    drop(opened);
    assert_eq!(gc(copy.as_path()).unwrap(), GcOutcome::Removed, "as a build of 2.2 does");
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
#[test]
fn a_memory_file_cannot_change_its_length() {
    let place = Place::memfd("sealed");
    let (segment, _claim) = create(&place);
    let handed: fs::File = segment.try_clone_fd().unwrap().into();
    assert!(handed.set_len(0).is_err());
    assert!(handed.set_len(segment.total_len() * 2).is_err());
}

#[cfg(target_os = "linux")]
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

#[cfg(target_os = "linux")]
#[test]
fn a_memory_file_that_can_shrink_is_refused() {
    let unsealed = rustix::fs::memfd_create("unsealed", rustix::fs::MemfdFlags::ALLOW_SEALING).unwrap();
    assert!(matches!(open(&Place::from(unsealed)), Err(OpenError::Unsealed { .. })));
    let no_memory_file: OwnedFd = fs::File::open("/dev/null").unwrap().into();
    assert!(matches!(open(&Place::from(no_memory_file)), Err(OpenError::Unsealed { .. })));
}
