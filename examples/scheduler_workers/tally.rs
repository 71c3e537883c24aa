//! The work: lines, words and bytes are counted, and every line is hashed.
//!
//! Tallies of parts add up to the tally of the whole, for every way of cutting the text and of sharing the lines.

use super::input::Piece;
use std::ops::AddAssign;

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) lines: u64,
    pub(crate) words: u64,
    pub(crate) bytes: u64,
    /// Sum over all lines of the line's hash, weighted by its number. A line that is missing, repeated or in another's
    /// place changes it.
    pub(crate) hash: u64,
}

/// The polynomial in which a line's bytes are the coefficients. Odd, so that no power of it is 0.
const BASE: u64 = 0x9E37_79B9_7F4A_7C15;

impl Tally {
    /// Counts the lines of `piece` for whose number `is_ours` holds.
    pub(crate) fn of_piece(piece: Piece<'_>, is_ours: impl Fn(u64) -> bool) -> Self {
        let mut tally = Self::default();
        let (mut column, mut is_inside_word) = (piece.first_column, piece.starts_inside_word);
        for (line, text) in (piece.first_line..).zip(lines(piece.text)) {
            if is_ours(line) {
                tally.lines += u64::from(column == 0);
                tally.bytes += text.len() as u64;
                tally.hash = tally.hash.wrapping_add(line_hash(line, column, text));
                for byte in text {
                    let is_space = byte.is_ascii_whitespace();
                    tally.words += u64::from(!is_space && !is_inside_word);
                    is_inside_word = !is_space;
                }
            }
            (column, is_inside_word) = (0, false);
        }
        tally
    }

    /// Counts a whole text at once. It does not use pieces, so it would not repeat a mistake in cutting.
    pub(crate) fn of_text(text: &[u8]) -> Self {
        let mut tally = Self { bytes: text.len() as u64, ..Self::default() };
        for (line, text) in (0..).zip(lines(text)) {
            tally.lines += 1;
            tally.words += text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).count() as u64;
            tally.hash = tally.hash.wrapping_add(line_hash(line, 0, text));
        }
        tally
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.lines += other.lines;
        self.words += other.words;
        self.bytes += other.bytes;
        self.hash = self.hash.wrapping_add(other.hash);
    }
}

/// The lines of `text`, each with its line break, if it has one.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n')
}

/// The hash of the part of line number `line` that begins at `column`: parts of a line add up to the hash of the line.
fn line_hash(line: u64, column: u64, text: &[u8]) -> u64 {
    let mut power = power_of_base(column);
    let mut sum = 0_u64;
    for byte in text {
        sum = sum.wrapping_add(power.wrapping_mul(u64::from(*byte) + 1));
        power = power.wrapping_mul(BASE);
    }
    // An odd weight per line, unrelated to its neighbour's.
    let weight = (line ^ (line >> 7)).wrapping_mul(BASE) | 1;
    sum.wrapping_mul(weight)
}

/// `BASE` to the power of `exponent`, by squaring.
fn power_of_base(mut exponent: u64) -> u64 {
    let (mut power, mut square) = (1_u64, BASE);
    while exponent > 0 {
        if exponent & 1 == 1 {
            power = power.wrapping_mul(square);
        }
        square = square.wrapping_mul(square);
        exponent >>= 1;
    }
    power
}

#[cfg(test)]
mod tests {
    use super::super::input::pieces;
    use super::*;

    #[test]
    fn parts_add_up_however_the_text_is_cut_and_shared() {
        let long_line = "word and another one ".repeat(200) + &"unbroken".repeat(300);
        for text in
            ["", "\n", "no line break", "two\nlines\n", &long_line, &format!("a b\n\n{long_line}\n{long_line} c")]
        {
            for workers in 1..=4 {
                let mut sum = Tally::default();
                for piece in pieces(text.as_bytes()) {
                    for rank in 0..workers {
                        sum += Tally::of_piece(piece, |line| line % workers == rank);
                    }
                }
                assert_eq!(sum, Tally::of_text(text.as_bytes()), "{workers} workers, {} bytes", text.len());
            }
        }
    }

    #[test]
    fn lines_that_changed_places_are_noticed() {
        let (a, b) = (Tally::of_text(b"one\ntwo\n"), Tally::of_text(b"two\none\n"));
        assert_eq!((a.lines, a.words, a.bytes), (b.lines, b.words, b.bytes));
        assert_ne!(a.hash, b.hash);
    }
}
