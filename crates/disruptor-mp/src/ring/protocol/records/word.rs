//! The first word of a record: that it is there, what it is, how long it is, and where the next one begins. Pure
//! arithmetic.
//!
//! ```text
//! line    0             8        16                                       64
//!         | commit word | number | payload ...                            |   more lines of the record: payload only
//!
//! word    bit 0    32     40     48      56    64
//!         | length | gap  | kind | flags | sort |
//! ```
//! *length* is that of the payload in bytes, *gap* the number of unused lines after the record. For padding, the 56
//! bits below *sort* are the number of lines that it covers: a ring may have more than 32 bits can say. A word of 0
//! says: not committed. *Number* is that of the record that begins here, committed or not: it is stored before the
//! previous record is committed.

/// Bytes of one line: the unit that processors pass to each other. A record begins on a line of its own.
pub(crate) const LINE_BYTES: usize = 64;

/// Commit word and number, in front of the payload. So a payload is aligned to 16.
pub(crate) const HEADER_BYTES: usize = 16;

/// Longest payload in bytes that a word can say, whatever the ring's size.
pub(crate) const PAYLOAD_BYTES_MAX: usize = u32::MAX as usize;

/// Lines that a record of `len` bytes covers, at most 2^26 + 1 for a length that a word can say. Saturating: callers
/// ask for any number of bytes, and where `usize` has 32 bits, words have them too.
#[inline(always)]
pub(crate) const fn lines_of(len: usize) -> i64 {
    // One division of a sum, and not `div_ceil`, which also computes the remainder.
    (len.saturating_add(HEADER_BYTES + LINE_BYTES - 1) / LINE_BYTES) as i64
}

/// Payload bytes that `lines` lines hold.
#[inline(always)]
pub(crate) const fn bytes_in(lines: i64) -> usize {
    lines as usize * LINE_BYTES - HEADER_BYTES
}

/// A commit word, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// A record of `len` bytes.
    Record { len: u32, gap_lines: u8, kind: u8, flags: u8 },
    /// Nothing, over `lines` lines.
    Padding { lines: i64 },
}

/// `sort` of a record.
const RECORD: u64 = 1;
/// `sort` of padding.
const PADDING: u64 = 2;
/// The bits below `sort`.
const LINES: u64 = (1 << 56) - 1;

impl Word {
    /// The word as it is stored; never 0.
    #[inline(always)]
    pub(crate) fn pack(self) -> i64 {
        let word = match self {
            Self::Record { len, gap_lines, kind, flags } => {
                u64::from(len)
                    | u64::from(gap_lines) << 32
                    | u64::from(kind) << 40
                    | u64::from(flags) << 48
                    | RECORD << 56
            }
            Self::Padding { lines } => lines as u64 & LINES | PADDING << 56,
        };
        word as i64
    }

    /// Decodes the word, if a producer can have stored it at `position` of a ring of `capacity` lines. The number comes
    /// from shared memory, and must not lead further than to the line before this one, a lap on: the header of the next
    /// record has a line of its own.
    #[inline(always)]
    pub(crate) fn unpack(word: i64, position: i64, capacity: i64) -> Option<(Self, i64)> {
        let word = word as u64;
        // Each arm checks its own limits: a check after the match makes the compiler put the word together only to take
        // it apart again.
        match word >> 56 {
            RECORD => {
                let (len, gap_lines) = (word as u32, (word >> 32) as u8);
                let lines = lines_of(len as usize) + i64::from(gap_lines);
                if lines >= capacity {
                    return None;
                }
                let parsed = Self::Record { len, gap_lines, kind: (word >> 40) as u8, flags: (word >> 48) as u8 };
                Some((parsed, position + lines))
            }
            PADDING => {
                let lines = (word & LINES) as i64;
                let in_lap = position & (capacity - 1);
                // Padding leads to the beginning of the ring, and never begins there: after it comes something else.
                if in_lap == 0 || lines != capacity - in_lap {
                    return None;
                }
                Some((Self::Padding { lines }, position + lines))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_comes_apart_the_same() {
        for word in [
            Word::Record { len: 0, gap_lines: 0, kind: 0, flags: 0 },
            Word::Record { len: 49, gap_lines: 2, kind: 255, flags: 7 },
            Word::Padding { lines: 4 },
        ] {
            let (same, end) = Word::unpack(word.pack(), 12, 8).unwrap();
            assert_eq!((same, end), (word, if matches!(word, Word::Record { len: 0, .. }) { 13 } else { 16 }));
        }
    }

    #[test]
    fn no_word_leads_further_than_a_lap_and_padding_leads_to_the_beginning() {
        let fits = Word::Record { len: bytes_in(7) as u32, gap_lines: 0, kind: 0, flags: 0 };
        let with_gap = Word::Record { len: bytes_in(7) as u32, gap_lines: 1, kind: 0, flags: 0 };
        for position in 0..16 {
            assert_eq!(Word::unpack(fits.pack(), position, 8), Some((fits, position + 7)));
            assert!(Word::unpack(with_gap.pack(), position, 8).is_none());
        }
        for lines in [0, 1, 3, 5, 8] {
            assert!(Word::unpack(Word::Padding { lines }.pack(), 4, 8).is_none());
        }
        assert!(Word::unpack(Word::Padding { lines: 8 }.pack(), 0, 8).is_none());
        for word in [0, -1, i64::MAX, 1, 3 << 56, Word::Padding { lines: 1 }.pack() | 1 << 40] {
            assert!(Word::unpack(word, 0, 8).is_none(), "{word:#x}");
        }
        assert!(
            Word::unpack(Word::Record { len: u32::MAX, gap_lines: 255, kind: 0, flags: 0 }.pack(), 0, 1 << 20)
                .is_none()
        );
    }

    #[test]
    fn padding_of_any_ring_that_can_be_says_how_long_it_is() {
        for lines in [(1 << 32) + 5, (1 << 40) - 1] {
            let word = Word::Padding { lines };
            assert_eq!(Word::unpack(word.pack(), 3 * (1 << 40) - lines, 1 << 40), Some((word, 3 << 40)));
        }
    }

    #[test]
    fn lines_and_bytes_agree() {
        assert_eq!((lines_of(0), lines_of(48), lines_of(49), lines_of(112)), (1, 1, 2, 2));
        for lines in 1..100 {
            assert_eq!(lines_of(bytes_in(lines)), lines);
            assert_eq!(lines_of(bytes_in(lines) + 1), lines + 1);
        }
    }
}
