//! The worker processes, as their parent sees them: started, killed, restarted, waited for.

use super::Failure;
use super::options::Options;
use super::worker::worker_id;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How often one worker is restarted before the run ends with an error: a chunk that kills its worker would kill every
/// successor.
const RESTARTS_MAX: u32 = 3;

/// How long workers may take to leave once the ring is closed. They have at most one ring of chunks to finish.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// How often a process is asked whether it has ended; the operating system does not wake a parent with a deadline.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// All workers of a run. Dropping it waits until they have ended, and kills those that do not end. So no process is
/// left, however the scheduler ends.
#[derive(Default)]
pub(crate) struct Fleet {
    workers: Vec<Worker>,
}

struct Worker {
    child: Child,
    restarts: u32,
}

impl Fleet {
    /// Starts one process per rank.
    ///
    /// # Errors
    /// A process could not be started; the others live until this is dropped.
    pub(crate) fn start(&mut self, options: &Options) -> Result<(), Failure> {
        for rank in 0..options.workers {
            self.workers.push(Worker { child: spawn(rank, options)?, restarts: 0 });
        }
        Ok(())
    }

    /// Sends SIGKILL, and returns at once.
    ///
    /// # Errors
    /// The operating system refused.
    pub(crate) fn kill(&mut self, rank: u32) -> Result<(), Failure> {
        Ok(self.worker(rank).child.kill()?)
    }

    /// Ends what is left of the worker, and starts another in its place.
    ///
    /// # Errors
    /// It has been restarted too often, or cannot be started.
    pub(crate) fn restart(&mut self, rank: u32, options: &Options) -> Result<(), Failure> {
        let worker = self.worker(rank);
        if worker.restarts == RESTARTS_MAX {
            return Err(format!("{} died {} times: giving up", worker_id(rank), RESTARTS_MAX + 1).into());
        }
        // Reaped before its successor starts: then the kernel has dropped the locks that told the rings that it lived.
        worker.child.kill()?;
        worker.child.wait()?;
        worker.child = spawn(rank, options)?;
        worker.restarts += 1;
        Ok(())
    }

    /// The process id of the worker.
    pub(crate) fn pid(&mut self, rank: u32) -> u32 {
        self.worker(rank).child.id()
    }

    /// How often workers have been restarted, all together.
    pub(crate) fn restarts(&self) -> u32 {
        self.workers.iter().map(|worker| worker.restarts).sum()
    }

    /// Whether a worker that has not joined yet still may.
    ///
    /// # Errors
    /// It has ended; the error says how.
    pub(crate) fn check(&mut self, rank: u32) -> Result<(), Failure> {
        match self.worker(rank).child.try_wait()? {
            Some(status) => Err(format!("{} ended ({status}) before it had joined", worker_id(rank)).into()),
            None => Ok(()),
        }
    }

    fn worker(&mut self, rank: u32) -> &mut Worker {
        &mut self.workers[rank as usize]
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let deadline = Instant::now() + LEAVE_TIMEOUT;
        for (rank, worker) in (0..).zip(&mut self.workers) {
            while matches!(worker.child.try_wait(), Ok(None)) {
                if Instant::now() >= deadline {
                    eprintln!("{} does not leave: killing process {}", worker_id(rank), worker.child.id());
                    // Neither can fail for a child that has not been waited for.
                    let _ = worker.child.kill();
                    let _ = worker.child.wait();
                }
                thread::sleep(POLL_INTERVAL);
            }
        }
    }
}

/// Starts this very program as a worker.
fn spawn(rank: u32, options: &Options) -> Result<Child, Failure> {
    Command::new(std::env::current_exe()?)
        .args(options.worker_arguments(rank))
        // Ctrl-C goes to the terminal's whole process group. In their own group the workers finish what they have
        // begun, and end when the scheduler closes the ring, or when the kernel says that it is dead.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot start {}: {error}", worker_id(rank)).into())
}
