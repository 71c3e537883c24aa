//! What `/proc` says about the threads of our own children.

use std::fs;
use std::io;
use std::path::PathBuf;

/// The fields of `/proc/<pid>/stat` that follow the name, from the state (field 3 in the manual) on.
pub(crate) fn stat_fields(pid: u32) -> io::Result<Vec<String>> {
    after_name(&fs::read(format!("/proc/{pid}/stat"))?)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat is not what it should be")))
}

/// Whether every thread is stopped. The state of the process is only that of its first thread, and the others may still
/// be running before they stop.
pub(crate) fn all_threads_stopped(pid: u32) -> io::Result<bool> {
    // No thread can be missed: if one is seen stopped, the whole group has been told to stop, and `clone` does not
    // succeed while that is pending.
    for task in tasks(pid)? {
        let fields = after_name(&fs::read(task.join("stat"))?);
        if fields.as_ref().and_then(|fields| fields.first()).is_none_or(|state| state != "T") {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The `/proc` directories of all threads.
pub(crate) fn tasks(pid: u32) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(format!("/proc/{pid}/task"))?.map(|entry| Ok(entry?.path())).collect()
}

/// The fields after the name, which is in parentheses and may itself contain anything, also parentheses.
fn after_name(stat: &[u8]) -> Option<Vec<String>> {
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    Some(String::from_utf8_lossy(&stat[name_end + 1..]).split_ascii_whitespace().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        assert_eq!(after_name(b"17 (a) R (b) S 1 2\n").unwrap(), ["S", "1", "2"]);
        assert_eq!(after_name(b"17"), None);
    }

    #[test]
    fn a_running_process_is_not_stopped() {
        assert!(!all_threads_stopped(std::process::id()).unwrap());
    }
}
