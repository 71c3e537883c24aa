//! A text of others in a report whose lines count: it stays in its line.

use std::fmt::{self, Write};

/// Shows a text with escapes for line feeds and for what cannot be printed. Quotes and backslashes stay as they are, so
/// an error reads as it does elsewhere.
pub(crate) struct OneLine<'a>(pub(crate) &'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '\'' | '"' | '\\' => f.write_char(c),
            _ => write!(f, "{}", c.escape_debug()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_stays_in_its_line_and_is_readable() {
        assert_eq!(
            OneLine("'x' is no \"level\"\r\n\tat\u{1b}[2J").to_string(),
            r#"'x' is no "level"\r\n\tat\u{1b}[2J"#
        );
        assert_eq!(OneLine(r"'\xff' is über 1 µs").to_string(), r"'\xff' is über 1 µs");
    }
}
