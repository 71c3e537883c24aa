//! The producer's half of the algorithm: which position may be written, and how a written one becomes visible. A ring
//! has one producer.

use super::control::{EIGHTHS, Entry, SENTINEL_LIFTED, State, Status};
use super::form::Form;
use super::memory::Memory;
use crate::step;
use crate::sync::announce::{Announce, Announcer};
use crate::sync::bell::Park;
use crate::sync::primitive::{Ordering, Site, fence_at, order, weakened};

/// What the producer knows besides what is in the ring.
pub(crate) struct Sequencer<M: Memory> {
    memory: M,
    /// The next position to write; everything before it can be read.
    next: i64,
    /// What the cursor says. It lags `next` only while several records are published together.
    announced: i64,
    /// Positions below this may be written without a look at the consumers, and without a store to *claimed*: the lower
    /// of `open`, and of `claimed` where that is kept.
    gate: i64,
    /// Positions below this may be written as far as the last rescan knows.
    open: i64,
    /// What the word *claimed* says, where the form keeps it. Only grows.
    claimed: i64,
    /// Positions below this may be written without a look whether a watched consumer has gone; never beyond the gate.
    watched: i64,
    /// The highest position that any rescan has allowed in the end: what the claim limit says. Only grows. So a slot
    /// that was written, or only invalidated by a closure that panicked or a producer that died, is never again
    /// promised to a joiner as its oldest event.
    limit: i64,
    /// What the sentinel says. Only a producer stores that word, so it believes its own copy.
    sentinel: i64,
    announcer: Announcer,
    /// Per entry: the last position that could be believed, and the owner that stored it.
    believed: Box<[Believed]>,
    /// Entries that are known to have been used.
    used: usize,
    /// The count of arrivals when all entries were last looked at; `None` if the next scan must look at all.
    arrivals: Option<u32>,
    /// How many words were found that no owner can have written, positions or states, since the last call of
    /// `take_forged`.
    forged: u64,
}

/// What the producer believes of one entry, so that no single word can switch gating off.
#[derive(Clone, Copy, Default)]
struct Believed {
    epoch: u64,
    position: i64,
    /// Whether that owner gates until an owner of a later epoch follows.
    gates: bool,
    /// Whether the position is one that an active owner has stored: then it can only grow.
    known: bool,
}

impl Believed {
    /// Whether an entry of that status gates. An owner leaves, or is evicted, by one store: *free* in a later epoch. A
    /// *free* in the epoch that gated, or in an older one, was written by no owner; the entry gates on until a process
    /// that holds its lock byte frees it. A *free* in a later epoch may be an owner's. It counts once no process holds
    /// the lock byte (`is_held`).
    fn binds(&self, status: Status, is_held: impl FnOnce() -> bool) -> bool {
        status.gates() || (self.gates && (status.epoch <= self.epoch || is_held()))
    }

    /// Takes over `position` if the owner that `status` names can have stored it. Otherwise the last position that
    /// could be believed gates. It also takes it over where the status names no owner: a damaged status does not stop
    /// the ring. `false` if one of the two words was not believed.
    fn learn(&mut self, status: Status, position: i64, next: i64) -> bool {
        let is_owned = status.is_owned() && !(self.gates && status.epoch < self.epoch);
        let is_given_up = self.gates && !status.gates() && status.epoch > self.epoch;
        if is_owned && self.epoch != status.epoch {
            *self = Self { epoch: status.epoch, ..Self::default() };
        }
        self.gates = true;
        let is_plausible = position <= next && position >= if self.known { self.position } else { 0 };
        if is_plausible {
            // A joiner's first gate may be old, and its second lower than that: only the position of an active consumer
            // may not go back.
            self.position = position;
            self.known |= status.state == State::Active;
        }
        is_plausible && (is_owned || is_given_up)
    }
}

/// What a rescan found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scan {
    /// Positions below this may be written, as far as consumers gate.
    consumer_gate: i64,
    /// Positions below this may be written, as far as the start-up buffer allows.
    sentinel: i64,
    /// The entry with the lowest position; `None` if no consumer gates.
    pub(crate) slowest: Option<usize>,
    /// Its position.
    pub(crate) lowest: i64,
}

impl Scan {
    /// Positions below this may be written.
    fn gate(&self) -> i64 {
        self.consumer_gate.min(self.sentinel)
    }

