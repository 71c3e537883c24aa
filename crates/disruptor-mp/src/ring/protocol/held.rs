//! What a consumer holds: messages that were taken in order and are released in any order.
//!
//! The consumer and the thread that has one of its messages use it one at a time: their lock is the caller's duty.
//!
//! ```text
//!            gate                              front
//!             v                                  v
//!  ... | done | held | released | held | returned | what is read next
//!                       `-- a word of the entry says so
//! ```
//! The gate is the beginning of the oldest message that is not released. A message that is released before an older one
//! is noted in a word of the entry, so that a successor does not hand it out again. A word is free as soon as the gate
//! has passed the events that it names. Words are cleared only when a consumer of another id takes the entry. Source:
//! RFC 0014.

use super::control::{Entry, RELEASED_WORDS};
use super::form::Form;
use super::memory::Memory;
use super::reader::store_gate;
use crate::step;
use crate::sync::announce::Announce;
#[cfg(not(loom))]
use crate::sync::cursor::POSITION_MAX;
use crate::sync::primitive::{Ordering, Site, order, weakened};
use std::collections::VecDeque;

/// How many messages one consumer can hold at a time. It counts from the oldest message that is still held; newer ones
/// count even if they are released. Only the release of the oldest makes room.
// The oldest needs no word. Each of the others has a word.
pub const HELD_MAX: usize = if cfg!(loom) { RELEASED_WORDS + 1 } else { RELEASED_WORDS };

/// How many events a held message can have: those of a lease of several.
pub(crate) const HELD_EVENTS_MAX: usize = 1 << 16;

/// What a form knows of the message that is expected at a position.
type ExpectedOf<M> = <<M as Memory>::Form as Form>::Expected;

/// One message that was taken.
#[derive(Clone, Copy)]
pub(crate) struct Message<X> {
    /// What its holder calls it.
    pub(crate) ticket: u64,
    pub(crate) begin: i64,
    pub(crate) end: i64,
    /// What the reader expected at `begin`.
    pub(crate) expected: X,
    /// How many events it is, at most [`HELD_EVENTS_MAX`].
    pub(crate) events: usize,
    /// How often it was given back.
    pub(crate) returns: u32,
    /// When it was taken, by the clock of the caller.
    since_ns: u64,
    standing: Standing,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Held,
    /// Must be handed out again.
    Returned,
    Released,
    /// Only its holder has it. The words at its place are not believed, and its release frees nothing. See
    /// [`Held::take_doubted`].
    Doubted,
}

/// What is held when no more can be taken.
#[cfg(not(loom))]
pub(crate) struct Bound {
    /// How many messages are held: taken, and not released.
    pub(crate) held: usize,
    /// What users call the oldest of them.
    pub(crate) oldest: i64,
    /// When that one was taken, by the clock of the caller.
    pub(crate) since_ns: u64,
}

/// The messages of one consumer between its gate and what it reads next.
pub(crate) struct Held<M: Memory> {
    memory: M,
    index: usize,
    announce: Announce,
    queue: VecDeque<Message<ExpectedOf<M>>>,
    /// What a predecessor released after the position that it left: beginnings, in order, with numbers of events.
    ahead: VecDeque<(i64, usize)>,
    /// What the words of the entry say: the beginning of what was released, plus one.
    words: [i64; RELEASED_WORDS],
    /// Everything before it was taken, or skipped.
    front: i64,
    /// The position that the entry has.
    gate: i64,
    next_ticket: u64,
}

impl<M: Memory> Held<M> {
    /// The owner of entry `index`. Its gate is at `position`. It finds what its predecessor had released.
    pub(crate) fn new(memory: M, index: usize, position: i64, announce: Announce) -> Self {
        let (mut words, mut ahead) = ([0; RELEASED_WORDS], Vec::new());
        for (at, word) in words.iter_mut().enumerate() {
            let (begin, events) = memory.entry(index).released(at);
            // Numbers from shared memory. A message outside of this range was released long ago, or never.
            if (position..=position.saturating_add(memory.capacity())).contains(&begin) {
                *word = begin + 1;
                ahead.push((begin, events));
            }
        }
        ahead.sort_unstable();
        ahead.dedup_by_key(|(begin, _)| *begin);
        let (queue, ahead) = (VecDeque::new(), ahead.into());
        Self { memory, index, announce, queue, ahead, words, front: position, gate: position, next_ticket: 0 }
    }

