//! The hot paths, one at a time: how many instructions an operation takes, or how many nanoseconds.
//!
//! ```text
//! cargo bench -p benches --bench paths              # a table: path, instructions per operation. Needs valgrind
//! cargo bench -p benches --bench paths -- record    # the same of the paths whose name contains "record"
//! PROGRAM --list                                    # the names of the paths
//! PROGRAM --run PATH N                              # N operations of that path; prints the checksum and nothing else
//! PROGRAM --time PATH N                             # the same; prints nanoseconds per operation in the second half
//! ```
//!
//! `cargo bench -p benches --bench paths --no-run` prints where PROGRAM is. An operation is one event, record or
//! message, also in a batch.
//!
//! Producer and consumer are in one thread, the ring has room for every message and holds every message that is read,
//! so no call waits. The count is the same in every run, and a difference between the tables of two builds is a
//! difference between the builds. Count both with the same compiler and on the same machine: how the C library copies
//! depends on the processor.
//!
//! Each path is counted twice, with different numbers of operations, and the difference is divided. So the table leaves
//! out what happens once, as in the first lap. Of what happens once a lap it contains each operation's share.
#![forbid(unsafe_code)]

mod carriers;
mod codecs;
mod counting;

use carriers::{Outcome, PATHS, Path};
use codecs::CODECS;
use counting::{CountError, instructions};
use std::process::ExitCode;

/// Operations of the two counted runs. Both fill whole rounds and whole laps of the events' ring, and both are longer
/// than one lap.
const COUNTED_RUNS: [u64; 2] = [4096, 12288];

/// Operations of a path in a test: more than a lap of the events' ring, and not a whole number of rounds.
const OPERATIONS_TESTED: u64 = 2500;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["--list", ..] => {
            paths().for_each(|path| println!("{}", path.name));
            Ok(())
        }
        ["--run", name, operations] => run(name, operations).map(|outcome| println!("{}", outcome.checksum)),
        ["--time", name, operations] => run(name, operations).map(|outcome| println!("{:.3}", outcome.nanoseconds())),
        // `cargo bench` adds `--bench`, `cargo test` does not. Other options are Criterion's: all benchmarks get the
        // same command line.
        _ => {
            let filters: Vec<&str> = arguments.iter().copied().filter(|text| !text.starts_with("--")).collect();
            let chosen = paths().filter(|path| filters.iter().all(|filter| path.name.contains(filter)));
            let only_test = !arguments.contains(&"--bench") || arguments.contains(&"--test");
            if only_test { test(chosen) } else { print_table(chosen) }
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("paths: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// All paths.
fn paths() -> impl Iterator<Item = &'static Path> {
    PATHS.iter().chain(&CODECS)
}

/// Runs one path in this process.
fn run(name: &str, operations: &str) -> Result<Outcome, String> {
    let path = paths().find(|path| path.name == name);
    let path = path.ok_or_else(|| format!("there is no path `{name}`; --list prints their names"))?;
    let operations = operations.parse().ok().filter(|&operations| operations > 0);
    let operations = operations.ok_or("the number of operations is not a number of at least 1")?;
    Ok(path.run(operations))
}

fn print_table(paths: impl Iterator<Item = &'static Path>) -> Result<(), String> {
    println!("{:<28} {:>12}", "path", "instructions");
    for path in paths {
        let [few, many] = COUNTED_RUNS.map(|operations| instructions(path.name, operations));
        let (few, many) = (few.map_err(|error| error.to_string())?, many.map_err(|error| error.to_string())?);
        let operations = (COUNTED_RUNS[1] - COUNTED_RUNS[0]) as f64;
        println!("{:<28} {:>12.2}", path.name, (many as f64 - few as f64) / operations);
    }
    Ok(())
}

/// Runs each path, and counts the first of them if this machine has a counter.
fn test(mut paths: impl Iterator<Item = &'static Path>) -> Result<(), String> {
    let Some(first) = paths.next() else { return Ok(()) };
    for path in [first].into_iter().chain(paths) {
        let outcome = path.run(OPERATIONS_TESTED);
        // Operation i carries the number i, and the checksum is their sum.
        assert_eq!(outcome.checksum, OPERATIONS_TESTED * (OPERATIONS_TESTED - 1) / 2, "{}", path.name);
    }
    match instructions(first.name, OPERATIONS_TESTED) {
        Ok(count) => assert!(count > OPERATIONS_TESTED, "{}: only {count} instructions were counted", first.name),
        Err(CountError::CounterDoesNotStart(_)) => {
            eprintln!("skipped: instructions were not counted, because valgrind does not start")
        }
        Err(error) => return Err(error.to_string()),
    }
    println!("paths: ok");
    Ok(())
}
