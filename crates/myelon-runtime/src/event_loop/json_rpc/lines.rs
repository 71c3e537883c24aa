//! Bytes that arrive in pieces of any size, as lines of a bounded length.
//!
//! Which lines there are depends on the bytes alone, and not on their pieces.

/// The longest line, without its end. A longer one is answered with an error and skipped to its end.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// A line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// Without the line feed. It is not blank.
    Whole(&'a [u8]),
    /// One of more than [`LINE_BYTES_MAX`] bytes, blank or not. It is told once.
    TooLong,
}

/// What has arrived and is no line yet.
#[derive(Debug, Default)]
pub(super) struct Lines {
    bytes: Vec<u8>,
    /// Where the next line begins.
    start: usize,
    /// Up to where there is no end of a line.
    seen: usize,
    /// Whether a line that is too long has not ended.
    skipping: bool,
}

impl Lines {
    /// Takes what has arrived. Call it when [`next`](Self::next) has no line, so that at most one line is kept.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.start);
        self.seen -= self.start;
        self.start = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next line that has ended, or that is too long already.
    pub(super) fn next(&mut self) -> Option<Line<'_>> {
        while let Some(end) = self.bytes[self.seen..].iter().position(|&byte| byte == b'\n') {
            let line = self.start..self.seen + end;
            (self.start, self.seen) = (line.end + 1, line.end + 1);
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            if line.len() > LINE_BYTES_MAX {
                return Some(Line::TooLong);
            }
            if !self.bytes[line.clone()].trim_ascii().is_empty() {
                return Some(Line::Whole(&self.bytes[line]));
            }
        }
        self.seen = self.bytes.len();
        let is_too_long = self.seen - self.start > LINE_BYTES_MAX;
        if self.skipping || is_too_long {
            self.start = self.seen;
        }
        let is_news = is_too_long && !self.skipping;
        self.skipping |= is_too_long;
        is_news.then_some(Line::TooLong)
    }

    /// The rest, when nothing more arrives. Call it when [`next`](Self::next) has no line.
    pub(super) fn finish(&mut self) -> Option<Line<'_>> {
        let rest = self.start..self.bytes.len();
        self.start = rest.end;
        let rest = &self.bytes[rest];
        (!self.skipping && !rest.trim_ascii().is_empty()).then_some(Line::Whole(rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A line, or `None` for one that is too long.
    type Seen = Vec<Option<Vec<u8>>>;

    fn seen(line: Line<'_>) -> Option<Vec<u8>> {
        match line {
            Line::Whole(line) => Some(line.to_vec()),
            Line::TooLong => None,
        }
    }

    fn lines_of(pieces: &[&[u8]]) -> Seen {
        let (mut lines, mut all) = (Lines::default(), Seen::new());
        for piece in pieces {
            lines.push(piece);
            while let Some(line) = lines.next() {
                all.push(seen(line));
            }
            assert!(lines.bytes.len() - lines.start <= LINE_BYTES_MAX, "more than one line is kept");
        }
        all.extend(lines.finish().map(seen));
        all
    }

    fn expected(bytes: &[u8]) -> Seen {
        let parts = bytes.split(|&byte| byte == b'\n');
        let is_told = |line: &&[u8]| line.len() > LINE_BYTES_MAX || !line.trim_ascii().is_empty();
        parts.filter(is_told).map(|line| (line.len() <= LINE_BYTES_MAX).then(|| line.to_vec())).collect()
    }

    #[test]
    fn a_line_of_the_limit_is_whole_and_one_byte_more_is_too_long() {
        for (len, is_whole) in [(LINE_BYTES_MAX, true), (LINE_BYTES_MAX + 1, false), (3 * LINE_BYTES_MAX, false)] {
            let mut bytes = vec![b'x'; len];
            bytes.extend(b"\nnext\r\n\n  \nlast");
            let mut of = expected(&bytes);
            assert_eq!(of[0].is_some(), is_whole);
            assert_eq!(lines_of(&[&bytes]), of);
            for piece in [1, 1000, LINE_BYTES_MAX, LINE_BYTES_MAX + 1] {
                assert_eq!(lines_of(&bytes.chunks(piece).collect::<Vec<_>>()), of, "pieces of {piece}");
            }
            // Without its end it is one as well, and is told once.
            of.truncate(1);
            assert_eq!(lines_of(&bytes[..len].chunks(5000).collect::<Vec<_>>()), of);
        }
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_the_pieces_in_which_they_arrive(
            parts in prop::collection::vec((prop::sample::select(vec![0, 1, 2, 70, LINE_BYTES_MAX, 70_000]), "[x \r]"), 0..8),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let lines: Vec<_> = parts.iter().map(|(len, byte)| byte.repeat(*len)).collect();
            let bytes = lines.join("\n").into_bytes();
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
            prop_assert_eq!(lines_of(&pieces), expected(&bytes));
        }

        #[test]
        fn any_bytes_are_lines(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..8)) {
            let whole: Vec<_> = pieces.concat();
            let pieces: Vec<_> = pieces.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(lines_of(&pieces), expected(&whole));
        }
    }
}