    /// Whether no message is between the gate and what is read next, and none after it is known to be released.
    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.ahead.is_empty()
    }

    /// Whether no newer message can be taken before the oldest is released. The oldest needs no word.
    pub(crate) fn is_full(&self) -> bool {
        !self.queue.is_empty() && self.queue.len() + self.ahead.len() >= HELD_MAX
    }

    /// What is held, if that is why no newer message can be taken.
    #[cfg(not(loom))]
    pub(crate) fn bound(&self) -> Option<Bound> {
        let oldest = self.queue.front().filter(|_| self.is_full())?;
        Some(Bound {
            held: self.queue.iter().filter(|message| message.standing != Standing::Released).count(),
            oldest: M::Form::number(oldest.expected, oldest.begin),
            since_ns: oldest.since_ns,
        })
    }

    /// How many events the predecessor had released.
    pub(crate) fn events_ahead(&self) -> usize {
        self.ahead.iter().map(|(_, events)| events).sum()
    }

    /// The consumer reads from `position` on without held messages; `position` is its gate.
    pub(crate) fn begin_at(&mut self, position: i64) {
        debug_assert!(self.queue.is_empty(), "a consumer that holds messages moves its gate through them");
        (self.front, self.gate) = (position, position);
    }

    /// The reader is at `front`. Everything before that was taken, or is nothing that could be taken.
    pub(crate) fn read_on(&mut self, front: i64) {
        self.front = self.front.max(front);
        self.move_gate();
    }

    /// Takes the message from `begin` to `end`, which the reader has passed. Returns its ticket.
    pub(crate) fn take(
        &mut self,
        (begin, end): (i64, i64),
        expected: ExpectedOf<M>,
        events: usize,
        now_ns: u64,
    ) -> u64 {
        self.push((begin, end), expected, events, now_ns, Standing::Held)
    }

    /// Takes a message after which something else is stored than its producer wrote. The reader stays before it and no
    /// longer believes the words there. The thread that has it may read it until it is released, which frees nothing.
    pub(crate) fn take_doubted(&mut self, begin: i64, expected: ExpectedOf<M>, now_ns: u64) -> u64 {
        self.push((begin, begin), expected, 1, now_ns, Standing::Doubted)
    }

    fn push(
        &mut self,
        (begin, end): (i64, i64),
        expected: ExpectedOf<M>,
        events: usize,
        since_ns: u64,
        standing: Standing,
    ) -> u64 {
        debug_assert!((1..=HELD_EVENTS_MAX).contains(&events) && begin >= self.gate);
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.queue.push_back(Message { ticket, begin, end, expected, events, returns: 0, since_ns, standing });
        self.front = self.front.max(end);
        if self.queue.len() == 1 {
            self.store_since();
        }
        ticket
    }

    /// Releases what is before `end` of a message, and returns how many events that was; `None` if nothing was
    /// released.
    ///
    /// If it is the oldest, the gate shows the release. Otherwise a word shows it, which is stored before this returns.
    pub(crate) fn release(&mut self, ticket: u64, end: i64) -> Option<usize> {
        let place = self.place_of(ticket)?;
        let message = self.queue[place];
        match message.standing {
            Standing::Released => return None,
            Standing::Doubted => {
                self.queue.remove(place);
                self.move_gate();
                return None;
            }
            Standing::Held | Standing::Returned if end < message.end => return self.release_part(place, end),
            Standing::Held | Standing::Returned => self.queue[place].standing = Standing::Released,
        }
        if place == 0 || weakened(Site::HeldGate) {
            self.move_gate();
        } else {
            self.note_released(message.begin, message.events);
        }
        Some(message.events)
    }

    /// The rest of a message of several events is handed out again. Unless it is the oldest, that is all of it: a word
    /// names only whole messages.
    fn release_part(&mut self, place: usize, end: i64) -> Option<usize> {
        let message = &mut self.queue[place];
        message.standing = Standing::Returned;
        if place > 0 || end <= message.begin {
            return None;
        }
        let expected = M::Form::expected_at(&self.memory, end);
        // For records, their numbers tell how many that are. The numbers come from shared memory, so at least one event
        // is left in any case.
        let released = M::Form::number(expected, end) - M::Form::number(message.expected, message.begin);
        let released = released.clamp(0, message.events as i64 - 1) as usize;
        (message.begin, message.events, message.expected) = (end, message.events - released, expected);
        self.move_gate();
        Some(released)
    }

    /// Gives a message back, to be handed out again. `false` if it is not to be.
    pub(crate) fn give_back(&mut self, ticket: u64) -> bool {
        let Some(place) = self.place_of(ticket) else { return false };
        let message = &mut self.queue[place];
        match message.standing {
            Standing::Held | Standing::Returned => {
                (message.standing, message.returns) = (Standing::Returned, message.returns.saturating_add(1));
                true
            }
            Standing::Doubted => {
                self.queue.remove(place);
                self.move_gate();
                false
            }
            Standing::Released => false,
        }
    }

    /// The reader has passed what is from `begin` to `end` and is done with it. The gate shows that, or a word.
    pub(crate) fn pass(&mut self, (begin, end): (i64, i64), expected: ExpectedOf<M>, events: usize) {
        if self.queue.is_empty() {
            return self.read_on(end);
        }
        let ticket = self.push((begin, end), expected, events, 0, Standing::Held);
        self.release(ticket, end);
    }

    /// A message that was handed out again is held.
    pub(crate) fn take_again(&mut self, ticket: u64) {
        if let Some(place) = self.place_of(ticket) {
            self.queue[place].standing = Standing::Held;
        }
    }

    /// The oldest of the messages that must be handed out again.
    pub(crate) fn returned(&self) -> Option<Message<ExpectedOf<M>>> {
        self.queue.iter().find(|message| message.standing == Standing::Returned).copied()
    }

    /// How often the message that begins at `position` was given back.
    pub(crate) fn returns_at(&self, position: i64) -> u32 {
        self.queue.iter().find(|message| message.begin == position).map_or(0, |message| message.returns)
    }

    /// The first of the messages that a predecessor released after the position that it left: where it begins, and its
    /// number of events.
    pub(crate) fn ahead(&self) -> Option<(i64, usize)> {
        self.ahead.front().copied()
    }

    /// The reader has passed the message that [`ahead`](Self::ahead) names, and is at `end`.
    pub(crate) fn step_over(&mut self, end: i64, expected: ExpectedOf<M>) {
        let Some((begin, events)) = self.ahead.pop_front() else { return };
        if !self.queue.is_empty() && begin >= self.front {
            // Its word stays until the gate has passed it.
            self.push((begin, end), expected, events, 0, Standing::Released);
        }
        self.read_on(end);
    }

    fn place_of(&self, ticket: u64) -> Option<usize> {
        self.queue.binary_search_by_key(&ticket, |message| message.ticket).ok()
    }

    /// Moves the gate over what is released from the oldest message on.
    fn move_gate(&mut self) {
        while self.queue.front().is_some_and(|oldest| oldest.standing == Standing::Released) {
            self.queue.pop_front();
        }
        let mut gate = self.queue.front().map_or(self.front, |oldest| oldest.begin);
        if weakened(Site::HeldGate) {
            // The end of the last released message, as if nothing older were held.
            let released = self.queue.iter().rev().find(|message| message.standing == Standing::Released);
            gate = released.map_or(gate, |message| message.end);
        }
        self.store_since();
        if gate > self.gate {
            self.gate = gate;
            // Release, in there: the reads of the threads that had these messages are over. Each thread released under
            // the lock that our caller holds.
            store_gate(&self.memory, self.index, self.announce, gate);
        }
    }

    /// Stores in the entry that a message that is not the oldest is released.
    fn note_released(&mut self, begin: i64, events: usize) {
        if weakened(Site::ReleasedStored) {
            return;
        }
        // A word that a successor may still need is not used. A free word names a message before the gate that is
        // stored.
        let is_free = |word: &i64| *word <= self.gate || weakened(Site::ReleasedFree);
        let at = self.words.iter().position(is_free).expect("there are as many words as messages can be held");
        self.words[at] = begin + 1;
        self.memory.entry(self.index).set_released(at, begin, events);
    }

    /// Stores in the entry since when the oldest message has been held.
    fn store_since(&self) {
        let since_ns = self.queue.front().map_or(0, |oldest| oldest.since_ns.max(1));
        let word = &self.memory.entry(self.index).member.held_since_ns;
        if word.load(Ordering::Relaxed) != since_ns {
            word.store(since_ns, Ordering::Relaxed);
        }
    }
}

