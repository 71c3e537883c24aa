//! Safe points for code that runs pieces of work on any thread: one that is a party already, or one that is not.

use super::party::Party;
use super::safe_point::Doing;
use super::shared::Shared;
use super::start::Submitter;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// The safe points of one agenda.
#[derive(Clone)]
pub(crate) struct Attended(Arc<Shared>);

impl fmt::Debug for Attended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Attended")
    }
}

impl Attended {
    pub(crate) fn new(submitter: &Submitter) -> Self {
        Self(Arc::clone(&submitter.shared))
    }

    /// Whether the calling thread must join to stop at safe points: it is no party yet, and does not run a closure at
    /// one, which would wait for itself.
    pub(crate) fn must_join(&self) -> bool {
        !self.0.points.is_inside() && !self.0.points.is_party()
    }

    /// Makes the calling thread a party until the answer is dropped. Waits while a closure runs alone.
    pub(crate) fn join(&self, name: impl Into<Cow<'static, str>>, doing: Doing) -> Party {
        Party::with_doing(Arc::clone(&self.0), name.into(), doing)
    }

    /// Stops here while a closure runs alone, or is about to; then says that it has stopped. A thread that is no party
    /// goes on.
    #[inline]
    pub(crate) fn look(&self) -> bool {
        self.0.points.look_if_party()
    }

    /// Runs `sleep`, which counts as stopped.
    pub(crate) fn rest<R>(&self, sleep: impl FnOnce() -> R) -> R {
        if self.0.points.is_inside() { sleep() } else { self.0.points.rest_if_party(sleep) }
    }
}
