//! Measures rings between pinned processes, and compares them with alternatives in the same run.
#![deny(unsafe_code)]

mod cases;
mod clock;
mod closing;
mod control;
mod counting;
mod interference;
mod limits;
mod machine;
mod messages;
mod options;
#[cfg(feature = "peers")]
mod peers;
mod probe;
mod raw;
mod report;
mod ring;
mod roles;
mod schedule;
mod side;
mod stats;
mod step;
mod subject;
mod topology;
mod typed;
mod workload;

use std::error::Error;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use closing::log::{Figures, Log, Run};
use closing::standing::Standing;
use closing::targets::Targets;
use machine::Machine;
use options::{Command, Invocation, Options};
use report::Report;
use roles::{Interrupt, RoleError};
use schedule::{ATTEMPTS_PER_REPEAT, Case, Counted, Plan, Record, Watch};
use side::Timing;

/// Fewer measurements counted than were wanted.
const EXIT_INCOMPLETE: u8 = 1;
/// The run could not be made, or not as requested.
const EXIT_FAILED: u8 = 2;
/// What a shell reports for a program that Ctrl-C has ended.
const EXIT_INTERRUPTED: u8 = 130;

/// Makes a terminal start its line again.
const ERASE_LINE: &str = "\r\x1b[K";

/// Long enough that single ticks and interrupts do not matter, short enough that the host rarely moves a cpu during it.
const TIMING: Timing = Timing { window: Duration::from_millis(200), probe: Duration::from_millis(20) };
/// For a smoke run.
const TIMING_QUICK: Timing = Timing { window: Duration::from_millis(30), probe: Duration::from_millis(5) };
/// For figures of many processes. Each is short, because the differences are between processes.
const TIMING_CLOSING_QUICK: Timing = Timing { window: Duration::from_millis(50), probe: Duration::from_millis(5) };

/// Tries for each repeat of a closing run: another run adds what is missing.
const ATTEMPTS_CLOSING: usize = 6;

/// The page of figures.
const PAGE: &str = "BENCHMARKS.md";

fn main() -> ExitCode {
    match invoke() {
        Ok(code) => code,
        Err(error) => {
            let mut text = error.to_string();
            let mut source = error.source();
            while let Some(cause) = source {
                text = format!("{text}: {cause}");
                source = cause.source();
            }
            eprintln!("perf-bench: {text}");
            let interrupted = matches!(error.downcast_ref(), Some(RoleError::Interrupted));
            ExitCode::from(if interrupted { EXIT_INTERRUPTED } else { EXIT_FAILED })
        }
    }
}

