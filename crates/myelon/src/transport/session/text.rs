//! A configuration as one line of text that needs no quotes in an argument list, an environment variable or a JSON
//! string.
//!
//! ```text
//! what:version,field=value,...,sum=0123456789abcdef
//! ```
//! Letters, digits and `_-.:,=%` only. Other bytes of a value are `%` and two digits. The sum is that of everything
//! before its comma, so a line that was cut, edited or joined with another is refused as a whole.

use super::tag::fnv1a;
use std::fmt::Write;
use std::str::FromStr;

/// Begins the last field.
const SUM: &str = ",sum=";

/// Why a text is not a valid configuration. Nothing of it was used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidConfigText {
    /// It is something else, or empty: perhaps the wrong variable.
    #[error("the text does not begin with `{wanted}:`")]
    NotThis {
        /// The beginning of such a text.
        wanted: &'static str,
    },
    /// It was written by another version. Use the same version on both sides.
    #[error("the text has version {}, this program reads version {known}; use one version of the library on both sides", found.escape_debug())]
    Version {
        /// What the text says.
        found: String,
        /// What this program reads.
        known: u32,
    },
    /// It has no sum at its end: it was cut.
    #[error("the text has no checksum at its end; it was cut")]
    Cut,
    /// It was changed after it had been written.
    #[error("the text was changed: its checksum is {found:016x} and should be {wanted:016x}")]
    Checksum {
        /// What the text says.
        found: u64,
        /// The sum of the text as it is.
        wanted: u64,
    },
    /// A field is missing.
    #[error("the field `{field}` is missing")]
    Missing {
        /// Its name.
        field: &'static str,
    },
    /// A field has an invalid value.
    #[error("the field `{field}` is `{}`: {problem}", value.escape_debug())]
    Value {
        /// Its name.
        field: &'static str,
        /// What the text says.
        value: String,
        /// What is wrong with it.
        problem: String,
    },
    /// There is a field that this version does not know, a field that occurs twice, or something that is no field.
    #[error("`{}` is not a field that belongs there", text.escape_debug())]
    Stray {
        /// The part of the text.
        text: String,
    },
}

/// Writes such a line.
pub(crate) struct Writer(String);

impl Writer {
    /// Begins a line of the kind `what` in that version.
    pub(crate) fn new(what: &'static str, version: u32) -> Self {
        Self(format!("{what}:{version}"))
    }

    /// Adds a field. Any bytes can be a value.
    pub(crate) fn field(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        self.0.extend([",", name, "="]);
        for &byte in value.as_ref() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b':' => self.0.push(char::from(byte)),
                _ => write!(self.0, "%{byte:02x}").expect("writing to a string does not fail"),
            }
        }
        self
    }

    /// Adds a number.
    pub(crate) fn number(self, name: &'static str, value: impl Into<u64>) -> Self {
        self.field(name, value.into().to_string())
    }

    /// Ends the line.
    pub(crate) fn finish(self) -> String {
        let sum = fnv1a(self.0.as_bytes());
        format!("{}{SUM}{sum:016x}", self.0)
    }
}

/// The fields of such a line, which are taken out one by one.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    fields: Vec<(&'a str, &'a str)>,
}

