//! The content of messages. It exists before anything is measured, every byte of it is copied and read, and the sums
//! are
//! checked.
//!
//! All messages of a source are in one buffer and overlap: each begins one cache line after the previous one. So they
//! differ in nearly every byte, and take hardly more cache than one of them.

use zerocopy::IntoBytes;

/// How many different messages there are. Not a power of two, as the places of a ring are: so a place gets another
/// message in each lap, and one that was not written shows.
pub(crate) const TURNS: usize = 7;

/// What [`sum`] adds up at once, and how far messages are apart.
const BYTES_MULTIPLE: usize = 64;
/// The same in words.
const WORDS_MULTIPLE: usize = BYTES_MULTIPLE / size_of::<u64>();

/// From this length on a separate function reads a message.
const LONG_BYTES: usize = 512;

/// The bits of a message's first word that say which of the messages it is.
const TURN_MASK: u64 = 0xf;

/// The first word of the message that ends a measurement. No other message has it: their words have no highest bit.
pub(crate) const STOP: u64 = u64::MAX;

/// Messages of one length in a private buffer.
#[derive(Debug)]
pub(crate) struct Source {
    words: Vec<u64>,
    /// Where the first message begins: on a cache line of its own.
    begin: usize,
    /// Words of a message.
    count: usize,
    /// The sum of each message.
    sums: [u64; TURNS],
    /// The message that ends a measurement.
    stop: Vec<u64>,
}

impl Source {
    /// Messages of this many bytes.
    ///
    /// # Panics
    /// When `len_bytes` is not a positive multiple of 8.
    pub(crate) fn new(len_bytes: usize) -> Self {
        let word_bytes = size_of::<u64>();
        assert!(len_bytes > 0 && len_bytes.is_multiple_of(word_bytes), "there are no messages of {len_bytes} B");
        let count = len_bytes / word_bytes;
        let used = count + (TURNS - 1) * WORDS_MULTIPLE;
        let mut words = vec![0; used + WORDS_MULTIPLE];
        let begin = words.as_ptr().align_offset(BYTES_MULTIPLE).min(WORDS_MULTIPLE);
        for (index, word) in words[begin..begin + used].iter_mut().enumerate() {
            *word = word_at(index);
        }
        let mut source = Self { words, begin, count, sums: [0; TURNS], stop: vec![STOP; count] };
        source.sums =
            std::array::from_fn(|turn| source.words_of(turn).iter().fold(0, |sum: u64, word| sum.wrapping_add(*word)));
        source
    }

    #[inline(always)]
    fn words_of(&self, turn: usize) -> &[u64] {
        let begin = self.begin + turn * WORDS_MULTIPLE;
        &self.words[begin..begin + self.count]
    }

    #[inline(always)]
    fn turn(number: u64) -> usize {
        (number % TURNS as u64) as usize
    }

    /// Message `number`.
    #[inline(always)]
    pub(crate) fn words(&self, number: u64) -> &[u64] {
        self.words_of(Self::turn(number))
    }

    /// The same as an event of a ring.
    ///
    /// # Panics
    /// When messages have fewer words.
    #[inline(always)]
    pub(crate) fn event<const WORDS: usize>(&self, number: u64) -> &[u64; WORDS] {
        self.words(number).first_chunk().expect("an event is as long as a message")
    }

    /// The same as bytes.
    #[inline(always)]
    pub(crate) fn bytes(&self, number: u64) -> &[u8] {
        self.words(number).as_bytes()
    }

    /// The sum of message `number`.
    #[inline(always)]
    pub(crate) fn sum(&self, number: u64) -> u64 {
        self.sums[Self::turn(number)]
    }

    /// The sum of the messages from `first` on, `count` of them.
    pub(crate) fn total(&self, first: u64, count: u64) -> u64 {
        let all = self.sums.iter().fold(0, |total: u64, sum| total.wrapping_add(*sum));
        let rest =
            (first..first + count % TURNS as u64).fold(0, |total: u64, number| total.wrapping_add(self.sum(number)));
        all.wrapping_mul(count / TURNS as u64).wrapping_add(rest)
    }

    /// The number of the message that answers one of another source with as many turns: the same number's. It depends
    /// on every byte that was read. `None`: that is none of its messages.
    #[inline(always)]
    pub(crate) fn answer(&self, seen: Seen) -> Option<u64> {
        let turn = seen.first & TURN_MASK;
        let sum = self.sums.get(turn as usize)?;
        let turn = turn.wrapping_add(seen.sum.wrapping_sub(*sum));
        (turn < TURNS as u64).then_some(turn)
    }

    /// The message after which nothing comes, with the number of those before it in its second word where it has one.
    pub(crate) fn stop(&mut self, count: u64) -> &[u64] {
        if let Some(second) = self.stop.get_mut(1) {
            *second = count;
        }
        &self.stop
    }

    /// The same as bytes.
    pub(crate) fn stop_bytes(&mut self, count: u64) -> &[u8] {
        self.stop(count).as_bytes()
    }
}

