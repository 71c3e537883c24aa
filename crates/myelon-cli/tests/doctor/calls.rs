//! System calls that a seccomp filter refuses.

use crate::report::{Directory, Report, doctor};
use testkit::seccomp::{Refusal, refuse};

/// What the command says if the kernel refuses a call; `argument` has the place and the value of one that decides.
#[track_caller]
fn without(call: i64, argument: Option<(u8, i32)>, errno: i32) -> (Report, Directory) {
    let directory = Directory::new();
    let mut command = doctor();
    command.arg(directory.path());
    let argument = argument.map(|(place, value)| (place, value.cast_unsigned()));
    refuse(&mut command, &[Refusal { call, argument, errno }]);
    (Report::of(&mut command), directory)
}

#[test]
fn futex() {
    let (report, _) = without(libc::SYS_futex, Some((1, libc::FUTEX_WAIT)), libc::EPERM);
    report.says("futex", "problem", "Operation not permitted; a seccomp filter is in force");
}

#[test]
fn futex_waitv() {
    let (report, _) = without(libc::SYS_futex_waitv, None, libc::EPERM);
    report.says("futex-waitv", "warning", "Operation not permitted; a seccomp filter is in force");
    let (report, _) = without(libc::SYS_futex_waitv, None, libc::ENOSYS);
    report.says("futex-waitv", "warning", "Function not implemented; a seccomp filter is in force");
    report.says("futex", "ok", "works");
}

#[test]
fn eventfd() {
    let (report, _) = without(libc::SYS_eventfd2, None, libc::EPERM);
    report.says("eventfd", "warning", "Operation not permitted");
}

#[test]
fn memfd() {
    let (report, _) = without(libc::SYS_memfd_create, None, libc::EPERM);
    report.says("memfd", "warning", "memfd_create with fcntl is refused: Operation not permitted");
    let (report, _) = without(libc::SYS_fcntl, Some((1, libc::F_ADD_SEALS)), libc::EPERM);
    report.says("memfd", "warning", "memfd_create with fcntl is refused: Operation not permitted");
}

#[test]
fn membarrier() {
    let (report, _) = without(libc::SYS_membarrier, None, libc::EPERM);
    report.says("membarrier", "warning", "Operation not permitted");
}

#[test]
fn locks_of_open_files() {
    for command in [libc::F_OFD_GETLK, libc::F_OFD_SETLK] {
        let (report, directory) = without(libc::SYS_fcntl, Some((1, command)), libc::EPERM);
        report.says_of(directory.path(), "locks", "problem", "Operation not permitted");
        report.says("memfd", "ok", "works");
    }
    let (report, directory) = without(libc::SYS_fcntl, Some((1, libc::F_OFD_GETLK)), libc::ENOLCK);
    report.says_of(directory.path(), "locks", "problem", "No locks available");
}

#[test]
fn space_that_cannot_be_reserved() {
    let (report, directory) = without(libc::SYS_fallocate, None, libc::EOPNOTSUPP);
    report.says_of(directory.path(), "reserve", "problem", "Operation not supported");
}

#[test]
fn mapping() {
    let (report, directory) = without(libc::SYS_mmap, Some((3, libc::MAP_SHARED)), libc::ENODEV);
    report.says_of(directory.path(), "mapping", "problem", "No such device");
}

/// As on a file system that has none.
#[test]
fn files_without_a_name() {
    // The kernel's own flag for files of more than 2 GiB, which is 0 in libc.
    const LARGE_FILE: i32 = 0o100_000;
    let flags = libc::O_TMPFILE | libc::O_RDWR | libc::O_CLOEXEC;
    let directory = Directory::new();
    let mut command = doctor();
    // Some architectures still have the older call, whose flags come first but one.
    #[cfg(target_arch = "x86_64")]
    let calls = [(libc::SYS_openat, 2), (libc::SYS_open, 1)];
    #[cfg(not(target_arch = "x86_64"))]
    let calls = [(libc::SYS_openat, 2)];
    let refusals = calls.into_iter().flat_map(|(call, place)| {
        [flags, flags | LARGE_FILE].map(|flags: i32| Refusal {
            call,
            argument: Some((place, flags.cast_unsigned())),
            errno: libc::EOPNOTSUPP,
        })
    });
    refuse(command.arg(directory.path()), &refusals.collect::<Vec<_>>());
    let report = Report::of(&mut command);
    report.says_of(directory.path(), "access", "note", "O_TMPFILE");
    report.says_of(directory.path(), "locks", "ok", "work");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}
