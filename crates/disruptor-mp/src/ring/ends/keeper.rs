//! What a consumer shares with its held messages: its entry in the table, and the list of what is held.
//!
//! The entry, its lock and the mapping live as long as the consumer or one of its messages. In the child of a fork all
//! of this is a copy that does nothing. It takes no lock, because a thread that does not exist in the child may hold
//! the lock.

use super::consumer_side::{ConsumerCounters, Parting};
use crate::counters::{CounterHandle, EndCounters};
use crate::ring::lineage;
use crate::ring::membership::{Member, PRODUCER_BYTE};
use crate::ring::memory::layout::Carries;
use crate::ring::memory::mapped::Mapped;
use crate::ring::protocol::ending::Ending;
use crate::ring::protocol::held::Held;
use crate::ring::protocol::memory::Memory;
use crate::sync::announce::Announce;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a consumer and its held messages have in common.
pub(super) struct Keeper<S: Carries> {
    memory: Mapped<S>,
    fork_epoch: u32,
    state: Mutex<State<S>>,
}

/// The state that they share.
pub(super) struct State<S: Carries> {
    pub(super) held: Held<Mapped<S>>,
    /// Messages that are neither released nor given back.
    outstanding: usize,
    consumed: CounterHandle,
    bytes: CounterHandle,
    /// What is left to do for a consumer that is gone, once none of its messages is outstanding.
    departure: Option<Departure>,
    /// The consumer was made one of a killed process: nothing is stored any more.
    is_dead: bool,
}

/// Whether a consumer can have another message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Yes, if there is one.
    Open,
    /// Yes: one was given back.
    Returned,
    /// No newer one before the oldest is released.
    Full,
}

impl<S: Carries> Keeper<S> {
    /// The keeper of the owner of entry `index`, which is at `position`.
    pub(super) fn new(memory: Mapped<S>, index: usize, position: i64, counters: &ConsumerCounters) -> Arc<Self> {
        let state = State {
            held: Held::new(memory.clone(), index, position, Announce::best()),
            outstanding: 0,
            consumed: counters.consumed.clone(),
            bytes: counters.bytes.clone(),
            departure: None,
            is_dead: false,
        };
        Arc::new(Self { memory, fork_epoch: crate::segment::fork_epoch(), state: Mutex::new(state) })
    }

    #[cfg(target_os = "linux")]
    pub(super) fn memory(&self) -> &Mapped<S> {
        &self.memory
    }

    /// A child of a fork must not call this.
    pub(super) fn lock(&self) -> MutexGuard<'_, State<S>> {
        // No code of a user runs under it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn standing(&self) -> Standing {
        let state = self.lock();
        match state.held.returned() {
            Some(_) => Standing::Returned,
            None if state.held.is_full() => Standing::Full,
            None => Standing::Open,
        }
    }

    /// A message that was taken under this `ticket`, from `begin` to `end`.
    pub(super) fn holding(
        self: &Arc<Self>,
        state: &mut State<S>,
        ticket: u64,
        span: (i64, i64),
        bytes: u64,
    ) -> Holding<S> {
        state.outstanding += 1;
        Holding { keeper: Arc::clone(self), ticket, span, bytes, is_released: false }
    }

    /// A message of a parent process: nothing may be stored about it.
    pub(super) fn copied(self: &Arc<Self>, span: (i64, i64)) -> Holding<S> {
        Holding { keeper: Arc::clone(self), ticket: u64::MAX, span, bytes: 0, is_released: false }
    }

    /// The consumer is gone. `Some`: so are its messages, and the caller must do the rest.
    pub(super) fn depart(&self, mut departure: Departure) -> Option<Departure> {
        let mut state = self.lock();
        // The consumer has looked before it decided how it leaves; another thread may have given one back since.
        if state.held.returned().is_some() {
            departure.note_returned();
        }
        if state.outstanding == 0 {
            return Some(departure);
        }
        state.departure = Some(departure);
        None
    }

    /// From now on nothing is stored, as if the process had been killed.
    #[cfg(feature = "dst")]
    pub(super) fn abandon(&self) {
        self.lock().is_dead = true;
    }

    /// A message is not held any more.
    fn let_go(&self, message: &Holding<S>) {
        if self.fork_epoch != crate::segment::fork_epoch() {
            return;
        }
        let mut state = self.lock();
        let has_news = !state.is_dead && state.let_go(message);
        state.outstanding -= 1;
        let departure = if state.outstanding == 0 { state.departure.take() } else { None };
        drop(state);
        if has_news {
            // The consumer may wait at the bell that the producer rings. It then learns that there is a message again,
            // or room for one. The bell is rung without a question whether the consumer waits, so no barrier is needed
            // before.
            self.memory.control().readers.0.ring();
        }
        if let Some(departure) = departure {
            departure.finish(&self.memory);
        }
    }
}

