//! Namespaces of the command's own.

use crate::need;
use crate::report::{AS_USER, Report, can, can_be_user, doctor_under};

#[track_caller]
fn unshared(options: &[&str]) -> Result<Report, String> {
    let words = [&["unshare"], options].concat();
    can(&[&words[..], &["true"]].concat())?;
    Ok(Report::of(&mut doctor_under(&words)))
}

#[test]
fn of_pids() {
    match unshared(&["--pid", "--fork", "--mount-proc"]) {
        Ok(report) => {
            report.says("pid-namespace", "note", "one of its own");
            report.says("proc", "ok", "shows this process");
        }
        Err(reason) => testkit::skip!("{reason}"),
    }
}

#[test]
fn of_pids_with_the_proc_of_another() {
    match unshared(&["--pid", "--fork"]) {
        Ok(report) => report.says("proc", "warning", "but its pid is 1"),
        Err(reason) => testkit::skip!("{reason}"),
    }
}

#[test]
fn of_ipc() {
    match unshared(&["--ipc"]) {
        Ok(report) => report.says("ipc-namespace", "note", "one of its own"),
        Err(reason) => testkit::skip!("{reason}"),
    }
}

#[test]
fn of_time() {
    match unshared(&["--time", "--monotonic", "86400"]) {
        Ok(report) => report.says("time-namespace", "warning", "86400 s and 0 ns ahead"),
        Err(reason) => testkit::skip!("{reason}"),
    }
    unshared(&["--time"]).unwrap().says("time-namespace", "ok", "with the machine's clock");
}

#[test]
fn of_users() {
    match unshared(&["--user", "--map-root-user"]) {
        Ok(report) => report.says("user-namespace", "note", "1 users from 0 on (outside from"),
        Err(reason) => testkit::skip!("{reason}"),
    }
}

#[test]
fn a_proc_that_hides_others() {
    need!(can_be_user());
    let script = "mount -t proc -o hidepid=2 proc /proc && exec \"$@\"";
    let words = ["unshare", "--pid", "--fork", "--mount", "--propagation", "private", "sh", "-ec", script, "sh"];
    need!(can(&[&words[..], &["true"]].concat()));
    let report = Report::of(&mut doctor_under(&[&words[..], &AS_USER[..]].concat()));
    report.says("proc", "warning", "hides the processes of other users");
}
