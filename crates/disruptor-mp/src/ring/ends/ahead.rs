//! Copies the first events of a group while the producer still writes the rest.
//!
//! For layers whose groups are long. They must not show anything of a copy that is not confirmed.

use super::consumer::SharedConsumer;
use super::error::ConsumeError;
use super::patience::Patience;
use crate::ring::protocol::ahead::Ahead;
use crate::ring::protocol::form::Stamped;
use crate::schema::Event;
use crate::sync::wait::spin_first;

impl<E: Event> SharedConsumer<E, Stamped> {
    /// Begins to copy events that are not shown yet, from the next one on. `None`: messages are held, or the producer
    /// does not say when it gives a group up.
    #[doc(hidden)]
    pub fn begin_ahead(&self) -> Option<Ahead> {
        let side = &self.end.side;
        if side.is_plain() { side.core.begin_ahead() } else { None }
    }

    /// Whether the event `index` places after the next one is written, as part of a group that begins with the next one
    /// and is not whole. It may be written again, and is not shown. If `index` is not 0, the caller has found those
    /// before it written.
    #[doc(hidden)]
    #[inline]
    pub fn is_ahead(&self, index: usize) -> bool {
        i64::try_from(index).is_ok_and(|index| self.end.side.core.is_ahead(index))
    }

    /// [`is_ahead`](Self::is_ahead), after a wait of a few microseconds at most, which ends when the next event is
    /// there.
    #[doc(hidden)]
    pub fn is_soon_ahead(&mut self, index: usize) -> bool {
        let (_, spins) = spin_first(|| self.is_ahead(index) || self.end.side.look());
        self.end.side.counters.spins.add(spins.into());
        self.is_ahead(index)
    }

    /// Waits as [`wait_until_available`](Self::wait_until_available), but no longer than until the next event [is
    /// ahead](Self::is_ahead): one look at its stamp tells both.
    ///
    /// # Errors
    /// As [`wait_until_available`](Self::wait_until_available).
    #[doc(hidden)]
    pub fn wait_until_ahead(&mut self, patience: Patience) -> Result<(), ConsumeError> {
        self.end.wait_until_readable_or(patience, |side| side.core.is_ahead(0))
    }

    /// Copies bytes of the event `index` places after the next one, from `offset` on. They may be written meanwhile.
    ///
    /// # Panics
    /// If an event has no such bytes, or the ring no such event.
    #[doc(hidden)]
    #[inline]
    pub fn copy_ahead(&self, index: usize, offset: usize, into: &mut [u8]) {
        let core = &self.end.side.core;
        assert!(index < self.end.capacity(), "an event of the next lap");
        core.memory().copy_bytes(core.next() + index as i64, offset, into);
    }

    /// Whether the next event is there, and the bytes copied since `ahead` are its own and those of the rest of its
    /// group.
    #[doc(hidden)]
    pub fn is_confirmed(&mut self, ahead: Ahead) -> bool {
        let side = &mut self.end.side;
        side.is_plain() && side.look() && side.core.is_confirmed(ahead)
    }
}