impl<'a> Fields<'a> {
    /// Checks the kind, the version and the sum of a line, in this order: a line of another version is reported as
    /// such, whatever its grammar.
    pub(crate) fn of(text: &'a str, what: &'static str, version: u32) -> Result<Self, InvalidConfigText> {
        // Editors, shells and `$(...)` add white space around a line; a line itself has none.
        let text = text.trim();
        let rest = text.strip_prefix(what).and_then(|rest| rest.strip_prefix(':'));
        let rest = rest.ok_or(InvalidConfigText::NotThis { wanted: what })?;
        let found = rest.split(',').next().unwrap_or_default();
        if found != version.to_string() {
            return Err(InvalidConfigText::Version { found: found.to_owned(), known: version });
        }
        let (body, sum) = text.rsplit_once(SUM).ok_or(InvalidConfigText::Cut)?;
        let is_whole = sum.len() == 16 && sum.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let found_sum = u64::from_str_radix(sum, 16).ok().filter(|_| is_whole).ok_or(InvalidConfigText::Cut)?;
        let wanted = fnv1a(body.as_bytes());
        if found_sum != wanted {
            return Err(InvalidConfigText::Checksum { found: found_sum, wanted });
        }
        let mut fields = Vec::new();
        for field in body.split(',').skip(1) {
            let stray = || InvalidConfigText::Stray { text: field.to_owned() };
            let (name, value) = field.split_once('=').ok_or_else(stray)?;
            if fields.iter().any(|&(known, _)| known == name) {
                return Err(stray());
            }
            fields.push((name, value));
        }
        Ok(Self { fields })
    }

    /// Takes a field out and parses its bytes with `read`; `None` if it is not there.
    pub(crate) fn optional<T>(
        &mut self,
        field: &'static str,
        read: impl FnOnce(Vec<u8>) -> Result<T, String>,
    ) -> Result<Option<T>, InvalidConfigText> {
        let Some(index) = self.fields.iter().position(|&(name, _)| name == field) else { return Ok(None) };
        let (_, value) = self.fields.remove(index);
        let invalid = |problem| InvalidConfigText::Value { field, value: value.to_owned(), problem };
        let bytes = unescaped(value).ok_or_else(|| invalid("a `%` is not followed by two digits".to_owned()))?;
        read(bytes).map(Some).map_err(invalid)
    }

    /// Takes a text out; `None` if it is not there.
    pub(crate) fn optional_text(&mut self, field: &'static str) -> Result<Option<String>, InvalidConfigText> {
        self.optional(field, utf8)
    }

    /// Takes a number out; `None` if it is not there. Numbers have one form only: digits without a sign, and no zeros
    /// in front.
    pub(crate) fn optional_number<T: FromStr + ToString>(
        &mut self,
        field: &'static str,
    ) -> Result<Option<T>, InvalidConfigText> {
        self.optional(field, |bytes| number(&utf8(bytes)?))
    }

    /// Takes a field out and parses its text with `read`.
    pub(crate) fn parsed<T>(
        &mut self,
        field: &'static str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, InvalidConfigText> {
        self.optional(field, |bytes| read(&utf8(bytes)?))?.ok_or(InvalidConfigText::Missing { field })
    }

    /// Takes a number out, which must have the only valid form.
    pub(crate) fn number<T: FromStr + ToString>(&mut self, field: &'static str) -> Result<T, InvalidConfigText> {
        self.parsed(field, number)
    }

    /// Ends the line: an error if fields are left.
    pub(crate) fn finish(self) -> Result<(), InvalidConfigText> {
        match self.fields.first() {
            None => Ok(()),
            Some((name, value)) => Err(InvalidConfigText::Stray { text: format!("{name}={value}") }),
        }
    }
}

fn utf8(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
}

/// The number in a text, which must have the only valid form.
pub(super) fn number<T: FromStr + ToString>(text: &str) -> Result<T, String> {
    let number = text.parse::<T>().ok().filter(|number| number.to_string() == text);
    number.ok_or_else(|| "it is not a number that fits".to_owned())
}

