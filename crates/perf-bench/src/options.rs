//! What the user asked for: the command line and the help text.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::{Arg, ValueExt};

use crate::probe::Label;
use crate::roles::ROLE_COMMAND;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
Measures rings between processes that are pinned to cpus, and compares them with alternatives in the same run.

Usage: perf-bench <COMMAND> [OPTIONS]

Commands:
  probe       how far apart the two cpus are: the round trip of a cache line between them, in nanoseconds
  limits      what the machine allows: cache line, bare ring, futex, copying, reading and reserving memory
  pingpong    round trips through two rings, compared with those of a cache line
  throughput  events one way, read and checked, compared with those of a bare ring
  broadcast   one producer and up to 8 consumers: what a publish costs, and when the consumers receive it
  wakeup      what a sleeping consumer costs, and how long its wake-up takes, compared with a bare futex
  create      making a ring of 256 MiB, compared with reserving that much memory alone
  messages    messages of 64 B to 2 MiB, round trips and one way, through every carrier of messages in this build
  typed       a scheduler's step of 26 KiB as a typed message, there and back, by codec, compared with its bytes alone
  frames      short messages one way through small frames, compared with large frames
  step        a step to two workers and their answers, through a topology; and steps whose ring is never full
  all         all of the above in one run, in turn
  closing     every form of our rings, compared with the best form of the best peer; adds its figures to the log, and
              prints what the whole log says, the worst comparison first
  page        writes BENCHMARKS.md from the log of `closing`, and its pictures next to the log; measures nothing

Options:
      --repeats N     how many measurements of each case must count, at least 1 [default: 5; with --quick 1, except for
                      `closing`]
      --cpus A,B      the numbers of two different cpus, of the producer and of the first consumer [default: the first
                      two of this process that, as the system says, are as far apart as --label asks for]
      --label LABEL   count only measurements during which the two cpus were that far apart: smt (one core), near (two
                      cores, one last-level cache), far (two last-level caches) or any [default: near; for `closing`
                      any, each label apart]
      --window MS     how long one measurement takes, in milliseconds, at least 1; on a busy machine, shorter ones are
                      disturbed less often [default: 200; with --quick 30, or 50 for `closing`]
      --only TEXTS    only cases whose name contains one of TEXTS, which are separated by commas, and the cases that they
                      are compared with [default: all cases]
      --json FILE     also write the whole report to FILE, as JSON [default: print it only]
      --log FILE      the log that `closing` adds to and `page` reads [default: docs/benchmarks/closing.jsonl]
      --instructions  `broadcast` and `all`: also count the instructions of a publish, with valgrind's callgrind
                      [default: not counted]
      --quick         only show that everything runs: one short measurement of each case, which always counts; `closing`
                      makes short measurements that count as others do [default: full measurements]
  -h, --help          print this text
  -V, --version       print the version

Exit status: 0 if every case has its measurements, 1 if too few of them count, 2 if the run could not be made, 130 if it
was interrupted.
";

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    Probe,
    Limits,
    PingPong,
    Throughput,
    Broadcast,
    Wakeup,
    Create,
    Messages,
    Typed,
    Frames,
    Step,
    All,
    Closing,
    Page,
}

/// Every command and how it is written on the command line.
const COMMANDS: [(&str, Command); 14] = [
    ("probe", Command::Probe),
    ("limits", Command::Limits),
    ("pingpong", Command::PingPong),
    ("throughput", Command::Throughput),
    ("broadcast", Command::Broadcast),
    ("wakeup", Command::Wakeup),
    ("create", Command::Create),
    ("messages", Command::Messages),
    ("typed", Command::Typed),
    ("frames", Command::Frames),
    ("step", Command::Step),
    ("all", Command::All),
    ("closing", Command::Closing),
    ("page", Command::Page),
];

impl Command {
    /// As it is written on the command line.
    pub(crate) fn name(self) -> &'static str {
        COMMANDS.iter().find(|(_, command)| *command == self).map_or("", |(name, _)| name)
    }

    fn of_name(name: &str) -> Option<Self> {
        COMMANDS.iter().find(|(known, _)| *known == name).map(|(_, command)| *command)
    }
}

/// A run as it was asked for.
#[derive(Debug, PartialEq)]
pub(crate) struct Options {
    pub(crate) command: Command,
    pub(crate) repeats: usize,
    /// `None`: to be chosen.
    pub(crate) cpus: Option<[usize; 2]>,
    /// `None`: any.
    pub(crate) label: Option<Label>,
    /// `None`: the default of the kind of run.
    pub(crate) window: Option<Duration>,
    /// Parts of names of cases, of which one is enough; empty: all cases.
    pub(crate) only: Vec<String>,
    pub(crate) json: Option<PathBuf>,
    /// The file to which `closing` adds and which `page` reads.
    pub(crate) log: PathBuf,
    pub(crate) quick: bool,
    /// Whether instructions are counted, which takes valgrind.
    pub(crate) instructions: bool,
}

/// What the command line as a whole means.
#[derive(Debug, PartialEq)]
pub(crate) enum Invocation {
    Help,
    Version,
    Run(Options),
    /// A process of ours asks for a role: an assignment in JSON.
    Role(String),
}

/// Measurements of each case unless set: a median with values on both sides.
const REPEATS_DEFAULT: usize = 5;

/// The log unless set: where the page shows it.
const LOG_DEFAULT: &str = "docs/benchmarks/closing.jsonl";

