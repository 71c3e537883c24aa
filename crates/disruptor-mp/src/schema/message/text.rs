//! The text form of a message's schema.
//!
//! A process that creates a ring writes it; one that attaches or inspects reads it.
//!
//! It is one line, so that it can be used as a content tag (RFC 0015 has the grammar):
//!
//! ```text
//! message/1 bincode struct Step { id: u64, kind: Kind } enum Kind { Nothing, Number { 0: u64 } }
//! ```
//!
//! A schema has exactly one text, and other texts are refused. So equal texts mean equal schemas. A text is read once
//! from front to back, without recursion: the depth of nested types is a counter.

use super::{Body, Definition, MESSAGE_SCHEMA_BYTES_MAX, MessageField, MessageSchema, Variant};
use crate::schema::{is_name, is_visible};
use core::fmt;

/// Contains the number of this form of the text. Another form gets another number.
const FORM: &str = "message/1 ";

/// Why a text is not a schema of a message: it is a tag that a programmer chose, it is damaged, or another version
/// wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageSchemaError {
    /// The text does not begin like a schema of this form.
    #[error("the text is not the schema of a message: it does not begin with `{}`", FORM.trim_end())]
    OtherForm,
    /// The text is longer than any schema.
    #[error("a schema of {len_bytes} bytes is too long: it has at most {MESSAGE_SCHEMA_BYTES_MAX}")]
    TooLong {
        /// Its length.
        len_bytes: usize,
    },
    /// There is something else where the schema should continue.
    #[error("the schema of a message has no {wanted} at byte {at_bytes}")]
    Syntax {
        /// The byte, counted from the beginning of the text.
        at_bytes: usize,
        /// What should be there.
        wanted: &'static str,
    },
    /// The text can be read, but it is not the one text of its schema.
    #[error("the schema of a message is not written in the form that programs compare")]
    NotCanonical,
}

impl MessageSchema {
    /// Reads a schema back. For any text the worst result is an error, and time and memory are in proportion to its
    /// length.
    ///
    /// # Errors
    /// Any [`MessageSchemaError`]: no schema of this version is displayed as this text.
    pub fn parse(text: &str) -> Result<Self, MessageSchemaError> {
        if text.len() > MESSAGE_SCHEMA_BYTES_MAX {
            return Err(MessageSchemaError::TooLong { len_bytes: text.len() });
        }
        let rest = text.strip_prefix(FORM).ok_or(MessageSchemaError::OtherForm)?;
        let schema = Scanner { len_bytes: text.len(), rest }.schema()?;
        if schema.to_string() == text { Ok(schema) } else { Err(MessageSchemaError::NotCanonical) }
    }
}

/// Whether this can be the name of a codec, a field, a variant or a tag.
pub(super) fn is_word(text: &str) -> bool {
    is_name(text) && !text.contains(|c: char| c.is_whitespace() || "{}()[]<>,:'".contains(c))
}

/// Whether this can be the name of a struct or an enum: a word, and perhaps the arguments of its parameters. It has the
/// length limit of other names, because the rows of a schema repeat it.
pub(super) fn is_type_definition(text: &str) -> bool {
    let arguments = &text[base_of(text).len()..];
    is_name(text) && is_word(base_of(text)) && is_type(text) && (arguments.is_empty() || arguments.ends_with('>'))
}

/// The name of a type without its arguments.
pub(super) fn base_of(name: &str) -> &str {
    name.split('<').next().unwrap_or(name)
}

/// Whether this can be the name of a type: brackets in pairs, and commas only inside them.
pub(super) fn is_type(text: &str) -> bool {
    let mut scanner = Scanner { len_bytes: text.len(), rest: text };
    is_visible(text) && scanner.type_name().is_ok() && scanner.rest.is_empty()
}

