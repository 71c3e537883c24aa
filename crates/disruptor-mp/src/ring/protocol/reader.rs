//! The consumer's half of the algorithm: what may be read, and how slots are given back. Each reader owns one entry of
//! the table.

use super::damage;
use super::form::{Form, Lines};
use super::memory::Memory;
use crate::step;
use crate::sync::announce::Announce;
use crate::sync::bell::Park;
use crate::sync::primitive::{Ordering, Site, fence_at, order, weakened};

/// What a consumer knows beyond what is in the ring.
pub(crate) struct Reader<M: Memory> {
    memory: M,
    index: usize,
    /// The next sequence to read: the gate that we have stored.
    next: i64,
    /// What tells the event at `next` from what was there a lap ago, and whether a word there is believed: see
    /// [`give_back`](Self::give_back).
    expected: <M::Form as Form>::Expected,
    /// Events before this position may be read without looking.
    readable: i64,
    /// How many events the stamps alone have shown since a look last found nothing.
    followed: u32,
    /// How many stamps [`look_for_all`](Self::look_for_all) follows before it asks the cursor; 0 while events are
    /// handed out singly.
    follow: i64,
    /// Events before this position are handed out one at a time: one of them may have killed the process that had them
    /// before.
    singly_until: i64,
    /// Whether `next` is our gate. It is not while messages before it are held.
    is_gate: bool,
    announce: Announce,
}

/// What a reader knows of its position while it goes back to hand a message out again.
#[derive(Clone, Copy)]
pub(crate) struct Bookmark<X> {
    next: i64,
    expected: X,
}

impl<X> Bookmark<X> {
    /// Where the reader goes on.
    #[cfg(not(loom))]
    pub(crate) fn next(&self) -> i64 {
        self.next
    }
}

/// Stores the gate of entry `index`, and wakes the producer if it sleeps for it.
#[inline(always)]
pub(super) fn store_gate<M: Memory>(memory: &M, index: usize, announce: Announce, position: i64) {
    let entry = memory.entry(index);
    // Release pairs with Acquire in `Sequencer::scan`: our reads of the slots are over before the producer may write
    // them.
    entry.position.store(position, order(Site::GateRelease, Ordering::Release));
    step!(GateStored);
    announce.before_look();
    entry.writer.ring_if_awaited();
}

impl<M: Memory> Reader<M> {
    /// The reader that owns entry `index`. The gate of that entry is at `next`.
    pub(crate) fn new(memory: M, index: usize, next: i64, announce: Announce) -> Self {
        memory.entry(index).announce.store(announce as u32, Ordering::Relaxed);
        // SeqCst fence, partner in `before_second_look_at`: a producer that parks either finds how we announce, or had
        // announced itself before our first look at its bell.
        fence_at(Site::AnnounceFence, Ordering::SeqCst);
        let (follow, expected) = (i64::from(M::FOLLOW_STAMPS), M::Form::expected_at(&memory, next));
        let (followed, singly_until, is_gate) = (0, next, true);
        Self { memory, index, next, expected, readable: next, followed, follow, singly_until, is_gate, announce }
    }

    /// Hands events before `position` out one at a time, so that after a death it is known which event was in hand.
    /// Costs nothing afterwards: only the looks that ask the cursor, which are rare, check it.
    #[cold]
    pub(crate) fn hand_out_singly_until(&mut self, position: i64) {
        if position > self.next {
            (self.follow, self.singly_until, self.readable) = (0, position, self.next);
        }
    }

    /// Whether a look that has found something may have been answered with one of several events.
    #[inline(always)]
    pub(crate) fn hands_out_singly(&self) -> bool {
        self.follow == 0
    }

    pub(crate) fn memory(&self) -> &M {
        &self.memory
    }

    /// The entry that is ours.
    #[cfg(all(test, loom))]
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// The next sequence to read.
    #[inline(always)]
    pub(crate) fn next(&self) -> i64 {
        self.next
    }

    /// What users call the next event to read.
    #[inline(always)]
    pub(crate) fn number(&self) -> i64 {
        M::Form::number(self.expected, self.next)
    }

    /// The end of what is known to be readable.
    #[inline(always)]
    pub(crate) fn readable(&self) -> i64 {
        self.readable
    }

    /// Whether the next event may be read.
    /// A reader that follows the producer closely looks at the stamp of the next slot only. That line is also the one
    /// on which the payload starts, and the cursor's line, which the producer writes with every event, stays in the
    /// producer's cache. A reader that has found [`FOLLOW_STAMPS`](Memory::FOLLOW_STAMPS) stamps without waiting lags.
    /// It asks the cursor once how far it may go.
    #[inline(always)]
    pub(crate) fn look(&mut self) -> bool {
        self.next < self.readable || self.look_at_word()
    }

    #[inline(always)]
    fn look_at_word(&mut self) -> bool {
        let end = match self.memory.end_of(self.next) {
            Some(end) if self.is_believed() => end,
            _ => {
                self.followed = 0;
                return false;
            }
        };
        self.followed += 1;
        if self.followed < M::FOLLOW_STAMPS {
            self.readable = end;
        } else {
            self.followed = 0;
            self.look_at_cursor(end);
        }
        true
    }

