//! A consumer whose messages are held: its gate is not its read position, and returned messages are handed out first.

use super::ConsumerSide;
use crate::ring::ends::error::{ConsumeError, HeldLimit};
use crate::ring::ends::keeper::{Holding, Standing};
use crate::ring::ends::pace::now_ns;
use crate::ring::memory::layout::Carries;
use crate::ring::memory::mapped::Mapped;
use crate::ring::protocol::form::Form;
use crate::ring::protocol::held::{Bound, HELD_EVENTS_MAX, Held};
use crate::ring::protocol::memory::Memory;
use crate::ring::protocol::reader::Bookmark;
use crate::sync::bell::Park;
use crate::sync::primitive::Ordering;
use std::sync::Arc;
use std::time::Duration;

/// A message that was given back and is handed out again, and where we go on after it.
pub(super) struct Again<S: Carries> {
    pub(super) ticket: u64,
    pub(super) mark: Bookmark<<S::Form as Form>::Expected>,
}

/// For consumers with held messages.
impl<S: Carries> ConsumerSide<S> {
    /// From now on the gate is where the oldest held message begins, and not our read position.
    #[cold]
    pub(super) fn leave_gate(&mut self) {
        self.keeper.lock().held.begin_at(self.core.next());
        self.core.leave_gate();
        // No epoch of this process or of a child of it.
        self.plain_epoch = !self.fork_epoch;
    }

    /// [`look`](Self::look) where messages are held, or released after our position, or in a child of a fork. In the
    /// child there is nothing to read: its parent releases the slots, and the producer writes them.
    #[cold]
    #[inline(never)]
    pub(super) fn look_among_held(&mut self) -> bool {
        if self.is_forked() {
            return false;
        }
        self.forget_again();
        let keeper = Arc::clone(&self.keeper);
        let mut state = keeper.lock();
        state.held.read_on(self.core.next());
        if let Some(message) = state.held.returned() {
            // While it is in hand again, *delivered* is not enough: everything that was handed out must be marked for a
            // successor.
            let entry = self.core.memory().entry(self.member().index);
            entry.member.given_back_until.fetch_max(self.core.next(), Ordering::Relaxed);
            let mark = self.core.go_back((message.begin, message.end), message.expected);
            self.again = Some(Again { ticket: message.ticket, mark });
            self.marked_until = self.marked_until.max(message.end);
            return true;
        }
        self.step_over_released(&mut state.held);
        if state.held.is_idle() {
            self.plain_epoch = self.fork_epoch;
            self.core.return_to_gate(self.marked_until);
            drop(state);
            return self.look();
        }
        let found = !state.held.is_full() && self.core.look();
        drop(state);
        if found {
            self.note_lag();
        }
        found
    }

    /// Skips what a predecessor released.
    pub(super) fn step_over_released(&mut self, held: &mut Held<Mapped<S>>) {
        while let Some((begin, events)) = held.ahead() {
            let expected = self.core.expected();
            if begin == self.core.next() {
                for _ in 0..events {
                    if !self.core.pass_one() {
                        break;
                    }
                }
            }
            if self.core.next() <= begin {
                return;
            }
            held.step_over(self.core.next(), expected);
        }
    }

    /// Goes on where we were before a message was to be handed out again.
    pub(super) fn forget_again(&mut self) {
        if let Some(again) = self.again.take() {
            self.core.return_to(again.mark);
            self.core.deliver_to(self.core.next());
        }
    }

    #[cold]
    #[inline(never)]
    pub(super) fn acknowledge_slots_among_held(&mut self, position: i64, events: u64, each: u64) {
        self.acknowledge_among_held(position, events, events * each, position - 1);
    }

    #[cold]
    #[inline(never)]
    pub(super) fn acknowledge_among_held(&mut self, position: i64, events: u64, bytes: u64, last: i64) {
        if self.is_forked() {
            return;
        }
        let keeper = Arc::clone(&self.keeper);
        let mut state = keeper.lock();
        match &self.again {
            Some(again) => {
                if let Some(released) = state.held.release(again.ticket, position) {
                    state.count(released as u64, bytes);
                }
                self.forget_again();
            }
            None => {
                state.count(events, bytes);
                let (begin, expected) = (self.core.next(), self.core.expected());
                match self.core.read_on(position, events as i64, last) {
                    true => state.held.pass((begin, position), expected, events as usize),
                    false => state.held.read_on(self.core.next()),
                }
            }
        }
    }

