//! Instructions of one path, counted by valgrind's callgrind in a process of its own.

use std::io;
use std::process::Command;

/// Why there is no count.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CountError {
    #[error("instructions are counted by valgrind, which does not start: {0}. Install it, or try --time")]
    CounterDoesNotStart(io::Error),
    #[error("this program is not found: {0}")]
    ProgramNotFound(io::Error),
    #[error("valgrind has counted nothing. It says: {0}")]
    NothingCounted(String),
}

/// How many instructions `operations` operations of the path `name` take, without the preparations.
///
/// # Errors
/// See [`CountError`].
pub(crate) fn instructions(name: &str, operations: u64) -> Result<u64, CountError> {
    let program = std::env::current_exe().map_err(CountError::ProgramNotFound)?;
    let mut valgrind = Command::new("valgrind");
    // Only what `carriers::measured` calls is counted.
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*carriers*measured*"]);
    valgrind.arg(program).args(["--run", name, &operations.to_string()]);
    // What a producer learns depends on the time that its payloads take, and under valgrind they take long.
    valgrind.env("MYELON_WRITE_VIA", "ring");
    let output = valgrind.output().map_err(CountError::CounterDoesNotStart)?;
    let said = String::from_utf8_lossy(&output.stderr);
    // A count of 0 means that the function above has been renamed.
    let count = collected(&said).filter(|&count| output.status.success() && count > 0);
    count.ok_or_else(|| CountError::NothingCounted(said.into_owned()))
}

/// The count in callgrind's last lines: `==4711== Collected : 123456`.
fn collected(said: &str) -> Option<u64> {
    let (_, count) = said.lines().find_map(|line| line.split_once("Collected :"))?;
    count.trim().parse().ok()
}
