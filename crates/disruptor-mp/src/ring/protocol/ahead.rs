//! Copies the events of a group while the producer still writes the rest of it. Only on rings with stamps.
//!
//! ```text
//! attempt        a
//! stamps         0 0 0 0    -1 0 0 0    -1 2 0 0    -1 2 3 0    -1 2 3 4    1 2 3 4
//! reader         a? and copies     0           1           2           3    believes it, if still a
//! ```
//! A stamp of -n says that its event is written but not shown yet. So does each stamp after it in the group. A producer
//! that gives a group up takes these stamps back and begins another attempt; so does a producer that takes over. It
//! stores the *attempt* after the stamps are taken back and before it stores new ones. A reader checks the attempt
//! twice: before it looks at the first stamp, and when the first event of the group is shown. If the attempt is the
//! same, it has copied that group only. The stamps alone are not enough: those of the next group at the same place are
//! equal.

use super::form::Stamped;
use super::memory::Memory;
use super::reader::Reader;
use super::stamped::begun_with;
use crate::sync::primitive::{Ordering, Site, order, weakened};

/// Where a reader has begun to copy events that are not shown yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ahead {
    first: i64,
    attempt: u64,
}

impl<M: Memory<Form = Stamped>> Reader<M> {
    /// Begins to copy at our position. `None`: this producer does not say when it gives a group up.
    pub(crate) fn begin_ahead(&self) -> Option<Ahead> {
        let attempt = self.memory().control().producer.attempt()?;
        Some(Ahead { first: self.next(), attempt })
    }

    /// Whether the event `index` places after our position is written, as part of a group that begins there. The group
    /// may not be whole yet, or may have become whole since. Its bytes must be copied as a tap does: they may be
    /// written again meanwhile.
    #[inline(always)]
    pub(crate) fn is_ahead(&self, index: i64) -> bool {
        // A lap ahead of us is the slot at our own position.
        let position = self.next() + index;
        // Acquire pairs with Release in `Stamped::write_group`: a reader that sees the stamp copies that payload or a
        // newer one.
        let stamp = if index == 0 { begun_with(position) } else { position + 1 };
        index < self.memory().capacity()
            && self.memory().word(position).load(order(Site::StampAcquire, Ordering::Acquire)) == stamp
    }

    /// Whether what was copied since `ahead` are the events that are there now. The caller has found the next event, so
    /// no event of its group is written again before we have passed it.
    pub(crate) fn is_confirmed(&self, ahead: Ahead) -> bool {
        // The look that found the first stamp is Acquire, and that stamp was stored after the attempt of its group.
        let is_same_attempt =
            weakened(Site::AttemptSecondLook) || self.memory().control().producer.attempt() == Some(ahead.attempt);
        ahead.first == self.next() && is_same_attempt
    }
}
