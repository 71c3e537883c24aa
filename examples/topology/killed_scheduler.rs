//! The other way in which a topology ends: its scheduler is killed. Its workers end with it. What it has left in shared
//! memory has no owner. The next launch of the same label removes it, or a collector, as here.

use super::Failure;
use rustix::process::{Signal, getpid, kill_process};
use std::io::Read;
use std::process::{Command, Stdio};

/// Runs a scheduler that is killed, and looks at what is left.
///
/// # Errors
/// A step had another result.
pub(crate) fn show(label: &str, workers: usize) -> Result<(), Failure> {
    let mut scheduler = Command::new(std::env::current_exe()?)
        .args(["doomed scheduler", label, &workers.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    // The workers have inherited the pipe, so its end is the end of all of them.
    let mut said = String::new();
    let pipe = scheduler.stdout.as_mut().ok_or("the scheduler has a pipe")?;
    pipe.read_to_string(&mut said)?;
    let status = scheduler.wait()?;
    if status.code().is_some() {
        return Err(format!("the other scheduler ended with {status} before it was killed").into());
    }

    // No process that lives loses anything: a ring in use stays.
    let removed = super::topology(label, workers)?.gc()?;
    println!("another scheduler is killed: its {workers} workers are gone, and {removed} rings were removed");
    Ok(())
}

/// The process of that scheduler: launches its workers, and kills itself.
///
/// # Errors
/// The launch failed.
pub(crate) fn be_killed(label: &str, workers: usize) -> Result<(), Failure> {
    let _scheduler = super::topology(label, workers)?.launch(super::workers()?)?;
    kill_process(getpid(), Signal::KILL)?;
    Err("no process survives this signal".into())
}
