//! The producer's half of records: where the next one goes, and how it becomes visible.

use super::line::Lines;
use super::word::{Word, lines_of};
use crate::ring::protocol::control::EIGHTHS;
use crate::ring::protocol::memory::Memory;
use crate::ring::protocol::sequencer::Sequencer;
use crate::step;
use crate::sync::primitive::{Ordering, Site, compiler_fence, order, weakened};

/// How far ahead lines are asked for in a batch. Source: RFC 0021.
const AHEAD_LINES: i64 = 64;

impl<M: Memory<Form = Lines>> Sequencer<M> {
    /// Notes that a record begins at the next position, if it is the first in its eighth of the ring. Called before
    /// anything is written there; returns the position from which on it must be called again.
    ///
    /// A consumer that joins at the oldest record, or has met damage, finds by these words where a record begins. They
    /// may be old or forged: each is believed only if the records lead from it to the cursor.
    pub(crate) fn note_begin(&self) -> i64 {
        let (next, capacity) = (self.next(), self.memory().capacity());
        let eighth = (capacity / EIGHTHS as i64).max(1);
        let from = next & !(eighth - 1);
        let begin = &self.memory().control().begins.first[((next & (capacity - 1)) / eighth) as usize];
        if !(from..=next).contains(&begin.load(Ordering::Relaxed)) && !weakened(Site::BeginNoted) {
            // Relaxed: the cursor, which passes it later, is stored with Release. Partner in `walk::noted`.
            begin.store(next, Ordering::Relaxed);
            step!(BeginNoted);
        }
        from + eighth
    }

    /// Lines from the next position to the beginning of the ring; at least 1.
    pub(crate) fn lines_to_wrap(&self) -> i64 {
        let capacity = self.memory().capacity();
        capacity - (self.next() & (capacity - 1))
    }

    /// The number of the next record, as the words of the ring have it.
    #[cfg(test)]
    pub(crate) fn next_number(&self) -> i64 {
        self.memory().number_at(self.next())
    }

    /// Commits the next record, which is record `number`, and whose payload of `len` bytes has been written at the next
    /// position. Leaves up to `gap_lines` lines unused after it, as far as they are free. [`publish`](Self::publish)
    /// stores the cursor and rings the bell. Returns where the next record begins.
    #[inline(always)]
    pub(crate) fn commit(&mut self, number: i64, len: usize, kind: u8, flags: u8, gap_lines: u8) -> i64 {
        let lines = lines_of(len);
        let gap_lines = match gap_lines == 0 || self.has_room(lines + i64::from(gap_lines) + 1) {
            true => gap_lines,
            false => self.spare_lines(lines, i64::from(gap_lines)) as u8,
        };
        let end = self.next() + lines + i64::from(gap_lines);
        self.commit_word(Word::Record { len: len as u32, gap_lines, kind, flags }, end, number + 1);
        end
    }

    /// Lines that are free between a record of `lines` lines and the header after it, up to `wanted`. That header is
    /// beyond the lines that the record had claimed.
    #[cold]
    #[inline(never)]
    fn spare_lines(&mut self, lines: i64, wanted: i64) -> i64 {
        self.claim_up_to(lines + wanted + 1);
        wanted.min(self.room() - lines - 1)
    }

    /// Commits padding from the next position, which is not the beginning of the ring, to there, before record
    /// `number`.
    pub(crate) fn pad(&mut self, number: i64) {
        let lines = self.lines_to_wrap();
        self.commit_word(Word::Padding { lines }, self.next() + lines, number);
    }

    /// Prepares the header at `end`, then stores `word` at the next position, which moves to `end`.
    ///
    /// A reader that sees the word looks for the next one at `end`, and must find 0 there until that is committed: the
    /// line holds an older record, or the middle of one.
    #[inline(always)]
    fn commit_word(&mut self, word: Word, end: i64, number: i64) {
        debug_assert!(end - self.next() < self.room(), "committed without room for the header after it");
        // All places first: after a store to shared memory the compiler reads our own fields again.
        let memory = self.memory();
        let (here, next) = (memory.word(self.next()), memory.header(end));
        // The lines are mapped twice. What was written into a claim may have reached the line of the next header under
        // another address. The compiler must not move that write to after the clearing of the word here. (A processor
        // goes by the memory, not by the address.)
        compiler_fence(Ordering::Release);
        if !weakened(Site::NextWordCleared) {
            next.word.store(0, Ordering::Relaxed);
        }
        step!(NextWordCleared);
        next.number.store(number, Ordering::Relaxed);
        step!(NextNumberStored);
        // Release pairs with Acquire in `Lines::end_of`: a reader that sees the word sees the payload and the header
        // after it.
        here.store(word.pack(), order(Site::StampRelease, Ordering::Release));
        step!(WordCommitted);
        self.claim_late();
        self.move_to(end);
    }

    /// Prefetches the lines of the next record, from `next` on, if it is as long as the last one, which began at
    /// `last`. The readers have had these lines since the last lap, and now there is time.
    #[inline(always)]
    pub(crate) fn fetch_next_lines(&self, last: i64, next: i64) {
        let lines = next - last;
        if self.has_room_from(next, lines + 1) {
            // The first line is the one that readers look at. Of the others: the second, which is the last of a short
            // record, and the line of the next header.
            self.memory().fetch_line(next + 1);
            self.memory().fetch_line(next + lines);
        }
    }

    /// Asks for the lines of a record of `lines` lines at the next position, and of the header after it, all at once.
    /// There is room for them, and they are written next.
    pub(crate) fn ask_for_record(&self, lines: i64) {
        for line in 0..=lines {
            self.memory().fetch_line(self.next() + line);
        }
    }

    /// Asks for as many lines further ahead, where the readers' processors do not fetch yet: for a record that is
    /// written soon after this one.
    pub(crate) fn ask_ahead(&self, lines: i64) {
        let from = self.next() + AHEAD_LINES;
        if self.has_room_from(from, lines) {
            for line in 0..lines {
                self.memory().fetch_line(from + line);
            }
        }
    }
}
