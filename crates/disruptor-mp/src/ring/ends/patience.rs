//! How long a call that needs something from its peers may wait.
//!
//! **Lives here:** [`Patience`]. **May touch it:** every call that may wait.

use std::time::{Duration, Instant};

/// How long a call may wait: for room when it publishes, for something to read when it receives, for a peer.
///
/// Every call that may wait has one general form, which takes this. Calls with an ending such as `_deadline` or
/// `_managed`, and those that begin with `try_`, are the same with one patience filled in. Where a call takes `impl
/// Into<Patience>`, a moment will do (until then), and a duration (that long from now). Elsewhere both say `.into()`:
/// `consumer.next(Duration::from_millis(5).into())`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Patience {
    /// Not at all: the call answers at once.
    Now,
    /// Until then.
    Until(Instant),
    /// As long as the peers live and the ring exists.
    Endless,
    /// Under the watch that
    /// [`enable_required_consumer_liveness`](crate::ProducerEnd::enable_required_consumer_liveness) began: alerts, then
    /// its failure action. For a call that publishes nothing, the same as `Endless`.
    Managed,
    /// Under that watch, and no longer than until then.
    ManagedUntil(Instant),
}

impl Patience {
    /// The end of the patience, for a call that publishes nothing: `None` if there is none. [`Now`](Self::Now) has
    /// ended already.
    pub fn deadline(self) -> Option<Instant> {
        match self {
            Self::Now => Some(Instant::now()),
            Self::Until(deadline) | Self::ManagedUntil(deadline) => Some(deadline),
            Self::Endless | Self::Managed => None,
        }
    }
}

/// Until then.
impl From<Instant> for Patience {
    fn from(deadline: Instant) -> Self {
        Self::Until(deadline)
    }
}

/// Until then; `None`: without end.
impl From<Option<Instant>> for Patience {
    fn from(deadline: Option<Instant>) -> Self {
        deadline.map_or(Self::Endless, Self::Until)
    }
}

/// That long from now; [`Duration::MAX`]: without end.
impl From<Duration> for Patience {
    fn from(timeout: Duration) -> Self {
        Instant::now().checked_add(timeout).into()
    }
}