/// The numbers of the messages that the owner of entry `index` was handed and has not released, as far as can be seen
/// now. At most [`HELD_MAX`].
#[cfg(not(loom))]
pub(crate) fn numbers_held<M: Memory>(memory: &M, index: usize) -> Vec<i64> {
    let entry = memory.entry(index);
    // Nothing here is gated. Any numbers may be in these words, so at most a lap of them is looked at.
    let position = entry.position.load(Ordering::Acquire).clamp(0, POSITION_MAX);
    let handed = entry.delivered.load(Ordering::Relaxed).max(entry.member.given_back_until.load(Ordering::Relaxed));
    let until = handed.min(position.saturating_add(memory.capacity()));
    let released: Vec<(i64, usize)> = (0..RELEASED_WORDS).map(|at| entry.released(at)).collect();
    let end_of = |at| memory.end_of(at).filter(|end| *end > at);
    let (mut numbers, mut at, mut to_pass) = (Vec::new(), position, 0);
    while at < until && numbers.len() < HELD_MAX {
        let Some(end) = end_of(at) else { break };
        to_pass = released.iter().find(|(begin, _)| *begin == at).map_or(to_pass, |(_, events)| *events);
        if to_pass == 0 {
            numbers.push(memory.number_at(at));
        }
        to_pass = to_pass.saturating_sub(1);
        at = end;
    }
    // Padding has the number of the record after it.
    numbers.dedup();
    numbers
}

