//! Agents as a program uses them: their life, restarts, sleeps, the four places where they run, safe points, ends.
#![cfg(target_os = "linux")]

mod away;
mod idle;
mod in_loop;
mod life;
mod restarts;
mod runners;
mod safe_points;

use myelon_runtime::agents::{Agent, AgentError, Doorbells, Work};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
pub(crate) use testkit::watchdog::{PATIENCE, Watchdog, eventually};

/// Longer than a thread needs to come to a sleep, if the machine is not overloaded. Tests that use it stay right if it
/// is too short; they only see less.
pub(crate) const A_MOMENT: Duration = Duration::from_millis(20);

/// What agents have done, in order.
pub(crate) type Log<T> = Arc<Mutex<Vec<T>>>;

pub(crate) fn log<T>() -> Log<T> {
    Arc::default()
}

/// An agent that writes down its start and its close, and does what a closure says.
pub(crate) struct Noted<F> {
    pub(crate) name: &'static str,
    pub(crate) log: Log<String>,
    pub(crate) work: F,
}

impl<F> Noted<F> {
    fn note(&self, what: &str) {
        self.log.lock().unwrap().push(format!("{} {what}", self.name));
    }
}

impl<F: FnMut(Instant) -> Result<Work, AgentError>> Agent for Noted<F> {
    fn name(&self) -> &str {
        self.name
    }

    fn on_start(&mut self) -> Result<(), AgentError> {
        self.note("starts");
        Ok(())
    }

    fn do_work(&mut self, now: Instant) -> Result<Work, AgentError> {
        (self.work)(now)
    }

    fn on_close(&mut self) {
        self.note("closes");
    }
}

/// An agent that has something to do whenever a byte is in a pipe; each byte is one piece of work.
pub(crate) struct AtPipe {
    pub(crate) pipe: std::os::unix::net::UnixStream,
    pub(crate) read: Arc<std::sync::atomic::AtomicU64>,
}

impl Agent for AtPipe {
    fn name(&self) -> &str {
        "at a pipe"
    }

    fn on_start(&mut self) -> Result<(), AgentError> {
        Ok(self.pipe.set_nonblocking(true)?)
    }

    fn do_work(&mut self, _: Instant) -> Result<Work, AgentError> {
        match std::io::Read::read(&mut self.pipe, &mut [0]) {
            Ok(0) => Ok(Work::Finished),
            Ok(read) => {
                self.read.fetch_add(read as u64, std::sync::atomic::Ordering::Relaxed);
                Ok(Work::Count(read))
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(Work::NONE),
            Err(error) => Err(error.into()),
        }
    }

    fn doorbells<'a>(&'a self, doorbells: &mut Doorbells<'a>) {
        doorbells.add(&self.pipe);
    }
}
