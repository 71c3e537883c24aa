//! A short text in atomic words, as used in blocks and records.

use crate::sync::primitive::{AtomicU64, Ordering};

/// At most `8 * WORDS` bytes of text, padded with zeros.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Text<const WORDS: usize> {
    len_bytes: u32,
    words: [u64; WORDS],
}

impl<const WORDS: usize> Text<WORDS> {
    /// The first characters of `text` that fit.
    pub(super) fn beginning_of(text: &str) -> Self {
        let mut end = text.len().min(8 * WORDS);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Self::of(&text[..end])
    }

    /// The last characters of `text` that fit: for a path, the part that distinguishes two files.
    pub(super) fn end_of(text: &str) -> Self {
        let mut start = text.len().saturating_sub(8 * WORDS);
        while !text.is_char_boundary(start) {
            start += 1;
        }
        Self::of(&text[start..])
    }

    fn of(text: &str) -> Self {
        let mut words = [0; WORDS];
        for (word, chunk) in words.iter_mut().zip(text.as_bytes().chunks(8)) {
            let mut bytes = [0; 8];
            bytes[..chunk.len()].copy_from_slice(chunk);
            *word = u64::from_ne_bytes(bytes);
        }
        Self { len_bytes: text.len() as u32, words }
    }

    pub(super) fn len_bytes(&self) -> u32 {
        self.len_bytes
    }

    /// Stores the words. The caller stores the length.
    pub(super) fn store(&self, place: &[AtomicU64; WORDS]) {
        for (word, text) in place.iter().zip(self.words) {
            word.store(text, Ordering::Relaxed);
        }
    }

    /// The text in `place`. A length beyond the words is cut.
    pub(super) fn load(len_bytes: u32, place: &[AtomicU64; WORDS]) -> Self {
        let words = core::array::from_fn(|n| place[n].load(Ordering::Relaxed));
        Self { len_bytes: len_bytes.min(8 * WORDS as u32), words }
    }
}

impl<const WORDS: usize> From<Text<WORDS>> for String {
    /// Bytes that are not UTF-8, which only a damaged table has, are replaced by U+FFFD.
    fn from(text: Text<WORDS>) -> Self {
        let bytes: Vec<u8> = text.words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        String::from_utf8_lossy(&bytes[..text.len_bytes as usize]).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters_at_either_end() {
        let both = |text: &str| (String::from(Text::<1>::beginning_of(text)), String::from(Text::<1>::end_of(text)));
        assert_eq!(both("short"), ("short".into(), "short".into()));
        assert_eq!(both("abcdefghij"), ("abcdefgh".into(), "cdefghij".into()));
        assert_eq!(both("äbcdefgäbcdefgä"), ("äbcdefg".into(), "bcdefgä".into()));
        assert_eq!(both("a🦀🦀b"), ("a🦀".into(), "🦀b".into()));
    }

    #[test]
    fn texts_that_differ_only_in_trailing_zeros_are_different() {
        assert!(Text::<1>::beginning_of("a") != Text::<1>::beginning_of("a\0"));
    }
}