    /// Whether a word at our position is believed. `give_back` has seen that it is the expected one.
    #[inline(always)]
    pub(crate) fn is_believed(&self) -> bool {
        M::Form::is_believed(self.expected)
    }

    /// [`look`](Self::look) for a caller that takes everything that is there. What we know to be readable may be an old
    /// answer, so this follows the stamps from there on; their lines are read next in any case. If there are many
    /// stamps, it asks the cursor once.
    #[inline(always)]
    pub(crate) fn look_for_all(&mut self) -> bool {
        if !self.look() {
            return false;
        }
        let lap = self.next + self.memory.capacity();
        let limit = lap.min(self.readable + self.follow);
        let mut end = self.readable;
        while end < limit
            && let Some(next) = self.memory.end_of(end)
            && next <= lap
        {
            end = next;
        }
        self.readable = end;
        if end >= limit && (end < lap || self.follow == 0) {
            self.look_at_cursor(end);
        }
        true
    }

    /// Whether the event after those that are known to be readable is there as well.
    #[inline]
    pub(crate) fn look_further(&mut self) -> bool {
        // Nothing can be published a lap ahead of us: its slot is the one at our own position.
        let lap = self.next + self.memory.capacity();
        match self.memory.end_of(self.readable) {
            Some(end) if end <= lap => self.readable = end,
            _ => return false,
        }
        true
    }

    /// Asks the cursor how far we may go; at least to `stamped`, which a stamp has shown.
    #[inline]
    fn look_at_cursor(&mut self, stamped: i64) {
        if self.follow == 0 {
            return self.look_at_marked(stamped);
        }
        // The cursor may lag the stamp. It cannot be more than one lap ahead of our gate, and the stamp before it must
        // agree. A number that fails this is not followed; the stamps lead on one by one.
        let published = self.memory.control().cursor.acquire();
        let lap = self.next + self.memory.capacity();
        let is_believed = published > stamped && published <= lap && self.memory.confirms_published(published);
        self.readable = if is_believed { published } else { stamped };
    }

    /// Up to the end of the next event and no further, while it is one of those that are handed out singly.
    #[cold]
    #[inline(never)]
    fn look_at_marked(&mut self, stamped: i64) {
        if self.next < self.singly_until {
            // What a look has found is one event, or all of a message that is handed out again.
            if self.readable <= self.next {
                self.readable = self.memory.end_of(self.next).unwrap_or(stamped);
            }
        } else {
            self.follow = i64::from(M::FOLLOW_STAMPS);
            self.look_at_cursor(stamped);
        }
    }

    /// Notes that events before `position` have been handed to the application.
    #[inline(always)]
    pub(crate) fn deliver_to(&self, position: i64) {
        self.memory.entry(self.index).delivered.store(position, Ordering::Relaxed);
        step!(DeliveredStored);
    }

    /// Gives back everything before `position`, and wakes the producer if it sleeps for it.
    #[inline(always)]
    pub(crate) fn advance_to(&mut self, position: i64) {
        debug_assert!(position > self.next && position <= self.readable, "advanced beyond what was readable");
        self.next = position;
        store_gate(&self.memory, self.index, self.announce, position);
    }

    /// [`advance_to`](Self::advance_to) where there is nothing to give back: the gate stays if messages before it are
    /// [held](super::held).
    #[cold]
    #[inline(never)]
    fn step_to(&mut self, position: i64) {
        if self.is_gate {
            self.advance_to(position);
        } else {
            self.next = position;
        }
    }

    /// [`advance_to`](Self::advance_to) over `events`, the last of which, or the padding after them, begins at `last`.
    ///
    /// A word that was forged where the next record will begin looks like any other. But a producer stores the number
    /// after a record before it commits the record. If another number is there, nothing from `last` on is given back:
    /// the producer does not believe a reader that is ahead of it.
    #[inline(always)]
    pub(crate) fn give_back(&mut self, position: i64, events: i64, last: i64) {
        match M::Form::expected_after(&self.memory, self.expected, events, position) {
            Some(expected) => {
                self.advance_to(position);
                self.expected = expected;
            }
            None => self.distrust(last),
        }
    }

    /// Gives back what is before `last`. Believes no word there until the cursor has passed it, so that the word is not
    /// found again.
    #[cold]
    #[inline(never)]
    fn distrust(&mut self, last: i64) {
        if last > self.next {
            self.step_to(last);
        }
        self.expected = M::Form::doubted_at(&self.memory, last);
        self.readable = last;
        self.deliver_to(last);
    }

    /// From now on our position is not our gate, and events are handed out one at a time: messages before the position
    /// are held.
    #[cold]
    pub(crate) fn leave_gate(&mut self) {
        self.is_gate = false;
        self.hand_out_singly_until(i64::MAX);
    }