/// The text that is still to be read.
struct Scanner<'a> {
    len_bytes: usize,
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    fn missing<T>(&self, wanted: &'static str) -> Result<T, MessageSchemaError> {
        Err(MessageSchemaError::Syntax { at_bytes: self.len_bytes - self.rest.len(), wanted })
    }

    fn eat(&mut self, token: &str) -> bool {
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, token: &'static str) -> Result<(), MessageSchemaError> {
        if self.eat(token) { Ok(()) } else { self.missing(token) }
    }

    fn take(&mut self, len_bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(len_bytes);
        self.rest = rest;
        taken
    }

    fn schema(mut self) -> Result<MessageSchema, MessageSchemaError> {
        let codec = self.word("codec")?;
        let mut definitions = Vec::new();
        while !self.rest.is_empty() || definitions.is_empty() {
            definitions.push(self.definition()?);
        }
        Ok(MessageSchema { codec, definitions })
    }

    fn definition(&mut self) -> Result<Definition, MessageSchemaError> {
        let is_enum = self.eat(" enum ");
        if !is_enum {
            self.expect(" struct ")?;
        }
        let name = self.type_name()?;
        if !is_name(&name) {
            return self.missing("name of a type");
        }
        self.expect(" {")?;
        if self.eat("}") {
            return Ok(Definition { name, body: if is_enum { Body::Enum(vec![]) } else { Body::Struct(vec![]) } });
        }
        self.expect(" ")?;
        let body = if is_enum { Body::Enum(self.variants()?) } else { Body::Struct(self.fields()?) };
        self.expect(" }")?;
        Ok(Definition { name, body })
    }

    fn variants(&mut self) -> Result<Vec<Variant>, MessageSchemaError> {
        let mut variants = Vec::new();
        loop {
            let name = self.word("variant")?;
            let number = if self.eat(" = ") { self.number()? } else { variants.len() as i64 };
            let mut fields = Vec::new();
            if self.eat(" { ") {
                fields = self.fields()?;
                self.expect(" }")?;
            }
            variants.push(Variant { name, number, fields });
            if !self.eat(", ") {
                return Ok(variants);
            }
        }
    }

    fn fields(&mut self) -> Result<Vec<MessageField>, MessageSchemaError> {
        let mut fields = Vec::new();
        loop {
            let name = self.word("field")?;
            self.expect(": ")?;
            fields.push(MessageField { name, type_name: self.type_name()? });
            if !self.eat(", ") {
                return Ok(fields);
            }
        }
    }

    fn word(&mut self, wanted: &'static str) -> Result<String, MessageSchemaError> {
        let end = self.rest.find(|c: char| c.is_whitespace() || ",:{}".contains(c)).unwrap_or(self.rest.len());
        if !is_word(&self.rest[..end]) {
            return self.missing(wanted);
        }
        Ok(self.take(end).to_owned())
    }

    fn number(&mut self) -> Result<i64, MessageSchemaError> {
        let is_part = |c: char| c.is_ascii_digit() || c == '-';
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        match self.rest[..end].parse() {
            Ok(number) => {
                self.take(end);
                Ok(number)
            }
            Err(_) => self.missing("number"),
        }
    }

    /// Reads up to a comma, a brace or the end of the text at which no bracket is open.
    fn type_name(&mut self) -> Result<String, MessageSchemaError> {
        let mut open = 0_usize;
        let mut end = self.rest.len();
        for (at, c) in self.rest.char_indices() {
            let rest = &self.rest[at..];
            match c {
                '(' | '[' | '<' => open += 1,
                ')' | ']' | '>' if open == 0 => return self.missing("type"),
                ')' | ']' | '>' => open -= 1,
                '{' | '}' => return self.missing("type"),
                _ if open == 0 && (c == ',' || rest.starts_with(" {") || rest.starts_with(" }")) => {
                    end = at;
                    break;
                }
                _ => {}
            }
        }
        let name = &self.rest[..end];
        if open > 0 || name.is_empty() || name.trim() != name {
            return self.missing("type");
        }
        Ok(self.take(end).to_owned())
    }
}

impl fmt::Display for MessageSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{FORM}{}", self.codec)?;
        self.definitions.iter().try_for_each(|definition| write!(f, " {definition}"))
    }
}

impl fmt::Display for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.body {
            Body::Struct(fields) => {
                write!(f, "struct {} {{", self.name)?;
                write_fields(f, fields)?;
            }
            Body::Enum(variants) => {
                write!(f, "enum {} {{", self.name)?;
                for (position, variant) in variants.iter().enumerate() {
                    write!(f, "{}{}", if position == 0 { " " } else { ", " }, variant.name)?;
                    if variant.number != position as i64 {
                        write!(f, " = {}", variant.number)?;
                    }
                    if !variant.fields.is_empty() {
                        f.write_str(" {")?;
                        write_fields(f, &variant.fields)?;
                        f.write_str("}")?;
                    }
                }
                if !variants.is_empty() {
                    f.write_str(" ")?;
                }
            }
        }
        f.write_str("}")
    }
}

fn write_fields(f: &mut fmt::Formatter<'_>, fields: &[MessageField]) -> fmt::Result {
    for (position, field) in fields.iter().enumerate() {
        write!(f, "{}{}: {}", if position == 0 { " " } else { ", " }, field.name, field.type_name)?;
    }
    if fields.is_empty() { Ok(()) } else { f.write_str(" ") }
}
