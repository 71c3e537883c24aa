//! The operator's side of the processes: starts them, stops them with a signal, and counts what they used.

use super::Failure;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::ops::Range;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Nothing here takes longer, unless a message is missing.
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts this program in another role, and waits until it is ready.
fn start(arguments: &[&str]) -> Result<(Child, BufReader<ChildStdout>), Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut said = BufReader::new(child.stdout.take().ok_or("it has an output")?);
    expect(&mut said, "ready")?;
    Ok((child, said))
}

fn expect(said: &mut impl BufRead, wanted: &str) -> Result<(), Failure> {
    let mut line = String::new();
    said.read_line(&mut line)?;
    if line.trim_end() == wanted { Ok(()) } else { Err(format!("{line:?} instead of {wanted:?}").into()) }
}

/// Sends the signal, and waits for the end.
fn stop(child: &mut Child, signal: Signal) -> Result<(), Failure> {
    kill_process(Pid::from_child(child), signal)?;
    let status = child.wait()?;
    // A process that is asked to stop ends in good order.
    if signal == Signal::TERM && !status.success() { Err(format!("it ended with {status}").into()) } else { Ok(()) }
}

pub(crate) struct Writer {
    child: Child,
    orders: ChildStdin,
    said: BufReader<ChildStdout>,
}

impl Writer {
    pub(crate) fn start(name: &str, version: u32) -> Result<Self, Failure> {
        let (mut child, said) = start(&["writer", name, &version.to_string()])?;
        let orders = child.stdin.take().ok_or("it has an input")?;
        Ok(Self { child, orders, said })
    }

    /// Sends the messages of these numbers.
    pub(crate) fn send(&mut self, numbers: Range<u64>) -> Result<(), Failure> {
        writeln!(self.orders, "send {} {}", numbers.start, numbers.end)?;
        expect(&mut self.said, "sent")
    }

    pub(crate) fn stop(mut self, signal: Signal) -> Result<(), Failure> {
        stop(&mut self.child, signal)
    }

    pub(crate) fn close(mut self) -> Result<(), Failure> {
        writeln!(self.orders, "close")?;
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(format!("the writer ended with {status}").into()) }
    }
}

/// How often a message was used for the first time, and how often again.
type Uses = BTreeMap<u64, (u32, u32)>;

pub(crate) struct Reader {
    name: String,
    id: &'static str,
    child: Child,
    listener: Option<JoinHandle<()>>,
    uses: Arc<Mutex<Uses>>,
}

impl Reader {
    pub(crate) fn start(name: &str, id: &'static str, version: u32) -> Result<Self, Failure> {
        let uses = Arc::default();
        let (child, listener) = Self::spawn(name, id, version, &uses)?;
        Ok(Self { name: name.to_owned(), id, child, listener: Some(listener), uses })
    }

    fn spawn(name: &str, id: &str, version: u32, uses: &Arc<Mutex<Uses>>) -> Result<(Child, JoinHandle<()>), Failure> {
        let (child, said) = start(&["reader", name, id, &version.to_string()])?;
        let uses = Arc::clone(uses);
        let listener = std::thread::spawn(move || {
            for line in said.lines().map_while(Result::ok) {
                let mut words = line.split_whitespace();
                let Some(number) = words.next().and_then(|number| number.parse().ok()) else { continue };
                let mut uses = uses.lock().unwrap_or_else(PoisonError::into_inner);
                let (first, again) = uses.entry(number).or_default();
                *if words.next() == Some("again") { again } else { first } += 1;
            }
        });
        Ok((child, listener))
    }

    pub(crate) fn stop(&mut self, signal: Signal) -> Result<(), Failure> {
        stop(&mut self.child, signal)?;
        self.listen_to_the_end()
    }

    pub(crate) fn restart(&mut self, version: u32) -> Result<(), Failure> {
        let (child, listener) = Self::spawn(&self.name, self.id, version, &self.uses)?;
        (self.child, self.listener) = (child, Some(listener));
        Ok(())
    }

    /// Waits until that number of messages was used.
    pub(crate) fn wait_for(&self, count: usize) -> Result<(), Failure> {
        let begin = Instant::now();
        loop {
            let used = self.uses.lock().unwrap_or_else(PoisonError::into_inner).len();
            if used >= count {
                return Ok(());
            }
            if begin.elapsed() > PATIENCE {
                return Err(format!("reader {} has used {used} messages of {count}", self.id).into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until it has ended, and says what it did with `sent` messages.
    pub(crate) fn account(mut self, sent: u64) -> Result<String, Failure> {
        let status = self.child.wait()?;
        if !status.success() {
            return Err(format!("reader {} ended with {status}", self.id).into());
        }
        self.listen_to_the_end()?;
        let uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        let used = (0..sent).filter(|number| uses.contains_key(number)).count();
        // A message that was used and not acknowledged comes again, and is marked. Its first use may be missing here:
        // the
        // killed process may have lost its output.
        let is_each_once = uses.values().all(|(first, _)| *first <= 1);
        Ok(format!("{used} messages of {sent}{}", if is_each_once { ", each once" } else { ", some twice" }))
    }

    fn listen_to_the_end(&mut self) -> Result<(), Failure> {
        match self.listener.take().map(JoinHandle::join) {
            Some(Err(_)) => Err("the listener has panicked".into()),
            _ => Ok(()),
        }
    }
}
