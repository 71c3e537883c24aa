//! The command `myelon`.

use std::process::ExitCode;

fn main() -> ExitCode {
    myelon_cli::run(std::env::args_os(), &mut std::io::stdout().lock())
}
