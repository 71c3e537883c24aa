//! What a group shares with other threads: its records, its waker, the request to close, and its end.

use super::record::Record;
use super::waker::Waker;
use super::{Activity, AgentReport, CloseError, GroupEnd};
use crate::clock::Clock;
use std::borrow::Cow;
use std::cell::Cell;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

thread_local! {
    /// The group, by its address, whose agents this thread calls now; 0: none.
    static CURRENT: Cell<usize> = const { Cell::new(0) };
}

pub(super) struct Shared {
    pub(super) name: String,
    /// One for each agent, in order.
    pub(super) records: Box<[Record]>,
    pub(super) waker: Waker,
    end: Mutex<Option<GroupEnd>>,
    ended: Condvar,
    pub(super) clock: Arc<dyn Clock>,
    start: Instant,
    process: u32,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("name", &self.name).field("waker", &self.waker).finish_non_exhaustive()
    }
}

/// The time in which a thread calls the agents of a group.
pub(super) struct Calling(usize);

impl Drop for Calling {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

impl Shared {
    pub(super) fn new(name: String, agents: Vec<String>, clock: Arc<dyn Clock>) -> Self {
        Self {
            name,
            records: agents.into_iter().map(Record::new).collect(),
            waker: Waker::default(),
            end: Mutex::new(None),
            ended: Condvar::new(),
            start: clock.now(),
            clock,
            process: std::process::id(),
        }
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Notes that this thread calls the group's agents, until the answer is dropped.
    pub(super) fn calling(&self) -> Calling {
        Calling(CURRENT.replace(self.address()))
    }

    /// A moment, as a time after the group was made.
    pub(super) fn since_start(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.start)
    }

    pub(super) fn request_close(&self) {
        self.waker.close();
    }

    pub(super) fn is_closing(&self) -> bool {
        self.waker.is_closing()
    }

    pub(super) fn is_forked(&self) -> bool {
        self.process != std::process::id()
    }

    /// The group has ended: its agents are closed and dropped.
    pub(super) fn set_end(&self, end: GroupEnd) {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
        self.ended.notify_all();
    }

    pub(super) fn end(&self) -> Option<GroupEnd> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn is_current(&self) -> bool {
        CURRENT.get() == self.address()
    }

    /// Waits for the end.
    pub(super) fn wait(&self, patience: Duration) -> Result<GroupEnd, CloseError> {
        let group = || self.name.clone();
        if self.is_forked() {
            return Err(CloseError::Forked { group: group() });
        }
        let began = Instant::now();
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(end) = &*end {
                return Ok(end.clone());
            }
            if self.is_current() {
                return Err(CloseError::OnItself { group: group() });
            }
            let waited = began.elapsed();
            let Some(left) = patience.checked_sub(waited).filter(|left| !left.is_zero()) else {
                drop(end);
                return Err(CloseError::TimedOut { group: group(), waited, by: self.doing() });
            };
            end = self.ended.wait_timeout(end, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The agent that is in a call now.
    pub(super) fn doing(&self) -> Option<(String, Activity, Duration)> {
        let now = self.since_start(self.clock.now());
        self.records
            .iter()
            .find_map(|record| record.doing(now).map(|(activity, since)| (record.name.clone(), activity, since)))
    }

    /// The same for reports of what runs too long.
    pub(super) fn runs(&self) -> Option<(Cow<'static, str>, Duration)> {
        let (agent, activity, since) = self.doing()?;
        Some((format!("{activity} of agent {agent}").into(), since))
    }
}

/// Reaches a group from any thread: wakes it, asks it to end, and shows what it does.
///
/// ```
/// use myelon_runtime::agents::{Group, GroupEnd, ParkAtDoorbells, Work, from_fn};
/// use std::sync::mpsc::{TryRecvError, channel};
/// use std::time::Duration;
///
/// let (send, receive) = channel();
/// let printer = from_fn("printer", move |_| match receive.try_recv() {
///     Ok(line) => {
///         println!("{line}");
///         Ok(Work::Count(1))
///     }
///     Err(TryRecvError::Empty) => Ok(Work::NONE),
///     Err(TryRecvError::Disconnected) => Ok(Work::Finished),
/// });
/// let mut runner = Group::new("printing").agent(printer).spawn(ParkAtDoorbells)?;
/// let handle = runner.handle();
/// send.send("a line")?;
/// handle.wake(); // after the send
/// drop(send);
/// handle.wake();
/// assert_eq!(runner.wait(Duration::from_secs(30))?, GroupEnd::Finished);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct GroupHandle {
    pub(super) shared: Arc<Shared>,
}

impl GroupHandle {
    /// Ends the present sleep of the group, or the next one if it does not sleep now: a cycle follows that begins after
    /// this call. If the group has ended, nothing happens.
    pub fn wake(&self) {
        self.shared.waker.wake();
    }

    /// Asks the group to end: after the present call of an agent all of them are closed. Does not wait.
    pub fn request_close(&self) {
        self.shared.request_close();
    }

    /// How the group has ended. Once it is an end, it stays that; the agents are closed and dropped then.
    pub fn ended(&self) -> Option<GroupEnd> {
        self.shared.end()
    }

    /// The name of the group.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// What each agent is and has done, in the order in which they were added. It asks nothing of the group, so it
    /// works while an agent hangs, and says which one.
    pub fn agents(&self) -> Vec<AgentReport> {
        let now = self.shared.since_start(self.shared.clock.now());
        self.shared.records.iter().map(|record| record.report(now)).collect()
    }

    /// What runs now, as reports call it, and for how long.
    pub(crate) fn runs(&self) -> Option<(Cow<'static, str>, Duration)> {
        self.shared.runs()
    }

    /// All of that as text, one agent a line. The last line ends with a line feed too.
    pub fn dump(&self) -> String {
        let agents = self.agents();
        let mut text = format!("group `{}`: {} agents", self.name(), agents.len());
        if let Some(end) = self.ended() {
            write!(text, ", has ended: {end}").expect("a string takes everything");
        }
        text.push('\n');
        for agent in agents {
            writeln!(text, "{agent}").expect("a string takes everything");
        }
        text
    }
}
