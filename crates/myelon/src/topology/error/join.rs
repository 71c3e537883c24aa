//! Why a worker could not join its topology.

use super::super::invitation::INVITATION_VARIABLE;
use super::meeting_place::{MeetingPlace, Parentage, SchedulerEnding};
use crate::transport::{InvalidConfigText, TransportError};
use disruptor_mp::liveness::{ProcessFacts, ProcessState, RefusalCause, RefusalReason, SchemaDifference};
use std::io;
use std::time::Duration;

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
    #[error("the environment variable {} is not set", INVITATION_VARIABLE)]
    NotInvited,
    /// What should be the invitation is none.
    #[error("the invitation cannot be read: {0}")]
    Invitation(InvalidConfigText),
    /// The variable is set, and not to an invitation.
    #[error("{}: `{}` is no invitation: {source}", INVITATION_VARIABLE, value.escape_debug())]
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
    /// The scheduler lives and has not attached to the worker's response ring: the worker has waited as long as its
    /// invitation says ([`with_rendezvous_timeout`](crate::topology::Topology::with_rendezvous_timeout)). The scheduler
    /// is stopped, or does not look after its workers: it does so in `gather`, `receive`, `wait_for` and
    /// `check_workers`. One that waits for something else calls
    /// [`check_workers`](crate::topology::SchedulerEnd::check_workers) meanwhile.
    #[error(
        "{worker}: the scheduler ({scheduler}) lives, and has not attached to this worker's response ring within {waited:.1?}: {}",
        to_be_received(scheduler)
    )]
    NotReceived {
        /// What people call the worker.
        worker: String,
        /// The scheduler's process, when the worker gave up.
        scheduler: ProcessFacts,
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

/// What has to be done so that the scheduler looks at the worker.
fn to_be_received(scheduler: &ProcessFacts) -> &'static str {
    match scheduler.state {
        ProcessState::Stopped => "let the scheduler go on (SIGCONT), and start this worker again",
        _ => {
            "let the scheduler look at its workers by `check_workers`, `gather`, `receive` or `wait_for`, and start this \
             worker again"
        }
    }
}

/// A difference behind the cause that it explains.
pub(in super::super) fn and_what(difference: &Option<SchemaDifference>) -> String {
    difference.as_ref().map(|difference| format!(": {difference}")).unwrap_or_default()
}

/// What is said of a ring that could not be joined or made.
fn reason_of(error: &TransportError) -> RefusalReason {
    match error {
        TransportError::Build(error) => error.into(),
        _ => RefusalCause::Other.into(),
    }
}

impl WorkerJoinError {
    /// What the scheduler is told of it, if there is anything that it does not know.
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
