//! The program as a user meets it: a smoke run, and no process left however a run ends.

use std::fs;
use std::io::Read;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// What anything here may take before it counts as hanging; a run on a crowded machine is slow.
const WATCHDOG: Duration = Duration::from_secs(120);

fn perf_bench(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_perf-bench"));
    command.args(args);
    command
}

/// A run in progress; it ends with the test, however that ends.
struct Run(Child);

impl Run {
    fn start(args: &[&str]) -> Self {
        Self(perf_bench(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.0)
    }

    /// Waits until both roles of a measurement are there and returns their process ids. They are there for 200 ms at
    /// least.
    fn roles(&self) -> Vec<Pid> {
        eventually("two roles", || Some(roles_of(self.pid())).filter(|roles| roles.len() == 2))
    }

    fn finish(mut self) -> Output {
        let status = eventually("the end of the run", || self.0.try_wait().unwrap());
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        self.0.stdout.take().unwrap().read_to_end(&mut stdout).unwrap();
        self.0.stderr.take().unwrap().read_to_end(&mut stderr).unwrap();
        Output { status, stdout, stderr }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Asks until there is an answer.
fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begin.elapsed() < WATCHDOG, "waited for {what}, which did not come");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The roles of the run with this process id, also if their parent has changed: they carry it in their argument.
fn roles_of(run: Pid) -> Vec<Pid> {
    let mark = format!("\"parent\":{run},");
    let processes =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let is_role = |pid: &i32| {
        // Empty for a process that has ended.
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut args = line.split(|&byte| byte == 0).skip(1);
        args.next() == Some(b"__role") && args.next().is_some_and(|arg| String::from_utf8_lossy(arg).contains(&mark))
    };
    processes.filter(is_role).filter_map(Pid::from_raw).collect()
}

/// A run of which every case is measured or says why not, in the table and in the JSON, and which leaves nothing in
/// shared memory. Returns the JSON and the table.
fn complete_run(args: &[&str]) -> (serde_json::Value, String) {
    let json = std::env::temp_dir().join(format!("perf-bench-{}-{}.json", args[0], std::process::id()));
    let run = Run::start(&[args, &["--json", json.to_str().unwrap()]].concat());
    let segments = format!("perf-bench-{}-", run.pid());
    let output = run.finish();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{stdout}\n{stderr}", output.status);
    let report: serde_json::Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    fs::remove_file(&json).unwrap();
    for row in report["rows"].as_array().unwrap() {
        let case = row["case"].as_str().unwrap();
        assert!(stdout.contains(case), "{case} is missing in\n{stdout}");
        assert!(
            row["measured"]["summary"]["median"].as_f64().is_some_and(|median| median >= 0.0)
                || row["unavailable"].is_string(),
            "{row:#}"
        );
    }
    let left: Vec<_> = fs::read_dir("/dev/shm").unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains(&segments)), "{left:?}");
    (report, stdout.into_owned())
}

#[test]
fn a_quick_run_of_everything_prints_a_table_and_writes_the_same_as_json_and_leaves_nothing_behind() {
    let (report, stdout) = complete_run(&["all", "--quick"]);
    let rows = report["rows"].as_array().unwrap();
    // One case of every command.
    for name in [
        "cache-line round trip",
        "memcpy into",
        "round trip, 48 B, 4096 slots",
        "one way, 1024 B, one by one",
        "a publish, consumers: 8",
        "wake-up of a parked consumer",
        "create a ring",
        "messages one way, 64 B",
        "messages of 64 B one way, in frames of 64 KiB",
        "step of 26 KiB round trip: rkyv in place, trusted",
        "step of 4224 B to 2 workers",
    ] {
        assert!(rows.iter().any(|row| row["case"].as_str().unwrap().starts_with(name)), "{name} is missing");
    }
    for name in ["processor", "kernel", "cgroup limits", "median", "p99.9", "aim", "best ring"] {
        assert!(stdout.contains(name), "{name} is missing in\n{stdout}");
    }
}

#[test]
fn messages_of_every_size_are_answered_and_go_one_way() {
    let (report, _) = complete_run(&["messages", "--quick"]);
    let rows = report["rows"].as_array().unwrap();
    for size in ["64 B", "1 KiB", "4 KiB", "16 KiB", "64 KiB", "256 KiB", "2 MiB"] {
        for figure in ["message round trip", "messages one way"] {
            for carrier in ["records", "transport, records", "transport, frames", "Unix stream"] {
                let name = format!("{figure}, {size}: {carrier}");
                let row = rows.iter().find(|row| row["case"] == name.as_str());
                let row = row.unwrap_or_else(|| panic!("{name} is missing"));
                assert!(row["measured"]["summary"]["median"].as_f64().is_some_and(|median| median > 0.0), "{row:#}");
            }
        }
    }
}