    /// From now on our position is our gate again; the two are equal. Events before `singly_until` are handed out one
    /// at a time.
    #[cold]
    pub(crate) fn return_to_gate(&mut self, singly_until: i64) {
        self.is_gate = true;
        self.singly_until = singly_until;
    }

    /// [`give_back`](Self::give_back) for a reader whose position is not its gate. `false`: what is there is not what
    /// is expected, and the reader stays where it was.
    #[cold]
    pub(crate) fn read_on(&mut self, position: i64, events: i64, last: i64) -> bool {
        debug_assert!(!self.is_gate && position > self.next, "a reader that holds nothing gives back what it has read");
        match M::Form::expected_after(&self.memory, self.expected, events, position) {
            Some(expected) => (self.next, self.expected) = (position, expected),
            None => self.distrust(last),
        }
        self.readable = self.readable.max(self.next);
        self.next == position
    }

    /// Goes on after the next event, if it is there.
    #[cold]
    pub(crate) fn pass_one(&mut self) -> bool {
        match self.memory.end_of(self.next) {
            Some(end) if self.is_believed() => self.read_on(end, 1, self.next),
            _ => false,
        }
    }

    /// Whether what is expected after `events` more events is at `position`.
    #[cold]
    pub(crate) fn leads_to(&self, position: i64, events: i64) -> bool {
        M::Form::expected_after(&self.memory, self.expected, events, position).is_some()
    }

    /// What is expected at our position.
    pub(crate) fn expected(&self) -> <M::Form as Form>::Expected {
        self.expected
    }

    /// Goes back to a message that must be handed out again, from `begin` to `end`. [`return_to`](Self::return_to)
    /// undoes it.
    #[cold]
    pub(crate) fn go_back(
        &mut self,
        (begin, end): (i64, i64),
        expected: <M::Form as Form>::Expected,
    ) -> Bookmark<<M::Form as Form>::Expected> {
        let mark = Bookmark { next: self.next, expected: self.expected };
        (self.next, self.readable, self.expected) = (begin, end, expected);
        mark
    }

    /// Goes on where [`go_back`](Self::go_back) was called.
    #[cold]
    pub(crate) fn return_to(&mut self, mark: Bookmark<<M::Form as Form>::Expected>) {
        (self.next, self.readable, self.expected) = (mark.next, mark.next, mark.expected);
    }

    /// Whether the last look that found something has asked the cursor: `readable` may then be far ahead.
    #[inline(always)]
    pub(crate) fn has_asked_cursor(&self) -> bool {
        self.followed == 0
    }

    /// Forgets that events from `position` on are readable; the next look looks again.
    pub(crate) fn forget_readable_from(&mut self, position: i64) {
        self.readable = self.readable.min(position);
    }

    /// If the word at our position is damaged, goes on after it, and returns how many events were lost there, as far as
    /// their numbers tell. `is_over`: nothing more will be published.
    #[cold]
    #[inline(never)]
    pub(crate) fn step_over_damage(&mut self, is_over: bool) -> Option<u64> {
        if self.look() {
            return None;
        }
        let (next, number) = (self.next, self.number());
        let resume = damage::resume_after(&self.memory, next, self.expected, is_over)?;
        self.expected = M::Form::expected_at(&self.memory, resume);
        if resume > next {
            self.readable = resume;
            self.step_to(resume);
        }
        // The number of lost events is at least one, and at most the number that the ring holds, whatever number is
        // there.
        Some((self.number() - number).clamp(1, self.memory.capacity()) as u64)
    }

    /// Whether the producer has said that nothing more will come. What was published before is seen by the next look.
    pub(crate) fn is_closed(&self) -> bool {
        self.memory.control().gate.is_closed()
    }

    /// Whether the producer has closed the ring or was dropped by a panic.
    pub(crate) fn is_over(&self) -> bool {
        self.memory.control().gate.closing() != 0
    }

    /// Whether the stream is over: closed, and nothing left *after* the flag was seen.
    pub(crate) fn is_finished(&mut self) -> bool {
        self.is_closed() && (weakened(Site::CloseSecondLook) || !self.look())
    }

    /// The second look before sleeping at the readers' bell. `None`: do not sleep, look again.
    pub(crate) fn prepare_park(&mut self) -> Option<Park> {
        let park = self.announce_park();
        if !weakened(Site::ParkSecondLook) && (self.is_over() || self.look()) {
            return None;
        }
        Some(park)
    }

    /// Announces a sleep at the readers' bell. The caller looks once more before it sleeps.
    pub(crate) fn announce_park(&self) -> Park {
        let control = self.memory.control();
        let ticket = control.readers.0.announce();
        step!(ReaderAnnounced);
        let barrier = crate::sync::announce::before_second_look(&control.gate.announce);
        Park { ticket, barrier }
    }
}

impl<M: Memory<Form = Lines>> Reader<M> {
    /// [`number`](Self::number) where a look has found something, so that the word there is believed.
    #[inline(always)]
    pub(crate) fn number_found(&self) -> i64 {
        self.expected
    }
}
