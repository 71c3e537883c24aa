//! The text, and how it is cut into pieces that fit into events.

use super::Failure;
use super::events::TEXT_BYTES;
use std::fs;
use std::path::{Path, PathBuf};

/// The size to which the default input is repeated. The repository has a little less than a megabyte, and a run over it
/// would end before it could be watched.
const DEFAULT_TEXT_BYTES: usize = 16 << 20;

/// The extensions of text files.
const TEXT_EXTENSIONS: [&str; 3] = ["md", "rs", "toml"];

/// The content of `file`; without one, the text of this repository, file after file in the order of their names, again
/// and again until it is 16 MiB.
///
/// # Errors
/// It cannot be read. The repository is expected where this program was compiled: if it has moved since, give a file.
pub(crate) fn load(file: Option<&Path>) -> Result<Vec<u8>, Failure> {
    if let Some(file) = file {
        return fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()).into());
    }
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let once = repository_text(&repository)
        .map_err(|error| format!("cannot read the repository's text ({error}); give a file with --input"))?;
    if once.is_empty() {
        return Err("the repository has no text; give a file with --input".into());
    }
    Ok(once.repeat(DEFAULT_TEXT_BYTES.div_ceil(once.len())))
}

/// All text below `directory`, in an order that does not depend on the file system. Hidden folders and build outputs
/// are left out.
fn repository_text(directory: &Path) -> std::io::Result<Vec<u8>> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    paths.sort();
    let mut text = Vec::new();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_text = path.extension().is_some_and(|extension| TEXT_EXTENSIONS.iter().any(|known| extension == *known));
        if path.is_dir() && !name.starts_with('.') && name != "target" {
            text.extend(repository_text(&path)?);
        } else if path.is_file() && is_text {
            text.extend(fs::read(&path)?);
        }
    }
    Ok(text)
}

/// Consecutive bytes of the text that fit into one event, with the facts that are needed to count them alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece<'a> {
    /// The number of the line in which it begins, from 0.
    pub(crate) first_line: u64,
    /// Where in that line it begins, in bytes: more than 0 if the line is too long for one event.
    pub(crate) first_column: u64,
    /// Whether its first word has begun in the piece before, and is counted there.
    pub(crate) starts_inside_word: bool,
    /// Whole lines if they fit; else as much of a line as fits.
    pub(crate) text: &'a [u8],
}

/// Cuts `text` into pieces.
pub(crate) fn pieces(text: &[u8]) -> Pieces<'_> {
    Pieces { rest: text, line: 0, column: 0, is_inside_word: false }
}

/// The pieces of a text, in order. See [`pieces`].
#[derive(Clone)]
pub(crate) struct Pieces<'a> {
    rest: &'a [u8],
    line: u64,
    column: u64,
    is_inside_word: bool,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let window = &self.rest[..TEXT_BYTES.min(self.rest.len())];
        let last = *window.last()?;
        let len = match window.iter().rposition(|byte| *byte == b'\n') {
            Some(line_break) if window.len() < self.rest.len() => line_break + 1,
            // The end of the text, or a line that goes on: words are cut as well, and the next piece says so.
            _ => window.len(),
        };
        let (text, rest) = self.rest.split_at(len);
        let piece =
            Piece { first_line: self.line, first_column: self.column, starts_inside_word: self.is_inside_word, text };
        let line_breaks = text.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.rest = rest;
        self.line += line_breaks;
        (self.column, self.is_inside_word) = match line_breaks {
            0 => (self.column + len as u64, !last.is_ascii_whitespace()),
            // After a line break; or the text is over, and the value is not used.
            _ => (0, false),
        };
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_whole_lines_where_lines_fit_and_nothing_is_lost() {
        let text = format!("{}{}\n{}", "a line of text\n".repeat(100), "x".repeat(3 * TEXT_BYTES), "the end");
        let pieces: Vec<_> = pieces(text.as_bytes()).collect();
        assert_eq!(pieces.iter().flat_map(|piece| piece.text).copied().collect::<Vec<_>>(), text.as_bytes());
        assert!(pieces.iter().all(|piece| (1..=TEXT_BYTES).contains(&piece.text.len())));
        for two in pieces.windows(2) {
            let is_whole = two[0].text.ends_with(b"\n");
            assert_eq!((two[1].first_column == 0, two[1].starts_inside_word), (is_whole, !is_whole), "{two:?}");
        }
    }

    #[test]
    fn the_default_text_is_that_of_the_repository_and_long_enough() {
        let text = load(None).unwrap();
        assert!(text.len() >= DEFAULT_TEXT_BYTES);
        assert!(text.windows(9).any(|bytes| bytes == b"workspace"));
    }
}
