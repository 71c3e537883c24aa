//! The example as its user runs it: real processes, real signals, and a check of what they leave.
#![forbid(unsafe_code)]

mod built;

/// The program's modules again, for the tests that are beside their code: cargo either runs an example's own tests or
/// builds the program that is run here, not both. For this the modules call each other `super`, not `crate`.
#[allow(dead_code)]
#[path = "../scheduler_workers/main.rs"]
mod program;

use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::{fs, thread};
use testkit::names::{ShmGuard, unique};
use testkit::watchdog::{PATIENCE, Watchdog, eventually};

/// A text of about 100 KB with everything that is awkward to cut; removed when this is dropped.
struct Text(PathBuf);

impl Text {
    fn new() -> Self {
        let line = "the quick brown fox\tjumps  over the lazy dog\r\n";
        let long = format!("{}{}", "a b ".repeat(300), "unbroken".repeat(200));
        let text = format!("{}\n\n{long}\n{}{long} and no line break", line.repeat(1000), line.repeat(1000));
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(unique("text"));
        fs::write(&path, text).expect("the target folder can be written to");
        Self(path)
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// One run of the example, on a text and a segment of its own. Dropping it ends the scheduler, and with it the workers.
struct Run {
    scheduler: Child,
    stderr: Receiver<String>,
    /// The lines so far.
    said: Vec<String>,
    shm: ShmGuard,
    _text: Text,
    _watchdog: Watchdog,
}

impl Run {
    fn start(options: &[&str]) -> Self {
        let (text, shm) = (Text::new(), ShmGuard::new());
        let mut scheduler = Command::new(built::program("scheduler_workers"))
            .args(["--segment", &shm.name("")])
            .arg("--input")
            .arg(&text.0)
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the example starts");
        let (sender, stderr) = channel();
        let lines = BufReader::new(scheduler.stderr.take().expect("stderr is a pipe")).lines();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let watchdog = Watchdog::new(3 * PATIENCE, "a run of the example");
        Self { scheduler, stderr, said: Vec::new(), shm, _text: text, _watchdog: watchdog }
    }

    /// Waits for a line that contains `wanted`, and returns the line.
    #[track_caller]
    fn wait_line(&mut self, wanted: &str) -> String {
        loop {
            match self.stderr.recv_timeout(PATIENCE) {
                Ok(line) => self.said.push(line),
                Err(RecvTimeoutError::Timeout) => panic!("no `{wanted}` within {PATIENCE:?}: {:#?}", self.said),
                Err(RecvTimeoutError::Disconnected) => panic!("ended without `{wanted}`: {:#?}", self.said),
            }
            let line = self.said.last().expect("it was just pushed");
            if line.contains(wanted) {
                return line.clone();
            }
        }
    }

    /// The process of the worker, once it has joined. Workers are announced by rank.
    fn worker_pid(&mut self, rank: u32) -> Pid {
        let line = self.wait_line(&format!("worker-{rank} is process "));
        let pid = line.rsplit(' ').next().and_then(|word| word.parse().ok());
        pid.and_then(Pid::from_raw).expect("the line ends with a process id")
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.scheduler), signal).expect("a child that was not waited for is there");
    }

    /// Waits for the end. Returns the exit code, stdout, and stderr. Nothing may be left in shared memory.
    fn end(mut self) -> (Option<i32>, String, String) {
        let mut printed = String::new();
        let mut stdout = self.scheduler.stdout.take().expect("stdout is a pipe");
        stdout.read_to_string(&mut printed).expect("it prints text");
        let code = self.scheduler.wait().expect("it is our child").code();
        // The workers have this pipe too, so its end is also theirs.
        self.said.extend(self.stderr.iter());
        self.shm.assert_nothing_left();
        (code, printed, self.said.join("\n"))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.scheduler.kill();
        let _ = self.scheduler.wait();
    }
}

/// Lets the run finish, requires the right total, and returns all of its words.
#[track_caller]
fn assert_right_total(run: Run) -> (String, String) {
    let (code, printed, said) = run.end();
    assert_eq!(code, Some(0), "{printed}\n{said}");
    assert!(printed.contains("the same as one process alone"), "{printed}\n{said}");
    (printed, said)
}