/// The bytes that [`Writer::field`] was given; `None` for an escape that it does not write.
fn unescaped(value: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    loop {
        match rest {
            [] => return Some(bytes),
            [b'%', high, low, after @ ..] => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                bytes.push((digit(*high)? * 16 + digit(*low)?) as u8);
                rest = after;
            }
            [b'%', ..] => return None,
            [byte, after @ ..] => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WHAT: &str = "test";

    fn line() -> String {
        Writer::new(WHAT, 1).field("name", "a b").number("depth", 7u64).finish()
    }

    /// `body` with a correct sum, as an attacker or another version would write it.
    fn summed(body: &str) -> String {
        format!("{body}{SUM}{:016x}", fnv1a(body.as_bytes()))
    }

    #[test]
    fn what_is_wrong_with_a_line_is_named() {
        let error = |text: &str| Fields::of(text, WHAT, 1).map(drop).unwrap_err();
        assert_eq!(error(""), InvalidConfigText::NotThis { wanted: WHAT });
        assert_eq!(error("other:1,sum=0"), InvalidConfigText::NotThis { wanted: WHAT });
        assert_eq!(error("test:2;new grammar"), InvalidConfigText::Version { found: "2;new grammar".into(), known: 1 });
        assert_eq!(error("test:1,name=a"), InvalidConfigText::Cut);
        assert_eq!(error(&line()[..line().len() - 1]), InvalidConfigText::Cut);
        assert!(matches!(error(&line().replace("depth=7", "depth=8")), InvalidConfigText::Checksum { .. }));
        assert_eq!(error(&summed("test:1,name=a,name=b")), InvalidConfigText::Stray { text: "name=b".into() });
        assert_eq!(error(&summed("test:1,name")), InvalidConfigText::Stray { text: "name".into() });
    }

    #[test]
    fn what_is_wrong_with_a_field_is_named() {
        let read = |body: &str| {
            let text = summed(body);
            let mut fields = Fields::of(&text, WHAT, 1)?;
            let both = (fields.parsed("name", |name| Ok(name.to_owned()))?, fields.number::<u8>("depth")?);
            fields.finish().map(|()| both)
        };
        assert_eq!(read("test:1,depth=7,name=x"), Ok(("x".into(), 7)), "their order does not matter");
        assert_eq!(read("test:1,name=x"), Err(InvalidConfigText::Missing { field: "depth" }));
        let value = |result: Result<_, _>, field| matches!(result, Err(InvalidConfigText::Value { field: f, .. }) if f == field);
        for number in ["", "-1", "+1", "01", "256", "1x"] {
            assert!(value(read(&format!("test:1,name=x,depth={number}")), "depth"), "{number}");
        }
        for name in ["%", "%4", "%zz", "%ff"] {
            assert!(value(read(&format!("test:1,depth=1,name={name}")), "name"), "{name}");
        }
        assert_eq!(
            read("test:1,name=x,depth=7,colour=red"),
            Err(InvalidConfigText::Stray { text: "colour=red".into() })
        );
    }

    #[test]
    fn white_space_around_a_line_does_not_matter() {
        assert!(Fields::of(&format!("  {}\n", line()), WHAT, 1).is_ok());
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_value_and_the_line_needs_no_quotes(value: Vec<u8>, number: u64) {
            let text = Writer::new(WHAT, 1).field("value", &value).number("number", number).finish();
            prop_assert!(text.bytes().all(|b| b.is_ascii_graphic() && !b"\"'`\\$&;|<>(){}[]*?~#!^/".contains(&b)), "{}", text);
            let mut fields = Fields::of(&text, WHAT, 1).unwrap();
            prop_assert_eq!(fields.optional("value", Ok).unwrap(), Some(value));
            prop_assert_eq!(fields.number::<u64>("number").unwrap(), number);
            prop_assert_eq!(fields.finish(), Ok(()));
        }

        #[test]
        fn a_line_with_one_byte_changed_or_cut_is_refused(at in 0usize..64, byte in 0x20u8..0x7f) {
            let original = line();
            let mut changed = original.clone().into_bytes();
            let at = at % changed.len();
            let cut = &original[..at];
            prop_assert!(Fields::of(cut, WHAT, 1).is_err());
            changed[at] = byte;
            let changed = String::from_utf8(changed).unwrap();
            // White space at the ends is not part of the line.
            prop_assert!(changed.trim() == original.trim() || Fields::of(&changed, WHAT, 1).is_err());
        }
    }
}
