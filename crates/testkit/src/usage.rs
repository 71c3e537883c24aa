//! What a process has cost so far: processor time and context switches.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use crate::procfs;

/// What a process has used since it started. The numbers only grow; [`since`](Self::since) gives the difference of two
/// readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Processor time in user and kernel mode, all threads, also those that have ended. The kernel counts it in ticks
    /// of usually 10 ms.
    pub cpu: Duration,
    /// How often a thread gave up its core because it had to wait. Threads that have ended are not included.
    pub voluntary_switches: u64,
    /// How often a thread's core was taken away. Threads that have ended are not included.
    pub involuntary_switches: u64,
}

impl Usage {
    /// What process `pid` has used until now.
    ///
    /// # Errors
    /// `NotFound` or `ESRCH`: there is no such process (any more). `PermissionDenied`: `/proc` hides it from us.
    pub fn of(pid: u32) -> io::Result<Self> {
        let fields = procfs::stat_fields(pid)?;
        // The manual numbers them from 1 and the first field here is its third: 14 is time in user mode, 15 in kernel
        // mode.
        let ticks = number(fields.get(14 - 3).map(String::as_str))? + number(fields.get(15 - 3).map(String::as_str))?;
        let cpu = Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64);

        let (mut voluntary_switches, mut involuntary_switches) = (0, 0);
        // The process's own `status` counts the switches of its first thread only.
        for task in procfs::tasks(pid)? {
            let Some((voluntary, involuntary)) = switches(&task)? else { continue };
            voluntary_switches += voluntary;
            involuntary_switches += involuntary;
        }
        Ok(Self { cpu, voluntary_switches, involuntary_switches })
    }

    /// What was used after `earlier`. A count that went down, because a thread has ended, is 0.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(earlier.cpu),
            voluntary_switches: self.voluntary_switches.saturating_sub(earlier.voluntary_switches),
            involuntary_switches: self.involuntary_switches.saturating_sub(earlier.involuntary_switches),
        }
    }
}

/// The voluntary and involuntary switches of one thread; `None` if it has ended in the meantime.
fn switches(task: &Path) -> io::Result<Option<(u64, u64)>> {
    let status = match fs::read(task.join("status")) {
        Ok(status) => String::from_utf8_lossy(&status).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let line = |key: &str| status.lines().find_map(|line| line.strip_prefix(key));
    Ok(Some((number(line("voluntary_ctxt_switches:"))?, number(line("nonvoluntary_ctxt_switches:"))?)))
}

fn number(text: Option<&str>) -> io::Result<u64> {
    text.and_then(|text| text.trim().parse().ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a number in /proc is missing"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::{Respawn, is_victim, say, wait_to_be_killed};
    use crate::test_name;
    use crate::watchdog::{PATIENCE, eventually};
    use std::hint::black_box;
    use std::path::PathBuf;
    use std::thread;

    const SLEEPS: u64 = 20;

    #[test]
    fn working_costs_processor_time() {
        let us = std::process::id();
        let before = Usage::of(us).unwrap();
        eventually("50 ms of processor time", PATIENCE, || {
            (0..1_000_000_u64).for_each(|n| _ = black_box(n));
            Usage::of(us).unwrap().since(before).cpu >= Duration::from_millis(50)
        })
        .unwrap();
    }

    #[test]
    #[ignore = "runs as a victim"]
    fn victim_whose_second_thread_waits() {
        if !is_victim() {
            return;
        }
        thread::spawn(|| {
            (0..SLEEPS).for_each(|_| thread::sleep(Duration::from_millis(1)));
            say("RESTED");
            wait_to_be_killed();
        });
        wait_to_be_killed();
    }

    #[test]
    fn the_switches_of_every_thread_are_counted() {
        let mut victim = Respawn::test(test_name!(victim_whose_second_thread_waits)).spawn();
        victim.wait_line("RESTED");
        victim.stop();
        let (of_first_thread, _) = switches(&PathBuf::from(format!("/proc/{}", victim.pid()))).unwrap().unwrap();
        let usage = Usage::of(victim.pid()).unwrap();
        assert!(usage.voluntary_switches >= of_first_thread + SLEEPS, "{usage:?}, first thread {of_first_thread}");
    }

    #[test]
    fn nobody_has_no_usage() {
        // Larger than any pid that Linux gives out.
        assert!(Usage::of(4_194_305).is_err());
    }
}
