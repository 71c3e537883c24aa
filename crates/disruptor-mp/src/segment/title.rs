//! How people name a segment: the session it belongs to, and the rank of the process that writes it.
//!
//! A [place](super::Place) has a title; the header of what is created there keeps it, and reports show it.

use crate::text::disguises;
use std::fmt;

/// The longest label in a segment.
pub(super) const LABEL_BYTES_MAX: usize = 64;

/// What people call a segment: `tp-engine, rank 1`. Without a label it is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Title {
    label: String,
    rank: Option<u32>,
}

impl Title {
    /// The session `label` and the rank of the process that writes the segment, if it has one. At most 64 bytes of the
    /// label are kept, and characters that cannot be seen are replaced.
    ///
    /// ```
    /// use disruptor_mp::segment::Title;
    ///
    /// assert_eq!(Title::new("tp-engine", Some(1)).to_string(), "tp-engine, rank 1");
    /// assert_eq!(Title::new("tp-engine", None).to_string(), "tp-engine");
    /// ```
    pub fn new(label: &str, rank: Option<u32>) -> Self {
        let mut kept = String::new();
        for c in label.chars().map(|c| if disguises(c) { char::REPLACEMENT_CHARACTER } else { c }) {
            if kept.len() + c.len_utf8() > LABEL_BYTES_MAX {
                break;
            }
            kept.push(c);
        }
        Self { label: kept, rank }
    }

    /// The session's label; empty if none was given.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The rank, from 0.
    pub fn rank(&self) -> Option<u32> {
        self.rank
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.label.is_empty()
    }

    /// Read from a header. `None`: the label cannot have been written by a correct process.
    pub(super) fn of_header(label: &[u8], rank_plus_one: u32) -> Option<Self> {
        let label = std::str::from_utf8(label).ok()?;
        let title = Self::new(label, rank_plus_one.checked_sub(1));
        (title.label == label).then_some(title)
    }

    /// The title and then `place` in parentheses; only the place if there is no title.
    pub(crate) fn before(&self, place: &impl fmt::Display) -> String {
        match self.is_empty() {
            true => place.to_string(),
            false => format!("{self} ({place})"),
        }
    }
}

impl fmt::Display for Title {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)?;
        match self.rank {
            Some(rank) if !self.is_empty() => write!(f, ", rank {rank}"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_cut_between_characters_and_what_cannot_be_seen_is_replaced() {
        let long = "größe ".repeat(20);
        let title = Title::new(&long, Some(0));
        assert!(title.label().len() <= LABEL_BYTES_MAX && long.starts_with(title.label()), "{title}");
        assert_eq!(Title::new("a\u{202e}b\n", None).to_string(), "a\u{fffd}b\u{fffd}");
        let empty = Title::new("", Some(3));
        assert!(empty.is_empty() && empty.to_string().is_empty());
        assert_eq!(
            (empty.before(&"shm:a"), Title::new("s", Some(3)).before(&"shm:a")),
            ("shm:a".into(), "s, rank 3 (shm:a)".into())
        );
    }
}
