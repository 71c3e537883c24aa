//! Which names a segment of a session may have, on every supported system.

/// The longest name of a shared-memory segment in bytes. macOS has the smallest limit of the supported systems, and a
/// session that works on one machine should not fail on another.
pub const SEGMENT_NAME_LIMIT_MACOS: usize = 14;

/// Why a name cannot be that of a session's segment. Nothing was created or opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSegmentName {
    /// A segment must have a name.
    #[error("a segment's name is empty")]
    Empty,
    /// Some systems would refuse it. Choose a shorter prefix.
    #[error("the segment name `{}` is longer than {limit_bytes} bytes; choose a shorter one, or a shorter prefix", name.escape_debug())]
    TooLong {
        /// The name.
        name: String,
        /// The longest that is accepted.
        limit_bytes: usize,
    },
    /// Only ASCII letters, digits, `_` and `-` are valid in a segment, a file, an argument and a variable without
    /// quotes.
    #[error("the segment name `{}` contains {found:?}; letters, digits, `_` and `-` are allowed", name.escape_debug())]
    Character {
        /// The name.
        name: String,
        /// The first character that is not allowed.
        found: char,
    },
}

/// Checks that `name` can be a segment's name everywhere: 1 to [`SEGMENT_NAME_LIMIT_MACOS`] ASCII letters, digits, `_`
/// and `-`.
///
/// # Errors
/// [`InvalidSegmentName`] says which rule was broken; choose another name.
/// Source: RFC 0009, "Names".
pub fn validate_segment_name(name: &str) -> Result<(), InvalidSegmentName> {
    if name.is_empty() {
        return Err(InvalidSegmentName::Empty);
    }
    // Characters first: if a name is wrong in both ways, the character is the clearer error.
    if let Some(found) = name.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))) {
        return Err(InvalidSegmentName::Character { name: name.to_owned(), found });
    }
    if name.len() > SEGMENT_NAME_LIMIT_MACOS {
        return Err(InvalidSegmentName::TooLong { name: name.to_owned(), limit_bytes: SEGMENT_NAME_LIMIT_MACOS });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_some_system_would_refuse_is_refused_everywhere() {
        for good in ["a", "vmy0a1b2c3dp", "_-_", &"x".repeat(SEGMENT_NAME_LIMIT_MACOS)] {
            assert_eq!(validate_segment_name(good), Ok(()), "{good}");
        }
        assert_eq!(validate_segment_name(""), Err(InvalidSegmentName::Empty));
        let long = "x".repeat(SEGMENT_NAME_LIMIT_MACOS + 1);
        assert!(matches!(validate_segment_name(&long), Err(InvalidSegmentName::TooLong { limit_bytes: 14, .. })));
        for (bad, culprit) in [("a/b", '/'), ("a.b", '.'), ("a b", ' '), ("gr\u{f6}\u{df}e", '\u{f6}'), ("a\n", '\n')] {
            match validate_segment_name(bad) {
                Err(InvalidSegmentName::Character { found, .. }) => assert_eq!(found, culprit),
                other => panic!("{bad:?}: {other:?}"),
            }
        }
    }
}
