//! Directories with rings.

use crate::need;
use crate::report::{AS_USER, Directory, Report, USER, can, can_be_user, can_mount, doctor, doctor_after};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

/// Looks at a directory after a script that mounts something at it.
#[track_caller]
fn mounted(script: &str) -> (Report, Directory) {
    let directory = Directory::new();
    let report = Report::of(doctor_after(script, directory.path()).arg(directory.path()));
    (report, directory)
}

#[track_caller]
fn says(script: &str, check: &str, level: &str, text: &str) {
    let (report, directory) = mounted(script);
    report.says_of(directory.path(), check, level, text);
}

#[test]
fn shared_memory_of_the_size_that_a_container_gets_is_small() {
    need!(can_mount());
    let report = Report::of(&mut doctor_after("mount -t tmpfs -o size=64m tmpfs /dev/shm", Path::new("/")));
    report.says_of(Path::new("/dev/shm"), "space", "warning", "64.0 MiB of 64.0 MiB are free");
}

#[test]
fn a_larger_file_system_that_is_nearly_full_is_small() {
    need!(can_mount());
    let script = "mount -t tmpfs -o size=80m tmpfs \"$D\"; fallocate -l 60m \"$D/x\"";
    says(script, "space", "warning", "20.0 MiB of 80.0 MiB are free");
}

#[test]
fn a_full_file_system_takes_no_ring() {
    need!(can_mount());
    let (report, directory) = mounted("mount -t tmpfs -o size=1m tmpfs \"$D\"; fallocate -l 1m \"$D/x\"");
    report.says_of(directory.path(), "space", "problem", "0 bytes of 1.0 MiB are free");
    report.says_of(directory.path(), "reserve", "not_known", "No space left");
    report.says_of(directory.path(), "mapping", "not_known", "no space");
}

#[test]
fn a_tmpfs_without_a_limit_takes_all_memory() {
    need!(can_mount());
    says("mount -t tmpfs -o size=0 tmpfs \"$D\"", "space", "note", "no limit");
}

#[test]
fn few_inodes_are_found() {
    need!(can_mount());
    says("mount -t tmpfs -o size=1g,nr_inodes=20 tmpfs \"$D\"", "inodes", "warning", "19 of 20 are free");
}

#[test]
fn no_inodes_are_a_problem() {
    need!(can_mount());
    let (report, directory) = mounted("mount -t tmpfs -o size=1g,nr_inodes=2 tmpfs \"$D\"; : > \"$D/x\"");
    report.says_of(directory.path(), "inodes", "problem", "0 of 2 are free");
    report.says_of(directory.path(), "space", "ok", "1.0 GiB");
    report.says_of(directory.path(), "access", "not_known", "No space left");
    report.says_of(directory.path(), "locks", "not_known", "no file could be made");
}

#[test]
fn inodes_without_a_limit_are_fine() {
    need!(can_mount());
    says("mount -t tmpfs -o size=1g,nr_inodes=0 tmpfs \"$D\"", "inodes", "ok", "no limit");
}

#[test]
fn a_read_only_mount_takes_no_ring() {
    need!(can_mount());
    says("mount -t tmpfs -o ro,size=1g tmpfs \"$D\"", "access", "problem", "read-only");
}

#[test]
fn noexec_does_not_matter() {
    need!(can_mount());
    says("mount -t tmpfs -o noexec,size=1g tmpfs \"$D\"", "access", "ok", "noexec does not matter");
}

#[test]
fn a_ramfs_has_no_limit() {
    need!(can_mount());
    says("mount -t ramfs ramfs \"$D\"", "file-system", "warning", "ramfs");
}

#[test]
fn a_hugetlbfs_takes_no_ring() {
    need!(can_mount());
    need!(can(&["unshare", "--mount", "--propagation", "private", "mount", "-t", "hugetlbfs", "none", "/mnt"]));
    says("mount -t hugetlbfs none \"$D\"", "file-system", "problem", "hugetlbfs");
}

#[test]
fn an_overlay_may_not_reserve_space() {
    need!(can_mount());
    let script = "mount -t tmpfs tmpfs \"$D\"; mkdir \"$D/l\" \"$D/u\" \"$D/w\"; cd \"$D\"
        mount -t overlay -o lowerdir=l,upperdir=u,workdir=w overlay \"$D\"";
    let probe = Directory::new();
    let words = ["unshare", "--mount", "--propagation", "private", "env"];
    let set = format!("D={}", probe.path().display());
    let words: Vec<&str> = words.into_iter().chain([set.as_str(), "sh", "-ec", script]).collect();
    need!(can(&words));
    says(script, "file-system", "warning", "overlay");
}

#[test]
fn a_disk_delays_writers() {
    let directory = Directory::new();
    let report = Report::of(doctor().arg(directory.path()));
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let root = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap_or_default();
    let other = mounts
        .lines()
        .any(|line| line.split(' ').nth(4).is_some_and(|place| place != "/" && directory.path().starts_with(place)));
    if other || !root.contains(" - ext4 ") {
        testkit::skip!("the directory for temporary files is not on an ext4");
    }
    report.says_of(directory.path(), "file-system", "note", "ext4");
}

#[test]
fn a_directory_that_is_missing_or_none_takes_no_ring() {
    let directory = Directory::new();
    let (missing, file) = (directory.path().join("missing"), directory.path().join("file"));
    fs::write(&file, "").unwrap();
    let report = Report::of(doctor().arg(&missing).arg(&file));
    report.says_of(&missing, "directory", "problem", "No such file");
    report.says_of(&file, "directory", "problem", "Not a directory");
}

#[test]
fn a_directory_of_another_user_takes_no_ring() {
    need!(can_be_user());
    let directory = Directory::new();
    let report = Report::of(crate::report::doctor_under(&AS_USER).arg(directory.path()));
    report.says_of(directory.path(), "access", "problem", "mode 0755, user 0");
}

#[test]
fn in_a_sticky_directory_files_of_others_stay() {
    need!(can_be_user());
    let directory = Directory::new();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    directory.write("notes", "no ring, and everyone may read it");
    let look = || Report::of(crate::report::doctor_under(&AS_USER).arg(directory.path()));
    look().says_of(directory.path(), "owners", "ok", "1 files of other users (0): 0 rings, 0 that cannot be read");

    directory.write("hidden", "it could be a ring");
    fs::set_permissions(directory.path().join("hidden"), fs::Permissions::from_mode(0o600)).unwrap();
    look().says_of(directory.path(), "owners", "warning", "2 files of other users (0): 0 rings, 1 that cannot be read");

    directory.write("ring", "MYELONSG, as rings begin");
    chown(directory.path().join("ring"), Some(USER + 1), None).unwrap();
    look().says_of(directory.path(), "owners", "warning", "3 files of other users (0, 54322): 1 rings, 1 that");
    // Root may remove them all.
    Report::of(doctor().arg(directory.path())).says_of(directory.path(), "owners", "ok", "1 files of other users");
}

#[test]
fn in_a_directory_for_all_that_is_not_sticky_rings_can_be_replaced() {
    let directory = Directory::new();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let report = Report::of(doctor().arg(directory.path()));
    report.says_of(directory.path(), "owners", "warning", "mode 0777: every user may write");
}

#[test]
fn nothing_stays_in_a_directory() {
    let directory = Directory::new();
    Report::of(doctor().arg(directory.path()));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}
