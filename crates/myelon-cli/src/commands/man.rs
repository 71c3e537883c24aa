//! `myelon man`: the manual pages of the command, a file for each subcommand.

use crate::output::{Failure, Output};
use std::path::PathBuf;
use std::process::ExitCode;

/// Writes the manual pages into a directory.
#[derive(Debug, clap::Args)]
pub(crate) struct Man {
    /// The directory, which is made if it does not exist: `~/.local/share/man/man1`, for example.
    directory: PathBuf,
}

impl Man {
    pub(crate) fn run(self, command: clap::Command, output: &mut Output<'_>) -> Result<ExitCode, Failure> {
        let place = self.directory.display().to_string();
        let written = std::fs::create_dir_all(&self.directory)
            .and_then(|()| clap_mangen::generate_to(command.disable_help_subcommand(true), &self.directory));
        written.map_err(|error| Failure::Said(format!("the manual pages could not be written to {place}: {error}")))?;
        output.remark(&format!("the manual pages are in {place}"))?;
        Ok(ExitCode::SUCCESS)
    }
}
