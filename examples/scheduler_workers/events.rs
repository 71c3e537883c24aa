//! What travels: chunks of text from the scheduler to all workers, answers from each worker back to the scheduler.
//!
//! Events have a fixed size and consist of plain numbers, because every process maps the same bytes.

use super::input::Piece;
use super::tally::Tally;
use disruptor_mp::event;

/// Room for text in one chunk: with the numbers before it and the ring's stamp, a slot is 512 bytes.
pub(crate) const TEXT_BYTES: usize = 472;

/// A piece of the text, as it is broadcast.
#[event]
pub(crate) struct Chunk {
    /// When it was published, on the machine's monotonic clock.
    pub(crate) sent_ns: u64,
    first_line: u64,
    first_column: u64,
    len_bytes: u32,
    /// 1 or 0: a `bool` has invalid bit patterns and is not allowed in shared memory.
    starts_inside_word: u32,
    text: [u8; TEXT_BYTES],
}

impl Chunk {
    /// What a slot holds before it is used for the first time.
    pub(crate) const EMPTY: Self =
        Self { sent_ns: 0, first_line: 0, first_column: 0, len_bytes: 0, starts_inside_word: 0, text: [0; TEXT_BYTES] };

    /// Writes `piece` into the slot. Bytes of an older event after its text stay there; no worker reads them.
    ///
    /// # Panics
    /// If the piece has more text than a chunk has room for.
    pub(crate) fn fill(&mut self, piece: Piece<'_>, sent_ns: u64) {
        self.sent_ns = sent_ns;
        self.first_line = piece.first_line;
        self.first_column = piece.first_column;
        self.len_bytes = piece.text.len() as u32;
        self.starts_inside_word = piece.starts_inside_word.into();
        self.text[..piece.text.len()].copy_from_slice(piece.text);
    }

    /// The piece of text, read in the slot.
    pub(crate) fn piece(&self) -> Piece<'_> {
        Piece {
            first_line: self.first_line,
            first_column: self.first_column,
            starts_inside_word: self.starts_inside_word != 0,
            // A number from shared memory is checked before it is used, here by a limit.
            text: &self.text[..TEXT_BYTES.min(self.len_bytes as usize)],
        }
    }
}

/// What one worker found in its share of one chunk.
#[event]
pub(crate) struct Answer {
    /// The sequence of the chunk that this answers. A worker that dies between answering and acknowledging gets the
    /// chunk again and answers again; by this number the scheduler counts it once.
    pub(crate) sequence: i64,
    /// When the chunk was published, as the chunk itself says.
    pub(crate) sent_ns: u64,
    /// When the worker took it, on the same clock.
    pub(crate) received_ns: u64,
    /// The processor time that the worker's process has used, as of the batch before.
    pub(crate) cpu_ns: u64,
    hash: u64,
    lines: u32,
    words: u32,
    bytes: u32,
    /// How often the chunk had been delivered before without being acknowledged.
    pub(crate) redeliveries: u32,
}

impl Answer {
    /// What a slot holds before it is used for the first time.
    pub(crate) const EMPTY: Self = Self {
        sequence: -1,
        sent_ns: 0,
        received_ns: 0,
        cpu_ns: 0,
        hash: 0,
        lines: 0,
        words: 0,
        bytes: 0,
        redeliveries: 0,
    };

    /// Puts what was counted into the answer. One chunk has less than 4 GiB of everything.
    pub(crate) fn set_tally(&mut self, tally: Tally) {
        self.hash = tally.hash;
        self.lines = tally.lines as u32;
        self.words = tally.words as u32;
        self.bytes = tally.bytes as u32;
    }

    /// What was counted.
    pub(crate) fn tally(&self) -> Tally {
        Tally { lines: self.lines.into(), words: self.words.into(), bytes: self.bytes.into(), hash: self.hash }
    }
}