    /// Goes on after padding, from our position to `end`.
    pub(in crate::ring::ends) fn pass_padding(&mut self, end: i64) {
        let begin = self.core.next();
        if self.is_plain() {
            // Released at once: the producer may be waiting for just these lines.
            self.core.give_back(end, 0, begin);
        } else if !self.is_forked() {
            self.core.read_on(end, 0, begin);
            self.keeper.lock().held.read_on(self.core.next());
        }
    }

    /// Takes what was handed out, from our position to `end`, as a held message, with its number of events and bytes.
    /// The last event begins at `last`.
    ///
    /// # Panics
    /// If they are more events than a message can have.
    #[cold]
    #[inline(never)]
    pub(in crate::ring::ends) fn hold(&mut self, end: i64, events: usize, bytes: u64, last: i64) -> Holding<S> {
        assert!(events <= HELD_EVENTS_MAX, "a lease of {events} events cannot be held: at most {HELD_EVENTS_MAX}");
        let begin = self.core.next();
        if self.is_forked() {
            return self.keeper.copied((begin, end));
        }
        if self.is_plain() {
            self.leave_gate();
        }
        let keeper = Arc::clone(&self.keeper);
        let mut state = keeper.lock();
        let ticket = match &self.again {
            Some(again) => {
                let ticket = again.ticket;
                state.held.take_again(ticket);
                self.forget_again();
                ticket
            }
            None => {
                let expected = self.core.expected();
                match self.core.read_on(end, events as i64, last) {
                    true => state.held.take((begin, end), expected, events, now_ns()),
                    false => state.held.take_doubted(begin, expected, now_ns()),
                }
            }
        };
        keeper.holding(&mut state, ticket, (begin, end), bytes)
    }

    /// Why nothing newer is handed out, if the reason is what is held. The call has waited for `waited`.
    #[cold]
    pub(in crate::ring::ends) fn held_limit(&self, waited: Duration) -> Option<ConsumeError> {
        if !self.is_full() {
            return None;
        }
        let Bound { held, oldest, since_ns } = self.keeper.lock().held.bound()?;
        let oldest_for = Duration::from_nanos(now_ns().saturating_sub(since_ns));
        Some(ConsumeError::HeldLimit(Box::new(HeldLimit { held, oldest, oldest_for, waited })))
    }

    /// Whether there may be something to read that cannot be taken before the oldest message is released.
    pub(in crate::ring::ends) fn is_full(&self) -> bool {
        !self.is_plain() && !self.is_forked() && self.keeper.standing() == Standing::Full
    }

    /// The second look before sleeping at the readers' bell. That bell is also rung when a message comes back, or when
    /// the oldest is released at the limit. `None`: do not sleep, look again.
    pub(in crate::ring::ends) fn prepare_park(&mut self) -> Option<Park> {
        if self.is_plain() {
            return self.core.prepare_park();
        }
        let park = self.core.announce_park();
        let goes_on = self.look() || (self.core.is_over() && !self.is_full());
        if goes_on { None } else { Some(park) }
    }

    /// Whether the event `index` places after the next one is there and can be taken together with it. If it is not
    /// known which event is the next one, finds out first. A message that comes back meanwhile waits until what was
    /// looked at before is taken.
    #[cold]
    #[inline(never)]
    pub(in crate::ring::ends) fn peek_among_held(&mut self, index: i64) -> bool {
        let goes_on = index > 0 && self.core.next() < self.core.readable();
        if self.is_forked() || (!goes_on && !self.look()) {
            return false;
        }
        while self.core.readable() - self.core.next() <= index {
            let ahead = if self.is_plain() { None } else { self.keeper.lock().held.ahead() };
            let is_whole = self.again.is_some() || ahead.is_some_and(|(begin, _)| begin <= self.core.readable());
            if is_whole || !self.core.look_further() {
                return false;
            }
        }
        true
    }

    /// Our gate: everything before it is released.
    pub(in crate::ring::ends) fn gate(&self) -> i64 {
        if self.is_plain() {
            return self.core.next();
        }
        self.core.memory().entry(self.member().index).position.load(Ordering::Relaxed)
    }
}