/// Word `index` of a source: any number, but for the highest bit and those that say which message begins here.
fn word_at(index: usize) -> u64 {
    let mixed = (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let turn = (index / WORDS_MULTIPLE) as u64 & TURN_MASK;
    (mixed >> 1) & !TURN_MASK | turn
}

/// What a receiver knows of a message after it has looked at every byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The first word.
    pub(crate) first: u64,
    /// All words, added up, wrapping.
    pub(crate) sum: u64,
}

impl Seen {
    /// What all words of an event come to.
    #[inline(always)]
    pub(crate) fn of_words(words: &[u64]) -> Self {
        let first = words.first().map_or(0, |word| *word);
        let bytes = words.as_bytes();
        let is_long = bytes.len() >= LONG_BYTES;
        let sum = if is_long { sum(bytes) } else { words.iter().fold(0, |sum: u64, word| sum.wrapping_add(*word)) };
        Self { first, sum }
    }
}

/// Reads every byte of a message; one that is too short to have a word begins with zero and adds up to zero.
#[inline(always)]
pub(crate) fn read(bytes: &[u8]) -> Seen {
    Seen { first: word(bytes, 0), sum: sum(bytes) }
}

/// How many messages there were before this one, which [ends](Source::stop) a measurement.
pub(crate) fn count_before(bytes: &[u8]) -> u64 {
    word(bytes, size_of::<u64>())
}

/// The word at a place, zero after the end.
#[inline(always)]
fn word(bytes: &[u8], place: usize) -> u64 {
    bytes.get(place..).and_then(<[u8]>::first_chunk).map_or(0, |word| u64::from_ne_bytes(*word))
}

/// All words of `bytes`, added up. Bytes after the last multiple of 64 are not read.
#[inline(always)]
pub(crate) fn sum(bytes: &[u8]) -> u64 {
    if bytes.len() < LONG_BYTES { sum_in_place(bytes) } else { sum_of_long(bytes) }
}

/// [`sum_in_place`] as a function of its own. Within a receiver's code the compiler has other uses for the registers:
/// the same loop then read 29 GB/s, where this one reads 137 GB/s, and every carrier of long messages seemed to be
/// equally fast.
#[inline(never)]
fn sum_of_long(bytes: &[u8]) -> u64 {
    sum_in_place(bytes)
}

/// Adds up in eight independent sums so that the additions do not wait for one another.
#[inline(always)]
fn sum_in_place(bytes: &[u8]) -> u64 {
    let (groups, _) = bytes.as_chunks::<BYTES_MULTIPLE>();
    let mut sums = [0_u64; 8];
    for group in groups {
        let (words, _) = group.as_chunks::<8>();
        for (sum, word) in sums.iter_mut().zip(words) {
            *sum = sum.wrapping_add(u64::from_ne_bytes(*word));
        }
    }
    sums.into_iter().fold(0, u64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_copied_is_what_is_read() {
        for len_bytes in [64, 128, 1024, 1088] {
            let source = Source::new(len_bytes);
            for number in 0..20 {
                let copy = source.bytes(number).to_vec();
                assert_eq!(read(&copy).sum, source.sum(number));
                assert_eq!(source.answer(read(&copy)), Some(number % TURNS as u64));
                assert_eq!(Seen::of_words(source.words(number)), read(&copy));
            }
        }
    }

    #[test]
    fn one_wrong_byte_shows_wherever_it_is() {
        let source = Source::new(128);
        for place in 0..128 {
            let mut bytes = source.bytes(1).to_vec();
            bytes[place] ^= 0x80;
            assert_ne!(read(&bytes).sum, source.sum(1), "{place}");
            assert_eq!(source.answer(read(&bytes)), None, "{place}");
        }
    }

    #[test]
    fn what_a_lap_left_in_a_place_is_not_what_the_next_lap_puts_there() {
        let source = Source::new(64);
        for places in [1_u64, 2, 4096, 32768] {
            let same = source.words(5).iter().zip(source.words(5 + places)).filter(|(old, new)| old == new);
            assert_eq!(same.count(), 0, "{places}");
        }
    }

    #[test]
    fn the_total_is_the_sum_of_the_messages() {
        let source = Source::new(64);
        for (first, count) in [(0, 0), (0, 1), (3, 40), (9, 7)] {
            let added = (first..first + count).fold(0_u64, |total, number| total.wrapping_add(source.sum(number)));
            assert_eq!(source.total(first, count), added, "{first}, {count}");
        }
    }

    #[test]
    fn the_message_that_ends_a_measurement_says_how_many_there_were() {
        let mut source = Source::new(64);
        assert!((0..TURNS as u64).all(|number| source.words(number)[0] != STOP));
        let stop = source.stop_bytes(12).to_vec();
        assert_eq!((read(&stop).first, count_before(&stop)), (STOP, 12));
        assert_eq!(Source::new(8).stop(12), [STOP]);
    }

    #[test]
    fn messages_begin_on_cache_lines() {
        let source = Source::new(192);
        assert!((0..TURNS as u64).all(|number| source.bytes(number).as_ptr().addr().is_multiple_of(64)));
    }
}
