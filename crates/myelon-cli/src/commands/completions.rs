//! `myelon completions`: a script with which a shell completes the command's arguments.

use crate::output::{Failure, Output};
use std::process::ExitCode;

/// Prints a script with which a shell completes the arguments of this command.
///
/// For bash: `myelon completions bash > ~/.local/share/bash-completion/completions/myelon`.
#[derive(Debug, clap::Args)]
pub(crate) struct Completions {
    /// The shell.
    shell: clap_complete::Shell,
}

impl Completions {
    pub(crate) fn run(self, mut command: clap::Command, output: &mut Output<'_>) -> Result<ExitCode, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "myelon", &mut script);
        output.bytes(&script)?;
        Ok(ExitCode::SUCCESS)
    }
}
