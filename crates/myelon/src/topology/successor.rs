//! Waiting for the process that takes a worker's entry.

use super::answer::{Change, say_death, say_failure};
use super::gather::left_until;
use super::peer::Peer;
use super::refusal::JoinRefusal;
use super::report::WorkerReport;
use super::scheduler::{LOOK_INTERVAL, SchedulerEnd};
use crate::transport::Format;
use disruptor_mp::Patience;
use disruptor_mp::liveness::Ending;
use std::fmt;
use std::process::ExitStatus;
use std::time::Duration;

/// The pause between two looks at a worker that has joined and is still making its ring.
const JOINING_INTERVAL: Duration = Duration::from_millis(1);

/// The result of waiting for a worker to be there.
#[derive(Debug)]
#[non_exhaustive]
pub enum Arrival {
    /// A worker is there and its messages can be received: the worker itself, or its successor.
    Joined {
        /// The pid of its process, in that process's own pid namespace.
        pid: u32,
    },
    /// The process that was to take the entry ended before it had joined, or could not join.
    JoinFailed {
        /// The pid of that process.
        pid: u32,
        /// How it ended; `None` if it has not, or if that cannot be known.
        status: Option<ExitStatus>,
        /// Why it could not join, if it has said so.
        refusal: Option<JoinRefusal>,
    },
    /// The worker has given its entry up, and no process is on its way to take it.
    Left,
    /// The worker's process has ended and its entry is kept, but this scheduler starts the workers and has not started
    /// another process. Call [`restart`](SchedulerEnd::restart) first.
    Died {
        /// The pid of its process, in that process's own pid namespace.
        pid: u32,
        /// How the process ended, if the kernel has said so.
        status: Option<ExitStatus>,
        /// What happened to its end in the broadcast ring.
        how: Ending,
    },
    /// The patience is over.
    TimedOut {
        /// What is known of the worker.
        report: Box<WorkerReport>,
    },
}

/// The rest of a sentence about the worker, or its report.
impl fmt::Display for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Joined { pid } => write!(f, "is there: process {pid}"),
            Self::JoinFailed { pid, status, refusal } => say_failure(f, *pid, status.as_ref(), refusal.as_ref()),
            Self::Left => f.write_str("has left in good order"),
            Self::Died { pid, status, how } => {
                say_death(f, *pid, status.as_ref(), *how)?;
                f.write_str("; no process is on its way to it: restart it first")
            }
            Self::TimedOut { report } => write!(f, "is not there in time: {report}"),
        }
    }
}

impl<F: Format> SchedulerEnd<F> {
    /// Waits as long as `patience` says for worker `rank` to be there: for the successor of a worker that has died,
    /// after [`restart`](Self::restart) or started by another program. It sleeps between looks, some fifty a second.
    ///
    /// [`Endless`](Patience::Endless) waits until a process has joined as this worker, has failed to, or can come no
    /// more: the entry was given up, or the worker has died and this scheduler, which starts the workers, has started
    /// no other. `Managed` is the same, for a call that publishes nothing. If another program starts the workers, it
    /// waits for the successor of a dead worker. A failure to join ends one wait: the next call waits for the process
    /// that comes next.
    ///
    /// Changes of the worker until then count as reported: [`gather`](Self::gather) and
    /// [`check_workers`](Self::check_workers) do not report them again, except after `TimedOut`. Messages of the old
    /// process that were not taken are still handed out, before those of the new one.
    ///
    /// ```
    /// use myelon::topology::{Arrival, Outcome, SchedulerEnd, Whom};
    /// use std::time::Duration;
    ///
    /// fn answer_of(scheduler: &mut SchedulerEnd, step: i64) -> Result<(), Box<dyn std::error::Error>> {
    ///     const LONG: Duration = Duration::from_secs(30);
    ///     let mut answer = scheduler.gather_for(step, Whom::Rank(1), LONG).remove(0);
    ///     if let Outcome::Died { .. } = answer.outcome {
    ///         scheduler.restart(1)?;
    ///         if let Arrival::Joined { .. } = scheduler.wait_for(1, LONG) {
    ///             // Its successor gets the step again if the old process had not acknowledged it.
    ///             answer = scheduler.gather_for(step, Whom::Rank(1), LONG).remove(0);
    ///         }
    ///     }
    ///     println!("{:?}", answer.outcome);
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Panics
    /// If there is no worker of that rank.
    /// Source: RFC 0016, "Waiting for a successor".
    #[track_caller]
    pub fn wait_for(&mut self, rank: usize, patience: impl Into<Patience>) -> Arrival {
        self.check_rank(rank);
        let deadline = patience.into().deadline();
        loop {
            if let Some(arrival) = self.arrival(rank) {
                return arrival;
            }
            let left = left_until(deadline);
            if left.is_zero() {
                return Arrival::TimedOut { report: Box::new(self.report(rank)) };
            }
            std::thread::sleep(self.arrival_pause(rank).min(left));
        }
    }

    /// One look: the result for worker `rank`, if there is one.
    #[track_caller]
    pub(crate) fn arrival(&mut self, rank: usize) -> Option<Arrival> {
        let peer = &mut self.peers[rank];
        peer.set_aside();
        self.look();
        // Its process has ended, and only this thread, which is waiting, could start another one.
        let is_last = self.spawn.is_some() && self.has_worker_ended(rank);
        let peer = &mut self.peers[rank];
        if let Some(pid) = peer.heard_pid() {
            peer.forget_news();
            return Some(Arrival::Joined { pid });
        }
        if peer.is_present() || peer.may_come() {
            return None;
        }
        match peer.word()? {
            // It was reported before, and the program that starts the workers may start another process.
            Change::JoinFailed { .. } if peer.started.is_none() && !peer.has_news() => return None,
            Change::JoinFailed { .. } | Change::Left => {}
            Change::Died { .. } if is_last => {}
            _ => return None,
        }
        match peer.tell_all()? {
            Change::JoinFailed { pid, status, refusal } => Some(Arrival::JoinFailed { pid, status, refusal }),
            Change::Left => Some(Arrival::Left),
            Change::Died { pid, status, how } => Some(Arrival::Died { pid, status, how }),
            Change::Rejoined { .. } => None,
        }
    }

    /// How long to wait until the next look.
    pub(crate) fn arrival_pause(&self, rank: usize) -> Duration {
        match self.peers.get(rank).is_some_and(Peer::is_present) {
            true => JOINING_INTERVAL,
            false => LOOK_INTERVAL,
        }
    }
}
