//! What the tests of segments have in common: unique names, places that are cleaned up, a blueprint.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::super::*;
use crate::sync::primitive::{AtomicU64, Ordering};

/// Longer than any of this takes on a busy machine; a longer wait means that there is a bug.
pub(super) const WATCHDOG: Duration = Duration::from_secs(30);

/// Waits until `condition` holds.
pub(super) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < WATCHDOG, "did not happen in time: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A name that no other test, process or earlier run has.
pub(super) fn unique() -> String {
    static USED: AtomicU64 = AtomicU64::new(0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    format!("dmp-test-{}-{}-{now:x}", std::process::id(), USED.fetch_add(1, Ordering::Relaxed))
}

/// A directory that is removed with its content at the end of the test.
pub(super) struct TempDir(PathBuf);

impl TempDir {
    pub(super) fn new() -> Self {
        let path = std::env::temp_dir().join(unique());
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn entries(&self) -> Vec<String> {
        fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A place for one test, cleaned up at its end.
pub(super) struct Site {
    pub(super) place: Place,
    _dir: Option<TempDir>,
    pub(super) shm: Option<PathBuf>,
}

impl Site {
    pub(super) fn shm() -> Self {
        let name = unique();
        Self { shm: Some(Path::new("/dev/shm").join(&name)), place: Place::from(name), _dir: None }
    }

    pub(super) fn file() -> Self {
        let dir = TempDir::new();
        Self { place: Place::from(dir.path().join("a.ring")), _dir: Some(dir), shm: None }
    }

    #[cfg(target_os = "linux")]
    pub(super) fn memfd() -> Self {
        Self { place: Place::memfd("conformance"), _dir: None, shm: None }
    }

    pub(super) fn heap() -> Self {
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

pub(super) fn blueprint() -> Blueprint {
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

pub(super) fn create(place: &Place) -> (Segment, Claim) {
    Segment::create(place, &blueprint(), &CreateOptions::default(), |_| {}).unwrap()
}

pub(super) fn open(place: &Place) -> Result<Segment, OpenError> {
    Segment::open(place, Kind::Ring, Access::ReadWrite)
}

pub(super) fn bytes((start, len): (std::ptr::NonNull<u8>, usize)) -> Vec<u8> {
    // SAFETY: a section of a segment that the caller holds, and that no thread writes at the moment.
    unsafe { std::slice::from_raw_parts(start.as_ptr(), len) }.to_vec()
}

pub(super) fn write_first((start, len): (std::ptr::NonNull<u8>, usize), value: u8) {
    assert!(len > 0);
    // SAFETY: the first byte of a section of a writable segment that no other thread reads now.
    unsafe { start.as_ptr().write(value) };
}
