//! Why a topology did not come about.
//!
//! **Lives here:** the errors of launching, joining and restarting, and what is said of a worker that is missing.
//! **Builds on:** the transport's errors, which it keeps as sources. **May touch it:** `launch`, `worker`, `scheduler`
//! make them.

use super::refusal::JoinRefusal;
use crate::transport::{InvalidConfigText, SessionLayoutError, TransportError};
use disruptor_mp::Place;
use disruptor_mp::liveness::{Ending, RefusalCause, RefusalReason, SchemaDifference};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// Why there is no such topology, or no such worker in it. Nothing was created.
///
/// ```
/// use myelon::topology::Topology;
///
/// let error = Topology::new("tp-engine", 0usize).unwrap_err();
/// assert_eq!(error.to_string(), "tp-engine: a session has at least one worker, and 0 were asked for");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{session}: {source}")]
#[non_exhaustive]
pub struct TopologyError {
    /// The session's label.
    pub session: String,
    /// What is wrong with it.
    pub r#source: SessionLayoutError,
}

impl TopologyError {
    /// That of the session called `label`.
    pub(super) fn of(label: &str) -> impl Fn(SessionLayoutError) -> Self {
        move |source| Self { session: label.to_owned(), source }
    }
}

/// Why a topology was not launched. Workers that had been started have been ended again, and no segment is left.
///
/// ```
/// use myelon::topology::{LaunchError, Topology, Workers};
///
/// fn launch(topology: &Topology) {
///     if let Err(LaunchError::Missing { missing, .. }) = topology.launch(Workers::started_elsewhere()) {
///         // `tp-engine, rank 1 (never seen; ...)`
///         missing.iter().for_each(|worker| eprintln!("{worker}"));
///     }
/// }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// There can be no such topology. Nothing was created.
    #[error(transparent)]
    Description(#[from] TopologyError),
    /// The broadcast ring could not be created. `InUse` inside: a scheduler with this label runs already, or one whose
    /// label has the same tag.
    #[error("{session}: the broadcast ring could not be created: {source}")]
    Broadcast {
        /// The session's label.
        session: String,
        /// Why not.
        r#source: Box<TransportError>,
    },
    /// The ring of urgent messages could not be created.
    #[error("{session}: the ring of urgent messages could not be created: {source}")]
    Urgent {
        /// The session's label.
        session: String,
        /// Why not.
        r#source: Box<TransportError>,
    },
    /// A worker could not be started.
    #[error("{worker}: the process could not be started: {source}")]
    Spawn {
        /// What people call the worker.
        worker: String,
        /// Its rank.
        rank: usize,
        /// What the operating system said.
        r#source: io::Error,
    },
    /// The thread from which workers are started could not be started itself.
    #[error("{session}: the thread that starts workers could not be started: {source}")]
    Thread {
        /// The session's label.
        session: String,
        /// What the operating system said.
        r#source: io::Error,
    },
    /// Not all workers came.
    #[error("{session}: after {waited:.1?} these workers are missing: {}", list(missing))]
    Missing {
        /// The session's label.
        session: String,
        /// Who, and what is known of each.
        missing: Vec<MissingWorker>,
        /// How long the scheduler waited: shorter than its patience if a worker could not come any more.
        waited: Duration,
    },
}

/// A worker that was not there when the scheduler gave up. `Display` gives it in one line.
///
/// ```
/// use myelon::prelude::*;
/// use myelon::topology::MissingState;
/// use std::time::Duration;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let session = portable_shm_segment_name("doc");
/// let topology: Topology = Topology::new(&session, 2usize)?.with_rendezvous_timeout(Duration::from_millis(1));
/// if let Err(LaunchError::Missing { missing, .. }) = topology.launch(Workers::started_elsewhere()) {
///     for worker in &missing {
///         eprintln!("{worker}"); // tp-engine, rank 0 (never seen; ...)
///         if let MissingState::Refused { refusal, .. } = &worker.state {
///             eprintln!("start it again once this is mended: {}", refusal.cause);
///         }
///     }
/// #   assert!(missing.len() == 2 && missing[1].rank == 1);
/// # } else {
/// #   panic!("no worker was started");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct MissingWorker {
    /// Which.
    pub rank: usize,
    /// What people call it, which is also its consumer id in the broadcast ring: `tp-engine, rank 1`.
    pub consumer_id: String,
    /// How far it had got.
    pub state: MissingState,
    /// Other processes that could not take its place. Which of them were meant to be this worker, only their starter
    /// knows.
    pub others_refused: Vec<JoinRefusal>,
}

