//! What a child of a fork keeps of its parent's segments: no lock, and a private copy of the memory.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::super::*;
use super::stage::*;
use crate::sync::primitive::{AtomicU64, Ordering};

/// Forks, lets the child run `child`, and returns its exit status. `child` may only call what is safe after a fork.
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
    // One is right: the descriptor for looking, which never holds a lock.
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
    // The parent is a child of this test, so that only its own descriptors are closed, the way a daemon closes them.
    let status = in_a_child(|| {
        for site in [Site::shm(), Site::file(), Site::memfd()] {
            let held = std::mem::ManuallyDrop::new(create(&site.place));
            let mine = &held.0;
            for descriptor in 3..1024 {
                // SAFETY: this process continues with its mappings, and ends without running destructors.
                unsafe { libc::close(descriptor) };
            }
            // From now on the descriptor numbers lead to another object.
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
