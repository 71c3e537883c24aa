//! Control groups: real ones where this test may make them. Those of version 2, which this kernel may not offer, are
//! also prepared in a directory.

use crate::report::{Directory, Report, doctor, doctor_under};
use std::fs;
use std::path::{Path, PathBuf};

/// A control group of the test's own; removed at the end, when the command has left it.
struct Group(PathBuf);

impl Group {
    fn new(parent: &str, settings: &[(&str, &str)]) -> Result<Self, String> {
        let path = Path::new(parent).join(testkit::names::unique("doctor"));
        fs::create_dir(&path).map_err(|error| format!("{parent}: {error}"))?;
        let group = Self(path);
        for (name, value) in settings {
            // Opened for writing only: where the file is missing, the controller is.
            let file = fs::OpenOptions::new().write(true).open(group.0.join(name));
            let written = file.and_then(|mut file| std::io::Write::write_all(&mut file, value.as_bytes()));
            written.map_err(|error| format!("{parent}/{name}: {error}"))?;
        }
        Ok(group)
    }

    #[track_caller]
    fn report(&self) -> Report {
        let script = format!("echo $$ > {}/cgroup.procs; exec \"$@\"", self.0.display());
        Report::of(&mut doctor_under(&["sh", "-ec", &script, "sh"]))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn a_quota_of_version_1() {
    let settings = [("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", "60000")];
    match Group::new("/sys/fs/cgroup/cpu", &settings) {
        Ok(group) => group.report().says("cpu-quota", "warning", "0.60 cores (60 of each 100 ms)"),
        Err(reason) => testkit::skip!("{reason}"),
    }
}

#[test]
fn a_quota_for_all_processors_is_none() {
    let settings = [("cpu.cfs_period_us", "10000"), ("cpu.cfs_quota_us", "90000000")];
    match Group::new("/sys/fs/cgroup/cpu", &settings) {
        Ok(group) => group.report().says("cpu-quota", "ok", "as much as its processors have"),
        Err(reason) => testkit::skip!("{reason}"),
    }
}

#[test]
fn a_memory_limit_of_version_1() {
    match Group::new("/sys/fs/cgroup/memory", &[("memory.limit_in_bytes", "33554432")]) {
        Ok(group) => group.report().says("memory-limit", "warning", "of 32.0 MiB are left"),
        Err(reason) => testkit::skip!("{reason}"),
    }
}

#[test]
fn a_quota_and_a_limit_of_version_2() {
    match Group::new("/sys/fs/cgroup", &[("cpu.max", "60000 100000"), ("memory.max", "33554432")]) {
        Ok(group) => {
            group.report().says("cpu-quota", "warning", "0.60 cores (60 of each 100 ms)");
            group.report().says("memory-limit", "warning", "of 32.0 MiB are left");
        }
        Err(reason) => testkit::skip!("{reason}"),
    }
}

/// A machine with control groups of version 2 alone.
fn prepared(memory: [&str; 2], quota: &str) -> Directory {
    let root = Directory::new();
    root.write("proc/self/cgroup", "0::/unit\n");
    root.write("proc/self/status", "Cpus_allowed_list:\t0-1\n");
    root.write("sys/fs/cgroup/cgroup.procs", "");
    root.write("sys/fs/cgroup/unit/memory.max", memory[0]);
    root.write("sys/fs/cgroup/unit/memory.current", memory[1]);
    root.write("sys/fs/cgroup/unit/cpu.max", quota);
    root
}

#[test]
fn prepared_groups_of_version_2() {
    let report = |root: &Directory| Report::of(doctor().arg("--root").arg(root.path()));
    let none = report(&prepared(["max\n", "5000\n"], "max 100000\n"));
    none.says("memory-limit", "ok", "no control group limits memory");
    none.says("cpu-quota", "ok", "no control group limits processor time");
    let low = report(&prepared(["1073741824\n", "1073741824\n"], "150000 100000\n"));
    low.says("memory-limit", "problem", "0 bytes of 1.0 GiB");
    low.says("cpu-quota", "warning", "1.50 cores (150 of each 100 ms) for control group /sys/fs/cgroup/unit");
    let high = report(&prepared(["1073741824\n", "1048576\n"], "200000 100000\n"));
    high.says("memory-limit", "ok", "1023.0 MiB of 1.0 GiB");
    high.says("cpu-quota", "ok", "as much as its processors have");
}

#[test]
fn where_no_groups_are_mounted_nothing_is_known() {
    let root = Directory::new();
    root.write("proc/self/cgroup", "0::/unit\n");
    let report = Report::of(doctor().arg("--root").arg(root.path()));
    report.says("memory-limit", "not_known", "no control groups");
    report.says("cpu-quota", "not_known", "no control groups");
}