/// How far a missing worker had got.
#[derive(Debug)]
#[non_exhaustive]
pub enum MissingState {
    /// No process has come as this worker, and none has said that it could not. One of another user may have been
    /// unable to.
    NotSeen {
        /// Who may use the broadcast ring, if the system has said so.
        ring: Option<RingAccess>,
    },
    /// We have started it; it runs, and has not joined.
    NotJoined {
        /// Its process.
        pid: u32,
    },
    /// The process could not join, and has said why.
    Refused {
        /// Why.
        refusal: JoinRefusal,
        /// How it ended, if it was started by this scheduler and has.
        status: Option<ExitStatus>,
    },
    /// We have started it, and it ended before it had joined, and said nothing.
    Exited {
        /// Its process.
        pid: u32,
        /// How; `None` if that cannot be known.
        status: Option<ExitStatus>,
    },
    /// It has joined the broadcast ring, and we could not attach to its response ring.
    NoResponses {
        /// Its process, as seen in its own pid namespace.
        pid: u32,
        /// Why not, the last time that we tried; `None` if it has not made the ring yet, and perhaps a dead process's
        /// is there.
        source: Option<Box<TransportError>>,
    },
    /// It has joined, and would not hear what is urgent: its invitation was made without the urgent lane that this
    /// topology has. Make both from one description. It is refused; so is a successor that comes later, which is told
    /// as [`JoinFailed`](super::Change::JoinFailed).
    NoUrgentLane {
        /// Its process, as seen in its own pid namespace.
        pid: u32,
    },
    /// It had joined, and is not there any more.
    Died {
        /// Its process, as seen in its own pid namespace.
        pid: u32,
        /// How it ended, if it was a child of ours.
        status: Option<ExitStatus>,
        /// How its end in the broadcast ring went.
        how: Ending,
    },
    /// It had joined, and left.
    Left,
}

/// Who may use a ring.
pub type RingAccess = disruptor_mp::segment::Permissions;

impl fmt::Display for MissingWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (", self.consumer_id)?;
        match &self.state {
            MissingState::NotSeen { ring: None } => write!(f, "never seen")?,
            MissingState::NotSeen { ring: Some(RingAccess { mode, owner_uid, .. }) } => {
                write!(f, "never seen; the broadcast ring has mode {mode:04o} and belongs to user {owner_uid}")?;
            }
            MissingState::Refused { refusal, status: None } => write!(f, "{}", refusal.told())?,
            MissingState::Refused { refusal, status: Some(status) } => {
                write!(f, "{}; it has ended: {status}", refusal.told())?;
            }
            MissingState::NotJoined { pid } => write!(f, "process {pid} runs and has not joined")?,
            MissingState::Exited { pid, status: Some(status) } => {
                write!(f, "process {pid} ended before it had joined: {status}")?;
            }
            MissingState::Exited { pid, status: None } => {
                write!(f, "process {pid} ended before it had joined, and how cannot be known")?;
            }
            MissingState::NoResponses { pid, source: Some(error) } => {
                write!(f, "process {pid} has joined, but its response ring cannot be used: {error}")?;
            }
            MissingState::NoResponses { pid, source: None } => {
                write!(f, "process {pid} has joined, but has not made its response ring")?;
            }
            MissingState::NoUrgentLane { pid } => {
                write!(f, "process {pid} has joined without the urgent lane: make its invitation from this topology")?;
            }
            MissingState::Died { pid, status, how } => {
                write!(f, "process {pid} has joined and {}", went(*how))?;
                if let Some(status) = status {
                    write!(f, ": {status}")?;
                }
            }
            MissingState::Left => write!(f, "has joined and left")?,
        }
        for refusal in &self.others_refused {
            write!(f, "; beside it, {}", refusal.told())?;
        }
        f.write_str(")")
    }
}

