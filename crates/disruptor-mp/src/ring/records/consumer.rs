//! The reading end of a ring of records.
//!
//! **Lives here:** [`RecordConsumer`]; what it hands out is in `lease`. **Builds on:** `consumer_end` for the waits, `word`.
//! **May touch it:** one process, one thread at a time.

use super::lease::{RecordLease, RecordMeta};
use super::line::RecordLine;
use super::word::Word;
use crate::ring::consumer_end::ConsumerEnd;
use crate::ring::error::ConsumeError;
use crate::ring::memory::Memory;
use crate::ring::patience::Patience;
use crate::sync::primitive::Ordering;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::time::Instant;

/// One consumer of a ring of records: it sees every record from its start on, in order, and the producer waits for it. Delivery is
/// *at least once*, as for [`SharedConsumer`](crate::SharedConsumer).
pub struct RecordConsumer {
    end: ConsumerEnd<RecordLine>,
}

/// What lies at a position, and the position behind it.
enum Found {
    Record {
        bytes: NonNull<[u8]>,
        meta: RecordMeta,
        end: i64,
    },
    Padding {
        end: i64,
    },
    /// A word that no producer has stored.
    Damage,
}

impl RecordConsumer {
    pub(crate) fn new(end: ConsumerEnd<RecordLine>) -> Self {
        Self { end }
    }

    /// The next record, in place; waits for it as `patience` says. `None` only for [`Patience::Now`], if there is none.
    ///
    /// # Errors
    /// See [`ConsumeError`]; everything published before the end is delivered first.
    #[inline]
    pub fn next(&mut self, patience: Patience) -> Result<Option<RecordLease<'_>>, ConsumeError> {
        loop {
            if !self.end.look() {
                if patience == Patience::Now {
                    return self.end.step_over_nonsense().map_or(Ok(None), Err);
                }
                self.end.wait(patience.deadline())?;
            }
            let begin = self.end.core.next();
            match self.look_at(begin, self.end.core.readable()) {
                Found::Record { bytes, meta, end } => {
                    self.end.core.deliver_to(end);
                    // SAFETY: `look_at` has checked that they lie in the ring. They were committed before `look` found them (Acquire), and our
                    // gate, which keeps the producer off them, advances only when the lease is dropped. The memory is mapped for as long
                    // as the consumer lives, which the lease borrows.
                    let bytes = unsafe { bytes.as_ref() };
                    return Ok(Some(RecordLease::new(&mut self.end, bytes, meta, (begin, end))));
                }
                // Released at once: the producer may wait for just these lines.
                Found::Padding { end } => self.end.core.advance_to(end),
                Found::Damage => self.end.core.forget_readable_from(begin),
            }
        }
    }

    /// Waits until there is a record to read, without taking it; [`next`](Self::next) then finds it with [`Patience::Now`].
    ///
    /// [`ConsumerEnd`] has a method of this name, too, which also ends where nothing but padding is there.
    ///
    /// # Errors
    /// See [`ConsumeError`].
    pub fn wait_until_available(&mut self, deadline: Option<Instant>) -> Result<(), ConsumeError> {
        loop {
            self.end.wait_until_available(deadline)?;
            let begin = self.end.core.next();
            match self.look_at(begin, self.end.core.readable()) {
                Found::Record { .. } => return Ok(()),
                Found::Padding { end } => self.end.core.advance_to(end),
                Found::Damage => self.end.core.forget_readable_from(begin),
            }
        }
    }

    /// Hands every record that can be read now to `handler`, and returns how many those were. They are acknowledged together after the
    /// last; if `handler` panics, those before it are.
    #[inline]
    pub fn process_available(&mut self, mut handler: impl FnMut(&[u8], RecordMeta)) -> usize {
        /// Acknowledges what was handled, also while unwinding.
        struct Handled<'a> {
            consumer: &'a mut RecordConsumer,
            position: i64,
            count: u64,
            bytes: u64,
        }
        impl Drop for Handled<'_> {
            #[inline(always)]
            fn drop(&mut self) {
                if self.position > self.consumer.end.core.next() {
                    self.consumer.end.acknowledge(self.position, self.count, self.bytes, true);
                }
            }
        }
        if !self.end.look_for_all() {
            return 0;
        }
        let (begin, until) = (self.end.core.next(), self.end.core.readable());
        self.end.core.deliver_to(until);
        let mut handled = Handled { consumer: self, position: begin, count: 0, bytes: 0 };
        while handled.position < until {
            match handled.consumer.look_at(handled.position, until) {
                Found::Record { bytes, meta, end } => {
                    // SAFETY: as in `next`; our gate stands at `begin`, and moves when `handled` is dropped.
                    handler(unsafe { bytes.as_ref() }, meta);
                    handled.position = end;
                    handled.count += 1;
                    handled.bytes += bytes.len() as u64;
                }
                Found::Padding { end } => handled.position = end,
                Found::Damage => {
                    handled.consumer.end.core.forget_readable_from(handled.position);
                    break;
                }
            }
        }
        handled.count as usize
    }

    /// Gives the place up: see [`SharedConsumer::leave`](crate::SharedConsumer::leave).
    pub fn leave(mut self) {
        self.end.leave_on_drop();
    }

    /// Steps over the next record without looking at it: for one that has killed its consumer before. `false` if there is none now.
    ///
    /// # Errors
    /// See [`next`](Self::next).
    pub fn skip(&mut self) -> Result<bool, ConsumeError> {
        Ok(self.next(Patience::Now)?.is_some())
    }

    /// What lies at `position`, which has been seen committed, is gated by our gate, and ends before `until`.
    #[inline(always)]
    fn look_at(&self, position: i64, until: i64) -> Found {
        let memory = self.end.core.memory();
        // Relaxed: whoever found out that something is there has had the Acquire. Loaded once, checked, then used.
        let word = memory.stamp(position).load(Ordering::Relaxed);
        match Word::unpack(word, position, memory.capacity()).filter(|(_, end)| *end <= until) {
            Some((Word::Record { len, kind, flags, .. }, end)) => {
                let sequence = memory.number_at(position);
                let redeliveries = self.end.redelivery_of(position);
                let meta = RecordMeta { sequence, kind, flags, redeliveries };
                Found::Record { bytes: memory.record(position, len as usize), meta, end }
            }
            Some((Word::Padding { .. }, end)) => Found::Padding { end },
            None => Found::Damage,
        }
    }
}

impl Deref for RecordConsumer {
    type Target = ConsumerEnd<RecordLine>;

    #[inline(always)]
    fn deref(&self) -> &ConsumerEnd<RecordLine> {
        &self.end
    }
}

impl DerefMut for RecordConsumer {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut ConsumerEnd<RecordLine> {
        &mut self.end
    }
}