    /// How many positions may be written from `next` on before the slowest entry is in the way.
    pub(crate) fn consumer_room(&self, next: i64) -> i64 {
        self.consumer_gate - next
    }

    /// How many positions may be written from `next` on before the start-up buffer is full.
    pub(crate) fn sentinel_room(&self, next: i64) -> i64 {
        self.sentinel.saturating_sub(next)
    }
}

impl<M: Memory> Sequencer<M> {
    /// The first producer of a ring whose words are new.
    pub(crate) fn create(memory: M, announce: Announce) -> Self {
        let control = memory.control();
        let announcer = Announcer::new(announce, &control.gate.announce);
        // The lower one: a process that has already found the ring may have overwritten a copy.
        let gate = control.gate.claim_limit_at_least();
        let sentinel = control.gate.sentinel(memory.capacity(), 0);
        let believed = vec![Believed::default(); memory.table_len()].into();
        Self {
            memory,
            next: 0,
            announced: 0,
            gate: if M::Form::CLAIMS { 0 } else { gate },
            open: gate,
            claimed: 0,
            watched: 0,
            limit: gate,
            sentinel,
            announcer,
            believed,
            used: 0,
            arrivals: None,
            forged: 0,
        }
    }

    /// The next producer of a ring. The last producer has died, at any step, and the caller holds the producer's lock
    /// byte.
    ///
    /// Published is the end of the unbroken run of valid stamps from the cursor on: a reader may have seen those events
    /// already, so they stay. That position is stored first. Then the rest of an unfinished group after it is cleared;
    /// we store how we announce, wake all sleepers, and look at the gates again.
    pub(crate) fn take_over(memory: M, announce: Announce) -> Self {
        let control = memory.control();
        let (next, believed_cursor) = memory.published_end();
        if M::Form::CURSOR_TELLS {
            control.cursor.write(next);
            step!(TakeOverWrittenStored);
        }
        control.cursor.publish(next);
        step!(TakeOverCursorStored);
        M::Form::clear_leftovers(&memory, next);
        step!(TakeOverCleared);
        // A producer that was dropped by a panic has not closed the ring. Release: a consumer that finds the ring open
        // again finds its end.
        control.gate.closed.store(0, Ordering::Release);
        step!(TakeOverOpened);
        let announcer = Announcer::new(announce, &control.gate.announce);
        let believed = vec![Believed::default(); memory.table_len()].into();
        let sentinel = control.gate.sentinel(memory.capacity(), next);
        let forged = u64::from(!believed_cursor);
        // The claim limit may be beyond what was written, never below it, and at most a lap ahead: checked like the
        // cursor.
        let limit = control.gate.claim_limit_at_most().clamp(next, next + memory.capacity());
        // The limit is also no more than a lap after an active consumer, even if one of its words was forged. The first
        // gate of a consumer that is joining says nothing.
        let active = memory.entries().filter(|entry| entry.status().state == State::Active);
        let laps = active.map(|entry| entry.position.load(Ordering::Acquire).saturating_add(memory.capacity()));
        let limit = laps.filter(|lap| (next..limit).contains(lap)).min().unwrap_or(limit);
        // Our predecessor may have written up to there, whatever of it was committed. Checked like the claim limit,
        // beyond which it cannot be.
        let claimed = if weakened(Site::ClaimedKept) { next } else { control.claimed.load().clamp(next, limit) };
        if M::Form::CLAIMS {
            control.claimed.store(claimed);
        }
        // `gate = next` makes the first publish look at every consumer.
        let mut taken = Self {
            memory,
            next,
            announced: next,
            gate: next,
            open: next,
            claimed,
            watched: next,
            limit,
            sentinel,
            announcer,
            believed,
            used: 0,
            arrivals: None,
            forged,
        };
        taken.rescan();
        // A sleeper was promised a wake by a producer that is gone.
        taken.memory.control().readers.0.ring();
        step!(TakeOverWoken);
        taken
    }

    /// The words of the ring.
    pub(crate) fn memory(&self) -> &M {
        &self.memory
    }

    /// The next position to write.
    #[inline(always)]
    pub(crate) fn next(&self) -> i64 {
        self.next
    }

    /// Whether `count` events may be written now. When it says no, [`rescan`](Self::rescan) may find room.
    #[inline(always)]
    pub(crate) fn has_room(&self, count: i64) -> bool {
        count <= self.free()
    }

