//! `myelon doctor`: what of this machine will hurt rings, and how to repair it.
//!
//! Each group of findings is a file. Its type is gathered from the machine, and judges what was gathered without asking
//! the machine again.

mod calls;
mod cgroup;
mod directories;
mod finding;
#[cfg(test)]
mod golden;
mod governor;
mod huge_pages;
mod limits;
mod machine;
mod namespaces;
mod removal;

use crate::EXIT_FOUND;
use crate::output::{Failure, Output};
use directories::{Directory, SHM};
use finding::{Finding, Level};
use machine::Machine;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Says what of this machine will hurt rings, and how to repair each of it.
///
/// The limits, the filters and the namespaces are those of this process: run it as the same user, and in the same
/// container or unit, as the program that has the rings. For a moment it makes a file of 4096 bytes in each directory.
/// The exit code is 1 if there is a warning or a problem.
#[derive(Debug, clap::Args)]
pub(crate) struct Doctor {
    /// Directories with rings, besides /dev/shm.
    #[arg(value_name = "DIR")]
    directories: Vec<PathBuf>,
    /// The directory that has the machine's `proc`, `sys`, `etc` and `run`, for a container that sees those of its host
    /// elsewhere.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

impl Doctor {
    pub(crate) fn run(self, output: &mut Output<'_>) -> Result<ExitCode, Failure> {
        let machine = Machine::at(&self.root);
        let pid = (self.root == Path::new("/")).then(std::process::id);
        let mut findings = Vec::new();
        for directory in std::iter::once(Path::new(SHM)).chain(self.directories.iter().map(PathBuf::as_path)) {
            findings.extend(Directory::gather(&machine, directory).judge());
        }
        findings.extend(cgroup::Cgroup::gather(&machine).judge());
        findings.extend(limits::Inherited::gather(&machine).judge());
        findings.extend(calls::Calls::gather(&machine).judge());
        findings.extend(huge_pages::HugePages::gather(&machine).judge());
        findings.extend(governor::Governor::gather(&machine).judge());
        findings.extend(namespaces::Namespaces::gather(&machine, pid).judge());
        findings.extend(removal::Removal::gather(&machine).judge());
        report(&findings, output)
    }
}

/// Prints the findings, and for people how many of which level there are.
fn report(findings: &[Finding], output: &mut Output<'_>) -> Result<ExitCode, Failure> {
    for finding in findings {
        output.put(finding)?;
    }
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    output.remark(&format!(
        "problems: {}, warnings: {}, notes: {}, not known: {}",
        count(Level::Problem),
        count(Level::Warning),
        count(Level::Note),
        count(Level::NotKnown)
    ))?;
    let is_bad = findings.iter().any(|finding| finding.level >= Level::Warning);
    Ok(if is_bad { ExitCode::from(EXIT_FOUND) } else { ExitCode::SUCCESS })
}
