//! Measures rings between pinned processes, beside the alternatives, in one run.
//!
//! **Lives here:** what happens in which order, and everything that is printed. **Builds on:** all modules.
#![deny(unsafe_code)]

mod cases;
mod clock;
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
use std::process::ExitCode;
use std::time::Duration;

use machine::Machine;
use options::{Command, Invocation, Options};
use report::Report;
use roles::{Interrupt, RoleError};
use schedule::Plan;
use side::Timing;

/// Fewer measurements counted than were wanted.
const EXIT_INCOMPLETE: u8 = 1;
/// The run could not be made, or not as it was asked for.
const EXIT_FAILED: u8 = 2;
/// What a shell reports for a program that Ctrl-C has ended.
const EXIT_INTERRUPTED: u8 = 130;

/// What makes a terminal start its line again.
const ERASE_LINE: &str = "\r\x1b[K";

/// Long enough that single ticks and interrupts do not matter, short enough that the host rarely moves a cpu meanwhile.
const TIMING: Timing = Timing { window: Duration::from_millis(200), probe: Duration::from_millis(20) };
/// For a run that only has to run.
const TIMING_QUICK: Timing = Timing { window: Duration::from_millis(30), probe: Duration::from_millis(5) };

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
        Invocation::Run(options) => return run(&options),
    }
    Ok(ExitCode::SUCCESS)
}

fn run(options: &Options) -> Result<ExitCode, Box<dyn Error>> {
    let interrupt = Interrupt::listen()?;
    let allowed = topology::allowed_cpus()?;
    let cpus = match options.cpus {
        Some(cpus) => cpus,
        None => topology::default_pair(&allowed, options.label).ok_or("this needs two cpus, and may use only one")?,
    };
    let timing = if options.quick { TIMING_QUICK } else { TIMING };
    let plan = Plan {
        repeats: options.repeats,
        wanted: options.label,
        smoke: options.quick,
        timing: Timing { window: options.window.unwrap_or(timing.window), ..timing },
        cpus,
        other_cpus: allowed.iter().copied().filter(|cpu| !cpus.contains(cpu)).collect(),
    };
    let mut cases = match options.command {
        Command::Probe => vec![cases::limits::cache_line_case()],
        Command::Limits => cases::limits::cases(cpus[0], options.quick),
        Command::PingPong => cases::ring::ping_pong_cases(),
        Command::Throughput => cases::ring::throughput_cases(),
        Command::Broadcast => cases::ring::broadcast_cases(options.instructions),
        Command::Wakeup => cases::ring::wakeup_cases(options.quick),
        Command::Create => cases::ring::create_cases(options.quick),
        Command::Messages => cases::messages::cases(),
        Command::Typed => cases::typed::cases(),
        Command::Frames => cases::frames::cases(),
        Command::Step => cases::step::cases(),
        Command::All => cases::all(cpus[0], options.quick, options.instructions),
    };
    #[cfg(feature = "peers")]
    if matches!(options.command, Command::PingPong | Command::Throughput | Command::All) {
        cases::peers::join(&mut cases);
    }
    schedule::keep_only(&mut cases, &options.only);
    if cases.is_empty() {
        return Err(format!("no case of `{}` is called {}", options.command.name(), options.only.join(" or ")).into());
    }
    // A run takes minutes where the cpus are rarely where they are wanted, so whoever watches it is told how far it is.
    let watched = std::io::stderr().is_terminal();
    let records = schedule::measure_all(cases, &plan, &interrupt, |repeat, case| {
        if watched {
            eprint!("{ERASE_LINE}repeat {} of {}: {}", repeat + 1, plan.repeats, case.name);
        }
    });
    if watched {
        eprint!("{ERASE_LINE}");
    }
    let records = records?;
    let machine = Machine::observe(allowed, cpus[0]);
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