/// How a worker's end went, as the end of a sentence about the worker.
pub(super) fn went(how: Ending) -> &'static str {
    match how {
        Ending::Killed => "has died",
        Ending::Panicked => "was dropped by a panic",
        Ending::Dropped => "was dropped",
        _ => "has left",
    }
}

fn list(missing: &[MissingWorker]) -> String {
    missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Why a worker is not part of its topology.
///
/// ```
/// use myelon::topology::{Invitation, WorkerEnd, WorkerJoinError};
///
/// fn join(invitation: &Invitation) -> Option<WorkerEnd> {
///     match WorkerEnd::join(invitation) {
///         Ok(worker) => Some(worker),
///         // The session is over before it began; there is nothing to be said.
///         Err(WorkerJoinError::SchedulerGone { .. }) => None,
///         // `tp-engine, rank 1: no scheduler within 15.0s: ...`
///         Err(error) => panic!("{error}"),
///     }
/// }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerJoinError {
    /// The process has no invitation. Let a scheduler start it, or set the variable by hand.
    #[error("the environment variable {} is not set", super::INVITATION_VARIABLE)]
    NotInvited,
    /// What should be the invitation is none.
    #[error("the invitation cannot be read: {0}")]
    Invitation(InvalidConfigText),
    /// The variable is set, and not to an invitation.
    #[error("{}: `{}` is no invitation: {source}", super::INVITATION_VARIABLE, value.escape_debug())]
    InvitationVariable {
        /// What it is set to.
        value: String,
        /// What is wrong with it.
        r#source: InvalidConfigText,
    },
    /// There was no scheduler within the patience of the invitation.
    #[error("{worker}: no scheduler within {waited:.1?}: {found}")]
    NoScheduler {
        /// What people call the worker.
        worker: String,
        /// How long the worker waited.
        waited: Duration,
        /// What it found instead, when it looked for the last time.
        #[source]
        found: MeetingPlace,
    },
    /// The scheduler had made the broadcast ring before it started this worker, and there is no ring under that name.
    #[error(
        "{worker}: there is no broadcast ring at {place}, which the scheduler had made before it started this worker; {scheduler}"
    )]
    NoRing {
        /// What people call the worker.
        worker: String,
        /// Where it should be.
        place: String,
        /// What is known of the scheduler.
        scheduler: Parentage,
    },
    /// The scheduler died, or closed the topology, while the worker joined.
    #[error("{worker}: the scheduler has gone while this worker joined: {found}")]
    SchedulerGone {
        /// What people call the worker.
        worker: String,
        /// By what that is known.
        found: SchedulerEnding,
    },
    /// The scheduler cannot use the worker's response ring.
    #[error("{worker}: the scheduler, process {pid}, cannot use this worker's response ring: {cause}{}", and_what(.difference))]
    Refused {
        /// What people call the worker.
        worker: String,
        /// The scheduler, as seen in its own pid namespace.
        pid: u32,
        /// Why not.
        cause: RefusalCause,
        /// What is different there, in the words of this worker's own type, if that was the cause.
        difference: Option<SchemaDifference>,
    },
    /// The scheduler lives and has not attached to the worker's response ring. It is stopped, or does not look after
    /// its workers: it does so in `gather`, `receive`, `wait_for` and `check_workers`. One that waits for something
    /// else calls [`check_workers`](super::SchedulerEnd::check_workers) meanwhile.
    #[error(
        "{worker}: the scheduler lives and has not attached to the response ring within {waited:.1?}: it is stopped, or does not look after its workers, as `check_workers` does"
    )]
    NotReceived {
        /// What people call the worker.
        worker: String,
        /// How long the worker waited.
        waited: Duration,
    },
    /// The broadcast ring cannot be joined: a worker of this rank lives already, or was built for other messages.
    #[error("{worker}: the broadcast ring could not be joined: {source}")]
    Broadcast {
        /// What people call the worker.
        worker: String,
        /// Why not.
        r#source: Box<TransportError>,
    },
    /// The ring of urgent messages cannot be joined.
    #[error("{worker}: the ring of urgent messages could not be joined: {source}")]
    Urgent {
        /// What people call the worker.
        worker: String,
        /// Why not.
        r#source: Box<TransportError>,
    },
    /// The invitation speaks of an urgent lane, and the scheduler has none. Make both from one description.
    #[error(
        "{worker}: the invitation speaks of an urgent lane, and the scheduler has made none at {place}: make the \
         invitation from the scheduler's topology"
    )]
    NoUrgentLane {
        /// What people call the worker.
        worker: String,
        /// Where the lane should be.
        place: String,
    },
    /// The response ring could not be created.
    #[error("{worker}: the response ring could not be created: {source}")]
    Responses {
        /// What people call the worker.
        worker: String,
        /// Why not.
        r#source: Box<TransportError>,
    },
    /// The operating system refused to tie the worker's life to that of its scheduler.
    #[error("{worker}: asking for a signal at the scheduler's death failed: {source}")]
    Os {
        /// What people call the worker.
        worker: String,
        /// What it said.
        r#source: io::Error,
    },
}

