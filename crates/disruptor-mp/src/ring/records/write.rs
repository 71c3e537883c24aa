//! The producer's half of records: where the next one goes, and how it becomes visible.
//!
//! **Lives here:** [`Sequencer::place`], [`Sequencer::commit`], [`Sequencer::pad`]. **Builds on:** `sequencer`. **May touch it:** the one
//! producer of a ring of records.

use super::word::{Word, lines_of};
use crate::ring::memory::Memory;
use crate::ring::sequencer::Sequencer;
use crate::step;
use crate::sync::primitive::{Ordering, Site, order, weakened};

/// What has to be free before a record can be written at the next position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// So many lines: the record's, and the one of the header behind it.
    Here { needs: i64 },
    /// The record does not fit before the end of the ring: so many lines first, to pad the rest and write the header behind it.
    BehindPadding { needs: i64 },
}

impl<M: Memory> Sequencer<M> {
    /// Where a record of `lines` lines goes. The caller knows that it fits into the ring: `lines` is below the capacity.
    #[inline(always)]
    pub(crate) fn place(&self, lines: i64) -> Place {
        let to_wrap = self.lines_to_wrap();
        if lines <= to_wrap { Place::Here { needs: lines + 1 } } else { Place::BehindPadding { needs: to_wrap + 1 } }
    }

    /// Lines from the next position to the end of the ring; at least 1.
    #[inline(always)]
    pub(crate) fn lines_to_wrap(&self) -> i64 {
        let capacity = self.memory().capacity();
        capacity - (self.next() & (capacity - 1))
    }

    /// The number of the next record, as the words of the ring have it.
    pub(crate) fn next_number(&self) -> i64 {
        self.memory().number_at(self.next())
    }

    /// Commits the next record, which is record `number`, and whose payload of `len` bytes has been written at the next position. Leaves up
    /// to `gap_lines` lines unused behind it, as far as they are free and the ring goes. The cursor and the bell are
    /// [`publish`](Self::publish)'s.
    #[inline(always)]
    pub(crate) fn commit(&mut self, number: i64, len: usize, kind: u8, flags: u8, gap_lines: u8) {
        let lines = lines_of(len);
        let gap_lines = if gap_lines == 0 { 0 } else { self.spare_lines(lines).min(i64::from(gap_lines)) as u8 };
        let end = self.next() + lines + i64::from(gap_lines);
        self.commit_word(Word::Record { len: len as u32, gap_lines, kind, flags }, end, number + 1);
    }

    /// Free lines behind a record of `lines` lines and the header that follows it, up to the end of the ring.
    fn spare_lines(&self, lines: i64) -> i64 {
        (self.lines_to_wrap() - lines).min(self.room() - lines - 1)
    }

    /// Commits padding from the next position to the end of the ring, before record `number`.
    pub(crate) fn pad(&mut self, number: i64) {
        let lines = self.lines_to_wrap();
        self.commit_word(Word::Padding { lines: lines as u32 }, self.next() + lines, number);
    }

    /// Prepares the header at `end`, then stores `word` at the next position, which moves to `end`.
    ///
    /// Whoever sees the word will look for the next one at `end`, and must find 0 there until that is committed: what stands in the line
    /// is an older record, or the middle of one.
    #[inline(always)]
    fn commit_word(&mut self, word: Word, end: i64, number: i64) {
        debug_assert!(end - self.next() < self.room(), "committed without room for the header behind");
        // All places first: a store to shared memory makes the compiler forget what it knows of ours.
        let memory = self.memory();
        let (here, next, next_number) = (memory.stamp(self.next()), memory.stamp(end), memory.number(end));
        if !weakened(Site::NextWordCleared) {
            next.store(0, Ordering::Relaxed);
        }
        step!(NextWordCleared);
        next_number.store(number, Ordering::Relaxed);
        step!(NextNumberStored);
        // Release pairs with Acquire in `Reader::look_at_stamp`: who sees the word sees the payload and the header behind it.
        here.store(word.pack(), order(Site::StampRelease, Ordering::Release));
        step!(WordCommitted);
        self.move_to(end);
    }

    /// Asks for the lines that the next record will be written to, if it is as long as the last one, which began at `last`: the readers have
    /// had them since the last lap, and now there is time.
    #[inline(always)]
    pub(crate) fn fetch_next_lines(&self, last: i64) {
        let (next, lines) = (self.next(), self.next() - last);
        if self.has_room(lines + 1) {
            // The first line is the reader's to look at. Of the others, the second, which is a short record's last, and the next header's.
            self.memory().fetch_line(next + 1);
            self.memory().fetch_line(next + lines);
        }
    }
}
