//! What other processes see: locks, deaths at each step of creation and replacement, limits, other users.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::super::backend::pretend_no_tmpfile;
use super::super::*;
use super::stage::*;
use super::victim::Victim;

#[test]
fn memory_that_may_not_be_locked_is_an_error_that_says_which_limit() {
    // SAFETY: returns our user id.
    if unsafe { libc::geteuid() } != 0 {
        testkit::skip!("only root can become another user");
    }
    let dir = TempDir::new();
    let mut victim = Victim::start("lock more than the limit allows", &dir.path().join("none"));
    for limit in [0, 4096] {
        let error = victim.expect("refused");
        assert!(error.contains(&format!("may lock {limit} bytes in all (RLIMIT_MEMLOCK); raise the limit")), "{error}");
    }
    victim.expect("ready");
}

#[test]
fn who_may_not_remove_a_segment_leaves_it_as_it_was() {
    // SAFETY: returns our user id.
    if unsafe { libc::geteuid() } != 0 {
        testkit::skip!("only root can become another user");
    }
    const GROUP: u32 = 65_533;
    let dir = TempDir::new();
    // Like `/dev/shm`: every user may add, and only owners may remove.
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
    assert!(error.to_string().starts_with("making the replacement in a hidden file beside it, `.NAME.new`"), "{error}");
    assert_eq!((old.fate(), old.still_named().unwrap()), (Fate::Live, true));
    assert_eq!(gc(&place).unwrap(), GcOutcome::Removed);
    assert_eq!(fs::read(&other).unwrap(), b"a text");
}

#[test]
fn who_may_not_open_it_is_not_told_that_it_does_not_exist() {
    // SAFETY: returns our user id.
    if unsafe { libc::geteuid() } != 0 {
        eprintln!("skipped: only root can become another user");
        return;
    }
    let dir = TempDir::new();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let path = dir.path().join("a.ring");
    let _held = create(&Place::from(&path));
    assert_eq!(Victim::start("open as another user", &path).expect("ready"), "true true true true");
}