    /// [`has_room`](Self::has_room) for a caller that has the next position at hand. Without it, the compiler reads the
    /// position again after a store to shared memory.
    #[inline(always)]
    pub(crate) fn has_room_from(&self, next: i64, count: i64) -> bool {
        count <= self.gate - next
    }

    /// Whether `count` events may be written now, as far as the last rescan knows. Where taps go by *claimed*, first
    /// stores there that these events will be written.
    #[inline]
    pub(crate) fn claim(&mut self, count: i64) -> bool {
        if !M::Form::CLAIMS {
            return self.has_room(count);
        }
        if count > self.open - self.next {
            return false;
        }
        let end = self.next + count;
        if end > self.claimed {
            // An eighth of the ring ahead, so that this is rare. A tap loses that much of the oldest, and no more.
            self.claimed = (end + self.eighth()).min(self.open);
            if !weakened(Site::ClaimedFirst) {
                self.memory.control().claimed.store(self.claimed);
            }
            step!(ClaimedStored);
            // Release fence, partner in `claimed::is_whole`: a tap that copied any byte that we write from now on finds
            // this word, or a later one.
            fence_at(Site::ClaimedFence, Ordering::Release);
        }
        self.gate = self.open.min(self.claimed);
        true
    }

    /// [`claim`](Self::claim) of as many positions as may be written, up to `count`.
    #[cold]
    #[inline(never)]
    pub(crate) fn claim_up_to(&mut self, count: i64) {
        self.claim(count.min(self.open - self.next));
    }

    /// An eighth of the ring.
    fn eighth(&self) -> i64 {
        (self.memory.capacity() / EIGHTHS as i64).max(1)
    }

    /// Stores late what must be stored before, in the model without that order.
    #[inline(always)]
    pub(super) fn claim_late(&self) {
        if weakened(Site::ClaimedFirst) {
            self.memory.control().claimed.store(self.claimed);
        }
    }

    /// [`has_room`](Self::has_room) for a caller that watches consumers. If this says no and `has_room` says yes, the
    /// caller must look at the consumers.
    #[inline(always)]
    pub(crate) fn has_watched_room(&self, count: i64) -> bool {
        // One event is a special case, because its number is at hand and every managed publish asks for it.
        if count == 1 { self.next < self.watched } else { count <= self.watched - self.next }
    }

    /// The watched consumers were looked at. The next `count` events, at most a lap, may be written without another
    /// look, if there is room.
    pub(crate) fn watch(&mut self, count: i64) {
        self.watched = self.gate.min(self.next + count);
    }

    /// How many events may be written now, without another [`claim`](Self::claim).
    pub(crate) fn room(&self) -> i64 {
        self.free().max(0)
    }

    /// [`room`](Self::room) for a caller that has seen that there is room.
    #[inline(always)]
    pub(crate) fn free(&self) -> i64 {
        self.gate - self.next
    }

    /// How many events may be written now, as far as the last rescan knows.
    pub(crate) fn open_room(&self) -> i64 {
        (self.open - self.next).max(0)
    }

    /// How many words were not believed since the last call.
    pub(crate) fn take_forged(&mut self) -> u64 {
        std::mem::take(&mut self.forged)
    }

    /// Everything before `position` is stamped: stores it in the cursor, and wakes sleeping readers.
    #[inline(always)]
    pub(crate) fn publish_to(&mut self, position: i64) {
        self.next = position;
        self.announced = position;
        let cursor = &self.memory.control().cursor;
        if M::Form::CURSOR_TELLS {
            self.claim_late();
            cursor.write(position);
            step!(WrittenStored);
        }
        cursor.publish(position);
        step!(CursorStored);
        self.wake_readers();
    }

    /// Puts the producer into the state after it has rung the readers' bell.
    #[cfg(loom)]
    pub(crate) fn begin_fenced(&mut self) {
        self.announcer.begin_fenced(&self.memory.control().gate.announce);
    }

    /// Everything before `position` can be read. [`publish`](Self::publish) stores the cursor and rings the bell later.
    #[inline(always)]
    pub(crate) fn move_to(&mut self, position: i64) {
        self.next = position;
    }

    /// Stores in the cursor how far everything can be read, if it does not say so yet, and wakes sleeping readers.
    #[inline(always)]
    pub(crate) fn publish(&mut self) {
        if self.announced != self.next {
            self.publish_to(self.next);
        }
    }