/// Reads the command line, without the program's name.
///
/// # Errors
/// A sentence for the user.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Invocation, lexopt::Error> {
    let mut parser = lexopt::Parser::from_args(args);
    let mut command = None;
    let (mut repeats, mut cpus, mut label, mut json, mut log) = (None, None, None, None, None);
    let (mut window, mut only, mut quick, mut instructions) = (None, Vec::new(), false, false);
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Short('h') | Arg::Long("help") => return Ok(Invocation::Help),
            Arg::Short('V') | Arg::Long("version") => return Ok(Invocation::Version),
            Arg::Long("repeats") => repeats = Some(parser.value()?.parse_with(parse_repeats)?),
            Arg::Long("cpus") => cpus = Some(parser.value()?.parse_with(parse_cpus)?),
            Arg::Long("label") => label = Some(parser.value()?.parse_with(parse_label)?),
            Arg::Long("window") => window = Some(parser.value()?.parse_with(parse_window)?),
            Arg::Long("only") => only = parser.value()?.parse_with(parse_only)?,
            Arg::Long("json") => json = Some(PathBuf::from(parser.value()?)),
            Arg::Long("log") => log = Some(PathBuf::from(parser.value()?)),
            Arg::Long("quick") => quick = true,
            Arg::Long("instructions") => instructions = true,
            Arg::Value(name) if command.is_none() => match name.string()?.as_str() {
                ROLE_COMMAND => return Ok(Invocation::Role(parser.value()?.string()?)),
                name => match Command::of_name(name) {
                    Some(known) => command = Some(known),
                    None => return Err(format!("there is no command `{name}`; try --help").into()),
                },
            },
            other => return Err(other.unexpected()),
        }
    }
    let command = command.ok_or("no command was given; try --help")?;
    let is_smoke = quick && command != Command::Closing;
    let repeats = repeats.unwrap_or(if is_smoke { 1 } else { REPEATS_DEFAULT });
    let label = label.unwrap_or(if command == Command::Closing { None } else { Some(Label::Near) });
    let log = log.unwrap_or_else(|| PathBuf::from(LOG_DEFAULT));
    Ok(Invocation::Run(Options { command, repeats, cpus, label, window, only, json, log, quick, instructions }))
}

fn parse_repeats(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&repeats| repeats > 0).ok_or_else(|| "not a number of at least 1".into())
}

fn parse_window(text: &str) -> Result<Duration, String> {
    let millis = text.parse().ok().filter(|&millis| millis > 0);
    millis.map(Duration::from_millis).ok_or_else(|| "not a number of milliseconds of at least 1".into())
}

/// Cases' names have commas in them, but an empty part would choose every case.
fn parse_only(text: &str) -> Result<Vec<String>, String> {
    let texts: Vec<_> = text.split(',').map(|text| text.trim().to_owned()).collect();
    if texts.iter().any(String::is_empty) { Err("not texts such as records,64 B".into()) } else { Ok(texts) }
}

fn parse_cpus(text: &str) -> Result<[usize; 2], String> {
    let pair = text.split_once(',').and_then(|(first, second)| Some([first.parse().ok()?, second.parse().ok()?]));
    match pair {
        Some([first, second]) if first != second => Ok([first, second]),
        _ => Err("not two different cpus such as 0,1".into()),
    }
}

fn parse_label(text: &str) -> Result<Option<Label>, String> {
    match text {
        "any" => Ok(None),
        "smt" => Ok(Some(Label::Smt)),
        "near" => Ok(Some(Label::Near)),
        "far" => Ok(Some(Label::Far)),
        _ => Err("not one of smt, near, far, any".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(line: &str) -> Result<Invocation, lexopt::Error> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn a_bare_command_has_the_documented_defaults() {
        let (command, label) = (Command::Limits, Some(Label::Near));
        let options = Options {
            command,
            repeats: 5,
            cpus: None,
            label,
            window: None,
            only: Vec::new(),
            json: None,
            log: LOG_DEFAULT.into(),
            quick: false,
            instructions: false,
        };
        assert_eq!(run("limits").unwrap(), Invocation::Run(options));
    }

    #[test]
    fn every_option_is_understood() {
        let options = Options {
            command: Command::Probe,
            repeats: 3,
            cpus: Some([2, 0]),
            label: None,
            window: Some(Duration::from_millis(50)),
            only: vec!["48".into(), "records".into()],
            json: Some("x.json".into()),
            log: "x.jsonl".into(),
            quick: true,
            instructions: true,
        };
        let line = "probe --repeats 3 --cpus 2,0 --label=any --window 50 --only 48,records --json x.json --log x.jsonl \
                    --quick --instructions";
        assert_eq!(run(line).unwrap(), Invocation::Run(options));
    }

    #[test]
    fn closing_takes_any_label_and_five_processes_also_when_it_is_quick() {
        let Invocation::Run(options) = run("closing --quick").unwrap() else { panic!("it is a run") };
        assert_eq!((options.label, options.repeats), (None, 5));
        let Invocation::Run(options) = run("closing --label far").unwrap() else { panic!("it is a run") };
        assert_eq!(options.label, Some(Label::Far));
    }

    #[test]
    fn mistakes_are_refused() {
        for line in [
            "",
            "dance",
            "limits limits",
            "limits --repeats 0",
            "limits --cpus 1",
            "limits --cpus 1,1",
            "limits --label x",
            "limits --window 0",
            "limits --only a,,b",
        ] {
            assert!(run(line).is_err(), "{line}");
        }
    }
}
