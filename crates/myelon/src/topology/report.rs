//! What the scheduler can say about one worker: whether it has the last broadcast and has answered it, or why not.

use super::answer::Change;
use super::error::went;
use super::peer::{Peer, Standing};
use super::refusal::JoinRefusal;
use super::steps::Unwanted;
use crate::transport::Format;
use disruptor_mp::liveness::{Ending, ProcessFacts, ProcessIdentity, ProcessState};
use disruptor_mp::{ConsumerInfo, Sequence};
use std::fmt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

/// The state of a worker with respect to the last broadcast.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Situation {
    /// Nothing was broadcast since it joined, so nothing waits for it.
    NothingSent,
    /// It has not received the last broadcast.
    NotReceived {
        /// Broadcasts that it has not received.
        lag: u64,
        /// How long it has made no progress, as far as this scheduler has looked.
        since: Duration,
        /// The earlier broadcast that its program has received and not acknowledged: it spends its time on that.
        working_on: Option<Sequence>,
    },
    /// It has received the last broadcast and has not answered it.
    NotAnswered {
        /// How long ago the broadcast was sent.
        since: Duration,
        /// Whether it has acknowledged the broadcast. Then its handler has returned, and no answer will come.
        is_acknowledged: bool,
    },
    /// It has answered after the last broadcast, so nothing waits for it.
    Answered,
    /// It is gone, and its entry is kept for its successor.
    Dead {
        /// How its process ended, if it was started by this scheduler and the kernel has said so.
        status: Option<ExitStatus>,
        /// What happened to its end. Except for [`Killed`](Ending::Killed), the process may live.
        how: Ending,
    },
    /// The process that was to take its entry has ended before it had joined, or could not join.
    JoinFailed {
        /// How it ended; `None` if it has not, or if that cannot be known.
        status: Option<ExitStatus>,
        /// Why it could not join, if it has said so.
        refusal: Option<JoinRefusal>,
    },
    /// It has left in good order.
    Left,
    /// It has never joined.
    NeverSeen,
}

/// What the scheduler can say about one worker. `Display` writes one line. Everything in it can be outdated at once.
///
/// ```
/// use myelon::topology::{SchedulerEnd, Situation};
///
/// fn why_late(scheduler: &mut SchedulerEnd, rank: usize) {
///     let report = scheduler.report(rank);
///     if let Situation::NotReceived { lag, .. } = report.situation {
///         println!("it lags by {lag}");
///     }
///     // tp-engine, rank 1 (pid 4711 stopped, waits in do_signal_stop) has not received broadcast 20: ...
///     println!("{report}");
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerReport {
    /// The user's name for the worker: `tp-engine, rank 1`.
    pub worker: String,
    /// Its rank, from 0.
    pub rank: usize,
    /// The last broadcast, to which the situation refers; -1 if there was none.
    pub broadcast: Sequence,
    /// The worker's state with respect to it.
    pub situation: Situation,
    /// What the system says about the process that is this worker, or was it last.
    pub process: Option<ProcessFacts>,
    /// The number of its messages that this scheduler has not handed out.
    pub answers_waiting: u64,
    /// The number of its messages that [`gather_for`](super::SchedulerEnd::gather_for) has dropped.
    pub unwanted: Unwanted,
    /// The process that was started to take its entry, runs, and has not joined.
    pub successor: Option<u32>,
    /// Whether it sleeps until this scheduler takes messages: its response ring has no room for the next one.
    pub waits_for_room: bool,
}

impl WorkerReport {
    /// Whether something waits for this worker: a broadcast that it has not received or answered, or its entry for a
    /// successor.
    pub fn is_waited_for(&self) -> bool {
        !matches!(self.situation, Situation::NothingSent | Situation::Answered | Situation::Left)
    }
}

