//! Creation where space, or another resource of the file system, is short.
//!
//! The tests mount file systems of their own where they may.

use std::ffi::CString;
use std::fs;
use std::io;

use super::super::backend::pretend_no_tmpfile;
use super::super::*;
use super::stage::*;

/// A tmpfs of its own, unmounted at the end.
struct Tmpfs(TempDir);

impl Tmpfs {
    /// `None` if this process may not mount; the test then checks nothing and says so.
    fn mount(size_bytes: u64) -> Option<Self> {
        Self::mount_with(&format!("size={size_bytes}"))
    }

    fn mount_with(options: &str) -> Option<Self> {
        let dir = TempDir::new();
        let target = CString::new(dir.path().to_str().unwrap()).unwrap();
        let options = CString::new(options).unwrap();
        // SAFETY: four C strings that live through the call.
        let rc =
            unsafe { libc::mount(c"tmpfs".as_ptr(), target.as_ptr(), c"tmpfs".as_ptr(), 0, options.as_ptr().cast()) };
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
    // A smaller segment still fits: the failed attempts hold no space.
    Segment::create(&place, &ring_of(512 << 10), &CreateOptions::default(), |_| {}).unwrap();
}

/// A tmpfs that may have `inodes` files, including its root.
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
        let (options, woken) = (CreateOptions::default(), |_: &Segment| panic!("no reader is woken"));
        let make = || replace(&old, claim, &place, &ring_of(8 << 20), &options, woken, |_| {});
        let result = if tmpfile { make() } else { pretend_no_tmpfile(make) };
        assert!(matches!(result, Err(CreateError::NoSpace { .. })), "{result:?}");
        assert_eq!(old.fate(), Fate::Live);
        assert!(open(&place).is_ok());
        assert_eq!(tmpfs.0.entries(), ["a.ring"], "nothing is left behind");
        assert_eq!(gc(&place).unwrap(), GcOutcome::Removed);
    }
}
