//! How many instructions a function takes, counted by valgrind's callgrind: exact, and equal on every machine.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::Command;

/// The program that counts.
const PROGRAM: &str = "valgrind";

/// The count of one process, in a file that is removed when this is dropped.
pub(crate) struct Counting {
    function: &'static str,
    file: PathBuf,
}

impl Counting {
    /// Counts what is executed within functions whose name contains `function`. No other measurement uses `name`.
    pub(crate) fn new(function: &'static str, name: &str) -> Self {
        Self { function, file: std::env::temp_dir().join(format!("{name}.callgrind")) }
    }

    /// A command that runs this program under the counter; the arguments are for the caller to add.
    ///
    /// # Errors
    /// When the path of this program is not known. Whether there is a counter shows when the command is started.
    pub(crate) fn command(&self) -> io::Result<Command> {
        let mut file = OsString::from("--callgrind-out-file=");
        file.push(&self.file);
        let mut command = Command::new(PROGRAM);
        // Otherwise the counter's own log would be in the middle of our table.
        command.args(["--tool=callgrind", "--log-file=/dev/null"]).arg(file);
        command.arg(format!("--toggle-collect=*{}*", self.function));
        // The real path: for the counter, `/proc/self/exe` would be the counter itself.
        command.arg(std::env::current_exe()?);
        Ok(command)
    }

    /// How many instructions there were. The process has ended.
    ///
    /// # Errors
    /// When the counter has left no count.
    pub(crate) fn instructions(&self) -> io::Result<u64> {
        parse_total(&fs::read_to_string(&self.file)?).ok_or_else(|| {
            let reason = format!("{} has no count of instructions", self.file.display());
            io::Error::new(io::ErrorKind::InvalidData, reason)
        })
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        // There is none if the process was never started, or ended too early.
        let _ = fs::remove_file(&self.file);
    }
}

/// The sum over all functions in a file of callgrind's.
fn parse_total(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("totals:"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_of_a_count_is_read() {
        assert_eq!(parse_total("version: 1\nevents: Ir\n\nfn=(1)\n1 2\n\ntotals: 4096\n"), Some(4096));
        assert_eq!(parse_total("version: 1\n"), None);
    }
}