/// A difference behind the cause that it explains.
pub(super) fn and_what(difference: &Option<SchemaDifference>) -> String {
    difference.as_ref().map(|difference| format!(": {difference}")).unwrap_or_default()
}

impl WorkerJoinError {
    /// What the scheduler is told of it, if there is anything that it does not know.
    pub(super) fn refusal_reason(&self) -> Option<RefusalReason> {
        match self {
            Self::NotInvited
            | Self::Invitation(_)
            | Self::InvitationVariable { .. }
            | Self::SchedulerGone { .. }
            | Self::Refused { .. } => None,
            Self::Broadcast { source, .. } | Self::Urgent { source, .. } | Self::Responses { source, .. } => {
                Some(match &**source {
                    TransportError::Build(error) => error.into(),
                    _ => RefusalCause::Other.into(),
                })
            }
            Self::NoUrgentLane { .. } => Some(RefusalCause::OtherRings.into()),
            _ => Some(RefusalCause::Other.into()),
        }
    }
}

/// What a worker finds where its scheduler should be.
#[derive(Debug)]
#[non_exhaustive]
pub enum MeetingPlace {
    /// There is no ring under the name of the broadcast ring.
    NoRing {
        /// The file that was looked for.
        path: PathBuf,
        /// Those of the session's response rings that are there.
        others: Vec<String>,
        /// The process alive that reads one of them as the scheduler, as seen in its own pid namespace. Then the name
        /// of the broadcast ring was removed: end that process, and start the session anew.
        scheduler: Option<u32>,
    },
    /// The broadcast ring is that of a scheduler that has gone.
    Ended {
        /// Where it is.
        place: String,
        /// How the scheduler has gone.
        ending: SchedulerEnding,
    },
    /// The broadcast ring could not be attached to.
    Unusable(Box<TransportError>),
}

impl std::error::Error for MeetingPlace {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unusable(error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for MeetingPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRing { path, others, scheduler } => {
                write!(f, "there is no broadcast ring at {}", Place::from(path.clone()))?;
                match (&others[..], scheduler) {
                    ([], _) => f.write_str(
                        ", and no other ring of this session: start the scheduler, with the same label and directory; \
                         if it runs, the names were removed, and the session must be started anew",
                    ),
                    (others, Some(pid)) => write!(
                        f,
                        ", but of this session there is {}, which the scheduler, process {pid}, reads: the name of the broadcast ring was \
                         removed; end that process and start the session anew",
                        others.join(", ")
                    ),
                    (others, None) => write!(
                        f,
                        ", but of this session there is {}, which no scheduler reads: start the scheduler",
                        others.join(", ")
                    ),
                }
            }
            Self::Ended { place, ending } => {
                write!(f, "the broadcast ring at {place} is that of a scheduler that has gone: {ending}")
            }
            Self::Unusable(error) => error.fmt(f),
        }
    }
}

/// What a worker knows of the process that has started it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Parentage {
    /// It lives. So it has closed the topology, or the ring's name was removed by another process: start the session
    /// anew.
    Lives {
        /// Its pid.
        pid: u32,
    },
    /// A process between the two, such as a shell, or another pid namespace hides it.
    Hidden,
}

