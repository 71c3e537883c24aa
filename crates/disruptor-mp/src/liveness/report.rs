//! The stall report: who waits, for whom, since when, what that process is doing, and what happens next.
//!
//! **Lives here:** [`StallReport`] and its one readable line. **Builds on:** `process`. **May touch it:** whoever waits builds one.

use super::process::{ProcessFacts, ProcessIdentity, ProcessState};
use std::fmt;
use std::time::Duration;

/// What the waiting side waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitingFor {
    /// The producer waits for a consumer to release a slot.
    Space,
    /// A consumer waits for the producer to publish.
    Data,
    /// The producer waits for consumers that have not joined yet.
    Consumers,
}

/// What the waiting side will do if nothing changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NextStep {
    /// It goes on waiting.
    KeepWaiting,
    /// It shuts the producer after this long.
    ShutDownIn(Duration),
    /// It has given up: the call returns an error.
    GiveUp,
    /// It takes the dead consumer out of the table and goes on.
    Evict,
}

/// Who is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Culprit {
    /// Consumer id, or `producer`.
    pub id: String,
    /// The application's rank of that consumer, if it gave one.
    pub rank: Option<u32>,
    /// Who it is; the pid is that of its own pid namespace.
    pub process: ProcessIdentity,
    /// Whether the kernel has dropped its lock: it is dead, whatever `/proc` says.
    pub is_dead: bool,
    /// What the operating system says it is doing.
    pub facts: ProcessFacts,
    /// The sequence that it has to deal with next.
    pub sequence: i64,
    /// Published events that it has not released.
    pub lag_events: u64,
    /// Whether its application has been handed the event and has not come back: the time is spent there, not in waiting for us.
    pub is_inside_handler: bool,
    /// How long its position has been seen to stand still; `None` if nobody has watched it.
    pub no_progress_for: Option<Duration>,
}

/// One wait that takes long, explained. `Display` gives it in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StallReport {
    /// The ring.
    pub ring: String,
    /// What is waited for.
    pub waiting_for: WaitingFor,
    /// Since when.
    pub waited: Duration,
    /// For whom; `None` if nobody is there to wait for.
    pub culprit: Option<Culprit>,
    /// What happens next.
    pub next: NextStep,
}

impl StallReport {
    pub(crate) fn new(
        ring: String,
        waiting_for: WaitingFor,
        waited: Duration,
        culprit: Option<Culprit>,
        next: NextStep,
    ) -> Self {
        Self { ring, waiting_for, waited, culprit, next }
    }
}

impl fmt::Display for StallReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = match self.waiting_for {
            WaitingFor::Space => "producer waits for space",
            WaitingFor::Data => "consumer waits for data",
            WaitingFor::Consumers => "producer waits for consumers",
        };
        write!(f, "ring {}: {who} since {:.1?}", self.ring, self.waited)?;
        match &self.culprit {
            Some(culprit) => write!(f, "; {culprit}")?,
            None => write!(f, "; nobody has joined")?,
        }
        match self.next {
            NextStep::KeepWaiting => write!(f, "; keeps waiting"),
            NextStep::ShutDownIn(left) => write!(f, "; the producer shuts down in {left:.1?}"),
            NextStep::GiveUp => write!(f, "; gives up"),
            NextStep::Evict => write!(f, "; takes it out of the table and goes on"),
        }
    }
}

impl fmt::Display for Culprit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)?;
        if let Some(rank) = self.rank {
            write!(f, " (rank {rank})")?;
        }
        let state = match self.is_dead {
            // The kernel has dropped its lock; a zombie still has a line in /proc, and a recycled pid is somebody else.
            true => ProcessState::Gone,
            false => self.facts.state,
        };
        write!(f, " pid {} is {}", self.process.pid, if self.is_dead { "dead".to_owned() } else { state.to_string() })?;
        if let Some(wchan) = self.facts.wchan.as_ref().filter(|_| !self.is_dead) {
            write!(f, " in {wchan}")?;
        }
        if let Some(throttled) = self.facts.throttled.as_ref().filter(|throttled| throttled.periods > 0) {
            write!(f, ", its cgroup was throttled {} times for {:.1?}", throttled.periods, throttled.time)?;
        }
        write!(f, ", at sequence {}, {} events behind", self.sequence, self.lag_events)?;
        if self.is_inside_handler {
            write!(f, ", inside its handler")?;
        }
        if let Some(age) = self.no_progress_for {
            write!(f, ", no progress for {age:.1?}")?;
        }
        Ok(())
    }
}
