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

    /// The number of the next record.
    #[inline(always)]
    pub(crate) fn next_number(&self) -> i64 {
        self.memory().number_at(self.next())
    }

    /// Commits the record whose payload of `len` bytes has been written at the next position, and leaves up to `gap_lines` lines unused
    /// behind it, as far as they are free and the ring goes. The cursor and the bell are [`publish`](Self::publish)'s.
    #[inline(always)]
    pub(crate) fn commit(&mut self, len: usize, kind: u8, flags: u8, gap_lines: u8) -> i64 {
        let lines = lines_of(len);
        let spare = (self.lines_to_wrap() - lines).min(self.room() - lines - 1);
        let gap_lines = i64::from(gap_lines).min(spare) as u8;
        let number = self.next_number();
        let end = self.next() + lines + i64::from(gap_lines);
        self.commit_word(Word::Record { len: len as u32, gap_lines, kind, flags }, end, number + 1);
        number
    }

    /// Commits padding from the next position to the end of the ring.
    pub(crate) fn pad(&mut self) {
        let lines = self.lines_to_wrap();
        let number = self.next_number();
        self.commit_word(Word::Padding { lines: lines as u32 }, self.next() + lines, number);
    }

    /// Prepares the header at `end`, then stores `word` at the next position, which moves to `end`.
    ///
    /// Whoever sees the word will look for the next one at `end`, and must find 0 there until that is committed: what stands in the line
    /// is an older record, or the middle of one.
    #[inline(always)]
    fn commit_word(&mut self, word: Word, end: i64, number: i64) {
        debug_assert!(end - self.next() < self.room(), "committed without room for the header behind");
        let memory = self.memory();
        if !weakened(Site::NextWordCleared) {
            memory.stamp(end).store(0, Ordering::Relaxed);
        }
        step!(NextWordCleared);
        memory.number(end).store(number, Ordering::Relaxed);
        step!(NextNumberStored);
        // Release pairs with Acquire in `Reader::look_at_stamp`: who sees the word sees the payload and the header behind it.
        memory.stamp(self.next()).store(word.pack(), order(Site::StampRelease, Ordering::Release));
        step!(WordCommitted);
        self.move_to(end);
    }
}