impl fmt::Display for WorkerReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            worker, broadcast, situation, process, answers_waiting, unwanted, successor, waits_for_room, ..
        } = self;
        write!(f, "{worker}")?;
        match (process, situation) {
            // For a process that is gone only the pid is still true, and even that may belong to another process.
            (Some(facts), Situation::Dead { .. } | Situation::JoinFailed { .. } | Situation::Left) => {
                write!(f, " (pid {})", facts.pid)?;
            }
            (Some(facts), _) => write!(f, " ({facts})")?,
            (None, _) => {}
        }
        match situation {
            Situation::NothingSent => {
                write!(f, ": nothing was broadcast since it has joined; nothing is waiting for it")?
            }
            Situation::NotReceived { lag, since, working_on } => {
                write!(
                    f,
                    " has not received broadcast {broadcast}: it lags by {lag}, and has not got on for {since:.1?}"
                )?;
                if let Some(sequence) = working_on {
                    write!(f, "; its handler has broadcast {sequence}")?;
                }
            }
            Situation::NotAnswered { since, is_acknowledged } => {
                write!(
                    f,
                    " has received broadcast {broadcast} and has not answered it {since:.1?} after it was sent; "
                )?;
                f.write_str(match is_acknowledged {
                    true => "it has acknowledged it, as a worker does after its answer",
                    false => "its handler has it",
                })?;
            }
            Situation::Answered => write!(f, " has answered since broadcast {broadcast}; nothing is waiting for it")?,
            Situation::Dead { status, how } => {
                write!(f, " {}", went(*how))?;
                match (status, process) {
                    (Some(status), _) => write!(f, ": {status}")?,
                    (None, Some(facts)) if !is_over(facts.state) => write!(f, "; its process is {}", facts.state)?,
                    _ => {}
                }
                write!(f, "; its entry is kept")?;
            }
            Situation::JoinFailed { refusal: Some(refusal), .. } => write!(f, " is not there: {}", refusal.told())?,
            Situation::JoinFailed { status: Some(status), refusal: None } => {
                write!(f, " is not there: the process that was started ended before it had joined: {status}")?;
            }
            Situation::JoinFailed { status: None, refusal: None } => {
                write!(
                    f,
                    " is not there: the process that was started ended before it had joined, and how cannot be known"
                )?;
            }
            Situation::Left => write!(f, " has left in good order")?,
            Situation::NeverSeen => write!(f, " has never joined")?,
        }
        if let Some(pid) = successor {
            write!(f, "; process {pid} was started in its place and has not joined")?;
        }
        match (waits_for_room, answers_waiting) {
            (true, _) => write!(
                f,
                "; it waits for room in its response ring, where {answers_waiting} answers wait for this scheduler"
            )?,
            (false, 0) => {}
            (false, _) => write!(f, "; {answers_waiting} of its answers wait for this scheduler")?,
        }
        let Unwanted { late, repeated, without_step } = *unwanted;
        if late + repeated > 0 {
            write!(f, "; {late} late and {repeated} repeated answers were dropped")?;
        }
        match without_step {
            0 => Ok(()),
            _ => write!(
                f,
                "; {without_step} messages that answer no broadcast were dropped: send them by `answer` or `respond`"
            ),
        }
    }
}

/// Whether a process in that state runs no more, or its state is not known.
fn is_over(state: ProcessState) -> bool {
    matches!(state, ProcessState::Zombie | ProcessState::Gone | ProcessState::Unknown | ProcessState::OtherNamespace)
}

/// What was seen of a worker's progress through the broadcasts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    /// The first broadcast that concerns it.
    first: Sequence,
    /// Its position at the last look.
    position: Sequence,
    /// Since when it has had something to do and has made no progress.
    owing_since: Option<Instant>,
    /// How many messages were taken from it, and which broadcast the last of them answers: the one that it names, or
    /// else the last one before it.
    taken: u64,
    answered: Option<Sequence>,
}

impl Progress {
    /// A process has come that does not continue for another one.
    pub(super) fn begin(&mut self, position: Sequence) {
        *self = Self { first: position, position, ..Self::default() };
    }

    /// A broadcast was sent at `moment`.
    pub(super) fn sent(&mut self, moment: Instant) {
        self.owing_since.get_or_insert(moment);
    }

    /// A message of it that answers `step` was taken while `last` was the last broadcast.
    pub(super) fn heard(&mut self, step: Option<Sequence>, last: Sequence) {
        self.taken += 1;
        self.answered = self.answered.max(Some(step.unwrap_or(last)));
    }

    /// The table says that it is at `position`; `last` was broadcast at `sent`.
    pub(super) fn look(&mut self, position: Sequence, last: Sequence, sent: Instant) {
        if position > last {
            self.owing_since = None;
        } else if position != self.position || self.owing_since.is_none() {
            // It has made progress since the last look, at a time that is not known. But it has lacked the last
            // broadcast since that was sent.
            self.owing_since = Some(sent);
        }
        self.position = position;
    }

    fn situation(&self, info: &ConsumerInfo, last: Sequence, sent: Instant, in_ring: u64) -> Situation {
        let (position, received) = (info.position, info.position.max(info.delivered));
        let is_inside = info.delivered > info.position;
        if last < self.first {
            return Situation::NothingSent;
        }
        if received <= last {
            return Situation::NotReceived {
                lag: (last + 1 - received).cast_unsigned(),
                since: self.owing_since.unwrap_or(sent).elapsed(),
                working_on: is_inside.then_some(position),
            };
        }
        let has_answered = match is_inside {
            _ if self.answered == Some(last) => true,
            // The messages in the ring have not been looked at. A worker answers before it acknowledges. If there are
            // fewer messages than acknowledged broadcasts, the last message may answer an earlier broadcast.
            true => in_ring > 0 && self.taken + in_ring > (position - self.first).max(0).cast_unsigned(),
            false => in_ring > 0,
        };
        match has_answered {
            true => Situation::Answered,
            false => Situation::NotAnswered { since: sent.elapsed(), is_acknowledged: !is_inside },
        }
    }
}