    #[inline(always)]
    fn wake_readers(&mut self) {
        let control = self.memory.control();
        self.announcer.wake(&control.readers.0, &control.gate.announce);
    }

    /// Stores that nothing more will be published, in good order ([`CLOSED`](super::control::CLOSED)) or not
    /// ([`ABANDONED`](super::control::ABANDONED)), and wakes every reader.
    pub(crate) fn close(&mut self, how: u32) {
        self.publish();
        (self.gate, self.open, self.watched) = (self.next, self.next, self.next);
        // Release pairs with Acquire in `GateLine::closing`: a reader that sees the flag sees every event before it.
        self.memory.control().gate.closed.store(how, order(Site::CloseRelease, Ordering::Release));
        step!(ClosedStored);
        self.memory.control().readers.0.ring();
    }

    /// Looks at every gate again. Called only when the known gate would be passed.
    pub(crate) fn rescan(&mut self) -> Scan {
        self.rescan_for(1)
    }

    /// [`rescan`](Self::rescan) for a write of `wanted` positions. Where nothing gates, the ring is opened for no more
    /// than these.
    ///
    /// The first look decides how far we may go if no other consumer appears. That limit is stored in one of its two
    /// words, and after a fence we look again. A joiner that the second look misses has its own fence after ours, and
    /// its second look finds our limit and our cursor. What both looks allow is then the limit, in both words.
    #[cold]
    #[inline(never)]
    pub(crate) fn rescan_for(&mut self, wanted: i64) -> Scan {
        // A gate is never more than a lap after the cursor, at which a joiner begins; and a consumer that we wait for
        // must see every event.
        self.publish();
        let first = self.scan(wanted);
        self.memory.control().gate.try_claim_limit(self.limit.max(first.gate()));
        step!(LimitStored);
        // SeqCst fence, partner in `join::handshake`.
        fence_at(Site::RescanFence, Ordering::SeqCst);
        let second = self.scan(wanted);
        self.open = first.gate().min(second.gate());
        self.gate = if M::Form::CLAIMS { self.open.min(self.claimed) } else { self.open };
        self.watched = self.next;
        // A joiner between the looks may be more than a lap before what the first look allowed. Nothing was written up
        // to there.
        self.limit = self.limit.max(self.open);
        self.memory.control().gate.set_claim_limit(self.limit);
        self.claim(wanted);
        second
    }

    /// Where the readers are, as an estimate: opens nothing, publishes nothing, and costs no fence.
    pub(crate) fn glance(&mut self) -> Scan {
        self.scan(1)
    }

    /// The lowest position of all consumers that gate. Never computes a gate beyond published + capacity, so that a
    /// consumer that becomes visible later finds the event at which it starts.
    fn scan(&mut self, wanted: i64) -> Scan {
        let used = self.entries_in_use();
        let mut lowest = self.next;
        let mut slowest = None;
        for index in 0..used {
            let entry = self.memory.entry(index);
            let status = entry.status();
            let believed = &mut self.believed[index];
            if !believed.binds(status, || self.memory.is_held(index)) {
                *believed = Believed { epoch: status.epoch, ..Believed::default() };
                continue;
            }
            self.used = self.used.max(index + 1);
            // Acquire pairs with Release in `reader::store_gate`: the consumer has read what we are about to overwrite.
            let position = entry.position.load(order(Site::GateAcquire, Ordering::Acquire));
            if !believed.learn(status, position, self.next) {
                // Beyond what was published, negative, backwards, or under a status that no owner writes. The last
                // position that could be believed gates instead. So a forged word stops the ring with a reason and
                // never lets it overrun a reader.
                self.forged += 1;
            }
            // `<=`: when all have the same position, one of them must still be named.
            if believed.position <= lowest {
                lowest = believed.position;
                slowest = Some(index);
            }
        }
        let consumer_gate = if slowest.is_some() { lowest + self.memory.capacity() } else { self.next_step(wanted) };
        Scan { consumer_gate, sentinel: self.sentinel, slowest, lowest }
    }