impl<S: Carries> State<S> {
    /// Counts what was acknowledged. The thread that counts has the lock: a counter has one writer at a time.
    pub(super) fn count(&self, events: u64, bytes: u64) {
        self.consumed.add(events);
        self.bytes.add(bytes);
    }

    /// Counts there from now on.
    pub(super) fn count_into(&mut self, counters: &ConsumerCounters) {
        (self.consumed, self.bytes) = (counters.consumed.clone(), counters.bytes.clone());
    }

    /// Releases a message or gives it back. Returns whether its consumer can now have a message that it could not have
    /// before.
    fn let_go(&mut self, message: &Holding<S>) -> bool {
        if !message.is_released {
            let has_returned = self.held.give_back(message.ticket);
            if has_returned && let Some(departure) = &mut self.departure {
                departure.note_returned();
            }
            return has_returned;
        }
        let was_full = self.held.is_full();
        if let Some(released) = self.held.release(message.ticket, message.span.1) {
            self.count(released as u64, message.bytes);
        }
        was_full && !self.held.is_full() || self.held.returned().is_some()
    }
}

/// A held message. Dropping it releases it if it is marked so, and gives it back otherwise.
pub(super) struct Holding<S: Carries> {
    keeper: Arc<Keeper<S>>,
    ticket: u64,
    /// Where it begins, and where the next one begins.
    span: (i64, i64),
    bytes: u64,
    is_released: bool,
}

impl<S: Carries> Holding<S> {
    /// The ring, in which the bytes of the message do not change.
    pub(super) fn memory(&self) -> &Mapped<S> {
        &self.keeper.memory
    }

    pub(super) fn begin(&self) -> i64 {
        self.span.0
    }

    pub(super) fn end(&self) -> i64 {
        self.span.1
    }

    /// Marks it as released, and drops it.
    pub(super) fn release(mut self) {
        self.is_released = true;
    }
}

impl<S: Carries> Drop for Holding<S> {
    fn drop(&mut self) {
        self.keeper.let_go(self);
    }
}

/// A consumer that is gone, and has its entry until its last message is gone, too.
pub(super) struct Departure {
    pub(super) member: Member,
    pub(super) counters: EndCounters,
    /// How it goes; `None` if it gives its entry up.
    pub(super) ending: Option<Ending>,
    /// What it was to do with its entry.
    pub(super) parting: Parting,
}

impl Departure {
    /// A message was given back after the consumer has gone. The entry is kept for a successor if it would have been
    /// kept had the message been given back before; if by a panic, as if the panic had dropped the consumer.
    fn note_returned(&mut self) {
        if self.ending.is_none() && self.parting != Parting::LeavesAlways {
            self.ending = match std::thread::panicking() {
                true => Some(Ending::Panicked),
                false => self.parting.keeps().then_some(Ending::Dropped),
            };
        }
    }

    /// Gives the entry up, or releases its lock and keeps the entry.
    pub(super) fn finish<S: Carries>(self, memory: &Mapped<S>) {
        self.counters.end();
        let is_kept = self.ending.is_some();
        match self.ending {
            None => self.member.leave(memory),
            Some(ending) => self.member.keep(memory, ending),
        }
        // The last process that leaves a ring whose producer has died removes the ring. Nothing happens if a process
        // lives in it, or if a consumer may come back for what is there.
        let segment = memory.segment();
        match segment.is_held(PRODUCER_BYTE) {
            // Another ring has its name by now.
            Ok(false) if segment.has_second_name() => lineage::tidy::<S>(segment),
            // The ring and its counters must stay for a successor.
            Ok(false) if is_kept => {}
            Ok(false) => lineage::remove_unneeded::<S>(segment, segment.place(), true),
            _ => {}
        }
    }
}