fn invoke() -> Result<ExitCode, Box<dyn Error>> {
    match options::parse(std::env::args_os().skip(1))? {
        Invocation::Help => print!("{}", options::HELP),
        Invocation::Version => println!("perf-bench {}", env!("CARGO_PKG_VERSION")),
        Invocation::Role(assignment) => side::play(serde_json::from_str(&assignment)?)?,
        Invocation::Run(options) => match options.command {
            Command::Page => write_page(&options)?,
            _ => return run(&options),
        },
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes the page of figures from the log.
fn write_page(options: &Options) -> Result<(), Box<dyn Error>> {
    let folder = options.log.parent().unwrap_or(Path::new(""));
    let (entries, figures, targets) = (cases::closing::entries(), Figures::read(&options.log)?, Targets::known()?);
    let standing = Standing { entries: &entries, figures: &figures, targets: &targets };
    Ok(closing::page::write(&standing, Path::new(PAGE), folder)?)
}

fn run(options: &Options) -> Result<ExitCode, Box<dyn Error>> {
    let interrupt = Interrupt::listen()?;
    let allowed = topology::allowed_cpus()?;
    let cpus = match options.cpus {
        Some(cpus) => cpus,
        None => topology::default_pair(&allowed, options.label).ok_or("this needs two cpus, and may use only one")?,
    };
    let is_closing = options.command == Command::Closing;
    let timing = match (options.quick, is_closing) {
        (true, true) => TIMING_CLOSING_QUICK,
        (true, false) => TIMING_QUICK,
        (false, _) => TIMING,
    };
    let plan = Plan {
        repeats: options.repeats,
        attempts: if is_closing { ATTEMPTS_CLOSING } else { ATTEMPTS_PER_REPEAT },
        wanted: options.label,
        smoke: options.quick && !is_closing,
        timing: Timing { window: options.window.unwrap_or(timing.window), ..timing },
        cpus,
        other_cpus: allowed.iter().copied().filter(|cpu| !cpus.contains(cpu)).collect(),
    };
    let machine = Machine::observe(allowed, cpus[0]);
    let mut cases = cases(options, cpus[0]);
    schedule::keep_only(&mut cases, &options.only);
    if cases.is_empty() {
        return Err(format!("no case of `{}` is called {}", options.command.name(), options.only.join(" or ")).into());
    }
    let log = match is_closing {
        true => Some(Log::begin(&options.log, Run::now(plan.timing.window.as_millis() as u64, machine.clone())?)?),
        false => None,
    };
    let mut progress = Progress { repeats: plan.repeats, is_watched: std::io::stderr().is_terminal(), log };
    let records = schedule::measure_all(cases, &plan, &interrupt, &mut progress);
    progress.end();
    let records = records?;
    if is_closing {
        conclude(options, &records)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut report = Report::new(options.command.name(), machine, &plan, &records);
    report.notes.extend(limits::best_ring(&report.rows));
    report.notes.extend(typed::costs(&report.rows));
    report.notes.extend(messages::comparison::comparisons(&records));

    let incomplete = report.incomplete().into_iter().collect::<Vec<_>>().join("; ");
    if !incomplete.is_empty() {
        report.notes.push(format!("too few measurements counted, so do not rely on: {incomplete}"));
    }
    print!("{report}");
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(path, text + "\n").map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(if incomplete.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_INCOMPLETE) })
}

/// What is measured by a command, with its first role on `cpu`.
fn cases(options: &Options, cpu: usize) -> Vec<Case> {
    let cases = match options.command {
        Command::Probe => vec![cases::limits::cache_line_case()],
        Command::Limits => cases::limits::cases(cpu, options.quick),
        Command::PingPong => cases::ring::ping_pong_cases(),
        Command::Throughput => cases::ring::throughput_cases(),
        Command::Broadcast => cases::ring::broadcast_cases(options.instructions),
        Command::Wakeup => cases::ring::wakeup_cases(options.quick),
        Command::Create => cases::ring::create_cases(options.quick),
        Command::Messages => cases::messages::cases(),
        Command::Typed => cases::typed::cases(),
        Command::Frames => cases::frames::cases(),
        Command::Step => cases::step::cases(),
        Command::All => cases::all(cpu, options.quick, options.instructions),
        Command::Closing => cases::closing::entries().into_iter().map(|entry| entry.case).collect(),
        Command::Page => Vec::new(),
    };
    #[cfg(feature = "peers")]
    if matches!(options.command, Command::PingPong | Command::Throughput | Command::All) {
        let mut cases = cases;
        cases::peers::join(&mut cases);
        return cases;
    }
    cases
}

/// What is shown and kept while a run goes on: a line on the terminal, and the log of a closing run.
struct Progress {
    repeats: usize,
    /// A run takes minutes if the cpus are seldom at the wanted distance, so the user sees its progress.
    is_watched: bool,
    log: Option<Log>,
}

impl Watch for Progress {
    type Error = Box<dyn Error>;

    fn begins(&mut self, repeat: usize, case: &Case) {
        if self.is_watched {
            eprint!("{ERASE_LINE}repeat {} of {}: {}", repeat + 1, self.repeats, case.name);
        }
    }

    fn counts(&mut self, case: &Case, counted: &Counted) -> Result<(), Self::Error> {
        self.log.as_mut().map_or(Ok(()), |log| Ok(log.add(&case.name, counted)?))
    }
}

impl Progress {
    fn end(&self) {
        if self.is_watched {
            eprint!("{ERASE_LINE}");
        }
    }
}

/// Prints what is in the log of a closing run, and what could not be measured in the last run.
fn conclude(options: &Options, records: &[Record]) -> Result<(), Box<dyn Error>> {
    let (entries, figures, targets) = (cases::closing::entries(), Figures::read(&options.log)?, Targets::known()?);
    print!("{}", Standing { entries: &entries, figures: &figures, targets: &targets });
    for record in records {
        if let Some(reason) = &record.unavailable {
            println!("not measured: {}: {reason}", record.case.name);
        } else if record.counted.is_empty() {
            let reasons: Vec<_> = record.discarded.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
            println!("did not count: {}: {}", record.case.name, reasons.join(", "));
        }
    }
    Ok(())
}
