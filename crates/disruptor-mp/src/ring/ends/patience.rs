//! How long a call that needs something from its peers may wait.
//!
//! **Lives here:** [`Patience`]. **May touch it:** every call that offers the choice as an argument.

use std::time::Instant;

/// How long a call may wait: for room when it publishes, for something to read when it receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Patience {
    /// Not at all: the call answers at once.
    Now,
    /// Until then.
    Until(Instant),
    /// As long as the peers live and the ring exists.
    Endless,
    /// Under the watch that [`enable_required_consumer_liveness`](crate::ProducerEnd::enable_required_consumer_liveness) began: alerts, then
    /// its failure action. For a call that receives, the same as `Endless`.
    Managed,
    /// Under that watch, and no longer than until then.
    ManagedUntil(Instant),
}

impl Patience {
    /// The end of the patience, for a call that receives: `None` if there is none. [`Now`](Self::Now) has ended already.
    pub fn deadline(self) -> Option<Instant> {
        match self {
            Self::Now => Some(Instant::now()),
            Self::Until(deadline) | Self::ManagedUntil(deadline) => Some(deadline),
            Self::Endless | Self::Managed => None,
        }
    }
}
