//! The events that are published while processes die: each shows when it is torn, and which producer wrote it.

use crate::step;

/// Every word depends on the sequence and the author, so a mixture of two events is recognised.
#[disruptor_mp::event]
pub(super) struct Event {
    sequence: u64,
    author: u64,
    words: [u64; 8],
    checksum: u64,
}

/// An event that was whole: its sequence and its author. Two histories differ in one of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) sequence: i64,
    pub(super) author: u64,
}

impl Event {
    pub(super) fn blank() -> Self {
        Self { sequence: 0, author: 0, words: [0; 8], checksum: 0 }
    }

    /// Writes event `sequence`, as this process, with a step in the middle.
    pub(super) fn fill(&mut self, sequence: i64) {
        let (first, second) = (0..4, 4..8);
        self.sequence = sequence as u64;
        self.author = std::process::id().into();
        first.for_each(|i| self.words[i] = self.word(i));
        step!(PayloadHalfWritten);
        second.for_each(|i| self.words[i] = self.word(i));
        self.checksum = self.sum();
    }

    /// Checks that this is event `sequence`, whole.
    pub(super) fn seen(&self, sequence: i64) -> Seen {
        assert_eq!(self.sequence as i64, sequence, "slot of event {sequence}");
        for (i, word) in self.words.iter().enumerate() {
            assert_eq!(*word, self.word(i), "event {sequence} is torn at word {i}");
        }
        assert_eq!(self.checksum, self.sum(), "event {sequence} is torn");
        Seen { sequence, author: self.author }
    }

    fn word(&self, index: usize) -> u64 {
        (self.sequence ^ self.author.rotate_left(32)).wrapping_add(index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn sum(&self) -> u64 {
        self.words.iter().fold(self.sequence, |sum, word| sum.rotate_left(7) ^ word)
    }
}