/// The report on `peer`; `info` is its entry in the table, and `last` was broadcast at `sent`.
pub(super) fn report<F: Format>(
    peer: &mut Peer<F>,
    info: Option<&ConsumerInfo>,
    last: Sequence,
    sent: Instant,
) -> WorkerReport {
    let responses = peer.responses.as_ref();
    let in_ring = peer.unseen();
    let (answers_waiting, unwanted) = (in_ring + peer.answered.kept_count(), peer.answered.unwanted);
    let waits_for_room = responses.is_some_and(|ring| ring.holds_up_producer());
    let situation = match (peer.standing, peer.word(), info) {
        (_, Some(Change::JoinFailed { status, refusal, .. }), _) => Situation::JoinFailed { status, refusal },
        (_, Some(Change::Died { status, how, .. }), _) => Situation::Dead { status, how },
        (_, Some(Change::Left), _) => Situation::Left,
        (Standing::Present(_), _, Some(info)) => peer.progress.situation(info, last, sent, in_ring),
        _ => Situation::NeverSeen,
    };
    let of_table = |process: ProcessIdentity| Some(process.observe());
    let process = match (peer.standing, &situation) {
        (_, Situation::JoinFailed { .. }) | (Standing::Absent, _) => None,
        (Standing::Present(process), _) => of_table(process),
        (Standing::Gone(gone), _) => of_table(gone.process),
    };
    let successor = peer.started.as_ref().filter(|_| peer.may_come()).map(|started| started.process.pid());
    WorkerReport {
        worker: peer.id.clone(),
        rank: peer.rank,
        broadcast: last,
        situation,
        process,
        answers_waiting,
        unwanted,
        successor,
        waits_for_room,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    fn text(situation: Situation, change: impl FnOnce(&mut WorkerReport)) -> String {
        let mut report = WorkerReport {
            worker: "tp-engine, rank 1".to_owned(),
            rank: 1,
            broadcast: 20,
            situation,
            process: None,
            answers_waiting: 0,
            unwanted: Unwanted::default(),
            successor: None,
            waits_for_room: false,
        };
        change(&mut report);
        report.to_string()
    }

    #[test]
    fn every_report_begins_with_label_and_rank_and_says_where_the_worker_is() {
        let since = Duration::from_secs(2);
        let status = Some(ExitStatus::from_raw(9));
        for (situation, wanted) in [
            (Situation::NothingSent, ": nothing was broadcast since it has joined; nothing is waiting for it"),
            (
                Situation::NotReceived { lag: 3, since, working_on: Some(18) },
                " has not received broadcast 20: it lags by 3, and has not got on for 2.0s; its handler has broadcast 18",
            ),
            (
                Situation::NotAnswered { since, is_acknowledged: false },
                " has received broadcast 20 and has not answered it 2.0s after it was sent; its handler has it",
            ),
            (
                Situation::NotAnswered { since, is_acknowledged: true },
                " has received broadcast 20 and has not answered it 2.0s after it was sent; it has acknowledged it, as a worker does after \
                 its answer",
            ),
            (Situation::Answered, " has answered since broadcast 20; nothing is waiting for it"),
            (Situation::Dead { status, how: Ending::Killed }, " has died: signal: 9 (SIGKILL); its entry is kept"),
            (
                Situation::JoinFailed { status, refusal: None },
                " is not there: the process that was started ended before it had joined: signal: 9 (SIGKILL)",
            ),
            (
                Situation::JoinFailed { status: None, refusal: None },
                " is not there: the process that was started ended before it had joined, and how cannot be known",
            ),
            (Situation::Left, " has left in good order"),
            (Situation::NeverSeen, " has never joined"),
        ] {
            assert_eq!(text(situation, |_| {}), format!("tp-engine, rank 1{wanted}"));
        }
        let all = text(Situation::NeverSeen, |report| {
            report.successor = Some(7);
            report.answers_waiting = 2;
            report.unwanted = Unwanted { late: 1, repeated: 2, without_step: 3 };
        });
        assert_eq!(
            all,
            "tp-engine, rank 1 has never joined; process 7 was started in its place and has not joined; 2 of its answers wait for this \
             scheduler; 1 late and 2 repeated answers were dropped; 3 messages that answer no broadcast were dropped: send them by `answer` or \
             `respond`"
        );
        let full = text(Situation::Answered, |report| (report.answers_waiting, report.waits_for_room) = (5, true));
        assert!(
            full.ends_with("; it waits for room in its response ring, where 5 answers wait for this scheduler"),
            "{full}"
        );
    }
}
