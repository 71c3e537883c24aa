//! The word that says whether an agenda accepts work.

use crate::primitive::{AtomicU32, Ordering, Site, fence_at, weakened};

/// How far an agenda has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub(crate) enum Phase {
    /// It accepts work.
    Open,
    /// It accepts nothing; workers go on until nothing is left.
    Draining,
    /// Workers start nothing.
    Ending,
}

/// The phase of an agenda; it only grows.
///
/// A submitter that looked before the end, and pushes after it, looks again: after its push and its fence. The last
/// worker passes a fence before it looks for what is left. So either the submitter sees the end and takes its tasklet
/// back, or that worker finds it.
#[derive(Debug)]
pub(crate) struct Closing(AtomicU32);

impl Closing {
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(Phase::Open as u32))
    }

    #[inline]
    pub(crate) fn phase(&self) -> Phase {
        match self.0.load(Ordering::Acquire) {
            0 => Phase::Open,
            1 => Phase::Draining,
            _ => Phase::Ending,
        }
    }

    /// Goes on to `phase`, unless it is there; returns the phase before. Then wake all.
    pub(crate) fn advance(&self, phase: Phase) -> Phase {
        match self.0.fetch_max(phase as u32, Ordering::AcqRel) {
            0 => Phase::Open,
            1 => Phase::Draining,
            _ => Phase::Ending,
        }
    }

    /// A submitter's look after its push and its fence: whether it must try to take its tasklet back.
    #[inline]
    pub(crate) fn closed_meanwhile(&self) -> bool {
        !weakened(Site::ClosedSecondLook) && self.phase() != Phase::Open
    }

    /// The last worker's step before it looks for what is left. Partner: the submitter's fence.
    pub(crate) fn before_the_last_look(&self) {
        fence_at(Site::CloseFence);
    }
}