impl Entry {
    /// Where the message begins that word `at` names, and its number of events; a beginning of -1 if it names none.
    pub(crate) fn released(&self, at: usize) -> (i64, usize) {
        // Acquire pairs with Release in `set_released`: a thread that sees the beginning sees the number of events, and
        // the gate that made room for it.
        let begin = self.released[at].load(order(Site::ReleasedAcquire, Ordering::Acquire)).saturating_sub(1);
        #[cfg(not(loom))]
        let events = usize::from(self.member.released_events[at].load(Ordering::Relaxed)) + 1;
        #[cfg(loom)]
        let events = 1;
        (begin, events)
    }

    /// Stores that the message of `events` events that begins at `begin` is released. The word may still name a message
    /// before the gate; that gate was stored before.
    fn set_released(&self, at: usize, begin: i64, events: usize) {
        #[cfg(not(loom))]
        self.member.released_events[at].store((events - 1) as u16, Ordering::Relaxed);
        #[cfg(loom)]
        let _ = events;
        // Release pairs with Acquire in `released`: a thread that finds the word replaced finds the gate after the
        // message that it named.
        self.released[at].store(begin + 1, order(Site::ReleasedRelease, Ordering::Release));
        step!(ReleasedStored);
    }

    /// Clears what consumers of other ids released here. The caller holds the entry's lock byte, and the entry is not
    /// *active* yet: the new owner may start before what they released.
    pub(crate) fn clear_released(&self) {
        if weakened(Site::ReleasedCleared) {
            return;
        }
        for word in self.released.iter().filter(|word| word.load(Ordering::Relaxed) != 0) {
            // Relaxed: the Release of the status, *joining*, makes it visible.
            word.store(0, Ordering::Relaxed);
            step!(ReleasedCleared);
        }
    }
}
