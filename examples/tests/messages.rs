//! The examples of messages, as their user runs them: they print what their documentation says, and leave nothing.
#![forbid(unsafe_code)]

mod built;

use myelon::transport::compact_session_tag;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use testkit::watchdog::{PATIENCE, Watchdog};

/// What the example's documentation says that it prints: the second block of its header.
fn documented(example: &str) -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(example).join("main.rs");
    let source = fs::read_to_string(source).expect("the example can be read");
    let header = source.lines().map_while(|line| line.strip_prefix("//!"));
    let block = header.skip_while(|line| *line != " ```").skip(1).skip_while(|line| *line != " ```text").skip(1);
    block
        .take_while(|line| *line != " ```")
        .map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line)))
        .collect()
}

/// Runs the example, compares what it prints, and returns its other output. `names` gives the common part of its rings'
/// names, for its pid. Output ends when no process holds the pipe any more, so the workers are gone as well.
#[track_caller]
fn run(example: &str, names: impl Fn(u32) -> String) -> String {
    let _watchdog = Watchdog::new(3 * PATIENCE, "a run of the example");
    let scheduler = Command::new(built::program(example))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the example starts");
    let names = names(scheduler.id());
    let output = scheduler.wait_with_output().expect("it is our child");
    let said = String::from_utf8(output.stderr).expect("it says text");
    assert!(output.status.success(), "{}: {said}", output.status);
    assert_eq!(String::from_utf8(output.stdout).expect("it prints text"), documented(example), "{said}");
    let entries = fs::read_dir("/dev/shm").expect("named shared memory lives there");
    let left: Vec<_> = entries
        .map(|entry| entry.expect("it can be listed").file_name().to_string_lossy().into_owned())
        .filter(|name| name.contains(&names))
        .collect();
    assert!(left.is_empty(), "left in shared memory: {left:?}");
    said
}

#[test]
fn messages_of_any_size_travel_over_records_and_over_frames() {
    run("framed", |pid| format!("framed{pid}"));
}

#[test]
fn typed_messages_travel_and_strangers_are_refused() {
    run("typed", |pid| format!("typed{pid}"));
}

#[test]
fn typed_messages_are_read_where_they_lie() {
    run("typed_zero_copy", |pid| format!("zero{pid}"));
}

#[test]
fn both_ends_of_a_typed_stream_are_awaited_on_one_thread() {
    run("async_tokio", |pid| format!("tokio{pid}"));
}

#[cfg(target_os = "linux")]
#[test]
fn one_thread_waits_for_rings_a_timer_signals_a_child_clients_and_an_operator() {
    let said = run("one_loop", |pid| format!("one_loop{pid}"));
    assert!(said.contains("sources, "), "the dump of the operator: {said}");
}

#[test]
fn requests_are_answered_out_of_order_and_each_once_unless_it_was_not_answered() {
    run("held", |pid| format!("held{pid}"));
}

#[test]
fn an_executor_of_a_supervisor_outlives_a_killed_and_a_stopped_worker() {
    let said = run("supervisor", |pid| compact_session_tag(&format!("supervisor example {pid}")));
    let report = said.lines().find(|line| line.starts_with("report: ")).expect("a worker was stopped");
    assert!(
        report.contains(", rank 2 (pid ") && report.contains(" stopped") && report.contains("broadcast 12"),
        "{report}"
    );
}

#[test]
fn two_agents_sleep_at_their_doorbells_and_lose_no_number() {
    run("agent_pair", |pid| format!("agents{pid}"));
}

#[test]
fn a_type_is_upgraded_twice_and_no_reader_loses_a_message() {
    run("upgrade", |pid| format!("upgrade{pid}"));
}

#[test]
fn a_topology_outlives_its_workers_and_its_workers_do_not_outlive_it() {
    let said = run("topology", |pid| compact_session_tag(&format!("topology example {pid}")));
    let report = said.lines().find(|line| line.starts_with("report: ")).expect("a worker was stopped");
    assert!(
        report.contains(", rank 1 (pid ") && report.contains(" stopped") && report.contains("broadcast 20"),
        "{report}"
    );
}

#[test]
fn a_server_is_commanded_through_its_console() {
    run("runtime_console", |pid| format!("runtime-console-{pid}"));
}
