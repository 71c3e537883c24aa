//! Why a worker could not join its topology.

use super::super::invitation::INVITATION_VARIABLE;
use super::meeting_place::{MeetingPlace, Parentage, SchedulerEnding};
use crate::transport::{InvalidConfigText, TransportError};
use disruptor_mp::liveness::{ProcessFacts, ProcessState, RefusalCause, RefusalReason, SchemaDifference};
use std::io;
use std::time::Duration;

/// Why a worker could not join its topology.
///
/// ```
/// use myelon::topology::{Invitation, WorkerEnd, WorkerJoinError};
///
/// fn join(invitation: &Invitation) -> Option<WorkerEnd> {
///     match WorkerEnd::join(invitation) {
///         Ok(worker) => Some(worker),
///         // The session ended before it began; there is nothing to report.
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
    #[error(
        "the environment variable {} is not set: let a scheduler start this process, or set the variable to the text of \
         `Topology::invitation`",
        INVITATION_VARIABLE
    )]
    NotInvited,
    /// The text is no invitation. Pass on the text of
    /// [`Topology::invitation`](crate::topology::Topology::invitation) unchanged.
    #[error("the invitation cannot be read: {0}; pass on the text of `Topology::invitation` unchanged")]
    Invitation(InvalidConfigText),
    /// The variable is set, but its value is no invitation. Set it to the text of
    /// [`Topology::invitation`](crate::topology::Topology::invitation), unchanged.
    #[error(
        "{}: `{}` is not an invitation: {source}; set it to the text of `Topology::invitation`, unchanged",
        INVITATION_VARIABLE, value.escape_debug()
    )]
    InvitationVariable {
        /// Its value.
        value: String,
        /// What is wrong with it.
        r#source: InvalidConfigText,
    },
    /// There was no scheduler within the patience of the invitation. `found` says what there was, and what to do.
    #[error("{worker}: no scheduler within {waited:.1?}: {found}")]
    NoScheduler {
        /// The user's name for the worker.
        worker: String,
        /// How long the worker waited.
        waited: Duration,
        /// What the worker found instead when it looked for the last time.
        #[source]
        found: MeetingPlace,
    },
    /// The scheduler had made the broadcast ring before it started this worker, but there is no ring under that name.
    /// Start the session again.
    #[error(
        "{worker}: there is no broadcast ring at {place}, which the scheduler had made before it started this worker; {scheduler}"
    )]
    NoRing {
        /// The user's name for the worker.
        worker: String,
        /// Where it should be.
        place: String,
        /// What is known of the scheduler.
        scheduler: Parentage,
    },
    /// The scheduler died, or closed the topology, while the worker joined. The worker is not needed any more.
    #[error("{worker}: the scheduler has gone while this worker joined, so the worker is not needed: {found}")]
    SchedulerGone {
        /// The user's name for the worker.
        worker: String,
        /// How the worker knows.
        found: SchedulerEnding,
    },
    /// The scheduler cannot use the worker's response ring. If the types differ, build both programs with the same
    /// type.
    #[error("{worker}: the scheduler, process {pid}, cannot use this worker's response ring: {cause}{}", and_what(.difference))]
    Refused {
        /// The user's name for the worker.
        worker: String,
        /// The scheduler, as seen in its own pid namespace.
        pid: u32,
        /// The reason.
        cause: RefusalCause,
        /// The difference to this worker's own type, if that was the cause.
        difference: Option<SchemaDifference>,
    },
    /// The scheduler lives but has not attached to the worker's response ring within the time of the invitation
    /// ([`with_rendezvous_timeout`](crate::topology::Topology::with_rendezvous_timeout)). The scheduler is stopped, or
    /// does not look after its workers: it does so in `gather`, `receive`, `wait_for` and `check_workers`. A scheduler
    /// that waits for something else must call [`check_workers`](crate::topology::SchedulerEnd::check_workers)
    /// meanwhile.
    #[error(
        "{worker}: the scheduler ({scheduler}) lives, and has not attached to this worker's response ring within {waited:.1?}: {}",
        to_be_received(scheduler)
    )]
    NotReceived {
        /// The user's name for the worker.
        worker: String,
        /// The scheduler's process, when the worker gave up.
        scheduler: ProcessFacts,
        /// How long the worker waited.
        waited: Duration,
    },
    /// The broadcast ring cannot be joined: a worker of this rank lives already, or was built for other messages. The
    /// source says which, and what to do.
    #[error("{worker}: the broadcast ring could not be joined: {source}")]
    Broadcast {
        /// The user's name for the worker.
        worker: String,
        /// The reason.
        r#source: Box<TransportError>,
    },
    /// The ring of urgent messages cannot be joined; the source says why, and what to do.
    #[error("{worker}: the ring of urgent messages could not be joined: {source}")]
    Urgent {
        /// The user's name for the worker.
        worker: String,
        /// The reason.
        r#source: Box<TransportError>,
    },
    /// The invitation has an urgent lane, and the scheduler has none. Make both from one description.
    #[error(
        "{worker}: the invitation speaks of an urgent lane, and the scheduler has made none at {place}: make the \
         invitation from the scheduler's topology"
    )]
    NoUrgentLane {
        /// The user's name for the worker.
        worker: String,
        /// Where the lane should be.
        place: String,
    },
    /// The response ring could not be created; the source says why, and what to do.
    #[error("{worker}: the response ring could not be created: {source}")]
    Responses {
        /// The user's name for the worker.
        worker: String,
        /// The reason.
        r#source: Box<TransportError>,
    },
    /// The operating system refused to tie the worker's life to that of its scheduler.
    #[error("{worker}: asking for a signal at the scheduler's death failed: {source}")]
    Os {
        /// The user's name for the worker.
        worker: String,
        /// Its error.
        r#source: io::Error,
    },
}