    /// Looks for entries that say *free* although a process holds their lock bytes, and makes them gate: their words
    /// are damaged, or their owners are leaving. An owner that is joining stores its state in a moment, and is then
    /// seen like any other. `false` if a consumer is joining: then this look must be repeated.
    #[cold]
    fn look_at_locks(&mut self, entries: usize) -> bool {
        let mut is_complete = true;
        for index in 0..entries {
            let (entry, memory) = (self.memory.entry(index), &self.memory);
            let status = entry.status();
            if status.gates() || self.believed[index].gates || !memory.is_held(index) {
                continue;
            }
            // A joiner holds the table's lock from before it takes its entry until after it has stored its state in it.
            if memory.is_joining() || entry.status() != status {
                is_complete = false;
                continue;
            }
            let lap = (self.next - memory.capacity()).max(0);
            let position = entry.position.load(Ordering::Acquire).clamp(lap, self.next);
            // As if the previous owner had gated, had given the entry up, and had not released its lock yet.
            let epoch = status.epoch.saturating_sub(1);
            self.believed[index] = Believed { epoch, position, gates: true, known: false };
        }
        is_complete
    }

    /// How far the ring is opened where nothing gates: to the end of an eighth of it, so that the next consumer finds
    /// the other seven. What was promised before stays.
    fn next_step(&self, wanted: i64) -> i64 {
        let capacity = self.memory.capacity();
        let step = self.eighth();
        let far_enough = self.next + wanted.clamp(1, capacity);
        // A power of two, as the capacity is.
        ((far_enough + step - 1) & !(step - 1)).max(self.limit).min(self.next + capacity)
    }

    /// The position before which nothing is certain to stay: a consumer that asks for the oldest event starts there.
    pub(crate) fn given_up_to(&self) -> i64 {
        (self.limit - self.memory.capacity()).max(0)
    }

    /// How many entries a scan looks at: those below the high water. It looks at all of them if that word is below what
    /// was found in use before, or if a consumer has arrived since all were looked at. So one overwritten word, either
    /// of the two, hides no entry.
    fn entries_in_use(&mut self) -> usize {
        let all = self.memory.table_len();
        let gate = &self.memory.control().gate;
        let stored = (gate.high_water.load(Ordering::Acquire) as usize).min(all);
        // The fences make sure that an arrival is seen in time.
        let arrivals = gate.arrivals();
        let is_believed = self.used <= stored;
        self.used = self.used.max(stored);
        if self.arrivals != Some(arrivals) {
            self.arrivals = self.look_at_locks(self.used).then_some(arrivals);
            return all;
        }
        if is_believed { stored } else { all }
    }

    /// Whether entry `index` gates now. A status that has been damaged since the last scan does not change the answer.
    pub(crate) fn gates(&self, index: usize) -> bool {
        self.believed[index].binds(self.memory.entry(index).status(), || self.memory.is_held(index))
    }

    /// The epoch in which entry `index` gates, as far as the last scan believed.
    pub(crate) fn gating_epoch(&self, index: usize) -> Option<u64> {
        let believed = self.believed[index];
        believed.gates.then_some(believed.epoch)
    }

    /// Whether the sentinel still holds the ring back for the expected consumers.
    pub(crate) fn has_sentinel(&self) -> bool {
        self.sentinel != SENTINEL_LIFTED
    }

    /// Lifts the sentinel: a consumer that joins from now on starts at the tail.
    pub(crate) fn lift_sentinel(&mut self) {
        self.sentinel = SENTINEL_LIFTED;
        self.memory.control().gate.lift_sentinel();
        step!(SentinelLifted);
        // The fence of the rescan, partner in `join::handshake`, comes after this store as well: a joiner that still
        // found the sentinel is seen by the second look.
        self.rescan();
    }

    /// The producer's second look before it sleeps on `entry`'s bell: announces, passes the barrier, and returns
    /// whether sleeping is still right and whether the barrier could be issued.
    pub(crate) fn prepare_park(&mut self, entry: usize, count: i64) -> Option<Park> {
        let ticket = self.memory.entry(entry).writer.announce();
        step!(WriterAnnounced);
        let barrier = crate::sync::announce::before_second_look(&self.memory.entry(entry).announce);
        if !weakened(Site::ParkSecondLook) {
            let scan = self.rescan();
            // Sleep only if the last look found this entry in the way: it has not moved since our fence, and rings when
            // it does. Another consumer would ring a bell at which no thread sleeps. (The gate does not tell: it is the
            // lower of two looks.)
            if scan.slowest != Some(entry) || scan.consumer_room(self.next) >= count {
                return None;
            }
        }
        Some(Park { ticket, barrier })
    }

    /// The entry at `index`.
    pub(crate) fn entry(&self, index: usize) -> &Entry {
        self.memory.entry(index)
    }
}
