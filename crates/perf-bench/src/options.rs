//! What the user asked for: the command line and the help text.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::{Arg, ValueExt};

use crate::probe::Label;
use crate::roles::ROLE_COMMAND;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
Measures rings between pinned processes, beside the alternatives, in one run.

Usage: perf-bench <COMMAND> [OPTIONS]

Commands:
  probe       how far apart the two cpus are now: the round trip of a cache line, again and again
  limits      what the machine allows: cache line, bare ring, futex, copying, reading, reserving
  pingpong    round trips through two rings, beside the cache line's
  throughput  events one way, read and checked, beside the bare ring's
  broadcast   one producer and up to 8 consumers: the cost of a publish, and when they hear of it
  wakeup      what a sleeping consumer costs, and how long its wake-up takes, beside the bare futex's
  create      a new ring of 256 MiB, beside the bare reservation of its memory
  messages    messages of 64 B to 2 MiB, round trips and one way, through whatever carries messages here
  typed       a scheduler's step of 26 KiB as a typed message and back, by codec, beside its bytes alone
  frames      short messages one way through small frames, and beside them through large ones
  step        a step to two workers and their answers, through a topology; and steps that never find their ring full
  all         everything above in one interleaved run
  closing     ours in every form over the best peer in its best form, worst first: adds to the log, and says what is in it
  page        writes what the log of `closing` says into BENCHMARKS.md, and its pictures beside the log; measures nothing

Options:
      --repeats N     measurements of each case that have to count [default: 5]
      --cpus A,B      the cpus of the producer and the consumer [default: two that suit the label]
      --label LABEL   smt, near, far or any: count only measurements with the cpus that far apart [default: near; of
                      closing: any, which it keeps apart]
      --window MS     how long one measurement takes [default: 200]; on a busy machine, shorter ones are disturbed less often
      --only TEXTS    only cases whose name contains one of TEXTS (separated by commas), and what they stand beside
      --json FILE     also write everything to FILE
      --log FILE      closing and page: the log [default: docs/benchmarks/closing.jsonl]
      --instructions  broadcast and all: also count the instructions of a publish, with valgrind's callgrind
      --quick         a smoke run: one short measurement of each case, which always counts; closing: short measurements,
                      which count as others do
  -h, --help          this text
  -V, --version       the version
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
    let command = command.ok_or("which command? Try --help")?;
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