/// Whether the process runs. A process that has ended and was not waited for is a zombie, which takes nothing but a
/// line in a table.
fn runs(pid: Pid) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())) else { return false };
    // The state follows the name, which is in parentheses and may contain anything.
    !stat.rsplit(") ").next().is_some_and(|behind_name| behind_name.starts_with('Z'))
}

#[test]
fn any_number_of_workers_counts_the_same() {
    for workers in ["1", "2", "5", "8"] {
        for capacity in ["2", "1024"] {
            let run = Run::start(&["--workers", workers, "--capacity", capacity]);
            let (printed, said) = assert_right_total(run);
            for part in ["events/s", "p50", "p99", "max", "rank skew", "cpu seconds", "restarts     0"] {
                assert!(printed.contains(part), "no `{part}` in {printed}");
            }
            assert!(said.contains("100 %"), "{said}");
        }
    }
}

#[test]
fn a_killed_worker_is_reported_and_restarted_and_the_total_is_right() {
    // Noticed while publishing into a full ring; and, if everything fits into the ring, while waiting for the last
    // answers.
    for capacity in ["16", "1024"] {
        let run = Run::start(&["--chaos", "--capacity", capacity]);
        let (printed, said) = assert_right_total(run);
        assert!(printed.contains("restarts     1"), "{printed}\n{said}");
        let story =
            ["chaos: SIGKILL to worker-1", "stall report", "is dead", "worker-1 is process", "worker-1 goes on"];
        let mut rest = said.as_str();
        for step in story {
            let at = rest.find(step).unwrap_or_else(|| panic!("no `{step}` in its place in {said}"));
            rest = &rest[at..];
        }
    }
}

/// A worker is stopped after a fifth of the run.
fn run_with_stopped_worker(capacity: &str) -> Run {
    let mut run = Run::start(&["--rate", "300", "--capacity", capacity]);
    let worker = run.worker_pid(0);
    run.wait_line(" 20 %");
    kill_process(worker, Signal::STOP).expect("the worker is there");
    run.wait_line("stall report");
    run
}

#[test]
fn a_worker_that_stops_before_a_full_ring_is_replaced() {
    let (printed, said) = assert_right_total(run_with_stopped_worker("16"));
    assert!(printed.contains("restarts     1"), "{printed}\n{said}");
    assert!(said.contains("worker-0 (rank 0)") && said.contains("stopped"), "{said}");
}

#[test]
fn a_worker_that_stops_before_the_last_answers_is_replaced() {
    let (printed, said) = assert_right_total(run_with_stopped_worker("1024"));
    assert!(printed.contains("restarts     1"), "{printed}\n{said}");
    assert!(said.contains("stopped"), "{said}");
}

#[test]
fn an_interrupt_is_obeyed_while_a_worker_is_stopped() {
    let run = run_with_stopped_worker("16");
    run.signal(Signal::INT);
    let (code, _, said) = run.end();
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("killing process"), "{said}");
}

#[test]
fn an_interrupt_half_way_leaves_no_process_and_no_memory() {
    let mut run = Run::start(&["--rate", "100"]);
    let workers = [run.worker_pid(0), run.worker_pid(1)];
    run.wait_line(" 20 %");
    run.signal(Signal::INT);
    let (code, printed, said) = run.end();
    assert_eq!((code, printed.as_str()), (Some(130), ""), "{said}");
    assert!(!workers.into_iter().any(runs), "{said}");
}

#[test]
fn workers_do_not_outlive_a_killed_scheduler() {
    let mut run = Run::start(&["--rate", "100"]);
    let workers = [run.worker_pid(0), run.worker_pid(1)];
    run.wait_line(" 20 %");
    run.signal(Signal::KILL);
    eventually("the end of the workers", PATIENCE, || !workers.into_iter().any(runs)).unwrap();
    let (code, _, said) = run.end();
    assert_eq!(code, None, "{said}");
}

#[test]
fn mistakes_are_told_from_failures() {
    let code = |arguments: &[&str]| {
        let output =
            Command::new(built::program("scheduler_workers")).args(arguments).output().expect("the example starts");
        assert!(!output.stderr.is_empty(), "no explanation for {arguments:?}");
        output.status.code()
    };
    assert_eq!(code(&["--workers", "9"]), Some(2));
    assert_eq!(code(&["--input", "/nonexistent"]), Some(1));
}
