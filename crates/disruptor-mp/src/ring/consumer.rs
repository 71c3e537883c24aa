//! The reading end of a ring of events.
//!
//! **Lives here:** [`SharedConsumer`]; what it hands out is in `lease`, how it waits in `consumer_end`. **Builds on:** `reader` for the
//! algorithm. **May touch it:** one process, one thread at a time.

use super::consumer_end::ConsumerEnd;
use super::error::ConsumeError;
use super::lease::{BatchLease, Lease};
use crate::Sequence;
use crate::schema::Event;
use std::ops::{Deref, DerefMut};
use std::time::Instant;

/// One consumer of a ring: it sees every event from its start on, in order, and the producer waits for it.
///
/// Delivery is *at least once*: an event is acknowledged when its lease is dropped, never before the application has seen it. A
/// consumer that is killed and comes back under its id gets what it had not acknowledged again, marked
/// [redelivered](Lease::is_redelivered).
///
/// Dropping the consumer gives its place up, and with it what was not acknowledged, unless the program asked for
/// [`keep_place`](ConsumerEnd::keep_place). A panic that drops the consumer keeps the place of a consumer whose id the program chose: who
/// attaches again under that id, in whatever process, continues as after a death.
pub struct SharedConsumer<E: Event> {
    end: ConsumerEnd<E>,
}

/// `SharedConsumer` on a mapped file; the place is an argument, not another type.
pub type MmapConsumer<E> = SharedConsumer<E>;

impl<E: Event> SharedConsumer<E> {
    pub(crate) fn new(end: ConsumerEnd<E>) -> Self {
        Self { end }
    }

    /// The next event, if there is one now. The lease gives access to the slot itself; dropping it acknowledges the event.
    #[inline]
    pub fn try_consume_next_leased(&mut self) -> Option<Lease<'_, E>> {
        if self.look() { Some(Lease::new(self)) } else { None }
    }

    /// The next event; waits for it without a limit other than the end of the ring or the producer's death.
    ///
    /// # Errors
    /// See [`ConsumeError`]; everything published before the end is delivered first.
    #[inline]
    pub fn consume_next_leased(&mut self) -> Result<Lease<'_, E>, ConsumeError> {
        if !self.look() {
            self.wait(None)?;
        }
        Ok(Lease::new(self))
    }

    /// The next event; gives up at `deadline`.
    ///
    /// # Errors
    /// As [`consume_next_leased`](Self::consume_next_leased), and `TimedOut`.
    #[inline]
    pub fn consume_next_leased_deadline(&mut self, deadline: Instant) -> Result<Lease<'_, E>, ConsumeError> {
        if !self.look() {
            self.wait(Some(deadline))?;
        }
        Ok(Lease::new(self))
    }

    /// Everything that can be read now, at most `max` events, as one lease that is acknowledged as a whole. `None` if there is nothing.
    #[inline]
    pub fn try_consume_batch_leased(&mut self, max: usize) -> Option<BatchLease<'_, E>> {
        if max > 0 && self.look_for_all() { Some(BatchLease::new(self, max)) } else { None }
    }

    /// [`try_consume_batch_leased`](Self::try_consume_batch_leased) that waits for the first event, until `deadline` if there is one.
    ///
    /// # Errors
    /// See [`ConsumeError`].
    ///
    /// # Panics
    /// If `max` is 0.
    #[inline]
    pub fn consume_batch_leased(
        &mut self,
        max: usize,
        deadline: Option<Instant>,
    ) -> Result<BatchLease<'_, E>, ConsumeError> {
        assert!(max > 0, "a batch has room for at least one event");
        if !self.look_for_all() {
            self.wait(deadline)?;
        }
        Ok(BatchLease::new(self, max))
    }

    /// Hands everything that can be read now to `handler`, and returns how many events that were. They are acknowledged together after
    /// the last; if `handler` panics, those before it are.
    pub fn process_available(&mut self, mut handler: impl FnMut(&E, Sequence)) -> usize {
        self.process_available_to_end(|event, sequence, _| handler(event, sequence))
    }

    /// [`process_available`](Self::process_available) whose handler is told which event is the last of the batch.
    #[inline]
    pub fn process_available_to_end(&mut self, handler: impl FnMut(&E, Sequence, bool)) -> usize {
        match self.try_consume_batch_leased(usize::MAX) {
            Some(batch) => batch.process(handler),
            None => 0,
        }
    }

    /// Gives the place up, whatever was asked for before: what was not acknowledged is lost to this id, and the id is free. A producer that
    /// requires this consumer is told.
    pub fn leave(mut self) {
        self.end.leave_on_drop();
    }

    /// Steps over the next event without looking at it: for one that has killed its consumer before. `false` if there is none now.
    pub fn skip(&mut self) -> bool {
        self.try_consume_next_leased().is_some()
    }
}

impl<E: Event> Deref for SharedConsumer<E> {
    type Target = ConsumerEnd<E>;

    #[inline(always)]
    fn deref(&self) -> &ConsumerEnd<E> {
        &self.end
    }
}

impl<E: Event> DerefMut for SharedConsumer<E> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut ConsumerEnd<E> {
        &mut self.end
    }
}
