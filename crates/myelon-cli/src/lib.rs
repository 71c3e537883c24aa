//! The command `myelon`, as a library: it is the same with a writer in place of the terminal.
#![forbid(unsafe_code)]

mod commands;
#[cfg(target_os = "linux")]
mod doctor;
mod output;

use clap::{CommandFactory, Parser, Subcommand};
use std::error::Error;
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

pub use output::{Failure, Output};

/// Something was found that a person should look at: for `doctor` and `why`, and in scripts.
pub const EXIT_FOUND: u8 = 1;
/// The command could not be done.
pub const EXIT_FAILED: u8 = 2;

/// See, explain and clean the rings of this machine.
///
/// It needs no code of the programs that use the rings. What it reads, it opens read-only.
#[derive(Debug, Parser)]
#[command(name = "myelon", version, max_term_width = 100)]
struct Cli {
    /// Prints JSON: one object a line.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Completions(commands::completions::Completions),
    #[cfg(target_os = "linux")]
    Doctor(doctor::Doctor),
    Ls(commands::ls::Ls),
    Man(commands::man::Man),
}

/// Runs the command with these arguments, the first of which is the program's name. What it finds goes to `output`;
/// errors go to the standard error.
pub fn run(arguments: impl IntoIterator<Item = OsString>, output: &mut dyn Write) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { EXIT_FAILED } else { 0 });
        }
    };
    let mut output = Output::new(output, cli.json);
    let done = match cli.command {
        Command::Completions(completions) => completions.run(Cli::command(), &mut output),
        #[cfg(target_os = "linux")]
        Command::Doctor(doctor) => doctor.run(&mut output),
        Command::Ls(ls) => ls.run(&mut output),
        Command::Man(man) => man.run(Cli::command(), &mut output),
    };
    match done {
        Ok(code) => code,
        // The reader of a pipe has seen enough.
        Err(Failure::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = error.to_string();
            let mut source = error.source();
            while let Some(cause) = source {
                text = format!("{text}: {cause}");
                source = cause.source();
            }
            eprintln!("myelon: {text}");
            ExitCode::from(EXIT_FAILED)
        }
    }
}
