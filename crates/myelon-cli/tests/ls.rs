//! `myelon ls` as a process, beside rings of other processes.

use disruptor_mp::segment::Title;
use disruptor_mp::{Place, SharedConsumer, SharedProducer, event};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use testkit::process::{Respawn, is_victim, role, say, wait_to_be_killed};
use testkit::watchdog::{PATIENCE, eventually};
use testkit::{Signal, names, test_name};

#[event]
struct Step {
    sequence: u64,
}

/// A directory of the test's own.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let path = std::env::temp_dir().join(names::unique("ls"));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn place(&self, name: &str) -> Place {
        Place::from(self.0.join(name))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn myelon(arguments: &[&str], directory: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_myelon")).args(arguments).arg(directory).output().unwrap()
}

fn text(directory: &Directory) -> String {
    let output = myelon(&["ls"], &directory.0);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
#[ignore = "runs as a victim"]
fn victim_that_joins() {
    if !is_victim() {
        return;
    }
    let path = role().expect("a path");
    let _worker = SharedConsumer::<Step>::attach(Path::new(&path), 8, "worker-3").unwrap();
    say("JOINED");
    wait_to_be_killed();
}

#[test]
fn a_worker_is_shown_as_alive_then_stopped_then_dead() {
    let directory = Directory::new();
    let place = directory.place("ring").titled(Title::new("tp-engine", Some(1)));
    let mut producer = SharedProducer::<Step>::create(place, 8, || Step { sequence: 0 }).unwrap();
    let path = directory.0.join("ring").display().to_string();
    let mut worker = Respawn::test(test_name!(victim_that_joins)).role(&path).spawn();
    worker.wait_line("JOINED");
    for sequence in 0..3 {
        producer.publish(|slot| slot.sequence = sequence).unwrap();
    }
    let (ours, theirs) = (std::process::id(), worker.pid());
    let expected = |life: &str| {
        format!(
            "tp-engine, rank 1 ({path}): events of Step, 8 slots, {} bytes in all\n  producer pid {ours}: alive, 3 \
             published\n  worker-3 pid {theirs}: {life}, lags by 3\n",
            fs::metadata(&path).unwrap().len()
        )
    };
    assert_eq!(text(&directory), expected("alive"));
    worker.stop();
    assert_eq!(text(&directory), expected("stopped"));
    worker.kill(Signal::KILL);
    eventually("it is dead", PATIENCE, || text(&directory) == expected("dead")).unwrap();
}

#[test]
fn what_cannot_be_opened_is_a_line_and_what_is_none_of_ours_is_not() {
    let directory = Directory::new();
    assert_eq!(text(&directory), "there is no ring; for other directories than shared memory: myelon ls DIR\n");
    let producer = SharedProducer::<Step>::create(directory.place("ring"), 8, || Step { sequence: 0 }).unwrap();
    let ring = fs::read(directory.0.join("ring")).unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(directory.0.join(name), bytes).unwrap();
    write("copy", &ring);
    write("truncated", &ring[..5000]);
    write("foreign", b"no ring");
    let shown = text(&directory);
    assert!(shown.contains("copy: events of Step") && shown.contains(": unknown (copy), 0 published"), "{shown}");
    assert!(shown.contains("truncated: ") && shown.contains("was truncated"), "{shown}");
    assert!(!shown.contains("foreign"), "{shown}");
    drop(producer);
}

#[test]
fn json_is_one_object_a_line() {
    let directory = Directory::new();
    let producer = SharedProducer::<Step>::create(directory.place("a"), 8, || Step { sequence: 0 }).unwrap();
    let _worker = SharedConsumer::<Step>::attach(directory.place("a"), 8, "worker-0").unwrap();
    fs::write(directory.0.join("b"), &fs::read(directory.0.join("a")).unwrap()[..5000]).unwrap();
    let output = myelon(&["--json", "ls"], &directory.0);
    let lines: Vec<serde_json::Value> =
        str::from_utf8(&output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    let ring = &lines[0];
    assert_eq!((&ring["state"], &ring["carries"], &ring["size"]), (&"segment".into(), &"Step".into(), &8.into()));
    assert_eq!(ring["producer"]["life"], "alive");
    assert_eq!(
        (&ring["consumers"][0]["id"], &ring["consumers"][0]["life"], &ring["consumers"][0]["lag_events"]),
        (&"worker-0".into(), &"alive".into(), &0.into())
    );
    assert_eq!(lines[1]["state"], "unreadable");
    drop(producer);
}

#[test]
fn a_directory_that_is_not_there_is_an_error_that_names_it() {
    let output = myelon(&["ls"], Path::new("/nowhere/at/all"));
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("myelon: the directory /nowhere/at/all could not be read: "), "{said}");
}
