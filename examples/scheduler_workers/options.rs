//! What the user asked for.

use super::Failure;
use lexopt::{Arg, ValueExt};
use std::path::PathBuf;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
One scheduler broadcasts a text to worker processes, and adds up what they count in it.

Usage: scheduler_workers [OPTIONS]

Options:
      --workers N     worker processes, 1 to 8 [default: 2]
      --input FILE    the text [default: that of this repository, repeated to 16 MiB]
      --capacity N    slots of the broadcast ring, a power of two, 2 to 65536 [default: 1024]
      --rate N        publish N events per second [default: as fast as the slowest worker]
      --chaos         kill a worker half-way, with SIGKILL, and go on
      --segment NAME  name of the broadcast ring in shared memory [default: sw and the process id]
  -h, --help          this text
";

/// The most workers. Every worker is sent everything, so workers beyond the number of cores only make it slower.
const WORKERS_MAX: u32 = 8;

/// The most slots. At 512 bytes each that is 32 MiB of shared memory, and 8 MiB more for each worker's answers.
const CAPACITY_MAX: usize = 1 << 16;

/// What this process is.
#[derive(Debug, PartialEq)]
pub(crate) enum Role {
    /// Prints the help text.
    Help,
    /// The one that the user starts.
    Scheduler(Options),
    /// One that the scheduler starts.
    Worker {
        /// Which one, from 0.
        rank: u32,
        /// What all of them have in common.
        options: Options,
    },
}

/// A run as it was asked for.
#[derive(Debug, PartialEq)]
pub(crate) struct Options {
    pub(crate) workers: u32,
    pub(crate) input: Option<PathBuf>,
    /// Slots of the broadcast ring.
    pub(crate) capacity: usize,
    /// Events per second; `None`: no limit.
    pub(crate) rate: Option<f64>,
    pub(crate) chaos: bool,
    /// Name of the broadcast ring; the answer rings' names are made from it.
    pub(crate) segment: String,
}

impl Options {
    /// The ring in which the worker of that rank answers.
    pub(crate) fn answer_segment(&self, rank: u32) -> String {
        format!("{}r{rank}", self.segment)
    }

    /// Slots of an answer ring. [`Scheduler`](super::scheduler) says why a worker never waits there.
    pub(crate) fn answer_capacity(&self) -> usize {
        2 * self.capacity
    }

    /// The command line that makes a worker of the same run.
    pub(crate) fn worker_arguments(&self, rank: u32) -> Vec<String> {
        ["--as-worker", &rank.to_string(), "--workers", &self.workers.to_string()]
            .into_iter()
            .chain(["--capacity", &self.capacity.to_string(), "--segment", &self.segment])
            .map(str::to_owned)
            .collect()
    }

    /// Reads a command line without the program's name.
    ///
    /// # Errors
    /// What is wrong with it, for the user to read.
    pub(crate) fn parse<I>(arguments: I) -> Result<Role, Failure>
    where
        I: IntoIterator<Item: Into<std::ffi::OsString>>,
    {
        let mut options = Self {
            workers: 2,
            input: None,
            capacity: 1024,
            rate: None,
            chaos: false,
            segment: format!("sw{}", std::process::id()),
        };
        let mut rank = None;
        let mut parser = lexopt::Parser::from_args(arguments);
        while let Some(argument) = parser.next()? {
            match argument {
                Arg::Long("workers") => options.workers = parser.value()?.parse()?,
                Arg::Long("input") => options.input = Some(parser.value()?.into()),
                Arg::Long("capacity") => options.capacity = parser.value()?.parse()?,
                Arg::Long("rate") => options.rate = Some(parser.value()?.parse()?),
                Arg::Long("chaos") => options.chaos = true,
                Arg::Long("segment") => options.segment = parser.value()?.string()?,
                // The scheduler's own options for its workers are not in the help text.
                Arg::Long("as-worker") => rank = Some(parser.value()?.parse()?),
                Arg::Short('h') | Arg::Long("help") => return Ok(Role::Help),
                other => return Err(other.unexpected().into()),
            }
        }
        if !(1..=WORKERS_MAX).contains(&options.workers) {
            return Err(format!("--workers is 1 to {WORKERS_MAX}").into());
        }
        if !options.capacity.is_power_of_two() || !(2..=CAPACITY_MAX).contains(&options.capacity) {
            return Err(format!("--capacity is a power of two, 2 to {CAPACITY_MAX}").into());
        }
        if options.rate.is_some_and(|rate| !rate.is_finite() || rate <= 0.0) {
            return Err("--rate is more than 0".into());
        }
        Ok(match rank {
            Some(rank) => Role::Worker { rank, options },
            None => Role::Scheduler(options),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_understands_what_the_scheduler_tells_it() {
        let Ok(Role::Scheduler(told)) = Options::parse(["--workers", "3", "--capacity=8", "--segment", "s"]) else {
            panic!("not a scheduler")
        };
        assert_eq!(Options::parse(told.worker_arguments(2)).unwrap(), Role::Worker { rank: 2, options: told });
    }

    #[test]
    fn impossible_wishes_are_refused() {
        let wishes: [&[&str]; 7] = [
            &["--workers", "0"],
            &["--workers", "9"],
            &["--capacity", "3"],
            &["--rate", "0"],
            &["--rate", "NaN"],
            &["x"],
            &["--y"],
        ];
        for wish in wishes {
            assert!(Options::parse(wish).is_err(), "{wish:?}");
        }
    }
}