impl From<InvalidConfigText> for WorkerJoinError {
    fn from(error: InvalidConfigText) -> Self {
        Self::Invitation(error)
    }
}

impl fmt::Display for Parentage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lives { pid } => write!(
                f,
                "the scheduler, process {pid}, lives: it has closed the topology, or the name was removed by another process"
            ),
            Self::Hidden => write!(f, "whether the scheduler lives cannot be known: this worker is not its own child"),
        }
    }
}

/// By what a worker knows that its scheduler has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SchedulerEnding {
    /// The process that has started this worker has ended.
    Orphaned {
        /// Its pid.
        pid: u32,
    },
    /// It has closed the broadcast ring.
    Closed,
    /// Another scheduler has replaced the broadcast ring.
    Replaced,
    /// The broadcast ring has no producer any more.
    NoProducer {
        /// The last one, as seen in its own pid namespace.
        pid: u32,
    },
}

impl fmt::Display for SchedulerEnding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Orphaned { pid } => write!(f, "its process {pid} has ended"),
            Self::Closed => write!(f, "it has closed the topology"),
            Self::Replaced => write!(f, "another scheduler has taken its place"),
            Self::NoProducer { pid } => write!(f, "the broadcast ring's producer, process {pid}, has gone"),
        }
    }
}

/// Why a worker was not started again.
///
/// ```
/// use myelon::topology::{RestartError, SchedulerEnd};
///
/// fn restart(scheduler: &mut SchedulerEnd, rank: usize) {
///     match scheduler.restart(rank) {
///         Ok(pid) => println!("process {pid} is on its way"),
///         Err(RestartError::StartedElsewhere { .. }) => println!("ask the supervisor for rank {rank}"),
///         Err(error) => eprintln!("{error}"),
///     }
/// }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestartError {
    /// Another program has started this topology's workers, and has to start this one again.
    #[error(
        "{worker}: the scheduler does not start this topology's workers; have it started again by what has started it"
    )]
    StartedElsewhere {
        /// What people call the worker.
        worker: String,
    },
    /// This process is a child of the scheduler's, made by `fork`. The workers are its parent's.
    #[error("{worker}: the topology belongs to the process that this one was forked from")]
    Forked {
        /// What people call the worker.
        worker: String,
    },
    /// There is no such worker.
    #[error(transparent)]
    Rank(#[from] TopologyError),
    /// The old process could not be ended, or the new one not be started.
    #[error("{worker}: the process could not be started again: {source}")]
    Os {
        /// What people call the worker.
        worker: String,
        /// Its rank.
        rank: usize,
        /// What the operating system said.
        r#source: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::TransportError;
    use std::os::unix::process::ExitStatusExt;

    const WORKER: &str = "tp-engine, rank 1";

    fn os() -> io::Error {
        io::Error::other("no")
    }

    fn worker() -> String {
        WORKER.to_owned()
    }

    #[test]
    fn what_is_missing_at_a_launch_is_called_by_label_and_rank() {
        let died = ExitStatus::from_raw(9);
        let refusal = || JoinRefusal {
            worker: worker(),
            pid: 7,
            pid_namespace_tag: 0,
            cause: RefusalCause::IdInUse,
            difference: None,
            text: None,
        };
        let cause = RefusalCause::IdInUse;
        for (state, text) in [
            (MissingState::NotSeen { ring: None }, "never seen".to_owned()),
            (MissingState::NotJoined { pid: 7 }, "process 7 runs and has not joined".to_owned()),
            (
                MissingState::Refused { refusal: refusal(), status: Some(died) },
                format!("process 7 could not join: {cause}; it has ended: {died}"),
            ),
            (
                MissingState::Exited { pid: 7, status: Some(died) },
                format!("process 7 ended before it had joined: {died}"),
            ),
            (
                MissingState::Exited { pid: 7, status: None },
                "process 7 ended before it had joined, and how cannot be known".to_owned(),
            ),
            (
                MissingState::NoResponses { pid: 7, source: Some(Box::new(TransportError::Full)) },
                "process 7 has joined, but its response ring cannot be used: the ring is full".to_owned(),
            ),
            (
                MissingState::NoResponses { pid: 7, source: None },
                "process 7 has joined, but has not made its response ring".to_owned(),
            ),
            (
                MissingState::Died { pid: 7, status: Some(died), how: Ending::Killed },
                format!("process 7 has joined and has died: {died}"),
            ),
            (MissingState::Left, "has joined and left".to_owned()),
        ] {
            let missing = MissingWorker { rank: 1, consumer_id: worker(), state, others_refused: vec![refusal()] };
            let wanted = format!("{WORKER} ({text}; beside it, process 7 could not join: {cause})");
            assert_eq!(missing.to_string(), wanted);
            let (session, waited) = ("tp-engine".to_owned(), Duration::from_secs(3));
            let error = LaunchError::Missing { session, missing: vec![missing], waited };
            assert_eq!(error.to_string(), format!("tp-engine: after 3.0s these workers are missing: {wanted}"));
        }
        let spawn = LaunchError::Spawn { worker: worker(), rank: 1, source: os() };
        assert_eq!(spawn.to_string(), "tp-engine, rank 1: the process could not be started: no");
        let thread = LaunchError::Thread { session: "tp-engine".to_owned(), source: os() };
        assert_eq!(thread.to_string(), "tp-engine: the thread that starts workers could not be started: no");
        let restart = RestartError::Os { worker: worker(), rank: 1, source: os() };
        assert_eq!(restart.to_string(), "tp-engine, rank 1: the process could not be started again: no");
    }

    #[test]
    fn why_a_worker_is_no_part_of_its_topology_is_called_by_label_and_rank() {
        let waited = Duration::from_secs(3);
        let ended = |ending| MeetingPlace::Ended { place: "shm:p".to_owned(), ending };
        for (error, text) in [
            (
                WorkerJoinError::NoScheduler {
                    worker: worker(),
                    waited,
                    found: ended(SchedulerEnding::NoProducer { pid: 7 }),
                },
                "no scheduler within 3.0s: the broadcast ring at shm:p is that of a scheduler that has gone: the broadcast ring's producer, \
                 process 7, has gone",
            ),
            (
                WorkerJoinError::NoRing { worker: worker(), place: "shm:p".to_owned(), scheduler: Parentage::Hidden },
                "there is no broadcast ring at shm:p, which the scheduler had made before it started this worker; whether the scheduler lives \
                 cannot be known: this worker is not its own child",
            ),
            (
                WorkerJoinError::SchedulerGone { worker: worker(), found: SchedulerEnding::Closed },
                "the scheduler has gone while this worker joined: it has closed the topology",
            ),
            (
                WorkerJoinError::SchedulerGone { worker: worker(), found: SchedulerEnding::Replaced },
                "the scheduler has gone while this worker joined: another scheduler has taken its place",
            ),
            (
                WorkerJoinError::SchedulerGone { worker: worker(), found: SchedulerEnding::Orphaned { pid: 7 } },
                "the scheduler has gone while this worker joined: its process 7 has ended",
            ),
            (
                WorkerJoinError::NotReceived { worker: worker(), waited },
                "the scheduler lives and has not attached to the response ring within 3.0s: it is stopped, or does not look after its workers, as `check_workers` does",
            ),
            (
                WorkerJoinError::Os { worker: worker(), source: os() },
                "asking for a signal at the scheduler's death failed: no",
            ),
        ] {
            assert_eq!(error.to_string(), format!("{WORKER}: {text}"));
        }
        let refused =
            WorkerJoinError::Refused { worker: worker(), pid: 7, cause: RefusalCause::IdInUse, difference: None };
        let cause = RefusalCause::IdInUse;
        let wanted = format!("{WORKER}: the scheduler, process 7, cannot use this worker's response ring: {cause}");
        assert_eq!(refused.to_string(), wanted);
        let variable = super::super::INVITATION_VARIABLE;
        let uninvited = format!("the environment variable {variable} is not set");
        assert_eq!(WorkerJoinError::NotInvited.to_string(), uninvited);
    }
}
