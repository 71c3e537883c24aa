//! Limits that the command inherits.

use crate::need;
use crate::report::{AS_USER, Directory, Report, can, can_be_user, doctor, doctor_under};

#[track_caller]
fn limited(option: &str, check: &str, level: &str, text: &str) -> Report {
    let report = Report::of(&mut doctor_under(&["prlimit", option]));
    report.says(check, level, text);
    report
}

#[test]
fn the_length_of_files() {
    need!(can(&["prlimit", "--version"]));
    limited("--fsize=4194304", "rlimit-fsize", "warning", "at most 4.0 MiB");
    let directory = Directory::new();
    let report = Report::of(doctor_under(&["prlimit", "--fsize=1024"]).arg(directory.path()));
    report.says("rlimit-fsize", "problem", "at most 1.0 KiB");
    report.says_of(directory.path(), "reserve", "problem", "File too large");
}

#[test]
fn descriptors() {
    need!(can(&["prlimit", "--version"]));
    limited("--nofile=64", "rlimit-nofile", "warning", "64 descriptors");
    limited("--nofile=1024", "rlimit-nofile", "ok", "1024 descriptors");
}

#[test]
fn addresses() {
    need!(can(&["prlimit", "--version"]));
    limited("--as=2147483648", "rlimit-as", "warning", "at most 2.0 GiB");
}

#[test]
fn locked_memory() {
    need!(can(&["prlimit", "--version"]), can_be_user());
    let user = |option| Report::of(&mut doctor_under(&[&["prlimit", option], &AS_USER[..]].concat()));
    user("--memlock=65536").says("rlimit-memlock", "note", "at most 64.0 KiB");
}

#[test]
fn real_time_priorities() {
    need!(can(&["prlimit", "--version"]), can_be_user());
    let user = |option| Report::of(&mut doctor_under(&[&["prlimit", option], &AS_USER[..]].concat()));
    user("--rtprio=0").says("rlimit-rtprio", "note", "no real-time priority");
}

/// Limits that this test might not be allowed to raise.
#[test]
fn limits_that_are_high_enough() {
    let root = Directory::new();
    let limit = |name, value| format!("{name:<26}{value:<21}{value:<21}units\n");
    let ours = std::fs::read_to_string("/proc/self/limits").unwrap();
    let (locked, real_time) = ("Max locked memory", "Max realtime priority");
    let others = ours.lines().filter(|line| !line.starts_with(locked) && !line.starts_with(real_time));
    let others: String = others.map(|line| format!("{line}\n")).collect();
    root.write("proc/self/limits", &format!("{others}{}{}", limit(locked, 134_217_728), limit(real_time, 20)));
    root.write("proc/self/status", "CapEff:\t0000000000000000\n");
    let report = Report::of(doctor().arg("--root").arg(root.path()));
    report.says("rlimit-memlock", "ok", "128.0 MiB");
    report.says("rlimit-rtprio", "ok", "up to 20");
}

#[test]
fn processors() {
    let allowed = std::fs::read_to_string("/proc/self/status").unwrap();
    let list = allowed.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim();
    let first = list.split([',', '-']).next().unwrap();
    need!(can(&["taskset", "--version"]));
    Report::of(&mut doctor_under(&["taskset", "-c", first])).says("processors", "warning", "may use 1 processor");
}
