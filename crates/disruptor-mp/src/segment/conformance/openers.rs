//! What openers and collectors find under a name: whole segments, damaged ones, and objects that are not segments.

use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::super::backend::pretend_no_tmpfile;
use super::super::header::tests::{Damage, damaged_page};
use super::super::*;
use super::stage::*;

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
        assert!(matches!(error, OpenError::TooShort { len_bytes, .. } if len_bytes == len as u64), "{len}: {error}");
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
            // Not needed for the claim, but it makes it likely that the opener really sees the unfinished segment.
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
    let truncated = |page: &[u8]| page[..20].to_vec();
    let unready = |page: &[u8]| damaged_page(page, Damage::Unready);
    let other_version = |page: &[u8]| damaged_page(page, Damage::Version);
    for damage in [truncated as fn(&[u8]) -> Vec<u8>, unready, other_version] {
        let _ = fs::remove_file(&path);
        create(&Place::from(&path));
        let page = fs::read(&path).unwrap();
        fs::write(&path, damage(&page[..HEADER_BYTES as usize])).unwrap(); // the same file
        assert_eq!(gc(path.as_path()).unwrap(), GcOutcome::Removed);
        assert!(!path.exists());
    }
}