/// What the user has to do so that the scheduler looks at the worker.
fn to_be_received(scheduler: &ProcessFacts) -> &'static str {
    match scheduler.state {
        ProcessState::Stopped => "let the scheduler go on (SIGCONT), and start this worker again",
        _ => {
            "let the scheduler look at its workers by `check_workers`, `gather`, `receive` or `wait_for`, and start this \
             worker again"
        }
    }
}

/// The text of a difference, which follows the cause that it explains.
pub(in super::super) fn and_what(difference: &Option<SchemaDifference>) -> String {
    difference.as_ref().map(|difference| format!(": {difference}")).unwrap_or_default()
}

/// The reason that is reported for a ring that could not be joined or made.
fn reason_of(error: &TransportError) -> RefusalReason {
    match error {
        TransportError::Build(error) => error.into(),
        _ => RefusalCause::Other.into(),
    }
}

impl WorkerJoinError {
    /// What the scheduler is told about it, if it does not know already.
    pub(in super::super) fn refusal_reason(&self) -> Option<RefusalReason> {
        match self {
            Self::NotInvited
            | Self::Invitation(_)
            | Self::InvitationVariable { .. }
            | Self::SchedulerGone { .. }
            | Self::Refused { .. } => None,
            Self::Broadcast { source, .. }
            | Self::Urgent { source, .. }
            | Self::Responses { source, .. }
            | Self::NoScheduler { found: MeetingPlace::Unusable(source), .. } => Some(reason_of(source)),
            Self::NoScheduler { .. } | Self::NoRing { .. } => Some(RefusalCause::NoScheduler.into()),
            Self::NotReceived { .. } => Some(RefusalCause::NotReceived.into()),
            Self::NoUrgentLane { .. } => Some(RefusalCause::OtherRings.into()),
            Self::Os { .. } => Some(RefusalCause::Other.into()),
        }
    }
}

impl From<InvalidConfigText> for WorkerJoinError {
    fn from(error: InvalidConfigText) -> Self {
        Self::Invitation(error)
    }
}
