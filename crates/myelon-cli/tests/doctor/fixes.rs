//! The commands that the findings advise: after them there is nothing left to fix.

use crate::need;
use crate::report::{Directory, Report, can, can_mount, doctor_after, doctor_under};
use std::path::Path;

/// After `script`, which may use `$D`, `check` advises `command`; after `command`, too, it is fine. `D` in `command` is
/// the directory; without one the check is about `/dev/shm` or about the machine.
#[track_caller]
fn mends(script: &str, check: &str, command: &str, has_directory: bool) {
    let directory = Directory::new();
    let path = if has_directory { directory.path() } else { Path::new("/dev/shm") };
    let command = command.replace('D', path.to_str().unwrap());
    let look = |script: &str| Report::of(doctor_after(script, path).arg(path));
    assert!(look(script).fixed_by(path, check, &command), "{check} does not advise `{command}`");
    assert!(look(&format!("{script}; {command}")).is_fixed(path, check), "`{command}` does not repair {check}");
}

#[test]
fn of_a_tmpfs() {
    need!(can_mount());
    mends("mount -t tmpfs -o size=1m tmpfs \"$D\"", "space", "mount -o remount,size=1G D", true);
    mends("mount -t tmpfs -o nr_inodes=5 tmpfs \"$D\"", "inodes", "mount -o remount,nr_inodes=100k D", true);
    mends("mount -t tmpfs -o ro tmpfs \"$D\"", "access", "mount -o remount,rw D", true);
    mends("mount -t tmpfs -o mode=777 tmpfs \"$D\"", "owners", "chmod +t D", true);
    mends("mount -t tmpfs -o size=64m tmpfs /dev/shm", "space", "mount -o remount,size=1G D", false);
}

#[test]
fn of_huge_pages() {
    need!(can_mount());
    let setting = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/shmem_enabled").unwrap_or_default();
    if setting.is_empty() || setting.contains("[deny]") || setting.contains("[force]") {
        testkit::skip!("this kernel decides for all mounts: {setting}");
    }
    mends("mount -t tmpfs tmpfs /dev/shm", "huge-pages", "mount -o remount,huge=within_size D", false);
}

#[test]
fn of_a_missing_directory() {
    need!(can_mount());
    let command = "mkdir -m 1777 D && mount -t tmpfs -o size=1G,mode=1777 tmpfs D";
    mends("if [ -d \"$D\" ]; then rmdir \"$D\"; fi", "directory", command, true);
}

#[test]
fn of_limits() {
    need!(can(&["prlimit", "--version"]));
    for (limit, check, command) in [
        ("--fsize=4194304:", "rlimit-fsize", "ulimit -f unlimited"),
        ("--as=4294967296:", "rlimit-as", "ulimit -v unlimited"),
        ("--nofile=100:", "rlimit-nofile", "ulimit -n 4096"),
    ] {
        let look = |command: &str| {
            let script = format!("{command}; exec \"$@\"");
            Report::of(&mut doctor_under(&["prlimit", limit, "sh", "-ec", &script, "sh"]))
        };
        if look(":").fixed_by(Path::new("/"), check, "sudo prlimit") {
            testkit::skip!("the hard limit is lower than what `{command}` wants");
        }
        assert!(look(":").fixed_by(Path::new("/"), check, command));
        look(command).says(check, "ok", "");
    }
}

#[test]
fn of_processes_that_proc_hides() {
    let script = |command: &str| format!("mount -t proc -o hidepid=2 proc /proc; {command}; exec \"$@\"");
    let words = ["unshare", "--pid", "--fork", "--mount", "--propagation", "private", "sh", "-ec"];
    need!(can(&[&words[..], &[&script(":"), "sh", "true"]].concat()));
    let look = |command: &str| Report::of(&mut doctor_under(&[&words[..], &[&script(command), "sh"]].concat()));
    let command = "mount -o remount,hidepid=0 /proc";
    assert!(look(":").fixed_by(Path::new("/"), "proc", command));
    look(command).says("proc", "ok", "");
}