#[test]
fn a_run_may_be_of_some_cases_and_of_what_they_are_compared_with() {
    let (report, _) = complete_run(&["messages", "--quick", "--only", "1 KiB: records,4 KiB: records in"]);
    let names: Vec<_> = report["rows"].as_array().unwrap().iter().map(|row| row["case"].as_str().unwrap()).collect();
    assert_eq!(names[0], "cache-line round trip");
    assert!(names.iter().all(|name| name.contains("records") || *name == names[0]), "{names:?}");
    let output = perf_bench(&["messages", "--quick", "--only", "pigeons"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[test]
fn short_messages_go_through_frames_of_both_sizes() {
    let (report, _) = complete_run(&["frames", "--quick"]);
    assert_eq!(report["rows"].as_array().unwrap().len(), 2);
}

#[test]
fn a_step_comes_back_through_every_codec_and_what_that_costs_is_said() {
    let (report, stdout) = complete_run(&["typed", "--quick"]);
    for form in
        ["bytes alone", "rkyv in place, trusted", "rkyv in place, validated", "bincode, owned", "postcard, owned"]
    {
        let name = format!("step of 26 KiB round trip: {form}");
        assert!(report["rows"].as_array().unwrap().iter().any(|row| row["case"] == name.as_str()), "{name} is missing");
    }
    // What is compared must have been measured at one distance, and the host may move the processors in between.
    let label = |form: &str| {
        let name = format!("step of 26 KiB round trip: {form}");
        let rows = report["rows"].as_array().unwrap();
        rows.iter().find(|row| row["case"] == name.as_str()).map(|row| row["label"].clone())
    };
    let labels = ["bytes alone", "rkyv in place, trusted", "rkyv in place, validated"].map(label);
    let is_comparable = labels.iter().all(|label| *label == labels[0]);
    assert_eq!(stdout.contains("rkyv adds"), is_comparable, "{labels:?}\n{stdout}");
}

#[test]
fn a_step_reaches_all_workers_and_steps_at_a_pace_find_room() {
    let (report, _) = complete_run(&["step", "--quick"]);
    let rows = report["rows"].as_array().unwrap();
    for name in ["step of 4224 B to 2 workers", "full events of a ring of 1 MiB"] {
        let row = rows.iter().find(|row| row["case"].as_str().unwrap().starts_with(name));
        let row = row.unwrap_or_else(|| panic!("{name} is missing"));
        assert!(row["measured"]["summary"]["median"].is_number(), "{row:#}");
    }
}

#[test]
fn closing_runs_add_to_their_log_and_the_page_shows_what_is_in_it() {
    let folder = std::env::temp_dir().join(format!("perf-bench-closing-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let log = folder.join("figures").join("closing.jsonl");
    let only = "1 to 4: events,rkyv: typed,200 µs: adaptive";
    let measured = |repeats: &str| {
        let args = ["closing", "--quick", "--window", "5", "--repeats", repeats, "--only", only];
        let output = Run::start(&[&args[..], &["--log", log.to_str().unwrap()]].concat()).finish();
        assert!(output.status.success(), "{output:?}");
        let text = fs::read_to_string(&log).unwrap();
        (text.lines().count(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    // A line for each run, and one for each measurement that counted: on a busy machine that may be none.
    let (first, _) = measured("1");
    let (second, _) = measured("1");
    assert!(first >= 1 && second > first, "{first}, {second}");

    // The page of the project has the places for the figures.
    fs::write(folder.join("BENCHMARKS.md"), include_str!("../../../BENCHMARKS.md")).unwrap();
    let page = || perf_bench(&["page", "--log", "figures/closing.jsonl"]).current_dir(&folder).output().unwrap();
    let output = page();
    assert!(output.status.success(), "{output:?}");
    let text = fs::read_to_string(folder.join("BENCHMARKS.md")).unwrap();
    for label in ["near", "far"] {
        let has_figures = text.contains(&format!("Each of our forms over the best peer, {label}"));
        assert!(has_figures || text.contains(&format!("Nothing was measured {label} yet")), "{text}");
    }
    fs::write(folder.join("BENCHMARKS.md"), "nothing").unwrap();
    assert_eq!(page().status.code(), Some(2));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn instructions_are_counted_or_the_counter_is_missed() {
    let output = Run::start(&["broadcast", "--quick", "--instructions"]).finish();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    let row = stdout.lines().find(|line| line.starts_with("instructions of a publish, consumers: 8")).unwrap();
    assert!(row.contains(" instr ") || row.contains("valgrind"), "{row}");
}

#[test]
fn a_role_that_dies_fails_the_run_and_takes_the_other_one_along() {
    let run = Run::start(&["probe", "--repeats", "1000", "--label", "any"]);
    let pid = run.pid();
    // A measurement may end just now, and its roles with it.
    eventually("a role to kill", || kill_process(run.roles()[1], Signal::KILL).ok());
    let output = run.finish();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("ended without an answer"), "{output:?}");
    assert!(roles_of(pid).is_empty());
}

#[test]
fn ctrl_c_ends_the_run_and_its_roles() {
    let run = Run::start(&["probe", "--repeats", "1000", "--label", "any"]);
    let pid = run.pid();
    run.roles();
    kill_process(pid, Signal::INT).unwrap();
    let output = run.finish();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert!(roles_of(pid).is_empty());
}

#[test]
fn roles_do_not_outlive_a_killed_run() {
    let run = Run::start(&["probe", "--repeats", "1000", "--label", "any"]);
    let pid = run.pid();
    run.roles();
    kill_process(pid, Signal::KILL).unwrap();
    run.finish();
    eventually("the end of the roles", || roles_of(pid).is_empty().then_some(()));
}

#[test]
fn a_cpu_that_there_is_not_is_an_error_with_its_number() {
    let output = perf_bench(&["probe", "--cpus", "0,1023"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("cpu 1023"), "{output:?}");
}
